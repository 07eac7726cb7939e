//! `damage`: damages copies of closed and killed stores in every way it knows, opens each, and checks that what is missing or
//! changed is found: by the opening or by the verification of the log. No damage may pass in silence, panic or hang.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use clap::Parser;
use flowledger::{BlockingEngine, EngineError, FlowInstanceId, LogRecord, SalvageOptions, salvage};
use flowledger_tests::child::tell;
use flowledger_tests::damage::{KINDS, Kind, Sources, copy, damage, marked};
use flowledger_tests::dice::Dice;
use flowledger_tests::load::{Work, open, to_hex, work};
use serde::{Deserialize, Serialize};

/// How long a damaged store may take to be opened and read.
const PATIENCE: Duration = Duration::from_secs(120);

/// Damages copies of stores and checks that what is missing or changed is found.
#[derive(Parser)]
#[command(name = "damage")]
struct Arguments {
    /// Stores that are damaged.
    #[arg(long, default_value_t = 3_800)]
    damages: u64,
    /// Decides the stores and the damages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Commands of each process that works on a store before it is damaged.
    #[arg(long, default_value_t = 150)]
    commands: u64,
    /// Only the damage of this number.
    #[arg(long)]
    only: Option<u64>,
    /// Stores that are opened at the same time.
    #[arg(long, default_value_t = 2)]
    workers: u64,
    /// Trusts the openings and asks for no verification: there must be findings then.
    #[arg(long, hide = true)]
    blind: bool,
    /// What this program starts itself as.
    #[arg(long, hide = true, value_enum)]
    part: Option<Part>,
    #[arg(long, hide = true, default_value = ".")]
    dir: PathBuf,
    #[arg(long, hide = true, default_value = ".")]
    truth: PathBuf,
    #[arg(long, hide = true, default_value_t = 0)]
    round: u64,
    #[arg(long, hide = true, default_value_t = 0)]
    receipts: u64,
    #[arg(long, hide = true)]
    abruptly: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    /// Works on a store.
    Work,
    /// Tells what an undamaged store holds.
    Read,
    /// Checks a damaged store.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let dir = &arguments.dir;
    match arguments.part {
        Some(Part::Work) => work(
            dir,
            Work {
                seed: arguments.seed,
                round: arguments.round,
                clients: 6,
                commands: arguments.commands,
                receipts: arguments.receipts,
                large: 0,
                ends_abruptly: arguments.abruptly,
                backs_up: false,
            },
        ),
        Some(Part::Read) => match open(dir, 1 << 16).and_then(|engine| read(&engine)) {
            Ok(records) => println!("{}", json(&Truth::of(&records))),
            Err(error) => println!("{error}"),
        },
        Some(Part::Check) => {
            let truth = std::fs::read(&arguments.truth).expect("the truth can be read");
            let truth = serde_json::from_slice(&truth).expect("the truth is JSON");
            println!("{}", json(&check(dir, &truth, arguments.blind)));
        }
        None => return run(&arguments),
    }
    ExitCode::SUCCESS
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("this is JSON")
}

/// What a store held before it was damaged.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Truth {
    /// The leaf hash of every record.
    leaves: Vec<String>,
    /// The leaf hashes of each instance's records.
    instances: BTreeMap<String, Vec<String>>,
    /// How far the mark beside the log says that it surely goes.
    marked: u64,
}

impl Truth {
    fn of(records: &[LogRecord]) -> Self {
        let mut truth = Self::default();
        for record in records {
            let leaf = to_hex(&record.leaf);
            let envelope = record.record.envelope();
            if matches!(record.record, flowledger::AnyRecord::Instance(_)) {
                let id = uuid::Uuid::from_bytes(envelope.stream).to_string();
                truth.instances.entry(id).or_default().push(leaf.clone());
            }
            truth.leaves.push(leaf);
        }
        truth
    }
}

fn read(engine: &BlockingEngine) -> Result<Vec<LogRecord>, EngineError> {
    let mut records: Vec<LogRecord> = Vec::new();
    loop {
        let batch = engine.log_records(records.len() as u64, 1_000)?;
        if batch.is_empty() {
            return Ok(records);
        }
        records.extend(batch);
    }
}

/// What came of a damage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Outcome {
    /// The store was not opened.
    Refused,
    /// The verification has found it.
    Verified,
    /// All records are there as they were.
    Harmless,
    /// All records are there, and some query has said that it cannot read.
    ToldByQuery,
    /// Records are missing, all of them behind the mark.
    ShorterBehindMark,
    /// What must not be.
    Wrong(String),
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Refused => "refused at open",
            Self::Verified => "found by verify",
            Self::Harmless => "harmless",
            Self::ToldByQuery => "told by a query",
            Self::ShorterBehindMark => "shorter behind the mark",
            Self::Wrong(_) => "WRONG",
        }
    }
}

