//! A store made from a copy: every record is checked on the way, and the whole against all that is known of the log.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use flowledger_event_store::merkle::TreeHash;
use flowledger_event_store::{
    AppendError, MemoryStore, NewStore, Revision, SignedCheckpoint, SledOptions, StreamId, default_log_name,
};

use super::backup::{self, BackupReader};
use super::export::ExportReader;
use super::walk::{Walk, check_signatures};
use super::{CopyReader, Head, Next, READ_BATCH, RestoreOptions, RestoreReport, damaged, io_error, missing};
use crate::builder::CHECKPOINT_FILE;
use crate::error::EngineError;
use crate::operation::{CheckpointReport, LogProgress, Span, hex};
use crate::proofs::{self, Kept, PARTITION};

/// Bytes of records that are appended at once, unless a single one is larger.
const BATCH_BYTES: usize = 1 << 20;

/// Makes a store of an export, in a directory that does not exist yet or is empty. `progress` is told how far it is.
///
/// What counts are the records' exact bytes: a line whose readable form is not that of its bytes is refused, and so is an
/// export that is not whole. The store appears whole, or not at all. The log's key is not in an export: put `log.key` back
/// beside the store's files, or the log cannot sign.
///
/// # Errors
/// 2001 a directory with something in it, or what is no export; 7008 what cannot be read or written; 7800 an export that is
/// damaged or was changed, that contradicts a checkpoint, or that lacks records which one proves; 7803 a newer release's.
pub fn import(
    from: impl BufRead,
    target: impl AsRef<Path>,
    options: &RestoreOptions,
    progress: impl FnMut(LogProgress),
) -> Result<RestoreReport, EngineError> {
    rebuild(&mut ExportReader::begin(from)?, target.as_ref(), options, progress)
}

/// Makes a store of a backup, as [`import`] does of an export.
///
/// # Errors
/// Those of [`import`].
pub fn restore(
    backup: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: &RestoreOptions,
    progress: impl FnMut(LogProgress),
) -> Result<RestoreReport, EngineError> {
    rebuild(
        &mut BackupReader::begin(backup.as_ref())?,
        target.as_ref(),
        options,
        progress,
    )
}

/// A store in memory with the records of a backup or an export, which takes no further ones.
pub(crate) fn load(path: &Path) -> Result<MemoryStore, EngineError> {
    let file =
        std::fs::File::open(path).map_err(|error| io_error(&format!("{}: opening the copy", path.display()), error))?;
    let mut file = std::io::BufReader::new(file);
    let start = file
        .fill_buf()
        .map_err(|error| io_error(&format!("{}: reading the copy", path.display()), error))?;
    let mut reader: Box<dyn CopyReader> = if start.starts_with(backup::MAGIC) {
        Box::new(BackupReader::begin(path)?)
    } else {
        Box::new(ExportReader::begin(file)?)
    };
    let Head {
        record_max,
        origin,
        checkpoints,
        ..
    } = reader.head().clone();
    let store = MemoryStore::of(record_max, origin);
    let mut walk = Walk::past(&checkpoints);
    fill(&mut *reader, &mut walk, |records| store.fill(records), |_| {})?;
    compare(&walk, &checkpoints)?;
    store.seal(format!(
        "{} is a copy; `log import` or `log restore` makes a store of it",
        path.display()
    ));
    Ok(store)
}

/// Makes a store of whatever is read.
pub(super) fn rebuild(
    reader: &mut dyn CopyReader,
    target: &Path,
    options: &RestoreOptions,
    progress: impl FnMut(LogProgress),
) -> Result<RestoreReport, EngineError> {
    let Head {
        origin,
        record_max,
        size,
        reached,
        checkpoints,
    } = reader.head().clone();
    let known = known_checkpoints(&origin, checkpoints, options)?;
    let largest = known.last().map_or(0, |signed| signed.checkpoint().size);
    let lost = missing(size, reached.max(largest));
    if let Some(lost) = lost.filter(|_| !options.accept_loss) {
        return Err(told_missing(size, lost, largest));
    }
    let store = NewStore::begin(
        target,
        SledOptions {
            record_max,
            origin: lost.is_none().then_some(origin),
            ..options.store.clone()
        },
    )?;
    let mut walk = Walk::past(&known);
    fill(
        reader,
        &mut walk,
        |records| pollster::block_on(store.append(records)),
        progress,
    )?;
    let reports = compare(&walk, &known)?;
    if lost.is_none() {
        Kept::of(known).save(&store.directory().join(CHECKPOINT_FILE))?;
    }
    let origin = store.origin();
    pollster::block_on(store.finish())?;
    Ok(RestoreReport {
        origin: hex(&origin),
        is_same_log: lost.is_none(),
        records: walk.size(),
        root: hex(&walk.root()),
        checkpoints: reports,
        are_signatures_checked: options.key.is_some(),
        missing: lost,
    })
}

