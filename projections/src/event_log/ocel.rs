//! OCEL 2.0 in JSON: events and the objects they are about. Writes texts, knows no file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::event::{Envelope, InstanceRecord, ModuleCommand, ModuleEvent, ModuleRecord};
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use flowledger_engine_core::module::FlowModule;
use flowledger_engine_core::time::Timestamp;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;
use serde::Serialize;

use super::xes::{acts, resource};
use super::{FlowStep, Kind, Story, Told, Transition, activity, is_activity, text_of};
use crate::View;
use crate::instance_data::instance_data;

/// Names that a log declares: of activities, and of variables. Activities beyond are told as `OTHER` with their key as an
/// attribute, variables beyond as one text `NAME=VALUE`.
pub const MAX_NAMES: usize = 100_000;
/// The name of what has none.
const OTHER: &str = "other";

const MODULE: &str = "flow module";
const DEPLOYMENT: &str = "flow deployment";
const INSTANCE: &str = "flow instance";
const NODE: &str = "node instance";

/// What the log says of its types, gathered while events are told; objects come behind all events.
#[derive(Clone, Debug, Default)]
pub struct Ocel {
    all_nodes: bool,
    event_types: BTreeSet<String>,
    /// The types of variables; of those that were only null, none is known.
    variables: BTreeMap<Arc<str>, Option<Kind>>,
}

/// The value of an attribute as the log has it.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Text(String),
    Number(u64),
    Code(i32),
    Flag(bool),
    Value(&'a Value),
}

#[derive(Serialize)]
struct Attribute<'a> {
    name: &'a str,
    value: Shown<'a>,
}

#[derive(Serialize)]
struct Change<'a> {
    name: String,
    time: Timestamp,
    value: Shown<'a>,
}

#[derive(Serialize)]
struct Related {
    #[serde(rename = "objectId")]
    object: String,
    qualifier: &'static str,
}

#[derive(Serialize)]
struct Event<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'a str,
    time: Timestamp,
    attributes: Vec<Attribute<'a>>,
    relationships: Vec<Related>,
}

#[derive(Serialize)]
struct Object<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    attributes: Vec<Change<'a>>,
    relationships: Vec<Related>,
}

#[derive(Serialize)]
struct Declared<'a> {
    name: &'a str,
    attributes: Vec<DeclaredAttribute>,
}

#[derive(Serialize)]
struct DeclaredAttribute {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The attributes that every event may have.
const EVENT_ATTRIBUTES: [(&str, Kind); 12] = [
    ("lifecycle", Kind::Text),
    ("what", Kind::Text),
    ("resource", Kind::Text),
    ("tenant", Kind::Text),
    ("reason", Kind::Text),
    ("elementKey", Kind::Text),
    ("elementType", Kind::Text),
    ("rolledBack", Kind::Boolean),
    ("errCode", Kind::Integer),
    ("detail", Kind::Text),
    ("version", Kind::Integer),
    ("position", Kind::Integer),
];

impl Ocel {
    /// A log without anything in it, in which start and end events and gateways will be told, too, or not.
    pub fn new(all_nodes: bool) -> Self {
        Self {
            all_nodes,
            ..Self::default()
        }
    }

    /// The events of an instance's record at a position of the log, told with the instance as it stands after it and as it
    /// stands at the end; one JSON object each.
    pub fn events(
        &mut self,
        position: u64,
        record: &InstanceRecord,
        told: &Told,
        (now, last): (&FlowInstance, &FlowInstance),
        view: View<'_>,
    ) -> Vec<String> {
        record
            .given
            .command
            .variables()
            .iter()
            .for_each(|given| self.learn(given));
        let envelope = &record.given.envelope;
        let mut events = Vec::new();
        // A flow begins before anything happens in it, and ends behind it.
        let (begun, moved): (Vec<_>, Vec<_>) = told.flows.iter().partition(|step| step.begins);
        for step in begun {
            events.push(self.flow_event(position, events.len() + 1, envelope, step, now));
        }
        let all_nodes = self.all_nodes;
        for step in told.steps.iter().filter(|step| step.is_activity || all_nodes) {
            let name = activity(step, now, view);
            let kind = match step.transition {
                Transition::Complete => name.to_owned(),
                Transition::Unknown => format!("{name} [{}]", step.what.name()),
                transition => format!("{name} [{}]", transition.name()),
            };
            let mut attributes = told_by(envelope, position, acts(step.what));
            attributes.push(text("lifecycle", step.transition.name()));
            attributes.push(text("what", step.what.name()));
            attributes.push(text("elementKey", &step.key));
            attributes.push(text("elementType", &step.element_type.to_string()));
            if step.transition == Transition::Complete {
                let is_undone = last
                    .node(&step.node)
                    .is_some_and(|node| node.status == NodeStatus::Disabled);
                attributes.push(Attribute {
                    name: "rolledBack",
                    value: Shown::Flag(is_undone),
                });
            }
            if let Some((code, detail)) = &step.failure {
                attributes.push(Attribute {
                    name: "errCode",
                    value: Shown::Code(*code),
                });
                attributes.push(text("detail", detail));
            }
            let mut related = vec![relation(node_id(&step.node), "at")];
            related.extend(flow_relations(now, step.flow));
            let event = Event {
                id: format!("{position}.{}", events.len() + 1),
                kind: if self.has_room_for(&kind) { &kind } else { OTHER },
                time: envelope.recorded_at,
                attributes,
                relationships: related,
            };
            events.push(self.event(&event));
        }
        for step in moved {
            events.push(self.flow_event(position, events.len() + 1, envelope, step, now));
        }
        for (_, flow) in changing(now, told) {
            for data in &instance_data(now, flow, false) {
                self.learn(data);
            }
        }
        events
    }

