//! What the engine proves of its log: receipts of every record, checkpoints that go on, witnesses, and logs that are not what
//! was signed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use flowledger::store::merkle::Edge;
use flowledger::store::{
    Append, AppendError, Appended, BoxFuture, Counters, EventStore, GrowthProof, Health, KeyKind, Layout, MemoryStore,
    Offset, PublicKey, Revision, SignedCheckpoint, SigningKey, SledOptions, SledStore, Store, StoreError, Stored,
    StreamId, VerifiedReceipt, Witnesses, leaf_hash, verify_receipt,
};
use flowledger::{
    BlockingEngine, CommandOptions, CommitTaskParam, CreateFlowParam, DeployFlowParam, Engine, EngineBuilder,
    FlowInstanceId, FlowModuleId, FlowSwitchParam, LifecycleParam, Receipt, ReceiptParam, RedoRollbackParam,
    RollbackTaskParam, StartProcessParam, TerminateProcessParam, UpdateFlowParam,
};
use flowledger_tests::dice::Dice;
use flowledger_tests::sketch::flow;

use crate::fixture::{
    LINE, deployed, engine_on, instance_and_task, log, memory, opened, sled, started, turn_at_sled, verified,
    without_hanging,
};

fn key(engine: &BlockingEngine) -> PublicKey {
    let text = engine.public_key().expect("there is a key");
    text.parse().expect("the key is one")
}

fn checked(receipt: &Receipt, log: &PublicKey) -> VerifiedReceipt {
    let found = verify_receipt(&receipt.record, receipt.proof.as_bytes(), log, &Witnesses::none());
    let found = found.unwrap_or_else(|error| panic!("the receipt of position {}: {error}", receipt.position));
    assert_eq!(found.offset.get(), receipt.position);
    assert_eq!(receipt.index + 1, receipt.position);
    found
}

/// Every record has a receipt, with the bytes that the log shows.
fn every_receipt_is_good(engine: &BlockingEngine) -> usize {
    let key = key(engine);
    let records = log(engine);
    for record in &records {
        let receipt = engine.receipt(record.position).expect("a receipt");
        checked(&receipt, &key);
        assert_eq!(receipt.record, record.bytes);
    }
    records.len()
}

/// Some commands, by the dice.
fn work(engine: &BlockingEngine, module: &FlowModuleId, dice: &mut Dice, commands: usize) {
    let mut open = Vec::new();
    for _ in 0..commands {
        if open.is_empty() || dice.percent(30) {
            open.push(started(engine, module));
            continue;
        }
        let at = dice.index(open.len());
        let (instance, task) = open.swap_remove(at);
        if dice.percent(15) {
            engine
                .terminate_process(TerminateProcessParam::new(&instance))
                .expect("it ends");
        } else {
            let commit = CommitTaskParam::new(&instance, &task).variable("n", 7);
            let answer = engine.commit_task(commit).expect("the task is committed");
            if answer.err_code == 1002 {
                let next = answer.active_task().expect("a task waits").node_instance_id.clone();
                open.push((instance, next));
            }
        }
    }
}

fn checkpoint(engine: &BlockingEngine) -> SignedCheckpoint {
    let checkpoint = engine.checkpoint().expect("a checkpoint");
    let signed = SignedCheckpoint::parse(checkpoint.note.as_bytes()).expect("a note");
    signed.verify(&key(engine)).expect("signed by the log");
    assert_eq!(signed.checkpoint().size, checkpoint.size);
    signed
}

fn at(path: &Path) -> EngineBuilder {
    Engine::builder().data_dir(path)
}

fn witness(name: &str) -> SigningKey {
    SigningKey::generate(name, KeyKind::Cosignature).expect("a key")
}

