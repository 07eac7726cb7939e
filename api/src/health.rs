//! How an engine is: whether it takes commands, since when, and what went wrong last. Knows no operation.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::time::Timestamp;
use flowledger_event_store::{self as store, FaultKind, Status};
use flowledger_projections::Date;
use serde::Serialize;

use crate::engine::Engine;
use crate::operation::LogFault;
use crate::verification::Progress;

/// How an engine is. A look costs some microseconds, so metrics may poll it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// Whether it takes commands.
    pub state: HealthState,
    /// Since when it is in this state; absent for a store of the host's own that does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Date>,
    /// Why it takes no commands, and what ends that; absent while it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The last thing that went wrong, also when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_fault: Option<HealthFault>,
    /// Grows whenever state or last fault change; [`Engine::health_changed`] waits for it.
    pub changes: u64,
    /// How many records the log has that survive a power cut.
    pub durable: u64,
    /// How many of them the mark beside the log knows of; at most 100 ms behind while all is well. Absent without a mark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<u64>,
    /// Records whose callers wait for an answer.
    pub pending: u64,
    /// Whether the files that the store has open and locked are still those in its directory; absent where that cannot be
    /// told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds_lock: Option<bool>,
    /// How far the log is verified in the background; absent if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationHealth>,
}

/// How far the log is verified in the background.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationHealth {
    /// Records verified in this round.
    pub position: u64,
    /// Records there were when it began.
    pub of: u64,
    /// Rounds that ended without a fault since the engine was opened.
    pub rounds: u64,
    /// When the last of them ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Date>,
    /// The fault at which verification stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<LogFault>,
}

/// Whether an engine takes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthState {
    /// It does.
    Ready,
    /// Not now: the store reopens after an error, and goes on by itself.
    Reopening,
    /// Not until it is opened again: a new engine on the same directory. Queries go on. So it is, too, after verification in the
    /// background has found a fault, unless [`OnFault`](crate::OnFault) says otherwise.
    Refusing,
    /// It was closed.
    Closed,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthFault {
    /// When.
    pub at: Date,
    /// Of which kind.
    pub kind: HealthFaultKind,
    /// The code that commands or queries got for it.
    pub err_code: i32,
    /// What, in words.
    pub what: String,
}

/// What can go wrong with a store; each kind has its own consequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthFaultKind {
    /// The disk did not take what was written, as a full one does. The store reopens and goes on by itself.
    Write,
    /// The disk did not confirm what was written. No commands until the store is opened again.
    Sync,
    /// The disk does not answer. No commands until the store is opened again.
    Stuck,
    /// The directory was deleted, renamed or replaced. No commands until the store is opened again.
    Lost,
    /// Something stored cannot be read or is not what it was.
    Damage,
    /// The store itself failed. No commands until it is opened again.
    Broken,
}

impl From<FaultKind> for HealthFaultKind {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Write => Self::Write,
            FaultKind::Sync => Self::Sync,
            FaultKind::Stuck => Self::Stuck,
            FaultKind::Lost => Self::Lost,
            FaultKind::Damage => Self::Damage,
            FaultKind::Broken => Self::Broken,
        }
    }
}

impl HealthFaultKind {
    /// The code that commands or queries get for it.
    fn code(self) -> ResultCode {
        match self {
            Self::Damage => ResultCode::LogCorrupt,
            Self::Write | Self::Sync | Self::Stuck | Self::Lost | Self::Broken => ResultCode::StoreUnavailable,
        }
    }
}

impl Engine {
    /// Whether the engine takes commands, since when, and what went wrong last.
    pub fn health(&self) -> Health {
        let events = &self.executor().store.events;
        let profile = self.profile();
        let Status {
            health,
            is_closed,
            since,
            changes,
            last_fault,
            pending,
            holds_lock,
        } = events.status();
        let is_ready = health == store::Health::Ready;
        let refusal = self.executor().verification.why();
        let (state, why) = match health {
            store::Health::Ready if refusal.is_some() => (HealthState::Refusing, refusal),
            store::Health::Ready => (HealthState::Ready, None),
            store::Health::Recovering { why } => (HealthState::Reopening, Some(why)),
            store::Health::Refused { why } if is_closed => (HealthState::Closed, Some(why)),
            store::Health::Refused { why } => (HealthState::Refusing, Some(why)),
        };
        let verification = &self.executor().verification;
        let news = *verification.changes().borrow();
        let progress = verification.is_on().then(|| verification.progress());
        let mut faults: Vec<_> = last_fault
            .map(|fault| (fault.at, HealthFaultKind::from(fault.kind), fault.what))
            .into_iter()
            .collect();
        let found = progress.as_ref().and_then(|progress| progress.fault.as_ref());
        faults.extend(found.map(|(at, fault)| {
            (
                *at,
                HealthFaultKind::Damage,
                format!("position {}: {}", fault.position, fault.what),
            )
        }));
        let since = match (state, found) {
            (HealthState::Refusing, Some((at, _))) if is_ready => Some(*at),
            _ => since,
        };
        Health {
            state,
            since: since.map(|at| date(at, profile)),
            why,
            last_fault: faults
                .into_iter()
                .max_by_key(|(at, ..)| *at)
                .map(|(at, kind, what)| HealthFault {
                    at: date(at, profile),
                    kind,
                    err_code: number(kind.code(), profile),
                    what,
                }),
            changes: changes + news,
            durable: events.head(0).get(),
            mark: events.marks(0).map(|marks| marks.written.get()),
            pending,
            holds_lock,
            verification: progress.map(|progress| told(progress, profile)),
        }
    }

    /// The health once [`Health::changes`] is beyond `after`, or when `wait` is over: for those who must hear of it at once.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use flowledger::Engine;
    /// # async fn watch(engine: Engine) {
    /// let mut health = engine.health();
    /// loop {
    ///     println!("{:?}: {:?}", health.state, health.why);
    ///     health = engine.health_changed(health.changes, Duration::from_secs(60)).await;
    /// }
    /// # }
    /// ```
    pub async fn health_changed(&self, after: u64, wait: Duration) -> Health {
        let executor = self.executor();
        let events = &executor.store.events;
        let mut verification = executor.verification.changes();
        let (own, stored) = (*verification.borrow_and_update(), events.status().changes);
        if own + stored <= after {
            let mut stored = events.status_changed(stored, wait);
            let mut own = pin!(verification.changed());
            poll_fn(|context| match own.as_mut().poll(context) {
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => stored.as_mut().poll(context),
            })
            .await;
        }
        self.health()
    }
}

fn told(progress: Progress, profile: Profile) -> VerificationHealth {
    VerificationHealth {
        position: progress.position,
        of: progress.of,
        rounds: progress.rounds,
        verified_at: progress.ended.map(|at| date(at, profile)),
        fault: progress.fault.map(|(_, fault)| fault),
    }
}

fn number(code: ResultCode, profile: Profile) -> i32 {
    crate::error::EngineError::of_host(code, "", profile).err_code()
}

fn date(at: SystemTime, profile: Profile) -> Date {
    let millis = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Date::new(Timestamp::from_millis(millis), profile)
}
