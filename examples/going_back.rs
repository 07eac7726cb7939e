//! Walks a parallel flow back and forth: rollback across a join, redo, abort and restore.
//!
//! Run it with `cargo run -p flowledger --example going_back`.

use flowledger::{
    BlockingEngine, CommitTaskParam, DeployModel, Engine, FlowInstanceId, LifecycleParam, RedoRollbackParam,
    RollbackToParam, RuntimeResult, StartProcessParam,
};

/// start -> sign -> prepare (fork) -> desk | account | training -> prepared (join) -> welcome -> end.
const ONBOARDING: &str = include_str!("models/onboarding.json");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::builder().in_memory().open()?.blocking();
    let deployed = engine.deploy_model(DeployModel::new("onboarding", ONBOARDING))?;
    let start = StartProcessParam::of_module(deployed.flow_module_id).variable("role", "guest");
    let started = engine.start_process(start)?;
    let id = started.flow_instance_id.ok_or("no instance")?;

    // The fork opens three branches, in the order of the model.
    let forked = commit(&engine, &id, "sign", "salary", 100)?;
    assert_eq!(waiting(&forked), ["desk", "account", "training"]);

    // Two branches arrive; the join waits for the third (1601), then lets the flow go on.
    assert_eq!(commit(&engine, &id, "desk", "room", 12)?.err_code, 1601);
    assert_eq!(commit(&engine, &id, "training", "course", 7)?.err_code, 1601);
    let joined = commit(&engine, &id, "account", "user", 4711)?;
    assert_eq!(waiting(&joined), ["welcome"]);

    // Where may we go, and what would it bring?
    for target in engine.get_rollback_targets(id.clone())?.targets {
        match target.err_msg {
            None => println!("back to {}: {:?}", target.node_instance.model_key, target.data_changes),
            Some(reason) => println!("not to {}: {reason}", target.node_instance.model_key),
        }
    }

    // Back behind the join that has fired: the account is open again, desk and training stay done, the join waits.
    let back = engine.rollback_to(RollbackToParam::element(&id, "account"))?;
    assert_eq!(waiting(&back), ["account"]);
    let compensation = back.compensations.first().ok_or("no compensation")?;
    assert_eq!(&*compensation.name, "delete the account");
    println!("to compensate: {}", compensation.name);

    // And forth: the rollback is taken back, everything is as it was.
    let forth = engine.redo_rollback(RedoRollbackParam::new(&id))?;
    assert_eq!(
        (waiting(&forth), &forth.variables),
        (vec!["welcome"], &joined.variables)
    );

    // Back over the fork: all branches are undone by one record.
    let undone = engine.rollback_to(RollbackToParam::element(&id, "sign"))?;
    assert_eq!((waiting(&undone), undone.variables.len()), (vec!["sign"], 1));
    engine.redo_rollback(RedoRollbackParam::new(&id))?;

    // Stopped with one of the reasons that the flow offers, and restored to exactly the same state.
    let stop = LifecycleParam::new(&id, "by phone").reason_option("declined the offer");
    assert_eq!(engine.abort_instance(stop)?.status, 6);
    engine.restore_instance(LifecycleParam::new(&id, "changed their mind"))?;
    assert_eq!(commit(&engine, &id, "welcome", "done", 1)?.err_code, 1000);

    // Nothing was ever taken away: one record for each command.
    println!("{} records", engine.instance_records(id)?.len());
    engine.close()?;
    Ok(())
}

/// Commits the active task of an element with one variable.
fn commit(
    engine: &BlockingEngine,
    id: &FlowInstanceId,
    key: &str,
    name: &str,
    value: i64,
) -> Result<RuntimeResult, Box<dyn std::error::Error>> {
    let elements = engine.get_history_element_list(id)?.element_instance_list;
    let task = elements.into_iter().rev().find(|element| &*element.model_key == key);
    let task = task.and_then(|task| task.node_instance_id).ok_or("no such task")?;
    Ok(engine.commit_task(CommitTaskParam::new(id, &task).variable(name, value))?)
}

/// Where the branches that a command moved wait.
fn waiting(result: &RuntimeResult) -> Vec<&str> {
    let branches = result.node_execute_results.iter();
    branches.map(|branch| &*branch.active_task_instance.model_key).collect()
}