#[test]
fn every_record_has_a_receipt_also_after_reopening() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let mut dice = Dice::of(7, 1);
    let engine = opened(at(&path));
    let module = deployed(&engine, LINE);
    // More than one tile of 64 records.
    work(&engine, &module, &mut dice, 90);
    let early = engine.receipt(5).expect("a receipt");
    let (key_before, first) = (key(&engine), checkpoint(&engine));
    assert_eq!(every_receipt_is_good(&engine), 93);
    engine.close().expect("the store closes");
    drop(engine);

    let engine = opened(at(&path));
    assert_eq!(key(&engine), key_before, "the key is the same");
    assert_eq!(
        checkpoint(&engine),
        first,
        "without new records it is the same checkpoint"
    );
    work(&engine, &module, &mut dice, 60);
    let second = checkpoint(&engine);
    assert_eq!(second.checkpoint().size, 153);
    let growth = engine.growth(first.checkpoint().size).expect("the log has grown");
    assert_eq!((growth.from, growth.size), (93, 153));
    GrowthProof::parse(growth.proof.as_bytes())
        .expect("a proof")
        .verify(first.checkpoint(), &key_before)
        .expect("the second continues the first");
    assert_eq!(every_receipt_is_good(&engine), 153);
    // A receipt is good for ever.
    checked(&early, &key_before);
    assert_eq!(verified(&engine), 153);
    // The store is let go of without a word.
    drop(engine);
    let engine = opened(at(&path));
    assert_eq!(checkpoint(&engine), second);
    assert_eq!(every_receipt_is_good(&engine), 153);
}

#[test]
fn proofs_survive_the_loss_of_the_index() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let files = |builder: EngineBuilder| {
        builder
            .signing_key(directory.path().join("a key"))
            .checkpoint_file(directory.path().join("a checkpoint"))
    };
    let store = sled(&directory.path().join("store"), SledOptions::default());
    let engine = opened(files(Engine::builder().store(store.clone())));
    let module = deployed(&engine, LINE);
    work(&engine, &module, &mut Dice::of(8, 1), 140);
    let before = checkpoint(&engine);
    drop(engine);
    // The same log, and of its index nothing.
    let emptied = Store {
        events: store.events.clone(),
        index: memory().index,
    };
    let engine = opened(files(Engine::builder().store(emptied)));
    assert_eq!(checkpoint(&engine), before);
    assert_eq!(every_receipt_is_good(&engine), 143);
    assert_eq!(engine.rebuild_tree().expect("the tree is built again"), 143);
    assert_eq!(every_receipt_is_good(&engine), 143);
}

/// Options that ask for a receipt.
fn asked() -> CommandOptions {
    CommandOptions {
        receipt: true,
        reason: Some("why".into()),
        ..CommandOptions::default()
    }
}

/// The answer's receipt is good, and of the record at this position.
fn good(engine: &BlockingEngine, receipt: Option<&Receipt>, error: Option<&str>, position: u64) {
    assert_eq!(error, None);
    let receipt = receipt.expect("the answer carries a receipt");
    assert_eq!(receipt.position, position);
    checked(receipt, &key(engine));
}

#[test]
fn answers_about_modules_carry_receipts_when_asked() {
    let engine = opened(Engine::builder().in_memory());
    let created = engine
        .create_flow(CreateFlowParam {
            tenant: "t".to_owned(),
            caller: "c".to_owned(),
            options: asked(),
            ..CreateFlowParam::default()
        })
        .expect("created");
    let module = created.flow_module_id.clone();
    good(&engine, created.receipt.as_deref(), created.receipt_error.as_deref(), 1);
    let updated = engine
        .update_flow(UpdateFlowParam {
            tenant: "t".to_owned(),
            caller: "c".to_owned(),
            flow_module_id: module.to_string(),
            flow_model: flow("main", LINE).flow_model.to_string(),
            options: asked(),
            ..UpdateFlowParam::default()
        })
        .expect("updated");
    good(&engine, updated.receipt.as_deref(), updated.receipt_error.as_deref(), 2);
    let deployed = engine
        .deploy_flow(DeployFlowParam {
            tenant: "t".to_owned(),
            caller: "c".to_owned(),
            flow_module_id: module.to_string(),
            options: asked(),
            ..DeployFlowParam::default()
        })
        .expect("deployed");
    good(
        &engine,
        deployed.receipt.as_deref(),
        deployed.receipt_error.as_deref(),
        3,
    );
    let switch = || FlowSwitchParam {
        flow_module_id: module.to_string(),
        options: asked(),
    };
    let off = engine.disable_flow(switch()).expect("disabled");
    good(&engine, off.receipt.as_deref(), off.receipt_error.as_deref(), 4);
    let nothing = engine.disable_flow(switch()).expect("disabled already");
    assert_eq!(
        (nothing.err_code, nothing.receipt, nothing.receipt_error),
        (1001, None, None)
    );
    let on = engine.enable_flow(switch()).expect("enabled");
    good(&engine, on.receipt.as_deref(), on.receipt_error.as_deref(), 5);
}

