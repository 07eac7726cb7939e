//! Whether the stream index has what a stretch of the log says; knows streams, revisions and offsets, not records.
//!
//! A short stretch is compared stream by stream, which costs a look into the index for each stream. A stretch that is much of
//! the log would look at every page of the index again and again; so both sides are summed up, each in its own order, and the
//! sums are compared: the index is read once, from its first page to its last, while another thread reads the log.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeInclusive;

use super::database::Database;
use crate::record::{Offset, Revision, StreamId};

/// The stretch is summed up when it is at least one part in so many of the log.
const SUMMED_PART: u64 = 8;

/// Offsets of the log that the index should know.
pub(super) struct Stretch {
    offsets: RangeInclusive<u64>,
    /// How sums are made: nobody can make up an index with the same sum.
    keys: RandomState,
}

impl Stretch {
    /// The offsets after one up to another.
    pub(super) fn new(after: Offset, upto: Offset) -> Self {
        Self {
            offsets: after.get().saturating_add(1)..=upto.get(),
            keys: RandomState::new(),
        }
    }

    /// Whether reading the whole index costs less than looking its streams up.
    pub(super) fn is_long(&self) -> bool {
        let (first, last) = (*self.offsets.start(), *self.offsets.end());
        first <= last && (last - first + 1).saturating_mul(SUMMED_PART) >= last
    }

    /// What a record adds to the sum.
    fn term(&self, stream: &StreamId, revision: u64, offset: u64) -> u64 {
        if self.offsets.contains(&offset) {
            self.keys.hash_one((stream, revision, offset))
        } else {
            0
        }
    }

    /// The sum of what the index says; `None` if it cannot be read.
    pub(super) fn index_sum(&self, database: &Database) -> Option<u64> {
        let mut sum = 0_u64;
        database.each_indexed(|stream, revision, offset| {
            sum = sum.wrapping_add(self.term(stream, revision, offset));
        })?;
        Some(sum)
    }
}

/// What the log says of a stretch.
pub(super) enum Said<'a> {
    /// The sum over its records.
    Sum(&'a Stretch, u64),
    /// The newest record of each stream; compared whenever there are so many of them.
    Newest(HashMap<StreamId, (u64, Offset)>, usize),
}

impl<'a> Said<'a> {
    /// Nothing yet: to be summed up, or compared whenever there are `most` streams.
    pub(super) fn of(stretch: &'a Stretch, most: usize) -> Self {
        if stretch.is_long() {
            Self::Sum(stretch, 0)
        } else {
            Self::Newest(HashMap::new(), most)
        }
    }

    /// Takes in the next record of the log. False: the index does not have what was said before.
    pub(super) fn add(&mut self, database: &Database, stream: StreamId, revision: Revision, offset: Offset) -> bool {
        match self {
            Self::Sum(stretch, sum) => {
                *sum = sum.wrapping_add(stretch.term(&stream, revision.get(), offset.get()));
                true
            }
            Self::Newest(newest, most) => {
                let fits = newest.len() < *most || are_indexed(database, newest);
                newest.insert(stream, (revision.get(), offset));
                fits
            }
        }
    }

    /// Whether the index, which comes to this sum, has all that was said.
    pub(super) fn fits(self, database: &Database, index_sum: Option<u64>) -> bool {
        match self {
            Self::Sum(_, sum) => index_sum == Some(sum),
            Self::Newest(mut newest, _) => are_indexed(database, &mut newest),
        }
    }
}

/// Whether the index leads to the newest of the records that it should know, stream by stream.
fn are_indexed(database: &Database, newest: &mut HashMap<StreamId, (u64, Offset)>) -> bool {
    let mut newest: Vec<_> = newest.drain().collect();
    // Neighbours share a page.
    newest.sort_unstable_by_key(|(stream, _)| *stream);
    newest
        .into_iter()
        .all(|(stream, (revision, offset))| database.indexed_offset(&stream, revision) == Some(offset))
}
