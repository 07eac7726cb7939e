//! A store that lives in memory: for tests, models and short-lived engines; knows no disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::{AppendError, StoreError};
use crate::record::{Append, Appended, Offset, Partition, Revision, Stored, StreamId, leaf_hash};
use crate::store::{
    BoxFuture, Counters, EventStore, Health, INDEX_KEY_MAX, INDEX_VALUE_MAX, IndexChange, IndexEntry, IndexStore,
    Layout, Status, Store,
};
use crate::waiting::until_beyond;

/// Streams in memory, in one partition; gone when it is dropped.
pub struct MemoryStore {
    layout: Layout,
    log: Mutex<Log>,
    head: watch::Sender<Offset>,
    index: Arc<MemoryIndex>,
}

#[derive(Default)]
struct Log {
    records: Vec<Stored>,
    /// For each stream, the indexes of its records in `records`.
    streams: HashMap<StreamId, Vec<usize>>,
    counters: Counters,
    /// Why it takes no records, though it can be read.
    sealed: Option<String>,
    is_closed: bool,
}

impl MemoryStore {
    /// An empty store that takes records of up to [`Layout::RECORD_MAX`] bytes.
    pub fn new() -> Self {
        Self::with_record_max(Layout::RECORD_MAX)
    }

    /// An empty store that takes records of up to `record_max` bytes.
    pub fn with_record_max(record_max: usize) -> Self {
        Self::of(record_max, uuid::Uuid::new_v4().into_bytes())
    }

    /// An empty store that goes on as the log with this origin.
    pub fn of(record_max: usize, origin: [u8; 16]) -> Self {
        let layout = Layout {
            format: 1,
            partitions: 1,
            record_max,
            hash: Layout::HASH,
            origin,
        };
        Self {
            layout,
            log: Mutex::default(),
            head: watch::Sender::new(Offset::NONE),
            index: Arc::default(),
        }
    }

    /// Adds records in the order in which they stand in a log; each must be the next one of its stream.
    ///
    /// # Errors
    ///
    /// The first record that was not stored.
    pub fn fill(&self, records: Vec<(StreamId, Revision, Arc<[u8]>)>) -> Result<(), AppendError> {
        let mut log = self.log();
        for (stream, revision, record) in records {
            let expected = Revision::new(revision.get().saturating_sub(1));
            let item = Append {
                stream,
                expected,
                record,
            };
            log.append(item, self.layout.record_max)?;
        }
        self.head.send_replace(log.head());
        Ok(())
    }

    /// Takes no further records; `why` is told to whoever brings some. Reading goes on.
    pub fn seal(&self, why: String) {
        self.log().sealed = Some(why);
    }

    /// The index that belongs to the store.
    pub fn index(&self) -> Arc<MemoryIndex> {
        Arc::clone(&self.index)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_log(&self) -> Result<MutexGuard<'_, Log>, StoreError> {
        let log = self.log();
        if log.is_closed {
            Err(StoreError::Unavailable { why: CLOSED.into() })
        } else {
            Ok(log)
        }
    }

    fn check_partition(&self, partition: Partition) -> Result<(), StoreError> {
        let partitions = self.layout.partitions;
        if partition < partitions {
            Ok(())
        } else {
            Err(StoreError::NoPartition { partition, partitions })
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl From<MemoryStore> for Store {
    fn from(store: MemoryStore) -> Self {
        let index = store.index();
        Self {
            events: Arc::new(store),
            index,
        }
    }
}

impl EventStore for MemoryStore {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        Box::pin(async move {
            let mut log = self.log();
            let answers: Vec<_> = items
                .into_iter()
                .map(|item| log.append(item, self.layout.record_max))
                .collect();
            if answers.iter().any(Result::is_ok) {
                log.counters.batches += 1;
                self.head.send_replace(log.head());
            }
            answers
        })
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        let stream = *stream;
        Box::pin(async move {
            let log = self.open_log()?;
            let places = log.streams.get(&stream).map(Vec::as_slice).unwrap_or_default();
            let records = places.iter().skip(as_index(after.get())).take(max);
            Ok(records.filter_map(|&place| log.records.get(place).cloned()).collect())
        })
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            self.check_partition(partition)?;
            let log = self.open_log()?;
            Ok(log
                .records
                .iter()
                .skip(as_index(after.get()))
                .take(max)
                .cloned()
                .collect())
        })
    }

    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.check_partition(partition)?;
            drop(self.open_log()?);
            until_beyond(self.head.subscribe(), after, wait).await;
            Ok(())
        })
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn head(&self, partition: Partition) -> Offset {
        if partition < self.layout.partitions {
            self.log().head()
        } else {
            Offset::NONE
        }
    }

    fn counters(&self) -> Counters {
        self.log().counters
    }

    fn health(&self) -> Health {
        let log = self.log();
        if log.is_closed {
            return Health::Refused { why: CLOSED.into() };
        }
        let sealed = log.sealed.clone();
        sealed.map_or(Health::Ready, |why| Health::Refused { why })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.log().is_closed = true;
            Ok(())
        })
    }

    fn status(&self) -> Status {
        Status {
            health: self.health(),
            is_closed: self.log().is_closed,
            ..Status::default()
        }
    }
}

