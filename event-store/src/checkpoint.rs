//! Checkpoints (C2SP `tlog-checkpoint`): how large a log is and what its root is, signed by the log and by witnesses.

use std::fmt;
use std::io;
use std::path::Path;

use crate::error::StoreError;
use crate::file;
use crate::key::{KeyKind, PublicKey, SigningKey};
use crate::merkle::{EMPTY_ROOT, TreeHash};
use crate::note::{NOTE_MAX, Note, NoteSignature, SignatureError, parse_signatures, signature};
use crate::text::{Malformed, bounded, decimal, hash, to_base64};

const WHAT: &str = "a checkpoint";

/// What a checkpoint says: this log has so many records, and this root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's unique name, which is its key's name.
    pub origin: String,
    /// The number of records.
    pub size: u64,
    /// The root of the tree over them.
    pub root: TreeHash,
    /// Further lines. This crate writes none, but keeps and checks those that others wrote.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads the text under the signatures.
    ///
    /// # Errors
    ///
    /// Anything that is not the one form of a checkpoint, and a log without records whose root is not [`EMPTY_ROOT`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let malformed = |line, why: String| Malformed::new(WHAT, line, why);
        let lines = text
            .strip_suffix('\n')
            .ok_or_else(|| malformed(1 + text.matches('\n').count(), "the last line has no end".into()))?;
        if let Some(line) = lines.split('\n').position(str::is_empty) {
            return Err(malformed(line + 1, "a line is empty".into()));
        }
        let mut lines = lines.split('\n');
        let mut next = |line, what| {
            lines
                .next()
                .ok_or_else(|| malformed(line, format!("there is no {what}")))
        };
        let origin = next(1, "origin")?.to_owned();
        let size = decimal(next(2, "size")?).map_err(|why| malformed(2, why))?;
        let root = hash(next(3, "root")?).map_err(|why| malformed(3, why))?;
        if size == 0 && root != EMPTY_ROOT {
            return Err(malformed(3, "a log without records has another root".into()));
        }
        Ok(Self {
            origin,
            size,
            root,
            extensions: lines.map(str::to_owned).collect(),
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            origin,
            size,
            root,
            extensions,
        } = self;
        writeln!(f, "{origin}\n{size}\n{}", to_base64(root))?;
        extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint with the log's signature and the cosignatures it has got.
///
/// It proves nothing until [`SignedCheckpoint::verify`] has been asked. Parsing and showing give the same bytes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

/// That a witness has seen a checkpoint, and found it to continue all it had seen of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// The name of the witness's key.
    pub witness: String,
    /// When, in seconds since 1970, by the witness's clock.
    pub seconds: u64,
}

impl SignedCheckpoint {
    /// Signs a checkpoint with the log's key.
    ///
    /// The caller sees to it that it continues every checkpoint the key has signed before;
    /// [`MerkleLog::checkpoint`](crate::MerkleLog::checkpoint) does.
    ///
    /// # Errors
    ///
    /// `Kind` and `Origin` for a key that is not the log's, `Malformed` for lines that cannot be written.
    pub fn sign(checkpoint: Checkpoint, key: &SigningKey) -> Result<Self, SignatureError> {
        check_log_key(&checkpoint, key.public())?;
        let text = checkpoint.to_string();
        if Checkpoint::parse(&text)? != checkpoint {
            return Err(Malformed::new(WHAT, 1, "a line has a line end in it").into());
        }
        let note = Note::sign(&text, key, 0)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a checkpoint as [`Display`](fmt::Display) shows it.
    ///
    /// # Errors
    ///
    /// Anything that is not the one form of a signed checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { checkpoint, note })
    }

    /// What it says, if it is to be believed.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The signature lines, of keys known or not.
    pub fn signatures(&self) -> &[NoteSignature] {
        self.note.signatures()
    }

    /// Checks that the log has signed it.
    ///
    /// # Errors
    ///
    /// `Kind`, `Origin`, `Missing`, `Wrong`.
    pub fn verify(&self, log: &PublicKey) -> Result<(), SignatureError> {
        check_log_key(&self.checkpoint, log)?;
        if self.note.signed_by(log)?.is_empty() {
            return Err(SignatureError::Missing {
                key: log.name().to_owned(),
            });
        }
        Ok(())
    }

