//! The entries of the catalogue and how they are read at a time of the past.

use std::sync::Arc;

use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::InstanceFilter;

/// A flow module as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleEntry {
    /// Its id.
    pub flow_module_id: FlowModuleId,
    /// The caller's own key.
    pub flow_key: Option<Arc<str>>,
    /// The name shown to people.
    pub flow_name: Option<Arc<str>>,
    /// Anything else.
    pub remark: Option<Arc<str>>,
    /// The owner's tenant.
    pub tenant: Option<Arc<str>>,
    /// The owner's system.
    pub caller: Option<Arc<str>>,
    /// Whether it was taken offline.
    pub is_disabled: bool,
    /// The newest deployment.
    pub latest_flow_deploy_id: Option<FlowDeployId>,
    /// When it was changed last.
    pub modified_at: Timestamp,
    /// Its place in the list of all modules: the offset of its first record.
    pub ordinal: u64,
    /// The offset of the last record taken in; what comes again from there is passed over.
    pub(super) taken_in: u64,
}

/// Where a deployment is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploymentEntry {
    /// Its id.
    pub flow_deploy_id: FlowDeployId,
    /// The module in whose stream it stands.
    pub flow_module_id: FlowModuleId,
    /// The version of that stream that made it.
    pub version: u64,
    /// When it was made.
    pub deployed_at: Timestamp,
}

/// From when on an instance had a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusInterval {
    /// The status, by its number.
    pub status: i32,
    /// From when on.
    pub from: Timestamp,
}

/// A flow instance as lists show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceEntry {
    /// Its id.
    pub flow_instance_id: FlowInstanceId,
    /// The deployment it runs.
    pub flow_deploy_id: FlowDeployId,
    /// The module of that deployment.
    pub flow_module_id: FlowModuleId,
    /// The tenant of the deployment.
    pub tenant: Option<Arc<str>>,
    /// The statuses it had, oldest first; the first is that of its start.
    pub intervals: Vec<StatusInterval>,
    /// Its place in the list of all instances: the offset of its first record.
    pub ordinal: u64,
    /// The offset of the last record taken in; what comes again from there is passed over.
    pub(super) taken_in: u64,
}

impl InstanceEntry {
    /// The status it has.
    pub fn status(&self) -> i32 {
        self.intervals.last().map_or(0, |interval| interval.status)
    }

    /// When it was started.
    pub fn opened_at(&self) -> Timestamp {
        self.intervals
            .first()
            .map_or(Timestamp::default(), |interval| interval.from)
    }

    /// When its status changed last.
    pub fn changed_at(&self) -> Timestamp {
        self.intervals
            .last()
            .map_or(Timestamp::default(), |interval| interval.from)
    }

    /// The status it had at a time; `None` before its start.
    pub fn status_at(&self, time: Timestamp) -> Option<i32> {
        self.intervals
            .iter()
            .rev()
            .find(|interval| interval.from <= time)
            .map(|interval| interval.status)
    }

    /// Forgets what happened after a time.
    pub(super) fn cut_at(&mut self, time: Timestamp) {
        self.intervals.retain(|interval| interval.from <= time);
    }

    pub(super) fn fits(&self, filter: &InstanceFilter) -> bool {
        let status = match filter.as_of {
            Some(time) => self.status_at(time),
            None => Some(self.status()),
        };
        let Some(status) = status else { return false };
        filter.status.is_none_or(|wanted| wanted == status)
            && filter
                .flow_module_id
                .as_ref()
                .is_none_or(|wanted| *wanted == self.flow_module_id)
            && filter
                .tenant
                .as_ref()
                .is_none_or(|wanted| self.tenant.as_ref() == Some(wanted))
            && filter.started_from.is_none_or(|from| self.opened_at() >= from)
            && filter.started_before.is_none_or(|before| self.opened_at() < before)
    }
}
