//! The log itself: its records, readable, and whether they are what was written.

use std::collections::BTreeMap;

use flowledger_engine_core::codec;
use flowledger_engine_core::event::AnyRecord;
use flowledger_engine_core::id::FlowInstanceId;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::merkle::TreeHash;
use flowledger_event_store::{LogPoint, Marks, MerkleError, Offset, Revision, StoreError, Stored, StreamId, leaf_hash};
use serde::Serialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::receipt::hex;
use crate::operation::request::{Check, Most};
use crate::proofs::{self, KeptCheckpoints};
use crate::roots::Roots;

/// Records read at a time.
const READ_BATCH: usize = 1_000;

/// One record of the log.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// Its place in the log, 1 for the first.
    pub position: u64,
    /// The RFC 6962 leaf hash of its bytes.
    pub leaf: [u8; 32],
    /// The exact bytes.
    pub bytes: std::sync::Arc<[u8]>,
    /// What they say.
    pub record: AnyRecord,
}

impl LogRecord {
    /// The record with these bytes, as a receipt has them.
    ///
    /// # Errors
    /// 7800 bytes that are no record; 7803 one of a newer release.
    pub fn of_bytes(position: u64, bytes: &[u8]) -> Result<Self, EngineError> {
        Ok(Self {
            position,
            leaf: leaf_hash(bytes),
            bytes: bytes.into(),
            record: codec::decode(bytes)?,
        })
    }

    /// The record as JSON, with the names of the stored form.
    ///
    /// # Errors
    /// A record that JSON cannot hold; none is known.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        codec::to_json(&self.record)
    }
}

/// What a verification of the log found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyReport {
    /// Records that are what they should be.
    pub records: u64,
    /// Streams they belong to.
    pub streams: u64,
    /// The root of the Merkle tree over those records, from their bytes, in hexadecimal; absent with a fault in a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The checkpoints that were kept, the newest first, and whether the log continues them; empty if none was signed yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<CheckpointReport>,
    /// The farthest of what proves from outside of the records that they are all there: the mark beside the log, or a
    /// checkpoint. Absent if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<Proven>,
    /// Records that fit their hashes, and nothing beside the log proves them, or that no more had followed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unproven: Option<Span>,
    /// The first fault, at which verification stopped. One that concerns no single record has the last position that it
    /// concerns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<LogFault>,
}

/// How far a log is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proven {
    /// The number of records.
    pub size: u64,
    /// What proves them.
    pub by: Witness,
    /// The root over them, in hexadecimal.
    pub root: String,
}

/// What proves records from outside of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Witness {
    /// The store's high-water mark: so many records were durable, and the last of them was this one.
    Mark,
    /// A checkpoint with the log's signature: the first records lead to this root.
    Checkpoint,
    /// A checkpoint that witnesses have cosigned.
    CosignedCheckpoint,
}

/// Positions in the log, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The first position.
    pub from: u64,
    /// The last position.
    pub to: u64,
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogProgress {
    /// Records verified.
    pub position: u64,
    /// Records to verify.
    pub of: u64,
}

/// A checkpoint that was kept, compared with the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckpointReport {
    /// The number of records it speaks of.
    pub size: u64,
    /// The root it proves, in hexadecimal.
    pub root: String,
    /// How many cosignatures it has.
    pub cosignatures: usize,
    /// Whether the log still begins with those records.
    pub continued: bool,
}

/// A record that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogFault {
    /// Its place in the log.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

impl Engine {
    /// Records of the log after a position, at most `max`; fewer need not be the end, none is.
    ///
    /// # Errors
    /// 7008, 7800, 7803: a store that cannot be read.
    pub async fn log_records(&self, after: u64, max: usize) -> Result<Vec<LogRecord>, EngineError> {
        let read = async {
            let batch = self.log().read_partition(0, Offset::new(after), max).await?;
            batch.into_iter().map(log_record).collect::<Result<Vec<_>, _>>()
        };
        read.await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }

