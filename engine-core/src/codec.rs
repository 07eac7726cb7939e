//! The stored form of records: CBOR in which members stand by number. The only place with upgrade steps.
//!
//! The numbers stand beside the members in `event.rs` and never change their meaning; `docs/record.cddl` says the same in
//! the language of RFC 8610.

pub(crate) mod form;
mod ids;
#[cfg(test)]
mod tests;

use std::convert::Infallible;

use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::Serialize;

pub(crate) use self::ids::Ids;
use crate::event::{
    Actor, AnyRecord, Envelope, Given, InstanceCommand, InstanceEvent, InstanceRecord, ModuleCommand, ModuleEvent,
    ModuleRecord, PlugInName, Record,
};
use crate::id::{CommandId, IdScope};
use crate::result_code::ResultCode;
use crate::time::Timestamp;

/// The schema version that this build writes.
pub const SCHEMA: u16 = 1;

/// What the sixth item of a record says: of a flow module.
const OF_MODULE: u8 = 0;
/// What the sixth item of a record says: of a flow instance.
const OF_INSTANCE: u8 = 1;
/// Items that every record has: schema, stream, version, command id, time, kind, command, events.
const ITEMS: u64 = 8;

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
    Unreadable(#[source] minicbor::decode::Error),
    /// The record cannot be written.
    #[error("record cannot be written")]
    Unwritable(#[source] minicbor::encode::Error<Infallible>),
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

/// The bytes of a flow module's record.
///
/// # Errors
/// [`CodecError::Unwritable`].
pub fn encode_module(record: &ModuleRecord) -> Result<Vec<u8>, CodecError> {
    encode_module_in(record.given.envelope.id_scope(), record)
}

/// The same where the envelope's [`Envelope::id_scope`] is known.
///
/// # Errors
/// [`CodecError::Unwritable`].
pub fn encode_module_in(scope: IdScope, record: &ModuleRecord) -> Result<Vec<u8>, CodecError> {
    let Given { envelope, command } = &record.given;
    written(envelope, scope, OF_MODULE, command, &record.events)
}

/// The bytes of a flow instance's record.
///
/// # Errors
/// [`CodecError::Unwritable`].
pub fn encode_instance(record: &InstanceRecord) -> Result<Vec<u8>, CodecError> {
    encode_instance_in(record.given.envelope.id_scope(), record)
}

/// The same where the envelope's [`Envelope::id_scope`] is known.
///
/// # Errors
/// [`CodecError::Unwritable`].
pub fn encode_instance_in(scope: IdScope, record: &InstanceRecord) -> Result<Vec<u8>, CodecError> {
    let Given { envelope, command } = &record.given;
    written(envelope, scope, OF_INSTANCE, command, &record.events)
}

fn written<C, E>(
    envelope: &Envelope,
    scope: IdScope,
    kind: u8,
    command: &C,
    events: &[E],
) -> Result<Vec<u8>, CodecError>
where
    C: Encode<Ids>,
    E: Encode<Ids>,
{
    debug_assert_eq!(
        scope,
        envelope.id_scope(),
        "ids are written by their numbers in the command's own scope"
    );
    // Most records fit, so the bytes are not copied while they grow.
    let mut encoder = Encoder::new(Bytes(Vec::with_capacity(512)));
    let write = |encoder: &mut Encoder<Bytes>| -> Result<(), minicbor::encode::Error<Infallible>> {
        let Envelope {
            stream,
            version,
            command_id,
            recorded_at,
            actor,
            reason,
            plug_ins,
        } = envelope;
        let mut ids = Ids::in_scope(*stream, scope);
        let further = if !plug_ins.is_empty() {
            3
        } else if reason.is_some() {
            2
        } else {
            u64::from(!actor.is_empty())
        };
        encoder
            .array(ITEMS + further)?
            .u16(SCHEMA)?
            .bytes(stream)?
            .u64(*version)?;
        ids::encode_in_full(command_id.id(), encoder)?;
        recorded_at.encode(encoder, &mut ids)?;
        encoder.u8(kind)?;
        command.encode(encoder, &mut ids)?;
        events.encode(encoder, &mut ids)?;
        if further >= 1 {
            actor.encode(encoder, &mut ids)?;
        }
        if further >= 2 {
            form::optional_text::encode(reason, encoder, &mut ids)?;
        }
        if further >= 3 {
            plug_ins.encode(encoder, &mut ids)?;
        }
        Ok(())
    };
    write(&mut encoder).map_err(CodecError::Unwritable)?;
    Ok(encoder.into_writer().0)
}

/// The bytes of a record that is being written. Most come one to nine at a time, so each write is inlined.
struct Bytes(Vec<u8>);

impl minicbor::encode::Write for Bytes {
    type Error = Infallible;

    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Reads the bytes of a record.
///
/// # Errors
/// Bytes that are no record, or a record of a newer release.
pub fn decode(bytes: &[u8]) -> Result<AnyRecord, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let head = decoder
        .array()
        .and_then(|items| decoder.u16().map(|schema| (items, schema)));
    let (items, schema) = head.map_err(CodecError::Unreadable)?;
    if schema > SCHEMA {
        return Err(CodecError::NewerSchema { found: schema });
    }
    read(&mut decoder, items.unwrap_or_default()).map_err(CodecError::Unreadable)
}

/// Reads what comes behind the schema version.
fn read(decoder: &mut Decoder<'_>, items: u64) -> Result<AnyRecord, minicbor::decode::Error> {
    use minicbor::decode::Error;

    if items < ITEMS {
        return Err(Error::message("a record has at least 8 items"));
    }
    let place = decoder.position();
    let stream = <[u8; 16]>::try_from(decoder.bytes()?)
        .map_err(|_| Error::message("the name of a stream has sixteen bytes").at(place))?;
    let version = decoder.u64()?;
    let command_id = CommandId::from(ids::decode_in_full(decoder)?);
    let mut ids = Ids::of_record(stream, &command_id);
    let recorded_at = Timestamp::decode(decoder, &mut ids)?;
    let place = decoder.position();
    let body = match decoder.u8()? {
        OF_MODULE => Body::Module(
            ModuleCommand::decode(decoder, &mut ids)?,
            Vec::decode(decoder, &mut ids)?,
        ),
        OF_INSTANCE => Body::Instance(
            InstanceCommand::decode(decoder, &mut ids)?,
            Vec::decode(decoder, &mut ids)?,
        ),
        _ => return Err(Error::message("a record is of a module or of an instance").at(place)),
    };
    let actor = if items > ITEMS {
        Actor::decode(decoder, &mut ids)?
    } else {
        Actor::default()
    };
    let reason = if items > ITEMS + 1 {
        form::optional_text::decode(decoder, &mut ids)?
    } else {
        None
    };
    let plug_ins = if items > ITEMS + 2 {
        Vec::decode(decoder, &mut ids)?
    } else {
        Vec::new()
    };
    // Of a later release, for which the schema did not have to change.
    for _ in ITEMS + 3..items {
        decoder.skip()?;
    }
    if decoder.position() != decoder.input().len() {
        return Err(Error::message("the record ends before the bytes do").at(decoder.position()));
    }
    let envelope = Envelope {
        stream,
        version,
        command_id,
        recorded_at,
        actor,
        reason,
        plug_ins,
    };
    Ok(match body {
        Body::Module(command, events) => AnyRecord::Module(Record {
            given: Given { envelope, command },
            events,
        }),
        Body::Instance(command, events) => AnyRecord::Instance(Record {
            given: Given { envelope, command },
            events,
        }),
    })
}

enum Body {
    Module(ModuleCommand, Vec<ModuleEvent>),
    Instance(InstanceCommand, Vec<InstanceEvent>),
}

/// The record in the form for people: JSON, its members by name.
///
/// # Errors
/// A record that JSON cannot hold; none is known.
pub fn to_json(record: &AnyRecord) -> Result<String, serde_json::Error> {
    let body = match record {
        AnyRecord::Module(record) => BodyForPeople::Module {
            command: &record.given.command,
            events: &record.events,
        },
        AnyRecord::Instance(record) => BodyForPeople::Instance {
            command: &record.given.command,
            events: &record.events,
        },
    };
    let envelope = record.envelope();
    serde_json::to_string(&ForPeople {
        envelope: EnvelopeForPeople {
            schema: SCHEMA,
            stream: uuid::Uuid::from_bytes(envelope.stream).simple().to_string(),
            version: envelope.version,
            command_id: &envelope.command_id,
            at: envelope.recorded_at,
            actor: &envelope.actor,
            reason: envelope.reason.as_deref(),
            plug_ins: &envelope.plug_ins,
        },
        body,
    })
}

#[derive(Serialize)]
struct ForPeople<'a> {
    envelope: EnvelopeForPeople<'a>,
    body: BodyForPeople<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EnvelopeForPeople<'a> {
    schema: u16,
    stream: String,
    version: u64,
    command_id: &'a CommandId,
    at: Timestamp,
    #[serde(skip_serializing_if = "Actor::is_empty")]
    actor: &'a Actor,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    plug_ins: &'a [PlugInName],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum BodyForPeople<'a> {
    Module {
        command: &'a ModuleCommand,
        events: &'a [ModuleEvent],
    },
    Instance {
        command: &'a InstanceCommand,
        events: &'a [InstanceEvent],
    },
}
