//! Prints the tree of a condition as rhai in which every operator, method and literal calls a function of ours.

use std::fmt::Write;
use std::sync::Arc;

use super::number::Number;
use super::tree::{Binary, Expr, Kind, Unary};

/// Longest name of a variable that is shown after its number.
const MAX_SHOWN_NAME: usize = 20;
/// Most operands or groups of operands that stand beside each other in one chain of `&&` or `||`.
const CHAIN_GROUP: usize = 8;

/// The names that the variables have in rhai: numbered, so that no name clashes with a word of rhai.
pub(super) fn variable_names(names: &[Arc<str>]) -> Vec<String> {
    let shown = |name: &str| {
        name.len() <= MAX_SHOWN_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let name = |(index, name): (usize, &Arc<str>)| {
        if shown(name) {
            format!("v{index}_{name}")
        } else {
            format!("v{index}")
        }
    };
    names.iter().enumerate().map(name).collect()
}

/// The rhai of a condition.
pub(super) fn print(expr: &Expr, variables: &[String]) -> String {
    let mut printer = Printer {
        out: String::new(),
        variables,
    };
    printer.any(expr);
    printer.out
}

struct Printer<'v> {
    out: String,
    variables: &'v [String],
}

impl Printer<'_> {
    /// An expression whose result is a value or rhai's own boolean, whichever is nearer.
    fn any(&mut self, expr: &Expr) {
        if is_logical(&expr.kind) {
            self.logical(&expr.kind);
        } else {
            self.value(expr);
        }
    }

    /// An operand of `&&`, `||`, `!` or a condition.
    fn truth(&mut self, expr: &Expr) {
        self.out.push_str("truth(");
        self.any(expr);
        self.out.push(')');
    }

    fn logical(&mut self, kind: &Kind) {
        match kind {
            Kind::And(operands) => self.chain(operands, " && "),
            Kind::Or(operands) => self.chain(operands, " || "),
            Kind::Not(operand) => {
                self.out.push('!');
                self.truth(operand);
            }
            _ => {}
        }
    }

    /// Operands of one operator; long chains are grouped, since each operator of a chain counts as a level of rhai.
    fn chain(&mut self, operands: &[Expr], separator: &str) {
        let size = if operands.len() <= CHAIN_GROUP {
            1
        } else {
            operands.len().div_ceil(CHAIN_GROUP)
        };
        for (at, group) in operands.chunks(size).enumerate() {
            if at > 0 {
                self.out.push_str(separator);
            }
            match group {
                [operand] => self.truth(operand),
                more => {
                    self.out.push('(');
                    self.chain(more, separator);
                    self.out.push(')');
                }
            }
        }
    }

    /// An expression whose result is a value of ours.
    fn value(&mut self, expr: &Expr) {
        match &expr.kind {
            kind if is_logical(kind) => {
                self.out.push_str("bool(");
                self.logical(kind);
                self.out.push(')');
            }
            Kind::Null => self.out.push_str("nothing()"),
            Kind::Bool(bool) => self.call("bool", |printer| {
                printer.out.push_str(if *bool { "true" } else { "false" });
            }),
            Kind::Number(number) => self.number(number),
            Kind::Text(text) => self.call("text", |printer| printer.quote(text)),
            Kind::Template(pieces) => self.call("template", |printer| printer.array(pieces)),
            Kind::Variable(index) => {
                let name = self.variables.get(*index).map_or("", String::as_str);
                self.out.push_str(name);
            }
            Kind::List(items) => self.call("list", |printer| printer.array(items)),
            Kind::Map(entries) => {
                self.call("map", |printer| {
                    printer.array(entries.iter().flat_map(|(key, value)| [key, value]));
                });
            }
            Kind::Range { from, to, inclusive } => {
                self.call(if *inclusive { "range" } else { "range_before" }, |printer| {
                    printer.pair(from, to);
                });
            }
            Kind::Unary(unary, operand) => self.call(unary_name(*unary), |printer| printer.value(operand)),
            Kind::Binary(binary, left, right) => self.call(binary_name(*binary), |printer| printer.pair(left, right)),
            Kind::Conditional(condition, then, otherwise) => {
                self.out.push_str("if ");
                self.truth(condition);
                self.out.push_str(" { ");
                self.value(then);
                self.out.push_str(" } else { ");
                self.value(otherwise);
                self.out.push_str(" }");
            }
            Kind::Elvis(value, otherwise) => {
                self.out.push_str("(true_or_nothing(");
                self.value(value);
                self.out.push_str(") ?? ");
                self.value(otherwise);
                self.out.push(')');
            }
            Kind::Property { of, name, safe } => {
                self.call(if *safe { "safe_property" } else { "property" }, |printer| {
                    printer.value(of);
                    printer.out.push_str(", ");
                    printer.quote(name);
                });
            }
            Kind::Named { of, name, safe } => {
                self.call(if *safe { "safe_named" } else { "named" }, |printer| {
                    printer.pair(of, name);
                });
            }
            Kind::Index { of, at } => self.call("index", |printer| printer.pair(of, at)),
            Kind::Method {
                of,
                name,
                arguments,
                safe,
            } => {
                self.named_call(if *safe { "safe_method" } else { "method" }, name, Some(of), arguments);
            }
            Kind::Static { class, name, arguments } => {
                self.named_call("static_method", &format!("{}.{name}", class.name()), None, arguments);
            }
            Kind::Constant { class, name } => {
                self.call("constant", |printer| printer.quote(&format!("{}.{name}", class.name())));
            }
            Kind::InstanceOf(operand, class) => self.class_call("instance", operand, class.name()),
            Kind::As(operand, to) => self.class_call("convert", operand, to.name()),
            Kind::Cast(to, operand) => self.class_call("cast", operand, to.name()),
            Kind::Uncallable { name, arguments } => self.named_call("no_such_method", name, None, arguments),
            _ => {}
        }
    }

    fn number(&mut self, number: &Number) {
        match number {
            Number::Int(int) => self.call("int", |printer| printer.show(int)),
            Number::Long(long) => self.call("long", |printer| printer.show(format_args!("\"{long}\""))),
            Number::Big(big) => self.call("big", |printer| printer.show(format_args!("\"{big}\""))),
            Number::Decimal(decimal) => {
                let digits = format!("\"{}e{}\"", decimal.digits, -decimal.scale);
                self.call("decimal", |printer| printer.show(digits));
            }
            Number::Float(float) => self.call("float", |printer| printer.show(format_args!("\"{float:e}\""))),
            Number::Double(double) => self.call("double", |printer| printer.show(format_args!("\"{double:e}\""))),
        }
    }

    fn call(&mut self, function: &str, arguments: impl FnOnce(&mut Self)) {
        self.out.push_str(function);
        self.out.push('(');
        arguments(self);
        self.out.push(')');
    }

    fn named_call(&mut self, function: &str, name: &str, of: Option<&Expr>, arguments: &[Expr]) {
        self.call(function, |printer| {
            printer.quote(name);
            if let Some(of) = of {
                printer.out.push_str(", ");
                printer.value(of);
            }
            match arguments {
                [] => {}
                [one] => {
                    printer.out.push_str(", ");
                    printer.value(one);
                }
                more => {
                    printer.out.push_str(", ");
                    printer.array(more);
                }
            }
        });
    }

    fn class_call(&mut self, function: &str, operand: &Expr, class: &str) {
        self.call(function, |printer| {
            printer.value(operand);
            printer.out.push_str(", ");
            printer.quote(class);
        });
    }

    fn array<'e>(&mut self, items: impl IntoIterator<Item = &'e Expr>) {
        self.out.push('[');
        self.values(items);
        self.out.push(']');
    }

    fn values<'e>(&mut self, items: impl IntoIterator<Item = &'e Expr>) {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.out.push_str(", ");
            }
            self.value(item);
        }
    }

    /// Two operands in their order: rhai reads a variable that stands first only after what follows it.
    fn pair(&mut self, first: &Expr, second: &Expr) {
        let literal = matches!(
            second.kind,
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_)
        );
        if matches!(first.kind, Kind::Variable(_)) && !literal {
            self.call("read", |printer| printer.value(first));
        } else {
            self.value(first);
        }
        self.out.push_str(", ");
        self.value(second);
    }

    fn show(&mut self, value: impl std::fmt::Display) {
        // Writing to a string does not fail.
        let _ = write!(self.out, "{value}");
    }

    fn quote(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                    self.show(format_args!("\\U{:08x}", u32::from(c)));
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

fn is_logical(kind: &Kind) -> bool {
    matches!(kind, Kind::And(_) | Kind::Or(_) | Kind::Not(_))
}

/// The function behind an operator with one operand.
pub(super) fn unary_name(unary: Unary) -> &'static str {
    match unary {
        Unary::Minus => "minus",
        Unary::Plus => "plus",
        Unary::Complement => "complement",
    }
}

/// The function behind an operator with two operands.
pub(super) fn binary_name(binary: Binary) -> &'static str {
    match binary {
        Binary::Add => "add",
        Binary::Subtract => "subtract",
        Binary::Multiply => "multiply",
        Binary::Divide => "divide",
        Binary::Remainder => "remainder",
        Binary::Power => "power",
        Binary::ShiftLeft => "shift_left",
        Binary::ShiftRight => "shift_right",
        Binary::ShiftRightUnsigned => "shift_right_unsigned",
        Binary::BitAnd => "bit_and",
        Binary::BitOr => "bit_or",
        Binary::BitXor => "bit_xor",
        Binary::Equal => "equal",
        Binary::Unequal => "unequal",
        Binary::Less => "less",
        Binary::LessOrEqual => "less_or_equal",
        Binary::Greater => "greater",
        Binary::GreaterOrEqual => "greater_or_equal",
        Binary::Compare => "compare",
        Binary::In => "contained",
    }
}
