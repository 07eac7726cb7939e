//! Small things in words: statuses, elements, variables, ids. Nothing here writes.

use std::borrow::Cow;
use std::fmt::Write;

use flowledger::{CodeClass, Date, ElementType, InstanceData, Retry, Value};

/// Characters by which an id or a hash is told from others where nobody has to type it.
const SHORT: usize = 8;

/// Text without control characters: what a model or a caller stored must not steer a terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) {
        Cow::Owned(
            text.chars()
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// An element: its key, and its name where it has one.
pub(crate) fn element(key: &str, name: &str) -> String {
    if name.is_empty() {
        plain(key).into_owned()
    } else {
        format!("{} ({})", plain(key), plain(name))
    }
}

/// The status of a flow instance.
pub(crate) fn instance_status(status: i32) -> &'static str {
    match status {
        1 | 4 => "completed",
        2 => "running",
        3 => "terminated",
        5 => "suspended",
        6 => "aborted",
        _ => "unknown",
    }
}

/// The status of a node instance.
pub(crate) fn node_status(status: i32) -> &'static str {
    match status {
        1 => "completed",
        2 => "waiting",
        3 => "failed",
        4 => "rolled back",
        5 => "waiting for other branches",
        6 => "closed",
        _ => "unknown",
    }
}

/// The type of an element, by its number.
pub(crate) fn element_type(number: i64) -> String {
    ElementType::from_number(number).to_string()
}

/// The status of a flow module in lists: whether it can be started.
pub(crate) fn module_status(status: i32) -> &'static str {
    match status {
        1 => "draft",
        2 => "deployed",
        3 => "offline",
        _ => "unknown",
    }
}

/// The class of a code.
pub(crate) fn code_class(class: CodeClass) -> &'static str {
    match class {
        CodeClass::Ok => "ok",
        CodeClass::Request => "request",
        CodeClass::Permission => "permission",
        CodeClass::Concurrency => "concurrency",
        CodeClass::Definition => "definition",
        CodeClass::Runtime => "runtime",
        CodeClass::Lifecycle => "lifecycle",
        CodeClass::Integrity => "integrity",
        CodeClass::Platform => "platform",
    }
}

/// Whether to send a request again.
pub(crate) fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "never",
        Retry::Same => "same",
        Retry::Refresh => "refresh",
        Retry::AfterFix => "after-fix",
    }
}

/// Variables as one would type them.
pub(crate) fn variables(variables: &[InstanceData]) -> String {
    let texts: Vec<String> = variables
        .iter()
        .map(|variable| format!("{}={}", variable.key, value(&variable.value)))
        .collect();
    if texts.is_empty() {
        "none".to_owned()
    } else {
        plain(&texts.join(" ")).into_owned()
    }
}

/// A value as one would type it behind `key=`: text without quotes where it stays text that way.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Text(text) if is_bare(text) && Value::from_json(text).is_err() => text.to_string(),
        other => other.to_string(),
    }
}

/// Variables as a shell takes them, a blank before each.
pub(crate) fn typed(variables: &[InstanceData]) -> String {
    let typed = variables.iter().map(|variable| {
        let text = format!("{}={}", variable.key, value(&variable.value));
        let is_plain = text.chars().all(|c| is_bare_char(c) || c == '=');
        if is_plain {
            format!(" {text}")
        } else {
            format!(" '{}'", text.replace('\'', "'\\''"))
        }
    });
    typed.collect()
}

/// An argument as a shell takes it.
pub(crate) fn argument(text: &str) -> String {
    if is_bare(text) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

fn is_bare(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_bare_char)
}

fn is_bare_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '+' | '@')
}

/// A time to the second.
pub(crate) fn seconds(date: &Date) -> String {
    let text = date.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The beginning of an id or a hash.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(SHORT).collect()
}

/// A number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// A large number with its noun.
pub(crate) fn count_u64(number: u64, noun: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_shown_is_the_value_typed() {
        for json in [
            "3",
            "1.50",
            "\"Lin\"",
            "\"3\"",
            "\"true\"",
            "\"two words\"",
            "\"\"",
            "null",
            "[1,\"a\"]",
        ] {
            let original = Value::from_json(json).unwrap();
            let shown = value(&original);
            assert_eq!(
                Value::from_json(&shown).unwrap_or_else(|_| Value::from(&*shown)),
                original,
                "{json}"
            );
        }
    }

    #[test]
    fn control_characters_are_not_shown() {
        assert_eq!(plain("a\u{1b}[31mb\n"), "a\u{fffd}[31mb\u{fffd}");
    }
}
