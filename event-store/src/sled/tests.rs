//! sled's locks are process-wide, so every test here holds one lock of its own.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pollster::block_on;
use proptest::prelude::*;

use super::database::Fault;
use super::tail::SEGMENT;
use super::*;
use crate::contract::{self, Word, append, item, stream_id, whole_partition, whole_stream};
use crate::error::DamageReport;
use crate::memory::MemoryStore;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn open(path: &Path, options: &SledOptions) -> Store {
    SledStore::open(path, options.clone()).unwrap().into()
}

fn word() -> impl Strategy<Value = Word> {
    let len = prop_oneof![6 => 0_usize..600, 1 => 3900_usize..4200, 1 => 0_usize..20_000];
    let off = prop_oneof![8 => Just(0_i8), 1 => -2_i8..3];
    prop_oneof![
        8 => prop::collection::vec((0_u8..5, off, len), 1..20).prop_map(Word::Append),
        2 => (0_u8..6, 0_u8..90, 0_usize..100).prop_map(|(stream, after, max)| Word::ReadStream(stream, after, max)),
        1 => (0_u8..200, 0_usize..100).prop_map(|(after, max)| Word::ReadPartition(after, max)),
        1 => Just(Word::Reopen),
    ]
}

#[test]
fn memory_keeps_the_contract() {
    contract::check(&MemoryStore::new().into());
}

#[test]
fn sled_keeps_the_contract() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    for checkpoint_records in [1 << 16, 10] {
        let options = SledOptions {
            checkpoint_records,
            ..SledOptions::default()
        };
        let path = directory.path().join(checkpoint_records.to_string());
        contract::check(&open(&path, &options));
        assert_eq!(
            std::fs::read_dir(path.join("blobs")).unwrap().count(),
            0,
            "files that sled never syncs"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn memory_follows_the_model(words in prop::collection::vec(word(), 1..60)) {
        let store = Store::from(MemoryStore::new());
        contract::follow_model(|| store.clone(), &words);
    }

    #[test]
    fn sled_follows_the_model(words in prop::collection::vec(word(), 1..60), checkpoint_records in 1_usize..200) {
        let _alone = alone();
        let directory = tempfile::tempdir().unwrap();
        let options = SledOptions { checkpoint_records, ..SledOptions::default() };
        contract::follow_model(|| open(directory.path(), &options), &words);
    }
}

#[test]
fn a_second_open_says_that_the_store_is_in_use() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &SledOptions::default());
    let second = SledStore::open(directory.path(), SledOptions::default()).err().unwrap();
    assert!(matches!(second, StoreError::InUse { .. }), "{second:?}");
    append(&store, item(1, 0, b"the first is unharmed")).unwrap();
    drop(store);
    assert_eq!(
        whole_stream(&open(directory.path(), &SledOptions::default()), 1).len(),
        1
    );
}

#[test]
fn a_path_that_cannot_be_a_directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "no directory").unwrap();
    let refused = SledStore::open(&file, SledOptions::default()).err().unwrap();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused:?}");
    let refused = SledStore::open("/proc/flowledger", SledOptions::default())
        .err()
        .unwrap();
    assert!(
        matches!(refused, StoreError::Io { .. } | StoreError::Permission { .. }),
        "{refused:?}"
    );
}

#[test]
fn a_store_of_another_format_is_refused() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), &SledOptions::default()));
    let db = ::sled::open(directory.path()).unwrap();
    let mut manifest = db.get("manifest").unwrap().unwrap().to_vec();
    manifest[11] += 1;
    db.insert("manifest", manifest).unwrap();
    drop(db);
    let refused = SledStore::open(directory.path(), SledOptions::default()).err().unwrap();
    assert!(
        matches!(refused, StoreError::Format { found: 3, known: 2, .. }),
        "{refused:?}"
    );
}

#[test]
fn somebody_elses_database_is_refused_and_left_alone() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let db = ::sled::open(directory.path()).unwrap();
    db.open_tree("theirs").unwrap().insert("key", "value").unwrap();
    drop(db);
    let refused = SledStore::open(directory.path(), SledOptions::default()).err().unwrap();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused:?}");
    assert_eq!(::sled::open(directory.path()).unwrap().tree_names().len(), 2);
}

#[test]
fn layout_stays_what_it_was_at_creation() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let small = SledOptions {
        record_max: 100,
        ..SledOptions::default()
    };
    let layout = open(directory.path(), &small).events.layout().clone();
    assert_eq!(layout.record_max, 100);
    assert_eq!(open(directory.path(), &SledOptions::default()).events.layout(), &layout);
}

