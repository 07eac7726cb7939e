//! Ed25519 keys of signed notes: their texts, what they sign and check, and the file of a private one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::file;
use crate::record::Partition;
use crate::text::{Malformed, from_base64, name_fault, quoted, to_base64};

/// What a key signs, as the byte before the key in its text and in its id (C2SP `signed-note`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// The text of a note, as a log does with its checkpoints.
    Note = 0x01,
    /// A checkpoint and the time at which it was seen, as a witness does (C2SP `tlog-cosignature`, version 1).
    Cosignature = 0x04,
}

impl KeyKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Note, Self::Cosignature]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Bytes the name of a key may have.
pub const KEY_NAME_MAX: usize = 255;

/// Bytes the text of a key may have.
const KEY_TEXT_MAX: usize = KEY_NAME_MAX + 128;

/// What the text of a private key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";

/// The largest time a cosignature may tell, in seconds.
const SECONDS_MAX: u64 = i64::MAX.unsigned_abs();

/// A public key with its name. Its text is a C2SP vkey: `name+id+base64(kind, key)`.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    kind: KeyKind,
    key: VerifyingKey,
    id: [u8; 4],
}

impl PublicKey {
    fn new(name: &str, kind: KeyKind, key: VerifyingKey) -> Result<Self, String> {
        check_name(name)?;
        let mut hasher = Sha256::new();
        hasher.update(name);
        hasher.update([b'\n', kind as u8]);
        hasher.update(key.as_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let [a, b, c, d, ..] = digest;
        Ok(Self {
            name: name.to_owned(),
            kind,
            key,
            id: [a, b, c, d],
        })
    }

    /// The name: of a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the key signs.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The id that stands in front of its signatures.
    pub fn id(&self) -> [u8; 4] {
        self.id
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// What the bytes behind the id in a signature line prove about a note's text; `None` if nothing.
    pub(crate) fn check(&self, text: &str, signature: &[u8]) -> Option<Signed> {
        match self.kind {
            KeyKind::Note => {
                let signature = Signature::from_slice(signature).ok()?;
                self.key.verify_strict(text.as_bytes(), &signature).ok()?;
                Some(Signed { seconds: None })
            }
            KeyKind::Cosignature => {
                let (seconds, signature) = signature.split_first_chunk()?;
                let seconds = u64::from_be_bytes(*seconds);
                let signature = Signature::from_slice(signature).ok()?;
                let message = cosigned(text, seconds);
                let is_right = seconds <= SECONDS_MAX && self.key.verify_strict(message.as_bytes(), &signature).is_ok();
                is_right.then_some(Signed { seconds: Some(seconds) })
            }
        }
    }
}

/// What a signature that was found right says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// The time in a cosignature, in seconds since 1970.
    pub(crate) seconds: Option<u64>,
}

fn cosigned(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

fn check_name(name: &str) -> Result<(), String> {
    if name.len() > KEY_NAME_MAX {
        return Err(format!("the name has {} bytes, more than {KEY_NAME_MAX}", name.len()));
    }
    name_fault(name).map_or(Ok(()), Err)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(f, &self.name, self.id, self.kind, self.as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parse = || {
            let KeyText { name, id, kind, bytes } = KeyText::parse(text)?;
            let key = VerifyingKey::from_bytes(&bytes).map_err(|_| "it is no point of the curve".to_owned())?;
            if key.is_weak() {
                return Err("it is one of the few keys for which anybody can sign".to_owned());
            }
            check_id(Self::new(name, kind, key)?, id)
        };
        parse().map_err(|why| Malformed::new("a public key", 1, why))
    }
}

/// The parts of a key's text.
struct KeyText<'a> {
    name: &'a str,
    id: [u8; 4],
    kind: KeyKind,
    bytes: [u8; 32],
}

impl<'a> KeyText<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        if text.len() > KEY_TEXT_MAX {
            return Err(format!(
                "it has {} bytes, more than {KEY_TEXT_MAX} are not read",
                text.len()
            ));
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("it does not have the three parts name+id+key".into());
        };
        let is_hex = id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = u32::from_str_radix(id, 16).ok().filter(|_| is_hex);
        let id = id.ok_or("the id between the two plus signs is not eight hexadecimal digits")?;
        let key = from_base64(key)?;
        let (&kind, key) = key.split_first().ok_or("the key is empty")?;
        let kind = KeyKind::from_byte(kind)
            .ok_or_else(|| format!("keys of kind {kind:#04x} are not known here: 0x01 and 0x04 are"))?;
        let bytes = key
            .try_into()
            .map_err(|_| format!("a key has 32 bytes, this one {}", key.len()))?;
        Ok(Self {
            name,
            id: id.to_be_bytes(),
            kind,
            bytes,
        })
    }
}

fn check_id(key: PublicKey, id: [u8; 4]) -> Result<PublicKey, String> {
    if key.id == id {
        Ok(key)
    } else {
        let right = u32::from_be_bytes(key.id);
        Err(format!("the id is not that of name and key, which is {right:08x}"))
    }
}

fn write_key(f: &mut impl fmt::Write, name: &str, id: [u8; 4], kind: KeyKind, bytes: &[u8; 32]) -> fmt::Result {
    let key = [&[kind as u8], bytes.as_slice()].concat();
    write!(f, "{name}+{:08x}+{}", u32::from_be_bytes(id), to_base64(&key))
}

