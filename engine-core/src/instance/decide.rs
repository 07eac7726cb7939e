//! One function per command: what start, commit and terminate cause. Rollback has a file of its own.

use crate::context::{Context, ModuleStanding, Question};
use crate::decider::{Decider, Decision, Recorder};
use crate::deployment::Deployment;
use crate::event::{Given, InstanceCommand, InstanceEvent, NodeVisit};
use crate::id::{FlowDeployId, FlowModuleId, IdKind, NodeInstanceId};
use crate::instance::advance::{Failure, Halt, Next, Walk};
use crate::instance::element;
use crate::instance::rollback;
use crate::instance::state::{FlowInstance, FlowStatus, NodeStatus};
use crate::model::element::ElementType;
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
            _ if self.flow_instance_id.is_none() => Err(Rejection::new(
                ResultCode::InstanceNotFound,
                "no flow instance has this flowInstanceId",
            )),
            InstanceCommand::CommitTask { task_instance_id, .. } => commit(self, given, task_instance_id, context),
            InstanceCommand::RollbackTask { task_instance_id } => {
                rollback::decide(self, given, task_instance_id, context)
            }
            InstanceCommand::TerminateProcess { .. } => Ok(terminate(self, given)),
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
    if state.flow_instance_id.is_some() {
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
        data,
    });
    match run_from_start(&mut walk) {
        Ok(()) => Ok(walk.recorder.finish()),
        Err(Halt::Ask(question)) => Ok(Decision::Ask(question)),
        // A failing start leaves nothing behind (T-34).
        Err(Halt::Fail(Failure { code, detail, .. }) | Halt::Refuse(code, detail)) => Err(Rejection::new(code, detail)),
    }
}

fn run_from_start(walk: &mut Walk<'_, '_>) -> Result<(), Halt> {
    let deployment = walk.deployment;
    let Some(start) = deployment.model.start_event() else {
        return Err(Failure::new(
            ResultCode::CurrentNodeNotFound,
            "the model has no start event".to_owned(),
        )
        .into());
    };
    let node = element::enter(walk, start, None)?;
    match element::pass(walk, start, &node)? {
        Next::Along(flow) => walk.advance(&node, flow),
        Next::Rest => Ok(()),
    }
}

fn commit(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    task: &NodeInstanceId,
    context: &Context<'_>,
) -> Decided {
    match state.status {
        FlowStatus::Terminated => {
            return Err(Rejection::new(
                ResultCode::CommitOnEnded,
                "the flow instance was terminated",
            ));
        }
        FlowStatus::Completed => return Ok(Decision::Unchanged(ResultCode::Reentrant)),
        FlowStatus::Running | FlowStatus::Default => {}
    }
    let deployment = match deployment_of(state, context)? {
        Ok(deployment) => deployment,
        Err(question) => return Ok(Decision::Ask(question)),
    };
    let Some(node) = state.node(task) else {
        return Err(Rejection::new(
            ResultCode::NodeInstanceNotFound,
            format!("the flow instance has no node instance {task}"),
        ));
    };
    if !node.element_type.is_task() {
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
        NodeStatus::Failed | NodeStatus::Disabled => {
            return Err(Rejection::new(
                ResultCode::CommitFailed,
                format!(
                    "task {} has status {} and takes no commit",
                    node.key,
                    node.status.number()
                ),
            )
            .about(task));
        }
    }
    let Some(element) = deployment.model.element(&node.key) else {
        return Err(Rejection::new(
            ResultCode::CurrentNodeNotFound,
            format!("the model has no element {}", node.key),
        ));
    };
    if element.element_type == ElementType::CallActivity {
        return Err(Rejection::new(
            ResultCode::UnsupportedElement,
            format!("call activity {} cannot be committed yet", element.key),
        )
        .about(task));
    }
    let mut walk = Walk::new(Recorder::new(state, given), deployment, context);
    let walked = match element::commit(&mut walk, element, task) {
        Ok(Next::Along(flow)) => walk.advance(task, flow),
        Ok(Next::Rest) => Ok(()),
        Err(halt) => Err(halt),
    };
    match walked {
        Ok(()) => Ok(walk.recorder.finish()),
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
    for event in walk.recorder.events() {
        match event {
            InstanceEvent::GatewayReached(visit)
            | InstanceEvent::TaskActivated(visit)
            | InstanceEvent::EventPassed(visit) => reached.push(visit.clone()),
            InstanceEvent::GatewayReentered { node } => reached.extend(state.node(node).map(|known| NodeVisit {
                node: known.id.clone(),
                key: known.key.clone(),
                element_type: known.element_type.number(),
                source: known.source.clone(),
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
    });
    recorder.finish()
}

fn terminate(state: &FlowInstance, given: &Given<InstanceCommand>) -> Decision<FlowInstance> {
    match state.status {
        FlowStatus::Completed | FlowStatus::Terminated => Decision::Unchanged(ResultCode::Success),
        FlowStatus::Running | FlowStatus::Default => {
            let mut recorder = Recorder::new(state, given);
            recorder.record(InstanceEvent::FlowTerminated);
            recorder.finish()
        }
    }
}

/// The deployment the instance runs, or the question that leads to it.
fn deployment_of<'a>(
    state: &FlowInstance,
    context: &Context<'a>,
) -> Result<Result<&'a Deployment, Question>, Rejection> {
    let not_found = || {
        Rejection::new(
            ResultCode::DeploymentNotFound,
            "the deployment of the flow instance is not in the store",
        )
    };
    let id = state.flow_deploy_id.as_ref().ok_or_else(not_found)?;
    match context.answers.deployments.get(id) {
        None => Ok(Err(Question::Deployment(id.clone()))),
        Some(ModuleStanding::Online(deployment) | ModuleStanding::Offline(deployment)) => Ok(Ok(deployment)),
        Some(ModuleStanding::Unknown) => Err(not_found()),
    }
}
