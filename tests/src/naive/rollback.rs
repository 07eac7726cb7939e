//! Rollback: the way back, what depends on the task at its end, and what is open again afterwards.

use super::{
    CALL_ACTIVITY, During, END_EVENT, FlowStatus, Instance, Naive, NodeStatus, START_EVENT, Tree, USER_TASK,
    calling_node, fork, locate,
};
use crate::scenario::{Answer, Rollback};

/// The way back from a node instance.
pub(super) struct Way {
    /// Flow instance and node instance of the user task to open again.
    pub(super) target: (usize, usize),
    /// Sub flow instances that are left by their start event, in the order of the way.
    pub(super) left: Vec<usize>,
}

impl Naive {
    pub(super) fn do_rollback(&mut self, root: usize, rollback: &Rollback) -> (Answer, bool) {
        let tree = self.trees[root].clone();
        if !matches!(tree.instances[0].status, FlowStatus::Running | FlowStatus::End) {
            return (Answer::code(4004), false);
        }
        if let Err(code) = tree.held() {
            return (self.refuse(code, During::Rollback), false);
        }
        let Some((mut index, mut node)) = locate(&tree, &rollback.task_instance_id) else {
            return (Answer::code(4010), false);
        };
        // A call activity whose sub flow runs is rolled back from the task that is active inside (T-26).
        while let Some(inner) = active_inside(&tree, index, node) {
            (index, node) = inner;
        }
        if !is_eligible_everywhere(&tree, index, node) || is_closed_off(&tree, index, node) {
            return (Answer::code(4002), false);
        }
        match way_back(&tree, index, node) {
            Ok(way) => match self.gone_back(&tree, &way) {
                Ok(tree) => self.went_back(root, tree),
                Err(code) => (self.refuse(code, During::Rollback), false),
            },
            Err(code) => (Answer::code(code), false),
        }
    }

    pub(super) fn go_back(&mut self, tree: &mut Tree, way: &Way) {
        for sub in &way.left {
            let parent = tree.instances[*sub].parent.expect("only sub flow instances are left");
            let call = calling_node(tree, *sub);
            if tree.instances[parent].nodes[call].status == NodeStatus::Completed {
                // It is shown once more, as entered and left again.
                let again = self.repeat(tree, parent, call);
                tree.instances[parent].nodes[again].status = NodeStatus::Disabled;
            }
        }
        // What was left depends on the target, so it goes with it.
        let (mut index, target) = way.target;
        let reopened = self.undo(tree, index, target);
        tree.rest(index, reopened);
        while let Some(parent) = tree.instances[index].parent {
            tree.instances[index].status = FlowStatus::Running;
            let mut call = calling_node(tree, index);
            if tree.instances[parent].nodes[call].status == NodeStatus::Completed {
                call = self.undo(tree, parent, call);
            }
            tree.rest(parent, call);
            index = parent;
        }
    }

    /// Opens a completed task or call activity again, without everything that depends on it.
    fn undo(&mut self, tree: &mut Tree, index: usize, at: usize) -> usize {
        let dependents = dependents(&tree.instances[index], at);
        let before = tree.instances[index].clone();
        for dependent in &dependents {
            disable(tree, index, *dependent);
        }
        let reopened = self.reopen(tree, index, at);
        for join in dependents.iter().copied().filter(|at| before.nodes[*at].is_join()) {
            let node = &before.nodes[join];
            let mut kept = node.arrivals.clone();
            kept.retain(|arrival| arrival.node != at && !dependents.contains(&arrival.node));
            if let Some(first) = kept.first() {
                let source = first.node;
                let again = self.reopen(tree, index, join);
                let again = &mut tree.instances[index].nodes[again];
                again.source = Some(source);
                again.arrivals = kept;
            }
            self.open_closed(tree, (index, join));
        }
        reopened
    }

    /// Opens again what a join had closed.
    fn open_closed(&mut self, tree: &mut Tree, by: (usize, usize)) {
        for index in 0..tree.instances.len() {
            if tree.instances[index].terminated_by == Some(by) {
                tree.instances[index].terminated_by = None;
                tree.instances[index].status = FlowStatus::Running;
            }
            for at in 0..tree.instances[index].nodes.len() {
                let node = &tree.instances[index].nodes[at];
                if node.closed_by == Some(by) && node.status == NodeStatus::Closed {
                    self.reopen(tree, index, at);
                }
            }
        }
    }

    /// Disables a node instance and opens it again as a new one.
    fn reopen(&mut self, tree: &mut Tree, index: usize, at: usize) -> usize {
        tree.instances[index].nodes[at].status = NodeStatus::Disabled;
        self.repeat(tree, index, at)
    }

    /// Puts a new node instance with the same entry data beside another: active, a join waiting.
    fn repeat(&mut self, tree: &mut Tree, index: usize, at: usize) -> usize {
        let id = self.id("node");
        let nodes = &mut tree.instances[index].nodes;
        let mut node = nodes[at].clone();
        node.id = id;
        node.status = if node.is_join() {
            NodeStatus::Waiting
        } else {
            NodeStatus::Active
        };
        node.leave = node.entry.clone();
        node.closed_by = None;
        node.fired_by = None;
        node.completed_as = 0;
        nodes.push(node);
        nodes.len() - 1
    }
}

