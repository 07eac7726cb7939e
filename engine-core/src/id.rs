//! Identifiers: what tells flows, deployments and instances apart. Knows how ids derive, nothing of what they name.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The text of an identifier; UUIDs take 16 bytes, in memory and when stored.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// A UUID in its usual form: lower case, with hyphens.
    Uuid(Uuid),
    /// Any other text, from an id generator of the host or from an unknown caller.
    Text(Arc<str>),
}

impl Id {
    /// Reads an id; every text is one.
    pub fn new(text: &str) -> Self {
        match Uuid::try_parse(text) {
            Ok(uuid) if is_usual_form(uuid, text) => Self::Uuid(uuid),
            _ => Self::Text(text.into()),
        }
    }

    /// Sixteen bytes that stand for this id: the UUID itself, or a name-based UUID of the text.
    pub fn to_bytes(&self) -> [u8; 16] {
        match self {
            Self::Uuid(uuid) => *uuid.as_bytes(),
            Self::Text(text) => *Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).as_bytes(),
        }
    }
}

fn is_usual_form(uuid: Uuid, text: &str) -> bool {
    let mut buffer = Uuid::encode_buffer();
    *uuid.as_hyphenated().encode_lower(&mut buffer) == *text
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.as_hyphenated().fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Uuid> for Id {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Uuid(uuid) if !serializer.is_human_readable() => serializer.serialize_bytes(uuid.as_bytes()),
            _ => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IdVisitor;
        impl Visitor<'_> for IdVisitor {
            type Value = Id;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id")
            }
            fn visit_str<E>(self, text: &str) -> Result<Id, E> {
                Ok(Id::new(text))
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Id, E> {
                Uuid::from_slice(bytes).map(Id::Uuid).map_err(E::custom)
            }
        }
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(IdVisitor)
        } else {
            deserializer.deserialize_any(IdVisitor)
        }
    }
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Id);

        impl $name {
            /// Reads an id from its text.
            pub fn new(text: &str) -> Self {
                Self(Id::new(text))
            }

            /// The id behind the name.
            pub fn id(&self) -> &Id {
                &self.0
            }
        }

        impl From<Id> for $name {
            fn from(id: Id) -> Self {
                Self(id)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(Id::Uuid(uuid))
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(&text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

id_types! {
    /// Names one command; whoever repeats it gets the answer of the first.
    CommandId;
    /// Names a flow module: the draft and all its deployments.
    FlowModuleId;
    /// Names one deployment of a flow module.
    FlowDeployId;
    /// Names one run of a deployment.
    FlowInstanceId;
    /// Names one visit of a node.
    NodeInstanceId;
    /// Names one snapshot of variables.
    InstanceDataId;
}

/// What an id is made for; part of what the id derives from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// A flow module.
    FlowModule,
    /// A deployment.
    FlowDeployment,
    /// A flow instance.
    FlowInstance,
    /// A node instance.
    NodeInstance,
    /// A snapshot of variables.
    InstanceData,
}

/// What an id derives from, besides its kind and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdOrigin<'a> {
    /// The command that gives the id out.
    pub command_id: &'a CommandId,
    /// The stream of the command; `None` for the id of the module or instance that the stream itself is named after.
    pub stream: Option<[u8; 16]>,
}

/// Makes the ids that a command gives out.
///
/// A generator is a pure function: the same origin, kind and number give the same id, so that deciding a command again
/// gives the same events. Different arguments must give different ids: a command id may be used on several streams.
pub trait IdGenerator: Send + Sync {
    /// Stands on the records whose ids it made.
    fn name(&self) -> &str;

    /// Stands on the record beside the name; to be changed when an id may change.
    fn version(&self) -> &str;

    /// The id number `number` of `kind` that a command gives out.
    fn generate(&self, origin: IdOrigin<'_>, kind: IdKind, number: u32) -> Id;
}

/// Name-based UUIDs of version 8 (RFC 9562): command id and stream are hashed to a scope, kind and number are counted on in
/// it. So a record need only hold the number.
#[derive(Clone, Copy, Debug, Default)]
pub struct NameBasedIds;

impl IdGenerator for NameBasedIds {
    fn name(&self) -> &'static str {
        "name-based"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn generate(&self, origin: IdOrigin<'_>, kind: IdKind, number: u32) -> Id {
        IdScope::new(origin.command_id, origin.stream).id(kind, number)
    }
}

/// The ids of [`NameBasedIds`] of one command in one stream: they are alike but for their first five bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdScope([u8; 16]);

/// Spreads neighbouring numbers, so that people can tell ids apart by their first digits; odd, so nothing is lost.
const SPREAD: u32 = 0x9e37_79b1;
/// Takes the spread back: the product of the two is 1, modulo 2^32.
const GATHER: u32 = 0x0e8b_2f51;

impl IdScope {
    /// The scope of a command's ids; without a stream, of the id that the command's stream is named after.
    pub fn new(command_id: &CommandId, stream: Option<[u8; 16]>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"flowledger ids");
        hash.update(command_id.id().to_bytes());
        hash.update(stream.as_ref().map_or(&[][..], |stream| stream));
        let hash: [u8; 32] = hash.finalize().into();
        let (bytes, _) = hash.split_first_chunk().unwrap_or((&[0; 16], &[]));
        Self(uuid::Builder::from_custom_bytes(*bytes).into_uuid().into_bytes())
    }

    /// The id number `number` of a kind.
    pub fn id(&self, kind: IdKind, number: u32) -> Id {
        let mut bytes = self.0;
        let [a, b, c, d] = number.wrapping_mul(SPREAD).to_be_bytes();
        for (byte, changed) in bytes.iter_mut().zip([a, b, c, d, 0]) {
            *byte ^= changed ^ letter(kind);
        }
        Id::Uuid(Uuid::from_bytes(bytes))
    }

    /// The number of an id of this scope and kind; `None` for any other.
    pub(crate) fn number(&self, id: &Id, kind: IdKind) -> Option<u32> {
        let Id::Uuid(uuid) = id else { return None };
        let (base, scope) = self.0.split_first_chunk::<5>()?;
        let (changed, rest) = uuid.as_bytes().split_first_chunk::<5>()?;
        if rest != scope {
            return None;
        }
        let mut place = [0; 5];
        for (place, (changed, base)) in place.iter_mut().zip(changed.iter().zip(base)) {
            *place = changed ^ base ^ letter(kind);
        }
        let [number @ .., of] = place;
        (of == 0).then(|| u32::from_be_bytes(number).wrapping_mul(GATHER))
    }
}

fn letter(kind: IdKind) -> u8 {
    match kind {
        IdKind::FlowModule => b'm',
        IdKind::FlowDeployment => b'd',
        IdKind::FlowInstance => b'f',
        IdKind::NodeInstance => b'n',
        IdKind::InstanceData => b'v',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_keeps_the_text_it_was_made_of() {
        for text in [
            "1111abd9-2222-11eb-9c82-c66c762e3333",
            "1111ABD9-2222-11EB-9C82-C66C762E3333",
            "order 7",
            "",
            "1111abd9222211eb9c82c66c762e3333",
        ] {
            let id = Id::new(text);
            assert_eq!(id.to_string(), text);
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(serde_json::from_str::<Id>(&json).unwrap(), id);
        }
    }

    #[test]
    fn ids_of_one_command_differ_and_repeat() {
        let command_id = &CommandId::new("x");
        let origin = IdOrigin {
            command_id,
            stream: Some([1; 16]),
        };
        let first = NameBasedIds.generate(origin, IdKind::NodeInstance, 0);
        assert_eq!(first, NameBasedIds.generate(origin, IdKind::NodeInstance, 0));
        assert_ne!(first, NameBasedIds.generate(origin, IdKind::NodeInstance, 1));
        assert_ne!(first, NameBasedIds.generate(origin, IdKind::InstanceData, 0));
        for stream in [None, Some([2; 16])] {
            assert_ne!(
                first,
                NameBasedIds.generate(IdOrigin { command_id, stream }, IdKind::NodeInstance, 0)
            );
        }
    }
    #[test]
    fn scope_knows_its_own_ids_by_number() {
        let command_id = CommandId::new("x");
        let scope = IdScope::new(&command_id, Some([1; 16]));
        for number in [0, 1, 255, 256, u32::MAX] {
            let id = scope.id(IdKind::NodeInstance, number);
            assert_eq!(scope.number(&id, IdKind::NodeInstance), Some(number));
            assert_eq!(scope.number(&id, IdKind::InstanceData), None);
            let other = IdScope::new(&command_id, None);
            assert_eq!(other.number(&id, IdKind::NodeInstance), None);
        }
        assert_eq!(scope.number(&Id::new("order 7"), IdKind::NodeInstance), None);
    }

    #[test]
    fn derived_ids_are_uuids_of_version_8() {
        let command_id = CommandId::new("x");
        for number in 0..50 {
            let Id::Uuid(uuid) = IdScope::new(&command_id, None).id(IdKind::NodeInstance, number) else {
                panic!("not a UUID")
            };
            assert_eq!(
                (uuid.get_version_num(), uuid.get_variant()),
                (8, uuid::Variant::RFC4122)
            );
        }
    }
}
