//! The second decider: a flow instance with all it runs, from its start to its end.

mod advance;
mod decide;
mod element;
mod outcome;
mod rollback;
mod state;
#[cfg(test)]
mod tests;

pub use outcome::Outcome;
pub use state::{Flow, FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
