//! The law of rollback: after a rollback to a task, data and active tasks equal those of a run in which the task's commit
//! and every command that depends on it were never given, the others in their order.
//!
//! Knows no rule of rollback: it keeps the word of commits that still count, runs what is left of it on a fresh
//! interpreter, and compares. A task activation is the same in two runs if it is the same visit of the same place.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::conformance::{Bench, NaiveBench};
use crate::differential::Follower;
use crate::generate::Case;
use crate::naive::Naive;
use crate::scenario::{
    Answer, Body, Commit, ElementView, Flow, Operation, Outcome, Profile, Session, Step, Subject, TaskView, Variable,
    Variables,
};

/// Where a task is: the keys of the call activities around it, outermost first, then its own.
pub type Path = Vec<String>;

/// An active task, or a call activity that has not been committed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ActiveTask {
    /// Where it is.
    pub path: Path,
    /// Its node instance.
    pub node: String,
}

/// The active tasks of a flow instance and its sub flow instances, call activities that run one left out.
pub fn active_tasks<S: Subject>(subject: &mut S, flow_instance_id: &str) -> Vec<ActiveTask> {
    fn collect(elements: &[ElementView], around: &[String], tasks: &mut Vec<ActiveTask>) {
        for element in elements {
            let (Some(node), 2) = (&element.node, element.status) else {
                continue;
            };
            let mut path = around.to_vec();
            path.push(element.model_key.clone());
            match element.sub.as_deref() {
                None | Some([]) => tasks.push(ActiveTask {
                    path,
                    node: node.clone(),
                }),
                Some(inner) => collect(inner, &path, tasks),
            }
        }
    }
    let mut tasks = Vec::new();
    if let Body::Elements(elements) = subject.history_elements(flow_instance_id, true).body {
        collect(&elements, &[], &mut tasks);
    }
    tasks
}

/// The tasks that an answer shows, with their data, by node instance.
fn shown(tasks: &[TaskView], known: &mut BTreeMap<String, Variables>) {
    for task in tasks {
        match task.sub.first().map(|answer| &answer.body) {
            Some(Body::Runtime(inner)) => shown(&inner.tasks, known),
            _ => {
                known.insert(task.node.clone(), task.variables.clone());
            }
        }
    }
}

/// The place of the first task that an answer shows.
fn first_path(tasks: &[TaskView]) -> Path {
    let Some(first) = tasks.first() else {
        return Path::new();
    };
    let mut path = vec![first.model_key.clone()];
    if let Some(Body::Runtime(inner)) = first.sub.first().map(|answer| &answer.body) {
        path.extend(first_path(&inner.tasks));
    }
    path
}

/// A place with an active task, and the task's data if an answer ever showed them.
type Placed = (Path, Option<Variables>);

/// Where a flow instance stands.
#[derive(Debug, Clone, PartialEq)]
struct Standing {
    /// The active tasks by place.
    tasks: Vec<Placed>,
    /// getInstanceData, without and with sub flow instances.
    data: [Answer; 2],
    /// The status of the flow instance.
    status: Option<i64>,
}

impl Standing {
    fn of<S: Subject>(subject: &mut S, id: &str, known: &mut BTreeMap<String, Variables>) -> Self {
        // A completed task that is committed again changes nothing and shows every active one (T-07).
        if let Body::Nodes(tasks) = subject.history_user_tasks(id, true).body
            && let Some(completed) = tasks.iter().find(|task| task.status == 1)
        {
            let again = subject.commit(&Commit {
                flow_instance_id: id.to_owned(),
                task_instance_id: completed.node.clone(),
                variables: Vec::new(),
                call_activity_flow_module_id: None,
                command_id: None,
            });
            if let Body::Runtime(runtime) = again.body {
                shown(&runtime.tasks, known);
            }
        }
        let mut tasks: Vec<Placed> = active_tasks(subject, id)
            .into_iter()
            .map(|task| (task.path, known.get(&task.node).cloned()))
            .collect();
        tasks.sort_by(|left, right| left.0.cmp(&right.0));
        let data = [false, true].map(|effective| subject.instance_data(id, effective));
        let status = match subject.flow_instance(id).body {
            Body::Flow { status, .. } => Some(status),
            _ => None,
        };
        Self { tasks, data, status }
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let differs = |(left, right): (&Placed, &Placed)| {
            left.0 != right.0 || (left.1.is_some() && right.1.is_some() && left.1 != right.1)
        };
        let tasks = self.tasks.len() != other.tasks.len() || self.tasks.iter().zip(&other.tasks).any(differs);
        (tasks || self.data != other.data || self.status != other.status)
            .then(|| format!("it stands at\n{self:#?}\nwithout the commits\n{other:#?}"))
    }
}