/// All checkpoints that are known of a log, the largest last. Those of another log are refused.
fn known_checkpoints(
    origin: &[u8; 16],
    mut known: Vec<SignedCheckpoint>,
    options: &RestoreOptions,
) -> Result<Vec<SignedCheckpoint>, EngineError> {
    let name = default_log_name(origin, PARTITION);
    known.extend(options.against.iter().cloned());
    for signed in &known {
        let found = &signed.checkpoint().origin;
        if *found != name {
            return Err(damaged(format!(
                "a checkpoint is one of the log {found}; the copy is one of {name}"
            )));
        }
    }
    if let Some(key) = &options.key {
        check_signatures(&known, key)?;
    }
    known.sort_by_key(|signed| (signed.checkpoint().size, proofs::cosignatures(signed)));
    known.dedup();
    Ok(known)
}

fn told_missing(size: u64, missing: Span, proven: u64) -> EngineError {
    let Span { from, to } = missing;
    let by = if proven == to {
        format!("a checkpoint proves {to}")
    } else {
        format!("its high-water mark says that it had {to}")
    };
    let records = if from == to {
        format!("record {to} is missing")
    } else {
        format!("records {from} to {to} are missing")
    };
    damaged(format!(
        "there are {size} records of this log here, and {by}: {records}. Look for a later copy; to go on without them, as a \
         new log, accept the loss"
    ))
}

/// Hands over all records, some at a time.
fn fill(
    reader: &mut dyn CopyReader,
    walk: &mut Walk,
    mut append: impl FnMut(Vec<(StreamId, Revision, Arc<[u8]>)>) -> Result<(), AppendError>,
    mut progress: impl FnMut(LogProgress),
) -> Result<(), EngineError> {
    let of = reader.head().size;
    let mut batch = Vec::new();
    let mut bytes = 0;
    let (size, root) = loop {
        match reader.next()? {
            Next::Record(record) => {
                let passed = walk.pass(&record)?;
                bytes += record.len();
                batch.push((passed.stream, passed.revision, record));
            }
            Next::End { size, root } => break (size, root),
        }
        if batch.len() >= READ_BATCH || bytes >= BATCH_BYTES {
            bytes = 0;
            put(&mut append, std::mem::take(&mut batch), walk.size())?;
            progress(LogProgress {
                position: walk.size(),
                of,
            });
        }
    };
    put(&mut append, batch, walk.size())?;
    progress(LogProgress {
        position: walk.size(),
        of,
    });
    if size != walk.size() || root != walk.root() {
        return Err(wrong_root(&root, walk));
    }
    Ok(())
}

fn put(
    append: &mut impl FnMut(Vec<(StreamId, Revision, Arc<[u8]>)>) -> Result<(), AppendError>,
    batch: Vec<(StreamId, Revision, Arc<[u8]>)>,
    until: u64,
) -> Result<(), EngineError> {
    append(batch).map_err(|error| match error {
        AppendError::Conflict { expected, actual } => damaged(format!(
            "among the records up to position {until} one follows version {expected} of its stream, which is at {actual}"
        )),
        error => error.into(),
    })
}

fn wrong_root(claimed: &TreeHash, walk: &Walk) -> EngineError {
    damaged(format!(
        "the copy says that its records have the root {}; those in it, {}, have {}",
        hex(claimed),
        walk.size(),
        hex(&walk.root())
    ))
}

/// Compares the records with the checkpoints that speak of no more than there are.
fn compare(walk: &Walk, known: &[SignedCheckpoint]) -> Result<Vec<CheckpointReport>, EngineError> {
    let mut reports = Vec::with_capacity(known.len());
    for signed in known {
        let (report, contradiction) = walk.compare(signed);
        if let Some(what) = contradiction.filter(|_| signed.checkpoint().size <= walk.size()) {
            return Err(damaged(format!("{what}; look for another copy")));
        }
        reports.push(report);
    }
    Ok(reports)
}
