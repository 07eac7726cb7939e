//! Why a node instance came to be, and why an instance has not come to an element.

use std::collections::{BTreeMap, BTreeSet};

use flowledger::event::{InstanceCommand, InstanceEvent, InstanceRecord};
use flowledger::{
    Actor, AnyRecord, BlockingEngine, ChangedWay, CommitTaskParam, FlowInstanceId, ForkParam, InstanceQuery,
    NodeInstanceId, ResultCode, RollbackTaskParam, StartProcessParam, ValueAuthorKind, WhyNot,
};
use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::instance::FlowInstance;
use flowledger_tests::differential::drive;
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{Case, calling_case, cases, going_back_case, parallel_case, seeded, serial_case};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::{Outcome, Profile, Session, Step};
use proptest::prelude::*;

use crate::as_of::started_by;
use crate::fixture::{deployed, engine_on, instance_and_task, log, memory, started};

const REVIEWED: &str =
    "start -> ask -> gate; gate -(amount > 100 && country == 'NL')-> review -> end; gate -(default)-> end2";

fn by(operator: &str, mut commit: CommitTaskParam) -> CommitTaskParam {
    commit.options.actor = Some(Actor {
        operator: Some(operator.into()),
        ..Actor::default()
    });
    commit
}

#[test]
fn cause_of_a_task_names_the_records_the_conditions_and_who_wrote_what_they_read() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, REVIEWED);
    let start = StartProcessParam::of_module(module).variable("country", "NL");
    let (instance, ask) = instance_and_task(&engine.start_process(start).expect("started"));
    let commit = CommitTaskParam::new(&instance, &ask).variable("amount", 101);
    let (_, review) = instance_and_task(&engine.commit_task(by("Wu", commit)).expect("committed"));
    let why = engine.why(&instance, review.clone()).expect("told");
    assert_eq!(
        (why.version, &*why.node.model_key, why.until.clone()),
        (2, "review", None)
    );
    let steps = |place: usize| -> Vec<String> {
        let steps = why.causes[place].steps.iter();
        steps.map(|step| step.node.place.to_string()).collect()
    };
    assert_eq!(why.causes.len(), 2);
    assert_eq!(
        (why.causes[0].record.command, steps(0)),
        ("startProcess", vec!["start".into(), "ask".into()])
    );
    assert_eq!(
        (why.causes[1].record.command, steps(1)),
        ("commitTask", vec!["gate".into(), "review".into()])
    );
    assert_eq!(
        why.causes[1].task.as_ref().map(|task| &task.node_instance_id),
        Some(&ask)
    );
    let decision = why.causes[1].steps[0].decision.clone().expect("a decision");
    let [first, second] = &decision.conditions[..] else {
        panic!("{decision:?}");
    };
    assert_eq!(first.condition.as_deref(), Some("amount > 100 && country == 'NL'"));
    assert_eq!((first.held, second.held, second.is_default), (Some(true), None, true));
    assert_eq!(decision.taken, std::slice::from_ref(&first.flow));
    let read: Vec<(String, String, u64, ValueAuthorKind, Option<String>)> = first
        .values
        .iter()
        .map(|seen| {
            let author = seen.author.clone().expect("an author");
            let operator = author.record.operator.map(|by| by.to_string());
            let value = seen.value.as_ref().expect("a value").to_string();
            (seen.key.to_string(), value, author.record.version, author.by, operator)
        })
        .collect();
    let command = ValueAuthorKind::Command;
    assert_eq!(
        read,
        [
            ("amount".into(), "101".into(), 2, command, Some("Wu".into())),
            ("country".into(), "\"NL\"".into(), 1, command, None)
        ]
    );

    // As it was, and after it was gone back over.
    let rolled_back = RollbackTaskParam::new(&instance, &review);
    engine.rollback_task(rolled_back).expect("rolled back");
    let after = engine.why(&instance, review.clone()).expect("told");
    assert_eq!(
        after.until.as_ref().map(|until| (until.version, until.command)),
        Some((3, "rollbackTask"))
    );
    let told = |why: &flowledger::Why| -> Vec<_> {
        let causes = why.causes.iter().flat_map(|cause| {
            let steps = cause.steps.iter();
            steps.map(|step| (cause.record.version, step.node.place.clone(), step.decision.clone()))
        });
        causes.collect()
    };
    assert_eq!(told(&after), told(&why));
    let then = InstanceQuery::new(instance.clone()).as_of(2);
    assert_eq!(engine.why(then, review.clone()).expect("told"), why);
    let then = InstanceQuery::new(instance.clone()).as_of(1);
    let refused = engine.why(then, review).expect_err("not yet there");
    assert_eq!(refused.code(), ResultCode::NodeInstanceNotFound);
}

