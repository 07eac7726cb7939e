//! Event logs for process mining: both standards' shapes, and that they say what the log says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Command;

use flowledger::event::InstanceEvent;
use flowledger::{
    Actor, AnyRecord, BlockingEngine, CommitTaskParam, DeployModel, Engine, EventLogFormat, EventLogOptions,
    EventLogReport, FlowInstanceId, InstanceQuery, LogRecord, ResultCode, RollbackTaskParam, StartProcessParam,
    Timestamp,
};
use flowledger_tests::differential::{Follower, drive};
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{calling_case, going_back_case, parallel_case, seeded};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::{Operation, Outcome, Profile, Session, Step};
use flowledger_tests::sketch::flow;
use roxmltree::{Document, Node};
use serde_json::Value;

use crate::fixture::{engine_on, instance_and_task, log, memory, opened, store_of};

/// Random cases of each kind, with fixed seeds.
const CASES: u64 = 12;

fn written(engine: &BlockingEngine, options: &EventLogOptions) -> (String, EventLogReport) {
    let mut text = Vec::new();
    let report = engine.event_log(options, &mut text, |_| {}).expect("written");
    (String::from_utf8(text).expect("UTF-8"), report)
}

fn options(format: EventLogFormat, all_nodes: bool) -> EventLogOptions {
    EventLogOptions {
        format,
        all_nodes,
        ..EventLogOptions::default()
    }
}

/// What an element of a log has, by its keys.
fn attributes<'d>(element: Node<'d, '_>) -> BTreeMap<&'d str, &'d str> {
    let children = element
        .children()
        .filter(|child| child.is_element() && !child.has_tag_name("event"));
    let attribute = |child: Node<'d, '_>| Some((child.attribute("key")?, child.attribute("value")?));
    children.filter_map(attribute).collect()
}

