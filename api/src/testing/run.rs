//! One run after the other on an engine in memory: commands are given, and every invariant is looked at behind each.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::Poll;

use flowledger_engine_core::event::{Actor, AnyRecord};
use flowledger_engine_core::id::{CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus, NodeInstance, NodeStatus};
use flowledger_engine_core::invariant;
use flowledger_engine_core::model::element::{Element, ElementType};
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::model::parse::{ModelLimits, parse};
use flowledger_engine_core::time::Timestamp;
use flowledger_event_store::{MemoryStore, Store};
use flowledger_projections::drawing::{Drawing, Overlay};

use super::coverage::Coverage;
use super::invariant::{Invariant, Watch};
use super::moment::Moment;
use super::random::{OPERATORS, Word};
use super::script::{MAX_WAIT_SECONDS, Script, ScriptStep};
use super::{FlowTest, Ran};
use crate::blocking::BlockingEngine;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::host::Clock;
use crate::operation::{
    CommandOptions, CommitTaskParam, DeployModel, DrawOptions, LifecycleParam, RedoRollbackParam, RollbackTaskParam,
    RollbackToParam, StartProcessParam, TerminateProcessParam, draw_model,
};

/// Runs on one store before it is thrown away.
const RUNS_PER_STORE: u64 = 500;
/// When time begins.
const BEGINNING: i64 = 1_767_225_600_000;
/// Milliseconds from one command to the next.
const TICK: i64 = 1_000;

/// An engine in memory with the tested model.
pub(super) struct Bench<'t> {
    test: &'t FlowTest,
    clock: Arc<RunClock>,
    store: Store,
    engine: BlockingEngine,
    deployment: FlowDeployId,
    modules: BTreeMap<Arc<str>, FlowModuleId>,
    watched: Vec<Watched>,
    /// Call activities for which the commit names the flow.
    nameless: BTreeSet<Arc<str>>,
    runs: u64,
}

/// A model, and what itself says must hold.
struct Watched {
    module: FlowModuleId,
    model: FlowModel,
    own: Vec<Invariant>,
}

/// What came of one run.
pub(super) struct Played {
    pub(super) ran: Ran,
    /// What was done, each task by its element.
    pub(super) script: Script,
    /// The invariant that was broken, and what was seen.
    pub(super) broken: Option<(Arc<str>, String)>,
    /// The step behind which it was.
    pub(super) at: usize,
    instance: Option<FlowInstanceId>,
    state: Arc<FlowInstance>,
}

/// A clock that stands still until it is moved on.
struct RunClock(AtomicI64);

impl Clock for Arc<RunClock> {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A run as far as it has come.
struct Run {
    instance: Option<FlowInstanceId>,
    state: Arc<FlowInstance>,
    /// The last command with a record, and its answer.
    last: Option<(Request, String)>,
    /// The command in hand, and its answer: it can be given again if it leaves a record.
    given: Option<(Request, String)>,
    /// How far each invariant has come, by the flow it is about.
    watches: BTreeMap<(usize, FlowIndex), Watch>,
    ran: Ran,
}

/// A command as the engine takes it.
#[derive(Clone)]
enum Request {
    Start(StartProcessParam),
    Commit(CommitTaskParam),
    Rollback(RollbackTaskParam),
    RollbackTo(RollbackToParam),
    Redo(RedoRollbackParam),
    Suspend(LifecycleParam),
    Resume(LifecycleParam),
    Terminate(TerminateProcessParam),
}

/// What a command was answered with.
struct Answer {
    code: i32,
    text: String,
    instance: Option<FlowInstanceId>,
    is_error: bool,
    /// The command that was answered.
    command_id: Option<CommandId>,
}

impl<'t> Bench<'t> {
    pub(super) fn new(test: &'t FlowTest) -> Result<Self, EngineError> {
        let clock = Arc::new(RunClock(AtomicI64::new(BEGINNING)));
        let store: Store = MemoryStore::new().into();
        let engine = opened(test, &store, &clock)?;
        let mut bench = Self {
            test,
            clock,
            store,
            engine,
            deployment: FlowDeployId::new(""),
            modules: BTreeMap::new(),
            watched: Vec::new(),
            nameless: BTreeSet::new(),
            runs: 0,
        };
        bench.deploy()?;
        Ok(bench)
    }

