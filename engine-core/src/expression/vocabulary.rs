//! What a condition speaks of: the variables and properties it reads and the constants it names. For searches over values;
//! what it means to the condition is told by evaluating it.

use std::sync::Arc;

use super::ExpressionError;
use super::dialect::{self, Parsed};
use super::number::Number;
use super::tree::{Expr, Kind, Unary};
use crate::value::Value;

/// The variables, properties and constants of a condition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    /// What is read: a variable's name and the properties from there on, in order of first appearance.
    pub paths: Vec<Vec<Arc<str>>>,
    /// The numbers and texts that are named, in order of appearance.
    pub constants: Vec<Value>,
    /// Which of them stand beside what is read: the place of the path, and the constant.
    pub beside: Vec<(usize, Value)>,
    /// What is read that stands beside something else that is read: the places of both paths.
    pub pairs: Vec<(usize, usize)>,
}

impl Vocabulary {
    /// What a condition of our language speaks of.
    ///
    /// # Errors
    /// As [`CompiledExpression::compile`](super::CompiledExpression::compile), for a text that is no condition.
    pub fn of(text: &str) -> Result<Self, ExpressionError> {
        let Parsed { expr, names } = dialect::parse(text)?;
        let mut vocabulary = Self::default();
        vocabulary.read(&expr, &names);
        Ok(vocabulary)
    }

    /// Depth is bounded by the parser: [`MAX_NESTING`](super::MAX_NESTING).
    fn read(&mut self, expr: &Expr, names: &[Arc<str>]) {
        if let Some(path) = path(expr, names) {
            if !self.paths.contains(&path) {
                self.paths.push(path);
            }
            return;
        }
        match &expr.kind {
            Kind::Number(number) => self.constants.extend(value(number, false)),
            Kind::Text(text) => self.constants.push(Value::Text(text.clone())),
            Kind::Unary(Unary::Minus, of) if matches!(of.kind, Kind::Number(_)) => {
                if let Kind::Number(number) = &of.kind {
                    self.constants.extend(value(number, true));
                }
            }
            Kind::Null | Kind::Bool(_) | Kind::Variable(_) | Kind::Constant { .. } => {}
            Kind::Template(parts) | Kind::List(parts) | Kind::And(parts) | Kind::Or(parts) => {
                self.read_all(parts.iter(), names);
            }
            Kind::Map(entries) => {
                self.read_all(entries.iter().flat_map(|(key, value)| [key, value]), names);
            }
            Kind::Range { from, to, .. } => self.read_all([&**from, &**to], names),
            Kind::Unary(_, of)
            | Kind::Not(of)
            | Kind::Property { of, .. }
            | Kind::InstanceOf(of, _)
            | Kind::As(of, _)
            | Kind::Cast(_, of) => self.read(of, names),
            Kind::Binary(_, left, right) => self.read_pair(left, [&**right], names),
            Kind::Elvis(left, right) => self.read_all([&**left, &**right], names),
            Kind::Conditional(condition, yes, no) => self.read_all([&**condition, &**yes, &**no], names),
            Kind::Named { of, name, .. } => self.read_all([&**of, &**name], names),
            Kind::Index { of, at } => self.read_all([&**of, &**at], names),
            Kind::Method { of, arguments, .. } => self.read_pair(of, arguments.iter(), names),
            Kind::Static { arguments, .. } | Kind::Uncallable { arguments, .. } => {
                self.read_all(arguments.iter(), names);
            }
        }
    }

