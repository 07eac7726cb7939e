//! What an engine says of its store: how far the log is proven, what is damaged and where, whether it takes commands.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use flowledger::store::{
    Append, AppendError, Appended, BoxFuture, Counters, EventStore, Faults, Layout, Offset, Partition, Revision,
    SledOptions, Step, Store, StoreError, Stored, StreamId, leaf_hash,
};
use flowledger::{
    BackgroundVerification, BlockingEngine, CommitTaskParam, Damage, Engine, EngineError, FlowModuleId, Health,
    HealthFaultKind, HealthState, OnFault, Proven, RestoreOptions, RuntimeResult, Span, StartProcessParam,
    VerifyReport, Witness, restore,
};

use crate::fixture::{LINE, deployed, log, memory, opened, started, turn_at_sled, verified, without_hanging};

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
        thread::sleep(Duration::from_millis(5));
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
    let options = SledOptions {
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

/// Fails calls of one step while it is told to.
#[derive(Default)]
struct Failing {
    step: Mutex<Option<(Step, io::ErrorKind)>>,
    /// The step that does not return.
    stuck: Mutex<Option<Step>>,
    failed: AtomicU32,
}

impl Failing {
    fn fails(&self, step: Option<(Step, io::ErrorKind)>) {
        *self.step.lock().expect("not poisoned") = step;
    }

    fn stick(&self, step: Option<Step>) {
        *self.stuck.lock().expect("not poisoned") = step;
    }
}

impl Faults for Failing {
    fn before(&self, step: Step) -> io::Result<()> {
        while *self.stuck.lock().expect("not poisoned") == Some(step) {
            thread::sleep(Duration::from_millis(1));
        }
        match *self.step.lock().expect("not poisoned") {
            Some((failing, kind)) if failing == step => {
                self.failed.fetch_add(1, Ordering::SeqCst);
                Err(io::Error::new(kind, "fails on purpose"))
            }
            _ => Ok(()),
        }
    }
}

fn failing(path: &Path, faults: &Arc<Failing>) -> BlockingEngine {
    let options = SledOptions {
        faults: Some(faults.clone()),
        commit_limit: Duration::from_secs(1),
        ..SledOptions::default()
    };
    opened(Engine::builder().data_dir_with(path, options))
}

fn health(engine: &BlockingEngine) -> Health {
    engine.engine().health()
}

fn start(engine: &BlockingEngine, module: &FlowModuleId, id: &str) -> Result<RuntimeResult, EngineError> {
    engine.start_process(StartProcessParam::of_module(module.clone()).command_id(id))
}

/// Whether the error is that of a store that cannot be used, whatever code the operation has for it.
fn is_unavailable(error: &EngineError) -> bool {
    error.err_code() == 7008 || error.err_code_ext() == Some(7008)
}

#[test]
fn health_of_a_working_engine() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = on(&path);
    deployed(&engine, LINE);
    wait_until("the mark follows", || health(&engine).mark == Some(3));
    let found = health(&engine);
    assert_eq!(
        (
            found.state,
            found.why.as_ref(),
            found.last_fault.as_ref(),
            found.durable,
            found.pending
        ),
        (HealthState::Ready, None, None, 3, 0)
    );
    if cfg!(unix) {
        assert_eq!(found.holds_lock, Some(true));
    }
    let json = serde_json::to_value(&found).expect("health is JSON");
    assert_eq!(
        (&json["state"], &json["durable"], &json["mark"]),
        (&"ready".into(), &3.into(), &3.into())
    );
    assert!(json["since"].is_string() && json.get("why").is_none(), "{json}");
    engine.close().expect("closed");
    let found = health(&engine);
    assert_eq!(
        (found.state, found.last_fault, found.holds_lock),
        (HealthState::Closed, None, None)
    );
    let engine = opened(Engine::builder());
    deployed(&engine, LINE);
    assert_eq!(
        (health(&engine).state, health(&engine).durable),
        (HealthState::Ready, 3)
    );
    engine.close().expect("closed");
    assert_eq!(health(&engine).state, HealthState::Closed);
}

