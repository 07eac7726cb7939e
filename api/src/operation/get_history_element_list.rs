//! getHistoryElementList: everything the flow went through, oldest first, sequence flows included.

use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_projections::ElementInstance;
use flowledger_projections::elements::elements;
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::query::InstanceQuery;

/// The answer of getHistoryElementList.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ElementInstanceListResult {
    /// 1000.
    pub err_code: i32,
    /// The code's text.
    pub err_msg: String,
    /// Node instances in the order in which they came into being, each behind the sequence flow that led to it.
    pub element_instance_list: Vec<ElementInstance>,
    /// The version of the instance.
    pub version: u64,
}

impl Engine {
    /// Everything the flow went through, oldest first, whatever became of it.
    ///
    /// # Errors
    /// 2001; 3211 two nodes follow each other, but the model no longer connects them; 4008 unknown instance
    /// (`turbo131`: an empty list, T-55); 7417.
    pub async fn get_history_element_list(
        &self,
        query: impl Into<InstanceQuery>,
    ) -> Result<ElementInstanceListResult, EngineError> {
        let query = query.into();
        let mut result = ElementInstanceListResult {
            err_code: ResultCode::Success.number(),
            err_msg: ResultCode::Success.entry().text.to_owned(),
            element_instance_list: Vec::new(),
            version: 0,
        };
        match self.find(&query).await {
            Ok(found) => {
                let view = found.view(self.profile());
                result.element_instance_list =
                    elements(&found.state, found.flow, query.effective_for_sub_flow_instance, view).map_err(
                        |unknown| {
                            EngineError::new(ResultCode::ModelUnknownElement, unknown.to_string())
                                .answered_as(self.profile(), CodeContext::Other)
                        },
                    )?;
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
