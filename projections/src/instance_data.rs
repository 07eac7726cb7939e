//! The data of an instance at its present position.

use flowledger_engine_core::instance::FlowInstance;
use flowledger_engine_core::variables::InstanceData;

/// The variables of the present position: those the active task was entered with, else those the flow ended with
/// (T-16, T-18). Ordered by key.
pub fn instance_data(instance: &FlowInstance) -> Vec<InstanceData> {
    instance.current_data().variables.to_list()
}
