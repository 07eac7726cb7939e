//! The tree on both stores: equal to the definitions, through crashes and damage.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Duration, Instant};

use pollster::block_on;
use proptest::prelude::*;

use super::*;
use crate::contract::item;
use crate::key::tests::key;
use crate::key::{KeyKind, SigningKey};
use crate::memory::{MemoryIndex, MemoryStore};
use crate::merkle::{EMPTY_ROOT, verify_consistency, verify_inclusion};
use crate::proof::{Witnesses, verify_receipt};
use crate::record::{Append, Appended, Revision, StreamId, leaf_hash};
use crate::sled::tests::{alone, copy_files};
use crate::store::{Counters, EventStore, Health, IndexEntry, IndexStore, Layout};
use crate::{AppendError, Faults, SignedCheckpoint, SledOptions, SledStore, Step};

fn record(history: &str, number: u64) -> Vec<u8> {
    format!("{history} {number}").into_bytes()
}

/// Brings a store to so many records.
fn fill(store: &Store, history: &str, upto: u64) {
    let mut from = store.events.head(0).get();
    while from < upto {
        let to = upto.min(from + 1000);
        let items = (from..to).map(|n| item(1, n, &record(history, n))).collect();
        assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
        from = to;
    }
}

fn memory(records: u64) -> Store {
    let store = Store::from(MemoryStore::new());
    fill(&store, "record", records);
    store
}

fn leaves(history: &str, size: u64) -> Vec<TreeHash> {
    (0..size).map(|n| leaf_hash(&record(history, n))).collect()
}

fn root(history: &str, size: u64) -> TreeHash {
    Edge::over(&leaves(history, size)).root()
}

fn caught_up(store: &Store) -> MerkleLog {
    let log = MerkleLog::new(store.clone(), 0);
    assert_eq!(block_on(log.catch_up()).unwrap(), store.events.head(0).get());
    log
}

fn is_sound(log: &MerkleLog) -> bool {
    block_on(log.check()).unwrap().fault_count == 0
}

/// What the index has for the tree.
fn index_entries(store: &Store) -> Vec<IndexEntry> {
    store.index.range(b"t", b"u", false, usize::MAX).unwrap()
}

fn is_tiles<T>(outcome: &Result<T, MerkleError>) -> bool {
    matches!(outcome, Err(MerkleError::Tiles(_)))
}

fn is_rewritten<T>(outcome: &Result<T, MerkleError>) -> bool {
    matches!(outcome, Err(MerkleError::Rewritten(_)))
}

#[test]
fn its_futures_go_to_any_thread() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    let log = MerkleLog::new(memory(1), 0);
    block_on(sendable(log.catch_up())).unwrap();
    block_on(sendable(log.rebuild())).unwrap();
    block_on(sendable(log.inclusion(0, 1))).unwrap();
    block_on(sendable(log.check())).unwrap();
    let key = key("example.com/log", KeyKind::Note);
    block_on(sendable(log.checkpoint(&key, None))).unwrap();
}

#[test]
fn an_empty_log_has_the_empty_root() {
    let store = memory(0);
    let log = caught_up(&store);
    assert_eq!(block_on(log.root(0)).unwrap(), EMPTY_ROOT);
    assert_eq!(block_on(log.consistency(0, 0)).unwrap(), Vec::<TreeHash>::new());
    assert!(matches!(
        block_on(log.root(1)),
        Err(MerkleError::Beyond { asked: 1, size: 0 })
    ));
    assert!(matches!(
        block_on(log.inclusion(0, 0)),
        Err(MerkleError::Beyond { asked: 1, size: 0 })
    ));
    assert!(is_sound(&log));
    assert_eq!(index_entries(&store), []);
    let elsewhere = MerkleLog::new(store, 7);
    assert!(matches!(
        block_on(elsewhere.catch_up()),
        Err(MerkleError::Store(StoreError::NoPartition { .. }))
    ));
}

