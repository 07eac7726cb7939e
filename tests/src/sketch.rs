//! Flows and commands in shorthand, for tests that a person reads.
//!
//! A flow: `start -> ask -> gate; gate -(amount > 100)-> review -> end; gate -(default)-> end`. What a name is shows in
//! its beginning: `start`, `end`, `gate`, `call`, `fork` and `join` (parallel), `ifork` and `ijoin` (inclusive), else it
//! is a user task. `fork2` is matched with `join2`. `name[key=value, …]` adds properties; hooks are `[hookInfoIds=h]`,
//! and `[callActivityFlowModuleId=$module:sub]` names a flow.
//!
//! Commands, separated by `;`: `start {a: 1}`, `commit ask {a: 1}`, `commit call {} sub`, `rollback ask`, `terminate`,
//! `to ask`, `key ask` (rollbackTo by node instance and by element), `redo`, `suspend`, `resume`, `abort`, `restore`,
//! `targets`, `data`, `tasks`, `elements`, `history` (elements with their sequence flows), `node ask`, `flow`. A node is
//! meant by its key, the newest instance first: `ask#1` is the
//! oldest one. `commit unknown`, `data of nobody` and the like mean ids that exist nowhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::scenario::{Body, Flow, Operation, Outcome, Session, Step, Subject, Variable};

/// The flow a sketch describes.
///
/// # Panics
/// When the sketch is not one.
#[must_use]
pub fn flow(name: &str, sketch: &str) -> Flow {
    let mut nodes: Vec<(String, Map<String, Value>)> = Vec::new();
    let mut edges: Vec<(String, String, String)> = Vec::new();
    for chain in sketch.split(';') {
        let mut from: Option<String> = None;
        let mut condition = String::new();
        let mut rest = chain.trim();
        while !rest.is_empty() {
            let end = rest.find(" -").unwrap_or(rest.len());
            let (text, tail) = rest.split_at(end);
            let (key, properties) = node(text.trim());
            match nodes.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => known.extend(properties),
                None => nodes.push((key.clone(), properties)),
            }
            if let Some(from) = from {
                edges.push((from, condition.clone(), key.clone()));
            }
            from = Some(key);
            let arrow = tail.trim_start();
            (condition, rest) = match arrow.strip_prefix("-(") {
                Some(arrow) => {
                    let (condition, rest) = arrow.split_once(")->").expect("an arrow ends with )->");
                    (condition.to_owned(), rest.trim_start())
                }
                None => (String::new(), arrow.strip_prefix("->").unwrap_or_default().trim_start()),
            };
        }
    }
    let mut elements = Vec::new();
    for (key, properties) in &nodes {
        let flows = |side: usize| -> Vec<String> {
            let named = edges
                .iter()
                .enumerate()
                .filter(|(_, edge)| if side == 0 { edge.0 == *key } else { edge.2 == *key });
            named.map(|(index, _)| format!("f{}", index + 1)).collect()
        };
        let kind = match key {
            key if key.starts_with("start") => 2,
            key if key.starts_with("end") => 3,
            key if key.starts_with("gate") => 6,
            key if key.starts_with("call") => 8,
            key if key.starts_with("fork") || key.starts_with("join") => 9,
            key if key.starts_with("ifork") || key.starts_with("ijoin") => 10,
            _ => 4,
        };
        let mut properties = properties.clone();
        if matches!(kind, 9 | 10) {
            let (fork, join) = (key.replace("join", "fork"), key.replace("fork", "join"));
            // A fork without a join says so.
            let join = nodes.iter().any(|(key, _)| *key == join).then_some(join);
            let matched = json!({ "fork": fork, "join": join });
            properties.entry("forkJoinMatch").or_insert(matched);
        }
        if kind == 8 {
            properties.entry("callActivityExecuteType").or_insert(json!("sync"));
            properties.entry("callActivityInstanceType").or_insert(json!("single"));
        }
        elements.push(json!({
            "key": key, "type": kind, "incoming": flows(1), "outgoing": flows(0), "properties": properties,
        }));
    }
    for (index, (from, condition, to)) in edges.iter().enumerate() {
        let default = condition == "default";
        elements.push(json!({
            "key": format!("f{}", index + 1), "type": 1, "incoming": [from], "outgoing": [to],
            "properties": {
                "conditionsequenceflow": if default { "" } else { condition.as_str() },
                "defaultConditions": default.to_string(),
            },
        }));
    }
    Flow {
        name: name.to_owned(),
        flow_model: json!({ "flowElementList": elements }),
    }
}

