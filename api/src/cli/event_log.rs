//! Event logs for process mining.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use flowledger::{EventLogFormat, EventLogOptions, EventLogReport, FlowModuleId, ResultCode, Timestamp};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::cli::arguments;
use crate::cli::copies::unwritten;
use crate::cli::failure::Failure;
use crate::cli::progress::Bar;
use crate::cli::session::{Access, Session};
use crate::cli::words::count;

/// What an event log is.
pub(crate) const EVENT_LOG_HELP: &str = "  flowledger log event-log leave.xes --module MODULE
  flowledger log event-log all.json --format ocel

Tools of process mining read it. Every commit is a completion, with who committed and the variables; what was
rolled back later is marked, and rollbacks, attempts that failed, suspensions and terminations are events of
their own. The guide (docs/how-to/process-mining.md) has the mapping.";

/// What to write, and where.
#[derive(Args)]
pub(crate) struct EventLogArgs {
    /// The file; standard output if none is named
    file: Option<PathBuf>,
    /// The standard
    #[arg(long, value_enum, default_value_t)]
    format: StandardName,
    /// Only instances of this module
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,
    /// Only instances started at this time or later
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    started_from: Option<Timestamp>,
    /// Only instances started before this time
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    started_before: Option<Timestamp>,
    /// Without what was recorded after this time
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    as_of: Option<Timestamp>,
    /// Tell of start and end events and gateways, too
    #[arg(long)]
    all_nodes: bool,
}

/// The standards by their names.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum StandardName {
    /// IEEE 1849: a trace for each instance
    #[default]
    Xes,
    /// OCEL 2.0 as JSON: events, and the instances, tasks, deployments and modules they are about
    Ocel,
}

/// A report as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    err_code: i32,
    err_msg: &'a str,
    #[serde(flatten)]
    report: &'a EventLogReport,
    file: String,
}

/// Writes an event log.
pub(crate) fn run(session: &Session, args: &EventLogArgs) -> Result<(), Failure> {
    let options = EventLogOptions {
        format: match args.format {
            StandardName::Xes => EventLogFormat::Xes,
            StandardName::Ocel => EventLogFormat::Ocel,
        },
        flow_module_id: args.module.as_deref().map(FlowModuleId::new),
        started_from: args.started_from,
        started_before: args.started_before,
        as_of: args.as_of,
        all_nodes: args.all_nodes,
    };
    let engine = session.open(Access::Existing)?;
    let Some(path) = &args.file else {
        let written = engine.event_log(&options, io::stdout().lock(), |_| {});
        engine.close()?;
        return written.map(|_| ()).map_err(unwritten);
    };
    let unwritable = |error: io::Error| {
        let detail = format!("{} cannot be written: {error}", path.display());
        Failure::Explained(session.error(ResultCode::StoreUnavailable, detail))
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // It gets its name when it is whole.
    let mut file = NamedTempFile::new_in(parent.unwrap_or(Path::new("."))).map_err(unwritable)?;
    let bar = Bar::new(session);
    let report = engine.event_log(&options, &mut file, |progress| bar.show(progress))?;
    engine.close()?;
    drop(bar);
    file.flush().map_err(unwritable)?;
    file.persist(path).map_err(|error| unwritable(error.error))?;
    let out = &session.out;
    if out.is_json() {
        let success = ResultCode::Success.entry();
        return Ok(out.json(&Written {
            err_code: success.number,
            err_msg: success.text,
            report: &report,
            file: path.display().to_string(),
        })?);
    }
    let size = |count_of: u64, name: &str| count(usize::try_from(count_of).unwrap_or(usize::MAX), name);
    let mut told = vec![size(report.instances, "instance"), size(report.events, "event")];
    if report.objects > 0 {
        told.push(size(report.objects, "object"));
    }
    out.line(format!("{} is written: {}", path.display(), told.join(", ")))?;
    Ok(())
}
