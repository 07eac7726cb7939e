//! Recovery: reads the log's tail behind the stream index, proves it durable, and says where the log ends.

use super::database::{Database, Fault};
use super::layout::{entries, frame_key, frame_offset, rewritten};
use super::streams::{Checkpoint, Delta, Streams};
use crate::error::StoreError;
use crate::record::Offset;

/// What an opened log turned out to hold.
pub(super) struct Recovered {
    /// The records behind the stream index.
    pub(super) streams: Streams,
    /// The offset of the last record, durable now.
    pub(super) head: Offset,
}

/// Reads the tail, rewrites every frame that no sync is known to have covered, and syncs.
///
/// After a failed sync the system may have dropped what it could not write and still show it, so syncing once more proves
/// nothing; only writing again does. Up to `synced` the caller knows of a sync; the database may know more.
/// The stream index is written out every `checkpoint_records` records on the way.
pub(super) fn recover(database: &Database, synced: Offset, checkpoint_records: usize) -> Result<Recovered, StoreError> {
    let head = database.last_offset()?;
    let proven = database.proven()?.max(synced);
    if head < proven {
        return Err(database.damaged(format!(
            "the log ends at offset {head}, but records up to {proven} had been stored; its end was cut off"
        )));
    }
    let mut indexed = database.position()?;
    if indexed > proven {
        // An index that stands for more than was proven belongs to another log.
        database
            .streams
            .clear()
            .map_err(|e| database.error("the stream index", e))?;
        indexed = Offset::NONE;
    }
    let failed = |fault: Fault| StoreError::Unavailable {
        why: fault.why().to_owned(),
    };
    let mut delta = Delta::default();
    let mut next = Offset::new(indexed.get() + 1);
    for frame in database.log.range(frame_key(next)..) {
        let (key, value) = frame.map_err(|e| database.error(&format!("offset {next}"), e))?;
        let first = frame_offset(&key);
        if first.is_some_and(|first| first != next) {
            return Err(database.damaged(format!("the record at offset {next} is missing")));
        }
        if let Some(first) = first {
            // Before a frame, not after: a large record's pieces follow it and are proven together with it.
            if delta.records >= checkpoint_records {
                write_out(database, &std::mem::take(&mut delta)).map_err(failed)?;
            }
            for entry in entries(first, &value)? {
                let entry = entry?;
                delta.add(entry.stream, entry.revision, entry.offset);
                next = Offset::new(entry.offset.get() + 1);
            }
        }
        if next.get() > proven.get() + 1 {
            let value = rewritten(&value).ok_or_else(|| database.damaged(format!("the frame before offset {next}")))?;
            database.put(&database.log, &key, &value).map_err(failed)?;
        }
    }
    if next.get() != head.get() + 1 {
        return Err(database.damaged(format!("the record at offset {next} is missing")));
    }
    database.make_durable().map_err(failed)?;
    database.sync_directory()?;
    Ok(Recovered {
        streams: Streams {
            active: delta,
            frozen: None,
        },
        head,
    })
}

fn write_out(database: &Database, delta: &Delta) -> Result<(), Fault> {
    database.make_durable()?;
    let mut checkpoint = Checkpoint::of(delta);
    while checkpoint.step(database, 256)? {}
    checkpoint.finish(database)
}
