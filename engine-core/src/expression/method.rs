//! The methods a condition may call on a value that is no text; text has its own file.

use std::cmp::Ordering;
use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

use super::decimal::Decimal;
use super::item::{Item, List, ListKind, Map, Steps, check_items, check_text, huge};
use super::number::{Arithmetic, Number, compare_doubles, saturating_i64};
use super::operator::{self, sign, whole};
use super::tree::{Binary, Unary};
use super::{ExpressionError, text_method};

pub(super) type Answer = Result<Item, ExpressionError>;

/// `of.name(arguments)`.
pub(super) fn call(of: &Item, name: &str, arguments: &[Item]) -> Answer {
    match of {
        Item::Null => null_method(name, arguments),
        Item::Text(text) => text_method::call(of, text, name, arguments),
        Item::Template(text) => template_method(of, text, name, arguments),
        Item::Number(number) => number_method(of, number, name, arguments),
        Item::List(list) => list_method(of, list, name, arguments),
        Item::Map(map) => map_method(of, map, name, arguments),
        Item::Bool(bool) => bool_method(of, *bool, name, arguments),
        Item::Char(unit) => char_method(of, *unit, name, arguments),
        Item::Huge(text) => match (name, arguments) {
            ("toString", []) => Ok(Item::Text(Arc::clone(text))),
            _ => Err(huge(text)),
        },
    }
}

/// The error of the reference for a name or arguments it does not know.
pub(super) fn no_method(of: &Item, name: &str, arguments: &[Item]) -> ExpressionError {
    let kinds: Vec<&str> = arguments.iter().map(Item::class).collect();
    ExpressionError::evaluation(format!(
        "a {} has no method {name}({}); see docs/condition-language.md for those it has",
        of.class(),
        kinds.join(", ")
    ))
}

fn null_method(name: &str, arguments: &[Item]) -> Answer {
    match (name, arguments) {
        ("equals" | "is", [other]) => Ok(Item::Bool(matches!(other, Item::Null))),
        ("toString", []) => Ok(Item::text("null")),
        ("asBoolean", []) => Ok(Item::Bool(false)),
        ("plus", [Item::Text(text)]) => Ok(Item::text(format!("null{text}"))),
        _ => Err(ExpressionError::evaluation(format!(
            "null has no method `{name}`; write `?.{name}(…)` or test for null first"
        ))),
    }
}

/// Methods that every value has.
pub(super) fn common_method(of: &Item, name: &str, arguments: &[Item]) -> Answer {
    match (name, arguments) {
        ("equals", [other]) => of.is_same(other, &mut Steps::new()).map(Item::Bool),
        ("toString", []) => {
            of.refuse_range()?;
            of.format().map(Item::Text)
        }
        ("asBoolean", []) => Ok(Item::Bool(of.is_true())),
        ("getAt", [name]) if name.as_text().is_some() => operator::index(of, name),
        ("isCase", [item]) => operator::binary(Binary::In, item, of),
        _ => Err(no_method(of, name, arguments)),
    }
}

fn template_method(of: &Item, text: &Arc<str>, name: &str, arguments: &[Item]) -> Answer {
    match (name, arguments) {
        ("equals", [other]) => of.is_same(other, &mut Steps::new()).map(Item::Bool),
        ("plus", [other]) => operator::binary(Binary::Add, of, other),
        _ => text_method::call(of, text, name, arguments),
    }
}

fn bool_method(of: &Item, bool: bool, name: &str, arguments: &[Item]) -> Answer {
    match (name, arguments) {
        ("compareTo", [Item::Bool(other)]) => Ok(Item::int(sign(bool.cmp(other)))),
        ("booleanValue", []) => Ok(Item::Bool(bool)),
        ("and", [other @ Item::Bool(_)]) => operator::binary(Binary::BitAnd, of, other),
        ("or", [other @ Item::Bool(_)]) => operator::binary(Binary::BitOr, of, other),
        ("xor", [other @ Item::Bool(_)]) => operator::binary(Binary::BitXor, of, other),
        _ => common_method(of, name, arguments),
    }
}

