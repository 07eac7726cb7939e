//! Parallel and inclusive gateways on random models, random words and every order of branches.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use flowledger_tests::conformance::{Bench, NaiveBench};
use flowledger_tests::dice::Dice;
use flowledger_tests::differential::{SameAnswers, drive};
use flowledger_tests::engine_subject::EngineBench;
use flowledger_tests::generate::{Case, Race, cases, full_variables, parallel_case, race, seeded};
use flowledger_tests::law::{RollbackLaw, active_tasks};
use flowledger_tests::scenario::{
    Answer, Body, Commit, Flow, Operation, Profile, Session, Step, Subject, Variable, Variables,
};
use proptest::prelude::*;
use serde_json::json;

use crate::property;

/// Cases with fixed seeds: the same ones on every run, before the random ones.
const FIXED: u64 = 60;

/// Runs a property on the fixed seeds and on random cases, under both profiles.
fn check(modest: u32, property: impl Fn(&Case, Profile) -> Result<(), String>) {
    for seed in 0..FIXED {
        let case = seeded(&parallel_case(), seed);
        for profile in Profile::ALL {
            property(&case, profile).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
        }
    }
    proptest!(ProptestConfig::with_cases(cases(modest)), |(case in parallel_case())| {
        for profile in Profile::ALL {
            property(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}

fn answers_as_the_oracle<B: Bench>(bench: &B, case: &Case, profile: Profile) -> Result<(), String> {
    let mut follower = SameAnswers {
        session: Session::new(bench.subject(profile, &case.hook_answer), &case.flows),
    };
    drive(case, profile, &mut follower)
}

#[test]
fn naive_interpreter_answers_the_same_every_time() {
    check(20, |case, profile| answers_as_the_oracle(&NaiveBench, case, profile));
}

#[test]
fn engine_answers_forks_as_the_naive_interpreter() {
    check(100, |case, profile| answers_as_the_oracle(&EngineBench, case, profile));
}

#[test]
fn reading_a_log_with_forks_again_gives_the_same_answers() {
    check(40, property::rereading_changes_nothing);
}

#[test]
fn equal_input_with_forks_gives_equal_bytes() {
    check(20, property::writes_equal_bytes);
}

#[test]
fn every_command_at_a_fork_leaves_one_record_or_nothing() {
    check(40, property::leaves_one_record);
}

#[test]
fn answers_with_forks_carry_every_documented_member() {
    check(10, property::answers_are_complete);
}

/// What the law was checked on.
#[derive(Default)]
struct Weight {
    rollbacks: usize,
    dependents: usize,
    independents: usize,
}

fn rollback_law<B: Bench>(bench: &B, modest: u32) {
    let weight = RefCell::new(Weight::default());
    check(modest, |case, profile| {
        let mut law = RollbackLaw::new(bench.subject(profile, &case.hook_answer), case, profile);
        drive(case, profile, &mut law)?;
        let mut weight = weight.borrow_mut();
        weight.rollbacks += law.rollbacks;
        weight.dependents += law.dependents;
        weight.independents += law.independents;
        Ok(())
    });
    let weight = weight.into_inner();
    assert!(weight.rollbacks > 50, "only {} rollbacks", weight.rollbacks);
    assert!(
        weight.dependents > 10,
        "only {} commits went with others",
        weight.dependents
    );
    assert!(
        weight.independents > 10,
        "only {} later commits stayed",
        weight.independents
    );
}

#[test]
fn naive_rollback_leaves_what_never_having_committed_would() {
    rollback_law(&NaiveBench, 60);
}

#[test]
fn engine_rollback_leaves_what_never_having_committed_would() {
    rollback_law(&EngineBench, 60);
}

/// Commits that are given to one instance before a test gives up on it.
const MOST_COMMITS: usize = 150;

/// Commits active tasks, chosen by `dice`, until the flow ends. An error when it runs and nothing is active.
fn no_dead_end<B: Bench>(bench: &B, case: &Case, profile: Profile, dice: &mut Dice) -> Result<bool, String> {
    let mut session = deployed(bench.subject(profile, &case.hook_answer), &case.flows);
    let start = session.step(&start(&case.start));
    let id = session.instance_id("i");
    if start.answer.code >= 2000 {
        return Ok(false);
    }
    for _ in 0..MOST_COMMITS {
        let Body::Flow { status, .. } = session.subject.flow_instance(&id).body else {
            return Err("the instance is gone".to_owned());
        };
        let active = active_tasks(&mut session.subject, &id);
        match (status, active.len()) {
            (1, 0) => return Ok(true),
            (2, 1..) => {}
            _ => return Err(format!("status {status} with {} active tasks", active.len())),
        }
        let task = &active[dice.index(active.len())];
        let variables = seeded(&full_variables(), dice.roll());
        let answer = commit(&mut session, &task.node, variables);
        let wanted = [1000, 1002, 1601, 4013, 4015, 4018, 6008];
        if !wanted.contains(&answer.code) {
            return Err(format!("the commit of {:?} answers {}", task.path, answer.code));
        }
    }
    Ok(false)
}

fn deployed<S: Subject>(subject: S, flows: &[Flow]) -> Session<S> {
    let mut session = Session::new(subject, flows);
    for flow in flows {
        let mut step = Step::new(Operation::Deploy);
        step.flow = Some(flow.name.clone());
        let outcome = session.step(&step);
        assert_eq!(outcome.answer.code, 1000, "{} deploys: {:?}", flow.name, outcome.answer);
    }
    session
}

fn start(variables: &[Variable]) -> Step {
    let mut step = Step::new(Operation::Start);
    step.flow = Some("main".to_owned());
    step.name = Some("i".to_owned());
    step.variables = Some(variables.to_vec());
    step
}

fn commit<S: Subject>(session: &mut Session<S>, node: &str, variables: Vec<Variable>) -> Answer {
    let flow_instance_id = session.instance_id("i");
    session.subject.commit(&Commit {
        flow_instance_id,
        task_instance_id: node.to_owned(),
        variables,
        call_activity_flow_module_id: None,
        command_id: None,
    })
}

fn no_dead_ends<B: Bench>(bench: &B, modest: u32) {
    let (tried, ended) = (Cell::new(0_usize), Cell::new(0_usize));
    check(modest, |case, profile| {
        let mut dice = Dice::new(case.word.len() as u64);
        for _ in 0..3 {
            tried.set(tried.get() + 1);
            ended.set(ended.get() + usize::from(no_dead_end(bench, case, profile, &mut dice)?));
        }
        Ok(())
    });
    // Some conditions never hold, some starts fail; most instances come to their end.
    let (tried, ended) = (tried.get(), ended.get());
    assert!(ended * 2 > tried, "only {ended} of {tried} instances ended");
}

#[test]
fn naive_flow_that_runs_has_an_active_task() {
    no_dead_ends(&NaiveBench, 40);
}

#[test]
fn engine_flow_that_runs_has_an_active_task() {
    no_dead_ends(&EngineBench, 40);
}

/// Up to so many tasks every order is tried.
const EVERY_ORDER_UP_TO: usize = 6;
/// Orders that are tried of races with more tasks.
const SAMPLED_ORDERS: usize = 60;

/// All orders of branches in which each branch occurs as often as it has tasks.
fn all_orders(race: &Race) -> Vec<Vec<usize>> {
    fn extend(left: &mut [usize], order: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
        if left.iter().all(|count| *count == 0) {
            all.push(order.clone());
        }
        for branch in 0..left.len() {
            if left[branch] > 0 {
                left[branch] -= 1;
                order.push(branch);
                extend(left, order, all);
                order.pop();
                left[branch] += 1;
            }
        }
    }
    let mut left: Vec<usize> = race.branches.iter().map(Vec::len).collect();
    let mut all = Vec::new();
    extend(&mut left, &mut Vec::new(), &mut all);
    all
}

/// All orders of a race with few tasks, some of one with many.
fn orders(race: &Race, seed: u64) -> Vec<Vec<usize>> {
    let tasks: Vec<usize> = race
        .branches
        .iter()
        .enumerate()
        .flat_map(|(branch, tasks)| vec![branch; tasks.len()])
        .collect();
    if tasks.len() <= EVERY_ORDER_UP_TO {
        return all_orders(race);
    }
    let mut dice = Dice::new(seed);
    let sample = |_| {
        let mut order = tasks.clone();
        for last in (1..order.len()).rev() {
            order.swap(last, dice.index(last + 1));
        }
        order
    };
    (0..SAMPLED_ORDERS).map(sample).collect()
}

/// What is to come of an order: the data behind the join, and the commits that are refused, by their number.
///
/// A refused branch never arrives, so with a refusal there is nothing behind the join.
fn outcome_of(race: &Race, order: &[usize]) -> (Option<Variables>, Vec<usize>) {
    let at_fork: Variables = race
        .start
        .iter()
        .map(|variable| (variable.key.clone(), variable.value.clone()))
        .collect();
    let mut data = vec![at_fork.clone(); race.branches.len()];
    let mut done = vec![0; race.branches.len()];
    let mut arrived: Vec<usize> = Vec::new();
    let mut refused = Vec::new();
    let changed = |data: &Variables| -> Variables {
        let changed = data.iter().filter(|(key, value)| at_fork.get(*key) != Some(value));
        changed.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    for (number, branch) in order.iter().copied().enumerate() {
        for variable in &race.branches[branch][done[branch]] {
            data[branch].insert(variable.key.clone(), variable.value.clone());
        }
        done[branch] += 1;
        if done[branch] == race.branches[branch].len() {
            let brought = changed(&data[branch]);
            let disagrees = |other: &usize| {
                let other = changed(&data[*other]);
                brought
                    .iter()
                    .any(|(key, value)| other.get(key).is_some_and(|other| other != value))
            };
            if race.conflict == "fail" && arrived.iter().any(disagrees) {
                refused.push(number);
            } else {
                arrived.push(branch);
            }
        }
    }
    if !refused.is_empty() {
        return (None, refused);
    }
    if race.conflict == "branchOrder" {
        arrived.sort_unstable();
    }
    let mut merged = at_fork.clone();
    for branch in arrived {
        merged.extend(changed(&data[branch]));
    }
    (Some(merged), refused)
}

/// Runs a race in one order: the data of the task behind the join, and the commits that were refused.
fn run_race<B: Bench>(bench: &B, race: &Race, order: &[usize]) -> (Option<Variables>, Vec<usize>) {
    let mut session = deployed(bench.subject(Profile::Documented, &[]), &[race.flow()]);
    session.step(&start(&race.start));
    let id = session.instance_id("i");
    let mut done = vec![0; race.branches.len()];
    let mut refused = Vec::new();
    for (number, branch) in order.iter().copied().enumerate() {
        let path = vec![Race::task(branch, done[branch])];
        let active = active_tasks(&mut session.subject, &id);
        let task = active.iter().find(|task| task.path == path);
        let task = task.unwrap_or_else(|| panic!("{path:?} is not active in {active:?}"));
        let answer = commit(&mut session, &task.node, race.branches[branch][done[branch]].clone());
        done[branch] += 1;
        match answer.code {
            6008 => {
                refused.push(number);
                assert_eq!(
                    active_tasks(&mut session.subject, &id),
                    active,
                    "a refusal changes nothing"
                );
            }
            code => {
                let is_last = number + 1 == order.len() && refused.is_empty();
                let has_next = done[branch] < race.branches[branch].len();
                assert_eq!(
                    code,
                    if is_last || has_next { 1002 } else { 1601 },
                    "{path:?} in {order:?}"
                );
            }
        }
    }
    let behind = vec![vec!["after".to_owned()]];
    let active = active_tasks(&mut session.subject, &id);
    let paths: Vec<Vec<String>> = active.into_iter().map(|task| task.path).collect();
    if paths != behind {
        return (None, refused);
    }
    let Body::Variables(data) = session.subject.instance_data(&id, false).body else {
        panic!("the instance has data");
    };
    (Some(data), refused)
}

/// Disjoint writes: every order comes to the same.
fn order_makes_no_difference<B: Bench>(bench: &B, race: &Race, seed: u64) {
    let orders = orders(race, seed);
    let first = run_race(bench, race, &orders[0]);
    for order in &orders {
        let result = run_race(bench, race, order);
        assert_eq!(result, first, "in {order:?} and in {:?}", orders[0]);
        assert_eq!(result, outcome_of(race, order), "in {order:?}");
    }
}

/// Overlapping writes: the join's policy decides. Says how many commits were refused.
fn policy_decides<B: Bench>(bench: &B, race: &Race, seed: u64) -> usize {
    let mut refusals = 0;
    let mut behind = BTreeSet::new();
    for order in orders(race, seed) {
        let result = run_race(bench, race, &order);
        assert_eq!(result, outcome_of(race, &order), "in {order:?}");
        refusals += result.1.len();
        behind.insert(format!("{:?}", result.0));
    }
    assert!(
        race.conflict != "branchOrder" || behind.len() == 1,
        "the order of arrival makes a difference: {behind:?}"
    );
    refusals
}

fn every_order<B: Bench>(bench: &B, modest: u32) {
    let mut refusals = 0;
    for seed in 0..FIXED / 4 {
        order_makes_no_difference(bench, &seeded(&race(true), seed), seed);
        refusals += policy_decides(bench, &seeded(&race(false), seed), seed);
    }
    assert!(refusals > 0, "no conflict was ever refused");
    let races = (race(true), race(false), any::<u64>());
    proptest!(ProptestConfig::with_cases(cases(modest)), |((disjoint, overlapping, seed) in races)| {
        order_makes_no_difference(bench, &disjoint, seed);
        policy_decides(bench, &overlapping, seed);
    });
}

/// Four branches of two tasks each: 2520 orders, each policy.
#[test]
fn every_order_of_eight_tasks_comes_to_what_the_policy_says() {
    let write = |key: &str, value: i64| vec![Variable::new(key, json!(value))];
    for conflict in ["last", "branchOrder", "fail"] {
        let race = Race {
            branches: vec![
                vec![write("k", 1), write("m", 1)],
                vec![write("k", 0), write("m", 1)],
                vec![write("l", 1), write("k", 2)],
                vec![write("l", 1), write("l", 0)],
            ],
            start: vec![Variable::new("k", json!(0)), Variable::new("l", json!(0))],
            conflict,
        };
        let orders = all_orders(&race);
        assert_eq!(orders.len(), 2_520);
        for order in orders {
            assert_eq!(
                run_race(&NaiveBench, &race, &order),
                outcome_of(&race, &order),
                "in {order:?}"
            );
        }
    }
}

#[test]
fn naive_join_does_not_depend_on_the_order_of_branches() {
    every_order(&NaiveBench, 20);
}

#[test]
fn engine_join_does_not_depend_on_the_order_of_branches() {
    every_order(&EngineBench, 20);
}
