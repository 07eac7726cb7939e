//! A search for commands that break an invariant of the model: every command from every state, on the decider itself, as far
//! as a bound allows. Knows the token game's values, nothing of its states, which forget what has been.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::findings::Prover;
use super::net::{Net, Node, fixed_values};
use super::replay::Run;
use super::report::{CalledFlow, Expectation, FindingKind, Script, ScriptStep};
use super::scripting::witness;
use crate::expression::cells::Cells;
use crate::instance::{FlowInstance, FlowStatus, NodeStatus};
use crate::invariant::{CompiledInvariant, CompiledRule, InvariantExpression, Word, compile_all};
use crate::model::element::{Element, ElementType};
use crate::model::flow_model::FlowModel;
use crate::model::parse::{self, ModelLimits};
use crate::value::Value;
use crate::variables::{InstanceData, Variables};

/// Most combinations of values that are tried with one command.
const MAX_CHOICES: usize = 200;
/// Most forks whose joins are told apart by values of their own.
const MAX_MORE: usize = 3;
/// Words whose values are known where the instance stands.
const KNOWN: [Word; 4] = [Word::Visits, Word::Operators, Word::Waits, Word::Status];

/// Looks at every state that commands lead to.
struct Search<'i> {
    /// Not broken so far.
    open: Vec<&'i CompiledInvariant>,
    broken: Vec<(Arc<str>, String, Vec<ScriptStep>)>,
    choices: Vec<Vec<InstanceData>>,
    /// Elements whose visits matter.
    counted: Counted,
    known: BTreeSet<String>,
    waiting: VecDeque<(Run, Vec<ScriptStep>)>,
    commands: usize,
    most: usize,
    /// Why not every state was looked at.
    incomplete: Option<String>,
}

/// Elements whose visits matter.
enum Counted {
    These(BTreeSet<Arc<str>>),
    All,
}

