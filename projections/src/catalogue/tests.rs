//! The catalogue against a plain list, over random logs, checkpoints, gaps and rebuilds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowledger_engine_core::codec;
use flowledger_engine_core::event::{
    Actor, Envelope, FlowDescription, Given, InstanceCommand, InstanceEvent, InstanceRecord, ModuleCommand,
    ModuleEvent, ModuleRecord, Record,
};
use flowledger_engine_core::id::{CommandId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::time::Timestamp;
use flowledger_event_store::{
    Append, EventStore, IndexChange, IndexEntry, IndexStore, MemoryStore, Offset, Revision, StoreError, StreamId,
};
use proptest::prelude::*;

use super::{Catalogue, Due, InstanceFilter, NOTED_MAX};

/// What happens next in a random log.
#[derive(Clone, Debug)]
enum Step {
    Start {
        module: u8,
        tenant: u8,
    },
    Commit(usize),
    Complete(usize),
    Terminate(usize),
    Checkpoint {
        is_beside_commits: bool,
    },
    /// Written out in part only, then opened again.
    Crash(u8),
    Reopen,
    Rebuild,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..3, 0u8..3).prop_map(|(module, tenant)| Step::Start { module, tenant }),
        3 => any::<usize>().prop_map(Step::Commit),
        2 => any::<usize>().prop_map(Step::Complete),
        2 => any::<usize>().prop_map(Step::Terminate),
        1 => any::<bool>().prop_map(|is_beside_commits| Step::Checkpoint { is_beside_commits }),
        1 => (0u8..12).prop_map(Step::Crash),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The same facts, kept the plain way.
#[derive(Clone, Debug)]
struct Plain {
    id: FlowInstanceId,
    stream: [u8; 16],
    version: u64,
    module: FlowModuleId,
    tenant: Arc<str>,
    statuses: Vec<(i32, i64)>,
}

struct World {
    store: MemoryStore,
    catalogue: Catalogue,
    now: i64,
    plain: Vec<Plain>,
    firsts: BTreeMap<[u8; 16], Offset>,
}

/// An index whose keys cannot be read for a while.
struct Unreadable {
    index: Arc<dyn IndexStore>,
    is_unreadable: Arc<AtomicBool>,
}

impl IndexStore for Unreadable {
    fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>, StoreError> {
        if self.is_unreadable.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable {
                why: "the disk is gone".into(),
            });
        }
        self.index.get(key)
    }

    fn range(&self, from: &[u8], to: &[u8], reverse: bool, max: usize) -> Result<Vec<IndexEntry>, StoreError> {
        self.index.range(from, to, reverse, max)
    }

    fn apply(&self, changes: Vec<IndexChange>, name: &str, position: Offset) -> Result<(), StoreError> {
        self.index.apply(changes, name, position)
    }

    fn write(&self, changes: Vec<IndexChange>) -> Result<(), StoreError> {
        self.index.write(changes)
    }

    fn position(&self, name: &str) -> Result<Offset, StoreError> {
        self.index.position(name)
    }

    fn clear(&self, name: &str, prefix: &[u8]) -> Result<(), StoreError> {
        self.index.clear(name, prefix)
    }
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new();
        let index = store.index();
        Self::on(store, index)
    }

    fn on(store: MemoryStore, index: Arc<dyn IndexStore>) -> Self {
        let catalogue = Catalogue::open(index).unwrap();
        Self {
            store,
            catalogue,
            now: 0,
            plain: Vec::new(),
            firsts: BTreeMap::new(),
        }
    }

    fn append(&mut self, stream: [u8; 16], version: u64, events: Vec<InstanceEvent>, tells: bool) {
        let record = InstanceRecord {
            given: Given {
                envelope: Envelope {
                    stream,
                    version,
                    command_id: CommandId::new(&format!("{}", self.now)),
                    recorded_at: Timestamp::from_millis(self.now),
                    actor: Actor::default(),
                    reason: None,
                    plug_ins: Vec::new(),
                },
                command: InstanceCommand::TerminateProcess {
                    effective_for_sub_flow_instance: true,
                },
            },
            events,
        };
        let offset = self.store_bytes(stream, version, codec::encode_instance(&record).unwrap());
        let first = *self.firsts.entry(stream).or_insert(offset);
        if tells {
            self.catalogue.note_instance(offset, first, &record);
        }
    }

    fn store_bytes(&self, stream: [u8; 16], version: u64, bytes: Vec<u8>) -> Offset {
        let item = Append {
            stream: StreamId::from_bytes(stream),
            expected: Revision::new(version - 1),
            record: bytes.into(),
        };
        pollster::block_on(self.store.append(vec![item]))
            .pop()
            .unwrap()
            .unwrap()
            .offset
    }

    fn step(&mut self, step: &Step) {
        self.now += 10;
        // Every third record is not told, as when a caller went away; the catalogue finds it in the log.
        let tells = self.now % 30 != 0;
        match step {
            Step::Start { module, tenant } => {
                let id = FlowInstanceId::new(&format!("instance-{}", self.now));
                let module = FlowModuleId::new(&format!("module-{module}"));
                let tenant: Arc<str> = format!("tenant-{tenant}").into();
                let stream = id.id().to_bytes();
                let started = InstanceEvent::FlowStarted {
                    flow_instance_id: id.clone(),
                    flow_deploy_id: "d".into(),
                    flow_module_id: module.clone(),
                    tenant: Some(tenant.clone()),
                    caller: None,
                    parent: None,
                    transfer: None,
                    data: None,
                };
                self.append(stream, 1, vec![started], tells);
                self.plain.push(Plain {
                    id,
                    stream,
                    version: 1,
                    module,
                    tenant,
                    statuses: vec![(2, self.now)],
                });
            }
            Step::Commit(index) => self.change(*index, None, tells),
            Step::Complete(index) => self.change(*index, Some((1, InstanceEvent::FlowCompleted)), tells),
            Step::Terminate(index) => self.change(
                *index,
                Some((
                    3,
                    InstanceEvent::FlowTerminated {
                        flow_instance_ids: Vec::new(),
                    },
                )),
                tells,
            ),
            Step::Checkpoint {
                is_beside_commits: false,
            } => self.catalogue.checkpoint().unwrap(),
            Step::Checkpoint {
                is_beside_commits: true,
            } => self.catalogue.checkpoint_beside_commits().unwrap(),
            Step::Crash(keys) => {
                // The first of what would have been written; the position is that of before.
                let changes = {
                    let state = self.catalogue.lock();
                    state.delta.units().take(usize::from(*keys)).flatten().collect()
                };
                self.store.index().write(changes).unwrap();
                self.catalogue = Catalogue::open(self.store.index()).unwrap();
            }
            Step::Reopen => {
                // What was not written out is read from the log again.
                self.catalogue = Catalogue::open(self.store.index()).unwrap();
            }
            Step::Rebuild => pollster::block_on(self.catalogue.rebuild(&self.store)).unwrap(),
        }
    }

    fn change(&mut self, index: usize, change: Option<(i32, InstanceEvent)>, tells: bool) {
        let Some(index) = index.checked_rem(self.plain.len()) else {
            return;
        };
        let now = self.now;
        let plain = &mut self.plain[index];
        plain.version += 1;
        let (stream, version) = (plain.stream, plain.version);
        let event = match change {
            Some((status, event)) => {
                plain.statuses.push((status, now));
                event
            }
            None => InstanceEvent::TaskCommitted {
                node: "n".into(),
                data: None,
            },
        };
        self.append(stream, version, vec![event], tells);
    }

    /// Every page of a list, one after the other.
    fn listed(&self, filter: &InstanceFilter, limit: usize) -> Vec<(FlowInstanceId, i32)> {
        let mut all = Vec::new();
        let mut before = None;
        loop {
            let page = self.catalogue.instances(filter, before, limit).unwrap();
            assert!(page.entries.len() <= limit);
            all.extend(
                page.entries
                    .iter()
                    .map(|entry| (entry.flow_instance_id.clone(), entry.status())),
            );
            match page.next {
                Some(next) => before = Some(next),
                None => return all,
            }
        }
    }

    fn expected(&self, filter: &InstanceFilter) -> Vec<(FlowInstanceId, i32)> {
        let at = filter.as_of.map_or(i64::MAX, Timestamp::millis);
        self.plain
            .iter()
            .rev()
            .filter_map(|plain| {
                let status = plain.statuses.iter().rev().find(|(_, from)| *from <= at)?.0;
                let opened = Timestamp::from_millis(plain.statuses[0].1);
                let fits = filter.status.is_none_or(|wanted| wanted == status)
                    && filter
                        .flow_module_id
                        .as_ref()
                        .is_none_or(|wanted| *wanted == plain.module)
                    && filter.tenant.as_ref().is_none_or(|wanted| *wanted == plain.tenant)
                    && filter.started_from.is_none_or(|from| opened >= from)
                    && filter.started_before.is_none_or(|before| opened < before);
                fits.then(|| (plain.id.clone(), status))
            })
            .collect()
    }
}

