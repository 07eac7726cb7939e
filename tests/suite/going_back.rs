//! Going back to any task and forth again, and holding instances, on random models and random words.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use flowledger::BlockingEngine;
use flowledger::store::merkle::{Edge, TreeHash};
use flowledger::store::{GrowthProof, PublicKey, SignedCheckpoint, leaf_hash};
use flowledger_tests::conformance::{Bench, NaiveBench};
use flowledger_tests::differential::{Follower, SameAnswers, drive};
use flowledger_tests::engine_subject::{EngineBench, EngineSubject};
use flowledger_tests::generate::{Case, cases, going_back_case, seeded};
use flowledger_tests::law::{RollbackLaw, active_tasks};
use flowledger_tests::scenario::{
    Answer, Body, Commit, Flow, Lifecycle, Operation, Outcome, Profile, Redo, RollbackTo, Runtime, Session, Step,
    Subject, TargetView, TaskView, Transition, Variables,
};
use flowledger_tests::sketch::{flow, run};
use proptest::prelude::*;
use serde_json::Value;

use crate::property;

/// Cases with fixed seeds: the same ones on every run, before the random ones.
const FIXED: u64 = 30;

/// Runs a property on the fixed seeds and on random cases, under both profiles.
fn check(modest: u32, property: impl Fn(&Case, Profile) -> Result<(), String>) {
    check_on(FIXED, modest, property);
}