impl Prover<'_> {
    /// Invariants that are broken, and those of which that is not known.
    pub(super) fn invariants(&mut self) {
        let (Ok(invariants), Some(profile)) = (compile_all(self.model.invariants()), self.runs_under) else {
            return;
        };
        let mut of_a_moment = Vec::new();
        for invariant in &invariants {
            match &invariant.rule {
                CompiledRule::Never(_) | CompiledRule::Always(_) => of_a_moment.push(invariant),
                CompiledRule::Eventually { .. } | CompiledRule::Whenever { .. } => {
                    let why = format!(
                        "invariant \"{}\" takes time, and is not looked at by a proof; the test kit looks at it",
                        invariant.name
                    );
                    self.report.unknown(Vec::new(), why);
                }
                CompiledRule::DifferentOperators(elements) => self.of_invariants.push(format!(
                    "{} are committed by different operators, as invariant \"{}\" asks: nothing in a model keeps somebody from \
                     both, an engine that enforces invariants does",
                    elements.join(", "),
                    invariant.name
                )),
            }
        }
        if of_a_moment.is_empty() {
            return;
        }
        let mut expressions = of_a_moment.iter().flat_map(|invariant| invariant.expressions());
        if expressions.any(|expression| !expression.variables().paths.is_empty()) {
            self.of_invariants.push(
                "variables that invariants read are of a kind that they are compared with; while one is not set it breaks nothing"
                    .to_owned(),
            );
        }
        let (mut search, undecided) = self.search(&of_a_moment);
        search.run(&Run::new(self.model, &self.deployed(), profile));
        for (name, how, steps) in std::mem::take(&mut search.broken) {
            self.broken(&name, &how, steps);
        }
        for invariant in &search.open {
            let undecided = undecided.get(&invariant.name).cloned();
            if let Some(why) = search.incomplete.clone().or(undecided) {
                let why = format!(
                    "invariant \"{}\" was not broken by {} commands that were tried, and whether it can be is not known: {why}",
                    invariant.name, search.commands
                );
                self.report.unknown(Vec::new(), why);
            }
        }
    }

    /// What is to be tried, and by the invariant's name why that does not decide it.
    fn search<'i>(&self, invariants: &[&'i CompiledInvariant]) -> (Search<'i>, BTreeMap<Arc<str>, String>) {
        let elements = self.model.elements().iter();
        let conditions: Vec<&str> = elements
            .filter(|element| element.element_type == ElementType::SequenceFlow)
            .filter_map(Element::condition)
            .collect();
        let expressions: Vec<(&Arc<str>, &str)> = invariants
            .iter()
            .flat_map(|invariant| {
                let expressions = invariant.expressions().into_iter();
                expressions.map(|expression| (&invariant.name, expression.text()))
            })
            .collect();
        let texts: Vec<&str> = expressions.iter().map(|(_, text)| *text).collect();
        let known = fixed_values(self.model);
        let words = KNOWN.map(Word::name);
        let cells =
            |more: &BTreeMap<Arc<str>, usize>| Cells::with_words(&conditions, &texts, &words, &known, &[], more);
        let mut read = cells(&BTreeMap::new());
        let forks = (0..self.net.len()).filter(|at| matches!(self.net.node(*at), Node::Fork { .. }));
        let forks = forks.count().min(MAX_MORE);
        if forks > 0 {
            // A join compares values with those at its fork, so each range needs more of them.
            let more = read.variables.iter().map(|variable| (variable.root(), forks));
            read = cells(&more.collect());
        }
        let is_word = |place: &usize| {
            let variable = read.variables.get(*place);
            variable.is_some_and(|variable| Word::named(&variable.root()).is_some())
        };
        let mut undecided = BTreeMap::new();
        for ((name, _), reading) in expressions.iter().zip(read.readings.iter().skip(conditions.len())) {
            let beyond = reading.beyond.clone().map(|beyond| {
                format!("it has {beyond}, which cases cannot decide: some values were tried, not all kinds")
            });
            let mixed = reading.variables.iter().any(is_word);
            let mixed = mixed.then(|| "it compares variables with words, or reads the map `variables`".to_owned());
            if let Some(why) = beyond.or(mixed) {
                undecided.entry((*name).clone()).or_insert(why);
            }
        }
        for invariant in invariants {
            let mut words = invariant.expressions().into_iter().flat_map(InvariantExpression::words);
            if words.any(|word| word == Word::Operators) {
                let why = "who commits is not known".to_owned();
                undecided.entry(invariant.name.clone()).or_insert(why);
            }
        }
        let mut conditions = read.readings.iter().take(conditions.len());
        let beyond = conditions.find_map(|reading| reading.beyond.clone());
        let beyond = beyond.map(|beyond| format!("a condition has {beyond}, which cases cannot decide"));
        let mut search = Search {
            open: invariants.to_vec(),
            broken: Vec::new(),
            choices: Vec::new(),
            counted: counted(invariants),
            known: BTreeSet::new(),
            waiting: VecDeque::new(),
            commands: 0,
            most: self.param.states,
            incomplete: beyond.or_else(|| outside(&self.net)),
        };
        search.choose(&read, &is_word);
        (search, undecided)
    }

    /// The flows that call activities run, as far as they are known.
    fn deployed(&self) -> Vec<(Arc<str>, FlowModel)> {
        let called = self.param.called.iter().filter(|(id, _)| self.called.contains_key(*id));
        called
            .filter_map(|(id, text)| {
                let model = parse::parse(text, &ModelLimits::default());
                Some((id.clone(), model.ok()?))
            })
            .collect()
    }

    /// Adds a finding, with as few variables as show it.
    fn broken(&mut self, name: &Arc<str>, how: &str, steps: Vec<ScriptStep>) {
        let called = self.deployed();
        let mut script = Script {
            profile: self.runs_under.unwrap_or(self.param.profile),
            called: called
                .iter()
                .filter_map(|(id, _)| {
                    Some(CalledFlow {
                        name: id.clone(),
                        flow_model: self.param.called.get(id)?.clone(),
                    })
                })
                .collect(),
            steps,
            expect: Expectation::InvariantBroken {
                invariant: name.clone(),
            },
            of_called: None,
        };
        let shows = |script: &Script| Run::new(self.model, &called, script.profile).confirm(script);
        for step in 0..script.steps.len() {
            let count = script.steps.get(step).map_or(0, |step| variables(step).len());
            for place in (0..count).rev() {
                let mut shorter = script.clone();
                if let Some(step) = shorter.steps.get_mut(step) {
                    without(step, place);
                }
                if shows(&shorter).is_ok() {
                    script = shorter;
                }
            }
        }
        let at = match script.steps.last() {
            Some(ScriptStep::Commit { task, .. }) => vec![task.clone()],
            Some(ScriptStep::Start { .. } | ScriptStep::Deploy) | None => self
                .model
                .start_event()
                .map(|start| start.key.clone())
                .into_iter()
                .collect(),
        };
        let behind = at.first().map_or_else(String::new, |at| format!(" behind {at}"));
        let explanation = format!(
            "invariant \"{name}\" is broken{behind}: {how}; mend the model, or the invariant, or let the engine refuse such \
             commands"
        );
        match shows(&script) {
            Ok(()) => {
                let witness = witness(&script);
                self.push(FindingKind::InvariantBroken, at, explanation, witness, script);
            }
            Err(why) => self
                .report
                .unknown(at, format!("{explanation} [not seen again: {why}]")),
        }
    }
}

