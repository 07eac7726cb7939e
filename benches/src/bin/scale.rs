//! What grows with the number of instances and what does not: latency of commits and queries, time to open, memory, disk. Each step is a
//! process of its own, so that memory is that of an engine with just this history.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use flowledger::store::SledOptions;
use flowledger::{BlockingEngine, CommitTaskParam, Engine, FlowInstanceId, InstanceFilter, ListParam, NodeInstanceId};
use flowledger_benches::load::{Target, give};
use flowledger_benches::process::{disk_bytes, resident_bytes};
use flowledger_benches::workload::{Work, Workload};
use serde_json::{Value, json};

/// Clients that write the log.
const CLIENTS: usize = 64;
/// The first of the clients that start an instance and leave it alone.
const LEAVING: u64 = 1 << 32;
/// Commands that are on their way into the log before the engine is killed.
const BEFORE_KILL: usize = 60_000;
/// How often a store in its first life is opened for each of the figures.
const FIRST_LIVES: usize = 3;

/// What grows with the number of finished leave instances.
#[derive(Parser)]
struct Arguments {
    /// Instances, growing.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000, 1_000_000])]
    instances: Vec<usize>,
    /// How often each latency is taken.
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Where the files go.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Records of a store that is opened for the first time since it was created, after a clean close and after a kill; 0:
    /// not measured.
    #[arg(long, default_value_t = 1_000_000)]
    first_life: usize,
    /// Print one JSON object a line, one for each number of instances and one for the first life.
    #[arg(long)]
    json: bool,
    /// What this process does: how the program calls itself.
    #[arg(long, hide = true, value_enum)]
    step: Option<Step>,
    /// Commands before the engine says that it is at work.
    #[arg(long, hide = true, default_value_t = BEFORE_KILL)]
    commands: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Step {
    /// Writes instances from the first number to the second, and leaves some open.
    Fill,
    /// Opens and measures.
    Measure,
    /// Opens only.
    Open,
    /// Works until it is killed.
    Work,
}

fn main() {
    let arguments = Arguments::parse();
    if let (Some(step), Some(directory)) = (arguments.step, &arguments.directory) {
        let told = match step {
            Step::Fill => fill(directory, &arguments),
            Step::Measure => measure(directory, &arguments),
            Step::Open => open(directory),
            Step::Work => work(directory, arguments.commands),
        };
        return println!("{told}");
    }
    let directory = match &arguments.directory {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let directory = directory.expect("a directory");
    let mut before = 0;
    for instances in &arguments.instances {
        let step = |step: Step| told(child(directory.path(), step, &arguments, before, *instances));
        let mut figures = json!({ "instances": instances });
        let mut take_in = |told: Value| {
            if let (Value::Object(figures), Value::Object(told)) = (&mut figures, told) {
                figures.extend(told);
            }
        };
        take_in(step(Step::Fill));
        take_in(step(Step::Measure));
        take_in(json!({ "reopened_resident_bytes": step(Step::Open)["resident_bytes"] }));
        kill(child(directory.path(), Step::Work, &arguments, before, *instances));
        let killed = step(Step::Open);
        take_in(json!({ "open_killed_ms": killed["open_ms"], "records_when_killed": killed["records"] }));
        before = *instances;
        print(&arguments, &figures);
    }
    if arguments.first_life > 0 {
        print(&arguments, &first_life(&arguments));
    }
}

/// How long a store takes to open that has never been opened since it was created, and what it holds in memory then.
fn first_life(arguments: &Arguments) -> Value {
    let mut lives: [Vec<Value>; 2] = Default::default();
    for _ in 0..FIRST_LIVES {
        for (is_killed, lives) in [false, true].into_iter().zip(&mut lives) {
            let directory = match &arguments.directory {
                Some(parent) => tempfile::tempdir_in(parent),
                None => tempfile::tempdir(),
            };
            let directory = directory.expect("a directory");
            let each = usize::try_from(Workload::Leave.commands()).unwrap_or(1);
            let step = |step: Step| {
                child(
                    directory.path(),
                    step,
                    arguments,
                    0,
                    arguments.first_life.div_ceil(each),
                )
            };
            if is_killed {
                let mut work = step(Step::Work);
                work.arg("--commands").arg(arguments.first_life.to_string());
                kill(work);
            } else {
                told(step(Step::Fill));
            }
            lives.push(told(step(Step::Open)));
        }
    }
    let [closed, killed] = lives.map(|lives| {
        let median = |name: &str| {
            let mut figures: Vec<f64> = lives.iter().filter_map(|life| life[name].as_f64()).collect();
            figures.sort_by(f64::total_cmp);
            figures.get(figures.len() / 2).copied()
        };
        json!({
            "records": median("records"), "open_ms": median("open_ms"), "resident_bytes": median("resident_bytes"),
        })
    });
    json!({ "first_life": arguments.first_life, "closed": closed, "killed": killed })
}

/// This program again, to do one step.
fn child(directory: &Path, step: Step, arguments: &Arguments, before: usize, instances: usize) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    let name = step
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned());
    child.arg("--step").arg(name).arg("--directory").arg(directory);
    child.arg("--instances").arg(format!("{before},{instances}"));
    child.arg("--samples").arg(arguments.samples.to_string());
    child
}