#[test]
fn cause_behind_a_join_has_the_records_of_all_its_branches() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> fork; fork -> left -> join; fork -> right -> join; join -> last -> end",
    );
    let (instance, ask) = started(&engine, &module);
    engine
        .commit_task(CommitTaskParam::new(&instance, &ask))
        .expect("committed");
    let mut last = None;
    for key in ["right", "left"] {
        let elements = engine.get_history_user_task_list(&instance).expect("tasks");
        let tasks = elements.node_instance_list.iter();
        let task = tasks.into_iter().find(|task| &*task.model_key == key).expect("a task");
        let answer = engine.commit_task(CommitTaskParam::new(&instance, &task.node_instance_id));
        last = answer
            .expect("committed")
            .active_task()
            .map(|task| task.node_instance_id.clone());
    }
    let why = engine.why(&instance, last.expect("a task")).expect("told");
    let tasks: Vec<&str> = why
        .causes
        .iter()
        .filter_map(|cause| cause.task.as_ref())
        .map(|task| &*task.model_key)
        .collect();
    assert_eq!(tasks, ["ask", "right", "left"]);
    assert_eq!(&*why.node.model_key, "last");
}

#[test]
fn cause_of_a_long_loop_has_every_round_and_the_value_of_the_beginning() {
    const ROUNDS: i64 = 1_000;
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(round > 100000 || country == 'NL')-> ask; gate -(default)-> end",
    );
    let start = StartProcessParam::of_module(module).variable("country", "NL");
    let (instance, mut task) = instance_and_task(&engine.start_process(start).expect("started"));
    for round in 0..ROUNDS {
        let commit = CommitTaskParam::new(&instance, &task).variable("round", round);
        task = instance_and_task(&engine.commit_task(commit).expect("committed")).1;
    }
    let why = engine.why(&instance, task).expect("told");
    assert_eq!(why.causes.len(), usize::try_from(ROUNDS).expect("small") + 1);
    let last = why.causes.last().and_then(|cause| cause.steps.first());
    let decision = last.and_then(|step| step.decision.as_ref()).expect("a decision");
    let authors: Vec<u64> = decision.conditions[0]
        .values
        .iter()
        .filter_map(|seen| seen.author.as_ref())
        .map(|author| author.record.version)
        .collect();
    assert_eq!(authors, [ROUNDS.unsigned_abs() + 1, 1]);
}

#[test]
fn smallest_change_is_found_where_one_and_where_two_variables_are_needed() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, REVIEWED);
    for (country, amount, expected) in [
        ("NL", 100, vec![("amount", "101")]),
        ("DE", 500, vec![("country", "\"NL\"")]),
        ("DE", 5, vec![("amount", "101"), ("country", "\"NL\"")]),
    ] {
        let start = StartProcessParam::of_module(module.clone()).variable("country", country);
        let (instance, ask) = instance_and_task(&engine.start_process(start).expect("started"));
        let commit = CommitTaskParam::new(&instance, &ask).variable("amount", amount);
        assert_eq!(engine.commit_task(commit).expect("committed").err_code, 1000);
        let answer = engine.why_not(&instance, "review").expect("told");
        assert_eq!((answer.turns.len(), answer.turns[0].record.version), (1, 2));
        assert!(!answer.is_reached() && answer.before.is_empty());
        let change = answer.change.clone().expect("a change");
        let [step] = &change.steps[..] else {
            panic!("{change:?}")
        };
        assert_eq!(
            (step.version, step.command, step.model_key.as_deref()),
            (2, "commitTask", Some("ask"))
        );
        let mut changed: Vec<(String, String)> = step
            .changed
            .iter()
            .map(|changed| (changed.key.to_string(), changed.would_be.to_string()))
            .collect();
        changed.sort();
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        assert_eq!(changed, expected);
        assert_eq!(change.variables, expected.len());
        assert!(leads_there(&engine, &instance, &answer));
    }
}