/// Everything an independent look at the records finds, by how often: the key of the element, and what happened.
type Counted = BTreeMap<(String, &'static str), usize>;

/// What happened at tasks and call activities, counted from the records alone.
fn counted(records: &[LogRecord]) -> Counted {
    let mut counted = Counted::new();
    let mut keys: BTreeMap<String, (String, i64)> = BTreeMap::new();
    for record in records {
        let AnyRecord::Instance(record) = &record.record else {
            continue;
        };
        for event in &record.events {
            let visits: Vec<_> = match event {
                InstanceEvent::EventPassed(visit)
                | InstanceEvent::TaskActivated(visit)
                | InstanceEvent::GatewayReached(visit)
                | InstanceEvent::JoinReached { visit, .. } => vec![visit],
                InstanceEvent::CommitFailed { reached, .. } => reached.iter().collect(),
                _ => Vec::new(),
            };
            for visit in visits {
                keys.insert(visit.node.to_string(), (visit.key.to_string(), visit.element_type));
            }
            if let InstanceEvent::TaskRolledBack { reopened, .. } = event {
                for reopened in reopened {
                    let of = keys[&reopened.of.to_string()].clone();
                    keys.insert(reopened.node.to_string(), of);
                }
            }
            let is_call = |node: &flowledger::NodeInstanceId| keys[&node.to_string()].1 == 8;
            let found: Vec<(&flowledger::NodeInstanceId, &'static str)> = match event {
                InstanceEvent::TaskCommitted { node, .. } if !is_call(node) => vec![(node, "committed")],
                InstanceEvent::FlowStarted { parent: Some(call), .. } => vec![(call, "called")],
                InstanceEvent::CallReturned { node, .. } => vec![(node, "returned")],
                InstanceEvent::CommitFailed { node, .. } => vec![(node, "commit failed")],
                InstanceEvent::TaskRolledBack { superseded, .. } => {
                    superseded.iter().map(|node| (node, "rolled back")).collect()
                }
                InstanceEvent::BranchesJoined { closed, .. } => {
                    closed.iter().map(|node| (node, "closed by a join")).collect()
                }
                InstanceEvent::RollbackRedone { restored, .. } => {
                    restored.iter().map(|node| (node, "restored")).collect()
                }
                _ => Vec::new(),
            };
            for (node, what) in found {
                *counted.entry((keys[&node.to_string()].0.clone(), what)).or_default() += 1;
            }
        }
    }
    counted
}

/// The whats that [`counted`] counts.
const COUNTED: [&str; 7] = [
    "committed",
    "called",
    "returned",
    "commit failed",
    "rolled back",
    "closed by a join",
    "restored",
];

/// The shape of an XES document, and that it says what the records say.
fn check_xes(engine: &BlockingEngine, records: &[LogRecord]) {
    let (text, report) = written(engine, &options(EventLogFormat::Xes, true));
    assert_eq!(
        text,
        written(engine, &options(EventLogFormat::Xes, true)).0,
        "the same bytes"
    );
    let document = Document::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let root = document.root_element();
    assert!(root.has_tag_name(("http://www.xes-standard.org/", "log")));
    let order = ["extension", "global", "classifier", "string", "trace"];
    let places: Vec<usize> = root
        .children()
        .filter(Node::is_element)
        .map(|child| {
            order
                .iter()
                .position(|name| *name == child.tag_name().name())
                .expect("known")
        })
        .collect();
    assert!(places.is_sorted(), "the order of the schema");
    let mut found = Counted::new();
    let (mut traces, mut events) = (0, 0);
    for trace in root.children().filter(|child| child.has_tag_name("trace")) {
        traces += 1;
        let case = attributes(trace)["concept:name"];
        let instance = FlowInstanceId::new(case);
        let history = history(engine, &instance);
        let mut last = String::new();
        let mut seen = BTreeSet::new();
        for event in trace.children().filter(|child| child.has_tag_name("event")) {
            events += 1;
            let told = attributes(event);
            let time = told["time:timestamp"];
            assert!(*last <= *time && time.parse::<Timestamp>().is_ok(), "in order");
            time.clone_into(&mut last);
            let node = told["concept:instance"];
            seen.insert(node.to_owned());
            let status = history.get(node).copied();
            if told["lifecycle:transition"] == "complete" {
                let is_undone = status == Some(4);
                assert_eq!(told["rolledBack"], is_undone.to_string(), "{case} {node}");
            }
            if let Some(what) = COUNTED.iter().find(|what| **what == told["what"]) {
                *found.entry((told["elementKey"].to_owned(), what)).or_default() += 1;
            }
        }
        let all: BTreeSet<String> = history.keys().cloned().collect();
        assert_eq!(seen, all, "{case}: every node instance is told, and no other");
    }
    assert_eq!((report.instances, report.events, report.objects), (traces, events, 0));
    assert_eq!(found, counted(records));

    // Without the other nodes the same is said of activities.
    let (less, fewer) = written(engine, &options(EventLogFormat::Xes, false));
    let less = Document::parse(&less).expect("well-formed");
    let gateways = document
        .descendants()
        .filter(|node| node.has_tag_name("event"))
        .filter(|event| {
            let kind = attributes(*event)["elementType"];
            kind.ends_with("event") || (kind.ends_with("gateway") && attributes(*event)["what"] != "committed")
        });
    assert!(fewer.events <= report.events && fewer.events >= report.events - gateways.count() as u64);
    assert_eq!(
        less.descendants().filter(|node| node.has_tag_name("event")).count() as u64,
        fewer.events
    );
}

/// The status of every node instance of an instance, by its id.
fn history(engine: &BlockingEngine, instance: &FlowInstanceId) -> BTreeMap<String, i32> {
    fn collect(elements: &[flowledger::ElementInstance], found: &mut BTreeMap<String, i32>) {
        for element in elements {
            if let Some(id) = &element.node_instance_id {
                found.insert(id.to_string(), element.status);
            }
            collect(element.sub_element_instance_list.as_deref().unwrap_or_default(), found);
        }
    }
    let mut found = BTreeMap::new();
    let list = engine
        .get_history_element_list(instance)
        .expect("there")
        .element_instance_list;
    collect(&list, &mut found);
    // A sub flow instance that was rolled back over belongs to a node instance that another stands for now.
    for record in engine.instance_records(instance.clone()).expect("there") {
        let AnyRecord::Instance(record) = &record.record else {
            continue;
        };
        for event in &record.events {
            if let InstanceEvent::FlowStarted {
                flow_instance_id,
                parent: Some(_),
                ..
            } = event
            {
                let query = InstanceQuery::new(flow_instance_id.clone()).effective_for_sub_flow_instance(false);
                let list = engine
                    .get_history_element_list(query)
                    .expect("there")
                    .element_instance_list;
                collect(&list, &mut found);
            }
        }
    }
    found
}

fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name].as_array().unwrap_or_else(|| panic!("{name} is a list"))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} is text in {value}"))
}

