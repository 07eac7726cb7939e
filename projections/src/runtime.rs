//! Where an instance stands after a command: the answer that start, commit and rollback share.

use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeInstance as Visit, Outcome};
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::variables::InstanceData;
use serde::Serialize;

use crate::View;
use crate::node_instance::NodeInstance;

/// Where one branch of the flow stands after the command.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeExecuteResult {
    /// The task that waits, or the end event that was reached.
    pub active_task_instance: NodeInstance,
    /// The variables there, ordered by key.
    pub variables: Vec<InstanceData>,
}

/// The answer of startProcess, commitTask and rollbackTask.
///
/// JSON: the API document's flat `activeTaskInstance` and `variables`, and the list `nodeExecuteResults` with one entry
/// per branch in the order of the model; the flat members are those of its first entry. Where the flow waits inside a
/// call activity, `activeTaskInstance.subNodeResultList` has the answer of the sub flow in the same shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeResult {
    /// 1000 the flow ended; 1001 it had ended before; 1002 a task waits; 1003 a task was opened again.
    pub err_code: i32,
    /// The code's text, with details in parentheses.
    pub err_msg: String,
    /// The instance; absent with 1001.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_instance_id: Option<FlowInstanceId>,
    /// 1 completed, 2 running, 3 terminated; 0 with 1001.
    pub status: i32,
    /// The deployment; only with startProcess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_deploy_id: Option<FlowDeployId>,
    /// The module; only with startProcess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_module_id: Option<FlowModuleId>,
    /// The task that waits, or the end event that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_task_instance: Option<NodeInstance>,
    /// The variables there, ordered by key.
    pub variables: Vec<InstanceData>,
    /// One entry per branch.
    pub node_execute_results: Vec<NodeExecuteResult>,
    /// The version of the instance: pass it as `expectedVersion` to be refused when something came between.
    pub version: u64,
}

impl RuntimeResult {
    /// The answer to a command that was carried out, or that changed nothing.
    pub fn of(instance: &FlowInstance, outcome: &Outcome, view: View<'_>) -> Self {
        let mut result = Self::empty(outcome.code, instance.commands.len() as u64);
        if outcome.code == ResultCode::Reentrant {
            return result;
        }
        let ended_at: Vec<&Visit> = outcome.ended_at.iter().filter_map(|id| instance.node(id)).collect();
        result.fill(instance, FlowIndex::ROOT, &ended_at, outcome.code, view);
        result
    }

    /// The task that waits, or the end event that was reached; inside call activities, the innermost.
    pub fn active_task(&self) -> Option<&NodeInstance> {
        let task = self.active_task_instance.as_ref()?;
        let inside = task
            .sub_node_result_list
            .as_ref()
            .and_then(|list| list.first())
            .and_then(Self::active_task);
        inside.or(Some(task))
    }

    fn empty(code: ResultCode, version: u64) -> Self {
        Self {
            err_code: code.number(),
            err_msg: code.entry().text.to_owned(),
            flow_instance_id: None,
            status: 0,
            flow_deploy_id: None,
            flow_module_id: None,
            active_task_instance: None,
            variables: Vec::new(),
            node_execute_results: Vec::new(),
            version,
        }
    }

    /// Fills in where one flow stands, given the node instances that the command ended at in it and below it.
    fn fill(
        &mut self,
        instance: &FlowInstance,
        flow: FlowIndex,
        ended_at: &[&Visit],
        code: ResultCode,
        view: View<'_>,
    ) {
        if let Some(flow) = instance.flow(flow) {
            self.flow_instance_id = Some(flow.flow_instance_id.clone());
            self.status = flow.status.number();
        }
        let mut calls: Vec<&Visit> = Vec::new();
        for node in ended_at {
            let Some(here) = around(instance, flow, node) else {
                continue;
            };
            if calls.iter().any(|call| call.id == here.id) {
                continue;
            }
            let mut shown = NodeInstance::of(here, instance, view);
            if let (Some(sub_flow), false) = (here.sub_flow, here.id == node.id) {
                calls.push(here);
                let mut inside = Self::empty(code, self.version);
                inside.fill(instance, sub_flow, ended_at, code, view);
                shown.sub_node_result_list = Some(vec![inside]);
            }
            self.node_execute_results.push(NodeExecuteResult {
                active_task_instance: shown,
                variables: here.entry.variables.to_list(),
            });
        }
        if let Some(first) = self.node_execute_results.first() {
            let node = &first.active_task_instance;
            if code != ResultCode::Success {
                self.err_msg = format!(
                    "{}(nodeKey={}, nodeName={}, nodeInstanceId={})",
                    self.err_msg, node.model_key, node.model_name, node.node_instance_id
                );
            }
            self.active_task_instance = Some(node.clone());
            self.variables.clone_from(&first.variables);
        }
    }
}

/// The node of a flow in which a node stands: itself, or the call activity around it.
fn around<'i>(instance: &'i FlowInstance, flow: FlowIndex, node: &'i Visit) -> Option<&'i Visit> {
    let mut node = node;
    while node.flow != flow {
        node = instance.calling_node(node.flow)?;
    }
    Some(node)
}
