//! The token game: what one command does to the tokens of a flow (docs/adr/0012-forks-and-joins.md), over values that
//! stand for ranges. Knows the net, nothing of which commands are tried.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::net::{Data, Names, Net, Node, Watched, Way, is_hosts};
use crate::expression::ExpressionError;
use crate::expression::cells::CellVariable;
use crate::model::gateway::{BranchMerge, DataConflictRule, DataMerge};
use crate::profile::Profile;
use crate::result_code::ResultCode;

/// Hooks that one command may ask.
const MAX_HOOKS: usize = 6;

/// Where the token of a branch, or of the whole flow, stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    /// Before its first element.
    Unbegun,
    /// At a task, with the values that matter behind it.
    Task { element: usize, data: Data },
    /// In the branches of a fork.
    Fork(Box<Forked>),
    /// It has ended, or arrived at a join.
    Done,
}

/// A fork whose branches are open, or whose join waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Forked {
    pub(super) element: usize,
    /// The values that matter behind its join.
    data: Data,
    /// The branches it opened: the sequence flow of each, and where it stands.
    pub(super) branches: Vec<(usize, Spot)>,
    /// Joins that wait for its branches.
    pub(super) joins: Vec<Waiting>,
    /// Tells forks apart while a command runs; 0 at rest.
    number: u32,
}

/// A join that waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Waiting {
    pub(super) element: usize,
    arrivals: Vec<(Vec<usize>, Data)>,
}

impl Spot {
    fn is_open(&self) -> bool {
        match self {
            Self::Unbegun | Self::Task { .. } => true,
            Self::Fork(forked) => !forked.joins.is_empty() || forked.open() > 0,
            Self::Done => false,
        }
    }

    /// The place of every active task: the branches that lead to it.
    pub(super) fn tasks(&self) -> Vec<(Vec<usize>, usize)> {
        let mut tasks = Vec::new();
        self.collect_tasks(&mut Vec::new(), &mut tasks);
        tasks
    }

    fn collect_tasks(&self, path: &mut Vec<usize>, tasks: &mut Vec<(Vec<usize>, usize)>) {
        match self {
            Self::Unbegun | Self::Done => {}
            Self::Task { element, .. } => tasks.push((path.clone(), *element)),
            Self::Fork(forked) => {
                for (number, (_, spot)) in forked.branches.iter().enumerate() {
                    path.push(number);
                    spot.collect_tasks(path, tasks);
                    path.pop();
                }
            }
        }
    }

    /// The joins that wait anywhere.
    pub(super) fn waiting(&self) -> Vec<usize> {
        match self {
            Self::Unbegun | Self::Done | Self::Task { .. } => Vec::new(),
            Self::Fork(forked) => {
                let own = forked.joins.iter().map(|join| join.element);
                own.chain(forked.branches.iter().flat_map(|(_, spot)| spot.waiting()))
                    .collect()
            }
        }
    }

    /// Whether only tasks stand here, so that nothing outside can depend on it.
    pub(super) fn is_quiet(&self) -> bool {
        match self {
            Self::Task { .. } => true,
            Self::Fork(forked) => forked.joins.is_empty() && forked.branches.iter().all(|(_, spot)| spot.is_quiet()),
            Self::Unbegun | Self::Done => false,
        }
    }

    pub(super) fn at(&self, path: &[usize]) -> Option<&Self> {
        let Some((branch, rest)) = path.split_first() else {
            return Some(self);
        };
        match self {
            Self::Fork(forked) => forked.branches.get(*branch)?.1.at(rest),
            Self::Unbegun | Self::Task { .. } | Self::Done => None,
        }
    }

    fn at_mut(&mut self, path: &[usize]) -> Option<&mut Self> {
        let Some((branch, rest)) = path.split_first() else {
            return Some(self);
        };
        match self {
            Self::Fork(forked) => forked.branches.get_mut(*branch)?.1.at_mut(rest),
            Self::Unbegun | Self::Task { .. } | Self::Done => None,
        }
    }

