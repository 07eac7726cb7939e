//! Exports, backups, and the stores made from them or from what a damaged one still holds.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use flowledger::store::{SignedCheckpoint, SledOptions};
use flowledger::{
    BlockingEngine, CommitTaskParam, Engine, EngineError, FlowModuleId, RestoreOptions, RestoreReport, SalvageOptions,
    Span, StartProcessParam, StateCertificate, import, restore, salvage,
};
use flowledger_tests::dice::Dice;
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::Profile;

use crate::fixture::{LINE, deployed, instance_and_task, log, opened, started, turn_at_sled, verified};

fn certificate(engine: &BlockingEngine) -> StateCertificate {
    engine.certify(None, |_| {}).expect("certified")
}

fn exported(engine: &BlockingEngine) -> String {
    let mut lines = Vec::new();
    engine.export(&mut lines, |_| {}).expect("exported");
    String::from_utf8(lines).expect("an export is text")
}

fn on(path: &Path) -> BlockingEngine {
    opened(Engine::builder().data_dir(path))
}

fn imported(text: &str, target: &Path, options: &RestoreOptions) -> Result<RestoreReport, EngineError> {
    import(text.as_bytes(), target, options, |_| {})
}

/// Everything in a directory, to see that nothing is left there and nothing is changed.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).expect("the directory can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
            found.insert(path, Vec::new());
        } else {
            let bytes = fs::read(&path).expect("the file can be read");
            found.insert(path, bytes);
        }
    }
    found
}

/// Starts and commits on a module.
fn work(engine: &BlockingEngine, module: &FlowModuleId, instances: usize) {
    for number in 0..instances {
        let (instance, task) = started(engine, module);
        let commit = CommitTaskParam::new(&instance, &task).variable("number", i64::try_from(number).expect("small"));
        engine.commit_task(commit).expect("committed");
    }
}

#[test]
fn store_made_from_an_export_or_a_backup_is_the_same_log() {
    let _turn = turn_at_sled();
    for (name, profile, own_ids) in KINDS {
        let engine = told(profile, own_ids);
        let directory = tempfile::tempdir().expect("a directory");
        let (target, file) = (directory.path().join("imported"), directory.path().join("backup"));
        let text = exported(&engine);
        let report = imported(&text, &target, &RestoreOptions::default()).expect("imported");
        let certified = certificate(&engine);
        assert!(report.is_same_log && report.missing.is_none(), "{report:?}");
        assert_eq!(
            (report.records, &report.root),
            (certified.size, &certified.root),
            "{name}"
        );
        let again = on(&target);
        assert_eq!(certificate(&again), certified, "{name}");
        assert_eq!(exported(&again), text, "{name}: the export of the import is the export");
        verified(&again);
        let backed_up = again.backup(&file, |_| {}).expect("backed up");
        assert_eq!((backed_up.records, &backed_up.root), (certified.size, &certified.root));
        again.close().expect("closed");

        let target = directory.path().join("restored");
        let restored = restore(&file, &target, &RestoreOptions::default(), |_| {}).expect("restored");
        assert_eq!(restored, report, "{name}");
        let again = on(&target);
        assert_eq!(exported(&again), text, "{name}");
        again.close().expect("closed");

        let looked_into = opened(Engine::builder().copy(&file));
        assert_eq!(exported(&looked_into), text, "{name}");
    }
}

