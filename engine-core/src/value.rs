//! Values of variables: what callers store, what conditions read. Knows JSON and the stored form, nothing of flows.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Most significant digits a number may have and still be computed with; longer ones are kept as text.
pub const MAX_DIGITS: usize = 200;
/// Largest decimal exponent, up or down, a number may have and still be computed with.
pub const MAX_EXPONENT: i64 = 400;
/// Deepest nesting of lists and maps in one value.
pub const MAX_DEPTH: usize = 64;

/// One value of a variable.
///
/// Integers of 64 bits and decimals are exact: `1.10` stays `1.10`, and comparing uses no tolerance. A number too
/// large to compute with is kept as its text, so that nothing a caller stores is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Value {
    /// No value; a variable may be present and null.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// An integer of 64 bits.
    Int(i64),
    /// A decimal number with its scale, or an integer beyond 64 bits (scale 0).
    Decimal(Arc<BigDecimal>),
    /// The text of a number that is too large to compute with.
    Number(Arc<str>),
    /// Text.
    Text(Arc<str>),
    /// A list.
    List(Arc<Vec<Value>>),
    /// A map; keys are in byte order.
    Map(Arc<BTreeMap<Arc<str>, Value>>),
}

impl Value {
    /// Reads the text of a JSON number; `None` when it is not one.
    pub fn number(text: &str) -> Option<Self> {
        if let Ok(int) = i64::from_str(text) {
            return Some(Self::Int(int));
        }
        if !is_json_number(text) {
            return None;
        }
        let (digits, exponent) = measure(text);
        if digits > MAX_DIGITS || exponent.is_none_or(|e| e.abs() > MAX_EXPONENT) {
            return Some(Self::Number(text.into()));
        }
        BigDecimal::from_str(text)
            .ok()
            .map(|decimal| Self::Decimal(Arc::new(decimal)))
    }

    /// The plain name of the value's kind, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Int(_) => "integer",
            Self::Decimal(_) | Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }

    /// Whether the value can be stored and read again: numbers kept as text are numbers, and nothing nests deeper than
    /// [`MAX_DEPTH`]. Values read from JSON always can.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.check_at(0)
    }

    fn check_at(&self, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        match self {
            Self::Number(text) if !is_json_number(text) || serde_json::from_str::<&RawValue>(text).is_err() => {
                Err(format!("{:?} is not a number", shortened(text, 40)))
            }
            Self::List(items) => items.iter().try_for_each(|item| item.check_at(depth + 1)),
            Self::Map(entries) => entries.values().try_for_each(|value| value.check_at(depth + 1)),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Decimal(_) | Self::Number(_) | Self::Text(_) => Ok(()),
        }
    }

    /// The value as it is read back once it was stored: numbers in the one form that reading gives them.
    #[must_use]
    pub fn settled(self) -> Self {
        match self {
            Self::Decimal(_) | Self::Number(_) => {
                let read = self.number_text().and_then(|text| Self::number(&text));
                read.unwrap_or(self)
            }
            Self::List(items) => Self::List(Arc::new(items.iter().cloned().map(Self::settled).collect())),
            Self::Map(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone().settled()));
                Self::Map(Arc::new(entries.collect()))
            }
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Text(_) => self,
        }
    }

    /// Bytes the value takes, roughly: what the limits on variables count.
    pub fn weight(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) => 1,
            Self::Int(_) => 8,
            Self::Decimal(decimal) => usize::try_from(decimal.digits())
                .unwrap_or(usize::MAX)
                .saturating_add(8),
            Self::Number(text) | Self::Text(text) => text.len().saturating_add(4),
            Self::List(items) => items
                .iter()
                .fold(4, |sum: usize, item| sum.saturating_add(item.weight())),
            Self::Map(entries) => entries.iter().fold(4, |sum: usize, (key, value)| {
                sum.saturating_add(key.len()).saturating_add(value.weight())
            }),
        }
    }

    /// The text of a number as JSON writes it; `None` for what is not a number.
    pub(crate) fn number_text(&self) -> Option<String> {
        match self {
            Self::Int(int) => Some(int.to_string()),
            Self::Decimal(decimal) => Some(decimal_text(decimal)),
            Self::Number(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// Reads JSON text without losing a digit.
    ///
    /// # Errors
    /// What is not JSON, or nests deeper than [`MAX_DEPTH`].
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let raw: &RawValue = serde_json::from_str(text)?;
        Self::from_raw(raw, 0)
    }

    fn from_raw(raw: &RawValue, depth: usize) -> Result<Self, serde_json::Error> {
        let text = raw.get();
        if depth > MAX_DEPTH {
            return Err(de::Error::custom(format_args!(
                "value nests deeper than {MAX_DEPTH} levels"
            )));
        }
        match text.bytes().next() {
            Some(b'{') => {
                let entries: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)?;
                let entries: Result<BTreeMap<Arc<str>, Self>, _> = entries
                    .into_iter()
                    .map(|(key, value)| Ok((Arc::from(key), Self::from_raw(&value, depth + 1)?)))
                    .collect();
                entries.map(|entries| Self::Map(Arc::new(entries)))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                let items: Result<Vec<Self>, _> =
                    items.into_iter().map(|item| Self::from_raw(item, depth + 1)).collect();
                items.map(|items| Self::List(Arc::new(items)))
            }
            Some(b'"') => serde_json::from_str::<String>(text).map(|text| Self::Text(text.into())),
            Some(b't') => Ok(Self::Bool(true)),
            Some(b'f') => Ok(Self::Bool(false)),
            Some(b'n') => Ok(Self::Null),
            _ => Self::number(text).ok_or_else(|| de::Error::custom(format_args!("{text} is not a number"))),
        }
    }
}

