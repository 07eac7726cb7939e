//! What the disk allows: the queue, the one writer and the group commit of the store, over a plain file.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use flowledger_event_store::SledOptions;
use tokio::sync::{mpsc, oneshot};

/// Appends records to one file, durable when answered; checks nothing and finds nothing again.
pub struct Floor {
    requests: mpsc::Sender<(Arc<[u8]>, oneshot::Sender<u64>)>,
    commits: Arc<Commits>,
}

/// What a store has committed so far.
#[derive(Default)]
pub struct Commits {
    /// Records, each of one command.
    pub records: AtomicU64,
    /// Syncs.
    pub batches: AtomicU64,
    /// Bytes of the records.
    pub bytes: AtomicU64,
}

impl Floor {
    /// Creates the file `log` in a directory; queue and batches are bounded as the store's.
    pub fn create(directory: &Path, options: &SledOptions) -> Self {
        let file = File::options()
            .append(true)
            .create_new(true)
            .open(directory.join("log"))
            .expect("a new file");
        let (requests, queue) = mpsc::channel(options.queue);
        let commits = Arc::new(Commits::default());
        let counted = Arc::clone(&commits);
        let (records_max, bytes_max, delay) = (options.batch_records, options.batch_bytes, options.flush_delay);
        thread::spawn(move || write(file, queue, &counted, records_max, bytes_max, delay));
        Self { requests, commits }
    }

    /// Appends a record; resolves when it is durable.
    pub async fn append(&self, record: Arc<[u8]>) -> u64 {
        let (answer, answered) = oneshot::channel();
        self.requests.send((record, answer)).await.expect("the writer runs");
        answered.await.expect("the writer answers")
    }

    /// What has been committed so far.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }
}

fn write(
    mut file: File,
    mut queue: mpsc::Receiver<(Arc<[u8]>, oneshot::Sender<u64>)>,
    commits: &Commits,
    records_max: usize,
    bytes_max: usize,
    delay: Duration,
) {
    let mut buffer = Vec::new();
    let mut answers = Vec::new();
    let mut position = 0;
    while let Some(first) = queue.blocking_recv() {
        let mut request = Some(first);
        while let Some((record, answer)) = request.take() {
            buffer.extend((record.len() as u64).to_le_bytes());
            buffer.extend(&*record);
            answers.push(answer);
            if answers.len() < records_max && buffer.len() < bytes_max {
                request = queue.try_recv().ok();
            }
        }
        file.write_all(&buffer).expect("the disk takes it");
        file.sync_data().expect("the disk confirms it");
        if !delay.is_zero() {
            thread::sleep(delay);
        }
        commits
            .bytes
            .fetch_add((buffer.len() - answers.len() * 8) as u64, Ordering::Relaxed);
        buffer.clear();
        commits.records.fetch_add(answers.len() as u64, Ordering::Relaxed);
        commits.batches.fetch_add(1, Ordering::Relaxed);
        for answer in answers.drain(..) {
            position += 1;
            let _ = answer.send(position);
        }
    }
}

/// The median time in microseconds of appending 4 KiB to a file in a directory and syncing it.
pub fn sync_us(directory: &Path) -> f64 {
    let path = directory.join(format!("flowledger-sync-{}", std::process::id()));
    let mut file = File::create(&path).expect("a new file");
    let mut took: Vec<f64> = (0..200)
        .map(|_| {
            let begun = std::time::Instant::now();
            file.write_all(&[0; 4096]).expect("the disk takes it");
            file.sync_data().expect("the disk confirms it");
            begun.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    let _ = std::fs::remove_file(path);
    took.sort_by(f64::total_cmp);
    took[took.len() / 2]
}
