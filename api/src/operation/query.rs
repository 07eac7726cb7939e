//! What the queries of one instance have in common.

use std::sync::Arc;

use flowledger_engine_core::codec;
use flowledger_engine_core::event::{AnyRecord, InstanceRecord};
use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeInstance};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::{Revision, StreamId};
use flowledger_projections::{Deployments, View};
use serde::{Deserialize, Serialize};

use crate::as_of::AsOf;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::request::{Check, Most};

/// Records read at a time.
const READ_BATCH: usize = 1_000;

/// Which instance a query is about, and whether sub flow instances count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceQuery {
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// Whether what call activities ran is looked into; true unless said otherwise.
    #[serde(default = "yes")]
    pub effective_for_sub_flow_instance: bool,
    /// The moment asked about: the answer is the one of an engine that has only the records up to there. Now when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<AsOf>,
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
            as_of: None,
        }
    }

    /// The same query about another moment: a version, or a time.
    pub fn as_of(mut self, as_of: impl Into<AsOf>) -> Self {
        self.as_of = Some(as_of.into());
        self
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

impl From<String> for InstanceQuery {
    fn from(id: String) -> Self {
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

/// A flow of an instance, with the deployments that the instance runs.
pub(crate) struct Found {
    pub(crate) state: Arc<FlowInstance>,
    /// The flow asked for: the root, or a sub flow.
    pub(super) flow: FlowIndex,
    pub(crate) deployments: Deployments,
}

impl Found {
    /// The version of the instance.
    pub(crate) fn version(&self) -> u64 {
        self.state.commands.len() as u64
    }

    /// A node instance of the flow or of one below it (T-05).
    pub(super) fn node(&self, id: &NodeInstanceId) -> Option<&NodeInstance> {
        let node = self.state.node(id)?;
        let mut flow = node.flow;
        while flow != self.flow {
            flow = self.state.calling_node(flow)?.flow;
        }
        Some(node)
    }

    /// What views need.
    pub(super) fn view(&self, profile: Profile) -> View<'_> {
        View {
            deployments: &self.deployments,
            profile,
        }
    }
}

impl Engine {
    /// The flow of a query, as of its moment: 2001 when the id is blank, 4008 when there is none, 7417 when the version lies
    /// ahead.
    pub(crate) async fn find(&self, query: &InstanceQuery) -> Result<Found, EngineError> {
        self.look_up(query)
            .await
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))
    }

    /// Shows the records of an instance up to a version, oldest first.
    pub(super) async fn each_record(
        &self,
        stream: &StreamId,
        version: u64,
        mut see: impl FnMut(&InstanceRecord) + Send,
    ) -> Result<(), EngineError> {
        let mut after = Revision::NONE;
        while after.get() < version {
            let batch = self.log().read_stream(stream, after, READ_BATCH).await?;
            if batch.is_empty() {
                break;
            }
            for stored in batch.into_iter().take_while(|stored| stored.revision.get() <= version) {
                after = stored.revision;
                let record = codec::decode(&stored.record).map_err(|e| EngineError::unreadable(e, stored.offset))?;
                if let AnyRecord::Instance(record) = record {
                    see(&record);
                }
            }
        }
        Ok(())
    }

    async fn look_up(&self, query: &InstanceQuery) -> Result<Found, EngineError> {
        let id = &query.flow_instance_id;
        Check::new(&self.executor().limits).required("flowInstanceId", &id.to_string(), Most::Id)?;
        let mut stream = id.id().to_bytes();
        let mut state = self.executor().load::<FlowInstance>(stream).await?;
        if state.root().is_none()
            && let Some(root) = self.root_of(id).await?
        {
            stream = root;
            state = self.executor().load::<FlowInstance>(stream).await?;
        }
        if let Some(as_of) = query.as_of.filter(|_| state.root().is_some()) {
            state = self.executor().past(stream, state, as_of).await?;
        }
        let Some(flow) = state.find_flow(id) else {
            return Err(EngineError::new(
                ResultCode::InstanceNotFound,
                format!("no flow instance has the id {id}"),
            ));
        };
        let deployments = self.deployments_of(&state).await?;
        Ok(Found {
            state,
            flow,
            deployments,
        })
    }
}
