//! Rollback: which task opens again, and what no longer counts. Decided on the fold, recorded as one fact.

use std::collections::{BTreeMap, BTreeSet};

use crate::context::Context;
use crate::decider::{Decision, Recorder};
use crate::event::{Compensation, Given, InstanceCommand, InstanceEvent, Reopened, RollbackTarget};
use crate::id::{FlowInstanceId, IdKind, NodeInstanceId};
use crate::instance::advance::{self, Failure, Halt};
use crate::instance::decide::Decided;
use crate::instance::element::{self, WayBack};
use crate::instance::lifecycle;
use crate::instance::state::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use crate::model::element::{ElementType, OnRollback};
use crate::rejection::Rejection;
use crate::result_code::ResultCode;

/// Decides a rollback from `task` to the user task before it.
pub(super) fn decide(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    task: &NodeInstanceId,
    context: &Context<'_>,
) -> Decided {
    runs(state)?;
    let Some(requested) = state.node(task) else {
        return Err(unknown(task));
    };
    let node = innermost(state, requested);
    if !is_eligible_at_every_level(state, node) {
        return Err(Rejection::new(
            ResultCode::RollbackFailed,
            format!(
                "node instance {task} of {} is neither an active task nor the task completed last",
                requested.key
            ),
        )
        .about(task));
    }
    if let Some(join) = closed_without(state, node) {
        let detail = format!("{} stands in a branch that join {} has closed", requested.key, join.key);
        return Err(Rejection::new(ResultCode::RollbackFailed, detail).about(task));
    }
    let new_id = |number| context.id(&given.envelope, IdKind::NodeInstance, number).into();
    let mut way = Way::new(state, context, &new_id);
    if !way.go_back(node) {
        return Err(Rejection::new(
            ResultCode::NoUserTaskToRollback,
            format!("there is no user task before {}", requested.key),
        )
        .about(task));
    }
    debug_assert!(
        way.opened().is_none_or(|opened| way.closed_by(opened).is_none()),
        "the way back out of open branches leads into no closed one"
    );
    way.record(given, task)
}

/// Decides a rollback to any completed user task.
pub(super) fn decide_to(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    target: &RollbackTarget,
    context: &Context<'_>,
) -> Decided {
    runs(state)?;
    let task = match target {
        RollbackTarget::Node(id) => state.node(id).ok_or_else(|| unknown(id))?,
        // Without a completed visit the newest one says why it cannot be opened again.
        RollbackTarget::Element(key) => match newest_completed(state, key).or_else(|| newest(state, key)) {
            Some(task) => task,
            None => return not_reached(state, key, context),
        },
    };
    let refuse = |code, detail: String| Err(Rejection::new(code, detail).about(&task.id));
    if element::roll_back(task) != WayBack::Reopen {
        let detail = match task.status {
            NodeStatus::Active if task.is_task => format!("{} is active already", task.key),
            NodeStatus::Disabled => format!("{} was rolled back over and no longer counts", task.key),
            NodeStatus::Closed => format!("{} was closed by the join of its branch", task.key),
            NodeStatus::Failed => format!("{} was reached by a commit that failed", task.key),
            NodeStatus::Completed if task.is_task && task.plug_in.is_some() => {
                format!("rollbacks go over {}, as its plug-in decided", task.key)
            }
            _ => format!("{} {} is not a user task", task.element_type, task.key),
        };
        return refuse(ResultCode::NodeNotCompleted, detail);
    }
    let new_id = |number| context.id(&given.envelope, IdKind::NodeInstance, number).into();
    let mut way = Way::new(state, context, &new_id);
    way.go_to(task);
    if let Some(join) = way.closed_by(task) {
        let detail = format!(
            "{} stands in a branch that join {} has closed, and would stay closed",
            task.key, join.key
        );
        return refuse(ResultCode::TransitionIllegal, detail);
    }
    way.record(given, &task.id)
}

/// Decides a redo: the last rollback is taken back, unless something was committed since.
pub(super) fn redo(state: &FlowInstance, given: &Given<InstanceCommand>) -> Decided {
    runs(state)?;
    let Some(undone) = state.last_undone() else {
        return Err(Rejection::new(
            ResultCode::NothingToRedo,
            "there is no rollback since the last commit that still counts",
        ));
    };
    let event = InstanceEvent::RollbackRedone {
        superseded: undone.opened.clone(),
        restored: undone.superseded.iter().map(|(id, _)| id.clone()).collect(),
    };
    let mut recorder = Recorder::new(state, given);
    recorder.record(event);
    Ok(recorder.finish())
}