/// The same, on another number of fixed seeds.
fn check_on(fixed: u64, modest: u32, property: impl Fn(&Case, Profile) -> Result<(), String>) {
    for seed in 0..fixed {
        let case = seeded(&going_back_case(), seed);
        for profile in Profile::ALL {
            property(&case, profile).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
        }
    }
    proptest!(ProptestConfig::with_cases(cases(modest)), |(case in going_back_case())| {
        for profile in Profile::ALL {
            property(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}

#[test]
fn engine_goes_back_as_the_naive_interpreter() {
    check(40, |case, profile| {
        let mut follower = SameAnswers {
            session: Session::new(EngineBench.subject(profile, &case.hook_answer), &case.flows),
        };
        drive(case, profile, &mut follower)
    });
}

#[test]
fn reading_a_log_that_went_back_again_gives_the_same_answers() {
    check(10, property::rereading_changes_nothing);
}

#[test]
fn equal_input_that_goes_back_gives_equal_bytes() {
    check(5, property::writes_equal_bytes);
}

#[test]
fn every_command_that_goes_back_leaves_one_record_or_nothing() {
    check(10, property::leaves_one_record);
}

#[test]
fn answers_of_going_back_carry_every_documented_member() {
    check(5, property::answers_are_complete);
}

#[test]
fn words_that_go_back_reach_every_outcome() {
    let seen: RefCell<BTreeMap<(Operation, i64), usize>> = RefCell::default();
    for seed in 0..300 {
        let mut count = |step: &Step, outcome: &Outcome| {
            *seen.borrow_mut().entry((step.op, outcome.answer.code)).or_default() += 1;
            if let Body::Targets(targets) = &outcome.answer.body {
                for target in targets {
                    let code = target.refused.unwrap_or(1003);
                    *seen.borrow_mut().entry((step.op, code)).or_default() += 1;
                }
            }
            Ok(())
        };
        let case = seeded(&going_back_case(), seed);
        drive(&case, Profile::Documented, &mut count).expect("counting refuses nothing");
    }
    let lifecycle = [1000, 7403];
    let wanted: [(Operation, &[i64]); 9] = [
        (Operation::Commit, &[1000, 1002, 1601, 4003, 6008, 7301, 7400, 7406]),
        (Operation::Rollback, &[1003, 4002, 4004, 7400, 7406, 7415]),
        (
            Operation::RollbackTo,
            &[1003, 4004, 4010, 7400, 7406, 7409, 7410, 7413, 7415],
        ),
        (Operation::Redo, &[1002, 4004, 7400, 7406, 7416]),
        (Operation::Suspend, &[7402, 7406, 7413]),
        (Operation::Resume, &[7400, 7413]),
        (Operation::Abort, &[7400, 7402, 7404]),
        (Operation::Restore, &[7401, 7405]),
        (
            Operation::GetRollbackTargets,
            &[1003, 4004, 7400, 7406, 7409, 7413, 7415],
        ),
    ];
    let seen = seen.into_inner();
    let mut missing = Vec::new();
    for (op, codes) in wanted {
        let is_lifecycle = matches!(
            op,
            Operation::Suspend | Operation::Resume | Operation::Abort | Operation::Restore
        );
        let common = lifecycle.iter().filter(|_| is_lifecycle);
        let outcomes = codes.iter().chain(common).map(|code| (op, *code));
        missing.extend(outcomes.filter(|outcome| !seen.contains_key(outcome)));
    }
    assert!(missing.is_empty(), "never {missing:?} in {seen:?}");
}

/// What the law was checked on.
#[derive(Debug, Default)]
struct Weight {
    rollbacks: usize,
    dependents: usize,
    independents: usize,
    redos: usize,
    offered: usize,
    refused: BTreeMap<i64, usize>,
}

fn law<B: Bench>(bench: &B, modest: u32) {
    let weight = RefCell::new(Weight::default());
    check(modest, |case, profile| {
        let mut law = RollbackLaw::new(bench.subject(profile, &case.hook_answer), case, profile);
        drive(case, profile, &mut law)?;
        let mut weight = weight.borrow_mut();
        weight.rollbacks += law.rollbacks;
        weight.dependents += law.dependents;
        weight.independents += law.independents;
        weight.redos += law.redos;
        weight.offered += law.offered;
        for (code, times) in law.refused {
            *weight.refused.entry(code).or_default() += times;
        }
        Ok(())
    });
    let weight = weight.into_inner();
    let counts = [
        weight.rollbacks,
        weight.dependents,
        weight.independents,
        weight.redos * 2,
        weight.offered,
    ];
    assert!(counts.iter().all(|count| *count > 20), "too little: {weight:?}");
    let reasons = [4004, 7400, 7406, 7409, 7413, 7415];
    assert!(
        reasons.iter().all(|code| weight.refused.contains_key(code)),
        "not every refusal: {weight:?}"
    );
}

#[test]
fn naive_going_back_leaves_what_never_having_committed_would() {
    law(&NaiveBench, 20);
}

#[test]
fn engine_going_back_leaves_what_never_having_committed_would() {
    law(&EngineBench, 20);
}

/// Keeps the bytes of all records and the signed checkpoint of each size, and holds the log to both.
struct Kept {
    session: Session<EngineSubject>,
    records: Vec<Vec<u8>>,
    checkpoints: Vec<SignedCheckpoint>,
    /// Rollbacks, redos, holds and releases over which the log was proved to go on.
    proved: usize,
}

impl Kept {
    fn engine(&self) -> &BlockingEngine {
        self.session.subject.engine()
    }

    fn checkpoint(&self) -> SignedCheckpoint {
        let checkpoint = self.engine().checkpoint().expect("a checkpoint");
        SignedCheckpoint::parse(checkpoint.note.as_bytes()).expect("a note")
    }

    /// A stranger who kept a checkpoint asks for the proof that the log of now continues it.
    fn prove_from(&self, earlier: &SignedCheckpoint) -> Result<(), String> {
        let key: PublicKey = self.engine().public_key().expect("a key").parse().expect("a key");
        let size = earlier.checkpoint().size;
        let growth = self.engine().growth(size).expect("the log has grown");
        if growth.size != self.records.len() as u64 {
            return Err(format!("the proof is about {} records", growth.size));
        }
        let proof = GrowthProof::parse(growth.proof.as_bytes()).expect("a proof");
        proof
            .verify(earlier.checkpoint(), &key)
            .map_err(|problem| format!("from {size}: {problem}"))
    }
}

impl Follower for Kept {
    fn follow(&mut self, step: &Step, _: &Outcome) -> Result<(), String> {
        let answer = self.session.step(step).answer;
        if !step.op.is_command() {
            return Ok(());
        }
        let now: Vec<Vec<u8>> = self
            .session
            .subject
            .records()
            .into_iter()
            .map(|record| record.bytes.to_vec())
            .collect();
        if !now.starts_with(&self.records) {
            return Err(format!("{step:?} changed an earlier record"));
        }
        if now.len() == self.records.len() {
            return Ok(());
        }
        self.records = now;
        // The tree over the bytes that the log shows is the one that is signed.
        let leaves: Vec<TreeHash> = self.records.iter().map(|bytes| leaf_hash(bytes)).collect();
        let checkpoint = self.checkpoint();
        if checkpoint.checkpoint().root != Edge::over(&leaves).root() {
            return Err(format!("after {step:?} another tree is signed"));
        }
        if step.op != Operation::Start && step.op != Operation::Commit && answer.code < 2000 {
            // The checkpoint right before, and the very first one.
            for earlier in self.checkpoints.last().into_iter().chain(self.checkpoints.first()) {
                self.prove_from(earlier)
                    .map_err(|problem| format!("across {step:?} {problem}"))?;
            }
            self.proved += 1;
        }
        self.checkpoints.push(checkpoint);
        Ok(())
    }
}

#[test]
fn no_earlier_record_ever_changes_and_a_proof_shows_it_across_every_rollback() {
    let proved = Cell::new(0);
    check_on(6, 3, |case, profile| {
        let mut kept = Kept {
            session: Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows),
            records: Vec::new(),
            checkpoints: Vec::new(),
            proved: 0,
        };
        drive(case, profile, &mut kept)?;
        proved.set(proved.get() + kept.proved);
        // Checkpoints of any age are continued by the log as it ended.
        for earlier in kept.checkpoints.iter().step_by(3) {
            kept.prove_from(earlier)?;
        }
        Ok(())
    });
    assert!(proved.get() > 30, "only {} proofs", proved.get());
}

/// All that queries show of an instance, versions left out.
#[derive(Debug, Clone, PartialEq)]
struct Picture {
    answers: Vec<Value>,
    nodes: BTreeSet<String>,
}

impl Picture {
    fn of(subject: &mut EngineSubject, id: &str) -> Self {
        let mut answers = Vec::new();
        let mut take = |subject: &EngineSubject| {
            let mut answer = subject.last_answer().cloned().unwrap_or_default();
            without_versions(&mut answer);
            answers.push(answer);
        };
        for effective in [true, false] {
            subject.history_user_tasks(id, effective);
            take(subject);
            subject.instance_data(id, effective);
            take(subject);
            subject.history_elements(id, effective);
            take(subject);
        }
        let mut nodes = BTreeSet::new();
        let mut flows = BTreeSet::from([id.to_owned()]);
        if let Body::Elements(elements) = subject.history_elements(id, true).body {
            let mut open = elements;
            while let Some(element) = open.pop() {
                nodes.extend(element.node);
                open.extend(element.sub.unwrap_or_default());
            }
        }
        for node in &nodes {
            subject.node_instance(id, node, true);
            take(subject);
        }
        if let Body::Targets(targets) = subject.rollback_targets(id).body {
            flows.extend(targets.into_iter().map(|target| target.flow_instance));
        }
        take(subject);
        for flow in &flows {
            subject.flow_instance(flow);
            take(subject);
        }
        Self { answers, nodes }
    }

    /// The picture without node instances that another one does not know.
    fn limited_to(mut self, known: &BTreeSet<String>) -> Self {
        self.answers
            .retain(|answer| is_known(answer.get("nodeInstance"), known));
        for answer in &mut self.answers {
            forget(answer, known);
        }
        self.nodes.retain(|node| known.contains(node));
        self
    }
}

fn is_known(node: Option<&Value>, known: &BTreeSet<String>) -> bool {
    let id = node.and_then(|node| node["nodeInstanceId"].as_str());
    id.is_none_or(|id| known.contains(id))
}

fn without_versions(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("version");
            members.values_mut().for_each(without_versions);
        }
        Value::Array(items) => items.iter_mut().for_each(without_versions),
        _ => {}
    }
}

/// Takes unknown node instances out of lists, with the sequence flows that lead to them.
fn forget(value: &mut Value, known: &BTreeSet<String>) {
    match value {
        Value::Object(members) => members.values_mut().for_each(|member| forget(member, known)),
        Value::Array(items) => {
            let mut kept = Vec::new();
            let mut flows = Vec::new();
            for mut item in std::mem::take(items) {
                // Of what has a key of the model, only a task that would be active has no id either.
                let is_flow = item.get("modelKey").is_some()
                    && item.get("nodeInstanceId").is_none()
                    && item.get("variables").is_none();
                if is_flow {
                    flows.push(item);
                    continue;
                }
                let node = item.get("nodeInstance").unwrap_or(&item);
                if is_known(Some(node), known) {
                    forget(&mut item, known);
                    kept.append(&mut flows);
                    kept.push(item);
                }
                flows.clear();
            }
            *items = kept;
        }
        _ => {}
    }
}

/// What a detour found.
#[derive(Debug, Default)]
struct Detours {
    accepted: usize,
    refused: BTreeMap<i64, usize>,
    holds: usize,
}

/// At one of the places where a word asks for targets: goes to each of them and back again, and holds the instance and
/// lets it go. The word ends there.
struct Detour {
    session: Session<EngineSubject>,
    /// Places that are passed by.
    passes: usize,
    is_done: bool,
    found: Detours,
}

impl Detour {
    fn at(&mut self, id: &str) -> Result<(), String> {
        let subject = &mut self.session.subject;
        let Body::Targets(targets) = subject.rollback_targets(id).body else {
            return Ok(());
        };
        self.is_done = true;
        let here = Picture::of(subject, id);
        for target in &targets {
            let records = subject.record_count();
            let answer = subject.rollback_to(&RollbackTo {
                flow_instance_id: id.to_owned(),
                node_instance_id: Some(target.node.node.clone()),
                model_key: None,
                command_id: None,
            });
            if let Some(code) = target.refused {
                if answer.code != code || subject.record_count() != records {
                    return Err(format!("rollbackTo answers {answer:?} for {target:#?}"));
                }
                *self.found.refused.entry(code).or_default() += 1;
                continue;
            }
            keeps_its_promise(subject, id, target, &answer, &here.nodes)?;
            let redo = subject.redo(&Redo {
                flow_instance_id: id.to_owned(),
                command_id: None,
            });
            if redo.code != 1002 {
                return Err(format!("the redo of {target:#?} answers {redo:?}"));
            }
            let there = Picture::of(subject, id).limited_to(&here.nodes);
            same_picture(&here, &there).map_err(|problem| format!("redo after {target:#?}\n{problem}"))?;
            self.found.accepted += 1;
        }
        let suspend = (Transition::Suspend, Transition::Resume);
        let abort = (Transition::Abort, Transition::Restore);
        let pairs = match subject.flow_instance(id).body {
            Body::Flow { status: 2, .. } => vec![suspend, abort],
            Body::Flow { status: 5, .. } => vec![abort],
            _ => Vec::new(),
        };
        for (hold, release) in pairs {
            let here = Picture::of(subject, id);
            for transition in [hold, release] {
                let code = hold_or_release(subject, id, transition);
                if code != 1000 {
                    return Err(format!("{transition:?} answers {code}"));
                }
            }
            let there = Picture::of(subject, id);
            same_picture(&here, &there).map_err(|problem| format!("after {hold:?} and {release:?}\n{problem}"))?;
            self.found.holds += 1;
        }
        Ok(())
    }
}

/// Gives a lifecycle command with an option, and in words where the flow offers none.
fn hold_or_release(subject: &mut EngineSubject, id: &str, transition: Transition) -> i64 {
    let mut lifecycle = Lifecycle {
        transition,
        flow_instance_id: id.to_owned(),
        reason: None,
        reason_option: Some("duplicate".to_owned()),
        command_id: None,
    };
    let code = subject.lifecycle(&lifecycle).code;
    if code == 1000 {
        return code;
    }
    lifecycle.reason_option = None;
    lifecycle.reason = Some("as agreed".to_owned());
    subject.lifecycle(&lifecycle).code
}

fn same_picture(here: &Picture, there: &Picture) -> Result<(), String> {
    let pairs = here.answers.iter().zip(&there.answers);
    if let Some((here, there)) = pairs.into_iter().find(|(here, there)| here != there) {
        return Err(format!("before {here}\nnow    {there}"));
    }
    (here == there).then_some(()).ok_or_else(|| "nodes differ".to_owned())
}

/// The data of every task that an answer shows, by node instance.
fn shown(tasks: &[TaskView], known: &mut BTreeMap<String, Variables>) {
    for task in tasks {
        match task.sub.first().map(|answer| &answer.body) {
            Some(Body::Runtime(inner)) => shown(&inner.tasks, known),
            _ => {
                known.insert(task.node.clone(), task.variables.clone());
            }
        }
    }
}

fn keeps_its_promise(
    subject: &mut EngineSubject,
    id: &str,
    target: &TargetView,
    answer: &Answer,
    before: &BTreeSet<String>,
) -> Result<(), String> {
    let broken = |what: &str| Err(format!("{what} of {target:#?}\nwith {answer:#?}"));
    let Body::Runtime(Runtime {
        tasks, compensations, ..
    }) = &answer.body
    else {
        return broken("refusal");
    };
    if *compensations != target.compensations {
        return broken("compensations");
    }
    let mut data = BTreeMap::new();
    shown(tasks, &mut data);
    // A completed task that is committed again changes nothing and shows every active one (T-07).
    if let Body::Nodes(tasks) = subject.history_user_tasks(id, true).body
        && let Some(completed) = tasks.iter().find(|task| task.status == 1)
    {
        let again = subject.commit(&Commit {
            flow_instance_id: id.to_owned(),
            task_instance_id: completed.node.clone(),
            variables: Vec::new(),
            call_activity_flow_module_id: None,
            command_id: None,
        });
        if let Body::Runtime(runtime) = again.body {
            shown(&runtime.tasks, &mut data);
        }
    }
    let active = active_tasks(subject, id);
    if active.len() != target.active.len() {
        return broken("number of active tasks");
    }
    for promised in &target.active {
        let is_it = |node: &str, key: Option<&String>| match &promised.node {
            Some(promised) => promised == node,
            None => !before.contains(node) && key == Some(&promised.model_key),
        };
        let has_data = |node: &str| data.get(node).is_none_or(|data| *data == promised.variables);
        if !active
            .iter()
            .any(|task| is_it(&task.node, task.path.last()) && has_data(&task.node))
        {
            return broken("active task");
        }
    }
    let Body::Variables(now) = subject.instance_data(id, true).body else {
        return broken("data");
    };
    if target
        .changes
        .iter()
        .any(|(key, _, then)| now.get(key) != then.as_ref())
    {
        return broken("changes");
    }
    Ok(())
}

impl Follower for Detour {
    fn follow(&mut self, step: &Step, _oracle: &Outcome) -> Result<(), String> {
        if self.is_done {
            return Ok(());
        }
        self.session.step(step);
        if step.op == Operation::GetRollbackTargets {
            if self.passes == 0 {
                let id = self.session.instance_id(step.instance.as_deref().unwrap_or_default());
                return self.at(&id);
            }
            self.passes -= 1;
        }
        Ok(())
    }
}

#[test]
fn every_target_is_what_it_promises_and_every_detour_leads_back() {
    let all = RefCell::new(Detours::default());
    check(10, |case, profile| {
        for passes in [0, 2, 5] {
            let mut detour = Detour {
                session: Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows),
                passes,
                is_done: false,
                found: Detours::default(),
            };
            drive(case, profile, &mut detour)?;
            let mut all = all.borrow_mut();
            all.accepted += detour.found.accepted;
            all.holds += detour.found.holds;
            for (code, times) in detour.found.refused {
                *all.refused.entry(code).or_default() += times;
            }
        }
        Ok(())
    });
    let all = all.into_inner();
    assert!(all.accepted > 100 && all.holds > 50, "too little: {all:?}");
}

