//! Going over a log's records once: each is checked by itself, and the tree over them grows, with its roots where checkpoints
//! speak of them.

use flowledger_engine_core::codec;
use flowledger_engine_core::event::AnyRecord;
use flowledger_event_store::merkle::TreeHash;
use flowledger_event_store::{Offset, PublicKey, Revision, SignedCheckpoint, StreamId, leaf_hash};

use super::damaged;
use crate::error::EngineError;
use crate::operation::{CheckpointReport, hex};
use crate::proofs;
use crate::roots::Roots;

/// A walk over records, from the first on.
pub(super) struct Walk {
    roots: Roots,
}

/// A record that was found good.
pub(super) struct Passed {
    pub(super) stream: StreamId,
    pub(super) revision: Revision,
    pub(super) leaf: TreeHash,
    pub(super) record: AnyRecord,
}

impl Walk {
    /// A walk that remembers the roots that these checkpoints speak of.
    pub(super) fn past<'a>(checkpoints: impl IntoIterator<Item = &'a SignedCheckpoint>) -> Self {
        let sizes = checkpoints.into_iter().map(|signed| signed.checkpoint().size);
        Self {
            roots: Roots::at_sizes(sizes.collect()),
        }
    }

    /// Looks at the next record.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<Passed, EngineError> {
        let leaf = leaf_hash(bytes);
        let position = Offset::new(self.size() + 1);
        let record = codec::decode(bytes).map_err(|error| EngineError::unreadable(error, position))?;
        let envelope = record.envelope();
        let (stream, revision) = (StreamId::from_bytes(envelope.stream), Revision::new(envelope.version));
        self.roots.pass(&leaf);
        Ok(Passed {
            stream,
            revision,
            leaf,
            record,
        })
    }

    /// How many records were passed.
    pub(super) fn size(&self) -> u64 {
        self.roots.size()
    }

    /// The root over them.
    pub(super) fn root(&self) -> TreeHash {
        self.roots.now()
    }

    /// How a checkpoint compares with what was passed; where it is contradicted, the second says how.
    pub(super) fn compare(&self, signed: &SignedCheckpoint) -> (CheckpointReport, Option<String>) {
        let checkpoint = signed.checkpoint();
        let contradiction = proofs::contradiction(checkpoint, self.size(), self.roots.at(checkpoint.size));
        let report = CheckpointReport {
            size: checkpoint.size,
            root: hex(&checkpoint.root),
            cosignatures: proofs::cosignatures(signed),
            continued: contradiction.is_none(),
        };
        (report, contradiction)
    }
}

/// Checks that checkpoints carry the log's signature.
pub(super) fn check_signatures<'a>(
    checkpoints: impl IntoIterator<Item = &'a SignedCheckpoint>,
    key: &PublicKey,
) -> Result<(), EngineError> {
    for signed in checkpoints {
        signed.verify(key).map_err(|error| {
            let size = signed.checkpoint().size;
            damaged(format!(
                "the checkpoint of {size} records is not one of this log: {error}"
            ))
        })?;
    }
    Ok(())
}