#[test]
fn a_full_disk_is_reopened_and_health_tells_the_story() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let faults = Arc::new(Failing::default());
    let engine = failing(&directory.path().join("store"), &faults);
    let module = deployed(&engine, LINE);
    let before = health(&engine);
    faults.fails(Some((Step::Apply, io::ErrorKind::StorageFull)));
    let error = start(&engine, &module, "one").expect_err("the disk is full");
    assert!(is_unavailable(&error) && error.about().command_id.is_some(), "{error}");
    // Somebody waits for the news instead of polling.
    let heard = without_hanging("health changes", {
        let engine = engine.clone();
        move || pollster::block_on(engine.engine().health_changed(before.changes, Duration::from_secs(60)))
    });
    assert!(heard.changes > before.changes);
    let fault = heard.last_fault.expect("the fault is told");
    assert_eq!((fault.kind, fault.err_code), (HealthFaultKind::Write, 7008));
    assert!(fault.what.contains("fails on purpose"), "{}", fault.what);
    faults.fails(None);
    wait_until("the store comes back by itself", || {
        health(&engine).state == HealthState::Ready
    });
    let after = health(&engine);
    assert!(after.why.is_none() && after.last_fault.is_some() && after.since != before.since);
    // The outcome was unknown: repeating it with its id does it once.
    let first = start(&engine, &module, "one").expect("done now");
    assert_eq!(start(&engine, &module, "one").expect("told again"), first);
    assert_eq!(verified(&engine), 4);
}

#[test]
fn a_failed_sync_or_a_stuck_disk_refuses_until_the_store_is_opened_again() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, kind) in [("sync", HealthFaultKind::Sync), ("stuck", HealthFaultKind::Stuck)] {
        let path = directory.path().join(name);
        let faults = Arc::new(Failing::default());
        let engine = failing(&path, &faults);
        let module = deployed(&engine, LINE);
        match kind {
            HealthFaultKind::Stuck => faults.stick(Some(Step::Flush)),
            _ => faults.fails(Some((Step::Sync, io::ErrorKind::Other))),
        }
        let error = start(&engine, &module, "one").expect_err("it is not confirmed");
        assert!(is_unavailable(&error) && error.about().command_id.is_some(), "{error}");
        let found = health(&engine);
        assert_eq!(found.state, HealthState::Refusing, "{found:?}");
        assert_eq!(found.last_fault.map(|fault| fault.kind), Some(kind));
        assert!(
            found
                .why
                .is_some_and(|why| why.contains("until the store is opened again"))
        );
        faults.fails(None);
        let error = start(&engine, &module, "two").expect_err("not before it is opened again");
        assert!(is_unavailable(&error), "{error}");
        assert_eq!(log(&engine).len(), 3, "queries go on, and show only what is durable");
        faults.stick(None);
        drop(engine);
        let engine = on(&path);
        let first = start(&engine, &module, "one").expect("done once");
        assert_eq!(start(&engine, &module, "one").expect("told again"), first);
        assert_eq!((verified(&engine), health(&engine).state), (4, HealthState::Ready));
    }
}

/// Deletes a store's directory, although the mark may just be written again.
fn delete(path: &Path) {
    wait_until("it is deleted", || fs::remove_dir_all(path).is_ok() || !path.exists());
}

/// What happens to a directory under a running store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mishap {
    Renamed,
    Deleted,
    /// Another store is put in its place.
    Replaced,
    /// Only the file is.
    FileReplaced,
}

