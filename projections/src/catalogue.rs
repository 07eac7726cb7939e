//! The catalogue: what crosses instances. Modules, deployments, and instances by status, module, tenant and time.
//!
//! Derived from the log and kept at a position of its own: a delta in memory, written to the index in bulk. All of it
//! may be deleted and is built again. Serves look-ups and lists; no command is decided by it.

mod change;
mod chunk;
mod entry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use flowledger_engine_core::codec::{self, CodecError};
use flowledger_engine_core::event::{AnyRecord, InstanceRecord, ModuleRecord};
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId, Id};
use flowledger_engine_core::time::Timestamp;
use flowledger_event_store::{
    EventStore, INDEX_VALUE_MAX, IndexChange, IndexStore, Offset, Revision, StoreError, Stored,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use entry::{DeploymentEntry, InstanceEntry, ModuleEntry, StatusInterval};

use change::Change;
use chunk::{Chunk, Places, chunk_of, set_of};

/// The name under which the index keeps the catalogue's position.
///
/// It changes with the shape of the entries, so that a catalogue of another shape is built again.
const NAME: &str = "catalogue-2";
/// Every key of the catalogue begins with this byte.
const PREFIX: u8 = b'c';
/// Changed keys and chunks at which they should be written out.
const DELTA_ENTRIES: usize = 4_096;
/// Records after which the position should be written out even if little has changed.
const POSITION_LAG: u64 = 8_192;
/// Records told ahead of a missing one at which the log should be asked for it.
const EARLY_RECORDS: usize = 4_096;
/// Records noted at which they should be taken in.
const NOTED_RECORDS: usize = 256;
/// Records noted at which whoever notes another takes them in.
const NOTED_MAX: usize = 1 << 16;
/// Records read from the log at a time.
const READ_BATCH: usize = 1_000;
/// Keys written to the index at a time.
const WRITE_STEP: usize = 16;
/// How long log and processor are left to the commits after a step, where they are not to be held up.
const WRITE_PAUSE: Duration = Duration::from_micros(200);
/// Records noted at which there is no time for that.
const NOTED_LATE: usize = NOTED_MAX / 2;
/// Bytes of keys and values written to the index at a time, or a little more.
const WRITE_BYTES: usize = 8 << 10;
/// Entries looked at for one page of a list.
const PAGE_SCAN: usize = 10_000;
/// Most entries of one page.
pub const PAGE_MAX: usize = 1_000;

/// Why the catalogue cannot answer.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// The store failed.
    #[error("the catalogue cannot read its store")]
    Store(#[from] StoreError),
    /// A record of the log cannot be read.
    #[error("record {offset} of the log cannot be read")]
    Record {
        /// The record's place in the log.
        offset: Offset,
        /// Why.
        source: CodecError,
    },
    /// An entry of the index cannot be read; the index should be built again.
    #[error("an entry of the catalogue cannot be read; delete the index and open the store again")]
    Entry(#[from] rmp_serde::decode::Error),
}

/// Which instances a list is about. Absent members do not restrict it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceFilter {
    /// Only with this status, by its number.
    pub status: Option<i32>,
    /// Only of this module.
    pub flow_module_id: Option<FlowModuleId>,
    /// Only of this tenant.
    pub tenant: Option<Arc<str>>,
    /// Only started at or after this time.
    pub started_from: Option<Timestamp>,
    /// Only started before this time.
    pub started_before: Option<Timestamp>,
    /// As of this time: instances started later are left out, and statuses are those of then.
    pub as_of: Option<Timestamp>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries, newest first.
    pub entries: Vec<T>,
    /// Where the next page begins; `None` when this is the last. A page may be short, even empty, and have a next one.
    pub next: Option<u64>,
}

/// Changed keys; `None` removes one.
type Changed = BTreeMap<Vec<u8>, Option<Vec<u8>>>;
/// Keys with their values.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// What has changed since the index was written: keys, and what is written many at a time, as a whole.
#[derive(Default)]
struct Delta {
    keys: Changed,
    /// Chunks of instances by their number.
    chunks: BTreeMap<u64, Chunk>,
    /// Places on lists by the key of their set.
    lists: BTreeMap<Vec<u8>, Places>,
}

impl Delta {
    fn len(&self) -> usize {
        self.keys.len() + self.chunks.len() + self.lists.len()
    }

    /// The newest set of a list up to this key.
    fn set_upto(&self, list: &[u8], key: &[u8]) -> Option<(&Vec<u8>, &Places)> {
        let mut sets = self
            .lists
            .range::<[u8], _>((Bound::Included(list), Bound::Included(key)));
        sets.next_back().filter(|(key, _)| key::is_set_of(key, list))
    }

    /// Every changed key with its new value, chunks and sets last, in units of which each must be there whole or not at all.
    fn units(&self) -> impl Iterator<Item = Vec<IndexChange>> + '_ {
        let keys = self.keys.iter().map(|(key, value)| vec![(key.clone(), value.clone())]);
        let chunks = self.chunks.iter().filter_map(|(number, chunk)| match chunk.encode() {
            Ok(encoded) => {
                let apart = encoded.apart.into_iter().flat_map(|(ordinal, bytes)| {
                    let pieces = (0u32..).zip(bytes.chunks(INDEX_VALUE_MAX));
                    let pieces = pieces.map(|(piece, bytes)| (key::apart(ordinal, piece), Some(bytes.to_vec())));
                    pieces.collect::<Vec<_>>()
                });
                Some(apart.chain([(key::chunk(*number), Some(encoded.bytes))]).collect())
            }
            Err(error) => {
                debug_assert!(false, "a catalogue entry must be writable: {error}");
                None
            }
        });
        let lists = self
            .lists
            .iter()
            .map(|(key, places)| vec![(key.clone(), places.encode())]);
        keys.chain(chunks).chain(lists)
    }

    /// Takes back what could not be written, where nothing newer is here.
    fn take_back(&mut self, unwritten: &Self) {
        for (key, value) in &unwritten.keys {
            self.keys.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (number, chunk) in &unwritten.chunks {
            self.chunks.entry(*number).or_insert_with(|| chunk.clone());
        }
        for (key, places) in &unwritten.lists {
            self.lists.entry(key.clone()).or_insert_with(|| places.clone());
        }
    }
}

/// The catalogue of one store.
pub struct Catalogue {
    index: Arc<dyn IndexStore>,
    state: Mutex<State>,
    /// What commands noted and nobody has taken in yet. Apart from the state, so that no command waits while somebody reads the
    /// index; whoever has both locked, locked the state first.
    noted: Mutex<Vec<(u64, Vec<Change>)>>,
}

#[derive(Default)]
struct State {
    /// Every record up to here is in the delta or in the index.
    applied: u64,
    /// The position the index stands for.
    written: u64,
    /// Changes of records that came before an earlier one did.
    early: BTreeMap<u64, Vec<Change>>,
    /// Whether records could not be taken in, and are to be read from the log.
    has_gap: bool,
    delta: Delta,
    /// A delta on its way into the index.
    writing: Arc<Delta>,
}

/// What the catalogue needs from who looks after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Nothing yet.
    Nothing,
    /// A [`Catalogue::checkpoint`]: enough has gathered.
    Checkpoint,
    /// A [`Catalogue::catch_up`]: records are missing that nobody noted or that could not be taken in.
    CatchUp,
}

