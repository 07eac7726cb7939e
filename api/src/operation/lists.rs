//! Lists across instances and modules, from the catalogue: newest first, page by page.

use std::sync::Arc;

use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::module::FlowModule;
use flowledger_engine_core::result_code::CodeContext;
use flowledger_engine_core::time::Timestamp;
use flowledger_projections::{Date, InstanceEntry, InstanceFilter, ModuleEntry};
use serde::Serialize;

use crate::as_of::AsOf;
use crate::engine::Engine;
use crate::error::EngineError;

/// Entries of a page unless asked for otherwise.
const PAGE: usize = 50;

/// Which page of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListParam {
    /// Where the page begins: `next` of the page before.
    pub before: Option<u64>,
    /// Most entries; 50 when absent, at most 1,000.
    pub limit: Option<usize>,
}

/// Which modules a list is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleFilter {
    /// As of this time: modules created later are left out, and the others are as they were then.
    pub as_of: Option<Timestamp>,
}

/// One flow module of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowModuleSummary {
    /// The module.
    pub flow_module_id: FlowModuleId,
    /// The caller's own key.
    pub flow_key: Option<Arc<str>>,
    /// The name shown to people.
    pub flow_name: Option<Arc<str>>,
    /// The owner's tenant.
    pub tenant: Option<Arc<str>>,
    /// The owner's system.
    pub caller: Option<Arc<str>>,
    /// 1 never deployed, 2 deployed, 3 offline.
    pub status: i32,
    /// The newest deployment.
    pub flow_deploy_id: Option<FlowDeployId>,
    /// When the definition was changed last.
    pub modify_time: Date,
}

/// A page of flow modules, newest first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowModuleList {
    /// The modules.
    pub flow_modules: Vec<FlowModuleSummary>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One flow instance of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowInstanceSummary {
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// The deployment it runs.
    pub flow_deploy_id: FlowDeployId,
    /// The module of that deployment.
    pub flow_module_id: FlowModuleId,
    /// The tenant of the deployment.
    pub tenant: Option<Arc<str>>,
    /// 1 completed, 2 running, 3 terminated.
    pub status: i32,
    /// When it was started.
    pub create_time: Date,
    /// When its status changed last.
    pub status_time: Date,
}

/// A page of flow instances, newest first. A page may be short, even empty, and have a next one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowInstanceList {
    /// The instances.
    pub flow_instances: Vec<FlowInstanceSummary>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

impl Engine {
    /// The flow modules of the store, newest first; as of a time, if the filter has one, each by a fold of its records.
    ///
    /// # Errors
    /// 7008, 7800: a store that cannot be read.
    pub async fn list_flow_modules(
        &self,
        filter: &ModuleFilter,
        param: ListParam,
    ) -> Result<FlowModuleList, EngineError> {
        let answered = |error: EngineError| error.answered_as(self.profile(), CodeContext::Other);
        let catalogue = &self.executor().catalogue;
        catalogue
            .catch_up(self.log())
            .await
            .map_err(|error| answered(error.into()))?;
        let page = catalogue
            .modules(param.before, param.limit.unwrap_or(PAGE))
            .map_err(|error| answered(error.into()))?;
        let mut flow_modules = Vec::with_capacity(page.entries.len());
        for entry in page.entries {
            match filter.as_of {
                None => flow_modules.push(self.module_summary(entry)),
                Some(time) => flow_modules.extend(self.past_summary(entry, time).await.map_err(answered)?),
            }
        }
        Ok(FlowModuleList {
            flow_modules,
            next: page.next,
        })
    }

    /// The flow instances that a filter lets through, newest first.
    ///
    /// # Errors
    /// 7008, 7800: a store that cannot be read.
    pub async fn list_flow_instances(
        &self,
        filter: &InstanceFilter,
        param: ListParam,
    ) -> Result<FlowInstanceList, EngineError> {
        let answered = |error: EngineError| error.answered_as(self.profile(), CodeContext::Other);
        let catalogue = &self.executor().catalogue;
        catalogue
            .catch_up(self.log())
            .await
            .map_err(|error| answered(error.into()))?;
        let page = catalogue
            .instances(filter, param.before, param.limit.unwrap_or(PAGE))
            .map_err(|error| answered(error.into()))?;
        let flow_instances = page
            .entries
            .into_iter()
            .map(|entry| self.instance_summary(entry))
            .collect();
        Ok(FlowInstanceList {
            flow_instances,
            next: page.next,
        })
    }

    /// Forgets the catalogue and builds it again from the log.
    ///
    /// # Errors
    /// 7008, 7800: a store that cannot be read.
    pub async fn rebuild_catalogue(&self) -> Result<(), EngineError> {
        self.executor()
            .catalogue
            .rebuild(self.log())
            .await
            .map_err(|error| EngineError::from(error).answered_as(self.profile(), CodeContext::Other))
    }

    /// A module as it was at a time; `None` if it was not there yet.
    async fn past_summary(
        &self,
        mut entry: ModuleEntry,
        time: Timestamp,
    ) -> Result<Option<FlowModuleSummary>, EngineError> {
        let stream = entry.flow_module_id.id().to_bytes();
        let now = self.executor().load::<FlowModule>(stream).await?;
        let module = self.executor().past(stream, now, AsOf::Time(time)).await?;
        if module.flow_module_id.is_none() {
            return Ok(None);
        }
        let flow = &module.definition.flow;
        entry.flow_key.clone_from(&flow.flow_key);
        entry.flow_name.clone_from(&flow.flow_name);
        entry.tenant.clone_from(&module.definition.tenant);
        entry.caller.clone_from(&module.definition.caller);
        entry.is_disabled = module.is_disabled;
        entry.latest_flow_deploy_id = module
            .latest_deployment()
            .map(|deployed| deployed.flow_deploy_id.clone());
        entry.modified_at = module.definition.modified_at;
        Ok(Some(self.module_summary(entry)))
    }

    fn module_summary(&self, entry: ModuleEntry) -> FlowModuleSummary {
        let status = match (entry.is_disabled, &entry.latest_flow_deploy_id) {
            (true, _) => 3,
            (false, Some(_)) => 2,
            (false, None) => 1,
        };
        FlowModuleSummary {
            flow_module_id: entry.flow_module_id,
            flow_key: entry.flow_key,
            flow_name: entry.flow_name,
            tenant: entry.tenant,
            caller: entry.caller,
            status,
            flow_deploy_id: entry.latest_flow_deploy_id,
            modify_time: Date::new(entry.modified_at, self.profile()),
        }
    }

    fn instance_summary(&self, entry: InstanceEntry) -> FlowInstanceSummary {
        FlowInstanceSummary {
            status: entry.status(),
            create_time: Date::new(entry.opened_at(), self.profile()),
            status_time: Date::new(entry.changed_at(), self.profile()),
            flow_instance_id: entry.flow_instance_id,
            flow_deploy_id: entry.flow_deploy_id,
            flow_module_id: entry.flow_module_id,
            tenant: entry.tenant,
        }
    }
}
