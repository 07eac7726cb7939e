//! Finds the first difference between a record and what the candidate made of its command, and tells it: at which element, by
//! which condition, with which values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::event::{Evaluated, InstanceCommand, InstanceEvent, InstanceRecord, NodeVisit};
use flowledger_engine_core::id::{FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance};
use flowledger_engine_core::model::element::Element;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::value::{Value, shortened};
use flowledger_engine_core::variables::{InstanceData, Variables};

use super::super::alike::{self, Differing, Sides};
use super::super::report::{
    ConditionChange, Course, DifferenceKind, Found, RegressionDifference, RegressionExample, RegressionValue,
    RegressionVerdict,
};
use super::{Judge, Run, Unanswered};
use crate::error::EngineError;

/// Variables that an example shows.
const VALUES_MAX: usize = 10;
/// Characters of a value, and bytes of one that is not shortened.
const VALUE_CHARS: usize = 200;
/// Characters kept of what the engine says of a failure.
const DETAIL_CHARS: usize = 500;
/// Characters kept of a condition.
const CONDITION_CHARS: usize = 500;
/// Keys that a course names.
const KEYS_MAX: usize = 20;

/// Where the record and the candidate part.
pub(super) enum Difference<'e> {
    /// The rest of the events, the first of which differ.
    Events {
        then: &'e [InstanceEvent],
        now: &'e [InstanceEvent],
    },
    /// The candidate asks what was never answered.
    Unanswered(&'e Unanswered),
}

/// The element at which both part: a node instance of one of the sides.
struct Parting<'s> {
    state: &'s FlowInstance,
    place: usize,
    flow: FlowIndex,
    key: Arc<str>,
}

impl<'s> Parting<'s> {
    fn at(state: &'s FlowInstance, id: &NodeInstanceId) -> Option<Self> {
        let place = alike::place(state, id)?;
        let node = alike::node_at(state, place)?;
        Some(Self {
            state,
            place,
            flow: node.flow,
            key: node.key.clone(),
        })
    }
}

