//! The scenario format of the conformance files: steps, answers, their normal form and the comparison.
//!
//! Knows what an answer looks like to a caller, nothing of how an engine finds it. Anything that can be driven
//! through the operations is a [`Subject`].
//!
//! Source: conformance/README.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Variables by key.
pub type Variables = BTreeMap<String, Value>;

/// Which of the engine's two profiles answers are judged under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Follows the API document.
    Documented,
    /// Answers as the reference engine 1.3.1 does.
    Turbo131,
}

impl Profile {
    /// Both, in the order tests go through them.
    pub const ALL: [Self; 2] = [Self::Documented, Self::Turbo131];

    /// The name used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Turbo131 => "turbo131",
        }
    }
}

/// One variable as a caller gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// The key conditions name.
    pub key: String,
    /// The declared type, which nothing reads.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The value; absent means null.
    #[serde(default)]
    pub value: Value,
}

impl Variable {
    /// A variable with the type name that fits its value.
    #[must_use]
    pub fn new(key: &str, value: Value) -> Self {
        let kind = match &value {
            Value::Number(number) if number.is_f64() => Some("double"),
            Value::Number(_) => Some("integer"),
            Value::String(_) => Some("string"),
            Value::Array(_) => Some("list"),
            _ => None,
        };
        Self {
            key: key.to_owned(),
            kind: kind.map(str::to_owned),
            value,
        }
    }
}

/// A flow that a scenario deploys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flow {
    /// The name steps and `$module:NAME` refer to.
    pub name: String,
    /// The model; `$module:NAME` inside stands for the flowModuleId of flow NAME.
    #[serde(rename = "flowModel")]
    pub flow_model: Value,
}

/// One scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scenario {
    /// The name reports show.
    pub name: String,
    /// The flows that steps may deploy.
    pub flows: Vec<Flow>,
    /// What every hook call answers.
    #[serde(rename = "hookAnswer", default)]
    pub hook_answer: Vec<Variable>,
    /// The steps, in order, on a fresh engine.
    pub steps: Vec<Step>,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// createFlow, updateFlow and deployFlow.
    Deploy,
    /// startProcess.
    Start,
    /// commitTask.
    Commit,
    /// rollbackTask.
    Rollback,
    /// rollbackTo.
    RollbackTo,
    /// redoRollback.
    Redo,
    /// suspendInstance.
    Suspend,
    /// resumeInstance.
    Resume,
    /// abortInstance.
    Abort,
    /// restoreInstance.
    Restore,
    /// terminateProcess.
    Terminate,
    /// getRollbackTargets.
    GetRollbackTargets,
    /// getHistoryUserTaskList.
    GetHistoryUserTaskList,
    /// getHistoryElementList.
    GetHistoryElementList,
    /// getInstanceData.
    GetInstanceData,
    /// getNodeInstance.
    GetNodeInstance,
    /// getFlowInstance.
    GetFlowInstance,
}

impl Operation {
    /// Whether it is a command to a flow instance, its start included.
    #[must_use]
    pub const fn is_command(self) -> bool {
        match self {
            Self::Start
            | Self::Commit
            | Self::Rollback
            | Self::RollbackTo
            | Self::Redo
            | Self::Suspend
            | Self::Resume
            | Self::Abort
            | Self::Restore
            | Self::Terminate => true,
            Self::Deploy
            | Self::GetRollbackTargets
            | Self::GetHistoryUserTaskList
            | Self::GetHistoryElementList
            | Self::GetInstanceData
            | Self::GetNodeInstance
            | Self::GetFlowInstance => false,
        }
    }
}

