//! The engine as a [`Subject`], through its public API only: requests and results pass through their JSON form, so that
//! the names of the API document are under test too.

use std::sync::Arc;

use flowledger::expression::CompiledExpression;
use flowledger::store::{MemoryStore, Store};
use flowledger::{
    BlockingEngine, Clock, Engine, EngineBuilder, EngineError, InstanceData, InstanceQuery, LogRecord, Timestamp,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::conformance::{Bench, Verdict};
use crate::scenario::{
    Answer, Body, Commit, CompensationView, ElementView, Lifecycle, NodeView, Profile, Redo, Rollback, RollbackTo,
    Runtime, Start, Subject, TargetTaskView, TargetView, TaskView, Terminate, Transition, Variable, Variables,
};

/// The moment every record of a test is stamped with: 2020-12-15T07:05:44Z.
const NOW_MS: i64 = 1_608_015_944_000;

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW_MS)
    }
}

/// An engine on a store in memory, with a standing clock.
pub struct EngineSubject {
    /// The engine.
    pub engine: BlockingEngine,
    profile: Profile,
    hook_answer: Vec<Variable>,
    store: Store,
    /// What the ids begin with that commands without an id get.
    unnamed: String,
    given: usize,
    last: Option<Value>,
}

impl EngineSubject {
    /// An engine on an empty store; every hook call answers `hook_answer`.
    ///
    /// # Panics
    /// When the engine does not open.
    #[must_use]
    pub fn new(profile: Profile, hook_answer: &[Variable]) -> Self {
        let store = MemoryStore::new();
        let store = Store {
            index: store.index(),
            events: Arc::new(store),
        };
        Self::on(profile, hook_answer, store)
    }

    fn on(profile: Profile, hook_answer: &[Variable], store: Store) -> Self {
        let builder = Self::builder(profile, hook_answer, &store);
        let engine = builder.open().expect("an engine opens on a store in memory");
        Self {
            hook_answer: hook_answer.to_vec(),
            ..Self::over(engine.blocking(), profile, store, "unnamed")
        }
    }

    fn builder(profile: Profile, hook_answer: &[Variable], store: &Store) -> EngineBuilder {
        let answer: Vec<InstanceData> = through_json(&hook_answer);
        Engine::builder()
            .profile(match profile {
                Profile::Documented => flowledger::Profile::Documented,
                Profile::Turbo131 => flowledger::Profile::Turbo131,
            })
            .store(store.clone())
            .clock(StandingClock)
            .hook_fn("conformance", move |_| Ok(answer.clone()))
    }

    /// An engine that others use as well. `unnamed` begins the ids of commands without one; on one engine it must be another
    /// for each subject.
    #[must_use]
    pub fn over(engine: BlockingEngine, profile: Profile, store: Store, unnamed: &str) -> Self {
        Self {
            engine,
            profile,
            hook_answer: Vec::new(),
            store,
            unnamed: unnamed.to_owned(),
            given: 0,
            last: None,
        }
    }

