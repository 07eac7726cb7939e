//! The only loop that does IO: loads a stream, decides, appends, applies. Knows no operation.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowledger_engine_core::codec::{self, CodecError};
use flowledger_engine_core::context::{Answers, Context, HookAnswer, HookCall, IdSource, ModuleStanding, Question};
use flowledger_engine_core::decider::{Decider, Decision};
use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::event::{
    Actor, AnyRecord, Envelope, Given, InstanceCommand, InstanceRecord, ModuleCommand, ModuleRecord, PlugInName, Record,
};
use flowledger_engine_core::expression::ExpressionCalculator;
use flowledger_engine_core::id::{
    CommandId, FlowDeployId, FlowModuleId, Id, IdGenerator, IdKind, IdOrigin, IdScope, NameBasedIds, NodeInstanceId,
};
use flowledger_engine_core::instance::{FlowInstance, FlowStatus};
use flowledger_engine_core::limits::Limits;
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::model::parse::{self, ModelLimits};
use flowledger_engine_core::module::FlowModule;
use flowledger_engine_core::plug_in::PlugIns;
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::time::Timestamp;
use flowledger_engine_core::value;
use flowledger_engine_core::variables::InstanceData;
use flowledger_event_store::{Append, AppendError, Offset, Revision, Store, Stored, StreamId};
use flowledger_projections::{Catalogue, Receipt};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::as_of::AsOf;
use crate::error::EngineError;
use crate::folds::{Fold, Folds};
use crate::fork::{Origin, RecordedHooks};
use crate::host::{Clock, Hook};
use crate::lane::{Lane, Lanes};
use crate::proofs::Proofs;
use crate::time_out::{self, Missed};
use crate::verification::Verification;

/// Times a command is decided again because another was first, before it gives up.
const CONFLICT_RETRIES: usize = 8;
/// The command id of what is only considered.
const CONSIDERED: &str = "considered";
/// Questions one decision may ask: hooks of a long way, drafts of nested modules.
pub(crate) const QUESTIONS_MAX: usize = 10_000;
/// Characters kept of what a failing hook says.
const FAILURE_CHARS: usize = 500;
/// Records read of a stream at a time.
const READ_BATCH: usize = 512;

/// What one command needs besides itself.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub(crate) command_id: CommandId,
    /// Whether the id was drawn for this command, so that nothing on the record can have it.
    pub(crate) is_drawn: bool,
    pub(crate) actor: Actor,
    pub(crate) reason: Option<Arc<str>>,
    pub(crate) expected_version: Option<u64>,
    /// Whether the answer is to carry a receipt; the executor does nothing about it.
    pub(crate) receipt: bool,
    /// Whether it was recorded once and is only given again: what a model says must hold was judged then, if at all.
    pub(crate) is_recorded: bool,
}

/// A command that was carried out, now or earlier.
pub(crate) struct Done<D: Decider> {
    /// The state behind the command.
    pub(crate) state: Arc<D>,
    /// What it came to.
    pub(crate) effect: Effect<D>,
    /// The receipt of its record; put in by the operation that was asked for one.
    pub(crate) enclosed: Enclosed,
}

/// The receipt of a command's record, or why there is none. Neither where none was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Enclosed {
    pub(crate) receipt: Option<Box<Receipt>>,
    pub(crate) error: Option<String>,
}

/// What a command came to.
pub(crate) enum Effect<D: Decider> {
    /// It is on the record.
    Recorded(RecordOf<D>),
    /// It changed nothing.
    Unchanged(ResultCode),
}

/// A command that was not carried out, with the state that refused it.
pub(crate) struct Refused<D> {
    pub(crate) error: EngineError,
    pub(crate) task: Option<NodeInstanceId>,
    pub(crate) state: Option<Arc<D>>,
}

impl<D> From<EngineError> for Refused<D> {
    fn from(error: EngineError) -> Self {
        Self {
            error,
            task: None,
            state: None,
        }
    }
}

/// A record of a decider's stream.
type RecordOf<D> = Record<<D as Decider>::Command, <D as Decider>::Event>;

