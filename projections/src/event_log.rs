//! Event logs for process mining: what each record of an instance says about its nodes, in the terms of the field, and
//! the texts of two standards, XES and OCEL 2.0. Knows no store: records are told one at a time, in order.
//!
//! Nothing is left out that happened and nothing is made up: a commit that was rolled back later is in the log as a
//! completion, with a note that it no longer counts, and so are the rollback, the task that it opened again, and attempts
//! that failed.

mod ocel;
mod xes;

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::event::{InstanceEvent, InstanceRecord, NodeVisit};
use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use flowledger_engine_core::model::element::ElementType;
use flowledger_engine_core::value::Value;

use crate::View;

pub use ocel::{InstanceObjects, MAX_NAMES, ModuleObjects, Ocel};
pub use xes::Xes;

/// What happened at a node, as the standard lifecycle of XES has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transition {
    /// It was reached and waits.
    Schedule,
    /// It began.
    Start,
    /// It was completed.
    Complete,
    /// It waits no longer, and was not completed.
    Withdraw,
    /// Nothing can happen at it for the time being.
    Suspend,
    /// It goes on after that.
    Resume,
    /// It ended with its whole case.
    CaseAbort,
    /// Something that the standard has no word for.
    Unknown,
}

impl Transition {
    /// The standard's word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Start => "start",
            Self::Complete => "complete",
            Self::Withdraw => "withdraw",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::CaseAbort => "pi_abort",
            Self::Unknown => "unknown",
        }
    }
}

/// What happened at a node, in the engine's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It was reached and waits.
    Reached,
    /// It was passed without waiting, or a join fired.
    Passed,
    /// It was committed.
    Committed,
    /// A commit was taken, and it goes on waiting for another.
    WaitsOn,
    /// A call activity was committed: its sub flow runs.
    Called,
    /// The sub flow of a call activity has ended.
    Returned,
    /// A commit of it failed; it still waits.
    CommitFailed,
    /// A commit that failed had come here.
    ReachedInVain,
    /// A rollback went back over it.
    RolledBack,
    /// A rollback opened it again.
    Reopened,
    /// It had been opened by a rollback that was taken back.
    RollbackTakenBack,
    /// It counts again: the rollback over it was taken back.
    Restored,
    /// A join fired without waiting for it.
    Closed,
    /// The instance was suspended.
    Suspended,
    /// The instance was resumed.
    Resumed,
    /// The instance was aborted; it may be restored.
    Aborted,
    /// The abort was taken back.
    AbortTakenBack,
    /// The instance was terminated.
    Terminated,
}

impl What {
    /// In words, for an attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Passed => "passed",
            Self::Committed => "committed",
            Self::WaitsOn => "waits on",
            Self::Called => "called",
            Self::Returned => "returned",
            Self::CommitFailed => "commit failed",
            Self::ReachedInVain => "reached in vain",
            Self::RolledBack => "rolled back",
            Self::Reopened => "reopened",
            Self::RollbackTakenBack => "rollback taken back",
            Self::Restored => "restored",
            Self::Closed => "closed by a join",
            Self::Suspended => "suspended",
            Self::Resumed => "resumed",
            Self::Aborted => "aborted",
            Self::AbortTakenBack => "abort taken back",
            Self::Terminated => "terminated",
        }
    }

    /// The transition, of a node that was open before or of one that was not.
    const fn transition(self, was_open: bool) -> Transition {
        match self {
            Self::Reached | Self::Reopened => Transition::Schedule,
            Self::Called => Transition::Start,
            Self::Passed | Self::Committed | Self::Returned => Transition::Complete,
            Self::Closed | Self::RollbackTakenBack => Transition::Withdraw,
            Self::Suspended | Self::Aborted => Transition::Suspend,
            Self::Resumed | Self::AbortTakenBack => Transition::Resume,
            Self::Terminated => Transition::CaseAbort,
            Self::RolledBack if was_open => Transition::Withdraw,
            Self::Restored if was_open => Transition::Schedule,
            Self::RolledBack | Self::Restored | Self::WaitsOn | Self::CommitFailed | Self::ReachedInVain => {
                Transition::Unknown
            }
        }
    }
}

/// Something that happened at a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The node instance.
    pub node: NodeInstanceId,
    /// The flow it belongs to.
    pub flow: FlowIndex,
    /// The element.
    pub key: Arc<str>,
    /// What the element is.
    pub element_type: ElementType,
    /// Whether it is an activity: a task, a call activity, or something that a plug-in runs.
    pub is_activity: bool,
    /// What happened.
    pub what: What,
    /// The same in the standard's words.
    pub transition: Transition,
    /// Code and detail of a commit that failed.
    pub failure: Option<(i32, Arc<str>)>,
}

