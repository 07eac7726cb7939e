//! Copies of the log: exports, backups, and the stores made from them or from a damaged one.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use flowledger::store::{PublicKey, SignedCheckpoint};
use flowledger::{
    CheckpointReport, CopyReport, EngineError, RestoreOptions, RestoreReport, ResultCode, SalvageOptions, SalvageReport,
};
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::cli::failure::Failure;
use crate::cli::progress::Bar;
use crate::cli::receipt::key_of;
use crate::cli::session::{Access, Session};
use crate::cli::words::{self, count};

/// What an export is.
pub(crate) const EXPORT_HELP: &str =
    "Each line is one JSON document: the first says which log it is, then comes one for each record with
its position, its leaf hash, its exact bytes in base64 and the same in words, and the last has the
number of records and the root over them. Any command reads an export as if it were the store:
`flowledger --data FILE instance history INSTANCE`. `log import FILE` makes a store of it.";

/// How a store is made from a copy.
pub(crate) const RESTORE_HELP: &str =
    "The store is made in the directory of --data, which must not exist yet or be empty. It appears whole,
or not at all. Its root is that of the copy, and it continues the checkpoints in the copy and those
you name with --against; name the newest one that you or others have kept. The log's key is in no
copy: put your copy of log.key into the directory.

  flowledger --data restored log restore monday.backup --against checkpoint --key \"$(cat acme.vkey)\"";

/// What salvage does, and what it does not.
pub(crate) const SALVAGE_HELP: &str =
    "Takes every record from the first on, up to the first that is missing or not what was written, and
makes a store of them in TARGET. --data is read and not changed. Restoring a backup loses less if the
backup is newer than the damage: compare what both offer.

  flowledger --data damaged log salvage rescued --against checkpoint";

/// Where an export goes.
#[derive(Args)]
pub(crate) struct ExportArgs {
    /// The file; standard output if none is named
    file: Option<PathBuf>,
}

/// What a new store must fit.
#[derive(Args)]
pub(crate) struct FitArgs {
    /// A checkpoint that was kept elsewhere, as a file: the store must continue it; may be given several times
    #[arg(long, value_name = "CHECKPOINT")]
    against: Vec<PathBuf>,
    /// The public key of the log; with it the signatures of all checkpoints are checked
    #[arg(long, value_name = "VKEY")]
    key: Option<String>,
    /// Make the store although records are known to be missing; it begins a new log then
    #[arg(long)]
    accept_loss: bool,
}

/// Which copy a store is made from.
#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The copy
    file: PathBuf,
    #[command(flatten)]
    fit: FitArgs,
}

/// Where the salvaged store goes.
#[derive(Args)]
pub(crate) struct SalvageArgs {
    /// The directory of the new store, which must not exist yet or be empty
    target: PathBuf,
    /// At most so many records
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    #[command(flatten)]
    fit: FitArgs,
}

/// A report as JSON, under the code of success.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Done<'a, R> {
    err_code: i32,
    err_msg: &'a str,
    #[serde(flatten)]
    report: &'a R,
}

/// Writes an export.
pub(crate) fn export(session: &Session, args: &ExportArgs) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let Some(path) = &args.file else {
        let exported = engine.export(io::stdout().lock(), |_| {});
        engine.close()?;
        return match exported {
            Err(error) => Err(unwritten(error)),
            Ok(_) => Ok(()),
        };
    };
    let unwritable = |error: io::Error| {
        let detail = format!("{} cannot be written: {error}", path.display());
        Failure::Explained(session.error(ResultCode::StoreUnavailable, detail))
    };
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // It gets its name when it is whole.
    let bar = Bar::new(session);
    let mut file = NamedTempFile::new_in(parent.unwrap_or(Path::new("."))).map_err(unwritable)?;
    let report = engine.export(&mut file, |progress| bar.show(progress))?;
    engine.close()?;
    drop(bar);
    file.as_file().sync_all().map_err(unwritable)?;
    file.persist(path).map_err(|error| unwritable(error.error))?;
    tell_copy(session, &report, path, "export")
}

/// An export that standard output did not take: whoever closed the pipe, as `head` does, has read enough.
pub(crate) fn unwritten(error: EngineError) -> Failure {
    let kind = std::error::Error::source(&error)
        .and_then(|source| source.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::BrokenPipe) => Failure::Output(io::ErrorKind::BrokenPipe.into()),
        _ => error.into(),
    }
}

/// Writes a backup.
pub(crate) fn backup(session: &Session, path: &Path) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let bar = Bar::new(session);
    let report = engine.backup(path, |progress| bar.show(progress))?;
    drop(bar);
    engine.close()?;
    tell_copy(session, &report, path, "backup")
}

/// Makes a store of an export.
pub(crate) fn import(session: &Session, args: &RestoreArgs) -> Result<(), Failure> {
    let options = options(session, &args.fit)?;
    let file = File::open(&args.file)
        .map_err(|error| session.unusable(format!("{} cannot be read: {error}", args.file.display())))?;
    let target = session.data();
    let bar = Bar::new(session);
    let from = BufReader::with_capacity(1 << 18, file);
    let made = flowledger::import(from, &target, &options, |progress| bar.show(progress));
    drop(bar);
    let report = made.map_err(|error| refused(session, &error))?;
    tell_store(session, &report, &target)
}

