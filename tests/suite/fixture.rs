//! What the themes share: small flows, engines on them, and turns at sled.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use flowledger::store::{Append, MemoryStore, Revision, SledOptions, SledStore, Store, StreamId};
use flowledger::{
    BlockingEngine, DeployModel, Engine, EngineBuilder, EngineError, FlowInstanceId, FlowModuleId, LogRecord,
    NodeInstanceId, RuntimeResult, StartProcessParam,
};
use flowledger_tests::sketch::flow;

/// Two tasks, one after the other.
pub(crate) const LINE: &str = "start -> ask -> check -> end";

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// sled's locks and its threads belong to the whole process: who uses sled takes a turn.
pub(crate) fn turn_at_sled() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store in memory that several engines can share.
pub(crate) fn memory() -> Store {
    MemoryStore::new().into()
}

/// A store in memory with these records, the first of a log.
pub(crate) fn store_of(records: &[LogRecord]) -> Store {
    let store = memory();
    let items = records.iter().map(|record| {
        let envelope = record.record.envelope();
        Append {
            stream: StreamId::from_bytes(envelope.stream),
            expected: Revision::new(envelope.version - 1),
            record: record.bytes.clone(),
        }
    });
    let stored = pollster::block_on(store.events.append(items.collect()));
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    store
}

/// A store on sled.
pub(crate) fn sled(path: &Path, options: SledOptions) -> Store {
    SledStore::open(path, options).expect("the store opens").into()
}

/// An engine on a store.
pub(crate) fn engine_on(store: &Store) -> BlockingEngine {
    opened(Engine::builder().store(store.clone()))
}

pub(crate) fn opened(builder: EngineBuilder) -> BlockingEngine {
    builder.open().expect("the engine opens").blocking()
}

/// Deploys a sketch.
pub(crate) fn deployed(engine: &BlockingEngine, sketch: &str) -> FlowModuleId {
    let model = flow("main", sketch).flow_model.to_string();
    engine
        .deploy_model(DeployModel::new("main", &model))
        .expect("the flow deploys")
        .flow_module_id
}

/// Starts a module; the instance and its first task.
pub(crate) fn started(engine: &BlockingEngine, module: &FlowModuleId) -> (FlowInstanceId, NodeInstanceId) {
    let started = engine
        .start_process(StartProcessParam::of_module(module.clone()))
        .expect("the flow starts");
    instance_and_task(&started)
}

pub(crate) fn instance_and_task(answer: &RuntimeResult) -> (FlowInstanceId, NodeInstanceId) {
    let instance = answer.flow_instance_id.clone().expect("the answer names the instance");
    let task = answer.active_task().expect("a task waits").node_instance_id.clone();
    (instance, task)
}

/// The whole log.
pub(crate) fn log(engine: &BlockingEngine) -> Vec<LogRecord> {
    let mut records: Vec<LogRecord> = Vec::new();
    loop {
        let batch = engine
            .log_records(records.len() as u64, 1_000)
            .expect("the log can be read");
        if batch.is_empty() {
            return records;
        }
        records.extend(batch);
    }
}

/// Panics when the log is not what was written, or a command stands in it twice; says how many records it has.
pub(crate) fn verified(engine: &BlockingEngine) -> usize {
    let report = engine.verify_log(|_| {}).expect("the log can be read");
    assert_eq!(report.fault, None);
    let records = log(engine);
    assert_eq!(report.records, records.len() as u64);
    let mut seen = BTreeMap::new();
    for record in &records {
        let envelope = record.record.envelope();
        let twice = seen.insert((envelope.stream, envelope.command_id.clone()), record.position);
        assert_eq!(twice, None, "command {} stands in the log twice", envelope.command_id);
    }
    records.len()
}

/// Everything that queries tell of an instance, as JSON.
pub(crate) fn told(engine: &BlockingEngine, id: &FlowInstanceId) -> serde_json::Value {
    fn json(answer: Result<impl serde::Serialize, EngineError>) -> serde_json::Value {
        serde_json::to_value(answer.expect("the query answers")).expect("an answer is JSON")
    }
    serde_json::json!([
        json(engine.get_flow_instance(id.clone())),
        json(engine.get_instance_data(id)),
        json(engine.get_history_user_task_list(id)),
        json(engine.get_history_element_list(id)),
    ])
}

/// Runs what must not hang: fails when it has not come to an end long after it should have.
pub(crate) fn without_hanging<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    let worker = thread::spawn(move || {
        let _ = sender.send(work());
    });
    match receiver.recv_timeout(Duration::from_secs(120)) {
        Ok(done) => {
            worker.join().expect("a worker that answered ends");
            done
        }
        Err(RecvTimeoutError::Timeout) => panic!("{what} hangs"),
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a worker that ends has answered"),
        },
    }
}
