//! What a host adds: element types, merge strategies, calculators, id generators. A log needs none of them to be read.

use std::sync::Arc;

use flowledger::expression::{Condition, DialectCalculator, ExpressionCalculator, ExpressionError};
use flowledger::plug_in::{
    ElementPlugIn, ElementVisit, JoinStanding, MAX_NAME_CHARS, MergeStrategy, PlugInWayBack, Step, Way,
};
use flowledger::store::{Offset, SledOptions, Store};
use flowledger::{
    Actor, AnyRecord, BlockingEngine, Clock, CommandId, CommandOptions, CommitTaskParam, CreateFlowParam,
    DeployFlowParam, DeployModel, Element, ElementInstance, Engine, EngineBuilder, EngineError, FlowInstanceId,
    FlowModuleId, HostError, Id, IdGenerator, IdKind, IdOrigin, InstanceData, Limits, Listener, NodeInstanceId,
    Profile, RedoRollbackParam, RollbackTaskParam, RollbackToParam, RuntimeResult, StartProcessParam,
    TerminateProcessParam, Timestamp, UpdateFlowParam, Value,
};
use flowledger_engine_core::codec;
use flowledger_engine_core::decider::Decider;
use flowledger_engine_core::event::InstanceEvent;
use flowledger_engine_core::id::NameBasedIds;
use flowledger_engine_core::instance::FlowInstance;
use flowledger_tests::sketch::flow;
use serde_json::{Value as Json, json};

use crate::fixture::{deployed, engine_on, log, memory, opened, sled, told, turn_at_sled, verified};

/// Type 40, `approve…`: as many different people as the property `approvers` says must commit, two without it.
struct FourEyes;

impl FourEyes {
    fn approvers(element: &Element) -> Result<usize, String> {
        match element.property("approvers") {
            None => Ok(2),
            Some(Value::Int(count @ 1..)) => usize::try_from(*count).map_err(|error| error.to_string()),
            Some(other) => Err(format!("approvers is {other}; write a number above 0")),
        }
    }
}

impl ElementPlugIn for FourEyes {
    fn name(&self) -> &'static str {
        "four-eyes"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        40
    }

    fn validate(&self, element: &Element) -> Result<(), Vec<String>> {
        Self::approvers(element).map(|_| ()).map_err(|wrong| vec![wrong])
    }

    fn enter(&self, _: &ElementVisit<'_>) -> Result<Step, String> {
        Ok(Step::wait().payload(Vec::new()))
    }

    fn commit(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        let operator = visit.actor.operator.as_deref().ok_or("name the operator")?;
        let mut approved = match visit.payload {
            Some(Value::List(approved)) => approved.to_vec(),
            _ => Vec::new(),
        };
        if approved.contains(&operator.into()) {
            return Err(format!("{operator} has approved already"));
        }
        approved.push(operator.into());
        let step = if approved.len() < Self::approvers(visit.element)? {
            Step::wait().variable("lost", 1)
        } else {
            Step::pass().variable("approvedBy", approved.clone())
        };
        Ok(step.payload(approved))
    }
}

/// Type 41, `calc…`: adds the variables `a` and `b` up, and passes.
struct Sum;

impl ElementPlugIn for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn version(&self) -> &'static str {
        "2024-05"
    }

    fn element_type(&self) -> i64 {
        41
    }

    fn enter(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        let number = |key: &str| match visit.variables.value(key) {
            Some(Value::Int(number)) => Ok(*number),
            _ => Err(format!("variable {key} is no number")),
        };
        Ok(Step::pass().variable("total", number("a")? + number("b")?))
    }
}

/// Type 42, `route…`: does what the variable `way` says.
struct Route;

impl ElementPlugIn for Route {
    fn name(&self) -> &'static str {
        "route"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        42
    }

    fn enter(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        let Some(Value::Text(way)) = visit.variables.value("way") else {
            return Ok(Step::pass());
        };
        let text = |bytes: usize| "x".repeat(bytes);
        Ok(match &**way {
            "conditions" => Step::pass().by(Way::Conditions),
            "panic" => panic!("the router breaks"),
            "fail" => return Err(text(10_000)),
            "big variable" => Step::pass().variable("big", text(2 << 20)),
            "big payload" => Step::pass().payload(text(2 << 20)),
            "deep" => {
                let deep = (0..100).fold(Value::Null, |inside, _| Value::from(vec![inside]));
                Step::pass().payload(deep)
            }
            "not a number" => Step::pass().variable("n", Value::Number("none".into())),
            "unusual number" => Step::pass()
                .variable("n", Value::Number("5".into()))
                .payload(Value::Null),
            "blank" => Step::pass().variable(" ", 1),
            "many" => (0..11_000).fold(Step::pass(), |step, number| step.variable(&format!("v{number}"), 1)),
            "filling" => Step::pass()
                .by(Way::Along("back".into()))
                .variable("big", text(900_000)),
            along => Step::pass().by(Way::Along(along.into())),
        })
    }
}

/// Type 43, `note…`: waits once; rollbacks go over it.
struct Note;

impl ElementPlugIn for Note {
    fn name(&self) -> &'static str {
        "note"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        43
    }

    fn enter(&self, _: &ElementVisit<'_>) -> Result<Step, String> {
        Ok(Step::wait())
    }

    fn roll_back(&self) -> PlugInWayBack {
        PlugInWayBack::On
    }
}

/// Replaces the user task: one with the property `auto` does not wait, unless the variable `stop` is there.
struct AutoTask;

impl ElementPlugIn for AutoTask {
    fn name(&self) -> &'static str {
        "auto-task"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        4
    }

    fn validate(&self, element: &Element) -> Result<(), Vec<String>> {
        match element.text_property("auto") {
            None | Some("yes") => Ok(()),
            Some(_) => Err(vec!["auto is yes or absent".to_owned(), "and nothing else".to_owned()]),
        }
    }

    fn enter(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        match (visit.element.text_property("auto"), visit.variables.value("stop")) {
            (Some(_), None) => Ok(Step::pass().variable("auto", true)),
            _ => Ok(Step::wait()),
        }
    }
}

/// Replaces the exclusive gateway: takes its last way, whatever the conditions say.
struct LastWay;

impl ElementPlugIn for LastWay {
    fn name(&self) -> &'static str {
        "last-way"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        6
    }

    fn enter(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        let last = visit.element.outgoing.last().ok_or("no way on")?;
        Ok(Step::pass().by(Way::Along(last.clone())))
    }
}

