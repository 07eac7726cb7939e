//! What Flowledger answers to queries: pure folds of one stream, and the catalogue across all streams.
//!
//! Every view is a function of the folded instance and its deployment, so the same view of the past is the same
//! function of fewer records. Nothing here appends, and no command is decided by a view.

pub mod authors;
pub mod catalogue;
pub mod date;
pub mod diff;
pub mod drawing;
pub mod elements;
pub mod event_log;
pub mod flow_instance;
pub mod instance_data;
pub mod node_instance;
mod nodes;
pub mod outline;
pub mod receipt;
pub mod rollback_target;
pub mod runtime;
pub mod user_tasks;
pub mod why;
pub mod why_not;

pub use authors::{Authors, Written};
pub use catalogue::{
    Catalogue, CatalogueError, DeploymentEntry, Due, InstanceEntry, InstanceFilter, ModuleEntry, Page, StatusInterval,
};
pub use date::Date;
pub use diff::{DiffSide, InstanceDiff, NodeDifference, NodePlace, NodeSeen, VariableDifference};
pub use elements::{ElementInstance, UnknownSequenceFlow};
pub use flow_instance::{FlowInstanceBo, Held};
pub use node_instance::NodeInstance;
pub use outline::OutlineElement;
pub use receipt::Receipt;
pub use rollback_target::{DataChange, RollbackTarget, TargetTask};
pub use runtime::{Compensation, DataConflict, NodeExecuteResult, RuntimeResult};
pub use why::{
    Cause, CauseNode, ConditionSeen, DecisionSeen, NodeRef, RecordRef, ValueAuthor, ValueAuthorKind, ValueSeen, Why,
};
pub use why_not::{ChangedCommand, ChangedVariable, ChangedWay, TurnedAway, WhyNot};

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::id::FlowDeployId;
use flowledger_engine_core::instance::{FlowIndex, FlowInstance};
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::profile::Profile;

/// The deployments that the flows of an instance run, by id.
pub type Deployments = BTreeMap<FlowDeployId, Arc<Deployment>>;

/// What a view needs besides the folded instance.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Names and properties come from the models that the flows run.
    pub deployments: &'a Deployments,
    /// How dates are written.
    pub profile: Profile,
}

impl<'a> View<'a> {
    /// The model that a flow runs.
    pub fn model(&self, instance: &FlowInstance, flow: FlowIndex) -> Option<&'a FlowModel> {
        let id = &instance.flow(flow)?.flow_deploy_id;
        self.deployments.get(id).map(|deployment| &deployment.model)
    }
}