#[test]
fn element_ahead_is_reached_by_going_on_and_one_without_a_way_is_not() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(ok == true)-> review -> pay -> end; gate -(default)-> other -> end",
    );
    let (instance, ask) = started(&engine, &module);
    let answer = engine.why_not(&instance, "pay").expect("told");
    assert!(answer.turns.is_empty());
    assert_eq!(
        answer.before.iter().map(|task| &*task.model_key).collect::<Vec<_>>(),
        ["ask"]
    );
    let change = answer.change.clone().expect("a change");
    let steps: Vec<&str> = change
        .steps
        .iter()
        .filter_map(|step| step.model_key.as_deref())
        .collect();
    assert_eq!((change.variables, steps), (1, vec!["ask", "review"]));
    assert!(leads_there(&engine, &instance, &answer));

    // What was reached is not asked about, and `start` no way leads to.
    let commit = CommitTaskParam::new(&instance, &ask).variable("ok", true);
    engine.commit_task(commit).expect("committed");
    assert!(engine.why_not(&instance, "review").expect("told").is_reached());
    let other = engine.why_not(&instance, "other").expect("told");
    assert_eq!(other.change.as_ref().map(|change| change.variables), Some(1));
    assert!(leads_there(&engine, &instance, &other));
    let refused = engine.why_not(&instance, "nowhere").expect_err("unknown");
    assert_eq!(refused.code(), ResultCode::InvalidParam);
    let refused = engine.why_not("nobody", "review").expect_err("unknown");
    assert_eq!(refused.code(), ResultCode::InstanceNotFound);
}

#[test]
fn change_that_no_variable_can_bring_is_searched_to_the_end() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(amount > 5 && amount < 3)-> review -> end; gate -(default)-> end2",
    );
    let (instance, ask) = started(&engine, &module);
    let commit = CommitTaskParam::new(&instance, &ask).variable("amount", 1);
    engine.commit_task(commit).expect("committed");
    let answer = engine.why_not(&instance, "review").expect("told");
    assert_eq!((answer.turns.len(), answer.change, answer.exhausted), (1, None, true));
}

#[test]
fn commit_that_failed_at_a_gateway_is_a_turn_and_what_it_lacked_is_found() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(amount > 100)-> review -> end; gate -(amount <= 100)-> pay -> end",
    );
    let (instance, ask) = started(&engine, &module);
    let commit = CommitTaskParam::new(&instance, &ask).variable("amount", "much");
    engine.commit_task(commit).expect_err("text has no order");
    let answer = engine.why_not(&instance, "pay").expect("told");
    let failed = answer.turns[0].decision.err_code;
    assert!(failed.is_some(), "{answer:?}");
    assert_eq!(answer.change.as_ref().map(|change| change.variables), Some(1));
    assert!(leads_there(&engine, &instance, &answer));
}