#[test]
fn store_made_from_a_copy_goes_on_with_key_checkpoints_and_commands() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let engine = on(&path("first"));
    let module = deployed(&engine, LINE);
    work(&engine, &module, 5);
    let (instance, task) = started(&engine, &module);
    let commit = CommitTaskParam::new(&instance, &task).command_id("once");
    let answer = engine.commit_task(commit.clone()).expect("committed");
    let key = engine.public_key().expect("a key").parse().expect("a public key");
    let receipt = engine.receipt(3).expect("a receipt");
    let checkpoint = engine.checkpoint().expect("a checkpoint");
    engine.backup(path("backup"), |_| {}).expect("backed up");
    engine.close().expect("closed");

    let signed = SignedCheckpoint::parse(checkpoint.note.as_bytes()).expect("a checkpoint");
    let options = RestoreOptions {
        against: vec![signed.clone()],
        key: Some(key),
        ..RestoreOptions::default()
    };
    let report = restore(path("backup"), path("second"), &options, |_| {}).expect("restored");
    assert!(report.are_signatures_checked && report.checkpoints.iter().all(|checkpoint| checkpoint.continued));
    let second = on(&path("second"));
    let refused = second.checkpoint().expect_err("the key is not in a backup");
    assert_eq!(refused.err_code(), 7007, "{refused}");
    second.close().expect("closed");
    fs::copy(path("first").join("log.key"), path("second").join("log.key")).expect("copied");
    let second = on(&path("second"));
    // A command that was answered before is answered again, and not done twice.
    assert_eq!(second.commit_task(commit).expect("repeated"), answer);
    assert_eq!(second.receipt(3).expect("a receipt").record, receipt.record);
    work(&second, &module, 1);
    let growth = second.growth(signed.checkpoint().size).expect("it has only grown");
    assert!(growth.size > signed.checkpoint().size);
    verified(&second);
}

#[test]
fn copy_that_is_looked_into_answers_queries_and_takes_no_command() {
    let engine = opened(Engine::builder().in_memory());
    let module = deployed(&engine, LINE);
    let (instance, task) = started(&engine, &module);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("export.jsonl");
    fs::write(&file, exported(&engine)).expect("written");
    let copy = opened(Engine::builder().copy(&file));
    let told = |engine: &BlockingEngine| {
        let elements = engine.get_history_element_list(&instance).expect("a history");
        serde_json::to_string(&elements).expect("JSON")
    };
    assert_eq!(told(&copy), told(&engine));
    let refused = copy
        .commit_task(CommitTaskParam::new(&instance, &task))
        .expect_err("a copy takes no command");
    assert_eq!(refused.err_code(), 7008);
    assert!(refused.detail().contains("is a copy"), "{refused}");
    // A key of its own would sign another log under this one's name.
    let refused = copy.checkpoint().expect_err("the key is not in a copy");
    assert_eq!(refused.err_code(), 7007, "{refused}");
    let none = Engine::builder().copy(&file).signing_key(directory.path().join("none"));
    assert_eq!(opened(none).public_key().expect_err("no key").err_code(), 7007);
    assert_eq!(log(&copy).len(), log(&engine).len());
}