const CLOSED: &str = "it was closed";

impl Log {
    fn head(&self) -> Offset {
        Offset::new(self.records.len() as u64)
    }

    fn append(&mut self, item: Append, record_max: usize) -> Result<Appended, AppendError> {
        if self.is_closed {
            return Err(AppendError::Unavailable(CLOSED.into()));
        }
        if let Some(why) = &self.sealed {
            return Err(AppendError::Unavailable(why.clone()));
        }
        let Append {
            stream,
            expected,
            record,
        } = item;
        let len = record.len();
        if len > record_max {
            return Err(AppendError::TooLarge { len, max: record_max });
        }
        let actual = Revision::new(self.streams.get(&stream).map_or(0, Vec::len) as u64);
        if actual != expected {
            return Err(AppendError::Conflict { expected, actual });
        }
        let revision = Revision::new(actual.get() + 1);
        let place = self.records.len();
        let offset = Offset::new(place as u64 + 1);
        let leaf = leaf_hash(&record);
        self.records.push(Stored {
            stream,
            revision,
            partition: 0,
            offset,
            leaf,
            record,
        });
        self.streams.entry(stream).or_default().push(place);
        self.counters.records += 1;
        self.counters.bytes += len as u64;
        Ok(Appended {
            revision,
            partition: 0,
            offset,
        })
    }
}

fn as_index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The index of a [`MemoryStore`].
#[derive(Default)]
pub struct MemoryIndex {
    kept: RwLock<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: BTreeMap<Arc<[u8]>, Arc<[u8]>>,
    positions: HashMap<String, Offset>,
}

impl Kept {
    fn change(&mut self, changes: Vec<IndexChange>) {
        for (key, value) in changes {
            match value {
                Some(value) => drop(self.entries.insert(key.into(), value.into())),
                None => drop(self.entries.remove(key.as_slice())),
            }
        }
    }
}

impl IndexStore for MemoryIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreError> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.entries.get(key).cloned())
    }

    fn range(&self, from: &[u8], to: &[u8], reverse: bool, max: usize) -> Result<Vec<IndexEntry>, StoreError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let entries = kept
            .entries
            .range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)));
        let entries = entries.map(|(key, value)| (Arc::clone(key), Arc::clone(value)));
        Ok(if reverse {
            entries.rev().take(max).collect()
        } else {
            entries.take(max).collect()
        })
    }

    fn apply(&self, changes: Vec<IndexChange>, name: &str, position: Offset) -> Result<(), StoreError> {
        check_index_bounds(&changes)?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.change(changes);
        kept.positions.insert(name.to_owned(), position);
        Ok(())
    }

    fn write(&self, changes: Vec<IndexChange>) -> Result<(), StoreError> {
        check_index_bounds(&changes)?;
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.change(changes);
        Ok(())
    }

    fn position(&self, name: &str) -> Result<Offset, StoreError> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        Ok(kept.positions.get(name).copied().unwrap_or(Offset::NONE))
    }

    fn clear(&self, name: &str, prefix: &[u8]) -> Result<(), StoreError> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.positions.remove(name);
        kept.entries.retain(|key, _| !key.starts_with(prefix));
        Ok(())
    }
}

/// Refuses keys and values beyond [`INDEX_KEY_MAX`] and [`INDEX_VALUE_MAX`].
pub(crate) fn check_index_bounds(changes: &[IndexChange]) -> Result<(), StoreError> {
    for (key, value) in changes {
        if key.len() > INDEX_KEY_MAX {
            return Err(StoreError::TooLarge {
                what: "key",
                len: key.len(),
                max: INDEX_KEY_MAX,
            });
        }
        let len = value.as_ref().map_or(0, Vec::len);
        if len > INDEX_VALUE_MAX {
            return Err(StoreError::TooLarge {
                what: "value",
                len,
                max: INDEX_VALUE_MAX,
            });
        }
    }
    Ok(())
}
