//! What must hold of a model, as a file says it: values to try, hook answers, commands, examples, thresholds.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::instance::FlowStatus;
use flowledger_engine_core::invariant::{self, InvariantError};
use flowledger_engine_core::model::element::Element;
use flowledger_engine_core::model::parse::{ModelLimits, parse};
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;
use serde::{Deserialize, Serialize};

use super::example;
use super::script::{self, Script, ScriptStep};
use super::{Broken, FlowTest, Invariant, Moment, Words};
use crate::error::EngineError;

/// A properties file. Every member may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Properties {
    /// What must hold, in the form in which a model has its own invariants.
    pub invariants: Vec<invariant::Invariant>,
    /// How many runs are tried.
    pub cases: Option<u32>,
    /// How many commands a run has at most, the start not counted.
    pub commands: Option<usize>,
    /// What decides the runs.
    pub seed: Option<u64>,
    /// Whether a commit that fails for want of a variable is a fault; not so unless it is said.
    pub no_commit_fails: Option<bool>,
    /// Whether a commit that fails for any other reason is a fault; so unless it is said otherwise.
    pub commits_go_on: Option<bool>,
    /// Whether a running instance in which no task waits is a fault; so unless it is said otherwise.
    pub never_stuck: Option<bool>,
    /// Which commands are given, and how often.
    pub words: Option<Words>,
    /// Values that variables are given beside those that the conditions speak of.
    pub values: BTreeMap<Arc<str>, Vec<Value>>,
    /// What the hooks of gateways answer; nothing, where this is left out.
    pub hook_answer: BTreeMap<Arc<str>, Value>,
    /// The flows that call activities run, by name: paths of their models, from the folder of the properties file.
    pub called: BTreeMap<Arc<str>, Arc<str>>,
    /// Examples.
    pub examples: Vec<GivenWhenThen>,
    /// The least that is enough, in percent.
    pub minimum: Minimum,
}

/// The least that is enough, in percent; what is left out may be anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Minimum {
    /// Nodes that were visited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elements: Option<f64>,
    /// Sequence flows that were taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_flows: Option<f64>,
    /// Conditions that held, and that did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conditions: Option<f64>,
    /// User tasks that were rolled back over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollbacks: Option<f64>,
    /// Mutants that were noticed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mutants: Option<f64>,
}

/// An example: given an instance, when this is done, then that is so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GivenWhenThen {
    /// Its name.
    pub name: Arc<str>,
    /// The variables that the instance is started with.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "script::variables")]
    pub given: Vec<InstanceData>,
    /// The commands, as in a script.
    #[serde(default)]
    pub when: Vec<ScriptStep>,
    /// What is so behind the last of them.
    pub then: Expected,
}

/// What is so at the end of an example; what is left out may be anything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Expected {
    /// The elements at which tasks wait, all of them, in any order.
    pub waits_at: Option<Vec<String>>,
    /// Variables with their values.
    #[serde(with = "script::variables")]
    pub variables: Vec<InstanceData>,
    /// Where the instance stands: `running`, `completed`, `terminated`, `suspended` or `aborted`.
    pub status: Option<Status>,
    /// What the last command was answered with.
    pub code: Option<i32>,
}

/// Where an instance stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Status {
    /// It waits for commits.
    Running,
    /// It has come to its end.
    Completed,
    /// It was ended.
    Terminated,
    /// It is held.
    Suspended,
    /// It was given up, and can be restored.
    Aborted,
}

