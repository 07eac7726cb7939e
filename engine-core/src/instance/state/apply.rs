//! The one place where facts change a flow instance.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Flow, FlowIndex, FlowInstance, FlowStatus, Hold, NodeInstance, NodeStatus, PlugInTrace, Undone};
use crate::event::{Envelope, Given, InstanceCommand, InstanceEvent, Merge, NodeVisit, Reopened, Transfer};
use crate::id::{FlowInstanceId, InstanceDataId, NodeInstanceId};
use crate::instance::branch::{self, Arrival, Branch, BranchIndex, Join};
use crate::model::element::ElementType;
use crate::time::Timestamp;
use crate::value::Value;
use crate::variables::{InstanceData, Snapshot};

impl FlowInstance {
    pub(in crate::instance) fn apply_event(&mut self, given: &Given<InstanceCommand>, event: &InstanceEvent) {
        let envelope = &given.envelope;
        let at = envelope.recorded_at;
        match event {
            InstanceEvent::FlowStarted { .. } => {
                self.undone.clear();
                self.start_flow(given, event);
            }
            InstanceEvent::EventPassed(visit) => self.visit(visit, NodeStatus::Completed, false, envelope),
            InstanceEvent::TaskActivated(visit) => self.visit(visit, NodeStatus::Active, true, envelope),
            InstanceEvent::GatewayReached(visit) => self.visit(visit, NodeStatus::Active, false, envelope),
            InstanceEvent::NodeReentered { node, branch } => self.enter_again(node, *branch, at),
            InstanceEvent::HookAnswered {
                node, data, variables, ..
            } => self.leave_with(node, data.as_ref(), variables, at),
            InstanceEvent::BranchTaken { node, .. } => self.set_status(node, NodeStatus::Completed, at),
            InstanceEvent::BranchesOpened { node, flows, .. } => self.open_branches_along(node, flows, at),
            InstanceEvent::JoinReached { visit, fork } => self.reach_join(visit, fork, envelope),
            InstanceEvent::BranchArrived { node, source, branch } => self.arrive(node, source, *branch, at),
            InstanceEvent::BranchesJoined { .. } => self.join_branches(given, event),
            InstanceEvent::PlugInStepped { .. } => self.step_plug_in(given, event),
            InstanceEvent::TaskCommitted { node, data } => {
                self.undone.clear();
                self.leave_with(node, data.as_ref(), given.command.variables(), at);
                self.set_status(node, NodeStatus::Completed, at);
                self.note_operator(node, envelope);
            }
            InstanceEvent::CommitFailed { reached, .. } => self.fail(reached, envelope),
            InstanceEvent::FlowCompleted => {
                if let Some(root) = self.flows.first_mut().map(Arc::make_mut) {
                    root.status = FlowStatus::Completed;
                    root.modified_at = at;
                }
            }
            InstanceEvent::SubFlowEnded { flow_instance_id } => {
                self.set_flow_status(flow_instance_id, FlowStatus::End, at);
            }
            InstanceEvent::CallReturned { node, transfer, data } => self.return_call(node, transfer, data.as_ref(), at),
            InstanceEvent::TaskRolledBack { .. } => self.go_back(envelope, event),
            InstanceEvent::RollbackRedone { .. } => self.take_rollback_back(at),
            InstanceEvent::InstanceSuspended => self.hold_as(FlowStatus::Suspended, given),
            InstanceEvent::InstanceAborted => self.hold_as(FlowStatus::Aborted, given),
            InstanceEvent::InstanceResumed | InstanceEvent::InstanceRestored { .. } => {
                self.holds.pop();
            }
            InstanceEvent::FlowTerminated { flow_instance_ids } => {
                for id in flow_instance_ids {
                    self.set_flow_status(id, FlowStatus::Terminated, at);
                }
            }
        }
    }

    /// A snapshot with changes; counts what it adds.
    fn changed(&mut self, base: &Snapshot, id: Option<&InstanceDataId>, changes: &[InstanceData]) -> Snapshot {
        let snapshot = base.merged(id, changes);
        if id.is_some() {
            let entries = snapshot.variables.len() * size_of::<InstanceData>();
            let values = changes
                .iter()
                .fold(0usize, |sum, change| sum.saturating_add(change.weight()));
            self.data_bytes = self.data_bytes.saturating_add(entries).saturating_add(values);
        }
        snapshot
    }

    fn node_mut(&mut self, id: &NodeInstanceId) -> Option<&mut NodeInstance> {
        let place = self.index_of(id)?;
        self.nodes.get_mut(place).map(Arc::make_mut)
    }