/// Something that happened to a whole flow instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStep {
    /// The flow.
    pub flow: FlowIndex,
    /// Where it stands since.
    pub status: FlowStatus,
    /// Whether it came into being.
    pub begins: bool,
}

/// What one record says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// At nodes, in order.
    pub steps: Vec<Step>,
    /// About whole flow instances, in order.
    pub flows: Vec<FlowStep>,
}

/// An instance while its records are told.
#[derive(Clone, Debug, Default)]
pub struct Story {
    state: FlowInstance,
}

impl Story {
    /// The instance after the last record.
    pub fn state(&self) -> &FlowInstance {
        &self.state
    }

    /// Folds the next record in, and tells what it says.
    pub fn tell(&mut self, record: &InstanceRecord) -> Told {
        let before = before(&self.state, record);
        let statuses: Vec<FlowStatus> = self.state.flows().map(|(flow, _)| self.state.status_of(flow)).collect();
        self.state.apply_record(record);
        let mut told = Told::default();
        for (place, event) in record.events.iter().enumerate() {
            let next = record.events.get(place + 1);
            self.tell_event(record, event, next, &before, &mut told.steps);
        }
        for (place, (flow, _)) in self.state.flows().enumerate() {
            let now = self.state.status_of(flow);
            let before = statuses.get(place).copied();
            if before.is_none() {
                let (status, begins) = (FlowStatus::Running, true);
                told.flows.push(FlowStep { flow, status, begins });
            }
            if before.unwrap_or(FlowStatus::Running) != now {
                told.flows.push(FlowStep {
                    flow,
                    status: now,
                    begins: false,
                });
            }
        }
        told
    }

    fn tell_event(
        &self,
        record: &InstanceRecord,
        event: &InstanceEvent,
        next: Option<&InstanceEvent>,
        before: &BTreeMap<NodeInstanceId, NodeStatus>,
        steps: &mut Vec<Step>,
    ) {
        let mut put = |node: &NodeInstanceId, what: What| steps.extend(self.step(node, what, before));
        let decides =
            |node: &NodeInstanceId| matches!(next, Some(InstanceEvent::PlugInStepped { node: of, .. }) if of == node);
        match event {
            InstanceEvent::FlowStarted { parent, .. } => {
                if let Some(call) = parent {
                    put(call, What::Called);
                }
            }
            InstanceEvent::EventPassed(visit) => put(&visit.node, What::Passed),
            InstanceEvent::TaskActivated(visit) | InstanceEvent::JoinReached { visit, .. } => {
                put(&visit.node, What::Reached);
            }
            InstanceEvent::GatewayReached(visit) => {
                // What a plug-in decides, the next event says.
                if !decides(&visit.node) {
                    put(&visit.node, What::Passed);
                }
            }
            InstanceEvent::NodeReentered { node, .. } => {
                let waits = self.state.node(node).is_some_and(|node| node.element_type.is_task());
                if !decides(node) {
                    put(node, if waits { What::Reached } else { What::Passed });
                }
            }
            InstanceEvent::BranchesJoined { node, closed, .. } => {
                put(node, What::Passed);
                for node in closed {
                    put(node, What::Closed);
                }
            }
            InstanceEvent::PlugInStepped { node, waits, .. } => {
                let is_commit = record.given.command.committed_task() == Some(node);
                match (waits, is_commit) {
                    (true, false) => put(node, What::Reached),
                    (true, true) => put(node, What::WaitsOn),
                    (false, false) => put(node, What::Passed),
                    // The event before said so.
                    (false, true) => {}
                }
            }
            InstanceEvent::TaskCommitted { node, .. } => {
                // A call activity is completed when its sub flow is, and called until then.
                let is_call = self.state.node(node).is_some_and(|node| !node.is_user_task());
                if !is_call {
                    put(node, What::Committed);
                }
            }
            InstanceEvent::CommitFailed {
                node,
                code,
                detail,
                reached,
                ..
            } => {
                let failed = self.step(node, What::CommitFailed, before);
                steps.extend(failed.map(|step| Step {
                    failure: Some((*code, detail.clone())),
                    ..step
                }));
                let in_vain = |visit: &NodeVisit| self.step(&visit.node, What::ReachedInVain, before);
                steps.extend(reached.iter().filter_map(in_vain));
            }
            InstanceEvent::CallReturned { node, .. } => put(node, What::Returned),
            InstanceEvent::TaskRolledBack {
                superseded, reopened, ..
            } => {
                for node in superseded {
                    put(node, What::RolledBack);
                }
                for reopened in reopened.iter().filter(|reopened| !reopened.superseded) {
                    put(&reopened.node, What::Reopened);
                }
            }
            InstanceEvent::RollbackRedone { superseded, restored } => {
                for node in superseded {
                    put(node, What::RollbackTakenBack);
                }
                for node in restored {
                    put(node, What::Restored);
                }
            }
            InstanceEvent::InstanceSuspended => steps.extend(self.open(What::Suspended, None)),
            InstanceEvent::InstanceResumed => steps.extend(self.open(What::Resumed, None)),
            InstanceEvent::InstanceAborted => steps.extend(self.open(What::Aborted, None)),
            InstanceEvent::InstanceRestored { .. } => steps.extend(self.open(What::AbortTakenBack, None)),
            InstanceEvent::FlowTerminated { flow_instance_ids } => {
                steps.extend(self.open(What::Terminated, Some(flow_instance_ids)));
            }
            InstanceEvent::HookAnswered { .. }
            | InstanceEvent::BranchTaken { .. }
            | InstanceEvent::BranchesOpened { .. }
            | InstanceEvent::BranchArrived { .. }
            | InstanceEvent::FlowCompleted
            | InstanceEvent::SubFlowEnded { .. } => {}
        }
    }

