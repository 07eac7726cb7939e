//! `failing_disk`: lets every n-th call to the system fail under a working engine, for every n, and fills a small disk under
//! it: what was acknowledged is there afterwards, and the engine goes on or says that it does not.
//!
//! Failing calls need strace, which makes them fail at the border to the system, whoever makes them: the log, the mark, the
//! key, checkpoints, snapshots. The small disk needs the right to mount one. What cannot be had is skipped, with a word; the
//! exit status is 0 then, or 3 with `--demand`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{IoSlice, Write};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use flowledger::{
    BlockingEngine, CommitTaskParam, EngineError, FlowInstanceId, FlowModuleId, HealthState, NodeInstanceId,
    ReceiptParam, StartProcessParam,
};
use flowledger_tests::child::{tell, this};
use flowledger_tests::dice::Dice;
use flowledger_tests::kept::Kept;
use flowledger_tests::load::{Command, Line, deploy, open, to_hex};
use flowledger_tests::trace;
use serde::{Deserialize, Serialize};

/// How long a part may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long an engine that recovers by itself is waited for.
const RECOVERY: Duration = Duration::from_secs(10);

/// How often a command is repeated, and a store opened, before that is given up.
const TRIES: u32 = 4;

/// Instances of two records each: with more than 64 records there is a full tile of the Merkle tree.
const INSTANCES: u32 = 34;

/// Calls that are made to fail, and with which error.
const CALLS: [(&str, &str); 9] = [
    ("pwrite64", "ENOSPC"),
    ("write", "ENOSPC"),
    ("fdatasync", "EIO"),
    ("fsync", "EIO"),
    ("rename,renameat,renameat2", "EIO"),
    ("link,linkat", "EIO"),
    ("unlink,unlinkat", "EIO"),
    ("ftruncate", "EIO"),
    ("mkdir,mkdirat", "ENOSPC"),
];

/// Lets calls to the system fail, and the disk fill up, under a working engine.
#[derive(Parser)]
#[command(name = "failing_disk")]
struct Arguments {
    /// Of the calls of each kind, only every so many-th is made to fail.
    #[arg(long, default_value_t = 1)]
    step: usize,
    /// Disks that are filled.
    #[arg(long, default_value_t = 20)]
    rounds: u64,
    /// Decides the sizes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this kind of call, by the first of its names.
    #[arg(long)]
    call: Option<String>,
    /// Claims an answer that was never given: there must be a finding then.
    #[arg(long, hide = true)]
    forge: bool,
    /// Fails where something cannot be had.
    #[arg(long)]
    demand: bool,
    /// What this program starts itself as.
    #[arg(long, hide = true, value_enum)]
    part: Option<Part>,
    #[arg(long, hide = true, default_value = ".")]
    dir: PathBuf,
    #[arg(long, hide = true, default_value = ".")]
    said: PathBuf,
    /// A file that is in the way until there shall be room.
    #[arg(long, hide = true)]
    filler: Option<PathBuf>,
    #[arg(long, hide = true)]
    reopen: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    /// Works on a data directory.
    Work,
    /// Works until the disk is full, and on when there is room again.
    Fill,
    /// Compares a data directory with what was said.
    Check,
}

/// What a working process says.
#[derive(Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Told {
    Said(Line),
    /// A command without an answer.
    Unanswered(String, i32),
    /// A proof that could not be had.
    Unproven(i32),
    /// The disk is full.
    Full,
    /// There is room again, and the store has come back after so many milliseconds.
    Back(u128),
    /// It does not go on, and says why.
    GaveUp(String),
    Done,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let said = || Said::new(&arguments.said);
    match arguments.part {
        Some(Part::Work) => work(&arguments.dir, &said()),
        Some(Part::Fill) => {
            let filler = arguments.filler.clone().unwrap_or_default();
            fill(&arguments.dir, &said(), &filler, arguments.reopen);
        }
        Some(Part::Check) => {
            let told = std::fs::read_to_string(&arguments.said).expect("what was said can be read");
            let verdict = check(&arguments.dir, &told, arguments.forge);
            println!("{}", serde_json::to_string(&verdict).expect("this is JSON"));
        }
        None => return run(&arguments),
    }
    ExitCode::SUCCESS
}

