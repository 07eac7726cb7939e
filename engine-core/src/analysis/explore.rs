//! Every state that a flow can come to, breadth first, within a bound. Knows the token game, nothing of what is a fault.
//!
//! Partial-order reduction: where a task in a branch can be done in only one way, and that way stays inside the branch,
//! it is done at once, and the tasks of other branches after it. Whatever they would have led to before, they lead to
//! after it as well. So that nothing is put off for ever, this is not done where the state behind is known already.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::machine::{Machine, Moves, Need, Outcome, Spot, Trace};
use super::net::{Data, Names, Node, Watched};
use crate::expression::cells::MAX_CELLS;
use crate::result_code::ResultCode;

/// Most combinations of values that are tried for one command.
pub const MAX_CHOICES: usize = 10_000;
/// Most commands that are tried.
pub const MAX_COMMANDS: usize = 2_000_000;

/// One command: what it moves, with which values, and what hooks answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Command {
    pub(super) moves: Moves,
    /// The element whose task is done; the start event for a start.
    pub(super) element: usize,
    pub(super) given: Data,
    /// Gateways with the answer of their hook, in the order in which they are asked.
    pub(super) hooks: Vec<(usize, Data)>,
}

/// A state, by its place in [`Explored::states`]; `None` is "not started".
pub(super) type From = Option<usize>;

/// What a command leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum To {
    State(usize),
    Completed,
}

/// Where something was first seen.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) from: From,
    pub(super) command: Command,
}

/// What is known of one state.
pub(super) struct State {
    pub(super) spot: Spot,
    pub(super) reached_by: Seen,
    /// Commands that lead on; of those that lead to the same, one.
    pub(super) next: Vec<(Command, To)>,
    /// A command that fails, and how.
    pub(super) fails: Option<(Command, ResultCode)>,
    /// All commands were tried.
    pub(super) is_expanded: bool,
    /// What follows is not followed: a fork was entered inside itself, which has no end.
    is_cut: bool,
}

/// What was found.
#[derive(Default)]
pub(super) struct Explored {
    pub(super) states: Vec<State>,
    pub(super) started: Vec<(Command, To)>,
    /// Commands that were tried.
    pub(super) commands: usize,
    /// Commands that were put off by the reduction.
    pub(super) put_off: usize,
    /// Why not everything was tried; `None` where it was.
    pub(super) incomplete: Option<String>,
    pub(super) entered: BTreeMap<usize, Seen>,
    /// By code and place.
    pub(super) failures: BTreeMap<(ResultCode, usize), Seen>,
    pub(super) rings: BTreeMap<BTreeSet<usize>, Seen>,
    /// By node: the way that was taken, the other one.
    pub(super) overlaps: BTreeMap<usize, (usize, usize, Seen)>,
    /// By fork and element.
    pub(super) escapes: BTreeMap<(usize, usize), Seen>,
    /// The first meeting of differing values at the watched join.
    pub(super) conflict: Option<Seen>,
    /// States with two tokens at one task, by the task.
    pub(super) doubled: BTreeMap<usize, usize>,
    /// Ways that a fork opened together.
    pub(super) opened: BTreeMap<usize, BTreeSet<Vec<usize>>>,
    pub(super) completed_by: Option<Seen>,
    pub(super) asks_host: bool,
    /// Some states were not followed, because a fork was entered inside itself.
    pub(super) is_cut: bool,
}

/// One tried command with what it came to.
struct Tried {
    command: Command,
    outcome: Outcome,
    trace: Trace,
}

/// Explores at most `most` states; where a variable is watched, until its join has seen a conflict.
pub(super) fn explore(machine: &Machine<'_, '_>, watched: Option<&Watched>, most: usize) -> Explored {
    let mut search = Search {
        machine,
        most,
        known: BTreeMap::new(),
        found: Explored::default(),
    };
    let Some(start) = machine.net.start() else {
        search.found.incomplete = Some("the model has no start event".to_owned());
        return search.found;
    };
    let tried = search.try_all(None, &Moves::Start, start, &Names::new());
    for tried in &tried {
        if let Some(to) = search.note(None, tried) {
            let known = search.found.started.iter().any(|(_, other)| *other == to);
            if !known {
                search.found.started.push((tried.command.clone(), to));
            }
        }
    }
    let mut at = 0;
    while at < search.found.states.len() && search.found.incomplete.is_none() {
        if watched.is_some() && search.found.conflict.is_some() {
            break;
        }
        search.expand(at);
        at += 1;
    }
    search.found
}

