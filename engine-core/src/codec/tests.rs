//! Records that are written and read again, by hand and at random; and bytes that are no records.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::id::{IdKind, IdScope, NodeInstanceId};
use crate::value::{MAX_DEPTH, Value};
use crate::variables::InstanceData;

const STREAM: [u8; 16] = [7; 16];

fn record(command: InstanceCommand, events: Vec<InstanceEvent>) -> InstanceRecord {
    let envelope = Envelope {
        stream: STREAM,
        version: 3,
        command_id: CommandId::new("commit-1"),
        recorded_at: Timestamp::from_millis(1_600_000_000_000),
        actor: Actor::default(),
        reason: None,
        plug_ins: Vec::new(),
    };
    Record {
        given: Given { envelope, command },
        events,
    }
}

fn derived(number: u32) -> NodeInstanceId {
    IdScope::new(&CommandId::new("commit-1"), Some(STREAM))
        .id(IdKind::NodeInstance, number)
        .into()
}

fn rollback(superseded: Vec<NodeInstanceId>) -> InstanceRecord {
    let event = InstanceEvent::TaskRolledBack {
        superseded,
        reopened: Vec::new(),
        resumed: Vec::new(),
        terminated: Vec::new(),
        compensations: Vec::new(),
    };
    record(InstanceCommand::RedoRollback, vec![event])
}

fn commit(value: Value) -> InstanceRecord {
    record(
        InstanceCommand::CommitTask {
            task_instance_id: derived(0),
            variables: vec![InstanceData {
                key: "days".into(),
                data_type: None,
                value,
            }],
            call_activity_flow_module_id: None,
        },
        vec![InstanceEvent::FlowCompleted],
    )
}

fn again(record: &InstanceRecord) -> InstanceRecord {
    let bytes = encode_instance(record).unwrap();
    match decode(&bytes).unwrap() {
        AnyRecord::Instance(record) => record,
        AnyRecord::Module(_) => panic!("of another kind"),
    }
}

#[test]
fn record_has_these_bytes() {
    let task = NodeInstanceId::new("00112233-4455-6677-8899-aabbccddeeff");
    let command = InstanceCommand::CommitTask {
        task_instance_id: task.clone(),
        variables: vec![InstanceData::new("days", 5)],
        call_activity_flow_module_id: None,
    };
    let committed = InstanceEvent::TaskCommitted { node: task, data: None };
    let visit = crate::event::NodeVisit {
        node: derived(0),
        key: "end".into(),
        element_type: 3,
        source: None,
        branch: None,
    };
    let record = record(command, vec![committed, InstanceEvent::EventPassed(visit)]);
    let mut expected = vec![0x88, 0x01, 0x50];
    expected.extend(STREAM);
    expected.extend([0x03, 0x68]);
    expected.extend(b"commit-1");
    // The time, that it is of an instance, and the command: its number, the task in full, one variable.
    expected.extend([0x1b, 0, 0, 0x01, 0x74, 0x87, 0x6e, 0x80, 0x00, 0x01, 0x83, 0x01, 0x50]);
    expected.extend([
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
    ]);
    expected.extend([0x81, 0x82, 0x64, b'd', b'a', b'y', b's', 0x05]);
    // Two events: the task by reference; a new node instance by number.
    expected.extend([
        0x82, 0x82, 0x0c, 0x21, 0x82, 0x01, 0x83, 0x00, 0x63, b'e', b'n', b'd', 0x03,
    ]);
    assert_eq!(encode_instance(&record).unwrap(), expected);
    assert_eq!(again(&record), record);
}

#[test]
fn ids_stand_once_in_full() {
    let foreign = |number: u32| NodeInstanceId::new(&format!("node {number}"));
    let long = |range: std::ops::Range<u32>| range.map(foreign).collect::<Vec<_>>();
    let once = encode_instance(&rollback(long(0..40))).unwrap().len();
    let twice = encode_instance(&rollback([long(0..40), long(0..40)].concat()))
        .unwrap()
        .len();
    assert_eq!(
        twice,
        once + 2 * 40 - 23,
        "a reference takes one byte, from the 24th on two"
    );
    // More than can be referred to, each twice.
    let many = rollback([long(0..200), long(0..200), vec![derived(1), derived(300), derived(1)]].concat());
    assert_eq!(again(&many), many);
}