fn runs(state: &FlowInstance) -> Result<(), Rejection> {
    lifecycle::not_held(state)?;
    match state.status() {
        FlowStatus::Running => Ok(()),
        status => Err(Rejection::new(ResultCode::RollbackNotRunning, lifecycle::ended(status))),
    }
}

fn unknown(id: &NodeInstanceId) -> Rejection {
    Rejection::new(
        ResultCode::NodeInstanceNotFound,
        format!("the flow instance has no node instance {id}"),
    )
}

fn newest_completed<'s>(state: &'s FlowInstance, key: &str) -> Option<&'s NodeInstance> {
    let is_meant = |node: &&NodeInstance| *node.key == *key && node.status == NodeStatus::Completed && node.is_task;
    state.nodes().rev().find(is_meant)
}

fn newest<'s>(state: &'s FlowInstance, key: &str) -> Option<&'s NodeInstance> {
    state.nodes().rev().find(|node| *node.key == *key)
}

/// Why no node has this key.
fn not_reached(state: &FlowInstance, key: &str, context: &Context<'_>) -> Decided {
    for (index, _) in state.flows() {
        match advance::deployment_of(state, index, context) {
            Ok(deployment) if deployment.model.element(key).is_some() => {
                let detail = format!("the flow never came to {key}");
                return Err(Rejection::new(ResultCode::NodeNotReached, detail));
            }
            Ok(_) => {}
            Err(halt) => return halted(halt),
        }
    }
    Err(Rejection::new(
        ResultCode::NodeNotInModel,
        format!("no flow of the instance has an element {key}"),
    ))
}

fn halted(halt: Halt) -> Decided {
    match halt {
        Halt::Ask(question) => Ok(Decision::Ask(question)),
        Halt::Fail(Failure { code, detail, .. }) | Halt::Refuse(code, detail) => Err(Rejection::new(code, detail)),
    }
}

/// The task that is active inside a call activity whose sub flow runs, over all levels; else the node itself (T-26). Of
/// several, the newest.
fn innermost<'s>(state: &'s FlowInstance, node: &'s NodeInstance) -> &'s NodeInstance {
    let mut node = node;
    while let Some(sub_flow) = state.running_sub_flow(node) {
        let active = state
            .nodes_of(sub_flow)
            .rev()
            .find(|node| node.status == NodeStatus::Active && node.is_task);
        let Some(active) = active else { break };
        node = active;
    }
    node
}

fn is_eligible_at_every_level(state: &FlowInstance, node: &NodeInstance) -> bool {
    let mut node = Some(node);
    while let Some(at) = node {
        if !is_eligible(state, at) {
            return false;
        }
        node = state.calling_node(at.flow);
    }
    true
}

/// An active task, or a completed one behind which no task or end event is completed: the reference engine's rule,
/// judged along the node's own branches (T-37).
fn is_eligible(state: &FlowInstance, node: &NodeInstance) -> bool {
    let counts = |node: &NodeInstance| node.is_task || node.element_type == ElementType::EndEvent;
    match node.status {
        NodeStatus::Active => node.is_task,
        NodeStatus::Completed => {
            counts(node)
                && !dependents(state, node)
                    .into_iter()
                    .any(|later| later.status == NodeStatus::Completed && counts(later))
        }
        NodeStatus::Failed | NodeStatus::Disabled | NodeStatus::Waiting | NodeStatus::Closed => false,
    }
}

/// The join that closed the branch of a node, or of a call activity around it, and that does not depend on that node.
fn closed_without<'s>(state: &'s FlowInstance, node: &'s NodeInstance) -> Option<&'s NodeInstance> {
    let mut at = Some(node);
    while let Some(node) = at {
        if node.branch.is_some() {
            let dependents = dependents(state, node);
            let depends = |join: &NodeInstance| dependents.iter().any(|dependent| dependent.id == join.id);
            if let Some(join) = fired_joins(state, node).find(|join| !depends(join)) {
                return Some(join);
            }
        }
        at = state.calling_node(node.flow);
    }
    None
}

