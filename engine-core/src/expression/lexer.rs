//! Cuts the text of a condition into tokens; knows how names, numbers and quoted text are written, not what they mean.

use std::sync::Arc;

use super::number::Number;
use super::{ExpressionError, MAX_NESTING};

/// One token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Byte offset in the text.
    pub(super) at: usize,
    /// Whether a line ends before it.
    pub(super) after_newline: bool,
}

/// What a token is.
#[derive(Clone, Debug)]
pub(super) enum TokenKind {
    Word(Arc<str>),
    /// A number, and whether it is decimal digits without a suffix.
    Number(Number, bool),
    Text(Arc<str>),
    Template(Vec<Part>),
    Symbol(&'static str),
    End,
}

/// A part of double-quoted text.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(Arc<str>),
    /// `$a.b.c`.
    Path(Vec<Arc<str>>),
    /// `${…}`.
    Code(Vec<Token>),
}

/// Longest first, so that the first match is the token.
const SYMBOLS: [&str; 57] = [
    ">>>=", "<=>", "==~", "===", "!==", ">>>", "<<=", ">>=", "**=", "...", "..<", "?.", "?:", "*.", ".&", ".@", "->",
    "==", "!=", "<=", ">=", "&&", "||", "<<", ">>", "**", "..", "++", "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=",
    "^=", "=~", "=", "<", ">", "+", "-", "*", "/", "%", "!", "~", "&", "|", "^", "?", ":", ".", ",", ";", "@",
];
const BRACKETS: [&str; 6] = ["(", ")", "[", "]", "{", "}"];

