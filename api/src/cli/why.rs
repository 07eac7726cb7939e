//! Why a node instance came to be, and why an instance has not come to an element.

use clap::Args;
use flowledger::{
    BlockingEngine, CauseNode, ChangedCommand, ConditionSeen, DecisionSeen, InstanceQuery, NodeInstanceId, NodeRef,
    RecordRef, ResultCode, ValueAuthor, ValueAuthorKind, ValueSeen, Why, WhyNot,
};
use serde::Serialize;

use crate::cli::arguments::AsOfArg;
use crate::cli::failure::Failure;
use crate::cli::session::{Access, Session};
use crate::cli::words;

/// What `why` takes.
#[derive(Args)]
pub(crate) struct WhyArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// A node instance by its id, or the newest visit of the element with this key
    #[arg(value_name = "NODE|ELEMENT")]
    node: String,
    #[command(flatten)]
    as_of: AsOfArg,
}

/// What `why-not` takes.
#[derive(Args)]
pub(crate) struct WhyNotArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// The element's key, in the instance's model or in that of a sub flow
    #[arg(value_name = "ELEMENT")]
    element: String,
    #[command(flatten)]
    as_of: AsOfArg,
}

/// An answer as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<T> {
    err_code: i32,
    err_msg: &'static str,
    #[serde(flatten)]
    told: T,
}

impl<T> Answer<T> {
    fn of(told: T) -> Self {
        let success = ResultCode::Success.entry();
        Self {
            err_code: success.number,
            err_msg: success.text,
            told,
        }
    }
}

/// Tells why a node instance came to be.
pub(crate) fn why(session: &Session, args: WhyArgs) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let query = args.as_of.of(&args.instance);
    let node = meant(&engine, &query, &args.node)?;
    let why = engine.why(query, node)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&Answer::of(why))?);
    }
    lines(&why)
        .into_iter()
        .try_for_each(|line| out.line(line))
        .map_err(Into::into)
}

/// The node instance with this id, or the newest of the element with this key.
fn meant(engine: &BlockingEngine, query: &InstanceQuery, node: &str) -> Result<NodeInstanceId, Failure> {
    let id = NodeInstanceId::new(node);
    match engine.get_node_instance(query.clone(), id.clone()) {
        Err(error) if error.code() == ResultCode::NodeInstanceNotFound => {
            let elements = engine.get_history_element_list(query.clone())?.element_instance_list;
            let visits = elements.into_iter().rev();
            let mut visits = visits.filter(|element| &*element.model_key == node);
            Ok(visits.next().and_then(|element| element.node_instance_id).unwrap_or(id))
        }
        Err(error) => Err(error.into()),
        Ok(_) => Ok(id),
    }
}

/// Why a node instance came to be, a line each.
pub(crate) fn lines(why: &Why) -> Vec<String> {
    let mut lines = vec![format!("{}, {}", place(&why.node), words::node_status(why.node.status))];
    if let Some(until) = &why.until {
        lines.push(format!("until {}", record(until)));
    }
    for cause in &why.causes {
        let mut head = record(&cause.record);
        if let Some(task) = &cause.task {
            head = format!("{head} of {}", place(task));
        }
        if !cause.variables.is_empty() {
            head = format!("{head}: {}", words::variables(&cause.variables));
        }
        lines.push(String::new());
        lines.push(head);
        if let Some(reason) = &cause.record.reason {
            lines.push(format!("  reason: {reason}"));
        }
        cause.steps.iter().for_each(|step| push_step(&mut lines, step));
    }
    lines
}

fn push_step(lines: &mut Vec<String>, step: &CauseNode) {
    lines.push(format!("  {}", place(&step.node)));
    if !step.given.is_empty() {
        lines.push(format!("    was given {}", words::variables(&step.given)));
    }
    if let Some(decision) = &step.decision {
        push_decision(lines, decision, "    ", &[]);
    }
}

/// The sequence flows of a decision, with the conditions and what they read.
fn push_decision(lines: &mut Vec<String>, decision: &DecisionSeen, indent: &str, wanted: &[std::sync::Arc<str>]) {
    if let (Some(code), Some(text)) = (decision.err_code, &decision.err_msg) {
        lines.push(format!("{indent}failed: {code} {text}"));
    }
    for condition in &decision.conditions {
        let mark = if decision.taken.contains(&condition.flow) {
            "took"
        } else if wanted.contains(&condition.flow) {
            "not "
        } else {
            "    "
        };
        lines.push(format!("{indent}{mark} {}", flow(condition)));
        let values = condition.values.iter();
        lines.extend(values.map(|seen| format!("{indent}         {}", value(seen))));
    }
}

