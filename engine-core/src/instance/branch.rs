//! Branches: which fork opened them, whether they are open, and what they did to the data. All of it read off the nodes,
//! so that a rollback that supersedes nodes needs no bookkeeping of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{DataConflict, Merge};
use crate::id::{FlowInstanceId, NodeInstanceId};
use crate::instance::state::{FlowIndex, FlowInstance, NodeInstance, NodeStatus};
use crate::variables::{InstanceData, Snapshot, Variables};

/// The place of a branch in [`FlowInstance::branches`]; a branch stands behind the one its fork belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BranchIndex(usize);

impl BranchIndex {
    pub(super) fn place(self) -> usize {
        self.0
    }
}

/// A branch that a fork has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The place of the fork's node instance.
    pub(super) fork: usize,
    /// Its number among the branches of the fork, from 0 in the order of the model.
    pub number: u32,
    /// The sequence flow it begins with.
    pub flow: Arc<str>,
}

/// What a join joins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The fork whose branches it joins.
    pub fork: NodeInstanceId,
    /// The branches that have arrived, in this order.
    pub arrivals: Vec<Arrival>,
    /// Whether it fired without waiting for all branches; then it does not depend on those that had ended.
    pub(super) early: bool,
    /// The task whose commit made it fire.
    pub(super) fired_by: Option<NodeInstanceId>,
    /// What it closed when it fired.
    pub(super) closed: Vec<NodeInstanceId>,
    /// The sub flow instances it terminated when it fired.
    pub(super) terminated: Vec<FlowInstanceId>,
}

impl Join {
    /// A join that no branch has come to.
    pub(super) fn new(fork: NodeInstanceId) -> Self {
        Self {
            fork,
            arrivals: Vec::new(),
            early: false,
            fired_by: None,
            closed: Vec::new(),
            terminated: Vec::new(),
        }
    }
}

/// A branch that has arrived at a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The node instance it came from.
    pub source: NodeInstanceId,
    /// The branch.
    pub branch: BranchIndex,
    /// The data it came with.
    pub data: Snapshot,
}

/// What a look at all nodes tells about all branches, by their place.
pub(super) struct Standing {
    /// Whether a task, a waiting join or the beginning of the branch is still ahead in it.
    open: Vec<bool>,
}

impl Standing {
    pub(super) fn is_open(&self, branch: BranchIndex) -> bool {
        self.open.get(branch.0).copied().unwrap_or(false)
    }
}

impl FlowInstance {
    /// The branch with this number of those that a fork opened last.
    pub fn opened_branch(&self, fork: &NodeInstanceId, number: u32) -> Option<BranchIndex> {
        let has_fork = |branch: &Branch| self.node_at(branch.fork).is_some_and(|node| node.id == *fork);
        self.branches()
            .iter()
            .rposition(|branch| branch.number == number && has_fork(branch))
            .map(BranchIndex)
    }

    /// A branch by its place.
    pub fn branch(&self, index: BranchIndex) -> Option<&Branch> {
        self.branches().get(index.0)
    }

    /// The fork that opened a branch.
    pub fn fork_of(&self, index: BranchIndex) -> Option<&NodeInstance> {
        self.node_at(self.branch(index)?.fork)
    }

    /// The forks around a node, innermost first.
    pub(super) fn forks_around(&self, branch: Option<BranchIndex>) -> impl Iterator<Item = &NodeInstance> {
        let mut at = branch;
        std::iter::from_fn(move || {
            let fork = self.fork_of(at?)?;
            at = fork.branch;
            Some(fork)
        })
    }

    /// The numbers of the branches around a node and around the call activities it stands in, outermost first.
    pub(super) fn branch_numbers(&self, node: &NodeInstance) -> Vec<u32> {
        let mut numbers = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at {
            let mut branch = node.branch;
            while let Some((opened, fork)) = branch.and_then(|index| Some((self.branch(index)?, self.fork_of(index)?)))
            {
                numbers.push(opened.number);
                branch = fork.branch;
            }
            at = self.calling_node(node.flow);
        }
        numbers.reverse();
        numbers
    }