/// A decider as the executor stores it.
pub(crate) trait Streamed: Decider + Send + Sync + 'static {
    fn encode(scope: IdScope, record: &RecordOf<Self>) -> Result<Vec<u8>, CodecError>;
    fn from_any(record: AnyRecord) -> Option<RecordOf<Self>>;
    fn cache(executor: &Executor) -> &Folds<Self>;
    fn note(executor: &Executor, offset: Offset, first: Offset, record: &RecordOf<Self>);
    /// Whether a command makes a new stream, named after its id.
    fn founds(command: &Self::Command) -> bool;
    /// The version whose command has this id.
    fn version_of(&self, command_id: &CommandId) -> Option<u64>;
    fn last_recorded_at(&self) -> Timestamp;
    fn weight(&self) -> usize;
    /// Whether no command can change it any more.
    fn has_ended(&self) -> bool;
    /// The deployment a decision will surely ask for.
    fn deployment(&self) -> Option<(&FlowDeployId, &FlowModuleId)>;
}

impl Streamed for FlowModule {
    fn encode(scope: IdScope, record: &ModuleRecord) -> Result<Vec<u8>, CodecError> {
        codec::encode_module_in(scope, record)
    }

    fn from_any(record: AnyRecord) -> Option<ModuleRecord> {
        match record {
            AnyRecord::Module(record) => Some(record),
            AnyRecord::Instance(_) => None,
        }
    }

    fn cache(executor: &Executor) -> &Folds<Self> {
        &executor.modules
    }

    fn note(executor: &Executor, offset: Offset, _: Offset, record: &ModuleRecord) {
        executor.noted(executor.catalogue.note_module(offset, record));
    }

    fn founds(command: &ModuleCommand) -> bool {
        matches!(command, ModuleCommand::CreateFlow { .. })
    }

    fn version_of(&self, command_id: &CommandId) -> Option<u64> {
        place_in(self.commands.iter(), command_id)
    }

    fn last_recorded_at(&self) -> Timestamp {
        self.last_recorded_at
    }

    fn weight(&self) -> usize {
        self.weight()
    }

    fn has_ended(&self) -> bool {
        false
    }

    fn deployment(&self) -> Option<(&FlowDeployId, &FlowModuleId)> {
        None
    }
}

impl Streamed for FlowInstance {
    fn encode(scope: IdScope, record: &InstanceRecord) -> Result<Vec<u8>, CodecError> {
        codec::encode_instance_in(scope, record)
    }

    fn from_any(record: AnyRecord) -> Option<InstanceRecord> {
        match record {
            AnyRecord::Instance(record) => Some(record),
            AnyRecord::Module(_) => None,
        }
    }

    fn cache(executor: &Executor) -> &Folds<Self> {
        &executor.instances
    }

    fn note(executor: &Executor, offset: Offset, first: Offset, record: &InstanceRecord) {
        executor.noted(executor.catalogue.note_instance(offset, first, record));
    }

    fn founds(command: &InstanceCommand) -> bool {
        matches!(command, InstanceCommand::StartProcess { .. })
    }

    fn version_of(&self, command_id: &CommandId) -> Option<u64> {
        place_in(self.commands.iter(), command_id)
    }

    fn last_recorded_at(&self) -> Timestamp {
        self.last_recorded_at
    }

    fn weight(&self) -> usize {
        self.weight()
    }

    fn has_ended(&self) -> bool {
        matches!(self.status(), FlowStatus::Completed | FlowStatus::Terminated)
    }

    fn deployment(&self) -> Option<(&FlowDeployId, &FlowModuleId)> {
        self.root().map(|root| (&root.flow_deploy_id, &root.flow_module_id))
    }
}

/// Weighs cached values by their bytes.
#[derive(Clone)]
pub(crate) struct ByWeight;

impl Weighter<FlowDeployId, Arc<Deployment>> for ByWeight {
    fn weight(&self, _: &FlowDeployId, deployment: &Arc<Deployment>) -> u64 {
        // A compiled model takes several times its text.
        deployment.weight as u64 * 8 + 1024
    }
}

