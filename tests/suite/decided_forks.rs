//! Decisions on forks and joins that no recorded scenario shows, from docs/adr/0012-forks-and-joins.md.

use flowledger_tests::scenario::Profile;
use flowledger_tests::sketch::flow;

use crate::decided::{check, check_under};

const PAIR: &str = "start -> ask -> fork -> left -> join -> after -> end; fork -> right -> join";
const FIRST: &str =
    "start -> ask -> fork -> left -> more -> join[branchMerge=AnyOne] -> after -> end; fork -> right -> last -> join";

#[test]
fn join_waits_for_every_branch_and_merges_what_they_changed() {
    check(
        PAIR,
        "start {a: 0, b: 0}; commit ask {}; commit right {a: 1, b: 0}; data; elements; tasks; commit right {}; \
         commit join {}; rollback join; commit left {b: 2}; elements; tasks; commit after {}; elements",
        "1002 ask {a: 0, b: 0}
         1002 left {a: 0, b: 0} right {a: 0, b: 0}
         1601 join {a: 1, b: 0}
         1000 {a: 1, b: 0}
         1000 start=1 ask=1 fork=1 left=2 right=1 join=5
         1000 right=1 left=2 ask=1
         1002 left {a: 0, b: 0}
         4014
         4002
         1002 after {a: 1, b: 2}
         1000 start=1 ask=1 fork=1 left=1 right=1 join=1 after=2
         1000 after=2 right=1 left=1 ask=1
         1000 end {a: 1, b: 2}
         1000 start=1 ask=1 fork=1 left=1 right=1 join=1 after=1 end=1",
    );
}

#[test]
fn history_shows_a_sequence_flow_for_each_arrival_before_the_join() {
    check(
        PAIR,
        "start {}; commit ask {}; commit right {}; history; commit left {}; history; rollback after; history",
        "1002 ask {}
         1002 left {} right {}
         1601 join {}
         1000 start=1 f1=1 ask=1 f2=1 fork=1 f3=1 left=2 f7=1 right=1 f8=5 join=5
         1002 after {}
         1000 start=1 f1=1 ask=1 f2=1 fork=1 f3=1 left=1 f7=1 right=1 f8=1 f4=1 join=1 f5=1 after=2
         1003 left {}
         1000 start=1 f1=1 ask=1 f2=1 fork=1 f3=4 left=4 f7=1 right=1 f8=4 f4=4 join=4 f5=4 after=4 f3=1 left=2 f8=5 join=5",
    );
    check(
        "start -> fork -> join -> end; fork -> join",
        "start {}; history",
        "1000 end {}
         1000 start=1 f1=1 fork=1 f2=1 f4=1 join=1 f3=1 end=1",
    );
}

#[test]
fn merging_nothing_goes_on_with_the_data_at_the_fork() {
    check(
        "start -> fork -> left -> join[dataMerge=None, dataConflict=fail] -> after -> end; fork -> right -> join",
        "start {a: 0}; commit left {a: 1}; data; commit right {a: 2}; data",
        "1002 left {a: 0} right {a: 0}
         1601 join {a: 1}
         1000 {a: 1}
         1002 after {a: 0}
         1000 {a: 0}",
    );
}

#[test]
fn conflict_is_decided_as_the_join_says() {
    let race = |policy: &str| {
        format!("start -> fork -> left -> join[dataConflict={policy}] -> after -> end; fork -> right -> join")
    };
    let commands = "start {a: 0}; commit right {a: 2}; commit left {a: 1}; data";
    let rest = |data: u8| {
        format!("1002 left {{a: 0}} right {{a: 0}}\n1601 join {{a: 2}}\n1002 after {{a: {data}}}\n1000 {{a: {data}}}")
    };
    check(&race("last"), commands, &rest(1));
    check(&race("branchOrder"), commands, &rest(2));
    check(
        &race("fail"),
        "start {a: 0}; commit right {a: 2}; commit left {a: 1}; elements; data; commit left {a: 0}; data",
        "1002 left {a: 0} right {a: 0}
         1601 join {a: 2}
         6008
         1000 start=1 fork=1 left=2 right=1 join=5
         1000 {a: 2}
         1002 after {a: 2}
         1000 {a: 2}",
    );
}

