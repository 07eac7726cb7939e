//! Ids, positions and records as they go into a store and come out of it; knows nothing of how they are kept.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Names a stream.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId([u8; 16]);

impl StreamId {
    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamId({self})")
    }
}

/// How far a stream has come.
///
/// A token of the store: it grows with every record of the stream. In the embedded stores it is the dense version 1, 2, 3 …;
/// elsewhere only its order means something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(u64);

impl Revision {
    /// The stream does not exist.
    pub const NONE: Self = Self(0);

    /// The revision with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number; 0 for a stream that does not exist.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Numbers a partition, from 0; streams are spread over partitions, and each partition is one ordered log.
pub type Partition = u16;

/// The place of a record in its partition: 1, 2, 3 … without gaps, in the order in which records became visible.
///
/// The leaf index of the record in the partition's Merkle tree is the offset minus one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(u64);

impl Offset {
    /// Before the first record: reading after it starts with the first record.
    pub const NONE: Self = Self(0);

    /// The offset with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number; 0 stands before the first record.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One record to be stored if its stream is where the caller believes it is.
#[derive(Clone, Debug)]
pub struct Append {
    /// The stream that gets the record.
    pub stream: StreamId,
    /// The revision the caller has read; [`Revision::NONE`] to create the stream.
    pub expected: Revision,
    /// The record's exact bytes; opaque to the store.
    pub record: Arc<[u8]>,
}

/// Where a record has been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The stream's revision now.
    pub revision: Revision,
    /// The partition that holds the stream.
    pub partition: Partition,
    /// The record's place in the partition.
    pub offset: Offset,
}

/// A record as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The stream of the record.
    pub stream: StreamId,
    /// The stream's revision with this record.
    pub revision: Revision,
    /// The partition that holds the stream.
    pub partition: Partition,
    /// The record's place in the partition.
    pub offset: Offset,
    /// [`leaf_hash`] of the record, computed when it was appended.
    pub leaf: [u8; 32],
    /// The record's exact bytes.
    pub record: Arc<[u8]>,
}

/// The hash of a record as a leaf of a Merkle tree: SHA-256 of a zero byte and the record (RFC 6962, section 2.1).
pub fn leaf_hash(record: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(record);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_hash_of_the_empty_record_is_the_one_rfc_6962_lists() {
        let hash = leaf_hash(b"");
        let [left, right] = hash.as_chunks().0 else {
            unreachable!()
        };
        assert_eq!(
            StreamId::from_bytes(*left).to_string(),
            "6e340b9cffb37a989ca544e6bb780a2c"
        );
        assert_eq!(
            StreamId::from_bytes(*right).to_string(),
            "78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn ids_are_shown_in_hex() {
        assert_eq!(StreamId::from_bytes([0xa1; 16]).to_string(), "a1".repeat(16));
    }
}
