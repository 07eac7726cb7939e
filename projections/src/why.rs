//! Why a node instance came to be: the records that led there, what they decided on the way, by which values, and who wrote
//! those. Derived from the records and the models; nothing here is guessed.

mod past;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::expression::Vocabulary;
use flowledger_engine_core::id::{CommandId, FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowStatus, NodeInstance, NodeStatus};
use flowledger_engine_core::model::element::Element;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::{InstanceData, Variables};
use serde::Serialize;

pub use self::past::{Decision, Past, RecordSeen};
use self::past::{Given, NodePast};
use crate::View;
use crate::date::Date;
use crate::diff::{NodePlace, places};
use crate::nodes::Nodes;

/// Why a node instance came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The instance: the root.
    pub flow_instance_id: FlowInstanceId,
    /// The version that was looked at.
    pub version: u64,
    /// The node instance.
    pub node: NodeRef,
    /// The record that completed it, closed it, or went back over it; absent while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<RecordRef>,
    /// The records that led there, oldest first.
    pub causes: Vec<Cause>,
}

/// A node instance in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeRef {
    /// Its id.
    pub node_instance_id: NodeInstanceId,
    /// The element's key in the model.
    pub model_key: Arc<str>,
    /// The element's name in the model; empty when it has none.
    pub model_name: Arc<str>,
    /// Where it stands in the instance: `check#2` is the second visit of check.
    pub place: NodePlace,
    /// Its status: 1 completed, 2 active, 3 failed, 4 rolled back, 5 a join that waits, 6 closed by the join of its branch.
    pub status: i32,
}

/// A record in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordRef {
    /// The version of the instance that it made.
    pub version: u64,
    /// The command's id.
    pub command_id: CommandId,
    /// The command's name in the API document.
    pub command: &'static str,
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<Arc<str>>,
    /// Why, in the caller's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// When.
    pub time: Date,
}

/// A record that led to a node instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// The record.
    #[serde(flatten)]
    pub record: RecordRef,
    /// The task that it committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<NodeRef>,
    /// The variables given with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<InstanceData>,
    /// The node instances that it came to on the way, in order; what it came to elsewhere is left out.
    pub steps: Vec<CauseNode>,
}

/// A node instance on the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CauseNode {
    /// The node instance.
    pub node: NodeRef,
    /// What hooks, or a plug-in, gave here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<InstanceData>,
    /// What was decided here, where there was something to decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionSeen>,
}

/// A decision, with the conditions and the values that led to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionSeen {
    /// The sequence flows that were taken; none where it failed.
    pub taken: Vec<Arc<str>>,
    /// The sequence flows there were, in the order of the model.
    pub conditions: Vec<ConditionSeen>,
    /// Why it failed, and the commit with it: a code of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_code: Option<i32>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub err_msg: Option<Arc<str>>,
}

/// A sequence flow, and how its condition came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionSeen {
    /// The sequence flow.
    pub flow: Arc<str>,
    /// The element it leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leads_to: Option<Arc<str>>,
    /// The condition's text; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<Arc<str>>,
    /// Whether it is the default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_default: bool,
    /// How the condition came out; absent where it was not evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// What it reads, and who wrote that last. Empty where it was not evaluated, or is in a language of the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<ValueSeen>,
}

/// A value that a condition read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueSeen {
    /// The variable.
    pub key: Arc<str>,
    /// Its value; absent where there was no such variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Who wrote it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<ValueAuthor>,
}

/// Who wrote a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValueAuthor {
    /// The record in which it was written.
    #[serde(flatten)]
    pub record: RecordRef,
    /// In which way.
    pub by: ValueAuthorKind,
    /// The element at which; absent where the instance was started with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_key: Option<Arc<str>>,
}

/// In which way a value was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueAuthorKind {
    /// It came with the command.
    Command,
    /// Hooks answered it.
    Hook,
    /// A plug-in gave it.
    PlugIn,
    /// A call activity handed it into its sub flow.
    HandedIn,
    /// A sub flow handed it out to its call activity.
    HandedOut,
    /// A join made it of what its branches brought.
    Join,
}

