//! What start, commit and rollback share: carrying the command out, and telling its answer.

use flowledger_engine_core::event::InstanceCommand;
use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowInstance, Outcome};
use flowledger_engine_core::model::element::Properties;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::{Deployments, NodeInstance, RuntimeResult, View};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::{Done, Effect, Meta, Refused};

/// What the answer says of branches and a request need not repeat (T-29).
const BRANCH_PROPERTIES: [&str; 2] = ["executeId", "parallelRuntimeContextList"];

/// The answer of startProcess.
pub type StartProcessResult = RuntimeResult;
/// The answer of commitTask.
pub type CommitTaskResult = RuntimeResult;
/// The answer of rollbackTask.
pub type RollbackTaskResult = RuntimeResult;

impl Engine {
    /// Carries out a command of an instance.
    pub(super) async fn run(
        &self,
        id: &FlowInstanceId,
        command: InstanceCommand,
        meta: Meta,
    ) -> Result<Done<FlowInstance>, EngineError> {
        let context = match &command {
            InstanceCommand::CommitTask { .. } => CodeContext::Commit,
            InstanceCommand::RollbackTask { .. }
            | InstanceCommand::RollbackTo { .. }
            | InstanceCommand::RedoRollback => CodeContext::Rollback,
            InstanceCommand::StartProcess { .. }
            | InstanceCommand::SuspendInstance { .. }
            | InstanceCommand::ResumeInstance { .. }
            | InstanceCommand::AbortInstance { .. }
            | InstanceCommand::RestoreInstance { .. }
            | InstanceCommand::TerminateProcess { .. } => CodeContext::Other,
        };
        let receipt = meta.receipt;
        match self
            .executor()
            .execute::<FlowInstance>(id.id().to_bytes(), command, meta)
            .await
        {
            Ok(mut done) => {
                if receipt {
                    done.enclosed = Box::pin(self.enclosed(&done)).await;
                }
                Ok(done)
            }
            Err(Refused { mut error, task, state }) => {
                if error.code() == ResultCode::InstanceNotFound {
                    error = Box::pin(self.no_instance(id)).await?;
                }
                if let Some(state) = state {
                    Box::pin(self.describe(&mut error, &state, task.as_ref())).await?;
                }
                Err(error.answered_as(self.profile(), context))
            }
        }
    }

    /// Why a command finds no instance under an id: there is none, or it is a sub flow instance.
    async fn no_instance(&self, id: &FlowInstanceId) -> Result<EngineError, EngineError> {
        Ok(match self.root_of(id).await? {
            Some(_) => EngineError::new(
                ResultCode::SubFlowInstanceNotAccepted,
                format!("{id} is a sub flow instance; use the flowInstanceId of the root"),
            ),
            None => EngineError::new(
                ResultCode::InstanceNotFound,
                format!("no flow instance has the id {id}"),
            ),
        })
    }

    /// The answer of a command that was carried out; an error where it was recorded as failed.
    pub(super) async fn runtime_result(
        &self,
        done: &Done<FlowInstance>,
        extend_properties: Option<Properties>,
    ) -> Result<RuntimeResult, EngineError> {
        let state = &*done.state;
        let outcome = match &done.effect {
            Effect::Recorded(record) => Outcome::of(record, state),
            Effect::Unchanged(code) => Outcome::unchanged(*code, state),
        };
        if !outcome.code.is_success() {
            let mut error = EngineError::new(outcome.code, outcome.detail.as_deref().unwrap_or_default());
            Box::pin(self.describe(&mut error, state, outcome.rests.first().map(|rest| &rest.node))).await?;
            // A commit that failed on its way is on record, too.
            let about = error.about_mut();
            about.receipt.clone_from(&done.enclosed.receipt);
            about.receipt_error.clone_from(&done.enclosed.error);
            return Err(error.answered_as(self.profile(), CodeContext::Commit));
        }
        let deployments = self.deployments_of(state).await?;
        let view = View {
            deployments: &deployments,
            profile: self.profile(),
        };
        let mut result = RuntimeResult::of(state, &outcome, view);
        let echoed = extend_properties.into_iter().flatten();
        result
            .extend_properties
            .extend(echoed.filter(|(name, _)| !BRANCH_PROPERTIES.contains(&&**name)));
        result.receipt.clone_from(&done.enclosed.receipt);
        result.receipt_error.clone_from(&done.enclosed.error);
        Ok(result)
    }

    /// Adds to an error where the instance stands, and the task the command was about as it is stored (T-15).
    async fn describe(
        &self,
        error: &mut EngineError,
        state: &FlowInstance,
        task: Option<&NodeInstanceId>,
    ) -> Result<(), EngineError> {
        let Some(root) = state.root() else { return Ok(()) };
        let about = error.about_mut();
        about.flow_instance_id = Some(root.flow_instance_id.clone());
        about.status = Some(state.status().number());
        about.version = Some(state.commands.len() as u64);
        if let Some(node) = task.and_then(|id| state.node(id)) {
            let deployments = self.deployments_of(state).await?;
            let view = View {
                deployments: &deployments,
                profile: self.profile(),
            };
            about.active_task_instance = Some(Box::new(NodeInstance::of(node, state, view)));
            about.variables = Some(node.entry.variables.to_vec());
        }
        Ok(())
    }

    /// The deployments that the flows of an instance run.
    pub(super) async fn deployments_of(&self, state: &FlowInstance) -> Result<Deployments, EngineError> {
        let mut deployments = Deployments::new();
        for (_, flow) in state.flows() {
            let id = &flow.flow_deploy_id;
            if deployments.contains_key(id) {
                continue;
            }
            let found = self.executor().deployment_of_module(id, &flow.flow_module_id).await?;
            let deployment = found.ok_or_else(|| {
                EngineError::new(
                    ResultCode::DeploymentNotFound,
                    format!(
                        "deployment {id} of flow instance {} is not in the store",
                        flow.flow_instance_id
                    ),
                )
            })?;
            deployments.insert(id.clone(), deployment);
        }
        Ok(deployments)
    }

    /// The stream of the root of a sub flow instance; `None` when there is no such sub flow instance.
    pub(super) async fn root_of(&self, id: &FlowInstanceId) -> Result<Option<[u8; 16]>, EngineError> {
        let catalogue = &self.executor().catalogue;
        if let Some(stream) = catalogue.root_of(id)? {
            return Ok(Some(stream));
        }
        catalogue.catch_up(self.log()).await?;
        Ok(catalogue.root_of(id)?)
    }
}