/// An element plug-in that does nothing but to be registered.
struct Named(&'static str, i64);

impl ElementPlugIn for Named {
    fn name(&self) -> &str {
        self.0
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn element_type(&self) -> i64 {
        self.1
    }

    fn validate(&self, element: &Element) -> Result<(), Vec<String>> {
        match element.text_property("validate") {
            Some("panic") => panic!("the judge breaks"),
            Some("silent") => Err(Vec::new()),
            Some("many") => Err(vec!["x".repeat(10_000); 1_000]),
            _ => Ok(()),
        }
    }

    fn enter(&self, _: &ElementVisit<'_>) -> Result<Step, String> {
        Ok(Step::pass())
    }
}

/// Adds up what the branches made of each variable. Fires when two have arrived, or only at the end.
struct Adding {
    name: &'static str,
    at_two: bool,
}

impl MergeStrategy for Adding {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> &'static str {
        "7"
    }

    fn fires(&self, join: &JoinStanding) -> bool {
        self.at_two && join.arrived.len() == 2
    }

    fn merge(&self, join: &JoinStanding) -> Result<Vec<InstanceData>, String> {
        let mut sums = std::collections::BTreeMap::new();
        for change in join.arrived.iter().flat_map(|branch| &branch.changes) {
            match change.value {
                Value::Int(number) => *sums.entry(change.key.clone()).or_insert(0) += number,
                _ => return Err(format!("{} is no number", change.key)),
            }
        }
        let sums = sums.into_iter().map(|(key, sum)| InstanceData::new(&key, sum));
        Ok(sums.collect())
    }
}

/// The built-in conditions under another name.
struct Renamed(&'static str);

impl ExpressionCalculator for Renamed {
    fn name(&self) -> &str {
        self.0
    }

    fn version(&self) -> &'static str {
        "3"
    }

    fn compile(&self, text: &str) -> Result<Arc<dyn Condition>, ExpressionError> {
        DialectCalculator.compile(text)
    }
}

/// Name-based ids under another name.
struct OwnIds;

impl IdGenerator for OwnIds {
    fn name(&self) -> &'static str {
        "own-ids"
    }

    fn version(&self) -> &'static str {
        "9"
    }

    fn generate(&self, origin: IdOrigin<'_>, kind: IdKind, number: u32) -> Id {
        NameBasedIds.generate(origin, kind, number)
    }
}

/// Gives every instance the same id.
struct OneInstance;

impl IdGenerator for OneInstance {
    fn name(&self) -> &'static str {
        "one-instance"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn generate(&self, origin: IdOrigin<'_>, kind: IdKind, number: u32) -> Id {
        match kind {
            IdKind::FlowInstance => Id::new("the only one"),
            _ => NameBasedIds.generate(origin, kind, number),
        }
    }
}

struct Deaf;

impl Listener for Deaf {
    fn name(&self) -> &'static str {
        "deaf"
    }

    fn on_record(&self, _: Offset, _: &AnyRecord) -> Result<(), HostError> {
        Ok(())
    }
}

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_608_015_944_000)
    }
}

/// Every element plug-in with a type of its own, and two strategies.
fn builder(store: &Store) -> EngineBuilder {
    Engine::builder()
        .store(store.clone())
        .clock(StandingClock)
        .element(FourEyes)
        .element(Sum)
        .element(Route)
        .element(Note)
        .merge_strategy(Adding {
            name: "two-of-three",
            at_two: true,
        })
        .merge_strategy(Adding {
            name: "add",
            at_two: false,
        })
}

/// The model of a sketch in which names that begin so are elements of the plug-ins' types.
fn model(sketch: &str) -> String {
    let mut model = flow("main", sketch).flow_model;
    for element in model["flowElementList"].as_array_mut().expect("a model has elements") {
        let key = element["key"].as_str().expect("an element has a key");
        let types = [("approve", 40), ("calc", 41), ("route", 42), ("note", 43), ("own", 99)];
        if let Some((_, number)) = types.into_iter().find(|(name, _)| key.starts_with(name)) {
            element["type"] = json!(number);
        }
        if let Some(approvers) = element["properties"]["approvers"].as_str() {
            element["properties"]["approvers"] = serde_json::from_str(approvers).expect("approvers is JSON");
        }
    }
    model.to_string()
}

fn deploy(engine: &BlockingEngine, sketch: &str) -> Result<FlowModuleId, EngineError> {
    let records = log(engine).len();
    let options = |command: &str| CommandOptions {
        command_id: Some(format!("{command} behind record {records}").as_str().into()),
        ..CommandOptions::default()
    };
    let created = engine.create_flow(CreateFlowParam {
        tenant: "t".to_owned(),
        caller: "c".to_owned(),
        options: options("create"),
        ..CreateFlowParam::default()
    })?;
    let module = created.flow_module_id;
    update(engine, &module, sketch, options("update"));
    deploy_draft(engine, &module, options("deploy"))?;
    Ok(module)
}

fn update(engine: &BlockingEngine, module: &FlowModuleId, sketch: &str, options: CommandOptions) {
    let update = UpdateFlowParam {
        tenant: "t".to_owned(),
        caller: "c".to_owned(),
        flow_module_id: module.to_string(),
        flow_model: model(sketch),
        options,
        ..UpdateFlowParam::default()
    };
    engine.update_flow(update).expect("the draft is saved");
}

fn deploy_draft(engine: &BlockingEngine, module: &FlowModuleId, options: CommandOptions) -> Result<(), EngineError> {
    let deploy = DeployFlowParam {
        tenant: "t".to_owned(),
        caller: "c".to_owned(),
        flow_module_id: module.to_string(),
        options,
        ..DeployFlowParam::default()
    };
    engine.deploy_flow(deploy).map(|_| ())
}

/// An instance, and what is done with it.
struct Run {
    engine: BlockingEngine,
    id: FlowInstanceId,
    commands: usize,
}

/// The code, and where the branches that a command moved rest.
fn shown(answer: &Result<RuntimeResult, EngineError>) -> String {
    fn rests(result: &RuntimeResult, keys: &mut Vec<String>) {
        for branch in &result.node_execute_results {
            match &branch.active_task_instance.sub_node_result_list {
                Some(inside) => inside.iter().for_each(|inside| rests(inside, keys)),
                None => keys.push(branch.active_task_instance.model_key.to_string()),
            }
        }
    }
    match answer {
        Ok(result) => {
            let mut keys = Vec::new();
            rests(result, &mut keys);
            format!("{} {}", result.err_code, keys.join(","))
        }
        Err(error) => error.err_code().to_string(),
    }
}

fn variables(given: &[(&str, Json)]) -> Vec<InstanceData> {
    let given = given.iter();
    given
        .map(|(key, value)| InstanceData::new(key, value.clone()))
        .collect()
}

impl Run {
    /// Deploys a sketch and starts it.
    fn new(engine: BlockingEngine, sketch: &str, given: &[(&str, Json)]) -> (Self, String) {
        let module = deploy(&engine, sketch).expect("the flow deploys");
        Self::of_module(engine, module, given)
    }

