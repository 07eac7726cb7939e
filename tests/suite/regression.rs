//! Regression over the past: the same model takes the same path everywhere; what another one changes is found where it changes.

use std::collections::BTreeMap;
use std::num::NonZero;

use flowledger::plug_in::{ElementPlugIn, ElementVisit, Step as PlugInStep};
use flowledger::{
    BlockingEngine, CommitTaskParam, DeployModel, DifferenceKind, Engine, FlowInstanceId, FlowModuleId,
    GetFlowModuleParam, ListParam, ModuleFilter, RegressionDifference, RegressionGroup, RegressionParam,
    RegressionReport, RegressionVerdict,
};
use flowledger_tests::conformance::{Bench as _, NaiveBench};
use flowledger_tests::differential::drive;
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{Case, calling_case, cases, going_back_case, parallel_case, seeded, serial_case};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::model_mutation::{Mutation, mutated, mutations};
use flowledger_tests::scenario::{Flow, Operation, Outcome, Profile, Session, Step};
use flowledger_tests::sketch::flow;
use proptest::prelude::*;
use serde_json::Value;

use crate::fixture::{deployed, engine_on, instance_and_task, memory, opened, started};

/// Mutants of one flow that are tried with one case.
const MUTANTS: usize = 4;

/// A module's instances against a model.
fn against(engine: &BlockingEngine, module: &FlowModuleId, model: &str) -> RegressionReport {
    let param = RegressionParam::new(module.clone(), model);
    engine.regression(param, |_| {}).expect("judged")
}

/// The modules of an engine, each with the model that was deployed last.
fn modules(engine: &BlockingEngine) -> Vec<(FlowModuleId, String)> {
    let all = engine
        .list_flow_modules(&ModuleFilter::default(), ListParam::default())
        .expect("listed");
    let deployed = all.flow_modules.into_iter().filter_map(|module| {
        let param = GetFlowModuleParam {
            flow_deploy_id: Some(module.flow_deploy_id?.to_string()),
            ..GetFlowModuleParam::default()
        };
        let model = engine.get_flow_module(param).expect("there").flow_model?;
        Some((module.flow_module_id, model.to_string()))
    });
    deployed.collect()
}

/// The engine that has gone through a case.
fn gone_through(case: &Case, profile: Profile) -> Result<EngineSubject, String> {
    let mut session = Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows);
    let mut follower = |step: &Step, _: &Outcome| {
        session.step(step);
        Ok(())
    };
    drive(case, profile, &mut follower)?;
    Ok(session.subject)
}

/// Every module against itself; how many instances were judged.
fn nothing_differs(engine: &BlockingEngine) -> Result<u64, String> {
    let mut judged = 0;
    for (module, model) in modules(engine) {
        let report = against(engine, &module, &model);
        if report.tally.same_path != report.tally.instances {
            return Err(format!("{module}: {:#?}\n{model}", report.tally));
        }
        judged += report.tally.instances;
    }
    Ok(judged)
}

#[test]
fn model_that_is_the_same_takes_the_same_path() {
    let mut judged = 0;
    for seed in 0..5 {
        for case in [
            seeded(&serial_case(), seed),
            seeded(&calling_case(), seed),
            seeded(&parallel_case(), seed),
            seeded(&going_back_case(), seed),
        ] {
            for profile in Profile::ALL {
                let subject = gone_through(&case, profile).expect("the case runs");
                judged += nothing_differs(subject.engine()).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
            }
        }
    }
    assert!(judged > 20, "{judged}");
    let case = prop_oneof![serial_case(), calling_case(), parallel_case(), going_back_case()];
    proptest!(ProptestConfig::with_cases(cases(8)), |(case in case)| {
        for profile in Profile::ALL {
            let subject = gone_through(&case, profile).map_err(TestCaseError::fail)?;
            nothing_differs(subject.engine()).map_err(TestCaseError::fail)?;
        }
    });
}

/// A case as it went: every step with what the naive interpreter answered, and whether the engine kept a record of it.
struct Gone {
    steps: Vec<(Step, Value, bool)>,
    engine: BlockingEngine,
    /// The modules by the names of their flows.
    modules: BTreeMap<String, FlowModuleId>,
}

