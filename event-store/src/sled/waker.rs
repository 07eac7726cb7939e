//! Wakes whoever waits inside sled for a write that has failed; knows nothing of what is written.
//!
//! sled 0.34 writes its buffers in threads of its own. Where such a write fails it keeps the error for all to see, but on one
//! of its ways there it forgets to wake those who wait for the write, and `flush` then never returns. Any further `flush`
//! finds the error, returns at once, and wakes the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ::sled::Db;

use crate::error::StoreError;

/// How often is looked for a failed write.
const TICK: Duration = Duration::from_millis(250);

/// A thread beside an open database; it ends when this is dropped.
pub(super) struct Waker {
    ending: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Waker {
    pub(super) fn start(db: &Db) -> Result<Self, StoreError> {
        let (ending, ended) = channel();
        let db = db.clone();
        let work = move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
                // Only with an error there: without one, a flush would wait like the others.
                if db.context.global_error().is_err() {
                    let _ = catch_unwind(AssertUnwindSafe(|| db.flush()));
                }
            }
        };
        let thread = thread::Builder::new().name("flowledger-wake".into()).spawn(work);
        let thread = thread.map_err(|source| StoreError::Io {
            doing: "starting a thread".into(),
            source,
        })?;
        Ok(Self {
            ending: Some(ending),
            thread: Some(thread),
        })
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.ending = None;
        if let Some(thread) = self.thread.take() {
            // Its handle of the database must be gone before the last one is dropped.
            let _ = thread.join();
        }
    }
}
