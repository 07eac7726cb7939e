//! Durable, append-only streams of opaque records: the trait, a store in memory and a store on sled; and the proofs about them.
//!
//! Knows revisions, durability and hashes, nothing of flows. [`MerkleLog`] keeps the tree over a store's records and hands
//! out checkpoints and receipts; [`verify_receipt`] checks them without any store.

mod checkpoint;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod error;
mod file;
mod key;
mod memory;
pub mod merkle;
mod note;
mod proof;
mod record;
mod sled;
mod store;
mod text;
mod tiles;
mod waiting;

pub use self::sled::{DamagedStore, NewStore, SledIndex, SledOptions, SledStore};
#[doc(hidden)]
pub use self::sled::{Faults, Step};
pub use checkpoint::{Checkpoint, Cosignature, SignedCheckpoint};
pub use error::{AppendError, DamageReport, StoreError};
pub use key::{KEY_NAME_MAX, KeyError, KeyKind, PublicKey, SigningKey, default_log_name};
pub use memory::{MemoryIndex, MemoryStore};
pub use note::{NOTE_MAX, Note, NoteSignature, SIGNATURES_MAX, SignatureError};
pub use proof::{
    EXTRA_MAX, GrowthProof, InclusionProof, ReceiptError, VerifiedReceipt, Witnesses, WitnessesError, verify_receipt,
};
pub use record::{Append, Appended, Offset, Partition, Revision, Stored, StreamId, leaf_hash};
pub use store::{
    BoxFuture, Counters, EventStore, FaultKind, Health, INDEX_KEY_MAX, INDEX_VALUE_MAX, IndexChange, IndexEntry,
    IndexStore, Layout, LogPoint, Marks, Status, Store, StoreFault,
};
pub use text::Malformed;
pub use tiles::{MerkleError, MerkleLog, Receipt, TileFault, TilesCheck};