fn node(text: &str) -> (String, Map<String, Value>) {
    let Some((key, properties)) = text.split_once('[') else {
        return (text.to_owned(), Map::new());
    };
    let properties = properties.trim_end_matches(']').split(", ").filter_map(|property| {
        let (name, value) = property.split_once('=')?;
        Some((name.to_owned(), json!(value)))
    });
    (key.to_owned(), properties.collect())
}

/// Runs commands against a subject in which `flows` are deployed; one line per command: the code, and what it shows.
///
/// # Panics
/// When a command is not one.
pub fn run<S: Subject>(subject: S, flows: &[Flow], commands: &str) -> Vec<String> {
    let mut session = Session::new(subject, flows);
    let mut lines = Vec::new();
    for flow in flows {
        let mut step = Step::new(Operation::Deploy);
        step.flow = Some(flow.name.clone());
        let outcome = session.step(&step);
        assert_eq!(outcome.answer.code, 1000, "{} deploys: {:?}", flow.name, outcome.answer);
    }
    let mut instances: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for command in commands.split(';').map(str::trim).filter(|command| !command.is_empty()) {
        let step = step(command, &instances);
        let outcome = session.step(&step);
        lines.push(show(command, &outcome));
        let mut look = Step::new(Operation::GetHistoryElementList);
        look.instance = Some("i".to_owned());
        instances.clear();
        learn(&session.step(&look).normal["elements"], &mut instances);
    }
    lines
}

fn step(command: &str, instances: &BTreeMap<String, Vec<String>>) -> Step {
    let (words, variables, flow) = match command.split_once('{') {
        None => (command, Vec::new(), None),
        Some((words, rest)) => {
            let (variables, flow) = rest.split_once('}').expect("variables end with }");
            (
                words,
                self::variables(variables),
                Some(flow.trim().to_owned()).filter(|flow| !flow.is_empty()),
            )
        }
    };
    let mut words = words.split_whitespace();
    let operation = words.next().unwrap_or_default();
    let mut step = Step::new(match operation {
        "start" => Operation::Start,
        "commit" => Operation::Commit,
        "rollback" => Operation::Rollback,
        "to" | "key" => Operation::RollbackTo,
        "redo" => Operation::Redo,
        "suspend" => Operation::Suspend,
        "resume" => Operation::Resume,
        "abort" => Operation::Abort,
        "restore" => Operation::Restore,
        "targets" => Operation::GetRollbackTargets,
        "terminate" => Operation::Terminate,
        "data" => Operation::GetInstanceData,
        "tasks" => Operation::GetHistoryUserTaskList,
        "elements" | "history" => Operation::GetHistoryElementList,
        "node" => Operation::GetNodeInstance,
        "flow" => Operation::GetFlowInstance,
        other => panic!("{other} is not a command"),
    });
    step.instance = Some("i".to_owned());
    match words.next() {
        None => {}
        Some("of") => step.instance = words.next().map(str::to_owned),
        Some("alone") => step.effective = Some(false),
        Some(name) if operation == "key" => step.key = Some(name.to_owned()),
        Some(name) => {
            let (key, number) = name.split_once('#').unwrap_or((name, "0"));
            let number: usize = number.parse().expect("a number follows #");
            let known = instances.get(key).cloned().unwrap_or_default();
            let label = if number == 0 {
                known.last()
            } else {
                known.get(number - 1)
            };
            step.task = Some(label.cloned().unwrap_or_else(|| "unknown".to_owned()));
            if words.next() == Some("of") {
                step.instance = words.next().map(str::to_owned);
            }
        }
    }
    step.reason = Some("as agreed".to_owned());
    if step.op == Operation::Start {
        step.flow = Some(flow.clone().unwrap_or_else(|| "main".to_owned()));
        step.name = step.instance.take();
    } else {
        step.call_activity_flow = flow;
    }
    step.variables = Some(variables);
    step
}

