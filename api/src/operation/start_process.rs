//! startProcess: a new instance, run to its first task or its end.

use flowledger_engine_core::event::InstanceCommand;
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId, IdKind};
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::Meta;
use crate::operation::request::{Check, CommandOptions, Most, invalid, present, settled};
use crate::operation::runtime::StartProcessResult;

/// The request of startProcess; one of the two ids is required, the deployment goes first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartProcessParam {
    /// The deployment.
    pub flow_deploy_id: Option<String>,
    /// The module, of which the latest deployment is meant.
    pub flow_module_id: Option<String>,
    /// The first variables.
    pub variables: Vec<InstanceData>,
    /// Actor, reason and command id.
    #[serde(flatten)]
    pub options: CommandOptions,
}

impl StartProcessParam {
    /// Starts the latest deployment of a module.
    pub fn of_module(id: impl Into<FlowModuleId>) -> Self {
        Self {
            flow_module_id: Some(id.into().to_string()),
            ..Self::default()
        }
    }

    /// Starts a deployment.
    pub fn of_deployment(id: impl Into<FlowDeployId>) -> Self {
        Self {
            flow_deploy_id: Some(id.into().to_string()),
            ..Self::default()
        }
    }

    /// Adds a variable.
    pub fn variable(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.variables.push(InstanceData::new(key, value));
        self
    }

    /// Names the command.
    pub fn command_id(mut self, id: &str) -> Self {
        self.options.command_id = Some(id.into());
        self
    }
}

impl Engine {
    /// Creates an instance and runs it until a task waits (1002) or it ends (1000). A start that fails leaves nothing.
    ///
    /// # Errors
    /// 2001; 4007 no deployment, or the module is offline (7206 beside it); 4009, 4012, 4013, 4014, 4015, 4018, 6004 to
    /// 6008 on the way; 4016 the store did not take it; 5000 of a plug-in; 7009 too many steps; 7301; 7414 it breaks an
    /// invariant, in an engine that enforces them.
    pub async fn start_process(&self, mut param: StartProcessParam) -> Result<StartProcessResult, EngineError> {
        let extend_properties = param.options.extend_properties.take();
        let (command, meta) = self
            .start_command(param)
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?;
        let id: FlowInstanceId = self
            .executor()
            .founding_id(&meta.command_id, IdKind::FlowInstance)
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?
            .into();
        let done = self.run(&id, command, meta).await.map_err(|error| match error.code() {
            ResultCode::StoreUnavailable => error.under(ResultCode::SaveInstanceFailed),
            _ => error,
        })?;
        let mut result = self.runtime_result(&done, extend_properties).await?;
        if let Some(root) = done.state.root() {
            result.flow_deploy_id = Some(root.flow_deploy_id.clone());
            result.flow_module_id = Some(root.flow_module_id.clone());
        }
        Ok(result)
    }

    fn start_command(&self, param: StartProcessParam) -> Result<(InstanceCommand, Meta), EngineError> {
        let StartProcessParam {
            flow_deploy_id,
            flow_module_id,
            variables,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        let (flow_deploy_id, flow_module_id) = (present(flow_deploy_id), present(flow_module_id));
        if flow_deploy_id.is_none() && flow_module_id.is_none() {
            return Err(invalid("flowDeployId and flowModuleId are both blank; one is required"));
        }
        check.optional("flowDeployId", flow_deploy_id.as_deref(), Most::Id)?;
        check.optional("flowModuleId", flow_module_id.as_deref(), Most::Id)?;
        check.variables(&variables)?;
        let meta = check.options(options)?;
        let command = InstanceCommand::StartProcess {
            flow_deploy_id: flow_deploy_id.map(FlowDeployId::from),
            flow_module_id: flow_module_id.map(FlowModuleId::from),
            variables: settled(variables),
        };
        Ok((command, meta))
    }
}
