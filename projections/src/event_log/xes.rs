//! XES (IEEE 1849): one trace for each root flow instance. Writes texts, knows no file.

use std::fmt::Write;

use flowledger_engine_core::event::{Envelope, InstanceRecord};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, NodeStatus};
use flowledger_engine_core::time::Timestamp;
use flowledger_engine_core::variables::InstanceData;

use super::{Kind, Step, Told, Transition, What, activity, text_of};
use crate::View;

/// The texts of an XES document, to be written in the order head, for each instance trace, events and end, then tail.
#[derive(Clone, Copy, Debug, Default)]
pub struct Xes {
    /// Whether start and end events and gateways are told, too.
    pub all_nodes: bool,
}

impl Xes {
    /// The beginning of the document.
    pub fn head(&self) -> String {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <log xes.version=\"1849.2016\" xes.features=\"\" xmlns=\"http://www.xes-standard.org/\">\n",
        );
        for (name, prefix) in [
            ("Concept", "concept"),
            ("Lifecycle", "lifecycle"),
            ("Time", "time"),
            ("Organizational", "org"),
        ] {
            let _ = writeln!(
                text,
                "<extension name=\"{name}\" prefix=\"{prefix}\" uri=\"http://www.xes-standard.org/{prefix}.xesext\"/>"
            );
        }
        text.push_str(
            "<global scope=\"trace\">\n<string key=\"concept:name\" value=\"\"/>\n</global>\n\
             <global scope=\"event\">\n<string key=\"concept:name\" value=\"\"/>\n\
             <string key=\"lifecycle:transition\" value=\"complete\"/>\n\
             <date key=\"time:timestamp\" value=\"1970-01-01T00:00:00.000Z\"/>\n</global>\n\
             <classifier name=\"Activity\" keys=\"concept:name\"/>\n\
             <classifier name=\"Activity and transition\" keys=\"concept:name lifecycle:transition\"/>\n\
             <string key=\"lifecycle:model\" value=\"standard\"/>\n",
        );
        text
    }

    /// The beginning of an instance's trace, told from its first record and from how it stands at the end.
    pub fn trace(&self, first: &InstanceRecord, last: &FlowInstance) -> String {
        let mut text = String::from("<trace>\n");
        if let Some(root) = last.root() {
            string(&mut text, "concept:name", &root.flow_instance_id.to_string());
            string(&mut text, "flowModule", &root.flow_module_id.to_string());
            string(&mut text, "flowDeployment", &root.flow_deploy_id.to_string());
            let owner = [("tenant", &root.tenant), ("caller", &root.caller)];
            for (key, value) in owner {
                optional(&mut text, key, value.as_deref());
            }
            int(&mut text, "status", last.status_of(FlowIndex::ROOT).number().into());
            date(&mut text, "started", root.created_at);
        }
        optional(&mut text, "startedBy", resource(&first.given.envelope));
        first
            .given
            .command
            .variables()
            .iter()
            .for_each(|given| variable(&mut text, given));
        text
    }

    /// The events of a record and how many they are, told with the instance as it stands after it and as it stands at the end.
    pub fn events(
        &self,
        record: &InstanceRecord,
        told: &Told,
        now: &FlowInstance,
        last: &FlowInstance,
        view: View<'_>,
    ) -> (String, u64) {
        let mut text = String::new();
        let mut count = 0;
        for step in told.steps.iter().filter(|step| step.is_activity || self.all_nodes) {
            event(&mut text, record, step, (now, last), view);
            count += 1;
        }
        (text, count)
    }

    /// The end of an instance's trace.
    pub const fn end(&self) -> &'static str {
        "</trace>\n"
    }

    /// The end of the document.
    pub const fn tail(&self) -> &'static str {
        "</log>\n"
    }
}