/// The declared attributes of each type, with their types.
fn declared(document: &Value, name: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let types = list(document, name).iter().map(|kind| {
        let attributes = list(kind, "attributes").iter();
        let attributes =
            attributes.map(|attribute| (text(attribute, "name").to_owned(), text(attribute, "type").to_owned()));
        (text(kind, "name").to_owned(), attributes.collect())
    });
    types.collect()
}

/// Whether a value is of a declared type; null is of every type.
fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string() || value.is_null(),
        "integer" => value.is_i64() || value.is_u64() || value.is_null(),
        "float" => value.is_number() || value.is_null(),
        "boolean" => value.is_boolean() || value.is_null(),
        _ => false,
    }
}

/// The shape of an OCEL document, and that its objects end as the engine has them.
fn check_ocel(engine: &BlockingEngine, records: &[LogRecord]) {
    let (told, report) = written(engine, &options(EventLogFormat::Ocel, true));
    let document: Value = serde_json::from_str(&told).expect("JSON");
    let (events, objects) = (list(&document, "events"), list(&document, "objects"));
    assert_eq!(
        (report.events, report.objects),
        (events.len() as u64, objects.len() as u64)
    );
    let (event_types, object_types) = (declared(&document, "eventTypes"), declared(&document, "objectTypes"));
    let mut ids = BTreeMap::new();
    for object in objects {
        let kind = text(object, "type");
        assert!(ids.insert(text(object, "id"), kind).is_none(), "an id names one object");
        for attribute in list(object, "attributes") {
            let wanted = &object_types[kind][text(attribute, "name")];
            assert!(is_of(&attribute["value"], wanted), "{attribute} is {wanted}");
            text(attribute, "time").parse::<Timestamp>().expect("a time");
        }
    }
    let mut seen = BTreeSet::new();
    for event in events {
        assert!(seen.insert(text(event, "id")), "an id names one event");
        text(event, "time").parse::<Timestamp>().expect("a time");
        for attribute in list(event, "attributes") {
            let wanted = &event_types[text(event, "type")][text(attribute, "name")];
            assert!(is_of(&attribute["value"], wanted), "{attribute} is {wanted}");
        }
        assert!(!list(event, "relationships").is_empty(), "{event}");
    }
    for related in events.iter().chain(objects).flat_map(|of| list(of, "relationships")) {
        let object = ids.get(text(related, "objectId"));
        let wanted = match text(related, "qualifier") {
            "at" | "called by" | "follows" => "node instance",
            "in" | "case" | "part of" => "flow instance",
            "runs" | "deploys" => "flow deployment",
            "of" | "version of" => "flow module",
            other => panic!("{other}"),
        };
        assert_eq!(object, Some(&wanted), "{related}");
    }

    check_ends(engine, records, objects, &object_types["flow instance"]);
}

