//! How long it takes to fold a stream of a given length from its bytes in memory: decode every record and apply it.

use std::hint::black_box;
use std::time::Instant;

use clap::Parser;
use flowledger::{AnyRecord, Engine};
use flowledger_benches::correction::{self, Correction};
use flowledger_engine_core::codec;
use flowledger_engine_core::decider::Decider;
use flowledger_engine_core::instance::FlowInstance;

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
    let mut correction = Correction::start(&engine, &correction::deployed(&engine));
    for _ in 1..records {
        correction.go_on(&engine);
    }
    engine
        .instance_records(correction.instance)
        .expect("records")
        .into_iter()
        .map(|record| record.bytes)
        .collect()
}
