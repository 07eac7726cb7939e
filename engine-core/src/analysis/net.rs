//! A model made ready for the token game: what each element does, which conditions stand where, and whose values matter.
//! Knows the model, nothing of states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::expression::cells::{CellVariable, Cells};
use crate::expression::{CompiledExpression, ExpressionError};
use crate::model::element::{Element, ElementType};
use crate::model::flow_model::FlowModel;
use crate::model::gateway::{self, BranchMerge, DataConflictRule, DataMerge, GatewayRole, JoinRule};
use crate::profile::Profile;
use crate::result_code::ResultCode;
use crate::value::Value;

/// Most values that a range gets because joins compare them.
const MAX_MORE: usize = 3;

/// Values of variables: for each variable of [`Net::cells`] the place of its value.
pub(super) type Data = BTreeMap<usize, usize>;

/// Variables, by their place in [`Net::cells`].
pub(super) type Names = BTreeSet<usize>;

/// What an element does to a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// A sequence flow is no node.
    Flow,
    Start,
    End,
    /// A user task: a commit may set every variable but those it is known not to write.
    Task,
    /// A call activity: what comes back may set these variables, `None` for all; some of them to one value only.
    Call {
        writes: Option<Names>,
        fixed: Data,
    },
    /// A gateway that takes one way on.
    Exclusive {
        hooked: bool,
    },
    Fork {
        inclusive: bool,
    },
    Join {
        fork: usize,
        rule: JoinRule,
    },
    /// A flow that gets here fails with this code.
    Broken(ResultCode),
}

/// The condition of a sequence flow.
pub(super) struct Condition {
    pub(super) compiled: Result<CompiledExpression, ExpressionError>,
    /// The variables it reads.
    pub(super) reads: Vec<usize>,
    /// What in it cannot be decided by values.
    pub(super) beyond: Option<String>,
}

/// A variable whose meeting in a join is watched, and who writes it.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) name: Arc<str>,
    pub(super) join: usize,
    /// Elements that may set it.
    pub(super) writers: BTreeSet<usize>,
    /// Those of them that stand in the branches.
    pub(super) tasks: BTreeSet<usize>,
}

/// The model, made ready.
pub(super) struct Net<'m> {
    pub(super) model: &'m FlowModel,
    pub(super) profile: Profile,
    pub(super) cells: Cells,
    nodes: Vec<Node>,
    conditions: Vec<Option<Condition>>,
    /// Sequence flows that lead on, with the node each leads to; `None` where there is none.
    ways: Vec<Vec<Way>>,
    /// Of each fork: the joins that join its branches.
    joins: BTreeMap<usize, Vec<usize>>,
    live_in: Vec<Names>,
    live_out: Vec<Names>,
    /// What a watched variable's writers leave alone.
    untouched: Vec<Names>,
    /// Elements that two branches of one fork can come to.
    shared: BTreeSet<usize>,
    /// Of each fork: elements outside its branches, behind its join, that a branch can come to all the same.
    escapes: BTreeMap<usize, BTreeSet<usize>>,
}

/// One way on from a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// The sequence flow; `None` where the model has none with the key.
    pub(super) flow: Option<usize>,
    /// The node it leads to.
    pub(super) target: Option<usize>,
}

impl<'m> Net<'m> {
    pub(super) fn new(model: &'m FlowModel, profile: Profile, watched: Option<&Watched>) -> Self {
        let net = Self::with_more(model, profile, watched, &BTreeMap::new());
        let more = net.compared_at_joins();
        if more.is_empty() {
            return net;
        }
        Self::with_more(model, profile, watched, &more)
    }

