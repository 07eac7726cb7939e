//! The two traits every store implements; they know revisions, durability and hashes, nothing of flows.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_timer::Delay;

use crate::error::{AppendError, StoreError};
use crate::record::{Append, Appended, Offset, Partition, Revision, Stored, StreamId};

/// A future on the heap, so that the traits can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Durable, append-only streams of opaque records, in partitions.
///
/// Its futures need no particular executor. An embedded store does its reads on the thread that polls.
pub trait EventStore: Send + Sync + 'static {
    /// Stores each item whose stream is at its `expected` revision; the answers come in the order of the items.
    ///
    /// Items are independent: one may be refused and the next stored; two items of one stream are taken in order.
    /// Resolves once the stored ones survive a power cut. A dropped future does not take back what it has queued.
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>>;

    /// The stream's durable records after a revision, in order, at most `max`.
    ///
    /// A stream that does not exist is empty. Fewer than `max` need not be the end; none is. The cost follows what is
    /// returned, not the length of the log.
    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>>;

    /// The partition's durable records after an offset, in order and without gaps, at most `max`.
    ///
    /// Fewer than `max` need not be the end; none is.
    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>>;

    /// Resolves when the partition has something after `after`, or when `wait` is over. A hint: truth is always a read.
    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What was fixed when the store was created.
    fn layout(&self) -> &Layout;

    /// The offset of the last durable record as far as this process knows; [`Offset::NONE`] for an empty or unknown
    /// partition.
    fn head(&self, partition: Partition) -> Offset;

    /// What is kept beside the partition's log, or known of it by this process, about how far it goes. `None`: nothing.
    fn marks(&self, partition: Partition) -> Option<Marks> {
        let _ = partition;
        None
    }

    /// What this store has done since it was opened.
    fn counters(&self) -> Counters;

    /// Whether the store takes commands.
    fn health(&self) -> Health;

    /// What the store knows of itself besides its health. A store that keeps no such books says what follows from its health.
    fn status(&self) -> Status {
        Status {
            health: self.health(),
            ..Status::default()
        }
    }

    /// Resolves when [`Status::changes`] is beyond `after`, or when `wait` is over. A hint: truth is always a look.
    fn status_changed(&self, after: u64, wait: Duration) -> BoxFuture<'_, ()> {
        let _ = after;
        Box::pin(Delay::new(wait))
    }

    /// Finishes what is queued, writes the indexes out and lets go of the files. Everything after it is `Unavailable`.
    ///
    /// Dropping the store does the same, without a word about errors. Closing twice is fine.
    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Derived key-value data that can be deleted and built again from the log, with the log position it stands for.
///
/// Keys share one space, so an index begins its keys with a prefix of its own. Changes are not durable by themselves:
/// after a crash, or when health comes back to `Ready`, an index is as it was at some earlier `apply`, at the position it
/// had then, never in between.
pub trait IndexStore: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreError>;

    /// The entries from `from` (inclusive) to `to` (exclusive) in key order, or in reverse, at most `max`.
    fn range(&self, from: &[u8], to: &[u8], reverse: bool, max: usize) -> Result<Vec<IndexEntry>, StoreError>;

    /// Sets (`Some`) and removes (`None`) keys and notes that the index `name` now stands for `position`, all or nothing.
    ///
    /// `position` must be durable in the log: at most what [`EventStore::head`] says. Keys take [`INDEX_KEY_MAX`] bytes
    /// and values [`INDEX_VALUE_MAX`]. Commits may wait meanwhile, so apply some hundred changes at a time.
    fn apply(&self, changes: Vec<IndexChange>, name: &str, position: Offset) -> Result<(), StoreError>;

    /// Sets and removes keys one after the other, within the bounds of [`IndexStore::apply`]; commits do not wait. After an error
    /// or a crash a beginning of the changes may be there, and no position has moved: for those who can do it again.
    fn write(&self, changes: Vec<IndexChange>) -> Result<(), StoreError>;

    /// The position the index `name` stands for. [`Offset::NONE`]: it does not exist or does not fit the log; clear it
    /// and build it from the first record.
    fn position(&self, name: &str) -> Result<Offset, StoreError>;

    /// Forgets the position of the index `name`, then removes every key that begins with `prefix`.
    fn clear(&self, name: &str, prefix: &[u8]) -> Result<(), StoreError>;
}

