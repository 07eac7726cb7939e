//! What leaves the store about its tree: checkpoints, receipts and proofs of growth, each checked before it is handed out.

use std::sync::Arc;

use super::{MerkleError, MerkleLog};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::key::SigningKey;
use crate::merkle::{verify_consistency, verify_inclusion};
use crate::proof::{GrowthProof, InclusionProof};
use crate::record::{Offset, leaf_hash};

/// A record and the proof that it stands in the log; [`verify_receipt`](crate::verify_receipt) takes both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The record's exact bytes.
    pub record: Arc<[u8]>,
    /// The proof. Its text is what to keep.
    pub proof: InclusionProof,
}

impl MerkleLog {
    /// Catches up and signs the log as it is now.
    ///
    /// `last` is the newest checkpoint that was signed with this key, if there is one: the new one is signed only if it
    /// continues that one. If there is nothing new, `last` comes back with its cosignatures. Keep what comes back (see
    /// [`SignedCheckpoint::save`]) before anybody gets it.
    ///
    /// # Errors
    ///
    /// As [`MerkleLog::catch_up`]; `Rewritten` if the log does not continue `last`; `Signature` if the key is not a log's,
    /// or `last` not of that key.
    pub async fn checkpoint(
        &self,
        key: &SigningKey,
        last: Option<&SignedCheckpoint>,
    ) -> Result<SignedCheckpoint, MerkleError> {
        self.catch_up().await?;
        let now = self.at(0)?;
        let size = now.edge.size();
        if let Some(last) = last {
            last.verify(key.public())?;
            let signed = last.checkpoint();
            if signed.size > size {
                let what = format!("a checkpoint was signed for {} records, and it has {size}", signed.size);
                return Err(MerkleError::Rewritten(what));
            }
            if self.root(signed.size).await? != signed.root {
                return Err(other_root(signed));
            }
            if signed.size == size {
                return Ok(last.clone());
            }
        }
        let checkpoint = Checkpoint {
            origin: key.public().name().to_owned(),
            size,
            root: now.edge.root(),
            extensions: Vec::new(),
        };
        Ok(SignedCheckpoint::sign(checkpoint, key)?)
    }

    /// The receipt for a record, against a checkpoint of this log whose tree has it.
    ///
    /// # Errors
    ///
    /// `Beyond` if the checkpoint's tree does not have the record, or if the tree has not been built so far; `Record` if
    /// the record's bytes were changed; `Rewritten` if the checkpoint is not one of the log as it is; `Store`, `Tiles`.
    pub async fn receipt(&self, offset: Offset, checkpoint: &SignedCheckpoint) -> Result<Receipt, MerkleError> {
        let signed = checkpoint.checkpoint();
        let index = offset.get().checked_sub(1).ok_or(MerkleError::Beyond {
            asked: 0,
            size: signed.size,
        })?;
        let path = self.inclusion(index, signed.size).await?;
        let stored = self.records(index, 1).await?.pop().ok_or(MerkleError::Record(offset))?;
        let leaf = leaf_hash(&stored.record);
        if leaf != stored.leaf {
            return Err(MerkleError::Record(offset));
        }
        verify_inclusion(&leaf, index, signed.size, &path, &signed.root).map_err(|_| other_root(signed))?;
        Ok(Receipt {
            record: stored.record,
            proof: InclusionProof {
                extra: None,
                index,
                path,
                checkpoint: checkpoint.clone(),
            },
        })
    }

    /// The proof that the log has only grown from `from` records to a checkpoint of it.
    ///
    /// # Errors
    ///
    /// `Beyond`, `Shrunk`; `Rewritten` if the checkpoint is not one of the log as it is; `Store`, `Tiles`.
    pub async fn growth(&self, from: u64, checkpoint: &SignedCheckpoint) -> Result<GrowthProof, MerkleError> {
        let signed = checkpoint.checkpoint();
        let path = self.consistency(from, signed.size).await?;
        let root = self.root(from).await?;
        verify_consistency(from, &root, signed.size, &signed.root, &path).map_err(|_| other_root(signed))?;
        if self.root(signed.size).await? != signed.root {
            return Err(other_root(signed));
        }
        Ok(GrowthProof {
            from,
            path,
            checkpoint: checkpoint.clone(),
        })
    }
}

fn other_root(signed: &Checkpoint) -> MerkleError {
    let what = format!(
        "a checkpoint was signed for {} records, and with those it has another root",
        signed.size
    );
    MerkleError::Rewritten(what)
}
