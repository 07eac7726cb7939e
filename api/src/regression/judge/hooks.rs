//! What hooks answered in an instance, by the gateway's flow and key and by the how-many-th time it was reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::context::HookAnswer;
use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::event::{HookHeard, InstanceEvent};
use flowledger_engine_core::id::NodeInstanceId;
use flowledger_engine_core::instance::FlowInstance;

use super::Placed;

/// A gateway: the flow by its number in its tree, and the key.
type Gateway = (usize, Arc<str>);

/// One time that an element was reached.
struct Reached {
    /// By the record of this version.
    version: u64,
    heard: Option<HookAnswer>,
}

/// What hooks answered.
#[derive(Default)]
pub(super) struct HookRecord {
    reached: BTreeMap<Gateway, Vec<Reached>>,
    /// Answers in sub flows that failed commits had started, of which nothing else stands on the record; by version.
    in_failed_flows: BTreeMap<u64, Vec<HookAnswer>>,
    /// The versions of failed commits.
    failed: BTreeSet<u64>,
}

/// What a command has asked so far.
#[derive(Default)]
pub(super) struct Asked {
    times: BTreeMap<Gateway, usize>,
    in_failed_flows: usize,
}

/// A gateway that asks.
pub(super) struct Visit {
    /// What it heard then; `None` where it was never answered.
    pub(super) heard: Option<HookAnswer>,
    /// Whether the record of the same command has been there.
    pub(super) is_of_this_command: bool,
    /// The how-many-th time it is reached.
    pub(super) occurrence: u32,
}

impl HookRecord {
    /// Of all records of an instance.
    pub(super) fn of(records: &[Placed]) -> Self {
        let mut found = Self::default();
        let mut state = FlowInstance::default();
        for (_, record) in records {
            state.apply_record(record);
            let version = record.given.envelope.version;
            let mut heard: BTreeMap<&NodeInstanceId, HookAnswer> = BTreeMap::new();
            let mut reached: Vec<&NodeInstanceId> = Vec::new();
            for event in &record.events {
                match event {
                    InstanceEvent::GatewayReached(visit) => reached.push(&visit.node),
                    InstanceEvent::NodeReentered { node, .. } => reached.push(node),
                    InstanceEvent::HookAnswered {
                        node,
                        variables,
                        failures,
                        ..
                    } => {
                        let answer = HookAnswer {
                            variables: variables.clone(),
                            failures: failures.clone(),
                        };
                        heard.insert(node, answer);
                    }
                    InstanceEvent::CommitFailed {
                        reached: of_attempt,
                        hooks,
                        ..
                    } => {
                        found.failed.insert(version);
                        reached.extend(of_attempt.iter().map(|visit| &visit.node));
                        for HookHeard {
                            node,
                            variables,
                            failures,
                        } in hooks
                        {
                            let answer = HookAnswer {
                                variables: variables.clone(),
                                failures: failures.clone(),
                            };
                            if of_attempt.iter().any(|visit| visit.node == *node) {
                                heard.insert(node, answer);
                            } else {
                                found.in_failed_flows.entry(version).or_default().push(answer);
                            }
                        }
                    }
                    _ => {}
                }
            }
            for node in reached {
                let Some(known) = state.node(node) else { continue };
                let Some(flow) = state.flows().position(|(index, _)| index == known.flow) else {
                    continue;
                };
                let gateway = (flow, known.key.clone());
                found.reached.entry(gateway).or_default().push(Reached {
                    version,
                    heard: heard.remove(node),
                });
            }
        }
        found
    }
}

impl Asked {
    /// The next time that a gateway asks, in the command of a version. `is_new`: its flow was started by this command.
    pub(super) fn next(
        &mut self,
        hooks: &HookRecord,
        version: u64,
        flow: usize,
        is_new: bool,
        key: &Arc<str>,
    ) -> Visit {
        let gateway = (flow, key.clone());
        let reached = hooks.reached.get(&gateway).map_or(&[][..], Vec::as_slice);
        let before = reached.partition_point(|reached| reached.version < version);
        let times = self.times.entry(gateway).or_default();
        let number = before + *times;
        *times += 1;
        let occurrence = u32::try_from(number + 1).unwrap_or(u32::MAX);
        if let Some(reached) = reached.get(number) {
            return Visit {
                heard: reached.heard.clone(),
                is_of_this_command: reached.version == version,
                occurrence,
            };
        }
        let is_of_this_command = is_new && hooks.failed.contains(&version);
        let answers = hooks.in_failed_flows.get(&version).filter(|_| is_of_this_command);
        let heard = answers.and_then(|answers| answers.get(self.in_failed_flows)).cloned();
        self.in_failed_flows += usize::from(heard.is_some());
        Visit {
            heard,
            is_of_this_command,
            occurrence,
        }
    }
}