    /// The variables that a join compares with what they were at its fork, with the number of forks inside each other
    /// that do: each needs another value of the same range.
    fn compared_at_joins(&self) -> BTreeMap<Arc<str>, usize> {
        let forks: BTreeMap<usize, Names> = (0..self.len())
            .filter(|at| matches!(self.node(*at), Node::Fork { .. }))
            .map(|fork| {
                let names = self.joins_of(fork).iter().flat_map(|join| self.live_out(*join).clone());
                (fork, names.collect::<Names>())
            })
            .filter(|(_, names)| !names.is_empty())
            .collect();
        let mut deepest = 0;
        for fork in forks.keys() {
            let joins = self.joins_of(*fork);
            let inside = self.reach(self.ways(*fork), &|at| at == *fork || joins.contains(&at));
            deepest = deepest.max(forks.keys().filter(|at| inside.contains(at)).count());
        }
        let names: Names = forks.values().flatten().copied().collect();
        let roots = names.iter().filter_map(|name| self.cells.variables.get(*name));
        roots
            .map(|variable| (variable.root(), deepest.saturating_add(1).min(MAX_MORE)))
            .collect()
    }

    fn with_more(
        model: &'m FlowModel,
        profile: Profile,
        watched: Option<&Watched>,
        more: &BTreeMap<Arc<str>, usize>,
    ) -> Self {
        let elements = model.elements();
        let texts: Vec<(usize, &str)> = elements
            .iter()
            .enumerate()
            .filter(|(_, element)| element.element_type == ElementType::SequenceFlow)
            .filter_map(|(at, element)| Some((at, element.condition()?)))
            .collect();
        let roles = gateway::roles(model);
        let known = fixed_values(model);
        let conditions: Vec<&str> = texts.iter().map(|(_, text)| *text).collect();
        let observed: Vec<Arc<str>> = watched.iter().map(|watched| watched.name.clone()).collect();
        let cells = Cells::of(&conditions, &known, &observed, more);
        let mut net = Self {
            model,
            profile,
            nodes: Vec::new(),
            conditions: elements.iter().map(|_| None).collect(),
            ways: elements.iter().map(|element| ways(model, element)).collect(),
            joins: BTreeMap::new(),
            live_in: vec![Names::new(); elements.len()],
            live_out: vec![Names::new(); elements.len()],
            untouched: vec![Names::new(); elements.len()],
            shared: BTreeSet::new(),
            escapes: BTreeMap::new(),
            cells,
        };
        for ((at, text), reading) in texts.iter().zip(&net.cells.readings) {
            let condition = Condition {
                compiled: CompiledExpression::compile(text),
                reads: reading.variables.clone(),
                beyond: reading.beyond.clone(),
            };
            if let Some(slot) = net.conditions.get_mut(*at) {
                *slot = Some(condition);
            }
        }
        net.nodes = elements
            .iter()
            .map(|element| node(&net, element, roles.get(&element.key)))
            .collect();
        for (at, node) in net.nodes.iter().enumerate() {
            if let Node::Join { fork, .. } = node {
                net.joins.entry(*fork).or_default().push(at);
            }
        }
        if let Some(watched) = watched {
            let variable = net.of_root(&watched.name);
            for (at, untouched) in net.untouched.iter_mut().enumerate() {
                if !watched.writers.contains(&at) {
                    untouched.clone_from(&variable);
                }
            }
            if let Some(live) = net.live_out.get_mut(watched.join) {
                live.extend(variable);
            }
        }
        net.settle_live();
        net.settle_reach();
        net
    }

