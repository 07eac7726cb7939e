//! Compares everything the Merkle tree is made of with the log, from its first record on.

use std::fmt;

use super::{Growth, MerkleError, MerkleLog, READ_BATCH, State, TileId, decode_tile};
use crate::merkle::TreeHash;
use crate::record::{Offset, leaf_hash};

/// Faults that are told one by one.
const FAULTS_TOLD: usize = 100;

/// What a comparison of tree and log has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TilesCheck {
    /// Records that were read; the size of the tree.
    pub records: u64,
    /// The root that the records' bytes give.
    pub root: TreeHash,
    /// Tiles that were compared.
    pub tiles: u64,
    /// The first hundred faults.
    pub faults: Vec<TileFault>,
    /// How many faults there are.
    pub fault_count: u64,
}

/// Something that does not match the bytes of the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TileFault {
    /// The leaf hash stored with a record is not that of its bytes.
    Leaf {
        /// The record.
        offset: Offset,
    },
    /// The index does not have a tile. It is computed from the log whenever it is needed.
    Missing {
        /// The tile's level.
        level: u8,
        /// Its place in the level, from 0.
        index: u64,
    },
    /// The index has another tile.
    Altered {
        /// The tile's level.
        level: u8,
        /// Its place in the level, from 0.
        index: u64,
    },
    /// The tree in memory has another root.
    Root,
}

impl fmt::Display for TileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf { offset } => write!(f, "the record at offset {offset} does not match its leaf hash"),
            Self::Missing { level, index } => write!(f, "tile {index} of level {level} is missing"),
            Self::Altered { level, index } => write!(f, "tile {index} of level {level} is not that of the records"),
            Self::Root => write!(f, "the tree has another root than the records give"),
        }
    }
}

impl TilesCheck {
    fn add(&mut self, fault: TileFault) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_TOLD {
            self.faults.push(fault);
        }
    }
}

impl MerkleLog {
    /// Hashes every record again, up to the size of the tree, and compares leaf hashes, tiles and root. Changes nothing.
    ///
    /// Somebody who rewrites records, leaf hashes and tiles alike is not found out by this, but by comparing the root with
    /// a checkpoint that was signed before.
    ///
    /// # Errors
    ///
    /// `Store` if something cannot be read, `Rewritten` if records are missing.
    pub async fn check(&self) -> Result<TilesCheck, MerkleError> {
        let state = self.at(0)?;
        let size = state.edge.size();
        let mut check = TilesCheck {
            records: size,
            root: TreeHash::default(),
            tiles: 0,
            faults: Vec::new(),
            fault_count: 0,
        };
        let mut rebuilt = State::default();
        while let Some(missing) = size.checked_sub(rebuilt.edge.size()).filter(|&missing| missing > 0) {
            let max = usize::try_from(missing).map_or(READ_BATCH, |missing| missing.min(READ_BATCH));
            let records = self.records(rebuilt.edge.size(), max).await?;
            let mut leaves = Vec::with_capacity(records.len());
            for stored in &records {
                let leaf = leaf_hash(&stored.record);
                if leaf != stored.leaf {
                    check.add(TileFault::Leaf { offset: stored.offset });
                }
                leaves.push(leaf);
            }
            let Growth {
                state: grown, tiles, ..
            } = rebuilt.grow(&leaves)?;
            rebuilt = grown;
            for (id, tile) in tiles {
                // What became full behind the last write is in memory only.
                if id.end() <= state.written {
                    check.tiles += 1;
                    if let Some(fault) = self.compare(id, &tile)? {
                        check.add(fault);
                    }
                }
            }
        }
        check.root = rebuilt.edge.root();
        if rebuilt.edge != state.edge {
            check.add(TileFault::Root);
        }
        Ok(check)
    }

    fn compare(&self, id: TileId, tile: &[TreeHash]) -> Result<Option<TileFault>, MerkleError> {
        let TileId { level, index } = id;
        Ok(match self.store.index.get(&self.tile_key(id))? {
            None => Some(TileFault::Missing { level, index }),
            Some(value) if decode_tile(&value).is_some_and(|stored| stored.hashes() == tile) => None,
            Some(_) => Some(TileFault::Altered { level, index }),
        })
    }
}

impl TileId {
    /// The size of the tree at which the tile became full.
    fn end(self) -> u64 {
        let level = u32::from(self.subtree().level);
        let next = u128::from(self.index) + 1;
        next.checked_shl(level)
            .and_then(|end| u64::try_from(end).ok())
            .unwrap_or(u64::MAX)
    }
}
