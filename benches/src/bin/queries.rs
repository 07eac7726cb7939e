//! What queries cost: of an instance of fixed length in logs of several sizes, and of instances of several lengths in one
//! log. Cold, an engine that has just been opened folds the instance from the store; warm, it has it in memory.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use flowledger::store::{SledOptions, SledStore, Store};
use flowledger::{BlockingEngine, Engine};
use flowledger_benches::correction::{self, Correction};
use flowledger_benches::load::{Target, give};
use flowledger_benches::workload::{Work, Workload};
use serde_json::json;

/// Records of the instance that is asked about while the log grows.
const FIXED_RECORDS: usize = 20;
/// Clients that write the log.
const CLIENTS: usize = 64;

/// Time of each query by the size of the log and by the length of the stream.
#[derive(Parser)]
struct Arguments {
    /// Records of the log, and of the stream.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000])]
    records: Vec<usize>,
    /// How often each query is asked, at most.
    #[arg(long, default_value_t = 201)]
    samples: usize,
    /// Seconds after which a query is not asked again.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Where the files go.
    #[arg(long)]
    directory: Option<std::path::PathBuf>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// A query of the API document, or of our own.
struct Query {
    name: &'static str,
    ask: fn(&BlockingEngine, &Correction),
}

const QUERIES: [Query; 6] = [
    Query {
        name: "getHistoryUserTaskList",
        ask: |engine, asked| {
            black_box(engine.get_history_user_task_list(&asked.instance).expect("tasks"));
        },
    },
    Query {
        name: "getHistoryElementList",
        ask: |engine, asked| {
            black_box(engine.get_history_element_list(&asked.instance).expect("elements"));
        },
    },
    Query {
        name: "getInstanceData",
        ask: |engine, asked| {
            black_box(engine.get_instance_data(&asked.instance).expect("data"));
        },
    },
    Query {
        // The first task: the one that is furthest from the end.
        name: "getNodeInstance",
        ask: |engine, asked| {
            let node = engine.get_node_instance(&asked.instance, asked.first.clone());
            black_box(node.expect("a node"));
        },
    },
    Query {
        name: "getFlowInstance",
        ask: |engine, asked| {
            black_box(engine.get_flow_instance(asked.instance.clone()).expect("a flow"));
        },
    },
    Query {
        name: "getRollbackTargets",
        ask: |engine, asked| {
            black_box(engine.get_rollback_targets(asked.instance.clone()).expect("targets"));
        },
    },
];

/// A store, and the instance to ask about.
struct Case {
    store: Store,
    asked: Correction,
}

impl Case {
    /// The median in microseconds of a query that an engine answers first of all.
    fn cold(&self, query: &Query, arguments: &Arguments) -> f64 {
        median(arguments, || {
            let engine = engine_on(&self.store);
            let begun = Instant::now();
            (query.ask)(&engine, &self.asked);
            begun.elapsed()
        })
    }

    /// The median in microseconds of a query that an engine has answered before.
    fn warm(&self, query: &Query, arguments: &Arguments) -> f64 {
        let engine = engine_on(&self.store);
        (query.ask)(&engine, &self.asked);
        median(arguments, || {
            let begun = Instant::now();
            (query.ask)(&engine, &self.asked);
            begun.elapsed()
        })
    }
}

fn main() {
    let arguments = Arguments::parse();
    let directory = match &arguments.directory {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let directory = directory.expect("a directory");
    let open = |name: String| -> Store {
        let store = SledStore::open(directory.path().join(name), SledOptions::default());
        store.expect("a new store").into()
    };
    let logs: Vec<Case> = arguments
        .records
        .iter()
        .map(|records| in_log_of(open(format!("log of {records}")), *records))
        .collect();
    report(
        &arguments,
        "log",
        &format!("an instance of {FIXED_RECORDS} records"),
        &logs,
    );
    drop(logs);
    let streams = in_one_log(&open("streams".to_owned()), &arguments.records);
    report(&arguments, "stream", "one log of all these instances", &streams);
}

/// An instance of fixed length in a log of so many other records, spread over it.
fn in_log_of(store: Store, records: usize) -> Case {
    let engine = engine_on(&store);
    let leave: Arc<dyn Target> = Arc::new(Work::on(engine.engine().clone(), Workload::Leave));
    let mut asked = Correction::start(&engine, &correction::deployed(&engine), 1);
    let mut written = 0;
    for number in 1..FIXED_RECORDS {
        let upto = records * number / (FIXED_RECORDS - 1);
        give(&leave, CLIENTS, written, upto);
        written = upto;
        asked.go_on(&engine);
    }
    Case { store, asked }
}

/// Instances of several lengths in one log.
fn in_one_log(store: &Store, lengths: &[usize]) -> Vec<Case> {
    let engine = engine_on(store);
    let module = correction::deployed(&engine);
    lengths
        .iter()
        .map(|length| {
            let mut asked = Correction::start(&engine, &module, *length as u64);
            for _ in 1..*length {
                asked.go_on(&engine);
            }
            Case {
                store: store.clone(),
                asked,
            }
        })
        .collect()
}

fn engine_on(store: &Store) -> BlockingEngine {
    Engine::builder()
        .store(store.clone())
        .open()
        .expect("an engine")
        .blocking()
}

fn median(arguments: &Arguments, mut once: impl FnMut() -> Duration) -> f64 {
    let begun = Instant::now();
    let mut took = Vec::new();
    while took.len() < 3 || (took.len() < arguments.samples && begun.elapsed().as_secs_f64() < arguments.seconds) {
        took.push(once());
    }
    took.sort_unstable();
    took[took.len() / 2].as_secs_f64() * 1e6
}

/// Asks everything, and prints a line for each query: the medians by size, and their ratios to the first.
fn report(arguments: &Arguments, grows: &str, beside: &str, cases: &[Case]) {
    if !arguments.json {
        println!("median us by records of the {grows} ({beside}); in parentheses the ratio to the first");
        print!("{:>22} {:>5}", "", "");
        for records in &arguments.records {
            print!(" {records:>18}");
        }
        println!();
    }
    for query in &QUERIES {
        for cache in ["cold", "warm"] {
            let medians: Vec<f64> = cases
                .iter()
                .map(|case| match cache {
                    "cold" => case.cold(query, arguments),
                    _ => case.warm(query, arguments),
                })
                .collect();
            let first = medians.first().copied().unwrap_or(1.0);
            if !arguments.json {
                print!("{:>22} {cache:>5}", query.name);
            }
            for (records, median) in arguments.records.iter().zip(&medians) {
                let ratio = median / first;
                if arguments.json {
                    let line = json!({
                        "grows": grows, "records": records, "query": query.name, "cache": cache,
                        "median_us": median, "ratio": ratio,
                    });
                    println!("{line}");
                } else {
                    print!(" {:>18}", format!("{median:.1} ({ratio:.1})"));
                }
            }
            if !arguments.json {
                println!();
            }
        }
    }
}
