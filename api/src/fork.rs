//! Forks: an instance as it stood at a moment, in an engine of its own that is thrown away; nothing of it reaches the store.
//!
//! A fork reads the store's log up to that moment and keeps what it records in memory. It answers hooks from the record, asks
//! the host for nothing, tells no listener and signs nothing.

mod recorded;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flowledger_engine_core::codec;
use flowledger_engine_core::context::HookCall;
use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::event::{AnyRecord, InstanceRecord};
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::instance::FlowInstance;
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::model::parse;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_engine_core::time::Timestamp;
use flowledger_engine_core::variables::InstanceData;
use flowledger_event_store::{IndexStore, MemoryIndex, Offset, Revision, Store, Stored, StreamId};
use flowledger_projections::Catalogue;
use serde::Serialize;

pub(crate) use self::recorded::RecordedHooks;
use self::store::ForkStore;
use crate::engine::{Engine, Inside};
use crate::error::EngineError;
use crate::executor::{Effect, Executor, InDoubt, Meta};
use crate::folds::Folds;
use crate::host::{Clock, FnHook, Hook, HostError};
use crate::housekeeping::Housekeeping;
use crate::lane::Lanes;
use crate::operation::InstanceQuery;
use crate::proofs::{Files, Proofs};
use crate::verification::{BackgroundVerification, Verification};

/// Records read at a time.
const READ_BATCH: usize = 1_000;

/// Bytes of folded instances that a fork keeps in memory.
const CACHE_BYTES: u64 = 4 << 20;

/// Values that a fork's caches are prepared for.
const CACHE_ITEMS: usize = 16;

/// Which instance is forked, at which moment, and what is different from then on.
#[derive(Clone)]
pub struct ForkParam {
    query: InstanceQuery,
    hooks: Vec<Arc<dyn Hook>>,
    clock: Option<Arc<dyn Clock>>,
    models: BTreeMap<FlowModuleId, Arc<str>>,
}

impl ForkParam {
    /// The instance of a query, at its moment: [`InstanceQuery::as_of`], or now.
    pub fn new(query: impl Into<InstanceQuery>) -> Self {
        Self {
            query: query.into(),
            hooks: Vec::new(),
            clock: None,
            models: BTreeMap::new(),
        }
    }

    /// A hook to ask in the fork. Without one, gateways get what the hooks answered in the original, by element and
    /// occurrence; where that is nothing, the failure stands on the fork's record.
    pub fn hook(mut self, hook: impl Hook + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// A hook from a plain function.
    pub fn hook_fn<F>(self, name: &str, function: F) -> Self
    where
        F: Fn(&HookCall) -> Result<Vec<InstanceData>, HostError> + Send + Sync + 'static,
    {
        self.hook(FnHook {
            name: name.to_owned(),
            function,
        })
    }

    /// The clock that stamps the fork's records; the engine's own unless chosen otherwise.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Another model in place of every deployment of a module. It must be well formed; [`validate_model`](crate::validate_model)
    /// judges it.
    pub fn model(mut self, module: impl Into<FlowModuleId>, text: &str) -> Self {
        self.models.insert(module.into(), text.into());
        self
    }
}

/// An instance as it stood at a moment, in an engine of its own.
///
/// ```
/// # use flowledger::{CommitTaskParam, DeployModel, Engine, ForkParam, InstanceQuery, StartProcessParam};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let engine = Engine::builder().in_memory().open()?.blocking();
/// # let model = r#"{"flowElementList":[
/// #     {"key":"start","type":2,"outgoing":["f1"]},
/// #     {"key":"f1","type":1,"incoming":["start"],"outgoing":["ask"]},
/// #     {"key":"ask","type":4,"incoming":["f1"],"outgoing":["f2"]},
/// #     {"key":"f2","type":1,"incoming":["ask"],"outgoing":["end"]},
/// #     {"key":"end","type":3,"incoming":["f2"]}]}"#;
/// # let deployed = engine.deploy_model(DeployModel::new("leave", model))?;
/// # let started = engine.start_process(StartProcessParam::of_module(deployed.flow_module_id))?;
/// # let instance = started.flow_instance_id.clone().ok_or("no instance")?;
/// # let task = started.active_task().ok_or("no task")?.node_instance_id.clone();
/// let fork = engine.fork(ForkParam::new(InstanceQuery::new(instance.clone()).as_of(1)))?;
/// let what_if = fork.engine().blocking();
/// what_if.commit_task(CommitTaskParam::new(&instance, &task).variable("days", 9))?;
/// assert_eq!(what_if.get_flow_instance(&instance)?.flow_instance_bo.status, 1);
/// assert_eq!(engine.get_flow_instance(&instance)?.flow_instance_bo.status, 2);
/// # Ok(()) }
/// ```
pub struct Fork {
    engine: Engine,
    store: Arc<ForkStore>,
    clock: Arc<ForkClock>,
    version: u64,
    /// The instance's records behind the moment.
    rest: Vec<Stored>,
}

/// Whether a fork that was given the recorded commands again recorded what the original did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Replay {
    /// The version at which the fork was made.
    pub from: u64,
    /// How many records came out equal, byte for byte.
    pub equal: u64,
    /// The first that did not, at which the replay stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<ReplayDifference>,
}

