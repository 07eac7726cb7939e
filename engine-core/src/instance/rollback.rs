//! Rollback: which task opens again, and what no longer counts. Decided on the fold, recorded as one fact.

use std::collections::BTreeSet;

use crate::context::Context;
use crate::decider::Recorder;
use crate::event::{Given, InstanceCommand, InstanceEvent, Reopened};
use crate::id::{FlowInstanceId, IdKind, NodeInstanceId};
use crate::instance::decide::Decided;
use crate::instance::element::{self, WayBack};
use crate::instance::state::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use crate::model::element::ElementType;
use crate::rejection::Rejection;
use crate::result_code::ResultCode;

/// Decides a rollback from `task` to the user task before it.
pub(super) fn decide(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    task: &NodeInstanceId,
    context: &Context<'_>,
) -> Decided {
    if state.status() != FlowStatus::Running {
        return Err(Rejection::new(
            ResultCode::RollbackNotRunning,
            format!("the flow instance has status {}", state.status().number()),
        ));
    }
    let Some(requested) = state.node(task) else {
        return Err(Rejection::new(
            ResultCode::NodeInstanceNotFound,
            format!("the flow instance has no node instance {task}"),
        ));
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
    let new_id = |number| context.id(&given.envelope, IdKind::NodeInstance, number).into();
    let mut way = Way {
        state,
        new_id: &new_id,
        superseded: Vec::new(),
        reopened: Vec::new(),
        resumed: Vec::new(),
        terminated: Vec::new(),
    };
    if !way.go_back(node) {
        return Err(Rejection::new(
            ResultCode::NoUserTaskToRollback,
            format!("there is no user task before {}", requested.key),
        )
        .about(task));
    }
    let Way {
        superseded,
        reopened,
        resumed,
        terminated,
        ..
    } = way;
    let mut recorder = Recorder::new(state, given);
    recorder.record(InstanceEvent::TaskRolledBack {
        superseded,
        reopened,
        resumed,
        terminated,
    });
    Ok(recorder.finish())
}

/// The task that is active inside a call activity whose sub flow runs, over all levels; else the node itself (T-26).
fn innermost<'s>(state: &'s FlowInstance, node: &'s NodeInstance) -> &'s NodeInstance {
    let mut node = node;
    while let Some(sub_flow) = state.running_sub_flow(node) {
        let active = state
            .nodes_of(sub_flow)
            .rev()
            .find(|node| node.status == NodeStatus::Active && node.element_type.is_task());
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

/// An active task newer than the newest completed one, or that completed one itself, as in the reference engine.
fn is_eligible(state: &FlowInstance, task: &NodeInstance) -> bool {
    for node in state.nodes_of(task.flow).rev() {
        let counts = node.element_type.is_task() || node.element_type == ElementType::EndEvent;
        match node.status {
            NodeStatus::Active if counts && node.id == task.id => return true,
            NodeStatus::Completed if counts => return node.id == task.id,
            NodeStatus::Active | NodeStatus::Completed | NodeStatus::Failed | NodeStatus::Disabled => {}
        }
    }
    false
}

/// What a rollback gathers on its way back.
struct Way<'a> {
    state: &'a FlowInstance,
    new_id: &'a dyn Fn(u32) -> NodeInstanceId,
    superseded: Vec<NodeInstanceId>,
    reopened: Vec<Reopened>,
    resumed: Vec<FlowInstanceId>,
    terminated: Vec<FlowInstanceId>,
}

impl<'a> Way<'a> {
    /// Goes back from a node, out of its flow where that has no earlier task; false when the root's start is reached.
    fn go_back(&mut self, from: &'a NodeInstance) -> bool {
        let mut flow = from.flow;
        let mut is_open = self.walk_back(from);
        while let Some(call) = self.state.calling_node(flow) {
            if is_open {
                self.note_flow(flow, FlowStatus::End);
                if call.status == NodeStatus::Completed {
                    self.supersede_after(call);
                    self.reopen(call);
                }
            } else {
                self.note_flow(flow, FlowStatus::Terminated);
                self.supersede(call);
                is_open = self.source(call).is_some_and(|source| self.walk_back(source));
            }
            flow = call.flow;
        }
        is_open
    }

    /// Goes back from a node within its flow, and through the call activities on the way, until a user task is open
    /// again; false when the flow's start is reached.
    fn walk_back(&mut self, from: &'a NodeInstance) -> bool {
        let mut node = from;
        // Sources are always older than what they led to, so this ends at a start event.
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
        self.reopen(call);
        if is_open {
            self.note_flow(sub_flow, FlowStatus::End);
        } else {
            self.note_flow(sub_flow, FlowStatus::Terminated);
            if let Some(call) = self.reopened.last_mut() {
                call.superseded = true;
            }
        }
        is_open
    }

    fn source(&self, node: &NodeInstance) -> Option<&'a NodeInstance> {
        node.source.as_ref().and_then(|id| self.state.node(id))
    }

    /// A flow that had ended runs again, or one is over for good.
    fn note_flow(&mut self, index: FlowIndex, becomes: FlowStatus) {
        let Some(flow) = self.state.flow(index) else { return };
        let id = flow.flow_instance_id.clone();
        if becomes == FlowStatus::Terminated {
            self.terminated.push(id);
        } else if flow.status == FlowStatus::End {
            self.resumed.push(id);
        }
    }

    fn supersede(&mut self, node: &NodeInstance) {
        if !self.superseded.contains(&node.id) {
            self.superseded.push(node.id.clone());
        }
    }

    fn reopen(&mut self, node: &NodeInstance) {
        self.supersede(node);
        let number = u32::try_from(self.reopened.len()).unwrap_or(u32::MAX);
        self.reopened.push(Reopened {
            of: node.id.clone(),
            node: (self.new_id)(number),
            superseded: false,
        });
    }

    /// What came after a node in its flow and still counts no longer does (T-27); what call activities there run is over.
    fn supersede_after(&mut self, node: &NodeInstance) {
        let mut reached = BTreeSet::from([&node.id]);
        let mut later = Vec::new();
        for candidate in self.state.nodes_of(node.flow) {
            if candidate.source.as_ref().is_some_and(|source| reached.contains(source)) {
                reached.insert(&candidate.id);
                later.push(candidate);
            }
        }
        for node in later.into_iter().rev() {
            if matches!(node.status, NodeStatus::Active | NodeStatus::Completed) {
                self.supersede_sub_flow(node);
                self.supersede(node);
            }
        }
    }

    fn supersede_sub_flow(&mut self, call: &NodeInstance) {
        let Some(sub_flow) = self.state.running_sub_flow(call) else {
            return;
        };
        let is_known = self
            .state
            .flow(sub_flow)
            .is_some_and(|flow| self.terminated.contains(&flow.flow_instance_id));
        if is_known {
            return;
        }
        self.note_flow(sub_flow, FlowStatus::Terminated);
        let state = self.state;
        for node in state.nodes_of(sub_flow).rev() {
            if matches!(node.status, NodeStatus::Active | NodeStatus::Completed) {
                self.supersede_sub_flow(node);
                self.supersede(node);
            }
        }
    }
}