    /// The same at every open node, of all flows that still run or of some.
    fn open(&self, what: What, of: Option<&[FlowInstanceId]>) -> Vec<Step> {
        let counts = |node: &&NodeInstance| {
            let flow = self.state.flow(node.flow);
            node.status.is_open()
                && flow.is_some_and(|flow| match of {
                    Some(ids) => ids.contains(&flow.flow_instance_id),
                    None => flow.status == FlowStatus::Running,
                })
        };
        let open = self.state.nodes().filter(counts);
        open.map(|node| step(node, what, true)).collect()
    }

    fn step(&self, node: &NodeInstanceId, what: What, before: &BTreeMap<NodeInstanceId, NodeStatus>) -> Option<Step> {
        let found = self.state.node(node)?;
        let was_open = match what {
            What::Restored => found.status.is_open(),
            _ => before.get(node).is_some_and(|status| status.is_open()),
        };
        Some(step(found, what, was_open))
    }
}

/// Whether a node instance is an activity: a task, a call activity, or something that a plug-in runs.
fn is_activity(node: &NodeInstance) -> bool {
    match node.element_type {
        ElementType::UserTask | ElementType::CallActivity | ElementType::Unknown(_) => true,
        ElementType::SequenceFlow
        | ElementType::StartEvent
        | ElementType::EndEvent
        | ElementType::ExclusiveGateway
        | ElementType::ParallelGateway
        | ElementType::InclusiveGateway => node.plug_in.is_some(),
    }
}

fn step(node: &NodeInstance, what: What, was_open: bool) -> Step {
    Step {
        node: node.id.clone(),
        flow: node.flow,
        key: node.key.clone(),
        element_type: node.element_type,
        is_activity: is_activity(node),
        what,
        transition: what.transition(was_open),
        failure: None,
    }
}

/// The status before the record of the node instances that it takes back.
fn before(state: &FlowInstance, record: &InstanceRecord) -> BTreeMap<NodeInstanceId, NodeStatus> {
    let taken_back = record.events.iter().flat_map(|event| match event {
        InstanceEvent::TaskRolledBack { superseded, .. } => superseded.as_slice(),
        _ => &[],
    });
    let status = |id: &NodeInstanceId| Some((id.clone(), state.node(id)?.status));
    taken_back.filter_map(status).collect()
}

/// The name by which an activity is told: that of its element, or the element's key where it has none.
fn activity<'a>(step: &'a Step, state: &FlowInstance, view: View<'a>) -> &'a str {
    let element = view.model(state, step.flow).and_then(|model| model.element(&step.key));
    match element.map(|element| element.name().trim()) {
        Some(name) if !name.is_empty() => name,
        _ => &step.key,
    }
}

/// The types that attributes have in both standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Float,
    Boolean,
}

impl Kind {
    /// The type of a value; `None` for null, which fits every type. Lists, maps, and numbers beyond a double, which is what
    /// both standards take a float for, are told as JSON text.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(Self::Boolean),
            Value::Int(_) => Some(Self::Integer),
            Value::Decimal(_) | Value::Number(_) => {
                let is_double = value.to_string().parse::<f64>().is_ok_and(f64::is_finite);
                Some(if is_double { Self::Float } else { Self::Text })
            }
            Value::Text(_) | Value::List(_) | Value::Map(_) => Some(Self::Text),
        }
    }

    /// The type that holds values of both.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            _ => Self::Text,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Boolean => "boolean",
        }
    }
}

/// A value as text: a text as it is, anything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        other => other.to_string(),
    }
}
