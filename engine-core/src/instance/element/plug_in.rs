//! An element of a plug-in's type: the plug-in decides, and what it decided is recorded.

use crate::event::{InstanceCommand, InstanceEvent, PlugInName};
use crate::id::NodeInstanceId;
use crate::instance::advance::{self, Failure, Halt, Next, Source, Walk};
use crate::instance::element::WayBack;
use crate::instance::state::{NodeInstance, NodeStatus};
use crate::model::element::Element;
use crate::plug_in::{ElementPlugIn, ElementVisit, PlugInWayBack, Step, Way};
use crate::result_code::ResultCode;
use crate::variables::Variables;

pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> NodeInstanceId {
    if let Some(node) = walk.enter_again(element, &source) {
        return node;
    }
    let visit = walk.visit(element, source);
    let node = visit.node.clone();
    walk.recorder.record(InstanceEvent::GatewayReached(visit));
    node
}

pub(super) fn pass(
    walk: &mut Walk<'_, '_>,
    element: &Element,
    node: &NodeInstanceId,
    plug_in: &dyn ElementPlugIn,
) -> Result<Next, Halt> {
    let variables = walk.node(node)?.entry.variables.clone();
    let step = ask(walk, element, node, &variables, plug_in, Moment::Entered)?;
    let way = step.way.clone();
    record(walk, node, plug_in, step);
    go(walk, element, node, way)
}

pub(super) fn commit(
    walk: &mut Walk<'_, '_>,
    element: &Element,
    node: &NodeInstanceId,
    plug_in: &dyn ElementPlugIn,
) -> Result<Next, Halt> {
    let given = walk.recorder.given().command.variables();
    let variables = walk.node(node)?.entry.variables.merged(given);
    let step = ask(walk, element, node, &variables, plug_in, Moment::Committed)?;
    let way = step.way.clone();
    if way != Way::Wait {
        let data = if given.is_empty() { None } else { Some(walk.data_id()) };
        walk.recorder.record(InstanceEvent::TaskCommitted {
            node: node.clone(),
            data,
        });
    }
    record(walk, node, plug_in, step);
    go(walk, element, node, way)
}

pub(super) fn roll_back(node: &NodeInstance, plug_in: &dyn ElementPlugIn) -> WayBack {
    match (
        node.is_task && node.status == NodeStatus::Completed,
        plug_in.roll_back(),
    ) {
        (true, PlugInWayBack::Reopen) => WayBack::Reopen,
        _ => WayBack::On,
    }
}

/// What a plug-in is asked about.
#[derive(Clone, Copy)]
enum Moment {
    Entered,
    Committed,
}

fn ask(
    walk: &Walk<'_, '_>,
    element: &Element,
    id: &NodeInstanceId,
    variables: &Variables,
    plug_in: &dyn ElementPlugIn,
    moment: Moment,
) -> Result<Step, Halt> {
    let given = walk.recorder.given();
    let node = walk.node(id)?;
    let flow = walk.recorder.state().flow(node.flow).ok_or_else(|| {
        let detail = format!("node instance {id} belongs to no flow");
        Halt::Refuse(ResultCode::SystemError, detail)
    })?;
    let visit = ElementVisit {
        element,
        flow_instance_id: &flow.flow_instance_id,
        node_instance_id: id,
        actor: &given.envelope.actor,
        at: given.envelope.recorded_at,
        variables,
        payload: node.payload.as_ref().and_then(|payload| payload.last.as_ref()),
    };
    let code = match given.command {
        InstanceCommand::CommitTask { .. } => ResultCode::CommitFailed,
        _ => ResultCode::SystemError,
    };
    let step = match moment {
        Moment::Entered => plug_in.enter(&visit),
        Moment::Committed => plug_in.commit(&visit),
    };
    step.map_err(|error| {
        let detail = format!("plug-in {} at {}: {error}", plug_in.name(), element.key);
        Failure::new(code, detail).into()
    })
}

fn record(walk: &mut Walk<'_, '_>, node: &NodeInstanceId, plug_in: &dyn ElementPlugIn, step: Step) {
    let waits = step.way == Way::Wait;
    let variables = if waits { Vec::new() } else { step.variables };
    let data = if variables.is_empty() {
        None
    } else {
        Some(walk.data_id())
    };
    walk.recorder.record(InstanceEvent::PlugInStepped {
        node: node.clone(),
        plug_in: PlugInName {
            name: plug_in.name().into(),
            version: plug_in.version().into(),
        },
        waits,
        data,
        variables,
        payload: step.payload,
    });
}

/// Goes the way that the plug-in has chosen.
fn go(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId, way: Way) -> Result<Next, Halt> {
    let along = match way {
        Way::Wait => return Ok(Next::Rest),
        Way::Conditions => return walk.take_branch(element, node).map(Next::Along),
        Way::First => advance::only_way(element)?,
        Way::Along(flow) if element.outgoing.contains(&flow) => flow,
        Way::Along(flow) => {
            let detail = format!("the plug-in chose {flow}, which {} does not list", element.key);
            return Err(Failure::new(ResultCode::NoOutgoingMatches, detail).into());
        }
    };
    walk.recorder.record(InstanceEvent::BranchTaken {
        node: node.clone(),
        evaluated: Vec::new(),
        flow: along.clone(),
    });
    Ok(Next::Along(along))
}
