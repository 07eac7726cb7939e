//! Forks and joins: where tokens stand, what joins do with them, and the data of branches.

use super::{
    Arrival, Branch, CALL_ACTIVITY, END_EVENT, Element, FlowStatus, INCLUSIVE_GATEWAY, Instance, Naive, Node,
    NodeStatus, START_EVENT, Tree,
};
use crate::scenario::Variables;

/// Where the token of a branch, or of a whole flow, stands.
pub(super) enum Place {
    /// At this node instance: an active task, an end event, or what was closed.
    At(usize),
    /// In the branches of this fork.
    Forked(usize),
    /// At a join of the fork around, with these data.
    Arrived(Variables),
    /// Nowhere: the branch has not begun.
    Unbegun,
}

/// What a join sends on: itself and the data.
type Fired = (usize, Variables);

impl Naive {
    /// Opens the branches of a fork, one after the other.
    pub(super) fn fork(
        &mut self,
        tree: &mut Tree,
        index: usize,
        fork: usize,
        element: &Element,
        variables: &Variables,
    ) -> Result<(), i64> {
        let mut taken = Vec::new();
        for (number, key) in element.outgoing.iter().enumerate() {
            let flow = tree.instances[index].model.element(key).ok_or(4009)?;
            let condition = flow.text("conditionsequenceflow");
            let is_taken =
                element.kind != INCLUSIVE_GATEWAY || (!condition.is_empty() && self.holds(condition, variables)?);
            if is_taken {
                taken.push(number);
            }
        }
        if taken.is_empty() {
            return Err(4013);
        }
        let node = &mut tree.instances[index].nodes[fork];
        node.opened.clone_from(&taken);
        node.unbegun = taken;
        // A join that fires on the way takes away the branches that have not begun.
        while !tree.instances[index].nodes[fork].unbegun.is_empty() {
            let number = tree.instances[index].nodes[fork].unbegun.remove(0);
            let flow = element.outgoing[number].clone();
            self.travel(tree, index, fork, flow, variables.clone())?;
        }
        Ok(())
    }

    /// A token reaches a join. Gives the join if it fires.
    pub(super) fn arrive(
        &mut self,
        tree: &mut Tree,
        index: usize,
        from: usize,
        flow: &str,
        element: &Element,
        data: Variables,
    ) -> Result<Option<Fired>, i64> {
        let instance = &tree.instances[index];
        let mut branch = branch_behind(instance, from, flow).ok_or(6005)?;
        while instance.nodes[branch.fork].key != element.matched("fork") {
            branch = instance.nodes[branch.fork].branch.ok_or(6005)?;
        }
        let around = instance.nodes[branch.fork].branch;
        let join = match waiting_join(instance, branch.fork) {
            Some(join) => join,
            None => self.enter(tree, index, &element.key, Some(from), around, &data)?,
        };
        let node = &mut tree.instances[index].nodes[join];
        node.status = NodeStatus::Waiting;
        node.fork = Some(branch.fork);
        node.arrivals.push(Arrival {
            node: from,
            flow: flow.to_owned(),
            number: branch.number,
            data: data.clone(),
        });
        let instance = &tree.instances[index];
        if element.text("dataConflict") == "fail" && merges(element) && is_in_conflict(instance, join) {
            return Err(6008);
        }
        if element.text("branchMerge") == "AnyOne" || !has_open_branch(instance, branch.fork) {
            return Ok(Some(fire(tree, index, join)?));
        }
        tree.rest_with(index, join, data);
        Ok(None)
    }
}

/// The branch of what follows a node instance along one of its sequence flows.
pub(super) fn branch_behind(instance: &Instance, from: usize, flow: &str) -> Option<Branch> {
    let node = &instance.nodes[from];
    let element = instance.model.element(&node.key)?;
    if !element.is_forking() {
        return node.branch;
    }
    let number = element.outgoing.iter().position(|key| key == flow)?;
    Some(Branch { fork: from, number })
}

/// The end of a token at an end event. Gives the join that fires because of it.
pub(super) fn end_token(tree: &mut Tree, index: usize, end: usize) -> Result<Option<Fired>, i64> {
    let mut branch = tree.instances[index].nodes[end].branch;
    while let Some(Branch { fork, .. }) = branch {
        let instance = &tree.instances[index];
        if has_open_branch(instance, fork) {
            tree.rest(index, end);
            return Ok(None);
        }
        if let Some(join) = waiting_join(instance, fork) {
            return Ok(Some(fire(tree, index, join)?));
        }
        branch = instance.nodes[fork].branch;
    }
    let instance = &mut tree.instances[index];
    instance.status = if index == 0 {
        FlowStatus::Completed
    } else {
        FlowStatus::End
    };
    instance.last_end = Some(end);
    tree.rest(index, end);
    Ok(None)
}

