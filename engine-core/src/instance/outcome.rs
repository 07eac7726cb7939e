//! The outcome of a command, told from its record and the state behind it. The same for the first answer and a repeat.

use std::sync::Arc;

use crate::event::{InstanceCommand, InstanceEvent, InstanceRecord};
use crate::id::NodeInstanceId;
use crate::instance::state::FlowInstance;
use crate::result_code::ResultCode;

/// What a recorded command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The code.
    pub code: ResultCode,
    /// What exactly failed, where something did.
    pub detail: Option<Arc<str>>,
    /// The node instances that the command ended at, in the order of the model.
    pub ended_at: Vec<NodeInstanceId>,
}

impl Outcome {
    /// The outcome of a record.
    pub fn of(record: &InstanceRecord) -> Self {
        let mut outcome = Self {
            code: ResultCode::Success,
            detail: None,
            ended_at: Vec::new(),
        };
        let mut last_passed = None;
        for event in &record.events {
            match event {
                InstanceEvent::TaskActivated(visit) => {
                    outcome.code = ResultCode::CommitSuspended;
                    outcome.ended_at.push(visit.node.clone());
                }
                InstanceEvent::EventPassed(visit) => last_passed = Some(visit.node.clone()),
                InstanceEvent::NodeReentered { node } => last_passed = Some(node.clone()),
                InstanceEvent::FlowCompleted => outcome.ended_at.extend(last_passed.take()),
                InstanceEvent::CommitFailed { node, code, detail, .. } => {
                    outcome.code = ResultCode::from_number(*code).unwrap_or(ResultCode::SystemError);
                    outcome.detail = Some(detail.clone());
                    outcome.ended_at.push(node.clone());
                }
                InstanceEvent::TaskRolledBack { reopened, .. } => {
                    outcome.code = ResultCode::RollbackSuspended;
                    // The task comes first, then the call activities around it.
                    let task = reopened.iter().find(|again| !again.superseded);
                    outcome.ended_at.extend(task.map(|again| again.node.clone()));
                }
                InstanceEvent::FlowStarted { .. }
                | InstanceEvent::GatewayReached(_)
                | InstanceEvent::HookAnswered { .. }
                | InstanceEvent::BranchTaken { .. }
                | InstanceEvent::TaskCommitted { .. }
                | InstanceEvent::SubFlowEnded { .. }
                | InstanceEvent::CallReturned { .. }
                | InstanceEvent::FlowTerminated { .. } => {}
            }
        }
        outcome
    }

    /// The outcome of a command that changed nothing: the present position.
    pub fn unchanged(code: ResultCode, command: &InstanceCommand, state: &FlowInstance) -> Self {
        let ended_at = match (command, code) {
            (InstanceCommand::CommitTask { .. }, ResultCode::CommitSuspended) => {
                state.active_tasks().map(|task| task.id.clone()).collect()
            }
            _ => Vec::new(),
        };
        Self {
            code,
            detail: None,
            ended_at,
        }
    }
}