#[test]
fn damage_is_reported_and_never_panics_the_host() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &SledOptions::default());
    for revision in 0..20 {
        let items = (0..100).map(|stream| item(stream, revision, &[7; 900])).collect();
        assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
    }
    let file = std::fs::read(directory.path().join("db")).unwrap();
    drop(store);
    // As a crash leaves it, with a block gone here or there. Some blocks are not in use: then all must be there.
    let mut refused = 0;
    for at in (100_000..file.len() - 4096).step_by(300_000) {
        let copy = tempfile::tempdir().unwrap();
        let mut damaged = file.clone();
        damaged[at..at + 4096].fill(0);
        copy_files(directory.path(), copy.path());
        std::fs::write(copy.path().join("db"), damaged).unwrap();
        match SledStore::open(copy.path(), SledOptions::default()) {
            Ok(store) => {
                let records = whole_partition(&store.into());
                assert_eq!(records.len(), 2000);
                assert!(
                    (1..)
                        .zip(&records)
                        .all(|(offset, stored)| stored.offset.get() == offset)
                );
                assert!(records.iter().all(|stored| *stored.record == [7; 900]));
            }
            Err(StoreError::Damaged { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 0, "none of the damage was noticed");
}

/// Copies a store's files without its lock, as they are now.
pub(crate) fn copy_files(from: &Path, to: &Path) {
    // The mark first: it must not be ahead of the rest.
    let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(|entry| entry.file_name() != "mark");
    for entry in entries {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn marked(path: &Path) -> u64 {
    Found::read(path).unwrap().offset().unwrap().get()
}

fn mark_file(path: &Path) -> Vec<u8> {
    std::fs::read(path.join("mark")).unwrap()
}

fn wait_for_mark(path: &Path, offset: u64) {
    let patience = Instant::now() + Duration::from_secs(10);
    while marked(path) != offset {
        assert!(Instant::now() < patience, "the mark stays at {}", marked(path));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A store that was opened once, as a kill leaves it and as a close leaves it, with what it holds.
fn opened_once(killed: &Path, closed: &Path, commits: u64) -> Vec<Stored> {
    let options = SledOptions {
        checkpoint_records: 100,
        ..SledOptions::default()
    };
    let store = open(closed, &options);
    for revision in 0..commits {
        let len = usize::try_from(revision * 97 % 1500).unwrap();
        let items = (0..4).map(|stream| item(stream, revision, &vec![9; len])).collect();
        assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
        let entry = (vec![b'x', u8::try_from(revision % 200).unwrap()], Some(vec![7; 50]));
        store.index.apply(vec![entry], "test", store.events.head(0)).unwrap();
    }
    wait_for_mark(closed, commits * 4);
    std::fs::create_dir_all(killed).unwrap();
    copy_files(closed, killed);
    let records = whole_partition(&store);
    assert_eq!(records.len() as u64, commits * 4);
    records
}

/// What became of a damaged store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    RefusedAtOpen,
    RefusedAtRead,
    Harmless,
}

fn fate(path: &Path, whole: &[Stored]) -> Fate {
    let store = match SledStore::open(path, SledOptions::default()) {
        Ok(store) => Store::from(store),
        Err(StoreError::Damaged { what, .. }) => {
            assert!(
                !what.contains("backtrace") && !what.contains("PageState"),
                "sled speaks: {what}"
            );
            return Fate::RefusedAtOpen;
        }
        Err(other) => panic!("{other}"),
    };
    let read = |after: u64| block_on(store.events.read_partition(0, Offset::new(after), usize::MAX));
    let mut records = Vec::new();
    while records.len() < whole.len() {
        match read(records.len() as u64) {
            Ok(more) if more.is_empty() => break,
            Ok(more) => records.extend(more),
            Err(_) => return Fate::RefusedAtRead,
        }
    }
    assert!(records == whole, "{} of {} records", records.len(), whole.len());
    for stream in 0..4 {
        let Ok(found) = block_on(store.events.read_stream(&stream_id(stream), Revision::NONE, usize::MAX)) else {
            return Fate::RefusedAtRead;
        };
        assert!(
            found
                .iter()
                .eq(whole.iter().filter(|stored| stored.stream == stream_id(stream))),
            "stream {stream}"
        );
    }
    Fate::Harmless
}

#[test]
fn no_flipped_bit_loses_a_record_in_silence() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let [killed, closed] = ["killed", "closed"].map(|name| directory.path().join(name));
    let whole = opened_once(&killed, &closed, 120);
    for path in [killed, closed] {
        let file = std::fs::read(path.join("db")).unwrap();
        let used = file.iter().rposition(|&byte| byte != 0).unwrap();
        let mut fates = std::collections::BTreeMap::new();
        for number in 0..FLIPS {
            let copy = tempfile::tempdir().unwrap();
            copy_files(&path, copy.path());
            let mut flipped = file.clone();
            flipped[number * used / FLIPS + number % 13] ^= 1 << (number % 8);
            std::fs::write(copy.path().join("db"), flipped).unwrap();
            *fates.entry(fate(copy.path(), &whole)).or_insert(0) += 1;
            // sled cuts the damaged end off when it opens. What was refused once must stay refused.
            if number % 10 == 0 {
                fate(copy.path(), &whole);
            }
        }
        println!("{} of {used} bytes, {}: {fates:?}", FLIPS, path.display());
        assert!(fates[&Fate::RefusedAtOpen] > 0);
        assert!(
            !fates.contains_key(&Fate::RefusedAtRead),
            "a store with gaps takes commands"
        );
    }
}

/// Bits flipped in one file.
const FLIPS: usize = 240;

#[test]
fn a_cut_file_is_refused() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let [killed, closed] = ["killed", "closed"].map(|name| directory.path().join(name));
    let whole = opened_once(&killed, &closed, 60);
    for path in [killed, closed] {
        let file = std::fs::read(path.join("db")).unwrap();
        let used = file.iter().rposition(|&byte| byte != 0).unwrap();
        let mut fates = std::collections::BTreeMap::new();
        for cut in (0..24)
            .map(|part| part * used / 24)
            .chain([used - 1, used - 100, used - 3000])
        {
            let copy = tempfile::tempdir().unwrap();
            copy_files(&path, copy.path());
            std::fs::write(copy.path().join("db"), &file[..cut]).unwrap();
            let fate = fate(copy.path(), &whole);
            assert!(fate != Fate::Harmless || cut > used / 2, "{cut} of {used}");
            *fates.entry(fate).or_insert(0) += 1;
        }
        println!("cut, {}: {fates:?}", path.display());
    }
}

/// A closed store with these many records.
fn filled(path: &Path, records: u64) {
    let store = open(path, &SledOptions::default());
    for revision in 0..records {
        append(&store, item(1, revision, &[5; 40])).unwrap();
    }
}

fn refusal(path: &Path, options: SledOptions) -> String {
    let refused = SledStore::open(path, options).err().expect("a refusal");
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused:?}");
    refused.to_string()
}

fn accepting() -> SledOptions {
    SledOptions {
        accept_missing_mark: true,
        ..SledOptions::default()
    }
}

#[test]
fn a_refusal_tells_how_much_is_missing() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let [early, late] = ["early", "late"].map(|name| directory.path().join(name));
    filled(&early, 7);
    std::fs::create_dir(&late).unwrap();
    copy_files(&early, &late);
    let store = open(&late, &SledOptions::default());
    for revision in 7..10 {
        append(&store, item(1, revision, &[5; 40])).unwrap();
    }
    drop(store);
    // The files of the earlier copy under the mark of the later one.
    std::fs::copy(late.join("mark"), early.join("mark")).unwrap();
    for options in [SledOptions::default(), accepting()] {
        let told = refusal(&early, options);
        assert!(
            told.contains(
                "early/db: damaged: the log ends at offset 7, but 3 more records had been stored, up to offset 10"
            ),
            "{told}"
        );
    }
    // Accepting is deliberate: without the file, and by an option.
    std::fs::remove_file(early.join("mark")).unwrap();
    refusal(&early, SledOptions::default());
    assert_eq!(whole_stream(&open(&early, &accepting()), 1).len(), 7);
    assert_eq!(whole_stream(&open(&early, &SledOptions::default()), 1).len(), 7);
}

#[test]
fn another_history_under_the_same_mark_is_refused() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let [left, right] = ["left", "right"].map(|name| directory.path().join(name));
    filled(&left, 3);
    std::fs::create_dir(&right).unwrap();
    copy_files(&left, &right);
    append(&open(&left, &SledOptions::default()), item(1, 3, b"left")).unwrap();
    append(&open(&right, &SledOptions::default()), item(1, 3, b"right")).unwrap();
    std::fs::copy(right.join("mark"), left.join("mark")).unwrap();
    let told = refusal(&left, SledOptions::default());
    assert!(
        told.contains("the record at offset 4, which had been stored, is nowhere in it"),
        "{told}"
    );
}

#[test]
fn a_mark_of_another_store_is_refused() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| directory.path().join(name));
    filled(&one, 5);
    filled(&other, 2);
    std::fs::copy(other.join("mark"), one.join("mark")).unwrap();
    let told = refusal(&one, accepting());
    assert!(
        told.contains("one/mark: damaged: it belongs to another store"),
        "{told}"
    );
}

