//! What is drawn for a run: values from what the model's conditions speak of, and commands.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::expression::{Vocabulary, around};
use flowledger_engine_core::invariant::{self, CompiledInvariant, InvariantExpression};
use flowledger_engine_core::model::parse::{self, ModelLimits};
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::sample::select;
use serde::{Deserialize, Serialize};

/// Values of one variable that are drawn at most.
const MAX_VALUES: usize = 64;
/// Values of what is compared with nothing but other variables.
const COMPARED: [i64; 3] = [0, 1, 2];
/// Values of what is only tested for truth.
const TESTED: [Value; 2] = [Value::Bool(true), Value::Bool(false)];
/// How likely a variable is given with a command.
const GIVEN: f64 = 0.7;

/// The variables that a model's conditions read, with the values at which something may change: each constant and what is just
/// beside it, texts that occur and one that does not, true and false.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(BTreeMap<Arc<str>, Vec<Value>>);

impl Values {
    /// What the conditions and the invariants of these models speak of. A text that is no model adds nothing.
    pub fn of<'t>(models: impl IntoIterator<Item = &'t str>) -> Self {
        let mut conditions = Vec::new();
        let mut own = Vec::new();
        for text in models {
            let Ok(model) = parse::parse(text, &ModelLimits::default()) else {
                continue;
            };
            let texts = model.elements().iter().filter_map(|element| element.condition());
            conditions.extend(texts.filter_map(|text| Vocabulary::of(text).ok()));
            own.extend(invariant::compile_all(model.invariants()).unwrap_or_default());
        }
        let mut values = Self::default();
        values.add(&conditions);
        values.spoken_of(&own)
    }

    /// The same, with what invariants speak of beside it.
    pub(super) fn spoken_of(mut self, invariants: &[CompiledInvariant]) -> Self {
        let expressions = invariants.iter().flat_map(CompiledInvariant::expressions);
        let vocabularies: Vec<Vocabulary> = expressions.map(InvariantExpression::variables).collect();
        self.add(&vocabularies);
        self
    }

    /// Adds what is compared with constants. What is compared with other variables only gets the values of those, or some
    /// numbers; what has no value then is tested for truth. So a text or an amount is not tried as a boolean because it is
    /// asked whether it is there.
    fn add(&mut self, vocabularies: &[Vocabulary]) {
        for vocabulary in vocabularies {
            add(&mut self.0, vocabulary);
        }
        let path_at = |vocabulary: &'_ Vocabulary, place: usize| vocabulary.paths.get(place).cloned();
        for vocabulary in vocabularies {
            for (one, other) in &vocabulary.pairs {
                let (Some(one), Some(other)) = (path_at(vocabulary, *one), path_at(vocabulary, *other)) else {
                    continue;
                };
                for (of, beside) in [(&one, &other), (&other, &one)] {
                    let known: Vec<Value> = beside.first().map_or(&[][..], |key| self.of_variable(key)).to_vec();
                    let known = if beside.len() == 1 && !known.is_empty() {
                        known
                    } else {
                        COMPARED.map(Value::Int).into()
                    };
                    self.fill(of, &known);
                }
            }
        }
        for path in vocabularies.iter().flat_map(|vocabulary| &vocabulary.paths) {
            self.fill(path, &TESTED);
        }
    }

    /// Gives a variable values if it has none.
    fn fill(&mut self, path: &[Arc<str>], values: &[Value]) {
        if let Some((key, properties)) = path.split_first()
            && self.of_variable(key).is_empty()
        {
            let values = values.iter().map(|value| nested(properties, value.clone()));
            self.0.insert(key.clone(), values.collect());
        }
    }

    /// The same, with these values of a variable beside the others: of one that only hooks or plug-ins of the host read, say.
    pub fn with(mut self, key: &str, more: impl IntoIterator<Item = Value>) -> Self {
        let of_key = self.0.entry(key.into()).or_default();
        for value in more {
            push(of_key, value);
        }
        self
    }

    /// The values of a variable.
    pub fn of_variable(&self, key: &str) -> &[Value] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Adds what is compared with constants.
fn add(values: &mut BTreeMap<Arc<str>, Vec<Value>>, vocabulary: &Vocabulary) {
    for (place, constant) in &vocabulary.beside {
        let path = vocabulary.paths.get(*place);
        let Some((key, properties)) = path.and_then(|path| path.split_first()) else {
            continue;
        };
        let of_key = values.entry(key.clone()).or_default();
        for value in around(constant) {
            push(of_key, nested(properties, value));
        }
    }
}

fn push(values: &mut Vec<Value>, value: Value) {
    if values.len() < MAX_VALUES && !values.contains(&value) {
        values.push(value);
    }
}

fn nested(properties: &[Arc<str>], value: Value) -> Value {
    properties.iter().rev().fold(value, |inner, name| {
        Value::Map(Arc::new(BTreeMap::from([(name.clone(), inner)])))
    })
}

