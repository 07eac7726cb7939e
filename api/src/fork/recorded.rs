//! What hooks answered in the past, to be answered again: by the gateway's key and by how often it asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowledger_engine_core::context::{HookAnswer, HookCall};
use flowledger_engine_core::event::{HookHeard, InstanceEvent, NodeVisit};
use flowledger_engine_core::id::NodeInstanceId;
use flowledger_event_store::Stored;

use super::instance_record;
use crate::error::EngineError;

/// The answers of an instance's hooks.
pub(crate) struct RecordedHooks {
    /// By the gateway's key, in the order in which they were given.
    answers: BTreeMap<Arc<str>, Vec<HookAnswer>>,
    /// How often each gateway has asked.
    asked: Mutex<BTreeMap<Arc<str>, usize>>,
    has_hook: bool,
}

impl RecordedHooks {
    /// The answers on these records; those of the first part have been given already.
    pub(super) fn of(past: &[Stored], rest: &[Stored]) -> Result<Self, EngineError> {
        let mut keys = BTreeMap::new();
        let mut answers = BTreeMap::new();
        for stored in past {
            collect(stored, &mut keys, &mut answers)?;
        }
        let asked = answers
            .iter()
            .map(|(key, answers): (&Arc<str>, &Vec<HookAnswer>)| (key.clone(), answers.len()))
            .collect();
        for stored in rest {
            collect(stored, &mut keys, &mut answers)?;
        }
        Ok(Self {
            has_hook: !answers.is_empty(),
            answers,
            asked: Mutex::new(asked),
        })
    }

    /// The same, where there may be hooks although none has answered.
    pub(super) fn beside(mut self, has_hook: bool) -> Self {
        self.has_hook |= has_hook;
        self
    }

    /// Whether gateways ask.
    pub(crate) fn has_hook(&self) -> bool {
        self.has_hook
    }

    /// The next answer that this gateway was given.
    pub(crate) fn answer(&self, call: &HookCall) -> HookAnswer {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = asked.entry(call.node_key.clone()).or_default();
        let answer = self.answers.get(&call.node_key).and_then(|answers| answers.get(*count));
        *count += 1;
        answer.cloned().unwrap_or_else(|| HookAnswer {
            variables: Vec::new(),
            failures: vec![format!("the record: {} was never asked so often", call.node_key).into()],
        })
    }
}

fn collect(
    stored: &Stored,
    keys: &mut BTreeMap<NodeInstanceId, Arc<str>>,
    answers: &mut BTreeMap<Arc<str>, Vec<HookAnswer>>,
) -> Result<(), EngineError> {
    let mut heard = |keys: &BTreeMap<NodeInstanceId, Arc<str>>, node: &NodeInstanceId, answer: HookAnswer| {
        if let Some(key) = keys.get(node) {
            answers.entry(key.clone()).or_default().push(answer);
        }
    };
    for event in instance_record(stored)?.events {
        match event {
            InstanceEvent::GatewayReached(NodeVisit { node, key, .. }) => {
                keys.insert(node, key);
            }
            InstanceEvent::HookAnswered {
                node,
                variables,
                failures,
                ..
            } => heard(keys, &node, HookAnswer { variables, failures }),
            InstanceEvent::CommitFailed { reached, hooks, .. } => {
                keys.extend(reached.into_iter().map(|visit| (visit.node, visit.key)));
                for HookHeard {
                    node,
                    variables,
                    failures,
                } in hooks
                {
                    heard(keys, &node, HookAnswer { variables, failures });
                }
            }
            _ => {}
        }
    }
    Ok(())
}
