//! The test kit for models: what it finds, that what it finds is minimal, and that a seed gives one run.

use flowledger::testing::{FlowTest, Invariant, Script, ScriptStep, TestError, Values, Words};
use flowledger::{InstanceData, Value};
use flowledger_tests::sketch::flow;

fn model(sketch: &str) -> String {
    flow("main", sketch).flow_model.to_string()
}

fn broken(test: &FlowTest) -> flowledger::testing::Broken {
    match test.run() {
        Err(TestError::Broken(broken)) => *broken,
        other => panic!("{other:?}"),
    }
}

const PAYMENT: &str = "start -> ask -> gate; gate -(amount > 1000)-> approve -> pay; gate -(default)-> pay; pay -> end";

/// Whoever goes round changes the amount after it was looked at.
const GAP: &str =
    "start -> ask -> gate; gate -(amount > 1000)-> approve -> pay; gate -(default)-> edit -> pay; pay -> end";

fn unapproved(test: FlowTest) -> FlowTest {
    test.never("much is paid without approval", |now| {
        now.is_at("pay") && now.number("amount") > Some(1000.0) && now.visits("approve") == 0
    })
}

#[test]
fn sound_model_keeps_its_invariant_and_a_gap_is_found_with_the_shortest_way() {
    let ran = unapproved(FlowTest::new(&model(PAYMENT))).check();
    assert_eq!(ran.runs, 256);
    assert!(ran.records > 500, "{ran:?}");
    let found = broken(&unapproved(FlowTest::new(&model(GAP))));
    let steps: Vec<String> = found.script.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps.len(), 3, "{found}");
    assert!(
        steps[0] == "start" && steps[1].starts_with("commit ask amount="),
        "{found}"
    );
    assert_eq!(steps[2], "commit edit amount=1001", "{found}");
    assert!(
        found.to_string().contains("it waits at pay, with amount=1001"),
        "{found}"
    );
}

#[test]
fn nothing_can_be_left_out_of_what_is_found_and_the_same_seed_finds_the_same() {
    for seed in 0..10 {
        let test = unapproved(FlowTest::new(&model(GAP))).seed(seed).words(Words {
            rollback: 10,
            restart: 5,
            ..Words::default()
        });
        let found = broken(&test);
        assert_eq!(broken(&test).script, found.script, "seed {seed}");
        let again = test.play(&found.script).expect_err("it breaks");
        assert!(matches!(again, TestError::Broken(again) if again.invariant == found.invariant));
        for place in 0..found.script.steps.len() {
            let mut shorter = found.script.clone();
            shorter.steps.remove(place);
            test.play(&shorter)
                .unwrap_or_else(|error| panic!("seed {seed}, step {place} is not needed: {error}"));
        }
        let saved = serde_json::to_string(&found.script).expect("JSON");
        let read: Script = serde_json::from_str(&saved).expect("a script");
        assert_eq!(read, found.script);
    }
}

#[test]
fn every_kind_of_invariant_is_broken_by_a_model_that_breaks_it() {
    let line = FlowTest::new(&model("start -> ask -> check -> end"));
    let name = |test: FlowTest| broken(&test).invariant.to_string();
    assert_eq!(
        name(line.clone().always("never done", |now| !now.is_completed())),
        "never done"
    );
    assert_eq!(
        name(
            line.clone()
                .eventually("checked soon", 1, |now| now.visits("check") > 0)
        ),
        "checked soon"
    );
    line.clone()
        .eventually("checked", 2, |now| now.visits("check") > 0 || now.visits("ask") == 0)
        .words(Words::COMMITS)
        .check();
    assert_eq!(
        name(line.clone().leads_to(
            "checked at once",
            0,
            |now| now.visits("ask") > 0,
            |now| now.visits("check") > 0
        )),
        "checked at once"
    );
    let soon = line.clone().words(Words::COMMITS);
    soon.leads_to(
        "checked next",
        1,
        |now| now.visits("ask") > 0,
        |now| now.visits("check") > 0,
    )
    .check();
    assert_eq!(
        name(line.clone().four_eyes("ask", "check")),
        "ask and check are done by different people"
    );
    let ends = FlowTest::new(&model(
        "start -> ask -> gate; gate -(amount > 10)-> one -> end; gate -(amount < 10)-> end2",
    ));
    let failed = broken(&ends.no_commit_fails());
    assert!(failed.script.steps.len() == 2, "{failed}");
    let terminated = line.with(Invariant::never("it is terminated", |now| now.status().number() == 3));
    assert_eq!(broken(&terminated).script.steps.len(), 2);
}