/// `a: 1, b: "x"`
fn variables(text: &str) -> Vec<Variable> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once(':').expect("a variable is key: value");
            Variable::new(key.trim(), serde_json::from_str(value.trim()).expect("a value is JSON"))
        })
        .collect()
}

fn learn(elements: &Value, instances: &mut BTreeMap<String, Vec<String>>) {
    for element in elements.as_array().into_iter().flatten() {
        if let (Some(label), Some(key)) = (element["node"].as_str(), element["modelKey"].as_str()) {
            let known = instances.entry(key.to_owned()).or_default();
            if !known.iter().any(|other| other == label) {
                known.push(label.to_owned());
            }
        }
        learn(&element["sub"], instances);
    }
}

/// `1002 ask {a: 1}`: the code, then what the answer shows.
fn show(command: &str, outcome: &Outcome) -> String {
    let code = outcome.answer.code;
    if outcome.answer.is_code_only() {
        return code.to_string();
    }
    let rest = match &outcome.answer.body {
        Body::Nothing => String::new(),
        Body::Runtime(_) => format!("{}{}", show_tasks(&outcome.normal), show_compensations(&outcome.normal)),
        Body::Terminated(status) | Body::Lifecycle(status) | Body::Flow { status, .. } => format!("status {status}"),
        Body::Targets(_) => show_targets(&outcome.normal["targets"]),
        Body::Nodes(nodes) => nodes
            .iter()
            .map(|node| format!("{}={}", node.model_key, node.status))
            .collect::<Vec<_>>()
            .join(" "),
        Body::Elements(_) => show_elements(&outcome.normal["elements"], command.starts_with("history")),
        Body::Variables(variables) => show_variables(&json!(variables)),
        Body::Node(node) => format!("{}={}", node.model_key, node.status),
    };
    format!("{code} {rest}").trim_end().to_owned()
}

fn show_tasks(answer: &Value) -> String {
    let tasks = answer["tasks"].as_array().into_iter().flatten().map(|task| {
        let key = task["modelKey"].as_str().unwrap_or_default();
        match task["sub"].as_array() {
            None => format!("{key} {}", show_variables(&task["variables"])),
            Some(sub) => {
                let inner: Vec<String> = sub
                    .iter()
                    .map(|answer| format!("{} {}", answer["errCode"], show_tasks(answer)))
                    .collect();
                format!("{key}({})", inner.join(" "))
            }
        }
    });
    tasks.collect::<Vec<_>>().join(" ")
}

/// ` undo ship: unship, pay: refund`
fn show_compensations(answer: &Value) -> String {
    let told = answer["compensations"].as_array().into_iter().flatten().map(|told| {
        let text = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", text("modelKey"), text("name"))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return String::new();
    }
    format!(" undo {}", told.join(", "))
}

/// `ask=2 7409, first=1 first {a: 1}`
fn show_targets(targets: &Value) -> String {
    let shown = targets.as_array().into_iter().flatten().map(|target| {
        let (key, status) = (target["modelKey"].as_str().unwrap_or_default(), &target["status"]);
        if let Some(code) = target["refused"].as_i64() {
            return format!("{key}={status} {code}");
        }
        let active = target["active"].as_array().into_iter().flatten().map(|task| {
            let key = task["modelKey"].as_str().unwrap_or_default();
            format!(" {key} {}", show_variables(&task["variables"]))
        });
        let active: String = active.collect();
        format!("{key}={status}{active}{}", show_compensations(target))
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn show_elements(elements: &Value, with_flows: bool) -> String {
    let shown = elements
        .as_array()
        .into_iter()
        .flatten()
        .filter(|element| with_flows || element["node"].is_string())
        .map(|element| {
            let inner = show_elements(&element["sub"], with_flows);
            let inner = if inner.is_empty() { inner } else { format!("({inner})") };
            format!(
                "{}={}{inner}",
                element["modelKey"].as_str().unwrap_or_default(),
                element["status"]
            )
        });
    shown.collect::<Vec<_>>().join(" ")
}

fn show_variables(variables: &Value) -> String {
    let sorted: BTreeMap<&String, &Value> = variables.as_object().into_iter().flatten().collect();
    let shown: Vec<String> = sorted.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", shown.join(", "))
}
