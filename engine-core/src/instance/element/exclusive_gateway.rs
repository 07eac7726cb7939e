//! The exclusive gateway: lets the hooks refresh the data, then takes one way on.

use crate::event::InstanceEvent;
use crate::id::NodeInstanceId;
use crate::instance::advance::{Halt, Next, Source, Walk};
use crate::instance::element::WayBack;
use crate::model::element::Element;

/// Enters the gateway; one that failed in an earlier attempt from the same source is entered again.
pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> NodeInstanceId {
    if let Some(node) = walk.enter_again(element, &source) {
        return node;
    }
    let visit = walk.visit(element, source);
    let node = visit.node.clone();
    walk.recorder.record(InstanceEvent::GatewayReached(visit));
    node
}

pub(super) fn pass(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    walk.ask_hook(element, node)?;
    walk.take_branch(element, node).map(Next::Along)
}

pub(super) fn roll_back() -> WayBack {
    WayBack::On
}