/// Compares roots and proofs with what the leaves give, at these sizes and indexes.
fn compare(log: &MerkleLog, size: u64, earlier: u64, index: u64) {
    let all = leaves("record", size);
    let now = Edge::over(&all).root();
    assert_eq!(block_on(log.root(size)).unwrap(), now);
    let then = root("record", earlier);
    assert_eq!(block_on(log.root(earlier)).unwrap(), then);
    let path = block_on(log.consistency(earlier, size)).unwrap();
    assert_eq!(
        verify_consistency(earlier, &then, size, &now, &path),
        Ok(()),
        "{earlier} to {size}"
    );
    let path = block_on(log.inclusion(index, size)).unwrap();
    let leaf = &all[usize::try_from(index).unwrap()];
    assert_eq!(
        verify_inclusion(leaf, index, size, &path, &now),
        Ok(()),
        "{index} of {size}"
    );
    if index < earlier {
        let path = block_on(log.inclusion(index, earlier)).unwrap();
        assert_eq!(
            verify_inclusion(leaf, index, earlier, &path, &then),
            Ok(()),
            "{index} of {earlier}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn roots_and_proofs_are_those_of_the_records(
        steps in prop::collection::vec(1_u64..900, 1..6),
        probes in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 12),
        is_reopened in any::<bool>(),
    ) {
        let store = memory(0);
        let mut log = caught_up(&store);
        let mut size = 0;
        for step in steps {
            size += step;
            fill(&store, "record", size);
            if is_reopened {
                log = MerkleLog::new(store.clone(), 0);
            }
            prop_assert_eq!(block_on(log.catch_up()).unwrap(), size);
        }
        let count = usize::try_from(size).unwrap();
        for (earlier, index) in probes {
            compare(&log, size, 1 + earlier.index(count) as u64, index.index(count) as u64);
        }
        prop_assert!(is_sound(&log));
        prop_assert_eq!(log.recomputed(), 0);
    }
}

#[test]
fn several_levels_of_tiles_are_built_and_read() {
    let store = memory(9000);
    let log = caught_up(&store);
    // 140 tiles of leaves, two above them, and the root.
    assert_eq!(index_entries(&store).len(), 140 + 2 + 1);
    assert!(
        index_entries(&store)
            .iter()
            .all(|(_, value)| matches!(value.len(), 2048 | 40))
    );
    assert_eq!(store.index.position("tiles-1:0").unwrap(), Offset::new(8960));
    let reopened = caught_up(&store);
    for log in [&log, &reopened] {
        for (earlier, index) in [
            (1, 0),
            (63, 62),
            (64, 63),
            (65, 64),
            (4095, 8999),
            (4096, 4095),
            (4097, 4096),
            (8961, 8960),
        ] {
            compare(log, 9000, earlier, index);
        }
        assert!(is_sound(log));
        assert_eq!(block_on(log.check()).unwrap().tiles, 142);
    }
    assert_eq!(reopened.recomputed(), 0);
}

#[test]
fn one_step_or_many_give_the_same_index() {
    let store = memory(5000);
    caught_up(&store);
    let slowly = memory(0);
    let log = MerkleLog::new(slowly.clone(), 0);
    for size in 1..=5000 {
        fill(&slowly, "record", size);
        if size % 7 != 0 {
            assert_eq!(block_on(log.catch_up()).unwrap(), size);
        }
    }
    assert_eq!(index_entries(&slowly), index_entries(&store));
    assert_eq!(
        slowly.index.position("tiles-1:0").unwrap(),
        store.index.position("tiles-1:0").unwrap()
    );
}

#[test]
fn catching_up_in_steps_ends_where_the_log_ends() {
    let store = memory(2500);
    let log = MerkleLog::new(store.clone(), 0);
    let mut sizes = Vec::new();
    while block_on(log.catch_up_some()).unwrap() {
        sizes.push(log.size());
    }
    assert_eq!(sizes, [1024, 2048, 2500]);
    assert!(!block_on(log.catch_up_some()).unwrap());
    assert_eq!(block_on(log.root(2500)).unwrap(), caught_up(&store).shown().edge.root());
}

/// An index that fails when told to, and can be put back to where it was after some of its changes.
#[derive(Default)]
struct Frail {
    index: Mutex<Arc<MemoryIndex>>,
    applied: Mutex<Vec<(Vec<IndexChange>, Offset)>>,
    calls: AtomicUsize,
    failing: AtomicUsize,
}

impl Frail {
    fn index(&self) -> Arc<MemoryIndex> {
        Arc::clone(&self.index.lock().unwrap())
    }