    /// All records of one instance, oldest first.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7008, 7800, 7803.
    pub async fn instance_records(
        &self,
        flow_instance_id: impl Into<FlowInstanceId>,
    ) -> Result<Vec<LogRecord>, EngineError> {
        let id = flow_instance_id.into();
        let read = async {
            Check::new(&self.executor().limits).required("flowInstanceId", &id.to_string(), Most::Id)?;
            let stream = StreamId::from_bytes(id.id().to_bytes());
            let mut records = Vec::new();
            let mut after = Revision::NONE;
            loop {
                let batch = self.log().read_stream(&stream, after, READ_BATCH).await?;
                let Some(last) = batch.last() else { return Ok(records) };
                after = last.revision;
                for stored in batch {
                    records.push(log_record(stored)?);
                }
            }
        };
        let records: Vec<LogRecord> = read
            .await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))?;
        if matches!(records.first().map(|first| &first.record), Some(AnyRecord::Instance(_))) {
            return Ok(records);
        }
        Err(EngineError::new(
            flowledger_engine_core::result_code::ResultCode::InstanceNotFound,
            format!("no flow instance has the id {id}"),
        )
        .answered_as(self.profile(), CodeContext::Other))
    }

    /// Reads the whole log and checks every record: its leaf hash, that positions and versions have no gaps, that it
    /// can be read and names its own stream and version. `progress` is told how far it has come.
    ///
    /// From the records' bytes it computes the root of the Merkle tree, and compares it with the kept checkpoints: so it
    /// finds records that were changed together with their hashes. Where proofs were asked for before, it compares the
    /// root with that of the tree's tiles, too. It ends with the log as it was when it began.
    ///
    /// The report says how far the log is proven by what is kept beside it. The records between the mark and the end of the
    /// log as it was opened, after a kill or a power cut, are intact if there is no fault; that no more had followed them
    /// nothing proves.
    ///
    /// # Errors
    /// 7008: a store that cannot be read. What is wrong with records, tiles and checkpoints is in the report.
    pub async fn verify_log(&self, mut progress: impl FnMut(LogProgress)) -> Result<VerifyReport, EngineError> {
        let mut report = VerifyReport::default();
        let mut heads: BTreeMap<[u8; 16], u64> = BTreeMap::new();
        let stored = self.proofs().stored();
        let mut walk = Walk::past(&stored, self.log().marks(0));
        let head = self.log().head(0).get();
        let mut max = READ_BATCH;
        while report.records < head {
            let batch = match self.log().read_partition(0, Offset::new(report.records), max).await {
                Ok(batch) => batch,
                // Whatever it is, it is found record by record.
                Err(StoreError::Damaged { .. }) if max > 1 => {
                    max = 1;
                    continue;
                }
                Err(error @ StoreError::Damaged { .. }) => {
                    report.fault = Some(LogFault {
                        position: report.records + 1,
                        what: error.to_string(),
                    });
                    break;
                }
                Err(error) => {
                    return Err(EngineError::from(error).answered_as(self.profile(), CodeContext::Other));
                }
            };
            if batch.is_empty() {
                let what = format!("the log ends here; its head is {head}");
                report.fault = Some(LogFault {
                    position: report.records + 1,
                    what,
                });
                break;
            }
            let fault = batch.iter().find_map(|stored| {
                let position = report.records + 1;
                match fault_of(stored, position, Some(&mut heads)).or_else(|| walk.contradicted(stored)) {
                    None => {
                        report.records = position;
                        walk.pass(&stored.leaf);
                        None
                    }
                    Some(what) => Some(LogFault { position, what }),
                }
            });
            progress(LogProgress {
                position: report.records,
                of: head,
            });
            if fault.is_some() {
                report.fault = fault;
                break;
            }
        }
        report.streams = heads.len() as u64;
        if report.fault.is_none() {
            report.root = Some(hex(&walk.roots.now()));
        }
        self.compare(stored, &walk, &mut report)
            .await
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))?;
        // Now, not before: what has become durable meanwhile proves what was read.
        walk.weigh(self.log().marks(0), &mut report);
        Ok(report)
    }

    /// Compares what was read with the kept checkpoints and with the tree's tiles.
    async fn compare(&self, kept: KeptCheckpoints, walk: &Walk, report: &mut VerifyReport) -> Result<(), EngineError> {
        let read = walk.roots.size();
        let is_whole = report.fault.is_none();
        let fault = |position, what| Some(LogFault { position, what });
        let checkpoints = match kept {
            KeptCheckpoints::None => Vec::new(),
            KeptCheckpoints::Signed(checkpoints) => checkpoints,
            KeptCheckpoints::Unusable(error) => {
                let what = format!("the kept checkpoint cannot be relied on: {}", error.detail());
                report.fault = report.fault.take().or_else(|| fault(read, what));
                Vec::new()
            }
        };
        for signed in checkpoints {
            let checkpoint = signed.checkpoint();
            let root = walk.roots.at(checkpoint.size);
            // Behind a fault nothing was read, so nothing is known.
            if root.is_none() && !is_whole {
                continue;
            }
            let contradiction = proofs::contradiction(checkpoint, read, root);
            report.checkpoints.push(CheckpointReport {
                size: checkpoint.size,
                root: hex(&checkpoint.root),
                cosignatures: proofs::cosignatures(&signed),
                continued: contradiction.is_none(),
            });
            if let Some(what) = contradiction {
                let position = checkpoint.size.min(read);
                report.fault = report.fault.take().or_else(|| fault(position, what));
            }
        }
        if report.fault.is_none() && self.proofs().is_in_use() {
            let what = match self.proofs().root(read).await {
                Ok(root) if root == walk.roots.now() => return Ok(()),
                Ok(_) => {
                    "the tree's tiles lead to another root than the records; `log verify --rebuild-tree`".to_owned()
                }
                Err(MerkleError::Store(error)) if !matches!(error, StoreError::Damaged { .. }) => {
                    return Err(error.into());
                }
                Err(error) => EngineError::from(error).detail().to_owned(),
            };
            report.fault = fault(read, what);
        }
        Ok(())
    }
}

