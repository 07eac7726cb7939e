//! Walks a parallel flow back and forth, and tells what happens, what is active, what the data is and what the record says.
//!
//! Run it with `cargo run -p flowledger --example going_back`.

use flowledger::event::InstanceEvent;
use flowledger::{
    AnyRecord, BlockingEngine, CommitTaskParam, DeployModel, Engine, FlowInstanceId, InstanceData, LifecycleParam,
    NodeInstanceId, RedoRollbackParam, RollbackTaskParam, RollbackToParam, RuntimeResult, StartProcessParam,
};

/// What the steps of the story answer.
type Done = Result<(), Box<dyn std::error::Error>>;

/// The flow that is drawn at the beginning. `sign` and `account` name what to compensate outside.
const ONBOARDING: &str = include_str!("models/onboarding.json");

fn main() -> Done {
    println!(
        "Somebody new joins. A flow prepares the first day:

                          ┌─ desk ─────────────────────────┐
  start ─ sign ─ <prepare>┼─ account ─ role? ─┬─ rights ───┼<prepared>─ welcome ─ end
                          │                   └────────────┤
                          └─ training ─────────────────────┘

sign the contract; then, side by side, a desk, an account (admins get rights as well) and a training."
    );
    let engine = Engine::builder().in_memory().open()?.blocking();
    let deployed = engine.deploy_model(DeployModel::new("onboarding", ONBOARDING))?;
    let started =
        engine.start_process(StartProcessParam::of_module(deployed.flow_module_id).variable("role", "guest"))?;
    let id = started.flow_instance_id.ok_or("no instance")?;
    let story = Story { engine, id };

    Story::chapter("1. Forward, through the fork and the join");
    story.tell("start role=guest")?;
    let forked = story.commit("sign", "salary", 100)?;
    assert_eq!(waiting(&forked), ["desk", "account", "training"]);
    story.commit("desk", "room", 12)?;
    story.commit("training", "course", 7)?;
    println!("\n  Two branches have come to the join. It waits for the third, and then lets the flow go on:");
    let joined = story.commit("account", "user", 4711)?;
    assert_eq!(waiting(&joined), ["welcome"]);

    Story::chapter("2. Where could we go back to, and what would it bring?");
    story.targets()?;

    Story::chapter("3. Back behind the join that has fired: the account was made out to the wrong person");
    let back = story.rollback_to("account")?;
    assert_eq!(waiting(&back), ["account"]);
    println!("\n  Desk and training do not depend on the account: they stay done, and the join waits with them.");
    println!("  Now other places are refused:\n");
    story.targets()?;

    Story::chapter("4. Forth again: the rollback itself is taken back");
    let forth = story.redo()?;
    assert_eq!(
        (waiting(&forth), &forth.variables),
        (vec!["welcome"], &joined.variables)
    );

    Story::chapter("5. One step back at a time, with rollbackTask, as far as it goes");
    let task = story.task("welcome")?;
    story.rollback("welcome", &task)?;
    let task = story.task("account")?;
    let undone = story.rollback("account", &task)?;
    assert_eq!((waiting(&undone), undone.variables.len()), (vec!["sign"], 1));
    println!(
        "\n  The way back from a first task of a branch leads over the fork: all of its branches are undone with it."
    );
    let task = story.task("sign")?;
    Story::refused(
        "rollback sign",
        story.engine.rollback_task(RollbackTaskParam::new(&story.id, &task)),
    )?;
    println!("\n  Both steps are taken back, the last one first:");
    story.redo()?;
    let forth = story.redo()?;
    assert_eq!(
        (waiting(&forth), &forth.variables),
        (vec!["welcome"], &joined.variables)
    );

    Story::chapter("6. Stopped for a reason that the flow offers, and restored to exactly where it was");
    let abort = LifecycleParam::new(&story.id, "by phone");
    Story::refused(
        "abort, without one of the flow's reasons",
        story.engine.abort_instance(abort.clone()),
    )?;
    story.engine.abort_instance(abort.reason_option("declined the offer"))?;
    story.tell("abort --reason-option 'declined the offer' --reason 'by phone'")?;
    let account = RollbackToParam::element(&story.id, "account");
    Story::refused("rollback --to account", story.engine.rollback_to(account))?;
    story
        .engine
        .restore_instance(LifecycleParam::new(&story.id, "changed their mind"))?;
    story.tell("restore --reason 'changed their mind'")?;

    Story::chapter("7. To the end");
    assert_eq!(story.commit("welcome", "done", 1)?.err_code, 1000);
    Story::refused("redo", story.engine.redo_rollback(RedoRollbackParam::new(&story.id)))?;

    let records = story.engine.instance_records(story.id.clone())?.len();
    println!("\nNothing was ever taken away: {records} records, one for each command that was not refused.");
    story.engine.close()?;
    Ok(())
}

/// One instance, and what is told of it.
struct Story {
    engine: BlockingEngine,
    id: FlowInstanceId,
}

impl Story {
    fn chapter(title: &str) {
        println!("\n{title}\n{}", "─".repeat(title.chars().count()));
    }

