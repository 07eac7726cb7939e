//! Forks and joins: what docs/adr/0012-forks-and-joins.md says, case by case.

use std::fmt::Write;

use super::{Run, check};
use crate::event::InstanceEvent;

const PAIR: &str = "start>fork; fork>a; fork>b; a>join; b>join; join>c; c>end";
const NESTED: &str = "start>s; s>fork1; fork1>fork2; fork1>c; fork2>a; fork2>b; a>join2; b>join2; join2>join1; c>join1; \
                      join1>d; d>end";

/// Gives a word and compares answers, then nodes.
#[track_caller]
fn follow(model: &str, word: &str, answers: &str, nodes: &str) -> Run {
    let mut run = Run::new(model);
    assert_eq!(run.word(word), answers);
    assert_eq!(run.nodes(), nodes);
    run
}

#[test]
fn branches_run_in_model_order_and_the_last_lets_the_join_fire() {
    check(
        PAIR,
        "start x=0; commit b y=2; commit a z=3; commit c",
        "1002 a,b; 1601 join; 1002 c; 1000 end",
        "start=1 fork=1 a=1 b=1 join=1 c=1 end=1",
        "x=0 y=2 z=3",
    );
}

#[test]
fn data_of_an_open_fork_is_the_forks_with_all_changes_in_branch_order() {
    check(
        PAIR,
        "start x=0; commit b x=2",
        "1002 a,b; 1601 join",
        "start=1 fork=1 a=2 b=1 join=5",
        "x=2",
    );
}

#[test]
fn unchanged_values_do_not_win_over_changed_ones() {
    // b gives back what it was entered with (T-32).
    check(
        PAIR,
        "start x=0; commit a x=1; commit b x=0",
        "1002 a,b; 1601 join; 1002 c",
        "start=1 fork=1 a=1 b=1 join=1 c=2",
        "x=1",
    );
}

#[test]
fn conflict_follows_the_rule_of_the_join_and_is_recorded() {
    for (rule, first, second, x, taken) in [
        ("last", "a", "b", "x=2", "f2"),
        ("last", "b", "a", "x=1", "f1"),
        ("branchOrder", "a", "b", "x=2", "f2"),
        ("branchOrder", "b", "a", "x=2", "f2"),
    ] {
        let model = format!("{PAIR}; join: dataConflict={rule}");
        let value = |key| if key == "a" { 1 } else { 2 };
        let word = format!(
            "start x=0; commit {first} x={}; commit {second} x={}",
            value(first),
            value(second)
        );
        let mut run = Run::new(&model);
        run.word(&word);
        assert_eq!(run.data(), x, "{rule} {first}");
        let InstanceEvent::BranchesJoined { conflicts, .. } = &run.records[2].events[2] else {
            panic!("the second commit joins: {:?}", run.records[2].events);
        };
        let [conflict] = &conflicts[..] else {
            panic!("one variable differs: {conflicts:?}")
        };
        assert_eq!((&*conflict.key, &*conflict.taken), ("x", taken), "{rule} {first}");
    }
}

#[test]
fn conflict_under_fail_refuses_the_commit_that_brings_it() {
    let run = check(
        &format!("{PAIR}; join: dataConflict=fail"),
        "start x=0; commit a x=1; commit b x=2; commit b x=1",
        "1002 a,b; 1601 join; 6008; 1002 c",
        "start=1 fork=1 a=1 b=1 join=1 c=2",
        "x=1",
    );
    assert_eq!(run.records.len(), 3);
}

#[test]
fn data_merge_none_keeps_the_forks_data() {
    check(
        &format!("{PAIR}; join: dataMerge=None"),
        "start x=0; commit a x=1; commit b y=1",
        "1002 a,b; 1601 join; 1002 c",
        "start=1 fork=1 a=1 b=1 join=1 c=2",
        "x=0",
    );
}

#[test]
fn any_one_fires_with_the_first_and_closes_the_others() {
    check(
        &format!("{PAIR}; join: branchMerge=AnyOne"),
        "start x=0; commit b x=2; commit a; commit c",
        "1002 a,b; 1002 c; 4001; 1000 end",
        "start=1 fork=1 a=6 b=1 join=1 c=1 end=1",
        "x=2",
    );
}

