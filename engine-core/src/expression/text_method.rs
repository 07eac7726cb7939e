//! The methods a condition may call on text, which counts in UTF-16 units as the reference does.

use std::sync::Arc;

use super::ExpressionError;
use super::decimal::Decimal;
use super::item::{Item, List, ListKind, check_items, check_text, compare_texts};
use super::method::{Answer, common_method, no_method};
use super::number::Number;
use super::operator::{self, split_character, whole};
use super::tree::Binary;

/// `text.name(arguments)`; `of` is the text as it was given.
pub(super) fn call(of: &Item, text: &Arc<str>, name: &str, arguments: &[Item]) -> Answer {
    match arguments {
        [] => plain(of, text, name),
        [argument] => with_one(of, text, name, argument),
        [one, two] => with_two(of, text, name, [one, two]),
        _ => Err(no_method(of, name, arguments)),
    }
}

fn plain(of: &Item, text: &Arc<str>, name: &str) -> Answer {
    Ok(match name {
        "length" | "size" => Item::count(length(text)),
        "isEmpty" => Item::Bool(text.is_empty()),
        "isBlank" | "isAllWhitespace" => Item::Bool(text.chars().all(char::is_whitespace)),
        "trim" => Item::text(trim(text)),
        "toLowerCase" => Item::text(text.to_lowercase()),
        "toUpperCase" => Item::text(text.to_uppercase()),
        "capitalize" => Item::text(capitalize(text)),
        "reverse" => Item::text(text.chars().rev().collect::<String>()),
        "toString" => Item::Text(Arc::clone(text)),
        "isNumber" | "isBigDecimal" => Item::Bool(read_decimal(trim(text)).is_some()),
        "isInteger" => Item::Bool(read_integer::<i32>(trim(text)).is_some()),
        "isLong" => Item::Bool(read_integer::<i64>(trim(text)).is_some()),
        "isBigInteger" => Item::Bool(is_whole(trim(text))),
        "isDouble" | "isFloat" => Item::Bool(read_double(trim(text)).is_some()),
        "toInteger" => Number::Int(parsed(read_integer(trim(text)), text, "an integer of 32 bits")?).into(),
        "toLong" => Number::Long(parsed(read_integer(trim(text)), text, "an integer of 64 bits")?).into(),
        "toDouble" => Number::Double(parsed(read_double(trim(text)), text, "a number")?).into(),
        "toFloat" => Number::Float(parsed(read_float(trim(text)), text, "a number")?).into(),
        "toBigDecimal" => Number::Decimal(parsed(read_decimal(trim(text)), text, "a decimal number")??).into(),
        "toBigInteger" => Number::Big(parsed(read_big(trim(text)), text, "an integer")??).into(),
        "toBoolean" => Item::Bool(matches!(trim(text).to_lowercase().as_str(), "true" | "y" | "1")),
        "toList" => Item::List(List::of(units(text)?)),
        _ => return common_method(of, name, &[]),
    })
}