fn event(
    text: &mut String,
    record: &InstanceRecord,
    step: &Step,
    (now, last): (&FlowInstance, &FlowInstance),
    view: View<'_>,
) {
    let envelope = &record.given.envelope;
    text.push_str("<event>\n");
    string(text, "concept:name", activity(step, now, view));
    string(text, "concept:instance", &step.node.to_string());
    string(text, "lifecycle:transition", step.transition.name());
    date(text, "time:timestamp", envelope.recorded_at);
    let acts = acts(step.what);
    optional(text, "org:resource", resource(envelope).filter(|_| acts));
    string(text, "what", step.what.name());
    string(text, "elementKey", &step.key);
    string(text, "elementType", &step.element_type.to_string());
    if let Some(flow) = now.flow(step.flow) {
        string(text, "flowInstance", &flow.flow_instance_id.to_string());
    }
    int(text, "version", i64::try_from(envelope.version).unwrap_or(i64::MAX));
    optional(text, "reason", envelope.reason.as_deref().filter(|_| acts));
    if step.transition == Transition::Complete {
        let is_undone = last
            .node(&step.node)
            .is_some_and(|node| node.status == NodeStatus::Disabled);
        let _ = writeln!(text, "<boolean key=\"rolledBack\" value=\"{is_undone}\"/>");
    }
    if let Some((code, detail)) = &step.failure {
        int(text, "errCode", (*code).into());
        string(text, "detail", detail);
    }
    let is_given = record.given.command.committed_task() == Some(&step.node) && acts;
    if is_given {
        record
            .given
            .command
            .variables()
            .iter()
            .for_each(|given| variable(text, given));
    }
    text.push_str("</event>\n");
}

/// Whether somebody did this at this node; otherwise it came of what was done elsewhere.
pub(super) const fn acts(what: What) -> bool {
    match what {
        What::Committed
        | What::WaitsOn
        | What::Called
        | What::CommitFailed
        | What::RolledBack
        | What::Reopened
        | What::RollbackTakenBack
        | What::Restored
        | What::Suspended
        | What::Resumed
        | What::Aborted
        | What::AbortTakenBack
        | What::Terminated => true,
        What::Reached | What::Passed | What::Returned | What::ReachedInVain | What::Closed => false,
    }
}

/// Who gave a command: the person, or the calling system.
pub(super) fn resource(envelope: &Envelope) -> Option<&str> {
    let actor = &envelope.actor;
    actor.operator.as_deref().or(actor.caller.as_deref())
}

fn variable(text: &mut String, given: &InstanceData) {
    let key = format!("variable.{}", name(&given.key));
    let shown = text_of(&given.value);
    let kind = match Kind::of(&given.value) {
        None => return,
        Some(Kind::Text) => "string",
        Some(Kind::Integer) => "int",
        Some(Kind::Float) => "float",
        Some(Kind::Boolean) => "boolean",
    };
    attribute(text, kind, &key, &shown);
}

/// A variable's name as the standard lets keys be: what is no letter, digit, dot, hyphen or underscore is written as its
/// number, `_x0020_` for a blank.
fn name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for c in key.chars() {
        if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') {
            name.push(c);
        } else {
            let _ = write!(name, "_x{:04X}_", u32::from(c));
        }
    }
    name
}

fn attribute(text: &mut String, kind: &str, key: &str, value: &str) {
    let _ = writeln!(text, "<{kind} key=\"{}\" value=\"{}\"/>", escaped(key), escaped(value));
}

/// Text for an attribute of XML. Characters that XML cannot have become U+FFFD; all others come out as they are.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(escaped, "&#{};", u32::from(c));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

fn string(text: &mut String, key: &str, value: &str) {
    attribute(text, "string", key, value);
}

fn optional(text: &mut String, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        string(text, key, value);
    }
}

fn int(text: &mut String, key: &str, value: i64) {
    attribute(text, "int", key, &value.to_string());
}

fn date(text: &mut String, key: &str, value: Timestamp) {
    attribute(text, "date", key, &value.to_string());
}