#[test]
fn any_one_reached_before_other_branches_begin_leaves_them_out() {
    follow(
        "start>fork; fork>join; fork>a; a>join; join>c; c>end; join: branchMerge=AnyOne",
        "start",
        "1002 c",
        "start=1 fork=1 join=1 c=2",
    );
    follow(
        "start>fork; fork>a; fork>join; a>join; join>c; c>end; join: branchMerge=AnyOne",
        "start; commit a",
        "1002 c; 4001",
        "start=1 fork=1 a=6 join=1 c=2",
    );
}

#[test]
fn inner_join_leads_to_the_outer_one() {
    check(
        NESTED,
        "start; commit s; commit c c=1; commit a a=1; commit b b=1; commit d",
        "1002 s; 1002 a,b,c; 1601 join1; 1601 join2; 1002 d; 1000 end",
        "start=1 s=1 fork1=1 fork2=1 a=1 b=1 c=1 join1=1 join2=1 d=1 end=1",
        "a=1 b=1 c=1",
    );
}

#[test]
fn any_one_of_the_outer_join_closes_inner_tasks_and_inner_joins() {
    follow(
        &format!("{NESTED}; join1: branchMerge=AnyOne"),
        "start; commit s; commit a; commit c; commit b",
        "1002 s; 1002 a,b,c; 1601 join2; 1002 d; 4001",
        "start=1 s=1 fork1=1 fork2=1 a=1 b=6 c=1 join2=6 join1=1 d=2",
    );
}

#[test]
fn join_leads_directly_to_the_next_fork() {
    follow(
        "start>fork1; fork1>a; fork1>b; a>join1; b>join1; join1>fork2; fork2>c; fork2>d; c>join2; d>join2; join2>end",
        "start; commit a; commit b; commit d; commit c",
        "1002 a,b; 1601 join1; 1002 c,d; 1601 join2; 1000 end",
        "start=1 fork1=1 a=1 b=1 join1=1 fork2=1 c=1 d=1 join2=1 end=1",
    );
}

#[test]
fn fork_leads_directly_into_its_join() {
    follow(
        "start>fork; fork>join; fork>join; join>end",
        "start",
        "1000 end",
        "start=1 fork=1 join=1 end=1",
    );
    follow(
        "start>fork; fork>join; fork>a; a>join; join>end",
        "start; commit a",
        "1002 join,a; 1000 end",
        "start=1 fork=1 join=1 a=1 end=1",
    );
}

#[test]
fn gateways_in_branches_evaluate_their_conditions() {
    follow(
        "start>fork; fork>gate; fork>c; gate>a[x > 1]; gate>b[default]; a>join; b>join; c>join; join>end",
        "start x=1",
        "1002 b,c",
        "start=1 fork=1 gate=1 b=2 c=2",
    );
}

#[test]
fn branch_that_ends_is_no_longer_awaited() {
    let model = "start>fork; fork>a; fork>b; a>end1; b>join; join>c; c>end2";
    follow(
        model,
        "start; commit b; commit a; commit c",
        "1002 a,b; 1601 join; 1002 c; 1000 end2",
        "start=1 fork=1 a=1 b=1 join=1 end1=1 c=1 end2=1",
    );
    follow(
        model,
        "start; commit a; commit b; commit c",
        "1002 a,b; 1601 end1; 1002 c; 1000 end2",
        "start=1 fork=1 a=1 b=1 end1=1 join=1 c=1 end2=1",
    );
}

#[test]
fn instance_completes_when_all_branches_have_ended() {
    check(
        "start>fork; fork>a; fork>b; a>end1; b>end2",
        "start x=0; commit b x=2; commit a y=1",
        "1002 a,b; 1601 end2; 1000 end1",
        "start=1 fork=1 a=1 b=1 end2=1 end1=1",
        "x=2 y=1",
    );
}

#[test]
fn inner_fork_whose_branches_end_releases_the_outer_join() {
    follow(
        "start>fork1; fork1>fork2; fork1>c; fork2>a; fork2>b; a>end1; b>end2; c>join1; join1>d; d>end3",
        "start; commit c; commit a; commit b",
        "1002 a,b,c; 1601 join1; 1601 end1; 1002 d",
        "start=1 fork1=1 fork2=1 a=1 b=1 c=1 join1=1 end1=1 end2=1 d=2",
    );
}