/// The newest active node instance in the sub flow that a call activity runs right now.
fn active_inside(tree: &Tree, index: usize, node: usize) -> Option<(usize, usize)> {
    let call = &tree.instances[index].nodes[node];
    let sub = *call.subs.last().filter(|_| call.status == NodeStatus::Active)?;
    let active = tree.instances[sub]
        .nodes
        .iter()
        .rposition(|node| node.status == NodeStatus::Active)?;
    Some((sub, active))
}

/// Whether a node instance can be rolled back, and so every call activity around it.
fn is_eligible_everywhere(tree: &Tree, index: usize, node: usize) -> bool {
    let around = tree.instances[index]
        .parent
        .is_none_or(|parent| is_eligible_everywhere(tree, parent, calling_node(tree, index)));
    around && is_eligible(tree, index, node)
}

/// An active task, or a completed task or end event on which nothing completed depends (T-37).
fn is_eligible(tree: &Tree, index: usize, at: usize) -> bool {
    let instance = &tree.instances[index];
    let node = &instance.nodes[at];
    if !fork::is_task_or_end(node) {
        return false;
    }
    let stands_in_the_way = |dependent: &usize| {
        let node = &instance.nodes[*dependent];
        node.status == NodeStatus::Completed && fork::is_task_or_end(node)
    };
    match node.status {
        NodeStatus::Active => true,
        NodeStatus::Completed => !dependents(instance, at).iter().any(stands_in_the_way),
        _ => false,
    }
}

/// Whether a node instance, or a call activity around it, stands in a branch whose join has fired without it.
pub(super) fn is_closed_off(tree: &Tree, index: usize, at: usize) -> bool {
    let instance = &tree.instances[index];
    let dependents = dependents(instance, at);
    let mut branch = instance.nodes[at].branch;
    while let Some(around) = branch {
        if fork::fired_join(instance, around.fork).is_some_and(|join| !dependents.contains(&join)) {
            return true;
        }
        branch = instance.nodes[around.fork].branch;
    }
    instance
        .parent
        .is_some_and(|parent| is_closed_off(tree, parent, calling_node(tree, index)))
}

/// What a node instance follows from directly.
fn parents(instance: &Instance, at: usize) -> Vec<usize> {
    let node = &instance.nodes[at];
    let mut parents: Vec<usize> = node.source.into_iter().collect();
    if let Some(fork) = node.fork {
        parents.extend(node.arrivals.iter().map(|arrival| arrival.node));
        let waits = instance
            .model
            .element(&node.key)
            .is_some_and(|join| join.text("branchMerge") != "AnyOne");
        // Only a join that waits for all of them has regard to branches that ended.
        if waits && node.status == NodeStatus::Completed {
            parents.extend((0..instance.nodes.len()).filter(|end| {
                let node = &instance.nodes[*end];
                node.kind == END_EVENT && node.counts() && fork::is_under(instance, *end, fork)
            }));
        }
    }
    parents
}

/// The node instances that count and depend on another, in order of creation.
fn dependents(instance: &Instance, on: usize) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::new();
    loop {
        let more: Vec<usize> = (0..instance.nodes.len())
            .filter(|at| *at != on && instance.nodes[*at].counts() && !found.contains(at))
            .filter(|at| {
                let parents = parents(instance, *at);
                parents.iter().any(|parent| *parent == on || found.contains(parent))
            })
            .collect();
        if more.is_empty() {
            found.sort_unstable();
            return found;
        }
        found.extend(more);
    }
}

/// Where the way back leads from a node instance.
fn previous(instance: &Instance, at: usize) -> Result<usize, i64> {
    let node = &instance.nodes[at];
    if node.is_join() && node.status == NodeStatus::Completed {
        let start = || instance.nodes.iter().position(|node| node.kind == START_EVENT);
        return node.fired_by.or_else(start).ok_or(4010);
    }
    node.source.ok_or(4010)
}

fn way_back(tree: &Tree, index: usize, at: usize) -> Result<Way, i64> {
    let (mut index, mut at) = (index, at);
    let mut left = Vec::new();
    loop {
        let instance = &tree.instances[index];
        let node = &instance.nodes[at];
        match (node.kind, node.status) {
            (USER_TASK, NodeStatus::Completed) => {
                let target = (index, at);
                return Ok(Way { target, left });
            }
            (CALL_ACTIVITY, NodeStatus::Completed) => {
                index = *node.subs.last().ok_or(4010)?;
                at = tree.instances[index].last_end.ok_or(4010)?;
            }
            (START_EVENT, _) => {
                let parent = instance.parent.ok_or(4006)?;
                left.push(index);
                at = previous(&tree.instances[parent], calling_node(tree, index))?;
                index = parent;
            }
            _ => at = previous(instance, at)?,
        }
    }
}

/// Takes a node instance out of what counts; a sub flow instance it runs or ran is terminated.
fn disable(tree: &mut Tree, index: usize, at: usize) {
    let node = &mut tree.instances[index].nodes[at];
    // A failed attempt stays visible as such.
    if node.status == NodeStatus::Failed {
        return;
    }
    node.status = NodeStatus::Disabled;
    for sub in node.subs.clone() {
        tree.instances[sub].status = FlowStatus::Terminated;
        tree.instances[sub].terminated_by = None;
        for inner in 0..tree.instances[sub].nodes.len() {
            disable(tree, sub, inner);
        }
    }
}