/// Runs commands with both subjects, under both profiles.
fn check_in(flows: &[Flow], commands: &str, documented: &str, turbo131: &str) {
    for (profile, expected) in [(Profile::Documented, documented), (Profile::Turbo131, turbo131)] {
        let lines = expected.lines().map(str::trim).filter(|line| !line.is_empty());
        let expected: Vec<&str> = lines.collect();
        let naive = run(NaiveBench.subject(profile, &[]), flows, commands);
        assert_eq!(naive, expected, "the interpreter under {}", profile.name());
        let engine = run(EngineBench.subject(profile, &[]), flows, commands);
        assert_eq!(engine, expected, "the engine under {}", profile.name());
    }
}

#[test]
fn lifecycle_and_going_back_have_a_code_for_every_refusal() {
    let line = "start -> a -> b[onRollback=compensate: unb] -> c -> d[onRollback=forbid] -> e -> end";
    let commands = "start {v: 0}; commit a {v: 1}; commit b {}; targets; to a; redo; redo; key c; key d; key x; \
                    to unknown; suspend; flow; commit c {}; rollback c; redo; suspend; resume; resume; abort; abort; \
                    suspend; commit c {}; to a; restore; restore; commit c {}; commit d {}; rollback e; to a#1; terminate; \
                    restore; abort; resume; targets; redo";
    let answers = |codes: [&str; 15]| {
        let [
            done,
            redone,
            active,
            unreached,
            nowhere,
            held,
            back,
            twice,
            running,
            aborted,
            free,
            forbidden,
            gone,
            over,
            ended,
        ] = codes;
        format!(
            "1002 a {{v: 0}}
             1002 b {{v: 1}}
             1002 c {{v: 1}}
             1000 c=2 {done}, b=1 b {{v: 1}} undo b: unb, a=1 a {{v: 0}} undo b: unb
             1003 a {{v: 0}} undo b: unb
             1002 c {{v: 1}}
             {redone}
             {active}
             {unreached}
             {nowhere}
             4010
             1000 status 5
             1000 status 5
             {held}
             {back}
             {back}
             {twice}
             1000 status 2
             {running}
             1000 status 6
             {aborted}
             {aborted}
             {aborted}
             {aborted}
             1000 status 2
             {free}
             1002 d {{v: 1}}
             1002 e {{v: 1}}
             {forbidden}
             {forbidden}
             1000 status 3
             {gone}
             {over}
             {ended}
             1000 e=2 4004, d=1 4004, a=4 4004, c=1 4004, b=1 4004, a=1 4004
             4004"
        )
    };
    let documented = answers([
        "7409", "7416", "7409", "7407", "7410", "7406", "7406", "7406", "7413", "7400", "7401", "7415", "7405", "7404",
        "7413",
    ]);
    let turbo131 = answers([
        "4005", "4002", "4005", "4009", "4010", "4001", "4002", "5001", "4013", "4003", "5001", "4002", "5001", "5001",
        "4013",
    ]);
    check_in(&[flow("main", line)], commands, &documented, &turbo131);
}