/// The joins that have fired of the forks in whose branches a node stands, the innermost first.
fn fired_joins<'s>(state: &'s FlowInstance, node: &'s NodeInstance) -> impl Iterator<Item = &'s NodeInstance> {
    state.forks_around(node.branch).flat_map(|fork| {
        state.nodes_of(node.flow).filter(|join| {
            join.status == NodeStatus::Completed && join.join.as_ref().is_some_and(|join| join.fork == fork.id)
        })
    })
}

/// The nodes of the same flow that would not be as they are without a node, oldest first: what it led to, a join that
/// a branch behind it came to, a join that waited until a branch behind it had ended, and so on.
fn dependents<'s>(state: &'s FlowInstance, node: &'s NodeInstance) -> Vec<&'s NodeInstance> {
    // A join may have been reached before the node, by another branch; but not before the outermost fork around them.
    let first = state.forks_around(node.branch).last().unwrap_or(node);
    let later = state.nodes_of(node.flow).rev().take_while(|later| later.id != first.id);
    let mut nodes: Vec<&NodeInstance> = later.collect();
    nodes.reverse();
    let mut leads_to: BTreeMap<&NodeInstanceId, Vec<usize>> = BTreeMap::new();
    let mut fired: BTreeMap<&NodeInstanceId, usize> = BTreeMap::new();
    for (index, later) in nodes.iter().enumerate() {
        match &later.join {
            None => {
                if let Some(source) = &later.source {
                    leads_to.entry(source).or_default().push(index);
                }
            }
            Some(join) => {
                for arrival in &join.arrivals {
                    leads_to.entry(&arrival.source).or_default().push(index);
                }
                if later.status == NodeStatus::Completed && !join.early {
                    fired.insert(&join.fork, index);
                }
            }
        }
    }
    let mut reached = BTreeSet::new();
    let mut open = vec![node];
    while let Some(at) = open.pop() {
        let mut found = leads_to.get(&at.id).cloned().unwrap_or_default();
        if at.element_type == ElementType::EndEvent {
            found.extend(state.forks_around(at.branch).filter_map(|fork| fired.get(&fork.id)));
        }
        for index in found {
            if let Some(later) = nodes.get(index).filter(|_| reached.insert(index)) {
                open.push(later);
            }
        }
    }
    reached
        .into_iter()
        .filter_map(|index| nodes.get(index).copied())
        .collect()
}

/// What a rollback gathers on its way back.
struct Way<'a> {
    state: &'a FlowInstance,
    context: &'a Context<'a>,
    new_id: &'a dyn Fn(u32) -> NodeInstanceId,
    /// In the order in which the way came over them, and to look them up.
    superseded: Vec<&'a NodeInstance>,
    is_superseded: BTreeSet<&'a NodeInstanceId>,
    reopened: Vec<Reopened>,
    resumed: Vec<FlowInstanceId>,
    terminated: Vec<FlowInstanceId>,
    /// Joins that no longer count, and what they had closed.
    undone_joins: Vec<&'a NodeInstance>,
}

impl<'a> Way<'a> {
    fn new(state: &'a FlowInstance, context: &'a Context<'a>, new_id: &'a dyn Fn(u32) -> NodeInstanceId) -> Self {
        Self {
            state,
            context,
            new_id,
            superseded: Vec::new(),
            is_superseded: BTreeSet::new(),
            reopened: Vec::new(),
            resumed: Vec::new(),
            terminated: Vec::new(),
            undone_joins: Vec::new(),
        }
    }

    /// Goes straight to a completed user task, whatever stands between.
    fn go_to(&mut self, task: &'a NodeInstance) {
        self.supersede_after(task);
        self.reopen(task);
        let mut flow = task.flow;
        while let Some(call) = self.state.calling_node(flow) {
            self.resume_around(flow, call);
            flow = call.flow;
        }
        self.open_joins_again();
    }

