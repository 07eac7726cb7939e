//! What callers must not send, and disks that do not play along: each a clear error with its code, and nothing is lost.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use flowledger::{
    BlockingEngine, CommitTaskParam, CreateFlowParam, DeployModel, Engine, EngineError, FlowInstanceId, FlowModuleId,
    HealthState, InstanceData, InstanceFilter, InstanceQuery, Limits, ListParam, ModelLimits, ModuleFilter,
    NodeInstanceId, Profile, StartProcessParam, Timestamp, Value,
};
use flowledger_tests::sketch::flow;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::fixture::{
    LINE, deployed, engine_on, instance_and_task, log, memory, opened, started, told, turn_at_sled, verified,
    without_hanging,
};

/// Gives a command or query by its name in the API document, its request as JSON.
fn give(engine: &BlockingEngine, operation: &str, request: &Json) -> Result<Json, EngineError> {
    fn param<T: DeserializeOwned>(request: &Json) -> T {
        serde_json::from_value(request.clone()).expect("the request has the JSON form of the API document")
    }
    fn answer<T: Serialize>(answer: Result<T, EngineError>) -> Result<Json, EngineError> {
        answer.map(|answer| serde_json::to_value(answer).expect("an answer is JSON"))
    }
    let text = |member: &str| request[member].as_str().unwrap_or_default().to_owned();
    let query = || InstanceQuery::new(text("flowInstanceId"));
    match operation {
        "createFlow" => answer(engine.create_flow(param(request))),
        "updateFlow" => answer(engine.update_flow(param(request))),
        "deployFlow" => answer(engine.deploy_flow(param(request))),
        "disableFlow" => answer(engine.disable_flow(param(request))),
        "enableFlow" => answer(engine.enable_flow(param(request))),
        "getFlowModule" => answer(engine.get_flow_module(param(request))),
        "startProcess" => answer(engine.start_process(param(request))),
        "commitTask" => answer(engine.commit_task(param(request))),
        "rollbackTask" => answer(engine.rollback_task(param(request))),
        "terminateProcess" => answer(engine.terminate_process(param::<flowledger::TerminateProcessParam>(request))),
        "getHistoryUserTaskList" => answer(engine.get_history_user_task_list(query())),
        "getHistoryElementList" => answer(engine.get_history_element_list(query())),
        "getInstanceData" => answer(engine.get_instance_data(query())),
        "getNodeInstance" => answer(engine.get_node_instance(query(), text("nodeInstanceId"))),
        "getFlowInstance" => answer(engine.get_flow_instance(text("flowInstanceId"))),
        "instanceRecords" => engine
            .instance_records(text("flowInstanceId"))
            .map(|records| json!(records.len())),
        other => panic!("there is no operation {other}"),
    }
}

/// An engine with a running instance, and the ids of everything it has.
struct Bench {
    engine: BlockingEngine,
    module: String,
    deployment: String,
    instance: String,
    task: String,
}

impl Bench {
    fn new(profile: Profile) -> Self {
        let engine = opened(Engine::builder().profile(profile));
        let module = deployed(&engine, LINE);
        let started = engine
            .start_process(StartProcessParam::of_module(module.clone()))
            .expect("the flow starts");
        let (instance, task) = instance_and_task(&started);
        Self {
            deployment: started
                .flow_deploy_id
                .expect("the answer names the deployment")
                .to_string(),
            module: module.to_string(),
            instance: instance.to_string(),
            task: task.to_string(),
            engine,
        }
    }

    /// A request that the operation takes.
    fn good(&self, operation: &str) -> Json {
        let owner = json!({ "tenant": "t", "caller": "c" });
        let with = |mut request: Json, member: &str, value: &str| {
            request[member] = json!(value);
            request
        };
        let instance = json!({ "flowInstanceId": self.instance });
        match operation {
            "createFlow" => owner,
            "updateFlow" => with(with(owner, "flowModuleId", &self.module), "flowModel", "{}"),
            "deployFlow" => with(owner, "flowModuleId", &self.module),
            "disableFlow" | "enableFlow" | "getFlowModule" | "startProcess" => json!({ "flowModuleId": self.module }),
            "commitTask" | "rollbackTask" => with(instance, "taskInstanceId", &self.task),
            "getNodeInstance" => with(instance, "nodeInstanceId", &self.task),
            _ => instance,
        }
    }

    /// The operation refuses the request with this code, and the log stays as it is.
    fn assert_refused(&self, operation: &str, request: &Json, code: i32) -> EngineError {
        let before = log(&self.engine).len();
        let error = match give(&self.engine, operation, request) {
            Err(error) => error,
            Ok(answer) => panic!("{operation} takes {request}: {answer}"),
        };
        assert_eq!(error.err_code(), code, "{operation} {request}: {error}");
        assert!(
            !error.detail().is_empty(),
            "{operation} {request} is refused without a word"
        );
        assert_eq!(log(&self.engine).len(), before, "{operation} {request} left a record");
        error
    }
}

const COMMANDS: [&str; 9] = [
    "createFlow",
    "updateFlow",
    "deployFlow",
    "disableFlow",
    "enableFlow",
    "startProcess",
    "commitTask",
    "rollbackTask",
    "terminateProcess",
];

const INSTANCE_QUERIES: [&str; 6] = [
    "getHistoryUserTaskList",
    "getHistoryElementList",
    "getInstanceData",
    "getNodeInstance",
    "getFlowInstance",
    "instanceRecords",
];

