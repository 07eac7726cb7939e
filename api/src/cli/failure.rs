//! Why a command did not do what was asked, and how that is told.

use std::error::Error as _;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use flowledger::store::StoreError;
use flowledger::{Damage, EngineError, FaultEntry, ResultCode};

use crate::cli::output::Output;
use crate::cli::words::{self, plain};

/// Why a command did not do what was asked.
pub(crate) enum Failure {
    /// The arguments cannot be used as they are.
    Usage(EngineError),
    /// The engine refused, or could not.
    Refused(EngineError),
    /// The data directory cannot be used.
    NotOpened(EngineError),
    /// Refused by the command line itself; the message says what to do.
    Explained(EngineError),
    /// A fault was found, and told already.
    Found,
    /// Standard output cannot be written.
    Output(io::Error),
}

impl Failure {
    /// Exit status: the arguments are wrong.
    pub(crate) const USAGE: u8 = 2;
    /// Exit status: refused, or a fault found.
    const REFUSED: u8 = 1;

    /// Tells the failure and chooses the exit status.
    pub(crate) fn tell(self, out: &Output) -> ExitCode {
        let (error, hint, status) = match self {
            Self::Usage(error) => (error, None, Self::USAGE),
            Self::Explained(error) => (error, None, Self::REFUSED),
            Self::NotOpened(error) => {
                let hint = opening_hint(&error);
                (error, hint, Self::REFUSED)
            }
            Self::Refused(error) => {
                let hint = hint(own_code(&error));
                (error, Some(hint), Self::REFUSED)
            }
            Self::Found => return ExitCode::from(Self::REFUSED),
            // Whoever closed the pipe, as `head` does, has read enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            Self::Output(error) => {
                let _ = writeln!(io::stderr(), "error: standard output cannot be written: {error}");
                return ExitCode::from(Self::REFUSED);
            }
        };
        if out.is_json() {
            let _ = out.json(&error.envelope());
        } else {
            let _ = io::stderr().write_all(told(&error, hint).as_bytes());
        }
        ExitCode::from(status)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// An error in plain words: the code and its text, what exactly, where, and what to do.
fn told(error: &EngineError, hint: Option<&str>) -> String {
    let beside = error.err_code_ext().and_then(ResultCode::from_number);
    let mut text = format!("error {} {}", error.err_code(), error.code().entry().text);
    if let Some(code) = beside {
        let _ = match code.entry().text {
            same if same == error.code().entry().text => write!(text, " ({})", code.number()),
            other => write!(text, " ({} {other})", code.number()),
        };
    }
    text.push('\n');
    let about = error.about();
    if let Some(damage) = &about.damage {
        text.push_str(&damage_lines(damage));
    } else if about.faults.is_empty() {
        if !error.detail().is_empty() {
            let _ = writeln!(text, "  {}", plain(error.detail()));
        }
    } else {
        for fault in &about.faults {
            let _ = writeln!(text, "  {}", fault_line(fault));
        }
    }
    if let Some(task) = &about.active_task_instance {
        let name = words::element(&task.model_key, &task.model_name);
        let _ = writeln!(
            text,
            "  task: {name} {}, {}",
            task.node_instance_id,
            words::node_status(task.status)
        );
    }
    if let Some(id) = &about.command_id {
        let _ = writeln!(text, "  command id: {id}");
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "  what to do: {hint}");
    }
    text
}

/// What is known of a damaged store, and what to do.
fn damage_lines(damage: &Damage) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "  {}: {}", plain(&damage.place), plain(&damage.what));
    let stored = match damage.stored {
        Some(stored) => format!("{stored} records, by the mark beside the log"),
        None => "not known: there is no mark that can be read".to_owned(),
    };
    let intact = match damage.intact {
        Some(0) => "none, from the first on".to_owned(),
        Some(intact) => format!("positions 1 to {intact} can be read and fit their hashes"),
        None => "not known: the log cannot be read as it is".to_owned(),
    };
    let files = if damage.may_have_changed {
        "opening may have cut off what cannot be read; a copy from before is worth more"
    } else {
        "nothing was changed"
    };
    for (name, told) in [("stored", &*stored), ("intact", &intact), ("files", files)] {
        let _ = writeln!(text, "  {name:<7} {told}");
    }
    let data = words::argument(&damage.directory);
    let _ = writeln!(
        text,
        "  what to do: keep a copy of {data} as it is. Then, into a new directory:"
    );
    let _ = writeln!(
        text,
        "    flowledger --data NEW log restore BACKUP     if you have a backup"
    );
    let _ = writeln!(
        text,
        "    flowledger --data {data} log salvage NEW     takes what is intact"
    );
    text
}

/// The code that says most: our own where it stands beside another.
fn own_code(error: &EngineError) -> ResultCode {
    error
        .err_code_ext()
        .and_then(ResultCode::from_number)
        .unwrap_or(error.code())
}

/// What to do about a data directory that cannot be used, where the message does not say it.
fn opening_hint(error: &EngineError) -> Option<&'static str> {
    let is_in_use = error
        .source()
        .and_then(|source| source.downcast_ref())
        .is_some_and(|error| matches!(error, StoreError::InUse { .. }));
    match error.code() {
        ResultCode::StoreUnavailable if is_in_use => Some(
            "The program that has it open can tell how it is (Engine::health), verify it, back it up and export it while it \
             runs. Stop it, or name a copy with --data.",
        ),
        ResultCode::StoreUnavailable => Some("Make the directory usable, or name another one with --data."),
        ResultCode::LogCorrupt => None,
        code => Some(code.entry().hint),
    }
}

/// What to do, where the command line has a way of its own.
fn hint(code: ResultCode) -> &'static str {
    match code {
        ResultCode::HookConfigMissing => {
            "Answer the hook with --hook-answer KEY=VALUE, or clear hookInfoIds in the model."
        }
        ResultCode::NodeInstanceNotFound => "Name a task by the id or the key that `instance history` lists.",
        ResultCode::FlowNotEditing => "Save a model with `flow update`, then deploy.",
        ResultCode::VersionConflict => "Look at it again with `instance show` or `flow show`, then decide anew.",
        ResultCode::CallActivityModelMissing => "Name the flow module with --module.",
        ResultCode::ReasonRequired => "Give --reason, or --reason-option where the flow has options.",
        ResultCode::AlreadyAborted => "Restore it with `instance restore`, or start a new instance.",
        ResultCode::NotAborted => "Look at it with `instance show`.",
        ResultCode::InstanceSuspended => "Let it go on with `instance resume`.",
        ResultCode::NodeNotReached | ResultCode::NodeNotCompleted => {
            "Choose a task that `instance targets` says one may go back to."
        }
        ResultCode::TransitionIllegal => "Look at it with `instance show`, then decide.",
        _ => code.entry().hint,
    }
}

/// One fault of a model: its code, the element, what is wrong.
pub(crate) fn fault_line(fault: &FaultEntry) -> String {
    match &fault.element_key {
        Some(key) => {
            format!(
                "{}  {}: {}",
                fault.err_code,
                words::element(key, &fault.element_name),
                plain(&fault.message)
            )
        }
        None => format!("{}  {}", fault.err_code, plain(&fault.message)),
    }
}
