//! Backups: a log in one compact file that appears whole or not at all.
//!
//! ```text
//! file    = "flowback" | form 4 | record_max 8 | origin 16 | size 8 | count 1 | checkpoint * count | record * size | root 32 | check 32
//! checkpoint, record = length 8 | bytes
//! check   = SHA-256 of all before
//! ```
//! Numbers are big-endian.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flowledger_engine_core::event::AnyRecord;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::NOTE_MAX;
use flowledger_event_store::merkle::TreeHash;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::{
    CHECKPOINTS_MAX, CopyReader, CopyReport, Head, Next, READ_BATCH, RECORD_MAX, checkpoints, damaged, io_error,
    unusable,
};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::{LogProgress, LogRecord, hex};
use crate::pause::pause;
use crate::proofs::{self, Kept};

/// How a backup begins.
pub(super) const MAGIC: &[u8; 8] = b"flowback";

/// The number of the form that this release writes.
const FORM: u32 = 1;

/// A copy that is begun: what it says first, and what it says of checkpoints in its report.
pub(super) struct Begun {
    pub(super) head: Head,
    left_out: Option<String>,
}

impl Engine {
    /// Writes the log, as it is now, into one file, while commands go on. `progress` is told how far it is.
    ///
    /// Every record is compared with its leaf hash, and the whole with the kept checkpoints. The file gets its name when it
    /// is whole and on disk; one that is there already is replaced. It holds the log and its checkpoints, and not the log's
    /// key: keep that file separately.
    ///
    /// # Errors
    /// 7008 a store that cannot be read, or a file that cannot be written; 7800, 7803 a log that is not what was written.
    /// Then there is no new file.
    pub async fn backup(
        &self,
        path: impl AsRef<Path>,
        mut progress: impl FnMut(LogProgress),
    ) -> Result<CopyReport, EngineError> {
        let path = path.as_ref();
        let backed_up = async {
            let mut file = NewFile::begin(path)?;
            let copy = self.begin_copy();
            file.head(&copy.head)?;
            let of = copy.head.size;
            let (report, root) = self
                .copy_records(copy, |position, _, bytes, _| {
                    file.sized(bytes)?;
                    progress(LogProgress { position, of });
                    Ok(())
                })
                .await?;
            file.finish(&root)?;
            Ok(report)
        };
        backed_up
            .await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }

    /// What a copy of the log as it is now says first. The checkpoints are read before the log's end, so none is beyond it.
    pub(super) fn begin_copy(&self) -> Begun {
        let (kept, left_out) = match self.proofs().kept() {
            Ok(kept) => (kept, None),
            Err(error) => (Kept::default(), Some(error.detail().to_owned())),
        };
        let layout = self.log().layout();
        let size = self.log().head(0).get();
        let head = Head {
            origin: layout.origin,
            record_max: layout.record_max,
            size,
            reached: size,
            checkpoints: kept.into_checkpoints(),
        };
        Begun { head, left_out }
    }

    /// Hands every record of a copy to `each`: position, leaf hash, bytes, and what they say.
    pub(super) async fn copy_records(
        &self,
        copy: Begun,
        mut each: impl FnMut(u64, &[u8; 32], &[u8], &AnyRecord) -> Result<(), EngineError>,
    ) -> Result<(CopyReport, TreeHash), EngineError> {
        let Begun { head, left_out } = copy;
        let mut walk = super::walk::Walk::past(&head.checkpoints);
        while walk.size() < head.size {
            let most = usize::try_from(head.size - walk.size()).map_or(READ_BATCH, |left| left.min(READ_BATCH));
            let batch: Vec<LogRecord> = self.log_records(walk.size(), most).await?;
            if batch.is_empty() {
                return Err(damaged(format!(
                    "the log ends at position {}; its head is {}",
                    walk.size(),
                    head.size
                )));
            }
            for stored in batch {
                let position = walk.size() + 1;
                let passed = walk.pass(&stored.bytes)?;
                if stored.position != position || stored.leaf != passed.leaf {
                    return Err(damaged(format!(
                        "the record at position {position} does not match the place and the leaf hash written with it"
                    )));
                }
                each(position, &passed.leaf, &stored.bytes, &passed.record)?;
            }
            // Others have their turn on this executor.
            pause().await;
        }
        let mut reports = Vec::with_capacity(head.checkpoints.len());
        for signed in &head.checkpoints {
            let (report, contradiction) = walk.compare(signed);
            if let Some(what) = contradiction {
                return Err(damaged(format!("{what}; {}", proofs::REWRITTEN)));
            }
            reports.push(report);
        }
        let root = walk.root();
        let report = CopyReport {
            origin: hex(&head.origin),
            records: walk.size(),
            root: hex(&root),
            checkpoints: reports,
            left_out,
        };
        Ok((report, root))
    }
}

/// A backup that is being written, under another name; it is removed when it is dropped before it is finished.
struct NewFile<'p> {
    path: &'p Path,
    to: BufWriter<NamedTempFile>,
    hash: Sha256,
}

impl<'p> NewFile<'p> {
    fn begin(path: &'p Path) -> Result<Self, EngineError> {
        let directory = parent_of(path);
        let file = NamedTempFile::with_prefix_in(".flowledger-backup-", directory)
            .map_err(|error| io_error(&format!("{}: creating the backup", directory.display()), error))?;
        Ok(Self {
            path,
            to: BufWriter::with_capacity(1 << 18, file),
            hash: Sha256::new(),
        })
    }

