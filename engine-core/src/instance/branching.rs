//! Forks and joins: how a flow divides into branches and comes together again (docs/adr/0012-forks-and-joins.md).

use std::sync::Arc;

use crate::event::{DataConflict, InstanceEvent, Merge, PlugInName};
use crate::id::NodeInstanceId;
use crate::instance::advance::{self, Failure, Halt, Next, Source, Walk};
use crate::instance::branch::{self, BranchIndex, Join};
use crate::instance::state::{FlowInstance, NodeStatus};
use crate::model::element::{Element, ElementType};
use crate::model::gateway::{BranchMerge, DataConflictRule, DataMerge, GatewayRole, JoinRule, RoleFault};
use crate::plug_in::{self, ArrivedBranch, JoinStanding, MergeStrategy};
use crate::result_code::ResultCode;
use crate::value::shortened;
use crate::variables::Snapshot;

/// Variables that a refusal because of conflicts names.
const SHOWN_CONFLICTS: usize = 5;

/// Enters a parallel or inclusive gateway.
pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> Result<NodeInstanceId, Halt> {
    match role(walk, element)? {
        GatewayRole::Join(rule) => arrive(walk, element, &rule, source),
        GatewayRole::Fork => {
            if let Some(node) = walk.enter_again(element, &source) {
                return Ok(node);
            }
            let visit = walk.visit(element, source);
            let node = visit.node.clone();
            walk.recorder.record(InstanceEvent::GatewayReached(visit));
            Ok(node)
        }
    }
}

/// Goes through a parallel or inclusive gateway that was just entered.
pub(super) fn pass(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    match role(walk, element)? {
        GatewayRole::Fork => fork(walk, element, node),
        GatewayRole::Join(rule) => Ok(try_to_join(walk, element, &rule, node)?.unwrap_or(Next::Rest)),
    }
}

/// What the end of a branch comes to.
pub(super) enum Ended {
    /// Other branches are still open.
    Branch,
    /// A join had waited only for this branch; the flow goes on behind it.
    Joined(NodeInstanceId, Next),
    /// It was the last: its flow has ended.
    Flow,
}

/// A branch has ended at an end event: nothing comes to its join any more. Neither does anything to the joins further
/// out, where that was the last open branch of its fork.
pub(super) fn end_branch(walk: &mut Walk<'_, '_>, branch: Option<BranchIndex>) -> Result<Ended, Halt> {
    let mut branch = branch;
    while let Some(inside) = branch {
        let state = walk.recorder.state();
        let Some(fork) = state.fork_of(inside) else { break };
        let around = fork.branch;
        let waiting = state.waiting_join(&fork.id, None);
        if let Some((join, key)) = waiting.map(|join| (join.id.clone(), join.key.clone())) {
            let element = walk.element(&key)?;
            return match role(walk, element)? {
                GatewayRole::Join(rule) => match try_to_join(walk, element, &rule, &join)? {
                    Some(next) => Ok(Ended::Joined(join, next)),
                    None => Ok(Ended::Branch),
                },
                GatewayRole::Fork => Ok(Ended::Branch),
            };
        }
        if state.open_branches(&fork.id, &state.standing()) > 0 {
            return Ok(Ended::Branch);
        }
        branch = around;
    }
    Ok(Ended::Flow)
}

fn role(walk: &Walk<'_, '_>, element: &Element) -> Result<GatewayRole, Halt> {
    match walk.deployment.role(element) {
        Some(Ok(role)) => Ok(role.clone()),
        Some(Err(RoleFault { code, message })) => {
            Err(Failure::new(*code, format!("{} {}: {message}", element.element_type, element.key)).into())
        }
        None => Err(Failure::new(
            ResultCode::UnsupportedElement,
            format!("{} {} cannot be executed", element.element_type, element.key),
        )
        .into()),
    }
}

