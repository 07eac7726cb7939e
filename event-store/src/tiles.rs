//! The Merkle tree over the records of a partition: in memory its right edge, in the index its full tiles, derived from the log.
//!
//! ```text
//! key    "t" | partition 2 | level 1 | number 8     a full tile: 64 hashes of 32 bytes
//! key    "t" | partition 2 | 255                    size 8 | root 32, for the position the tiles stand for
//! index  "tiles-1:" partition in decimal            that position, a multiple of 64
//! ```
//! A tile of level L holds the roots of 64 neighbouring complete subtrees of 64 to the power of L leaves. What is not in a
//! full tile yet is in memory: at most 63 hashes for each level. Every tile that is read must have the root that the level
//! above it has for it, up to what is in memory, so a changed tile is never believed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use quick_cache::sync::Cache;
use thiserror::Error;

use crate::error::StoreError;
use crate::merkle::{self, Edge, Part, Subtree, TreeHash, node_hash};
use crate::note::SignatureError;
use crate::record::{Offset, Partition, Stored};
use crate::store::{BoxFuture, IndexChange, Store};

mod check;
mod seal;
#[cfg(test)]
mod tests;

pub use check::{TileFault, TilesCheck};
pub use seal::Receipt;

/// Tree levels in a tile.
const HEIGHT: u8 = 6;

/// Hashes in a tile.
const WIDTH: u64 = 1 << HEIGHT;

/// The same, as a length.
const TILE_LEN: usize = 1 << HEIGHT;

/// Records read at a time; their tiles go out in one step.
const READ_BATCH: usize = 1024;

/// Tiles kept in memory, of 4 KiB each with the nodes over them.
const TILES_KEPT: usize = 256;

const PREFIX: u8 = b't';

/// Stands where a tile's key has its level.
const ROOT: u8 = u8::MAX;

/// Names a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct TileId {
    /// Tiles below it; 0 holds leaves.
    level: u8,
    /// Its place among the tiles of its level, from 0.
    index: u64,
}

/// A full tile with all nodes of the tree over its hashes, level by level, so that a proof costs no hashing in it.
#[derive(Clone)]
struct Tile(Arc<[TreeHash]>);

impl Tile {
    /// The tile with these hashes; `None` if they are not as many as a tile has.
    fn over(mut nodes: Vec<TreeHash>) -> Option<Self> {
        if nodes.len() != TILE_LEN {
            return None;
        }
        let mut from = 0;
        while from + 1 < nodes.len() {
            let level: Vec<TreeHash> = nodes
                .get(from..)?
                .as_chunks()
                .0
                .iter()
                .map(|[l, r]| node_hash(l, r))
                .collect();
            from = nodes.len();
            nodes.extend(level);
        }
        Some(Self(nodes.into()))
    }

    /// The hashes it was made of.
    fn hashes(&self) -> &[TreeHash] {
        self.0.get(..TILE_LEN).unwrap_or_default()
    }

    fn root(&self) -> TreeHash {
        self.0.last().copied().unwrap_or_default()
    }
}

/// The Merkle tree over the records of one partition; leaf i is the record at offset i + 1.
///
/// Call [`MerkleLog::catch_up`] before the first look, and again to take in what the log has got since; it costs little
/// for each record and can be called after every commit. All else answers for the tree as it was last caught up with, and
/// can be asked from many threads. One `MerkleLog` for each partition of a store: a second one works, but they slow each
/// other down.
///
/// ```
/// # use flowledger_event_store::{MemoryStore, MerkleLog, Store, merkle};
/// let log = MerkleLog::new(Store::from(MemoryStore::new()), 0);
/// # pollster::block_on(async {
/// assert_eq!(log.catch_up().await?, 0);
/// assert_eq!(log.root(0).await?, merkle::EMPTY_ROOT);
/// # Ok::<(), flowledger_event_store::MerkleError>(())
/// # }).unwrap();
/// ```
pub struct MerkleLog {
    store: Store,
    partition: Partition,
    /// The name of the index.
    name: String,
    /// `None` until the index has been looked at.
    states: RwLock<Option<States>>,
    /// Held by whoever writes the index and puts a new state in place.
    turn: Mutex<()>,
    cache: Cache<TileId, Tile>,
    recomputed: AtomicU64,
}

