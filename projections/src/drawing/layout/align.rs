//! How far down everything stands: what follows each other is put on one line where that is possible without a crossing,
//! and the lines come to stand near what they are connected to. Knows the order in the layers, no widths.

use std::collections::BTreeMap;

use super::net::{Net, Straight};
use super::table::{Lists, Table};

/// Rounds in which all lines move towards what they are connected to.
const ROUNDS: usize = 32;
/// Rounds in which lines move one by one, each with those that are in its way.
const LAST_ROUNDS: usize = 200;
/// Lines that move together.
const GROUP: usize = 300;
/// Connections that all rounds of a kind together look at, in large pictures.
const LOOKS: usize = 6_000_000;
/// How much a connection of the main way pulls, compared with others.
const MAIN_PULL: i64 = 4;

/// The height of every vertex, from the top. What is connected over one of the `cuts`, given by the layer before it, does
/// not come to stand near each other: it is in two rows.
pub(super) fn heights(net: &Net, cuts: &[usize]) -> Table<i64> {
    let mut is_cut = Table::filled(net.layers.count(), false);
    for layer in cuts {
        is_cut.set(*layer, true);
    }
    let (block_of, count) = blocks(net, &is_cut);
    let blocks = Blocks::of(net, &is_cut, &block_of, count);
    let mut height = Table::filled(count, 0_i64);
    blocks.push_down(&mut height);
    let connections: usize = net.pairs.iter().map(Vec::len).sum();
    let rounds = (LOOKS / connections.max(1)).clamp(2, ROUNDS);
    for _ in 0..rounds {
        let wanted: Table<i64> = (0..count).map(|block| blocks.mean(block, &height)).collect();
        let (mut down, mut up) = (wanted.clone(), wanted);
        blocks.push_down(&mut down);
        blocks.push_up(&mut up);
        // Both keep their distances, so what lies between does.
        height = (0..count)
            .map(|block| (down.at(block) + up.at(block)).div_euclid(2))
            .collect();
    }
    blocks.settle(&mut height);
    (0..net.vertices.count())
        .map(|vertex| height.at(block_of.at(vertex)))
        .collect()
}

/// Puts every vertex into a block of those that share a line; the blocks never cross.
fn blocks(net: &Net, is_cut: &Table<bool>) -> (Table<usize>, usize) {
    let count = net.vertices.count();
    let mut place = Table::filled(count, 0_usize);
    for vertices in net.layers.iter() {
        for (at, vertex) in vertices.iter().enumerate() {
            place.set(*vertex, at);
        }
    }
    let mut lined_up = Table::filled(count, None);
    for (_, pairs) in net.pairs.iter().enumerate().filter(|(layer, _)| !is_cut.at(*layer)) {
        let mut leaving: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut coming: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (pair, _) in pairs {
            leaving.entry(pair.left).or_default().push(place.at(pair.right));
            coming.entry(pair.right).or_default().push(place.at(pair.left));
        }
        leaving
            .values_mut()
            .chain(coming.values_mut())
            .for_each(|places| places.sort_unstable());
        // How far a connection is from the middle one of its vertex.
        let aside = |places: Option<&Vec<usize>>, place: usize| {
            places.map_or(0, |places| {
                let at = places.binary_search(&place).unwrap_or_default();
                (2 * at + 1).abs_diff(places.len())
            })
        };
        let mut candidates: Vec<_> = pairs
            .iter()
            .map(|(pair, straight)| {
                let aside = aside(leaving.get(&pair.left), place.at(pair.right))
                    + aside(coming.get(&pair.right), place.at(pair.left));
                (
                    std::cmp::Reverse(*straight),
                    aside,
                    place.at(pair.left),
                    place.at(pair.right),
                    *pair,
                )
            })
            .collect();
        candidates.sort_unstable();
        // Left place to right place of those that are taken; they do not cross.
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, _, left, right, pair) in candidates {
            let fits_above = taken
                .range(..=left)
                .next_back()
                .is_none_or(|(at, end)| *at < left && *end < right);
            let fits_below = taken
                .range(left..)
                .next()
                .is_none_or(|(at, end)| *at > left && *end > right);
            if fits_above && fits_below {
                taken.insert(left, right);
                lined_up.set(pair.right, Some(pair.left));
            }
        }
    }
    let mut block_of = Table::filled(count, 0_usize);
    let mut blocks = 0;
    for vertices in net.layers.iter() {
        for vertex in vertices {
            let block = if let Some(left) = lined_up.at(*vertex) {
                block_of.at(left)
            } else {
                blocks += 1;
                blocks - 1
            };
            block_of.set(*vertex, block);
        }
    }
    (block_of, blocks)
}

/// The blocks with what keeps them apart and what pulls them together.
struct Blocks {
    /// The blocks above a block, with the distance they keep.
    above: Lists<(usize, i64)>,
    /// The blocks below a block, with the distance they keep.
    below: Lists<(usize, i64)>,
    /// The blocks connected to a block, with how much they pull.
    pulls: Lists<(usize, i64)>,
    /// All blocks, each behind those above it.
    order: Vec<usize>,
}