/// Everything a command runs on.
///
/// What a command rarely waits for is boxed where it is called, so that the future of every command is small.
pub(crate) struct Executor {
    pub(crate) profile: Profile,
    pub(crate) limits: Limits,
    pub(crate) model_limits: ModelLimits,
    pub(crate) strict_tenancy: bool,
    pub(crate) enforce_invariants: bool,
    pub(crate) store: Store,
    pub(crate) catalogue: Catalogue,
    pub(crate) proofs: Proofs,
    pub(crate) clock: Arc<dyn Clock>,
    /// The host's own; `None`: [`NameBasedIds`].
    pub(crate) ids: Option<Arc<dyn IdGenerator>>,
    pub(crate) calculator: Arc<dyn ExpressionCalculator>,
    pub(crate) plug_ins: PlugIns,
    /// The host's own calculator and id generator, as records name them.
    pub(crate) made_with: Vec<PlugInName>,
    pub(crate) hooks: Vec<Arc<dyn Hook>>,
    /// In a fork, what answers in place of hooks.
    pub(crate) recorded: Option<RecordedHooks>,
    pub(crate) hook_time_out: Duration,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) modules: Folds<FlowModule>,
    pub(crate) instances: Folds<FlowInstance>,
    pub(crate) deployments: Cache<FlowDeployId, Arc<Deployment>, ByWeight>,
    pub(crate) in_doubt: InDoubt,
    pub(crate) verification: Verification,
    /// Told when the catalogue has much to take in.
    pub(crate) housekeeping: Box<dyn Fn() + Send + Sync>,
    /// Of a fork, where it comes from.
    pub(crate) parent: Option<Origin>,
}

impl Executor {
    /// Carries out one command of one stream.
    pub(crate) async fn execute<D: Streamed>(
        &self,
        stream: [u8; 16],
        command: D::Command,
        meta: Meta,
    ) -> Result<Done<D>, Refused<D>> {
        let _lane = self.lanes.enter(stream).await;
        let envelope = Envelope {
            stream,
            version: 0,
            command_id: meta.command_id,
            recorded_at: Timestamp::default(),
            actor: meta.actor,
            reason: meta.reason,
            plug_ins: self.made_with.clone(),
        };
        // Deciding and writing both need it.
        let scope = envelope.id_scope();
        let mut given = Given { envelope, command };
        // What a drawn id founds has no records yet; should it have some after all, the append finds the conflict.
        let mut is_new = meta.is_drawn && D::founds(&given.command);
        for _ in 0..=CONFLICT_RETRIES {
            let Fold { state, first } = if std::mem::take(&mut is_new) {
                Fold::default()
            } else {
                self.load_in_lane::<D>(stream).await?
            };
            if !meta.is_drawn
                && let Some(version) = state.version_of(&given.envelope.command_id)
            {
                let repeated = Box::pin(self.repeated(stream, version, &given)).await;
                return repeated.map_err(|refused| Refused {
                    state: Some(state),
                    ..refused
                });
            }
            if let Some(expected) = meta.expected_version.filter(|expected| *expected != state.version()) {
                let detail = format!("expected version {expected}, actual version {}", state.version());
                let error = EngineError::new(ResultCode::VersionConflict, detail);
                return Err(Refused {
                    error,
                    task: None,
                    state: Some(state),
                });
            }
            if let Some(error) = self.verification.refusal() {
                return Err(Refused {
                    error,
                    task: None,
                    state: Some(state),
                });
            }
            given.envelope.version = state.version() + 1;
            let now = guarded("clock", || self.clock.now())?;
            given.envelope.recorded_at = now.max(state.last_recorded_at());
            let (events, after) = match self.decide(&*state, &given, scope, meta.is_recorded).await {
                Ok(Decision::Record { events, state }) => (events, state),
                Ok(Decision::Unchanged(code)) => {
                    return Ok(Done {
                        state,
                        effect: Effect::Unchanged(code),
                        enclosed: Enclosed::default(),
                    });
                }
                Ok(Decision::Ask(_)) => return Err(too_many_questions().into()),
                Err(refused) => {
                    return Err(Refused {
                        state: Some(state),
                        ..refused
                    });
                }
            };
            let record = Record { given, events };
            match self.append::<D>(&state, scope, &record).await {
                Ok(offset) => {
                    let state = Arc::new(after);
                    let first = if first == Offset::NONE { offset } else { first };
                    D::cache(self).insert(
                        stream,
                        Fold {
                            state: state.clone(),
                            first,
                        },
                    );
                    D::note(self, offset, first, &record);
                    return Ok(Done {
                        state,
                        effect: Effect::Recorded(record),
                        enclosed: Enclosed::default(),
                    });
                }
                Err(Unstored::Conflict) => {
                    D::cache(self).remove(&stream);
                    given = record.given;
                }
                Err(Unstored::Failed(error)) => {
                    D::cache(self).remove(&stream);
                    return Err(error.into());
                }
            }
        }
        Err(EngineError::new(
            ResultCode::Overloaded,
            format!("other commands were first {CONFLICT_RETRIES} times in a row; try again"),
        )
        .into())
    }