impl Search<'_> {
    /// Every combination of values from every range.
    fn choose(&mut self, cells: &Cells, is_word: &dyn Fn(&usize) -> bool) {
        let mut choices: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new()];
        for (place, variable) in cells.variables.iter().enumerate().filter(|(place, _)| !is_word(place)) {
            if choices.len().saturating_mul(variable.values.len()) > MAX_CHOICES {
                self.incomplete.get_or_insert_with(|| {
                    format!("one command has more than {MAX_CHOICES} combinations of values to try")
                });
                // One value is tried of those that are too many.
                for choice in &mut choices {
                    choice.insert(place, 0);
                }
                continue;
            }
            let values = 0..variable.values.len();
            choices = choices
                .iter()
                .flat_map(|choice| {
                    values.clone().map(|value| {
                        let mut choice = choice.clone();
                        choice.insert(place, value);
                        choice
                    })
                })
                .collect();
        }
        let given = choices.iter().map(|choice| {
            let values = cells.assignment(choice).into_iter();
            values.map(|(key, value)| InstanceData::new(&key, value)).collect()
        });
        self.choices = given.collect();
    }

    fn run(&mut self, fresh: &Run) {
        for variables in self.choices.clone() {
            let hooks = Vec::new();
            self.try_step(fresh, &[], ScriptStep::Start { variables, hooks });
        }
        while let Some((run, steps)) = self.waiting.pop_front() {
            if self.open.is_empty() || self.is_given_up() {
                return;
            }
            let mut seen: BTreeMap<Arc<str>, usize> = BTreeMap::new();
            for task in run.waiting() {
                let nth = seen.entry(task.clone()).or_default();
                for variables in self.choices.clone() {
                    let step = ScriptStep::Commit {
                        task: task.clone(),
                        nth: *nth,
                        variables,
                        calls: None,
                        hooks: Vec::new(),
                    };
                    self.try_step(&run, &steps, step);
                }
                *nth += 1;
            }
        }
    }

    /// Whether the bound is reached; what is left is not looked at.
    fn is_given_up(&mut self) -> bool {
        let most = self.most;
        if self.commands >= most {
            self.incomplete
                .get_or_insert_with(|| format!("there are more than {most} commands to try"));
        }
        self.commands >= most
    }

    fn try_step(&mut self, run: &Run, steps: &[ScriptStep], step: ScriptStep) {
        if self.open.is_empty() {
            return;
        }
        if self.is_given_up() {
            return;
        }
        self.commands += 1;
        let mut next = run.clone();
        match next.take(&step) {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => {
                self.incomplete.get_or_insert(why);
                return;
            }
        }
        let mut steps = steps.to_vec();
        steps.push(step);
        let broken = &mut self.broken;
        self.open.retain(|invariant| match next.broken(invariant) {
            Some(how) => {
                broken.push((invariant.name.clone(), how, steps.clone()));
                false
            }
            None => true,
        });
        let state = next.state();
        if state.status() == FlowStatus::Running && self.known.insert(position(state, &self.counted)) {
            self.waiting.push_back((next, steps));
        }
    }
}

/// What decides how an instance can go on, and what invariants see of what has been.
fn position(state: &FlowInstance, counted: &Counted) -> String {
    let mut visits: BTreeMap<&str, usize> = BTreeMap::new();
    for node in state.nodes().filter(|node| node.status == NodeStatus::Completed) {
        let counts = match counted {
            Counted::These(keys) => keys.contains(&node.key),
            Counted::All => true,
        };
        if counts {
            *visits.entry(&node.key).or_default() += 1;
        }
    }
    let is_forked = state.nodes().any(|node| node.status.is_open() && node.branch.is_some());
    let nodes = state.nodes().filter(|node| {
        // Outside all branches only what is open decides; inside, what each branch has done.
        let counts = !matches!(node.status, NodeStatus::Failed | NodeStatus::Disabled);
        node.status.is_open() || (is_forked && counts)
    });
    let nodes: Vec<String> = nodes
        .map(|node| {
            let data = |variables: &Variables| -> Vec<(Arc<str>, Value)> { variables.to_map().into_iter().collect() };
            format!(
                "{} {:?} {:?} {:?} {:?} {:?} {:?}",
                node.key,
                node.flow,
                node.status,
                node.branch,
                node.join,
                data(&node.entry.variables),
                data(&node.leave.variables)
            )
        })
        .collect();
    format!("{visits:?} {nodes:?}")
}

fn counted(invariants: &[&CompiledInvariant]) -> Counted {
    let mut keys = BTreeSet::new();
    for expression in invariants.iter().flat_map(|invariant| invariant.expressions()) {
        if expression.reads_whole(Word::Visits) {
            return Counted::All;
        }
        keys.extend(expression.elements());
    }
    Counted::These(keys)
}

/// What in a model lies outside of what is tried.
fn outside(net: &Net<'_>) -> Option<String> {
    (0..net.len()).find_map(|at| {
        let key = net.key(at);
        match net.node(at) {
            Node::Call { .. } => Some(format!("what the flow that {key} calls does is not known here")),
            Node::Exclusive { hooked: true } => Some(format!("what hooks answer at {key} is not known here")),
            Node::Broken(_) => Some(format!("{key} cannot be passed here")),
            Node::Flow
            | Node::Start
            | Node::End
            | Node::Task
            | Node::Exclusive { hooked: false }
            | Node::Fork { .. }
            | Node::Join { .. } => None,
        }
    })
}

fn variables(step: &ScriptStep) -> &[InstanceData] {
    match step {
        ScriptStep::Start { variables, .. } | ScriptStep::Commit { variables, .. } => variables,
        ScriptStep::Deploy => &[],
    }
}

/// A step without one of its variables.
fn without(step: &mut ScriptStep, place: usize) {
    match step {
        ScriptStep::Start { variables, .. } | ScriptStep::Commit { variables, .. } => {
            variables.remove(place);
        }
        ScriptStep::Deploy => {}
    }
}
