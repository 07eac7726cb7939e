//! Reads the conditions of models (a part of Groovy 2.4) into our own tree; knows grammar, not meaning.

use std::sync::Arc;

use super::lexer::{Part, Token, TokenKind, tokens, too_deep, unsupported};
use super::number::Number;
use super::tree::{Binary, Class, Expr, Kind, Type, Unary};
use super::{ExpressionError, MAX_NESTING, MAX_TEXT_BYTES};

/// A condition as a tree, with the names it reads in order of first appearance.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) expr: Expr,
    pub(super) names: Vec<Arc<str>>,
}

/// Reads a condition; `${…}` around the whole of it is taken off first, as the reference does.
pub(super) fn parse(text: &str) -> Result<Parsed, ExpressionError> {
    if text.len() > MAX_TEXT_BYTES {
        let detail = format!(
            "its text has {} bytes, more than {MAX_TEXT_BYTES}; split the condition",
            text.len()
        );
        return Err(ExpressionError::Limit { detail });
    }
    match text.strip_prefix("${").and_then(|inner| inner.strip_suffix('}')) {
        Some(inner) => parse_inner(inner).map_err(|error| match error {
            ExpressionError::Syntax { at, detail } => ExpressionError::Syntax { at: at + 2, detail },
            other => other,
        }),
        None => parse_inner(text),
    }
}

fn parse_inner(text: &str) -> Result<Parsed, ExpressionError> {
    let tokens = tokens(text)?;
    let mut names = Vec::new();
    let mut parser = Parser {
        tokens: &tokens,
        at: 0,
        names: &mut names,
        nesting: 0,
        brackets: 0,
        path: None,
    };
    let expr = parser.script("end of the condition")?;
    if !matches!(parser.peek().kind, TokenKind::End) {
        return parser.unexpected("an operator or the end of the condition");
    }
    Ok(Parsed { expr, names })
}

/// Words that begin a statement, with what to say of them.
const STATEMENTS: [&str; 26] = [
    "if",
    "while",
    "for",
    "switch",
    "try",
    "throw",
    "assert",
    "def",
    "import",
    "package",
    "class",
    "interface",
    "enum",
    "trait",
    "synchronized",
    "break",
    "continue",
    "final",
    "static",
    "public",
    "private",
    "protected",
    "abstract",
    "void",
    "do",
    "goto",
];
/// Words that are no names.
const RESERVED: [&str; 21] = [
    "as",
    "case",
    "catch",
    "const",
    "default",
    "else",
    "extends",
    "finally",
    "implements",
    "in",
    "instanceof",
    "native",
    "return",
    "strictfp",
    "super",
    "this",
    "throws",
    "transient",
    "volatile",
    "threadsafe",
    "new",
];
/// Classes of the reference's host that a condition may not use.
const REFUSED_CLASSES: [&str; 24] = [
    "System",
    "Runtime",
    "Thread",
    "Process",
    "ProcessBuilder",
    "Class",
    "ClassLoader",
    "Date",
    "Calendar",
    "TimeZone",
    "Random",
    "UUID",
    "File",
    "URL",
    "URI",
    "Collections",
    "Arrays",
    "Optional",
    "Scanner",
    "Timer",
    "Locale",
    "StringBuilder",
    "Exception",
    "Eval",
];

/// How tightly a binary operator binds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Or,
    And,
    BitOr,
    BitXor,
    BitAnd,
    Match,
    Equality,
    Relation,
    Shift,
    Sum,
    Product,
    Power,
    /// Above every binary operator.
    Operand,
}

impl Level {
    fn above(self) -> Self {
        match self {
            Self::Or => Self::And,
            Self::And => Self::BitOr,
            Self::BitOr => Self::BitXor,
            Self::BitXor => Self::BitAnd,
            Self::BitAnd => Self::Match,
            Self::Match => Self::Equality,
            Self::Equality => Self::Relation,
            Self::Relation => Self::Shift,
            Self::Shift => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product => Self::Power,
            Self::Power | Self::Operand => Self::Operand,
        }
    }
}

/// What a binary operator does.
#[derive(Clone, Copy)]
enum Operator {
    Or,
    And,
    Plain(Binary),
    Range { inclusive: bool },
    InstanceOf,
    As,
    Match,
}

