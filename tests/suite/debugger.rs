//! A debugger tells of every position what the queries tell of it, however it came there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use flowledger::{
    Actor, AnyRecord, BlockingEngine, CommitTaskParam, DebugPosition, Debugger, Engine, FlowInstanceId, ForkParam,
    FoundIn, InstanceQuery, LogRecord, Profile, ResultCode, RollbackTaskParam, StartProcessParam, Step, Timestamp,
};
use flowledger_tests::differential::drive;
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{Case, calling_case, cases, going_back_case, parallel_case, seeded, serial_case};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::{self, Outcome, Session, Step as Commanded};
use proptest::prelude::*;
use serde::Serialize;

use crate::as_of::started_by;
use crate::fixture::{LINE, deployed, engine_on, instance_and_task, log, memory, opened, store_of};

/// Answers as JSON texts, by name: numbers keep their digits.
type Told = BTreeMap<&'static str, String>;

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("JSON")
}

/// All that a debugger tells where it stands, but its position.
fn seen(debugger: &Debugger) -> Told {
    Told::from([
        ("flowInstance", json(&debugger.flow_instance())),
        ("data", json(&debugger.instance_data())),
        ("userTasks", json(&debugger.user_tasks())),
        (
            "elements",
            json(&debugger.elements().map_err(|unknown| unknown.to_string())),
        ),
        ("outline", json(&debugger.outline())),
        ("variables", json(debugger.variables())),
        ("changes", json(&debugger.changes())),
        ("touched", json(&debugger.touched())),
    ])
}

/// What the queries tell of the same, as of a version.
fn asked(engine: &BlockingEngine, root: &FlowInstanceId, version: u64) -> Told {
    let query = || InstanceQuery::new(root.clone()).as_of(version);
    let instance = engine.get_flow_instance(query()).expect("an instance");
    let tasks = engine.get_history_user_task_list(query()).expect("tasks");
    let elements = engine.get_history_element_list(query());
    let elements = elements.map(|list| list.element_instance_list);
    Told::from([
        ("flowInstance", json(&Some(instance.flow_instance_bo))),
        (
            "data",
            json(&engine.get_instance_data(query()).expect("data").variables),
        ),
        ("userTasks", json(&tasks.node_instance_list)),
        ("elements", json(&elements.map_err(|error| error.detail().to_owned()))),
    ])
}

/// Walks an instance in every way there is, and compares; says how many positions it has.
fn walked(engine: &BlockingEngine, root: &FlowInstanceId) -> Result<usize, String> {
    let differs = |what: &str, version: u64, left: &Told, right: &Told| {
        if left == right {
            return Ok(());
        }
        Err(format!("{root} at {version}, {what}:\n{left:?}\n{right:?}"))
    };
    let mut debugger = engine.debugger(root).expect("a debugger");
    let last = debugger.records().len() as u64;
    let mut at_ends = vec![Told::new()];
    for version in 1..=last {
        debugger.jump(version).expect("it is there");
        let now = seen(&debugger);
        let mut told = now.clone();
        let query = asked(engine, root, version);
        told.retain(|name, _| query.contains_key(name));
        differs("the queries", version, &told, &query)?;
        at_ends.push(now);
    }
    // Record by record, backward and forward.
    for version in (1..last).rev() {
        assert!(debugger.back(Step::Record));
        differs(
            "a step back",
            version,
            &seen(&debugger),
            &at_ends[usize::try_from(version).unwrap()],
        )?;
    }
    assert!(!debugger.back(Step::Record) && debugger.position().version == 1);
    for version in 2..=last {
        assert!(debugger.forward(Step::Record));
        differs(
            "a step forward",
            version,
            &seen(&debugger),
            &at_ends[usize::try_from(version).unwrap()],
        )?;
    }
    assert!(!debugger.forward(Step::Record) && !debugger.forward(Step::Event));
    // Event by event, backward to the first and forward again.
    let events: usize = debugger.records().iter().map(flowledger::DebugRecord::events).sum();
    let mut within = vec![seen(&debugger)];
    while debugger.back(Step::Event) {
        within.push(seen(&debugger));
    }
    assert_eq!(
        (within.len(), debugger.position()),
        (events, DebugPosition { version: 1, event: 1 })
    );
    for earlier in within.iter().rev().skip(1) {
        assert!(debugger.forward(Step::Event));
        let DebugPosition { version, event } = debugger.position();
        differs("an event forward", version, &seen(&debugger), earlier)?;
        let is_end = debugger.record(version).is_some_and(|record| record.events() == event);
        if is_end {
            differs(
                "the last event",
                version,
                earlier,
                &at_ends[usize::try_from(version).unwrap()],
            )?;
        }
    }
    // A step over records from within one goes to its end.
    for version in 1..=last {
        debugger.go(DebugPosition { version, event: 1 });
        let events = debugger.record(version).expect("a record").events();
        assert_eq!(debugger.forward(Step::Record), events > 1 || version < last);
        let expected = if events > 1 { version } else { (version + 1).min(last) };
        assert_eq!(debugger.position().version, expected);
        // Nor does a jump take what has not happened yet for the past.
        let next = (version + 1).min(last);
        debugger.go(DebugPosition { version, event: 1 });
        debugger.jump(next).expect("it is there");
        differs(
            "a jump from within",
            next,
            &seen(&debugger),
            &at_ends[usize::try_from(next).unwrap()],
        )?;
    }
    Ok(events)
}