    /// The event that a flow instance began or came to another status.
    fn flow_event(
        &mut self,
        position: u64,
        number: usize,
        envelope: &Envelope,
        step: &FlowStep,
        now: &FlowInstance,
    ) -> String {
        let mut related = flow_relations(now, step.flow);
        related.extend(now.flow(step.flow).into_iter().flat_map(|flow| {
            [
                relation(deployment_id(&flow.flow_deploy_id), "runs"),
                relation(module_id(&flow.flow_module_id), "of"),
            ]
        }));
        self.event(&Event {
            id: format!("{position}.{number}"),
            kind: flow_word(step),
            time: envelope.recorded_at,
            attributes: told_by(envelope, position, true),
            relationships: related,
        })
    }

    /// The events of a module's record at a position of the log; one JSON object each.
    pub fn module_events(&mut self, position: u64, record: &ModuleRecord, module: &FlowModuleId) -> Vec<String> {
        let envelope = &record.given.envelope;
        let mut events = Vec::new();
        for event in &record.events {
            let mut related = vec![relation(module_id(module), "of")];
            let kind = match event {
                ModuleEvent::FlowCreated { .. } => "flow created",
                ModuleEvent::FlowUpdated => "flow updated",
                ModuleEvent::FlowDeployed { flow_deploy_id, .. } => {
                    related.push(relation(deployment_id(flow_deploy_id), "deploys"));
                    "flow deployed"
                }
                ModuleEvent::FlowDisabled => "flow disabled",
                ModuleEvent::FlowEnabled => "flow enabled",
            };
            let event = Event {
                id: format!("{position}.{}", events.len() + 1),
                kind,
                time: envelope.recorded_at,
                attributes: told_by(envelope, position, true),
                relationships: related,
            };
            events.push(self.event(&event));
        }
        events
    }

    /// The objects of an instance: its flow instances with what their variables were and when, and their node instances.
    /// One JSON object each. The records are all of the instance, in order.
    pub fn objects(&self, instance: &InstanceObjects, view: View<'_>) -> Vec<String> {
        let state = instance.story.state();
        let flows = state.flows().map(|(index, flow)| {
            let mut related = vec![relation(deployment_id(&flow.flow_deploy_id), "runs")];
            related.extend(flow.parent.iter().map(|call| relation(node_id(call), "called by")));
            let changes = instance.changes.iter().filter(|change| change.flow == index);
            let attributes = changes.map(|change| match &change.what {
                Changed::Status(status) => Change {
                    name: "status".to_owned(),
                    time: change.at,
                    value: Shown::Text(status_word(*status).to_owned()),
                },
                Changed::Variable(key, value) => self.variable(key, value.as_ref(), change.at),
            });
            Object {
                id: instance_id(&flow.flow_instance_id),
                kind: INSTANCE,
                attributes: attributes.collect(),
                relationships: related,
            }
        });
        let is_told = |node: &NodeInstance| self.all_nodes || is_activity(node);
        let by_id: BTreeMap<&NodeInstanceId, &NodeInstance> = state.nodes().map(|node| (&node.id, node)).collect();
        let told = state.nodes().enumerate().filter(|(_, node)| is_told(node));
        let nodes = told.map(|(place, node)| {
            let mut related: Vec<Related> = state
                .flow(node.flow)
                .map(|flow| relation(instance_id(&flow.flow_instance_id), "part of"))
                .into_iter()
                .collect();
            let before = told_before(node, &by_id, is_told);
            related.extend(before.iter().map(|source| relation(node_id(source), "follows")));
            let element = view.model(state, node.flow).and_then(|model| model.element(&node.key));
            let told = |name: &str, value: String| Change {
                name: name.to_owned(),
                time: node.created_at,
                value: Shown::Text(value),
            };
            let mut attributes = vec![
                told("elementKey", node.key.to_string()),
                told("elementName", element.map_or("", |element| element.name()).to_owned()),
                told("elementType", node.element_type.to_string()),
            ];
            let statuses = instance.statuses.get(place).into_iter().flatten();
            attributes.extend(statuses.map(|(at, status)| Change {
                name: "status".to_owned(),
                time: *at,
                value: Shown::Text(node_word(*status).to_owned()),
            }));
            Object {
                id: node_id(&node.id),
                kind: NODE,
                attributes,
                relationships: related,
            }
        });
        flows
            .map(|object| json(&object))
            .chain(nodes.map(|object| json(&object)))
            .collect()
    }

