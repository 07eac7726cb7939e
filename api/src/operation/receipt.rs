//! What the log proves to strangers: checkpoints, receipts, growth, and the cosignatures of witnesses.

use std::fmt::Write as _;

use flowledger_engine_core::codec;
use flowledger_engine_core::event::AnyRecord;
use flowledger_engine_core::id::{CommandId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::{
    Offset, PublicKey, Receipt as StoreReceipt, Revision, SignedCheckpoint, Stored, StreamId,
};
use flowledger_projections::Receipt;
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::{Done, Effect, Enclosed, Streamed};
use crate::operation::request::{Check, Most, invalid, present};
use crate::proofs;

/// Records read of a stream at a time.
const READ_BATCH: usize = 512;

/// What the log has signed about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogCheckpoint {
    /// The log's name, which is its key's name.
    pub origin: String,
    /// The number of records.
    pub size: u64,
    /// The root of the Merkle tree over them, in hexadecimal.
    pub root: String,
    /// How many cosignatures of witnesses it has.
    pub cosignatures: usize,
    /// The signed note (C2SP `tlog-checkpoint`): what to publish, and to send to witnesses.
    pub note: String,
}

impl From<&SignedCheckpoint> for LogCheckpoint {
    fn from(signed: &SignedCheckpoint) -> Self {
        let checkpoint = signed.checkpoint();
        Self {
            origin: checkpoint.origin.clone(),
            size: checkpoint.size,
            root: hex(&checkpoint.root),
            cosignatures: proofs::cosignatures(signed),
            note: signed.to_string(),
        }
    }
}

/// What became of witnesses' answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedCosignatures {
    /// Cosignatures that are new.
    pub added: usize,
    /// The checkpoint they stand under.
    pub checkpoint: LogCheckpoint,
}

/// That the log has only grown since it had a certain size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogGrowth {
    /// The earlier size.
    pub from: u64,
    /// The size now.
    pub size: u64,
    /// The proof, which is what a witness is sent (C2SP `tlog-witness`).
    pub proof: String,
}

/// Which record of an instance or a module a receipt is asked for: by version, by command id, else the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReceiptParam {
    /// The instance.
    pub flow_instance_id: Option<String>,
    /// Or the module.
    pub flow_module_id: Option<String>,
    /// The version that the record made.
    pub version: Option<u64>,
    /// Or the command that caused it.
    pub command_id: Option<CommandId>,
}

impl ReceiptParam {
    /// The newest record of an instance.
    pub fn of_instance(flow_instance_id: &FlowInstanceId) -> Self {
        Self {
            flow_instance_id: Some(flow_instance_id.to_string()),
            ..Self::default()
        }
    }

    /// The newest record of a module.
    pub fn of_module(flow_module_id: &FlowModuleId) -> Self {
        Self {
            flow_module_id: Some(flow_module_id.to_string()),
            ..Self::default()
        }
    }

    /// The record that made this version.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// The record of this command.
    pub fn command_id(mut self, id: &str) -> Self {
        self.command_id = Some(id.into());
        self
    }
}

impl Engine {
    /// Signs the log as it is now: how many records, and the root of the Merkle tree over them.
    ///
    /// It is signed only if it continues the newest checkpoint, and kept before it is answered. Without new records it is
    /// the one from before, with its cosignatures.
    ///
    /// # Errors
    /// 7800 the log is not what was signed before, or the tree's tiles are damaged; 7007 key and checkpoint do not belong
    /// to this log; 7008.
    pub async fn checkpoint(&self) -> Result<LogCheckpoint, EngineError> {
        let signed = self.proofs().checkpoint().await;
        signed
            .map(|signed| LogCheckpoint::from(&signed))
            .map_err(|error| self.told(error))
    }

