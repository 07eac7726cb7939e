//! getFlowInstance: one instance.

use flowledger_engine_core::id::FlowInstanceId;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::FlowInstanceBo;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;

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
    /// 2001; 4008 unknown instance.
    pub async fn get_flow_instance(
        &self,
        flow_instance_id: impl Into<FlowInstanceId>,
    ) -> Result<FlowInstanceResult, EngineError> {
        let id = flow_instance_id.into();
        let found = self.find(&id).await?;
        let flow_instance_bo = FlowInstanceBo::of(&found.state, found.flow, self.profile()).ok_or_else(|| {
            EngineError::new(
                ResultCode::InstanceNotFound,
                format!("no flow instance has the id {id}"),
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
