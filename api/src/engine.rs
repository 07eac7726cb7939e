//! The engine: every operation as a method. Each operation has a file of its own in `operation/`.

use std::sync::Arc;

use flowledger_engine_core::id::CommandId;
use flowledger_engine_core::profile::Profile;
use flowledger_event_store::{Counters, EventStore};

use crate::blocking::BlockingEngine;
use crate::builder::EngineBuilder;
use crate::error::EngineError;
use crate::executor::Executor;
use crate::housekeeping::Housekeeping;
use crate::proofs::Proofs;

/// A process engine on one store. Cloning it gives another handle to the same engine.
///
/// Its methods work on any async executor; [`Engine::blocking`] serves callers that have none.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use flowledger::{Engine, StartProcessParam, CommitTaskParam, DeployModel};
///
/// let engine = Engine::builder().in_memory().open()?.blocking();
/// let model = r#"{"flowElementList":[
///     {"key":"start","type":2,"outgoing":["f1"]},
///     {"key":"f1","type":1,"incoming":["start"],"outgoing":["approve"]},
///     {"key":"approve","type":4,"incoming":["f1"],"outgoing":["f2"]},
///     {"key":"f2","type":1,"incoming":["approve"],"outgoing":["end"]},
///     {"key":"end","type":3,"incoming":["f2"]}]}"#;
/// let deployed = engine.deploy_model(DeployModel::new("leave", model))?;
///
/// let started = engine.start_process(
///     StartProcessParam::of_module(deployed.flow_module_id).variable("days", 3))?;
/// let task = started.active_task().ok_or("no task")?.clone();
/// assert_eq!((started.err_code, &*task.model_key), (1002, "approve"));
///
/// let id = started.flow_instance_id.ok_or("no instance")?;
/// let done = engine.commit_task(CommitTaskParam::new(&id, &task.node_instance_id).variable("ok", true))?;
/// assert_eq!((done.err_code, done.status), (1000, 1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine {
    pub(crate) inside: Arc<Inside>,
}

pub(crate) struct Inside {
    pub(crate) executor: Arc<Executor>,
    pub(crate) housekeeping: Housekeeping,
}

impl Engine {
    /// Chooses profile, store and host traits.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The same engine for callers without an async executor.
    pub fn blocking(&self) -> BlockingEngine {
        BlockingEngine::new(self.clone())
    }

    /// The profile it was built with.
    pub fn profile(&self) -> Profile {
        self.executor().profile
    }

    /// What the store has done since it was opened: records, group commits, bytes.
    pub fn counters(&self) -> Counters {
        self.executor().store.events.counters()
    }

    /// Tells the listeners what they missed, writes out what is derived, and lets go of the store. Commands after it
    /// are refused. Dropping the last handle does the same, without a word about errors.
    ///
    /// # Errors
    /// A store that cannot be closed cleanly; acknowledged commands are safe.
    pub async fn close(&self) -> Result<(), EngineError> {
        self.inside.housekeeping.stop();
        let executor = self.executor();
        let written = executor.catalogue.checkpoint();
        executor.store.events.close().await?;
        written.map_err(EngineError::from)
    }

    pub(crate) fn executor(&self) -> &Executor {
        &self.inside.executor
    }

    pub(crate) fn log(&self) -> &dyn EventStore {
        &*self.executor().store.events
    }

    pub(crate) fn proofs(&self) -> &Proofs {
        &self.executor().proofs
    }

    /// The command id of a call: the caller's, or a new one.
    pub(crate) fn command_id(given: Option<CommandId>) -> CommandId {
        given.unwrap_or_else(|| uuid::Uuid::new_v4().into())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.housekeeping.stop();
        // What cannot be written now is read from the log at the next open.
        let _ = self.executor.catalogue.checkpoint();
    }
}
