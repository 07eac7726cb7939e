//! Closed-loop clients: each gives its next command when the last is answered; what they see is what is measured.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::process::{cpu_time, disk_bytes};

/// What takes commands.
pub trait Target: Send + Sync + 'static {
    /// Gives the commands of a client, each when the one before is durable. A whole client is one future, so that none has to be
    /// made anew for each command.
    fn client(self: Arc<Self>, client: u64, turns: Turns) -> Pin<Box<dyn Future<Output = Turns> + Send>>;

    /// What has been committed so far; nobody is at work when this is asked.
    fn commits(&self) -> Commits;

    /// Processor time so far of all that belongs to the target, clients included.
    fn cpu_time(&self) -> Duration {
        cpu_time()
    }

    /// Bytes that its files take now.
    fn disk_bytes(&self, directory: &Path) -> u64 {
        disk_bytes(directory)
    }

    /// Whether its clients talk to somebody through sockets.
    fn needs_io(&self) -> bool {
        false
    }
}

/// The turns of one client, and how long each took.
pub struct Turns {
    numbers: Box<dyn Iterator<Item = u64> + Send>,
    begun: Option<Instant>,
    took: Vec<Duration>,
}

impl Turns {
    fn new(numbers: impl Iterator<Item = u64> + Send + 'static) -> Self {
        Self {
            numbers: Box::new(numbers),
            begun: None,
            took: Vec::new(),
        }
    }
}

impl Iterator for Turns {
    type Item = u64;

    /// The number of the next command; asked for when the one before is done.
    fn next(&mut self) -> Option<u64> {
        self.took.extend(self.begun.take().map(|begun| begun.elapsed()));
        let number = self.numbers.next()?;
        self.begun = Some(Instant::now());
        Some(number)
    }
}

/// Commands, syncs and bytes of records.
#[derive(Clone, Copy, Debug, Default)]
pub struct Commits {
    /// Commands that are durable.
    pub commands: u64,
    /// Syncs they took.
    pub syncs: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl From<flowledger_event_store::Counters> for Commits {
    fn from(counters: flowledger_event_store::Counters) -> Self {
        Self {
            commands: counters.records,
            syncs: counters.batches,
            bytes: counters.bytes,
        }
    }
}

/// What one run of clients saw; JSON with these names.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Commands answered per second.
    pub per_s: f64,
    /// Half of the commands took at most this.
    pub p50_us: f64,
    /// 99 of 100 took at most this.
    pub p99_us: f64,
    /// 999 of 1000 took at most this.
    pub p999_us: f64,
    /// Processor time per command of the whole process, clients included, and of servers that belong to the target.
    pub cpu_us: f64,
    /// Growth of the files per command.
    pub disk_bytes: f64,
    /// Commands per sync: what group commit gains.
    pub records_per_sync: f64,
    /// Bytes of a record.
    #[serde(skip)]
    pub record_bytes: f64,
}

/// Runs `clients` for some time against a target whose files are in `directory`.
#[allow(clippy::cast_precision_loss, reason = "figures for people")]
pub fn run(target: &Arc<dyn Target>, directory: &Path, clients: u64, time: Duration) -> Figures {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    #[cfg(feature = "baseline")]
    if target.needs_io() {
        builder.enable_io();
    }
    let runtime = builder.build().expect("a runtime");
    let ends = Arc::new(AtomicBool::new(false));
    let (before, disk, cpu) = (target.commits(), target.disk_bytes(directory), target.cpu_time());
    let begun = Instant::now();
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let ends = Arc::clone(&ends);
            let turns = Turns::new((0..).take_while(move |_| !ends.load(Ordering::Relaxed)));
            runtime.spawn(Arc::clone(target).client(client, turns))
        })
        .collect();
    std::thread::sleep(time);
    ends.store(true, Ordering::Relaxed);
    let mut took: Vec<Duration> = Vec::new();
    for client in clients {
        took.extend(runtime.block_on(client).expect("a client").took);
    }
    let elapsed = begun.elapsed();
    let count = took.len().max(1) as f64;
    let cpu = target.cpu_time().saturating_sub(cpu).as_secs_f64();
    let after = target.commits();
    let (commands, syncs) = (after.commands - before.commands, after.syncs - before.syncs);
    took.sort_unstable();
    let at = |per_mille: usize| took.get((took.len() * per_mille / 1000).min(took.len().saturating_sub(1)));
    let us = |per_mille| at(per_mille).map_or(0.0, |took| took.as_secs_f64() * 1e6);
    Figures {
        per_s: count / elapsed.as_secs_f64(),
        p50_us: us(500),
        p99_us: us(990),
        p999_us: us(999),
        cpu_us: cpu * 1e6 / count,
        disk_bytes: (target.disk_bytes(directory).saturating_sub(disk)) as f64 / count,
        records_per_sync: commands as f64 / (syncs.max(1)) as f64,
        record_bytes: (after.bytes - before.bytes) as f64 / commands.max(1) as f64,
    }
}

/// Gives commands as fast as they are taken: those numbered from `from` up to `upto`, dealt out to so many clients.
pub fn give(target: &Arc<dyn Target>, clients: usize, from: usize, upto: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
    let clients: Vec<_> = (0..clients)
        .map(|client| {
            let own = (from..upto).filter(move |record| record % clients == client);
            let turns = Turns::new(own.map(move |record| (record / clients) as u64));
            runtime.spawn(Arc::clone(target).client(client as u64, turns))
        })
        .collect();
    for client in clients {
        runtime.block_on(client).expect("a client");
    }
}

/// The median of each figure on its own.
pub fn median(runs: &[Figures]) -> Option<Figures> {
    let of = |figure: fn(&Figures) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied()
    };
    Some(Figures {
        per_s: of(|run| run.per_s)?,
        p50_us: of(|run| run.p50_us)?,
        p99_us: of(|run| run.p99_us)?,
        p999_us: of(|run| run.p999_us)?,
        cpu_us: of(|run| run.cpu_us)?,
        disk_bytes: of(|run| run.disk_bytes)?,
        records_per_sync: of(|run| run.records_per_sync)?,
        record_bytes: of(|run| run.record_bytes)?,
    })
}
