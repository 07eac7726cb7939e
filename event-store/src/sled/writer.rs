//! Group commit: the one thread that orders, writes, syncs, publishes and answers; it also recovers and closes.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use foldhash::HashMap;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Shared;
use super::database::{Database, Fault, Frames, panic_text};
use super::gather::Gatherer;
use super::layout::Packer;
use super::mark::{Floor, Marker, Point};
use super::open::recover;
use super::streams::{Checkpoint, Delta, Streams};
use crate::error::{AppendError, StoreError};
use crate::record::{Append, Appended, Offset, Revision, StreamId};
use crate::store::{FaultKind, Health};

/// What callers put into the queue.
pub(super) enum Request {
    /// Append these.
    Append {
        /// The items with their leaf hashes.
        items: Items,
        /// Where the answers go.
        answer: oneshot::Sender<Answers>,
        /// What the request holds of the queue's room for large records.
        room: Option<OwnedSemaphorePermit>,
    },
    /// Finish and let go of the files.
    Close {
        /// Where the outcome goes.
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// The items of a request with their leaf hashes, which the callers compute.
pub(super) type Items = Vec<(Append, [u8; 32])>;

/// The answers to the items of a request, in order.
pub(super) type Answers = Vec<Result<Appended, AppendError>>;

/// A request on its way to the disk, with the answers it gets if all goes well.
pub(super) struct Waiting {
    answer: oneshot::Sender<Answers>,
    answers: Answers,
}

impl Waiting {
    /// Answers that the commit may or may not have happened.
    pub(super) fn give_up(self, why: &str) {
        let answers = self.answers.into_iter().map(|answer| match answer {
            Ok(_) => Err(AppendError::Unknown(why.to_owned())),
            // The revision it conflicts with may be one that has just failed.
            Err(AppendError::Conflict { .. }) => Err(AppendError::Unavailable(why.to_owned())),
            Err(error) => Err(error),
        });
        let _ = self.answer.send(answers.collect());
    }
}

/// Says of every item that it is surely not stored.
pub(super) fn refuse(request: Request, why: &str) {
    match request {
        Request::Append { items, answer, .. } => refuse_items(&items, answer, why),
        Request::Close { answer } => {
            let _ = answer.send(Err(StoreError::Unavailable { why: why.to_owned() }));
        }
    }
}

fn refuse_items(items: &Items, answer: oneshot::Sender<Answers>, why: &str) {
    let answers = items.iter().map(|_| Err(AppendError::Unavailable(why.to_owned())));
    let _ = answer.send(answers.collect());
}

/// The writer thread's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Revisions of streams written or looked up lately, those of the commit in hand included.
    revisions: Revisions,
    /// The last offset that was given out.
    last: Offset,
    /// The leaf hash of the record at `last`.
    last_leaf: [u8; 32],
    gatherer: Gatherer,
    checkpointer: Checkpointer,
    marker: Marker,
    /// How often the database has been opened again.
    generation: u64,
    /// The requests taken for the commit in hand.
    taken: Vec<(Items, oneshot::Sender<Answers>)>,
    closing: Option<oneshot::Sender<Result<(), StoreError>>>,
}

/// Streams whose revisions are kept in memory: twice as many at most.
const REVISIONS_KEPT: usize = 1 << 16;

/// Streams whose blocks are written between two pauses of the checkpointer.
const CHECKPOINT_STEP: usize = 32;

/// How long the checkpointer leaves processor and log to the commits after a step, as long as it is not late.
const CHECKPOINT_PAUSE: Duration = Duration::from_micros(300);

/// How long the pause before reopening grows, while the disk stays full.
const REOPEN_PAUSES: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(1);

impl Writer {
    /// A writer that goes on after `last`.
    pub(super) fn new(shared: &Arc<Shared>, last: Point, marker: Marker) -> Result<Self, StoreError> {
        Ok(Self {
            shared: Arc::clone(shared),
            revisions: Revisions::default(),
            last: last.offset,
            last_leaf: last.leaf,
            gatherer: Gatherer::default(),
            checkpointer: Checkpointer::start(shared)?,
            marker,
            generation: 0,
            taken: Vec::new(),
            closing: None,
        })
    }

