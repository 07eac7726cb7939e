//! The naive interpreter's own conditions: the small part of Groovy that recorded and generated flows use.
//!
//! Parses and evaluates; knows nothing of flows. What it does not know it calls [`Fault::Unsupported`] instead of
//! guessing.
//!
//! Source: docs/condition-language.md.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::scenario::Variables;

/// Why a condition has no boolean answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A variable that is not there was reached.
    Missing(String),
    /// The evaluation itself failed.
    Evaluation,
    /// The text does not parse.
    Syntax,
    /// The result is not a boolean.
    NotBoolean,
    /// Outside what this evaluator covers.
    Unsupported,
}

/// Evaluates a condition's text.
///
/// # Errors
/// Says why there is no boolean answer.
pub fn holds(text: &str, variables: &Variables) -> Result<bool, Fault> {
    let inner = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(text);
    let tokens = tokens(inner)?;
    let mut parser = Parser { tokens, at: 0 };
    let tree = parser.either()?;
    if parser.at != parser.tokens.len() {
        return Err(Fault::Syntax);
    }
    match evaluate(&tree, variables)? {
        Value::Bool(truth) => Ok(truth),
        _ => Err(Fault::NotBoolean),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Literal(Value),
    Sign(&'static str),
}

const SIGNS: [&str; 18] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "(", ")", ".", ",", "+", "-", "*", "/", "%",
];

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let end = rest[1..].find(first).ok_or(Fault::Syntax)?;
            let inner = &rest[1..=end];
            if inner.contains(['\\', '$']) {
                return Err(Fault::Unsupported);
            }
            tokens.push(Token::Literal(json!(inner)));
            rest = &rest[end + 2..];
        } else if first.is_ascii_digit() {
            let mut end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let fraction = rest[end..].strip_prefix('.').unwrap_or_default();
            if fraction.starts_with(|c: char| c.is_ascii_digit()) {
                end += 1 + fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            }
            tokens.push(Token::Literal(number(&rest[..end])?));
            rest = &rest[end..];
            rest = rest.strip_prefix('L').unwrap_or(rest);
            if rest.starts_with(|c: char| c.is_alphanumeric()) {
                return Err(Fault::Unsupported);
            }
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tokens.push(match &rest[..end] {
                "true" => Token::Literal(json!(true)),
                "false" => Token::Literal(json!(false)),
                "null" => Token::Literal(Value::Null),
                "in" | "instanceof" | "new" | "return" | "if" | "def" => return Err(Fault::Unsupported),
                name => Token::Name(name.to_owned()),
            });
            rest = &rest[end..];
        } else {
            if ["<=>", "<<", ">>", "**", "===", "!=="]
                .into_iter()
                .any(|sign| rest.starts_with(sign))
            {
                return Err(Fault::Unsupported);
            }
            let sign = SIGNS
                .into_iter()
                .find(|sign| rest.starts_with(sign))
                .ok_or(Fault::Unsupported)?;
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

fn number(text: &str) -> Result<Value, Fault> {
    if text.contains('.') {
        return text
            .parse::<f64>()
            .map(|number| json!(number))
            .map_err(|_| Fault::Unsupported);
    }
    text.parse::<i64>()
        .map(|number| json!(number))
        .map_err(|_| Fault::Unsupported)
}

#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Literal(Value),
    Name(String),
    Not(Box<Tree>),
    Minus(Box<Tree>),
    Both(Box<Tree>, Box<Tree>),
    Either(Box<Tree>, Box<Tree>),
    Operator(&'static str, Box<Tree>, Box<Tree>),
    Equals(Box<Tree>, Box<Tree>),
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn take(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        let Some(Token::Sign(sign)) = self.tokens.get(self.at) else {
            return None;
        };
        let found = signs.iter().find(|wanted| *wanted == sign)?;
        self.at += 1;
        Some(found)
    }

    fn either(&mut self) -> Result<Tree, Fault> {
        let mut left = self.both()?;
        while self.take(&["||"]).is_some() {
            left = Tree::Either(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Tree, Fault> {
        let mut left = self.operators(0)?;
        while self.take(&["&&"]).is_some() {
            left = Tree::Both(Box::new(left), Box::new(self.operators(0)?));
        }
        Ok(left)
    }

    fn operators(&mut self, level: usize) -> Result<Tree, Fault> {
        const LEVELS: [&[&str]; 4] = [&["==", "!="], &["<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];
        let Some(signs) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.operators(level + 1)?;
        while let Some(sign) = self.take(signs) {
            left = Tree::Operator(sign, Box::new(left), Box::new(self.operators(level + 1)?));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Tree, Fault> {
        if self.take(&["!"]).is_some() {
            return Ok(Tree::Not(Box::new(self.unary()?)));
        }
        if self.take(&["-"]).is_some() {
            return Ok(Tree::Minus(Box::new(self.unary()?)));
        }
        let mut tree = self.primary()?;
        while self.take(&["."]).is_some() {
            if self.tokens.get(self.at) != Some(&Token::Name("equals".into())) {
                return Err(Fault::Unsupported);
            }
            self.at += 1;
            self.take(&["("]).ok_or(Fault::Unsupported)?;
            let argument = self.either()?;
            self.take(&[")"]).ok_or(Fault::Syntax)?;
            tree = Tree::Equals(Box::new(tree), Box::new(argument));
        }
        Ok(tree)
    }

    fn primary(&mut self) -> Result<Tree, Fault> {
        if self.take(&["("]).is_some() {
            let tree = self.either()?;
            self.take(&[")"]).ok_or(Fault::Syntax)?;
            return Ok(tree);
        }
        let token = self.tokens.get(self.at).cloned().ok_or(Fault::Syntax)?;
        self.at += 1;
        match token {
            Token::Literal(value) => Ok(Tree::Literal(value)),
            Token::Name(_) if matches!(self.tokens.get(self.at), Some(Token::Sign("("))) => Err(Fault::Unsupported),
            Token::Name(name) => Ok(Tree::Name(name)),
            Token::Sign(_) => Err(Fault::Syntax),
        }
    }
}

fn evaluate(tree: &Tree, variables: &Variables) -> Result<Value, Fault> {
    Ok(match tree {
        Tree::Literal(value) => value.clone(),
        Tree::Name(name) => variables
            .get(name)
            .cloned()
            .ok_or_else(|| Fault::Missing(name.clone()))?,
        Tree::Not(inner) => json!(!truth(&evaluate(inner, variables)?)),
        Tree::Minus(inner) => match evaluate(inner, variables)? {
            Value::Number(number) => match number.as_i64() {
                Some(whole) => json!(whole.checked_neg().ok_or(Fault::Unsupported)?),
                None => json!(-number.as_f64().ok_or(Fault::Unsupported)?),
            },
            _ => return Err(Fault::Evaluation),
        },
        Tree::Both(left, right) => {
            json!(truth(&evaluate(left, variables)?) && truth(&evaluate(right, variables)?))
        }
        Tree::Either(left, right) => {
            json!(truth(&evaluate(left, variables)?) || truth(&evaluate(right, variables)?))
        }
        Tree::Equals(left, right) => {
            let (left, right) = (evaluate(left, variables)?, evaluate(right, variables)?);
            match (&left, &right) {
                // Groovy's null is an object that equals null only.
                (Value::Null, other) => json!(other.is_null()),
                // A Java decimal's equals compares scales, which a binary double does not know.
                (Value::Number(left), Value::Number(right)) if left.is_f64() || right.is_f64() => {
                    return Err(Fault::Unsupported);
                }
                _ => json!(left == right),
            }
        }
        Tree::Operator(sign, left, right) => operate(sign, &evaluate(left, variables)?, &evaluate(right, variables)?)?,
    })
}

/// Groovy truth.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

fn operate(sign: &str, left: &Value, right: &Value) -> Result<Value, Fault> {
    match sign {
        "==" => Ok(json!(equal(left, right))),
        "!=" => Ok(json!(!equal(left, right))),
        "<" => Ok(json!(compare(left, right)? == Ordering::Less)),
        ">" => Ok(json!(compare(left, right)? == Ordering::Greater)),
        "<=" => Ok(json!(compare(left, right)? != Ordering::Greater)),
        ">=" => Ok(json!(compare(left, right)? != Ordering::Less)),
        _ => arithmetic(sign, left, right),
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => crate::scenario::same(left, right),
        _ => left == right,
    }
}

fn compare(left: &Value, right: &Value) -> Result<Ordering, Fault> {
    match (left, right) {
        (Value::Null, Value::Null) => Ok(Ordering::Equal),
        (Value::Null, _) => Ok(Ordering::Less),
        (_, Value::Null) => Ok(Ordering::Greater),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Ok(left.cmp(&right)),
            _ => left.as_f64().partial_cmp(&right.as_f64()).ok_or(Fault::Evaluation),
        },
        (Value::String(left), Value::String(right)) => Ok(left.encode_utf16().cmp(right.encode_utf16())),
        (Value::Bool(left), Value::Bool(right)) => Ok(left.cmp(right)),
        (Value::Number(_), Value::String(_)) | (Value::String(_), Value::Number(_)) => Err(Fault::Evaluation),
        _ => Err(Fault::Unsupported),
    }
}

fn arithmetic(sign: &str, left: &Value, right: &Value) -> Result<Value, Fault> {
    if let (Value::String(left), "+", Value::String(right)) = (left, sign, right) {
        return Ok(json!(format!("{left}{right}")));
    }
    if left.is_null() || right.is_null() {
        return Err(Fault::Evaluation);
    }
    let (Value::Number(left), Value::Number(right)) = (left, right) else {
        return Err(Fault::Unsupported);
    };
    let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) else {
        return Err(Fault::Unsupported);
    };
    let whole = match sign {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        "/" | "%" if right == 0 => return Err(Fault::Evaluation),
        "%" => left.checked_rem(right),
        // A quotient is a decimal in Groovy; only whole ones are in reach here.
        "/" if left % right == 0 => left.checked_div(right),
        _ => None,
    };
    whole.map(|whole| json!(whole)).ok_or(Fault::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let text = r#"{"a":5,"s":"123","b":true,"nul":null,"d":1.5}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn conditions_answer_as_the_specification_lists() {
        let expected = [
            ("s=='123'", Ok(true)),
            (r#"s.equals("123")"#, Ok(true)),
            ("s==123", Ok(false)),
            (r#"a=="5""#, Ok(false)),
            ("a==5.0", Ok(true)),
            ("d==1.5", Ok(true)),
            ("a%2==1", Ok(true)),
            ("nul==null", Ok(true)),
            ("!nul", Ok(true)),
            ("b", Ok(true)),
            ("!b", Ok(false)),
            ("nul>1", Ok(false)),
            ("s>'1' && s<'9'", Ok(true)),
            ("a>1 || missing", Ok(true)),
            ("missing==1", Err(Fault::Missing("missing".into()))),
            ("a>1 && missing", Err(Fault::Missing("missing".into()))),
            ("a", Err(Fault::NotBoolean)),
            ("null", Err(Fault::NotBoolean)),
            ("''", Err(Fault::NotBoolean)),
            ("1/0>1", Err(Fault::Evaluation)),
            ("nul.equals(1)", Ok(false)),
            ("${(a>=5)}", Ok(true)),
            ("(a - 3) * 2 >= 4", Ok(true)),
            ("a >", Err(Fault::Syntax)),
        ];
        for (text, expected) in expected {
            assert_eq!(holds(text, &variables()), expected, "{text}");
        }
    }
}
