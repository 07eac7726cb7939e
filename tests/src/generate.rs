//! Random flow models and random command words.
//!
//! Models are block structured and valid by construction under both profiles; words choose by index among what the
//! instance offers, so that they shrink well. Knows the specification's shapes, no subject.

use flowledger::testing::models;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::scenario::{Flow, Operation, Step, Variable};
use crate::sketch;

/// Nodes after which blocks are rendered as plain tasks.
const NODES_BEFORE_PLAIN: usize = 30;
/// Nodes after which blocks are left out.
const NODES_BEFORE_END: usize = 37;

/// A run of blocks between a start event and its end events.
#[derive(Debug, Clone)]
pub struct ModelPlan {
    /// The blocks, in order.
    pub blocks: Vec<Block>,
    /// Decides the order of the element list; 0 keeps the order of creation.
    pub shuffle: u64,
}

/// A piece of a flow with one way in and at most one way out.
#[derive(Debug, Clone)]
pub enum Block {
    /// A user task.
    Task,
    /// A call activity that runs the flow with this number, where the flow has others to call.
    Call(Index),
    /// Branches of which one is taken.
    Choice {
        /// What decides.
        decider: Decider,
        /// The branches, in evaluation order.
        branches: Vec<Branch>,
        /// How the branches come together.
        close: Close,
    },
    /// A body that may be gone through again.
    Loop {
        /// What decides whether to go round.
        decider: Decider,
        /// What comes after the task that the loop returns to.
        body: Vec<Block>,
        /// When to go round.
        again: String,
        /// When to leave; without one, leaving is the default.
        leave: Option<String>,
        /// Whether leaving is evaluated first.
        leave_first: bool,
    },
    /// Branches that are gone through side by side, from a fork to its join.
    Fork {
        /// Whether the gateways are inclusive ones; else they are parallel.
        inclusive: bool,
        /// The branches, in order.
        branches: Vec<ForkBranch>,
        /// How the join works.
        join: JoinRules,
    },
}

/// One branch of a fork.
#[derive(Debug, Clone)]
pub struct ForkBranch {
    /// Its condition. Parallel gateways have no eye for it; inclusive ones never take a branch without one.
    pub condition: Option<String>,
    /// Whether it is marked as default, which neither kind of gateway looks at.
    pub default: bool,
    /// What it does; nothing leads from the fork straight to the join.
    pub body: Vec<Block>,
    /// Whether it ends in an end event of its own. The join keeps one way in.
    pub ends: bool,
}

/// The properties of a join; none leaves the property out.
#[derive(Debug, Clone, Copy)]
pub struct JoinRules {
    /// When it fires.
    pub branch_merge: Option<&'static str>,
    /// What data it sends on.
    pub data_merge: Option<&'static str>,
    /// Who wins.
    pub data_conflict: Option<&'static str>,
}

/// What chooses between branches.
#[derive(Debug, Clone, Copy)]
pub enum Decider {
    /// An exclusive gateway.
    Gateway,
    /// An exclusive gateway with a hook.
    HookedGateway,
    /// The user task itself.
    Task,
}

/// One branch of a choice.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its condition. A gateway's branch without one becomes the default branch, or a plain one if there is a default.
    pub condition: Option<String>,
    /// Whether it is the default branch.
    pub default: bool,
    /// What it does.
    pub body: Vec<Block>,
    /// Whether it ends in an end event of its own.
    pub ends: bool,
}

/// How branches come together.
#[derive(Debug, Clone)]
pub enum Close {
    /// At whatever comes next.
    Next,
    /// At an exclusive gateway whose only way out is the default.
    Gateway,
    /// At an exclusive gateway whose only way out has a condition.
    Conditional(String),
}

/// A condition over the variables that [`variables`] gives.
pub fn condition() -> impl Strategy<Value = String> {
    let number = || select(vec!["a", "b"]);
    let word = || select(vec!["x", "y", "agree", "reject", "同意"]);
    let leaf = prop_oneof![
        8 => (number(), select(vec![">", ">=", "<", "<=", "==", "!="]), 0..8_i64)
            .prop_map(|(name, sign, value)| format!("{name} {sign} {value}")),
        2 => (number(), 0..3_i64, 3..8_i64).prop_map(|(name, low, high)| format!("{low}<{name} && {name}<{high}")),
        2 => (number(), 2..4_i64).prop_map(|(name, by)| format!("{name} % {by} == 0")),
        1 => (number(), number(), 0..8_i64).prop_map(|(left, right, value)| format!("({left} - {right}) * 2 >= {value}")),
        1 => (number(), 0..8_i64).prop_map(|(name, value)| format!("a + {name} > {value}")),
        3 => word().prop_map(|word| format!("s == \"{word}\"")),
        1 => word().prop_map(|word| format!("s != '{word}'")),
        2 => word().prop_map(|word| format!("s.equals(\"{word}\")")),
        1 => word().prop_map(|word| format!("\"{word}\".equals(s)")),
        1 => word().prop_map(|word| format!("!s.equals(\"{word}\")")),
        1 => select(vec!["ok", "!ok", "ok == true", "d >= 1.5", "d == 2.25", "a > d", "a == null", "s == null"])
            .prop_map(str::to_owned),
        1 => select(vec!["a", "s", "absent > 1", "a > 2 || absent", "1 / 0 > 1"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 4, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("{left} && {right}")),
            (inner.clone(), inner.clone()).prop_map(|(left, right)| format!("({left}) || {right}")),
            inner.clone().prop_map(|inner| format!("!({inner})")),
            inner.prop_map(|inner| if inner.starts_with("${") {
                inner
            } else {
                format!("${{{inner}}}")
            }),
        ]
    })
    .prop_map(|text| {
        // `${…}` is a wrapper around the whole text only.
        if text.matches("${").count() > usize::from(text.starts_with("${") && text.ends_with('}')) {
            text.replace("${", "").replace('}', "")
        } else {
            text
        }
    })
}

/// Variables as commits give them: any part of the known ones, now and then values that no branch expects.
pub fn variables() -> impl Strategy<Value = Vec<Variable>> {
    let full = full_variables().prop_flat_map(|all| {
        let count = all.len();
        subsequence(all, 0..=count)
    });
    prop_oneof![
        8 => full,
        3 => Just(vec![
            Variable::new("a", json!(-51)),
            Variable::new("b", json!(-50)),
            Variable::new("s", json!("nobody")),
        ]),
        1 => select(vec!["a", "b", "s"]).prop_map(|key| vec![Variable::new(key, Value::Null)]),
        1 => (0..9_i64, 0..9_i64).prop_map(|(first, second)| {
            vec![Variable::new("a", json!(first)), Variable::new("a", json!(second))]
        }),
        1 => Just(Vec::new()),
    ]
}

/// Variables as a start gives them: mostly all of them, for most conditions need one.
pub fn start_variables() -> impl Strategy<Value = Vec<Variable>> {
    prop_oneof![6 => full_variables(), 1 => variables()]
}