impl Judge<'_> {
    /// The first difference of two lists of events.
    pub(super) fn first_difference<'e>(
        &self,
        run: &Run<'_>,
        sides: Sides<'_>,
        (mut then, mut now): (&'e [InstanceEvent], &'e [InstanceEvent]),
        unanswered: &'e [Unanswered],
    ) -> Result<Option<Difference<'e>>, EngineError> {
        if let ([InstanceEvent::CommitFailed { .. }], [first, ..]) = (now, unanswered) {
            return Ok(Some(Difference::Unanswered(first)));
        }
        loop {
            while let [InstanceEvent::HookAnswered { .. }, rest @ ..] = then {
                then = rest;
            }
            while let [InstanceEvent::HookAnswered { node, .. }, rest @ ..] = now {
                if let Some(asked) = unanswered.iter().find(|asked| asked.node == *node) {
                    return Ok(Some(Difference::Unanswered(asked)));
                }
                now = rest;
            }
            match (then, now) {
                ([], []) => return Ok(None),
                ([of_then, then_on @ ..], [of_now, now_on @ ..]) if sides.are_alike(of_then, of_now) => {
                    (then, now) = (then_on, now_on);
                }
                // A task with one way on records no choice.
                ([InstanceEvent::BranchTaken { node, flow, .. }, on @ ..], _)
                    if !is_choice(now) && Self::is_only_way_now(run, sides.now, alike::twin(sides, node), flow) =>
                {
                    then = on;
                }
                (_, [InstanceEvent::BranchTaken { node, flow, .. }, on @ ..])
                    if !is_choice(then) && self.is_only_way_then(sides.then, alike::origin(sides, node), flow)? =>
                {
                    now = on;
                }
                _ => return Ok(Some(Difference::Events { then, now })),
            }
        }
    }

    fn is_only_way_now(run: &Run<'_>, now: &FlowInstance, node: Option<usize>, flow: &Arc<str>) -> bool {
        let node = node.and_then(|place| alike::node_at(now, place));
        node.is_some_and(|node| {
            let model = deployment_now(run, now, node.flow);
            model.is_some_and(|deployment| has_only_way(&deployment, &node.key, flow))
        })
    }

    fn is_only_way_then(&self, then: &FlowInstance, node: Option<usize>, flow: &Arc<str>) -> Result<bool, EngineError> {
        let Some(node) = node.and_then(|place| alike::node_at(then, place)) else {
            return Ok(false);
        };
        let deployment = self.deployment_then(then, node.flow)?;
        Ok(deployment.is_some_and(|deployment| has_only_way(&deployment, &node.key, flow)))
    }

    /// Tells a difference.
    pub(super) fn tell(
        &self,
        run: &Run<'_>,
        record: &InstanceRecord,
        now: &FlowInstance,
        difference: &Difference<'_>,
    ) -> Result<Box<Found>, EngineError> {
        let (then_events, now_events) = match difference {
            Difference::Unanswered(asked) => return Ok(self.tell_unanswered(run, record, Some(now), asked)),
            Difference::Events { then, now } => (*then, *now),
        };
        let then = &run.then;
        let sides = Sides { then, now };
        if !fails(now_events)
            && let Some(missing) = self.missing_task(then, then_events)
        {
            return self.tell_missing(run, record, sides, missing, now_events);
        }
        let kind = kind_of(sides, then_events, now_events);
        let parting = parting_of(sides, then_events, now_events);
        // Where an attempt failed, the other side is looked at from the same element on.
        let from_there = |state, events, other: &[InstanceEvent]| match &parting {
            Some(parting) if fails(other) && !fails(events) => from_element(state, events, &parting.key),
            _ => events,
        };
        let (then_events, now_events) = (
            from_there(then, then_events, now_events),
            from_there(now, now_events, then_events),
        );
        let (mut course_then, mut course_now) = (self.course(then, then_events), self.course(now, now_events));
        if course_then == course_now {
            course_then.element_type = first_visit(then_events).map(|visit| visit.element_type);
            course_now.element_type = first_visit(now_events).map(|visit| visit.element_type);
        }
        let detail = [now_events, then_events].into_iter().find_map(|events| match events {
            [InstanceEvent::CommitFailed { detail, .. }, ..] => Some(shortened(detail, DETAIL_CHARS).into()),
            _ => None,
        });
        let (deployment_then, deployment_now) = match &parting {
            Some(parting) => (
                self.deployment_then(then, parting.flow)?,
                deployment_now(run, now, parting.flow),
            ),
            None => (None, None),
        };
        let condition = condition_change(
            evaluated(then_events),
            evaluated(now_events),
            deployment_then.as_deref(),
            deployment_now.as_deref(),
        );
        let names = match (&condition, &parting) {
            (Some(condition), _) => names_in(condition.text_then.iter().chain(&condition.text_now)),
            (None, Some(parting)) if kind == DifferenceKind::SequenceFlow => {
                let deployments = [&deployment_then, &deployment_now].into_iter().flatten();
                let texts = deployments.flat_map(|deployment| outgoing_conditions(deployment, &parting.key));
                names_in(&texts.collect::<Vec<_>>())
            }
            (None, _) => BTreeSet::new(),
        };
        let values = parting.as_ref().map_or_else(Vec::new, |parting| {
            let data = |state: &FlowInstance| {
                alike::node_at(state, parting.place)
                    .filter(|node| node.key == parting.key)
                    .map(|node| node.leave.variables.clone())
            };
            named_values(&names, data(then), data(now))
        });
        let element_name = parting.as_ref().map_or_else(
            || "".into(),
            |parting| name_of([&deployment_now, &deployment_then], &parting.key),
        );
        let difference = RegressionDifference {
            verdict: RegressionVerdict::Diverges,
            kind,
            flow_module_id: self.module_at(parting.as_ref()),
            element_key: parting
                .as_ref()
                .map_or_else(|| "".into(), |parting| parting.key.clone()),
            condition,
            variables: Vec::new(),
            then: course_then,
            now: course_now,
        };
        Ok(Box::new(Found {
            difference,
            element_name,
            example: RegressionExample {
                occurrence: parting.map_or(0, |parting| alike::occurrence(parting.state, parting.place)),
                values,
                detail,
                ..example(then, record, Some(now))
            },
        }))
    }

    /// Tells a node instance or a flow that has another status or other variables.
    pub(super) fn tell_data(
        &self,
        run: &Run<'_>,
        record: &InstanceRecord,
        now: &FlowInstance,
        differing: Differing,
    ) -> Result<Box<Found>, EngineError> {
        let then = &run.then;
        let nodes = match differing {
            Differing::Node(place) => alike::node_at(then, place).zip(alike::node_at(now, place)),
            Differing::Start => None,
        };
        let (mut differing, mut courses) = (Vec::new(), (Course::default(), Course::default()));
        let mut deployments = (None, None);
        if let Some((node_then, node_now)) = nodes {
            differing = differing_values(&node_then.entry.variables, &node_now.entry.variables);
            if differing.is_empty() {
                differing = differing_values(&node_then.leave.variables, &node_now.leave.variables);
            }
            if differing.is_empty() {
                // A sub flow that is entered with other variables is told at its call activity.
                let started = |state: &FlowInstance| {
                    let flow = node_then.sub_flow.and_then(|index| state.flow(index));
                    flow.map(|flow| flow.start_data.variables.clone()).unwrap_or_default()
                };
                differing = differing_values(&started(then), &started(now));
            }
            if node_then.status != node_now.status {
                let status = |number: i32| Some(format!("has status {number}").into());
                courses.0.event = status(node_then.status.number());
                courses.1.event = status(node_now.status.number());
            }
            deployments = (
                self.deployment_then(then, node_then.flow)?,
                deployment_now(run, now, node_then.flow),
            );
        } else if let (Some(root_then), Some(root_now)) = (then.root(), now.root()) {
            differing = differing_values(&root_then.start_data.variables, &root_now.start_data.variables);
        }
        let parting = nodes.and_then(|(node, _)| Parting::at(then, &node.id));
        let key: Arc<str> = parting
            .as_ref()
            .map_or_else(|| "".into(), |parting| parting.key.clone());
        Ok(Box::new(Found {
            element_name: name_of([&deployments.1, &deployments.0], &key),
            difference: RegressionDifference {
                verdict: RegressionVerdict::Diverges,
                kind: DifferenceKind::Data,
                flow_module_id: self.module_at(parting.as_ref()),
                element_key: key,
                condition: None,
                variables: differing.iter().map(|value| value.key.clone()).collect(),
                then: courses.0,
                now: courses.1,
            },
            example: RegressionExample {
                occurrence: parting.map_or(0, |parting| alike::occurrence(parting.state, parting.place)),
                values: differing,
                ..example(then, record, Some(now))
            },
        }))
    }

    /// Tells a command that the candidate refuses.
    pub(super) fn refused(
        &self,
        run: &Run<'_>,
        record: &InstanceRecord,
        (code, detail): (ResultCode, &str),
        unanswered: &[Unanswered],
    ) -> Box<Found> {
        if let Some(asked) = unanswered.first() {
            return self.tell_unanswered(run, record, None, asked);
        }
        let task = match &record.given.command {
            InstanceCommand::CommitTask { task_instance_id, .. }
            | InstanceCommand::RollbackTask { task_instance_id } => Parting::at(&run.then, task_instance_id),
            InstanceCommand::StartProcess { .. }
            | InstanceCommand::RollbackTo { .. }
            | InstanceCommand::RedoRollback
            | InstanceCommand::SuspendInstance { .. }
            | InstanceCommand::ResumeInstance { .. }
            | InstanceCommand::AbortInstance { .. }
            | InstanceCommand::RestoreInstance { .. }
            | InstanceCommand::TerminateProcess { .. } => None,
        };
        let key: Arc<str> = task.as_ref().map_or_else(|| "".into(), |task| task.key.clone());
        Box::new(Found {
            element_name: name_of([&Some(self.candidate.clone())], &key),
            difference: RegressionDifference {
                verdict: RegressionVerdict::CannotContinue,
                kind: DifferenceKind::Refused,
                flow_module_id: self.module_at(task.as_ref()),
                element_key: key,
                condition: None,
                variables: Vec::new(),
                then: event("carried out"),
                now: Course {
                    err_code: Some(self.number(code)),
                    ..Course::default()
                },
            },
            example: RegressionExample {
                occurrence: task.map_or(0, |task| alike::occurrence(task.state, task.place)),
                waits_now: alike::waits(&run.now),
                detail: Some(shortened(detail, DETAIL_CHARS).into()),
                ..example(&run.then, record, None)
            },
        })
    }

    fn tell_unanswered(
        &self,
        run: &Run<'_>,
        record: &InstanceRecord,
        now: Option<&FlowInstance>,
        asked: &Unanswered,
    ) -> Box<Found> {
        let deployment = (asked.module == self.candidate.flow_module_id).then(|| self.candidate.clone());
        let state = now.unwrap_or(&run.now);
        Box::new(Found {
            element_name: name_of([&deployment], &asked.key),
            difference: RegressionDifference {
                verdict: RegressionVerdict::CannotContinue,
                kind: DifferenceKind::UnansweredHook,
                flow_module_id: asked.module.clone(),
                element_key: asked.key.clone(),
                condition: None,
                variables: Vec::new(),
                then: event("no hook was asked"),
                now: event("asks its hooks"),
            },
            example: RegressionExample {
                occurrence: asked.occurrence,
                waits_now: alike::waits(state),
                ..example(&run.then, record, now)
            },
        })
    }

    fn tell_missing(
        &self,
        run: &Run<'_>,
        record: &InstanceRecord,
        sides: Sides<'_>,
        missing: &NodeVisit,
        now_events: &[InstanceEvent],
    ) -> Result<Box<Found>, EngineError> {
        let version = record.given.envelope.version;
        let deployment = self.deployment_then(sides.then, alike::flow_of(sides.then, &missing.node))?;
        let commits = run
            .records
            .iter()
            .filter(|(_, later)| later.given.envelope.version > version)
            .find(|(_, later)| later.given.command.committed_task() == Some(&missing.node));
        Ok(Box::new(Found {
            element_name: name_of([&deployment], &missing.key),
            difference: RegressionDifference {
                verdict: RegressionVerdict::CannotContinue,
                kind: DifferenceKind::MissingTask,
                flow_module_id: self.candidate.flow_module_id.clone(),
                element_key: missing.key.clone(),
                condition: None,
                variables: Vec::new(),
                then: Course {
                    element_key: Some(missing.key.clone()),
                    ..Course::default()
                },
                now: self.course(sides.now, now_events),
            },
            example: RegressionExample {
                occurrence: alike::place(sides.then, &missing.node)
                    .map_or(0, |place| alike::occurrence(sides.then, place)),
                committed_at: commits.map(|(_, later)| later.given.envelope.version),
                ..example(sides.then, record, Some(sides.now))
            },
        }))
    }

    /// The first task that the record reaches from here, and that the candidate does not have.
    fn missing_task<'e>(&self, then: &FlowInstance, events: &'e [InstanceEvent]) -> Option<&'e NodeVisit> {
        events.iter().find_map(|event| match event {
            InstanceEvent::TaskActivated(visit) => {
                let flow = then.flow(alike::flow_of(then, &visit.node))?;
                let lacks = flow.flow_module_id == self.candidate.flow_module_id
                    && self.candidate.model.element(&visit.key).is_none();
                lacks.then_some(visit)
            }
            _ => None,
        })
    }

    fn module_at(&self, parting: Option<&Parting<'_>>) -> FlowModuleId {
        let flow = parting.and_then(|parting| parting.state.flow(parting.flow));
        flow.map_or(&self.candidate.flow_module_id, |flow| &flow.flow_module_id)
            .clone()
    }

    /// The number under which this engine's profile answers a code.
    fn number(&self, code: ResultCode) -> i32 {
        EngineError::of_host(code, "", self.executor.profile).err_code()
    }

    /// Where a flow goes with these events.
    fn course(&self, state: &FlowInstance, events: &[InstanceEvent]) -> Course {
        let key = |id: &NodeInstanceId| state.node(id).map(|node| node.key.clone());
        let to = |element_key: Option<Arc<str>>| Course {
            element_key,
            ..Course::default()
        };
        let [first, rest @ ..] = events else {
            return Course::default();
        };
        match first {
            InstanceEvent::BranchTaken { flow, .. } => Course {
                sequence_flows: vec![flow.clone()],
                element_key: first_visit(rest).map(|visit| visit.key.clone()),
                ..Course::default()
            },
            InstanceEvent::BranchesOpened { flows, .. } => Course {
                sequence_flows: flows.iter().take(KEYS_MAX).cloned().collect(),
                ..Course::default()
            },
            InstanceEvent::EventPassed(visit)
            | InstanceEvent::TaskActivated(visit)
            | InstanceEvent::GatewayReached(visit)
            | InstanceEvent::JoinReached { visit, .. } => to(Some(visit.key.clone())),
            InstanceEvent::NodeReentered { node, .. } | InstanceEvent::BranchArrived { node, .. } => to(key(node)),
            InstanceEvent::BranchesJoined {
                node, early, closed, ..
            } => {
                let closed: Vec<Arc<str>> = closed.iter().take(KEYS_MAX).filter_map(key).collect();
                let closing = if closed.is_empty() {
                    String::new()
                } else {
                    format!(" and closes {}", closed.join(", "))
                };
                let early = if *early { " early" } else { "" };
                Course {
                    event: Some(format!("and fires{early}{closing}").into()),
                    ..to(key(node))
                }
            }
            InstanceEvent::PlugInStepped { node, waits, .. } => Course {
                event: Some(if *waits { "and waits" } else { "and goes on" }.into()),
                ..to(key(node))
            },
            InstanceEvent::CommitFailed { code, .. } => Course {
                err_code: Some(ResultCode::from_number(*code).map_or(*code, |code| self.number(code))),
                ..to(failing_node(events).and_then(key))
            },
            InstanceEvent::TaskRolledBack {
                reopened,
                compensations,
                ..
            } => {
                let task = reopened.iter().find(|again| !again.superseded);
                let names: Vec<&str> = compensations.iter().take(KEYS_MAX).map(|to_do| &*to_do.name).collect();
                let undo = if names.is_empty() {
                    String::new()
                } else {
                    format!(", to undo: {}", names.join(", "))
                };
                Course {
                    event: Some(format!("by a rollback{undo}").into()),
                    ..to(task.and_then(|again| key(&again.node)))
                }
            }
            InstanceEvent::FlowStarted { flow_module_id, .. } => {
                event(&format!("starts a flow of module {flow_module_id}"))
            }
            InstanceEvent::HookAnswered { .. } => event("asks its hooks"),
            InstanceEvent::TaskCommitted { .. } => event("commits the task"),
            InstanceEvent::FlowCompleted => event("ends"),
            InstanceEvent::SubFlowEnded { .. } => event("ends the sub flow"),
            InstanceEvent::CallReturned { .. } => event("returns from the call"),
            InstanceEvent::RollbackRedone { .. } => event("takes the rollback back"),
            InstanceEvent::InstanceSuspended => event("suspends"),
            InstanceEvent::InstanceResumed => event("resumes"),
            InstanceEvent::InstanceAborted => event("aborts"),
            InstanceEvent::InstanceRestored { .. } => event("restores"),
            InstanceEvent::FlowTerminated { flow_instance_ids } => {
                event(&format!("terminates {} flow instances", flow_instance_ids.len()))
            }
        }
    }
}