    /// The id of the module or instance that a command founds, and with it its stream.
    pub(crate) fn founding_id(&self, command_id: &CommandId, kind: IdKind) -> Result<Id, EngineError> {
        let origin = IdOrigin {
            command_id,
            stream: None,
        };
        let ids = self.ids.as_deref().unwrap_or(&NameBasedIds);
        guarded("id generator", || ids.generate(origin, kind, 0))
    }

    /// The fold of a stream as of now, if it is in memory.
    fn cached<D: Streamed>(&self, stream: &[u8; 16]) -> Option<Arc<D>> {
        if self.in_doubt.holds(stream) {
            return None;
        }
        D::cache(self).get(stream).map(|fold| fold.state)
    }

    /// The fold of a stream as of now.
    pub(crate) async fn load<D: Streamed>(&self, stream: [u8; 16]) -> Result<Arc<D>, EngineError> {
        if let Some(state) = self.cached(&stream) {
            return Ok(state);
        }
        // Only who is in the lane may fill the cache, so that a slow reader never puts back an older fold.
        let _lane: Lane = self.lanes.enter(stream).await;
        self.load_in_lane(stream).await.map(|fold| fold.state)
    }

    /// The fold of a module's stream; that of nothing where there is no such module.
    pub(crate) async fn module(&self, id: &FlowModuleId) -> Result<Arc<FlowModule>, EngineError> {
        self.load_aside::<FlowModule>(id.id().to_bytes()).await
    }

    /// The fold of another stream, for a command that is in a lane already: it never waits for a second lane, so that no
    /// two commands can wait for each other. The fold is kept where the lane happens to be free.
    async fn load_aside<D: Streamed>(&self, stream: [u8; 16]) -> Result<Arc<D>, EngineError> {
        if let Some(state) = self.cached(&stream) {
            return Ok(state);
        }
        match self.lanes.try_enter(stream) {
            Some(_lane) => self.load_in_lane(stream).await.map(|fold| fold.state),
            None => Box::pin(self.fold::<D>(stream, AsOf::NOW))
                .await
                .map(|(fold, _)| fold.state),
        }
    }

    async fn load_in_lane<D: Streamed>(&self, stream: [u8; 16]) -> Result<Fold<D>, EngineError> {
        let in_doubt = self.in_doubt.holds(&stream);
        if !in_doubt && let Some(fold) = D::cache(self).get(&stream) {
            return Ok(fold);
        }
        let (fold, _) = Box::pin(self.fold::<D>(stream, AsOf::NOW)).await?;
        let version = fold.state.version();
        if (!in_doubt || self.in_doubt.settle(&stream, version)) && version > 0 {
            D::cache(self).insert(stream, fold.clone());
        }
        Ok(fold)
    }

    /// The fold of a stream as of a moment, `now` being the one of all its records.
    pub(crate) async fn past<D: Streamed>(
        &self,
        stream: [u8; 16],
        now: Arc<D>,
        as_of: AsOf,
    ) -> Result<Arc<D>, EngineError> {
        let is_now = match as_of {
            AsOf::Version(version) if version > now.version() => {
                let detail = format!(
                    "it is at version {}, and has not come to version {version}",
                    now.version()
                );
                return Err(EngineError::new(ResultCode::VersionNotReached, detail));
            }
            AsOf::Version(version) => version == now.version(),
            AsOf::Time(time) => time >= now.last_recorded_at(),
        };
        if is_now {
            return Ok(now);
        }
        self.fold::<D>(stream, as_of).await.map(|(fold, _)| fold.state)
    }

