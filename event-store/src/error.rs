//! What can go wrong with an append and with a store; says what, where and what to do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::record::{Offset, Partition, Revision};

/// Why an item was not, or perhaps not, appended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The stream is elsewhere than the caller believes; read it again and decide again.
    #[error("the stream is at revision {actual}, not {expected}")]
    Conflict {
        /// The revision the caller gave.
        expected: Revision,
        /// The revision the stream has.
        actual: Revision,
    },
    /// The record may be stored or may not: read the stream and look for the command id. Not finding it proves something
    /// only once [`EventStore::health`](crate::EventStore::health) has been `Ready` before the read.
    #[error("the outcome is unknown: {0}")]
    Unknown(String),
    /// The record is surely not stored; try again when the store is ready.
    #[error("the store takes no commands: {0}")]
    Unavailable(String),
    /// The record is larger than [`Layout::record_max`](crate::Layout::record_max) and not stored.
    #[error("a record of {len} bytes is too large, the store takes {max}")]
    TooLarge {
        /// Bytes of the record.
        len: usize,
        /// Bytes the store takes.
        max: usize,
    },
    /// What is stored of the stream cannot be read, so nothing is added to it.
    #[error("the stream is damaged: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// Something stored is not as it should be.
    pub fn damaged(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged {
            place: place.into(),
            what: what.into(),
            report: None,
        }
    }

    /// The whole story in one line, causes included.
    pub(crate) fn told(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Why a store cannot be opened, read or closed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Somebody else has the store open.
    #[error(
        "{}: the store is in use by another process, or opened twice in this one; stop the other, ask it, or work on a backup",
        path.display()
    )]
    InUse {
        /// The store's directory.
        path: PathBuf,
    },
    /// A store is to be made where there is something already.
    #[error("{}: there is something here already; name a directory that does not exist yet or is empty", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The directory cannot be created, read or written by this user.
    #[error("{}: no permission to read and write the store's directory; change its owner or its mode", path.display())]
    Permission {
        /// The directory or file in question.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Something stored is missing, changed or cannot be decoded.
    #[error("{place}: damaged: {what}{}", known(report.as_deref()))]
    Damaged {
        /// The file or directory, and the position in it where that is known.
        place: String,
        /// What was found.
        what: String,
        /// What else is known of a store that was not opened for it.
        report: Option<Box<DamageReport>>,
    },
    /// The store was written by a release with another format.
    #[error("{}: the store has format {found}, this release reads format {known}; use the release that wrote it", path.display())]
    Format {
        /// The store's directory.
        path: PathBuf,
        /// The format it has.
        found: u32,
        /// The format this release reads.
        known: u32,
    },
    /// The partition does not exist.
    #[error("there is no partition {partition}, the store has {partitions} (numbered from 0)")]
    NoPartition {
        /// The partition asked for.
        partition: Partition,
        /// How many there are.
        partitions: Partition,
    },
    /// A key or value for the index is too large.
    #[error("an index {what} of {len} bytes is too large, the store takes {max}")]
    TooLarge {
        /// `key` or `value`.
        what: &'static str,
        /// Its bytes.
        len: usize,
        /// Bytes the store takes.
        max: usize,
    },
    /// The store is closed, recovering from an error, or refuses to work.
    #[error("the store is not ready: {why}")]
    Unavailable {
        /// What happened, and what ends it.
        why: String,
    },
    /// Reading or writing failed.
    #[error("{doing}")]
    Io {
        /// What was being done, with the path.
        doing: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// What is known of a store that was not opened because it is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamageReport {
    /// The store's directory.
    pub directory: PathBuf,
    /// How many records had been stored, by the high-water mark; `None` without a mark that can be read.
    pub stored: Option<Offset>,
    /// How many records, from the first on, are there and fit their hashes; `None` if the log could not be read at all.
    pub intact: Option<Offset>,
    /// Whether the files may have changed while the store was opened: sled cuts off what it cannot read.
    pub may_have_changed: bool,
}

impl std::fmt::Display for DamageReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.stored {
            Some(Offset::NONE) => f.write_str("; no record had been stored, by the high-water mark")?,
            Some(stored) => write!(
                f,
                "; records up to position {stored} had been stored, by the high-water mark"
            )?,
            None => f.write_str("; no high-water mark says how many records had been stored")?,
        }
        match self.intact {
            Some(Offset::NONE) => f.write_str("; none can be read from the first on")?,
            Some(intact) => write!(f, "; those up to position {intact} are intact")?,
            None => f.write_str("; none can be read in this state")?,
        }
        f.write_str(if self.may_have_changed {
            "; opening it may have cut off what cannot be read, so if you have a copy from before, work on that one"
        } else {
            "; nothing was changed"
        })
    }
}

fn known(report: Option<&DamageReport>) -> String {
    let known = report.map(ToString::to_string).unwrap_or_default();
    format!("{known}; keep a copy of it as it is, then restore a backup or salvage what is intact")
}
