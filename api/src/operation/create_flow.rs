//! createFlow: a new flow module, without a model.

use std::sync::Arc;

use flowledger_engine_core::event::{Actor, FlowDescription, ModuleCommand};
use flowledger_engine_core::id::{FlowModuleId, IdKind};
use flowledger_engine_core::module::FlowModule;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::Receipt;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::{Done, Meta};
use crate::operation::request::{Check, CommandOptions, Most};

/// The request of createFlow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CreateFlowParam {
    /// Required.
    pub tenant: String,
    /// Required.
    pub caller: String,
    /// Who creates it.
    pub operator: Option<String>,
    /// The caller's own key; need not be unique.
    pub flow_key: Option<String>,
    /// The name shown to people.
    pub flow_name: Option<String>,
    /// Anything else.
    pub remark: Option<String>,
    /// Reason and command id; the actor is taken from the members above.
    #[serde(flatten)]
    pub options: CommandOptions,
}

/// The answer of createFlow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateFlowResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The new module.
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
    /// Creates a flow module, without a model.
    ///
    /// # Errors
    /// 2001 tenant or caller blank, a text too long; 3001 the store did not take it; 7301.
    pub async fn create_flow(&self, param: CreateFlowParam) -> Result<CreateFlowResult, EngineError> {
        let answered = |error: EngineError| error.answered_as(self.profile(), CodeContext::Other);
        let (command, meta) = self.create_command(param).map_err(answered)?;
        let id: FlowModuleId = self
            .executor()
            .founding_id(&meta.command_id, IdKind::FlowModule)
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?
            .into();
        let done = self
            .run_module(&id, command, meta, ResultCode::DefinitionInsertFailed)
            .await?;
        Ok(CreateFlowResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            flow_module_id: id,
            version: done.state.commands.len() as u64,
            receipt: done.enclosed.receipt,
            receipt_error: done.enclosed.error,
        })
    }

    fn create_command(&self, param: CreateFlowParam) -> Result<(ModuleCommand, Meta), EngineError> {
        let CreateFlowParam {
            tenant,
            caller,
            operator,
            flow_key,
            flow_name,
            remark,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        let actor = check.owner(&tenant, &caller, operator)?;
        let flow = check.description(flow_key, flow_name, remark)?;
        let meta = check.options(CommandOptions {
            actor: Some(actor),
            ..options
        })?;
        Ok((ModuleCommand::CreateFlow { flow }, meta))
    }

    /// Carries out a command of a module; a store that does not take it answers under `unstored`.
    pub(super) async fn run_module(
        &self,
        id: &FlowModuleId,
        command: ModuleCommand,
        meta: Meta,
        unstored: ResultCode,
    ) -> Result<Done<FlowModule>, EngineError> {
        let receipt = meta.receipt;
        let mut done = self
            .executor()
            .execute::<FlowModule>(id.id().to_bytes(), command, meta)
            .await
            .map_err(|refused| {
                let error = match refused.error.code() {
                    ResultCode::StoreUnavailable => refused.error.under(unstored),
                    code @ (ResultCode::FlowNotFound | ResultCode::DefinitionUpdateFailed) => EngineError::new(
                        code,
                        format!("no flow module has the id {id}; create it with createFlow"),
                    ),
                    _ => refused.error,
                };
                error.answered_as(self.profile(), CodeContext::Other)
            })?;
        if receipt {
            done.enclosed = Box::pin(self.enclosed(&done)).await;
        }
        Ok(done)
    }
}

impl Check<'_> {
    /// Tenant and caller, both required, and the operator.
    pub(super) fn owner(&self, tenant: &str, caller: &str, operator: Option<String>) -> Result<Actor, EngineError> {
        self.required("tenant", tenant, Most::Name)?;
        self.required("caller", caller, Most::Name)?;
        self.optional("operator", operator.as_deref(), Most::Name)?;
        Ok(Actor {
            tenant: Some(tenant.into()),
            caller: Some(caller.into()),
            operator: operator.map(Arc::from),
        })
    }

    /// Key, name and remark.
    pub(super) fn description(
        &self,
        flow_key: Option<String>,
        flow_name: Option<String>,
        remark: Option<String>,
    ) -> Result<FlowDescription, EngineError> {
        self.optional("flowKey", flow_key.as_deref(), Most::Name)?;
        self.optional("flowName", flow_name.as_deref(), Most::Name)?;
        self.optional("remark", remark.as_deref(), Most::Remark)?;
        Ok(FlowDescription {
            flow_key: flow_key.map(Arc::from),
            flow_name: flow_name.map(Arc::from),
            remark: remark.map(Arc::from),
        })
    }
}
