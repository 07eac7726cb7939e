//! Saved scripts: a folder beside the model with one file for each, so that what several people find can be merged. Knows
//! files, and nothing of what the scripts break.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowledger::testing::{Broken, Script};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Scripts of a folder; a folder with more is refused.
const MAX_SCRIPTS: usize = 10_000;
/// Letters of the invariant's name in the name of a file.
const MAX_NAME: usize = 48;
/// Bytes of the hash in the name of a file.
const HASH_BYTES: usize = 4;

/// The scripts of a folder, by name.
pub(super) struct Regressions {
    folder: PathBuf,
    scripts: Vec<Regression>,
}

/// A saved script.
pub(super) struct Regression {
    pub(super) file: PathBuf,
    pub(super) invariant: Arc<str>,
    pub(super) script: Script,
    /// What does not hold when it is given.
    pub(super) broken: Option<Broken>,
}

/// A file of the folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    /// What it broke.
    invariant: Arc<str>,
    /// What it does.
    script: Script,
}

/// The folder beside a model: `leave.regressions` beside `leave.json`.
pub(super) fn beside(model: &Path) -> PathBuf {
    model.with_extension("regressions")
}

impl Regressions {
    /// Reads a folder; there is nothing in one that is not there. A file that cannot be read is told, and stays as it is.
    pub(super) fn read(session: &Session, folder: PathBuf) -> Result<Self, Failure> {
        let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
            session.unusable(format!("{} cannot be read: {error}", path.display()))
        };
        let mut files = Vec::new();
        match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&folder, &error)),
            Ok(entries) => {
                for entry in entries {
                    let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
                    if path.extension().is_some_and(|extension| extension == "json") {
                        files.push(path);
                    }
                    if files.len() > MAX_SCRIPTS {
                        return Err(
                            session.unusable(format!("{} has more than {MAX_SCRIPTS} scripts", folder.display()))
                        );
                    }
                }
            }
        }
        files.sort();
        let mut scripts = Vec::with_capacity(files.len());
        for file in files {
            let text = session.read(&file)?;
            let saved: Saved = serde_json::from_str(&text)
                .map_err(|error| session.unusable(format!("{} is no saved script: {error}", file.display())))?;
            scripts.push(Regression {
                file,
                invariant: saved.invariant,
                script: saved.script,
                broken: None,
            });
        }
        Ok(Self { folder, scripts })
    }

    pub(super) fn scripts(&self) -> &[Regression] {
        &self.scripts
    }

    pub(super) fn scripts_mut(&mut self) -> impl Iterator<Item = &mut Regression> {
        self.scripts.iter_mut()
    }

    /// Those that break something, with their files.
    pub(super) fn broken(&self) -> impl Iterator<Item = (&Path, &Broken)> {
        let scripts = self.scripts.iter();
        scripts.filter_map(|regression| Some((regression.file.as_path(), regression.broken.as_ref()?)))
    }

    /// Saves a script that is not there yet; where it stands.
    pub(super) fn save(&self, session: &Session, invariant: &Arc<str>, script: &Script) -> Result<PathBuf, Failure> {
        let is_it = |known: &&Regression| known.invariant == *invariant && known.script == *script;
        if let Some(known) = self.scripts.iter().find(is_it) {
            return Ok(known.file.clone());
        }
        let saved = Saved {
            invariant: invariant.clone(),
            script: script.clone(),
        };
        let text = serde_json::to_string_pretty(&saved).map_err(io::Error::from)? + "\n";
        let path = self.folder.join(format!("{}-{}.json", plain(invariant), hash(&text)));
        let written = fs::create_dir_all(&self.folder).and_then(|()| {
            // Nothing that is there is written over.
            let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
            io::Write::write_all(&mut file, text.as_bytes())
        });
        written.map_err(|error| {
            session.unusable(format!(
                "{} cannot be written: {error} (--no-save saves nothing)",
                path.display()
            ))
        })?;
        Ok(path)
    }
}

/// A name in the letters that every file system takes.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            plain.push(letter.to_ascii_lowercase());
        } else if !plain.is_empty() && !plain.ends_with('-') {
            plain.push('-');
        }
        if plain.len() >= MAX_NAME {
            break;
        }
    }
    let plain = plain.trim_matches('-');
    if plain.is_empty() {
        "script".to_owned()
    } else {
        plain.to_owned()
    }
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(HASH_BYTES).fold(String::new(), |mut hash, byte| {
        let _ = write!(hash, "{byte:02x}");
        hash
    })
}
