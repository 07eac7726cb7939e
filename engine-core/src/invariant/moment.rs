//! What the words of invariants mean for an instance as it stands. Knows no invariant beyond the words that it mentions.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{InvariantExpression, Members, Word, text};
use crate::expression;
use crate::instance::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use crate::model::element::ElementType;
use crate::model::flow_model::FlowModel;
use crate::value::Value;
use crate::variables::Variables;

/// A flow of an instance, with all that it calls, as it stands. Of what words tell only what is asked for is made, once.
pub struct Moment<'a> {
    state: &'a FlowInstance,
    flow: FlowIndex,
    model: &'a FlowModel,
    tallies: OnceCell<BTreeMap<&'a str, Tally<'a>>>,
    waits: OnceCell<Value>,
    variables: OnceCell<Variables>,
}

/// What was completed of one element.
#[derive(Default)]
struct Tally<'a> {
    visits: i64,
    operators: Vec<&'a Arc<str>>,
}

/// What one expression reads.
pub(super) struct Scope<'m> {
    words: Vec<(Word, Value)>,
    variables: Option<&'m Variables>,
}

impl expression::Variables for Scope<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        let word = self.words.iter().find(|(word, _)| word.name() == name);
        word.map(|(_, value)| value)
            .or_else(|| self.variables.and_then(|variables| variables.value(name)))
    }
}

impl<'a> Moment<'a> {
    /// A flow of an instance, and the model that it runs.
    pub fn new(state: &'a FlowInstance, flow: FlowIndex, model: &'a FlowModel) -> Self {
        Self {
            state,
            flow,
            model,
            tallies: OnceCell::new(),
            waits: OnceCell::new(),
            variables: OnceCell::new(),
        }
    }

    /// How often an element was completed, not counting what was rolled back.
    pub fn visits(&self, key: &str) -> usize {
        let visits = self.tallies().get(key).map_or(0, |tally| tally.visits);
        usize::try_from(visits).unwrap_or(usize::MAX)
    }

    /// Who committed the completed visits of an element, each once, in the order of the visits.
    pub fn operators(&self, key: &str) -> Vec<&'a str> {
        let operators = self.tallies().get(key).map(|tally| tally.operators.iter());
        operators.into_iter().flatten().map(|operator| &***operator).collect()
    }

    /// Somebody who committed two of these elements, for people.
    pub(super) fn same_operator(&self, elements: &[Arc<str>]) -> Option<String> {
        let mut done_by: BTreeMap<&str, &Arc<str>> = BTreeMap::new();
        for element in elements {
            for operator in self.operators(element) {
                if let Some(other) = done_by.insert(operator, element) {
                    return Some(format!("{operator} committed {other} and {element}"));
                }
            }
        }
        None
    }

    pub(super) fn scope(&self, expression: &InvariantExpression) -> Scope<'_> {
        let words = expression.words.iter();
        Scope {
            words: words
                .map(|(word, members)| (*word, self.value(*word, members)))
                .collect(),
            variables: expression.reads_variables.then(|| self.variables()),
        }
    }

    fn value(&self, word: Word, members: &Members) -> Value {
        match word {
            Word::Visits => self.by_element(members, |tally| Value::Int(tally.map_or(0, |tally| tally.visits))),
            Word::Operators => self.by_element(members, |tally| {
                let operators = tally.map(|tally| tally.operators.iter());
                let operators = operators.into_iter().flatten();
                Value::List(Arc::new(
                    operators.map(|operator| Value::Text((*operator).clone())).collect(),
                ))
            }),
            Word::Waits => self.waits().clone(),
            Word::Status => text(self.status()),
            Word::Variables => {
                let variables = self.variables();
                let set = |key: &Arc<str>| Some((key.clone(), variables.value(key)?.clone()));
                Value::Map(Arc::new(if members.all {
                    variables.to_map()
                } else {
                    members.named.iter().filter_map(set).collect()
                }))
            }
        }
    }

    /// A map from the keys of elements: of those that are named; where others may be read, all of the model and all that
    /// were visited besides.
    fn by_element(&self, members: &Members, value: impl Fn(Option<&Tally<'a>>) -> Value) -> Value {
        let tallies = self.tallies();
        let entry = |key: &Arc<str>| (key.clone(), value(tallies.get(&**key)));
        let mut map: BTreeMap<Arc<str>, Value> = members.named.iter().map(entry).collect();
        if members.all {
            let elements = self.model.elements().iter();
            let nodes = elements.filter(|element| element.element_type != ElementType::SequenceFlow);
            let visited = tallies.iter().map(|(key, tally)| ((*key).into(), value(Some(tally))));
            map.extend(nodes.map(|node| entry(&node.key)).chain(visited));
        }
        Value::Map(Arc::new(map))
    }

    fn tallies(&self) -> &BTreeMap<&'a str, Tally<'a>> {
        self.tallies.get_or_init(|| {
            let mut tallies: BTreeMap<&str, Tally<'_>> = BTreeMap::new();
            for node in self.nodes().filter(|node| node.status == NodeStatus::Completed) {
                let tally = tallies.entry(&node.key).or_default();
                tally.visits = tally.visits.saturating_add(1);
                if let Some(operator) = &node.operator
                    && !tally.operators.contains(&operator)
                {
                    tally.operators.push(operator);
                }
            }
            tallies
        })
    }

    /// The node instances of the flow and of all that it calls. A call activity comes before the flow that it runs.
    fn nodes(&self) -> impl Iterator<Item = &'a NodeInstance> {
        let flow = self.flow;
        let mut flows = BTreeSet::from([flow]);
        self.state.nodes().filter(move |node| {
            let is_inside = flow == FlowIndex::ROOT || flows.contains(&node.flow);
            if is_inside && flow != FlowIndex::ROOT {
                flows.extend(node.sub_flow);
            }
            is_inside
        })
    }

    fn waits(&self) -> &Value {
        self.waits.get_or_init(|| {
            let is_inside = |task: &&NodeInstance| {
                let mut at = task.flow;
                while at != self.flow {
                    match self.state.calling_node(at) {
                        Some(call) => at = call.flow,
                        None => return false,
                    }
                }
                true
            };
            let tasks = self.state.active_tasks().into_iter();
            let tasks = tasks.filter(|task| self.flow == FlowIndex::ROOT || is_inside(task));
            Value::List(Arc::new(tasks.map(|task| Value::Text(task.key.clone())).collect()))
        })
    }

    fn variables(&self) -> &Variables {
        self.variables
            .get_or_init(|| self.state.current_data(self.state.position(self.flow)))
    }

    fn status(&self) -> &'static str {
        match self.state.status_of(self.flow) {
            FlowStatus::Default => "not started",
            FlowStatus::Completed | FlowStatus::End => "completed",
            FlowStatus::Running => "running",
            FlowStatus::Terminated => "terminated",
            FlowStatus::Suspended => "suspended",
            FlowStatus::Aborted => "aborted",
        }
    }
}