/// The instances of a log.
fn roots(records: &[LogRecord]) -> Vec<FlowInstanceId> {
    let first = records.iter().filter(|record| record.record.envelope().version == 1);
    first.filter_map(started_by).collect()
}

#[test]
fn every_position_is_the_same_by_steps_by_jump_and_by_query() {
    for (name, profile, own_ids) in KINDS {
        let engine = told(profile, own_ids);
        let mut positions = 0;
        for root in roots(&log(&engine)) {
            positions += walked(&engine, &root).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        }
        assert!(positions > 150, "{name}: {positions}");
    }
}

#[test]
fn golden_logs_are_walked_from_end_to_end() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/0.1.0");
    let mut instances = 0;
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "jsonl") {
            continue;
        }
        for profile in [Profile::Documented, Profile::Turbo131] {
            let engine = opened(Engine::builder().profile(profile).copy(&path));
            for root in roots(&log(&engine)) {
                let mut debugger = engine.debugger(&root).expect("a debugger");
                while debugger.back(Step::Event) {}
                let mut positions = 1;
                while debugger.forward(Step::Event) {
                    debugger.outline();
                    positions += 1;
                }
                let events: usize = debugger.records().iter().map(flowledger::DebugRecord::events).sum();
                assert_eq!(positions, events, "{root}");
                instances += 1;
            }
        }
    }
    assert!(instances > 50, "{instances}");
}

/// The property for the log that a case leaves.
fn case_is_walked(case: &Case, profile: scenario::Profile) -> Result<(), String> {
    let mut session = Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows);
    let mut follower = |step: &Commanded, _: &Outcome| {
        session.step(step);
        Ok(())
    };
    drive(case, profile, &mut follower)?;
    let records = session.subject.records();
    let profile = match profile {
        scenario::Profile::Documented => Profile::Documented,
        scenario::Profile::Turbo131 => Profile::Turbo131,
    };
    let engine = opened(Engine::builder().profile(profile).store(store_of(&records)));
    roots(&records)
        .iter()
        .try_for_each(|root| walked(&engine, root).map(drop))
}

