//! Where an instance stands after a command: the answer that start, commit and rollback share.

use std::fmt::Write;
use std::sync::Arc;

use flowledger_engine_core::event;
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{BranchIndex, FlowIndex, FlowInstance, NodeInstance as Visit, Outcome, Rest};
use flowledger_engine_core::model::element::Properties;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::Variables;
use serde::Serialize;

use crate::View;
use crate::node_instance::NodeInstance;
use crate::receipt::Receipt;

/// Bytes of what stands around key and name in a message, with an id.
const DETAILS_BYTES: usize = 80;

/// Where one branch of the flow stands after the command.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeExecuteResult {
    /// The task that waits, the join that waits for other branches, or the end event that was reached.
    pub active_task_instance: NodeInstance,
    /// The variables of this branch, ordered by key.
    pub variables: Variables,
}

/// A variable that branches had changed to different values when they were joined.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataConflict {
    /// The join.
    pub node_instance_id: NodeInstanceId,
    /// The join's key in the model.
    pub model_key: Arc<str>,
    /// The variable.
    pub key: Arc<str>,
    /// The branches that changed it, each by the sequence flow it left the fork by, in the order of arrival.
    pub branches: Vec<Arc<str>>,
    /// The branch whose value stands, by the same name.
    pub taken: Arc<str>,
}

/// Something outside that a rollback leaves to be undone.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compensation {
    /// The node instance whose work is to be undone.
    pub node_instance_id: NodeInstanceId,
    /// Its key in the model.
    pub model_key: Arc<str>,
    /// What to do, as the `onRollback` of the element names it.
    pub name: Arc<str>,
}

impl Compensation {
    /// What a rollback leaves, with the keys of its nodes.
    pub fn list(compensations: &[event::Compensation], instance: &FlowInstance) -> Vec<Self> {
        let told = |compensation: &event::Compensation| {
            Some(Self {
                node_instance_id: compensation.node.clone(),
                model_key: instance.node(&compensation.node)?.key.clone(),
                name: compensation.name.clone(),
            })
        };
        compensations.iter().filter_map(told).collect()
    }
}

/// The answer of startProcess, commitTask, rollbackTask, rollbackTo and redoRollback.
///
/// JSON: the API document's flat `activeTaskInstance` and `variables`, and the list `nodeExecuteResults` with one entry
/// per branch in the order of the model; the flat members are those of its first entry. Where the flow waits inside a
/// call activity, `activeTaskInstance.subNodeResultList` has the answer of the sub flow in the same shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeResult {
    /// 1000 the flow ended; 1001 it had ended before; 1002 a task waits; 1003 a task was opened again; 1601 only other
    /// branches wait.
    pub err_code: i32,
    /// The code's text, with details in parentheses.
    pub err_msg: String,
    /// The instance; absent with 1001.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_instance_id: Option<FlowInstanceId>,
    /// 1 completed, 2 running, 3 terminated, 5 suspended, 6 aborted; 0 with 1001.
    pub status: i32,
    /// The deployment; only with startProcess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_deploy_id: Option<FlowDeployId>,
    /// The module; only with startProcess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_module_id: Option<FlowModuleId>,
    /// The task that waits, the join that waits for other branches, or the end event that was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_task_instance: Option<NodeInstance>,
    /// The variables there, ordered by key.
    pub variables: Variables,
    /// One entry per branch that the command moved.
    pub node_execute_results: Vec<NodeExecuteResult>,
    /// Variables on which branches that this command joined did not agree.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_conflicts: Vec<DataConflict>,
    /// What a rollback leaves to be undone outside, in the order in which to do it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compensations: Vec<Compensation>,
    /// What the request carried under this name, and in branches what clients of the reference engine's parallel plug-in
    /// look for: `executeId` and `parallelRuntimeContextList`. Nothing needs to be sent back.
    pub extend_properties: Properties,
    /// The version of the instance: pass it as `expectedVersion` to be refused when something came between.
    pub version: u64,
    /// The receipt of the command's record, if the command asked for one and left a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<Receipt>>,
    /// Why there is no receipt although one was asked for, and how to get it; the command is on record all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_error: Option<String>,
}