#[test]
fn answers_about_instances_carry_receipts_when_asked() {
    let engine = opened(Engine::builder().in_memory());
    let module = deployed(&engine, LINE);
    let start = StartProcessParam {
        options: CommandOptions {
            command_id: Some("the start".into()),
            ..asked()
        },
        ..StartProcessParam::of_module(module.clone())
    };
    let answer = engine.start_process(start.clone()).expect("started");
    let (instance, task) = instance_and_task(&answer);
    let first = answer.receipt.clone().expect("a receipt");
    good(&engine, answer.receipt.as_deref(), answer.receipt_error.as_deref(), 4);
    let commit = CommitTaskParam {
        options: asked(),
        ..CommitTaskParam::new(&instance, &task)
    };
    let answer = engine.commit_task(commit).expect("committed");
    let task = answer.active_task().expect("a task").node_instance_id.clone();
    good(&engine, answer.receipt.as_deref(), answer.receipt_error.as_deref(), 5);
    let back = RollbackTaskParam {
        options: asked(),
        ..RollbackTaskParam::new(&instance, &task)
    };
    let answer = engine.rollback_task(back).expect("rolled back");
    good(&engine, answer.receipt.as_deref(), answer.receipt_error.as_deref(), 6);
    let redo = RedoRollbackParam {
        options: asked(),
        ..RedoRollbackParam::new(&instance)
    };
    let answer = engine.redo_rollback(redo).expect("redone");
    good(&engine, answer.receipt.as_deref(), answer.receipt_error.as_deref(), 7);
    let held = LifecycleParam {
        flow_instance_id: instance.to_string(),
        options: asked(),
        ..LifecycleParam::default()
    };
    let answer = engine.suspend_instance(held).expect("suspended");
    good(&engine, answer.receipt.as_deref(), answer.receipt_error.as_deref(), 8);
    let end = || TerminateProcessParam {
        options: asked(),
        ..TerminateProcessParam::new(&instance)
    };
    let answer = engine.terminate_process(end()).expect("terminated");
    good(&engine, answer.receipt.as_deref(), answer.receipt_error.as_deref(), 9);
    let again = engine.terminate_process(end()).expect("over already");
    assert_eq!((again.receipt, again.receipt_error), (None, None));

    // A repeat is answered with the receipt of the record of then.
    let repeat = engine.start_process(start).expect("started before").receipt;
    assert_eq!(repeat.as_ref().map(|repeat| &repeat.record), Some(&first.record));
    good(&engine, repeat.as_deref(), None, 4);
    // Nobody asked, nobody gets.
    let plain = engine
        .start_process(StartProcessParam::of_module(module))
        .expect("started");
    assert_eq!((plain.receipt, plain.receipt_error), (None, None));
}

