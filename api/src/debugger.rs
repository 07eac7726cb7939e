//! The debugger: an instance's records, walked forward and backward, one by one or event by event. Knows no terminal and writes
//! nothing; once it is made, it needs no store.

mod folds;
mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::event::{AnyRecord, InstanceEvent, InstanceRecord};
use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, Outcome};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_engine_core::variables::Variables;
use flowledger_projections::elements::{ElementInstance, UnknownSequenceFlow, elements};
use flowledger_projections::instance_data::instance_data;
use flowledger_projections::outline::{OutlineElement, outline};
use flowledger_projections::user_tasks::user_tasks;
use flowledger_projections::why::Past;
use flowledger_projections::{
    Authors, Deployments, FlowInstanceBo, InstanceDiff, NodeInstance, VariableDifference, View, Why, Written, diff,
};

use self::folds::Folds;
pub use self::search::{FoundIn, SearchHit};
use crate::as_of::AsOf;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::{InstanceQuery, LogRecord};

/// Where a debugger stands: behind an event of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DebugPosition {
    /// The record, by the version of the instance that it made.
    pub version: u64,
    /// How many of its events have happened: from 1 to all of them.
    pub event: usize,
}

/// How far a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the end of a record.
    Record,
    /// Over one event.
    Event,
}

/// A record of the instance, and what its command came to.
#[derive(Clone, Debug)]
pub struct DebugRecord {
    /// The record.
    pub log: LogRecord,
    /// The code that its command was answered with.
    pub code: ResultCode,
}

impl DebugRecord {
    fn instance(&self) -> Option<&InstanceRecord> {
        match &self.log.record {
            AnyRecord::Instance(record) => Some(record),
            AnyRecord::Module(_) => None,
        }
    }

    /// How many events it has.
    pub fn events(&self) -> usize {
        self.instance().map_or(0, |record| record.events.len())
    }
}

/// An instance, its records, and a position among them. What it tells is what the queries tell of that position.
///
/// It has the records of the moment when it was made, all in memory, and steps back by folding forward from the nearest of a
/// bounded number of folds that it keeps.
///
/// ```
/// # use flowledger::{CommitTaskParam, DeployModel, Engine, StartProcessParam, Step};
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
/// # engine.commit_task(CommitTaskParam::new(&instance, &task).variable("days", 9))?;
/// let mut debugger = engine.debugger(&instance)?;
/// assert_eq!(debugger.position().version, 2);
/// assert_eq!(&*debugger.changes()[0].key, "days");
///
/// assert!(debugger.back(Step::Record));
/// assert!(debugger.variables().is_empty());
/// let waits_at: Vec<_> = debugger.outline().into_iter().filter(|element| element.status == Some(2)).collect();
/// assert_eq!(&*waits_at[0].model_key, "ask");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Debugger {
    profile: Profile,
    flow_instance_id: FlowInstanceId,
    records: Vec<DebugRecord>,
    deployments: Deployments,
    /// The elements of all node instances there are.
    keys: BTreeMap<NodeInstanceId, Arc<str>>,
    /// The commits that failed, by version, and their tasks.
    failed_commits: Vec<(u64, NodeInstanceId)>,
    folds: Folds,
    position: DebugPosition,
    /// At the end of the record before.
    before: Authors,
    /// At the position.
    present: Authors,
}

impl Engine {
    /// A debugger on an instance, at the moment of the query, or at its newest record. The id of a sub flow instance leads to
    /// its root, in which it is looked at.
    ///
    /// # Errors
    /// 2001; 4008 unknown instance; 7417 a version that lies ahead; 7008, 7800, 7803.
    pub async fn debugger(&self, query: impl Into<InstanceQuery>) -> Result<Debugger, EngineError> {
        let query = query.into();
        let now = InstanceQuery {
            as_of: None,
            ..query.clone()
        };
        let found = self.find(&now).await?;
        let Some(root) = found.state.root().map(|root| root.flow_instance_id.clone()) else {
            return Err(not_there(&query.flow_instance_id, self.profile()));
        };
        let mut records = self.instance_records(root.clone()).await?;
        // What was recorded meanwhile may run what is not among the deployments.
        records.truncate(found.state.commands.len());
        let mut debugger = Debugger::of(root, records, found.deployments, self.profile())?;
        if let Some(as_of) = query.as_of {
            debugger.jump(as_of)?;
        }
        Ok(debugger)
    }
}