/// A commit that counts: which visit of which place it consumed, and what it submitted.
#[derive(Debug, Clone)]
struct Given {
    path: Path,
    visit: usize,
    variables: Vec<Variable>,
    call_activity_flow: Option<String>,
}

/// A run without any rollback.
struct Run {
    session: Session<Naive>,
    id: String,
    visits: BTreeMap<Path, usize>,
    /// The visit that a node instance is.
    seen: BTreeMap<String, usize>,
    known: BTreeMap<String, Variables>,
}

impl Run {
    fn new(origin: &Origin, start: &[Variable]) -> Self {
        let mut session = Session::new(NaiveBench.subject(origin.profile, &origin.hook_answer), &origin.flows);
        for flow in &origin.flows {
            let mut step = Step::new(Operation::Deploy);
            step.flow = Some(flow.name.clone());
            session.step(&step);
        }
        let mut step = Step::new(Operation::Start);
        step.flow = Some("main".to_owned());
        step.name = Some("run".to_owned());
        step.variables = Some(start.to_vec());
        let outcome = session.step(&step);
        let id = session.instance_id("run");
        let mut run = Self {
            session,
            id,
            visits: BTreeMap::new(),
            seen: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        run.look(&outcome.answer);
        run
    }

    fn look(&mut self, answer: &Answer) {
        if let Body::Runtime(runtime) = &answer.body {
            shown(&runtime.tasks, &mut self.known);
        }
        for task in active_tasks(&mut self.session.subject, &self.id) {
            if !self.seen.contains_key(&task.node) {
                let visit = self.visits.entry(task.path).or_default();
                *visit += 1;
                self.seen.insert(task.node, *visit);
            }
        }
    }

    /// The active task at a place: its node instance and which visit it is.
    fn at(&mut self, path: &Path) -> Option<(String, usize)> {
        let tasks = active_tasks(&mut self.session.subject, &self.id);
        let task = tasks.into_iter().find(|task| task.path == *path)?;
        let visit = self.seen.get(&task.node).copied().unwrap_or_default();
        Some((task.node, visit))
    }

    /// Gives a commit if the activation it consumes is there.
    fn give(&mut self, given: &Given) -> Result<bool, String> {
        let Some((node, _)) = self.at(&given.path).filter(|(_, visit)| *visit == given.visit) else {
            return Ok(false);
        };
        let module = given.call_activity_flow.clone();
        assert!(module.is_none(), "generated flows name their modules in the model");
        let answer = self.session.subject.commit(&Commit {
            flow_instance_id: self.id.clone(),
            task_instance_id: node,
            variables: given.variables.clone(),
            call_activity_flow_module_id: None,
            command_id: None,
        });
        if answer.code >= 2000 {
            return Err(format!("the commit of {:?} answers {}", given.path, answer.code));
        }
        self.look(&answer);
        Ok(true)
    }

    fn standing(&mut self) -> Standing {
        Standing::of(&mut self.session.subject, &self.id, &mut self.known)
    }
}

struct Origin {
    flows: Vec<Flow>,
    hook_answer: Vec<Variable>,
    profile: Profile,
}

/// What counts in one flow instance.
struct Followed {
    start: Vec<Variable>,
    word: Vec<Given>,
    run: Run,
    known: BTreeMap<String, Variables>,
    terminated: bool,
}

/// Follows a case with a subject of its own and checks the law at every rollback, and after every commit that follows.
pub struct RollbackLaw<S> {
    session: Session<S>,
    origin: Origin,
    instances: BTreeMap<String, Followed>,
    /// Rollbacks that were checked.
    pub rollbacks: usize,
    /// Commits that rollbacks took with them, those of their targets left out.
    pub dependents: usize,
    /// Commits that stayed although they were given after the target's.
    pub independents: usize,
}

impl<S: Subject> RollbackLaw<S> {
    /// A follower that drives `subject`, which has seen nothing yet.
    pub fn new(subject: S, case: &Case, profile: Profile) -> Self {
        Self {
            session: Session::new(subject, &case.flows),
            origin: Origin {
                flows: case.flows.clone(),
                hook_answer: case.hook_answer.clone(),
                profile,
            },
            instances: BTreeMap::new(),
            rollbacks: 0,
            dependents: 0,
            independents: 0,
        }
    }