#[test]
fn blank_members_are_refused_by_their_names() {
    let table: &[(&str, &[&str])] = &[
        ("createFlow", &["tenant", "caller"]),
        ("updateFlow", &["tenant", "caller", "flowModuleId", "flowModel"]),
        ("deployFlow", &["tenant", "caller", "flowModuleId"]),
        ("disableFlow", &["flowModuleId"]),
        ("enableFlow", &["flowModuleId"]),
        ("getFlowModule", &["flowModuleId"]),
        ("startProcess", &["flowModuleId"]),
        ("commitTask", &["flowInstanceId", "taskInstanceId"]),
        ("rollbackTask", &["flowInstanceId", "taskInstanceId"]),
        ("terminateProcess", &["flowInstanceId"]),
        ("getHistoryUserTaskList", &["flowInstanceId"]),
        ("getHistoryElementList", &["flowInstanceId"]),
        ("getInstanceData", &["flowInstanceId"]),
        ("getNodeInstance", &["flowInstanceId", "nodeInstanceId"]),
        ("getFlowInstance", &["flowInstanceId"]),
        ("instanceRecords", &["flowInstanceId"]),
    ];
    for profile in [Profile::Documented, Profile::Turbo131] {
        let bench = Bench::new(profile);
        for (operation, members) in table {
            for member in *members {
                for blank in [None, Some(""), Some("  "), Some("\t\n\u{3000}")] {
                    let mut request = bench.good(operation);
                    match blank {
                        None => drop(request.as_object_mut().and_then(|members| members.remove(*member))),
                        Some(blank) => request[*member] = json!(blank),
                    }
                    let error = bench.assert_refused(operation, &request, 2001);
                    assert!(
                        error.detail().contains(member),
                        "{operation}: {member} is not named: {error}"
                    );
                }
            }
        }
        for operation in COMMANDS {
            let mut request = bench.good(operation);
            request["commandId"] = json!("  ");
            let error = bench.assert_refused(operation, &request, 2001);
            assert!(error.detail().contains("commandId"), "{operation}: {error}");
        }
    }
}

#[test]
fn members_that_are_too_long_are_refused_by_their_names() {
    let limits = Limits::default();
    let (id, name, remark) = (limits.id_chars, limits.name_chars, limits.remark_chars);
    let owned: &[(&str, usize)] = &[
        ("tenant", name),
        ("caller", name),
        ("operator", name),
        ("flowModuleId", id),
    ];
    let table: &[(&str, &[(&str, usize)])] = &[
        (
            "createFlow",
            &[
                ("tenant", name),
                ("caller", name),
                ("operator", name),
                ("flowKey", name),
                ("flowName", name),
                ("remark", remark),
            ],
        ),
        (
            "updateFlow",
            &[
                ("tenant", name),
                ("operator", name),
                ("flowModuleId", id),
                ("flowKey", name),
                ("flowName", name),
                ("remark", remark),
            ],
        ),
        ("deployFlow", owned),
        ("disableFlow", &[("flowModuleId", id)]),
        ("startProcess", &[("flowModuleId", id), ("flowDeployId", id)]),
        ("getFlowModule", &[("flowModuleId", id), ("flowDeployId", id)]),
        (
            "commitTask",
            &[
                ("flowInstanceId", id),
                ("taskInstanceId", id),
                ("callActivityFlowModuleId", id),
            ],
        ),
        ("rollbackTask", &[("flowInstanceId", id), ("taskInstanceId", id)]),
        ("terminateProcess", &[("flowInstanceId", id)]),
        ("getInstanceData", &[("flowInstanceId", id)]),
        ("getNodeInstance", &[("nodeInstanceId", id)]),
    ];
    let bench = Bench::new(Profile::Documented);
    let refuse = |operation: &str, member: &str, most: usize| {
        // Characters count, not bytes.
        let mut request = bench.good(operation);
        request[member] = json!("\u{6587}".repeat(most + 1));
        let error = bench.assert_refused(operation, &request, 2001);
        assert!(
            error.detail().contains(member) && error.detail().contains(&most.to_string()),
            "{operation}: {error}"
        );
        request[member] = json!("\u{6587}".repeat(most));
        if let Err(error) = give(&bench.engine, operation, &request) {
            assert!(
                !error.detail().contains("the limit is"),
                "{operation} {member}: {error}"
            );
        }
    };
    for (operation, members) in table {
        for (member, most) in *members {
            refuse(operation, member, *most);
        }
    }
    for operation in COMMANDS {
        refuse(operation, "reason", remark);
        refuse(operation, "commandId", id);
    }
    for member in ["tenant", "caller", "operator"] {
        let mut request = bench.good("commitTask");
        request["actor"] = json!({ member: "x".repeat(name + 1) });
        let error = bench.assert_refused("commitTask", &request, 2001);
        assert!(error.detail().contains(member), "{error}");
    }
}