/// One step of a scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is done.
    pub op: Operation,
    /// The flow that is deployed or started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    /// The name the started instance gets.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The instance meant, by the name `start` gave it, or by a label (`f2`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The node instance meant: a label, `key:ELEMENT_KEY`, or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The element a rollbackTo goes to, by its key.
    #[serde(rename = "modelKey", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, as one of the flow's options.
    #[serde(rename = "reasonOption", default, skip_serializing_if = "Option::is_none")]
    pub reason_option: Option<String>,
    /// Variables of a start or commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<Variable>>,
    /// The flow whose module id is passed as callActivityFlowModuleId.
    #[serde(rename = "callActivityFlow", default, skip_serializing_if = "Option::is_none")]
    pub call_activity_flow: Option<String>,
    /// Whether sub flow instances are included; default true.
    #[serde(
        rename = "effectiveForSubFlowInstance",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub effective: Option<bool>,
    /// The caller's command id. Not in recorded scenarios.
    #[serde(rename = "commandId", default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// The normal form of the answer.
    #[serde(default)]
    pub expect: Value,
}

impl Step {
    /// A step with nothing but its operation.
    #[must_use]
    pub fn new(op: Operation) -> Self {
        Self {
            op,
            flow: None,
            name: None,
            instance: None,
            task: None,
            key: None,
            reason: None,
            reason_option: None,
            variables: None,
            call_activity_flow: None,
            effective: None,
            command_id: None,
            expect: Value::Null,
        }
    }
}

/// startProcess.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Start {
    /// The module whose latest deployment is started.
    pub flow_module_id: String,
    /// The start variables.
    pub variables: Vec<Variable>,
    /// The caller's command id, if the caller gives one.
    #[serde(skip)]
    pub command_id: Option<String>,
}

/// commitTask.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Commit {
    /// The root flow instance.
    pub flow_instance_id: String,
    /// The node instance to commit.
    pub task_instance_id: String,
    /// The variables submitted.
    pub variables: Vec<Variable>,
    /// The module a call activity is to run.
    pub call_activity_flow_module_id: Option<String>,
    /// The caller's command id, if the caller gives one.
    #[serde(skip)]
    pub command_id: Option<String>,
}

/// rollbackTask.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rollback {
    /// The root flow instance.
    pub flow_instance_id: String,
    /// The node instance to roll back.
    pub task_instance_id: String,
    /// The caller's command id, if the caller gives one.
    #[serde(skip)]
    pub command_id: Option<String>,
}

/// rollbackTo. One of the two targets is given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RollbackTo {
    /// The root flow instance.
    pub flow_instance_id: String,
    /// The node instance to open again.
    pub node_instance_id: Option<String>,
    /// The element of which the newest completed visit is to be opened again.
    pub model_key: Option<String>,
    /// The caller's command id, if the caller gives one.
    #[serde(skip)]
    pub command_id: Option<String>,
}

/// redoRollback.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Redo {
    /// The root flow instance.
    pub flow_instance_id: String,
    /// The caller's command id, if the caller gives one.
    #[serde(skip)]
    pub command_id: Option<String>,
}

/// What a lifecycle command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Transition {
    /// suspendInstance.
    Suspend,
    /// resumeInstance.
    Resume,
    /// abortInstance.
    Abort,
    /// restoreInstance.
    Restore,
}

impl Transition {
    /// The name under which a model's `reasonOptions` lists reasons.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Restore => "restore",
        }
    }
}

/// suspendInstance, resumeInstance, abortInstance, restoreInstance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lifecycle {
    /// Which of them.
    pub transition: Transition,
    /// The root flow instance.
    pub flow_instance_id: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// Why, as one of the flow's options.
    pub reason_option: Option<String>,
    /// The caller's command id, if the caller gives one.
    #[serde(skip)]
    pub command_id: Option<String>,
}

/// terminateProcess.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Terminate {
    /// The root flow instance.
    pub flow_instance_id: String,
    /// Whether sub flow instances are terminated too.
    pub effective: bool,
    /// The caller's command id, if the caller gives one.
    #[serde(skip)]
    pub command_id: Option<String>,
}

