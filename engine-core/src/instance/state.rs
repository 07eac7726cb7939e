//! A flow instance as its stream tells it.

mod apply;
mod hash;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::chunked::Chunked;
use crate::event::{Actor, PlugInWayBack};
use crate::id::{CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, NodeInstanceId};
use crate::instance::branch::{Branch, BranchIndex, Join};
use crate::model::element::ElementType;
use crate::time::Timestamp;
use crate::value::Value;
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
    /// 3: ended for good by terminateProcess, or a sub flow instance that was rolled back over.
    Terminated,
    /// 4: a sub flow instance that reached an end event; a rollback may open it again.
    End,
    /// 5: lets nothing happen until it is resumed.
    Suspended,
    /// 6: stopped, and may be restored.
    Aborted,
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
            Self::Suspended => 5,
            Self::Aborted => 6,
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
    /// 5: a join that waits for more of its branches.
    Waiting,
    /// 6: was still open when the join of its branch fired.
    Closed,
}

impl NodeStatus {
    /// The number in the API.
    pub const fn number(self) -> i32 {
        match self {
            Self::Completed => 1,
            Self::Active => 2,
            Self::Failed => 3,
            Self::Disabled => 4,
            Self::Waiting => 5,
            Self::Closed => 6,
        }
    }

    /// Whether the flow stands here: at a task that is not committed, or at a join that waits.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Waiting)
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
    /// Whether it takes a commit.
    pub is_task: bool,
    /// The node instance the flow came from; for a join, the first to arrive.
    pub source: Option<NodeInstanceId>,
    /// The branch it belongs to; `None` where its flow is not forked.
    pub branch: Option<BranchIndex>,
    /// What a join joins.
    pub join: Option<Arc<Join>>,
    /// What a plug-in that ran here left.
    pub plug_in: Option<Arc<PlugInTrace>>,
    /// What a call activity runs, once it was started.
    pub sub_flow: Option<FlowIndex>,
    /// Who committed it last, where it takes commits and the commit named somebody.
    pub operator: Option<Arc<str>>,
    /// Where it stands.
    pub status: NodeStatus,
    /// The data it was entered with: what a rollback to it restores.
    pub entry: Snapshot,
    /// The data it was left with: what the next node is entered with.
    pub leave: Snapshot,
    /// Its place among the nodes that were done, from 1; 0 as long as it is not.
    pub(super) done: u64,
    /// When it was entered.
    pub created_at: Timestamp,
    /// When its status changed last.
    pub modified_at: Timestamp,
    /// The version of the instance that entered it.
    pub created_version: u64,
}

impl NodeInstance {
    /// Whether it takes a commit that completes it: a user task, or an element at which a plug-in waits or waited. A call
    /// activity is completed by its sub flow.
    pub fn is_user_task(&self) -> bool {
        self.is_task && (self.element_type != ElementType::CallActivity || self.plug_in.is_some())
    }
}

/// What a plug-in left at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlugInTrace {
    /// Its payload.
    pub payload: Option<Value>,
    /// Its payload when the node was reached: what a rollback to it restores.
    pub(super) entry_payload: Option<Value>,
    /// What a rollback does here.
    pub(super) way_back: PlugInWayBack,
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
    /// Where it stands, not counting that the instance may be held.
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
    pub commands: Chunked<CommandId>,
    /// Bytes of all snapshots, roughly.
    data_bytes: usize,
    flows: Vec<Arc<Flow>>,
    nodes: Chunked<Arc<NodeInstance>>,
    branches: Vec<Branch>,
    /// How many nodes were ever done.
    done: u64,
    /// Whether a node was ever reached by a commit that failed.
    has_failed: bool,
    /// Whether the instance is held, the newest hold last.
    holds: Vec<Arc<Hold>>,
    /// The rollbacks since the last commit, oldest first.
    undone: Vec<Arc<Undone>>,
}

/// Why nothing can happen in an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Suspended or aborted.
    pub status: FlowStatus,
    /// Who held it.
    pub actor: Actor,
    /// Why, in the caller's words.
    pub reason: Option<Arc<str>>,
    /// Why, as one of the flow's options.
    pub reason_option: Option<Arc<str>>,
    /// When.
    pub at: Timestamp,
}

/// What a rollback changed, so that it can be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Undone {
    /// The node instances that no longer count, with their status before.
    pub(super) superseded: Vec<(NodeInstanceId, NodeStatus)>,
    /// The node instances that it opened.
    pub(super) opened: Vec<NodeInstanceId>,
    /// Sub flow instances, with their status before.
    flows: Vec<(FlowInstanceId, FlowStatus)>,
}

