//! Callers' derived data in the same sled as the log, in a tree of its own.

use std::sync::Arc;

use ::sled::{Batch, IVec};

use super::Shared;
use super::database::{Database, Fault};
use super::layout::frame_offset;
use crate::error::StoreError;
use crate::memory::check_index_bounds;
use crate::record::Offset;
use crate::store::{IndexChange, IndexEntry, IndexStore};

/// The index of a [`SledStore`](super::SledStore).
pub struct SledIndex {
    pub(super) shared: Arc<Shared>,
}

/// Keys removed in one step of `clear`; commits wait for a step at most.
const CLEAR_STEP: usize = 256;

fn entry_key(key: &[u8]) -> Vec<u8> {
    [b"k", key].concat()
}

fn bytes_of(key: &[u8], value: Option<&[u8]>) -> usize {
    key.len() + value.map_or(0, <[u8]>::len)
}

fn position_key(name: &str) -> Vec<u8> {
    [b"p", name.as_bytes()].concat()
}

impl IndexStore for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.shared.read(|database| {
            let value = database
                .index
                .get(entry_key(key))
                .map_err(|e| database.error("the index", e))?;
            Ok(value.as_deref().map(Arc::from))
        })
    }

    fn range(&self, from: &[u8], to: &[u8], reverse: bool, max: usize) -> Result<Vec<IndexEntry>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.shared.read(|database| {
            let entries = database.index.range(entry_key(from)..entry_key(to)).map(|entry| {
                let (key, value) = entry.map_err(|e| database.error("the index", e))?;
                let key = key.strip_prefix(b"k").unwrap_or_default();
                Ok((Arc::from(key), Arc::from(&*value)))
            });
            if reverse {
                entries.rev().take(max).collect()
            } else {
                entries.take(max).collect()
            }
        })
    }

    fn apply(&self, changes: Vec<IndexChange>, name: &str, position: Offset) -> Result<(), StoreError> {
        check_index_bounds(&changes)?;
        let mut batch = Batch::default();
        let mut bytes = name.len();
        for (key, value) in changes {
            bytes += bytes_of(&key, value.as_deref());
            match value {
                Some(value) => batch.insert(entry_key(&key), value),
                None => batch.remove(entry_key(&key)),
            }
        }
        batch.insert(position_key(name), &position.get().to_be_bytes());
        self.apply_batch(batch, bytes)
    }

    fn write(&self, changes: Vec<IndexChange>) -> Result<(), StoreError> {
        check_index_bounds(&changes)?;
        self.shared.read(|database| {
            for (key, value) in changes {
                let bytes = bytes_of(&key, value.as_deref());
                let key = entry_key(&key);
                let written = match value {
                    Some(value) => database.index.insert(key, value),
                    None => database.index.remove(key),
                };
                written.map_err(|e| database.error("the index", e))?;
                self.given(database, bytes)?;
            }
            Ok(())
        })
    }

    fn position(&self, name: &str) -> Result<Offset, StoreError> {
        let head = self.shared.head();
        self.shared.read(|database| {
            let position = database
                .index
                .get(position_key(name))
                .map_err(|e| database.error("the index", e))?;
            let position = position
                .and_then(|position| frame_offset(&position))
                .unwrap_or(Offset::NONE);
            Ok(if position > head { Offset::NONE } else { position })
        })
    }

    fn clear(&self, name: &str, prefix: &[u8]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.remove(position_key(name));
        self.apply_batch(batch, name.len())?;
        loop {
            let keys: Vec<IVec> = self.shared.read(|database| {
                let keys = database.index.scan_prefix(entry_key(prefix)).keys().take(CLEAR_STEP);
                keys.collect::<Result<_, _>>()
                    .map_err(|e| database.error("the index", e))
            })?;
            if keys.is_empty() {
                return Ok(());
            }
            let bytes = keys.iter().map(|key| key.len()).sum();
            let mut batch = Batch::default();
            for key in keys {
                batch.remove(key);
            }
            self.apply_batch(batch, bytes)?;
        }
    }
}

impl SledIndex {
    fn apply_batch(&self, batch: Batch, bytes: usize) -> Result<(), StoreError> {
        self.shared.read(|database| {
            let applied = database.index.apply_batch(batch);
            applied.map_err(|e| database.error("the index", e))?;
            self.given(database, bytes)
        })
    }

    /// Counts what sled was given. It may be synced for that, and a sync that fails stops the store.
    fn given(&self, database: &Database, bytes: usize) -> Result<(), StoreError> {
        database.given(bytes).map_err(|fault| {
            if let Fault::Sync(why) = &fault {
                self.shared.stop(fault.kind(), why);
            }
            StoreError::Unavailable { why: fault.into_why() }
        })
    }
}
