//! `power_cut`: records what a working engine writes and syncs, builds what the disk may hold when the power goes at some
//! moment, opens each of these images, and checks that nothing the engine had said by then is lost.
//!
//! Needs strace. Where that cannot be had it says so and checks nothing; the exit status is 0 then, or 3 with `--demand`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use flowledger::store::SignedCheckpoint;
use flowledger::{BlockingEngine, Engine, EngineError, StartProcessParam};
use flowledger_tests::child::{tell, this};
use flowledger_tests::dice::Dice;
use flowledger_tests::kept::Kept;
use flowledger_tests::load::{Line, Work, backup_of, deploy, open, to_hex, work};
use flowledger_tests::power_cut::{Omitted, Unsynced, build, delicate_moments};
use flowledger_tests::trace::{Change, Moment, SyncCall, Trace, is_possible, record};
use serde::{Deserialize, Serialize};

/// How long an image may take to be opened and read.
const PATIENCE: Duration = Duration::from_secs(120);

/// The data directory inside of what is recorded.
const STORE: &str = "store";

/// Builds what a disk may hold after a power cut, and checks that nothing an engine answered is lost.
#[derive(Parser)]
#[command(name = "power_cut")]
struct Arguments {
    /// Images that are built and opened.
    #[arg(long, default_value_t = 400)]
    images: u64,
    /// Decides the load, the moments and what of the unsynced is kept.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Processes that are recorded one after the other, each on what the one before has left or on an image of that.
    #[arg(long, default_value_t = 6)]
    lives: u64,
    /// Commands of each of them.
    #[arg(long, default_value_t = 400)]
    commands: u64,
    /// Clients that work at the same time.
    #[arg(long, default_value_t = 8)]
    clients: u64,
    /// Of a hundred answered commands so many are asked a receipt for.
    #[arg(long, default_value_t = 8)]
    receipts: u64,
    /// Of a hundred commits so many bring up to two megabytes, several of sled's segments.
    #[arg(long, default_value_t = 0)]
    large: u64,
    /// Pretends that some syncs were never made: there must be findings then.
    #[arg(long, value_enum, default_value_t = Defect::None)]
    defect: Defect,
    /// A directory in which images with findings are kept as they were before they were opened.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Fails where strace cannot be had.
    #[arg(long)]
    demand: bool,
    /// What this program starts itself as.
    #[arg(long, hide = true, value_enum)]
    part: Option<Part>,
    #[arg(long, hide = true, default_value = ".")]
    dir: PathBuf,
    #[arg(long, hide = true, default_value = ".")]
    file: PathBuf,
    /// The life, or the moment.
    #[arg(long, hide = true, default_value_t = 0)]
    number: usize,
    #[arg(long, hide = true)]
    abruptly: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Defect {
    /// None.
    None,
    /// The log's file is flushed and not synced.
    LogSync,
    /// Directories are not synced.
    DirectorySync,
    /// The mark, the key and the checkpoint are not synced.
    OtherFileSync,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    /// Works on a data directory.
    Work,
    /// Tells what a data directory's log holds.
    Read,
    /// Checks an image.
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.part {
        Some(Part::Work) => {
            let Arguments {
                seed,
                clients,
                commands,
                receipts,
                large,
                abruptly,
                ..
            } = arguments;
            let load = Work {
                seed,
                round: arguments.number as u64,
                clients,
                commands,
                receipts,
                large,
                ends_abruptly: abruptly,
                backs_up: true,
            };
            work(&arguments.dir, load);
            ExitCode::SUCCESS
        }
        Some(Part::Read) => {
            let log = open(&arguments.dir, 1 << 16).and_then(|engine| read(&engine));
            match log {
                Ok(log) => println!("{}", json(&log)),
                Err(error) => println!("{error}"),
            }
            ExitCode::SUCCESS
        }
        Some(Part::Check) => {
            println!("{}", json(&check(&arguments.dir, &arguments.file, arguments.number)));
            ExitCode::SUCCESS
        }
        None => run(&arguments),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("this is JSON")
}

/// One record of the log, as far as it is compared.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seen {
    id: String,
    version: u64,
    leaf: String,
}

/// What one life has left, and said on the way.
#[derive(Serialize, Deserialize)]
struct Life {
    /// The log at its end.
    log: Vec<Seen>,
    /// What it said, and when; what earlier lives had said is at 0.
    said: Vec<(Moment, Line)>,
}

/// What came of one image.
#[derive(Debug, Serialize, Deserialize)]
struct Verdict {
    /// Whether it could be opened.
    opens: bool,
    /// Records that were there without having been acknowledged.
    unacknowledged: u64,
    /// Acknowledged commands that were looked for.
    acknowledged: u64,
    /// Those that were not found.
    lost: u64,
    /// Receipts and checkpoints that were compared.
    kept: u64,
    /// Whether there was a backup.
    backup: bool,
    faults: Vec<String>,
}

fn read(engine: &BlockingEngine) -> Result<Vec<Seen>, EngineError> {
    let mut log: Vec<Seen> = Vec::new();
    loop {
        let batch = engine.log_records(log.len() as u64, 1_000)?;
        if batch.is_empty() {
            return Ok(log);
        }
        log.extend(batch.into_iter().map(|entry| {
            let envelope = entry.record.envelope();
            Seen {
                id: envelope.command_id.to_string(),
                version: envelope.version,
                leaf: to_hex(&entry.leaf),
            }
        }));
    }
}

/// Opens an image and compares it with what was said before a moment.
fn check(dir: &Path, life: &Path, moment: Moment) -> Verdict {
    let life: Life = serde_json::from_slice(&std::fs::read(life).expect("the life can be read")).expect("it is JSON");
    let mut verdict = Verdict {
        opens: false,
        unacknowledged: 0,
        acknowledged: 0,
        lost: 0,
        kept: 0,
        backup: false,
        faults: Vec::new(),
    };
    let mut kept = Kept::default();
    let mut answered = BTreeMap::new();
    let mut backed_up = 0;
    for (_, line) in life.said.iter().filter(|(said, _)| *said < moment) {
        if let Line::Answered(id, answer) = line {
            answered.insert(id.clone(), answer["version"].as_u64().unwrap_or(0));
        }
        if let Line::Backup(records) = line {
            backed_up = *records;
        }
        verdict.faults.extend(kept.keep(line).err());
    }
    check_backup(&backup_of(dir), &life, backed_up, &mut verdict);
    verdict.acknowledged = answered.len() as u64;
    verdict.kept = (kept.receipts() + kept.checkpoints()) as u64;
    let saved = SignedCheckpoint::load(dir.join("checkpoint"));
    let engine = match open(dir, 1 << 16) {
        Ok(engine) => engine,
        Err(error) => {
            // A store that holds nothing may be refused; one that holds something must open.
            if verdict.acknowledged > 0 || verdict.kept > 0 {
                let (count, kept) = (verdict.acknowledged, verdict.kept);
                let what = format!("refused with {count} commands acknowledged, {kept} proofs given: {error}");
                verdict.faults.push(what);
                verdict.lost = count;
            }
            return verdict;
        }
    };
    verdict.opens = true;
    match saved {
        Ok(saved) => {
            let size = saved.map_or(0, |saved| saved.checkpoint().size);
            if size < kept.largest() {
                let largest = kept.largest();
                verdict.faults.push(format!(
                    "a checkpoint of {largest} records was given, one of {size} is kept"
                ));
            }
        }
        Err(error) => verdict.faults.push(format!("the checkpoint: {error}")),
    }
    if let Err(error) = compare(&engine, &life, &answered, &mut kept, &mut verdict) {
        verdict.faults.push(error.to_string());
    }
    drop(engine);
    verdict
}

/// A backup that was made is there; one that is there is whole.
fn check_backup(path: &Path, life: &Life, backed_up: u64, verdict: &mut Verdict) {
    if !path.exists() {
        if backed_up > 0 {
            verdict
                .faults
                .push(format!("a backup of {backed_up} records was made and is lost"));
        }
        return;
    }
    verdict.backup = true;
    let copy = Engine::builder().copy(path).open();
    match copy.and_then(|engine| read(&engine.blocking())) {
        Ok(log) => {
            let same = log.iter().zip(&life.log).all(|(here, there)| here.leaf == there.leaf);
            if !same || (log.len() as u64) < backed_up || log.len() > life.log.len() {
                let count = log.len();
                verdict.faults.push(format!(
                    "the backup holds {count} records, and is not the log of {backed_up}"
                ));
            }
        }
        Err(error) => verdict.faults.push(format!("the backup: {error}")),
    }
}

fn compare(
    engine: &BlockingEngine,
    life: &Life,
    answered: &BTreeMap<String, u64>,
    kept: &mut Kept,
    verdict: &mut Verdict,
) -> Result<(), EngineError> {
    let log = read(engine)?;
    let same = log
        .iter()
        .zip(&life.log)
        .take_while(|(here, there)| here.leaf == there.leaf);
    let same = same.count();
    if same < log.len() {
        let what = format!("position {} holds another record than the one written there", same + 1);
        verdict.faults.push(what);
    }
    let there: BTreeMap<_, _> = log.iter().map(|seen| (seen.id.as_str(), seen.version)).collect();
    for (id, version) in answered {
        if there.get(id.as_str()) != Some(version) {
            verdict.lost += 1;
            verdict
                .faults
                .push(format!("{id} was acknowledged as version {version} and is lost"));
        }
    }
    verdict.unacknowledged = (log.len() as u64).saturating_sub(verdict.acknowledged);
    let report = engine.verify_log(|_| {})?;
    if let Some(fault) = report.fault {
        let what = format!("position {}: {}", fault.position, fault.what);
        verdict.faults.push(what);
    }
    let leaves: Vec<[u8; 32]> = {
        let mut leaves = Vec::new();
        while let batch = engine.log_records(leaves.len() as u64, 1_000)?
            && !batch.is_empty()
        {
            leaves.extend(batch.iter().map(|record| record.leaf));
        }
        leaves
    };
    verdict.faults.extend(kept.check(&leaves, engine, true));
    // The store takes commands again, and keeps them.
    let module = deploy(engine)?;
    engine.start_process(StartProcessParam::of_module(module).command_id("after the cut"))?;
    let head = engine.log_records(log.len() as u64, 1_000)?;
    if head
        .last()
        .map(|record| record.record.envelope().command_id.to_string())
        .as_deref()
        != Some("after the cut")
    {
        verdict
            .faults
            .push("a command given after the cut is not on the record".into());
    }
    engine.close()
}

/// Figures over all lives and images.
#[derive(Default)]
struct Figures {
    writes: usize,
    bytes: usize,
    /// Writes of the log's file to places that were written before.
    reused: usize,
    syncs: usize,
    omitted: usize,
    moves: usize,
    acknowledged: usize,
    images: u64,
    opened: u64,
    refused_empty: u64,
    looked_for: u64,
    kept: u64,
    backups: u64,
    unacknowledged: u64,
    lost: u64,
    by_style: BTreeMap<&'static str, u64>,
    faults: Vec<String>,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let styles: Vec<_> = self
            .by_style
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        write!(
            f,
            "recorded: writes {}, bytes {}, into space of before {}, syncs {} ({} left out), names changed {}, acknowledged {}\n\
             images {}, opened {}, refused with nothing acknowledged {}, unsynced {}\n\
             compared: acknowledged {}, proofs {}, backups {}, unacknowledged and there {}, lost {}, faults {}",
            self.writes,
            self.bytes,
            self.reused,
            self.syncs,
            self.omitted,
            self.moves,
            self.acknowledged,
            self.images,
            self.opened,
            self.refused_empty,
            styles.join(" "),
            self.looked_for,
            self.kept,
            self.backups,
            self.unacknowledged,
            self.lost,
            self.faults.len()
        )
    }
}

