//! A naive interpreter of the specification: the oracle that the engine is compared with.
//!
//! Every command works on a full copy of the instance tree, and every node instance keeps its own copy of all variables
//! on entry and on leaving. There is no log, no cache and no code in common with the engine. Parallel and inclusive
//! gateways are not covered yet.
//!
//! Source: the API document and docs/behaviour.md.

pub mod condition;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::scenario::{
    Answer, Body, Commit, ElementView, NodeView, Profile, Rollback, Runtime, Start, Subject, TaskView, Terminate,
    Variable, Variables,
};

const SEQUENCE_FLOW: i64 = 1;
const START_EVENT: i64 = 2;
const END_EVENT: i64 = 3;
const USER_TASK: i64 = 4;
const EXCLUSIVE_GATEWAY: i64 = 6;
const CALL_ACTIVITY: i64 = 8;

/// Nodes that may be entered in one command before the interpreter gives up.
const MAX_STEPS: usize = 10_000;
/// Flow instances that may be nested in one another, the root included.
const MAX_CALL_DEPTH: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeStatus {
    Completed,
    Active,
    Failed,
    Disabled,
}

impl NodeStatus {
    const fn number(self) -> i64 {
        match self {
            Self::Completed => 1,
            Self::Active => 2,
            Self::Failed => 3,
            Self::Disabled => 4,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FlowStatus {
    Completed,
    Running,
    Terminated,
    End,
}

impl FlowStatus {
    const fn number(self) -> i64 {
        match self {
            Self::Completed => 1,
            Self::Running => 2,
            Self::Terminated => 3,
            Self::End => 4,
        }
    }
}

#[derive(Debug, Clone)]
struct Element {
    key: String,
    kind: i64,
    incoming: Vec<String>,
    outgoing: Vec<String>,
    properties: Map<String, Value>,
}

impl Element {
    fn text(&self, property: &str) -> &str {
        self.properties
            .get(property)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim()
    }

    fn is_default(&self) -> bool {
        match self.properties.get("defaultConditions") {
            Some(Value::Bool(default)) => *default,
            _ => self.text("defaultConditions").eq_ignore_ascii_case("true"),
        }
    }
}

#[derive(Debug, Clone)]
struct Model {
    elements: Vec<Element>,
}

impl Model {
    fn parse(text: &str) -> Self {
        let model: Value = serde_json::from_str(text).expect("the interpreter is given valid models only");
        let list = model["flowElementList"]
            .as_array()
            .expect("a model has a flowElementList");
        let keys = |value: &Value| -> Vec<String> {
            let keys = value.as_array().into_iter().flatten();
            keys.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let elements = list.iter().map(|element| Element {
            key: element["key"].as_str().unwrap_or_default().to_owned(),
            kind: element["type"].as_i64().unwrap_or_default(),
            incoming: keys(&element["incoming"]),
            outgoing: keys(&element["outgoing"]),
            properties: element["properties"].as_object().cloned().unwrap_or_default(),
        });
        Self {
            elements: elements.collect(),
        }
    }

    fn element(&self, key: &str) -> Option<&Element> {
        self.elements.iter().find(|element| element.key == key)
    }
}

/// One visit of a node.
#[derive(Debug, Clone)]
struct Node {
    id: String,
    key: String,
    kind: i64,
    /// Index, in the same flow instance, of the node instance this one came from.
    source: Option<usize>,
    status: NodeStatus,
    entry: Variables,
    leave: Variables,
    /// Indices of the flow instances that ran under this call activity.
    subs: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Instance {
    id: String,
    parent: Option<usize>,
    module: String,
    model: Model,
    status: FlowStatus,
    /// In order of creation.
    nodes: Vec<Node>,
}

/// A root flow instance, at index 0, and every flow instance below it.
#[derive(Debug, Clone, Default)]
struct Tree {
    instances: Vec<Instance>,
}

/// How far a walk went.
enum Stop {
    /// A user task or call activity waits.
    Suspended,
    /// The end event with this index was reached.
    Ended(usize),
}

/// How far back a rollback went.
#[derive(PartialEq)]
enum Back {
    /// A user task is open again.
    Reopened,
    /// The start event of a sub flow was reached.
    Start,
}

/// A command that was given with an id and changed something.
#[derive(Debug, Clone)]
struct Remembered {
    content: Value,
    answer: Answer,
}

/// The interpreter.
#[derive(Debug, Clone)]
pub struct Naive {
    profile: Profile,
    hook_answer: Option<Vec<Variable>>,
    next_id: usize,
    modules: BTreeMap<String, Option<Model>>,
    trees: Vec<Tree>,
    remembered: BTreeMap<(String, String), Remembered>,
}

impl Naive {
    /// An interpreter in which nothing is deployed. Hooks are called, and answer `hook_answer`, if one is given.
    #[must_use]
    pub fn new(profile: Profile, hook_answer: Option<Vec<Variable>>) -> Self {
        Self {
            profile,
            hook_answer,
            next_id: 1,
            modules: BTreeMap::new(),
            trees: Vec::new(),
            remembered: BTreeMap::new(),
        }
    }

    fn id(&mut self, what: &str) -> String {
        let id = format!("{what}-{}", self.next_id);
        self.next_id += 1;
        id
    }

    /// Where a flow instance is: tree and index in it.
    fn find(&self, flow_instance_id: &str) -> Option<(usize, usize)> {
        self.trees.iter().enumerate().find_map(|(tree, content)| {
            let index = content
                .instances
                .iter()
                .position(|instance| instance.id == flow_instance_id)?;
            Some((tree, index))
        })
    }

    /// The tree a command is for: only root flow instances take commands.
    fn root(&self, flow_instance_id: &str) -> Result<usize, i64> {
        match self.find(flow_instance_id) {
            None => Err(4008),
            Some((_, index)) if index > 0 => Err(4020),
            Some((tree, _)) => Ok(tree),
        }
    }

    /// Answers a repeated command id from memory. The flag of `run` says whether the command left a record.
    fn once(
        &mut self,
        stream: &str,
        command_id: Option<&String>,
        content: &Value,
        run: impl FnOnce(&mut Self) -> (Answer, bool),
    ) -> Answer {
        let Some(command_id) = command_id else {
            return run(self).0;
        };
        let key = (stream.to_owned(), command_id.clone());
        if let Some(earlier) = self.remembered.get(&key) {
            if earlier.content == *content {
                return earlier.answer.clone();
            }
            return Answer::code(match self.profile {
                Profile::Documented => 7301,
                Profile::Turbo131 => 2001,
            });
        }
        let (answer, recorded) = run(self);
        if recorded {
            let content = content.clone();
            self.remembered.insert(
                key,
                Remembered {
                    content,
                    answer: answer.clone(),
                },
            );
        }
        answer
    }

    /// Starts a flow instance in `tree` and walks to where it waits or ends.
    fn begin(
        &mut self,
        tree: &mut Tree,
        module: &str,
        parent: Option<usize>,
        variables: &Variables,
    ) -> Result<(usize, Stop), i64> {
        let model = self.modules.get(module).cloned().flatten().ok_or(4007)?;
        let start = model
            .elements
            .iter()
            .find(|element| element.kind == START_EVENT)
            .ok_or(4009)?
            .key
            .clone();
        let id = self.id("flow");
        let index = tree.instances.len();
        tree.instances.push(Instance {
            id,
            parent,
            module: module.to_owned(),
            model,
            status: FlowStatus::Running,
            nodes: Vec::new(),
        });
        let node = self.enter(tree, index, &start, None, variables)?;
        tree.instances[index].nodes[node].status = NodeStatus::Completed;
        let stop = self.advance(tree, index, node, variables.clone())?;
        Ok((index, stop))
    }

    /// The node instance for a step onto `key`: the newest one from this source that is not rolled back, else a new one.
    fn enter(
        &mut self,
        tree: &mut Tree,
        index: usize,
        key: &str,
        source: Option<usize>,
        variables: &Variables,
    ) -> Result<usize, i64> {
        let kind = tree.instances[index].model.element(key).ok_or(4009)?.kind;
        let nodes = &tree.instances[index].nodes;
        let earlier = nodes.iter().rposition(|node| {
            source.is_some() && node.source == source && node.key == key && node.status != NodeStatus::Disabled
        });
        let id = self.id("node");
        let nodes = &mut tree.instances[index].nodes;
        if let Some(earlier) = earlier {
            nodes[earlier].entry = variables.clone();
            nodes[earlier].leave = variables.clone();
            return Ok(earlier);
        }
        nodes.push(Node {
            id,
            key: key.to_owned(),
            kind,
            source,
            status: NodeStatus::Active,
            entry: variables.clone(),
            leave: variables.clone(),
            subs: Vec::new(),
        });
        Ok(nodes.len() - 1)
    }

    /// Walks on from a node that is done until something waits, or an end event is reached.
    fn advance(&mut self, tree: &mut Tree, index: usize, from: usize, mut variables: Variables) -> Result<Stop, i64> {
        let mut from = from;
        for _ in 0..MAX_STEPS {
            let next = self.successor(&tree.instances[index], from, &variables)?;
            let node = self.enter(tree, index, &next, Some(from), &variables)?;
            let instance = &mut tree.instances[index];
            match instance.nodes[node].kind {
                USER_TASK | CALL_ACTIVITY => {
                    instance.nodes[node].status = NodeStatus::Active;
                    return Ok(Stop::Suspended);
                }
                END_EVENT => {
                    instance.nodes[node].status = NodeStatus::Completed;
                    instance.status = if index == 0 {
                        FlowStatus::Completed
                    } else {
                        FlowStatus::End
                    };
                    return Ok(Stop::Ended(node));
                }
                EXCLUSIVE_GATEWAY => {
                    self.call_hook(instance.model.element(&next), &mut variables)?;
                    instance.nodes[node].status = NodeStatus::Completed;
                    instance.nodes[node].leave = variables.clone();
                    from = node;
                }
                _ => return Err(4014),
            }
        }
        Err(7009)
    }

    fn call_hook(&self, gateway: Option<&Element>, variables: &mut Variables) -> Result<(), i64> {
        if gateway.is_none_or(|gateway| gateway.text("hookInfoIds").is_empty()) {
            return Ok(());
        }
        match (&self.hook_answer, self.profile) {
            (Some(answer), _) => variables.extend(map_of(answer)),
            (None, Profile::Documented) => return Err(4012),
            (None, Profile::Turbo131) => {}
        }
        Ok(())
    }

    /// The node that follows.
    fn successor(&self, instance: &Instance, from: usize, variables: &Variables) -> Result<String, i64> {
        let node = &instance.nodes[from];
        let element = instance.model.element(&node.key).ok_or(4009)?;
        let decides = node.kind == EXCLUSIVE_GATEWAY || (node.kind == USER_TASK && element.outgoing.len() > 1);
        let flow = if decides {
            self.choose(instance, element, variables)?
        } else {
            element.outgoing.first().ok_or(4009)?
        };
        let flow = instance.model.element(flow).ok_or(4009)?;
        flow.outgoing.first().cloned().ok_or(4009)
    }

    fn choose<'a>(&self, instance: &Instance, element: &'a Element, variables: &Variables) -> Result<&'a String, i64> {
        let mut default = None;
        for key in &element.outgoing {
            let flow = instance.model.element(key).ok_or(4009)?;
            let condition = flow.text("conditionsequenceflow");
            if !condition.is_empty() && self.holds(condition, variables)? {
                return Ok(key);
            }
            if flow.is_default() {
                default = Some(key);
            }
        }
        default.ok_or(4013)
    }

    fn holds(&self, text: &str, variables: &Variables) -> Result<bool, i64> {
        condition::holds(text, variables).map_err(|fault| match (fault, self.profile) {
            (condition::Fault::Missing(_), Profile::Documented) => 4015,
            (condition::Fault::Unsupported, _) => panic!("the naive interpreter does not know the condition {text}"),
            _ => 4018,
        })
    }

    /// Commits one node of one flow instance, then every call activity whose sub flow that ended.
    fn commit_node(&mut self, tree: &mut Tree, index: usize, node: usize, commit: &Commit) -> Result<(), i64> {
        let submitted = map_of(&commit.variables);
        let target = &mut tree.instances[index].nodes[node];
        let mut variables = target.entry.clone();
        let mut index = index;
        let mut stop = if target.kind == USER_TASK {
            variables.extend(submitted);
            target.leave = variables.clone();
            target.status = NodeStatus::Completed;
            self.advance(tree, index, node, variables)?
        } else {
            let (sub, stop) = self.call(
                tree,
                index,
                node,
                submitted,
                commit.call_activity_flow_module_id.as_deref(),
            )?;
            tree.instances[index].nodes[node].subs.push(sub);
            index = sub;
            stop
        };
        while let (Stop::Ended(end), Some(parent)) = (&stop, tree.instances[index].parent) {
            let result = tree.instances[index].nodes[*end].leave.clone();
            let call = calling_node(tree, index);
            let key = tree.instances[parent].nodes[call].key.clone();
            let element = tree.instances[parent].model.element(&key).cloned().ok_or(4009)?;
            let target = &mut tree.instances[parent].nodes[call];
            let mut variables = target.entry.clone();
            variables.extend(transfer(&element, "callActivityOutParam", &result)?);
            target.leave = variables.clone();
            target.status = NodeStatus::Completed;
            stop = self.advance(tree, parent, call, variables)?;
            index = parent;
        }
        Ok(())
    }

    /// Starts the sub flow of a call activity.
    fn call(
        &mut self,
        tree: &mut Tree,
        index: usize,
        node: usize,
        submitted: Variables,
        module: Option<&str>,
    ) -> Result<(usize, Stop), i64> {
        let instance = &tree.instances[index];
        let element = instance.model.element(&instance.nodes[node].key).cloned().ok_or(4009)?;
        if element.text("callActivityExecuteType") != "sync" || element.text("callActivityInstanceType") != "single" {
            return Err(4014);
        }
        if depth(tree, index) > MAX_CALL_DEPTH {
            return Err(2002);
        }
        let property = element.text("callActivityFlowModuleId");
        let module = module
            .filter(|module| !module.trim().is_empty())
            .unwrap_or(property)
            .to_owned();
        if module.is_empty() {
            return Err(4019);
        }
        let mut variables = submitted;
        variables.extend(transfer(&element, "callActivityInParam", &instance.nodes[node].entry)?);
        self.begin(tree, &module, Some(index), &variables)
    }

    fn do_start(&mut self, start: &Start) -> (Answer, bool) {
        if start.flow_module_id.trim().is_empty() {
            return (Answer::code(2001), false);
        }
        let mut tree = Tree::default();
        if let Err(code) = self.begin(&mut tree, &start.flow_module_id, None, &map_of(&start.variables)) {
            return (Answer::code(code), false);
        }
        let answer = position(&tree, 1002);
        self.trees.push(tree);
        (answer, true)
    }

    fn do_commit(&mut self, root: usize, commit: &Commit) -> (Answer, bool) {
        let before = self.trees[root].clone();
        match before.instances[0].status {
            FlowStatus::Terminated => return (Answer::code(4003), false),
            FlowStatus::Completed => return (Answer::code(1001), false),
            FlowStatus::Running | FlowStatus::End => {}
        }
        let Some((index, node)) = locate(&before, &commit.task_instance_id) else {
            return (Answer::code(4010), false);
        };
        let target = &before.instances[index].nodes[node];
        match (target.kind, target.status) {
            (USER_TASK | CALL_ACTIVITY, NodeStatus::Completed) => return (position(&before, 1002), false),
            (CALL_ACTIVITY, NodeStatus::Active) if !target.subs.is_empty() => {
                return (position(&before, 1002), false);
            }
            (USER_TASK | CALL_ACTIVITY, NodeStatus::Active) => {}
            (USER_TASK | CALL_ACTIVITY, _) => return (Answer::code(4001), false),
            _ => return (Answer::code(4014), false),
        }
        let mut after = before.clone();
        match self.commit_node(&mut after, index, node, commit) {
            Ok(()) => {
                let answer = position(&after, 1002);
                self.trees[root] = after;
                (answer, true)
            }
            Err(code) => {
                self.trees[root] = failed(before, after);
                (Answer::code(code), true)
            }
        }
    }

    fn do_rollback(&mut self, root: usize, rollback: &Rollback) -> (Answer, bool) {
        let mut tree = self.trees[root].clone();
        if !matches!(tree.instances[0].status, FlowStatus::Running | FlowStatus::End) {
            return (Answer::code(4004), false);
        }
        let Some((mut index, mut node)) = locate(&tree, &rollback.task_instance_id) else {
            return (Answer::code(4010), false);
        };
        // A call activity whose sub flow runs is rolled back from the task that is active inside (T-26).
        while let Some(inner) = active_inside(&tree, index, node) {
            (index, node) = inner;
        }
        match self.rollback_node(&mut tree, index, node) {
            Ok(()) => {
                let answer = position(&tree, 1003);
                self.trees[root] = tree;
                (answer, true)
            }
            Err(code) => (Answer::code(code), false),
        }
    }

    fn rollback_node(&mut self, tree: &mut Tree, index: usize, node: usize) -> Result<(), i64> {
        let (mut level, mut requested) = (index, node);
        loop {
            if !is_eligible(&tree.instances[level], requested) {
                return Err(4002);
            }
            let Some(parent) = tree.instances[level].parent else {
                break;
            };
            requested = calling_node(tree, level);
            level = parent;
        }
        let mut index = index;
        let mut back = self.walk_back(tree, index, node)?;
        while let Some(parent) = tree.instances[index].parent {
            let call = calling_node(tree, index);
            if back == Back::Start {
                tree.instances[index].status = FlowStatus::Terminated;
                tree.instances[parent].nodes[call].status = NodeStatus::Disabled;
                let source = tree.instances[parent].nodes[call].source.ok_or(4010)?;
                back = self.walk_back(tree, parent, source)?;
            } else {
                tree.instances[index].status = FlowStatus::Running;
                if tree.instances[parent].nodes[call].status == NodeStatus::Completed {
                    disable_after(tree, parent, call);
                    self.reopen(tree, parent, call);
                }
            }
            index = parent;
        }
        Ok(())
    }

    /// Walks back from a node, which is disabled too, until a user task is open again.
    fn walk_back(&mut self, tree: &mut Tree, index: usize, first: usize) -> Result<Back, i64> {
        let mut at = first;
        loop {
            let node = tree.instances[index].nodes[at].clone();
            let was_completed = node.status == NodeStatus::Completed;
            match node.kind {
                START_EVENT if index == 0 => return Err(4006),
                START_EVENT => {
                    tree.instances[index].nodes[at].status = NodeStatus::Disabled;
                    return Ok(Back::Start);
                }
                USER_TASK if was_completed => {
                    disable_after(tree, index, at);
                    self.reopen(tree, index, at);
                    return Ok(Back::Reopened);
                }
                CALL_ACTIVITY if was_completed => {
                    disable_after(tree, index, at);
                    let sub = *node.subs.last().ok_or(4010)?;
                    let ends = &tree.instances[sub].nodes;
                    let end = ends.iter().rposition(|node| node.kind == END_EVENT).ok_or(4010)?;
                    let back = self.walk_back(tree, sub, end)?;
                    let reopened = self.reopen(tree, index, at);
                    if back == Back::Reopened {
                        tree.instances[sub].status = FlowStatus::Running;
                        return Ok(Back::Reopened);
                    }
                    tree.instances[sub].status = FlowStatus::Terminated;
                    tree.instances[index].nodes[reopened].status = NodeStatus::Disabled;
                }
                _ => tree.instances[index].nodes[at].status = NodeStatus::Disabled,
            }
            at = node.source.ok_or(4010)?;
        }
    }

    /// Disables a node instance and puts a new active one with the same entry data beside it.
    fn reopen(&mut self, tree: &mut Tree, index: usize, at: usize) -> usize {
        let id = self.id("node");
        let nodes = &mut tree.instances[index].nodes;
        nodes[at].status = NodeStatus::Disabled;
        let mut node = nodes[at].clone();
        node.id = id;
        node.status = NodeStatus::Active;
        node.leave = node.entry.clone();
        nodes.push(node);
        nodes.len() - 1
    }

    fn do_terminate(&mut self, root: usize, terminate: &Terminate) -> (Answer, bool) {
        let mut changed = false;
        for (index, instance) in self.trees[root].instances.iter_mut().enumerate() {
            if instance.status == FlowStatus::Running && (index == 0 || terminate.effective) {
                instance.status = FlowStatus::Terminated;
                changed = true;
            }
        }
        let status = self.trees[root].instances[0].status.number();
        (
            Answer {
                code: 1000,
                body: Body::Terminated(status),
            },
            changed,
        )
    }

    /// What the two history lists answer for a flow instance that does not exist (T-55).
    fn unknown_list(&self, empty: Body) -> Answer {
        match self.profile {
            Profile::Documented => Answer::code(4008),
            Profile::Turbo131 => Answer {
                code: 1000,
                body: empty,
            },
        }
    }
}

impl Subject for Naive {
    fn create_flow(&mut self, _flow_name: &str) -> String {
        let id = self.id("module");
        self.modules.insert(id.clone(), None);
        id
    }

    fn deploy(&mut self, flow_module_id: &str, flow_model: &str) -> Answer {
        self.modules
            .insert(flow_module_id.to_owned(), Some(Model::parse(flow_model)));
        Answer::code(1000)
    }

    fn start(&mut self, start: &Start) -> Answer {
        self.once("", start.command_id.as_ref(), &json!(start), |naive| {
            naive.do_start(start)
        })
    }

    fn commit(&mut self, commit: &Commit) -> Answer {
        let root = match self.root(&commit.flow_instance_id) {
            Ok(root) => root,
            Err(code) => return Answer::code(code),
        };
        let content = json!({ "commit": commit });
        self.once(
            &commit.flow_instance_id,
            commit.command_id.as_ref(),
            &content,
            |naive| naive.do_commit(root, commit),
        )
    }

    fn rollback(&mut self, rollback: &Rollback) -> Answer {
        let root = match self.root(&rollback.flow_instance_id) {
            Ok(root) => root,
            Err(code) => return Answer::code(code),
        };
        let content = json!({ "rollback": rollback });
        self.once(
            &rollback.flow_instance_id,
            rollback.command_id.as_ref(),
            &content,
            |naive| naive.do_rollback(root, rollback),
        )
    }

    fn terminate(&mut self, terminate: &Terminate) -> Answer {
        let root = match self.root(&terminate.flow_instance_id) {
            Ok(root) => root,
            Err(code) => return Answer::code(code),
        };
        let content = json!({ "terminate": terminate });
        self.once(
            &terminate.flow_instance_id,
            terminate.command_id.as_ref(),
            &content,
            |naive| naive.do_terminate(root, terminate),
        )
    }

    fn history_user_tasks(&mut self, flow_instance_id: &str, effective: bool) -> Answer {
        match self.find(flow_instance_id) {
            None => self.unknown_list(Body::Nodes(Vec::new())),
            Some((tree, index)) => {
                let tasks = user_tasks(&self.trees[tree], index, effective);
                Answer {
                    code: 1000,
                    body: Body::Nodes(tasks),
                }
            }
        }
    }

    fn history_elements(&mut self, flow_instance_id: &str, effective: bool) -> Answer {
        match self.find(flow_instance_id) {
            None => self.unknown_list(Body::Elements(Vec::new())),
            Some((tree, index)) => match elements(&self.trees[tree], index, effective) {
                Ok(elements) => Answer {
                    code: 1000,
                    body: Body::Elements(elements),
                },
                Err(code) => Answer::code(code),
            },
        }
    }

    fn instance_data(&mut self, flow_instance_id: &str, effective: bool) -> Answer {
        match self.find(flow_instance_id) {
            None => Answer::code(4008),
            Some((tree, index)) => {
                let variables = current_data(&self.trees[tree], index, effective);
                Answer {
                    code: 1000,
                    body: Body::Variables(variables),
                }
            }
        }
    }

    fn node_instance(&mut self, flow_instance_id: &str, node_instance_id: &str, _effective: bool) -> Answer {
        let Some((tree, _)) = self.find(flow_instance_id) else {
            return Answer::code(4008);
        };
        let tree = &self.trees[tree];
        match locate(tree, node_instance_id) {
            None => Answer::code(4010),
            Some((index, node)) => Answer {
                code: 1000,
                body: Body::Node(node_view(&tree.instances[index].nodes[node])),
            },
        }
    }

    fn flow_instance(&mut self, flow_instance_id: &str) -> Answer {
        match self.find(flow_instance_id) {
            None => Answer::code(4008),
            Some((tree, index)) => {
                let status = self.trees[tree].instances[index].status.number();
                Answer {
                    code: 1000,
                    body: Body::Flow {
                        flow_instance: flow_instance_id.to_owned(),
                        status,
                    },
                }
            }
        }
    }
}

/// Later entries of a list win.
fn map_of(variables: &[Variable]) -> Variables {
    variables
        .iter()
        .map(|variable| (variable.key.clone(), variable.value.clone()))
        .collect()
}

/// What a call activity hands over in one direction; `property` names the rules, `property` + "Type" the kind.
fn transfer(element: &Element, property: &str, from: &Variables) -> Result<Variables, i64> {
    match element.text(&format!("{property}Type")) {
        "" | "full" => return Ok(from.clone()),
        "none" => return Ok(Variables::new()),
        "part" => {}
        _ => return Err(3217),
    }
    let rules = match element.properties.get(property) {
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| 3217)?,
        Some(rules) => rules.clone(),
        None => return Err(3217),
    };
    let mut variables = Variables::new();
    for rule in rules.as_array().ok_or(3217)? {
        let text = |key: &str| rule[key].as_str().unwrap_or_default().to_owned();
        let value = match text("sourceType").as_str() {
            "context" => from.get(&text("sourceKey")).cloned().unwrap_or(Value::Null),
            "fixed" => match &rule["sourceValue"] {
                Value::Null | Value::String(_) => rule["sourceValue"].clone(),
                other => json!(other.to_string()),
            },
            _ => return Err(3217),
        };
        variables.insert(text("targetKey"), value);
    }
    Ok(variables)
}

fn locate(tree: &Tree, node_instance_id: &str) -> Option<(usize, usize)> {
    tree.instances.iter().enumerate().find_map(|(index, instance)| {
        let node = instance.nodes.iter().position(|node| node.id == node_instance_id)?;
        Some((index, node))
    })
}

/// The newest node instance that runs the flow instance `index`, in its parent.
fn calling_node(tree: &Tree, index: usize) -> usize {
    let parent = tree.instances[index]
        .parent
        .expect("only sub flow instances are called");
    let nodes = &tree.instances[parent].nodes;
    nodes
        .iter()
        .rposition(|node| node.subs.contains(&index))
        .expect("a call activity called it")
}

fn depth(tree: &Tree, index: usize) -> usize {
    1 + tree.instances[index].parent.map_or(0, |parent| depth(tree, parent))
}

/// The newest active node instance in the sub flow that a call activity runs right now.
fn active_inside(tree: &Tree, index: usize, node: usize) -> Option<(usize, usize)> {
    let call = &tree.instances[index].nodes[node];
    let sub = *call.subs.last().filter(|_| call.status == NodeStatus::Active)?;
    let active = tree.instances[sub]
        .nodes
        .iter()
        .rposition(|node| node.status == NodeStatus::Active)?;
    Some((sub, active))
}

/// T-34: data and active tasks as before, and what the attempt created as FAILED. A sub flow it started is gone.
fn failed(before: Tree, after: Tree) -> Tree {
    let mut result = before;
    for (old, new) in result.instances.iter_mut().zip(after.instances) {
        let created = new.nodes.into_iter().skip(old.nodes.len());
        old.nodes.extend(created.map(|node| Node {
            status: NodeStatus::Failed,
            ..node
        }));
    }
    result
}

/// §4.1 no. 3: an active task newer than the newest completed one, or that completed one itself.
fn is_eligible(instance: &Instance, requested: usize) -> bool {
    for (index, node) in instance.nodes.iter().enumerate().rev() {
        if !matches!(node.kind, USER_TASK | END_EVENT | CALL_ACTIVITY) {
            continue;
        }
        match node.status {
            NodeStatus::Active | NodeStatus::Completed if index == requested => return true,
            NodeStatus::Completed => return false,
            _ => {}
        }
    }
    false
}

/// T-27: everything that came after a node instance is rolled back with it.
fn disable_after(tree: &mut Tree, index: usize, first: usize) {
    let count = tree.instances[index].nodes.len();
    for at in first + 1..count {
        let node = &tree.instances[index].nodes[at];
        let mut source = node.source;
        while source.is_some_and(|source| source > first) {
            source = source.and_then(|source| tree.instances[index].nodes[source].source);
        }
        // A failed attempt stays visible as such.
        if source == Some(first) && node.status != NodeStatus::Failed {
            let subs = node.subs.clone();
            tree.instances[index].nodes[at].status = NodeStatus::Disabled;
            for sub in subs
                .into_iter()
                .filter(|sub| tree.instances[*sub].status == FlowStatus::Running)
                .collect::<Vec<_>>()
            {
                tree.instances[sub].status = FlowStatus::Terminated;
                disable_all(tree, sub);
            }
        }
    }
}

fn disable_all(tree: &mut Tree, index: usize) {
    for at in 0..tree.instances[index].nodes.len() {
        let node = &mut tree.instances[index].nodes[at];
        if node.status != NodeStatus::Failed {
            node.status = NodeStatus::Disabled;
        }
        for sub in node.subs.clone() {
            tree.instances[sub].status = FlowStatus::Terminated;
            disable_all(tree, sub);
        }
    }
}

/// The answer that describes where the root flow instance stands: `code`, or 1000 when it is complete.
fn position(tree: &Tree, code: i64) -> Answer {
    runtime(tree, 0, code)
}

fn runtime(tree: &Tree, index: usize, code: i64) -> Answer {
    let instance = &tree.instances[index];
    let ended = matches!(instance.status, FlowStatus::Completed | FlowStatus::End);
    let shown = if ended { END_EVENT } else { 0 };
    let tasks = instance.nodes.iter().filter(|node| {
        if shown == END_EVENT {
            node.kind == END_EVENT && node.status == NodeStatus::Completed
        } else {
            node.status == NodeStatus::Active
        }
    });
    let tasks = tasks.map(|node| TaskView {
        node: node.id.clone(),
        model_key: node.key.clone(),
        status: node.status.number(),
        variables: node.entry.clone(),
        sub: node
            .subs
            .last()
            .map(|sub| runtime(tree, *sub, code))
            .into_iter()
            .collect(),
    });
    let body = Runtime {
        flow_instance: instance.id.clone(),
        status: instance.status.number(),
        tasks: tasks.collect(),
    };
    Answer {
        code: if ended { 1000 } else { code },
        body: Body::Runtime(body),
    }
}

fn node_view(node: &Node) -> NodeView {
    NodeView {
        node: node.id.clone(),
        model_key: node.key.clone(),
        status: node.status.number(),
    }
}

fn user_tasks(tree: &Tree, index: usize, effective: bool) -> Vec<NodeView> {
    let mut list = Vec::new();
    for node in tree.instances[index].nodes.iter().rev() {
        if !matches!(node.status, NodeStatus::Completed | NodeStatus::Active) {
            continue;
        }
        match node.kind {
            USER_TASK => list.push(node_view(node)),
            CALL_ACTIVITY if effective => {
                list.extend(
                    node.subs
                        .last()
                        .map(|sub| user_tasks(tree, *sub, effective))
                        .unwrap_or_default(),
                );
            }
            _ => {}
        }
    }
    list
}

fn elements(tree: &Tree, index: usize, effective: bool) -> Result<Vec<ElementView>, i64> {
    let instance = &tree.instances[index];
    let mut list = Vec::new();
    for node in &instance.nodes {
        if let Some(source) = node.source {
            let from = instance.model.element(&instance.nodes[source].key).ok_or(4009)?;
            let to = instance.model.element(&node.key).ok_or(4009)?;
            let flow = from.outgoing.iter().find(|key| to.incoming.contains(key)).ok_or(3211)?;
            debug_assert!(
                instance
                    .model
                    .element(flow)
                    .is_some_and(|flow| flow.kind == SEQUENCE_FLOW)
            );
            let status = if node.status == NodeStatus::Active {
                NodeStatus::Completed
            } else {
                node.status
            };
            list.push(ElementView {
                node: None,
                model_key: flow.clone(),
                status: status.number(),
                sub: None,
            });
        }
        let sub = if effective && node.kind == CALL_ACTIVITY {
            let mut inner = Vec::new();
            for sub in &node.subs {
                inner.extend(elements(tree, *sub, effective)?);
            }
            Some(inner)
        } else {
            None
        };
        list.push(ElementView {
            node: Some(node.id.clone()),
            model_key: node.key.clone(),
            status: node.status.number(),
            sub,
        });
    }
    Ok(list)
}

/// T-16: the data of the current position.
fn current_data(tree: &Tree, index: usize, effective: bool) -> Variables {
    let nodes = &tree.instances[index].nodes;
    let active = nodes.iter().rfind(|node| node.status == NodeStatus::Active);
    let ended = || {
        nodes
            .iter()
            .rfind(|node| node.kind == END_EVENT && node.status == NodeStatus::Completed)
    };
    let Some(node) = active.or_else(ended) else {
        return Variables::new();
    };
    match node.subs.last() {
        Some(sub) if effective => current_data(tree, *sub, effective),
        _ => node.entry.clone(),
    }
}

impl Naive {
    /// The module a flow instance runs, for tests that deploy again while it runs.
    #[must_use]
    pub fn module_of(&self, flow_instance_id: &str) -> Option<&str> {
        let (tree, index) = self.find(flow_instance_id)?;
        Some(&self.trees[tree].instances[index].module)
    }
}
