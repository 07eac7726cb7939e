//! The history of user tasks: those that are done or waiting, newest first.

use flowledger_engine_core::instance::{FlowInstance, NodeStatus};
use flowledger_engine_core::model::element::ElementType;

use crate::View;
use crate::node_instance::NodeInstance;

/// Completed and active user tasks, newest first; rolled back and failed ones are left out, as in the reference engine.
pub fn user_tasks(instance: &FlowInstance, view: View<'_>) -> Vec<NodeInstance> {
    instance
        .nodes()
        .rev()
        .filter(|node| node.element_type == ElementType::UserTask)
        .filter(|node| matches!(node.status, NodeStatus::Completed | NodeStatus::Active))
        .map(|node| NodeInstance::of(node, view))
        .collect()
}
