//! getRollbackTargets on long instances: its bound, and that it says of each target what rollbackTo does.

use flowledger::{
    BlockingEngine, CommitTaskParam, Engine, FlowInstanceId, Limits, RedoRollbackParam, RollbackToParam, RuntimeResult,
    StartProcessParam,
};
use serde_json::{Value, json};

use crate::fixture::{deployed, memory, opened};

/// A task, two branches and a task behind their join, again and again.
const ROUNDS: &str = "start -> ask -> fork -> left -> join -> check -> gate; fork -> right -> join; \
                      gate -(round > 0)-> ask; gate -(default)-> last -> end";

/// An instance that has gone through so many rounds, and waits in the middle of one more.
fn after_rounds(engine: &BlockingEngine, rounds: i64) -> FlowInstanceId {
    let module = deployed(engine, ROUNDS);
    let started = engine
        .start_process(StartProcessParam::of_module(module).variable("round", 1))
        .expect("the flow starts");
    let id = started.flow_instance_id.clone().expect("an instance");
    let mut waiting = started;
    for round in 1..=rounds {
        waiting = commit(engine, &id, &waiting, "ask", round);
        let forked = waiting.clone();
        commit(engine, &id, &forked, "right", round);
        waiting = commit(engine, &id, &forked, "left", round);
        waiting = commit(engine, &id, &waiting, "check", round);
    }
    let forked = commit(engine, &id, &waiting, "ask", rounds + 1);
    commit(engine, &id, &forked, "left", rounds + 1);
    id
}

fn commit(
    engine: &BlockingEngine,
    id: &FlowInstanceId,
    waiting: &RuntimeResult,
    key: &str,
    round: i64,
) -> RuntimeResult {
    let mut tasks = waiting
        .node_execute_results
        .iter()
        .map(|branch| &branch.active_task_instance);
    let task = tasks.find(|task| &*task.model_key == key).expect("the task waits");
    let commit = CommitTaskParam::new(id, &task.node_instance_id)
        .variable("round", round)
        .variable(key, round);
    engine.commit_task(commit).expect("the task is committed")
}

fn targets(engine: &BlockingEngine, id: &FlowInstanceId) -> Value {
    let targets = engine.get_rollback_targets(id).expect("the targets are told");
    serde_json::to_value(targets).expect("an answer is JSON")
}

#[test]
fn targets_are_the_newest_up_to_the_bound_and_older_tasks_can_be_gone_back_to() {
    let store = memory();
    let all = opened(Engine::builder().store(store.clone()));
    let id = after_rounds(&all, 5);
    let whole = targets(&all, &id);
    let list = whole["targets"].as_array().expect("a list");
    assert_eq!((list.len(), &whole["truncated"]), (23, &json!(false)));

    for (most, truncated) in [(1, true), (4, true), (22, true), (23, false)] {
        let limits = Limits {
            rollback_targets: most,
            ..Limits::default()
        };
        let bounded = opened(Engine::builder().store(store.clone()).limits(limits));
        let some = targets(&bounded, &id);
        assert_eq!(some["targets"].as_array(), Some(&list[..most].to_vec()));
        assert_eq!(some["truncated"], truncated);
    }

    let limits = Limits {
        rollback_targets: 1,
        ..Limits::default()
    };
    let bounded = opened(Engine::builder().store(store).limits(limits));
    let oldest = list.last().expect("a target")["nodeInstance"]["nodeInstanceId"].as_str();
    let back = bounded
        .rollback_to(RollbackToParam::node(&id, &oldest.expect("an id").into()))
        .expect("the bound is of the answer only");
    assert_eq!(&*back.active_task().expect("a task").model_key, "ask");
}

#[test]
fn every_target_of_a_long_instance_is_what_rollback_to_makes_of_it() {
    let engine = opened(Engine::builder().in_memory());
    let id = after_rounds(&engine, 52);
    let here = targets(&engine, &id);
    let list = here["targets"].as_array().expect("a list");
    assert_eq!(
        (list.len(), &here["truncated"]),
        (Limits::default().rollback_targets, &json!(true))
    );
    let mut accepted = 0;
    for target in list {
        let node = target["nodeInstance"]["nodeInstanceId"].as_str().expect("an id");
        if let Err(refused) = engine.rollback_to(RollbackToParam::node(&id, &node.into())) {
            assert_eq!(target["possible"], false, "{target}");
            assert_eq!(target["errCode"], refused.err_code(), "{target}");
            assert_eq!(target["errMsg"], refused.err_msg(), "{target}");
            continue;
        }
        assert_eq!(target["possible"], true, "{target}");
        let data = engine.get_instance_data(&id).expect("the data is told");
        let data = serde_json::to_value(data).expect("an answer is JSON");
        for change in target["dataChanges"].as_array().into_iter().flatten() {
            let mut variables = data["variables"].as_array().expect("a list").iter();
            let then = variables.find(|variable| variable["key"] == change["key"]);
            assert_eq!(then.map(|then| &then["value"]), change.get("then"), "{target}");
        }
        // What is promised to wait, waits, and nothing else.
        let tasks = engine.get_history_user_task_list(&id).expect("the tasks are told");
        let tasks = serde_json::to_value(tasks).expect("an answer is JSON");
        let mut active: Vec<&str> = tasks["nodeInstanceList"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|task| task["status"] == 2)
            .filter_map(|task| task["modelKey"].as_str())
            .collect();
        let promised = target["activeTasks"].as_array().expect("a list");
        let mut promised: Vec<&str> = promised.iter().filter_map(|task| task["modelKey"].as_str()).collect();
        active.sort_unstable();
        promised.sort_unstable();
        assert_eq!(active, promised, "{target}");
        engine
            .redo_rollback(RedoRollbackParam::new(&id))
            .expect("it is taken back");
        accepted += 1;
    }
    assert!(accepted > 150, "only {accepted} were accepted");
}
