//! One run of the program: its global arguments, its output, and the engine on its data directory.

use std::fs;
use std::path::{Path, PathBuf};

use flowledger::{BlockingEngine, Engine, EngineBuilder, EngineError, Profile, ResultCode};

use crate::cli::arguments::Global;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::words;

/// The data directory where none is named.
const DATA: &str = "flowledger-data";
/// Files that every store has.
const STORE_FILES: [&str; 2] = ["db", "mark"];

/// Whether a command may begin a new store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// The store must exist.
    Existing,
    /// The store is created where it does not exist.
    Create,
}

/// One run of the program.
pub(crate) struct Session {
    /// Where results go.
    pub(crate) out: Output,
    global: Global,
}

impl Session {
    /// A run with these arguments.
    pub(crate) fn new(global: Global) -> Self {
        Self {
            out: Output::new(global.json),
            global,
        }
    }

    /// The profile asked for.
    pub(crate) fn profile(&self) -> Profile {
        self.global.profile.into()
    }

    /// The data directory the caller named.
    pub(crate) fn named_data(&self) -> Option<&Path> {
        self.global.data.as_deref()
    }

    /// Opens the engine on the data directory.
    pub(crate) fn open(&self, access: Access) -> Result<BlockingEngine, Failure> {
        self.open_with(Engine::builder(), access)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.global.data.clone().unwrap_or_else(|| PathBuf::from(DATA))
    }

    /// Opens the engine on the data directory, with what the builder already has.
    pub(crate) fn open_with(&self, builder: EngineBuilder, access: Access) -> Result<BlockingEngine, Failure> {
        self.open_at(builder, &self.data(), access)
    }

    /// Opens the engine on a directory.
    pub(crate) fn open_at(
        &self,
        builder: EngineBuilder,
        data: &Path,
        access: Access,
    ) -> Result<BlockingEngine, Failure> {
        let builder = builder
            .profile(self.profile())
            .enforce_invariants(self.global.enforce_invariants);
        if data.is_file() {
            let engine = builder.copy(data).open().map_err(Failure::NotOpened)?;
            return Ok(engine.blocking());
        }
        // Where it cannot be told whether there is a store, opening it tells why.
        let is_there = |file: &&str| data.join(file).try_exists().unwrap_or(true);
        if !STORE_FILES.iter().any(is_there) {
            let shown = data.display();
            let detail = if access == Access::Existing {
                format!(
                    "{shown} holds no data yet; begin with `flow deploy MODEL.json`, or name another directory with --data"
                )
            } else if is_foreign(data) {
                format!("{shown} is not empty and holds no data of ours; name another directory with --data")
            } else {
                String::new()
            };
            if !detail.is_empty() {
                return Err(Failure::Explained(self.error(ResultCode::StoreUnavailable, detail)));
            }
        }
        let engine = builder.data_dir(data).open().map_err(Failure::NotOpened)?;
        Ok(engine.blocking())
    }

    /// An error that the command line itself found.
    pub(crate) fn error(&self, code: ResultCode, detail: impl Into<String>) -> EngineError {
        EngineError::of_host(code, detail, self.profile())
    }

    /// The number a code has in this profile.
    pub(crate) fn number(&self, code: ResultCode) -> i32 {
        self.error(code, "").err_code()
    }

    /// An argument that cannot be used.
    pub(crate) fn unusable(&self, detail: impl Into<String>) -> Failure {
        Failure::Usage(self.error(ResultCode::InvalidParam, detail))
    }

    /// Reads a file that the caller named.
    pub(crate) fn read(&self, path: &Path) -> Result<String, Failure> {
        String::from_utf8(self.read_bytes(path)?)
            .map_err(|_| self.unusable(format!("{} is not UTF-8 text", path.display())))
    }

    /// Reads a file that the caller named, whatever is in it.
    pub(crate) fn read_bytes(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        fs::read(path).map_err(|error| self.unusable(format!("{} cannot be read: {error}", path.display())))
    }

    /// A command to type next: this program, on the same data.
    pub(crate) fn next(&self, command: &str) -> String {
        self.next_on(self.named_data(), command)
    }

    /// A command to type next: this program, on this data directory.
    pub(crate) fn next_on(&self, data: Option<&Path>, command: &str) -> String {
        let program = std::env::args().next().unwrap_or_else(|| "flowledger".to_owned());
        let mut text = words::argument(&program);
        if let Some(data) = data {
            text.push_str(" --data ");
            text.push_str(&words::argument(&data.display().to_string()));
        }
        if self.profile() == Profile::Turbo131 {
            text.push_str(" --profile turbo131");
        }
        if self.global.enforce_invariants {
            text.push_str(" --enforce-invariants");
        }
        format!("{text} {command}")
    }
}

/// Whether a directory holds anything at all.
fn is_foreign(data: &Path) -> bool {
    fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_some())
}