/// Variables to give with a command: each of a model's with most of the commands, at one of its values.
pub fn variables(values: &Values) -> BoxedStrategy<Vec<InstanceData>> {
    let each: Vec<_> = values
        .0
        .iter()
        .map(|(key, values)| {
            let key = key.clone();
            option::weighted(GIVEN, select(values.clone()))
                .prop_map(move |value| value.map(|value| InstanceData::new(&key, value)))
        })
        .collect();
    each.prop_map(|given| given.into_iter().flatten().collect()).boxed()
}

/// Which commands are given, and how often one beside the others. 0: not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Words {
    /// A commit of one of the open tasks.
    pub commit: u32,
    /// A rollback of one of them.
    pub rollback: u32,
    /// Back to any earlier task.
    pub rollback_to: u32,
    /// The last rollback taken back.
    pub redo: u32,
    /// Suspended, and resumed with the next such word.
    pub hold: u32,
    /// The end of the instance.
    pub terminate: u32,
    /// The last command once more, as by a caller who has not heard the answer: it must not be done twice.
    pub repeat: u32,
    /// A commit that expects an older version: it must be refused.
    pub stale: u32,
    /// A commit of a task that is not there: it must be refused.
    pub unknown: u32,
    /// Two commits of one task at the same time: one of them must be done.
    pub concurrent: u32,
    /// The engine is closed and opened again on what it stored.
    pub restart: u32,
    /// Time passes: a minute, an hour, a day or a month.
    pub wait: u32,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            commit: 20,
            rollback: 3,
            rollback_to: 2,
            redo: 1,
            hold: 1,
            terminate: 1,
            repeat: 1,
            stale: 1,
            unknown: 1,
            concurrent: 1,
            restart: 1,
            wait: 1,
        }
    }
}

impl Words {
    /// Commits only: what an honest client does on its way.
    pub const COMMITS: Self = Self {
        commit: 1,
        rollback: 0,
        rollback_to: 0,
        redo: 0,
        hold: 0,
        terminate: 0,
        repeat: 0,
        stale: 0,
        unknown: 0,
        concurrent: 0,
        restart: 0,
        wait: 0,
    };

    /// The commands of a run: a start, and up to so many more.
    pub(super) fn strategy(&self, values: &Values, commands: usize) -> BoxedStrategy<Vec<Word>> {
        let pick = any::<u8>();
        let by = 0..OPERATORS.len();
        let commit = (pick, variables(values), by.clone())
            .prop_map(|(task, variables, by)| Word::Commit { task, variables, by })
            .boxed();
        let concurrent = (pick, variables(values), variables(values))
            .prop_map(|(task, one, other)| Word::Concurrent { task, one, other })
            .boxed();
        let weighted: Vec<(u32, BoxedStrategy<Word>)> = [
            (self.commit, commit),
            (self.rollback, pick.prop_map(|task| Word::Rollback { task }).boxed()),
            (
                self.rollback_to,
                pick.prop_map(|task| Word::RollbackTo { task }).boxed(),
            ),
            (self.redo, Just(Word::Redo).boxed()),
            (self.hold, Just(Word::Hold).boxed()),
            (self.terminate, Just(Word::Terminate).boxed()),
            (self.repeat, Just(Word::Repeat).boxed()),
            (self.stale, pick.prop_map(|task| Word::Stale { task }).boxed()),
            (self.unknown, Just(Word::Unknown).boxed()),
            (self.concurrent, concurrent),
            (self.restart, Just(Word::Restart).boxed()),
            (
                self.wait,
                select(&WAITS).prop_map(|seconds| Word::Wait { seconds }).boxed(),
            ),
        ]
        .into_iter()
        .filter(|(weight, _)| *weight > 0)
        .collect();
        let start = (variables(values), by).prop_map(|(variables, by)| Word::Start { variables, by });
        let rest = if weighted.is_empty() {
            Just(Vec::new()).boxed()
        } else {
            vec(proptest::strategy::Union::new_weighted(weighted), 0..=commands).boxed()
        };
        (start, rest)
            .prop_map(|(start, rest)| std::iter::once(start).chain(rest).collect())
            .boxed()
    }
}

/// The seconds that pass: a minute, an hour, a day, a month.
const WAITS: [u64; 4] = [60, 3_600, 86_400, 2_592_000];

/// Who gives commands.
pub(super) const OPERATORS: [&str; 3] = ["ann", "ben", "cho"];

/// A command before it is known which tasks there are: `task` counts round among the open ones.
#[derive(Clone, Debug)]
pub(super) enum Word {
    Start {
        variables: Vec<InstanceData>,
        by: usize,
    },
    Commit {
        task: u8,
        variables: Vec<InstanceData>,
        by: usize,
    },
    Rollback {
        task: u8,
    },
    RollbackTo {
        task: u8,
    },
    Redo,
    Hold,
    Terminate,
    Repeat,
    Stale {
        task: u8,
    },
    Unknown,
    Concurrent {
        task: u8,
        one: Vec<InstanceData>,
        other: Vec<InstanceData>,
    },
    Restart,
    Wait {
        seconds: u64,
    },
}