    /// The objects of a module, as its records up to now have made it: the module itself and its deployments.
    pub fn module_objects(&self, module: &ModuleObjects) -> Vec<String> {
        let Some(id) = &module.state.flow_module_id else {
            return Vec::new();
        };
        let attributes = module.changes.iter().map(|(at, name, value)| Change {
            name: (*name).to_owned(),
            time: *at,
            value: Shown::Text(value.clone()),
        });
        let object = Object {
            id: module_id(id),
            kind: MODULE,
            attributes: attributes.collect(),
            relationships: Vec::new(),
        };
        let deployments = module.deployed.iter().map(|(deployment, at, name)| Object {
            id: deployment_id(deployment),
            kind: DEPLOYMENT,
            attributes: vec![Change {
                name: "name".to_owned(),
                time: *at,
                value: Shown::Text(name.clone()),
            }],
            relationships: vec![relation(module_id(id), "version of")],
        });
        std::iter::once(json(&object))
            .chain(deployments.map(|object| json(&object)))
            .collect()
    }

    /// The declarations of all types: the members `objectTypes` and `eventTypes` of the document.
    pub fn types(&self) -> String {
        let text = |name: &str| DeclaredAttribute {
            name: name.to_owned(),
            kind: Kind::Text.name(),
        };
        let variables = self.variables.iter().map(|(key, kind)| DeclaredAttribute {
            name: format!("variable.{key}"),
            kind: kind.unwrap_or(Kind::Text).name(),
        });
        let declared = |name, attributes| Declared { name, attributes };
        let objects = vec![
            declared(MODULE, ["name", "key", "remark", "status"].map(text).into()),
            declared(DEPLOYMENT, vec![text("name")]),
            declared(
                INSTANCE,
                [text("status"), text(OTHER)].into_iter().chain(variables).collect(),
            ),
            declared(
                NODE,
                ["elementKey", "elementName", "elementType", "status"].map(text).into(),
            ),
        ];
        let attributes = || {
            let declared = EVENT_ATTRIBUTES.iter().map(|(name, kind)| DeclaredAttribute {
                name: (*name).to_owned(),
                kind: kind.name(),
            });
            declared.collect()
        };
        let events: Vec<Declared<'_>> = self
            .event_types
            .iter()
            .map(|name| declared(name, attributes()))
            .collect();
        format!("\"objectTypes\":{},\n\"eventTypes\":{}", json(&objects), json(&events))
    }

    fn has_room_for(&self, kind: &str) -> bool {
        self.event_types.len() < MAX_NAMES || self.event_types.contains(kind)
    }

    fn event(&mut self, event: &Event<'_>) -> String {
        if !self.event_types.contains(event.kind) {
            self.event_types.insert(event.kind.to_owned());
        }
        json(event)
    }

    /// Remembers the type of a variable.
    fn learn(&mut self, data: &InstanceData) {
        let kind = Kind::of(&data.value);
        let has_room = self.variables.len() < MAX_NAMES;
        match self.variables.get_mut(&data.key) {
            Some(known) => {
                *known = match (*known, kind) {
                    (Some(one), Some(other)) => Some(one.with(other)),
                    (one, other) => one.or(other),
                }
            }
            None if has_room => {
                self.variables.insert(data.key.clone(), kind);
            }
            None => {}
        }
    }