struct Search<'s, 'n, 'm> {
    machine: &'s Machine<'n, 'm>,
    most: usize,
    known: BTreeMap<Spot, usize>,
    found: Explored,
}

impl Search<'_, '_, '_> {
    fn expand(&mut self, at: usize) {
        let Some(spot) = self
            .found
            .states
            .get(at)
            .filter(|state| !state.is_cut)
            .map(|state| state.spot.clone())
        else {
            return;
        };
        let tasks = spot.tasks();
        let mut elements: Vec<usize> = tasks.iter().map(|(_, element)| *element).collect();
        elements.sort_unstable();
        for pair in elements.windows(2) {
            if let [one, other] = pair
                && one == other
            {
                self.found.doubled.entry(*one).or_insert(at);
            }
        }
        let mut all = Vec::new();
        for (path, element) in &tasks {
            let moves = Moves::Commit(path.clone());
            let kept = spot_data(&spot, path);
            let tried = self.try_all(Some(at), &moves, *element, &kept);
            if tasks.len() > 1 && !path.is_empty() && self.is_safe(&spot, path, &tried) {
                self.found.put_off = self.found.put_off.saturating_add(tasks.len() - 1);
                all = tried;
                break;
            }
            all.extend(tried);
        }
        let mut next: BTreeMap<To, Command> = BTreeMap::new();
        let mut fails = None;
        for tried in all {
            if let Some(to) = self.note(Some(at), &tried) {
                next.entry(to).or_insert(tried.command);
                continue;
            }
            let code = match tried.outcome {
                Outcome::Failed { code, .. } => code,
                Outcome::Ring(_) | Outcome::Rest(_) | Outcome::Completed => ResultCode::Overloaded,
            };
            fails.get_or_insert((tried.command, code));
        }
        let is_expanded = self.found.incomplete.is_none();
        if let Some(state) = self.found.states.get_mut(at) {
            state.next = next.into_iter().map(|(to, command)| (command, to)).collect();
            state.fails = fails;
            state.is_expanded = is_expanded;
        }
    }

    /// Whether one task's commands can be tried before all others, see the top of this file.
    fn is_safe(&self, spot: &Spot, path: &[usize], tried: &[Tried]) -> bool {
        let Some(first) = tried.first() else { return false };
        let Outcome::Rest(next) = &first.outcome else {
            return false;
        };
        let is_quiet = next.at(path).is_some_and(Spot::is_quiet);
        let shares = |spot: &Spot| {
            let here = spot.at(path).map(Spot::tasks).unwrap_or_default();
            here.iter().any(|(_, element)| self.machine.net.is_shared(*element))
        };
        is_quiet
            && !self.known.contains_key(next)
            && !shares(spot)
            && !shares(next)
            && tried
                .iter()
                .all(|other| other.outcome == first.outcome && other.trace.is_local && !other.trace.is_nested_in_itself)
    }

    /// Notes what a command did; where it leads, unless it fails.
    fn note(&mut self, from: From, tried: &Tried) -> Option<To> {
        let seen = || Seen {
            from,
            command: tried.command.clone(),
        };
        let found = &mut self.found;
        for at in &tried.trace.entered {
            found.entered.entry(*at).or_insert_with(seen);
        }
        found.asks_host |= tried.trace.asks_host;
        // Of a command that fails nothing stays but the failure.
        if matches!(tried.outcome, Outcome::Rest(_) | Outcome::Completed) {
            for (at, taken, also) in &tried.trace.overlaps {
                found.overlaps.entry(*at).or_insert_with(|| (*taken, *also, seen()));
            }
            for escape in &tried.trace.escapes {
                found.escapes.entry(*escape).or_insert_with(seen);
            }
            for (fork, ways) in &tried.trace.opened {
                found.opened.entry(*fork).or_default().insert(ways.clone());
            }
            if tried.trace.conflicts {
                found.conflict.get_or_insert_with(seen);
            }
        }
        match &tried.outcome {
            Outcome::Completed => {
                found.completed_by.get_or_insert_with(seen);
                Some(To::Completed)
            }
            Outcome::Failed { code, at } => {
                // A refused conflict is what the model asks for; the commit can be given again with values that agree.
                if *code != ResultCode::BranchMergeFailed {
                    found.failures.entry((*code, *at)).or_insert_with(seen);
                }
                None
            }
            Outcome::Ring(elements) => {
                found.rings.entry(elements.clone()).or_insert_with(seen);
                None
            }
            Outcome::Rest(spot) => {
                if let Some(known) = self.known.get(spot) {
                    return Some(To::State(*known));
                }
                let at = found.states.len();
                if at >= self.most {
                    found.incomplete = Some(format!("there are more than {} states", self.most));
                }
                found.states.push(State {
                    spot: spot.clone(),
                    reached_by: seen(),
                    next: Vec::new(),
                    fails: None,
                    is_expanded: false,
                    is_cut: tried.trace.is_nested_in_itself,
                });
                found.is_cut |= tried.trace.is_nested_in_itself;
                self.known.insert(spot.clone(), at);
                Some(To::State(at))
            }
        }
    }

    /// Every command for one task, with values from every range.
    fn try_all(&mut self, from: From, moves: &Moves, element: usize, kept: &Names) -> Vec<Tried> {
        let net = self.machine.net;
        let state = from
            .and_then(|at| self.found.states.get(at))
            .map(|state| state.spot.clone());
        let state = state.unwrap_or(Spot::Done);
        let names = net.settable(element);
        debug_assert!(
            names.is_disjoint(kept) || kept.is_empty(),
            "what a commit sets is not kept"
        );
        let fixed = match net.node(element) {
            Node::Call { fixed, .. } => fixed.clone(),
            _ => Data::new(),
        };
        let mut tried = Vec::new();
        for given in self.choices(&names, &fixed) {
            let mut open: Vec<Vec<(usize, Data)>> = vec![Vec::new()];
            while let Some(hooks) = open.pop() {
                if self.found.commands >= MAX_COMMANDS {
                    self.found.incomplete = Some(format!("there are more than {MAX_COMMANDS} commands to try"));
                    return tried;
                }
                self.found.commands += 1;
                let answers: Vec<Data> = hooks.iter().map(|(_, answer)| answer.clone()).collect();
                match self.machine.run(&state, moves, &given, &answers) {
                    (Ok(outcome), trace) => tried.push(Tried {
                        command: Command {
                            moves: moves.clone(),
                            element,
                            given: given.clone(),
                            hooks,
                        },
                        outcome,
                        trace,
                    }),
                    (Err(Need::Hook { at, names }), _) => {
                        for answer in self.choices(&names, &Data::new()) {
                            let mut hooks = hooks.clone();
                            hooks.push((at, answer));
                            open.push(hooks);
                        }
                    }
                    (Err(Need::TooManyHooks), _) => {
                        self.found.incomplete = Some("a command asks too many hooks one after the other".to_owned());
                    }
                }
            }
        }
        tried
    }

    /// Every combination of values of some variables.
    fn choices(&mut self, names: &Names, fixed: &Data) -> Vec<Data> {
        let mut choices = vec![Data::new()];
        for name in names {
            let count = self
                .machine
                .net
                .cells
                .variables
                .get(*name)
                .map_or(1, |variable| variable.values.len().min(MAX_CELLS));
            let values: Vec<usize> = match fixed.get(name) {
                Some(value) => vec![*value],
                None => (0..count).collect(),
            };
            if choices.len().saturating_mul(values.len()) > MAX_CHOICES {
                self.found.incomplete = Some(format!(
                    "one command has more than {MAX_CHOICES} combinations of values to try"
                ));
                return choices;
            }
            choices = choices
                .iter()
                .flat_map(|choice| {
                    values.iter().map(|value| {
                        let mut choice = choice.clone();
                        choice.insert(*name, *value);
                        choice
                    })
                })
                .collect();
        }
        choices
    }
}

