//! The suite every store must pass; it decides what the traits mean. Panics where a store does not keep to them.

#![allow(clippy::missing_panics_doc, reason = "a suite speaks by panicking")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test equipment, compiled on demand"
)]
#![allow(clippy::cast_possible_truncation, reason = "numbers are small by construction")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use pollster::block_on;

use crate::error::{AppendError, StoreError};
use crate::record::{Append, Appended, Offset, Revision, Stored, StreamId, leaf_hash};
use crate::store::{Health, INDEX_KEY_MAX, INDEX_VALUE_MAX, IndexEntry, Store};

/// Checks everything but concurrency and reopening on a new, empty store, and closes it at the end.
pub fn check(store: &Store) {
    absent_streams_are_empty(store);
    appends_are_found_again(store);
    wrong_expectations_are_refused(store);
    items_of_one_append_are_independent(store);
    sizes_up_to_the_bound_are_kept(store);
    reads_are_cut_where_asked(store);
    partitions_are_dense_and_in_order(store);
    unknown_partitions_are_refused(store);
    changed_tells_of_growth(store);
    one_contender_wins(store);
    index_keeps_its_entries(store);
    index_refuses_what_is_too_large(store);
    close_ends_everything(store);
}

/// An item for a stream that is told by a number.
pub fn item(stream: u64, expected: u64, record: &[u8]) -> Append {
    Append {
        stream: stream_id(stream),
        expected: Revision::new(expected),
        record: record.into(),
    }
}

/// The stream that a number tells; neighbours are far apart.
pub fn stream_id(number: u64) -> StreamId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    StreamId::from_bytes(bytes)
}

/// Appends one item.
pub fn append(store: &Store, item: Append) -> Result<Appended, AppendError> {
    block_on(store.events.append(vec![item])).pop().unwrap()
}

