//! deployFlow: judges a module's draft and makes it a deployment.

use flowledger_engine_core::event::{DeployWarning, ModuleCommand, ModuleEvent};
use flowledger_engine_core::id::{FlowDeployId, FlowModuleId};
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::Receipt;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::{Effect, Meta};
use crate::operation::request::{Check, CommandOptions, Most};

/// The request of deployFlow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeployFlowParam {
    /// Required.
    pub tenant: String,
    /// Required.
    pub caller: String,
    /// Who deploys it.
    pub operator: Option<String>,
    /// Required: the module.
    pub flow_module_id: String,
    /// Deploys the draft only if it is proved: sound, and everything decided ([`prove_model`](crate::prove_model)).
    pub require_proof: bool,
    /// Reason, command id and expected version; the actor is taken from the members above.
    #[serde(flatten)]
    pub options: CommandOptions,
}

/// The answer of deployFlow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployFlowResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The module.
    pub flow_module_id: FlowModuleId,
    /// The new deployment.
    pub flow_deploy_id: FlowDeployId,
    /// What is allowed in the model but likely not meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<DeployWarning>,
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
    /// Judges the draft of a module and deploys it. Earlier deployments stay, and what runs on them.
    ///
    /// # Errors
    /// 2001; 2002, 2003; 3001 the store did not take it; 3101 unknown module; 3102 no model yet; 3201–3217 and, in the
    /// `turbo131` profile, 4014 faults of the model, all of them in [`crate::About::faults`]; 7201, 7301, 7303; 7418 the
    /// draft is not proved, with what was found in [`crate::About::faults`].
    pub async fn deploy_flow(&self, param: DeployFlowParam) -> Result<DeployFlowResult, EngineError> {
        let answered = |error: EngineError| error.answered_as(self.profile(), CodeContext::Other);
        let mut param = param;
        if param.require_proof {
            let id = FlowModuleId::new(&param.flow_module_id);
            self.require_proof(&id, &mut param.options).await.map_err(answered)?;
        }
        let (id, meta) = self.deploy_command(param).map_err(answered)?;
        let done = self
            .run_module(&id, ModuleCommand::DeployFlow, meta, ResultCode::DefinitionInsertFailed)
            .await?;
        let deployed = match &done.effect {
            Effect::Recorded(record) => record.events.iter().find_map(|event| match event {
                ModuleEvent::FlowDeployed {
                    flow_deploy_id,
                    warnings,
                } => Some((flow_deploy_id, warnings)),
                _ => None,
            }),
            Effect::Unchanged(_) => None,
        };
        let (flow_deploy_id, warnings) = deployed.ok_or_else(|| {
            answered(EngineError::new(
                ResultCode::SystemError,
                "the record of the deployment names no deployment",
            ))
        })?;
        Ok(DeployFlowResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            flow_module_id: id,
            flow_deploy_id: flow_deploy_id.clone(),
            warnings: warnings.clone(),
            version: done.state.commands.len() as u64,
            receipt: done.enclosed.receipt,
            receipt_error: done.enclosed.error,
        })
    }

    fn deploy_command(&self, param: DeployFlowParam) -> Result<(FlowModuleId, Meta), EngineError> {
        let DeployFlowParam {
            tenant,
            caller,
            operator,
            flow_module_id,
            require_proof: _,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        let actor = check.owner(&tenant, &caller, operator)?;
        check.required("flowModuleId", &flow_module_id, Most::Id)?;
        let meta = check.options(CommandOptions {
            actor: Some(actor),
            ..options
        })?;
        Ok((FlowModuleId::new(&flow_module_id), meta))
    }
}