#[test]
fn export_that_was_changed_is_refused() {
    let _turn = turn_at_sled();
    let engine = opened(Engine::builder().in_memory());
    let module = deployed(&engine, LINE);
    work(&engine, &module, 3);
    let text = exported(&engine);
    let lines: Vec<&str> = text.lines().collect();
    let directory = tempfile::tempdir().expect("a directory");
    let target = directory.path().join("store");
    let mut tried = 0;
    let mut refused = |lines: &[String], code: i32, says: &str| {
        let text = lines
            .iter()
            .fold(String::new(), |text, line| text + line.as_str() + "\n");
        let error = imported(&text, &target, &RestoreOptions::default()).expect_err(says);
        assert_eq!(error.err_code(), code, "{says}: {error}");
        assert!(error.detail().contains(says), "{says}: {error}");
        assert!(files(directory.path()).is_empty(), "{says}: something is left");
        tried += 1;
    };
    let whole: Vec<String> = lines.iter().map(ToString::to_string).collect();
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = whole.clone();
        change(&mut lines);
        lines
    };
    let replace = |line: usize, from: &str, to: &str| {
        with(&|lines| {
            assert!(lines[line].contains(from), "{from}");
            lines[line] = lines[line].replacen(from, to, 1);
        })
    };
    let last = whole.len() - 1;
    refused(&[], 2001, "it has no line");
    refused(&["{}".to_owned()], 2001, "no export");
    refused(&["flowback".to_owned()], 2001, "this is a backup");
    refused(
        &replace(0, "\"flowledgerExport\":1", "\"flowledgerExport\":2"),
        7803,
        "form 2",
    );
    refused(&replace(0, "sha256", "sha3"), 7800, "hash");
    refused(&replace(0, "\"recordMax\":", "\"recordMax\":9999"), 7800, "recordMax");
    refused(&replace(0, "\"size\":", "\"size\":1"), 7800, "");
    refused(
        &replace(4, "\"record\":{", "\"record\":{\"note\":\"all was well\","),
        7800,
        "readable form",
    );
    refused(&replace(4, "\"envelope\"", "\"enveloqe\""), 7800, "readable form");
    refused(
        &replace(4, "\"position\":4", "\"position\":5"),
        7800,
        "it says position 5",
    );
    refused(
        &replace(4, "\"position\":4", "\"position\":4,\"approved\":true"),
        7800,
        "unknown field",
    );
    refused(&replace(4, "\"leaf\":\"", "\"leaf\":\"0"), 7800, "`leaf`");
    refused(&replace(4, "\"bytes\":\"", "\"bytes\":\"A"), 7800, "`bytes`");
    refused(&with(&|lines| lines.swap(4, 5)), 7800, "it says position");
    refused(&with(&|lines| drop(lines.remove(4))), 7800, "it says position");
    refused(
        &with(&|lines| lines.insert(4, lines[4].clone())),
        7800,
        "it says position",
    );
    refused(
        &with(&|lines| lines.push("{}".to_owned())),
        7800,
        "behind its last line",
    );
    refused(&replace(last, "\"root\":\"", "\"root\":\"0"), 7800, "`root`");
    refused(&replace(last, "\"records\":", "\"records\":1"), 7800, "root");
    for end in 1..whole.len() {
        refused(&whole[..end], 7800, "the export ends after");
    }
    assert!(tried > 25);
    // One record left out, and everything else made to fit: only the stream's next version tells.
    let mut fewer = whole.clone();
    drop(fewer.remove(4));
    for (number, line) in fewer.iter_mut().enumerate().skip(4) {
        *line = line.replacen(
            &format!("\"position\":{}", number + 1),
            &format!("\"position\":{number}"),
            1,
        );
    }
    let size = last - 1;
    fewer[0] = fewer[0].replacen(&format!("\"size\":{size}"), &format!("\"size\":{}", size - 1), 1);
    let text = fewer.join("\n");
    let error = imported(&text, &target, &RestoreOptions::default()).expect_err("a version is missing");
    assert!(error.detail().contains("follows version"), "{error}");
    assert!(files(directory.path()).is_empty());
}

#[test]
fn no_changed_or_cut_byte_of_a_copy_goes_unnoticed() {
    let engine = opened(Engine::builder().in_memory());
    let module = deployed(&engine, LINE);
    work(&engine, &module, 2);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("copy");
    engine.backup(&file, |_| {}).expect("backed up");
    let backup = fs::read(&file).expect("read");
    let export = exported(&engine).into_bytes();
    let records = log(&engine);
    let mut dice = Dice::of(0xc0b1, 0);
    for whole in [backup, export] {
        for cut in 0..whole.len() - 1 {
            fs::write(&file, &whole[..cut]).expect("written");
            let error = Engine::builder().copy(&file).open().err().expect("a cut copy");
            assert!([2001, 7800].contains(&error.err_code()), "cut at {cut}: {error}");
            if cut > 64 && dice.below(8) != 0 {
                continue;
            }
            let mut changed = whole.clone();
            let place = dice.index(changed.len());
            changed[place] ^= 1 << dice.below(8);
            fs::write(&file, &changed).expect("written");
            match Engine::builder().copy(&file).open() {
                Err(error) => assert!([2001, 7800, 7803].contains(&error.err_code()), "at {place}: {error}"),
                // What an export says of the log it is of is not hashed; the records are.
                Ok(engine) => {
                    assert!(changed.starts_with(b"{"), "byte {place} of a backup");
                    let read = log(&engine.blocking());
                    assert!(
                        read.iter()
                            .map(|record| &record.bytes)
                            .eq(records.iter().map(|record| &record.bytes))
                    );
                }
            }
        }
    }
}

