//! `crash`: kills a working engine at random moments, opens its store again, and checks that nothing it said is lost.
//!
//! A child process runs many clients on one growing data directory and tells every command before it gives it and every
//! answer after it got it. The parent kills the child, reads the log and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use clap::Parser;
use flowledger::{AnyRecord, BlockingEngine, EngineError};
use flowledger_tests::dice::Dice;
use flowledger_tests::kept::Kept;
use flowledger_tests::load::{Command, Line, Work, open, work};
use serde_json::Value;

/// Kills a working engine at random moments and checks that nothing it answered is lost.
#[derive(Parser)]
#[command(name = "crash")]
struct Arguments {
    /// How often the engine is killed.
    #[arg(long, default_value_t = 200)]
    rounds: u64,
    /// Decides the load and the moments of the kills.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The data directory; a temporary one when absent.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Clients that work at the same time.
    #[arg(long, default_value_t = 16)]
    clients: u64,
    /// Of a hundred answered commands so many are asked a receipt for.
    #[arg(long, default_value_t = 3)]
    receipts: u64,
    /// Puts the engine under load until it is killed; what the parent starts.
    #[arg(long, hide = true)]
    child: Option<u64>,
    /// Opens the data directory, says `held`, and keeps it until its input ends.
    #[arg(long, hide = true)]
    hold: bool,
    /// Claims an answer that was never given; a checker that checks must then fail.
    #[arg(long, hide = true)]
    forge: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.hold {
        return hold(arguments.dir.as_deref().unwrap_or(Path::new(".")));
    }
    if let (Some(round), Some(dir)) = (arguments.child, &arguments.dir) {
        let Arguments {
            seed,
            clients,
            receipts,
            ..
        } = arguments;
        let commands = u64::MAX;
        work(
            dir,
            Work {
                seed,
                round,
                clients,
                commands,
                receipts,
                large: 0,
                ends_abruptly: false,
                backs_up: false,
            },
        );
        return ExitCode::SUCCESS;
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    let dir = arguments.dir.clone().unwrap_or_else(|| temporary.path().join("store"));
    println!(
        "seed {}, {} rounds, {} clients, {}",
        arguments.seed,
        arguments.rounds,
        arguments.clients,
        dir.display()
    );
    let mut ledger = Ledger::default();
    for round in 0..arguments.rounds {
        let mut dice = Dice::of(arguments.seed, round);
        // Now and then a store that was never closed cleanly is killed again.
        for kill in 0..=u64::from(dice.percent(30)) {
            let lines = run_and_kill(
                &arguments,
                &dir,
                round * 2 + kill,
                Duration::from_millis(20 + dice.below(881)),
            );
            ledger.hear(&lines);
        }
        if arguments.forge && round + 1 == arguments.rounds {
            ledger.forge();
        }
        ledger.check(&dir, round, round + 1 == arguments.rounds);
        if (round + 1) % 20 == 0 {
            println!("{ledger}");
        }
    }
    println!("{ledger}");
    for fault in ledger.faults.iter().take(20) {
        println!("fault: {fault}");
    }
    if ledger.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn hold(dir: &Path) -> ExitCode {
    match open(dir, 1_000) {
        Ok(_engine) => {
            println!("held");
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Starts a child, kills it after a while, and returns what it said.
fn run_and_kill(arguments: &Arguments, dir: &Path, round: u64, after: Duration) -> Vec<String> {
    let mut child = Process::new(std::env::current_exe().expect("this program has a path"))
        .args(["--child", &round.to_string(), "--seed", &arguments.seed.to_string()])
        .args(["--receipts", &arguments.receipts.to_string()])
        .args(["--clients", &arguments.clients.to_string(), "--dir"])
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts");
    let output = child.stdout.take().expect("the child's output is piped");
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = BufReader::new(output).read_to_end(&mut text);
        text
    });
    thread::sleep(after);
    child.kill().expect("the child can be killed");
    child.wait().expect("the child ends");
    let text = reader.join().expect("the reader ends");
    // A line without an end was not said.
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    text[..whole]
        .lines()
        .map(|line| line.expect("the child speaks UTF-8"))
        .collect()
}

/// What the log was seen to hold.
#[derive(Default)]
struct Seen {
    /// The leaf hash of every record.
    leaves: Vec<[u8; 32]>,
    /// The version at which each command stands.
    versions: BTreeMap<String, u64>,
    /// The version each stream has come to.
    heads: BTreeMap<[u8; 16], u64>,
}

impl Seen {
    /// Reads on; versions must be dense, records whole, each command there once.
    fn read_on(&mut self, engine: &BlockingEngine, faults: &mut Vec<String>) -> Result<(), EngineError> {
        loop {
            let batch = engine.log_records(self.leaves.len() as u64, 1_000)?;
            if batch.is_empty() {
                return Ok(());
            }
            for entry in batch {
                self.leaves.push(entry.leaf);
                let envelope = entry.record.envelope();
                let head = self.heads.entry(envelope.stream).or_default();
                *head += 1;
                let is_empty = match &entry.record {
                    AnyRecord::Module(record) => record.events.is_empty(),
                    AnyRecord::Instance(record) => record.events.is_empty(),
                };
                if envelope.version != *head || entry.position != self.leaves.len() as u64 || is_empty {
                    faults.push(format!("position {} is not dense or not whole", entry.position));
                }
                let id = envelope.command_id.to_string();
                if self.versions.insert(id.clone(), envelope.version).is_some() {
                    faults.push(format!("{id} is on the record twice"));
                }
            }
        }
    }

    /// Whether the log still holds what was seen: its last record, or all of it.
    fn is_there(&self, engine: &BlockingEngine, now: &Self) -> Result<bool, EngineError> {
        if now.leaves.len() > self.leaves.len() {
            return Ok(now.leaves.starts_with(&self.leaves));
        }
        let Some(last) = self.leaves.last() else {
            return Ok(true);
        };
        let found = engine.log_records(self.leaves.len() as u64 - 1, 1)?;
        Ok(found.first().is_some_and(|record| record.leaf == *last))
    }
}

/// What was said, and what was found, over all rounds.
#[derive(Default)]
struct Ledger {
    rounds: u64,
    acknowledged: BTreeMap<String, u64>,
    /// Answers of this round.
    answers: BTreeMap<String, (Command, Value)>,
    /// Commands of this round without an answer.
    open: BTreeMap<String, Command>,
    /// Those of them after which a later child may have gone on with the instance.
    overtaken: BTreeSet<String>,
    refused: BTreeSet<String>,
    /// The log as it was seen last.
    seen: Seen,
    unanswered: u64,
    unanswered_and_there: u64,
    lost: BTreeSet<String>,
    /// The receipts and checkpoints that were handed out.
    kept: Kept,
    faults: Vec<String>,
}

impl std::fmt::Display for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "rounds {}, acknowledged {}, unanswered {} ({} of them on the record), records {}, receipts {}, checkpoints {}, \
             lost {}, faults {}",
            self.rounds,
            self.acknowledged.len(),
            self.unanswered,
            self.unanswered_and_there,
            self.seen.leaves.len(),
            self.kept.receipts(),
            self.kept.checkpoints(),
            self.lost.len(),
            self.faults.len()
        )
    }
}

