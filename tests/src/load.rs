//! The load of the crash programs: clients that work on one engine and tell every command before they give it, and every
//! answer, receipt and checkpoint after they got it. Knows nothing of what becomes of the process.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use flowledger::store::SledOptions;
use flowledger::{
    BlockingEngine, CommitTaskParam, CreateFlowParam, DeployFlowParam, Engine, EngineError, FlowInstanceId,
    FlowModuleId, InstanceFilter, ListParam, NodeInstanceId, ReceiptParam, RollbackTaskParam, StartProcessParam,
    TerminateProcessParam, UpdateFlowParam,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dice::Dice;
use crate::sketch::flow;

/// A flow with a ring, so that instances live on over many rounds.
const FLOW: &str =
    "start -> ask -> gate; gate -(n > 7)-> end; gate -(n > 4)-> review -> ask; gate -(default)-> fix -> ask";

/// One command of the load. Repeated as it stands, it is the same command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Command {
    /// startProcess.
    Start(StartProcessParam),
    /// commitTask.
    Commit(CommitTaskParam),
    /// rollbackTask.
    Rollback(RollbackTaskParam),
    /// terminateProcess.
    Terminate(TerminateProcessParam),
}

impl Command {
    /// The command's id.
    pub fn id(&self) -> String {
        let options = match self {
            Self::Start(param) => &param.options,
            Self::Commit(param) => &param.options,
            Self::Rollback(param) => &param.options,
            Self::Terminate(param) => &param.options,
        };
        options
            .command_id
            .as_ref()
            .map(ToString::to_string)
            .expect("every command of the load has an id")
    }

    /// The answer as JSON.
    pub fn give(&self, engine: &BlockingEngine) -> Result<Value, EngineError> {
        match self.clone() {
            Self::Start(param) => engine.start_process(param).map(json),
            Self::Commit(param) => engine.commit_task(param).map(json),
            Self::Rollback(param) => engine.rollback_task(param).map(json),
            Self::Terminate(param) => engine.terminate_process(param).map(json),
        }
    }
}

fn json(answer: impl Serialize) -> Value {
    serde_json::to_value(answer).expect("an answer is JSON")
}

/// What the clients say, one line each.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Line {
    /// The command is about to be given.
    Given(Command),
    /// The command was answered.
    Answered(String, Value),
    /// The command was refused; nothing may be on the record.
    Refused(String, i32),
    /// A receipt was handed out.
    Receipt {
        /// The log's public key, as the engine told it.
        key: String,
        /// The record's place in the log.
        position: u64,
        /// The record's bytes, in hexadecimal.
        record: String,
        /// The proof.
        proof: String,
    },
    /// A checkpoint was handed out.
    Checkpoint {
        /// The log's public key, as the engine told it.
        key: String,
        /// The signed note.
        note: String,
    },
    /// A backup was made, of so many records.
    Backup(u64),
    /// Something that must not happen.
    Fault(String),
}

/// Says a line on the standard output.
fn say(line: &Line) {
    let mut text = serde_json::to_string(line).expect("a line is JSON");
    text.push('\n');
    // One write for one line, so that a kill leaves whole lines.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Opens the engine on a data directory.
pub fn open(dir: &Path, checkpoint_records: usize) -> Result<BlockingEngine, EngineError> {
    let options = SledOptions {
        checkpoint_records,
        ..SledOptions::default()
    };
    Ok(Engine::builder().data_dir_with(dir, options).open()?.blocking())
}

/// How much work a child does.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Decides the commands.
    pub seed: u64,
    /// Which of the children of one seed this is.
    pub round: u64,
    /// Clients that work at the same time.
    pub clients: u64,
    /// Commands after which they stop; without, they work until the process ends.
    pub commands: u64,
    /// Of a hundred answered commands so many are asked a receipt for, and a fifth as many times a checkpoint is signed.
    pub receipts: u64,
    /// Of a hundred commits so many bring up to two megabytes.
    pub large: u64,
    /// Whether the process ends without a word as soon as the last command was given, while others are in hand.
    pub ends_abruptly: bool,
    /// Whether backups are made beside the data directory, now and then, while commands go on.
    pub backs_up: bool,
}

