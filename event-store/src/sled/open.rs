//! Recovery: reads the log's tail, proves it durable, and says where the log ends.

use std::panic::resume_unwind;
use std::thread;

use super::database::{Database, Fault};
use super::fit::{Said, Stretch};
use super::layout::{entries, frame_key, frame_offset, rewritten};
use super::mark::{Floor, Point};
use super::streams::{Checkpoint, Delta, Streams};
use crate::error::StoreError;
use crate::record::Offset;

/// What an opened log turned out to hold.
pub(super) struct Recovered {
    /// The records behind the stream index.
    pub(super) streams: Streams,
    /// The last record, durable now.
    pub(super) head: Point,
}

/// Reads the tail, rewrites every frame that no sync is known to have covered, and syncs.
///
/// After a failed sync the system may have dropped what it could not write and still show it, so syncing once more proves
/// nothing; only writing again does. Up to `synced` the caller knows of a sync; the database may know more.
/// The log must reach the record at `floor` and hold it as it was; nothing is changed before that is sure.
/// The stream index is written out every `checkpoint_records` records on the way, and built again if it does not fit.
pub(super) fn recover(
    database: &Database,
    synced: Offset,
    floor: Floor,
    checkpoint_records: usize,
) -> Result<Recovered, StoreError> {
    let head = database.last_offset()?;
    let proven = database.proven()?.max(synced);
    let stored = proven.max(floor.point.offset);
    if head < stored {
        let missing = stored.get() - head.get();
        return Err(database.damaged(format!(
            "the log ends at offset {head}, but {missing} more records had been stored, up to offset {stored}: its end was \
             cut off, or cannot be read any more"
        )));
    }
    database.check(floor.point)?;
    database.remove_pieces_after(head).map_err(failed)?;
    let point = database.point(head)?;
    let indexed = database.position()?;
    let tail = Tail {
        database,
        proven,
        head,
        checkpoint_records,
    };
    // An index that stands for more than was proven belongs to another log.
    let mut delta = None;
    if indexed <= proven {
        delta = tail.read(indexed.min(floor.since), indexed)?;
    }
    let delta = if let Some(delta) = delta {
        delta
    } else {
        database.forget_index()?;
        let fresh = tail.read(Offset::NONE, Offset::NONE)?;
        fresh.ok_or_else(|| database.damaged("the stream index cannot be built again".into()))?
    };
    database.make_durable().map_err(failed)?;
    database.sync_directory()?;
    Ok(Recovered {
        streams: Streams {
            active: delta,
            frozen: None,
        },
        head: point,
    })
}

fn failed(fault: Fault) -> StoreError {
    let why = fault.into_why();
    StoreError::Unavailable { why }
}

struct Tail<'a> {
    database: &'a Database,
    proven: Offset,
    head: Offset,
    checkpoint_records: usize,
}

impl Tail<'_> {
    /// Reads the log after an offset, and returns the records that the index, which stands for `indexed`, does not have.
    /// `None`: the index does not fit the log.
    fn read(&self, after: Offset, indexed: Offset) -> Result<Option<Delta>, StoreError> {
        let stretch = Stretch::new(after, indexed);
        let mut said = Said::of(&stretch, self.checkpoint_records);
        if !stretch.is_long() {
            let delta = self.read_log(after, indexed, &mut said)?;
            return Ok(delta.filter(|_| said.fits(self.database, None)));
        }
        // Each of the two is one thread's work.
        thread::scope(|scope| {
            let index = thread::Builder::new().name("flowledger-open".into());
            let index = index.spawn_scoped(scope, || stretch.index_sum(self.database));
            let delta = self.read_log(after, indexed, &mut said)?;
            let index_sum = match index {
                Ok(index) => index.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => stretch.index_sum(self.database),
            };
            Ok(delta.filter(|_| said.fits(self.database, index_sum)))
        })
    }

    /// Reads the log as above; what the index should know of it is `said`.
    fn read_log(&self, after: Offset, indexed: Offset, said: &mut Said) -> Result<Option<Delta>, StoreError> {
        let Self { database, proven, .. } = *self;
        let mut delta = Delta::default();
        let mut next = Offset::new(after.get() + 1);
        let start = match next {
            // The first frame to be looked at may begin before.
            next if next <= self.head => database.frame_with(next)?.0,
            next => next,
        };
        for frame in database.log.range(frame_key(start)..) {
            let (key, value) = frame.map_err(|e| database.error(&format!("offset {next}"), e))?;
            if let Some(first) = frame_offset(&key) {
                if first != next && first != start {
                    return Err(database.missing(next));
                }
                // Before a frame, not after: a large record's pieces follow it and are proven together with it.
                if delta.records >= self.checkpoint_records {
                    let full = std::mem::take(&mut delta);
                    if !full.fits(database) {
                        return Ok(None);
                    }
                    write_out(database, &full).map_err(failed)?;
                }
                for entry in entries(first, &value)? {
                    let entry = entry?;
                    if !entry.is_whole() {
                        entry.read(|key| database.piece(key))?;
                    }
                    if entry.offset > indexed {
                        delta.add(entry.stream, entry.revision, entry.offset);
                    } else if !said.add(database, entry.stream, entry.revision, entry.offset) {
                        return Ok(None);
                    }
                    next = Offset::new(entry.offset.get() + 1);
                }
            }
            if next.get() > proven.get() + 1 {
                let value =
                    rewritten(&value).ok_or_else(|| database.damaged(format!("the frame before offset {next}")))?;
                database.put(&database.log, &key, value).map_err(failed)?;
            }
        }
        if next.get() != self.head.get() + 1 {
            return Err(database.missing(next));
        }
        Ok(Some(delta).filter(|delta| delta.fits(database)))
    }
}

fn write_out(database: &Database, delta: &Delta) -> Result<(), Fault> {
    database.make_durable()?;
    let mut checkpoint = Checkpoint::of(delta);
    while checkpoint.step(database, 256)? {}
    checkpoint.finish(database)
}