#[test]
fn random_instances_are_walked() {
    for seed in 0..2 {
        for case in [
            seeded(&serial_case(), seed),
            seeded(&calling_case(), seed),
            seeded(&parallel_case(), seed),
            seeded(&going_back_case(), seed),
        ] {
            for profile in scenario::Profile::ALL {
                case_is_walked(&case, profile).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
            }
        }
    }
    let case = prop_oneof![serial_case(), calling_case(), parallel_case(), going_back_case()];
    proptest!(ProptestConfig::with_cases(cases(4)), |(case in case)| {
        for profile in scenario::Profile::ALL {
            case_is_walked(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}

/// A line of two tasks: started, committed by Wu, rolled back.
fn line() -> (BlockingEngine, FlowInstanceId) {
    let engine = engine_on(&memory());
    let module = deployed(&engine, LINE);
    let start = StartProcessParam::of_module(module)
        .variable("days", 1)
        .variable("who", "Lin");
    let (instance, ask) = instance_and_task(&engine.start_process(start).expect("started"));
    let mut commit = CommitTaskParam::new(&instance, &ask).variable("days", 2);
    commit.options.actor = Some(Actor {
        operator: Some("Wu".into()),
        ..Actor::default()
    });
    commit.options.reason = Some("asked by phone".into());
    let (_, check) = instance_and_task(&engine.commit_task(commit).expect("committed"));
    engine
        .rollback_task(RollbackTaskParam::new(&instance, &check))
        .expect("rolled back");
    (engine, instance)
}

#[test]
fn long_instance_is_walked_over_the_folds_that_are_kept() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate -(round > 120)-> end; gate -(default)-> ask",
    );
    let start = StartProcessParam::of_module(module).variable("round", 0);
    let (instance, mut ask) = instance_and_task(&engine.start_process(start).expect("started"));
    for round in 1..=120 {
        let commit = CommitTaskParam::new(&instance, &ask).variable("round", round);
        (_, ask) = instance_and_task(&engine.commit_task(commit).expect("committed"));
    }
    walked(&engine, &instance).unwrap_or_else(|problem| panic!("{problem}"));
    let mut debugger = engine.debugger(&instance).expect("a debugger");
    for version in (1..=121).map(|step| 1 + step * 50 % 121) {
        debugger.jump(version).expect("it is there");
        let round = debugger.variables()["round"].value.to_string();
        assert_eq!(round, (version - 1).to_string());
    }
}

/// The outline, a line for each element: depth, key, status, visits, how many rolled back, how many commits failed.
fn outlined(debugger: &Debugger) -> Vec<String> {
    let line = |element: &flowledger::OutlineElement| {
        format!(
            "{}{} {} {}/{}/{}",
            "  ".repeat(element.depth),
            element.model_key,
            element.status.map_or("-".to_owned(), |status| status.to_string()),
            element.node_instance_ids.len(),
            element.rolled_back,
            element.failed_commits,
        )
    };
    debugger.outline().iter().map(line).collect()
}

#[test]
fn outline_follows_the_flow_and_says_what_has_become_of_it() {
    let (engine, instance) = line();
    let mut debugger = engine.debugger(&instance).expect("a debugger");
    assert_eq!(
        outlined(&debugger),
        ["start 1 1/0/0", "ask 2 2/1/0", "check 4 1/1/0", "end - 0/0/0"]
    );
    debugger.back(Step::Record);
    assert_eq!(
        outlined(&debugger),
        ["start 1 1/0/0", "ask 1 1/0/0", "check 2 1/0/0", "end - 0/0/0"]
    );
    // ask is committed, check is not there yet.
    debugger.back(Step::Event);
    assert_eq!(
        outlined(&debugger),
        ["start 1 1/0/0", "ask 1 1/0/0", "check - 0/0/0", "end - 0/0/0"]
    );

    // Branches one after the other, the join behind all of them, in whatever order the text has them.
    let module = deployed(
        &engine,
        "start -> fork -> b -> join -> end; fork -> a -> gate -(days > 1)-> long -> join; gate -(default)-> join",
    );
    let started = engine
        .start_process(StartProcessParam::of_module(module))
        .expect("started");
    let instance = started.flow_instance_id.expect("an instance");
    let debugger = engine.debugger(&instance).expect("a debugger");
    let keys: Vec<_> = debugger
        .outline()
        .into_iter()
        .map(|element| element.model_key)
        .collect();
    let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
    assert_eq!(keys, ["start", "fork", "b", "a", "gate", "long", "join", "end"]);
}

#[test]
fn commit_that_failed_is_a_record_with_its_code_and_counts_at_its_task() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate -(days > 1)-> long -> end; gate -(days < 0)-> end",
    );
    let started = engine
        .start_process(StartProcessParam::of_module(module))
        .expect("started");
    let (instance, ask) = instance_and_task(&started);
    for days in [1, 1, 2] {
        let _ = engine.commit_task(CommitTaskParam::new(&instance, &ask).variable("days", days));
    }
    let mut debugger = engine.debugger(&instance).expect("a debugger");
    let codes: Vec<i32> = debugger.records().iter().map(|record| record.code.number()).collect();
    assert_eq!((codes[0], codes[3]), (1002, 1002));
    assert!(
        !debugger.records()[1].code.is_success() && codes[1] == codes[2],
        "{codes:?}"
    );
    debugger.jump(3).expect("it is there");
    assert_eq!(
        outlined(&debugger)[1..3],
        ["ask 2 1/0/2".to_owned(), "gate 3 1/0/0".to_owned()]
    );
    debugger.jump(4).expect("it is there");
    assert_eq!(
        outlined(&debugger)[1..3],
        ["ask 1 1/0/2".to_owned(), "gate 1 1/0/0".to_owned()]
    );
}

