//! Decisions that no recorded scenario shows, from docs/behaviour.md.

use flowledger_tests::conformance::{Bench, NaiveBench};
use flowledger_tests::engine_subject::EngineBench;
use flowledger_tests::scenario::{Flow, Profile, Variable};
use flowledger_tests::sketch::{flow, run};
use serde_json::json;

fn check_in<B: Bench>(bench: &B, profile: Profile, flows: &[Flow], commands: &str, expected: &str) {
    let hook_answer = [Variable::new("hooked", json!(true))];
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let got = run(bench.subject(profile, &hook_answer), flows, commands);
    assert_eq!(got, expected, "under {}", profile.name());
}

/// Every subject, under the profiles given.
pub(crate) fn check_under(profiles: &[Profile], flows: &[Flow], commands: &str, expected: &str) {
    for profile in profiles {
        check_in(&NaiveBench, *profile, flows, commands, expected);
        check_in(&EngineBench, *profile, flows, commands, expected);
    }
}

pub(crate) fn check(sketch: &str, commands: &str, expected: &str) {
    check_under(&Profile::ALL, &[flow("main", sketch)], commands, expected);
}

const BRANCHES: &str = "start -> ask -> gate; gate -(a > 5)-> high -> end; gate -(a > 2)-> low -> end";

#[test]
fn committing_a_completed_task_again_shows_the_position_and_changes_nothing() {
    check(
        BRANCHES,
        "start {a: 1}; commit ask {a: 3}; commit ask {a: 9}; data; elements",
        "1002 ask {a: 1}
         1002 low {a: 3}
         1002 low {a: 3}
         1000 {a: 3}
         1000 start=1 ask=1 gate=1 low=2",
    );
}

#[test]
fn rollback_of_the_completed_task_disables_what_came_after() {
    check(
        BRANCHES,
        "start {a: 1}; commit ask {a: 3}; rollback ask; elements; data; commit low {}; commit ask {a: 6}; tasks",
        "1002 ask {a: 1}
         1002 low {a: 3}
         1003 ask {a: 1}
         1000 start=1 ask=4 gate=4 low=4 ask=2
         1000 {a: 1}
         4001
         1002 high {a: 6}
         1000 high=2 ask=1",
    );
}

#[test]
fn failed_commit_keeps_data_and_task_and_a_retry_reenters_the_gateway() {
    check(
        BRANCHES,
        "start {a: 1}; commit ask {a: 0, b: 1}; elements; data; commit gate {}; rollback gate; commit ask {a: 4}; elements",
        "1002 ask {a: 1}
         4013
         1000 start=1 ask=2 gate=3
         1000 {a: 1}
         4014
         4002
         1002 low {a: 4}
         1000 start=1 ask=1 gate=1 low=2",
    );
}

#[test]
fn every_gateway_of_a_failed_commit_is_failed() {
    check(
        "start -> ask -> gate; gate -(a > 0)-> gate2; gate -(default)-> other -> end; gate2 -(a > 5)-> end",
        "start {a: 0}; commit ask {a: 1}; elements; commit ask {a: 0}; elements; rollback other; elements",
        "1002 ask {a: 0}
         4013
         1000 start=1 ask=2 gate=3 gate2=3
         1002 other {a: 0}
         1000 start=1 ask=1 gate=1 gate2=3 other=2
         1003 ask {a: 0}
         1000 start=1 ask=4 gate=4 gate2=3 other=4 ask=2",
    );
}

#[test]
fn failure_at_the_branching_task_itself_leaves_the_task_active() {
    check(
        "start -> ask; ask -(a > 5)-> end; ask -(a > 2)-> low -> end",
        "start {}; commit ask {a: 1}; elements; data; commit ask {a: 3}",
        "1002 ask {}
         4013
         1000 start=1 ask=2
         1000 {}
         1002 low {a: 3}",
    );
}

#[test]
fn failed_start_leaves_nothing() {
    check(
        "start -> gate; gate -(a > 5)-> ask -> end",
        "start {a: 1}; flow; start {a: 6}; flow",
        "4013
         4008
         1002 ask {a: 6}
         1000 status 2",
    );
}

#[test]
fn missing_variable_has_the_code_of_the_profile() {
    let flows = [flow(
        "main",
        "start -> ask -> gate; gate -(b > 5)-> end; gate -(default)-> end2",
    )];
    let commands = "start {a: 1}; commit ask {}; commit ask {b: 1}";
    check_under(
        &[Profile::Documented],
        &flows,
        commands,
        "1002 ask {a: 1}\n4015\n1000 end2 {a: 1, b: 1}",
    );
    check_under(
        &[Profile::Turbo131],
        &flows,
        commands,
        "1002 ask {a: 1}\n4018\n1000 end2 {a: 1, b: 1}",
    );
}

#[test]
fn hook_answer_joins_the_data_only_when_the_commit_succeeds() {
    check(
        "start -> ask -> gate[hookInfoIds=h]; gate -(a > 5)-> next -> end",
        "start {a: 1}; commit ask {}; data; commit ask {a: 6}; rollback next; data",
        "1002 ask {a: 1}
         4013
         1000 {a: 1}
         1002 next {a: 6, hooked: true}
         1003 ask {a: 1}
         1000 {a: 1}",
    );
}

#[test]
fn rollback_at_the_start_changes_nothing() {
    check(
        "start -> gate; gate -(default)-> ask -> end",
        "start {}; rollback ask; elements; commit ask {}; rollback ask; rollback end",
        "1002 ask {}
         4006
         1000 start=1 gate=1 ask=2
         1000 end {}
         4004
         4004",
    );
}

