//! A flow instance as its stream tells it, and the one place where facts change it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Envelope, Given, InstanceCommand, InstanceEvent, NodeVisit, Reopened};
use crate::id::{CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, InstanceDataId, NodeInstanceId};
use crate::model::element::ElementType;
use crate::time::Timestamp;
use crate::variables::{InstanceData, Snapshot, Variable};

/// Where a flow instance stands; the numbers are the API document's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FlowStatus {
    /// 0: not started.
    #[default]
    Default,
    /// 1: reached an end event.
    Completed,
    /// 2: waits for a task.
    Running,
    /// 3: ended for good by terminateProcess, or a sub flow instance that was rolled back over.
    Terminated,
    /// 4: a sub flow instance that reached an end event; a rollback may open it again.
    End,
}

impl FlowStatus {
    /// The number in the API.
    pub const fn number(self) -> i32 {
        match self {
            Self::Default => 0,
            Self::Completed => 1,
            Self::Running => 2,
            Self::Terminated => 3,
            Self::End => 4,
        }
    }
}

/// Where a node instance stands; the numbers are the API document's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeStatus {
    /// 1: done.
    Completed,
    /// 2: waits for its commit.
    Active,
    /// 3: was reached by a commit that failed.
    Failed,
    /// 4: no longer counts, because the flow was rolled back over it.
    Disabled,
}

impl NodeStatus {
    /// The number in the API.
    pub const fn number(self) -> i32 {
        match self {
            Self::Completed => 1,
            Self::Active => 2,
            Self::Failed => 3,
            Self::Disabled => 4,
        }
    }
}

/// The place of a flow in its tree: 0 for the root, then sub flow instances in the order of their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowIndex(usize);

impl FlowIndex {
    /// The root flow.
    pub const ROOT: Self = Self(0);
}

/// One visit of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInstance {
    /// Its id.
    pub id: NodeInstanceId,
    /// The flow it belongs to.
    pub flow: FlowIndex,
    /// The element visited.
    pub key: Arc<str>,
    /// What the element is.
    pub element_type: ElementType,
    /// The node instance the flow came from.
    pub source: Option<NodeInstanceId>,
    /// What a call activity runs, once it was started.
    pub sub_flow: Option<FlowIndex>,
    /// Where it stands.
    pub status: NodeStatus,
    /// The data it was entered with: what a rollback to it restores.
    pub entry: Snapshot,
    /// The data it was left with: what the next node is entered with.
    pub leave: Snapshot,
    /// When it was entered.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub modified_at: Timestamp,
    /// The version of the instance that entered it.
    pub created_version: u64,
}

/// One flow of the tree: the root or a sub flow instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its id.
    pub flow_instance_id: FlowInstanceId,
    /// The deployment it runs.
    pub flow_deploy_id: FlowDeployId,
    /// The module of that deployment.
    pub flow_module_id: FlowModuleId,
    /// The tenant of the deployment.
    pub tenant: Option<Arc<str>>,
    /// The caller of the deployment.
    pub caller: Option<Arc<str>>,
    /// The call activity that runs it; `None` for the root.
    pub parent: Option<NodeInstanceId>,
    /// Where it stands.
    pub status: FlowStatus,
    /// The data it was started with.
    pub start_data: Snapshot,
    /// When it was started.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub modified_at: Timestamp,
}

/// A flow instance with all it runs: the fold of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowInstance {
    /// Time of the newest record.
    pub last_recorded_at: Timestamp,
    /// The command ids, by version.
    pub commands: Vec<CommandId>,
    /// Bytes of all snapshots, roughly.
    data_bytes: usize,
    flows: Vec<Arc<Flow>>,
    nodes: Vec<Arc<NodeInstance>>,
}

impl FlowInstance {
    /// The root flow, once it exists.
    pub fn root(&self) -> Option<&Flow> {
        self.flow(FlowIndex::ROOT)
    }

    /// Where the root flow stands.
    pub fn status(&self) -> FlowStatus {
        self.root().map_or(FlowStatus::Default, |root| root.status)
    }

    /// A flow by its place.
    pub fn flow(&self, index: FlowIndex) -> Option<&Flow> {
        self.flows.get(index.0).map(AsRef::as_ref)
    }