/// Where the backups of a data directory are made.
pub fn backup_of(dir: &Path) -> PathBuf {
    dir.with_extension("backup")
}

/// Works on a data directory and closes the engine when the work is done.
pub fn work(dir: &Path, load: Work) {
    let Work {
        seed, round, clients, ..
    } = load;
    let mut dice = Dice::of(seed, round.wrapping_mul(1_000));
    let checkpoint_records = 1 << (4 + dice.below(10));
    let prepared = open(dir, checkpoint_records).and_then(|engine| {
        let module = deploy(&engine)?;
        let filter = InstanceFilter {
            status: Some(2),
            ..InstanceFilter::default()
        };
        let running = engine.list_flow_instances(
            &filter,
            ListParam {
                before: None,
                limit: Some(200),
            },
        )?;
        Ok((engine, module, running.flow_instances))
    });
    let (engine, module, running) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return say(&Line::Fault(format!("opening: {error}"))),
    };
    let left = AtomicU64::new(load.commands);
    thread::scope(|scope| {
        for client in 0..clients {
            let (engine, module, left) = (&engine, &module, &left);
            let mine = (0_u64..).zip(&running).filter(|(index, _)| index % clients == client);
            let instances = mine.map(|(_, summary)| summary.flow_instance_id.clone()).collect();
            scope.spawn(move || {
                let dice = Dice::of(seed, round * 1_000 + client + 1);
                Client {
                    engine,
                    module,
                    instances,
                    dice,
                    name: format!("r{round}-c{client}"),
                    given: 0,
                    receipts: load.receipts,
                    large: load.large,
                    ends_abruptly: load.ends_abruptly,
                    backup: (load.backs_up && client == 0).then(|| backup_of(dir)),
                    left,
                }
                .work();
            });
        }
    });
    if let Err(error) = engine.close() {
        say(&Line::Fault(format!("closing: {error}")));
    }
}

/// Deploys the flow of the load: three commands with fixed ids, so whoever was killed half-way goes on where it was.
pub fn deploy(engine: &BlockingEngine) -> Result<FlowModuleId, EngineError> {
    let owner = || ("crash".to_owned(), "crash".to_owned());
    let options = |id: &str| flowledger::CommandOptions {
        command_id: Some(id.into()),
        ..Default::default()
    };
    let (tenant, caller) = owner();
    let create = CreateFlowParam {
        tenant,
        caller,
        options: options("create"),
        ..CreateFlowParam::default()
    };
    let id = engine.create_flow(create)?.flow_module_id;
    let flow_model = flow("crash", FLOW).flow_model.to_string();
    let flow_module_id = id.to_string();
    let (tenant, caller) = owner();
    let options_of = options("update");
    engine.update_flow(UpdateFlowParam {
        tenant,
        caller,
        flow_module_id: flow_module_id.clone(),
        flow_model,
        options: options_of,
        ..UpdateFlowParam::default()
    })?;
    let (tenant, caller) = owner();
    let options = options("deploy");
    engine.deploy_flow(DeployFlowParam {
        tenant,
        caller,
        flow_module_id,
        options,
        ..DeployFlowParam::default()
    })?;
    Ok(id)
}

/// One client, with instances that nobody else touches.
struct Client<'e> {
    engine: &'e BlockingEngine,
    module: &'e FlowModuleId,
    instances: Vec<FlowInstanceId>,
    dice: Dice,
    name: String,
    given: u64,
    receipts: u64,
    large: u64,
    ends_abruptly: bool,
    backup: Option<PathBuf>,
    /// Commands that all clients together may still give.
    left: &'e AtomicU64,
}

