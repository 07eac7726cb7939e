//! How ids stand in a record: each at most once in full. Knows where an id comes from, nothing of what it names.

use minicbor::data::Type;
use minicbor::decode::{self, Decode, Decoder};
use minicbor::encode::{self, Encode, Encoder, Write};
use uuid::Uuid;

use crate::id::{
    CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, Id, IdKind, IdScope, InstanceDataId, NodeInstanceId,
};

/// Ids written in full that later ones of the record can refer to; further ones are written again.
const REMEMBERED: usize = 64;

/// The ids of one record, as it is written or read.
///
/// An id that the command gave out, as [`NameBasedIds`](crate::id::NameBasedIds) makes it, is its number. One that stands
/// in the record already is a reference: −1 is the stream, −2 the first id written in full, and so on. Any other is
/// written in full: sixteen bytes, or a text.
pub(crate) struct Ids {
    scope: IdScope,
    /// The stream, then what was written in full.
    known: Vec<Id>,
}

impl Ids {
    pub(crate) fn of_record(stream: [u8; 16], command_id: &CommandId) -> Self {
        Self::in_scope(stream, IdScope::new(command_id, Some(stream)))
    }

    pub(super) fn in_scope(stream: [u8; 16], scope: IdScope) -> Self {
        Self {
            scope,
            known: vec![Id::Uuid(Uuid::from_bytes(stream))],
        }
    }

    fn remember(&mut self, id: &Id) {
        if self.known.len() <= REMEMBERED {
            self.known.push(id.clone());
        }
    }

    fn encode<W: Write>(
        &mut self,
        id: &Id,
        kind: IdKind,
        encoder: &mut Encoder<W>,
    ) -> Result<(), encode::Error<W::Error>> {
        if let Some(number) = self.scope.number(id, kind) {
            return encoder.u32(number)?.ok();
        }
        let place = self.known.iter().position(|known| known == id);
        if let Some(place) = place.and_then(|place| i64::try_from(place).ok()) {
            return encoder.i64(-1 - place)?.ok();
        }
        self.remember(id);
        encode_in_full(id, encoder)
    }

    fn decode(&mut self, kind: IdKind, decoder: &mut Decoder<'_>) -> Result<Id, decode::Error> {
        let place = decoder.position();
        match decoder.datatype()? {
            Type::U8 | Type::U16 | Type::U32 => Ok(self.scope.id(kind, decoder.u32()?)),
            Type::I8 => {
                let reference = usize::try_from(-1 - i64::from(decoder.i8()?)).ok();
                let known = reference.and_then(|reference| self.known.get(reference)).cloned();
                known.ok_or_else(|| decode::Error::message("reference to an id that does not stand here").at(place))
            }
            _ => {
                let id = decode_in_full(decoder)?;
                self.remember(&id);
                Ok(id)
            }
        }
    }
}

/// What derived implementations ask for, so that a context can be more than the ids.
impl AsMut<Ids> for Ids {
    fn as_mut(&mut self) -> &mut Ids {
        self
    }
}

pub(super) fn encode_in_full<W: Write>(id: &Id, encoder: &mut Encoder<W>) -> Result<(), encode::Error<W::Error>> {
    match id {
        Id::Uuid(uuid) => encoder.bytes(uuid.as_bytes())?.ok(),
        Id::Text(text) => encoder.str(text)?.ok(),
    }
}

pub(super) fn decode_in_full(decoder: &mut Decoder<'_>) -> Result<Id, decode::Error> {
    let place = decoder.position();
    match decoder.datatype()? {
        Type::Bytes => match Uuid::from_slice(decoder.bytes()?) {
            Ok(uuid) => Ok(Id::Uuid(uuid)),
            Err(_) => Err(decode::Error::message("an id has sixteen bytes").at(place)),
        },
        Type::String => Ok(Id::new(decoder.str()?)),
        found => Err(decode::Error::type_mismatch(found)
            .with_message("expected an id")
            .at(place)),
    }
}

macro_rules! ids_of_a_kind {
    ($($name:ident: $kind:ident,)*) => {$(
        impl<C: AsMut<Ids>> Encode<C> for $name {
            fn encode<W: Write>(&self, encoder: &mut Encoder<W>, ids: &mut C) -> Result<(), encode::Error<W::Error>> {
                ids.as_mut().encode(self.id(), IdKind::$kind, encoder)
            }
        }

        impl<'b, C: AsMut<Ids>> Decode<'b, C> for $name {
            fn decode(decoder: &mut Decoder<'b>, ids: &mut C) -> Result<Self, decode::Error> {
                ids.as_mut().decode(IdKind::$kind, decoder).map(Self::from)
            }
        }
    )*};
}

ids_of_a_kind! {
    FlowModuleId: FlowModule,
    FlowDeployId: FlowDeployment,
    FlowInstanceId: FlowInstance,
    NodeInstanceId: NodeInstance,
    InstanceDataId: InstanceData,
}
