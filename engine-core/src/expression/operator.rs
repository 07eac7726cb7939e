//! The operators of conditions on values; every function here is one operator of the printed rhai.

use std::cmp::Ordering;
use std::sync::Arc;

use num_traits::ToPrimitive;

use super::ExpressionError;
use super::item::{Item, List, ListKind, Map, Steps, check_items, check_text, huge, unit_number};
use super::number::{Arithmetic, Number, Shift};
use super::tree::{Binary, Class, Unary};

type Answer = Result<Item, ExpressionError>;

pub(super) fn unary(operator: Unary, operand: &Item) -> Answer {
    match (operator, operand) {
        (_, Item::Huge(text)) => Err(huge(text)),
        (Unary::Minus, Item::Number(number)) => Ok(number.negated().into()),
        (Unary::Plus, Item::Number(number)) => Ok(number.clone().into()),
        (Unary::Complement, Item::Number(number)) => number.complement().map(Item::Number),
        (Unary::Minus | Unary::Plus | Unary::Complement, Item::List(list))
            if list.kind == ListKind::List && !list.is_range() =>
        {
            let items: Result<Vec<Item>, _> = list.to_vec()?.iter().map(|item| unary(operator, item)).collect();
            items.map(|items| Item::List(List::of(items)))
        }
        (_, Item::Null) => Err(null_reference(unary_sign(operator))),
        _ => Err(no_operator(unary_sign(operator), operand, None)),
    }
}

fn unary_sign(operator: Unary) -> &'static str {
    match operator {
        Unary::Minus => "-",
        Unary::Plus => "+",
        Unary::Complement => "~",
    }
}

pub(super) fn binary(operator: Binary, left: &Item, right: &Item) -> Answer {
    match operator {
        Binary::Equal => left.equals(right, &mut Steps::new()).map(Item::Bool),
        Binary::Unequal => left.equals(right, &mut Steps::new()).map(|equal| Item::Bool(!equal)),
        Binary::Less => holds(left, right, Ordering::is_lt),
        Binary::LessOrEqual => holds(left, right, Ordering::is_le),
        Binary::Greater => holds(left, right, Ordering::is_gt),
        Binary::GreaterOrEqual => holds(left, right, Ordering::is_ge),
        Binary::Compare => left.compare(right).map(|order| Item::int(sign(order))),
        Binary::In => is_in(left, right).map(Item::Bool),
        Binary::Add => add(left, right),
        Binary::Subtract => subtract(left, right),
        Binary::Multiply => multiply(left, right),
        Binary::Divide => arithmetic(Arithmetic::Divide, "/", left, right),
        Binary::Remainder => arithmetic(Arithmetic::Remainder, "%", left, right),
        Binary::Power => {
            let (base, exponent) = numbers("**", left, right)?;
            base.power(&exponent).map(Item::Number)
        }
        Binary::ShiftLeft => shift(Shift::Left, "<<", left, right),
        Binary::ShiftRight => shift(Shift::Right, ">>", left, right),
        Binary::ShiftRightUnsigned => shift(Shift::RightUnsigned, ">>>", left, right),
        Binary::BitAnd => bits(Arithmetic::And, "&", left, right),
        Binary::BitOr => bits(Arithmetic::Or, "|", left, right),
        Binary::BitXor => bits(Arithmetic::Xor, "^", left, right),
    }
}

/// Whether an order holds between two values; two doubles are ordered as the machine does.
fn holds(left: &Item, right: &Item, order: fn(Ordering) -> bool) -> Answer {
    if let (Item::Number(Number::Double(left)), Item::Number(Number::Double(right))) = (left, right) {
        return Ok(Item::Bool(left.partial_cmp(right).is_some_and(order)));
    }
    left.compare(right).map(|found| Item::Bool(order(found)))
}

