//! The second decider: a flow instance with all it runs, from its start to its end.

mod advance;
mod branch;
mod branching;
mod decide;
mod element;
mod invariants;
mod lifecycle;
mod outcome;
mod rollback;
mod state;
#[cfg(test)]
pub(crate) mod tests;

pub use branch::{Arrival, Branch, BranchIndex, Join};
pub use outcome::{Outcome, Rest};
pub use state::{Flow, FlowIndex, FlowInstance, FlowStatus, Hold, NodeInstance, NodeStatus, PlugInTrace};