#[test]
fn unknown_ids_and_ids_of_another_kind_are_refused() {
    for profile in [Profile::Documented, Profile::Turbo131] {
        let bench = Bench::new(profile);
        let is_turbo = profile == Profile::Turbo131;
        let (module, deployment) = (bench.module.as_str(), bench.deployment.as_str());
        let (instance, task) = (bench.instance.as_str(), bench.task.as_str());
        let strangers = [
            "nobody",
            "1111abd9-2222-11eb-9c82-c66c762e3333",
            "\u{0}",
            "'; drop table",
            "../../etc",
        ];
        let all = [module, deployment, instance, task];
        let not = |kind: usize| {
            all.into_iter()
                .enumerate()
                .filter(move |(index, _)| *index != kind)
                .map(|(_, id)| id)
        };
        let refuse = |operation: &str, member: &str, wrong: &str, code: i32| {
            let mut request = bench.good(operation);
            request[member] = json!(wrong);
            bench.assert_refused(operation, &request, code);
        };
        for wrong in strangers.into_iter().chain(not(0)) {
            refuse("updateFlow", "flowModuleId", wrong, 3002);
            refuse("deployFlow", "flowModuleId", wrong, 3101);
            refuse("disableFlow", "flowModuleId", wrong, 3101);
            refuse("enableFlow", "flowModuleId", wrong, 3101);
            refuse("startProcess", "flowModuleId", wrong, 4007);
            refuse(
                "getFlowModule",
                "flowModuleId",
                wrong,
                if is_turbo { 2001 } else { 3101 },
            );
        }
        for wrong in strangers.into_iter().chain(not(1)) {
            refuse("startProcess", "flowDeployId", wrong, 4007);
            refuse(
                "getFlowModule",
                "flowDeployId",
                wrong,
                if is_turbo { 2001 } else { 3101 },
            );
        }
        for wrong in strangers.into_iter().chain(not(2)) {
            for operation in ["commitTask", "rollbackTask", "terminateProcess"]
                .into_iter()
                .chain(INSTANCE_QUERIES)
            {
                if is_turbo && operation.starts_with("getHistory") {
                    let answer = give(&bench.engine, operation, &json!({ "flowInstanceId": wrong }));
                    assert_eq!(answer.expect("T-55: an empty list")["errCode"], 1000);
                    continue;
                }
                refuse(operation, "flowInstanceId", wrong, 4008);
            }
        }
        for wrong in strangers.into_iter().chain(not(3)) {
            refuse("commitTask", "taskInstanceId", wrong, 4010);
            refuse("rollbackTask", "taskInstanceId", wrong, 4010);
            refuse("getNodeInstance", "nodeInstanceId", wrong, 4010);
        }
        // Nothing of it has touched what is there.
        assert_eq!(
            give(&bench.engine, "commitTask", &bench.good("commitTask")).expect("it goes on")["errCode"],
            1002
        );
    }
}

#[test]
fn task_of_another_instance_is_unknown() {
    let bench = Bench::new(Profile::Documented);
    let (_, other) = started(&bench.engine, &FlowModuleId::new(&bench.module));
    let mut request = bench.good("commitTask");
    request["taskInstanceId"] = json!(other.to_string());
    bench.assert_refused("commitTask", &request, 4010);
}

/// Deploys a text as a model; the code of whichever step refuses it. No deployment may come of it.
fn refused_model(bench: &Bench, text: &str) -> EngineError {
    let engine = &bench.engine;
    let create = CreateFlowParam {
        tenant: "t".into(),
        caller: "c".into(),
        ..CreateFlowParam::default()
    };
    let module = engine
        .create_flow(create)
        .expect("a module can be created")
        .flow_module_id;
    let model = DeployModel {
        flow_model: text.to_owned(),
        ..DeployModel::default()
    }
    .to_module(module.clone());
    let shown: String = text.chars().take(80).collect();
    let error = match engine.deploy_model(model) {
        Err(error) => error,
        Ok(deployed) => panic!("{shown} is deployed: {deployed:?}"),
    };
    assert!(
        !error.detail().is_empty() && error.err_msg().len() < 10_000,
        "{shown}: {error}"
    );
    let start = engine
        .start_process(StartProcessParam::of_module(module))
        .expect_err("there is no deployment");
    assert_eq!(start.err_code(), 4007, "{shown}");
    error
}

#[test]
fn texts_that_are_no_model_are_refused() {
    let bench = Bench::new(Profile::Documented);
    let start = r#"{"key":"s","type":2,"outgoing":["f"]}"#;
    let table = [
        ("not json", 3201),
        ("{", 3201),
        ("[]", 3201),
        ("null", 3201),
        ("42", 3201),
        ("\"text\"", 3201),
        ("{}", 3201),
        ("{\"flowElementList\":[]}", 3201),
        ("{\"flowElementList\":null}", 3201),
        ("{\"flowElementList\":{}}", 3201),
        ("{\"flowElementList\":[]} trailing", 3201),
        ("\u{feff}{\"flowElementList\":[]}", 3201),
        ("\u{0}", 3201),
        ("{\"flowElementList\":[1]}", 3217),
        ("{\"flowElementList\":[null]}", 3217),
        ("{\"flowElementList\":[{\"key\":[]}]}", 3217),
        ("{\"flowElementList\":[{\"key\":\"\\ud800\"}]}", 3217),
        ("{\"flowElementList\":[{\"key\":\"s\",\"type\":\"two\"}]}", 3217),
        (
            "{\"flowElementList\":[{\"key\":\"s\",\"type\":2,\"outgoing\":\"f\"}]}",
            3217,
        ),
    ];
    for (text, code) in table {
        assert_eq!(refused_model(&bench, text).err_code(), code, "{text}");
    }
    let dangling = [
        format!(r#"{{"flowElementList":[{start},{{"key":"e","type":3,"incoming":["f"]}}]}}"#),
        format!(
            r#"{{"flowElementList":[{start},{{"key":"f","type":1,"incoming":["s"],"outgoing":["nowhere"]}},{{"key":"e","type":3,"incoming":["f"]}}]}}"#
        ),
        format!(
            r#"{{"flowElementList":[{start},{{"key":"f","type":1,"incoming":["ghost"],"outgoing":["e"]}},{{"key":"e","type":3,"incoming":["f"]}}]}}"#
        ),
    ];
    for text in dangling {
        let error = refused_model(&bench, &text);
        assert_eq!(error.err_code(), 3206, "{error}");
        assert!(!error.about().faults.is_empty(), "no fault is listed: {error}");
    }
}

#[test]
fn models_beyond_the_limits_are_refused() {
    without_hanging("a huge model", || {
        let bench = Bench::new(Profile::Documented);
        let huge = format!(
            "{{\"flowElementList\":[{}]}}",
            "{\"key\":\"k\",\"type\":4},".repeat(500_000)
        );
        assert!(huge.len() > 10_000_000);
        let error = refused_model(&bench, &huge);
        assert_eq!(error.err_code(), 2001);
        assert!(error.detail().contains("ModelLimits::bytes"), "{error}");

        let many: Vec<String> = (0..50_001)
            .map(|key| format!("{{\"key\":\"k{key}\",\"type\":4}}"))
            .collect();
        let error = refused_model(&bench, &format!("{{\"flowElementList\":[{}]}}", many.join(",")));
        assert_eq!(error.err_code(), 3217, "{error}");
        assert!(error.detail().contains("`elements`"), "{error}");

        for levels in [65, 200, 100_000, 2_000_000] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                if open.len() * levels > ModelLimits::BYTES / 2 {
                    continue;
                }
                let deep = format!("{}1{}", open.repeat(levels), close.repeat(levels));
                let text = format!("{{\"flowElementList\":[{{\"key\":\"s\",\"properties\":{{\"deep\":{deep}}}}}]}}");
                let error = refused_model(&bench, &text);
                assert_eq!(error.err_code(), 3217, "{levels} levels: {error}");
                let unfinished = format!("{{\"flowElementList\":{}", open.repeat(levels));
                assert!([3201, 3217].contains(&refused_model(&bench, &unfinished).err_code()));
            }
        }
        let long_key = "k".repeat(1_000_000);
        let error = refused_model(
            &bench,
            &format!("{{\"flowElementList\":[{{\"key\":\"{long_key}\",\"type\":2}}]}}"),
        );
        assert_eq!(error.err_code(), 3217, "{error}");
    });
}

