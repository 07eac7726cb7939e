//! The order within each layer: few lines cross. Knows neighbours, no coordinates.

use super::length;
use super::net::Net;
use super::table::{Lists, Table};

/// Most sweeps over all layers.
const SWEEPS: usize = 24;
/// Sweeps without a gain after which no more is expected.
const PATIENCE: usize = 6;
/// Connections that all sweeps together look at, in large pictures.
const LOOKS: usize = 4_000_000;
/// Connections up to which neighbours in a layer are tried the other way round.
const TRIED: usize = 20_000;
/// Rounds of such trials after a sweep.
const ROUNDS: usize = 4;
/// The least sweeps, in the largest pictures.
const LEAST_SWEEPS: usize = 4;
/// Parts of a place that means of places are computed in.
const PARTS: i64 = 1_024;

/// The layers in an order, and what crosses there.
struct Ordering<'a> {
    layers: Lists<usize>,
    place: Table<usize>,
    /// Neighbours in the layer to the left, by vertex.
    left: &'a Lists<usize>,
    /// Neighbours in the layer to the right, by vertex.
    right: &'a Lists<usize>,
}

/// Orders the vertices of every layer.
pub(super) fn order(net: &mut Net) {
    let real = net.vertices.count();
    let mut layers = net.layers.clone();
    let mut left = Lists::empty(real + net.turns.len());
    let mut right = Lists::empty(real + net.turns.len());
    let mut connections = 0;
    let mut connect = |one: usize, other: usize| {
        right.add(one, other);
        left.add(other, one);
        connections += 1;
    };
    for pairs in net.pairs.iter() {
        for (pair, _) in pairs {
            connect(pair.left, pair.right);
        }
    }
    // A corner counts as a vertex, so that what it connects comes to stand near each other.
    for (number, (beside, turn)) in net.turns.iter().enumerate() {
        let corner = real + number;
        layers.add(*beside, corner);
        for end in [turn.left, turn.right] {
            if net.vertices.at(end).layer < *beside {
                connect(end, corner);
            } else {
                connect(corner, end);
            }
        }
    }
    let mut ordering = Ordering {
        layers,
        place: Table::filled(real + net.turns.len(), 0),
        left: &left,
        right: &right,
    };
    ordering.note_all();
    ordering.improve(connections);
    net.layers = Lists::empty(ordering.layers.count());
    for (layer, vertices) in ordering.layers.iter().enumerate() {
        for vertex in vertices.iter().filter(|vertex| **vertex < real) {
            net.layers.add(layer, *vertex);
        }
    }
}

