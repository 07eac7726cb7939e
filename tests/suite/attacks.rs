//! Attacks by somebody who holds the log's key and its disk: what contradicts them, and what does not. The tables of
//! docs/how-to/receipts.md say what is measured here.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use flowledger::store::{
    Faults, GrowthProof, KeyKind, Layout, MemoryStore, NewStore, PublicKey, Revision, SignedCheckpoint, SigningKey,
    SledOptions, Store, StreamId, Witnesses, leaf_hash, verify_receipt,
};
use flowledger::{
    AnyRecord, BlockingEngine, Clock, CommitTaskParam, Engine, FlowInstanceId, NodeInstanceId, Receipt, Timestamp,
};
use flowledger_engine_core::codec;

use crate::fixture::{LINE, deployed, log, opened, started, turn_at_sled, verified};

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    stream: [u8; 16],
    version: u64,
    bytes: Arc<[u8]>,
}

/// An honest log, and what others have kept of it.
struct Honest {
    entries: Vec<Entry>,
    /// Where each instance's records stand, from 0, and its first task.
    instances: Vec<(usize, FlowInstanceId, NodeInstanceId)>,
    layout: Layout,
    /// The key as it was published, and its private file.
    key: PublicKey,
    secret: Vec<u8>,
    /// What a customer keeps.
    checkpoint: SignedCheckpoint,
    receipts: Vec<Receipt>,
    /// What a witness has seen last.
    seen: SignedCheckpoint,
}

/// How many instances begin in each part of the log: kept by a customer, seen by a witness, known to nobody.
const PART: usize = 8;

fn entries(engine: &BlockingEngine) -> Vec<Entry> {
    let records = log(engine).into_iter().map(|record| {
        let envelope = record.record.envelope();
        let (stream, version) = (envelope.stream, envelope.version);
        let bytes = record.bytes;
        Entry { stream, version, bytes }
    });
    records.collect()
}

fn signed(engine: &BlockingEngine) -> SignedCheckpoint {
    let note = engine.checkpoint().expect("a checkpoint").note;
    SignedCheckpoint::parse(note.as_bytes()).expect("a signed note")
}

fn honest() -> &'static Honest {
    static HONEST: OnceLock<Honest> = OnceLock::new();
    HONEST.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store");
        let engine = opened(Engine::builder().data_dir(&path));
        let module = deployed(&engine, LINE);
        let mut instances = Vec::new();
        let mut position = 3;
        let mut run = |engine: &BlockingEngine| {
            for number in 0..PART {
                let (instance, task) = started(engine, &module);
                instances.push((position, instance.clone(), task.clone()));
                position += 1;
                // The first of each part is left open.
                if number > 0 {
                    let commit = CommitTaskParam::new(&instance, &task).variable("amount", "ninety");
                    engine.commit_task(commit).expect("committed");
                    position += 1;
                }
            }
        };
        run(&engine);
        let checkpoint = signed(&engine);
        let size = checkpoint.checkpoint().size;
        let receipts = (1..=size)
            .map(|position| engine.receipt(position).expect("a receipt"))
            .collect();
        run(&engine);
        let seen = signed(&engine);
        run(&engine);
        let key = engine.public_key().expect("a key").parse().expect("a key");
        let entries = entries(&engine);
        let layout = {
            engine.close().expect("closed");
            drop(engine);
            let store = flowledger::store::SledStore::open(&path, SledOptions::default()).expect("opened");
            flowledger::store::EventStore::layout(&store).clone()
        };
        Honest {
            entries,
            instances,
            layout,
            key,
            secret: std::fs::read(path.join("log.key")).expect("the key's file"),
            checkpoint,
            receipts,
            seen,
        }
    })
}

/// What contradicts a forged log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    checkpoint: bool,
    receipt: bool,
    witness: bool,
}

impl Found {
    const NOTHING: Self = Self {
        checkpoint: false,
        receipt: false,
        witness: false,
    };

