//! Salvage: a new store with the records of a damaged one, up to its first fault, and an account of what is lost.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowledger_event_store::{DamagedStore, Offset, StoreError, Stored};
use serde::Serialize;

use super::rebuild::rebuild;
use super::walk::Walk;
use super::{CopyReader, Head, Next, READ_BATCH, RestoreOptions, RestoreReport, damaged, unusable};
use crate::builder::CHECKPOINT_FILE;
use crate::error::EngineError;
use crate::operation::{LogFault, LogProgress, fault_of};
use crate::proofs::Kept;

/// What a salvaged store must fit, and how far salvage goes.
#[derive(Clone, Default)]
pub struct SalvageOptions {
    /// As for a copy; the checkpoints in the damaged directory are taken into account without being named.
    pub restore: RestoreOptions,
    /// At most so many records: for a log whose later ones contradict a checkpoint.
    pub size: Option<u64>,
}

/// A store that was made from a damaged one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SalvageReport {
    /// The new store.
    #[serde(flatten)]
    pub restored: RestoreReport,
    /// Why salvage ended there; absent if it came to the end of what is readable without a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<LogFault>,
    /// Where the damaged store's log ended, as far as can be seen; records behind the fault are not taken.
    pub log_end: u64,
    /// The last record that the damaged store's high-water mark knows of; absent if the mark cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<u64>,
    /// What else was noticed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Makes a store of what can still be read of a damaged one. `progress` is told how far it is.
///
/// Every record from the first on is taken, up to the first one that is missing, does not match its hash, or is not the next of
/// its stream. The damaged directory is read and not changed; a copy of its files is made beside the target for the time being.
/// Records that are known to be missing, by the high-water mark or by a checkpoint, must be accepted with
/// [`RestoreOptions::accept_loss`].
///
/// # Errors
/// Those of [`import`](crate::import); 7008 a store that is in use; 7800 a store of which nothing can be read.
pub fn salvage(
    from: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: &SalvageOptions,
    progress: impl FnMut(LogProgress),
) -> Result<SalvageReport, EngineError> {
    let (from, target) = (from.as_ref(), target.as_ref());
    let store = DamagedStore::open(from, &scratch(target)?)?;
    let mut notes = Vec::new();
    if store.without_snapshot() {
        notes.push(
            "the store's newest snapshot could not be used; its log was read again from the beginning".to_owned(),
        );
    }
    let checkpoints = Kept::read(&from.join(CHECKPOINT_FILE)).map_or_else(
        |error| {
            notes.push(format!("its checkpoints could not be read: {}", error.detail()));
            Vec::new()
        },
        Kept::into_checkpoints,
    );
    let mark = store.mark();
    let (mut size, mut fault) = extent(&store);
    if let Some(max) = options.size.filter(|max| *max < size) {
        size = max;
        fault = None;
    }
    if mark.is_none() {
        notes.push("its high-water mark cannot be read, so records missing at the end go unnoticed".to_owned());
    }
    let reached = mark.map_or(0, |(offset, _)| offset.get());
    let mut reader = DamagedReader {
        head: Head {
            origin: store.layout().origin,
            record_max: store.layout().record_max,
            size,
            reached: reached.max(size),
            checkpoints,
        },
        log_end: store.head().get(),
        store,
        batch: Vec::new().into_iter(),
        walk: Walk::past([]),
    };
    let restored = rebuild(&mut reader, target, &options.restore, progress)?;
    Ok(SalvageReport {
        restored,
        fault,
        log_end: reader.log_end,
        mark: mark.map(|(offset, _)| offset.get()),
        notes,
    })
}

/// How many records are good, from the first on, and what ends them.
fn extent(store: &DamagedStore) -> (u64, Option<LogFault>) {
    let mut versions = BTreeMap::new();
    let mut size = 0;
    let ended = |size: u64, what: String| {
        (
            size,
            Some(LogFault {
                position: size + 1,
                what,
            }),
        )
    };
    loop {
        // One at a time near a fault: what is before it in a batch is good.
        let batch = store
            .read(Offset::new(size), READ_BATCH)
            .or_else(|_| store.read(Offset::new(size), 1));
        let batch = match batch {
            Ok(batch) => batch,
            Err(StoreError::Damaged { what, .. }) => return ended(size, what),
            Err(error) => return ended(size, error.to_string()),
        };
        if batch.is_empty() {
            return (size, None);
        }
        for stored in batch {
            if let Some(what) = fault_of(&stored, size + 1, Some(&mut versions)) {
                return ended(size, what);
            }
            if let Some((offset, leaf)) = store.mark().filter(|(offset, _)| offset.get() == size + 1)
                && leaf != stored.leaf
            {
                return ended(
                    size,
                    format!("the record is not the one that the high-water mark has for offset {offset}"),
                );
            }
            size += 1;
        }
    }
}

/// A directory beside the target for the copy.
fn scratch(target: &Path) -> Result<PathBuf, EngineError> {
    let name = target
        .file_name()
        .ok_or_else(|| unusable(format!("{} is no name for a directory", target.display())))?;
    let mut scratch = name.to_owned();
    scratch.push(format!(".{:08x}.copy", uuid::Uuid::new_v4().as_fields().0));
    Ok(target.with_file_name(scratch))
}

/// The good records of a damaged store, read like a copy.
struct DamagedReader {
    head: Head,
    log_end: u64,
    store: DamagedStore,
    batch: std::vec::IntoIter<Stored>,
    walk: Walk,
}

impl CopyReader for DamagedReader {
    fn head(&self) -> &Head {
        &self.head
    }

    fn next(&mut self) -> Result<Next, EngineError> {
        let size = self.walk.size();
        if size == self.head.size {
            let root = self.walk.root();
            return Ok(Next::End { size, root });
        }
        if self.batch.len() == 0 {
            let most = usize::try_from(self.head.size - size).map_or(READ_BATCH, |left| left.min(READ_BATCH));
            self.batch = self.store.read(Offset::new(size), most)?.into_iter();
        }
        let stored = self
            .batch
            .next()
            .ok_or_else(|| damaged(format!("the record at position {} cannot be read any more", size + 1)))?;
        self.walk.pass(&stored.record)?;
        Ok(Next::Record(stored.record))
    }
}
