//! The demo: a leave approval on a real store, told step by step. Uses what any application could use.

use std::fs;
use std::path::{Path, PathBuf};

use flowledger::{
    BlockingEngine, CommandId, CommandOptions, CommitTaskParam, CreateFlowParam, DeployFlowParam, Engine, FlowDeployId,
    FlowInstanceId, FlowModuleId, LogRecord, NodeInstanceId, ResultCode, RollbackTaskParam, RuntimeResult,
    StartProcessParam, UpdateFlowParam,
};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::failure::Failure;
use crate::cli::instance::{ELEMENT_COLUMNS, element_rows};
use crate::cli::log::verdict;
use crate::cli::session::{Access, Session};
use crate::cli::story::{self, Teller};
use crate::cli::words;

/// The model of the demo.
const MODEL: &str = include_str!("../../../examples/models/leave.json");
/// Where the log's records are read, so many at a time.
const BATCH: usize = 1_000;

/// What the demo did, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    data: PathBuf,
    is_kept: bool,
    flow_module_id: FlowModuleId,
    flow_deploy_id: FlowDeployId,
    flow_instance_id: FlowInstanceId,
    status: i32,
    records: u64,
    streams: u64,
    is_verified: bool,
}

/// Runs the demo: in the directory the caller named, else in a new one that is removed at the end.
pub(crate) fn run(session: &Session) -> Result<(), Failure> {
    if let Some(data) = session.named_data() {
        return Demo {
            session,
            data,
            is_kept: true,
        }
        .play();
    }
    let directory = Temporary::new(session)?;
    Demo {
        session,
        data: &directory.0,
        is_kept: false,
    }
    .play()
}

/// A directory that is removed when it is no longer needed.
struct Temporary(PathBuf);

