//! Ids derive from the command and its stream: one command id may be used on several streams.

use flowledger::{CommitTaskParam, DeployFlowParam, DeployModel, Engine, StartProcessParam};

fn model(task: &str) -> String {
    format!(
        r#"{{"flowElementList":[
        {{"key":"start","type":2,"outgoing":["f1"]}},
        {{"key":"f1","type":1,"incoming":["start"],"outgoing":["{task}"]}},
        {{"key":"{task}","type":4,"incoming":["f1"],"outgoing":["f2"]}},
        {{"key":"f2","type":1,"incoming":["{task}"],"outgoing":["end"]}},
        {{"key":"end","type":3,"incoming":["f2"]}}]}}"#
    )
}

#[test]
fn one_command_id_on_two_modules_gives_two_deployments() {
    let engine = Engine::builder().open().unwrap().blocking();
    for task in ["alpha", "beta"] {
        let module = engine
            .deploy_model(DeployModel::new(task, &model(task)))
            .unwrap()
            .flow_module_id;
        let mut deploy = DeployFlowParam {
            tenant: "t".into(),
            caller: "c".into(),
            flow_module_id: module.to_string(),
            ..DeployFlowParam::default()
        };
        deploy.options.command_id = Some("same".into());
        engine.deploy_flow(deploy).unwrap();
        let started = engine.start_process(StartProcessParam::of_module(module)).unwrap();
        assert_eq!(&*started.active_task().unwrap().model_key, task);
    }
}

#[test]
fn one_command_id_on_two_instances_gives_different_nodes() {
    let engine = Engine::builder().open().unwrap().blocking();
    let module = engine
        .deploy_model(DeployModel::new("a", &model("a")))
        .unwrap()
        .flow_module_id;
    let nodes: Vec<_> = (0..2)
        .map(|_| {
            let started = engine
                .start_process(StartProcessParam::of_module(module.clone()))
                .unwrap();
            let task = started.active_task().unwrap().node_instance_id.clone();
            let commit = CommitTaskParam::new(started.flow_instance_id.as_ref().unwrap(), &task).command_id("same");
            engine
                .commit_task(commit)
                .unwrap()
                .active_task_instance
                .unwrap()
                .node_instance_id
        })
        .collect();
    assert_ne!(nodes[0], nodes[1]);
}
