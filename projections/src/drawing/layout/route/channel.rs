//! The tracks of the gaps between layers, on which lines change their height. Knows heights, no widths.

use std::collections::BTreeMap;

use super::super::net::{Kind, Net, Pair};
use super::super::table::{Lists, Table};

/// Bundles of a gap up to which the best order of their tracks is looked for.
const WEIGHED: usize = 200;
/// How bad it is that two lines lie on each other, in crossings.
const OVERLAP: usize = 100;
/// The least distance of two bundles on one track.
const APART: i64 = 12;

/// Where a line changes its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    /// On this track of the gap, counted from the left.
    Column(usize),
    /// From the one side of the gap to the other, for on every track it would lie on another line.
    Slanted,
}

/// The tracks of every gap; a gap has the number of the layer to its left.
pub(super) struct Tracks {
    gaps: Lists<(Pair, Track)>,
    counts: Table<usize>,
}

impl Tracks {
    /// What changes its height in a gap, and where.
    pub(super) fn of(&self, gap: usize) -> &[(Pair, Track)] {
        self.gaps.of(gap)
    }

    /// How many tracks a gap has; one, if lines are slanted in it.
    pub(super) fn count(&self, gap: usize) -> usize {
        self.counts.at(gap)
    }
}

/// Lines of a gap that share a track: those that leave one node, or those that come to one.
#[derive(Default)]
struct Bundle {
    pairs: Vec<Pair>,
    /// The heights at which they are attached on the left.
    left: Vec<i64>,
    /// The heights at which they are attached on the right.
    right: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Shared {
    From(usize),
    To(usize),
}

/// Chooses the tracks of all gaps.
pub(super) fn tracks(net: &Net, heights: &Table<i64>) -> Tracks {
    let count = net.layers.count();
    let mut turns = Lists::empty(count);
    for (beside, turn) in &net.turns {
        let is_right = *beside > net.vertices.at(turn.left).layer;
        turns.add(if is_right { beside - 1 } else { *beside }, (*turn, is_right));
    }
    let mut gaps = Lists::empty(count);
    let mut counts = Table::filled(count, 0);
    for gap in 0..count {
        let mut bundles = bundles(net, heights, gap, turns.of(gap));
        bundles.retain(|bundle| bundle.bounds().is_some_and(|(low, high)| low < high));
        let ordered = ordered(bundles);
        let columns = columns(&ordered);
        let mut most = 0;
        for (bundle, track) in ordered.iter().zip(columns) {
            most = most.max(match track {
                Track::Column(column) => column + 1,
                Track::Slanted => 1,
            });
            bundle.pairs.iter().for_each(|pair| gaps.add(gap, (*pair, track)));
        }
        counts.set(gap, most);
    }
    Tracks { gaps, counts }
}

fn bundles(net: &Net, heights: &Table<i64>, gap: usize, turns: &[(Pair, bool)]) -> Vec<Bundle> {
    let pairs = || net.pairs.of(gap).iter().map(|(pair, _)| *pair);
    let mut leaving: BTreeMap<usize, usize> = BTreeMap::new();
    let mut coming: BTreeMap<usize, usize> = BTreeMap::new();
    for pair in pairs() {
        *leaving.entry(pair.left).or_default() += 1;
        *coming.entry(pair.right).or_default() += 1;
    }
    for (turn, is_right) in turns {
        let (ends, node) = if *is_right {
            (&mut leaving, turn.left)
        } else {
            (&mut coming, turn.right)
        };
        *ends.entry(node).or_default() += 1;
    }
    let is_node = |vertex: usize| net.vertices.at(vertex).kind == Kind::Node;
    let has_several = |ends: &BTreeMap<usize, usize>, vertex: usize| {
        is_node(vertex) && ends.get(&vertex).is_some_and(|count| *count > 1)
    };
    let mut bundles: BTreeMap<Shared, Bundle> = BTreeMap::new();
    for pair in pairs() {
        let shared = if !has_several(&leaving, pair.left) && has_several(&coming, pair.right) {
            Shared::To(pair.right)
        } else {
            Shared::From(pair.left)
        };
        let bundle = bundles.entry(shared).or_default();
        bundle.left.push(heights.at(pair.left));
        bundle.right.push(heights.at(pair.right));
        bundle.pairs.push(pair);
    }
    for (turn, is_right) in turns {
        let (shared, left) = if *is_right {
            (Shared::From(turn.left), true)
        } else {
            (Shared::To(turn.right), false)
        };
        let bundle = bundles.entry(shared).or_default();
        let ends = if left { &mut bundle.left } else { &mut bundle.right };
        ends.extend([heights.at(turn.left), heights.at(turn.right)]);
        bundle.pairs.push(*turn);
    }
    let sorted = bundles.into_values().map(|mut bundle| {
        bundle.left.sort_unstable();
        bundle.right.sort_unstable();
        bundle
    });
    sorted.collect()
}

impl Bundle {
    /// The lowest and the highest end.
    fn bounds(&self) -> Option<(i64, i64)> {
        let low = self.left.first().into_iter().chain(self.right.first()).min()?;
        let high = self.left.last().into_iter().chain(self.right.last()).max()?;
        Some((*low, *high))
    }