    /// The log's public key as a C2SP vkey, with which receipts are checked. The key is made on first use.
    ///
    /// # Errors
    /// 7007 the key's file is not the log's key, others may read it, or it is gone; 7008.
    #[expect(
        clippy::unused_async,
        reason = "operations of the engine are async, whatever they do inside"
    )]
    pub async fn public_key(&self) -> Result<String, EngineError> {
        let key = self.proofs().public_key();
        key.map(|key| key.to_string()).map_err(|error| self.told(error))
    }

    /// The receipt of the record at a position of the log.
    ///
    /// Made against a checkpoint that speaks of the record, rather one with cosignatures; a new one is signed if there is
    /// none.
    ///
    /// # Errors
    /// 2001 there is no such position; those of [`Engine::checkpoint`].
    pub async fn receipt(&self, position: u64) -> Result<Receipt, EngineError> {
        let receipt = self.proofs().receipt(position).await;
        receipt.map(told).map_err(|error| self.told(error))
    }

    /// The receipt of a record of an instance or a module.
    ///
    /// # Errors
    /// 2001 no record of that version or command; 3101 unknown module; 4008 unknown instance; 4020 a sub flow instance;
    /// those of [`Engine::checkpoint`].
    pub async fn receipt_of(&self, param: ReceiptParam) -> Result<Receipt, EngineError> {
        let position = self.position_of(param).await.map_err(|error| self.told(error))?;
        self.receipt(position).await
    }

    /// Keeps cosignatures: the lines with which a witness answers, for the newest checkpoint; or a whole checkpoint with
    /// its signatures, also an earlier one. Lines of other keys are passed over.
    ///
    /// # Errors
    /// 2001 a text, key or signature that is not right; those of [`Engine::checkpoint`].
    pub async fn add_cosignatures(
        &self,
        text: &str,
        witnesses: &[PublicKey],
    ) -> Result<AddedCosignatures, EngineError> {
        let (added, checkpoint) = self
            .proofs()
            .add_cosignatures(text, witnesses)
            .await
            .map_err(|error| self.told(error))?;
        Ok(AddedCosignatures {
            added,
            checkpoint: (&checkpoint).into(),
        })
    }

    /// The proof that the log has only grown since it had `from` records, against a checkpoint of now.
    ///
    /// # Errors
    /// 2001 the log never had so many; those of [`Engine::checkpoint`].
    pub async fn growth(&self, from: u64) -> Result<LogGrowth, EngineError> {
        let proof = self.proofs().growth(from).await.map_err(|error| self.told(error))?;
        Ok(LogGrowth {
            from,
            size: proof.checkpoint.checkpoint().size,
            proof: proof.to_string(),
        })
    }

    /// Throws the tree's tiles away and builds them again from the log, then compares the tree with the kept checkpoints;
    /// how many records it has.
    ///
    /// # Errors
    /// Those of [`Engine::checkpoint`].
    pub async fn rebuild_tree(&self) -> Result<u64, EngineError> {
        self.proofs().rebuild().await.map_err(|error| self.told(error))
    }

    /// The receipt that an answer carries which was asked for one, if there is a record. No failure here fails the command.
    pub(super) async fn enclosed<D: Streamed>(&self, done: &Done<D>) -> Enclosed {
        let Effect::Recorded(record) = &done.effect else {
            return Enclosed::default();
        };
        let envelope = &record.given.envelope;
        match self.receipt_in(envelope.stream, envelope.version).await {
            Ok(receipt) => Enclosed {
                receipt: Some(Box::new(receipt)),
                error: None,
            },
            Err(error) => Enclosed {
                receipt: None,
                error: Some(format!(
                    "the command is on record as version {}, only its receipt could not be made: {}; ask for it later \
                     (receipt_of, `log receipt`)",
                    envelope.version,
                    self.told(error)
                )),
            },
        }
    }

    async fn receipt_in(&self, stream: [u8; 16], version: u64) -> Result<Receipt, EngineError> {
        let after = Revision::new(version.saturating_sub(1));
        let records = self.log().read_stream(&StreamId::from_bytes(stream), after, 1).await?;
        let Some(stored) = records.first() else {
            let detail = format!("version {version} of the stream cannot be read");
            return Err(EngineError::new(ResultCode::SystemError, detail));
        };
        self.proofs().receipt(stored.offset.get()).await.map(told)
    }

    /// The place of a record in the log.
    async fn position_of(&self, param: ReceiptParam) -> Result<u64, EngineError> {
        let ReceiptParam {
            flow_instance_id,
            flow_module_id,
            version,
            command_id,
        } = param;
        if version.is_some() && command_id.is_some() {
            return Err(invalid("version and commandId are both given; send one of them"));
        }
        let check = Check::new(&self.executor().limits);
        let (instance, module) = (present(flow_instance_id), present(flow_module_id));
        check.optional("flowInstanceId", instance.as_deref(), Most::Id)?;
        check.optional("flowModuleId", module.as_deref(), Most::Id)?;
        let (what, stream) = match (&instance, &module) {
            (Some(id), None) => (format!("flow instance {id}"), FlowInstanceId::new(id).id().to_bytes()),
            (None, Some(id)) => (format!("flow module {id}"), FlowModuleId::new(id).id().to_bytes()),
            (None, None) => {
                return Err(invalid(
                    "flowInstanceId and flowModuleId are both blank; one is required",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "flowInstanceId and flowModuleId are both given; send one of them",
                ));
            }
        };
        let mut last: Option<Stored> = None;
        loop {
            let after = last.as_ref().map_or(Revision::NONE, |stored| stored.revision);
            let batch = self
                .log()
                .read_stream(&StreamId::from_bytes(stream), after, READ_BATCH)
                .await?;
            if batch.is_empty() {
                break;
            }
            for stored in batch {
                if last.is_none() {
                    let is_module = matches!(codec::decode(&stored.record)?, AnyRecord::Module(_));
                    if is_module != module.is_some() {
                        return Err(self.no_stream(instance.as_deref(), &what).await?);
                    }
                }
                let is_meant = match (version, &command_id) {
                    (Some(version), _) => stored.revision.get() == version,
                    (None, Some(wanted)) => codec::decode(&stored.record)?.envelope().command_id == *wanted,
                    (None, None) => false,
                };
                if is_meant {
                    return Ok(stored.offset.get());
                }
                last = Some(stored);
            }
        }
        match (last, version, command_id) {
            (None, ..) => Err(self.no_stream(instance.as_deref(), &what).await?),
            (Some(last), None, None) => Ok(last.offset.get()),
            (Some(last), Some(version), _) => Err(invalid(format!(
                "there is no version {version}; {what} is at version {}",
                last.revision
            ))),
            (Some(_), None, Some(id)) => Err(invalid(format!("{what} has no record of a command {id}"))),
        }
    }

    /// That nothing has the id that was given.
    async fn no_stream(&self, instance: Option<&str>, what: &str) -> Result<EngineError, EngineError> {
        let Some(instance) = instance else {
            return Ok(EngineError::new(
                ResultCode::FlowNotFound,
                format!("there is no {what}"),
            ));
        };
        Ok(if self.root_of(&FlowInstanceId::new(instance)).await?.is_some() {
            let detail = format!("{instance} is a sub flow instance; use the flowInstanceId of the root");
            EngineError::new(ResultCode::SubFlowInstanceNotAccepted, detail)
        } else {
            EngineError::new(ResultCode::InstanceNotFound, format!("there is no {what}"))
        })
    }

    fn told(&self, error: EngineError) -> EngineError {
        error.answered_as(self.profile(), CodeContext::Other)
    }
}

/// A receipt as answers carry it.
fn told(receipt: StoreReceipt) -> Receipt {
    let StoreReceipt { record, proof } = receipt;
    Receipt {
        position: Offset::new(proof.index.saturating_add(1)).get(),
        index: proof.index,
        record,
        proof: proof.to_string(),
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
