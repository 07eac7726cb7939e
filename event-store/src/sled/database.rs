//! One open sled database: its trees, its file, and the few calls the store makes on them.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ::sled::{Db, IVec, Mode, Tree};

use super::SledOptions;
use super::anchor::Anchor;
use super::fault::Step;
use super::layout::{
    BLOCK_LEN, FORMAT, block_key, block_of, block_place, block_start, decode_block, decode_manifest, encode_manifest,
    entries, frame_key, frame_offset,
};
use super::mark::Point;
use super::waker::Waker;
use crate::error::StoreError;
use crate::record::{Offset, Stored, StreamId, leaf_hash};
use crate::store::{FaultKind, Layout};

/// What fails on the way of a commit decides what happens next.
#[derive(Debug)]
pub(super) enum Fault {
    /// sled did not take it: nothing is worse than before, reopening helps.
    Write(String),
    /// The stream index does not fit the log: reopening builds it again.
    Index(String),
    /// The disk did not confirm it: what the system has cached proves nothing any more.
    Sync(String),
    /// The files are no longer where they were opened: what is written to them nobody finds.
    Lost(String),
    /// sled panicked while writing.
    Broken(String),
}

impl Fault {
    /// What happened.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Write(why) | Self::Index(why) | Self::Sync(why) | Self::Lost(why) | Self::Broken(why) => why,
        }
    }

    /// What happened.
    pub(super) fn into_why(self) -> String {
        match self {
            Self::Write(why) | Self::Index(why) | Self::Sync(why) | Self::Lost(why) | Self::Broken(why) => why,
        }
    }

    /// Of which kind it is.
    pub(super) fn kind(&self) -> FaultKind {
        match self {
            Self::Write(_) => FaultKind::Write,
            Self::Index(_) => FaultKind::Damage,
            Self::Sync(_) => FaultKind::Sync,
            Self::Lost(_) => FaultKind::Lost,
            Self::Broken(_) => FaultKind::Broken,
        }
    }
}

/// An open database.
pub(super) struct Database {
    /// Tells this opening from the others of the same store.
    pub(super) generation: u64,
    /// Frames by offset.
    pub(super) log: Tree,
    /// Blocks of the stream index.
    pub(super) streams: Tree,
    /// What callers derive.
    pub(super) index: Tree,
    db: Db,
    waker: Option<Waker>,
    file: File,
    path: PathBuf,
    options: SledOptions,
    /// Bytes of keys and values given to sled since it was last synced.
    unsynced: AtomicUsize,
    /// Held during a sync; why one has failed.
    failed_sync: Mutex<Option<String>>,
}

/// What a commit puts into the log, in order.
#[derive(Default)]
pub(super) struct Frames(Vec<(IVec, IVec)>);

impl Frames {
    /// Adds a frame, or a piece of the one before.
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0.push((key.into(), value.into()));
    }
}

/// The file in which sled keeps everything.
pub(super) const FILE: &str = "db";

/// The file in which sled keeps its settings.
pub(super) const SETTINGS: &str = "conf";

/// Bytes given to sled after which it is synced, whoever gave them.
///
/// sled takes what it has written for durable, and says so in the headers of its segments of 512 KiB: of what a later header says
/// that it is there, a recovery checks nothing, and a segment whose pages were moved is written over. So less than a segment should be
/// unsynced at any time. Of large values sled writes some three times their bytes, of small ones five times.
const UNSYNCED_MAX: usize = 96 << 10;

const MANIFEST: &[u8] = b"manifest";
const PROVEN: &[u8] = b"proven";
const POSITION: &[u8] = b"position";

/// Records and bytes of them that a survey of a damaged log reads at a time.
const SURVEY_RECORDS: usize = 512;
const SURVEY_BYTES: usize = 4 << 20;

/// How often, and after which pause, a locked directory is tried again: sled lets go of its lock a moment after a close.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// How often is looked whether a store that is being opened has met an error, and how often before it is given up.
const OPEN_TICK: Duration = Duration::from_millis(250);
const FAILED_OPEN_TICKS: u32 = 20;