fn char_method(of: &Item, unit: u16, name: &str, arguments: &[Item]) -> Answer {
    let c = char::from_u32(unit.into()).unwrap_or(char::REPLACEMENT_CHARACTER);
    match (name, arguments) {
        ("compareTo", [Item::Char(other)]) => Ok(Item::int(i32::from(unit) - i32::from(*other))),
        ("compareTo", [Item::Number(_)]) => of.compare(first(arguments)).map(|order| Item::int(sign(order))),
        ("charValue", []) => Ok(of.clone()),
        ("isDigit", []) => Ok(Item::Bool(c.is_numeric())),
        ("isLetter", []) => Ok(Item::Bool(c.is_alphabetic())),
        ("isLetterOrDigit", []) => Ok(Item::Bool(c.is_alphanumeric())),
        ("isUpperCase", []) => Ok(Item::Bool(c.is_uppercase())),
        ("isLowerCase", []) => Ok(Item::Bool(c.is_lowercase())),
        ("isWhitespace", []) => Ok(Item::Bool(c.is_whitespace())),
        _ => common_method(of, name, arguments),
    }
}

fn first(arguments: &[Item]) -> &Item {
    arguments.first().unwrap_or(&Item::Null)
}

fn number_method(of: &Item, number: &Number, name: &str, arguments: &[Item]) -> Answer {
    let binary = |operator| operator::binary(operator, of, first(arguments));
    match (name, arguments) {
        ("intValue" | "toInteger", []) => Ok(Item::int(number.to_i32())),
        ("longValue" | "toLong", []) => Ok(Number::Long(number.to_i64()).into()),
        ("doubleValue" | "toDouble", []) => Ok(Number::Double(number.to_double()).into()),
        ("floatValue" | "toFloat", []) => Ok(Number::Float(number.to_float()).into()),
        ("toBigDecimal", []) => number.to_decimal().map(|decimal| Number::Decimal(decimal).into()),
        ("toBigInteger", []) => number.to_big().map(|big| Number::Big(big).into()),
        ("compareTo", [Item::Number(_) | Item::Char(_)]) => {
            of.compare(first(arguments)).map(|order| Item::int(sign(order)))
        }
        ("plus", [Item::Number(_) | Item::Text(_)]) => binary(Binary::Add),
        ("minus", [Item::Number(_)]) => binary(Binary::Subtract),
        ("multiply", [Item::Number(_)]) => binary(Binary::Multiply),
        ("div", [Item::Number(_)]) => binary(Binary::Divide),
        ("mod", [Item::Number(_)]) => binary(Binary::Remainder),
        ("power", [Item::Number(_)]) => binary(Binary::Power),
        ("leftShift", [Item::Number(_)]) => binary(Binary::ShiftLeft),
        ("rightShift", [Item::Number(_)]) => binary(Binary::ShiftRight),
        ("and", [Item::Number(_)]) => binary(Binary::BitAnd),
        ("or", [Item::Number(_)]) => binary(Binary::BitOr),
        ("xor", [Item::Number(_)]) => binary(Binary::BitXor),
        ("intdiv", [Item::Number(_)]) => operator::arithmetic(Arithmetic::Quotient, "intdiv", of, first(arguments)),
        ("unaryMinus", []) if matches!(number, Number::Float(_)) => Ok(Number::Double(-number.to_double()).into()),
        ("unaryMinus", []) => operator::unary(Unary::Minus, of),
        ("abs", []) => Ok(number.abs().into()),
        _ => match number {
            Number::Decimal(decimal) => decimal_method(of, decimal, name, arguments),
            Number::Big(big) => big_method(of, big, name, arguments),
            Number::Float(_) | Number::Double(_) => floating_method(of, number, name, arguments),
            Number::Int(_) | Number::Long(_) => common_method(of, name, arguments),
        },
    }
}

fn decimal_method(of: &Item, decimal: &Decimal, name: &str, arguments: &[Item]) -> Answer {
    let wrap = |decimal| Ok(Number::Decimal(decimal).into());
    // These take every number that is exact.
    if let (
        "add" | "subtract" | "max" | "min",
        [Item::Number(other @ (Number::Int(_) | Number::Long(_) | Number::Big(_)))],
    ) = (name, arguments)
    {
        return decimal_method(of, decimal, name, &[Number::Decimal(other.to_decimal()?).into()]);
    }
    match (name, arguments) {
        ("scale", []) => Ok(Number::from_i64(decimal.scale).into()),
        ("precision", []) => Ok(Number::from_i64(i64::try_from(decimal.precision()).unwrap_or(i64::MAX)).into()),
        ("signum", []) => Ok(Item::int(decimal.digits.signum().to_i32().unwrap_or(0))),
        ("negate", []) => wrap(decimal.negated()),
        ("toPlainString", []) => Ok(Item::text(decimal.plain())),
        ("unscaledValue", []) => Ok(Number::Big(decimal.digits.clone()).into()),
        ("stripTrailingZeros", []) => wrap(stripped(decimal)),
        ("add", [Item::Number(Number::Decimal(other))]) => decimal.add(other).and_then(wrap),
        ("subtract", [Item::Number(Number::Decimal(other))]) => decimal.subtract(other).and_then(wrap),
        ("multiply", [Item::Number(Number::Decimal(other))]) => decimal.multiply(other).and_then(wrap),
        ("max", [Item::Number(Number::Decimal(other))]) => {
            wrap(if decimal.compare(other).is_lt() { other } else { decimal }.clone())
        }
        ("min", [Item::Number(Number::Decimal(other))]) => {
            wrap(if decimal.compare(other).is_gt() { other } else { decimal }.clone())
        }
        ("setScale", [Item::Number(Number::Int(scale))]) => {
            let scale = i64::from(*scale);
            // The limit on digits comes first: padding to a large scale would make them.
            Decimal::new(BigInt::zero(), scale)?;
            let rescaled = Decimal::new(decimal.with_scale(scale).digits, scale)?;
            if rescaled.compare(decimal).is_ne() {
                return Err(ExpressionError::evaluation(format!(
                    "{decimal} does not fit {scale} decimal places without rounding"
                )));
            }
            wrap(rescaled)
        }
        _ => common_method(of, name, arguments),
    }
}