/// A private key with its name.
///
/// Its text is that of the public key with `PRIVATE+KEY+` before it and the secret instead of the key, which other tools
/// for signed notes read and write, too. The secret is wiped from memory when the key is dropped; debug output does not
/// show it.
pub struct SigningKey {
    public: PublicKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    ///
    /// `Name`; `Random` if the system has no random numbers.
    pub fn generate(name: &str, kind: KeyKind) -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| KeyError::Random(error.to_string()))?;
        Self::from_secret(name, kind, &secret).map_err(KeyError::Name)
    }

    fn from_secret(name: &str, kind: KeyKind, secret: &[u8; 32]) -> Result<Self, String> {
        let key = ed25519_dalek::SigningKey::from_bytes(secret);
        let public = PublicKey::new(name, kind, key.verifying_key())?;
        Ok(Self { public, key })
    }

    /// The key in a file. A file that others may read, or that its group may write, is refused.
    ///
    /// # Errors
    ///
    /// `Io`, `Exposed`, `Malformed`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let failed = |source| KeyError::io(path, "reading the key", source);
        let (bytes, mode) = file::read_with_mode(path, KEY_TEXT_MAX + PRIVATE.len() + 1).map_err(failed)?;
        if mode.is_some_and(|mode| mode & 0o027 != 0) {
            return Err(KeyError::Exposed { path: path.to_owned() });
        }
        let malformed = |why| KeyError::Malformed {
            path: path.to_owned(),
            source: Malformed::new("a private key", 1, why),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let text = text
            .strip_suffix('\n')
            .ok_or_else(|| malformed("it does not end with a line end"))?;
        text.parse().map_err(|source| KeyError::Malformed {
            path: path.to_owned(),
            source,
        })
    }

    /// The log key in a file, which is made with a new key of this name if there is none.
    ///
    /// A new file appears whole and on disk or not at all, and only its owner can read it. A file that is there is never
    /// written again: whoever loses it cannot sign for this log any more, and whoever has it can.
    ///
    /// # Errors
    ///
    /// As [`SigningKey::load`], and `OtherName` if the file's key has another name; `Name`, `Random` for a new one.
    pub fn load_or_create(path: impl AsRef<Path>, name: &str) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let key = match Self::load(path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Self::create(path, name)?,
            loaded => loaded?,
        };
        if key.public.name != name || key.public.kind != KeyKind::Note {
            return Err(KeyError::OtherName {
                path: path.to_owned(),
                found: key.public.to_string(),
                expected: name.to_owned(),
            });
        }
        Ok(key)
    }

    fn create(path: &Path, name: &str) -> Result<Self, KeyError> {
        let key = Self::generate(name, KeyKind::Note)?;
        match file::create(path, key.to_text().as_bytes()) {
            Ok(()) => Ok(key),
            // Somebody else was quicker; that key it is.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(KeyError::io(path, "creating the key", source)),
        }
    }

    /// The text of the private key, with a line end: what a key file holds.
    pub fn to_text(&self) -> String {
        let mut text = PRIVATE.to_owned();
        let PublicKey { name, id, kind, .. } = &self.public;
        let written = write_key(&mut text, name, *id, *kind, self.key.as_bytes());
        debug_assert!(written.is_ok(), "writing to a text does not fail");
        text.push('\n');
        text
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The bytes behind the id in a signature line for a note's text; `seconds` since 1970 go into a cosignature.
    pub(crate) fn sign(&self, text: &str, seconds: u64) -> Vec<u8> {
        match self.public.kind {
            KeyKind::Note => self.key.sign(text.as_bytes()).to_bytes().to_vec(),
            KeyKind::Cosignature => {
                let seconds = seconds.min(SECONDS_MAX);
                let signature = self.key.sign(cosigned(text, seconds).as_bytes());
                [seconds.to_be_bytes().as_slice(), &signature.to_bytes()].concat()
            }
        }
    }
}

impl FromStr for SigningKey {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let parse = || {
            let text = text
                .strip_prefix(PRIVATE)
                .ok_or("it does not begin with PRIVATE+KEY+")?;
            let KeyText { name, id, kind, bytes } = KeyText::parse(text)?;
            let key = Self::from_secret(name, kind, &bytes)?;
            check_id(key.public.clone(), id)?;
            Ok(key)
        };
        parse().map_err(|why: String| Malformed::new("a private key", 1, why))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public)
    }
}

/// A name for the log of a partition that no other log has: it is made of the store's origin.
///
/// Whoever has a domain does better with a name below it, such as `example.com/orders`.
pub fn default_log_name(origin: &[u8; 16], partition: Partition) -> String {
    let origin = u128::from_be_bytes(*origin);
    match partition {
        0 => format!("flowledger/{origin:032x}"),
        _ => format!("flowledger/{origin:032x}/{partition}"),
    }
}

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The name cannot be one.
    #[error("{0}")]
    Name(String),
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// The file cannot be read or written.
    #[error("{}: {doing}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is open to others than its owner.
    #[error(
        "{}: others may read this private key, or its group may write it; if nobody did, take the right away (chmod 600)",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The file does not hold a key.
    #[error("{}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Malformed,
    },
    /// The file holds another log's key.
    #[error(
        "{}: this is the key {}, not the log key of {}; a log keeps its key and its name for life",
        path.display(), quoted(found), quoted(expected)
    )]
    OtherName {
        /// The file.
        path: PathBuf,
        /// The public key in the file.
        found: String,
        /// The name of the log.
        expected: String,
    },
}

impl KeyError {
    fn io(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_owned();
        Self::Io { path, doing, source }
    }
}

#[cfg(test)]
pub(crate) mod tests;
