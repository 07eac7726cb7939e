//! Models that are a little different: one condition flipped, one sequence flow dropped, one task renamed. Knows the shape of a
//! model's text, nothing of what it means.

use std::fmt;

use serde_json::{Value, json};

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The condition of this sequence flow holds where it did not, and the other way round.
    ConditionFlipped(String),
    /// This sequence flow is not there.
    FlowDropped(String),
    /// This task has another key.
    TaskRenamed(String),
}

impl fmt::Display for Mutation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConditionFlipped(flow) => write!(f, "the condition of {flow} flipped"),
            Self::FlowDropped(flow) => write!(f, "{flow} dropped"),
            Self::TaskRenamed(task) => write!(f, "{task} renamed"),
        }
    }
}

/// Every mutation that a model has a place for.
#[must_use]
pub fn mutations(model: &Value) -> Vec<Mutation> {
    let mut found = Vec::new();
    for element in model["flowElementList"].as_array().into_iter().flatten() {
        let key = element["key"].as_str().unwrap_or_default().to_owned();
        match element["type"].as_i64() {
            Some(1) => {
                if !condition(element).is_empty() {
                    found.push(Mutation::ConditionFlipped(key.clone()));
                }
                found.push(Mutation::FlowDropped(key));
            }
            Some(4 | 8) => found.push(Mutation::TaskRenamed(key)),
            _ => {}
        }
    }
    found
}

/// The model with a mutation.
#[must_use]
pub fn mutated(model: &Value, mutation: &Mutation) -> Value {
    let mut model = model.clone();
    let Some(elements) = model["flowElementList"].as_array_mut() else {
        return model;
    };
    match mutation {
        Mutation::ConditionFlipped(flow) => {
            for element in elements.iter_mut().filter(|element| element["key"] == **flow) {
                let text = condition(element).trim();
                let inner = text
                    .strip_prefix("${")
                    .and_then(|text| text.strip_suffix('}'))
                    .unwrap_or(text);
                element["properties"]["conditionsequenceflow"] = json!(format!("!({inner})"));
            }
        }
        Mutation::FlowDropped(flow) => {
            elements.retain(|element| element["key"] != **flow);
            for element in elements {
                for side in ["incoming", "outgoing"] {
                    if let Some(flows) = element[side].as_array_mut() {
                        flows.retain(|key| key != flow);
                    }
                }
            }
        }
        Mutation::TaskRenamed(task) => {
            let renamed = json!(format!("{task}-renamed"));
            for element in elements {
                if element["key"] == **task {
                    element["key"] = renamed.clone();
                }
                // Of a sequence flow these are its ends; of a node the keys are those of sequence flows.
                for side in ["incoming", "outgoing"] {
                    for key in element[side].as_array_mut().into_iter().flatten() {
                        if *key == **task {
                            *key = renamed.clone();
                        }
                    }
                }
            }
        }
    }
    model
}

fn condition(element: &Value) -> &str {
    element["properties"]["conditionsequenceflow"]
        .as_str()
        .unwrap_or_default()
}