    /// As a crash does that loses what came after so many changes.
    fn fall_back(&self, kept: usize) {
        let index = Arc::new(MemoryIndex::default());
        let mut applied = self.applied.lock().unwrap();
        applied.truncate(kept);
        for (changes, position) in applied.iter() {
            index.apply(changes.clone(), "tiles-1:0", *position).unwrap();
        }
        *self.index.lock().unwrap() = index;
    }
}

impl IndexStore for Frail {
    fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreError> {
        self.index().get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], reverse: bool, max: usize) -> Result<Vec<IndexEntry>, StoreError> {
        self.index().range(from, to, reverse, max)
    }

    fn apply(&self, changes: Vec<IndexChange>, name: &str, position: Offset) -> Result<(), StoreError> {
        if self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.failing.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable {
                why: "on purpose".into(),
            });
        }
        self.applied.lock().unwrap().push((changes.clone(), position));
        self.index().apply(changes, name, position)
    }

    fn write(&self, changes: Vec<IndexChange>) -> Result<(), StoreError> {
        self.index().write(changes)
    }

    fn position(&self, name: &str) -> Result<Offset, StoreError> {
        self.index().position(name)
    }

    fn clear(&self, name: &str, prefix: &[u8]) -> Result<(), StoreError> {
        self.applied.lock().unwrap().clear();
        self.index().clear(name, prefix)
    }
}

fn on_frail(records: u64) -> (Store, Arc<Frail>) {
    let frail = Arc::new(Frail::default());
    let store = memory(records);
    let index: Arc<dyn IndexStore> = frail.clone();
    (Store { index, ..store }, frail)
}

#[test]
fn an_interrupted_catch_up_is_resumed() {
    let expected = memory(6000);
    caught_up(&expected);
    let expected = index_entries(&expected);
    for failing in 1..=6 {
        let (store, frail) = on_frail(6000);
        frail.failing.store(failing, Ordering::SeqCst);
        let log = MerkleLog::new(store.clone(), 0);
        let failed = block_on(log.catch_up());
        assert!(matches!(
            failed,
            Err(MerkleError::Store(StoreError::Unavailable { .. }))
        ));
        assert_eq!(log.size(), 1024 * (failing as u64 - 1));
        // The same goes on, or the next one after a crash.
        let log = if failing % 2 == 0 {
            log
        } else {
            MerkleLog::new(store.clone(), 0)
        };
        assert_eq!(block_on(log.catch_up()).unwrap(), 6000);
        assert_eq!(index_entries(&store), expected);
        assert!(is_sound(&log));
    }
}

#[test]
fn an_index_that_fell_behind_is_noticed_and_completed() {
    for kept in 0..6 {
        let (store, frail) = on_frail(6000);
        let log = caught_up(&store);
        let (expected, root) = (index_entries(&store), block_on(log.root(6000)).unwrap());
        frail.fall_back(kept);
        assert_eq!(log.size(), 6000);
        // What was known before is still answered, from the log where the index has nothing.
        compare(&log, 6000, 5000, 3000);
        assert_eq!(log.recomputed() > 0, kept < 5);
        fill(&store, "record", 6010);
        assert_eq!(block_on(log.catch_up()).unwrap(), 6010);
        assert_eq!(block_on(log.root(6000)).unwrap(), root);
        assert_eq!(index_entries(&store), expected);
        assert!(is_sound(&log));
    }
}

#[test]
fn an_index_that_is_cleared_is_built_again() {
    let (store, _) = on_frail(6000);
    let log = caught_up(&store);
    let expected = index_entries(&store);
    store.index.clear("tiles-1:0", b"t").unwrap();
    assert_eq!(block_on(log.catch_up()).unwrap(), 6000);
    assert_eq!(index_entries(&store), expected);
    // Leavings without a position prove nothing.
    let key = log.tile_key(TileId { level: 0, index: 3 });
    store.index.clear("tiles-1:0", b"t").unwrap();
    store
        .index
        .apply(vec![(key, Some(vec![7; 2048]))], "other", Offset::new(1))
        .unwrap();
    assert_eq!(block_on(log.catch_up()).unwrap(), 6000);
    assert_eq!(index_entries(&store), expected);
}

