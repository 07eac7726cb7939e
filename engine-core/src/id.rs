//! Identifiers: what tells flows, deployments and instances apart. Knows how ids derive, nothing of what they name.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
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

/// Name-based UUIDs (version 5): the command id is the name space; kind, number and stream are the name.
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
        let kind = match kind {
            IdKind::FlowModule => b'm',
            IdKind::FlowDeployment => b'd',
            IdKind::FlowInstance => b'f',
            IdKind::NodeInstance => b'n',
            IdKind::InstanceData => b'v',
        };
        let mut name = Vec::with_capacity(21);
        name.push(kind);
        name.extend_from_slice(&number.to_be_bytes());
        name.extend(origin.stream.iter().flatten());
        Id::Uuid(Uuid::new_v5(
            &Uuid::from_bytes(origin.command_id.id().to_bytes()),
            &name,
        ))
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
            let stored = rmp_serde::to_vec_named(&id).unwrap();
            assert_eq!(rmp_serde::from_slice::<Id>(&stored).unwrap(), id);
        }
    }

    #[test]
    fn stored_uuid_takes_eighteen_bytes() {
        let id = Id::new("1111abd9-2222-11eb-9c82-c66c762e3333");
        assert_eq!(rmp_serde::to_vec_named(&id).unwrap().len(), 18);
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
}
