//! Models with a fault put in: whether a test would notice.

use std::sync::Arc;

use serde_json::Value as Json;

use super::{FlowTest, Share, TestError};

/// Mutants of a model that are tried at most.
const MAX_MUTANTS: usize = 200;

/// A model with a fault put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// What was changed.
    pub change: String,
    /// The invariant that it breaks; `None` where the test does not notice.
    pub broken: Option<Arc<str>>,
}

/// How many faults a test notices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MutationScore {
    /// The mutants that deploy, in the order of the model.
    pub mutants: Vec<Mutant>,
    /// How many do not deploy, and need no test.
    pub refused: usize,
}

impl MutationScore {
    /// How many break an invariant.
    pub fn killed(&self) -> usize {
        self.mutants.iter().filter(|mutant| mutant.broken.is_some()).count()
    }

    /// The same, of how many.
    pub fn share(&self) -> Share {
        Share {
            covered: self.killed(),
            of: self.mutants.len(),
        }
    }

    /// Those that the test does not notice.
    pub fn survivors(&self) -> impl Iterator<Item = &Mutant> {
        self.mutants.iter().filter(|mutant| mutant.broken.is_none())
    }
}

pub(super) fn score(test: &FlowTest, told: &dyn Fn(usize, usize)) -> Result<MutationScore, TestError> {
    let mut score = MutationScore::default();
    let mut mutants = mutants(&test.model);
    mutants.truncate(MAX_MUTANTS);
    let of = mutants.len();
    for (place, (change, model)) in mutants.into_iter().enumerate() {
        told(place, of);
        let mut mutant = test.clone();
        mutant.progress = None;
        mutant.model = model.into();
        match mutant.run() {
            Ok(_) => score.mutants.push(Mutant { change, broken: None }),
            Err(TestError::Broken(broken)) => score.mutants.push(Mutant {
                change,
                broken: Some(broken.invariant),
            }),
            Err(TestError::Engine(error)) if (3_000..4_000).contains(&error.err_code()) => score.refused += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(score)
}

/// Every condition turned round, every sequence flow among several left out, every default moved to its neighbour.
fn mutants(model: &str) -> Vec<(String, String)> {
    let Ok(model) = serde_json::from_str::<Json>(model) else {
        return Vec::new();
    };
    let elements = model.get("flowElementList").and_then(Json::as_array);
    let elements: Vec<Json> = elements.cloned().unwrap_or_default();
    let with = |elements: Vec<Json>| {
        let mut mutant = model.clone();
        if let Some(list) = mutant.get_mut("flowElementList") {
            *list = Json::Array(elements);
        }
        mutant.to_string()
    };
    let mut mutants = Vec::new();
    for (place, element) in elements.iter().enumerate() {
        let key = element.get("key").and_then(Json::as_str).unwrap_or_default();
        if let Some(condition) = element
            .pointer("/properties/conditionsequenceflow")
            .and_then(Json::as_str)
            && !condition.trim().is_empty()
        {
            let bare = condition.trim();
            let bare = bare
                .strip_prefix("${")
                .and_then(|inner| inner.strip_suffix('}'))
                .unwrap_or(bare);
            let mut turned = elements.clone();
            if let Some(text) = turned
                .get_mut(place)
                .and_then(|element| element.pointer_mut("/properties/conditionsequenceflow"))
            {
                *text = format!("!({bare})").into();
            }
            mutants.push((format!("the condition of {key} is turned round"), with(turned)));
        }
        let outgoing = element.get("outgoing").and_then(Json::as_array);
        let outgoing: Vec<&str> = outgoing.into_iter().flatten().filter_map(Json::as_str).collect();
        if outgoing.len() < 2 {
            continue;
        }
        for (number, flow) in outgoing.iter().enumerate() {
            mutants.push((format!("{flow} is left out"), with(without(&elements, flow))));
            let next = outgoing.get((number + 1) % outgoing.len());
            if let Some(next) = next.filter(|_| is_default(&elements, flow)) {
                let mut moved = elements.clone();
                set_default(&mut moved, flow, false);
                set_default(&mut moved, next, true);
                mutants.push((format!("the default is {next}, and not {flow}"), with(moved)));
            }
        }
    }
    mutants
}

/// A model without a sequence flow.
fn without(elements: &[Json], flow: &str) -> Vec<Json> {
    let kept = elements
        .iter()
        .filter(|element| element.get("key").and_then(Json::as_str) != Some(flow));
    kept.cloned()
        .map(|mut element| {
            for side in ["incoming", "outgoing"] {
                if let Some(flows) = element.get_mut(side).and_then(Json::as_array_mut) {
                    flows.retain(|key| key.as_str() != Some(flow));
                }
            }
            element
        })
        .collect()
}

fn place_of(elements: &[Json], key: &str) -> Option<usize> {
    let is_it = |element: &Json| element.get("key").and_then(Json::as_str) == Some(key);
    elements.iter().position(is_it)
}

fn is_default(elements: &[Json], flow: &str) -> bool {
    let default = place_of(elements, flow)
        .and_then(|place| elements.get(place))
        .and_then(|element| element.pointer("/properties/defaultConditions"));
    match default {
        Some(Json::Bool(value)) => *value,
        Some(Json::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn set_default(elements: &mut [Json], flow: &str, value: bool) {
    let Some(element) = place_of(elements, flow).and_then(|place| elements.get_mut(place)) else {
        return;
    };
    let Some(members) = element.as_object_mut() else { return };
    let properties = members
        .entry("properties")
        .or_insert_with(|| Json::Object(serde_json::Map::new()));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("defaultConditions".to_owned(), value.to_string().into());
        if value {
            properties.remove("conditionsequenceflow");
        }
    }
}