#[test]
fn deep_variables_in_json_are_refused() {
    for levels in [66, 200, 100_000] {
        let deep = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        let text = format!("{{\"flowModuleId\":\"m\",\"variables\":[{{\"key\":\"a\",\"value\":{deep}}}]}}");
        let error = serde_json::from_str::<StartProcessParam>(&text).expect_err("too deep");
        assert!(!error.to_string().is_empty());
    }
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let text = format!("{{\"flowModuleId\":\"m\",\"variables\":[{{\"key\":\"a\",\"value\":{deep}}}]}}");
    serde_json::from_str::<StartProcessParam>(&text).expect("sixty levels are fine");
    for broken in [
        "{\"variables\":[{\"value\":1}]}",
        "{\"variables\":[{\"key\":null}]}",
        "{\"variables\":{}}",
        "{\"commandId\":7}",
    ] {
        let error = serde_json::from_str::<StartProcessParam>(broken).expect_err("no request");
        assert!(!error.to_string().is_empty(), "{broken}");
    }
}

#[test]
fn variables_beyond_the_limits_are_refused() {
    let bench = Bench::new(Profile::Documented);
    let limits = Limits::default();
    let (instance, task) = (FlowInstanceId::new(&bench.instance), NodeInstanceId::new(&bench.task));
    let commit = |variables: Vec<InstanceData>| {
        let mut param = CommitTaskParam::new(&instance, &task);
        param.variables = variables;
        bench.engine.commit_task(param)
    };
    let start = |variables: Vec<InstanceData>| {
        let mut param = StartProcessParam::of_module(FlowModuleId::new(&bench.module));
        param.variables = variables;
        bench.engine.start_process(param)
    };
    let many =
        |count: usize| -> Vec<InstanceData> { (0..count).map(|n| InstanceData::new(&n.to_string(), 1)).collect() };
    let long = |bytes: usize| vec![InstanceData::new("long", "x".repeat(bytes))];
    let table = [
        (
            vec![InstanceData::new("a", 1), InstanceData::new("", 1)],
            "variables[1].key",
        ),
        (vec![InstanceData::new(" \t", 1)], "variables[0].key"),
        (many(limits.variables + 1), "Limits::variables"),
        (long(limits.variable_bytes), "Limits::variable_bytes"),
        (long(100 << 20), "Limits::variable_bytes"),
        (
            vec![InstanceData::new(&"k".repeat(5 << 20), 1)],
            "Limits::variable_bytes",
        ),
    ];
    let before = log(&bench.engine).len();
    for (variables, named) in table {
        for error in [
            commit(variables.clone()).expect_err(named),
            start(variables).expect_err(named),
        ] {
            assert_eq!(error.err_code(), 2001, "{named}: {error}");
            assert!(
                error.detail().contains(named) && error.detail().len() < 1_000,
                "{named}: {error}"
            );
        }
    }
    assert_eq!(log(&bench.engine).len(), before);
    assert_eq!(
        start(many(limits.variables)).expect("as many as allowed").err_code,
        1002
    );
    assert_eq!(
        commit(long(limits.variable_bytes - 100))
            .expect("as large as allowed")
            .err_code,
        1002
    );
    verified(&bench.engine);
}

#[test]
fn conditions_that_would_take_for_ever_fail_soon() {
    without_hanging("a condition", bombs);
}

