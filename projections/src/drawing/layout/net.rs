//! The layers with all that stands in them: nodes, the bends of edges that span layers, labels. Knows no coordinates.

use std::cmp::Ordering;

use super::rank::Ranks;
use super::table::{Lists, Table};
use super::{Extent, Graph};

/// Most bends of all edges. Beyond, the longest edges are interrupted: they end at a link and go on at another.
const BENDS: usize = 60_000;
/// The room of a bend.
const BEND: Extent = Extent {
    width: 0,
    reach: 0,
    above: 5,
    below: 5,
};
/// The room of the end of an interrupted edge.
pub(super) const LINK: Extent = Extent {
    width: 48,
    reach: 24,
    above: 11,
    below: 11,
};

/// What stands in a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A node.
    Node,
    /// An edge that passes.
    #[default]
    Bend,
    /// An edge with its label.
    Label,
    /// The end of an interrupted edge.
    Link,
}

impl Kind {
    /// Whether an edge passes here, with a label or without.
    pub(super) fn is_passed(self) -> bool {
        matches!(self, Self::Bend | Self::Label)
    }
}

/// Something in a layer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vertex {
    /// The layer.
    pub(super) layer: usize,
    /// What it is.
    pub(super) kind: Kind,
    /// The room it needs.
    pub(super) extent: Extent,
}

/// Two vertices that an edge connects, in neighbouring layers or, where it turns, in the same one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair {
    /// The left one; where the edge turns, the one it comes from.
    pub(super) left: usize,
    /// The right one.
    pub(super) right: usize,
}

/// The whole: the first vertices are the nodes.
pub(super) struct Net {
    /// Everything that stands in a layer.
    pub(super) vertices: Table<Vertex>,
    /// The vertices of each layer, from top to bottom.
    pub(super) layers: Lists<usize>,
    /// The vertices that each edge passes, from its source to its target; two ways where it is interrupted.
    pub(super) ways: Vec<Vec<Vec<usize>>>,
    /// Vertices of one layer that an edge connects around a corner in the layer beside it: that layer, and both.
    pub(super) turns: Vec<(usize, Pair)>,
    /// Connections between neighbouring layers, by the layer on the left, with how much they should be straight.
    pub(super) pairs: Lists<(Pair, Straight)>,
}

/// How much a connection should be straight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Straight {
    /// A connection between two nodes.
    #[default]
    Normal,
    /// A piece of a long edge.
    Long,
    /// A piece of the main way.
    Main,
}

impl Net {
    /// The room between neighbours in a layer.
    pub(super) fn gap(&self, above: usize, below: usize) -> i64 {
        const NODES: i64 = 24;
        const LINES: i64 = 6;
        let is_passed = |vertex| self.vertices.at(vertex).kind.is_passed();
        match (is_passed(above), is_passed(below)) {
            (true, true) => LINES,
            (true, false) | (false, true) => NODES / 2,
            (false, false) => NODES,
        }
    }
}

struct Builder {
    vertices: Vec<Vertex>,
    layers: Lists<usize>,
}

impl Builder {
    fn put(&mut self, layer: usize, kind: Kind, extent: Extent) -> usize {
        let place = self.vertices.len();
        self.vertices.push(Vertex { layer, kind, extent });
        self.layers.add(layer, place);
        place
    }
}

/// Puts nodes, bends and labels into layers.
pub(super) fn net(graph: &Graph, ranks: &Ranks) -> Net {
    let layer_of = layers_of_ranks(graph, ranks);
    let layer = |node: usize| layer_of.at(ranks.rank.at(node));
    // One layer before the first and two behind the last, for turns and links.
    let count = layer_of.at(layer_of.count().saturating_sub(1)) + 4;
    let mut builder = Builder {
        vertices: Vec::with_capacity(graph.nodes.len()),
        layers: Lists::empty(count),
    };
    for (node, extent) in graph.nodes.iter().enumerate() {
        builder.vertices.push(Vertex {
            layer: layer(node),
            kind: Kind::Node,
            extent: *extent,
        });
    }
    for node in &ranks.met {
        builder.layers.add(layer(*node), *node);
    }
    let is_interrupted = interrupted(graph, ranks, layer);
    let mut ways = Vec::with_capacity(graph.edges.len());
    for (place, edge) in graph.edges.iter().enumerate() {
        let (from, to) = (layer(edge.from), layer(edge.to));
        if is_interrupted.at(place) {
            let mut way = vec![edge.from];
            if let Some(label) = edge.label {
                way.push(builder.put(from + 1, Kind::Label, label));
            }
            way.push(builder.put(from + way.len(), Kind::Link, LINK));
            let link = builder.put(to.saturating_sub(1), Kind::Link, LINK);
            ways.push(vec![way, vec![link, edge.to]]);
            continue;
        }
        let passed: Vec<usize> = if ranks.leads_back.at(place) {
            (to..=from).rev().collect()
        } else {
            (from + 1..to).collect()
        };
        let mut way = vec![edge.from];
        for (number, layer) in passed.into_iter().enumerate() {
            let label = edge.label.filter(|_| number == 0);
            way.push(match label {
                Some(label) => builder.put(layer, Kind::Label, label),
                None => builder.put(layer, Kind::Bend, BEND),
            });
        }
        way.push(edge.to);
        ways.push(vec![way]);
    }
    connected(builder, ways, ranks)
}