/// Opens the branches.
fn fork(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    let mut evaluated = Vec::new();
    let flows = if element.element_type == ElementType::InclusiveGateway {
        let variables = walk.node(node)?.leave.variables.clone();
        let mut flows = Vec::new();
        for key in &element.outgoing {
            if let (_, Some(true)) = walk.evaluate(element, key, &variables, &mut evaluated)? {
                flows.push(key.clone());
            }
        }
        flows
    } else {
        element.outgoing.clone()
    };
    if flows.is_empty() {
        let detail = format!(
            "no condition holds at {}; an inclusive gateway has no default",
            element.key
        );
        return Err(Failure {
            code: ResultCode::NoOutgoingMatches,
            detail,
            evaluated,
        }
        .into());
    }
    walk.recorder.record(InstanceEvent::BranchesOpened {
        node: node.clone(),
        evaluated,
        flows: flows.clone(),
    });
    Ok(Next::Fork(flows))
}

/// Records that a branch has come to its join, which begins to wait with the first.
fn arrive(walk: &mut Walk<'_, '_>, element: &Element, rule: &JoinRule, source: Source) -> Result<NodeInstanceId, Halt> {
    let state = walk.recorder.state();
    let not_forked = || {
        let detail = format!(
            "a way leads to join {} that does not come from its fork {}",
            element.key, rule.fork
        );
        Halt::from(Failure::new(ResultCode::ForkJoinMismatch, detail))
    };
    let from = source.node.clone().ok_or_else(not_forked)?;
    let begins = source.branch.and_then(|number| state.opened_branch(&from, number));
    let branch = begins.or_else(|| state.node(&from).and_then(|node| node.branch));
    let fork = state.forks_around(branch).find(|fork| fork.key == rule.fork);
    let fork = fork.map(|fork| fork.id.clone()).ok_or_else(not_forked)?;
    let number = source.branch;
    let node = if let Some(join) = state.waiting_join(&fork, Some(&element.key)) {
        join.id.clone()
    } else {
        let failed = state.failed_successor(&from, &element.key).map(|node| node.id.clone());
        let mut visit = walk.visit(element, source);
        if let Some(failed) = failed {
            visit.node = failed;
        }
        let node = visit.node.clone();
        walk.recorder.record(InstanceEvent::JoinReached { visit, fork });
        node
    };
    walk.recorder.record(InstanceEvent::BranchArrived {
        node: node.clone(),
        source: from,
        branch: number,
    });
    Ok(node)
}

/// Lets a join fire where it can; the way on behind it.
fn try_to_join(
    walk: &mut Walk<'_, '_>,
    element: &Element,
    rule: &JoinRule,
    node: &NodeInstanceId,
) -> Result<Option<Next>, Halt> {
    let (join, base) = joined(walk, node)?;
    let state = walk.recorder.state();
    if rule.data_conflict == DataConflictRule::Fail {
        no_conflict(element, &conflicts(state, &join, &base, rule))?;
    }
    let open = state.open_branches(&join.fork, &state.standing());
    let strategy = strategy_of(walk, element, rule)?;
    let standing = strategy.map(|_| standing(walk, element, &join, &base, open));
    let asked = strategy.zip(standing.as_ref());
    let fires = match rule.branch_merge {
        BranchMerge::JoinAll => open == 0,
        BranchMerge::AnyOne => true,
        BranchMerge::Custom => open == 0 || asked.is_some_and(|(strategy, standing)| strategy.fires(standing)),
    };
    if !fires {
        return Ok(None);
    }
    let merge = match rule.data_merge {
        DataMerge::None => Merge::None,
        DataMerge::All if rule.data_conflict == DataConflictRule::BranchOrder => Merge::BranchOrder,
        DataMerge::All => Merge::Last,
        DataMerge::Custom => {
            let answer = asked.map_or(Ok(Vec::new()), |(strategy, standing)| strategy.merge(standing));
            let accepted = answer.and_then(|variables| plug_in::accepted(variables, None, walk.context.limits));
            let (variables, _, bytes) = accepted.map_err(|error| {
                let (name, version) = strategy.map_or(("", ""), |strategy| (strategy.name(), strategy.version()));
                let error = shortened(&error, plug_in::ERROR_CHARS);
                let detail = format!("merge strategy {name} {version} at {}: {error}", element.key);
                Halt::Refuse(ResultCode::BranchMergeFailed, detail)
            })?;
            walk.count_answer(bytes)?;
            Merge::Given(variables)
        }
    };
    let strategy = strategy.map(|strategy| PlugInName {
        name: strategy.name().into(),
        version: strategy.version().into(),
    });
    let is_single = join.arrivals.len() == 1 && matches!(merge, Merge::Last | Merge::BranchOrder);
    let changes_data = !is_single && !branch::merged_changes(&join, &base, &merge).is_empty();
    let state = walk.recorder.state();
    let conflicts = conflicts(state, &join, &base, rule);
    let (closed, terminated) = state.open_under(&join.fork, node);
    let data = if changes_data { Some(walk.data_id()) } else { None };
    walk.recorder.record(InstanceEvent::BranchesJoined {
        node: node.clone(),
        merge,
        data,
        early: rule.branch_merge == BranchMerge::AnyOne || open > 0,
        conflicts,
        closed,
        terminated,
        strategy,
    });
    advance::only_way(element).map(|flow| Some(Next::Along(flow)))
}