fn bombs() {
    let power = "9**".repeat(30) + "9 > 1";
    let parentheses = format!("{}a{} > 1", "(".repeat(4_000), ")".repeat(4_000));
    let negations = format!("{}true", "!".repeat(9_000));
    let sums = vec!["s"; 1_000].join(" + ") + " == ''";
    let endless = "1 + ".repeat(100_000) + "1 > 0";
    let literal = format!("'{}' == ''", "x".repeat(100_000));
    let lists = format!("{}{} == 1", "[".repeat(4_000), "]".repeat(4_000));
    let deep_and = vec!["true"; 1_800].join(" && ");
    let table = [
        ("towers of powers", power.as_str()),
        (
            "a tower of powers in parentheses",
            "2 ** (2 ** (2 ** (2 ** (2 ** 2)))) > 1",
        ),
        ("a power beyond all digits", "999999999 ** 999999999 > 1"),
        ("parentheses", &parentheses),
        ("negations", &negations),
        ("sums of long texts", &sums),
        ("an endless sum", &endless),
        ("a long literal", &literal),
        ("nested lists", &lists),
        ("a repeated text", "s * 1000000000 == ''"),
        ("a text repeated again and again", "((s * 1000) * 1000) * 1000 == ''"),
        ("an endless range", "(1..2000000000).size() == 0"),
        ("a repeated list", "([1] * 2000000000).size() == 0"),
        ("padding", "'x'.padLeft(2000000000) == ''"),
        ("a big shift", "(1 << 2000000000) == 0G"),
        ("a catastrophic pattern", "s ==~ '(x+x+)+y'"),
        ("replacing each by all", "s.replaceAll('x', s).size() == 0"),
    ];
    for (what, condition) in table.into_iter().chain([("a long conjunction", deep_and.as_str())]) {
        let bench = Bench::new(Profile::Documented);
        let sketch = "start -> ask -> gate; gate -(CONDITION)-> high -> end; gate -(default)-> low -> end";
        let mut model = flow("main", sketch).flow_model;
        let elements = model["flowElementList"].as_array_mut().expect("a list");
        let flow = elements
            .iter_mut()
            .find(|element| element["properties"]["conditionsequenceflow"] == "CONDITION");
        flow.expect("the flow with the condition")["properties"]["conditionsequenceflow"] = json!(condition);
        let module = match bench.engine.deploy_model(DeployModel::new("bomb", &model.to_string())) {
            Ok(deployed) => deployed.flow_module_id,
            Err(error) => panic!("{what}: {error}"),
        };
        let (instance, task) = started(&bench.engine, &module);
        let before = told(&bench.engine, &instance)[1]["variables"].clone();
        let long = "x".repeat(1_000_000);
        let param = CommitTaskParam::new(&instance, &task)
            .variable("s", long)
            .variable("a", 5);
        match bench.engine.commit_task(param) {
            Ok(answer) => {
                // Not every one of them is beyond the limits, but all come to an end.
                println!("{what}: {}", answer.err_code);
                assert_eq!(answer.err_code, 1002, "{what}");
            }
            Err(error) => {
                println!("{what}: {}", error.to_string().chars().take(150).collect::<String>());
                assert_eq!(error.err_code(), 4018, "{what}: {error}");
                let most = condition.len() + 1_000;
                assert!(
                    error.err_msg().len() <= most,
                    "{what}: the message has {} bytes",
                    error.err_msg().len()
                );
                assert_eq!(told(&bench.engine, &instance)[1]["variables"], before, "{what}");
            }
        }
        verified(&bench.engine);
    }
}

#[test]
fn towers_and_floods_reach_the_limit_and_nothing_else() {
    let bench = Bench::new(Profile::Documented);
    for condition in [
        "9**99**99**99 > 1",
        "s * 1000000000 == ''",
        "([1] * 2000000000).size() == 0",
    ] {
        let sketch = format!("start -> ask -> gate; gate -({condition})-> high -> end; gate -(default)-> low -> end");
        let (instance, task) = started(&bench.engine, &deployed(&bench.engine, &sketch));
        let param = CommitTaskParam::new(&instance, &task).variable("s", "x".repeat(1_000));
        let error = bench.engine.commit_task(param).expect_err("beyond the limits");
        assert_eq!(error.err_code(), 4018, "{condition}: {error}");
        assert_eq!(
            error.about().version,
            Some(2),
            "a commit that dies on its way leaves one record"
        );
    }
}

#[test]
fn ring_of_gateways_is_cut_off_and_leaves_nothing() {
    let ring = "start -> ask -> gate1; gate1 -(default)-> gate2; gate2 -(stop == true)-> end; gate2 -(default)-> gate1";
    let model = flow("ring", ring).flow_model.to_string();
    let documented = Bench::new(Profile::Documented);
    assert_eq!(refused_model(&documented, &model).err_code(), 3207);

    let turbo = Bench::new(Profile::Turbo131);
    let deployed = turbo
        .engine
        .deploy_model(DeployModel::new("ring", &model))
        .expect("a warning only");
    assert!(!deployed.warnings.is_empty());
    let (instance, task) = started(&turbo.engine, &deployed.flow_module_id);
    let before = (log(&turbo.engine).len(), told(&turbo.engine, &instance));
    let error = turbo
        .engine
        .commit_task(CommitTaskParam::new(&instance, &task).variable("stop", false))
        .expect_err("it never comes to a task");
    assert_eq!((error.err_code(), error.err_code_ext()), (5000, Some(7009)), "{error}");
    assert!(error.detail().contains("Limits::steps"), "{error}");
    assert_eq!((log(&turbo.engine).len(), told(&turbo.engine, &instance)), before);
    let answer = turbo
        .engine
        .commit_task(CommitTaskParam::new(&instance, &task).variable("stop", true));
    assert_eq!(answer.expect("it can leave the ring").err_code, 1000);
}

