//! A store made from the records of another: built aside, and put in its place when it is whole and on disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::database::{is_permission, sync_directory};
use super::{SledOptions, SledStore};
use crate::error::{AppendError, StoreError};
use crate::record::{Append, Offset, Revision, StreamId};
use crate::store::EventStore;

/// A store that is being made from records that exist already.
///
/// It grows in a directory of its own beside the one that is meant; [`NewStore::finish`] gives it its name, in one step. A
/// store that was not finished is removed when it is dropped; after a kill its directory, whose name ends in `.new`, stays
/// and may be deleted.
pub struct NewStore {
    /// `None` once it was finished.
    store: Option<SledStore>,
    aside: PathBuf,
    target: PathBuf,
}

impl NewStore {
    /// Begins a store for a directory that does not exist yet or is empty. With [`SledOptions::origin`] it goes on as the
    /// log that had this origin.
    ///
    /// # Errors
    ///
    /// `Exists` if there is something in the directory; otherwise those of [`SledStore::open`].
    pub fn begin(target: impl AsRef<Path>, options: SledOptions) -> Result<Self, StoreError> {
        let target = target.as_ref().to_owned();
        check_vacant(&target)?;
        let aside = aside(&target)?;
        let store = SledStore::open(&aside, options)?;
        Ok(Self {
            store: Some(store),
            aside,
            target,
        })
    }

    /// What tells it from every other.
    pub fn origin(&self) -> [u8; 16] {
        self.store.as_ref().map_or([0; 16], |store| store.layout().origin)
    }

    /// The directory in which it grows: whoever adds files of the owner's own puts them here.
    pub fn directory(&self) -> &Path {
        &self.aside
    }

    /// Adds records in the order in which they stand in the log; each must be the next one of its stream.
    ///
    /// # Errors
    ///
    /// The first record that could not be stored; the store is of no use then.
    pub async fn append(&self, records: Vec<(StreamId, Revision, Arc<[u8]>)>) -> Result<(), AppendError> {
        let Some(store) = &self.store else { return Ok(()) };
        let items = records.into_iter().map(|(stream, revision, record)| Append {
            stream,
            expected: Revision::new(revision.get().saturating_sub(1)),
            record,
        });
        let stored = store.append(items.collect()).await;
        stored.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    /// How many records it has.
    pub fn head(&self) -> Offset {
        self.store.as_ref().map_or(Offset::NONE, |store| store.head(0))
    }

    /// Closes the store and puts it in its place.
    ///
    /// # Errors
    ///
    /// A store that cannot be closed, or a directory that cannot be put in its place; nothing is left then.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        if let Some(store) = &self.store {
            store.close().await?;
        }
        sync_directory(&self.aside)?;
        check_vacant(&self.target)?;
        // An empty directory is replaced, one that has been filled meanwhile is not.
        fs::rename(&self.aside, &self.target)
            .map_err(|source| failed(&self.target, "putting the store here", source))?;
        self.store = None;
        sync_directory(parent_of(&self.target))
    }
}

impl Drop for NewStore {
    fn drop(&mut self) {
        if self.store.take().is_some() {
            // Who tells of the failure that led here need not tell of this one, too.
            let _ = fs::remove_dir_all(&self.aside);
        }
    }
}

/// Refuses a directory that has anything in it.
fn check_vacant(target: &Path) -> Result<(), StoreError> {
    match fs::read_dir(target) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(StoreError::Exists {
                path: target.to_owned(),
            }),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(StoreError::Exists {
            path: target.to_owned(),
        }),
        Err(e) => Err(failed(target, "looking into it", e)),
    }
}

/// A directory beside the target that does not exist.
fn aside(target: &Path) -> Result<PathBuf, StoreError> {
    let Some(name) = target.file_name() else {
        let source = io::Error::from(io::ErrorKind::InvalidInput);
        return Err(failed(target, "making a store here", source));
    };
    let mut number = [0; 4];
    getrandom::fill(&mut number)
        .map_err(|error| failed(target, "choosing a name", io::Error::other(error.to_string())))?;
    let mut aside = OsString::from(name);
    aside.push(format!(".{:08x}.new", u32::from_be_bytes(number)));
    Ok(target.with_file_name(aside))
}

fn parent_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn failed(path: &Path, doing: &str, source: io::Error) -> StoreError {
    if is_permission(&source) {
        let path = path.to_owned();
        StoreError::Permission { path, source }
    } else {
        let doing = format!("{}: {doing}", path.display());
        StoreError::Io { doing, source }
    }
}