impl Database {
    /// Opens or creates the directory; proves nothing about what it holds.
    pub(super) fn open(path: &Path, options: &SledOptions, generation: u64) -> Result<Self, StoreError> {
        create_directory(path)?;
        let mut tries = 0;
        let (db, [log, streams, index]) = loop {
            tries += 1;
            match open_sled(path, options) {
                Err(StoreError::InUse { .. }) if tries < LOCK_TRIES => thread::sleep(LOCK_PAUSE),
                opened => break opened?,
            }
        };
        let file = path.join(FILE);
        let file = File::options()
            .read(true)
            .write(true)
            .open(&file)
            .map_err(|source| StoreError::Io {
                doing: format!("{}: opening", file.display()),
                source,
            })?;
        let options = options.clone();
        let waker = Some(Waker::start(&db)?);
        Ok(Self {
            generation,
            log,
            streams,
            index,
            db,
            waker,
            file,
            path: path.to_owned(),
            options,
            unsynced: AtomicUsize::new(0),
            failed_sync: Mutex::default(),
        })
    }

    /// The file as it is open, to look later whether it is still in its place.
    pub(super) fn anchor(&self) -> Result<Anchor, StoreError> {
        let path = self.path.join(FILE);
        Anchor::of(&self.file, &path).map_err(|source| StoreError::Io {
            doing: format!("{}: looking at it", path.display()),
            source,
        })
    }

    /// The layout in the manifest, which is written if the store is new.
    pub(super) fn layout(&self, is_new: bool) -> Result<Layout, StoreError> {
        if let Some(manifest) = self.db.get(MANIFEST).map_err(|e| self.error("the manifest", e))? {
            return decode_manifest(&self.path, &manifest);
        }
        if !is_new || !self.log.is_empty() {
            return Err(self.damaged("its beginning is missing: there is no manifest".into()));
        }
        let layout = Layout {
            format: FORMAT,
            partitions: 1,
            record_max: self.options.record_max,
            hash: Layout::HASH,
            origin: self.options.origin.unwrap_or_else(|| uuid::Uuid::new_v4().into_bytes()),
        };
        self.db
            .insert(MANIFEST, encode_manifest(&layout))
            .map_err(|e| self.error("the manifest", e))?;
        Ok(layout)
    }

    /// Puts frames into the log. Makes them durable only where there are many.
    ///
    /// One after the other: sled takes a batch as a unit, but lets nobody else in meanwhile and writes its file twice. A crash
    /// leaves a beginning of them, which is a beginning of the records: of a large one the pieces come first, and without the
    /// frame they are nothing.
    pub(super) fn append(&self, frames: Frames) -> Result<(), Fault> {
        let mut held = None;
        for (key, value) in frames.0 {
            if frame_offset(&key).is_none() {
                self.put(&self.log, &key, value)?;
            } else if let Some((key, value)) = held.replace((key, value)) {
                self.put(&self.log, &key, value)?;
            }
        }
        held.map_or(Ok(()), |(key, value): (IVec, IVec)| self.put(&self.log, &key, value))
    }

    /// Removes the pieces behind the last record, whose frame a crash has kept from the log.
    pub(super) fn remove_pieces_after(&self, head: Offset) -> Result<(), Fault> {
        let behind = frame_key(Offset::new(head.get().saturating_add(1)));
        for key in self.log.range(behind..).keys() {
            let key = key.map_err(|e| Fault::Write(self.error("the log's end", e).told()))?;
            self.watched(Step::Apply, || self.log.remove(&key).map(drop).map_err(io_error))
                .map_err(Fault::Write)?;
            self.given(key.len())?;
        }
        Ok(())
    }

    /// Sets one key. Makes it durable only with much else.
    pub(super) fn put(&self, tree: &Tree, key: &[u8], value: impl Into<IVec>) -> Result<(), Fault> {
        let value = value.into();
        let bytes = key.len() + value.len();
        self.watched(Step::Apply, || tree.insert(key, value).map(drop).map_err(io_error))
            .map_err(Fault::Write)?;
        self.given(bytes)
    }

    /// Counts what sled was given, and has it synced now and then.
    pub(super) fn given(&self, bytes: usize) -> Result<(), Fault> {
        if self.unsynced.fetch_add(bytes, Ordering::Relaxed) + bytes < UNSYNCED_MAX {
            return Ok(());
        }
        self.make_durable()
    }