/// All known variables, each with a value that conditions expect.
pub fn full_variables() -> impl Strategy<Value = Vec<Variable>> {
    let word = select(vec!["x", "y", "agree", "reject", "同意", ""]);
    let decimal = select(vec![0.5, 1.5, 2.25, 100.0]);
    let note = prop::option::of(0..100_u8);
    (0..8_i64, 0..8_i64, word, any::<bool>(), decimal, note).prop_map(|(a, b, s, ok, d, note)| {
        let mut variables = vec![
            Variable::new("a", json!(a)),
            Variable::new("b", json!(b)),
            Variable::new("s", json!(s)),
            Variable::new("ok", json!(ok)),
            Variable::new("d", json!(d)),
        ];
        let note = note.map(|note| Variable::new("note", json!({"n": note, "list": [note, null, "t"]})));
        variables.extend(note);
        variables
    })
}

/// What every hook call of a test case answers.
pub fn hook_answer() -> impl Strategy<Value = Vec<Variable>> {
    prop_oneof![
        3 => (0..8_i64).prop_map(|b| vec![Variable::new("b", json!(b)), Variable::new("hooked", json!("yes"))]),
        1 => Just(Vec::new()),
    ]
}

fn decider() -> impl Strategy<Value = Decider> {
    prop_oneof![5 => Just(Decider::Gateway), 2 => Just(Decider::Task), 2 => Just(Decider::HookedGateway)]
}

fn blocks(calls: bool, forks: bool) -> impl Strategy<Value = Vec<Block>> {
    let single = if calls {
        prop_oneof![3 => Just(Block::Task), 1 => any::<Index>().prop_map(Block::Call)].boxed()
    } else {
        Just(Block::Task).boxed()
    };
    let block = single.prop_recursive(3, 24, 3, move |inner| {
        let body = || prop::collection::vec(inner.clone(), 0..3);
        let branch = (
            prop::option::weighted(0.85, condition()),
            prop::bool::weighted(0.25),
            body(),
            prop::bool::weighted(0.2),
        )
            .prop_map(|(condition, default, body, ends)| Branch {
                condition,
                default,
                body,
                ends,
            });
        let close = prop_oneof![
            3 => Just(Close::Next),
            2 => Just(Close::Gateway),
            1 => condition().prop_map(Close::Conditional),
        ];
        let serial = prop_oneof![
            4 => (decider(), prop::collection::vec(branch, 2..4), close)
                .prop_map(|(decider, branches, close)| Block::Choice { decider, branches, close }),
            1 => (decider(), body(), condition(), prop::option::weighted(0.3, condition()), any::<bool>())
                .prop_map(|(decider, body, again, leave, leave_first)| {
                    Block::Loop { decider, body, again, leave, leave_first }
                }),
            2 => Just(Block::Task),
        ];
        if forks {
            prop_oneof![1 => serial, 1 => fork(inner.clone())].boxed()
        } else {
            serial.boxed()
        }
    });
    prop::collection::vec(block, 0..5)
}

/// A fork, with bodies made of `inner`, and its join.
fn fork(inner: impl Strategy<Value = Block> + Clone) -> impl Strategy<Value = Block> {
    // Mostly conditions that hold, so that inclusive forks open several branches.
    let condition = prop_oneof![
        3 => select(vec!["a >= 0", "a < 100", "b != 3", "a > 2 || b < 6"]).prop_map(|text| Some(text.to_owned())),
        2 => condition().prop_map(Some),
        1 => Just(None),
    ];
    let branch = (
        condition,
        prop::bool::weighted(0.1),
        prop::collection::vec(inner, 0..3),
        prop::bool::weighted(0.15),
    )
        .prop_map(|(condition, default, body, ends)| ForkBranch {
            condition,
            default,
            body,
            ends,
        });
    (
        prop::bool::weighted(0.4),
        prop::collection::vec(branch, 2..5),
        join_rules(),
    )
        .prop_map(|(inclusive, branches, join)| Block::Fork {
            inclusive,
            branches,
            join,
        })
}

fn join_rules() -> impl Strategy<Value = JoinRules> {
    let branch_merge = prop_oneof![2 => Just(None), 1 => Just(Some("JoinAll")), 1 => Just(Some("AnyOne"))];
    let data_merge = prop_oneof![3 => Just(None), 1 => Just(Some("All")), 1 => Just(Some("None"))];
    let data_conflict = select(vec![None, Some("last"), Some("branchOrder"), Some("fail")]);
    (branch_merge, data_merge, data_conflict).prop_map(|(branch_merge, data_merge, data_conflict)| JoinRules {
        branch_merge,
        data_merge,
        data_conflict,
    })
}

/// A model of 3 to about 40 nodes.
pub fn model() -> impl Strategy<Value = ModelPlan> {
    (blocks(false, false), any::<u64>()).prop_map(|(blocks, shuffle)| ModelPlan { blocks, shuffle })
}

/// Flows `main`, `sub1` and `sub2` of which each may call the ones after it.
pub fn calling_models() -> impl Strategy<Value = Vec<ModelPlan>> {
    let plan = |calls| (blocks(calls, false), any::<u64>()).prop_map(|(blocks, shuffle)| ModelPlan { blocks, shuffle });
    let main = (plan(true), any::<Index>(), any::<Index>()).prop_map(|(mut plan, callee, place)| {
        let place = place.index(plan.blocks.len() + 1);
        plan.blocks.insert(place, Block::Call(callee));
        plan
    });
    (main, plan(true), plan(false)).prop_map(|(main, first, second)| vec![main, first, second])
}

/// Flows `main`, `sub1` and `sub2` with forks, of which each may call the ones after it. `main` has a fork.
pub fn forking_models() -> impl Strategy<Value = Vec<ModelPlan>> {
    let plan = |calls| (blocks(calls, true), any::<u64>()).prop_map(|(blocks, shuffle)| ModelPlan { blocks, shuffle });
    let body = prop_oneof![3 => Just(Block::Task), 1 => any::<Index>().prop_map(Block::Call)];
    let main = (plan(true), fork(body), any::<Index>()).prop_map(|(mut plan, fork, place)| {
        let place = place.index(plan.blocks.len() + 1);
        plan.blocks.insert(place, fork);
        plan
    });
    let called = prop::option::weighted(0.6, (plan(true), plan(false)));
    (main, called).prop_map(|(main, called)| {
        let mut plans = vec![main];
        plans.extend(called.into_iter().flat_map(|(first, second)| [first, second]));
        plans
    })
}

/// The flows of some plans, named `main`, `sub1`, `sub2`, …
#[must_use]
pub fn flows(plans: &[ModelPlan]) -> Vec<Flow> {
    let name = |index: usize| {
        if index == 0 {
            "main".to_owned()
        } else {
            format!("sub{index}")
        }
    };
    let flow = |(index, plan): (usize, &ModelPlan)| {
        let callable: Vec<String> = (index + 1..plans.len()).map(name).collect();
        Flow {
            name: name(index),
            flow_model: render(plan, &callable),
        }
    };
    plans.iter().enumerate().map(flow).collect()
}