impl Ledger {
    fn hear(&mut self, lines: &[String]) {
        self.overtaken.extend(self.open.keys().cloned());
        for line in lines {
            match serde_json::from_str(line) {
                Ok(Line::Given(command)) => drop(self.open.insert(command.id(), command)),
                Ok(Line::Answered(id, answer)) => {
                    let command = self.open.remove(&id).expect("a command is given before it is answered");
                    self.acknowledged
                        .insert(id.clone(), answer["version"].as_u64().unwrap_or(0));
                    self.answers.insert(id, (command, answer));
                }
                Ok(Line::Refused(id, _)) => {
                    self.open.remove(&id);
                    self.refused.insert(id);
                }
                Ok(Line::Backup(_)) => {}
                Ok(line @ (Line::Receipt { .. } | Line::Checkpoint { .. })) => {
                    if let Err(what) = self.kept.keep(&line) {
                        self.faults.push(what);
                    }
                }
                Ok(Line::Fault(what)) => self.faults.push(what),
                Err(error) => self.faults.push(format!("{error}: {line}")),
            }
        }
    }

    fn forge(&mut self) {
        self.acknowledged.insert("never given".to_owned(), 1);
        self.kept.forge();
    }

    /// Every tenth time, and the last, the whole log is read again and compared.
    fn check(&mut self, dir: &Path, round: u64, is_last: bool) {
        self.rounds += 1;
        let checked = open(dir, 1 << 16).and_then(|engine| {
            self.check_log(&engine, round, is_last || round % 10 == 9)?;
            // What was kept in earlier rounds is compared again at last.
            let kept = self.kept.check(&self.seen.leaves, &engine, is_last);
            self.faults
                .extend(kept.into_iter().map(|what| format!("round {round}: {what}")));
            self.repeat_answered(&engine)?;
            self.repeat_open(&engine)?;
            engine.close()
        });
        if let Err(error) = checked {
            self.faults.push(format!("round {round}: {error}"));
        }
        self.answers.clear();
        self.open.clear();
        self.overtaken.clear();
    }