impl Blocks {
    fn of(net: &Net, is_cut: &Table<bool>, block_of: &Table<usize>, count: usize) -> Self {
        let mut above = Lists::empty(count);
        let mut below = Lists::empty(count);
        let mut waiting = Table::filled(count, 0_usize);
        for vertices in net.layers.iter() {
            for (one, other) in vertices.iter().zip(vertices.iter().skip(1)) {
                let gap =
                    net.vertices.at(*one).extent.below + net.gap(*one, *other) + net.vertices.at(*other).extent.above;
                let (one, other) = (block_of.at(*one), block_of.at(*other));
                below.add(one, (other, gap));
                above.add(other, (one, gap));
                waiting.set(other, waiting.at(other) + 1);
            }
        }
        let mut pulls = Lists::empty(count);
        let mut pull = |one: usize, other: usize, straight: Straight| {
            let (one, other) = (block_of.at(one), block_of.at(other));
            if one != other {
                let force = if straight == Straight::Main { MAIN_PULL } else { 1 };
                pulls.add(one, (other, force));
                pulls.add(other, (one, force));
            }
        };
        for (_, pairs) in net.pairs.iter().enumerate().filter(|(layer, _)| !is_cut.at(*layer)) {
            for (pair, straight) in pairs {
                pull(pair.left, pair.right, *straight);
            }
        }
        for (_, turn) in &net.turns {
            pull(turn.left, turn.right, Straight::Normal);
        }
        // Lines that run from left to right and do not cross are never above each other in a ring.
        let mut order: Vec<usize> = (0..count).filter(|block| waiting.at(*block) == 0).collect();
        let mut placed = 0;
        while let Some(block) = order.get(placed).copied() {
            placed += 1;
            for (other, _) in below.of(block) {
                let left = waiting.at(*other).saturating_sub(1);
                waiting.set(*other, left);
                if left == 0 {
                    order.push(*other);
                }
            }
        }
        Self {
            above,
            below,
            pulls,
            order,
        }
    }

    /// Moves blocks down until they keep their distance from those above.
    fn push_down(&self, height: &mut Table<i64>) {
        for block in &self.order {
            for (other, gap) in self.below.of(*block) {
                height.set(*other, height.at(*other).max(height.at(*block) + gap));
            }
        }
    }

    /// Moves blocks up until they keep their distance from those below.
    fn push_up(&self, height: &mut Table<i64>) {
        for block in self.order.iter().rev() {
            for (other, gap) in self.above.of(*block) {
                height.set(*other, height.at(*other).min(height.at(*block) - gap));
            }
        }
    }

    /// The mean height of what pulls a block.
    fn mean(&self, block: usize, height: &Table<i64>) -> i64 {
        let pulls = self.pulls.of(block);
        let sum: i64 = pulls.iter().map(|(other, force)| height.at(*other) * force).sum();
        let forces: i64 = pulls.iter().map(|(_, force)| force).sum();
        sum.checked_div_euclid(forces).unwrap_or_else(|| height.at(block))
    }

    /// Moves single blocks, each with those that are in its way, as long as that makes the sum of all pulls smaller.
    fn settle(&self, height: &mut Table<i64>) {
        let mut group = Group {
            members: Vec::new(),
            is_member: Table::filled(self.above.count(), false),
            looks: LOOKS,
        };
        for _ in 0..LAST_ROUNDS {
            let mut has_moved = false;
            for block in &self.order {
                for is_up in [true, false] {
                    has_moved |= group.shift(self, *block, is_up, height);
                }
            }
            if !has_moved || group.looks == 0 {
                break;
            }
        }
    }
}

/// Blocks that move together.
struct Group {
    members: Vec<usize>,
    is_member: Table<bool>,
    /// How many connections may still be looked at.
    looks: usize,
}

impl Group {
    /// Moves a block up or down with what is in its way, as far as it gains; whether it did.
    fn shift(&mut self, blocks: &Blocks, block: usize, is_up: bool, height: &mut Table<i64>) -> bool {
        let before = std::mem::take(&mut self.members);
        for member in before {
            self.is_member.set(member, false);
        }
        self.join(block);
        let beside = if is_up { &blocks.above } else { &blocks.below };
        let mut room = i64::MAX;
        let mut next = 0;
        while let Some(member) = self.members.get(next).copied() {
            next += 1;
            for (other, gap) in beside.of(member) {
                if height.at(*other).abs_diff(height.at(member)) <= gap.unsigned_abs() {
                    self.join(*other);
                }
            }
            self.looks = self.looks.saturating_sub(beside.of(member).len() + 1);
            if self.members.len() > GROUP || self.looks == 0 {
                return false;
            }
        }
        let mut gain = 0;
        for member in &self.members {
            let at = height.at(*member);
            let others = beside
                .of(*member)
                .iter()
                .filter(|(other, _)| !self.is_member.at(*other));
            room = others
                .map(|(other, gap)| (height.at(*other) - at).abs() - gap)
                .min()
                .unwrap_or(room)
                .min(room);
            let pulls = blocks.pulls.of(*member);
            self.looks = self.looks.saturating_sub(pulls.len());
            for (other, force) in pulls.iter().filter(|(other, _)| !self.is_member.at(*other)) {
                let far = if is_up {
                    at - height.at(*other)
                } else {
                    height.at(*other) - at
                };
                if far > 0 {
                    gain += force;
                    room = room.min(far);
                } else {
                    gain -= force;
                }
            }
        }
        if gain <= 0 || self.looks == 0 {
            return false;
        }
        for member in &self.members {
            let at = height.at(*member);
            height.set(*member, if is_up { at - room } else { at + room });
        }
        true
    }

    fn join(&mut self, block: usize) {
        if !self.is_member.at(block) {
            self.is_member.set(block, true);
            self.members.push(block);
        }
    }
}

/// The lowest and the highest of some heights with the room around them; `None` of none.
pub(super) fn bounds(net: &Net, heights: &Table<i64>, vertices: impl Iterator<Item = usize>) -> Option<(i64, i64)> {
    vertices
        .map(|vertex| {
            let (at, extent) = (heights.at(vertex), net.vertices.at(vertex).extent);
            (at - extent.above, at + extent.below)
        })
        .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
}