/// Where a process says what it does. It must not be hit by the failures, so it makes another call than all others.
struct Said(Mutex<File>);

impl Said {
    fn new(path: &Path) -> Self {
        let file = File::options().create(true).append(true).open(path);
        Self(Mutex::new(file.expect("the file can be written")))
    }

    fn say(&self, told: &Told) {
        let mut line = serde_json::to_string(told).expect("this is JSON");
        line.push('\n');
        let mut file = self.0.lock().expect("a lock");
        let written = file.write_vectored(&[IoSlice::new(line.as_bytes())]);
        assert_eq!(written.ok(), Some(line.len()), "a line is said as a whole");
    }

    fn fault(&self, what: String) {
        self.say(&Told::Said(Line::Fault(what)));
    }
}

/// Whether an error says that the store does not take or confirm anything now.
fn is_unavailable(error: &EngineError) -> bool {
    error.err_code() == 7008 || error.err_code_ext() == Some(7008)
}

/// An engine that is opened again as often as it refuses.
struct Worker<'s> {
    dir: PathBuf,
    engine: Option<BlockingEngine>,
    said: &'s Said,
}

impl<'s> Worker<'s> {
    /// `None`: the store cannot be opened, which was said.
    fn new(dir: &Path, said: &'s Said) -> Option<Self> {
        let mut worker = Self {
            dir: dir.to_owned(),
            engine: None,
            said,
        };
        worker.open().then_some(worker)
    }

