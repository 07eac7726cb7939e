//! Durable commands per second, each way of storing them measured in turn within one run: `floor` is what the disk allows,
//! `store` the event store, `engine` the whole of it on the leave workload, `bare` and `proven` the same without and with all proofs.
//! Only their ratio means something on a machine that does other work as well.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use flowledger_benches::floor::Floor;
use flowledger_benches::leave::Leave;
use flowledger_benches::load::{Commits, Figures, Target, median, run};
use flowledger_benches::proofs::{self, Proven};
use flowledger_event_store::{Append, EventStore, Revision, SledOptions, SledStore, StreamId};

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
    /// Bytes of a record.
    #[arg(long, default_value_t = 350)]
    record_bytes: usize,
    /// Records of a stream before a client begins the next.
    #[arg(long, default_value_t = 50)]
    stream_records: u64,
    /// Microseconds added to every sync.
    #[arg(long, default_value_t = 0)]
    flush_delay_us: u64,
    /// Where the files go; must be on the disk to be measured.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Print one JSON object a line.
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
    /// The engine on a store that computes no leaf hashes and keeps no mark: what it would be without proofs.
    Bare,
    /// The whole engine: start, commit, commit of a leave request, with five variables.
    Engine,
    /// The same with proofs in use: the Merkle tree is kept up, and a checkpoint signed and saved twice a second.
    Proven,
}

impl Mode {
    /// The one place that knows how each mode is set up.
    fn target(self, directory: &Path, arguments: &Arguments) -> Arc<dyn Target> {
        let flush_delay = Duration::from_micros(arguments.flush_delay_us);
        let options = SledOptions {
            flush_delay,
            ..SledOptions::default()
        };
        let commands = Commands {
            record_bytes: arguments.record_bytes,
            stream_records: arguments.stream_records,
        };
        match self {
            Self::Floor => Arc::new(FloorTarget {
                floor: Floor::create(directory, &options),
                commands,
            }),
            Self::Store => {
                let store = SledStore::open(directory, options).expect("a new store");
                Arc::new(StoreTarget { store, commands })
            }
            Self::Bare => Arc::new(proofs::bare(directory, options)),
            Self::Engine => Arc::new(Leave::open(directory, options)),
            Self::Proven => Arc::new(Proven::open(directory, options)),
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The same commands for every mode.
#[derive(Clone, Copy)]
struct Commands {
    record_bytes: usize,
    stream_records: u64,
}

impl Commands {
    fn append(self, client: u64, number: u64) -> Append {
        let stream = (client << 40) + number / self.stream_records;
        let expected = number % self.stream_records;
        let scattered = u128::from(stream).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let id = (u128::from(stream) << 64) + u128::from(expected);
        let mut record = vec![b'r'; self.record_bytes];
        let len = record.len().min(16);
        record[..len].copy_from_slice(&id.to_be_bytes()[..len]);
        Append {
            stream: StreamId::from_bytes(scattered.to_be_bytes()),
            expected: Revision::new(expected),
            record: record.into(),
        }
    }
}

struct FloorTarget {
    floor: Floor,
    commands: Commands,
}

impl Target for FloorTarget {
    fn command(&self, client: u64, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            self.floor.append(self.commands.append(client, number).record).await;
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
    commands: Commands,
}

impl Target for StoreTarget {
    fn command(&self, client: u64, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            for answer in self.store.append(vec![self.commands.append(client, number)]).await {
                answer.expect("the store takes it");
            }
        })
    }

    fn commits(&self) -> Commits {
        self.store.counters().into()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let modes: Vec<Mode> = arguments.modes.clone();
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); modes.len()];
    if !arguments.json {
        println!(
            "{:>7} {:>12} {:>9} {:>9} {:>9} {:>8} {:>10} {:>9} {:>9}",
            "", "commands/s", "p50 us", "p99 us", "p99.9 us", "cpu us", "disk B", "per sync", "record B"
        );
    }
    for round in 0..arguments.rounds {
        // There and back again, so that none is always the first.
        let mut order: Vec<_> = modes.iter().zip(&mut figures).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for (mode, figures) in order {
            let directory = match &arguments.directory {
                Some(parent) => tempfile::tempdir_in(parent),
                None => tempfile::tempdir(),
            };
            let directory = directory.expect("a directory");
            let target = mode.target(directory.path(), &arguments);
            let seen = run(
                &target,
                directory.path(),
                arguments.clients,
                Duration::from_secs_f64(arguments.seconds),
            );
            print(&arguments, &mode.name(), &seen);
            figures.push(seen);
        }
    }
    let medians: Vec<Figures> = figures.iter().filter_map(|figures| median(figures)).collect();
    for (mode, seen) in modes.iter().zip(&medians) {
        print(&arguments, &format!("{}*", mode.name()), seen);
    }
    for pair in 1..modes.len() {
        print_ratio(
            &arguments,
            (modes[pair - 1], &figures[pair - 1]),
            (modes[pair], &figures[pair]),
        );
    }
    let mut is_enough = true;
    if let (Some(at_least), [first, .., last]) = (arguments.at_least, modes.as_slice()) {
        let ratio = if let [first_figures, .., last_figures] = figures.as_slice() {
            print_ratio(&arguments, (*first, first_figures), (*last, last_figures))
        } else {
            1.0
        };
        is_enough = ratio >= at_least;
    }
    if is_enough {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Of the rounds' ratios, not of the medians: what disturbs a round disturbs both of its sides.
fn print_ratio(arguments: &Arguments, first: (Mode, &[Figures]), other: (Mode, &[Figures])) -> f64 {
    let rounds = first.1.iter().zip(other.1);
    let mut ratios: Vec<f64> = rounds
        .map(|(first, other)| other.commands_per_s / first.commands_per_s)
        .collect();
    ratios.sort_by(f64::total_cmp);
    let (ratio, name, to) = (ratios[ratios.len() / 2], other.0.name(), first.0.name());
    let cpu = |figures| median(figures).map_or(0.0, |median| median.cpu_us_per_command);
    let cpu = cpu(other.1) / cpu(first.1);
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({ "mode": name, "to": to, "ratio": ratio, "cpu_ratio": cpu })
        );
    } else {
        println!("{name} is {ratio:.2} of {to} (rounds: {ratios:.2?}), its processor time per command {cpu:.2}");
    }
    ratio
}

fn print(arguments: &Arguments, name: &str, figures: &Figures) {
    if arguments.json {
        println!(
            "{}",
            serde_json::json!({ "mode": name, "clients": arguments.clients, "figures": figures })
        );
        return;
    }
    let Figures {
        commands_per_s,
        p50_us,
        p99_us,
        p999_us,
        ..
    } = figures;
    println!(
        "{name:>7} {commands_per_s:>12.0} {p50_us:>9.0} {p99_us:>9.0} {p999_us:>9.0} {:>8.1} {:>10.0} {:>9.1} {:>9.0}",
        figures.cpu_us_per_command, figures.disk_bytes_per_command, figures.commands_per_sync, figures.record_bytes
    );
}