    /// The cosignatures of these witnesses, the newest one of each that has cosigned, in the order of the keys.
    ///
    /// # Errors
    ///
    /// `Kind` for a key that is not a witness's; `Wrong` if there is a cosignature that is not right.
    pub fn cosignatures(&self, witnesses: &[PublicKey]) -> Result<Vec<Cosignature>, SignatureError> {
        let mut cosignatures = Vec::new();
        for witness in witnesses {
            check_witness_key(witness)?;
            let signed = self.note.signed_by(witness)?;
            if let Some(seconds) = signed.into_iter().filter_map(|signed| signed.seconds).max() {
                cosignatures.push(Cosignature {
                    witness: witness.name().to_owned(),
                    seconds,
                });
            }
        }
        Ok(cosignatures)
    }

    /// Takes the lines with which witnesses answer, and keeps those of these keys; how many are new.
    ///
    /// A later cosignature takes the place of an earlier one by the same witness. Lines of other keys are passed over.
    ///
    /// # Errors
    ///
    /// `Malformed`, `Kind`, `Wrong`, `TooMany`; nothing is taken then.
    pub fn add_cosignatures(&mut self, lines: &[u8], witnesses: &[PublicKey]) -> Result<usize, SignatureError> {
        let lines = parse_signatures(bounded("a witness's answer", lines, NOTE_MAX)?)?;
        let mut note = self.note.clone();
        let mut taken = 0;
        for witness in witnesses {
            check_witness_key(witness)?;
            let mut newest = note
                .signed_by(witness)?
                .iter()
                .filter_map(|signed| signed.seconds)
                .max();
            for line in lines.iter().filter(|line| line.is_of(witness)) {
                let seconds = line.check(note.text(), witness).and_then(|signed| signed.seconds);
                if seconds.is_none() {
                    return Err(SignatureError::Wrong {
                        key: witness.name().to_owned(),
                    });
                }
                if seconds > newest {
                    note.drop_of(witness);
                    note.add(line.clone())?;
                    taken += 1;
                    newest = seconds;
                }
            }
        }
        self.note = note;
        Ok(taken)
    }

    /// Cosigns it as a witness would, who has checked that it continues the checkpoints seen before.
    ///
    /// # Errors
    ///
    /// `Kind` for a key that is not a witness's.
    pub fn cosign(&self, witness: &SigningKey, seconds: u64) -> Result<NoteSignature, SignatureError> {
        check_witness_key(witness.public())?;
        Ok(signature(self.note.text(), witness, seconds))
    }

    /// The checkpoint in a file; `None` if there is no file.
    ///
    /// # Errors
    ///
    /// `Io`; `Damaged` if the file holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Option<Self>, StoreError> {
        let path = path.as_ref();
        let bytes = match file::read_with_mode(path, NOTE_MAX) {
            Ok((bytes, _)) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(failed(path, "reading", source)),
        };
        let parsed =
            Self::parse(&bytes).map_err(|error| StoreError::damaged(path.display().to_string(), error.to_string()))?;
        Ok(Some(parsed))
    }

    /// Puts it into a file, in the place of the one that is there; after a crash the file has the old one or this one.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), StoreError> {
        let path = path.as_ref();
        file::replace(path, self.to_string().as_bytes()).map_err(|source| failed(path, "writing", source))
    }
}

fn failed(path: &Path, doing: &str, source: io::Error) -> StoreError {
    let doing = format!("{}: {doing} the checkpoint", path.display());
    StoreError::Io { doing, source }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

fn check_log_key(checkpoint: &Checkpoint, key: &PublicKey) -> Result<(), SignatureError> {
    if key.kind() != KeyKind::Note {
        return Err(SignatureError::Kind {
            key: key.name().to_owned(),
            wanted: "a log's key (kind 0x01)",
        });
    }
    if checkpoint.origin != key.name() {
        return Err(SignatureError::Origin {
            found: checkpoint.origin.clone(),
            expected: key.name().to_owned(),
        });
    }
    Ok(())
}

pub(crate) fn check_witness_key(key: &PublicKey) -> Result<(), SignatureError> {
    if key.kind() == KeyKind::Cosignature {
        Ok(())
    } else {
        Err(SignatureError::Kind {
            key: key.name().to_owned(),
            wanted: "a witness's key (kind 0x04)",
        })
    }
}

#[cfg(test)]
mod tests;