impl State {
    fn wants_checkpoint(&self) -> bool {
        let is_large = self.delta.len() >= DELTA_ENTRIES || self.applied.saturating_sub(self.written) >= POSITION_LAG;
        is_large && self.writing.len() == 0
    }
}

impl Catalogue {
    /// The catalogue as the index has it. Call [`Catalogue::catch_up`] before the first look-up.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn open(index: Arc<dyn IndexStore>) -> Result<Self, CatalogueError> {
        let position = index.position(NAME)?.get();
        if position == 0 {
            index.clear(NAME, &[PREFIX])?;
        }
        let state = State {
            applied: position,
            written: position,
            ..State::default()
        };
        Ok(Self {
            index,
            state: Mutex::new(state),
            noted: Mutex::default(),
        })
    }

    /// Forgets everything and builds it again from the log.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn rebuild(&self, log: &dyn EventStore) -> Result<(), CatalogueError> {
        {
            let mut state = self.lock();
            self.index.clear(NAME, &[PREFIX])?;
            *state = State::default();
        }
        self.catch_up(log).await
    }

    /// Takes in what the log has and the catalogue has not.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub async fn catch_up(&self, log: &dyn EventStore) -> Result<(), CatalogueError> {
        loop {
            let after = {
                let mut state = self.lock();
                self.settle(&mut state)?;
                state.applied
            };
            if after >= log.head(0).get() {
                self.lock().has_gap = false;
                return Ok(());
            }
            let batch = log.read_partition(0, Offset::new(after), READ_BATCH).await?;
            if batch.is_empty() {
                return Ok(());
            }
            for stored in batch {
                let record = codec::decode(&stored.record).map_err(|source| CatalogueError::Record {
                    offset: stored.offset,
                    source,
                })?;
                let changes = match &record {
                    AnyRecord::Module(record) => Change::of_module(record),
                    AnyRecord::Instance(record) => {
                        let mut changes = Change::of_instance(record, stored.offset);
                        for change in &mut changes {
                            // Looked up only for the few records that change a status.
                            if let Change::InstanceStatus { first, .. } = change {
                                *first = first_of(log, &stored).await?;
                            }
                        }
                        changes
                    }
                };
                self.take_in(&mut self.lock(), stored.offset.get(), changes)?;
            }
            if self.lock().wants_checkpoint() {
                self.checkpoint()?;
            }
        }
    }

    /// Notes a module's record that became durable at `offset`; true when it is time for [`Catalogue::take_in_noted`].
    pub fn note_module(&self, offset: Offset, record: &ModuleRecord) -> bool {
        self.note(offset, Change::of_module(record))
    }

    /// Notes an instance's record that became durable at `offset`; the instance's first record stands at `first`. True when it is
    /// time for [`Catalogue::take_in_noted`].
    pub fn note_instance(&self, offset: Offset, first: Offset, record: &InstanceRecord) -> bool {
        self.note(offset, Change::of_instance(record, first))
    }

    fn note(&self, offset: Offset, changes: Vec<Change>) -> bool {
        let noted = {
            let mut noted = self.noted();
            noted.push((offset.get(), changes));
            noted.len()
        };
        if noted >= NOTED_MAX {
            // What cannot be taken in is read from the log later: the gap shows.
            let _ = self.take_in_noted();
        }
        noted >= NOTED_RECORDS
    }

    /// Takes in what was noted, as every look-up does; tells what is due then.
    ///
    /// # Errors
    /// An index that cannot be read; [`Catalogue::catch_up`] is due.
    pub fn take_in_noted(&self) -> Result<Due, CatalogueError> {
        let mut state = self.lock();
        self.settle(&mut state)?;
        Ok(if state.has_gap || state.early.len() >= EARLY_RECORDS {
            Due::CatchUp
        } else if state.wants_checkpoint() {
            Due::Checkpoint
        } else {
            Due::Nothing
        })
    }

    /// Writes the delta to the index, as fast as it can. Look-ups and notes go on meanwhile.
    ///
    /// # Errors
    /// An index that cannot be written; nothing is lost, the delta stays.
    pub fn checkpoint(&self) -> Result<(), CatalogueError> {
        self.checkpoint_with(Duration::ZERO)
    }

    /// Writes the delta to the index with pauses, so that commits wait less for it.
    ///
    /// # Errors
    /// As [`Catalogue::checkpoint`].
    pub fn checkpoint_beside_commits(&self) -> Result<(), CatalogueError> {
        self.checkpoint_with(WRITE_PAUSE)
    }

    fn checkpoint_with(&self, pause: Duration) -> Result<(), CatalogueError> {
        let (delta, written, position) = {
            let mut state = self.lock();
            self.settle(&mut state)?;
            if state.writing.len() > 0 || state.applied == state.written {
                return Ok(());
            }
            state.writing = Arc::new(std::mem::take(&mut state.delta));
            (state.writing.clone(), state.written, state.applied)
        };
        let outcome = self.write_out(&delta, written, position, pause);
        let mut state = self.lock();
        let writing = std::mem::take(&mut state.writing);
        match outcome {
            Ok(()) => {
                // Unless it started again from the index meanwhile.
                if state.written == written {
                    state.written = position;
                }
                Ok(())
            }
            Err(error) => {
                state.delta.take_back(&writing);
                Err(error.into())
            }
        }
    }

    /// Writes a delta in small steps, with a pause after each as long as there is time for that. The position moves behind the last step;
    /// after a crash before it, the records from the old position are taken in again: entries that have them already stay, and
    /// are put on their lists once more.
    fn write_out(&self, delta: &Delta, written: u64, position: u64, pause: Duration) -> Result<(), StoreError> {
        let marker = key::numbered(&[PREFIX, b'w'], position);
        let mut units = delta.units().peekable();
        for number in 0u64.. {
            let mut step = units.next().unwrap_or_default();
            let is_unit = step.len() > 1;
            let mut bytes: usize = step.iter().map(change_len).sum();
            while let Some(unit) =
                units.next_if(|unit| !is_unit && unit.len() == 1 && step.len() < WRITE_STEP && bytes < WRITE_BYTES)
            {
                bytes += unit.iter().map(change_len).sum::<usize>();
                step.extend(unit);
            }
            // A store that reopened in between may have lost the earlier steps; then the marker is not what it was.
            let reached = self.index.get(&marker)?;
            if number > 0 && reached.as_deref() != Some(&number.to_be_bytes()) {
                let why = "the store was reopened while the catalogue was written out".to_owned();
                return Err(StoreError::Unavailable { why });
            }
            if step.is_empty() {
                break;
            }
            step.push((marker.clone(), Some((number + 1).to_be_bytes().to_vec())));
            if is_unit {
                self.index.apply(step, NAME, Offset::new(written))?;
            } else {
                self.index.write(step)?;
            }
            if !pause.is_zero() && self.noted().len() < NOTED_LATE {
                thread::sleep(pause);
            }
        }
        self.index.apply(vec![(marker, None)], NAME, Offset::new(position))
    }

    /// Brings the state up: to the index, and then to what was noted.
    fn settle(&self, state: &mut State) -> Result<(), CatalogueError> {
        self.look_back(state)?;
        let noted = std::mem::take(&mut *self.noted());
        for (offset, changes) in noted {
            if let Err(error) = self.take_in(state, offset, changes) {
                // What was noted behind it is in the log, too.
                state.has_gap = true;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Starts again from the index where the store, reopened after an error, has it behind what was written.
    fn look_back(&self, state: &mut State) -> Result<(), StoreError> {
        if state.written == 0 {
            return Ok(());
        }
        let position = self.index.position(NAME)?.get();
        if position < state.written {
            if position == 0 {
                self.index.clear(NAME, &[PREFIX])?;
            }
            *state = State {
                applied: position,
                written: position,
                ..State::default()
            };
        }
        Ok(())
    }

    /// The deployment with this id.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn deployment(&self, id: &FlowDeployId) -> Result<Option<DeploymentEntry>, CatalogueError> {
        self.look_up(&key::deployment(id))
    }

    /// The module with this id.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn module(&self, id: &FlowModuleId) -> Result<Option<ModuleEntry>, CatalogueError> {
        self.look_up(&key::module(id))
    }

    /// The stream of the root of a sub flow instance.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn root_of(&self, id: &FlowInstanceId) -> Result<Option<[u8; 16]>, CatalogueError> {
        let mut state = self.lock();
        self.settle(&mut state)?;
        let stream = self.raw(&state, &key::sub_flow(&id.id().to_bytes()))?;
        Ok(stream.and_then(|bytes| <[u8; 16]>::try_from(&*bytes).ok()))
    }

    /// A page of modules, newest first, beginning before `before`.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn modules(&self, before: Option<u64>, limit: usize) -> Result<Page<ModuleEntry>, CatalogueError> {
        let (from, to) = key::span(&[PREFIX, b'l'], before);
        self.page(
            &from,
            &to,
            limit,
            |_, id| key::module_bytes(id),
            |entry: &ModuleEntry| (entry.ordinal, true),
        )
    }

    /// A page of instances, newest first, beginning before `before`.
    ///
    /// # Errors
    /// An index that cannot be read.
    pub fn instances(
        &self,
        filter: &InstanceFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<InstanceEntry>, CatalogueError> {
        // The narrowest order that the filter allows; a status of the past is in none of them.
        let list = match (
            filter.status.filter(|_| filter.as_of.is_none()),
            &filter.flow_module_id,
            &filter.tenant,
        ) {
            (_, Some(module), _) => Some(key::by_module(&module.id().to_bytes())),
            (Some(status), None, _) => Some(key::by_status(status)),
            (None, None, Some(tenant)) => Some(key::by_tenant(tenant)),
            (None, None, None) => None,
        };
        let limit = limit.clamp(1, PAGE_MAX);
        let mut state = self.lock();
        self.settle(&mut state)?;
        let mut found = Found::default();
        let mut page = Page {
            entries: Vec::new(),
            next: None,
        };
        let mut before = before.unwrap_or(u64::MAX);
        for looked_at in 0.. {
            let Some(ordinal) = self.last_listed(&state, list.as_deref(), before, &mut found)? else {
                page.next = None;
                break;
            };
            if page.entries.len() >= limit || looked_at >= PAGE_SCAN {
                break;
            }
            before = ordinal;
            page.next = Some(ordinal);
            let entry = self.chunk_for(&state, chunk_of(ordinal), &mut found)?.get(ordinal);
            if let Some(entry) = entry.filter(|entry| entry.fits(filter)) {
                let mut entry = entry.clone();
                if let Some(as_of) = filter.as_of {
                    entry.cut_at(as_of);
                }
                page.entries.push(entry);
            }
        }
        Ok(page)
    }

    /// The last place before `before` on a list, or of all instances.
    fn last_listed(
        &self,
        state: &State,
        list: Option<&[u8]>,
        before: u64,
        found: &mut Found,
    ) -> Result<Option<u64>, CatalogueError> {
        let Some(mut upto) = before.checked_sub(1) else {
            return Ok(None);
        };
        loop {
            let (number, newest) = match list {
                None => match self.chunk_upto(state, chunk_of(upto), found)? {
                    Some((number, chunk)) => (
                        chunk::first_of_chunk(number),
                        chunk.last_before(before).map(|entry| entry.ordinal),
                    ),
                    None => return Ok(None),
                },
                Some(list) => match self.set_upto(state, list, set_of(upto), found)? {
                    Some((number, places)) => (chunk::first_of_set(number), places.last_before(number, before)),
                    None => return Ok(None),
                },
            };
            if newest.is_some() {
                return Ok(newest);
            }
            // Nothing there; on before it.
            let Some(earlier) = number.checked_sub(1) else {
                return Ok(None);
            };
            upto = earlier;
        }
    }

    /// The newest chunk up to this number.
    fn chunk_upto<'f>(
        &self,
        state: &State,
        number: u64,
        found: &'f mut Found,
    ) -> Result<Option<(u64, &'f Chunk)>, CatalogueError> {
        if found
            .chunk
            .as_ref()
            .is_none_or(|(known, upto, _)| !(*known..=*upto).contains(&number))
        {
            let pending = [&state.delta, &*state.writing].map(|delta| delta.chunks.range(..=number).next_back());
            let pending = pending.into_iter().flatten().map(|(number, _)| *number).max();
            let from = key::chunk(pending.unwrap_or(0));
            let written = self.index.range(&from, &key::after(key::chunk(number)), true, 1)?;
            let written = written.first().map(|(key, _)| key::ordinal(key));
            let Some(newest) = pending.max(written) else {
                return Ok(None);
            };
            let chunk = self.chunk(state, newest)?;
            found.chunk = Some((newest, number, chunk));
        }
        Ok(found.chunk.as_ref().map(|(number, _, chunk)| (*number, chunk)))
    }

    /// The chunk of this number.
    fn chunk_for<'f>(&self, state: &State, number: u64, found: &'f mut Found) -> Result<&'f Chunk, CatalogueError> {
        if found.chunk.as_ref().is_none_or(|(known, ..)| *known != number) {
            let chunk = self.chunk(state, number)?;
            found.chunk = Some((number, number, chunk));
        }
        Ok(found.chunk.as_ref().map_or(&NO_CHUNK, |(.., chunk)| chunk))
    }

    /// The newest set of a list up to this number.
    fn set_upto<'f>(
        &self,
        state: &State,
        list: &[u8],
        number: u64,
        found: &'f mut Found,
    ) -> Result<Option<(u64, &'f Places)>, CatalogueError> {
        if found
            .places
            .as_ref()
            .is_none_or(|(known, upto, _)| !(*known..=*upto).contains(&number))
        {
            let to = key::numbered(list, number);
            let pending = [&state.delta, &*state.writing].map(|delta| delta.set_upto(list, &to));
            let pending = pending.into_iter().flatten().map(|(key, _)| key::ordinal(key)).max();
            let from = key::numbered(list, pending.unwrap_or(0));
            let written = self.index.range(&from, &key::after(to), true, 1)?;
            let written = written.first().map(|(key, _)| key::ordinal(key));
            let Some(newest) = pending.max(written) else {
                return Ok(None);
            };
            let places = self.places(state, &key::numbered(list, newest))?;
            found.places = Some((newest, number, places));
        }
        Ok(found.places.as_ref().map(|(number, _, places)| (*number, places)))
    }

    /// The chunk of this number, empty where there is none.
    fn chunk(&self, state: &State, number: u64) -> Result<Chunk, CatalogueError> {
        for delta in [&state.delta, &*state.writing] {
            if let Some(chunk) = delta.chunks.get(&number) {
                return Ok(chunk.clone());
            }
        }
        match self.index.get(&key::chunk(number))? {
            None => Ok(Chunk::default()),
            Some(bytes) => Chunk::decode(&bytes, |ordinal| {
                let (from, to) = (key::apart(ordinal, 0), key::apart(ordinal, u32::MAX));
                let pieces = self.index.range(&from, &to, false, usize::MAX)?;
                Ok(pieces.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect())
            }),
        }
    }

    /// The set under this key, empty where there is none.
    fn places(&self, state: &State, key: &[u8]) -> Result<Places, CatalogueError> {
        for delta in [&state.delta, &*state.writing] {
            if let Some(places) = delta.lists.get(key) {
                return Ok(places.clone());
            }
        }
        let bytes = self.index.get(key)?;
        Ok(bytes.map_or_else(Places::default, |bytes| Places::decode(&bytes)))
    }

    /// Puts an instance on a list, or takes it off.
    fn list(&self, state: &mut State, list: Vec<u8>, ordinal: u64, is_listed: bool) -> Result<(), CatalogueError> {
        let key = key::with_number(list, set_of(ordinal));
        if let Some(places) = state.delta.lists.get_mut(&key) {
            places.set(ordinal, is_listed);
            return Ok(());
        }
        let mut places = self.places(state, &key)?;
        places.set(ordinal, is_listed);
        state.delta.lists.insert(key, places);
        Ok(())
    }

    /// The chunk of an instance, to be changed.
    fn chunk_mut<'s>(&self, state: &'s mut State, ordinal: u64) -> Result<&'s mut Chunk, CatalogueError> {
        let number = chunk_of(ordinal);
        if !state.delta.chunks.contains_key(&number) {
            let chunk = self.chunk(state, number)?;
            state.delta.chunks.insert(number, chunk);
        }
        Ok(state.delta.chunks.entry(number).or_default())
    }

    /// Puts an instance on the lists where its entry says it belongs, and takes it off those of the statuses it had. What was
    /// written before a crash may have the entry and not the lists, so this is done again where the entry has it all.
    fn list_instance(&self, state: &mut State, entry: &InstanceEntry, is_new: bool) -> Result<(), CatalogueError> {
        let (ordinal, status) = (entry.ordinal, entry.status());
        if is_new {
            let module = key::by_module(&entry.flow_module_id.id().to_bytes());
            self.list(state, module, ordinal, true)?;
            if let Some(tenant) = &entry.tenant {
                self.list(state, key::by_tenant(tenant), ordinal, true)?;
            }
        }
        for had in entry.intervals.iter().map(|interval| interval.status) {
            if had != status {
                self.list(state, key::by_status(had), ordinal, false)?;
            }
        }
        self.list(state, key::by_status(status), ordinal, true)
    }

    fn page<T: DeserializeOwned>(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        entry_key: impl Fn(&[u8], &[u8]) -> Vec<u8>,
        fits: impl Fn(&T) -> (u64, bool),
    ) -> Result<Page<T>, CatalogueError> {
        let limit = limit.clamp(1, PAGE_MAX);
        let mut state = self.lock();
        self.settle(&mut state)?;
        let mut page = Page {
            entries: Vec::new(),
            next: None,
        };
        let mut to = to.to_vec();
        let mut looked_at = 0;
        loop {
            let found = self.range(&state, from, &to, limit.max(64))?;
            let Some((last, _)) = found.last() else { return Ok(page) };
            to.clone_from(last);
            for (key, value) in found {
                let Some(entry) = self.entry::<T>(&state, &entry_key(&key, &value))? else {
                    continue;
                };
                let (ordinal, fits) = fits(&entry);
                looked_at += 1;
                page.next = Some(ordinal);
                if fits {
                    page.entries.push(entry);
                }
                if page.entries.len() >= limit || looked_at >= PAGE_SCAN {
                    let is_last = self.range(&state, from, &key::cut(&to, ordinal), 1)?.is_empty();
                    page.next = page.next.filter(|_| !is_last);
                    return Ok(page);
                }
            }
            page.next = None;
        }
    }

    fn look_up<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, CatalogueError> {
        let mut state = self.lock();
        self.settle(&mut state)?;
        self.entry(&state, key)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way through a change, so a poisoned state is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn noted(&self) -> MutexGuard<'_, Vec<(u64, Vec<Change>)>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_in(&self, state: &mut State, offset: u64, changes: Vec<Change>) -> Result<(), CatalogueError> {
        if offset <= state.applied {
            return Ok(());
        }
        if offset != state.applied + 1 {
            state.early.insert(offset, changes);
            return Ok(());
        }
        let mut next = Some(changes);
        while let Some(changes) = next {
            let ordinal = state.applied + 1;
            for change in changes {
                self.apply(state, ordinal, change)?;
            }
            state.applied = ordinal;
            next = state.early.remove(&(ordinal + 1));
        }
        Ok(())
    }

    fn apply(&self, state: &mut State, ordinal: u64, change: Change) -> Result<(), CatalogueError> {
        match change {
            Change::ModuleCreated(mut entry) => {
                let id = entry.flow_module_id.id().to_bytes();
                put_raw(state, key::numbered(&[PREFIX, b'l'], ordinal), id.to_vec());
                let key = key::module(&entry.flow_module_id);
                if self.entry::<ModuleEntry>(state, &key)?.is_none() {
                    entry.ordinal = ordinal;
                    entry.taken_in = ordinal;
                    put(state, key, &entry);
                }
            }
            Change::ModuleChanged { module, change } => {
                let key = key::module_bytes(&module);
                if let Some(mut entry) = self.entry::<ModuleEntry>(state, &key)?.filter(|e| e.taken_in < ordinal) {
                    change.apply_to(&mut entry);
                    entry.taken_in = ordinal;
                    put(state, key, &entry);
                }
            }
            Change::Deployed { module, mut deployment } => {
                let module_key = key::module_bytes(&module);
                if let Some(mut entry) = self.entry::<ModuleEntry>(state, &module_key)? {
                    deployment.flow_module_id = entry.flow_module_id.clone();
                    if entry.taken_in < ordinal {
                        entry.taken_in = ordinal;
                        entry.latest_flow_deploy_id = Some(deployment.flow_deploy_id.clone());
                        put(state, module_key, &entry);
                    }
                    put(state, key::deployment(&deployment.flow_deploy_id), &deployment);
                }
            }
            Change::InstanceStarted(entry) => {
                let mut entry = *entry;
                let chunk = self.chunk_mut(state, ordinal)?;
                if let Some(known) = chunk.get(ordinal) {
                    entry = known.clone();
                } else {
                    entry.ordinal = ordinal;
                    entry.taken_in = ordinal;
                    chunk.add(entry.clone());
                }
                self.list_instance(state, &entry, true)?;
            }
            Change::SubFlowStarted { id, stream } => put_raw(state, key::sub_flow(&id), stream.to_vec()),
            Change::InstanceStatus { first, interval } => {
                let Some(entry) = self.chunk_mut(state, first)?.get_mut(first) else {
                    return Ok(());
                };
                if entry.taken_in < ordinal {
                    entry.taken_in = ordinal;
                    entry.intervals.push(interval);
                }
                let entry = entry.clone();
                self.list_instance(state, &entry, false)?;
            }
        }
        Ok(())
    }

    fn entry<T: DeserializeOwned>(&self, state: &State, key: &[u8]) -> Result<Option<T>, CatalogueError> {
        let bytes = self.raw(state, key)?;
        bytes
            .map(|bytes| rmp_serde::from_slice(&bytes).map_err(CatalogueError::Entry))
            .transpose()
    }

    fn raw(&self, state: &State, key: &[u8]) -> Result<Option<Arc<[u8]>>, CatalogueError> {
        let pending = state.delta.keys.get(key).or_else(|| state.writing.keys.get(key));
        Ok(match pending {
            Some(value) => value.as_deref().map(Arc::from),
            None => self.index.get(key)?,
        })
    }

    /// The newest `max` entries of a span, newest first: the index, overlaid with what is not written yet.
    fn range(&self, state: &State, from: &[u8], to: &[u8], max: usize) -> Result<Entries, CatalogueError> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut pending: BTreeMap<&Vec<u8>, &Option<Vec<u8>>> = BTreeMap::new();
        for layer in [&*state.writing, &state.delta] {
            pending.extend(layer.keys.range(from.to_vec()..to.to_vec()));
        }
        let removed = pending.values().filter(|value| value.is_none()).count();
        let written = self.index.range(from, to, true, max.saturating_add(removed))?;
        let mut merged: BTreeMap<Vec<u8>, Option<Vec<u8>>> = written
            .into_iter()
            .map(|(key, value)| (key.to_vec(), Some(value.to_vec())))
            .collect();
        merged.extend(pending.into_iter().map(|(key, value)| (key.clone(), value.clone())));
        Ok(merged
            .into_iter()
            .rev()
            .filter_map(|(key, value)| value.map(|value| (key, value)))
            .take(max)
            .collect())
    }
}

