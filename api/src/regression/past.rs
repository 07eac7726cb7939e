//! The deployments that the log had, and which of a module was the newest at which place in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowledger_engine_core::codec;
use flowledger_engine_core::context::ModuleStanding;
use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::event::AnyRecord;
use flowledger_engine_core::id::{FlowDeployId, FlowModuleId};
use flowledger_engine_core::module::FlowModule;
use flowledger_event_store::{Offset, Revision, StreamId};

use super::READ_BATCH;
use crate::error::EngineError;
use crate::executor::Executor;

/// Modules whose past is kept in memory.
const PASTS_MAX: usize = 1_024;

/// The modules as they were.
pub(super) struct Past {
    executor: Arc<Executor>,
    modules: Mutex<BTreeMap<FlowModuleId, Arc<[Standing]>>>,
}

/// From which record on a module's newest deployment was which, and whether it was offline.
struct Standing {
    from: Offset,
    latest: Option<FlowDeployId>,
    is_disabled: bool,
}

impl Past {
    /// Of an engine's log.
    pub(super) fn of(executor: Arc<Executor>) -> Self {
        Self {
            executor,
            modules: Mutex::default(),
        }
    }

    /// A deployment by its id; `None` where the log has none.
    pub(super) fn deployment(
        &self,
        module: &FlowModuleId,
        id: &FlowDeployId,
    ) -> Result<Option<Arc<Deployment>>, EngineError> {
        pollster::block_on(self.executor.deployment_of_module(id, module))
    }

    /// How a module stood just before a place in the log.
    pub(super) fn standing(&self, module: &FlowModuleId, before: Offset) -> Result<ModuleStanding, EngineError> {
        let past = self.past_of(module)?;
        let behind = past.partition_point(|standing| standing.from < before);
        let standing = behind.checked_sub(1).and_then(|last| past.get(last));
        let Some((standing, latest)) = standing.and_then(|standing| Some((standing, standing.latest.as_ref()?))) else {
            return Ok(ModuleStanding::Unknown);
        };
        Ok(match self.deployment(module, latest)? {
            None => ModuleStanding::Unknown,
            Some(deployment) if standing.is_disabled => ModuleStanding::Offline(deployment),
            Some(deployment) => ModuleStanding::Online(deployment),
        })
    }

    /// How a module stood from when on.
    fn past_of(&self, module: &FlowModuleId) -> Result<Arc<[Standing]>, EngineError> {
        let known = self
            .modules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(module)
            .cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let past: Arc<[Standing]> = pollster::block_on(self.read_past(module))?.into();
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        if modules.len() >= PASTS_MAX {
            modules.clear();
        }
        modules.insert(module.clone(), past.clone());
        Ok(past)
    }

    async fn read_past(&self, module: &FlowModuleId) -> Result<Vec<Standing>, EngineError> {
        let stream = StreamId::from_bytes(module.id().to_bytes());
        let mut state = FlowModule::default();
        let mut past: Vec<Standing> = Vec::new();
        let mut after = Revision::NONE;
        loop {
            let batch = self
                .executor
                .store
                .events
                .read_stream(&stream, after, READ_BATCH)
                .await?;
            if batch.is_empty() {
                return Ok(past);
            }
            for stored in batch {
                after = stored.revision;
                let record =
                    codec::decode(&stored.record).map_err(|error| EngineError::unreadable(error, stored.offset))?;
                // An id may name something else; of a module there is nothing then.
                let AnyRecord::Module(record) = record else {
                    return Ok(past);
                };
                state.apply_record(&record);
                past.push(Standing {
                    from: stored.offset,
                    latest: state.latest_deployment().map(|latest| latest.flow_deploy_id.clone()),
                    is_disabled: state.is_disabled,
                });
            }
        }
    }
}
