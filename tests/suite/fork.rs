//! Forks: what was recorded is recorded again, other commits lead elsewhere, and the store knows nothing of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use flowledger::{
    AnyRecord, AsOf, BlockingEngine, CommitTaskParam, DeployModel, Engine, FlowInstanceId, ForkParam, InstanceData,
    InstanceQuery, LogRecord, ResultCode, RollbackTaskParam, StartProcessParam, StateCertificate,
};
use flowledger_tests::differential::drive;
use flowledger_tests::engine_subject::EngineSubject;
use flowledger_tests::generate::{Case, calling_case, cases, going_back_case, parallel_case, seeded, serial_case};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::scenario::{Outcome, Profile, Session, Step};
use flowledger_tests::sketch::flow;
use proptest::prelude::*;

use crate::as_of::started_by;
use crate::fixture::{LINE, deployed, engine_on, instance_and_task, log, memory, opened, started};

fn certificate(engine: &BlockingEngine) -> StateCertificate {
    engine.certify(None, |_| {}).expect("certified")
}

/// Every instance of a log with the number of its records.
fn instances(records: &[LogRecord]) -> Vec<(FlowInstanceId, u64)> {
    let mut roots = BTreeMap::new();
    let mut lengths: BTreeMap<[u8; 16], u64> = BTreeMap::new();
    for record in records {
        let envelope = record.record.envelope();
        if matches!(record.record, AnyRecord::Instance(_)) {
            if envelope.version == 1 {
                roots.extend(started_by(record).map(|root| (envelope.stream, root)));
            }
            *lengths.entry(envelope.stream).or_default() += 1;
        }
    }
    let of = |(stream, length)| Some((roots.get(&stream)?.clone(), length));
    lengths.into_iter().filter_map(of).collect()
}

/// Forks every instance at every version and gives it the rest of its commands; how many forks.
fn forks_repeat_the_original(engine: &BlockingEngine) -> Result<usize, String> {
    let before = certificate(engine);
    let mut forks = 0;
    for (instance, length) in instances(&log(engine)) {
        for version in 1..=length {
            let param = ForkParam::new(InstanceQuery::new(instance.clone()).as_of(version));
            let fork = engine.fork(param).expect("forked");
            let replay = pollster::block_on(fork.replay()).expect("replayed");
            if let Some(difference) = replay.difference {
                return Err(format!("{instance} forked at {version}: {difference:#?}"));
            }
            assert_eq!(replay.equal, length - version);
            forks += 1;
        }
    }
    assert_eq!(certificate(engine), before, "the store is as it was");
    Ok(forks)
}

#[test]
fn unchanged_forks_record_what_the_original_did() {
    for (name, profile, own_ids) in KINDS {
        let forks = forks_repeat_the_original(&told(profile, own_ids)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(forks > 50, "{name}: {forks}");
    }
}

fn case_is_repeated(case: &Case, profile: Profile) -> Result<(), String> {
    let mut session = Session::new(EngineSubject::new(profile, &case.hook_answer), &case.flows);
    let mut follower = |step: &Step, _: &Outcome| {
        session.step(step);
        Ok(())
    };
    drive(case, profile, &mut follower)?;
    forks_repeat_the_original(session.subject.engine()).map(drop)
}

#[test]
fn unchanged_forks_of_random_logs_record_what_the_original_did() {
    for seed in 0..4 {
        for case in [
            seeded(&serial_case(), seed),
            seeded(&calling_case(), seed),
            seeded(&parallel_case(), seed),
            seeded(&going_back_case(), seed),
        ] {
            for profile in Profile::ALL {
                case_is_repeated(&case, profile).unwrap_or_else(|problem| panic!("seed {seed} {problem}"));
            }
        }
    }
    let case = prop_oneof![serial_case(), calling_case(), parallel_case(), going_back_case()];
    proptest!(ProptestConfig::with_cases(cases(8)), |(case in case)| {
        for profile in Profile::ALL {
            case_is_repeated(&case, profile).map_err(TestCaseError::fail)?;
        }
    });
}

#[test]
fn fork_hears_again_what_hooks_said_in_a_called_flow_that_failed() {
    let asked = AtomicUsize::new(0);
    let engine = opened(Engine::builder().in_memory().hook_fn("moods", move |_| {
        let mood = if asked.fetch_add(1, Ordering::Relaxed) == 0 {
            "bad"
        } else {
            "good"
        };
        Ok(vec![InstanceData::new("mood", mood)])
    }));
    // The call fails at a gateway behind the one that asks; nothing of the called flow is on the record but the answer.
    let sub = deployed(
        &engine,
        "start -> gate[hookInfoIds=h]; gate -(default)-> gate2; gate2 -(mood == 'good')-> inner -> end",
    );
    let module = deployed(&engine, "start -> call -> end");
    let (instance, call) = started(&engine, &module);
    let mut commit = CommitTaskParam::new(&instance, &call);
    commit.call_activity_flow_module_id = Some(sub.to_string());
    let failed = engine.commit_task(commit.clone()).expect_err("a bad mood");
    assert_eq!(failed.code(), ResultCode::NoOutgoingMatches);
    engine.commit_task(commit).expect("a good mood");
    let at = InstanceQuery::new(instance).as_of(1);
    let replay = engine.fork(ForkParam::new(at)).expect("forked");
    let replay = pollster::block_on(replay.replay()).expect("replayed");
    assert_eq!((replay.equal, replay.difference), (2, None));
}

#[test]
fn fork_goes_its_own_way_and_the_original_another() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(days > 3)-> approve -> end; gate -(days <= 3)-> end",
    );
    let (instance, ask) = started(&engine, &module);
    let commit = |days: i64| CommitTaskParam::new(&instance, &ask).variable("days", days);
    let answer = engine.commit_task(commit(5)).expect("committed");
    assert_eq!(answer.err_code, 1002);
    let before = certificate(&engine);

    let fork = engine
        .fork(ForkParam::new(InstanceQuery::new(instance.clone()).as_of(1)))
        .expect("forked");
    let other = fork.engine().blocking();
    assert_eq!(fork.version(), 1);
    assert_eq!(other.commit_task(commit(2)).expect("committed").err_code, 1000);
    assert_eq!(other.get_flow_instance(&instance).expect("there").version, 2);
    // Everything works in it: another instance, another deployment, a fork of the fork.
    let (second, _) = started(&other, &module);
    assert_eq!(other.get_flow_instance(&second).expect("there").version, 1);
    let model = flow("main", LINE).flow_model.to_string();
    other.deploy_model(DeployModel::new("line", &model)).expect("deployed");
    let again = other.fork(ForkParam::new(&instance)).expect("forked");
    let back = again.engine().blocking();
    assert_eq!(
        back.get_flow_instance(&instance)
            .expect("there")
            .flow_instance_bo
            .status,
        1
    );

    let (_, approve) = instance_and_task(&answer);
    engine
        .rollback_task(RollbackTaskParam::new(&instance, &approve))
        .expect("rolled back");
    assert_eq!(engine.get_flow_instance(&instance).expect("there").version, 3);
    assert_eq!(other.get_flow_instance(&instance).expect("there").version, 2);
    engine.get_flow_instance(&second).expect_err("only the fork has it");
    assert_eq!(engine.certify(Some(before.size), |_| {}).expect("certified"), before);
    let refused = other.checkpoint().expect_err("a fork signs nothing");
    assert_eq!(refused.err_code(), 7007);
}