/// The last change of everything is how it stands.
fn check_ends(engine: &BlockingEngine, records: &[LogRecord], objects: &[Value], variables: &BTreeMap<String, String>) {
    let last = |object: &Value| -> BTreeMap<String, Value> {
        let changes = list(object, "attributes").iter();
        changes
            .map(|change| (text(change, "name").to_owned(), change["value"].clone()))
            .collect()
    };
    let mut instances = 0;
    for object in objects.iter().filter(|object| object["type"] == "flow instance") {
        let id = text(object, "id").strip_prefix("instance:").expect("an id");
        let query = || InstanceQuery::new(id).effective_for_sub_flow_instance(false);
        let status = engine
            .get_flow_instance(query())
            .expect("there")
            .flow_instance_bo
            .status;
        let word = match status {
            1 | 4 => "completed",
            2 => "running",
            3 => "terminated",
            5 => "suspended",
            6 => "aborted",
            other => panic!("{other}"),
        };
        let mut last = last(object);
        assert_eq!(last.remove("status"), Some(word.into()), "{id}");
        last.retain(|_, value| !value.is_null());
        let data = engine.get_instance_data(query()).expect("there").variables;
        let mut wanted = BTreeMap::new();
        for variable in &data {
            let name = format!("variable.{}", variable.key);
            let value = serde_json::from_str(&variable.value.to_string());
            // A number beyond a double is told as text.
            let value = value.unwrap_or_else(|_| variable.value.to_string().into());
            let as_text = variables.get(&name).map(String::as_str) == Some("string");
            let value: Value = match value {
                Value::Null => continue,
                value if as_text && !value.is_string() => variable.value.to_string().into(),
                value => value,
            };
            wanted.insert(name, value);
        }
        assert_eq!(last, wanted, "{id}");
        instances += 1;
    }
    let nodes: BTreeMap<String, Value> = objects
        .iter()
        .filter(|object| object["type"] == "node instance")
        .map(|object| (text(object, "id").to_owned(), last(object)["status"].clone()))
        .collect();
    let started = records
        .iter()
        .filter_map(crate::as_of::started_by)
        .collect::<BTreeSet<_>>();
    let mut compared = 0;
    for instance in started {
        let is_root = records.iter().any(|record| {
            record.record.envelope().version == 1 && crate::as_of::started_by(record).as_ref() == Some(&instance)
        });
        if !is_root {
            continue;
        }
        for (node, status) in history(engine, &instance) {
            let words = [
                "",
                "completed",
                "active",
                "failed",
                "rolled back",
                "waiting for other branches",
                "closed",
            ];
            let word = words[usize::try_from(status).expect("small")];
            assert_eq!(nodes[&format!("node:{node}")], word, "{node}");
            compared += 1;
        }
    }
    assert_eq!(nodes.len(), compared, "no other node instances");
    let flows = records
        .iter()
        .filter(|record| matches!(record.record, AnyRecord::Instance(_)));
    let flows = flows.flat_map(|record| match &record.record {
        AnyRecord::Instance(record) => record.events.clone(),
        AnyRecord::Module(_) => Vec::new(),
    });
    let flows = flows
        .filter(|event| matches!(event, InstanceEvent::FlowStarted { .. }))
        .count();
    assert_eq!(flows, instances);
}

fn check(engine: &BlockingEngine) {
    let records = log(engine);
    check_xes(engine, &records);
    check_ocel(engine, &records);
}

#[test]
fn both_standards_say_what_the_golden_stories_say() {
    for (_, profile, own_ids) in KINDS {
        check(&told(profile, own_ids));
    }
}

/// Gives an engine the commands of a case.
struct Commands(Session<EngineSubject>);

impl Follower for Commands {
    fn follow(&mut self, step: &Step, _oracle: &Outcome) -> Result<(), String> {
        if step.op.is_command() || step.op == Operation::Deploy {
            self.0.step(step);
        }
        Ok(())
    }
}

