//! One flow instance as the API shows it.

use std::sync::Arc;

use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus, Hold};
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
    /// 1 completed, 2 running, 3 terminated, 4 a sub flow instance that has ended, 5 suspended, 6 aborted.
    pub status: i32,
    /// The instance that called this one; empty for a root.
    pub parent_flow_instance_id: FlowInstanceId,
    /// The tenant of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Arc<str>>,
    /// The caller of the deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<Arc<str>>,
    /// Who suspended or aborted it, and why; absent while it is neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Held>,
    /// When it was started.
    pub create_time: Date,
    /// When it changed last.
    pub modify_time: Date,
}

/// Who suspended or aborted an instance, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The person, or the calling system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
    /// Why, in the caller's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Why, as one of the flow's options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_option: Option<Arc<str>>,
    /// When.
    pub time: Date,
}

impl Held {
    fn of(hold: &Hold, profile: Profile) -> Self {
        Self {
            by: hold.actor.operator.clone().or_else(|| hold.actor.caller.clone()),
            reason: hold.reason.clone(),
            reason_option: hold.reason_option.clone(),
            time: Date::new(hold.at, profile),
        }
    }
}

impl FlowInstanceBo {
    /// The view of a flow of an instance; `None` where there is no such flow.
    pub fn of(instance: &FlowInstance, flow: FlowIndex, profile: Profile) -> Option<Self> {
        let parent = instance.calling_node(flow).and_then(|call| instance.flow(call.flow));
        // Every command of the tree is one of the root; a sub flow is touched where its nodes are.
        let touched = instance.nodes_of(flow).map(|node| node.modified_at).max();
        let is_root = flow == FlowIndex::ROOT;
        let status = instance.status_of(flow);
        let held = matches!(status, FlowStatus::Suspended | FlowStatus::Aborted);
        let flow = instance.flow(flow)?;
        let modified_at = if is_root {
            instance.last_recorded_at
        } else {
            touched.unwrap_or(flow.created_at).max(flow.modified_at)
        };
        Some(Self {
            flow_instance_id: flow.flow_instance_id.clone(),
            flow_deploy_id: flow.flow_deploy_id.clone(),
            flow_module_id: flow.flow_module_id.clone(),
            status: status.number(),
            parent_flow_instance_id: parent.map_or_else(|| "".into(), |parent| parent.flow_instance_id.clone()),
            tenant: flow.tenant.clone(),
            caller: flow.caller.clone(),
            hold: instance.hold().filter(|_| held).map(|hold| Held::of(hold, profile)),
            create_time: Date::new(flow.created_at, profile),
            modify_time: Date::new(modified_at, profile),
        })
    }
}
