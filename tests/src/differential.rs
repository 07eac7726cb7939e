//! Drives a generated case against the naive interpreter and lets others follow step by step.
//!
//! Knows how a word becomes steps; what is compared is the follower's business.

use serde_json::{Value, json};

use crate::conformance::{Bench, NaiveBench};
use crate::generate::{Case, Known, MOST_COMMANDS, queries};
use crate::naive::Naive;
use crate::scenario::{Comparison, Operation, Outcome, Profile, Session, Step, Subject, difference};

/// What happens after every step of the oracle: an error ends the case.
pub trait Follower {
    /// Sees a step and what the oracle answered.
    ///
    /// # Errors
    /// What is wrong, for the reader of the failing test.
    fn follow(&mut self, step: &Step, oracle: &Outcome) -> Result<(), String>;
}

impl<F: FnMut(&Step, &Outcome) -> Result<(), String>> Follower for F {
    fn follow(&mut self, step: &Step, oracle: &Outcome) -> Result<(), String> {
        self(step, oracle)
    }
}

/// Runs a case. An error carries the steps so far as a scenario line that the conformance runner accepts.
///
/// # Errors
/// The follower's first error.
pub fn drive(case: &Case, profile: Profile, follower: &mut impl Follower) -> Result<(), String> {
    let mut driver = Driver {
        oracle: Session::new(NaiveBench.subject(profile, &case.hook_answer), &case.flows),
        known: Known::default(),
        transcript: Vec::new(),
        follower,
    };
    driver.run(case).map_err(|problem| {
        let scenario = json!({
            "name": "failing-case", "flows": case.flows, "hookAnswer": case.hook_answer, "steps": driver.transcript,
        });
        format!("({}) {problem}\nas a scenario:\n{scenario}\n", profile.name())
    })
}

struct Driver<'a, F> {
    oracle: Session<Naive>,
    known: Known,
    transcript: Vec<Step>,
    follower: &'a mut F,
}

impl<F: Follower> Driver<'_, F> {
    fn run(&mut self, case: &Case) -> Result<(), String> {
        for flow in &case.flows {
            let mut step = Step::new(Operation::Deploy);
            step.flow = Some(flow.name.clone());
            self.step(&step)?;
        }
        // Sub flows are named by the model's own property (T-20), so no commit passes one.
        self.query("none")?;
        let mut start = Step::new(Operation::Start);
        start.flow = Some("main".to_owned());
        start.name = Some("i1".to_owned());
        start.variables = Some(case.start.clone());
        start.command_id = Some("start-1".to_owned());
        self.command(&start)?;
        for choice in &case.word {
            if self.known.given.len() > MOST_COMMANDS {
                break;
            }
            if let Some(step) = self.known.step(choice) {
                self.command(&step)?;
            }
        }
        for instance in self.known.instances.clone() {
            self.query(&instance)?;
        }
        Ok(())
    }

    fn command(&mut self, step: &Step) -> Result<(), String> {
        let outcome = self.step(step)?;
        self.known.note(step, outcome.answer.code < 2000);
        if let Some(instance) = self.known.instances.last().cloned() {
            self.query(&instance)?;
        }
        Ok(())
    }

    fn query(&mut self, instance: &str) -> Result<(), String> {
        let nodes = &self.known.nodes;
        let turn = self.known.given.len();
        let node = (!nodes.is_empty()).then(|| nodes[turn % nodes.len()].label.clone());
        for query in queries(instance, node.as_deref()) {
            let outcome = self.step(&query)?;
            if query.op == Operation::GetHistoryElementList && query.effective == Some(true) {
                self.known.learn(instance, &outcome.normal["elements"]);
            }
        }
        // Flow instances by label: sub flow instances among them.
        let labels = (1..).map(|number| format!("f{number}"));
        let known = labels.take_while(|label| self.oracle.labels.flow_id(label).is_some());
        for label in known.collect::<Vec<_>>() {
            let mut query = Step::new(Operation::GetFlowInstance);
            query.instance = Some(label.clone());
            let flow = self.step(&query)?;
            // Where one stood that was rolled back or closed, nobody says.
            if flow.normal["status"] != 3 {
                query.op = Operation::GetInstanceData;
                self.step(&query)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<Outcome, String> {
        let outcome = self.oracle.step(step);
        let mut told = step.clone();
        told.expect = outcome.normal.clone();
        self.transcript.push(told);
        self.follower.follow(step, &outcome)?;
        Ok(outcome)
    }
}

/// A follower that must answer every step as the oracle does.
pub struct SameAnswers<S> {
    /// The session that follows.
    pub session: Session<S>,
}

impl<S: Subject> Follower for SameAnswers<S> {
    fn follow(&mut self, step: &Step, oracle: &Outcome) -> Result<(), String> {
        let outcome = self.session.step(step);
        expect_same(step, oracle, &outcome)
    }
}

/// Compares the answers of two subjects to one step.
///
/// # Errors
/// Step, expectation and answer, when they differ.
pub fn expect_same(step: &Step, oracle: &Outcome, outcome: &Outcome) -> Result<(), String> {
    match difference(&oracle.normal, outcome, Comparison::Whole) {
        None => Ok(()),
        Some(difference) => {
            let step = serde_json::to_value(step).unwrap_or(Value::Null);
            Err(format!("answers differ at {step}\n{difference}"))
        }
    }
}
