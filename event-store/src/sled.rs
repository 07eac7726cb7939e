//! The store on sled: one directory, one process, one writer thread; knows frames and syncs, nothing of records' contents.
//!
//! sled 0.34's `flush` does not sync on Linux, so the store syncs sled's file itself before it answers. On some damage sled
//! panics at open; that is caught and reported, in programs that unwind. With `panic = "abort"` such a store ends the
//! program: work on a copy, or restore it. sled holds locks for the whole process, so one store per process is the rule.

mod anchor;
mod damaged;
mod database;
mod fault;
mod first_look;
mod fit;
mod gather;
mod index;
mod layout;
mod mark;
mod new_store;
mod open;
mod streams;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod waker;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use futures_timer::Delay;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use self::anchor::Anchor;
pub use self::damaged::DamagedStore;
use self::database::{Database, panic_text, unreadable};
pub use self::fault::{Faults, Step};
use self::first_look::{first_look, report};
use self::gather::Door;
pub use self::index::SledIndex;
use self::mark::{Found, Marker, Point, Progress};
pub use self::new_store::NewStore;
use self::open::{Recovered, recover};
use self::streams::{Glimpse, Streams};
use self::writer::{Request, Waiting, Writer, refuse};
use crate::error::{AppendError, StoreError};
use crate::record::{Append, Appended, Offset, Partition, Revision, Stored, StreamId, leaf_hash};
use crate::store::{BoxFuture, Counters, EventStore, FaultKind, Health, Layout, Marks, Status, Store, StoreFault};
use crate::waiting::{either, until_beyond, until_counted};

/// How a [`SledStore`] is created and run.
#[derive(Clone)]
pub struct SledOptions {
    /// Bytes of the largest record; fixed when the store is created, ignored afterwards.
    pub record_max: usize,
    /// The origin of a store that is created: random unless chosen, and chosen only for a store that goes on as another
    /// one whose records it gets. Ignored afterwards.
    pub origin: Option<[u8; 16]>,
    /// Bytes of sled's page cache, as they are on disk; in memory they take two to four times as much.
    pub cache_bytes: u64,
    /// Requests that may wait; further ones wait outside.
    pub queue: usize,
    /// Records after which a commit takes no further request.
    pub batch_records: usize,
    /// Bytes of records after which a commit takes no further request.
    pub batch_bytes: usize,
    /// How long a commit waits at most for callers that were just answered, so that they share its sync: up to the time that
    /// the last commit took, and not more than this, as long as more is answered that way. Zero: it never waits.
    pub gather_limit: Duration,
    /// Records after which the stream index is written out; as many are read again after a crash.
    pub checkpoint_records: usize,
    /// How long a commit may take before the store refuses commands.
    pub commit_limit: Duration,
    /// Time added to every sync; for measuring what a slower disk would do.
    pub flush_delay: Duration,
    /// Opens a store with records whose file `mark` is missing or unreadable, and takes its log for whole.
    ///
    /// The mark says how far the log reached; without it records missing at the end go unnoticed. Set this for one opening
    /// only, when you know why the file is gone. A mark that is there and does not fit the log is refused all the same.
    pub accept_missing_mark: bool,
    /// Sees every step of a commit; for tests.
    #[doc(hidden)]
    pub faults: Option<Arc<dyn Faults>>,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            record_max: Layout::RECORD_MAX,
            origin: None,
            cache_bytes: 24 << 20,
            queue: 1024,
            batch_records: 1024,
            batch_bytes: 1 << 20,
            gather_limit: Duration::from_millis(5),
            checkpoint_records: 1 << 18,
            commit_limit: Duration::from_secs(30),
            flush_delay: Duration::ZERO,
            accept_missing_mark: false,
            faults: None,
        }
    }
}

/// Durable streams in a directory, in one partition.
///
/// A write error, such as a full disk, answers the commands in hand with `Unknown`; the store then reopens its files and
/// goes on. A failed sync, or a commit that takes longer than [`SledOptions::commit_limit`], makes it refuse commands until
/// it is dropped and opened again. Opening does not answer before everything the store holds is proven durable.
pub struct SledStore {
    shared: Arc<Shared>,
    requests: Option<mpsc::Sender<Request>>,
    /// Room in the queue for large requests, in KiB.
    room: Arc<Semaphore>,
    /// Ends when the writer has let go of the files.
    ended: Mutex<Receiver<()>>,
}

