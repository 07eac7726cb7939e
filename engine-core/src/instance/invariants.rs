//! Whether a command that carries a flow on leaves unbroken what models say must hold. Knows no command: those that let people
//! correct something do not ask.

use std::sync::Arc;

use crate::context::{Answers, ModuleStanding, Question};
use crate::deployment::Deployment;
use crate::id::FlowDeployId;
use crate::instance::advance::{Halt, Walk};
use crate::instance::state::{Flow, FlowIndex, FlowInstance, FlowStatus};
use crate::invariant::Moment;
use crate::rejection::Rejection;
use crate::result_code::ResultCode;

/// Why a command is refused: the first invariant that is broken where it has led to. Looked at are those that a moment can
/// break, of the root, of each flow that runs, and of each that this command has started or ended.
pub(super) fn broken(before: &FlowInstance, walk: &Walk<'_, '_>) -> Result<Option<Rejection>, Halt> {
    if !walk.context.enforce_invariants {
        return Ok(None);
    }
    let state = walk.recorder.state();
    for (index, flow) in state.flows().filter(|(index, flow)| is_concerned(before, *index, flow)) {
        let deployment = deployment(walk.context.answers, &flow.flow_deploy_id)?;
        let moment = Moment::new(state, index, &deployment.model);
        let broken = deployment
            .invariants()
            .iter()
            .find_map(|invariant| Some((invariant, invariant.broken_at(&moment)?)));
        if let Some((invariant, how)) = broken {
            let of = match state.calling_node(index) {
                Some(call) => format!(" of the flow that {} calls", call.key),
                None => String::new(),
            };
            let detail = format!("invariant \"{}\"{of}: {how}", invariant.name);
            return Ok(Some(Rejection {
                invariant: Some(invariant.name.clone()),
                ..Rejection::new(ResultCode::InvariantViolated, detail)
            }));
        }
    }
    Ok(None)
}

fn is_concerned(before: &FlowInstance, index: FlowIndex, flow: &Flow) -> bool {
    let ran = before
        .flow(index)
        .is_none_or(|before| before.status == FlowStatus::Running);
    match flow.status {
        FlowStatus::Running => true,
        FlowStatus::Completed | FlowStatus::End => ran,
        FlowStatus::Default | FlowStatus::Terminated | FlowStatus::Suspended | FlowStatus::Aborted => false,
    }
}

/// A deployment that the command has asked for, by its id or as the latest of its module.
fn deployment<'a>(answers: &'a Answers, id: &FlowDeployId) -> Result<&'a Arc<Deployment>, Halt> {
    let latest = || {
        answers.latest.values().find(|standing| match standing {
            ModuleStanding::Online(deployment) | ModuleStanding::Offline(deployment) => {
                deployment.flow_deploy_id == *id
            }
            ModuleStanding::Unknown => false,
        })
    };
    match answers.deployments.get(id).or_else(latest) {
        None => Err(Halt::Ask(Question::Deployment(id.clone()))),
        Some(ModuleStanding::Online(deployment) | ModuleStanding::Offline(deployment)) => Ok(deployment),
        Some(ModuleStanding::Unknown) => Err(Halt::Refuse(
            ResultCode::DeploymentNotFound,
            "the deployment of a flow of the instance is not in the store".to_owned(),
        )),
    }
}
