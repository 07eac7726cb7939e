//! A flow instance as its stream tells it, and the one place where facts change it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Envelope, Given, InstanceCommand, InstanceEvent, NodeVisit};
use crate::id::{CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, NodeInstanceId};
use crate::model::element::ElementType;
use crate::time::Timestamp;
use crate::variables::Snapshot;

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
    /// 3: ended for good by terminateProcess.
    Terminated,
}

impl FlowStatus {
    /// The number in the API.
    pub const fn number(self) -> i32 {
        match self {
            Self::Default => 0,
            Self::Completed => 1,
            Self::Running => 2,
            Self::Terminated => 3,
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

/// One visit of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInstance {
    /// Its id.
    pub id: NodeInstanceId,
    /// The element visited.
    pub key: Arc<str>,
    /// What the element is.
    pub element_type: ElementType,
    /// The node instance the flow came from.
    pub source: Option<NodeInstanceId>,
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

/// A flow instance: the fold of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowInstance {
    /// Its id, once it exists.
    pub flow_instance_id: Option<FlowInstanceId>,
    /// The deployment it runs.
    pub flow_deploy_id: Option<FlowDeployId>,
    /// The module of that deployment.
    pub flow_module_id: Option<FlowModuleId>,
    /// The tenant of the deployment.
    pub tenant: Option<Arc<str>>,
    /// The caller of the deployment.
    pub caller: Option<Arc<str>>,
    /// Where it stands.
    pub status: FlowStatus,
    /// The data it was started with.
    pub start_data: Snapshot,
    /// When it was started.
    pub created_at: Timestamp,
    /// When it changed last.
    pub modified_at: Timestamp,
    /// The command ids, by version.
    pub commands: Vec<CommandId>,
    nodes: Vec<Arc<NodeInstance>>,
}

impl FlowInstance {
    /// Every node instance in the order in which they came into being.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &NodeInstance> + ExactSizeIterator {
        self.nodes.iter().map(AsRef::as_ref)
    }

    /// The node instance with this id.
    pub fn node(&self, id: &NodeInstanceId) -> Option<&NodeInstance> {
        self.nodes().rev().find(|node| node.id == *id)
    }

    /// The tasks that wait for a commit, in the order in which they came into being.
    pub fn active_tasks(&self) -> impl Iterator<Item = &NodeInstance> {
        self.nodes()
            .filter(|node| node.status == NodeStatus::Active && node.element_type.is_task())
    }

    /// The newest node instance of an element that failed when entered from `source`.
    pub fn failed_successor(&self, source: &NodeInstanceId, key: &str) -> Option<&NodeInstance> {
        self.nodes()
            .rev()
            .find(|node| node.status == NodeStatus::Failed && node.source.as_ref() == Some(source) && *node.key == *key)
    }

    /// The data of the present position: of the active task, else of the node reached last.
    pub fn current_data(&self) -> &Snapshot {
        let at_rest = || {
            self.nodes()
                .rev()
                .find(|node| node.status == NodeStatus::Completed)
                .map(|node| &node.leave)
        };
        self.active_tasks()
            .last()
            .map(|task| &task.entry)
            .or_else(at_rest)
            .unwrap_or(&self.start_data)
    }

    /// Bytes the instance takes in memory, roughly.
    pub fn weight(&self) -> usize {
        let variables = self.current_data().variables.len();
        512 + self.nodes.len() * 320 + self.commands.len() * 24 + (variables + self.nodes.len()) * 160
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

    /// The data a node is entered with when the flow comes from `source`.
    fn data_after(&self, source: Option<&NodeInstanceId>) -> Snapshot {
        source
            .and_then(|id| self.node(id))
            .map_or(&self.start_data, |node| &node.leave)
            .clone()
    }

    fn visit(&mut self, visit: &NodeVisit, status: NodeStatus, envelope: &Envelope) {
        let entry = self.data_after(visit.source.as_ref());
        self.nodes.push(Arc::new(NodeInstance {
            id: visit.node.clone(),
            key: visit.key.clone(),
            element_type: ElementType::from_number(visit.element_type),
            source: visit.source.clone(),
            status,
            leave: entry.clone(),
            entry,
            created_at: envelope.recorded_at,
            modified_at: envelope.recorded_at,
            created_version: envelope.version,
        }));
    }

    pub(super) fn begin_record(&mut self, envelope: &Envelope) {
        self.modified_at = envelope.recorded_at;
        self.commands.push(envelope.command_id.clone());
    }

    pub(super) fn apply_event(&mut self, given: &Given<InstanceCommand>, event: &InstanceEvent) {
        let at = given.envelope.recorded_at;
        match event {
            InstanceEvent::FlowStarted {
                flow_instance_id,
                flow_deploy_id,
                flow_module_id,
                tenant,
                caller,
                data,
            } => {
                self.flow_instance_id = Some(flow_instance_id.clone());
                self.flow_deploy_id = Some(flow_deploy_id.clone());
                self.flow_module_id = Some(flow_module_id.clone());
                self.tenant.clone_from(tenant);
                self.caller.clone_from(caller);
                self.status = FlowStatus::Running;
                self.start_data = Snapshot::default().merged(data.as_ref(), given.command.variables());
                self.created_at = at;
            }
            InstanceEvent::EventPassed(visit) => self.visit(visit, NodeStatus::Completed, &given.envelope),
            InstanceEvent::TaskActivated(visit) | InstanceEvent::GatewayReached(visit) => {
                self.visit(visit, NodeStatus::Active, &given.envelope);
            }
            InstanceEvent::GatewayReentered { node } => {
                let source = self.node(node).and_then(|node| node.source.clone());
                let entry = self.data_after(source.as_ref());
                if let Some(node) = self.node_mut(node) {
                    node.status = NodeStatus::Active;
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
                if let Some(node) = self.node_mut(node) {
                    node.leave = node.entry.merged(data.as_ref(), variables);
                }
            }
            InstanceEvent::BranchTaken { node, .. } => self.set_status(node, NodeStatus::Completed, at),
            InstanceEvent::TaskCommitted { node, data } => {
                if let Some(node) = self.node_mut(node) {
                    node.leave = node.entry.merged(data.as_ref(), given.command.variables());
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
            InstanceEvent::FlowCompleted => self.status = FlowStatus::Completed,
            InstanceEvent::TaskRolledBack {
                superseded,
                reopened,
                node,
            } => {
                for id in superseded {
                    self.set_status(id, NodeStatus::Disabled, at);
                }
                if let Some(reopened) = self.node(reopened) {
                    let mut task = reopened.clone();
                    task.id = node.clone();
                    task.status = NodeStatus::Active;
                    task.leave = task.entry.clone();
                    task.created_at = at;
                    task.modified_at = at;
                    task.created_version = given.envelope.version;
                    self.nodes.push(Arc::new(task));
                }
            }
            InstanceEvent::FlowTerminated => self.status = FlowStatus::Terminated,
        }
    }
}
