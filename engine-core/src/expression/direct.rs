//! The plain conditions: comparisons of variables and constants, joined by `&&`, `||` and `!`. They are answered from the tree, with the
//! operators that rhai would call; everything else is rhai's.

use std::sync::Arc;

use super::item::Item;
use super::tree::{Binary, Expr, Kind};
use super::{ExpressionError, Variables, operator};

/// Parts that a plain condition has at most; a longer one counts its steps in rhai.
const MAX_PARTS: usize = 64;

/// A condition that needs no rhai.
#[derive(Debug)]
pub(super) enum Direct {
    Comparison(Binary, Operand, Operand),
    /// Something that stands for its truth.
    Truth(Operand),
    Not(Box<Direct>),
    And(Vec<Direct>),
    Or(Vec<Direct>),
}

/// One side of a comparison.
#[derive(Debug)]
pub(super) enum Operand {
    /// The variable with this place in the list of names.
    Variable(usize),
    Constant(Item),
}

impl Direct {
    /// The tree of a condition, if it is plain.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        let mut left = MAX_PARTS;
        let direct = Self::part(expr, &mut left)?;
        // A value alone is no answer, unless it is a boolean.
        (!matches!(direct, Self::Truth(_))).then_some(direct)
    }

    fn part(expr: &Expr, left: &mut usize) -> Option<Self> {
        *left = left.checked_sub(1)?;
        match &expr.kind {
            Kind::Binary(
                binary @ (Binary::Equal
                | Binary::Unequal
                | Binary::Less
                | Binary::LessOrEqual
                | Binary::Greater
                | Binary::GreaterOrEqual),
                one,
                other,
            ) => Some(Self::Comparison(*binary, Operand::of(one)?, Operand::of(other)?)),
            Kind::And(of) => Self::parts(of, left).map(Self::And),
            Kind::Or(of) => Self::parts(of, left).map(Self::Or),
            Kind::Not(of) => Some(Self::Not(Box::new(Self::part(of, left)?))),
            _ => Operand::of(expr).map(Self::Truth),
        }
    }

    fn parts(of: &[Expr], left: &mut usize) -> Option<Vec<Self>> {
        of.iter().map(|part| Self::part(part, left)).collect()
    }

    /// The answer for these variables, whose names are `names`.
    pub(super) fn evaluate(&self, names: &[Arc<str>], variables: &dyn Variables) -> Result<bool, ExpressionError> {
        match self {
            Self::Comparison(binary, one, other) => {
                let (one, other) = (one.read(names, variables)?, other.read(names, variables)?);
                operator::binary(*binary, &one, &other).map(|answer| answer.is_true())
            }
            Self::Truth(operand) => Ok(operand.read(names, variables)?.is_true()),
            Self::Not(of) => of.evaluate(names, variables).map(|answer| !answer),
            Self::And(of) => {
                for part in of {
                    if !part.evaluate(names, variables)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Or(of) => {
                for part in of {
                    if part.evaluate(names, variables)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }
}

impl Operand {
    fn of(expr: &Expr) -> Option<Self> {
        Some(match &expr.kind {
            Kind::Variable(place) => Self::Variable(*place),
            Kind::Null => Self::Constant(Item::Null),
            Kind::Bool(bool) => Self::Constant(Item::Bool(*bool)),
            Kind::Number(number) => Self::Constant(Item::Number(number.clone())),
            Kind::Text(text) => Self::Constant(Item::Text(text.clone())),
            _ => return None,
        })
    }

    fn read(&self, names: &[Arc<str>], variables: &dyn Variables) -> Result<Item, ExpressionError> {
        match self {
            Self::Constant(item) => Ok(item.clone()),
            Self::Variable(place) => {
                let name = names.get(*place).map_or("", |name| name);
                let value = variables.get(name);
                value
                    .map(Item::from)
                    .ok_or_else(|| ExpressionError::Missing { name: name.to_owned() })
            }
        }
    }
}