fn gone(case: &Case, profile: Profile) -> Result<Gone, String> {
    let mut session = Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows);
    let mut steps = Vec::new();
    let mut follower = |step: &Step, oracle: &Outcome| {
        let before = session.subject.record_count();
        session.step(step);
        let is_recorded = session.subject.record_count() > before;
        steps.push((step.clone(), oracle.normal.clone(), is_recorded));
        Ok(())
    };
    drive(case, profile, &mut follower)?;
    let engine = session.subject.engine().clone();
    let modules = case
        .flows
        .iter()
        .map(|flow| (flow.name.clone(), FlowModuleId::new(&session.module_id(&flow.name))));
    Ok(Gone {
        steps,
        modules: modules.collect(),
        engine,
    })
}

/// An answer without sequence flows: of several between two elements, histories show one.
fn nodes_of(normal: &Value) -> Value {
    match normal {
        Value::Array(items) => {
            let is_node = |item: &&Value| item.get("modelKey").is_none() || item.get("node").is_some();
            items.iter().filter(is_node).map(nodes_of).collect()
        }
        Value::Object(members) => {
            let members = members.iter().map(|(key, member)| (key.clone(), nodes_of(member)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// Whether the naive interpreter answers otherwise when it is given the recorded commands on other flows.
fn is_exercised(gone: &Gone, case: &Case, flows: &[Flow], profile: Profile) -> Option<Step> {
    let mut session = Session::new(NaiveBench.subject(profile, &case.hook_answer), flows);
    for (step, then, is_recorded) in &gone.steps {
        if step.op.is_command() && !is_recorded {
            continue;
        }
        // Every query is asked, because labels are given to nodes as they are seen; what the others say, these say too.
        let now = session.step(step).normal;
        let tells = step.op.is_command()
            || (step.effective == Some(true)
                && matches!(step.op, Operation::GetHistoryElementList | Operation::GetInstanceData));
        if tells && nodes_of(&now) != nodes_of(then) {
            return Some(step.clone());
        }
    }
    None
}

/// Every mutant that the recorded instance exercises is reported, and no other; how many of each. Of each flow some mutants are
/// taken, by turns.
fn mutants_are_found(case: &Case, profile: Profile, turn: usize) -> Result<(usize, usize), String> {
    let gone = gone(case, profile)?;
    let (mut exercised, mut passed) = (0, 0);
    for (number, flow) in case.flows.iter().enumerate() {
        let module = &gone.modules[&flow.name];
        let Some((_, deployed)) = modules(&gone.engine).into_iter().find(|(id, _)| id == module) else {
            continue;
        };
        let deployed: Value = serde_json::from_str(&deployed).expect("a model is JSON");
        let all = mutations(&flow.flow_model);
        let step = all.len().div_ceil(MUTANTS).max(1);
        for mutation in all.into_iter().skip(turn % step).step_by(step) {
            let mut flows = case.flows.clone();
            flows[number].flow_model = mutated(&flow.flow_model, &mutation);
            let candidate = mutated(&deployed, &mutation).to_string();
            let report = against(&gone.engine, module, &candidate);
            let is_reported = report.tally.same_path != report.tally.instances;
            let step = is_exercised(&gone, case, &flows, profile);
            // Of two sequence flows to one element the answers of the interpreter do not tell which was taken.
            let leads_to_the_same = report.tally.groups.iter().all(|group| {
                let RegressionDifference { kind, then, now, .. } = &group.difference;
                *kind == DifferenceKind::SequenceFlow && then.element_key == now.element_key
            });
            if is_reported != step.is_some() && !(is_reported && leads_to_the_same) {
                let tally = &report.tally;
                return Err(format!(
                    "({}) {}, {mutation}: {step:?}\n{tally:#?}\n{candidate}",
                    profile.name(),
                    flow.name
                ));
            }
            *(if is_reported { &mut exercised } else { &mut passed }) += 1;
        }
    }
    Ok((exercised, passed))
}

#[test]
fn mutants_that_an_instance_exercises_are_reported_and_no_others() {
    let (mut exercised, mut passed) = (0, 0);
    for seed in 0..2 {
        for case in [
            seeded(&serial_case(), seed),
            seeded(&calling_case(), seed),
            seeded(&parallel_case(), seed),
            seeded(&going_back_case(), seed),
        ] {
            for (profile, turn) in Profile::ALL.into_iter().zip([0, 1]) {
                let found =
                    mutants_are_found(&case, profile, turn).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
                exercised += found.0;
                passed += found.1;
            }
        }
    }
    assert!(exercised > 20 && passed > 20, "{exercised} exercised, {passed} not");
    let case = prop_oneof![serial_case(), calling_case(), parallel_case(), going_back_case()];
    proptest!(ProptestConfig::with_cases(cases(3)), |(case in case, turn in 0_usize..100)| {
        for profile in Profile::ALL {
            mutants_are_found(&case, profile, turn).map_err(TestCaseError::fail)?;
        }
    });
}

/// The text of a sketch's model.
fn model(sketch: &str) -> String {
    flow("main", sketch).flow_model.to_string()
}

/// Commits the active task that has this key.
fn commit(engine: &BlockingEngine, instance: &FlowInstanceId, key: &str, variables: &[(&str, i64)]) {
    let tasks = engine
        .get_history_user_task_list(instance)
        .expect("listed")
        .node_instance_list;
    let task = tasks
        .iter()
        .find(|task| &*task.model_key == key && task.status == 2)
        .expect("it is active");
    let param = CommitTaskParam::new(instance, &task.node_instance_id);
    let param = variables
        .iter()
        .fold(param, |param, (key, value)| param.variable(key, *value));
    engine.commit_task(param).expect("committed");
}

const APPROVAL: &str = "start -> ask -> gate; gate -(days > 3)-> approve -> end; gate -(days <= 3)-> file -> end";

/// Six approvals, of one to six days; the one of five days has ended.
fn approvals(engine: &BlockingEngine) -> (FlowModuleId, Vec<FlowInstanceId>) {
    let module = deployed(engine, APPROVAL);
    let begun = (1..=6).map(|days| {
        let (instance, _) = started(engine, &module);
        commit(engine, &instance, "ask", &[("days", days)]);
        if days == 5 {
            commit(engine, &instance, "approve", &[]);
        }
        instance
    });
    let instances = begun.collect();
    (module, instances)
}

fn only_group(report: &RegressionReport) -> &RegressionGroup {
    let [group] = &report.tally.groups[..] else {
        panic!("one group: {:#?}", report.tally)
    };
    group
}

#[test]
fn condition_that_comes_out_otherwise_is_named_with_its_values() {
    let engine = engine_on(&memory());
    let (module, instances) = approvals(&engine);
    let before = engine.certify(None, |_| {}).expect("certified");
    let report = against(&engine, &module, &model(&APPROVAL.replace('3', "4")));
    let tally = &report.tally;
    assert_eq!(
        (tally.instances, tally.same_path, tally.diverges, tally.cannot_continue),
        (6, 5, 1, 0)
    );
    assert_eq!(
        (tally.live.instances, tally.live.may_move, tally.live.must_finish_on_old),
        (5, 4, 1)
    );
    let group = only_group(&report);
    let RegressionDifference {
        kind,
        element_key,
        condition,
        then,
        now,
        ..
    } = &group.difference;
    assert_eq!((*kind, &**element_key), (DifferenceKind::SequenceFlow, "gate"));
    let condition = condition.as_ref().expect("a condition");
    assert_eq!(
        (&*condition.sequence_flow, condition.then, condition.now),
        ("f3", Some(true), Some(false))
    );
    assert_eq!(
        (condition.text_then.as_deref(), condition.text_now.as_deref()),
        (Some("days > 3"), Some("days > 4"))
    );
    assert_eq!(
        (then.to_string(), now.to_string()),
        ("takes f3 to approve".to_owned(), "takes f5 to file".to_owned())
    );
    let example = &group.examples[0];
    assert_eq!(
        (&example.flow_instance_id, example.version, example.live),
        (&instances[3], 2, true)
    );
    assert_eq!(
        (&*example.values[0].key, example.values[0].now.clone()),
        ("days", Some(4.into()))
    );
    assert_eq!(
        (&*example.waits_then, &*example.waits_now),
        (&["approve".into()][..], &["file".into()][..])
    );
    assert!(!report.is_clean());
    assert_eq!(
        engine.certify(None, |_| {}).expect("certified"),
        before,
        "nothing is recorded"
    );
    // Another text that comes out the same everywhere is the same path.
    let other = model(&APPROVAL.replace("days <= 3", "!(days > 3)"));
    assert!(against(&engine, &module, &other).is_clean());
}

#[test]
fn task_that_is_not_there_is_told_with_the_record_that_commits_it() {
    let engine = engine_on(&memory());
    let (module, instances) = approvals(&engine);
    let report = against(&engine, &module, &model(&APPROVAL.replace("approve", "sign")));
    let group = only_group(&report);
    let RegressionDifference {
        verdict,
        kind,
        element_key,
        now,
        ..
    } = &group.difference;
    assert_eq!(
        (*verdict, *kind),
        (RegressionVerdict::CannotContinue, DifferenceKind::MissingTask)
    );
    assert_eq!((&**element_key, now.element_key.as_deref()), ("approve", Some("sign")));
    let committed: Vec<_> = group
        .examples
        .iter()
        .map(|example| (&example.flow_instance_id, example.committed_at))
        .collect();
    // The newest first.
    assert_eq!(
        committed,
        [(&instances[5], None), (&instances[4], Some(3)), (&instances[3], None)]
    );
    assert_eq!(
        (report.tally.cannot_continue, report.tally.live.must_finish_on_old),
        (3, 2)
    );
}

#[test]
fn candidate_that_cannot_be_deployed_is_judged_and_not_clean() {
    let engine = engine_on(&memory());
    let (module, _) = approvals(&engine);
    let deployed: Value = serde_json::from_str(&model(APPROVAL)).expect("JSON");
    let candidate = mutated(&deployed, &Mutation::FlowDropped("f4".to_owned()));
    let report = against(&engine, &module, &candidate.to_string());
    assert!(!report.candidate.faults.is_empty(), "{:?}", report.candidate);
    let group = only_group(&report);
    assert_eq!((group.difference.kind, group.instances), (DifferenceKind::Failure, 1));
    assert_eq!(group.difference.then.to_string(), "reaches end");
    assert_eq!(group.difference.now.err_code, Some(4013));
    let never_started = deployed_model_of(&engine, &module);
    let without_tasks = never_started.replace("days", "hours");
    assert!(!against(&engine, &module, &without_tasks).is_clean());
    for (text, code) in [("no model", 3201), ("{}", 3201)] {
        let refused = engine
            .regression(RegressionParam::new(module.clone(), text), |_| {})
            .expect_err("no model");
        assert_eq!(refused.err_code(), code, "{refused}");
    }
    let unknown = RegressionParam::new("nobody", &model(APPROVAL));
    assert_eq!(
        engine.regression(unknown, |_| {}).expect_err("unknown").err_code(),
        3101
    );
}

fn deployed_model_of(engine: &BlockingEngine, module: &FlowModuleId) -> String {
    modules(engine)
        .into_iter()
        .find(|(id, _)| id == module)
        .expect("deployed")
        .1
}

#[test]
fn task_that_loses_a_way_it_did_not_take_takes_the_same_path() {
    let engine = engine_on(&memory());
    let sketch = "start -> ask; ask -(days > 3)-> approve -> end; ask -(days <= 3)-> end";
    let module = deployed(&engine, sketch);
    let (instance, _) = started(&engine, &module);
    commit(&engine, &instance, "ask", &[("days", 5)]);
    let deployed: Value = serde_json::from_str(&model(sketch)).expect("JSON");
    let without = |flow: &str| mutated(&deployed, &Mutation::FlowDropped(flow.to_owned())).to_string();
    assert_eq!(against(&engine, &module, &without("f4")).tally.same_path, 1);
    let taken = against(&engine, &module, &without("f2"));
    assert_eq!(only_group(&taken).difference.kind, DifferenceKind::SequenceFlow);
    // And the other way round: a way more, which is not taken.
    let engine = engine_on(&memory());
    let less = engine
        .deploy_model(DeployModel::new("main", &without("f4")))
        .expect("deployed");
    let (instance, _) = started(&engine, &less.flow_module_id);
    commit(&engine, &instance, "ask", &[("days", 5)]);
    assert!(against(&engine, &less.flow_module_id, &model(sketch)).is_clean());
}

#[test]
fn hooks_answer_by_element_and_occurrence_and_what_was_never_answered_is_told() {
    let answers = std::sync::atomic::AtomicI64::new(0);
    let engine = opened(Engine::builder().in_memory().hook_fn("rates", move |call| {
        let rate = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(&*call.node_key, "gate");
        Ok(vec![flowledger::InstanceData::new("rate", rate)])
    }));
    // Round and round until the third answer.
    let sketch = "start -> ask -> gate[hookInfoIds=rates]; gate -(rate < 2)-> ask; gate -(rate >= 2)-> done -> end";
    let module = deployed(&engine, sketch);
    let (instance, _) = started(&engine, &module);
    for _ in 0..3 {
        commit(&engine, &instance, "ask", &[]);
    }
    assert!(against(&engine, &module, &model(sketch)).is_clean());
    let later = against(&engine, &module, &model(&sketch.replace('2', "3")));
    let group = only_group(&later);
    assert_eq!(
        (group.difference.kind, group.examples[0].version),
        (DifferenceKind::SequenceFlow, 4)
    );
    assert_eq!(group.examples[0].occurrence, 3);
    // Sooner there: the rest of the answers is not needed, the task that was committed is.
    let sooner = against(&engine, &module, &model(&sketch.replace('2', "1")));
    assert_eq!(only_group(&sooner).examples[0].version, 3);
    let without = against(&engine, &module, &model(&sketch.replace("[hookInfoIds=rates]", "")));
    let group = only_group(&without);
    assert_eq!(group.difference.kind, DifferenceKind::Failure, "{group:#?}");
    let twice = sketch.replace("done ->", "done -> gate2[hookInfoIds=rates] ->");
    let ahead = against(&engine, &module, &model(&twice)).tally;
    assert_eq!(ahead.same_path, 1, "nobody has been there: {ahead:#?}");
    commit(&engine, &instance, "done", &[]);
    let twice = against(&engine, &module, &model(&twice));
    let RegressionDifference {
        verdict,
        kind,
        element_key,
        ..
    } = &only_group(&twice).difference;
    assert_eq!(
        (*verdict, *kind),
        (RegressionVerdict::CannotContinue, DifferenceKind::UnansweredHook)
    );
    assert_eq!(&**element_key, "gate2");
}

#[test]
fn where_there_was_no_hook_none_is_missed() {
    for profile in [flowledger::Profile::Documented, flowledger::Profile::Turbo131] {
        let engine = opened(Engine::builder().in_memory().profile(profile));
        let sub = deployed(&engine, "start -> gate[hookInfoIds=h]; gate -(1 > 2)-> end");
        let sketch =
            format!("start -> ask -> gate[hookInfoIds=h]; gate -(1 < 2)-> call[callActivityFlowModuleId={sub}] -> end");
        let module = deployed(&engine, &sketch);
        let (instance, ask) = started(&engine, &module);
        let committed = engine.commit_task(CommitTaskParam::new(&instance, &ask));
        if profile == flowledger::Profile::Documented {
            assert_eq!(committed.expect_err("no hook").err_code(), 4012);
        } else {
            let (_, call) = instance_and_task(&committed.expect("no hook is needed"));
            // Its sub flow fails, and leaves nothing but that.
            engine
                .commit_task(CommitTaskParam::new(&instance, &call))
                .expect_err("no way on");
        }
        for (module, text) in modules(&engine) {
            let report = against(&engine, &module, &text);
            assert!(report.is_clean(), "{profile:?}: {:#?}", report.tally);
        }
    }
}

#[test]
fn instances_that_call_the_module_are_judged_and_other_modules_are_as_they_were() {
    let engine = engine_on(&memory());
    let sub = deployed(&engine, "start -> inner -> end");
    let sketch =
        format!("start -> ask -> call[callActivityFlowModuleId={sub}, callActivityOutParamType=full] -> done -> end");
    let module = deployed(&engine, &sketch);
    let (instance, ask) = started(&engine, &module);
    let (_, call) = instance_and_task(
        &engine
            .commit_task(CommitTaskParam::new(&instance, &ask).variable("z", 3))
            .expect("committed"),
    );
    engine
        .commit_task(CommitTaskParam::new(&instance, &call).variable("x", 1))
        .expect("called");
    commit(&engine, &instance, "inner", &[("y", 2)]);
    // The sub flow is another one by now.
    let update = serde_json::json!({
        "tenant": "t", "caller": "c", "operator": "o", "flowModuleId": sub, "flowModel": model("start -> other -> end"),
    });
    engine
        .update_flow(serde_json::from_value(update.clone()).expect("a request"))
        .expect("updated");
    engine
        .deploy_flow(serde_json::from_value(update).expect("a request"))
        .expect("deployed");
    assert!(against(&engine, &module, &model(&sketch)).is_clean());
    let of_sub = against(&engine, &sub, &model("start -> other -> end"));
    let group = only_group(&of_sub);
    assert_eq!(
        (&group.difference.flow_module_id, &*group.difference.element_key),
        (&sub, "inner")
    );
    assert_eq!(
        (group.difference.kind, group.examples[0].version),
        (DifferenceKind::MissingTask, 3)
    );
    let none = against(
        &engine,
        &module,
        &model(&sketch.replace("OutParamType=full", "OutParamType=none")),
    );
    let group = only_group(&none);
    assert_eq!(
        (group.difference.kind, &*group.difference.element_key),
        (DifferenceKind::Data, "call")
    );
    assert_eq!(group.difference.variables, ["x".into(), "y".into()]);
    let apart = sketch.replace(
        "callActivityOutParamType",
        "callActivityInParamType=none, callActivityOutParamType",
    );
    let apart = against(&engine, &module, &model(&apart));
    let group = only_group(&apart);
    assert_eq!(
        (
            group.difference.kind,
            &*group.difference.element_key,
            group.examples[0].version
        ),
        (DifferenceKind::Data, "call", 3)
    );
    assert_eq!(group.difference.variables, ["z".into()]);
}

#[test]
fn call_that_failed_is_judged_by_the_module_it_called() {
    let engine = engine_on(&memory());
    let sub = deployed(&engine, "start -> gate; gate -(n > 1)-> inner -> end");
    let idle = deployed(&engine, "start -> gate; gate -(n > 1)-> inner -> end");
    let sketch = format!("start -> ask -> call[callActivityFlowModuleId={sub}] -> end");
    let module = deployed(&engine, &sketch);
    let (instance, ask) = started(&engine, &module);
    let ask = CommitTaskParam::new(&instance, &ask).variable("n", 1);
    let (_, call) = instance_and_task(&engine.commit_task(ask).expect("committed"));
    engine
        .commit_task(CommitTaskParam::new(&instance, &call))
        .expect_err("no way on");
    let candidate = model("start -> gate; gate -(n > 0)-> inner -> end");
    let report = against(&engine, &sub, &candidate);
    let group = only_group(&report);
    assert_eq!(
        (group.difference.kind, group.examples[0].version),
        (DifferenceKind::Failure, 3)
    );
    assert_eq!(group.difference.then.err_code, Some(4013));
    assert_eq!(*group.examples[0].waits_now, ["inner".into()]);
    assert_eq!(against(&engine, &idle, &candidate).tally.instances, 0);
    let same = model("start -> gate; gate -(n > 1)-> inner -> end");
    assert_eq!(against(&engine, &sub, &same).tally.same_path, 1);
}

#[test]
fn stories_of_the_golden_logs_take_the_same_path_on_their_own_models() {
    for (name, profile, own_ids) in KINDS {
        let engine = told(profile, own_ids);
        let mut judged = 0;
        for (module, text) in modules(&engine) {
            let report = against(&engine, &module, &text);
            let tally = &report.tally;
            assert_eq!(tally.same_path, tally.instances, "{name}: {tally:#?}");
            judged += tally.instances;
        }
        assert!(judged > 10, "{name}: {judged}");
    }
}

/// An element that the flow goes through.
struct Stamp;

impl ElementPlugIn for Stamp {
    fn name(&self) -> &'static str {
        "stamp"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        77
    }

    fn enter(&self, _: &ElementVisit<'_>) -> Result<PlugInStep, String> {
        Ok(PlugInStep::pass().variable("stamped", true))
    }
}

#[test]
fn plug_in_is_asked_again_and_one_that_is_missing_is_told() {
    let store = memory();
    let engine = opened(Engine::builder().store(store.clone()).element(Stamp));
    let text = model("start -> ask -> stamp -> done -> end").replace(
        "\"key\":\"stamp\",\"outgoing\":[\"f3\"],\"properties\":{},\"type\":4",
        "\"key\":\"stamp\",\"outgoing\":[\"f3\"],\"properties\":{},\"type\":77",
    );
    let module = engine
        .deploy_model(DeployModel::new("main", &text))
        .expect("deployed")
        .flow_module_id;
    let (instance, _) = started(&engine, &module);
    commit(&engine, &instance, "ask", &[]);
    assert!(against(&engine, &module, &text).is_clean());
    let without = against(&engine_on(&store), &module, &text);
    let RegressionDifference {
        verdict,
        kind,
        element_key,
        now,
        ..
    } = &only_group(&without).difference;
    assert_eq!(
        (*verdict, *kind),
        (RegressionVerdict::CannotContinue, DifferenceKind::Refused)
    );
    assert_eq!((&**element_key, now.err_code), ("ask", Some(4014)));
    assert!(!without.candidate.faults.is_empty(), "it could not be deployed here");
}

#[test]
fn instances_that_are_held_have_not_ended_and_those_that_were_terminated_have() {
    let engine = engine_on(&memory());
    let (module, instances) = approvals(&engine);
    let hold = |id: &FlowInstanceId| serde_json::json!({"flowInstanceId": id, "reason": "a holiday"});
    engine
        .suspend_instance(serde_json::from_value(hold(&instances[0])).expect("a request"))
        .expect("suspended");
    engine
        .abort_instance(serde_json::from_value(hold(&instances[1])).expect("a request"))
        .expect("aborted");
    engine.terminate_process(&instances[2]).expect("terminated");
    let report = against(&engine, &module, &model(APPROVAL));
    assert!(report.is_clean());
    let live = report.tally.live;
    assert_eq!((live.instances, live.may_move, live.must_finish_on_old), (4, 4, 0));
}

fn batch(instances: usize) -> NonZero<usize> {
    NonZero::new(instances).expect("not zero")
}

#[test]
fn interrupted_regression_goes_on_where_it_was_unless_candidate_or_log_have_changed() {
    let engine = engine_on(&memory());
    let (module, _) = approvals(&engine);
    let candidate = model(&APPROVAL.replace('3', "4"));
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("state");
    let param = |candidate: &str| RegressionParam::new(module.clone(), candidate).batch(batch(2));
    let whole = engine.regression(param(&candidate), |_| {}).expect("judged");
    let interrupt = || {
        let run = || engine.regression(param(&candidate).state_file(&file), |_| panic!("interrupted"));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).expect_err("interrupted");
        assert!(file.exists());
    };
    let steps = |candidate: &str| {
        let mut steps = 0;
        let report = engine
            .regression(param(candidate).state_file(&file), |_| steps += 1)
            .expect("judged");
        assert!(!file.exists(), "it is not needed any more");
        (steps, report)
    };
    interrupt();
    assert_eq!(steps(&candidate), (2, whole.clone()));
    assert_eq!(steps(&candidate), (3, whole.clone()));
    // Another candidate.
    interrupt();
    let (count, same) = steps(&model(APPROVAL));
    assert!(count == 3 && same.is_clean(), "{count}");
    // Another log.
    interrupt();
    let (instance, _) = started(&engine, &module);
    let (count, report) = steps(&candidate);
    assert_eq!((count, report.tally.instances), (4, 7));
    commit(&engine, &instance, "ask", &[("days", 4)]);
    // Something else is not overwritten.
    std::fs::write(&file, "a letter").expect("written");
    let refused = engine
        .regression(param(&candidate).state_file(&file), |_| {})
        .expect_err("no state file");
    assert_eq!(refused.err_code(), 2001);
    assert_eq!(std::fs::read_to_string(&file).expect("there"), "a letter");
}

#[test]
fn report_does_not_depend_on_threads_and_batches_and_is_bounded() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, APPROVAL);
    for days in 0..40 {
        let (instance, _) = started(&engine, &module);
        commit(&engine, &instance, "ask", &[("days", days)]);
    }
    let param = || RegressionParam::new(module.clone(), &model(&APPROVAL.replace('3', "30"))).examples(3);
    let report = engine.regression(param(), |_| {}).expect("judged");
    for (threads, size) in [(1, 1_000), (7, 1), (3, 9)] {
        let other = engine
            .regression(param().threads(batch(threads)).batch(batch(size)), |_| {})
            .expect("judged");
        assert_eq!(other, report);
    }
    let group = only_group(&report);
    assert_eq!((group.instances, group.examples.len()), (27, 3));
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json["groups"][0]["kind"], "sequenceFlow");
    assert_eq!(json["live"]["mustFinishOnOld"], 27);
}