/// Bytes of records that a request may bring without asking for room.
const SMALL_REQUEST: usize = 64 << 10;

/// KiB of larger requests that may be in the queue.
const ROOM_KIB: usize = 64 << 10;

/// Bytes of records that one read returns, unless a single one is larger.
const READ_BYTES: usize = 32 << 20;

const CLOSED: &str = "it was closed";

/// What the store, its index and its threads have in common.
struct Shared {
    path: PathBuf,
    options: SledOptions,
    layout: Layout,
    /// The file that must stay where it is.
    anchor: Anchor,
    /// Written only by the writer thread, when it reopens or closes.
    database: RwLock<Option<Database>>,
    streams: RwLock<Streams>,
    /// What the mark said before the store was opened.
    found: Point,
    /// Where the log ended then.
    opened: Offset,
    marks: Arc<Progress>,
    /// The offset of the last durable record.
    head: watch::Sender<Offset>,
    state: Mutex<State>,
    /// How often `state` has changed.
    changes: watch::Sender<u64>,
    is_ready: AtomicBool,
    is_stopped: AtomicBool,
    counters: AtomicCounters,
    /// Records whose callers wait.
    pending: AtomicU64,
    /// Why the stream index must be built again, once the checkpointer knows.
    misfit: Mutex<Option<String>>,
    has_misfit: AtomicBool,
    /// Locked by the writer except while it is at the disk.
    queue: Mutex<mpsc::Receiver<Request>>,
    /// Where the writer waits for callers to come back.
    door: Door,
    in_flight: Mutex<Vec<Waiting>>,
    started: Instant,
    /// Milliseconds after `started` at which the writer went to the disk; 0 when it is not there.
    at_disk_since: AtomicU64,
}

/// How the store is.
struct State {
    health: Health,
    since: SystemTime,
    last_fault: Option<StoreFault>,
}

#[derive(Default)]
struct AtomicCounters {
    records: AtomicU64,
    batches: AtomicU64,
    bytes: AtomicU64,
    checkpoints: AtomicU64,
}

