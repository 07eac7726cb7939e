//! What runs have come to, of the tested model: elements, sequence flows, conditions both ways, rollbacks.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use flowledger_engine_core::event::{Evaluated, InstanceEvent, InstanceRecord};
use flowledger_engine_core::id::FlowDeployId;
use flowledger_engine_core::instance::{FlowInstance, NodeInstance, NodeStatus};
use flowledger_engine_core::model::element::ElementType;
use flowledger_engine_core::model::parse::{self, ModelLimits};
use flowledger_projections::drawing::{Look, Mark, Overlay};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::EngineError;
use crate::operation::{DrawOptions, draw_model};

/// How much of a model runs have come to. Sub flows count for their own models, which are tested on their own.
///
/// As JSON it has the counts and the hash of the model's text, so that runs of several days can be [read](Self::read) and
/// [merged](Self::merge).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Coverage {
    #[serde(skip)]
    text: Arc<str>,
    /// Which text it is.
    model: Arc<str>,
    /// How often each node was visited.
    nodes: BTreeMap<Arc<str>, u64>,
    /// How often each sequence flow was taken.
    flows: BTreeMap<Arc<str>, u64>,
    /// How often the condition of each sequence flow that has one held, and did not.
    conditions: BTreeMap<Arc<str>, (u64, u64)>,
    /// How often each user task was rolled back over.
    rollbacks: BTreeMap<Arc<str>, u64>,
    /// The only sequence flow behind a node that has one.
    #[serde(skip)]
    only: BTreeMap<Arc<str>, Arc<str>>,
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What was come to.
    pub covered: usize,
    /// What there is.
    pub of: usize,
}

impl Share {
    /// The part of 1; 1 where there is nothing.
    pub fn part(self) -> f64 {
        let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if self.of == 0 {
            1.0
        } else {
            number(self.covered) / number(self.of)
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.covered, self.of)
    }
}

impl Coverage {
    /// Nothing yet, of a model's text. Of a text that is no model there is nothing to come to.
    pub fn of(text: &str) -> Self {
        let mut coverage = Self {
            text: text.into(),
            model: hash_of(text).into(),
            ..Self::default()
        };
        let Ok(model) = parse::parse(text, &ModelLimits::default()) else {
            return coverage;
        };
        for element in model.elements() {
            let key = element.key.clone();
            if element.element_type == ElementType::SequenceFlow {
                if element.condition().is_some() {
                    coverage.conditions.insert(key.clone(), (0, 0));
                }
                coverage.flows.insert(key, 0);
            } else {
                if element.element_type == ElementType::UserTask {
                    coverage.rollbacks.insert(key.clone(), 0);
                }
                if let [only] = element.outgoing.as_slice() {
                    coverage.only.insert(key.clone(), only.clone());
                }
                coverage.nodes.insert(key, 0);
            }
        }
        coverage
    }

    /// What was written of earlier runs, of this text; `None` where it is of another one, or of another version of it.
    ///
    /// # Errors
    /// Where it cannot be read at all.
    pub fn read(text: &str, json: &str) -> Result<Option<Self>, serde_json::Error> {
        let earlier: Self = serde_json::from_str(json)?;
        let mut coverage = Self::of(text);
        if earlier.model != coverage.model {
            return Ok(None);
        }
        coverage.merge(&earlier);
        Ok(Some(coverage))
    }

    /// Takes in one instance: what stands of it, and its records.
    pub(super) fn note(&mut self, state: &FlowInstance, records: &[InstanceRecord], deployment: &FlowDeployId) {
        let is_own = |node: &&NodeInstance| {
            let flow = state.flow(node.flow);
            flow.is_some_and(|flow| flow.flow_deploy_id == *deployment)
        };
        for node in state.nodes().filter(is_own) {
            count(&mut self.nodes, &node.key);
            if node.status == NodeStatus::Disabled {
                count(&mut self.rollbacks, &node.key);
            }
            let arrivals = node.join.iter().flat_map(|join| &join.arrivals);
            let sources = arrivals.map(|arrival| &arrival.source);
            let sources = sources.chain(node.source.as_ref().filter(|_| node.join.is_none()));
            for source in sources.filter_map(|source| state.node(source)).filter(is_own) {
                // Where there is a choice, its record tells.
                if let Some(only) = self.only.get(&source.key) {
                    count(&mut self.flows, only);
                }
            }
        }
        for event in records.iter().flat_map(|record| &record.events) {
            match event {
                InstanceEvent::BranchTaken { evaluated, flow, .. } => {
                    self.evaluated(evaluated);
                    count(&mut self.flows, flow);
                }
                InstanceEvent::BranchesOpened { evaluated, flows, .. } => {
                    self.evaluated(evaluated);
                    for flow in flows {
                        count(&mut self.flows, flow);
                    }
                }
                InstanceEvent::CommitFailed { evaluated, .. } => self.evaluated(evaluated),
                _ => {}
            }
        }
    }