fn event(what: &str) -> Course {
    Course {
        event: Some(what.into()),
        ..Course::default()
    }
}

/// The deployment that a flow of the candidate's run runs.
fn deployment_now(run: &Run<'_>, now: &FlowInstance, flow: FlowIndex) -> Option<Arc<Deployment>> {
    use flowledger_engine_core::context::ModuleStanding::{Offline, Online, Unknown};
    let id = &now.flow(flow)?.flow_deploy_id;
    match run.answers.deployments.get(id)? {
        Online(deployment) | Offline(deployment) => Some(deployment.clone()),
        Unknown => None,
    }
}

/// An example of which only the record is known.
fn example(then: &FlowInstance, record: &InstanceRecord, now: Option<&FlowInstance>) -> RegressionExample {
    let root = then.root().map(|root| root.flow_instance_id.clone());
    RegressionExample {
        flow_instance_id: root.unwrap_or_else(|| "".into()),
        live: false,
        version: record.given.envelope.version,
        command: name_of_command(&record.given.command).into(),
        occurrence: 0,
        waits_then: alike::waits(then),
        waits_now: now.map(alike::waits).unwrap_or_default(),
        committed_at: None,
        values: Vec::new(),
        detail: None,
    }
}

fn name_of_command(command: &InstanceCommand) -> &'static str {
    match command {
        InstanceCommand::StartProcess { .. } => "startProcess",
        InstanceCommand::CommitTask { .. } => "commitTask",
        InstanceCommand::RollbackTask { .. } => "rollbackTask",
        InstanceCommand::RollbackTo { .. } => "rollbackTo",
        InstanceCommand::RedoRollback => "redoRollback",
        InstanceCommand::SuspendInstance { .. } => "suspendInstance",
        InstanceCommand::ResumeInstance { .. } => "resumeInstance",
        InstanceCommand::AbortInstance { .. } => "abortInstance",
        InstanceCommand::RestoreInstance { .. } => "restoreInstance",
        InstanceCommand::TerminateProcess { .. } => "terminateProcess",
    }
}

