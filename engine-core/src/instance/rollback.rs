//! Rollback: which task opens again, and what no longer counts. Decided on the fold, recorded as one fact.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::decider::Recorder;
use crate::event::{Given, InstanceCommand, InstanceEvent};
use crate::id::{IdKind, NodeInstanceId};
use crate::instance::decide::Decided;
use crate::instance::element::{self, WayBack};
use crate::instance::state::{FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use crate::model::element::ElementType;
use crate::rejection::Rejection;
use crate::result_code::ResultCode;

/// Decides a rollback from `task` to the user task before it.
pub(super) fn decide(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    task: &NodeInstanceId,
    context: &Context<'_>,
) -> Decided {
    if state.status != FlowStatus::Running {
        return Err(Rejection::new(
            ResultCode::RollbackNotRunning,
            format!("the flow instance has status {}", state.status.number()),
        ));
    }
    let Some(node) = state.node(task) else {
        return Err(Rejection::new(
            ResultCode::NodeInstanceNotFound,
            format!("the flow instance has no node instance {task}"),
        ));
    };
    if !is_eligible(state, task) {
        return Err(Rejection::new(
            ResultCode::RollbackFailed,
            format!(
                "node instance {task} of {} is neither an active task nor the task completed last",
                node.key
            ),
        )
        .about(task));
    }
    let Some((mut superseded, reopened)) = walk_back(state, node) else {
        return Err(Rejection::new(
            ResultCode::NoUserTaskToRollback,
            format!("there is no user task before {}", node.key),
        )
        .about(task));
    };
    let mut later = downstream(state, task, &superseded);
    later.append(&mut superseded);
    let mut recorder = Recorder::new(state, given);
    recorder.record(InstanceEvent::TaskRolledBack {
        superseded: later,
        reopened,
        node: context.id(&given.envelope, IdKind::NodeInstance, 0).into(),
    });
    Ok(recorder.finish())
}

/// An active task newer than the newest completed one, or that completed one itself, as in the reference engine.
fn is_eligible(state: &FlowInstance, task: &NodeInstanceId) -> bool {
    for node in state.nodes().rev() {
        let counts = node.element_type.is_task() || node.element_type == ElementType::EndEvent;
        match node.status {
            NodeStatus::Active if counts && node.id == *task => return true,
            NodeStatus::Completed if counts => return node.id == *task,
            NodeStatus::Active | NodeStatus::Completed | NodeStatus::Failed | NodeStatus::Disabled => {}
        }
    }
    false
}

/// The node instances from `from` back to the completed user task that opens again; `None` when the start is reached.
fn walk_back(state: &FlowInstance, from: &NodeInstance) -> Option<(Vec<NodeInstanceId>, NodeInstanceId)> {
    let mut superseded = Vec::new();
    let mut node = from;
    loop {
        match element::roll_back(node) {
            WayBack::On => superseded.push(node.id.clone()),
            WayBack::Reopen => {
                superseded.push(node.id.clone());
                return Some((superseded, node.id.clone()));
            }
            WayBack::Start => return None,
        }
        // Sources are always older than what they led to, so this ends at the start event.
        node = state.node(node.source.as_ref()?)?;
    }
}

/// What came after the task and still counts: it is superseded too (T-27). Latest first.
fn downstream(state: &FlowInstance, task: &NodeInstanceId, known: &[NodeInstanceId]) -> Vec<NodeInstanceId> {
    let mut reached = BTreeSet::from([task]);
    let mut later = Vec::new();
    for node in state.nodes() {
        if node.source.as_ref().is_some_and(|source| reached.contains(source)) {
            reached.insert(&node.id);
            let counts = matches!(node.status, NodeStatus::Active | NodeStatus::Completed);
            if counts && !known.contains(&node.id) {
                later.push(node.id.clone());
            }
        }
    }
    later.reverse();
    later
}