    fn fork_at(&mut self, path: &[usize]) -> Option<&mut Forked> {
        match self.at_mut(path)? {
            Self::Fork(forked) => Some(forked),
            Self::Unbegun | Self::Task { .. } | Self::Done => None,
        }
    }

    /// The forks around a place, the outermost first, each with its own place.
    pub(super) fn around<'p>(&self, path: &'p [usize]) -> Vec<(&'p [usize], &Forked)> {
        let mut forks = Vec::new();
        let mut at = self;
        for (depth, branch) in path.iter().enumerate() {
            let Self::Fork(forked) = at else { break };
            forks.push((path.get(..depth).unwrap_or_default(), forked.as_ref()));
            let Some((_, next)) = forked.branches.get(*branch) else {
                break;
            };
            at = next;
        }
        forks
    }

    fn settled(&mut self) {
        if let Self::Fork(forked) = self {
            forked.number = 0;
            for (_, spot) in &mut forked.branches {
                spot.settled();
            }
            if !self.is_open() {
                *self = Self::Done;
            }
        }
    }
}

impl Forked {
    fn open(&self) -> usize {
        self.branches.iter().filter(|(_, spot)| spot.is_open()).count()
    }
}

/// What a command comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Tokens rest here.
    Rest(Spot),
    /// The flow has ended.
    Completed,
    /// The command fails with a code at an element.
    Failed { code: ResultCode, at: usize },
    /// The command enters these elements over and over.
    Ring(BTreeSet<usize>),
}

/// What happened on the way, whatever it came to.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Trace {
    /// Nodes that were entered and sequence flows that were taken.
    pub(super) entered: BTreeSet<usize>,
    /// At a node that takes one way: the one that was taken, and another whose condition holds too.
    pub(super) overlaps: Vec<(usize, usize, usize)>,
    /// A branch of the fork came to this element outside its block.
    pub(super) escapes: Vec<(usize, usize)>,
    /// Arrivals at the watched join whose values differ, so that who comes last decides.
    pub(super) conflicts: bool,
    /// Which ways a fork opened together.
    pub(super) opened: Vec<(usize, Vec<usize>)>,
    /// Nothing came to a join or to an end.
    pub(super) is_local: bool,
    /// A fork was entered inside itself: what follows is not followed.
    pub(super) is_nested_in_itself: bool,
    /// A host's strategy decides, and it was taken to wait for all.
    pub(super) asks_host: bool,
}

/// A command could not be carried out without knowing more.
pub(super) enum Need {
    /// The answer of a hook: values of these variables.
    Hook { at: usize, names: Names },
    /// Nothing that may be tried: the bound on hooks is reached.
    TooManyHooks,
}

/// What starts tokens moving.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moves {
    Start,
    /// A task is done: the place of its token.
    Commit(Vec<usize>),
}

/// The token game over one net.
pub(super) struct Machine<'n, 'm> {
    pub(super) net: &'n Net<'m>,
    watched: Option<&'n Watched>,
    /// Conditions by sequence flow and values: each is evaluated once.
    known: RefCell<BTreeMap<(usize, Data), Result<bool, ResultCode>>>,
}

struct Token {
    path: Vec<usize>,
    /// The fork it begins a branch of.
    fork: u32,
    data: Data,
    way: Way,
    from: usize,
}

struct Walk<'h> {
    root: Spot,
    trace: Trace,
    hooks: &'h [Data],
    asked: usize,
    steps: usize,
    next_number: u32,
    /// Hooked gateways that were asked, with the answers: the same again is a ring.
    heard: BTreeSet<(usize, Vec<usize>, Data)>,
    recent: BTreeSet<usize>,
}

enum Halt {
    Outcome(Outcome),
    Need(Need),
}

impl<'n, 'm> Machine<'n, 'm> {
    pub(super) fn new(net: &'n Net<'m>, watched: Option<&'n Watched>) -> Self {
        Self {
            net,
            watched,
            known: RefCell::new(BTreeMap::new()),
        }
    }