#[test]
fn a_missing_or_unreadable_mark_is_refused_unless_accepted() {
    let _alone = alone();
    for is_missing in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        filled(directory.path(), 5);
        let file = directory.path().join("mark");
        if is_missing {
            std::fs::remove_file(&file).unwrap();
        } else {
            let mut bytes = mark_file(directory.path());
            bytes[20] ^= 1;
            bytes[4096 + 40] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
        let told = refusal(directory.path(), SledOptions::default());
        assert!(
            told.contains("/mark: damaged: ") && told.contains("accept_missing_mark"),
            "{told}"
        );
        assert_eq!(whole_stream(&open(directory.path(), &accepting()), 1).len(), 5);
        assert_eq!(marked(directory.path()), 5);
        drop(open(directory.path(), &SledOptions::default()));
    }
}

#[test]
fn a_creation_that_was_interrupted_before_the_mark_is_no_damage() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), &SledOptions::default()));
    assert_eq!(marked(directory.path()), 0, "there is a mark before the first answer");
    std::fs::rename(directory.path().join("mark"), directory.path().join("mark.new")).unwrap();
    filled(directory.path(), 1);
    assert_eq!(
        whole_stream(&open(directory.path(), &SledOptions::default()), 1).len(),
        1
    );
}

#[test]
fn settings_that_a_full_disk_cut_short_are_no_damage_of_a_store_that_holds_nothing() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), &SledOptions::default()));
    let settings = std::fs::read(directory.path().join("conf")).unwrap();
    for file in ["db", "mark"] {
        std::fs::remove_file(directory.path().join(file)).unwrap();
    }
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("snap.") {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    // Without the check sum, which sled writes last.
    std::fs::write(directory.path().join("conf"), &settings[..settings.len() - 4]).unwrap();
    filled(directory.path(), 1);
    assert_eq!(
        whole_stream(&open(directory.path(), &SledOptions::default()), 1).len(),
        1
    );
    assert_eq!(std::fs::read(directory.path().join("conf")).unwrap(), settings);
}

#[test]
fn a_lost_file_under_a_mark_is_no_new_store() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 4);
    std::fs::write(directory.path().join("db"), b"").unwrap();
    refusal(directory.path(), SledOptions::default());
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "mark" && entry.file_type().unwrap().is_file() {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    let told = refusal(directory.path(), SledOptions::default());
    assert!(told.contains("db: damaged: it is missing"), "{told}");
}

#[test]
fn a_slot_that_was_torn_leaves_the_other() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 6);
    let bytes = mark_file(directory.path());
    for slot in [0, 4096] {
        for cut in [0, 1, 8, 30, 60, 112] {
            let mut torn = bytes.clone();
            torn[slot + cut] ^= 1;
            torn[slot + cut + 1..slot + 113].fill(0);
            std::fs::write(directory.path().join("mark"), torn).unwrap();
            assert_eq!(marked(directory.path()), 6);
            drop(open(directory.path(), &SledOptions::default()));
            assert_eq!(Found::slots(&mark_file(directory.path())), 2, "closing mends it");
        }
    }
}

#[test]
fn an_idle_store_writes_no_mark() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 3);
    drop(open(directory.path(), &SledOptions::default()));
    let before = mark_file(directory.path());
    let store = open(directory.path(), &SledOptions::default());
    std::thread::sleep(Duration::from_millis(200));
    drop(store);
    assert_eq!(mark_file(directory.path()), before);
}

/// Fails a sync, and sees every mark.
struct MarkWatch {
    syncs: AtomicU32,
    failing: u32,
    synced: AtomicU64,
    highest: AtomicU64,
}

impl MarkWatch {
    fn new(failing: u32) -> Arc<Self> {
        Arc::new(Self {
            syncs: AtomicU32::new(0),
            failing,
            synced: AtomicU64::new(0),
            highest: AtomicU64::new(0),
        })
    }
}

impl Faults for MarkWatch {
    fn before(&self, step: Step) -> io::Result<()> {
        if step == Step::Sync && self.syncs.fetch_add(1, Ordering::SeqCst) + 1 == self.failing {
            return Err(io::Error::other("this sync fails"));
        }
        Ok(())
    }

    fn after(&self, step: Step) -> io::Result<()> {
        if step == Step::Sync {
            // The first one is the opening's, then each commit has a record.
            let synced = self.syncs.load(Ordering::SeqCst) - 1;
            self.synced.store(synced.into(), Ordering::SeqCst);
        }
        Ok(())
    }

    fn before_mark(&self, offset: u64) -> io::Result<()> {
        assert!(
            offset <= self.synced.load(Ordering::SeqCst),
            "the mark is ahead: {offset}"
        );
        self.highest.fetch_max(offset, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn the_mark_is_never_ahead_of_a_sync() {
    let _alone = alone();
    for failing in [2, 3, 7, 40] {
        let directory = tempfile::tempdir().unwrap();
        let watch = MarkWatch::new(failing);
        let faults: Arc<dyn Faults> = watch.clone();
        let options = SledOptions {
            faults: Some(faults),
            ..SledOptions::default()
        };
        let store = open(directory.path(), &options);
        let mut acknowledged = 0;
        while append(&store, item(1, acknowledged, b"record")).is_ok() {
            acknowledged += 1;
            std::thread::sleep(Duration::from_millis(acknowledged % 7));
        }
        assert_eq!(acknowledged, u64::from(failing) - 2);
        std::thread::sleep(Duration::from_millis(150));
        assert_eq!(marked(directory.path()), acknowledged);
        drop(store);
        assert_eq!(marked(directory.path()), acknowledged);
        assert_eq!(watch.highest.load(Ordering::SeqCst), acknowledged);
        let store = open(directory.path(), &SledOptions::default());
        assert!(whole_stream(&store, 1).len() as u64 >= acknowledged);
    }
}

#[test]
fn the_mark_is_at_most_a_moment_behind() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &SledOptions::default());
    let begin = Instant::now();
    let (mut revision, mut done, mut worst) = (0, Vec::new(), Duration::ZERO);
    while begin.elapsed() < Duration::from_secs(1) {
        append(&store, item(1, revision, b"record")).unwrap();
        revision += 1;
        done.push(Instant::now());
        if let Some(first_unmarked) = done.get(usize::try_from(marked(directory.path())).unwrap()) {
            worst = worst.max(first_unmarked.elapsed());
        }
    }
    println!("the mark was {worst:?} behind at most, over {revision} commits");
    // Generous: other tests share the processor.
    assert!(worst < Duration::from_secs(1), "{worst:?}");
}

/// Lets no mark through while it is told so.
struct NoMarks(AtomicBool);

impl Faults for NoMarks {
    fn before_mark(&self, _: u64) -> io::Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(io::Error::other("no mark"));
        }
        Ok(())
    }
}

#[test]
fn a_mark_that_cannot_be_written_stops_nobody() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 1);
    let marks = Arc::new(NoMarks(AtomicBool::new(true)));
    let faults: Arc<dyn Faults> = marks.clone();
    let options = SledOptions {
        faults: Some(faults),
        ..SledOptions::default()
    };
    let store = open(directory.path(), &options);
    for revision in 1..20 {
        append(&store, item(1, revision, b"record")).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(store.events.health(), Health::Ready);
    assert_eq!(marked(directory.path()), 1);
    let error = block_on(store.events.close()).unwrap_err();
    assert!(error.to_string().ends_with("mark: writing"), "{error}");
    drop(store);
    let store = open(directory.path(), &options);
    assert_eq!(whole_stream(&store, 1).len(), 20);
    marks.0.store(false, Ordering::SeqCst);
    wait_for_mark(directory.path(), 20);
}

