//! The search for the smallest change with which an instance would have come to an element. Every candidate is carried out in a
//! fork; nothing is believed that was not seen there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use flowledger_engine_core::id::{FlowDeployId, FlowInstanceId, FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowInstance, NodeInstance, NodeStatus};
use flowledger_engine_core::variables::InstanceData;
use flowledger_projections::why::{Decision, Past};
use flowledger_projections::why_not::{Assignment, Proposals, Ways, assignments};
use flowledger_projections::{ChangedCommand, ChangedVariable, ChangedWay, WhyNot};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::fork::ForkParam;
use crate::operation::{CommitTaskParam, InstanceQuery, StartProcessParam};

/// Most forks that are tried.
const MAX_FORKS: usize = 500;
/// Most records that all forks together may read.
const MAX_RECORDS: usize = 1_000_000;
/// Most combinations of values on which conditions are evaluated.
const MAX_TRIALS: usize = 30_000;
/// Most commands given in one fork.
const MAX_STEPS: usize = 16;
/// Most candidates that wait.
const MAX_WAITING: usize = 10_000;

/// Looks for the smallest change and enters it into the answer.
pub(crate) async fn search(
    engine: &Engine,
    past: &Past,
    ways: &mut Ways,
    answer: &mut WhyNot,
) -> Result<(), EngineError> {
    let mut search = Search {
        past,
        waiting: BinaryHeap::new(),
        known: BTreeSet::new(),
        reached: BTreeSet::new(),
        proposed: BTreeMap::new(),
        trials: 0,
        refused_by: BTreeSet::new(),
        is_cut: false,
    };
    search.begin(ways);
    let mut read = 0;
    while let Some(Reverse(candidate)) = search.waiting.pop() {
        if answer.forks >= MAX_FORKS || read >= MAX_RECORDS {
            search.is_cut = true;
            break;
        }
        answer.forks += 1;
        let Some(tried) = candidate.carry_out(engine, past, &mut search.refused_by).await? else {
            continue;
        };
        read += tried.past.records().len();
        ways.look(tried.past.state(), &tried.deployments);
        let before = past.state();
        let counts = |node: &NodeInstance| {
            !matches!(node.status, NodeStatus::Failed | NodeStatus::Disabled) && before.node(&node.id).is_none()
        };
        if ways.reached(tried.past.state()).any(counts) {
            answer.change = Some(candidate.told());
            answer.refused_by = search.refused_by.into_iter().collect();
            return Ok(());
        }
        search.go_on(&candidate, &tried, ways);
    }
    answer.exhausted = !search.is_cut;
    answer.refused_by = search.refused_by.into_iter().collect();
    Ok(())
}

struct Search<'p> {
    past: &'p Past,
    /// The smallest change first.
    waiting: BinaryHeap<Reverse<Candidate>>,
    known: BTreeSet<String>,
    /// Where candidates have come to; another one that comes there is none better.
    reached: BTreeSet<String>,
    /// What was proposed at a sequence flow for these data.
    proposed: BTreeMap<(FlowDeployId, Arc<str>, String), Proposals>,
    /// Combinations of values tried for that.
    trials: usize,
    /// The invariants for which commands were refused.
    refused_by: BTreeSet<Arc<str>>,
    is_cut: bool,
}

/// Commands that may lead to the element, from a version of the instance on.
#[derive(Clone, PartialEq, Eq)]
struct Candidate {
    /// The last version that is kept; 0: another instance is started.
    base: u64,
    steps: Vec<Given>,
}

/// A command of a candidate.
#[derive(Clone, PartialEq, Eq)]
struct Given {
    what: What,
    variables: Vec<InstanceData>,
    changed: Vec<ChangedVariable>,
}

#[derive(Clone, PartialEq, Eq)]
enum What {
    Start(FlowDeployId),
    /// This task.
    Commit(NodeInstanceId, Arc<str>, Option<FlowModuleId>),
    /// The first open task of this element.
    CommitElement(Arc<str>, Option<FlowModuleId>),
}

/// What a candidate came to.
struct Tried {
    past: Past,
    deployments: flowledger_projections::Deployments,
}

impl Candidate {
    fn variables(&self) -> usize {
        self.steps.iter().map(|step| step.changed.len()).sum()
    }

    /// What it is, to be tried once.
    fn name(&self) -> String {
        let steps = self.steps.iter().map(|step| {
            let what = match &step.what {
                What::Start(_) => "start".to_owned(),
                What::Commit(task, ..) => task.to_string(),
                What::CommitElement(key, _) => format!("at {key}"),
            };
            let variables = serde_json::to_string(&step.variables).unwrap_or_default();
            format!("{what} {variables}")
        });
        format!("{} {}", self.base, steps.collect::<Vec<_>>().join("; "))
    }