pub(super) fn sign(order: Ordering) -> i32 {
    match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

fn numbers(operator: &str, left: &Item, right: &Item) -> Result<(Number, Number), ExpressionError> {
    match (left, right) {
        (Item::Number(left), Item::Number(right)) => Ok((left.clone(), right.clone())),
        (Item::Huge(text), _) | (_, Item::Huge(text)) => Err(huge(text)),
        (Item::Null, _) => Err(null_reference(operator)),
        _ => Err(no_operator(operator, left, Some(right))),
    }
}

pub(super) fn arithmetic(operation: Arithmetic, operator: &str, left: &Item, right: &Item) -> Answer {
    let of_characters = !matches!(
        operation,
        Arithmetic::Remainder | Arithmetic::Quotient | Arithmetic::And | Arithmetic::Or | Arithmetic::Xor
    );
    if of_characters && let Some((left, right)) = characters(left, right) {
        return left.compute(operation, &right).map(Item::Number);
    }
    let (left, right) = numbers(operator, left, right)?;
    left.compute(operation, &right).map(Item::Number)
}

/// A character counts as its code beside a number or another one.
fn characters(left: &Item, right: &Item) -> Option<(Number, Number)> {
    match (left, right) {
        (Item::Char(left), Item::Char(right)) => Some((unit_number(*left), unit_number(*right))),
        (Item::Char(left), Item::Number(right)) => Some((unit_number(*left), right.clone())),
        (Item::Number(left), Item::Char(right)) => Some((left.clone(), unit_number(*right))),
        _ => None,
    }
}

fn shift(shift: Shift, operator: &str, left: &Item, right: &Item) -> Answer {
    let (left, right) = numbers(operator, left, right)?;
    left.shift(shift, &right).map(Item::Number)
}

fn bits(operation: Arithmetic, operator: &str, left: &Item, right: &Item) -> Answer {
    match (left, right) {
        // The right operand is looked at only where it decides.
        (Item::Bool(false), Item::Null) if operation == Arithmetic::And => Ok(Item::Bool(false)),
        (Item::Bool(true), Item::Null) if operation == Arithmetic::Or => Ok(Item::Bool(true)),
        (Item::Bool(_), Item::Null) => Err(null_reference(operator)),
        (Item::Bool(left), Item::Bool(right)) => Ok(Item::Bool(match operation {
            Arithmetic::And => *left && *right,
            Arithmetic::Or => *left || *right,
            _ => left != right,
        })),
        _ => arithmetic(operation, operator, left, right),
    }
}

fn add(left: &Item, right: &Item) -> Answer {
    match (left, right) {
        (Item::Template(_), Item::Text(_) | Item::Template(_)) => concatenate(left, right).map(Item::Template),
        (Item::Text(_) | Item::Template(_), _)
        | (Item::Number(_) | Item::Huge(_) | Item::Null, Item::Text(_) | Item::Template(_)) => {
            concatenate(left, right).map(Item::Text)
        }
        (Item::List(first), Item::List(second)) if second.kind != ListKind::Array || first.kind == ListKind::Array => {
            check_items(first.len().saturating_add(second.len()))?;
            let mut items = first.to_vec()?;
            let mut steps = Steps::new();
            for item in second.iter() {
                if first.kind != ListKind::Set || !first.contains(&item, &mut steps)? {
                    items.push(item);
                }
            }
            Ok(Item::List(List::with_kind(made_from(first.kind), items)))
        }
        (Item::List(first), _) => {
            check_items(first.len().saturating_add(1))?;
            let mut items = first.to_vec()?;
            if first.kind != ListKind::Set || !first.contains(right, &mut Steps::new())? {
                items.push(right.clone());
            }
            Ok(Item::List(List::with_kind(made_from(first.kind), items)))
        }
        (Item::Map(first), Item::Map(second)) => {
            check_items(first.len().saturating_add(second.len()))?;
            Map::of(first.entries().chain(second.entries())).map(Item::Map)
        }
        _ => arithmetic(Arithmetic::Add, "+", left, right),
    }
}

/// What `+` and `-` make of a kind of list.
fn made_from(kind: ListKind) -> ListKind {
    if kind == ListKind::Values { ListKind::List } else { kind }
}

fn concatenate(left: &Item, right: &Item) -> Result<Arc<str>, ExpressionError> {
    let (left, right) = (left.format()?, right.format()?);
    check_text(left.len().saturating_add(right.len()))?;
    Ok([&*left, &*right].concat().into())
}

fn subtract(left: &Item, right: &Item) -> Answer {
    match (left, right) {
        (Item::Text(text) | Item::Template(text), _) => {
            let part = right.format()?;
            Ok(Item::text(text.replacen(&*part, "", 1)))
        }
        (Item::List(first), _) => {
            let removed = match right {
                Item::List(second) => second.to_vec()?,
                other => vec![other.clone()],
            };
            let mut steps = Steps::new();
            let mut items = Vec::new();
            'items: for item in first.to_vec()? {
                for other in &removed {
                    if item.equals(other, &mut steps)? {
                        continue 'items;
                    }
                }
                items.push(item);
            }
            Ok(Item::List(List::with_kind(made_from(first.kind), items)))
        }
        (Item::Map(first), Item::Map(second)) => {
            let mut steps = Steps::new();
            let mut entries = Vec::new();
            for (key, value) in first.entries() {
                let removed = second
                    .get(&key, &mut steps)?
                    .map_or(Ok(false), |other| value.equals(&other, &mut steps))?;
                if !removed {
                    check_items(entries.len())?;
                    entries.push((key, value));
                }
            }
            Map::of(entries).map(Item::Map)
        }
        _ => arithmetic(Arithmetic::Subtract, "-", left, right),
    }
}