/// The model as `flowElementList` JSON. Call activities choose among `callable`; without any they are user tasks.
#[must_use]
pub fn render(plan: &ModelPlan, callable: &[String]) -> Value {
    let mut rendering = Rendering {
        elements: Vec::new(),
        nodes: 0,
        callable,
    };
    let start = rendering.node("StartEvent", 2, json!({}));
    let first = rendering.edge(start, None, false);
    let open = rendering.sequence(&plan.blocks, vec![first]);
    if !open.is_empty() {
        rendering.end(open);
    }
    let mut elements = rendering.elements;
    shuffle(&mut elements, plan.shuffle);
    json!({ "flowElementList": elements })
}

/// An edge whose target is not placed yet: the index of its sequence flow.
type Open = usize;

struct Rendering<'a> {
    elements: Vec<Value>,
    nodes: usize,
    callable: &'a [String],
}

impl Rendering<'_> {
    fn node(&mut self, kind: &str, number: i64, properties: Value) -> usize {
        self.nodes += 1;
        let key = format!("{kind}_{}", self.elements.len() + 1);
        let mut properties = properties;
        properties["name"] = json!(key.to_lowercase());
        self.elements.push(json!({
            "key": key, "type": number, "incoming": [], "outgoing": [], "properties": properties,
        }));
        self.elements.len() - 1
    }

    fn key(&self, index: usize) -> Value {
        self.elements[index]["key"].clone()
    }

    fn push(&mut self, index: usize, list: &str, key: Value) {
        if let Some(keys) = self.elements[index][list].as_array_mut() {
            keys.push(key);
        }
    }

    fn edge(&mut self, source: usize, condition: Option<&str>, default: bool) -> Open {
        let flow = self.elements.len();
        let key = json!(format!("SequenceFlow_{}", flow + 1));
        let mut element = json!({ "key": key, "type": 1, "incoming": [self.key(source)], "outgoing": [] });
        // Tools write both properties always; models by hand leave out what is empty.
        if condition.is_some() || default || !flow.is_multiple_of(3) {
            element["properties"] = json!({
                "conditionsequenceflow": condition.unwrap_or_default(), "defaultConditions": default.to_string(),
            });
        }
        self.elements.push(element);
        self.push(source, "outgoing", key);
        flow
    }

    fn connect(&mut self, open: Vec<Open>, target: usize) {
        for flow in open {
            let (flow_key, target_key) = (self.key(flow), self.key(target));
            self.push(flow, "outgoing", target_key);
            self.push(target, "incoming", flow_key);
        }
    }

    fn sequence(&mut self, blocks: &[Block], mut open: Vec<Open>) -> Vec<Open> {
        for block in blocks {
            if open.is_empty() || self.nodes >= NODES_BEFORE_END {
                break;
            }
            open = match block {
                _ if self.nodes >= NODES_BEFORE_PLAIN => self.task(open),
                Block::Task => self.task(open),
                Block::Call(callee) => self.call(*callee, open),
                Block::Choice {
                    decider,
                    branches,
                    close,
                } => self.choice(*decider, branches, close, open),
                Block::Loop {
                    decider,
                    body,
                    again,
                    leave,
                    leave_first,
                } => self.repeat(*decider, body, again, leave.as_deref(), *leave_first, open),
                Block::Fork {
                    inclusive,
                    branches,
                    join,
                } => self.fork(*inclusive, branches, *join, open),
            };
        }
        open
    }

    fn task(&mut self, open: Vec<Open>) -> Vec<Open> {
        let task = self.node("UserTask", 4, json!({}));
        self.connect(open, task);
        vec![self.edge(task, None, false)]
    }

    fn call(&mut self, callee: Index, open: Vec<Open>) -> Vec<Open> {
        if self.callable.is_empty() {
            return self.task(open);
        }
        let module = format!("$module:{}", self.callable[callee.index(self.callable.len())]);
        let properties = json!({
            "callActivityExecuteType": "sync", "callActivityInstanceType": "single", "callActivityFlowModuleId": module,
            "callActivityInParamType": "full", "callActivityOutParamType": "full",
        });
        let call = self.node("CallActivity", 8, properties);
        self.connect(open, call);
        vec![self.edge(call, None, false)]
    }

    fn decide(&mut self, decider: Decider, open: Vec<Open>) -> usize {
        let node = match decider {
            Decider::Gateway => self.node("ExclusiveGateway", 6, json!({})),
            Decider::HookedGateway => self.node("ExclusiveGateway", 6, json!({ "hookInfoIds": "hookA,hookB" })),
            Decider::Task => self.node("UserTask", 4, json!({})),
        };
        self.connect(open, node);
        node
    }

    fn choice(&mut self, decider: Decider, branches: &[Branch], close: &Close, open: Vec<Open>) -> Vec<Open> {
        let node = self.decide(decider, open);
        let is_gateway = !matches!(decider, Decider::Task);
        let mut has_default = false;
        let mut entries = Vec::new();
        for branch in branches {
            let mut condition = branch.condition.as_deref();
            let mut default = branch.default && !has_default;
            if is_gateway && condition.is_none() && !default {
                // A gateway's branch needs a condition or the default mark.
                default = !has_default;
                condition = if default { None } else { Some("a > 100") };
            }
            has_default |= default;
            entries.push(self.edge(node, condition, default));
        }
        let mut after = Vec::new();
        for (branch, entry) in branches.iter().zip(entries) {
            let open = self.sequence(&branch.body, vec![entry]);
            if branch.ends && !open.is_empty() {
                self.end(open);
            } else {
                after.extend(open);
            }
        }
        match close {
            _ if after.is_empty() => after,
            Close::Next => after,
            Close::Gateway => {
                let gateway = self.decide(Decider::Gateway, after);
                vec![self.edge(gateway, None, true)]
            }
            Close::Conditional(condition) => {
                let gateway = self.decide(Decider::Gateway, after);
                vec![self.edge(gateway, Some(condition), false)]
            }
        }
    }

    fn repeat(
        &mut self,
        decider: Decider,
        body: &[Block],
        again: &str,
        leave: Option<&str>,
        leave_first: bool,
        open: Vec<Open>,
    ) -> Vec<Open> {
        // Every ring goes through this task, so none is without one (3207).
        let first = self.node("UserTask", 4, json!({}));
        self.connect(open, first);
        let forward = self.edge(first, None, false);
        let open = self.sequence(body, vec![forward]);
        if open.is_empty() {
            return open;
        }
        let node = self.decide(decider, open);
        let mut leaving = leave_first.then(|| self.edge(node, leave, leave.is_none()));
        let back = self.edge(node, Some(again), false);
        self.connect(vec![back], first);
        let leaving = *leaving.get_or_insert_with(|| self.edge(node, leave, leave.is_none()));
        vec![leaving]
    }

    fn fork(&mut self, inclusive: bool, branches: &[ForkBranch], rules: JoinRules, open: Vec<Open>) -> Vec<Open> {
        let (kind, number) = if inclusive {
            ("InclusiveGateway", 10)
        } else {
            ("ParallelGateway", 9)
        };
        let fork = self.node(kind, number, json!({}));
        self.connect(open, fork);
        let mut entries = Vec::new();
        for branch in branches {
            entries.push(self.edge(fork, branch.condition.as_deref(), branch.default));
        }
        let mut after = Vec::new();
        for (branch, entry) in branches.iter().zip(entries) {
            let open = self.sequence(&branch.body, vec![entry]);
            if branch.ends && !open.is_empty() {
                self.end(open);
            } else {
                after.extend(open);
            }
        }
        if after.is_empty() {
            after.push(self.edge(fork, Some("a >= 0"), false));
        }
        let mut properties = json!({});
        let named = [
            ("branchMerge", rules.branch_merge),
            ("dataMerge", rules.data_merge),
            ("dataConflict", rules.data_conflict),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                properties[name] = json!(value);
            }
        }
        let join = self.node(kind, number, properties);
        self.connect(after, join);
        let matched = json!({ "fork": self.key(fork), "join": self.key(join) });
        for gateway in [fork, join] {
            // Tools write an object; text is allowed too.
            let is_text = self.elements.len().is_multiple_of(7);
            let matched = if is_text {
                json!(matched.to_string())
            } else {
                matched.clone()
            };
            self.elements[gateway]["properties"]["forkJoinMatch"] = matched;
        }
        vec![self.edge(join, None, false)]
    }

    fn end(&mut self, open: Vec<Open>) {
        let end = self.node("EndEvent", 3, json!({}));
        self.connect(open, end);
    }
}

