//! Scripts as commands that are typed; ids that only a run gives out stand in capitals.

use std::path::Path;

use flowledger::InstanceData;
use flowledger::testing::{Script, ScriptStep};

use super::TestArgs;
use super::files::Given;
use crate::cli::session::Session;
use crate::cli::words::{self, typed};

/// The command id of a command that is given twice.
const AGAIN: &str = " --command-id AGAIN";

/// The commands of a script, a line each; what no command does is a comment of the shell.
pub(super) fn commands(session: &Session, args: &TestArgs, given: &Given, script: &Script) -> Vec<String> {
    let file = |path: &Path| words::argument(&path.display().to_string());
    let mut lines: Vec<String> = given
        .called
        .iter()
        .map(|(_, path)| session.next(&format!("flow deploy {}", file(path))))
        .collect();
    let stand_ins = given.stand_ins.iter();
    lines.extend(stand_ins.map(|name| format!("# and a flow of one task, called-task, as {name}")));
    lines.push(session.next(&format!("flow deploy {}", file(&args.model))));
    let answers = given.properties.hook_answer.iter();
    let answers: Vec<String> = answers
        .map(|(key, value)| format!(" --hook-answer{}", typed(&[InstanceData::new(key, value.clone())])))
        .collect();
    let hooks = answers.concat();
    // The command before a repeated one, which needs an id.
    let mut repeated: Option<String> = None;
    for (place, step) in script.steps.iter().enumerate() {
        let is_given_again = matches!(script.steps.get(place + 1), Some(ScriptStep::Repeat));
        let by = |by: &Option<std::sync::Arc<str>>| {
            by.as_ref()
                .map(|by| format!(" --operator {}", words::argument(by)))
                .unwrap_or_default()
        };
        let command = match step {
            ScriptStep::Start { variables, by: who } => {
                format!("instance start MODULE{}{hooks}{}", typed(variables), by(who))
            }
            ScriptStep::Commit {
                task,
                variables,
                calls,
                by: who,
            } => {
                let calls = calls
                    .as_ref()
                    .map(|calls| format!(" --module MODULE-OF-{calls}"))
                    .unwrap_or_default();
                format!(
                    "instance commit INSTANCE {}{}{calls}{hooks}{}",
                    words::argument(task),
                    typed(variables),
                    by(who)
                )
            }
            ScriptStep::Rollback { task } => format!("instance rollback INSTANCE {}", words::argument(task)),
            ScriptStep::RollbackTo { task } => format!("instance rollback INSTANCE --to {}", words::argument(task)),
            ScriptStep::Redo => "instance redo INSTANCE".to_owned(),
            ScriptStep::Suspend => "instance suspend INSTANCE --reason test".to_owned(),
            ScriptStep::Resume => "instance resume INSTANCE --reason test".to_owned(),
            ScriptStep::Terminate => "instance terminate INSTANCE".to_owned(),
            ScriptStep::Repeat => {
                lines.extend(repeated.clone());
                continue;
            }
            ScriptStep::Stale { task } => format!(
                "instance commit INSTANCE {} --expected-version VERSION-BEFORE",
                words::argument(task)
            ),
            ScriptStep::Unknown => "instance commit INSTANCE nobody".to_owned(),
            ScriptStep::Concurrent { task, one, other } => {
                lines.push("# these two at the same time, in one program:".to_owned());
                for variables in [one, other] {
                    let task = words::argument(task);
                    lines.push(session.next(&format!("instance commit INSTANCE {task}{}{hooks}", typed(variables))));
                }
                continue;
            }
            ScriptStep::Restart => {
                lines.push("# the engine is closed and opened again, as with every command here".to_owned());
                continue;
            }
            ScriptStep::Wait { seconds } => {
                lines.push(format!("# {} later:", words::count_u64(*seconds, "second")));
                continue;
            }
        };
        let line = session.next(&format!("{command}{}", if is_given_again { AGAIN } else { "" }));
        repeated = Some(line.clone());
        lines.push(line);
    }
    lines
}