fn multiply(left: &Item, right: &Item) -> Answer {
    let (Item::Text(_) | Item::Template(_) | Item::List(_), Item::Number(times)) = (left, right) else {
        return arithmetic(Arithmetic::Multiply, "*", left, right);
    };
    let Ok(times) = usize::try_from(times.to_i32()) else {
        return Err(ExpressionError::evaluation(
            "text and lists cannot be repeated a negative number of times",
        ));
    };
    if let Item::List(list) = left {
        if list.kind == ListKind::Array {
            return Err(no_operator("*", left, Some(right)));
        }
        check_items(list.len().saturating_mul(times))?;
        let items = list.to_vec()?;
        let times = if list.kind == ListKind::Set {
            times.min(1)
        } else {
            times
        };
        let repeated = (0..times).flat_map(|_| items.iter().cloned()).collect();
        return Ok(Item::List(List::with_kind(made_from(list.kind), repeated)));
    }
    let text = left.format()?;
    check_text(text.len().saturating_mul(times))?;
    Ok(Item::text(text.repeat(times)))
}

fn is_in(item: &Item, container: &Item) -> Result<bool, ExpressionError> {
    let steps = &mut Steps::new();
    match container {
        Item::Null => Ok(matches!(item, Item::Null)),
        Item::List(list) => list.contains(item, steps),
        Item::Map(map) => Ok(map.get(item, steps)?.is_some_and(|value| value.is_true())),
        Item::Text(text) | Item::Template(text) => Ok(!matches!(item, Item::Null) && item.format()? == *text),
        Item::Number(number) => match item {
            Item::Number(other) => Ok(number.compare(other).is_eq()),
            _ => Ok(false),
        },
        _ => container.is_same(item, steps),
    }
}

pub(super) fn range(from: &Item, to: &Item, inclusive: bool) -> Answer {
    match (from, to) {
        (Item::Number(Number::Int(from)), Item::Number(Number::Int(to))) if inclusive || *to >= 0 || *from < 0 => {
            Ok(Item::List(List::range(*from, *to, inclusive)))
        }
        _ => Err(ExpressionError::evaluation(format!(
            "a range goes from an integer to an integer of 32 bits, not from a {} to a {}; use <= on both ends",
            from.class(),
            to.class()
        ))),
    }
}

