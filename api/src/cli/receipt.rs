//! Proofs for others: the log's key and checkpoints, receipts and growth, and how a receipt is checked without a store.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use flowledger::store::{PublicKey, VerifiedReceipt, Witnesses, verify_receipt};
use flowledger::{BlockingEngine, CommandId, EngineError, LogRecord, Receipt, ReceiptParam, ResultCode, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::failure::Failure;
use crate::cli::session::{Access, Session};
use crate::cli::story::{self, Teller};
use crate::cli::words::{self, count, hex};

/// What a receipt is, and how it goes on.
pub(crate) const RECEIPT_HELP: &str =
    "A receipt is two files: BASE.record, the exact bytes of the record, and BASE.proof, the way from
there to a signed checkpoint. Whoever has the log's public key (`log key`) checks them with
`flowledger verify-receipt BASE.record BASE.proof --key KEY`, anywhere, without the store.";

const VERIFY_HELP: &str =
    "Get the key from its owner, and not together with the receipt. A good receipt proves that the
owner of the key has signed a log with exactly this record at this place. That the owner has shown
the same log to everybody, only witnesses can tell: ask for them with --witness.

  flowledger verify-receipt approval.record approval.proof --key \"$(cat acme.vkey)\"";

/// Which record a receipt is for, and where it goes.
#[derive(Args)]
pub(crate) struct ReceiptArgs {
    /// The flow instance or the module of the record; its newest one unless said otherwise
    #[arg(value_name = "INSTANCE|MODULE", required_unless_present = "position")]
    id: Option<String>,
    /// The record that made this version
    #[arg(long, value_name = "N", conflicts_with_all = ["position", "command_id"])]
    version: Option<u64>,
    /// The record of this command
    #[arg(long, value_name = "ID", conflicts_with = "position")]
    command_id: Option<String>,
    /// The record at this position of the log
    #[arg(long, value_name = "P", conflicts_with = "id")]
    position: Option<u64>,
    /// Write the files BASE.record and BASE.proof; otherwise the receipt is shown as JSON
    #[arg(long, value_name = "BASE")]
    out: Option<PathBuf>,
}

/// Which cosignatures to keep.
#[derive(Args)]
pub(crate) struct CosignArgs {
    /// The lines a witness answered with, for the newest checkpoint; or a whole checkpoint with its signatures
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The public key of a witness; may be given several times. Lines of others are passed over
    #[arg(long = "witness", value_name = "VKEY", required = true)]
    witnesses: Vec<String>,
}

/// Which receipt to check, and whom to believe.
#[derive(Args)]
#[command(after_help = VERIFY_HELP)]
pub(crate) struct VerifyArgs {
    /// The file with the record's exact bytes
    #[arg(value_name = "RECORD")]
    record: PathBuf,
    /// The file with the proof
    #[arg(value_name = "PROOF")]
    proof: PathBuf,
    /// The public key of the log
    #[arg(long, value_name = "VKEY")]
    key: String,
    /// The public key of a witness; may be given several times
    #[arg(long = "witness", value_name = "VKEY")]
    witnesses: Vec<String>,
    /// How many of the witnesses must have cosigned [default: all]
    #[arg(long, value_name = "N", requires = "witnesses")]
    quorum: Option<usize>,
}

#[derive(Serialize)]
struct KeyAnswer {
    key: String,
}

/// A receipt that was found good, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Proven<'a> {
    err_code: i32,
    err_msg: &'a str,
    origin: &'a str,
    position: u64,
    size: u64,
    root: String,
    cosignatures: Vec<Cosigned<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Cosigned<'a> {
    witness: &'a str,
    time: String,
}

/// Signs the log as it is now.
pub(crate) fn checkpoint(session: &Session) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let checkpoint = engine.checkpoint()?;
    engine.close()?;
    if session.out.is_json() {
        return Ok(session.out.json(&checkpoint)?);
    }
    Ok(session.out.raw(&checkpoint.note)?)
}

/// Shows the log's public key.
pub(crate) fn key(session: &Session) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let key = engine.public_key()?;
    engine.close()?;
    if session.out.is_json() {
        return Ok(session.out.json(&KeyAnswer { key })?);
    }
    Ok(session.out.line(key)?)
}

/// Makes a receipt.
pub(crate) fn make(session: &Session, args: ReceiptArgs) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let receipt = match (args.position, &args.id) {
        (Some(position), _) => engine.receipt(position)?,
        (None, Some(id)) => receipt_of(&engine, id, args.version, args.command_id)?,
        (None, None) => return Err(session.unusable("name an instance, a module or a position")),
    };
    let key = engine.public_key()?;
    engine.close()?;
    let Some(base) = args.out else {
        return Ok(session.out.json(&receipt)?);
    };
    let (record, proof) = (with_ending(&base, "record"), with_ending(&base, "proof"));
    for (path, bytes) in [(&record, &*receipt.record), (&proof, receipt.proof.as_bytes())] {
        fs::write(path, bytes)
            .map_err(|error| session.unusable(format!("{} cannot be written: {error}", path.display())))?;
    }
    if session.out.is_json() {
        return Ok(session.out.json(&receipt)?);
    }
    session.out.line(format!(
        "wrote {} and {}, the receipt of the record at position {}",
        record.display(),
        proof.display(),
        receipt.position
    ))?;
    session.out.blank()?;
    let shown = |path: &Path| words::argument(&path.display().to_string());
    session.out.aside(format!(
        "Anybody can check it: flowledger verify-receipt {} {} --key {}",
        shown(&record),
        shown(&proof),
        words::argument(&key)
    ))?;
    Ok(())
}

