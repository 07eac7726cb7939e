//! The high-water mark: a file beside sled's that says how far the log surely goes.
//!
//! sled takes damage behind its last snapshot for a write that was cut short, and drops what follows without a word. The
//! mark tells: the log must reach it and hold that record there. It is a lower bound, written after the sync of what it
//! stands for, by a thread of its own; two slots in turn, so that a write that is cut short leaves the other.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::anchor::Anchor;
use super::database::{is_permission, sync_directory};
use super::fault::Faults;
use crate::error::StoreError;
use crate::record::Offset;
pub(super) use crate::store::LogPoint as Point;

/// The name of the file in the store's directory.
pub(super) const FILE: &str = "mark";

/// What the file is called until it is whole.
const NEW_FILE: &str = "mark.new";

/// Where the second slot begins: no disk writes both at once.
const SLOT_STRIDE: usize = 4096;

const MAGIC: &[u8; 8] = b"flowmark";
const FORMAT: u8 = 1;
const SLOT_LEN: usize = 8 + 1 + 8 + 16 + 8 + 8 + 32 + 32;

/// Time from one mark to the next while commits flow; with the write itself it stays below 100 ms.
const PACE: Duration = Duration::from_millis(80);

/// Time after which a mark that could not be written is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What the log must hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    /// The last record that is known to be durable.
    pub(super) point: Point,
    /// Where the log ended when it was last opened; what came after has not been read since.
    pub(super) since: Offset,
}

impl Floor {
    /// A floor with nothing unread below it.
    pub(super) fn at(point: Point) -> Self {
        let since = point.offset;
        Self { point, since }
    }
}

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    sequence: u64,
    origin: [u8; 16],
    since: Offset,
    point: Point,
}

impl Mark {
    fn encode(&self) -> Vec<u8> {
        let mut slot = Vec::with_capacity(SLOT_LEN);
        slot.extend(MAGIC);
        slot.push(FORMAT);
        slot.extend(self.sequence.to_be_bytes());
        slot.extend(self.origin);
        slot.extend(self.since.get().to_be_bytes());
        slot.extend(self.point.offset.get().to_be_bytes());
        slot.extend(self.point.leaf);
        let check = Sha256::digest(&slot);
        slot.extend(check);
        slot
    }

    fn decode(slot: &[u8]) -> Option<Self> {
        let (content, check) = slot.split_at_checked(SLOT_LEN - 32)?;
        if check.get(..32)? != Sha256::digest(content).as_slice() {
            return None;
        }
        let content = content.strip_prefix(MAGIC)?.strip_prefix(&[FORMAT])?;
        let (sequence, content) = content.split_first_chunk()?;
        let (origin, content) = content.split_first_chunk()?;
        let (since, content) = content.split_first_chunk()?;
        let (offset, leaf) = content.split_first_chunk()?;
        Some(Self {
            sequence: u64::from_be_bytes(*sequence),
            origin: *origin,
            since: Offset::new(u64::from_be_bytes(*since)),
            point: Point {
                offset: Offset::new(u64::from_be_bytes(*offset)),
                leaf: leaf.try_into().ok()?,
            },
        })
    }

    fn says(&self, other: &Self) -> bool {
        (self.since, self.point) == (other.since, other.point)
    }

    /// Where in the file it belongs.
    fn place(&self) -> usize {
        if self.sequence.is_multiple_of(2) {
            0
        } else {
            SLOT_STRIDE
        }
    }
}

/// What an opening finds.
pub(super) enum Found {
    /// There is no file.
    Missing,
    /// Neither slot can be read.
    Unreadable,
    /// The mark in the newest slot that can be read.
    Known(Known),
}

/// A mark that was found.
pub(super) struct Known {
    newest: Mark,
    /// Both slots say the same.
    is_doubled: bool,
}