fn with_one(of: &Item, text: &Arc<str>, name: &str, argument: &Item) -> Answer {
    let refused = || no_method(of, name, std::slice::from_ref(argument));
    let part = || match argument {
        Item::Null => Err(ExpressionError::evaluation(format!(
            "`{name}` is given null; test for null first"
        ))),
        other => other.as_text().cloned().ok_or_else(refused),
    };
    let place = || place(argument).ok_or_else(refused);
    Ok(match name {
        "equals" => Item::Bool(matches!(argument, Item::Text(other) if other == text)),
        "equalsIgnoreCase" => match argument {
            Item::Null => Item::Bool(false),
            _ => Item::Bool(equal_ignoring_case(text, &part()?)),
        },
        "contains" => Item::Bool(text.contains(&*part()?)),
        "startsWith" => Item::Bool(text.starts_with(&*part()?)),
        "endsWith" => Item::Bool(text.ends_with(&*part()?)),
        "indexOf" => match argument {
            Item::Number(number) => unit_position(text, whole(number).ok_or_else(refused)?),
            _ => found(text, text.find(&*part()?)),
        },
        "lastIndexOf" => found(text, text.rfind(&*part()?)),
        "compareTo" => Item::int(difference(text, &part()?)),
        "compareToIgnoreCase" => Item::int(difference(&fold(text), &fold(&part()?))),
        "concat" => {
            let part = part()?;
            check_text(text.len().saturating_add(part.len()))?;
            Item::text([&**text, &*part].concat())
        }
        "substring" => {
            let from = place()?;
            slice(text, from, i64::try_from(length(text)).unwrap_or(i64::MAX))?
        }
        "charAt" => {
            let at = place()?;
            let unit = usize::try_from(at).ok().and_then(|at| text.encode_utf16().nth(at));
            Item::Char(unit.ok_or_else(|| outside(at, text))?)
        }
        "take" => slice(
            text,
            0,
            place()?.max(0).min(i64::try_from(length(text)).unwrap_or(i64::MAX)),
        )?,
        "drop" => {
            let length = i64::try_from(length(text)).unwrap_or(i64::MAX);
            slice(text, place()?.max(0).min(length), length)?
        }
        "count" => Item::count(occurrences(text, &part()?)),
        "split" => split(text, &part()?)?,
        "tokenize" => tokens(text, &part()?)?,
        "getAt" => operator::index(of, argument)?,
        "plus" => operator::binary(Binary::Add, of, argument)?,
        "minus" => operator::binary(Binary::Subtract, of, argument)?,
        "multiply" => operator::binary(Binary::Multiply, of, argument)?,
        _ => return common_method(of, name, std::slice::from_ref(argument)),
    })
}

fn with_two(of: &Item, text: &Arc<str>, name: &str, arguments: [&Item; 2]) -> Answer {
    let refused = || no_method(of, name, &arguments.map(Item::clone));
    let [one, two] = arguments;
    let null = || ExpressionError::evaluation(format!("`{name}` is given null; test for null first"));
    match name {
        "substring" => {
            let (Some(from), Some(to)) = (place(one), place(two)) else {
                return Err(refused());
            };
            slice(text, from, to)
        }
        "replace" => {
            let (from, to) = match (one, two) {
                (Item::Char(_), Item::Char(_)) => (one.format()?, two.format()?),
                (Item::Null, _) | (_, Item::Null) => return Err(null()),
                _ => match (one.as_text(), two.as_text()) {
                    (Some(from), Some(to)) => (Arc::clone(from), Arc::clone(to)),
                    _ => return Err(refused()),
                },
            };
            let times = text.matches(&*from).count();
            check_text(text.len().saturating_add(times.saturating_mul(to.len())))?;
            Ok(Item::text(text.replace(&*from, &to)))
        }
        "startsWith" => {
            let (Some(part), Some(from)) = (one.as_text(), place(two)) else {
                return Err(refused());
            };
            let rest = usize::try_from(from).ok().and_then(|from| tail(text, from));
            Ok(Item::Bool(rest.is_some_and(|rest| rest.starts_with(&**part))))
        }
        "indexOf" => {
            let (Some(part), Some(from)) = (one.as_text(), place(two)) else {
                return Err(refused());
            };
            let from = usize::try_from(from.max(0)).unwrap_or(usize::MAX);
            let start = text.len() - tail(text, from.min(length(text))).map_or(0, str::len);
            let at = text
                .get(start..)
                .and_then(|rest| rest.find(&**part))
                .map(|at| at + start);
            Ok(found(text, at))
        }
        "padLeft" | "padRight" => pad(of, text, name, one, two),
        _ => Err(refused()),
    }
}