/// A command that came to something else than it did in the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReplayDifference {
    /// The version of the original's record.
    pub version: u64,
    /// The record, as JSON.
    pub then: String,
    /// The record of the fork, as JSON; absent where the command was refused or changed nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

impl Fork {
    /// The engine of the fork: every operation and query works in it. It is gone with its last handle.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The version at which the fork was made.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Gives the fork the commands that the original got from this moment on, one after the other, each at its time and with
    /// the deployments of its time, and compares what is recorded, byte for byte, until something differs.
    ///
    /// # Errors
    /// 7008, 7800, 7803: a store that cannot be read.
    pub async fn replay(&self) -> Result<Replay, EngineError> {
        let mut replay = Replay {
            from: self.version,
            equal: 0,
            difference: None,
        };
        for stored in &self.rest {
            let record = instance_record(stored)?;
            replay.difference = self.repeat(stored, &record).await?;
            if replay.difference.is_some() {
                break;
            }
            replay.equal += 1;
        }
        Ok(replay)
    }

    async fn repeat(&self, stored: &Stored, record: &InstanceRecord) -> Result<Option<ReplayDifference>, EngineError> {
        let executor = self.engine.executor();
        let envelope = &record.given.envelope;
        self.store.advance(Offset::new(stored.offset.get() - 1));
        // They may have been deployed again meanwhile.
        executor.modules.clear();
        self.clock.stand_at(envelope.recorded_at);
        let meta = Meta {
            command_id: envelope.command_id.clone(),
            is_drawn: false,
            actor: envelope.actor.clone(),
            reason: envelope.reason.clone(),
            expected_version: None,
            receipt: false,
            is_recorded: true,
        };
        let command = record.given.command.clone();
        let done = executor.execute::<FlowInstance>(envelope.stream, command, meta).await;
        let (now, refused) = match done {
            Ok(done) => match done.effect {
                Effect::Recorded(now) => {
                    if codec::encode_instance(&now)? == *stored.record {
                        return Ok(None);
                    }
                    (Some(readable(&AnyRecord::Instance(now))?), None)
                }
                Effect::Unchanged(code) => (None, Some(format!("{} {}", code.number(), code.entry().text))),
            },
            Err(refused) => (None, Some(refused.error.to_string())),
        };
        Ok(Some(ReplayDifference {
            version: envelope.version,
            then: readable(&AnyRecord::Instance(record.clone()))?,
            now,
            refused,
        }))
    }
}

impl Engine {
    /// Forks an instance: an engine of its own in which the instance stands as it stood at a moment, to be continued in other
    /// ways. Modules are as they were then; in the fork of a fork, as that one has them. Nothing that happens in it reaches this engine's store, hooks or listeners.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7417 a version that lies ahead; a code of deployFlow for a model that is not well formed;
    /// 7008, 7800, 7803.
    pub async fn fork(&self, param: ForkParam) -> Result<Fork, EngineError> {
        self.make_fork(param)
            .await
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))
    }

    async fn make_fork(&self, param: ForkParam) -> Result<Fork, EngineError> {
        let ForkParam {
            query,
            hooks,
            clock,
            models,
        } = param;
        let found = self.find(&query).await?;
        let (state, root) = match found.state.root() {
            Some(root) => (found.state.clone(), root.flow_instance_id.clone()),
            None => return Err(unknown(&query.flow_instance_id)),
        };
        let stream = StreamId::from_bytes(root.id().to_bytes());
        let mut past = self.records_of(stream).await?;
        let version = state.commands.len();
        let rest = past.split_off(version.min(past.len()));
        let Some(moment) = past.last().map(|last| last.offset) else {
            return Err(unknown(&query.flow_instance_id));
        };
        let parent = self.inside.executor.clone();
        let recorded = RecordedHooks::of(&past, &rest)?;
        let upto = parent.parent.is_none().then_some(moment);
        let events = Arc::new(ForkStore::new(parent.store.events.clone(), stream, upto));
        events.fill(past)?;
        let clock = Arc::new(ForkClock::of(clock.unwrap_or_else(|| parent.clock.clone())));
        let executor = executor_of(&parent, events.clone(), clock.clone(), (hooks, recorded), models).await?;
        Ok(Fork {
            engine: Engine {
                inside: Arc::new(Inside {
                    executor: Arc::new(executor),
                    housekeeping: Housekeeping::none(),
                }),
            },
            store: events,
            clock,
            version: version as u64,
            rest,
        })
    }

    /// All records of a stream.
    async fn records_of(&self, stream: StreamId) -> Result<Vec<Stored>, EngineError> {
        let mut records: Vec<Stored> = Vec::new();
        loop {
            let after = records.last().map_or(Revision::NONE, |last| last.revision);
            let batch = self.log().read_stream(&stream, after, READ_BATCH).await?;
            if batch.is_empty() {
                return Ok(records);
            }
            records.extend(batch);
        }
    }
}

