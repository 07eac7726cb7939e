//! Why a node instance came to be, and why an instance has not come to an element.

use flowledger_engine_core::id::NodeInstanceId;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::StreamId;
use flowledger_projections::why::Past;
use flowledger_projections::why_not::Ways;
use flowledger_projections::{Why, WhyNot};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::{Found, InstanceQuery};
use crate::operation::request::{Check, Most, invalid};

impl Engine {
    /// Why a node instance came to be: the records that led there, oldest first, with what each decided on the way, the values
    /// its conditions read, and who wrote those.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 4010 the instance has no such node instance; 7417.
    pub async fn why(
        &self,
        query: impl Into<InstanceQuery>,
        node_instance_id: impl Into<NodeInstanceId>,
    ) -> Result<Why, EngineError> {
        let (query, id) = (query.into(), node_instance_id.into());
        let told = async {
            Check::new(&self.executor().limits).required("nodeInstanceId", &id.to_string(), Most::Id)?;
            let (found, past) = self.past_of(&query).await?;
            let why = found
                .node(&id)
                .and_then(|node| Why::of(&past, found.view(self.profile()), &node.id));
            why.ok_or_else(|| {
                let detail = format!("the flow instance has no node instance {id}");
                EngineError::new(ResultCode::NodeInstanceNotFound, detail)
            })
        };
        told.await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }

    /// Why an instance has not come to the element with this key, in its model or in that of a sub flow: the decisions at which
    /// it turned away, and the smallest change of variables with which it would have come there. The change is searched among the
    /// values that the conditions speak of, and checked by a fork: what is answered has led to the element there.
    ///
    /// # Errors
    /// 2001, also for a key that no model of the instance has; 4008 unknown instance; 7417.
    pub async fn why_not(
        &self,
        query: impl Into<InstanceQuery>,
        model_key: impl AsRef<str>,
    ) -> Result<WhyNot, EngineError> {
        let (query, key) = (query.into(), model_key.as_ref());
        let told = async {
            Check::new(&self.executor().limits).required("modelKey", key, Most::Id)?;
            let (found, past) = self.past_of(&query).await?;
            let unknown = || {
                invalid(format!(
                    "modelKey: no model that the instance runs has an element {key}"
                ))
            };
            let mut ways = Ways::to(key, past.state(), &found.deployments).ok_or_else(unknown)?;
            let mut answer = WhyNot::of(&past, found.view(self.profile()), &ways).ok_or_else(unknown)?;
            if answer.is_reached() {
                answer.exhausted = true;
            } else {
                crate::why_not::search(self, &past, &mut ways, &mut answer).await?;
            }
            Ok(answer)
        };
        told.await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }

    /// An instance at a moment, and what its records did.
    pub(crate) async fn past_of(&self, query: &InstanceQuery) -> Result<(Found, Past), EngineError> {
        let found = self.find(query).await?;
        let mut past = Past::default();
        let Some(root) = found.state.root() else {
            return Ok((found, past));
        };
        let stream = StreamId::from_bytes(root.flow_instance_id.id().to_bytes());
        self.each_record(&stream, found.version(), |record| past.apply(record))
            .await?;
        Ok((found, past))
    }
}
