//! A model from its start to its end, with what has become of each element so far. Knows no record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeInstance, NodeStatus};
use flowledger_engine_core::model::element::{Element, ElementType};
use flowledger_engine_core::model::flow_model::FlowModel;
use serde::Serialize;

use crate::View;
use crate::nodes::Nodes;

/// An element of the model that a flow runs, and what has become of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutlineElement {
    /// How many call activities are around it.
    pub depth: usize,
    /// The flow instance whose model it belongs to.
    pub flow_instance_id: FlowInstanceId,
    /// The element's key in the model.
    pub model_key: Arc<str>,
    /// The element's name in the model; empty when it has none.
    pub model_name: Arc<str>,
    /// The number of the element's type.
    #[serde(rename = "type")]
    pub element_type: i64,
    /// Where its newest node instance stands: 1 completed, 2 active, 3 failed, 4 rolled back, 5 a join that waits, 6 closed by
    /// the join of its branch. Absent as long as the flow has not come here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Its node instances, oldest first.
    pub node_instance_ids: Vec<NodeInstanceId>,
    /// How many of them no longer count, because the flow was rolled back over them.
    pub rolled_back: usize,
    /// How many commits of them failed.
    pub failed_commits: usize,
    /// Where the sequence flows behind it lead, in the order of the model.
    pub leads_to: Vec<Arc<str>>,
}

/// The elements that the flows of an instance run, in the order in which the flow comes to them: branches one after the other,
/// each join behind all of its branches, what cannot be reached last. Below a call activity stand the elements of the newest
/// sub flow instance that it ran. The record of a commit that failed leaves no trace at its task: how many there were comes from
/// who read the records.
pub fn outline(
    instance: &FlowInstance,
    view: View<'_>,
    failed_commits: &BTreeMap<&NodeInstanceId, usize>,
) -> Vec<OutlineElement> {
    let seen = Seen {
        instance,
        nodes: Nodes::of(instance),
        view,
        failed_commits,
    };
    let mut outline = Vec::new();
    seen.add_flow(FlowIndex::ROOT, 0, &mut outline);
    outline
}

/// What is looked at.
struct Seen<'a> {
    instance: &'a FlowInstance,
    nodes: Nodes<'a>,
    view: View<'a>,
    failed_commits: &'a BTreeMap<&'a NodeInstanceId, usize>,
}

impl Seen<'_> {
    fn add_flow(&self, index: FlowIndex, depth: usize, outline: &mut Vec<OutlineElement>) {
        let (Some(flow), Some(model)) = (self.instance.flow(index), self.view.model(self.instance, index)) else {
            return;
        };
        let mut visits: BTreeMap<&Arc<str>, Vec<&NodeInstance>> = BTreeMap::new();
        for node in self.nodes.of_flow(index) {
            visits.entry(&node.key).or_default().push(*node);
        }
        for element in in_flow_order(model) {
            let visits = visits.get(&element.key).map_or(&[][..], Vec::as_slice);
            let is_rolled_back = |node: &&&NodeInstance| node.status == NodeStatus::Disabled;
            let failed = visits.iter().filter_map(|node| self.failed_commits.get(&node.id));
            outline.push(OutlineElement {
                depth,
                flow_instance_id: flow.flow_instance_id.clone(),
                model_key: element.key.clone(),
                model_name: element.name().into(),
                element_type: element.element_type.number(),
                status: visits.last().map(|node| node.status.number()),
                node_instance_ids: visits.iter().map(|node| node.id.clone()).collect(),
                rolled_back: visits.iter().filter(is_rolled_back).count(),
                failed_commits: failed.sum(),
                leads_to: targets(model, element).map(|target| target.key.clone()).collect(),
            });
            // A flow is called by one that came before it, so this ends at the depth that calls may have.
            let calls = |node: &&NodeInstance| node.sub_flow.filter(|sub_flow| *sub_flow > index);
            if let Some(sub_flow) = visits.iter().rev().find_map(calls) {
                self.add_flow(sub_flow, depth + 1, outline);
            }
        }
    }
}

/// The nodes behind a node, in the order of its outgoing sequence flows.
fn targets<'m>(model: &'m FlowModel, element: &'m Element) -> impl DoubleEndedIterator<Item = &'m Element> {
    let flows = element.outgoing.iter().filter_map(|key| model.element(key));
    flows.filter_map(|flow| model.target(flow))
}

/// The nodes of a model, each before those it leads to, but for loops: depth first from the start event, the other way round.
fn in_flow_order(model: &FlowModel) -> Vec<&Element> {
    let is_node = |element: &&Element| element.element_type != ElementType::SequenceFlow;
    let starts = model.start_event().into_iter();
    let mut met: BTreeSet<&str> = BTreeSet::new();
    let mut ordered = Vec::new();
    for start in starts.chain(model.elements().iter().filter(is_node)) {
        if !met.insert(&start.key) {
            continue;
        }
        let mut left: Vec<&Element> = Vec::new();
        // Every node is met once, so the path is never longer than the model.
        let mut path = vec![(start, targets(model, start).rev().collect::<Vec<_>>().into_iter())];
        while let Some((element, next)) = path.last_mut() {
            if let Some(target) = next.find(|target| !met.contains(&*target.key)) {
                met.insert(&target.key);
                path.push((target, targets(model, target).rev().collect::<Vec<_>>().into_iter()));
            } else {
                left.push(element);
                path.pop();
            }
        }
        ordered.extend(left.into_iter().rev());
    }
    ordered
}
