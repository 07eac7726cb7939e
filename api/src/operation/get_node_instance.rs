//! getNodeInstance: one visit of a node.

use flowledger_engine_core::id::NodeInstanceId;
use flowledger_engine_core::model::element::ElementType;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::NodeInstance;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;
use crate::operation::request::{Check, Most};

/// The answer of getNodeInstance.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeInstanceResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// The node instance.
    pub node_instance: NodeInstance,
    /// The version of the instance.
    pub version: u64,
}

impl Engine {
    /// One node instance of an instance.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 4010 the instance has no such node instance; 7417.
    pub async fn get_node_instance(
        &self,
        query: impl Into<InstanceQuery>,
        node_instance_id: impl Into<NodeInstanceId>,
    ) -> Result<NodeInstanceResult, EngineError> {
        let answered = |error: EngineError| error.answered_as(self.profile(), CodeContext::Other);
        let id = node_instance_id.into();
        Check::new(&self.executor().limits)
            .required("nodeInstanceId", &id.to_string(), Most::Id)
            .map_err(answered)?;
        let found = self.find(&query.into()).await?;
        let node = found.node(&id).ok_or_else(|| {
            answered(EngineError::new(
                ResultCode::NodeInstanceNotFound,
                format!("the flow instance has no node instance {id}"),
            ))
        })?;
        let mut node_instance = NodeInstance::of(node, &found.state, found.view(self.profile()));
        if node.element_type == ElementType::CallActivity {
            let sub_flow = node.sub_flow.and_then(|flow| found.state.flow(flow));
            let ids = sub_flow.map(|flow| flow.flow_instance_id.clone()).into_iter().collect();
            node_instance.sub_flow_instance_id_list = Some(ids);
        }
        Ok(NodeInstanceResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            node_instance,
            version: found.version(),
        })
    }
}