#[test]
fn changes_name_the_old_and_the_new_value_and_who_wrote_them() {
    let (engine, instance) = line();
    let mut debugger = engine
        .debugger(InstanceQuery::new(instance).as_of(2))
        .expect("a debugger");
    assert_eq!(debugger.position(), DebugPosition { version: 2, event: 2 });
    let changes = debugger.changes();
    let [days] = &changes[..] else { panic!("{changes:?}") };
    let (old, new) = (days.left.as_ref().expect("old"), days.right.as_ref().expect("new"));
    assert_eq!((old.value.to_string(), old.version), ("1".to_owned(), 1));
    assert_eq!(
        (new.value.to_string(), new.version, new.operator.as_deref()),
        ("2".to_owned(), 2, Some("Wu"))
    );
    let values = |debugger: &Debugger| -> Vec<(u64, Option<String>)> {
        let values = debugger.values_of("days").into_iter();
        values
            .map(|(version, written)| (version, written.map(|written| written.value.to_string())))
            .collect()
    };
    let value = |version: u64, value: &str| (version, Some(value.to_owned()));
    assert_eq!(values(&debugger), [value(1, "1"), value(2, "2")]);
    debugger.forward(Step::Record);
    assert_eq!(
        values(&debugger),
        [value(1, "1"), value(2, "2"), value(3, "1")],
        "the rollback brings it back"
    );
    debugger.jump(1).expect("it is there");
    assert!(debugger.changes().iter().all(|change| change.left.is_none()));
}

#[test]
fn difference_to_another_version_is_the_one_of_the_engine() {
    let (engine, instance) = line();
    let mut debugger = engine.debugger(&instance).expect("a debugger");
    for at in 1..=3 {
        debugger.jump(at).expect("it is there");
        for other in 1..=3 {
            let query = |version: u64| InstanceQuery::new(instance.clone()).as_of(version);
            let diff = engine.diff(query(other), engine.engine(), query(at)).expect("compared");
            assert_eq!(debugger.diff(other).expect("compared"), diff, "{other} and {at}");
        }
    }
}

#[test]
fn why_is_the_answer_of_the_engine_as_of_the_position() {
    let engine = told(scenario::Profile::Documented, false);
    let mut compared = 0;
    for root in roots(&log(&engine)) {
        let mut debugger = engine.debugger(&root).expect("a debugger");
        loop {
            let version = debugger.position().version;
            for node in debugger.touched() {
                let query = InstanceQuery::new(root.clone()).as_of(version);
                let why = engine.why(query, node.clone()).expect("it is there");
                assert_eq!(debugger.why(&node), Some(why), "{root} at {version}");
                compared += 1;
            }
            if !debugger.back(Step::Record) {
                break;
            }
        }
    }
    assert!(compared > 150, "{compared}");
    // In the middle of a record: what has not happened yet has no cause.
    let (engine, instance) = line();
    let mut debugger = engine
        .debugger(InstanceQuery::new(instance).as_of(2))
        .expect("a debugger");
    let check = debugger.touched().into_iter().find(|node| {
        debugger
            .node_instance(node)
            .is_some_and(|node| &*node.model_key == "check")
    });
    let check = check.expect("check is there");
    assert_eq!(debugger.why(&check).expect("a cause").causes.len(), 2);
    debugger.back(Step::Event);
    assert_eq!(debugger.why(&check), None);
}

#[test]
fn jumps_go_to_versions_and_times_and_nowhere_else() {
    let (engine, instance) = line();
    let mut debugger = engine.debugger(&instance).expect("a debugger");
    let times: Vec<Timestamp> = debugger
        .records()
        .iter()
        .map(|record| record.log.record.envelope().recorded_at)
        .collect();
    let of_time = times.iter().filter(|time| **time <= times[0]).count() as u64;
    assert_eq!(debugger.jump(times[0]).expect("it is there").version, of_time);
    let later = Timestamp::from_millis(4_102_444_800_000);
    assert_eq!(debugger.jump(later).expect("the newest").version, 3);
    let stands = debugger.position();
    let code = |error: Result<DebugPosition, flowledger::EngineError>| error.expect_err("nowhere").code();
    assert_eq!(code(debugger.jump(4)), ResultCode::VersionNotReached);
    assert_eq!(code(debugger.jump(0)), ResultCode::InstanceNotFound);
    assert_eq!(
        code(debugger.jump(Timestamp::from_millis(0))),
        ResultCode::InstanceNotFound
    );
    assert!(
        !debugger.go(DebugPosition { version: 3, event: 9 }) && !debugger.go(DebugPosition { version: 0, event: 1 })
    );
    assert_eq!(debugger.position(), stands, "who goes nowhere stays");

    let unknown = engine
        .debugger("7b223af7-a18a-822e-9e4b-2844e5dbe8d8")
        .expect_err("unknown");
    assert_eq!(unknown.code(), ResultCode::InstanceNotFound);
    let ahead = engine
        .debugger(InstanceQuery::new(instance).as_of(4))
        .expect_err("ahead");
    assert_eq!(ahead.code(), ResultCode::VersionNotReached);
}

