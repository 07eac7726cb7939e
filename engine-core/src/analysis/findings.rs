//! What the explored states say about a model, each thing with commands that show it. Knows soundness, not how states are
//! found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use super::explore::{Explored, Seen, explore};
use super::machine::Machine;
use super::net::{Net, Node, Watched};
use super::replay::Run;
use super::report::{CalledReport, Expectation, Finding, FindingKind, ProofReport, Script, ScriptStep, Searched};
use super::scripting::{script_values, witness};
use super::{ProveParam, Proved, data};
use crate::model::element::{Element, ElementType};
use crate::model::flow_model::FlowModel;
use crate::model::parse::{self, ModelLimits};
use crate::model::validate::{ModelFault, validate_alone};
use crate::profile::Profile;
use crate::result_code::ResultCode;
use crate::value::{Value, shortened};
use crate::variables::InstanceData;

/// Most findings of one kind.
const MAX_OF_A_KIND: usize = 20;
/// Characters of a condition that a finding repeats.
const CONDITION_CHARS: usize = 120;
/// States that are explored for one variable that branches write.
const WATCHED_STATES: usize = 2_000;
/// The report on a text that is no model.
pub(super) fn unreadable(fault: &ModelFault, param: &ProveParam) -> ProofReport {
    let mut report = ProofReport::empty(param);
    report.findings.push(not_deployable(fault, param.profile));
    report.settle();
    report
}

fn not_deployable(fault: &ModelFault, profile: Profile) -> Finding {
    let code = fault.code.number();
    Finding {
        kind: FindingKind::NotDeployable,
        elements: fault.element_key.iter().cloned().collect(),
        explanation: format!("deployFlow refuses the model with {code}: {}", fault.message),
        witness: Vec::new(),
        script: Script {
            profile,
            called: Vec::new(),
            steps: vec![ScriptStep::Deploy],
            expect: Expectation::Refused { code },
            of_called: None,
        },
    }
}

/// Proves one model.
pub(super) struct Prover<'m> {
    pub(super) model: &'m FlowModel,
    pub(super) param: &'m ProveParam,
    pub(super) net: Net<'m>,
    pub(super) called: BTreeMap<Arc<str>, Proved>,
    pub(super) report: ProofReport,
    /// What the verdict on invariants takes for granted.
    pub(super) of_invariants: Vec<String>,
    /// Under which the model can be deployed.
    pub(super) runs_under: Option<Profile>,
    /// Findings about the same, which are told once.
    told: BTreeSet<(FindingKind, Vec<Arc<str>>)>,
}

impl<'m> Prover<'m> {
    pub(super) fn new(model: &'m FlowModel, param: &'m ProveParam, called: BTreeMap<Arc<str>, Proved>) -> Self {
        let mut report = ProofReport::empty(param);
        report.called = CalledReport::of(&called);
        Self {
            model,
            param,
            net: Net::new(model, param.profile, None),
            called,
            report,
            of_invariants: Vec::new(),
            runs_under: None,
            told: BTreeSet::new(),
        }
    }

    pub(super) fn prove(mut self) -> Proved {
        let faults = validate_alone(self.model, self.param.profile).faults;
        for fault in faults.iter().take(MAX_OF_A_KIND) {
            let finding = not_deployable(fault, self.param.profile);
            self.report.findings.push(finding);
        }
        // A model that only one profile refuses can be run under the other.
        let others = [self.param.profile, Profile::Documented, Profile::Turbo131];
        self.runs_under = others
            .into_iter()
            .find(|profile| validate_alone(self.model, *profile).faults.is_empty());
        self.report.reads = data::reads(&self.net);
        let (explored, completion) = {
            let machine = Machine::new(&self.net, None);
            let explored = explore(&machine, None, self.param.states);
            let completion = self.completion(&explored);
            (explored, completion)
        };
        self.report.searched = Searched {
            states: explored.states.len(),
            commands: explored.commands,
            put_off: explored.put_off,
            bound: self.param.states,
            is_complete: explored.incomplete.is_none() && !explored.is_cut,
            unreached: (0..self.net.len())
                .filter(|at| *self.net.node(*at) != Node::Flow && !explored.entered.contains_key(at))
                .map(|at| self.net.key(at))
                .collect(),
        };
        self.note_unknowns(&explored);
        self.failures(&explored);
        self.rings(&explored);
        self.overlaps(&explored);
        self.doubled(&explored);
        self.escapes(&explored);
        let stuck = self.deadlocks(&explored);
        self.livelocks(&explored);
        self.dead(&explored, &stuck);
        self.races(&explored);
        self.invariants();
        self.called_flows();
        self.assume(&explored);
        self.report
            .findings
            .sort_by(|left, right| (left.kind, &left.elements).cmp(&(right.kind, &right.elements)));
        self.report.settle();
        Proved {
            report: self.report,
            completion,
        }
    }

