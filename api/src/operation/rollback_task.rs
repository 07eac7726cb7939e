//! rollbackTask: back to the user task before this one.

use flowledger_engine_core::event::InstanceCommand;
use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::result_code::CodeContext;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::Meta;
use crate::operation::request::{Check, CommandOptions, Most};
use crate::operation::runtime::RollbackTaskResult;

/// The request of rollbackTask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackTaskParam {
    /// Required: the instance.
    pub flow_instance_id: String,
    /// Required: an active task, or the one completed last.
    pub task_instance_id: String,
    /// Actor, reason, command id and expected version.
    #[serde(flatten)]
    pub options: CommandOptions,
}

impl RollbackTaskParam {
    /// Rolls a task back.
    pub fn new(flow_instance_id: &FlowInstanceId, task_instance_id: &NodeInstanceId) -> Self {
        Self {
            flow_instance_id: flow_instance_id.to_string(),
            task_instance_id: task_instance_id.to_string(),
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
    /// Goes back to the user task before this one and opens it again (1003), with the data of the first time.
    ///
    /// The earlier records stay; the node instances in between no longer count (status 4).
    ///
    /// # Errors
    /// 2001; 4002 the task is neither active nor the one completed last; 4004 the instance does not run; 4006 there is
    /// no user task before it; 4008 unknown instance; 4010 unknown task; 7008, 7301, 7303.
    pub async fn rollback_task(&self, mut param: RollbackTaskParam) -> Result<RollbackTaskResult, EngineError> {
        let extend_properties = param.options.extend_properties.take();
        let (id, command, meta) = self
            .rollback_command(param)
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Rollback))?;
        let done = self.run(&id, command, meta).await?;
        self.runtime_result(&done, extend_properties).await
    }

    fn rollback_command(
        &self,
        param: RollbackTaskParam,
    ) -> Result<(FlowInstanceId, InstanceCommand, Meta), EngineError> {
        let RollbackTaskParam {
            flow_instance_id,
            task_instance_id,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        check.required("flowInstanceId", &flow_instance_id, Most::Id)?;
        check.required("taskInstanceId", &task_instance_id, Most::Id)?;
        let meta = check.options(options)?;
        let command = InstanceCommand::RollbackTask {
            task_instance_id: NodeInstanceId::new(&task_instance_id),
        };
        Ok((FlowInstanceId::new(&flow_instance_id), command, meta))
    }
}