#[test]
fn a_stream_index_that_does_not_fit_is_built_again() {
    let _alone = alone();
    // All of it has been written since the last opening; then a part that is too short to read the whole index for.
    for (unread, faults) in [(300, 6), (12, 4)] {
        for fault in 0..faults {
            let directory = tempfile::tempdir().unwrap();
            misfitting(directory.path(), unread, fault);
            let store = open(directory.path(), &misfit_options());
            for stream in 0..3 {
                assert_eq!(
                    whole_stream(&store, stream).len(),
                    100,
                    "{unread} unread, fault {fault}, stream {stream}"
                );
                append(&store, item(stream, 100, b"next")).unwrap();
            }
        }
    }
}

fn misfit_options() -> SledOptions {
    SledOptions {
        checkpoint_records: 30,
        ..SledOptions::default()
    }
}

/// Three streams of a hundred records, of which so many were written since the store was last opened, and an index with a fault.
fn misfitting(directory: &Path, unread: u64, fault: u32) {
    for numbers in [0..300 - unread, 300 - unread..300] {
        let store = (!numbers.is_empty()).then(|| open(directory, &misfit_options()));
        for number in numbers {
            append(store.as_ref().unwrap(), item(number % 3, number / 3, b"record")).unwrap();
        }
    }
    let db = ::sled::open(directory).unwrap();
    let streams = db.open_tree("streams").unwrap();
    let [first, last] = [0, 1].map(|block| super::layout::block_key(&stream_id(1), block));
    match fault {
        0 => drop(streams.remove(last).unwrap()),
        1 => drop(streams.insert(last, &[1, 1, 1]).unwrap()),
        2 => drop(streams.insert(last, &[0xff; 20]).unwrap()),
        3 => drop(streams.insert("position", &7_u64.to_be_bytes()).unwrap()),
        // Where only the newest record of a stream is looked up, these two are met by whoever reads it.
        4 => drop(streams.remove(first).unwrap()),
        _ => drop(streams.insert(first, streams.get(last).unwrap().unwrap()).unwrap()),
    }
}

#[test]
fn a_stream_index_that_breaks_while_in_use_is_built_again() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let options = SledOptions {
        checkpoint_records: 10,
        ..SledOptions::default()
    };
    let store = SledStore::open(directory.path(), options).unwrap();
    let shared = Arc::clone(&store.shared);
    let store = Store::from(store);
    for revision in 0..40 {
        append(&store, item(1, revision, b"record")).unwrap();
    }
    std::thread::sleep(Duration::from_millis(50));
    shared.read(Database::forget_index).unwrap();
    let patience = Instant::now() + Duration::from_secs(10);
    let mut revision = 40;
    while whole_stream_or(&store, 1).is_none_or(|found| found.len() < 60) {
        assert!(Instant::now() < patience, "{:?}", store.events.health());
        if append(&store, item(1, revision, b"record")).is_ok() {
            revision += 1;
        }
    }
    drop((store, shared));
    let store = open(directory.path(), &SledOptions::default());
    assert_eq!(whole_stream(&store, 1).len() as u64, revision);
}

fn whole_stream_or(store: &Store, stream: u64) -> Option<Vec<Stored>> {
    block_on(store.events.read_stream(&stream_id(stream), Revision::NONE, usize::MAX)).ok()
}

#[test]
fn a_kill_while_opening_leaves_no_snapshot_in_the_way() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path(), 5);
    drop(open(directory.path(), &SledOptions::default()));
    let half = directory.path().join("snap.00000000000FFFFF.generating");
    for bytes in [&[][..], &[7; 100]] {
        std::fs::write(&half, bytes).unwrap();
        let store = open(directory.path(), &SledOptions::default());
        assert!(!half.exists());
        // Whoever is refused must not touch the files of the one that is open.
        std::fs::write(&half, bytes).unwrap();
        assert!(SledStore::open(directory.path(), SledOptions::default()).is_err());
        assert!(half.exists());
        assert_eq!(whole_stream(&store, 1).len(), 5);
    }
}

#[test]
fn a_log_that_lost_its_end_is_refused() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &SledOptions::default());
    for revision in 0..20 {
        append(&store, item(1, revision, b"record")).unwrap();
    }
    drop(store);
    let db = ::sled::open(directory.path()).unwrap();
    db.open_tree("log").unwrap().pop_max().unwrap();
    drop(db);
    let refused = SledStore::open(directory.path(), SledOptions::default()).err().unwrap();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused:?}");
}

/// What a power cut leaves of one commit: the beginning of what was written, and in it whole records only. What is there of a
/// large one that is not whole is in nobody's way.
#[test]
fn of_a_torn_commit_whole_records_are_left() {
    let _alone = alone();
    for (records, len) in [(40, 400), (3, 20_000)] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path(), &SledOptions::default());
        append(&store, item(1, 0, b"before")).unwrap();
        let before = sealed_bytes(directory.path());
        let items = (0..records)
            .map(|stream| item(100 + stream, 0, &vec![9; len]))
            .collect();
        assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
        let killed = tempfile::tempdir().unwrap();
        copy_files(directory.path(), killed.path());
        std::fs::remove_file(killed.path().join("mark")).unwrap();
        let whole = std::fs::read(killed.path().join("db")).unwrap();
        let end = sealed_bytes(killed.path());
        assert!(end > before + usize::try_from(records).unwrap() * len);
        let mut found = std::collections::BTreeSet::new();
        for part in 0..=24 {
            let cut = before + (end - before) * part / 24;
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            std::fs::write(killed.path().join("db"), torn).unwrap();
            let copy = tempfile::tempdir().unwrap();
            copy_files(killed.path(), copy.path());
            let store = open(copy.path(), &accepting());
            let left = whole_partition(&store);
            assert_eq!(left[0].record.as_ref(), b"before");
            assert!(left[1..].iter().all(|stored| stored.record.as_ref() == vec![9; len]));
            // The store goes on where it was cut, with records that share a frame.
            let after = [500, 501].map(|stream| item(stream, 0, b"after"));
            assert!(block_on(store.events.append(after.into())).iter().all(Result::is_ok));
            assert!([500, 501].iter().all(|stream| whole_stream(&store, *stream).len() == 1));
            drop(store);
            let store = open(copy.path(), &SledOptions::default());
            assert_eq!(whole_partition(&store).len(), left.len() + 2);
            found.insert(left.len() as u64 - 1);
        }
        assert!(found.contains(&0) && found.contains(&records), "{found:?}");
        assert!(found.len() > 2, "{found:?}");
    }
}

/// Bytes of the file up to the last one that is not zero.
fn sealed_bytes(path: &Path) -> usize {
    let file = std::fs::read(path.join("db")).unwrap();
    file.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

#[test]
fn a_deleted_stream_index_is_built_again() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let options = SledOptions {
        checkpoint_records: 30,
        ..SledOptions::default()
    };
    let store = open(directory.path(), &options);
    for number in 0..300 {
        append(&store, item(number % 3, number / 3, b"record")).unwrap();
    }
    drop(store);
    let db = ::sled::open(directory.path()).unwrap();
    db.open_tree("streams").unwrap().clear().unwrap();
    drop(db);
    let store = open(directory.path(), &options);
    assert!((0..3).all(|stream| whole_stream(&store, stream).len() == 100));
    append(&store, item(0, 100, b"next")).unwrap();
}