    fn started(&mut self, step: &Step, outcome: &Outcome) {
        let id = self.session.instance_id(step.name.as_deref().unwrap_or_default());
        let Body::Runtime(runtime) = &outcome.answer.body else {
            return;
        };
        if runtime.flow_instance != id || self.instances.contains_key(&id) {
            return;
        }
        let start = step.variables.clone().unwrap_or_default();
        let mut known = BTreeMap::new();
        shown(&runtime.tasks, &mut known);
        let followed = Followed {
            run: Run::new(&self.origin, &start),
            start,
            word: Vec::new(),
            known,
            terminated: false,
        };
        self.instances.insert(id, followed);
    }

    fn committed(&mut self, step: &Step, id: &str, task: &ActiveTask, answer: &Answer) -> Result<(), String> {
        let followed = self.instances.get_mut(id).ok_or("nothing was started")?;
        if let Body::Runtime(runtime) = &answer.body {
            shown(&runtime.tasks, &mut followed.known);
        }
        let Some((_, visit)) = followed.run.at(&task.path) else {
            return Err(format!("without rollbacks {:?} is not active", task.path));
        };
        let given = Given {
            path: task.path.clone(),
            visit,
            variables: step.variables.clone().unwrap_or_default(),
            call_activity_flow: step.call_activity_flow.clone(),
        };
        followed.run.give(&given)?;
        followed.word.push(given);
        Ok(())
    }

    fn rolled_back(&mut self, id: &str, answer: &Answer) -> Result<(), String> {
        let followed = self.instances.get_mut(id).ok_or("nothing was started")?;
        let Body::Runtime(runtime) = &answer.body else {
            return Err("a rollback shows no task".to_owned());
        };
        shown(&runtime.tasks, &mut followed.known);
        let target = first_path(&runtime.tasks);
        let place = followed
            .word
            .iter()
            .rposition(|given| given.path == target)
            .ok_or_else(|| format!("{target:?} was never committed"))?;
        let word = std::mem::take(&mut followed.word);
        followed.run = Run::new(&self.origin, &followed.start);
        self.rollbacks += 1;
        for (index, given) in word.into_iter().enumerate() {
            if index == place {
                continue;
            }
            if followed.run.give(&given)? {
                self.independents += usize::from(index > place);
                followed.word.push(given);
            } else {
                self.dependents += 1;
            }
        }
        Ok(())
    }

    fn compare(&mut self, id: &str) -> Result<(), String> {
        let Some(followed) = self.instances.get_mut(id).filter(|followed| !followed.terminated) else {
            return Ok(());
        };
        let stands = Standing::of(&mut self.session.subject, id, &mut followed.known);
        let without = followed.run.standing();
        stands.difference(&without).map_or(Ok(()), Err)
    }
}

impl<S: Subject> Follower for RollbackLaw<S> {
    fn follow(&mut self, step: &Step, _oracle: &Outcome) -> Result<(), String> {
        let id = self.session.instance_id(step.instance.as_deref().unwrap_or_default());
        let task = self.session.task_id(step.task.as_deref().unwrap_or_default());
        let before = active_tasks(&mut self.session.subject, &id);
        let outcome = self.session.step(step);
        let answer = &outcome.answer;
        let told = |problem: String| {
            let step = serde_json::to_value(step).unwrap_or(Value::Null);
            format!("{step}\n{problem}")
        };
        match (step.op, answer.code) {
            (Operation::Start, 1000 | 1002) => self.started(step, &outcome),
            (Operation::Commit, 1000 | 1002 | 1601) => {
                if let Some(task) = before.iter().find(|active| active.node == task) {
                    self.committed(step, &id, task, answer).map_err(told)?;
                    self.compare(&id).map_err(told)?;
                }
            }
            // A rollback given again with its id is answered from memory and moves nothing.
            (Operation::Rollback, 1003) if active_tasks(&mut self.session.subject, &id) != before => {
                self.rolled_back(&id, answer).map_err(told)?;
                self.compare(&id).map_err(told)?;
            }
            (Operation::Terminate, 1000) => {
                if let Some(followed) = self.instances.get_mut(&id) {
                    followed.terminated = true;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
