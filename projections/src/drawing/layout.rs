//! Where the shapes of a picture stand and how the lines between them run: a layered layout from left to right, with long
//! pictures wrapped into rows. Knows boxes and edges, nothing of flows.
//!
//! The steps are those of Sugiyama, Tagawa and Toda: rings are cut and nodes put into layers (`rank`), edges that span
//! layers get a bend in each (`net`), the layers are ordered so that few lines cross (`order`), what follows each other
//! is put on one line where it can be (`align`), and the gaps between the layers get tracks for the lines (`route`).
//! Same input, same layout: there is no chance and no floating point in it.

mod align;
mod net;
mod order;
mod rank;
mod route;
mod table;

/// How much room something needs around the point on its line; in pixels, as everything here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// From the left to the right end, half of it on each side.
    pub(super) width: i64,
    /// From the middle to where lines are attached, left and right.
    pub(super) reach: i64,
    /// Above the line.
    pub(super) above: i64,
    /// Below the line.
    pub(super) below: i64,
}

/// A line from one node to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    /// The node it leaves, by its place.
    pub(super) from: usize,
    /// The node it leads to, by its place.
    pub(super) to: usize,
    /// The room that is kept free around a place on it.
    pub(super) label: Option<Extent>,
}

/// What is laid out.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// The nodes.
    pub(super) nodes: Vec<Extent>,
    /// The edges, in the order in which a node's edges should leave it from top to bottom.
    pub(super) edges: Vec<Edge>,
}

/// A place in the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Point {
    /// From the left.
    pub(super) x: i64,
    /// From the top.
    pub(super) y: i64,
}

/// How an edge runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    /// The corners it runs over, from the node it leaves to the one it leads to; two lines where it is interrupted.
    pub(super) lines: Vec<Vec<Point>>,
    /// The middle of its label, on the line.
    pub(super) label: Option<Point>,
    /// Where it is interrupted and where it goes on.
    pub(super) links: Vec<Point>,
}

/// Where everything is.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    /// The width of the whole.
    pub(super) width: i64,
    /// The height of the whole.
    pub(super) height: i64,
    /// The middle of each node, on its line.
    pub(super) nodes: Vec<Point>,
    /// How each edge runs.
    pub(super) routes: Vec<Route>,
}

/// Lays a graph out.
pub(super) fn lay_out(graph: &Graph) -> Layout {
    let ranks = rank::ranks(graph);
    let mut net = net::net(graph, &ranks);
    order::order(&mut net);
    let heights = align::heights(&net, &[]);
    let cuts = route::cuts(&net, &heights);
    // Each row for itself needs less room.
    let heights = if cuts.is_empty() {
        heights
    } else {
        align::heights(&net, &cuts)
    };
    route::routes(graph, &net, &heights, &cuts)
}

/// A count as a length.
fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