#[test]
fn failed_commit_carries_its_receipt_in_the_error() {
    let engine = opened(Engine::builder().in_memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(n > 3)-> check -> end; gate -(n < 3)-> end",
    );
    let (instance, task) = started(&engine, &module);
    let commit = CommitTaskParam {
        options: CommandOptions {
            receipt: true,
            ..CommandOptions::default()
        },
        ..CommitTaskParam::new(&instance, &task).variable("n", 3)
    };
    let error = engine.commit_task(commit).expect_err("no branch fits");
    assert_eq!(error.err_code(), 4013);
    let receipt = error.about().receipt.clone().expect("the failed commit is on record");
    checked(&receipt, &key(&engine));
    let json = serde_json::to_value(error.envelope()).expect("JSON");
    assert_eq!(json["receipt"]["index"], receipt.index);
}

#[test]
fn receipt_is_found_by_version_and_by_command() {
    let engine = opened(Engine::builder().in_memory());
    let module = deployed(&engine, LINE);
    let (instance, task) = started(&engine, &module);
    engine
        .commit_task(CommitTaskParam::new(&instance, &task).command_id("the commit"))
        .expect("committed");
    let of_instance = || ReceiptParam::of_instance(&instance);
    let position = |param: ReceiptParam| engine.receipt_of(param).expect("a receipt").position;
    assert_eq!(position(of_instance()), 5);
    assert_eq!(position(of_instance().version(1)), 4);
    assert_eq!(position(of_instance().command_id("the commit")), 5);
    assert_eq!(position(ReceiptParam::of_module(&module).version(2)), 2);
    let code = |param: ReceiptParam| engine.receipt_of(param).expect_err("refused").err_code();
    assert_eq!(code(of_instance().version(3)), 2001);
    assert_eq!(code(of_instance().version(0)), 2001);
    assert_eq!(code(of_instance().command_id("another")), 2001);
    assert_eq!(code(of_instance().version(1).command_id("the commit")), 2001);
    assert_eq!(code(ReceiptParam::default()), 2001);
    assert_eq!(
        code(ReceiptParam::of_instance(&FlowInstanceId::new(&module.to_string()))),
        4008
    );
    assert_eq!(
        code(ReceiptParam::of_module(&FlowModuleId::new(&instance.to_string()))),
        3101
    );
    for position in [0, 6, u64::MAX] {
        assert_eq!(engine.receipt(position).expect_err("refused").err_code(), 2001);
    }
    assert_eq!(engine.growth(6).expect_err("refused").err_code(), 2001);
}

#[test]
fn store_in_memory_has_a_key_of_its_own_each_time() {
    let (one, other) = (opened(Engine::builder()), opened(Engine::builder()));
    for engine in [&one, &other] {
        assert_eq!(checkpoint(engine).checkpoint().size, 0);
        deployed(engine, LINE);
        assert_eq!(every_receipt_is_good(engine), 3);
    }
    assert_ne!(key(&one), key(&other));
    let receipt = one.receipt(1).expect("a receipt");
    let foreign = verify_receipt(
        &receipt.record,
        receipt.proof.as_bytes(),
        &key(&other),
        &Witnesses::none(),
    );
    assert!(foreign.is_err());
}