#[test]
fn a_missing_tile_is_computed_and_told() {
    for id in [(0, 0), (0, 40), (0, 66), (1, 0)].map(|(level, index)| TileId { level, index }) {
        let store = memory(4300);
        let whole = caught_up(&store);
        store
            .index
            .apply(vec![(whole.tile_key(id), None)], "other", Offset::new(1))
            .unwrap();
        let TileId { level, index } = id;
        for log in [whole, caught_up(&store)] {
            let first = index << (6 * (level + 1));
            compare(&log, 4300, first + 1, first + 37);
            assert!(log.recomputed() > 0, "tile {index} of level {level}");
            let check = block_on(log.check()).unwrap();
            assert_eq!(check.faults, [TileFault::Missing { level, index }]);
            assert_eq!(block_on(log.check()).unwrap(), check, "a check mends nothing");
        }
        let log = caught_up(&store);
        assert_eq!(block_on(log.rebuild()).unwrap(), 4300);
        assert!(is_sound(&log));
    }
}

#[test]
fn a_level_of_missing_tiles_is_computed_from_the_log() {
    let store = memory(4300);
    let log = caught_up(&store);
    for level in 0..2 {
        for index in 0..67 {
            let key = log.tile_key(TileId { level, index });
            store.index.apply(vec![(key, None)], "other", Offset::new(1)).unwrap();
        }
    }
    let log = caught_up(&store);
    compare(&log, 4300, 4097, 37);
    assert_eq!(block_on(log.check()).unwrap().fault_count, 68);
    assert_eq!(block_on(log.check()).unwrap().faults.len(), 68);
}

#[test]
fn a_changed_tile_is_refused_until_it_is_rebuilt() {
    let changes: [fn(&mut Vec<u8>); 6] = [
        |tile| tile[0] ^= 1,
        |tile| tile[2047] ^= 0x80,
        |tile| tile.truncate(2047),
        |tile| tile.truncate(2016),
        |tile| tile.clear(),
        |tile| tile.extend([0; 32]),
    ];
    let whole = memory(4300);
    for id in [(0, 0), (0, 40), (0, 64), (0, 66), (1, 0)].map(|(level, index)| TileId { level, index }) {
        for change in changes {
            let store = Store {
                index: Arc::new(MemoryIndex::default()),
                ..whole.clone()
            };
            let log = caught_up(&store);
            let key = log.tile_key(id);
            let mut tile = store.index.get(&key).unwrap().unwrap().to_vec();
            change(&mut tile);
            store
                .index
                .apply(vec![(key, Some(tile))], "other", Offset::new(1))
                .unwrap();
            let TileId { level, index } = id;
            let first = index << (6 * (level + 1));
            // By the log that built it, and by one that finds it, at the start if it is needed then.
            assert!(
                is_tiles(&block_on(log.inclusion(first + 37, 4300))),
                "tile {index} of level {level}"
            );
            let check = block_on(log.check()).unwrap();
            assert_eq!(check.faults, [TileFault::Altered { level, index }]);
            let reopened = MerkleLog::new(store.clone(), 0);
            let opened = block_on(reopened.catch_up());
            assert!(is_tiles(&opened) || is_tiles(&block_on(reopened.inclusion(first + 37, 4300))));
            // Elsewhere proofs are made as before.
            if id == (TileId { level: 0, index: 40 }) {
                compare(&log, 4300, 4096, 37);
                compare(&log, 4300, 4300, 4299);
            }
            assert_eq!(block_on(reopened.rebuild()).unwrap(), 4300);
            assert!(is_sound(&reopened));
            assert_eq!(reopened.recomputed(), 0);
        }
    }
}

#[test]
fn a_changed_root_or_position_is_refused() {
    let store = memory(9000);
    let log = caught_up(&store);
    let key = log.root_key();
    let good = store.index.get(&key).unwrap().unwrap().to_vec();
    let wrong = |value: Option<Vec<u8>>, position: u64| {
        store
            .index
            .apply(vec![(key.clone(), value)], "tiles-1:0", Offset::new(position))
            .unwrap();
        let opened = block_on(MerkleLog::new(store.clone(), 0).catch_up());
        assert!(is_tiles(&opened), "{opened:?}");
    };
    let mut changed = good.clone();
    changed[39] ^= 1;
    wrong(Some(changed), 8960);
    wrong(Some(good[..39].to_vec()), 8960);
    wrong(None, 8960);
    wrong(Some(good.clone()), 8960 - 64);
    wrong(Some(good.clone()), 8961);
    store
        .index
        .apply(vec![(key.clone(), Some(good))], "tiles-1:0", Offset::new(8960))
        .unwrap();
    assert!(is_sound(&caught_up(&store)));
}