#[test]
fn no_value_and_null_are_told_apart() {
    let stepped = |payload| {
        record(
            InstanceCommand::RedoRollback,
            vec![InstanceEvent::PlugInStepped {
                node: derived(0),
                plug_in: PlugInName {
                    name: "timer".into(),
                    version: "1".into(),
                },
                waits: true,
                data: None,
                variables: Vec::new(),
                payload,
                way_back: crate::event::PlugInWayBack::On,
            }],
        )
    };
    for payload in [None, Some(Value::Null), Some(Value::Int(-1))] {
        let record = stepped(payload);
        assert_eq!(again(&record), record);
    }
}

#[test]
fn envelope_keeps_what_may_be_absent() {
    let mut record = commit(Value::Null);
    record.given.envelope.actor.operator = Some("Lin".into());
    assert_eq!(again(&record), record);
    record.given.envelope.reason = Some("as agreed".into());
    assert_eq!(again(&record), record);
    record.given.envelope.actor = Actor::default();
    assert_eq!(again(&record), record);
    record.given.envelope.reason = None;
    record.given.envelope.plug_ins = vec![PlugInName {
        name: "own-ids".into(),
        version: "1".into(),
    }];
    assert_eq!(again(&record), record);
}

#[test]
fn newer_schema_is_told_apart_from_damage() {
    let mut bytes = encode_instance(&commit(Value::Null)).unwrap();
    bytes[1] = 2;
    assert!(matches!(decode(&bytes), Err(CodecError::NewerSchema { found: 2 })));
    bytes[1] = 1;
    bytes.push(0);
    assert!(matches!(decode(&bytes), Err(CodecError::Unreadable(_))));
}

#[test]
fn further_members_are_passed_over() {
    let record = commit(Value::Null);
    let mut bytes = encode_instance(&record).unwrap();
    // An actor with four members, no reason, no plug-ins, and something that nobody knows.
    bytes[0] = 0x8c;
    bytes.extend([0x84, 0xf6, 0xf6, 0xf6, 0x07, 0xf6, 0x80, 0xa1, 0x01, 0x82, 0x02, 0x03]);
    assert!(matches!(decode(&bytes), Ok(AnyRecord::Instance(read)) if read == record));
}

#[test]
fn record_that_was_cut_is_unreadable() {
    let bytes = encode_instance(&commit(Value::from(vec![Value::from("x"), Value::Null]))).unwrap();
    for length in 0..bytes.len() {
        assert!(matches!(decode(&bytes[..length]), Err(CodecError::Unreadable(_))));
    }
}

#[test]
fn nesting_has_an_end() {
    let nested = |depth| (0..depth).fold(Value::Null, |value, _| Value::from(vec![value]));
    let deepest = commit(nested(MAX_DEPTH));
    assert_eq!(again(&deepest), deepest);
    for depth in [MAX_DEPTH + 1, 200_000] {
        // Written by hand: the engine refuses such values, and dropping one would overflow the stack.
        let mut bytes = encode_instance(&commit(Value::Null)).unwrap();
        let place = bytes.len() - 4;
        assert_eq!(bytes[place], 0xf6);
        bytes.splice(place..place, std::iter::repeat_n(0x81, depth));
        assert!(matches!(decode(&bytes), Err(CodecError::Unreadable(_))));
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,20})?(e[0-9]{1,4})?".prop_map(|text| Value::number(&text).unwrap()),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}".prop_map(Arc::from), inner, 0..5)
                .prop_map(|entries| Value::Map(Arc::new(entries))),
        ]
    })
}

proptest! {
    #[test]
    fn every_value_is_read_back(value in value()) {
        let record = commit(value.settled());
        prop_assert_eq!(again(&record), record);
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_change_gives_a_record_or_an_error(value in value(), place in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = encode_instance(&commit(value.settled())).unwrap();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Ok(AnyRecord::Instance(record)) = decode(&bytes) {
            prop_assert_eq!(again(&record), record);
        }
    }
}