#[test]
fn inclusive_fork_takes_what_holds_and_no_default() {
    let model =
        "start>s; s>ifork; ifork>a[x > 1]; ifork>b[x > 2]; ifork>c[default]; a>ijoin; b>ijoin; c>ijoin; ijoin>end";
    follow(
        model,
        "start; commit s x=2; commit a",
        "1002 s; 1002 a; 1000 end",
        "start=1 s=1 ifork=1 a=1 ijoin=1 end=1",
    );
    follow(
        model,
        "start; commit s x=0; commit s; commit s x=3; commit b; commit a",
        "1002 s; 4013 s; 4015 s; 1002 a,b; 1601 ijoin; 1000 end",
        "start=1 s=1 ifork=1 a=1 b=1 ijoin=1 end=1",
    );
}

#[test]
fn failing_branch_takes_the_whole_commit_with_it() {
    let model = "start>s; s>fork; fork>a; fork>gate; gate>b[x > 1]; a>join; b>join; join>end";
    follow(
        model,
        "start; commit s x=1; commit s x=2; commit a; commit b",
        "1002 s; 4013 s; 1002 a,b; 1601 join; 1000 end",
        "start=1 s=1 fork=1 a=1 gate=1 b=1 join=1 end=1",
    );
}

#[test]
fn join_that_waits_goes_on_waiting_when_an_arrival_fails_behind_it() {
    let model = "start>fork; fork>a; fork>b; a>join; b>join; join>gate; gate>end[x > 1]";
    follow(
        model,
        "start x=0; commit a; commit b; commit b x=2",
        "1002 a,b; 1601 join; 4013 b; 1000 end",
        "start=1 fork=1 a=1 b=1 join=1 gate=1 end=1",
    );
}

#[test]
fn join_that_failed_with_its_first_arrival_is_reached_again() {
    let model = "start>ifork; ifork>a[x > 0]; a>ijoin; ijoin>gate; gate>end[x > 1]";
    follow(
        model,
        "start x=1; commit a; commit a x=2",
        "1002 a; 4013 a; 1000 end",
        "start=1 ifork=1 a=1 ijoin=1 gate=1 end=1",
    );
}

#[test]
fn fork_inside_a_loop_opens_new_branches_each_time() {
    follow(
        "start>fork; fork>a; fork>b; a>join; b>join; join>gate; gate>fork[again]; gate>end[default]",
        "start again=true; commit a; commit b; commit b again=false; commit a",
        "1002 a,b; 1601 join; 1002 a,b; 1601 join; 1000 end",
        "start=1 fork=1 a=1 b=1 join=1 gate=1 fork=1 a=1 b=1 join=1 gate=1 end=1",
    );
}

#[test]
fn recommit_tells_all_active_tasks() {
    follow(
        NESTED,
        "start; commit s; commit a; commit a x=9; commit s",
        "1002 s; 1002 a,b,c; 1601 join2; 1002 b,c; 1002 b,c",
        "start=1 s=1 fork1=1 fork2=1 a=1 b=2 c=2 join2=5",
    );
}

#[test]
fn rollback_within_a_branch_leaves_the_others_alone() {
    check(
        "start>fork; fork>a; fork>b; a>a2; a2>join; b>join; join>end",
        "start x=0; commit a x=1; commit b y=1; rollback a2; commit a x=5; commit a2",
        "1002 a,b; 1002 a2; 1601 join; 1003 a; 1002 a2; 1000 end",
        "start=1 fork=1 a=4 b=1 a2=4 join=1 a=1 a2=1 end=1",
        "x=5 y=1",
    );
}

#[test]
fn rollback_takes_back_an_arrival_at_a_join_that_waits() {
    check(
        PAIR,
        "start x=0; commit a x=1; rollback a; commit a x=2; commit b",
        "1002 a,b; 1601 join; 1003 a; 1601 join; 1002 c",
        "start=1 fork=1 a=4 b=1 join=4 a=1 join=1 c=2",
        "x=2",
    );
    // The other arrival stays.
    check(
        "start>fork; fork>a; fork>b; fork>c; a>join; b>join; c>join; join>end",
        "start; commit a x=1; commit b y=1; rollback a; commit c; commit a x=2",
        "1002 a,b,c; 1601 join; 1601 join; 1003 a; 1601 join; 1000 end",
        "start=1 fork=1 a=4 b=1 c=1 join=4 a=1 join=1 end=1",
        "x=2 y=1",
    );
}