impl SledStore {
    /// Opens the store in a directory, or creates it. Blocks while it reads the log's tail.
    ///
    /// ```no_run
    /// # use flowledger_event_store::{SledOptions, SledStore, StoreError};
    /// let store = SledStore::open("ledger", SledOptions::default())?;
    /// # Ok::<(), StoreError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// `InUse`, `Permission`, `Damaged`, `Format`, `Io`; `Unavailable` if the disk does not take or confirm the recovery.
    pub fn open(path: impl AsRef<Path>, mut options: SledOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        options.checkpoint_records = options.checkpoint_records.max(1);
        first_look(path).map_err(|error| explained(error, path, None, false))?;
        let mut intact = None;
        let opened = guarded(path, || Database::open(path, &options, 0)).and_then(|database| {
            let found = guarded(path, || Self::recovered(path, &options, &database));
            match found {
                Ok(found) => Ok((database, found)),
                Err(error) => {
                    if let StoreError::Damaged { .. } = error {
                        intact = catch_unwind(AssertUnwindSafe(|| database.intact())).ok();
                    }
                    // sled syncs when it is dropped, and panics if that fails. What led here is what is told.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
                    Err(error)
                }
            }
        });
        let (database, (layout, recovered, marker, found, anchor)) =
            opened.map_err(|error| explained(error, path, intact, true))?;
        let head = recovered.head;
        let (requests, queue) = mpsc::channel(options.queue.max(1));
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            options,
            layout,
            anchor,
            database: RwLock::new(Some(database)),
            streams: RwLock::new(recovered.streams),
            found,
            opened: head.offset,
            marks: marker.progress(),
            head: watch::Sender::new(head.offset),
            state: Mutex::new(State {
                health: Health::Ready,
                since: SystemTime::now(),
                last_fault: None,
            }),
            changes: watch::Sender::new(0),
            is_ready: AtomicBool::new(true),
            is_stopped: AtomicBool::new(false),
            counters: AtomicCounters::default(),
            pending: AtomicU64::new(0),
            misfit: Mutex::default(),
            has_misfit: AtomicBool::new(false),
            queue: Mutex::new(queue),
            door: Door::default(),
            in_flight: Mutex::default(),
            started: Instant::now(),
            at_disk_since: AtomicU64::new(0),
        });
        let (ending, ended) = channel();
        let writer = Writer::new(&shared, head, marker)?;
        spawn("flowledger-write", move || {
            writer.run();
            drop(ending);
        })?;
        let watched = Arc::downgrade(&shared);
        let tick = shared.options.commit_limit / 4;
        spawn("flowledger-watch", move || {
            while let Some(shared) = watched.upgrade()
                && shared.check_commit()
            {
                drop(shared);
                thread::sleep(tick.clamp(Duration::from_millis(5), Duration::from_secs(1)));
            }
        })?;
        let room = Arc::new(Semaphore::new(ROOM_KIB));
        Ok(Self {
            shared,
            requests: Some(requests),
            room,
            ended: Mutex::new(ended),
        })
    }

    /// Brings an open database up, and a mark with it.
    fn recovered(
        path: &Path,
        options: &SledOptions,
        database: &Database,
    ) -> Result<(Layout, Recovered, Marker, Point, Anchor), StoreError> {
        let mark = Found::read(path)?;
        let layout = database.layout(!mark.is_known())?;
        let head = database.last_offset()?;
        let floor = mark.floor(path, &layout.origin, head, options.accept_missing_mark)?;
        let recovered = recover(database, Offset::NONE, floor, options.checkpoint_records)?;
        let anchor = database.anchor()?;
        let faults = options.faults.clone();
        let marker = Marker::start(path, &mark, layout.origin, recovered.head, &anchor, faults)?;
        Ok((layout, recovered, marker, floor.point, anchor))
    }

    /// The index that belongs to the store. It works as long as the store is open.
    pub fn index(&self) -> Arc<SledIndex> {
        Arc::new(SledIndex {
            shared: Arc::clone(&self.shared),
        })
    }

    fn check_partition(&self, partition: Partition) -> Result<(), StoreError> {
        let partitions = self.shared.layout.partitions;
        if partition < partitions {
            Ok(())
        } else {
            Err(StoreError::NoPartition { partition, partitions })
        }
    }

    /// Queues a request's worth of items; the receiver gets the answers.
    async fn enqueue(&self, items: Vec<Append>) -> Result<oneshot::Receiver<writer::Answers>, AppendError> {
        let Some(requests) = self.requests.as_ref().filter(|_| self.shared.is_ready()) else {
            return Err(AppendError::Unavailable(self.shared.why_not_ready()));
        };
        let bytes: usize = items.iter().map(|item| item.record.len()).sum();
        let room = if bytes > SMALL_REQUEST {
            let permits = u32::try_from((bytes >> 10).min(ROOM_KIB)).unwrap_or(u32::MAX);
            Arc::clone(&self.room).acquire_many_owned(permits).await.ok()
        } else {
            None
        };
        let items = items.into_iter().map(|item| {
            let faults = self.shared.options.faults.as_ref();
            let leaf = faults.and_then(|faults| faults.leaf(&item.record));
            let leaf = leaf.unwrap_or_else(|| leaf_hash(&item.record));
            (item, leaf)
        });
        let (answer, answered) = oneshot::channel();
        let request = Request::Append {
            items: items.collect(),
            answer,
            room,
        };
        match requests.send(request).await {
            Ok(()) => {
                self.shared.door.entered(requests.max_capacity() - requests.capacity());
                Ok(answered)
            }
            Err(_) => Err(AppendError::Unavailable(self.shared.why_not_ready())),
        }
    }

    /// Cuts a long list of items into requests that a commit can take whole.
    fn requests_of(&self, mut items: Vec<Append>) -> Vec<Vec<Append>> {
        let options = &self.shared.options;
        let mut requests = Vec::new();
        while items.len() > 1 {
            let mut bytes = 0;
            let fitting = items.iter().take(options.batch_records).take_while(|item| {
                bytes += item.record.len();
                bytes <= options.batch_bytes
            });
            let count = fitting.count().max(1);
            let rest = items.split_off(count);
            requests.push(std::mem::replace(&mut items, rest));
        }
        if !items.is_empty() {
            requests.push(items);
        }
        requests
    }
}