fn pad(of: &Item, text: &Arc<str>, name: &str, width: &Item, filler: &Item) -> Answer {
    let (Item::Number(width), Some(filler)) = (width, filler.as_text()) else {
        return Err(no_method(of, name, &[width.clone(), filler.clone()]));
    };
    let wanted = usize::try_from(width.to_i32()).unwrap_or(0);
    let missing = wanted.saturating_sub(length(text));
    check_text(missing.saturating_mul(4).saturating_add(text.len()))?;
    let padding: String = filler.chars().cycle().take(missing).collect();
    Ok(Item::text(if name == "padLeft" {
        padding + text.as_ref()
    } else {
        format!("{text}{padding}")
    }))
}

/// A place in text.
fn place(item: &Item) -> Option<i64> {
    if let Item::Number(number) = item {
        whole(number).map(i64::from)
    } else {
        None
    }
}

/// Length in UTF-16 units.
pub(super) fn length(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.encode_utf16().count()
    }
}

/// The text from a place in UTF-16 units on.
fn tail(text: &str, from: usize) -> Option<&str> {
    let mut left = from;
    for (at, c) in text.char_indices() {
        if left == 0 {
            return text.get(at..);
        }
        left = left.checked_sub(c.len_utf16())?;
    }
    (left == 0).then_some("")
}

fn slice(text: &str, from: i64, to: i64) -> Answer {
    let bounds = usize::try_from(from).ok().zip(usize::try_from(to).ok());
    let Some((start, end)) = bounds.filter(|(start, end)| start <= end && *end <= length(text)) else {
        return Err(ExpressionError::evaluation(format!(
            "from {from} to {to} is outside a text of {} characters; test size() first",
            length(text)
        )));
    };
    let rest = tail(text, start).ok_or_else(split_character)?;
    let after = tail(rest, end - start).ok_or_else(split_character)?;
    Ok(Item::text(rest.get(..rest.len() - after.len()).unwrap_or_default()))
}

fn outside(at: i64, text: &str) -> ExpressionError {
    ExpressionError::evaluation(format!(
        "place {at} is outside a text of {} characters; test size() first",
        length(text)
    ))
}

/// A byte offset as a place in UTF-16 units.
fn found(text: &str, at: Option<usize>) -> Item {
    at.and_then(|at| text.get(..at))
        .map_or(Item::int(-1), |before| Item::count(length(before)))
}

fn unit_position(text: &str, code: i32) -> Item {
    let wanted = u32::try_from(code).ok().and_then(char::from_u32);
    found(text, wanted.and_then(|c| text.find(c)))
}

/// Java's trim: everything up to the blank, at both ends.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars.clone()).collect())
}

fn equal_ignoring_case(left: &str, right: &str) -> bool {
    length(left) == length(right) && fold(left) == fold(right)
}

/// Each character folded by itself, first up and then down.
fn fold(text: &str) -> String {
    let single = |mut mapped: std::iter::Peekable<std::vec::IntoIter<char>>, or: char| {
        let first = mapped.next();
        if mapped.peek().is_some() {
            or
        } else {
            first.unwrap_or(or)
        }
    };
    let map = |c: char, upper: bool| {
        let mapped: Vec<char> = if upper {
            c.to_uppercase().collect()
        } else {
            c.to_lowercase().collect()
        };
        single(mapped.into_iter().peekable(), c)
    };
    text.chars().map(|c| map(map(c, true), false)).collect()
}

/// Java's compareTo: the difference of the first units that differ, else of the lengths.
fn difference(left: &str, right: &str) -> i32 {
    if compare_texts(left, right).is_eq() {
        return 0;
    }
    let differing = left
        .encode_utf16()
        .zip(right.encode_utf16())
        .find(|(left, right)| left != right);
    differing.map_or_else(
        || {
            let count = |text| i32::try_from(length(text)).unwrap_or(i32::MAX);
            count(left) - count(right)
        },
        |(left, right)| i32::from(left) - i32::from(right),
    )
}

