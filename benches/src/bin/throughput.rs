//! Durable commands per second, each way of storing them measured in turn within one run: `floor` is what the disk allows,
//! `store` the event store, `engine` the whole of it on the leave workload. Only their ratio means something on a machine that does other work as well.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use flowledger_benches::floor::Floor;
use flowledger_benches::leave::Leave;
use flowledger_benches::load::{Commits, Figures, Target, median, run};
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
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    /// A plain file, appended and synced by the same kind of writer.
    Floor,
    /// The event store on sled.
    Store,
    /// The whole engine: start, commit, commit of a leave request, with five variables.
    Engine,
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
            Self::Engine => Arc::new(Leave::open(directory, options)),
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

fn main() {
    let arguments = Arguments::parse();
    let modes: Vec<Mode> = arguments.modes.clone();
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); modes.len()];
    if !arguments.json {
        println!(
            "{:>7} {:>12} {:>9} {:>9} {:>9} {:>8} {:>10} {:>9} {:>9}",
            "", "commands/s", "p50 us", "p99 us", "p99.9 us", "cpu us", "disk B", "per sync", "record B"
        );
    }
    for _ in 0..arguments.rounds {
        for (mode, figures) in modes.iter().zip(&mut figures) {
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
    // Of the rounds' ratios, not of the medians: what disturbs a round disturbs both of its sides.
    for pair in 1..modes.len() {
        let (first, other) = (&modes[pair - 1], &modes[pair]);
        let mut ratios: Vec<f64> = figures[pair - 1]
            .iter()
            .zip(&figures[pair])
            .map(|(first, other)| other.commands_per_s / first.commands_per_s)
            .collect();
        ratios.sort_by(f64::total_cmp);
        let (ratio, name, to) = (ratios[ratios.len() / 2], other.name(), first.name());
        if arguments.json {
            println!("{}", serde_json::json!({ "mode": name, "to": to, "ratio": ratio }));
        } else {
            println!("{name} is {ratio:.2} of {to} (rounds: {ratios:.2?})");
        }
    }
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
