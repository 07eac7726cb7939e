//! rollbackTo, redoRollback and getRollbackTargets: what a rollback takes back, and how it was before.

use std::collections::BTreeSet;

use super::rollback::{Way, is_closed_off};
use super::{During, FlowStatus, Naive, NodeStatus, Tree, USER_TASK, fork, locate, view};
use crate::scenario::{Answer, Body, CompensationView, RollbackTo, TargetTaskView, TargetView, Variables};

impl Naive {
    pub(super) fn do_rollback_to(&mut self, root: usize, rollback: &RollbackTo) -> (Answer, bool) {
        match self.judge(root, |tree| target(tree, rollback)) {
            Ok(tree) => self.went_back(root, tree),
            Err(code) => (self.refuse(code, During::Rollback), false),
        }
    }

    /// What the tree of an instance would be after a rollback to a task, or why there is no such rollback.
    fn judge(&mut self, root: usize, target: impl FnOnce(&Tree) -> Result<(usize, usize), i64>) -> Result<Tree, i64> {
        let tree = self.trees[root].clone();
        if tree.instances[0].status != FlowStatus::Running {
            return Err(4004);
        }
        tree.held()?;
        let (index, node) = target(&tree)?;
        let task = &tree.instances[index].nodes[node];
        if task.kind != USER_TASK || task.status != NodeStatus::Completed {
            return Err(7409);
        }
        if is_closed_off(&tree, index, node) {
            return Err(7413);
        }
        let way = Way {
            target: (index, node),
            left: Vec::new(),
        };
        self.gone_back(&tree, &way)
    }

    /// Goes a way back, if no element forbids it, and lists what is left to be undone outside.
    pub(super) fn gone_back(&mut self, tree: &Tree, way: &Way) -> Result<Tree, i64> {
        let mut after = tree.clone();
        after.rests.clear();
        self.go_back(&mut after, way);
        let mut undone = Vec::new();
        for (index, instance) in tree.instances.iter().enumerate() {
            for (at, node) in instance.nodes.iter().enumerate() {
                let is_undone = after.instances[index].nodes[at].status == NodeStatus::Disabled;
                if node.status == NodeStatus::Completed && is_undone {
                    let element = instance.model.element(&node.key).ok_or(4009)?;
                    undone.push((node, element.text("onRollback").to_owned()));
                }
            }
        }
        if undone.iter().any(|(_, means)| means == "forbid") {
            return Err(7415);
        }
        undone.sort_by_key(|(node, _)| std::cmp::Reverse(node.completed_as));
        let compensations = undone.iter().filter_map(|(node, means)| {
            Some(CompensationView {
                node: node.id.clone(),
                model_key: node.key.clone(),
                name: means.strip_prefix("compensate:")?.trim().to_owned(),
            })
        });
        after.compensations = compensations.collect();
        Ok(after)
    }

    /// Takes a rollback over and keeps what was before it.
    pub(super) fn went_back(&mut self, root: usize, after: Tree) -> (Answer, bool) {
        let answer = after.rolled_back();
        let before = std::mem::replace(&mut self.trees[root], after);
        self.before_rollbacks[root].push(before);
        (answer, true)
    }

    pub(super) fn do_redo(&mut self, root: usize) -> (Answer, bool) {
        let now = &self.trees[root];
        if now.instances[0].status != FlowStatus::Running {
            return (Answer::code(4004), false);
        }
        if let Err(code) = now.held() {
            return (self.refuse(code, During::Rollback), false);
        }
        let Some(mut tree) = self.before_rollbacks[root].pop() else {
            return (self.refuse(7416, During::Rollback), false);
        };
        for (old, new) in tree.instances.iter_mut().zip(&now.instances) {
            for node in new.nodes.iter().skip(old.nodes.len()) {
                let mut node = node.clone();
                // What the rollback opened no longer counts; what failed since then stays on the record.
                if node.status != NodeStatus::Failed {
                    node.status = NodeStatus::Disabled;
                }
                old.nodes.push(node);
            }
        }
        let answer = tree.position();
        self.trees[root] = tree;
        (answer, true)
    }

