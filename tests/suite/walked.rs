//! What the API document and the guides promise in a sentence, tried as a reader would try it.

use flowledger::event::InstanceEvent;
use flowledger::{
    AnyRecord, BlockingEngine, CommitTaskParam, DeployModel, Engine, EngineBuilder, FlowInstanceId, InstanceData,
    InstanceQuery, NodeInstance, NodeInstanceId, RuntimeResult, StartProcessParam, TerminateProcessParam,
};
use serde_json::{Value as Json, json};

use crate::fixture::opened;

/// A model: elements with type and properties, and the ways between them.
fn model(elements: &[(&str, i64, Json)], ways: &[(&str, &str)]) -> String {
    let name = |(from, to): &(&str, &str)| format!("{from}-{to}");
    let mut list: Vec<Json> = elements
        .iter()
        .map(|(key, element_type, properties)| {
            let of = |end: fn(&(&str, &str)) -> String| -> Vec<String> {
                ways.iter().filter(|way| end(way) == *key).map(name).collect()
            };
            let (incoming, outgoing) = (of(|way| way.1.to_owned()), of(|way| way.0.to_owned()));
            json!({"key": key, "type": element_type, "incoming": incoming, "outgoing": outgoing, "properties": properties})
        })
        .collect();
    list.extend(ways.iter().map(|way| {
        json!({"key": name(way), "type": 1, "incoming": [way.0], "outgoing": [way.1],
               "properties": {"defaultConditions": "true"}})
    }));
    json!({ "flowElementList": list }).to_string()
}

fn deploy(engine: &BlockingEngine, name: &str, text: &str) -> String {
    let deployed = engine.deploy_model(DeployModel::new(name, text));
    deployed.expect("the model deploys").flow_module_id.to_string()
}

fn start(engine: &BlockingEngine, module: &str) -> (FlowInstanceId, RuntimeResult) {
    let started = engine.start_process(StartProcessParam::of_module(module).variable("x", 0));
    let started = started.expect("the flow starts");
    (started.flow_instance_id.clone().expect("an instance"), started)
}

/// The active tasks of an answer, by their keys.
fn task(result: &RuntimeResult, key: &str) -> NodeInstanceId {
    let mut tasks = result
        .node_execute_results
        .iter()
        .map(|branch| &branch.active_task_instance);
    let task = tasks.find(|task| &*task.model_key == key).expect("the task is active");
    task.node_instance_id.clone()
}

/// start, call, after, end; and in the flow that is called: start, inner, end. The call has begun.
fn called() -> (BlockingEngine, FlowInstanceId, RuntimeResult) {
    let engine = opened(Engine::builder().in_memory());
    let none = json!({});
    let sub = model(
        &[
            ("start", 2, none.clone()),
            ("inner", 4, none.clone()),
            ("end", 3, none.clone()),
        ],
        &[("start", "inner"), ("inner", "end")],
    );
    let sub = deploy(&engine, "sub", &sub);
    let call = json!({"callActivityExecuteType": "sync", "callActivityInstanceType": "single", "callActivityFlowModuleId": sub});
    let main = model(
        &[
            ("start", 2, none.clone()),
            ("call", 8, call),
            ("after", 4, none.clone()),
            ("end", 3, none),
        ],
        &[("start", "call"), ("call", "after"), ("after", "end")],
    );
    let (id, started) = start(&engine, &deploy(&engine, "main", &main));
    // The element's property says which flow is called: the commit need not.
    let commit = CommitTaskParam::new(&id, &task(&started, "call")).variable("y", 1);
    let called = engine.commit_task(commit).expect("the sub flow starts");
    (engine, id, called)
}

fn inside(result: &RuntimeResult) -> (FlowInstanceId, NodeInstanceId) {
    let call = result.active_task_instance.as_ref().expect("the call activity");
    let nested = call
        .sub_node_result_list
        .as_ref()
        .and_then(|list| list.first())
        .expect("a nested answer");
    let task = nested.active_task_instance.as_ref().expect("a task inside");
    let id = nested.flow_instance_id.clone().expect("an instance");
    (id, task.node_instance_id.clone())
}