#[cfg(unix)]
#[test]
fn nothing_is_acknowledged_into_a_directory_that_is_no_longer_there() {
    let _turn = turn_at_sled();
    for mishap in [Mishap::Renamed, Mishap::Deleted, Mishap::Replaced, Mishap::FileReplaced] {
        for is_idle in [false, true] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let [path, elsewhere, other] = ["store", "elsewhere", "other"].map(|name| directory.path().join(name));
            if mishap == Mishap::Replaced {
                drop(on(&other));
            }
            let engine = on(&path);
            let module = deployed(&engine, LINE);
            start(&engine, &module, "one").expect("acknowledged");
            match mishap {
                Mishap::Renamed => fs::rename(&path, &elsewhere).expect("renamed"),
                Mishap::Deleted => delete(&path),
                Mishap::Replaced => {
                    fs::rename(&path, &elsewhere).expect("renamed");
                    fs::rename(&other, &path).expect("renamed");
                }
                Mishap::FileReplaced => {
                    fs::copy(path.join("db"), path.join("copy")).expect("copied");
                    fs::rename(path.join("copy"), path.join("db")).expect("renamed");
                }
            }
            if is_idle {
                wait_until("it is noticed without a command", || {
                    health(&engine).state == HealthState::Refusing
                });
            }
            let error = start(&engine, &module, "two").expect_err("nobody would find it");
            assert!(is_unavailable(&error), "{mishap:?}: {error}");
            assert!(
                error.detail().contains("no longer where it was opened"),
                "{}",
                error.detail()
            );
            assert_eq!(
                error.about().command_id.as_ref().map(ToString::to_string).as_deref(),
                Some("two")
            );
            let found = health(&engine);
            assert_eq!(
                (found.state, found.holds_lock, found.last_fault.map(|fault| fault.kind)),
                (HealthState::Refusing, Some(false), Some(HealthFaultKind::Lost)),
                "{mishap:?}"
            );
            // What was acknowledged can still be read, and taken out.
            let records = log(&engine).len();
            assert!(records >= 4, "{mishap:?}");
            let (backup, rescued) = (directory.path().join("backup"), directory.path().join("rescued"));
            engine.backup(&backup, |_| {}).expect("a backup of what is open");
            restore(&backup, &rescued, &RestoreOptions::default(), |_| {}).expect("restored");
            assert_eq!(verified(&on(&rescued)), records, "{mishap:?}");
            assert!(engine.close().is_err());
            drop(engine);
            assert_eq!(
                path.exists(),
                matches!(mishap, Mishap::Replaced | Mishap::FileReplaced),
                "{mishap:?}"
            );
            match mishap {
                Mishap::Renamed => assert!(verified(&on(&elsewhere)) >= 4),
                Mishap::Replaced => {
                    assert!(verified(&on(&elsewhere)) >= 4);
                    assert_eq!(verified(&on(&path)), 0, "the store in its place is as it was");
                }
                Mishap::Deleted | Mishap::FileReplaced => {}
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_write_error_in_a_directory_that_is_gone_opens_no_other_store() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let faults = Arc::new(Failing::default());
    let engine = failing(&path, &faults);
    let module = deployed(&engine, LINE);
    delete(&path);
    faults.fails(Some((Step::Apply, io::ErrorKind::StorageFull)));
    let error = start(&engine, &module, "one").expect_err("the disk is full, and the directory gone");
    assert!(is_unavailable(&error), "{error}");
    wait_until("it gives up", || health(&engine).state == HealthState::Refusing);
    assert_eq!(
        health(&engine).last_fault.map(|fault| fault.kind),
        Some(HealthFaultKind::Lost)
    );
    drop(engine);
    assert!(!path.exists(), "nothing is created in its place");
}

#[test]
fn a_mark_that_is_deleted_under_a_running_store_is_written_again() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = on(&path);
    let module = deployed(&engine, LINE);
    wait_until("the mark follows", || marked(&path) == 3);
    fs::remove_file(path.join("mark")).expect("deleted");
    started(&engine, &module);
    wait_until("there is a mark again", || path.join("mark").exists());
    drop(engine);
    let engine = on(&path);
    assert_eq!(verified(&engine), 4);
}

#[test]
fn records_that_wait_are_counted() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let faults = Arc::new(Failing::default());
    let engine = failing(&path, &faults);
    let module = deployed(&engine, LINE);
    let (instance, task) = started(&engine, &module);
    let is_answered = AtomicBool::new(false);
    faults.stick(Some(Step::Sync));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = engine.commit_task(CommitTaskParam::new(&instance, &task));
            is_answered.store(true, Ordering::SeqCst);
        });
        wait_until("one record waits", || health(&engine).pending == 1);
        faults.stick(None);
    });
    assert!(is_answered.load(Ordering::SeqCst));
    assert_eq!(health(&engine).pending, 0);
}

