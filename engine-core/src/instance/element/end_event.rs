//! The end event: passes at once and ends its flow.

use crate::event::InstanceEvent;
use crate::id::NodeInstanceId;
use crate::instance::advance::{Next, Source, Walk};
use crate::instance::element::WayBack;
use crate::model::element::Element;

pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> NodeInstanceId {
    if let Some(node) = walk.enter_again(element, &source) {
        return node;
    }
    let visit = walk.visit(element, source);
    let node = visit.node.clone();
    walk.recorder.record(InstanceEvent::EventPassed(visit));
    node
}

pub(super) fn pass() -> Next {
    Next::End
}

pub(super) fn roll_back() -> WayBack {
    WayBack::On
}