/// A log that can be exchanged for another.
struct Switch {
    inner: Mutex<Arc<dyn EventStore>>,
    layout: Layout,
}

impl Switch {
    fn new(store: &Store) -> Arc<Self> {
        Arc::new(Self {
            layout: store.events.layout().clone(),
            inner: Mutex::new(Arc::clone(&store.events)),
        })
    }

    fn to(&self, store: &Store) {
        *self.inner.lock().unwrap() = Arc::clone(&store.events);
    }

    fn inner(&self) -> Arc<dyn EventStore> {
        Arc::clone(&self.inner.lock().unwrap())
    }
}

impl EventStore for Switch {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        Box::pin(async move { self.inner().append(items).await })
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        let stream = *stream;
        Box::pin(async move { self.inner().read_stream(&stream, after, max).await })
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move { self.inner().read_partition(partition, after, max).await })
    }

    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.inner().changed(partition, after, wait).await })
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn head(&self, partition: Partition) -> Offset {
        self.inner().head(partition)
    }

    fn counters(&self) -> Counters {
        self.inner().counters()
    }

    fn health(&self) -> Health {
        self.inner().health()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.inner().close().await })
    }
}

/// The same beginning, and another end.
fn forked(common: u64, upto: u64) -> Store {
    let store = memory(common);
    fill(&store, "forged", upto);
    store
}

#[test]
fn another_history_is_noticed() {
    let honest = memory(5000);
    let switch = Switch::new(&honest);
    let (base, frail) = on_frail(0);
    let events: Arc<dyn EventStore> = switch.clone();
    let store = Store { events, ..base };
    let log = caught_up(&store);
    // A shorter log.
    switch.to(&memory(4999));
    assert!(is_rewritten(&block_on(log.catch_up())));
    // The index has to be built again, and leads to another root; or to tiles that the log does not go on from.
    switch.to(&forked(4000, 6000));
    frail.fall_back(2);
    assert!(is_rewritten(&block_on(log.catch_up())));
    assert_eq!(log.size(), 5000);
    assert_eq!(block_on(log.root(5000)).unwrap(), root("record", 5000));
    switch.to(&honest);
    assert!(is_rewritten(&block_on(log.catch_up())));
    assert_eq!(block_on(log.rebuild()).unwrap(), 5000);
    switch.to(&forked(4000, 6000));
    assert!(is_tiles(&block_on(MerkleLog::new(store.clone(), 0).catch_up())));
    // A fork behind the tiles cannot be seen by them; the checkpoint that was signed tells.
    switch.to(&honest);
    let key = key("example.com/log", KeyKind::Note);
    let signed = block_on(log.checkpoint(&key, None)).unwrap();
    for other in [forked(4990, 6000), forked(4000, 6000), forked(0, 6000), memory(4000)] {
        switch.to(&other);
        let fresh = Store {
            index: Arc::new(MemoryIndex::default()),
            ..store.clone()
        };
        let fresh = MerkleLog::new(fresh, 0);
        assert!(is_rewritten(&block_on(fresh.checkpoint(&key, Some(&signed)))));
        assert!(fresh.size() >= 4000);
        assert!(block_on(fresh.receipt(Offset::new(5000), &signed)).is_err());
        assert!(block_on(fresh.growth(3000, &signed)).is_err());
    }
}