/// Something that answers the operations.
pub trait Subject {
    /// createFlow; the flowModuleId.
    fn create_flow(&mut self, flow_name: &str) -> String;
    /// updateFlow and deployFlow; the first answer that is not a success.
    fn deploy(&mut self, flow_module_id: &str, flow_model: &str) -> Answer;
    /// startProcess.
    fn start(&mut self, start: &Start) -> Answer;
    /// commitTask.
    fn commit(&mut self, commit: &Commit) -> Answer;
    /// rollbackTask.
    fn rollback(&mut self, rollback: &Rollback) -> Answer;
    /// rollbackTo.
    fn rollback_to(&mut self, rollback: &RollbackTo) -> Answer;
    /// redoRollback.
    fn redo(&mut self, redo: &Redo) -> Answer;
    /// suspendInstance, resumeInstance, abortInstance, restoreInstance.
    fn lifecycle(&mut self, lifecycle: &Lifecycle) -> Answer;
    /// terminateProcess.
    fn terminate(&mut self, terminate: &Terminate) -> Answer;
    /// getRollbackTargets.
    fn rollback_targets(&mut self, flow_instance_id: &str) -> Answer;
    /// getHistoryUserTaskList.
    fn history_user_tasks(&mut self, flow_instance_id: &str, effective: bool) -> Answer;
    /// getHistoryElementList.
    fn history_elements(&mut self, flow_instance_id: &str, effective: bool) -> Answer;
    /// getInstanceData.
    fn instance_data(&mut self, flow_instance_id: &str, effective: bool) -> Answer;
    /// getNodeInstance.
    fn node_instance(&mut self, flow_instance_id: &str, node_instance_id: &str, effective: bool) -> Answer;
    /// getFlowInstance.
    fn flow_instance(&mut self, flow_instance_id: &str) -> Answer;
}

/// An answer with its ids, before it is brought to normal form.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// errCode.
    pub code: i64,
    /// What came with it.
    pub body: Body,
}

impl Answer {
    /// An answer that is only a code.
    #[must_use]
    pub const fn code(code: i64) -> Self {
        Self {
            code,
            body: Body::Nothing,
        }
    }

    /// Whether only the code counts: 1001 and everything from 2000 up.
    #[must_use]
    pub const fn is_code_only(&self) -> bool {
        self.code == 1001 || self.code >= 2000 || self.code < 1000
    }
}

/// What an answer carries beside its code.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// A runtime result: start, commit, rollback.
    Runtime(Runtime),
    /// The flow instance status after terminateProcess.
    Terminated(i64),
    /// The flow instance status after a lifecycle command.
    Lifecycle(i64),
    /// getRollbackTargets.
    Targets(Vec<TargetView>),
    /// getHistoryUserTaskList.
    Nodes(Vec<NodeView>),
    /// getHistoryElementList.
    Elements(Vec<ElementView>),
    /// getInstanceData.
    Variables(Variables),
    /// getNodeInstance.
    Node(NodeView),
    /// getFlowInstance.
    Flow {
        /// Its flowInstanceId.
        flow_instance: String,
        /// Its status.
        status: i64,
    },
}

/// A runtime result.
#[derive(Debug, Clone, PartialEq)]
pub struct Runtime {
    /// flowInstanceId.
    pub flow_instance: String,
    /// The flow instance's status.
    pub status: i64,
    /// The node execute results, in order.
    pub tasks: Vec<TaskView>,
    /// What a rollback leaves to be undone outside, in order.
    pub compensations: Vec<CompensationView>,
}

/// Something outside that a rollback leaves to be undone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CompensationView {
    /// nodeInstanceId.
    pub node: String,
    /// The element's key.
    pub model_key: String,
    /// What is to be done.
    pub name: String,
}

/// A user task, and what rollbackTo would bring.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetView {
    /// The task.
    pub node: NodeView,
    /// Its flow instance.
    pub flow_instance: String,
    /// The code rollbackTo would answer; none if it would go there.
    pub refused: Option<i64>,
    /// The tasks that would be active.
    pub active: Vec<TargetTaskView>,
    /// How the data would change: key, value now, value then.
    pub changes: Vec<(String, Option<Value>, Option<Value>)>,
    /// What would be left to be undone outside, in order.
    pub compensations: Vec<CompensationView>,
}

/// A task that would be active after a rollback.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetTaskView {
    /// The element's key.
    pub model_key: String,
    /// Its flow instance.
    pub flow_instance: String,
    /// The node instance where it is active now already.
    pub node: Option<String>,
    /// Its variables.
    pub variables: Variables,
}

