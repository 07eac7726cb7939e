//! The stories that golden logs tell: together they give every command and cause every event, in both profiles, with the
//! engine's own ids and with those of a host.
//!
//! Knows nothing of how logs are kept; `--bin golden` writes them, and the suite reads those of every release.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flowledger::plug_in::{ElementPlugIn, ElementVisit, JoinStanding, MergeStrategy, PlugInWayBack, Step};
use flowledger::store::{MemoryStore, Store};
use flowledger::{
    BlockingEngine, Clock, CommitTaskParam, Engine, FlowModuleId, HostError, Id, IdGenerator, IdKind, IdOrigin,
    InstanceData, LifecycleParam, StartProcessParam, Timestamp,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::engine_subject::EngineSubject;
use crate::scenario::{Flow, Profile};
use crate::sketch::{flow, run};

/// The kinds of golden logs: a name, the profile, and whether the host makes the ids.
pub const KINDS: [(&str, Profile, bool); 3] = [
    ("documented", Profile::Documented, false),
    ("turbo131", Profile::Turbo131, false),
    ("own-ids", Profile::Documented, true),
];

/// A clock that a second passes on whenever it is looked at.
struct TickingClock(AtomicI64);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

/// Ids that are no UUIDs.
struct OwnIds;

impl IdGenerator for OwnIds {
    fn name(&self) -> &'static str {
        "own-ids"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn generate(&self, origin: IdOrigin<'_>, kind: IdKind, number: u32) -> Id {
        let stream = origin
            .stream
            .map_or(0, |[first, second, ..]| u16::from_be_bytes([first, second]));
        Id::new(&format!("{kind:?} {number} of {} in {stream:04x}", origin.command_id))
    }
}

/// Type 41, `twice…`: waits for two commits and counts them.
struct Twice;

impl ElementPlugIn for Twice {
    fn name(&self) -> &'static str {
        "twice"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn element_type(&self) -> i64 {
        41
    }

    fn enter(&self, _: &ElementVisit<'_>) -> Result<Step, String> {
        Ok(Step::wait().payload(json!({ "commits": 0 })))
    }

    fn commit(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        let has_one = visit.payload.is_some_and(|payload| payload.to_string().contains('1'));
        Ok(if has_one {
            Step::pass().variable("commits", 2)
        } else {
            Step::wait().payload(json!({ "commits": 1 }))
        })
    }
}

/// Type 42, `note…`: waits once; rollbacks go over it.
struct Note;

impl ElementPlugIn for Note {
    fn name(&self) -> &'static str {
        "note"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn element_type(&self) -> i64 {
        42
    }

    fn enter(&self, _: &ElementVisit<'_>) -> Result<Step, String> {
        Ok(Step::wait())
    }

    fn roll_back(&self) -> PlugInWayBack {
        PlugInWayBack::On
    }
}

/// Counts the branches that changed something.
struct Counting;

impl MergeStrategy for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn merge(&self, join: &JoinStanding) -> Result<Vec<InstanceData>, String> {
        let changed = join.arrived.iter().filter(|branch| !branch.changes.is_empty());
        let changed = i64::try_from(changed.count()).map_err(|error| error.to_string())?;
        Ok(vec![InstanceData::new("changed", changed)])
    }
}

/// An engine that has lived through all stories of a kind.
///
/// # Panics
/// When a command is answered otherwise than the story wants.
#[must_use]
pub fn told(profile: Profile, own_ids: bool) -> BlockingEngine {
    let memory = MemoryStore::new();
    let store = Store {
        index: memory.index(),
        events: Arc::new(memory),
    };
    let builder = Engine::builder()
        .profile(match profile {
            Profile::Documented => flowledger::Profile::Documented,
            Profile::Turbo131 => flowledger::Profile::Turbo131,
        })
        .store(store.clone())
        .clock(TickingClock(AtomicI64::new(1_767_225_600_000)))
        .element(Twice)
        .element(Note)
        .merge_strategy(Counting)
        .hook_fn("rates", |call| {
            if call.hook_info_param.to_string().contains("broken") {
                return Err(HostError::from("the rates are closed"));
            }
            Ok(vec![InstanceData::new("rate", 3)])
        });
    let builder = if own_ids { builder.id_generator(OwnIds) } else { builder };
    let engine = builder.open().expect("an engine opens on a store in memory").blocking();
    modules(&engine);
    values(&engine);
    reasons(&engine);
    for (name, flows, commands, answers) in stories().into_iter().chain(stories_under(profile)) {
        let subject = EngineSubject::over(engine.clone(), profile, store.clone(), name);
        let told = run(subject, &flows, commands);
        let codes: Vec<&str> = told.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(
            codes.join(" "),
            answers,
            "the story of {name} under {}: {told:#?}",
            profile.name()
        );
    }
    engine
}