proptest! {
    #[test]
    fn lists_equal_a_plain_list_at_every_time(
        steps in steps(),
        status in proptest::option::of(1i32..4),
        module in proptest::option::of(0u8..3),
        tenant in proptest::option::of(0u8..3),
        from in proptest::option::of(0i64..600),
        before in proptest::option::of(0i64..600),
        as_of in proptest::option::of(0i64..600),
        limit in 1usize..8,
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        pollster::block_on(world.catalogue.catch_up(&world.store)).unwrap();
        let filter = InstanceFilter {
            status,
            flow_module_id: module.map(|module| FlowModuleId::new(&format!("module-{module}"))),
            tenant: tenant.map(|tenant| format!("tenant-{tenant}").into()),
            started_from: from.map(Timestamp::from_millis),
            started_before: before.map(Timestamp::from_millis),
            as_of: as_of.map(Timestamp::from_millis),
        };
        prop_assert_eq!(world.listed(&filter, limit), world.expected(&filter));
        prop_assert_eq!(world.listed(&InstanceFilter::default(), limit), world.expected(&InstanceFilter::default()));
    }
}

#[test]
fn what_is_written_out_in_part_before_a_crash_is_listed_all_the_same() {
    for keys in 0..12 {
        let mut world = World::new();
        let steps = [
            Step::Start { module: 0, tenant: 0 },
            Step::Start { module: 0, tenant: 1 },
            Step::Checkpoint {
                is_beside_commits: false,
            },
            Step::Start { module: 1, tenant: 0 },
            Step::Complete(0),
            Step::Start { module: 0, tenant: 1 },
            Step::Terminate(3),
            Step::Crash(keys),
        ];
        for step in &steps {
            world.step(step);
        }
        pollster::block_on(world.catalogue.catch_up(&world.store)).unwrap();
        let of_module = |module: u8| InstanceFilter {
            flow_module_id: Some(FlowModuleId::new(&format!("module-{module}"))),
            ..InstanceFilter::default()
        };
        let of_tenant = |tenant: u8| InstanceFilter {
            tenant: Some(format!("tenant-{tenant}").into()),
            ..InstanceFilter::default()
        };
        let with_status = |status| InstanceFilter {
            status: Some(status),
            ..InstanceFilter::default()
        };
        let filters = (0..2).map(of_module).chain((0..2).map(of_tenant));
        for filter in filters.chain((1..4).map(with_status)) {
            assert_eq!(
                world.listed(&filter, 5),
                world.expected(&filter),
                "{keys} keys, {filter:?}"
            );
        }
    }
}

