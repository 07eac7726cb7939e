//! Compares the engine with the naive interpreter on random models and commands of every kind for a given time, and prints
//! seeds and counts as it goes.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use flowledger::testing::{FlowTest, Invariant, TestError, Words, models};
use flowledger_tests::differential::{drive, expect_same};
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{
    Case, calling_case, going_back_case, parallel_case, public_case, seeded, seeded_tree, serial_case,
    unstructured_case,
};
use flowledger_tests::prove::is_deployable;
use flowledger_tests::scenario::{Flow, Outcome, Profile, Session, Step};
use proptest::prelude::{BoxedStrategy, Strategy as _};
use proptest::strategy::ValueTree as _;
use serde_json::Value;

/// Smaller cases that are tried where engine and interpreter differ.
const MAX_SMALLER: usize = 5_000;
/// Runs of the kit on one model.
const KIT_RUNS: u32 = 20;
/// Most tasks of a model that the kit runs.
const KIT_TASKS: usize = 10;
/// Seconds from one line to the next.
const TOLD_EVERY: u64 = 30;

/// Random models and commands, engine against naive interpreter, for so many minutes.
#[derive(Parser)]
#[command(name = "soak")]
struct Arguments {
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Stop after so many seeds.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; each one makes one model with its commands.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this kind: serial, calling, parallel, going-back, public, unstructured or kit.
    #[arg(long)]
    kind: Option<String>,
    /// Threads.
    #[arg(long)]
    threads: Option<usize>,
    /// Compare with the interpreter of the other profile, to see that a difference is found.
    #[arg(long)]
    defect: bool,
}

/// Models and commands of one sort.
struct Kind {
    name: &'static str,
    /// How cases are drawn; `None` for what the kit runs on its own.
    cases: Option<BoxedStrategy<Case>>,
    profiles: &'static [Profile],
}

/// All kinds, or the one that is named.
fn kinds(only: Option<&str>) -> Vec<Kind> {
    let compared = |name, cases| Kind {
        name,
        cases: Some(cases),
        profiles: &Profile::ALL,
    };
    let all = vec![
        compared("serial", serial_case().boxed()),
        compared("calling", calling_case().boxed()),
        compared("parallel", parallel_case().boxed()),
        compared("going-back", going_back_case().boxed()),
        compared("public", public_case().boxed()),
        Kind {
            profiles: &[Profile::Documented],
            ..compared("unstructured", unstructured_case().boxed())
        },
        Kind {
            name: "kit",
            cases: None,
            profiles: &[Profile::Documented],
        },
    ];
    let is_asked = |kind: &Kind| only.is_none_or(|name| kind.name == name);
    all.into_iter().filter(is_asked).collect()
}

/// What was compared.
#[derive(Clone, Copy, Default)]
struct Counts {
    models: u64,
    /// Models that cannot be deployed, and are passed over.
    refused: u64,
    commands: u64,
    queries: u64,
    records: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.models += other.models;
        self.refused += other.refused;
        self.commands += other.commands;
        self.queries += other.queries;
        self.records += other.records;
    }

    fn told(&self) -> String {
        format!(
            "{} models, {} commands, {} queries, {} records",
            self.models, self.commands, self.queries, self.records
        )
    }
}

fn compare(case: &Case, profile: Profile, defect: bool) -> Result<Counts, String> {
    let other = Profile::ALL.into_iter().find(|other| *other != profile);
    let asked = other.filter(|_| defect).unwrap_or(profile);
    let mut session = Session::new(EngineSubject::new(asked, &case.hook_answer), &case.flows);
    let twins = twins(&case.flows);
    let mut counts = Counts::default();
    let mut follower = |step: &Step, oracle: &Outcome| {
        if step.op.is_command() {
            counts.commands += 1;
        } else {
            counts.queries += 1;
        }
        let (oracle, answer) = (
            with_one_name(oracle, &twins),
            with_one_name(&session.step(step), &twins),
        );
        expect_same(step, &oracle, &answer)
    };
    drive(case, profile, &mut follower)?;
    counts.records = session.subject.record_count();
    Ok(counts)
}

/// Sequence flows that lead from one node to the same one as another, each with one name for all of them; the flows of a case
/// share their names. Histories cannot always tell which of them was taken: the interpreter's not where one node chose between
/// them, the record not where a commit failed on its way.
fn twins(flows: &[Flow]) -> BTreeMap<String, String> {
    let mut twins = BTreeMap::new();
    for flow in flows {
        let mut first: BTreeMap<(String, String), String> = BTreeMap::new();
        let elements = flow.flow_model["flowElementList"].as_array();
        for element in elements.into_iter().flatten().filter(|element| element["type"] == 1) {
            let key = element["key"].as_str().unwrap_or_default().to_owned();
            let ends = (element["incoming"].to_string(), element["outgoing"].to_string());
            let first = first.entry(ends).or_insert_with(|| key.clone());
            let (one, other) = (name_of(&twins, first).to_owned(), name_of(&twins, &key).to_owned());
            if one != other {
                twins.insert(one.clone().max(other.clone()), one.min(other));
            }
        }
    }
    twins
}

/// The name of a sequence flow and its twins.
fn name_of<'k>(twins: &'k BTreeMap<String, String>, key: &'k str) -> &'k str {
    let mut name = key;
    while let Some(smaller) = twins.get(name) {
        name = smaller;
    }
    name
}

