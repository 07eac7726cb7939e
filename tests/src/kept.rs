//! What strangers keep of a log, its key, receipts and checkpoints, and whether the log still stands by it.

use flowledger::BlockingEngine;
use flowledger::store::merkle::{Edge, TreeHash};
use flowledger::store::{GrowthProof, PublicKey, SignedCheckpoint, Witnesses, leaf_hash, verify_receipt};

use crate::load::{Line, from_hex};

/// Receipts and checkpoints that were handed out, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    key: Option<PublicKey>,
    receipts: Vec<KeptReceipt>,
    checkpoints: Vec<SignedCheckpoint>,
    /// How many receipts and checkpoints have been compared with a log.
    compared: (usize, usize),
}

#[derive(Clone, Debug)]
struct KeptReceipt {
    position: u64,
    record: Vec<u8>,
    proof: String,
}

impl Kept {
    /// How many receipts there are.
    pub fn receipts(&self) -> usize {
        self.receipts.len()
    }

    /// How many checkpoints there are.
    pub fn checkpoints(&self) -> usize {
        self.checkpoints.len()
    }

    /// Whether nothing was handed out.
    pub fn is_empty(&self) -> bool {
        self.key.is_none()
    }

    /// The size of the largest log that a kept checkpoint speaks of.
    pub fn largest(&self) -> u64 {
        let sizes = self.checkpoints.iter().map(|signed| signed.checkpoint().size);
        sizes.max().unwrap_or(0)
    }

    /// Keeps what a client got; other lines are passed over. Every checkpoint and the key must be ones, and the key that of
    /// before.
    pub fn keep(&mut self, line: &Line) -> Result<(), String> {
        let (Line::Receipt { key, .. } | Line::Checkpoint { key, .. }) = line else {
            return Ok(());
        };
        let key: PublicKey = key.parse().map_err(|error| format!("the key {key:?}: {error}"))?;
        match &self.key {
            Some(known) if *known != key => return Err(format!("the log's key was {known} and is {key} now")),
            _ => self.key = Some(key),
        }
        match line {
            Line::Receipt {
                position,
                record,
                proof,
                ..
            } => {
                let record = from_hex(record).ok_or("a record is not hexadecimal")?;
                let (position, proof) = (*position, proof.clone());
                self.receipts.push(KeptReceipt {
                    position,
                    record,
                    proof,
                });
            }
            Line::Checkpoint { note, .. } => {
                let signed = SignedCheckpoint::parse(note.as_bytes()).map_err(|error| error.to_string())?;
                self.checkpoints.push(signed);
            }
            _ => {}
        }
        Ok(())
    }

    /// Claims a receipt of a record that never was; a checker that checks must then find a fault.
    pub fn forge(&mut self) {
        if let Some(mut receipt) = self.receipts.last().cloned() {
            receipt.record.push(0);
            self.receipts.push(receipt);
        }
    }

    /// What does not hold any more: each receipt and checkpoint must verify offline, stand in the log with these leaf
    /// hashes, and be continued by what the engine signs now. Without `all`, those that were not compared before.
    pub fn check(&mut self, leaves: &[TreeHash], engine: &BlockingEngine, all: bool) -> Vec<String> {
        let Some(key) = &self.key else { return Vec::new() };
        let mut faults = Vec::new();
        match engine.public_key() {
            Ok(now) if now == key.to_string() => {}
            Ok(now) => faults.push(format!("the log's key was {key} and is {now} now")),
            Err(error) => faults.push(format!("the log's key was {key}, and now: {error}")),
        }
        let (receipts, checkpoints) = if all { (0, 0) } else { self.compared };
        for receipt in self.receipts.iter().skip(receipts) {
            let position = receipt.position;
            match verify_receipt(&receipt.record, receipt.proof.as_bytes(), key, &Witnesses::none()) {
                Ok(verified) if verified.offset.get() == position => {}
                Ok(verified) => faults.push(format!(
                    "the receipt of position {position} proves position {}",
                    verified.offset
                )),
                Err(error) => faults.push(format!("the receipt of position {position}: {error}")),
            }
            let index = usize::try_from(position)
                .ok()
                .and_then(|position| position.checked_sub(1));
            match index.and_then(|index| leaves.get(index)) {
                Some(leaf) if *leaf == leaf_hash(&receipt.record) => {}
                Some(_) => faults.push(format!("position {position} holds another record than its receipt")),
                None => faults.push(format!("position {position} has a receipt and is lost")),
            }
        }
        let mut signed: Vec<_> = self.checkpoints.iter().skip(checkpoints).collect();
        signed.sort_by_key(|signed| signed.checkpoint().size);
        let mut edge = Edge::default();
        let mut rest = leaves.iter();
        for signed in &signed {
            let checkpoint = signed.checkpoint();
            if let Err(error) = signed.verify(key) {
                faults.push(format!("the checkpoint of {} records: {error}", checkpoint.size));
            }
            while edge.size() < checkpoint.size
                && let Some(leaf) = rest.next()
            {
                edge.append(leaf);
            }
            if edge.size() != checkpoint.size || edge.root() != checkpoint.root {
                faults.push(format!(
                    "the log of {} records is not the one whose first {} were signed",
                    leaves.len(),
                    checkpoint.size
                ));
            }
        }
        // The largest is enough: it was found to continue the others.
        if let Some(last) = signed.last() {
            let growth = engine.growth(last.checkpoint().size).map_err(|error| error.to_string());
            let proven = growth.and_then(|growth| {
                let proof = GrowthProof::parse(growth.proof.as_bytes()).map_err(|error| error.to_string())?;
                proof.verify(last.checkpoint(), key).map_err(|error| error.to_string())
            });
            if let Err(error) = proven {
                faults.push(format!("growth from {} records: {error}", last.checkpoint().size));
            }
        }
        self.compared = (self.receipts.len(), self.checkpoints.len());
        faults
    }
}