/// What came of a damage, and what salvage could bring out.
#[derive(Serialize, Deserialize)]
struct Verdict {
    outcome: Outcome,
    salvaged: Option<u64>,
}

fn check(dir: &Path, truth: &Truth, is_blind: bool) -> Verdict {
    let salvaged = salvaged(dir, truth);
    let outcome = match &salvaged {
        Err(what) => Outcome::Wrong(format!("salvage: {what}")),
        Ok(_) => opened(dir, truth, is_blind),
    };
    let salvaged = salvaged.unwrap_or(None);
    Verdict { outcome, salvaged }
}

/// The bytes of the files in a directory.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path()).filter(|path| path.is_file());
    files
        .map(|path| (path.clone(), std::fs::read(&path).unwrap_or_default()))
        .collect()
}

/// How many records salvage brings out of a damaged store, if it does; an error is a finding.
fn salvaged(dir: &Path, truth: &Truth) -> Result<Option<u64>, String> {
    let before = content(dir);
    let target = dir.with_extension("salvaged");
    let mut options = SalvageOptions::default();
    options.restore.accept_loss = true;
    let made = salvage(dir, &target, &options, |_| {});
    if content(dir) != before {
        return Err("it has changed the damaged store".into());
    }
    let report = match made {
        Ok(report) => report,
        Err(error) if [7800, 7803, 7007, 7008].contains(&error.err_code()) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let read = open(&target, 1 << 16).and_then(|engine| {
        let records = read(&engine)?;
        engine.close()?;
        Ok(records)
    });
    let _ = std::fs::remove_dir_all(&target);
    let leaves = Truth::of(&read.map_err(|error| format!("what it made: {error}"))?).leaves;
    // Of the bytes of another store it makes another log, and says that this one's records are missing.
    let is_told = !report.restored.is_same_log && (report.fault.is_some() || report.restored.missing.is_some());
    if !truth.leaves.starts_with(&leaves) && !is_told {
        return Err(format!(
            "it made another log of {} records, and reports {report:?}",
            leaves.len()
        ));
    }
    let has = leaves.len() as u64;
    if has < truth.marked && report.fault.is_none() && report.restored.missing.is_none() && report.notes.is_empty() {
        let marked = truth.marked;
        return Err(format!(
            "it brought {has} records of {marked} that are marked, and reports no loss"
        ));
    }
    Ok(Some(has))
}

fn opened(dir: &Path, truth: &Truth, is_blind: bool) -> Outcome {
    let engine = match open(dir, 1 << 16) {
        Ok(engine) => engine,
        // Damage, another format, another log's key, or a file that is gone: each with words.
        Err(error) if [7800, 7803, 7007, 7008].contains(&error.err_code()) && error.detail().len() > 20 => {
            return Outcome::Refused;
        }
        Err(error) => return Outcome::Wrong(format!("refused in another way: {error}")),
    };
    let outcome = look(&engine, truth, is_blind);
    let closed = engine.close();
    drop(engine);
    if let (Outcome::Harmless, Err(error)) = (&outcome, closed) {
        return Outcome::Wrong(format!("it opens, and does not close: {error}"));
    }
    if matches!(outcome, Outcome::Harmless | Outcome::ToldByQuery) {
        // Nothing is lost by having been opened and closed.
        match open(dir, 1 << 16).and_then(|engine| read(&engine)) {
            Ok(records) if Truth::of(&records).leaves == truth.leaves => {}
            Ok(records) => return Outcome::Wrong(format!("opened again it has {} records", records.len())),
            Err(error) => return Outcome::Wrong(format!("it opens once and not again: {error}")),
        }
    }
    outcome
}

fn look(engine: &BlockingEngine, truth: &Truth, is_blind: bool) -> Outcome {
    let found = read(engine);
    if !is_blind {
        match engine.verify_log(|_| {}) {
            Ok(report) if report.fault.is_none() => {
                // What nothing beside the log proves is told.
                let read = report.records;
                let signed = report.checkpoints.iter().map(|checkpoint| checkpoint.size).max();
                let known = truth.marked.max(signed.unwrap_or(0));
                let is_told = report
                    .unproven
                    .is_some_and(|unproven| unproven.from <= known + 1 && unproven.to == read);
                if read > known && !is_told {
                    let unproven = report.unproven;
                    return Outcome::Wrong(format!(
                        "{read} records, {known} are proven, told as not proven: {unproven:?}"
                    ));
                }
            }
            Ok(_) => return Outcome::Verified,
            Err(error) if error.err_code() == 7800 => return Outcome::Verified,
            Err(error) => return Outcome::Wrong(format!("verification failed: {error}")),
        }
    }
    let leaves = match found {
        Ok(records) => Truth::of(&records).leaves,
        Err(error) => return Outcome::Wrong(format!("verification finds nothing, reading says: {error}")),
    };
    if leaves.len() < truth.leaves.len() && truth.leaves.starts_with(&leaves) {
        if (leaves.len() as u64) < truth.marked {
            let (has, marked) = (leaves.len(), truth.marked);
            return Outcome::Wrong(format!("a shorter log in silence: {has} records, {marked} are marked"));
        }
        return Outcome::ShorterBehindMark;
    }
    if leaves != truth.leaves {
        return Outcome::Wrong(format!(
            "another log in silence: {} records of {}",
            leaves.len(),
            truth.leaves.len()
        ));
    }
    let mut is_told = false;
    for (id, leaves) in &truth.instances {
        match engine.instance_records(FlowInstanceId::new(id)) {
            Ok(records) => {
                let found: Vec<_> = records.iter().map(|record| to_hex(&record.leaf)).collect();
                if found != *leaves {
                    let (found, expected) = (found.len(), leaves.len());
                    return Outcome::Wrong(format!("instance {id} has {found} records of {expected} in silence"));
                }
            }
            Err(error) if error.err_code() == 7800 => is_told = true,
            Err(error) => return Outcome::Wrong(format!("instance {id}: {error}")),
        }
    }
    if is_told {
        Outcome::ToldByQuery
    } else {
        Outcome::Harmless
    }
}

/// A store to be damaged.
struct Subject {
    name: &'static str,
    store: PathBuf,
    earlier: PathBuf,
    foreign: PathBuf,
    truth: PathBuf,
}

fn run(arguments: &Arguments) -> ExitCode {
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let base = temporary.path();
    let subjects = match subjects(arguments, base) {
        Ok(subjects) => subjects,
        Err(error) => {
            println!("the stores: {error}");
            return ExitCode::from(2);
        }
    };
    println!(
        "seed {}, {} damages to {} stores",
        arguments.seed,
        arguments.damages,
        subjects.len()
    );
    let next = AtomicU64::new(0);
    let [salvaged, lost, records] = [0, 0, 0].map(AtomicU64::new);
    let (salvaged, lost, records) = (&salvaged, &lost, &records);
    let figures: Mutex<BTreeMap<(Kind, &'static str), u64>> = Mutex::default();
    let wrong: Mutex<Vec<String>> = Mutex::default();
    thread::scope(|scope| {
        for worker in 0..arguments.workers.max(1) {
            let (next, figures, wrong, subjects) = (&next, &figures, &wrong, &subjects);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.damages {
                        return;
                    }
                    if arguments.only.is_some_and(|only| only != number) {
                        continue;
                    }
                    let copy = base.join(format!("copy-{worker}"));
                    let (kind, told, verdict) = try_one(arguments, subjects, number, &copy);
                    let _ = std::fs::remove_dir_all(copy.with_extension("salvaged"));
                    let outcome = verdict.outcome;
                    if outcome == Outcome::Refused {
                        let count = if verdict.salvaged.is_some() { salvaged } else { lost };
                        count.fetch_add(1, Ordering::Relaxed);
                        records.fetch_add(verdict.salvaged.unwrap_or(0), Ordering::Relaxed);
                    }
                    let _ = std::fs::remove_dir_all(&copy);
                    if let Outcome::Wrong(what) = &outcome {
                        let what = format!("--seed {} --only {number}: {told}: {what}", arguments.seed);
                        wrong.lock().expect("a lock").push(what);
                    }
                    if arguments.only.is_some() {
                        println!("{told}: {outcome:?}");
                    }
                    *figures
                        .lock()
                        .expect("a lock")
                        .entry((kind, outcome.name()))
                        .or_default() += 1;
                }
            });
        }
    });
    let figures = figures.into_inner().expect("a lock");
    let wrong = wrong.into_inner().expect("a lock");
    for kind in KINDS {
        let of_kind = figures.iter().filter(|((of, _), _)| *of == kind);
        let told: Vec<_> = of_kind
            .map(|((_, outcome), count)| format!("{outcome} {count}"))
            .collect();
        if !told.is_empty() {
            println!("{:<17} {}", format!("{kind:?}"), told.join(", "));
        }
    }
    for wrong in wrong.iter().take(20) {
        println!("fault: {wrong}");
    }
    let total = |name: &str| {
        let counts = figures.iter().filter(|((_, outcome), _)| *outcome == name);
        counts.map(|(_, count)| count).sum::<u64>()
    };
    println!(
        "of the stores that were refused, {} were salvaged, with {} records, and {} were not",
        salvaged.load(Ordering::Relaxed),
        records.load(Ordering::Relaxed),
        lost.load(Ordering::Relaxed)
    );
    println!(
        "damages {}, refused at open {}, found by verify {}, told by a query {}, harmless {}, shorter behind the mark {}, faults {}",
        figures.values().sum::<u64>(),
        total("refused at open"),
        total("found by verify"),
        total("told by a query"),
        total("harmless"),
        total("shorter behind the mark"),
        wrong.len()
    );
    if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn try_one(arguments: &Arguments, subjects: &[Subject], number: u64, into: &Path) -> (Kind, String, Verdict) {
    let failed = |what: String| Verdict {
        outcome: Outcome::Wrong(what),
        salvaged: None,
    };
    let mut dice = Dice::of(arguments.seed, number);
    let kind = KINDS[usize::try_from(number).unwrap_or(0) % KINDS.len()];
    let subject = &subjects[dice.index(subjects.len())];
    let sources = Sources {
        foreign: &subject.foreign,
        earlier: &subject.earlier,
    };
    let damaged = copy(&subject.store, into).and_then(|()| damage(into, kind, sources, &mut dice));
    let told = match damaged {
        Ok(told) => format!("{} store, {kind:?}, {told}", subject.name),
        Err(error) => return (kind, subject.name.to_owned(), failed(format!("damaging: {error}"))),
    };
    let mut child = vec!["--part=check".to_owned(), format!("--dir={}", into.display())];
    child.push(format!("--truth={}", subject.truth.display()));
    if arguments.blind {
        child.push("--blind".into());
    }
    let verdict = match tell(&child, PATIENCE) {
        Ok(said) => serde_json::from_str(said.trim()).unwrap_or_else(|error| failed(format!("{error}: {said}"))),
        Err(what) => failed(what),
    };
    (kind, told, verdict)
}