    /// A variable at a time, in the type that is declared for it.
    fn variable<'a>(&self, key: &Arc<str>, value: Option<&'a Value>, time: Timestamp) -> Change<'a> {
        let value = value.unwrap_or(&Value::Null);
        let (name, value) = match self.variables.get(key) {
            Some(Some(Kind::Text)) if *value != Value::Null => (format!("variable.{key}"), Shown::Text(text_of(value))),
            None if *value != Value::Null => (OTHER.to_owned(), Shown::Text(format!("{key}={value}"))),
            Some(_) | None => (format!("variable.{key}"), Shown::Value(value)),
        };
        Change { name, time, value }
    }
}

/// What the objects of an instance are made of: its records, folded one by one.
#[derive(Clone, Debug, Default)]
pub struct InstanceObjects {
    story: Story,
    changes: Vec<FlowChange>,
    /// When each node instance came to which status, in the order of the node instances.
    statuses: Vec<Vec<(Timestamp, NodeStatus)>>,
    /// The data of each flow at its present position.
    data: Vec<BTreeMap<Arc<str>, Value>>,
}

#[derive(Clone, Debug)]
struct FlowChange {
    flow: FlowIndex,
    at: Timestamp,
    what: Changed,
}

#[derive(Clone, Debug)]
enum Changed {
    Status(FlowStatus),
    /// A variable has another value, or is not there any more.
    Variable(Arc<str>, Option<Value>),
}

impl InstanceObjects {
    /// Folds a record in.
    pub fn apply(&mut self, record: &InstanceRecord) {
        let told = self.story.tell(record);
        let at = record.given.envelope.recorded_at;
        let mut change = |flow, what| self.changes.push(FlowChange { flow, at, what });
        told.flows
            .iter()
            .for_each(|step| change(step.flow, Changed::Status(step.status)));
        let state = self.story.state();
        self.data.resize_with(state.flows().count(), BTreeMap::new);
        for (place, flow) in changing(state, &told) {
            let now = instance_data(state, flow, false).to_map();
            let Some(before) = self.data.get_mut(place) else {
                continue;
            };
            for (key, value) in now.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
                change(flow, Changed::Variable(key.clone(), Some(value.clone())));
            }
            for key in before.keys().filter(|key| !now.contains_key(*key)) {
                change(flow, Changed::Variable(key.clone(), None));
            }
            *before = now;
        }
        for (place, node) in state.nodes().enumerate() {
            if self.statuses.len() <= place {
                self.statuses.push(Vec::new());
            }
            if let Some(statuses) = self.statuses.get_mut(place)
                && statuses.last().is_none_or(|(_, last)| *last != node.status)
            {
                statuses.push((at, node.status));
            }
        }
    }

    /// The instance.
    pub fn state(&self) -> &FlowInstance {
        self.story.state()
    }
}

/// What the objects of a module are made of: its records, folded one by one.
#[derive(Clone, Debug, Default)]
pub struct ModuleObjects {
    state: FlowModule,
    changes: Vec<(Timestamp, &'static str, String)>,
    deployed: Vec<(FlowDeployId, Timestamp, String)>,
}

impl ModuleObjects {
    /// Folds a record in.
    pub fn apply(&mut self, record: &ModuleRecord) {
        self.state.apply_record(record);
        let at = record.given.envelope.recorded_at;
        let described = match &record.given.command {
            ModuleCommand::CreateFlow { flow } | ModuleCommand::UpdateFlow { flow, .. } => Some(flow),
            ModuleCommand::DeployFlow | ModuleCommand::DisableFlow | ModuleCommand::EnableFlow => None,
        };
        for (name, value) in described.into_iter().flat_map(|flow| {
            [
                ("name", &flow.flow_name),
                ("key", &flow.flow_key),
                ("remark", &flow.remark),
            ]
        }) {
            self.changes
                .extend(value.iter().map(|value| (at, name, value.to_string())));
        }
        for event in &record.events {
            let status = match event {
                ModuleEvent::FlowCreated { .. } => "created",
                ModuleEvent::FlowUpdated => continue,
                ModuleEvent::FlowDeployed { flow_deploy_id, .. } => {
                    let name = self.state.definition.flow.flow_name.as_deref().unwrap_or_default();
                    self.deployed.push((flow_deploy_id.clone(), at, name.to_owned()));
                    "deployed"
                }
                ModuleEvent::FlowDisabled => "offline",
                ModuleEvent::FlowEnabled => "online",
            };
            self.changes.push((at, "status", status.to_owned()));
        }
    }