#[test]
fn a_long_stream_writes_only_its_last_block_again() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let options = SledOptions {
        checkpoint_records: 1000,
        ..SledOptions::default()
    };
    let store = open(directory.path(), &options);
    let items = (0..10_000).map(|revision| item(1, revision, b"record")).collect();
    assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
    drop(store);
    let db = ::sled::open(directory.path()).unwrap();
    let streams = db.open_tree("streams").unwrap();
    let largest = streams.iter().map(|entry| entry.unwrap().1.len()).max().unwrap();
    assert!(largest <= 64 * 3, "{largest}");
    assert_eq!(streams.len(), 10_000_usize.div_ceil(64) + 1);
    drop((streams, db));
    let store = open(directory.path(), &options);
    let tail = block_on(store.events.read_stream(&stream_id(1), Revision::new(9_990), 100)).unwrap();
    assert_eq!(tail.len(), 10);
}

#[test]
fn index_ahead_of_the_log_counts_as_absent() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &SledOptions::default());
    append(&store, item(1, 0, b"record")).unwrap();
    store.index.apply(Vec::new(), "near", Offset::new(1)).unwrap();
    store.index.apply(Vec::new(), "far", Offset::new(2)).unwrap();
    drop(store);
    let store = open(directory.path(), &SledOptions::default());
    assert_eq!(store.index.position("near").unwrap(), Offset::new(1));
    assert_eq!(store.index.position("far").unwrap(), Offset::NONE);
}

#[test]
fn a_dropped_future_does_not_take_back_what_it_queued() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let options = SledOptions {
        flush_delay: Duration::from_millis(5),
        ..SledOptions::default()
    };
    let store = open(directory.path(), &options);
    for stream in 0..50 {
        let mut future = store.events.append(vec![item(stream, 0, b"record")]);
        let waker = std::task::Waker::noop();
        assert!(
            future
                .as_mut()
                .poll(&mut std::task::Context::from_waker(waker))
                .is_pending()
        );
    }
    block_on(store.events.close()).unwrap();
    drop(store);
    assert_eq!(whole_partition(&open(directory.path(), &options)).len(), 50);
}

/// Records a sync, of callers that call again soon after they are answered.
fn records_per_sync(gather_limit: Duration) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    let options = SledOptions {
        flush_delay: Duration::from_millis(20),
        gather_limit,
        ..SledOptions::default()
    };
    let store = open(directory.path(), &options);
    std::thread::scope(|scope| {
        for stream in 0..64 {
            let store = &store;
            scope.spawn(move || {
                for revision in 0..20 {
                    append(store, item(stream, revision, &[0; 300])).unwrap();
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
        }
    });
    let counters = store.events.counters();
    assert_eq!(counters.records, 64 * 20);
    f64::from(u32::try_from(counters.records).unwrap()) / f64::from(u32::try_from(counters.batches).unwrap())
}

#[test]
fn concurrent_appenders_share_syncs() {
    let _alone = alone();
    let at_once = records_per_sync(Duration::ZERO);
    assert!(at_once > 4.0, "{at_once}");
    // Without waiting they take turns at the disk, one part of them after the other.
    let gathered = records_per_sync(SledOptions::default().gather_limit);
    assert!(gathered > 1.25 * at_once, "{gathered} and {at_once}");
}

#[test]
fn readers_see_dense_prefixes_while_checkpoints_run() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let options = SledOptions {
        checkpoint_records: 20,
        ..SledOptions::default()
    };
    let store = open(directory.path(), &options);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for stream in 0..2 {
            let (store, is_done) = (&store, &is_done);
            scope.spawn(move || {
                let mut seen = 0;
                while !is_done.load(Ordering::SeqCst) {
                    let found = whole_stream(store, stream);
                    assert!(
                        (1..)
                            .zip(&found)
                            .all(|(revision, stored)| stored.revision.get() == revision)
                    );
                    assert!(found.len() >= seen, "a record was seen and then not");
                    seen = found.len();
                }
            });
        }
        let (tailing, is_over) = (&store, &is_done);
        scope.spawn(move || {
            let mut after = Offset::NONE;
            while !is_over.load(Ordering::SeqCst) || after < tailing.events.head(0) {
                block_on(tailing.events.changed(0, after, Duration::from_millis(5))).unwrap();
                for stored in block_on(tailing.events.read_partition(0, after, 7)).unwrap() {
                    assert_eq!(stored.offset.get(), after.get() + 1);
                    after = stored.offset;
                }
            }
        });
        for revision in 0..1000 {
            let items = (0..4).map(|stream| item(stream, revision, &[1; 99])).collect();
            assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
        }
        is_done.store(true, Ordering::SeqCst);
    });
    assert!(
        store.events.counters().checkpoints > 20,
        "{:?}",
        store.events.counters()
    );
}

/// Writes down every step.
#[derive(Default)]
struct Steps(Mutex<Vec<Step>>);

impl Faults for Steps {
    fn after(&self, step: Step) -> io::Result<()> {
        self.0.lock().unwrap().push(step);
        Ok(())
    }
}

#[test]
fn a_command_is_answered_after_its_sync() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let steps = Arc::new(Steps::default());
    let faults: Arc<dyn Faults> = steps.clone();
    let store = open(
        directory.path(),
        &SledOptions {
            faults: Some(faults),
            ..SledOptions::default()
        },
    );
    for revision in 0..10 {
        steps.0.lock().unwrap().clear();
        append(&store, item(1, revision, b"record")).unwrap();
        assert_eq!(*steps.0.lock().unwrap(), [Step::Apply, Step::Flush, Step::Sync]);
    }
}

/// sled believes what it has written to be durable, and a power cut may show it wrong once that is more than a segment.
#[test]
fn sled_is_synced_in_between_where_it_is_given_much() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let steps = Arc::new(Steps::default());
    let faults: Arc<dyn Faults> = steps.clone();
    let options = SledOptions {
        faults: Some(faults),
        ..SledOptions::default()
    };
    let syncs = || {
        let mut steps = steps.0.lock().unwrap();
        let syncs = steps.iter().filter(|step| **step == Step::Sync).count();
        steps.clear();
        syncs
    };
    let store = open(directory.path(), &options);
    syncs();
    let items = (0..900).map(|stream| item(stream, 0, &[7; 1000])).collect();
    assert!(block_on(store.events.append(items)).iter().all(Result::is_ok));
    assert!(syncs() >= 9, "of one large commit");
    let killed = tempfile::tempdir().unwrap();
    copy_files(directory.path(), killed.path());
    let entries = (0..1000_u32).map(|key| (key.to_be_bytes().to_vec(), Some(vec![7; 1000])));
    store.index.write(entries.collect()).unwrap();
    assert!(syncs() >= 10, "of an index");
    drop(store);
    syncs();
    let store = open(killed.path(), &options);
    assert!(syncs() >= 10, "of the frames that an opening writes again");
    assert_eq!(whole_partition(&store).len(), 900);
}