fn refusal(path: &Path) -> (EngineError, Damage) {
    let error = Engine::builder().data_dir(path).open().err().expect("it is damaged");
    assert_eq!(error.err_code(), 7800, "{error}");
    let damage = error.about().damage.as_deref().cloned().expect("it is reported");
    assert_eq!(damage.directory, path.display().to_string());
    (error, damage)
}

#[test]
fn a_damaged_store_is_reported_with_what_is_known_of_it() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let [path, cut, killed] = ["store", "cut", "killed"].map(|name| directory.path().join(name));
    let engine = on(&path);
    let module = deployed(&engine, LINE);
    for number in 0..40 {
        start(&engine, &module, &number.to_string()).expect("started");
    }
    wait_until("the mark follows", || health(&engine).mark == Some(43));
    copy_rest(&path, &killed);
    let last = log(&engine).pop().expect("a record").leaf;
    drop(engine);
    copy_rest(&path, &cut);

    // Its end is missing: that is seen before anything is changed.
    let whole = fs::read(cut.join("db")).expect("read");
    let end = whole.windows(32).position(|bytes| bytes == last).expect("it is there");
    fs::write(cut.join("db"), &whole[..end]).expect("written");
    let (error, damage) = refusal(&cut);
    assert_eq!(
        (damage.stored, damage.intact, damage.may_have_changed),
        (Some(43), None, false)
    );
    assert_eq!(damage.place, cut.join("db").display().to_string());
    assert!(error.detail().contains("position 43 had been stored") && error.detail().contains("nothing was changed"));
    let json = serde_json::to_value(error.envelope()).expect("an error is JSON");
    assert_eq!(
        (&json["errCode"], &json["damage"]["stored"]),
        (&7800.into(), &43.into()),
        "{json}"
    );
    assert_eq!(fs::read(cut.join("db")).expect("read").len(), end);

    // A bit of a store that was killed: sled panics, or drops what follows. Some bits nobody needs any more.
    let whole = fs::read(killed.join("db")).expect("read");
    let used = whole.iter().rposition(|&byte| byte != 0).expect("it is not empty");
    let mut refused = 0;
    for part in 1..12 {
        let path = directory.path().join(part.to_string());
        copy_rest(&killed, &path);
        let mut flipped = whole.clone();
        flipped[used / 12 * part] ^= 1;
        fs::write(path.join("db"), flipped).expect("written");
        match Engine::builder().data_dir(&path).open() {
            Ok(engine) => assert_eq!(verified(&engine.blocking()), 43),
            Err(error) => {
                refused += 1;
                let damage = error.about().damage.as_deref().expect("it is reported");
                assert_eq!((error.err_code(), damage.stored), (7800, Some(43)), "{error}");
                assert!(damage.intact.is_none_or(|intact| intact < 43), "{damage:?}");
                let told = if damage.may_have_changed {
                    "work on that one"
                } else {
                    "nothing was changed"
                };
                assert!(error.detail().contains(told), "{}", error.detail());
            }
        }
    }
    assert!(refused > 0, "none of the damage was met");
}

#[test]
fn damaged_files_of_proofs_keep_nobody_from_the_log() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = on(&path);
    let module = deployed(&engine, LINE);
    engine.checkpoint().expect("signed");
    drop(engine);
    let key = fs::read(path.join("log.key")).expect("a key");
    for (file, code) in [("checkpoint", 7800), ("log.key", 7007)] {
        let good = fs::read(path.join(file)).expect("read");
        fs::write(path.join(file), "not what it was\n").expect("written");
        let engine = on(&path);
        started(&engine, &module);
        let error = engine.checkpoint().expect_err("nothing is signed");
        assert_eq!(error.err_code(), code, "{error}");
        assert!(error.detail().contains(file), "{}", error.detail());
        let fault = verify(&engine).fault.expect("it is told");
        assert!(fault.what.contains(file), "{}", fault.what);
        drop(engine);
        fs::write(path.join(file), good).expect("written");
    }
    assert_eq!(fs::read(path.join("log.key")).expect("a key"), key);
    let engine = on(&path);
    assert_eq!(verify(&engine).fault, None);
    engine.checkpoint().expect("signed");
}