#[test]
fn command_id_with_other_content_is_refused() {
    let bench = Bench::new(Profile::Documented);
    let model = flow("main", LINE).flow_model.to_string();
    let with = |operation: &str, changes: Json| {
        let mut request = bench.good(operation);
        if operation == "updateFlow" {
            request["flowModel"] = json!(model);
        }
        request["commandId"] = json!(format!("the {operation}"));
        for (member, value) in changes.as_object().expect("changes are an object") {
            request[member] = value.clone();
        }
        request
    };
    let table = [
        ("createFlow", json!({ "flowName": "another" })),
        ("createFlow", json!({ "remark": "another" })),
        ("updateFlow", json!({ "flowName": "another" })),
        ("updateFlow", json!({ "flowModel": "{}" })),
        ("startProcess", json!({ "variables": [{ "key": "a", "value": 1 }] })),
        (
            "startProcess",
            json!({ "flowModuleId": null, "flowDeployId": bench.deployment }),
        ),
        ("commitTask", json!({ "variables": [{ "key": "a", "value": 1 }] })),
        ("commitTask", json!({ "taskInstanceId": "another" })),
        ("rollbackTask", json!({ "taskInstanceId": "another" })),
        ("terminateProcess", json!({ "effectiveForSubFlowInstance": false })),
    ];
    for (operation, changes) in table {
        let mut request = with(operation, json!({}));
        if operation == "rollbackTask" {
            // Back to the first task, from the one behind it.
            let tasks = bench
                .engine
                .get_history_user_task_list(bench.instance.as_str())
                .expect("tasks");
            let active = tasks
                .node_instance_list
                .first()
                .expect("a task")
                .node_instance_id
                .to_string();
            if request["taskInstanceId"] != json!(active) && tasks.version == 2 {
                request["taskInstanceId"] = json!(active);
            }
        }
        let first = give(&bench.engine, operation, &request);
        let Ok(first) = first else {
            assert_eq!(operation, "rollbackTask", "{first:?}");
            continue;
        };
        let before = log(&bench.engine).len();
        assert_eq!(
            give(&bench.engine, operation, &request).expect("a repeat is answered"),
            first,
            "{operation}"
        );
        let error = bench.assert_refused(operation, &with(operation, changes.clone()), 7301);
        assert!(error.detail().contains("commandId"), "{operation} {changes}: {error}");
        assert_eq!(log(&bench.engine).len(), before);
    }
    // The id of another operation on the same stream.
    let mut request = bench.good("terminateProcess");
    request["commandId"] = json!("the commitTask");
    bench.assert_refused("terminateProcess", &request, 7301);
    for (operation, id) in [("deployFlow", "the updateFlow"), ("disableFlow", "the updateFlow")] {
        let mut request = bench.good(operation);
        request["commandId"] = json!(id);
        bench.assert_refused(operation, &request, 7301);
    }
}

#[test]
fn pages_and_positions_of_any_size_are_answered() {
    let bench = Bench::new(Profile::Documented);
    for limit in [None, Some(0), Some(1), Some(usize::MAX)] {
        for before in [None, Some(0), Some(1), Some(u64::MAX)] {
            let page = ListParam { before, limit };
            bench
                .engine
                .list_flow_modules(&ModuleFilter::default(), page)
                .expect("a page");
            bench
                .engine
                .list_flow_instances(&InstanceFilter::default(), page)
                .expect("a page");
        }
    }
    for after in [0, 1, u64::MAX - 1, u64::MAX] {
        for max in [0, 1, usize::MAX] {
            bench.engine.log_records(after, max).expect("records, or none");
        }
    }
    for status in [i32::MIN, -1, 0, 4, i32::MAX] {
        let filter = InstanceFilter {
            status: Some(status),
            ..InstanceFilter::default()
        };
        assert!(
            bench
                .engine
                .list_flow_instances(&filter, ListParam::default())
                .expect("a page")
                .flow_instances
                .is_empty()
        );
    }
    let filter = InstanceFilter {
        as_of: Some(Timestamp::from_millis(i64::MIN)),
        ..InstanceFilter::default()
    };
    assert!(
        bench
            .engine
            .list_flow_instances(&filter, ListParam::default())
            .expect("a page")
            .flow_instances
            .is_empty()
    );
}

struct Clocked(i64);

impl flowledger::Clock for Clocked {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0)
    }
}

#[test]
fn clock_at_the_ends_of_time_is_survived() {
    for profile in [Profile::Documented, Profile::Turbo131] {
        for now in [i64::MIN, -1, 0, i64::MAX] {
            let engine = opened(Engine::builder().profile(profile).clock(Clocked(now)));
            let (instance, task) = started(&engine, &deployed(&engine, LINE));
            engine
                .commit_task(CommitTaskParam::new(&instance, &task))
                .expect("the commit is taken");
            told(&engine, &instance);
            for record in log(&engine) {
                record.to_json().expect("a record is JSON");
            }
        }
    }
}

/// A process that holds a data directory until it is told to let go.
struct Holder(Child);

impl Holder {
    fn of(directory: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_crash"))
            .args(["--hold", "--dir"])
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("the output is piped"))
            .read_line(&mut line)
            .expect("a line");
        assert_eq!(line.trim(), "held");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The error of an engine that must not open.
fn unopened(directory: &Path, profile: Profile) -> EngineError {
    match Engine::builder().profile(profile).data_dir(directory).open() {
        Ok(_) => panic!("{} opens", directory.display()),
        Err(error) => error,
    }
}

#[test]
fn data_directory_in_use_by_another_process_is_refused() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = opened(Engine::builder().data_dir(&path));
    let (instance, _) = started(&engine, &deployed(&engine, LINE));
    engine.close().expect("the store closes");
    drop(engine);
    let holder = Holder::of(&path);
    let error = unopened(&path, Profile::Documented);
    assert_eq!(error.err_code(), 7008, "{error}");
    assert!(
        error.detail().contains("in use") && error.detail().contains("store"),
        "{error}"
    );
    let error = unopened(&path, Profile::Turbo131);
    assert_eq!((error.err_code(), error.err_code_ext()), (5000, Some(7008)), "{error}");
    drop(holder);
    let engine = opened(Engine::builder().data_dir(&path));
    assert_eq!(engine.get_flow_instance(instance).expect("it is there").version, 1);
}

/// Mounts something for the length of a test.
struct Mount(PathBuf);

impl Mount {
    /// `None`, said aloud, where this is not allowed.
    fn new(at: &Path, arguments: &[&str]) -> Option<Self> {
        std::fs::create_dir_all(at).expect("the mount point can be created");
        let mounted = Command::new("mount").args(arguments).arg(at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at.to_owned())),
            outcome => {
                eprintln!("SKIPPED: mount {arguments:?} is not possible here: {outcome:?}");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn data_directory_that_cannot_be_written_is_refused() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "no directory").expect("a file can be written");
    for path in [file.clone(), file.join("below")] {
        let error = unopened(&path, Profile::Documented);
        assert_eq!(error.err_code(), 7008, "{error}");
        assert!(error.detail().contains("file"), "the path is not named: {error}");
    }
    assert_eq!(
        std::fs::read_to_string(&file).expect("the file is there"),
        "no directory"
    );

