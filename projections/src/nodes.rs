//! The node instances of an instance, found by id and by flow: for views that look at many of them.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use flowledger_engine_core::id::NodeInstanceId;
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeInstance};

/// What one look at all node instances tells.
pub(crate) struct Nodes<'i> {
    instance: &'i FlowInstance,
    by_id: OnceCell<BTreeMap<&'i NodeInstanceId, &'i NodeInstance>>,
    by_flow: BTreeMap<FlowIndex, Vec<&'i NodeInstance>>,
}

impl<'i> Nodes<'i> {
    /// The node instances of an instance and all its sub flow instances.
    pub(crate) fn of(instance: &'i FlowInstance) -> Self {
        let mut by_flow: BTreeMap<FlowIndex, Vec<&NodeInstance>> = BTreeMap::new();
        for node in instance.nodes() {
            by_flow.entry(node.flow).or_default().push(node);
        }
        Self {
            instance,
            by_id: OnceCell::new(),
            by_flow,
        }
    }

    /// The node instance with this id.
    pub(crate) fn node(&self, id: &NodeInstanceId) -> Option<&'i NodeInstance> {
        let by_id = || self.instance.nodes().map(|node| (&node.id, node)).collect();
        self.by_id.get_or_init(by_id).get(id).copied()
    }

    /// The node instances of one flow, oldest first.
    pub(crate) fn of_flow(&self, flow: FlowIndex) -> &[&'i NodeInstance] {
        self.by_flow.get(&flow).map_or(&[], Vec::as_slice)
    }
}
