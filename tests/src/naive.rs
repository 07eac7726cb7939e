//! A naive interpreter of the specification: the oracle that the engine is compared with.
//!
//! Every command works on a full copy of the instance tree, and every node instance keeps its own copy of all variables
//! on entry and on leaving. There is no log, no cache and no code in common with the engine. Where the tokens of a flow
//! with forks stand is worked out again whenever it is asked. Custom merge strategies are not covered.
//!
//! Source: the API document, docs/behaviour.md and docs/adr/0012-forks-and-joins.md.

mod canonical;
pub mod condition;
mod fork;
mod going_back;
mod lifecycle;
mod position;
mod rollback;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::scenario::{
    Answer, Body, Commit, CompensationView, Lifecycle, Profile, Redo, Rollback, RollbackTo, Start, Subject, Terminate,
    Variable, Variables,
};

const SEQUENCE_FLOW: i64 = 1;
const START_EVENT: i64 = 2;
const END_EVENT: i64 = 3;
const USER_TASK: i64 = 4;
const EXCLUSIVE_GATEWAY: i64 = 6;
const CALL_ACTIVITY: i64 = 8;
const PARALLEL_GATEWAY: i64 = 9;
const INCLUSIVE_GATEWAY: i64 = 10;

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
    Waiting,
    Closed,
}