#[test]
fn backups_are_made_while_commands_go_on() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory");
    let engine = on(&directory.path().join("store"));
    let module = deployed(&engine, LINE);
    let is_over = AtomicBool::new(false);
    let backups = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    work(&engine, &module, 1);
                }
            });
        }
        let mut backups = Vec::new();
        while backups.len() < 12 || engine.engine().counters().records < 2_000 {
            let file = directory.path().join(format!("backup-{}", backups.len()));
            let report = engine.backup(&file, |_| {}).expect("backed up");
            backups.push((file, report));
        }
        is_over.store(true, Ordering::Relaxed);
        backups
    });
    let mut last = 0;
    for (file, report) in &backups {
        assert!(report.records >= last, "a later backup has no fewer records");
        last = report.records;
        let certified = engine.certify(Some(report.records), |_| {}).expect("certified");
        assert_eq!(certified.root, report.root);
        let copy = opened(Engine::builder().copy(file));
        assert_eq!(certificate(&copy), certified);
    }
    assert!(last > 1_000, "commands went on: {last}");
}

/// A store of two checkpoints, closed; a backup from before the second one; and both checkpoints.
fn grown(directory: &Path) -> (PathBuf, PathBuf, [SignedCheckpoint; 2]) {
    let (store, backup) = (directory.join("store"), directory.join("backup"));
    let engine = on(&store);
    let module = deployed(&engine, LINE);
    let checkpoint = || {
        let note = engine.checkpoint().expect("a checkpoint").note;
        SignedCheckpoint::parse(note.as_bytes()).expect("a checkpoint")
    };
    work(&engine, &module, 3);
    let first = checkpoint();
    engine.backup(&backup, |_| {}).expect("backed up");
    work(&engine, &module, 2);
    let second = checkpoint();
    engine.close().expect("closed");
    (store, backup, [first, second])
}

fn against(checkpoint: &SignedCheckpoint, accept_loss: bool) -> RestoreOptions {
    RestoreOptions {
        against: vec![checkpoint.clone()],
        accept_loss,
        ..RestoreOptions::default()
    }
}

#[test]
fn restore_says_which_records_are_missing_and_begins_a_new_log_without_them() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory");
    let (_, backup, [first, second]) = grown(directory.path());
    let target = directory.path().join("target");
    let before = files(directory.path());
    let error = restore(&backup, &target, &against(&second, false), |_| {}).expect_err("records are missing");
    assert_eq!(error.err_code(), 7800);
    assert!(error.detail().contains("records 10 to 13 are missing"), "{error}");
    assert_eq!(files(directory.path()), before, "nothing is made");

    let report = restore(&backup, &target, &against(&first, false), |_| {}).expect("restored");
    assert!(report.is_same_log, "{report:?}");
    fs::remove_dir_all(&target).expect("removed");

    let report = restore(&backup, &target, &against(&second, true), |_| {}).expect("restored");
    assert!(!report.is_same_log);
    assert_eq!(report.missing, Some(Span { from: 10, to: 13 }));
    let engine = on(&target);
    let note = engine.checkpoint().expect("a new log signs").note;
    let new = SignedCheckpoint::parse(note.as_bytes()).expect("a checkpoint");
    assert_eq!(
        new.checkpoint().root,
        first.checkpoint().root,
        "it has the same records"
    );
    assert_ne!(new.checkpoint().origin, first.checkpoint().origin, "but another name");
    engine.close().expect("closed");
}