impl FlowTest {
    /// All that a properties file says but for the called flows, whose models are files, and the least that is enough.
    ///
    /// # Errors
    /// All that is wrong with its invariants.
    pub fn properties_file(self, properties: &Properties) -> Result<Self, Vec<InvariantError>> {
        let Properties {
            invariants,
            cases,
            commands,
            seed,
            no_commit_fails,
            commits_go_on,
            never_stuck,
            words,
            values,
            hook_answer,
            called: _,
            examples,
            minimum: _,
        } = properties;
        let mut test = self.properties(invariants)?;
        test.cases = cases.unwrap_or(test.cases);
        if let Some(commands) = commands {
            test = test.commands(*commands);
        }
        test.seed = seed.unwrap_or(test.seed);
        test.words = words.unwrap_or(test.words);
        if never_stuck.unwrap_or(true) {
            test = test.with(Invariant::never_stuck());
        }
        if commits_go_on.unwrap_or(true) {
            test = test.with(Invariant::commits_go_on());
        }
        if no_commit_fails.unwrap_or(false) {
            test = test.no_commit_fails();
        }
        for (key, values) in values {
            for value in values {
                test = test.value(key, value.clone());
            }
        }
        let is_asked = test.texts().any(asks_hooks);
        if is_asked || !hook_answer.is_empty() {
            let answer = hook_answer.iter();
            let answer: Vec<_> = answer
                .map(|(key, value)| InstanceData::new(key, value.clone()))
                .collect();
            test = test.hook_fn(move |_| answer.clone());
        }
        for example in examples {
            test = test.example(example.clone());
        }
        Ok(test)
    }
}

/// Whether a gateway of a model has hooks.
pub fn asks_hooks(model: &str) -> bool {
    let model = parse(model, &ModelLimits::default());
    model.is_ok_and(|model| {
        let hooks = |element: &Element| {
            element
                .text_property("hookInfoIds")
                .is_some_and(|ids| !ids.trim().is_empty())
        };
        model.elements().iter().any(hooks)
    })
}

impl GivenWhenThen {
    /// What is done.
    pub fn script(&self) -> Script {
        let start = ScriptStep::Start {
            variables: self.given.clone(),
            by: None,
        };
        Script {
            steps: std::iter::once(start).chain(self.when.iter().cloned()).collect(),
        }
    }
}

/// What is seen where an example does not come out.
pub(super) fn judge(test: &FlowTest, given_when_then: &GivenWhenThen) -> Result<Option<Broken>, EngineError> {
    let GivenWhenThen {
        name,
        given,
        when,
        then,
    } = given_when_then;
    let mut done = example::Example::start(test, given.clone());
    for step in when {
        done = done.step(step.clone());
    }
    let expected = then.clone();
    let told = format!("{name}: {}", then.told());
    done.judged(&told, move |now| expected.is_so(now))
}

impl Expected {
    fn is_so(&self, now: &Moment<'_>) -> bool {
        let waits_there = |expected: &Vec<String>| {
            let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            let mut waits = now.waits_at();
            expected.sort_unstable();
            waits.sort_unstable();
            expected == waits
        };
        let has = |variable: &InstanceData| now.value(&variable.key).as_ref() == Some(&variable.value);
        self.waits_at.as_ref().is_none_or(waits_there)
            && self.variables.iter().all(has)
            && self.status.is_none_or(|status| status.is(now.status()))
            && self.code.is_none_or(|code| code == now.code())
    }

    /// What is expected, in a line.
    fn told(&self) -> String {
        let mut told = Vec::new();
        if let Some(keys) = &self.waits_at {
            let keys = if keys.is_empty() {
                "nothing".to_owned()
            } else {
                keys.join(", ")
            };
            told.push(format!("it waits at {keys}"));
        }
        let variables = self.variables.iter();
        told.extend(variables.map(|variable| format!("{} is {}", variable.key, variable.value)));
        if let Some(status) = self.status {
            told.push(format!("the instance is {status:?}").to_lowercase());
        }
        if let Some(code) = self.code {
            told.push(format!("the code is {code}"));
        }
        format!("then {}", told.join(", and "))
    }
}

impl Status {
    fn is(self, status: FlowStatus) -> bool {
        match status {
            FlowStatus::Default => false,
            FlowStatus::Running => self == Self::Running,
            FlowStatus::Completed | FlowStatus::End => self == Self::Completed,
            FlowStatus::Terminated => self == Self::Terminated,
            FlowStatus::Suspended => self == Self::Suspended,
            FlowStatus::Aborted => self == Self::Aborted,
        }
    }
}
