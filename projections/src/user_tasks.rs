//! The history of user tasks and of what else takes commits but call activities: done or waiting, newest first.

use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeStatus};

use crate::View;
use crate::node_instance::NodeInstance;
use crate::nodes::Nodes;

/// Completed and active user tasks of a flow, newest first; rolled back and failed ones are left out, as in the reference
/// engine. An element at which a plug-in waits or waited counts as a user task. Where sub flow instances count, those of
/// a sub flow stand in the place of its call activity.
pub fn user_tasks(
    instance: &FlowInstance,
    flow: FlowIndex,
    effective_for_sub_flow_instance: bool,
    view: View<'_>,
) -> Vec<NodeInstance> {
    tasks_of(
        instance,
        &Nodes::of(instance),
        flow,
        effective_for_sub_flow_instance,
        view,
    )
}

fn tasks_of(
    instance: &FlowInstance,
    nodes: &Nodes<'_>,
    flow: FlowIndex,
    effective_for_sub_flow_instance: bool,
    view: View<'_>,
) -> Vec<NodeInstance> {
    let mut tasks = Vec::new();
    for node in nodes.of_flow(flow).iter().rev() {
        if !matches!(node.status, NodeStatus::Completed | NodeStatus::Active) {
            continue;
        }
        match node.sub_flow {
            Some(sub_flow) if effective_for_sub_flow_instance => {
                tasks.extend(tasks_of(instance, nodes, sub_flow, true, view));
            }
            _ if node.is_user_task() => tasks.push(NodeInstance::of(node, instance, view)),
            _ => {}
        }
    }
    tasks
}