    /// The fold of a stream's records up to a moment, and the last of them.
    pub(crate) async fn fold<D: Streamed>(
        &self,
        stream: [u8; 16],
        until: AsOf,
    ) -> Result<(Fold<D>, Option<RecordOf<D>>), EngineError> {
        let id = StreamId::from_bytes(stream);
        let mut state = D::default();
        let mut first = Offset::NONE;
        let mut last = None;
        let mut after = Revision::NONE;
        'records: while until != AsOf::Version(state.version()) {
            let batch = self.store.events.read_stream(&id, after, READ_BATCH).await?;
            if batch.is_empty() {
                break;
            }
            for stored in batch {
                after = stored.revision;
                let Some(record) = read_record::<D>(&stored, state.version() + 1)? else {
                    // The id names something else; of this kind there is nothing.
                    return Ok((Fold::default(), None));
                };
                if matches!(until, AsOf::Time(time) if record.given.envelope.recorded_at > time) {
                    break 'records;
                }
                state.apply_record(&record);
                if first == Offset::NONE {
                    first = stored.offset;
                }
                last = Some(record);
                if until == AsOf::Version(state.version()) {
                    break;
                }
            }
        }
        Ok((
            Fold {
                state: Arc::new(state),
                first,
            },
            last,
        ))
    }

    /// The answer that the first command of this id was given, from the state at its record.
    async fn repeated<D: Streamed>(
        &self,
        stream: [u8; 16],
        version: u64,
        given: &Given<D::Command>,
    ) -> Result<Done<D>, Refused<D>> {
        let (Fold { state, .. }, record) = self.fold::<D>(stream, AsOf::Version(version)).await?;
        match record {
            Some(record) if is_same(&record.given, given) => Ok(Done {
                state,
                effect: Effect::Recorded(record),
                enclosed: Enclosed::default(),
            }),
            _ => Err(EngineError::new(
                ResultCode::IdempotencyKeyReused,
                format!(
                    "commandId {} names another command already, the one of version {version}",
                    given.envelope.command_id
                ),
            )
            .into()),
        }
    }

    /// What a command would come to; nothing is recorded.
    pub(crate) async fn consider<D: Streamed>(
        &self,
        stream: [u8; 16],
        state: &D,
        command: D::Command,
    ) -> Result<Decision<D>, Refused<D>> {
        let now = guarded("clock", || self.clock.now())?;
        let envelope = Envelope {
            stream,
            version: state.version() + 1,
            command_id: CONSIDERED.into(),
            recorded_at: now.max(state.last_recorded_at()),
            actor: Actor::default(),
            reason: None,
            plug_ins: self.made_with.clone(),
        };
        let scope = envelope.id_scope();
        self.decide(state, &Given { envelope, command }, scope, false).await
    }

    /// Decides, answering questions until there are none.
    async fn decide<D: Streamed>(
        &self,
        state: &D,
        given: &Given<D::Command>,
        scope: IdScope,
        is_recorded: bool,
    ) -> Result<Decision<D>, Refused<D>> {
        let mut answers = Answers::default();
        if let Some((id, module)) = state.deployment()
            && let Some(deployment) = self.deployment_of_module(id, module).await?
        {
            answers
                .deployments
                .insert(id.clone(), ModuleStanding::Online(deployment));
        }
        let ids = self.id_source(scope);
        for _ in 0..QUESTIONS_MAX {
            let question = match self.decide_once(state, given, is_recorded, ids, &answers)? {
                Decision::Ask(question) => question,
                decision => return Ok(decision),
            };
            if !self.answer_from_memory(&question, &mut answers) {
                Box::pin(self.answer(question, &mut answers)).await?;
            }
        }
        Err(too_many_questions().into())
    }

    /// What makes the ids of a command whose ids have this scope.
    pub(crate) fn id_source(&self, scope: IdScope) -> IdSource<'_> {
        match &self.ids {
            None => IdSource::Scope(scope),
            Some(ids) => IdSource::Generator(&**ids),
        }
    }

    fn decide_once<D: Streamed>(
        &self,
        state: &D,
        given: &Given<D::Command>,
        is_recorded: bool,
        ids: IdSource<'_>,
        answers: &Answers,
    ) -> Result<Decision<D>, Refused<D>> {
        let check_condition = |text: &str| {
            self.calculator
                .compile(text)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        let context = Context {
            profile: self.profile,
            limits: &self.limits,
            model_limits: &self.model_limits,
            ids,
            plug_ins: &self.plug_ins,
            has_hook: self.has_hook(),
            strict_tenancy: self.strict_tenancy,
            enforce_invariants: self.enforce_invariants && !is_recorded,
            check_condition: &check_condition,
            answers,
        };
        // The host's plug-ins run in here; what they break must not break the engine.
        match catch_unwind(AssertUnwindSafe(|| state.decide(given, &context))) {
            Ok(Ok(decision)) => Ok(decision),
            Ok(Err(mut rejection)) => {
                let task = rejection.task.take();
                Err(Refused {
                    error: EngineError::rejected(rejection),
                    task,
                    state: None,
                })
            }
            Err(panic) => Err(EngineError::new(
                ResultCode::SystemError,
                format!("the decision panicked: {}; nothing was recorded", panic_text(&*panic)),
            )
            .into()),
        }
    }

    /// Answers the one question that every start of a module asks, if module and deployment are in memory; false if not.
    fn answer_from_memory(&self, question: &Question, answers: &mut Answers) -> bool {
        let Question::LatestDeployment(id) = question else {
            return false;
        };
        let Some(module) = self.cached::<FlowModule>(&id.id().to_bytes()) else {
            return false;
        };
        let latest = module.latest_deployment().map(|latest| &latest.flow_deploy_id);
        let Some(deployment) = latest.and_then(|latest| self.deployments.get(latest)) else {
            return false;
        };
        answers.latest.insert(id.clone(), standing_in(&module, deployment));
        true
    }

    async fn answer(&self, question: Question, answers: &mut Answers) -> Result<(), EngineError> {
        match question {
            Question::Deployment(id) => {
                let standing = self.deployment_standing(&id).await?;
                answers.deployments.insert(id, standing);
            }
            Question::LatestDeployment(id) => {
                let module = self.load_aside::<FlowModule>(id.id().to_bytes()).await?;
                let standing = match module.latest_deployment() {
                    Some(latest) => self.standing(&module, &id, &latest.flow_deploy_id).await?,
                    None => ModuleStanding::Unknown,
                };
                answers.latest.insert(id, standing);
            }
            Question::Drafts(ids) => {
                for id in ids {
                    let module = self.load_aside::<FlowModule>(id.id().to_bytes()).await?;
                    // A module without a readable draft counts as one that calls nothing.
                    let draft = module.flow_module_id.as_ref().map(|_| {
                        let text = module.definition.flow_model.as_deref().unwrap_or_default();
                        Arc::new(parse::parse(text, &self.model_limits).unwrap_or_else(|_| FlowModel::new(Vec::new())))
                    });
                    answers.drafts.insert(id, draft);
                }
            }
            Question::Hook(call) => {
                let answer = self.call_hooks(&call).await;
                answers.hooks.insert(call.node_instance_id, answer);
            }
        }
        Ok(())
    }

    async fn deployment_standing(&self, id: &FlowDeployId) -> Result<ModuleStanding, EngineError> {
        if let Some(deployment) = self.deployments.get(id) {
            let module_id = &deployment.flow_module_id;
            let module = self.load_aside::<FlowModule>(module_id.id().to_bytes()).await?;
            return self.standing(&module, module_id, id).await;
        }
        let mut entry = self.catalogue.deployment(id)?;
        if entry.is_none() {
            // A command whose caller went away may not have told the catalogue.
            self.catalogue.catch_up(&*self.store.events).await?;
            entry = self.catalogue.deployment(id)?;
        }
        let module_id = match (entry, &self.parent) {
            (Some(entry), _) => Some(entry.flow_module_id),
            (None, Some(origin)) => origin.module_of(id).await?,
            (None, None) => None,
        };
        let Some(module_id) = module_id else {
            return Ok(ModuleStanding::Unknown);
        };
        let module = self.load_aside::<FlowModule>(module_id.id().to_bytes()).await?;
        self.standing(&module, &module_id, id).await
    }

    async fn standing(
        &self,
        module: &FlowModule,
        module_id: &FlowModuleId,
        id: &FlowDeployId,
    ) -> Result<ModuleStanding, EngineError> {
        let deployment = self.deployment_of_module(id, module_id).await?;
        Ok(deployment.map_or(ModuleStanding::Unknown, |deployment| standing_in(module, deployment)))
    }

    /// A deployment, compiled; from the cache, or from its module's stream.
    pub(crate) async fn deployment_of_module(
        &self,
        id: &FlowDeployId,
        module_id: &FlowModuleId,
    ) -> Result<Option<Arc<Deployment>>, EngineError> {
        if let Some(deployment) = self.deployments.get(id) {
            return Ok(Some(deployment));
        }
        let module = Box::pin(self.load_aside::<FlowModule>(module_id.id().to_bytes())).await?;
        let Some(deployed) = module.deployment(id) else {
            return Ok(None);
        };
        if let Some(origin) = &self.parent
            && let Some(own) = Box::pin(origin.executor.deployment_of_module(id, module_id)).await?
        {
            let deployment = origin.replaced(self, &own).map_or(own, Arc::new);
            self.deployments.insert(id.clone(), deployment.clone());
            return Ok(Some(deployment));
        }
        let definition = &deployed.definition;
        let text = definition.flow_model.as_deref().unwrap_or_default();
        // It was found good when it was deployed; limits that were tightened since do not undo that.
        let model = parse::parse(text, &beyond_doubt()).map_err(|fault| {
            EngineError::new(
                ResultCode::SystemError,
                format!("deployment {id} can no longer be read: {fault}"),
            )
        })?;
        let deployment = Arc::new(Deployment::new(
            id.clone(),
            module_id.clone(),
            (definition.tenant.clone(), definition.caller.clone()),
            model,
            text.len(),
            self.calculator.clone(),
        ));
        self.deployments.insert(id.clone(), deployment.clone());
        Ok(Some(deployment))
    }

    /// Whether gateways ask.
    pub(crate) fn has_hook(&self) -> bool {
        !self.hooks.is_empty() || self.recorded.as_ref().is_some_and(RecordedHooks::has_hook)
    }

    /// Asks every hook in order; of one key the later answer wins.
    async fn call_hooks(&self, call: &HookCall) -> HookAnswer {
        if let Some(recorded) = &self.recorded {
            return recorded.answer(call);
        }
        let mut merged: BTreeMap<Arc<str>, InstanceData> = BTreeMap::new();
        let mut failures = Vec::new();
        for hook in &self.hooks {
            let what = match time_out::within(self.hook_time_out, || hook.call(call)).await {
                Ok(Ok(answer)) => match self.check_answer(&answer) {
                    Ok(()) => {
                        merged.extend(answer.into_iter().map(|variable| {
                            let value = variable.value.settled();
                            (variable.key.clone(), InstanceData { value, ..variable })
                        }));
                        continue;
                    }
                    Err(wrong) => wrong,
                },
                Ok(Err(error)) => error.to_string(),
                Err(Missed::Late) => format!("did not answer within {} ms", self.hook_time_out.as_millis()),
                Err(Missed::Panicked(text)) => format!("panicked: {text}"),
            };
            let what = value::shortened(&what, FAILURE_CHARS);
            failures.push(format!("{}: {what}", hook.name()).into());
        }
        HookAnswer {
            variables: merged.into_values().collect(),
            failures,
        }
    }

    /// Whether a hook's answer can be stored.
    fn check_answer(&self, answer: &[InstanceData]) -> Result<(), String> {
        for variable in answer {
            let key = value::shortened(&variable.key, 40);
            variable
                .value
                .check()
                .map_err(|wrong| format!("answered {key} with a value that cannot be stored: {wrong}"))?;
        }
        let bytes = answer
            .iter()
            .fold(0usize, |sum, variable| sum.saturating_add(variable.weight()));
        if bytes > self.limits.hook_bytes {
            return Err(format!(
                "answered {bytes} bytes; the limit is {} (Limits::hook_bytes)",
                self.limits.hook_bytes
            ));
        }
        Ok(())
    }

    async fn append<D: Streamed>(&self, state: &D, scope: IdScope, record: &RecordOf<D>) -> Result<Offset, Unstored> {
        let envelope = &record.given.envelope;
        let bytes = D::encode(scope, record).map_err(|error| Unstored::Failed(error.into()))?;
        let item = Append {
            stream: StreamId::from_bytes(envelope.stream),
            expected: Revision::new(state.version()),
            record: bytes.into(),
        };
        // Should the caller go away while the append is under way, the cache must not be trusted for this stream.
        let doubt = self.in_doubt.enter(envelope.stream, envelope.version);
        let outcome = self.store.events.append(vec![item]).await.pop();
        match outcome {
            Some(Ok(appended)) => {
                doubt.reached();
                Ok(appended.offset)
            }
            Some(Err(AppendError::Conflict { .. })) => {
                doubt.reached();
                Err(Unstored::Conflict)
            }
            Some(Err(error)) => {
                // Only an unknown outcome leaves a doubt.
                if !matches!(error, AppendError::Unknown(_)) {
                    doubt.dismiss();
                }
                let mut error = EngineError::from(error);
                error.about_mut().command_id = Some(envelope.command_id.clone());
                Err(Unstored::Failed(error))
            }
            None => Err(Unstored::Failed(EngineError::new(
                ResultCode::SystemError,
                "the store gave no answer",
            ))),
        }
    }

    fn noted(&self, is_time: bool) {
        if is_time {
            (self.housekeeping)();
        }
    }
}

