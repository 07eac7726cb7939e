//! getInstanceData: the variables at the instance's present position.

use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::variables::Variables;
use flowledger_projections::instance_data::instance_data;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;

/// The answer of getInstanceData.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceDataListResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The variables, ordered by key.
    pub variables: Variables,
    /// The version of the instance.
    pub version: u64,
}

impl Engine {
    /// The variables at the present position: those of the active task, else those the flow ended with (T-16).
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7417.
    pub async fn get_instance_data(
        &self,
        query: impl Into<InstanceQuery>,
    ) -> Result<InstanceDataListResult, EngineError> {
        let query = query.into();
        let found = self.find(&query).await?;
        Ok(InstanceDataListResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            variables: instance_data(&found.state, found.flow, query.effective_for_sub_flow_instance),
            version: found.version(),
        })
    }
}