/// Damage at open, with what else is known of the store.
fn explained(error: StoreError, path: &Path, intact: Option<Offset>, may_have_changed: bool) -> StoreError {
    match error {
        StoreError::Damaged { place, what, .. } => StoreError::Damaged {
            place: if place.starts_with("log, ") {
                format!("{}, {place}", path.join(database::FILE).display())
            } else {
                place
            },
            what,
            report: Some(Box::new(report(path, intact, may_have_changed))),
        },
        error => error,
    }
}

/// Opens a part of a store. sled panics on some damage; that is damage then.
fn guarded<T>(path: &Path, open: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(unreadable(path.display().to_string(), "reading its log")))
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    let spawned = thread::Builder::new().name(name.into()).spawn(work);
    spawned.map(drop).map_err(|source| StoreError::Io {
        doing: "starting a thread".into(),
        source,
    })
}

impl From<SledStore> for Store {
    fn from(store: SledStore) -> Self {
        let index = store.index();
        Self {
            events: Arc::new(store),
            index,
        }
    }
}

impl Drop for SledStore {
    /// Closes the store. Waits for the files to be let go, unless the disk keeps the writer for too long.
    fn drop(&mut self) {
        self.requests = None;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(self.shared.options.commit_limit * 2) {
            self.shared
                .stop(FaultKind::Stuck, "it was dropped while the disk did not answer");
        }
    }
}

impl EventStore for SledStore {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        Box::pin(async move {
            let count = items.len();
            let _pending = Pending::of(&self.shared, count);
            let mut queued = Vec::with_capacity(1);
            for items in self.requests_of(items) {
                let count = items.len();
                queued.push((count, self.enqueue(items).await));
            }
            let mut answers = Vec::with_capacity(count);
            for (count, queued) in queued {
                let answered = match queued {
                    Ok(answered) => answered
                        .await
                        .map_err(|_| AppendError::Unknown(self.shared.why_not_ready())),
                    Err(error) => Err(error),
                };
                match answered {
                    Ok(answered) => answers.extend(answered),
                    Err(error) => answers.extend((0..count).map(|_| Err(error.clone()))),
                }
            }
            answers
        })
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        let stream = *stream;
        Box::pin(async move {
            // Before the blocks are read: they may overtake it.
            let glimpse = Glimpse::of(
                &self.shared.streams.read().unwrap_or_else(PoisonError::into_inner),
                &stream,
            );
            self.shared.read(|database| {
                let offsets = glimpse.offsets(database, &stream, after, max)?;
                let records = database.records(offsets, READ_BYTES)?;
                let mut revision = after.get();
                for record in &records {
                    revision = revision.saturating_add(1);
                    if record.stream != stream || record.revision.get() != revision {
                        let offset = record.offset;
                        return Err(database.damaged(format!("stream {stream} leads to offset {offset} wrongly")));
                    }
                }
                Ok(records)
            })
        })
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        Box::pin(async move {
            self.check_partition(partition)?;
            let head = self.shared.head();
            self.shared
                .read(|database| database.records_between(after, head, max, READ_BYTES))
        })
    }

    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.check_partition(partition)?;
            self.shared.read(|_| Ok(()))?;
            until_beyond(self.shared.head.subscribe(), after, wait).await;
            Ok(())
        })
    }

    fn layout(&self) -> &Layout {
        &self.shared.layout
    }

    fn head(&self, partition: Partition) -> Offset {
        if partition < self.shared.layout.partitions {
            self.shared.head()
        } else {
            Offset::NONE
        }
    }

    fn marks(&self, partition: Partition) -> Option<Marks> {
        let (durable, written) = self.shared.marks.reached();
        (partition < self.shared.layout.partitions).then_some(Marks {
            found: self.shared.found,
            opened: self.shared.opened,
            durable,
            written,
        })
    }

    fn counters(&self) -> Counters {
        let counters = &self.shared.counters;
        Counters {
            records: counters.records.load(Ordering::Relaxed),
            batches: counters.batches.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            checkpoints: counters.checkpoints.load(Ordering::Relaxed),
        }
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn status(&self) -> Status {
        self.shared.status()
    }

    fn status_changed(&self, after: u64, wait: Duration) -> BoxFuture<'_, ()> {
        Box::pin(until_counted(self.shared.changes.subscribe(), after, wait))
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let closing = async {
                match &self.requests {
                    Some(requests) if requests.send(Request::Close { answer }).await.is_ok() => answered.await.ok(),
                    _ => None,
                }
            };
            let limit = self.shared.options.commit_limit * 2;
            match either(closing, Delay::new(limit)).await {
                Some(Some(outcome)) => outcome,
                // Closed before, or stopped for a reason that health tells.
                Some(None) if self.shared.is_closed() => Ok(()),
                Some(None) => Err(StoreError::Unavailable {
                    why: self.shared.why_not_ready(),
                }),
                None => Err(StoreError::Unavailable {
                    why: "the disk does not answer".into(),
                }),
            }
        })
    }
}