    /// What is active now, and the data now.
    fn stands(&self) -> Done {
        match self.engine.get_flow_instance(&self.id)?.flow_instance_bo.status {
            1 => println!("  status  completed"),
            6 => println!("  status  aborted: nothing can be done but to restore or terminate it"),
            _ => {}
        }
        let elements = self.engine.get_history_element_list(&self.id)?.element_instance_list;
        let with = |status: i32| {
            let of_status = elements
                .iter()
                .filter(|element| element.status == status && element.node_instance_id.is_some());
            of_status
                .map(|element| &*element.model_key)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (active, joins) = (with(2), with(5));
        println!("  active  {}", if active.is_empty() { "nothing" } else { &active });
        if !joins.is_empty() {
            println!("  waits   {joins}, for its other branches");
        }
        println!(
            "  data    {}",
            text(&self.engine.get_instance_data(&self.id)?.variables)
        );
        Ok(())
    }

    /// The command that was just done: what its record says, and where the instance stands after it.
    fn tell(&self, command: &str) -> Done {
        println!("\n> {command}");
        let records = self.engine.instance_records(self.id.clone())?;
        let keys = self.engine.get_history_element_list(&self.id)?.element_instance_list;
        let names = |ids: &[NodeInstanceId]| {
            let key = |id| {
                keys.iter()
                    .find(|element| element.node_instance_id.as_ref() == Some(id))
            };
            ids.iter()
                .filter_map(key)
                .map(|element| &*element.model_key)
                .collect::<Vec<_>>()
                .join(", ")
        };
        if let Some(AnyRecord::Instance(record)) = records.last().map(|last| &last.record) {
            for event in &record.events {
                match event {
                    InstanceEvent::TaskRolledBack { superseded, .. } => {
                        println!("  record  no longer counts: {}", names(superseded));
                    }
                    InstanceEvent::RollbackRedone { superseded, restored } => {
                        println!(
                            "  record  counts again: {}; no longer: {}",
                            names(restored),
                            names(superseded)
                        );
                    }
                    _ => {}
                }
            }
        }
        self.stands()
    }

    /// The newest visit of an element.
    fn task(&self, key: &str) -> Result<NodeInstanceId, Box<dyn std::error::Error>> {
        let elements = self.engine.get_history_element_list(&self.id)?.element_instance_list;
        let task = elements
            .into_iter()
            .rfind(|element| &*element.model_key == key && element.status != 4);
        Ok(task.and_then(|task| task.node_instance_id).ok_or("no such task")?)
    }

    fn commit(&self, key: &str, name: &str, value: i64) -> Result<RuntimeResult, Box<dyn std::error::Error>> {
        let task = self.task(key)?;
        let result = self
            .engine
            .commit_task(CommitTaskParam::new(&self.id, &task).variable(name, value))?;
        self.tell(&format!("commit {key} {name}={value}"))?;
        Ok(result)
    }

    fn rollback(&self, key: &str, task: &NodeInstanceId) -> Result<RuntimeResult, Box<dyn std::error::Error>> {
        let result = self.engine.rollback_task(RollbackTaskParam::new(&self.id, task))?;
        self.tell(&format!("rollback {key}"))?;
        compensate(&result);
        Ok(result)
    }

    fn rollback_to(&self, key: &str) -> Result<RuntimeResult, Box<dyn std::error::Error>> {
        let result = self.engine.rollback_to(RollbackToParam::element(&self.id, key))?;
        self.tell(&format!("rollback --to {key}"))?;
        compensate(&result);
        Ok(result)
    }

    fn redo(&self) -> Result<RuntimeResult, Box<dyn std::error::Error>> {
        let result = self.engine.redo_rollback(RedoRollbackParam::new(&self.id))?;
        self.tell("redo")?;
        Ok(result)
    }

    /// Every user task: what going back to it would bring, or why it cannot be done.
    fn targets(&self) -> Done {
        for target in self.engine.get_rollback_targets(&self.id)?.targets {
            let key = &target.node_instance.model_key;
            if let (Some(code), Some(reason)) = (target.err_code, &target.err_msg) {
                println!("  not to {key}: {code} {reason}");
                continue;
            }
            let active: Vec<&str> = target.active_tasks.iter().map(|task| &*task.model_key).collect();
            let changes: Vec<String> = target
                .data_changes
                .iter()
                .map(|change| match &change.then {
                    Some(then) => format!("{} would be {then}", change.key),
                    None => format!("{} would be gone", change.key),
                })
                .collect();
            println!(
                "  back to {key}: active would be {}; {}",
                active.join(", "),
                changes.join(", ")
            );
        }
        Ok(())
    }

    /// A command that must be refused: by which code, and why. It leaves no record.
    fn refused<T>(command: &str, result: Result<T, flowledger::EngineError>) -> Done {
        let error = result.err().ok_or("it was not refused")?;
        println!("\n> {command}\n  refused {error}");
        Ok(())
    }
}

/// What the caller has to undo outside, in this order.
fn compensate(result: &RuntimeResult) {
    for compensation in &result.compensations {
        println!("  outside {} (for {})", compensation.name, compensation.model_key);
    }
}

/// Where the branches that a command moved wait.
fn waiting(result: &RuntimeResult) -> Vec<&str> {
    let branches = result.node_execute_results.iter();
    branches.map(|branch| &*branch.active_task_instance.model_key).collect()
}

fn text(variables: &[InstanceData]) -> String {
    let texts: Vec<String> = variables
        .iter()
        .map(|variable| format!("{}={}", variable.key, variable.value))
        .collect();
    texts.join(" ")
}