#[test]
fn sub_flow_is_held_with_its_instance_and_no_longer_than_it() {
    let flows = [
        flow("main", "start -> call[callActivityFlowModuleId=$module:sub] -> end"),
        flow("sub", "start -> p -> end"),
    ];
    let expected = "1002 call {}
                    1002 call(1002 p {})
                    1000 status 2
                    1000 status 5
                    1000 status 5
                    1000 status 6
                    1000 status 6
                    1000 status 5
                    1000 status 5
                    1000 status 3
                    1000 status 3
                    1000 status 2";
    let commands = "start {}; commit call {}; flow of f2; suspend; flow of f2; abort; flow of f2; restore; flow of f2; \
                    terminate alone; flow; flow of f2";
    check_in(&flows, commands, expected, expected);
}

#[test]
fn what_a_join_closed_is_open_again_in_a_finished_call_activity_too() {
    let flows = [
        flow(
            "main",
            "start -> call[callActivityFlowModuleId=$module:sub] -> y -> end",
        ),
        flow(
            "sub",
            "start -> fork -> p -> join[branchMerge=AnyOne] -> end; fork -> q -> join",
        ),
    ];
    let expected = "1002 call {}
                    1002 call(1002 p {} q {})
                    1002 y {v: 1}
                    1003 call(1003 p {})
                    1000 start=1 call=4(start=1 fork=1 p=4 q=4 join=4 end=4 p=2 q=2) y=4 call=2(start=1 fork=1 p=4 q=4 join=4 end=4 p=2 q=2)
                    1002 y {v: 1}
                    1003 call(1003 p {})";
    let commands = "start {}; commit call {}; commit p {v: 1}; to p; elements; redo; rollback y";
    check_in(&flows, commands, expected, expected);
}