    /// Whether the values that were tried decide all conditions.
    fn is_exact(&self) -> bool {
        (0..self.net.len()).all(|at| {
            self.net
                .condition(at)
                .is_none_or(|condition| condition.beyond.is_none())
        })
    }

    fn note_unknowns(&mut self, explored: &Explored) {
        for at in (0..self.net.len()).filter(|at| self.net.chooses(*at)) {
            for flow in self.net.ways(at).iter().filter_map(|way| way.flow) {
                let beyond = self.net.condition(flow).and_then(|condition| condition.beyond.clone());
                if let Some(beyond) = beyond {
                    let why = format!(
                        "the condition of {} has {beyond}, which cases cannot decide: some values were tried, not all kinds",
                        self.with_condition(flow)
                    );
                    self.report.unknown(vec![self.net.key(flow), self.net.key(at)], why);
                }
            }
        }
        if let Some(why) = &explored.incomplete {
            self.report
                .unknown(Vec::new(), format!("the search was given up: {why}"));
        }
        if explored.asks_host {
            let why = "a join asks a strategy of the host, which is not known here";
            self.report.unknown(Vec::new(), why);
        }
    }

    /// Commands that fail.
    fn failures(&mut self, explored: &Explored) {
        for ((code, at), seen) in &explored.failures {
            let script = self.script(&explored.way_of(seen), Expectation::Refused { code: code.number() });
            let witness = witness(&script);
            let (key, values) = (self.net.key(*at), shown(&witness));
            let kind = self.net.element(*at).map(|element| element.element_type);
            let source = self.source_of(*at);
            let (kind, elements, explanation) = match (code, kind) {
                (ResultCode::NoOutgoingMatches, Some(ElementType::InclusiveGateway)) => (
                    FindingKind::ConditionGap,
                    vec![key.clone()],
                    format!(
                        "no condition behind {key} holds{values}, so the command fails with 4013; let one condition hold \
                         whenever the others do not"
                    ),
                ),
                (ResultCode::NoOutgoingMatches, _) if self.net.ways(*at).is_empty() => (
                    FindingKind::ElementFails,
                    vec![key.clone()],
                    format!("nothing leads on from {key}: the command fails with 4013; lead it on, or end it"),
                ),
                (ResultCode::NoOutgoingMatches, _) => (
                    FindingKind::ConditionGap,
                    vec![key.clone()],
                    format!(
                        "no condition behind {key} holds{values} and there is no default, so the command fails with 4013; \
                         cover these values, or set defaultConditions on one way"
                    ),
                ),
                (ResultCode::ExpressionFailed | ResultCode::ExpressionDataMissing, _) => (
                    FindingKind::ConditionFails,
                    source.iter().cloned().chain([key.clone()]).collect(),
                    format!(
                        "the condition of {} has no answer{values}, so the command fails with {}; compare values of one \
                         kind, and test for null first",
                        self.with_condition(*at),
                        code.number()
                    ),
                ),
                (ResultCode::ForkJoinMismatch, _) => (
                    FindingKind::JoinWithoutFork,
                    vec![key.clone()],
                    format!(
                        "a token comes to join {key} that does not come from its fork{values}: the command fails with 6005; \
                         lead this way past the join, or through the fork"
                    ),
                ),
                _ => (
                    FindingKind::ElementFails,
                    vec![key.clone()],
                    format!("a flow that gets to {key} fails with {}", code.number()),
                ),
            };
            self.add(kind, elements, explanation, witness, script);
        }
    }

    /// A sequence flow with its condition.
    fn with_condition(&self, flow: usize) -> String {
        let condition = self.net.element(flow).and_then(Element::condition).unwrap_or_default();
        format!("{} ({})", self.net.key(flow), shortened(condition, CONDITION_CHARS))
    }

