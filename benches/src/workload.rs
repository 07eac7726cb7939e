//! The workloads: what clients do again and again, each on a model of its own. Knows the engine, not how it is measured.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use clap::ValueEnum;
use flowledger::store::SledOptions;
use flowledger::{
    CommandId, CommitTaskParam, DeployModel, Engine, FlowInstanceId, FlowModuleId, NodeInstanceId, RollbackTaskParam,
    StartProcessParam, StartProcessResult,
};

use crate::load::{Commits, Target, Turns};

/// What a client does with one instance after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// Request, a branch by days, approval: three commands, five variables at the start.
    Leave,
    /// Request, two tasks side by side, a join, approval: five commands.
    Parallel,
    /// A call activity whose sub flow has a task, then an approval: four commands.
    Call,
    /// The leave request with its first commit walked back and given again: five commands.
    Rollback,
    /// Ten tasks one after the other, each with a variable of its own: eleven commands, fifteen variables at the end.
    Long,
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Starts an instance.
    Start,
    /// Completes the oldest open task, with this variable and a comment.
    Commit(&'static str),
    /// Goes back from the open task.
    RollBack,
}

use Step::{Commit, RollBack, Start};

/// Variables of the long workload, a task each.
const STAGES: [&str; 10] = [
    "received", "checked", "priced", "offered", "ordered", "built", "tested", "packed", "shipped", "paid",
];

impl Workload {
    /// The commands of one instance.
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Leave => &[Start, Commit("complete"), Commit("approved")],
            Self::Parallel => &[
                Start,
                Commit("complete"),
                Commit("checked"),
                Commit("booked"),
                Commit("approved"),
            ],
            Self::Call => &[Start, Commit("called"), Commit("complete"), Commit("approved")],
            Self::Rollback => &[
                Start,
                Commit("complete"),
                RollBack,
                Commit("complete"),
                Commit("approved"),
            ],
            Self::Long => {
                const STEPS: [Step; 11] = {
                    let mut steps = [Start; 11];
                    let mut stage = 0;
                    while stage < STAGES.len() {
                        steps[stage + 1] = Commit(STAGES[stage]);
                        stage += 1;
                    }
                    steps
                };
                &STEPS
            }
        }
    }

    /// How many commands an instance takes; each leaves one record.
    pub fn commands(self) -> u64 {
        self.steps().len() as u64
    }

    /// The command that a client gives as its `number`th.
    pub fn step(self, number: u64) -> Step {
        let steps = self.steps();
        steps[usize::try_from(number).unwrap_or(0) % steps.len()]
    }

    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Deploys what the workload runs.
    fn deploy(self, engine: &Engine) -> FlowModuleId {
        let engine = engine.blocking();
        let deploy = |name: &str, model: &str| {
            let deployed = engine.deploy_model(DeployModel::new(name, model));
            deployed.expect("a good model").flow_module_id
        };
        match self {
            Self::Leave | Self::Rollback => deploy("leave", LEAVE),
            Self::Parallel => deploy("parallel", PARALLEL),
            Self::Call => {
                let called = deploy("called", CALLED).to_string();
                deploy("calling", &CALLING.replace("CALLED", &called))
            }
            Self::Long => deploy("long", &long_model()),
        }
    }

    /// Records as this workload leaves them, those of some instances one after the other, in the order of their commands.
    pub fn records(self) -> Vec<Arc<[u8]>> {
        let work = Work::on(Engine::builder().in_memory().open().expect("an engine"), self).named();
        let mut records = Vec::new();
        for number in 0..self.commands() * INSTANCES_SAMPLED {
            pollster::block_on(work.command(0, number));
            if (number + 1) % self.commands() == 0 {
                let instance = work.position(0).expect("an instance").instance;
                let engine = work.engine.blocking();
                let of_instance = engine.instance_records(instance).expect("records");
                records.extend(of_instance.into_iter().map(|record| record.bytes));
            }
        }
        records
    }
}

/// Instances whose records stand for all: every way that the leave flow can take.
const INSTANCES_SAMPLED: u64 = 7;

/// Request, a branch by days, approval, end.
pub const LEAVE: &str = r#"{"flowElementList":[
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

