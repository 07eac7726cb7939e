//! One flow instance as the API shows it.

use std::sync::Arc;

use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::instance::FlowInstance;
use flowledger_engine_core::profile::Profile;
use serde::Serialize;

use crate::date::Date;

/// A flow instance (API document §13).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowInstanceBo {
    /// Its id.
    pub flow_instance_id: FlowInstanceId,
    /// The deployment it runs.
    pub flow_deploy_id: FlowDeployId,
    /// The module of that deployment.
    pub flow_module_id: FlowModuleId,
    /// 1 completed, 2 running, 3 terminated.
    pub status: i32,
    /// The instance that called this one; empty for a root.
    pub parent_flow_instance_id: Arc<str>,
    /// The tenant of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Arc<str>>,
    /// The caller of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<Arc<str>>,
    /// When it was started.
    pub create_time: Date,
    /// When it changed last.
    pub modify_time: Date,
}

impl FlowInstanceBo {
    /// The view of an instance; `None` as long as it does not exist.
    pub fn of(instance: &FlowInstance, profile: Profile) -> Option<Self> {
        Some(Self {
            flow_instance_id: instance.flow_instance_id.clone()?,
            flow_deploy_id: instance.flow_deploy_id.clone()?,
            flow_module_id: instance.flow_module_id.clone()?,
            status: instance.status.number(),
            parent_flow_instance_id: "".into(),
            tenant: instance.tenant.clone(),
            caller: instance.caller.clone(),
            create_time: Date::new(instance.created_at, profile),
            modify_time: Date::new(instance.modified_at, profile),
        })
    }
}