    fn open(&mut self) -> bool {
        // The old one lets go first.
        self.engine = None;
        for last in (0..TRIES).rev() {
            match open(&self.dir, 16) {
                Ok(engine) => {
                    self.engine = Some(engine);
                    return true;
                }
                Err(error) if !is_unavailable(&error) => self.said.fault(format!("opening: {error}")),
                Err(error) if last == 0 => self.said.say(&Told::GaveUp(error.to_string())),
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
        false
    }

    /// Waits for the store to come back by itself, or opens it again where it says that it will not.
    fn get_over_it(&mut self) -> bool {
        let begun = Instant::now();
        while let Some(engine) = &self.engine {
            match engine.engine().health().state {
                HealthState::Ready => return true,
                HealthState::Reopening if begun.elapsed() < RECOVERY => thread::sleep(Duration::from_millis(2)),
                HealthState::Reopening => {
                    let why = engine.engine().health().why.unwrap_or_default();
                    self.said.say(&Told::GaveUp(format!("it goes on reopening: {why}")));
                    return false;
                }
                HealthState::Refusing | HealthState::Closed => {
                    let _ = engine.close();
                    return self.open();
                }
            }
        }
        false
    }

    /// Works with the engine until that is answered, or given up. `None` then.
    fn give<T>(&mut self, id: &str, give: impl Fn(&BlockingEngine) -> Result<T, EngineError>) -> Option<T> {
        for _ in 0..TRIES {
            match give(self.engine.as_ref()?) {
                Ok(answer) => return Some(answer),
                Err(error) if is_unavailable(&error) => {
                    self.said.say(&Told::Unanswered(id.to_owned(), error.err_code()));
                    if !self.get_over_it() {
                        return None;
                    }
                }
                Err(error) => {
                    self.said.fault(format!("{id}: {error}"));
                    return None;
                }
            }
        }
        self.said.say(&Told::GaveUp(format!("{id} was given {TRIES} times")));
        None
    }

    fn command(&mut self, command: &Command) -> Option<serde_json::Value> {
        self.said.say(&Told::Said(Line::Given(command.clone())));
        let answer = self.give(&command.id(), |engine| command.give(engine))?;
        self.said.say(&Told::Said(Line::Answered(command.id(), answer.clone())));
        Some(answer)
    }

    /// A receipt and a checkpoint; both may be refused, and then they are not asked for again.
    fn prove(&mut self, instance: &FlowInstanceId, id: &str) {
        let Some(engine) = &self.engine else { return };
        let proven = engine
            .receipt_of(ReceiptParam::of_instance(instance).command_id(id))
            .and_then(|receipt| {
                let key = engine.public_key()?;
                self.said.say(&Told::Said(Line::Receipt {
                    key: key.clone(),
                    position: receipt.position,
                    record: to_hex(&receipt.record),
                    proof: receipt.proof,
                }));
                let note = engine.checkpoint()?.note;
                self.said.say(&Told::Said(Line::Checkpoint { key, note }));
                Ok(())
            });
        match proven {
            Ok(()) => {}
            Err(error) if is_unavailable(&error) => self.said.say(&Told::Unproven(error.err_code())),
            Err(error) => self.said.fault(format!("proving {id}: {error}")),
        }
    }

    fn close(mut self) {
        if let Some(engine) = self.engine.take() {
            // An error at closing is one that is told; everything acknowledged is there all the same.
            let _ = engine.close();
        }
        self.said.say(&Told::Done);
    }
}

fn start(module: &FlowModuleId, id: &str, text: &str) -> Command {
    let start = StartProcessParam::of_module(module.clone()).variable("n", 0);
    Command::Start(start.variable("text", text).command_id(id))
}

fn ids(answer: &serde_json::Value) -> Option<(FlowInstanceId, NodeInstanceId)> {
    let instance = answer["flowInstanceId"].as_str().map(FlowInstanceId::new)?;
    let task = answer["activeTaskInstance"]["nodeInstanceId"]
        .as_str()
        .map(NodeInstanceId::new)?;
    Some((instance, task))
}

/// Some commands, with proofs between them.
fn work(dir: &Path, said: &Said) {
    let Some(mut worker) = Worker::new(dir, said) else {
        return;
    };
    let Some(module) = worker.give("deploy", deploy) else {
        return;
    };
    for number in 0..INSTANCES {
        let command = start(&module, &format!("start-{number}"), "some text");
        let Some(answer) = worker.command(&command) else { return };
        let Some((instance, task)) = ids(&answer) else {
            return said.fault(format!("no task: {answer}"));
        };
        if number % 8 == 0 || number + 4 > INSTANCES {
            worker.prove(&instance, &command.id());
        }
        let commit = CommitTaskParam::new(&instance, &task).variable("n", 5);
        // Now and then more than a frame holds.
        let commit = commit.variable("long", "x".repeat(if number % 5 == 0 { 5_000 } else { 50 }));
        let command = Command::Commit(commit.command_id(&format!("commit-{number}")));
        if worker.command(&command).is_none() {
            return;
        }
    }
    worker.close();
}

/// Works until the disk is full; then nothing is answered, nothing hangs, and all goes on when there is room.
fn fill(dir: &Path, said: &Said, filler: &Path, reopen: bool) {
    let Some(mut worker) = Worker::new(dir, said) else {
        return;
    };
    let Some(module) = worker.give("deploy", deploy) else {
        return;
    };
    let mut dice = Dice::new(dir.as_os_str().len() as u64);
    let mut refused = Vec::new();
    for number in 0..100_000 {
        let Some(engine) = &worker.engine else { return };
        let text = "x".repeat(1 + dice.index(8_000));
        let command = start(&module, &format!("fill-{number}"), &text);
        said.say(&Told::Said(Line::Given(command.clone())));
        match command.give(engine) {
            Ok(answer) => {
                let instance = answer["flowInstanceId"].as_str().map(FlowInstanceId::new);
                said.say(&Told::Said(Line::Answered(command.id(), answer)));
                if let Some(instance) = instance.filter(|_| number % 10 == 0) {
                    worker.prove(&instance, &command.id());
                }
            }
            Err(error) if is_unavailable(&error) => {
                said.say(&Told::Unanswered(command.id(), error.err_code()));
                refused.push(command);
                if refused.len() > 5 {
                    break;
                }
            }
            Err(error) => return said.fault(format!("{}: {error}", command.id())),
        }
    }
    if refused.is_empty() {
        return said.fault("the disk was never full".into());
    }
    said.say(&Told::Full);
    if reopen {
        // Closed and opened while there is no room: it opens, or says why not.
        if let Some(engine) = worker.engine.take() {
            let _ = engine.close();
        }
        match open(dir, 16) {
            Ok(engine) => drop(engine.close()),
            Err(error) if is_unavailable(&error) => {}
            Err(error) => said.fault(format!("opening on a full disk: {error}")),
        }
    }
    let begun = Instant::now();
    if let Err(error) = std::fs::remove_file(filler) {
        return said.fault(format!("removing the filler: {error}"));
    }
    if worker.engine.is_none() && !worker.open() {
        return;
    }
    if !worker.get_over_it() {
        return said.fault("there is room, and it does not go on".into());
    }
    said.say(&Told::Back(begun.elapsed().as_millis()));
    for command in &refused {
        if worker.command(command).is_none() {
            return said.fault(format!("{}: there is room, and it has no answer", command.id()));
        }
    }
    for number in 0..20 {
        let command = start(&module, &format!("after-{number}"), "some text");
        let Some(answer) = worker.command(&command) else {
            return said.fault(format!("{}: there is room, and it has no answer", command.id()));
        };
        if let Some((instance, _)) = ids(&answer) {
            worker.prove(&instance, &command.id());
        }
    }
    worker.close();
}

/// What came of one run.
#[derive(Default, Serialize, Deserialize)]
struct Verdict {
    acknowledged: u64,
    unanswered: u64,
    unanswered_and_there: u64,
    kept: u64,
    unproven: u64,
    /// Milliseconds until the store was back.
    back: Option<u128>,
    went_on: bool,
    gave_up: Option<String>,
    faults: Vec<String>,
}

/// Opens the store without failures and compares.
fn check(dir: &Path, told: &str, forge: bool) -> Verdict {
    let mut verdict = Verdict::default();
    let mut kept = Kept::default();
    let mut given = BTreeMap::new();
    let mut answered = BTreeMap::new();
    let mut unanswered = BTreeSet::new();
    for line in told.lines() {
        match serde_json::from_str(line) {
            Ok(Told::Said(Line::Given(command))) => drop(given.insert(command.id(), command)),
            Ok(Told::Said(Line::Answered(id, answer))) => drop(answered.insert(id, answer)),
            Ok(Told::Said(Line::Fault(what))) => verdict.faults.push(what),
            Ok(Told::Said(line)) => verdict.faults.extend(kept.keep(&line).err()),
            Ok(Told::Unanswered(id, _)) => drop(unanswered.insert(id)),
            Ok(Told::Unproven(_)) => verdict.unproven += 1,
            Ok(Told::Back(after)) => verdict.back = Some(after),
            Ok(Told::GaveUp(why)) => verdict.gave_up = Some(why),
            Ok(Told::Done) => verdict.went_on = true,
            Ok(Told::Full) => {}
            Err(error) => verdict.faults.push(format!("{error}: {line}")),
        }
    }
    if forge {
        answered.insert("never given".into(), serde_json::json!({ "version": 1 }));
    }
    verdict.acknowledged = answered.len() as u64;
    verdict.unanswered = unanswered.len() as u64;
    verdict.kept = (kept.receipts() + kept.checkpoints()) as u64;
    if !verdict.went_on && verdict.gave_up.is_none() && verdict.faults.is_empty() {
        verdict
            .faults
            .push("it neither went on nor said that it does not".into());
    }
    let compared = open(dir, 1 << 16).and_then(|engine| {
        compare(&engine, &given, &answered, &mut kept, &mut verdict)?;
        engine.close()
    });
    if let Err(error) = compared {
        verdict.faults.push(format!("afterwards: {error}"));
    }
    verdict
}

fn compare(
    engine: &BlockingEngine,
    given: &BTreeMap<String, Command>,
    answered: &BTreeMap<String, serde_json::Value>,
    kept: &mut Kept,
    verdict: &mut Verdict,
) -> Result<(), EngineError> {
    let read = |engine: &BlockingEngine| -> Result<_, EngineError> {
        let (mut leaves, mut ids) = (Vec::new(), BTreeMap::new());
        while let batch = engine.log_records(leaves.len() as u64, 1_000)?
            && !batch.is_empty()
        {
            for record in batch {
                leaves.push(record.leaf);
                let envelope = record.record.envelope();
                let count: &mut (u64, u64) = ids.entry(envelope.command_id.to_string()).or_default();
                *count = (count.0 + 1, envelope.version);
            }
        }
        Ok((leaves, ids))
    };
    let (leaves, ids) = read(engine)?;
    if let Some(fault) = engine.verify_log(|_| {})?.fault {
        verdict
            .faults
            .push(format!("position {}: {}", fault.position, fault.what));
    }
    for (id, answer) in answered {
        let version = answer["version"].as_u64().unwrap_or(0);
        if ids.get(id) != Some(&(1, version)) {
            let found = ids.get(id);
            verdict.faults.push(format!(
                "{id} was acknowledged as version {version}, and there is {found:?}"
            ));
        }
    }
    verdict.faults.extend(kept.check(&leaves, engine, true));
    // Whoever repeats a command has it done once, whether it was answered or not.
    for (id, command) in given {
        verdict.unanswered_and_there += u64::from(ids.contains_key(id) && !answered.contains_key(id));
        let (first, second) = (command.give(engine)?, command.give(engine)?);
        if first != second || answered.get(id).is_some_and(|answer| *answer != first) {
            verdict.faults.push(format!("{id} was answered in two ways"));
        }
    }
    let (_, ids) = read(engine)?;
    for (id, (count, _)) in ids {
        if count != 1 {
            verdict.faults.push(format!("{id} is on the record {count} times"));
        }
    }
    Ok(())
}

/// Figures of one kind of failure.
#[derive(Default)]
struct Figures {
    runs: u64,
    went_on: u64,
    gave_up: u64,
    acknowledged: u64,
    unanswered: u64,
    unanswered_and_there: u64,
    kept: u64,
    unproven: u64,
    slowest: u128,
    faults: Vec<String>,
}

impl Figures {
    fn add(&mut self, name: &str, verdict: Verdict) {
        self.runs += 1;
        self.went_on += u64::from(verdict.went_on);
        self.gave_up += u64::from(verdict.gave_up.is_some());
        self.acknowledged += verdict.acknowledged;
        self.unanswered += verdict.unanswered;
        self.unanswered_and_there += verdict.unanswered_and_there;
        self.kept += verdict.kept;
        self.unproven += verdict.unproven;
        self.slowest = self.slowest.max(verdict.back.unwrap_or(0));
        let faults = verdict.faults.into_iter().map(|what| format!("{name}: {what}"));
        self.faults.extend(faults);
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "runs {}, went on {}, said that they do not {}, acknowledged {}, unanswered {} ({} of them on the record when given \
             up), proofs {}, proofs refused {}, back after at most {} ms, faults {}",
            self.runs,
            self.went_on,
            self.gave_up,
            self.acknowledged,
            self.unanswered,
            self.unanswered_and_there,
            self.kept,
            self.unproven,
            self.slowest,
            self.faults.len()
        )
    }
}

fn run(arguments: &Arguments) -> ExitCode {
    let mut all = Figures::default();
    let mut is_skipped = false;
    println!(
        "seed {}, step {}, {} full disks",
        arguments.seed, arguments.step, arguments.rounds
    );
    match trace::is_possible() {
        Ok(()) => {
            let wanted = |name: &str| {
                arguments
                    .call
                    .as_ref()
                    .is_none_or(|call| name.split(',').any(|name| name == call))
            };
            for (calls, error) in CALLS.iter().filter(|(calls, _)| wanted(calls)) {
                for lasts in [false, true] {
                    let figures = fail(arguments, calls, error, lasts);
                    let how = if lasts {
                        "every call from the n-th on"
                    } else {
                        "the n-th call"
                    };
                    println!("{calls} {error}, {how}: {figures}");
                    all.faults.extend(figures.faults);
                    all.runs += figures.runs;
                }
            }
        }
        Err(why) => {
            is_skipped = true;
            println!("skipped: failing calls need strace (apt-get install strace), {why}");
        }
    }
    if arguments.rounds > 0 {
        match full_disks(arguments) {
            Ok(figures) => {
                println!("full disk: {figures}");
                all.faults.extend(figures.faults);
                all.runs += figures.runs;
            }
            Err(why) => {
                is_skipped = true;
                println!("skipped: a small disk needs the right to mount one (root), {why}");
            }
        }
    }
    for fault in all.faults.iter().take(20) {
        println!("fault: {fault}");
    }
    println!("runs {}, faults {}", all.runs, all.faults.len());
    match (all.faults.is_empty(), is_skipped && arguments.demand) {
        (false, _) => ExitCode::FAILURE,
        (true, true) => ExitCode::from(3),
        (true, false) => ExitCode::SUCCESS,
    }
}

/// Lets the n-th call of these kinds fail in every thread, for every n that some thread comes to.
fn fail(arguments: &Arguments, calls: &str, error: &str, lasts: bool) -> Figures {
    let mut figures = Figures::default();
    for nth in (1..).step_by(arguments.step.max(1)) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (store, said, log) = ["store", "said", "log"].map(|name| directory.path().join(name)).into();
        let when = if lasts { "+" } else { "" };
        let child = Process::new("strace")
            .args(["-f", "-qq", "--seccomp-bpf", "-e", "signal=none", "-e"])
            .arg(format!("trace={calls}"))
            .arg("-e")
            .arg(format!("inject={calls}:error={error}:when={nth}{when}"))
            .arg("-o")
            .arg(&log)
            .arg(this())
            .args(["--part=work", "--dir"])
            .arg(&store)
            .arg("--said")
            .arg(&said)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let name = format!("{calls} {error} at {nth}{when}");
        let ended = child.map_err(|error| error.to_string()).and_then(within_time);
        let failed = std::fs::read(&log).unwrap_or_default();
        let failed = String::from_utf8_lossy(&failed).matches("(INJECTED)").count();
        let mut verdict = judge(&store, &said, arguments.forge);
        verdict.faults.extend(ended.err());
        figures.add(&name, verdict);
        if failed == 0 || !figures.faults.is_empty() && figures.runs > 200 {
            break;
        }
    }
    figures
}

