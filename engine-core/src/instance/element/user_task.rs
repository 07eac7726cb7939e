//! The user task: waits for its commit; with several outgoing sequence flows it branches by their conditions.

use crate::event::InstanceEvent;
use crate::id::NodeInstanceId;
use crate::instance::advance::{self, Halt, Next, Source, Walk};
use crate::instance::element::WayBack;
use crate::instance::state::{NodeInstance, NodeStatus};
use crate::model::element::Element;

pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> NodeInstanceId {
    if let Some(node) = walk.enter_again(element, &source) {
        return node;
    }
    let visit = walk.visit(element, source);
    let node = visit.node.clone();
    walk.recorder.record(InstanceEvent::TaskActivated(visit));
    node
}

pub(super) fn pass() -> Next {
    Next::Rest
}

pub(super) fn commit(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    let has_variables = !walk.recorder.given().command.variables().is_empty();
    let data = if has_variables { Some(walk.data_id()) } else { None };
    walk.recorder.record(InstanceEvent::TaskCommitted {
        node: node.clone(),
        data,
    });
    let along = if element.outgoing.len() > 1 {
        walk.take_branch(element, node)?
    } else {
        advance::only_way(element)?
    };
    Ok(Next::Along(along))
}

pub(super) fn roll_back(node: &NodeInstance) -> WayBack {
    match node.status {
        NodeStatus::Completed => WayBack::Reopen,
        _ => WayBack::On,
    }
}