    /// As the tables have it.
    fn told(self) -> String {
        let all = [
            (self.checkpoint, "checkpoint"),
            (self.receipt, "receipt"),
            (self.witness, "witness"),
        ];
        let found: Vec<_> = all
            .into_iter()
            .filter_map(|(is_found, name)| is_found.then_some(name))
            .collect();
        if found.is_empty() {
            "–".to_owned()
        } else {
            found.join(", ")
        }
    }
}

impl Honest {
    /// What the forger leaves: a store of the same log with these records, all hashes, tiles and marks made anew, and the key.
    fn forge(&self, directory: &Path, entries: &[Entry]) -> PathBuf {
        self.forge_with(directory, entries, None)
    }

    fn forge_with(&self, directory: &Path, entries: &[Entry], faults: Option<Arc<dyn Faults>>) -> PathBuf {
        let path = directory.join("forged");
        let options = SledOptions {
            origin: Some(self.layout.origin),
            record_max: self.layout.record_max,
            faults,
            ..SledOptions::default()
        };
        let new = NewStore::begin(&path, options).expect("a new store");
        let records = entries.iter().map(|entry| {
            let (stream, revision) = (StreamId::from_bytes(entry.stream), Revision::new(entry.version));
            (stream, revision, Arc::clone(&entry.bytes))
        });
        pollster::block_on(new.append(records.collect())).expect("the records are taken");
        std::fs::write(new.directory().join("log.key"), &self.secret).expect("the key is put there");
        owners_only(&new.directory().join("log.key"));
        pollster::block_on(new.finish()).expect("the store is there");
        path
    }

    /// Whether a log proves that it continues a checkpoint of before, to somebody who knows the key.
    fn continues(&self, engine: &BlockingEngine, before: &SignedCheckpoint) -> bool {
        let Ok(growth) = engine.growth(before.checkpoint().size) else {
            return false;
        };
        let proof = GrowthProof::parse(growth.proof.as_bytes()).expect("a proof has its form");
        proof.verify(before.checkpoint(), &self.key).is_ok()
    }

    /// Asks everybody who could find something. The forger signs anew.
    fn judge(&self, path: &Path) -> Found {
        let engine = opened(Engine::builder().data_dir(path));
        let report = engine.verify_log(|_| {}).expect("the log can be read");
        let _ = engine.checkpoint();
        let after = engine.verify_log(|_| {}).expect("the log can be read");
        let leaves = log(&engine);
        let mut receipt = false;
        for kept in &self.receipts {
            let proof = kept.proof.as_bytes();
            verify_receipt(&kept.record, proof, &self.key, &Witnesses::none()).expect("a receipt is good for ever");
            let place = usize::try_from(kept.index).expect("a place");
            let is_same = leaves.get(place).is_some_and(|record| record.bytes == kept.record);
            let again = engine.receipt(kept.position).ok().filter(|again| {
                verify_receipt(&again.record, again.proof.as_bytes(), &self.key, &Witnesses::none()).is_ok()
            });
            receipt |= !is_same || again.is_none();
        }
        assert_eq!(
            (report.fault, after.fault),
            (None, None),
            "made anew, it contradicts nothing in itself"
        );
        let found = Found {
            checkpoint: !self.continues(&engine, &self.checkpoint),
            receipt,
            witness: !self.continues(&engine, &self.seen),
        };
        engine.close().expect("closed");
        drop(engine);
        // The same by `log verify` with the checkpoint that was kept.
        let kept = path.join("kept");
        self.checkpoint.save(&kept).expect("saved");
        let engine = opened(Engine::builder().data_dir(path).checkpoint_file(&kept));
        let report = engine.verify_log(|_| {}).expect("the log can be read");
        assert_eq!(report.fault.is_some(), found.checkpoint, "{:?}", report.fault);
        found
    }

    /// The last record of an instance in this part of the log, which is followed by one of another stream.
    fn place(&self, part: usize) -> usize {
        self.instances[part * PART + PART / 2].0 + 1
    }
}

#[cfg(unix)]
fn owners_only(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("rights are set");
}

#[cfg(not(unix))]
fn owners_only(_path: &Path) {}

