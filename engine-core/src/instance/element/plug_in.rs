//! An element of a plug-in's type: the plug-in decides, and what it decided is recorded.

use crate::event::{InstanceCommand, InstanceEvent, PlugInName, PlugInWayBack};
use crate::id::NodeInstanceId;
use crate::instance::advance::{self, Failure, Halt, Next, Source, Walk};
use crate::instance::element::WayBack;
use crate::instance::state::{NodeInstance, NodeStatus, PlugInTrace};
use crate::model::element::Element;
use crate::plug_in::{self, ElementPlugIn, ElementVisit, Step, Way};
use crate::result_code::ResultCode;
use crate::value::shortened;
use crate::variables::Variables;

/// Characters that a message repeats of a way that the model does not have.
const KEY_CHARS: usize = 40;

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

pub(super) fn roll_back(node: &NodeInstance, left: &PlugInTrace) -> WayBack {
    match (node.is_task, node.status, left.way_back) {
        (true, NodeStatus::Completed, PlugInWayBack::Reopen) => WayBack::Reopen,
        _ => WayBack::On,
    }
}

/// What a plug-in is asked about.
#[derive(Clone, Copy)]
enum Moment {
    Entered,
    Committed,
}

/// Asks a plug-in; what it answers is checked, and as it will stand on the record.
fn ask(
    walk: &mut Walk<'_, '_>,
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
        payload: node.plug_in.as_ref().and_then(|left| left.payload.as_ref()),
    };
    let code = match given.command {
        InstanceCommand::CommitTask { .. } => ResultCode::CommitFailed,
        _ => ResultCode::SystemError,
    };
    let step = match moment {
        Moment::Entered => plug_in.enter(&visit),
        Moment::Committed => plug_in.commit(&visit),
    };
    let failed = |error: &str| {
        let error = shortened(error, plug_in::ERROR_CHARS);
        let (name, version) = (plug_in.name(), plug_in.version());
        let detail = format!("plug-in {name} {version} at {}: {error}", element.key);
        Halt::from(Failure::new(code, detail))
    };
    let mut step = step.map_err(|error| failed(&error))?;
    if step.way == Way::Wait {
        step.variables.clear();
    }
    let (variables, payload, bytes) =
        plug_in::accepted(step.variables, step.payload, walk.context.limits).map_err(|wrong| failed(&wrong))?;
    walk.count_answer(bytes)?;
    Ok(Step {
        way: step.way,
        variables,
        payload,
    })
}

fn record(walk: &mut Walk<'_, '_>, node: &NodeInstanceId, plug_in: &dyn ElementPlugIn, step: Step) {
    let data = if step.variables.is_empty() {
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
        waits: step.way == Way::Wait,
        data,
        variables: step.variables,
        payload: step.payload,
        way_back: plug_in.roll_back(),
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
            let flow = shortened(&flow, KEY_CHARS);
            let detail = format!(
                "the plug-in chose {flow}, which {} does not list in outgoing",
                element.key
            );
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