/// A module that goes through everything a module can.
fn modules(engine: &BlockingEngine) {
    let sketch = flow(
        "module",
        "start -> ask -> gate; gate -(no sense at all !!)-> end; gate -(default)-> end",
    );
    let id = deployed(engine, "module", &sketch);
    engine
        .disable_flow(owned("module-disable", json!({ "flowModuleId": id })))
        .expect("disabled");
    engine
        .enable_flow(owned("module-enable", json!({ "flowModuleId": id })))
        .expect("enabled");
}

/// Creates, updates and deploys a module; each command has an id.
fn deployed(engine: &BlockingEngine, name: &str, flow: &Flow) -> FlowModuleId {
    let members = json!({ "flowKey": name, "flowName": "Leave 请假", "remark": "of a golden log" });
    let id = engine
        .create_flow(owned(&format!("{name}-create"), members))
        .expect("created")
        .flow_module_id;
    let members = json!({ "flowModuleId": id, "flowModel": flow.flow_model.to_string() });
    engine
        .update_flow(owned(&format!("{name}-update"), members))
        .expect("updated");
    let members = json!({ "flowModuleId": id });
    engine
        .deploy_flow(owned(&format!("{name}-deploy"), members))
        .expect("deployed");
    id
}

/// A request of somebody, for a reason.
fn owned<P: DeserializeOwned>(command_id: &str, members: Value) -> P {
    let mut request = json!({
        "tenant": "acme", "caller": "hr", "operator": "liming", "reason": "as agreed", "commandId": command_id,
    });
    if let (Some(request), Value::Object(members)) = (request.as_object_mut(), members) {
        request.extend(members);
    }
    serde_json::from_value(request).expect("the request has the JSON form of the API document")
}