impl Why {
    /// Why a node instance came to be; `None` if there is no such node instance.
    pub fn of(past: &Past, view: View<'_>, node: &NodeInstanceId) -> Option<Self> {
        let looks = Looks::of(past, view);
        let node = past.state().node(node)?;
        let seen = past.of_node(node);
        let ended = match node.status {
            NodeStatus::Disabled | NodeStatus::Closed => seen.and_then(|seen| seen.ended),
            NodeStatus::Completed => seen.and_then(|seen| seen.done),
            NodeStatus::Active | NodeStatus::Waiting | NodeStatus::Failed => None,
        };
        Some(Self {
            flow_instance_id: past.state().root()?.flow_instance_id.clone(),
            version: past.state().commands.len() as u64,
            node: looks.node(node),
            until: ended.and_then(|version| looks.record(version)),
            causes: looks.causes(node),
        })
    }
}

/// Who wrote a variable, by the node that was left with it.
type AuthorsOf = BTreeMap<NodeInstanceId, Option<ValueAuthor>>;

/// What an answer is made of.
pub(crate) struct Looks<'p> {
    past: &'p Past,
    view: View<'p>,
    nodes: Nodes<'p>,
    places: BTreeMap<NodeInstanceId, NodePlace>,
    /// Who wrote a variable that a node was left with, as far as that was looked for.
    authors: RefCell<BTreeMap<Arc<str>, AuthorsOf>>,
}

impl<'p> Looks<'p> {
    pub(crate) fn of(past: &'p Past, view: View<'p>) -> Self {
        let places = places(past.state())
            .into_iter()
            .map(|(place, (_, seen))| (seen.node_instance_id, place));
        Self {
            past,
            view,
            nodes: Nodes::of(past.state()),
            places: places.collect(),
            authors: RefCell::default(),
        }
    }

    pub(crate) fn node(&self, node: &NodeInstance) -> NodeRef {
        NodeRef {
            node_instance_id: node.id.clone(),
            model_key: node.key.clone(),
            model_name: self.element(node).map(Element::name).unwrap_or_default().into(),
            place: self.places.get(&node.id).cloned().unwrap_or_default(),
            status: node.status.number(),
        }
    }

    pub(crate) fn record(&self, version: u64) -> Option<RecordRef> {
        let record = self.past.record(version)?;
        Some(RecordRef {
            version,
            command_id: record.command_id.clone(),
            command: record.command,
            operator: record.operator.clone(),
            reason: record.reason.clone(),
            time: Date::new(record.at, self.view.profile),
        })
    }