    fn deploy(&mut self) -> Result<(), EngineError> {
        self.modules.clear();
        self.watched.clear();
        for (name, model) in callees_first(&self.test.called) {
            let deployed = self
                .engine
                .deploy_model(DeployModel::new(name, &named(model, &self.modules)))?;
            self.watched.extend(watched(&deployed.flow_module_id, model));
            self.modules.insert(name.clone(), deployed.flow_module_id);
        }
        let model = named(&self.test.model, &self.modules);
        let deployed = self.engine.deploy_model(DeployModel::new("tested", &model))?;
        self.watched.extend(watched(&deployed.flow_module_id, &model));
        self.deployment = deployed.flow_deploy_id;
        self.nameless = self.test.texts().flat_map(nameless_calls).collect();
        Ok(())
    }

    /// A store of its own for what follows, now and then.
    fn renew(&mut self) -> Result<(), EngineError> {
        self.runs += 1;
        if self.runs.is_multiple_of(RUNS_PER_STORE) {
            self.store = MemoryStore::new().into();
            self.engine = opened(self.test, &self.store, &self.clock)?;
            self.deploy()?;
        }
        self.clock.0.store(BEGINNING, Ordering::Relaxed);
        Ok(())
    }

    /// Gives commands that are still to be made out.
    pub(super) fn play_words(&mut self, words: &[Word]) -> Result<Played, EngineError> {
        self.renew()?;
        let mut run = Run::new();
        let mut script = Script::default();
        for word in words {
            let Some(step) = self.made_out(word, &run) else {
                continue;
            };
            script.steps.push(step.clone());
            if let Some(broken) = self.take(&mut run, &step)? {
                return Ok(run.ended(script, Some(broken)));
            }
        }
        Ok(run.ended(script, None))
    }

    /// Gives the commands of a script; those that find no task are passed over.
    pub(super) fn play(&mut self, script: &Script) -> Result<Played, EngineError> {
        self.renew()?;
        let mut run = Run::new();
        let mut done = Script::default();
        for step in &script.steps {
            done.steps.push(step.clone());
            if let Some(broken) = self.take(&mut run, step)? {
                return Ok(run.ended(done, Some(broken)));
            }
        }
        Ok(run.ended(done, None))
    }

    /// Takes into a coverage what a run has come to.
    pub(super) fn cover(&self, played: &Played, coverage: &mut Coverage) -> Result<(), EngineError> {
        let Some(instance) = &played.instance else {
            return Ok(());
        };
        let records = self.engine.instance_records(instance.clone())?;
        let records = records.into_iter().filter_map(|record| match record.record {
            AnyRecord::Instance(record) => Some(record),
            AnyRecord::Module(_) => None,
        });
        coverage.note(&played.state, &records.collect::<Vec<_>>(), &self.deployment);
        Ok(())
    }

    /// Draws the instance of a run: what it went through and where it stands, under a title and lines of the caller's.
    pub(super) fn draw(
        &self,
        played: &Played,
        title: String,
        lines: Vec<String>,
        options: DrawOptions,
    ) -> Result<String, EngineError> {
        let Some(instance) = &played.instance else {
            return draw_model(&title, &self.test.model, Overlay::default(), options);
        };
        let touch = move |picture: &mut Drawing<'_>| {
            picture.title = title;
            picture.lines = lines;
            for (place, panel) in picture.panels.iter_mut().enumerate() {
                // Ids differ from run to run and say nothing here.
                panel.heading = panel.heading.take().filter(|_| place > 0).map(|heading| {
                    let told = heading.rsplit_once(", ").map(|(told, _)| told.to_owned());
                    told.unwrap_or(heading)
                });
            }
        };
        let drawn = self.engine.engine().draw_as(instance.into(), options, touch);
        Ok(pollster::block_on(drawn)?.drawing)
    }