/// What becomes of a stored record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rot {
    #[default]
    Sound,
    /// A bit of its bytes changes.
    Flipped(u64),
    /// It is rewritten together with its hash.
    Rewritten(u64),
    /// It is one of a newer release, with its hash.
    Newer(u64),
    /// It cannot be read.
    Unreadable(u64),
    /// It is missing, and all behind it.
    Cut(u64),
    /// Nothing can be read for the moment.
    Away,
}

/// A store whose records rot.
struct Rotting {
    inner: Store,
    rot: Mutex<Rot>,
    reads: AtomicU32,
}

impl Rotting {
    fn rots(&self, rot: Rot) {
        *self.rot.lock().expect("not poisoned") = rot;
    }
}

impl EventStore for Rotting {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        self.inner.events.append(items)
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        self.inner.events.read_stream(stream, after, max)
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let mut records = self.inner.events.read_partition(partition, after, max).await?;
            let rot = *self.rot.lock().expect("not poisoned");
            if rot == Rot::Away {
                let why = "it reopens".to_owned();
                return Err(StoreError::Unavailable { why });
            }
            if let Rot::Cut(at) = rot {
                records.retain(|stored| stored.offset.get() < at);
            }
            for stored in &mut records {
                let at = stored.offset.get();
                let mut bytes = stored.record.to_vec();
                if rot == Rot::Flipped(at) {
                    bytes[10] ^= 1;
                } else if rot == Rot::Rewritten(at) {
                    let place = bytes.windows(5).position(|word| word == b"check").expect("a task");
                    bytes[place..place + 5].copy_from_slice(b"cheat");
                    stored.leaf = leaf_hash(&bytes);
                } else if rot == Rot::Newer(at) {
                    bytes[1] = 23;
                    stored.leaf = leaf_hash(&bytes);
                } else if rot == Rot::Unreadable(at) {
                    return Err(StoreError::damaged(format!("record {at}"), "it cannot be read"));
                }
                stored.record = bytes.into();
            }
            Ok(records)
        })
    }

    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.events.changed(partition, after, wait)
    }

    fn layout(&self) -> &Layout {
        self.inner.events.layout()
    }

    fn head(&self, partition: Partition) -> Offset {
        self.inner.events.head(partition)
    }

    fn counters(&self) -> Counters {
        self.inner.events.counters()
    }

    fn health(&self) -> flowledger::store::Health {
        self.inner.events.health()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.events.close()
    }
}

/// An engine that verifies as fast as it may, over records that rot.
fn verifying(on_fault: OnFault) -> (Arc<Rotting>, BlockingEngine) {
    let inner = memory();
    let index = inner.index.clone();
    let rotting = Arc::new(Rotting {
        inner,
        rot: Mutex::default(),
        reads: AtomicU32::new(0),
    });
    let store = Store {
        events: rotting.clone(),
        index,
    };
    let settings = BackgroundVerification {
        records_per_second: 100_000,
        round: Duration::ZERO,
        on_fault,
    };
    (
        rotting,
        opened(Engine::builder().store(store).verify_in_background(settings)),
    )
}

fn rounds(engine: &BlockingEngine) -> u64 {
    health(engine).verification.expect("it verifies").rounds
}