/// All records of a stream, read in steps.
pub fn whole_stream(store: &Store, stream: u64) -> Vec<Stored> {
    let mut records: Vec<Stored> = Vec::new();
    loop {
        let after = records.last().map_or(Revision::NONE, |last| last.revision);
        let more = block_on(store.events.read_stream(&stream_id(stream), after, 1000)).unwrap();
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}

/// All records of partition 0, read in steps.
pub fn whole_partition(store: &Store) -> Vec<Stored> {
    let mut records: Vec<Stored> = Vec::new();
    loop {
        let after = records.last().map_or(Offset::NONE, |last| last.offset);
        let more = block_on(store.events.read_partition(0, after, 1000)).unwrap();
        if more.is_empty() {
            return records;
        }
        records.extend(more);
    }
}

fn absent_streams_are_empty(store: &Store) {
    assert_eq!(whole_stream(store, 1), []);
    for after in [7, u64::MAX] {
        let read = block_on(store.events.read_stream(&stream_id(1), Revision::new(after), 10));
        assert_eq!(read.unwrap(), []);
    }
}

fn appends_are_found_again(store: &Store) {
    let before = store.events.counters();
    for revision in 1..=150 {
        let record = format!("record {revision}");
        let appended = append(store, item(2, revision - 1, record.as_bytes())).unwrap();
        assert_eq!(store.events.head(appended.partition), appended.offset);
    }
    let records = whole_stream(store, 2);
    assert_eq!(records.len(), 150);
    for (revision, stored) in (1..).zip(&records) {
        assert_eq!(&*stored.record, format!("record {revision}").as_bytes());
        assert_eq!(stored.stream, stream_id(2));
        assert_eq!(stored.leaf, leaf_hash(&stored.record));
    }
    assert!(records.is_sorted_by(|a, b| a.revision < b.revision && a.offset < b.offset));
    let counters = store.events.counters();
    assert_eq!(counters.records - before.records, 150);
    assert!(counters.batches > before.batches && counters.bytes > before.bytes);
    assert_eq!(store.events.health(), Health::Ready);
}

fn wrong_expectations_are_refused(store: &Store) {
    let one = append(store, item(3, 0, b"one")).unwrap();
    for expected in [0, one.revision.get() + 1, u64::MAX] {
        let refused = append(
            store,
            Append {
                expected: Revision::new(expected),
                ..item(3, 0, b"two")
            },
        );
        let conflict = AppendError::Conflict {
            expected: Revision::new(expected),
            actual: one.revision,
        };
        assert_eq!(refused, Err(conflict));
    }
    let refused = append(store, item(4, 1, b"a stream that does not exist"));
    assert_eq!(
        refused,
        Err(AppendError::Conflict {
            expected: Revision::new(1),
            actual: Revision::NONE
        })
    );
    assert_eq!(whole_stream(store, 3).len(), 1);
    assert_eq!(whole_stream(store, 4), []);
}

fn items_of_one_append_are_independent(store: &Store) {
    let items = vec![
        item(5, 0, b"a"),
        item(6, 9, b"b"),
        item(5, 1, b"c"),
        item(5, 1, b"d"),
        item(7, 0, b"e"),
    ];
    let answers = block_on(store.events.append(items));
    let stored: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(stored, [true, false, true, false, true]);
    assert_eq!(
        whole_stream(store, 5)
            .iter()
            .map(|stored| &*stored.record)
            .collect::<Vec<_>>(),
        [b"a", b"c"]
    );
    assert_eq!(whole_stream(store, 7).len(), 1);
    assert_eq!(block_on(store.events.append(Vec::new())), []);
    let many: Vec<Append> = (0..3000).map(|revision| item(8, revision, b"many at once")).collect();
    assert!(block_on(store.events.append(many)).iter().all(Result::is_ok));
    assert_eq!(whole_stream(store, 8).len(), 3000);
}

fn sizes_up_to_the_bound_are_kept(store: &Store) {
    let max = store.events.layout().record_max;
    let sizes = [0, 1, 3000, 4000, 4020, 4030, 4096, 5000, 100_000, 1_000_000, max];
    let sizes: Vec<usize> = sizes.into_iter().filter(|&len| len <= max).collect();
    for (revision, &len) in (0..).zip(&sizes) {
        let record: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        append(store, item(9, revision, &record)).unwrap();
    }
    let records = whole_stream(store, 9);
    for (stored, &len) in records.iter().zip(&sizes) {
        assert_eq!(stored.record.len(), len);
        assert!((0..len).all(|at| stored.record[at] == (at % 251) as u8));
    }
    let refused = append(store, item(10, 0, &vec![0; max + 1]));
    assert_eq!(refused, Err(AppendError::TooLarge { len: max + 1, max }));
    assert_eq!(whole_stream(store, 10), []);
    append(store, item(10, 0, b"small")).unwrap();
}

fn reads_are_cut_where_asked(store: &Store) {
    let whole = whole_stream(store, 2);
    for (from, max) in [(0, 1), (0, 64), (63, 2), (64, 64), (149, 10), (150, 10), (140, 0)] {
        let after = if from == 0 {
            Revision::NONE
        } else {
            whole[from - 1].revision
        };
        let part = block_on(store.events.read_stream(&stream_id(2), after, max)).unwrap();
        assert_eq!(
            part,
            whole[from..].iter().take(max).cloned().collect::<Vec<_>>(),
            "after {from}, at most {max}"
        );
    }
}

fn partitions_are_dense_and_in_order(store: &Store) {
    let whole = whole_partition(store);
    assert!(
        (1..)
            .zip(&whole)
            .all(|(offset, stored)| stored.offset.get() == offset && stored.partition == 0)
    );
    assert_eq!(store.events.head(0).get(), whole.len() as u64);
    for (from, max) in [(0, 1), (7, 5), (whole.len() - 1, 9), (whole.len(), 9), (3, 0)] {
        let part = block_on(store.events.read_partition(0, Offset::new(from as u64), max)).unwrap();
        assert_eq!(part, whole[from..].iter().take(max).cloned().collect::<Vec<_>>());
    }
    let beyond = block_on(store.events.read_partition(0, Offset::new(u64::MAX), 9)).unwrap();
    assert_eq!(beyond, []);
}

fn unknown_partitions_are_refused(store: &Store) {
    let partition = store.events.layout().partitions;
    assert_eq!(store.events.head(partition), Offset::NONE);
    let read = block_on(store.events.read_partition(partition, Offset::NONE, 1));
    assert!(matches!(read, Err(StoreError::NoPartition { .. })));
    let changed = block_on(store.events.changed(partition, Offset::NONE, Duration::ZERO));
    assert!(matches!(changed, Err(StoreError::NoPartition { .. })));
}

fn changed_tells_of_growth(store: &Store) {
    let long = Duration::from_secs(60);
    let head = store.events.head(0);
    let begun = Instant::now();
    block_on(store.events.changed(0, Offset::NONE, long)).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| block_on(store.events.changed(0, head, long)));
        append(store, item(11, 0, b"news")).unwrap();
        waiting.join().unwrap().unwrap();
    });
    assert!(begun.elapsed() < long);
    let head = store.events.head(0);
    block_on(store.events.changed(0, head, Duration::from_millis(1))).unwrap();
}