/// How a deployment of a module stands.
fn standing_in(module: &FlowModule, deployment: Arc<Deployment>) -> ModuleStanding {
    if module.is_disabled {
        ModuleStanding::Offline(deployment)
    } else {
        ModuleStanding::Online(deployment)
    }
}

/// Limits for models that were found good already.
pub(crate) fn beyond_doubt() -> ModelLimits {
    let most = usize::MAX;
    ModelLimits {
        bytes: most,
        elements: most,
        properties: most,
        connections: most,
        key_bytes: most,
        ..ModelLimits::default()
    }
}

/// Why a record is not stored.
enum Unstored {
    Conflict,
    Failed(EngineError),
}

/// Whether two commands say the same: what is asked, by whom and why.
fn is_same<C: PartialEq>(left: &Given<C>, right: &Given<C>) -> bool {
    left.command == right.command
        && left.envelope.actor == right.envelope.actor
        && left.envelope.reason == right.envelope.reason
}

/// The version of a command, of all the commands of a stream.
fn place_in<'c>(commands: impl Iterator<Item = &'c CommandId>, command_id: &CommandId) -> Option<u64> {
    (1..)
        .zip(commands)
        .find_map(|(version, known)| (known == command_id).then_some(version))
}

fn too_many_questions() -> EngineError {
    EngineError::new(ResultCode::Overloaded, "the command asks too many questions")
}