#[test]
fn cosignatures_are_kept_while_the_log_goes_on() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = opened(at(&path));
    let module = deployed(&engine, LINE);
    let log_key = key(&engine);
    let (alice, bob) = (witness("witness.example/alice"), witness("witness.example/bob"));
    let both = [alice.public().clone(), bob.public().clone()];
    let signed = checkpoint(&engine);
    let line = |witness: &SigningKey, signed: &SignedCheckpoint, seconds| {
        format!("{}\n", signed.cosign(witness, seconds).expect("cosigned"))
    };
    let added = engine
        .add_cosignatures(&line(&alice, &signed, 1), &both)
        .expect("added");
    assert_eq!((added.added, added.checkpoint.cosignatures), (1, 1));
    // The log goes on and is signed again, then the second witness answers for what it was sent.
    started(&engine, &module);
    let newer = checkpoint(&engine);
    assert_eq!(newer.signatures().len(), 1);
    let late = line(&bob, &signed, 2);
    let error = engine
        .add_cosignatures(&late, &both)
        .expect_err("of an earlier checkpoint");
    assert!(
        error.err_code() == 2001 && error.detail().contains("whole checkpoint"),
        "{error}"
    );
    let added = engine
        .add_cosignatures(&format!("{signed}{late}"), &both)
        .expect("added");
    assert_eq!(
        (added.added, added.checkpoint.size, added.checkpoint.cosignatures),
        (1, 3, 2)
    );
    let again = engine
        .add_cosignatures(&format!("{signed}{late}"), &both)
        .expect("known");
    assert_eq!(again.added, 0);
    // What nobody named is passed over.
    let stranger = witness("witness.example/eve");
    let passed = engine
        .add_cosignatures(&line(&stranger, &newer, 3), &both)
        .expect("passed over");
    assert_eq!(passed.added, 0);

    let quorum = || Witnesses::new(both.to_vec(), 2).expect("two witnesses");
    let witnessed = |engine: &BlockingEngine, position: u64| {
        let receipt = engine.receipt(position).expect("a receipt");
        verify_receipt(&receipt.record, receipt.proof.as_bytes(), &log_key, &quorum())
    };
    let is_witnessed = |engine: &BlockingEngine| {
        for position in 1..=3 {
            let found = witnessed(engine, position).expect("two have cosigned");
            assert_eq!(found.cosignatures.len(), 2);
        }
        assert!(witnessed(engine, 4).is_err(), "nobody has cosigned the fourth record");
    };
    is_witnessed(&engine);
    drop(engine);
    let engine = opened(at(&path));
    is_witnessed(&engine);
    // Of a log that is not this one nothing is kept.
    let other = opened(Engine::builder());
    deployed(&other, LINE);
    let foreign = checkpoint(&other);
    let text = format!("{foreign}{}", line(&alice, &foreign, 9));
    assert_eq!(
        engine.add_cosignatures(&text, &both).expect_err("foreign").err_code(),
        2001
    );
    assert_eq!(
        engine
            .add_cosignatures("nonsense", &both)
            .expect_err("nonsense")
            .err_code(),
        2001
    );
    let own = [log_key.clone()];
    assert_eq!(
        engine.add_cosignatures(&late, &own).expect_err("no witness").err_code(),
        2001
    );
}

/// A store with the records of another one, some of them changed, with leaf hashes that fit.
fn rewritten(original: &BlockingEngine, change: impl Fn(u64, &mut Vec<u8>) -> bool) -> Store {
    let store: Store = MemoryStore::new().into();
    for record in log(original) {
        let envelope = record.record.envelope();
        let mut bytes = record.bytes.to_vec();
        if !change(record.position, &mut bytes) {
            continue;
        }
        let append = Append {
            stream: StreamId::from_bytes(envelope.stream),
            expected: Revision::new(envelope.version - 1),
            record: bytes.into(),
        };
        let stored = pollster::block_on(store.events.append(vec![append]));
        for stored in stored {
            stored.expect("stored");
        }
    }
    store
}

/// The records of one store under the name of another: what somebody can do who may write the data.
struct Swapped {
    events: Arc<dyn EventStore>,
    layout: Layout,
    /// Told when the housekeeping thread reads, which takes it a while then.
    kept_house: Option<SyncSender<()>>,
}

impl EventStore for Swapped {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        self.events.append(items)
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        self.events.read_stream(stream, after, max)
    }

    fn read_partition(
        &self,
        partition: u16,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        if let Some(kept_house) = &self.kept_house
            && thread::current().name() == Some("flowledger-catalogue")
        {
            let _ = kept_house.try_send(());
            thread::sleep(Duration::from_millis(200));
        }
        self.events.read_partition(partition, after, max)
    }

    fn changed(&self, partition: u16, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        self.events.changed(partition, after, wait)
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn head(&self, partition: u16) -> Offset {
        self.events.head(partition)
    }

    fn counters(&self) -> Counters {
        self.events.counters()
    }

    fn health(&self) -> Health {
        self.events.health()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.events.close()
    }
}

