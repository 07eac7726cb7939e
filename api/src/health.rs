//! How an engine is: whether it takes commands, since when, and what went wrong last. Knows no operation.

use std::time::{Duration, SystemTime};

use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::time::Timestamp;
use flowledger_event_store::{self as store, FaultKind, Status};
use flowledger_projections::Date;
use serde::Serialize;

use crate::engine::Engine;

/// How an engine is. A look costs about a microsecond, so metrics may poll it.
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
}

/// Whether an engine takes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HealthState {
    /// It does.
    Ready,
    /// Not now: the store reopens after an error, and goes on by itself.
    Reopening,
    /// Not until it is opened again: a new engine on the same directory. Queries go on.
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
        let (state, why) = match health {
            store::Health::Ready => (HealthState::Ready, None),
            store::Health::Recovering { why } => (HealthState::Reopening, Some(why)),
            store::Health::Refused { why } if is_closed => (HealthState::Closed, Some(why)),
            store::Health::Refused { why } => (HealthState::Refusing, Some(why)),
        };
        Health {
            state,
            since: since.map(|at| date(at, profile)),
            why,
            last_fault: last_fault.map(|fault| {
                let kind = HealthFaultKind::from(fault.kind);
                HealthFault {
                    at: date(fault.at, profile),
                    kind,
                    err_code: number(kind.code(), profile),
                    what: fault.what,
                }
            }),
            changes,
            durable: events.head(0).get(),
            mark: events.marks(0).map(|marks| marks.written.get()),
            pending,
            holds_lock,
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
        self.executor().store.events.status_changed(after, wait).await;
        self.health()
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
