//! Where a long picture is cut and goes on in the next row. Knows widths and heights, no places.

use std::ops::Range;

use super::super::align::bounds;
use super::super::length;
use super::super::net::{Net, Pair};
use super::super::table::Table;

/// No row is wrapped that is not wider.
const LEAST_WIDTH: i64 = 1_300;
/// Most rows.
const ROWS: i64 = 40;
/// Between two rows, roughly.
const BETWEEN: i64 = 60;
/// How much wider than high a picture should be, in tenths.
const SHAPE: i64 = 16;
/// Lines that may lead from one row to the next.
const LINES: usize = 6;
/// What one more line costs, compared with a pixel that the row is too long or too short.
const LINE_COST: i64 = 400;

/// A row of layers.
pub(super) struct Row {
    /// The layers.
    pub(super) layers: Range<usize>,
    /// How the picture goes on in the next row; `None` in the last.
    pub(super) cut: Option<Cut>,
    /// The lowest and the highest of what stands in it.
    pub(super) bounds: (i64, i64),
}

/// Where a row ends.
pub(super) struct Cut {
    /// The lines that lead on, from top to bottom.
    pub(super) pairs: Vec<Pair>,
}

/// Where a picture is cut into rows, so many that it is about as much wider than high as it should be: the last layer of
/// each but the last.
pub(super) fn ends(net: &Net, heights: &Table<i64>, half: &Table<i64>, gaps: &Table<i64>) -> Vec<usize> {
    let count = net.layers.count();
    let widths: Table<i64> = (0..count).map(|layer| 2 * half.at(layer) + gaps.at(layer)).collect();
    let all: i64 = (0..count).map(|layer| widths.at(layer)).sum();
    let is_turning = turning(net);
    let mut best: Option<(i64, Vec<usize>)> = None;
    for parts in (1..=ROWS).take_while(|parts| *parts == 1 || all > LEAST_WIDTH * parts) {
        let ends = parted(net, &widths, &is_turning, parts);
        let rows = rows(net, heights, &ends);
        let width = rows
            .iter()
            .map(|row| row.layers.clone().map(|layer| widths.at(layer)).sum::<i64>())
            .max();
        let width = width.unwrap_or(0);
        let height: i64 = rows.iter().map(|row| row.bounds.1 - row.bounds.0 + BETWEEN).sum();
        let wanted = height * SHAPE / 10;
        // In thousandths, the larger over the smaller.
        let off = (width.max(wanted) * 1000)
            .checked_div(width.min(wanted))
            .unwrap_or(i64::MAX);
        if best.as_ref().is_none_or(|(least, _)| off < *least) {
            best = Some((off, ends));
        }
    }
    best.map(|(_, ends)| ends).unwrap_or_default()
}

/// The last layer of each row but the last, where a picture is cut into about so many of about the same width.
fn parted(net: &Net, widths: &Table<i64>, is_turning: &Table<bool>, parts: i64) -> Vec<usize> {
    let count = net.layers.count();
    let mut ends = Vec::new();
    let mut from = 0;
    let mut left: i64 = (0..count).map(|layer| widths.at(layer)).sum();
    for parts in (2..=parts).rev() {
        let wanted = left / parts;
        let mut best: Option<(i64, usize, i64)> = None;
        let mut reached = 0;
        for layer in from..count {
            reached += widths.at(layer);
            let lines = net.pairs.of(layer).len();
            let may_end = !is_turning.at(layer) && (1..=LINES).contains(&lines) && layer > from;
            if may_end && reached * 2 > wanted {
                let cost = (reached - wanted).abs() + length(lines) * LINE_COST;
                if best.is_none_or(|(least, _, _)| cost < least) {
                    best = Some((cost, layer, reached));
                }
            }
            if best.is_some() && reached > 2 * wanted {
                break;
            }
        }
        let Some((_, layer, reached)) = best.filter(|(_, layer, _)| layer + 1 < count) else {
            break;
        };
        ends.push(layer);
        from = layer + 1;
        left -= reached;
    }
    ends
}

/// The rows that end with these layers, and the last one.
pub(super) fn rows(net: &Net, heights: &Table<i64>, ends: &[usize]) -> Vec<Row> {
    let count = net.layers.count();
    let mut rows = Vec::with_capacity(ends.len() + 1);
    let mut first = 0;
    for end in ends.iter().copied().map(Some).chain([None]) {
        let layers = first..end.map_or(count, |end| end + 1);
        first = layers.end;
        let standing = layers.clone().flat_map(|layer| net.layers.of(layer).iter().copied());
        rows.push(Row {
            bounds: bounds(net, heights, standing).unwrap_or_default(),
            cut: end.map(|end| cut(net, heights, end)),
            layers,
        });
    }
    rows
}

fn cut(net: &Net, heights: &Table<i64>, layer: usize) -> Cut {
    let mut pairs: Vec<Pair> = net.pairs.of(layer).iter().map(|(pair, _)| *pair).collect();
    pairs.sort_by_key(|pair| (heights.at(pair.left), heights.at(pair.right)));
    Cut { pairs }
}

/// The gaps in which lines turn; there is no end of a row there.
fn turning(net: &Net) -> Table<bool> {
    let mut is_turning = Table::filled(net.layers.count(), false);
    for (beside, turn) in &net.turns {
        let layer = net.vertices.at(turn.left).layer;
        is_turning.set(if *beside > layer { layer } else { *beside }, true);
    }
    is_turning
}