#[test]
fn log_that_was_rewritten_with_its_hashes_contradicts_the_kept_checkpoint() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = memory();
    let files = |builder: EngineBuilder| {
        builder
            .signing_key(directory.path().join("key"))
            .checkpoint_file(directory.path().join("checkpoint"))
    };
    let honest = opened(files(Engine::builder().store(store.clone())));
    let module = deployed(&honest, LINE);
    let (instance, task) = started(&honest, &module);
    let commit = CommitTaskParam::new(&instance, &task).variable("amount", "ninety");
    honest.commit_task(commit).expect("committed");
    let signed = checkpoint(&honest);
    let receipt = honest.receipt(5).expect("a receipt");
    let log_key = key(&honest);

    let changed = rewritten(&honest, |position, bytes| {
        if position == 5 {
            let place = bytes
                .windows(6)
                .position(|window| window == b"ninety")
                .expect("it is there");
            bytes[place..place + 6].copy_from_slice(b"eighty");
        }
        true
    });
    let cut = rewritten(&honest, |position, _| position < 5);
    for (fake, what) in [(changed, "another root"), (cut, "its end is missing")] {
        let fake = Store {
            events: Arc::new(Swapped {
                events: fake.events,
                layout: store.events.layout().clone(),
                kept_house: None,
            }),
            index: fake.index,
        };
        let engine = opened(files(Engine::builder().store(fake)));
        // Record by record all is well: that is what a checkpoint is for.
        let report = engine.verify_log(|_| {}).expect("a report");
        let fault = report.fault.clone().expect("the checkpoint is contradicted");
        assert!(fault.what.contains(what), "{}", fault.what);
        assert_eq!(report.checkpoints.len(), 1);
        assert!(!report.checkpoints[0].continued);
        for error in [
            engine.checkpoint().map(|_| ()).expect_err("nothing is signed"),
            engine.receipt(1).map(|_| ()).expect_err("nothing is proven"),
            engine.growth(1).map(|_| ()).expect_err("nothing is proven"),
        ] {
            assert_eq!(error.err_code(), 7800, "{error}");
            assert!(error.detail().contains('5') && error.detail().contains(what), "{error}");
        }
        // The command itself is done; only its receipt cannot be had.
        let answer = engine
            .start_process(StartProcessParam {
                options: CommandOptions {
                    receipt: true,
                    ..CommandOptions::default()
                },
                ..StartProcessParam::of_module(module.clone())
            })
            .expect("the command does not fail");
        assert_eq!((answer.err_code, answer.receipt), (1002, None));
        assert!(
            answer
                .receipt_error
                .is_some_and(|why| why.contains("7800") && why.contains("on record"))
        );
    }
    // The receipt from before needs nobody's word.
    checked(&receipt, &log_key);
    assert_eq!(
        SignedCheckpoint::load(directory.path().join("checkpoint"))
            .expect("read")
            .expect("there"),
        signed,
        "nothing was signed over it"
    );
}

#[test]
fn copies_that_went_separate_ways_are_found_by_growth() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (here, there) = (directory.path().join("here"), directory.path().join("there"));
    let engine = opened(at(&here));
    let module = deployed(&engine, LINE);
    checkpoint(&engine);
    engine.close().expect("closed");
    drop(engine);
    std::fs::create_dir(&there).expect("a directory");
    for entry in std::fs::read_dir(&here).expect("read") {
        let entry = entry.expect("an entry");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), there.join(entry.file_name())).expect("copied");
        }
    }
    let seen = {
        let engine = opened(at(&here));
        started(&engine, &module);
        checkpoint(&engine)
    };
    let engine = opened(at(&there));
    let log_key = key(&engine);
    started(&engine, &module);
    started(&engine, &module);
    let growth = engine.growth(seen.checkpoint().size).expect("a proof");
    let proof = GrowthProof::parse(growth.proof.as_bytes()).expect("a proof");
    assert!(
        proof.verify(seen.checkpoint(), &log_key).is_err(),
        "this is another log by now"
    );
    // Both continue what they had in common.
    let common = engine.growth(3).expect("a proof");
    let text = format!("{seen}");
    let error = engine.add_cosignatures(&text, &[]).expect_err("not of this log");
    assert_eq!(error.err_code(), 7800, "{error}");
    assert_eq!(common.from, 3);
}

