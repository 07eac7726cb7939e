//! How the lines run between the layers, where the layers stand, and where a long picture goes on in the next row. Knows
//! order and heights, and chooses the rest.

mod channel;
mod row;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::net::{Kind, Net, Pair, Vertex};
use super::table::Table;
use super::{Graph, Layout, Point, Route, length};

use channel::{Track, Tracks};
use row::{Cut, Row};

/// Between two tracks.
const TRACK: i64 = 10;
/// Before the first track of a gap.
const BEFORE_TRACKS: i64 = 14;
/// Behind the last track of a gap; an arrow head finds room there.
const BEHIND_TRACKS: i64 = 18;
/// A gap in which all lines run straight.
const GAP: i64 = 26;
/// Above and below the lines that lead from one row to the next.
const BETWEEN_ROWS: i64 = 18;

/// Where everything comes to stand.
struct Placed<'a> {
    net: &'a Net,
    heights: &'a Table<i64>,
    rows: &'a [Row],
    /// Half the width of each layer.
    half: &'a Table<i64>,
    /// The layers in which no node stands.
    labels_only: Table<bool>,
    row_of: Table<usize>,
    /// The middle of each layer.
    x: Table<i64>,
    /// How far down each row is moved.
    down: Table<i64>,
    tracks: BTreeMap<Pair, Way>,
}

/// Where a line changes its height.
#[derive(Clone, Copy)]
enum Way {
    /// On this track.
    Track(i64),
    /// Between these two places, slanted.
    Slanted(i64, i64),
    /// Through the margins and between the rows.
    Around {
        /// The track in the right margin.
        right: i64,
        /// The track between the rows.
        between: i64,
        /// The track in the left margin.
        left: i64,
    },
}

/// Where a picture is cut into rows: the last layer of each but the last.
pub(super) fn cuts(net: &Net, heights: &Table<i64>) -> Vec<usize> {
    let (half, gaps) = widths(net, &channel::tracks(net, heights));
    row::ends(net, heights, &half, &gaps)
}

/// Chooses all coordinates.
pub(super) fn routes(graph: &Graph, net: &Net, heights: &Table<i64>, cuts: &[usize]) -> Layout {
    let tracks = channel::tracks(net, heights);
    let (half, gaps) = widths(net, &tracks);
    let rows = row::rows(net, heights, cuts);
    let labels_only = net.layers.iter().map(|vertices| {
        let is_node = |vertex: &usize| net.vertices.at(*vertex).kind == Kind::Node;
        !vertices.iter().any(is_node)
    });
    let mut placed = Placed {
        labels_only: labels_only.collect(),
        half: &half,
        net,
        heights,
        rows: &rows,
        row_of: Table::filled(net.layers.count(), 0),
        x: Table::filled(net.layers.count(), 0),
        down: Table::filled(rows.len(), 0),
        tracks: BTreeMap::new(),
    };
    let (width, height) = placed.place(&gaps, &tracks);
    Layout {
        width,
        height,
        nodes: (0..graph.nodes.len()).map(|node| placed.middle(node)).collect(),
        routes: net.ways.iter().map(|ways| placed.route(ways)).collect(),
    }
}

/// Half the width of each layer, and the width of the gap behind it.
fn widths(net: &Net, tracks: &Tracks) -> (Table<i64>, Table<i64>) {
    let half = net.layers.iter().map(|vertices| {
        let widths = vertices.iter().map(|vertex| net.vertices.at(*vertex).extent.width);
        widths.max().unwrap_or(0) / 2
    });
    let gaps = (0..net.layers.count()).map(|gap| {
        let is_at_an_end = net.layers.of(gap).is_empty() || net.layers.of(gap + 1).is_empty();
        match tracks.count(gap) {
            0 if is_at_an_end => 0,
            0 => GAP,
            count => BEFORE_TRACKS + (length(count) - 1) * TRACK + BEHIND_TRACKS,
        }
    });
    (half.collect(), gaps.collect())
}

