//! What each element type does. One file per type with the same functions; this file only chooses between them.
//! Parallel and inclusive gateways are forks or joins by their role: see branching.rs.

mod call_activity;
mod end_event;
mod exclusive_gateway;
mod plug_in;
mod start_event;
mod user_task;

use crate::id::NodeInstanceId;
use crate::instance::advance::{Halt, Next, Source, Walk};
use crate::instance::branching;
use crate::instance::state::NodeInstance;
use crate::model::element::{Element, ElementType};
use crate::result_code::ResultCode;

/// Enters an element: records the visit.
pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> Result<NodeInstanceId, Halt> {
    if walk.context.plug_ins.element(element.element_type).is_some() {
        return Ok(plug_in::enter(walk, element, source));
    }
    match element.element_type {
        ElementType::StartEvent => Ok(start_event::enter(walk, element, source)),
        ElementType::EndEvent => Ok(end_event::enter(walk, element, source)),
        ElementType::UserTask => Ok(user_task::enter(walk, element, source)),
        ElementType::CallActivity => Ok(call_activity::enter(walk, element, source)),
        ElementType::ExclusiveGateway => Ok(exclusive_gateway::enter(walk, element, source)),
        ElementType::ParallelGateway | ElementType::InclusiveGateway => branching::enter(walk, element, source),
        ElementType::SequenceFlow | ElementType::Unknown(_) => Err(unsupported(element)),
    }
}

/// Goes through an element that was just entered.
pub(super) fn pass(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    if let Some(plug_in) = walk.context.plug_ins.element(element.element_type) {
        return plug_in::pass(walk, element, node, plug_in);
    }
    match element.element_type {
        ElementType::StartEvent => start_event::pass(element),
        ElementType::EndEvent => Ok(end_event::pass()),
        ElementType::UserTask => Ok(user_task::pass()),
        ElementType::CallActivity => Ok(call_activity::pass()),
        ElementType::ExclusiveGateway => exclusive_gateway::pass(walk, element, node),
        ElementType::ParallelGateway | ElementType::InclusiveGateway => branching::pass(walk, element, node),
        ElementType::SequenceFlow | ElementType::Unknown(_) => Err(unsupported(element)),
    }
}

/// Goes on from a task that was just committed.
pub(super) fn commit(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    if let Some(plug_in) = walk.context.plug_ins.element(element.element_type) {
        return plug_in::commit(walk, element, node, plug_in);
    }
    if walk.node(node)?.plug_in.is_some() {
        return Err(lacks_plug_in(element));
    }
    match element.element_type {
        ElementType::UserTask => user_task::commit(walk, element, node),
        ElementType::CallActivity => call_activity::commit(walk, element, node),
        ElementType::SequenceFlow
        | ElementType::StartEvent
        | ElementType::EndEvent
        | ElementType::ExclusiveGateway
        | ElementType::ParallelGateway
        | ElementType::InclusiveGateway
        | ElementType::Unknown(_) => Err(unsupported(element)),
    }
}

/// Goes on behind a call activity whose sub flow has ended.
pub(super) fn call_returned(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    match element.element_type {
        ElementType::CallActivity => call_activity::returned(walk, element, node),
        ElementType::SequenceFlow
        | ElementType::StartEvent
        | ElementType::EndEvent
        | ElementType::UserTask
        | ElementType::ExclusiveGateway
        | ElementType::ParallelGateway
        | ElementType::InclusiveGateway
        | ElementType::Unknown(_) => Err(unsupported(element)),
    }
}

/// What a rollback that walks back over a node does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayBack {
    /// The node no longer counts; go on to its source.
    On,
    /// The task is opened again; the rollback ends here.
    Reopen,
    /// The sub flow of the call activity is walked back from its end; the call activity is open again if it stops there.
    Into,
    /// There is nothing before this node.
    Start,
}

/// What a rollback does at a node. Where a plug-in ran it, that stands on the record.
pub(super) fn roll_back(node: &NodeInstance) -> WayBack {
    if let Some(left) = &node.plug_in {
        return plug_in::roll_back(node, left);
    }
    match node.element_type {
        ElementType::StartEvent => start_event::roll_back(),
        ElementType::UserTask => user_task::roll_back(node),
        ElementType::CallActivity => call_activity::roll_back(node),
        ElementType::EndEvent => end_event::roll_back(),
        ElementType::ExclusiveGateway => exclusive_gateway::roll_back(),
        ElementType::ParallelGateway
        | ElementType::InclusiveGateway
        | ElementType::SequenceFlow
        | ElementType::Unknown(_) => WayBack::On,
    }
}

/// Nothing is recorded: that this engine cannot run an element is no fact about the instance.
fn unsupported(element: &Element) -> Halt {
    match element.element_type {
        ElementType::Unknown(_) => lacks_plug_in(element),
        _ => Halt::Refuse(
            ResultCode::UnsupportedElement,
            format!("{} {} cannot be executed", element.element_type, element.key),
        ),
    }
}

fn lacks_plug_in(element: &Element) -> Halt {
    Halt::Refuse(
        ResultCode::UnsupportedElement,
        format!(
            "{} {} is run by a plug-in, with which the engine was not built",
            element.element_type, element.key
        ),
    )
}
