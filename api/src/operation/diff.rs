//! In what two moments differ: of one instance, of two, or of an instance and its fork.

use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::StreamId;
use flowledger_projections::{Authors, InstanceDiff};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;

impl Engine {
    /// Compares the instance of one query with that of another, each at its moment: which node instances differ, where the
    /// active tasks stand, and which variables differ, with who wrote them. The right one is in the `other` engine, which may be
    /// this one or a fork.
    ///
    /// Node instances are matched by where they stand: the element and the how-many-th visit of it. Sub flow instances belong
    /// to their instance.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 4020 the id of a sub flow instance; 7417.
    pub async fn diff(
        &self,
        left: impl Into<InstanceQuery>,
        other: &Engine,
        right: impl Into<InstanceQuery>,
    ) -> Result<InstanceDiff, EngineError> {
        let compared = async {
            let left = self.authors(&left.into()).await?;
            let right = other.authors(&right.into()).await?;
            let missing = || EngineError::new(ResultCode::InstanceNotFound, "one of the instances is not there");
            InstanceDiff::of(&left, &right).ok_or_else(missing)
        };
        compared
            .await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }

    /// An instance at a moment, and who wrote its data.
    async fn authors(&self, query: &InstanceQuery) -> Result<Authors, EngineError> {
        let found = self.find(query).await?;
        let id = &query.flow_instance_id;
        let version = found.state.commands.len() as u64;
        if found.state.root().is_none_or(|root| root.flow_instance_id != *id) {
            let detail = format!("{id} is a sub flow instance; use the flowInstanceId of the root");
            return Err(EngineError::new(ResultCode::SubFlowInstanceNotAccepted, detail));
        }
        let stream = StreamId::from_bytes(id.id().to_bytes());
        let mut authors = Authors::default();
        let profile = self.profile();
        self.each_record(&stream, version, |record| authors.apply(record, profile))
            .await?;
        Ok(authors)
    }
}
