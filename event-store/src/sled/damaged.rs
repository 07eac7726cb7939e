//! A store that cannot be opened any more, read as far as it goes: a copy of it is opened, and never the store itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::SledOptions;
use super::database::{Database, unreadable};
use super::mark::Found;
use crate::error::StoreError;
use crate::record::{Offset, Stored};
use crate::store::Layout;

/// What can still be read of a store.
///
/// sled changes what it opens and drops what it takes for a write that was cut short, so a copy is opened in a scratch
/// directory, which is removed in the end. Where sled cannot read its own snapshot, the copy is opened without it.
pub struct DamagedStore {
    /// `None` while it is being dropped.
    database: Option<Database>,
    scratch: PathBuf,
    layout: Layout,
    head: Offset,
    mark: Option<(Offset, [u8; 32])>,
    without_snapshot: bool,
}

impl DamagedStore {
    /// Copies the files of a store nobody has open into a scratch directory, which must not exist, and opens the copy.
    ///
    /// # Errors
    ///
    /// `InUse`; `Io` for files that cannot be copied; `Damaged` if sled finds nothing to begin with, or the manifest is gone.
    pub fn open(path: &Path, scratch: &Path) -> Result<Self, StoreError> {
        copy(path, scratch)?;
        let mut without_snapshot = false;
        let opened = open_copy(scratch).or_else(|error| match error {
            StoreError::Damaged { .. } => {
                // A copy again: sled may have changed what it failed to open.
                remove(scratch)?;
                copy(path, scratch)?;
                without_snapshot = remove_snapshots(scratch)?;
                if without_snapshot {
                    open_copy(scratch)
                } else {
                    Err(error)
                }
            }
            error => Err(error),
        });
        let (database, layout, head) = opened.map_err(|error| {
            let _ = remove(scratch);
            renamed(error, path)
        })?;
        Ok(Self {
            database: Some(database),
            scratch: scratch.to_owned(),
            layout,
            head,
            mark: Found::read(path)
                .ok()
                .and_then(|found| found.reached())
                .map(|reached| (reached.offset, reached.leaf)),
            without_snapshot,
        })
    }

    /// What was fixed when the store was created.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The last record that its high-water mark knows of, with its leaf hash; `None` without a readable mark.
    pub fn mark(&self) -> Option<(Offset, [u8; 32])> {
        self.mark
    }

    /// Where the log ends now.
    pub fn head(&self) -> Offset {
        self.head
    }

    /// Whether sled's snapshot had to be left out.
    pub fn without_snapshot(&self) -> bool {
        self.without_snapshot
    }

    /// The records after an offset, in order and without gaps, at most `max`; none at the end.
    ///
    /// # Errors
    ///
    /// `Damaged` where the next record is missing or cannot be read.
    pub fn read(&self, after: Offset, max: usize) -> Result<Vec<Stored>, StoreError> {
        let Some(database) = &self.database else {
            return Ok(Vec::new());
        };
        let read = || database.records_between(after, self.head, max, super::READ_BYTES);
        catch_unwind(AssertUnwindSafe(read))
            .unwrap_or_else(|_| Err(unreadable(format!("log, offset {}", after.get() + 1), "reading")))
    }
}

impl Drop for DamagedStore {
    fn drop(&mut self) {
        let database = self.database.take();
        // sled writes when it is dropped, and may find the damage once more.
        let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
        let _ = remove(&self.scratch);
    }
}

fn open_copy(scratch: &Path) -> Result<(Database, Layout, Offset), StoreError> {
    let open = || {
        let database = Database::open(scratch, &SledOptions::default(), 0)?;
        let layout = database.layout(false)?;
        let head = database.last_offset()?;
        Ok((database, layout, head))
    };
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(unreadable(scratch.display().to_string(), "reading its log")))
}

/// Copies what a store consists of, file by file.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |path: &Path, source| StoreError::Io {
        doing: format!("{}: copying", path.display()),
        source,
    };
    let is_held = |path: &Path| {
        let file = fs::File::open(path)?;
        Ok(matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    };
    let database = from.join("db");
    match is_held(&database) {
        Ok(false) => {}
        Ok(true) => return Err(StoreError::InUse { path: from.to_owned() }),
        Err(source) => return Err(failed(&database, source)),
    }
    fs::create_dir(to).map_err(|source| failed(to, source))?;
    for entry in fs::read_dir(from).map_err(|source| failed(from, source))? {
        let entry = entry.map_err(|source| failed(from, source))?;
        let path = entry.path();
        let is_file = entry.file_type().map_err(|source| failed(&path, source))?.is_file();
        let name = entry.file_name();
        let is_of_sled = name == "db" || name == "conf" || name.to_str().is_some_and(|name| name.starts_with("snap."));
        if is_file && is_of_sled {
            fs::copy(&path, to.join(&name)).map_err(|source| failed(&path, source))?;
        }
    }
    Ok(())
}

/// Removes sled's snapshots; whether there were any.
fn remove_snapshots(scratch: &Path) -> Result<bool, StoreError> {
    let remove = || -> io::Result<bool> {
        let mut has_any = false;
        for entry in fs::read_dir(scratch)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with("snap.")) {
                fs::remove_file(entry.path())?;
                has_any = true;
            }
        }
        Ok(has_any)
    };
    remove().map_err(|source| StoreError::Io {
        doing: format!("{}: removing sled's snapshot from the copy", scratch.display()),
        source,
    })
}

fn remove(scratch: &Path) -> Result<(), StoreError> {
    fs::remove_dir_all(scratch).map_err(|source| StoreError::Io {
        doing: format!("{}: removing the copy", scratch.display()),
        source,
    })
}

/// Tells of the store what was found in its copy.
fn renamed(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Damaged { what, .. } => StoreError::damaged(path.display().to_string(), what),
        error => error,
    }
}