#[test]
fn restore_refuses_what_contradicts_a_checkpoint_or_belongs_elsewhere() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory");
    let (_, backup, [first, _]) = grown(directory.path());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (other_store, other_backup, [other, _]) = grown(elsewhere.path());
    let target = directory.path().join("target");
    let refused = |backup: &Path, options: &RestoreOptions, says: &str| {
        let error = restore(backup, &target, options, |_| {}).expect_err(says);
        assert!(error.detail().contains(says), "{says}: {error}");
        assert!(!target.exists(), "{says}");
    };
    refused(&backup, &against(&other, true), "is one of the log");
    let other_key = on(&other_store).public_key().expect("a key").parse().expect("a key");
    let options = RestoreOptions {
        key: Some(other_key),
        ..RestoreOptions::default()
    };
    refused(&backup, &options, "is not one of this log");
    refused(
        &directory.path().join("none"),
        &RestoreOptions::default(),
        "opening the backup",
    );
    fs::write(directory.path().join("text"), "{\"a\":1}").expect("written");
    refused(&directory.path().join("text"), &RestoreOptions::default(), "log import");

    // Another log under this one's name: what was signed is not what it holds.
    let forged = directory.path().join("forged.jsonl");
    let ours = opened(Engine::builder().copy(&backup));
    let theirs = opened(Engine::builder().copy(&other_backup));
    let [ours, theirs] = [exported(&ours), exported(&theirs)];
    let head = ours.lines().next().expect("a first line");
    let rest = theirs.split_once('\n').expect("lines").1;
    fs::write(&forged, format!("{head}\n{rest}")).expect("written");
    for accept_loss in [false, true] {
        let text = fs::read_to_string(&forged).expect("read");
        let error = imported(&text, &target, &against(&first, accept_loss)).expect_err("another history");
        assert!(error.detail().contains("they lead to another root now"), "{error}");
        assert!(!target.exists());
    }

    // Nothing is put over what is there.
    fs::create_dir(&target).expect("made");
    restore(&backup, &target, &RestoreOptions::default(), |_| {}).expect("an empty directory is fine");
    let error = restore(&backup, &target, &RestoreOptions::default(), |_| {}).expect_err("it is full now");
    assert_eq!(error.err_code(), 2001, "{error}");
    let error = restore(&backup, &backup, &RestoreOptions::default(), |_| {}).expect_err("a file is in the way");
    assert_eq!(error.err_code(), 2001, "{error}");
}

#[test]
fn copy_of_a_log_that_is_not_what_was_signed_is_not_made() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory");
    let (store, backup, _) = grown(directory.path());
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (other, ..) = grown(elsewhere.path());
    // Checkpoint and key of this log beside the records of another one.
    for name in ["checkpoint", "log.key"] {
        fs::copy(store.join(name), other.join(name)).expect("copied");
    }
    let engine = on(&other);
    let kept = fs::read(&backup).expect("read");
    let error = engine
        .backup(&backup, |_| {})
        .expect_err("it contradicts its checkpoint");
    assert_eq!(error.err_code(), 7800, "{error}");
    assert_eq!(fs::read(&backup).expect("read"), kept, "the backup before stays");
    let mut lines = Vec::new();
    engine
        .export(&mut lines, |_| {})
        .expect_err("it contradicts its checkpoint");
    let target = directory.path().join("target");
    let text = String::from_utf8(lines).expect("text");
    imported(&text, &target, &RestoreOptions::default()).expect_err("what was written of it is no export");
    let left: Vec<_> = fs::read_dir(directory.path())
        .expect("read")
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter(|name| name.contains("flowledger-backup"))
        .collect();
    assert_eq!(left, Vec::<String>::new(), "nothing half made is left");
}

/// Takes so many bytes, then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0 -= bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn writer_that_fails_is_told() {
    let engine = told(Profile::Documented, false);
    let len = exported(&engine).len();
    for room in (0..len).step_by(len / 20) {
        let error = engine.export(Full(room), |_| {}).expect_err("it is full");
        assert_eq!(error.err_code(), 7008, "{error}");
    }
    let nowhere = Path::new("no such directory").join("backup");
    assert_eq!(
        engine.backup(nowhere, |_| {}).expect_err("no directory").err_code(),
        7008
    );
}