/// The system tells only one of several callers of a failed sync; the store tells all.
#[test]
fn no_sync_counts_after_one_that_failed() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let options = failing(FailNth::new(1, false, Some(Step::Sync)));
    let database = Database::open(directory.path(), &options, 0).unwrap();
    for _ in 0..3 {
        assert!(matches!(database.make_durable(), Err(Fault::Sync(why)) if why.contains("on purpose")));
    }
}

#[test]
fn a_sync_that_fails_for_an_index_stops_the_store() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &failing(FailNth::new(3, false, Some(Step::Sync))));
    append(&store, item(1, 0, b"one")).unwrap();
    let entries = (0..200_u32).map(|key| (key.to_be_bytes().to_vec(), Some(vec![7; 1000])));
    assert!(store.index.write(entries.collect()).is_err());
    assert!(matches!(store.events.health(), Health::Refused { .. }));
    assert!(matches!(
        append(&store, item(1, 1, b"two")),
        Err(AppendError::Unavailable(_))
    ));
    drop(store);
    let store = open(directory.path(), &SledOptions::default());
    assert_eq!(whole_stream(&store, 1).len(), 1);
}

fn failing(faults: Arc<FailNth>) -> SledOptions {
    SledOptions {
        faults: Some(faults),
        ..SledOptions::default()
    }
}

/// Fails one call, before or after its effect; counts all.
struct FailNth {
    count: AtomicU32,
    nth: u32,
    is_late: bool,
    only: Option<Step>,
    has_failed: AtomicBool,
}

impl FailNth {
    fn new(nth: u32, is_late: bool, only: Option<Step>) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicU32::new(0),
            nth,
            is_late,
            only,
            has_failed: AtomicBool::new(false),
        })
    }

    fn verdict(&self, step: Step) -> io::Result<()> {
        if self.only.is_none_or(|only| only == step) && self.count.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            self.has_failed.store(true, Ordering::SeqCst);
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("{step:?} fails on purpose"),
            ));
        }
        Ok(())
    }
}

impl Faults for FailNth {
    fn before(&self, step: Step) -> io::Result<()> {
        if self.is_late { Ok(()) } else { self.verdict(step) }
    }

    fn after(&self, step: Step) -> io::Result<()> {
        if self.is_late { self.verdict(step) } else { Ok(()) }
    }
}

/// Appends until `count` records are in; returns the acknowledged revisions of stream 1 and how often it was unknown.
fn append_through(store: &Store, count: u64) -> Option<u64> {
    let patience = Instant::now() + Duration::from_secs(20);
    let mut revision = whole_stream(store, 1).len() as u64;
    let mut unknown = 0;
    while revision < count {
        assert!(
            Instant::now() < patience,
            "no end after {revision} records: {:?}",
            store.events.health()
        );
        match append(store, item(1, revision, &[5; 2000])) {
            Ok(appended) => {
                revision += 1;
                assert_eq!(appended.revision.get(), revision);
            }
            Err(AppendError::Unknown(_)) => {
                unknown += 1;
                loop {
                    assert!(Instant::now() < patience);
                    match store.events.health() {
                        Health::Ready => break,
                        Health::Recovering { .. } => std::thread::sleep(Duration::from_millis(1)),
                        Health::Refused { .. } => return None,
                    }
                }
                // The outcome is known now: the stream has the command or it has not.
                revision = whole_stream(store, 1).len() as u64;
            }
            Err(AppendError::Unavailable(_)) => match store.events.health() {
                Health::Refused { .. } => return None,
                _ => std::thread::sleep(Duration::from_millis(1)),
            },
            Err(other) => panic!("{other}"),
        }
    }
    Some(unknown)
}

#[test]
fn every_failing_call_is_survived() {
    let _alone = alone();
    for is_late in [false, true] {
        for nth in 1.. {
            let directory = tempfile::tempdir().unwrap();
            drop(open(directory.path(), &SledOptions::default()));
            let faults = FailNth::new(nth, is_late, None);
            let watching: Arc<dyn Faults> = faults.clone();
            let options = SledOptions {
                checkpoint_records: 5,
                faults: Some(watching),
                ..SledOptions::default()
            };
            let mut outcome = None;
            if let Ok(store) = SledStore::open(directory.path(), options) {
                let store = Store::from(store);
                outcome = append_through(&store, 12);
                let acknowledged = whole_stream(&store, 1).len();
                drop(store);
                let store = open(directory.path(), &SledOptions::default());
                let found = whole_stream(&store, 1);
                assert!(
                    found.len() >= acknowledged,
                    "call {nth}: {} of {acknowledged}",
                    found.len()
                );
                assert!(
                    (1..)
                        .zip(&found)
                        .all(|(revision, stored)| stored.revision.get() == revision)
                );
                append_through(&store, 15).unwrap();
            }
            if !faults.has_failed.load(Ordering::SeqCst) {
                assert!(
                    outcome == Some(0) && nth > 30,
                    "the run without a fault: call {nth}, {outcome:?}"
                );
                break;
            }
        }
    }
}

#[test]
fn a_failed_sync_refuses_commands_until_the_store_is_reopened() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path(), &failing(FailNth::new(4, false, Some(Step::Sync))));
    append(&store, item(1, 0, b"one")).unwrap();
    append(&store, item(1, 1, b"two")).unwrap();
    assert!(matches!(
        append(&store, item(1, 2, b"three")),
        Err(AppendError::Unknown(_))
    ));
    assert!(matches!(
        append(&store, item(1, 2, b"three")),
        Err(AppendError::Unavailable(_))
    ));
    assert!(matches!(store.events.health(), Health::Refused { .. }));
    assert_eq!(
        whole_stream(&store, 1).len(),
        2,
        "what was durable stays readable, what is not proven stays unseen"
    );
    drop(store);
    let store = open(directory.path(), &SledOptions::default());
    assert_eq!(whole_stream(&store, 1).len(), 3, "proven by the reopen");
}

/// Keeps a flush from returning while it is told to.
struct Stuck(Arc<AtomicBool>);

impl Faults for Stuck {
    fn before(&self, step: Step) -> io::Result<()> {
        while step == Step::Flush && self.0.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

#[test]
fn a_stuck_flush_refuses_commands_and_blocks_nobody() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let stuck = Arc::new(AtomicBool::new(false));
    let faults: Arc<dyn Faults> = Arc::new(Stuck(Arc::clone(&stuck)));
    let commit_limit = Duration::from_millis(200);
    let options = SledOptions {
        faults: Some(faults),
        commit_limit,
        queue: 2,
        ..SledOptions::default()
    };
    let store = open(directory.path(), &options);
    append(&store, item(1, 0, b"one")).unwrap();
    stuck.store(true, Ordering::SeqCst);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let appenders: Vec<_> = (2..20)
            .map(|stream| {
                let store = &store;
                scope.spawn(move || append(store, item(stream, 0, b"stuck")))
            })
            .collect();
        appenders
            .into_iter()
            .map(|appender| appender.join().unwrap().unwrap_err())
            .collect()
    });
    let unknown = answers
        .iter()
        .filter(|answer| matches!(answer, AppendError::Unknown(_)))
        .count();
    assert!(
        unknown >= 1
            && answers
                .iter()
                .all(|e| matches!(e, AppendError::Unknown(_) | AppendError::Unavailable(_)))
    );
    assert!(matches!(store.events.health(), Health::Refused { .. }));
    assert!(block_on(store.events.close()).is_err());
    assert_eq!(whole_stream(&store, 1).len(), 1);
    stuck.store(false, Ordering::SeqCst);
    drop(store);
    let store = open(directory.path(), &SledOptions::default());
    assert_eq!(whole_partition(&store).len(), 1 + unknown);
}

