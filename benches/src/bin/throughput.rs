//! Durable commands per second, each way of storing them measured in turn within one run: `floor` is what the disk allows,
//! `store` the event store, `engine` the whole of it, `bare` and `proven` the same without and with all proofs.
//! Only their ratio means something on a machine that does other work as well.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Parser, ValueEnum};
#[cfg(feature = "baseline")]
use flowledger_benches::baseline::{Baseline, Pattern, Server};
use flowledger_benches::floor::Floor;
use flowledger_benches::load::{Commits, Figures, Target, Turns, median, run};
use flowledger_benches::proofs::{self, Proven};
use flowledger_benches::workload::{Work, Workload};
use flowledger_event_store::{Append, EventStore, Revision, SledOptions, SledStore, StreamId};
use serde_json::{Map, Value, json};

/// Durable commands per second of closed-loop clients.
#[derive(Parser)]
struct Arguments {
    /// What to measure, in turn.
    #[arg(value_enum, default_values_t = [Mode::Floor, Mode::Store, Mode::Engine])]
    modes: Vec<Mode>,
    /// Clients that each wait for their answer before they go on.
    #[arg(long, default_value_t = 64)]
    clients: u64,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// What the clients do; floor and store take the records that it leaves.
    #[arg(long, value_enum, default_value_t = Workload::Leave)]
    workload: Workload,
    /// Microseconds added to every sync.
    #[arg(long, default_value_t = 0)]
    flush_delay_us: u64,
    /// Where the files go; must be on the disk to be measured.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Measures PostgreSQL as well, with the statements that the reference engine gives and with some written by hand. Patterns of
    /// statements, not the reference engine.
    #[arg(long)]
    baseline: bool,
    /// Print one JSON object with the medians.
    #[arg(long)]
    json: bool,
    /// Fails if the last mode comes to less than this share of the first.
    #[arg(long)]
    at_least: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    /// A plain file, appended and synced by the same kind of writer.
    Floor,
    /// The event store on sled.
    Store,
    /// The same, waiting for nobody before a commit.
    StoreAtOnce,
    /// The engine on a store that computes no leaf hashes and keeps no mark: what it would be without proofs.
    Bare,
    /// The whole engine.
    Engine,
    /// The same on a store that waits for nobody before a commit.
    EngineAtOnce,
    /// The same with proofs in use: the Merkle tree is kept up, and a checkpoint signed and saved twice a second.
    Proven,
    /// The statements of the reference engine, on PostgreSQL.
    #[value(skip)]
    Reference,
    /// Statements written by hand, on PostgreSQL.
    #[value(skip)]
    Handwritten,
}

impl Mode {
    /// The one place that knows how each mode is set up.
    fn target(self, directory: &Path, arguments: &Arguments, shared: &Shared) -> Arc<dyn Target> {
        let mut options = SledOptions {
            flush_delay: Duration::from_micros(arguments.flush_delay_us),
            ..SledOptions::default()
        };
        if matches!(self, Self::StoreAtOnce | Self::EngineAtOnce) {
            options.gather_limit = Duration::ZERO;
        }
        let records = shared.records.clone();
        match self {
            Self::Floor => Arc::new(FloorTarget {
                floor: Floor::create(directory, &options),
                records,
            }),
            Self::Store | Self::StoreAtOnce => {
                let store = SledStore::open(directory, options).expect("a new store");
                Arc::new(StoreTarget { store, records })
            }
            Self::Bare => Arc::new(proofs::bare(directory, options, arguments.workload)),
            Self::Engine | Self::EngineAtOnce => Arc::new(Work::open(directory, options, arguments.workload)),
            Self::Proven => Arc::new(Proven::open(directory, options, arguments.workload)),
            Self::Reference => shared.baseline(arguments, true),
            Self::Handwritten => shared.baseline(arguments, false),
        }
    }

    fn is_baseline(self) -> bool {
        matches!(self, Self::Reference | Self::Handwritten)
    }

    fn name(self) -> String {
        match self {
            Self::Reference => "reference".to_owned(),
            Self::Handwritten => "handwritten".to_owned(),
            _ => self
                .to_possible_value()
                .map_or_else(String::new, |value| value.get_name().to_owned()),
        }
    }
}