    /// A second engine, without any cache, on the same store.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self::on(self.profile, &self.hook_answer, self.store.clone())
    }

    /// A second engine on the same store that enforces invariants.
    ///
    /// # Panics
    /// When the engine does not open.
    #[must_use]
    pub fn enforcing(&self) -> BlockingEngine {
        let builder = Self::builder(self.profile, &self.hook_answer, &self.store);
        let engine = builder.enforce_invariants(true).open();
        engine.expect("an engine opens on a store in memory").blocking()
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &BlockingEngine {
        &self.engine
    }

    /// Every record of the log, in order.
    ///
    /// # Panics
    /// When the log cannot be read.
    #[must_use]
    pub fn records(&self) -> Vec<LogRecord> {
        let mut records: Vec<LogRecord> = Vec::new();
        loop {
            let after = records.last().map_or(0, |record| record.position);
            let batch = self.engine.log_records(after, 1_000).expect("the log can be read");
            if batch.is_empty() {
                return records;
            }
            records.extend(batch);
        }
    }

    /// How many records the log has.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.store.events.head(0).get()
    }

    /// The last answer as JSON, word for word.
    #[must_use]
    pub fn last_answer(&self) -> Option<&Value> {
        self.last.as_ref()
    }

    /// A request with the JSON names. A command without an id gets one that no other has, the same on every run.
    fn request<T: DeserializeOwned>(&mut self, mut request: Value, command_id: Option<&String>) -> T {
        self.given += 1;
        let unnamed = || format!("{}-{}", self.unnamed, self.given);
        request["commandId"] = json!(command_id.cloned().unwrap_or_else(unnamed));
        serde_json::from_value(request).expect("the request has the JSON form of the API document")
    }

    fn answer<T: Serialize>(&mut self, result: &Result<T, EngineError>, body: impl Fn(&Value) -> Body) -> Answer {
        let json = match result {
            Ok(result) => serde_json::to_value(result),
            Err(error) => serde_json::to_value(error.envelope()),
        };
        let json = json.expect("an answer is JSON");
        let code = json["errCode"].as_i64().expect("an answer has errCode");
        assert!(json["errMsg"].is_string(), "an answer has errMsg: {json}");
        let body = if result.is_ok() && code != 1001 {
            body(&json)
        } else {
            Body::Nothing
        };
        self.last = Some(json);
        Answer { code, body }
    }

    fn query(flow_instance_id: &str, effective: bool) -> InstanceQuery {
        InstanceQuery::new(flow_instance_id).effective_for_sub_flow_instance(effective)
    }
}

fn through_json<T: DeserializeOwned>(value: &impl Serialize) -> T {
    let value = serde_json::to_value(value).expect("it is JSON");
    serde_json::from_value(value).expect("it has the JSON form of the API document")
}

fn text(value: &Value, member: &str) -> String {
    value[member]
        .as_str()
        .unwrap_or_else(|| panic!("{member} is text in {value}"))
        .to_owned()
}

fn number(value: &Value, member: &str) -> i64 {
    value[member]
        .as_i64()
        .unwrap_or_else(|| panic!("{member} is a number in {value}"))
}

fn list<'a>(value: &'a Value, member: &str) -> &'a [Value] {
    value[member].as_array().map_or(&[], Vec::as_slice)
}

fn variables(value: &Value) -> Variables {
    list(value, "variables")
        .iter()
        .map(|variable| (text(variable, "key"), variable["value"].clone()))
        .collect()
}

fn runtime(value: &Value) -> Body {
    let results = list(value, "nodeExecuteResults");
    if let Some(first) = results.first() {
        // The document's flat members are those of the first branch.
        assert_eq!(
            value["activeTaskInstance"], first["activeTaskInstance"],
            "flat members in {value}"
        );
        assert_eq!(value["variables"], first["variables"], "flat members in {value}");
    }
    let tasks = results.iter().map(|result| {
        let node = &result["activeTaskInstance"];
        let sub = list(node, "subNodeResultList").iter();
        TaskView {
            node: text(node, "nodeInstanceId"),
            model_key: text(node, "modelKey"),
            status: number(node, "status"),
            variables: variables(result),
            sub: sub
                .map(|sub| Answer {
                    code: number(sub, "errCode"),
                    body: runtime(sub),
                })
                .collect(),
        }
    });
    Body::Runtime(Runtime {
        flow_instance: text(value, "flowInstanceId"),
        status: number(value, "status"),
        tasks: tasks.collect(),
        compensations: compensations(value),
    })
}

fn compensations(value: &Value) -> Vec<CompensationView> {
    let told = list(value, "compensations").iter().map(|told| CompensationView {
        node: text(told, "nodeInstanceId"),
        model_key: text(told, "modelKey"),
        name: text(told, "name"),
    });
    told.collect()
}