    // A directory on a disk that cannot be written, empty and with a store.
    let path = directory.path().join("disk");
    let Some(_mount) = Mount::new(&path, &["-t", "tmpfs", "-o", "size=32m", "tmpfs"]) else {
        return;
    };
    let store = path.join("store");
    let engine = opened(Engine::builder().data_dir(&store));
    let (instance, _) = started(&engine, &deployed(&engine, LINE));
    engine.close().expect("the store closes");
    drop(engine);
    let remount = |mode: &str| {
        let options = format!("remount,{mode}");
        Command::new("mount")
            .args(["-o", options.as_str()])
            .arg(&path)
            .status()
            .is_ok_and(|status| status.success())
    };
    // sled lets go of its file a moment after it was closed; until then the disk is busy.
    let mut tries = 0;
    while !remount("ro") {
        tries += 1;
        assert!(tries < 1_000, "the closed store is never let go");
        thread::sleep(Duration::from_millis(5));
    }
    for path in [path.join("new"), store.clone()] {
        let error = unopened(&path, Profile::Documented);
        assert_eq!(error.err_code(), 7008, "{error}");
        assert!(error.detail().contains("permission"), "{error}");
    }
    assert!(remount("rw"), "a disk that was mounted can be mounted again");
    let engine = opened(Engine::builder().data_dir(&store));
    assert_eq!(engine.get_flow_instance(instance).expect("it is there").version, 1);
}

/// Waits until the store takes commands again.
fn wait_until_ready(engine: &BlockingEngine) {
    while engine.engine().health().state != HealthState::Ready {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn full_disk_loses_nothing_and_is_got_over() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let disk = directory.path().join("disk");
    let Some(mount) = Mount::new(&disk, &["-t", "tmpfs", "-o", "size=64m", "tmpfs"]) else {
        return;
    };
    without_hanging("an engine on a full disk", move || {
        let store = disk.join("store");
        let engine = opened(Engine::builder().data_dir(&store));
        let module = deployed(&engine, LINE);
        let (instance, task) = started(&engine, &module);
        let mut answered: Vec<(StartProcessParam, Json)> = Vec::new();
        for round in 0..3 {
            let filler = disk.join("filler");
            // A megabyte and a half is left.
            let free = free_bytes(&disk).saturating_sub(3 << 19);
            std::fs::write(&filler, vec![7; usize::try_from(free).expect("a small disk")]).expect("it fits");
            let mut refused = Vec::new();
            for number in 0.. {
                assert!(number < 10_000, "the disk is never full");
                let param = StartProcessParam::of_module(module.clone())
                    .variable("filling", "x".repeat(50_000))
                    .command_id(&format!("{round}-{number}"));
                match engine.start_process(param.clone()) {
                    Ok(answer) => answered.push((param, serde_json::to_value(answer).expect("JSON"))),
                    Err(error) => {
                        assert_eq!((error.err_code(), error.err_code_ext()), (4016, Some(7008)), "{error}");
                        assert_eq!(error.about().command_id, param.options.command_id, "{error}");
                        refused.push(param);
                        if refused.len() == 5 {
                            break;
                        }
                    }
                }
            }
            // Meanwhile what is there can be read.
            assert_eq!(
                engine
                    .get_instance_data(&instance)
                    .expect("reading needs no room")
                    .version,
                1
            );
            let commit = CommitTaskParam::new(&instance, &task).variable("filling", "x".repeat(50_000));
            if round == 0 {
                let error = engine
                    .commit_task(commit.command_id("big commit"))
                    .expect_err("there is no room");
                assert_eq!(error.err_code(), 7008, "{error}");
                assert_eq!(error.about().command_id, Some("big commit".into()), "{error}");
            }
            std::fs::remove_file(&filler).expect("the filler can be removed");
            wait_until_ready(&engine);
            for param in refused {
                let answer = engine.start_process(param.clone()).expect("there is room again");
                answered.push((param, serde_json::to_value(answer).expect("JSON")));
            }
            let records = verified(&engine);
            assert_eq!(records, 4 + answered.len());
            for (param, answer) in &answered {
                let again = engine.start_process(param.clone()).expect("a repeat is answered");
                assert_eq!(serde_json::to_value(again).expect("JSON"), *answer);
            }
            assert_eq!(verified(&engine), records, "repeating adds nothing");
        }
        let commit = CommitTaskParam::new(&instance, &task).variable("filling", "x".repeat(50_000));
        assert_eq!(
            engine
                .commit_task(commit.command_id("big commit"))
                .expect("there is room")
                .version,
            2
        );
        let before: Vec<_> = log(&engine).iter().map(|record| record.leaf).collect();
        drop(engine);
        let engine = opened(Engine::builder().data_dir(&store));
        assert_eq!(
            log(&engine).iter().map(|record| record.leaf).collect::<Vec<_>>(),
            before
        );
        verified(&engine);
        drop(engine);
        drop(mount);
    });
}

fn free_bytes(disk: &Path) -> u64 {
    let output = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(disk)
        .output()
        .expect("df runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .last()
        .and_then(|line| line.trim().parse().ok())
        .expect("df tells a number")
}

#[test]
fn engine_with_contradicting_settings_is_refused() {
    let error = |builder: flowledger::EngineBuilder| match builder.open() {
        Ok(_) => panic!("the engine opens"),
        Err(error) => error,
    };
    let hook = |builder: flowledger::EngineBuilder| builder.hook_fn("twice", |_| Ok(Vec::new()));
    let refused = error(hook(hook(Engine::builder())));
    assert_eq!(refused.err_code(), 7007);
    assert!(refused.detail().contains("twice"), "{refused}");
    let nothing = Limits {
        steps: 0,
        ..Limits::default()
    };
    assert_eq!(error(Engine::builder().limits(nothing)).err_code(), 7007);
}

#[test]
fn engine_lives_on_after_all_kinds_of_bad_input() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, LINE);
    let (instance, task) = started(&engine, &module);
    let before = told(&engine, &instance);
    for id in ["", "nobody", module.to_string().as_str()] {
        let _ = engine.get_instance_data(id).expect_err("no instance");
        let _ = engine
            .terminate_process(&FlowInstanceId::new(id))
            .expect_err("no instance");
    }
    assert_eq!(told(&engine, &instance), before);
    assert_eq!(
        engine
            .commit_task(CommitTaskParam::new(&instance, &task))
            .expect("it goes on")
            .version,
        2
    );
}