impl Placed<'_> {
    /// Gives layers, rows and tracks their places; the size of the whole.
    fn place(&mut self, gaps: &Table<i64>, tracks: &Tracks) -> (i64, i64) {
        let margin = |cut: Option<&Cut>| cut.map_or(0, |cut| length(cut.pairs.len()) * TRACK + BEFORE_TRACKS);
        let cut_before = |number: usize| {
            number
                .checked_sub(1)
                .and_then(|before| self.rows.get(before)?.cut.as_ref())
        };
        let left = (0..self.rows.len())
            .map(|number| margin(cut_before(number)))
            .max()
            .unwrap_or(0);
        let (mut width, mut top) = (0, 0);
        let mut rights = Vec::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut x = left;
            for layer in row.layers.clone() {
                x += self.half.at(layer);
                self.x.set(layer, x);
                self.row_of.set(layer, number);
                x += self.half.at(layer);
                if layer + 1 == row.layers.end && row.cut.is_some() {
                    break;
                }
                for (pair, track) in tracks.of(layer) {
                    let way = match track {
                        Track::Column(column) => Way::Track(x + BEFORE_TRACKS + length(*column) * TRACK),
                        Track::Slanted => Way::Slanted(x + BEFORE_TRACKS / 2, x + gaps.at(layer) - BEHIND_TRACKS),
                    };
                    self.tracks.insert(*pair, way);
                }
                x += gaps.at(layer);
            }
            let (low, high) = row.bounds;
            self.down.set(number, top - low);
            let bottom = top + high - low;
            if let Some(cut) = &row.cut {
                let count = length(cut.pairs.len());
                let mut inside = count;
                for pair in &cut.pairs {
                    inside -= 1;
                    let way = Way::Around {
                        right: x + BEFORE_TRACKS + inside * TRACK,
                        between: bottom + BETWEEN_ROWS + inside * TRACK,
                        left: left - BEFORE_TRACKS - (count - 1 - inside) * TRACK,
                    };
                    self.tracks.insert(*pair, way);
                }
                top = bottom + 2 * BETWEEN_ROWS + count * TRACK;
            } else {
                top = bottom;
            }
            rights.push(x + margin(row.cut.as_ref()));
            width = width.max(x + margin(row.cut.as_ref()));
        }
        (width, top)
    }

    fn middle(&self, vertex: usize) -> Point {
        let Vertex { layer, kind, extent } = self.net.vertices.at(vertex);
        // A label stands near what its edge leaves.
        let aside = if kind == Kind::Label && self.labels_only.at(layer) {
            self.half.at(layer) - extent.width / 2
        } else {
            0
        };
        Point {
            x: self.x.at(layer) - aside,
            y: self.heights.at(vertex) + self.down.at(self.row_of.at(layer)),
        }
    }

    /// Where a line is attached to a vertex: it passes through what stands on lines.
    fn end(&self, vertex: usize, is_right: bool) -> Point {
        let middle = self.middle(vertex);
        let reach = match self.net.vertices.at(vertex) {
            vertex if vertex.kind.is_passed() => 0,
            vertex => vertex.extent.reach,
        };
        Point {
            x: if is_right { middle.x + reach } else { middle.x - reach },
            ..middle
        }
    }

    fn route(&self, ways: &[Vec<usize>]) -> Route {
        let vertices = || ways.iter().flatten().copied();
        let of_kind = |kind| vertices().filter(move |vertex| self.net.vertices.at(*vertex).kind == kind);
        Route {
            lines: ways.iter().map(|way| self.line(way)).collect(),
            label: of_kind(Kind::Label).next().map(|label| self.middle(label)),
            links: of_kind(Kind::Link).map(|link| self.middle(link)).collect(),
        }
    }

    fn line(&self, way: &[usize]) -> Vec<Point> {
        let mut line = Vec::new();
        for (from, to) in way.iter().zip(way.iter().skip(1)) {
            let (one, other) = (self.net.vertices.at(*from).layer, self.net.vertices.at(*to).layer);
            match one.cmp(&other) {
                Ordering::Less => line.extend(self.between(*from, *to, (true, false))),
                Ordering::Greater => line.extend(self.between(*to, *from, (true, false)).into_iter().rev()),
                Ordering::Equal => {
                    let is_right = self.net.vertices.at(*from).kind == Kind::Node;
                    line.extend(self.between(*from, *to, (is_right, is_right)));
                }
            }
        }
        straightened(line)
    }

    /// The corners between two vertices that leave and come to the given sides, the first of which is further left or the
    /// source.
    fn between(&self, left: usize, right: usize, sides: (bool, bool)) -> Vec<Point> {
        let (from, to) = (self.end(left, sides.0), self.end(right, sides.1));
        let at = |x, y| Point { x, y };
        let mut corners = vec![from];
        match self.tracks.get(&Pair { left, right }) {
            Some(Way::Track(x)) => corners.extend([at(*x, from.y), at(*x, to.y)]),
            Some(Way::Slanted(one, other)) => corners.extend([at(*one, from.y), at(*other, to.y)]),
            Some(Way::Around { right, between, left }) => corners.extend([
                at(*right, from.y),
                at(*right, *between),
                at(*left, *between),
                at(*left, to.y),
            ]),
            None => {}
        }
        corners.push(to);
        corners
    }
}

/// The line without corners at which it goes straight on.
fn straightened(line: Vec<Point>) -> Vec<Point> {
    let mut kept: Vec<Point> = Vec::with_capacity(line.len());
    for point in line {
        if kept.last() == Some(&point) {
            continue;
        }
        if let [.., before, last] = kept.as_slice() {
            let is_level = before.y == last.y && last.y == point.y;
            let is_upright = before.x == last.x && last.x == point.x;
            if is_level || is_upright {
                kept.pop();
            }
        }
        kept.push(point);
    }
    kept
}
