//! Writes docs/performance.md and its plots from the results in benches/results, and measures those first if asked to.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use flowledger_benches::floor::sync_us;
use flowledger_benches::plot::{self, Series, number};
use flowledger_benches::workload::Workload;
use serde_json::{Value, json};

/// Writes the page of figures.
#[derive(Parser)]
struct Arguments {
    /// Measures everything first, in this process's directory of programs; takes about twenty minutes on an idle machine.
    #[arg(long)]
    measure: bool,
    /// Measures only what has this in its name.
    #[arg(long, requires = "measure")]
    only: Option<String>,
    /// Where the files of the stores go while they are measured; must be on the disk to be measured.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// The repository.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    repository: PathBuf,
}

/// A result, by the name of its file, and the program with its arguments that makes it.
const RUNS: [(&str, &str); 22] = [
    ("leave-1", "throughput --clients 1 --rounds 5 --seconds 2 --baseline"),
    ("leave-16", "throughput --clients 16 --rounds 5 --seconds 2 --baseline"),
    ("leave-64", "throughput --clients 64 --rounds 5 --seconds 2 --baseline"),
    (
        "rollback-16",
        "throughput --workload rollback --clients 16 --rounds 5 --seconds 2 --baseline",
    ),
    ("parallel-64", "throughput --workload parallel --rounds 5 --seconds 2"),
    ("call-64", "throughput --workload call --rounds 5 --seconds 2"),
    (
        "rollback-64",
        "throughput --workload rollback --rounds 5 --seconds 2 --baseline",
    ),
    ("long-64", "throughput --workload long --rounds 5 --seconds 2"),
    (
        "gather-16",
        "throughput store store-at-once engine engine-at-once --clients 16 --rounds 5 --seconds 2",
    ),
    (
        "gather-64",
        "throughput store store-at-once engine engine-at-once --clients 64 --rounds 5 --seconds 2",
    ),
    (
        "gather-1ms-64",
        "throughput store store-at-once engine engine-at-once --flush-delay-us 1000 --clients 64 --rounds 3 --seconds 2",
    ),
    ("proofs-64", "throughput bare engine proven --rounds 11 --seconds 2"),
    (
        "slow-0.3ms-16",
        "throughput --flush-delay-us 300 --clients 16 --rounds 3 --seconds 3 --baseline",
    ),
    (
        "slow-0.3ms-64",
        "throughput --flush-delay-us 300 --clients 64 --rounds 3 --seconds 3 --baseline",
    ),
    (
        "slow-1ms-1",
        "throughput --flush-delay-us 1000 --clients 1 --rounds 3 --seconds 3 --baseline",
    ),
    (
        "slow-1ms-16",
        "throughput --flush-delay-us 1000 --clients 16 --rounds 3 --seconds 3 --baseline",
    ),
    (
        "slow-1ms-64",
        "throughput --flush-delay-us 1000 --clients 64 --rounds 3 --seconds 3 --baseline",
    ),
    (
        "slow-5ms-16",
        "throughput --flush-delay-us 5000 --clients 16 --rounds 3 --seconds 3 --baseline",
    ),
    (
        "slow-5ms-64",
        "throughput --flush-delay-us 5000 --clients 64 --rounds 3 --seconds 3 --baseline",
    ),
    ("replay", "replay --records 1000000 --rounds 5"),
    ("scale", "scale"),
    ("queries", "queries --seconds 1"),
];

/// The text around the figures.
const PAGE: &str = include_str!("../../report/page.md");

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let results = arguments.repository.join("benches/results");
    if arguments.measure
        && let Err(why) = measure(&arguments, &results)
    {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    match write(&arguments.repository, &results) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the page was not written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments, results: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    fs::create_dir_all(results).map_err(told)?;
    let programs = std::env::current_exe().map_err(told)?;
    let is_wanted = |name: &str| arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    let load = load();
    for (name, run) in RUNS.iter().filter(|(name, _)| is_wanted(name)) {
        let mut words = run.split(' ');
        let program = programs.with_file_name(words.next().unwrap_or_default());
        eprintln!("{name}: {run}");
        let mut command = Command::new(&program);
        command.args(words).arg("--json").stderr(Stdio::inherit());
        if let Some(directory) = &arguments.directory {
            command.arg("--directory").arg(directory);
        }
        let output = command
            .output()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        if !output.status.success() {
            return Err(format!("{name} failed"));
        }
        fs::write(results.join(format!("{name}.json")), output.stdout).map_err(told)?;
    }
    let directory = arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
    let machine = machine(load, &directory);
    fs::write(results.join("machine.json"), format!("{machine:#}\n")).map_err(told)
}