    /// Carries out a command: the values it brings, then the answers of hooks in the order in which they are asked.
    pub(super) fn run(
        &self,
        state: &Spot,
        moves: &Moves,
        given: &Data,
        hooks: &[Data],
    ) -> (Result<Outcome, Need>, Trace) {
        let mut walk = Walk {
            root: state.clone(),
            trace: Trace {
                is_local: true,
                ..Trace::default()
            },
            hooks,
            asked: 0,
            steps: 0,
            next_number: 1,
            heard: BTreeSet::new(),
            recent: BTreeSet::new(),
        };
        number_forks(&mut walk.root, &mut walk.next_number);
        let result = match self.walk(&mut walk, moves, given) {
            Ok(Some(outcome)) | Err(Halt::Outcome(outcome)) => Ok(outcome),
            Ok(None) => {
                walk.root.settled();
                Ok(match walk.root {
                    Spot::Done => Outcome::Completed,
                    rest => Outcome::Rest(rest),
                })
            }
            Err(Halt::Need(need)) => Err(need),
        };
        (result, walk.trace)
    }

    fn walk(&self, walk: &mut Walk<'_>, moves: &Moves, given: &Data) -> Result<Option<Outcome>, Halt> {
        let (from, path, data) = match moves {
            Moves::Start => {
                let Some(start) = self.net.start() else {
                    return Ok(Some(Outcome::Failed {
                        code: ResultCode::CurrentNodeNotFound,
                        at: 0,
                    }));
                };
                walk.trace.entered.insert(start);
                (start, Vec::new(), given.clone())
            }
            Moves::Commit(path) => {
                let Some(Spot::Task { element, data }) = walk.root.at(path) else {
                    return Ok(None);
                };
                let mut data = data.clone();
                data.extend(given);
                (*element, path.clone(), data)
            }
        };
        if let Some(spot) = walk.root.at_mut(&path) {
            *spot = Spot::Done;
        }
        let way = self.one_way(walk, from, &data)?;
        let mut tokens = vec![Token {
            path,
            fork: 0,
            data,
            way,
            from,
        }];
        while let Some(token) = tokens.pop() {
            if token.fork > 0 && !is_unbegun(&mut walk.root, &token) {
                continue;
            }
            self.follow(walk, token, &mut tokens)?;
        }
        Ok(None)
    }

    /// Follows one token until it rests or opens branches.
    fn follow(&self, walk: &mut Walk<'_>, token: Token, tokens: &mut Vec<Token>) -> Result<(), Halt> {
        let mut token = token;
        loop {
            walk.steps += 1;
            if let Some(flow) = token.way.flow {
                walk.trace.entered.insert(flow);
            }
            let Some(at) = token.way.target else {
                return Err(failed(ResultCode::CurrentNodeNotFound, token.from));
            };
            self.bound(walk, at)?;
            self.note_escapes(walk, at, &token.path);
            let (next, data) = match self.net.node(at) {
                Node::Flow | Node::Start => return Err(failed(ResultCode::UnsupportedElement, at)),
                Node::Broken(code) => return Err(failed(*code, at)),
                Node::Task | Node::Call { .. } => {
                    walk.trace.entered.insert(at);
                    let data = only(&token.data, self.net.live_in(at));
                    if let Some(spot) = walk.root.at_mut(&token.path) {
                        *spot = Spot::Task { element: at, data };
                    }
                    return Ok(());
                }
                Node::Exclusive { hooked } => {
                    walk.trace.entered.insert(at);
                    let mut data = token.data;
                    if *hooked {
                        data.extend(self.hook(walk, at, &token.path)?);
                    }
                    (at, data)
                }
                Node::Fork { inclusive } => {
                    walk.trace.entered.insert(at);
                    self.fork(walk, at, *inclusive, &token, tokens)?;
                    return Ok(());
                }
                Node::Join { .. } => {
                    walk.trace.is_local = false;
                    let Some((path, data)) = self.arrive(walk, at, &token)? else {
                        return Ok(());
                    };
                    token.path = path;
                    (at, data)
                }
                Node::End => {
                    walk.trace.is_local = false;
                    walk.trace.entered.insert(at);
                    let Some((join, path, data)) = self.end(walk, at, &token.path)? else {
                        return Ok(());
                    };
                    token.path = path;
                    (join, data)
                }
            };
            token.way = self.one_way(walk, next, &data)?;
            token.from = next;
            token.data = data;
        }
    }

