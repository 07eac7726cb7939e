//! What a decision would have had to read to choose another sequence flow: values are put together from what its conditions
//! speak of, few variables first, and the conditions are evaluated on them. It proposes; whether the flow then gets there is for
//! a fork to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::expression::{Condition, Vocabulary, around};
use flowledger_engine_core::model::element::{Element, ElementType};
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::{InstanceData, Variables};

/// Variables with the values they would have to have.
pub type Assignment = Vec<(Arc<str>, Value)>;

/// Most variables that are changed at one decision.
const MAX_VARIABLES: usize = 3;
/// Most variables that a decision may read to be searched.
const MAX_READ: usize = 12;
/// Most values that are tried for a variable.
const MAX_VALUES: usize = 40;
/// Most combinations that are tried for one sequence flow.
const MAX_TRIALS: usize = 4_000;
/// Most proposals for a sequence flow with the same number of variables.
const MAX_PROPOSALS: usize = 6;

/// What was found, and whether all was tried.
#[derive(Clone, Debug, Default)]
pub struct Proposals {
    /// The values with which a decision would have taken a sequence flow, those with the fewest variables first.
    pub assignments: Vec<Assignment>,
    /// How many combinations were tried.
    pub trials: usize,
    /// Whether more could have been tried.
    pub is_cut: bool,
}

/// The values with which a decision at an element would have taken a sequence flow. None where the host has a language of its
/// own for conditions. Tries at most `trials` combinations.
pub fn assignments(
    deployment: &Deployment,
    element: &Element,
    flow: &str,
    data: &Variables,
    trials: usize,
) -> Proposals {
    let Some(choice) = Choice::of(deployment, element, flow) else {
        return Proposals::default();
    };
    let most = trials.min(MAX_TRIALS);
    let mut is_cut = false;
    let values = choice.values(data);
    let keys: Vec<&Arc<str>> = values.keys().collect();
    let mut trials = 0;
    let mut found: Vec<Assignment> = Vec::new();
    for size in 0..=MAX_VARIABLES.min(keys.len()) {
        let mut of_size = 0;
        for subset in subsets(keys.len(), size) {
            let choices: Vec<(&Arc<str>, &Vec<Value>)> = subset
                .iter()
                .filter_map(|place| keys.get(*place).copied())
                .filter_map(|key| Some((key, values.get(key)?)))
                .collect();
            // What a smaller proposal changes need not be changed together with more.
            let is_more = |smaller: &Assignment| {
                smaller.len() < size
                    && smaller
                        .iter()
                        .all(|(key, _)| choices.iter().any(|(other, _)| *other == key))
            };
            if found.iter().any(is_more) {
                continue;
            }
            for assignment in Product::of(&choices) {
                if trials >= most || of_size >= MAX_PROPOSALS {
                    is_cut = true;
                    break;
                }
                trials += 1;
                let changes: Vec<InstanceData> = assignment
                    .iter()
                    .map(|(key, value)| InstanceData::new(key, value.clone()))
                    .collect();
                if choice.is_made(&data.merged(&changes)) {
                    found.push(assignment);
                    of_size += 1;
                    // One proposal for the same variables is enough.
                    break;
                }
            }
        }
    }
    Proposals {
        assignments: found,
        trials,
        is_cut,
    }
}

/// The choice of one sequence flow among those behind an element.
struct Choice {
    /// What each of the sequence flows asks for, in the order of the model; `None` where it has no condition.
    conditions: Vec<Option<Arc<dyn Condition>>>,
    wanted: usize,
    /// Whether the flow takes the first whose condition holds, and not each.
    is_exclusive: bool,
    vocabulary: Vec<Vocabulary>,
}

impl Choice {
    fn of(deployment: &Deployment, element: &Element, flow: &str) -> Option<Self> {
        let is_exclusive = match element.element_type {
            ElementType::InclusiveGateway => false,
            ElementType::ExclusiveGateway | ElementType::UserTask | ElementType::CallActivity => true,
            ElementType::StartEvent
            | ElementType::EndEvent
            | ElementType::ParallelGateway
            | ElementType::SequenceFlow
            | ElementType::Unknown(_) => return None,
        };
        let mut conditions = Vec::new();
        let mut vocabulary = Vec::new();
        for key in &element.outgoing {
            let flow = deployment.model.element(key)?;
            conditions.push(match deployment.condition(flow) {
                Some(condition) => Some(condition.ok()?),
                None => None,
            });
            if let Some(text) = flow.condition() {
                vocabulary.push(Vocabulary::of(text).ok()?);
            }
        }
        let wanted = element.outgoing.iter().position(|key| &**key == flow)?;
        let is_default = deployment.model.element(flow)?.is_default();
        if conditions.get(wanted)?.is_none() && !is_default {
            return None;
        }
        Some(Self {
            conditions,
            wanted,
            is_exclusive,
            vocabulary,
        })
    }

