//! Proves models before they run: soundness, conditions, data. Knows models and the rules of a run; does no IO.
//!
//! [`prove_model`] explores every state that a flow can come to, with values from every range that its conditions tell
//! apart ([`cells`](crate::expression::cells)). What it finds, it shows: a finding has commands that were run on the
//! decider of instances and did what the finding says. What it cannot decide, it names.
//!
//! What is sound, and how it is found out: docs/how-to/prove.md and docs/adr/0022-proofs-of-models.md.

mod data;
mod explore;
mod findings;
mod invariants;
mod machine;
mod net;
mod replay;
pub mod report;
mod script;
mod scripting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use explore::{MAX_CHOICES, MAX_COMMANDS};
use findings::Prover;
use net::Net;
use report::{CalledReport, ProofReport, Searched, Unknown, VariableRead, Verdict};

use crate::model::flow_model::FlowModel;
use crate::model::parse::{self, ModelLimits};
use crate::profile::Profile;

/// States that are explored unless the caller says otherwise.
pub const DEFAULT_STATES: usize = 20_000;
/// Elements of the largest model that is looked at.
pub const MAX_ELEMENTS: usize = 5_000;
/// Levels of call activities that are followed.
const MAX_CALLS: usize = 10;

/// How a model is to be proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProveParam {
    /// Under which behaviour.
    pub profile: Profile,
    /// Most states that are explored; beyond, the answer is "unknown".
    pub states: usize,
    /// The models of flow modules that call activities run, by module id; those of others are taken to end.
    pub called: BTreeMap<Arc<str>, Arc<str>>,
}

impl Default for ProveParam {
    fn default() -> Self {
        Self {
            profile: Profile::Documented,
            states: DEFAULT_STATES,
            called: BTreeMap::new(),
        }
    }
}

/// Proves the text of a model. Pure: the same text and parameters give the same report.
///
/// Faults that deployFlow would refuse the model for are findings too. Whether a host has plug-ins is not known here:
/// elements and joins that need them cannot be decided.
///
/// ```
/// use flowledger_engine_core::analysis::{ProveParam, prove_model, report::Verdict};
///
/// let report = prove_model(
///     r#"{"flowElementList":[
///         {"key":"start","type":2,"outgoing":["f1"]},
///         {"key":"f1","type":1,"incoming":["start"],"outgoing":["gate"]},
///         {"key":"gate","type":6,"incoming":["f1"],"outgoing":["f2","f3"]},
///         {"key":"f2","type":1,"incoming":["gate"],"outgoing":["end"],"properties":{"conditionsequenceflow":"days < 3"}},
///         {"key":"f3","type":1,"incoming":["gate"],"outgoing":["end"],"properties":{"conditionsequenceflow":"days > 3"}},
///         {"key":"end","type":3,"incoming":["f2","f3"]}]}"#,
///     &ProveParam::default(),
/// );
/// assert_eq!(report.verdict, Verdict::Faulty);
/// assert_eq!(report.findings[0].script.words(), "start {days: 3}");
/// ```
pub fn prove_model(text: &str, param: &ProveParam) -> ProofReport {
    prove(text, param, &mut Vec::new()).report
}

/// Where the variables of a model's conditions are read, and where they can come from; nothing of a text that is no model.
pub fn variable_reads(text: &str) -> Vec<VariableRead> {
    let model = parse::parse(text, &ModelLimits::default());
    model.map_or_else(
        |_| Vec::new(),
        |model| data::reads(&Net::new(&model, Profile::Documented, None)),
    )
}

/// What is known of one flow, and how it ends soonest.
#[derive(Clone)]
struct Proved {
    report: ProofReport,
    completion: Option<scripting::Completion>,
}

fn prove(text: &str, param: &ProveParam, around: &mut Vec<Arc<str>>) -> Proved {
    let model = match parse::parse(text, &ModelLimits::default()) {
        Ok(model) => model,
        Err(fault) => {
            return Proved {
                report: findings::unreadable(&fault, param),
                completion: None,
            };
        }
    };
    if model.elements().len() > MAX_ELEMENTS {
        let mut report = ProofReport::empty(param);
        report.unknown(Vec::new(), format!("the model has more than {MAX_ELEMENTS} elements"));
        return Proved {
            report,
            completion: None,
        };
    }
    let called = called(&model, param, around);
    Prover::new(&model, param, called).prove()
}

/// The flows that call activities run, where their models are given; a flow that calls itself is not followed.
fn called(model: &FlowModel, param: &ProveParam, around: &mut Vec<Arc<str>>) -> BTreeMap<Arc<str>, Proved> {
    let mut found = BTreeMap::new();
    if around.len() >= MAX_CALLS {
        return found;
    }
    for module in crate::model::validate::called_modules(model) {
        let id: Arc<str> = module.to_string().into();
        let Some(text) = param.called.get(&id).filter(|_| !around.contains(&id)) else {
            continue;
        };
        around.push(id.clone());
        found.insert(id, prove(text, param, around));
        around.pop();
    }
    found
}

impl ProofReport {
    /// A report that knows nothing yet.
    fn empty(param: &ProveParam) -> Self {
        Self {
            verdict: Verdict::Unknown,
            findings: Vec::new(),
            unknowns: Vec::new(),
            assumptions: Vec::new(),
            reads: Vec::new(),
            searched: Searched {
                bound: param.states,
                ..Searched::default()
            },
            called: Vec::new(),
        }
    }

    /// What findings, unknowns and called flows come to.
    fn settle(&mut self) {
        let called = |verdict: Verdict| self.called.iter().any(|called| called.report.verdict == verdict);
        self.verdict = if !self.findings.is_empty() {
            Verdict::Faulty
        } else if !self.unknowns.is_empty() || called(Verdict::Unknown) {
            Verdict::Unknown
        } else {
            Verdict::Sound
        };
    }

    fn unknown(&mut self, elements: Vec<Arc<str>>, why: impl Into<String>) {
        self.unknowns.push(Unknown {
            elements,
            why: why.into(),
        });
    }
}

impl CalledReport {
    fn of(called: &BTreeMap<Arc<str>, Proved>) -> Vec<Self> {
        let reports = called.iter().map(|(id, proved)| Self {
            flow_module_id: id.clone(),
            report: proved.report.clone(),
        });
        reports.collect()
    }
}