#[test]
fn fork_sees_modules_as_they_were_and_takes_another_model() {
    let engine = engine_on(&memory());
    let sub = deployed(&engine, "start -> inner -> end");
    let sketch = format!("start -> ask -> call[callActivityFlowModuleId={sub}] -> end");
    let module = deployed(&engine, &sketch);
    let (instance, ask) = started(&engine, &module);
    // The sub flow is deployed again; who calls it from now on gets the new one.
    let model = flow("main", "start -> other -> end").flow_model.to_string();
    let update =
        serde_json::json!({"tenant": "t", "caller": "c", "operator": "o", "flowModuleId": sub, "flowModel": model});
    engine
        .update_flow(serde_json::from_value(update.clone()).expect("a request"))
        .expect("updated");
    engine
        .deploy_flow(serde_json::from_value(update).expect("a request"))
        .expect("deployed");
    let walk = |engine: &BlockingEngine| {
        let at_call = engine
            .commit_task(CommitTaskParam::new(&instance, &ask))
            .expect("committed");
        let (_, call) = instance_and_task(&at_call);
        engine
            .commit_task(CommitTaskParam::new(&instance, &call))
            .expect("called");
        let tasks = engine
            .get_history_user_task_list(&instance)
            .expect("tasks")
            .node_instance_list;
        tasks.iter().map(|task| task.model_key.to_string()).collect::<Vec<_>>()
    };
    let then = engine.fork(ForkParam::new(&instance)).expect("forked");
    assert!(
        walk(&then.engine().blocking()).contains(&"inner".to_owned()),
        "as it was when the instance came so far"
    );
    assert!(walk(&engine).contains(&"other".to_owned()), "as it is now");

    let model = flow("main", "start -> ask -> check -> end").flow_model.to_string();
    let past = InstanceQuery::new(instance.clone()).as_of(AsOf::Version(1));
    let candidate = engine
        .fork(ForkParam::new(past.clone()).model(module.clone(), &model))
        .expect("forked");
    let answer = candidate
        .engine()
        .blocking()
        .commit_task(CommitTaskParam::new(&instance, &ask))
        .expect("committed");
    assert_eq!(&*answer.active_task().expect("a task").model_key, "check");
    let replay = pollster::block_on(candidate.replay()).expect("replayed");
    assert!(replay.difference.is_some(), "{replay:?}");
    let refused = engine
        .fork(ForkParam::new(past).model(module, "no model"))
        .err()
        .expect("no model");
    assert_eq!(refused.err_code(), 3201, "{refused}");
}

#[test]
fn hooks_of_a_fork_answer_from_the_record_or_as_told() {
    let engine = opened(
        Engine::builder()
            .in_memory()
            .hook_fn("rates", |_| Ok(vec![flowledger::InstanceData::new("rate", 3)])),
    );
    let sketch =
        "start -> ask -> gate[hookInfoIds=rates]; gate -(rate == 3)-> low -> end; gate -(rate != 3)-> high -> end";
    let module = deployed(&engine, sketch);
    let param = StartProcessParam::of_module(module).variable("rate", 0);
    let (instance, ask) = instance_and_task(&engine.start_process(param).expect("started"));
    engine
        .commit_task(CommitTaskParam::new(&instance, &ask))
        .expect("committed");
    let at = |param: ForkParam| {
        let fork = engine.fork(param).expect("forked").engine().blocking();
        let answer = fork
            .commit_task(CommitTaskParam::new(&instance, &ask).variable("x", 1))
            .expect("committed");
        answer.active_task().expect("a task").model_key.to_string()
    };
    let past = || ForkParam::new(InstanceQuery::new(instance.clone()).as_of(1));
    assert_eq!(at(past()), "low", "the answer that was recorded");
    assert_eq!(
        at(past().hook_fn("other", |_| Ok(vec![flowledger::InstanceData::new("rate", 7)]))),
        "high"
    );
}