#[test]
fn values_are_those_at_which_a_condition_changes() {
    let text = model(
        "start -> ask -> gate; gate -(amount > 100 && country == 'NL' && order.total >= 2.5 && ok)-> end; gate -(default)-> end2",
    );
    let values = Values::of([&*text]).with("extra", [Value::from(7)]);
    let told = |key: &str| -> Vec<String> { values.of_variable(key).iter().map(ToString::to_string).collect() };
    assert_eq!(told("amount"), ["100", "101", "99"]);
    assert_eq!(told("country"), ["\"NL\"", "\"NL-\""]);
    assert_eq!(told("order"), ["{\"total\":2.5}", "{\"total\":3.5}", "{\"total\":1.5}"]);
    assert_eq!(told("ok"), ["true", "false"]);
    assert_eq!(told("extra"), ["7"]);
}

#[test]
fn examples_read_as_given_when_then() {
    let test = FlowTest::new(&model(PAYMENT));
    test.given_start([("who", "Lin")])
        .when_commit("ask", [("amount", 2000)])
        .then_waits_at(["approve"])
        .then_data("amount", 2000)
        .when_rollback("approve")
        .then_waits_at(["ask"])
        .when_commit("ask", [("amount", 1)])
        .when_committed_by("pay", "ann")
        .then_completed()
        .then_code(1000);
    let wrong = std::panic::catch_unwind(|| {
        FlowTest::new(&model(PAYMENT))
            .given_start([("who", "Lin")])
            .when_commit("ask", [("amount", 2000)])
            .then_waits_at(["pay"]);
    });
    let panic = wrong.expect_err("it waits elsewhere");
    let told = panic.downcast_ref::<String>().expect("a text");
    assert!(
        told.contains("then it waits at pay") && told.contains("it waits at approve"),
        "{told}"
    );
    let astray = std::panic::catch_unwind(|| {
        FlowTest::new(&model(PAYMENT))
            .given_start([("who", "Lin")])
            .when_commit("nowhere", [("amount", 1)])
            .then_waits_at(["ask"]);
    });
    assert!(
        astray.is_err(),
        "a command that finds no task is not passed over in an example"
    );
}

#[test]
fn flows_that_are_called_are_run_by_name_and_by_the_commit() {
    let sub = model("start -> inner -> end");
    let named = model("start -> call[callActivityFlowModuleId=sub] -> after -> end");
    for outer in [named, model("start -> call -> after -> end")] {
        let test = FlowTest::new(&outer)
            .called("sub", &sub)
            .words(Words::COMMITS)
            .commands(4);
        let found = broken(&test.never("it is past the call", |now| now.is_at("after")));
        let steps: Vec<String> = found.script.steps.iter().map(ToString::to_string).collect();
        assert_eq!(steps.len(), 3, "{found}");
        assert!(steps[2].starts_with("commit inner"), "{found}");
    }
}

#[test]
fn hooks_answer_as_the_author_says() {
    let text = model("start -> ask -> gate[hookInfoIds=h]; gate -(rate > 5)-> high -> end; gate -(default)-> end2");
    let asked = FlowTest::new(&text).hook_fn(|_| vec![InstanceData::new("rate", 6)]);
    let found = broken(&asked.words(Words::COMMITS).never("it is high", |now| now.is_at("high")));
    assert_eq!(found.script.steps.len(), 2);
    let low = FlowTest::new(&text).hook_fn(|_| vec![InstanceData::new("rate", 5)]);
    low.never("it is high", |now| now.is_at("high")).check();
}

