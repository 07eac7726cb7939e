//! A flow model in indexed form. Knows which element leads where, nothing of whether that is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::invariant::Invariant;
use crate::model::element::{Element, ElementType};
use crate::model::validate::ModelFault;

/// A flow model: its elements in the order of the text, found by key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowModel {
    elements: Vec<Element>,
    by_key: BTreeMap<Arc<str>, usize>,
    reason_options: ReasonOptions,
    invariants: Vec<Invariant>,
    invariant_faults: Vec<ModelFault>,
}

/// The reasons that a flow offers for suspending, resuming, aborting and restoring an instance, by the command's name.
pub type ReasonOptions = BTreeMap<Arc<str>, Vec<Arc<str>>>;

impl FlowModel {
    /// Indexes the elements; of elements with one key the first is found.
    pub fn new(elements: Vec<Element>) -> Self {
        let mut by_key = BTreeMap::new();
        for (index, element) in elements.iter().enumerate() {
            by_key.entry(element.key.clone()).or_insert(index);
        }
        Self {
            elements,
            by_key,
            reason_options: ReasonOptions::new(),
            invariants: Vec::new(),
            invariant_faults: Vec::new(),
        }
    }

    /// The same model with reasons to choose from.
    pub fn with_reason_options(mut self, options: ReasonOptions) -> Self {
        self.reason_options = options;
        self
    }

    /// The reasons to choose from for `suspend`, `resume`, `abort` or `restore`; empty when any reason will do.
    pub fn reason_options(&self, command: &str) -> &[Arc<str>] {
        self.reason_options.get(command).map_or(&[], Vec::as_slice)
    }

    /// The same model with what must hold of its instances, and what is wrong with how that is written.
    pub fn with_invariants(mut self, invariants: Vec<Invariant>, faults: Vec<ModelFault>) -> Self {
        self.invariants = invariants;
        self.invariant_faults = faults;
        self
    }

    /// What must hold of its instances.
    pub fn invariants(&self) -> &[Invariant] {
        &self.invariants
    }

    /// What is wrong with how its invariants are written. It keeps a model from being deployed, not from being read: in one
    /// that an earlier release has deployed the member meant nothing.
    pub fn invariant_faults(&self) -> &[ModelFault] {
        &self.invariant_faults
    }

    /// All elements in the order of the text.
    pub fn elements(&self) -> &[Element] {
        &self.elements
    }

    /// The element with this key.
    pub fn element(&self, key: &str) -> Option<&Element> {
        self.by_key.get(key).and_then(|index| self.elements.get(*index))
    }

    /// The place of the element in [`FlowModel::elements`].
    pub fn index_of(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The start event, the first in the text if there are several.
    pub fn start_event(&self) -> Option<&Element> {
        self.elements
            .iter()
            .find(|element| element.element_type == ElementType::StartEvent)
    }

    /// The node a sequence flow leads to; over sequence flows that lead to sequence flows, at most as many as the model has.
    pub fn target<'m>(&'m self, sequence_flow: &'m Element) -> Option<&'m Element> {
        let mut element = sequence_flow;
        for _ in 0..=self.elements.len() {
            if element.element_type != ElementType::SequenceFlow {
                return Some(element);
            }
            element = self.element(element.outgoing.first()?)?;
        }
        None
    }

    /// The sequence flow from `source` to `node`: the first that `source` lists in outgoing and `node` in incoming.
    pub fn sequence_flow_between(&self, source: &Element, node: &Element) -> Option<&Element> {
        source
            .outgoing
            .iter()
            .find(|key| node.incoming.contains(key))
            .and_then(|key| self.element(key))
    }
}
