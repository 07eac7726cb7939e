//! What the engine can prove of its log: the Merkle tree, the log's key, the newest checkpoints. Asleep until it is asked.
//!
//! Nothing here is part of a commit. The tree is caught up when a proof is asked for and, once one was, by the housekeeping
//! thread. Every checkpoint is in its file before anybody gets it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowledger_engine_core::result_code::ResultCode;
use flowledger_event_store::{
    Checkpoint, GrowthProof, KeyError, KeyKind, MerkleError, MerkleLog, Offset, PublicKey, Receipt, SignatureError,
    SignedCheckpoint, SigningKey, Store, default_log_name,
};

use crate::error::EngineError;

/// The partition of the embedded store.
pub(crate) const PARTITION: u16 = 0;
/// What the name of the second checkpoint's file has behind that of the first.
const WITNESSED: &str = ".witnessed";
/// What to do when the log is not the one that was signed.
pub(crate) const REWRITTEN: &str =
    "stop writing, keep a copy of the data directory and of the checkpoint file, and compare with a backup";

/// The files of a log's proofs. Without a file the key is made anew by each engine, and checkpoints are kept in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) key: Option<PathBuf>,
    pub(crate) checkpoint: Option<PathBuf>,
    /// The records are a copy: the key was made elsewhere, and another one would make another log of it.
    pub(crate) is_copy: bool,
}

/// The proofs of one engine's log.
pub(crate) struct Proofs {
    store: Store,
    tree: MerkleLog,
    files: Files,
    key: Mutex<Option<Arc<SigningKey>>>,
    /// `None` until the files were read and found to fit the log. Held for as long as a file is written, never longer.
    kept: Mutex<Option<Kept>>,
    /// Whether the housekeeping thread keeps the tree up: proofs were asked for, now or before.
    is_in_use: AtomicBool,
}

/// The checkpoints that are worth keeping.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    /// The newest one.
    newest: Option<SignedCheckpoint>,
    /// The newest one with cosignatures, if that is not the newest of all.
    witnessed: Option<SignedCheckpoint>,
}

impl Kept {
    /// Those in the file with this name and in the one beside it.
    pub(crate) fn read(path: &Path) -> Result<Self, EngineError> {
        Ok(Self {
            newest: SignedCheckpoint::load(path)?,
            witnessed: SignedCheckpoint::load(with_suffix(path, WITNESSED))?,
        })
    }

    /// Those of a list, in order of their sizes, that are worth keeping.
    pub(crate) fn of(mut known: Vec<SignedCheckpoint>) -> Self {
        let newest = known.pop();
        let witnessed = match &newest {
            Some(newest) if cosignatures(newest) == 0 => known.into_iter().rfind(|earlier| cosignatures(earlier) > 0),
            _ => None,
        };
        Self { newest, witnessed }
    }

    /// Writes them into the file with this name and into the one beside it.
    pub(crate) fn save(&self, path: &Path) -> Result<(), EngineError> {
        if let Some(newest) = &self.newest {
            newest.save(path)?;
        }
        if let Some(witnessed) = &self.witnessed {
            witnessed.save(with_suffix(path, WITNESSED))?;
        }
        Ok(())
    }

    /// All of them, the newest last.
    pub(crate) fn into_checkpoints(self) -> Vec<SignedCheckpoint> {
        [self.witnessed, self.newest].into_iter().flatten().collect()
    }

    /// The checkpoint to prove a record with: of those that speak of it the one with most cosignatures, then the newest.
    fn best(&self, position: u64) -> Option<&SignedCheckpoint> {
        let both = [&self.newest, &self.witnessed].into_iter().flatten();
        both.filter(|checkpoint| size_of(checkpoint) >= position)
            .max_by_key(|checkpoint| (cosignatures(checkpoint), size_of(checkpoint)))
    }
}

/// The checkpoints in the files, for whoever reads the log.
pub(crate) enum KeptCheckpoints {
    /// There are none.
    None,
    /// They carry the log's signature.
    Signed(Vec<SignedCheckpoint>),
    /// They cannot be relied on.
    Unusable(EngineError),
}

impl Proofs {
    /// The proofs of a store. Touches nothing but the directory entry of the checkpoint.
    pub(crate) fn new(store: Store, files: Files) -> Self {
        let was_used = files.checkpoint.as_deref().is_some_and(Path::exists);
        Self {
            tree: MerkleLog::new(store.clone(), PARTITION),
            store,
            files,
            key: Mutex::default(),
            kept: Mutex::default(),
            is_in_use: AtomicBool::new(was_used),
        }
    }

    /// Whether anybody has asked for a proof, now or before the engine was opened.
    pub(crate) fn is_in_use(&self) -> bool {
        self.is_in_use.load(Ordering::Relaxed)
    }