/// Fisher and Yates with a small generator of its own: the order must not depend on a library's version.
fn shuffle(elements: &mut [Value], seed: u64) {
    if seed == 0 {
        return;
    }
    let mut state = seed;
    for last in (1..elements.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let pick = usize::try_from(state >> 33).unwrap_or_default() % (last + 1);
        elements.swap(last, pick);
    }
}

/// One command of a word, chosen by index among what is there when its turn comes.
#[derive(Debug, Clone)]
pub enum Choice {
    /// Commit a task that is active.
    CommitActive(Index, Vec<Variable>),
    /// Commit any node instance ever seen, of whatever status and kind.
    CommitAny(Index, Vec<Variable>),
    /// Commit an id that exists nowhere.
    CommitUnknown(Vec<Variable>),
    /// Commit a node instance of another flow instance.
    CommitForeign(Index),
    /// Give an earlier commit again, as a new command.
    RepeatCommit(Index),
    /// Roll back a task that is active.
    RollbackActive(Index),
    /// Roll back any node instance ever seen.
    RollbackAny(Index),
    /// Roll back the newest completed task.
    RollbackCompleted,
    /// Roll back an id that exists nowhere.
    RollbackUnknown,
    /// Terminate.
    Terminate(bool),
    /// Give an earlier command again, with its command id.
    Resend(Index),
    /// Give an earlier command's id to another command.
    ResendChanged(Index),
    /// Start one more instance of the same flow.
    Start(Vec<Variable>),
    /// Go back to a user task ever seen.
    RollbackTo(Index),
    /// Go back to any node instance ever seen.
    RollbackToAny(Index),
    /// Go back to the element of a node instance ever seen.
    RollbackToKey(Index),
    /// Go back to an element that is in no model, or to a node instance that exists nowhere.
    RollbackToUnknown(bool),
    /// Take the last rollback back.
    Redo,
    /// The same, if the command before was a rollback or a redo.
    RedoAtOnce,
    /// Start one more instance of the same flow if nothing is active in this one.
    StartAgain(Vec<Variable>),
    /// Ask where one may go back to.
    Targets,
    /// A lifecycle command, whether it fits or not.
    Transition(Operation, Reason),
    /// The lifecycle command that lets a held instance go on; nothing in others.
    Release,
}

/// The reason of a lifecycle command.
#[derive(Debug, Clone, Copy)]
pub enum Reason {
    /// None at all.
    None,
    /// In words.
    Words,
    /// One that some flows offer.
    Option,
    /// One that no flow offers.
    Unknown,
}

/// The option that flows with `reasonOptions` offer.
const REASON_OPTION: &str = "by the customer";

/// A command word of up to `length` commands.
pub fn word(length: usize) -> impl Strategy<Value = Vec<Choice>> {
    let index = any::<Index>;
    let choice = prop_oneof![
        24 => (index(), variables()).prop_map(|(index, variables)| Choice::CommitActive(index, variables)),
        3 => (index(), variables()).prop_map(|(index, variables)| Choice::CommitAny(index, variables)),
        1 => variables().prop_map(Choice::CommitUnknown),
        1 => index().prop_map(Choice::CommitForeign),
        2 => index().prop_map(Choice::RepeatCommit),
        6 => index().prop_map(Choice::RollbackActive),
        3 => index().prop_map(Choice::RollbackAny),
        3 => Just(Choice::RollbackCompleted),
        1 => Just(Choice::RollbackUnknown),
        1 => any::<bool>().prop_map(Choice::Terminate),
        2 => index().prop_map(Choice::Resend),
        1 => index().prop_map(Choice::ResendChanged),
        1 => start_variables().prop_map(Choice::Start),
    ];
    prop::collection::vec(choice, 1..length)
}

/// A command word of up to `length` commits and rollbacks, which gets further than one of every kind of command.
pub fn busy_word(length: usize) -> impl Strategy<Value = Vec<Choice>> {
    let index = any::<Index>;
    let choice = prop_oneof![
        24 => (index(), full_variables()).prop_map(|(index, variables)| Choice::CommitActive(index, variables)),
        12 => (index(), variables()).prop_map(|(index, variables)| Choice::CommitActive(index, variables)),
        1 => (index(), variables()).prop_map(|(index, variables)| Choice::CommitAny(index, variables)),
        6 => index().prop_map(Choice::RollbackActive),
        5 => index().prop_map(Choice::RollbackAny),
        3 => Just(Choice::RollbackCompleted),
    ];
    prop::collection::vec(choice, 1..length)
}

/// Commands that are given for one word at most.
pub const MOST_COMMANDS: usize = 60;

/// A command word of about `length` commands that goes back, forth and nowhere, but gets on.
pub fn going_back_word(length: usize) -> impl Strategy<Value = Vec<Choice>> {
    let index = any::<Index>;
    let transition = select(vec![
        Operation::Suspend,
        Operation::Resume,
        Operation::Abort,
        Operation::Restore,
    ]);
    let reason = prop_oneof![
        6 => Just(Reason::Option),
        3 => Just(Reason::Words),
        1 => Just(Reason::None),
        1 => Just(Reason::Unknown),
    ];
    let forth = prop_oneof![
        30 => (index(), full_variables()).prop_map(|(index, variables)| Choice::CommitActive(index, variables)),
        14 => (index(), variables()).prop_map(|(index, variables)| Choice::CommitActive(index, variables)),
        1 => (index(), variables()).prop_map(|(index, variables)| Choice::CommitAny(index, variables)),
    ];
    let back = prop_oneof![
        4 => index().prop_map(Choice::RollbackActive),
        3 => index().prop_map(Choice::RollbackAny),
        2 => Just(Choice::RollbackCompleted),
        14 => index().prop_map(Choice::RollbackTo),
        1 => index().prop_map(Choice::RollbackToAny),
        2 => index().prop_map(Choice::RollbackToKey),
        1 => any::<bool>().prop_map(Choice::RollbackToUnknown),
        3 => Just(Choice::Redo),
        24 => Just(Choice::RedoAtOnce),
    ];
    let aside = prop_oneof![
        8 => Just(Choice::Targets),
        6 => (transition, reason).prop_map(|(transition, reason)| Choice::Transition(transition, reason)),
        14 => Just(Choice::Release),
        12 => start_variables().prop_map(Choice::StartAgain),
        2 => index().prop_map(Choice::Resend),
        1 => index().prop_map(Choice::ResendChanged),
    ];
    let choice = prop_oneof![
        90 => forth,
        70 => back,
        65 => aside,
        1 => any::<bool>().prop_map(Choice::Terminate),
    ];
    // Some choices find nothing to choose from and are passed over.
    prop::collection::vec(choice, length / 3..=length + length / 2)
}

