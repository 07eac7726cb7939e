//! The parts of the engine, each as work that can be done again and again on one thread: for the benches of time and for the
//! count of instructions, which must measure the same.

use std::hint::black_box;
use std::sync::Arc;

use flowledger::expression::{CompiledExpression, DialectCalculator};
use flowledger::{AnyRecord, BackgroundVerification, BlockingEngine, Engine, Limits, ModelLimits, Profile};
use flowledger_engine_core::codec;
use flowledger_engine_core::context::{Answers, Context, IdSource, ModuleStanding};
use flowledger_engine_core::decider::{Decider, Decision};
use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::event::{InstanceEvent, InstanceRecord};
use flowledger_engine_core::instance::FlowInstance;
use flowledger_engine_core::model::parse;
use flowledger_engine_core::plug_in::PlugIns;
use flowledger_engine_core::variables::{InstanceData, Variables};
use flowledger_event_store::leaf_hash;

use crate::correction::{self, Correction};
use crate::workload::{LEAVE, Work, Workload};

/// One part.
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Makes the work, which can be repeated.
    pub make: fn() -> Repeated,
    /// How often it is done for one count of instructions.
    pub times: u64,
    /// Whether its instructions are counted; what takes long to make is not.
    pub is_counted: bool,
}

/// Work that can be repeated.
pub type Repeated = Box<dyn FnMut()>;

/// Every part.
pub const PARTS: &[Part] = &[
    part("parse the leave model", 10, parse_model),
    part("compile its conditions", 10, compile_model),
    part("evaluate a condition", 100, evaluate),
    part("decide a start", 100, || decide(0)),
    part("decide a commit through a gateway", 100, || decide(1)),
    part("decide a commit to the end", 100, || decide(2)),
    part("apply a record", 100, apply),
    part("encode a record", 100, encode),
    part("decode a record", 100, decode),
    part("hash a record", 100, hash),
    part("fold 10 records", 100, || fold(10)),
    part("fold 100 records", 10, || fold(100)),
    part("fold 1,000 records", 1, || fold(1_000)),
    Part {
        is_counted: false,
        ..part("fold 10,000 records", 1, || fold(10_000))
    },
    part("commit to an instance of 1,000 records", 20, commit_to_long),
    part("a leave instance through the engine", 100, || instance(Workload::Leave)),
    part("a parallel instance through the engine", 50, || {
        instance(Workload::Parallel)
    }),
    part("a calling instance through the engine", 50, || instance(Workload::Call)),
    part("a rolled back instance through the engine", 50, || {
        instance(Workload::Rollback)
    }),
    part("a long instance through the engine", 20, || instance(Workload::Long)),
    part("history of an instance of 100 records", 10, history),
    part("rollback targets of an instance of 100 records", 1, targets),
];

const fn part(name: &'static str, times: u64, make: fn() -> Repeated) -> Part {
    Part {
        name,
        make,
        times,
        is_counted: true,
    }
}

fn parse_model() -> Repeated {
    let limits = ModelLimits::default();
    Box::new(move || {
        black_box(parse::parse(black_box(LEAVE), &limits).expect("a good model"));
    })
}

fn compile_model() -> Repeated {
    Box::new(|| {
        for condition in ["days <= 3", "days > 3"] {
            black_box(CompiledExpression::compile(black_box(condition)).expect("a condition"));
        }
    })
}

fn evaluate() -> Repeated {
    let condition = CompiledExpression::compile("days >= 3 && amount < 1000.50 && !urgent").expect("a condition");
    let variables = Variables::default().merged(&[
        InstanceData::new("days", 5),
        InstanceData::new("amount", 700),
        InstanceData::new("urgent", false),
        InstanceData::new("applicant", "Lin"),
    ]);
    Box::new(move || assert!(condition.evaluate(black_box(&variables)).expect("an answer")))
}

/// The records of one leave instance.
fn leave_records() -> Vec<InstanceRecord> {
    let records = Workload::Leave.records();
    let commands = usize::try_from(Workload::Leave.commands()).unwrap_or(0);
    records.iter().take(commands).map(|bytes| read(bytes)).collect()
}

fn read(bytes: &[u8]) -> InstanceRecord {
    match codec::decode(bytes).expect("a record") {
        AnyRecord::Instance(record) => record,
        AnyRecord::Module(_) => unreachable!("the stream is an instance's"),
    }
}

