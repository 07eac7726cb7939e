//! The stored form of records: MessagePack maps with field names. The only place with upgrade steps.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{
    Actor, AnyRecord, Envelope, Given, InstanceCommand, InstanceEvent, InstanceRecord, ModuleCommand, ModuleEvent,
    ModuleRecord, PlugInName, Record,
};
use crate::id::CommandId;
use crate::result_code::ResultCode;
use crate::time::Timestamp;

/// The schema version that this build writes.
pub const SCHEMA: u16 = 1;

/// Why bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The record was written by a newer release.
    #[error("record has schema version {found}; this build reads versions up to {SCHEMA}")]
    NewerSchema {
        /// The version found.
        found: u16,
    },
    /// The bytes are not a record.
    #[error("record cannot be read")]
    Unreadable(#[source] rmp_serde::decode::Error),
    /// The record cannot be written.
    #[error("record cannot be written")]
    Unwritable(#[source] rmp_serde::encode::Error),
}

impl CodecError {
    /// The code that callers see.
    pub fn code(&self) -> ResultCode {
        match self {
            Self::NewerSchema { .. } => ResultCode::EventVersionUnsupported,
            Self::Unreadable(_) => ResultCode::LogCorrupt,
            Self::Unwritable(_) => ResultCode::SystemError,
        }
    }
}

/// Sixteen bytes, stored as bytes and shown as hexadecimal text.
mod stream_bytes {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 16], serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return serializer.serialize_bytes(bytes);
        }
        let mut text = String::with_capacity(32);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 16], D::Error> {
        // Uuid reads both forms: bytes, and hexadecimal text without hyphens.
        uuid::Uuid::deserialize(deserializer)
            .map(uuid::Uuid::into_bytes)
            .map_err(D::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
struct StoredEnvelope {
    schema: u16,
    #[serde(with = "stream_bytes")]
    stream: [u8; 16],
    version: u64,
    #[serde(rename = "commandId")]
    command_id: CommandId,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Actor::is_empty")]
    actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Arc<str>>,
    #[serde(rename = "plugIns", default, skip_serializing_if = "Vec::is_empty")]
    plug_ins: Vec<PlugInName>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum BodyRef<'a> {
    Module {
        command: &'a ModuleCommand,
        events: &'a [ModuleEvent],
    },
    Instance {
        command: &'a InstanceCommand,
        events: &'a [InstanceEvent],
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Body {
    Module {
        command: ModuleCommand,
        events: Vec<ModuleEvent>,
    },
    Instance {
        command: InstanceCommand,
        events: Vec<InstanceEvent>,
    },
}

#[derive(Serialize)]
struct StoredRef<'a> {
    envelope: StoredEnvelope,
    body: BodyRef<'a>,
}

#[derive(Deserialize)]
struct Stored {
    envelope: StoredEnvelope,
    body: Body,
}

/// Reads only what every schema version has in common.
#[derive(Deserialize)]
struct SchemaOnly {
    envelope: SchemaField,
}

#[derive(Deserialize)]
struct SchemaField {
    schema: u16,
}

fn stored<'a>(envelope: &Envelope, body: BodyRef<'a>) -> StoredRef<'a> {
    StoredRef {
        envelope: StoredEnvelope {
            schema: SCHEMA,
            stream: envelope.stream,
            version: envelope.version,
            command_id: envelope.command_id.clone(),
            at: envelope.recorded_at,
            actor: envelope.actor.clone(),
            reason: envelope.reason.clone(),
            plug_ins: envelope.plug_ins.clone(),
        },
        body,
    }
}

fn written(form: &StoredRef<'_>) -> Result<Vec<u8>, CodecError> {
    // Most records fit, so the bytes are not copied while they grow.
    let mut bytes = Vec::with_capacity(1024);
    rmp_serde::encode::write_named(&mut bytes, form).map_err(CodecError::Unwritable)?;
    Ok(bytes)
}

fn module_form(record: &ModuleRecord) -> StoredRef<'_> {
    stored(
        &record.given.envelope,
        BodyRef::Module {
            command: &record.given.command,
            events: &record.events,
        },
    )
}

fn instance_form(record: &InstanceRecord) -> StoredRef<'_> {
    stored(
        &record.given.envelope,
        BodyRef::Instance {
            command: &record.given.command,
            events: &record.events,
        },
    )
}

/// The bytes of a flow module's record.
///
/// # Errors
/// [`CodecError::Unwritable`].
pub fn encode_module(record: &ModuleRecord) -> Result<Vec<u8>, CodecError> {
    written(&module_form(record))
}

/// The bytes of a flow instance's record.
///
/// # Errors
/// [`CodecError::Unwritable`].
pub fn encode_instance(record: &InstanceRecord) -> Result<Vec<u8>, CodecError> {
    written(&instance_form(record))
}

/// The record in the form for people: JSON with the same member names.
///
/// # Errors
/// A record that JSON cannot hold; none is known.
pub fn to_json(record: &AnyRecord) -> Result<String, serde_json::Error> {
    match record {
        AnyRecord::Module(record) => serde_json::to_string(&module_form(record)),
        AnyRecord::Instance(record) => serde_json::to_string(&instance_form(record)),
    }
}

/// Reads the bytes of a record.
///
/// # Errors
/// Bytes that are no record, or a record of a newer release.
pub fn decode(bytes: &[u8]) -> Result<AnyRecord, CodecError> {
    let Stored { envelope, body } = match rmp_serde::from_slice::<Stored>(bytes) {
        Ok(stored) if stored.envelope.schema <= SCHEMA => stored,
        Ok(stored) => {
            return Err(CodecError::NewerSchema {
                found: stored.envelope.schema,
            });
        }
        Err(error) => {
            return Err(match rmp_serde::from_slice::<SchemaOnly>(bytes) {
                Ok(found) if found.envelope.schema > SCHEMA => CodecError::NewerSchema {
                    found: found.envelope.schema,
                },
                _ => CodecError::Unreadable(error),
            });
        }
    };
    let StoredEnvelope {
        schema: _,
        stream,
        version,
        command_id,
        at,
        actor,
        reason,
        plug_ins,
    } = envelope;
    let envelope = Envelope {
        stream,
        version,
        command_id,
        recorded_at: at,
        actor,
        reason,
        plug_ins,
    };
    Ok(match body {
        Body::Module { command, events } => AnyRecord::Module(Record {
            given: Given { envelope, command },
            events,
        }),
        Body::Instance { command, events } => AnyRecord::Instance(Record {
            given: Given { envelope, command },
            events,
        }),
    })
}