    /// Gives the commands in a fork; `None` where one of them is refused.
    async fn carry_out(
        &self,
        engine: &Engine,
        past: &Past,
        refused_by: &mut BTreeSet<Arc<str>>,
    ) -> Result<Option<Tried>, EngineError> {
        let Some(root) = past.state().root() else {
            return Ok(None);
        };
        let at = InstanceQuery::new(root.flow_instance_id.clone()).as_of(self.base.max(1));
        let fork = engine.fork(ForkParam::new(at)).await?;
        let mut instance = root.flow_instance_id.clone();
        for step in &self.steps {
            match step.give(fork.engine(), &instance, refused_by).await? {
                Some(of) => instance = of,
                None => return Ok(None),
            }
        }
        let (found, past) = fork.engine().past_of(&InstanceQuery::new(instance)).await?;
        let deployments = found.deployments;
        Ok(Some(Tried { past, deployments }))
    }

    fn told(&self) -> ChangedWay {
        let steps = (self.base + 1..)
            .zip(&self.steps)
            .map(|(version, step)| ChangedCommand {
                version,
                command: match step.what {
                    What::Start(_) => "startProcess",
                    What::Commit(..) | What::CommitElement(..) => "commitTask",
                },
                model_key: match &step.what {
                    What::Start(_) => None,
                    What::Commit(_, key, _) | What::CommitElement(key, _) => Some(key.clone()),
                },
                variables: step.variables.clone(),
                changed: step.changed.clone(),
            });
        ChangedWay {
            variables: self.variables(),
            steps: steps.collect(),
        }
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Of those alike, the one that keeps most of what was.
        let size = |candidate: &Self| (candidate.variables(), candidate.steps.len(), Reverse(candidate.base));
        size(self)
            .cmp(&size(other))
            .then_with(|| self.name().cmp(&other.name()))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Given {
    /// Gives the command; the instance it is about, or `None` where it is refused without a record.
    async fn give(
        &self,
        engine: &Engine,
        instance: &FlowInstanceId,
        refused_by: &mut BTreeSet<Arc<str>>,
    ) -> Result<Option<FlowInstanceId>, EngineError> {
        let mut note = |error: &EngineError| refused_by.extend(error.about().invariant.clone());
        let (task, called) = match &self.what {
            What::Start(deployment) => {
                let mut start = StartProcessParam::of_deployment(deployment.clone());
                start.variables.clone_from(&self.variables);
                let started = engine.start_process(start).await.inspect_err(&mut note);
                return Ok(started.ok().and_then(|started| started.flow_instance_id.clone()));
            }
            What::Commit(task, _, called) => (task.clone(), called),
            What::CommitElement(key, called) => {
                let found = engine.find(&InstanceQuery::new(instance.clone())).await?;
                let tasks = found.state.active_tasks();
                let Some(task) = tasks.into_iter().find(|task| task.key == *key) else {
                    return Ok(None);
                };
                (task.id.clone(), called)
            }
        };
        let mut commit = CommitTaskParam::new(instance, &task);
        commit.variables.clone_from(&self.variables);
        commit.call_activity_flow_module_id = called.as_ref().map(ToString::to_string);
        let version = version_of(engine, instance).await?;
        // A commit that fails is on the record too, and shows what failed.
        let _ = engine.commit_task(commit).await.inspect_err(note);
        Ok((version_of(engine, instance).await? > version).then(|| instance.clone()))
    }

    /// The same with other values of some variables.
    fn with(&self, assignment: &Assignment, read: &Decision) -> Self {
        let mut given = self.clone();
        for (key, value) in assignment {
            given.variables.retain(|variable| variable.key != *key);
            given.variables.push(InstanceData::new(key, value.clone()));
            given.changed.retain(|changed| changed.key != *key);
            given.changed.push(ChangedVariable {
                key: key.clone(),
                was: read.data.value(key).cloned(),
                would_be: value.clone(),
            });
        }
        given
    }
}

async fn version_of(engine: &Engine, instance: &FlowInstanceId) -> Result<usize, EngineError> {
    let found = engine.find(&InstanceQuery::new(instance.clone())).await?;
    Ok(found.state.commands.len())
}

/// Where an instance stands: its open tasks and joins, and the data it would go on with.
fn position(state: &FlowInstance) -> String {
    let open = state.nodes().filter(|node| node.status.is_open());
    let open = open.map(|node| {
        let data = serde_json::to_string(&node.leave.variables).unwrap_or_default();
        format!("{} {:?} {data}", node.key, node.flow)
    });
    open.collect::<Vec<_>>().join("; ")
}

impl Search<'_> {
    /// From what has happened: other values at each decision that turned away, or on from where the instance stands.
    fn begin(&mut self, ways: &Ways) {
        let past = self.past;
        for (decision, not_taken) in ways.turns(past) {
            let Some(given) = self.recorded(decision.version) else {
                continue;
            };
            for assignment in self.proposals(past.state(), decision, &not_taken, ways) {
                self.add(Candidate {
                    base: decision.version - 1,
                    steps: vec![given.with(&assignment, decision)],
                });
            }
        }
        let here = Candidate {
            base: past.state().commands.len() as u64,
            steps: Vec::new(),
        };
        self.add_commits(&here, past.state(), ways);
    }

    /// From what a candidate came to.
    fn go_on(&mut self, candidate: &Candidate, tried: &Tried, ways: &Ways) {
        for (decision, not_taken) in ways.turns(&tried.past) {
            let behind = decision.version.checked_sub(candidate.base + 1);
            let Some(place) = behind.and_then(|place| usize::try_from(place).ok()) else {
                continue;
            };
            let Some(given) = candidate.steps.get(place) else {
                continue;
            };
            for assignment in self.proposals(tried.past.state(), decision, &not_taken, ways) {
                let mut steps = candidate.steps.get(..place).unwrap_or_default().to_vec();
                steps.push(given.with(&assignment, decision));
                self.add(Candidate { steps, ..*candidate });
            }
        }
        if self.reached.insert(position(tried.past.state())) {
            self.add_commits(candidate, tried.past.state(), ways);
        }
    }

    /// The command of a version, if it decides by variables.
    fn recorded(&self, version: u64) -> Option<Given> {
        let record = self.past.record(version)?;
        let what = match &record.task {
            Some(task) => {
                let key = self.past.state().node(task)?.key.clone();
                What::Commit(task.clone(), key, record.called_module.clone())
            }
            None if version == 1 => What::Start(self.past.state().root()?.flow_deploy_id.clone()),
            None => return None,
        };
        Some(Given {
            what,
            variables: record.variables.clone(),
            changed: Vec::new(),
        })
    }

    /// The values with which a decision would have taken one of these sequence flows.
    fn proposals(
        &mut self,
        state: &FlowInstance,
        decision: &Decision,
        not_taken: &[Arc<str>],
        ways: &Ways,
    ) -> Vec<Assignment> {
        let node = state.node(&decision.node);
        let Some((node, deployment)) = node.and_then(|node| Some((node, ways.deployment(state, node)?))) else {
            return Vec::new();
        };
        let Some(element) = deployment.model.element(&node.key) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for flow in not_taken {
            let data = serde_json::to_string(&decision.data).unwrap_or_default();
            let of = (deployment.flow_deploy_id.clone(), flow.clone(), data);
            let proposals = self.proposed.entry(of).or_insert_with(|| {
                let left = MAX_TRIALS.saturating_sub(self.trials);
                assignments(deployment, element, flow, &decision.data, left)
            });
            self.trials += std::mem::take(&mut proposals.trials);
            self.is_cut |= proposals.is_cut;
            let proposed = proposals.assignments.iter();
            all.extend(proposed.filter(|assignment| !assignment.is_empty()).cloned());
        }
        all
    }

    /// On with every open task that leads there, with the variables that were once given at its element.
    fn add_commits(&mut self, candidate: &Candidate, state: &FlowInstance, ways: &Ways) {
        if candidate.steps.len() >= MAX_STEPS {
            self.is_cut = true;
            return;
        }
        let tasks = state.active_tasks().into_iter();
        let keys: BTreeSet<&Arc<str>> = tasks
            .filter(|task| ways.is_before(state, task))
            .map(|task| &task.key)
            .collect();
        for key in keys {
            let records = self.past.records().iter().rev();
            let mut records = records.filter(|record| {
                let task = record.task.as_ref().and_then(|task| self.past.state().node(task));
                task.is_some_and(|task| task.key == *key)
            });
            let before = records.next();
            let mut steps = candidate.steps.clone();
            steps.push(Given {
                what: What::CommitElement(key.clone(), before.and_then(|record| record.called_module.clone())),
                variables: before.map(|record| record.variables.clone()).unwrap_or_default(),
                changed: Vec::new(),
            });
            self.add(Candidate {
                base: candidate.base,
                steps,
            });
        }
    }

    fn add(&mut self, candidate: Candidate) {
        if self.waiting.len() >= MAX_WAITING {
            self.is_cut = true;
        } else if self.known.insert(candidate.name()) {
            self.waiting.push(Reverse(candidate));
        }
    }
}