#[test]
fn lost_or_foreign_key_signs_nothing() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = opened(at(&path));
    deployed(&engine, LINE);
    checkpoint(&engine);
    drop(engine);
    let key_file = path.join("log.key");
    let text = std::fs::read(&key_file).expect("the key is there");
    std::fs::remove_file(&key_file).expect("removed");
    let engine = opened(at(&path));
    let error = engine.checkpoint().expect_err("the key is gone");
    assert_eq!(error.err_code(), 7007, "{error}");
    assert!(!key_file.exists(), "no other key is made");
    assert!(engine.verify_log(|_| {}).expect("a report").fault.is_some());
    drop(engine);
    // Another key, even of the right name, is not this log's.
    let name = String::from_utf8_lossy(&text)
        .split('+')
        .nth(2)
        .expect("a name")
        .to_owned();
    SigningKey::load_or_create(&key_file, &name).expect("a key");
    let engine = opened(at(&path));
    assert_eq!(engine.checkpoint().expect_err("another key").err_code(), 7007);
    drop(engine);
    std::fs::write(&key_file, text).expect("the key is back");
    let engine = opened(at(&path));
    checkpoint(&engine);
    assert_eq!(verified(&engine), 3);
}

#[test]
fn nothing_is_written_before_a_proof_is_asked_for() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = opened(at(&path));
    let module = deployed(&engine, LINE);
    work(&engine, &module, &mut Dice::of(9, 1), 80);
    verified(&engine);
    engine.close().expect("closed");
    drop(engine);
    assert!(!path.join("log.key").exists() && !path.join("checkpoint").exists());
    let store: Store = SledStore::open(&path, SledOptions::default()).expect("opens").into();
    assert_eq!(
        store.index.position("tiles-1:0").expect("read"),
        Offset::NONE,
        "there is no tree"
    );
}

#[test]
fn tree_is_kept_up_without_being_asked_again() {
    let is_asked = |is_asked: bool| {
        let store = memory();
        let engine = engine_on(&store);
        let module = deployed(&engine, LINE);
        if is_asked {
            checkpoint(&engine);
        }
        // Enough for the catalogue to be written out, with which the tree is looked after: 8,192 records, and as many more as may
        // be noted before they are taken in.
        for _ in 0..8_192 + 2 * 256 {
            started(&engine, &module);
        }
        (store, engine)
    };
    let tiles = |store: &Store| store.index.position("tiles-1:0").expect("read");
    let (asked, asked_engine) = is_asked(true);
    without_hanging("the housekeeping", move || {
        while tiles(&asked) == Offset::NONE {
            thread::yield_now();
        }
    });
    asked_engine.close().expect("closed");
    let (unasked, unasked_engine) = is_asked(false);
    unasked_engine.close().expect("closed");
    assert!(unasked.index.position("catalogue-2").expect("read") > Offset::NONE);
    assert_eq!(tiles(&unasked), Offset::NONE, "nobody has asked");
}

#[test]
fn proofs_are_made_while_others_commit() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    for builder in [at(&directory.path().join("store")), Engine::builder().in_memory()] {
        let engine = opened(builder);
        without_hanging("proofs beside commits", move || beside_commits(&engine));
    }
}

