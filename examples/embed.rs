//! Embeds the engine: deploys a flow, runs it through a gateway, walks one step back, and reads the record.
//!
//! Run it with `cargo run -p flowledger --example embed`.

use flowledger::{CommitTaskParam, DeployModel, Engine, RollbackTaskParam, StartProcessParam};

/// start -> request -> gate; more than three days -> approve -> end; otherwise -> end.
const LEAVE: &str = r#"{"flowElementList":[
  {"key":"start","type":2,"outgoing":["f1"]},
  {"key":"f1","type":1,"incoming":["start"],"outgoing":["request"]},
  {"key":"request","type":4,"incoming":["f1"],"outgoing":["f2"],"properties":{"name":"Ask for leave"}},
  {"key":"f2","type":1,"incoming":["request"],"outgoing":["gate"]},
  {"key":"gate","type":6,"incoming":["f2"],"outgoing":["f3","f4"]},
  {"key":"f3","type":1,"incoming":["gate"],"outgoing":["approve"],"properties":{"conditionsequenceflow":"days > 3"}},
  {"key":"f4","type":1,"incoming":["gate"],"outgoing":["end"],"properties":{"defaultConditions":"true"}},
  {"key":"approve","type":4,"incoming":["f3"],"outgoing":["f5"],"properties":{"name":"Approve"}},
  {"key":"f5","type":1,"incoming":["approve"],"outgoing":["end"]},
  {"key":"end","type":3,"incoming":["f4","f5"]}]}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `.data_dir("ledger")` instead of `.in_memory()` keeps everything durably in that directory.
    let engine = Engine::builder().in_memory().open()?.blocking();
    let deployed = engine.deploy_model(DeployModel::new("leave", LEAVE))?;

    // Runs to the first task and waits there: 1002. A command id makes a repeat harmless.
    let start = StartProcessParam::of_module(deployed.flow_module_id)
        .variable("who", "liming")
        .command_id("leave-4711");
    let started = engine.start_process(start.clone())?;
    assert_eq!(started, engine.start_process(start)?);
    let instance = started.flow_instance_id.ok_or("no instance")?;
    let request = started.active_task_instance.ok_or("no task")?;

    // Five days: the gateway leads to the approval.
    let commit = CommitTaskParam::new(&instance, &request.node_instance_id).variable("days", 5);
    let approve = engine.commit_task(commit)?.active_task_instance.ok_or("no task")?;
    assert_eq!(&*approve.model_key, "approve");

    // One step back: the request is open again, with the data it was entered with.
    let back = engine.rollback_task(RollbackTaskParam::new(&instance, &approve.node_instance_id))?;
    let request = back.active_task_instance.ok_or("no task")?;
    assert_eq!((back.err_code, back.variables.len()), (1003, 1));

    // Two days: no approval is needed, the flow ends: 1000.
    let commit = CommitTaskParam::new(&instance, &request.node_instance_id).variable("days", 2);
    let done = engine.commit_task(commit)?;
    assert_eq!((done.err_code, done.status), (1000, 1));

    // Nothing was overwritten: four records, one per command, and the step that was walked back is in the history.
    assert_eq!(engine.instance_records(instance.clone())?.len(), 4);
    for element in engine.get_history_element_list(&instance)?.element_instance_list {
        let walked_back = if element.status == 4 { " (walked back)" } else { "" };
        println!("{}{walked_back}", element.model_key);
    }
    engine.close()?;
    Ok(())
}
