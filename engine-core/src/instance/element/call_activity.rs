//! The call activity: waits like a user task. Its commit, which runs the called flow, is not built yet and is refused.

use crate::event::InstanceEvent;
use crate::id::NodeInstanceId;
use crate::instance::advance::{Failure, Halt, Next, Walk};
use crate::instance::element::WayBack;
use crate::model::element::Element;
use crate::result_code::ResultCode;

pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Option<NodeInstanceId>) -> NodeInstanceId {
    let visit = walk.visit(element, source);
    let node = visit.node.clone();
    walk.recorder.record(InstanceEvent::TaskActivated(visit));
    node
}

pub(super) fn pass() -> Next {
    Next::Rest
}

pub(super) fn commit(element: &Element) -> Halt {
    Failure::new(
        ResultCode::UnsupportedElement,
        format!("call activity {} cannot be committed yet", element.key),
    )
    .into()
}

/// A call activity that was never started is walked over (T-26).
pub(super) fn roll_back() -> WayBack {
    WayBack::On
}