/// What the commands of a fork run on: all that the original has, over another store.
async fn executor_of(
    parent: &Arc<Executor>,
    events: Arc<ForkStore>,
    clock: Arc<ForkClock>,
    (hooks, recorded): (Vec<Arc<dyn Hook>>, RecordedHooks),
    texts: BTreeMap<FlowModuleId, Arc<str>>,
) -> Result<Executor, EngineError> {
    let mut models = BTreeMap::new();
    for (module, text) in texts {
        let model = parse::parse(&text, &parent.model_limits).map_err(|fault| {
            let detail = format!("the model for module {module}: {fault}");
            EngineError::new(fault.code, detail)
        })?;
        models.insert(module, (model, text.len()));
    }
    let index: Arc<dyn IndexStore> = Arc::new(MemoryIndex::default());
    let store = Store {
        events,
        index: index.clone(),
    };
    let catalogue = Catalogue::open(index)?;
    catalogue.catch_up(&*store.events).await?;
    let files = Files {
        is_copy: true,
        ..Files::default()
    };
    let share = CACHE_BYTES / 4;
    Ok(Executor {
        profile: parent.profile,
        limits: parent.limits,
        model_limits: parent.model_limits,
        strict_tenancy: parent.strict_tenancy,
        enforce_invariants: parent.enforce_invariants,
        proofs: Proofs::new(store.clone(), files),
        store,
        catalogue,
        clock,
        ids: parent.ids.clone(),
        calculator: parent.calculator.clone(),
        plug_ins: parent.plug_ins.clone(),
        made_with: parent.made_with.clone(),
        // Who brings hooks is asked; otherwise the record is.
        recorded: hooks.is_empty().then(|| recorded.beside(parent.has_hook())),
        hooks,
        hook_time_out: parent.hook_time_out,
        lanes: Lanes::new(),
        modules: Folds::new(share, CACHE_ITEMS)?,
        instances: Folds::new(CACHE_BYTES - 2 * share, CACHE_ITEMS)?,
        deployments: crate::builder::cache(share, CACHE_ITEMS)?,
        in_doubt: InDoubt::default(),
        verification: Verification::new(BackgroundVerification::off()),
        housekeeping: Box::new(|| {}),
        parent: Some(Origin {
            executor: parent.clone(),
            models,
        }),
    })
}

/// Where a fork comes from, and what is different in it.
pub(crate) struct Origin {
    pub(crate) executor: Arc<Executor>,
    /// Models in place of those deployed, with the lengths of their texts.
    models: BTreeMap<FlowModuleId, (FlowModel, usize)>,
}

impl Origin {
    /// The deployment that stands in place of one of a module; `None` where it is the module's own.
    pub(crate) fn replaced(&self, executor: &Executor, own: &Deployment) -> Option<Deployment> {
        let (model, len) = self.models.get(&own.flow_module_id)?;
        Some(Deployment::new(
            own.flow_deploy_id.clone(),
            own.flow_module_id.clone(),
            (own.tenant.clone(), own.caller.clone()),
            model.clone(),
            *len,
            executor.calculator.clone(),
        ))
    }

    /// The module of a deployment that the fork's own records do not name.
    pub(crate) async fn module_of(&self, id: &FlowDeployId) -> Result<Option<FlowModuleId>, EngineError> {
        let catalogue = &self.executor.catalogue;
        let mut entry = catalogue.deployment(id)?;
        if entry.is_none() {
            catalogue.catch_up(&*self.executor.store.events).await?;
            entry = catalogue.deployment(id)?;
        }
        Ok(entry.map(|entry| entry.flow_module_id))
    }
}

/// The clock of a fork: the one it was given, unless it stands still for a replay.
struct ForkClock {
    clock: Arc<dyn Clock>,
    stands_at: AtomicI64,
}

impl ForkClock {
    const RUNS: i64 = i64::MIN;

    fn of(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            stands_at: AtomicI64::new(Self::RUNS),
        }
    }

    fn stand_at(&self, time: Timestamp) {
        self.stands_at.store(time.millis(), Ordering::Release);
    }
}

impl Clock for ForkClock {
    fn now(&self) -> Timestamp {
        match self.stands_at.load(Ordering::Acquire) {
            Self::RUNS => self.clock.now(),
            millis => Timestamp::from_millis(millis),
        }
    }
}

fn instance_record(stored: &Stored) -> Result<InstanceRecord, EngineError> {
    let record = codec::decode(&stored.record).map_err(|error| EngineError::unreadable(error, stored.offset))?;
    match record {
        AnyRecord::Instance(record) => Ok(record),
        AnyRecord::Module(_) => {
            let detail = format!(
                "record {} of the log stands in the stream of an instance, and is of a module",
                stored.offset
            );
            Err(EngineError::new(ResultCode::LogCorrupt, detail))
        }
    }
}

fn readable(record: &AnyRecord) -> Result<String, EngineError> {
    codec::to_json(record).map_err(|error| EngineError::new(ResultCode::SystemError, error.to_string()))
}

fn unknown(id: &FlowInstanceId) -> EngineError {
    EngineError::new(
        ResultCode::InstanceNotFound,
        format!("no flow instance has the id {id}"),
    )
}