    /// Whether the sequence flow is taken with these variables.
    fn is_made(&self, data: &Variables) -> bool {
        let mut holds = Vec::with_capacity(self.conditions.len());
        for (place, condition) in self.conditions.iter().enumerate() {
            let held = match condition {
                None => false,
                // An error ends the search for a sequence flow.
                Some(condition) => match condition.evaluate(data) {
                    Ok(held) => held,
                    Err(_) => return false,
                },
            };
            if held && self.is_exclusive {
                return place == self.wanted;
            }
            holds.push(held);
        }
        match self.conditions.get(self.wanted) {
            Some(Some(_)) => holds.get(self.wanted) == Some(&true),
            // The default.
            Some(None) => !holds.contains(&true),
            None => false,
        }
    }

    /// The values worth trying for each variable: what stands beside it in a condition first, then truth, then the rest.
    fn values(&self, data: &Variables) -> BTreeMap<Arc<str>, Vec<Value>> {
        let all = self.vocabulary.iter().flat_map(|vocabulary| &vocabulary.constants);
        let all: Vec<&Value> = all.collect();
        let mut values: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
        for vocabulary in &self.vocabulary {
            for (place, path) in vocabulary.paths.iter().enumerate() {
                let Some((key, properties)) = path.split_first() else {
                    continue;
                };
                if values.len() >= MAX_READ && !values.contains_key(key) {
                    continue;
                }
                let own = vocabulary.beside.iter().filter(|(of, _)| *of == place);
                let own: Vec<&Value> = own.map(|(_, constant)| constant).collect();
                let before = data.value(key);
                let of_key = values.entry(key.clone()).or_default();
                for value in worth_trying(&own, &all) {
                    let value = with_property(before, properties, &value);
                    if Some(&value) != before && of_key.len() < MAX_VALUES {
                        push(of_key, value);
                    }
                }
            }
        }
        values
    }
}

fn worth_trying(own: &[&Value], all: &[&Value]) -> Vec<Value> {
    let plain = [
        Value::Bool(true),
        Value::Bool(false),
        Value::Int(1),
        Value::Int(0),
        Value::Null,
        Value::Text("".into()),
    ];
    let list = |constant: &&Value| Value::List(Arc::new(vec![(*constant).clone()]));
    let mut values: Vec<Value> = Vec::new();
    own.iter()
        .flat_map(|constant| around(constant))
        .chain(plain)
        .chain(all.iter().flat_map(|constant| around(constant)))
        .chain(own.iter().map(list))
        .take(MAX_VALUES)
        .for_each(|value| push(&mut values, value));
    values
}

fn push(values: &mut Vec<Value>, value: Value) {
    if !values.contains(&value) {
        values.push(value);
    }
}

/// A value with one of its properties, or the whole of it where no property is named.
fn with_property(before: Option<&Value>, properties: &[Arc<str>], value: &Value) -> Value {
    let Some((name, rest)) = properties.split_first() else {
        return value.clone();
    };
    let mut map = match before {
        Some(Value::Map(map)) => (**map).clone(),
        _ => BTreeMap::new(),
    };
    let inner = with_property(map.get(name), rest, value);
    map.insert(name.clone(), inner);
    Value::Map(Arc::new(map))
}

/// The subsets of so many places, in order.
fn subsets(places: usize, size: usize) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..size {
        let mut longer = Vec::new();
        for subset in &all {
            let next = subset.last().map_or(0, |last| last + 1);
            longer.extend((next..places).map(|place| subset.iter().copied().chain([place]).collect::<Vec<_>>()));
        }
        all = longer;
    }
    all
}

/// Every way to choose one value for each variable.
struct Product<'v> {
    choices: &'v [(&'v Arc<str>, &'v Vec<Value>)],
    places: Vec<usize>,
    is_over: bool,
}

impl<'v> Product<'v> {
    fn of(choices: &'v [(&'v Arc<str>, &'v Vec<Value>)]) -> Self {
        Self {
            choices,
            places: vec![0; choices.len()],
            is_over: choices.iter().any(|(_, values)| values.is_empty()),
        }
    }
}

impl Iterator for Product<'_> {
    type Item = Assignment;

    fn next(&mut self) -> Option<Assignment> {
        if self.is_over {
            return None;
        }
        let chosen = self.choices.iter().zip(&self.places);
        let chosen = chosen
            .filter_map(|((key, values), place)| Some(((*key).clone(), values.get(*place)?.clone())))
            .collect();
        self.is_over = true;
        for ((_, values), place) in self.choices.iter().zip(&mut self.places) {
            *place += 1;
            if *place < values.len() {
                self.is_over = false;
                break;
            }
            *place = 0;
        }
        Some(chosen)
    }
}