/// The decision behind the record of this place, of a leave instance.
fn decide(place: usize) -> Repeated {
    let records = leave_records();
    let mut state = FlowInstance::default();
    for record in &records[..place] {
        state.apply_record(record);
    }
    let given = records[place].given.clone();
    let mut answers = Answers::default();
    for event in &records[0].events {
        if let InstanceEvent::FlowStarted {
            flow_deploy_id,
            flow_module_id,
            ..
        } = event
        {
            let deployment = Deployment::new(
                flow_deploy_id.clone(),
                flow_module_id.clone(),
                (None, None),
                parse::parse(LEAVE, &ModelLimits::default()).expect("a good model"),
                LEAVE.len(),
                Arc::new(DialectCalculator),
            );
            let standing = ModuleStanding::Online(Arc::new(deployment));
            answers.deployments.insert(flow_deploy_id.clone(), standing.clone());
            answers.latest.insert(flow_module_id.clone(), standing);
        }
    }
    let (limits, model_limits) = (Limits::default(), ModelLimits::default());
    Box::new(move || {
        let scope = given.envelope.id_scope();
        let context = Context {
            profile: Profile::Documented,
            limits: &limits,
            model_limits: &model_limits,
            ids: IdSource::Scope(scope),
            plug_ins: PlugIns::none(),
            has_hook: false,
            strict_tenancy: false,
            enforce_invariants: false,
            check_condition: &|_| Ok(()),
            answers: &answers,
        };
        let decision = state.decide(black_box(&given), &context);
        assert!(matches!(decision, Ok(Decision::Record { .. })));
    })
}

fn apply() -> Repeated {
    let records = leave_records();
    let mut before = FlowInstance::default();
    before.apply_record(&records[0]);
    Box::new(move || {
        let mut state = before.clone();
        state.apply_record(black_box(&records[1]));
        black_box(state);
    })
}

fn encode() -> Repeated {
    let record = leave_records().swap_remove(1);
    Box::new(move || {
        black_box(codec::encode_instance(black_box(&record)).expect("bytes"));
    })
}

fn decode() -> Repeated {
    let bytes = Workload::Leave.records().swap_remove(1);
    Box::new(move || {
        black_box(codec::decode(black_box(&bytes)).expect("a record"));
    })
}

fn hash() -> Repeated {
    let bytes = Workload::Leave.records().swap_remove(1);
    Box::new(move || {
        black_box(leaf_hash(black_box(&bytes)));
    })
}

fn fold(records: usize) -> Repeated {
    let (engine, correction) = corrected(records);
    let records = engine.instance_records(correction.instance).expect("records");
    let stream: Vec<Arc<[u8]>> = records.into_iter().map(|record| record.bytes).collect();
    Box::new(move || {
        let mut state = FlowInstance::default();
        for bytes in &stream {
            state.apply_record(&read(bytes));
        }
        black_box(state);
    })
}

/// An engine in memory whose background is quiet.
fn quiet_engine() -> Engine {
    let engine = Engine::builder()
        .in_memory()
        .verify_in_background(BackgroundVerification::off());
    engine.open().expect("an engine")
}

/// A request that was corrected until it has so many records.
fn corrected(records: usize) -> (BlockingEngine, Correction) {
    let engine = quiet_engine().blocking();
    let mut correction = Correction::start(&engine, &correction::deployed(&engine), 1);
    for _ in 1..records {
        correction.go_on(&engine);
    }
    (engine, correction)
}

/// One command more to a long instance; it grows by that.
fn commit_to_long() -> Repeated {
    let (engine, mut correction) = corrected(1_000);
    Box::new(move || correction.go_on(&engine))
}

/// All commands of one instance.
fn instance(workload: Workload) -> Repeated {
    let work = Work::on(quiet_engine(), workload).named();
    let mut number = 0;
    Box::new(move || {
        for _ in 0..workload.commands() {
            pollster::block_on(work.command(0, number));
            number += 1;
        }
    })
}

fn history() -> Repeated {
    let (engine, correction) = corrected(100);
    Box::new(move || {
        black_box(
            engine
                .get_history_element_list(&correction.instance)
                .expect("a history"),
        );
    })
}

fn targets() -> Repeated {
    let (engine, correction) = corrected(100);
    Box::new(move || {
        let targets = engine.get_rollback_targets(correction.instance.clone());
        black_box(targets.expect("targets"));
    })
}
