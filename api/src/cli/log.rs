//! The log: its records, and whether they are what was written.

use std::path::PathBuf;

use clap::Subcommand;
use flowledger::{CheckpointReport, LogRecord, ResultCode, VerifyReport, Witness};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::certify::{self, CERTIFY_HELP, CertifyArgs};
use crate::cli::copies::{self, EXPORT_HELP, ExportArgs, RESTORE_HELP, RestoreArgs, SALVAGE_HELP, SalvageArgs};
use crate::cli::event_log::{self, EVENT_LOG_HELP, EventLogArgs};
use crate::cli::failure::Failure;
use crate::cli::progress::Bar;
use crate::cli::receipt::{self, CosignArgs, RECEIPT_HELP, ReceiptArgs};
use crate::cli::session::{Access, Session};
use crate::cli::story::{self, Teller};
use crate::cli::words::{count, hex};

/// Records shown unless asked for otherwise.
const LIMIT: usize = 100;

/// What can be asked of the log.
#[derive(Subcommand)]
pub(crate) enum LogCommand {
    /// The records, oldest first: each command, and the facts it caused
    Show {
        /// Only those of this flow instance
        #[arg(long, value_name = "INSTANCE")]
        instance: Option<String>,
        /// Only those behind this position
        #[arg(long, value_name = "POSITION", default_value_t = 0)]
        after: u64,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = LIMIT)]
        limit: usize,
    },
    /// Reads the whole log and checks every record; exit status 1 at the first fault
    ///
    /// Checks hashes, positions, versions and whether each record can be read, and compares the root over all records
    /// with the checkpoints that were kept. What was cut off the end of the log, or changed, before the first checkpoint
    /// was signed, nothing that is left can tell: compare size and root with those you know.
    Verify {
        /// Builds the tiles of the Merkle tree again first, if they are damaged
        #[arg(long)]
        rebuild_tree: bool,
    },
    /// Folds all records and hashes what they come to, to compare releases by
    #[command(after_help = CERTIFY_HELP)]
    Certify(CertifyArgs),
    /// Signs how many records the log has, and their root: to publish, and to send to witnesses
    #[command(after_help = CHECKPOINT_HELP)]
    Checkpoint,
    /// The public key of the log: whoever checks receipts needs it
    Key,
    /// The receipt of a record, for somebody who does not trust this store
    #[command(after_help = RECEIPT_HELP)]
    Receipt(ReceiptArgs),
    /// Proves that the log has only grown since it had so many records: what a witness is sent
    Growth {
        /// The number of records of an earlier checkpoint
        #[arg(long, value_name = "SIZE")]
        from: u64,
    },
    /// Keeps the cosignatures of witnesses; receipts made from then on carry them
    AddCosignatures(CosignArgs),
    /// Writes the log as JSON lines: each record in words and in its exact bytes
    #[command(after_help = EXPORT_HELP)]
    Export(ExportArgs),
    /// Writes an event log for process mining: XES or OCEL 2.0
    #[command(after_help = EVENT_LOG_HELP)]
    EventLog(EventLogArgs),
    /// Makes a store of an export
    #[command(after_help = RESTORE_HELP)]
    Import(RestoreArgs),
    /// Writes the log into one compact file
    Backup {
        /// The file; one that is there already is replaced when the new one is whole
        file: PathBuf,
    },
    /// Makes a store of a backup
    #[command(after_help = RESTORE_HELP)]
    Restore(RestoreArgs),
    /// Makes a new store of what can still be read of a damaged one, and tells what is lost
    #[command(after_help = SALVAGE_HELP)]
    Salvage(SalvageArgs),
}

const CHECKPOINT_HELP: &str =
    "The first checkpoint makes the log's key, in DIR/log.key. Keep a copy of that file: it cannot
be made again. The newest checkpoint is kept in DIR/checkpoint; nothing is signed that does not
continue it.";

/// A record as JSON.
#[derive(Serialize)]
struct RecordLine<'a> {
    position: u64,
    leaf: String,
    record: &'a RawValue,
}

/// Records as JSON.
#[derive(Serialize)]
struct Records<'a> {
    records: Vec<RecordLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// A verification as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified<'a> {
    err_code: i32,
    err_msg: &'a str,
    err_slug: &'a str,
    #[serde(flatten)]
    report: &'a VerifyReport,
}

/// Answers a question about the log.
pub(crate) fn run(session: &Session, command: LogCommand) -> Result<(), Failure> {
    match command {
        LogCommand::Show { instance, after, limit } => show(session, instance.as_deref(), after, limit),
        LogCommand::Verify { rebuild_tree } => verify(session, rebuild_tree),
        LogCommand::Certify(args) => certify::run(session, &args),
        LogCommand::Checkpoint => receipt::checkpoint(session),
        LogCommand::Key => receipt::key(session),
        LogCommand::Receipt(args) => receipt::make(session, args),
        LogCommand::Growth { from } => receipt::growth(session, from),
        LogCommand::AddCosignatures(args) => receipt::add_cosignatures(session, &args),
        LogCommand::Export(args) => copies::export(session, &args),
        LogCommand::EventLog(args) => event_log::run(session, &args),
        LogCommand::Import(args) => copies::import(session, &args),
        LogCommand::Backup { file } => copies::backup(session, &file),
        LogCommand::Restore(args) => copies::restore(session, &args),
        LogCommand::Salvage(args) => copies::salvage(session, &args),
    }
}