fn one_contender_wins(store: &Store) {
    for round in 0..20 {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let contenders: Vec<_> = (0..8)
                .map(|_| scope.spawn(move || append(store, item(12, round, b"mine"))))
                .collect();
            contenders
                .into_iter()
                .map(|contender| contender.join().unwrap())
                .collect()
        });
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert!(
            answers
                .iter()
                .all(|answer| matches!(answer, Ok(_) | Err(AppendError::Conflict { .. })))
        );
    }
    assert_eq!(whole_stream(store, 12).len(), 20);
}

fn index_keeps_its_entries(store: &Store) {
    let index = &store.index;
    let keys =
        |entries: Vec<IndexEntry>| -> Vec<Vec<u8>> { entries.into_iter().map(|(key, _)| key.to_vec()).collect() };
    let set = |key: &[u8], value: &[u8]| (key.to_vec(), Some(value.to_vec()));
    assert_eq!(index.position("a").unwrap(), Offset::NONE);
    let changes = vec![
        set(b"a/1", b"x"),
        set(b"a/2", b"y"),
        set(b"a/3", b"z"),
        set(b"b/1", b"other"),
        set(b"", b"no key"),
    ];
    index.apply(changes, "a", Offset::new(1)).unwrap();
    index
        .apply(vec![set(b"a/3", b"w"), (b"a/2".to_vec(), None)], "a", Offset::new(2))
        .unwrap();
    assert_eq!(index.position("a").unwrap(), Offset::new(2));
    assert_eq!(index.position("b").unwrap(), Offset::NONE);
    assert_eq!(index.get(b"a/3").unwrap().as_deref(), Some(b"w".as_slice()));
    assert_eq!(index.get(b"a/2").unwrap(), None);
    assert_eq!(index.get(b"").unwrap().as_deref(), Some(b"no key".as_slice()));
    assert_eq!(keys(index.range(b"a/", b"a0", false, 10).unwrap()), [b"a/1", b"a/3"]);
    assert_eq!(keys(index.range(b"a/", b"a0", true, 10).unwrap()), [b"a/3", b"a/1"]);
    assert_eq!(keys(index.range(b"a/1", b"a/3", true, 10).unwrap()), [b"a/1"]);
    assert_eq!(keys(index.range(b"a/", b"z", true, 1).unwrap()), [b"b/1"]);
    assert_eq!(keys(index.range(b"z", b"a", false, 10).unwrap()), Vec::<Vec<u8>>::new());
    index
        .write(vec![set(b"a/1", b"once"), set(b"a/1", b"v"), (b"a/3".to_vec(), None)])
        .unwrap();
    assert_eq!(index.get(b"a/1").unwrap().as_deref(), Some(b"v".as_slice()));
    assert_eq!(index.get(b"a/3").unwrap(), None);
    assert_eq!(index.position("a").unwrap(), Offset::new(2));
    let many = (0..1000_u32)
        .map(|n| (format!("c/{n}").into_bytes(), Some(vec![1; 10])))
        .collect();
    index.apply(many, "c", Offset::new(3)).unwrap();
    index.clear("c", b"c/").unwrap();
    assert_eq!(index.position("c").unwrap(), Offset::NONE);
    assert_eq!(index.range(b"c", b"d", false, 10).unwrap(), []);
    assert_eq!(index.get(b"b/1").unwrap().as_deref(), Some(b"other".as_slice()));
    assert_eq!(index.position("a").unwrap(), Offset::new(2));
}