    /// Brings the tree some records nearer to the end of the log; whether there may be more. An error is told to whoever
    /// asks for a proof.
    pub(crate) async fn keep_up(&self) -> bool {
        self.is_in_use() && matches!(self.tree.catch_up_some().await, Ok(true))
    }

    /// The public key; made on first use.
    pub(crate) fn public_key(&self) -> Result<PublicKey, EngineError> {
        Ok(self.key()?.public().clone())
    }

    /// The checkpoint of the log as it is now.
    pub(crate) async fn checkpoint(&self) -> Result<SignedCheckpoint, EngineError> {
        let key = self.ready().await?;
        self.sign(&key, None).await
    }

    /// The receipt of a record.
    pub(crate) async fn receipt(&self, position: u64) -> Result<Receipt, EngineError> {
        let head = self.store.events.head(PARTITION).get();
        if position == 0 || position > head {
            let detail = format!("there is no position {position}; the log has {head} records, numbered from 1");
            return Err(EngineError::new(ResultCode::InvalidParam, detail));
        }
        let key = self.ready().await?;
        let found = self.lock().as_ref().and_then(|kept| kept.best(position).cloned());
        let checkpoint = match found {
            Some(checkpoint) => checkpoint,
            None => self.sign(&key, Some(position)).await?,
        };
        Ok(self.tree.receipt(Offset::new(position), &checkpoint).await?)
    }

    /// The proof that the log has only grown since it had `from` records.
    pub(crate) async fn growth(&self, from: u64) -> Result<GrowthProof, EngineError> {
        let checkpoint = self.checkpoint().await?;
        let size = size_of(&checkpoint);
        if from > size {
            let detail =
                format!("the log has {size} records and not yet {from}; who has seen {from} has seen another log");
            return Err(EngineError::new(ResultCode::InvalidParam, detail));
        }
        Ok(self.tree.growth(from, &checkpoint).await?)
    }

    /// Keeps what witnesses answered: lines over the newest checkpoint, or a whole checkpoint with its signatures. How
    /// many cosignatures are new, and the checkpoint they stand under.
    pub(crate) async fn add_cosignatures(
        &self,
        text: &str,
        witnesses: &[PublicKey],
    ) -> Result<(usize, SignedCheckpoint), EngineError> {
        let refused = |error: SignatureError| EngineError::new(ResultCode::InvalidParam, error.to_string());
        let key = self.ready().await?;
        let given = if text.starts_with('\u{2014}') {
            None
        } else {
            let given = SignedCheckpoint::parse(text.as_bytes()).map_err(|error| {
                let detail = format!("{error}; give a witness's lines, or a whole checkpoint with them");
                EngineError::new(ResultCode::InvalidParam, detail)
            })?;
            given.verify(key.public()).map_err(refused)?;
            self.check_continued(given.checkpoint()).await?;
            Some(given)
        };
        let mut guard = self.lock();
        let kept = guard.get_or_insert_default();
        let of_size = |kept: &Option<SignedCheckpoint>, size| kept.clone().filter(|kept| size_of(kept) == size);
        let (mut checkpoint, lines, is_newest) = match given {
            None => {
                let newest = kept.newest.clone().ok_or_else(|| {
                    EngineError::new(
                        ResultCode::InvalidParam,
                        "no checkpoint has been signed yet; ask for one first",
                    )
                })?;
                (newest, text, true)
            }
            Some(given) => {
                let size = size_of(&given);
                let lines = text.rsplit_once("\n\n").map_or(text, |(_, lines)| lines);
                let newest = of_size(&kept.newest, size);
                let is_newest = newest.is_some();
                if let Some(later) = kept.witnessed.as_ref().map(size_of).filter(|later| *later > size) {
                    let detail =
                        format!("the checkpoint of {size} records is not kept: one of {later} is cosigned already");
                    return Err(EngineError::new(ResultCode::InvalidParam, detail));
                }
                // Signed again, it has no lines of keys that nobody has named.
                let plain = || SignedCheckpoint::sign(given.checkpoint().clone(), &key).map_err(refused);
                let base = newest.or_else(|| of_size(&kept.witnessed, size));
                (base.map_or_else(plain, Ok)?, lines, is_newest)
            }
        };
        let added = checkpoint
            .add_cosignatures(lines.as_bytes(), witnesses)
            .map_err(|error| match error {
                SignatureError::Wrong { .. } if is_newest => {
                    let size = size_of(&checkpoint);
                    let detail = format!(
                        "{error}; the newest checkpoint is that of {size} records: for an earlier one give the whole \
                         checkpoint with its signatures"
                    );
                    EngineError::new(ResultCode::InvalidParam, detail)
                }
                error => refused(error),
            })?;
        if added > 0 {
            if is_newest {
                self.save(&checkpoint, "")?;
                kept.newest = Some(checkpoint.clone());
            } else {
                self.save(&checkpoint, WITNESSED)?;
                kept.witnessed = Some(checkpoint.clone());
            }
        }
        Ok((added, checkpoint))
    }

