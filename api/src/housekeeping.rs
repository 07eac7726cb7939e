//! The threads behind an engine: one that looks after the catalogue and keeps the Merkle tree up, one that verifies the log, and one for
//! each listener.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flowledger_engine_core::codec;
use flowledger_event_store::Offset;
use flowledger_projections::Due;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::EngineError;
use crate::executor::Executor;
use crate::host::Listener;
use crate::verification::keep_verifying;

/// How long a listener waits for news before it looks whether it should stop.
const LISTEN_FOR: Duration = Duration::from_millis(200);
/// How long a listener that failed is left alone.
const LISTENER_PAUSE: Duration = Duration::from_millis(500);
/// Records a listener is told before its position is kept.
const LISTEN_BATCH: usize = 256;

/// The threads of one engine.
pub(crate) struct Housekeeping {
    stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    bell: Mutex<Option<SyncSender<()>>>,
    /// Ends the verification when it is dropped.
    verifying: Mutex<Option<SyncSender<()>>>,
}

/// Rings for the catalogue to be looked after; `ring` never waits.
pub(crate) fn bell() -> (impl Fn() + Send + Sync + 'static, SyncSender<()>, Receiver<()>) {
    let (sender, receiver) = sync_channel(1);
    let ringer = sender.clone();
    let ring = move || match ringer.try_send(()) {
        Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
    };
    (ring, sender, receiver)
}

impl Housekeeping {
    /// Starts the threads.
    pub(crate) fn start(
        executor: &Arc<Executor>,
        listeners: Vec<Arc<dyn Listener>>,
        sender: SyncSender<()>,
        receiver: Receiver<()>,
    ) -> Result<Self, EngineError> {
        let stopping = Arc::new(AtomicBool::new(false));
        let mut threads = vec![spawn("flowledger-catalogue", {
            let (executor, stopping) = (Arc::downgrade(executor), stopping.clone());
            move || keep_catalogue(&executor, &stopping, &receiver)
        })?];
        let (verifying, stopped) = sync_channel(1);
        if executor.verification.is_on() {
            let executor = Arc::downgrade(executor);
            threads.push(spawn("flowledger-verify", move || keep_verifying(&executor, &stopped))?);
        }
        for listener in listeners {
            let (executor, stopping) = (Arc::downgrade(executor), stopping.clone());
            threads.push(spawn("flowledger-listener", move || {
                listen(&executor, &stopping, &*listener);
            })?);
        }
        Ok(Self {
            stopping,
            threads: Mutex::new(threads),
            bell: Mutex::new(Some(sender)),
            verifying: Mutex::new(Some(verifying)),
        })
    }

    /// No threads, for an engine that has nothing to keep.
    pub(crate) fn none() -> Self {
        Self {
            stopping: Arc::default(),
            threads: Mutex::default(),
            bell: Mutex::default(),
            verifying: Mutex::default(),
        }
    }

    /// Ends the threads and waits for them; a second call does nothing.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(self.verifying.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(bell) = self.bell.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = bell.try_send(());
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last handle may be dropped by a listener itself; it cannot wait for its own end.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, EngineError> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map_err(|error| {
            EngineError::new(
                flowledger_engine_core::result_code::ResultCode::SystemError,
                format!("the thread {name} cannot be started: {error}"),
            )
        })
}

fn keep_catalogue(executor: &Weak<Executor>, stopping: &AtomicBool, bell: &Receiver<()>) {
    // The ring that ends it may have been heard while the tree was kept up.
    while !stopping.load(Ordering::Acquire) && bell.recv().is_ok() && !stopping.load(Ordering::Acquire) {
        let Some(executor) = executor.upgrade() else { return };
        if look_after_catalogue(&executor) {
            keep_tree(&executor, stopping, bell);
        }
    }
}

/// Takes in what was noted, and does what is due then; true when something was. Nothing is lost when it fails: the next ring tries
/// again.
fn look_after_catalogue(executor: &Executor) -> bool {
    let due = executor.catalogue.take_in_noted().unwrap_or(Due::CatchUp);
    if due == Due::CatchUp {
        let _ = pollster::block_on(executor.catalogue.catch_up(&*executor.store.events));
    }
    if due != Due::Nothing {
        let _ = executor.catalogue.checkpoint_beside_commits();
    }
    due != Due::Nothing
}

/// Brings the Merkle tree up, if anybody has asked for proofs, and leaves off when the catalogue needs looking after.
fn keep_tree(executor: &Executor, stopping: &AtomicBool, bell: &Receiver<()>) {
    while !stopping.load(Ordering::Acquire) && pollster::block_on(executor.proofs.keep_up()) {
        match bell.try_recv() {
            Ok(()) => {
                look_after_catalogue(executor);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

fn listen(executor: &Weak<Executor>, stopping: &AtomicBool, listener: &dyn Listener) {
    let index_name = format!("listener:{}", listener.name());
    let mut position = None;
    loop {
        let Some(executor) = executor.upgrade() else { return };
        let stops = stopping.load(Ordering::Acquire);
        let told = tell(&executor, &index_name, &mut position, listener);
        // At the end it is told what is there already, then it stops.
        if stops && !matches!(told, Ok(1..)) {
            return;
        }
        match told {
            Ok(0) => {
                let after = position.unwrap_or(Offset::NONE);
                let _ = pollster::block_on(executor.store.events.changed(0, after, LISTEN_FOR));
            }
            Ok(_) => {}
            Err(()) => thread::sleep(LISTENER_PAUSE),
        }
    }
}

/// Tells the next records; how many.
fn tell(
    executor: &Executor,
    index_name: &str,
    position: &mut Option<Offset>,
    listener: &dyn Listener,
) -> Result<usize, ()> {
    let index = &executor.store.index;
    let mut after = match *position {
        Some(after) => after,
        None => index.position(index_name).map_err(|_| ())?,
    };
    let batch = pollster::block_on(executor.store.events.read_partition(0, after, LISTEN_BATCH)).map_err(|_| ())?;
    let mut told = 0;
    let mut outcome = Ok(());
    for stored in batch {
        let Ok(record) = codec::decode(&stored.record) else {
            outcome = Err(());
            break;
        };
        let heard = catch_unwind(AssertUnwindSafe(|| listener.on_record(stored.offset, &record)));
        if !matches!(heard, Ok(Ok(()))) {
            outcome = Err(());
            break;
        }
        after = stored.offset;
        told += 1;
    }
    *position = Some(after);
    if told > 0 {
        index.apply(Vec::new(), index_name, after).map_err(|_| ())?;
    }
    outcome.map(|()| told)
}
