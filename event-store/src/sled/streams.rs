//! Where the records of each stream are: a delta in memory, and blocks of offsets on disk that lag behind it.

use std::sync::Arc;

use foldhash::HashMap;

use super::database::{Database, Fault};
use super::layout::{BLOCK_LEN, block_key, block_of, block_start, encode_block};
use crate::error::StoreError;
use crate::record::{Offset, Revision, StreamId};

/// Durable records that the blocks do not have yet.
#[derive(Default)]
pub(super) struct Streams {
    /// Grows with every commit.
    pub(super) active: Delta,
    /// Being written out; stays readable until it is.
    pub(super) frozen: Option<Arc<Delta>>,
}

/// The records of a stretch of the log, by stream.
#[derive(Default)]
pub(super) struct Delta {
    tails: HashMap<StreamId, Tail>,
    /// How many records there are.
    pub(super) records: usize,
    /// The last offset.
    pub(super) upto: Offset,
}

/// The newest records of one stream.
struct Tail {
    /// The revision of the first offset.
    first: u64,
    offsets: Vec<u64>,
}

impl Tail {
    fn last(&self) -> u64 {
        self.first + self.offsets.len() as u64 - 1
    }
}

impl Delta {
    /// Adds the next record of the log.
    pub(super) fn add(&mut self, stream: StreamId, revision: Revision, offset: Offset) {
        let tail = self.tails.entry(stream).or_insert_with(|| Tail {
            first: revision.get(),
            offsets: Vec::new(),
        });
        debug_assert_eq!(
            tail.first + tail.offsets.len() as u64,
            revision.get(),
            "revisions of a stream are dense"
        );
        tail.offsets.push(offset.get());
        self.records += 1;
        self.upto = offset;
    }
}

impl Delta {
    /// Whether the stream index has what comes before the records here.
    pub(super) fn fits(&self, database: &Database) -> bool {
        let mut older = self.tails.iter().filter(|(_, tail)| tail.first > 1);
        older.all(|(stream, tail)| database.indexed_offset(stream, tail.first - 1).is_some())
    }
}

impl Streams {
    /// The revision of a stream, if it has one here.
    pub(super) fn revision(&self, stream: &StreamId) -> Option<u64> {
        self.deltas()
            .rev()
            .find_map(|delta| delta.tails.get(stream))
            .map(Tail::last)
    }

    /// What is here of a stream: the revision of the first offset, and the offsets.
    fn tail(&self, stream: &StreamId) -> Option<(u64, Vec<u64>)> {
        let mut tails = self.deltas().filter_map(|delta| delta.tails.get(stream));
        let first = tails.next()?;
        let mut offsets = first.offsets.clone();
        tails.for_each(|tail| offsets.extend(&tail.offsets));
        Some((first.first, offsets))
    }

    fn deltas(&self) -> impl DoubleEndedIterator<Item = &Delta> {
        self.frozen.as_deref().into_iter().chain([&self.active])
    }

    /// Takes the active delta aside to be written out, unless one still is.
    pub(super) fn freeze(&mut self) -> Option<Arc<Delta>> {
        if self.frozen.is_none() && self.active.records > 0 {
            self.frozen = Some(Arc::new(std::mem::take(&mut self.active)));
        }
        self.frozen.clone()
    }
}

/// A look at one stream's delta; take it before the blocks, which may overtake it.
pub(super) struct Glimpse {
    tail: Option<(u64, Vec<u64>)>,
}

impl Glimpse {
    /// What `streams` knows of a stream now.
    pub(super) fn of(streams: &Streams, stream: &StreamId) -> Self {
        Self {
            tail: streams.tail(stream),
        }
    }

    /// The offsets of the stream's revisions after `after`, in order, at most `max`.
    pub(super) fn offsets(
        self,
        database: &Database,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> Result<Vec<Offset>, StoreError> {
        let (first, tail) = self.tail.unwrap_or((u64::MAX, Vec::new()));
        let lacking = |next| database.damaged(format!("the index of stream {stream} lacks revision {next}"));
        let mut next = after.get().saturating_add(1);
        let mut found = Vec::new();
        if next < first {
            let blocks = block_key(stream, block_of(next))..=block_key(stream, u32::MAX);
            for block in database.streams.range(blocks) {
                let (key, value) = block.map_err(|e| database.error(&format!("stream {stream}"), e))?;
                let (block, offsets) = database.block(stream, &key, &value)?;
                if next < first && next <= block_start(block) {
                    // Another checkpoint may have filled the block before meanwhile; then the rest is newer than this look.
                    if database.indexed_offset(stream, next).is_some() {
                        return Ok(found);
                    }
                    return Err(lacking(next));
                }
                for (revision, offset) in (block_start(block) + 1..first).zip(offsets) {
                    if revision == next && found.len() < max {
                        found.push(Offset::new(offset));
                        next += 1;
                    }
                }
                if found.len() >= max {
                    return Ok(found);
                }
            }
            if first != u64::MAX && next < first {
                return Err(lacking(next));
            }
        }
        let skipped = usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX);
        let room = max.saturating_sub(found.len());
        found.extend(tail.into_iter().skip(skipped).take(room).map(Offset::new));
        Ok(found)
    }
}

/// Writes a delta into the blocks, step by step: between two steps nobody else has to wait.
pub(super) struct Checkpoint<'a> {
    streams: std::vec::IntoIter<(&'a StreamId, &'a Tail)>,
    upto: Offset,
}

impl<'a> Checkpoint<'a> {
    /// Begins with the stream whose key comes first, so that neighbours are written together.
    pub(super) fn of(delta: &'a Delta) -> Self {
        let mut streams: Vec<_> = delta.tails.iter().collect();
        streams.sort_unstable_by_key(|(stream, _)| **stream);
        Self {
            streams: streams.into_iter(),
            upto: delta.upto,
        }
    }

    /// Writes the blocks of the next few streams; false when none was left.
    pub(super) fn step(&mut self, database: &Database, streams: usize) -> Result<bool, Fault> {
        let mut is_busy = false;
        for (stream, tail) in self.streams.by_ref().take(streams) {
            is_busy = true;
            write_blocks(database, stream, tail)?;
        }
        Ok(is_busy)
    }

    /// Notes the position the blocks stand for, once they are durable.
    pub(super) fn finish(self, database: &Database) -> Result<(), Fault> {
        database.make_durable()?;
        database.set_position(self.upto)
    }
}

fn write_blocks(database: &Database, stream: &StreamId, tail: &Tail) -> Result<(), Fault> {
    let block = block_of(tail.first);
    let before = tail.first.saturating_sub(1).saturating_sub(block_start(block));
    let mut offsets = Vec::new();
    if before > 0 {
        let key = block_key(stream, block);
        let value = database
            .streams
            .get(key)
            .map_err(|e| Fault::Index(database.error("a block", e).told()))?;
        let known = database.block(stream, &key, value.as_deref().unwrap_or_default());
        offsets = known.map_err(|e| Fault::Index(e.told()))?.1;
        offsets.truncate(usize::try_from(before).unwrap_or(usize::MAX));
        if offsets.len() as u64 != before {
            let what = format!("the index of stream {stream} lacks revisions before {}", tail.first);
            return Err(Fault::Index(database.damaged(what).told()));
        }
    }
    offsets.extend(&tail.offsets);
    let len = usize::try_from(BLOCK_LEN).unwrap_or(usize::MAX);
    for (block, offsets) in (block..).zip(offsets.chunks(len)) {
        database.put(&database.streams, &block_key(stream, block), encode_block(offsets))?;
    }
    Ok(())
}