/// One node execute result.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskView {
    /// nodeInstanceId.
    pub node: String,
    /// The element's key.
    pub model_key: String,
    /// The node instance's status.
    pub status: i64,
    /// The variables of this result.
    pub variables: Variables,
    /// subNodeResultList.
    pub sub: Vec<Answer>,
}

/// A node instance in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// nodeInstanceId.
    pub node: String,
    /// The element's key.
    pub model_key: String,
    /// The node instance's status.
    pub status: i64,
}

/// An element in the element history.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementView {
    /// nodeInstanceId; none for sequence flows.
    pub node: Option<String>,
    /// The element's key.
    pub model_key: String,
    /// Its status.
    pub status: i64,
    /// subElementInstanceList, where there is one.
    pub sub: Option<Vec<ElementView>>,
}

/// Labels of ids in order of first appearance.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    nodes: Vec<String>,
    flows: Vec<String>,
    newest: BTreeMap<String, String>,
}

impl Labels {
    /// The label of a node instance, given out now if it is new.
    pub fn node(&mut self, id: &str, model_key: &str) -> String {
        let index = self.nodes.iter().position(|known| known == id).unwrap_or_else(|| {
            self.nodes.push(id.to_owned());
            self.newest.insert(model_key.to_owned(), id.to_owned());
            self.nodes.len() - 1
        });
        format!("n{}", index + 1)
    }

    /// The label of a flow instance, given out now if it is new.
    pub fn flow(&mut self, id: &str) -> String {
        let index = self.flows.iter().position(|known| known == id).unwrap_or_else(|| {
            self.flows.push(id.to_owned());
            self.flows.len() - 1
        });
        format!("f{}", index + 1)
    }

    /// The node instance id behind `n3`.
    #[must_use]
    pub fn node_id(&self, label: &str) -> Option<&str> {
        let index: usize = label.strip_prefix('n')?.parse().ok()?;
        self.nodes.get(index.checked_sub(1)?).map(String::as_str)
    }

    /// The flow instance id behind `f3`.
    #[must_use]
    pub fn flow_id(&self, label: &str) -> Option<&str> {
        let index: usize = label.strip_prefix('f')?.parse().ok()?;
        self.flows.get(index.checked_sub(1)?).map(String::as_str)
    }

    /// The newest node instance of an element that any answer showed.
    #[must_use]
    pub fn newest_of(&self, model_key: &str) -> Option<&str> {
        self.newest.get(model_key).map(String::as_str)
    }

    /// The normal form of an answer; ids that are new get their labels.
    pub fn normal(&mut self, answer: &Answer) -> Value {
        let mut form = Map::new();
        form.insert("errCode".into(), json!(answer.code));
        if answer.is_code_only() {
            return Value::Object(form);
        }
        match &answer.body {
            Body::Nothing => {}
            Body::Runtime(runtime) => {
                form.insert("flowInstance".into(), json!(self.flow(&runtime.flow_instance)));
                form.insert("status".into(), json!(runtime.status));
                let tasks: Vec<Value> = runtime.tasks.iter().map(|task| self.task(task)).collect();
                form.insert("tasks".into(), json!(tasks));
                // Recorded scenarios know no such member.
                if !runtime.compensations.is_empty() {
                    let compensations = self.compensations(&runtime.compensations);
                    form.insert("compensations".into(), compensations);
                }
            }
            Body::Targets(targets) => {
                // What one command opened is of one age: its order is not told.
                let mut targets: Vec<&TargetView> = targets.iter().collect();
                let age = |labels: &mut Self, target: &TargetView| {
                    labels.node(&target.node.node, &target.node.model_key);
                    labels.nodes.iter().position(|known| *known == target.node.node)
                };
                targets.sort_by_cached_key(|target| std::cmp::Reverse(age(self, target)));
                let targets: Vec<Value> = targets.into_iter().map(|target| self.target(target)).collect();
                form.insert("targets".into(), json!(targets));
            }
            Body::Terminated(status) | Body::Lifecycle(status) => {
                form.insert("status".into(), json!(status));
            }
            Body::Nodes(nodes) => {
                let nodes: Vec<Value> = nodes.iter().map(|node| Value::Object(self.node_view(node))).collect();
                form.insert("nodes".into(), json!(nodes));
            }
            Body::Elements(elements) => {
                form.insert("elements".into(), self.elements(elements));
            }
            Body::Variables(variables) => {
                form.insert("variables".into(), json!(variables));
            }
            Body::Node(node) => form.extend(self.node_view(node)),
            Body::Flow { flow_instance, status } => {
                form.insert("flowInstance".into(), json!(self.flow(flow_instance)));
                form.insert("status".into(), json!(status));
            }
        }
        Value::Object(form)
    }

