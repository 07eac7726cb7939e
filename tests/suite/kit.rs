//! The test kit for models: what it finds, that what it finds is minimal, and that a seed gives one run.

use std::collections::BTreeSet;

use flowledger::analysis::report::FindingKind;
use flowledger::testing::{FlowTest, Invariant, Properties, Script, ScriptStep, TestError, Values, Words, models};
use flowledger::{InstanceData, Profile, ProveParam, Value, prove_model, validate_model};
use flowledger_tests::dice::Dice;
use flowledger_tests::generate::{cases, seeded};
use flowledger_tests::model_mutation::{Mutation, mutated, mutations};
use flowledger_tests::sketch::flow;

use crate::prove::examples;

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

#[test]
fn random_models_deploy_keep_to_their_size_and_let_every_branch_come_to_its_join() {
    let mut seen = BTreeSet::new();
    for seed in 0..u64::from(cases(40)) {
        let most = 1 + usize::try_from(seed % 8).expect("small");
        let text = seeded(&models(most), seed);
        let found = validate_model(&text, Profile::Documented);
        assert!(found.is_valid(), "seed {seed}: {:?}\n{text}", found.faults);
        let model: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let types: Vec<i64> = model["flowElementList"]
            .as_array()
            .expect("elements")
            .iter()
            .filter_map(|element| element["type"].as_i64())
            .collect();
        assert!(types.iter().filter(|kind| **kind == 4).count() <= most, "seed {seed}");
        seen.extend(types);
        let report = prove_model(&text, &ProveParam::default());
        for finding in &report.findings {
            // Conditions are drawn, so branches may overlap or never be taken.
            let is_of_conditions = matches!(
                finding.kind,
                FindingKind::ConditionOverlap | FindingKind::DeadElement | FindingKind::Livelock
            );
            assert!(
                is_of_conditions,
                "seed {seed}: {} {:?}\n{text}",
                finding.kind, finding.elements
            );
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 6, 9, 10]);
}

/// Random models with something that does not hold: a task that must not be done, an end that must not come, or a fault.
fn broken_tests(seed: u64) -> Vec<FlowTest> {
    let mut dice = Dice::new(seed);
    let drawn = seeded(&models(8), seed);
    let tasks: Vec<String> = serde_json::from_str::<serde_json::Value>(&drawn).expect("JSON")["flowElementList"]
        .as_array()
        .expect("elements")
        .iter()
        .filter(|element| element["type"] == 4)
        .map(|element| element["key"].as_str().expect("a key").to_owned())
        .collect();
    let (one, other) = (
        tasks[dice.index(tasks.len())].clone(),
        tasks[dice.index(tasks.len())].clone(),
    );
    let test = FlowTest::new(&drawn);
    let mut tests = vec![
        test.clone().never("it is not done", move |now| now.visits(&one) > 0),
        test.clone().never("it is not open again", move |now| {
            now.is_at(&other) && now.version() > 3
        }),
        test.clone().never("it does not end", |now| now.status().number() == 1),
        test.never("nobody does two tasks", |now| {
            let done = now.instance().nodes().filter_map(|node| node.operator.clone());
            let done: Vec<_> = done.collect();
            done.len() > done.iter().collect::<BTreeSet<_>>().len()
        }),
    ];
    let model = serde_json::from_str(&drawn).expect("JSON");
    let faults = mutations(&model).into_iter();
    let faults: Vec<Mutation> = faults
        .filter(|fault| !matches!(fault, Mutation::TaskRenamed(_)))
        .collect();
    let fault = mutated(&model, &faults[dice.index(faults.len())]).to_string();
    if validate_model(&fault, Profile::Documented).is_valid() {
        tests.push(FlowTest::new(&fault).with(Invariant::never_stuck()));
        tests.push(FlowTest::new(&fault).with(Invariant::commits_go_on()));
    }
    tests
}

