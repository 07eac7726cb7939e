//! getFlowModule: a module's draft, or one of its deployments.

use std::sync::Arc;

use flowledger_engine_core::id::{FlowDeployId, FlowModuleId};
use flowledger_engine_core::module::{Definition, FlowModule};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::Date;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::request::{Check, Most, invalid, present};

/// Module status: a draft.
const EDITING: i32 = 1;
/// Module status: a deployment.
const DEPLOYED: i32 = 2;
/// Module status: offline.
const DISABLED: i32 = 3;

/// The request of getFlowModule; one of the two is required, the deployment goes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GetFlowModuleParam {
    /// The deployment.
    pub flow_deploy_id: Option<String>,
    /// The module.
    pub flow_module_id: Option<String>,
}

impl GetFlowModuleParam {
    /// Asks for a module's draft.
    pub fn of_module(id: &FlowModuleId) -> Self {
        Self {
            flow_deploy_id: None,
            flow_module_id: Some(id.to_string()),
        }
    }

    /// Asks for a deployment.
    pub fn of_deployment(id: &FlowDeployId) -> Self {
        Self {
            flow_deploy_id: Some(id.to_string()),
            flow_module_id: None,
        }
    }
}

/// The answer of getFlowModule.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowModuleResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The owner's tenant.
    pub tenant: Option<Arc<str>>,
    /// The owner's system.
    pub caller: Option<Arc<str>>,
    /// Who changed it last.
    pub operator: Option<Arc<str>>,
    /// The module.
    pub flow_module_id: FlowModuleId,
    /// The deployment; absent for a draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_deploy_id: Option<FlowDeployId>,
    /// The caller's own key.
    pub flow_key: Option<Arc<str>>,
    /// The name shown to people.
    pub flow_name: Option<Arc<str>>,
    /// The model's text as it was sent; null before the first update.
    pub flow_model: Option<Arc<str>>,
    /// 1 a draft, 2 a deployment, 3 the module is offline (T-10).
    pub status: i32,
    /// Anything else.
    pub remark: Option<Arc<str>>,
    /// When the definition was changed last.
    pub modify_time: Date,
    /// The version of the module.
    pub version: u64,
}

impl Engine {
    /// Reads a module's draft, or one of its deployments.
    ///
    /// # Errors
    /// 2001 both ids blank; 3101 nothing found (`turbo131`: 2001).
    pub async fn get_flow_module(&self, param: GetFlowModuleParam) -> Result<FlowModuleResult, EngineError> {
        self.read_flow_module(param)
            .await
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))
    }

    async fn read_flow_module(&self, param: GetFlowModuleParam) -> Result<FlowModuleResult, EngineError> {
        let check = Check::new(&self.executor().limits);
        let (deploy_id, module_id) = (present(param.flow_deploy_id), present(param.flow_module_id));
        check.optional("flowDeployId", deploy_id.as_deref(), Most::Id)?;
        check.optional("flowModuleId", module_id.as_deref(), Most::Id)?;
        let not_found = |what: &str| {
            let code = match self.profile() {
                Profile::Documented => ResultCode::FlowNotFound,
                Profile::Turbo131 => ResultCode::InvalidParam,
            };
            EngineError::new(code, format!("no {what}"))
        };
        match (deploy_id, module_id) {
            (Some(id), _) => {
                let deploy_id = FlowDeployId::new(&id);
                let catalogue = &self.executor().catalogue;
                let mut entry = catalogue.deployment(&deploy_id)?;
                if entry.is_none() {
                    catalogue.catch_up(self.log()).await?;
                    entry = catalogue.deployment(&deploy_id)?;
                }
                let entry = entry.ok_or_else(|| not_found(&format!("deployment has the id {id}")))?;
                let module = self
                    .executor()
                    .load::<FlowModule>(entry.flow_module_id.id().to_bytes())
                    .await?;
                let deployed = module
                    .deployment(&deploy_id)
                    .ok_or_else(|| not_found(&format!("deployment has the id {id}")))?;
                let mut result = self.shown(&module, &entry.flow_module_id, &deployed.definition, DEPLOYED);
                result.flow_deploy_id = Some(deploy_id);
                Ok(result)
            }
            (None, Some(id)) => {
                let module_id = FlowModuleId::new(&id);
                let module = self.executor().load::<FlowModule>(module_id.id().to_bytes()).await?;
                if module.flow_module_id.is_none() {
                    return Err(not_found(&format!("flow module has the id {id}")));
                }
                Ok(self.shown(&module, &module_id, &module.definition, EDITING))
            }
            (None, None) => Err(invalid("flowDeployId and flowModuleId are both blank; one is required")),
        }
    }

    fn shown(&self, module: &FlowModule, id: &FlowModuleId, definition: &Definition, status: i32) -> FlowModuleResult {
        let definition = definition.clone();
        FlowModuleResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            tenant: definition.tenant,
            caller: definition.caller,
            operator: definition.operator,
            flow_module_id: id.clone(),
            flow_deploy_id: None,
            flow_key: definition.flow.flow_key,
            flow_name: definition.flow.flow_name,
            flow_model: definition.flow_model,
            status: if module.is_disabled { DISABLED } else { status },
            remark: definition.flow.remark,
            modify_time: Date::new(definition.modified_at, self.profile()),
            version: module.commands.len() as u64,
        }
    }
}
