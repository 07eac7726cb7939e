//! Rollback to any task, redo, and the lifecycle.

use super::{LINE, Run, check};
use crate::event::InstanceEvent;

const THREE: &str = "start>a; a>b; b>c; c>end";
const PAIR: &str = "start>s; s>fork; fork>a; fork>b; a>a2; a2>join; b>join; join>c; c>end";

#[test]
fn rollback_to_opens_any_completed_task_with_its_data() {
    check(
        THREE,
        "start x=0; commit a x=1; commit b x=2; to a; commit a x=5",
        "1002 a; 1002 b; 1002 c; 1003 a; 1002 b",
        "start=1 a=4 b=4 c=4 a=1 b=2",
        "x=5",
    );
    check(
        THREE,
        "start x=0; commit a x=1; commit b x=2; toKey b",
        "1002 a; 1002 b; 1002 c; 1003 b",
        "start=1 a=1 b=4 c=4 b=2",
        "x=1",
    );
}

#[test]
fn rollback_to_says_why_not() {
    check(
        THREE,
        "start; commit a; to b; to start; to nothing; toKey nothing; toKey c; toKey b; rollback b; to a#1; toKey a",
        "1002 a; 1002 b; 7409; 7409; 4010; 7410; 7407; 7409; 1003 a; 7409; 7409",
        "start=1 a=4 b=4 a=2",
        "",
    );
}

#[test]
fn rollback_to_a_task_before_a_join_leaves_the_other_branch_alone() {
    check(
        PAIR,
        "start; commit s; commit a a=1; commit a2 a=2; commit b b=1; to a; commit a a=7; commit a2",
        "1002 s; 1002 a,b; 1002 a2; 1601 join; 1002 c; 1003 a; 1002 a2; 1002 c",
        "start=1 s=1 fork=1 a=4 b=1 a2=4 join=4 c=4 a=1 join=1 a2=1 c=2",
        "a=7 b=1",
    );
}

#[test]
fn task_in_a_branch_that_a_join_closed_stays_closed() {
    let any = format!("{PAIR}; join: branchMerge=AnyOne");
    check(
        &any,
        "start; commit s; commit a; commit b; to a; toKey s",
        "1002 s; 1002 a,b; 1002 a2; 1002 c; 7413; 1003 s",
        "start=1 s=4 fork=4 a=4 b=4 a2=4 join=4 c=4 s=2",
        "",
    );
    // So it is for rollbackTask, which may begin at a completed task.
    check(
        &any,
        "start; commit s; commit a; commit b; rollback a; rollback b",
        "1002 s; 1002 a,b; 1002 a2; 1002 c; 4002; 1003 b",
        "start=1 s=1 fork=1 a=1 b=4 a2=4 join=4 c=4 b=2 a2=2",
        "",
    );
    // An ended branch made no difference to a join that does not wait for all.
    check(
        "start>fork; fork>a; fork>t; a>join; join>c; c>end; t>end2; join: branchMerge=AnyOne",
        "start; commit t; commit a; to t; rollback end2; rollback t; commit c",
        "1002 a,t; 1601 end2; 1002 c; 7413; 4002; 4002; 1000 end",
        "start=1 fork=1 a=1 t=1 end2=1 join=1 c=1 end=1",
        "",
    );
    // The join no longer counts, so the branch is open again.
    check(
        &any,
        "start; commit s; commit a; commit b; to b; commit a2",
        "1002 s; 1002 a,b; 1002 a2; 1002 c; 1003 b; 1002 c",
        "start=1 s=1 fork=1 a=1 b=4 a2=4 join=4 c=4 b=6 a2=1 join=1 c=2",
        "",
    );
}

#[test]
fn redo_takes_rollbacks_back_until_a_commit() {
    let mut run = Run::new(PAIR);
    run.word("start; commit s; commit a a=1; commit b b=1; commit a2 a=2");
    let before = (run.nodes(), run.data());
    assert_eq!(run.word("rollback c; rollback a2"), "1003 a2; 1003 a");
    assert_eq!(
        run.word("redo; redo; redo"),
        "1002 b,a2; 1002 c; 7416".replace("b,a2", "a2")
    );
    let after: Vec<String> = run
        .nodes()
        .split(' ')
        .take(before.0.split(' ').count())
        .map(str::to_owned)
        .collect();
    assert_eq!((after.join(" "), run.data()), before);
    assert_eq!(run.word("rollback c; commit a2; redo"), "1003 a2; 1002 c; 7416");
}

#[test]
fn failed_commit_does_not_keep_a_redo_away() {
    check(
        "start>a; a>gate; gate>b[x > 1]; b>end",
        "start; commit a x=2; rollback b; commit a x=0; redo; commit b",
        "1002 a; 1002 b; 1003 a; 4013 a; 1002 b; 1000 end",
        "start=1 a=1 gate=1 b=1 a=4 gate=3 end=1",
        "x=2",
    );
}

#[test]
fn forbidden_nodes_stop_a_rollback_and_compensations_are_listed_latest_first() {
    let mut run = Run::new(&format!(
        "{THREE}; a: onRollback=compensate: refund; b: onRollback=compensate: unship"
    ));
    assert_eq!(
        run.word("start; commit a; commit b; to a"),
        "1002 a; 1002 b; 1002 c; 1003 a"
    );
    let InstanceEvent::TaskRolledBack { compensations, .. } = &run.records[3].events[0] else {
        panic!("the fourth record goes back");
    };
    let names: Vec<&str> = compensations.iter().map(|compensation| &*compensation.name).collect();
    assert_eq!(names, ["unship", "refund"]);
    check(
        &format!("{THREE}; a: onRollback=forbid"),
        "start; commit a; commit b; rollback c; rollback b; to a",
        "1002 a; 1002 b; 1002 c; 1003 b; 7415; 7415",
        "start=1 a=1 b=4 c=4 b=2",
        "",
    );
}

#[test]
fn suspended_and_aborted_instances_stand_still_and_go_on_where_they_were() {
    check(
        LINE,
        "start x=1; suspend; commit a; rollback a; suspend; abort; commit a; abort; resume; restore; resume; commit a",
        "1002 a; 1000; 7406; 7406; 7406; 1000; 7400; 7400; 7400; 1000; 1000; 1002 b",
        "start=1 a=1 b=2",
        "x=1",
    );
}

#[test]
fn lifecycle_commands_fit_the_state() {
    check(
        LINE,
        "start; resume; restore; abort; terminate; restore; abort; suspend; resume; commit a",
        "1002 a; 7413; 7401; 1000; 1000; 7405; 7404; 7413; 7413; 4003",
        "start=1 a=2",
        "",
    );
}

#[test]
fn lifecycle_commands_need_a_reason() {
    let mut run = Run::new(LINE);
    run.reason = None;
    assert_eq!(run.word("start; suspend; suspend late"), "1002 a; 7402; 7403");
    run.reason = Some("  ".into());
    assert_eq!(run.word("abort"), "7402");
}