/// A node instance that an answer showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// Its label.
    pub label: String,
    /// Its element's key.
    pub model_key: String,
    /// Its status when it was last seen.
    pub status: i64,
}

/// What a word knows of the instances it drives.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The instances' names.
    pub instances: Vec<String>,
    /// Node instances of the instance the word drives, in order of their labels.
    pub nodes: Vec<KnownNode>,
    /// Node instances of other instances.
    pub foreign: Vec<String>,
    /// The commands given so far.
    pub given: Vec<Step>,
    /// The module each call activity's commit passes, by element key; none passes nothing.
    pub call_flow: Option<String>,
    /// The commands that hold the instance the word drives, in order; one that was terminated is held for good.
    pub holds: Vec<Operation>,
}

impl Known {
    /// Takes in the elements of a normal form of getHistoryElementList.
    pub fn learn(&mut self, instance: &str, elements: &Value) {
        if Some(instance) == self.instances.last().map(String::as_str) {
            self.nodes.clear();
            collect(elements, &mut self.nodes);
            self.nodes.sort_by_key(|node| label_number(&node.label));
            self.nodes.dedup_by(|left, right| left.label == right.label);
        } else {
            let mut nodes = Vec::new();
            collect(elements, &mut nodes);
            self.foreign = nodes.into_iter().map(|node| node.label).collect();
        }
    }

    /// The step a choice stands for now; none if there is nothing to choose.
    #[must_use]
    pub fn step(&self, choice: &Choice) -> Option<Step> {
        let commit = |task: String, variables: &[Variable]| {
            let mut step = self.command(Operation::Commit, Some(task), Some(variables));
            step.call_activity_flow.clone_from(&self.call_flow);
            step
        };
        let rollback = |task: String| self.command(Operation::Rollback, Some(task), None);
        let is_task = |node: &&KnownNode| {
            ["UserTask", "CallActivity"]
                .iter()
                .any(|kind| node.model_key.starts_with(kind))
        };
        let active: Vec<&KnownNode> = self
            .nodes
            .iter()
            .filter(is_task)
            .filter(|node| node.status == 2)
            .collect();
        let pick = |nodes: &[&KnownNode], index: &Index| {
            (!nodes.is_empty()).then(|| nodes[index.index(nodes.len())].label.clone())
        };
        let all: Vec<&KnownNode> = self.nodes.iter().collect();
        Some(match choice {
            Choice::CommitActive(index, variables) => commit(pick(&active, index)?, variables),
            Choice::CommitAny(index, variables) => commit(pick(&all, index)?, variables),
            Choice::CommitUnknown(variables) => commit("unknown".to_owned(), variables),
            Choice::CommitForeign(index) => {
                let foreign = &self.foreign;
                if foreign.is_empty() {
                    return None;
                }
                commit(foreign[index.index(foreign.len())].clone(), &[])
            }
            Choice::RepeatCommit(index) => {
                let commits: Vec<&Step> = self.given.iter().filter(|step| step.op == Operation::Commit).collect();
                if commits.is_empty() {
                    return None;
                }
                let mut step = commits[index.index(commits.len())].clone();
                step.command_id = None;
                step
            }
            Choice::RollbackActive(index) => rollback(pick(&active, index)?),
            Choice::RollbackAny(index) => rollback(pick(&all, index)?),
            Choice::RollbackCompleted => {
                let completed: Vec<&KnownNode> = all
                    .into_iter()
                    .filter(is_task)
                    .filter(|node| node.status == 1)
                    .collect();
                rollback(completed.last()?.label.clone())
            }
            Choice::RollbackUnknown => rollback("unknown".to_owned()),
            Choice::Terminate(effective) => {
                let mut step = self.command(Operation::Terminate, None, None);
                step.effective = Some(*effective);
                step
            }
            Choice::Resend(index) => self.with_id(*index)?.clone(),
            Choice::ResendChanged(index) => {
                let mut step = self.with_id(*index)?.clone();
                match step.op {
                    Operation::Start | Operation::Commit => {
                        step.variables
                            .get_or_insert_default()
                            .push(Variable::new("changed", json!(1)));
                    }
                    Operation::Rollback | Operation::RollbackTo => step.op = Operation::Commit,
                    Operation::Redo => {
                        step.op = Operation::RollbackTo;
                        step.task = Some("unknown".to_owned());
                    }
                    Operation::Suspend => step.op = Operation::Resume,
                    Operation::Resume => step.op = Operation::Suspend,
                    Operation::Abort => step.op = Operation::Restore,
                    Operation::Restore => step.op = Operation::Abort,
                    Operation::Terminate => step.effective = step.effective.map(|effective| !effective),
                    _ => return None,
                }
                step
            }
            Choice::StartAgain(_) if !active.is_empty() && !self.holds.contains(&Operation::Terminate) => {
                return None;
            }
            Choice::Start(variables) | Choice::StartAgain(variables) => {
                let mut step = self.command(Operation::Start, None, Some(variables));
                step.instance = None;
                step.flow = Some("main".to_owned());
                step.name = Some(format!("i{}", self.given.len() + 1));
                step
            }
            Choice::RollbackTo(_)
            | Choice::RollbackToAny(_)
            | Choice::RollbackToKey(_)
            | Choice::RollbackToUnknown(_)
            | Choice::Redo
            | Choice::RedoAtOnce
            | Choice::Targets
            | Choice::Transition(..)
            | Choice::Release => return self.step_back(choice),
        })
    }

