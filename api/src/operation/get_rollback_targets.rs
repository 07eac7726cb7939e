//! getRollbackTargets: every user task one may go back to, what that would bring, and why not to the others.

use flowledger_engine_core::decider::Decision;
use flowledger_engine_core::event::{InstanceCommand, RollbackTarget as Target};
use flowledger_engine_core::instance::FlowIndex;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::RollbackTarget;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;
use crate::operation::request::invalid;

/// The answer of getRollbackTargets.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackTargetListResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The user tasks, newest first: at most `Limits::rollback_targets`.
    pub targets: Vec<RollbackTarget>,
    /// Whether older tasks are left out; rollbackTo judges them all the same.
    pub truncated: bool,
    /// The version of the instance.
    pub version: u64,
}

impl Engine {
    /// Every user task of an instance and its sub flow instances, with what rollbackTo would answer: the tasks that would
    /// be active and how the data would change, or the code and the reason. Judged by the code that decides rollbackTo.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 4020 the id of a sub flow instance; 7417.
    pub async fn get_rollback_targets(
        &self,
        query: impl Into<InstanceQuery>,
    ) -> Result<RollbackTargetListResult, EngineError> {
        let answered = |error: EngineError| error.answered_as(self.profile(), CodeContext::Other);
        let query = query.into();
        let id = &query.flow_instance_id;
        if id.to_string().trim().is_empty() {
            return Err(answered(invalid("flowInstanceId is blank; it is required")));
        }
        let found = self.find(&query).await?;
        if found.flow != FlowIndex::ROOT {
            let detail = format!("{id} is a sub flow instance; use the flowInstanceId of the root");
            return Err(answered(EngineError::new(
                ResultCode::SubFlowInstanceNotAccepted,
                detail,
            )));
        }
        let now = &*found.state;
        let most = self.executor().limits.rollback_targets;
        let mut tasks = now.nodes().rev().filter(|node| node.is_user_task());
        let mut targets = Vec::new();
        for node in tasks.by_ref().take(most) {
            let command = InstanceCommand::RollbackTo {
                target: Target::Node(node.id.clone()),
            };
            let view = found.view(self.profile());
            let target = match self.executor().consider(id.id().to_bytes(), now, command).await {
                Ok(Decision::Record { events, state }) => RollbackTarget::possible(node, now, &events, &state, view),
                Ok(Decision::Unchanged(_) | Decision::Ask(_)) => None,
                Err(refused) => {
                    let error = refused.error.answered_as(self.profile(), CodeContext::Rollback);
                    RollbackTarget::refused(
                        node,
                        now,
                        (error.err_code(), error.err_code_ext()),
                        error.err_msg(),
                        view,
                    )
                }
            };
            targets.extend(target);
        }
        Ok(RollbackTargetListResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            targets,
            truncated: tasks.next().is_some(),
            version: found.version(),
        })
    }
}