fn keys(nodes: &[NodeInstance]) -> Vec<&str> {
    nodes.iter().map(|node| &*node.model_key).collect()
}

#[test]
fn every_query_looks_into_sub_flows_or_does_not() {
    let (engine, id, called) = called();
    let (sub, inner) = inside(&called);
    let with = InstanceQuery::new(id.clone());
    let without = with.clone().effective_for_sub_flow_instance(false);

    let tasks = |query: &InstanceQuery| {
        engine
            .get_history_user_task_list(query.clone())
            .unwrap()
            .node_instance_list
    };
    assert_eq!(keys(&tasks(&with)), ["inner"]);
    assert_eq!(keys(&tasks(&without)), Vec::<&str>::new());

    let elements = |query: &InstanceQuery| {
        engine
            .get_history_element_list(query.clone())
            .unwrap()
            .element_instance_list
    };
    let call = |query: &InstanceQuery| {
        elements(query)
            .into_iter()
            .find(|element| &*element.model_key == "call")
            .unwrap()
    };
    let inner_list = call(&with).sub_element_instance_list.expect("what the call ran");
    assert!(inner_list.iter().any(|element| &*element.model_key == "inner"));
    assert_eq!(call(&without).sub_element_instance_list, None);

    let data = |query: &InstanceQuery| engine.get_instance_data(query.clone()).unwrap().variables.len();
    assert_eq!((data(&with), data(&without)), (2, 1), "y is known only inside");

    // One node instance is found either way, as in the reference engine.
    for query in [&with, &without] {
        let found = engine
            .get_node_instance(query.clone(), inner.clone())
            .unwrap()
            .node_instance;
        assert_eq!(&*found.model_key, "inner");
    }
    let call = called.active_task_instance.expect("the call activity").node_instance_id;
    let call = engine.get_node_instance(&id, call).unwrap().node_instance;
    assert_eq!(call.sub_flow_instance_id_list, Some(vec![sub]));
}

#[test]
fn terminate_ends_sub_flows_or_leaves_them() {
    for (effective, status) in [(true, 3), (false, 2)] {
        let (engine, id, called) = called();
        let (sub, _) = inside(&called);
        let terminated = engine.terminate_process(TerminateProcessParam {
            effective_for_sub_flow_instance: effective,
            ..TerminateProcessParam::new(&id)
        });
        assert_eq!(terminated.unwrap().status, 3);
        let found = engine.get_flow_instance(&sub).unwrap().flow_instance_bo;
        assert_eq!(
            (found.status, &found.parent_flow_instance_id),
            (status, &id),
            "effective: {effective}"
        );
    }
}

#[test]
fn finished_sub_flow_has_status_4_and_stays_so_when_its_root_is_terminated() {
    let (engine, id, called) = called();
    let (sub, inner) = inside(&called);
    engine
        .commit_task(CommitTaskParam::new(&id, &inner))
        .expect("the sub flow ends");
    let status = || engine.get_flow_instance(&sub).unwrap().flow_instance_bo.status;
    assert_eq!(status(), 4);
    engine.terminate_process(&id).expect("the root is terminated");
    assert_eq!(status(), 4);
}

