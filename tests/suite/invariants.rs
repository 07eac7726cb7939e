//! Invariants that a model carries: that the kit finds what breaks them, and what it means to break them.

use flowledger::invariant::Invariant;
use flowledger::testing::{FlowTest, TestError, Values, Words};
use flowledger_tests::sketch::flow;
use serde_json::{Value, json};

/// A model with what must hold of its instances.
fn model(sketch: &str, invariants: Value) -> String {
    let mut model = flow("main", sketch).flow_model;
    model["invariants"] = invariants;
    model.to_string()
}

fn broken(test: &FlowTest) -> flowledger::testing::Broken {
    match test.run() {
        Err(TestError::Broken(broken)) => *broken,
        other => panic!("{other:?}"),
    }
}

const PAYMENT: &str = "start -> ask -> gate; gate -(amount > 1000)-> approve -> pay; gate -(default)-> pay; pay -> end";
/// Somebody can change the amount behind the gateway.
const GAP: &str =
    "start -> ask -> gate; gate -(amount > 1000)-> approve -> pay; gate -(default)-> edit -> pay; pay -> end";

fn approved() -> Value {
    json!([{"name": "approved", "never": "'pay' in waits && amount > 1000 && visits.approve == 0"}])
}

#[test]
fn kit_looks_at_the_models_own_invariants_without_being_told() {
    FlowTest::new(&model(PAYMENT, approved())).check();
    let test = FlowTest::new(&model(GAP, approved()));
    let found = broken(&test);
    assert_eq!(&*found.invariant, "approved");
    let steps: Vec<String> = found.script.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps.len(), 3, "{found}");
    assert_eq!(steps[2], "commit edit amount=1001");
    assert_eq!(broken(&test).script, found.script, "the same seed finds the same");
    let closure = FlowTest::new(&model(GAP, json!([]))).never("approved", |now| {
        now.is_at("pay") && now.number("amount") > Some(1000.0) && now.visits("approve") == 0
    });
    assert_eq!(broken(&closure).script, found.script, "as the same invariant in Rust");
    let score = FlowTest::new(&model(PAYMENT, approved()))
        .mutation_score()
        .expect("sound");
    assert!(score.killed() > 0, "{score:?}");
}

#[test]
fn invariants_given_as_data_are_looked_at_beside_those_of_the_model() {
    let given: Vec<Invariant> = serde_json::from_value(approved()).expect("invariants");
    let test = FlowTest::new(&model(GAP, json!([])))
        .properties(&given)
        .expect("they compile");
    assert_eq!(&*broken(&test).invariant, "approved");
    let wrong: Vec<Invariant> = serde_json::from_value(json!([{"name": "n", "never": "a >"}])).expect("invariants");
    let errors = FlowTest::new(&model(GAP, json!([])))
        .properties(&wrong)
        .err()
        .expect("an error");
    assert_eq!(errors.len(), 1);
}

#[test]
fn every_rule_is_broken_by_a_model_that_breaks_it() {
    let line = "start -> ask -> check -> end";
    for (rule, is_broken) in [
        (json!({"always": "status != 'completed'"}), true),
        (json!({"always": "status == 'running' || status == 'completed'"}), false),
        (json!({"eventually": "visits.check > 0", "within": 1}), true),
        (json!({"eventually": "visits.check > 0", "within": 2}), false),
        (json!({"whenever": "visits.ask > 0", "then": "visits.check > 0"}), true),
        (
            json!({"whenever": "visits.ask > 0", "then": "visits.check > 0", "within": 1}),
            false,
        ),
        (json!({"differentOperators": ["ask", "check"]}), true),
        (json!({"differentOperators": ["ask", "nowhere"]}), false),
        (json!({"never": "absent > 3"}), true),
        (json!({"always": "absent > 3"}), true),
        (json!({"always": "absent"}), true),
        (json!({"always": "unset.member == 3 || true"}), false),
        (json!({"always": "status + 1"}), true),
    ] {
        let mut rule = rule;
        rule["name"] = "n".into();
        let test = FlowTest::new(&model(line, json!([rule.clone()]))).words(Words::COMMITS);
        assert_eq!(test.run().is_err(), is_broken, "{rule}: {:?}", test.run());
    }
}

#[test]
fn values_of_invariants_are_tried() {
    let text = model(
        "start -> ask -> end",
        json!([
            {"name": "a", "never": "amount > 1000 && variables.country == 'NL' && visits.ask == 3 && ok"},
            {"name": "b", "always": "variables.amount != null"},
        ]),
    );
    let values = Values::of([&*text]);
    let told = |key: &str| -> Vec<String> { values.of_variable(key).iter().map(ToString::to_string).collect() };
    assert_eq!(told("amount"), ["1000", "1001", "999"]);
    assert_eq!(told("country"), ["\"NL\"", "\"NL-\""]);
    assert_eq!(told("ok"), ["true", "false"]);
    assert!(told("visits").is_empty() && told("variables").is_empty());
}

#[test]
fn invariants_of_a_called_flow_are_about_each_call() {
    let called = model(
        "start -> look -> end",
        json!([{"name": "looked at once", "never": "visits.look > 1"}, {"name": "in time", "eventually": "status == 'completed'", "within": 1}]),
    );
    let outer = model("start -> call1 -> call2 -> end", json!([]));
    let calling = |called: &str| FlowTest::new(&outer).called("sub", called).words(Words::COMMITS);
    calling(&called).check();
    let longer = called.replace("\"within\":1", "\"within\":0");
    assert_eq!(&*broken(&calling(&longer)).invariant, "in time");
    let own = model(
        "start -> call1 -> call2 -> end",
        json!([{"name": "looked at once", "never": "visits.look > 1"}]),
    );
    let whole = FlowTest::new(&own).called("sub", &called).words(Words::COMMITS);
    assert_eq!(
        &*broken(&whole).invariant,
        "looked at once",
        "the instance has both calls"
    );
}

#[test]
fn model_with_a_bad_invariant_does_not_deploy() {
    for invariants in [
        json!({}),
        json!([{"name": "n"}]),
        json!([{"name": "n", "never": "a >"}]),
    ] {
        let error = FlowTest::new(&model(PAYMENT, invariants))
            .run()
            .expect_err("it does not deploy");
        assert!(matches!(error, TestError::Engine(error) if error.err_code() == 3217));
    }
}
