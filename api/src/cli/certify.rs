//! The state root of a log: computed, written down, and compared with one of another release.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use flowledger::{ResultCode, StateCertificate, StreamState};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::session::{Access, Session};

/// What a certificate is for, and how it is used.
pub(crate) const CERTIFY_HELP: &str =
    "The state root is one hash over what all records of the log fold to. Before an upgrade, write it
down with the old release; after it, compare. If both are equal, the new release reads the whole
past exactly as the old one did.

  flowledger log certify --json > before.json        (the old release)
  flowledger log certify --against before.json       (the new release, also when the log has grown)

If they differ, --streams FILE on both sides and `diff` tell which streams.";

/// Which records, and what to compare with.
#[derive(Args)]
pub(crate) struct CertifyArgs {
    /// Only the first N records [default: all, or as many as the certificate of --against]
    #[arg(long, value_name = "N")]
    size: Option<u64>,
    /// Compare with the certificate in this file, as `--json` printed it; exit status 1 if they differ
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Write a line for each stream into this file: position of its first record, stream, version, hash of its state
    #[arg(long, value_name = "FILE")]
    streams: Option<PathBuf>,
}

/// A certificate as JSON, and what came of the comparison.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Certified<'a> {
    err_code: i32,
    err_msg: &'a str,
    #[serde(flatten)]
    certificate: &'a StateCertificate,
    #[serde(skip_serializing_if = "Option::is_none")]
    equal: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<String>,
}

/// Computes the state root and compares it, if asked to.
pub(crate) fn run(session: &Session, args: &CertifyArgs) -> Result<(), Failure> {
    let known: Option<StateCertificate> = match &args.against {
        Some(path) => {
            let text = session.read(path)?;
            let read = serde_json::from_str(&text);
            Some(read.map_err(|error| session.unusable(format!("{}: no certificate: {error}", path.display())))?)
        }
        None => None,
    };
    let size = args.size.or(known.as_ref().map(|known| known.size));
    let engine = session.open(Access::Existing)?;
    let mut listing = Listing::begin(args.streams.as_deref());
    let certificate = engine.certify(size, |state| listing.add(&state))?;
    engine.close()?;
    listing.end().map_err(|error| session.unusable(error))?;
    let difference = known.as_ref().and_then(|known| certificate.difference(known));
    tell(session, &certificate, known.is_some(), difference.as_ref())?;
    match difference {
        None => Ok(()),
        Some(_) => Err(Failure::Found),
    }
}

/// The file with a line for each stream. The first error ends it and is told at the end.
struct Listing<'p> {
    path: Option<&'p Path>,
    file: io::Result<Option<BufWriter<File>>>,
}

impl<'p> Listing<'p> {
    fn begin(path: Option<&'p Path>) -> Self {
        let file = path.map(|path| File::create(path).map(BufWriter::new)).transpose();
        Self { path, file }
    }

    fn add(&mut self, state: &StreamState) {
        let StreamState {
            position,
            stream,
            version,
            state,
        } = state;
        if let Ok(Some(file)) = &mut self.file
            && let Err(error) = writeln!(file, "{position} {stream} {version} {state}")
        {
            self.file = Err(error);
        }
    }

    fn end(self) -> Result<(), String> {
        let flushed = self.file.and_then(|file| file.map_or(Ok(()), |mut file| file.flush()));
        let path = self.path.unwrap_or(Path::new("")).display();
        flushed.map_err(|error| format!("{path}: {error}"))
    }
}

fn tell(
    session: &Session,
    certificate: &StateCertificate,
    is_compared: bool,
    difference: Option<&String>,
) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        let success = ResultCode::Success.entry();
        return Ok(out.json(&Certified {
            err_code: success.number,
            err_msg: success.text,
            certificate,
            equal: is_compared.then_some(difference.is_none()),
            difference: difference.cloned(),
        })?);
    }
    out.pairs(&[
        ("records", certificate.size.to_string()),
        ("root", certificate.root.clone()),
        ("streams", certificate.streams.to_string()),
        ("state root", certificate.state_root.clone()),
        ("form", certificate.form.to_string()),
    ])?;
    if is_compared {
        out.blank()?;
        out.line(match difference {
            None => "Equal: this release reads these records exactly as the other did.".to_owned(),
            Some(difference) => format!("Different: {difference}."),
        })?;
    }
    Ok(())
}
