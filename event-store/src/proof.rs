//! Proofs as texts, checked without a store: receipts (C2SP `tlog-proof`) and growth (the request of C2SP `tlog-witness`).

use std::fmt;

use thiserror::Error;

use crate::checkpoint::{Checkpoint, Cosignature, SignedCheckpoint, check_witness_key};
use crate::key::PublicKey;
use crate::merkle::{PATH_MAX, ProofError, TreeHash, verify_consistency, verify_inclusion};
use crate::note::{NOTE_MAX, SignatureError};
use crate::record::{Offset, leaf_hash};
use crate::text::{Malformed, bounded, decimal, from_base64, hash, to_base64};

/// Bytes of data that may accompany a proof.
pub const EXTRA_MAX: usize = 64 << 10;

/// Bytes the text of a proof may have.
const PROOF_MAX: usize = NOTE_MAX + 2 * EXTRA_MAX;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// That a record stands in a log: its index, the way to the root, and a checkpoint with that root.
///
/// With the record's exact bytes it is a receipt. Parsing and showing give the same bytes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Data that accompanies the proof. Nobody signs it: anybody can have put it there.
    pub extra: Option<Vec<u8>>,
    /// The record's place in the log, from 0.
    pub index: u64,
    /// The hashes beside the way from the leaf to the root.
    pub path: Vec<TreeHash>,
    /// The checkpoint whose tree has the record.
    pub checkpoint: SignedCheckpoint,
}

impl InclusionProof {
    /// Reads a proof.
    ///
    /// # Errors
    ///
    /// Anything that is not the one form of a proof, with the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let what = "a proof";
        let Parts { head, checkpoint } = Parts::of(what, bytes)?;
        let malformed = |(line, why): (usize, String)| Malformed::new(what, line, why);
        let mut lines = (1..).zip(head.split('\n')).peekable();
        if lines.next().is_none_or(|(_, line)| line != HEADER) {
            return Err(malformed((1, format!("a proof begins with {HEADER}"))));
        }
        let mut extra = None;
        if let Some((line, encoded)) = lines
            .peek()
            .and_then(|(number, line)| Some((*number, line.strip_prefix("extra ")?)))
        {
            lines.next();
            let bytes = from_base64(encoded).map_err(|why| malformed((line, why)))?;
            if bytes.len() > EXTRA_MAX {
                let why = format!("the data has {} bytes, more than {EXTRA_MAX} are not read", bytes.len());
                return Err(malformed((line, why)));
            }
            extra = Some(bytes);
        }
        let index = numbered(lines.next(), "index ").map_err(malformed)?;
        let path = hashes(lines).map_err(malformed)?;
        Ok(Self {
            extra,
            index,
            path,
            checkpoint,
        })
    }

    /// Checks that the log that has signed the checkpoint holds a record with this leaf hash at the proof's index.
    ///
    /// # Errors
    ///
    /// `Signature`, `Proof`.
    pub fn verify(&self, leaf: &TreeHash, log: &PublicKey) -> Result<(), ReceiptError> {
        self.checkpoint.verify(log)?;
        let Checkpoint { size, root, .. } = self.checkpoint.checkpoint();
        verify_inclusion(leaf, self.index, *size, &self.path, root)?;
        Ok(())
    }
}