/// The records that were read: the tree over them, and what a mark beside the log says of them.
pub(crate) struct Walk {
    roots: Roots,
    /// Records that the mark beside the log names.
    marked: Vec<LogPoint>,
}

impl Walk {
    /// A walk past what the checkpoints and the mark speak of.
    pub(crate) fn past(kept: &KeptCheckpoints, marks: Option<Marks>) -> Self {
        let mut wanted: Vec<u64> = match kept {
            KeptCheckpoints::Signed(checkpoints) => checkpoints.iter().map(|signed| signed.checkpoint().size).collect(),
            KeptCheckpoints::None | KeptCheckpoints::Unusable(_) => Vec::new(),
        };
        wanted.extend(marks.map(|marks| marks.found.offset.get()));
        Self {
            roots: Roots::at_sizes(wanted),
            marked: marks.map_or_else(Vec::new, |marks| vec![marks.found, marks.durable]),
        }
    }

    /// Why the mark beside the log says otherwise.
    pub(crate) fn contradicted(&self, stored: &Stored) -> Option<String> {
        let marked = self.marked.iter().find(|marked| marked.offset == stored.offset)?;
        (marked.leaf != stored.leaf)
            .then(|| "the mark beside the log names another record here: this one was put in its place".to_owned())
    }

    /// How many records were passed.
    pub(crate) fn size(&self) -> u64 {
        self.roots.size()
    }

    /// The root at a size that a checkpoint or the mark speaks of.
    pub(crate) fn root(&self, size: u64) -> Option<&TreeHash> {
        self.roots.at(size)
    }

    /// Goes on past the next record.
    pub(crate) fn pass(&mut self, leaf: &TreeHash) {
        self.roots.pass(leaf);
    }

    /// Says how far what was read is proven, and which part of it is not.
    fn weigh(&self, marks: Option<Marks>, report: &mut VerifyReport) {
        let read = self.roots.size();
        let checkpoints = report.checkpoints.iter().filter(|checkpoint| checkpoint.continued);
        let signed = checkpoints.clone().map(|checkpoint| checkpoint.size).max().unwrap_or(0);
        let mut proofs: Vec<Proven> = checkpoints
            .map(|checkpoint| Proven {
                size: checkpoint.size,
                by: match checkpoint.cosignatures {
                    0 => Witness::Checkpoint,
                    _ => Witness::CosignedCheckpoint,
                },
                root: checkpoint.root.clone(),
            })
            .collect();
        let mut from = signed + 1;
        let mut to = read;
        if let Some(marks) = marks {
            let size = marks.durable.offset.get().min(read);
            let root = if size == read {
                Some(self.roots.now())
            } else {
                self.roots.at(size).copied()
            };
            proofs.extend(root.filter(|_| size > 0).map(|root| Proven {
                size,
                by: Witness::Mark,
                root: hex(&root),
            }));
            from = from.max(marks.found.offset.get() + 1);
            to = marks.opened.get().min(read);
        }
        report.proven = proofs.into_iter().max_by_key(|proof| (proof.size, proof.by));
        report.unproven = (from <= to).then_some(Span { from, to });
    }
}

fn log_record(stored: Stored) -> Result<LogRecord, EngineError> {
    let record = codec::decode(&stored.record).map_err(|error| EngineError::unreadable(error, stored.offset))?;
    Ok(LogRecord {
        position: stored.offset.get(),
        leaf: stored.leaf,
        bytes: stored.record,
        record,
    })
}

/// What is wrong with the record at a position. With `heads`, the versions of all streams so far, gaps in versions are seen; without,
/// the version is compared with the one in the store.
pub(crate) fn fault_of(stored: &Stored, position: u64, heads: Option<&mut BTreeMap<[u8; 16], u64>>) -> Option<String> {
    if stored.offset.get() != position {
        return Some(format!(
            "the log goes on at position {}; records are missing",
            stored.offset
        ));
    }
    if leaf_hash(&stored.record) != stored.leaf {
        return Some("the bytes do not match the leaf hash written with them".to_owned());
    }
    let record = match codec::decode(&stored.record) {
        Ok(record) => record,
        // Its hash holds: a newer release wrote it. That is told to whoever needs it, and is no damage.
        Err(error) if heads.is_none() && error.code() == ResultCode::EventVersionUnsupported => return None,
        Err(error) => return Some(error.to_string()),
    };
    let envelope = record.envelope();
    if envelope.stream != *stored.stream.as_bytes() {
        return Some("the record stands under another stream than it names".to_owned());
    }
    if envelope.version != stored.revision.get() {
        return Some(format!(
            "the record names version {} of its stream and stands as version {}",
            envelope.version, stored.revision
        ));
    }
    let head = heads?.entry(envelope.stream).or_insert(0);
    if envelope.version != *head + 1 {
        return Some(format!(
            "version {} of stream {} follows version {head}",
            envelope.version, stored.stream
        ));
    }
    *head = envelope.version;
    None
}