    /// The node that a sequence flow leaves.
    fn source_of(&self, flow: usize) -> Option<Arc<str>> {
        let leaves = |at: &usize| self.net.ways(*at).iter().any(|way| way.flow == Some(flow));
        (0..self.net.len()).find(leaves).map(|at| self.net.key(at))
    }

    fn rings(&mut self, explored: &Explored) {
        for (elements, seen) in &explored.rings {
            let expect = Expectation::Refused {
                code: ResultCode::Overloaded.number(),
            };
            let script = self.script(&explored.way_of(seen), expect);
            let witness = witness(&script);
            let keys: Vec<Arc<str>> = elements.iter().map(|at| self.net.key(*at)).collect();
            let explanation = format!(
                "{} go round and round{} without a user task or call activity between, until the command is refused with \
                 7009; put a task into the ring, or cut it",
                list(&keys),
                shown(&witness)
            );
            self.add(FindingKind::RingWithoutWait, keys, explanation, witness, script);
        }
    }

    fn overlaps(&mut self, explored: &Explored) {
        for (at, (taken, also, seen)) in &explored.overlaps {
            let conditions = format!("{} and {}", self.with_condition(*taken), self.with_condition(*also));
            let (key, taken, also) = (self.net.key(*at), self.net.key(*taken), self.net.key(*also));
            let expect = Expectation::Taken {
                flow: taken.clone(),
                also: also.clone(),
            };
            let script = self.script(&explored.way_of(seen), expect);
            let witness = witness(&script);
            let explanation = format!(
                "behind {key} the conditions of {conditions} both hold{}; {taken} is taken, only because it stands first in \
                 the model; make the conditions exclude each other",
                shown(&witness)
            );
            self.add(
                FindingKind::ConditionOverlap,
                vec![key, taken, also],
                explanation,
                witness,
                script,
            );
        }
    }

    fn doubled(&mut self, explored: &Explored) {
        for (element, at) in &explored.doubled {
            let key = self.net.key(*element);
            let script = self.script(&explored.way_to(Some(*at)), Expectation::Twice { element: key.clone() });
            let explanation = format!(
                "two branches stand at {key} at the same time, so it is done twice, and what follows it too; join the \
                 branches before it"
            );
            self.add(FindingKind::TwoTokens, vec![key], explanation, Vec::new(), script);
        }
    }

    fn escapes(&mut self, explored: &Explored) {
        for ((fork, element), seen) in &explored.escapes {
            let (fork, key) = (self.net.key(*fork), self.net.key(*element));
            let expect = Expectation::InsideBlock {
                element: key.clone(),
                fork: fork.clone(),
            };
            let script = self.script(&explored.way_of(seen), expect);
            let witness = witness(&script);
            let explanation = if fork == key {
                format!(
                    "a branch of {fork} comes back to {fork} without passing its join: branches open inside branches without \
                     end, and what stands behind the join is done once for each; lead the loop around the whole block"
                )
            } else {
                format!(
                    "a branch of {fork} comes to {key} without passing the join of {fork}: what stands behind the join is done \
                     by that branch alone, and again when the join goes on; lead the branch to the join, or to an end event \
                     of its own"
                )
            };
            self.add(FindingKind::BlockLeft, vec![key, fork], explanation, witness, script);
        }
    }

    /// States that have not ended and cannot go on. Gives the elements that are stuck.
    fn deadlocks(&mut self, explored: &Explored) -> BTreeSet<usize> {
        let is_exact = self.is_exact();
        let mut stuck = BTreeSet::new();
        for (at, state) in explored.states.iter().enumerate() {
            if !state.is_expanded || !state.next.is_empty() {
                continue;
            }
            let tasks: Vec<usize> = state.spot.tasks().into_iter().map(|(_, element)| element).collect();
            let joins = state.spot.waiting();
            stuck.extend(tasks.iter().chain(&joins).copied());
            let keys: Vec<Arc<str>> = tasks.iter().chain(&joins).map(|at| self.net.key(*at)).collect();
            match &state.fails {
                None => {
                    let script = self.script(&explored.way_to(Some(at)), Expectation::NothingToDo);
                    let explanation = format!(
                        "{} for a branch that never comes, and nothing is left to do: the instance can neither go on nor \
                         end; lead every branch of the fork to its join, through the joins of the forks inside it",
                        waits(&keys)
                    );
                    self.add(FindingKind::Deadlock, keys, explanation, Vec::new(), script);
                }
                Some(_) if !is_exact => {
                    let why = "no value was found with which one can go on from here; a condition cannot be decided";
                    self.report.unknown(keys, why);
                }
                Some((command, code)) => {
                    let mut way = explored.way_to(Some(at));
                    way.push(Seen {
                        from: Some(at),
                        command: command.clone(),
                    });
                    let script = self.script(&way, Expectation::Refused { code: code.number() });
                    let explanation = format!(
                        "with every value a commit of {} fails, for example with {}: the instance can neither go on nor end",
                        list(&keys),
                        code.number()
                    );
                    let witness = witness(&script);
                    self.add(FindingKind::Deadlock, keys, explanation, witness, script);
                }
            }
        }
        stuck
    }

