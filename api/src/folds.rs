//! Folds of streams in memory, bounded by what they weigh. What has ended is rarely asked for again, so it has a small part of the
//! room to itself and drives nothing out that goes on.

use std::sync::Arc;

use flowledger_event_store::Offset;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::EngineError;
use crate::executor::{ByWeight, Streamed};

/// Of the room, the part for folds that have ended: one of so many.
const ENDED_PART: u64 = 32;
/// Folds of the other part that fit into it at least; a larger fold that has ended is kept with those that go on.
const ENDED_AT_LEAST: u64 = 8;

/// The fold of a stream, and where the stream begins.
pub(crate) struct Fold<D> {
    pub(crate) state: Arc<D>,
    /// The place of the first record in the log; [`Offset::NONE`] when there is none.
    pub(crate) first: Offset,
}

impl<D: Default> Default for Fold<D> {
    /// The fold of a stream without records.
    fn default() -> Self {
        Self {
            state: Arc::default(),
            first: Offset::NONE,
        }
    }
}

impl<D> Clone for Fold<D> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            first: self.first,
        }
    }
}

impl<D: Streamed> Weighter<[u8; 16], Fold<D>> for ByWeight {
    fn weight(&self, _: &[u8; 16], fold: &Fold<D>) -> u64 {
        Streamed::weight(&*fold.state) as u64
    }
}

/// Folds by stream.
pub(crate) struct Folds<D: Streamed> {
    going_on: Cache<[u8; 16], Fold<D>, ByWeight>,
    ended: Cache<[u8; 16], Fold<D>, ByWeight>,
}

impl<D: Streamed> Folds<D> {
    /// Room for folds of so many bytes; `items` is a guess at how many there will be.
    pub(crate) fn new(bytes: u64, items: usize) -> Result<Self, EngineError> {
        let ended = bytes / ENDED_PART;
        Ok(Self {
            going_on: crate::builder::cache(bytes - ended, items)?,
            ended: crate::builder::cache(ended, items / 32)?,
        })
    }

    pub(crate) fn get(&self, stream: &[u8; 16]) -> Option<Fold<D>> {
        self.going_on.get(stream).or_else(|| self.ended.get(stream))
    }

    /// Keeps the newest fold of a stream. What has ended stays so: nothing but a further termination can follow.
    pub(crate) fn insert(&self, stream: [u8; 16], fold: Fold<D>) {
        let fits = |fold: &Fold<D>| Streamed::weight(&*fold.state) as u64 <= self.ended.capacity() / ENDED_AT_LEAST;
        let (kept_in, other) = match fold.state.has_ended() {
            true if fits(&fold) => (&self.ended, Some(&self.going_on)),
            true => (&self.going_on, Some(&self.ended)),
            false => (&self.going_on, None),
        };
        if let Some(other) = other {
            other.remove(&stream);
        }
        kept_in.insert(stream, fold);
    }

    pub(crate) fn remove(&self, stream: &[u8; 16]) {
        self.going_on.remove(stream);
        self.ended.remove(stream);
    }

    pub(crate) fn clear(&self) {
        self.going_on.clear();
        self.ended.clear();
    }
}