/// Reads a stored record and checks that it is the one that belongs there; `None` when it is of another kind.
fn read_record<D: Streamed>(stored: &Stored, version: u64) -> Result<Option<RecordOf<D>>, EngineError> {
    let record = codec::decode(&stored.record).map_err(|error| EngineError::unreadable(error, stored.offset))?;
    let envelope = record.envelope();
    if envelope.stream != *stored.stream.as_bytes() || envelope.version != version {
        return Err(EngineError::new(
            ResultCode::LogCorrupt,
            format!(
                "record {} says it is version {} of stream {}; it stands as version {version} of stream {}",
                stored.offset,
                envelope.version,
                StreamId::from_bytes(envelope.stream),
                stored.stream
            ),
        ));
    }
    Ok(D::from_any(record))
}

/// Calls the host; a panic there is an answer, not the end.
pub(crate) fn guarded<T>(what: &str, call: impl FnOnce() -> T) -> Result<T, EngineError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let detail = format!(
            "the host's {what} panicked: {}; nothing was recorded",
            panic_text(&*panic)
        );
        EngineError::new(ResultCode::SystemError, detail)
    })
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// Streams with an append under way whose outcome nobody waits for: their cached folds may be behind.
#[derive(Default)]
pub(crate) struct InDoubt {
    streams: Mutex<BTreeMap<[u8; 16], u64>>,
    left: AtomicUsize,
}