/// `of[at]`.
pub(super) fn index(of: &Item, at: &Item) -> Answer {
    match (of, at) {
        (Item::Null, _) => Err(null_reference("[…]")),
        (Item::Map(map), key) => {
            let key = if let Item::Template(text) = key {
                &Item::Text(Arc::clone(text))
            } else {
                key
            };
            Ok(map.get(key, &mut Steps::new())?.unwrap_or(Item::Null))
        }
        (Item::List(list), Item::Number(number)) => element(list, number),
        (Item::List(list), Item::List(places)) if matches!(list.kind, ListKind::List | ListKind::Array) => {
            if let Some((start, end, reversed)) = bounds(places, list.len())? {
                let mut items: Vec<Item> = (start..end).filter_map(|at| list.get(at)).collect();
                if reversed {
                    items.reverse();
                }
                return Ok(Item::List(List::of(items)));
            }
            let items: Result<Vec<Item>, _> = each_place(of, places)?.collect();
            items.map(|items| Item::List(List::of(items)))
        }
        (Item::Text(text) | Item::Template(text), Item::Number(number)) => unit_at(text, number),
        (Item::Text(text) | Item::Template(text), Item::List(places)) => {
            if let Some((start, end, reversed)) = bounds(places, super::text_method::length(text))? {
                let units: Vec<u16> = text.encode_utf16().collect();
                let mut units = units.get(start..end).unwrap_or_default().to_vec();
                if reversed {
                    units.reverse();
                }
                return String::from_utf16(&units)
                    .map(Item::text)
                    .map_err(|_| split_character());
            }
            let mut made = String::new();
            for place in each_place(of, places)? {
                made.push_str(&place?.format()?);
                check_text(made.len())?;
            }
            Ok(Item::text(made))
        }
        (_, Item::Text(name) | Item::Template(name)) => property(of, name),
        _ => Err(no_operator("[…]", of, Some(at))),
    }
}

/// Where a range of places begins and ends in what has `length` of them, and whether it runs backwards.
fn bounds(places: &List, length: usize) -> Result<Option<(usize, usize, bool)>, ExpressionError> {
    let Some((from, to)) = places.ends() else {
        return Ok(if places.is_range() { Some((0, 0, false)) } else { None });
    };
    let from_end = |at: i32| {
        let at = i64::from(at);
        usize::try_from(if at < 0 {
            at + i64::try_from(length).unwrap_or(i64::MAX)
        } else {
            at
        })
        .ok()
    };
    let found = from_end(from)
        .zip(from_end(to))
        .filter(|(first, last)| *first.max(last) < length);
    let Some((first, last)) = found else {
        return Err(ExpressionError::evaluation(format!(
            "the range {from}..{to} is outside {length} places; test size() first"
        )));
    };
    Ok(Some((first.min(last), first.max(last) + 1, first > last)))
}

/// The elements at places that are integers.
fn each_place(of: &Item, places: &List) -> Result<impl Iterator<Item = Answer>, ExpressionError> {
    let of = of.clone();
    Ok(places.to_vec()?.into_iter().map(move |place| match place {
        Item::Number(_) => index(&of, &place),
        other => Err(no_operator("[…]", &of, Some(&other))),
    }))
}

fn element(list: &List, at: &Number) -> Answer {
    let at = i64::from(whole(at).ok_or_else(|| no_index(at))?);
    let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
    let place = if at < 0 { at + length } else { at };
    let Ok(place) = usize::try_from(place) else {
        return Err(ExpressionError::evaluation(format!(
            "index {at} is before the start of a list of {length}"
        )));
    };
    match list.get(place) {
        Some(item) => Ok(item),
        None if list.kind == ListKind::Array => Err(ExpressionError::evaluation(format!(
            "index {at} is past the end of an array of {length}"
        ))),
        None => Ok(Item::Null),
    }
}

fn unit_at(text: &str, at: &Number) -> Answer {
    let at = i64::from(whole(at).ok_or_else(|| no_index(at))?);
    let units: Vec<u16> = text.encode_utf16().collect();
    let place = if at < 0 {
        at + i64::try_from(units.len()).unwrap_or(i64::MAX)
    } else {
        at
    };
    let unit = usize::try_from(place).ok().and_then(|place| units.get(place..=place));
    let Some(unit) = unit else {
        return Err(ExpressionError::evaluation(format!(
            "index {at} is outside a text of {} characters",
            units.len()
        )));
    };
    String::from_utf16(unit).map(Item::text).map_err(|_| split_character())
}