    fn task(&mut self, task: &TaskView) -> Value {
        let mut form = Map::new();
        form.insert("node".into(), json!(self.node(&task.node, &task.model_key)));
        form.insert("modelKey".into(), json!(task.model_key));
        form.insert("status".into(), json!(task.status));
        if task.sub.is_empty() {
            form.insert("variables".into(), json!(task.variables));
        } else {
            let sub: Vec<Value> = task.sub.iter().map(|answer| self.normal(answer)).collect();
            form.insert("sub".into(), json!(sub));
        }
        Value::Object(form)
    }

    fn compensations(&mut self, compensations: &[CompensationView]) -> Value {
        let told = compensations.iter().map(|compensation| {
            let node = self.node(&compensation.node, &compensation.model_key);
            json!({ "node": node, "modelKey": compensation.model_key, "name": compensation.name })
        });
        told.collect()
    }

    fn target(&mut self, target: &TargetView) -> Value {
        let mut form = self.node_view(&target.node);
        form.insert("flowInstance".into(), json!(self.flow(&target.flow_instance)));
        if let Some(code) = target.refused {
            form.insert("refused".into(), json!(code));
            return Value::Object(form);
        }
        let active = target.active.iter().map(|task| {
            let node = task.node.as_ref().map(|node| self.node(node, &task.model_key));
            let flow = self.flow(&task.flow_instance);
            json!({ "modelKey": task.model_key, "flowInstance": flow, "node": node, "variables": task.variables })
        });
        let active: Value = active.collect();
        form.insert("active".into(), active);
        let changes = target.changes.iter().map(|(key, now, then)| {
            // A value that is null is not the same as none.
            let list = |value: &Option<Value>| json!(value.iter().collect::<Vec<_>>());
            json!({ "key": key, "now": list(now), "then": list(then) })
        });
        let changes: Value = changes.collect();
        form.insert("changes".into(), changes);
        let compensations = self.compensations(&target.compensations);
        form.insert("compensations".into(), compensations);
        Value::Object(form)
    }

    fn node_view(&mut self, node: &NodeView) -> Map<String, Value> {
        let mut form = Map::new();
        form.insert("node".into(), json!(self.node(&node.node, &node.model_key)));
        form.insert("modelKey".into(), json!(node.model_key));
        form.insert("status".into(), json!(node.status));
        form
    }

    fn elements(&mut self, elements: &[ElementView]) -> Value {
        let mut list = Vec::new();
        for element in elements {
            let mut form = Map::new();
            if let Some(node) = &element.node {
                form.insert("node".into(), json!(self.node(node, &element.model_key)));
            }
            form.insert("modelKey".into(), json!(element.model_key));
            form.insert("status".into(), json!(element.status));
            if let Some(sub) = &element.sub {
                form.insert("sub".into(), self.elements(sub));
            }
            list.push(Value::Object(form));
        }
        Value::Array(list)
    }
}

/// What one step gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The answer with its ids.
    pub answer: Answer,
    /// Its normal form.
    pub normal: Value,
}

/// Steps run one after the other against one subject.
#[derive(Clone)]
pub struct Session<S> {
    /// The subject; tests look behind the answers through it.
    pub subject: S,
    /// The labels given out so far.
    pub labels: Labels,
    flows: Arc<[Flow]>,
    modules: BTreeMap<String, String>,
    instances: BTreeMap<String, String>,
}

