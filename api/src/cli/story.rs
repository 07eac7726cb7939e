//! Records of the log in words. Knows the facts, not the models: elements go by their keys.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use flowledger::event::{
    DeployWarning, Evaluated, FlowDescription, InstanceCommand, InstanceEvent, ModuleCommand, ModuleEvent, NodeVisit,
    RollbackTarget,
};
use flowledger::{Actor, AnyRecord, LogRecord, NodeInstanceId, ResultCode, store};

use crate::cli::output::Output;
use crate::cli::words::{self, count, hex, plain, short, variables};

/// The number of a start event's type.
const START_EVENT: i64 = 2;
/// Where the details of a record begin on the line.
const INDENT: &str = "           ";

/// The line above records: what the columns of [`Teller::write`] are.
pub(crate) const COLUMNS: &str = " pos  ver  recorded at               stream    command           leaf hash";

/// Tells records, oldest first: the keys of node instances come from the records told before.
#[derive(Default)]
pub(crate) struct Teller {
    keys: BTreeMap<NodeInstanceId, Arc<str>>,
}

impl Teller {
    /// Writes a record: position, version, time, stream, command and leaf hash, below it what was given and the facts.
    pub(crate) fn write(&mut self, out: &Output, record: &LogRecord) -> io::Result<()> {
        let envelope = record.record.envelope();
        out.line(format!(
            "{:>4}  {:>3}  {}  {}  {:<16}  {}",
            record.position,
            envelope.version,
            envelope.recorded_at,
            short(&store::StreamId::from_bytes(envelope.stream).to_string()),
            command(&record.record),
            short(&hex(&record.leaf)),
        ))?;
        about(&record.record)
            .into_iter()
            .try_for_each(|line| out.line(format!("{INDENT}{line}")))?;
        self.facts(&record.record)
            .into_iter()
            .try_for_each(|fact| out.line(format!("{INDENT}- {fact}")))
    }

    /// The facts of a record, one sentence each.
    pub(crate) fn facts(&mut self, record: &AnyRecord) -> Vec<String> {
        match record {
            AnyRecord::Module(record) => record.events.iter().map(module_fact).collect(),
            AnyRecord::Instance(record) => record.events.iter().map(|event| self.instance_fact(event)).collect(),
        }
    }

    /// The element that a command of an instance is about, where it names one.
    pub(crate) fn subject(&self, command: &InstanceCommand) -> Option<String> {
        match command {
            InstanceCommand::CommitTask { task_instance_id, .. }
            | InstanceCommand::RollbackTask { task_instance_id } => Some(self.key(task_instance_id)),
            InstanceCommand::RollbackTo {
                target: RollbackTarget::Node(node),
            } => Some(self.key(node)),
            InstanceCommand::RollbackTo {
                target: RollbackTarget::Element(key),
            } => Some(key.to_string()),
            InstanceCommand::StartProcess { .. }
            | InstanceCommand::RedoRollback
            | InstanceCommand::SuspendInstance { .. }
            | InstanceCommand::ResumeInstance { .. }
            | InstanceCommand::AbortInstance { .. }
            | InstanceCommand::RestoreInstance { .. }
            | InstanceCommand::TerminateProcess { .. } => None,
        }
    }