const PARALLEL: &str = r#"{"flowElementList":[
{"key":"start","type":2,"outgoing":["to_request"]},
{"key":"to_request","type":1,"incoming":["start"],"outgoing":["request"]},
{"key":"request","type":4,"incoming":["to_request"],"outgoing":["to_fork"],"properties":{"name":"Request"}},
{"key":"to_fork","type":1,"incoming":["request"],"outgoing":["fork"]},
{"key":"fork","type":9,"incoming":["to_fork"],"outgoing":["to_check","to_book"],"properties":{"forkJoinMatch":{"fork":"fork","join":"join"}}},
{"key":"to_check","type":1,"incoming":["fork"],"outgoing":["check"]},
{"key":"check","type":4,"incoming":["to_check"],"outgoing":["checked"],"properties":{"name":"Check"}},
{"key":"checked","type":1,"incoming":["check"],"outgoing":["join"]},
{"key":"to_book","type":1,"incoming":["fork"],"outgoing":["book"]},
{"key":"book","type":4,"incoming":["to_book"],"outgoing":["booked"],"properties":{"name":"Book"}},
{"key":"booked","type":1,"incoming":["book"],"outgoing":["join"]},
{"key":"join","type":9,"incoming":["checked","booked"],"outgoing":["to_approve"],"properties":{"forkJoinMatch":{"fork":"fork","join":"join"}}},
{"key":"to_approve","type":1,"incoming":["join"],"outgoing":["approve"]},
{"key":"approve","type":4,"incoming":["to_approve"],"outgoing":["approved"],"properties":{"name":"Approve"}},
{"key":"approved","type":1,"incoming":["approve"],"outgoing":["end"]},
{"key":"end","type":3,"incoming":["approved"]}]}"#;

const CALLED: &str = r#"{"flowElementList":[
{"key":"start","type":2,"outgoing":["to_request"]},
{"key":"to_request","type":1,"incoming":["start"],"outgoing":["request"]},
{"key":"request","type":4,"incoming":["to_request"],"outgoing":["requested"],"properties":{"name":"Request"}},
{"key":"requested","type":1,"incoming":["request"],"outgoing":["end"]},
{"key":"end","type":3,"incoming":["requested"]}]}"#;

const CALLING: &str = r#"{"flowElementList":[
{"key":"start","type":2,"outgoing":["to_call"]},
{"key":"to_call","type":1,"incoming":["start"],"outgoing":["call"]},
{"key":"call","type":8,"incoming":["to_call"],"outgoing":["to_approve"],"properties":{"name":"Call","callActivityExecuteType":"sync",
 "callActivityInstanceType":"single","callActivityFlowModuleId":"CALLED","callActivityInParamType":"full","callActivityOutParamType":"full"}},
{"key":"to_approve","type":1,"incoming":["call"],"outgoing":["approve"]},
{"key":"approve","type":4,"incoming":["to_approve"],"outgoing":["approved"],"properties":{"name":"Approve"}},
{"key":"approved","type":1,"incoming":["approve"],"outgoing":["end"]},
{"key":"end","type":3,"incoming":["approved"]}]}"#;