fn flow(condition: &ConditionSeen) -> String {
    let to = condition
        .leads_to
        .as_ref()
        .map_or_else(String::new, |to| format!(" to {to}"));
    let text = match (&condition.condition, condition.is_default) {
        (Some(text), false) => format!(": {text}"),
        (Some(text), true) => format!(", the default: {text}"),
        (None, true) => ", the default".to_owned(),
        (None, false) => String::new(),
    };
    let held = match (condition.held, &condition.condition) {
        (Some(true), _) => " is true",
        (Some(false), _) => " is false",
        (None, Some(_)) => " was not looked at",
        (None, None) => "",
    };
    format!("{}{to}{text}{held}", condition.flow)
}

fn value(seen: &ValueSeen) -> String {
    let value = match &seen.value {
        Some(value) => format!("{} = {}", seen.key, words::value(value)),
        None => return format!("there is no {}", seen.key),
    };
    match &seen.author {
        Some(author) => format!("{value}, {}", wrote(author)),
        None => value,
    }
}

fn wrote(author: &ValueAuthor) -> String {
    let at = author
        .model_key
        .as_ref()
        .map_or_else(String::new, |key| format!(" at {key}"));
    let by = match author.by {
        ValueAuthorKind::Command => "given",
        ValueAuthorKind::Hook => "answered by hooks",
        ValueAuthorKind::PlugIn => "given by a plug-in",
        ValueAuthorKind::HandedIn => "handed into the sub flow",
        ValueAuthorKind::HandedOut => "handed out by the sub flow",
        ValueAuthorKind::Join => "put together by the join",
    };
    format!("{by}{at} in {}", record(&author.record))
}

fn record(record: &RecordRef) -> String {
    let by = record.operator.as_ref().map(|by| format!(" by {by}"));
    format!(
        "version {} {}{} {}",
        record.version,
        record.command,
        by.unwrap_or_default(),
        words::seconds(&record.time)
    )
}

fn place(node: &NodeRef) -> String {
    match &*node.model_name {
        "" => node.place.to_string(),
        name => format!("{} ({name})", node.place),
    }
}

/// Tells why an instance has not come to an element.
pub(crate) fn why_not(session: &Session, args: WhyNotArgs) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let answer = engine.why_not(args.as_of.of(&args.instance), &args.element)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&Answer::of(answer))?);
    }
    not_lines(&answer)
        .into_iter()
        .try_for_each(|line| out.line(line))
        .map_err(Into::into)
}

fn not_lines(answer: &WhyNot) -> Vec<String> {
    let mut lines = Vec::new();
    let key = &answer.model_key;
    for node in &answer.reached {
        lines.push(format!(
            "the flow has come to {}, which is {}; `instance why` tells why",
            place(node),
            words::node_status(node.status)
        ));
    }
    if answer.is_reached() {
        return lines;
    }
    for turn in &answer.turns {
        lines.push(format!(
            "turned away at {}, in {}",
            place(&turn.node),
            record(&turn.record)
        ));
        push_decision(&mut lines, &turn.decision, "  ", &turn.not_taken);
        lines.push(String::new());
    }
    match answer.before.as_slice() {
        [] => {}
        tasks => {
            let tasks: Vec<String> = tasks.iter().map(place).collect();
            lines.push(format!("waits before it at {}", tasks.join(", ")));
        }
    }
    if answer.turns.is_empty() && answer.before.is_empty() {
        lines.push(format!("no way leads to {key} from where the instance has been"));
    }
    if !answer.refused_by.is_empty() {
        let names = answer
            .refused_by
            .iter()
            .map(|name| format!("\"{}\"", words::plain(name)));
        let names = names.collect::<Vec<_>>().join(", ");
        lines.push(format!("changes were refused because they break {names}"));
    }
    lines.push(match &answer.change {
        Some(change) if change.variables == 0 => {
            format!("{key} would be reached, as a fork shows, with no variable changed:")
        }
        Some(change) => format!(
            "{key} would be reached, as a fork shows, with {} changed:",
            words::count(change.variables, "variable")
        ),
        None if answer.exhausted => format!(
            "no change of variables was found that leads to {key}; {} tried",
            words::count(answer.forks, "fork")
        ),
        None => format!(
            "no change of variables was found within {}; there may be one",
            words::count(answer.forks, "fork")
        ),
    });
    if let Some(change) = &answer.change {
        lines.extend(change.steps.iter().map(step));
    }
    lines
}

fn step(step: &ChangedCommand) -> String {
    let at = step
        .model_key
        .as_ref()
        .map_or_else(String::new, |key| format!(" {key}"));
    let with = if step.variables.is_empty() {
        String::new()
    } else {
        format!(" with {}", words::variables(&step.variables))
    };
    let changes = step.changed.iter().map(|changed| match &changed.was {
        Some(was) => format!("{} was {}", changed.key, words::value(was)),
        None => format!("there was no {}", changed.key),
    });
    let changes: Vec<String> = changes.collect();
    let was = if changes.is_empty() {
        String::new()
    } else {
        format!(" ({})", changes.join(", "))
    };
    format!("  version {} {}{at}{with}{was}", step.version, step.command)
}
