//! What every record of an instance did to its node instances: decisions, answers of hooks, what ended them. A fold that keeps
//! what [`FlowInstance`] forgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::event::{Evaluated, InstanceEvent, InstanceRecord};
use flowledger_engine_core::id::{CommandId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowInstance, NodeInstance};
use flowledger_engine_core::time::Timestamp;
use flowledger_engine_core::variables::{InstanceData, Variables};

/// An instance and what its records did.
#[derive(Clone, Debug, Default)]
pub struct Past {
    state: FlowInstance,
    records: Vec<RecordSeen>,
    nodes: BTreeMap<NodeInstanceId, NodePast>,
    failed: Vec<Decision>,
}

/// A record, without its facts.
#[derive(Clone, Debug)]
pub struct RecordSeen {
    /// The version of the instance that it made.
    pub version: u64,
    /// The command's id.
    pub command_id: CommandId,
    /// The command's name in the API document.
    pub command: &'static str,
    /// Who gave it.
    pub operator: Option<Arc<str>>,
    /// Why, in the caller's words.
    pub reason: Option<Arc<str>>,
    /// When.
    pub at: Timestamp,
    /// The task that was committed.
    pub task: Option<NodeInstanceId>,
    /// The module that a committed call activity was to run.
    pub called_module: Option<FlowModuleId>,
    /// The variables that were given.
    pub variables: Vec<InstanceData>,
}

/// What a fork, a gateway or a task with several ways on decided.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The node instance.
    pub node: NodeInstanceId,
    /// The version of the instance that decided.
    pub version: u64,
    /// The conditions that were evaluated, in order.
    pub evaluated: Vec<Evaluated>,
    /// The sequence flows taken; none where it failed.
    pub taken: Vec<Arc<str>>,
    /// The data it decided by.
    pub data: Variables,
    /// The code and the detail, where it failed and the commit with it.
    pub failed: Option<(i32, Arc<str>)>,
}

/// What became of a node instance.
#[derive(Clone, Debug, Default)]
pub(super) struct NodePast {
    pub(super) decision: Option<Decision>,
    /// The version in which hooks or a plug-in gave variables here, and which.
    pub(super) given: Option<(u64, Given, Vec<InstanceData>)>,
    /// The version in which it was done.
    pub(super) done: Option<u64>,
    /// The version in which it was closed, or went out of account.
    pub(super) ended: Option<u64>,
}

/// Who gave variables at a node instance besides commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    Hook,
    PlugIn,
}

impl Past {
    /// Folds a record in.
    pub fn apply(&mut self, record: &InstanceRecord) {
        let envelope = &record.given.envelope;
        let command = &record.given.command;
        self.records.push(RecordSeen {
            version: envelope.version,
            command_id: envelope.command_id.clone(),
            command: command.name(),
            operator: envelope.actor.operator.clone(),
            reason: envelope.reason.clone(),
            at: envelope.recorded_at,
            task: command.committed_task().cloned(),
            called_module: match command {
                flowledger_engine_core::event::InstanceCommand::CommitTask {
                    call_activity_flow_module_id,
                    ..
                } => call_activity_flow_module_id.clone(),
                _ => None,
            },
            variables: command.variables().to_vec(),
        });
        for event in &record.events {
            self.note(event, envelope.version, command.variables());
        }
        self.state.apply_record(record);
        for event in &record.events {
            if let InstanceEvent::BranchTaken { node, .. } | InstanceEvent::BranchesOpened { node, .. } = event {
                let data = self.state.node(node).map(|node| node.leave.variables.clone());
                let decision = self.nodes.get_mut(node).and_then(|past| past.decision.as_mut());
                if let (Some(decision), Some(data)) = (decision, data) {
                    decision.data = data;
                }
            }
        }
    }

