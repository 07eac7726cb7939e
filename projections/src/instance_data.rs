//! The data of a flow at its present position.

use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeInstance};
use flowledger_engine_core::variables::InstanceData;

/// The variables of the present position: those the active task was entered with, else those the flow ended with
/// (T-16, T-18); while a fork is open, those of the fork with what its branches changed. Where sub flow instances count
/// and the flow waits in a call activity outside forks, those of its sub flow. Ordered by key.
pub fn instance_data(
    instance: &FlowInstance,
    flow: FlowIndex,
    effective_for_sub_flow_instance: bool,
) -> Vec<InstanceData> {
    let position = if effective_for_sub_flow_instance {
        innermost(instance, flow)
    } else {
        flow
    };
    instance.current_data(position).to_list()
}

/// The flow inside call activities in which a flow waits, as long as no fork is open on the way.
fn innermost(instance: &FlowInstance, flow: FlowIndex) -> FlowIndex {
    let mut flow = flow;
    loop {
        let waits = |node: &&NodeInstance| node.status.is_open() && node.branch.is_none();
        match instance.nodes_of(flow).rev().find(waits).and_then(|node| node.sub_flow) {
            Some(sub_flow) => flow = sub_flow,
            None => return flow,
        }
    }
}
