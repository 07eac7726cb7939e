//! What hooks answered in the past, to be answered again: by the gateway's key and by how often it asked. Where a commit failed in
//! a flow that it had called, nothing of that flow is on the record but the answer itself: that one goes by the node instance.

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
    /// Of gateways whose keys are not on the record.
    of_nodes: BTreeMap<NodeInstanceId, HookAnswer>,
    /// How often each gateway has asked.
    asked: Mutex<BTreeMap<Arc<str>, usize>>,
    has_hook: bool,
}

impl RecordedHooks {
    /// The answers on these records; those of the first part have been given already.
    pub(super) fn of(past: &[Stored], rest: &[Stored]) -> Result<Self, EngineError> {
        let mut heard = Heard::default();
        for stored in past {
            heard.collect(stored)?;
        }
        let asked = heard.answers.iter();
        let asked = asked.map(|(key, answers)| (key.clone(), answers.len())).collect();
        for stored in rest {
            heard.collect(stored)?;
        }
        Ok(Self {
            has_hook: !heard.answers.is_empty() || !heard.of_nodes.is_empty(),
            answers: heard.answers,
            of_nodes: heard.of_nodes,
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
        if let Some(answer) = self.of_nodes.get(&call.node_instance_id) {
            return answer.clone();
        }
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

/// What is heard from one record after the other.
#[derive(Default)]
struct Heard {
    keys: BTreeMap<NodeInstanceId, Arc<str>>,
    answers: BTreeMap<Arc<str>, Vec<HookAnswer>>,
    of_nodes: BTreeMap<NodeInstanceId, HookAnswer>,
}

impl Heard {
    fn collect(&mut self, stored: &Stored) -> Result<(), EngineError> {
        for event in instance_record(stored)?.events {
            match event {
                InstanceEvent::GatewayReached(NodeVisit { node, key, .. }) => {
                    self.keys.insert(node, key);
                }
                InstanceEvent::HookAnswered {
                    node,
                    variables,
                    failures,
                    ..
                } => self.hear(node, HookAnswer { variables, failures }),
                InstanceEvent::CommitFailed { reached, hooks, .. } => {
                    self.keys
                        .extend(reached.into_iter().map(|visit| (visit.node, visit.key)));
                    for HookHeard {
                        node,
                        variables,
                        failures,
                    } in hooks
                    {
                        self.hear(node, HookAnswer { variables, failures });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn hear(&mut self, node: NodeInstanceId, answer: HookAnswer) {
        match self.keys.get(&node) {
            Some(key) => self.answers.entry(key.clone()).or_default().push(answer),
            None => drop(self.of_nodes.insert(node, answer)),
        }
    }
}
