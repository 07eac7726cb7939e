//! The store of a fork: what it records is kept in memory; other streams are read through, up to a place in the log below.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flowledger_event_store::{
    Append, AppendError, Appended, BoxFuture, Counters, EventStore, Health, Layout, MemoryStore, Offset, Partition,
    Revision, StoreError, Stored, StreamId,
};

use crate::error::EngineError;

/// Records read at a time.
const READ_BATCH: usize = 1_000;

/// A store in memory over another one, which is only read.
///
/// A stream is either its own, whole, or that of the store below; one that is written to becomes its own first. Its
/// partition, and so its log, has what is its own.
pub(super) struct ForkStore {
    own: MemoryStore,
    below: Arc<dyn EventStore>,
    /// The instance that is forked: never read from below.
    instance: StreamId,
    /// The last offset below that is seen; all of it, where below is a fork itself: its streams are of two logs.
    upto: Option<AtomicU64>,
}

impl ForkStore {
    pub(super) fn new(below: Arc<dyn EventStore>, instance: StreamId, upto: Option<Offset>) -> Self {
        Self {
            own: MemoryStore::with_record_max(below.layout().record_max),
            below,
            instance,
            upto: upto.map(|upto| AtomicU64::new(upto.get())),
        }
    }

    /// Sees the log below up to another place.
    pub(super) fn advance(&self, to: Offset) {
        if let Some(upto) = &self.upto {
            upto.store(to.get(), Ordering::Release);
        }
    }

    /// Makes the first records of the instance its own.
    pub(super) fn fill(&self, records: Vec<Stored>) -> Result<(), EngineError> {
        Ok(self.own.fill(plain(records))?)
    }

    /// Makes a stream its own, if it is not yet.
    async fn adopt(&self, stream: &StreamId) -> Result<(), EngineError> {
        if *stream == self.instance || self.is_own(stream).await? {
            return Ok(());
        }
        let mut after = Revision::NONE;
        loop {
            let batch = self.visible(stream, after, READ_BATCH).await?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.revision;
            self.own.fill(plain(batch))?;
        }
    }

    async fn is_own(&self, stream: &StreamId) -> Result<bool, StoreError> {
        Ok(!self.own.read_stream(stream, Revision::NONE, 1).await?.is_empty())
    }

    /// The records of a stream below, as far as they are seen.
    async fn visible(&self, stream: &StreamId, after: Revision, max: usize) -> Result<Vec<Stored>, StoreError> {
        let mut batch = self.below.read_stream(stream, after, max).await?;
        if let Some(upto) = &self.upto {
            let upto = upto.load(Ordering::Acquire);
            batch.retain(|stored| stored.offset.get() <= upto);
        }
        Ok(batch)
    }
}

fn plain(records: Vec<Stored>) -> Vec<(StreamId, Revision, Arc<[u8]>)> {
    let plain = records
        .into_iter()
        .map(|stored| (stored.stream, stored.revision, stored.record));
    plain.collect()
}

impl EventStore for ForkStore {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        Box::pin(async move {
            for item in &items {
                if let Err(error) = self.adopt(&item.stream).await {
                    let why = error.to_string();
                    return items
                        .iter()
                        .map(|_| Err(AppendError::Unavailable(why.clone())))
                        .collect();
                }
            }
            self.own.append(items).await
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
            if stream == self.instance || self.is_own(&stream).await? {
                self.own.read_stream(&stream, after, max).await
            } else {
                self.visible(&stream, after, max).await
            }
        })
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        self.own.read_partition(partition, after, max)
    }

    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        self.own.changed(partition, after, wait)
    }

    fn layout(&self) -> &Layout {
        self.own.layout()
    }

    fn head(&self, partition: Partition) -> Offset {
        self.own.head(partition)
    }

    fn counters(&self) -> Counters {
        self.own.counters()
    }

    fn health(&self) -> Health {
        self.own.health()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.own.close()
    }
}
