//! The answer that start, commit and rollback share, told from a command's effect and the state behind it.

use std::sync::Arc;

use flowledger_engine_core::event::InstanceCommand;
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowInstance, Outcome};
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_engine_core::variables::InstanceData;
use flowledger_projections::{NodeInstance, View};
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::{Done, Effect, Meta, Refused};

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
/// per branch in the order of the model; the flat members are those of its first entry.
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

/// The answer of startProcess.
pub type StartProcessResult = RuntimeResult;
/// The answer of commitTask.
pub type CommitTaskResult = RuntimeResult;
/// The answer of rollbackTask.
pub type RollbackTaskResult = RuntimeResult;

impl RuntimeResult {
    /// The task that waits, or the end event that was reached.
    pub fn active_task(&self) -> Option<&NodeInstance> {
        self.active_task_instance.as_ref()
    }
}

impl Engine {
    /// Carries out a command of an instance.
    pub(super) async fn run(
        &self,
        stream: [u8; 16],
        command: InstanceCommand,
        meta: Meta,
    ) -> Result<Done<FlowInstance>, EngineError> {
        let context = match &command {
            InstanceCommand::CommitTask { .. } => CodeContext::Commit,
            InstanceCommand::RollbackTask { .. } => CodeContext::Rollback,
            InstanceCommand::StartProcess { .. } | InstanceCommand::TerminateProcess { .. } => CodeContext::Other,
        };
        match self.executor().execute::<FlowInstance>(stream, command, meta).await {
            Ok(done) => Ok(done),
            Err(Refused { mut error, task, state }) => {
                if let Some(state) = state {
                    self.describe(&mut error, &state, task.as_ref()).await?;
                }
                Err(error.answered_as(self.profile(), context))
            }
        }
    }

    /// The answer of a command that was carried out; an error where it was recorded as failed.
    pub(super) async fn runtime_result(
        &self,
        done: &Done<FlowInstance>,
        command: Option<&InstanceCommand>,
    ) -> Result<RuntimeResult, EngineError> {
        let state = &*done.state;
        let outcome = match (&done.effect, command) {
            (Effect::Recorded(record), _) => Outcome::of(record),
            (Effect::Unchanged(code), Some(command)) => Outcome::unchanged(*code, command, state),
            (Effect::Unchanged(code), None) => Outcome {
                code: *code,
                detail: None,
                ended_at: Vec::new(),
            },
        };
        if !outcome.code.is_success() {
            let mut error = EngineError::new(outcome.code, outcome.detail.as_deref().unwrap_or_default());
            self.describe(&mut error, state, outcome.ended_at.first()).await?;
            return Err(error.answered_as(self.profile(), CodeContext::Commit));
        }
        let mut result = RuntimeResult {
            err_code: outcome.code.number(),
            err_msg: outcome.code.entry().text.to_owned(),
            flow_instance_id: None,
            status: 0,
            flow_deploy_id: None,
            flow_module_id: None,
            active_task_instance: None,
            variables: Vec::new(),
            node_execute_results: Vec::new(),
            version: state.commands.len() as u64,
        };
        if outcome.code == ResultCode::Reentrant {
            return Ok(result);
        }
        result.flow_instance_id.clone_from(&state.flow_instance_id);
        result.status = state.status.number();
        result.node_execute_results = self.branches(state, &outcome.ended_at).await?;
        if let Some(first) = result.node_execute_results.first() {
            let node = &first.active_task_instance;
            if outcome.code != ResultCode::Success {
                result.err_msg = format!(
                    "{}(nodeKey={}, nodeName={}, nodeInstanceId={})",
                    result.err_msg, node.model_key, node.model_name, node.node_instance_id
                );
            }
            result.active_task_instance = Some(node.clone());
            result.variables.clone_from(&first.variables);
        }
        Ok(result)
    }

    async fn branches(
        &self,
        state: &FlowInstance,
        nodes: &[NodeInstanceId],
    ) -> Result<Vec<NodeExecuteResult>, EngineError> {
        let deployment = self.deployment_of(state).await?;
        let view = View {
            deployment: &deployment,
            profile: self.profile(),
        };
        Ok(nodes
            .iter()
            .filter_map(|id| state.node(id))
            .map(|node| NodeExecuteResult {
                active_task_instance: NodeInstance::of(node, view),
                variables: node.entry.variables.to_list(),
            })
            .collect())
    }

    /// Adds to an error where the instance stands, and the task the command was about as it is stored (T-15).
    async fn describe(
        &self,
        error: &mut EngineError,
        state: &FlowInstance,
        task: Option<&NodeInstanceId>,
    ) -> Result<(), EngineError> {
        if state.flow_instance_id.is_none() {
            return Ok(());
        }
        let branch = match task {
            Some(task) => self.branches(state, std::slice::from_ref(task)).await?.pop(),
            None => None,
        };
        let about = error.about_mut();
        about.flow_instance_id.clone_from(&state.flow_instance_id);
        about.status = Some(state.status.number());
        about.version = Some(state.commands.len() as u64);
        if let Some(branch) = branch {
            about.active_task_instance = Some(Box::new(branch.active_task_instance));
            about.variables = Some(branch.variables);
        }
        Ok(())
    }

    /// The deployment that an instance runs.
    pub(super) async fn deployment_of(
        &self,
        state: &FlowInstance,
    ) -> Result<Arc<flowledger_engine_core::deployment::Deployment>, EngineError> {
        let found = match (&state.flow_deploy_id, &state.flow_module_id) {
            (Some(id), Some(module)) => self.executor().deployment_of_module(id, module).await?,
            _ => None,
        };
        found.ok_or_else(|| {
            EngineError::new(
                ResultCode::DeploymentNotFound,
                "the deployment of the flow instance is not in the store",
            )
        })
    }
}