    fn of_module(engine: BlockingEngine, module: FlowModuleId, given: &[(&str, Json)]) -> (Self, String) {
        let mut start = StartProcessParam::of_module(module).command_id("start");
        start.variables = variables(given);
        let answer = engine.start_process(start);
        let shown = shown(&answer);
        let id = answer.expect("the flow starts").flow_instance_id;
        let run = Self {
            engine,
            id: id.expect("the answer names the instance"),
            commands: 0,
        };
        (run, shown)
    }

    fn on(&self, engine: BlockingEngine) -> Self {
        Self {
            engine,
            id: self.id.clone(),
            commands: 1_000,
        }
    }

    fn command_id(&mut self) -> CommandId {
        self.commands += 1;
        format!("command {}", self.commands).as_str().into()
    }

    fn elements(&self) -> Vec<ElementInstance> {
        fn flat(elements: Vec<ElementInstance>, nodes: &mut Vec<ElementInstance>) {
            for mut element in elements {
                let inside = element.sub_element_instance_list.take().unwrap_or_default();
                if element.node_instance_id.is_some() {
                    nodes.push(element);
                }
                flat(inside, nodes);
            }
        }
        let mut nodes = Vec::new();
        let history = self.engine.get_history_element_list(&self.id);
        flat(history.expect("the history answers").element_instance_list, &mut nodes);
        nodes
    }

    /// The newest visit of an element, an active one before all others.
    fn node(&self, key: &str) -> NodeInstanceId {
        let mut visits = self.elements();
        visits.retain(|element| &*element.model_key == key);
        let active = visits.iter().rfind(|element| element.status == 2).or(visits.last());
        let id = active.and_then(|element| element.node_instance_id.clone());
        id.unwrap_or_else(|| panic!("the flow never came to {key}"))
    }

    fn try_commit(
        &mut self,
        key: &str,
        operator: Option<&str>,
        given: &[(&str, Json)],
    ) -> Result<RuntimeResult, EngineError> {
        let mut param = CommitTaskParam::new(&self.id, &self.node(key));
        param.variables = variables(given);
        param.options.command_id = Some(self.command_id());
        param.options.actor = operator.map(|operator| Actor {
            operator: Some(operator.into()),
            ..Actor::default()
        });
        self.engine.commit_task(param)
    }

    fn commit(&mut self, key: &str, operator: &str, given: &[(&str, Json)]) -> String {
        shown(&self.try_commit(key, Some(operator), given))
    }

    fn rollback(&mut self, key: &str) -> String {
        let mut param = RollbackTaskParam::new(&self.id, &self.node(key));
        param.options.command_id = Some(self.command_id());
        shown(&self.engine.rollback_task(param))
    }

    fn rollback_to(&mut self, key: &str) -> String {
        let mut param = RollbackToParam::element(&self.id, key);
        param.options.command_id = Some(self.command_id());
        shown(&self.engine.rollback_to(param))
    }

    fn redo(&mut self) -> String {
        let mut param = RedoRollbackParam::new(&self.id);
        param.options.command_id = Some(self.command_id());
        shown(&self.engine.redo_rollback(param))
    }

    fn statuses(&self) -> String {
        let nodes = self.elements();
        let nodes = nodes
            .iter()
            .map(|element| format!("{}={}", element.model_key, element.status));
        nodes.collect::<Vec<_>>().join(" ")
    }