    /// The task that it opens again, as it was.
    fn opened(&self) -> Option<&'a NodeInstance> {
        let opened = self.reopened.iter().find(|again| !again.superseded)?;
        self.state.node(&opened.of)
    }

    /// The join that closed the branch of a task, or of a call activity around it, and that the rollback leaves fired.
    fn closed_by(&self, task: &'a NodeInstance) -> Option<&'a NodeInstance> {
        let mut at = Some(task);
        while let Some(node) = at {
            let join = fired_joins(self.state, node).find(|join| !self.is_undone(&join.id));
            if join.is_some() {
                return join;
            }
            at = self.state.calling_node(node.flow);
        }
        None
    }

    /// Records the rollback, unless an element forbids it.
    fn record(self, given: &Given<InstanceCommand>, task: &NodeInstanceId) -> Decided {
        let mut compensations = Vec::new();
        for &node in &self.superseded {
            if node.status != NodeStatus::Completed {
                continue;
            }
            let model = match advance::deployment_of(self.state, node.flow, self.context) {
                Ok(deployment) => &deployment.model,
                Err(halt) => return halted(halt),
            };
            match model.element(&node.key).and_then(OnRollback::of) {
                None | Some(OnRollback::Ignore) => {}
                Some(OnRollback::Forbid) => {
                    let detail = format!("{} is completed, and its onRollback is forbid", node.key);
                    return Err(Rejection::new(ResultCode::RollbackForbidden, detail).about(task));
                }
                Some(OnRollback::Compensate(name)) => compensations.push((node, name)),
            }
        }
        // What was done last is undone first.
        compensations.sort_by_key(|(node, _)| std::cmp::Reverse(node.done));
        let mut recorder = Recorder::new(self.state, given);
        recorder.record(InstanceEvent::TaskRolledBack {
            superseded: self.superseded.iter().map(|node| node.id.clone()).collect(),
            reopened: self.reopened,
            resumed: self.resumed,
            terminated: self.terminated,
            compensations: compensations
                .into_iter()
                .map(|(node, name)| Compensation {
                    node: node.id.clone(),
                    name,
                })
                .collect(),
        });
        Ok(recorder.finish())
    }

    /// Goes back from a node, out of its flow where that has no earlier task; false when the root's start is reached.
    fn go_back(&mut self, from: &'a NodeInstance) -> bool {
        let mut flow = from.flow;
        let mut is_open = self.walk_back(from);
        while let Some(call) = self.state.calling_node(flow) {
            if is_open {
                self.resume_around(flow, call);
            } else {
                self.give_up_flow(flow);
                self.walk_over(call);
                is_open = self.source(call).is_some_and(|source| self.walk_back(source));
            }
            flow = call.flow;
        }
        if is_open {
            self.open_joins_again();
        }
        is_open
    }

    /// A task inside a flow is open again, so the flow runs, and so does the call activity that runs it.
    fn resume_around(&mut self, flow: FlowIndex, call: &'a NodeInstance) {
        self.note_flow(flow);
        if call.status == NodeStatus::Completed {
            self.supersede_after(call);
            self.reopen(call);
        }
    }

    /// Goes back from a node within its flow, and through the call activities on the way, until a user task is open
    /// again; false when the flow's start is reached.
    fn walk_back(&mut self, from: &'a NodeInstance) -> bool {
        let mut node = from;
        // Sources, and the task that let a join fire, are always older than what they led to, so this ends.
        loop {
            match element::roll_back(node) {
                WayBack::On => self.supersede(node),
                WayBack::Reopen => {
                    self.supersede_after(node);
                    self.reopen(node);
                    return true;
                }
                WayBack::Into => {
                    self.supersede_after(node);
                    if self.walk_back_inside(node) {
                        return true;
                    }
                }
                WayBack::Start => {
                    self.supersede(node);
                    return false;
                }
            }
            let Some(source) = self.source(node) else { return false };
            node = source;
        }
    }

    /// Goes back through a finished sub flow from its end; whether a task inside is open again.
    fn walk_back_inside(&mut self, call: &'a NodeInstance) -> bool {
        let Some(sub_flow) = call.sub_flow else { return false };
        let end = self
            .state
            .nodes_of(sub_flow)
            .rev()
            .find(|node| node.element_type == ElementType::EndEvent && node.status == NodeStatus::Completed);
        let is_open = end.is_some_and(|end| self.walk_back(end));
        if is_open {
            self.reopen(call);
            self.note_flow(sub_flow);
        } else {
            self.walk_over(call);
            self.give_up_flow(sub_flow);
        }
        is_open
    }

    /// Goes on over a call activity whose sub flow has no task to stop at. One that was done is opened again first, as in
    /// the reference engine, and no longer counts either.
    fn walk_over(&mut self, call: &'a NodeInstance) {
        if call.status != NodeStatus::Completed {
            self.supersede(call);
            return;
        }
        self.reopen(call);
        if let Some(again) = self.reopened.last_mut() {
            again.superseded = true;
        }
    }

    /// Where the way back leads from a node: from a join that fired to the task whose commit let it, or to the call
    /// activity of the same flow in which that task stands.
    fn source(&self, node: &NodeInstance) -> Option<&'a NodeInstance> {
        let fired_by = node.join.as_ref().and_then(|join| join.fired_by.as_ref());
        let mut source = self.state.node(fired_by.or(node.source.as_ref())?)?;
        while source.flow != node.flow {
            source = self.state.calling_node(source.flow)?;
        }
        Some(source)
    }

    /// A flow that had ended runs again.
    fn note_flow(&mut self, index: FlowIndex) {
        let ended = self.state.flow(index).filter(|flow| flow.status == FlowStatus::End);
        self.resumed.extend(ended.map(|flow| flow.flow_instance_id.clone()));
    }

    /// A flow is over for good, with all it did and all it called.
    fn give_up_flow(&mut self, index: FlowIndex) {
        let state = self.state;
        let mut flows = vec![index];
        while let Some(index) = flows.pop() {
            let Some(flow) = state.flow(index) else { continue };
            if self.terminated.contains(&flow.flow_instance_id) {
                continue;
            }
            if flow.status != FlowStatus::Terminated {
                self.terminated.push(flow.flow_instance_id.clone());
            }
            for node in state.nodes_of(index).rev().filter(|node| still_counts(node)) {
                flows.extend(node.sub_flow);
                self.supersede(node);
            }
        }
    }

    fn supersede(&mut self, node: &'a NodeInstance) {
        if self.is_superseded.insert(&node.id) {
            self.superseded.push(node);
            if node.join.is_some() {
                self.undone_joins.push(node);
            }
        }
    }

    fn reopen(&mut self, node: &'a NodeInstance) {
        self.supersede(node);
        let number = u32::try_from(self.reopened.len()).unwrap_or(u32::MAX);
        self.reopened.push(Reopened {
            of: node.id.clone(),
            node: (self.new_id)(number),
            superseded: false,
        });
    }

    /// What came after a node in its flow and still counts no longer does (T-27); what call activities there run is over.
    fn supersede_after(&mut self, node: &'a NodeInstance) {
        for node in dependents(self.state, node).into_iter().rev() {
            if still_counts(node) {
                if let Some(sub_flow) = node.sub_flow {
                    self.give_up_flow(sub_flow);
                }
                self.supersede(node);
            }
        }
    }

    /// A join that no longer counts, but keeps arrivals that do, waits again; and what it had closed is open again.
    fn open_joins_again(&mut self) {
        let state = self.state;
        let mut undone = std::mem::take(&mut self.undone_joins);
        undone.sort_by_key(|node| state.index_of(&node.id));
        for node in undone {
            let Some(join) = &node.join else { continue };
            if self.is_undone(&join.fork) {
                continue;
            }
            if join.arrivals.iter().any(|arrival| !self.is_undone(&arrival.source)) {
                self.reopen(node);
            }
            for id in &join.terminated {
                let call = state.find_flow(id).and_then(|flow| state.calling_node(flow));
                if call.is_some_and(|call| !self.is_undone_with_its_flow(call)) {
                    self.resumed.push(id.clone());
                }
            }
            let closed = join.closed.iter().filter_map(|id| state.node(id));
            let open_again: Vec<&NodeInstance> = closed.filter(|node| !self.is_undone_with_its_flow(node)).collect();
            for node in open_again {
                self.reopen(node);
            }
        }
    }

    fn is_undone(&self, id: &NodeInstanceId) -> bool {
        self.is_superseded.contains(id)
    }

    /// Whether the rollback goes back over a node, or over a call activity around it that is not opened again with its flow.
    fn is_undone_with_its_flow(&self, node: &NodeInstance) -> bool {
        let is_over = |call: &NodeInstance| {
            self.is_undone(&call.id) && !self.reopened.iter().any(|reopened| reopened.of == call.id)
        };
        let mut around = self.state.calling_node(node.flow);
        while let Some(call) = around {
            if is_over(call) {
                return true;
            }
            around = self.state.calling_node(call.flow);
        }
        self.is_undone(&node.id)
    }
}

/// Whether a rollback over this node changes anything: it has neither failed nor been rolled back over.
fn still_counts(node: &NodeInstance) -> bool {
    !matches!(node.status, NodeStatus::Failed | NodeStatus::Disabled)
}