#[test]
fn checkpoints_continue_each_other_and_receipts_verify() {
    let store = memory(100);
    let log = MerkleLog::new(store.clone(), 0);
    let key = key("example.com/log", KeyKind::Note);
    let first = block_on(log.checkpoint(&key, None)).unwrap();
    assert_eq!(first.checkpoint().size, 100);
    assert_eq!(first.checkpoint().root, root("record", 100));
    // Nothing new: the same, with what witnesses have added.
    let witness = crate::key::tests::key("w.example", KeyKind::Cosignature);
    let mut cosigned = first.clone();
    let line = format!("{}\n", first.cosign(&witness, 1).unwrap());
    cosigned
        .add_cosignatures(line.as_bytes(), &[witness.public().clone()])
        .unwrap();
    assert_eq!(block_on(log.checkpoint(&key, Some(&cosigned))).unwrap(), cosigned);
    fill(&store, "record", 300);
    let second = block_on(log.checkpoint(&key, Some(&cosigned))).unwrap();
    assert_eq!(second.checkpoint().size, 300);
    let growth = block_on(log.growth(100, &second)).unwrap();
    assert_eq!(growth.verify(first.checkpoint(), key.public()), Ok(()));
    for signed in [&first, &second] {
        for offset in 1..=signed.checkpoint().size {
            let receipt = block_on(log.receipt(Offset::new(offset), signed)).unwrap();
            assert_eq!(&*receipt.record, record("record", offset - 1));
            let text = receipt.proof.to_string();
            let verified = verify_receipt(&receipt.record, text.as_bytes(), key.public(), &Witnesses::none()).unwrap();
            assert_eq!(verified.offset, Offset::new(offset));
            assert_eq!(verified.checkpoint, *signed.checkpoint());
        }
    }
    for offset in [0, 101, u64::MAX] {
        let refused = block_on(log.receipt(Offset::new(offset), &first));
        assert!(matches!(refused, Err(MerkleError::Beyond { .. })));
    }
    assert!(matches!(
        block_on(log.growth(301, &second)),
        Err(MerkleError::Shrunk { .. })
    ));
    // A checkpoint of another key, and a key that signs no checkpoints.
    let other = SigningKey::generate("example.com/log", KeyKind::Note).unwrap();
    assert!(matches!(
        block_on(log.checkpoint(&other, Some(&second))),
        Err(MerkleError::Signature(_))
    ));
    assert!(matches!(
        block_on(log.checkpoint(&witness, None)),
        Err(MerkleError::Signature(_))
    ));
    // A checkpoint that was signed for what the log is not gives no receipts.
    let mut made_up = second.checkpoint().clone();
    made_up.root[0] ^= 1;
    let made_up = SignedCheckpoint::sign(made_up, &key).unwrap();
    assert!(is_rewritten(&block_on(log.receipt(Offset::new(7), &made_up))));
    assert!(is_rewritten(&block_on(log.growth(100, &made_up))));
    assert!(is_rewritten(&block_on(log.growth(0, &made_up))));
}

/// Ends the readers, also when the test fails.
struct EndOfTest<'a>(&'a AtomicBool);

impl Drop for EndOfTest<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn readers_and_writers_do_not_wait_for_each_other() {
    let store = memory(64);
    let log = caught_up(&store);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _ends = EndOfTest(&is_done);
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while !is_done.load(Ordering::SeqCst) {
                    let size = log.size();
                    assert!(size >= last);
                    let index = size.wrapping_mul(31) % size;
                    let path = block_on(log.inclusion(index, size)).unwrap();
                    let root = block_on(log.root(size)).unwrap();
                    let leaf = leaf_hash(&record("record", index));
                    assert_eq!(verify_inclusion(&leaf, index, size, &path, &root), Ok(()));
                    last = size;
                }
            });
        }
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while log.size() < 3000 {
                        block_on(log.catch_up()).unwrap();
                    }
                })
            })
            .collect();
        for size in (64..=3000).step_by(8) {
            fill(&store, "record", size);
        }
        for writer in writers {
            writer.join().unwrap();
        }
    });
    assert_eq!(log.recomputed(), 0);
    assert!(is_sound(&log));
}

#[test]
fn two_trees_over_one_index_come_to_the_same() {
    let store = memory(0);
    let (one, two) = (MerkleLog::new(store.clone(), 0), MerkleLog::new(store.clone(), 0));
    for size in (0..3000).step_by(170) {
        fill(&store, "record", size);
        block_on(one.catch_up()).unwrap();
        if size % 3 == 0 {
            block_on(two.catch_up()).unwrap();
        }
    }
    block_on(two.catch_up()).unwrap();
    assert_eq!(one.size(), two.size());
    assert_eq!(
        block_on(one.root(one.size())).unwrap(),
        block_on(two.root(two.size())).unwrap()
    );
    block_on(one.catch_up()).unwrap();
    assert!(is_sound(&one) && is_sound(&two));
}

fn open(path: &std::path::Path) -> Store {
    SledStore::open(path, SledOptions::default()).unwrap().into()
}

