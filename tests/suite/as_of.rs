//! Queries of the past answer as an engine that has only the records up to there.

use std::collections::{BTreeMap, BTreeSet};

use flowledger::event::InstanceEvent;
use flowledger::{
    AnyRecord, AsOf, BlockingEngine, ElementInstance, Engine, EngineError, FlowInstanceId, InstanceFilter,
    InstanceQuery, ListParam, LogRecord, ModuleFilter, NodeInstanceId, Profile, Timestamp,
};
use flowledger_tests::differential::drive;
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{Case, calling_case, cases, going_back_case, parallel_case, seeded, serial_case};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::{self, Outcome, Session, Step};
use proptest::prelude::*;
use serde::Serialize;

use crate::fixture::{LINE, deployed, engine_on, log, memory, opened, started, store_of};

/// An instance with all its sub flows and node instances, as far as it has come.
struct Instance {
    flows: BTreeSet<FlowInstanceId>,
    nodes: BTreeSet<NodeInstanceId>,
}

impl Instance {
    fn of(engine: &BlockingEngine, root: &FlowInstanceId) -> Self {
        let mut found = Self {
            flows: BTreeSet::from([root.clone()]),
            nodes: BTreeSet::new(),
        };
        let elements = engine.get_history_element_list(root).expect("a history");
        found.collect(engine, root, elements.element_instance_list);
        found
    }

    fn collect(&mut self, engine: &BlockingEngine, root: &FlowInstanceId, elements: Vec<ElementInstance>) {
        for element in elements {
            let Some(node) = element.node_instance_id else { continue };
            if !self.nodes.insert(node.clone()) {
                continue;
            }
            let visit = engine.get_node_instance(root, node).expect("a node").node_instance;
            self.flows.extend(visit.sub_flow_instance_id_list.into_iter().flatten());
            self.collect(engine, root, element.sub_element_instance_list.unwrap_or_default());
        }
    }

    /// What every query answers, as JSON text; of an error, what is answered for it.
    fn answers(&self, engine: &BlockingEngine, as_of: Option<AsOf>) -> Vec<String> {
        let mut answers = Vec::new();
        for flow in &self.flows {
            for effective in [true, false] {
                let query = InstanceQuery {
                    as_of,
                    ..InstanceQuery::new(flow.clone()).effective_for_sub_flow_instance(effective)
                };
                answers.push(text(engine.get_history_user_task_list(query.clone())));
                answers.push(text(engine.get_history_element_list(query.clone())));
                answers.push(text(engine.get_instance_data(query.clone())));
                answers.push(text(engine.get_flow_instance(query.clone())));
                answers.push(text(engine.get_rollback_targets(query.clone())));
                for node in &self.nodes {
                    answers.push(text(engine.get_node_instance(query.clone(), node.clone())));
                }
            }
        }
        answers
    }
}

fn text(answer: Result<impl Serialize, EngineError>) -> String {
    match answer {
        Ok(answer) => serde_json::to_string(&answer),
        Err(error) => serde_json::to_string(&error.envelope()),
    }
    .expect("JSON")
}

/// An engine that has only these records.
fn fed(records: &[LogRecord], profile: scenario::Profile) -> BlockingEngine {
    let profile = match profile {
        scenario::Profile::Documented => Profile::Documented,
        scenario::Profile::Turbo131 => Profile::Turbo131,
    };
    opened(Engine::builder().profile(profile).store(store_of(records)))
}

/// The instance that a record starts.
pub(crate) fn started_by(record: &LogRecord) -> Option<FlowInstanceId> {
    match &record.record {
        AnyRecord::Instance(record) => record.events.iter().find_map(|event| match event {
            InstanceEvent::FlowStarted { flow_instance_id, .. } => Some(flow_instance_id.clone()),
            _ => None,
        }),
        AnyRecord::Module(_) => None,
    }
}