    /// Every user task with what a rollback to it would bring, newest first.
    pub(super) fn targets(&mut self, root: usize) -> Answer {
        let now = self.trees[root].clone();
        let mut tasks = Vec::new();
        for (index, instance) in now.instances.iter().enumerate() {
            let all = instance.nodes.iter().enumerate();
            tasks.extend(
                all.filter(|(_, node)| node.kind == USER_TASK)
                    .map(|(at, node)| (age(&node.id), index, at)),
            );
        }
        tasks.sort_unstable();
        let mut targets = Vec::new();
        for (_, index, at) in tasks.into_iter().rev() {
            let instance = &now.instances[index];
            let mut target = TargetView {
                node: view::node_view(&instance.nodes[at]),
                flow_instance: instance.id.clone(),
                refused: None,
                active: Vec::new(),
                changes: Vec::new(),
                compensations: Vec::new(),
            };
            match self.judge(root, |_| Ok((index, at))) {
                Ok(then) => {
                    target.active = active(&now, &then);
                    target.changes = changes(&view::current_data(&now, 0, true), &view::current_data(&then, 0, true));
                    target.compensations = then.compensations;
                }
                Err(code) => target.refused = Some(self.refuse(code, During::Rollback).code),
            }
            targets.push(target);
        }
        Answer {
            code: 1000,
            body: Body::Targets(targets),
        }
    }
}

/// The how manieth node instance it is, by the number that its id ends in.
fn age(id: &str) -> usize {
    let number = id.rsplit('-').next().and_then(|number| number.parse().ok());
    number.expect("ids end in a number")
}

/// The node instance a request means.
fn target(tree: &Tree, rollback: &RollbackTo) -> Result<(usize, usize), i64> {
    if let Some(id) = &rollback.node_instance_id {
        return locate(tree, id).ok_or(4010);
    }
    let key = rollback.model_key.as_deref().unwrap_or_default();
    if !tree
        .instances
        .iter()
        .any(|instance| instance.model.element(key).is_some())
    {
        return Err(7410);
    }
    let mut visits = Vec::new();
    for (index, instance) in tree.instances.iter().enumerate() {
        for (at, node) in instance.nodes.iter().enumerate().filter(|(_, node)| node.key == key) {
            visits.push((node.status == NodeStatus::Completed, age(&node.id), index, at));
        }
    }
    let (_, _, index, at) = visits.into_iter().max().ok_or(7407)?;
    Ok((index, at))
}

/// The tasks that are active `then`, and whether they are so `now`.
fn active(now: &Tree, then: &Tree) -> Vec<TargetTaskView> {
    let known: BTreeSet<&str> = now
        .instances
        .iter()
        .flat_map(|instance| instance.nodes.iter().map(|node| node.id.as_str()))
        .collect();
    let mut active = Vec::new();
    collect_active(then, 0, &known, &mut active);
    active
}

/// What is done in a call activity that runs is done inside; the rest in the order of the branches.
fn collect_active(then: &Tree, index: usize, known: &BTreeSet<&str>, active: &mut Vec<TargetTaskView>) {
    let instance = &then.instances[index];
    for at in fork::active_tasks(instance) {
        let node = &instance.nodes[at];
        match node.subs.last() {
            Some(sub) => collect_active(then, *sub, known, active),
            None => active.push(TargetTaskView {
                model_key: node.key.clone(),
                flow_instance: instance.id.clone(),
                node: known.contains(node.id.as_str()).then(|| node.id.clone()),
                variables: node.entry.clone(),
            }),
        }
    }
}

fn changes(now: &Variables, then: &Variables) -> Vec<(String, Option<serde_json::Value>, Option<serde_json::Value>)> {
    let keys: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    let both = keys
        .into_iter()
        .map(|key| (key.clone(), now.get(key).cloned(), then.get(key).cloned()));
    both.filter(|(_, now, then)| now != then).collect()
}