fn change_len((key, value): &IndexChange) -> usize {
    key.len() + value.as_ref().map_or(0, Vec::len)
}

/// Where no chunk is.
static NO_CHUNK: Chunk = Chunk::NONE;

/// What a look-up found last: a number, the number that was looked for, and what stands there.
#[derive(Default)]
struct Found {
    chunk: Option<(u64, u64, Chunk)>,
    places: Option<(u64, u64, Places)>,
}

/// The place of the first record of a record's stream.
async fn first_of(log: &dyn EventStore, stored: &Stored) -> Result<u64, CatalogueError> {
    if stored.revision.get() == 1 {
        return Ok(stored.offset.get());
    }
    let first = log.read_stream(&stored.stream, Revision::NONE, 1).await?;
    Ok(first.first().map_or(0, |first| first.offset.get()))
}

fn put<T: Serialize>(state: &mut State, key: Vec<u8>, entry: &T) {
    // Without field names: what is derived is built again when its shape changes.
    let mut bytes = Vec::with_capacity(256);
    match rmp_serde::encode::write(&mut bytes, entry) {
        Ok(()) => put_raw(state, key, bytes),
        Err(error) => debug_assert!(false, "a catalogue entry must be writable: {error}"),
    }
}

fn put_raw(state: &mut State, key: Vec<u8>, value: Vec<u8>) {
    state.delta.keys.insert(key, Some(value));
}

