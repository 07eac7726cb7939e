//! What stands out in the picture of an instance: what it went through, where it stands, and what no longer counts. Knows
//! the folded instance and its models, nothing of how a picture is drawn.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};

use super::{Drawing, Look, Mark, Overlay, Panel};
use crate::View;
use crate::elements::sequence_flows_to;
use crate::nodes::Nodes;

/// How often an element shows each look.
type Tally = BTreeMap<Arc<str>, BTreeMap<Look, usize>>;

/// The picture of a flow of an instance and of the sub flow instances below it, each in a panel of its own in the order
/// in which they were started. A flow whose model is not among the deployments of the view is left out.
pub fn instance<'a>(instance: &FlowInstance, flow: FlowIndex, with_sub_flows: bool, view: View<'a>) -> Drawing<'a> {
    let nodes = Nodes::of(instance);
    let mut panels = Vec::new();
    for (index, _) in instance.flows() {
        let is_shown = index == flow || (with_sub_flows && is_below(instance, index, flow));
        let Some(model) = view.model(instance, index).filter(|_| is_shown) else {
            continue;
        };
        let heading = heading(instance, index, index == flow, view);
        panels.push(Panel {
            heading: Some(heading),
            model,
            overlay: overlay(instance, &nodes, index, view),
        });
    }
    let id = instance.flow(flow).map(|flow| flow.flow_instance_id.to_string());
    let version = instance.commands.len();
    let mut lines = vec![format!(
        "{}, version {version}, {}",
        status_word(instance.status_of(flow)),
        instance.last_recorded_at
    )];
    lines.extend(held(instance, flow));
    Drawing {
        title: format!("Flow instance {}", id.unwrap_or_default()),
        lines,
        panels,
    }
}

/// Whether a flow runs for a call activity of another, or of one below it.
fn is_below(instance: &FlowInstance, mut flow: FlowIndex, top: FlowIndex) -> bool {
    while let Some(call) = instance.calling_node(flow) {
        if call.flow == top {
            return true;
        }
        flow = call.flow;
    }
    false
}

fn heading(instance: &FlowInstance, flow: FlowIndex, is_top: bool, view: View<'_>) -> String {
    let status = status_word(instance.status_of(flow));
    let Some(of) = instance.flow(flow) else {
        return String::new();
    };
    if is_top {
        return format!("Deployment {}", of.flow_deploy_id);
    }
    let call = instance.calling_node(flow).map(|call| {
        let name = view
            .model(instance, call.flow)
            .and_then(|model| model.element(&call.key))
            .map_or("", |element| element.name());
        if name.is_empty() {
            call.key.to_string()
        } else {
            name.to_owned()
        }
    });
    format!(
        "Sub flow of {}: {status}, flow instance {}",
        call.unwrap_or_default(),
        of.flow_instance_id
    )
}

fn status_word(status: FlowStatus) -> &'static str {
    match status {
        FlowStatus::Default => "not started",
        FlowStatus::Completed | FlowStatus::End => "completed",
        FlowStatus::Running => "running",
        FlowStatus::Terminated => "terminated",
        FlowStatus::Suspended => "suspended",
        FlowStatus::Aborted => "aborted",
    }
}

/// Who holds the instance, and why.
fn held(instance: &FlowInstance, flow: FlowIndex) -> Option<String> {
    let status = instance.status_of(flow);
    let is_held = matches!(status, FlowStatus::Suspended | FlowStatus::Aborted);
    let hold = instance.hold().filter(|_| is_held)?;
    let by = hold.actor.operator.as_ref().or(hold.actor.caller.as_ref());
    let why = hold.reason.as_ref().or(hold.reason_option.as_ref());
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Some(format!("{}{by}, {}{why}", status_word(status), hold.at))
}

fn overlay(instance: &FlowInstance, nodes: &Nodes<'_>, flow: FlowIndex, view: View<'_>) -> Overlay {
    let (mut visits, mut passes) = (Tally::new(), Tally::new());
    let status = instance.status_of(flow);
    for node in nodes.of_flow(flow) {
        let look = look(node, status);
        *visits.entry(node.key.clone()).or_default().entry(look).or_default() += 1;
        let Some(model) = view.model(instance, flow) else {
            continue;
        };
        // A history that its model does not explain has nodes without ways to them.
        let came_by = sequence_flows_to(instance, nodes, node, model, view.profile).unwrap_or_default();
        for element in came_by {
            *passes
                .entry(element.key.clone())
                .or_default()
                .entry(passed(look))
                .or_default() += 1;
        }
    }
    let node_marks = visits.into_iter().map(|(key, looks)| (key, mark(&looks, true)));
    let flow_marks = passes.into_iter().map(|(key, looks)| (key, mark(&looks, false)));
    Overlay {
        marks: node_marks
            .chain(flow_marks)
            .filter_map(|(key, mark)| Some((key, mark?)))
            .collect(),
        legend: Look::ALL
            .into_iter()
            .map(|look| (look, word(look).to_owned()))
            .collect(),
    }
}

fn look(node: &NodeInstance, flow: FlowStatus) -> Look {
    let open = |look| match flow {
        FlowStatus::Suspended | FlowStatus::Aborted => Look::Held,
        FlowStatus::Terminated => Look::Stopped,
        FlowStatus::Default | FlowStatus::Completed | FlowStatus::Running | FlowStatus::End => look,
    };
    match node.status {
        NodeStatus::Completed => Look::Passed,
        NodeStatus::Active => open(Look::Active),
        NodeStatus::Waiting => open(Look::Waiting),
        NodeStatus::Failed => Look::Failed,
        NodeStatus::Disabled => Look::Undone,
        NodeStatus::Closed => Look::Closed,
    }
}

/// How the way to a node looks: it was taken, whatever the node waits for.
fn passed(look: Look) -> Look {
    match look {
        Look::Active | Look::Held | Look::Stopped | Look::Waiting | Look::Passed => Look::Passed,
        Look::Failed | Look::Closed | Look::Undone | Look::Missed => look,
    }
}

/// What a look means here.
fn word(look: Look) -> &'static str {
    match look {
        Look::Active => "active: waits for a commit",
        Look::Held => "held: suspended or aborted",
        Look::Stopped => "open when it was terminated",
        Look::Waiting => "waits for other branches",
        Look::Passed => "completed, way taken",
        Look::Failed => "failed attempt",
        Look::Closed => "closed by a join",
        Look::Undone => "rolled back",
        Look::Missed => "not reached",
    }
}

fn told(look: Look) -> &'static str {
    match look {
        Look::Active => "active",
        Look::Held => "held",
        Look::Stopped => "stopped",
        Look::Waiting => "waiting for other branches",
        Look::Passed => "completed",
        Look::Failed => "failed",
        Look::Closed => "closed",
        Look::Undone => "rolled back",
        Look::Missed => "not reached",
    }
}

/// One mark for all visits: what stands out most, with the number of the others.
fn mark(looks: &BTreeMap<Look, usize>, is_node: bool) -> Option<Mark> {
    let (look, count) = looks.iter().next()?;
    let notes = looks.iter().map(|(look, count)| {
        let word = if is_node || *look != Look::Passed {
            told(*look)
        } else {
            "taken"
        };
        if *count == 1 {
            word.to_owned()
        } else {
            format!("{word} {count} times")
        }
    });
    Some(Mark {
        look: *look,
        label: (*count > 1).then(|| format!("×{count}")),
        also: looks
            .iter()
            .skip(1)
            .filter(|_| is_node)
            .map(|(look, count)| (*look, *count))
            .collect(),
        note: notes.collect::<Vec<_>>().join(", "),
    })
}
