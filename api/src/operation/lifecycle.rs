//! suspendInstance, resumeInstance, abortInstance and restoreInstance: hold an instance, and let it go on.

use std::sync::Arc;

use flowledger_engine_core::event::InstanceCommand;
use flowledger_engine_core::id::FlowInstanceId;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::Receipt;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::request::{Check, CommandOptions, Most, present};

/// The request of suspendInstance, resumeInstance, abortInstance and restoreInstance.
///
/// All four need a reason: `options.reason`, or `reasonOption` where the flow's model lists `reasonOptions` for the
/// command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LifecycleParam {
    /// Required: the instance.
    pub flow_instance_id: String,
    /// One of the flow's reasonOptions for the command.
    pub reason_option: Option<String>,
    /// Actor, reason, command id and expected version.
    #[serde(flatten)]
    pub options: CommandOptions,
}

impl LifecycleParam {
    /// With a reason in words.
    pub fn new(flow_instance_id: &FlowInstanceId, reason: &str) -> Self {
        Self {
            flow_instance_id: flow_instance_id.to_string(),
            reason_option: None,
            options: CommandOptions {
                reason: Some(reason.into()),
                ..CommandOptions::default()
            },
        }
    }

    /// With one of the flow's options.
    pub fn reason_option(mut self, option: &str) -> Self {
        self.reason_option = Some(option.to_owned());
        self
    }

    /// Names the command.
    pub fn command_id(mut self, id: &str) -> Self {
        self.options.command_id = Some(id.into());
        self
    }
}

/// The answer of suspendInstance, resumeInstance, abortInstance and restoreInstance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// 2 running, 5 suspended, 6 aborted.
    pub status: i32,
    /// The version of the instance.
    pub version: u64,
    /// The receipt of the command's record, if one was asked for and the command left a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<Receipt>>,
    /// Why there is no receipt although one was asked for, and how to get it; the command is on record all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_error: Option<String>,
}

impl Engine {
    /// Lets nothing happen in an instance until it is resumed: commits and rollbacks answer 7406.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7400 aborted; 7402, 7403 the reason; 7406 suspended already; 7413 it has ended; 7008,
    /// 7301, 7303.
    pub async fn suspend_instance(&self, param: LifecycleParam) -> Result<LifecycleResult, EngineError> {
        self.lifecycle(param, |reason_option| InstanceCommand::SuspendInstance {
            reason_option,
        })
        .await
    }

    /// Lets a suspended instance go on, exactly where it stood.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7400 aborted; 7402, 7403 the reason; 7413 it is not suspended; 7008, 7301, 7303.
    pub async fn resume_instance(&self, param: LifecycleParam) -> Result<LifecycleResult, EngineError> {
        self.lifecycle(param, |reason_option| InstanceCommand::ResumeInstance { reason_option })
            .await
    }

    /// Stops an instance, running or suspended; it can be restored.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7400 aborted already; 7402, 7403 the reason; 7404 it has ended; 7008, 7301, 7303.
    pub async fn abort_instance(&self, param: LifecycleParam) -> Result<LifecycleResult, EngineError> {
        self.lifecycle(param, |reason_option| InstanceCommand::AbortInstance { reason_option })
            .await
    }

    /// Takes an abort back: the instance is exactly as it was before.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7401 it is not aborted; 7402, 7403 the reason; 7405 it has ended for good; 7008,
    /// 7301, 7303.
    pub async fn restore_instance(&self, param: LifecycleParam) -> Result<LifecycleResult, EngineError> {
        self.lifecycle(param, |reason_option| InstanceCommand::RestoreInstance {
            reason_option,
        })
        .await
    }

    async fn lifecycle(
        &self,
        param: LifecycleParam,
        command: impl FnOnce(Option<Arc<str>>) -> InstanceCommand,
    ) -> Result<LifecycleResult, EngineError> {
        let LifecycleParam {
            flow_instance_id,
            reason_option,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        let reason_option = present(reason_option);
        let meta = check
            .required("flowInstanceId", &flow_instance_id, Most::Id)
            .and_then(|()| check.optional("reasonOption", reason_option.as_deref(), Most::Name))
            .and_then(|()| check.options(options))
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?;
        let id = FlowInstanceId::new(&flow_instance_id);
        let done = self.run(&id, command(reason_option.map(Arc::from)), meta).await?;
        Ok(LifecycleResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            flow_instance_id: id,
            status: done.state.status().number(),
            version: done.state.commands.len() as u64,
            receipt: done.enclosed.receipt,
            receipt_error: done.enclosed.error,
        })
    }
}
