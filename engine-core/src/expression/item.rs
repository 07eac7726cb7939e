//! What a part of a condition evaluates to: the values of the reference's language, their truth, equality, order and text.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use num_bigint::BigInt;

use super::decimal::Decimal;
use super::number::Number;
use super::{ExpressionError, MAX_ITEMS, MAX_STEPS, MAX_TEXT_LENGTH};
use crate::value::Value;

/// A value while a condition is evaluated. Cloning is cheap.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Null,
    Bool(bool),
    Number(Number),
    /// One UTF-16 unit.
    Char(u16),
    Text(Arc<str>),
    /// Text made of a template: equal to text by `==`, not by `equals`.
    Template(Arc<str>),
    List(List),
    Map(Map),
    /// A number too large to compute with.
    Huge(Arc<str>),
}

/// A list, or what the reference gives in its place.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) kind: ListKind,
    items: Items,
}

/// What kind of list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    List,
    Array,
    Set,
    /// The values of a map.
    Values,
}

#[derive(Clone, Debug)]
enum Items {
    Own(Arc<Vec<Item>>),
    Given(Arc<Vec<Value>>),
    Range { from: i32, to: i32 },
    Empty,
}

/// A map in the order its entries were written, or a variable's in byte order.
#[derive(Clone, Debug)]
pub(super) enum Map {
    Own(Arc<Vec<(Item, Item)>>),
    Given(Arc<BTreeMap<Arc<str>, Value>>),
}

/// Counts what one operation touches, so that none runs without end.
#[derive(Debug)]
pub(super) struct Steps(u64);

impl Steps {
    pub(super) fn new() -> Self {
        Self(MAX_STEPS)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<(), ExpressionError> {
        let left = self.0.checked_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.0 = left.ok_or_else(|| {
            ExpressionError::limit(format!(
                "one operation touches more than {MAX_STEPS} elements; compute it outside the condition"
            ))
        })?;
        Ok(())
    }
}

impl List {
    pub(super) fn of(items: Vec<Item>) -> Self {
        Self::with_kind(ListKind::List, items)
    }

    pub(super) fn with_kind(kind: ListKind, items: Vec<Item>) -> Self {
        Self {
            kind,
            items: Items::Own(Arc::new(items)),
        }
    }

    /// The integers from one to another, up or down.
    pub(super) fn range(from: i32, to: i32, inclusive: bool) -> Self {
        let items = match (inclusive, from.cmp(&to)) {
            (true, _) => Items::Range { from, to },
            (false, Ordering::Less) => Items::Range { from, to: to - 1 },
            (false, Ordering::Greater) => Items::Range { from, to: to + 1 },
            (false, Ordering::Equal) => Items::Empty,
        };
        Self {
            kind: ListKind::List,
            items,
        }
    }

    /// First and last integer of a range that is not empty.
    pub(super) fn ends(&self) -> Option<(i32, i32)> {
        if let Items::Range { from, to } = self.items {
            Some((from, to))
        } else {
            None
        }
    }

    pub(super) fn is_range(&self) -> bool {
        matches!(self.items, Items::Range { .. } | Items::Empty)
    }