    /// What a word means where the run stands; `None` where it means nothing.
    fn made_out(&self, word: &Word, run: &Run) -> Option<ScriptStep> {
        let by = |by: usize| OPERATORS.get(by).map(|by| (*by).into());
        if let Word::Start { variables, by: who } = word {
            return Some(ScriptStep::Start {
                variables: variables.clone(),
                by: by(*who),
            });
        }
        run.instance.as_ref()?;
        let open = run.state.active_tasks();
        let picked = |task: u8| -> Option<&NodeInstance> {
            let place = usize::from(task).checked_rem(open.len())?;
            open.get(place).copied()
        };
        let completed = || -> Vec<&NodeInstance> {
            let nodes = run.state.nodes();
            nodes
                .filter(|node| node.is_user_task() && node.status == NodeStatus::Completed)
                .collect()
        };
        Some(match word {
            Word::Start { .. } => return None,
            Word::Commit {
                task,
                variables,
                by: who,
            } => {
                let task = picked(*task)?;
                let calls = (task.element_type == ElementType::CallActivity && self.nameless.contains(&task.key))
                    .then(|| self.modules.keys().next_back().cloned())
                    .flatten();
                ScriptStep::Commit {
                    task: task.key.clone(),
                    variables: variables.clone(),
                    calls,
                    by: by(*who),
                }
            }
            Word::Rollback { task } => ScriptStep::Rollback {
                task: picked(*task).or_else(|| completed().pop())?.key.clone(),
            },
            Word::RollbackTo { task } => {
                let completed = completed();
                let place = usize::from(*task).checked_rem(completed.len())?;
                ScriptStep::RollbackTo {
                    task: completed.get(place)?.key.clone(),
                }
            }
            Word::Redo => ScriptStep::Redo,
            Word::Hold if run.state.hold().is_some() => ScriptStep::Resume,
            Word::Hold => ScriptStep::Suspend,
            Word::Terminate => ScriptStep::Terminate,
            Word::Repeat => ScriptStep::Repeat,
            Word::Stale { task } => ScriptStep::Stale {
                task: picked(*task)?.key.clone(),
            },
            Word::Unknown => ScriptStep::Unknown,
            Word::Concurrent { task, one, other } => ScriptStep::Concurrent {
                task: picked(*task)?.key.clone(),
                one: one.clone(),
                other: other.clone(),
            },
            Word::Restart => ScriptStep::Restart,
            Word::Wait { seconds } => ScriptStep::Wait { seconds: *seconds },
        })
    }

    /// Takes a step and looks at the invariants; the one that is broken, and what is seen.
    fn take(&mut self, run: &mut Run, step: &ScriptStep) -> Result<Option<(Arc<str>, String)>, EngineError> {
        self.clock.0.fetch_add(TICK, Ordering::Relaxed);
        let before = run.version();
        run.ran.commands += 1;
        let answers = match step {
            ScriptStep::Restart => {
                self.engine = opened(self.test, &self.store, &self.clock)?;
                Vec::new()
            }
            ScriptStep::Wait { seconds } => {
                let seconds = i64::try_from(*seconds.min(&MAX_WAIT_SECONDS)).unwrap_or_default();
                self.clock.0.fetch_add(seconds * 1_000, Ordering::Relaxed);
                Vec::new()
            }
            ScriptStep::Repeat => match self.repeat(run)? {
                Some(other) => return Ok(Some(("a command that is repeated is answered as before".into(), other))),
                None => Vec::new(),
            },
            _ => match self.request(run, step) {
                Some(requests) => self.give(run, &requests),
                None => return Ok(None),
            },
        };
        self.look(run)?;
        let grown = run.version() - before;
        run.ran.records += grown;
        if let Some(given) = run.given.take()
            && grown > 0
        {
            run.last = Some(given);
        }
        // Commits that failed on their way; of those that were refused nothing is on record.
        let first_new = usize::try_from(before).unwrap_or(usize::MAX);
        let is_new = |id: &CommandId| run.state.commands.iter().skip(first_new).any(|new| new == id);
        let failures: Vec<i32> = answers
            .iter()
            .filter(|answer| answer.is_error && answer.command_id.as_ref().is_some_and(is_new))
            .map(|answer| answer.code)
            .collect();
        let failed = failures.len() as u64;
        let told = |name: &str| {
            let texts: Vec<&str> = answers.iter().map(|answer| &*answer.text).collect();
            Some((name.into(), texts.join("; ")))
        };
        match step {
            ScriptStep::Stale { .. } | ScriptStep::Unknown if grown > 0 => {
                return Ok(told("a command that must be refused leaves no record"));
            }
            ScriptStep::Concurrent { .. } if grown > 1 + failed => {
                return Ok(told("of two commits at once one is done"));
            }
            ScriptStep::Restart if grown > 0 => return Ok(told("opening an engine leaves no record")),
            _ => {}
        }
        let is_commit = matches!(step, ScriptStep::Commit { .. } | ScriptStep::Concurrent { .. });
        if run.instance.is_none() {
            return Ok(None);
        }
        let has_committed = is_commit && grown > failed;
        let code = answers.last().map_or(0, |answer| answer.code);
        let failed_with = failures.into_iter().next().filter(|_| is_commit);
        Ok(self.first_broken(run, code, failed_with, has_committed))
    }