#[test]
fn first_arrival_closes_the_other_branches() {
    check(
        FIRST,
        "start {}; commit ask {}; commit right {b: 1}; commit left {a: 1}; commit more {}; elements; data; \
         commit last {}; rollback last; rollback right; commit right {}; tasks",
        "1002 ask {}
         1002 left {} right {}
         1002 last {b: 1}
         1002 more {a: 1}
         1002 after {a: 1}
         1000 start=1 ask=1 fork=1 left=1 right=1 last=6 more=1 join=1 after=2
         1000 {a: 1}
         4001
         4002
         4002
         1002 after {a: 1}
         1000 after=2 more=1 right=1 left=1 ask=1",
    );
}

#[test]
fn rollback_behind_the_first_arrival_opens_again_what_it_closed() {
    check(
        FIRST,
        "start {}; commit ask {}; commit right {b: 1}; commit left {a: 1}; commit more {}; rollback after; elements; \
         data; commit last {b: 2}; elements; data",
        "1002 ask {}
         1002 left {} right {}
         1002 last {b: 1}
         1002 more {a: 1}
         1002 after {a: 1}
         1003 more {a: 1}
         1000 start=1 ask=1 fork=1 left=1 right=1 last=4 more=4 join=4 after=4 more=2 last=2
         1000 {a: 1, b: 1}
         1002 after {b: 2}
         1000 start=1 ask=1 fork=1 left=1 right=1 last=4 more=4 join=4 after=4 more=6 last=1 join=1 after=2
         1000 {b: 2}",
    );
}

#[test]
fn rollback_behind_a_join_leads_to_the_task_that_made_it_fire() {
    check(
        PAIR,
        "start {}; commit ask {}; commit right {b: 1}; commit left {a: 1}; rollback after; elements; data; \
         rollback left; elements; data",
        "1002 ask {}
         1002 left {} right {}
         1601 join {b: 1}
         1002 after {a: 1, b: 1}
         1003 left {}
         1000 start=1 ask=1 fork=1 left=4 right=1 join=4 after=4 left=2 join=5
         1000 {b: 1}
         1003 ask {}
         1000 start=1 ask=4 fork=4 left=4 right=4 join=4 after=4 left=4 join=4 ask=2
         1000 {}",
    );
}

#[test]
fn completed_task_of_another_branch_can_be_rolled_back_too() {
    check(
        PAIR,
        "start {}; commit ask {}; commit right {b: 1}; rollback right; elements; commit right {b: 2}; \
         commit left {a: 1}; rollback right; elements; data; rollback ask; commit right {b: 3}; data",
        "1002 ask {}
         1002 left {} right {}
         1601 join {b: 1}
         1003 right {}
         1000 start=1 ask=1 fork=1 left=2 right=4 join=4 right=2
         1601 join {b: 2}
         1002 after {a: 1, b: 2}
         1003 right {}
         1000 start=1 ask=1 fork=1 left=1 right=4 join=4 right=4 join=4 after=4 right=2 join=5
         1000 {a: 1}
         4002
         1002 after {a: 1, b: 3}
         1000 {a: 1, b: 3}",
    );
}

#[test]
fn end_event_in_a_branch_ends_that_branch() {
    let sketch = "start -> fork -> left -> join -> after -> end; fork -> right -> end2";
    check(
        sketch,
        "start {}; commit right {b: 1}; data; flow; commit left {a: 1}; data; rollback after; elements",
        "1002 left {} right {}
         1601 end2 {b: 1}
         1000 {b: 1}
         1000 status 2
         1002 after {a: 1}
         1000 {a: 1}
         1003 left {}
         1000 start=1 fork=1 left=4 right=1 end2=1 join=4 after=4 left=2",
    );
    check(
        sketch,
        "start {}; commit left {a: 1}; commit right {b: 1}; elements; rollback right; rollback after; elements",
        "1002 left {} right {}
         1601 join {a: 1}
         1002 after {a: 1}
         1000 start=1 fork=1 left=1 right=1 join=1 end2=1 after=2
         4002
         1003 right {}
         1000 start=1 fork=1 left=1 right=4 join=4 end2=4 after=4 right=2 join=5",
    );
}