    fn check_log(&mut self, engine: &BlockingEngine, round: u64, reads_all: bool) -> Result<(), EngineError> {
        // The engine's own verification reads everything every time.
        let report = engine.verify_log(|_| {})?;
        if let Some(fault) = report.fault {
            self.faults
                .push(format!("round {round}: position {}: {}", fault.position, fault.what));
        }
        let mut whole = Seen::default();
        if reads_all {
            whole.read_on(engine, &mut self.faults)?;
        }
        if !self.seen.is_there(engine, &whole)? {
            self.faults
                .push(format!("round {round}: what was on the record is not there as it was"));
        }
        if reads_all {
            self.seen = whole;
        } else {
            self.seen.read_on(engine, &mut self.faults)?;
        }
        for (id, version) in &self.acknowledged {
            match self.seen.versions.get(id) {
                Some(stands_at) if stands_at == version => {}
                Some(stands_at) => self
                    .faults
                    .push(format!("{id} answered version {version}, stands at {stands_at}")),
                None => {
                    self.lost.insert(id.clone());
                    self.faults.push(format!("{id} was acknowledged and is lost"));
                }
            }
        }
        for id in &self.refused {
            if self.seen.versions.contains_key(id) {
                self.faults.push(format!("{id} was refused and is on the record"));
            }
        }
        for id in self.open.keys() {
            self.unanswered += 1;
            self.unanswered_and_there += u64::from(self.seen.versions.contains_key(id));
        }
        Ok(())
    }

    /// Whoever repeats a command gets the same answer, and nothing is added.
    fn repeat_answered(&mut self, engine: &BlockingEngine) -> Result<(), EngineError> {
        let before = engine.engine().counters().records;
        for (id, (command, answer)) in &self.answers {
            let again = command.give(engine)?;
            if again != *answer {
                self.faults.push(format!("{id} answered {answer}, repeated {again}"));
            }
        }
        if engine.engine().counters().records != before {
            self.faults
                .push("repeating answered commands has added records".to_owned());
        }
        Ok(())
    }

    /// Whoever repeats a command without an answer has it done exactly once. When the instance has gone on meanwhile, it
    /// may be refused or come too late to change anything, but then it is not on the record either.
    fn repeat_open(&mut self, engine: &BlockingEngine) -> Result<(), EngineError> {
        let mut done = BTreeMap::new();
        let mut undone = BTreeSet::new();
        // Those that nothing overtook come first: an overtaken one may still be done, and then the instance has gone on.
        let open = std::mem::take(&mut self.open).into_iter();
        let (overtaken, latest): (Vec<_>, Vec<_>) = open.partition(|(id, _)| self.overtaken.contains(id));
        for (id, command) in latest.into_iter().chain(overtaken) {
            let first = command.give(engine);
            let before = engine.engine().counters().records;
            let second = command.give(engine);
            if engine.engine().counters().records != before {
                self.faults.push(format!("{id} was done again"));
            }
            match (first, second) {
                (Ok(first), Ok(second)) if first == second => drop(done.insert(id, first["version"].as_u64())),
                (Err(first), Err(second)) if first.err_code() == second.err_code() => {
                    if first.err_code() != 4006 && !self.overtaken.contains(&id) {
                        self.faults.push(format!("{id}, repeated without an answer: {first}"));
                    }
                    undone.insert(id);
                }
                (first, second) => self.faults.push(format!("{id} answered {first:?}, then {second:?}")),
            }
        }
        self.seen.read_on(engine, &mut self.faults)?;
        let versions = &self.seen.versions;
        for (id, version) in done {
            match versions.get(&id) {
                Some(stands_at) if Some(*stands_at) == version => drop(self.acknowledged.insert(id, *stands_at)),
                None if self.overtaken.contains(&id) => {}
                stands_at => self.faults.push(format!(
                    "{id} was repeated and answered {version:?}, but stands at {stands_at:?}"
                )),
            }
        }
        let there = undone.iter().filter(|id| versions.contains_key(*id));
        self.faults
            .extend(there.map(|id| format!("{id} was refused and is there")));
        self.refused.append(&mut undone);
        Ok(())
    }
}