impl Temporary {
    fn new(session: &Session) -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("flowledger-demo-{}", Uuid::new_v4().simple()));
        fs::create_dir(&path).map_err(|error| {
            let detail = format!(
                "{} cannot be created: {error}; name a directory with --data",
                path.display()
            );
            Failure::Explained(session.error(ResultCode::StoreUnavailable, detail))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed lies among the temporary files, where it is cleaned up sooner or later.
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Demo<'s> {
    session: &'s Session,
    data: &'s Path,
    is_kept: bool,
}

/// What the first step made.
struct Deployed {
    module: FlowModuleId,
    deployment: FlowDeployId,
}

impl Demo<'_> {
    fn play(&self) -> Result<(), Failure> {
        let engine = self.session.open_at(Engine::builder(), self.data, Access::Create)?;
        self.say("A leave approval, from its deployment to the proof of its log.")?;
        let place = self.data.display();
        self.say(&if self.is_kept {
            format!("Everything is kept in {place}.")
        } else {
            format!("Everything is stored in {place}, which is removed at the end.")
        })?;
        let deployed = self.deploy(&engine)?;
        let instance = self.run_instance(&engine, &deployed)?;
        self.look_back(&engine, &instance)?;
        self.show_log(&engine, &deployed, &instance)?;
        let written = engine.engine().counters().records;
        engine.close()?;
        drop(engine);
        self.reopen(&deployed, &instance, written)
    }

    fn deploy(&self, engine: &BlockingEngine) -> Result<Deployed, Failure> {
        self.step(1, "Deploy the model")?;
        self.say("The team lead decides on a leave; above three days the director decides too.")?;
        self.typed("flow deploy examples/models/leave.json")?;
        let owner = || "default".to_owned();
        let created = engine.create_flow(CreateFlowParam {
            tenant: owner(),
            caller: owner(),
            flow_name: Some("Leave".to_owned()),
            options: options("create"),
            ..CreateFlowParam::default()
        })?;
        let module = created.flow_module_id;
        engine.update_flow(UpdateFlowParam {
            tenant: owner(),
            caller: owner(),
            flow_module_id: module.to_string(),
            flow_model: MODEL.to_owned(),
            options: options("update"),
            ..UpdateFlowParam::default()
        })?;
        let deployed = engine.deploy_flow(DeployFlowParam {
            tenant: owner(),
            caller: owner(),
            operator: None,
            flow_module_id: module.to_string(),
            options: options("deploy"),
            ..DeployFlowParam::default()
        })?;
        self.say(&format!("  module      {module}"))?;
        self.say(&format!("  deployment  {}", deployed.flow_deploy_id))?;
        Ok(Deployed {
            module,
            deployment: deployed.flow_deploy_id,
        })
    }

    /// Start, two commits, a rollback, two commits to the end.
    fn run_instance(&self, engine: &BlockingEngine, deployed: &Deployed) -> Result<FlowInstanceId, Failure> {
        let mut teller = Teller::default();

        self.step(2, "Start an instance")?;
        self.say("Lin wants to take leave.")?;
        self.typed("instance start MODULE applicant=Lin")?;
        let start = StartProcessParam {
            options: options("start"),
            ..StartProcessParam::of_module(deployed.module.clone())
        };
        let started = engine.start_process(start.variable("applicant", "Lin"))?;
        let Some(instance) = started.flow_instance_id.clone() else {
            return Err(self
                .session
                .error(ResultCode::SystemError, "the start names no instance")
                .into());
        };
        self.say_outcome(engine, &instance, &mut teller, &started)?;

        self.step(3, "Commit two tasks")?;
        self.say("Lin asks for 5 days, the team lead agrees. 5 is more than 3: the director is next.")?;
        let commit = |step: &str, task: &NodeInstanceId| CommitTaskParam {
            options: options(step),
            ..CommitTaskParam::new(&instance, task)
        };
        self.typed("instance commit INSTANCE days=5")?;
        let task = self.task(&started)?;
        let requested = engine.commit_task(commit("request", &task).variable("days", 5))?;
        self.say_outcome(engine, &instance, &mut teller, &requested)?;
        self.typed("instance commit INSTANCE leadAgrees=true")?;
        let task = self.task(&requested)?;
        let agreed = engine.commit_task(commit("agree", &task).variable("leadAgrees", true))?;
        self.say_outcome(engine, &instance, &mut teller, &agreed)?;

        self.step(4, "Roll back")?;
        self.say("Lin meant 3 days. The last commit is walked back: the lead's task is open again, with")?;
        self.say("the data of the first time. Nothing is deleted: one more record says what no longer")?;
        self.say("counts.")?;
        self.typed("instance rollback INSTANCE --reason 'Lin meant 3 days'")?;
        let task = self.task(&agreed)?;
        let rollback = RollbackTaskParam {
            options: CommandOptions {
                reason: Some("Lin meant 3 days".into()),
                ..options("rollback")
            },
            ..RollbackTaskParam::new(&instance, &task)
        };
        let rolled_back = engine.rollback_task(rollback)?;
        self.say_outcome(engine, &instance, &mut teller, &rolled_back)?;

        self.step(5, "Commit again, with other data")?;
        self.say("With 3 days the flow takes the other branch: no director.")?;
        self.typed("instance commit INSTANCE days=3 leadAgrees=true")?;
        let task = self.task(&rolled_back)?;
        let shorter = commit("agree-again", &task)
            .variable("days", 3)
            .variable("leadAgrees", true);
        let shorter = engine.commit_task(shorter)?;
        self.say_outcome(engine, &instance, &mut teller, &shorter)?;
        self.typed("instance commit INSTANCE")?;
        let task = self.task(&shorter)?;
        let ended = engine.commit_task(commit("file", &task))?;
        self.say_outcome(engine, &instance, &mut teller, &ended)?;
        Ok(instance)
    }

    /// Histories and data: computed from the log, kept nowhere.
    fn look_back(&self, engine: &BlockingEngine, instance: &FlowInstanceId) -> Result<(), Failure> {
        let elements = engine.get_history_element_list(instance)?.element_instance_list;
        let tasks = engine.get_history_user_task_list(instance)?.node_instance_list;
        let data = engine.get_instance_data(instance)?.variables;
        if self.session.out.is_json() {
            return Ok(());
        }
        let out = &self.session.out;
        self.step(6, "Look back")?;
        self.say("Histories and data are computed from the log when you ask; they are stored nowhere")?;
        self.say("else.")?;
        self.typed("instance history INSTANCE")?;
        let rows = element_rows(&elements).into_iter().map(|row| {
            let cells = row.into_iter().zip(ELEMENT_COLUMNS);
            // Nobody has to type the ids of what is over.
            cells
                .map(|(cell, column)| {
                    if column == "node instance" {
                        words::short(&cell)
                    } else {
                        cell
                    }
                })
                .collect()
        });
        out.table(2, &ELEMENT_COLUMNS, rows.collect())?;
        self.typed("instance history INSTANCE --tasks")?;
        let rows = tasks.iter().map(|task| {
            vec![
                task.model_key.to_string(),
                words::node_status(task.status).to_owned(),
                task.model_name.to_string(),
            ]
        });
        out.table(2, &["user task", "status", "name"], rows.collect())?;
        self.typed("instance data INSTANCE")?;
        let rows = data
            .iter()
            .map(|variable| vec![variable.key.to_string(), words::value(&variable.value)]);
        Ok(out.table(2, &["key", "value"], rows.collect())?)
    }

    /// Every record of the two streams.
    fn show_log(&self, engine: &BlockingEngine, deployed: &Deployed, instance: &FlowInstanceId) -> Result<(), Failure> {
        if self.session.out.is_json() {
            return Ok(());
        }
        self.step(7, "Read the log")?;
        self.say("One record per command, written once: what was asked, and the facts it caused.")?;
        self.typed("log show")?;
        let streams = [deployed.module.id().to_bytes(), instance.id().to_bytes()];
        self.session.out.aside(story::COLUMNS)?;
        let mut teller = Teller::default();
        let mut after = 0;
        loop {
            let batch = engine.log_records(after, BATCH)?;
            let Some(last) = batch.last() else { return Ok(()) };
            after = last.position;
            let ours = |record: &&LogRecord| streams.contains(&record.record.envelope().stream);
            batch
                .iter()
                .filter(ours)
                .try_for_each(|record| teller.write(&self.session.out, record))?;
        }
    }

    /// Opens the store again, as after a restart, and checks it.
    fn reopen(&self, deployed: &Deployed, instance: &FlowInstanceId, written: u64) -> Result<(), Failure> {
        self.step(8, "Open the store again and verify it")?;
        let engine = self.session.open_at(Engine::builder(), self.data, Access::Existing)?;
        let report = engine.verify_log(|_| {})?;
        let found = engine.get_flow_instance(instance.clone())?;
        engine.close()?;
        let out = &self.session.out;
        if out.is_json() {
            out.json(&Summary {
                data: self.data.to_owned(),
                is_kept: self.is_kept,
                flow_module_id: deployed.module.clone(),
                flow_deploy_id: deployed.deployment.clone(),
                flow_instance_id: instance.clone(),
                status: found.flow_instance_bo.status,
                records: report.records,
                streams: report.streams,
                is_verified: report.fault.is_none(),
            })?;
        } else {
            let status = words::instance_status(found.flow_instance_bo.status);
            self.typed("log verify")?;
            out.line(format!("  {}", verdict(&report)))?;
            out.line(format!(
                "The instance is {status}, as it was before: a command is answered only when its record"
            ))?;
            out.line("would survive a power cut.")?;
            if written == 0 {
                out.line("The demo ran here before. Every command has an id, so this time all of them were")?;
                out.line("answered from the record, and nothing was written twice.")?;
            }
            self.farewell(instance)?;
        }
        match report.fault {
            None => Ok(()),
            Some(_) => Err(Failure::Found),
        }
    }

    fn farewell(&self, instance: &FlowInstanceId) -> Result<(), Failure> {
        let out = &self.session.out;
        out.blank()?;
        out.heading("What next")?;
        let session = self.session;
        let commands = if self.is_kept {
            [
                (format!("instance show {instance}"), "where the instance stands"),
                (format!("debug {instance}"), "walk through its records on the screen"),
                ("log show".to_owned(), "the whole log"),
                ("instance start --help".to_owned(), "start one of your own"),
            ]
            .map(|(command, text)| (session.next(&command), text))
        } else {
            let data = Some(Path::new("demo-data"));
            [
                (session.next_on(data, "demo"), "the same, and the data is kept"),
                (
                    session.next_on(data, &format!("instance history {instance}")),
                    "look at it yourself",
                ),
                (
                    session.next_on(data, &format!("debug {instance}")),
                    "walk through its records on the screen",
                ),
                (session.next_on(data, "log verify"), "check it yourself"),
            ]
        };
        for (command, text) in commands {
            out.line(format!("  {command}"))?;
            out.aside(format!("      {text}"))?;
        }
        Ok(())
    }

    /// Tells what a command caused, from its record, and the data behind it.
    fn say_outcome(
        &self,
        engine: &BlockingEngine,
        instance: &FlowInstanceId,
        teller: &mut Teller,
        result: &RuntimeResult,
    ) -> Result<(), Failure> {
        let records = engine.instance_records(instance.clone())?;
        let caused = records
            .iter()
            .find(|record| record.record.envelope().version == result.version);
        for fact in caused.map(|record| teller.facts(&record.record)).unwrap_or_default() {
            self.say(&format!("  - {fact}"))?;
        }
        self.say(&format!("    data: {}", words::variables(&result.variables)))
    }

    fn task(&self, result: &RuntimeResult) -> Result<NodeInstanceId, Failure> {
        let task = result.active_task().map(|task| task.node_instance_id.clone());
        task.ok_or_else(|| self.session.error(ResultCode::SystemError, "no task waits").into())
    }

    fn step(&self, number: usize, title: &str) -> Result<(), Failure> {
        if self.session.out.is_json() {
            return Ok(());
        }
        self.session.out.blank()?;
        Ok(self.session.out.heading(format!("{number}. {title}"))?)
    }

    /// What one would type for this.
    fn typed(&self, command: &str) -> Result<(), Failure> {
        if self.session.out.is_json() {
            return Ok(());
        }
        self.session.out.blank()?;
        Ok(self.session.out.aside(format!("  $ flowledger {command}"))?)
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.session.out.is_json() {
            Ok(())
        } else {
            Ok(self.session.out.line(text)?)
        }
    }
}

/// The options of a step: a command id that is the same in every run on the same model.
fn options(step: &str) -> CommandOptions {
    let id = Uuid::new_v5(&Uuid::new_v5(&Uuid::NAMESPACE_OID, MODEL.as_bytes()), step.as_bytes());
    CommandOptions {
        command_id: Some(CommandId::from(id)),
        ..CommandOptions::default()
    }
}