    /// A command that goes on and on is a ring: the elements it entered since it began to repeat itself.
    fn bound(&self, walk: &mut Walk<'_>, at: usize) -> Result<(), Halt> {
        let elements = self.net.len().saturating_mul(2).saturating_add(8);
        // Nested forks multiply what one command may enter without a ring; the engine's own bound is far beyond.
        let most = elements.saturating_mul(4);
        if walk.steps > most {
            walk.recent.insert(at);
            if walk.steps > most.saturating_add(elements) {
                return Err(Halt::Outcome(Outcome::Ring(std::mem::take(&mut walk.recent))));
            }
        }
        Ok(())
    }

    fn note_escapes(&self, walk: &mut Walk<'_>, at: usize, path: &[usize]) {
        let mut found = Vec::new();
        for (_, forked) in walk.root.around(path) {
            if self.net.is_escape(forked.element, at) {
                found.push((forked.element, at));
            }
        }
        walk.trace.escapes.extend(found);
    }

    fn hook(&self, walk: &mut Walk<'_>, at: usize, path: &[usize]) -> Result<Data, Halt> {
        let names = self.net.live_out(at).clone();
        if names.is_empty() {
            return Ok(Data::new());
        }
        let Some(answer) = walk.hooks.get(walk.asked) else {
            let need = if walk.asked < MAX_HOOKS {
                Need::Hook { at, names }
            } else {
                Need::TooManyHooks
            };
            return Err(Halt::Need(need));
        };
        walk.asked += 1;
        if !walk.heard.insert((at, path.to_vec(), answer.clone())) {
            return Err(Halt::Outcome(Outcome::Ring(BTreeSet::from([at]))));
        }
        Ok(answer.clone())
    }

    /// The one way that a token takes from a node.
    fn one_way(&self, walk: &mut Walk<'_>, at: usize, data: &Data) -> Result<Way, Halt> {
        let ways = self.net.ways(at);
        if !self.net.chooses(at) {
            return ways
                .first()
                .copied()
                .ok_or_else(|| failed(ResultCode::NoOutgoingMatches, at));
        }
        let mut chosen = None;
        let mut default = None;
        for way in ways {
            let Some(flow) = way.flow else {
                if chosen.is_none() {
                    return Err(failed(ResultCode::CurrentNodeNotFound, at));
                }
                continue;
            };
            match (self.holds(flow, data), chosen) {
                (Some(Ok(true)), None) => chosen = Some((*way, flow)),
                (Some(Ok(true)), Some((_, taken))) => walk.trace.overlaps.push((at, taken, flow)),
                (Some(Err(code)), None) => return Err(failed(code, flow)),
                (Some(_) | None, _) => {}
            }
            if chosen.is_none()
                && self
                    .net
                    .element(flow)
                    .is_some_and(crate::model::element::Element::is_default)
            {
                default = Some(*way);
            }
        }
        chosen
            .map(|(way, _)| way)
            .or(default)
            .ok_or_else(|| failed(ResultCode::NoOutgoingMatches, at))
    }

    /// Whether a condition holds for these values; `None` where there is none.
    pub(super) fn holds(&self, flow: usize, data: &Data) -> Option<Result<bool, ResultCode>> {
        let condition = self.net.condition(flow)?;
        let read: Data = condition
            .reads
            .iter()
            .filter_map(|name| data.get(name).map(|value| (*name, *value)))
            .collect();
        let key = (flow, read);
        if let Some(known) = self.known.borrow().get(&key) {
            return Some(*known);
        }
        let answer = match &condition.compiled {
            Ok(compiled) => compiled.evaluate(&self.net.cells.assignment(&key.1)),
            Err(error) => Err(error.clone()),
        };
        let answer = answer.map_err(|error| match (error, self.net.profile) {
            (ExpressionError::Missing { .. }, Profile::Documented) => ResultCode::ExpressionDataMissing,
            _ => ResultCode::ExpressionFailed,
        });
        self.known.borrow_mut().insert(key, answer);
        Some(answer)
    }

