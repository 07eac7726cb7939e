//! What the catalogue writes many of at a time: the entries of neighbouring instances, and the places on a list. Knows their bytes.

use std::sync::Arc;

use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::time::Timestamp;
use flowledger_event_store::INDEX_VALUE_MAX;
use serde::{Deserialize, Serialize};

use super::entry::{InstanceEntry, StatusInterval};

/// Places in the log whose instances are written together: those whose numbers differ in the last so many bits.
const CHUNK_BITS: u32 = 5;
/// Places in the log that are written together on a list.
const SET_BITS: u32 = 12;
/// Words of a set.
const SET_WORDS: usize = 1 << (SET_BITS - 6);
/// Places of a set that are written one by one, two bytes each; more are written as one bit for every place.
const FEW: usize = SET_WORDS * 4 - 1;

/// The chunk in which an instance stands, by the place of its first record.
pub(super) const fn chunk_of(ordinal: u64) -> u64 {
    ordinal >> CHUNK_BITS
}

/// The set in which a place stands.
pub(super) const fn set_of(ordinal: u64) -> u64 {
    ordinal >> SET_BITS
}

/// The first place of a chunk.
pub(super) const fn first_of_chunk(number: u64) -> u64 {
    number << CHUNK_BITS
}

/// The first place of a set.
pub(super) const fn first_of_set(number: u64) -> u64 {
    number << SET_BITS
}

/// The entries of the instances that begin at neighbouring places of the log, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunk {
    entries: Vec<InstanceEntry>,
}

/// Whose an instance is; stands once for all that have the same.
#[derive(Serialize, Deserialize)]
struct Owner(FlowDeployId, FlowModuleId, Option<Arc<str>>);

/// An entry: its place, its owner's number, its id, records from the first to the last taken in, and status and milliseconds since
/// the one before for each interval. One that stands under a key of its own has no intervals here.
#[derive(Serialize, Deserialize)]
struct Packed(u64, usize, FlowInstanceId, u64, Vec<(i32, i64)>);

/// The bytes of a chunk, and of the entries that found no room in it.
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    /// Place and bytes; these may be longer than a value of the index.
    pub(super) apart: Vec<(u64, Vec<u8>)>,
}

impl Chunk {
    /// Without instances.
    pub(super) const NONE: Self = Self { entries: Vec::new() };

    /// The entry of the instance that begins here.
    pub(super) fn get(&self, ordinal: u64) -> Option<&InstanceEntry> {
        let found = self
            .entries
            .binary_search_by_key(&ordinal, |entry| entry.ordinal)
            .ok()?;
        self.entries.get(found)
    }

    /// The entry of the instance that begins here, to be changed.
    pub(super) fn get_mut(&mut self, ordinal: u64) -> Option<&mut InstanceEntry> {
        let found = self
            .entries
            .binary_search_by_key(&ordinal, |entry| entry.ordinal)
            .ok()?;
        self.entries.get_mut(found)
    }

    /// Adds an entry, unless the place is taken.
    pub(super) fn add(&mut self, entry: InstanceEntry) {
        if let Err(place) = self.entries.binary_search_by_key(&entry.ordinal, |entry| entry.ordinal) {
            self.entries.insert(place, entry);
        }
    }

    /// The last entry before a place.
    pub(super) fn last_before(&self, ordinal: u64) -> Option<&InstanceEntry> {
        let end = self.entries.partition_point(|entry| entry.ordinal < ordinal);
        self.entries.get(end.checked_sub(1)?)
    }

    /// As the index has it.
    pub(super) fn encode(&self) -> Result<Encoded, rmp_serde::encode::Error> {
        let encoded = self.encode_with(|_| false)?;
        if encoded.bytes.len() <= INDEX_VALUE_MAX {
            return Ok(encoded);
        }
        // Rare: long texts, or instances that were held and resumed very often.
        self.encode_with(|_| true)
    }

