//! getFlowInstance: one instance.

use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::FlowInstanceBo;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;

/// The answer of getFlowInstance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowInstanceResult {
    /// 1000 (T-19).
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The instance.
    #[serde(rename = "flowInstanceBO")]
    pub flow_instance_bo: FlowInstanceBo,
    /// The version of the instance.
    pub version: u64,
}

impl Engine {
    /// One instance: what it runs and where it stands.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7417.
    pub async fn get_flow_instance(&self, query: impl Into<InstanceQuery>) -> Result<FlowInstanceResult, EngineError> {
        let query = query.into();
        let found = self.find(&query).await?;
        let flow_instance_bo = FlowInstanceBo::of(&found.state, found.flow, self.profile()).ok_or_else(|| {
            EngineError::new(
                ResultCode::InstanceNotFound,
                format!("no flow instance has the id {}", query.flow_instance_id),
            )
            .answered_as(self.profile(), CodeContext::Other)
        })?;
        Ok(FlowInstanceResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            flow_instance_bo,
            version: found.version(),
        })
    }
}