/// Compares every query at every version and at every time with an engine that is fed the records up to there.
fn past_is_what_it_was(
    records: &[LogRecord],
    engine: &dyn Fn(&[LogRecord]) -> BlockingEngine,
) -> Result<usize, String> {
    let whole = engine(records);
    let mut compared = 0;
    let mut roots = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        let envelope = record.record.envelope();
        if envelope.version == 1 {
            roots.extend(started_by(record).map(|root| (envelope.stream, root)));
        }
        let Some(root) = roots.get(&envelope.stream).cloned() else {
            continue;
        };
        let instance = Instance::of(&whole, &root);
        let fed = engine(&records[..=place]);
        let then = instance.answers(&fed, None);
        for as_of in [AsOf::Version(envelope.version), AsOf::Time(envelope.recorded_at)] {
            // Two records of one time: the later one counts.
            let is_last = records[place + 1..].iter().all(|later| {
                let later = later.record.envelope();
                later.stream != envelope.stream || later.recorded_at > envelope.recorded_at
            });
            if matches!(as_of, AsOf::Time(_)) && !is_last {
                continue;
            }
            let now = instance.answers(&whole, Some(as_of));
            compared += now.len();
            if let Some((then, now)) = then.iter().zip(&now).find(|(then, now)| then != now) {
                return Err(format!("{root} as of {as_of}:\n{now}\nwas\n{then}"));
            }
        }
        if envelope.version == 1 {
            let before = engine(&records[..place]);
            let then = instance.answers(&before, None);
            let early = AsOf::Time(Timestamp::from_millis(envelope.recorded_at.millis() - 1));
            for as_of in [AsOf::Version(0), early] {
                let now = instance.answers(&whole, Some(as_of));
                if then != now {
                    return Err(format!("{root} before it was: {now:?} was {then:?}"));
                }
            }
        }
    }
    Ok(compared)
}

#[test]
fn every_query_of_every_version_is_that_of_an_engine_with_the_records_up_to_there() {
    for (name, profile, own_ids) in KINDS {
        let records = log(&told(profile, own_ids));
        let compared =
            past_is_what_it_was(&records, &|records| fed(records, profile)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(compared > 4_000, "{name}: {compared}");
    }
}

/// The property for the log that a case leaves.
fn case_is_what_it_was(case: &Case, profile: scenario::Profile) -> Result<(), String> {
    let mut session = Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows);
    let mut follower = |step: &Step, _: &Outcome| {
        session.step(step);
        Ok(())
    };
    drive(case, profile, &mut follower)?;
    past_is_what_it_was(&session.subject.records(), &|records| fed(records, profile)).map(drop)
}

#[test]
fn random_logs_are_at_every_version_what_they_were() {
    for seed in 0..2 {
        for case in [
            seeded(&serial_case(), seed),
            seeded(&calling_case(), seed),
            seeded(&parallel_case(), seed),
            seeded(&going_back_case(), seed),
        ] {
            for profile in scenario::Profile::ALL {
                case_is_what_it_was(&case, profile).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
            }
        }
    }
    let case = prop_oneof![serial_case(), calling_case(), parallel_case(), going_back_case()];
    proptest!(ProptestConfig::with_cases(cases(4)), |(case in case)| {
        for profile in scenario::Profile::ALL {
            case_is_what_it_was(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}

#[test]
fn version_that_lies_ahead_is_refused() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, LINE);
    let (instance, _) = started(&engine, &module);
    let at = |as_of| engine.get_flow_instance(InstanceQuery::new(instance.clone()).as_of(as_of));
    let now = engine.get_flow_instance(&instance).expect("it is there");
    assert_eq!(at(AsOf::Version(now.version)).expect("it is there"), now);
    let ahead = at(AsOf::Version(now.version + 1)).expect_err("it has not come so far");
    assert_eq!(ahead.err_code(), 7417, "{ahead}");
    // What is recorded until then nobody knows; so far it is this.
    let later = Timestamp::from_millis(4_102_444_800_000);
    assert_eq!(at(AsOf::Time(later)).expect("it is there"), now);
    let unknown = InstanceQuery::new("7b223af7-a18a-822e-9e4b-2844e5dbe8d8").as_of(AsOf::Version(5));
    assert_eq!(engine.get_flow_instance(unknown).expect_err("unknown").err_code(), 4008);
}

#[test]
fn lists_as_of_a_time_are_those_of_then() {
    let records = log(&told(KINDS[0].1, false));
    let whole = engine_on(&store_of(&records));
    let page = ListParam {
        limit: Some(1_000),
        ..ListParam::default()
    };
    for place in (0..records.len()).step_by(5) {
        let time = records[place].record.envelope().recorded_at;
        let fed = engine_on(&store_of(&records[..=place]));
        let modules = |engine: &BlockingEngine, as_of| {
            let list = engine.list_flow_modules(&ModuleFilter { as_of }, page).expect("a list");
            serde_json::to_string(&list.flow_modules).expect("JSON")
        };
        assert_eq!(modules(&whole, Some(time)), modules(&fed, None), "as of {time}");
        let instances = |engine: &BlockingEngine, as_of| {
            let filter = InstanceFilter {
                as_of,
                ..InstanceFilter::default()
            };
            let list = engine.list_flow_instances(&filter, page).expect("a list");
            serde_json::to_string(&list.flow_instances).expect("JSON")
        };
        assert_eq!(instances(&whole, Some(time)), instances(&fed, None), "as of {time}");
    }
}