#[test]
fn flow_whose_branches_all_end_has_ended() {
    check(
        "start -> fork -> left -> end; fork -> right -> fork2 -> inner -> end2; fork2 -> end3",
        "start {a: 0}; commit right {b: 1}; commit inner {a: 2, b: 3}; data; commit left {a: 1}; data; flow",
        "1002 left {a: 0} right {a: 0}
         1002 inner {a: 0, b: 1} end3 {a: 0, b: 1}
         1601 end2 {a: 2, b: 3}
         1000 {a: 2, b: 3}
         1000 end {a: 1}
         1000 {a: 2, b: 3}
         1000 status 1",
    );
}

#[test]
fn inclusive_fork_takes_the_branches_whose_conditions_hold() {
    let sketch = "start -> ask -> ifork -(a > 1)-> one -> ijoin -> after -> end; ifork -(a > 2)-> two -> ijoin; \
                  ifork -(default)-> three -> ijoin";
    let rest = "4013
         1000 start=1 ask=2 ifork=3
         1002 one {a: 2}
         1000 start=1 ask=1 ifork=1 one=2
         1002 after {a: 2}
         1003 one {a: 2}
         1003 ask {}
         1002 one {a: 3} two {a: 3}
         1601 ijoin {a: 3}
         1002 after {a: 3}";
    let commands = "start {}; commit ask {}; commit ask {a: 1}; elements; commit ask {a: 2}; elements; \
                    commit one {}; rollback after; rollback one; commit ask {a: 3}; commit one {}; commit two {}";
    let flows = [flow("main", sketch)];
    check_under(
        &[Profile::Documented],
        &flows,
        commands,
        &format!("1002 ask {{}}\n4015\n{rest}"),
    );
    check_under(
        &[Profile::Turbo131],
        &flows,
        commands,
        &format!("1002 ask {{}}\n4018\n{rest}"),
    );
}

#[test]
fn failing_commit_leaves_a_waiting_join_waiting() {
    check(
        "start -> fork -> left -> join -> gate -(a > 5)-> after -> end; fork -> right -> join",
        "start {}; commit left {a: 1}; commit right {}; elements; data; rollback left; commit right {}; commit left {a: 6}; \
         elements",
        "1002 left {} right {}
         1601 join {a: 1}
         4013
         1000 start=1 fork=1 left=1 right=2 join=5 gate=3
         1000 {a: 1}
         1003 left {}
         1601 join {}
         1002 after {a: 6}
         1000 start=1 fork=1 left=4 right=1 join=4 gate=3 left=1 join=1 gate=1 after=2",
    );
}

#[test]
fn failing_commit_records_the_nodes_of_every_branch() {
    check(
        "start -> ask -> fork -> left -> join -> end; fork -> join; fork -> gate -(a > 5)-> join",
        "start {a: 0}; commit ask {}; elements; tasks; commit ask {a: 6}; elements; commit left {}",
        "1002 ask {a: 0}
         4013
         1000 start=1 ask=2 fork=3 left=3 join=3 gate=3
         1000 ask=2
         1002 left {a: 6} join {a: 6} join {a: 6}
         1000 start=1 ask=1 fork=1 left=2 join=5 gate=1
         1000 end {a: 6}",
    );
}

#[test]
fn branches_that_go_straight_to_their_join_and_a_fork_behind_it() {
    check(
        "start -> fork -> join -> fork2 -> left -> join2 -> end; fork -> join; fork2 -> right -> join2",
        "start {}; elements; commit left {}; rollback left; rollback right",
        "1002 left {} right {}
         1000 start=1 fork=1 join=1 fork2=1 left=2 right=2
         1601 join2 {}
         1003 left {}
         4006",
    );
}