fn told(mut child: Command) -> Value {
    let output = child.stderr(Stdio::inherit()).output().expect("a step");
    assert!(output.status.success(), "a step failed");
    serde_json::from_slice(&output.stdout).expect("what the step tells")
}

/// Kills a process (signal 9) when it says that it is at work.
fn kill(mut child: Command) {
    let mut child = child.stdout(Stdio::piped()).spawn().expect("a step");
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line).expect("a word");
    }
    child.kill().expect("a kill");
    child.wait().expect("an end");
}

fn store(directory: &Path) -> PathBuf {
    directory.join("store")
}

fn opened(directory: &Path) -> Engine {
    Engine::builder().data_dir(store(directory)).open().expect("a store")
}

/// The file with the instances that were left open, and their tasks.
fn left(directory: &Path) -> PathBuf {
    directory.join("left.json")
}

fn fill(directory: &Path, arguments: &Arguments) -> Value {
    let &[before, instances] = arguments.instances.as_slice() else {
        unreachable!("the program calls itself with two numbers");
    };
    let work = Arc::new(Work::open(&store(directory), SledOptions::default(), Workload::Leave));
    let target: Arc<dyn Target> = work.clone();
    // Whole instances of every client; those that stay open are spread over them.
    let each = usize::try_from(Workload::Leave.commands()).unwrap_or(1) * CLIENTS;
    let commands = (instances - before).div_ceil(CLIENTS) * each;
    let begun = Instant::now();
    let mut written = 0;
    for sample in 0..arguments.samples {
        let upto = commands * (sample + 1) / arguments.samples / each * each;
        give(&target, CLIENTS, written, upto);
        written = upto;
        pollster::block_on(work.command(LEAVING + sample as u64, 0));
    }
    give(&target, CLIENTS, written, commands);
    let took = begun.elapsed();
    let open: Vec<(String, String)> = (0..arguments.samples)
        .filter_map(|sample| {
            let position = work.position(LEAVING + sample as u64)?;
            Some((position.instance.to_string(), position.tasks.front()?.to_string()))
        })
        .collect();
    std::fs::write(left(directory), json!(open).to_string()).expect("a file");
    let resident = resident_bytes();
    let closing = Instant::now();
    work.engine().blocking().close().expect("closed");
    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    let per_s = commands as f64 / took.as_secs_f64();
    json!({
        "fill_per_s": per_s, "filled_resident_bytes": resident, "close_ms": ms(closing.elapsed()),
        "disk_bytes": disk_bytes(&store(directory)),
    })
}