fn occurrences(text: &str, part: &str) -> usize {
    if part.is_empty() {
        return length(text) + 1;
    }
    // Overlapping ones count.
    let mut count = 0;
    let mut rest = text;
    while let Some(at) = rest.find(part) {
        count += 1;
        let step = rest
            .get(at..)
            .and_then(|found| found.chars().next())
            .map_or(1, char::len_utf8);
        rest = rest.get(at + step..).unwrap_or_default();
    }
    count
}

pub(super) fn units(text: &str) -> Result<Vec<Item>, ExpressionError> {
    check_items(text.len())?;
    text.chars()
        .map(|c| {
            if c.len_utf16() == 1 {
                Ok(Item::text(c.to_string()))
            } else {
                Err(split_character())
            }
        })
        .collect()
}

/// `split`, whose argument is a regular expression in the reference: only one that means itself is taken.
fn split(text: &str, separator: &str) -> Answer {
    let literal = separator
        .strip_prefix('\\')
        .filter(|rest| rest.chars().count() == 1 && rest.chars().all(is_special));
    let separator = literal.unwrap_or(separator);
    if literal.is_none() && separator.chars().any(is_special) {
        return Err(ExpressionError::evaluation(format!(
            "split(`{separator}`) needs a regular expression, which conditions do not have; write tokenize or a plain separator"
        )));
    }
    let mut parts: Vec<&str> = if separator.is_empty() {
        text.char_indices()
            .filter_map(|(at, c)| text.get(at..at + c.len_utf8()))
            .collect()
    } else {
        text.split(separator).collect()
    };
    if parts.len() > 1 {
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
    }
    if text.is_empty() {
        parts = vec![""];
    }
    check_items(parts.len())?;
    Ok(Item::List(List::with_kind(
        ListKind::Array,
        parts.into_iter().map(Item::text).collect(),
    )))
}

fn is_special(c: char) -> bool {
    matches!(
        c,
        '\\' | '^' | '$' | '.' | '|' | '?' | '*' | '+' | '(' | ')' | '[' | ']' | '{' | '}'
    )
}

fn tokens(text: &str, separators: &str) -> Answer {
    let tokens: Vec<Item> = text
        .split(|c| separators.contains(c))
        .filter(|token| !token.is_empty())
        .map(Item::text)
        .collect();
    check_items(tokens.len())?;
    Ok(Item::List(List::of(tokens)))
}

pub(super) fn parsed<T>(read: Option<T>, text: &str, wanted: &str) -> Result<T, ExpressionError> {
    read.ok_or_else(|| {
        let start: String = text.chars().take(40).collect();
        ExpressionError::evaluation(format!("the text `{start}` is not {wanted}; test isNumber() first"))
    })
}

/// Java's reading of an integer: digits with at most one sign.
pub(super) fn read_integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    if is_whole(text) { text.parse().ok() } else { None }
}

fn is_whole(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn read_big(text: &str) -> Option<Result<num_bigint::BigInt, ExpressionError>> {
    if !is_whole(text) {
        return None;
    }
    read_decimal(text).map(|decimal| decimal.map(|decimal| decimal.digits))
}

pub(super) fn read_decimal(text: &str) -> Option<Result<Decimal, ExpressionError>> {
    Decimal::read(text)
}

/// Java's reading of a floating number: a suffix is allowed, and three words.
pub(super) fn read_double(text: &str) -> Option<f64> {
    let text = trim(text);
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text);
    match unsigned {
        "NaN" => Some(f64::NAN),
        "Infinity" => text.parse().ok(),
        _ if is_floating(number) => number.parse().ok(),
        _ => None,
    }
}

pub(super) fn read_float(text: &str) -> Option<f32> {
    read_double(text)?;
    let text = trim(text);
    text.parse()
        .or_else(|_| text.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(text).parse())
        .ok()
}

fn is_floating(text: &str) -> bool {
    let has_digit = text
        .bytes()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .any(|byte| byte.is_ascii_digit());
    has_digit
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
}