fn beside_commits(engine: &BlockingEngine) {
    let module = deployed(engine, LINE);
    let log_key = key(engine);
    let is_over = AtomicBool::new(false);
    let kept = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|who| {
                let (module, log_key) = (&module, &log_key);
                scope.spawn(move || {
                    for round in 0..12 {
                        let start = StartProcessParam {
                            options: CommandOptions {
                                receipt: (who + round) % 3 == 0,
                                ..CommandOptions::default()
                            },
                            ..StartProcessParam::of_module(module.clone())
                        };
                        let answer = engine.start_process(start).expect("started");
                        assert_eq!(answer.receipt_error, None);
                        if let Some(receipt) = &answer.receipt {
                            checked(receipt, log_key);
                        }
                        let (instance, task) = instance_and_task(&answer);
                        engine
                            .commit_task(CommitTaskParam::new(&instance, &task))
                            .expect("committed");
                    }
                })
            })
            .collect();
        let asker = scope.spawn(|| {
            let mut kept = vec![checkpoint(engine)];
            while !is_over.load(Ordering::Acquire) {
                let newest = checkpoint(engine);
                checked(&engine.receipt(newest.checkpoint().size).expect("a receipt"), &log_key);
                checked(&engine.receipt(1).expect("a receipt"), &log_key);
                let before = kept.last().expect("the first one").checkpoint();
                let growth = engine.growth(before.size).expect("a proof");
                GrowthProof::parse(growth.proof.as_bytes())
                    .expect("a proof")
                    .verify(before, &log_key)
                    .expect("the log has only grown");
                kept.push(newest);
            }
            kept
        });
        for worker in workers {
            worker.join().expect("a worker ends");
        }
        is_over.store(true, Ordering::Release);
        asker.join().expect("the asker ends")
    });
    let records = log(engine);
    assert_eq!(records.len(), 3 + 8 * 12 * 2);
    // All that was signed is the same log.
    for signed in &kept {
        let size = usize::try_from(signed.checkpoint().size).expect("a size");
        let leaves: Vec<_> = records[..size].iter().map(|record| leaf_hash(&record.bytes)).collect();
        assert_eq!(Edge::over(&leaves).root(), signed.checkpoint().root);
    }
    assert_eq!(every_receipt_is_good(engine), records.len());
}

#[test]
fn engines_on_one_store_sign_one_log() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = memory();
    let files = |builder: EngineBuilder| builder.signing_key(directory.path().join("key"));
    let one = opened(files(Engine::builder().store(store.clone())));
    let other = opened(files(Engine::builder().store(store.clone())));
    let module = deployed(&one, LINE);
    work(&other, &module, &mut Dice::of(10, 1), 70);
    let signed = checkpoint(&one);
    work(&one, &module, &mut Dice::of(11, 1), 70);
    let growth = other.growth(signed.checkpoint().size).expect("a proof");
    GrowthProof::parse(growth.proof.as_bytes())
        .expect("a proof")
        .verify(signed.checkpoint(), &key(&one))
        .expect("the same log, the same key");
    // An engine without a file signs with a key that nobody else has.
    assert_ne!(key(&engine_on(&store)), key(&one));
}

/// The end of an engine finds its housekeeping thread at work on the tree.
#[test]
fn engine_that_is_dropped_while_the_tree_is_kept_up_comes_to_its_end() {
    without_hanging("an engine that is dropped", || {
        let memory = memory();
        let (kept_house, reads) = sync_channel(1);
        let store = Store {
            events: Arc::new(Swapped {
                layout: memory.events.layout().clone(),
                events: memory.events,
                kept_house: Some(kept_house),
            }),
            index: memory.index,
        };
        let engine = opened(Engine::builder().store(store));
        let module = deployed(&engine, LINE);
        checkpoint(&engine);
        // As many as make the catalogue be written out; then the tree is brought up.
        while reads.try_recv().is_err() {
            started(&engine, &module);
        }
        drop(engine);
    });
}