    fn fork(
        &self,
        walk: &mut Walk<'_>,
        at: usize,
        inclusive: bool,
        token: &Token,
        tokens: &mut Vec<Token>,
    ) -> Result<(), Halt> {
        let mut opened = Vec::new();
        for way in self.net.ways(at) {
            let Some(flow) = way.flow else {
                return Err(failed(ResultCode::CurrentNodeNotFound, at));
            };
            let is_taken = match self.holds(flow, &token.data) {
                _ if !inclusive => true,
                None => false,
                Some(Ok(holds)) => holds,
                Some(Err(code)) => return Err(failed(code, flow)),
            };
            if is_taken {
                opened.push((flow, *way));
            }
        }
        if opened.is_empty() {
            return Err(failed(ResultCode::NoOutgoingMatches, at));
        }
        let is_nested = walk
            .root
            .around(&token.path)
            .iter()
            .any(|(_, forked)| forked.element == at);
        if is_nested {
            walk.trace.escapes.push((at, at));
            walk.trace.is_nested_in_itself = true;
        }
        let flows: Vec<usize> = opened.iter().map(|(flow, _)| *flow).collect();
        walk.trace.opened.push((at, flows.clone()));
        walk.steps += flows.len();
        let number = walk.next_number;
        walk.next_number += 1;
        let kept: Names = self
            .net
            .joins_of(at)
            .iter()
            .flat_map(|join| self.net.live_out(*join).iter().copied())
            .collect();
        if let Some(spot) = walk.root.at_mut(&token.path) {
            *spot = Spot::Fork(Box::new(Forked {
                element: at,
                data: only(&token.data, &kept),
                branches: flows.iter().map(|flow| (*flow, Spot::Unbegun)).collect(),
                joins: Vec::new(),
                number,
            }));
        }
        for (branch, (_, way)) in opened.into_iter().enumerate().rev() {
            let mut path = token.path.clone();
            path.push(branch);
            tokens.push(Token {
                path,
                fork: number,
                data: token.data.clone(),
                way,
                from: at,
            });
        }
        Ok(())
    }

    /// A token comes to a join; where the join fires, the place and the values with which it goes on.
    fn arrive(&self, walk: &mut Walk<'_>, at: usize, token: &Token) -> Result<Option<(Vec<usize>, Data)>, Halt> {
        let Node::Join { fork, .. } = self.net.node(at) else {
            return Ok(None);
        };
        let place = walk
            .root
            .around(&token.path)
            .iter()
            .rev()
            .find(|(_, forked)| forked.element == *fork)
            .map(|(place, _)| place.to_vec());
        let Some(place) = place else {
            return Err(failed(ResultCode::ForkJoinMismatch, at));
        };
        walk.trace.entered.insert(at);
        let arrived = token.path.get(place.len()..).unwrap_or_default().to_vec();
        let data = only(&token.data, self.net.live_out(at));
        if let Some(spot) = walk.root.at_mut(&token.path) {
            *spot = Spot::Done;
        }
        if let Some(forked) = walk.root.fork_at(&place) {
            match forked.joins.iter_mut().find(|join| join.element == at) {
                Some(join) => join.arrivals.push((arrived, data)),
                None => forked.joins.push(Waiting {
                    element: at,
                    arrivals: vec![(arrived, data)],
                }),
            }
        }
        self.try_to_join(walk, at, &place)
    }

    fn try_to_join(&self, walk: &mut Walk<'_>, at: usize, place: &[usize]) -> Result<Option<(Vec<usize>, Data)>, Halt> {
        let Node::Join { rule, .. } = self.net.node(at) else {
            return Ok(None);
        };
        let (merge, conflict) = (rule.data_merge, rule.data_conflict);
        walk.trace.asks_host |= is_hosts(rule);
        let Some(forked) = walk.root.fork_at(place) else {
            return Ok(None);
        };
        let Some(waiting) = forked.joins.iter().find(|join| join.element == at) else {
            return Ok(None);
        };
        let differs = merge == DataMerge::All && self.differs(forked, waiting);
        if differs && conflict == DataConflictRule::Fail {
            return Err(failed(ResultCode::BranchMergeFailed, at));
        }
        let fires = rule.branch_merge == BranchMerge::AnyOne || forked.open() == 0;
        if !fires {
            return Ok(None);
        }
        let data = match merge {
            DataMerge::All => self.merged(forked, waiting, conflict == DataConflictRule::BranchOrder),
            DataMerge::None | DataMerge::Custom => forked.data.clone(),
        };
        let is_watched = self.watched.is_some_and(|watched| watched.join == at);
        walk.trace.conflicts |= is_watched && differs && conflict == DataConflictRule::Last;
        if let Some(spot) = walk.root.at_mut(place) {
            *spot = Spot::Done;
        }
        Ok(Some((place.to_vec(), data)))
    }