fn index_refuses_what_is_too_large(store: &Store) {
    let largest = vec![(vec![b'l'; INDEX_KEY_MAX], Some(vec![1; INDEX_VALUE_MAX]))];
    store.index.apply(largest, "l", Offset::new(1)).unwrap();
    for (key, value) in [(INDEX_KEY_MAX + 1, 1), (1, INDEX_VALUE_MAX + 1)] {
        let change = vec![(b"few".to_vec(), None), (vec![b'l'; key], Some(vec![1; value]))];
        assert!(matches!(
            store.index.write(change.clone()),
            Err(StoreError::TooLarge { .. })
        ));
        assert!(matches!(
            store.index.apply(change, "l", Offset::new(2)),
            Err(StoreError::TooLarge { .. })
        ));
    }
    assert_eq!(store.index.position("l").unwrap(), Offset::new(1));
}

fn close_ends_everything(store: &Store) {
    block_on(store.events.close()).unwrap();
    block_on(store.events.close()).unwrap();
    assert!(matches!(store.events.health(), Health::Refused { .. }));
    assert!(matches!(
        append(store, item(13, 0, b"late")),
        Err(AppendError::Unavailable(_))
    ));
    let read = block_on(store.events.read_stream(&stream_id(2), Revision::NONE, 1));
    assert!(matches!(read, Err(StoreError::Unavailable { .. })));
}

/// The child's part in a crash test: appends from several threads until the process is killed, and tells each stream
/// and revision once it is acknowledged. Streams are numbered from `first_stream`, which no earlier child has used.
///
/// The parent kills the child at a random moment, opens the store and calls [`check_after_crash`] with what all children
/// have told.
pub fn append_until_killed(store: &Store, first_stream: u64, acknowledge: &(dyn Fn(u64, u64) + Sync)) {
    const THREADS: u64 = 8;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for stream in (first_stream + thread..).step_by(THREADS as usize) {
                    for revision in 1..=stream % 40 + 1 {
                        append(store, item(stream, revision - 1, &crash_record(stream, revision))).unwrap();
                        acknowledge(stream, revision);
                    }
                }
            });
        }
    });
}

/// The parent's part: every acknowledged record is there, and whatever is there is whole, dense and in order.
pub fn check_after_crash(store: &Store, acknowledged: impl IntoIterator<Item = (u64, u64)>) {
    let mut streams: BTreeMap<StreamId, Vec<Stored>> = BTreeMap::new();
    for (offset, stored) in (1..).zip(whole_partition(store)) {
        assert_eq!(stored.offset.get(), offset, "offsets are dense");
        let records = streams.entry(stored.stream).or_default();
        assert_eq!(stored.revision.get(), records.len() as u64 + 1, "revisions are dense");
        let number = u64::from_be_bytes(*stored.stream.as_bytes().last_chunk().unwrap());
        assert_eq!(
            &*stored.record,
            crash_record(number, stored.revision.get()),
            "records are whole"
        );
        assert_eq!(stored.leaf, leaf_hash(&stored.record));
        records.push(stored);
    }
    for (stream, revision) in acknowledged {
        let found = streams.get(&stream_id(stream)).map_or(0, Vec::len) as u64;
        assert!(
            found >= revision,
            "stream {stream} has {found} records, {revision} were acknowledged"
        );
    }
    for (stream, records) in &streams {
        let number = u64::from_be_bytes(*stream.as_bytes().last_chunk().unwrap());
        assert_eq!(
            &whole_stream(store, number),
            records,
            "a stream reads as it does in the partition"
        );
    }
}