#[test]
fn rollback_over_a_fork_undoes_all_its_branches() {
    check(
        NESTED,
        "start; commit s x=1; commit a a=1; commit c c=1; rollback b; commit s x=2",
        "1002 s; 1002 a,b,c; 1601 join2; 1601 join1; 1003 s; 1002 a,b,c",
        "start=1 s=4 fork1=4 fork2=4 a=4 b=4 c=4 join2=4 join1=4 s=1 fork1=1 fork2=1 a=2 b=2 c=2",
        "x=2",
    );
}

#[test]
fn rollback_behind_a_join_opens_the_task_that_let_it_fire() {
    check(
        PAIR,
        "start; commit b y=1; commit a x=1; rollback c",
        "1002 a,b; 1601 join; 1002 c; 1003 a",
        "start=1 fork=1 a=4 b=1 join=4 c=4 a=2 join=5",
        "y=1",
    );
    check(
        PAIR,
        "start; commit b y=1; commit a x=1; rollback c; commit a x=2; commit c",
        "1002 a,b; 1601 join; 1002 c; 1003 a; 1002 c; 1000 end",
        "start=1 fork=1 a=4 b=1 join=4 c=4 a=1 join=1 c=1 end=1",
        "x=2 y=1",
    );
}

#[test]
fn rollback_behind_any_one_opens_what_it_had_closed() {
    follow(
        &format!("{NESTED}; join1: branchMerge=AnyOne"),
        "start; commit s; commit a; commit c; rollback d; commit b; commit d",
        "1002 s; 1002 a,b,c; 1601 join2; 1002 d; 1003 c; 1002 d; 1000 end",
        "start=1 s=1 fork1=1 fork2=1 a=1 b=4 c=4 join2=4 join1=4 d=4 c=6 b=1 join2=1 join1=1 d=1 end=1",
    );
}

#[test]
fn rollback_behind_a_branch_end_makes_the_join_wait_again() {
    follow(
        "start>fork; fork>a; fork>b; a>end1; b>join; join>c; c>end2",
        "start; commit b; commit a; rollback c; commit a; commit c",
        "1002 a,b; 1601 join; 1002 c; 1003 a; 1002 c; 1000 end2",
        "start=1 fork=1 a=4 b=1 join=4 end1=4 c=4 a=1 join=1 end1=1 c=1 end2=1",
    );
}

#[test]
fn rollback_to_the_start_of_a_fork_is_refused() {
    follow(PAIR, "start; rollback a", "1002 a,b; 4006", "start=1 fork=1 a=2 b=2");
}

#[test]
fn completed_task_is_eligible_while_nothing_behind_it_is_done() {
    follow(
        NESTED,
        "start; commit s; commit a; rollback s",
        "1002 s; 1002 a,b,c; 1601 join2; 4002",
        "start=1 s=1 fork1=1 fork2=1 a=1 b=2 c=2 join2=5",
    );
    follow(
        NESTED,
        "start; commit s; rollback s",
        "1002 s; 1002 a,b,c; 1003 s",
        "start=1 s=4 fork1=4 fork2=4 a=4 b=4 c=4 s=2",
    );
}

#[test]
fn way_to_a_join_that_misses_its_fork_is_a_mismatch() {
    follow(
        "start>s; s>gate; gate>fork[x > 1]; gate>join[default]; fork>a; fork>b; a>join; b>join; join>end",
        "start; commit s x=1; commit s x=2",
        "1002 s; 6005 s; 1002 a,b",
        "start=1 s=1 gate=1 fork=1 a=2 b=2",
    );
}

#[test]
fn inner_branches_may_lead_straight_to_the_outer_join() {
    check(
        "start>fork1; fork1>fork2; fork1>c; fork2>a; fork2>b; a>join1; b>join1; c>join1; join1>end",
        "start; commit a a=1; commit c c=1; commit b b=1",
        "1002 a,b,c; 1601 join1; 1601 join1; 1000 end",
        "start=1 fork1=1 fork2=1 a=1 b=1 c=1 join1=1 end=1",
        "a=1 b=1 c=1",
    );
}

#[test]
fn fork_with_more_branches_than_steps_is_refused() {
    let mut model = "start>s; s>fork; join>end".to_owned();
    for number in 0..60 {
        let _ = write!(model, "; fork>t{number}; t{number}>join");
    }
    let mut run = Run::new(&model);
    assert_eq!(run.word("start; commit s"), "1002 s; 7009");
    assert_eq!(run.records.len(), 1);
}