    /// What an arrival changed, name by name: members of one variable change together.
    fn changes(&self, forked: &Forked, data: &Data) -> Data {
        let mut changed = Data::new();
        for (name, value) in data {
            if forked.data.get(name) == Some(value) {
                continue;
            }
            let root = self.net.cells.variables.get(*name).map(CellVariable::root);
            for member in root.iter().flat_map(|root| self.net.of_root(root)) {
                if let Some(value) = data.get(&member) {
                    changed.insert(member, *value);
                }
            }
        }
        changed
    }

    fn merged(&self, forked: &Forked, waiting: &Waiting, in_branch_order: bool) -> Data {
        let mut arrivals: Vec<&(Vec<usize>, Data)> = waiting.arrivals.iter().collect();
        if in_branch_order {
            arrivals.sort_by(|left, right| left.0.cmp(&right.0));
        }
        let mut merged = forked.data.clone();
        for (_, data) in arrivals {
            merged.extend(self.changes(forked, data));
        }
        merged
    }

    /// Whether two arrivals changed a variable to different values.
    fn differs(&self, forked: &Forked, waiting: &Waiting) -> bool {
        let mut first = Data::new();
        waiting.arrivals.iter().any(|(_, data)| {
            let changes = self.changes(forked, data);
            let differs = changes
                .iter()
                .any(|(name, value)| first.get(name).is_some_and(|known| known != value));
            first.extend(changes);
            differs
        })
    }

    /// A token has ended: the join that waited only for it goes on, where there is one.
    fn end(&self, walk: &mut Walk<'_>, at: usize, path: &[usize]) -> Result<Option<(usize, Vec<usize>, Data)>, Halt> {
        debug_assert!(matches!(self.net.node(at), Node::End), "only an end event ends a token");
        if let Some(spot) = walk.root.at_mut(path) {
            *spot = Spot::Done;
        }
        let mut path = path.to_vec();
        while path.pop().is_some() {
            let Some(forked) = walk.root.fork_at(&path) else {
                return Ok(None);
            };
            if let Some(join) = forked.joins.last().map(|join| join.element) {
                let joined = self.try_to_join(walk, join, &path)?;
                return Ok(joined.map(|(path, data)| (join, path, data)));
            }
            if forked.open() > 0 {
                return Ok(None);
            }
            if let Some(spot) = walk.root.at_mut(&path) {
                *spot = Spot::Done;
            }
        }
        Ok(None)
    }
}

fn failed(code: ResultCode, at: usize) -> Halt {
    Halt::Outcome(Outcome::Failed { code, at })
}

fn only(data: &Data, names: &Names) -> Data {
    let kept = data.iter().filter(|(name, _)| names.contains(name));
    kept.map(|(name, value)| (*name, *value)).collect()
}

/// Whether a branch that was opened in this command is still to begin: its join may have closed it.
fn is_unbegun(root: &mut Spot, token: &Token) -> bool {
    let Some((_, place)) = token.path.split_last() else {
        return false;
    };
    let is_same = root.fork_at(place).is_some_and(|forked| forked.number == token.fork);
    is_same && root.at(&token.path) == Some(&Spot::Unbegun)
}

fn number_forks(spot: &mut Spot, next: &mut u32) {
    if let Spot::Fork(forked) = spot {
        forked.number = *next;
        *next += 1;
        for (_, spot) in &mut forked.branches {
            number_forks(spot, next);
        }
    }
}