/// The receipt of a record of an instance, or else of a module.
fn receipt_of(
    engine: &BlockingEngine,
    id: &str,
    version: Option<u64>,
    command_id: Option<String>,
) -> Result<Receipt, EngineError> {
    let which = ReceiptParam {
        version,
        command_id: command_id.map(CommandId::from),
        ..ReceiptParam::default()
    };
    let of_instance = ReceiptParam {
        flow_instance_id: Some(id.to_owned()),
        ..which.clone()
    };
    let of_module = ReceiptParam {
        flow_module_id: Some(id.to_owned()),
        ..which
    };
    match engine.receipt_of(of_instance) {
        Err(unknown) if unknown.code() == ResultCode::InstanceNotFound => {
            engine.receipt_of(of_module).map_err(|error| match error.code() {
                ResultCode::FlowNotFound => unknown,
                _ => error,
            })
        }
        answer => answer,
    }
}

/// Proves that the log has only grown.
pub(crate) fn growth(session: &Session, from: u64) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let growth = engine.growth(from)?;
    engine.close()?;
    if session.out.is_json() {
        return Ok(session.out.json(&growth)?);
    }
    Ok(session.out.raw(&growth.proof)?)
}

/// Keeps cosignatures.
pub(crate) fn add_cosignatures(session: &Session, args: &CosignArgs) -> Result<(), Failure> {
    let text = session.read(&args.file)?;
    let witnesses = keys(session, "--witness", &args.witnesses)?;
    let engine = session.open(Access::Existing)?;
    let added = engine.add_cosignatures(&text, &witnesses)?;
    engine.close()?;
    if session.out.is_json() {
        return Ok(session.out.json(&added)?);
    }
    let size = usize::try_from(added.checkpoint.size).unwrap_or(usize::MAX);
    session.out.line(format!(
        "{} added; the checkpoint of {} has {}",
        count(added.added, "cosignature"),
        count(size, "record"),
        count(added.checkpoint.cosignatures, "cosignature")
    ))?;
    Ok(())
}

/// Checks a receipt. Opens no store.
pub(crate) fn verify(session: &Session, args: &VerifyArgs) -> Result<(), Failure> {
    let record = session.read_bytes(&args.record)?;
    let proof = session.read_bytes(&args.proof)?;
    let log = key_of(session, "--key", &args.key)?;
    let witnesses = keys(session, "--witness", &args.witnesses)?;
    let quorum = args.quorum.unwrap_or(witnesses.len());
    let witnesses = Witnesses::new(witnesses, quorum).map_err(|error| session.unusable(error.to_string()))?;
    let verified = verify_receipt(&record, &proof, &log, &witnesses).map_err(|error| {
        let detail = format!("the receipt proves nothing: {error}");
        Failure::Explained(session.error(ResultCode::InvalidParam, detail))
    })?;
    // What is proven is proven, also where this release cannot read it.
    let record = LogRecord::of_bytes(verified.offset.get(), &record);
    if session.out.is_json() {
        return json(session, &verified, record.ok());
    }
    let out = &session.out;
    let checkpoint = &verified.checkpoint;
    out.line(format!(
        "The receipt is good: the log {} holds this record.",
        checkpoint.origin
    ))?;
    let position = format!("{} of {}", verified.offset, checkpoint.size);
    let mut pairs = vec![("position", position), ("root", hex(&checkpoint.root))];
    for cosignature in &verified.cosignatures {
        pairs.push((
            "cosigned",
            format!("by {} at {}", cosignature.witness, time(cosignature.seconds)),
        ));
    }
    out.pairs(&pairs)?;
    out.blank()?;
    match record {
        Ok(record) => {
            out.aside(story::COLUMNS)?;
            Teller::default().write(out, &record)?;
        }
        Err(error) => out.line(format!("This release cannot show the record: {error}"))?,
    }
    if verified.cosignatures.is_empty() {
        out.blank()?;
        out.aside("No witness was asked about: that the log's owner has shown others the same log is not proven.")?;
    }
    Ok(())
}

fn json(session: &Session, verified: &VerifiedReceipt, record: Option<LogRecord>) -> Result<(), Failure> {
    let success = ResultCode::Success.entry();
    let text = record.and_then(|record| record.to_json().ok());
    session.out.json(&Proven {
        err_code: success.number,
        err_msg: success.text,
        origin: &verified.checkpoint.origin,
        position: verified.offset.get(),
        size: verified.checkpoint.size,
        root: hex(&verified.checkpoint.root),
        cosignatures: verified
            .cosignatures
            .iter()
            .map(|cosignature| Cosigned {
                witness: &cosignature.witness,
                time: time(cosignature.seconds),
            })
            .collect(),
        record: text.and_then(|text| RawValue::from_string(text).ok()),
    })?;
    Ok(())
}

/// Seconds since 1970 as a time; as a number where no calendar goes so far.
fn time(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1_000))
        .map_or_else(
            || format!("{seconds} seconds after 1970"),
            |millis| Timestamp::from_millis(millis).to_string(),
        )
}

fn keys(session: &Session, argument: &str, texts: &[String]) -> Result<Vec<PublicKey>, Failure> {
    texts.iter().map(|text| key_of(session, argument, text)).collect()
}

pub(crate) fn key_of(session: &Session, argument: &str, text: &str) -> Result<PublicKey, Failure> {
    text.trim()
        .parse()
        .map_err(|error| session.unusable(format!("{argument}: {error}")))
}

fn with_ending(base: &Path, ending: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
