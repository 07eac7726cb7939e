//! Regression over the past: every recorded instance of a module against a candidate model. Reads the log, changes nothing.
//!
//! The deciders are pure, so an instance needs no engine to be run again: each is a fold of its records beside a fresh instance
//! that is given the same commands. Pages of instances are shared out among threads.

mod alike;
mod judge;
mod past;
mod report;
mod state_file;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flowledger_engine_core::codec;
use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::event::{AnyRecord, InstanceEvent};
use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId};
use flowledger_engine_core::model::parse;
use flowledger_engine_core::module::FlowModule;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_event_store::{Offset, Revision, StreamId, leaf_hash};
use flowledger_projections::InstanceFilter;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

pub use self::report::{
    ConditionChange, Course, DifferenceKind, RegressionCandidate, RegressionDifference, RegressionExample,
    RegressionGroup, RegressionLive, RegressionReport, RegressionTally, RegressionValue, RegressionVerdict,
};

use self::judge::{Judge, Placed};
use self::past::Past;
use self::report::{Gathering, Judged};
use self::state_file::{Progress, Subject};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::Executor;
use crate::operation::{LogProgress, hex, judged};

/// Examples of a group unless asked for otherwise.
const EXAMPLES: usize = 5;
/// Most examples of a group.
const EXAMPLES_MAX: usize = 1_000;
/// Instances that are judged between two looks at the state file, unless asked for otherwise.
const BATCH: usize = 1_000;
/// Instances that a thread takes at a time.
const SHARE: usize = 8;
/// Records read at a time.
const READ_BATCH: usize = 1_000;
/// The id of the candidate's deployment. It is on no record.
const CANDIDATE: &str = "candidate";

/// Which module, against which candidate, and how.
#[derive(Clone, Debug)]
pub struct RegressionParam {
    flow_module_id: FlowModuleId,
    flow_model: Arc<str>,
    examples: usize,
    batch: usize,
    threads: Option<NonZero<usize>>,
    state_file: Option<PathBuf>,
}

impl RegressionParam {
    /// The instances in which a module has run, against the text of a candidate model. The text must be well formed; what
    /// else deployFlow would say of it stands in the report.
    pub fn new(flow_module_id: impl Into<FlowModuleId>, flow_model: &str) -> Self {
        Self {
            flow_module_id: flow_module_id.into(),
            flow_model: flow_model.into(),
            examples: EXAMPLES,
            batch: BATCH,
            threads: None,
            state_file: None,
        }
    }

    /// Instances that each group names; 5 unless chosen otherwise, at most 1,000.
    pub fn examples(mut self, most: usize) -> Self {
        self.examples = most.min(EXAMPLES_MAX);
        self
    }

    /// Instances that are judged between two calls of `progress`, each of which may be the last: 1,000 unless chosen
    /// otherwise, at most 1,000.
    pub fn batch(mut self, instances: NonZero<usize>) -> Self {
        self.batch = instances.get().min(BATCH);
        self
    }

    /// Threads that judge; one for each core unless chosen otherwise.
    pub fn threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Keeps what was found so far in a file, after every batch, and goes on from there if the file is of the same module,
    /// candidate, settings and log; otherwise the file is written anew. It is removed in the end.
    pub fn state_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.state_file = Some(path.into());
        self
    }
}