#[test]
fn command_id_of_another_tenant_is_refused() {
    let bench = Bench::new(Profile::Documented);
    let model = flow("main", LINE).flow_model.to_string();
    for operation in ["createFlow", "updateFlow"] {
        let mut request = bench.good(operation);
        request["commandId"] = json!("once");
        if operation == "updateFlow" {
            request["flowModel"] = json!(model);
        }
        give(&bench.engine, operation, &request).expect("the first one is taken");
        request["tenant"] = json!("another tenant");
        bench.assert_refused(operation, &request, 7301);
    }
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Int(1), |inside, level| {
        if level % 2 == 0 {
            Value::from(vec![inside])
        } else {
            Value::Map(
                [("m".into(), inside)]
                    .into_iter()
                    .collect::<std::collections::BTreeMap<_, _>>()
                    .into(),
            )
        }
    })
}

#[test]
fn deep_variables_from_code_are_refused() {
    let bench = Bench::new(Profile::Documented);
    let (instance, task) = (FlowInstanceId::new(&bench.instance), NodeInstanceId::new(&bench.task));
    for levels in [65, 200, 500, 1_000, 1_100, 3_000] {
        let before = log(&bench.engine).len();
        let param = CommitTaskParam::new(&instance, &task).variable("deep", nested(levels));
        let error = bench.engine.commit_task(param).expect_err("too deep");
        assert_eq!(error.err_code(), 2001, "{levels} levels: {error}");
        assert_eq!(log(&bench.engine).len(), before);
    }
    let param = CommitTaskParam::new(&instance, &task).variable("deep", nested(64));
    bench.engine.commit_task(param).expect("64 levels are fine");
    let other = bench.engine.get_instance_data(&instance).expect("the instance answers");
    assert_eq!(other.variables[0].value, nested(64));
    verified(&bench.engine);
}

#[test]
fn number_from_code_that_is_no_number_does_not_spoil_the_log() {
    let store = memory();
    let engine = engine_on(&store);
    let (instance, task) = started(&engine, &deployed(&engine, LINE));
    let param = CommitTaskParam::new(&instance, &task).variable("n", Value::Number("NaN".into()));
    let error = engine.commit_task(param).expect_err("that is no number");
    assert_eq!(error.err_code(), 2001, "{error}");
    assert_eq!(
        engine_on(&store)
            .get_instance_data(&instance)
            .expect("it is there")
            .version,
        1
    );
}

#[test]
fn number_of_a_rust_caller_is_answered_as_it_is_read_back() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, LINE);
    let start = StartProcessParam::of_module(module).variable("n", Value::Number("5".into()));
    let started = engine.start_process(start).expect("it starts");
    assert_eq!(started.variables[0].value, Value::Int(5));
}

#[test]
fn deep_value_of_a_hook_is_a_failure_of_the_hook() {
    // 1019 levels and more leave a record that cannot be read, if the stack lasts so long.
    let engine = opened(Engine::builder().hook_fn("deep", |_| Ok(vec![InstanceData::new("deep", nested(200))])));
    let gate = "start -> ask -> gate[hookInfoIds=h]; gate -(default)-> check -> end; gate -(a == 1)-> end";
    let (instance, task) = started(&engine, &deployed(&engine, gate));
    engine
        .commit_task(CommitTaskParam::new(&instance, &task).variable("a", 2))
        .expect("never fatal");
    let data = engine.get_instance_data(&instance).expect("it is there").variables;
    assert_eq!(*data, [InstanceData::new("a", 2)]);
}

#[test]
fn failed_commits_do_not_repeat_a_long_condition() {
    let bench = Bench::new(Profile::Documented);
    let condition = format!("a == {}1", "1 + ".repeat(100_000));
    let sketch = format!("start -> ask -> gate; gate -({condition})-> high -> end; gate -(default)-> low -> end");
    let (instance, task) = started(&bench.engine, &deployed(&bench.engine, &sketch));
    let param = CommitTaskParam::new(&instance, &task).variable("a", 1);
    let error = bench.engine.commit_task(param).expect_err("the condition is too long");
    let recorded = log(&bench.engine).last().expect("there are records").bytes.len();
    assert!(
        error.err_msg().len() < 2_000 && recorded < 2_000,
        "{} and {recorded} bytes",
        error.err_msg().len()
    );
}

#[test]
fn weight_of_an_instance_follows_the_bytes_of_its_data() {
    use flowledger_engine_core::decider::Decider as _;
    use flowledger_engine_core::instance::FlowInstance;
    let engine = engine_on(&memory());
    let module = deployed(&engine, LINE);
    let weigh = |bytes: usize| {
        let param = StartProcessParam::of_module(module.clone()).variable("a", "x".repeat(bytes));
        let id = engine
            .start_process(param)
            .expect("it starts")
            .flow_instance_id
            .expect("an instance");
        let mut state = FlowInstance::default();
        for entry in engine.instance_records(id).expect("records") {
            let flowledger::AnyRecord::Instance(record) = entry.record else {
                panic!("a record of an instance")
            };
            state.apply_record(&record);
        }
        state.weight()
    };
    assert!(weigh(4_000_000) > 4_000_000, "4 MB weigh {} bytes", weigh(4_000_000));
}