#[test]
fn first_arrival_has_no_regard_to_a_branch_that_ended() {
    let documented = "1002 a {v: 0} t {v: 0}
                      1601 end2 {v: 1}
                      1002 after {v: 0, w: 1}
                      1000 after=2 7409, t=1 7413, a=1 a {v: 0}
                      7413
                      4002
                      4002
                      1003 a {v: 0}
                      1003 t {v: 0}";
    check_in(
        &[flow(
            "main",
            "start -> fork -> a -> join[branchMerge=AnyOne] -> after -> end; fork -> t -> end2",
        )],
        "start {v: 0}; commit t {v: 1}; commit a {w: 1}; targets; to t; rollback t; rollback end2; rollback after; to t",
        documented,
        &documented.replace("7409", "4005").replace("7413", "4013"),
    );
}

#[test]
fn task_before_a_join_that_was_closed_stays_closed() {
    let documented = "1002 a {} b {} c {}
                      1601 join2 {}
                      1002 z {}
                      4002
                      7413
                      1000 start=1 fork=1 a=1 fork2=1 b=1 c=6 join2=6 join=1 z=2";
    check_in(
        &[flow(
            "main",
            "start -> fork -> a -> join[branchMerge=AnyOne] -> z -> end; fork -> fork2 -> b -> join2 -> d -> join; \
             fork2 -> c -> join2",
        )],
        "start {}; commit b {}; commit a {}; rollback b; to b; elements",
        documented,
        &documented.replace("7413", "4013"),
    );
}

