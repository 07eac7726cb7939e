//! The history of user tasks: those that are done or waiting, newest first.

use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeStatus};
use flowledger_engine_core::model::element::ElementType;

use crate::View;
use crate::node_instance::NodeInstance;

/// Completed and active user tasks of a flow, newest first; rolled back and failed ones are left out, as in the reference
/// engine. Where sub flow instances count, those of a sub flow stand in the place of its call activity.
pub fn user_tasks(
    instance: &FlowInstance,
    flow: FlowIndex,
    effective_for_sub_flow_instance: bool,
    view: View<'_>,
) -> Vec<NodeInstance> {
    let mut tasks = Vec::new();
    for node in instance.nodes_of(flow).rev() {
        if !matches!(node.status, NodeStatus::Completed | NodeStatus::Active) {
            continue;
        }
        match (node.element_type, node.sub_flow) {
            (ElementType::UserTask, _) => tasks.push(NodeInstance::of(node, instance, view)),
            (ElementType::CallActivity, Some(sub_flow)) if effective_for_sub_flow_instance => {
                tasks.extend(user_tasks(instance, sub_flow, true, view));
            }
            _ => {}
        }
    }
    tasks
}