impl<S: Subject> Session<S> {
    /// A session in which nothing is deployed yet.
    pub fn new(subject: S, flows: &[Flow]) -> Self {
        Self {
            subject,
            labels: Labels::default(),
            flows: flows.into(),
            modules: BTreeMap::new(),
            instances: BTreeMap::new(),
        }
    }

    /// Exchanges the subject and keeps the labels: what was known of the old one must hold for the new one.
    pub fn with_subject<T: Subject>(&self, subject: T) -> Session<T> {
        Session {
            subject,
            labels: self.labels.clone(),
            flows: self.flows.clone(),
            modules: self.modules.clone(),
            instances: self.instances.clone(),
        }
    }

    /// The flowInstanceId behind an instance's name or label; an id that exists nowhere if there is none.
    #[must_use]
    pub fn instance_id(&self, name: &str) -> String {
        let known = self
            .instances
            .get(name)
            .map(String::as_str)
            .or_else(|| self.labels.flow_id(name));
        known.unwrap_or("no-such-flow-instance").to_owned()
    }

    /// The flowModuleId of a flow; an id that exists nowhere if no step has named it.
    #[must_use]
    pub fn module_id(&self, flow: &str) -> String {
        self.modules
            .get(flow)
            .map_or("no-such-flow-module", String::as_str)
            .to_owned()
    }

    /// The nodeInstanceId a step's `task` stands for.
    #[must_use]
    pub fn task_id(&self, task: &str) -> String {
        let known = match task.strip_prefix("key:") {
            Some(key) => self.labels.newest_of(key),
            None => self.labels.node_id(task),
        };
        known.unwrap_or("no-such-node-instance").to_owned()
    }

    /// Runs one step.
    pub fn step(&mut self, step: &Step) -> Outcome {
        let instance = self.instance_id(step.instance.as_deref().unwrap_or_default());
        let task = self.task_id(step.task.as_deref().unwrap_or_default());
        let effective = step.effective.unwrap_or(true);
        let flow = step.flow.clone().unwrap_or_default();
        let variables = step.variables.clone().unwrap_or_default();
        let command_id = step.command_id.clone();
        let answer = match step.op {
            Operation::Deploy => self.deploy(&flow),
            Operation::Start => {
                let flow_module_id = self.module(&flow);
                let answer = self.subject.start(&Start {
                    flow_module_id,
                    variables,
                    command_id,
                });
                if let (Body::Runtime(runtime), Some(name), false) = (&answer.body, &step.name, answer.is_code_only()) {
                    self.instances.insert(name.clone(), runtime.flow_instance.clone());
                }
                answer
            }
            Operation::Commit => {
                let module = step.call_activity_flow.as_ref().map(|flow| self.module(flow));
                self.subject.commit(&Commit {
                    flow_instance_id: instance,
                    task_instance_id: task,
                    variables,
                    call_activity_flow_module_id: module,
                    command_id,
                })
            }
            Operation::Rollback => {
                let rollback = Rollback {
                    flow_instance_id: instance,
                    task_instance_id: task,
                    command_id,
                };
                self.subject.rollback(&rollback)
            }
            Operation::RollbackTo => self.subject.rollback_to(&RollbackTo {
                flow_instance_id: instance,
                node_instance_id: step.task.is_some().then_some(task),
                model_key: step.key.clone(),
                command_id,
            }),
            Operation::Redo => self.subject.redo(&Redo {
                flow_instance_id: instance,
                command_id,
            }),
            Operation::Suspend => self.lifecycle(Transition::Suspend, step),
            Operation::Resume => self.lifecycle(Transition::Resume, step),
            Operation::Abort => self.lifecycle(Transition::Abort, step),
            Operation::Restore => self.lifecycle(Transition::Restore, step),
            Operation::GetRollbackTargets => self.subject.rollback_targets(&instance),
            Operation::Terminate => self.subject.terminate(&Terminate {
                flow_instance_id: instance,
                effective,
                command_id,
            }),
            Operation::GetHistoryUserTaskList => self.subject.history_user_tasks(&instance, effective),
            Operation::GetHistoryElementList => self.subject.history_elements(&instance, effective),
            Operation::GetInstanceData => self.subject.instance_data(&instance, effective),
            Operation::GetNodeInstance => self.subject.node_instance(&instance, &task, effective),
            Operation::GetFlowInstance => self.subject.flow_instance(&instance),
        };
        let normal = self.labels.normal(&answer);
        Outcome { answer, normal }
    }