#[test]
fn forks_in_sub_flows_answer_nested() {
    let flows = [
        flow(
            "main",
            "start -> ask -> fork -> call[callActivityFlowModuleId=$module:sub] -> join[branchMerge=AnyOne] -> after -> end; \
             fork -> side -> join",
        ),
        flow("sub", "start -> fork -> left -> join -> end; fork -> right -> join"),
    ];
    check_under(
        &Profile::ALL,
        &flows,
        "start {}; commit ask {}; commit call {}; commit left {a: 1}; data; commit side {b: 1}; elements; flow of f2; \
         commit right {}; rollback after; flow of f2; elements; tasks; commit right {b: 2}; rollback after; elements; rollback right; \
         flow of f2; rollback ask",
        "1002 ask {}
         1002 call {} side {}
         1002 call(1002 left {} right {})
         1002 call(1601 join {a: 1})
         1000 {}
         1002 after {b: 1}
         1000 start=1 ask=1 fork=1 call=6(start=1 fork=1 left=1 right=6 join=6) side=1 join=1 after=2
         1000 status 3
         4001
         1003 side {}
         1000 status 2
         1000 start=1 ask=1 fork=1 call=4(start=1 fork=1 left=1 right=4 join=4 right=2 join=5) side=4 join=4 after=4 side=2 call=2(start=1 fork=1 left=1 right=4 join=4 right=2 join=5)
         1000 right=2 left=1 side=2 ask=1
         1002 after {a: 1, b: 2}
         1003 call(1003 right {})
         1000 start=1 ask=1 fork=1 call=4(start=1 fork=1 left=1 right=4 join=4 right=4 join=4 end=4 right=2 join=5) side=4 join=4 after=4 side=4 call=4(start=1 fork=1 left=1 right=4 join=4 right=4 join=4 end=4 right=2 join=5) join=4 after=4 call=2(start=1 fork=1 left=1 right=4 join=4 right=4 join=4 end=4 right=2 join=5) side=2
         1003 ask {}
         1000 status 3
         4006",
    );
}

#[test]
fn way_back_into_a_sub_flow_leads_to_the_task_that_ended_it() {
    let flows = [
        flow(
            "main",
            "start -> ask -> call[callActivityFlowModuleId=$module:sub] -> after -> end",
        ),
        flow("sub", "start -> fork -> left -> end; fork -> right -> end2"),
    ];
    check_under(
        &Profile::ALL,
        &flows,
        "start {}; commit ask {}; commit call {}; commit left {a: 1}; commit right {a: 2}; rollback after; data; \
         rollback end; commit right {b: 1}; commit left {a: 3}; rollback after; elements",
        "1002 ask {}
         1002 call {}
         1002 call(1002 left {} right {})
         1002 call(1601 end {a: 1})
         1002 after {a: 2}
         1003 call(1003 right {})
         1000 {a: 1}
         1003 call(1003 left {})
         1002 call(1601 end2 {b: 1})
         1002 after {a: 3, b: 1}
         1003 call(1003 left {})
         1000 start=1 ask=1 call=4(start=1 fork=1 left=4 right=4 end=4 end2=4 right=1 left=4 end2=1 end=4 left=2) after=4 \
         call=4(start=1 fork=1 left=4 right=4 end=4 end2=4 right=1 left=4 end2=1 end=4 left=2) after=4 \
         call=2(start=1 fork=1 left=4 right=4 end=4 end2=4 right=1 left=4 end2=1 end=4 left=2)",
    );
}

#[test]
fn position_shows_active_tasks_in_the_order_of_branches() {
    check(
        "start -> ask -> fork -> left -> more -> join -> end; fork -> right -> join",
        "start {}; commit ask {}; commit left {}; commit ask {}; tasks",
        "1002 ask {}
         1002 left {} right {}
         1002 more {}
         1002 more {} right {}
         1000 more=2 right=2 left=1 ask=1",
    );
}

#[test]
fn refused_conflict_leaves_no_trace_of_the_nodes_on_its_way() {
    check(
        "start -> fork -> left -> gate -(default)-> join[dataConflict=fail] -> end; fork -> right -> join",
        "start {a: 0}; commit right {a: 1}; commit left {a: 2}; elements; commit left {a: 1}; elements",
        "1002 left {a: 0} right {a: 0}
         1601 join {a: 1}
         6008
         1000 start=1 fork=1 left=2 right=1 join=5
         1000 end {a: 1}
         1000 start=1 fork=1 left=1 right=1 join=1 gate=1 end=1",
    );
}