#[test]
fn a_full_disk_is_survived() {
    let _alone = alone();
    let Some(disk) = std::env::var_os("FLOWLEDGER_SMALL_DISK").map(std::path::PathBuf::from) else {
        // Not by println: the test runner would swallow it.
        let _ = io::Write::write_all(
            &mut io::stderr(),
            b"\nSKIPPED a_full_disk_is_survived: it needs a disk of some MiB, named by FLOWLEDGER_SMALL_DISK \
              (mount -t tmpfs -o size=24m none DIRECTORY)\n",
        );
        return;
    };
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![0; 8 << 20]).unwrap();
    let path = disk.join("store");
    let options = SledOptions {
        checkpoint_records: 500,
        ..SledOptions::default()
    };
    let store = open(&path, &options);
    let mut acknowledged = 0_u64;
    while append(&store, item(1, acknowledged, &[3; 3000])).is_ok() {
        acknowledged += 1;
    }
    for _ in 0..20 {
        let refused = append(&store, item(1, acknowledged, &[3; 3000]));
        println!("after {acknowledged}: {refused:?}, {:?}", store.events.health());
        let readable = block_on(
            store
                .events
                .read_stream(&stream_id(1), Revision::new(acknowledged - 5), 10),
        );
        println!("reads: {:?}", readable.map(|records| records.len()));
        std::thread::sleep(Duration::from_millis(100));
    }
    std::fs::remove_file(&ballast).unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while store.events.health() != Health::Ready {
        assert!(Instant::now() < patience, "{:?}", store.events.health());
        std::thread::sleep(Duration::from_millis(10));
    }
    let found = whole_stream(&store, 1).len() as u64;
    assert!(found >= acknowledged, "{found} of {acknowledged}");
    append_through(&store, found + 100).unwrap();
    drop(store);
    let store = open(&path, &options);
    assert_eq!(whole_stream(&store, 1).len() as u64, found + 100);
    drop(store);
    std::fs::remove_dir_all(&path).unwrap();
}

/// A report of the damage for which a store is not opened.
fn damage(path: &Path) -> (String, DamageReport) {
    match SledStore::open(path, SledOptions::default()).err().expect("a refusal") {
        StoreError::Damaged { place, what, report } => (
            format!("{place}: {what}"),
            *report.expect("what is not opened is reported"),
        ),
        other => panic!("{other:?}"),
    }
}

fn all_bytes(path: &Path) -> std::collections::BTreeMap<std::ffi::OsString, Vec<u8>> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|entry| (entry.file_name(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// Something that happens to a store's files.
type Mishap<'a> = &'a dyn Fn(&Path);

#[test]
fn what_surely_cannot_be_right_is_refused_while_nothing_is_changed() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let [early, late] = ["early", "late"].map(|name| directory.path().join(name));
    filled(&early, 7);
    std::fs::create_dir(&late).unwrap();
    copy_files(&early, &late);
    let store = open(&late, &SledOptions::default());
    for revision in 7..10 {
        append(&store, item(1, revision, format!("later {revision}").as_bytes())).unwrap();
    }
    drop(store);
    let whole = std::fs::read(late.join("db")).unwrap();
    let end = whole.windows(7).position(|window| window == b"later 9").unwrap();
    let cases: [(&str, Mishap<'_>); 9] = [
        ("stands behind that: sled would overwrite it", &|path| {
            let mut flipped = whole.clone();
            flipped[end - 60] ^= 1;
            std::fs::write(path.join("db"), flipped).unwrap();
        }),
        ("belongs to another store", &|path| {
            let other = directory.path().join("other");
            filled(&other, 2);
            std::fs::copy(other.join("db"), path.join("db")).unwrap();
        }),
        ("nowhere in it", &|path| {
            std::fs::copy(early.join("db"), path.join("db")).unwrap();
        }),
        ("nowhere in it", &|path| {
            std::fs::write(path.join("db"), &whole[..end - 60]).unwrap();
        }),
        ("nowhere in it", &|path| {
            let mut zeroed = whole.clone();
            zeroed[end - 60..].fill(0);
            std::fs::write(path.join("db"), zeroed).unwrap();
        }),
        ("it is empty", &|path| std::fs::write(path.join("db"), "").unwrap()),
        ("it is missing", &|path| std::fs::remove_file(path.join("db")).unwrap()),
        ("db: it is no file", &|path| {
            std::fs::remove_file(path.join("db")).unwrap();
            std::fs::create_dir(path.join("db")).unwrap();
        }),
        ("conf: it is no file", &|path| {
            std::fs::remove_file(path.join("conf")).unwrap();
            std::fs::create_dir(path.join("conf")).unwrap();
        }),
    ];
    for (number, (told, change)) in cases.into_iter().enumerate() {
        let path = directory.path().join(number.to_string());
        std::fs::create_dir(&path).unwrap();
        copy_files(&late, &path);
        change(&path);
        let before = all_bytes(&path);
        for _ in 0..2 {
            let (what, report) = damage(&path);
            assert!(what.contains(told), "{what}");
            assert_eq!(
                (report.stored, report.intact, report.may_have_changed),
                (Some(Offset::new(10)), None, false)
            );
        }
        assert_eq!(all_bytes(&path), before, "{told}");
    }
    // The right file brings it back.
    assert_eq!(whole_stream(&open(&late, &SledOptions::default()), 1).len(), 10);
}

#[test]
fn a_mark_or_a_snapshot_that_is_no_file_is_refused() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    filled(&path, 3);
    drop(open(&path, &SledOptions::default()));
    std::fs::create_dir(path.join("snap.0000000000000001")).unwrap();
    assert!(damage(&path).0.contains("snap.0000000000000001: it is no file"));
    std::fs::remove_dir(path.join("snap.0000000000000001")).unwrap();
    std::fs::remove_file(path.join("mark")).unwrap();
    std::fs::create_dir(path.join("mark")).unwrap();
    let (what, report) = damage(&path);
    assert!(what.contains("mark: it is no file"), "{what}");
    assert_eq!(report.stored, None);
}

/// A change of what sled holds.
type Change<'a> = &'a dyn Fn(&::sled::Db, &::sled::Tree);

#[test]
fn what_is_told_of_a_damaged_log_is_how_far_it_is_intact() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let whole = directory.path().join("whole");
    let store = open(&whole, &SledOptions::default());
    // A frame for each, and pieces for the sixth.
    for revision in 0..9 {
        let len = if revision == 5 { 9000 } else { 3000 };
        append(&store, item(1, revision, &vec![6; len])).unwrap();
    }
    drop(store);
    let key = |first: u64| first.to_be_bytes().to_vec();
    let piece = |first: u64, number: u32| [key(first), number.to_be_bytes().to_vec()].concat();
    let cases: [(&str, u64, Change<'_>); 7] = [
        ("the record at offset 4 is missing", 3, &|_, log| {
            drop(log.remove(key(4)).unwrap());
        }),
        ("a frame has an unknown form", 2, &|_, log| {
            drop(log.insert(key(3), "?").unwrap());
        }),
        ("a frame ends within a record", 6, &|_, log| {
            let frame = log.get(key(7)).unwrap().unwrap();
            log.insert(key(7), &frame[..100]).unwrap();
        }),
        ("a piece of a large record has another form", 5, &|_, log| {
            drop(log.remove(piece(6, 2)).unwrap());
        }),
        ("does not match its leaf hash", 8, &|_, log| {
            let mut frame = log.get(key(9)).unwrap().unwrap().to_vec();
            *frame.last_mut().unwrap() ^= 1;
            log.insert(key(9), frame).unwrap();
        }),
        ("manifest", 9, &|db, _| drop(db.remove("manifest").unwrap())),
        ("its manifest has changed", 9, &|db, _| {
            drop(db.insert("manifest", "flowled?").unwrap());
        }),
    ];
    for (number, (told, intact, change)) in cases.into_iter().enumerate() {
        let path = directory.path().join(number.to_string());
        std::fs::create_dir(&path).unwrap();
        copy_files(&whole, &path);
        {
            let db = ::sled::open(&path).unwrap();
            change(&db, &db.open_tree("log").unwrap());
        }
        let refused = SledStore::open(&path, SledOptions::default()).err();
        let Some(StoreError::Damaged { what, report, .. }) = refused else {
            panic!("{told}: {refused:?}")
        };
        assert!(what.contains(told) || told == "manifest", "{what}");
        let Some(report) = report else { panic!("{what}") };
        assert_eq!(report.directory, path);
        assert_eq!(report.stored, Some(Offset::new(9)), "{what}");
        if told == "manifest" {
            // Without it nothing says that the rest is ours.
            assert_eq!(report.intact, None, "{what}");
        } else {
            assert_eq!(
                (report.intact, report.may_have_changed),
                (Some(Offset::new(intact)), true),
                "{what}"
            );
        }
    }
    // A mark that cannot be read proves nothing; the log behind it is told.
    std::fs::write(whole.join("mark"), vec![0; 8192]).unwrap();
    let (what, report) = damage(&whole);
    assert!(what.contains("neither of its two slots can be read"), "{what}");
    assert_eq!((report.stored, report.intact), (None, Some(Offset::new(9))));
}

/// sled's newest snapshot in a directory.
fn snapshot(path: &Path) -> u64 {
    let names = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name());
    let lsn = |name: std::ffi::OsString| u64::from_str_radix(name.to_str()?.strip_prefix("snap.")?, 16).ok();
    names.filter_map(lsn).max().unwrap_or(0)
}