fn within_time(mut child: std::process::Child) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("the process ended with {status}")),
            None if begun.elapsed() > PATIENCE => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the process hung for {PATIENCE:?}"));
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    }
}

/// Checks in a process of its own.
fn judge(store: &Path, said: &Path, forge: bool) -> Verdict {
    let mut arguments = vec!["--part=check".to_owned(), format!("--dir={}", store.display())];
    arguments.push(format!("--said={}", said.display()));
    if forge {
        arguments.push("--forge".into());
    }
    let failed = |what: String| Verdict {
        faults: vec![format!("checking: {what}")],
        ..Verdict::default()
    };
    match tell(&arguments, PATIENCE) {
        Ok(told) => serde_json::from_str(told.trim()).unwrap_or_else(|error| failed(format!("{error}: {told}"))),
        Err(what) => failed(what),
    }
}

/// A small disk, unmounted when it is dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn of(kib: u64) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mounted = Process::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(directory.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self(directory)),
            Ok(output) => Err(format!("mount: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(format!("mount: {error}")),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg(self.0.path()).output();
    }
}

fn full_disks(arguments: &Arguments) -> Result<Figures, String> {
    let mut figures = Figures::default();
    for round in 0..arguments.rounds {
        let mut dice = Dice::of(arguments.seed, round);
        let (room, more) = (600 + dice.below(2_500), 24_000);
        let disk = Disk::of(room + more)?;
        let filler = disk.0.path().join("filler");
        let kib = usize::try_from(more).unwrap_or(0) * 1024;
        std::fs::write(&filler, vec![1; kib]).map_err(|error| error.to_string())?;
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (store, said) = (disk.0.path().join("store"), directory.path().join("said"));
        let mut child = vec!["--part=fill".to_owned(), format!("--dir={}", store.display())];
        child.push(format!("--said={}", said.display()));
        child.push(format!("--filler={}", filler.display()));
        if dice.percent(50) {
            child.push("--reopen".into());
        }
        let ended = tell(&child, PATIENCE);
        let mut verdict = judge(&store, &said, arguments.forge);
        verdict.faults.extend(ended.err());
        if !verdict.went_on && verdict.faults.is_empty() {
            // Too small a disk even for the beginning.
            let why = verdict.gave_up.clone().unwrap_or_default();
            println!("round {round}, {room} KiB: {why}");
        }
        figures.add(&format!("full disk, round {round}, {room} KiB"), verdict);
    }
    Ok(figures)
}
