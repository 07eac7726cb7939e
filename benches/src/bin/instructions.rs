//! Instructions per part of the engine, as valgrind's callgrind counts them: the same on a busy machine and on an idle one. Compares
//! them with the counts on record and fails where one has risen.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;
use flowledger_benches::parts::{PARTS, Part, Repeated};

/// A rise by more than this share of the recorded count is a fault.
const RISE_MAX: f64 = 0.05;
/// The function whose instructions are counted, as callgrind names it.
const COUNTED: &str = "instructions::counted";
/// Keeps glibc's allocator from joining and splitting blocks, which costs now more, now less, by how they happen to lie.
const ALLOCATOR: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.malloc.tcache_count=65535:glibc.malloc.mmap_threshold=4294967295",
);

/// Instructions per part of the engine, compared with those on record.
#[derive(Parser)]
struct Arguments {
    /// Only parts whose names contain this.
    filter: Option<String>,
    /// Write the counts down as those to compare with.
    #[arg(long)]
    record: bool,
    /// The counts on record.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt"))]
    file: PathBuf,
    /// Keeps callgrind's own output in this directory, to be read with `callgrind_annotate`.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Does the work of one part: how this program calls itself inside valgrind.
    #[arg(long, hide = true)]
    work: Option<String>,
    /// Does the work so often instead; with `--work`, under a profiler.
    #[arg(long, hide = true, requires = "work")]
    times: Option<u64>,
}

impl Arguments {
    fn parts(&self) -> impl Iterator<Item = &'static Part> {
        let chosen = |part: &&Part| self.filter.as_ref().is_none_or(|filter| part.name.contains(filter));
        PARTS.iter().filter(|part| part.is_counted).filter(chosen)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(name) = &arguments.work {
        for part in PARTS.iter().filter(|part| part.name == name) {
            let mut work = (part.make)();
            // What is made once, at first use, is not counted.
            work();
            counted(&mut work, arguments.times.unwrap_or(part.times));
        }
        return ExitCode::SUCCESS;
    }
    let tools = match tools() {
        Ok(tools) => tools,
        Err(missing) => {
            println!("SKIPPED: instructions are not counted: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    let known = Recorded::read(&arguments.file);
    if !arguments.record && known.tools != tools {
        println!(
            "SKIPPED: instructions are not compared: they were recorded with {}, and this is {tools}.\nRecord them anew: {RECORD}",
            known.tools
        );
        return ExitCode::SUCCESS;
    }
    match count(&arguments) {
        Ok(counts) if arguments.record => known.updated(tools, &counts).write(&arguments.file),
        Ok(counts) => compare(&known, &counts),
        Err(why) => {
            println!("instructions were not counted: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The command that records the counts.
const RECORD: &str = "cargo run --release -p flowledger-benches --bin instructions -- --record";

#[inline(never)]
fn counted(work: &mut Repeated, times: u64) {
    for _ in 0..times {
        work();
    }
}

/// What counts depend on besides the code: compiler, processor and valgrind.
fn tools() -> Result<String, String> {
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output();
        let output = output.map_err(|error| format!("{program} cannot be run ({error})"))?;
        Ok::<_, String>(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let (rustc, valgrind) = (said("rustc", "--version")?, said("valgrind", "--version")?);
    Ok(format!("{rustc}, {valgrind}, {}", std::env::consts::ARCH))
}

/// Instructions of one go at each part, each in a process of its own: memory that others have used before changes what it costs.
fn count(arguments: &Arguments) -> Result<Vec<(&'static str, u64)>, String> {
    let told = |error: std::io::Error| error.to_string();
    let directory = tempfile::tempdir().map_err(told)?;
    let directory = match &arguments.keep {
        Some(keep) => {
            fs::create_dir_all(keep).map_err(told)?;
            keep.as_path()
        }
        None => directory.path(),
    };
    let program = std::env::current_exe().map_err(told)?;
    let counted = arguments.parts().map(|part| {
        let file = directory.join(part.name.replace(' ', "-"));
        let output = Command::new("valgrind")
            .env(ALLOCATOR.0, ALLOCATOR.1)
            .args(["--tool=callgrind", "--collect-atstart=no", "--quiet"])
            .arg(format!("--toggle-collect={COUNTED}"))
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(&program)
            .args(["--work", part.name])
            .output()
            .map_err(told)?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let total = total(&file).ok_or_else(|| format!("{} has no total", file.display()))?;
        Ok((part.name, total / part.times))
    });
    counted.collect()
}

/// The sum of the instructions of all threads in one file of callgrind's.
fn total(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("totals:"));
    lines.map(|total| total.trim().parse::<u64>().ok()).sum()
}

/// The counts on record: the first line names the tools, then a part and its count a line.
#[derive(Default)]
struct Recorded {
    tools: String,
    counts: BTreeMap<String, u64>,
}

impl Recorded {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut lines = text.lines();
        let tools = lines.next().unwrap_or("nothing").to_owned();
        let count = |line: &str| {
            let (name, count) = line.rsplit_once(": ")?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        Self {
            tools,
            counts: lines.filter_map(count).collect(),
        }
    }

    fn updated(mut self, tools: String, counts: &[(&'static str, u64)]) -> Self {
        self.tools = tools;
        self.counts
            .retain(|known, _| PARTS.iter().any(|part| part.is_counted && part.name == known));
        self.counts
            .extend(counts.iter().map(|(name, count)| ((*name).to_owned(), *count)));
        self
    }

    fn write(&self, file: &Path) -> ExitCode {
        let lines = self.counts.iter().map(|(name, count)| format!("{name}: {count}\n"));
        let text = format!("{}\n{}", self.tools, lines.collect::<String>());
        print!("{text}");
        match fs::write(file, text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                println!("{}: {error}", file.display());
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints each part beside its count on record; a rise or an unknown part fails.
fn compare(known: &Recorded, counts: &[(&'static str, u64)]) -> ExitCode {
    println!(
        "{:>52} {:>12} {:>12} {:>8}",
        "instructions", "on record", "now", "change"
    );
    let mut faults = 0;
    for (name, now) in counts {
        let Some(before) = known.counts.get(*name) else {
            println!("{name:>52} {:>12} {now:>12}    new: record it", "-");
            faults += 1;
            continue;
        };
        #[allow(clippy::cast_precision_loss, reason = "a share for people")]
        let change = *now as f64 / *before as f64 - 1.0;
        let verdict = if change > RISE_MAX { "  RISEN" } else { "" };
        faults += u32::from(change > RISE_MAX);
        println!("{name:>52} {before:>12} {now:>12} {:>+7.1}%{verdict}", change * 100.0);
    }
    if faults == 0 {
        return ExitCode::SUCCESS;
    }
    println!(
        "{faults} of them over the bound of {:.0} %. If that is meant: {RECORD}",
        RISE_MAX * 100.0
    );
    ExitCode::FAILURE
}