fn no_index(at: &Number) -> ExpressionError {
    ExpressionError::evaluation(format!("an index is an integer of 32 bits, not {at}, a {}", at.class()))
}

pub(super) fn split_character() -> ExpressionError {
    ExpressionError::evaluation("half of a character beyond U+FFFF is no text; take both of its places")
}

/// `of.name`.
pub(super) fn property(of: &Item, name: &str) -> Answer {
    match of {
        Item::Null => Err(ExpressionError::evaluation(format!(
            "null has no property `{name}`; write `?.{name}`"
        ))),
        Item::Map(map) => Ok(map.get(&Item::text(name), &mut Steps::new())?.unwrap_or(Item::Null)),
        _ if name == "class" => Err(ExpressionError::evaluation(
            "the class of a value is not supported; write instanceof",
        )),
        Item::List(list) => match name {
            "empty" if list.kind != ListKind::Array => Ok(Item::Bool(list.len() == 0)),
            "size" if list.kind == ListKind::List && !list.is_range() => Ok(Item::count(list.len())),
            "length" if list.kind == ListKind::Array => Ok(Item::count(list.len())),
            _ => {
                let mut items = Vec::new();
                for item in list.to_vec()? {
                    if matches!(item, Item::Null) {
                        return Err(ExpressionError::Missing { name: name.to_owned() });
                    }
                    items.push(property(&item, name)?);
                }
                Ok(Item::List(List::of(items)))
            }
        },
        Item::Text(text) if name == "empty" => Ok(Item::Bool(text.is_empty())),
        _ => Err(ExpressionError::Missing { name: name.to_owned() }),
    }
}

/// `item instanceof class`.
pub(super) fn is_instance(item: &Item, class: Class) -> bool {
    let exact = match item {
        Item::Null => return false,
        Item::Bool(_) => &[Class::Boolean, Class::Comparable][..],
        Item::Char(_) => &[Class::Character, Class::Comparable],
        Item::Text(_) => &[Class::String, Class::CharSequence, Class::Comparable],
        Item::Template(_) => &[Class::GString, Class::CharSequence, Class::Comparable],
        Item::Huge(_) => &[Class::Number, Class::Comparable],
        Item::Map(_) => &[Class::Map, Class::LinkedHashMap, Class::HashMap],
        Item::Number(number) => {
            let own = match number {
                Number::Int(_) => Class::Integer,
                Number::Long(_) => Class::Long,
                Number::Big(_) => Class::BigInteger,
                Number::Decimal(_) => Class::BigDecimal,
                Number::Float(_) => Class::Float,
                Number::Double(_) => Class::Double,
            };
            return matches!(class, Class::Number | Class::Comparable | Class::Object) || class == own;
        }
        Item::List(list) => match list.kind {
            ListKind::List if list.is_range() => &[Class::List, Class::Collection, Class::Iterable][..],
            ListKind::List => &[Class::List, Class::ArrayList, Class::Collection, Class::Iterable],
            ListKind::Array => &[],
            ListKind::Set => &[Class::Set, Class::Collection, Class::Iterable],
            ListKind::Values => &[Class::Collection, Class::Iterable],
        },
    };
    class == Class::Object || exact.contains(&class)
}

pub(super) fn null_reference(operator: &str) -> ExpressionError {
    ExpressionError::evaluation(format!("`{operator}` is applied to null; test for null first"))
}

pub(super) fn no_operator(operator: &str, left: &Item, right: Option<&Item>) -> ExpressionError {
    let right = right.map_or_else(String::new, |right| format!(" and a {}", right.class()));
    ExpressionError::evaluation(format!("`{operator}` is not defined for a {}{right}", left.class()))
}

/// The number of items as the reference counts them.
pub(super) fn whole(number: &Number) -> Option<i32> {
    match number {
        Number::Int(int) => Some(*int),
        Number::Big(big) => big.to_i32(),
        _ => None,
    }
}