    /// Makes everything applied so far survive a power cut. sled's flush does not sync on Linux, so this does.
    pub(super) fn make_durable(&self) -> Result<(), Fault> {
        // One after the other: the system tells only one of several callers of a failed sync, and no later one may count.
        let mut failed = self.failed_sync.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*failed {
            return Err(Fault::Sync(why.clone()));
        }
        // Before: what is given meanwhile may or may not be among it.
        self.unsynced.store(0, Ordering::Relaxed);
        self.watched(Step::Flush, || self.db.flush().map(drop).map_err(io_error))
            .map_err(Fault::Write)?;
        if let Err(why) = self.watched(Step::Sync, || self.file.sync_data()) {
            *failed = Some(why.clone());
            return Err(Fault::Sync(why));
        }
        drop(failed);
        if !self.options.flush_delay.is_zero() {
            thread::sleep(self.options.flush_delay);
        }
        Ok(())
    }

    fn watched(&self, step: Step, call: impl FnOnce() -> io::Result<()>) -> Result<(), String> {
        let outcome = match &self.options.faults {
            None => call(),
            Some(faults) => faults
                .before(step)
                .and_then(|()| call())
                .and_then(|()| faults.after(step)),
        };
        outcome.map_err(|e| {
            let doing = match step {
                Step::Apply => "writing",
                Step::Flush => "flushing",
                Step::Sync => "syncing",
            };
            format!("{}: {doing} failed: {e}", self.path.display())
        })
    }

    /// How many records, from the first on, are there and fit their hashes.
    pub(super) fn intact(&self) -> Offset {
        let mut intact = Offset::NONE;
        let end = Offset::new(u64::MAX);
        while let Ok(records) = self.records_between(intact, end, SURVEY_RECORDS, SURVEY_BYTES) {
            for record in records {
                if leaf_hash(&record.record) != record.leaf {
                    return intact;
                }
                intact = record.offset;
            }
        }
        intact
    }

    /// The offset of the last record in the log, durable or not.
    pub(super) fn last_offset(&self) -> Result<Offset, StoreError> {
        let error = |e| self.error("the log's end", e);
        let mut last = self.log.last().map_err(error)?;
        while let Some((key, value)) = last {
            let first = key.get(..8).and_then(frame_offset);
            let first = first.ok_or_else(|| self.damaged("a key of the log".into()))?;
            let is_frame = frame_offset(&key).is_some();
            let frame = if is_frame {
                Some(value)
            } else {
                self.log.get(frame_key(first)).map_err(error)?
            };
            if let Some(frame) = frame {
                let count = entries(first, &frame)?.try_fold(0, |count, entry| entry.map(|_| count + 1))?;
                return Ok(Offset::new(first.get() + count - 1));
            }
            // Pieces of a record whose frame is not there.
            last = self
                .log
                .range(..frame_key(first))
                .next_back()
                .transpose()
                .map_err(error)?;
        }
        Ok(Offset::NONE)
    }

    /// The frame that has the record at this offset, with the offset of its first record.
    pub(super) fn frame_with(&self, offset: Offset) -> Result<(Offset, IVec), StoreError> {
        let found = self.log.range(..=frame_key(offset)).next_back();
        let (key, value) = found
            .transpose()
            .map_err(|e| self.error(&format!("offset {offset}"), e))?
            .ok_or_else(|| self.missing(offset))?;
        let first = frame_offset(&key).ok_or_else(|| self.missing(offset))?;
        Ok((first, value))
    }

    /// Reads the whole of a large record's piece.
    pub(super) fn piece(&self, key: &[u8]) -> Result<Vec<u8>, StoreError> {
        let piece = self.log.get(key).map_err(|e| self.error("a large record", e))?;
        Ok(piece.map(|piece| piece.to_vec()).unwrap_or_default())
    }