    /// How bad it is when this bundle's track is to the left of another's.
    fn left_of(&self, other: &Self) -> usize {
        let inside = |ends: &[i64], bounds: Option<(i64, i64)>| {
            bounds.map_or(0, |(low, high)| {
                ends.partition_point(|end| *end < high)
                    .saturating_sub(ends.partition_point(|end| *end <= low))
            })
        };
        let overlaps = if self.overlaps(other) { OVERLAP } else { 0 };
        inside(&other.left, self.bounds()) + inside(&self.right, other.bounds()) + overlaps
    }

    /// Whether lines lie on each other when this bundle's track is to the left of the other's.
    fn overlaps(&self, other: &Self) -> bool {
        let lie_on = |end: &&i64| other.left.binary_search(end).is_ok();
        self.right.iter().find(lie_on).is_some()
    }
}

/// The bundles in an order in which few lines cross.
fn ordered(mut bundles: Vec<Bundle>) -> Vec<Bundle> {
    // Of lines that lead down the lower ones first, of those that lead up the upper ones.
    bundles.sort_by_cached_key(|bundle| {
        let sum = |ends: &[i64]| ends.iter().sum::<i64>();
        let is_down = sum(&bundle.left) * super::length(bundle.right.len())
            <= sum(&bundle.right) * super::length(bundle.left.len());
        let low = bundle.bounds().map_or(0, |(low, _)| low);
        if is_down { (0, -low) } else { (1, low) }
    });
    if bundles.len() > WEIGHED {
        return bundles;
    }
    let mut ordered: Vec<Bundle> = Vec::with_capacity(bundles.len());
    for bundle in bundles {
        let mut cost: usize = ordered.iter().map(|other| bundle.left_of(other)).sum();
        let mut best = (cost, 0);
        for (place, other) in ordered.iter().enumerate() {
            cost = cost.saturating_sub(bundle.left_of(other)) + other.left_of(&bundle);
            if cost < best.0 {
                best = (cost, place + 1);
            }
        }
        ordered.insert(best.1, bundle);
    }
    ordered
}

/// The track of each bundle: as far to the left as those before it in their order let it.
fn columns(ordered: &[Bundle]) -> Vec<Track> {
    if ordered.len() > WEIGHED {
        return (0..ordered.len()).map(Track::Column).collect();
    }
    let mut columns: Vec<Track> = Vec::with_capacity(ordered.len());
    for (number, bundle) in ordered.iter().enumerate() {
        let (low, high) = bundle.bounds().unwrap_or_default();
        let before = || ordered.iter().take(number);
        let lies_on = before().any(|other| other.overlaps(bundle));
        if lies_on && bundle.pairs.len() == 1 {
            columns.push(Track::Slanted);
            continue;
        }
        let beside = before().zip(&columns).filter_map(|(other, track)| {
            let (other_low, other_high) = other.bounds()?;
            let is_beside = other_low < high + APART && low < other_high + APART;
            match track {
                Track::Column(column) if is_beside => Some(column + 1),
                Track::Column(_) | Track::Slanted => None,
            }
        });
        columns.push(Track::Column(beside.max().unwrap_or(0)));
    }
    columns
}