/// Mostly small records, now and then one over several frames.
fn crash_record(stream: u64, revision: u64) -> Vec<u8> {
    let mixed = stream
        .wrapping_mul(31)
        .wrapping_add(revision)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let len = if mixed.is_multiple_of(50) {
        mixed % 30_000
    } else {
        mixed % 700
    };
    mixed.to_be_bytes().into_iter().cycle().take(len as usize).collect()
}

/// One step of a random run; streams are told by small numbers.
#[derive(Clone, Debug)]
pub enum Word {
    /// Append these at once: stream, how far the expected revision is off, length of the record.
    Append(Vec<(u8, i8, usize)>),
    /// Read a stream after a revision, at most so many.
    ReadStream(u8, u8, usize),
    /// Read the partition after an offset, at most so many.
    ReadPartition(u8, usize),
    /// Close the store and open it again.
    Reopen,
}

/// Runs words on a store and on a `BTreeMap`, and compares every answer. `open` opens the same store each time.
pub fn follow_model(mut open: impl FnMut() -> Store, words: &[Word]) {
    let mut store = open();
    let mut log: Vec<(u64, u64, Vec<u8>)> = Vec::new();
    let mut streams: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for word in words {
        match word {
            Word::Append(wanted) => {
                let mut expected = Vec::new();
                let mut items = Vec::new();
                for &(stream, off, len) in wanted {
                    let stream = u64::from(stream);
                    let places = streams.entry(stream).or_default();
                    let actual = places.len() as u64;
                    let believed = actual.saturating_add_signed(i64::from(off));
                    let record = vec![log.len() as u8; len];
                    items.push(item(stream, believed, &record));
                    if believed == actual {
                        places.push(log.len());
                        log.push((stream, actual + 1, record));
                        expected.push(Ok((actual + 1, log.len() as u64)));
                    } else {
                        expected.push(Err((believed, actual)));
                    }
                }
                let answers = block_on(store.events.append(items))
                    .into_iter()
                    .map(|answer| match answer {
                        Ok(appended) => Ok((appended.revision.get(), appended.offset.get())),
                        Err(AppendError::Conflict { expected, actual }) => Err((expected.get(), actual.get())),
                        Err(other) => panic!("{other}"),
                    });
                assert_eq!(answers.collect::<Vec<_>>(), expected);
            }
            Word::ReadStream(stream, after, max) => {
                let stream = u64::from(*stream);
                let after = Revision::new(u64::from(*after));
                let read = block_on(store.events.read_stream(&stream_id(stream), after, *max)).unwrap();
                let places = streams.get(&stream).map(Vec::as_slice).unwrap_or_default();
                let places: Vec<_> = places.iter().skip(after.get() as usize).take(*max).collect();
                assert_eq!(read.len(), places.len());
                for (stored, &&place) in read.iter().zip(&places) {
                    assert_eq!(stored.offset.get(), place as u64 + 1);
                    assert_is(stored, &log[place]);
                }
            }
            Word::ReadPartition(after, max) => {
                let after = usize::from(*after);
                let read = block_on(store.events.read_partition(0, Offset::new(after as u64), *max)).unwrap();
                let kept = log.get(after..).unwrap_or_default();
                assert_eq!(read.len(), kept.len().min(*max));
                read.iter().zip(kept).for_each(|(stored, kept)| assert_is(stored, kept));
            }
            Word::Reopen => {
                drop(store);
                store = open();
            }
        }
    }
    let read = whole_partition(&store);
    assert_eq!(read.len(), log.len());
    read.iter().zip(&log).for_each(|(stored, kept)| assert_is(stored, kept));
}

fn assert_is(stored: &Stored, (stream, revision, record): &(u64, u64, Vec<u8>)) {
    assert_eq!(stored.stream, stream_id(*stream));
    assert_eq!(stored.revision.get(), *revision);
    assert_eq!(&*stored.record, record);
}