/// Changes a record so that it can still be read.
fn edited(entry: &mut Entry) {
    let mut bytes = entry.bytes.to_vec();
    let place = bytes
        .windows(6)
        .position(|window| window == b"ninety")
        .expect("it is there");
    bytes[place..place + 6].copy_from_slice(b"eighty");
    entry.bytes = bytes.into();
}

fn back_dated(entry: &mut Entry) {
    let AnyRecord::Instance(mut record) = codec::decode(&entry.bytes).expect("a record") else {
        panic!("a record of an instance")
    };
    let envelope = &mut record.given.envelope;
    envelope.recorded_at = Timestamp::from_millis(envelope.recorded_at.millis() - 3_600_000);
    entry.bytes = codec::encode_instance(&record).expect("encoded").into();
}

/// The record that committing an open instance makes, on a log of these entries.
fn made_up(honest: &Honest, entries: &[Entry], instance: &FlowInstanceId, task: &NodeInstanceId) -> Entry {
    let memory = MemoryStore::of(honest.layout.record_max, honest.layout.origin);
    let records = entries.iter().map(|entry| {
        let (stream, revision) = (StreamId::from_bytes(entry.stream), Revision::new(entry.version));
        (stream, revision, Arc::clone(&entry.bytes))
    });
    memory.fill(records.collect()).expect("the records are taken");
    let engine = opened(Engine::builder().store(Store::from(memory)));
    let commit = CommitTaskParam::new(instance, task).variable("amount", "nothing");
    engine.commit_task(commit).expect("committed");
    self::entries(&engine).pop().expect("a record")
}

/// A forgery of the record in this part of the log.
type Forgery = fn(&Honest, usize, &mut Vec<Entry>);

const FORGERIES: [(&str, Forgery); 6] = [
    ("a record is edited", |honest, part, entries| {
        edited(&mut entries[honest.place(part)]);
    }),
    ("a record is back-dated", |honest, part, entries| {
        back_dated(&mut entries[honest.place(part)]);
    }),
    ("a record is left out", |honest, part, entries| {
        entries.remove(honest.place(part));
    }),
    ("a record is added", |honest, part, entries| {
        let (place, instance, task) = &honest.instances[part * PART];
        let made_up = made_up(honest, &entries[..=*place], instance, task);
        entries.insert(place + 1, made_up);
    }),
    ("two records change places", |honest, part, entries| {
        let place = honest.place(part);
        entries.swap(place, place + 1);
    }),
    ("the end is cut off", |honest, part, entries| {
        entries.truncate(honest.place(part));
    }),
];

fn page() -> &'static str {
    include_str!("../../docs/how-to/receipts.md")
}

fn is_on_the_page(row: &str) {
    assert!(
        page().lines().any(|line| line == row),
        "docs/how-to/receipts.md lacks this line:\n{row}"
    );
}

#[test]
fn forgeries_contradict_what_was_kept_and_the_page_says_which_do_not() {
    let _turn = turn_at_sled();
    let honest = honest();
    assert_eq!(honest.entries.len(), 3 + 3 * (2 * PART - 1));
    for (name, forgery) in FORGERIES {
        let mut cells = Vec::new();
        for part in 0..3 {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let mut entries = honest.entries.clone();
            forgery(honest, part, &mut entries);
            assert_ne!(entries, honest.entries);
            let found = honest.judge(&honest.forge(directory.path(), &entries));
            println!("{name}, part {part}: {found:?}");
            assert_eq!(found.checkpoint, found.receipt, "a receipt carries a checkpoint");
            assert_eq!((found.checkpoint, found.witness), (part == 0, part <= 1), "{name}");
            cells.push(found.told());
        }
        is_on_the_page(&format!("| {name} | {} |", cells.join(" | ")));
    }
}

/// Keeps the hash of a record that was edited.
struct OldHash {
    edited: Arc<[u8]>,
    leaf: [u8; 32],
}

impl Faults for OldHash {
    fn leaf(&self, record: &[u8]) -> Option<[u8; 32]> {
        (*record == *self.edited).then_some(self.leaf)
    }
}