fn fails(events: &[InstanceEvent]) -> bool {
    matches!(events, [InstanceEvent::CommitFailed { .. }, ..])
}

/// Where both sides part: at the element that fails, else at the one that the record leaves with its first event.
fn parting_of<'s>(sides: Sides<'s>, then: &[InstanceEvent], now: &[InstanceEvent]) -> Option<Parting<'s>> {
    if fails(now) {
        return failing_node(now).and_then(|id| Parting::at(sides.now, id));
    }
    if fails(then) {
        return failing_node(then).and_then(|id| Parting::at(sides.then, id));
    }
    let at = |state, events| parting_node(events).and_then(|id| Parting::at(state, id));
    at(sides.then, then).or_else(|| at(sides.now, now))
}

fn is_choice(events: &[InstanceEvent]) -> bool {
    matches!(events, [InstanceEvent::BranchTaken { .. }, ..])
}

fn has_only_way(deployment: &Deployment, key: &str, flow: &Arc<str>) -> bool {
    let element = deployment.model.element(key);
    element.is_some_and(|element| element.outgoing.iter().eq([flow]))
}

/// What differs, by the first events of both sides.
fn kind_of(sides: Sides<'_>, then: &[InstanceEvent], now: &[InstanceEvent]) -> DifferenceKind {
    use InstanceEvent as E;
    match (then.first(), now.first()) {
        (Some(E::CommitFailed { .. }), _) | (_, Some(E::CommitFailed { .. })) => DifferenceKind::Failure,
        (Some(E::BranchTaken { .. } | E::BranchesOpened { .. }), _)
        | (_, Some(E::BranchTaken { .. } | E::BranchesOpened { .. })) => DifferenceKind::SequenceFlow,
        (Some(E::TaskRolledBack { .. } | E::RollbackRedone { .. }), _) => DifferenceKind::Rollback,
        (
            Some(E::JoinReached { .. } | E::BranchArrived { .. }),
            Some(E::JoinReached { .. } | E::BranchArrived { .. }),
        )
        | (Some(E::BranchesJoined { .. }), _)
        | (_, Some(E::BranchesJoined { .. })) => DifferenceKind::Join,
        (
            Some(E::PlugInStepped {
                node, waits, way_back, ..
            }),
            Some(E::PlugInStepped {
                node: node_now,
                waits: waits_now,
                way_back: way_back_now,
                ..
            }),
        ) if (waits, way_back) == (waits_now, way_back_now)
            && alike::place(sides.then, node) == alike::place(sides.now, node_now) =>
        {
            DifferenceKind::Data
        }
        (
            Some(
                E::FlowStarted { .. }
                | E::FlowCompleted
                | E::SubFlowEnded { .. }
                | E::InstanceSuspended
                | E::InstanceResumed
                | E::InstanceAborted
                | E::InstanceRestored { .. }
                | E::FlowTerminated { .. },
            ),
            _,
        ) => DifferenceKind::Flow,
        (
            Some(
                E::EventPassed(_)
                | E::TaskActivated(_)
                | E::GatewayReached(_)
                | E::NodeReentered { .. }
                | E::HookAnswered { .. }
                | E::JoinReached { .. }
                | E::BranchArrived { .. }
                | E::PlugInStepped { .. }
                | E::TaskCommitted { .. }
                | E::CallReturned { .. },
            )
            | None,
            _,
        ) => DifferenceKind::Element,
    }
}