    /// The records at these offsets, which grow; stops after `bytes` of records, but returns at least one.
    pub(super) fn records(
        &self,
        offsets: impl IntoIterator<Item = Offset>,
        bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut records = Vec::new();
        let mut read = 0;
        let mut frame: Option<(Offset, IVec)> = None;
        for offset in offsets {
            let mut found = match &frame {
                Some((first, frame)) => self.read_entry(*first, frame, offset)?,
                None => None,
            };
            if found.is_none() {
                let (first, value) = self.frame_with(offset)?;
                found = self.read_entry(first, &value, offset)?;
                frame = Some((first, value));
            }
            let record = found.ok_or_else(|| self.missing(offset))?;
            read += record.record.len();
            if read > bytes && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }

    fn read_entry(&self, first: Offset, frame: &[u8], offset: Offset) -> Result<Option<Stored>, StoreError> {
        for entry in entries(first, frame)? {
            let entry = entry?;
            if entry.offset == offset {
                return entry.read(|key| self.piece(key)).map(Some);
            }
        }
        Ok(None)
    }

    /// The records after an offset up to another, in order, at most `max`; stops as [`Self::records`] does. What comes before
    /// damage is returned; the damage is met by whoever reads on from there.
    pub(super) fn records_between(
        &self,
        after: Offset,
        upto: Offset,
        max: usize,
        bytes: usize,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut records: Vec<Stored> = Vec::new();
        match self.read_on(after, upto, max, bytes, &mut records) {
            Err(error) if records.is_empty() => Err(error),
            _ => Ok(records),
        }
    }

    fn read_on(
        &self,
        after: Offset,
        upto: Offset,
        max: usize,
        bytes: usize,
        records: &mut Vec<Stored>,
    ) -> Result<(), StoreError> {
        let mut next = Offset::new(after.get().saturating_add(1));
        if next > upto || max == 0 {
            return Ok(());
        }
        let mut read = 0;
        let (start, _) = self.frame_with(next)?;
        for frame in self.log.range(frame_key(start)..) {
            let (key, value) = frame.map_err(|e| self.error(&format!("offset {next}"), e))?;
            let Some(first) = frame_offset(&key) else { continue };
            if first > next {
                return Err(self.missing(next));
            }
            for entry in entries(first, &value)? {
                let entry = entry?;
                if entry.offset < next {
                    continue;
                }
                read += entry.len();
                if records.len() >= max || next > upto || (read > bytes && !records.is_empty()) {
                    return Ok(());
                }
                records.push(entry.read(|key| self.piece(key))?);
                next = Offset::new(next.get() + 1);
            }
        }
        if next <= upto { Err(self.missing(next)) } else { Ok(()) }
    }

    /// How many records the stream index knows of a stream.
    pub(super) fn indexed_revision(&self, stream: &StreamId) -> Result<u64, StoreError> {
        // Most streams are new or have one block, and one key is found sooner than the last of several.
        let key = block_key(stream, 0);
        let first = self.streams.get(key);
        let first = first.map_err(|e| self.error(&format!("stream {stream}"), e))?;
        let first = match first {
            Some(value) => self.block(stream, &key, &value)?.1.len() as u64,
            None => 0,
        };
        if first < BLOCK_LEN {
            return Ok(first);
        }
        let blocks = key..=block_key(stream, u32::MAX);
        let Some(last) = self.streams.range(blocks).next_back() else {
            return Ok(0);
        };
        let (key, value) = last.map_err(|e| self.error(&format!("stream {stream}"), e))?;
        let (block, offsets) = self.block(stream, &key, &value)?;
        Ok(block_start(block) + offsets.len() as u64)
    }

    /// Where the stream index has a revision of a stream; `None` if it cannot tell.
    pub(super) fn indexed_offset(&self, stream: &StreamId, revision: u64) -> Option<Offset> {
        let block = block_of(revision);
        let value = self.streams.get(block_key(stream, block)).ok()??;
        let place = usize::try_from(revision.checked_sub(block_start(block) + 1)?).ok()?;
        decode_block(&value)?.get(place).copied().map(Offset::new)
    }

    /// Goes through the whole stream index: stream, revision, offset. `None` if it cannot be read to its end.
    pub(super) fn each_indexed(&self, mut see: impl FnMut(&StreamId, u64, u64)) -> Option<()> {
        for block in &self.streams {
            let (key, value) = block.ok()?;
            if *key == *POSITION {
                continue;
            }
            let (stream, block) = block_place(&key)?;
            for (revision, offset) in (block_start(block) + 1..).zip(decode_block(&value)?) {
                see(&stream, revision, offset);
            }
        }
        Some(())
    }

    /// Empties the stream index.
    pub(super) fn forget_index(&self) -> Result<(), StoreError> {
        self.streams.clear().map_err(|e| self.error("the stream index", e))
    }

    /// The number and the offsets of a block of the stream index.
    pub(super) fn block(&self, stream: &StreamId, key: &[u8], value: &[u8]) -> Result<(u32, Vec<u64>), StoreError> {
        block_place(key)
            .map(|(_, number)| number)
            .zip(decode_block(value))
            .ok_or_else(|| self.damaged(format!("the index of stream {stream} has another form")))
    }

    /// The log offset up to which a sync has covered everything, as far as is on record.
    pub(super) fn proven(&self) -> Result<Offset, StoreError> {
        self.mark(&self.db, PROVEN)
    }

    /// The log offset for which the stream index stands.
    pub(super) fn position(&self) -> Result<Offset, StoreError> {
        self.mark(&self.streams, POSITION)
    }

    /// Notes that the stream index stands for an offset that has been synced.
    pub(super) fn set_position(&self, position: Offset) -> Result<(), Fault> {
        // In this order: an index must not claim more than is proven.
        self.put(&self.db, PROVEN, &position.get().to_be_bytes())?;
        self.put(&self.streams, POSITION, &position.get().to_be_bytes())
    }

    fn mark(&self, tree: &Tree, key: &[u8]) -> Result<Offset, StoreError> {
        let mark = tree.get(key).map_err(|e| self.error("a mark", e))?;
        Ok(mark.and_then(|mark| frame_offset(&mark)).unwrap_or(Offset::NONE))
    }

    /// Syncs the directory, so that the files in it are found again, and sled's settings: sled itself never syncs them, and
    /// does not open a store whose settings it cannot read.
    pub(super) fn sync_directory(&self) -> Result<(), StoreError> {
        let settings = self.path.join(SETTINGS);
        let synced = File::options()
            .write(true)
            .open(&settings)
            .and_then(|file| file.sync_all());
        synced.map_err(|source| StoreError::Io {
            doing: format!("{}: syncing", settings.display()),
            source,
        })?;
        sync_directory(&self.path)
    }

    /// An error of sled's, told as one of ours.
    pub(super) fn error(&self, what: &str, error: ::sled::Error) -> StoreError {
        from_sled(&self.path, what, error)
    }

    /// The record at an offset must be the one with this leaf hash, and have it.
    pub(super) fn check(&self, point: Point) -> Result<(), StoreError> {
        let offset = point.offset;
        if offset == Offset::NONE || self.point(offset)? == point {
            return Ok(());
        }
        Err(self.damaged(format!(
            "the record at offset {offset} is not the one that had been stored there"
        )))
    }

    /// The record at an offset, whose leaf hash must be right.
    pub(super) fn point(&self, offset: Offset) -> Result<Point, StoreError> {
        if offset == Offset::NONE {
            return Ok(Point::default());
        }
        let record = self.records([offset], 0)?.pop().ok_or_else(|| self.missing(offset))?;
        if record.leaf == leaf_hash(&record.record) {
            let leaf = record.leaf;
            Ok(Point { offset, leaf })
        } else {
            Err(self.damaged(format!("the record at offset {offset} does not match its leaf hash")))
        }
    }

    /// A gap in the log.
    pub(super) fn missing(&self, offset: Offset) -> StoreError {
        self.damaged(format!("the record at offset {offset} is missing"))
    }

    /// Something stored is not as it should be.
    pub(super) fn damaged(&self, what: String) -> StoreError {
        StoreError::damaged(self.path.join(FILE).display().to_string(), what)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // sled flushes when its last handle goes. What it might wait for there for ever is waited for here, where somebody wakes.
        let _ = catch_unwind(AssertUnwindSafe(|| self.db.flush()));
        self.waker = None;
    }
}

/// Opens sled and its trees in a thread of its own: on some damage sled panics instead of saying so.
fn open_sled(path: &Path, options: &SledOptions) -> Result<(Db, [Tree; 3]), StoreError> {
    let config = ::sled::Config::new()
        .path(path)
        .flush_every_ms(None)
        .cache_capacity(options.cache_bytes)
        .mode(Mode::HighThroughput)
        .use_compression(false);
    let errors = config.clone();
    let open = move || {
        let db = config.open()?;
        // A store whose creation was interrupted has nothing but these trees; anything else is somebody else's.
        let is_ours = |name: &IVec| {
            ["__sled__default", "log", "streams", "index"]
                .iter()
                .any(|ours| name == ours)
        };
        let is_new = db.is_empty() && db.tree_names().iter().all(is_ours);
        if !is_new && !db.contains_key(MANIFEST)? {
            return Ok(None);
        }
        let trees = [db.open_tree("log")?, db.open_tree("streams")?, db.open_tree("index")?];
        Ok(Some((db, trees)))
    };
    let (opening, opened) = channel();
    let work = move || drop(opening.send(open()));
    let spawned = thread::Builder::new().name("flowledger-open".into()).spawn(work);
    spawned.map_err(|source| StoreError::Io {
        doing: "starting a thread".into(),
        source,
    })?;
    // A write that failed may be waited for for ever, and there is no handle yet to wake anybody with.
    let mut patience = FAILED_OPEN_TICKS;
    loop {
        match opened.recv_timeout(OPEN_TICK) {
            Ok(opened) => {
                return opened.map_err(|e| from_sled(path, "opening it", e))?.ok_or_else(|| {
                    StoreError::damaged(
                        path.display().to_string(),
                        "it is a sled database, but no Flowledger store",
                    )
                });
            }
            // It panicked. What it says is about sled's insides.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(unreadable(path.display().to_string(), "it cannot be opened"));
            }
            Err(RecvTimeoutError::Timeout) if errors.global_error().is_ok() => {}
            Err(RecvTimeoutError::Timeout) if patience > 0 => patience -= 1,
            Err(RecvTimeoutError::Timeout) => {
                return Err(StoreError::Unavailable {
                    why: format!("{}: a write failed while it was opened", path.display()),
                });
            }
        }
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text")
}

fn from_sled(path: &Path, what: &str, error: ::sled::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        ::sled::Error::Io(source) => {
            // sled tells a held lock from other errors by its text only.
            if source.to_string().contains("could not acquire lock") {
                StoreError::InUse { path }
            } else if is_permission(&source) {
                StoreError::Permission { path, source }
            } else {
                StoreError::Io {
                    doing: format!("{}: {what}", path.display()),
                    source,
                }
            }
        }
        ::sled::Error::Corruption { at, .. } => {
            let place = match at {
                Some(at) => format!("{}, byte {}", path.join(FILE).display(), at.lid()),
                None => path.display().to_string(),
            };
            unreadable(place, what)
        }
        error => StoreError::damaged(path.join(FILE).display().to_string(), format!("{what}: {error}")),
    }
}