/// Counts records while their caller waits.
struct Pending<'a> {
    shared: &'a Shared,
    records: u64,
}

impl<'a> Pending<'a> {
    fn of(shared: &'a Shared, records: usize) -> Self {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        shared.pending.fetch_add(records, Ordering::Relaxed);
        Self { shared, records }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.shared.pending.fetch_sub(self.records, Ordering::Relaxed);
    }
}

impl Shared {
    /// Looks into the database. sled panics on some damage; that is damage then, not the caller's end.
    fn read<T>(&self, look: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = database.as_ref() else {
            return Err(StoreError::Unavailable {
                why: self.why_not_ready(),
            });
        };
        let found = catch_unwind(AssertUnwindSafe(|| look(database)))
            .unwrap_or_else(|_| Err(unreadable(self.path.display().to_string(), "reading")));
        if let Err(error @ StoreError::Damaged { .. }) = &found {
            self.note_damage(error.told());
        }
        found
    }

    fn generation(&self) -> Option<u64> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.as_ref().map(|database| database.generation)
    }

    /// Works on the database unless it has been reopened or closed since it had this generation.
    fn with_generation<T>(&self, generation: u64, work: impl FnOnce(&Database) -> T) -> Option<T> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database
            .as_ref()
            .filter(|database| database.generation == generation)
            .map(work)
    }

    /// Takes a newly opened database into use, and works on it.
    fn install<T>(
        &self,
        database: Database,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        self.read(work)
    }

    /// Lets go of the database. sled syncs when it is dropped, and panics if that fails.
    fn release(&self) -> Result<(), StoreError> {
        // Not by waiting for the lock: readers would wait behind, for as long as a checkpoint is stuck at the disk.
        let patience = Instant::now() + self.options.commit_limit;
        let database = loop {
            match self.database.try_write() {
                Ok(mut database) => break database.take(),
                Err(TryLockError::Poisoned(poisoned)) => break poisoned.into_inner().take(),
                Err(TryLockError::WouldBlock) if Instant::now() < patience => thread::sleep(Duration::from_millis(1)),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Unavailable {
                        why: "the disk does not answer".into(),
                    });
                }
            }
        };
        let Some(database) = database else { return Ok(()) };
        let synced = catch_unwind(AssertUnwindSafe(|| {
            let synced = database.sync_directory();
            drop(database);
            synced
        }));
        synced.unwrap_or_else(|panic| {
            Err(StoreError::Unavailable {
                why: panic_text(&*panic).to_owned(),
            })
        })
    }

    /// Takes note that the stream index does not fit the log.
    fn set_misfit(&self, why: String) {
        *self.misfit.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        self.has_misfit.store(true, Ordering::Release);
    }

    /// Why the stream index does not fit the log, told once.
    fn misfit(&self) -> Option<String> {
        if !self.has_misfit.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.misfit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn head(&self) -> Offset {
        *self.head.borrow()
    }

    fn in_flight(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_up_in_flight(&self, why: &str) {
        let waiting = std::mem::take(&mut *self.in_flight());
        for waiting in waiting {
            waiting.give_up(why);
        }
    }

    fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Whether commands are refused for good.
    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Acquire)
    }

    fn is_closed(&self) -> bool {
        matches!(self.health(), Health::Refused { why } if why == CLOSED)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> Health {
        self.state().health.clone()
    }

    fn status(&self) -> Status {
        let holds_lock = self.anchor.holds();
        let state = self.state();
        let is_closed = matches!(&state.health, Health::Refused { why } if why == CLOSED);
        Status {
            health: state.health.clone(),
            is_closed,
            since: Some(state.since),
            changes: *self.changes.borrow(),
            last_fault: state.last_fault.clone(),
            pending: self.pending.load(Ordering::Relaxed),
            holds_lock: holds_lock.filter(|_| !is_closed),
        }
    }

    /// Sets the health, unless commands are refused for good; a fault is what it is set for.
    fn set_health(&self, new: Health, fault: Option<(FaultKind, &str)>) {
        let mut state = self.state();
        if matches!(state.health, Health::Refused { .. }) {
            return;
        }
        self.is_ready.store(new == Health::Ready, Ordering::Release);
        self.is_stopped
            .store(matches!(new, Health::Refused { .. }), Ordering::Release);
        let now = SystemTime::now();
        if std::mem::discriminant(&state.health) != std::mem::discriminant(&new) {
            state.since = now;
        }
        let is_news = state.health != new || fault.is_some();
        state.health = new;
        if let Some((kind, what)) = fault {
            let what = what.to_owned();
            state.last_fault = Some(StoreFault { at: now, kind, what });
        }
        drop(state);
        if is_news {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Takes note of damage that a reader met; commands go on.
    fn note_damage(&self, what: String) {
        let mut state = self.state();
        let is_known = state.last_fault.as_ref().is_some_and(|last| last.what == what);
        if !is_known {
            let (at, kind) = (SystemTime::now(), FaultKind::Damage);
            state.last_fault = Some(StoreFault { at, kind, what });
            drop(state);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    fn why_not_ready(&self) -> String {
        match self.health() {
            Health::Ready => "it is closing".into(),
            Health::Recovering { why } | Health::Refused { why } => why,
        }
    }

    /// Refuses commands until the store is opened again, and answers those at the disk.
    fn stop(&self, kind: FaultKind, what: &str) {
        let why = format!("{what}; no commands until the store is opened again");
        self.set_health(Health::Refused { why: why.clone() }, Some((kind, what)));
        self.give_up_in_flight(&why);
    }

    /// Lets the watchdog time what goes to the disk.
    fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        self.at_disk_since.store(self.now_ms(), Ordering::Release);
        let done = work();
        self.at_disk_since.store(0, Ordering::Release);
        done
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }

    /// Stops the store if the writer has been at the disk for too long. False: there is nothing more to watch.
    fn check_commit(&self) -> bool {
        let since = self.at_disk_since.load(Ordering::Acquire);
        let limit = u64::try_from(self.options.commit_limit.as_millis()).unwrap_or(u64::MAX);
        if since != 0 && self.now_ms().saturating_sub(since) > limit {
            let what = format!("{}: the disk has not answered for {limit} ms", self.path.display());
            self.stop(FaultKind::Stuck, &what);
            self.drain_queue(&self.why_not_ready());
        }
        // Commits look themselves; this is for a store that has none.
        if self.is_ready()
            && let Err(what) = self.anchor.check()
        {
            self.stop(FaultKind::Lost, &what);
        }
        !self.is_closed()
    }

    /// Closes the queue and answers what is in it, unless the writer is at it itself.
    fn drain_queue(&self, why: &str) {
        if let Ok(mut queue) = self.queue.try_lock() {
            queue.close();
            while let Ok(request) = queue.try_recv() {
                refuse(request, why);
            }
        }
    }
}