fn operator(kind: &TokenKind) -> Option<(Operator, Level)> {
    let plain = |binary, level| Some((Operator::Plain(binary), level));
    match kind {
        TokenKind::Word(word) => match &**word {
            "in" => plain(Binary::In, Level::Relation),
            "instanceof" => Some((Operator::InstanceOf, Level::Relation)),
            "as" => Some((Operator::As, Level::Relation)),
            _ => None,
        },
        TokenKind::Symbol(symbol) => match *symbol {
            "||" => Some((Operator::Or, Level::Or)),
            "&&" => Some((Operator::And, Level::And)),
            "|" => plain(Binary::BitOr, Level::BitOr),
            "^" => plain(Binary::BitXor, Level::BitXor),
            "&" => plain(Binary::BitAnd, Level::BitAnd),
            "=~" | "==~" => Some((Operator::Match, Level::Match)),
            "==" => plain(Binary::Equal, Level::Equality),
            "!=" => plain(Binary::Unequal, Level::Equality),
            "<=>" => plain(Binary::Compare, Level::Equality),
            "<" => plain(Binary::Less, Level::Relation),
            "<=" => plain(Binary::LessOrEqual, Level::Relation),
            ">" => plain(Binary::Greater, Level::Relation),
            ">=" => plain(Binary::GreaterOrEqual, Level::Relation),
            "<<" => plain(Binary::ShiftLeft, Level::Shift),
            ">>" => plain(Binary::ShiftRight, Level::Shift),
            ">>>" => plain(Binary::ShiftRightUnsigned, Level::Shift),
            ".." => Some((Operator::Range { inclusive: true }, Level::Shift)),
            "..<" => Some((Operator::Range { inclusive: false }, Level::Shift)),
            "+" => plain(Binary::Add, Level::Sum),
            "-" => plain(Binary::Subtract, Level::Sum),
            "*" => plain(Binary::Multiply, Level::Product),
            "/" => plain(Binary::Divide, Level::Product),
            "%" => plain(Binary::Remainder, Level::Product),
            "**" => plain(Binary::Power, Level::Power),
            _ => None,
        },
        _ => None,
    }
}

struct Parser<'t, 'n> {
    tokens: &'t [Token],
    at: usize,
    names: &'n mut Vec<Arc<str>>,
    nesting: usize,
    /// Open `(` and `[`: in them a line's end means nothing.
    brackets: usize,
    /// First and last token of the path read last: only a path may take arguments without parentheses.
    path: Option<(usize, usize)>,
}

const END: Token = Token {
    kind: TokenKind::End,
    at: 0,
    after_newline: false,
};

type Parse = Result<Expr, ExpressionError>;