#[test]
fn both_standards_say_what_random_commands_came_to() {
    for seed in 0..CASES {
        for case in [
            seeded(&going_back_case(), seed),
            seeded(&parallel_case(), seed),
            seeded(&calling_case(), seed),
        ] {
            let subject = EngineSubject::new(Profile::Documented, &case.hook_answer);
            let mut commands = Commands(Session::new(subject, &case.flows));
            drive(&case, Profile::Documented, &mut commands).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
            check(commands.0.subject.engine());
        }
    }
}

fn by(operator: &str) -> Actor {
    Actor {
        operator: Some(operator.into()),
        ..Actor::default()
    }
}

/// An engine with two modules, of which the first was walked back by somebody.
fn busy() -> BlockingEngine {
    let engine = engine_on(&memory());
    let model = flow("main", "start -> ask[name=Ask <you> & \"me\"] -> check -> end")
        .flow_model
        .to_string();
    let module = engine
        .deploy_model(DeployModel::new("main", &model))
        .expect("deployed")
        .flow_module_id;
    for number in 0..3 {
        let start = StartProcessParam::of_module(module.clone()).variable("n o", number);
        let (instance, ask) = instance_and_task(&engine.start_process(start).expect("started"));
        let commit = |task: &flowledger::NodeInstanceId, who: &str| {
            let mut commit = CommitTaskParam::new(&instance, task).variable("by", who);
            commit.options.actor = Some(by(who));
            instance_and_task(&engine.commit_task(commit).expect("committed")).1
        };
        let check = commit(&ask, "Lin");
        if number == 1 {
            let mut back = RollbackTaskParam::new(&instance, &check);
            back.options.actor = Some(by("Wu"));
            back.options.reason = Some("a line\nand another".into());
            let (_, again) = instance_and_task(&engine.rollback_task(back).expect("rolled back"));
            commit(&again, "Mei");
        }
    }
    let other = flow("other", "start -> one -> end").flow_model.to_string();
    let other = engine
        .deploy_model(DeployModel::new("other", &other))
        .expect("deployed")
        .flow_module_id;
    engine
        .start_process(StartProcessParam::of_module(other))
        .expect("started");
    engine
}