impl Debugger {
    fn of(
        flow_instance_id: FlowInstanceId,
        records: Vec<LogRecord>,
        deployments: Deployments,
        profile: Profile,
    ) -> Result<Self, EngineError> {
        let mut debugger = Self {
            profile,
            flow_instance_id,
            records: Vec::with_capacity(records.len()),
            deployments,
            keys: BTreeMap::new(),
            failed_commits: Vec::new(),
            folds: Folds::default(),
            position: DebugPosition { version: 0, event: 0 },
            before: Authors::default(),
            present: Authors::default(),
        };
        let last = records.len();
        for (place, log) in (1..).zip(records) {
            let AnyRecord::Instance(record) = &log.record else {
                let detail = format!(
                    "record {} stands in the stream of an instance, and is of a module",
                    log.position
                );
                return Err(EngineError::new(ResultCode::LogCorrupt, detail));
            };
            if place == last {
                debugger.before.clone_from(&debugger.present);
            }
            debugger.present.apply(record, profile);
            let version = record.given.envelope.version;
            debugger.folds.keep(version, &debugger.present);
            for event in &record.events {
                if let InstanceEvent::CommitFailed { node, .. } = event {
                    debugger.failed_commits.push((version, node.clone()));
                }
            }
            debugger.position = DebugPosition {
                version,
                event: record.events.len(),
            };
            let code = Outcome::of(record, debugger.present.state()).code;
            debugger.records.push(DebugRecord { log, code });
        }
        let nodes = debugger.present.state().nodes();
        debugger.keys = nodes.map(|node| (node.id.clone(), node.key.clone())).collect();
        Ok(debugger)
    }

    /// The root instance.
    pub fn flow_instance_id(&self) -> &FlowInstanceId {
        &self.flow_instance_id
    }

    /// The instance's records, oldest first; never empty. The one of version 1 comes first.
    pub fn records(&self) -> &[DebugRecord] {
        &self.records
    }

    /// The record of a version.
    pub fn record(&self, version: u64) -> Option<&DebugRecord> {
        let index = usize::try_from(version.checked_sub(1)?).ok()?;
        self.records.get(index)
    }

    /// Where it stands.
    pub fn position(&self) -> DebugPosition {
        self.position
    }

    /// Steps forward; says whether there was somewhere to go. From within a record, a step over records goes to its end.
    pub fn forward(&mut self, step: Step) -> bool {
        let DebugPosition { version, event } = self.position;
        let is_within = event < self.events_of(version);
        let version = if is_within { version } else { version + 1 };
        let event = match step {
            Step::Record => self.events_of(version),
            Step::Event if is_within => event + 1,
            Step::Event => 1,
        };
        self.go(DebugPosition { version, event })
    }

    /// Steps back; says whether there was somewhere to go. A step over records goes to the end of the record before.
    pub fn back(&mut self, step: Step) -> bool {
        let DebugPosition { version, event } = self.position;
        let before = version.saturating_sub(1);
        let to = match step {
            Step::Event if event > 1 => DebugPosition {
                version,
                event: event - 1,
            },
            Step::Record | Step::Event => DebugPosition {
                version: before,
                event: self.events_of(before),
            },
        };
        self.go(to)
    }

    /// Goes to the end of the record of a version, or of the newest one of a time or before; says where that is.
    ///
    /// # Errors
    /// 4008 nothing was recorded yet; 7417 the version lies ahead.
    pub fn jump(&mut self, as_of: impl Into<AsOf>) -> Result<DebugPosition, EngineError> {
        let version = self.version_of(as_of.into())?;
        self.go(DebugPosition {
            version,
            event: self.events_of(version),
        });
        Ok(self.position)
    }

