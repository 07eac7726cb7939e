//! The leave workload: a request of five variables is started, filled in and approved; three commands an instance.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Mutex;

use flowledger::store::SledOptions;
use flowledger::{
    CommitTaskParam, DeployModel, Engine, FlowInstanceId, FlowModuleId, NodeInstanceId, StartProcessParam,
};

use crate::load::{Commits, Target};

/// Request, a branch by days, approval, end.
const MODEL: &str = r#"{"flowElementList":[
{"key":"start","type":2,"outgoing":["to_request"]},
{"key":"to_request","type":1,"incoming":["start"],"outgoing":["request"]},
{"key":"request","type":4,"incoming":["to_request"],"outgoing":["to_branch"],"properties":{"name":"Request"}},
{"key":"to_branch","type":1,"incoming":["request"],"outgoing":["branch"]},
{"key":"branch","type":6,"incoming":["to_branch"],"outgoing":["short","long"]},
{"key":"short","type":1,"incoming":["branch"],"outgoing":["lead"],"properties":{"conditionsequenceflow":"days <= 3"}},
{"key":"long","type":1,"incoming":["branch"],"outgoing":["director"],"properties":{"conditionsequenceflow":"days > 3"}},
{"key":"lead","type":4,"incoming":["short"],"outgoing":["lead_done"],"properties":{"name":"Team lead"}},
{"key":"director","type":4,"incoming":["long"],"outgoing":["director_done"],"properties":{"name":"Director"}},
{"key":"lead_done","type":1,"incoming":["lead"],"outgoing":["end"]},
{"key":"director_done","type":1,"incoming":["director"],"outgoing":["end"]},
{"key":"end","type":3,"incoming":["lead_done","director_done"]}]}"#;

/// An engine on sled, and where each client stands.
pub struct Leave {
    engine: Engine,
    module: FlowModuleId,
    clients: Mutex<BTreeMap<u64, (FlowInstanceId, NodeInstanceId)>>,
}

impl Leave {
    /// Opens an engine in a directory and deploys the model.
    pub fn open(directory: &Path, options: SledOptions) -> Self {
        let engine = Engine::builder().data_dir_with(directory, options).open();
        Self::on(engine.expect("a new store"))
    }

    /// Deploys the model on an engine.
    pub fn on(engine: Engine) -> Self {
        let deployed = engine
            .blocking()
            .deploy_model(DeployModel::new("leave", MODEL))
            .expect("a good model");
        Self {
            engine,
            module: deployed.flow_module_id,
            clients: Mutex::default(),
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    async fn start(&self, client: u64, number: u64) {
        let days = i32::try_from(number % 7).unwrap_or(0);
        let param = StartProcessParam::of_module(self.module.clone())
            .variable("applicant", format!("person {}", number % 1_000))
            .variable("days", days)
            .variable("reason", "family")
            .variable("urgent", days > 5)
            .variable("department", "sales");
        let started = self.engine.start_process(param).await.expect("a start");
        let task = started.active_task_instance.expect("a task").node_instance_id;
        let instance = started.flow_instance_id.expect("an instance");
        self.clients.lock().expect("no panic").insert(client, (instance, task));
    }

    async fn commit(&self, client: u64, key: &str) {
        let (instance, task) = self
            .clients
            .lock()
            .expect("no panic")
            .remove(&client)
            .expect("an instance");
        let param = CommitTaskParam::new(&instance, &task)
            .variable(key, true)
            .variable("comment", "as agreed");
        let done = self.engine.commit_task(param).await.expect("a commit");
        if done.err_code == 1002 {
            let task = done.active_task_instance.expect("a task").node_instance_id;
            self.clients.lock().expect("no panic").insert(client, (instance, task));
        }
    }
}

impl Target for Leave {
    fn command(&self, client: u64, number: u64) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            match number % 3 {
                0 => self.start(client, number).await,
                1 => self.commit(client, "complete").await,
                _ => self.commit(client, "approved").await,
            }
        })
    }

    fn commits(&self) -> Commits {
        self.engine.counters().into()
    }
}