/// An answer in which twins have one name.
fn with_one_name(answer: &Outcome, twins: &BTreeMap<String, String>) -> Outcome {
    fn rename(value: &mut Value, twins: &BTreeMap<String, String>) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| rename(item, twins)),
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str() {
                        Some(key) if name == "modelKey" => *member = Value::from(name_of(twins, key)),
                        _ => rename(member, twins),
                    }
                }
            }
            _ => {}
        }
    }
    let mut answer = answer.clone();
    rename(&mut answer.normal, twins);
    answer
}

/// The same; a panic is a difference as well. Models that cannot be deployed are passed over.
fn compared(kind: &Kind, case: &Case, defect: bool) -> Result<Counts, String> {
    let mut counts = Counts::default();
    if kind.name == "unstructured" && !case.flows.iter().all(is_deployable) {
        counts.refused = 1;
        return Ok(counts);
    }
    for profile in kind.profiles {
        let done = catch_unwind(AssertUnwindSafe(|| compare(case, *profile, defect)));
        counts.add(done.unwrap_or_else(|_| Err(format!("({}) it panics on {case:?}", profile.name())))?);
    }
    counts.models = 1;
    Ok(counts)
}

/// What the kit watches of the engine, on a random model with commands of every kind.
fn watched(seed: u64) -> Result<Counts, String> {
    let model = seeded(&models(KIT_TASKS), seed);
    let words = Words {
        rollback: 6,
        rollback_to: 6,
        redo: 3,
        concurrent: 3,
        repeat: 3,
        restart: 2,
        ..Words::default()
    };
    let test = FlowTest::new(&model)
        .cases(KIT_RUNS)
        .commands(30)
        .seed(seed)
        .words(words)
        .with(Invariant::never_stuck())
        .with(Invariant::commits_go_on());
    match test.run() {
        Ok(ran) => Ok(Counts {
            models: 1,
            commands: ran.commands,
            records: ran.records,
            ..Counts::default()
        }),
        Err(TestError::Broken(broken)) => Err(format!("{broken}\n{model}")),
        Err(TestError::Engine(error)) => Err(format!("{error}\n{model}")),
    }
}

/// Runs one seed. An error is told with the smallest case.
fn run(kind: &Kind, seed: u64, defect: bool) -> Result<Counts, String> {
    let Some(cases) = &kind.cases else {
        return watched(seed);
    };
    let mut tree = seeded_tree(cases, seed);
    let case = tree.current();
    let problem = match compared(kind, &case, defect) {
        Ok(counts) => return Ok(counts),
        Err(problem) => problem,
    };
    let mut smallest = problem;
    for _ in 0..MAX_SMALLER {
        if !tree.simplify() {
            break;
        }
        loop {
            match compared(kind, &tree.current(), defect) {
                Err(problem) => {
                    smallest = problem;
                    break;
                }
                Ok(_) if tree.complicate() => {}
                Ok(_) => return Err(smallest),
            }
        }
    }
    Err(smallest)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if kinds(arguments.kind.as_deref()).is_empty() {
        eprintln!("there is no such kind");
        return ExitCode::from(2);
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64((arguments.minutes * 60.0).clamp(0.0, 1e9));
    let last = arguments
        .seeds
        .map_or(u64::MAX, |seeds| arguments.seed.saturating_add(seeds));
    let next = AtomicU64::new(arguments.seed);
    let is_over = AtomicBool::new(false);
    let told_at = AtomicU64::new(TOLD_EVERY);
    let counts: Mutex<BTreeMap<&str, Counts>> = Mutex::default();
    let problems: Mutex<Vec<(u64, &str, String)>> = Mutex::default();
    let work = || {
        let kinds = kinds(arguments.kind.as_deref());
        while !is_over.load(Ordering::Relaxed) && Instant::now() < end {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last {
                break;
            }
            let place = usize::try_from(seed).unwrap_or(usize::MAX) % kinds.len();
            let kind = &kinds[place];
            match run(kind, seed, arguments.defect) {
                Ok(done) => {
                    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                    counts.entry(kind.name).or_default().add(done);
                    let seconds = begun.elapsed().as_secs();
                    if seconds >= told_at.load(Ordering::Relaxed) {
                        told_at.store(seconds + TOLD_EVERY, Ordering::Relaxed);
                        println!("{seconds:>6} s, seed {seed}: {}", total(&counts).told());
                    }
                }
                Err(problem) => {
                    is_over.store(true, Ordering::Relaxed);
                    let mut problems = problems.lock().unwrap_or_else(PoisonError::into_inner);
                    problems.push((seed, kind.name, problem));
                }
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..arguments.threads.unwrap_or(cores).max(1) {
            scope.spawn(work);
        }
    });
    let counts = counts.into_inner().unwrap_or_else(PoisonError::into_inner);
    for (name, done) in &counts {
        let refused = match done.refused {
            0 => String::new(),
            refused => format!("; {refused} passed over"),
        };
        println!("{name:<12} {}{refused}", done.told());
    }
    let next = next.into_inner().min(last);
    println!(
        "seeds {} to {}, {:.0} s: {}",
        arguments.seed,
        next.saturating_sub(1),
        begun.elapsed().as_secs_f64(),
        total(&counts).told()
    );
    let mut problems = problems.into_inner().unwrap_or_else(PoisonError::into_inner);
    problems.sort();
    for (seed, kind, problem) in &problems {
        println!("seed {seed} (again: --kind {kind} --seed {seed} --seeds 1): {problem}");
    }
    if problems.is_empty() {
        println!("no difference");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn total(counts: &BTreeMap<&str, Counts>) -> Counts {
    let mut total = Counts::default();
    for done in counts.values() {
        total.add(*done);
    }
    total
}