/// An instance whose variables are of every kind, one so large that its record takes several pieces.
fn values(engine: &BlockingEngine) {
    let sketch = flow("values", "start -> ask -> end");
    let module = deployed(engine, "values", &sketch);
    let value = |text: &str| flowledger::Value::from_json(text).expect("JSON");
    let typed = InstanceData {
        data_type: Some("string".into()),
        ..InstanceData::new("typed", "请假 \u{0} \u{1f600}")
    };
    let start = StartProcessParam {
        variables: vec![typed, InstanceData::new("null", value("null"))],
        ..StartProcessParam::of_module(module).command_id("values-start")
    };
    let started = engine.start_process(start).expect("started");
    let task = started.active_task_instance.expect("a task waits").node_instance_id;
    let mut commit =
        CommitTaskParam::new(&started.flow_instance_id.expect("an instance"), &task).command_id("values-commit");
    for (key, text) in [
        ("flag", "true"),
        ("int", "-9223372036854775808"),
        ("decimal", "1.50"),
        ("large", "123456789012345678901234567890"),
        ("small", "-0.000000000000000000001"),
        ("beyond", "1e9999"),
        ("list", r#"[1, [2.5, {"a": null}], []]"#),
        ("map", r#"{"b": [], "a": {"c": false}, "": "empty"}"#),
    ] {
        commit = commit.variable(key, value(text));
    }
    let long = "a long text ".repeat(1_000);
    engine
        .commit_task(commit.variable("long", long.as_str()))
        .expect("committed");
}

/// An instance that is held and let go on, each time for one of the reasons that its flow offers.
fn reasons(engine: &BlockingEngine) {
    let mut sketch = flow("reasons", "start -> ask -> end");
    let commands = ["suspend", "resume", "abort", "restore"];
    sketch.flow_model["reasonOptions"] = commands
        .map(|command| (command, ["duplicate", "by the customer"]))
        .into_iter()
        .collect();
    let module = deployed(engine, "reasons", &sketch);
    let start = StartProcessParam::of_module(module).command_id("reasons-start");
    let instance = engine
        .start_process(start)
        .expect("started")
        .flow_instance_id
        .expect("an instance");
    for command in commands {
        let members = json!({ "flowInstanceId": instance, "reasonOption": "by the customer", "reason": null });
        let param: LifecycleParam = owned(&format!("reasons-{command}"), members);
        let held = match command {
            "suspend" => engine.suspend_instance(param),
            "resume" => engine.resume_instance(param),
            "abort" => engine.abort_instance(param),
            _ => engine.restore_instance(param),
        };
        held.expect("held, or let go on");
    }
}

/// A story: its name, its flows, the commands, and the codes they are answered with.
type Story = (&'static str, Vec<Flow>, &'static str, &'static str);

fn stories() -> Vec<Story> {
    let main = |sketch: &str| vec![flow("main", sketch)];
    let mut plugged = flow("main", "start -> ask -> twice -> note -> last -> end");
    for element in plugged.flow_model["flowElementList"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        match element["key"].as_str() {
            Some("twice") => element["type"] = json!(41),
            Some("note") => element["type"] = json!(42),
            _ => {}
        }
    }
    vec![
        (
            "gateway",
            main(
                "start -> ask -> gate[hookInfoIds=rates]; gate -(a > 5)-> high -> end; gate -(a > 2)-> gate2[hookInfoIds=broken]; \
                 gate2 -(rate == 3)-> low -> end",
            ),
            "start {a: 1}; commit ask {a: 2}; commit ask {a: 6}; rollback high; commit ask {a: 3}; commit low {}",
            "1002 4013 1002 1003 1002 1000",
        ),
        (
            "fork",
            main("start -> ask -> fork -> left -> join -> after -> end; fork -> right -> join; fork -> third -> end2"),
            "start {a: 0}; commit ask {}; commit right {a: 1}; commit left {a: 2}; commit third {}; rollback after; \
             redo; commit after {}",
            "1002 1002 1601 1601 1002 1003 1002 1000",
        ),
        (
            "order",
            main("start -> fork -> left -> join[dataConflict=branchOrder] -> after -> end; fork -> right -> join"),
            "start {a: 0}; commit right {a: 1}; commit left {a: 2}; rollback after; commit left {a: 3}; terminate",
            "1002 1601 1002 1003 1002 1000",
        ),
        (
            "none",
            main("start -> ifork -(x > 0)-> left -> ijoin[dataMerge=None] -> end; ifork -(x > 1)-> right -> ijoin"),
            "start {x: 2}; commit left {a: 1}; commit right {b: 1}",
            "1002 1601 1000",
        ),
        (
            "strategy",
            main(
                "start -> fork -> left -> join[dataMerge=Custom, dataMergeStrategy=counting] -> after -> end; fork -> right -> join",
            ),
            "start {}; commit left {a: 1}; commit right {}; rollback after",
            "1002 1601 1002 1003",
        ),
        (
            "early",
            vec![
                flow(
                    "main",
                    "start -> fork -> left -> join[branchMerge=AnyOne] -> after -> end; \
                     fork -> call[callActivityFlowModuleId=$module:sub] -> join; fork -> third -> join",
                ),
                flow("sub", "start -> inner -> end"),
            ],
            "start {}; commit call {}; commit left {}; rollback after; commit third {}",
            "1002 1002 1002 1003 1002",
        ),
        (
            "call",
            vec![
                flow(
                    "main",
                    "start -> ask -> call[callActivityFlowModuleId=$module:sub, callActivityInParamType=full, \
                     callActivityOutParamType=full] -> after -> end",
                ),
                flow("sub", "start -> inner -> inner2 -> end"),
            ],
            "start {a: 1}; commit ask {}; commit call {}; commit inner {b: 2}; commit inner2 {}; rollback after; \
             rollback inner2; rollback inner; commit ask {}",
            "1002 1002 1002 1002 1002 1003 1003 1003 1002",
        ),
        (
            "back",
            main("start -> a[onRollback=compensate: unbook] -> b[onRollback=compensate: refund] -> c -> end"),
            "start {}; commit a {x: 1}; commit b {x: 2}; key a; redo; to a#1; commit a {}",
            "1002 1002 1002 1003 1002 1003 1002",
        ),
        (
            "holds",
            main("start -> ask -> end"),
            "start {}; suspend; abort; restore; resume; terminate",
            "1002 1000 1000 1000 1000 1000",
        ),
        (
            "plug-ins",
            vec![plugged],
            "start {}; commit ask {}; commit twice {}; commit twice {}; commit note {}; rollback last",
            "1002 1002 1002 1002 1002 1003",
        ),
    ]
}

/// Stories that end in different records under the two profiles.
fn stories_under(profile: Profile) -> Vec<Story> {
    let main = |sketch: &str| vec![flow("main", sketch)];
    let unknown = |answers| {
        let sketch = "start -> ask -> gate; gate -(nobody > 1)-> left -> end; gate -(nobody < 1)-> right -> end";
        (
            "unknown",
            main(sketch),
            "start {}; commit ask {}; commit ask {nobody: 0}",
            answers,
        )
    };
    match profile {
        Profile::Documented => vec![unknown("1002 4015 1002")],
        // What the API document forbids and the reference engine accepts is deployed, with a warning.
        Profile::Turbo131 => vec![
            unknown("1002 4018 1002"),
            (
                "lenient",
                main("start -> ask -> end; lone -> other -> lone"),
                "start {}; commit ask {}",
                "1002 1000",
            ),
        ],
    }
}