#[test]
fn what_sled_overwrites_when_it_opens_is_known_before() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let [killed, closed, again] = ["killed", "closed", "again"].map(|name| directory.path().join(name));
    opened_once(&killed, &closed, 500);
    // With a snapshot behind which something was written.
    let store = open(&closed, &SledOptions::default());
    for revision in 500..800 {
        append(&store, item(1, revision, &[3; 2000])).unwrap();
    }
    std::fs::create_dir(&again).unwrap();
    copy_files(&closed, &again);
    drop(store);
    let mut overwritten = 0;
    for path in [killed, closed, again] {
        let whole = std::fs::read(path.join("db")).unwrap();
        let used = whole.iter().rposition(|&byte| byte != 0).unwrap();
        for number in 0..OPENINGS {
            let copy = tempfile::tempdir().unwrap();
            copy_files(&path, copy.path());
            let mut before = whole.clone();
            let at = number * used / OPENINGS + number * 7 % 1000;
            match number % 4 {
                0 => {}
                1 => before[at] ^= 1 << (number % 8),
                2 => before[at..(at + 4096).min(used)].fill(0),
                _ => before.truncate(at),
            }
            let file = copy.path().join("db");
            std::fs::write(&file, &before).unwrap();
            let mut opened = std::fs::File::open(&file).unwrap();
            let lsn = snapshot(copy.path());
            let doomed = super::tail::doomed(&mut opened, lsn).unwrap();
            let config = ::sled::Config::new().path(copy.path()).flush_every_ms(None);
            let is_open = std::thread::spawn(move || config.open().is_ok())
                .join()
                .unwrap_or(false);
            let after = std::fs::read(&file).unwrap();
            let begin = lsn / SEGMENT * SEGMENT;
            let (segments, stable) = super::tail::segments(&mut opened, begin).unwrap();
            let len = before.len().min(after.len());
            let range = |part: std::ops::Range<u64>| {
                let [from, to] = [part.start, part.end].map(|at| usize::try_from(at).unwrap().min(len));
                from..to
            };
            // Older segments may be free, and used anew; so may any of a file that is shorter than its snapshot knows.
            for &offset in segments.range(stable / SEGMENT * SEGMENT..).map(|(_, offset)| offset) {
                let within = doomed
                    .iter()
                    .find(|part| (offset..offset + SEGMENT).contains(&part.start));
                let kept = range(offset..within.map_or(offset + SEGMENT, |part| part.start));
                if number % 4 != 3 {
                    assert!(
                        before[kept.clone()] == after[kept.clone()],
                        "{number}: {kept:?} changes, {doomed:?}"
                    );
                }
            }
            let (mut all, mut left) = (0, 0);
            for part in doomed.into_iter().map(range) {
                let pairs = before[part.clone()]
                    .iter()
                    .zip(&after[part])
                    .filter(|(before, _)| **before != 0);
                for (before, after) in pairs {
                    all += 1;
                    left += usize::from(before == after);
                }
            }
            if is_open && all > 1000 {
                overwritten += 1;
                assert!(left * 10 < all, "{number}: {left} of {all} bytes are left");
            }
        }
    }
    assert!(overwritten > 3, "{overwritten}");
}

/// Damaged copies that are opened of one store.
const OPENINGS: usize = 32;

#[test]
#[ignore = "a measurement: prints what each group commit pays for looking whether its file is still in place"]
fn what_a_look_at_the_file_costs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let file = std::fs::File::create(&path).unwrap();
    let anchor = super::anchor::Anchor::of(&file, &path).unwrap();
    let mut runs: Vec<u128> = (0..7)
        .map(|_| {
            let begun = Instant::now();
            (0..10_000).for_each(|_| anchor.check().unwrap());
            begun.elapsed().as_nanos() / 10_000
        })
        .collect();
    runs.sort_unstable();
    println!("a look: {} ns (median of 7 runs, {} to {})", runs[3], runs[0], runs[6]);
}