/// The keys of the catalogue: a letter for the kind, then what is looked up, then the ordinal.
mod key {
    use super::{FlowDeployId, FlowModuleId, Id, PREFIX};

    fn joined(kind: u8, bytes: &[u8]) -> Vec<u8> {
        // With room for a number.
        let mut key = Vec::with_capacity(2 + bytes.len() + 8);
        key.extend_from_slice(&[PREFIX, kind]);
        key.extend_from_slice(bytes);
        key
    }

    pub(super) fn module(id: &FlowModuleId) -> Vec<u8> {
        joined(b'm', &id.id().to_bytes())
    }

    pub(super) fn module_bytes(bytes: &[u8]) -> Vec<u8> {
        joined(b'm', bytes)
    }

    pub(super) fn deployment(id: &FlowDeployId) -> Vec<u8> {
        joined(b'd', &id.id().to_bytes())
    }

    pub(super) fn sub_flow(id: &[u8; 16]) -> Vec<u8> {
        joined(b'u', id)
    }

    /// The instances that begin at neighbouring places.
    pub(super) fn chunk(number: u64) -> Vec<u8> {
        numbered(&[PREFIX, b'a'], number)
    }

    /// A piece of the entry of an instance that found no room in its chunk.
    pub(super) fn apart(ordinal: u64, piece: u32) -> Vec<u8> {
        let mut key = numbered(&[PREFIX, b'b'], ordinal);
        key.extend_from_slice(&piece.to_be_bytes());
        key
    }