    /// Builds the tree again from the log and compares it with the kept checkpoints. Makes no key.
    pub(crate) async fn rebuild(&self) -> Result<u64, EngineError> {
        self.is_in_use.store(true, Ordering::Relaxed);
        let size = self.tree.rebuild().await?;
        match self.stored() {
            KeptCheckpoints::None => {}
            KeptCheckpoints::Unusable(error) => return Err(error),
            KeptCheckpoints::Signed(checkpoints) => {
                for checkpoint in &checkpoints {
                    self.check_continued(checkpoint.checkpoint()).await?;
                }
            }
        }
        Ok(size)
    }

    /// The kept checkpoints, for whoever has read the log. Makes no key.
    pub(crate) fn stored(&self) -> KeptCheckpoints {
        let kept = match self.lock().clone() {
            Some(kept) => kept,
            None => match self.read() {
                Ok(kept) => kept,
                Err(error) => return KeptCheckpoints::Unusable(error),
            },
        };
        let checkpoints: Vec<_> = [kept.newest, kept.witnessed].into_iter().flatten().collect();
        if checkpoints.is_empty() {
            return KeptCheckpoints::None;
        }
        // There are checkpoints, so a key that is not there is an error and is not made.
        let key = match self.key() {
            Ok(key) => key,
            Err(error) => return KeptCheckpoints::Unusable(error),
        };
        match checkpoints.iter().find_map(|kept| kept.verify(key.public()).err()) {
            None => KeptCheckpoints::Signed(checkpoints),
            Some(error) => KeptCheckpoints::Unusable(self.not_ours(&error)),
        }
    }

    /// The root of the tree at a size the log has had.
    pub(crate) async fn root(&self, size: u64) -> Result<[u8; 32], MerkleError> {
        self.tree.catch_up().await?;
        self.tree.root(size).await
    }

    fn lock(&self) -> MutexGuard<'_, Option<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key, made on first use: unless there is a checkpoint, for then it was made before, and is gone.
    fn key(&self) -> Result<Arc<SigningKey>, EngineError> {
        let mut held = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = &*held {
            return Ok(Arc::clone(key));
        }
        let name = default_log_name(&self.store.events.layout().origin, PARTITION);
        if self.files.is_copy && !self.files.key.as_deref().is_some_and(Path::exists) {
            let detail =
                format!("this is a copy of {name}, without its key; name the file of the key, or ask the store itself");
            return Err(EngineError::new(ResultCode::ConfigInvalid, detail));
        }
        let key = match &self.files.key {
            Some(path) => {
                self.check_lost(path)?;
                SigningKey::load_or_create(path, &name)?
            }
            None => SigningKey::generate(&name, KeyKind::Note)?,
        };
        let key = Arc::new(key);
        *held = Some(Arc::clone(&key));
        Ok(key)
    }

    fn check_lost(&self, key: &Path) -> Result<(), EngineError> {
        let checkpoint = ["", WITNESSED]
            .into_iter()
            .filter_map(|suffix| self.file(suffix))
            .find(|path| path.exists());
        let Some(checkpoint) = checkpoint.filter(|_| !key.try_exists().unwrap_or(true)) else {
            return Ok(());
        };
        let detail = format!(
            "{}: the log's key is gone, and {} was signed with it; put your copy of it back. A new key would make \
             another log of this one",
            key.display(),
            checkpoint.display()
        );
        Err(EngineError::new(ResultCode::ConfigInvalid, detail))
    }

    /// The key, after the checkpoints that were kept have been found to be continued by the log.
    async fn ready(&self) -> Result<Arc<SigningKey>, EngineError> {
        self.is_in_use.store(true, Ordering::Relaxed);
        let key = self.key()?;
        if self.lock().is_some() {
            return Ok(key);
        }
        let kept = self.read()?;
        self.tree.catch_up().await?;
        for checkpoint in [&kept.newest, &kept.witnessed].into_iter().flatten() {
            checkpoint.verify(key.public()).map_err(|error| self.not_ours(&error))?;
            self.check_continued(checkpoint.checkpoint()).await?;
        }
        self.lock().get_or_insert(kept);
        Ok(key)
    }

    /// The kept checkpoints as they are, whoever signed them.
    pub(crate) fn kept(&self) -> Result<Kept, EngineError> {
        let held = self.lock().clone();
        held.map_or_else(|| self.read(), Ok)
    }

    fn read(&self) -> Result<Kept, EngineError> {
        self.files
            .checkpoint
            .as_deref()
            .map_or_else(|| Ok(Kept::default()), Kept::read)
    }

