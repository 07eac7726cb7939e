//! terminateProcess: ends an instance for good.

use flowledger_engine_core::event::InstanceCommand;
use flowledger_engine_core::id::FlowInstanceId;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::Receipt;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::request::{Check, CommandOptions, Most};

/// The request of terminateProcess.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TerminateProcessParam {
    /// Required: the instance.
    pub flow_instance_id: String,
    /// Whether running sub flow instances end with it; true unless said otherwise.
    pub effective_for_sub_flow_instance: bool,
    /// Actor, reason, command id and expected version.
    #[serde(flatten)]
    pub options: CommandOptions,
}

impl Default for TerminateProcessParam {
    fn default() -> Self {
        Self {
            flow_instance_id: String::new(),
            effective_for_sub_flow_instance: true,
            options: CommandOptions::default(),
        }
    }
}

impl TerminateProcessParam {
    /// Ends an instance and its sub flow instances.
    pub fn new(flow_instance_id: &FlowInstanceId) -> Self {
        Self {
            flow_instance_id: flow_instance_id.to_string(),
            ..Self::default()
        }
    }

    /// Names the command.
    pub fn command_id(mut self, id: &str) -> Self {
        self.options.command_id = Some(id.into());
        self
    }
}

impl From<&FlowInstanceId> for TerminateProcessParam {
    fn from(id: &FlowInstanceId) -> Self {
        Self::new(id)
    }
}

/// The answer of terminateProcess.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TerminateResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// 3 terminated; 1 when it was completed before, which stays.
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
    /// Ends an instance for good; its tasks stay as they are. One that has ended already stays as it is.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7008, 7301, 7303.
    pub async fn terminate_process(
        &self,
        param: impl Into<TerminateProcessParam>,
    ) -> Result<TerminateResult, EngineError> {
        let TerminateProcessParam {
            flow_instance_id,
            effective_for_sub_flow_instance,
            options,
        } = param.into();
        let check = Check::new(&self.executor().limits);
        let meta = check
            .required("flowInstanceId", &flow_instance_id, Most::Id)
            .and_then(|()| check.options(options))
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?;
        let id = FlowInstanceId::new(&flow_instance_id);
        let command = InstanceCommand::TerminateProcess {
            effective_for_sub_flow_instance,
        };
        let done = self.run(&id, command, meta).await?;
        Ok(TerminateResult {
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