/// What all measurements of a run have in common.
struct Shared {
    records: Records,
    #[cfg(feature = "baseline")]
    server: Option<(Arc<Server>, tempfile::TempDir)>,
}

impl Shared {
    fn new(arguments: &Arguments) -> Result<Self, String> {
        let records = Records::of(arguments.workload);
        #[cfg(feature = "baseline")]
        {
            if arguments.baseline && !Baseline::can(arguments.workload) {
                let name = arguments.workload.name();
                return Err(format!(
                    "the {name} workload is not written as statements; leave and rollback are"
                ));
            }
            let start = || {
                let directory = directory(arguments);
                let delay = Duration::from_micros(arguments.flush_delay_us);
                let server = Server::start(directory.path(), arguments.clients, delay);
                let server = server.map_err(|why| format!("no PostgreSQL to compare with: {why}"))?;
                Ok::<_, String>((Arc::new(server), directory))
            };
            let server = arguments.baseline.then(start).transpose()?;
            Ok(Self { records, server })
        }
        #[cfg(not(feature = "baseline"))]
        {
            if arguments.baseline {
                return Err("this was built without the feature baseline".to_owned());
            }
            Ok(Self { records })
        }
    }

    #[cfg(feature = "baseline")]
    fn baseline(&self, arguments: &Arguments, is_reference: bool) -> Arc<dyn Target> {
        let (server, _) = self.server.as_ref().expect("a server");
        let pattern = if is_reference {
            Pattern::Reference
        } else {
            Pattern::Handwritten
        };
        Arc::new(Baseline::on(server, pattern, arguments.workload, arguments.clients))
    }

    #[cfg(not(feature = "baseline"))]
    fn baseline(&self, _: &Arguments, _: bool) -> Arc<dyn Target> {
        unreachable!("--baseline was refused")
    }
}