impl NodeStatus {
    const fn number(self) -> i64 {
        match self {
            Self::Completed => 1,
            Self::Active => 2,
            Self::Failed => 3,
            Self::Disabled => 4,
            Self::Waiting => 5,
            Self::Closed => 6,
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

    /// The key that `forkJoinMatch` gives for `side`, which is `fork` or `join`.
    fn matched(&self, side: &str) -> String {
        let keys = match self.properties.get("forkJoinMatch") {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            Some(keys) => keys.clone(),
            None => Value::Null,
        };
        keys[side].as_str().unwrap_or_default().to_owned()
    }

    fn is_forking(&self) -> bool {
        matches!(self.kind, PARALLEL_GATEWAY | INCLUSIVE_GATEWAY) && self.matched("fork") == self.key
    }

    fn is_joining(&self) -> bool {
        matches!(self.kind, PARALLEL_GATEWAY | INCLUSIVE_GATEWAY) && !self.is_forking()
    }
}

#[derive(Debug, Clone)]
struct Model {
    elements: Vec<Element>,
    /// The reasons the flow offers, by lifecycle command.
    reason_options: BTreeMap<String, Vec<String>>,
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
        let offered = model["reasonOptions"].as_object().into_iter().flatten();
        Self {
            elements: elements.collect(),
            reason_options: offered
                .map(|(command, options)| (command.clone(), keys(options)))
                .collect(),
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
    /// The branch it belongs to; none belongs to no fork.
    branch: Option<Branch>,
    /// Of a fork: the branches it opened, in order.
    opened: Vec<usize>,
    /// Of a fork: those of them that have not begun.
    unbegun: Vec<usize>,
    /// Of a join: the node instance of its fork.
    fork: Option<usize>,
    /// Of a join: what arrived, in that order.
    arrivals: Vec<Arrival>,
    /// Of a join that fired: the task or call activity whose commit did it; none if the start did.
    fired_by: Option<usize>,
    /// If it was closed: flow instance and node instance of the join that did it.
    closed_by: Option<(usize, usize)>,
    /// If it was completed: the how manieth in the tree.
    completed_as: usize,
}

impl Node {
    /// Whether it is part of what happened: not a failed attempt, not rolled back.
    fn counts(&self) -> bool {
        !matches!(self.status, NodeStatus::Failed | NodeStatus::Disabled)
    }

    fn is_join(&self) -> bool {
        self.fork.is_some()
    }
}

/// A branch: the node instance of its fork, and which of the fork's outgoing it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Branch {
    fork: usize,
    number: usize,
}

/// A token that reached a join.
#[derive(Debug, Clone)]
struct Arrival {
    /// The node instance it came from.
    node: usize,
    /// The sequence flow it came along.
    flow: String,
    /// Its branch of the join's fork.
    number: usize,
    data: Variables,
}

/// A place where a token came to rest in the command at hand.
#[derive(Debug, Clone)]
struct Rest {
    instance: usize,
    node: usize,
    data: Variables,
}

#[derive(Debug, Clone)]
struct Instance {
    id: String,
    parent: Option<usize>,
    module: String,
    model: Arc<Model>,
    status: FlowStatus,
    /// In order of creation.
    nodes: Vec<Node>,
    /// The task or call activity whose commit moves, or last moved, a token here; none is the start.
    mover: Option<usize>,
    /// The end event that ended it.
    last_end: Option<usize>,
    /// If a join terminated it: that join's flow instance and node instance.
    terminated_by: Option<(usize, usize)>,
}

/// A root flow instance, at index 0, and every flow instance below it.
#[derive(Debug, Clone, Default)]
struct Tree {
    instances: Vec<Instance>,
    /// In the order of travel.
    rests: Vec<Rest>,
    /// What the rollback at hand leaves to be undone outside.
    compensations: Vec<CompensationView>,
    /// Node instances that were completed so far.
    completions: usize,
    /// Whether it is suspended, perhaps below an abort.
    suspended: bool,
    aborted: bool,
}

impl Tree {
    fn complete(&mut self, index: usize, node: usize) {
        self.completions += 1;
        let node = &mut self.instances[index].nodes[node];
        node.status = NodeStatus::Completed;
        node.completed_as = self.completions;
    }
}

/// A command that was given with an id and changed something.
#[derive(Debug, Clone)]
struct Remembered {
    content: Value,
    answer: Answer,
}

/// The command a refusal answers, where the nearest code of the reference engine depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum During {
    Commit,
    Rollback,
    Other,
}

/// The interpreter.
#[derive(Debug, Clone)]
pub struct Naive {
    profile: Profile,
    hook_answer: Option<Vec<Variable>>,
    next_id: usize,
    modules: BTreeMap<String, Option<Arc<Model>>>,
    trees: Vec<Tree>,
    /// Of each tree, how it was before each rollback since the last commit.
    before_rollbacks: Vec<Vec<Tree>>,
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
            before_rollbacks: Vec::new(),
            remembered: BTreeMap::new(),
        }
    }

    fn id(&mut self, what: &str) -> String {
        let id = format!("{what}-{}", self.next_id);
        self.next_id += 1;
        id
    }

    /// A refusal with a code from 7000 up, as the profile shows it.
    fn refuse(&self, code: i64, during: During) -> Answer {
        if self.profile == Profile::Documented {
            return Answer::code(code);
        }
        Answer::code(match (code, during) {
            (7301 | 7402 | 7403, _) => 2001,
            (7400, _) => 4003,
            (7406, During::Commit) => 4001,
            (7406, During::Rollback) | (7415 | 7416, _) => 4002,
            (7401 | 7404 | 7405, _) | (7406, During::Other) => 5001,
            (7407, _) => 4009,
            (7409, _) => 4005,
            (7410, _) => 4010,
            (7413, _) => 4013,
            (code, _) => code,
        })
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
            return self.refuse(7301, During::Other);
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
    ) -> Result<usize, i64> {
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
            mover: None,
            last_end: None,
            terminated_by: None,
        });
        let node = self.enter(tree, index, &start, None, None, variables)?;
        tree.complete(index, node);
        self.advance(tree, index, node, variables.clone())?;
        Ok(index)
    }

    /// The node instance for a step onto `key`: the newest one from this source that is not rolled back, else a new one.
    fn enter(
        &mut self,
        tree: &mut Tree,
        index: usize,
        key: &str,
        source: Option<usize>,
        branch: Option<Branch>,
        variables: &Variables,
    ) -> Result<usize, i64> {
        let kind = tree.instances[index].model.element(key).ok_or(4009)?.kind;
        let nodes = &tree.instances[index].nodes;
        let earlier = nodes.iter().rposition(|node| {
            source.is_some()
                && node.source == source
                && node.branch == branch
                && node.key == key
                && node.status != NodeStatus::Disabled
        });
        let entered = Node {
            id: self.id("node"),
            key: key.to_owned(),
            kind,
            source,
            status: NodeStatus::Active,
            entry: variables.clone(),
            leave: variables.clone(),
            subs: Vec::new(),
            branch,
            opened: Vec::new(),
            unbegun: Vec::new(),
            fork: None,
            arrivals: Vec::new(),
            fired_by: None,
            closed_by: None,
            completed_as: 0,
        };
        let nodes = &mut tree.instances[index].nodes;
        if let Some(earlier) = earlier {
            let id = nodes[earlier].id.clone();
            nodes[earlier] = Node { id, ..entered };
            return Ok(earlier);
        }
        nodes.push(entered);
        Ok(nodes.len() - 1)
    }

    /// Moves the token that is done at `from` until it rests.
    fn advance(&mut self, tree: &mut Tree, index: usize, from: usize, variables: Variables) -> Result<(), i64> {
        let flow = self.way_on(&tree.instances[index], from, &variables)?;
        self.travel(tree, index, from, flow, variables)
    }

    /// Moves the token that is done at `from` along `flow`, and on until it rests.
    fn travel(
        &mut self,
        tree: &mut Tree,
        index: usize,
        from: usize,
        flow: String,
        mut variables: Variables,
    ) -> Result<(), i64> {
        let (mut from, mut flow) = (from, flow);
        for _ in 0..MAX_STEPS {
            let instance = &tree.instances[index];
            let branch = fork::branch_behind(instance, from, &flow);
            let next = instance.model.element(&flow).and_then(|flow| flow.outgoing.first());
            let next = next.and_then(|key| instance.model.element(key)).cloned().ok_or(4009)?;
            if next.is_joining() {
                let Some((join, merged)) = self.arrive(tree, index, from, &flow, &next, variables)? else {
                    return Ok(());
                };
                (from, variables) = (join, merged);
            } else {
                let node = self.enter(tree, index, &next.key, Some(from), branch, &variables)?;
                if matches!(next.kind, USER_TASK | CALL_ACTIVITY) {
                    tree.rest(index, node);
                    return Ok(());
                }
                tree.complete(index, node);
                match next.kind {
                    END_EVENT => match fork::end_token(tree, index, node)? {
                        Some((join, merged)) => (from, variables) = (join, merged),
                        None => return Ok(()),
                    },
                    EXCLUSIVE_GATEWAY => {
                        self.call_hook(Some(&next), &mut variables)?;
                        tree.instances[index].nodes[node].leave = variables.clone();
                        from = node;
                    }
                    _ if next.is_forking() => return self.fork(tree, index, node, &next, &variables),
                    _ => return Err(4014),
                }
            }
            flow = self.way_on(&tree.instances[index], from, &variables)?;
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

    /// The sequence flow to go on by.
    fn way_on(&self, instance: &Instance, from: usize, variables: &Variables) -> Result<String, i64> {
        let node = &instance.nodes[from];
        let element = instance.model.element(&node.key).ok_or(4009)?;
        let decides = node.kind == EXCLUSIVE_GATEWAY || (node.kind == USER_TASK && element.outgoing.len() > 1);
        if decides {
            return self.choose(instance, element, variables).cloned();
        }
        element.outgoing.first().cloned().ok_or(4009)
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
        if target.kind == USER_TASK {
            variables.extend(submitted);
            target.leave = variables.clone();
            tree.complete(index, node);
            tree.instances[index].mover = Some(node);
            self.advance(tree, index, node, variables)?;
        } else {
            let sub = self.call(
                tree,
                index,
                node,
                submitted,
                commit.call_activity_flow_module_id.as_deref(),
            )?;
            tree.instances[index].nodes[node].subs.push(sub);
            index = sub;
        }
        while let (FlowStatus::End, Some(parent)) = (tree.instances[index].status, tree.instances[index].parent) {
            let result = fork::flow_data(&tree.instances[index]);
            let call = calling_node(tree, index);
            let key = tree.instances[parent].nodes[call].key.clone();
            let element = tree.instances[parent].model.element(&key).cloned().ok_or(4009)?;
            let target = &mut tree.instances[parent].nodes[call];
            let mut variables = target.entry.clone();
            variables.extend(transfer(&element, "callActivityOutParam", &result)?);
            target.leave = variables.clone();
            tree.complete(parent, call);
            tree.instances[parent].mover = Some(call);
            self.advance(tree, parent, call, variables)?;
            index = parent;
        }
        tree.rest_around(index);
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
    ) -> Result<usize, i64> {
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
        let answer = tree.came_to_rest();
        self.trees.push(tree);
        self.before_rollbacks.push(Vec::new());
        (answer, true)
    }

    fn do_commit(&mut self, root: usize, commit: &Commit) -> (Answer, bool) {
        let before = self.trees[root].clone();
        match before.instances[0].status {
            FlowStatus::Terminated => return (Answer::code(4003), false),
            FlowStatus::Completed => return (Answer::code(1001), false),
            FlowStatus::Running | FlowStatus::End => {}
        }
        if let Err(code) = before.held() {
            return (self.refuse(code, During::Commit), false);
        }
        let Some((index, node)) = locate(&before, &commit.task_instance_id) else {
            return (Answer::code(4010), false);
        };
        let target = &before.instances[index].nodes[node];
        match (target.kind, target.status) {
            (USER_TASK | CALL_ACTIVITY, NodeStatus::Completed) => return (before.position(), false),
            (CALL_ACTIVITY, NodeStatus::Active) if !target.subs.is_empty() => {
                return (before.position(), false);
            }
            (USER_TASK | CALL_ACTIVITY, NodeStatus::Active) => {}
            (USER_TASK | CALL_ACTIVITY, _) => return (Answer::code(4001), false),
            _ => return (Answer::code(4014), false),
        }
        let mut after = before.clone();
        after.rests.clear();
        match self.commit_node(&mut after, index, node, commit) {
            Ok(()) => {
                let answer = after.came_to_rest();
                self.trees[root] = after;
                self.before_rollbacks[root].clear();
                (answer, true)
            }
            // A conflict that the join refuses leaves nothing.
            Err(6008) => (Answer::code(6008), false),
            Err(code) => {
                self.trees[root] = failed(before, after);
                (Answer::code(code), true)
            }
        }
    }

    fn do_terminate(&mut self, root: usize, terminate: &Terminate) -> (Answer, bool) {
        let mut changed = false;
        for (index, instance) in self.trees[root].instances.iter_mut().enumerate() {
            if instance.status == FlowStatus::Running && (index == 0 || terminate.effective) {
                instance.status = FlowStatus::Terminated;
                changed = true;
            }
        }
        let tree = &mut self.trees[root];
        // Of what has ended nothing is held.
        if tree.instances[0].status == FlowStatus::Terminated {
            (tree.suspended, tree.aborted) = (false, false);
        }
        let status = tree.instances[0].status.number();
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
            .insert(flow_module_id.to_owned(), Some(Arc::new(Model::parse(flow_model))));
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

    fn rollback_to(&mut self, rollback: &RollbackTo) -> Answer {
        if rollback.node_instance_id.is_some() == rollback.model_key.is_some() {
            return Answer::code(2001);
        }
        let root = match self.root(&rollback.flow_instance_id) {
            Ok(root) => root,
            Err(code) => return Answer::code(code),
        };
        let content = json!({ "rollbackTo": rollback });
        self.once(
            &rollback.flow_instance_id,
            rollback.command_id.as_ref(),
            &content,
            |naive| naive.do_rollback_to(root, rollback),
        )
    }

    fn redo(&mut self, redo: &Redo) -> Answer {
        let root = match self.root(&redo.flow_instance_id) {
            Ok(root) => root,
            Err(code) => return Answer::code(code),
        };
        let content = json!({ "redo": redo });
        self.once(&redo.flow_instance_id, redo.command_id.as_ref(), &content, |naive| {
            naive.do_redo(root)
        })
    }

    fn lifecycle(&mut self, lifecycle: &Lifecycle) -> Answer {
        let root = match self.root(&lifecycle.flow_instance_id) {
            Ok(root) => root,
            Err(code) => return Answer::code(code),
        };
        let content = json!({ "lifecycle": lifecycle });
        self.once(
            &lifecycle.flow_instance_id,
            lifecycle.command_id.as_ref(),
            &content,
            |naive| naive.do_lifecycle(root, lifecycle),
        )
    }

    fn rollback_targets(&mut self, flow_instance_id: &str) -> Answer {
        match self.root(flow_instance_id) {
            Ok(root) => self.targets(root),
            Err(code) => Answer::code(code),
        }
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
                let tasks = view::user_tasks(&self.trees[tree], index, effective);
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
            Some((tree, index)) => match view::elements(&self.trees[tree], index, effective) {
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
                let variables = view::current_data(&self.trees[tree], index, effective);
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
                body: Body::Node(view::node_view(&tree.instances[index].nodes[node])),
            },
        }
    }

    fn flow_instance(&mut self, flow_instance_id: &str) -> Answer {
        match self.find(flow_instance_id) {
            None => Answer::code(4008),
            Some((tree, index)) => {
                let status = self.trees[tree].status_number(index);
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
    let newest = |counts: bool| {
        let is_it = |node: &Node| node.subs.contains(&index) && (node.counts() || !counts);
        nodes.iter().rposition(is_it)
    };
    // A redo leaves a newer one that no longer counts.
    newest(true)
        .or_else(|| newest(false))
        .expect("a call activity called it")
}

fn depth(tree: &Tree, index: usize) -> usize {
    1 + tree.instances[index].parent.map_or(0, |parent| depth(tree, parent))
}

/// T-34: data and active tasks as before, and what the attempt created as FAILED. A sub flow it started is gone.
fn failed(before: Tree, after: Tree) -> Tree {
    let mut result = before;
    for (old, new) in result.instances.iter_mut().zip(after.instances) {
        let created = new.nodes.into_iter().skip(old.nodes.len());
        // Of a join that failed the record knows the first arrival.
        old.nodes.extend(created.map(|mut node| {
            node.arrivals.truncate(1);
            Node {
                status: NodeStatus::Failed,
                ..node
            }
        }));
    }
    result
}

impl Naive {
    /// The module a flow instance runs, for tests that deploy again while it runs.
    #[must_use]
    pub fn module_of(&self, flow_instance_id: &str) -> Option<&str> {
        let (tree, index) = self.find(flow_instance_id)?;
        Some(&self.trees[tree].instances[index].module)
    }
}
