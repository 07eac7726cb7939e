//! What a parallel or inclusive gateway is for: it forks, or it joins what a fork opened. Knows no running instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::element::Element;
use crate::model::flow_model::FlowModel;
use crate::result_code::ResultCode;
use crate::value::Value;

/// What a parallel or inclusive gateway is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayRole {
    /// It opens branches.
    Fork,
    /// It joins the branches that a fork opened.
    Join(JoinRule),
}

/// How a join goes about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRule {
    /// Key of the fork whose branches it joins.
    pub fork: Arc<str>,
    /// When it fires.
    pub branch_merge: BranchMerge,
    /// What becomes of the branches' data.
    pub data_merge: DataMerge,
    /// Who wins where branches changed a variable to different values.
    pub data_conflict: DataConflictRule,
    /// The host's strategy that `Custom` means; `None` where the model names none.
    pub strategy: Option<Arc<str>>,
}

/// When a join fires: its `branchMerge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BranchMerge {
    /// When no branch is open any more.
    #[default]
    JoinAll,
    /// With the first arrival; whatever is still open is closed.
    AnyOne,
    /// When the host's strategy says so.
    Custom,
}

/// What becomes of the branches' data at a join: its `dataMerge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataMerge {
    /// What the branches changed is laid over the fork's data.
    #[default]
    All,
    /// The fork's data stays.
    None,
    /// What the host's strategy answers is laid over the fork's data.
    Custom,
}

/// Who wins where branches changed a variable to different values: the join's `dataConflict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataConflictRule {
    /// The branch that arrived last.
    #[default]
    Last,
    /// The branch that comes last in the fork's outgoing order.
    BranchOrder,
    /// Nobody: the command that brings the conflict is refused.
    Fail,
}

/// Why the role of a gateway cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFault {
    /// 6004 to 6007, or 3217 for a `dataConflict` or `mergeStrategy` that is not understood.
    pub code: ResultCode,
    /// What is wrong, and what to do.
    pub message: String,
}

/// The roles of all parallel and inclusive gateways of a model, by key.
pub fn roles(model: &FlowModel) -> BTreeMap<Arc<str>, Result<GatewayRole, RoleFault>> {
    model
        .elements()
        .iter()
        .filter(|element| element.element_type.is_fork_or_join())
        .map(|element| (element.key.clone(), stated(model, element)))
        .collect()
}

/// The role that the element itself states.
fn stated(model: &FlowModel, element: &Element) -> Result<GatewayRole, RoleFault> {
    let fault = |code, message: &str| RoleFault {
        code,
        message: message.to_owned(),
    };
    let text;
    let pair = match element.property("forkJoinMatch") {
        Some(Value::Map(pair)) => pair,
        Some(Value::Text(json)) => {
            text = Value::from_json(json).ok();
            match &text {
                Some(Value::Map(pair)) => pair,
                _ => return Err(fault(ResultCode::GatewayAttributes, "forkJoinMatch is not an object")),
            }
        }
        _ => return Err(fault(ResultCode::GatewayAttributes, "forkJoinMatch is missing")),
    };
    let end = |name: &str| match pair.get(name) {
        Some(Value::Text(key)) => model.element(key).map(|end| end.key.clone()).ok_or(()),
        _ => Err(()),
    };
    if end("fork").is_ok_and(|fork| fork == element.key) {
        return Ok(GatewayRole::Fork);
    }
    let (Ok(fork), Ok(join)) = (end("fork"), end("join")) else {
        return Err(fault(
            ResultCode::GatewayAttributes,
            "forkJoinMatch names no fork and join",
        ));
    };
    if join != element.key {
        return Err(fault(
            ResultCode::ForkJoinMismatch,
            "forkJoinMatch names other elements",
        ));
    }
    let choice = |name: &str| element.text_property(name);
    Ok(GatewayRole::Join(JoinRule {
        fork,
        branch_merge: match choice("branchMerge") {
            None | Some("JoinAll") => BranchMerge::JoinAll,
            Some("AnyOne") => BranchMerge::AnyOne,
            Some("Custom") => BranchMerge::Custom,
            Some(_) => return Err(fault(ResultCode::BranchMergeUnsupported, "branchMerge is not known")),
        },
        data_merge: match choice("dataMerge") {
            None | Some("All") => DataMerge::All,
            Some("None") => DataMerge::None,
            Some("Custom") => DataMerge::Custom,
            Some(_) => return Err(fault(ResultCode::DataMergeUnsupported, "dataMerge is not known")),
        },
        data_conflict: match choice("dataConflict") {
            None | Some("last") => DataConflictRule::Last,
            Some("branchOrder") => DataConflictRule::BranchOrder,
            Some("fail") => DataConflictRule::Fail,
            Some(_) => return Err(fault(ResultCode::ModelAttributeUnknown, "dataConflict is not known")),
        },
        strategy: choice("mergeStrategy").map(Into::into),
    }))
}