fn spot_data(spot: &Spot, path: &[usize]) -> Names {
    match spot.at(path) {
        Some(Spot::Task { data, .. }) => data.keys().copied().collect(),
        _ => Names::new(),
    }
}

impl Explored {
    /// The commands that lead to a state, from the start.
    pub(super) fn way_to(&self, at: From) -> Vec<Seen> {
        let mut way = Vec::new();
        let mut at = at;
        // Every state was first reached from an earlier one.
        while let Some(state) = at.and_then(|at| self.states.get(at)) {
            way.push(state.reached_by.clone());
            at = state.reached_by.from;
        }
        way.reverse();
        way
    }

    /// The commands up to where something was first seen, and the one that shows it.
    pub(super) fn way_of(&self, seen: &Seen) -> Vec<Seen> {
        let mut way = self.way_to(seen.from);
        way.push(seen.clone());
        way
    }

    /// For each state whether the flow can still end from there.
    pub(super) fn can_complete(&self) -> Vec<bool> {
        self.can_come_to(|state| !state.is_expanded || state.next.iter().any(|(_, to)| *to == To::Completed))
    }

    /// For each state whether it can come to one of some states.
    pub(super) fn can_come_to(&self, is_goal: impl Fn(&State) -> bool) -> Vec<bool> {
        let mut sources: Vec<Vec<usize>> = vec![Vec::new(); self.states.len()];
        let mut can = vec![false; self.states.len()];
        let mut open = Vec::new();
        for (at, state) in self.states.iter().enumerate() {
            if is_goal(state)
                && let Some(can) = can.get_mut(at)
            {
                *can = true;
                open.push(at);
            }
            for (_, to) in &state.next {
                if let To::State(to) = to
                    && let Some(sources) = sources.get_mut(*to)
                {
                    sources.push(at);
                }
            }
        }
        while let Some(at) = open.pop() {
            for source in sources.get(at).into_iter().flatten() {
                if let Some(can) = can.get_mut(*source)
                    && !std::mem::replace(can, true)
                {
                    open.push(*source);
                }
            }
        }
        can
    }