#[test]
fn model_that_does_not_deploy_is_an_error_with_its_code() {
    let error = FlowTest::new("{}").run().expect_err("no model");
    assert!(
        matches!(&error, TestError::Engine(error) if (3000..3300).contains(&error.err_code())),
        "{error}"
    );
    let steps = vec![ScriptStep::Unknown];
    let ran = FlowTest::new(&model("start -> ask -> end"))
        .play(&Script { steps })
        .expect("nothing to break");
    assert_eq!(ran.records, 0);
}

#[test]
fn coverage_tells_what_runs_have_come_to_and_what_not() {
    let sketch = "start -> ask -> gate; gate -(amount > 1000)-> approve -> pay; gate -(default)-> pay; pay -> end";
    let (ran, coverage) = FlowTest::new(&model(sketch)).cover().expect("nothing to break");
    assert_eq!(ran.runs, 256);
    assert_eq!(coverage.missing(), Vec::<String>::new(), "{coverage}");
    assert_eq!(
        (
            coverage.elements().of,
            coverage.sequence_flows().of,
            coverage.conditions().of
        ),
        (6, 6, 2)
    );
    assert!(coverage.rollbacks().part() >= 1.0);
    let dead = "start -> ask -> gate; gate -(amount > 10 && amount < 5)-> never -> end; gate -(default)-> end2";
    let (_, commits) = FlowTest::new(&model(dead))
        .words(Words::COMMITS)
        .cover()
        .expect("nothing to break");
    let missing = commits.missing();
    for line in [
        "never was never visited",
        "the condition of f3 never held",
        "ask was never rolled back",
    ] {
        assert!(missing.iter().any(|missing| missing == line), "{line} in {missing:?}");
    }
    assert_eq!(commits.elements().covered + 2, commits.elements().of, "{commits}");
    let mut merged = commits.clone();
    merged.merge(&commits);
    assert_eq!(
        (merged.missing(), merged.conditions()),
        (commits.missing(), commits.conditions())
    );
    let picture = commits.draw("dead", flowledger::DrawOptions::default()).expect("drawn");
    assert!(picture.contains("never come to"));
}

#[test]
fn mutation_score_tells_a_test_that_notices_from_one_that_does_not() {
    let test = unapproved(FlowTest::new(&model(PAYMENT)))
        .words(Words::COMMITS)
        .cases(100);
    let score = test.mutation_score().expect("the model is sound");
    assert_eq!(score.mutants.len() + score.refused, 4, "{score:?}");
    let killed: Vec<&str> = score
        .mutants
        .iter()
        .filter(|mutant| mutant.broken.is_some())
        .map(|mutant| &*mutant.change)
        .collect();
    assert_eq!(killed, ["the condition of f3 is turned round"], "{score:?}");
    let survivors: Vec<&str> = score.survivors().map(|mutant| &*mutant.change).collect();
    assert_eq!((survivors, score.refused), (vec!["f5 is left out"], 2));
    let blind = FlowTest::new(&model(PAYMENT)).words(Words::COMMITS).cases(20);
    assert_eq!(blind.mutation_score().expect("sound").killed(), 0);
}

#[test]
fn command_without_a_record_may_be_answered_otherwise_when_it_is_repeated() {
    let steps = vec![
        ScriptStep::Start {
            variables: Vec::new(),
            by: None,
        },
        ScriptStep::Stale { task: "ask".into() },
        ScriptStep::Commit {
            task: "ask".into(),
            variables: Vec::new(),
            calls: None,
            by: None,
        },
        ScriptStep::Stale { task: "check".into() },
        ScriptStep::Concurrent {
            task: "check".into(),
            one: Vec::new(),
            other: Vec::new(),
        },
        ScriptStep::Repeat,
    ];
    let ran = FlowTest::new(&model("start -> ask -> check -> end"))
        .play(&Script { steps })
        .expect("nothing to break");
    assert_eq!((ran.commands, ran.records), (6, 3));
}