    fn evaluated(&mut self, evaluated: &[Evaluated]) {
        for condition in evaluated {
            if let Some((held, not)) = self.conditions.get_mut(&condition.flow) {
                *(if condition.held { held } else { not }) += 1;
            }
        }
    }

    /// What other runs of the same model have come to, too.
    pub fn merge(&mut self, other: &Self) {
        for (counts, more) in [
            (&mut self.nodes, &other.nodes),
            (&mut self.flows, &other.flows),
            (&mut self.rollbacks, &other.rollbacks),
        ] {
            for (key, count) in counts {
                *count = count.saturating_add(more.get(key).copied().unwrap_or_default());
            }
        }
        for (key, (held, not)) in &mut self.conditions {
            let (more_held, more_not) = other.conditions.get(key).copied().unwrap_or_default();
            *held = held.saturating_add(more_held);
            *not = not.saturating_add(more_not);
        }
    }

    /// Nodes that were visited.
    pub fn elements(&self) -> Share {
        share(&self.nodes)
    }

    /// Sequence flows that were taken.
    pub fn sequence_flows(&self) -> Share {
        share(&self.flows)
    }

    /// Conditions that held, and conditions that did not: two of each.
    pub fn conditions(&self) -> Share {
        let covered = self.conditions.values();
        Share {
            covered: covered
                .map(|(held, not)| usize::from(*held > 0) + usize::from(*not > 0))
                .sum(),
            of: self.conditions.len() * 2,
        }
    }

    /// User tasks that were rolled back over.
    pub fn rollbacks(&self) -> Share {
        share(&self.rollbacks)
    }

    /// What was never come to, a line each.
    pub fn missing(&self) -> Vec<String> {
        let never = |counts: &BTreeMap<Arc<str>, u64>, what: &str| -> Vec<String> {
            let keys = counts.iter().filter(|(_, count)| **count == 0);
            keys.map(|(key, _)| format!("{key} {what}")).collect()
        };
        let mut missing = never(&self.nodes, "was never visited");
        missing.extend(never(&self.flows, "was never taken"));
        for (key, (held, not)) in &self.conditions {
            if *held == 0 {
                missing.push(format!("the condition of {key} never held"));
            }
            if *not == 0 {
                missing.push(format!("the condition of {key} always held"));
            }
        }
        missing.extend(never(&self.rollbacks, "was never rolled back"));
        missing
    }

    /// The model, with what was come to and how often.
    ///
    /// # Errors
    /// Those of [`draw_model`].
    pub fn draw(&self, title: &str, options: DrawOptions) -> Result<String, EngineError> {
        let mut overlay = Overlay::default();
        for (key, count) in self.nodes.iter().chain(&self.flows) {
            let one_way = self
                .conditions
                .get(key)
                .is_some_and(|(held, not)| *held == 0 || *not == 0);
            let mut mark = Mark::of(match count {
                0 => Look::Missed,
                _ if one_way => Look::Waiting,
                _ => Look::Passed,
            });
            mark.note = format!("come to {count} times");
            mark.label = self.nodes.contains_key(key).then(|| format!("{count}×"));
            overlay.marks.insert(key.clone(), mark);
        }
        overlay.legend.insert(Look::Passed, "come to".to_owned());
        let one_way = "come to, its condition one way only";
        overlay.legend.insert(Look::Waiting, one_way.to_owned());
        overlay.legend.insert(Look::Missed, "never come to".to_owned());
        draw_model(title, &self.text, overlay, options)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "elements        {}", self.elements())?;
        writeln!(f, "sequence flows  {}", self.sequence_flows())?;
        writeln!(f, "conditions      {}, each both ways", self.conditions())?;
        write!(f, "rollbacks       {}", self.rollbacks())?;
        self.missing().iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

fn hash_of(text: &str) -> String {
    let mut hash = String::from("sha256:");
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

fn count(counts: &mut BTreeMap<Arc<str>, u64>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count += 1;
    }
}

fn share(counts: &BTreeMap<Arc<str>, u64>) -> Share {
    Share {
        covered: counts.values().filter(|count| **count > 0).count(),
        of: counts.len(),
    }
}