    /// Goes behind an event of a record; says whether there is one.
    pub fn go(&mut self, to: DebugPosition) -> bool {
        let DebugPosition { version, event } = to;
        let Some(record) = self.record(version).and_then(DebugRecord::instance) else {
            return false;
        };
        if event == 0 || event > record.events.len() {
            return false;
        }
        let mut record = record.clone();
        record.events.truncate(event);
        if version != self.position.version {
            self.before = self.at(version - 1);
        }
        let mut present = self.before.clone();
        present.apply(&record, self.profile);
        self.present = present;
        self.position = to;
        true
    }

    /// The instance at the position (getFlowInstance).
    pub fn flow_instance(&self) -> Option<FlowInstanceBo> {
        FlowInstanceBo::of(self.present.state(), FlowIndex::ROOT, self.profile)
    }

    /// The variables at the position (getInstanceData).
    pub fn instance_data(&self) -> Variables {
        instance_data(self.present.state(), FlowIndex::ROOT, true)
    }

    /// The user tasks that are done or wait, newest first (getHistoryUserTaskList).
    pub fn user_tasks(&self) -> Vec<NodeInstance> {
        user_tasks(self.present.state(), FlowIndex::ROOT, true, self.view())
    }

    /// Everything the flow went through up to the position, oldest first (getHistoryElementList).
    ///
    /// # Errors
    /// Two nodes follow each other, but the model does not connect them.
    pub fn elements(&self) -> Result<Vec<ElementInstance>, UnknownSequenceFlow> {
        elements(self.present.state(), FlowIndex::ROOT, true, self.view())
    }

    /// One visit of a node, as it stands at the position (getNodeInstance).
    pub fn node_instance(&self, id: &NodeInstanceId) -> Option<NodeInstance> {
        let node = self.present.state().node(id)?;
        Some(NodeInstance::of(node, self.present.state(), self.view()))
    }

    /// The data a visit of a node was entered with, and the version of the instance that entered it.
    pub fn entry(&self, id: &NodeInstanceId) -> Option<(Variables, u64)> {
        let node = self.present.state().node(id)?;
        Some((node.entry.variables.clone(), node.created_version))
    }

    /// The elements of the models that run, in flow order, with what has become of them at the position.
    pub fn outline(&self) -> Vec<OutlineElement> {
        let mut failed_commits: BTreeMap<&NodeInstanceId, usize> = BTreeMap::new();
        let happened = self
            .failed_commits
            .iter()
            .take_while(|(version, _)| *version <= self.position.version);
        for (_, task) in happened {
            *failed_commits.entry(task).or_default() += 1;
        }
        outline(self.present.state(), self.view(), &failed_commits)
    }

    /// The node instances that the present record has brought, or moved to another status, up to the position.
    pub fn touched(&self) -> BTreeSet<NodeInstanceId> {
        let mut before = self.before.state().nodes();
        let nodes = self.present.state().nodes();
        // Node instances keep their places.
        let touched = nodes.filter(|node| before.next().is_none_or(|before| before.status != node.status));
        touched.map(|node| node.id.clone()).collect()
    }

    /// The variables at the position, by key, and who gave them their values.
    pub fn variables(&self) -> &BTreeMap<Arc<str>, Written> {
        self.present.written()
    }

    /// What the present record has changed of the variables up to the position: left as they were before it, right as they are.
    pub fn changes(&self) -> Vec<VariableDifference> {
        diff::variables(&self.before, &self.present)
    }