impl Client<'_> {
    fn work(mut self) {
        let is_one_less = |left: u64| left.checked_sub(1);
        while self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_one_less)
            .is_ok()
        {
            let command = match self.choose() {
                Ok(command) => command,
                Err(error) => return say(&Line::Fault(format!("{}: reading: {error}", self.name))),
            };
            say(&Line::Given(command.clone()));
            match command.give(self.engine) {
                Ok(answer) => {
                    let id = answer["flowInstanceId"].as_str().map(FlowInstanceId::new);
                    self.note(&command, answer);
                    if let Err(error) = self.prove(id.as_ref(), &command) {
                        return say(&Line::Fault(format!("{}: proving: {error}", command.id())));
                    }
                }
                // There is no task before the first one.
                Err(error) if error.err_code() == 4006 => say(&Line::Refused(command.id(), 4006)),
                Err(error) => return say(&Line::Fault(format!("{}: {error}", command.id()))),
            }
        }
        if self.ends_abruptly {
            std::process::exit(0);
        }
    }

    fn note(&mut self, command: &Command, answer: Value) {
        let id: Option<FlowInstanceId> = answer["flowInstanceId"].as_str().map(FlowInstanceId::new);
        if let Some(id) = id {
            let is_running = answer["status"] == 2;
            match self.instances.iter().position(|known| *known == id) {
                Some(index) if !is_running => drop(self.instances.swap_remove(index)),
                None if is_running => self.instances.push(id),
                _ => {}
            }
        }
        say(&Line::Answered(command.id(), answer));
    }

    /// Now and then asks for what a stranger would keep.
    fn prove(&mut self, instance: Option<&FlowInstanceId>, command: &Command) -> Result<(), EngineError> {
        if let Some(instance) = instance.filter(|_| self.dice.percent(self.receipts)) {
            let receipt = self
                .engine
                .receipt_of(ReceiptParam::of_instance(instance).command_id(&command.id()))?;
            say(&Line::Receipt {
                key: self.engine.public_key()?,
                position: receipt.position,
                record: to_hex(&receipt.record),
                proof: receipt.proof,
            });
            if self.dice.percent(20) {
                let note = self.engine.checkpoint()?.note;
                let key = self.engine.public_key()?;
                say(&Line::Checkpoint { key, note });
            }
        }
        if let Some(backup) = self.backup.as_ref().filter(|_| self.dice.percent(8)) {
            say(&Line::Backup(self.engine.backup(backup, |_| {})?.records));
        }
        Ok(())
    }

    fn choose(&mut self) -> Result<Command, EngineError> {
        self.given += 1;
        let command_id = format!("{}-{}", self.name, self.given);
        if self.instances.is_empty() || (self.instances.len() < 8 && self.dice.percent(20)) {
            let param = StartProcessParam::of_module(self.module.clone())
                .variable("n", 0)
                .command_id(&command_id);
            return Ok(Command::Start(param));
        }
        let id = self.instances[self.dice.index(self.instances.len())].clone();
        if self.dice.percent(4) {
            return Ok(Command::Terminate(
                TerminateProcessParam::new(&id).command_id(&command_id),
            ));
        }
        let task = self.active_task(&id)?;
        if self.dice.percent(20) {
            return Ok(Command::Rollback(
                RollbackTaskParam::new(&id, &task).command_id(&command_id),
            ));
        }
        let n = i64::try_from(self.dice.below(9)).unwrap_or(0);
        let mut param = CommitTaskParam::new(&id, &task)
            .variable("n", n)
            .command_id(&command_id);
        // Without large ones nothing is drawn for them: a seed gives what it gave before.
        let filling = if self.large > 0 && self.dice.percent(self.large) {
            // As much as several of sled's segments.
            50_000 + self.dice.index(2_000_000)
        } else if self.dice.percent(10) {
            // Around and beyond the size of a frame.
            3_800 + self.dice.index(6_000)
        } else {
            0
        };
        if filling > 0 {
            param = param.variable("filling", "x".repeat(filling));
        }
        Ok(Command::Commit(param))
    }

    fn active_task(&self, id: &FlowInstanceId) -> Result<NodeInstanceId, EngineError> {
        let tasks = self.engine.get_history_user_task_list(id)?;
        let active = tasks.node_instance_list.into_iter().find(|task| task.status == 2);
        Ok(active
            .expect("a running instance of this flow has an active task")
            .node_instance_id)
    }
}

/// Bytes in hexadecimal.
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// The bytes that hexadecimal digits stand for.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| {
        char::from(*digit)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}
