//! Signed notes (C2SP `signed-note`): a text and the signatures under it; knows nothing of what the text says.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::key::{PublicKey, Signed, SigningKey};
use crate::text::{Malformed, bounded, from_base64, name_fault, newlines, quoted, to_base64};

/// Bytes a signed note may have.
pub const NOTE_MAX: usize = 1 << 20;

/// Signatures a note may have.
pub const SIGNATURES_MAX: usize = 100;

/// What a signature line begins with.
const DASH: &str = "— ";

const WHAT: &str = "a signed note";

/// A text with signatures. The text proves nothing until a signature of a known key has been checked.
///
/// Signatures of keys that are not known here are kept as they are. Parsing and showing give the same bytes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// A line under a note: who signed, and the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

impl NoteSignature {
    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    pub fn key_id(&self) -> [u8; 4] {
        self.id
    }

    /// Whether it says to be of this key.
    pub fn is_of(&self, key: &PublicKey) -> bool {
        self.name == key.name() && self.id == key.id()
    }

    /// What it proves about a note's text; `None` if nothing, or if it is of another key.
    pub(crate) fn check(&self, text: &str, key: &PublicKey) -> Option<Signed> {
        if self.is_of(key) {
            key.check(text, &self.bytes)
        } else {
            None
        }
    }
}

impl fmt::Display for NoteSignature {
    /// The line, without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.bytes].concat();
        write!(f, "{DASH}{} {}", self.name, to_base64(&bytes))
    }
}

impl FromStr for NoteSignature {
    type Err = Malformed;

    /// Reads a line without its end.
    fn from_str(line: &str) -> Result<Self, Malformed> {
        let parse = || {
            let line = line
                .strip_prefix(DASH)
                .ok_or("a signature line begins with an em dash (U+2014) and a space")?;
            let (name, signature) = line
                .split_once(' ')
                .ok_or("a signature line has a name and a signature")?;
            if let Some(fault) = name_fault(name) {
                return Err(fault);
            }
            let bytes = from_base64(signature)?;
            match bytes.split_first_chunk() {
                Some((id, bytes)) if !bytes.is_empty() => Ok(Self {
                    name: name.to_owned(),
                    id: *id,
                    bytes: bytes.to_vec(),
                }),
                _ => Err("a signature has more than the four bytes of the key's id".to_owned()),
            }
        };
        parse().map_err(|why: String| Malformed::new("a note's signature", 1, why))
    }
}

impl Note {
    /// Signs a text, which ends with a line end.
    ///
    /// A cosignature takes the time in seconds since 1970; other signatures do not say when they were made.
    ///
    /// # Errors
    ///
    /// A text that cannot be that of a note.
    pub fn sign(text: &str, key: &SigningKey, seconds: u64) -> Result<Self, Malformed> {
        bounded(WHAT, text.as_bytes(), NOTE_MAX)?;
        check_characters(text)?;
        if !text.ends_with('\n') {
            return Err(Malformed::new(
                WHAT,
                1 + newlines(text.as_bytes()),
                "the text does not end with a line end",
            ));
        }
        let signature = signature(text, key, seconds);
        Ok(Self {
            text: text.to_owned(),
            signatures: vec![signature],
        })
    }