/// An append under way. Dropped without a word, it leaves its stream in doubt.
struct Doubt<'a> {
    all: &'a InDoubt,
    stream: [u8; 16],
    version: u64,
    is_open: bool,
}

impl InDoubt {
    fn enter(&self, stream: [u8; 16], version: u64) -> Doubt<'_> {
        Doubt {
            all: self,
            stream,
            version,
            is_open: true,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 16], u64>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn holds(&self, stream: &[u8; 16]) -> bool {
        self.left.load(Ordering::Acquire) > 0 && self.lock().contains_key(stream)
    }

    /// Ends the doubt if the stream has come as far as the append; says whether it did.
    fn settle(&self, stream: &[u8; 16], version: u64) -> bool {
        let mut streams = self.lock();
        let is_settled = streams.get(stream).is_none_or(|doubtful| *doubtful <= version);
        if is_settled && streams.remove(stream).is_some() {
            self.left.fetch_sub(1, Ordering::Release);
        }
        is_settled
    }
}

impl Doubt<'_> {
    /// The stream is known to have come as far as this append; earlier doubts end with it.
    fn reached(mut self) {
        self.is_open = false;
        if self.all.holds(&self.stream) {
            self.all.settle(&self.stream, self.version);
        }
    }

    /// This append is known not to be stored; earlier doubts stay.
    fn dismiss(mut self) {
        self.is_open = false;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.is_open && self.all.lock().insert(self.stream, self.version).is_none() {
            self.all.left.fetch_add(1, Ordering::Release);
        }
    }
}