    /// The step of a choice that goes back or holds.
    fn step_back(&self, choice: &Choice) -> Option<Step> {
        let pick = |is_meant: fn(&&KnownNode) -> bool, index: &Index| {
            let nodes: Vec<&KnownNode> = self.nodes.iter().filter(is_meant).collect();
            (!nodes.is_empty()).then(|| nodes[index.index(nodes.len())])
        };
        let back_to = |node: &KnownNode| self.command(Operation::RollbackTo, Some(node.label.clone()), None);
        Some(match choice {
            Choice::RollbackTo(index) => back_to(pick(|node| node.model_key.starts_with("UserTask"), index)?),
            Choice::RollbackToAny(index) => back_to(pick(|_| true, index)?),
            Choice::RollbackToKey(index) => {
                let mut step = self.command(Operation::RollbackTo, None, None);
                step.key = Some(pick(|_| true, index)?.model_key.clone());
                step
            }
            Choice::RollbackToUnknown(by_key) => {
                let mut step = self.command(Operation::RollbackTo, None, None);
                if *by_key {
                    step.key = Some("nowhere".to_owned());
                } else {
                    step.task = Some("unknown".to_owned());
                }
                step
            }
            Choice::RedoAtOnce
                if !matches!(
                    self.given.last()?.op,
                    Operation::Rollback | Operation::RollbackTo | Operation::Redo
                ) =>
            {
                return None;
            }
            Choice::Redo | Choice::RedoAtOnce => self.command(Operation::Redo, None, None),
            Choice::Targets => {
                let mut step = self.command(Operation::GetRollbackTargets, None, None);
                step.command_id = None;
                step
            }
            Choice::Transition(op, reason) => {
                let mut step = self.command(*op, None, None);
                match reason {
                    Reason::None => {}
                    Reason::Words => step.reason = Some("as agreed".to_owned()),
                    Reason::Option => step.reason_option = Some(REASON_OPTION.to_owned()),
                    Reason::Unknown => step.reason_option = Some("of no flow".to_owned()),
                }
                step
            }
            Choice::Release => {
                let release = match self.holds.last()? {
                    Operation::Suspend => Operation::Resume,
                    Operation::Abort => Operation::Restore,
                    _ => return None,
                };
                let mut step = self.command(release, None, None);
                // One of the two fits; the turn decides which is tried.
                if self.given.len().is_multiple_of(3) {
                    step.reason = Some("as agreed".to_owned());
                } else {
                    step.reason_option = Some(REASON_OPTION.to_owned());
                }
                step
            }
            _ => return None,
        })
    }

    fn command(&self, op: Operation, task: Option<String>, variables: Option<&[Variable]>) -> Step {
        let mut step = Step::new(op);
        step.instance = Some(self.instances.last().cloned().unwrap_or_else(|| "none".to_owned()));
        step.task = task;
        step.variables = variables.map(<[Variable]>::to_vec);
        // Every other command comes with an id.
        step.command_id = self
            .given
            .len()
            .is_multiple_of(2)
            .then(|| format!("command-{}", self.given.len()));
        step
    }

    fn with_id(&self, index: Index) -> Option<&Step> {
        let commands: Vec<&Step> = self.given.iter().filter(|step| step.command_id.is_some()).collect();
        (!commands.is_empty()).then(|| commands[index.index(commands.len())])
    }

    /// Notes a command that was given.
    pub fn note(&mut self, step: &Step, succeeded: bool) {
        self.given.push(step.clone());
        match step.op {
            Operation::Suspend | Operation::Abort | Operation::Terminate if succeeded => self.holds.push(step.op),
            Operation::Resume | Operation::Restore if succeeded => drop(self.holds.pop()),
            _ => {}
        }
        let is_known = step.name.as_ref().is_none_or(|name| self.instances.contains(name));
        if step.op == Operation::Start && succeeded && !is_known {
            self.instances.extend(step.name.clone());
            self.holds.clear();
            self.foreign = std::mem::take(&mut self.nodes)
                .into_iter()
                .map(|node| node.label)
                .collect();
        }
    }
}

fn collect(elements: &Value, nodes: &mut Vec<KnownNode>) {
    for element in elements.as_array().into_iter().flatten() {
        if let (Some(label), Some(key), Some(status)) = (
            element["node"].as_str(),
            element["modelKey"].as_str(),
            element["status"].as_i64(),
        ) {
            nodes.push(KnownNode {
                label: label.to_owned(),
                model_key: key.to_owned(),
                status,
            });
        }
        collect(&element["sub"], nodes);
    }
}

fn label_number(label: &str) -> usize {
    label
        .get(1..)
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}

/// The queries asked after every command: all of them for one instance, and one node instance by its label.
#[must_use]
pub fn queries(instance: &str, node: Option<&str>) -> Vec<Step> {
    let mut steps = Vec::new();
    let operations = [
        Operation::GetHistoryUserTaskList,
        Operation::GetHistoryElementList,
        Operation::GetInstanceData,
    ];
    for op in operations {
        for effective in [true, false] {
            let mut step = Step::new(op);
            step.instance = Some(instance.to_owned());
            step.effective = Some(effective);
            steps.push(step);
        }
    }
    let mut flow = Step::new(Operation::GetFlowInstance);
    flow.instance = Some(instance.to_owned());
    steps.push(flow);
    for task in node.into_iter().chain(["unknown"]) {
        let mut step = Step::new(Operation::GetNodeInstance);
        step.instance = Some(instance.to_owned());
        step.task = Some(task.to_owned());
        steps.push(step);
    }
    steps
}

/// A test case: flows, what hooks answer, start variables, commands.
#[derive(Debug, Clone)]
pub struct Case {
    /// The flows; `main` is started.
    pub flows: Vec<Flow>,
    /// What every hook call answers.
    pub hook_answer: Vec<Variable>,
    /// The variables `main` is started with.
    pub start: Vec<Variable>,
    /// The commands.
    pub word: Vec<Choice>,
}

/// Test cases of the engine's serial part.
pub fn serial_case() -> impl Strategy<Value = Case> {
    (model(), hook_answer(), start_variables(), word(20)).prop_map(|(plan, hook_answer, start, word)| Case {
        flows: flows(&[plan]),
        hook_answer,
        start,
        word,
    })
}

/// Test cases with call activities.
pub fn calling_case() -> impl Strategy<Value = Case> {
    (calling_models(), hook_answer(), start_variables(), word(24)).prop_map(|(plans, hook_answer, start, word)| Case {
        flows: flows(&plans),
        hook_answer,
        start,
        word,
    })
}

/// Test cases with parallel and inclusive gateways, with and without call activities.
pub fn parallel_case() -> impl Strategy<Value = Case> {
    let word = prop_oneof![word(30), busy_word(40)];
    (forking_models(), hook_answer(), start_variables(), word).prop_map(|(plans, hook_answer, start, word)| Case {
        flows: flows(&plans),
        hook_answer,
        start,
        word,
    })
}

/// Test cases of going back and of holding instances, mostly with forks. Some nodes have an `onRollback`, some flows
/// offer reasons.
pub fn going_back_case() -> impl Strategy<Value = Case> {
    let plans = prop_oneof![4 => forking_models(), 1 => calling_models()];
    let word = going_back_word(MOST_COMMANDS);
    (plans, any::<u64>(), hook_answer(), start_variables(), word).prop_map(|(plans, seed, hook_answer, start, word)| {
        let mut flows = flows(&plans);
        with_meaning(&mut flows, &mut Dice::new(seed));
        Case {
            flows,
            hook_answer,
            start,
            word,
        }
    })
}

/// Test cases on the models that the kit draws for everybody.
pub fn public_case() -> impl Strategy<Value = Case> {
    let word = prop_oneof![word(30), busy_word(40), going_back_word(MOST_COMMANDS)];
    (models(8), start_variables(), word).prop_map(|(model, start, word)| Case {
        flows: vec![Flow {
            name: "main".to_owned(),
            flow_model: serde_json::from_str(&model).expect("a model is JSON"),
        }],
        hook_answer: Vec::new(),
        start,
        word,
    })
}

