//! rollbackTo and redoRollback: back to any earlier user task, and back again.

use std::sync::Arc;

use flowledger_engine_core::event::{InstanceCommand, RollbackTarget};
use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::result_code::CodeContext;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::Meta;
use crate::operation::request::{Check, CommandOptions, Most, invalid, present};
use crate::operation::runtime::RollbackTaskResult;

/// The request of rollbackTo: the task by its id or by its element's key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackToParam {
    /// Required: the instance.
    pub flow_instance_id: String,
    /// A completed user task of the instance or of a sub flow instance.
    pub node_instance_id: Option<String>,
    /// The key of a user task, of which the newest completed visit is meant.
    pub model_key: Option<String>,
    /// Actor, reason, command id and expected version.
    #[serde(flatten)]
    pub options: CommandOptions,
}

impl RollbackToParam {
    /// Back to a visit of a task.
    pub fn node(flow_instance_id: &FlowInstanceId, node_instance_id: &NodeInstanceId) -> Self {
        Self {
            flow_instance_id: flow_instance_id.to_string(),
            node_instance_id: Some(node_instance_id.to_string()),
            ..Self::default()
        }
    }

    /// Back to the newest completed visit of an element.
    pub fn element(flow_instance_id: &FlowInstanceId, model_key: &str) -> Self {
        Self {
            flow_instance_id: flow_instance_id.to_string(),
            model_key: Some(model_key.to_owned()),
            ..Self::default()
        }
    }

    /// Names the command.
    pub fn command_id(mut self, id: &str) -> Self {
        self.options.command_id = Some(id.into());
        self
    }
}

/// The request of redoRollback.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RedoRollbackParam {
    /// Required: the instance.
    pub flow_instance_id: String,
    /// Actor, reason, command id and expected version.
    #[serde(flatten)]
    pub options: CommandOptions,
}

impl RedoRollbackParam {
    /// Takes the last rollback of an instance back.
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

impl Engine {
    /// Opens an earlier user task again (1003), with the data of the first time; what depends on its commit no longer
    /// counts. Works across every gateway and into and out of call activities.
    ///
    /// # Errors
    /// 2001; 4004 the instance does not run; 4008 unknown instance; 4010 unknown node instance; 7400 aborted; 7406
    /// suspended; 7407 the flow never came to the element; 7409 the task is not completed; 7410 no such element; 7413
    /// the task's branch was closed by its join; 7415 an element forbids it; 7008, 7301, 7303.
    pub async fn rollback_to(&self, mut param: RollbackToParam) -> Result<RollbackTaskResult, EngineError> {
        let extend_properties = param.options.extend_properties.take();
        let (id, command, meta) = self
            .rollback_to_command(param)
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Rollback))?;
        let done = self.run(&id, command, meta).await?;
        self.runtime_result(&done, extend_properties).await
    }

    /// Takes the last rollback back (1002): everything counts again as it did before. Several rollbacks are taken back
    /// one after the other, the latest first.
    ///
    /// # Errors
    /// 2001; 4004 the instance does not run; 4008 unknown instance; 7400 aborted; 7406 suspended; 7416 there was no
    /// rollback since the last commit; 7008, 7301, 7303.
    pub async fn redo_rollback(&self, mut param: RedoRollbackParam) -> Result<RollbackTaskResult, EngineError> {
        let extend_properties = param.options.extend_properties.take();
        let check = Check::new(&self.executor().limits);
        let meta = check
            .required("flowInstanceId", &param.flow_instance_id, Most::Id)
            .and_then(|()| check.options(param.options))
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Rollback))?;
        let id = FlowInstanceId::new(&param.flow_instance_id);
        let done = self.run(&id, InstanceCommand::RedoRollback, meta).await?;
        self.runtime_result(&done, extend_properties).await
    }

    fn rollback_to_command(
        &self,
        param: RollbackToParam,
    ) -> Result<(FlowInstanceId, InstanceCommand, Meta), EngineError> {
        let RollbackToParam {
            flow_instance_id,
            node_instance_id,
            model_key,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        check.required("flowInstanceId", &flow_instance_id, Most::Id)?;
        let (node, key) = (present(node_instance_id), present(model_key));
        check.optional("nodeInstanceId", node.as_deref(), Most::Id)?;
        check.optional("modelKey", key.as_deref(), Most::Name)?;
        let target = match (node, key) {
            (Some(node), None) => RollbackTarget::Node(NodeInstanceId::new(&node)),
            (None, Some(key)) => RollbackTarget::Element(Arc::from(key)),
            (None, None) => {
                return Err(invalid("nodeInstanceId and modelKey are both blank; one is required"));
            }
            (Some(_), Some(_)) => {
                return Err(invalid("nodeInstanceId and modelKey are both given; send one of them"));
            }
        };
        let meta = check.options(options)?;
        let command = InstanceCommand::RollbackTo { target };
        Ok((FlowInstanceId::new(&flow_instance_id), command, meta))
    }
}
