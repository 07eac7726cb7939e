//! The data of a flow at its present position.

use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeStatus};
use flowledger_engine_core::variables::InstanceData;

/// The variables of the present position: those the active task was entered with, else those the flow ended with
/// (T-16, T-18). Where sub flow instances count and a call activity waits for one, those of that one. Ordered by key.
pub fn instance_data(
    instance: &FlowInstance,
    flow: FlowIndex,
    effective_for_sub_flow_instance: bool,
) -> Vec<InstanceData> {
    let waiting = instance
        .nodes_of(flow)
        .rev()
        .find(|node| node.status == NodeStatus::Active);
    match waiting.and_then(|node| node.sub_flow) {
        Some(sub_flow) if effective_for_sub_flow_instance => instance_data(instance, sub_flow, true),
        _ => instance.current_data(flow).variables.to_list(),
    }
}
