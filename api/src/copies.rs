//! Copies of a log: exports for people and other programs, backups, and the stores that are made from them.
//!
//! Both kinds of copies say what log they are of and which checkpoints it had, then hold every record's exact bytes, and end
//! with the root over them. What is made from a copy is compared with all of that, and with checkpoints kept elsewhere.

mod backup;
mod export;
mod rebuild;
mod salvage;
mod walk;

use std::sync::Arc;

use flowledger_engine_core::result_code::ResultCode;
use flowledger_event_store::{Malformed, PublicKey, SignedCheckpoint, SledOptions};
use serde::Serialize;

pub(crate) use self::rebuild::load;
pub use self::rebuild::{import, restore};
pub use self::salvage::{SalvageOptions, SalvageReport, salvage};
use crate::error::EngineError;
use crate::operation::{CheckpointReport, Span};

/// Records read at a time.
const READ_BATCH: usize = 1_000;

/// Bytes of the largest record that a copy may announce; what it announces, a reader has to hold.
const RECORD_MAX: u64 = 1 << 30;

/// Checkpoints that a copy may carry.
const CHECKPOINTS_MAX: usize = 8;

/// What a copy holds, as it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// What tells the log from every other, in hexadecimal.
    pub origin: String,
    /// How many records the copy has.
    pub records: u64,
    /// The root of the Merkle tree over them, in hexadecimal.
    pub root: String,
    /// The checkpoints that the copy carries; the log continues all of them.
    pub checkpoints: Vec<CheckpointReport>,
    /// Why checkpoints were left out: their files could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// What a store that is made from a copy must fit.
#[derive(Clone, Default)]
pub struct RestoreOptions {
    /// Checkpoints of the log that were kept elsewhere: the store must continue them.
    pub against: Vec<SignedCheckpoint>,
    /// The log's public key. With it the signatures of all checkpoints are checked.
    pub key: Option<PublicKey>,
    /// Makes the store although a checkpoint proves more records than there are. It begins a new log then, with a name of
    /// its own: under the old one it would contradict what was signed.
    pub accept_loss: bool,
    /// How the store is made. Its `record_max` and `origin` are those of the copy.
    pub store: SledOptions,
}

/// A store that was made from a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoreReport {
    /// What tells the store's log from every other, in hexadecimal.
    pub origin: String,
    /// Whether it goes on as the log that was copied. A new one began if records are known to be missing.
    pub is_same_log: bool,
    /// How many records it has.
    pub records: u64,
    /// The root over them, in hexadecimal.
    pub root: String,
    /// The checkpoints it was compared with, the copy's own and those given, the largest last.
    pub checkpoints: Vec<CheckpointReport>,
    /// Whether the checkpoints' signatures were checked: a key was given.
    pub are_signatures_checked: bool,
    /// The records that are known to be missing; there may have been more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<Span>,
}

/// What a log of `has` records lacks of one that is known to have had `known`.
fn missing(has: u64, known: u64) -> Option<Span> {
    (known > has).then(|| Span {
        from: has + 1,
        to: known,
    })
}

/// What a copy says before its first record.
#[derive(Clone, Debug)]
struct Head {
    origin: [u8; 16],
    record_max: usize,
    /// The number of records that follow.
    size: u64,
    /// How many the log is known to have had.
    reached: u64,
    checkpoints: Vec<SignedCheckpoint>,
}

/// A copy that is being read.
trait CopyReader {
    /// What it says before its first record.
    fn head(&self) -> &Head;
    /// The next record's bytes; `None` after the last one, with the root that the copy claims for them.
    fn next(&mut self) -> Result<Next, EngineError>;
}

/// What comes next in a copy.
enum Next {
    Record(Arc<[u8]>),
    End { size: u64, root: [u8; 32] },
}

/// A copy that is not what it should be.
fn damaged(detail: impl Into<String>) -> EngineError {
    EngineError::new(ResultCode::LogCorrupt, detail)
}

/// What was given is no copy of the kind that is wanted.
fn unusable(detail: impl Into<String>) -> EngineError {
    EngineError::new(ResultCode::InvalidParam, detail)
}

/// A file that cannot be read or written.
pub(crate) fn io_error(doing: &str, error: std::io::Error) -> EngineError {
    EngineError::new(ResultCode::StoreUnavailable, format!("{doing}: {error}")).with_source(error)
}

/// The checkpoints in a copy.
fn checkpoints(texts: &[impl AsRef<[u8]>]) -> Result<Vec<SignedCheckpoint>, EngineError> {
    let parse = |text: &[u8]| SignedCheckpoint::parse(text);
    let parsed: Result<_, Malformed> = texts.iter().map(|text| parse(text.as_ref())).collect();
    parsed.map_err(|error| damaged(format!("a checkpoint in the copy: {error}")))
}
