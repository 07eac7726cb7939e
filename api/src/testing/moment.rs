//! An instance at a moment of a run, as invariants see it.

use std::collections::BTreeSet;

use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use flowledger_engine_core::invariant;
use flowledger_engine_core::time::Timestamp;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::Variables;
use flowledger_projections::instance_data::instance_data;

/// An instance at a moment of a run.
pub struct Moment<'a> {
    pub(super) state: &'a FlowInstance,
    /// The flow that the invariant in hand is about, as the model's own invariants see it.
    pub(super) in_model: invariant::Moment<'a>,
    /// The code that the last command was answered with.
    pub(super) code: i32,
    /// The code of the last command, if it was a commit that died on its way.
    pub(super) failed_with: Option<i32>,
    pub(super) time: Timestamp,
}

impl Moment<'_> {
    /// The version of the instance.
    pub fn version(&self) -> u64 {
        self.state.commands.len() as u64
    }

    /// The time of the last command; it is virtual, and passes from one command to the next.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Where the instance stands.
    pub fn status(&self) -> FlowStatus {
        self.state.status()
    }

    /// Whether it has come to its end.
    pub fn is_completed(&self) -> bool {
        self.status() == FlowStatus::Completed
    }

    /// Whether it was ended by terminateProcess.
    pub fn is_terminated(&self) -> bool {
        self.status() == FlowStatus::Terminated
    }

    /// The code that the last command was answered with.
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Whether the last command was a commit that died on its way and stands on the record as such.
    pub fn is_failed_commit(&self) -> bool {
        self.failed_with.is_some()
    }

    /// The elements at which tasks wait, those of sub flows among them, oldest first.
    pub fn waits_at(&self) -> Vec<&str> {
        let tasks = self.state.active_tasks();
        tasks.into_iter().map(|task| &*task.key).collect()
    }

    /// Whether a task waits at this element.
    pub fn is_at(&self, key: &str) -> bool {
        let open = |node: &NodeInstance| node.status == NodeStatus::Active && &*node.key == key;
        self.state.nodes().any(open)
    }

    /// How often this element was completed, not counting what was rolled back.
    pub fn visits(&self, key: &str) -> usize {
        self.completed(key).count()
    }

    /// Who completed this element, not counting what was rolled back.
    pub fn operators<'m>(&'m self, key: &'m str) -> BTreeSet<&'m str> {
        self.completed(key)
            .filter_map(|node| node.operator.as_deref())
            .collect()
    }

    /// The variables at the present position.
    pub fn variables(&self) -> Variables {
        instance_data(self.state, FlowIndex::ROOT, true)
    }

    /// A variable at the present position.
    pub fn value(&self, key: &str) -> Option<Value> {
        self.variables().value(key).cloned()
    }

    /// The number that a variable holds; `None` where it holds none, or one that no 64-bit float comes near.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.value(key)? {
            Value::Int(int) => int.to_string().parse().ok(),
            Value::Decimal(decimal) => decimal.to_string().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Whether a variable is true; false where it is anything else, or not there.
    pub fn is_true(&self, key: &str) -> bool {
        self.value(key) == Some(Value::Bool(true))
    }

    /// The whole of it.
    pub fn instance(&self) -> &FlowInstance {
        self.state
    }

    fn completed<'m>(&'m self, key: &'m str) -> impl Iterator<Item = &'m NodeInstance> {
        let nodes = self.state.nodes();
        nodes.filter(move |node| node.status == NodeStatus::Completed && &*node.key == key)
    }

    /// Where it stands, in a line.
    pub(super) fn told(&self) -> String {
        let variables: Vec<String> = self
            .variables()
            .iter()
            .map(|variable| format!("{}={}", variable.key, variable.value))
            .collect();
        let waits = self.waits_at();
        let position = if waits.is_empty() {
            format!("the instance is {:?}", self.status()).to_lowercase()
        } else {
            format!("it waits at {}", waits.join(", "))
        };
        let position = match self.failed_with {
            Some(code) => format!("the commit failed with {code}, {position}"),
            None => position,
        };
        if variables.is_empty() {
            position
        } else {
            format!("{position}, with {}", variables.join(" "))
        }
    }
}
