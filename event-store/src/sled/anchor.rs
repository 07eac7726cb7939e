//! Whether the file that is open is still the one at its path; knows nothing of what is in it.
//!
//! A directory can be deleted, renamed or replaced under a running store. The open file goes on taking what is written, and
//! nobody will find it again. So the store looks before it answers; that costs one to three microseconds for each group commit.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A file as it was when it was opened.
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    /// Absolute: the process may change its directory.
    path: PathBuf,
    identity: Identity,
}

/// What tells a file from every other: its device and its number there.
type Identity = (u64, u64);

impl Anchor {
    /// Takes note of an open file.
    pub(super) fn of(file: &File, path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: std::path::absolute(path)?,
            identity: identity(&file.metadata()?),
        })
    }

    /// Looks whether the path still leads to the file.
    ///
    /// # Errors
    ///
    /// What is there instead, in words. A path that cannot be looked at leads nowhere.
    pub(super) fn check(&self) -> Result<(), String> {
        let found = std::fs::metadata(&self.path);
        let what = match found {
            Ok(found) if identity(&found) == self.identity => return Ok(()),
            Ok(_) => "another file is in its place".to_owned(),
            Err(error) => error.to_string(),
        };
        Err(format!(
            "{}: the store's file is no longer where it was opened ({what}): its directory was deleted, renamed or replaced. \
             What was acknowledged is in the open file; reading goes on, so copy the records out before the process ends, or \
             bring the directory back",
            self.path.display()
        ))
    }

    /// Whether the path still leads to the file; `None` where that cannot be told.
    pub(super) fn holds(&self) -> Option<bool> {
        cfg!(unix).then(|| self.check().is_ok())
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_metadata: &Metadata) -> Identity {
    // Such systems do not let go of an open file's name.
    (0, 0)
}