#[test]
fn properties_of_a_client_come_back_beside_those_of_the_engine() {
    let engine = opened(Engine::builder().in_memory());
    let fork = json!({"forkJoinMatch": {"fork": "fork", "join": "join"}});
    let none = json!({});
    let text = model(
        &[
            ("start", 2, none.clone()),
            ("fork", 9, fork.clone()),
            ("left", 4, none.clone()),
            ("right", 4, none.clone()),
            ("join", 9, fork),
            ("end", 3, none),
        ],
        &[
            ("start", "fork"),
            ("fork", "left"),
            ("fork", "right"),
            ("left", "join"),
            ("right", "join"),
            ("join", "end"),
        ],
    );
    let (id, started) = start(&engine, &deploy(&engine, "fork", &text));
    let given = json!({
        "flowInstanceId": id, "taskInstanceId": task(&started, "left"),
        "extendProperties": {"mine": [1], "executeId": "made up", "parallelRuntimeContextList": "made up"},
    });
    let commit: CommitTaskParam = serde_json::from_value(given).expect("a request");
    let answer = serde_json::to_value(engine.commit_task(commit).expect("a commit")).unwrap();
    assert_eq!(answer["errCode"], 1601);
    assert_eq!(answer["extendProperties"]["mine"], json!([1]));
    // What a client says about branches is not taken over.
    assert!(!answer.to_string().contains("made up"), "{answer}");

    // The flat members are those of the first entry of the list.
    let first = &answer["nodeExecuteResults"][0];
    assert_eq!(answer["activeTaskInstance"], first["activeTaskInstance"]);
    assert_eq!(answer["variables"], first["variables"]);
    // A commit that sends null is as good as one that sends nothing; variables keep every digit.
    let right = task(&started, "right");
    let text = format!(
        r#"{{"flowInstanceId":"{id}","taskInstanceId":"{right}","extendProperties":null,"variables":[{{"key":"n","value":1.50}}]}}"#
    );
    let commit: CommitTaskParam = serde_json::from_str(&text).expect("a request");
    let value: Json = serde_json::from_str(&text).unwrap();
    let same: CommitTaskParam = serde_json::from_value(value).expect("a request");
    assert_eq!(
        (&commit.flow_instance_id, &commit.task_instance_id),
        (&same.flow_instance_id, &same.task_instance_id)
    );
    let done = engine.commit_task(commit).expect("a commit");
    assert_eq!(done.err_code, 1000);
    assert_eq!(
        done.variables
            .iter()
            .find(|data| &*data.key == "n")
            .unwrap()
            .value
            .to_string(),
        "1.50"
    );
}

#[test]
fn refused_conflict_names_the_variables_and_the_branches() {
    let engine = opened(Engine::builder().in_memory());
    let pair = json!({"fork": "fork", "join": "join"});
    let none = json!({});
    let text = model(
        &[
            ("start", 2, none.clone()),
            ("fork", 9, json!({"forkJoinMatch": pair})),
            ("left", 4, none.clone()),
            ("right", 4, none.clone()),
            ("join", 9, json!({"forkJoinMatch": pair, "dataConflict": "fail"})),
            ("end", 3, none),
        ],
        &[
            ("start", "fork"),
            ("fork", "left"),
            ("fork", "right"),
            ("left", "join"),
            ("right", "join"),
            ("join", "end"),
        ],
    );
    let (id, started) = start(&engine, &deploy(&engine, "fork", &text));
    let commit =
        |key: &str, x: i64| engine.commit_task(CommitTaskParam::new(&id, &task(&started, key)).variable("x", x));
    assert_eq!(commit("right", 2).expect("the first arrival").err_code, 1601);
    let error = commit("left", 1).expect_err("the values differ");
    assert_eq!(error.err_code(), 6008);
    assert!(error.to_string().contains("x (fork-right, fork-left)"), "{error}");
    assert_eq!(commit("left", 2).expect("equal values do not conflict").err_code, 1000);
}

/// An engine with hooks that answer, fail, and answer again.
fn hooked() -> EngineBuilder {
    let answer = |pairs: [(&str, i64); 2]| Ok(pairs.map(|(key, value)| InstanceData::new(key, value)).to_vec());
    Engine::builder()
        .in_memory()
        .hook_fn("first", move |_| answer([("score", 1), ("limit", 10)]))
        .hook_fn("broken", |_| Err("no answer today".into()))
        .hook_fn("last", move |_| answer([("score", 2), ("x", 5)]))
}

