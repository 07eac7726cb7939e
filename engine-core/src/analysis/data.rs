//! Who reads and who writes variables, as far as a model tells. Knows that nobody declares what a user task writes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::explore::Explored;
use super::net::{Names, Net, Node, Watched, fixed_out, handed_out};
use super::report::VariableRead;
use crate::expression::cells::CellVariable;
use crate::model::gateway::{BranchMerge, DataConflictRule, DataMerge};

/// Most meetings of variables that are looked into.
const MAX_WATCHED: usize = 20;

/// The nodes that a token passes before it waits, from the ways behind a node: no task, no join, no hook beyond.
fn passed(net: &Net<'_>, at: usize) -> BTreeSet<usize> {
    let waits = |at: usize| {
        matches!(
            net.node(at),
            Node::Task | Node::Call { .. } | Node::Join { .. } | Node::Exclusive { hooked: true } | Node::End
        )
    };
    let mut passed = net.reach(&net.open_ways(at), &waits);
    passed.retain(|at| !waits(*at));
    passed
}

/// The variables that conditions right behind a task read, which it is taken to bring.
fn brings(net: &Net<'_>, task: usize) -> BTreeSet<Arc<str>> {
    if let (Node::Call { .. }, Some(element)) = (net.node(task), net.element(task)) {
        return handed_out(element).into_iter().collect();
    }
    let choosing = std::iter::once(task)
        .chain(passed(net, task))
        .filter(|at| net.chooses(*at));
    let flows = choosing.flat_map(|at| net.ways(at)).filter_map(|way| way.flow);
    let read: Names = flows
        .filter_map(|flow| net.condition(flow))
        .flat_map(|condition| condition.reads.iter().copied())
        .collect();
    read.iter()
        .filter_map(|name| net.cells.variables.get(*name))
        .map(CellVariable::root)
        .collect()
}

/// Variables that tasks in branches of one fork bring, where who comes to the join last decides.
pub(super) fn meetings(net: &Net<'_>, explored: &Explored) -> Vec<Watched> {
    let mut found = Vec::new();
    for fork in (0..net.len()).filter(|at| matches!(net.node(*at), Node::Fork { .. })) {
        for join in net.joins_of(fork).iter().copied() {
            let Node::Join { rule, .. } = net.node(join) else {
                continue;
            };
            let decides_last = rule.branch_merge == BranchMerge::JoinAll
                && rule.data_merge == DataMerge::All
                && rule.data_conflict == DataConflictRule::Last;
            if decides_last {
                found.extend(meetings_at(net, explored, fork, join));
            }
        }
    }
    found.truncate(MAX_WATCHED);
    found
}

fn meetings_at(net: &Net<'_>, explored: &Explored, fork: usize, join: usize) -> Vec<Watched> {
    let stops = |at: usize| at == fork || at == join;
    let mut body = BTreeSet::new();
    let mut writers: BTreeMap<Arc<str>, BTreeMap<usize, BTreeSet<usize>>> = BTreeMap::new();
    for way in net.ways(fork) {
        let Some(flow) = way.flow else { continue };
        let inside = net.reach(std::slice::from_ref(way), &stops);
        for task in inside
            .iter()
            .filter(|at| matches!(net.node(**at), Node::Task | Node::Call { .. }))
        {
            for name in brings(net, *task) {
                writers.entry(name).or_default().entry(flow).or_default().insert(*task);
            }
        }
        body.extend(inside);
    }
    body.retain(|at| !stops(*at));
    let opened = explored.opened.get(&fork);
    let meet = |flows: &BTreeMap<usize, BTreeSet<usize>>| {
        let together = |ways: &&Vec<usize>| ways.iter().filter(|flow| flows.contains_key(flow)).count() > 1;
        opened.is_some_and(|opened| opened.iter().any(|ways| together(&ways)))
    };
    let meeting = writers
        .into_iter()
        .filter(|(name, flows)| meet(flows) && differ(net, name, flows));
    let watched = meeting.flat_map(|(name, flows)| {
        let inside: BTreeSet<usize> = flows.into_values().flatten().collect();
        let outside = (0..net.len()).filter(|at| !body.contains(at));
        // The variable may be there before the branches, or come into being in them.
        let writers = [inside.clone(), inside.iter().copied().chain(outside).collect()];
        writers.map(|writers| Watched {
            name: name.clone(),
            join,
            writers,
            tasks: inside.clone(),
        })
    });
    watched.collect()
}

/// Whether the writers can bring different values: not where all hand out one and the same fixed value.
fn differ(net: &Net<'_>, name: &Arc<str>, flows: &BTreeMap<usize, BTreeSet<usize>>) -> bool {
    let fixed = |task: &usize| {
        let element = net.element(*task)?;
        let fixed = fixed_out(element);
        fixed
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.to_string())
    };
    let values: BTreeSet<Option<String>> = flows.values().flatten().map(fixed).collect();
    values.len() > 1 || values.contains(&None)
}

/// The variables that conditions read, and what can have brought them.
pub(super) fn reads(net: &Net<'_>) -> Vec<VariableRead> {
    let mut found: BTreeMap<Arc<str>, (BTreeSet<usize>, BTreeSet<usize>)> = BTreeMap::new();
    let last_waits = last_waits(net);
    for at in (0..net.len()).filter(|at| net.chooses(*at)) {
        for flow in net.ways(at).iter().filter_map(|way| way.flow) {
            let Some(condition) = net.condition(flow) else { continue };
            for variable in condition.reads.iter().filter_map(|name| net.cells.variables.get(*name)) {
                let (by, from) = found.entry(variable.root()).or_default();
                by.insert(flow);
                from.extend(last_waits.get(&at).into_iter().flatten());
            }
        }
    }
    let keys = |at: &BTreeSet<usize>| at.iter().map(|at| net.key(*at)).collect();
    found
        .into_iter()
        .map(|(variable, (by, from))| {
            let calls = (0..net.len()).filter(|at| matches!(net.node(*at), Node::Call { .. }));
            let sets = |at: &usize| {
                net.element(*at)
                    .is_some_and(|element| handed_out(element).contains(&variable))
            };
            VariableRead {
                read_by: keys(&by),
                last_written_by: keys(&from),
                set_by: calls.filter(sets).map(|at| net.key(at)).collect(),
                variable,
            }
        })
        .collect()
}

/// For every node the tasks, starts and hooked gateways that come last before it.
fn last_waits(net: &Net<'_>) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut found: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let is_source = |at: usize| {
        matches!(
            net.node(at),
            Node::Start | Node::Task | Node::Call { .. } | Node::Exclusive { hooked: true }
        )
    };
    for source in (0..net.len()).filter(|at| is_source(*at)) {
        if !matches!(net.node(source), Node::Start | Node::Call { .. }) && net.chooses(source) {
            found.entry(source).or_default().insert(source);
        }
        for at in net.reach(&net.open_ways(source), &is_source) {
            found.entry(at).or_default().insert(source);
        }
    }
    found
}
