//! What a regression over the past comes to: verdicts counted, and differences of one kind in one group. Knows no store and no model.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use flowledger_engine_core::event::DeployWarning;
use flowledger_engine_core::id::{FlowInstanceId, FlowModuleId};
use flowledger_engine_core::value::Value;
use serde::{Deserialize, Serialize};

use crate::error::FaultEntry;

/// Groups that a report keeps; instances that would begin another one are counted as `ungrouped`.
pub(super) const GROUPS_MAX: usize = 1_000;

/// The recorded instances of a module, each judged by what a candidate model makes of its commands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionReport {
    /// The module.
    pub flow_module_id: FlowModuleId,
    /// The candidate.
    pub candidate: RegressionCandidate,
    /// How many records the log had: later ones are not judged.
    pub log_position: u64,
    /// The verdicts.
    #[serde(flatten)]
    pub tally: RegressionTally,
}

impl RegressionReport {
    /// Whether the candidate may be deployed and every instance takes the same path on it.
    pub fn is_clean(&self) -> bool {
        self.candidate.faults.is_empty() && self.tally.same_path == self.tally.instances
    }
}

/// A candidate model, and what deployFlow would say of it. Modules that its call activities name are taken for present.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionCandidate {
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// Why deployFlow would refuse it, in the order in which it looks.
    pub faults: Vec<FaultEntry>,
    /// What is allowed in it but likely not meant.
    pub warnings: Vec<DeployWarning>,
}

/// Verdicts, counted and grouped. A flow instance is judged with all its sub flow instances, as one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionTally {
    /// Instances that were judged: those in which the module has run, itself or called by another one, or was called by a commit
    /// that failed.
    pub instances: u64,
    /// Commands that were decided again: those of every instance up to its verdict.
    pub commands: u64,
    /// Instances that take the same path.
    pub same_path: u64,
    /// Instances that take another path.
    pub diverges: u64,
    /// Instances that the candidate cannot carry on, because a recorded command has no place in it.
    pub cannot_continue: u64,
    /// Those of the instances that have not ended.
    pub live: RegressionLive,
    /// The differences, the most frequent first.
    pub groups: Vec<RegressionGroup>,
    /// Instances whose difference is in no group, because there are 1,000 groups.
    pub ungrouped: u64,
}

/// The instances that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionLive {
    /// How many there are: running, suspended or aborted.
    pub instances: u64,
    /// Those whose whole past takes the same path: each of their active tasks is active in the candidate too.
    pub may_move: u64,
    /// The others; the group says why.
    pub must_finish_on_old: u64,
}

/// Whether an instance could go on behind its difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RegressionVerdict {
    /// It takes another path.
    Diverges,
    /// A recorded command has no place in the candidate, or the candidate asks what was never answered.
    CannotContinue,
}

/// In what the candidate differs first from the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DifferenceKind {
    /// Other sequence flows are taken.
    SequenceFlow,
    /// Another element is reached, or none.
    Element,
    /// A commit fails that did not, or the other way round, or with another code.
    Failure,
    /// A join fires at another moment, or closes something else.
    Join,
    /// A rollback leads elsewhere, or leaves something else to be undone.
    Rollback,
    /// A flow is started, ended, held or terminated otherwise.
    Flow,
    /// A node instance is entered or left with other variables, or another payload.
    Data,
    /// A task was reached that the candidate does not have.
    MissingTask,
    /// The candidate refuses a command that was carried out.
    Refused,
    /// A gateway of the candidate asks a hook for what no hook was ever asked.
    UnansweredHook,
}

/// The first difference between what was recorded and what the candidate comes to. Differences that are equal make a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionDifference {
    /// Whether the instance could go on behind it.
    pub verdict: RegressionVerdict,
    /// What differs.
    pub kind: DifferenceKind,
    /// The module whose flow it is in.
    pub flow_module_id: FlowModuleId,
    /// The element at which both part, or whose data differs; empty where there is none.
    pub element_key: Arc<str>,
    /// The first condition that came out otherwise, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionChange>,
    /// The variables that differ, at most ten; empty where it is no difference of data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Arc<str>>,
    /// Where the record goes from there.
    pub then: Course,
    /// Where the candidate goes.
    pub now: Course,
}

/// A condition that came out otherwise than on the record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionChange {
    /// The sequence flow that carries it.
    pub sequence_flow: Arc<str>,
    /// How it came out on the record; absent where it was not evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<bool>,
    /// How it comes out in the candidate; absent where it is not evaluated, or cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
    /// Its text in the deployment of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_then: Option<Arc<str>>,
    /// Its text in the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_now: Option<Arc<str>>,
}