#[test]
fn hooks_are_merged_in_their_order_and_a_failing_one_stands_on_the_record() {
    let engine = opened(hooked());
    let none = json!({});
    let text = model(
        &[
            ("start", 2, none.clone()),
            ("ask", 4, none.clone()),
            ("gate", 6, json!({"hookInfoIds": "[1]"})),
            ("after", 4, none.clone()),
            ("end", 3, none),
        ],
        &[("start", "ask"), ("ask", "gate"), ("gate", "after"), ("after", "end")],
    );
    let (id, started) = start(&engine, &deploy(&engine, "hooked", &text));
    let done = engine
        .commit_task(CommitTaskParam::new(&id, &task(&started, "ask")))
        .expect("a failing hook is not fatal");
    let shown: Vec<String> = done
        .variables
        .iter()
        .map(|data| format!("{}={}", data.key, data.value))
        .collect();
    assert_eq!(shown, ["limit=10", "score=2", "x=5"]);

    let records = engine.instance_records(id).unwrap();
    let Some(AnyRecord::Instance(record)) = records.last().map(|last| &last.record) else {
        panic!("the commit has a record");
    };
    let failures = record.events.iter().find_map(|event| match event {
        InstanceEvent::HookAnswered { failures, .. } => Some(failures.clone()),
        _ => None,
    });
    let failures = failures.expect("the answer is on the record");
    assert_eq!(
        failures.iter().map(|failure| &**failure).collect::<Vec<_>>(),
        ["broken: no answer today"]
    );
}

#[test]
fn eleventh_call_inside_the_others_is_refused_with_its_level() {
    let engine = opened(Engine::builder().in_memory());
    let none = json!({});
    let call = json!({"callActivityExecuteType": "sync", "callActivityInstanceType": "single"});
    let text = model(
        &[("start", 2, none.clone()), ("call", 8, call), ("end", 3, none)],
        &[("start", "call"), ("call", "end")],
    );
    let module = deploy(&engine, "again", &text);
    let (id, started) = start(&engine, &module);
    // Which flow is called only the commit says, so that no circle shows when the model is deployed.
    let commit = |task: &NodeInstanceId| {
        engine.commit_task(CommitTaskParam {
            call_activity_flow_module_id: Some(module.clone()),
            ..CommitTaskParam::new(&id, task)
        })
    };
    let mut innermost = task(&started, "call");
    for _ in 0..10 {
        let mut result = commit(&innermost).expect("ten levels are allowed");
        while let Some(node) = result.active_task_instance.clone() {
            innermost = node.node_instance_id;
            match node.sub_node_result_list.and_then(|list| list.into_iter().next()) {
                Some(nested) => result = nested,
                None => break,
            }
        }
    }
    let error = commit(&innermost).expect_err("eleven are not");
    assert_eq!(error.err_code(), 2002);
    assert!(
        error
            .to_string()
            .contains("call would nest call activities 11 levels deep; the limit is 10"),
        "{error}"
    );
}

#[test]
fn refusals_by_key_and_by_command_id_say_what_they_are_about() {
    let engine = opened(Engine::builder().in_memory());
    let sketch = flowledger_tests::sketch::flow(
        "main",
        "start -> ask -> gate; gate -(a > 1)-> check -> end; gate -(a <= 1)-> end",
    );
    let module = deploy(&engine, "main", &sketch.flow_model.to_string());
    let started = engine
        .start_process(StartProcessParam::of_module(module))
        .expect("started");
    let instance = started.flow_instance_id.clone().expect("an instance");
    let ask = started.active_task().expect("a task").node_instance_id.clone();
    let commit = CommitTaskParam::new(&instance, &ask)
        .command_id("once")
        .variable("a", 2);
    engine.commit_task(commit).expect("committed");

    let back = |key: &str| {
        let param = flowledger::RollbackToParam::element(&instance, key);
        engine
            .rollback_to(param)
            .expect_err("it cannot be opened again")
            .to_string()
    };
    assert!(back("gate").contains("is not a user task"), "{}", back("gate"));
    assert!(back("check").contains("is active already"), "{}", back("check"));

    let other = CommitTaskParam::new(&instance, &ask)
        .command_id("once")
        .variable("a", 3);
    let refused = engine.commit_task(other).expect_err("another command of this id");
    assert_eq!(refused.err_code(), 7301);
    let about = refused.about();
    assert_eq!(
        (about.flow_instance_id.as_ref(), about.status, about.version),
        (Some(&instance), Some(2), Some(2))
    );
}