    /// Works until the queue is closed.
    pub(super) fn run(mut self) {
        let worked = catch_unwind(AssertUnwindSafe(|| {
            while self.take_requests() {
                if let Some(why) = self.shared.misfit() {
                    self.recover_from(&Fault::Index(why));
                }
                self.commit();
                if self.closing.is_some() {
                    break;
                }
            }
        }));
        if let Err(panic) = worked {
            let what = format!("the writer failed: {}", panic_text(&*panic));
            self.shared.stop(FaultKind::Broken, &what);
        }
        self.shut_down();
    }

    /// Waits for a request, and a little for more, and takes what is there, up to the bounds of a commit. False: there will be no more.
    fn take_requests(&mut self) -> bool {
        let options = &self.shared.options;
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut request = queue.blocking_recv();
        if matches!(request, Some(Request::Append { .. })) {
            let most = options.batch_records.min(queue.max_capacity());
            let gatherer = &mut self.gatherer;
            gatherer.wait(&self.shared.door, most, options.gather_limit, || queue.len() + 1);
        }
        let (mut records, mut bytes) = (0, 0);
        while let Some(taken) = request.take() {
            match taken {
                Request::Append { items, answer, room } => {
                    records += items.len();
                    bytes += items.iter().map(|(item, _)| item.record.len()).sum::<usize>();
                    self.taken.push((items, answer));
                    drop(room);
                }
                Request::Close { answer } => {
                    self.closing = Some(answer);
                    break;
                }
            }
            if records < options.batch_records && bytes < options.batch_bytes {
                request = queue.try_recv().ok();
            }
        }
        !self.taken.is_empty() || self.closing.is_some()
    }

    /// Orders what was taken, makes it durable, and answers.
    fn commit(&mut self) {
        let shared = Arc::clone(&self.shared);
        if !shared.is_ready() {
            let why = shared.why_not_ready();
            for (items, answer) in self.taken.drain(..) {
                refuse_items(&items, answer, &why);
            }
            return;
        }
        let guard = shared.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = guard.as_ref() else {
            debug_assert!(false, "a store that is ready has a database");
            return self.taken.clear();
        };
        let first = (self.last, self.last_leaf);
        let mut accepted = Vec::new();
        let mut bytes = 0;
        // It looks into sled, where somebody may be waiting for the disk.
        let (frames, waiting) = shared.watch(|| self.order(database, &mut accepted, &mut bytes));
        if accepted.is_empty() {
            for waiting in waiting {
                let _ = waiting.answer.send(waiting.answers);
            }
            return;
        }
        let answered = waiting.len();
        shared.in_flight().extend(waiting);
        let begun = Instant::now();
        let outcome = shared.watch(|| {
            catch_unwind(AssertUnwindSafe(|| {
                database.append(frames)?;
                database.make_durable()?;
                shared.anchor.check().map_err(Fault::Lost)
            }))
            .unwrap_or_else(|panic| Err(Fault::Broken(format!("writing failed: {}", panic_text(&*panic)))))
        });
        drop(guard);
        match outcome {
            Ok(()) => {
                let took = begun.elapsed();
                let waiting = shared.queue.lock().unwrap_or_else(PoisonError::into_inner).len();
                self.gatherer.note(answered, waiting, took);
                self.publish(&accepted, bytes);
            }
            Err(fault) => {
                (self.last, self.last_leaf) = first;
                self.revisions = Revisions::default();
                self.recover_from(&fault);
            }
        }
    }