/// The hashes that are not in a full tile yet.
#[derive(Clone, Default)]
struct Rows {
    /// Leaves of the tree.
    size: u64,
    /// For each tile level those behind its last full tile.
    levels: Vec<Vec<TreeHash>>,
}

/// A tile that became full.
type FullTile = (TileId, Vec<TreeHash>);

/// The tree at one size. Never changes; a larger tree is another state.
#[derive(Clone, Default)]
struct State {
    edge: Edge,
    rows: Rows,
    /// The size for which the index has all full tiles.
    written: u64,
    /// A size and root this tree has had and must come to again, after the index fell behind.
    seen: Option<(u64, TreeHash)>,
}

/// The tree that is shown, and the one that is added to.
///
/// They are the same, unless the index has fallen behind: then tiles are written again from where it is, and what was
/// shown is shown on until the other has come as far, with the same root.
#[derive(Clone, Default)]
struct States {
    shown: Arc<State>,
    working: Arc<State>,
}

/// What some more records make of a tree.
struct Growth {
    state: State,
    /// The tiles that became full on the way.
    tiles: Vec<FullTile>,
    /// The last size with nothing but full tiles of leaves, and its root, if there was one on the way.
    full: Option<(u64, TreeHash)>,
}

/// Why there is no root, proof or checkpoint.
#[derive(Debug, Error)]
pub enum MerkleError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree is not as large as asked.
    #[error("the tree has been built up to {size} records, {asked} were asked for")]
    Beyond {
        /// The size asked for, or the record's offset.
        asked: u64,
        /// The size the tree has.
        size: u64,
    },
    /// The later size is smaller than the earlier one.
    #[error("a tree of {from} records cannot become one of {to}")]
    Shrunk {
        /// The earlier size.
        from: u64,
        /// The later size.
        to: u64,
    },
    /// The index has tiles that are not those of the log.
    #[error(
        "the tiles of the Merkle tree are damaged: {0}; the log may be whole: check it, then build them again from it"
    )]
    Tiles(String),
    /// The log does not have the root it had.
    #[error("the log is not the one it was: {0}; do not sign anything for it before you know why")]
    Rewritten(String),
    /// A record is not the one its leaf hash was made of.
    #[error("the record at offset {0} does not match its leaf hash")]
    Record(Offset),
    /// A key or a checkpoint does not belong to this log.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl MerkleLog {
    /// The tree of a partition. Reads nothing yet.
    pub fn new(store: Store, partition: Partition) -> Self {
        Self {
            store,
            partition,
            name: format!("tiles-1:{partition}"),
            states: RwLock::default(),
            turn: Mutex::default(),
            cache: Cache::new(TILES_KEPT),
            recomputed: AtomicU64::new(0),
        }
    }

    /// The number of records the tree has been built up to.
    pub fn size(&self) -> u64 {
        self.shown().edge.size()
    }

    /// How many tiles were missing when they were needed, and were computed from the log instead, since this was made.
    pub fn recomputed(&self) -> u64 {
        self.recomputed.load(Ordering::Relaxed)
    }

    /// Takes in the records that the log has now; the size of the tree then.
    ///
    /// Where the index has fallen behind, as after a crash or when the store was reopened, the log is read again from
    /// there; meanwhile the tree is shown as it was. A dropped future leaves nothing half done.
    ///
    /// # Errors
    ///
    /// `Store`; `Tiles` if the index cannot be gone on from; `Rewritten` if the log has another root at a size that was
    /// seen before, or has lost records.
    pub async fn catch_up(&self) -> Result<u64, MerkleError> {
        self.check_partition()?;
        let wanted = self.store.events.head(self.partition).get();
        loop {
            if let Some(size) = self.take_in_upto(wanted).await? {
                return Ok(size);
            }
        }
    }

    /// Takes in the next 1,024 records at most; whether there may be more.
    ///
    /// For a thread that has other things to do between the steps of a long way.
    ///
    /// # Errors
    ///
    /// As [`MerkleLog::catch_up`].
    pub async fn catch_up_some(&self) -> Result<bool, MerkleError> {
        self.check_partition()?;
        let wanted = self.store.events.head(self.partition).get();
        Ok(self.take_in_upto(wanted).await?.is_none())
    }

    /// The root of the tree of this size.
    ///
    /// # Errors
    ///
    /// `Beyond`; `Store`, `Tiles` if what is needed cannot be read.
    pub async fn root(&self, size: u64) -> Result<TreeHash, MerkleError> {
        let state = self.at(size)?;
        if size == state.edge.size() {
            return Ok(state.edge.root());
        }
        let mut path = self.follow(&state, vec![merkle::root_plan(size)]).await?;
        Ok(path.pop().unwrap_or(merkle::EMPTY_ROOT))
    }

    /// The proof that the record with this index, from 0, stands in the tree of this size; the leaf's sibling first.
    ///
    /// # Errors
    ///
    /// `Beyond`; `Store`, `Tiles` if what is needed cannot be read.
    pub async fn inclusion(&self, index: u64, size: u64) -> Result<Vec<TreeHash>, MerkleError> {
        let state = self.at(size)?;
        let plan = merkle::inclusion_plan(index, size).ok_or(MerkleError::Beyond {
            asked: index.saturating_add(1),
            size,
        })?;
        self.follow(&state, plan).await
    }

    /// The proof that the tree of size `from` has become that of size `to` by adding records; without hashes for equal
    /// sizes and for growth from nothing.
    ///
    /// # Errors
    ///
    /// `Beyond`, `Shrunk`; `Store`, `Tiles` if what is needed cannot be read.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<Vec<TreeHash>, MerkleError> {
        let state = self.at(to)?;
        let plan = merkle::consistency_plan(from, to).ok_or(MerkleError::Shrunk { from, to })?;
        self.follow(&state, plan).await
    }

    /// Throws the tiles away and builds them again from the log; the size of the tree then.
    ///
    /// Forgets the roots seen before, so compare with a checkpoint that was signed earlier.
    ///
    /// # Errors
    ///
    /// As [`MerkleLog::catch_up`].
    pub async fn rebuild(&self) -> Result<u64, MerkleError> {
        {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            self.forget()?;
            self.cache.clear();
            *self.states.write().unwrap_or_else(PoisonError::into_inner) = Some(States::default());
        }
        self.catch_up().await
    }

    fn check_partition(&self) -> Result<(), MerkleError> {
        let partitions = self.store.events.layout().partitions;
        if self.partition >= partitions {
            let partition = self.partition;
            return Err(StoreError::NoPartition { partition, partitions }.into());
        }
        Ok(())
    }

    /// One step towards a tree of this size: takes in the next records. The size if there was nothing left to take in.
    async fn take_in_upto(&self, wanted: u64) -> Result<Option<u64>, MerkleError> {
        let state = self.current().await?;
        let size = state.edge.size();
        // Not the one from before: others may have caught up with records that came since.
        let head = self.store.events.head(self.partition).get();
        let known = state.seen.map_or(size, |(seen, _)| seen.max(size));
        if head < known {
            return Err(MerkleError::Rewritten(format!(
                "it had {known} records, and has {head}"
            )));
        }
        if size >= wanted {
            return Ok(Some(size));
        }
        let records = self.records(size, READ_BATCH).await?;
        let leaves: Vec<TreeHash> = records.iter().map(|stored| stored.leaf).collect();
        let growth = state.grow(&leaves)?;
        self.publish(&state, growth)?;
        Ok(None)
    }

    fn shown(&self) -> Arc<State> {
        let states = self.states.read().unwrap_or_else(PoisonError::into_inner);
        states
            .as_ref()
            .map(|states| Arc::clone(&states.shown))
            .unwrap_or_default()
    }

    fn working(&self) -> Option<Arc<State>> {
        let states = self.states.read().unwrap_or_else(PoisonError::into_inner);
        states.as_ref().map(|states| Arc::clone(&states.working))
    }

    fn install(&self, state: State) {
        let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
        let States { shown, working } = states.get_or_insert_default();
        *working = Arc::new(state);
        if working.edge.size() >= shown.edge.size() {
            *shown = Arc::clone(working);
        }
    }

    /// Whether this is still the state that is added to; asked by whoever holds the turn.
    fn is_current(&self, base: Option<&Arc<State>>) -> bool {
        match (self.working(), base) {
            (Some(state), Some(base)) => Arc::ptr_eq(&state, base),
            (None, None) => true,
            _ => false,
        }
    }

    /// Empties the index.
    fn forget(&self) -> Result<(), StoreError> {
        self.store.index.clear(&self.name, &self.prefix())
    }

    /// A state that has a tree of this size in it.
    fn at(&self, size: u64) -> Result<Arc<State>, MerkleError> {
        let state = self.shown();
        let has = state.edge.size();
        if size <= has {
            Ok(state)
        } else {
            Err(MerkleError::Beyond { asked: size, size: has })
        }
    }

    /// The state to add to, read from the index if that has not been done, or if the index has fallen behind it.
    async fn current(&self) -> Result<Arc<State>, MerkleError> {
        loop {
            let base = self.working();
            let position = self.store.index.position(&self.name)?.get();
            let mut loaded = match &base {
                Some(state) if position >= state.written => return Ok(Arc::clone(state)),
                _ if position == 0 => State::default(),
                _ => self.load(position).await?,
            };
            loaded.seen = base.as_ref().and_then(|state| state.last_seen());
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if self.is_current(base.as_ref()) {
                if position == 0 {
                    self.forget()?;
                }
                self.cache.clear();
                self.install(loaded);
            }
        }
    }

    /// Reads the right edge for the position of the index: the roots of the last tiles of each level.
    async fn load(&self, position: u64) -> Result<State, MerkleError> {
        let noted = self.store.index.get(&self.root_key())?;
        let noted = noted.as_deref().and_then(decode_root);
        let Some((_, root)) = noted.filter(|(size, _)| *size == position && position.is_multiple_of(WIDTH)) else {
            let what = format!("no root is noted for the {position} records they stand for");
            return Err(MerkleError::Tiles(what));
        };
        let mut rows = Rows {
            size: position,
            levels: vec![Vec::new()],
        };
        let mut tiles = position / WIDTH;
        for level in 0.. {
            if tiles == 0 {
                break;
            }
            let mut row = Vec::new();
            for index in tiles - tiles % WIDTH..tiles {
                let tile = self.raw_tile(TileId { level, index }).await?;
                row.push(tile.root());
            }
            rows.levels.push(row);
            tiles /= WIDTH;
        }
        let peaks = merkle::root_plan(position)
            .into_iter()
            .map(|subtree| rows.hash(subtree));
        let edge = peaks
            .collect::<Option<_>>()
            .and_then(|peaks| Edge::from_peaks(position, peaks));
        let Some(edge) = edge.filter(|edge| edge.root() == root) else {
            let what = format!("those for {position} records do not lead to the root noted with them");
            return Err(MerkleError::Tiles(what));
        };
        self.check_end(position).await?;
        Ok(State {
            edge,
            rows,
            written: position,
            seen: None,
        })
    }

    /// Compares the last full tile of leaves with the log: tiles of another log, or of an end that was cut off and grew
    /// again, differ here, and nothing must be built upon them.
    async fn check_end(&self, position: u64) -> Result<(), MerkleError> {
        let first = position.saturating_sub(WIDTH);
        let id = TileId {
            level: 0,
            index: first / WIDTH,
        };
        if self.raw_tile(id).await?.hashes() == self.leaves(first).await? {
            Ok(())
        } else {
            Err(id.fault("does not have the leaf hashes of the records"))
        }
    }

    /// Writes out what became full, then shows the larger tree; does nothing if somebody else was quicker.
    fn publish(&self, base: &Arc<State>, growth: Growth) -> Result<(), StoreError> {
        let Growth { mut state, tiles, full } = growth;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_current(Some(base)) {
            return Ok(());
        }
        if let Some((size, root)) = full {
            let mut changes: Vec<IndexChange> = Vec::with_capacity(tiles.len() + 1);
            changes.extend(tiles.iter().map(|(id, tile)| (self.tile_key(*id), Some(tile.concat()))));
            changes.push((self.root_key(), Some(encode_root(size, &root))));
            self.store.index.apply(changes, &self.name, Offset::new(size))?;
            state.written = size;
        }
        self.install(state);
        Ok(())
    }

    /// The records after an offset, in order and without gaps; one at least, `max` at most.
    async fn records(&self, after: u64, max: usize) -> Result<Vec<Stored>, MerkleError> {
        let records = self
            .store
            .events
            .read_partition(self.partition, Offset::new(after), max)
            .await?;
        let offsets = records.iter().map(|stored| stored.offset.get());
        if records.is_empty() || !offsets.eq((after + 1..).take(records.len())) {
            return Err(MerkleError::Rewritten(format!(
                "records are missing after offset {after}"
            )));
        }
        Ok(records)
    }

    /// The hashes of a plan.
    async fn follow(&self, state: &State, plan: Vec<Part>) -> Result<Vec<TreeHash>, MerkleError> {
        let mut path = Vec::with_capacity(plan.len());
        for part in plan {
            let mut hashes = Vec::with_capacity(part.len());
            for subtree in part {
                hashes.push(self.hash(state, subtree).await?);
            }
            path.push(merkle::fold(&hashes));
        }
        Ok(path)
    }

    /// The hash of a complete subtree.
    async fn hash(&self, state: &State, subtree: Subtree) -> Result<TreeHash, MerkleError> {
        if let Some(hash) = state.rows.hash(subtree) {
            return Ok(hash);
        }
        let place = Place::of(subtree);
        let tile = self.tile(state, place.tile).await?;
        place
            .hash_in_tile(&tile)
            .ok_or_else(|| place.tile.fault("is too short"))
    }

    /// A full tile, which has the root that the tree has for it.
    fn tile<'a>(&'a self, state: &'a State, id: TileId) -> BoxFuture<'a, Result<Tile, MerkleError>> {
        Box::pin(async move {
            if let Some(tile) = self.cache.get(&id) {
                return Ok(tile);
            }
            if id.index >= state.rows.count(id.level) / WIDTH {
                return Err(id.fault("was asked for before it was full"));
            }
            let root = self.hash(state, id.subtree()).await?;
            let tile = self.raw_tile(id).await?;
            if tile.root() != root {
                return Err(id.fault("is not the one that belongs there"));
            }
            self.cache.insert(id, tile.clone());
            Ok(tile)
        })
    }

    /// A full tile as the index has it; where the index has none, as the log gives it.
    fn raw_tile(&self, id: TileId) -> BoxFuture<'_, Result<Tile, MerkleError>> {
        Box::pin(async move {
            if let Some(value) = self.store.index.get(&self.tile_key(id))? {
                return decode_tile(&value).ok_or_else(|| id.fault(&format!("has {} bytes", value.len())));
            }
            self.recomputed.fetch_add(1, Ordering::Relaxed);
            let first = id.index.saturating_mul(WIDTH);
            let mut hashes = Vec::with_capacity(TILE_LEN);
            if let Some(level) = id.level.checked_sub(1) {
                for index in (first..).take(TILE_LEN) {
                    let tile = self.raw_tile(TileId { level, index }).await?;
                    hashes.push(tile.root());
                }
            } else {
                hashes = self.leaves(first).await?;
            }
            Tile::over(hashes).ok_or_else(|| id.fault("has more records than it should"))
        })
    }

    /// The leaf hashes of a tile's worth of records.
    async fn leaves(&self, after: u64) -> Result<Vec<TreeHash>, MerkleError> {
        let mut leaves = Vec::with_capacity(TILE_LEN);
        while let Some(missing) = TILE_LEN.checked_sub(leaves.len()).filter(|&missing| missing > 0) {
            let next = after.saturating_add(leaves.len() as u64);
            let records = self.records(next, missing).await?;
            leaves.extend(records.iter().map(|stored| stored.leaf));
        }
        Ok(leaves)
    }

    fn prefix(&self) -> Vec<u8> {
        [[PREFIX].as_slice(), &self.partition.to_be_bytes()].concat()
    }

    fn tile_key(&self, id: TileId) -> Vec<u8> {
        [self.prefix().as_slice(), &[id.level], &id.index.to_be_bytes()].concat()
    }

    fn root_key(&self) -> Vec<u8> {
        [self.prefix().as_slice(), &[ROOT]].concat()
    }
}

