//! The correction workload: one request that is corrected again and again, so that its stream grows as long as one likes.

use flowledger::{
    BlockingEngine, CommitTaskParam, DeployModel, FlowInstanceId, FlowModuleId, NodeInstanceId, RollbackTaskParam,
    StartProcessParam,
};

use crate::workload::command_id;

/// A task and a gateway that leads back to it.
const MODEL: &str = r#"{"flowElementList":[
{"key":"start","type":2,"outgoing":["to_request"]},
{"key":"to_request","type":1,"incoming":["start"],"outgoing":["request"]},
{"key":"request","type":4,"incoming":["to_request","again"],"outgoing":["to_check"]},
{"key":"to_check","type":1,"incoming":["request"],"outgoing":["check"]},
{"key":"check","type":6,"incoming":["to_check"],"outgoing":["again","good"]},
{"key":"again","type":1,"incoming":["check"],"outgoing":["request"],"properties":{"conditionsequenceflow":"round < 1000000"}},
{"key":"good","type":1,"incoming":["check"],"outgoing":["end"],"properties":{"conditionsequenceflow":"round >= 1000000"}},
{"key":"end","type":3,"incoming":["good"]}]}"#;

/// Deploys the model.
pub fn deployed(engine: &BlockingEngine) -> FlowModuleId {
    let deployed = engine.deploy_model(DeployModel::new("correction", MODEL));
    deployed.expect("a good model").flow_module_id
}

/// A request, and where it stands.
pub struct Correction {
    /// Its instance.
    pub instance: FlowInstanceId,
    /// The first of its tasks.
    pub first: NodeInstanceId,
    task: NodeInstanceId,
    records: i32,
    number: u64,
}

impl Correction {
    /// Starts a request, with five variables: one record. Its commands have ids with its number in them, so that each run
    /// makes the same records.
    pub fn start(engine: &BlockingEngine, module: &FlowModuleId, number: u64) -> Self {
        let start = StartProcessParam::of_module(module.clone())
            .variable("applicant", "Lin")
            .variable("days", 3)
            .variable("reason", "family")
            .variable("urgent", false)
            .variable("department", "sales")
            .command_id(&command_id(number, 0).to_string());
        let started = engine.start_process(start).expect("a start");
        let task = started.active_task_instance.expect("a task").node_instance_id;
        Self {
            instance: started.flow_instance_id.expect("an instance"),
            first: task.clone(),
            task,
            records: 1,
            number,
        }
    }

    /// One record more: a commit, and every tenth time a rollback.
    pub fn go_on(&mut self, engine: &BlockingEngine) {
        let id = command_id(self.number, u64::try_from(self.records).unwrap_or(0)).to_string();
        let answer = if self.records % 10 == 9 {
            engine.rollback_task(RollbackTaskParam::new(&self.instance, &self.task).command_id(&id))
        } else {
            let commit = CommitTaskParam::new(&self.instance, &self.task).variable("round", self.records);
            engine.commit_task(commit.command_id(&id))
        };
        let task = answer.expect("an answer").active_task_instance;
        self.task = task.expect("a task").node_instance_id;
        self.records += 1;
    }
}