    /// Checks revisions and gives out offsets; returns what to write and what to answer once it is written.
    fn order(
        &mut self,
        database: &Database,
        accepted: &mut Vec<(StreamId, Revision, Offset)>,
        bytes: &mut u64,
    ) -> (Frames, Vec<Waiting>) {
        let streams = self.shared.streams.read().unwrap_or_else(PoisonError::into_inner);
        let record_max = self.shared.layout.record_max;
        let mut frames = Frames::default();
        let mut packer = Packer::new(|key, value| frames.add(key, value));
        let mut waiting = Vec::with_capacity(self.taken.len());
        for (items, answer) in self.taken.drain(..) {
            let mut answers = Vec::with_capacity(items.len());
            for (item, leaf) in &items {
                let len = item.record.len();
                if len > record_max {
                    answers.push(Err(AppendError::TooLarge { len, max: record_max }));
                    continue;
                }
                let actual = match self.revisions.get(&item.stream, &streams, database) {
                    Ok(actual) => Revision::new(actual),
                    Err(error) => {
                        answers.push(Err(AppendError::Corrupt(error.told())));
                        continue;
                    }
                };
                if actual != item.expected {
                    answers.push(Err(AppendError::Conflict {
                        expected: item.expected,
                        actual,
                    }));
                    continue;
                }
                let revision = Revision::new(actual.get() + 1);
                let offset = Offset::new(self.last.get() + 1);
                packer.add(offset, revision, leaf, item);
                self.last = offset;
                self.last_leaf = *leaf;
                self.revisions.set(item.stream, revision.get());
                accepted.push((item.stream, revision, offset));
                *bytes += len as u64;
                answers.push(Ok(Appended {
                    revision,
                    partition: 0,
                    offset,
                }));
            }
            waiting.push(Waiting { answer, answers });
        }
        packer.finish();
        drop(packer);
        (frames, waiting)
    }

    /// Shows the records to readers, then answers.
    fn publish(&mut self, accepted: &[(StreamId, Revision, Offset)], bytes: u64) {
        let shared = &self.shared;
        let pending = {
            let mut streams = shared.streams.write().unwrap_or_else(PoisonError::into_inner);
            for &(stream, revision, offset) in accepted {
                streams.active.add(stream, revision, offset);
            }
            streams.active.records
        };
        shared
            .counters
            .records
            .fetch_add(accepted.len() as u64, Ordering::Relaxed);
        shared.counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        shared.counters.batches.fetch_add(1, Ordering::Relaxed);
        shared.head.send_replace(self.last);
        self.marker.advance(Point {
            offset: self.last,
            leaf: self.last_leaf,
        });
        let waiting = std::mem::take(&mut *shared.in_flight());
        for waiting in waiting {
            let _ = waiting.answer.send(waiting.answers);
        }
        if pending >= shared.options.checkpoint_records {
            self.checkpointer.wake();
            self.slow_down(pending);
        }
    }

    /// Lets the checkpointer catch up when it falls far behind, so that the delta stays bounded.
    fn slow_down(&self, mut pending: usize) {
        let bound = self.shared.options.checkpoint_records.saturating_mul(4);
        let patience = Instant::now() + Duration::from_secs(1);
        while pending >= bound && Instant::now() < patience {
            thread::sleep(Duration::from_millis(1));
            self.checkpointer.wake();
            pending = self
                .shared
                .streams
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .active
                .records;
        }
    }

    fn recover_from(&mut self, fault: &Fault) {
        let why = fault.why().to_owned();
        match fault {
            Fault::Sync(_) | Fault::Lost(_) | Fault::Broken(_) => self.shared.stop(fault.kind(), &why),
            Fault::Write(_) | Fault::Index(_) => {
                // Health first: as long as it is not ready, what readers do not find may still turn up.
                self.shared
                    .set_health(Health::Recovering { why: why.clone() }, Some((fault.kind(), &why)));
                self.shared.give_up_in_flight(&why);
                self.reopen(&why);
            }
        }
    }