    fn encode_with(&self, stands_apart: impl Fn(&InstanceEntry) -> bool) -> Result<Encoded, rmp_serde::encode::Error> {
        let mut owners: Vec<&InstanceEntry> = Vec::new();
        let mut packed = Vec::with_capacity(self.entries.len());
        let mut apart = Vec::new();
        for entry in &self.entries {
            if stands_apart(entry) {
                apart.push((entry.ordinal, rmp_serde::to_vec(entry)?));
                packed.push(Packed(entry.ordinal, 0, FlowInstanceId::new(""), 0, Vec::new()));
                continue;
            }
            let has_same = |other: &&InstanceEntry| {
                other.flow_deploy_id == entry.flow_deploy_id
                    && other.flow_module_id == entry.flow_module_id
                    && other.tenant == entry.tenant
            };
            let owner = owners.iter().position(has_same).unwrap_or_else(|| {
                owners.push(entry);
                owners.len() - 1
            });
            let mut before = 0;
            let intervals = entry.intervals.iter().map(|interval| {
                let from = interval.from.millis();
                let since = from.wrapping_sub(before);
                before = from;
                (interval.status, since)
            });
            let behind = entry.taken_in.saturating_sub(entry.ordinal);
            let intervals = intervals.collect();
            packed.push(Packed(
                entry.ordinal,
                owner,
                entry.flow_instance_id.clone(),
                behind,
                intervals,
            ));
        }
        let owner = |entry: &&InstanceEntry| {
            Owner(
                entry.flow_deploy_id.clone(),
                entry.flow_module_id.clone(),
                entry.tenant.clone(),
            )
        };
        let owners: Vec<Owner> = owners.iter().map(owner).collect();
        let mut bytes = Vec::with_capacity(1_024);
        rmp_serde::encode::write(&mut bytes, &(owners, packed))?;
        Ok(Encoded { bytes, apart })
    }

    /// From the bytes of the index; `apart` gives the bytes of an entry that found no room.
    pub(super) fn decode<E: From<rmp_serde::decode::Error>>(
        bytes: &[u8],
        mut apart: impl FnMut(u64) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let (owners, packed): (Vec<Owner>, Vec<Packed>) = rmp_serde::from_slice(bytes)?;
        let mut entries = Vec::with_capacity(packed.len());
        for Packed(ordinal, owner, flow_instance_id, behind, intervals) in packed {
            if intervals.is_empty() {
                entries.push(rmp_serde::from_slice(&apart(ordinal)?)?);
                continue;
            }
            let Some(Owner(flow_deploy_id, flow_module_id, tenant)) = owners.get(owner) else {
                let why = serde::de::Error::custom("an instance of nobody");
                return Err(E::from(why));
            };
            let mut at = 0i64;
            let intervals = intervals.into_iter().map(|(status, since)| {
                at = at.wrapping_add(since);
                let from = Timestamp::from_millis(at);
                StatusInterval { status, from }
            });
            entries.push(InstanceEntry {
                flow_instance_id,
                flow_deploy_id: flow_deploy_id.clone(),
                flow_module_id: flow_module_id.clone(),
                tenant: tenant.clone(),
                intervals: intervals.collect(),
                ordinal,
                taken_in: ordinal.saturating_add(behind),
            });
        }
        Ok(Self { entries })
    }
}

/// Which of the neighbouring places of the log are on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places([u64; SET_WORDS]);

impl Default for Places {
    fn default() -> Self {
        Self([0; SET_WORDS])
    }
}

impl Places {
    /// Puts a place on the list, or takes it off.
    pub(super) fn set(&mut self, ordinal: u64, is_listed: bool) {
        let (word, bit) = place(ordinal);
        if let Some(word) = self.0.get_mut(word) {
            *word = if is_listed { *word | bit } else { *word & !bit };
        }
    }

    /// The last listed place before `ordinal`, in the set of this number.
    pub(super) fn last_before(&self, set: u64, ordinal: u64) -> Option<u64> {
        let begin = set << SET_BITS;
        let end = ordinal.checked_sub(begin)?.min(1 << SET_BITS);
        let words = self.0.iter().enumerate().rev();
        words.into_iter().find_map(|(number, word)| {
            let first = number as u64 * 64;
            let shown = match end.checked_sub(first)? {
                0 => 0,
                shown @ 1..64 => *word & ((1 << shown) - 1),
                _ => *word,
            };
            let last = 63u64.checked_sub(u64::from(shown.leading_zeros()))?;
            Some(begin + first + last)
        })
    }