    pub(super) fn element(&self, at: usize) -> Option<&'m Element> {
        self.model.elements().get(at)
    }

    pub(super) fn key(&self, at: usize) -> Arc<str> {
        self.element(at).map(|element| element.key.clone()).unwrap_or_default()
    }

    pub(super) fn node(&self, at: usize) -> &Node {
        self.nodes.get(at).unwrap_or(&Node::Flow)
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn ways(&self, at: usize) -> &[Way] {
        self.ways.get(at).map_or(&[], Vec::as_slice)
    }

    pub(super) fn condition(&self, flow: usize) -> Option<&Condition> {
        self.conditions.get(flow).and_then(Option::as_ref)
    }

    pub(super) fn start(&self) -> Option<usize> {
        self.nodes.iter().position(|node| *node == Node::Start)
    }

    /// The variables whose values matter to a token that enters an element.
    pub(super) fn live_in(&self, at: usize) -> &Names {
        self.live_in.get(at).unwrap_or(const { &Names::new() })
    }

    /// The variables whose values matter to a token that leaves an element.
    pub(super) fn live_out(&self, at: usize) -> &Names {
        self.live_out.get(at).unwrap_or(const { &Names::new() })
    }

    /// The variables that a commit at an element may set, of those that matter behind it.
    pub(super) fn settable(&self, at: usize) -> Names {
        self.settable_of(at, self.live_out(at))
    }

    fn settable_of(&self, at: usize, live: &Names) -> Names {
        let untouched = self.untouched.get(at).unwrap_or(const { &Names::new() });
        match self.node(at) {
            Node::Call {
                writes: Some(writes), ..
            } => live.intersection(writes).copied().collect(),
            _ => live.difference(untouched).copied().collect(),
        }
    }

    pub(super) fn is_shared(&self, at: usize) -> bool {
        self.shared.contains(&at)
    }

    /// Whether a branch of a fork that comes to an element has left its block otherwise than by the join.
    pub(super) fn is_escape(&self, fork: usize, at: usize) -> bool {
        self.escapes.get(&fork).is_some_and(|escapes| escapes.contains(&at))
    }

    /// The variables and members under one name.
    pub(super) fn of_root(&self, root: &str) -> Names {
        let variables = self.cells.variables.iter().enumerate();
        variables
            .filter(|(_, variable)| variable.root().as_ref() == root)
            .map(|(at, _)| at)
            .collect()
    }

    /// These variables with all members of the same names.
    fn whole(&self, names: &Names) -> Names {
        let roots: BTreeSet<Arc<str>> = names
            .iter()
            .filter_map(|at| self.cells.variables.get(*at))
            .map(CellVariable::root)
            .collect();
        roots.iter().flat_map(|root| self.of_root(root)).collect()
    }

    /// Whether the conditions behind a node decide which way is taken.
    pub(super) fn chooses(&self, at: usize) -> bool {
        match self.node(at) {
            Node::Exclusive { .. } | Node::Fork { inclusive: true } => true,
            Node::Task => self.ways(at).len() > 1,
            Node::Flow
            | Node::Start
            | Node::End
            | Node::Call { .. }
            | Node::Fork { inclusive: false }
            | Node::Join { .. }
            | Node::Broken(_) => false,
        }
    }

    /// The ways that a token can take from a node.
    pub(super) fn open_ways(&self, at: usize) -> Vec<Way> {
        let ways = self.ways(at);
        match self.node(at) {
            Node::Start | Node::Call { .. } | Node::Join { .. } => ways.iter().take(1).copied().collect(),
            Node::End | Node::Flow | Node::Broken(_) => Vec::new(),
            Node::Task | Node::Exclusive { .. } | Node::Fork { .. } => ways.to_vec(),
        }
    }

    /// Works backwards which values matter where, until nothing changes.
    fn settle_live(&mut self) {
        // Every round but the last adds a variable somewhere.
        let rounds = self
            .cells
            .variables
            .len()
            .saturating_mul(self.len())
            .saturating_mul(2)
            .saturating_add(2);
        for _ in 0..rounds {
            let mut is_settled = true;
            // Models are mostly written from the start to the end, and this goes the other way.
            for at in (0..self.len()).rev() {
                let (live_in, live_out) = self.live_at(at);
                for (slots, found) in [(&mut self.live_in, live_in), (&mut self.live_out, live_out)] {
                    if let Some(slot) = slots.get_mut(at)
                        && !found.is_subset(slot)
                    {
                        slot.extend(found);
                        is_settled = false;
                    }
                }
            }
            if is_settled {
                return;
            }
        }
    }

    fn live_at(&self, at: usize) -> (Names, Names) {
        let mut out = self.live_out(at).clone();
        for way in self.open_ways(at) {
            if let Some(condition) = way.flow.and_then(|flow| self.condition(flow))
                && self.chooses(at)
            {
                out.extend(&condition.reads);
            }
            if let Some(target) = way.target {
                out.extend(self.live_in(target));
            }
        }
        if matches!(self.node(at), Node::Fork { .. }) {
            for join in self.joins_of(at) {
                out.extend(self.live_out(*join));
            }
        }
        if let Node::Join { rule, .. } = self.node(at)
            && rule.data_merge == DataMerge::All
            && rule.data_conflict == DataConflictRule::Fail
        {
            // It refuses an arrival because of any variable, whoever reads it.
            out.extend(0..self.cells.variables.len());
        }
        let out = self.whole(&out);
        let live_in = match self.node(at) {
            Node::Flow | Node::End | Node::Start | Node::Broken(_) | Node::Exclusive { hooked: true } => Names::new(),
            Node::Task | Node::Call { .. } => out.difference(&self.settable_of(at, &out)).copied().collect(),
            Node::Join { rule, .. } if rule.data_merge == DataMerge::None => Names::new(),
            Node::Exclusive { hooked: false } | Node::Fork { .. } | Node::Join { .. } => out.clone(),
        };
        (live_in, out)
    }

    /// The joins that join the branches of a fork.
    pub(super) fn joins_of(&self, fork: usize) -> &[usize] {
        self.joins.get(&fork).map_or(&[], Vec::as_slice)
    }

    /// Nodes that a token can come to from some ways, not going on from where `stops` says.
    pub(super) fn reach(&self, ways: &[Way], stops: &dyn Fn(usize) -> bool) -> BTreeSet<usize> {
        let mut open: Vec<usize> = ways.iter().filter_map(|way| way.target).collect();
        let mut seen = BTreeSet::new();
        while let Some(at) = open.pop() {
            if seen.insert(at) && !stops(at) {
                open.extend(self.open_ways(at).iter().filter_map(|way| way.target));
            }
        }
        seen
    }

    fn settle_reach(&mut self) {
        let forks: Vec<usize> = (0..self.len())
            .filter(|at| matches!(self.node(*at), Node::Fork { .. }))
            .collect();
        for fork in forks {
            let joins: BTreeSet<usize> = self.joins_of(fork).iter().copied().collect();
            let stops = |at: usize| at == fork || joins.contains(&at);
            let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
            for way in self.ways(fork) {
                for at in self.reach(std::slice::from_ref(way), &stops) {
                    *seen.entry(at).or_default() += 1;
                }
            }
            let behind: BTreeSet<usize> = joins
                .iter()
                .flat_map(|join| self.reach(&self.open_ways(*join), &|at| at == fork))
                .collect();
            let is_left = |at: &usize| {
                behind.contains(at) && !stops(*at) && !matches!(self.node(*at), Node::End | Node::Join { .. })
            };
            let escapes: BTreeSet<usize> = seen.keys().copied().filter(is_left).collect();
            self.shared
                .extend(seen.iter().filter(|(_, count)| **count > 1).map(|(at, _)| *at));
            self.escapes.insert(fork, escapes);
        }
    }
}