    /// States from which one can go on for ever, and never end.
    fn livelocks(&mut self, explored: &Explored) {
        let can_complete = explored.can_complete();
        let can_get_stuck = explored.can_come_to(|state| state.is_expanded && state.next.is_empty());
        let lives = |at: usize| {
            let known = |of: &[bool]| of.get(at).copied().unwrap_or(true);
            !known(&can_complete) && !known(&can_get_stuck)
        };
        for at in (0..explored.states.len()).filter(|at| lives(*at)) {
            let mut elements = BTreeSet::new();
            for state in explored.reach(at).iter().filter_map(|at| explored.states.get(*at)) {
                elements.extend(state.spot.tasks().into_iter().map(|(_, element)| element));
            }
            let keys: Vec<Arc<str>> = elements.iter().map(|at| self.net.key(*at)).collect();
            if !self.is_exact() {
                let why = "no value was found with which the flow can end from here; a condition cannot be decided";
                self.report.unknown(keys, why);
                return;
            }
            let round = explored.round(at);
            if round.is_empty() {
                continue;
            }
            let way = explored.way_to(Some(at));
            let after = self.steps(&way, &mut BTreeMap::new()).len();
            let whole: Vec<Seen> = way.into_iter().chain(round).collect();
            let script = self.script(&whole, Expectation::BackWhereItWas { after });
            let explanation = format!(
                "once the flow has come to {}, it goes on there and can never end, whatever is committed; lead a way out",
                list(&keys)
            );
            self.add(FindingKind::Livelock, keys, explanation, Vec::new(), script);
            return;
        }
    }

    /// Elements that nothing comes to.
    fn dead(&mut self, explored: &Explored, stuck: &BTreeSet<usize>) {
        let is_dead = |at: usize| !explored.entered.contains_key(&at);
        let dead: BTreeSet<usize> = (0..self.net.len())
            .filter(|at| is_dead(*at) && self.net.element(*at).is_some())
            .collect();
        if dead.is_empty() || explored.started.is_empty() {
            return;
        }
        let keys = |net: &Net<'_>, at: &BTreeSet<usize>| at.iter().map(|at| net.key(*at)).collect::<Vec<_>>();
        if !self.is_exact() || explored.incomplete.is_some() || explored.is_cut || explored.asks_host {
            let keys = keys(&self.net, &dead);
            self.report
                .unknown(keys, "nothing was seen to come here, and not everything could be tried");
            return;
        }
        let mut told: BTreeSet<usize> = BTreeSet::new();
        for at in (0..self.net.len()).filter(|at| !is_dead(*at)) {
            for way in self.net.ways(at).to_vec() {
                let Some(flow) = way.flow.filter(|flow| dead.contains(flow)) else {
                    continue;
                };
                let mut here = BTreeSet::from([flow]);
                here.extend(self.dead_behind(way.target, &dead));
                told.extend(&here);
                if stuck.contains(&at) {
                    continue;
                }
                let expect = match way.target.filter(|target| dead.contains(target)) {
                    Some(target) => Expectation::NotReached {
                        element: self.net.key(target),
                    },
                    None => Expectation::NotTaken {
                        flow: self.net.key(flow),
                    },
                };
                let Some(seen) = explored.entered.get(&at) else {
                    continue;
                };
                let script = self.script(&explored.way_of(seen), expect);
                let (flows, nodes): (Vec<usize>, Vec<usize>) =
                    here.iter().partition(|at| *self.net.node(**at) == Node::Flow);
                let nodes: Vec<Arc<str>> = nodes.iter().map(|at| self.net.key(*at)).collect();
                let behind = if nodes.is_empty() {
                    String::new()
                } else {
                    format!(", and {} never come to", is_or_are(&nodes))
                };
                let key = self.net.key(flow);
                let explanation = format!("{key} is never taken{behind}: {}", self.why_dead(at, flow));
                let others = flows.iter().filter(|at| **at != flow).map(|at| self.net.key(*at));
                let elements = std::iter::once(key).chain(nodes).chain(others).collect();
                self.add(FindingKind::DeadElement, elements, explanation, Vec::new(), script);
            }
        }
        let rest: BTreeSet<usize> = dead.difference(&told).copied().collect();
        let nodes: BTreeSet<usize> = rest
            .iter()
            .copied()
            .filter(|at| *self.net.node(*at) != Node::Flow)
            .collect();
        let shown = if nodes.is_empty() { rest } else { nodes };
        if let Some(first) = shown.first() {
            let elements = keys(&self.net, &shown);
            let expect = Expectation::NotReached {
                element: self.net.key(*first),
            };
            let way = explored.completed_by.as_ref().map(|seen| explored.way_of(seen));
            let script = self.script(&way.unwrap_or_else(|| explored.way_to(Some(0))), expect);
            let explanation = format!(
                "no way leads from the start event to {}; connect it, or remove it",
                list(&elements)
            );
            self.add(FindingKind::DeadElement, elements, explanation, Vec::new(), script);
        }
    }