impl Ordering<'_> {
    fn note_all(&mut self) {
        for layer in 0..self.layers.count() {
            self.note(layer);
        }
    }

    fn note(&mut self, layer: usize) {
        for (place, vertex) in self.layers.of(layer).iter().enumerate() {
            self.place.set(*vertex, place);
        }
    }

    fn improve(&mut self, connections: usize) {
        let sweeps = (LOOKS / connections.max(1)).clamp(LEAST_SWEEPS, SWEEPS);
        let mut best = self.layers.clone();
        let mut fewest = self.crossings();
        let mut since = 0;
        for sweep in 0..sweeps {
            if fewest == 0 || since >= PATIENCE {
                break;
            }
            let count = self.layers.count();
            if sweep % 2 == 0 {
                (1..count).for_each(|layer| self.sort(layer, self.left));
            } else {
                (0..count.saturating_sub(1))
                    .rev()
                    .for_each(|layer| self.sort(layer, self.right));
            }
            if connections <= TRIED {
                self.try_neighbours();
            }
            let crossings = self.crossings();
            since += 1;
            if crossings < fewest {
                fewest = crossings;
                best.clone_from(&self.layers);
                since = 0;
            }
        }
        self.layers = best;
        self.note_all();
    }

    /// Sorts a layer by the mean place of its vertices' neighbours on one side; those without neighbours stay in place.
    fn sort(&mut self, layer: usize, side: &Lists<usize>) {
        let vertices = self.layers.of(layer);
        let mean = |vertex: usize| {
            let neighbours = side.of(vertex);
            let sum: i64 = neighbours
                .iter()
                .map(|neighbour| length(self.place.at(*neighbour)))
                .sum();
            (sum * PARTS).checked_div(length(neighbours.len()))
        };
        let means: Vec<(usize, Option<i64>)> = vertices.iter().map(|vertex| (*vertex, mean(*vertex))).collect();
        let mut moved: Vec<(i64, usize)> = means
            .iter()
            .filter_map(|(vertex, mean)| Some(((*mean)?, *vertex)))
            .collect();
        moved.sort_by_key(|(mean, _)| *mean);
        let mut moved = moved.into_iter();
        let sorted: Vec<usize> = means
            .iter()
            .map(|(vertex, mean)| match mean {
                Some(_) => moved.next().map_or(*vertex, |(_, vertex)| vertex),
                None => *vertex,
            })
            .collect();
        if let Some(vertices) = self.layers.of_mut(layer) {
            *vertices = sorted;
        }
        self.note(layer);
    }

    /// Swaps neighbours in a layer as long as fewer lines cross then.
    fn try_neighbours(&mut self) {
        for _ in 0..ROUNDS {
            let mut has_gained = false;
            for layer in 0..self.layers.count() {
                for place in 1..self.layers.of(layer).len() {
                    let (Some(above), Some(below)) = (
                        self.layers.of(layer).get(place - 1).copied(),
                        self.layers.of(layer).get(place).copied(),
                    ) else {
                        continue;
                    };
                    if self.between(below, above) < self.between(above, below) {
                        has_gained = true;
                        if let Some(vertices) = self.layers.of_mut(layer) {
                            vertices.swap(place - 1, place);
                        }
                        self.place.set(below, place - 1);
                        self.place.set(above, place);
                    }
                }
            }
            if !has_gained {
                break;
            }
        }
    }

    /// How many lines of two vertices cross when the one is above the other.
    fn between(&self, above: usize, below: usize) -> usize {
        let side = |side: &Lists<usize>| {
            let places = |vertex| {
                let mut places: Vec<usize> = side.of(vertex).iter().map(|other| self.place.at(*other)).collect();
                places.sort_unstable();
                places
            };
            let (above, below) = (places(above), places(below));
            let mut passed = 0;
            let mut crossings = 0;
            for place in &above {
                while below.get(passed).is_some_and(|other| other < place) {
                    passed += 1;
                }
                crossings += passed;
            }
            crossings
        };
        side(self.left) + side(self.right)
    }

    /// How many lines cross.
    fn crossings(&self) -> usize {
        let layers = self.layers.iter().enumerate();
        layers
            .map(|(layer, vertices)| {
                let mut ends = Vec::new();
                for vertex in vertices {
                    let from = ends.len();
                    ends.extend(self.right.of(*vertex).iter().map(|other| self.place.at(*other)));
                    if let Some(ends) = ends.get_mut(from..) {
                        ends.sort_unstable();
                    }
                }
                inversions(&ends, self.layers.of(layer + 1).len())
            })
            .sum()
    }
}

/// How many pairs of a list are in the wrong order; its values are below `bound`.
fn inversions(list: &[usize], bound: usize) -> usize {
    // A Fenwick tree of how often each value was seen.
    let mut seen = Table::filled(bound + 1, 0_usize);
    let mut total = 0;
    for (before, value) in list.iter().enumerate() {
        let mut not_above = 0;
        let mut at = value + 1;
        while at > 0 {
            not_above += seen.at(at);
            at &= at - 1;
        }
        total += before - not_above;
        let mut at = value + 1;
        while at <= bound {
            seen.set(at, seen.at(at) + 1);
            at += at & at.wrapping_neg();
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversions_are_pairs_in_the_wrong_order() {
        let list = [3, 0, 2, 2, 1, 0];
        let pairs = (0..list.len()).flat_map(|right| (0..right).map(move |left| (left, right)));
        let counted = pairs.filter(|(left, right)| list[*left] > list[*right]).count();
        assert_eq!(inversions(&list, 4), counted);
        assert_eq!(inversions(&[], 0), 0);
    }
}