    /// The states that can be reached from one.
    pub(super) fn reach(&self, at: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([at]);
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            let next = self.states.get(at).into_iter().flat_map(|state| &state.next);
            for (_, to) in next {
                if let To::State(to) = to
                    && seen.insert(*to)
                {
                    open.push(*to);
                }
            }
        }
        seen
    }

    /// The shortest commands from one state back to itself.
    pub(super) fn round(&self, at: usize) -> Vec<Seen> {
        let mut before: BTreeMap<usize, Seen> = BTreeMap::new();
        let mut open = VecDeque::from([at]);
        while let Some(from) = open.pop_front() {
            for (command, to) in self.states.get(from).into_iter().flat_map(|state| &state.next) {
                let To::State(to) = to else { continue };
                let seen = Seen {
                    from: Some(from),
                    command: command.clone(),
                };
                if *to == at {
                    return self.back_to(at, seen, &before);
                }
                if !before.contains_key(to) {
                    before.insert(*to, seen);
                    open.push_back(*to);
                }
            }
        }
        Vec::new()
    }

    fn back_to(&self, at: usize, last: Seen, before: &BTreeMap<usize, Seen>) -> Vec<Seen> {
        let mut way = vec![last];
        while let Some(from) = way.last().and_then(|seen| seen.from)
            && from != at
            && way.len() <= self.states.len()
        {
            let Some(seen) = before.get(&from) else { break };
            way.push(seen.clone());
        }
        way.reverse();
        way
    }
}