#[test]
fn hashes_that_were_left_as_they_were_are_found_without_anything_kept() {
    let _turn = turn_at_sled();
    let honest = honest();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut entries = honest.entries.clone();
    let place = honest.place(2);
    edited(&mut entries[place]);
    let faults: Arc<dyn Faults> = Arc::new(OldHash {
        edited: Arc::clone(&entries[place].bytes),
        leaf: leaf_hash(&honest.entries[place].bytes),
    });
    let path = honest.forge_with(directory.path(), &entries, Some(faults));
    let engine = opened(Engine::builder().data_dir(&path));
    let fault = engine.verify_log(|_| {}).expect("the log can be read").fault;
    assert_eq!(fault.map(|fault| fault.position), Some(place as u64 + 1));
    is_on_the_page("| a record is edited, its hash is left | `log verify` |");
}

#[test]
fn log_made_anew_without_a_forgery_contradicts_nothing() {
    let _turn = turn_at_sled();
    let honest = honest();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let found = honest.judge(&honest.forge(directory.path(), &honest.entries));
    assert_eq!(found, Found::NOTHING);
}

#[test]
fn replaced_key_is_not_the_published_one() {
    let _turn = turn_at_sled();
    let honest = honest();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = honest.forge(directory.path(), &honest.entries);
    std::fs::remove_file(path.join("log.key")).expect("removed");
    let engine = opened(Engine::builder().data_dir(&path));
    let other: PublicKey = engine.public_key().expect("a key").parse().expect("a key");
    assert!(other != honest.key && other.name() == honest.key.name());
    drop(engine);
    let found = honest.judge(&path);
    is_on_the_page(&format!(
        "| the key is replaced by another of its name | {} |",
        found.told()
    ));
}

#[test]
fn earlier_copy_in_the_place_of_the_store_contradicts_later_checkpoints_only() {
    let _turn = turn_at_sled();
    let honest = honest();
    let mut rows = Vec::new();
    for size in [honest.checkpoint.checkpoint().size - 2, honest.seen.checkpoint().size] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let entries = &honest.entries[..usize::try_from(size).expect("a size")];
        rows.push(honest.judge(&honest.forge(directory.path(), entries)));
    }
    is_on_the_page(&format!(
        "| the store is put back to an earlier copy, checkpoint included | {} |",
        rows[0].told()
    ));
    is_on_the_page(&format!(
        "| the same, of a time after all that was kept and seen | {} |",
        rows[1].told()
    ));
}

#[test]
fn what_was_changed_before_the_first_checkpoint_leaves_no_trace() {
    let _turn = turn_at_sled();
    let honest = honest();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut entries = honest.entries.clone();
    edited(&mut entries[honest.place(0)]);
    let engine = opened(Engine::builder().data_dir(honest.forge(directory.path(), &entries)));
    let first = signed(&engine);
    let receipt = engine.receipt(1).expect("a receipt");
    let good = verify_receipt(
        &receipt.record,
        receipt.proof.as_bytes(),
        &honest.key,
        &Witnesses::none(),
    );
    good.expect("nobody knows of another log");
    assert!(honest.continues(&engine, &first));
    assert_eq!(verified(&engine), entries.len());
    is_on_the_page("| anything, before the first checkpoint was signed | – |");
}

