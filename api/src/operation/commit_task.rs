//! commitTask: completes a task and runs on to the next task or the end.

use flowledger_engine_core::event::InstanceCommand;
use flowledger_engine_core::id::{FlowInstanceId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::result_code::CodeContext;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::Meta;
use crate::operation::request::{Check, CommandOptions, Most, present, settled};
use crate::operation::runtime::CommitTaskResult;

/// The request of commitTask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CommitTaskParam {
    /// Required: the instance.
    pub flow_instance_id: String,
    /// Required: the task, from `activeTaskInstance.nodeInstanceId`.
    pub task_instance_id: String,
    /// Variables that override, key by key, those the task was entered with.
    pub variables: Vec<InstanceData>,
    /// The module that a call activity runs.
    pub call_activity_flow_module_id: Option<String>,
    /// Actor, reason, command id and expected version.
    #[serde(flatten)]
    pub options: CommandOptions,
}

impl CommitTaskParam {
    /// Commits a task without variables.
    pub fn new(flow_instance_id: &FlowInstanceId, task_instance_id: &NodeInstanceId) -> Self {
        Self {
            flow_instance_id: flow_instance_id.to_string(),
            task_instance_id: task_instance_id.to_string(),
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
    /// Completes a task and runs on until a task waits (1002) or the flow ends (1000).
    ///
    /// An instance that ended before answers 1001; a task that is already completed answers 1002 with the present
    /// position and changes nothing. A commit that fails on its way (4009, 4012, 4013, 4015, 4018, 6004 to 6007, or 4001
    /// where a plug-in refuses) leaves one record and changes neither data nor active tasks; it can be tried again.
    ///
    /// # Errors
    /// 2001; 4001 the task is neither active nor completed, or its plug-in refuses; 4003 terminated; 4008 unknown
    /// instance; 4010 unknown task; 4014 not a task, or an element on the way needs a plug-in that the engine was not
    /// built with; 4019, 4020, 2002, 4007 of a call activity; the codes above; 6008 branches that do not agree; 7008, 7009,
    /// 7301, 7303, 7400 aborted, 7406 suspended; 7414 it breaks an invariant, in an engine that enforces them.
    pub async fn commit_task(&self, mut param: CommitTaskParam) -> Result<CommitTaskResult, EngineError> {
        let extend_properties = param.options.extend_properties.take();
        let (id, command, meta) = self
            .commit_command(param)
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Commit))?;
        let done = self.run(&id, command, meta).await?;
        self.runtime_result(&done, extend_properties).await
    }

    fn commit_command(&self, param: CommitTaskParam) -> Result<(FlowInstanceId, InstanceCommand, Meta), EngineError> {
        let CommitTaskParam {
            flow_instance_id,
            task_instance_id,
            variables,
            call_activity_flow_module_id,
            options,
        } = param;
        let check = Check::new(&self.executor().limits);
        check.required("flowInstanceId", &flow_instance_id, Most::Id)?;
        check.required("taskInstanceId", &task_instance_id, Most::Id)?;
        let call_activity_flow_module_id = present(call_activity_flow_module_id);
        check.optional(
            "callActivityFlowModuleId",
            call_activity_flow_module_id.as_deref(),
            Most::Id,
        )?;
        check.variables(&variables)?;
        let meta = check.options(options)?;
        let command = InstanceCommand::CommitTask {
            task_instance_id: NodeInstanceId::new(&task_instance_id),
            variables: settled(variables),
            call_activity_flow_module_id: call_activity_flow_module_id.map(FlowModuleId::from),
        };
        Ok((FlowInstanceId::new(&flow_instance_id), command, meta))
    }
}
