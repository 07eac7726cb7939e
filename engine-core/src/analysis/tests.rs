//! What proofs say about small models. That their scripts show it in the engine is tested where the engine is.

use std::collections::BTreeMap;

use super::report::{ProofReport, Verdict};
use super::{ProveParam, prove_model};
use crate::instance::tests::model_json;

fn prove(sketch: &str) -> ProofReport {
    prove_model(&model_json(sketch), &ProveParam::default())
}

/// The verdict, then each finding as `kind elements: script`.
fn check(sketch: &str, expected: &[&str]) {
    let report = prove(sketch);
    let mut lines = vec![format!("{:?}", report.verdict)];
    lines.extend(report.findings.iter().map(|finding| {
        format!(
            "{} {}: {}",
            finding.kind,
            finding.elements.join(" "),
            finding.script.words()
        )
    }));
    assert_eq!(lines, expected, "{sketch}: {report:#?}");
}

#[test]
fn values_that_no_condition_covers_are_a_gap() {
    check(
        "start>a; a>gate; gate>b[n > 3]; gate>end[n < 3]; b>end",
        &["Faulty", "condition-gap gate: start {}; commit a {n: 3}"],
    );
    check("start>a; a>gate; gate>b[n > 3]; gate>end[n <= 3]; b>end", &["Sound"]);
    check("start>a; a>gate; gate>b[n > 3]; gate>end[default]; b>end", &["Sound"]);
    check(
        "start>a; a>gate; gate>b[s == 'x']; gate>end[s == 'y']; b>end",
        &["Faulty", r#"condition-gap gate: start {}; commit a {s: "other"}"#],
    );
    check("start>a; a>b[ok]; a>end[!ok]; b>end", &["Sound"]);
    // What the gateway before leaves out cannot come here.
    check(
        "start>a; a>gate1; gate1>gate2[n > 3]; gate1>end[n <= 3]; gate2>b[n > 5]; gate2>end[n > 3 && n <= 5]; b>end",
        &["Sound"],
    );
}

#[test]
fn values_that_two_conditions_cover_overlap() {
    check(
        "start>a; a>gate; gate>b[n >= 3]; gate>end[n <= 3]; b>end",
        &["Faulty", "condition-overlap gate f2 f3: start {}; commit a {n: 3}"],
    );
}

#[test]
fn ways_that_no_value_opens_are_dead() {
    check(
        "start>a; a>gate1; gate1>gate2[n > 3]; gate1>end[n <= 3]; gate2>b[n < 2]; gate2>end[n >= 2]; b>end",
        &["Faulty", "dead-element f4 b f6: start {}; commit a {n: 4}"],
    );
}

#[test]
fn blocks_are_sound() {
    check("start>fork1; fork1>a; fork1>b; a>join1; b>join1; join1>end", &["Sound"]);
    check(
        "start>fork1; fork1>a; fork1>b; a>join1; b>end; join1>end; join1: branchMerge=AnyOne",
        &["Sound"],
    );
    check(
        "start>ifork1; ifork1>a[n > 1]; ifork1>b[n < 5]; a>ijoin1; b>ijoin1; ijoin1>end",
        &["Sound"],
    );
    check(
        "start>ifork1; ifork1>a[n > 1]; ifork1>b[n < 0]; a>ijoin1; b>ijoin1; ijoin1>end",
        &["Faulty", "condition-gap ifork1: start {n: 0}"],
    );
}

#[test]
fn inner_join_that_is_passed_by_is_a_deadlock() {
    let sketch =
        "start>fork1; fork1>a; fork1>fork2; fork2>b; fork2>c; b>join2; c>join1; a>join1; join2>join1; join1>end";
    let report = prove(sketch);
    let deadlock = report.findings.iter().find(|finding| finding.kind.name() == "deadlock");
    assert!(deadlock.is_some(), "{report:#?}");
}

#[test]
fn loop_without_a_way_out_never_ends() {
    check(
        "start>a; a>gate; gate>b[ok]; gate>end[!ok]; b>c; c>b",
        &[
            "Faulty",
            "livelock b c: start {}; commit a {ok: true}; commit b {}; commit c {}",
        ],
    );
}

#[test]
fn branches_that_meet_without_a_join_are_two_tokens() {
    check(
        "start>fork1; fork1>a; fork1>b; a>c; b>c; c>join1; join1>end",
        &["Faulty", "two-tokens c: start {}; commit a {}; commit b {}"],
    );
}

#[test]
fn ring_of_gateways_is_found_with_its_values() {
    let report = prove("start>a; a>gate1; gate1>gate2[n > 3]; gate1>end[n <= 3]; gate2>gate1[default]");
    let scripts: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.kind, finding.script.words()))
        .collect();
    assert!(
        scripts.contains(&"ring-without-wait start {}; commit a {n: 4}".to_owned()),
        "{scripts:#?}"
    );
    assert!(scripts.contains(&"not-deployable deploy".to_owned()), "{scripts:#?}");
}

