//! Examples: given an instance, when this is done, then that is so. What is not so panics, with what was done before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowledger_engine_core::instance::FlowStatus;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;

use super::FlowTest;
use super::invariant::Invariant;
use super::script::{Script, ScriptStep};
use super::{Broken, Moment, TestError};
use crate::error::EngineError;

/// An instance in an example, and what was done with it so far.
#[derive(Clone)]
pub struct Example {
    test: FlowTest,
    script: Script,
}

pub(super) fn data<'k, V: Into<Value>>(variables: impl IntoIterator<Item = (&'k str, V)>) -> Vec<InstanceData> {
    let variables = variables.into_iter();
    variables.map(|(key, value)| InstanceData::new(key, value)).collect()
}

impl Example {
    pub(super) fn start(test: &FlowTest, variables: Vec<InstanceData>) -> Self {
        Self {
            test: test.clone(),
            script: Script {
                steps: vec![ScriptStep::Start { variables, by: None }],
            },
        }
    }

    /// When the task of this element is committed with these variables.
    pub fn when_commit<'k, V: Into<Value>>(
        self,
        task: &str,
        variables: impl IntoIterator<Item = (&'k str, V)>,
    ) -> Self {
        self.step(ScriptStep::Commit {
            task: task.into(),
            variables: data(variables),
            calls: None,
            by: None,
        })
    }

    /// When the task of this element is committed by somebody, without variables.
    pub fn when_committed_by(self, task: &str, by: &str) -> Self {
        self.step(ScriptStep::Commit {
            task: task.into(),
            variables: Vec::new(),
            calls: None,
            by: Some(by.into()),
        })
    }

    /// When the task of this element is rolled back.
    pub fn when_rollback(self, task: &str) -> Self {
        self.step(ScriptStep::Rollback { task: task.into() })
    }

    /// When the instance is terminated.
    pub fn when_terminated(self) -> Self {
        self.step(ScriptStep::Terminate)
    }

    /// When any other step is taken.
    pub fn step(mut self, step: ScriptStep) -> Self {
        self.script.steps.push(step);
        self
    }

    /// Then tasks wait at exactly these elements, in any order.
    ///
    /// # Panics
    /// Where that is not so.
    pub fn then_waits_at<'k>(self, keys: impl IntoIterator<Item = &'k str>) -> Self {
        let mut expected: Vec<String> = keys.into_iter().map(str::to_owned).collect();
        expected.sort_unstable();
        let name = format!("then it waits at {}", expected.join(", "));
        self.then(&name, move |now| {
            let mut waits = now.waits_at();
            waits.sort_unstable();
            waits == expected
        })
    }

    /// Then the instance is completed.
    ///
    /// # Panics
    /// Where that is not so.
    pub fn then_completed(self) -> Self {
        self.then("then it is completed", |now| now.status() == FlowStatus::Completed)
    }

    /// Then a variable has this value.
    ///
    /// # Panics
    /// Where that is not so.
    pub fn then_data(self, key: &str, value: impl Into<Value>) -> Self {
        let (key, value) = (key.to_owned(), value.into());
        let name = format!("then {key} is {value}");
        self.then(&name, move |now| now.value(&key).as_ref() == Some(&value))
    }

    /// Then the last command was answered with this code.
    ///
    /// # Panics
    /// Where that is not so.
    pub fn then_code(self, code: i32) -> Self {
        self.then(&format!("then the code is {code}"), move |now| now.code() == code)
    }

    /// Then this is so.
    ///
    /// # Panics
    /// Where that is not so, or the example does not get there.
    #[expect(clippy::panic, reason = "this is how a test fails")]
    pub fn then(self, name: &str, holds: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Self {
        match self.judged(name, holds) {
            Ok(None) => self,
            Ok(Some(broken)) => panic!("{broken}"),
            Err(error) => panic!("{name}: {error}"),
        }
    }

    /// What is seen where this is not so behind the last command.
    pub(super) fn judged(
        &self,
        name: &str,
        holds: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static,
    ) -> Result<Option<Broken>, EngineError> {
        let steps = self.script.steps.len();
        let last: Arc<AtomicUsize> = Arc::default();
        let counted = last.clone();
        let mut test = self.test.clone();
        test.invariants = vec![Invariant::never(name, move |now| {
            let step = counted.fetch_add(1, Ordering::Relaxed) + 1;
            step == steps && !holds(now)
        })];
        match test.play(&self.script) {
            Ok(_) if last.load(Ordering::Relaxed) == steps => Ok(None),
            Ok(_) => Ok(Some(Broken {
                invariant: name.into(),
                seen: "not every command found its task".to_owned(),
                script: self.script.clone(),
                seed: test.seed,
                case: 0,
            })),
            Err(TestError::Broken(broken)) => Ok(Some(*broken)),
            Err(TestError::Engine(error)) => Err(error),
        }
    }
}