fn target(value: &Value) -> TargetView {
    let possible = value["possible"].as_bool().expect("a target is possible or not");
    let refused = value["errCode"].as_i64();
    assert_eq!(possible, refused.is_none(), "either possible or a code in {value}");
    assert_eq!(possible, value["errMsg"].is_null(), "a code has its reason in {value}");
    let active = list(value, "activeTasks").iter().map(|task| TargetTaskView {
        model_key: text(task, "modelKey"),
        flow_instance: text(task, "flowInstanceId"),
        node: task["nodeInstanceId"].as_str().map(str::to_owned),
        variables: variables(task),
    });
    let changes = list(value, "dataChanges").iter().map(|change| {
        (
            text(change, "key"),
            change.get("now").cloned(),
            change.get("then").cloned(),
        )
    });
    TargetView {
        node: node(&value["nodeInstance"]),
        flow_instance: text(value, "flowInstanceId"),
        refused,
        active: active.collect(),
        changes: changes.collect(),
        compensations: compensations(value),
    }
}

fn node(value: &Value) -> NodeView {
    NodeView {
        node: text(value, "nodeInstanceId"),
        model_key: text(value, "modelKey"),
        status: number(value, "status"),
    }
}

fn element(value: &Value) -> ElementView {
    ElementView {
        node: value["nodeInstanceId"].as_str().map(str::to_owned),
        model_key: text(value, "modelKey"),
        status: number(value, "status"),
        sub: value["subElementInstanceList"]
            .as_array()
            .map(|list| list.iter().map(element).collect()),
    }
}

impl Subject for EngineSubject {
    fn create_flow(&mut self, flow_name: &str) -> String {
        let request = json!({ "tenant": "testTenant", "caller": "testCaller", "flowName": flow_name });
        let param = self.request(request, None);
        self.engine
            .create_flow(param)
            .expect("a flow can be created")
            .flow_module_id
            .to_string()
    }

    fn deploy(&mut self, flow_module_id: &str, flow_model: &str) -> Answer {
        let owner = json!({ "tenant": "testTenant", "caller": "testCaller", "flowModuleId": flow_module_id });
        let mut update = owner.clone();
        update["flowModel"] = json!(flow_model);
        let param = self.request(update, None);
        let updated = self.engine.update_flow(param);
        let updated = self.answer(&updated, |_| Body::Nothing);
        if updated.code != 1000 {
            return updated;
        }
        let param = self.request(owner, None);
        let deployed = self.engine.deploy_flow(param);
        self.answer(&deployed, |_| Body::Nothing)
    }

    fn start(&mut self, start: &Start) -> Answer {
        let request = json!({ "flowModuleId": start.flow_module_id, "variables": start.variables });
        let param = self.request(request, start.command_id.as_ref());
        let result = self.engine.start_process(param);
        self.answer(&result, runtime)
    }

    fn commit(&mut self, commit: &Commit) -> Answer {
        let mut request = json!({
            "flowInstanceId": commit.flow_instance_id,
            "taskInstanceId": commit.task_instance_id,
            "variables": commit.variables,
        });
        if let Some(module) = &commit.call_activity_flow_module_id {
            request["callActivityFlowModuleId"] = json!(module);
        }
        let param = self.request(request, commit.command_id.as_ref());
        let result = self.engine.commit_task(param);
        self.answer(&result, runtime)
    }

    fn rollback(&mut self, rollback: &Rollback) -> Answer {
        let request =
            json!({ "flowInstanceId": rollback.flow_instance_id, "taskInstanceId": rollback.task_instance_id });
        let param = self.request(request, rollback.command_id.as_ref());
        let result = self.engine.rollback_task(param);
        self.answer(&result, runtime)
    }

    fn rollback_to(&mut self, rollback: &RollbackTo) -> Answer {
        let mut request = json!({ "flowInstanceId": rollback.flow_instance_id });
        if let Some(node) = &rollback.node_instance_id {
            request["nodeInstanceId"] = json!(node);
        }
        if let Some(key) = &rollback.model_key {
            request["modelKey"] = json!(key);
        }
        let param = self.request(request, rollback.command_id.as_ref());
        let result = self.engine.rollback_to(param);
        self.answer(&result, runtime)
    }

    fn redo(&mut self, redo: &Redo) -> Answer {
        let request = json!({ "flowInstanceId": redo.flow_instance_id });
        let param = self.request(request, redo.command_id.as_ref());
        let result = self.engine.redo_rollback(param);
        self.answer(&result, runtime)
    }