fn run(arguments: &Arguments) -> ExitCode {
    if let Err(why) = is_possible() {
        println!("skipped: power cuts need strace (apt-get install strace), {why}");
        return if arguments.demand {
            ExitCode::from(3)
        } else {
            ExitCode::SUCCESS
        };
    }
    let temporary = tempfile::tempdir().expect("a temporary directory");
    // strace tells the paths that programs use, so links on the way to it are followed first.
    let base = temporary.path().canonicalize().expect("it is there");
    println!(
        "seed {}, {} lives of {} commands by {} clients, {} images, defect {:?}",
        arguments.seed, arguments.lives, arguments.commands, arguments.clients, arguments.images, arguments.defect
    );
    let mut figures = Figures::default();
    let mut said: Vec<(Moment, Line)> = Vec::new();
    for number in 0..arguments.lives {
        match live(arguments, &base, number, &mut said, &mut figures) {
            Ok(()) => println!("life {number}: {figures}"),
            Err(error) => {
                println!("life {number}: {error}");
                return ExitCode::from(2);
            }
        }
        if figures.faults.len() > 1_000 {
            break;
        }
    }
    for fault in figures.faults.iter().take(20) {
        println!("fault: {fault}");
    }
    println!("{figures}");
    if figures.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Records one process on `base/life`, and cuts its power.
fn live(
    arguments: &Arguments,
    base: &Path,
    number: u64,
    said: &mut Vec<(Moment, Line)>,
    figures: &mut Figures,
) -> Result<(), String> {
    let mut dice = Dice::of(arguments.seed, 1_000_000 + number);
    let root = base.join("life");
    std::fs::create_dir_all(&root).map_err(|error| error.to_string())?;
    let mut child = vec![
        "--part=work".to_owned(),
        format!("--dir={}", root.join(STORE).display()),
    ];
    child.extend([format!("--seed={}", arguments.seed), format!("--number={number}")]);
    child.extend([
        format!("--clients={}", arguments.clients),
        format!("--commands={}", arguments.commands),
    ]);
    child.push(format!("--receipts={}", arguments.receipts));
    child.push(format!("--large={}", arguments.large));
    if dice.percent(50) {
        child.push("--abruptly".into());
    }
    let trace = record(&root, &base.join("trace"), &this(), &child)?;
    let life = look_back(arguments, base, &trace, said, figures)?;
    let file = base.join("life.json");
    std::fs::write(&file, json(&life)).map_err(|error| error.to_string())?;
    let delicate = delicate_moments(&trace);
    let spoken: Vec<Moment> = trace.said.iter().map(|said| said.begun + 1).collect();
    let share = arguments.images / arguments.lives;
    let extra = u64::from(number < arguments.images % arguments.lives);
    let omitted = match arguments.defect {
        Defect::None => Omitted::Nothing,
        Defect::LogSync => Omitted::LogSyncs,
        Defect::DirectorySync => Omitted::DirectorySyncs,
        Defect::OtherFileSync => Omitted::OtherFileSyncs,
    };
    for image in 0..share + extra {
        let seed = dice.roll();
        let mut dice = Dice::new(seed);
        let moment = match dice.below(10) {
            0..=2 if !delicate.is_empty() => delicate[dice.index(delicate.len())],
            3..=5 if !spoken.is_empty() => spoken[dice.index(spoken.len())],
            _ => dice.index(trace.end) + 1,
        };
        let unsynced = Unsynced::any(&mut dice);
        let path = base.join("image");
        let mut kept = dice.clone();
        build(&trace, moment, unsynced, omitted, &mut dice, &path).map_err(|error| error.to_string())?;
        let verdict = judge(&path.join(STORE), &file, moment);
        std::fs::remove_dir_all(&path).map_err(|error| error.to_string())?;
        if let Some(keep) = arguments.keep.as_ref().filter(|_| !verdict.faults.is_empty()) {
            // Built again, as it was before it was opened.
            let path = keep.join(format!("life-{number}-image-{image}"));
            build(&trace, moment, unsynced, omitted, &mut kept, &path).map_err(|error| error.to_string())?;
        }
        *figures.by_style.entry(unsynced.name()).or_default() += 1;
        figures.images += 1;
        figures.opened += u64::from(verdict.opens);
        figures.refused_empty += u64::from(!verdict.opens && verdict.faults.is_empty());
        figures.looked_for += verdict.acknowledged;
        figures.kept += verdict.kept;
        figures.backups += u64::from(verdict.backup);
        figures.unacknowledged += verdict.unacknowledged;
        figures.lost += verdict.lost;
        let place = format!(
            "life {number}, image {image}, moment {moment} of {}, {unsynced:?}",
            trace.end
        );
        let faults = verdict.faults.into_iter().map(|fault| format!("{place}: {fault}"));
        figures.faults.extend(faults);
    }
    // The next process starts on what this one has left, or on what a power cut has.
    let next = base.join("next");
    let mut moment = trace.end + 1;
    let mut unsynced = Unsynced::Kept;
    if dice.percent(60) {
        moment = dice.index(trace.end / 2) + trace.end / 2 + 1;
        unsynced = Unsynced::any(&mut dice);
    }
    build(&trace, moment, unsynced, omitted, &mut dice, &next).map_err(|error| error.to_string())?;
    std::fs::remove_dir_all(&root).map_err(|error| error.to_string())?;
    std::fs::rename(&next, &root).map_err(|error| error.to_string())?;
    let before = life.said.into_iter().filter(|(said, _)| *said < moment);
    *said = before.map(|(_, line)| (0, line)).collect();
    Ok(())
}

/// What the process said, and what its log holds at the end.
fn look_back(
    arguments: &Arguments,
    base: &Path,
    trace: &Trace,
    said: &[(Moment, Line)],
    figures: &mut Figures,
) -> Result<Life, String> {
    let mut life = Life {
        log: Vec::new(),
        said: said.to_vec(),
    };
    let mut refused = BTreeSet::new();
    for line in &trace.said {
        let text = String::from_utf8_lossy(&line.what);
        match serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))? {
            Line::Fault(what) => figures.faults.push(what),
            Line::Refused(id, _) => drop(refused.insert(id)),
            Line::Given(_) => {}
            said => life.said.push((line.begun, said)),
        }
    }
    for node in &trace.nodes {
        let bytes = node.changes.iter().map(|change| match &change.what {
            Change::Write(_, bytes) => bytes.len(),
            Change::Resize(_) => 0,
        });
        figures.bytes += bytes.sum::<usize>();
        figures.writes += node.changes.len();
        let mut end = node.content.len() as u64;
        for change in &node.changes {
            if let Change::Write(at, bytes) = &change.what {
                let until = at + bytes.len() as u64;
                figures.reused += usize::from(node.name == "db" && until <= end);
                end = end.max(until);
            }
        }
        figures.syncs += node.syncs.len();
        figures.moves += node.moves.len();
        figures.omitted += match arguments.defect {
            Defect::LogSync if node.name == "db" => {
                node.syncs.iter().filter(|sync| sync.what == SyncCall::Data).count()
            }
            Defect::DirectorySync if node.is_directory => node.syncs.len(),
            Defect::OtherFileSync if !node.is_directory && node.name != "db" => node.syncs.len(),
            _ => 0,
        };
    }
    let whole = base.join("whole");
    let end = trace.end + 1;
    build(trace, end, Unsynced::Kept, Omitted::Nothing, &mut Dice::new(0), &whole)
        .map_err(|error| error.to_string())?;
    let told = tell(
        &["--part=read".into(), format!("--dir={}", whole.join(STORE).display())],
        PATIENCE,
    )?;
    std::fs::remove_dir_all(&whole).map_err(|error| error.to_string())?;
    life.log = serde_json::from_str(&told).map_err(|error| format!("the log at the end: {error}: {told}"))?;
    let ids: BTreeSet<_> = life.log.iter().map(|seen| seen.id.as_str()).collect();
    for (moment, line) in &life.said {
        if let Line::Answered(id, _) = line {
            figures.acknowledged += usize::from(*moment > 0);
            if !ids.contains(id.as_str()) {
                figures
                    .faults
                    .push(format!("{id} was acknowledged and is not in the log at the end"));
            }
        }
    }
    for id in refused {
        if ids.contains(id.as_str()) {
            figures.faults.push(format!("{id} was refused and is on the record"));
        }
    }
    Ok(life)
}

/// Checks an image in a process of its own: whatever happens there, it is a verdict.
fn judge(image: &Path, life: &Path, moment: Moment) -> Verdict {
    let arguments = [
        "--part=check".to_owned(),
        format!("--dir={}", image.display()),
        format!("--file={}", life.display()),
        format!("--number={moment}"),
    ];
    let failed = |what: String| Verdict {
        opens: false,
        unacknowledged: 0,
        acknowledged: 0,
        lost: 0,
        kept: 0,
        backup: false,
        faults: vec![what],
    };
    match tell(&arguments, PATIENCE) {
        Ok(told) => serde_json::from_str(told.trim()).unwrap_or_else(|error| failed(format!("{error}: {told}"))),
        Err(what) => failed(what),
    }
}