#[test]
fn branches_that_bring_one_variable_race() {
    let model = "start>fork1; fork1>a; fork1>b; a>gate1; gate1>join1[ok]; gate1>c[!ok]; c>join1; b>gate2; \
                 gate2>join1[NAME]; gate2>d[!NAME]; d>join1; join1>end";
    check(&model.replace("NAME", "good"), &["Sound"]);
    let same = model.replace("NAME", "ok");
    check(
        &same,
        &[
            "Faulty",
            "data-race join1 a b: start {}; commit a {ok: true}; commit b {ok: false}; commit d {}",
        ],
    );
    for rule in [
        "dataConflict=branchOrder",
        "dataConflict=fail",
        "dataMerge=None",
        "branchMerge=AnyOne",
    ] {
        check(&format!("{same}; join1: {rule}"), &["Sound"]);
    }
}

#[test]
fn what_cases_cannot_decide_is_unknown() {
    let report = prove("start>a; a>gate; gate>b[n % 2 == 0]; gate>end[n % 2 == 1]; b>end");
    assert_eq!(report.verdict, Verdict::Faulty, "{report:#?}");
    let report = prove("start>a; a>gate; gate>b[s.startsWith('x')]; gate>end[!s.startsWith('x')]; b>end");
    assert_eq!(
        (report.verdict, report.findings.len()),
        (Verdict::Unknown, 0),
        "{report:#?}"
    );
}

#[test]
fn bound_on_states_is_named() {
    let sketch = "start>fork1; fork1>a; fork1>b; a>c; b>d; c>join1; d>join1; join1>end";
    let param = ProveParam {
        states: 2,
        called: BTreeMap::new(),
        ..ProveParam::default()
    };
    let report = prove_model(&model_json(sketch), &param);
    assert_eq!(report.verdict, Verdict::Unknown, "{report:#?}");
    assert!(report.unknowns[0].why.contains("more than 2 states"), "{report:#?}");
    assert!(!report.searched.is_complete);
}

#[test]
fn tasks_that_cannot_disturb_each_other_are_not_tried_in_every_order() {
    let branch = |name: &str| format!("fork1>{name}1; {name}1>{name}2; {name}2>{name}3; {name}3>join1");
    let sketch = format!(
        "start>fork1; {}; {}; {}; join1>end",
        branch("a"),
        branch("b"),
        branch("c")
    );
    let report = prove(&sketch);
    assert_eq!(report.verdict, Verdict::Sound, "{report:#?}");
    // All orders of the tasks come to 4 * 4 * 4 - 1 states.
    assert!(
        report.searched.states < 20 && report.searched.put_off > 0,
        "{:?}",
        report.searched
    );
}

#[test]
fn number_may_lie_between_two_whole_ones() {
    check(
        "start>a; a>gate; gate>b[n <= 3]; gate>end[n >= 4]; b>end",
        &["Faulty", "condition-gap gate: start {}; commit a {n: 3.5}"],
    );
    check(
        "start>a; a>gate; gate>b[n < m]; gate>c[n > m]; gate>end[n == m]; b>end; c>end",
        &["Sound"],
    );
    check(
        "start>a; a>gate; gate>b[n < m]; gate>end[n > m]; b>end",
        &["Faulty", "condition-gap gate: start {}; commit a {m: -2, n: -2}"],
    );
}

#[test]
fn hook_may_answer_anything() {
    check(
        "start>a; a>hook1; hook1>hook2[n > 3]; hook1>end[n <= 3]; hook2>b[n < 2]; hook2>end[n >= 2]; b>end",
        &["Sound"],
    );
    let report = prove("start>a; a>hook1; hook1>b[n > 3]; hook1>end[n < 3]; b>end");
    let words: Vec<String> = report.findings.iter().map(|finding| finding.script.words()).collect();
    assert_eq!(words, ["start {}; commit a {} (the hook at hook1 answers {n: 3})"]);
}

#[test]
fn long_models_are_looked_at_up_to_a_bound() {
    let chain = |tasks: usize| {
        let way = |task: usize| format!("t{}>t{task}", task - 1);
        let ways: Vec<String> = (1..tasks).map(way).collect();
        let last = tasks - 1;
        format!(
            "start>t0; {}; t{last}>gate; gate>end[n > 1]; gate>t0[n <= 1]",
            ways.join("; ")
        )
    };
    assert_eq!(prove(&chain(400)).verdict, Verdict::Sound);
    let report = prove(&chain(3_000));
    assert_eq!((report.verdict, report.unknowns.len()), (Verdict::Unknown, 1));
}

#[test]
fn conflict_that_a_join_refuses_for_ever_is_a_livelock() {
    // What the second branch must bring to get to the join is neither what the fork had nor what the first one brought.
    let model = "start>fork1; fork1>a; a>join1; fork1>b; b>c; c>gate; gate>b[n > 1]; gate>join1[default]; join1>end";
    check(model, &["Sound"]);
    check(
        &format!("{model}; join1: dataConflict=fail"),
        &[
            "Faulty",
            "livelock b c: start {n: 2}; commit b {}; commit a {n: 3}; commit c {n: 2}; commit b {}",
        ],
    );
}
