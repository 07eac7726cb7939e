//! Every release reads the logs of all releases before it as they were read then.

use std::collections::BTreeSet;

use flowledger::store::{Append, MemoryStore, Revision, Store, StreamId};
use flowledger::{BlockingEngine, Engine, StateCertificate, Value};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::Profile;

/// The names of the variants of an enum in `event.rs`, as JSON has them.
fn variants(name: &str) -> BTreeSet<String> {
    let source = include_str!("../../engine-core/src/event.rs");
    let body = source
        .split(&format!("pub enum {name} {{"))
        .nth(1)
        .expect("the enum is there");
    let body = body.split("\n}").next().expect("it ends");
    let is_name =
        |line: &&str| line.starts_with("    ") && line[4..].starts_with(|first: char| first.is_ascii_uppercase());
    let names = body.lines().filter(is_name).map(|line| {
        let name: String = line.trim().chars().take_while(char::is_ascii_alphanumeric).collect();
        name[..1].to_lowercase() + &name[1..]
    });
    names.collect()
}

/// What commands and events of a log are named.
fn names(engine: &BlockingEngine) -> BTreeSet<String> {
    let member = |value: &Value, name: &str| match value {
        Value::Map(members) => members.get(name).cloned(),
        _ => None,
    };
    let name = |value: &Value| match value {
        Value::Map(members) => members.keys().next().map(ToString::to_string),
        Value::Text(name) => Some(name.to_string()),
        _ => None,
    };
    let mut names = BTreeSet::new();
    for record in engine.log_records(0, usize::MAX).expect("the log can be read") {
        let json = Value::from_json(&record.to_json().expect("JSON")).expect("JSON");
        let body = member(&json, "body").expect("a record has a body");
        let body = ["module", "instance"]
            .iter()
            .find_map(|kind| member(&body, kind))
            .expect("of a kind");
        names.extend(name(&member(&body, "command").expect("a command")));
        if let Some(Value::List(events)) = member(&body, "events") {
            names.extend(events.iter().filter_map(name));
        }
    }
    names
}

#[test]
fn stories_give_every_command_and_cause_every_event() {
    let all: BTreeSet<String> = ["ModuleCommand", "ModuleEvent", "InstanceCommand", "InstanceEvent"]
        .into_iter()
        .flat_map(variants)
        .collect();
    assert!(all.contains("branchesJoined") && all.contains("commitTask"), "{all:?}");
    for (name, profile, own_ids) in KINDS {
        let told = names(&told(profile, own_ids));
        let missing: Vec<&String> = all.difference(&told).collect();
        assert!(missing.is_empty(), "{name} lacks {missing:?}");
    }
}

/// An engine that was fed the first records of another.
fn fed(engine: &BlockingEngine, size: u64) -> BlockingEngine {
    let store: Store = MemoryStore::new().into();
    let records = engine.log_records(0, usize::MAX).expect("the log can be read");
    let items = records
        .iter()
        .take_while(|record| record.position <= size)
        .map(|record| {
            let envelope = record.record.envelope();
            Append {
                stream: StreamId::from_bytes(envelope.stream),
                expected: Revision::new(envelope.version - 1),
                record: record.bytes.clone(),
            }
        });
    let stored = pollster::block_on(store.events.append(items.collect()));
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    let engine = Engine::builder().store(store).open();
    engine.expect("an engine opens on a store in memory").blocking()
}

#[test]
fn state_root_of_a_part_is_that_of_an_engine_that_has_only_this_part() {
    for (name, profile, own_ids) in KINDS {
        let engine = told(profile, own_ids);
        let mut streams = BTreeSet::new();
        let whole = engine
            .certify(None, |state| {
                streams.insert(state.state);
            })
            .expect("certified");
        assert_eq!(
            streams.len() as u64,
            whole.streams,
            "{name}: no two streams fold to the same"
        );
        for size in (0..whole.size).step_by(7).chain([whole.size]) {
            let part = engine.certify(Some(size), |_| {}).expect("certified");
            let alone = fed(&engine, size).certify(None, |_| {}).expect("certified");
            assert_eq!(part, alone, "{name}");
            assert_eq!(part.difference(&whole).is_none(), size == whole.size, "{name}");
        }
        let ahead = engine
            .certify(Some(whole.size + 1), |_| {})
            .map_err(|error| error.err_code());
        assert_eq!(ahead, Err(2001));
    }
}

#[test]
fn every_difference_of_certificates_is_told() {
    let certificate = told(Profile::Documented, false)
        .certify(None, |_| {})
        .expect("certified");
    let other = |change: fn(&mut StateCertificate)| {
        let mut other = certificate.clone();
        change(&mut other);
        certificate.difference(&other).unwrap_or_default()
    };
    assert_eq!(other(|_| {}), "");
    for (told, change) in [
        ("form", (|other| other.form += 1) as fn(&mut StateCertificate)),
        ("number of records", |other| other.size += 1),
        ("records are others", |other| other.root.clear()),
        ("number of streams", |other| other.streams += 1),
        ("read differently", |other| other.state_root.clear()),
    ] {
        assert!(other(change).contains(told), "{told}");
    }
}
