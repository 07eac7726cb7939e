//! The data of a flow at its present position.

use flowledger_engine_core::instance::{FlowIndex, FlowInstance};
use flowledger_engine_core::variables::Variables;

/// The variables of the present position: those the active task was entered with, else those the flow ended with
/// (T-16, T-18); while a fork is open, those of the fork with what its branches changed. Where sub flow instances count
/// and the flow waits in a call activity outside forks, those of its sub flow. Ordered by key.
pub fn instance_data(instance: &FlowInstance, flow: FlowIndex, effective_for_sub_flow_instance: bool) -> Variables {
    let position = if effective_for_sub_flow_instance {
        instance.position(flow)
    } else {
        flow
    };
    instance.current_data(position)
}