/// The node instance from which the flow goes on with the first of these events.
fn parting_node(events: &[InstanceEvent]) -> Option<&NodeInstanceId> {
    match events.first()? {
        InstanceEvent::EventPassed(visit)
        | InstanceEvent::TaskActivated(visit)
        | InstanceEvent::GatewayReached(visit)
        | InstanceEvent::JoinReached { visit, .. } => Some(visit.source.as_ref().unwrap_or(&visit.node)),
        InstanceEvent::BranchArrived { source, .. } => Some(source),
        InstanceEvent::FlowStarted { parent, .. } => parent.as_ref(),
        InstanceEvent::NodeReentered { node, .. }
        | InstanceEvent::HookAnswered { node, .. }
        | InstanceEvent::BranchTaken { node, .. }
        | InstanceEvent::BranchesOpened { node, .. }
        | InstanceEvent::BranchesJoined { node, .. }
        | InstanceEvent::PlugInStepped { node, .. }
        | InstanceEvent::TaskCommitted { node, .. }
        | InstanceEvent::CommitFailed { node, .. }
        | InstanceEvent::CallReturned { node, .. } => Some(node),
        InstanceEvent::TaskRolledBack { reopened, .. } => reopened.first().map(|again| &again.of),
        InstanceEvent::RollbackRedone { restored, .. } => restored.first(),
        InstanceEvent::FlowCompleted
        | InstanceEvent::SubFlowEnded { .. }
        | InstanceEvent::InstanceSuspended
        | InstanceEvent::InstanceResumed
        | InstanceEvent::InstanceAborted
        | InstanceEvent::InstanceRestored { .. }
        | InstanceEvent::FlowTerminated { .. } => None,
    }
}