/// Two logs with one key, the same up to what a witness has seen: each of two people is shown one of them.
#[test]
fn two_logs_of_one_key_are_found_by_who_compares_and_by_a_witness() {
    let _turn = turn_at_sled();
    let honest = honest();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut entries = honest.entries.clone();
    edited(&mut entries[honest.place(2)]);
    let other_path = honest.forge(directory.path(), &entries);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = honest.forge(directory.path(), &honest.entries);

    // Whoever sees one log only finds nothing.
    assert_eq!(honest.judge(&path), Found::NOTHING);
    assert_eq!(honest.judge(&other_path), Found::NOTHING);
    is_on_the_page("| two logs under one key, each shown to other people | – |");

    let engine = opened(Engine::builder().data_dir(&path));
    let (alice, receipt) = (signed(&engine), engine.receipt(1).expect("a receipt"));
    drop(engine);
    let engine = opened(Engine::builder().data_dir(&other_path));
    let bob = signed(&engine);
    // Who compares has two checkpoints of one size under one key: nothing else is needed.
    for checkpoint in [&alice, &bob] {
        checkpoint.verify(&honest.key).expect("signed by the log");
    }
    assert_eq!(alice.checkpoint().size, bob.checkpoint().size);
    assert_ne!(alice.checkpoint().root, bob.checkpoint().root);
    assert!(
        !honest.continues(&engine, &alice),
        "Bob's log does not continue Alice's"
    );
    // A receipt of one log names a checkpoint that the other does not continue.
    verify_receipt(
        &receipt.record,
        receipt.proof.as_bytes(),
        &honest.key,
        &Witnesses::none(),
    )
    .expect("good by itself");
    // A witness that has cosigned Alice's refuses Bob's, so nobody who asks for the witness is shown Bob's.
    let witness = SigningKey::generate("witness.example/w", KeyKind::Cosignature).expect("a key");
    let line = alice.cosign(&witness, 1).expect("cosigned");
    let mut cosigned = alice.clone();
    let taken = cosigned.add_cosignatures(format!("{line}\n").as_bytes(), &[witness.public().clone()]);
    assert_eq!(taken, Ok(1));
    let bobs = engine.receipt(1).expect("a receipt");
    let asked = Witnesses::new(vec![witness.public().clone()], 1).expect("a witness");
    assert!(verify_receipt(&bobs.record, bobs.proof.as_bytes(), &honest.key, &asked).is_err());
}

/// A receipt of a record that stands in no log that is shown to anybody.
#[test]
fn receipt_of_a_hidden_log_is_good_by_itself_and_contradicts_the_log_that_is_shown() {
    let _turn = turn_at_sled();
    let honest = honest();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_, instance, task) = &honest.instances[2 * PART];
    let mut entries = honest.entries.clone();
    entries.push(made_up(honest, &entries, instance, task));
    let engine = opened(Engine::builder().data_dir(honest.forge(directory.path(), &entries)));
    let receipt = engine.receipt(entries.len() as u64).expect("a receipt");
    let hidden = signed(&engine);
    drop(engine);
    verify_receipt(
        &receipt.record,
        receipt.proof.as_bytes(),
        &honest.key,
        &Witnesses::none(),
    )
    .expect("the key's owner can sign anything");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let shown = opened(Engine::builder().data_dir(honest.forge(directory.path(), &honest.entries)));
    assert!(!honest.continues(&shown, &hidden), "the log that is shown is too short");
    let module = log(&shown)[0].record.envelope().stream;
    let module = flowledger::FlowModuleId::new(&uuid::Uuid::from_bytes(module).to_string());
    started(&shown, &module);
    assert!(
        !honest.continues(&shown, &hidden),
        "and when it has grown it is another one"
    );
    is_on_the_page("| a receipt of a record that is in no log that is shown | checkpoint: that of the receipt |");
}

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that is set back makes records that claim to be old. Their place says that they came later.
#[test]
fn record_with_a_false_time_stands_behind_what_was_cosigned_before_it() {
    let _turn = turn_at_sled();
    let honest = honest();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = honest.forge(directory.path(), &honest.entries);
    let first = codec::decode(&honest.entries[0].bytes).expect("a record");
    let long_ago = first.envelope().recorded_at.millis() - 86_400_000;
    let engine = opened(
        Engine::builder()
            .data_dir(&path)
            .clock(SetClock(AtomicI64::new(long_ago))),
    );
    let module = flowledger::FlowModuleId::new(&uuid::Uuid::from_bytes(first.envelope().stream).to_string());
    started(&engine, &module);
    let record = log(&engine).pop().expect("a record");
    assert_eq!(record.record.envelope().recorded_at.millis(), long_ago);
    drop(engine);
    assert_eq!(
        honest.judge(&path),
        Found::NOTHING,
        "a time is what the operator's clock says"
    );
    assert!(
        record.position > honest.seen.checkpoint().size,
        "a witness's time bounds it from below"
    );
    is_on_the_page("| a new record has a false time | – |");
}