/// sled found bytes it did not write.
pub(super) fn unreadable(place: String, what: &str) -> StoreError {
    StoreError::damaged(place, format!("{what}: it does not hold what was written there"))
}

fn io_error(error: ::sled::Error) -> io::Error {
    match error {
        ::sled::Error::Io(error) => error,
        error => io::Error::other(error),
    }
}

pub(super) fn is_permission(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Creates the directory, syncs the entries of what it created, and makes sure that it can be written.
fn create_directory(path: &Path) -> Result<(), StoreError> {
    let refused = |path: &Path, source: io::Error| {
        if is_permission(&source) {
            StoreError::Permission {
                path: path.to_owned(),
                source,
            }
        } else {
            StoreError::Io {
                doing: format!("{}: creating the store's directory", path.display()),
                source,
            }
        }
    };
    let missing: Vec<&Path> = path.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::create_dir_all(path).map_err(|source| refused(path, source))?;
    for created in missing {
        if let Some(parent) = created.parent() {
            sync_directory(if parent.as_os_str().is_empty() {
                Path::new(".")
            } else {
                parent
            })?;
        }
    }
    let file = path.join(FILE);
    let file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(&file)
        .map_err(|e| refused(&file, e))?;
    remove_halves(path, &file).map_err(|e| refused(path, e))
}

/// Removes what sled has begun and not finished, for it would find it damaged: a snapshot that it was writing when it was
/// killed, the one before is still there or was never needed; and the settings of a database that holds nothing yet, which a
/// full disk may have cut short.
fn remove_halves(path: &Path, file: &File) -> io::Result<()> {
    let mut halves = Vec::new();
    if file.metadata()?.len() == 0 && path.join(SETTINGS).exists() {
        halves.push(path.join(SETTINGS));
    }
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"))
        {
            halves.push(path.join(name));
        }
    }
    // Under the lock that sled takes itself: they may be somebody else's, being written.
    if !halves.is_empty() && file.try_lock().is_ok() {
        halves.iter().try_for_each(std::fs::remove_file)?;
        file.unlock()?;
    }
    Ok(())
}

/// Syncs a directory, so that the files in it are found again.
#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|source| StoreError::Io {
        doing: format!("{}: syncing the directory", path.display()),
        source,
    })
}

#[cfg(not(unix))]
pub(super) fn sync_directory(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}