fn show(session: &Session, instance: Option<&str>, after: u64, limit: usize) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let mut teller = Teller::default();
    let mut records: Vec<LogRecord> = Vec::new();
    let mut has_more = false;
    if let Some(instance) = instance {
        for record in engine.instance_records(instance)? {
            if record.position <= after {
                teller.facts(&record.record);
            } else if records.len() < limit {
                records.push(record);
            } else {
                has_more = true;
            }
        }
    } else {
        while records.len() < limit {
            let from = records.last().map_or(after, |last| last.position);
            let batch = engine.log_records(from, limit - records.len())?;
            if batch.is_empty() {
                break;
            }
            records.extend(batch);
        }
        let last = records.last().map_or(after, |last| last.position);
        has_more = !engine.log_records(last, 1)?.is_empty();
    }
    engine.close()?;
    let next = records.last().map(|last| last.position).filter(|_| has_more);
    if session.out.is_json() {
        return json(session, &records, next);
    }
    if records.is_empty() {
        session.out.line("There are no records here.")?;
        return Ok(());
    }
    session.out.aside(story::COLUMNS)?;
    for record in &records {
        teller.write(&session.out, record)?;
    }
    if let Some(next) = next {
        let of = instance
            .map(|instance| format!(" --instance {instance}"))
            .unwrap_or_default();
        session.out.blank()?;
        session.out.aside(format!(
            "There is more: {}",
            session.next(&format!("log show{of} --after {next}"))
        ))?;
    }
    Ok(())
}

fn json(session: &Session, records: &[LogRecord], next: Option<u64>) -> Result<(), Failure> {
    let unreadable = |error: serde_json::Error| session.error(ResultCode::SystemError, error.to_string());
    let texts: Vec<Box<RawValue>> = records
        .iter()
        .map(|record| record.to_json().and_then(RawValue::from_string))
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    let records = records
        .iter()
        .zip(&texts)
        .map(|(record, text)| RecordLine {
            position: record.position,
            leaf: hex(&record.leaf),
            record: text,
        })
        .collect();
    Ok(session.out.json(&Records { records, next })?)
}

fn verify(session: &Session, rebuild_tree: bool) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    if rebuild_tree {
        engine.rebuild_tree()?;
    }
    let bar = Bar::new(session);
    let report = engine.verify_log(|progress| bar.show(progress))?;
    drop(bar);
    engine.close()?;
    let code = if report.fault.is_none() {
        ResultCode::Success
    } else {
        ResultCode::LogCorrupt
    }
    .entry();
    if session.out.is_json() {
        let (err_msg, err_slug) = (code.text, code.slug);
        session.out.json(&Verified {
            err_code: session.number(code.code),
            err_msg,
            err_slug,
            report: &report,
        })?;
    } else {
        session.out.line(verdict(&report))?;
        if let Some(root) = &report.root {
            session.out.line(format!("root over them: {root}"))?;
        }
        for checkpoint in &report.checkpoints {
            session.out.line(checkpoint_line(checkpoint))?;
        }
        for line in proven_lines(&report) {
            session.out.line(line)?;
        }
        if let Some(fault) = &report.fault {
            session
                .out
                .line(format!("fault at position {}: {}", fault.position, fault.what))?;
            session.out.line(format!("what to do: {}", code.hint))?;
        }
    }
    if report.fault.is_none() {
        Ok(())
    } else {
        Err(Failure::Found)
    }
}

/// How far the log is proven, and what is not.
fn proven_lines(report: &VerifyReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(proven) = &report.proven {
        let by = match proven.by {
            Witness::Mark => "the mark beside the log",
            Witness::Checkpoint => "a checkpoint",
            Witness::CosignedCheckpoint => "a checkpoint with cosignatures",
        };
        let number = usize::try_from(proven.size).unwrap_or(usize::MAX);
        let what = if proven.size == report.records && report.fault.is_none() {
            "all of them".to_owned()
        } else {
            format!("the first {}", count(number, "record"))
        };
        lines.push(format!("proven by {by}: {what}"));
    }
    if let Some(span) = report.unproven {
        let positions = if span.from == span.to {
            format!("position {} is intact, but nothing beside the log proves it", span.from)
        } else {
            format!(
                "positions {} to {} are intact, but nothing beside the log proves them",
                span.from, span.to
            )
        };
        lines.push(format!("{positions}, or that no more had followed"));
    }
    lines
}

/// A checkpoint that was kept, and whether the log continues it.
fn checkpoint_line(checkpoint: &CheckpointReport) -> String {
    let number = usize::try_from(checkpoint.size).unwrap_or(usize::MAX);
    let cosigned = match checkpoint.cosignatures {
        0 => String::new(),
        several => format!(", with {}", count(several, "cosignature")),
    };
    let is_continued = if checkpoint.continued {
        "the log continues it"
    } else {
        "the log contradicts it"
    };
    format!("checkpoint of {}{cosigned}: {is_continued}", count(number, "record"))
}

/// What a verification found, on one line.
pub(crate) fn verdict(report: &VerifyReport) -> String {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let found = format!(
        "{} in {}",
        count(number(report.records), "record"),
        count(number(report.streams), "stream")
    );
    match report.fault {
        None => format!("{found}: ok, each is what was written"),
        Some(_) if report.root.is_some() => format!("{found} fit their hashes; but there is a fault"),
        Some(_) => format!("{found} are what was written; then comes a fault"),
    }
}
