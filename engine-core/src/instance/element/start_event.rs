//! The start event: passes at once, by its first outgoing sequence flow.

use crate::event::InstanceEvent;
use crate::id::NodeInstanceId;
use crate::instance::advance::{self, Halt, Next, Source, Walk};
use crate::instance::element::WayBack;
use crate::model::element::Element;

pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> NodeInstanceId {
    let visit = walk.visit(element, source);
    let node = visit.node.clone();
    walk.recorder.record(InstanceEvent::EventPassed(visit));
    node
}

pub(super) fn pass(element: &Element) -> Result<Next, Halt> {
    advance::only_way(element).map(Next::Along)
}

pub(super) fn roll_back() -> WayBack {
    WayBack::Start
}