    /// Which branches are open.
    pub(super) fn standing(&self) -> Standing {
        let count = self.branches().len();
        let mut begun = vec![false; count];
        let mut open = vec![false; count];
        let set = |flags: &mut Vec<bool>, branch: BranchIndex| {
            if let Some(flag) = flags.get_mut(branch.0) {
                *flag = true;
            }
        };
        let mut joined = BTreeSet::new();
        for node in self.nodes().filter(|node| counts(node)) {
            if let Some(branch) = node.branch {
                set(&mut begun, branch);
                if node.status.is_open() {
                    set(&mut open, branch);
                }
            }
            if let Some(join) = &node.join {
                for arrival in &join.arrivals {
                    set(&mut begun, arrival.branch);
                }
                if node.status == NodeStatus::Completed {
                    joined.insert(&join.fork);
                }
            }
        }
        // A branch stands behind the one around it: first upwards what is open inside, then downwards what is over.
        let closed = |fork: &NodeInstance| !counts(fork) || joined.contains(&fork.id);
        for (index, branch) in self.branches().iter().enumerate().rev() {
            let Some(fork) = self.node_at(branch.fork) else {
                continue;
            };
            let is_open = open.get(index).is_some_and(|open| *open) || begun.get(index).is_some_and(|begun| !*begun);
            let is_open = is_open && !closed(fork);
            if let Some(flag) = open.get_mut(index) {
                *flag = is_open;
            }
            if let (true, Some(around)) = (is_open, fork.branch) {
                set(&mut open, around);
            }
        }
        for (index, branch) in self.branches().iter().enumerate() {
            let around = self.node_at(branch.fork).and_then(|fork| fork.branch);
            let is_over = around.is_some_and(|around| !open.get(around.0).copied().unwrap_or(false));
            if let (true, Some(flag)) = (is_over, open.get_mut(index)) {
                *flag = false;
            }
        }
        Standing { open }
    }

    /// How many branches of a fork are open.
    pub(super) fn open_branches(&self, fork: &NodeInstanceId, standing: &Standing) -> usize {
        let Some(fork) = self.index_of(fork) else { return 0 };
        let branches = self.branches().iter().zip(&standing.open);
        branches.filter(|(branch, open)| branch.fork == fork && **open).count()
    }

    /// The join that waits for branches of a fork: the newest, or the one with this key.
    pub(super) fn waiting_join(&self, fork: &NodeInstanceId, key: Option<&str>) -> Option<&NodeInstance> {
        self.nodes().rev().find(|node| {
            node.status == NodeStatus::Waiting
                && node.join.as_ref().is_some_and(|join| join.fork == *fork)
                && key.is_none_or(|key| *node.key == *key)
        })
    }

    /// What is open in the branches of a fork and in the sub flows that run there: nodes, and those sub flows.
    pub(super) fn open_under(
        &self,
        fork: &NodeInstanceId,
        but: &NodeInstanceId,
    ) -> (Vec<NodeInstanceId>, Vec<FlowInstanceId>) {
        let Some(place) = self.index_of(fork) else {
            return (Vec::new(), Vec::new());
        };
        let mut is_under = Vec::with_capacity(self.branches().len());
        for branch in self.branches() {
            let around = self.node_at(branch.fork).and_then(|fork| fork.branch);
            let is_inside = around
                .and_then(|around| is_under.get(around.0).copied())
                .unwrap_or(false);
            is_under.push(branch.fork == place || is_inside);
        }
        let mut flows = BTreeSet::new();
        let (mut nodes, mut terminated) = (Vec::new(), Vec::new());
        // A sub flow's nodes come after the call activity that runs it, unless that was opened again.
        loop {
            let before = (nodes.len(), flows.len());
            for node in self.nodes().filter(|node| node.status.is_open() && node.id != *but) {
                let is_inside = node.branch.and_then(|branch| is_under.get(branch.0).copied()) == Some(true)
                    || node.join.as_ref().is_some_and(|join| join.fork == *fork)
                    || flows.contains(&node.flow);
                if is_inside && !nodes.contains(&node.id) {
                    nodes.push(node.id.clone());
                    if let Some(sub_flow) = self.running_sub_flow(node)
                        && flows.insert(sub_flow)
                    {
                        terminated.extend(self.flow(sub_flow).map(|flow| flow.flow_instance_id.clone()));
                    }
                }
            }
            if before == (nodes.len(), flows.len()) {
                return (nodes, terminated);
            }
        }
    }