    /// The first invariant that does not hold where a run stands, and what is seen.
    fn first_broken(
        &self,
        run: &mut Run,
        code: i32,
        failed_with: Option<i32>,
        has_committed: bool,
    ) -> Option<(Arc<str>, String)> {
        for (index, flow) in run.state.flows() {
            let stands_for = self.watched.iter().find(|watched| {
                watched.module == flow.flow_module_id
                    && (flow.parent.is_none() || flow.status != FlowStatus::Terminated)
            });
            let Some(watched) = stands_for else { continue };
            let moment = Moment {
                state: &run.state,
                in_model: invariant::Moment::new(&run.state, index, &watched.model),
                code,
                failed_with,
                time: self.clock.now(),
            };
            let of_test = self.test.invariants.iter().filter(|_| index == FlowIndex::ROOT);
            for (number, invariant) in of_test.chain(&watched.own).enumerate() {
                let is_new = !run.watches.contains_key(&(number, index));
                let watch = run.watches.entry((number, index)).or_default();
                if let Err(reason) = invariant.holds(watch, &moment, has_committed && !is_new) {
                    let told = moment.told();
                    let seen = reason.map_or_else(|| told.clone(), |reason| format!("{told}; {reason}"));
                    return Some((invariant.name().clone(), seen));
                }
            }
        }
        None
    }