    pub(super) fn len(&self) -> usize {
        match &self.items {
            Items::Own(items) => items.len(),
            Items::Given(values) => values.len(),
            Items::Range { from, to } => usize::try_from(from.abs_diff(*to))
                .unwrap_or(usize::MAX)
                .saturating_add(1),
            Items::Empty => 0,
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<Item> {
        match &self.items {
            Items::Own(items) => items.get(index).cloned(),
            Items::Given(values) => values.get(index).map(Item::from),
            Items::Range { from, to } if index < self.len() => {
                let offset = i64::try_from(index).ok()?;
                let at = if from <= to {
                    i64::from(*from) + offset
                } else {
                    i64::from(*from) - offset
                };
                Some(Item::Number(Number::from_i64(at)))
            }
            Items::Range { .. } | Items::Empty => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Item> + '_ {
        (0..self.len()).map_while(|index| self.get(index))
    }

    /// The elements as a new vector, within the limit.
    pub(super) fn to_vec(&self) -> Result<Vec<Item>, ExpressionError> {
        check_items(self.len())?;
        Ok(self.iter().collect())
    }

    /// Whether an element is the same by Java's `equals`.
    pub(super) fn contains(&self, item: &Item, steps: &mut Steps) -> Result<bool, ExpressionError> {
        self.position(item, steps).map(|at| at.is_some())
    }

    pub(super) fn position(&self, item: &Item, steps: &mut Steps) -> Result<Option<usize>, ExpressionError> {
        if let Items::Range { from, to } = self.items {
            let wanted = match item {
                Item::Number(Number::Int(int)) => Some(*int),
                Item::Number(Number::Big(big)) => i32::try_from(big).ok(),
                _ => None,
            };
            let inside = wanted.filter(|int| (from.min(to)..=from.max(to)).contains(int));
            return Ok(inside.and_then(|int| usize::try_from(int.abs_diff(from)).ok()));
        }
        for (at, element) in self.iter().enumerate() {
            if element.is_same(item, steps)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }
}

impl Map {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Own(entries) => entries.len(),
            Self::Given(entries) => entries.len(),
        }
    }

    pub(super) fn get(&self, key: &Item, steps: &mut Steps) -> Result<Option<Item>, ExpressionError> {
        match self {
            Self::Given(entries) => Ok(match key {
                Item::Text(text) => entries.get(text).map(Item::from),
                _ => None,
            }),
            Self::Own(entries) => {
                for (known, value) in entries.iter() {
                    if known.is_same(key, steps)? {
                        return Ok(Some(value.clone()));
                    }
                }
                Ok(None)
            }
        }
    }

    pub(super) fn entries(&self) -> Box<dyn Iterator<Item = (Item, Item)> + '_> {
        match self {
            Self::Own(entries) => Box::new(entries.iter().cloned()),
            Self::Given(entries) => Box::new(
                entries
                    .iter()
                    .map(|(key, value)| (Item::Text(Arc::clone(key)), Item::from(value))),
            ),
        }
    }

    /// A map of entries, of which a later one replaces an earlier one with the same key.
    pub(super) fn of(entries: impl IntoIterator<Item = (Item, Item)>) -> Result<Self, ExpressionError> {
        let mut steps = Steps::new();
        let mut own: Vec<(Item, Item)> = Vec::new();
        for (key, value) in entries {
            let mut known = None;
            for (at, (earlier, _)) in own.iter().enumerate() {
                if earlier.is_same(&key, &mut steps)? {
                    known = Some(at);
                    break;
                }
            }
            match known.and_then(|at| own.get_mut(at)) {
                Some(entry) => entry.1 = value,
                None => own.push((key, value)),
            }
        }
        Ok(Self::Own(Arc::new(own)))
    }
}

impl From<&Value> for Item {
    fn from(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Int(int) => Self::Number(Number::from_i64(*int)),
            Value::Decimal(decimal) => {
                let (digits, scale) = decimal.as_bigint_and_exponent();
                // JSON's integers have neither point nor exponent: a scale of zero is an integer.
                Self::Number(if scale == 0 {
                    integer(digits)
                } else {
                    Number::Decimal(Decimal { digits, scale })
                })
            }
            Value::Number(text) => Self::Huge(Arc::clone(text)),
            Value::Text(text) => Self::Text(Arc::clone(text)),
            Value::List(values) => Self::List(List {
                kind: ListKind::List,
                items: Items::Given(Arc::clone(values)),
            }),
            Value::Map(entries) => Self::Map(Map::Given(Arc::clone(entries))),
        }
    }
}

fn integer(digits: BigInt) -> Number {
    Number::from_big(digits)
}

impl From<bool> for Item {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<Number> for Item {
    fn from(number: Number) -> Self {
        Self::Number(number)
    }
}

impl Item {
    pub(super) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn count(count: usize) -> Self {
        Self::Number(Number::from_usize(count))
    }