/// The average load of the last minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.unwrap_or(0.0)
}

fn machine(load_before: f64, directory: &Path) -> Value {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.trim_start_matches([' ', '\t', ':']).to_owned())
    };
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory_kib: u64 = memory.trim_end_matches(" kB").trim().parse().unwrap_or(0);
    let days = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs() / 86_400);
    json!({
        "processor": field("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_gib": memory_kib >> 20,
        "kernel": said("uname", &["-sr"]),
        "file_system": said("stat", &["-f", "-c", "%T", &directory.display().to_string()]),
        "sync_us": sync_us(directory),
        "rust": said("rustc", &["--version"]),
        "date": date(days),
        "load_before": load_before,
    })
}

/// The date so many days after the first of January 1970.
fn date(days: u64) -> String {
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut left) = (1970, days);
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", left + 1)
}

/// The results, by the names of their files; each a JSON value a line.
struct Results {
    directory: PathBuf,
}

impl Results {
    fn lines(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.directory.join(format!("{name}.json"))).unwrap_or_default();
        let whole = serde_json::from_str::<Value>(&text).map(|value| vec![value]);
        whole.unwrap_or_else(|_| {
            text.lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()
        })
    }

    fn one(&self, name: &str) -> Value {
        self.lines(name).into_iter().next().unwrap_or(Value::Null)
    }
}

/// The figure at a path of names, if it is there.
fn figure(value: &Value, path: &str) -> Option<f64> {
    value.pointer(path).and_then(Value::as_f64)
}

fn told(figure: Option<f64>) -> String {
    figure.map_or_else(|| "–".to_owned(), number)
}

fn ratio(value: &Value, of: &str, to: &str) -> Option<f64> {
    Some(figure(value, of)? / figure(value, to)?)
}

fn write(repository: &Path, results: &Path) -> std::io::Result<()> {
    let results = Results {
        directory: results.to_owned(),
    };
    let plots = repository.join("docs/performance");
    fs::create_dir_all(&plots)?;
    let clients = ["1", "16", "64"];
    let leave: Vec<Value> = clients
        .iter()
        .map(|clients| results.one(&format!("leave-{clients}")))
        .collect();
    let labels: Vec<String> = clients.iter().map(|clients| of_clients(clients)).collect();
    fs::write(
        plots.join("throughput.svg"),
        plot::bars("Durable commands per second, leave workload", &labels, &rates(&leave)),
    )?;
    let slow: Vec<&str> = RUNS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| name.starts_with("slow-"))
        .collect();
    let slow_results: Vec<Value> = slow.iter().map(|name| results.one(name)).collect();
    let slow_labels: Vec<String> = slow.iter().map(|name| slow_label(name)).collect();
    fs::write(
        plots.join("slow-disks.svg"),
        plot::bars(
            "Durable commands per second with time added to every flush",
            &slow_labels,
            &rates(&slow_results),
        ),
    )?;
    let (scale, first_life): (Vec<Value>, Vec<Value>) = results
        .lines("scale")
        .into_iter()
        .partition(|step| step.get("instances").is_some());
    let sizes: Vec<String> = scale.iter().map(|step| told(figure(step, "/instances"))).collect();
    let line = |name: &str, path: &str| Series {
        name: name.to_owned(),
        values: scale.iter().map(|step| figure(step, path)).collect(),
    };
    let latencies = [
        line("commit, touched before", "/commit_recent_p50_us"),
        line("commit, cold", "/commit_cold_p50_us"),
        line("start", "/start_p50_us"),
        line("history, cold", "/history_cold_us"),
    ];
    fs::write(
        plots.join("scale.svg"),
        plot::lines(
            "Latency (us, median, one client) by finished instances",
            &sizes,
            &latencies,
        ),
    )?;
    let page = PAGE
        .replace("{{machine}}", &machine_text(&results.one("machine")))
        .replace("{{throughput}}", &throughput(&leave, Workload::Leave))
        .replace("{{ratios}}", &ratios(&leave))
        .replace("{{workloads}}", &workloads(&results))
        .replace("{{slow}}", &slow_table(&slow, &slow_results))
        .replace("{{gathering}}", &gathering(&results))
        .replace("{{proofs}}", &proofs(&results.one("proofs-64")))
        .replace("{{replay}}", &replay(&results.one("replay")))
        .replace("{{scale}}", &scale_table(&scale))
        .replace("{{growth}}", &growth(&scale))
        .replace(
            "{{first_life}}",
            &first_life.first().map_or_else(String::new, first_life_table),
        )
        .replace("{{queries}}", &queries(&results.lines("queries")))
        .replace("{{instructions}}", &instructions(repository));
    fs::write(repository.join("docs/performance.md"), page)
}

