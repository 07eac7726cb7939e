//! When two records say the same: what of an event counts as the path, and what does not. Node instances and sub flow instances
//! are matched by their place in the order in which they came into being; knows no model.

use std::sync::Arc;

use flowledger_engine_core::event::{InstanceEvent, NodeVisit, PlugInWayBack};
use flowledger_engine_core::id::{FlowInstanceId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeInstance};
use flowledger_engine_core::model::element::ElementType;
use flowledger_engine_core::value::Value;

/// An instance as it was recorded and as the candidate has it, both behind the same command.
///
/// As long as both take the same path, the n-th node instance of one is the n-th of the other: the same visit of the same
/// element.
#[derive(Clone, Copy)]
pub(super) struct Sides<'s> {
    pub(super) then: &'s FlowInstance,
    pub(super) now: &'s FlowInstance,
}

/// An event as far as it counts: ids, deployments, tenants, how conditions came out, texts of failures, names of plug-ins and what
/// hooks answered do not. The data that they lead to is compared by [`Sides::differing_data`].
#[derive(PartialEq)]
enum Step<'e> {
    FlowStarted(&'e FlowModuleId, Option<usize>),
    EventPassed(Visit<'e>),
    TaskActivated(Visit<'e>),
    GatewayReached(Visit<'e>),
    NodeReentered(Option<usize>, Option<u32>),
    HookAnswered,
    BranchTaken(Option<usize>, &'e str),
    BranchesOpened(Option<usize>, &'e [Arc<str>]),
    JoinReached(Visit<'e>, Option<usize>),
    BranchArrived(Option<usize>, Option<usize>, Option<u32>),
    BranchesJoined {
        node: Option<usize>,
        early: bool,
        closed: Vec<Option<usize>>,
        terminated: Vec<Option<FlowIndex>>,
    },
    PlugInStepped(Option<usize>, bool, &'e Option<Value>, PlugInWayBack),
    TaskCommitted(Option<usize>),
    CommitFailed {
        node: Option<usize>,
        code: i32,
        reached: Vec<Visit<'e>>,
        /// Of an attempt in a sub flow that it had started, the first condition that was evaluated where it failed: nothing else
        /// on the record tells where that was.
        evaluated: Option<&'e str>,
    },
    FlowCompleted,
    SubFlowEnded(Option<FlowIndex>),
    CallReturned(Option<usize>),
    TaskRolledBack {
        superseded: Vec<Option<usize>>,
        /// What is open again, what it stands for, and whether the rollback went on over it.
        reopened: Vec<(Option<usize>, Option<usize>, bool)>,
        resumed: Vec<Option<FlowIndex>>,
        terminated: Vec<Option<FlowIndex>>,
        compensations: Vec<(Option<usize>, &'e str)>,
    },
    RollbackRedone(Vec<Option<usize>>, Vec<Option<usize>>),
    InstanceSuspended,
    InstanceResumed,
    InstanceAborted,
    InstanceRestored(bool),
    FlowTerminated(Vec<Option<FlowIndex>>),
}

/// One visit of a node, without its id.
#[derive(PartialEq)]
struct Visit<'e> {
    node: Option<usize>,
    key: &'e str,
    element_type: i64,
    source: Option<usize>,
    branch: Option<u32>,
}

impl<'e> Visit<'e> {
    fn of(visit: &'e NodeVisit, state: &FlowInstance) -> Self {
        Self {
            node: place(state, &visit.node),
            key: &visit.key,
            element_type: visit.element_type,
            source: visit.source.as_ref().and_then(|source| place(state, source)),
            branch: visit.branch,
        }
    }
}

impl<'e> Step<'e> {
    fn of(event: &'e InstanceEvent, state: &FlowInstance) -> Self {
        let place = |id: &NodeInstanceId| place(state, id);
        let places = |ids: &[NodeInstanceId]| ids.iter().map(place).collect();
        let flows = |ids: &[FlowInstanceId]| ids.iter().map(|id| state.find_flow(id)).collect();
        match event {
            InstanceEvent::FlowStarted {
                flow_module_id, parent, ..
            } => Self::FlowStarted(flow_module_id, parent.as_ref().and_then(place)),
            InstanceEvent::EventPassed(visit) => Self::EventPassed(Visit::of(visit, state)),
            InstanceEvent::TaskActivated(visit) => Self::TaskActivated(Visit::of(visit, state)),
            InstanceEvent::GatewayReached(visit) => Self::GatewayReached(Visit::of(visit, state)),
            InstanceEvent::NodeReentered { node, branch } => Self::NodeReentered(place(node), *branch),
            InstanceEvent::HookAnswered { .. } => Self::HookAnswered,
            InstanceEvent::BranchTaken { node, flow, .. } => Self::BranchTaken(place(node), flow),
            InstanceEvent::BranchesOpened { node, flows, .. } => Self::BranchesOpened(place(node), flows),
            InstanceEvent::JoinReached { visit, fork } => Self::JoinReached(Visit::of(visit, state), place(fork)),
            InstanceEvent::BranchArrived { node, source, branch } => {
                Self::BranchArrived(place(node), place(source), *branch)
            }
            InstanceEvent::BranchesJoined {
                node,
                early,
                closed,
                terminated,
                ..
            } => Self::BranchesJoined {
                node: place(node),
                early: *early,
                closed: places(closed),
                terminated: flows(terminated),
            },
            InstanceEvent::PlugInStepped {
                node,
                waits,
                payload,
                way_back,
                ..
            } => Self::PlugInStepped(place(node), *waits, payload, *way_back),
            InstanceEvent::TaskCommitted { node, .. } => Self::TaskCommitted(place(node)),
            InstanceEvent::CommitFailed {
                node,
                code,
                evaluated,
                reached,
                ..
            } => {
                let starts_a_flow = state
                    .node(node)
                    .is_some_and(|node| node.element_type == ElementType::CallActivity);
                let first = evaluated.first().filter(|_| starts_a_flow && reached.is_empty());
                Self::CommitFailed {
                    node: place(node),
                    code: *code,
                    reached: reached.iter().map(|visit| Visit::of(visit, state)).collect(),
                    evaluated: first.map(|evaluated| &*evaluated.flow),
                }
            }
            InstanceEvent::FlowCompleted => Self::FlowCompleted,
            InstanceEvent::SubFlowEnded { flow_instance_id } => Self::SubFlowEnded(state.find_flow(flow_instance_id)),
            InstanceEvent::CallReturned { node, .. } => Self::CallReturned(place(node)),
            InstanceEvent::TaskRolledBack {
                superseded,
                reopened,
                resumed,
                terminated,
                compensations,
            } => Self::TaskRolledBack {
                superseded: places(superseded),
                reopened: reopened
                    .iter()
                    .map(|again| (place(&again.node), place(&again.of), again.superseded))
                    .collect(),
                resumed: flows(resumed),
                terminated: flows(terminated),
                compensations: compensations
                    .iter()
                    .map(|to_do| (place(&to_do.node), &*to_do.name))
                    .collect(),
            },
            InstanceEvent::RollbackRedone { superseded, restored } => {
                Self::RollbackRedone(places(superseded), places(restored))
            }
            InstanceEvent::InstanceSuspended => Self::InstanceSuspended,
            InstanceEvent::InstanceResumed => Self::InstanceResumed,
            InstanceEvent::InstanceAborted => Self::InstanceAborted,
            InstanceEvent::InstanceRestored { suspended } => Self::InstanceRestored(*suspended),
            InstanceEvent::FlowTerminated { flow_instance_ids } => Self::FlowTerminated(flows(flow_instance_ids)),
        }
    }
}

/// What has other data in the candidate.
#[derive(Clone, Copy)]
pub(super) enum Differing {
    /// The variables that the root was started with.
    Start,
    /// The node instance at this place, or the sub flow that it was started with.
    Node(usize),
}

impl Sides<'_> {
    /// Whether two events are the same step.
    pub(super) fn are_alike(self, then: &InstanceEvent, now: &InstanceEvent) -> bool {
        Step::of(then, self.then) == Step::of(now, self.now)
    }

    /// The first of the node instances and flows of these events that has another status or other variables in the candidate.
    pub(super) fn differing_data(self, events: &[InstanceEvent]) -> Option<Differing> {
        for event in events {
            if let InstanceEvent::FlowStarted {
                flow_instance_id,
                parent,
                ..
            } = event
            {
                let Some(index) = self.then.find_flow(flow_instance_id) else {
                    continue;
                };
                let started = |state: &FlowInstance| state.flow(index).map(|flow| flow.start_data.variables.clone());
                if started(self.then) != started(self.now) {
                    let call = parent.as_ref().and_then(|call| place(self.then, call));
                    return Some(call.map_or(Differing::Start, Differing::Node));
                }
            }
            for node in nodes_of(event) {
                let Some(place) = place(self.then, node) else { continue };
                let (Some(then), Some(now)) = (node_at(self.then, place), node_at(self.now, place)) else {
                    continue;
                };
                let is_same = then.status == now.status
                    && then.entry.variables == now.entry.variables
                    && then.leave.variables == now.leave.variables;
                if !is_same {
                    return Some(Differing::Node(place));
                }
            }
        }
        None
    }
}

/// The place of a node instance in the order in which they came into being.
pub(super) fn place(state: &FlowInstance, id: &NodeInstanceId) -> Option<usize> {
    // Mostly it is one of the last.
    state.nodes().rposition(|node| node.id == *id)
}

/// The node instance at a place.
pub(super) fn node_at(state: &FlowInstance, place: usize) -> Option<&NodeInstance> {
    let behind = state.nodes().len().checked_sub(place + 1)?;
    state.nodes().rev().nth(behind)
}

/// The place of the candidate's node instance that stands for a recorded one.
pub(super) fn twin(sides: Sides<'_>, then: &NodeInstanceId) -> Option<usize> {
    place(sides.then, then).filter(|place| *place < sides.now.nodes().len())
}

/// The place of the recorded node instance that one of the candidate stands for.
pub(super) fn origin(sides: Sides<'_>, now: &NodeInstanceId) -> Option<usize> {
    place(sides.now, now).filter(|place| *place < sides.then.nodes().len())
}

/// How often an element had been visited in its flow when the node instance at a place came into being, itself included.
pub(super) fn occurrence(state: &FlowInstance, place: usize) -> u32 {
    let Some(node) = node_at(state, place) else { return 0 };
    let visits = state
        .nodes()
        .take(place + 1)
        .filter(|other| other.flow == node.flow && other.key == node.key);
    u32::try_from(visits.count()).unwrap_or(u32::MAX)
}

/// The flow that a node instance belongs to; the root where it is not there.
pub(super) fn flow_of(state: &FlowInstance, id: &NodeInstanceId) -> FlowIndex {
    state.node(id).map(|node| node.flow).unwrap_or_default()
}

/// The keys of the active tasks.
pub(super) fn waits(state: &FlowInstance) -> Vec<Arc<str>> {
    state.active_tasks().iter().map(|task| task.key.clone()).collect()
}

/// The node instances whose status or data an event changes.
fn nodes_of(event: &InstanceEvent) -> Vec<&NodeInstanceId> {
    match event {
        InstanceEvent::EventPassed(visit)
        | InstanceEvent::TaskActivated(visit)
        | InstanceEvent::GatewayReached(visit)
        | InstanceEvent::JoinReached { visit, .. } => vec![&visit.node],
        InstanceEvent::NodeReentered { node, .. }
        | InstanceEvent::HookAnswered { node, .. }
        | InstanceEvent::BranchTaken { node, .. }
        | InstanceEvent::BranchesOpened { node, .. }
        | InstanceEvent::BranchArrived { node, .. }
        | InstanceEvent::PlugInStepped { node, .. }
        | InstanceEvent::TaskCommitted { node, .. }
        | InstanceEvent::CallReturned { node, .. } => vec![node],
        InstanceEvent::BranchesJoined { node, closed, .. } => std::iter::once(node).chain(closed).collect(),
        InstanceEvent::CommitFailed { node, reached, .. } => std::iter::once(node)
            .chain(reached.iter().map(|visit| &visit.node))
            .collect(),
        InstanceEvent::TaskRolledBack {
            superseded, reopened, ..
        } => superseded
            .iter()
            .chain(reopened.iter().map(|again| &again.node))
            .collect(),
        InstanceEvent::RollbackRedone { superseded, restored } => superseded.iter().chain(restored).collect(),
        InstanceEvent::FlowStarted { .. }
        | InstanceEvent::FlowCompleted
        | InstanceEvent::SubFlowEnded { .. }
        | InstanceEvent::InstanceSuspended
        | InstanceEvent::InstanceResumed
        | InstanceEvent::InstanceAborted
        | InstanceEvent::InstanceRestored { .. }
        | InstanceEvent::FlowTerminated { .. } => Vec::new(),
    }
}