/// Test cases on models that need not be block structured, nor sound; some cannot be deployed.
pub fn unstructured_case() -> impl Strategy<Value = Case> {
    let word = prop_oneof![word(30), busy_word(40)];
    (any::<u64>(), start_variables(), hook_answer(), word).prop_map(|(seed, start, hook_answer, word)| Case {
        flows: vec![
            sketch::flow("sub", "start -> work -> end"),
            unstructured(&mut Dice::new(seed), 10),
        ],
        hook_answer,
        start,
        word,
    })
}

/// Gives some nodes an `onRollback` and some flows `reasonOptions`.
fn with_meaning(flows: &mut [Flow], dice: &mut Dice) {
    // A node that forbids keeps much else from happening.
    let forbids = if dice.percent(40) { 8 } else { 0 };
    for flow in flows {
        let elements = flow.flow_model["flowElementList"].as_array_mut();
        for element in elements.into_iter().flatten() {
            // Neither sequence flows nor the start event.
            if matches!(element["type"].as_i64(), Some(1 | 2)) {
                continue;
            }
            let means = match dice.below(100) {
                0..18 => format!("compensate: undo {}", element["key"].as_str().unwrap_or_default()),
                18..24 => "ignore".to_owned(),
                other if other < 24 + forbids => "forbid".to_owned(),
                _ => continue,
            };
            element["properties"]["onRollback"] = json!(means);
        }
        if dice.percent(40) {
            let mut options = json!({});
            for command in ["suspend", "resume", "abort", "restore"] {
                if dice.percent(60) {
                    options[command] = json!(["duplicate", REASON_OPTION]);
                }
            }
            flow.flow_model["reasonOptions"] = options;
        }
    }
}

/// A fork of branches that are rows of user tasks, and what the commit of each task submits.
#[derive(Debug, Clone)]
pub struct Race {
    /// What each branch's tasks submit, in order.
    pub branches: Vec<Vec<Vec<Variable>>>,
    /// What the flow is started with.
    pub start: Vec<Variable>,
    /// The join's `dataConflict`.
    pub conflict: &'static str,
}

impl Race {
    /// The key of a branch's task, both counted from 0.
    #[must_use]
    pub fn task(branch: usize, task: usize) -> String {
        format!("branch{branch}task{task}")
    }

    /// The flow `main`: the fork, its join, and the user task `after`.
    #[must_use]
    pub fn flow(&self) -> Flow {
        let mut chains = vec![format!(
            "start -> fork; join[dataConflict={}] -> after -> end",
            self.conflict
        )];
        for (branch, tasks) in self.branches.iter().enumerate() {
            let tasks: Vec<String> = (0..tasks.len()).map(|task| Self::task(branch, task)).collect();
            chains.push(format!("fork -> {} -> join", tasks.join(" -> ")));
        }
        crate::sketch::flow("main", &chains.join("; "))
    }
}

/// Races of 2 to 4 branches of 1 to 3 tasks. With `disjoint`, no two branches write the same variable.
pub fn race(disjoint: bool) -> impl Strategy<Value = Race> {
    let write = move |branch: usize| {
        let key = select(vec!["k", "l", "m"]);
        // Few values, so that branches often agree and often write what was there before.
        (key, 0..3_i64).prop_map(move |(key, value)| {
            let key = if disjoint {
                format!("{key}{branch}")
            } else {
                key.to_owned()
            };
            Variable::new(&key, json!(value))
        })
    };
    let branch = move |branch: usize| {
        let commit = prop::collection::vec(write(branch), 0..3);
        prop::collection::vec(commit, 1..4)
    };
    let branches = (2..5_usize).prop_flat_map(move |count| (0..count).map(branch).collect::<Vec<_>>());
    let start = subsequence(vec!["k", "l", "m", "k0", "l1"], 0..=5)
        .prop_map(|keys| keys.iter().map(|key| Variable::new(key, json!(0))).collect());
    (branches, start, select(vec!["last", "branchOrder", "fail"])).prop_map(|(branches, start, conflict)| Race {
        branches,
        start,
        conflict,
    })
}

/// The value a strategy gives for a fixed seed: the same on every run.
pub fn seeded<S: Strategy>(strategy: &S, seed: u64) -> S::Value {
    seeded_tree(strategy, seed).current()
}