    /// The places of node instances, found in one look at all nodes.
    fn places<'i>(&self, ids: impl Iterator<Item = &'i NodeInstanceId>) -> BTreeMap<&'i NodeInstanceId, usize> {
        let mut wanted: BTreeSet<&NodeInstanceId> = ids.collect();
        let mut places = BTreeMap::new();
        for (place, node) in self.nodes.iter().enumerate().rev() {
            if wanted.is_empty() {
                break;
            }
            if let Some(id) = wanted.take(&node.id) {
                places.insert(id, place);
            }
        }
        places
    }

    fn set_status_at(&mut self, place: usize, status: NodeStatus, at: Timestamp) {
        if let Some(node) = self.nodes.get_mut(place).map(Arc::make_mut) {
            node.status = status;
            node.modified_at = at;
        }
    }

    fn set_status(&mut self, id: &NodeInstanceId, status: NodeStatus, at: Timestamp) {
        let next = self.done + 1;
        let Some(node) = self.node_mut(id) else { return };
        node.status = status;
        node.modified_at = at;
        if status == NodeStatus::Completed && node.done == 0 {
            node.done = next;
            self.done = next;
        }
    }

    fn note_operator(&mut self, id: &NodeInstanceId, envelope: &Envelope) {
        if let Some(node) = self.node_mut(id) {
            node.operator.clone_from(&envelope.actor.operator);
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

    /// The flow and the branch a node belongs to, and the data it is entered with: they come from its source, or it
    /// begins the flow that was started last.
    fn arrival(
        &self,
        source: Option<&NodeInstanceId>,
        branch: Option<u32>,
    ) -> (FlowIndex, Option<BranchIndex>, Snapshot) {
        if let Some(source) = source.and_then(|id| self.node(id)) {
            let opened = branch.and_then(|number| self.opened_branch(&source.id, number));
            return (source.flow, opened.or(source.branch), source.leave.clone());
        }
        let newest = FlowIndex(self.flows.len().saturating_sub(1));
        let start_data = self.flow(newest).map(|flow| flow.start_data.clone());
        (newest, None, start_data.unwrap_or_default())
    }

    /// A node is visited.
    fn visit(&mut self, visit: &NodeVisit, status: NodeStatus, is_task: bool, envelope: &Envelope) {
        let (flow, branch, entry) = self.arrival(visit.source.as_ref(), visit.branch);
        let is_done = status == NodeStatus::Completed;
        self.done += u64::from(is_done);
        self.nodes.push(Arc::new(NodeInstance {
            id: visit.node.clone(),
            flow,
            key: visit.key.clone(),
            element_type: ElementType::from_number(visit.element_type),
            is_task,
            source: visit.source.clone(),
            branch,
            join: None,
            plug_in: None,
            sub_flow: None,
            operator: None,
            status,
            leave: entry.clone(),
            entry,
            done: if is_done { self.done } else { 0 },
            created_at: envelope.recorded_at,
            modified_at: envelope.recorded_at,
            created_version: envelope.version,
        }));
    }

    pub(in crate::instance) fn begin_record(&mut self, envelope: &Envelope) {
        self.last_recorded_at = envelope.recorded_at;
        self.commands.push(envelope.command_id.clone());
    }

    /// A node that failed is reached again.
    fn enter_again(&mut self, id: &NodeInstanceId, branch: Option<u32>, at: Timestamp) {
        let source = self.node(id).and_then(|node| node.source.clone());
        let (_, branch, entry) = self.arrival(source.as_ref(), branch);
        let Some(node) = self.node_mut(id) else { return };
        node.branch = branch;
        node.leave = entry.clone();
        node.entry = entry;
        let status = if node.element_type == ElementType::EndEvent {
            NodeStatus::Completed
        } else {
            NodeStatus::Active
        };
        self.set_status(id, status, at);
    }

    /// A node is left with what it had so far and these variables.
    fn leave_with(
        &mut self,
        id: &NodeInstanceId,
        data: Option<&InstanceDataId>,
        variables: &[InstanceData],
        at: Timestamp,
    ) {
        let leave = self.node(id).map(|node| node.leave.clone()).unwrap_or_default();
        let leave = self.changed(&leave, data, variables);
        if let Some(node) = self.node_mut(id) {
            node.leave = leave;
            node.modified_at = at;
        }
    }

    /// A plug-in took a step at a node: with its commit, or when the flow reached it.
    fn step_plug_in(&mut self, given: &Given<InstanceCommand>, event: &InstanceEvent) {
        let InstanceEvent::PlugInStepped {
            node: id,
            plug_in: _,
            waits,
            data,
            variables,
            payload,
            way_back,
        } = event
        else {
            return;
        };
        self.undone.clear();
        self.leave_with(id, data.as_ref(), variables, given.envelope.recorded_at);
        self.data_bytes = self
            .data_bytes
            .saturating_add(payload.as_ref().map_or(0, Value::weight));
        let is_commit = given.command.committed_task() == Some(id);
        if let Some(node) = self.node_mut(id) {
            let before = node.plug_in.as_deref().cloned().unwrap_or_default();
            node.is_task = *waits || (is_commit && node.is_task);
            node.plug_in = Some(Arc::new(PlugInTrace {
                payload: payload.clone(),
                entry_payload: if is_commit {
                    before.entry_payload
                } else {
                    payload.clone()
                },
                way_back: *way_back,
            }));
        }
        if is_commit {
            self.note_operator(id, &given.envelope);
        }
    }

    /// A commit died: the nodes it had reached have failed.
    fn fail(&mut self, reached: &[NodeVisit], envelope: &Envelope) {
        self.has_failed |= !reached.is_empty();
        for visit in reached {
            if self.node(&visit.node).is_some() {
                self.set_status(&visit.node, NodeStatus::Failed, envelope.recorded_at);
            } else {
                let is_task = ElementType::from_number(visit.element_type).is_task();
                self.visit(visit, NodeStatus::Failed, is_task, envelope);
            }
        }
    }

    /// A call activity is left with what it was entered with and what its sub flow hands out.
    fn return_call(&mut self, id: &NodeInstanceId, transfer: &Transfer, data: Option<&InstanceDataId>, at: Timestamp) {
        let handed_out = match self.node(id).and_then(|call| call.sub_flow) {
            Some(sub_flow) => transfer.of(&self.current_data(sub_flow)),
            None => Vec::new(),
        };
        self.leave_with(id, data, &handed_out, at);
        self.set_status(id, NodeStatus::Completed, at);
    }

    /// A fork is done and has opened branches.
    fn open_branches_along(&mut self, fork: &NodeInstanceId, flows: &[Arc<str>], at: Timestamp) {
        self.set_status(fork, NodeStatus::Completed, at);
        if let Some(fork) = self.index_of(fork) {
            let opened = (0..).zip(flows).map(|(number, flow)| Branch {
                fork,
                number,
                flow: flow.clone(),
            });
            self.branches.extend(opened);
        }
    }

    /// A branch has come to a join that waits.
    fn arrive(&mut self, id: &NodeInstanceId, source: &NodeInstanceId, branch: Option<u32>, at: Timestamp) {
        let (_, branch, data) = self.arrival(Some(source), branch);
        if let (Some(node), Some(branch)) = (self.node_mut(id), branch) {
            node.entry = data.clone();
            node.leave = data.clone();
            node.modified_at = at;
            if let Some(join) = node.join.as_mut().map(Arc::make_mut) {
                join.arrivals.push(Arrival {
                    source: source.clone(),
                    branch,
                    data,
                });
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
            call.operator.clone_from(&given.envelope.actor.operator);
        }
    }

    /// A join waits for the branches of a fork.
    fn reach_join(&mut self, visit: &NodeVisit, fork: &NodeInstanceId, envelope: &Envelope) {
        if self.node(&visit.node).is_none() {
            self.visit(visit, NodeStatus::Waiting, false, envelope);
        }
        let branch = self.node(fork).and_then(|fork| fork.branch);
        if let Some(node) = self.node_mut(&visit.node) {
            node.status = NodeStatus::Waiting;
            node.modified_at = envelope.recorded_at;
            node.branch = branch;
            node.join = Some(Arc::new(Join::new(fork.clone())));
        }
    }

    /// A join fired: its data is that of the fork with what the branches bring, and what was open under it is closed.
    fn join_branches(&mut self, given: &Given<InstanceCommand>, event: &InstanceEvent) {
        let InstanceEvent::BranchesJoined {
            node,
            merge,
            data,
            early,
            closed,
            terminated,
            ..
        } = event
        else {
            return;
        };
        let at = given.envelope.recorded_at;
        let Some(join) = self.node(node).and_then(|node| node.join.clone()) else {
            return;
        };
        let base = self.node(&join.fork).map(|fork| fork.leave.clone()).unwrap_or_default();
        let leave = match (data, join.arrivals.as_slice(), merge) {
            (Some(_), ..) => self.changed(&base, data.as_ref(), &branch::merged_changes(&join, &base, merge)),
            (None, [only], Merge::Last | Merge::BranchOrder) => only.data.clone(),
            _ => base,
        };
        for id in closed {
            self.set_status(id, NodeStatus::Closed, at);
        }
        for id in terminated {
            self.set_flow_status(id, FlowStatus::Terminated, at);
        }
        if let Some(node) = self.node_mut(node) {
            node.entry = leave.clone();
            node.leave = leave;
            if let Some(join) = node.join.as_mut().map(Arc::make_mut) {
                join.fired_by = given.command.committed_task().cloned();
                join.early = *early;
                join.closed.clone_from(closed);
                join.terminated.clone_from(terminated);
            }
        }
        self.set_status(node, NodeStatus::Completed, at);
    }

    /// The flow goes back; what that changes is kept, so that it can be taken back.
    fn go_back(&mut self, envelope: &Envelope, event: &InstanceEvent) {
        let InstanceEvent::TaskRolledBack {
            superseded,
            reopened,
            resumed,
            terminated,
            ..
        } = event
        else {
            return;
        };
        let at = envelope.recorded_at;
        let places = self.places(superseded.iter());
        let status = |id: &NodeInstanceId| {
            let node = self.node_at(*places.get(id)?)?;
            Some((id.clone(), node.status))
        };
        let flow_status = |id: &FlowInstanceId| {
            let flow = self.find_flow(id).and_then(|index| self.flow(index))?;
            Some((id.clone(), flow.status))
        };
        self.undone.push(Arc::new(Undone {
            superseded: superseded.iter().filter_map(status).collect(),
            opened: reopened.iter().map(|again| again.node.clone()).collect(),
            flows: resumed.iter().chain(terminated).filter_map(flow_status).collect(),
        }));
        for place in places.into_values() {
            self.set_status_at(place, NodeStatus::Disabled, at);
        }
        for id in resumed {
            self.set_flow_status(id, FlowStatus::Running, at);
        }
        for id in terminated {
            self.set_flow_status(id, FlowStatus::Terminated, at);
        }
        for again in reopened {
            self.reopen(again, envelope);
        }
    }

    /// The last rollback is taken back.
    fn take_rollback_back(&mut self, at: Timestamp) {
        let Some(undone) = self.undone.pop() else { return };
        for id in &undone.opened {
            self.set_status(id, NodeStatus::Disabled, at);
        }
        let places = self.places(undone.superseded.iter().map(|(id, _)| id));
        for (id, status) in &undone.superseded {
            let Some(place) = places.get(id) else { continue };
            self.set_status_at(*place, *status, at);
            let sub_flow = self.node_at(*place).and_then(|node| node.sub_flow);
            if let Some(sub_flow) = sub_flow.and_then(|index| self.flows.get_mut(index.0)) {
                Arc::make_mut(sub_flow).parent = Some(id.clone());
            }
        }
        for (id, status) in &undone.flows {
            self.set_flow_status(id, *status, at);
        }
    }

    /// Nothing can happen until this is taken back.
    fn hold_as(&mut self, status: FlowStatus, given: &Given<InstanceCommand>) {
        let reason_option = match &given.command {
            InstanceCommand::SuspendInstance { reason_option } | InstanceCommand::AbortInstance { reason_option } => {
                reason_option.clone()
            }
            _ => None,
        };
        self.holds.push(Arc::new(Hold {
            status,
            actor: given.envelope.actor.clone(),
            reason: given.envelope.reason.clone(),
            reason_option,
            at: given.envelope.recorded_at,
        }));
    }

    /// Puts a new node instance beside one that no longer counts; a sub flow belongs to the new one from now on, and a
    /// join waits again with what had arrived and still counts.
    fn reopen(&mut self, again: &Reopened, envelope: &Envelope) {
        let Some(before) = self.node(&again.of) else { return };
        let mut node = before.clone();
        node.id = again.node.clone();
        node.status = match (again.superseded, &node.join) {
            (true, _) => NodeStatus::Disabled,
            (false, Some(_)) => NodeStatus::Waiting,
            (false, None) => NodeStatus::Active,
        };
        if let Some(join) = &node.join {
            let mut arrivals = join.arrivals.clone();
            arrivals.retain(|arrival| {
                self.node(&arrival.source)
                    .is_some_and(|source| source.status != NodeStatus::Disabled)
            });
            node.source = arrivals.first().map(|arrival| arrival.source.clone());
            node.entry = arrivals.last().map(|arrival| arrival.data.clone()).unwrap_or_default();
            node.join = Some(Arc::new(Join {
                arrivals,
                ..Join::new(join.fork.clone())
            }));
        }
        if let Some(left) = node.plug_in.as_mut().map(Arc::make_mut) {
            left.payload.clone_from(&left.entry_payload);
        }
        // A call activity that is entered again runs the flow that somebody's commit has started.
        node.operator = node.operator.filter(|_| node.sub_flow.is_some());
        node.done = 0;
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