    pub(super) fn int(int: i32) -> Self {
        Self::Number(Number::Int(int))
    }

    /// Text of either kind.
    pub(super) fn as_text(&self) -> Option<&Arc<str>> {
        match self {
            Self::Text(text) | Self::Template(text) => Some(text),
            _ => None,
        }
    }

    /// The name of the value's kind, for messages.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "Boolean",
            Self::Number(number) => number.class(),
            Self::Char(_) => "Character",
            Self::Text(_) => "String",
            Self::Template(_) => "GString",
            Self::List(list) => match list.kind {
                ListKind::List => "List",
                ListKind::Array => "array",
                ListKind::Set => "Set",
                ListKind::Values => "Collection",
            },
            Self::Map(_) => "Map",
            Self::Huge(_) => "number too large to compute with",
        }
    }

    /// The plain word for the value's kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(Number::Int(_) | Number::Long(_) | Number::Big(_)) => "integer",
            Self::Number(_) | Self::Huge(_) => "number",
            Self::Char(_) | Self::Text(_) | Self::Template(_) => "text",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Whether the value counts as true in `&&`, `||`, `!`, `?:`.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(bool) => *bool,
            Self::Number(number) => number.is_true(),
            Self::Char(unit) => *unit != 0,
            Self::Text(text) | Self::Template(text) => !text.is_empty(),
            Self::List(list) => list.len() > 0,
            Self::Map(map) => map.len() > 0,
            Self::Huge(text) => text
                .bytes()
                .take_while(|byte| !matches!(byte, b'e' | b'E'))
                .any(|byte| (b'1'..=b'9').contains(&byte)),
        }
    }

    /// Java's `equals`: same class, same value.
    pub(super) fn is_same(&self, other: &Self, steps: &mut Steps) -> Result<bool, ExpressionError> {
        steps.take(1)?;
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Number(left), Self::Number(right)) => left.is_same(right),
            (Self::Char(left), Self::Char(right)) => left == right,
            (Self::Text(left), Self::Text(right)) | (Self::Template(left), Self::Template(right)) => left == right,
            (Self::List(left), Self::List(right)) => {
                if left.kind != right.kind
                    || matches!(left.kind, ListKind::Values | ListKind::Array)
                    || left.len() != right.len()
                {
                    return Ok(false);
                }
                if left.kind == ListKind::Set {
                    return every(left.iter(), |item| right.contains(&item, steps));
                }
                every(left.iter().zip(right.iter()), |(left, right)| {
                    left.is_same(&right, steps)
                })?
            }
            (Self::Map(left), Self::Map(right)) => {
                left.len() == right.len()
                    && every(left.entries(), |(key, value)| {
                        right
                            .get(&key, steps)?
                            .map_or(Ok(false), |other| value.is_same(&other, steps))
                    })?
            }
            (Self::Huge(left), Self::Huge(right)) if left == right => true,
            (Self::Huge(text), Self::Number(_) | Self::Huge(_)) | (Self::Number(_), Self::Huge(text)) => {
                return Err(huge(text));
            }
            _ => false,
        })
    }

    /// `==`.
    pub(super) fn equals(&self, other: &Self, steps: &mut Steps) -> Result<bool, ExpressionError> {
        steps.take(1)?;
        match (self, other) {
            (Self::Null, Self::Null) => Ok(true),
            (Self::Huge(left), Self::Huge(right)) if left == right => Ok(true),
            (Self::Huge(text), Self::Number(_) | Self::Huge(_)) | (Self::Number(_), Self::Huge(text)) => {
                Err(huge(text))
            }
            (Self::List(left), Self::List(right)) => equal_lists(left, right, steps),
            (Self::Map(left), Self::Map(right)) => equal_maps(left, right, steps),
            (Self::Null | Self::List(_) | Self::Map(_), _) | (_, Self::Null | Self::List(_) | Self::Map(_)) => {
                Ok(false)
            }
            _ => Ok(self.ordering(other) == Some(Ordering::Equal)),
        }
    }

    /// `<=>` and what is built on it.
    pub(super) fn compare(&self, other: &Self) -> Result<Ordering, ExpressionError> {
        if let (Self::Huge(text), Self::Number(_) | Self::Huge(_)) | (Self::Number(_), Self::Huge(text)) = (self, other)
        {
            return Err(huge(text));
        }
        if let (Self::Template(text), other) = (self, other)
            && !matches!(other, Self::Null)
        {
            return Ok(compare_texts(text, &other.java_text()?));
        }
        if self.is_identical(other) {
            return Ok(Ordering::Equal);
        }
        self.ordering(other).ok_or_else(|| {
            let (left, right) = (self.class(), other.class());
            ExpressionError::evaluation(format!(
                "a {left} cannot be compared with a {right}; bring both to one kind"
            ))
        })
    }

    /// Whether both are one and the same list or map.
    fn is_identical(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::List(List {
                    items: Items::Given(left),
                    ..
                }),
                Self::List(List {
                    items: Items::Given(right),
                    ..
                }),
            ) => Arc::ptr_eq(left, right),
            (Self::Map(Map::Given(left)), Self::Map(Map::Given(right))) => Arc::ptr_eq(left, right),
            _ => false,
        }
    }

    /// The order of two values that have one.
    fn ordering(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Null, _) => Ordering::Less,
            (_, Self::Null) => Ordering::Greater,
            (Self::Number(left), Self::Number(right)) => left.compare(right),
            (Self::Number(left), Self::Char(right)) => left.compare(&unit_number(*right)),
            (Self::Char(left), Self::Number(right)) => unit_number(*left).compare(right),
            (Self::Char(left), Self::Char(right)) => left.cmp(right),
            (Self::Number(left), Self::Text(right)) => left.compare(&unit_number(single_unit(right)?)),
            (Self::Text(left), Self::Number(right)) => unit_number(single_unit(left)?).compare(right),
            (Self::Char(left), Self::Text(right)) => left.cmp(&single_unit(right)?),
            (Self::Text(left), Self::Char(right)) => {
                let right = char::decode_utf16([*right]).next()?.ok()?;
                compare_texts(left, right.encode_utf8(&mut [0; 4]))
            }
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            (Self::Text(left) | Self::Template(left), Self::Text(right) | Self::Template(right)) => {
                compare_texts(left, right)
            }
            _ => return None,
        })
    }

    /// The value's text in `+` with text and in templates.
    pub(super) fn format(&self) -> Result<Arc<str>, ExpressionError> {
        if let Some(text) = self.as_text() {
            return Ok(Arc::clone(text));
        }
        let mut text = String::new();
        self.write(&mut text, ["[", ":", "]", "[:]"])?;
        Ok(text.into())
    }

    /// The value's text by Java's own `toString`, which writes maps in another way.
    pub(super) fn java_text(&self) -> Result<String, ExpressionError> {
        self.refuse_range()?;
        let mut text = String::new();
        self.write(&mut text, ["{", "=", "}", "{}"])?;
        Ok(text)
    }

    /// A range has a text of its own, which conditions do not make.
    pub(super) fn refuse_range(&self) -> Result<(), ExpressionError> {
        match self {
            Self::List(list) if list.is_range() => Err(ExpressionError::evaluation(
                "the text of a range is not supported; write its elements as a list",
            )),
            _ => Ok(()),
        }
    }

    /// Writes the value with the signs that open, divide and close a map, and those of an empty one.
    fn write(&self, text: &mut String, signs: [&str; 4]) -> Result<(), ExpressionError> {
        let [open, divide, close, empty] = signs;
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(bool) => text.push_str(if *bool { "true" } else { "false" }),
            Self::Number(number) => text.push_str(&number.to_string()),
            Self::Char(unit) => {
                text.extend(char::decode_utf16([*unit]).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
            }
            Self::Text(part) | Self::Template(part) | Self::Huge(part) => text.push_str(part),
            Self::List(list) => {
                text.push('[');
                for (at, item) in list.iter().enumerate() {
                    if at > 0 {
                        text.push_str(", ");
                    }
                    item.refuse_range()?;
                    item.write(text, signs)?;
                    check_text(text.len())?;
                }
                text.push(']');
            }
            Self::Map(map) if map.len() == 0 => text.push_str(empty),
            Self::Map(map) => {
                text.push_str(open);
                for (at, (key, value)) in map.entries().enumerate() {
                    if at > 0 {
                        text.push_str(", ");
                    }
                    value.refuse_range()?;
                    key.write(text, signs)?;
                    text.push_str(divide);
                    value.write(text, signs)?;
                    check_text(text.len())?;
                }
                text.push_str(close);
            }
        }
        check_text(text.len())
    }
}