/// Where a flow goes on one side of a difference. All members absent: it rests.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// The sequence flows it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequence_flows: Vec<Arc<str>>,
    /// The element it reaches next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element_key: Option<Arc<str>>,
    /// What the element is, where both sides reach one of the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element_type: Option<i64>,
    /// The code with which it fails or is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub err_code: Option<i32>,
    /// What happens, where none of the others says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Arc<str>>,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match &*self.sequence_flows {
            [] => {}
            [one] => parts.push(format!("takes {one}")),
            several => parts.push(format!("takes {}", several.join(", "))),
        }
        if let Some(code) = self.err_code {
            let at = self.element_key.as_ref().map(|key| format!(" at {key}"));
            parts.push(format!("fails with {code}{}", at.unwrap_or_default()));
        } else if let Some(key) = &self.element_key {
            let to = if parts.is_empty() { "reaches " } else { "to " };
            parts.push(match self.element_type {
                Some(element_type) => format!("{to}{key} (type {element_type})"),
                None => format!("{to}{key}"),
            });
        }
        parts.extend(self.event.as_ref().map(ToString::to_string));
        if parts.is_empty() {
            return f.write_str("rests");
        }
        f.write_str(&parts.join(" "))
    }
}

/// Instances that differ from their records in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionGroup {
    /// The difference.
    #[serde(flatten)]
    pub difference: RegressionDifference,
    /// The name of the element, where it has one.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub element_name: Arc<str>,
    /// How many instances there are.
    pub instances: u64,
    /// How many of them have not ended: they must finish on the old deployment.
    pub live: u64,
    /// Some of them, the newest first; [`RegressionParam::examples`](super::RegressionParam::examples) says how many at most.
    pub examples: Vec<RegressionExample>,
}

/// An instance of a group, and where exactly it differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionExample {
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// Whether it has not ended.
    pub live: bool,
    /// The version of the first record that differs.
    pub version: u64,
    /// The command of that record, by its name in the API document.
    pub command: Arc<str>,
    /// The how-many-th visit of the element in its flow it is; 0 where there is none.
    pub occurrence: u32,
    /// Where the instance stood behind that record: the keys of its active tasks.
    pub waits_then: Vec<Arc<str>>,
    /// Where it stands in the candidate.
    pub waits_now: Vec<Arc<str>>,
    /// The version of the record that commits the task which the candidate does not have, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_at: Option<u64>,
    /// The variables in question: those that the conditions name, or those that differ; at most ten.
    pub values: Vec<RegressionValue>,
    /// What exactly went wrong, where the candidate refuses or fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Arc<str>>,
}

/// A variable at the element. Values of more than 200 characters are given as the beginning of their text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegressionValue {
    /// The variable.
    pub key: Arc<str>,
    /// Its value on the record; absent where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<Value>,
    /// Its value in the candidate; absent where it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Value>,
}

/// How one instance was judged.
pub(super) struct Judged {
    /// Commands that were decided again.
    pub(super) commands: u64,
    /// Whether the candidate's module was called, by a commit that failed perhaps.
    pub(super) is_called: bool,
    pub(super) is_live: bool,
    /// `None`: the same path.
    pub(super) found: Option<Box<Found>>,
}

/// A difference of one instance.
pub(super) struct Found {
    pub(super) difference: RegressionDifference,
    pub(super) element_name: Arc<str>,
    pub(super) example: RegressionExample,
}

/// Verdicts as they come in.
#[derive(Default)]
pub(super) struct Gathering {
    counts: RegressionTally,
    groups: BTreeMap<RegressionDifference, RegressionGroup>,
}

impl Gathering {
    /// Goes on from what was gathered before.
    pub(super) fn of(mut counts: RegressionTally) -> Self {
        let groups = std::mem::take(&mut counts.groups);
        let groups = groups.into_iter().map(|group| (group.difference.clone(), group));
        Self {
            groups: groups.collect(),
            counts,
        }
    }

    /// Counts an instance in.
    pub(super) fn add(&mut self, judged: Judged, examples: usize) {
        let counts = &mut self.counts;
        counts.instances += 1;
        counts.commands += judged.commands;
        let live = u64::from(judged.is_live);
        counts.live.instances += live;
        let Some(found) = judged.found else {
            counts.same_path += 1;
            counts.live.may_move += live;
            return;
        };
        counts.live.must_finish_on_old += live;
        match found.difference.verdict {
            RegressionVerdict::Diverges => counts.diverges += 1,
            RegressionVerdict::CannotContinue => counts.cannot_continue += 1,
        }
        let is_known = self.groups.contains_key(&found.difference);
        if !is_known && self.groups.len() >= GROUPS_MAX {
            counts.ungrouped += 1;
            return;
        }
        let Found {
            difference,
            element_name,
            example,
        } = *found;
        let group = self
            .groups
            .entry(difference.clone())
            .or_insert_with(|| RegressionGroup {
                difference,
                element_name,
                instances: 0,
                live: 0,
                examples: Vec::new(),
            });
        group.instances += 1;
        group.live += live;
        if group.examples.len() < examples {
            group.examples.push(example);
        }
    }

    /// What was gathered so far.
    pub(super) fn tally(&self) -> RegressionTally {
        let mut tally = self.counts.clone();
        tally.groups = self.groups.values().cloned().collect();
        // Of two groups of one size the order is that of their differences.
        tally.groups.sort_by_key(|group| std::cmp::Reverse(group.instances));
        tally
    }
}
