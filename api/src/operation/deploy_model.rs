//! Deploying a model in one call: createFlow, updateFlow, deployFlow.

use std::sync::Arc;

use flowledger_engine_core::id::FlowModuleId;
use flowledger_engine_core::result_code::CodeContext;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::create_flow::CreateFlowParam;
use crate::operation::deploy_flow::{DeployFlowParam, DeployFlowResult};
use crate::operation::request::CommandOptions;
use crate::operation::update_flow::UpdateFlowParam;

/// The tenant and caller of embedded use, where nobody else shares the store.
const EMBEDDED: &str = "default";

/// A model to deploy in one call: three commands, each on the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeployModel {
    /// The name shown to people.
    pub flow_name: String,
    /// The model's text.
    pub flow_model: String,
    /// The module to deploy it to; a new one when absent.
    pub flow_module_id: Option<FlowModuleId>,
    /// The tenant; `default` when absent.
    pub tenant: Option<String>,
    /// The caller; `default` when absent.
    pub caller: Option<String>,
    /// Who deploys it.
    pub operator: Option<String>,
    /// Why; goes into all records.
    pub reason: Option<Arc<str>>,
    /// Deploys it only if it is proved: sound, and everything decided ([`prove_model`](crate::prove_model)).
    pub require_proof: bool,
}

impl DeployModel {
    /// A model for a new module.
    pub fn new(flow_name: &str, flow_model: &str) -> Self {
        Self {
            flow_name: flow_name.to_owned(),
            flow_model: flow_model.to_owned(),
            ..Self::default()
        }
    }

    /// The same model for a module that exists.
    pub fn to_module(mut self, flow_module_id: FlowModuleId) -> Self {
        self.flow_module_id = Some(flow_module_id);
        self
    }

    /// The same model, refused with 7418 unless it is proved; then nothing is left of it.
    pub fn require_proof(mut self) -> Self {
        self.require_proof = true;
        self
    }
}

impl Engine {
    /// Creates the module unless one is named, saves the model and deploys it.
    ///
    /// A model that is refused stays behind as the module's draft; not so one that is refused because it is not proved.
    ///
    /// # Errors
    /// Those of [`Engine::create_flow`], [`Engine::update_flow`] and [`Engine::deploy_flow`].
    pub async fn deploy_model(&self, model: DeployModel) -> Result<DeployFlowResult, EngineError> {
        let DeployModel {
            flow_name,
            flow_model,
            flow_module_id,
            tenant,
            caller,
            operator,
            reason,
            require_proof,
        } = model;
        let options = CommandOptions {
            reason,
            ..CommandOptions::default()
        };
        let tenant = tenant.unwrap_or_else(|| EMBEDDED.to_owned());
        let caller = caller.unwrap_or_else(|| EMBEDDED.to_owned());
        if require_proof {
            let own = flow_module_id.clone().unwrap_or_else(|| FlowModuleId::new(""));
            let proved = self.proved(&own, &flow_model).await;
            proved.map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?;
        }
        let name = (!flow_name.is_empty()).then_some(flow_name);
        let id = if let Some(id) = flow_module_id {
            id
        } else {
            let create = CreateFlowParam {
                tenant: tenant.clone(),
                caller: caller.clone(),
                operator: operator.clone(),
                flow_name: name.clone(),
                ..CreateFlowParam::default()
            };
            self.create_flow(create).await?.flow_module_id
        };
        self.update_flow(UpdateFlowParam {
            tenant: tenant.clone(),
            caller: caller.clone(),
            operator: operator.clone(),
            flow_name: name,
            flow_module_id: id.to_string(),
            flow_model,
            options: options.clone(),
            ..UpdateFlowParam::default()
        })
        .await?;
        self.deploy_flow(DeployFlowParam {
            tenant,
            caller,
            operator,
            flow_module_id: id.to_string(),
            require_proof,
            options,
        })
        .await
    }
}
