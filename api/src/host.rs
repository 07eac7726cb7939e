//! What the embedding application may bring along: hooks, a clock, listeners. All optional.

use std::error::Error;
use std::time::SystemTime;

use flowledger_engine_core::context::HookCall;
use flowledger_engine_core::event::AnyRecord;
use flowledger_engine_core::time::Timestamp;
use flowledger_engine_core::variables::InstanceData;
use flowledger_event_store::{BoxFuture, Offset};

/// Any error of the host's own.
pub type HostError = Box<dyn Error + Send + Sync>;

/// Refreshes data at an exclusive gateway that sets `hookInfoIds`, before it branches.
///
/// Hooks are asked in the order of their registration; of one key the later answer wins. A hook that fails, panics or
/// takes longer than the time-out is recorded as a failure and never ends the flow. A command that is decided again,
/// because another was first, may ask again.
pub trait Hook: Send + Sync {
    /// The name that stands in the record when the hook fails.
    fn name(&self) -> &str;

    /// Variables that override those at the gateway.
    fn call<'a>(&'a self, call: &'a HookCall) -> BoxFuture<'a, Result<Vec<InstanceData>, HostError>>;
}

/// A hook from a plain function.
pub(crate) struct FnHook<F> {
    pub(crate) name: String,
    pub(crate) function: F,
}

impl<F> Hook for FnHook<F>
where
    F: Fn(&HookCall) -> Result<Vec<InstanceData>, HostError> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn call<'a>(&'a self, call: &'a HookCall) -> BoxFuture<'a, Result<Vec<InstanceData>, HostError>> {
        Box::pin(async move { (self.function)(call) })
    }
}

/// Tells the time that records are stamped with.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis = match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, i64::wrapping_neg),
        };
        Timestamp::from_millis(millis)
    }
}

/// Is told of every record after it is durable, never before, in the order of the log.
///
/// At least once: after a crash the last records may be told again. The position is kept by the engine under the
/// listener's name, so a listener that was away is told what it missed. It runs on a thread of its own.
pub trait Listener: Send + Sync {
    /// The name under which the position is kept.
    fn name(&self) -> &str;

    /// Takes note of a record. On an error the same record is told again after a pause.
    ///
    /// # Errors
    /// Whatever keeps the listener from taking note.
    fn on_record(&self, position: Offset, record: &AnyRecord) -> Result<(), HostError>;
}