/// Where a failed attempt came to its end.
fn failing_node(events: &[InstanceEvent]) -> Option<&NodeInstanceId> {
    match events.first()? {
        InstanceEvent::CommitFailed { node, reached, .. } => Some(reached.last().map_or(node, |visit| &visit.node)),
        _ => None,
    }
}

/// The events from the one by which the flow leaves an element.
fn from_element<'e>(state: &FlowInstance, events: &'e [InstanceEvent], key: &str) -> &'e [InstanceEvent] {
    let is_at = |id: &NodeInstanceId| state.node(id).is_some_and(|node| *node.key == *key);
    let leaves = |event: &InstanceEvent| match event {
        InstanceEvent::BranchTaken { node, .. } | InstanceEvent::BranchesOpened { node, .. } => is_at(node),
        InstanceEvent::EventPassed(visit)
        | InstanceEvent::TaskActivated(visit)
        | InstanceEvent::GatewayReached(visit)
        | InstanceEvent::JoinReached { visit, .. } => visit.source.as_ref().is_some_and(is_at),
        _ => false,
    };
    let from = events.iter().position(leaves).unwrap_or(0);
    events.get(from..).unwrap_or(events)
}

fn first_visit(events: &[InstanceEvent]) -> Option<&NodeVisit> {
    events.iter().find_map(|event| match event {
        InstanceEvent::EventPassed(visit)
        | InstanceEvent::TaskActivated(visit)
        | InstanceEvent::GatewayReached(visit)
        | InstanceEvent::JoinReached { visit, .. } => Some(visit),
        _ => None,
    })
}

