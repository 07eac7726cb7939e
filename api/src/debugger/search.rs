//! Looking for a text in the records of an instance. Knows what stands in a record, not how it is told.

use flowledger_engine_core::event::{InstanceEvent, InstanceRecord};
use flowledger_engine_core::id::NodeInstanceId;
use flowledger_engine_core::model::element::Element;
use flowledger_engine_core::variables::InstanceData;

use super::{DebugRecord, Debugger};

/// Characters by which an id is meant: fewer stand at the beginning of many.
const MIN_ID: usize = 6;

/// A record in which something was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchHit {
    /// The record, by the version of the instance that it made.
    pub version: u64,
    /// Where in it, each place once, in the order of the record.
    pub found: Vec<FoundIn>,
}

/// What holds a text that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundIn {
    /// The name of the command.
    Command(&'static str),
    /// Tenant, caller or operator.
    Actor(String),
    /// Why, in words or as an option of the flow.
    Reason(String),
    /// The code that the command was answered with.
    Code(String),
    /// The name of an event.
    Event(&'static str),
    /// An element.
    Element {
        /// Its key in the model.
        key: String,
        /// Its name in the model; empty when it has none.
        name: String,
    },
    /// A variable that was given, by its key or its value.
    Variable {
        /// Its key.
        key: String,
        /// The value, as JSON.
        value: String,
    },
    /// What failed.
    Failure(String),
    /// An id: of the command, a node instance, a flow instance.
    Id(String),
}

/// The records in which the text stands, oldest first.
pub(super) fn search(debugger: &Debugger, text: &str) -> Vec<SearchHit> {
    let wanted = text.trim().to_lowercase();
    if wanted.is_empty() {
        return Vec::new();
    }
    let hits = debugger.records().iter().filter_map(|entry| {
        let record = entry.instance()?;
        let mut search = Search {
            debugger,
            wanted: &wanted,
            found: Vec::new(),
        };
        search.look_at(entry, record);
        (!search.found.is_empty()).then_some(SearchHit {
            version: record.given.envelope.version,
            found: search.found,
        })
    });
    hits.collect()
}

struct Search<'d> {
    debugger: &'d Debugger,
    /// In lower case.
    wanted: &'d str,
    found: Vec<FoundIn>,
}

impl Search<'_> {
    fn look_at(&mut self, entry: &DebugRecord, record: &InstanceRecord) {
        let envelope = &record.given.envelope;
        let command = &record.given.command;
        self.note(command.name(), FoundIn::Command(command.name()));
        let actor = &envelope.actor;
        for name in [&actor.operator, &actor.caller, &actor.tenant].into_iter().flatten() {
            self.note(name, FoundIn::Actor(name.to_string()));
        }
        for reason in [envelope.reason.as_ref(), command.reason_option()]
            .into_iter()
            .flatten()
        {
            self.note(reason, FoundIn::Reason(reason.to_string()));
        }
        let code = format!("{} {}", entry.code.number(), entry.code.entry().text);
        self.note(&code, FoundIn::Code(code.clone()));
        self.id(&envelope.command_id.to_string());
        self.variables(command.variables());
        for event in &record.events {
            self.event(event);
        }
    }

    fn event(&mut self, event: &InstanceEvent) {
        self.note(event.name(), FoundIn::Event(event.name()));
        match event {
            InstanceEvent::FlowStarted { flow_instance_id, .. } | InstanceEvent::SubFlowEnded { flow_instance_id } => {
                self.id(&flow_instance_id.to_string());
            }
            InstanceEvent::EventPassed(visit)
            | InstanceEvent::TaskActivated(visit)
            | InstanceEvent::GatewayReached(visit)
            | InstanceEvent::JoinReached { visit, .. } => self.node(&visit.node),
            InstanceEvent::NodeReentered { node, .. }
            | InstanceEvent::BranchArrived { node, .. }
            | InstanceEvent::TaskCommitted { node, .. }
            | InstanceEvent::CallReturned { node, .. } => self.node(node),
            InstanceEvent::HookAnswered {
                node,
                variables,
                failures,
                ..
            } => {
                self.node(node);
                self.variables(variables);
                for failure in failures {
                    self.note(failure, FoundIn::Failure(failure.to_string()));
                }
            }
            InstanceEvent::BranchTaken { node, flow, .. } => {
                self.node(node);
                self.element(flow);
            }
            InstanceEvent::BranchesOpened { node, flows, .. } => {
                self.node(node);
                for flow in flows {
                    self.element(flow);
                }
            }
            InstanceEvent::BranchesJoined { node, closed, .. } => {
                self.node(node);
                self.nodes(closed);
            }
            InstanceEvent::PlugInStepped { node, variables, .. } => {
                self.node(node);
                self.variables(variables);
            }
            InstanceEvent::CommitFailed {
                node,
                detail,
                reached,
                hooks,
                ..
            } => {
                self.node(node);
                self.note(detail, FoundIn::Failure(detail.to_string()));
                self.nodes(reached.iter().map(|visit| &visit.node));
                for heard in hooks {
                    self.variables(&heard.variables);
                }
            }
            InstanceEvent::TaskRolledBack {
                superseded, reopened, ..
            } => {
                self.nodes(superseded);
                self.nodes(reopened.iter().map(|again| &again.node));
            }
            InstanceEvent::RollbackRedone { superseded, restored } => {
                self.nodes(superseded.iter().chain(restored));
            }
            InstanceEvent::FlowTerminated { flow_instance_ids } => {
                for id in flow_instance_ids {
                    self.id(&id.to_string());
                }
            }
            InstanceEvent::FlowCompleted
            | InstanceEvent::InstanceSuspended
            | InstanceEvent::InstanceResumed
            | InstanceEvent::InstanceAborted
            | InstanceEvent::InstanceRestored { .. } => {}
        }
    }

    fn nodes<'i>(&mut self, ids: impl IntoIterator<Item = &'i NodeInstanceId>) {
        for id in ids {
            self.node(id);
        }
    }

    /// A node instance: its id, and the element that it visits.
    fn node(&mut self, id: &NodeInstanceId) {
        self.id(&id.to_string());
        let debugger = self.debugger;
        if let Some(key) = debugger.keys.get(id) {
            self.element(key);
        }
    }

    /// An element, by its key or the name that a model gives it.
    fn element(&mut self, key: &str) {
        let models = self.debugger.deployments.values().map(|deployment| &deployment.model);
        let mut names = models.filter_map(|model| model.element(key)).map(Element::name);
        let name = names.find(|name| !name.is_empty()).unwrap_or_default();
        if self.is_in(key) || self.is_in(name) {
            self.add(FoundIn::Element {
                key: key.to_owned(),
                name: name.to_owned(),
            });
        }
    }

    fn variables(&mut self, variables: &[InstanceData]) {
        for variable in variables {
            let value = variable.value.to_string();
            if self.is_in(&variable.key) || self.is_in(&value) {
                self.add(FoundIn::Variable {
                    key: variable.key.to_string(),
                    value,
                });
            }
        }
    }

    /// An id counts where its beginning is asked for.
    fn id(&mut self, id: &str) {
        if self.wanted.len() >= MIN_ID && id.to_lowercase().starts_with(self.wanted) {
            self.add(FoundIn::Id(id.to_owned()));
        }
    }

    fn is_in(&self, text: &str) -> bool {
        text.to_lowercase().contains(self.wanted)
    }

    fn note(&mut self, text: &str, found: FoundIn) {
        if self.is_in(text) {
            self.add(found);
        }
    }

    fn add(&mut self, found: FoundIn) {
        if !self.found.contains(&found) {
            self.found.push(found);
        }
    }
}