fn ways(model: &FlowModel, element: &Element) -> Vec<Way> {
    let way = |key: &Arc<str>| {
        let target = model.element(key).and_then(|flow| model.target(flow));
        Way {
            flow: model.index_of(key),
            target: target.and_then(|target| model.index_of(&target.key)),
        }
    };
    element.outgoing.iter().map(way).collect()
}

fn node(net: &Net<'_>, element: &Element, part: Option<&Result<GatewayRole, gateway::RoleFault>>) -> Node {
    match element.element_type {
        ElementType::SequenceFlow => Node::Flow,
        ElementType::StartEvent => Node::Start,
        ElementType::EndEvent => Node::End,
        ElementType::UserTask => Node::Task,
        ElementType::ExclusiveGateway => Node::Exclusive {
            hooked: element.text_property("hookInfoIds").is_some(),
        },
        ElementType::CallActivity => Node::Call {
            writes: match element.text_property("callActivityOutParamType") {
                Some("none") => Some(Names::new()),
                Some("part") => Some(handed_out(element).iter().flat_map(|key| net.of_root(key)).collect()),
                _ => None,
            },
            fixed: fixed(net, element),
        },
        ElementType::ParallelGateway | ElementType::InclusiveGateway => match part {
            Some(Ok(GatewayRole::Fork)) => Node::Fork {
                inclusive: element.element_type == ElementType::InclusiveGateway,
            },
            Some(Ok(GatewayRole::Join(rule))) => match net.model.index_of(&rule.fork) {
                Some(fork) => Node::Join {
                    fork,
                    rule: rule.clone(),
                },
                None => Node::Broken(ResultCode::ForkJoinMismatch),
            },
            Some(Err(fault)) => Node::Broken(fault.code),
            None => Node::Broken(ResultCode::UnsupportedElement),
        },
        ElementType::Unknown(_) => Node::Broken(ResultCode::UnsupportedElement),
    }
}