impl RuntimeResult {
    /// The answer to a command that was carried out, or that changed nothing.
    pub fn of(instance: &FlowInstance, outcome: &Outcome, view: View<'_>) -> Self {
        let mut result = Self::empty(outcome.code, instance.commands.len() as u64);
        if outcome.code == ResultCode::Reentrant {
            return result;
        }
        result.fill(instance, FlowIndex::ROOT, &outcome.rests, outcome.code, view);
        let conflicts = outcome
            .conflicts
            .iter()
            .filter_map(|(join, conflict)| Some(DataConflict::of(instance.node(join)?, conflict)));
        result.data_conflicts = conflicts.collect();
        result.compensations = Compensation::list(&outcome.compensations, instance);
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
            variables: Variables::default(),
            node_execute_results: Vec::new(),
            data_conflicts: Vec::new(),
            compensations: Vec::new(),
            extend_properties: Properties::new(),
            version,
            receipt: None,
            receipt_error: None,
        }
    }

    /// Fills in where one flow stands, given where branches came to rest in it and below it.
    fn fill(&mut self, instance: &FlowInstance, flow: FlowIndex, rests: &[Rest], code: ResultCode, view: View<'_>) {
        if let Some(flow) = instance.flow(flow) {
            self.flow_instance_id = Some(flow.flow_instance_id.clone());
        }
        self.status = instance.status_of(flow).number();
        let mut calls: Vec<&Visit> = Vec::new();
        let mut names = Vec::with_capacity(rests.len());
        self.node_execute_results.reserve_exact(rests.len());
        for rest in rests {
            let at = instance
                .node(&rest.node)
                .and_then(|node| Some((node, around(instance, flow, node)?)));
            let Some((node, here)) = at else { continue };
            if calls.iter().any(|call| call.id == here.id) {
                continue;
            }
            let mut shown = NodeInstance::of(here, instance, view);
            if let (Some(sub_flow), false) = (here.sub_flow, here.id == node.id) {
                calls.push(here);
                let inside: Vec<Rest> = rests
                    .iter()
                    .filter(|rest| {
                        instance
                            .node(&rest.node)
                            .is_some_and(|node| around(instance, sub_flow, node).is_some())
                    })
                    .cloned()
                    .collect();
                let inner_code = match code {
                    ResultCode::CommitSuspended => Outcome::waiting_code(&inside, sub_flow, instance),
                    other => other,
                };
                let mut result = Self::empty(inner_code, self.version);
                result.fill(instance, sub_flow, &inside, inner_code, view);
                shown.sub_node_result_list = Some(vec![result]);
            }
            let arrival = rest.arrival.filter(|_| here.id == node.id);
            let arrival = arrival.and_then(|number| here.join.as_ref()?.arrivals.get(number));
            let (variables, branch): (&Variables, _) = match arrival {
                Some(arrival) => (&arrival.data.variables, Some(arrival.branch)),
                None => (&here.entry.variables, here.branch),
            };
            if let Some(arrival) = arrival {
                shown.instance_data_id.clone_from(&arrival.data.id);
            }
            names.push(branch_name(instance, branch));
            self.node_execute_results.push(NodeExecuteResult {
                active_task_instance: shown,
                variables: variables.clone(),
            });
        }
        self.tell_branches(&names);
        if let Some(first) = self.node_execute_results.first() {
            let node = &first.active_task_instance;
            if code != ResultCode::Success {
                let (key, name) = (&node.model_key, &node.model_name);
                self.err_msg.reserve_exact(key.len() + name.len() + DETAILS_BYTES);
                // Nothing keeps a text from being written to memory.
                let _ = write!(
                    self.err_msg,
                    "(nodeKey={key}, nodeName={name}, nodeInstanceId={})",
                    node.node_instance_id
                );
            }
            self.active_task_instance = Some(node.clone());
            self.variables = first.variables.clone();
        }
    }

    /// What clients of the reference engine's plug-in copy from one call to the next (T-29).
    fn tell_branches(&mut self, names: &[String]) {
        if names.iter().all(String::is_empty) {
            return;
        }
        let id = |name: &String| (Arc::from("executeId"), Value::Text(name.as_str().into()));
        let list = names.iter().map(|name| Value::Map(Arc::new([id(name)].into())));
        self.extend_properties.extend(names.first().map(id));
        self.extend_properties.insert(
            "parallelRuntimeContextList".into(),
            Value::List(Arc::new(list.collect())),
        );
    }
}

impl DataConflict {
    fn of(join: &Visit, conflict: &event::DataConflict) -> Self {
        Self {
            node_instance_id: join.id.clone(),
            model_key: join.key.clone(),
            key: conflict.key.clone(),
            branches: conflict.branches.clone(),
            taken: conflict.taken.clone(),
        }
    }
}

/// A name for the innermost branch around a place: the fork's node instance and the branch's number; empty outside forks.
fn branch_name(instance: &FlowInstance, branch: Option<BranchIndex>) -> String {
    branch
        .and_then(|at| Some((instance.branch(at)?, instance.fork_of(at)?)))
        .map_or_else(String::new, |(branch, fork)| format!("{}.{}", fork.id, branch.number))
}

/// The node of a flow in which a node stands: itself, or the call activity around it.
fn around<'i>(instance: &'i FlowInstance, flow: FlowIndex, node: &'i Visit) -> Option<&'i Visit> {
    let mut node = node;
    while node.flow != flow {
        node = instance.calling_node(node.flow)?;
    }
    Some(node)
}
