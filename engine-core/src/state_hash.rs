//! The hash of what a stream folds to. Two releases that read a stream alike give it the same hash.
//!
//! What is hashed is a list in CBOR that each of the two folds writes out, member by member; `docs/storage-format.md` has
//! its order. It is written for this alone: the folds may change their shape, the list keeps it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use minicbor::encode::{Error, Write};
use minicbor::{Encode, Encoder};
use sha2::{Digest, Sha256};

use crate::event::Actor;
use crate::id::{CommandId, Id, InstanceDataId};
use crate::time::Timestamp;
use crate::value::Value;
use crate::variables::{Snapshot, Variables};

/// The number of the list's form; hashes of different forms cannot be compared.
pub const FORM: u32 = 1;

/// Nothing that is hashed can fail; the trait asks all the same.
pub(crate) type Written = Result<(), Error<Infallible>>;

struct Hashing(Sha256);

impl Write for Hashing {
    type Error = Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        self.0.update(bytes);
        Ok(())
    }
}

/// Writes a list item by item.
pub(crate) struct Pen {
    encoder: Encoder<Hashing>,
    /// The snapshots that were written, by id: most nodes share theirs with others.
    snapshots: BTreeMap<Option<InstanceDataId>, Vec<(u64, Variables)>>,
    written: u64,
}

/// The hash of what `write` writes.
pub(crate) fn hash_of(write: impl FnOnce(&mut Pen) -> Written) -> [u8; 32] {
    let mut pen = Pen {
        encoder: Encoder::new(Hashing(Sha256::new())),
        snapshots: BTreeMap::new(),
        written: 0,
    };
    let written = write(&mut pen);
    debug_assert!(written.is_ok(), "hashing cannot fail");
    pen.encoder.into_writer().0.finalize().into()
}

impl Pen {
    pub(crate) fn list(&mut self, length: usize) -> Written {
        self.encoder.array(length as u64)?.ok()
    }

    /// A list of items that `write` writes.
    pub(crate) fn each<'a, T: 'a>(
        &mut self,
        items: impl ExactSizeIterator<Item = &'a T>,
        mut write: impl FnMut(&mut Self, &'a T) -> Written,
    ) -> Written {
        self.list(items.len())?;
        for item in items {
            write(self, item)?;
        }
        Ok(())
    }

    /// What `write` writes, or null.
    pub(crate) fn optional<T>(&mut self, item: Option<T>, write: impl FnOnce(&mut Self, T) -> Written) -> Written {
        match item {
            Some(item) => write(self, item),
            None => self.encoder.null()?.ok(),
        }
    }

    pub(crate) fn id(&mut self, id: &Id) -> Written {
        match id {
            Id::Uuid(uuid) => self.encoder.bytes(uuid.as_bytes())?.ok(),
            Id::Text(text) => self.text(text),
        }
    }

    pub(crate) fn text(&mut self, text: &str) -> Written {
        self.encoder.str(text)?.ok()
    }

    pub(crate) fn optional_text(&mut self, text: Option<&Arc<str>>) -> Written {
        self.optional(text, |pen, text| pen.text(text))
    }

    pub(crate) fn count(&mut self, number: usize) -> Written {
        self.encoder.u64(number as u64)?.ok()
    }

    pub(crate) fn number(&mut self, number: impl Into<i64>) -> Written {
        self.encoder.i64(number.into())?.ok()
    }

    pub(crate) fn version(&mut self, number: u64) -> Written {
        self.encoder.u64(number)?.ok()
    }

    pub(crate) fn flag(&mut self, flag: bool) -> Written {
        self.encoder.bool(flag)?.ok()
    }

    pub(crate) fn time(&mut self, time: Timestamp) -> Written {
        self.number(time.millis())
    }

    pub(crate) fn value(&mut self, value: &Value) -> Written {
        value.encode(&mut self.encoder, &mut ())
    }

    pub(crate) fn actor(&mut self, actor: &Actor) -> Written {
        let Actor {
            tenant,
            caller,
            operator,
        } = actor;
        self.list(3)?;
        self.optional_text(tenant.as_ref())?;
        self.optional_text(caller.as_ref())?;
        self.optional_text(operator.as_ref())
    }

    pub(crate) fn commands<'c>(&mut self, commands: impl ExactSizeIterator<Item = &'c CommandId>) -> Written {
        self.each(commands, |pen, command| pen.id(command.id()))
    }

    /// Id and variables; of a snapshot that was written already, its place among them.
    pub(crate) fn snapshot(&mut self, snapshot: &Snapshot) -> Written {
        let Snapshot { id, variables } = snapshot;
        let known = self.snapshots.entry(id.clone()).or_default();
        if let Some((place, _)) = known.iter().find(|(_, known)| known == variables) {
            let place = *place;
            return self.encoder.u64(place)?.ok();
        }
        known.push((self.written, variables.clone()));
        self.written += 1;
        self.list(2)?;
        self.optional(id.as_ref(), |pen, id| pen.id(id.id()))?;
        self.list(variables.len())?;
        for variable in variables {
            self.list(3)?;
            self.text(&variable.key)?;
            self.value(&variable.value)?;
            self.optional_text(variable.data_type.as_ref())?;
        }
        Ok(())
    }
}