#[test]
fn sled_keeps_the_tiles_through_closes_and_crashes() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let store = open(&path);
    let key = key("example.com/log", KeyKind::Note);
    fill(&store, "record", 5000);
    let log = caught_up(&store);
    let signed = block_on(log.checkpoint(&key, None)).unwrap();
    compare(&log, 5000, 4097, 4096);
    assert!(is_sound(&log));
    // As a kill leaves the store now, and as it is left after more of it.
    let killed = directory.path().join("killed");
    std::fs::create_dir(&killed).unwrap();
    copy_files(&path, &killed);
    fill(&store, "record", 7000);
    block_on(log.catch_up()).unwrap();
    assert!(is_sound(&log));
    drop((log, store));
    for (path, size) in [(&path, 7000), (&killed, 5000)] {
        let store = open(path);
        let log = caught_up(&store);
        assert_eq!(log.size(), size);
        compare(&log, size, 4097, 4096);
        let next = block_on(log.checkpoint(&key, Some(&signed))).unwrap();
        let growth = block_on(log.growth(5000, &next)).unwrap();
        assert_eq!(growth.verify(signed.checkpoint(), key.public()), Ok(()));
        let receipt = block_on(log.receipt(Offset::new(4097), &next)).unwrap();
        let text = receipt.proof.to_string();
        assert!(verify_receipt(&receipt.record, text.as_bytes(), key.public(), &Witnesses::none()).is_ok());
        assert!(is_sound(&log));
        // A tile is deleted, and one changed.
        let changes = vec![
            (log.tile_key(TileId { level: 0, index: 10 }), None),
            (log.tile_key(TileId { level: 0, index: 20 }), Some(vec![7; 2048])),
        ];
        store.index.apply(changes, "other", Offset::new(1)).unwrap();
        drop(log);
        let log = caught_up(&store);
        compare(&log, size, 4097, 640);
        assert!(log.recomputed() > 0);
        assert!(is_tiles(&block_on(log.inclusion(1280, size))));
        assert_eq!(block_on(log.check()).unwrap().fault_count, 2);
        assert_eq!(block_on(log.rebuild()).unwrap(), size);
        assert!(is_sound(&log));
        drop((log, store));
        // Without its index the tree is built again.
        ::sled::open(path).unwrap().drop_tree("index").unwrap();
        let store = open(path);
        let log = caught_up(&store);
        assert_eq!(block_on(log.root(5000)).unwrap(), signed.checkpoint().root);
        assert!(is_sound(&log));
    }
}

/// Fails some flushes, as a full disk does.
struct FullForAMoment {
    flushes: AtomicUsize,
}

impl Faults for FullForAMoment {
    fn before(&self, step: Step) -> io::Result<()> {
        let is_full = step == Step::Flush && matches!(self.flushes.fetch_add(1, Ordering::SeqCst), 3 | 7 | 8);
        if is_full {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "full on purpose"));
        }
        Ok(())
    }
}