impl<'t> Parser<'t, '_> {
    fn peek(&self) -> &'t Token {
        self.tokens.get(self.at).or(self.tokens.last()).unwrap_or(&END)
    }

    fn ahead(&self, count: usize) -> &'t Token {
        self.tokens.get(self.at + count).or(self.tokens.last()).unwrap_or(&END)
    }

    fn symbol(&self) -> &'static str {
        symbol_of(self.peek())
    }

    /// Whether the next token begins another statement because a line ended before it.
    fn line_ended(&self) -> bool {
        self.brackets == 0 && self.peek().after_newline
    }

    fn take(&mut self, symbol: &str) -> bool {
        let found = self.symbol() == symbol;
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), ExpressionError> {
        if self.take(symbol) {
            Ok(())
        } else {
            self.unexpected(&format!("`{symbol}`"))
        }
    }

    fn unexpected<T>(&self, wanted: &str) -> Result<T, ExpressionError> {
        let token = self.peek();
        Err(ExpressionError::Syntax {
            at: token.at,
            detail: format!("found {}, expected {wanted}", describe(token)),
        })
    }

    fn refuse<T>(&self, construct: &str, instead: &str) -> Result<T, ExpressionError> {
        Err(unsupported(self.peek().at, construct, instead))
    }

    fn enter(&mut self) -> Result<(), ExpressionError> {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            Err(too_deep())
        } else {
            Ok(())
        }
    }

    fn leave(&mut self) {
        self.nesting = self.nesting.saturating_sub(1);
    }

    /// Statements up to the end; only a single expression is a condition.
    fn script(&mut self, end: &str) -> Parse {
        let mut first = None;
        let mut more = false;
        loop {
            while self.take(";") {}
            if matches!(self.peek().kind, TokenKind::End) || self.symbol() == "}" {
                break;
            }
            let statement = self.statement()?;
            more = first.is_some();
            first.get_or_insert(statement);
            let ended = matches!(self.peek().kind, TokenKind::End) || matches!(self.symbol(), ";" | "}");
            if !ended && !self.line_ended() {
                return self.unexpected(&format!("an operator or the {end}"));
            }
        }
        if more {
            return self.refuse("several statements before the end", "write one expression");
        }
        Ok(first.unwrap_or(Expr {
            kind: Kind::Null,
            depth: 1,
        }))
    }

    fn statement(&mut self) -> Parse {
        let start = self.at;
        if let TokenKind::Word(word) = &self.peek().kind {
            if &**word == "return" {
                self.at += 1;
                if self.line_ended() || matches!(self.peek().kind, TokenKind::End) || self.symbol() == ";" {
                    return node(Kind::Null, 0);
                }
                return self.assignment();
            }
            if STATEMENTS.contains(&&**word) {
                return self.refuse(
                    &format!("the statement `{word}`"),
                    "write one expression; `a ? b : c` chooses",
                );
            }
            let is_type = Class::built_in(word).is_some() || word.starts_with(char::is_uppercase);
            let names_another = matches!(&self.ahead(1).kind, TokenKind::Word(name) if !is_operator_word(name));
            if is_type && names_another && !self.ahead(1).after_newline {
                return self.refuse("a declaration", "write one expression over the variables");
            }
        }
        if self.symbol() == "{" {
            self.at += 1;
            self.skip_parameters();
            if symbol_of(self.ahead(0)) != "}"
                && self
                    .tokens
                    .get(self.at.saturating_sub(1))
                    .is_some_and(|token| symbol_of(token) == "->")
            {
                return self.refuse("a closure `{…}`", "write contains, in or a comparison");
            }
            return self.unexpected("an expression before `{`");
        }
        if !word_of(self.peek()).is_empty() && symbol_of(self.ahead(1)) == ":" {
            return self.refuse("a label", "write one expression");
        }
        let mut expr = self.assignment()?;
        while self.path == Some((start, self.at)) && self.starts_argument() {
            expr = self.command(expr)?;
            self.path = Some((start, self.at));
        }
        Ok(expr)
    }

    /// Whether arguments follow a path without parentheses, as in `s.contains 'x'`.
    fn starts_argument(&self) -> bool {
        let token = self.peek();
        if self.line_ended() {
            return false;
        }
        match &token.kind {
            TokenKind::Word(word) => {
                !is_operator_word(word) && (!RESERVED.contains(&&**word) || matches!(&**word, "new" | "this"))
            }
            TokenKind::Number(..) | TokenKind::Text(_) | TokenKind::Template(_) => true,
            TokenKind::Symbol(symbol) => matches!(*symbol, "!" | "~"),
            TokenKind::End => false,
        }
    }

    fn command(&mut self, head: Expr) -> Parse {
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.assignment()?);
            if !self.take(",") {
                break;
            }
        }
        let mut expr = self.apply(head, arguments)?;
        // A word after the arguments is a property of the result, or a method when more follows it.
        if let TokenKind::Word(word) = &self.peek().kind
            && self.starts_argument()
        {
            let name = Arc::clone(word);
            self.at += 1;
            let depth = expr.depth;
            expr = node(
                Kind::Property {
                    of: Box::new(expr),
                    name,
                    safe: false,
                },
                depth,
            )?;
            expr = self.path_elements(expr)?;
        }
        Ok(expr)
    }

    /// `head` called with arguments.
    fn apply(&mut self, head: Expr, mut arguments: Vec<Expr>) -> Parse {
        let below = deepest(&arguments).max(head.depth);
        match head.kind {
            Kind::Property { of, name, safe } => node(
                Kind::Method {
                    of,
                    name,
                    arguments,
                    safe,
                },
                below,
            ),
            Kind::Variable(index) => {
                let name = self.names.get(index).map_or_else(|| "it".into(), Arc::clone);
                node(Kind::Uncallable { name, arguments }, below)
            }
            kind => {
                arguments.insert(
                    0,
                    Expr {
                        kind,
                        depth: head.depth,
                    },
                );
                node(
                    Kind::Uncallable {
                        name: "call".into(),
                        arguments,
                    },
                    below,
                )
            }
        }
    }

    fn assignment(&mut self) -> Parse {
        let at = self.peek().at;
        let expr = self.conditional()?;
        let assigns = matches!(
            self.symbol(),
            "=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**=" | "<<=" | ">>=" | ">>>=" | "&=" | "|=" | "^="
        );
        if !assigns || self.line_ended() {
            return Ok(expr);
        }
        match expr.kind {
            Kind::Variable(_) | Kind::Property { .. } | Kind::Index { .. } | Kind::Named { .. } => Err(unsupported(
                at,
                "an assignment",
                "a condition changes nothing; to compare write `==`",
            )),
            _ => Err(ExpressionError::Syntax {
                at: self.peek().at,
                detail: format!(
                    "`{}` assigns, and what stands before it is no variable; to compare write `==`",
                    self.symbol()
                ),
            }),
        }
    }

    fn conditional(&mut self) -> Parse {
        self.enter()?;
        let condition = self.binary(Level::Or)?;
        let expr = if self.take("?:") {
            let otherwise = self.conditional()?;
            let below = condition.depth.max(otherwise.depth);
            let (condition, otherwise) = unified(condition, otherwise);
            node(Kind::Elvis(Box::new(condition), Box::new(otherwise)), below)?
        } else if self.take("?") {
            let then = self.assignment()?;
            self.expect(":")?;
            let otherwise = self.conditional()?;
            let below = condition.depth.max(then.depth).max(otherwise.depth);
            let (then, otherwise) = unified(then, otherwise);
            node(
                Kind::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise)),
                below,
            )?
        } else {
            condition
        };
        self.leave();
        Ok(expr)
    }

    fn binary(&mut self, least: Level) -> Parse {
        let (mut left, mut most) = if least <= Level::Product && matches!(self.symbol(), "-" | "+") {
            (self.signed_product()?, Level::Product)
        } else {
            (self.unary()?, Level::Operand)
        };
        while let Some((operator, level)) = operator(&self.peek().kind) {
            if level < least || self.line_ended() {
                break;
            }
            if level > most || (level == Level::Relation && most == Level::Relation) {
                return self.unexpected("an operator that binds less; use parentheses");
            }
            most = level;
            left = self.operation(left, operator, level)?;
        }
        Ok(left)
    }

    /// A sign at the start of a product binds less than `**`.
    fn signed_product(&mut self) -> Parse {
        let sign = self.symbol();
        self.at += 1;
        if matches!(self.symbol(), "-" | "+" | "++" | "--") {
            return self.unexpected("an operand; put the second sign in parentheses");
        }
        let mut operand = self.unary()?;
        while self.symbol() == "**" && !self.line_ended() {
            operand = self.operation(operand, Operator::Plain(Binary::Power), Level::Power)?;
        }
        self.sign(sign, operand)
    }

    fn operation(&mut self, left: Expr, operator: Operator, level: Level) -> Parse {
        match operator {
            Operator::Match => self.refuse(
                "a regular expression",
                "write ==, contains, startsWith or endsWith, or let a variable carry the answer",
            ),
            Operator::InstanceOf | Operator::As => {
                self.at += 1;
                let to = self.type_name()?;
                let below = left.depth;
                let left = Box::new(left);
                match operator {
                    Operator::As => self.conversion(to, below, Kind::As(left, to)),
                    _ if to.primitive => {
                        self.refuse("instanceof with a built-in type", "name the class, such as Integer")
                    }
                    _ => node(Kind::InstanceOf(left, to.class), below),
                }
            }
            Operator::Or | Operator::And => {
                let symbol = self.symbol();
                let mut operands = vec![left];
                while self.symbol() == symbol && !self.line_ended() {
                    self.at += 1;
                    operands.push(self.binary(level.above())?);
                }
                let below = deepest(&operands);
                let kind = if symbol == "||" {
                    Kind::Or(operands)
                } else {
                    Kind::And(operands)
                };
                node(kind, below)
            }
            Operator::Plain(binary) => {
                self.at += 1;
                let right = self.binary(level.above())?;
                let left = if level == Level::Shift {
                    widened_by_distance(left, &right)
                } else {
                    left
                };
                let below = left.depth.max(right.depth);
                node(Kind::Binary(binary, Box::new(left), Box::new(right)), below)
            }
            Operator::Range { inclusive } => {
                self.at += 1;
                let right = self.binary(level.above())?;
                let below = left.depth.max(right.depth);
                node(
                    Kind::Range {
                        from: Box::new(left),
                        to: Box::new(right),
                        inclusive,
                    },
                    below,
                )
            }
        }
    }

    fn sign(&mut self, sign: &str, operand: Expr) -> Parse {
        if sign == "-"
            && let Kind::Number(number) = &operand.kind
            && let Some(negative) = self.negative_literal(number)
        {
            return node(Kind::Number(negative), 0);
        }
        let below = operand.depth;
        let unary = if sign == "-" { Unary::Minus } else { Unary::Plus };
        node(Kind::Unary(unary, Box::new(operand)), below)
    }

    /// The smallest integers exist only with their sign; no literal is a negative zero.
    fn negative_literal(&self, number: &Number) -> Option<Number> {
        let previous = self.at.checked_sub(1).and_then(|at| self.tokens.get(at))?;
        match previous.kind {
            TokenKind::Number(_, plain) => number.negative_literal(plain),
            _ => None,
        }
    }

    fn unary(&mut self) -> Parse {
        let symbol = self.symbol();
        match symbol {
            "-" | "+" => {
                self.enter()?;
                self.at += 1;
                let operand = self.unary()?;
                self.leave();
                self.sign(symbol, operand)
            }
            "++" | "--" => self.refuse("`++` and `--`", "a condition changes nothing; write `+ 1` or `- 1`"),
            "!" | "~" => {
                self.enter()?;
                self.at += 1;
                let operand = self.unary()?;
                self.leave();
                let below = operand.depth;
                let operand = Box::new(operand);
                let kind = if symbol == "!" {
                    Kind::Not(operand)
                } else {
                    Kind::Unary(Unary::Complement, operand)
                };
                node(kind, below)
            }
            "(" => match self.cast()? {
                Some((to, length)) => {
                    self.enter()?;
                    self.at += length;
                    let operand = self.unary()?;
                    self.leave();
                    let below = operand.depth;
                    self.conversion(to, below, Kind::Cast(to, Box::new(operand)))
                }
                None => self.postfix(),
            },
            _ => self.postfix(),
        }
    }

    /// The type of `(type) operand`, and how many tokens name it. A name in parentheses before an operand is always a type.
    fn cast(&self) -> Result<Option<(Type, usize)>, ExpressionError> {
        let mut length = 2;
        while symbol_of(self.ahead(length)) == "." {
            length += 2;
        }
        let last = word_of(self.ahead(length - 1));
        let named = (1..length).step_by(2).all(|at| {
            let word = word_of(self.ahead(at));
            !word.is_empty() && !matches!(word, "true" | "false" | "null" | "this" | "super" | "new")
        });
        if !named || symbol_of(self.ahead(length)) != ")" {
            return Ok(None);
        }
        length += 1;
        let to = Type::named(last);
        let operand = match &self.ahead(length).kind {
            TokenKind::Word(next) => !is_operator_word(next),
            TokenKind::Number(..) | TokenKind::Text(_) | TokenKind::Template(_) => true,
            TokenKind::Symbol(symbol) => matches!(*symbol, "(" | "[" | "!" | "~"),
            TokenKind::End => false,
        };
        match to {
            Some(to) if operand || to.primitive => Ok(Some((to, length))),
            None if operand && !(self.brackets == 0 && self.ahead(length).after_newline) => {
                Err(ExpressionError::Syntax {
                    at: self.peek().at,
                    detail: format!(
                        "`({last})` before a value converts to a class of that name, which is not known; leave the parentheses out"
                    ),
                })
            }
            _ => Ok(None),
        }
    }

    fn type_name(&mut self) -> Result<Type, ExpressionError> {
        let mut token = self.peek();
        // A package before the class adds nothing.
        while let TokenKind::Word(word) = &token.kind
            && symbol_of(self.ahead(1)) == "."
            && word.starts_with(char::is_lowercase)
        {
            self.at += 2;
            token = self.peek();
        }
        let TokenKind::Word(word) = &token.kind else {
            return self.unexpected("the name of a class");
        };
        let Some(to) = Type::named(word) else {
            if REFUSED_CLASSES.contains(&&**word) {
                return self.refuse(&format!("the class `{word}`"), "only classes of values may be named");
            }
            return self.unexpected("the name of a class of values");
        };
        self.at += 1;
        if self.symbol() == "<" || (self.symbol() == "[" && symbol_of(self.ahead(1)) == "]") {
            return self.refuse("an array or generic type", "name the plain class");
        }
        Ok(to)
    }

    fn conversion(&self, to: Type, below: usize, kind: Kind) -> Parse {
        if matches!(to.class, Class::Byte | Class::Short) {
            return self.refuse("numbers of 8 and 16 bits", "convert to int");
        }
        node(kind, below)
    }

    fn postfix(&mut self) -> Parse {
        let start = self.at;
        let expr = self.primary()?;
        let expr = self.path_elements(expr)?;
        self.path = Some((start, self.at));
        Ok(expr)
    }

    /// What follows a value: `.name`, `(…)`, `[…]`, `{…}`.
    fn path_elements(&mut self, mut expr: Expr) -> Parse {
        loop {
            let symbol = self.symbol();
            let line_ended = self.line_ended();
            match symbol {
                "." | "?." => expr = self.member(expr, symbol == "?.")?,
                "*." | ".&" | ".@" => {
                    return self.refuse(&format!("`{symbol}`"), "write `.` and name the property or method");
                }
                "(" if !line_ended => {
                    let arguments = self.arguments("(", ")")?;
                    expr = self.apply(expr, arguments)?;
                }
                "[" if !line_ended => {
                    let mut places = self.arguments("[", "]")?;
                    let below = deepest(&places).max(expr.depth);
                    let place = match places.pop() {
                        Some(one) if places.is_empty() => one,
                        Some(last) => {
                            places.push(last);
                            node(Kind::List(places), below)?
                        }
                        None => return self.refuse("an index without a value", "write `[0]`"),
                    };
                    let below = below.max(place.depth);
                    expr = node(
                        Kind::Index {
                            of: Box::new(expr),
                            at: Box::new(place),
                        },
                        below,
                    )?;
                }
                "{" if !line_ended => expr = self.closure_argument(expr)?,
                "++" | "--" if !line_ended => {
                    return self.refuse("`++` and `--`", "a condition changes nothing; write `+ 1` or `- 1`");
                }
                _ => return Ok(expr),
            }
        }
    }

    /// `.name`, `.name(…)`, `."name"`.
    fn member(&mut self, of: Expr, safe: bool) -> Parse {
        self.at += 1;
        let below = of.depth;
        let of = Box::new(of);
        match &self.peek().kind {
            TokenKind::Word(name) | TokenKind::Text(name) => {
                let name = Arc::clone(name);
                self.at += 1;
                if self.symbol() == "(" && !self.line_ended() {
                    let arguments = self.arguments("(", ")")?;
                    let below = below.max(deepest(&arguments));
                    return node(
                        Kind::Method {
                            of,
                            name,
                            arguments,
                            safe,
                        },
                        below,
                    );
                }
                node(Kind::Property { of, name, safe }, below)
            }
            TokenKind::Template(parts) => {
                let name = self.template(parts)?;
                self.at += 1;
                let below = below.max(name.depth);
                node(
                    Kind::Named {
                        of,
                        name: Box::new(name),
                        safe,
                    },
                    below,
                )
            }
            TokenKind::Symbol("(") => self.refuse("a computed name", "write `[…]`"),
            TokenKind::Symbol("@" | "&") => self.refuse("a field or method reference", "write the name"),
            _ => self.unexpected("a name"),
        }
    }

    fn arguments(&mut self, open: &str, close: &str) -> Result<Vec<Expr>, ExpressionError> {
        self.enter()?;
        self.expect(open)?;
        self.brackets += 1;
        let mut arguments = Vec::new();
        while self.symbol() != close {
            self.refuse_spread()?;
            arguments.push(self.assignment()?);
            if self.symbol() == ":" {
                return self.refuse("a named argument", "give arguments in their order");
            }
            if !self.take(",") {
                break;
            }
        }
        self.brackets -= 1;
        self.expect(close)?;
        self.leave();
        Ok(arguments)
    }

    fn refuse_spread(&self) -> Result<(), ExpressionError> {
        if self.symbol() == "*" {
            self.refuse("the spread `*`", "write the elements")
        } else {
            Ok(())
        }
    }

    /// `name {…}`, which is what `${…}` inside a condition is: read, never run.
    fn closure_argument(&mut self, head: Expr) -> Parse {
        let head = match head.kind {
            Kind::Variable(_) | Kind::Uncallable { .. } => head,
            _ => return self.refuse("a closure `{…}`", "write contains, in or a comparison"),
        };
        let known = self.names.len();
        self.closure()?;
        self.names.truncate(known);
        let below = head.depth;
        match head.kind {
            Kind::Uncallable { .. } => Ok(head),
            _ => self.apply(head, Vec::new()).map(|call| Expr {
                depth: call.depth.max(below),
                ..call
            }),
        }
    }

    fn closure(&mut self) -> Result<(), ExpressionError> {
        self.enter()?;
        self.expect("{")?;
        let brackets = std::mem::take(&mut self.brackets);
        self.skip_parameters();
        self.script("end of the closure")?;
        self.brackets = brackets;
        self.expect("}")?;
        self.leave();
        Ok(())
    }

    /// Skips `a, b ->`.
    fn skip_parameters(&mut self) {
        let mut ahead = 0;
        while matches!(&self.ahead(ahead).kind, TokenKind::Word(_)) || symbol_of(self.ahead(ahead)) == "," {
            ahead += 1;
        }
        if symbol_of(self.ahead(ahead)) == "->" {
            self.at += ahead + 1;
        }
    }

    fn primary(&mut self) -> Parse {
        let token = self.peek();
        match &token.kind {
            TokenKind::Number(number, _) => {
                self.at += 1;
                node(Kind::Number(number.clone()), 0)
            }
            TokenKind::Text(text) => {
                self.at += 1;
                node(Kind::Text(Arc::clone(text)), 0)
            }
            TokenKind::Template(parts) => {
                let template = self.template(parts)?;
                self.at += 1;
                Ok(template)
            }
            TokenKind::Word(word) => self.name(word),
            TokenKind::Symbol("(") => {
                self.at += 1;
                self.brackets += 1;
                let inner = self.assignment()?;
                self.brackets -= 1;
                self.expect(")")?;
                Ok(inner)
            }
            TokenKind::Symbol("[") => self.list(),
            TokenKind::Symbol("{") => self.refuse("a closure `{…}`", "write contains, in or a comparison"),
            TokenKind::Symbol(_) | TokenKind::End => self.unexpected("a value"),
        }
    }

    fn name(&mut self, word: &Arc<str>) -> Parse {
        let literal = match &**word {
            "true" => Some(Kind::Bool(true)),
            "false" => Some(Kind::Bool(false)),
            "null" => Some(Kind::Null),
            _ => None,
        };
        if let Some(kind) = literal {
            self.at += 1;
            return node(kind, 0);
        }
        match &**word {
            "new" => {
                return self.refuse(
                    "the creation of an object (`new`)",
                    "pass the value as a variable, or write a literal",
                );
            }
            "this" | "super" => return self.refuse(&format!("`{word}`"), "name a variable"),
            _ if RESERVED.contains(&&**word) || STATEMENTS.contains(&&**word) => return self.unexpected("a value"),
            _ => {}
        }
        if Class::built_in(word).is_some() {
            return self.refuse(&format!("the type `{word}` as a value"), "use it with as or instanceof");
        }
        if REFUSED_CLASSES.contains(&&**word) {
            let instead = "a condition has no clock and no outside; pass the value as a variable";
            return self.refuse(&format!("the class `{word}`"), instead);
        }
        if let Some(length) = self.package() {
            self.at += length;
            return self.static_member();
        }
        if Class::named(word).is_some() {
            return self.static_member();
        }
        self.at += 1;
        if self.symbol() == "(" && !self.line_ended() {
            let arguments = self.arguments("(", ")")?;
            let below = deepest(&arguments);
            return node(
                Kind::Uncallable {
                    name: Arc::clone(word),
                    arguments,
                },
                below,
            );
        }
        if self.symbol() == "{" && !self.line_ended() {
            let known = self.names.len();
            self.closure()?;
            self.names.truncate(known);
            return node(
                Kind::Uncallable {
                    name: Arc::clone(word),
                    arguments: Vec::new(),
                },
                0,
            );
        }
        let index = self.variable(word)?;
        node(Kind::Variable(index), 0)
    }

    /// Tokens of `java.lang.` and the like before a class we know.
    fn package(&self) -> Option<usize> {
        let words: Vec<&str> = (0..=4).map(|ahead| word_of(self.ahead(ahead))).collect();
        let dots = symbol_of(self.ahead(1)) == "." && symbol_of(self.ahead(3)) == ".";
        let [first, _, second, _, class] = words.as_slice() else {
            return None;
        };
        let known =
            matches!((*first, *second), ("java", "lang" | "math" | "util")) || (*first, *second) == ("groovy", "lang");
        (dots && known && (Class::named(class).is_some() || REFUSED_CLASSES.contains(class))).then_some(4)
    }

    /// `Math.max(…)`, `Integer.MAX_VALUE`.
    fn static_member(&mut self) -> Parse {
        let word = word_of(self.peek());
        let Some(class) = Class::named(word) else {
            return self.refuse(&format!("the class `{word}`"), "pass the value as a variable");
        };
        if symbol_of(self.ahead(1)) != "." {
            return self.refuse(
                &format!("the class `{word}` as a value"),
                "use it with as or instanceof",
            );
        }
        let TokenKind::Word(name) = &self.ahead(2).kind else {
            self.at += 2;
            return self.unexpected("a name");
        };
        if &**name == "class" {
            return self.refuse(
                &format!("the class `{word}` as a value"),
                "use it with as or instanceof",
            );
        }
        let name = Arc::clone(name);
        self.at += 3;
        if self.symbol() == "(" && !self.line_ended() {
            let arguments = self.arguments("(", ")")?;
            let below = deepest(&arguments);
            return node(Kind::Static { class, name, arguments }, below);
        }
        node(Kind::Constant { class, name }, 0)
    }

    fn variable(&mut self, name: &Arc<str>) -> Result<usize, ExpressionError> {
        if &**name == "$" {
            return self.unexpected("more than `$` in a name");
        }
        Ok(self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(Arc::clone(name));
            self.names.len() - 1
        }))
    }

    /// `[a, b]`, `[k: v]`, `[:]`.
    fn list(&mut self) -> Parse {
        self.enter()?;
        self.at += 1;
        self.brackets += 1;
        let kind = if self.symbol() == ":" && symbol_of(self.ahead(1)) == "]" {
            self.at += 1;
            (Kind::Map(Vec::new()), 0)
        } else {
            self.list_items()?
        };
        self.brackets -= 1;
        self.expect("]")?;
        self.leave();
        node(kind.0, kind.1)
    }

    fn list_items(&mut self) -> Result<(Kind, usize), ExpressionError> {
        let mut items = Vec::new();
        let mut entries = Vec::new();
        let mut below = 0;
        while self.symbol() != "]" {
            self.refuse_spread()?;
            let key = self.map_key()?;
            let is_entry = key.is_some();
            let first = match key {
                Some(key) => key,
                None => self.conditional()?,
            };
            below = below.max(first.depth);
            if is_entry || self.symbol() == ":" {
                self.expect(":")?;
                let value = self.conditional()?;
                below = below.max(value.depth);
                entries.push((first, value));
            } else {
                items.push(first);
            }
            if !self.take(",") {
                break;
            }
            // The reference skips empty places between elements.
            while self.take(",") {}
        }
        if !items.is_empty() && !entries.is_empty() {
            return self.unexpected("either elements or `key: value`, not both");
        }
        Ok(if entries.is_empty() {
            (Kind::List(items), below)
        } else {
            (Kind::Map(entries), below)
        })
    }

    /// A word before `:` is the text of the key.
    fn map_key(&mut self) -> Result<Option<Expr>, ExpressionError> {
        if symbol_of(self.ahead(1)) != ":" {
            return Ok(None);
        }
        let TokenKind::Word(word) = &self.peek().kind else {
            return Ok(None);
        };
        self.at += 1;
        node(Kind::Text(Arc::clone(word)), 0).map(Some)
    }

    fn template(&mut self, parts: &'t [Part]) -> Parse {
        let mut pieces = Vec::new();
        for part in parts {
            let piece = match part {
                Part::Text(text) => node(Kind::Text(Arc::clone(text)), 0)?,
                Part::Path(path) => self.path_piece(path)?,
                Part::Code(tokens) => {
                    if tokens.iter().any(|token| symbol_of(token) == "->") {
                        return self.refuse("a closure in text", "write `${value}`");
                    }
                    self.enter()?;
                    let nesting = self.nesting;
                    let mut inner = Parser {
                        tokens,
                        at: 0,
                        names: &mut *self.names,
                        nesting,
                        brackets: 0,
                        path: None,
                    };
                    let piece = inner.script("end of `${…}`")?;
                    if !matches!(inner.peek().kind, TokenKind::End) {
                        return inner.unexpected("`}`");
                    }
                    self.leave();
                    piece
                }
            };
            pieces.push(piece);
        }
        let below = deepest(&pieces);
        node(Kind::Template(pieces), below)
    }

    fn path_piece(&mut self, path: &[Arc<str>]) -> Parse {
        let mut names = path.iter();
        let mut expr = match names.next() {
            Some(first) => {
                let index = self.variable(first)?;
                node(Kind::Variable(index), 0)?
            }
            None => node(Kind::Null, 0)?,
        };
        for name in names {
            let depth = expr.depth;
            expr = node(
                Kind::Property {
                    of: Box::new(expr),
                    name: Arc::clone(name),
                    safe: false,
                },
                depth,
            )?;
        }
        Ok(expr)
    }
}

