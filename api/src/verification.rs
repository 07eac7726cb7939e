//! Verification of the log behind the commands: slowly, over and over. Remembers nothing on disk, and never holds up a commit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use flowledger_engine_core::result_code::ResultCode;
use flowledger_event_store::{Health, Offset, StoreError, Stored};
use tokio::sync::watch;

use crate::error::EngineError;
use crate::executor::Executor;
use crate::operation::{LogFault, Walk, fault_of};
use crate::proofs::{self, KeptCheckpoints};

/// How the log is verified while the engine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackgroundVerification {
    /// Records verified in a second, about; 0 verifies nothing.
    pub records_per_second: u32,
    /// Time from the begin of one round over the log to that of the next, at least.
    pub round: Duration,
    /// What happens when a fault is found.
    pub on_fault: OnFault,
}

/// What an engine does when the verification of its log finds a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// Commands are refused with 7800 until the engine is opened again: nothing is acknowledged onto a log that is known to be
    /// broken. Queries go on.
    #[default]
    Refuse,
    /// Commands go on; health tells.
    GoOn,
}

impl Default for BackgroundVerification {
    /// 200 records a second, a round in an hour at most, commands refused at a fault.
    fn default() -> Self {
        Self {
            records_per_second: 200,
            round: Duration::from_secs(3600),
            on_fault: OnFault::default(),
        }
    }
}

impl BackgroundVerification {
    /// Nothing is verified in the background.
    pub fn off() -> Self {
        Self {
            records_per_second: 0,
            ..Self::default()
        }
    }

    fn is_on(&self) -> bool {
        self.records_per_second > 0
    }

    /// Records read in one piece, and the pause after them.
    fn pace(&self) -> (usize, Duration) {
        let rate = self.records_per_second.max(1);
        // Four times a second while the pieces stay small enough to disturb nobody.
        let records = (rate / 4).clamp(1, PIECE_MAX);
        let pause = Duration::from_secs(1) * records / rate;
        (usize::try_from(records).unwrap_or(1), pause)
    }
}

/// Records read in one piece at most.
const PIECE_MAX: u32 = 128;

/// How long is waited before the first round.
const FIRST: Duration = Duration::from_millis(250);

/// How long is waited when the store cannot be read, before the same records are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The background verification of one engine.
pub(crate) struct Verification {
    settings: BackgroundVerification,
    state: Mutex<Progress>,
    refuses: AtomicBool,
    /// How often there was news: a round that ended, a fault.
    changes: watch::Sender<u64>,
}

/// How far a verification is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// Records verified in this round.
    pub(crate) position: u64,
    /// Records there were when it began.
    pub(crate) of: u64,
    /// Rounds that ended without a fault.
    pub(crate) rounds: u64,
    /// When the last one ended.
    pub(crate) ended: Option<SystemTime>,
    /// The fault at which it stopped, and when.
    pub(crate) fault: Option<(SystemTime, LogFault)>,
}

impl Verification {
    /// With these settings.
    pub(crate) fn new(settings: BackgroundVerification) -> Self {
        Self {
            settings,
            state: Mutex::default(),
            refuses: AtomicBool::new(false),
            changes: watch::Sender::new(0),
        }
    }

    /// Whether there is anything to do.
    pub(crate) fn is_on(&self) -> bool {
        self.settings.is_on()
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        self.state().clone()
    }

    /// How often there was news.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Why commands are refused.
    pub(crate) fn refusal(&self) -> Option<EngineError> {
        if !self.refuses.load(Ordering::Acquire) {
            return None;
        }
        let why = self.why().unwrap_or_default();
        Some(EngineError::new(ResultCode::LogCorrupt, why))
    }

    /// Why commands are refused, in words.
    pub(crate) fn why(&self) -> Option<String> {
        if !self.refuses.load(Ordering::Acquire) {
            return None;
        }
        let state = self.state();
        state.fault.as_ref().map(|(_, fault)| {
            format!(
                "verification in the background found a fault at position {}: {}; no commands until the store is opened again, \
                 and it should be restored or salvaged before",
                fault.position, fault.what
            )
        })
    }

    fn state(&self) -> MutexGuard<'_, Progress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, fault: LogFault) {
        self.state().fault = Some((SystemTime::now(), fault));
        self.refuses
            .store(self.settings.on_fault == OnFault::Refuse, Ordering::Release);
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn ended(&self) {
        let mut state = self.state();
        state.rounds += 1;
        state.ended = Some(SystemTime::now());
        drop(state);
        self.changes.send_modify(|changes| *changes += 1);
    }
}

