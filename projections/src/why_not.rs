//! Why an instance has not come to an element: the decisions at which it turned away from it, what they would have had to read
//! instead, and the tasks that are still before it. What would have happened then is found out elsewhere, by doing it.

mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeInstance, NodeStatus};
use flowledger_engine_core::model::element::ElementType;
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;
use serde::Serialize;

pub use self::search::{Assignment, Proposals, assignments};
use crate::why::{Decision, DecisionSeen, Looks, NodeRef, Past, RecordRef};
use crate::{Deployments, View};

/// Why an instance has not come to an element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WhyNot {
    /// The instance: the root.
    pub flow_instance_id: FlowInstanceId,
    /// The version that was looked at.
    pub version: u64,
    /// The element's key.
    pub model_key: Arc<str>,
    /// The visits of it that there were after all, oldest first; those that failed or were gone back over among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<NodeRef>,
    /// The decisions at which the flow turned away from it, newest first.
    pub turns: Vec<TurnedAway>,
    /// The active tasks from which sequence flows lead to it.
    pub before: Vec<NodeRef>,
    /// The smallest change with which it would have been reached, checked by a fork; absent where none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangedWay>,
    /// How many forks were tried to find it.
    pub forks: usize,
    /// Whether the search came to its end; false: it was given up at its bound, and there may be a change.
    pub exhausted: bool,
    /// The invariants for which the engine refused commands of the changes that were tried, ordered by name; only an engine
    /// that enforces them does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_by: Vec<Arc<str>>,
}

/// A decision at which the flow turned away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnedAway {
    /// The record that decided.
    #[serde(flatten)]
    pub record: RecordRef,
    /// The node instance at which.
    pub node: NodeRef,
    /// The sequence flows that lead to the element and were not taken.
    pub not_taken: Vec<Arc<str>>,
    /// The decision.
    pub decision: DecisionSeen,
}

/// What would have led to an element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedWay {
    /// How many variables are other than they were, or are added.
    pub variables: usize,
    /// What is done from there on, in order: the first is the command that is changed, in place of what was recorded from its
    /// version on. Where nothing is changed, it goes on from the version that was looked at.
    pub steps: Vec<ChangedCommand>,
}

/// A command on the way to an element.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedCommand {
    /// The version of the instance that the command makes.
    pub version: u64,
    /// `startProcess` or `commitTask`.
    pub command: &'static str,
    /// The element whose task is committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_key: Option<Arc<str>>,
    /// All variables that are given with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<InstanceData>,
    /// Those that are other than recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<ChangedVariable>,
}

/// A variable that a command gives otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedVariable {
    /// The variable.
    pub key: Arc<str>,
    /// What the decision had read; absent where there was no such variable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<Value>,
    /// What it would have to be.
    pub would_be: Value,
}

/// The ways to an element through the models that an instance runs, and those that its forks run.
pub struct Ways {
    key: Arc<str>,
    deployments: Deployments,
    /// By deployment, the nodes from which sequence flows lead to the element, or to a call activity that leads there.
    leading: BTreeMap<FlowDeployId, BTreeSet<Arc<str>>>,
}

impl Ways {
    /// The ways to the element with this key; `None` if no model of the instance has it.
    pub fn to(key: &str, instance: &FlowInstance, deployments: &Deployments) -> Option<Self> {
        let mut ways = Self {
            key: key.into(),
            deployments: Deployments::new(),
            leading: BTreeMap::new(),
        };
        ways.look(instance, deployments);
        (!ways.leading.is_empty()).then_some(ways)
    }

    /// Takes in what an instance runs. A flow is called by one that came before it, so the last come first.
    pub fn look(&mut self, instance: &FlowInstance, deployments: &Deployments) {
        for (id, deployment) in deployments {
            self.deployments.entry(id.clone()).or_insert_with(|| deployment.clone());
        }
        let flows: Vec<FlowIndex> = instance.flows().map(|(index, _)| index).collect();
        for index in flows.into_iter().rev() {
            let Some(flow) = instance.flow(index) else { continue };
            let Some(deployment) = self.deployments.get(&flow.flow_deploy_id) else {
                continue;
            };
            let mut goals = BTreeSet::new();
            let element = deployment.model.element(&self.key);
            if element.is_some_and(|element| element.element_type != ElementType::SequenceFlow) {
                goals.insert(self.key.clone());
            }
            for node in instance.nodes_of(index) {
                let called = node.sub_flow.and_then(|flow| instance.flow(flow));
                if called.is_some_and(|called| self.leading.contains_key(&called.flow_deploy_id)) {
                    goals.insert(node.key.clone());
                }
            }
            if !goals.is_empty() {
                let leading = leading_to(&deployment.model, goals);
                let known = self.leading.entry(flow.flow_deploy_id.clone()).or_default();
                known.extend(leading);
            }
        }
    }

    fn leads_from(&self, instance: &FlowInstance, flow: FlowIndex, key: &str) -> bool {
        let leading = instance
            .flow(flow)
            .and_then(|flow| self.leading.get(&flow.flow_deploy_id));
        leading.is_some_and(|leading| leading.contains(key))
    }