/// The same, to be made smaller.
pub fn seeded_tree<S: Strategy>(strategy: &S, seed: u64) -> S::Tree {
    let mut bytes = [0_u8; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    strategy.new_tree(&mut runner).expect("the strategies reject nothing")
}

/// The number of random cases per property: `modest`, unless `FLOWLEDGER_CASES` says otherwise (a number, or a factor
/// like `10x`).
#[must_use]
pub fn cases(modest: u32) -> u32 {
    let Ok(asked) = std::env::var("FLOWLEDGER_CASES") else {
        return modest;
    };
    match asked.strip_suffix('x') {
        Some(factor) => factor
            .parse::<u32>()
            .map_or(modest, |factor| modest.saturating_mul(factor)),
        None => asked.parse().unwrap_or(modest),
    }
}

/// A small model that need not be block structured, and need not be sound: blocks first, then some sequence flows led
/// elsewhere. Conditions are over `n` (with 1 and 4), `s` (with x and y) and `ok`, at most two of them in one model. Call activities run `$module:sub`.
///
/// It has at most `most` nodes, and may be one that is refused at deploy.
#[must_use]
pub fn unstructured(dice: &mut Dice, most: usize) -> Flow {
    let mut drawing = Drawing {
        nodes: Vec::new(),
        edges: Vec::new(),
        // Large models are likelier than small ones.
        room: 1 + dice
            .index(most.saturating_sub(2).max(1))
            .max(dice.index(most.saturating_sub(2).max(1))),
        names: [dice.index(SMALL_CONDITIONS.len()), dice.index(SMALL_CONDITIONS.len())],
    };
    let start = drawing.add("start", 2);
    let mut at = start;
    while drawing.room > 0 && dice.percent(95) {
        at = drawing.block(dice, at);
    }
    let end = drawing.add("end", 3);
    drawing.lead(at, end, None);
    if dice.percent(65) {
        for _ in 0..=dice.index(3) {
            let edge = dice.index(drawing.edges.len());
            let to = 1 + dice.index(drawing.nodes.len() - 1);
            drawing.edges[edge].1 = to;
        }
    }
    if dice.percent(15) {
        let from = dice.index(drawing.nodes.len());
        let to = 1 + dice.index(drawing.nodes.len() - 1);
        if matches!(drawing.nodes[from].1, 4 | 6 | 10) || (drawing.nodes[from].1 == 9 && drawing.is_fork(from)) {
            let condition = drawing.condition(dice);
            drawing.lead(from, to, Some(condition));
        }
    }
    Flow {
        name: "main".to_owned(),
        flow_model: drawing.render(),
    }
}

const SMALL_CONDITIONS: [(&str, &[&str]); 3] = [
    (
        "n",
        &[
            "n > 1",
            "n <= 1",
            "n > 4",
            "n <= 4",
            "n == 4",
            "n < 4",
            "n >= 4",
            "n == 1 || n > 4",
            "n != 1",
            "n > 1 && n < 4",
        ],
    ),
    ("s", &["s == 'x'", "s != 'x'", "s == 'y'", "!(s == 'x')"]),
    ("ok", &["ok", "!ok", "ok == true"]),
];

/// Conditions of which always one holds, by the variable they read.
const COVERING: [(&str, &[[&str; 2]]); 3] = [
    ("n", &[["n > 1", "n <= 1"], ["n < 4", "n >= 4"], ["n == 4", "n != 4"]]),
    ("s", &[["s == 'x'", "s != 'x'"], ["s == 'y'", "s != 'y'"]]),
    ("ok", &[["ok", "!ok"]]),
];

struct Drawing {
    /// Key, type and properties.
    nodes: Vec<(String, i64, Value)>,
    /// From, to, and the condition; `default` is the default.
    edges: Vec<(usize, usize, Option<String>)>,
    room: usize,
    /// Two variables that its conditions read, by place; they may be one.
    names: [usize; 2],
}

impl Drawing {
    fn condition(&self, dice: &mut Dice) -> String {
        let (_, pool) = SMALL_CONDITIONS[self.names[dice.index(2)]];
        pool[dice.index(pool.len())].to_owned()
    }

    fn covering(&self, dice: &mut Dice) -> [String; 2] {
        let (_, pool) = COVERING[self.names[dice.index(2)]];
        pool[dice.index(pool.len())].map(str::to_owned)
    }

    fn add(&mut self, name: &str, kind: i64) -> usize {
        self.nodes
            .push((format!("{name}{}", self.nodes.len()), kind, json!({})));
        self.room = self.room.saturating_sub(1);
        self.nodes.len() - 1
    }

    fn lead(&mut self, from: usize, to: usize, condition: Option<String>) {
        self.edges.push((from, to, condition));
    }

    fn is_fork(&self, at: usize) -> bool {
        self.nodes[at].2["forkJoinMatch"]["fork"] == self.nodes[at].0.as_str()
    }

    /// Adds a block behind a node; the node it ends with. A node with one way on is never asked to choose.
    fn block(&mut self, dice: &mut Dice, from: usize) -> usize {
        match dice.below(10) {
            4..6 if self.room >= 2 => self.choice(dice, from),
            6 if self.room >= 2 => self.again(dice, from),
            7..10 if self.room >= 3 => self.fork(dice, from),
            _ => self.task(dice, from),
        }
    }

    fn task(&mut self, dice: &mut Dice, from: usize) -> usize {
        let is_call = dice.percent(12);
        let task = self.add(if is_call { "call" } else { "task" }, if is_call { 8 } else { 4 });
        if is_call {
            let transfers = ["none", "full"];
            self.nodes[task].2 = json!({
                "callActivityExecuteType": "sync", "callActivityInstanceType": "single",
                "callActivityFlowModuleId": "$module:sub",
                "callActivityInParamType": transfers[dice.index(2)], "callActivityOutParamType": transfers[dice.index(2)],
            });
        }
        self.lead(from, task, None);
        task
    }

    fn choice(&mut self, dice: &mut Dice, from: usize) -> usize {
        let gate = self.add("gate", 6);
        self.lead(from, gate, None);
        let close = self.add("gate", 6);
        let [first, second] = self.covering(dice);
        let second = match dice.below(10) {
            0..3 => "default".to_owned(),
            3..5 => self.condition(dice),
            _ => second,
        };
        for condition in [first, second] {
            let edge = self.edges.len();
            self.lead(gate, close, Some(condition));
            if self.room > 0 && dice.percent(60) {
                self.edges[edge].1 = self.nodes.len();
                let mut at = self.task(dice, gate);
                // The edge from the gate is there already.
                self.edges.pop();
                while self.room > 0 && dice.percent(20) {
                    at = self.block(dice, at);
                }
                self.lead(at, close, None);
            }
        }
        close
    }

    fn again(&mut self, dice: &mut Dice, from: usize) -> usize {
        let task = self.task(dice, from);
        let gate = self.add("gate", 6);
        self.lead(task, gate, None);
        let [first, second] = self.covering(dice);
        self.lead(gate, task, Some(first));
        let close = if self.room > 0 && dice.percent(70) {
            self.task(dice, gate)
        } else {
            let close = self.add("gate", 6);
            self.lead(gate, close, None);
            close
        };
        if let Some(last) = self.edges.last_mut() {
            last.2 = Some(second);
        }
        close
    }

    fn fork(&mut self, dice: &mut Dice, from: usize) -> usize {
        let inclusive = dice.percent(40);
        let kind = if inclusive { 10 } else { 9 };
        let fork = self.add("fork", kind);
        let join = self.add("join", kind);
        let pair = json!({"fork": self.nodes[fork].0, "join": self.nodes[join].0});
        self.nodes[fork].2 = json!({ "forkJoinMatch": pair });
        let mut rules = json!({ "forkJoinMatch": pair });
        if dice.percent(20) {
            rules["branchMerge"] = json!("AnyOne");
        }
        if dice.percent(20) {
            rules["dataMerge"] = json!("None");
        }
        if dice.percent(40) {
            rules["dataConflict"] = json!(["last", "branchOrder", "fail"][dice.index(3)]);
        }
        self.nodes[join].2 = rules;
        self.lead(from, fork, None);
        let mut conditions = Vec::from(self.covering(dice));
        if dice.percent(30) {
            conditions[1] = self.condition(dice);
        }
        for (number, condition) in conditions.into_iter().enumerate() {
            let edge = self.edges.len();
            self.lead(fork, join, inclusive.then_some(condition));
            if self.room > 0 && (number == 0 || dice.percent(80)) {
                self.edges[edge].1 = self.nodes.len();
                let mut at = self.task(dice, fork);
                self.edges.pop();
                while self.room > 0 && dice.percent(25) {
                    at = self.block(dice, at);
                }
                self.lead(at, join, None);
            }
        }
        join
    }

    fn render(&self) -> Value {
        let keys = |here: usize, side: usize| -> Vec<String> {
            let mine = self
                .edges
                .iter()
                .enumerate()
                .filter(|(_, edge)| if side == 0 { edge.0 == here } else { edge.1 == here });
            mine.map(|(index, _)| format!("f{index}")).collect()
        };
        let mut elements: Vec<Value> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(at, (key, kind, properties))| {
                json!({"key": key, "type": kind, "incoming": keys(at, 1), "outgoing": keys(at, 0), "properties": properties})
            })
            .collect();
        for (index, (from, to, condition)) in self.edges.iter().enumerate() {
            let is_choice = self.nodes[*from].1 == 6;
            let properties = match condition.as_deref() {
                Some("default") => json!({"defaultConditions": "true"}),
                Some(condition) => json!({ "conditionsequenceflow": condition }),
                // The only way on from a gateway needs a condition or the default.
                None if is_choice => json!({"defaultConditions": "true"}),
                None => json!({}),
            };
            elements.push(json!({
                "key": format!("f{index}"), "type": 1, "incoming": [self.nodes[*from].0], "outgoing": [self.nodes[*to].0],
                "properties": properties,
            }));
        }
        json!({ "flowElementList": elements })
    }
}