#[test]
fn search_finds_what_stands_in_a_record() {
    let (engine, instance) = line();
    let debugger = engine.debugger(&instance).expect("a debugger");
    let found = |text: &str| -> Vec<(u64, Vec<FoundIn>)> {
        let hits = debugger.search(text).into_iter();
        hits.map(|hit| (hit.version, hit.found)).collect()
    };
    assert_eq!(found("wu"), [(2, vec![FoundIn::Actor("Wu".to_owned())])]);
    assert_eq!(
        found("Phone"),
        [(2, vec![FoundIn::Reason("asked by phone".to_owned())])]
    );
    let days = |value: &str| FoundIn::Variable {
        key: "days".to_owned(),
        value: value.to_owned(),
    };
    assert_eq!(found("DAYS"), [(1, vec![days("1")]), (2, vec![days("2")])]);
    assert_eq!(found("lin").len(), 1, "a value");
    assert_eq!(found("rollbackT"), [(3, vec![FoundIn::Command("rollbackTask")])]);
    assert_eq!(found("1003")[0].0, 3);
    let versions = |text: &str| found(text).into_iter().map(|(version, _)| version).collect::<Vec<_>>();
    assert_eq!(versions("check"), [2, 3]);
    let task = debugger.user_tasks()[0].node_instance_id.to_string();
    assert_eq!(versions(&task[..8]), [3], "the task was opened again by the rollback");
    assert!(found("nobody").is_empty() && found(" ").is_empty());
}

#[test]
fn every_command_and_event_of_a_log_is_found_by_its_name() {
    let engine = told(scenario::Profile::Documented, false);
    let mut names = BTreeSet::new();
    for root in roots(&log(&engine)) {
        let debugger = engine.debugger(&root).expect("a debugger");
        for record in debugger.records() {
            let AnyRecord::Instance(instance) = &record.log.record else {
                panic!("a record of a module")
            };
            // The names are those of the JSON that an export has.
            let text = record.log.to_json().expect("JSON");
            let own = std::iter::once(instance.given.command.name());
            for name in own.chain(instance.events.iter().map(flowledger::event::InstanceEvent::name)) {
                assert!(text.contains(&format!("\"{name}\"")), "{name}: {text}");
                let version = instance.given.envelope.version;
                assert!(debugger.search(name).iter().any(|hit| hit.version == version), "{name}");
                names.insert(name);
            }
        }
    }
    assert!(names.len() > 25, "{names:?}");
}

#[test]
fn debugger_of_a_fork_goes_on_where_the_fork_does() {
    let (engine, instance) = line();
    let fork = engine
        .fork(ForkParam::new(InstanceQuery::new(instance.clone()).as_of(1)))
        .expect("a fork");
    let what_if = fork.engine().blocking();
    let ask = what_if.debugger(&instance).expect("a debugger").user_tasks()[0]
        .node_instance_id
        .clone();
    what_if
        .commit_task(CommitTaskParam::new(&instance, &ask).variable("days", 9))
        .expect("committed");
    let debugger = what_if.debugger(&instance).expect("a debugger");
    assert_eq!(
        (debugger.records().len(), debugger.variables()["days"].value.to_string()),
        (2, "9".to_owned())
    );
    assert_eq!(engine.debugger(&instance).expect("a debugger").records().len(), 3);
}

#[test]
fn sub_flow_instances_are_looked_at_in_their_root() {
    let engine = told(scenario::Profile::Documented, false);
    let mut nested = 0;
    for root in roots(&log(&engine)) {
        let debugger = engine.debugger(&root).expect("a debugger");
        for element in debugger.outline().into_iter().filter(|element| element.depth > 0) {
            nested += 1;
            let of_sub_flow = engine.debugger(&element.flow_instance_id).expect("a debugger");
            assert_eq!(of_sub_flow.flow_instance_id(), &root);
        }
    }
    assert!(nested > 5, "{nested}");
}