fn waiting_join(instance: &Instance, fork: usize) -> Option<usize> {
    let is_it = |node: &Node| node.fork == Some(fork) && node.status == NodeStatus::Waiting;
    instance.nodes.iter().position(is_it)
}

/// The join that fired for a fork.
pub(super) fn fired_join(instance: &Instance, fork: usize) -> Option<usize> {
    let is_it = |node: &Node| node.fork == Some(fork) && node.status == NodeStatus::Completed;
    instance.nodes.iter().position(is_it)
}

/// Whether a node instance is in a branch of a fork, or of a fork inside it.
pub(super) fn is_under(instance: &Instance, node: usize, fork: usize) -> bool {
    match instance.nodes[node].branch {
        None => false,
        Some(branch) => branch.fork == fork || is_under(instance, branch.fork, fork),
    }
}

fn is_pending(node: &Node) -> bool {
    matches!(node.status, NodeStatus::Active | NodeStatus::Waiting)
}

fn has_open_branch(instance: &Instance, fork: usize) -> bool {
    let is_open = |(at, node): (usize, &Node)| {
        let unbegun = node.counts() && !node.unbegun.is_empty();
        (at == fork && unbegun) || (is_under(instance, at, fork) && (unbegun || is_pending(node)))
    };
    instance.nodes.iter().enumerate().any(is_open)
}

/// A join fires: what is open under its fork is closed, and the token goes on with the merged data.
fn fire(tree: &mut Tree, index: usize, join: usize) -> Result<Fired, i64> {
    let instance = &tree.instances[index];
    let fork = instance.nodes[join].fork.ok_or(5000)?;
    let element = instance.model.element(&instance.nodes[join].key).cloned().ok_or(4009)?;
    let merged = merge(instance, join, &element);
    for at in 0..instance.nodes.len() {
        if at == fork || is_under(&tree.instances[index], at, fork) {
            tree.instances[index].nodes[at].unbegun.clear();
        }
        if is_under(&tree.instances[index], at, fork) {
            close(tree, index, at, (index, join));
        }
    }
    let mover = tree.instances[index].mover;
    tree.complete(index, join);
    let node = &mut tree.instances[index].nodes[join];
    node.fired_by = mover;
    node.leave = merged.clone();
    Ok((join, merged))
}

/// Closes a node instance if it is open, and the sub flow instance it runs.
fn close(tree: &mut Tree, index: usize, at: usize, by: (usize, usize)) {
    let node = &mut tree.instances[index].nodes[at];
    if !is_pending(node) {
        return;
    }
    node.status = NodeStatus::Closed;
    node.closed_by = Some(by);
    for sub in node.subs.clone() {
        if node_runs(tree, sub) {
            tree.instances[sub].status = FlowStatus::Terminated;
            tree.instances[sub].terminated_by = Some(by);
            for inner in 0..tree.instances[sub].nodes.len() {
                close(tree, sub, inner, by);
            }
        }
    }
}

fn node_runs(tree: &Tree, sub: usize) -> bool {
    tree.instances[sub].status == FlowStatus::Running
}

fn merges(element: &Element) -> bool {
    element.text("dataMerge") != "None"
}

/// What each arrived branch changed, in order of arrival, with the branch's number.
fn arrived_changes(instance: &Instance, join: usize) -> Vec<(usize, Variables)> {
    let node = &instance.nodes[join];
    let at_fork = &instance.nodes[node.fork.expect("a join has a fork")].leave;
    let arrivals = node.arrivals.iter();
    arrivals
        .map(|arrival| (arrival.number, changes(&arrival.data, at_fork)))
        .collect()
}

fn merge(instance: &Instance, join: usize, element: &Element) -> Variables {
    let fork = instance.nodes[join].fork.expect("a join has a fork");
    let mut merged = instance.nodes[fork].leave.clone();
    if merges(element) {
        let mut arrived = arrived_changes(instance, join);
        if element.text("dataConflict") == "branchOrder" {
            arrived.sort_by_key(|(number, _)| *number);
        }
        merged.extend(arrived.into_iter().flat_map(|(_, changes)| changes));
    }
    merged
}