    /// As the index has it; `None` when nothing is listed.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let count: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        if count == 0 {
            return None;
        }
        if count as usize > FEW {
            return Some(self.0.iter().flat_map(|word| word.to_be_bytes()).collect());
        }
        let mut bytes = Vec::with_capacity(count as usize * 2);
        for (number, word) in (0u16..).zip(&self.0) {
            let mut left = *word;
            while left != 0 {
                let bit = u16::try_from(left.trailing_zeros()).unwrap_or(0);
                bytes.extend((number * 64 + bit).to_be_bytes());
                left &= left - 1;
            }
        }
        Some(bytes)
    }

    /// From the bytes of the index.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let mut places = Self::default();
        if bytes.len() == SET_WORDS * 8 {
            for (word, bytes) in places.0.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_be_bytes(*bytes);
            }
        } else {
            for bytes in bytes.as_chunks().0 {
                places.set(u64::from(u16::from_be_bytes(*bytes)), true);
            }
        }
        places
    }
}

/// The word and the bit of a place in its set.
const fn place(ordinal: u64) -> (usize, u64) {
    let within = ordinal & ((1 << SET_BITS) - 1);
    ((within >> 6) as usize, 1 << (within & 63))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn entry(ordinal: u64, tenant: Option<String>, intervals: usize) -> InstanceEntry {
        let interval = |number: usize| StatusInterval {
            status: 1 + i32::from(number.is_multiple_of(2)),
            from: Timestamp::from_millis(1_700_000_000_000 + i64::try_from(number).unwrap() * 7),
        };
        InstanceEntry {
            flow_instance_id: format!("00000000-0000-4000-8000-{ordinal:012x}").into(),
            flow_deploy_id: "d".into(),
            flow_module_id: "m".into(),
            tenant: tenant.map(Arc::from),
            intervals: (0..intervals).map(interval).collect(),
            ordinal,
            taken_in: ordinal + intervals as u64,
        }
    }

    proptest! {
        #[test]
        fn a_chunk_is_read_as_it_was_written(
            entries in proptest::collection::btree_map(0u64..32, (proptest::option::of("[a-z]{0,200}"), 1usize..400), 0..32),
        ) {
            let mut chunk = Chunk::default();
            for (ordinal, (tenant, intervals)) in entries {
                chunk.add(entry(ordinal + 128, tenant, intervals));
            }
            let encoded = chunk.encode().unwrap();
            prop_assert!(encoded.bytes.len() <= INDEX_VALUE_MAX);
            let apart: BTreeMap<u64, Vec<u8>> = encoded.apart.into_iter().collect();
            let read = Chunk::decode::<rmp_serde::decode::Error>(&encoded.bytes, |ordinal| Ok(apart[&ordinal].clone()));
            prop_assert_eq!(read.unwrap(), chunk);
        }

        #[test]
        fn places_are_those_of_a_plain_set(steps in proptest::collection::vec((0u64..4096, any::<bool>()), 0..600), asked in 0u64..4200) {
            let (mut places, mut plain) = (Places::default(), BTreeSet::new());
            let begin = 5 << SET_BITS;
            for (place, is_listed) in steps {
                places.set(begin + place, is_listed);
                if is_listed {
                    plain.insert(begin + place);
                } else {
                    plain.remove(&(begin + place));
                }
            }
            let read = places.encode().map(|bytes| Places::decode(&bytes)).unwrap_or_default();
            prop_assert_eq!(&read, &places);
            let last = plain.range(..begin + asked).next_back().copied();
            prop_assert_eq!(places.last_before(5, begin + asked), last);
        }
    }

    #[test]
    fn instances_at_every_place_fit_in_a_chunk() {
        let mut chunk = Chunk::default();
        for ordinal in 64..96 {
            chunk.add(entry(ordinal, None, 2));
        }
        let encoded = chunk.encode().unwrap();
        assert!(encoded.apart.is_empty(), "{} bytes", encoded.bytes.len());
    }
}
