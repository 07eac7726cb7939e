//! Durable, append-only streams of opaque records: the trait, a store in memory and a store on sled.
//!
//! Knows revisions, durability and hashes, nothing of flows.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod memory;
mod record;
mod sled;
mod store;
mod waiting;

#[doc(hidden)]
pub use self::sled::{Faults, Step};
pub use self::sled::{SledIndex, SledOptions, SledStore};
pub use error::{AppendError, StoreError};
pub use memory::{MemoryIndex, MemoryStore};
pub use record::{Append, Appended, CommandId, Offset, Partition, Revision, Stored, StreamId, leaf_hash};
pub use store::{
    BoxFuture, Counters, EventStore, Health, INDEX_KEY_MAX, INDEX_VALUE_MAX, IndexChange, IndexEntry, IndexStore,
    Layout, Store,
};