    /// Every flow with its place, the root first.
    pub fn flows(&self) -> impl Iterator<Item = (FlowIndex, &Flow)> {
        self.flows
            .iter()
            .enumerate()
            .map(|(index, flow)| (FlowIndex(index), flow.as_ref()))
    }

    /// The place of the flow with this id.
    pub fn find_flow(&self, id: &FlowInstanceId) -> Option<FlowIndex> {
        self.flows()
            .find(|(_, flow)| flow.flow_instance_id == *id)
            .map(|(index, _)| index)
    }

    /// Every node instance of every flow in the order in which they came into being.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &NodeInstance> + ExactSizeIterator {
        self.nodes.iter().map(AsRef::as_ref)
    }

    /// The node instances of one flow.
    pub fn nodes_of(&self, flow: FlowIndex) -> impl DoubleEndedIterator<Item = &NodeInstance> {
        self.nodes().filter(move |node| node.flow == flow)
    }

    /// The node instance with this id.
    pub fn node(&self, id: &NodeInstanceId) -> Option<&NodeInstance> {
        self.nodes().rev().find(|node| node.id == *id)
    }

    /// The call activity that runs a flow; `None` for the root.
    pub fn calling_node(&self, flow: FlowIndex) -> Option<&NodeInstance> {
        self.flow(flow)?.parent.as_ref().and_then(|id| self.node(id))
    }

    /// How many flows call each other down to this one; 1 for the root.
    pub fn depth(&self, flow: FlowIndex) -> usize {
        let mut depth = 1;
        let mut at = flow;
        while let Some(node) = self.calling_node(at) {
            depth += 1;
            at = node.flow;
        }
        depth
    }

    /// The tasks that wait for a commit, in the order in which they came into being: not call activities whose sub flow
    /// waits itself.
    pub fn active_tasks(&self) -> impl Iterator<Item = &NodeInstance> {
        self.nodes().filter(|node| {
            node.status == NodeStatus::Active
                && node.element_type.is_task()
                && self.running_sub_flow(node).is_none()
                && self
                    .flow(node.flow)
                    .is_some_and(|flow| flow.status == FlowStatus::Running)
        })
    }

    /// The running flow behind a call activity.
    pub fn running_sub_flow(&self, node: &NodeInstance) -> Option<FlowIndex> {
        node.sub_flow
            .filter(|index| self.flow(*index).is_some_and(|flow| flow.status == FlowStatus::Running))
    }

    /// The newest node instance of an element that failed when entered from `source`.
    pub fn failed_successor(&self, source: &NodeInstanceId, key: &str) -> Option<&NodeInstance> {
        self.nodes()
            .rev()
            .find(|node| node.status == NodeStatus::Failed && node.source.as_ref() == Some(source) && *node.key == *key)
    }

    /// The data of a flow's present position: of the active task, else of the node reached last.
    pub fn current_data(&self, flow: FlowIndex) -> Snapshot {
        let mut nodes = self.nodes_of(flow).rev();
        let active = self
            .nodes_of(flow)
            .rev()
            .find(|node| node.status == NodeStatus::Active && node.element_type.is_task())
            .map(|task| &task.entry);
        active
            .or_else(|| {
                nodes
                    .find(|node| node.status == NodeStatus::Completed)
                    .map(|node| &node.leave)
            })
            .or_else(|| self.flow(flow).map(|flow| &flow.start_data))
            .cloned()
            .unwrap_or_default()
    }

    /// Bytes the instance takes in memory, roughly.
    pub fn weight(&self) -> usize {
        512 + self.flows.len() * 256 + self.nodes.len() * 320 + self.commands.len() * 24 + self.data_bytes
    }

    /// A snapshot with changes; counts what it adds.
    fn changed(&mut self, base: &Snapshot, id: Option<&InstanceDataId>, changes: &[InstanceData]) -> Snapshot {
        let snapshot = base.merged(id, changes);
        if id.is_some() {
            let entries = snapshot.variables.len() * size_of::<(Arc<str>, Variable)>();
            let values = changes
                .iter()
                .fold(0usize, |sum, change| sum.saturating_add(change.weight()));
            self.data_bytes = self.data_bytes.saturating_add(entries).saturating_add(values);
        }
        snapshot
    }

    fn node_mut(&mut self, id: &NodeInstanceId) -> Option<&mut NodeInstance> {
        self.nodes
            .iter_mut()
            .rev()
            .find(|node| node.id == *id)
            .map(Arc::make_mut)
    }

    fn set_status(&mut self, id: &NodeInstanceId, status: NodeStatus, at: Timestamp) {
        if let Some(node) = self.node_mut(id) {
            node.status = status;
            node.modified_at = at;
        }
    }

    fn flow_mut(&mut self, id: &FlowInstanceId) -> Option<&mut Flow> {
        self.flows
            .iter_mut()
            .rev()
            .find(|flow| flow.flow_instance_id == *id)
            .map(Arc::make_mut)
    }

    fn set_flow_status(&mut self, id: &FlowInstanceId, status: FlowStatus, at: Timestamp) {
        if let Some(flow) = self.flow_mut(id) {
            flow.status = status;
            flow.modified_at = at;
        }
    }

    /// The flow a node belongs to, and the data it is entered with: both come from its source, or it begins the flow
    /// that was started last.
    fn arrival(&self, source: Option<&NodeInstanceId>) -> (FlowIndex, Snapshot) {
        if let Some(source) = source.and_then(|id| self.node(id)) {
            return (source.flow, source.leave.clone());
        }
        let newest = FlowIndex(self.flows.len().saturating_sub(1));
        (
            newest,
            self.flow(newest)
                .map(|flow| flow.start_data.clone())
                .unwrap_or_default(),
        )
    }

    fn visit(&mut self, visit: &NodeVisit, status: NodeStatus, envelope: &Envelope) {
        let (flow, entry) = self.arrival(visit.source.as_ref());
        self.nodes.push(Arc::new(NodeInstance {
            id: visit.node.clone(),
            flow,
            key: visit.key.clone(),
            element_type: ElementType::from_number(visit.element_type),
            source: visit.source.clone(),
            sub_flow: None,
            status,
            leave: entry.clone(),
            entry,
            created_at: envelope.recorded_at,
            modified_at: envelope.recorded_at,
            created_version: envelope.version,
        }));
    }

    pub(super) fn begin_record(&mut self, envelope: &Envelope) {
        self.last_recorded_at = envelope.recorded_at;
        self.commands.push(envelope.command_id.clone());
    }

    pub(super) fn apply_event(&mut self, given: &Given<InstanceCommand>, event: &InstanceEvent) {
        let at = given.envelope.recorded_at;
        match event {
            InstanceEvent::FlowStarted { .. } => self.start_flow(given, event),
            InstanceEvent::EventPassed(visit) => self.visit(visit, NodeStatus::Completed, &given.envelope),
            InstanceEvent::TaskActivated(visit) | InstanceEvent::GatewayReached(visit) => {
                self.visit(visit, NodeStatus::Active, &given.envelope);
            }
            InstanceEvent::NodeReentered { node } => {
                let source = self.node(node).and_then(|node| node.source.clone());
                let (_, entry) = self.arrival(source.as_ref());
                if let Some(node) = self.node_mut(node) {
                    let passes = node.element_type == ElementType::EndEvent;
                    node.status = if passes {
                        NodeStatus::Completed
                    } else {
                        NodeStatus::Active
                    };
                    node.leave = entry.clone();
                    node.entry = entry;
                    node.modified_at = at;
                }
            }
            InstanceEvent::HookAnswered {
                node,
                data,
                variables,
                failures: _,
            } => {
                let entry = self.node(node).map(|node| node.entry.clone()).unwrap_or_default();
                let leave = self.changed(&entry, data.as_ref(), variables);
                if let Some(node) = self.node_mut(node) {
                    node.leave = leave;
                }
            }
            InstanceEvent::BranchTaken { node, .. } => self.set_status(node, NodeStatus::Completed, at),
            InstanceEvent::TaskCommitted { node, data } => {
                let entry = self.node(node).map(|node| node.entry.clone()).unwrap_or_default();
                let leave = self.changed(&entry, data.as_ref(), given.command.variables());
                if let Some(node) = self.node_mut(node) {
                    node.leave = leave;
                    node.status = NodeStatus::Completed;
                    node.modified_at = at;
                }
            }
            InstanceEvent::CommitFailed { reached, .. } => {
                for visit in reached {
                    if self.node(&visit.node).is_some() {
                        self.set_status(&visit.node, NodeStatus::Failed, at);
                    } else {
                        self.visit(visit, NodeStatus::Failed, &given.envelope);
                    }
                }
            }
            InstanceEvent::FlowCompleted => {
                if let Some(root) = self.flows.first_mut().map(Arc::make_mut) {
                    root.status = FlowStatus::Completed;
                    root.modified_at = at;
                }
            }
            InstanceEvent::SubFlowEnded { flow_instance_id } => {
                self.set_flow_status(flow_instance_id, FlowStatus::End, at);
            }
            InstanceEvent::CallReturned { node, transfer, data } => {
                let handed_out = match self.node(node).and_then(|call| call.sub_flow) {
                    Some(sub_flow) => transfer.of(&self.current_data(sub_flow).variables),
                    None => Vec::new(),
                };
                let entry = self.node(node).map(|node| node.entry.clone()).unwrap_or_default();
                let leave = self.changed(&entry, data.as_ref(), &handed_out);
                if let Some(call) = self.node_mut(node) {
                    call.leave = leave;
                    call.status = NodeStatus::Completed;
                    call.modified_at = at;
                }
            }
            InstanceEvent::TaskRolledBack {
                superseded,
                reopened,
                resumed,
                terminated,
            } => {
                for id in superseded {
                    self.set_status(id, NodeStatus::Disabled, at);
                }
                for id in resumed {
                    self.set_flow_status(id, FlowStatus::Running, at);
                }
                for id in terminated {
                    self.set_flow_status(id, FlowStatus::Terminated, at);
                }
                for again in reopened {
                    self.reopen(again, &given.envelope);
                }
            }
            InstanceEvent::FlowTerminated { flow_instance_ids } => {
                for id in flow_instance_ids {
                    self.set_flow_status(id, FlowStatus::Terminated, at);
                }
            }
        }
    }

    /// Adds a flow: the root, or the one that a call activity runs.
    fn start_flow(&mut self, given: &Given<InstanceCommand>, event: &InstanceEvent) {
        let InstanceEvent::FlowStarted {
            flow_instance_id,
            flow_deploy_id,
            flow_module_id,
            tenant,
            caller,
            parent,
            transfer,
            data,
        } = event
        else {
            return;
        };
        let at = given.envelope.recorded_at;
        let given_data = self.changed(&Snapshot::default(), data.as_ref(), given.command.variables());
        let handed_in = match (parent.as_ref().and_then(|id| self.node(id)), transfer) {
            (Some(call), Some(transfer)) => transfer.of(&call.entry.variables),
            _ => Vec::new(),
        };
        let start_data = self.changed(&given_data, data.as_ref(), &handed_in);
        let index = FlowIndex(self.flows.len());
        self.flows.push(Arc::new(Flow {
            flow_instance_id: flow_instance_id.clone(),
            flow_deploy_id: flow_deploy_id.clone(),
            flow_module_id: flow_module_id.clone(),
            tenant: tenant.clone(),
            caller: caller.clone(),
            parent: parent.clone(),
            status: FlowStatus::Running,
            start_data,
            created_at: at,
            modified_at: at,
        }));
        if let Some(call) = parent.as_ref().and_then(|id| self.node_mut(id)) {
            call.sub_flow = Some(index);
        }
    }

    /// Puts a new node instance beside one that no longer counts; a sub flow belongs to the new one from now on.
    fn reopen(&mut self, again: &Reopened, envelope: &Envelope) {
        let Some(before) = self.node(&again.of) else { return };
        let mut node = before.clone();
        node.id = again.node.clone();
        node.status = if again.superseded {
            NodeStatus::Disabled
        } else {
            NodeStatus::Active
        };
        node.leave = node.entry.clone();
        node.created_at = envelope.recorded_at;
        node.modified_at = envelope.recorded_at;
        node.created_version = envelope.version;
        if let Some(sub_flow) = node.sub_flow.and_then(|index| self.flows.get_mut(index.0)) {
            Arc::make_mut(sub_flow).parent = Some(node.id.clone());
        }
        self.nodes.push(Arc::new(node));
    }
}