    /// The variables that arrived branches changed to different values, ordered by key.
    pub(super) fn conflicts(&self, join: &Join, base: &Variables, in_branch_order: bool) -> Vec<DataConflict> {
        let mut changes: Vec<(Arc<str>, usize, InstanceData)> = Vec::new();
        for (order, arrival) in join.arrivals.iter().enumerate() {
            let made = arrival.data.variables.changes_from(base);
            changes.extend(made.into_iter().map(|change| (change.key.clone(), order, change)));
        }
        changes.sort_by(|left, right| (&left.0, left.1).cmp(&(&right.0, right.1)));
        let name = |order: usize| {
            let branch = join.arrivals.get(order).and_then(|arrival| self.branch(arrival.branch));
            branch.map_or_else(|| "".into(), |branch| branch.flow.clone())
        };
        let same_key =
            |left: &(Arc<str>, usize, InstanceData), right: &(Arc<str>, usize, InstanceData)| left.0 == right.0;
        changes
            .chunk_by(same_key)
            .filter_map(|writers| {
                let (first, rest) = writers.split_first()?;
                if rest.iter().all(|other| other.2.value == first.2.value) {
                    return None;
                }
                let orders = writers.iter().map(|writer| writer.1);
                let taken = if in_branch_order {
                    orders
                        .clone()
                        .max_by_key(|order| join.arrivals.get(*order).map(|arrival| arrival.branch))
                } else {
                    orders.clone().max()
                };
                Some(DataConflict {
                    key: first.0.clone(),
                    branches: orders.map(name).collect(),
                    taken: name(taken?),
                })
            })
            .collect()
    }

    /// The data of a flow's present position: of the active task, else of the node reached last; while a fork is open,
    /// and when the flow ended without joining it, that of the fork with what its branches changed, in their order.
    pub fn current_data(&self, flow: FlowIndex) -> Variables {
        let is_reached = |node: &NodeInstance| matches!(node.status, NodeStatus::Active | NodeStatus::Completed);
        let own_data = |node: &NodeInstance| {
            if node.status == NodeStatus::Active {
                node.entry.variables.clone()
            } else {
                node.leave.variables.clone()
            }
        };
        let start_data = || self.flow(flow).map(|flow| flow.start_data.variables.clone());
        if self.branches().is_empty() {
            // The newest node stands for all, and is found without a look at the whole history.
            let newest = self.nodes_of(flow).rev().find(|node| is_reached(node));
            return newest.map(own_data).or_else(start_data).unwrap_or_default();
        }
        let count = self.branches().len();
        let mut joined = BTreeSet::new();
        // The newest node of each branch, and of the flow outside all branches.
        let mut newest: Vec<Option<usize>> = vec![None; count];
        let mut outermost = None;
        for (index, node) in self.nodes().enumerate().filter(|(_, node)| node.flow == flow) {
            if !is_reached(node) {
                continue;
            }
            match node.branch.map(|branch| newest.get_mut(branch.0)) {
                None => outermost = Some(index),
                Some(slot) => slot.into_iter().for_each(|slot| *slot = Some(index)),
            }
            if let Some(join) = &node.join {
                joined.insert(&join.fork);
            }
        }
        // What each branch and each open fork has come to, the inner ones first.
        let mut forked: Vec<(usize, Vec<InstanceData>)> = Vec::new();
        let data_at = |index: Option<usize>, forked: &[(usize, Vec<InstanceData>)]| {
            let index = index?;
            let node = self.node_at(index)?;
            let data = own_data(node);
            if joined.contains(&node.id) {
                return Some(data);
            }
            let changes = forked.iter().rev().filter(|(fork, _)| *fork == index);
            Some(changes.fold(data, |data, (_, changes)| data.merged(changes)))
        };
        for (index, branch) in self.branches().iter().enumerate().rev() {
            let is_here = self.node_at(branch.fork).is_some_and(|fork| fork.flow == flow);
            if !is_here {
                continue;
            }
            let base = self.node_at(branch.fork).map(|fork| fork.leave.variables.clone());
            let data = data_at(newest.get(index).copied().flatten(), &forked);
            if let (Some(base), Some(data)) = (base, data) {
                forked.push((branch.fork, data.changes_from(&base)));
            }
        }
        data_at(outermost, &forked).or_else(start_data).unwrap_or_default()
    }
}

/// What arrived branches lay over the data of the fork, in this order.
pub(super) fn merged_changes(join: &Join, base: &Snapshot, merge: &Merge) -> Vec<InstanceData> {
    let mut arrivals: Vec<&Arrival> = join.arrivals.iter().collect();
    match merge {
        Merge::None => return Vec::new(),
        Merge::Given(variables) => return variables.clone(),
        Merge::Last => {}
        Merge::BranchOrder => arrivals.sort_by_key(|arrival| arrival.branch),
    }
    let changes = arrivals
        .into_iter()
        .flat_map(|arrival| arrival.data.variables.changes_from(&base.variables));
    changes.collect()
}

/// Whether a node still counts: it has neither failed nor been rolled back over.
fn counts(node: &NodeInstance) -> bool {
    !matches!(node.status, NodeStatus::Failed | NodeStatus::Disabled)
}
