//! The history of all elements, oldest first, with the sequence flows between them computed from the model.

use std::fmt;
use std::sync::Arc;

use flowledger_engine_core::id::{InstanceDataId, NodeInstanceId};
use flowledger_engine_core::instance::{self, BranchIndex, FlowIndex, FlowInstance, NodeStatus};
use flowledger_engine_core::model::element::{Element, ElementType, Properties};
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::profile::Profile;
use serde::Serialize;

use crate::View;
use crate::nodes::Nodes;

/// One element that the flow went through: a node instance, or a sequence flow between two (T-17).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ElementInstance {
    /// The element's key in the model.
    pub model_key: Arc<str>,
    /// The element's name in the model; empty when it has none.
    pub model_name: Arc<str>,
    /// The element's properties in the model; empty when it has none.
    pub properties: Arc<Properties>,
    /// 1 completed, 2 active, 3 failed, 4 rolled back, 5 a join that waits, 6 closed by the join of its branch. A sequence flow has the status of the node behind it, but is
    /// completed where that is active.
    pub status: i32,
    /// The node instance; absent for a sequence flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_instance_id: Option<NodeInstanceId>,
    /// The snapshot the node instance was entered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_data_id: Option<InstanceDataId>,
    /// What a call activity ran; present on every call activity when sub flow instances are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_element_instance_list: Option<Vec<ElementInstance>>,
}

/// Two nodes follow each other in the history, but no sequence flow of the model connects them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSequenceFlow {
    /// The node the flow came from.
    pub source: Arc<str>,
    /// The node it came to.
    pub target: Arc<str>,
}

impl fmt::Display for UnknownSequenceFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no sequence flow is listed by both {} (outgoing) and {} (incoming)",
            self.source, self.target
        )
    }
}

impl std::error::Error for UnknownSequenceFlow {}

/// All node instances of a flow in the order in which they came into being, each behind the sequence flow that led to it.
///
/// # Errors
/// [`UnknownSequenceFlow`] where the two ends of a sequence flow do not name it and, in the `turbo131` profile, where
/// only one end does.
pub fn elements(
    instance: &FlowInstance,
    flow: FlowIndex,
    effective_for_sub_flow_instance: bool,
    view: View<'_>,
) -> Result<Vec<ElementInstance>, UnknownSequenceFlow> {
    history_of(
        instance,
        &Nodes::of(instance),
        flow,
        effective_for_sub_flow_instance,
        view,
    )
}

fn history_of(
    instance: &FlowInstance,
    nodes: &Nodes<'_>,
    flow: FlowIndex,
    effective_for_sub_flow_instance: bool,
    view: View<'_>,
) -> Result<Vec<ElementInstance>, UnknownSequenceFlow> {
    let Some(model) = view.model(instance, flow) else {
        return Ok(Vec::new());
    };
    let mut history = Vec::with_capacity(nodes.of_flow(flow).len() * 2);
    for node in nodes.of_flow(flow) {
        let status = if node.status == NodeStatus::Active {
            NodeStatus::Completed
        } else {
            node.status
        };
        for came_by in sequence_flows_to(instance, nodes, node, model, view.profile)? {
            history.push(element_instance(came_by, status));
        }
        let mut element = node_element(node, model);
        if effective_for_sub_flow_instance && node.element_type == ElementType::CallActivity {
            let sub_history = node
                .sub_flow
                .map(|sub_flow| history_of(instance, nodes, sub_flow, true, view))
                .transpose()?;
            element.sub_element_instance_list = Some(sub_history.unwrap_or_default());
        }
        history.push(element);
    }
    Ok(history)
}

/// The sequence flows by which a node was reached: one, but for a join one from each branch that has arrived (T-33), and
/// none for the first node.
pub(crate) fn sequence_flows_to<'m>(
    instance: &FlowInstance,
    nodes: &Nodes<'_>,
    node: &instance::NodeInstance,
    model: &'m FlowModel,
    profile: Profile,
) -> Result<Vec<&'m Element>, UnknownSequenceFlow> {
    let from = |source: &NodeInstanceId, branch: Option<BranchIndex>| {
        let source = nodes.node(source)?;
        // Behind a fork the record says which way was taken, which matters where two lead to one node.
        let opened = branch
            .filter(|branch| instance.fork_of(*branch).is_some_and(|fork| fork.id == source.id))
            .and_then(|branch| model.element(&instance.branch(branch)?.flow));
        Some(opened.map_or_else(
            || {
                connection(model, &source.key, &node.key, profile).ok_or_else(|| UnknownSequenceFlow {
                    source: source.key.clone(),
                    target: node.key.clone(),
                })
            },
            Ok,
        ))
    };
    match &node.join {
        Some(join) => join
            .arrivals
            .iter()
            .filter_map(|arrival| from(&arrival.source, Some(arrival.branch)))
            .collect(),
        None => node
            .source
            .iter()
            .filter_map(|source| from(source, node.branch))
            .collect(),
    }
}

/// The sequence flow that both ends name; in the `documented` profile also one that only its source names.
fn connection<'m>(model: &'m FlowModel, source: &str, target: &str, profile: Profile) -> Option<&'m Element> {
    let (source, node) = (model.element(source)?, model.element(target)?);
    let leads_there = |flow: &&Element| model.target(flow).is_some_and(|reached| reached.key == node.key);
    model.sequence_flow_between(source, node).or_else(|| match profile {
        Profile::Turbo131 => None,
        Profile::Documented => source
            .outgoing
            .iter()
            .filter_map(|key| model.element(key))
            .find(leads_there),
    })
}

fn element_instance(element: &Element, status: NodeStatus) -> ElementInstance {
    ElementInstance {
        model_key: element.key.clone(),
        model_name: element.name().into(),
        properties: element.properties.clone().unwrap_or_default(),
        status: status.number(),
        node_instance_id: None,
        instance_data_id: None,
        sub_element_instance_list: None,
    }
}

fn node_element(node: &instance::NodeInstance, model: &FlowModel) -> ElementInstance {
    let element = model.element(&node.key);
    ElementInstance {
        model_key: node.key.clone(),
        model_name: element.map_or("", |element| element.name()).into(),
        properties: element
            .and_then(|element| element.properties.clone())
            .unwrap_or_default(),
        status: node.status.number(),
        node_instance_id: Some(node.id.clone()),
        instance_data_id: node.entry.id.clone(),
        sub_element_instance_list: None,
    }
}