#[test]
fn no_step_of_a_script_can_be_left_out_on_random_broken_models_and_a_seed_tells_the_same() {
    let words = Words {
        rollback: 8,
        rollback_to: 5,
        redo: 3,
        restart: 3,
        wait: 3,
        ..Words::default()
    };
    let mut lengths = Vec::new();
    for seed in 0..u64::from(cases(6)) {
        for test in broken_tests(seed) {
            let test = test.seed(seed).cases(40).words(words);
            let explored = test.explore().expect("it deploys");
            let again = test.explore().expect("it deploys");
            assert_eq!(
                (explored.ran, &explored.coverage),
                (again.ran, &again.coverage),
                "seed {seed}"
            );
            let Some(broken) = explored.broken else {
                assert!(again.broken.is_none(), "seed {seed}");
                continue;
            };
            assert_eq!(again.broken.map(|again| again.to_string()), Some(broken.to_string()));
            assert_eq!(explored.ran.runs, u64::from(broken.case) + 1);
            for place in 0..broken.script.steps.len() {
                let mut shorter = broken.script.clone();
                shorter.steps.remove(place);
                test.play(&shorter)
                    .unwrap_or_else(|error| panic!("seed {seed}, step {place} is not needed: {broken}\n{error}"));
            }
            lengths.push(broken.script.steps.len());
        }
    }
    assert!(
        lengths.len() > 12 && lengths.iter().any(|length| *length > 3),
        "{lengths:?}"
    );
}

#[test]
fn every_faulty_example_is_found_by_a_test_or_a_proof_and_no_sound_one_by_a_test() {
    let test = |model: &str| {
        let (test, _) = FlowTest::new(model).stand_ins();
        test.properties_file(&Properties::default())
            .expect("there is nothing wrong in it")
            .cases(cases(60))
    };
    for (name, model) in examples("sound") {
        test(&model).run().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let mut by_test = Vec::new();
    for (name, model) in examples("faulty") {
        let is_found = test(&model).run().is_err();
        let is_proved = prove_model(&model, &ProveParam::default()).is_proved();
        assert!(is_found || !is_proved, "{name}");
        if is_found {
            by_test.push(name);
        }
    }
    for name in [
        "deadlocked-join",
        "gap-in-numbers",
        "gap-in-words",
        "inclusive-gap",
        "ring-of-gateways",
        "values-of-two-kinds",
    ] {
        assert!(by_test.iter().any(|found| found == name), "{name} in {by_test:?}");
    }
}

#[test]
fn time_passes_in_runs_and_in_scripts() {
    let late = FlowTest::new(&model("start -> ask -> end")).never("it is open for more than a day", |now| {
        let open_for = now.time().millis() - now.instance().last_recorded_at.millis();
        now.is_at("ask") && open_for > 86_400_000
    });
    let steps: Vec<String> = broken(&late).script.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, ["start", "2592000 seconds pass"]);
    let script: Script = serde_json::from_str(
        r#"{"steps": [{"start": {}}, {"wait": {"seconds": 80000}}, {"commit": {"task": "ask"}}]}"#,
    )
    .expect("a script");
    late.play(&script).expect("in time");
    late.given_start([("who", "Lin")])
        .step(ScriptStep::Wait { seconds: 60 })
        .when_committed_by("ask", "ann")
        .then("a minute later", |now| {
            let started = now
                .instance()
                .nodes()
                .next()
                .expect("a start event")
                .created_at
                .millis();
            now.time().millis() - started == 62_000
        });
}

#[test]
fn variables_that_are_compared_with_each_other_have_values_of_one_kind() {
    let text = model(
        "start -> ask -> gate; gate -(amount <= limit && spent > limit)-> end; gate -(n > 3 && m < n && seen)-> end2; gate -(default)-> end3",
    );
    let values = Values::of([&*text]);
    let told = |key: &str| -> Vec<String> { values.of_variable(key).iter().map(ToString::to_string).collect() };
    assert_eq!(
        (told("amount"), told("limit"), told("spent")),
        (
            told("limit"),
            told("spent"),
            vec!["0".to_owned(), "1".to_owned(), "2".to_owned()]
        )
    );
    assert_eq!(told("m"), ["3", "4", "2"]);
    assert_eq!(told("seen"), ["true", "false"]);
    FlowTest::new(&text).with(Invariant::commits_go_on()).check();
}

#[test]
fn commit_that_was_refused_while_another_was_done_has_not_failed_on_its_way() {
    let script: Script = serde_json::from_str(
        r#"{"steps": [{"start": {}}, {"concurrent": {"task": "ask", "one": {"n": 1}, "other": {"n": 2}}}]}"#,
    )
    .expect("a script");
    let test = FlowTest::new(&model("start -> ask -> end")).no_commit_fails();
    let ran = test.play(&script).expect("one is done, the other refused");
    assert_eq!(ran.records, 2);
}