impl Rows {
    /// How many hashes a tile level has in all.
    fn count(&self, level: u8) -> u64 {
        self.size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0)
    }

    /// Takes in a subtree that a new leaf has completed; the tile, if one became full with it.
    fn add(&mut self, subtree: Subtree, hash: &TreeHash) -> Option<FullTile> {
        if !subtree.level.is_multiple_of(HEIGHT) {
            return None;
        }
        let level = subtree.level / HEIGHT;
        let place = usize::from(level);
        if self.levels.len() <= place {
            self.levels.resize_with(place + 1, Vec::new);
        }
        let row = self.levels.get_mut(place)?;
        row.push(*hash);
        let is_full = row.len() == TILE_LEN;
        let index = subtree.index / WIDTH;
        is_full.then(|| (TileId { level, index }, std::mem::take(row)))
    }

    /// The hash of a complete subtree, if it stands behind the last full tile of its level.
    fn hash(&self, subtree: Subtree) -> Option<TreeHash> {
        let place = Place::of(subtree);
        if place.tile.index != self.count(place.tile.level) / WIDTH {
            return None;
        }
        place.hash_in_row(self.levels.get(usize::from(place.tile.level))?)
    }
}

impl State {
    /// The tree with more leaves.
    fn grow(&self, leaves: &[TreeHash]) -> Result<Growth, MerkleError> {
        let Self {
            mut edge,
            mut rows,
            written,
            mut seen,
        } = self.clone();
        let mut tiles = Vec::new();
        let mut full = None;
        let upto = edge.size().saturating_add(leaves.len() as u64);
        let last_full = upto - upto % WIDTH;
        for leaf in leaves {
            edge.append_with(leaf, |subtree, hash| tiles.extend(rows.add(subtree, hash)));
            let size = edge.size();
            if size == last_full {
                full = Some((size, edge.root()));
            }
            if let Some((_, root)) = seen.filter(|seen| seen.0 == size) {
                if edge.root() != root {
                    let what = format!("with {size} records it has another root than before");
                    return Err(MerkleError::Rewritten(what));
                }
                seen = None;
            }
        }
        rows.size = upto;
        let state = Self {
            edge,
            rows,
            written,
            seen,
        };
        Ok(Growth { state, tiles, full })
    }