fn directory(arguments: &Arguments) -> tempfile::TempDir {
    let directory = match &arguments.directory {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    directory.expect("a directory")
}

/// The engine's records, for those that are given bytes instead of commands: the same bytes in as many streams.
#[derive(Clone)]
struct Records {
    bytes: Arc<[Arc<[u8]>]>,
    per_stream: u64,
}

impl Records {
    fn of(workload: Workload) -> Self {
        Self {
            bytes: workload.records().into(),
            per_stream: workload.commands(),
        }
    }

    fn append(&self, client: u64, number: u64) -> Append {
        let stream = (client << 40) + number / self.per_stream;
        let scattered = u128::from(stream).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let at = usize::try_from(number).unwrap_or(0) % self.bytes.len();
        Append {
            stream: StreamId::from_bytes(scattered.to_be_bytes()),
            expected: Revision::new(number % self.per_stream),
            record: self.bytes[at].clone(),
        }
    }
}

struct FloorTarget {
    floor: Floor,
    records: Records,
}

impl Target for FloorTarget {
    fn client(self: Arc<Self>, client: u64, mut turns: Turns) -> Pin<Box<dyn Future<Output = Turns> + Send>> {
        Box::pin(async move {
            for number in turns.by_ref() {
                self.floor.append(self.records.append(client, number).record).await;
            }
            turns
        })
    }

    fn commits(&self) -> Commits {
        let commits = self.floor.commits();
        Commits {
            commands: commits.records.load(Ordering::Relaxed),
            syncs: commits.batches.load(Ordering::Relaxed),
            bytes: commits.bytes.load(Ordering::Relaxed),
        }
    }
}

struct StoreTarget {
    store: SledStore,
    records: Records,
}

impl Target for StoreTarget {
    fn client(self: Arc<Self>, client: u64, mut turns: Turns) -> Pin<Box<dyn Future<Output = Turns> + Send>> {
        Box::pin(async move {
            for number in turns.by_ref() {
                for answer in self.store.append(vec![self.records.append(client, number)]).await {
                    answer.expect("the store takes it");
                }
            }
            turns
        })
    }

    fn commits(&self) -> Commits {
        self.store.counters().into()
    }
}

/// A mode with what its rounds came to.
struct Measured {
    mode: Mode,
    rounds: Vec<Figures>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let shared = match Shared::new(&arguments) {
        Ok(shared) => shared,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let baselines = [Mode::Reference, Mode::Handwritten];
    let baselines = baselines.into_iter().filter(|_| arguments.baseline);
    let mut measured: Vec<Measured> = arguments
        .modes
        .iter()
        .copied()
        .chain(baselines)
        .map(|mode| Measured {
            mode,
            rounds: Vec::new(),
        })
        .collect();
    if !arguments.json {
        println!(
            "{:>12} {:>12} {:>9} {:>9} {:>9} {:>8} {:>10} {:>9} {:>9} {:>11}",
            "", "commands/s", "p50 us", "p99 us", "p99.9 us", "cpu us", "disk B", "per sync", "record B", "syncs/inst."
        );
    }
    for round in 0..arguments.rounds.max(1) {
        // There and back again, so that none is always the first.
        let mut order: Vec<&mut Measured> = measured.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for Measured { mode, rounds } in order {
            let directory = directory(&arguments);
            let target = mode.target(directory.path(), &arguments, &shared);
            let time = Duration::from_secs_f64(arguments.seconds);
            let seen = run(&target, directory.path(), arguments.clients, time);
            if !arguments.json {
                print(&arguments, &mode.name(), &seen);
            }
            rounds.push(seen);
        }
    }
    if arguments.json {
        println!("{}", object(&arguments, &measured));
    } else {
        for Measured { mode, rounds } in &measured {
            if let Some(median) = median(rounds) {
                print(&arguments, &format!("{}*", mode.name()), &median);
            }
        }
        let (baselines, own): (Vec<&Measured>, Vec<&Measured>) = measured.iter().partition(|of| of.mode.is_baseline());
        for pair in own.windows(2) {
            print_ratio(pair[0], pair[1]);
        }
        if let Some(engine) = own.iter().find(|of| of.mode == Mode::Engine) {
            for baseline in baselines {
                print_ratio(baseline, engine);
            }
        }
    }
    let is_enough = match (arguments.at_least, measured.as_slice()) {
        (Some(at_least), [first, .., last]) => {
            if !arguments.json && measured.len() > 2 {
                print_ratio(first, last);
            }
            ratios(first, last).1 >= at_least
        }
        _ => true,
    };
    if is_enough {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What `--json` prints: the medians of each mode under its name.
fn object(arguments: &Arguments, measured: &[Measured]) -> Value {
    let mut object = Map::new();
    object.insert("workload".into(), json!(arguments.workload.name()));
    object.insert("clients".into(), json!(arguments.clients));
    let mut baselines = Map::new();
    for Measured { mode, rounds } in measured {
        let of_mode = if mode.is_baseline() {
            &mut baselines
        } else {
            &mut object
        };
        of_mode.insert(mode.name(), json!(median(rounds)));
    }
    if arguments.baseline {
        object.insert("baselines".into(), baselines.into());
    }
    object.into()
}

/// The ratios of two modes round by round, and their median: what disturbs a round disturbs both of its sides.
fn ratios(first: &Measured, other: &Measured) -> (Vec<f64>, f64) {
    let rounds = first.rounds.iter().zip(&other.rounds);
    let mut ratios: Vec<f64> = rounds.map(|(first, other)| other.per_s / first.per_s).collect();
    ratios.sort_by(f64::total_cmp);
    let median = ratios.get(ratios.len() / 2).copied().unwrap_or(1.0);
    (ratios, median)
}

fn print_ratio(first: &Measured, other: &Measured) {
    let (ratios, ratio) = ratios(first, other);
    let cpu = |measured: &Measured| median(&measured.rounds).map_or(0.0, |median| median.cpu_us);
    println!(
        "{} is {ratio:.2} of {} (rounds: {ratios:.2?}), its processor time per command {:+.1} us",
        other.mode.name(),
        first.mode.name(),
        cpu(other) - cpu(first),
    );
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn print(arguments: &Arguments, name: &str, figures: &Figures) {
    let Figures {
        per_s,
        p50_us,
        p99_us,
        p999_us,
        cpu_us,
        disk_bytes,
        records_per_sync,
        record_bytes,
    } = figures;
    println!(
        "{name:>12} {per_s:>12.0} {p50_us:>9.0} {p99_us:>9.0} {p999_us:>9.0} {cpu_us:>8.1} {disk_bytes:>10.0} {records_per_sync:>9.1} {record_bytes:>9.0} {:>11.2}",
        arguments.workload.commands() as f64 / records_per_sync
    );
}