    /// The module's id, once it exists.
    pub fn id(&self) -> Option<&FlowModuleId> {
        self.state.flow_module_id.as_ref()
    }
}

/// The flows, with their numbers, whose data a record may have changed: those that run, and those that came to a stop with it.
fn changing(now: &FlowInstance, told: &Told) -> Vec<(usize, FlowIndex)> {
    let has_moved = |flow| told.flows.iter().any(|step| step.flow == flow);
    let flows = now.flows().map(|(flow, _)| flow).enumerate();
    flows
        .filter(|(_, flow)| now.status_of(*flow) == FlowStatus::Running || has_moved(*flow))
        .collect()
}

/// The node instances from which the flow came to a node, those over that are not told.
fn told_before<'i>(
    node: &'i NodeInstance,
    by_id: &BTreeMap<&NodeInstanceId, &'i NodeInstance>,
    is_told: impl Fn(&NodeInstance) -> bool,
) -> BTreeSet<&'i NodeInstanceId> {
    let mut before = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![node];
    // Every node instance is looked at once.
    while let Some(node) = open.pop() {
        let arrivals = node
            .join
            .iter()
            .flat_map(|join| join.arrivals.iter().map(|arrival| &arrival.source));
        for source in node.source.iter().chain(arrivals) {
            let Some(source) = by_id.get(source).filter(|source| seen.insert(&source.id)) else {
                continue;
            };
            if is_told(source) {
                before.insert(&source.id);
            } else {
                open.push(source);
            }
        }
    }
    before
}

fn json(value: &impl Serialize) -> String {
    // Texts, numbers and values of the log are always JSON.
    serde_json::to_string(value).unwrap_or_default()
}

fn text<'a>(name: &'a str, value: &str) -> Attribute<'a> {
    Attribute {
        name,
        value: Shown::Text(value.to_owned()),
    }
}

/// Who gave a command, and where it stands.
fn told_by(envelope: &Envelope, position: u64, acts: bool) -> Vec<Attribute<'static>> {
    let mut attributes = Vec::new();
    if acts {
        attributes.extend(resource(envelope).map(|resource| text("resource", resource)));
        attributes.extend(envelope.actor.tenant.as_deref().map(|tenant| text("tenant", tenant)));
        attributes.extend(envelope.reason.as_deref().map(|reason| text("reason", reason)));
    }
    let number = |name, number| Attribute {
        name,
        value: Shown::Number(number),
    };
    attributes.extend([number("version", envelope.version), number("position", position)]);
    attributes
}

fn relation(object: String, qualifier: &'static str) -> Related {
    Related { object, qualifier }
}

/// The flow instance of an event, and the root it belongs to.
fn flow_relations(state: &FlowInstance, flow: FlowIndex) -> Vec<Related> {
    let of = |flow| state.flow(flow).map(|flow| instance_id(&flow.flow_instance_id));
    let mut related: Vec<Related> = of(flow).map(|id| relation(id, "in")).into_iter().collect();
    if flow != FlowIndex::ROOT {
        related.extend(of(FlowIndex::ROOT).map(|id| relation(id, "case")));
    }
    related
}

// Ids of the four kinds may be equal where a host makes its own.
fn module_id(id: &FlowModuleId) -> String {
    format!("module:{id}")
}

fn deployment_id(id: &FlowDeployId) -> String {
    format!("deployment:{id}")
}

fn instance_id(id: &FlowInstanceId) -> String {
    format!("instance:{id}")
}

fn node_id(id: &NodeInstanceId) -> String {
    format!("node:{id}")
}

fn flow_word(step: &FlowStep) -> &'static str {
    match step.status {
        FlowStatus::Running if step.begins => "flow started",
        FlowStatus::Running | FlowStatus::Default => "flow goes on",
        FlowStatus::Completed | FlowStatus::End => "flow completed",
        FlowStatus::Terminated => "flow terminated",
        FlowStatus::Suspended => "flow suspended",
        FlowStatus::Aborted => "flow aborted",
    }
}

fn status_word(status: FlowStatus) -> &'static str {
    match status {
        FlowStatus::Default => "not started",
        FlowStatus::Running => "running",
        FlowStatus::Completed | FlowStatus::End => "completed",
        FlowStatus::Terminated => "terminated",
        FlowStatus::Suspended => "suspended",
        FlowStatus::Aborted => "aborted",
    }
}

fn node_word(status: NodeStatus) -> &'static str {
    match status {
        NodeStatus::Completed => "completed",
        NodeStatus::Active => "active",
        NodeStatus::Failed => "failed",
        NodeStatus::Disabled => "rolled back",
        NodeStatus::Waiting => "waiting for other branches",
        NodeStatus::Closed => "closed",
    }
}
