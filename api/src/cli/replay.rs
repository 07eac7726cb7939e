//! Giving an instance its recorded commands again, in a fork, and telling where it comes to something else.

use std::path::PathBuf;

use clap::Args;
use flowledger::{ForkParam, Replay, ResultCode};
use serde::Serialize;

use crate::cli::arguments::AsOfArg;
use crate::cli::failure::Failure;
use crate::cli::session::{Access, Session};
use crate::cli::words::count;

/// What a replay is for.
pub(crate) const REPLAY_HELP: &str =
    "The instance is forked at --as-of (its first version unless said otherwise) and given the commands that
were recorded after it, each at its time and with the deployments of its time. Hooks answer from the
record. The store is not changed. With --model the instance runs on that model instead: where it
diverges first, tells what the change of the model would have meant for it.

Exit status 1 when something came out different.";

/// Which instance, from where, on which model.
#[derive(Args)]
pub(crate) struct ReplayArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    #[command(flatten)]
    as_of: AsOfArg,
    /// Another model for the instance's own module, as a file
    #[arg(long, value_name = "MODEL.json")]
    model: Option<PathBuf>,
}

/// A replay as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replayed<'a> {
    err_code: i32,
    err_msg: &'a str,
    #[serde(flatten)]
    replay: &'a Replay,
}

/// Replays an instance in a fork.
pub(crate) fn run(session: &Session, args: ReplayArgs) -> Result<(), Failure> {
    let model = args.model.as_deref().map(|path| session.read(path)).transpose()?;
    let query = args.as_of.of_first(&args.instance);
    let engine = session.open(Access::Existing)?;
    let mut param = ForkParam::new(query.clone());
    if let Some(model) = &model {
        let module = engine.get_flow_instance(query)?.flow_instance_bo.flow_module_id;
        param = param.model(module, model);
    }
    let replay = pollster::block_on(engine.fork(param)?.replay())?;
    engine.close()?;
    tell(session, &replay)?;
    if replay.difference.is_none() {
        Ok(())
    } else {
        Err(Failure::Found)
    }
}

fn tell(session: &Session, replay: &Replay) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        let success = ResultCode::Success.entry();
        return Ok(out.json(&Replayed {
            err_code: success.number,
            err_msg: success.text,
            replay,
        })?);
    }
    let equal = count(usize::try_from(replay.equal).unwrap_or(usize::MAX), "record");
    out.line(format!(
        "from version {}: {equal} came out equal, byte for byte",
        replay.from
    ))?;
    let Some(difference) = &replay.difference else {
        return Ok(());
    };
    out.line(format!("version {} comes out different", difference.version))?;
    out.blank()?;
    out.line(format!("then: {}", difference.then))?;
    match (&difference.now, &difference.refused) {
        (Some(now), _) => out.line(format!("now:  {now}"))?,
        (None, Some(why)) => out.line(format!("now:  no record, {why}"))?,
        (None, None) => {}
    }
    Ok(())
}