/// Lists what is connected, and where edges turn.
fn connected(builder: Builder, ways: Vec<Vec<Vec<usize>>>, ranks: &Ranks) -> Net {
    let vertices: Table<Vertex> = builder.vertices.into_iter().collect();
    let mut pairs = Lists::empty(builder.layers.count());
    let mut turns = Vec::new();
    for (edge, ways) in ways.iter().enumerate() {
        for way in ways {
            for (from, to) in way.iter().zip(way.iter().skip(1)) {
                let (one, other) = (vertices.at(*from), vertices.at(*to));
                let straight = if ranks.is_main.at(edge) {
                    Straight::Main
                } else if one.kind.is_passed() && other.kind.is_passed() {
                    Straight::Long
                } else {
                    Straight::Normal
                };
                let (left, right) = (*from, *to);
                match one.layer.cmp(&other.layer) {
                    Ordering::Equal => {
                        // It leaves a node to the right, and comes to one from the left.
                        let beside = if one.kind == Kind::Node {
                            one.layer + 1
                        } else {
                            one.layer.saturating_sub(1)
                        };
                        turns.push((beside, Pair { left, right }));
                    }
                    Ordering::Less => pairs.add(one.layer, (Pair { left, right }, straight)),
                    Ordering::Greater => {
                        let (left, right) = (right, left);
                        pairs.add(other.layer, (Pair { left, right }, straight));
                    }
                }
            }
        }
    }
    Net {
        vertices,
        layers: builder.layers,
        ways,
        turns,
        pairs,
    }
}

/// The layer of each rank: behind a rank that labelled edges leave stands a layer for the labels.
fn layers_of_ranks(graph: &Graph, ranks: &Ranks) -> Table<usize> {
    let highest = (0..graph.nodes.len())
        .map(|node| ranks.rank.at(node))
        .max()
        .unwrap_or(0);
    let mut is_labelled = Table::filled(highest + 1, false);
    for (place, edge) in graph.edges.iter().enumerate() {
        if edge.label.is_some() && !ranks.leads_back.at(place) {
            is_labelled.set(ranks.rank.at(edge.from), true);
        }
    }
    let mut layer = 0;
    let layers = (0..=highest).map(|rank| {
        layer += 1;
        let at = layer;
        if is_labelled.at(rank) {
            layer += 1;
        }
        at
    });
    layers.collect()
}

/// Which edges are interrupted: the longest, until the bends of the others are few enough.
fn interrupted(graph: &Graph, ranks: &Ranks, layer: impl Fn(usize) -> usize) -> Table<bool> {
    let mut spans: Vec<(usize, usize)> = graph
        .edges
        .iter()
        .enumerate()
        .map(|(place, edge)| {
            let span = layer(edge.to).abs_diff(layer(edge.from));
            let bends = if ranks.leads_back.at(place) {
                span + 1
            } else {
                span.saturating_sub(1)
            };
            (bends, place)
        })
        .collect();
    let mut bends: usize = spans.iter().map(|(bends, _)| bends).sum();
    let mut is_interrupted = Table::filled(graph.edges.len(), false);
    if bends <= BENDS {
        return is_interrupted;
    }
    spans.sort_unstable_by(|one, other| other.cmp(one));
    for (saved, place) in spans {
        if bends <= BENDS {
            break;
        }
        bends -= saved;
        is_interrupted.set(place, true);
    }
    is_interrupted
}