/// One round over the log as it was when the round began.
struct Round {
    began: Instant,
    kept: KeptCheckpoints,
    walk: Walk,
    head: u64,
}

/// What a piece of work came to.
enum Step {
    /// There is more.
    More,
    /// The round ended well.
    Ended,
    /// The store cannot be read now.
    Later,
    /// Something is not what it was.
    Fault(LogFault),
}

/// Verifies until the engine is gone or the other end of `stopped` is.
pub(crate) fn keep_verifying(executor: &Weak<Executor>, stopped: &Receiver<()>) {
    let mut round = None;
    // Not at once: who opens a store for one command does not want it read.
    let mut wait = FIRST;
    loop {
        if let Ok(()) | Err(RecvTimeoutError::Disconnected) = stopped.recv_timeout(wait) {
            return;
        }
        let Some(executor) = executor.upgrade() else { return };
        let verification = &executor.verification;
        let (records, pause) = verification.settings.pace();
        let Some(now) = round.as_mut() else {
            round = Some(Round::begin(&executor));
            wait = pause;
            continue;
        };
        wait = match now.step(&executor, records) {
            Step::More => pause,
            Step::Later => pause.max(RETRY),
            Step::Ended => {
                verification.ended();
                let rest = verification.settings.round.saturating_sub(now.began.elapsed());
                round = None;
                rest.max(pause)
            }
            Step::Fault(fault) => return verification.found(fault),
        };
    }
}

impl Round {
    fn begin(executor: &Executor) -> Self {
        // The checkpoints before the end of the log: it has what they prove.
        let kept = executor.proofs.stored();
        let events = &executor.store.events;
        let round = Self {
            began: Instant::now(),
            walk: Walk::past(&kept, events.marks(0)),
            kept,
            head: events.head(0).get(),
        };
        let mut state = executor.verification.state();
        (state.position, state.of) = (0, round.head);
        round
    }

    /// Verifies the next records.
    fn step(&mut self, executor: &Executor, records: usize) -> Step {
        let position = self.walk.size();
        if position >= self.head {
            return self.end();
        }
        let left = usize::try_from(self.head - position).unwrap_or(usize::MAX);
        let batch = match read(executor, position, records.min(left)) {
            Ok(batch) if batch.is_empty() => {
                let what = format!("the log ends here; it had {} records", self.head);
                return self.confirmed(executor, what);
            }
            Ok(batch) => batch,
            Err(StoreError::Damaged { .. }) if records > 1 => return self.step(executor, 1),
            Err(error @ StoreError::Damaged { .. }) => return self.confirmed(executor, error.to_string()),
            Err(_) => return Step::Later,
        };
        for stored in &batch {
            if let Some(what) = self.fault_of(stored, self.walk.size() + 1) {
                return self.confirmed(executor, what);
            }
            self.walk.pass(&stored.leaf);
        }
        executor.verification.state().position = self.walk.size();
        if self.walk.size() >= self.head {
            self.end()
        } else {
            Step::More
        }
    }

    /// A fault behind a position, if it is one: a store that is reopening or closing shows less than it has.
    fn confirmed(&self, executor: &Executor, what: String) -> Step {
        let position = self.walk.size();
        let is_ready = || executor.store.events.health() == Health::Ready;
        let is_still_so = is_ready()
            && match read(executor, position, 1) {
                Ok(again) => again
                    .first()
                    .is_none_or(|again| self.fault_of(again, position + 1).is_some()),
                Err(StoreError::Damaged { .. }) => true,
                Err(_) => false,
            }
            && is_ready();
        if is_still_so {
            let position = position + 1;
            Step::Fault(LogFault { position, what })
        } else {
            Step::Later
        }
    }

    fn fault_of(&self, stored: &Stored, position: u64) -> Option<String> {
        fault_of(stored, position, None).or_else(|| self.walk.contradicted(stored))
    }

    /// Compares the whole with the checkpoints that were kept.
    fn end(&self) -> Step {
        let KeptCheckpoints::Signed(kept) = &self.kept else {
            return Step::Ended;
        };
        let size = self.walk.size();
        let contradicted = kept.iter().find_map(|signed| {
            let checkpoint = signed.checkpoint();
            let what = proofs::contradiction(checkpoint, size, self.walk.root(checkpoint.size))?;
            let position = checkpoint.size.min(size);
            Some(LogFault { position, what })
        });
        contradicted.map_or(Step::Ended, Step::Fault)
    }
}

fn read(executor: &Executor, after: u64, records: usize) -> Result<Vec<Stored>, StoreError> {
    let read = executor.store.events.read_partition(0, Offset::new(after), records);
    pollster::block_on(read)
}