/// Whether the newest arrival changed a variable to another value than an earlier one did.
fn is_in_conflict(instance: &Instance, join: usize) -> bool {
    let mut arrived = arrived_changes(instance, join);
    let Some((_, newest)) = arrived.pop() else {
        return false;
    };
    let differs = |earlier: &Variables| {
        newest
            .iter()
            .any(|(key, value)| earlier.get(key).is_some_and(|other| other != value))
    };
    arrived.iter().any(|(_, earlier)| differs(earlier))
}

/// The variables whose value differs from the one at the fork.
fn changes(data: &Variables, at_fork: &Variables) -> Variables {
    let changed = data.iter().filter(|(key, value)| at_fork.get(*key) != Some(value));
    changed.map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Where the token that stood at a node instance stands now.
fn place(instance: &Instance, node: usize) -> Place {
    let is_fork = !instance.nodes[node].opened.is_empty();
    if is_fork {
        return match fired_join(instance, node) {
            Some(join) => place(instance, join),
            None => Place::Forked(node),
        };
    }
    follow(instance, node, instance.nodes[node].branch).unwrap_or(Place::At(node))
}

/// Where a branch of a fork stands.
pub(super) fn branch_place(instance: &Instance, branch: Branch) -> Place {
    follow(instance, branch.fork, Some(branch)).unwrap_or(Place::Unbegun)
}

/// Where the token went from a node instance, within `branch`, if it went on.
fn follow(instance: &Instance, from: usize, branch: Option<Branch>) -> Option<Place> {
    for (at, node) in instance.nodes.iter().enumerate().filter(|(_, node)| node.counts()) {
        if node.is_join() {
            let is_it = |arrival: &&Arrival| {
                let fork_matches = branch.is_none_or(|branch| branch.fork != from || arrival.number == branch.number);
                arrival.node == from && fork_matches
            };
            if let Some(arrival) = node.arrivals.iter().find(is_it) {
                return Some(Place::Arrived(arrival.data.clone()));
            }
        } else if node.source == Some(from) && node.branch == branch {
            return Some(place(instance, at));
        }
    }
    None
}

/// Where the token of a flow stands; none if all of it is rolled back.
pub(super) fn flow_place(instance: &Instance) -> Option<Place> {
    let start = instance.nodes.iter().position(|node| node.kind == START_EVENT)?;
    instance.nodes[start].counts().then(|| place(instance, start))
}

/// The data of the place where a token stands.
pub(super) fn data_at(instance: &Instance, place: Place) -> Option<Variables> {
    match place {
        Place::At(node) => Some(instance.nodes[node].entry.clone()),
        Place::Arrived(data) => Some(data),
        Place::Unbegun => None,
        Place::Forked(fork) => {
            let at_fork = &instance.nodes[fork].leave;
            let mut data = at_fork.clone();
            for number in &instance.nodes[fork].opened {
                let branch = Branch { fork, number: *number };
                if let Some(stands) = data_at(instance, branch_place(instance, branch)) {
                    data.extend(changes(&stands, at_fork));
                }
            }
            Some(data)
        }
    }
}

/// The data of a flow's position, sub flow instances left out.
pub(super) fn flow_data(instance: &Instance) -> Variables {
    let place = flow_place(instance);
    place.and_then(|place| data_at(instance, place)).unwrap_or_default()
}

/// The active tasks and call activities, branches in their order.
pub(super) fn active_tasks(instance: &Instance) -> Vec<usize> {
    let list = flow_place(instance).map_or_else(Vec::new, |place| active_at(instance, &place));
    let active = instance.nodes.iter().filter(|node| node.status == NodeStatus::Active);
    assert_eq!(list.len(), active.count(), "every active task stands in a branch");
    list
}

fn active_at(instance: &Instance, place: &Place) -> Vec<usize> {
    match place {
        Place::At(node) if instance.nodes[*node].status == NodeStatus::Active => vec![*node],
        Place::At(_) | Place::Arrived(_) | Place::Unbegun => Vec::new(),
        Place::Forked(fork) => {
            let branches = instance.nodes[*fork].opened.iter().map(|number| Branch {
                fork: *fork,
                number: *number,
            });
            branches
                .flat_map(|branch| active_at(instance, &branch_place(instance, branch)))
                .collect()
        }
    }
}

/// Whether a node instance is one that a rollback can be asked for.
pub(super) fn is_task_or_end(node: &Node) -> bool {
    matches!(node.kind, super::USER_TASK | CALL_ACTIVITY | END_EVENT)
}