    /// Whether a task that is open leads there: by what comes behind it, in its flow or, once that has ended, behind the call
    /// activities around it.
    pub fn is_before(&self, instance: &FlowInstance, task: &NodeInstance) -> bool {
        let mut node = Some(task);
        while let Some(inside) = node {
            let model = instance
                .flow(inside.flow)
                .and_then(|flow| self.deployments.get(&flow.flow_deploy_id))
                .map(|deployment| &deployment.model);
            let next = model.map_or_else(Vec::new, |model| targets(model, &inside.key));
            if next.iter().any(|key| self.leads_from(instance, inside.flow, key)) {
                return true;
            }
            node = instance.calling_node(inside.flow);
        }
        // A call activity that waits for its commit may run what leads there.
        task.element_type == ElementType::CallActivity && task.sub_flow.is_none()
    }

    /// The visits of the element, oldest first.
    pub fn reached<'i>(&'i self, instance: &'i FlowInstance) -> impl Iterator<Item = &'i NodeInstance> {
        instance.nodes().filter(|node| node.key == self.key)
    }

    /// The decisions of an instance that turned away from the element, newest first.
    pub fn turns<'p>(&self, past: &'p Past) -> Vec<(&'p Decision, Vec<Arc<str>>)> {
        let mut turns = Vec::new();
        for decision in past.decisions().into_iter().rev() {
            let Some(node) = past.state().node(&decision.node) else {
                continue;
            };
            if node.status == NodeStatus::Disabled {
                continue;
            }
            let not_taken = self.not_taken(past.state(), node, &decision.taken);
            if !not_taken.is_empty() {
                turns.push((decision, not_taken));
            }
        }
        turns
    }

    /// The sequence flows behind a node that lead there and were not taken.
    fn not_taken(&self, instance: &FlowInstance, node: &NodeInstance, taken: &[Arc<str>]) -> Vec<Arc<str>> {
        let Some(deployment) = self.deployment(instance, node) else {
            return Vec::new();
        };
        let Some(element) = deployment.model.element(&node.key) else {
            return Vec::new();
        };
        let leads = |key: &&Arc<str>| {
            let target = deployment.model.element(key).and_then(|flow| flow.outgoing.first());
            target.is_some_and(|target| self.leads_from(instance, node.flow, target))
        };
        let ahead = element.outgoing.iter().filter(|key| !taken.contains(key));
        ahead.filter(leads).cloned().collect()
    }

    /// The deployment that a node's flow runs.
    pub fn deployment(&self, instance: &FlowInstance, node: &NodeInstance) -> Option<&Deployment> {
        let id = &instance.flow(node.flow)?.flow_deploy_id;
        self.deployments.get(id).map(|deployment| &**deployment)
    }
}

/// The nodes of a model from which sequence flows lead to one of these.
fn leading_to(model: &FlowModel, goals: BTreeSet<Arc<str>>) -> BTreeSet<Arc<str>> {
    let mut before: BTreeMap<&str, Vec<&Arc<str>>> = BTreeMap::new();
    for flow in model.elements() {
        if flow.element_type == ElementType::SequenceFlow
            && let (Some(source), Some(target)) = (flow.incoming.first(), flow.outgoing.first())
        {
            before.entry(target).or_default().push(source);
        }
    }
    let mut found = goals.clone();
    let mut ahead: Vec<Arc<str>> = goals.into_iter().collect();
    while let Some(key) = ahead.pop() {
        for source in before.get(&*key).into_iter().flatten() {
            if found.insert((*source).clone()) {
                ahead.push((*source).clone());
            }
        }
    }
    found
}

/// Where the sequence flows behind a node lead.
fn targets(model: &FlowModel, key: &str) -> Vec<Arc<str>> {
    let Some(element) = model.element(key) else {
        return Vec::new();
    };
    let flows = element.outgoing.iter().filter_map(|flow| model.element(flow));
    flows.filter_map(|flow| flow.outgoing.first().cloned()).collect()
}

impl WhyNot {
    /// What the records and the models tell; the change is yet to be found.
    pub fn of(past: &Past, view: View<'_>, ways: &Ways) -> Option<Self> {
        let state = past.state();
        let looks = Looks::of(past, view);
        let turns = ways.turns(past).into_iter().filter_map(|(decision, not_taken)| {
            Some(TurnedAway {
                record: looks.record(decision.version)?,
                node: looks.node(state.node(&decision.node)?),
                not_taken,
                decision: looks.decision(decision),
            })
        });
        let turns = turns.collect();
        let before = state.active_tasks().into_iter();
        let before = before.filter(|task| ways.is_before(state, task));
        Some(Self {
            flow_instance_id: state.root()?.flow_instance_id.clone(),
            version: state.commands.len() as u64,
            model_key: ways.key.clone(),
            reached: ways.reached(state).map(|node| looks.node(node)).collect(),
            turns,
            before: before.map(|task| looks.node(task)).collect(),
            change: None,
            forks: 0,
            exhausted: false,
            refused_by: Vec::new(),
        })
    }

    /// Whether the flow has come to the element, and has not gone back over it.
    pub fn is_reached(&self) -> bool {
        let counts =
            |node: &NodeRef| node.status != NodeStatus::Disabled.number() && node.status != NodeStatus::Failed.number();
        self.reached.iter().any(counts)
    }
}