/// The conditions that were evaluated where these events begin.
fn evaluated(events: &[InstanceEvent]) -> &[Evaluated] {
    match events.first() {
        Some(
            InstanceEvent::BranchTaken { evaluated, .. }
            | InstanceEvent::BranchesOpened { evaluated, .. }
            | InstanceEvent::CommitFailed { evaluated, .. },
        ) => evaluated,
        _ => &[],
    }
}

/// The first condition that came out otherwise.
fn condition_change(
    then: &[Evaluated],
    now: &[Evaluated],
    deployment_then: Option<&Deployment>,
    deployment_now: Option<&Deployment>,
) -> Option<ConditionChange> {
    let held = |evaluated: &[Evaluated], flow: &Arc<str>| {
        let found = evaluated.iter().find(|evaluated| evaluated.flow == *flow);
        found.map(|evaluated| evaluated.held)
    };
    let text = |deployment: Option<&Deployment>, flow: &Arc<str>| {
        let text = deployment.and_then(|deployment| deployment.model.element(flow)?.condition());
        text.map(|text| shortened(text, CONDITION_CHARS).into())
    };
    let flow = then
        .iter()
        .chain(now)
        .map(|evaluated| &evaluated.flow)
        .find(|flow| held(then, flow) != held(now, flow))?;
    Some(ConditionChange {
        sequence_flow: flow.clone(),
        then: held(then, flow),
        now: held(now, flow),
        text_then: text(deployment_then, flow),
        text_now: text(deployment_now, flow),
    })
}

