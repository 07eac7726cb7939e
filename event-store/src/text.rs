//! What the texts of this crate have in common: how a malformed one is told, decimal numbers, base64, names.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use crate::merkle::TreeHash;

/// A text that does not have the form it must have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}, line {line}: {why}")]
pub struct Malformed {
    what: &'static str,
    line: usize,
    why: String,
}

impl Malformed {
    pub(crate) fn new(what: &'static str, line: usize, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { what, line, why }
    }

    /// The same, told of a text that this one stands in, below so many lines.
    pub(crate) fn below(mut self, lines: usize) -> Self {
        self.line = self.line.saturating_add(lines);
        self
    }

    /// The line of the text, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

/// The bytes as text, if they are UTF-8 and no more than `max`.
pub(crate) fn bounded<'a>(what: &'static str, bytes: &'a [u8], max: usize) -> Result<&'a str, Malformed> {
    if bytes.len() > max {
        let why = format!("it has {} bytes, more than {max} are not read", bytes.len());
        return Err(Malformed::new(what, 1, why));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        Malformed::new(what, 1 + newlines(before), "it is not UTF-8")
    })
}

/// The number of line ends.
pub(crate) fn newlines(bytes: &[u8]) -> usize {
    bytes.split(|&byte| byte == b'\n').count().saturating_sub(1)
}

/// A number in decimal digits without leading zeros.
pub(crate) fn decimal(text: &str) -> Result<u64, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_plain || (text.len() > 1 && text.starts_with('0')) {
        return Err(format!(
            "{} is not a decimal number without leading zeros",
            quoted(text)
        ));
    }
    text.parse()
        .map_err(|_| format!("{} is larger than {}", quoted(text), u64::MAX))
}

/// Bytes in the one base64 form that stands for them: standard alphabet, padded, unused bits zero.
pub(crate) fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(text)
        .map_err(|error| format!("{} is not canonical base64: {error}", quoted(text)))
}

/// Bytes as base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Result<TreeHash, String> {
    let bytes = from_base64(text)?;
    let len = bytes.len();
    TreeHash::try_from(bytes).map_err(|_| format!("a hash has 32 bytes, this one {len}"))
}

/// Why a text cannot be the name of a key.
pub(crate) fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("a key's name must not be empty".into())
    } else if name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
        Some(format!(
            "{} is no name of a key: it has a space, a control character or a plus",
            quoted(name)
        ))
    } else {
        None
    }
}

/// A text from outside, shortened, for a message.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        assert_eq!(decimal("0"), Ok(0));
        assert_eq!(decimal("18446744073709551615"), Ok(u64::MAX));
        for wrong in [
            "",
            "00",
            "01",
            "-1",
            "+1",
            " 1",
            "1 ",
            "0x1",
            "1e3",
            "18446744073709551616",
            "١",
        ] {
            assert!(decimal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn base64_has_one_form() {
        assert_eq!(from_base64("AQ=="), Ok(vec![1]));
        assert_eq!(from_base64(""), Ok(vec![]));
        for wrong in [
            "AQ", "AQ=", "AR==", "AQ===", "A Q==", "AQ==\n", "AQ-_", "=AQ=", "AQ==AQ==",
        ] {
            assert!(from_base64(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_without_spaces_and_plus() {
        assert_eq!(name_fault("example.com/log"), None);
        for wrong in ["", "a b", "a+b", "a\u{2003}b", "a\nb", "a\u{0}b"] {
            assert!(name_fault(wrong).is_some(), "{wrong:?}");
        }
    }
}