    /// The requests of a step; `None` where there is nothing to give them to.
    fn request(&self, run: &mut Run, step: &ScriptStep) -> Option<Vec<Request>> {
        let id = |place: usize| -> Arc<str> { format!("run-{}-{}-{place}", self.runs, run.ran.commands).into() };
        let options = |by: Option<&Arc<str>>, place: usize| CommandOptions {
            command_id: Some((&*id(place)).into()),
            actor: by.map(|by| Actor {
                operator: Some(by.clone()),
                ..Actor::default()
            }),
            ..CommandOptions::default()
        };
        if let ScriptStep::Start { variables, by } = step {
            let mut start = StartProcessParam::of_deployment(self.deployment.clone());
            start.variables.clone_from(variables);
            start.options = options(by.as_ref(), 0);
            return run.instance.is_none().then(|| vec![Request::Start(start)]);
        }
        let instance = run.instance.clone()?;
        let open = |key: &str| {
            let tasks = run.state.active_tasks();
            tasks
                .into_iter()
                .find(|task| &*task.key == key)
                .map(|task| task.id.clone())
        };
        let commit = |task: &NodeInstanceId, place: usize| {
            let mut commit = CommitTaskParam::new(&instance, task);
            commit.options = options(None, place);
            commit
        };
        Some(vec![match step {
            ScriptStep::Commit {
                task,
                variables,
                calls,
                by,
            } => {
                let task = open(task)?;
                let mut commit = commit(&task, 0);
                commit.options = options(by.as_ref(), 0);
                commit.variables.clone_from(variables);
                let module = calls.as_ref().and_then(|calls| self.modules.get(calls));
                commit.call_activity_flow_module_id = module.map(ToString::to_string);
                Request::Commit(commit)
            }
            ScriptStep::Rollback { task } => {
                let completed = || {
                    let nodes = run.state.nodes().rev();
                    let mut of_key = nodes.filter(|node| node.key == *task && node.status == NodeStatus::Completed);
                    of_key.next().map(|node| node.id.clone())
                };
                let mut rollback = RollbackTaskParam::new(&instance, &open(task).or_else(completed)?);
                rollback.options = options(None, 0);
                Request::Rollback(rollback)
            }
            ScriptStep::RollbackTo { task } => {
                let mut rollback = RollbackToParam::element(&instance, task);
                rollback.options = options(None, 0);
                Request::RollbackTo(rollback)
            }
            ScriptStep::Redo => {
                let mut redo = RedoRollbackParam::new(&instance);
                redo.options = options(None, 0);
                Request::Redo(redo)
            }
            ScriptStep::Suspend => Request::Suspend(LifecycleParam::new(&instance, "a test").command_id(&id(0))),
            ScriptStep::Resume => Request::Resume(LifecycleParam::new(&instance, "a test").command_id(&id(0))),
            ScriptStep::Terminate => Request::Terminate(TerminateProcessParam::new(&instance).command_id(&id(0))),
            ScriptStep::Stale { task } => {
                let mut commit = commit(&open(task)?, 0);
                commit.options.expected_version = Some(run.version().saturating_sub(1));
                Request::Commit(commit)
            }
            ScriptStep::Unknown => Request::Commit(commit(&NodeInstanceId::new("nobody"), 0)),
            ScriptStep::Concurrent { task, one, other } => {
                let task = open(task)?;
                let both = [one, other].into_iter().enumerate().map(|(place, variables)| {
                    let mut commit = commit(&task, place);
                    commit.variables.clone_from(variables);
                    Request::Commit(commit)
                });
                return Some(both.collect());
            }
            ScriptStep::Start { .. } | ScriptStep::Repeat | ScriptStep::Restart | ScriptStep::Wait { .. } => {
                return None;
            }
        }])
    }

    /// Gives requests, all at once.
    fn give(&self, run: &mut Run, requests: &[Request]) -> Vec<Answer> {
        let engine = self.engine.engine();
        let mut answers = match requests {
            [one, other] => pollster::block_on(both(one.give(engine), other.give(engine))),
            [one] => vec![pollster::block_on(one.give(engine))],
            _ => Vec::new(),
        };
        for (answer, request) in answers.iter_mut().zip(requests) {
            answer.command_id = request.command_id();
        }
        if let Some(answer) = answers.first() {
            if let Some(instance) = &answer.instance {
                run.instance.get_or_insert_with(|| instance.clone());
            }
            if let [only] = requests {
                run.given = Some((only.clone(), answer.text.clone()));
            }
        }
        answers
    }

    /// Gives the last command again; what it was answered with, if it was anything else than before.
    fn repeat(&self, run: &Run) -> Result<Option<String>, EngineError> {
        let Some((request, before)) = &run.last else {
            return Ok(None);
        };
        let version = run.version();
        let answer = pollster::block_on(request.give(self.engine.engine()));
        let grown = match &run.instance {
            Some(instance) => self.state_of(instance)?.commands.len() as u64 - version,
            None => 0,
        };
        Ok((answer.text != *before || grown > 0).then(|| format!("first {before}, then {}", answer.text)))
    }

    fn look(&self, run: &mut Run) -> Result<(), EngineError> {
        if let Some(instance) = &run.instance {
            run.state = self.state_of(instance)?;
        }
        Ok(())
    }

    fn state_of(&self, instance: &FlowInstanceId) -> Result<Arc<FlowInstance>, EngineError> {
        let engine = self.engine.engine();
        pollster::block_on(engine.executor().load::<FlowInstance>(instance.id().to_bytes()))
    }
}

