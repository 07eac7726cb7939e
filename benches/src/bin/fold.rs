//! How long it takes to fold a stream of a given length from its bytes in memory: decode every record and apply it.

use std::hint::black_box;
use std::time::Instant;

use clap::Parser;
use flowledger::{AnyRecord, CommitTaskParam, DeployModel, Engine, RollbackTaskParam, StartProcessParam};
use flowledger_engine_core::codec;
use flowledger_engine_core::decider::Decider;
use flowledger_engine_core::instance::FlowInstance;

/// A request that is corrected again and again: commits that lead on, rollbacks that lead back.
const MODEL: &str = r#"{"flowElementList":[
{"key":"start","type":2,"outgoing":["to_request"]},
{"key":"to_request","type":1,"incoming":["start"],"outgoing":["request"]},
{"key":"request","type":4,"incoming":["to_request","again"],"outgoing":["to_check"]},
{"key":"to_check","type":1,"incoming":["request"],"outgoing":["check"]},
{"key":"check","type":6,"incoming":["to_check"],"outgoing":["again","good"]},
{"key":"again","type":1,"incoming":["check"],"outgoing":["request"],"properties":{"conditionsequenceflow":"round < 1000000"}},
{"key":"good","type":1,"incoming":["check"],"outgoing":["end"],"properties":{"conditionsequenceflow":"round >= 1000000"}},
{"key":"end","type":3,"incoming":["good"]}]}"#;

/// Folds of streams from their bytes in memory.
#[derive(Parser)]
struct Arguments {
    /// Records of a stream.
    #[arg(long, default_values_t = [10, 50, 100, 1_000, 10_000])]
    records: Vec<usize>,
}

fn main() {
    println!("{:>8} {:>10} {:>12} {:>12}", "records", "bytes", "fold us", "us/record");
    for records in Arguments::parse().records {
        let stream = stream_of(records);
        let bytes: usize = stream.iter().map(|record| record.len()).sum();
        let times = (20_000 / records).clamp(5, 1_000);
        let mut took: Vec<f64> = (0..times)
            .map(|_| {
                let begun = Instant::now();
                black_box(fold(&stream));
                begun.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        took.sort_by(f64::total_cmp);
        let median = took[took.len() / 2];
        #[allow(clippy::cast_precision_loss, reason = "figures for people")]
        let each = median / records as f64;
        println!("{records:>8} {bytes:>10} {median:>12.1} {each:>12.2}");
    }
}

fn fold(stream: &[std::sync::Arc<[u8]>]) -> FlowInstance {
    let mut state = FlowInstance::default();
    for bytes in stream {
        match codec::decode(bytes).expect("a record") {
            AnyRecord::Instance(record) => state.apply_record(&record),
            AnyRecord::Module(_) => unreachable!("the stream is an instance's"),
        }
    }
    state
}

fn stream_of(records: usize) -> Vec<std::sync::Arc<[u8]>> {
    let engine = Engine::builder().open().expect("an engine").blocking();
    let module = engine
        .deploy_model(DeployModel::new("fold", MODEL))
        .expect("a good model")
        .flow_module_id;
    let start = StartProcessParam::of_module(module)
        .variable("applicant", "Lin")
        .variable("days", 3)
        .variable("reason", "family")
        .variable("urgent", false)
        .variable("department", "sales");
    let started = engine.start_process(start).expect("a start");
    let instance = started.flow_instance_id.expect("an instance");
    let mut task = started.active_task_instance.expect("a task").node_instance_id;
    for number in 1..records {
        let answer = if number % 10 == 9 {
            engine.rollback_task(RollbackTaskParam::new(&instance, &task))
        } else {
            let round = i64::try_from(number).expect("a small number");
            engine.commit_task(CommitTaskParam::new(&instance, &task).variable("round", round))
        };
        task = answer
            .expect("an answer")
            .active_task_instance
            .expect("a task")
            .node_instance_id;
    }
    engine
        .instance_records(instance)
        .expect("records")
        .into_iter()
        .map(|record| record.bytes)
        .collect()
}