#[test]
fn records_told_out_of_order_wait_for_the_earlier_one() {
    let mut world = World::new();
    world.step(&Step::Start { module: 0, tenant: 0 });
    let record = |version: u64, event| InstanceRecord {
        given: Given {
            envelope: Envelope {
                stream: world.plain[0].stream,
                version,
                command_id: CommandId::new("c"),
                recorded_at: Timestamp::from_millis(99),
                actor: Actor::default(),
                reason: None,
                plug_ins: Vec::new(),
            },
            command: InstanceCommand::TerminateProcess {
                effective_for_sub_flow_instance: true,
            },
        },
        events: vec![event],
    };
    let first = Offset::new(1);
    let status = |world: &World| world.listed(&InstanceFilter::default(), 9)[0].1;
    world.catalogue.note_instance(
        Offset::new(3),
        first,
        &record(
            3,
            InstanceEvent::FlowTerminated {
                flow_instance_ids: Vec::new(),
            },
        ),
    );
    assert_eq!(status(&world), 2);
    let between = record(
        2,
        InstanceEvent::TaskCommitted {
            node: "n".into(),
            data: None,
        },
    );
    world.catalogue.note_instance(Offset::new(2), first, &between);
    assert_eq!(status(&world), 3);
}

#[test]
fn module_and_its_deployments_are_found() {
    let world = World::new();
    let id = FlowModuleId::new("module");
    let stream = id.id().to_bytes();
    let steps = [
        (
            ModuleCommand::CreateFlow {
                flow: FlowDescription {
                    flow_name: Some("first".into()),
                    ..FlowDescription::default()
                },
            },
            ModuleEvent::FlowCreated {
                flow_module_id: id.clone(),
            },
        ),
        (
            ModuleCommand::UpdateFlow {
                flow: FlowDescription {
                    flow_name: Some("second".into()),
                    ..FlowDescription::default()
                },
                flow_model: "{}".into(),
            },
            ModuleEvent::FlowUpdated,
        ),
        (
            ModuleCommand::DeployFlow,
            ModuleEvent::FlowDeployed {
                flow_deploy_id: "d1".into(),
                warnings: Vec::new(),
            },
        ),
        (
            ModuleCommand::DeployFlow,
            ModuleEvent::FlowDeployed {
                flow_deploy_id: "d2".into(),
                warnings: Vec::new(),
            },
        ),
        (ModuleCommand::DisableFlow, ModuleEvent::FlowDisabled),
    ];
    for (number, (command, event)) in (1u64..).zip(steps) {
        let record: ModuleRecord = Record {
            given: Given {
                envelope: Envelope {
                    stream,
                    version: number,
                    command_id: CommandId::new("c"),
                    recorded_at: Timestamp::from_millis(5),
                    actor: Actor {
                        tenant: Some("acme".into()),
                        ..Actor::default()
                    },
                    reason: None,
                    plug_ins: Vec::new(),
                },
                command,
            },
            events: vec![event],
        };
        let offset = world.store_bytes(stream, number, codec::encode_module(&record).unwrap());
        world.catalogue.note_module(offset, &record);
    }
    let module = world.catalogue.module(&id).unwrap().unwrap();
    assert_eq!(module.flow_name.as_deref(), Some("second"));
    assert_eq!(module.latest_flow_deploy_id, Some("d2".into()));
    assert!(module.is_disabled);
    let first = world.catalogue.deployment(&"d1".into()).unwrap().unwrap();
    assert_eq!((first.flow_module_id, first.version), (id, 3));
    assert_eq!(world.catalogue.modules(None, 10).unwrap().entries, vec![module]);
    assert!(world.catalogue.deployment(&"d3".into()).unwrap().is_none());
}

