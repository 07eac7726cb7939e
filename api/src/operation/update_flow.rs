//! updateFlow: replaces a module's draft. The model is judged only at deploy.

use flowledger_engine_core::event::ModuleCommand;
use flowledger_engine_core::id::FlowModuleId;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::Receipt;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::Meta;
use crate::operation::request::{Check, CommandOptions, Most, invalid};

/// The request of updateFlow. Absent members stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdateFlowParam {
    /// Required; becomes the module's tenant.
    pub tenant: String,
    /// Required; becomes the module's caller.
    pub caller: String,
    /// Who changes it.
    pub operator: Option<String>,
    /// The caller's own key.
    pub flow_key: Option<String>,
    /// The name shown to people.
    pub flow_name: Option<String>,
    /// Required: the module.
    pub flow_module_id: String,
    /// Required: the model's text, `{"flowElementList":[…]}`.
    pub flow_model: String,
    /// Anything else.
    pub remark: Option<String>,
    /// Reason, command id and expected version; the actor is taken from the members above.
    #[serde(flatten)]
    pub options: CommandOptions,
}

/// The answer of updateFlow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateFlowResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
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
    /// Replaces the draft of a module. What is deployed or running is not affected.
    ///
    /// # Errors
    /// 2001 a required member blank, a text or the model too long; 3002 unknown module, or the store did not take it;
    /// 7201, 7301, 7303.
    pub async fn update_flow(&self, param: UpdateFlowParam) -> Result<UpdateFlowResult, EngineError> {
        let answered = |error: EngineError| error.answered_as(self.profile(), CodeContext::Other);
        let (id, command, meta) = self.update_command(param).map_err(answered)?;
        let done = self
            .run_module(&id, command, meta, ResultCode::DefinitionUpdateFailed)
            .await?;
        Ok(UpdateFlowResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            version: done.state.commands.len() as u64,
            receipt: done.enclosed.receipt,
            receipt_error: done.enclosed.error,
        })
    }

    fn update_command(&self, param: UpdateFlowParam) -> Result<(FlowModuleId, ModuleCommand, Meta), EngineError> {
        let UpdateFlowParam {
            tenant,
            caller,
            operator,
            flow_key,
            flow_name,
            flow_module_id,
            flow_model,
            remark,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        let actor = check.owner(&tenant, &caller, operator)?;
        check.required("flowModuleId", &flow_module_id, Most::Id)?;
        if flow_model.trim().is_empty() {
            return Err(invalid("flowModel is blank; it is required"));
        }
        let flow = check.description(flow_key, flow_name, remark)?;
        let meta = check.options(CommandOptions {
            actor: Some(actor),
            ..options
        })?;
        let command = ModuleCommand::UpdateFlow {
            flow,
            flow_model: flow_model.into(),
        };
        Ok((FlowModuleId::new(&flow_module_id), command, meta))
    }
}
