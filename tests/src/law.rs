//! The law of rollback: after a rollback to a task, data and active tasks equal those of a run in which the task's commit
//! and every command that depends on it were never given, the others in their order. A redo gives them again. What
//! getRollbackTargets offers and refuses follows from the law as well.
//!
//! Knows no rule of rollback: it keeps the word of commits that still count, runs what is left of it on a fresh
//! interpreter, and compares. A task activation is the same in two runs if it is the same visit of the same place.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::conformance::{Bench, NaiveBench};
use crate::differential::Follower;
use crate::generate::Case;
use crate::naive::Naive;
use crate::scenario::{
    Answer, Body, Commit, ElementView, Flow, Operation, Outcome, Profile, Session, Step, Subject, TargetView, TaskView,
    Variable, Variables,
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
    /// The node instance, with the subject that is followed.
    node: String,
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

impl Origin {
    /// The `onRollback` of the element at a place.
    fn means(&self, path: &[String]) -> &str {
        let mut flow = "main";
        let mut means = "";
        for key in path {
            let model = self.flows.iter().find(|known| known.name == flow);
            let elements = model.and_then(|model| model.flow_model["flowElementList"].as_array());
            let element = elements.into_iter().flatten().find(|element| element["key"] == **key);
            let text = |name: &str| {
                let text = element.and_then(|element| element["properties"][name].as_str());
                text.unwrap_or_default()
            };
            means = text("onRollback");
            flow = text("callActivityFlowModuleId").trim_start_matches("$module:");
        }
        means
    }

    /// A run of the word without one of its commits and without those that cannot be given then.
    fn without(&self, followed: &Followed, place: usize) -> Result<(Run, Vec<Given>), String> {
        let mut run = Run::new(self, &followed.start);
        let mut left = Vec::new();
        for (index, given) in followed.word.iter().enumerate() {
            if index != place && run.give(given)? {
                left.push(given.clone());
            }
        }
        Ok((run, left))
    }
}

/// How many completed node instances each place has that a rollback over them has a meaning for.
fn meant<S: Subject>(origin: &Origin, subject: &mut S, flow_instance_id: &str) -> BTreeMap<Path, BTreeSet<String>> {
    fn collect(
        origin: &Origin,
        elements: &[ElementView],
        around: &[String],
        meant: &mut BTreeMap<Path, BTreeSet<String>>,
    ) {
        for element in elements {
            let mut path = around.to_vec();
            path.push(element.model_key.clone());
            if let (Some(node), 1) = (&element.node, element.status)
                && !matches!(origin.means(&path), "" | "ignore")
            {
                meant.entry(path.clone()).or_default().insert(node.clone());
            }
            collect(origin, element.sub.as_deref().unwrap_or_default(), &path, meant);
        }
    }
    let mut all = BTreeMap::new();
    if let Body::Elements(elements) = subject.history_elements(flow_instance_id, true).body {
        collect(origin, &elements, &[], &mut all);
    }
    all
}

/// What counts in one flow instance.
struct Followed {
    start: Vec<Variable>,
    word: Vec<Given>,
    /// The words before the rollbacks since the last commit.
    before_rollbacks: Vec<Vec<Given>>,
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
    /// Redos that were checked.
    pub redos: usize,
    /// Targets that were offered, and rightly so.
    pub offered: usize,
    /// Targets that were rightly refused, by code.
    pub refused: BTreeMap<i64, usize>,
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
            redos: 0,
            offered: 0,
            refused: BTreeMap::new(),
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
            before_rollbacks: Vec::new(),
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
            node: task.node.clone(),
            path: task.path.clone(),
            visit,
            variables: step.variables.clone().unwrap_or_default(),
            call_activity_flow: step.call_activity_flow.clone(),
        };
        followed.run.give(&given)?;
        followed.word.push(given);
        followed.before_rollbacks.clear();
        Ok(())
    }

    /// After a rollback to the node instance `target`, or if none is known to the place that the answer shows first.
    fn rolled_back(&mut self, id: &str, target: &str, answer: &Answer) -> Result<(), String> {
        let followed = self.instances.get_mut(id).ok_or("nothing was started")?;
        let Body::Runtime(runtime) = &answer.body else {
            return Err("a rollback shows no task".to_owned());
        };
        shown(&runtime.tasks, &mut followed.known);
        let path = first_path(&runtime.tasks);
        let word = &followed.word;
        let place = word.iter().position(|given| given.node == target);
        let place = place.or_else(|| word.iter().rposition(|given| given.path == path));
        let place = place.ok_or_else(|| format!("{path:?} was never committed"))?;
        if word[place].path != path {
            return Err(format!("{:?} was to be opened, not {path:?}", word[place].path));
        }
        let (run, left) = self.origin.without(followed, place)?;
        self.rollbacks += 1;
        self.independents += left.len().saturating_sub(place);
        self.dependents += word.len() - 1 - left.len();
        followed.run = run;
        let before = std::mem::replace(&mut followed.word, left);
        followed.before_rollbacks.push(before);
        Ok(())
    }

    fn redone(&mut self, id: &str) -> Result<(), String> {
        let followed = self.instances.get_mut(id).ok_or("nothing was started")?;
        followed.word = followed.before_rollbacks.pop().ok_or("there was no rollback")?;
        let all = followed.word.len();
        let (run, left) = self.origin.without(followed, all)?;
        if left.len() != all {
            return Err("a commit that counts again cannot be given".to_owned());
        }
        followed.run = run;
        self.redos += 1;
        Ok(())
    }

    /// Judges what getRollbackTargets says of a task.
    fn judge(&mut self, id: &str, target: &TargetView) -> Result<(), String> {
        let Some(followed) = self.instances.get(id) else {
            return Ok(());
        };
        let subject = &mut self.session.subject;
        let Body::Flow { status, .. } = subject.flow_instance(id).body else {
            return Err("the instance is gone".to_owned());
        };
        let place = followed.word.iter().position(|given| given.node == target.node.node);
        let refused = match (status, place) {
            (6, _) => Some(7400),
            (5, _) => Some(7406),
            (1 | 3, _) => Some(4004),
            (_, None) => Some(7409),
            (_, Some(place)) => {
                let given = followed.word[place].clone();
                let (mut run, _) = self.origin.without(followed, place)?;
                let opened = run.at(&given.path).filter(|(_, visit)| *visit == given.visit);
                let now = meant(&self.origin, subject, id);
                let then = meant(&self.origin, &mut run.session.subject, &run.id);
                let mut undone: Vec<(&str, &str)> = Vec::new();
                for (path, nodes) in &now {
                    let left = then.get(path).map_or(0, BTreeSet::len);
                    let key = path.last().map_or("", String::as_str);
                    undone.extend((left..nodes.len()).map(|_| (key, self.origin.means(path))));
                }
                if opened.is_none() {
                    Some(7413)
                } else if undone.iter().any(|(_, means)| *means == "forbid") {
                    Some(7415)
                } else {
                    if target.refused.is_none() {
                        let without = run.standing();
                        keeps_promise(subject, id, target, &without, undone)?;
                    }
                    None
                }
            }
        };
        if refused != target.refused {
            return Err(format!("by the law {refused:?} for {target:#?}"));
        }
        match refused {
            None => self.offered += 1,
            Some(code) => *self.refused.entry(code).or_default() += 1,
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

/// Whether a target promises what the law brings.
fn keeps_promise<S: Subject>(
    subject: &mut S,
    id: &str,
    target: &TargetView,
    without: &Standing,
    undone: Vec<(&str, &str)>,
) -> Result<(), String> {
    let told = |what: &str| Err(format!("{what} of {target:#?}\nby the law\n{without:#?}"));
    let mut promised: Vec<(&String, &Variables)> = Vec::new();
    promised.extend(target.active.iter().map(|task| (&task.model_key, &task.variables)));
    promised.sort_by_key(|(key, variables)| (*key, format!("{variables:?}")));
    let tasks = without
        .tasks
        .iter()
        .filter_map(|(path, data)| Some((path.last()?, data)));
    let mut tasks: Vec<(&String, &Option<Variables>)> = tasks.collect();
    tasks.sort_by_key(|(key, variables)| (*key, format!("{:?}", variables.as_ref())));
    let mut keys = promised.iter().map(|(key, _)| *key).collect::<Vec<_>>();
    keys.sort();
    if keys != tasks.iter().map(|(key, _)| *key).collect::<Vec<_>>() {
        return told("active tasks");
    }
    for (key, data) in &tasks {
        let Some(data) = data else { continue };
        let is_it = |(other, variables): &(&String, &Variables)| other == key && *variables == data;
        if !promised.iter().any(is_it) {
            return told("variables");
        }
    }
    let Body::Variables(mut data) = subject.instance_data(id, true).body else {
        return told("data");
    };
    for (key, now, then) in &target.changes {
        if data.get(key) != now.as_ref() || now == then {
            return told("changes");
        }
        match then {
            Some(value) => data.insert(key.clone(), value.clone()),
            None => data.remove(key),
        };
    }
    if without.data[1].body != Body::Variables(data) {
        return told("data then");
    }
    let compensations = target.compensations.iter();
    let mut listed: Vec<(&str, &str)> = compensations
        .map(|told| (told.model_key.as_str(), told.name.as_str()))
        .collect();
    let named = |(key, means)| (key, str::trim(str::trim_start_matches(means, "compensate:")));
    let mut undone: Vec<(&str, &str)> = undone.into_iter().map(named).collect();
    listed.sort_unstable();
    undone.sort_unstable();
    if listed != undone {
        return told("compensations");
    }
    Ok(())
}

/// Completed tasks that are judged of one answer; each takes a run of its own.
const JUDGED_TARGETS: usize = 6;

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
                self.rolled_back(&id, "", answer).map_err(told)?;
                self.compare(&id).map_err(told)?;
            }
            (Operation::RollbackTo, 1003) if active_tasks(&mut self.session.subject, &id) != before => {
                self.rolled_back(&id, &task, answer).map_err(told)?;
                self.compare(&id).map_err(told)?;
            }
            (Operation::Redo, 1002) if active_tasks(&mut self.session.subject, &id) != before => {
                self.redone(&id).map_err(told)?;
                self.compare(&id).map_err(told)?;
            }
            // In the other profile codes stand for several reasons.
            (Operation::GetRollbackTargets, 1000) if self.origin.profile == Profile::Documented => {
                if let Body::Targets(targets) = &answer.body {
                    let is_completed = |target: &&TargetView| target.node.status == 1;
                    let completed: Vec<&TargetView> = targets.iter().filter(is_completed).collect();
                    let some = completed.len().div_ceil(JUDGED_TARGETS).max(1);
                    let others = targets.iter().filter(|target| !is_completed(target)).take(2);
                    for target in completed.into_iter().step_by(some).chain(others) {
                        self.judge(&id, target).map_err(told)?;
                    }
                }
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