/// Makes a store of a backup.
pub(crate) fn restore(session: &Session, args: &RestoreArgs) -> Result<(), Failure> {
    let options = options(session, &args.fit)?;
    let target = session.data();
    let bar = Bar::new(session);
    let made = flowledger::restore(&args.file, &target, &options, |progress| bar.show(progress));
    drop(bar);
    let report = made.map_err(|error| refused(session, &error))?;
    tell_store(session, &report, &target)
}

/// Makes a store of what is left of a damaged one.
pub(crate) fn salvage(session: &Session, args: &SalvageArgs) -> Result<(), Failure> {
    let options = SalvageOptions {
        restore: options(session, &args.fit)?,
        size: args.size,
    };
    let damaged = session.data();
    let bar = Bar::new(session);
    let made = flowledger::salvage(&damaged, &args.target, &options, |progress| bar.show(progress));
    drop(bar);
    let report = made.map_err(|error| refused(session, &error))?;
    if session.out.is_json() {
        return done(session, &report);
    }
    tell_salvage(session, &report)?;
    tell_store(session, &report.restored, &args.target)
}

fn tell_salvage(session: &Session, report: &SalvageReport) -> Result<(), Failure> {
    let out = &session.out;
    match &report.fault {
        Some(fault) => out.line(format!(
            "The record at position {} is lost: {}.",
            fault.position, fault.what
        ))?,
        None => out.line("No fault was met.")?,
    }
    let mut pairs = vec![("the damaged log ends at", report.log_end.to_string())];
    if let Some(mark) = report.mark {
        pairs.push(("its high-water mark says", mark.to_string()));
    }
    out.pairs(&pairs)?;
    for note in &report.notes {
        out.line(format!("note: {note}"))?;
    }
    out.blank()?;
    Ok(())
}

/// The engine's refusal, answered in the profile of this run. The detail says what to do.
fn refused(session: &Session, error: &EngineError) -> Failure {
    Failure::Explained(session.error(error.code(), error.detail()))
}

fn options(session: &Session, fit: &FitArgs) -> Result<RestoreOptions, Failure> {
    let key: Option<PublicKey> = fit.key.as_ref().map(|key| key_of(session, "--key", key)).transpose()?;
    let against = fit.against.iter().map(|path| {
        let text = session.read_bytes(path)?;
        SignedCheckpoint::parse(&text).map_err(|error| session.unusable(format!("{}: {error}", path.display())))
    });
    Ok(RestoreOptions {
        against: against.collect::<Result<_, _>>()?,
        key,
        accept_loss: fit.accept_loss,
        ..RestoreOptions::default()
    })
}

fn done(session: &Session, report: &impl Serialize) -> Result<(), Failure> {
    let success = ResultCode::Success.entry();
    Ok(session.out.json(&Done {
        err_code: success.number,
        err_msg: success.text,
        report,
    })?)
}

fn tell_copy(session: &Session, report: &CopyReport, path: &Path, kind: &str) -> Result<(), Failure> {
    if session.out.is_json() {
        return done(session, report);
    }
    let out = &session.out;
    let records = count(usize::try_from(report.records).unwrap_or(usize::MAX), "record");
    out.line(format!("wrote {}, {kind} of {records}", path.display()))?;
    let mut pairs = vec![("root", report.root.clone()), ("origin", report.origin.clone())];
    pairs.extend(
        report
            .checkpoints
            .iter()
            .map(|checkpoint| ("checkpoint", of(checkpoint))),
    );
    out.pairs(&pairs)?;
    if let Some(why) = &report.left_out {
        out.line(format!("The checkpoints are not in it: {why}"))?;
    }
    out.blank()?;
    let command = if kind == "backup" { "restore" } else { "import" };
    out.aside(format!(
        "The log's key is not in it. To make a store of it: {}",
        session.next_on(
            Some(Path::new("NEW-DIR")),
            &format!("log {command} {}", words::argument(&path.display().to_string()))
        )
    ))?;
    Ok(())
}

fn tell_store(session: &Session, report: &RestoreReport, target: &Path) -> Result<(), Failure> {
    if session.out.is_json() {
        return done(session, report);
    }
    let out = &session.out;
    let records = count(usize::try_from(report.records).unwrap_or(usize::MAX), "record");
    out.line(format!("{} holds {records} now", target.display()))?;
    let mut pairs = vec![("root", report.root.clone()), ("origin", report.origin.clone())];
    for checkpoint in &report.checkpoints {
        let verdict = if checkpoint.continued {
            "continued"
        } else {
            "not reached"
        };
        pairs.push(("checkpoint", format!("{}: {verdict}", of(checkpoint))));
    }
    if let Some(missing) = &report.missing {
        let last = if missing.from == missing.to {
            format!("position {}", missing.from)
        } else {
            format!("positions {} to {}", missing.from, missing.to)
        };
        pairs.push(("missing", last));
    }
    out.pairs(&pairs)?;
    if !report.checkpoints.is_empty() && !report.are_signatures_checked {
        out.line("Whose checkpoints they are was not checked: name the log's public key with --key.")?;
    }
    out.blank()?;
    out.aside(if report.is_same_log {
        "It goes on as the same log. If that one has a key, put your copy of log.key into the directory."
    } else {
        "It is a new log with a name and a key of its own: under the old ones it would contradict what was signed."
    })?;
    Ok(())
}

/// A checkpoint in a few words.
fn of(checkpoint: &CheckpointReport) -> String {
    let number = usize::try_from(checkpoint.size).unwrap_or(usize::MAX);
    match checkpoint.cosignatures {
        0 => format!("of {}", count(number, "record")),
        several => format!("of {}, {}", count(number, "record"), count(several, "cosignature")),
    }
}