fn equal_lists(left: &List, right: &List, steps: &mut Steps) -> Result<bool, ExpressionError> {
    let ordered = |kind| matches!(kind, ListKind::List | ListKind::Array);
    if left.kind == ListKind::Values && right.kind == ListKind::Values {
        return Err(ExpressionError::evaluation(
            "the values of two maps cannot be compared; compare the maps",
        ));
    }
    if left.len() != right.len() {
        return Ok(false);
    }
    match (left.kind, right.kind) {
        (left_kind, right_kind) if ordered(left_kind) && ordered(right_kind) => {
            every(left.iter().zip(right.iter()), |(left, right)| {
                left.equals(&right, steps)
            })
        }
        (ListKind::Set, ListKind::Set) => every(left.iter(), |item| {
            for other in right.iter() {
                if item.equals(&other, steps)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }),
        _ => Ok(false),
    }
}

fn equal_maps(left: &Map, right: &Map, steps: &mut Steps) -> Result<bool, ExpressionError> {
    if left.len() != right.len() {
        return Ok(false);
    }
    every(left.entries(), |(key, value)| {
        right
            .get(&key, steps)?
            .map_or(Ok(false), |other| value.equals(&other, steps))
    })
}

/// Whether a fallible test holds for every element.
fn every<T>(
    items: impl Iterator<Item = T>,
    mut holds: impl FnMut(T) -> Result<bool, ExpressionError>,
) -> Result<bool, ExpressionError> {
    for item in items {
        if !holds(item)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn huge(text: &str) -> ExpressionError {
    let start: String = text.chars().take(20).collect();
    ExpressionError::limit(format!(
        "the number {start}… is too large to compute with; store a smaller number"
    ))
}

pub(super) fn check_text(length: usize) -> Result<(), ExpressionError> {
    if length > MAX_TEXT_LENGTH {
        let detail = format!("it makes a text of more than {MAX_TEXT_LENGTH} bytes; compute it outside the condition");
        return Err(ExpressionError::limit(detail));
    }
    Ok(())
}

pub(super) fn check_items(count: usize) -> Result<(), ExpressionError> {
    if count > MAX_ITEMS {
        let detail = format!("it makes a list of more than {MAX_ITEMS} elements; compute it outside the condition");
        return Err(ExpressionError::limit(detail));
    }
    Ok(())
}

pub(super) fn unit_number(unit: u16) -> Number {
    Number::Int(i32::from(unit))
}

/// The only UTF-16 unit of a text.
pub(super) fn single_unit(text: &str) -> Option<u16> {
    let mut units = text.encode_utf16();
    units.next().filter(|_| units.next().is_none())
}

/// Java's order of texts: by UTF-16 units.
pub(super) fn compare_texts(left: &str, right: &str) -> Ordering {
    // Bytes order as units do unless a character beyond U+FFFF meets one above the surrogates.
    let mut pairs = left.chars().zip(right.chars());
    match pairs.find(|(left, right)| left != right) {
        Some((left, right)) if (left > '\u{ffff}') == (right > '\u{ffff}') => left.cmp(&right),
        Some((left, right)) => {
            let (mut first, mut second) = ([0; 2], [0; 2]);
            left.encode_utf16(&mut first)
                .iter()
                .cmp(right.encode_utf16(&mut second).iter())
        }
        None => left.len().cmp(&right.len()),
    }
}
