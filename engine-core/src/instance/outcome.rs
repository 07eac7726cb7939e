//! The outcome of a command, told from its record and the state behind it. The same for the first answer and a repeat.

use std::sync::Arc;

use crate::event::{Compensation, DataConflict, InstanceEvent, InstanceRecord};
use crate::id::NodeInstanceId;
use crate::instance::state::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use crate::model::element::ElementType;
use crate::result_code::ResultCode;

/// What a recorded command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The code.
    pub code: ResultCode,
    /// What exactly failed, where something did.
    pub detail: Option<Arc<str>>,
    /// Where branches came to rest, in the order in which they were run: the order of the model.
    pub rests: Vec<Rest>,
    /// Variables on which branches that were joined did not agree, with the join.
    pub conflicts: Vec<(NodeInstanceId, DataConflict)>,
    /// What a rollback leaves to be undone outside, in this order.
    pub compensations: Vec<Compensation>,
}

/// Where a branch came to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// The task, the waiting join, or the end event.
    pub node: NodeInstanceId,
    /// Which of the join's arrivals it is.
    pub arrival: Option<usize>,
}

impl Rest {
    fn at(node: &NodeInstanceId) -> Self {
        Self {
            node: node.clone(),
            arrival: None,
        }
    }
}

impl Outcome {
    /// The outcome of a record, given the state behind it.
    pub fn of(record: &InstanceRecord, state: &FlowInstance) -> Self {
        let mut outcome = Self::bare(ResultCode::JoinWaiting);
        let mut reached: Vec<NodeInstanceId> = Vec::new();
        for event in &record.events {
            match event {
                InstanceEvent::TaskActivated(visit) | InstanceEvent::EventPassed(visit) => {
                    reached.push(visit.node.clone());
                }
                InstanceEvent::NodeReentered { node, .. } | InstanceEvent::BranchArrived { node, .. } => {
                    reached.push(node.clone());
                }
                InstanceEvent::PlugInStepped { node, .. } => {
                    if reached.last() != Some(node) {
                        reached.push(node.clone());
                    }
                }
                // The branch that brought this about went on.
                InstanceEvent::SubFlowEnded { .. } => {
                    reached.pop();
                }
                InstanceEvent::BranchesJoined { node, conflicts, .. } => {
                    reached.pop();
                    outcome
                        .conflicts
                        .extend(conflicts.iter().map(|conflict| (node.clone(), conflict.clone())));
                }
                InstanceEvent::FlowCompleted | InstanceEvent::FlowTerminated { .. } => {
                    outcome.code = ResultCode::Success;
                }
                InstanceEvent::CommitFailed { node, code, detail, .. } => {
                    outcome.code = ResultCode::from_number(*code).unwrap_or(ResultCode::SystemError);
                    outcome.detail = Some(detail.clone());
                    outcome.rests.push(Rest::at(node));
                    return outcome;
                }
                InstanceEvent::RollbackRedone { .. } => {
                    outcome.code = ResultCode::CommitSuspended;
                    outcome.rests = state.active_tasks().iter().map(|task| Rest::at(&task.id)).collect();
                    return outcome;
                }
                InstanceEvent::InstanceSuspended
                | InstanceEvent::InstanceResumed
                | InstanceEvent::InstanceAborted
                | InstanceEvent::InstanceRestored { .. } => return Self::bare(ResultCode::Success),
                InstanceEvent::TaskRolledBack {
                    reopened,
                    compensations,
                    ..
                } => {
                    outcome.compensations.clone_from(compensations);
                    outcome.code = ResultCode::RollbackSuspended;
                    // The task comes first, then the call activities around it.
                    let task = reopened.iter().find(|again| !again.superseded);
                    outcome.rests.extend(task.map(|again| Rest::at(&again.node)));
                    return outcome;
                }
                InstanceEvent::FlowStarted { .. }
                | InstanceEvent::GatewayReached(_)
                | InstanceEvent::HookAnswered { .. }
                | InstanceEvent::BranchTaken { .. }
                | InstanceEvent::BranchesOpened { .. }
                | InstanceEvent::JoinReached { .. }
                | InstanceEvent::TaskCommitted { .. }
                | InstanceEvent::CallReturned { .. } => {}
            }
        }
        outcome.rests = rests(&reached, state);
        if outcome.code == ResultCode::JoinWaiting {
            outcome.code = Self::waiting_code(&outcome.rests, FlowIndex::ROOT, state);
        }
        outcome
    }

    /// The outcome of a command that changed nothing; that of a commit is the present position.
    pub fn unchanged(code: ResultCode, state: &FlowInstance) -> Self {
        let rests = if code == ResultCode::CommitSuspended {
            state.active_tasks().iter().map(|task| Rest::at(&task.id)).collect()
        } else {
            Vec::new()
        };
        Self {
            rests,
            ..Self::bare(code)
        }
    }

    /// A code and nothing else.
    pub fn bare(code: ResultCode) -> Self {
        Self {
            code,
            detail: None,
            rests: Vec::new(),
            conflicts: Vec::new(),
            compensations: Vec::new(),
        }
    }

    /// The code of a flow that waits: 1002 where it rests at a task or in a call activity, 1601 where only joins wait.
    pub fn waiting_code(rests: &[Rest], flow: FlowIndex, state: &FlowInstance) -> ResultCode {
        let waits_for_commit = |node: &NodeInstance| node.is_task || node.flow != flow;
        if rests
            .iter()
            .filter_map(|rest| state.node(&rest.node))
            .any(waits_for_commit)
        {
            ResultCode::CommitSuspended
        } else {
            ResultCode::JoinWaiting
        }
    }
}

/// Of the nodes that were reached, those where the flow still stands or has ended.
fn rests(reached: &[NodeInstanceId], state: &FlowInstance) -> Vec<Rest> {
    let mut rests = Vec::with_capacity(reached.len());
    for (place, id) in reached.iter().enumerate() {
        let Some(node) = state.node(id) else { continue };
        let runs = node.flow == FlowIndex::ROOT
            || state
                .flow(node.flow)
                .is_some_and(|flow| flow.status == FlowStatus::Running);
        match (node.status, &node.join) {
            (NodeStatus::Active, None) => rests.push(Rest::at(id)),
            (NodeStatus::Completed, None) if node.element_type == ElementType::EndEvent && runs => {
                rests.push(Rest::at(id));
            }
            (NodeStatus::Waiting, Some(join)) => {
                // Its arrivals of this command are its last ones.
                let left = reached.iter().skip(place).filter(|other| *other == id).count();
                rests.push(Rest {
                    node: id.clone(),
                    arrival: join.arrivals.len().checked_sub(left),
                });
            }
            _ => {}
        }
    }
    rests
}