impl Found {
    /// Reads the file of the store in this directory.
    pub(super) fn read(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(2 * SLOT_STRIDE as u64).read_to_end(&mut bytes));
        match read {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::Missing),
            Err(e) => return Err(failed(&path, "reading", e)),
            Ok(_) => {}
        }
        let slots = [0, SLOT_STRIDE].map(|place| bytes.get(place..).and_then(Mark::decode));
        let newest = slots.into_iter().flatten().max_by_key(|mark| mark.sequence);
        Ok(newest.map_or(Self::Unreadable, |newest| {
            let is_doubled = slots.iter().all(|slot| slot.is_some_and(|mark| mark.says(&newest)));
            Self::Known(Known { newest, is_doubled })
        }))
    }

    /// What the newest slot says that the log holds.
    pub(super) fn reached(&self) -> Option<Point> {
        match self {
            Self::Known(known) => Some(known.newest.point),
            Self::Missing | Self::Unreadable => None,
        }
    }

    /// The store that it belongs to.
    pub(super) fn origin(&self) -> Option<[u8; 16]> {
        match self {
            Self::Known(known) => Some(known.newest.origin),
            Self::Missing | Self::Unreadable => None,
        }
    }

    /// What the newest slot says.
    #[cfg(test)]
    pub(super) fn offset(&self) -> Option<Offset> {
        match self {
            Self::Known(known) => Some(known.newest.point.offset),
            Self::Missing | Self::Unreadable => None,
        }
    }

    /// How many slots of a file can be read.
    #[cfg(test)]
    pub(super) fn slots(file: &[u8]) -> usize {
        let slots = [0, SLOT_STRIDE].map(|place| file.get(place..).and_then(Mark::decode));
        slots.iter().flatten().count()
    }

    /// Whether the store had been created once.
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    /// What the log of the store with this origin must hold, at least.
    ///
    /// A file that is missing is no fault of a store without records: its creation was interrupted.
    pub(super) fn floor(
        &self,
        directory: &Path,
        origin: &[u8; 16],
        head: Offset,
        accept_missing: bool,
    ) -> Result<Floor, StoreError> {
        let what = match self {
            Self::Known(Known { newest, .. }) if newest.origin == *origin => {
                let Mark { point, since, .. } = *newest;
                return Ok(Floor { point, since });
            }
            Self::Known(_) => FOREIGN.into(),
            Self::Missing if head == Offset::NONE => return Ok(Floor::default()),
            Self::Missing | Self::Unreadable if accept_missing => return Ok(Floor::default()),
            Self::Missing => unproven("it is missing", head),
            Self::Unreadable => unproven("neither of its two slots can be read", head),
        };
        Err(StoreError::damaged(directory.join(FILE).display().to_string(), what))
    }
}

/// What to say of a mark and a log that are not of one store.
pub(super) const FOREIGN: &str = "it belongs to another store: files of two stores, or of two copies, were mixed; bring all the files of one store together again";