#[test]
fn branch_that_a_join_closed_is_not_left_backwards_either() {
    // With a task before the fork, and without one.
    for (before, first) in [("s -> ", "start {}; commit s {}"), ("", "start {}")] {
        let flows = [
            flow(
                "main",
                &format!(
                    "start -> {before}fork -> a -> join[branchMerge=AnyOne] -> after -> end; fork -> end3; \
                     fork -> call[callActivityFlowModuleId=$module:sub] -> end2"
                ),
            ),
            flow("sub", "start -> end"),
        ];
        let started = if before.is_empty() {
            "1002 a {} end3 {} call {}"
        } else {
            "1002 s {}
             1002 a {} end3 {} call {}"
        };
        let expected = format!(
            "{started}
             1601 end2 {{}}
             1002 after {{}}
             4002
             4002
             4002"
        );
        let commands = format!("{first}; commit call {{}}; commit a {{}}; rollback end3; rollback call; rollback end2");
        check_in(&flows, &commands, &expected, &expected);
    }
}

#[test]
fn compensations_come_latest_completed_first_across_call_activities() {
    let flows = [
        flow(
            "main",
            "start -> x[onRollback=compensate: 1] -> call[callActivityFlowModuleId=$module:sub, onRollback=compensate: 4] \
             -> gate[onRollback=compensate: 5] -(default)-> y -> end",
        ),
        flow(
            "sub",
            "start -> p[onRollback=compensate: 2] -> end[onRollback=compensate: 3]",
        ),
    ];
    let expected = "1002 x {v: 0}
                    1002 call {v: 1}
                    1002 call(1002 p {v: 1})
                    1002 y {v: 2}
                    1003 x {v: 0} undo gate: 5, call: 4, end: 3, p: 2, x: 1
                    1002 y {v: 2}
                    1003 call(1003 p {v: 1}) undo gate: 5, call: 4, end: 3, p: 2
                    1002 y {v: 2}
                    1003 call(1003 p {v: 1}) undo gate: 5, call: 4, end: 3, p: 2";
    let commands = "start {v: 0}; commit x {v: 1}; commit call {}; commit p {v: 2}; to x; redo; to p; redo; rollback y";
    check_in(&flows, commands, expected, expected);
}

