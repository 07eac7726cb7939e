//! What an engine says of its store: how far the log is proven, what is damaged and where, whether it takes commands.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use flowledger::{BlockingEngine, Engine, Proven, Span, VerifyReport, Witness};

use crate::fixture::{LINE, deployed, opened, started, turn_at_sled};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn on(path: &Path) -> BlockingEngine {
    opened(Engine::builder().data_dir(path))
}

fn verify(engine: &BlockingEngine) -> VerifyReport {
    engine.verify_log(|_| {}).expect("a report")
}

/// Waits until something holds.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < patience, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How far the mark on disk says that the log goes.
fn marked(path: &Path) -> u64 {
    let bytes = fs::read(path.join("mark")).expect("there is a mark");
    let number = |at: usize| {
        let number = bytes[at..at + 8].try_into().expect("eight bytes");
        u64::from_be_bytes(number)
    };
    let slot = if number(9) > number(4096 + 9) { 0 } else { 4096 };
    number(slot + 41)
}

/// Copies a store's files without its lock; those that are there already stay.
fn copy_rest(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_file() && !target.exists() {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn verification_says_how_far_the_log_is_proven_and_by_what() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let [path, killed] = ["store", "killed"].map(|name| directory.path().join(name));
    let engine = on(&path);
    assert_eq!(verify(&engine).proven, None, "nothing is there to be proven");
    let module = deployed(&engine, LINE);
    started(&engine, &module);
    let report = verify(&engine);
    let root = report.root.clone().expect("a root");
    let by_mark = |size, root: &str| {
        Some(Proven {
            size,
            by: Witness::Mark,
            root: root.to_owned(),
        })
    };
    assert_eq!((report.proven, report.unproven), (by_mark(4, &root), None));

    // As a kill leaves the store when the mark is behind.
    wait_until("the mark follows", || marked(&path) == 4);
    fs::create_dir(&killed).expect("a directory");
    fs::copy(path.join("mark"), killed.join("mark")).expect("copied");
    started(&engine, &module);
    started(&engine, &module);
    copy_rest(&path, &killed);
    drop(engine);
    let engine = on(&killed);
    let report = verify(&engine);
    assert_eq!((report.records, report.fault.as_ref()), (6, None));
    assert_eq!(report.unproven, Some(Span { from: 5, to: 6 }));
    // What comes after is proven by this process; of the two nobody knows whether more had followed.
    started(&engine, &module);
    let report = verify(&engine);
    let root = report.root.clone().expect("a root");
    assert_eq!(
        (report.proven, report.unproven),
        (by_mark(7, &root), Some(Span { from: 5, to: 6 }))
    );
    // A checkpoint proves them.
    let checkpoint = engine.checkpoint().expect("signed");
    started(&engine, &module);
    let report = verify(&engine);
    assert_eq!(report.unproven, None);
    drop(engine);

    // Without the mark only the checkpoint speaks for the log.
    fs::remove_file(killed.join("mark")).expect("removed");
    let options = flowledger::store::SledOptions {
        accept_missing_mark: true,
        ..Default::default()
    };
    let engine = opened(Engine::builder().data_dir_with(&killed, options));
    let report = verify(&engine);
    assert_eq!(report.unproven, Some(Span { from: 8, to: 8 }));
    assert!(
        report
            .checkpoints
            .iter()
            .all(|kept| kept.root == checkpoint.root && kept.continued)
    );
}

#[test]
fn a_log_in_memory_is_proven_by_its_checkpoints_only() {
    let engine = opened(Engine::builder());
    let module = deployed(&engine, LINE);
    let report = verify(&engine);
    assert_eq!((report.proven, report.unproven), (None, Some(Span { from: 1, to: 3 })));
    let checkpoint = engine.checkpoint().expect("signed");
    started(&engine, &module);
    let report = verify(&engine);
    let proven = Proven {
        size: 3,
        by: Witness::Checkpoint,
        root: checkpoint.root,
    };
    assert_eq!(
        (report.proven, report.unproven),
        (Some(proven), Some(Span { from: 4, to: 4 }))
    );
}

#[test]
fn verification_tells_how_far_it_has_come() {
    let engine = opened(Engine::builder());
    deployed(&engine, LINE);
    let mut told = Vec::new();
    engine
        .verify_log(|progress| told.push((progress.position, progress.of)))
        .expect("a report");
    assert_eq!(told, [(3, 3)]);
}