fn measure(directory: &Path, arguments: &Arguments) -> Value {
    let begun = Instant::now();
    let engine = opened(directory);
    let open = begun.elapsed();
    let opened_resident = resident_bytes();
    let text = std::fs::read_to_string(left(directory)).expect("the file");
    let left: Vec<(String, String)> = serde_json::from_str(&text).expect("pairs");
    let blocking = engine.blocking();
    let instance = |sample: usize| FlowInstanceId::from(left[sample].0.as_str());
    // Half of those left open are asked about first, the other half gets its first touch by a commit.
    let half = left.len() / 2;
    let query_cold = median_us(0..half, |sample| {
        blocking.get_history_element_list(instance(sample)).expect("a history");
    });
    let query_warm = median_us(0..half, |sample| {
        blocking.get_history_element_list(instance(sample)).expect("a history");
    });
    let commit_cold = latency_us(half..left.len(), |sample| {
        commit(
            &blocking,
            &instance(sample),
            &NodeInstanceId::from(left[sample].1.as_str()),
        );
    });
    let list = median_us(0..half, |_| {
        let filter = InstanceFilter {
            status: Some(2),
            ..InstanceFilter::default()
        };
        blocking
            .list_flow_instances(&filter, ListParam::default())
            .expect("a list");
    });
    let work = Work::on(engine, Workload::Leave);
    for sample in 0..arguments.samples {
        pollster::block_on(work.command(sample as u64, 0));
    }
    let commit_recent = latency_us(0..arguments.samples, |sample| {
        pollster::block_on(work.command(sample as u64, 1));
    });
    let start = latency_us(0..arguments.samples, |sample| {
        pollster::block_on(work.command(LEAVING + sample as u64, 0));
    });
    let resident = resident_bytes();
    work.engine().blocking().close().expect("closed");
    json!({
        "open_ms": ms(open), "opened_resident_bytes": opened_resident, "used_resident_bytes": resident,
        "commit_recent_p50_us": commit_recent.0, "commit_recent_p99_us": commit_recent.1,
        "commit_cold_p50_us": commit_cold.0, "commit_cold_p99_us": commit_cold.1,
        "start_p50_us": start.0, "start_p99_us": start.1,
        "history_cold_us": query_cold, "history_warm_us": query_warm, "list_running_us": list,
    })
}

fn commit(engine: &BlockingEngine, instance: &FlowInstanceId, task: &NodeInstanceId) {
    let commit = CommitTaskParam::new(instance, task).variable("complete", true);
    engine.commit_task(commit).expect("a commit");
}

fn open(directory: &Path) -> Value {
    let begun = Instant::now();
    let engine = opened(directory);
    let open = begun.elapsed();
    let resident = resident_bytes();
    // The records that the last process left, and what deploying adds.
    let records = engine.health().durable;
    engine.blocking().close().expect("closed");
    json!({ "open_ms": ms(open), "records": records, "resident_bytes": resident })
}

fn work(directory: &Path, commands: usize) -> Value {
    let work: Arc<dyn Target> = Arc::new(Work::open(&store(directory), SledOptions::default(), Workload::Leave));
    give(&work, CLIENTS, 0, commands);
    println!("at work");
    give(&work, CLIENTS, commands, usize::MAX);
    Value::Null
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The median and the 99th percentile of what each sample takes.
fn latency_us(samples: std::ops::Range<usize>, mut once: impl FnMut(usize)) -> (f64, f64) {
    let mut took: Vec<f64> = samples
        .map(|sample| {
            let begun = Instant::now();
            once(sample);
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let at = |per_cent: usize| took.get((took.len() * per_cent / 100).min(took.len().saturating_sub(1)));
    (at(50).copied().unwrap_or(0.0), at(99).copied().unwrap_or(0.0))
}

fn median_us(samples: std::ops::Range<usize>, once: impl FnMut(usize)) -> f64 {
    latency_us(samples, once).0
}

fn print(arguments: &Arguments, figures: &Value) {
    if arguments.json {
        return println!("{figures}");
    }
    let Value::Object(figures) = figures else { return };
    println!();
    for (name, figure) in figures {
        let Value::Object(parts) = figure else {
            println!("{name:>24} {:>16.0}", figure.as_f64().unwrap_or(0.0));
            continue;
        };
        for (part, figure) in parts {
            println!(
                "{:>24} {:>16.0}",
                format!("{name} {part}"),
                figure.as_f64().unwrap_or(0.0)
            );
        }
    }
}