    fn instance_fact(&mut self, event: &InstanceEvent) -> String {
        match event {
            InstanceEvent::FlowStarted {
                flow_instance_id,
                flow_deploy_id,
                parent,
                ..
            } => {
                let deployment = short(&flow_deploy_id.to_string());
                match parent {
                    None => format!("instance {flow_instance_id} started on deployment {deployment}"),
                    Some(call) => format!(
                        "{} runs sub flow instance {flow_instance_id} on deployment {deployment}",
                        self.key(call)
                    ),
                }
            }
            InstanceEvent::EventPassed(visit) if visit.element_type == START_EVENT => {
                format!("left the start event {}", self.meet(visit))
            }
            InstanceEvent::EventPassed(visit) => format!("reached the end event {}", self.meet(visit)),
            InstanceEvent::TaskActivated(visit) => format!("waits at {}", self.meet(visit)),
            InstanceEvent::GatewayReached(visit) => format!("reached the gateway {}", self.meet(visit)),
            InstanceEvent::NodeReentered { node, .. } => format!("reached {} again", self.key(node)),
            InstanceEvent::HookAnswered {
                variables: answer,
                failures,
                ..
            } => hook(&variables(answer), failures),
            InstanceEvent::BranchTaken { evaluated, flow, .. } => match conditions(evaluated) {
                Some(conditions) => format!("took {flow} ({conditions})"),
                None => format!("took {flow}"),
            },
            InstanceEvent::BranchesOpened { .. }
            | InstanceEvent::JoinReached { .. }
            | InstanceEvent::BranchArrived { .. }
            | InstanceEvent::BranchesJoined { .. } => self.branch_fact(event),
            InstanceEvent::PlugInStepped {
                node,
                plug_in,
                waits,
                variables,
                payload,
                ..
            } => {
                let does = if *waits { "waits at" } else { "has passed" };
                let mut fact = format!("plug-in {} {} {does} {}", plug_in.name, plug_in.version, self.key(node));
                if !variables.is_empty() {
                    fact = format!("{fact} with {}", words::variables(variables));
                }
                if let Some(payload) = payload {
                    fact = format!("{fact}; it remembers {}", words::value(payload));
                }
                fact
            }
            InstanceEvent::TaskCommitted { node, .. } | InstanceEvent::CallReturned { node, .. } => {
                format!("{} is done", self.key(node))
            }
            InstanceEvent::CommitFailed {
                node,
                code,
                detail,
                evaluated,
                reached,
                hooks: _,
            } => {
                let text = ResultCode::from_number(*code).map_or("", |code| code.entry().text);
                let mut fact = format!("the commit of {} failed: {code} {text}: {detail}", self.key(node));
                if let Some(conditions) = conditions(evaluated) {
                    fact = format!("{fact} ({conditions})");
                }
                let reached: Vec<String> = reached.iter().map(|visit| self.meet(visit)).collect();
                if !reached.is_empty() {
                    fact = format!("{fact}; it had reached {}", reached.join(", "));
                }
                fact
            }
            InstanceEvent::FlowCompleted => "the flow is completed".to_owned(),
            InstanceEvent::SubFlowEnded { flow_instance_id } => {
                format!("sub flow instance {flow_instance_id} has ended")
            }
            InstanceEvent::TaskRolledBack { .. } => self.rollback_fact(event),
            InstanceEvent::RollbackRedone { superseded, restored } => {
                let names = |ids: &[NodeInstanceId]| ids.iter().map(|id| self.key(id)).collect::<Vec<_>>().join(", ");
                format!("counts again: {}; no longer: {}", names(restored), names(superseded))
            }
            InstanceEvent::InstanceSuspended => "the instance is suspended".to_owned(),
            InstanceEvent::InstanceResumed => "the instance goes on".to_owned(),
            InstanceEvent::InstanceAborted => "the instance is aborted".to_owned(),
            InstanceEvent::InstanceRestored { .. } => "the instance is restored".to_owned(),
            InstanceEvent::FlowTerminated { flow_instance_ids } => match flow_instance_ids.len() {
                0 | 1 => "the instance is terminated".to_owned(),
                several => format!("the instance is terminated, with {} sub flow instances", several - 1),
            },
        }
    }

    /// A fact of forks and joins.
    fn branch_fact(&mut self, event: &InstanceEvent) -> String {
        match event {
            InstanceEvent::BranchesOpened { evaluated, flows, .. } => {
                let fact = format!("opened branches: {}", flows.join(", "));
                match conditions(evaluated) {
                    Some(conditions) => format!("{fact} ({conditions})"),
                    None => fact,
                }
            }
            InstanceEvent::JoinReached { visit, .. } => format!("reached the join {}", self.meet(visit)),
            InstanceEvent::BranchArrived { node, source, .. } => {
                format!("a branch has come from {} to {}", self.key(source), self.key(node))
            }
            InstanceEvent::BranchesJoined {
                node,
                conflicts,
                closed,
                ..
            } => {
                let mut fact = format!("{} has joined its branches", self.key(node));
                for conflict in conflicts {
                    let branches = conflict.branches.join(", ");
                    fact = format!(
                        "{fact}; {} differs in {branches}: taken from {}",
                        conflict.key, conflict.taken
                    );
                }
                let closed: Vec<String> = closed.iter().map(|node| self.key(node)).collect();
                if !closed.is_empty() {
                    fact = format!("{fact}; closed: {}", closed.join(", "));
                }
                fact
            }
            _ => String::new(),
        }
    }

    fn rollback_fact(&mut self, event: &InstanceEvent) -> String {
        let InstanceEvent::TaskRolledBack {
            superseded,
            reopened,
            terminated,
            compensations,
            ..
        } = event
        else {
            return String::new();
        };

        let names: Vec<String> = superseded.iter().map(|node| self.key(node)).collect();
        let mut fact = format!("no longer counts: {}", names.join(", "));
        for id in terminated {
            fact = format!("{fact}; sub flow instance {id} is over");
        }
        for again in reopened.iter().rev() {
            let key = self.key(&again.of);
            self.keys.insert(again.node.clone(), key.as_str().into());
            if !again.superseded {
                fact = format!("{fact}; waits at {key} again");
            }
        }
        for compensation in compensations {
            let key = self.key(&compensation.node);
            fact = format!("{fact}; to compensate: {} ({key})", compensation.name);
        }
        fact
    }

    fn meet(&mut self, visit: &NodeVisit) -> String {
        self.keys.insert(visit.node.clone(), visit.key.clone());
        visit.key.to_string()
    }

