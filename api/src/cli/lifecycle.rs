//! Suspend, resume, abort, restore.

use clap::Args;
use flowledger::{BlockingEngine, EngineError, LifecycleParam, LifecycleResult};

use crate::cli::arguments::{ActorArgs, CommandIdArg, VersionArg};
use crate::cli::failure::Failure;
use crate::cli::session::{Access, Session};
use crate::cli::words;

/// Which instance to suspend, resume, abort or restore, and why.
#[derive(Args)]
pub(crate) struct LifecycleArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// Why, as one of the flow's reasonOptions for this command; otherwise --reason is required
    #[arg(long, value_name = "OPTION")]
    reason_option: Option<String>,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    command_id: CommandIdArg,
    #[command(flatten)]
    version: VersionArg,
}

/// Changes whether an instance may go on.
pub(crate) fn change(
    session: &Session,
    args: LifecycleArgs,
    command: impl FnOnce(&BlockingEngine, LifecycleParam) -> Result<LifecycleResult, EngineError>,
) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let param = LifecycleParam {
        flow_instance_id: args.instance.clone(),
        reason_option: args.reason_option,
        options: args.actor.options(args.command_id, args.version.expected_version),
    };
    let result = command(&engine, param)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&result)?);
    }
    let status = words::instance_status(result.status);
    out.line(format!(
        "instance {} is {status}, version {}",
        args.instance, result.version
    ))?;
    let back = match status {
        "suspended" => format!("instance resume {} --reason TEXT", args.instance),
        "aborted" => format!("instance restore {} --reason TEXT", args.instance),
        _ => format!("instance show {}", args.instance),
    };
    out.blank()?;
    Ok(out.aside(format!("Next: {}", session.next(&back)))?)
}
