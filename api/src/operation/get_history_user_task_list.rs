//! getHistoryUserTaskList: the user tasks that are done or waiting, newest first.

use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_projections::NodeInstance;
use flowledger_projections::user_tasks::user_tasks;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;

/// The answer of getHistoryUserTaskList.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInstanceListResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// Completed and active user tasks, and elements at which a plug-in waits or waited, newest first.
    pub node_instance_list: Vec<NodeInstance>,
    /// The version of the instance.
    pub version: u64,
}

impl Engine {
    /// The user tasks of an instance that are done or waiting, newest first. Rolled back ones are left out. An element at
    /// which a plug-in waits or waited counts as a user task.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance (`turbo131`: an empty list, T-55); 7417.
    pub async fn get_history_user_task_list(
        &self,
        query: impl Into<InstanceQuery>,
    ) -> Result<NodeInstanceListResult, EngineError> {
        let query = query.into();
        let mut result = NodeInstanceListResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            node_instance_list: Vec::new(),
            version: 0,
        };
        match self.find(&query).await {
            Ok(found) => {
                let effective = query.effective_for_sub_flow_instance;
                let view = found.view(self.profile());
                result.node_instance_list = user_tasks(&found.state, found.flow, effective, view);
                result.version = found.version();
                Ok(result)
            }
            Err(error) if error.code() == ResultCode::InstanceNotFound && self.profile() == Profile::Turbo131 => {
                Ok(result)
            }
            Err(error) => Err(error),
        }
    }
}
