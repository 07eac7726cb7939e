//! Invariants that a model carries: that the kit finds what breaks them, and what it means to break them.

use std::collections::BTreeMap;

use flowledger::invariant::{Invariant, Moment, compile_all};
use flowledger::store::Store;
use flowledger::testing::{FlowTest, TestError, Values, Words};
use flowledger::{
    Actor, AnyRecord, BlockingEngine, CommitTaskParam, DeployModel, Engine, EngineError, FlowDeployId, FlowInstanceId,
    FlowModuleId, ForkParam, GetFlowModuleParam, InstanceQuery, LifecycleParam, ModelLimits, NodeInstanceId,
    ProveParam, RedoRollbackParam, ResultCode, RollbackTaskParam, StartProcessParam, TerminateProcessParam,
    prove_model,
};
use flowledger_engine_core::decider::Decider;
use flowledger_engine_core::event::{InstanceCommand, InstanceEvent};
use flowledger_engine_core::instance::{FlowInstance, FlowStatus};
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::model::parse::parse;
use flowledger_tests::dice::Dice;
use flowledger_tests::differential::{SameAnswers, drive};
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{Case, cases, going_back_case, seeded};
use flowledger_tests::scenario::{Profile, Session};
use flowledger_tests::sketch::flow;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{LINE, engine_on, log, memory, opened, started, told};

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
fn kit_and_proof_agree_on_the_examples() {
    for (name, is_sound) in [
        ("faulty/amount-changed-behind-the-gate", false),
        ("faulty/sent-before-it-is-paid", false),
        ("sound/approved-amounts", true),
        ("sound/sent-when-it-is-paid", true),
    ] {
        let path = format!("{}/../examples/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).expect("there");
        let ran = FlowTest::new(&text).words(Words::COMMITS).run();
        assert_eq!(ran.is_ok(), is_sound, "{name}: {ran:?}");
        assert_eq!(
            prove_model(&text, &ProveParam::default()).is_proved(),
            is_sound,
            "{name}"
        );
    }
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

/// An engine that enforces invariants, on a store.
fn enforcing(store: &Store) -> BlockingEngine {
    opened(Engine::builder().store(store.clone()).enforce_invariants(true))
}

fn deploy(engine: &BlockingEngine, key: &str, model: &str) -> FlowModuleId {
    let deployed = engine.deploy_model(DeployModel::new(key, model));
    deployed.expect("the flow deploys").flow_module_id
}

/// The open task of an element, in called flows too.
fn task(engine: &BlockingEngine, instance: &FlowInstanceId, key: &str) -> NodeInstanceId {
    let mut state = FlowInstance::default();
    for record in engine.instance_records(instance.clone()).expect("told") {
        if let AnyRecord::Instance(record) = record.record {
            state.apply_record(&record);
        }
    }
    let tasks = state.active_tasks().into_iter();
    let mut open = tasks.filter(|task| &*task.key == key);
    open.next()
        .unwrap_or_else(|| panic!("no task waits at {key}"))
        .id
        .clone()
}

fn commit(engine: &BlockingEngine, instance: &FlowInstanceId, key: &str) -> CommitTaskParam {
    CommitTaskParam::new(instance, &task(engine, instance, key))
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(answer: Result<T, EngineError>, name: &str) -> EngineError {
    let error = answer.expect_err("it breaks an invariant");
    assert_eq!(error.code().number(), 7414, "{error}");
    assert_eq!(error.about().invariant.as_deref(), Some(name));
    assert!(error.detail().contains(name), "{error}");
    error
}

#[test]
fn commit_that_would_break_an_invariant_is_refused_and_leaves_nothing() {
    let store = memory();
    let engine = enforcing(&store);
    let module = deploy(&engine, "payment", &model(GAP, approved()));
    let (instance, _) = started(&engine, &module);
    engine
        .commit_task(commit(&engine, &instance, "ask").variable("amount", 5))
        .expect("committed");
    let before = (log(&engine).len(), told(&engine, &instance));
    let edit = commit(&engine, &instance, "edit").command_id("edit");
    let error = is_refused(engine.commit_task(edit.clone().variable("amount", 2000)), "approved");
    assert!(error.detail().contains("it is so that 'pay' in waits"), "{error}");
    let envelope = serde_json::to_value(error.envelope()).expect("JSON");
    assert_eq!(
        (&envelope["errCode"], &envelope["invariant"]),
        (&json!(7414), &json!("approved"))
    );
    assert_eq!(envelope["activeTaskInstance"]["modelKey"], "edit");
    assert_eq!((log(&engine).len(), told(&engine, &instance)), before);
    assert_eq!(log(&engine_on(&store)).len(), before.0, "nor in the store");
    // The same command with another amount is another command: nothing was remembered of the first.
    engine
        .commit_task(edit.clone().variable("amount", 900))
        .expect("committed");
    let again = engine
        .commit_task(edit.variable("amount", 900))
        .expect("answered as before");
    assert_eq!(again.err_code, 1002);
}

#[test]
fn start_that_would_break_an_invariant_leaves_nothing() {
    let engine = enforcing(&memory());
    let invariants = json!([{"name": "no debt", "always": "amount >= 0"}]);
    let module = deploy(&engine, "payment", &model(PAYMENT, invariants));
    let before = log(&engine).len();
    let start = StartProcessParam::of_module(module);
    is_refused(engine.start_process(start.clone().variable("amount", -1)), "no debt");
    assert_eq!(log(&engine).len(), before);
    engine
        .start_process(start.clone().variable("amount", 0))
        .expect("started");
    engine
        .start_process(start.clone())
        .expect("what is not set breaks nothing");
    is_refused(engine.start_process(start.variable("amount", "none")), "no debt");
}

#[test]
fn nothing_is_enforced_unless_asked_for() {
    let engine = engine_on(&memory());
    let module = deploy(&engine, "payment", &model(GAP, approved()));
    let (instance, _) = started(&engine, &module);
    engine
        .commit_task(commit(&engine, &instance, "ask").variable("amount", 5))
        .expect("committed");
    engine
        .commit_task(commit(&engine, &instance, "edit").variable("amount", 2000))
        .expect("committed");
}

#[test]
fn operators_of_two_tasks_must_differ() {
    let engine = enforcing(&memory());
    let invariants = json!([{"name": "four eyes", "differentOperators": ["ask", "check"]}]);
    let module = deploy(&engine, "line", &model(LINE, invariants));
    let (instance, _) = started(&engine, &module);
    let by = |key: &str, operator: Option<&str>| {
        let mut commit = commit(&engine, &instance, key);
        commit.options.actor = operator.map(|operator| Actor {
            operator: Some(operator.into()),
            ..Actor::default()
        });
        engine.commit_task(commit)
    };
    by("ask", Some("ann")).expect("committed");
    let error = is_refused(by("check", Some("ann")), "four eyes");
    assert!(error.detail().contains("ann committed ask and check"), "{error}");
    by("check", Some("ben")).expect("committed");
}

/// Two branches, of which the second must not be ahead.
fn ahead() -> String {
    model(
        "start -> fork -> a -> a2 -> join -> end; fork -> b -> b2 -> join",
        json!([{"name": "a before b", "never": "visits.b > 0 && visits.a == 0"}]),
    )
}

#[test]
fn people_can_always_correct_and_only_what_mends_goes_on() {
    let engine = enforcing(&memory());
    let module = deploy(&engine, "ahead", &ahead());
    let start = engine
        .start_process(StartProcessParam::of_module(module))
        .expect("started");
    let instance = start.flow_instance_id.clone().expect("an instance");
    is_refused(engine.commit_task(commit(&engine, &instance, "b")), "a before b");
    engine.commit_task(commit(&engine, &instance, "a")).expect("committed");
    engine.commit_task(commit(&engine, &instance, "b")).expect("committed");
    // Back over what the other branch was waiting for: never refused, though it breaks the invariant.
    engine
        .rollback_task(RollbackTaskParam::new(&instance, &task(&engine, &instance, "a2")))
        .expect("rolled back");
    is_refused(engine.commit_task(commit(&engine, &instance, "b2")), "a before b");
    let held = LifecycleParam::new(&instance, "to look");
    engine.suspend_instance(held.clone()).expect("suspended");
    engine.resume_instance(held.clone()).expect("resumed");
    engine.abort_instance(held.clone()).expect("aborted");
    engine.restore_instance(held).expect("restored");
    engine.redo_rollback(RedoRollbackParam::new(&instance)).expect("redone");
    engine
        .rollback_task(RollbackTaskParam::new(&instance, &task(&engine, &instance, "a2")))
        .expect("rolled back");
    engine
        .commit_task(commit(&engine, &instance, "a"))
        .expect("what mends it is done");
    engine.commit_task(commit(&engine, &instance, "b2")).expect("committed");
    engine
        .terminate_process(TerminateProcessParam::new(&instance))
        .expect("terminated");
}

#[test]
fn commit_that_fails_on_its_way_is_recorded_as_ever() {
    let engine = enforcing(&memory());
    let text = model(
        "start -> ask -> gate; gate -(amount > 3)-> end",
        json!([{"name": "asked once", "never": "visits.ask > 0 && amount <= 3"}]),
    );
    let module = deploy(&engine, "gap", &text);
    let (instance, _) = started(&engine, &module);
    let failed = engine.commit_task(commit(&engine, &instance, "ask").variable("amount", 1));
    assert_eq!(failed.expect_err("no way on").code().number(), 4013);
    assert_eq!(engine.instance_records(instance).expect("told").len(), 2);
}

#[test]
fn what_takes_time_is_not_enforced() {
    let engine = enforcing(&memory());
    let invariants = json!([
        {"name": "done at once", "eventually": "status == 'completed'", "within": 0},
        {"name": "checked at once", "whenever": "visits.ask > 0", "then": "visits.check > 0"},
    ]);
    let module = deploy(&engine, "line", &model(LINE, invariants));
    let (instance, _) = started(&engine, &module);
    engine
        .commit_task(commit(&engine, &instance, "ask"))
        .expect("committed");
}

#[test]
fn flows_that_call_and_are_called_are_both_looked_at() {
    let engine = enforcing(&memory());
    let called = model(
        "start -> look -> check -> end",
        json!([{"name": "little", "never": "amount > 10"}, {"name": "ends", "never": "status == 'completed' && amount == 7"}]),
    );
    let called = deploy(&engine, "sub", &called);
    let outer = model(
        &format!("start -> ask -> call[callActivityFlowModuleId={called}] -> after -> end"),
        json!([{"name": "looked at once", "never": "visits.look > 0 && 'check' in waits && amount == 3"}]),
    );
    let module = deploy(&engine, "main", &outer);
    let (instance, _) = started(&engine, &module);
    engine
        .commit_task(commit(&engine, &instance, "ask").variable("amount", 50))
        .expect("not its invariant");
    let error = is_refused(engine.commit_task(commit(&engine, &instance, "call")), "little");
    assert!(error.detail().contains("of the flow that call calls"), "{error}");
    engine
        .rollback_task(RollbackTaskParam::new(&instance, &task(&engine, &instance, "call")))
        .expect("rolled back");
    engine
        .commit_task(commit(&engine, &instance, "ask").variable("amount", 5))
        .expect("committed");
    engine
        .commit_task(commit(&engine, &instance, "call"))
        .expect("committed");
    let look = |amount: i64| engine.commit_task(commit(&engine, &instance, "look").variable("amount", amount));
    is_refused(look(11), "little");
    is_refused(look(3), "looked at once");
    look(4).expect("committed");
    let check = |amount: i64| engine.commit_task(commit(&engine, &instance, "check").variable("amount", amount));
    is_refused(check(7), "ends");
    check(8).expect("committed");
    engine
        .commit_task(commit(&engine, &instance, "after").variable("amount", 7))
        .expect("the call is over");
}

#[test]
fn forks_enforce_as_their_engine_does_and_repeat_what_was_recorded_before() {
    let store = memory();
    let engine = engine_on(&store);
    let module = deploy(&engine, "payment", &model(GAP, approved()));
    let (instance, _) = started(&engine, &module);
    engine
        .commit_task(commit(&engine, &instance, "ask").variable("amount", 5))
        .expect("committed");
    engine
        .commit_task(commit(&engine, &instance, "edit").variable("amount", 2000))
        .expect("committed");
    let engine = enforcing(&store);
    let fork = engine
        .fork(ForkParam::new(InstanceQuery::new(instance.clone()).as_of(2)))
        .expect("forked");
    let replay = pollster::block_on(fork.replay()).expect("replayed");
    assert_eq!((replay.equal, replay.difference), (1, None));
    let fork = engine
        .fork(ForkParam::new(InstanceQuery::new(instance.clone()).as_of(2)))
        .expect("forked");
    let what_if = fork.engine().blocking();
    let edit = commit(&what_if, &instance, "edit").variable("amount", 2000);
    is_refused(what_if.commit_task(edit), "approved");
}

#[test]
fn why_not_tells_which_invariant_is_in_the_way() {
    let text = model(
        "start -> ask -> gate; gate -(amount > 1000)-> pay -> end; gate -(default)-> end2",
        json!([{"name": "little is paid", "never": "'pay' in waits && amount > 100"}]),
    );
    for enforces in [true, false] {
        let engine = opened(Engine::builder().store(memory()).enforce_invariants(enforces));
        let module = deploy(&engine, "payment", &text);
        let (instance, _) = started(&engine, &module);
        engine
            .commit_task(commit(&engine, &instance, "ask").variable("amount", 5))
            .expect("committed");
        let answer = engine.why_not(&instance, "pay").expect("told");
        assert_eq!(answer.change.is_none(), enforces);
        let names: Vec<&str> = answer.refused_by.iter().map(|name| &**name).collect();
        assert_eq!(names, if enforces { vec!["little is paid"] } else { vec![] });
    }
}

/// Gives the flows of a case invariants of which some are broken now and then; they know nothing of each other.
fn with_invariants(case: &mut Case, dice: &mut Dice) {
    for flow in &mut case.flows {
        let elements = flow.flow_model["flowElementList"].as_array().expect("elements");
        let tasks: Vec<String> = elements
            .iter()
            .filter(|element| element["type"] == 4)
            .map(|element| element["key"].as_str().unwrap_or_default().to_owned())
            .collect();
        if tasks.is_empty() {
            continue;
        }
        let mut rules = Vec::new();
        for number in 0..=dice.below(3) {
            let (one, other) = (&tasks[dice.index(tasks.len())], &tasks[dice.index(tasks.len())]);
            let (kind, text) = match dice.below(8) {
                0 => ("never", format!("visits.{one} > 1")),
                1 => ("never", format!("'{one}' in waits && visits['{other}'] > 0")),
                2 => ("always", format!("visits.{one} >= visits.{other}")),
                3 => ("never", "a > 5 && variables.s == 'x'".to_owned()),
                4 => (
                    "always",
                    "waits.size() <= 2 && (variables.b == null || b < 7)".to_owned(),
                ),
                5 => ("never", format!("status == 'completed' && visits.{one} == 0")),
                6 => ("never", format!("visits.{one} > 0 && operators.{one}.isEmpty() && ok")),
                _ => ("always", "status != 'suspended' && d != 100".to_owned()),
            };
            rules.push(json!({ "name": format!("rule {number}"), kind: text }));
        }
        flow.flow_model["invariants"] = json!(rules);
    }
}

/// The model of a deployment.
fn model_of(engine: &BlockingEngine, deployment: &FlowDeployId) -> FlowModel {
    let module = engine.get_flow_module(GetFlowModuleParam::of_deployment(deployment));
    let text = module.expect("told").flow_model.expect("a model");
    parse(&text, &ModelLimits::default()).expect("a model")
}

/// Whether an invariant is broken that a command had to keep, in the state behind it.
fn is_broken(engine: &BlockingEngine, before: &FlowInstance, after: &FlowInstance) -> bool {
    after.flows().any(|(index, flow)| {
        let has_ended_before = before
            .flow(index)
            .is_some_and(|flow| flow.status != FlowStatus::Running);
        let model = model_of(engine, &flow.flow_deploy_id);
        let moment = Moment::new(after, index, &model);
        let invariants = compile_all(model.invariants()).expect("they compile");
        flow.status != FlowStatus::Terminated
            && !has_ended_before
            && invariants
                .iter()
                .any(|invariant| invariant.broken_at(&moment).is_some())
    })
}

/// Runs a case without enforcing, as the naive interpreter, which knows no invariants; then gives every start and every commit
/// to a fork that enforces, in the state in which it was given. How many were refused, and how many done.
fn refuses_exactly_what_breaks(case: &Case, profile: Profile) -> Result<(usize, usize), String> {
    let subject = EngineSubject::new(profile, &case.hook_answer);
    let mut follower = SameAnswers {
        session: Session::new(subject, &case.flows),
    };
    drive(case, profile, &mut follower)?;
    let subject = follower.session.subject;
    let engine = subject.enforcing();
    let mut states: BTreeMap<[u8; 16], FlowInstance> = BTreeMap::new();
    let (mut refused, mut done) = (0, 0);
    for record in subject.records() {
        let AnyRecord::Instance(record) = record.record else {
            continue;
        };
        let state = states.entry(record.given.envelope.stream).or_default();
        let before = state.clone();
        state.apply_record(&record);
        let version = record.given.envelope.version;
        let instance = state.root().expect("started").flow_instance_id.clone();
        let fork = ForkParam::new(InstanceQuery::new(instance.clone()).as_of((version - 1).max(1)));
        let answer = match &record.given.command {
            InstanceCommand::StartProcess { variables, .. } => {
                let fork = engine.fork(fork).expect("forked").engine().blocking();
                let mut start = StartProcessParam::of_deployment(state.root().expect("started").flow_deploy_id.clone());
                start.variables.clone_from(variables);
                fork.start_process(start).map(|_| ())
            }
            InstanceCommand::CommitTask {
                task_instance_id,
                variables,
                ..
            } => {
                let fork = engine.fork(fork).expect("forked").engine().blocking();
                let mut commit = CommitTaskParam::new(&instance, task_instance_id);
                commit.variables.clone_from(variables);
                let answer = fork.commit_task(commit).map(|_| ());
                let grown = fork.instance_records(instance.clone()).expect("told").len() as u64 - (version - 1);
                let is_refused = matches!(&answer, Err(error) if error.code() == ResultCode::InvariantViolated);
                if is_refused != (grown == 0) {
                    return Err(format!("version {version}: {answer:?} left {grown} records"));
                }
                answer
            }
            _ => continue,
        };
        let has_failed = record.events.iter().find_map(|event| match event {
            InstanceEvent::CommitFailed { code, .. } => Some(*code),
            _ => None,
        });
        let breaks = has_failed.is_none() && is_broken(subject.engine(), &before, state);
        match (&answer, has_failed) {
            (Ok(()), None) if !breaks => done += 1,
            (Err(error), None) if breaks && error.code() == ResultCode::InvariantViolated => refused += 1,
            (Err(error), Some(code)) if error.code().number() == code => {}
            _ => {
                return Err(format!(
                    "version {version} of {instance}: breaks {breaks}, answered {answer:?}"
                ));
            }
        }
    }
    Ok((refused, done))
}

#[test]
fn start_and_commit_are_refused_exactly_where_they_break_an_invariant_and_are_as_before_without() {
    let (mut refused, mut done) = (0, 0);
    for seed in 0..12 {
        let mut case = seeded(&going_back_case(), seed);
        with_invariants(&mut case, &mut Dice::new(seed));
        for profile in Profile::ALL {
            let counted = refuses_exactly_what_breaks(&case, profile);
            let counted = counted.unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
            (refused, done) = (refused + counted.0, done + counted.1);
        }
    }
    assert!(refused > 10 && done > 20, "{refused} refused, {done} done");
    proptest!(ProptestConfig::with_cases(cases(4)), |(case in going_back_case(), seed: u64)| {
        let mut case = case;
        with_invariants(&mut case, &mut Dice::new(seed));
        for profile in Profile::ALL {
            refuses_exactly_what_breaks(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}