fn stripped(decimal: &Decimal) -> Decimal {
    if decimal.digits.is_zero() {
        return Decimal {
            digits: BigInt::zero(),
            scale: 0,
        };
    }
    let mut stripped = decimal.clone();
    while (&stripped.digits % 10_u32).is_zero() {
        stripped.digits /= 10_u32;
        stripped.scale -= 1;
    }
    stripped
}

fn big_method(of: &Item, big: &BigInt, name: &str, arguments: &[Item]) -> Answer {
    match (name, arguments) {
        ("signum", []) => Ok(Item::int(big.signum().to_i32().unwrap_or(0))),
        ("negate", []) => Ok(Number::Big(-big).into()),
        ("add", [Item::Number(Number::Big(_))]) => operator::binary(Binary::Add, of, first(arguments)),
        ("subtract", [Item::Number(Number::Big(_))]) => operator::binary(Binary::Subtract, of, first(arguments)),
        _ => common_method(of, name, arguments),
    }
}

fn floating_method(of: &Item, number: &Number, name: &str, arguments: &[Item]) -> Answer {
    let double = number.to_double();
    match (name, arguments) {
        ("isNaN", []) => Ok(Item::Bool(double.is_nan())),
        ("isInfinite", []) => Ok(Item::Bool(double.is_infinite())),
        ("round", []) => Ok(match number {
            Number::Float(_) => Item::int(Number::Double((double + 0.5).floor()).to_i32()),
            _ => Number::Long(round(double)).into(),
        }),
        _ => common_method(of, name, arguments),
    }
}

/// Java's rounding: half up, towards positive infinity.
pub(super) fn round(double: f64) -> i64 {
    let floor = double.floor();
    let up = compare_doubles(double - floor, 0.5) != Ordering::Less;
    saturating_i64(if up { floor + 1.0 } else { floor })
}

fn list_method(of: &Item, list: &List, name: &str, arguments: &[Item]) -> Answer {
    let steps = &mut Steps::new();
    let array = list.kind == ListKind::Array;
    let plain = list.kind == ListKind::List;
    match (name, arguments) {
        ("size", []) => Ok(Item::count(list.len())),
        ("isEmpty", []) if !array => Ok(Item::Bool(list.len() == 0)),
        ("contains", [item]) => list.contains(item, steps).map(Item::Bool),
        ("get", [Item::Number(at)]) if plain => element(list, at, of, arguments),
        ("getAt", [at]) => operator::index(of, at),
        ("first" | "head", []) => edge(list, list.get(0), name),
        ("last", []) => edge(list, list.len().checked_sub(1).and_then(|at| list.get(at)), name),
        ("indexOf", [item]) if plain => list.position(item, steps).map(position),
        ("lastIndexOf", [item]) if plain => {
            let mut found = None;
            for (at, element) in list.iter().enumerate() {
                if element.is_same(item, steps)? {
                    found = Some(at);
                }
            }
            Ok(position(found))
        }
        ("containsAll", [Item::List(others)]) if !array => {
            for other in others.iter() {
                if !list.contains(&other, steps)? {
                    return Ok(Item::Bool(false));
                }
            }
            Ok(Item::Bool(true))
        }
        ("disjoint", [Item::List(others)]) => {
            for other in others.iter() {
                if list.contains(&other, steps)? {
                    return Ok(Item::Bool(false));
                }
            }
            Ok(Item::Bool(true))
        }
        ("count", [item]) => {
            let mut count = 0;
            for element in list.iter() {
                count += usize::from(element.equals(item, steps)?);
            }
            Ok(Item::count(count))
        }
        ("sum", []) => {
            let items = list.to_vec()?;
            let mut items = items.iter();
            let Some(start) = items.next().cloned() else {
                return Ok(Item::Null);
            };
            items.try_fold(start, |sum, item| operator::binary(Binary::Add, &sum, item))
        }
        ("max", []) => extreme(list, Ordering::Greater),
        ("min", []) => extreme(list, Ordering::Less),
        ("join", []) => join(list, &Item::text("")),
        ("join", [separator]) if separator.as_text().is_some() => join(list, separator),
        ("plus", [other]) => operator::binary(Binary::Add, of, other),
        ("minus", [other]) => operator::binary(Binary::Subtract, of, other),
        ("reverse", []) if plain || array => {
            let mut items = list.to_vec()?;
            items.reverse();
            Ok(Item::List(List::with_kind(list.kind, items)))
        }
        ("unique", []) if plain && !list.is_range() => {
            let mut items: Vec<Item> = Vec::new();
            'items: for item in list.to_vec()? {
                for known in &items {
                    if known.equals(&item, steps)? {
                        continue 'items;
                    }
                }
                items.push(item);
            }
            Ok(Item::List(List::of(items)))
        }
        ("toList", []) => list.to_vec().map(|items| Item::List(List::of(items))),
        ("equals", [Item::List(_)]) => of.equals(first(arguments), steps).map(Item::Bool),
        _ => common_method(of, name, arguments),
    }
}