/// Whether a join waits for a strategy of the host, whose word nobody knows here.
pub(super) fn is_hosts(rule: &JoinRule) -> bool {
    rule.branch_merge == BranchMerge::Custom || rule.data_merge == DataMerge::Custom
}

/// The rules by which a call activity hands variables out.
fn rules(element: &Element) -> Vec<Arc<BTreeMap<Arc<str>, Value>>> {
    let listed = element
        .text_property("callActivityOutParam")
        .and_then(|text| Value::from_json(text).ok());
    let Some(Value::List(rules)) = listed else {
        return Vec::new();
    };
    let maps = rules.iter().filter_map(|rule| match rule {
        Value::Map(members) => Some(members.clone()),
        _ => None,
    });
    maps.collect()
}

fn text<'r>(rule: &'r BTreeMap<Arc<str>, Value>, name: &str) -> Option<&'r Arc<str>> {
    match rule.get(name) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

/// The variables that a call activity sets when it is done, where it lists them.
pub(super) fn handed_out(element: &Element) -> Vec<Arc<str>> {
    let rules = rules(element);
    rules
        .iter()
        .filter_map(|rule| text(rule, "targetKey").cloned())
        .collect()
}

/// Which variable of the called flow a call activity hands out under each name.
pub(super) fn sources(element: &Element) -> BTreeMap<Arc<str>, Arc<str>> {
    let rules = rules(element);
    let pairs = rules
        .iter()
        .filter_map(|rule| Some((text(rule, "targetKey")?.clone(), text(rule, "sourceKey")?.clone())));
    pairs.collect()
}

/// The fixed values that a call activity hands out.
pub(super) fn fixed_out(element: &Element) -> Vec<(Arc<str>, Value)> {
    let rules = rules(element);
    let fixed = rules.iter().filter_map(|rule| {
        let value = Value::Text(text(rule, "sourceValue")?.clone());
        (text(rule, "sourceType")?.as_ref() == "fixed").then_some((text(rule, "targetKey")?.clone(), value))
    });
    fixed.collect()
}

fn fixed(net: &Net<'_>, element: &Element) -> Data {
    let places = fixed_out(element).into_iter().flat_map(|(key, value)| {
        net.of_root(&key).into_iter().filter_map(move |at| {
            let variable = net.cells.variables.get(at)?;
            Some((at, variable.values.iter().position(|known| *known == value)?))
        })
    });
    places.collect()
}

pub(super) fn fixed_values(model: &FlowModel) -> Vec<(Arc<str>, Value)> {
    let calls = model
        .elements()
        .iter()
        .filter(|element| element.element_type == ElementType::CallActivity);
    calls.flat_map(fixed_out).collect()
}