#[test]
fn a_fault_found_in_the_background_stops_commands_unless_chosen_otherwise() {
    let rots = [Rot::Flipped(2), Rot::Rewritten(2), Rot::Unreadable(2), Rot::Cut(2)];
    for (rot, on_fault) in rots
        .into_iter()
        .flat_map(|rot| [(rot, OnFault::Refuse), (rot, OnFault::GoOn)])
    {
        let (store, engine) = verifying(on_fault);
        let module = deployed(&engine, LINE);
        let first = start(&engine, &module, "one").expect("started");
        if matches!(rot, Rot::Rewritten(_)) {
            // Only a checkpoint tells that a record was rewritten with its hash.
            engine.checkpoint().expect("signed");
        }
        let seen = rounds(&engine);
        wait_until("it goes round and round", || rounds(&engine) > seen + 2);
        let before = health(&engine);
        assert_eq!((before.state, before.last_fault.as_ref()), (HealthState::Ready, None));
        assert_eq!(
            before.verification.as_ref().map(|verification| verification.of),
            Some(4)
        );

        store.rots(rot);
        let found = without_hanging("the fault is heard of", {
            let engine = engine.clone();
            move || {
                let mut health = before;
                while health.last_fault.is_none() {
                    let waited = engine.engine().health_changed(health.changes, Duration::from_secs(60));
                    health = pollster::block_on(waited);
                }
                health
            }
        });
        let fault = found.last_fault.expect("the fault");
        assert_eq!((fault.kind, fault.err_code), (HealthFaultKind::Damage, 7800), "{rot:?}");
        let at = found
            .verification
            .and_then(|verification| verification.fault)
            .expect("its place");
        assert_eq!(
            at.position,
            if matches!(rot, Rot::Rewritten(_)) { 4 } else { 2 },
            "{rot:?}: {}",
            at.what
        );
        let next = start(&engine, &module, "two");
        if on_fault == OnFault::Refuse {
            assert_eq!(found.state, HealthState::Refusing);
            let error = next.expect_err("nothing is acknowledged onto a broken log");
            assert_eq!(error.err_code(), 7800, "{error}");
            assert!(
                error.detail().contains(&format!("position {}", at.position)),
                "{}",
                error.detail()
            );
            assert_eq!(store.head(0).get(), 4);
        } else {
            assert_eq!((found.state, found.why), (HealthState::Ready, None));
            next.expect("commands go on");
        }
        // What was answered is answered again; queries go on.
        assert_eq!(start(&engine, &module, "one").expect("told again"), first);
        let instance = first.flow_instance_id.expect("an instance");
        engine.get_history_element_list(&instance).expect("told");
    }
}

#[test]
fn a_store_that_cannot_be_read_for_a_moment_is_no_fault() {
    let (store, engine) = verifying(OnFault::Refuse);
    deployed(&engine, LINE);
    wait_until("it verifies", || rounds(&engine) > 1);
    store.rots(Rot::Away);
    let seen = store.reads.load(Ordering::SeqCst);
    wait_until("it has tried", || store.reads.load(Ordering::SeqCst) > seen + 1);
    assert_eq!(
        (health(&engine).state, health(&engine).last_fault),
        (HealthState::Ready, None)
    );
    store.rots(Rot::Sound);
    let seen = rounds(&engine);
    wait_until("it goes on", || rounds(&engine) > seen);
}

#[test]
fn a_record_of_a_newer_release_is_no_damage_to_the_verification_in_the_background() {
    let (store, engine) = verifying(OnFault::Refuse);
    let module = deployed(&engine, LINE);
    store.rots(Rot::Newer(2));
    let seen = rounds(&engine);
    wait_until("it goes on", || rounds(&engine) > seen + 2);
    assert_eq!(health(&engine).last_fault, None);
    start(&engine, &module, "one").expect("commands go on");
    assert_eq!(
        verify(&engine).fault.map(|fault| fault.position),
        Some(2),
        "who asks is told"
    );
}

#[test]
fn background_verification_is_gentle_on_a_directory_and_off_elsewhere() {
    let _turn = turn_at_sled();
    assert_eq!(health(&opened(Engine::builder())).verification, None);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = on(directory.path());
    deployed(&engine, LINE);
    wait_until("the first round ends", || rounds(&engine) == 1);
    let found = health(&engine).verification.expect("it verifies");
    assert!(found.verified_at.is_some() && found.fault.is_none(), "{found:?}");
    drop(engine);
    let off = Engine::builder()
        .data_dir(directory.path())
        .verify_in_background(BackgroundVerification::off());
    assert_eq!(health(&opened(off)).verification, None);
}