/// Tasks one after the other.
fn long_model() -> String {
    let mut elements = vec![r#"{"key":"start","type":2,"outgoing":["f0"]}"#.to_owned()];
    for (number, stage) in STAGES.iter().enumerate() {
        let before = if number == 0 { "start" } else { STAGES[number - 1] };
        let next = number + 1;
        elements.push(format!(
            r#"{{"key":"f{number}","type":1,"incoming":["{before}"],"outgoing":["{stage}"]}}"#
        ));
        elements.push(format!(
            r#"{{"key":"{stage}","type":4,"incoming":["f{number}"],"outgoing":["f{next}"]}}"#
        ));
    }
    let (number, last) = (STAGES.len(), STAGES[STAGES.len() - 1]);
    elements.push(format!(
        r#"{{"key":"f{number}","type":1,"incoming":["{last}"],"outgoing":["end"]}}"#
    ));
    elements.push(format!(r#"{{"key":"end","type":3,"incoming":["f{number}"]}}"#));
    format!(r#"{{"flowElementList":[{}]}}"#, elements.join(",\n"))
}

/// An engine with a workload, and where each client stands.
pub struct Work {
    engine: Engine,
    workload: Workload,
    module: FlowModuleId,
    clients: Mutex<BTreeMap<u64, Position>>,
    /// Whether commands have ids by client and number, so that each run makes the same records.
    is_named: bool,
}

/// Where a client stands: its instance, and the tasks that wait, oldest first.
#[derive(Clone)]
pub struct Position {
    /// The instance.
    pub instance: FlowInstanceId,
    /// The open tasks.
    pub tasks: VecDeque<NodeInstanceId>,
}

impl Work {
    /// Opens an engine in a directory and deploys what the workload runs.
    pub fn open(directory: &Path, options: SledOptions, workload: Workload) -> Self {
        let engine = Engine::builder().data_dir_with(directory, options).open();
        Self::on(engine.expect("a new store"), workload)
    }

    /// Deploys what the workload runs on an engine.
    pub fn on(engine: Engine, workload: Workload) -> Self {
        let module = workload.deploy(&engine);
        Self {
            engine,
            workload,
            module,
            clients: Mutex::default(),
            is_named: false,
        }
    }

    /// Gives each command an id by its client and number, so that each run makes the same records.
    #[must_use]
    pub fn named(mut self) -> Self {
        self.is_named = true;
        self
    }

    fn command_id(&self, client: u64, number: u64) -> Option<CommandId> {
        self.is_named.then(|| command_id(client, number))
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where a client stands after its last command.
    pub fn position(&self, client: u64) -> Option<Position> {
        self.clients.lock().expect("no panic").get(&client).cloned()
    }

    /// Gives the `number`th command of a client; resolves when it is durable.
    pub async fn command(&self, client: u64, number: u64) {
        let position = self.clients.lock().expect("no panic").remove(&client);
        let position = self.step(client, number, position).await;
        self.clients.lock().expect("no panic").insert(client, position);
    }

    /// The same for a client that knows where it stands, and then where it stands now.
    async fn step(&self, client: u64, number: u64, position: Option<Position>) -> Position {
        let stands = || position.expect("an instance");
        match self.workload.step(number) {
            Start => self.start(client, number).await,
            Commit(key) => self.commit(client, number, stands(), key).await,
            RollBack => self.roll_back(client, number, stands()).await,
        }
    }

    async fn start(&self, client: u64, number: u64) -> Position {
        let days = i32::try_from(number / self.workload.commands() % 7).unwrap_or(0);
        let mut param = StartProcessParam::of_module(self.module.clone())
            .variable("applicant", format!("person {}", number % 1_000))
            .variable("days", days)
            .variable("reason", "family")
            .variable("urgent", days > 5)
            .variable("department", "sales");
        param.options.command_id = self.command_id(client, number);
        let started = self.engine.start_process(param).await.expect("a start");
        Position {
            tasks: open_tasks(&started).collect(),
            instance: started.flow_instance_id.expect("an instance"),
        }
    }

    async fn commit(&self, client: u64, number: u64, mut position: Position, key: &str) -> Position {
        let task = position.tasks.pop_front().expect("an open task");
        let param = CommitTaskParam::new(&position.instance, &task).variable(key, true);
        let mut param = match self.workload {
            Workload::Long => param,
            _ => param.variable("comment", "as agreed"),
        };
        param.options.command_id = self.command_id(client, number);
        let done = self.engine.commit_task(param).await.expect("a commit");
        position.tasks.extend(open_tasks(&done));
        position
    }

    async fn roll_back(&self, client: u64, number: u64, mut position: Position) -> Position {
        let task = position.tasks.pop_front().expect("an open task");
        let mut param = RollbackTaskParam::new(&position.instance, &task);
        param.options.command_id = self.command_id(client, number);
        let done = self.engine.rollback_task(param).await.expect("a rollback");
        position.tasks.extend(open_tasks(&done));
        position
    }
}

/// An id that looks as those the engine draws.
pub fn command_id(client: u64, number: u64) -> CommandId {
    format!("{client:08x}-0000-4000-8000-{number:012x}").into()
}

/// The tasks that an answer tells to be open.
fn open_tasks(answer: &StartProcessResult) -> impl Iterator<Item = NodeInstanceId> + '_ {
    let waits = matches!(answer.err_code, 1002 | 1003);
    let results = answer.node_execute_results.iter().filter(move |_| waits);
    results.map(|result| {
        let task = &result.active_task_instance;
        let mut inside = task.sub_node_result_list.iter().flatten();
        let innermost = inside.find_map(StartProcessResult::active_task).unwrap_or(task);
        innermost.node_instance_id.clone()
    })
}

impl Target for Work {
    fn client(self: Arc<Self>, client: u64, mut turns: Turns) -> Pin<Box<dyn Future<Output = Turns> + Send>> {
        Box::pin(async move {
            // Where it stood after its last turns; a lock for each of them would be shared by all clients.
            let mut position = self.clients.lock().expect("no panic").remove(&client);
            for number in turns.by_ref() {
                position = Some(self.step(client, number, position).await);
            }
            self.clients
                .lock()
                .expect("no panic")
                .extend(position.map(|at| (client, at)));
            turns
        })
    }

    fn commits(&self) -> Commits {
        self.engine.counters().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::give;

    #[test]
    fn clients_go_on_where_they_stood() {
        let work = Arc::new(Work::on(
            Engine::builder().in_memory().open().expect("an engine"),
            Workload::Leave,
        ));
        let target: Arc<dyn Target> = work.clone();
        // Portions that end within instances, of clients that are not all asked each time.
        for (from, upto) in [(0, 4), (4, 5), (5, 13), (13, 30)] {
            give(&target, 3, from, upto);
        }
        // A deployment is three records.
        assert_eq!(work.commits().commands, 3 + 30);
        assert!((0..3).all(|client| work.position(client).is_some()));
    }
}
