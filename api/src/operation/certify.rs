//! The state root: one hash for everything that the log's records fold to, to compare releases by.

use flowledger_engine_core::codec;
use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::event::AnyRecord;
use flowledger_engine_core::instance::FlowInstance;
use flowledger_engine_core::module::FlowModule;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_engine_core::state_hash;
use flowledger_event_store::merkle::Edge;
use flowledger_event_store::{Offset, Revision, Stored, StreamId, leaf_hash};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::receipt::hex;

/// Records read at a time.
const READ_BATCH: usize = 1_000;

/// What this build makes of the first records of a log.
///
/// `size` and `root` say which records; `stateRoot` says what they fold to. Two releases that read the same records alike give
/// the same certificate. It is no proof for others: nothing is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateCertificate {
    /// The form of what is hashed; state roots of different forms cannot be compared.
    pub form: u32,
    /// How many records were folded.
    pub size: u64,
    /// The root of the Merkle tree over these records, in hexadecimal.
    pub root: String,
    /// How many streams the records belong to.
    pub streams: u64,
    /// The root over the states of all streams, in hexadecimal.
    pub state_root: String,
}

impl StateCertificate {
    /// What keeps another certificate from being equal to this one, in words; `None` if it is.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let told = |what: &str, here: &dyn std::fmt::Display, there: &dyn std::fmt::Display| {
            Some(format!("{what} {here} here, {there} there"))
        };
        if self.form != other.form {
            return told("states are written in form", &self.form, &other.form);
        }
        if self.size != other.size {
            return told("the number of records is", &self.size, &other.size);
        }
        if self.root != other.root {
            return told("the records are others: their root is", &self.root, &other.root);
        }
        if self.streams != other.streams {
            return told("the number of streams is", &self.streams, &other.streams);
        }
        if self.state_root != other.state_root {
            return told(
                "the same records are read differently: the state root is",
                &self.state_root,
                &other.state_root,
            );
        }
        None
    }
}

/// What one stream folds to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamState {
    /// The position of the stream's first record.
    pub position: u64,
    /// The stream, in hexadecimal.
    pub stream: String,
    /// How many of its records were folded.
    pub version: u64,
    /// The hash of what they fold to, in hexadecimal.
    pub state: String,
}

/// A stream's fold, of either kind.
enum State {
    Module(Box<FlowModule>),
    Instance(Box<FlowInstance>),
}

impl State {
    fn of(record: &AnyRecord) -> Self {
        match record {
            AnyRecord::Module(_) => Self::Module(Box::default()),
            AnyRecord::Instance(_) => Self::Instance(Box::default()),
        }
    }

    fn version(&self) -> u64 {
        match self {
            Self::Module(module) => module.version(),
            Self::Instance(instance) => instance.version(),
        }
    }

    /// Folds a record in; false if it is of the other kind.
    fn apply(&mut self, record: &AnyRecord) -> bool {
        match (self, record) {
            (Self::Module(module), AnyRecord::Module(record)) => module.apply_record(record),
            (Self::Instance(instance), AnyRecord::Instance(record)) => instance.apply_record(record),
            (Self::Module(_), AnyRecord::Instance(_)) | (Self::Instance(_), AnyRecord::Module(_)) => return false,
        }
        true
    }

    fn hash(&self) -> [u8; 32] {
        match self {
            Self::Module(module) => module.state_hash(),
            Self::Instance(instance) => instance.state_hash(),
        }
    }
}

impl Engine {
    /// Folds every stream of the log's first `size` records (all, when absent) and hashes what they come to. `each` is told
    /// every stream's hash, in the order of their first records; the first member is also how far the log was read.
    ///
    /// The leaf of a stream is its sixteen bytes, its version as eight bytes and the hash of its state; the state root is the
    /// root of the RFC 6962 tree over these leaves. Nothing is taken from memory or from an index but where a stream's
    /// records are.
    ///
    /// # Errors
    /// 2001 the log has fewer records; 7008, 7800, 7803 a log that cannot be read.
    pub async fn certify(
        &self,
        size: Option<u64>,
        mut each: impl FnMut(StreamState),
    ) -> Result<StateCertificate, EngineError> {
        let certified = async {
            let head = self.log().head(0).get();
            let size = size.unwrap_or(head);
            if size > head {
                let detail = format!("size is {size}; the log has {head} records");
                return Err(EngineError::new(ResultCode::InvalidParam, detail));
            }
            let (mut records, mut states) = (Edge::default(), Edge::default());
            while records.size() < size {
                let most = usize::try_from(size - records.size()).map_or(READ_BATCH, |left| left.min(READ_BATCH));
                let batch = self.log().read_partition(0, Offset::new(records.size()), most).await?;
                if batch.is_empty() {
                    let detail = format!("the log ends at position {}; its head is {head}", records.size());
                    return Err(EngineError::new(ResultCode::LogCorrupt, detail));
                }
                for stored in batch {
                    records.append(&leaf_hash(&stored.record));
                    if stored.revision.get() == 1 {
                        let state = self.stream_state(stored.stream, Offset::new(size)).await?;
                        let hash = state.hash();
                        states.append(&leaf_of(stored.stream, state.version(), &hash));
                        each(StreamState {
                            position: stored.offset.get(),
                            stream: stored.stream.to_string(),
                            version: state.version(),
                            state: hex(&hash),
                        });
                    }
                }
            }
            Ok(StateCertificate {
                form: state_hash::FORM,
                size,
                root: hex(&records.root()),
                streams: states.size(),
                state_root: hex(&states.root()),
            })
        };
        certified
            .await
            .map_err(|error: EngineError| error.answered_as(self.profile(), CodeContext::Other))
    }

    /// The fold of a stream's records up to a place in the log.
    async fn stream_state(&self, stream: StreamId, until: Offset) -> Result<State, EngineError> {
        let mut state: Option<State> = None;
        let mut after = Revision::NONE;
        loop {
            let batch = self.log().read_stream(&stream, after, READ_BATCH).await?;
            let is_last = batch.is_empty();
            for stored in batch.iter().take_while(|stored| stored.offset <= until) {
                let record = codec::decode(&stored.record).map_err(|e| EngineError::unreadable(e, stored.offset))?;
                let envelope = record.envelope();
                let state = state.get_or_insert_with(|| State::of(&record));
                if envelope.stream != *stream.as_bytes() || envelope.version != state.version() + 1 {
                    return Err(misplaced(stored));
                }
                if !state.apply(&record) {
                    return Err(misplaced(stored));
                }
                after = stored.revision;
            }
            if is_last || batch.last().is_some_and(|stored| stored.offset > until) {
                let missing = || {
                    let detail = format!("stream {stream} has no records, but the log has its first");
                    EngineError::new(ResultCode::LogCorrupt, detail)
                };
                return state.ok_or_else(missing);
            }
        }
    }
}

fn misplaced(stored: &Stored) -> EngineError {
    let detail = format!(
        "record {} does not belong where it stands: version {} of stream {}",
        stored.offset, stored.revision, stored.stream
    );
    EngineError::new(ResultCode::LogCorrupt, detail)
}

fn leaf_of(stream: StreamId, version: u64, state: &[u8; 32]) -> [u8; 32] {
    let mut leaf = Vec::with_capacity(56);
    leaf.extend(stream.as_bytes());
    leaf.extend(version.to_be_bytes());
    leaf.extend(state);
    leaf_hash(&leaf)
}
