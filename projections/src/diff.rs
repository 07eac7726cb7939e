//! In what two moments differ: of one instance, of two, or of one and its fork. Node instances are matched by where they stand,
//! not by their ids.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeStatus};
use serde::{Serialize, Serializer};

use crate::authors::{Authors, Written};

/// In what two moments differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceDiff {
    /// The one side.
    pub left: DiffSide,
    /// The other side.
    pub right: DiffSide,
    /// The node instances that only one side has, or that have another status there, in the order in which they came.
    pub nodes: Vec<NodeDifference>,
    /// The variables at the present position that only one side has, or that have another value there, by key.
    pub variables: Vec<VariableDifference>,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffSide {
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// Its version.
    pub version: u64,
    /// Where it stands.
    pub status: i32,
    /// Where its active tasks stand.
    pub active_tasks: Vec<NodePlace>,
}

/// Where a node instance stands: the element, the how-many-th visit of it in its flow, and the same of the call activities
/// around it, outermost first. As text `call / inner#2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodePlace(Vec<(Arc<str>, u32)>);

impl std::fmt::Display for NodePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, (key, visit)) in self.0.iter().enumerate() {
            let separator = if place == 0 { "" } else { " / " };
            match visit {
                1 => write!(f, "{separator}{key}")?,
                _ => write!(f, "{separator}{key}#{visit}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for NodePlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A node instance that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeDifference {
    /// Where it stands.
    pub place: NodePlace,
    /// What it is on the left side; absent where it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<NodeSeen>,
    /// What it is on the right side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<NodeSeen>,
}

/// A node instance on one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeSeen {
    /// Its id.
    pub node_instance_id: NodeInstanceId,
    /// Where it stands.
    pub status: i32,
}

/// A variable that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariableDifference {
    /// The variable.
    pub key: Arc<str>,
    /// What it is on the left side, and who wrote it; absent where it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Written>,
    /// What it is on the right side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub right: Option<Written>,
}

impl InstanceDiff {
    /// Compares two moments; `None` if one of them has no instance.
    pub fn of(left: &Authors, right: &Authors) -> Option<Self> {
        let (left_nodes, right_nodes) = (places(left.state()), places(right.state()));
        let mut all: BTreeMap<usize, Vec<NodePlace>> = BTreeMap::new();
        for (place, (order, _)) in &left_nodes {
            all.entry(*order).or_default().push(place.clone());
        }
        for (place, (order, _)) in right_nodes.iter().filter(|(place, _)| !left_nodes.contains_key(place)) {
            all.entry(*order).or_default().push(place.clone());
        }
        let seen = |nodes: &Places, place: &NodePlace| nodes.get(place).map(|(_, seen)| seen.clone());
        let nodes = all.into_values().flatten().filter_map(|place| {
            let (left, right) = (seen(&left_nodes, &place), seen(&right_nodes, &place));
            let status = |seen: &Option<NodeSeen>| seen.as_ref().map(|seen| seen.status);
            (status(&left) != status(&right)).then_some(NodeDifference { place, left, right })
        });
        Some(Self {
            nodes: nodes.collect(),
            variables: variables(left, right),
            left: side(left.state(), &left_nodes)?,
            right: side(right.state(), &right_nodes)?,
        })
    }

    /// Whether both sides are alike.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.variables.is_empty() && self.left.status == self.right.status
    }
}

/// The variables at the present position that only one of two moments has, or that have another value there, by key.
pub fn variables(left: &Authors, right: &Authors) -> Vec<VariableDifference> {
    let keys = left
        .written()
        .keys()
        .chain(right.written().keys().filter(|key| !left.written().contains_key(*key)));
    let mut keys: Vec<&Arc<str>> = keys.collect();
    keys.sort();
    let differences = keys.into_iter().filter_map(|key| {
        let (left, right) = (left.written().get(key), right.written().get(key));
        (left.map(|left| &left.value) != right.map(|right| &right.value)).then(|| VariableDifference {
            key: key.clone(),
            left: left.cloned(),
            right: right.cloned(),
        })
    });
    differences.collect()
}

fn side(state: &FlowInstance, nodes: &Places) -> Option<DiffSide> {
    let root = state.root()?;
    let mut active: Vec<(usize, &NodePlace)> = nodes
        .iter()
        .filter(|(_, (_, seen))| seen.status == NodeStatus::Active.number())
        .map(|(place, (order, _))| (*order, place))
        .collect();
    active.sort();
    Some(DiffSide {
        flow_instance_id: root.flow_instance_id.clone(),
        version: state.commands.len() as u64,
        status: state.status().number(),
        active_tasks: active.into_iter().map(|(_, place)| place.clone()).collect(),
    })
}

/// The node instances of an instance by where they stand, with the order in which they came.
pub(crate) type Places = BTreeMap<NodePlace, (usize, NodeSeen)>;

/// Where every node instance of an instance stands.
pub(crate) fn places(state: &FlowInstance) -> Places {
    let mut visits: BTreeMap<(FlowIndex, Arc<str>), u32> = BTreeMap::new();
    let mut of_flows: BTreeMap<FlowIndex, NodePlace> = BTreeMap::from([(FlowIndex::ROOT, NodePlace(Vec::new()))]);
    let mut found = Places::new();
    for (order, node) in state.nodes().enumerate() {
        let visit = visits.entry((node.flow, node.key.clone())).or_default();
        *visit += 1;
        // A flow is called by a node that came before all of its own.
        let Some(NodePlace(around)) = of_flows.get(&node.flow) else {
            continue;
        };
        let mut place = around.clone();
        place.push((node.key.clone(), *visit));
        let place = NodePlace(place);
        if let Some(sub_flow) = node.sub_flow {
            of_flows.entry(sub_flow).or_insert_with(|| place.clone());
        }
        let seen = NodeSeen {
            node_instance_id: node.id.clone(),
            status: node.status.number(),
        };
        found.insert(place, (order, seen));
    }
    found
}