fn slow_label(name: &str) -> String {
    let mut parts = name.split('-').skip(1);
    let (delay, clients) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    format!("+{}, {}", delay.replace("ms", " ms"), of_clients(clients))
}

fn of_clients(clients: &str) -> String {
    format!("{clients} client{}", if clients == "1" { "" } else { "s" })
}

const MODES: [(&str, &str); 5] = [
    ("floor", "/floor"),
    ("store", "/store"),
    ("engine", "/engine"),
    ("handwritten SQL", "/baselines/handwritten"),
    ("reference's SQL", "/baselines/reference"),
];

fn rates(runs: &[Value]) -> Vec<Series> {
    let series = |(name, path): (&str, &str)| Series {
        name: name.to_owned(),
        values: runs.iter().map(|run| figure(run, &format!("{path}/per_s"))).collect(),
    };
    MODES.map(series).into()
}

fn machine_text(machine: &Value) -> String {
    let text = |name: &str| {
        machine
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or("unknown")
            .to_owned()
    };
    format!(
        "{}, {} cores, {} GiB, {}, {}; appending 4 KiB and `fdatasync` take {} µs at the median; {}; measured {}, load average before {}.",
        text("processor"),
        told(figure(machine, "/cores")),
        told(figure(machine, "/memory_gib")),
        text("file_system"),
        text("kernel"),
        told(figure(machine, "/sync_us")),
        text("rust"),
        text("date"),
        told(figure(machine, "/load_before")),
    )
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn throughput(runs: &[Value], workload: Workload) -> String {
    let mut table = String::from(
        "| clients | | commands/s | p50 µs | p99 µs | p99.9 µs | cpu µs | disk B | commands per flush | flushes per instance |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for run in runs {
        for (name, path) in MODES {
            let Some(per_s) = figure(run, &format!("{path}/per_s")) else {
                continue;
            };
            let of = |member: &str| figure(run, &format!("{path}/{member}"));
            let flushes = of("records_per_sync").map(|per_sync| workload.commands() as f64 / per_sync);
            let _ = writeln!(
                table,
                "| {} | {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
                told(figure(run, "/clients")),
                number(per_s),
                told(of("p50_us")),
                told(of("p99_us")),
                told(of("p999_us")),
                told(of("cpu_us")),
                told(of("disk_bytes")),
                told(of("records_per_sync")),
                told(flushes)
            );
        }
    }
    table
}

fn ratios(runs: &[Value]) -> String {
    let mut table = String::from(
        "| clients | store : floor | engine : store | p99 of engine : floor | cpu of engine − store, µs | engine : handwritten SQL | engine : reference's SQL |\n|---|---|---|---|---|---|---|\n",
    );
    for run in runs {
        let cpu = figure(run, "/engine/cpu_us").zip(figure(run, "/store/cpu_us"));
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {} |",
            told(figure(run, "/clients")),
            told(ratio(run, "/store/per_s", "/floor/per_s")),
            told(ratio(run, "/engine/per_s", "/store/per_s")),
            told(ratio(run, "/engine/p99_us", "/floor/p99_us")),
            told(cpu.map(|(engine, store)| engine - store)),
            told(ratio(run, "/engine/per_s", "/baselines/handwritten/per_s")),
            told(ratio(run, "/engine/per_s", "/baselines/reference/per_s")),
        );
    }
    table
}

fn workloads(results: &Results) -> String {
    let workloads = [Workload::Parallel, Workload::Call, Workload::Rollback, Workload::Long];
    let tables = workloads.map(|workload| {
        let run = results.one(&format!("{}-64", workload.name()));
        let table = throughput(&[run], workload);
        format!(
            "`{}`, {} commands an instance:\n\n{table}\n",
            workload.name(),
            workload.commands()
        )
    });
    tables.concat().trim_end().to_owned()
}