    /// Two sides that stand together; where only one names constants, they belong to what the other reads.
    fn read_pair<'e>(&mut self, left: &Expr, right: impl IntoIterator<Item = &'e Expr>, names: &[Arc<str>]) {
        let begin = self.constants.len();
        self.read(left, names);
        let middle = self.constants.len();
        let right: Vec<&Expr> = right.into_iter().collect();
        self.read_all(right.iter().copied(), names);
        let end = self.constants.len();
        let place_of = |part: &Expr| {
            let path = path(part, names);
            path.and_then(|path| self.paths.iter().position(|known| *known == path))
        };
        let left_place = place_of(left);
        let beside_left = right.iter().filter_map(|part| Some((left_place?, place_of(part)?)));
        let pairs: Vec<(usize, usize)> = beside_left.filter(|(left, right)| left != right).collect();
        self.pairs.extend(pairs);
        let mut belong = |part: &Expr, from: usize, to: usize| {
            let path = path(part, names);
            let place = path.and_then(|path| self.paths.iter().position(|known| *known == path));
            if let Some(place) = place {
                let constants = self.constants.get(from..to).unwrap_or_default().iter();
                self.beside.extend(constants.map(|constant| (place, constant.clone())));
            }
        };
        belong(left, middle, end);
        if let [only] = right.as_slice() {
            belong(only, begin, middle);
        }
    }

    fn read_all<'e>(&mut self, parts: impl IntoIterator<Item = &'e Expr>, names: &[Arc<str>]) {
        parts.into_iter().for_each(|part| self.read(part, names));
    }
}

/// A constant, and what is just beside it: values at which a condition that names it may change.
pub fn around(constant: &Value) -> Vec<Value> {
    let mut values = vec![constant.clone()];
    match constant {
        Value::Int(int) => {
            values.extend(int.checked_add(1).map(Value::Int));
            values.extend(int.checked_sub(1).map(Value::Int));
        }
        Value::Decimal(decimal) => {
            for beside in [1i32, -1] {
                values.extend(Value::number(&(&**decimal + beside).to_plain_string()));
            }
        }
        Value::Text(text) => values.push(Value::Text(format!("{text}-").into())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {}
    }
    values
}

/// A variable, or a property of one, also where it is written as `of['name']`.
fn path(expr: &Expr, names: &[Arc<str>]) -> Option<Vec<Arc<str>>> {
    match &expr.kind {
        Kind::Variable(place) => names.get(*place).map(|name| vec![name.clone()]),
        Kind::Property { of, name, .. } => {
            let mut path = path(of, names)?;
            path.push(name.clone());
            Some(path)
        }
        Kind::Index { of, at } => {
            let Kind::Text(name) = &at.kind else { return None };
            let mut path = path(of, names)?;
            path.push(name.clone());
            Some(path)
        }
        _ => None,
    }
}

fn value(number: &Number, is_negative: bool) -> Option<Value> {
    let text = number.to_string();
    match text.strip_prefix('-') {
        Some(positive) if is_negative => Value::number(positive),
        None if is_negative => Value::number(&format!("-{text}")),
        _ => Value::number(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_constants_are_found_wherever_they_stand() {
        let text =
            "order.total > 100.5 && (who == 'li' || !who.startsWith(\"x${suffix}\")) && days in [1, -2] && who != null";
        let found = Vocabulary::of(text).expect("a condition");
        let paths: Vec<String> = found.paths.iter().map(|path| path.join(".")).collect();
        assert_eq!(paths, ["order.total", "who", "suffix", "days"]);
        let constants: Vec<String> = found
            .constants
            .iter()
            .map(|constant| serde_json::to_string(constant).expect("JSON"))
            .collect();
        assert_eq!(constants, ["100.5", "\"li\"", "\"x\"", "1", "-2"]);
        let beside: Vec<String> = found
            .beside
            .iter()
            .map(|(place, constant)| format!("{} {constant}", paths[*place]))
            .collect();
        assert_eq!(
            beside,
            ["order.total 100.5", "who \"li\"", "who \"x\"", "days 1", "days -2"]
        );
    }

    #[test]
    fn members_by_name_are_paths_however_they_are_written() {
        let found = Vocabulary::of("a.b == 1 && a['c d'].e > 2 && a[0] && a[f] && a?.g").expect("a condition");
        let paths: Vec<String> = found.paths.iter().map(|path| path.join("/")).collect();
        assert_eq!(paths, ["a/b", "a/c d/e", "a", "f", "a/g"]);
    }

    #[test]
    fn text_that_is_no_condition_is_refused() {
        assert!(matches!(Vocabulary::of("a >"), Err(ExpressionError::Syntax { .. })));
    }
}