fn element(list: &List, at: &Number, of: &Item, arguments: &[Item]) -> Answer {
    let at = whole(at).ok_or_else(|| no_method(of, "get", arguments))?;
    usize::try_from(at).ok().and_then(|at| list.get(at)).ok_or_else(|| {
        ExpressionError::evaluation(format!(
            "get({at}) is outside a list of {}; write [{at}] to get null",
            list.len()
        ))
    })
}

fn edge(list: &List, item: Option<Item>, name: &str) -> Answer {
    item.ok_or_else(|| {
        ExpressionError::evaluation(format!(
            "{name}() has nothing to take from a list of {}; test isEmpty() first",
            list.len()
        ))
    })
}

fn position(at: Option<usize>) -> Item {
    at.map_or(Item::int(-1), Item::count)
}

fn extreme(list: &List, wanted: Ordering) -> Answer {
    let mut best = Item::Null;
    for item in list.to_vec()? {
        // The reference leaves nulls out.
        if matches!(best, Item::Null) || (!matches!(item, Item::Null) && item.compare(&best)? == wanted) {
            best = item;
        }
    }
    Ok(best)
}

fn join(list: &List, separator: &Item) -> Answer {
    let separator = separator.format()?;
    let mut text = String::new();
    for (at, item) in list.iter().enumerate() {
        if at > 0 {
            text.push_str(&separator);
        }
        text.push_str(&item.format()?);
        check_text(text.len())?;
    }
    Ok(Item::text(text))
}

fn map_method(of: &Item, map: &Map, name: &str, arguments: &[Item]) -> Answer {
    let steps = &mut Steps::new();
    match (name, arguments) {
        ("size", []) => Ok(Item::count(map.len())),
        ("isEmpty", []) => Ok(Item::Bool(map.len() == 0)),
        ("get" | "getAt", [key]) => Ok(map.get(key, steps)?.unwrap_or(Item::Null)),
        ("getOrDefault", [key, default]) => Ok(map.get(key, steps)?.unwrap_or_else(|| default.clone())),
        ("containsKey", [key]) => Ok(Item::Bool(map.get(key, steps)?.is_some())),
        ("containsValue", [item]) => {
            for (_, value) in map.entries() {
                if value.is_same(item, steps)? {
                    return Ok(Item::Bool(true));
                }
            }
            Ok(Item::Bool(false))
        }
        ("keySet", []) => {
            check_items(map.len())?;
            Ok(Item::List(List::with_kind(
                ListKind::Set,
                map.entries().map(|(key, _)| key).collect(),
            )))
        }
        ("values", []) => {
            check_items(map.len())?;
            Ok(Item::List(List::with_kind(
                ListKind::Values,
                map.entries().map(|(_, value)| value).collect(),
            )))
        }
        ("plus", [other @ Item::Map(_)]) => operator::binary(Binary::Add, of, other),
        ("equals", [Item::Map(_)]) => of.equals(first(arguments), steps).map(Item::Bool),
        _ => common_method(of, name, arguments),
    }
}
