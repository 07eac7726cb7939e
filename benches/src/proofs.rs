//! A workload with and without what makes a log provable, to measure what that costs.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flowledger::store::{Faults, SledOptions};
use flowledger::{BackgroundVerification, Engine};

use crate::load::{Commits, Target, Turns};
use crate::workload::{Work, Workload};

/// A store without proofs: it computes no leaf hashes, keeps no mark beside the log, and nothing is verified. The places of the hashes in its frames
/// stay, empty. It cannot be verified, nor opened again, so nobody can use it for anything else.
struct Bare;

impl Faults for Bare {
    fn before_mark(&self, _offset: u64) -> io::Result<()> {
        Err(io::Error::other("no mark is kept"))
    }

    fn leaf(&self, _record: &[u8]) -> Option<[u8; 32]> {
        Some([0; 32])
    }
}

/// A workload on a store without proofs.
pub fn bare(directory: &Path, mut options: SledOptions, workload: Workload) -> Work {
    options.faults = Some(Arc::new(Bare));
    let engine = Engine::builder()
        .data_dir_with(directory, options)
        .verify_in_background(BackgroundVerification::off());
    Work::on(engine.open().expect("a new store"), workload)
}

/// A workload with proofs in use: the Merkle tree is kept up, and the log is signed again and again.
pub struct Proven {
    work: Arc<Work>,
    stop: Option<Sender<()>>,
    signer: Option<JoinHandle<()>>,
}

/// Time from one checkpoint to the next.
const PACE: Duration = Duration::from_millis(500);

impl Proven {
    /// Opens an engine in a directory and begins to sign.
    pub fn open(directory: &Path, options: SledOptions, workload: Workload) -> Self {
        let work = Arc::new(Work::open(directory, options, workload));
        let engine = work.engine().blocking();
        engine.checkpoint().expect("a checkpoint");
        let (stop, stopped) = channel();
        let signer = thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PACE) {
                engine.checkpoint().expect("a checkpoint");
            }
        });
        Self {
            work,
            stop: Some(stop),
            signer: Some(signer),
        }
    }
}

impl Drop for Proven {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(signer) = self.signer.take() {
            let _ = signer.join();
        }
    }
}

impl Target for Proven {
    fn client(self: Arc<Self>, client: u64, mut turns: Turns) -> Pin<Box<dyn Future<Output = Turns> + Send>> {
        Box::pin(async move {
            for number in turns.by_ref() {
                self.work.command(client, number).await;
            }
            turns
        })
    }

    fn commits(&self) -> Commits {
        self.work.commits()
    }
}