    /// Refuses a log that a checkpoint of it contradicts.
    async fn check_continued(&self, signed: &Checkpoint) -> Result<(), EngineError> {
        let has = self.tree.catch_up().await?;
        let root = if signed.size <= has {
            Some(self.tree.root(signed.size).await?)
        } else {
            None
        };
        match contradiction(signed, has, root.as_ref()) {
            None => Ok(()),
            Some(what) => Err(EngineError::new(ResultCode::LogCorrupt, format!("{what}; {REWRITTEN}"))),
        }
    }

    /// Signs the log as it is now and keeps the checkpoint; or gives back the kept one, if it says enough by now.
    async fn sign(&self, key: &SigningKey, enough: Option<u64>) -> Result<SignedCheckpoint, EngineError> {
        let last = self.lock().as_ref().and_then(|kept| kept.newest.clone());
        let signed = self.tree.checkpoint(key, last.as_ref()).await?;
        let mut guard = self.lock();
        let kept = guard.get_or_insert_default();
        // Others may have signed meanwhile; one file is written for all of them.
        let wanted = enough.unwrap_or(size_of(&signed));
        if let Some(newest) = kept.newest.as_ref().filter(|newest| size_of(newest) >= wanted) {
            return Ok(newest.clone());
        }
        if let Some(replaced) = kept.newest.as_ref().filter(|newest| cosignatures(newest) > 0) {
            self.save(replaced, WITNESSED)?;
            kept.witnessed = Some(replaced.clone());
        }
        self.save(&signed, "")?;
        kept.newest = Some(signed.clone());
        Ok(signed)
    }

    fn save(&self, checkpoint: &SignedCheckpoint, suffix: &str) -> Result<(), EngineError> {
        if let Some(path) = self.file(suffix) {
            checkpoint.save(path)?;
        }
        Ok(())
    }

    fn file(&self, suffix: &str) -> Option<PathBuf> {
        Some(with_suffix(self.files.checkpoint.as_deref()?, suffix))
    }

    fn not_ours(&self, error: &SignatureError) -> EngineError {
        let place = self
            .files
            .checkpoint
            .as_deref()
            .map_or_else(String::new, |path| format!("{}: ", path.display()));
        let detail = format!(
            "{place}{error}; bring back the key and the checkpoint that belong to this log, and sign nothing before"
        );
        EngineError::new(ResultCode::ConfigInvalid, detail)
    }
}

/// Why a log with so many records, and this root over the first of them, does not continue a checkpoint.
pub(crate) fn contradiction(signed: &Checkpoint, has: u64, root: Option<&[u8; 32]>) -> Option<String> {
    let size = signed.size;
    if size > has {
        return Some(format!(
            "a checkpoint proves {size} records, and the log has {has}: its end is missing, or it is an older copy"
        ));
    }
    (root != Some(&signed.root)).then(|| {
        format!(
            "a checkpoint proves the first {size} records, and they lead to another root now: what was recorded up to \
             position {size} is not what was signed"
        )
    })
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn size_of(checkpoint: &SignedCheckpoint) -> u64 {
    checkpoint.checkpoint().size
}

/// Signatures beside the log's own.
pub(crate) fn cosignatures(checkpoint: &SignedCheckpoint) -> usize {
    checkpoint.signatures().len().saturating_sub(1)
}

impl From<MerkleError> for EngineError {
    fn from(error: MerkleError) -> Self {
        let code = match error {
            MerkleError::Store(error) => return error.into(),
            MerkleError::Beyond { .. } | MerkleError::Shrunk { .. } => ResultCode::InvalidParam,
            MerkleError::Tiles(_) | MerkleError::Rewritten(_) | MerkleError::Record(_) => ResultCode::LogCorrupt,
            MerkleError::Signature(_) => ResultCode::ConfigInvalid,
        };
        let detail = match &error {
            MerkleError::Rewritten(_) => format!("{error}; {REWRITTEN}"),
            MerkleError::Tiles(_) => format!("{error} (`log verify --rebuild-tree`)"),
            _ => error.to_string(),
        };
        Self::new(code, detail).with_source(error)
    }
}

impl From<KeyError> for EngineError {
    fn from(error: KeyError) -> Self {
        let code = match &error {
            KeyError::Name(_) | KeyError::Random(_) => ResultCode::SystemError,
            KeyError::Io { .. } => ResultCode::StoreUnavailable,
            KeyError::Exposed { .. } | KeyError::Malformed { .. } | KeyError::OtherName { .. } => {
                ResultCode::ConfigInvalid
            }
        };
        let detail = match &error {
            KeyError::Io { source, .. } => format!("{error}: {source}"),
            KeyError::Malformed { source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        };
        Self::new(code, detail).with_source(error)
    }
}