impl Engine {
    /// Gives every recorded instance of a module its commands again on a candidate model, and tells which take the same path,
    /// which take another one and where, which cannot continue, and which of those that have not ended may move.
    ///
    /// Instances are judged as the log has them when the call begins; nothing is recorded, no hook is asked and no listener is
    /// told. Hooks answer from the record, by the gateway's key and the how-many-th time it asks. Other modules run as they
    /// were. `progress` is called after every batch, with how much of the log has been gone through.
    ///
    /// ```
    /// # use flowledger::{DeployModel, Engine, RegressionParam, StartProcessParam};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let engine = Engine::builder().in_memory().open()?.blocking();
    /// let model = |limit: u32| format!(r#"{{"flowElementList":[
    ///     {{"key":"start","type":2,"outgoing":["f1"]}},
    ///     {{"key":"f1","type":1,"incoming":["start"],"outgoing":["gate"]}},
    ///     {{"key":"gate","type":6,"incoming":["f1"],"outgoing":["f2","f3"]}},
    ///     {{"key":"f2","type":1,"incoming":["gate"],"outgoing":["approve"],
    ///      "properties":{{"conditionsequenceflow":"days > {limit}"}}}},
    ///     {{"key":"f3","type":1,"incoming":["gate"],"outgoing":["end"],"properties":{{"defaultConditions":"true"}}}},
    ///     {{"key":"approve","type":4,"incoming":["f2"],"outgoing":["f4"]}},
    ///     {{"key":"f4","type":1,"incoming":["approve"],"outgoing":["end"]}},
    ///     {{"key":"end","type":3,"incoming":["f3","f4"]}}]}}"#);
    /// let module = engine.deploy_model(DeployModel::new("leave", &model(3)))?.flow_module_id;
    /// for days in 1..=6 {
    ///     engine.start_process(StartProcessParam::of_module(module.clone()).variable("days", days))?;
    /// }
    /// let same = engine.regression(RegressionParam::new(module.clone(), &model(3)), |_| {})?;
    /// assert!(same.is_clean());
    ///
    /// // Four days would be approved no longer.
    /// let report = engine.regression(RegressionParam::new(module, &model(4)), |_| {})?;
    /// assert_eq!((report.tally.same_path, report.tally.diverges), (5, 1));
    /// assert_eq!((report.tally.live.may_move, report.tally.live.must_finish_on_old), (2, 1));
    /// let difference = &report.tally.groups[0].difference;
    /// assert_eq!(&*difference.element_key, "gate");
    /// assert_eq!(difference.condition.as_ref().and_then(|condition| condition.now), Some(false));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// 2001 a state file that cannot be used; 3101 an unknown module; a code of deployFlow for a candidate that is not well
    /// formed; 7008, 7800, 7803 a log that cannot be read.
    pub async fn regression(
        &self,
        param: RegressionParam,
        progress: impl FnMut(LogProgress),
    ) -> Result<RegressionReport, EngineError> {
        self.judge_all(param, progress)
            .await
            .map_err(|error| error.answered_as(self.profile(), CodeContext::Other))
    }

    async fn judge_all(
        &self,
        param: RegressionParam,
        mut progress: impl FnMut(LogProgress),
    ) -> Result<RegressionReport, EngineError> {
        let executor = &self.inside.executor;
        let module_id = param.flow_module_id.clone();
        let module = executor.load::<FlowModule>(module_id.id().to_bytes()).await?;
        if module.flow_module_id.is_none() {
            let detail = format!("no flow module has the id {module_id}");
            return Err(EngineError::new(ResultCode::FlowNotFound, detail));
        }
        let model = parse::parse(&param.flow_model, &executor.model_limits)
            .map_err(|fault| EngineError::new(fault.code, format!("the candidate: {fault}")))?;
        let (faults, warnings) = judged(executor, &module_id, &model);
        let candidate = RegressionCandidate {
            sha256: hex(&Sha256::digest(param.flow_model.as_bytes())),
            faults,
            warnings,
        };
        executor.catalogue.catch_up(self.log()).await?;
        let head = self.log().head(0);
        let subject = Subject {
            flow_module_id: module_id.clone(),
            candidate: candidate.sha256.clone(),
            profile: executor.profile,
            examples: param.examples,
            log_position: head.get(),
            log_end: self.leaf_at(head).await?,
        };
        let begun = match &param.state_file {
            Some(path) => Progress::read(path, &subject)?,
            None => None,
        };
        let (mut gathering, mut before) = match begun {
            Some(begun) => (Gathering::of(begun.tally), Some(begun.before)),
            None => (Gathering::default(), None),
        };
        let deployment = Deployment::new(
            FlowDeployId::new(CANDIDATE),
            module_id.clone(),
            (module.definition.tenant.clone(), module.definition.caller.clone()),
            model,
            param.flow_model.len(),
            executor.calculator.clone(),
        );
        let work = Arc::new(Work {
            executor: executor.clone(),
            candidate: Arc::new(deployment),
            head,
            past: Past::of(executor.clone()),
        });
        let threads = param.threads.or_else(|| thread::available_parallelism().ok());
        let threads = threads.map_or(1, NonZero::get);
        loop {
            let page = executor
                .catalogue
                .instances(&InstanceFilter::default(), before, param.batch)?;
            let ids = page.entries.into_iter().map(|entry| entry.flow_instance_id).collect();
            for judged in share_out(&work, ids, threads).await? {
                gathering.add(judged, param.examples);
            }
            let Some(next) = page.next else { break };
            before = Some(next);
            if let Some(path) = &param.state_file {
                let tally = gathering.tally();
                Progress { before: next, tally }.write(path, &subject)?;
            }
            progress(LogProgress {
                // The newest come first.
                position: head.get().saturating_sub(next),
                of: head.get(),
            });
        }
        if let Some(path) = &param.state_file {
            state_file::remove(path)?;
        }
        progress(LogProgress {
            position: head.get(),
            of: head.get(),
        });
        Ok(RegressionReport {
            flow_module_id: module_id,
            candidate,
            log_position: head.get(),
            tally: gathering.tally(),
        })
    }

