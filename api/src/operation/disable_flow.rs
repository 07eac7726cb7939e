//! disableFlow and enableFlow: takes a module offline and back. The API document names the status without an operation.

use flowledger_engine_core::event::ModuleCommand;
use flowledger_engine_core::id::FlowModuleId;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::Receipt;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::{Effect, Meta};
use crate::operation::request::{Check, CommandOptions, Most};

/// The request of disableFlow and enableFlow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FlowSwitchParam {
    /// Required: the module.
    pub flow_module_id: String,
    /// Actor, reason, command id and expected version.
    #[serde(flatten)]
    pub options: CommandOptions,
}

/// The answer of disableFlow and enableFlow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowSwitchResult {
    /// 1000; 1001 when the module was offline or online already.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The module.
    pub flow_module_id: FlowModuleId,
    /// The version of the module.
    pub version: u64,
    /// The receipt of the command's record, if one was asked for and the command left a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<Receipt>>,
    /// Why there is no receipt although one was asked for, and how to get it; the command is on record all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_error: Option<String>,
}

impl Engine {
    /// Takes a module offline: it can no longer be started (4007, with 7206 beside it); what runs goes on.
    ///
    /// # Errors
    /// 2001; 3101 unknown module; 3002 the store did not take it; 7201, 7301, 7303.
    pub async fn disable_flow(&self, param: FlowSwitchParam) -> Result<FlowSwitchResult, EngineError> {
        self.switch_flow(param, ModuleCommand::DisableFlow).await
    }

    /// Takes a module online again.
    ///
    /// # Errors
    /// Those of [`Engine::disable_flow`].
    pub async fn enable_flow(&self, param: FlowSwitchParam) -> Result<FlowSwitchResult, EngineError> {
        self.switch_flow(param, ModuleCommand::EnableFlow).await
    }

    async fn switch_flow(
        &self,
        param: FlowSwitchParam,
        command: ModuleCommand,
    ) -> Result<FlowSwitchResult, EngineError> {
        let (id, meta) = self
            .switch_command(param)
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?;
        let done = self
            .run_module(&id, command, meta, ResultCode::DefinitionUpdateFailed)
            .await?;
        let code = match done.effect {
            Effect::Recorded(_) => ResultCode::Success,
            Effect::Unchanged(code) => code,
        };
        Ok(FlowSwitchResult {
            err_code: code.number(),
            err_msg: code.entry().text.to_owned(),
            flow_module_id: id,
            version: done.state.commands.len() as u64,
            receipt: done.enclosed.receipt,
            receipt_error: done.enclosed.error,
        })
    }

    fn switch_command(&self, param: FlowSwitchParam) -> Result<(FlowModuleId, Meta), EngineError> {
        let check = Check::new(&self.executor().limits);
        check.required("flowModuleId", &param.flow_module_id, Most::Id)?;
        Ok((FlowModuleId::new(&param.flow_module_id), check.options(param.options)?))
    }
}
