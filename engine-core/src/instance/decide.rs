//! One function per command: what start and commit cause. Rollback and lifecycle have files of their own.

use crate::context::{Context, ModuleStanding, Question};
use crate::decider::{Decider, Decision, Recorder};
use crate::event::{Given, HookHeard, InstanceCommand, InstanceEvent, NodeVisit};
use crate::id::{FlowDeployId, FlowModuleId, IdKind, NodeInstanceId};
use crate::instance::advance::{self, Failure, Halt, Next, Walk};
use crate::instance::element;
use crate::instance::invariants;
use crate::instance::lifecycle;
use crate::instance::rollback;
use crate::instance::state::{FlowInstance, FlowStatus, NodeStatus};
use crate::rejection::Rejection;
use crate::result_code::ResultCode;

/// What a decision about an instance comes to.
pub(super) type Decided = Result<Decision<FlowInstance>, Rejection>;

impl Decider for FlowInstance {
    type Command = InstanceCommand;
    type Event = InstanceEvent;

    fn decide(&self, given: &Given<InstanceCommand>, context: &Context<'_>) -> Decided {
        match &given.command {
            InstanceCommand::StartProcess {
                flow_deploy_id,
                flow_module_id,
                variables: _,
            } => start(self, given, flow_deploy_id.as_ref(), flow_module_id.as_ref(), context),
            _ if self.root().is_none() => Err(Rejection::new(
                ResultCode::InstanceNotFound,
                "no flow instance has this flowInstanceId",
            )),
            InstanceCommand::CommitTask { task_instance_id, .. } => commit(self, given, task_instance_id, context),
            InstanceCommand::RollbackTask { task_instance_id } => {
                rollback::decide(self, given, task_instance_id, context)
            }
            InstanceCommand::RollbackTo { target } => rollback::decide_to(self, given, target, context),
            InstanceCommand::RedoRollback => rollback::redo(self, given),
            InstanceCommand::SuspendInstance { .. }
            | InstanceCommand::ResumeInstance { .. }
            | InstanceCommand::AbortInstance { .. }
            | InstanceCommand::RestoreInstance { .. } => lifecycle::decide(self, given, context),
            InstanceCommand::TerminateProcess {
                effective_for_sub_flow_instance,
            } => Ok(lifecycle::terminate(self, given, *effective_for_sub_flow_instance)),
        }
    }

    fn begin(&mut self, given: &Given<InstanceCommand>) {
        self.begin_record(&given.envelope);
    }

    fn apply(&mut self, given: &Given<InstanceCommand>, event: &InstanceEvent) {
        self.apply_event(given, event);
    }

    fn version(&self) -> u64 {
        self.commands.len() as u64
    }
}

fn start(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    flow_deploy_id: Option<&FlowDeployId>,
    flow_module_id: Option<&FlowModuleId>,
    context: &Context<'_>,
) -> Decided {
    if state.root().is_some() {
        return Err(Rejection::new(
            ResultCode::SaveInstanceFailed,
            "a flow instance with this id exists already",
        ));
    }
    let (standing, question) = match (flow_deploy_id, flow_module_id) {
        (Some(id), _) => (context.answers.deployments.get(id), Question::Deployment(id.clone())),
        (None, Some(id)) => (context.answers.latest.get(id), Question::LatestDeployment(id.clone())),
        (None, None) => {
            return Err(Rejection::new(
                ResultCode::InvalidParam,
                "flowDeployId and flowModuleId are both blank",
            ));
        }
    };
    let deployment = match standing {
        None => return Ok(Decision::Ask(question)),
        Some(ModuleStanding::Online(deployment)) => deployment,
        Some(ModuleStanding::Offline(deployment)) => {
            return Err(Rejection::new(
                ResultCode::ResourceDisabled,
                format!(
                    "flow module {} is offline; take it online with enableFlow",
                    deployment.flow_module_id
                ),
            ));
        }
        Some(ModuleStanding::Unknown) => {
            let detail = match (flow_deploy_id, flow_module_id) {
                (Some(id), _) => format!("no deployment has the id {id}"),
                (None, Some(id)) => format!("no flow module with the id {id} was ever deployed"),
                (None, None) => String::new(),
            };
            return Err(Rejection::new(ResultCode::DeploymentNotFound, detail));
        }
    };
    let mut walk = Walk::new(Recorder::new(state, given), deployment, context);
    let data = if given.command.variables().is_empty() {
        None
    } else {
        Some(walk.data_id())
    };
    walk.recorder.record(InstanceEvent::FlowStarted {
        flow_instance_id: context.id(&given.envelope, IdKind::FlowInstance, 0).into(),
        flow_deploy_id: deployment.flow_deploy_id.clone(),
        flow_module_id: deployment.flow_module_id.clone(),
        tenant: deployment.tenant.clone(),
        caller: deployment.caller.clone(),
        parent: None,
        transfer: None,
        data,
    });
    let walked = walk.advance(None, Next::Begin);
    match walked.and_then(|()| invariants::broken(state, &walk)) {
        Ok(None) => Ok(walk.recorder.finish()),
        Ok(Some(rejection)) => Err(rejection),
        Err(Halt::Ask(question)) => Ok(Decision::Ask(question)),
        // A failing start leaves nothing behind (T-34).
        Err(Halt::Fail(Failure { code, detail, .. }) | Halt::Refuse(code, detail)) => Err(Rejection::new(code, detail)),
    }
}