    /// The hash of the record at a place in the log; of none, zeros.
    async fn leaf_at(&self, offset: Offset) -> Result<String, EngineError> {
        let Some(before) = offset.get().checked_sub(1) else {
            return Ok(hex(&[0; 32]));
        };
        let found = self.log().read_partition(0, Offset::new(before), 1).await?;
        let leaf = found.first().map(|stored| leaf_hash(&stored.record));
        Ok(hex(&leaf.unwrap_or([0; 32])))
    }
}

/// What the threads share.
struct Work {
    executor: Arc<Executor>,
    candidate: Arc<Deployment>,
    /// The last record that is looked at.
    head: Offset,
    past: Past,
}

/// Judges instances on several threads; the verdicts in the order of the instances.
async fn share_out(work: &Arc<Work>, ids: Vec<FlowInstanceId>, threads: usize) -> Result<Vec<Judged>, EngineError> {
    let ids: Arc<[FlowInstanceId]> = ids.into();
    let next = Arc::new(AtomicUsize::new(0));
    let mut answers = Vec::new();
    for _ in 0..threads.min(ids.len().div_ceil(SHARE)) {
        let (sender, receiver) = oneshot::channel();
        let (work, ids, next) = (work.clone(), ids.clone(), next.clone());
        let judge = move || {
            // Nobody listens any more where the call was given up.
            let _ = sender.send(work.judge(&ids, &next));
        };
        thread::Builder::new()
            .name("flowledger-regression".to_owned())
            .spawn(judge)
            .map_err(|error| {
                let detail = format!("the thread flowledger-regression cannot be started: {error}");
                EngineError::new(ResultCode::SystemError, detail)
            })?;
        answers.push(receiver);
    }
    let mut judged = BTreeMap::new();
    for answer in answers {
        let ended = |_| {
            EngineError::new(
                ResultCode::SystemError,
                "a thread of the regression ended before its work",
            )
        };
        judged.extend(answer.await.map_err(ended)??);
    }
    Ok(judged.into_values().collect())
}

impl Work {
    /// Takes instances as long as there are any.
    fn judge(&self, ids: &[FlowInstanceId], next: &AtomicUsize) -> Result<Vec<(usize, Judged)>, EngineError> {
        let judge = Judge {
            executor: &self.executor,
            candidate: &self.candidate,
            past: &self.past,
        };
        let mut verdicts = Vec::new();
        loop {
            let first = next.fetch_add(SHARE, Ordering::Relaxed);
            let Some(share) = ids.get(first..).filter(|rest| !rest.is_empty()) else {
                return Ok(verdicts);
            };
            for (place, id) in share.iter().take(SHARE).enumerate() {
                let records = pollster::block_on(self.records(id))?;
                let has_run = self.has_run(&records);
                // Of a sub flow that a failed commit had started nothing stands on the record.
                if has_run || has_failed(&records) {
                    let judged = judge.judge(&records)?;
                    if has_run || judged.is_called {
                        verdicts.push((first + place, judged));
                    }
                }
            }
        }
    }

    /// Whether the candidate's module has run in an instance.
    fn has_run(&self, records: &[Placed]) -> bool {
        let module = &self.candidate.flow_module_id;
        records
            .iter()
            .flat_map(|(_, record)| &record.events)
            .any(|event| matches!(event, InstanceEvent::FlowStarted { flow_module_id, .. } if flow_module_id == module))
    }

    async fn records(&self, id: &FlowInstanceId) -> Result<Vec<Placed>, EngineError> {
        let stream = StreamId::from_bytes(id.id().to_bytes());
        let mut records: Vec<Placed> = Vec::new();
        let mut after = Revision::NONE;
        loop {
            let batch = self
                .executor
                .store
                .events
                .read_stream(&stream, after, READ_BATCH)
                .await?;
            if batch.is_empty() {
                return Ok(records);
            }
            for stored in batch {
                if stored.offset > self.head {
                    return Ok(records);
                }
                after = stored.revision;
                let record =
                    codec::decode(&stored.record).map_err(|error| EngineError::unreadable(error, stored.offset))?;
                match record {
                    AnyRecord::Instance(record) if record.given.envelope.version == records.len() as u64 + 1 => {
                        records.push((stored.offset, record));
                    }
                    AnyRecord::Instance(_) | AnyRecord::Module(_) => {
                        let detail = format!("record {} does not belong where it stands", stored.offset);
                        return Err(EngineError::new(ResultCode::LogCorrupt, detail));
                    }
                }
            }
        }
    }
}

/// Whether a commit of an instance has failed.
fn has_failed(records: &[Placed]) -> bool {
    let mut events = records.iter().flat_map(|(_, record)| &record.events);
    events.any(|event| matches!(event, InstanceEvent::CommitFailed { .. }))
}