    fn data(&self) -> Json {
        let data = self.engine.get_instance_data(&self.id).expect("the data answers");
        let data = data.variables.into_iter();
        data.map(|variable| (variable.key.to_string(), json!(variable.value)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn payload(&self, key: &str) -> Json {
        let node = self.engine.get_node_instance(&self.id, self.node(key));
        json!(node.expect("the node answers"))["nodeInstance"]["plugInPayload"].clone()
    }

    fn records(&self) -> usize {
        let records = self.engine.instance_records(self.id.clone());
        records.expect("the instance has records").len()
    }

    fn events(&self) -> Vec<InstanceEvent> {
        let records = self.engine.instance_records(self.id.clone());
        let records = records.expect("the instance has records").into_iter();
        let events = records.flat_map(|record| match record.record {
            AnyRecord::Instance(record) => record.events,
            AnyRecord::Module(_) => Vec::new(),
        });
        events.collect()
    }

    /// All that queries tell of the instance and of each node.
    fn told(&self) -> String {
        let nodes: Vec<Json> = self
            .elements()
            .into_iter()
            .filter_map(|element| element.node_instance_id)
            .map(|id| json!(self.engine.get_node_instance(&self.id, id).expect("the node answers")))
            .collect();
        let targets = self.engine.get_rollback_targets(self.id.clone());
        json!([
            told(&self.engine, &self.id),
            nodes,
            targets.expect("the targets answer")
        ])
        .to_string()
    }
}

const TWO: &str = "start -> ask -> approve -> after -> end";

#[test]
fn four_eyes_wait_for_two_people_and_remember_the_first() {
    let (mut run, started) = Run::new(opened(builder(&memory())), TWO, &[("a", json!(1))]);
    assert_eq!(started, "1002 ask");
    assert_eq!(run.commit("ask", "liming", &[]), "1002 approve");
    assert_eq!(run.payload("approve"), json!([]));
    assert_eq!(run.commit("approve", "ann", &[("b", json!(2))]), "1002 approve");
    assert_eq!(run.payload("approve"), json!(["ann"]));
    // What came with a commit that goes on waiting, and what the plug-in gave with it, is no data of the flow.
    assert_eq!(run.data(), json!({"a": 1}));

    let before = run.records();
    let error = run.try_commit("approve", Some("ann"), &[]).unwrap_err();
    assert_eq!(error.err_code(), 4001);
    assert!(
        error
            .to_string()
            .contains("plug-in four-eyes 1 at approve: ann has approved already"),
        "{error}"
    );
    assert_eq!(run.records(), before + 1, "the refusal is on the record");
    assert!(matches!(
        run.events().last(),
        Some(InstanceEvent::CommitFailed { code: 4001, .. })
    ));
    assert_eq!(shown(&run.try_commit("approve", None, &[])), "4001");
    assert_eq!(run.payload("approve"), json!(["ann"]));

    assert_eq!(run.commit("approve", "bob", &[("c", json!(3))]), "1002 after");
    assert_eq!(run.data(), json!({"a": 1, "c": 3, "approvedBy": ["ann", "bob"]}));
    assert_eq!(run.payload("approve"), json!(["ann", "bob"]));
    assert_eq!(run.commit("approve", "cat", &[]), "1002 after", "it is done already");
    assert_eq!(run.payload("after"), Json::Null);
    let tasks = run
        .engine
        .get_history_user_task_list(&run.id)
        .expect("the list answers");
    let tasks: Vec<_> = tasks.node_instance_list.iter().map(|task| &*task.model_key).collect();
    assert_eq!(tasks, ["after", "approve", "ask"]);
    let steps = run.events().into_iter().filter_map(|event| match event {
        InstanceEvent::PlugInStepped { plug_in, waits, .. } => Some((plug_in.name, plug_in.version, waits)),
        _ => None,
    });
    let steps: Vec<_> = steps.collect();
    let step = |waits| ("four-eyes".into(), "1".into(), waits);
    assert_eq!(steps, [step(true), step(true), step(false)]);
}

#[test]
fn passing_element_sets_variables_and_fails_the_commit_that_reaches_it() {
    let sketch = "start -> ask -> calc -> after -> end";
    let (mut run, _) = Run::new(opened(builder(&memory())), sketch, &[("a", json!(1))]);
    let error = run.try_commit("ask", None, &[]).unwrap_err();
    assert_eq!(error.err_code(), 4001);
    assert!(
        error
            .to_string()
            .contains("plug-in sum 2024-05 at calc: variable b is no number"),
        "{error}"
    );
    assert_eq!(run.statuses(), "start=1 ask=2 calc=3");
    assert_eq!(run.data(), json!({"a": 1}));
    assert_eq!(run.commit("ask", "ann", &[("b", json!(2))]), "1002 after");
    assert_eq!(run.statuses(), "start=1 ask=1 calc=1 after=2");
    assert_eq!(run.data(), json!({"a": 1, "b": 2, "total": 3}));
    assert_eq!(shown(&run.try_commit("calc", None, &[])), "4014");
    assert_eq!(run.rollback("after"), "1003 ask");
    assert_eq!(run.data(), json!({"a": 1}));
}

#[test]
fn failing_element_refuses_the_start() {
    let engine = opened(builder(&memory()));
    let module = deploy(&engine, "start -> calc -> ask -> end").expect("the flow deploys");
    let error = engine.start_process(StartProcessParam::of_module(module)).unwrap_err();
    assert_eq!(error.err_code(), 5000);
    assert!(error.to_string().contains("plug-in sum 2024-05 at calc"), "{error}");
    assert_eq!(log(&engine).len(), 3, "create, update and deploy");
}

#[test]
fn plug_in_chooses_the_way() {
    let sketch =
        "start -> ask -> route -> first -> end; route -(a > 1)-> second -> end; route -(default)-> third -> end";
    for (way, a, answer) in [
        (None, 5, "1002 first"),
        (Some("f3"), 0, "1002 first"),
        (Some("f5"), 0, "1002 second"),
        (Some("f7"), 0, "1002 third"),
        (Some("conditions"), 5, "1002 second"),
        (Some("conditions"), 0, "1002 third"),
        (Some("nowhere"), 0, "4013"),
        (Some("f1"), 0, "4013"),
    ] {
        let (mut run, _) = Run::new(opened(builder(&memory())), sketch, &[("a", json!(a))]);
        let given: Vec<_> = way.map(|way| ("way", json!(way))).into_iter().collect();
        assert_eq!(run.commit("ask", "ann", &given), answer, "{way:?}");
    }
}

#[test]
fn answers_that_break_a_limit_fail_the_commit() {
    let (mut run, _) = Run::new(opened(builder(&memory())), "start -> ask -> route -> after -> end", &[]);
    for (way, code, says) in [
        ("big variable", 4001, "Limits::hook_bytes"),
        ("big payload", 4001, "Limits::hook_bytes"),
        ("deep", 4001, "it nests deeper than 64 levels"),
        ("not a number", 4001, "is not a number"),
        ("blank", 4001, "blank key"),
        ("many", 4001, "Limits::variables"),
        ("fail", 4001, "xxx…"),
    ] {
        let error = run.try_commit("ask", None, &[("way", json!(way))]).unwrap_err();
        assert_eq!(
            (error.err_code(), error.to_string().contains(says)),
            (code, true),
            "{error}"
        );
        assert!(error.to_string().len() < 1_000, "the message is bounded");
        assert_eq!(run.statuses(), "start=1 ask=2 route=3");
    }
    // Read again, a value is what it was before it was stored; null is as good as no payload.
    assert_eq!(
        run.commit("ask", "ann", &[("way", json!("unusual number"))]),
        "1002 after"
    );
    assert_eq!(run.payload("route"), Json::Null);
    let step = run.events().into_iter().find_map(|event| match event {
        InstanceEvent::PlugInStepped { variables, payload, .. } => Some((variables, payload)),
        _ => None,
    });
    assert_eq!(step, Some((vec![InstanceData::new("n", 5)], None)));
    assert_eq!(verified(&run.engine), 3 + 1 + 7 + 1);
}

#[test]
fn ring_of_passing_elements_and_what_they_answer_are_bounded() {
    let mut model: Json = serde_json::from_str(&model("start -> ask -> route -> ask; route -> end")).unwrap();
    // The way back leads to the element itself.
    for element in model["flowElementList"].as_array_mut().unwrap() {
        if element["key"] == "route" {
            element["outgoing"].as_array_mut().unwrap().push(json!("back"));
            element["incoming"].as_array_mut().unwrap().push(json!("back"));
        }
    }
    let back = json!({"key": "back", "type": 1, "incoming": ["route"], "outgoing": ["route"]});
    model["flowElementList"].as_array_mut().unwrap().push(back);
    let engine = opened(builder(&memory()));
    let deployed = engine
        .deploy_model(DeployModel::new("ring", &model.to_string()))
        .expect("the ring deploys");
    let (mut run, _) = Run::of_module(engine, deployed.flow_module_id, &[]);
    for (way, says) in [("back", "Limits::steps"), ("filling", "Limits::variable_bytes")] {
        let error = run.try_commit("ask", None, &[("way", json!(way))]).unwrap_err();
        assert_eq!(error.err_code(), 7009);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(run.records(), 1);
}

#[test]
fn panicking_plug_in_ends_the_command_and_nothing_else() {
    let (mut run, _) = Run::new(opened(builder(&memory())), "start -> ask -> route -> after -> end", &[]);
    let before = run.records();
    let error = run.try_commit("ask", None, &[("way", json!("panic"))]).unwrap_err();
    assert_eq!(error.err_code(), 5000);
    assert!(error.to_string().contains("the router breaks"), "{error}");
    assert_eq!(run.records(), before);
    assert_eq!(run.statuses(), "start=1 ask=2");
    assert_eq!(run.commit("ask", "ann", &[]), "1002 after");
}

#[test]
fn deploy_judges_elements_by_their_plug_in() {
    let engine = opened(builder(&memory()).element(Named("own", 99)));
    let faults = |sketch: &str| {
        let error = deploy(&engine, sketch).unwrap_err();
        let faults = error
            .about()
            .faults
            .iter()
            .map(|fault| (fault.err_code, fault.message.clone()));
        (error.err_code(), faults.collect::<Vec<_>>())
    };
    let (code, found) = faults("start -> approve[approvers=0] -> approve2[approvers=\"x\"] -> end");
    assert_eq!(code, 3217);
    assert_eq!(found.len(), 2);
    assert!(
        found[0]
            .1
            .contains("plug-in four-eyes: approvers is 0; write a number above 0"),
        "{found:?}"
    );

    // The engine's own rules come first: what is never left or entered is refused like a user task.
    let (code, found) = faults("start -> end; approve[approvers=0]");
    assert_eq!(code, 3214);
    let codes: Vec<i32> = found.iter().map(|fault| fault.0).collect();
    assert_eq!(codes, [3214, 3215, 3217, 3205]);

    let (code, found) = faults("start -> own[validate=silent] -> end");
    assert_eq!((code, found.len()), (3217, 1));
    assert!(found[0].1.contains("without a reason"), "{found:?}");
    let (_, found) = faults("start -> own[validate=many] -> end");
    assert_eq!(found.len(), 20);
    assert!(found.iter().all(|fault| fault.1.len() < 1_000), "messages are bounded");

    deploy(&engine, "start -> approve[approvers=3] -> approve -> end")
        .expect("a ring in which a plug-in waits deploys");
}

#[test]
fn type_without_plug_in_is_unknown() {
    for (profile, code) in [(Profile::Documented, 3211), (Profile::Turbo131, 4014)] {
        let engine = opened(builder(&memory()).profile(profile));
        assert_eq!(deploy(&engine, "start -> own -> end").unwrap_err().err_code(), code);
        deploy(&engine, "start -> approve -> end").expect("a type that a plug-in runs is known");
    }
}

#[test]
fn panic_of_a_judge_is_answered() {
    let engine = opened(builder(&memory()).element(Named("own", 99)));
    let module = deploy(&engine, "start -> own -> end").expect("the flow deploys");
    let change = |sketch: &str| update(&engine, &module, sketch, CommandOptions::default());
    change("start -> own[validate=panic] -> end");
    let before = log(&engine).len();
    let error = deploy_draft(&engine, &module, CommandOptions::default()).unwrap_err();
    assert_eq!(error.err_code(), 5000);
    assert!(error.to_string().contains("the judge breaks"), "{error}");
    assert_eq!(log(&engine).len(), before);
    change("start -> own -> approve -> end");
    deploy_draft(&engine, &module, CommandOptions::default()).expect("the engine goes on");
}

#[test]
fn built_in_types_can_be_replaced() {
    let replaced = || opened(builder(&memory()).element(AutoTask).element(LastWay));
    let sketch = "start -> ask -> quick[auto=yes] -> gate; gate -(true)-> first -> end; gate -(default)-> last -> end";
    let (mut run, started) = Run::new(replaced(), sketch, &[]);
    assert_eq!(started, "1002 ask");
    assert_eq!(run.commit("ask", "ann", &[]), "1002 last");
    assert_eq!(run.data(), json!({"auto": true}));
    let tasks = run
        .engine
        .get_history_user_task_list(&run.id)
        .expect("the list answers");
    let tasks: Vec<_> = tasks.node_instance_list.iter().map(|task| &*task.model_key).collect();
    assert_eq!(tasks, ["last", "ask"], "what passed is no task");
    assert_eq!(run.rollback("last"), "1003 ask");
    assert_eq!(run.commit("ask", "ann", &[("stop", json!(1))]), "1002 quick");
    assert_eq!(run.commit("quick", "ann", &[]), "1002 last");
    assert_eq!(run.rollback("last"), "1003 quick");

    // The built-in rules come first, then the plug-in's.
    let error = deploy(&replaced(), "start -> ask[auto=no] -> gate; gate -> end").unwrap_err();
    let codes: Vec<i32> = error.about().faults.iter().map(|fault| fault.err_code).collect();
    assert_eq!(codes, [3217, 3217, 3209]);
}

#[test]
fn replaced_task_that_failed_and_then_passes_is_no_task() {
    let sketch = "start -> ask -> quick[auto=yes] -> calc -> after -> end";
    let (mut run, _) = Run::new(opened(builder(&memory()).element(AutoTask)), sketch, &[("a", json!(1))]);
    assert_eq!(run.commit("ask", "ann", &[]), "4001");
    assert_eq!(run.statuses(), "start=1 ask=2 quick=3 calc=3");
    assert_eq!(run.commit("ask", "ann", &[("b", json!(1))]), "1002 after");
    assert_eq!(run.rollback("after"), "1003 ask");
}

#[test]
fn plug_in_takes_over_tasks_that_were_reached_without_it() {
    let store = memory();
    let (mut run, _) = Run::new(engine_on(&store), "start -> ask -> after -> end", &[]);
    let mut run = {
        assert_eq!(run.commit("ask", "ann", &[]), "1002 after");
        run.on(opened(
            Engine::builder().store(store.clone()).element(Named("own-tasks", 4)),
        ))
    };
    assert_eq!(run.commit("after", "ann", &[]), "1000 end");
    assert_eq!(run.statuses(), "start=1 ask=1 after=1 end=1");
    let (mut run, _) = Run::new(engine_on(&memory()), TWO.replace("approve", "check").as_str(), &[]);
    assert_eq!(run.commit("ask", "ann", &[]), "1002 check");
}

#[test]
fn rollback_brings_the_payload_back_to_what_it_was_when_reached() {
    let (mut run, _) = Run::new(opened(builder(&memory())), TWO, &[("a", json!(1))]);
    run.commit("ask", "liming", &[]);
    run.commit("approve", "ann", &[]);
    run.commit("approve", "bob", &[]);
    let done = run.told();
    assert_eq!(run.rollback("after"), "1003 approve");
    assert_eq!(run.payload("approve"), json!([]));
    assert_eq!(run.data(), json!({"a": 1}));
    assert_eq!(run.statuses(), "start=1 ask=1 approve=4 after=4 approve=2");
    assert_eq!(run.redo(), "1002 after");
    assert_ne!(run.told(), done, "the history shows the way back and forth");
    assert_eq!(run.data(), json!({"a": 1, "approvedBy": ["ann", "bob"]}));
    assert_eq!(
        run.payload("approve"),
        json!([]),
        "the one that the rollback opened, the newest"
    );
    let approve = run
        .elements()
        .into_iter()
        .find(|element| &*element.model_key == "approve");
    let first = approve
        .and_then(|element| element.node_instance_id)
        .expect("approve was reached");
    let first = run.engine.get_node_instance(&run.id, first).expect("the node answers");
    assert_eq!(json!(first)["nodeInstance"]["plugInPayload"], json!(["ann", "bob"]));

    assert_eq!(run.rollback("after"), "1003 approve");
    assert_eq!(run.commit("approve", "bob", &[]), "1002 approve");
    assert_eq!(run.redo(), "7416", "a commit that goes on waiting is a commit");
    assert_eq!(run.rollback("approve"), "1003 ask");
    assert_eq!(run.redo(), "1002 approve");
    assert_eq!(run.payload("approve"), json!(["bob"]));
    assert_eq!(run.commit("approve", "ann", &[]), "1002 after");

    let targets = run
        .engine
        .get_rollback_targets(run.id.clone())
        .expect("the targets answer");
    let possible = targets.targets.iter().filter(|target| target.possible);
    let possible: Vec<_> = possible.map(|target| &*target.node_instance.model_key).collect();
    assert_eq!(possible, ["approve", "ask"]);
    assert_eq!(run.rollback_to("approve"), "1003 approve");
    assert_eq!(run.rollback_to("ask"), "1003 ask");
    assert_eq!(run.redo(), "1002 approve");
}

#[test]
fn rollback_goes_over_what_its_plug_in_lets_it_go_over() {
    let (mut run, _) = Run::new(opened(builder(&memory())), "start -> ask -> note -> after -> end", &[]);
    run.commit("ask", "ann", &[]);
    assert_eq!(run.commit("note", "ann", &[]), "1002 after");
    assert_eq!(run.rollback_to("note"), "7409");
    assert_eq!(run.rollback("after"), "1003 ask");
    assert_eq!(run.statuses(), "start=1 ask=4 note=4 after=4 ask=2");
}

#[test]
fn plug_ins_run_in_branches() {
    let sketch =
        "start -> fork -> approve -> join -> after -> end; fork -> calc -> approve2 -> join; fork -> last -> join";
    let (mut run, started) = Run::new(opened(builder(&memory())), sketch, &[("a", json!(1)), ("b", json!(2))]);
    assert_eq!(started, "1002 approve,approve2,last");
    assert_eq!(run.commit("approve2", "ann", &[]), "1002 approve2");
    assert_eq!(run.commit("approve", "ann", &[]), "1002 approve");
    assert_eq!(run.commit("approve2", "bob", &[]), "1601 join");
    assert_eq!(run.commit("last", "bob", &[]), "1601 join");
    assert_eq!(run.commit("approve", "cat", &[]), "1002 after");
    assert_eq!(
        run.data(),
        json!({"a": 1, "b": 2, "total": 3, "approvedBy": ["ann", "cat"]})
    );
    // The commit of approve let the join fire.
    assert_eq!(run.rollback("after"), "1003 approve");
    assert_eq!(run.payload("approve"), json!([]));
    assert_eq!(run.payload("approve2"), json!(["ann", "bob"]));
    assert_eq!(run.statuses().matches("join=5").count(), 1);
    run.commit("approve", "ann", &[]);
    assert_eq!(run.commit("approve", "cat", &[]), "1002 after");
}

#[test]
fn join_closes_a_plug_in_that_waits_and_a_rollback_opens_it_again() {
    let sketch = "start -> fork -> approve -> join[branchMerge=AnyOne] -> after -> end; fork -> last -> join";
    let (mut run, _) = Run::new(opened(builder(&memory())), sketch, &[]);
    run.commit("approve", "ann", &[]);
    assert_eq!(run.commit("last", "ann", &[]), "1002 after");
    assert_eq!(run.statuses(), "start=1 fork=1 approve=6 last=1 join=1 after=2");
    assert_eq!(run.commit("approve", "bob", &[]), "4001");
    assert_eq!(run.rollback("after"), "1003 last");
    assert_eq!(run.payload("approve"), json!([]));
    assert_eq!(run.commit("approve", "ann", &[]), "1002 approve");
}

#[test]
fn plug_ins_run_in_sub_flows() {
    let engine = opened(builder(&memory()));
    let sub = deploy(&engine, "start -> approve -> calc -> end").expect("the sub flow deploys");
    let main = format!("start -> call[callActivityFlowModuleId={sub}] -> after -> end");
    let (mut run, _) = Run::new(engine, &main, &[("a", json!(1)), ("b", json!(1))]);
    assert_eq!(run.commit("call", "ann", &[]), "1002 approve");
    assert_eq!(run.commit("approve", "ann", &[]), "1002 approve");
    assert_eq!(run.commit("approve", "bob", &[]), "1002 after");
    assert_eq!(run.data()["total"], json!(2));
    assert_eq!(run.rollback("after"), "1003 approve");
    assert_eq!(run.payload("approve"), json!([]));
    let tasks = run
        .engine
        .get_history_user_task_list(&run.id)
        .expect("the list answers");
    let tasks: Vec<_> = tasks.node_instance_list.iter().map(|task| &*task.model_key).collect();
    assert_eq!(tasks, ["approve"]);
}

fn three(join: &str) -> String {
    format!("start -> fork -> a -> join[{join}] -> after -> end; fork -> b -> join; fork -> c -> join")
}

#[test]
fn strategy_says_when_a_join_fires_and_what_its_data_is() {
    let sketch = three("branchMerge=Custom, dataMerge=Custom, mergeStrategy=two-of-three");
    let (mut run, _) = Run::new(opened(builder(&memory())), &sketch, &[("n", json!(1)), ("m", json!(1))]);
    assert_eq!(run.commit("a", "ann", &[("n", json!(10))]), "1601 join");
    assert_eq!(
        run.commit("c", "ann", &[("n", json!(20)), ("k", json!(5))]),
        "1002 after"
    );
    assert_eq!(run.statuses(), "start=1 fork=1 a=1 b=6 c=1 join=1 after=2");
    assert_eq!(run.data(), json!({"n": 30, "m": 1, "k": 5}));
    let strategy = run.events().into_iter().find_map(|event| match event {
        InstanceEvent::BranchesJoined { strategy, .. } => strategy,
        _ => None,
    });
    let strategy = strategy.expect("the join names its strategy");
    assert_eq!((&*strategy.name, &*strategy.version), ("two-of-three", "7"));
    assert_eq!(run.rollback("after"), "1003 c");
    assert_eq!(run.commit("b", "ann", &[("n", json!(2))]), "1002 after");
    assert_eq!(run.data(), json!({"n": 12, "m": 1}));
}

#[test]
fn strategy_for_the_data_alone_waits_for_all_branches() {
    let sketch = three("dataMerge=Custom, mergeStrategy=add");
    let (mut run, _) = Run::new(opened(builder(&memory())), &sketch, &[]);
    assert_eq!(run.commit("a", "ann", &[("n", json!(1))]), "1601 join");
    assert_eq!(run.commit("b", "ann", &[("n", json!(2))]), "1601 join");
    assert_eq!(run.commit("c", "ann", &[("n", json!(4))]), "1002 after");
    assert_eq!(run.data(), json!({"n": 7}));
}

#[test]
fn failing_strategy_refuses_the_command() {
    let sketch = three("branchMerge=Custom, dataMerge=Custom, mergeStrategy=two-of-three");
    let (mut run, _) = Run::new(opened(builder(&memory())), &sketch, &[]);
    run.commit("a", "ann", &[("n", json!("text"))]);
    let before = run.records();
    let error = run.try_commit("b", None, &[]).unwrap_err();
    assert_eq!(error.err_code(), 6008);
    assert!(
        error
            .to_string()
            .contains("merge strategy two-of-three 7 at join: n is no number"),
        "{error}"
    );
    assert_eq!(run.records(), before);
    assert_eq!(run.rollback_to("a"), "1003 a");
    run.commit("a", "ann", &[("n", json!(1))]);
    assert_eq!(run.commit("b", "ann", &[]), "1002 after");
}

#[test]
fn strategy_that_the_engine_lacks_refuses_the_command() {
    for (join, code) in [
        ("branchMerge=Custom, mergeStrategy=absent", 6007),
        ("dataMerge=Custom, mergeStrategy=absent", 6006),
        // Without a name it is the only one; there are two.
        ("dataMerge=Custom", 6006),
    ] {
        let engine = opened(builder(&memory()).profile(Profile::Turbo131));
        let (mut run, _) = Run::new(engine, &three(join), &[]);
        assert_eq!(run.commit("a", "ann", &[]), code.to_string());
        assert_eq!(
            run.records(),
            1,
            "that this engine lacks it is no fact about the instance"
        );
    }
}

#[test]
fn only_strategy_need_not_be_named() {
    let engine = opened(Engine::builder().in_memory().merge_strategy(Adding {
        name: "the only one",
        at_two: true,
    }));
    let (mut run, _) = Run::new(engine, &three("branchMerge=Custom, dataMerge=Custom"), &[]);
    run.commit("a", "ann", &[("n", json!(1))]);
    assert_eq!(run.commit("b", "ann", &[("n", json!(2))]), "1002 after");
    assert_eq!(run.data(), json!({"n": 3}));
}

#[test]
fn what_contradicts_itself_does_not_open() {
    let long: &'static str = "x".repeat(MAX_NAME_CHARS + 1).leak();
    let adding = |name| Adding { name, at_two: true };
    let cases: Vec<(EngineBuilder, &str)> = vec![
        (
            Engine::builder().element(Named("one", 50)).element(Named("two", 50)),
            "one and two both have type 50",
        ),
        (
            Engine::builder().element(Named("one", 50)).element(Named("one", 51)),
            "two element plug-ins have the name one",
        ),
        (
            Engine::builder()
                .merge_strategy(adding("add"))
                .merge_strategy(adding("add")),
            "two merge strategies have the name add",
        ),
        (
            Engine::builder()
                .hook_fn("h", |_| Ok(Vec::new()))
                .hook_fn("h", |_| Ok(Vec::new())),
            "two hooks have the name h",
        ),
        (
            Engine::builder().listener(Deaf).listener(Deaf),
            "two listeners have the name deaf",
        ),
        (
            Engine::builder().id_generator(OwnIds).id_generator(OwnIds),
            "two id generators",
        ),
        (
            Engine::builder()
                .expression_calculator(Renamed("a"))
                .expression_calculator(Renamed("b")),
            "two expression calculators",
        ),
        (
            Engine::builder().element(Named("one", 1)),
            "a sequence flow cannot be replaced",
        ),
        (
            Engine::builder().element(Named("one", 2)),
            "a start event cannot be replaced",
        ),
        (
            Engine::builder().element(Named("one", 3)),
            "a end event cannot be replaced",
        ),
        (
            Engine::builder().element(Named("one", 9)),
            "a parallel gateway cannot be replaced",
        ),
        (
            Engine::builder().element(Named("one", 10)),
            "a inclusive gateway cannot be replaced",
        ),
        (Engine::builder().element(Named("one", 0)), "a type is above 0"),
        (Engine::builder().element(Named(" ", 50)), "has a blank name"),
        (Engine::builder().element(Named(long, 50)), "more than 128 characters"),
        (Engine::builder().merge_strategy(adding("")), "has a blank name"),
        (Engine::builder().expression_calculator(Renamed("")), "has a blank name"),
    ];
    for (builder, says) in cases {
        let Err(error) = builder.open() else {
            panic!("it opens, though: {says}")
        };
        assert_eq!(error.err_code(), 7007, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn calculator_and_id_generator_are_named_on_every_record() {
    let engine = opened(
        builder(&memory())
            .id_generator(OwnIds)
            .expression_calculator(Renamed("renamed")),
    );
    let (mut run, _) = Run::new(engine, TWO, &[]);
    run.commit("ask", "ann", &[]);
    run.commit("approve", "ann", &[]);
    run.rollback("approve");
    let records = log(&run.engine);
    assert_eq!(records.len(), 3 + 4);
    let expected = json!([{"name": "own-ids", "version": "9"}, {"name": "renamed", "version": "3"}]);
    for record in records {
        let told: Json = serde_json::from_str(&record.to_json().expect("a record is JSON")).expect("JSON is JSON");
        assert_eq!(told["envelope"]["plugIns"], expected);
    }
    // The built-in ones need no name.
    let (run, _) = Run::new(opened(builder(&memory())), TWO, &[]);
    for record in log(&run.engine) {
        assert!(!record.to_json().expect("a record is JSON").contains("plugIns"));
    }
}

/// Runs everything that plug-ins do through an engine with them.
fn eventful(engine: BlockingEngine) -> Run {
    let sketch = "start -> ask -> calc -> fork -> approve -> join[branchMerge=Custom, dataMerge=Custom, \
                  mergeStrategy=two-of-three] -> note -> approve9 -> after -> end; fork -> b -> join; fork -> c -> join";
    let (mut run, _) = Run::new(engine, sketch, &[("a", json!(1))]);
    for (command, answer) in [
        (run.commit("ask", "ann", &[]), "4001"),
        (run.commit("ask", "ann", &[("b", json!(1))]), "1002 approve,b,c"),
        (run.commit("approve", "ann", &[("x", json!(1))]), "1002 approve"),
        (run.commit("approve", "ann", &[]), "4001"),
        (run.commit("b", "ann", &[("n", json!(3))]), "1601 join"),
        (run.commit("c", "ann", &[("n", json!(4))]), "1002 note"),
        (run.rollback("note"), "1003 c"),
        (run.redo(), "1002 note"),
        (run.commit("note", "ann", &[]), "1002 approve9"),
        (run.commit("approve9", "ann", &[]), "1002 approve9"),
        (run.commit("approve9", "bob", &[]), "1002 after"),
        (run.rollback("after"), "1003 approve9"),
        (run.commit("approve9", "bob", &[]), "1002 approve9"),
    ] {
        assert_eq!(command, answer);
    }
    run
}

/// An engine that knows no plug-in tells the same and refuses to go on.
fn assert_readable_without(with: &str, run: &Run, store: &Store) {
    let mut without = run.on(engine_on(store));
    assert_eq!(without.told(), with);
    let before = verified(&without.engine);
    let error = without.try_commit("approve9", Some("ann"), &[]).unwrap_err();
    assert_eq!(error.err_code(), 4014);
    assert!(
        error
            .to_string()
            .contains("element of type 40 approve9 is run by a plug-in, with which the engine was not built"),
        "{error}"
    );
    assert_eq!(without.told(), with);
    assert_eq!(verified(&without.engine), before);
}

#[test]
fn log_written_with_plug_ins_is_read_without_them() {
    let store = memory();
    let run = eventful(opened(builder(&store)));
    let told = run.told();
    assert_readable_without(&told, &run, &store);

    // What the bytes say, folded by hand.
    let mut folded = FlowInstance::default();
    for record in run.engine.instance_records(run.id.clone()).expect("the records answer") {
        let AnyRecord::Instance(decoded) = codec::decode(&record.bytes).expect("the bytes are a record") else {
            panic!("an instance has its own records")
        };
        assert_eq!(
            codec::encode_instance(&decoded).expect("it can be written"),
            *record.bytes
        );
        folded.apply_record(&decoded);
    }
    let active: Vec<_> = folded.active_tasks().iter().map(|task| task.id.clone()).collect();
    assert_eq!(active, [run.node("approve9")]);
    let left = folded.active_tasks()[0].plug_in.clone().expect("a plug-in ran there");
    assert_eq!(left.payload, Some(Value::from(vec!["bob".into()])));

    // Going back needs no plug-in: what it does stands on the record. Going on behind it does.
    let mut without = run.on(engine_on(&store));
    assert_eq!(
        without.rollback("approve9"),
        "1003 c",
        "over note, whose plug-in lets it"
    );
    let before = verified(&without.engine);
    assert_eq!(without.commit("b", "ann", &[]), "1002 approve,c", "it is done already");
    assert_eq!(without.commit("c", "ann", &[]), "6007");
    assert_eq!(without.commit("approve", "bob", &[]), "4014");
    assert_eq!(without.rollback_to("ask"), "1003 ask");
    assert_eq!(without.commit("ask", "ann", &[("b", json!(1))]), "4014");
    assert_eq!(verified(&without.engine), before + 1, "one rollback");
    let again = run.on(opened(builder(&store)));
    let mut again = Run {
        commands: 2_000,
        ..again
    };
    assert_eq!(again.commit("ask", "ann", &[("b", json!(1))]), "1002 approve,b,c");
    assert_eq!(again.commit("approve", "ann", &[]), "1002 approve");
    let terminate = TerminateProcessParam::new(&without.id);
    let ended = engine_on(&store).terminate_process(terminate);
    assert_eq!(ended.expect("the instance ends").status, 3);
}

#[test]
fn start_that_needs_a_plug_in_is_refused_without_it() {
    let store = memory();
    let engine = opened(builder(&store));
    let module = deploy(&engine, "start -> approve -> end").expect("the flow deploys");
    let without = engine_on(&store);
    let before = log(&without).len();
    let error = without.start_process(StartProcessParam::of_module(module)).unwrap_err();
    assert_eq!(error.err_code(), 4014);
    assert_eq!(log(&without).len(), before);
}

#[test]
fn replaced_task_does_not_become_a_plain_one_when_its_plug_in_is_gone() {
    let store = memory();
    let (run, started) = Run::new(
        opened(builder(&store).element(AutoTask)),
        "start -> ask -> after -> end",
        &[],
    );
    assert_eq!(started, "1002 ask");
    let mut without = run.on(engine_on(&store));
    assert_eq!(without.commit("ask", "ann", &[]), "4014");
    assert_eq!(without.records(), 1);
    let mut with = Run {
        commands: 2_000,
        ..run.on(opened(builder(&store).element(AutoTask)))
    };
    assert_eq!(with.commit("ask", "ann", &[]), "1002 after");
}

#[test]
fn log_on_disk_is_read_without_plug_ins() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a directory for the test");
    let (told, run) = {
        let store = sled(directory.path(), SledOptions::default());
        let run = eventful(opened(builder(&store)));
        let told = run.told();
        run.engine.close().expect("the engine closes");
        let memory = run.on(engine_on(&memory()));
        (told, memory)
    };
    let store = sled(directory.path(), SledOptions::default());
    assert_readable_without(&told, &run, &store);
}

#[test]
fn equal_commands_give_equal_bytes() {
    let bytes = || {
        let run = eventful(opened(builder(&memory())));
        let records = log(&run.engine).into_iter().map(|record| record.bytes);
        records.collect::<Vec<_>>()
    };
    assert_eq!(bytes(), bytes());
}

#[test]
fn limits_of_answers_are_settings() {
    let limits = Limits {
        hook_bytes: 10,
        ..Limits::default()
    };
    let (mut run, _) = Run::new(opened(builder(&memory()).limits(limits)), TWO, &[]);
    assert_eq!(run.commit("ask", "ann", &[]), "1002 approve");
    assert_eq!(run.commit("approve", "ann", &[]), "4001");
}

#[test]
fn id_that_is_given_twice_founds_no_second_instance() {
    let directory = tempfile::tempdir().expect("a directory");
    for store in [memory(), sled(directory.path(), SledOptions::default())] {
        let engine = opened(Engine::builder().store(store).id_generator(OneInstance));
        let module = deployed(&engine, "start -> ask -> end");
        let start = || engine.start_process(StartProcessParam::of_module(module.clone()));
        let first = start().expect("a start").flow_instance_id.expect("an instance");
        let refused = start().unwrap_err();
        assert_eq!(refused.err_code(), 4016, "{refused}");
        assert!(refused.to_string().contains("exists already"), "{refused}");
        assert_eq!(engine.instance_records(first).expect("records").len(), 1);
    }
}