    fn lifecycle(&mut self, lifecycle: &Lifecycle) -> Answer {
        let mut request = json!({ "flowInstanceId": lifecycle.flow_instance_id });
        if let Some(reason) = &lifecycle.reason {
            request["reason"] = json!(reason);
        }
        if let Some(option) = &lifecycle.reason_option {
            request["reasonOption"] = json!(option);
        }
        let param = self.request(request, lifecycle.command_id.as_ref());
        let result = match lifecycle.transition {
            Transition::Suspend => self.engine.suspend_instance(param),
            Transition::Resume => self.engine.resume_instance(param),
            Transition::Abort => self.engine.abort_instance(param),
            Transition::Restore => self.engine.restore_instance(param),
        };
        self.answer(&result, |json| Body::Lifecycle(number(json, "status")))
    }

    fn rollback_targets(&mut self, flow_instance_id: &str) -> Answer {
        let result = self.engine.get_rollback_targets(flow_instance_id);
        self.answer(&result, |json| {
            Body::Targets(list(json, "targets").iter().map(target).collect())
        })
    }

    fn terminate(&mut self, terminate: &Terminate) -> Answer {
        let request = json!({
            "flowInstanceId": terminate.flow_instance_id,
            "effectiveForSubFlowInstance": terminate.effective,
        });
        let param: flowledger::TerminateProcessParam = self.request(request, terminate.command_id.as_ref());
        let result = self.engine.terminate_process(param);
        self.answer(&result, |json| Body::Terminated(number(json, "status")))
    }

    fn history_user_tasks(&mut self, flow_instance_id: &str, effective: bool) -> Answer {
        let result = self
            .engine
            .get_history_user_task_list(Self::query(flow_instance_id, effective));
        self.answer(&result, |json| {
            Body::Nodes(list(json, "nodeInstanceList").iter().map(node).collect())
        })
    }

    fn history_elements(&mut self, flow_instance_id: &str, effective: bool) -> Answer {
        let result = self
            .engine
            .get_history_element_list(Self::query(flow_instance_id, effective));
        self.answer(&result, |json| {
            Body::Elements(list(json, "elementInstanceList").iter().map(element).collect())
        })
    }

    fn instance_data(&mut self, flow_instance_id: &str, effective: bool) -> Answer {
        let result = self.engine.get_instance_data(Self::query(flow_instance_id, effective));
        self.answer(&result, |json| Body::Variables(variables(json)))
    }

    fn node_instance(&mut self, flow_instance_id: &str, node_instance_id: &str, effective: bool) -> Answer {
        let result = self
            .engine
            .get_node_instance(Self::query(flow_instance_id, effective), node_instance_id);
        self.answer(&result, |json| Body::Node(node(&json["nodeInstance"])))
    }

    fn flow_instance(&mut self, flow_instance_id: &str) -> Answer {
        let result = self.engine.get_flow_instance(flow_instance_id);
        self.answer(&result, |json| Body::Flow {
            flow_instance: text(&json["flowInstanceBO"], "flowInstanceId"),
            status: number(&json["flowInstanceBO"], "status"),
        })
    }
}

/// The engine as the subject of the conformance files.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineBench;

impl Bench for EngineBench {
    type Subject = EngineSubject;

    fn subject(&self, profile: Profile, hook_answer: &[Variable]) -> Self::Subject {
        EngineSubject::new(profile, hook_answer)
    }

    fn judge(&self, _profile: Profile, expression: &str, variables: &Variables) -> Verdict {
        let variables = variables
            .iter()
            .map(|(key, value)| (Arc::from(key.as_str()), through_json(value)))
            .collect();
        let variables: std::collections::BTreeMap<Arc<str>, flowledger::Value> = variables;
        match CompiledExpression::compile(expression).and_then(|condition| condition.evaluate(&variables)) {
            Ok(truth) => Verdict::Boolean(truth),
            Err(error) if error.cause() == "unsupported" => Verdict::Refused,
            Err(error) => Verdict::Error(error.cause().to_owned()),
        }
    }
}