    pub(crate) fn element(&self, node: &NodeInstance) -> Option<&'p Element> {
        self.view.model(self.past.state(), node.flow)?.element(&node.key)
    }

    /// The records that led to a node instance.
    fn causes(&self, node: &NodeInstance) -> Vec<Cause> {
        let before = self.before(node);
        let mut steps: BTreeMap<u64, Vec<CauseNode>> = BTreeMap::new();
        for step in self.past.state().nodes().filter(|node| before.contains(&node.id)) {
            let seen = self.past.of_node(step);
            // What was decided at the node itself came after it.
            let decision = seen
                .and_then(|seen| seen.decision.as_ref())
                .filter(|_| step.id != node.id);
            let given = seen
                .and_then(|seen| seen.given.as_ref())
                .filter(|_| step.id != node.id)
                .map(|(version, _, given)| (*version, given.clone()));
            let decided = decision.map(|decision| decision.version);
            let done = seen.and_then(|seen| seen.done).filter(|_| step.id != node.id);
            let versions = [Some(step.created_version), decided, done].into_iter().flatten();
            let versions: BTreeSet<u64> = versions.collect();
            for version in versions {
                let steps = steps.entry(version).or_default();
                let is_task_only = version != step.created_version && decided != Some(version);
                if is_task_only && self.past.record(version).and_then(|record| record.task.as_ref()) == Some(&step.id) {
                    continue;
                }
                steps.push(CauseNode {
                    node: self.node(step),
                    given: given.clone().filter(|given| given.0 == version).unwrap_or_default().1,
                    decision: decision
                        .filter(|decision| decision.version == version)
                        .map(|decision| self.decision(decision)),
                });
            }
        }
        let causes = steps.into_iter().filter_map(|(version, steps)| {
            let record = self.past.record(version)?;
            Some(Cause {
                record: self.record(version)?,
                task: record
                    .task
                    .as_ref()
                    .and_then(|task| self.nodes.node(task))
                    .map(|task| self.node(task)),
                variables: record.variables.clone(),
                steps,
            })
        });
        causes.collect()
    }

    /// The node instances on the ways to one, itself included.
    fn before(&self, node: &NodeInstance) -> BTreeSet<NodeInstanceId> {
        let mut found = BTreeSet::from([node.id.clone()]);
        let mut ahead = vec![node];
        while let Some(node) = ahead.pop() {
            let mut sources: Vec<&NodeInstance> = Vec::new();
            match &node.join {
                Some(join) => {
                    let arrived = join
                        .arrivals
                        .iter()
                        .filter_map(|arrival| self.nodes.node(&arrival.source));
                    sources.extend(arrived);
                }
                None => sources.extend(node.source.as_ref().and_then(|source| self.nodes.node(source))),
            }
            // Behind a call activity comes what its sub flow came to.
            let ends = sources.iter().filter_map(|source| self.end_of(source.sub_flow?));
            let ends: Vec<&NodeInstance> = ends.collect();
            sources.extend(ends);
            if node.source.is_none() && node.join.is_none() {
                sources.extend(self.calling(node));
            }
            for source in sources {
                if found.insert(source.id.clone()) {
                    ahead.push(source);
                }
            }
        }
        found
    }

    /// The end event at which a sub flow ended last.
    fn end_of(&self, flow: FlowIndex) -> Option<&'p NodeInstance> {
        let state = self.past.state();
        let has_ended = |status| matches!(status, FlowStatus::End | FlowStatus::Completed);
        if !state.flow(flow).is_some_and(|flow| has_ended(flow.status)) {
            return None;
        }
        let is_end = |node: &&NodeInstance| {
            node.status == NodeStatus::Completed
                && node.element_type == flowledger_engine_core::model::element::ElementType::EndEvent
        };
        state.nodes_of(flow).rev().find(is_end)
    }

    /// A decision with all the sequence flows it chose from.
    pub(crate) fn decision(&self, decision: &Decision) -> DecisionSeen {
        let node = self.nodes.node(&decision.node);
        let model = node.and_then(|node| self.view.model(self.past.state(), node.flow));
        let element = node.and_then(|node| model?.element(&node.key));
        let condition = |key: &Arc<str>| {
            let flow = model.and_then(|model| model.element(key));
            let held = decision.evaluated.iter().find(|evaluated| evaluated.flow == *key);
            let text = flow.and_then(Element::condition);
            let reads = held.and(text).and_then(|text| Vocabulary::of(text).ok());
            ConditionSeen {
                flow: key.clone(),
                leads_to: flow.and_then(|flow| flow.outgoing.first()).cloned(),
                condition: text.map(Into::into),
                is_default: flow.is_some_and(Element::is_default),
                held: held.map(|evaluated| evaluated.held),
                values: reads.map_or_else(Vec::new, |reads| self.values(decision, node, &reads)),
            }
        };
        DecisionSeen {
            taken: decision.taken.clone(),
            conditions: element
                .map(|element| element.outgoing.iter().map(condition).collect())
                .unwrap_or_default(),
            err_code: decision.failed.as_ref().map(|failed| failed.0),
            err_msg: decision.failed.as_ref().map(|failed| failed.1.clone()),
        }
    }

    /// What a condition read, each variable once.
    fn values(&self, decision: &Decision, node: Option<&NodeInstance>, reads: &Vocabulary) -> Vec<ValueSeen> {
        let mut keys: Vec<&Arc<str>> = Vec::new();
        for key in reads.paths.iter().filter_map(|path| path.first()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let values = keys.into_iter().map(|key| ValueSeen {
            key: key.clone(),
            value: decision.data.value(key).cloned(),
            author: node.and_then(|node| self.author(decision, node, key)),
        });
        values.collect()
    }

    /// Who wrote a variable that was read at a node.
    fn author(&self, decision: &Decision, node: &NodeInstance, key: &str) -> Option<ValueAuthor> {
        decision.data.value(key)?;
        if decision.failed.is_some() {
            // The node keeps nothing of what the failed commit had given.
            let record = self.past.record(decision.version)?;
            if names(&record.variables, key) {
                let task = record.task.as_ref().and_then(|task| self.nodes.node(task));
                return self.wrote(decision.version, ValueAuthorKind::Command, task);
            }
        }
        let mut authors = self.authors.borrow_mut();
        let known = authors.entry(key.into()).or_default();
        let mut node = node;
        let mut passed: Vec<&NodeInstanceId> = Vec::new();
        // Every step goes to a node instance that came earlier.
        let author = loop {
            if let Some(author) = known.get(&node.id) {
                break author.clone();
            }
            if passed.len() > self.past.state().nodes().len() {
                break None;
            }
            passed.push(&node.id);
            match self.wrote_at(node, key) {
                Found::Author(author) => break author,
                Found::Before(before) => node = before,
            }
        };
        known.extend(passed.into_iter().map(|node| (node.clone(), author.clone())));
        author
    }

    /// The call activity that runs the flow of a node.
    fn calling(&self, node: &NodeInstance) -> Option<&'p NodeInstance> {
        let flow = self.past.state().flow(node.flow)?;
        flow.parent.as_ref().and_then(|call| self.nodes.node(call))
    }

    /// Whether a variable that a node was left with was written there, or where to look next.
    fn wrote_at<'n>(&'n self, node: &'n NodeInstance, key: &str) -> Found<'n> {
        let state = self.past.state();
        let seen = self.past.of_node(node);
        if let Some((version, given, variables)) = seen.and_then(|seen| seen.given.as_ref())
            && names(variables, key)
        {
            let by = match given {
                Given::Hook => ValueAuthorKind::Hook,
                Given::PlugIn => ValueAuthorKind::PlugIn,
            };
            return Found::Author(self.wrote(*version, by, Some(node)));
        }
        let done = seen.and_then(|seen: &NodePast| seen.done);
        let committed = done.and_then(|version| self.past.record(version)).filter(|record| {
            record.task.as_ref() == Some(&node.id) && node.sub_flow.is_none() && names(&record.variables, key)
        });
        if let Some(record) = committed {
            return Found::Author(self.wrote(record.version, ValueAuthorKind::Command, Some(node)));
        }
        if let Some(join) = &node.join {
            let value = node.leave.variables.value(key);
            let fork = self.nodes.node(&join.fork);
            if let Some(fork) = fork.filter(|fork| fork.leave.variables.value(key) == value) {
                return Found::Before(fork);
            }
            let brought = join.arrivals.iter().rev();
            let mut brought = brought.filter(|arrival| arrival.data.variables.value(key) == value);
            return match brought.next().and_then(|arrival| self.nodes.node(&arrival.source)) {
                Some(source) => Found::Before(source),
                None => Found::Author(done.and_then(|version| self.wrote(version, ValueAuthorKind::Join, Some(node)))),
            };
        }
        if node.sub_flow.is_some() && changed(&node.entry.variables, &node.leave.variables, key) {
            return Found::Author(done.and_then(|version| self.wrote(version, ValueAuthorKind::HandedOut, Some(node))));
        }
        if let Some(source) = node.source.as_ref().and_then(|source| self.nodes.node(source)) {
            return Found::Before(source);
        }
        // The beginning of a flow.
        let started = node.created_version;
        let call = self.calling(node);
        let handed_in = call.and_then(|call| {
            let start = &state.flow(node.flow)?.start_data.variables;
            let given = self.past.record(started)?;
            let given = given.variables.iter().rev().find(|given| &*given.key == key);
            (given.map(|given| &given.value) != start.value(key)).then_some(call)
        });
        Found::Author(match handed_in {
            Some(call) => self.wrote(started, ValueAuthorKind::HandedIn, Some(call)),
            None => self.wrote(started, ValueAuthorKind::Command, call),
        })
    }

    fn wrote(&self, version: u64, by: ValueAuthorKind, node: Option<&NodeInstance>) -> Option<ValueAuthor> {
        Some(ValueAuthor {
            record: self.record(version)?,
            by,
            model_key: node.map(|node| node.key.clone()),
        })
    }
}

/// Where a variable was written.
enum Found<'n> {
    /// Here.
    Author(Option<ValueAuthor>),
    /// At this node instance, or before it.
    Before(&'n NodeInstance),
}

fn names(variables: &[InstanceData], key: &str) -> bool {
    variables.iter().any(|variable| &*variable.key == key)
}

fn changed(before: &Variables, after: &Variables, key: &str) -> bool {
    before.value(key) != after.value(key)
}