impl Run {
    fn new() -> Self {
        Self {
            instance: None,
            state: Arc::default(),
            last: None,
            given: None,
            watches: BTreeMap::new(),
            ran: Ran {
                runs: 1,
                ..Ran::default()
            },
        }
    }

    fn version(&self) -> u64 {
        self.state.commands.len() as u64
    }

    fn ended(self, script: Script, broken: Option<(Arc<str>, String)>) -> Played {
        Played {
            ran: self.ran,
            at: script.steps.len().saturating_sub(1),
            script,
            broken,
            instance: self.instance,
            state: self.state,
        }
    }
}

impl Request {
    fn command_id(&self) -> Option<CommandId> {
        let options = match self {
            Self::Start(param) => &param.options,
            Self::Commit(param) => &param.options,
            Self::Rollback(param) => &param.options,
            Self::RollbackTo(param) => &param.options,
            Self::Redo(param) => &param.options,
            Self::Suspend(param) | Self::Resume(param) => &param.options,
            Self::Terminate(param) => &param.options,
        };
        options.command_id.clone()
    }

    async fn give(&self, engine: &Engine) -> Answer {
        match self {
            Self::Start(param) => answer(engine.start_process(param.clone()).await.map(|done| {
                let instance = done.flow_instance_id.clone();
                (done.err_code, serde_json::to_string(&done), instance)
            })),
            Self::Commit(param) => answer(
                engine
                    .commit_task(param.clone())
                    .await
                    .map(|done| (done.err_code, serde_json::to_string(&done), None)),
            ),
            Self::Rollback(param) => answer(
                engine
                    .rollback_task(param.clone())
                    .await
                    .map(|done| (done.err_code, serde_json::to_string(&done), None)),
            ),
            Self::RollbackTo(param) => answer(
                engine
                    .rollback_to(param.clone())
                    .await
                    .map(|done| (done.err_code, serde_json::to_string(&done), None)),
            ),
            Self::Redo(param) => answer(
                engine
                    .redo_rollback(param.clone())
                    .await
                    .map(|done| (done.err_code, serde_json::to_string(&done), None)),
            ),
            Self::Suspend(param) => answer(
                engine
                    .suspend_instance(param.clone())
                    .await
                    .map(|done| (done.err_code, serde_json::to_string(&done), None)),
            ),
            Self::Resume(param) => answer(
                engine
                    .resume_instance(param.clone())
                    .await
                    .map(|done| (done.err_code, serde_json::to_string(&done), None)),
            ),
            Self::Terminate(param) => answer(
                engine
                    .terminate_process(param.clone())
                    .await
                    .map(|done| (done.err_code, serde_json::to_string(&done), None)),
            ),
        }
    }
}

type Done = (i32, Result<String, serde_json::Error>, Option<FlowInstanceId>);

fn answer(done: Result<Done, EngineError>) -> Answer {
    match done {
        Ok((code, text, instance)) => Answer {
            code,
            text: text.unwrap_or_default(),
            instance,
            is_error: false,
            command_id: None,
        },
        Err(error) => Answer {
            code: error.err_code(),
            text: error.to_string(),
            instance: None,
            is_error: true,
            command_id: None,
        },
    }
}

/// Waits for two at once, each going on whenever it can, the first one first.
async fn both(one: impl Future<Output = Answer>, other: impl Future<Output = Answer>) -> Vec<Answer> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|context| {
        if first.is_none()
            && let Poll::Ready(answer) = one.as_mut().poll(context)
        {
            first = Some(answer);
        }
        if second.is_none()
            && let Poll::Ready(answer) = other.as_mut().poll(context)
        {
            second = Some(answer);
        }
        if first.is_some() && second.is_some() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    first.into_iter().chain(second).collect()
}

fn opened(test: &FlowTest, store: &Store, clock: &Arc<RunClock>) -> Result<BlockingEngine, EngineError> {
    let builder = Engine::builder()
        .store(store.clone())
        .profile(test.profile)
        .clock(clock.clone());
    let builder = match test.hook.clone() {
        Some(hook) => builder.hook_fn("test", move |call| Ok(hook(call))),
        None => builder,
    };
    Ok(builder.open()?.blocking())
}