#[test]
fn unknown_and_foreign_ids_have_their_codes() {
    let flows = [flow("main", "start -> ask -> end")];
    let commands = "start {}; commit unknown {}; rollback unknown; node unknown; rollback start; commit start {};
        commit ask of nobody {}; rollback ask of nobody; terminate of nobody; data of nobody; flow of nobody;
        node ask of nobody";
    let expected = "1002 ask {}\n4010\n4010\n4010\n4002\n4014\n4008\n4008\n4008\n4008\n4008\n4008";
    check_under(&Profile::ALL, &flows, commands, expected);
    let lists = "start {}; tasks of nobody; elements of nobody";
    check_under(&[Profile::Documented], &flows, lists, "1002 ask {}\n4008\n4008");
    check_under(&[Profile::Turbo131], &flows, lists, "1002 ask {}\n1000\n1000");
}

#[test]
fn node_of_another_instance_is_unknown() {
    check(
        "start -> ask -> end",
        "start {a: 1}; start of j {a: 2}; commit ask of j {}; node ask of j",
        "1002 ask {a: 1}
         1002 ask {a: 2}
         4010
         4010",
    );
}

#[test]
fn terminated_instance_takes_no_commands_but_answers_queries() {
    check(
        "start -> ask -> end",
        "start {a: 1}; terminate; commit ask {}; rollback ask; terminate; data; tasks; flow",
        "1002 ask {a: 1}
         1000 status 3
         4003
         4004
         1000 status 3
         1000 {a: 1}
         1000 ask=2
         1000 status 3",
    );
}

#[test]
fn completed_instance_stays_completed() {
    check(
        "start -> ask -> end",
        "start {a: 1}; commit ask {a: 2}; commit ask {}; terminate; data; flow",
        "1002 ask {a: 1}
         1000 end {a: 2}
         1001
         1000 status 1
         1000 {a: 2}
         1000 status 1",
    );
}

const SUB: &str = "start -> inner -> gate; gate -(x > 5)-> end; gate -(default)-> more -> end";

fn with_sub(main: &str) -> [Flow; 2] {
    [flow("main", main), flow("sub", SUB)]
}

fn check_call(main: &str, commands: &str, expected: &str) {
    for profile in Profile::ALL {
        check_in(&NaiveBench, profile, &with_sub(main), commands, expected);
        check_in(&EngineBench, profile, &with_sub(main), commands, expected);
    }
}

#[test]
fn called_flow_comes_from_the_commit_or_the_property_or_not_at_all() {
    check_call(
        "start -> call -> end",
        "start {a: 1}; commit call {}; commit call {x: 6} sub; commit call {} sub; commit inner {}",
        "1002 call {a: 1}
         4019
         1002 call(1002 inner {a: 1, x: 6})
         1002 call(1002 inner {a: 1, x: 6})
         1000 end {a: 1, x: 6}",
    );
    check_call(
        "start -> call[callActivityFlowModuleId=$module:sub] -> end",
        "start {a: 1}; commit call {a: 2}",
        "1002 call {a: 1}
         1002 call(1002 inner {a: 1})",
    );
}

#[test]
fn parent_keeps_its_data_when_nothing_is_handed_over() {
    check_call(
        "start -> call[callActivityInParamType=none, callActivityOutParamType=none] -> next -> end",
        "start {a: 1}; commit call {b: 2} sub; commit inner {x: 9}",
        "1002 call {a: 1}
         1002 call(1002 inner {b: 2})
         1002 next {a: 1}",
    );
}

#[test]
fn rollback_of_an_unstarted_call_goes_on_to_the_task_before() {
    check_call(
        "start -> ask -> call -> end",
        "start {a: 1}; commit ask {b: 2}; rollback call; elements",
        "1002 ask {a: 1}
         1002 call {a: 1, b: 2}
         1003 ask {a: 1}
         1000 start=1 ask=4 call=4 ask=2",
    );
}

#[test]
fn rollback_of_a_running_call_is_one_of_its_active_task() {
    check_call(
        "start -> ask -> call -> end",
        "start {a: 1}; commit ask {}; commit call {x: 1} sub; commit inner {}; rollback call; rollback call",
        "1002 ask {a: 1}
         1002 call {a: 1}
         1002 call(1002 inner {a: 1, x: 1})
         1002 call(1002 more {a: 1, x: 1})
         1003 call(1003 inner {a: 1, x: 1})
         1003 ask {a: 1}",
    );
}

#[test]
fn failed_start_of_a_called_flow_leaves_nothing_and_can_be_tried_again() {
    let flows = [
        flow("main", "start -> call -> end"),
        flow("sub", "start -> gate; gate -(x > 5)-> inner -> end"),
    ];
    for profile in Profile::ALL {
        let commands = "start {a: 1}; commit call {x: 1} sub; elements; commit call {x: 6} sub";
        let expected = "1002 call {a: 1}
             4013
             1000 start=1 call=2
             1002 call(1002 inner {a: 1, x: 6})";
        check_in(&NaiveBench, profile, &flows, commands, expected);
        check_in(&EngineBench, profile, &flows, commands, expected);
    }
}

#[test]
fn every_node_of_a_failed_commit_is_entered_again_also_the_end_of_a_sub_flow() {
    let flows = [
        flow("main", "start -> call -> gate; gate -(x > 5)-> end"),
        flow("sub", "start -> inner -> end"),
    ];
    for profile in Profile::ALL {
        let commands =
            "start {x: 1}; commit call {} sub; commit inner {}; commit inner {}; elements; commit inner {x: 6}";
        let expected = "1002 call {x: 1}
             1002 call(1002 inner {x: 1})
             4013
             4013
             1000 start=1 call=2(start=1 inner=2 end=3) gate=3
             1000 end {x: 6}";
        check_in(&NaiveBench, profile, &flows, commands, expected);
        check_in(&EngineBench, profile, &flows, commands, expected);
    }
}