/// Carries an answer out by the public operations alone, in a fork of the test's own.
fn leads_there(engine: &BlockingEngine, instance: &FlowInstanceId, answer: &WhyNot) -> bool {
    let Some(ChangedWay { steps, .. }) = &answer.change else {
        return false;
    };
    let mut steps = steps.iter().peekable();
    let base = steps.peek().expect("a step").version - 1;
    let at = InstanceQuery::new(instance.clone()).as_of(base.max(1));
    let fork = engine.fork(ForkParam::new(at)).expect("forked");
    let fork = fork.engine().blocking();
    let before = visits(&fork, instance, &answer.model_key, base > 0);
    let mut instance = instance.clone();
    if base == 0 {
        let start = steps.next().expect("a start");
        assert_eq!(start.command, "startProcess");
        let deployment = fork
            .get_flow_instance(&instance)
            .expect("there")
            .flow_instance_bo
            .flow_deploy_id;
        let mut param = StartProcessParam::of_deployment(deployment);
        param.variables.clone_from(&start.variables);
        instance = fork
            .start_process(param)
            .expect("started")
            .flow_instance_id
            .clone()
            .expect("an instance");
    }
    for step in steps {
        let query = InstanceQuery::new(instance.clone());
        let tasks = fork
            .get_history_user_task_list(query)
            .expect("tasks")
            .node_instance_list;
        let all = open_tasks(&fork, &instance);
        let key = step.model_key.as_deref().expect("a task");
        let task = all.into_iter().find(|(_, of)| of == key).map(|(id, _)| id);
        let task = task.unwrap_or_else(|| panic!("{key} is not open: {tasks:?}"));
        let mut commit = CommitTaskParam::new(&instance, &task);
        commit.variables.clone_from(&step.variables);
        commit.call_activity_flow_module_id = called_module(engine, answer, key);
        let _ = fork.commit_task(commit);
    }
    visits(&fork, &instance, &answer.model_key, true) > before
}

/// The module that the record gave a call activity of this element.
fn called_module(engine: &BlockingEngine, answer: &WhyNot, key: &str) -> Option<String> {
    let records = engine
        .instance_records(answer.flow_instance_id.clone())
        .expect("records");
    let mut keys = BTreeMap::new();
    let mut called = None;
    for record in records.iter().take(usize::try_from(answer.version).expect("small")) {
        let AnyRecord::Instance(record) = &record.record else {
            continue;
        };
        keys.extend(activated(record));
        if let InstanceCommand::CommitTask {
            task_instance_id,
            call_activity_flow_module_id: Some(module),
            ..
        } = &record.given.command
            && keys.get(task_instance_id).is_some_and(|of| of == key)
        {
            called = Some(module.to_string());
        }
    }
    called
}

fn activated(record: &InstanceRecord) -> Vec<(NodeInstanceId, String)> {
    let events = record.events.iter();
    events
        .filter_map(|event| match event {
            InstanceEvent::TaskActivated(visit) => Some((visit.node.clone(), visit.key.to_string())),
            _ => None,
        })
        .collect()
}

fn records_of(engine: &BlockingEngine, instance: &FlowInstanceId) -> Vec<InstanceRecord> {
    let records = engine.instance_records(instance.clone()).expect("records");
    records
        .into_iter()
        .filter_map(|record| match record.record {
            AnyRecord::Instance(record) => Some(record),
            AnyRecord::Module(_) => None,
        })
        .collect()
}

fn state(engine: &BlockingEngine, instance: &FlowInstanceId) -> FlowInstance {
    let mut state = FlowInstance::default();
    for record in records_of(engine, instance) {
        state.apply_record(&record);
    }
    state
}

/// The open tasks with their elements, oldest first, those of sub flows among them.
fn open_tasks(engine: &BlockingEngine, instance: &FlowInstanceId) -> Vec<(NodeInstanceId, String)> {
    let state = state(engine, instance);
    state
        .active_tasks()
        .into_iter()
        .map(|task| (task.id.clone(), task.key.to_string()))
        .collect()
}

/// How many visits of an element count.
fn visits(engine: &BlockingEngine, instance: &FlowInstanceId, key: &str, is_there: bool) -> usize {
    if !is_there {
        return 0;
    }
    state(engine, instance)
        .nodes()
        .filter(|node| &*node.key == key && ![3, 4].contains(&node.status.number()))
        .count()
}

