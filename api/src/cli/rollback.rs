//! Rollback, redo, and where an instance may be rolled back to.

use clap::Args;
use flowledger::{InstanceQuery, RedoRollbackParam, RollbackTarget, RollbackTaskParam, Value};

use crate::cli::arguments::{ActorArgs, CommandIdArg, VersionArg};
use crate::cli::failure::Failure;
use crate::cli::instance::tell;
use crate::cli::session::{Access, Session};
use crate::cli::{task, words};

/// Which task to go back from, or to.
#[derive(Args)]
pub(crate) struct RollbackArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// The task, by its id or its element's key (not needed while only one waits)
    #[arg(value_name = "TASK")]
    task: Option<String>,
    /// Go back to this completed user task instead, by its id or its element's key
    #[arg(long, value_name = "TASK", conflicts_with = "task")]
    to: Option<String>,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    command_id: CommandIdArg,
    #[command(flatten)]
    version: VersionArg,
}

/// Which instance's rollback to take back.
#[derive(Args)]
pub(crate) struct RedoArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    command_id: CommandIdArg,
    #[command(flatten)]
    version: VersionArg,
}

/// Goes back from a task to the user task before it, or straight to a task.
pub(crate) fn back(session: &Session, args: RollbackArgs) -> Result<(), Failure> {
    let options = args.actor.options(args.command_id, args.version.expected_version);
    let engine = session.open(Access::Existing)?;
    let instance = &args.instance;
    let result = if let Some(to) = &args.to {
        engine.rollback_to(task::target(&engine, instance, to, options)?)?
    } else {
        let id = options.command_id.as_ref();
        let task = task::meant(session, &engine, instance, args.task.as_deref(), id)?;
        engine.rollback_task(RollbackTaskParam {
            options,
            ..RollbackTaskParam::new(&instance.as_str().into(), &task)
        })?
    };
    engine.close()?;
    tell(session, &result, Some(instance))
}

/// Takes the last rollback back.
pub(crate) fn redo(session: &Session, args: RedoArgs) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let result = engine.redo_rollback(RedoRollbackParam {
        options: args.actor.options(args.command_id, args.version.expected_version),
        ..RedoRollbackParam::new(&args.instance.as_str().into())
    })?;
    engine.close()?;
    tell(session, &result, Some(&args.instance))
}

/// The user tasks one may go back to.
pub(crate) fn targets(session: &Session, query: &InstanceQuery) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let result = engine.get_rollback_targets(query.clone())?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&result)?);
    }
    // What holds for the whole instance is said once.
    let reason = |target: &RollbackTarget| Some((target.err_code_ext.or(target.err_code)?, target.err_msg.clone()?));
    let mut reasons = result.targets.iter().map(reason);
    if let Some(Some((code, text))) = reasons.next()
        && result.targets.len() > 1
        && reasons.all(|other| other.as_ref() == Some(&(code, text.clone())))
    {
        let tasks = result.targets.iter().map(|target| {
            let node = &target.node_instance;
            words::element(&node.model_key, &node.model_name)
        });
        let tasks: Vec<String> = tasks.collect();
        return Ok(out.pairs(&[
            ("not to", format!("any task: {}", tasks.join(", "))),
            ("because", format!("{code} {text}")),
        ])?);
    }
    let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "–".to_owned(), words::value);
    for target in &result.targets {
        let node = &target.node_instance;
        let element = words::element(&node.model_key, &node.model_name);
        let mut pairs = vec![
            (if target.possible { "back to" } else { "not to" }, element),
            ("task", node.node_instance_id.to_string()),
        ];
        if let (Some(code), Some(reason)) = (target.err_code_ext.or(target.err_code), &target.err_msg) {
            pairs.push(("because", format!("{code} {reason}")));
        }
        let active: Vec<String> = target
            .active_tasks
            .iter()
            .map(|task| task.model_key.to_string())
            .collect();
        if !active.is_empty() {
            pairs.push(("would wait at", active.join(", ")));
        }
        for change in &target.data_changes {
            let text = format!(
                "{}: {} → {}",
                words::plain(&change.key),
                value(&change.now),
                value(&change.then)
            );
            pairs.push(("would change", text));
        }
        for compensation in &target.compensations {
            pairs.push((
                "to compensate",
                format!("{} ({})", compensation.name, compensation.model_key),
            ));
        }
        out.pairs(&pairs)?;
        out.blank()?;
    }
    if result.targets.is_empty() {
        out.line("the instance has no user task so far")?;
    }
    // What was possible then need not be possible now.
    let first = result.targets.iter().find(|target| target.possible);
    if let Some(target) = first.filter(|_| query.as_of.is_none()) {
        let next = format!(
            "instance rollback {} --to {}",
            query.flow_instance_id, target.node_instance.node_instance_id
        );
        out.aside(format!("Next: {}", session.next(&next)))?;
    }
    Ok(())
}