fn slow_table(names: &[&str], runs: &[Value]) -> String {
    let mut table = String::from(
        "| | floor | store | engine | handwritten SQL | reference's SQL | engine : handwritten | engine : reference's | p99 µs: floor | store | engine | p99 of engine : floor |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, run) in names.iter().zip(runs) {
        let rates = MODES.map(|(_, path)| told(figure(run, &format!("{path}/per_s"))));
        let latencies = ["/floor/p99_us", "/store/p99_us", "/engine/p99_us"].map(|path| told(figure(run, path)));
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} |",
            slow_label(name),
            rates.join(" | "),
            told(ratio(run, "/engine/per_s", "/baselines/handwritten/per_s")),
            told(ratio(run, "/engine/per_s", "/baselines/reference/per_s")),
            latencies.join(" | "),
            told(ratio(run, "/engine/p99_us", "/floor/p99_us")),
        );
    }
    table
}

fn gathering(results: &Results) -> String {
    let mut table = String::from(
        "| | | at once: commands/s | p50 µs | p99 µs | cpu µs | gathering: commands/s | p50 µs | p99 µs | cpu µs | ratio |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, label) in [
        ("gather-16", "16 clients"),
        ("gather-64", "64 clients"),
        ("gather-1ms-64", "+1 ms, 64 clients"),
    ] {
        let run = results.one(name);
        for mode in ["store", "engine"] {
            let cells = [format!("/{mode}-at-once"), format!("/{mode}")].map(|path| {
                let figures = ["per_s", "p50_us", "p99_us", "cpu_us"];
                figures
                    .map(|member| told(figure(&run, &format!("{path}/{member}"))))
                    .join(" | ")
            });
            let gain = ratio(&run, &format!("/{mode}/per_s"), &format!("/{mode}-at-once/per_s"));
            let _ = writeln!(table, "| {label} | {mode} | {} | {} |", cells.join(" | "), told(gain));
        }
    }
    let run = results.one("gather-64");
    let cpu = figure(&run, "/engine-at-once/cpu_us").zip(figure(&run, "/store-at-once/cpu_us"));
    let _ = writeln!(
        table,
        "\nWith 64 clients and as many commands a flush, the engine takes {} µs of processor time for a command beside what the store takes.",
        told(cpu.map(|(engine, store)| engine - store))
    );
    table
}

fn proofs(run: &Value) -> String {
    let mut table = String::from("| mode | commands/s | cpu µs | share of bare |\n|---|---|---|---|\n");
    for mode in ["bare", "engine", "proven"] {
        let of = |member: &str| figure(run, &format!("/{mode}/{member}"));
        let share = ratio(run, &format!("/{mode}/per_s"), "/bare/per_s");
        let _ = writeln!(
            table,
            "| {mode} | {} | {} | {} |",
            told(of("per_s")),
            told(of("cpu_us")),
            told(share)
        );
    }
    table
}

fn replay(run: &Value) -> String {
    let mut table = format!(
        "{} records with {} events of the leave workload, one thread:\n\n| | records/s | events/s | cpu µs per record |\n|---|---|---|---|\n",
        told(figure(run, "/records")),
        told(figure(run, "/events")),
    );
    for way in ["decode", "fold", "fold, all kept", "verify", "certify", "catalogue"] {
        let of = |member: &str| told(figure(run, &format!("/ways/{way}/{member}")));
        let _ = writeln!(
            table,
            "| {way} | {} | {} | {} |",
            of("records_per_s"),
            of("events_per_s"),
            of("cpu_us_per_record")
        );
    }
    table
}