/// What holds for every node instance and every element of every instance of an engine. The number of causes and changes.
fn every_answer_holds(engine: &BlockingEngine, step: usize) -> Result<(usize, usize), String> {
    let (mut causes, mut changes) = (0, 0);
    for record in log(engine)
        .iter()
        .filter(|record| record.record.envelope().version == 1)
    {
        let Some(instance) = started_by(record) else { continue };
        let records = records_of(engine, &instance);
        for node in state(engine, &instance).nodes() {
            let why = engine.why(&instance, node.id.clone()).map_err(|e| e.to_string())?;
            causes += why.causes.len();
            cause_holds(&why, &records)?;
        }
        let outline = engine.debugger(&instance).map_err(|e| e.to_string())?.outline();
        let keys: BTreeSet<&str> = outline.iter().map(|element| &*element.model_key).collect();
        // Some of them: a search is up to some hundred forks.
        for key in keys.into_iter().step_by(step) {
            let answer = engine.why_not(&instance, key).map_err(|e| format!("{key}: {e}"))?;
            if answer.change.is_some() {
                changes += 1;
                if answer.is_reached() || !leads_there(engine, &instance, &answer) {
                    return Err(format!("{key} is not reached by {:?}", answer.change));
                }
            }
        }
    }
    Ok((causes, changes))
}

fn cause_holds(why: &flowledger::Why, records: &[InstanceRecord]) -> Result<(), String> {
    let versions: Vec<u64> = why.causes.iter().map(|cause| cause.record.version).collect();
    if versions.first() != Some(&1) || !versions.is_sorted() {
        return Err(format!("causes {versions:?} of {:?}", why.node));
    }
    let steps: Vec<_> = why.causes.iter().flat_map(|cause| &cause.steps).collect();
    if !steps
        .iter()
        .any(|step| step.node.node_instance_id == why.node.node_instance_id)
    {
        return Err(format!("{:?} is not among its own causes", why.node));
    }
    for cause in &why.causes {
        for seen in cause
            .steps
            .iter()
            .filter_map(|step| step.decision.as_ref())
            .flat_map(|decision| &decision.conditions)
            .flat_map(|condition| &condition.values)
        {
            let Some(author) = seen.author.as_ref() else {
                if seen.value.is_some() {
                    return Err(format!("nobody wrote {seen:?}"));
                }
                continue;
            };
            let record = &records[usize::try_from(author.record.version - 1).expect("small")];
            let given = record.given.command.variables().iter().rev();
            let given = given.clone().find(|given| given.key == seen.key);
            if author.record.version > cause.record.version
                || author.by == ValueAuthorKind::Command && given.map(|given| &given.value) != seen.value.as_ref()
            {
                return Err(format!("{seen:?} was not written so in {:?}", record.given));
            }
        }
    }
    Ok(())
}

#[test]
fn every_answer_holds_on_the_golden_logs() {
    for (name, profile, own_ids) in KINDS {
        let (causes, changes) =
            every_answer_holds(&told(profile, own_ids), 1).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(causes > 100 && changes > 5, "{name}: {causes} {changes}");
    }
}

fn case_holds(case: &Case, profile: Profile) -> Result<(usize, usize), String> {
    let mut session = Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows);
    let mut follower = |step: &Step, _: &Outcome| {
        session.step(step);
        Ok(())
    };
    drive(case, profile, &mut follower)?;
    every_answer_holds(session.subject.engine(), 4)
}

#[test]
fn every_answer_holds_on_random_logs() {
    let mut changes = 0;
    for seed in 0..2 {
        for case in [
            seeded(&serial_case(), seed),
            seeded(&calling_case(), seed),
            seeded(&parallel_case(), seed),
            seeded(&going_back_case(), seed),
        ] {
            for profile in Profile::ALL {
                changes += case_holds(&case, profile)
                    .unwrap_or_else(|problem| panic!("seed {seed} {problem}"))
                    .1;
            }
        }
    }
    assert!(changes > 10, "{changes}");
    let case = prop_oneof![serial_case(), calling_case(), parallel_case(), going_back_case()];
    proptest!(ProptestConfig::with_cases(cases(2)), |(case in case)| {
        for profile in Profile::ALL {
            case_holds(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}