    /// The largest size the tree is known to have had, with its root.
    fn last_seen(&self) -> Option<(u64, TreeHash)> {
        let size = self.edge.size();
        let now = (size > 0).then(|| (size, self.edge.root()));
        self.seen.filter(|seen| seen.0 > size).or(now)
    }
}

/// Where the hashes of a complete subtree stand.
struct Place {
    tile: TileId,
    start: usize,
    len: usize,
}

impl Place {
    fn of(subtree: Subtree) -> Self {
        let inner = subtree.level % HEIGHT;
        let first = subtree.index << inner;
        Self {
            tile: TileId {
                level: subtree.level / HEIGHT,
                index: first / WIDTH,
            },
            start: usize::try_from(first % WIDTH).unwrap_or(TILE_LEN),
            len: 1 << inner,
        }
    }

    /// The subtree's hash from a row of hashes that do not fill a tile.
    fn hash_in_row(&self, row: &[TreeHash]) -> Option<TreeHash> {
        let hashes = row.get(self.start..)?.get(..self.len)?;
        Some(Edge::over(hashes).root())
    }

    /// The subtree's hash from the tile it stands in.
    fn hash_in_tile(&self, tile: &Tile) -> Option<TreeHash> {
        // Below the level with nodes over as many hashes as this one has, there are twice a tile's less twice its own.
        let below = 2 * (TILE_LEN - TILE_LEN / self.len);
        tile.0.get(below + self.start / self.len).copied()
    }
}

impl TileId {
    /// The subtree over all of the tile.
    fn subtree(self) -> Subtree {
        Subtree {
            level: self.level.saturating_add(1).saturating_mul(HEIGHT),
            index: self.index,
        }
    }

    fn fault(self, what: &str) -> MerkleError {
        let Self { level, index } = self;
        MerkleError::Tiles(format!("tile {index} of level {level} {what}"))
    }
}

fn decode_tile(value: &[u8]) -> Option<Tile> {
    let (hashes, rest) = value.as_chunks();
    Tile::over(hashes.to_vec()).filter(|_| rest.is_empty())
}

fn encode_root(size: u64, root: &TreeHash) -> Vec<u8> {
    [size.to_be_bytes().as_slice(), root].concat()
}

fn decode_root(value: &[u8]) -> Option<(u64, TreeHash)> {
    let (size, root) = value.split_first_chunk()?;
    Some((u64::from_be_bytes(*size), root.try_into().ok()?))
}