impl FlowInstance {
    /// The root flow, once it exists.
    pub fn root(&self) -> Option<&Flow> {
        self.flow(FlowIndex::ROOT)
    }

    /// Where the root flow stands.
    pub fn status(&self) -> FlowStatus {
        self.status_of(FlowIndex::ROOT)
    }

    /// Where a flow stands; one that would run is suspended or aborted with its instance.
    ///
    /// An instance that was terminated is held no longer, so a sub flow that outlives it runs, as without the hold.
    pub fn status_of(&self, flow: FlowIndex) -> FlowStatus {
        let may_go_on = self.root().is_some_and(|root| root.status == FlowStatus::Running);
        let hold = self.hold().filter(|_| may_go_on);
        match (self.flow(flow).map(|flow| flow.status), hold) {
            (Some(FlowStatus::Running), Some(hold)) => hold.status,
            (Some(status), _) => status,
            (None, _) => FlowStatus::Default,
        }
    }

    /// Why nothing can happen in the instance, where that is so.
    pub fn hold(&self) -> Option<&Hold> {
        self.holds.last().map(AsRef::as_ref)
    }

    /// Whether the instance is suspended when the newest hold is taken back.
    pub(super) fn is_suspended_below(&self) -> bool {
        self.holds.len() > 1
    }

    /// The rollback that a redo would take back.
    pub(super) fn last_undone(&self) -> Option<&Undone> {
        self.undone.last().map(AsRef::as_ref)
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

    /// The flow in which a flow stands: itself, or one inside the call activities it waits in, as long as no fork is open on
    /// the way.
    pub fn position(&self, flow: FlowIndex) -> FlowIndex {
        let mut flow = flow;
        loop {
            let waits = |node: &&NodeInstance| node.status.is_open() && node.branch.is_none();
            match self.nodes_of(flow).rev().find(waits).and_then(|node| node.sub_flow) {
                Some(sub_flow) => flow = sub_flow,
                None => return flow,
            }
        }
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

    /// The tasks that wait for a commit, in the order of the branches they stand in: not call activities whose sub flow
    /// waits itself.
    pub fn active_tasks(&self) -> Vec<&NodeInstance> {
        let waits = |node: &&NodeInstance| {
            node.status == NodeStatus::Active
                && node.is_task
                && self.running_sub_flow(node).is_none()
                && self
                    .flow(node.flow)
                    .is_some_and(|flow| flow.status == FlowStatus::Running)
        };
        let mut tasks: Vec<&NodeInstance> = self.nodes().filter(waits).collect();
        if tasks.len() > 1 {
            tasks.sort_by_cached_key(|task| self.branch_numbers(task));
        }
        tasks
    }

    /// The running flow behind a call activity: it belongs to the newest node instance that stands for the call.
    pub fn running_sub_flow(&self, node: &NodeInstance) -> Option<FlowIndex> {
        let runs_for = |flow: &Flow| flow.status == FlowStatus::Running && flow.parent.as_ref() == Some(&node.id);
        node.sub_flow.filter(|index| self.flow(*index).is_some_and(runs_for))
    }

    /// The newest node instance of an element that failed when entered from `source`.
    pub fn failed_successor(&self, source: &NodeInstanceId, key: &str) -> Option<&NodeInstance> {
        // Most instances have none, so most commits need not look at all that was done before.
        if !self.has_failed {
            return None;
        }
        self.nodes()
            .rev()
            .find(|node| node.status == NodeStatus::Failed && node.source.as_ref() == Some(source) && *node.key == *key)
    }

    /// The branches that forks have opened, by their place.
    pub fn branches(&self) -> &[Branch] {
        &self.branches
    }

    /// The node instance at a place in [`FlowInstance::nodes`].
    pub(super) fn node_at(&self, index: usize) -> Option<&NodeInstance> {
        self.nodes.get(index).map(AsRef::as_ref)
    }

    /// The place of a node instance.
    pub(super) fn index_of(&self, id: &NodeInstanceId) -> Option<usize> {
        self.nodes.iter().rposition(|node| node.id == *id)
    }

    /// Bytes the instance takes in memory, roughly.
    pub fn weight(&self) -> usize {
        512 + self.flows.len() * 256
            + self.nodes.len() * 368
            + self.branches.len() * 40
            + self.commands.len() * 24
            + self.data_bytes
    }
}