/// The stores: closed ones, killed ones, with and without proofs, and one that was never opened a second time.
fn subjects(arguments: &Arguments, base: &Path) -> Result<Vec<Subject>, String> {
    let live = |store: &Path, round: u64, receipts: u64, abruptly: bool| {
        let mut child = vec!["--part=work".to_owned(), format!("--dir={}", store.display())];
        child.extend([format!("--seed={}", arguments.seed), format!("--round={round}")]);
        child.extend([
            format!("--commands={}", arguments.commands),
            format!("--receipts={receipts}"),
        ]);
        if abruptly {
            child.push("--abruptly".into());
        }
        tell(&child, PATIENCE).map(drop)
    };
    let foreign = base.join("foreign");
    live(&foreign, 90, 10, false)?;
    live(&foreign, 91, 10, false)?;
    let mut subjects = Vec::new();
    let kinds = [
        ("closed", 10, false, true),
        ("killed", 10, true, true),
        ("closed, without proofs", 0, false, true),
        ("killed, never opened again", 10, true, false),
    ];
    for (number, (name, receipts, abruptly, has_past)) in (0_u64..).zip(kinds) {
        let store = base.join(format!("store-{number}"));
        let mut earlier = foreign.clone();
        if has_past {
            live(&store, number * 10, receipts, false)?;
            earlier = base.join(format!("earlier-{number}"));
            copy(&store, &earlier).map_err(|error| error.to_string())?;
        }
        live(&store, number * 10 + 1, receipts, abruptly)?;
        // Reading writes, too: it reads a copy.
        let whole = base.join("whole");
        copy(&store, &whole).map_err(|error| error.to_string())?;
        let said = tell(&["--part=read".into(), format!("--dir={}", whole.display())], PATIENCE)?;
        std::fs::remove_dir_all(&whole).map_err(|error| error.to_string())?;
        let mut held: Truth = serde_json::from_str(&said).map_err(|error| format!("{error}: {said}"))?;
        held.marked = marked(&store).map_err(|error| error.to_string())?;
        println!(
            "{name}: {} records in {} instances, {} marked",
            held.leaves.len(),
            held.instances.len(),
            held.marked
        );
        let truth = base.join(format!("truth-{number}.json"));
        std::fs::write(&truth, json(&held)).map_err(|error| error.to_string())?;
        let foreign = foreign.clone();
        subjects.push(Subject {
            name,
            store,
            earlier,
            foreign,
            truth,
        });
    }
    Ok(subjects)
}