impl fmt::Display for InclusionProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path
            .iter()
            .try_for_each(|hash| writeln!(f, "{}", to_base64(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// That a log has only grown since it had a certain size: what a witness is sent, and what an auditor keeps asking for.
///
/// Parsing and showing give the same bytes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrowthProof {
    /// The earlier size.
    pub from: u64,
    /// The consistency proof.
    pub path: Vec<TreeHash>,
    /// The checkpoint of the later size.
    pub checkpoint: SignedCheckpoint,
}

impl GrowthProof {
    /// Reads a proof.
    ///
    /// # Errors
    ///
    /// Anything that is not the one form of a proof, with the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let what = "a proof of growth";
        let Parts { head, checkpoint } = Parts::of(what, bytes)?;
        let malformed = |(line, why): (usize, String)| Malformed::new(what, line, why);
        let mut lines = (1..).zip(head.split('\n'));
        let from = numbered(lines.next(), "old ").map_err(malformed)?;
        let path = hashes(lines).map_err(malformed)?;
        Ok(Self { from, path, checkpoint })
    }

    /// Checks that the log has signed the later checkpoint, and that it continues the earlier one, which is known.
    ///
    /// # Errors
    ///
    /// `Signature`, `Proof`, `OtherStart`.
    pub fn verify(&self, earlier: &Checkpoint, log: &PublicKey) -> Result<(), ReceiptError> {
        self.checkpoint.verify(log)?;
        let later = self.checkpoint.checkpoint();
        if earlier.origin != later.origin {
            return Err(ReceiptError::Signature(SignatureError::Origin {
                found: earlier.origin.clone(),
                expected: later.origin.clone(),
            }));
        }
        if earlier.size != self.from {
            return Err(ReceiptError::OtherStart {
                found: self.from,
                expected: earlier.size,
            });
        }
        verify_consistency(self.from, &earlier.root, later.size, &later.root, &self.path)?;
        Ok(())
    }
}

impl fmt::Display for GrowthProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.from)?;
        self.path
            .iter()
            .try_for_each(|hash| writeln!(f, "{}", to_base64(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// The lines of a proof's own, and the checkpoint behind the empty line.
struct Parts<'a> {
    head: &'a str,
    checkpoint: SignedCheckpoint,
}

impl<'a> Parts<'a> {
    fn of(what: &'static str, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let text = bounded(what, bytes, PROOF_MAX)?;
        let (head, rest) = text
            .split_once("\n\n")
            .ok_or_else(|| Malformed::new(what, 1, "there is no empty line before the checkpoint"))?;
        let above = head.matches('\n').count() + 2;
        let checkpoint = SignedCheckpoint::parse(rest.as_bytes()).map_err(|error| error.below(above))?;
        Ok(Self { head, checkpoint })
    }
}

fn numbered(line: Option<(usize, &str)>, name: &str) -> Result<u64, (usize, String)> {
    let missing = |line| (line, format!("there should be a line \"{name}\" with a number"));
    let (number, line) = line.ok_or_else(|| missing(1))?;
    let value = line.strip_prefix(name).ok_or_else(|| missing(number))?;
    decimal(value).map_err(|why| (number, why))
}

fn hashes<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<TreeHash>, (usize, String)> {
    let mut path = Vec::new();
    for (number, line) in lines {
        if path.len() >= PATH_MAX {
            return Err((number, format!("no proof has more than {PATH_MAX} hashes")));
        }
        path.push(hash(line).map_err(|why| (number, why))?);
    }
    Ok(path)
}

/// Whose cosignatures a receipt must have: so many of these witnesses.
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    keys: Vec<PublicKey>,
    quorum: usize,
}

impl Witnesses {
    /// None are asked for, and none are looked for.
    pub fn none() -> Self {
        Self::default()
    }

    /// At least `quorum` of these must have cosigned. With 0, those that have are told.
    ///
    /// # Errors
    ///
    /// A key that is not a witness's, the same key twice (also under two names: one signature would count twice), and a
    /// quorum larger than the number of keys.
    pub fn new(keys: Vec<PublicKey>, quorum: usize) -> Result<Self, WitnessesError> {
        for (place, key) in keys.iter().enumerate() {
            check_witness_key(key).map_err(WitnessesError::Key)?;
            if keys
                .iter()
                .skip(place + 1)
                .any(|other| other.as_bytes() == key.as_bytes())
            {
                return Err(WitnessesError::Twice {
                    key: key.name().to_owned(),
                });
            }
        }
        let count = keys.len();
        if quorum > count {
            return Err(WitnessesError::Quorum { quorum, count });
        }
        Ok(Self { keys, quorum })
    }
}

/// Why witnesses cannot be asked for like this.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WitnessesError {
    /// A key is not a witness's.
    #[error(transparent)]
    Key(SignatureError),
    /// A key is named twice.
    #[error("the key of witness {key:?} is given twice")]
    Twice {
        /// Its first name.
        key: String,
    },
    /// More witnesses are asked for than there are.
    #[error("{quorum} of {count} witnesses cannot be had")]
    Quorum {
        /// How many are asked for.
        quorum: usize,
        /// How many there are.
        count: usize,
    },
}

/// What a receipt proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipt {
    /// The log's checkpoint: the record is one of those it speaks of.
    pub checkpoint: Checkpoint,
    /// The record's place in the log.
    pub offset: Offset,
    /// The witnesses asked about that have cosigned the checkpoint.
    pub cosignatures: Vec<Cosignature>,
    /// The data that accompanies the receipt, which nobody has signed.
    pub unproven_extra: Option<Vec<u8>>,
}

/// Checks a receipt: that the log with this key holds a record of exactly these bytes, and where.
///
/// Needs no store, no network and no clock. The whole receipt is refused if a signature of the log or of one of the
/// witnesses is wrong; signatures of other keys are passed over.
///
/// # Errors
///
/// What is wrong with the receipt, or that the witnesses asked for are not there.
pub fn verify_receipt(
    record: &[u8],
    proof: &[u8],
    log: &PublicKey,
    witnesses: &Witnesses,
) -> Result<VerifiedReceipt, ReceiptError> {
    let proof = InclusionProof::parse(proof)?;
    proof.verify(&leaf_hash(record), log)?;
    if let Some(witness) = witnesses
        .keys
        .iter()
        .find(|witness| witness.as_bytes() == log.as_bytes())
    {
        return Err(ReceiptError::OwnWitness {
            key: witness.name().to_owned(),
        });
    }
    let cosignatures = proof.checkpoint.cosignatures(&witnesses.keys)?;
    if cosignatures.len() < witnesses.quorum {
        return Err(ReceiptError::Witnesses {
            found: cosignatures.len(),
            wanted: witnesses.quorum,
        });
    }
    Ok(VerifiedReceipt {
        checkpoint: proof.checkpoint.checkpoint().clone(),
        offset: Offset::new(proof.index.saturating_add(1)),
        cosignatures,
        unproven_extra: proof.extra,
    })
}

/// Why a receipt, or a proof of growth, is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// It does not have the form of one.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The checkpoint is not signed as it must be.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The hashes do not fit together.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// Too few of the witnesses have cosigned.
    #[error("{found} of the witnesses have cosigned, {wanted} are asked for")]
    Witnesses {
        /// How many have.
        found: usize,
        /// How many must.
        wanted: usize,
    },
    /// The log's own key is among the witnesses'.
    #[error("witness {key:?} has the log's own key")]
    OwnWitness {
        /// The name of the witness.
        key: String,
    },
    /// The proof begins at another size than the checkpoint that is known.
    #[error("the proof begins at {found} records, the checkpoint that is known has {expected}")]
    OtherStart {
        /// The size in the proof.
        found: u64,
        /// The size of the known checkpoint.
        expected: u64,
    },
}

#[cfg(test)]
mod tests;