    /// Reads a signed note.
    ///
    /// # Errors
    ///
    /// Anything that is not the one form of a note: not UTF-8, control characters, no signature, a line that is none,
    /// more than [`NOTE_MAX`] bytes or [`SIGNATURES_MAX`] signatures.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let note = bounded(WHAT, bytes, NOTE_MAX)?;
        check_characters(note)?;
        let (text, lines) = note
            .rfind("\n\n")
            .and_then(|end| note.split_at_checked(end + 1))
            .ok_or_else(|| Malformed::new(WHAT, 1, "there is no empty line between text and signatures"))?;
        let lines = lines.strip_prefix('\n').unwrap_or(lines);
        let above = newlines(text.as_bytes()) + 1;
        let signatures = parse_signatures(lines).map_err(|error| error.below(above))?;
        Ok(Self {
            text: text.to_owned(),
            signatures,
        })
    }

    /// The text, with its last line end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, of keys known or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Takes one more signature.
    ///
    /// # Errors
    ///
    /// `TooMany`.
    pub(crate) fn add(&mut self, signature: NoteSignature) -> Result<(), SignatureError> {
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(SignatureError::TooMany);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Drops the signatures of a key.
    pub(crate) fn drop_of(&mut self, key: &PublicKey) {
        self.signatures.retain(|signature| !signature.is_of(key));
    }

    /// What the signatures of a key say; empty if there is none.
    ///
    /// # Errors
    ///
    /// `Wrong` if one of them is not right.
    pub(crate) fn signed_by(&self, key: &PublicKey) -> Result<Vec<Signed>, SignatureError> {
        let lines = self.signatures.iter().filter(|signature| signature.is_of(key));
        lines
            .map(|signature| {
                signature.check(&self.text, key).ok_or_else(|| SignatureError::Wrong {
                    key: key.name().to_owned(),
                })
            })
            .collect()
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures
            .iter()
            .try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// Signs a note's text.
pub(crate) fn signature(text: &str, key: &SigningKey, seconds: u64) -> NoteSignature {
    NoteSignature {
        name: key.public().name().to_owned(),
        id: key.public().id(),
        bytes: key.sign(text, seconds),
    }
}

/// Reads lines of signatures, one at least.
///
/// # Errors
///
/// A line that is none; more than [`SIGNATURES_MAX`].
pub(crate) fn parse_signatures(lines: &str) -> Result<Vec<NoteSignature>, Malformed> {
    let Some(lines) = lines.strip_suffix('\n') else {
        let why = if lines.is_empty() {
            "there is no signature"
        } else {
            "the last line has no end"
        };
        return Err(Malformed::new(WHAT, 1 + newlines(lines.as_bytes()), why));
    };
    let mut signatures = Vec::new();
    for (number, line) in lines.split('\n').enumerate() {
        if number >= SIGNATURES_MAX {
            let why = format!("more than {SIGNATURES_MAX} signatures are not read");
            return Err(Malformed::new(WHAT, number + 1, why));
        }
        signatures.push(line.parse().map_err(|error: Malformed| error.below(number))?);
    }
    Ok(signatures)
}

fn check_characters(text: &str) -> Result<(), Malformed> {
    let found = text.bytes().position(|byte| byte < b' ' && byte != b'\n');
    let Some(place) = found else { return Ok(()) };
    let line = 1 + newlines(text.as_bytes().get(..place).unwrap_or_default());
    let byte = text.as_bytes().get(place).copied().unwrap_or_default();
    Err(Malformed::new(
        WHAT,
        line,
        format!("it has the control character {byte:#04x}"),
    ))
}

/// Why signatures are not enough.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The text, or a signature line, is malformed.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The key did not sign.
    #[error("there is no signature of {}", quoted(key))]
    Missing {
        /// The name of the key.
        key: String,
    },
    /// A signature of the key is not one over this text.
    #[error(
        "the signature of {} is wrong: the text, or the signature, is not the one that was made",
        quoted(key)
    )]
    Wrong {
        /// The name of the key.
        key: String,
    },
    /// A key of this kind does not sign what it is asked to.
    #[error("{} is not {wanted}", quoted(key))]
    Kind {
        /// The name of the key.
        key: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The checkpoint is of another log than the key.
    #[error("the checkpoint is of the log {}, the key of {}", quoted(found), quoted(expected))]
    Origin {
        /// The origin in the checkpoint.
        found: String,
        /// The name of the key.
        expected: String,
    },
    /// There is no room for another signature.
    #[error("a note has at most {SIGNATURES_MAX} signatures")]
    TooMany,
}

#[cfg(test)]
mod tests;