    /// Whether this is the key of a set of this list.
    pub(super) fn is_set_of(key: &[u8], list: &[u8]) -> bool {
        key.len() == list.len() + 8 && key.starts_with(list)
    }

    /// The first key behind this one.
    pub(super) fn after(mut key: Vec<u8>) -> Vec<u8> {
        key.push(0);
        key
    }

    /// The ordinal at the end of a key, or the number of a chunk or a set.
    pub(super) fn ordinal(key: &[u8]) -> u64 {
        key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    pub(super) fn by_module(bytes: &[u8]) -> Vec<u8> {
        joined(b'f', bytes)
    }

    pub(super) fn by_status(status: i32) -> Vec<u8> {
        joined(b's', &status.to_be_bytes())
    }

    pub(super) fn by_tenant(tenant: &str) -> Vec<u8> {
        joined(b't', &Id::Text(tenant.into()).to_bytes())
    }

    pub(super) fn numbered(list: &[u8], ordinal: u64) -> Vec<u8> {
        let mut key = Vec::with_capacity(list.len() + 8);
        key.extend_from_slice(list);
        with_number(key, ordinal)
    }

    /// The key of a list's entry or set.
    pub(super) fn with_number(mut list: Vec<u8>, number: u64) -> Vec<u8> {
        list.extend_from_slice(&number.to_be_bytes());
        list
    }

    /// From the first entry of a list to the one before `before`.
    pub(super) fn span(list: &[u8], before: Option<u64>) -> (Vec<u8>, Vec<u8>) {
        (numbered(list, 0), numbered(list, before.unwrap_or(u64::MAX)))
    }

    /// The key of the same list with another ordinal.
    pub(super) fn cut(numbered_key: &[u8], ordinal: u64) -> Vec<u8> {
        let list = numbered_key
            .len()
            .checked_sub(8)
            .and_then(|end| numbered_key.get(..end))
            .unwrap_or_default();
        numbered(list, ordinal)
    }
}