    /// The key of a node instance; the beginning of its id when it came into being before the first record told.
    fn key(&self, node: &NodeInstanceId) -> String {
        self.keys
            .get(node)
            .map_or_else(|| format!("node {}", short(&node.to_string())), ToString::to_string)
    }
}

/// What was given with a command, by whom and why, a line each.
pub(crate) fn about(record: &AnyRecord) -> Vec<String> {
    let envelope = record.envelope();
    let lines = [
        given(record).map(|given| format!("given: {given}")),
        by(&envelope.actor).map(|by| format!("by: {by}")),
        reason_option(record).map(|option| format!("reason option: {}", plain(option))),
        envelope.reason.as_ref().map(|reason| format!("reason: {reason}")),
    ];
    lines.into_iter().flatten().collect()
}

/// The command of a record by its name in the API document.
pub(crate) fn command(record: &AnyRecord) -> &'static str {
    match record {
        AnyRecord::Module(record) => match &record.given.command {
            ModuleCommand::CreateFlow { .. } => "createFlow",
            ModuleCommand::UpdateFlow { .. } => "updateFlow",
            ModuleCommand::DeployFlow => "deployFlow",
            ModuleCommand::DisableFlow => "disableFlow",
            ModuleCommand::EnableFlow => "enableFlow",
        },
        AnyRecord::Instance(record) => record.given.command.name(),
    }
}

/// Why, as one of the flow's options.
fn reason_option(record: &AnyRecord) -> Option<&str> {
    let AnyRecord::Instance(record) = record else {
        return None;
    };
    record.given.command.reason_option().map(AsRef::as_ref)
}

/// What was given with a command, where there was something.
fn given(record: &AnyRecord) -> Option<String> {
    match record {
        AnyRecord::Module(record) => match &record.given.command {
            ModuleCommand::CreateFlow { flow } => described(flow),
            ModuleCommand::UpdateFlow { flow, flow_model } => {
                let model = format!("a model of {} bytes", flow_model.len());
                Some(described(flow).map_or(model.clone(), |flow| format!("{flow}, {model}")))
            }
            ModuleCommand::DeployFlow | ModuleCommand::DisableFlow | ModuleCommand::EnableFlow => None,
        },
        AnyRecord::Instance(record) => {
            let given = record.given.command.variables();
            (!given.is_empty()).then(|| variables(given))
        }
    }
}

fn described(flow: &FlowDescription) -> Option<String> {
    let members = [
        ("name", &flow.flow_name),
        ("key", &flow.flow_key),
        ("remark", &flow.remark),
    ];
    let texts: Vec<String> = members
        .into_iter()
        .filter_map(|(name, text)| Some(format!("{name} {}", plain(text.as_ref()?))))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Who gave a command; the tenant and caller `default` say nothing.
fn by(actor: &Actor) -> Option<String> {
    let members = [
        ("operator", &actor.operator),
        ("caller", &actor.caller),
        ("tenant", &actor.tenant),
    ];
    let texts: Vec<String> = members
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_deref()?)))
        .filter(|(_, text)| *text != "default")
        .map(|(name, text)| format!("{name} {}", plain(text)))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn module_fact(event: &ModuleEvent) -> String {
    match event {
        ModuleEvent::FlowCreated { flow_module_id } => format!("module {flow_module_id} created"),
        ModuleEvent::FlowUpdated => "the draft is replaced".to_owned(),
        ModuleEvent::FlowDeployed {
            flow_deploy_id,
            warnings,
        } if warnings.is_empty() => {
            format!("deployment {flow_deploy_id} made")
        }
        ModuleEvent::FlowDeployed {
            flow_deploy_id,
            warnings,
        } => {
            format!(
                "deployment {flow_deploy_id} made, with {}",
                count(warnings.len(), "warning")
            )
        }
        ModuleEvent::FlowDisabled => "the module is offline".to_owned(),
        ModuleEvent::FlowEnabled => "the module is online again".to_owned(),
    }
}

fn hook(answer: &str, failures: &[Arc<str>]) -> String {
    if failures.is_empty() {
        format!("the hook answered {answer}")
    } else {
        format!("the hook answered {answer}; it failed: {}", failures.join("; "))
    }
}

/// How the conditions came out; `None` when none was looked at.
fn conditions(evaluated: &[Evaluated]) -> Option<String> {
    let texts: Vec<String> = evaluated
        .iter()
        .map(|condition| format!("{}: {}", condition.flow, if condition.held { "yes" } else { "no" }))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// A warning of a deployment, on one line.
pub(crate) fn warning_line(warning: &DeployWarning) -> String {
    match &warning.element_key {
        Some(key) => format!("warning  {}: {}", plain(key), plain(&warning.message)),
        None => format!("warning  {}", plain(&warning.message)),
    }
}