/// A key of an index and its value.
pub type IndexEntry = (Arc<[u8]>, Arc<[u8]>);

/// A key of an index and its new value; `None` removes it.
pub type IndexChange = (Vec<u8>, Option<Vec<u8>>);

/// Bytes an index key may have.
pub const INDEX_KEY_MAX: usize = 512;

/// Bytes an index value may have (sled keeps larger leaves in files that it never syncs).
pub const INDEX_VALUE_MAX: usize = 4096;

/// A store and its index, as the engine takes them.
#[derive(Clone)]
pub struct Store {
    /// The log.
    pub events: Arc<dyn EventStore>,
    /// What is derived from it.
    pub index: Arc<dyn IndexStore>,
}

/// What is fixed when a store is created and checked when it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The number of the stored form.
    pub format: u32,
    /// How many partitions there are.
    pub partitions: Partition,
    /// Bytes of the largest record.
    pub record_max: usize,
    /// The hash of leaves and nodes.
    pub hash: &'static str,
    /// Sixteen random bytes that tell this store from every other.
    pub origin: [u8; 16],
}

impl Layout {
    /// The only hash so far: SHA-256 with the leaf and node prefixes of RFC 6962.
    pub const HASH: &'static str = "sha256-rfc6962";

    /// Bytes of the largest record unless chosen otherwise: 16 MiB.
    pub const RECORD_MAX: usize = 16 << 20;
}

/// A record that a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPoint {
    /// Its place; [`Offset::NONE`] for an empty log.
    pub offset: Offset,
    /// Its leaf hash.
    pub leaf: [u8; 32],
}

/// How far a log goes, by what is known besides its records: those that say of themselves that they are the last could
/// have lost others behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// How far the log was known to go before it was opened; [`Offset::NONE`] if nothing told.
    pub found: LogPoint,
    /// Where it ended when it was opened. What lies between is intact; whether more had followed nobody knows.
    pub opened: Offset,
    /// The last record that this process knows to be durable.
    pub durable: LogPoint,
    /// How far the log goes by what is on disk by now. It follows `durable`.
    pub written: Offset,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records appended and durable.
    pub records: u64,
    /// Group commits, each with one sync; `records / batches` is what group commit gains.
    pub batches: u64,
    /// Bytes of the appended records.
    pub bytes: u64,
    /// Times the derived indexes were written out.
    pub checkpoints: u64,
}

/// What a store knows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether it takes commands.
    pub health: Health,
    /// Whether it was closed.
    pub is_closed: bool,
    /// Since when it is so; `None` if nothing is known about it.
    pub since: Option<SystemTime>,
    /// How often health or the last fault have changed since the store was opened.
    pub changes: u64,
    /// The last thing that went wrong.
    pub last_fault: Option<StoreFault>,
    /// Records whose callers wait for an answer.
    pub pending: u64,
    /// Whether the files that it has open, and locked, are still those in its directory; `None` where that cannot be told.
    pub holds_lock: Option<bool>,
}

/// Something that went wrong with a store while it was open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFault {
    /// When.
    pub at: SystemTime,
    /// Of which kind.
    pub kind: FaultKind,
    /// What, in words.
    pub what: String,
}

/// What can go wrong with a store while it is open; each kind has its own consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The disk did not take what was written; the store reopens and goes on.
    Write,
    /// The disk did not confirm what was written; no commands until the store is opened again.
    Sync,
    /// The disk does not answer; no commands until the store is opened again.
    Stuck,
    /// The files are no longer in the store's directory; no commands until the store is opened again.
    Lost,
    /// Something stored cannot be read or is not what it was. Reading goes on with the rest.
    Damage,
    /// The store itself failed; no commands until it is opened again.
    Broken,
}

/// Whether a store takes commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It does.
    #[default]
    Ready,
    /// Not now: it is reopening after an error and will go on by itself.
    Recovering {
        /// The error.
        why: String,
    },
    /// Not until it is opened again.
    Refused {
        /// The error, or that it was closed.
        why: String,
    },
}