    fn dead_behind(&self, target: Option<usize>, dead: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = target.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(at) = open.pop() {
            if dead.contains(&at) && found.insert(at) {
                for way in self.net.ways(at) {
                    open.extend(way.target);
                    found.extend(way.flow.filter(|flow| dead.contains(flow)));
                }
            }
        }
        found
    }

    fn why_dead(&self, at: usize, flow: usize) -> String {
        let key = self.net.key(at);
        let has_condition = self.net.condition(flow).is_some();
        match self.net.node(at) {
            Node::Fork { inclusive: false } => format!("the join of {key} always goes on before this branch begins"),
            _ if !self.net.chooses(at) && self.net.open_ways(at).iter().any(|way| way.flow == Some(flow)) => {
                format!("{key} is never done: its join closes it, or it always fails")
            }
            _ if !self.net.chooses(at) => format!("{key} goes on by its first way"),
            Node::Fork { .. } if !has_condition => {
                format!("it has no condition, and {key} is an inclusive gateway, which has no default")
            }
            _ if has_condition => format!(
                "with every value that can come to {key}, its condition is false, or one that stands before it holds; mend \
                 the condition, or remove the way"
            ),
            _ => format!("with every value that can come to {key} a condition holds; remove the default"),
        }
    }

    /// Variables that branches bring, where the last to arrive wins.
    fn races(&mut self, explored: &Explored) {
        for watched in data::meetings(&self.net, explored) {
            self.race(&watched);
        }
    }

    fn race(&mut self, watched: &Watched) {
        let net = Net::new(self.model, self.param.profile, Some(watched));
        let machine = Machine::new(&net, Some(watched));
        let explored = explore(&machine, Some(watched), WATCHED_STATES.min(self.param.states));
        let join = net.key(watched.join);
        let Some(seen) = &explored.conflict else {
            if let Some(why) = &explored.incomplete {
                let why = format!(
                    "whether branches meet at {join} with different {} is not known: {why}",
                    watched.name
                );
                self.report.unknown(vec![join], why);
            }
            return;
        };
        let plain = std::mem::replace(&mut self.net, net);
        let expect = Expectation::Conflict {
            join: join.clone(),
            variable: watched.name.clone(),
        };
        let script = self.script(&explored.way_of(seen), expect);
        let tasks: Vec<Arc<str>> = watched.tasks.iter().map(|at| self.net.key(*at)).collect();
        let explanation = format!(
            "{} each bring `{}` in branches that run side by side, and {join} takes the value of the one that is done last; \
             use a variable of its own for each branch, or set dataConflict of {join} to branchOrder or fail",
            list(&tasks),
            watched.name
        );
        let witness = vec![InstanceData::new(&watched.name, Value::Null)];
        let witness = script_values(&script, &watched.name).unwrap_or(witness);
        self.add(
            FindingKind::DataRace,
            std::iter::once(join).chain(tasks).collect(),
            explanation,
            witness,
            script,
        );
        self.net = plain;
    }