    fn head(&mut self, head: &Head) -> Result<(), EngineError> {
        self.put(MAGIC)?;
        self.put(&FORM.to_be_bytes())?;
        self.put(&(head.record_max as u64).to_be_bytes())?;
        self.put(&head.origin)?;
        self.put(&head.size.to_be_bytes())?;
        self.put(&[u8::try_from(head.checkpoints.len()).unwrap_or(u8::MAX)])?;
        for checkpoint in &head.checkpoints {
            self.sized(checkpoint.to_string().as_bytes())?;
        }
        Ok(())
    }

    fn sized(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        self.put(&(bytes.len() as u64).to_be_bytes())?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), EngineError> {
        self.hash.update(bytes);
        self.to.write_all(bytes).map_err(|error| failed(self.path, error))
    }

    fn finish(mut self, root: &TreeHash) -> Result<(), EngineError> {
        self.put(root)?;
        let check = self.hash.finalize_reset();
        self.put(&check)?;
        let path = self.path;
        let named = self
            .to
            .into_inner()
            .map_err(io::IntoInnerError::into_error)
            .and_then(|file| {
                file.as_file().sync_all()?;
                file.persist(path)?;
                sync_directory(parent_of(path))
            });
        named.map_err(|error| failed(path, error))
    }
}

fn failed(path: &Path, error: io::Error) -> EngineError {
    io_error(&format!("{}: writing the backup", path.display()), error)
}

fn parent_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// A backup that is being read.
pub(super) struct BackupReader {
    from: BufReader<File>,
    path: PathBuf,
    head: Head,
    hash: Sha256,
    position: u64,
}

impl BackupReader {
    /// Reads what comes before the records.
    pub(super) fn begin(path: &Path) -> Result<Self, EngineError> {
        let file =
            File::open(path).map_err(|error| io_error(&format!("{}: opening the backup", path.display()), error))?;
        let mut reader = Self {
            from: BufReader::with_capacity(1 << 18, file),
            path: path.to_owned(),
            head: Head {
                origin: [0; 16],
                record_max: 0,
                size: 0,
                reached: 0,
                checkpoints: Vec::new(),
            },
            hash: Sha256::new(),
            position: 0,
        };
        let mut magic = [0; 8];
        let is_ours = reader.from.read_exact(&mut magic).is_ok() && magic == *MAGIC;
        if !is_ours {
            let what = if magic.starts_with(b"{") {
                "this is no backup; if it is an export, `log import` makes a store of it"
            } else {
                "this is no backup of a log"
            };
            return Err(unusable(format!("{}: {what}", path.display())));
        }
        reader.hash.update(magic);
        let form = u32::from_be_bytes(reader.take()?);
        if form != FORM {
            let detail = format!(
                "{}: the backup has form {form}, this release reads form {FORM}",
                path.display()
            );
            return Err(EngineError::new(ResultCode::EventVersionUnsupported, detail));
        }
        let record_max = u64::from_be_bytes(reader.take()?);
        reader.head.origin = reader.take()?;
        reader.head.size = u64::from_be_bytes(reader.take()?);
        reader.head.reached = reader.head.size;
        let [count] = reader.take()?;
        if record_max > RECORD_MAX || usize::from(count) > CHECKPOINTS_MAX {
            return Err(reader.wrong("what it says of itself is larger than any log has it"));
        }
        reader.head.record_max = usize::try_from(record_max).unwrap_or(usize::MAX);
        let texts: Result<Vec<Vec<u8>>, EngineError> = (0..count).map(|_| reader.sized(NOTE_MAX)).collect();
        reader.head.checkpoints = checkpoints(&texts?)?;
        Ok(reader)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], EngineError> {
        let mut bytes = [0; N];
        let read = self.from.read_exact(&mut bytes);
        read.map_err(|error| self.unread(error))?;
        self.hash.update(bytes);
        Ok(bytes)
    }

    fn sized(&mut self, max: usize) -> Result<Vec<u8>, EngineError> {
        let len = u64::from_be_bytes(self.take()?);
        if len > max as u64 {
            return Err(self.wrong(&format!("something in it has {len} bytes, more than {max}")));
        }
        // What is announced is not believed before it is there.
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(len).read_to_end(&mut bytes);
        let read = read.map_err(|error| self.unread(error))?;
        if read as u64 != len {
            return Err(self.unread(io::ErrorKind::UnexpectedEof.into()));
        }
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn unread(&self, error: io::Error) -> EngineError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.wrong(&format!(
                "it ends after {} of {} records",
                self.position, self.head.size
            ));
        }
        io_error(&format!("{}: reading the backup", self.path.display()), error)
    }

    fn wrong(&self, what: &str) -> EngineError {
        damaged(format!("{}: the backup is damaged: {what}", self.path.display()))
    }
}

impl CopyReader for BackupReader {
    fn head(&self) -> &Head {
        &self.head
    }

    fn next(&mut self) -> Result<Next, EngineError> {
        if self.position < self.head.size {
            let record = self.sized(self.head.record_max)?;
            self.position += 1;
            return Ok(Next::Record(record.into()));
        }
        let root = self.take()?;
        let check: [u8; 32] = self.hash.finalize_reset().into();
        let is_whole = self.take::<32>()? == check;
        let mut one = [0];
        let is_end = matches!(self.from.read(&mut one), Ok(0));
        if !is_whole || !is_end {
            return Err(self.wrong("its bytes do not lead to the hash at its end"));
        }
        Ok(Next::End {
            size: self.position,
            root,
        })
    }
}
