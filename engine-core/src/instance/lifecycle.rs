//! Suspend, resume, abort, restore and terminate: what holds an instance, lets it go, and ends it for good.

use std::sync::Arc;

use crate::context::Context;
use crate::decider::{Decision, Recorder};
use crate::event::{Given, InstanceCommand, InstanceEvent};
use crate::id::FlowInstanceId;
use crate::instance::advance::{self, Failure, Halt};
use crate::instance::decide::Decided;
use crate::instance::state::{FlowIndex, FlowInstance, FlowStatus, Hold};
use crate::rejection::Rejection;
use crate::result_code::ResultCode;

/// Decides suspend, resume, abort and restore.
pub(super) fn decide(state: &FlowInstance, given: &Given<InstanceCommand>, context: &Context<'_>) -> Decided {
    let (name, option, allowed, event) = match &given.command {
        InstanceCommand::SuspendInstance { reason_option } => (
            "suspend",
            reason_option,
            may_suspend(state),
            InstanceEvent::InstanceSuspended,
        ),
        InstanceCommand::ResumeInstance { reason_option } => (
            "resume",
            reason_option,
            may_resume(state),
            InstanceEvent::InstanceResumed,
        ),
        InstanceCommand::AbortInstance { reason_option } => {
            ("abort", reason_option, may_abort(state), InstanceEvent::InstanceAborted)
        }
        InstanceCommand::RestoreInstance { reason_option } => (
            "restore",
            reason_option,
            may_restore(state),
            InstanceEvent::InstanceRestored {
                suspended: state.is_suspended_below(),
            },
        ),
        _ => return Ok(Decision::Unchanged(ResultCode::Success)),
    };
    allowed?;
    let model = match advance::deployment_of(state, FlowIndex::ROOT, context) {
        Ok(deployment) => &deployment.model,
        Err(Halt::Ask(question)) => return Ok(Decision::Ask(question)),
        Err(Halt::Fail(Failure { code, detail, .. }) | Halt::Refuse(code, detail)) => {
            return Err(Rejection::new(code, detail));
        }
    };
    has_reason(name, given, option.as_ref(), model.reason_options(name))?;
    let mut recorder = Recorder::new(state, given);
    recorder.record(event);
    Ok(recorder.finish())
}

pub(super) fn terminate(
    state: &FlowInstance,
    given: &Given<InstanceCommand>,
    with_sub_flows: bool,
) -> Decision<FlowInstance> {
    // Sub flow instances that have ended are left as they are (T-24).
    let flow_instance_ids: Vec<FlowInstanceId> = state
        .flows()
        .filter(|(index, flow)| flow.status == FlowStatus::Running && (*index == FlowIndex::ROOT || with_sub_flows))
        .map(|(_, flow)| flow.flow_instance_id.clone())
        .collect();
    if flow_instance_ids.is_empty() {
        return Decision::Unchanged(ResultCode::Success);
    }
    let mut recorder = Recorder::new(state, given);
    recorder.record(InstanceEvent::FlowTerminated { flow_instance_ids });
    recorder.finish()
}

/// Refuses a command that needs the instance to be free to go on.
pub(super) fn not_held(state: &FlowInstance) -> Result<(), Rejection> {
    match (state.status(), state.hold()) {
        (FlowStatus::Suspended, Some(hold)) => Err(Rejection::new(ResultCode::InstanceSuspended, told(hold))),
        (FlowStatus::Aborted, Some(hold)) => Err(Rejection::new(ResultCode::AlreadyAborted, told(hold))),
        _ => Ok(()),
    }
}

fn may_suspend(state: &FlowInstance) -> Result<(), Rejection> {
    not_held(state)?;
    match state.status() {
        FlowStatus::Running => Ok(()),
        status => Err(Rejection::new(ResultCode::TransitionIllegal, ended(status))),
    }
}

fn may_resume(state: &FlowInstance) -> Result<(), Rejection> {
    match (state.status(), state.hold()) {
        (FlowStatus::Suspended, _) => Ok(()),
        (FlowStatus::Aborted, Some(hold)) => Err(Rejection::new(ResultCode::AlreadyAborted, told(hold))),
        (FlowStatus::Running, _) => Err(Rejection::new(
            ResultCode::TransitionIllegal,
            "the flow instance is not suspended",
        )),
        (status, _) => Err(Rejection::new(ResultCode::TransitionIllegal, ended(status))),
    }
}

fn may_abort(state: &FlowInstance) -> Result<(), Rejection> {
    match (state.status(), state.hold()) {
        (FlowStatus::Running | FlowStatus::Suspended, _) => Ok(()),
        (FlowStatus::Aborted, Some(hold)) => Err(Rejection::new(ResultCode::AlreadyAborted, told(hold))),
        (status, _) => Err(Rejection::new(ResultCode::NotAbortable, ended(status))),
    }
}

fn may_restore(state: &FlowInstance) -> Result<(), Rejection> {
    match state.status() {
        FlowStatus::Aborted => Ok(()),
        FlowStatus::Running | FlowStatus::Suspended => Err(Rejection::new(
            ResultCode::NotAborted,
            "the flow instance is not aborted",
        )),
        status => Err(Rejection::new(ResultCode::NotRestorable, ended(status))),
    }
}

/// A reason is given: in words, or as one of the flow's options where it has any.
fn has_reason(
    command: &str,
    given: &Given<InstanceCommand>,
    option: Option<&Arc<str>>,
    options: &[Arc<str>],
) -> Result<(), Rejection> {
    let listed = || options.join(", ");
    match option {
        Some(option) if options.contains(option) => Ok(()),
        Some(option) if options.is_empty() => Err(Rejection::new(
            ResultCode::ReasonOptionUnknown,
            format!("the flow has no reasonOptions for {command}, and {option} was sent; send reason instead"),
        )),
        Some(option) => Err(Rejection::new(
            ResultCode::ReasonOptionUnknown,
            format!(
                "{option} is none of the flow's reasonOptions for {command}: {}",
                listed()
            ),
        )),
        None if !options.is_empty() => Err(Rejection::new(
            ResultCode::ReasonRequired,
            format!("{command} needs a reasonOption of this flow: {}", listed()),
        )),
        None => match given.envelope.reason.as_deref().map(str::trim) {
            None | Some("") => Err(Rejection::new(
                ResultCode::ReasonRequired,
                format!("{command} needs a reason"),
            )),
            Some(_) => Ok(()),
        },
    }
}

/// How a flow instance came to its end, in words.
pub(super) fn ended(status: FlowStatus) -> String {
    match status {
        FlowStatus::Completed => "the flow instance is completed".to_owned(),
        FlowStatus::Terminated => "the flow instance was terminated".to_owned(),
        other => format!("the flow instance has status {}", other.number()),
    }
}

fn told(hold: &Hold) -> String {
    let what = if hold.status == FlowStatus::Aborted {
        "aborted"
    } else {
        "suspended"
    };
    let by = hold.actor.operator.as_ref().or(hold.actor.caller.as_ref());
    let by = by.map_or_else(String::new, |by| format!(" by {by}"));
    let why = hold.reason_option.as_ref().or(hold.reason.as_ref());
    let why = why.map_or_else(String::new, |why| format!(": {why}"));
    format!("the flow instance was {what}{by} at {}{why}", hold.at)
}