#[test]
fn who_did_what_stands_on_completions_and_rollbacks() {
    let engine = busy();
    let (told, _) = written(&engine, &options(EventLogFormat::Xes, false));
    let document = Document::parse(&told).expect("well-formed");
    let trace = document
        .descendants()
        .filter(|node| node.has_tag_name("trace"))
        .nth(1)
        .expect("the second");
    assert_eq!(attributes(trace)["variable.n_x0020_o"], "1");
    let lines: Vec<String> = trace
        .children()
        .filter(|child| child.has_tag_name("event"))
        .map(|event| {
            let told = attributes(event);
            let who = told.get("org:resource").copied().unwrap_or("-");
            let undone = told
                .get("rolledBack")
                .map_or("", |undone| if *undone == "true" { " undone" } else { "" });
            format!(
                "{} {} {} {who}{undone}",
                told["concept:name"], told["lifecycle:transition"], told["what"]
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "Ask <you> & \"me\" schedule reached -",
            "Ask <you> & \"me\" complete committed Lin undone",
            "check schedule reached -",
            "check withdraw rolled back Wu",
            "Ask <you> & \"me\" unknown rolled back Wu",
            "Ask <you> & \"me\" schedule reopened Wu",
            "Ask <you> & \"me\" complete committed Mei",
            "check schedule reached -",
        ]
    );
    assert!(told.contains("a line&#10;and another"));
}

#[test]
fn one_module_a_window_and_a_moment_restrict_it() {
    let engine = busy();
    let all = log(&engine);
    let first = engine.list_flow_modules(&flowledger::ModuleFilter::default(), flowledger::ListParam::default());
    let first = first
        .expect("listed")
        .flow_modules
        .pop()
        .expect("the oldest")
        .flow_module_id;
    for format in [EventLogFormat::Xes, EventLogFormat::Ocel] {
        let whole = written(&engine, &options(format, false));
        assert_eq!((whole.1.instances, whole.1.records), (4, all.len() as u64));
        let of_module = EventLogOptions {
            flow_module_id: Some(first.clone()),
            ..options(format, false)
        };
        let (text, report) = written(&engine, &of_module);
        assert_eq!(report.instances, 3);
        assert!(!text.contains("\"one\""), "{text}");
        let unknown = EventLogOptions {
            flow_module_id: Some("nobody".into()),
            ..options(format, false)
        };
        let error = engine
            .event_log(&unknown, std::io::sink(), |_| {})
            .expect_err("unknown");
        assert_eq!(error.code(), ResultCode::FlowNotFound);
    }
}

#[test]
fn as_of_a_time_it_is_what_it_was() {
    let engine = told(KINDS[0].1, KINDS[0].2);
    let records = log(&engine);
    for format in [EventLogFormat::Xes, EventLogFormat::Ocel] {
        for place in (1..records.len()).step_by(records.len() / 12) {
            let time = records[place - 1].record.envelope().recorded_at;
            let count = records
                .iter()
                .take_while(|record| record.record.envelope().recorded_at <= time)
                .count();
            let then = opened(Engine::builder().store(store_of(&records[..count])));
            let as_of = EventLogOptions {
                as_of: Some(time),
                ..options(format, true)
            };
            assert_eq!(
                written(&engine, &as_of).0,
                written(&then, &options(format, true)).0,
                "{place}"
            );
            let later = EventLogOptions {
                started_from: Some(Timestamp::from_millis(time.millis() + 1)),
                ..options(format, true)
            };
            let before = EventLogOptions {
                started_before: later.started_from,
                ..options(format, true)
            };
            let all = written(&engine, &options(format, true)).1;
            let parts = written(&engine, &later).1.instances + written(&engine, &before).1.instances;
            assert_eq!(parts, all.instances, "each instance is in one of two windows");
        }
    }
}

/// Whether this machine has the other implementation.
fn has_pm4py() -> bool {
    let tried = Command::new("python3").args(["-c", "import pm4py"]).output();
    let is_there = tried.is_ok_and(|output| output.status.success());
    if !is_there {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: reading event logs with another implementation needs python3 with pm4py (pip install pm4py)"
        );
    }
    is_there
}

#[test]
fn another_implementation_reads_both() {
    if !has_pm4py() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let reader = concat!(env!("CARGO_MANIFEST_DIR"), "/read_event_log.py");
    for engine in [busy(), told(KINDS[0].1, KINDS[0].2)] {
        let mut reports = Vec::new();
        let mut paths = Vec::new();
        for (format, name) in [(EventLogFormat::Xes, "log.xes"), (EventLogFormat::Ocel, "log.json")] {
            let (text, report) = written(&engine, &options(format, false));
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            reports.push(report);
            paths.push(path);
        }
        let output = Command::new("python3")
            .arg(reader)
            .args(&paths)
            .output()
            .expect("python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let (xes, ocel) = (&told["xes"], &told["ocel"]);
        assert_eq!(xes["cases"], reports[0].instances);
        assert_eq!(xes["events"], reports[0].events);
        assert_eq!(xes["timesInOrder"], true);
        assert!(xes["transitions"].as_u64() > Some(0), "a model is discovered: {xes}");
        assert_eq!(ocel["events"], reports[1].events);
        assert_eq!(ocel["objects"], reports[1].objects, "{ocel}");
        let kinds = serde_json::json!(["flow deployment", "flow instance", "flow module", "node instance"]);
        assert_eq!(ocel["objectTypes"], kinds);
        assert!(
            ocel["changes"].as_u64() > Some(0) && ocel["relationsOfObjects"].as_u64() > Some(0),
            "{ocel}"
        );
        println!("read by pm4py: {told}");
    }
}