    /// Closes and opens the database until it takes what it holds, or is found damaged, or nobody waits any more.
    fn reopen(&mut self, why: &str) {
        let mut pause = *REOPEN_PAUSES.start();
        loop {
            let shared = Arc::clone(&self.shared);
            match shared.watch(|| catch_unwind(AssertUnwindSafe(|| self.try_reopen()))) {
                Ok(Ok(())) => return self.shared.set_health(Health::Ready, None),
                Ok(Err(Unopened::Lost(what))) => {
                    return self.shared.stop(FaultKind::Lost, &format!("{why}; reopening: {what}"));
                }
                Ok(Err(Unopened::Store(error @ (StoreError::Damaged { .. } | StoreError::Format { .. })))) => {
                    let what = format!("{why}; reopening: {}", error.told());
                    return self.shared.stop(FaultKind::Damage, &what);
                }
                Ok(Err(Unopened::Store(error))) => {
                    let why = format!("{why}; reopening: {}", error.told());
                    self.shared.set_health(Health::Recovering { why }, None);
                }
                Err(panic) => {
                    let what = format!("{why}; reopening failed: {}", panic_text(&*panic));
                    return self.shared.stop(FaultKind::Broken, &what);
                }
            }
            if !self.refuse_queued(why) || self.shared.is_stopped() {
                return;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(*REOPEN_PAUSES.end());
        }
    }

    fn try_reopen(&mut self) -> Result<(), Unopened> {
        let shared = &self.shared;
        // Nothing is opened, written or created in a place that is no longer this store's.
        shared.anchor.check().map_err(Unopened::Lost)?;
        // As long as the disk takes nothing, the old one serves readers; opening needs room.
        probe_room(&shared.path)?;
        self.generation += 1;
        shared.release()?;
        let database = Database::open(&shared.path, &shared.options, self.generation)?;
        shared.anchor.check().map_err(Unopened::Lost)?;
        // Whatever comes of the rest, what was durable before can be read again.
        let recovered = shared.install(database, |database| {
            if database.layout(false)? != shared.layout {
                return Err(database.damaged("another store has taken its place".into()));
            }
            recover(
                database,
                shared.head(),
                Floor::at(self.marker.latest()),
                shared.options.checkpoint_records,
            )
        })?;
        *shared.streams.write().unwrap_or_else(PoisonError::into_inner) = recovered.streams;
        self.revisions = Revisions::default();
        let head = recovered.head;
        (self.last, self.last_leaf) = (head.offset, head.leaf);
        shared.head.send_replace(head.offset);
        self.marker.advance(head);
        Ok(())
    }

    /// Answers what came in meanwhile. False: nobody can send any more.
    fn refuse_queued(&mut self, why: &str) -> bool {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match queue.try_recv() {
                Ok(Request::Close { answer }) => {
                    self.closing = Some(answer);
                    return false;
                }
                Ok(request) => refuse(request, why),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn shut_down(mut self) {
        let shared = Arc::clone(&self.shared);
        shared.drain_queue(super::CLOSED);
        self.checkpointer.stop();
        let mut outcome = Ok(());
        if shared.is_ready() {
            let written = shared.watch(|| catch_unwind(AssertUnwindSafe(|| write_checkpoint(&shared, true))));
            outcome = match written {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(fault)) => Err(StoreError::Unavailable {
                    why: fault.why().to_owned(),
                }),
                Err(panic) => Err(StoreError::Unavailable {
                    why: panic_text(&*panic).to_owned(),
                }),
            };
        } else {
            outcome = outcome.and(Err(StoreError::Unavailable {
                why: shared.why_not_ready(),
            }));
        }
        let why = super::CLOSED.into();
        shared.set_health(Health::Refused { why }, None);
        shared.give_up_in_flight(super::CLOSED);
        // While the directory is still locked: after that the file may be somebody else's.
        outcome = outcome.and(self.marker.stop());
        outcome = outcome.and(shared.release());
        if let Some(answer) = self.closing.take() {
            let _ = answer.send(outcome);
        }
    }
}

/// Why a store could not be opened again.
enum Unopened {
    /// Its files are gone from their place.
    Lost(String),
    /// Anything else.
    Store(StoreError),
}

impl From<StoreError> for Unopened {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Bytes that must fit on the disk before a full one counts as no longer full: some of sled's segments.
const PROBE_BYTES: usize = 4 << 20;

fn probe_room(directory: &Path) -> Result<(), StoreError> {
    let probe = directory.join("probe");
    let written = std::fs::write(&probe, vec![1; PROBE_BYTES]).and_then(|()| File::open(&probe)?.sync_all());
    let removed = std::fs::remove_file(&probe);
    let probed = written.and(removed);
    probed.map_err(|source| StoreError::Io {
        doing: format!("{}: writing on trial", directory.display()),
        source,
    })
}

/// The revisions of streams used lately: when the young half is full, it becomes the old half.
#[derive(Default)]
struct Revisions {
    young: HashMap<StreamId, u64>,
    old: HashMap<StreamId, u64>,
}

impl Revisions {
    fn get(&mut self, stream: &StreamId, streams: &Streams, database: &Database) -> Result<u64, StoreError> {
        if let Some(&revision) = self.young.get(stream) {
            return Ok(revision);
        }
        let known = self.old.get(stream).copied().or_else(|| streams.revision(stream));
        let revision = match known {
            Some(revision) => revision,
            None => database.indexed_revision(stream)?,
        };
        self.set(*stream, revision);
        Ok(revision)
    }

    fn set(&mut self, stream: StreamId, revision: u64) {
        if self.young.len() >= REVISIONS_KEPT && !self.young.contains_key(&stream) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream, revision);
    }
}

/// The thread that writes the stream index out behind the commits.
struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    fn start(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let (wake, woken) = sync_channel(1);
        let shared = Arc::clone(shared);
        let work = move || {
            while woken.recv().is_ok() {
                let written = catch_unwind(AssertUnwindSafe(|| write_checkpoint(&shared, false)));
                // The system tells of a failed sync only once, so this one must count. Any other error shows at the next
                // commit, which recovers; the delta stays until then.
                match written {
                    Ok(Err(fault @ Fault::Sync(_))) => shared.stop(fault.kind(), fault.why()),
                    Ok(Err(Fault::Index(why))) => shared.set_misfit(why),
                    _ => {}
                }
            }
        };
        let thread = thread::Builder::new().name("flowledger-index".into()).spawn(work);
        let thread = thread.map_err(|source| StoreError::Io {
            doing: "starting a thread".into(),
            source,
        })?;
        Ok(Self {
            wake: Some(wake),
            thread: Some(thread),
        })
    }

    fn wake(&self) {
        if let Some(wake) = &self.wake {
            let _ = wake.try_send(());
        }
    }

    fn stop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes the delta into the stream index; false when the database was reopened or closed meanwhile.
fn write_checkpoint(shared: &Shared, is_closing: bool) -> Result<bool, Fault> {
    let Some(generation) = shared.generation() else {
        return Ok(false);
    };
    loop {
        let frozen = shared.streams.write().unwrap_or_else(PoisonError::into_inner).freeze();
        let Some(delta) = frozen else { return Ok(true) };
        if !write_delta(shared, &delta, generation, is_closing)? {
            return Ok(false);
        }
        let written = {
            let mut streams = shared.streams.write().unwrap_or_else(PoisonError::into_inner);
            let is_same = streams
                .frozen
                .as_ref()
                .is_some_and(|frozen| Arc::ptr_eq(frozen, &delta));
            if is_same { streams.frozen.take() } else { None }
        };
        drop(written);
        shared.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        if !is_closing {
            return Ok(true);
        }
    }
}

fn write_delta(shared: &Shared, delta: &Delta, generation: u64, is_closing: bool) -> Result<bool, Fault> {
    let mut checkpoint = Checkpoint::of(delta);
    let mut is_busy = true;
    while is_busy {
        let step = shared.with_generation(generation, |database| checkpoint.step(database, CHECKPOINT_STEP));
        let Some(step) = step else { return Ok(false) };
        is_busy = step?;
        if is_closing {
            continue;
        }
        let waiting = shared
            .streams
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .active
            .records;
        if waiting < shared.options.checkpoint_records {
            thread::sleep(CHECKPOINT_PAUSE);
        } else {
            thread::yield_now();
        }
    }
    let finished = shared.with_generation(generation, |database| checkpoint.finish(database));
    finished.transpose().map(|finished| finished.is_some())
}