    fn lifecycle(&mut self, transition: Transition, step: &Step) -> Answer {
        let flow_instance_id = self.instance_id(step.instance.as_deref().unwrap_or_default());
        self.subject.lifecycle(&Lifecycle {
            transition,
            flow_instance_id,
            reason: step.reason.clone(),
            reason_option: step.reason_option.clone(),
            command_id: step.command_id.clone(),
        })
    }

    fn deploy(&mut self, name: &str) -> Answer {
        let module = self.module(name);
        let model = self
            .flows
            .iter()
            .find(|flow| flow.name == name)
            .map_or(Value::Null, |flow| flow.flow_model.clone());
        let model = self.resolve_modules(model);
        let text = match model {
            Value::String(text) => text,
            model => model.to_string(),
        };
        self.subject.deploy(&module, &text)
    }

    /// The module id of a flow, created at the first mention so that models may name flows deployed later.
    fn module(&mut self, name: &str) -> String {
        if let Some(module) = self.modules.get(name) {
            return module.clone();
        }
        let module = self.subject.create_flow(name);
        self.modules.insert(name.to_owned(), module.clone());
        module
    }

    fn resolve_modules(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix("$module:") {
                Some(name) if self.flows.iter().any(|flow| flow.name == name) => {
                    let name = name.to_owned();
                    Value::String(self.module(&name))
                }
                _ => Value::String(text),
            },
            Value::Array(items) => items.into_iter().map(|item| self.resolve_modules(item)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(key, member)| (key, self.resolve_modules(member)))
                .collect(),
            other => other,
        }
    }
}

/// How an answer is compared with what a step expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The whole normal form.
    Whole,
    /// Only the members that the expectation has, as in the parallel gateway file.
    Members,
}

/// Why an answer is not the expected one, or nothing if it is.
#[must_use]
pub fn difference(expected: &Value, outcome: &Outcome, comparison: Comparison) -> Option<String> {
    let mut expected = expected.clone();
    if let Value::Object(members) = &mut expected {
        members.remove("decided");
        if members.contains_key("raw") {
            let passes = (2000..=3999).contains(&outcome.answer.code);
            return (!passes).then(|| format!("expected any code of 2000-3999, got {}", outcome.answer.code));
        }
    }
    let got = match comparison {
        Comparison::Whole => outcome.normal.clone(),
        Comparison::Members => members_of(&expected, &outcome.answer),
    };
    if same(&expected, &got) {
        return None;
    }
    let mut text = String::new();
    let _ = write!(text, "expected {expected}\n     got {got}");
    Some(text)
}

/// The answer cut down to the members that are compared in the parallel gateway file.
fn members_of(expected: &Value, answer: &Answer) -> Value {
    let mut form = Map::new();
    form.insert("errCode".into(), json!(answer.code));
    let (status, tasks) = match &answer.body {
        Body::Runtime(runtime) => (Some(runtime.status), runtime.tasks.as_slice()),
        Body::Terminated(status) | Body::Lifecycle(status) => (Some(*status), [].as_slice()),
        _ => (None, [].as_slice()),
    };
    if expected.get("status").is_some() {
        form.insert("status".into(), json!(status));
    }
    if expected.get("keys").is_some() {
        form.insert("keys".into(), tasks.iter().map(|task| json!(task.model_key)).collect());
    }
    if expected.get("variables").is_some() {
        form.insert("variables".into(), json!(tasks.first().map(|task| &task.variables)));
    }
    Value::Object(form)
}

/// Whether two JSON values say the same: members in any order, numbers by value.
#[must_use]
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left == right,
            _ => left.as_f64() == right.as_f64(),
        },
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}