fn scale_table(steps: &[Value]) -> String {
    let rows = [
        ("commit, touched before, p50 µs", "/commit_recent_p50_us", 1.0),
        ("commit, touched before, p99 µs", "/commit_recent_p99_us", 1.0),
        ("commit, cold, p50 µs", "/commit_cold_p50_us", 1.0),
        ("commit, cold, p99 µs", "/commit_cold_p99_us", 1.0),
        ("start, p50 µs", "/start_p50_us", 1.0),
        ("history, cold, median µs", "/history_cold_us", 1.0),
        ("history, warm, median µs", "/history_warm_us", 1.0),
        ("list of the running, median µs", "/list_running_us", 1.0),
        ("open after a clean close, ms", "/open_ms", 1.0),
        ("open after kill -9, ms", "/open_killed_ms", 1.0),
        ("records at that time, thousands", "/records_when_killed", 1e3),
        (
            "memory when just opened, all of it new, MB",
            "/opened_resident_bytes",
            1e6,
        ),
        ("memory when opened again, MB", "/reopened_resident_bytes", 1e6),
        ("memory after writing all this, MB", "/filled_resident_bytes", 1e6),
        ("disk, MB", "/disk_bytes", 1e6),
    ];
    let mut table = String::from("| finished instances |");
    for step in steps {
        let _ = write!(table, " {} |", told(figure(step, "/instances")));
    }
    let _ = writeln!(table, "\n|---|{}", "---|".repeat(steps.len()));
    for (name, path, unit) in rows {
        let _ = write!(table, "| {name} |");
        for step in steps {
            let _ = write!(table, " {} |", told(figure(step, path).map(|figure| figure / unit)));
        }
        table.push('\n');
    }
    table
}

/// What a further million instances adds to the memory of a store that was just opened, by the two largest steps.
fn growth(steps: &[Value]) -> String {
    let [.., before, last] = steps else {
        return String::new();
    };
    let difference = |path: &str| Some(figure(last, path)? - figure(before, path)?);
    let growth = difference("/reopened_resident_bytes").zip(difference("/instances"));
    told(growth.map(|(bytes, instances)| bytes / instances))
}

fn first_life_table(first_life: &Value) -> String {
    let mut table =
        String::from("| a store in its first life | records | open, ms | memory then, MB |\n|---|---|---|---|\n");
    for (name, kind) in [("after a clean close", "closed"), ("after kill -9", "killed")] {
        let of = |what: &str, unit: f64| told(figure(first_life, &format!("/{kind}/{what}")).map(|found| found / unit));
        let (records, open, memory) = (of("records", 1.0), of("open_ms", 1.0), of("resident_bytes", 1e6));
        let _ = writeln!(table, "| {name} | {records} | {open} | {memory} |");
    }
    table
}

fn queries(lines: &[Value]) -> String {
    let mut text = String::new();
    for (grows, about) in [
        (
            "log",
            "An instance of 20 records, spread over a log of so many others (the leave workload):",
        ),
        (
            "stream",
            "An instance of so many records (one request, corrected again and again; two node instances a commit), all of them in one log:",
        ),
    ] {
        let of: Vec<&Value> = lines.iter().filter(|line| line["grows"] == grows).collect();
        let mut sizes: Vec<u64> = of.iter().filter_map(|line| line["records"].as_u64()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let _ = write!(text, "{about}\n\n| query | |");
        for size in &sizes {
            let _ = write!(text, " {} |", told(figure(&json!(size), "")));
        }
        let _ = writeln!(text, "\n|---|---|{}", "---|".repeat(sizes.len()));
        let mut known: Vec<(&str, &str)> = Vec::new();
        for line in &of {
            let (Some(query), Some(cache)) = (line["query"].as_str(), line["cache"].as_str()) else {
                continue;
            };
            if !known.contains(&(query, cache)) {
                known.push((query, cache));
            }
        }
        for (query, cache) in known {
            let _ = write!(text, "| {query} | {cache} |");
            for size in &sizes {
                let found = of.iter().find(|line| {
                    line["query"] == query && line["cache"] == cache && line["records"].as_u64() == Some(*size)
                });
                let _ = write!(text, " {} |", told(found.and_then(|line| figure(line, "/median_us"))));
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text.trim_end().to_owned()
}

fn instructions(repository: &Path) -> String {
    let text = fs::read_to_string(repository.join("benches/instructions.txt")).unwrap_or_default();
    let mut lines = text.lines();
    let tools = lines.next().unwrap_or_default();
    let mut table = format!("{tools}:\n\n| part | instructions |\n|---|---|\n");
    for line in lines {
        if let Some((part, count)) = line.rsplit_once(": ") {
            let _ = writeln!(table, "| {part} | {} |", told(count.parse().ok()));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_are_dates() {
        let told = [0, 59, 11_016, 20_785].map(date);
        assert_eq!(told, ["1970-01-01", "1970-03-01", "2000-02-29", "2026-11-28"]);
    }
}