fn start(number: i64) -> Step {
    Step::Start {
        module: 0,
        tenant: u8::from(number % 2 == 0),
    }
}

#[test]
fn what_cannot_be_taken_in_is_read_from_the_log_later() {
    let store = MemoryStore::new();
    let is_unreadable = Arc::new(AtomicBool::new(false));
    let index = Arc::new(Unreadable {
        index: store.index(),
        is_unreadable: is_unreadable.clone(),
    });
    let mut world = World::on(store, index);
    for number in 0..3 {
        world.step(&start(number));
    }
    is_unreadable.store(true, Ordering::Relaxed);
    world.catalogue.take_in_noted().unwrap_err();
    is_unreadable.store(false, Ordering::Relaxed);
    assert_eq!(world.catalogue.take_in_noted().unwrap(), Due::CatchUp);
    pollster::block_on(world.catalogue.catch_up(&world.store)).unwrap();
    assert_eq!(world.catalogue.take_in_noted().unwrap(), Due::Nothing);
    assert_eq!(world.listed(&InstanceFilter::default(), 9).len(), 3);
}

#[test]
fn records_that_nobody_takes_in_are_taken_in_by_who_notes_them() {
    let mut world = World::new();
    world.step(&start(1));
    let stream = world.plain[0].stream;
    let noted = |world: &World| world.catalogue.noted().len();
    assert_eq!(noted(&world), 1);
    for version in 2..=NOTED_MAX as u64 {
        world.append(stream, version, Vec::new(), true);
        assert!(noted(&world) < NOTED_MAX);
    }
    assert_eq!(noted(&world), 0);
    assert_eq!(world.listed(&InstanceFilter::default(), 9).len(), 1);
}