/// The tokens of `text`, the last one being [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, ExpressionError> {
    let mut lexer = Lexer { text, at: 0, depth: 0 };
    if text.starts_with("#!") {
        lexer.at = text.find('\n').unwrap_or(text.len());
    }
    lexer.run(false)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn syntax<T>(at: usize, detail: impl Into<String>) -> Result<T, ExpressionError> {
        Err(ExpressionError::Syntax {
            at,
            detail: detail.into(),
        })
    }

    /// Reads to the end, or, inside `${`, to the brace that closes it.
    fn run(&mut self, embedded: bool) -> Result<Vec<Token>, ExpressionError> {
        let mut tokens: Vec<Token> = Vec::new();
        let mut braces = 0_usize;
        loop {
            let after_newline = self.skip_blanks()?;
            let at = self.at;
            let Some(next) = self.peek() else {
                if embedded {
                    return Self::syntax(at, "`${` is not closed by `}`");
                }
                tokens.push(Token {
                    kind: TokenKind::End,
                    at,
                    after_newline,
                });
                return Ok(tokens);
            };
            if next == '}' && embedded && braces == 0 {
                tokens.push(Token {
                    kind: TokenKind::End,
                    at,
                    after_newline,
                });
                self.at += 1;
                return Ok(tokens);
            }
            let kind = self.token(next, tokens.last().map(|token| &token.kind))?;
            match kind {
                TokenKind::Symbol("{") => braces += 1,
                TokenKind::Symbol("}") => braces = braces.saturating_sub(1),
                _ => {}
            }
            tokens.push(Token {
                kind,
                at,
                after_newline,
            });
        }
    }

    fn token(&mut self, next: char, before: Option<&TokenKind>) -> Result<TokenKind, ExpressionError> {
        match next {
            '0'..='9' => self.number(),
            '\'' => self.quoted('\''),
            '"' => self.quoted('"'),
            '/' if !ends_operand(before) => Err(unsupported(
                self.at,
                "text between slashes (a regular expression)",
                "write the text in quotes, and contains, startsWith or endsWith instead of a pattern",
            )),
            '$' if self.rest().starts_with("$/") => Err(unsupported(
                self.at,
                "text between `$/` and `/$`",
                "write the text in quotes",
            )),
            _ if is_name_part(next) => self.word(),
            _ => {
                let symbol = BRACKETS
                    .iter()
                    .chain(&SYMBOLS)
                    .find(|symbol| self.rest().starts_with(**symbol));
                let Some(symbol) = symbol else {
                    return Self::syntax(self.at, format!("unexpected character `{}`", next.escape_debug()));
                };
                self.at += symbol.len();
                Ok(TokenKind::Symbol(symbol))
            }
        }
    }

    /// Skips blanks and comments; true when a line ended.
    fn skip_blanks(&mut self) -> Result<bool, ExpressionError> {
        let mut newline = false;
        loop {
            let rest = self.rest();
            if rest.starts_with("//") {
                self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                let Some(length) = rest.find("*/") else {
                    return Self::syntax(self.at, "the comment is not closed by `*/`");
                };
                newline |= rest.get(..length).is_some_and(|comment| comment.contains('\n'));
                self.at += length + 2;
            } else if rest.starts_with(['\n', '\r']) {
                newline = true;
                self.at += 1;
            } else if rest.starts_with([' ', '\t', '\u{c}']) {
                self.at += 1;
            } else if rest.starts_with("\\\n") {
                self.at += 2;
            } else {
                return Ok(newline);
            }
        }
    }

    fn word(&mut self) -> Result<TokenKind, ExpressionError> {
        let at = self.at;
        let length = self.rest().find(|c| !is_name_part(c)).unwrap_or(self.rest().len());
        let word: Arc<str> = self.rest().get(..length).unwrap_or_default().into();
        if let Some(wrong) = word.chars().find(|&c| !is_valid_in_name(c)) {
            return Self::syntax(at, format!("`{}` may not stand in a name", wrong.escape_debug()));
        }
        self.at += length;
        Ok(TokenKind::Word(word))
    }

    fn number(&mut self) -> Result<TokenKind, ExpressionError> {
        let rest = self.rest();
        let (length, number, plain) = Number::read(rest).map_err(|detail| match detail {
            super::number::Refused::Syntax(detail) => ExpressionError::Syntax { at: self.at, detail },
            super::number::Refused::Limit(detail) => ExpressionError::Limit { detail },
        })?;
        self.at += length;
        Ok(TokenKind::Number(number, plain))
    }

    fn quoted(&mut self, quote: char) -> Result<TokenKind, ExpressionError> {
        let start = self.at;
        let triple = quote.to_string().repeat(3);
        let close = if self.rest().starts_with(&triple) {
            triple
        } else {
            quote.to_string()
        };
        self.at += close.len();
        let mut parts: Vec<Part> = Vec::new();
        let mut text = String::new();
        loop {
            if self.rest().starts_with(&close) {
                self.at += close.len();
                break;
            }
            let at = self.at;
            let Some(next) = self.peek() else {
                return Self::syntax(start, format!("the text is not closed by `{close}`"));
            };
            self.at += next.len_utf8();
            match next {
                '\n' | '\r' if close.len() == 1 => {
                    return Self::syntax(start, format!("the text is not closed by `{close}` on its line"));
                }
                '\\' => self.escape(at, &mut text)?,
                '$' if quote == '"' => {
                    let part = self.embedded(at)?;
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text).into()));
                    }
                    parts.push(part);
                }
                other => text.push(other),
            }
        }
        if parts.is_empty() {
            return Ok(TokenKind::Text(text.into()));
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.into()));
        }
        Ok(TokenKind::Template(parts))
    }

    /// What follows a backslash.
    fn escape(&mut self, at: usize, text: &mut String) -> Result<(), ExpressionError> {
        let Some(next) = self.peek() else {
            return Self::syntax(at, "nothing follows the backslash");
        };
        self.at += next.len_utf8();
        match next {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            '\\' | '\'' | '"' | '$' => text.push(next),
            '\n' => {}
            '\r' => {
                if self.rest().starts_with('\n') {
                    self.at += 1;
                }
            }
            '0'..='7' => {
                let most = if next <= '3' { 2 } else { 1 };
                let more = self
                    .rest()
                    .bytes()
                    .take(most)
                    .take_while(|byte| (b'0'..=b'7').contains(byte))
                    .count();
                let code = self
                    .text
                    .get(at + 1..self.at + more)
                    .and_then(|digits| u32::from_str_radix(digits, 8).ok());
                self.at += more;
                text.extend(code.and_then(char::from_u32));
            }
            'u' => {
                while self.rest().starts_with('u') {
                    self.at += 1;
                }
                let first = self.code_unit(at)?;
                let second = if (0xD800..0xDC00).contains(&first) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    Some(self.code_unit(at)?)
                } else {
                    None
                };
                let units = [Some(first), second];
                for unit in char::decode_utf16(units.into_iter().flatten()) {
                    let Ok(unit) = unit else {
                        return Self::syntax(at, "half of a surrogate pair cannot stand alone");
                    };
                    text.push(unit);
                }
            }
            other => return Self::syntax(at, format!("`\\{}` is not an escape", other.escape_debug())),
        }
        Ok(())
    }

    fn code_unit(&mut self, at: usize) -> Result<u16, ExpressionError> {
        let digits = self
            .rest()
            .get(..4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()) else {
            return Self::syntax(at, "`\\u` needs four hexadecimal digits");
        };
        self.at += 4;
        Ok(unit)
    }

    /// What follows `$` in double-quoted text.
    fn embedded(&mut self, at: usize) -> Result<Part, ExpressionError> {
        if self.rest().starts_with('{') {
            self.at += 1;
            self.depth += 1;
            if self.depth > MAX_NESTING {
                return Err(too_deep());
            }
            let code = self.run(true)?;
            self.depth -= 1;
            return Ok(Part::Code(code));
        }
        let mut names = Vec::new();
        loop {
            let starts = self
                .peek()
                .is_some_and(|c| is_name_part(c) && c != '$' && !c.is_ascii_digit());
            if !starts {
                return Self::syntax(
                    at,
                    "`$` in double quotes needs a name or `{`; write `\\$` for the character itself",
                );
            }
            let length = self
                .rest()
                .find(|c| !is_name_part(c) || c == '$')
                .unwrap_or(self.rest().len());
            let name: Arc<str> = self.rest().get(..length).unwrap_or_default().into();
            if let Some(wrong) = name.chars().find(|&c| !is_valid_in_name(c)) {
                return Self::syntax(at, format!("`{}` may not stand in a name", wrong.escape_debug()));
            }
            self.at += length;
            names.push(name);
            let mut ahead = self.rest().chars();
            let goes_on = ahead.next() == Some('.')
                && ahead
                    .next()
                    .is_some_and(|c| is_name_part(c) && c != '$' && !c.is_ascii_digit());
            if !goes_on {
                return Ok(Part::Path(names));
            }
            self.at += 1;
        }
    }
}

