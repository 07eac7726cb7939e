//! What the queries of one instance have in common.

use std::sync::Arc;

use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::id::FlowInstanceId;
use flowledger_engine_core::instance::FlowInstance;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::request::{Check, Most};

/// Which instance a query is about, and whether sub flow instances count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceQuery {
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// Whether what call activities ran is looked into; true unless said otherwise.
    #[serde(default = "yes")]
    pub effective_for_sub_flow_instance: bool,
}

fn yes() -> bool {
    true
}

impl InstanceQuery {
    /// A query of one instance, sub flow instances included.
    pub fn new(flow_instance_id: impl Into<FlowInstanceId>) -> Self {
        Self {
            flow_instance_id: flow_instance_id.into(),
            effective_for_sub_flow_instance: true,
        }
    }

    /// The same query, with or without sub flow instances.
    pub fn effective_for_sub_flow_instance(mut self, effective: bool) -> Self {
        self.effective_for_sub_flow_instance = effective;
        self
    }
}

impl From<&str> for InstanceQuery {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<&FlowInstanceId> for InstanceQuery {
    fn from(id: &FlowInstanceId) -> Self {
        Self::new(id.clone())
    }
}

impl From<FlowInstanceId> for InstanceQuery {
    fn from(id: FlowInstanceId) -> Self {
        Self::new(id)
    }
}

/// An instance with the deployment it runs.
pub(super) struct Found {
    pub(super) state: Arc<FlowInstance>,
    pub(super) deployment: Arc<Deployment>,
}

impl Found {
    /// The version of the instance.
    pub(super) fn version(&self) -> u64 {
        self.state.commands.len() as u64
    }
}

impl Engine {
    /// The instance of a query: 2001 when the id is blank, 4008 when there is none.
    pub(super) async fn find(&self, id: &FlowInstanceId) -> Result<Found, EngineError> {
        self.look_up(id)
            .await
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))
    }

    async fn look_up(&self, id: &FlowInstanceId) -> Result<Found, EngineError> {
        Check::new(&self.executor().limits).required("flowInstanceId", &id.to_string(), Most::Id)?;
        let state = self.executor().load::<FlowInstance>(id.id().to_bytes()).await?;
        if state.flow_instance_id.is_none() {
            return Err(EngineError::new(
                ResultCode::InstanceNotFound,
                format!("no flow instance has the id {id}"),
            ));
        }
        let deployment = self.deployment_of(&state).await?;
        Ok(Found { state, deployment })
    }
}
