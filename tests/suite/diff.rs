//! Differences between moments: of one instance, of two, of an instance and its fork.

use flowledger::{
    Actor, BlockingEngine, CommitTaskParam, FlowInstanceId, ForkParam, InstanceDiff, InstanceQuery, RollbackTaskParam,
    StartProcessParam,
};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::sketch::flow;

use crate::fixture::{LINE, deployed, engine_on, instance_and_task, log, memory};

fn at(instance: &FlowInstanceId, version: u64) -> InstanceQuery {
    InstanceQuery::new(instance.clone()).as_of(version)
}

/// What differs, a line each.
fn told_as_lines(diff: &InstanceDiff) -> Vec<String> {
    let status =
        |seen: &Option<flowledger::NodeSeen>| seen.as_ref().map_or("-".to_owned(), |seen| seen.status.to_string());
    let nodes = diff
        .nodes
        .iter()
        .map(|node| format!("{} {} {}", node.place, status(&node.left), status(&node.right)));
    let value = |written: &Option<flowledger::Written>| {
        written.as_ref().map_or("-".to_owned(), |written| {
            format!("{}@{}", written.value, written.version)
        })
    };
    let variables = diff
        .variables
        .iter()
        .map(|variable| format!("{}: {} {}", variable.key, value(&variable.left), value(&variable.right)));
    nodes.chain(variables).collect()
}

fn diff(engine: &BlockingEngine, left: InstanceQuery, right: InstanceQuery) -> InstanceDiff {
    engine.diff(left, engine.engine(), right).expect("compared")
}

#[test]
fn versions_of_an_instance_differ_in_nodes_tasks_and_data() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, LINE);
    let start = StartProcessParam::of_module(module)
        .variable("days", 1)
        .variable("who", "Lin");
    let (instance, ask) = instance_and_task(&engine.start_process(start).expect("started"));
    let mut commit = CommitTaskParam::new(&instance, &ask)
        .variable("days", 2)
        .variable("ok", true);
    commit.options.actor = Some(Actor {
        operator: Some("Wu".into()),
        ..Actor::default()
    });
    let (_, check) = instance_and_task(&engine.commit_task(commit).expect("committed"));
    let first = diff(&engine, at(&instance, 1), at(&instance, 2));
    assert_eq!(
        told_as_lines(&first),
        ["ask 2 1", "check - 2", "days: 1@1 2@2", "ok: - true@2"]
    );
    let days = first.variables[0].right.as_ref().expect("there");
    assert_eq!((days.operator.as_deref(), days.task.as_ref()), (Some("Wu"), Some(&ask)));
    let tasks = |side: &flowledger::DiffSide| side.active_tasks.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        (tasks(&first.left), tasks(&first.right)),
        (vec!["ask".to_owned()], vec!["check".to_owned()])
    );

    engine
        .rollback_task(RollbackTaskParam::new(&instance, &check))
        .expect("rolled back");
    let back = diff(&engine, at(&instance, 1), InstanceQuery::new(instance.clone()));
    assert_eq!(
        told_as_lines(&back),
        ["ask 2 4", "check - 4", "ask#2 - 2"],
        "the data is that of then"
    );
    assert!(diff(&engine, at(&instance, 2), at(&instance, 2)).is_empty());
    let mirrored = diff(&engine, at(&instance, 2), at(&instance, 1));
    assert_eq!(told_as_lines(&mirrored)[0], "ask 1 2");
}

#[test]
fn two_instances_and_a_fork_on_another_model_are_compared_by_place() {
    let engine = engine_on(&memory());
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(n > 3)-> high -> end; gate -(n <= 3)-> low -> end",
    );
    let run = |n: i64| {
        let started = engine
            .start_process(StartProcessParam::of_module(module.clone()))
            .expect("started");
        let (instance, ask) = instance_and_task(&started);
        engine
            .commit_task(CommitTaskParam::new(&instance, &ask).variable("n", n))
            .expect("committed");
        instance
    };
    let (low, high) = (run(1), run(5));
    let between = diff(&engine, (&low).into(), (&high).into());
    assert_eq!(told_as_lines(&between), ["low 2 -", "high - 2", "n: 1@2 5@2"]);
    assert!(!between.is_empty());

    let other = flow(
        "main",
        "start -> ask -> gate; gate -(n > 0)-> high -> end; gate -(n <= 0)-> low -> end",
    );
    let fork = engine
        .fork(ForkParam::new(at(&low, 1)).model(module.clone(), &other.flow_model.to_string()))
        .expect("forked");
    let replay = pollster::block_on(fork.replay()).expect("replayed");
    assert_eq!(replay.equal, 0);
    let models = engine.diff(&low, fork.engine(), &low).expect("compared");
    assert_eq!(told_as_lines(&models), ["low 2 -", "high - 2"]);
}

#[test]
fn nothing_differs_from_itself_and_what_differs_is_mirrored() {
    for (name, profile, own_ids) in KINDS {
        let engine = told(profile, own_ids);
        let mut compared = 0;
        for record in log(&engine) {
            if record.record.envelope().version > 1 {
                continue;
            }
            let Some(instance) = crate::as_of::started_by(&record) else {
                continue;
            };
            let last = engine.get_flow_instance(&instance).expect("there").version;
            for version in 1..=last {
                assert!(
                    diff(&engine, at(&instance, version), at(&instance, version)).is_empty(),
                    "{name}"
                );
                let there = diff(&engine, at(&instance, version), at(&instance, last));
                let back = diff(&engine, at(&instance, last), at(&instance, version));
                assert_eq!(there.nodes.len(), back.nodes.len(), "{name} {instance} {version}");
                assert_eq!(
                    there.variables.len(),
                    back.variables.len(),
                    "{name} {instance} {version}"
                );
                compared += 1;
            }
        }
        assert!(compared > 50, "{name}: {compared}");
    }
}