pub(super) fn too_deep() -> ExpressionError {
    ExpressionError::Limit {
        detail: format!("it nests deeper than {MAX_NESTING} levels; split the condition"),
    }
}

/// An error that names a construct, where it stands and what to write instead.
pub(super) fn unsupported(at: usize, construct: &str, instead: &str) -> ExpressionError {
    ExpressionError::Unsupported {
        construct: format!("{construct} at byte {at}; {instead}"),
    }
}

fn ends_operand(before: Option<&TokenKind>) -> bool {
    match before {
        Some(TokenKind::Word(word)) => !matches!(&**word, "in" | "instanceof" | "as" | "return"),
        Some(TokenKind::Number(..) | TokenKind::Text(_) | TokenKind::Template(_)) => true,
        Some(TokenKind::Symbol(symbol)) => matches!(*symbol, ")" | "]" | "}" | "++" | "--"),
        Some(TokenKind::End) | None => false,
    }
}

/// What the reference's lexer takes into a name.
fn is_name_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || (c >= '\u{c0}' && c != '\u{d7}' && c != '\u{f7}')
}

/// What may really stand in one.
fn is_valid_in_name(c: char) -> bool {
    c.is_ascii()
        || (c <= '\u{ffff}'
            && (c.is_alphanumeric()
                || matches!(c, '\u{300}'..='\u{36f}' | '\u{20a0}'..='\u{20bf}' | '\u{203f}' | '\u{ff3f}')))
}
