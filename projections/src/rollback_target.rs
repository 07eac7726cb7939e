//! Where a rollback may go: every user task of an instance, with what a rollback to it would bring.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowledger_engine_core::event::InstanceEvent;
use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{self, FlowIndex, FlowInstance};
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::{InstanceData, Variables};
use serde::Serialize;

use crate::View;
use crate::instance_data::instance_data;
use crate::node_instance::NodeInstance;
use crate::runtime::Compensation;

/// One user task, and whether rollbackTo may open it again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackTarget {
    /// The task.
    pub node_instance: NodeInstance,
    /// The flow instance it belongs to: the instance or a sub flow instance.
    pub flow_instance_id: FlowInstanceId,
    /// Whether rollbackTo accepts it.
    pub possible: bool,
    /// Why not: the code that rollbackTo would answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_code: Option<i32>,
    /// The engine's own code, where `errCode` is the nearest one of the reference engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_code_ext: Option<i32>,
    /// Why not, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_msg: Option<String>,
    /// The tasks that would be active.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub active_tasks: Vec<TargetTask>,
    /// How the answer of getInstanceData would change, ordered by key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_changes: Vec<DataChange>,
    /// What would be left to be undone outside, in the order in which to do it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compensations: Vec<Compensation>,
}

/// A task that would be active after a rollback.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetTask {
    /// The element's key in the model.
    pub model_key: Arc<str>,
    /// The flow instance it belongs to.
    pub flow_instance_id: FlowInstanceId,
    /// The node instance where it is active now already; absent where the rollback would open a new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_instance_id: Option<NodeInstanceId>,
    /// The variables it would have, ordered by key.
    pub variables: Variables,
}

/// A variable that a rollback would change.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataChange {
    /// The variable.
    pub key: Arc<str>,
    /// Its value now; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
    /// Its value after the rollback; absent when there would be none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<Value>,
}

impl RollbackTarget {
    /// A target that rollbackTo accepts, with the events and the state it would leave.
    pub fn possible(
        node: &instance::NodeInstance,
        now: &FlowInstance,
        events: &[InstanceEvent],
        then: &FlowInstance,
        view: View<'_>,
    ) -> Option<Self> {
        let mut target = Self::bare(node, now, view)?;
        target.possible = true;
        target.active_tasks = then
            .active_tasks()
            .into_iter()
            .filter_map(|task| {
                Some(TargetTask {
                    model_key: task.key.clone(),
                    flow_instance_id: then.flow(task.flow)?.flow_instance_id.clone(),
                    node_instance_id: now.node(&task.id).map(|task| task.id.clone()),
                    variables: task.entry.variables.clone(),
                })
            })
            .collect();
        target.data_changes = data_changes(
            &instance_data(now, FlowIndex::ROOT, true),
            &instance_data(then, FlowIndex::ROOT, true),
        );
        for event in events {
            if let InstanceEvent::TaskRolledBack { compensations, .. } = event {
                target.compensations = Compensation::list(compensations, now);
            }
        }
        Some(target)
    }

    /// A target that rollbackTo refuses, with `errCode` and `errCodeExt` of its answer.
    pub fn refused(
        node: &instance::NodeInstance,
        now: &FlowInstance,
        code: (i32, Option<i32>),
        message: String,
        view: View<'_>,
    ) -> Option<Self> {
        let mut target = Self::bare(node, now, view)?;
        target.err_code = Some(code.0);
        target.err_code_ext = code.1;
        target.err_msg = Some(message);
        Some(target)
    }

    fn bare(node: &instance::NodeInstance, now: &FlowInstance, view: View<'_>) -> Option<Self> {
        Some(Self {
            node_instance: NodeInstance::of(node, now, view),
            flow_instance_id: now.flow(node.flow)?.flow_instance_id.clone(),
            possible: false,
            err_code: None,
            err_code_ext: None,
            err_msg: None,
            active_tasks: Vec::new(),
            data_changes: Vec::new(),
            compensations: Vec::new(),
        })
    }
}

fn data_changes(now: &[InstanceData], then: &[InstanceData]) -> Vec<DataChange> {
    let keys: BTreeSet<Arc<str>> = now.iter().chain(then).map(|variable| variable.key.clone()).collect();
    let value = |list: &[InstanceData], key: &Arc<str>| {
        let found = list.iter().find(|variable| variable.key == *key);
        found.map(|variable| variable.value.clone())
    };
    keys.into_iter()
        .map(|key| DataChange {
            now: value(now, &key),
            then: value(then, &key),
            key,
        })
        .filter(|change| change.now != change.then)
        .collect()
}
