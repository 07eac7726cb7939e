//! Properties of the engine on random models and random command words.

use std::collections::BTreeMap;

use flowledger_tests::differential::{Follower, SameAnswers, drive};
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{Case, calling_case, cases, seeded, serial_case};
use flowledger_tests::scenario::{Body, Operation, Outcome, Profile, Session, Step, Subject as _};
use proptest::prelude::*;
use serde_json::Value;

/// Cases with fixed seeds: the same ones on every run, before the random ones.
const FIXED: u64 = 40;

fn engine(case: &Case, profile: Profile) -> Session<EngineSubject> {
    Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows)
}

/// Runs a property on the fixed seeds and on random cases, under both profiles.
fn check(modest: u32, property: impl Fn(&Case, Profile) -> Result<(), String>) {
    for seed in 0..FIXED {
        for case in [seeded(&serial_case(), seed), seeded(&calling_case(), seed)] {
            for profile in Profile::ALL {
                property(&case, profile).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
            }
        }
    }
    let case = prop_oneof![serial_case(), calling_case()];
    proptest!(ProptestConfig::with_cases(cases(modest)), |(case in case)| {
        for profile in Profile::ALL {
            property(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}

#[test]
fn engine_answers_as_the_naive_interpreter() {
    check(150, |case, profile| {
        let mut follower = SameAnswers {
            session: engine(case, profile),
        };
        drive(case, profile, &mut follower)
    });
}

/// Asks every query of the live engine and of one that has just read the log.
struct Replayed {
    live: Session<EngineSubject>,
    reread: Option<Session<EngineSubject>>,
    commands: usize,
}

impl Follower for Replayed {
    fn follow(&mut self, step: &Step, _oracle: &Outcome) -> Result<(), String> {
        let labels = self.live.labels.clone();
        self.live.step(step);
        if step.op.is_command() || step.op == Operation::Deploy {
            self.commands += 1;
            // Opening takes a while, so not after every command; queries between see the latest reopening.
            let due = self.commands.is_multiple_of(4);
            self.reread = due.then(|| self.live.with_subject(self.live.subject.reopened()));
            return Ok(());
        }
        let Some(replayed) = &mut self.reread else {
            return Ok(());
        };
        replayed.labels = labels;
        replayed.step(step);
        let (live, replayed) = (self.live.subject.last_answer(), replayed.subject.last_answer());
        if live == replayed {
            return Ok(());
        }
        Err(format!("{step:?}\n    live {live:?}\nreplayed {replayed:?}"))
    }
}

/// An engine that reads the log again answers as the one that wrote it.
pub(crate) fn rereading_changes_nothing(case: &Case, profile: Profile) -> Result<(), String> {
    let mut follower = Replayed {
        live: engine(case, profile),
        reread: None,
        commands: 0,
    };
    drive(case, profile, &mut follower)
}

#[test]
fn reading_the_log_again_gives_the_same_answers() {
    check(60, rereading_changes_nothing);
}

/// Two engines that are given the same write the same bytes.
pub(crate) fn writes_equal_bytes(case: &Case, profile: Profile) -> Result<(), String> {
    let mut first = engine(case, profile);
    let mut second = engine(case, profile);
    let mut follower = |step: &Step, _: &Outcome| {
        let (left, right) = (first.step(step), second.step(step));
        (left == right)
            .then_some(())
            .ok_or_else(|| format!("{step:?}: {left:?}, then {right:?}"))
    };
    drive(case, profile, &mut follower)?;
    let (first, second) = (first.subject.records(), second.subject.records());
    if first.len() != second.len() {
        return Err(format!("{} records, then {}", first.len(), second.len()));
    }
    match first
        .iter()
        .zip(&second)
        .find(|(first, second)| first.bytes != second.bytes)
    {
        None => Ok(()),
        Some((first, second)) => Err(format!(
            "record {} differs:\n{:?}\n{:?}",
            first.position, first.record, second.record
        )),
    }
}

#[test]
fn equal_input_gives_equal_bytes() {
    check(60, writes_equal_bytes);
}

/// Where an instance stands for those who use it: its data, and its active tasks.
type Standing = (Body, Vec<Value>);

/// Counts what every command leaves in the log.
struct Ledger {
    session: Session<EngineSubject>,
    /// Commands that left a record, by instance and command id, with their answers.
    recorded: BTreeMap<(Option<String>, String), (Step, Value)>,
    /// The length of each stream, by flow instance id.
    versions: BTreeMap<String, i64>,
}

impl Ledger {
    fn standing(&mut self, step: &Step) -> Standing {
        let id = self.session.instance_id(step.instance.as_deref().unwrap_or_default());
        let data = self.session.subject.instance_data(&id, true).body;
        self.session.subject.history_user_tasks(&id, true);
        let tasks = self.session.subject.last_answer().cloned().unwrap_or_default();
        let tasks = tasks["nodeInstanceList"].as_array().cloned().unwrap_or_default();
        (data, tasks.into_iter().filter(|task| task["status"] == 2).collect())
    }

    fn command(&mut self, step: &Step) -> Result<(), String> {
        let before = self.standing(step);
        let count = self.session.subject.record_count();
        let outcome = self.session.step(step);
        let answer = self.session.subject.last_answer().cloned().unwrap_or_default();
        let added = self.session.subject.record_count() - count;
        let code = outcome.answer.code;
        let key = step.command_id.clone().map(|id| (step.instance.clone(), id));
        let earlier = key.as_ref().and_then(|key| self.recorded.get(key));
        if let Some((given, answered)) = earlier {
            if added != 0 {
                return Err(format!("a command id given again left {added} records"));
            }
            if given == step && *answered != answer {
                return Err(format!("a command given again answers\n{answer}\nand not\n{answered}"));
            }
            let refusal = [7301, 2001].contains(&code);
            return (given == step || refusal)
                .then_some(())
                .ok_or_else(|| format!("another command passed: {code}"));
        }
        let wanted: &[u64] = match (step.op, code) {
            (Operation::Start, 1000 | 1002)
            | (Operation::Commit, 1000 | 1601 | 4013 | 4015 | 4018)
            | (Operation::Rollback | Operation::RollbackTo, 1003)
            | (Operation::Redo, 1002)
            | (Operation::Suspend | Operation::Resume | Operation::Abort | Operation::Restore, 1000) => &[1],
            // A completed task committed again changes nothing (T-07); so does ending what has ended.
            (Operation::Commit, 1002) | (Operation::Terminate, 1000) => &[0, 1],
            _ => &[0],
        };
        if !wanted.contains(&added) {
            return Err(format!("code {code} left {added} records"));
        }
        let after = self.standing(step);
        if step.op != Operation::Start && (code >= 2000 || added == 0) && before != after {
            return Err(format!("code {code} changed\n{before:?}\nto\n{after:?}"));
        }
        if let Some(id) = answer["flowInstanceId"].as_str() {
            let version = self.versions.entry(id.to_owned()).or_default();
            *version += i64::try_from(added).unwrap_or_default();
            if answer["version"] != *version {
                return Err(format!("version {} after {version} records", answer["version"]));
            }
        }
        if let (Some(key), 1) = (key, added) {
            self.recorded.insert(key, (step.clone(), answer));
        }
        Ok(())
    }
}

impl Follower for Ledger {
    fn follow(&mut self, step: &Step, _oracle: &Outcome) -> Result<(), String> {
        if step.op.is_command() {
            return self.command(step).map_err(|problem| format!("{step:?}\n{problem}"));
        }
        let count = self.session.subject.record_count();
        self.session.step(step);
        let added = self.session.subject.record_count() - count;
        (added == 0 || step.op == Operation::Deploy)
            .then_some(())
            .ok_or_else(|| format!("{step:?} left a record"))
    }
}

/// Every command leaves one record, or nothing.
pub(crate) fn leaves_one_record(case: &Case, profile: Profile) -> Result<(), String> {
    let mut follower = Ledger {
        session: engine(case, profile),
        recorded: BTreeMap::new(),
        versions: BTreeMap::new(),
    };
    drive(case, profile, &mut follower)
}

#[test]
fn every_command_leaves_one_record_or_nothing() {
    check(60, leaves_one_record);
}

/// The members that the API document promises for an answer, below the given one.
fn missing_members(step: &Step, answer: &Value) -> Vec<String> {
    let node = [
        "nodeInstanceId",
        "modelKey",
        "modelName",
        "properties",
        "status",
        "flowElementType",
        "createTime",
        "modifyTime",
    ];
    let element = ["modelKey", "modelName", "properties", "status"];
    let runtime = [
        "flowInstanceId",
        "status",
        "activeTaskInstance",
        "variables",
        "nodeExecuteResults",
        "version",
    ];
    let members: Vec<(&Value, &[&str])> = match step.op {
        Operation::Start | Operation::Commit | Operation::Rollback | Operation::RollbackTo | Operation::Redo => {
            vec![(answer, &runtime), (&answer["activeTaskInstance"], &node)]
        }
        Operation::Suspend | Operation::Resume | Operation::Abort | Operation::Restore | Operation::Terminate => {
            vec![(answer, &["flowInstanceId", "status", "version"])]
        }
        Operation::GetRollbackTargets => {
            let targets = answer["targets"].as_array().into_iter().flatten();
            let mut members: Vec<(&Value, &[&str])> = vec![(answer, &["truncated", "version"])];
            members.extend(targets.map(|target| (&target["nodeInstance"], node.as_slice())));
            members
        }
        Operation::GetHistoryUserTaskList => answer["nodeInstanceList"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| (entry, node.as_slice()))
            .collect(),
        Operation::GetHistoryElementList => answer["elementInstanceList"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| (entry, element.as_slice()))
            .collect(),
        Operation::GetInstanceData => vec![(answer, &["variables", "version"])],
        Operation::GetNodeInstance => vec![(&answer["nodeInstance"], &node)],
        Operation::GetFlowInstance => {
            vec![(
                &answer["flowInstanceBO"],
                &[
                    "flowInstanceId",
                    "flowDeployId",
                    "flowModuleId",
                    "status",
                    "parentFlowInstanceId",
                ],
            )]
        }
        Operation::Deploy => vec![(answer, &["flowModuleId", "flowDeployId"])],
    };
    let members = members
        .iter()
        .flat_map(|(value, names)| names.iter().map(move |name| (value, name)));
    let missing = members.filter(|(value, name)| value.get(name).is_none_or(Value::is_null));
    missing.map(|(_, name)| (*name).to_owned()).collect()
}

/// Every answer has the members that the API document promises.
pub(crate) fn answers_are_complete(case: &Case, profile: Profile) -> Result<(), String> {
    let mut session = engine(case, profile);
    let mut follower = |step: &Step, _: &Outcome| {
        let outcome = session.step(step);
        if outcome.answer.is_code_only() {
            return Ok(());
        }
        let answer = session.subject.last_answer().cloned().unwrap_or_default();
        let missing = missing_members(step, &answer);
        missing
            .is_empty()
            .then_some(())
            .ok_or_else(|| format!("{step:?} lacks {missing:?}: {answer}"))
    };
    drive(case, profile, &mut follower)
}

#[test]
fn answers_carry_every_documented_member() {
    for seed in 0..FIXED {
        let case = seeded(&serial_case(), seed);
        for profile in Profile::ALL {
            answers_are_complete(&case, profile).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
        }
    }
}
