//! What Flowledger answers to queries: pure folds of one stream, and the catalogue across all streams.
//!
//! Every view is a function of the folded instance and its deployment, so the same view of the past is the same
//! function of fewer records. Nothing here appends, and no command is decided by a view.

pub mod catalogue;
pub mod date;
pub mod elements;
pub mod flow_instance;
pub mod instance_data;
pub mod node_instance;
pub mod user_tasks;

pub use catalogue::{
    Catalogue, CatalogueError, DeploymentEntry, InstanceEntry, InstanceFilter, ModuleEntry, Page, StatusInterval,
};
pub use date::Date;
pub use elements::{ElementInstance, UnknownSequenceFlow};
pub use flow_instance::FlowInstanceBo;
pub use node_instance::NodeInstance;

use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::profile::Profile;

/// What a view needs besides the folded instance.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Names and properties come from the model that the instance runs.
    pub deployment: &'a Deployment,
    /// How dates are written.
    pub profile: Profile,
}