#[test]
fn redo_goes_back_step_by_step_and_ends_with_a_commit() {
    let documented = "1002 s {v: 0}
         1002 a {v: 0} b {v: 0}
         1002 a2 {v: 1}
         1601 join {v: 0, w: 1}
         1002 z {v: 2, w: 1}
         1003 a2 {v: 1}
         1003 s {v: 0}
         1000 start=1 s=4 fork=4 a=4 b=4 a2=4 join=4 z=4 a2=4 join=4 s=2
         1002 a2 {v: 1}
         1002 z {v: 2, w: 1}
         7416
         1000 {v: 2, w: 1}
         1003 a {v: 0}
         1000 {v: 0, w: 1}
         1002 a2 {v: 5}
         7416
         1000 start=1 s=1 fork=1 a=4 b=1 a2=4 join=4 z=4 a2=4 join=4 s=4 a=1 join=5 a2=2";
    check_in(
        &[flow(
            "main",
            "start -> s -> fork -> a -> a2 -> join -> z -> end; fork -> b -> join",
        )],
        "start {v: 0}; commit s {}; commit a {v: 1}; commit b {w: 1}; commit a2 {v: 2}; rollback z; to s; elements; redo; \
         redo; redo; data; to a; data; commit a {v: 5}; redo; elements",
        documented,
        &documented.replace("7416", "4002"),
    );
}