/// The first characters of a text, marked where more was there.
pub fn shortened(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn is_json_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E'))
}

/// Digits of the mantissa, and the exponent where it fits an integer.
fn measure(text: &str) -> (usize, Option<i64>) {
    let (mantissa, exponent) = text
        .split_once(['e', 'E'])
        .map_or((text, Some(0)), |(m, e)| (m, e.parse().ok()));
    (mantissa.bytes().filter(u8::is_ascii_digit).count(), exponent)
}

/// A decimal as JSON text that reads back with the same digits and the same scale.
fn decimal_text(decimal: &BigDecimal) -> String {
    let (digits, scale) = decimal.as_bigint_and_exponent();
    if scale < 0 {
        return format!("{digits}e{}", scale.unsigned_abs());
    }
    decimal.to_plain_string()
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_string(self) {
            Ok(text) => f.write_str(&text),
            Err(_) => f.write_str(self.kind()),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(int)
    }
}

impl From<i32> for Value {
    fn from(int: i32) -> Self {
        Self::Int(int.into())
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<BigInt> for Value {
    fn from(int: BigInt) -> Self {
        i64::try_from(&int).map_or_else(|_| Self::Decimal(Arc::new(BigDecimal::from(int))), Self::Int)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(bool) => Self::Bool(bool),
            serde_json::Value::Number(number) => {
                let text = number.to_string();
                Self::number(&text).unwrap_or_else(|| Self::Number(text.into()))
            }
            serde_json::Value::String(text) => Self::Text(text.into()),
            serde_json::Value::Array(items) => Self::List(Arc::new(items.into_iter().map(Self::from).collect())),
            serde_json::Value::Object(entries) => Self::Map(Arc::new(
                entries
                    .into_iter()
                    .map(|(key, value)| (key.into(), Self::from(value)))
                    .collect(),
            )),
        }
    }
}

/// Numbers keep their exact text.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(bool) => serializer.serialize_bool(*bool),
            Self::Int(int) => serializer.serialize_i64(*int),
            Self::Decimal(_) | Self::Number(_) => {
                let text = self.number_text().unwrap_or_default();
                let raw = RawValue::from_string(text).map_err(serde::ser::Error::custom)?;
                raw.serialize(serializer)
            }
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Map(entries) => serializer.collect_map(entries.iter()),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_raw(&raw, 0).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_numbers_keep_every_digit() {
        for text in [
            "0",
            "-7",
            "9007199254740993",
            "1.50",
            "0.1",
            "123456789012345678901234567890",
            "-0.000000000000000000001",
        ] {
            let value = Value::from_json(text).unwrap();
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
    }

    #[test]
    fn settled_value_is_what_is_read_back() {
        let decimal = |text: &str| Value::Decimal(Arc::new(BigDecimal::from_str(text).unwrap()));
        for value in [
            Value::Number("5".into()),
            decimal("5"),
            decimal("1.50"),
            Value::from(vec![Value::Number("0.1".into()), decimal("7"), Value::Null]),
        ] {
            let settled = value.settled();
            let stored = minicbor::to_vec(&settled).unwrap();
            assert_eq!(minicbor::decode::<Value>(&stored).unwrap(), settled);
        }
        assert_eq!(Value::Number("5".into()).settled(), Value::Int(5));
    }

    #[test]
    fn number_too_large_to_compute_with_is_kept_as_text() {
        let text = format!("1e{}", MAX_EXPONENT + 1);
        let value = Value::from_json(&text).unwrap();
        assert_eq!(value, Value::Number(text.as_str().into()));
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert!(matches!(
            Value::from_json("1e99999999999999999999").unwrap(),
            Value::Number(_)
        ));
    }

    #[test]
    fn stored_form_gives_the_same_value_back() {
        let json = r#"{"a":[1,2.50,null,true,"x"],"b":{"c":1e3,"d":1e9999}}"#;
        let value = Value::from_json(json).unwrap();
        let bytes = minicbor::to_vec(&value).unwrap();
        assert_eq!(minicbor::decode::<Value>(&bytes).unwrap(), value);
        assert_eq!(Value::from_json(&value.to_string()).unwrap(), value);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{}1{}", "[".repeat(MAX_DEPTH + 2), "]".repeat(MAX_DEPTH + 2));
        assert!(Value::from_json(&deep).is_err());
    }
}