fn unproven(why: &str, head: Offset) -> String {
    format!(
        "{why}, so nothing proves that the log, which ends at offset {head}, is whole; put it back if it was lost in a copy, \
         or accept the log as it is by opening it once with SledOptions::accept_missing_mark"
    )
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

/// The file, as one opening writes it.
struct MarkFile {
    directory: PathBuf,
    /// Where the log ended at this opening.
    since: Offset,
    /// The newest mark that is surely on disk.
    last: Mark,
    /// How many slots say the same as `last`.
    same: u8,
    /// The file of the store that this mark belongs to.
    store: Anchor,
    /// Open while all goes well; opened again after an error.
    file: Option<(File, Anchor)>,
    faults: Option<Arc<dyn Faults>>,
}

impl MarkFile {
    fn is_current(&self, point: Point) -> bool {
        (self.last.since, self.last.point) == (self.since, point)
    }

    /// Writes the next mark and syncs it. On an error the slot is written again next time; the other one stays.
    fn write(&mut self, point: Point) -> io::Result<()> {
        if let Some(faults) = &self.faults {
            faults.before_mark(point.offset.get())?;
        }
        let mark = Mark {
            sequence: self.last.sequence + 1,
            since: self.since,
            point,
            ..self.last
        };
        // In a place that is no longer this store's there may be another one by now, with a mark of its own.
        self.store.check().map_err(io::Error::other)?;
        let path = self.directory.join(FILE);
        // A mark that was deleted would be missed at the next opening.
        let file = match self.file.take().filter(|(_, anchor)| anchor.check().is_ok()) {
            Some(file) => Ok(file),
            None => File::options().write(true).open(&path).and_then(|file| {
                let anchor = Anchor::of(&file, &path)?;
                Ok((file, anchor))
            }),
        };
        match file {
            Ok((mut file, anchor)) => {
                file.seek(SeekFrom::Start(mark.place() as u64))?;
                file.write_all(&mark.encode())?;
                file.sync_data()?;
                self.file = Some((file, anchor));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => create(&self.directory, &mark)?,
            Err(e) => return Err(e),
        }
        self.same = if mark.says(&self.last) { self.same + 1 } else { 1 };
        self.last = mark;
        Ok(())
    }

    /// Says the same in both slots, so that one of them may be damaged.
    fn settle(&mut self, point: Point) -> io::Result<()> {
        while !self.is_current(point) || self.same < 2 {
            self.write(point)?;
        }
        Ok(())
    }
}

/// Writes a file with this mark only. It gets its name when it is whole, so a file that exists has a mark.
fn create(directory: &Path, mark: &Mark) -> io::Result<()> {
    let mut bytes = vec![0; 2 * SLOT_STRIDE];
    let slot = mark.encode();
    if let Some(place) = bytes.get_mut(mark.place()..mark.place() + slot.len()) {
        place.copy_from_slice(&slot);
    }
    let new = directory.join(NEW_FILE);
    let mut file = File::create(&new)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(new, directory.join(FILE))?;
    sync_directory(directory).map_err(io::Error::other)
}

/// The thread that keeps the mark behind the commits.
pub(super) struct Marker {
    progress: Arc<Progress>,
    path: PathBuf,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// How far the log and the file are.
#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    latest: Point,
    /// How far the file is.
    written: Offset,
    /// The thread waits for the next commit, not for the time of the next mark.
    is_idle: bool,
    is_stopping: bool,
}

impl Progress {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last durable record, and how far the file is.
    pub(super) fn reached(&self) -> (Point, Offset) {
        let state = self.state();
        (state.latest, state.written)
    }
}

impl Marker {
    /// Makes sure that there is a mark before anything is answered, then keeps it up.
    pub(super) fn start(
        directory: &Path,
        found: &Found,
        origin: [u8; 16],
        head: Point,
        store: &Anchor,
        faults: Option<Arc<dyn Faults>>,
    ) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let mut file = MarkFile {
            directory: directory.to_owned(),
            since: head.offset,
            last: Mark {
                sequence: 0,
                origin,
                since: head.offset,
                point: head,
            },
            same: 1,
            store: store.clone(),
            file: None,
            faults,
        };
        match found {
            Found::Known(known) => {
                file.last = known.newest;
                file.same = 1 + u8::from(known.is_doubled);
                if !file.is_current(head) {
                    // A failure is no harm: what is there holds, and the thread tries again.
                    let _ = file.write(head);
                }
            }
            Found::Missing | Found::Unreadable => {
                create(directory, &file.last).map_err(|e| failed(&path, "writing", e))?;
            }
        }
        let progress = Arc::new(Progress::default());
        {
            let mut state = progress.state();
            state.latest = head;
            state.written = file.last.point.offset;
        }
        let work = {
            let progress = Arc::clone(&progress);
            move || keep_up(&progress, file)
        };
        let thread = thread::Builder::new().name("flowledger-mark".into()).spawn(work);
        let thread = thread.map_err(|source| StoreError::Io {
            doing: "starting a thread".into(),
            source,
        })?;
        Ok(Self {
            progress,
            path,
            thread: Some(thread),
        })
    }

    /// Notes how far the log is durable; the mark follows within 100 ms.
    pub(super) fn advance(&self, point: Point) {
        let mut state = self.progress.state();
        state.latest = point;
        if std::mem::take(&mut state.is_idle) {
            self.progress.changed.notify_one();
        }
    }

    /// How far log and file are, for those who only look.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// How far the log is known to be durable.
    pub(super) fn latest(&self) -> Point {
        self.progress.state().latest
    }

    /// Writes the last mark into both slots and ends the thread.
    pub(super) fn stop(&mut self) -> Result<(), StoreError> {
        self.progress.state().is_stopping = true;
        self.progress.changed.notify_one();
        let ended = self.thread.take().map_or(Ok(Ok(())), JoinHandle::join);
        let written = ended.unwrap_or_else(|_| Err(io::Error::other("its thread failed")));
        written.map_err(|e| failed(&self.path, "writing", e))
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn keep_up(progress: &Progress, mut file: MarkFile) -> io::Result<()> {
    loop {
        let point = {
            let mut state = progress.state();
            while file.is_current(state.latest) && !state.is_stopping {
                state.is_idle = true;
                state = progress.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.is_idle = false;
            if state.is_stopping {
                let point = state.latest;
                drop(state);
                return file.settle(point);
            }
            state.latest
        };
        let pause = if file.write(point).is_ok() { PACE } else { RETRY };
        let mut state = progress.state();
        state.written = file.last.point.offset;
        let paused = progress
            .changed
            .wait_timeout_while(state, pause, |state| !state.is_stopping);
        drop(paused);
    }
}
