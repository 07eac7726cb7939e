//! How fast a whole log is read: verified, folded, and taken into a new catalogue; records per second on one thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use flowledger::store::{EventStore, Offset, SledOptions, SledStore};
use flowledger::{AnyRecord, BackgroundVerification, Engine};
use flowledger_benches::load::{Target, give};
use flowledger_benches::process::cpu_time;
use flowledger_benches::workload::{Work, Workload};
use flowledger_engine_core::codec;
use flowledger_engine_core::decider::Decider;
use flowledger_engine_core::instance::{FlowInstance, FlowStatus};
use serde_json::json;

/// Clients that write the log.
const CLIENTS: usize = 64;
/// Records read at a time.
const BATCH: usize = 1_000;

/// Records per second of reading a whole log.
#[derive(Parser)]
struct Arguments {
    /// Records of the log.
    #[arg(long, default_value_t = 300_000)]
    records: usize,
    /// What wrote the log.
    #[arg(long, value_enum, default_value_t = Workload::Leave)]
    workload: Workload,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the files go.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What a way through the log took, of the best round.
struct Took {
    name: &'static str,
    seconds: f64,
    cpu_seconds: f64,
}

fn main() {
    let arguments = Arguments::parse();
    let directory = match &arguments.directory {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let directory = directory.expect("a directory");
    let path = directory.path().join("store");
    let work = Work::open(&path, SledOptions::default(), arguments.workload);
    let engine = work.engine().clone();
    let target: Arc<dyn Target> = Arc::new(work);
    give(&target, CLIENTS, 0, arguments.records);
    engine.blocking().close().expect("closed");
    drop((target, engine));

    let (mut records, mut events) = (0, 0);
    let mut ways: Vec<Took> = Vec::new();
    for _ in 0..arguments.rounds.max(1) {
        let store = SledStore::open(&path, SledOptions::default()).expect("the store");
        let mut decoded = (0, 0);
        note(&mut ways, "decode", || decoded = decode(&store));
        (records, events) = decoded;
        note(&mut ways, "fold", || {
            fold(&store, false);
        });
        note(&mut ways, "fold, all kept", || {
            fold(&store, true);
        });
        drop(store);
        let engine = Engine::builder()
            .data_dir(&path)
            .verify_in_background(BackgroundVerification::off());
        let engine = engine.open().expect("the store").blocking();
        note(&mut ways, "verify", || {
            let report = engine.verify_log(|_| ()).expect("a report");
            assert!(report.fault.is_none(), "{report:?}");
        });
        note(&mut ways, "certify", || {
            engine.certify(None, |_| ()).expect("a certificate");
        });
        note(&mut ways, "catalogue", || {
            engine.rebuild_catalogue().expect("a catalogue");
        });
        engine.close().expect("closed");
    }
    report(&arguments, records, events, &ways);
}

/// Keeps the better time of a way.
fn note(ways: &mut Vec<Took>, name: &'static str, way: impl FnOnce()) {
    let (begun, cpu) = (Instant::now(), cpu_time());
    way();
    let took = Took {
        name,
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: cpu_time().saturating_sub(cpu).as_secs_f64(),
    };
    match ways.iter_mut().find(|known| known.name == name) {
        Some(known) if known.seconds <= took.seconds => {}
        Some(known) => *known = took,
        None => ways.push(took),
    }
}

/// Tells every record of the log.
fn each(store: &SledStore, mut tell: impl FnMut(AnyRecord)) {
    let mut after = Offset::NONE;
    loop {
        let batch = pollster::block_on(store.read_partition(0, after, BATCH)).expect("records");
        let Some(last) = batch.last() else { return };
        after = last.offset;
        for stored in &batch {
            tell(codec::decode(&stored.record).expect("a record"));
        }
    }
}

/// Reads every record; says how many there are, with how many events.
fn decode(store: &SledStore) -> (u64, u64) {
    let (mut records, mut events) = (0, 0);
    each(store, |record| {
        records += 1;
        events += match record {
            AnyRecord::Instance(record) => record.events.len() as u64,
            AnyRecord::Module(record) => record.events.len() as u64,
        };
    });
    (records, events)
}

/// Folds every instance, in the order of the log. What has ended is let go of, unless all are kept to the end.
fn fold(store: &SledStore, keeps_all: bool) -> usize {
    let mut states: BTreeMap<[u8; 16], FlowInstance> = BTreeMap::new();
    let mut ended = 0;
    each(store, |record| {
        if let AnyRecord::Instance(record) = record {
            let stream = record.given.envelope.stream;
            let state = states.entry(stream).or_default();
            state.apply_record(&record);
            if !keeps_all && state.status() == FlowStatus::Completed {
                states.remove(&stream);
                ended += 1;
            }
        }
    });
    ended + states.len()
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn report(arguments: &Arguments, records: u64, events: u64, ways: &[Took]) {
    let (records_of, events_of) = (records as f64, events as f64);
    if arguments.json {
        let figures = ways.iter().map(|took| {
            let figure = json!({
                "records_per_s": records_of / took.seconds, "events_per_s": events_of / took.seconds,
                "cpu_us_per_record": took.cpu_seconds * 1e6 / records_of,
            });
            (took.name.to_owned(), figure)
        });
        let figures: serde_json::Map<_, _> = figures.collect();
        let object = json!({
            "workload": arguments.workload.name(), "records": records, "events": events, "ways": figures,
        });
        return println!("{object}");
    }
    println!(
        "{records} records, {events} events of the {} workload",
        arguments.workload.name()
    );
    println!(
        "{:>14} {:>12} {:>12} {:>14}",
        "", "records/s", "events/s", "cpu us/record"
    );
    for took in ways {
        println!(
            "{:>14} {:>12.0} {:>12.0} {:>14.2}",
            took.name,
            records_of / took.seconds,
            events_of / took.seconds,
            took.cpu_seconds * 1e6 / records_of
        );
    }
}