/// What a join joins, and the data of the fork.
fn joined(walk: &Walk<'_, '_>, node: &NodeInstanceId) -> Result<(Arc<Join>, Snapshot), Halt> {
    let not_found = || Halt::Refuse(ResultCode::SystemError, format!("join {node} joins no fork"));
    let node = walk.node(node)?;
    debug_assert_eq!(node.status, NodeStatus::Waiting, "only a join that waits can fire");
    let join = node.join.clone().ok_or_else(not_found)?;
    let base = walk.node(&join.fork)?.leave.clone();
    Ok((join, base))
}

/// The variables on which the arrived branches differ, where their data is brought together by the engine.
fn conflicts(state: &FlowInstance, join: &Join, base: &Snapshot, rule: &JoinRule) -> Vec<DataConflict> {
    match rule.data_merge {
        DataMerge::All => {
            let in_branch_order = rule.data_conflict == DataConflictRule::BranchOrder;
            state.conflicts(join, &base.variables, in_branch_order)
        }
        DataMerge::None | DataMerge::Custom => Vec::new(),
    }
}

fn no_conflict(element: &Element, conflicts: &[DataConflict]) -> Result<(), Halt> {
    if conflicts.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = conflicts
        .iter()
        .take(SHOWN_CONFLICTS)
        .map(|conflict| format!("{} ({})", conflict.key, conflict.branches.join(", ")))
        .collect();
    let detail = format!(
        "branches that meet at {} changed variables to different values: {}",
        element.key,
        keys.join(", ")
    );
    Err(Halt::Refuse(ResultCode::BranchMergeFailed, detail))
}

/// The host's strategy, where the model asks for one. Without it nothing is recorded: that this engine lacks it is no
/// fact about the instance.
fn strategy_of<'a>(
    walk: &Walk<'a, '_>,
    element: &Element,
    rule: &JoinRule,
) -> Result<Option<&'a dyn MergeStrategy>, Halt> {
    let code = match (rule.branch_merge, rule.data_merge) {
        (BranchMerge::Custom, _) => ResultCode::BranchMergeUnsupported,
        (_, DataMerge::Custom) => ResultCode::DataMergeUnsupported,
        _ => return Ok(None),
    };
    let name = rule.strategy.as_deref();
    let strategy = walk.context.plug_ins.merge_strategy(name).ok_or_else(|| {
        let key = &element.key;
        let detail = match name {
            Some(name) => format!("{key} asks for merge strategy {name}, with which the engine was not built"),
            None => format!("{key} names no mergeStrategy, and the engine was not built with exactly one"),
        };
        Halt::Refuse(code, detail)
    })?;
    Ok(Some(strategy))
}

fn standing(walk: &Walk<'_, '_>, element: &Element, join: &Join, base: &Snapshot, open: usize) -> JoinStanding {
    let state = walk.recorder.state();
    let arrived = join.arrivals.iter().map(|arrival| ArrivedBranch {
        flow: state
            .branch(arrival.branch)
            .map_or_else(|| "".into(), |branch| branch.flow.clone()),
        changes: arrival.data.variables.changes_from(&base.variables),
        variables: arrival.data.variables.clone(),
    });
    JoinStanding {
        element: element.clone(),
        fork_variables: base.variables.clone(),
        arrived: arrived.collect(),
        open,
    }
}