#[test]
fn a_store_that_reopens_keeps_its_tree() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let options = SledOptions {
        faults: Some(Arc::new(FullForAMoment {
            flushes: AtomicUsize::new(0),
        })),
        ..SledOptions::default()
    };
    let store = Store::from(SledStore::open(directory.path(), options).unwrap());
    let log = MerkleLog::new(store.clone(), 0);
    let patience = Instant::now() + Duration::from_secs(20);
    let mut failed = 0;
    while store.events.head(0).get() < 8000 {
        assert!(Instant::now() < patience, "{:?}", store.events.health());
        if store.events.health() != Health::Ready {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let from = store.events.head(0).get();
        let items = (from..from + 500).map(|n| item(1, n, &record("record", n))).collect();
        let answers = block_on(store.events.append(items));
        failed += usize::from(answers.iter().any(Result::is_err));
        // In the middle of it the store may not be ready; nothing is lost by that.
        match block_on(log.catch_up()) {
            Ok(_) | Err(MerkleError::Store(StoreError::Unavailable { .. })) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(failed > 1, "the disk was never full");
    let size = block_on(log.catch_up()).unwrap();
    compare(&log, size, 4097, 4096);
    assert!(is_sound(&log));
    drop((log, store));
    assert!(is_sound(&caught_up(&open(directory.path()))));
}

/// `cargo test --release -p flowledger-event-store -- --ignored --nocapture what_a_record_costs`
#[test]
#[ignore = "a measurement: prints what the tree costs for each record"]
fn what_a_record_costs_the_tree() {
    const RECORDS: u64 = 300_000;
    let _alone = alone();
    let per_record = |what: &str, begun: Instant, count: u64| {
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap() / count;
        println!("{what}: {ns} ns");
    };
    let hashes: Vec<TreeHash> = (0..RECORDS).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let begun = Instant::now();
    let mut state = State::default();
    for leaves in hashes.chunks(READ_BATCH) {
        state = state.grow(leaves).unwrap().state;
    }
    per_record("hashing, in memory, for each record", begun, RECORDS);
    assert_eq!(state.edge.size(), RECORDS);

    let directory = tempfile::tempdir().unwrap();
    for (name, store) in [
        ("memory", Store::from(MemoryStore::new())),
        ("sled", open(directory.path())),
    ] {
        for from in (0..RECORDS).step_by(1000) {
            let items = (from..from + 1000)
                .map(|n| item(n % 1000, n / 1000, &[7; 350]))
                .collect();
            assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
        }
        let begun = Instant::now();
        let mut after = Offset::NONE;
        while after.get() < RECORDS {
            let read = block_on(store.events.read_partition(0, after, READ_BATCH)).unwrap();
            after = read.last().unwrap().offset;
        }
        per_record(&format!("{name}: reading alone, for each record"), begun, RECORDS);
        let log = MerkleLog::new(store.clone(), 0);
        let begun = Instant::now();
        block_on(log.catch_up()).unwrap();
        per_record(
            &format!("{name}: catching up with all, reading included, for each record"),
            begun,
            RECORDS,
        );
        let more = 2_000;
        let mut spent = Duration::ZERO;
        for n in 0..more {
            let records = vec![item(n % 1000, RECORDS / 1000 + n / 1000, &[7; 350])];
            assert!(block_on(store.events.append(records)).iter().all(Result::is_ok));
            let begun = Instant::now();
            block_on(log.catch_up()).unwrap();
            spent += begun.elapsed();
        }
        let begun = Instant::now();
        for n in 0..more {
            let read = block_on(store.events.read_partition(0, Offset::new(RECORDS + n), 1)).unwrap();
            assert_eq!(read.len(), 1);
        }
        per_record(&format!("{name}: reading one record"), begun, more);
        println!(
            "{name}: catching up after every record, reading included: {} ns",
            spent.as_nanos() / u128::from(more)
        );
        let begun = Instant::now();
        assert_eq!(
            block_on(caught_up(&store).root(RECORDS)).unwrap(),
            block_on(log.root(RECORDS)).unwrap()
        );
        println!("{name}: opening: {} us", begun.elapsed().as_micros());
        let size = log.size();
        let count = 20_000;
        let begun = Instant::now();
        for n in 0..count {
            block_on(log.inclusion(n * 7919 % size, size)).unwrap();
        }
        per_record(&format!("{name}: an inclusion proof anywhere"), begun, count);
        let begun = Instant::now();
        for n in 0..count {
            block_on(log.inclusion(size - 1 - n % 1000, size)).unwrap();
        }
        per_record(
            &format!("{name}: an inclusion proof among the last thousand"),
            begun,
            count,
        );
        let key = key("example.com/log", KeyKind::Note);
        let begun = Instant::now();
        let signed = block_on(log.checkpoint(&key, None)).unwrap();
        println!("{name}: a checkpoint: {} us", begun.elapsed().as_micros());
        let receipt = block_on(log.receipt(Offset::new(size), &signed)).unwrap();
        let text = receipt.proof.to_string();
        let begun = Instant::now();
        verify_receipt(&receipt.record, text.as_bytes(), key.public(), &Witnesses::none()).unwrap();
        println!(
            "verifying a receipt of {} bytes: {} us",
            text.len(),
            begun.elapsed().as_micros()
        );
        let begun = Instant::now();
        assert!(is_sound(&log));
        per_record(&format!("{name}: checking everything, for each record"), begun, RECORDS);
    }
    let bytes = |name| std::fs::metadata(directory.path().join(name)).unwrap().len();
    println!("sled's file: {} bytes for each record", bytes("db") / RECORDS);
}