    /// Every value that a variable had at the end of a record, up to the position, oldest first: the version that gave it, and
    /// the value, or none where the position has no such variable.
    ///
    /// It reads every record up to the position.
    pub fn values_of(&self, key: &str) -> Vec<(u64, Option<Written>)> {
        let mut values: Vec<(u64, Option<Written>)> = Vec::new();
        let mut fold = Authors::default();
        for record in self.records.iter().filter_map(DebugRecord::instance) {
            let version = record.given.envelope.version;
            if version > self.position.version {
                break;
            }
            if version == self.position.version {
                fold.clone_from(&self.present);
            } else {
                fold.apply(record, self.profile);
            }
            let now = fold.written().get(key);
            let last = values.last().and_then(|(_, written)| written.as_ref());
            if last.map(|written| &written.value) != now.map(|written| &written.value) {
                values.push((version, now.cloned()));
            }
        }
        values
    }

    /// Why a node instance came to be: the records that led there up to the position, with what each decided on the way, the
    /// values its conditions read, and who wrote those; `None` where there is none at the position.
    ///
    /// It reads every record up to the position.
    pub fn why(&self, id: &NodeInstanceId) -> Option<Why> {
        let mut past = Past::default();
        for record in self.records.iter().filter_map(DebugRecord::instance) {
            let DebugPosition { version, event } = self.position;
            if record.given.envelope.version < version {
                past.apply(record);
                continue;
            }
            let mut record = record.clone();
            record.events.truncate(event);
            past.apply(&record);
            break;
        }
        Why::of(&past, self.view(), id)
    }

    /// In what the position differs from the end of another record: left the other one, right the position.
    ///
    /// # Errors
    /// 4008 nothing was recorded yet; 7417 the version lies ahead.
    pub fn diff(&self, other: impl Into<AsOf>) -> Result<InstanceDiff, EngineError> {
        let other = self.at(self.version_of(other.into())?);
        InstanceDiff::of(&other, &self.present).ok_or_else(|| not_there(&self.flow_instance_id, self.profile))
    }

    /// The records in which a text stands, whatever its case: in element keys and names, variables and their values, actors and
    /// reasons, commands, events, codes and ids.
    pub fn search(&self, text: &str) -> Vec<SearchHit> {
        search::search(self, text)
    }

    fn view(&self) -> View<'_> {
        View {
            deployments: &self.deployments,
            profile: self.profile,
        }
    }

    fn events_of(&self, version: u64) -> usize {
        self.record(version).map_or(0, DebugRecord::events)
    }

    /// The version that a moment means.
    fn version_of(&self, as_of: AsOf) -> Result<u64, EngineError> {
        let last = self.records.len() as u64;
        let version = match as_of {
            AsOf::Version(version) if version > last => {
                let detail = format!("it is at version {last}, and has not come to version {version}");
                let error = EngineError::new(ResultCode::VersionNotReached, detail);
                return Err(error.answered_as(self.profile, CodeContext::Other));
            }
            AsOf::Version(version) => version,
            // No record is older than the one before it.
            AsOf::Time(time) => {
                let happened = |record: &DebugRecord| record.log.record.envelope().recorded_at <= time;
                self.records.partition_point(happened) as u64
            }
        };
        if version == 0 {
            return Err(not_there(&self.flow_instance_id, self.profile));
        }
        Ok(version)
    }

    /// The fold at the end of the record of a version.
    fn at(&self, version: u64) -> Authors {
        let DebugPosition { version: now, event } = self.position;
        let is_whole = event == self.events_of(now);
        let known = [
            Some((now, &self.present)).filter(|_| is_whole),
            now.checked_sub(1).map(|before| (before, &self.before)),
            self.folds.nearest(version),
        ];
        let known = known.into_iter().flatten().filter(|(known, _)| *known <= version);
        let nearest = known.max_by_key(|(version, _)| *version);
        let (from, mut fold) = nearest.map(|(from, fold)| (from, fold.clone())).unwrap_or_default();
        for version in from + 1..=version {
            if let Some(record) = self.record(version).and_then(DebugRecord::instance) {
                fold.apply(record, self.profile);
            }
        }
        fold
    }
}

fn not_there(id: &FlowInstanceId, profile: Profile) -> EngineError {
    let detail = format!("nothing was recorded of the flow instance {id} yet");
    EngineError::new(ResultCode::InstanceNotFound, detail).answered_as(profile, CodeContext::Other)
}