fn outgoing_conditions(deployment: &Deployment, key: &str) -> Vec<Arc<str>> {
    let flows = deployment
        .model
        .element(key)
        .map_or(&[][..], |element| &element.outgoing);
    let conditions = flows
        .iter()
        .filter_map(|flow| deployment.model.element(flow)?.condition());
    conditions.map(Arc::from).collect()
}

/// Everything in some conditions that may be the name of a variable.
fn names_in<'t>(texts: impl IntoIterator<Item = &'t Arc<str>>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in texts {
        let words = text.split(|character: char| !(character.is_alphanumeric() || matches!(character, '_' | '$')));
        names.extend(words.filter(|word| !word.is_empty()).map(str::to_owned));
    }
    names
}

fn named_values(names: &BTreeSet<String>, then: Option<Variables>, now: Option<Variables>) -> Vec<RegressionValue> {
    let (then, now) = (then.unwrap_or_default(), now.unwrap_or_default());
    names
        .iter()
        .filter(|name| then.value(name).is_some() || now.value(name).is_some())
        .take(VALUES_MAX)
        .map(|name| RegressionValue {
            key: name.as_str().into(),
            then: then.value(name).map(shown),
            now: now.value(name).map(shown),
        })
        .collect()
}

/// The variables that differ, in their value or their type.
fn differing_values(then: &Variables, now: &Variables) -> Vec<RegressionValue> {
    let (of_then, of_now) = (by_key(then), by_key(now));
    let keys: BTreeSet<&Arc<str>> = of_then.keys().chain(of_now.keys()).copied().collect();
    let differ = keys.into_iter().filter(|key| of_then.get(key) != of_now.get(key));
    differ
        .take(VALUES_MAX)
        .map(|key| RegressionValue {
            key: key.clone(),
            then: of_then.get(key).map(|variable| shown(&variable.value)),
            now: of_now.get(key).map(|variable| shown(&variable.value)),
        })
        .collect()
}

fn by_key(variables: &Variables) -> BTreeMap<&Arc<str>, &InstanceData> {
    variables.iter().map(|variable| (&variable.key, variable)).collect()
}

/// A value as an example shows it.
fn shown(value: &Value) -> Value {
    if value.weight() <= VALUE_CHARS {
        return value.clone();
    }
    Value::Text(shortened(&value.to_string(), VALUE_CHARS).into())
}

/// The name of an element in the first of some deployments that has it.
fn name_of<const N: usize>(deployments: [&Option<Arc<Deployment>>; N], key: &str) -> Arc<str> {
    let found = deployments
        .into_iter()
        .flatten()
        .find_map(|deployment| deployment.model.element(key));
    found.map_or("", Element::name).into()
}
