//! Which way every edge counts and how far to the right every node stands. Knows no places within a layer.

use super::Graph;
use super::table::{Lists, Table};

/// What the layers are made of.
pub(super) struct Ranks {
    /// The rank of each node, 0 for the leftmost.
    pub(super) rank: Table<usize>,
    /// Whether an edge leads back: it closes a ring.
    pub(super) leads_back: Table<bool>,
    /// Whether an edge is on the longest way through, which is to be straight.
    pub(super) is_main: Table<bool>,
    /// The nodes as a walk meets them that follows the edges in their order.
    pub(super) met: Vec<usize>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Seen {
    #[default]
    Not,
    Open,
    Done,
}

/// Cuts the rings and ranks the nodes: each stands to the right of all that lead to it.
pub(super) fn ranks(graph: &Graph) -> Ranks {
    let count = graph.nodes.len();
    let mut leaving = Lists::empty(count);
    let mut is_entered = Table::filled(count, false);
    for (place, edge) in graph.edges.iter().enumerate() {
        leaving.add(edge.from, place);
        if edge.from != edge.to {
            is_entered.set(edge.to, true);
        }
    }
    let targets: Table<usize> = graph.edges.iter().map(|edge| edge.to).collect();
    let mut leads_back = Table::filled(graph.edges.len(), false);
    let mut seen = Table::filled(count, Seen::Not);
    let mut met = Vec::with_capacity(count);
    // Every node behind all that it leads to.
    let mut last_first = Vec::with_capacity(count);
    let roots = (0..count).filter(|node| !is_entered.at(*node)).chain(0..count);
    for root in roots {
        if seen.at(root) != Seen::Not {
            continue;
        }
        let mut path = vec![(root, 0)];
        seen.set(root, Seen::Open);
        met.push(root);
        // Every edge is looked at once.
        while let Some((node, next)) = path.last_mut() {
            let Some(edge) = leaving.of(*node).get(*next).copied() else {
                seen.set(*node, Seen::Done);
                last_first.push(*node);
                path.pop();
                continue;
            };
            *next += 1;
            let target = targets.at(edge);
            match seen.at(target) {
                Seen::Not => {
                    seen.set(target, Seen::Open);
                    met.push(target);
                    path.push((target, 0));
                }
                Seen::Open => leads_back.set(edge, true),
                Seen::Done => {}
            }
        }
    }
    let on = |node: usize| {
        let edges = leaving.of(node).iter().copied();
        edges
            .filter(|edge| !leads_back.at(*edge))
            .map(|edge| (edge, targets.at(edge)))
    };
    let mut rank = Table::filled(count, 0_usize);
    let mut is_behind = Table::filled(count, false);
    for node in last_first.iter().rev() {
        for (_, target) in on(*node) {
            rank.set(target, rank.at(target).max(rank.at(*node) + 1));
            is_behind.set(target, true);
        }
    }
    // What nothing leads to stands next to what it leads to.
    for node in last_first.iter().filter(|node| !is_behind.at(**node)) {
        if let Some(nearest) = on(*node).map(|(_, target)| rank.at(target)).min() {
            rank.set(*node, nearest.saturating_sub(1));
        }
    }
    let main = main_way(count, &last_first, on, met.first().copied());
    let mut is_main = Table::filled(graph.edges.len(), false);
    for edge in main {
        is_main.set(edge, true);
    }
    Ranks {
        rank,
        leads_back,
        is_main,
        met,
    }
}

/// The edges of the longest way from a node on; of several, that of the earlier edges.
fn main_way<I: Iterator<Item = (usize, usize)>>(
    count: usize,
    last_first: &[usize],
    on: impl Fn(usize) -> I,
    from: Option<usize>,
) -> Vec<usize> {
    let mut ahead = Table::filled(count, 0_usize);
    let mut way_on = Table::filled(count, None);
    for node in last_first {
        for (edge, target) in on(*node) {
            if ahead.at(target) + 1 > ahead.at(*node) {
                ahead.set(*node, ahead.at(target) + 1);
                way_on.set(*node, Some((edge, target)));
            }
        }
    }
    let mut way = Vec::new();
    let mut at = from;
    while let Some((edge, target)) = at.and_then(|node| way_on.at(node)) {
        way.push(edge);
        at = Some(target);
    }
    way
}