/// A closed store of some hundred records; its export.
fn long_store(path: &Path) -> String {
    let engine = on(path);
    let module = deployed(&engine, LINE);
    for number in 0..200_i64 {
        let start = StartProcessParam::of_module(module.clone()).variable("number", number);
        let (instance, task) = instance_and_task(&engine.start_process(start).expect("started"));
        let text = format!("a text that takes some room, {number}").repeat(8);
        engine
            .commit_task(CommitTaskParam::new(&instance, &task).variable("text", text.as_str()))
            .expect("committed");
    }
    let text = exported(&engine);
    engine.close().expect("closed");
    text
}

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("read") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copied(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

#[test]
fn salvage_takes_what_is_good_and_tells_what_is_lost() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory");
    let whole = directory.path().join("whole");
    let export = long_store(&whole);
    let lines: Vec<&str> = export.lines().collect();
    let records = lines.len() as u64 - 2;
    let mut dice = Dice::of(0x5a1, 0);
    let (mut partial, mut total, mut nothing) = (0, 0, 0);
    for round in 0..60 {
        let damaged = directory.path().join(format!("damaged-{round}"));
        let target = directory.path().join(format!("rescued-{round}"));
        copied(&whole, &damaged);
        let file = damaged.join("db");
        let mut bytes = fs::read(&file).expect("read");
        match round % 3 {
            0 => {
                let place = dice.index(bytes.len());
                bytes[place] ^= 1 << dice.below(8);
            }
            1 => bytes.truncate(dice.index(bytes.len())),
            _ => {
                let start = dice.index(bytes.len());
                let end = (start + 4096).min(bytes.len());
                bytes[start..end].fill(0);
            }
        }
        fs::write(&file, &bytes).expect("written");
        let before = files(&damaged);
        let options = SalvageOptions {
            restore: RestoreOptions {
                accept_loss: true,
                ..RestoreOptions::default()
            },
            size: None,
        };
        let salvaged = salvage(&damaged, &target, &options, |_| {});
        assert_eq!(files(&damaged), before, "round {round}: the damaged store is changed");
        match salvaged {
            Ok(report) => {
                let kept = report.restored.records;
                assert_eq!(report.mark, Some(records));
                assert_eq!(report.restored.is_same_log, kept == records, "round {round}");
                assert_eq!(report.restored.missing.is_none(), kept == records, "round {round}");
                let engine = on(&target);
                verified(&engine);
                let text = exported(&engine);
                engine.close().expect("closed");
                let taken: Vec<&str> = text.lines().collect();
                let count = usize::try_from(kept).expect("small");
                assert_eq!(
                    taken[1..=count],
                    lines[1..=count],
                    "round {round}: the first records as they were"
                );
                if kept == records {
                    total += 1;
                } else {
                    partial += 1;
                }
                if kept < records {
                    let strict = salvage(
                        &damaged,
                        directory.path().join("none"),
                        &SalvageOptions::default(),
                        |_| {},
                    );
                    let error = strict.expect_err("a loss must be accepted");
                    assert!(error.detail().contains("high-water mark"), "{error}");
                }
            }
            Err(error) => {
                nothing += 1;
                assert_eq!(error.err_code(), 7800, "round {round}: {error}");
                assert!(!target.exists());
            }
        }
        let left: Vec<_> = fs::read_dir(directory.path())
            .expect("read")
            .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
            .filter(|name| name.contains(".copy") || name.contains(".new"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        fs::remove_dir_all(&damaged).expect("removed");
    }
    println!("salvage: {total} whole, {partial} in part, {nothing} not at all");
    assert!(
        partial > 0 && total > 0,
        "{total} whole, {partial} in part, {nothing} not at all"
    );
}

#[test]
fn salvage_of_a_good_store_is_its_copy_and_a_store_in_use_is_not_touched() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _, [first, second]) = grown(directory.path());
    let target = directory.path().join("rescued");
    let report = salvage(&store, &target, &SalvageOptions::default(), |_| {}).expect("salvaged");
    assert!(report.restored.is_same_log && report.fault.is_none(), "{report:?}");
    let sizes: Vec<u64> = report
        .restored
        .checkpoints
        .iter()
        .map(|checkpoint| checkpoint.size)
        .collect();
    assert_eq!(
        sizes.last(),
        Some(&second.checkpoint().size),
        "its own checkpoints are looked at"
    );
    fs::remove_dir_all(&target).expect("removed");

    // Fewer than were signed, because somebody asks for them.
    let options = SalvageOptions {
        size: Some(first.checkpoint().size),
        restore: RestoreOptions {
            accept_loss: true,
            ..RestoreOptions::default()
        },
    };
    let report = salvage(&store, &target, &options, |_| {}).expect("salvaged");
    assert_eq!(report.restored.root, engine_root(&target));
    assert!(!report.restored.is_same_log);

    let engine = opened(Engine::builder().data_dir_with(&store, SledOptions::default()));
    let error = salvage(
        &store,
        directory.path().join("more"),
        &SalvageOptions::default(),
        |_| {},
    )
    .expect_err("somebody has it open");
    assert_eq!(error.err_code(), 7008, "{error}");
    drop(engine);
}

fn engine_root(path: &Path) -> String {
    let engine = on(path);
    let root = certificate(&engine).root;
    engine.close().expect("closed");
    root
}