    fn called_flows(&mut self) {
        for call in self.report.called.clone() {
            let Some(first) = call.report.findings.first() else {
                continue;
            };
            let element = (0..self.net.len()).find(|at| self.calls(*at).as_ref() == Some(&call.flow_module_id));
            let mut finding = first.clone();
            finding.kind = FindingKind::CalledFlow;
            finding.explanation = format!(
                "the flow {} that it runs has {} of its own, the first: {} ({}); the script starts that flow by itself",
                call.flow_module_id,
                if call.report.findings.len() == 1 {
                    "a finding"
                } else {
                    "findings"
                },
                first.explanation,
                first.kind
            );
            finding.elements = element.map(|at| self.net.key(at)).into_iter().collect();
            finding.script.of_called = Some(call.flow_module_id.clone());
            self.report.findings.push(finding);
        }
    }

    fn assume(&mut self, explored: &Explored) {
        let mut assumptions = vec![
            "a commit may bring any value of any variable, and so may the start; rollback, suspension and termination are \
             left out"
                .to_owned(),
        ];
        if !self.report.reads.is_empty() {
            assumptions.push(
                "variables that conditions read are there, and of a kind that they are compared with; null only where a \
                 condition names it"
                    .to_owned(),
            );
        }
        let hooked = |at: &usize| matches!(self.net.node(*at), Node::Exclusive { hooked: true });
        if (0..self.net.len()).any(|at| hooked(&at)) {
            assumptions.push("a hook is registered, and may answer any value of any variable".to_owned());
        }
        for at in 0..self.net.len() {
            if let Node::Call { .. } = self.net.node(at) {
                let known = self.calls(at).filter(|module| self.called.contains_key(module));
                if known.is_none() {
                    let key = self.net.key(at);
                    assumptions.push(format!(
                        "the flow that {key} calls ends, and may hand out any value of what {key} takes over"
                    ));
                }
            }
        }
        if (0..self.net.len()).any(|at| matches!(self.net.node(at), Node::Join { .. })) && explored.states.len() > 1 {
            assumptions.push(
                "a user task brings the variables that conditions right behind it read, and of those that branches share no \
                 others: models do not declare what tasks write"
                    .to_owned(),
            );
        }
        assumptions.append(&mut self.of_invariants);
        self.report.assumptions = assumptions;
    }

    /// Adds a finding that was confirmed.
    pub(super) fn push(
        &mut self,
        kind: FindingKind,
        elements: Vec<Arc<str>>,
        explanation: String,
        witness: Vec<InstanceData>,
        script: Script,
    ) {
        self.report.findings.push(Finding {
            kind,
            elements,
            explanation,
            witness,
            script,
        });
    }

    /// Adds a finding whose script does what it says when it is run; else what was found is not known for sure.
    fn add(
        &mut self,
        kind: FindingKind,
        elements: Vec<Arc<str>>,
        explanation: String,
        witness: Vec<InstanceData>,
        script: Script,
    ) {
        let of_kind = self
            .report
            .findings
            .iter()
            .filter(|finding| finding.kind == kind)
            .count();
        if of_kind >= MAX_OF_A_KIND || !self.told.insert((kind, elements.clone())) {
            return;
        }
        let mut called = Vec::new();
        for flow in &script.called {
            if let Ok(model) = parse::parse(&flow.flow_model, &ModelLimits::default()) {
                called.push((flow.name.clone(), model));
            }
        }
        match Run::new(self.model, &called, script.profile).confirm(&script) {
            Ok(()) => self.push(kind, elements, explanation, witness, script),
            Err(why) => {
                let why = format!(
                    "{explanation} [{kind}; a run of `{}` does not show it: {why}]",
                    script.words()
                );
                self.report.unknown(elements, why);
            }
        }
    }
}

/// ` for days = 3, status = "x"`; nothing where there are no values.
fn shown(variables: &[InstanceData]) -> String {
    let mut text = String::new();
    for (number, variable) in variables.iter().enumerate() {
        let before = if number == 0 { " for " } else { ", " };
        let _ = write!(text, "{before}{} = {}", variable.key, variable.value);
    }
    text
}

/// `a, b and c`.
fn list(keys: &[Arc<str>]) -> String {
    match keys {
        [] => "the flow".to_owned(),
        [one] => one.to_string(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn waits(keys: &[Arc<str>]) -> String {
    let verb = if keys.len() == 1 { "waits" } else { "wait" };
    format!("{} {verb}", list(keys))
}

fn is_or_are(keys: &[Arc<str>]) -> String {
    let verb = if keys.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", list(keys))
}