fn commit(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    task: &NodeInstanceId,
    context: &Context<'_>,
) -> Decided {
    lifecycle::not_held(state)?;
    match state.status() {
        FlowStatus::Terminated => {
            return Err(Rejection::new(
                ResultCode::CommitOnEnded,
                "the flow instance was terminated",
            ));
        }
        FlowStatus::Completed => return Ok(Decision::Unchanged(ResultCode::Reentrant)),
        FlowStatus::Running | FlowStatus::End | FlowStatus::Default | FlowStatus::Suspended | FlowStatus::Aborted => {}
    }
    let Some(node) = state.node(task) else {
        return Err(Rejection::new(
            ResultCode::NodeInstanceNotFound,
            format!("the flow instance has no node instance {task}"),
        ));
    };
    if !node.is_task {
        return Err(Rejection::new(
            ResultCode::UnsupportedElement,
            format!("{} {} is not a task and takes no commit", node.element_type, node.key),
        )
        .about(task));
    }
    match node.status {
        NodeStatus::Active => {}
        // A task of a running instance that is already completed: the present position, nothing changes (T-07).
        NodeStatus::Completed => return Ok(Decision::Unchanged(ResultCode::CommitSuspended)),
        status @ (NodeStatus::Failed | NodeStatus::Disabled | NodeStatus::Waiting | NodeStatus::Closed) => {
            let why = match status {
                NodeStatus::Disabled => "was rolled back over",
                NodeStatus::Closed => "was closed by the join of its branch",
                _ => "was reached by a commit that failed",
            };
            let detail = format!("task {} {why} and takes no commit", node.key);
            return Err(Rejection::new(ResultCode::CommitFailed, detail).about(task));
        }
    }
    // A call activity whose sub flow runs is not committed again (T-07).
    if node.sub_flow.is_some() {
        return Ok(Decision::Unchanged(ResultCode::CommitSuspended));
    }
    let deployment = match advance::deployment_of(state, node.flow, context) {
        Ok(deployment) => deployment,
        Err(Halt::Ask(question)) => return Ok(Decision::Ask(question)),
        Err(Halt::Fail(Failure { code, detail, .. }) | Halt::Refuse(code, detail)) => {
            return Err(Rejection::new(code, detail));
        }
    };
    let Some(element) = deployment.model.element(&node.key) else {
        return Err(Rejection::new(
            ResultCode::CurrentNodeNotFound,
            format!("the model has no element {}", node.key),
        ));
    };
    let mut walk = Walk::new(Recorder::new(state, given), deployment, context);
    let walked = element::commit(&mut walk, element, task).and_then(|next| walk.advance(Some(task.clone()), next));
    match walked.and_then(|()| invariants::broken(state, &walk)) {
        Ok(None) => Ok(walk.recorder.finish()),
        Ok(Some(rejection)) => Err(rejection.about(task)),
        Err(Halt::Ask(question)) => Ok(Decision::Ask(question)),
        Err(Halt::Refuse(code, detail)) => Err(Rejection::new(code, detail).about(task)),
        Err(Halt::Fail(failure)) => Ok(failed(state, given, task, &walk, failure)),
    }
}

/// The one record of a commit that died on its way: the nodes it reached, and why it ended.
fn failed(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    task: &NodeInstanceId,
    walk: &Walk<'_, '_>,
    failure: Failure,
) -> Decision<FlowInstance> {
    let mut reached = Vec::new();
    let mut hooks = Vec::new();
    // Of a sub flow that this attempt started nothing stays (T-22).
    let stays = |node| {
        walk.recorder
            .state()
            .node(node)
            .is_some_and(|node| state.flow(node.flow).is_some())
    };
    for event in walk.recorder.events() {
        match event {
            InstanceEvent::GatewayReached(visit)
            | InstanceEvent::TaskActivated(visit)
            | InstanceEvent::EventPassed(visit)
            | InstanceEvent::JoinReached { visit, .. } => reached.extend(stays(&visit.node).then(|| visit.clone())),
            InstanceEvent::HookAnswered {
                node,
                variables,
                failures,
                ..
            } => hooks.push(HookHeard {
                node: node.clone(),
                variables: variables.clone(),
                failures: failures.clone(),
            }),
            InstanceEvent::NodeReentered { node, .. } => reached.extend(state.node(node).map(|known| NodeVisit {
                node: known.id.clone(),
                key: known.key.clone(),
                element_type: known.element_type.number(),
                source: known.source.clone(),
                branch: None,
            })),
            _ => {}
        }
    }
    let mut recorder = Recorder::new(state, given);
    recorder.record(InstanceEvent::CommitFailed {
        node: task.clone(),
        code: failure.code.number(),
        detail: failure.detail.into(),
        evaluated: failure.evaluated,
        reached,
        hooks,
    });
    recorder.finish()
}
