//! Every release reads the logs of all releases before it as they were read then.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use flowledger::{AnyRecord, BlockingEngine, Engine, StateCertificate, Value};
use flowledger_engine_core::codec;
use flowledger_tests::cddl::{Item, Schema};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::Profile;

use crate::fixture::{engine_on, log, store_of};

/// The golden logs of all releases, without their endings.
fn golden_logs() -> Vec<PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");
    let entries = |path| {
        fs::read_dir(path)
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").path())
    };
    let mut logs: Vec<PathBuf> = entries(PathBuf::from(folder))
        .flat_map(entries)
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .map(|path| path.with_extension(""))
        .collect();
    logs.sort();
    logs
}

#[test]
fn golden_logs_are_read_as_they_were_when_they_were_written() {
    let logs = golden_logs();
    assert!(logs.len() >= KINDS.len(), "{logs:?}");
    for log in logs {
        let shown = log.display();
        let path = PathBuf::from(format!("{shown}.jsonl"));
        let engine = Engine::builder().copy(&path).open();
        let engine = engine.unwrap_or_else(|error| panic!("{shown}: {error}")).blocking();
        let known = fs::read_to_string(format!("{shown}.json")).expect("its certificate");
        let known: StateCertificate = serde_json::from_str(&known).expect("a certificate");
        let certificate = engine.certify(None, |_| {}).expect("certified");
        assert_eq!(known.difference(&certificate), None, "{shown}");
        let mut export = Vec::new();
        engine.export(&mut export, |_| {}).expect("exported");
        assert!(
            export == fs::read(&path).expect("read"),
            "{shown}: its export is another one"
        );
    }
}

#[test]
fn records_of_this_schema_are_written_as_they_were() {
    for log in golden_logs() {
        let path = format!("{}.jsonl", log.display());
        let engine = Engine::builder().copy(&path).open().expect("it can be read").blocking();
        for record in engine.log_records(0, usize::MAX).expect("the log can be read") {
            let written = match &record.record {
                AnyRecord::Module(record) => codec::encode_module(record),
                AnyRecord::Instance(record) => codec::encode_instance(record),
            };
            assert_eq!(
                written.expect("written"),
                &*record.bytes,
                "{path}, position {}",
                record.position
            );
        }
    }
}

#[test]
fn every_record_has_the_form_of_the_schema() {
    let schema = Schema::of(include_str!("../../docs/record.cddl"));
    let (mut items, mut refused) = (0, 0);
    for log in golden_logs() {
        let path = format!("{}.jsonl", log.display());
        let engine = Engine::builder().copy(&path).open().expect("it can be read").blocking();
        for record in engine.log_records(0, usize::MAX).expect("the log can be read") {
            let item = Item::of(&record.bytes).expect("a record is one item");
            let position = record.position;
            assert!(schema.allows("record", &item), "{path}, position {position}: {item:?}");
            for place in 0..item.len() {
                // What no record has is allowed nowhere, neither in the place of an item nor behind it.
                let mut other = item.clone();
                *other.at(place).expect("an item") = Item::Other;
                items += 1;
                refused += usize::from(!schema.allows("record", &other));
                let mut longer = item.clone();
                if let Some(Item::Array(array)) = longer.at(place) {
                    array.push(Item::Other);
                    items += 1;
                    refused += usize::from(!schema.allows("record", &longer));
                }
            }
        }
    }
    assert!(items > 10_000, "{items}");
    assert_eq!(refused, items);
}

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
    let mut records = log(engine);
    records.retain(|record| record.position <= size);
    engine_on(&store_of(&records))
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