    fn note(&mut self, event: &InstanceEvent, version: u64, variables: &[InstanceData]) {
        match event {
            InstanceEvent::HookAnswered {
                node, variables: given, ..
            } => self.past_of(node).given = Some((version, Given::Hook, given.clone())),
            InstanceEvent::PlugInStepped {
                node,
                waits,
                variables: given,
                ..
            } => {
                let past = self.past_of(node);
                past.given = Some((version, Given::PlugIn, given.clone()));
                past.done = (!waits).then_some(version);
            }
            InstanceEvent::BranchTaken { node, evaluated, flow } => {
                self.decide(node, version, evaluated, std::slice::from_ref(flow));
            }
            InstanceEvent::BranchesOpened { node, evaluated, flows } => self.decide(node, version, evaluated, flows),
            InstanceEvent::EventPassed(visit) => self.past_of(&visit.node).done = Some(version),
            InstanceEvent::TaskCommitted { node, .. } | InstanceEvent::CallReturned { node, .. } => {
                self.past_of(node).done = Some(version);
            }
            InstanceEvent::BranchesJoined { node, closed, .. } => {
                self.past_of(node).done = Some(version);
                for node in closed {
                    self.past_of(node).ended = Some(version);
                }
            }
            InstanceEvent::CommitFailed {
                node,
                code,
                detail,
                evaluated,
                reached,
                hooks,
            } => {
                let at = reached.last().map_or(node, |visit| &visit.node);
                let before = self.state.node(node).map(|task| task.leave.variables.clone());
                let mut data = before.unwrap_or_default().merged(variables);
                for heard in hooks.iter().filter(|heard| heard.node == *at) {
                    data = data.merged(&heard.variables);
                }
                self.failed.push(Decision {
                    node: at.clone(),
                    version,
                    evaluated: evaluated.clone(),
                    taken: Vec::new(),
                    data,
                    failed: Some((*code, detail.clone())),
                });
            }
            InstanceEvent::TaskRolledBack { superseded, .. } => self.end(superseded, version),
            InstanceEvent::RollbackRedone { superseded, restored } => {
                self.end(superseded, version);
                for node in restored {
                    self.past_of(node).ended = None;
                }
            }
            InstanceEvent::FlowStarted { .. }
            | InstanceEvent::TaskActivated(_)
            | InstanceEvent::GatewayReached(_)
            | InstanceEvent::NodeReentered { .. }
            | InstanceEvent::JoinReached { .. }
            | InstanceEvent::BranchArrived { .. }
            | InstanceEvent::FlowCompleted
            | InstanceEvent::SubFlowEnded { .. }
            | InstanceEvent::InstanceSuspended
            | InstanceEvent::InstanceResumed
            | InstanceEvent::InstanceAborted
            | InstanceEvent::InstanceRestored { .. }
            | InstanceEvent::FlowTerminated { .. } => {}
        }
    }

    fn past_of(&mut self, node: &NodeInstanceId) -> &mut NodePast {
        self.nodes.entry(node.clone()).or_default()
    }

    fn decide(&mut self, node: &NodeInstanceId, version: u64, evaluated: &[Evaluated], taken: &[Arc<str>]) {
        let past = self.past_of(node);
        past.done = Some(version);
        past.decision = Some(Decision {
            node: node.clone(),
            version,
            evaluated: evaluated.to_vec(),
            taken: taken.to_vec(),
            // Known once the record is folded in.
            data: Variables::default(),
            failed: None,
        });
    }

    fn end(&mut self, nodes: &[NodeInstanceId], version: u64) {
        for node in nodes {
            self.past_of(node).ended = Some(version);
        }
    }

    /// The instance.
    pub fn state(&self) -> &FlowInstance {
        &self.state
    }

    /// The records, oldest first.
    pub fn records(&self) -> &[RecordSeen] {
        &self.records
    }

    /// The record that made a version.
    pub fn record(&self, version: u64) -> Option<&RecordSeen> {
        let place = usize::try_from(version.checked_sub(1)?).ok()?;
        self.records.get(place)
    }

    /// What was decided, and what failed to be, oldest first.
    pub fn decisions(&self) -> Vec<&Decision> {
        let decided = self.nodes.values().filter_map(|past| past.decision.as_ref());
        let mut all: Vec<&Decision> = decided.chain(&self.failed).collect();
        let order: BTreeMap<&NodeInstanceId, usize> = self
            .state
            .nodes()
            .enumerate()
            .map(|(place, node)| (&node.id, place))
            .collect();
        all.sort_by_key(|decision| (decision.version, order.get(&decision.node)));
        all
    }

    pub(super) fn of_node(&self, node: &NodeInstance) -> Option<&NodePast> {
        self.nodes.get(&node.id)
    }
}