/// A literal shifted by a literal of 64 bits is itself of 64 bits.
fn widened_by_distance(mut left: Expr, distance: &Expr) -> Expr {
    if let (Kind::Number(number), Kind::Number(by @ Number::Long(_))) = (&mut left.kind, &distance.kind)
        && !matches!(number, Number::Int(i32::MIN..0))
    {
        number.widen_literal(by);
    }
    left
}

/// Two numbers written as the branches of one choice are of one kind, the wider one.
fn unified(mut then: Expr, mut otherwise: Expr) -> (Expr, Expr) {
    if let (Kind::Number(first), Kind::Number(second)) = (&mut then.kind, &mut otherwise.kind) {
        first.widen_literal(second);
        second.widen_literal(first);
    }
    (then, otherwise)
}

/// A node above nodes of depth `below`.
fn node(kind: Kind, below: usize) -> Parse {
    let depth = below + 1;
    if depth > MAX_NESTING {
        Err(too_deep())
    } else {
        Ok(Expr { kind, depth })
    }
}

fn deepest(expressions: &[Expr]) -> usize {
    expressions.iter().map(|expr| expr.depth).max().unwrap_or(0)
}

fn symbol_of(token: &Token) -> &'static str {
    if let TokenKind::Symbol(symbol) = token.kind {
        symbol
    } else {
        ""
    }
}

fn word_of(token: &Token) -> &str {
    if let TokenKind::Word(word) = &token.kind {
        word
    } else {
        ""
    }
}

fn is_operator_word(word: &str) -> bool {
    matches!(word, "in" | "instanceof" | "as")
}

fn describe(token: &Token) -> String {
    match &token.kind {
        TokenKind::Word(word) => format!("`{word}`"),
        TokenKind::Number(..) => "a number".to_owned(),
        TokenKind::Text(_) | TokenKind::Template(_) => "text in quotes".to_owned(),
        TokenKind::Symbol(symbol) => format!("`{symbol}`"),
        TokenKind::End => "the end".to_owned(),
    }
}
