//! The file from which an interrupted regression goes on: what was found so far, of what, and where to go on.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use flowledger_engine_core::id::FlowModuleId;
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::ResultCode;
use serde::{Deserialize, Serialize};

use super::report::RegressionTally;
use crate::error::EngineError;

/// What the file says it is; the number changes with its shape, or with what counts as the same path.
const FORM: &str = "flowledger regression 1";

/// What a regression is about. One goes on only with what is equal in all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) flow_module_id: FlowModuleId,
    /// The hash of the candidate's text.
    pub(super) candidate: String,
    pub(super) profile: Profile,
    pub(super) examples: usize,
    /// How many records the log had.
    pub(super) log_position: u64,
    /// The hash of the last of them.
    pub(super) log_end: String,
}

/// What was found before the instances that are still to be judged.
pub(super) struct Progress {
    /// The place in the log before which the next instances began.
    pub(super) before: u64,
    pub(super) tally: RegressionTally,
}

/// The file as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    form: String,
    /// The release that writes it.
    release: String,
    flow_module_id: FlowModuleId,
    candidate: String,
    profile: String,
    examples: usize,
    log_position: u64,
    log_end: String,
    before: u64,
    tally: RegressionTally,
}

impl Progress {
    /// What a file has of a subject; `None` if there is no file, or one of another subject.
    ///
    /// # Errors
    /// 2001: it cannot be read, or is something else that should not be overwritten.
    pub(super) fn read(path: &Path, subject: &Subject) -> Result<Option<Self>, EngineError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(path, error)),
        };
        let begins = format!("{{\"form\":\"{FORM}\"");
        if !text.starts_with(&begins) {
            return Err(unusable(
                path,
                "it is something else than the state of a regression by this release; name another file, or remove it",
            ));
        }
        let file: File = serde_json::from_str(&text).map_err(|error| unusable(path, error))?;
        let is_same = file.release == env!("CARGO_PKG_VERSION")
            && file.profile == name(subject.profile)
            && file.flow_module_id == subject.flow_module_id
            && file.candidate == subject.candidate
            && file.examples == subject.examples
            && file.log_position == subject.log_position
            && file.log_end == subject.log_end;
        Ok(is_same.then_some(Self {
            before: file.before,
            tally: file.tally,
        }))
    }

    /// Writes the file whole, or leaves the one that is there.
    ///
    /// # Errors
    /// 2001: it cannot be written.
    pub(super) fn write(self, path: &Path, subject: &Subject) -> Result<(), EngineError> {
        let file = File {
            form: FORM.to_owned(),
            release: env!("CARGO_PKG_VERSION").to_owned(),
            flow_module_id: subject.flow_module_id.clone(),
            candidate: subject.candidate.clone(),
            profile: name(subject.profile).to_owned(),
            examples: subject.examples,
            log_position: subject.log_position,
            log_end: subject.log_end.clone(),
            before: self.before,
            tally: self.tally,
        };
        let text = serde_json::to_vec(&file).map_err(|error| unusable(path, error))?;
        let mut part = path.to_owned().into_os_string();
        part.push(".part");
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, path))
            .map_err(|error| unusable(path, error))
    }
}

/// Removes the file of a regression that has come to its end.
pub(super) fn remove(path: &Path) -> Result<(), EngineError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(unusable(path, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::Documented => "documented",
        Profile::Turbo131 => "turbo131",
    }
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> EngineError {
    let detail = format!("the state file {} cannot be used: {why}", path.display());
    EngineError::new(ResultCode::InvalidParam, detail)
}