/// A model that was deployed, with what must hold of its flows.
fn watched(module: &FlowModuleId, text: &str) -> Option<Watched> {
    let model = parse(text, &ModelLimits::default()).ok()?;
    let own = invariant::compile_all(model.invariants()).unwrap_or_default();
    Some(Watched {
        module: module.clone(),
        own: own.iter().map(Invariant::of_model).collect(),
        model,
    })
}

/// Called flows, those that others call before them. Where they call each other in a ring, as they were given.
fn callees_first(called: &[(Arc<str>, Arc<str>)]) -> Vec<&(Arc<str>, Arc<str>)> {
    let mut rest: Vec<_> = called.iter().map(|flow| (flow, calls(&flow.1))).collect();
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let waits_for = |calls: &BTreeSet<Arc<str>>| rest.iter().any(|((name, _), _)| calls.contains(name));
        let next = rest.iter().position(|(_, calls)| !waits_for(calls)).unwrap_or_default();
        ordered.push(rest.remove(next).0);
    }
    ordered
}

/// The call activities of a model; none of what is no model.
fn call_activities(model: &str) -> Vec<Element> {
    let Ok(model) = parse(model, &ModelLimits::default()) else {
        return Vec::new();
    };
    let calls = model
        .elements()
        .iter()
        .filter(|element| element.element_type == ElementType::CallActivity);
    calls.cloned().collect()
}

/// The flows that the call activities of a model name.
fn calls(model: &str) -> BTreeSet<Arc<str>> {
    call_activities(model)
        .iter()
        .filter_map(|call| call.text_property("callActivityFlowModuleId").map(Arc::from))
        .collect()
}

/// What stands in for a called flow that is not known.
const STAND_IN: &str = r#"{"flowElementList":[
    {"key":"called-start","type":2,"outgoing":["called-1"]},
    {"key":"called-1","type":1,"incoming":["called-start"],"outgoing":["called-task"]},
    {"key":"called-task","type":4,"incoming":["called-1"],"outgoing":["called-2"]},
    {"key":"called-2","type":1,"incoming":["called-task"],"outgoing":["called-end"]},
    {"key":"called-end","type":3,"incoming":["called-2"]}]}"#;
/// Its name where call activities name none.
const NAMELESS: &str = "called";

impl FlowTest {
    /// A flow of one task in place of each flow that call activities run and that is not given; their names come with it.
    pub fn stand_ins(mut self) -> (Self, Vec<Arc<str>>) {
        let mut missing: BTreeSet<Arc<str>> = self.texts().flat_map(calls).collect();
        if self.called.is_empty() && missing.is_empty() && self.texts().any(|text| !nameless_calls(text).is_empty()) {
            missing.insert(NAMELESS.into());
        }
        missing.retain(|name| self.called.iter().all(|(called, _)| called != name));
        for name in &missing {
            self = self.called(name, STAND_IN);
        }
        (self, missing.into_iter().collect())
    }
}

/// A model in which the names of called flows are the ids of their modules.
fn named(model: &str, modules: &BTreeMap<Arc<str>, FlowModuleId>) -> String {
    let Ok(mut json) = serde_json::from_str::<serde_json::Value>(model) else {
        return model.to_owned();
    };
    let elements = json
        .get_mut("flowElementList")
        .and_then(serde_json::Value::as_array_mut);
    let mut has_changed = false;
    for element in elements.into_iter().flatten() {
        let Some(called) = element.pointer_mut("/properties/callActivityFlowModuleId") else {
            continue;
        };
        if let Some(module) = called.as_str().and_then(|name| modules.get(name)) {
            *called = module.to_string().into();
            has_changed = true;
        }
    }
    if has_changed {
        json.to_string()
    } else {
        model.to_owned()
    }
}

/// The call activities of a model that do not say which flow they run.
fn nameless_calls(model: &str) -> Vec<Arc<str>> {
    call_activities(model)
        .iter()
        .filter(|call| call.text_property("callActivityFlowModuleId").is_none())
        .map(|call| call.key.clone())
        .collect()
}
