//! The SVG of a picture. Knows shapes and places; colours are in the style sheet.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::figure::{self, BADGE, EVENT, Figure, Figures, GATEWAY, JUNCTION, LINE, Line, MISSING, Shape, TASK};
use super::layout::{Layout, Point, Route, lay_out};
use super::style::{class, root_class, sheet};
use super::text::{plain, shortened, width, xml};
use super::{Drawing, Look, MAX_ELEMENTS, MAX_PANELS, Overlay, Panel, Theme};

/// Around everything.
const MARGIN: i64 = 24;
/// Between a panel and what is around it.
const PANEL: i64 = 18;
/// The least width for texts and the legend.
const LEAST_WIDTH: i64 = 480;
/// The widest line of text.
const TEXT_WIDTH: i64 = 900;
/// The radius of the corners of lines and tasks.
const CORNER: i64 = 7;
/// The length of an arrow head.
const HEAD: i64 = 9;

/// A panel that is laid out.
struct LaidOut<'a> {
    panel: &'a Panel<'a>,
    figures: Figures<'a>,
    layout: Layout,
}

/// One thing the legend explains.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Explained {
    Shape(Shape),
    Default,
    Link,
    Look(Look),
}

/// Writes a picture.
pub(super) fn svg(drawing: &Drawing<'_>, theme: Theme) -> String {
    let mut room = MAX_ELEMENTS;
    let mut panels = Vec::new();
    for (number, panel) in drawing.panels.iter().enumerate() {
        let elements = panel.model.elements().len();
        if number > 0 && (number >= MAX_PANELS || elements > room) {
            continue;
        }
        room = room.saturating_sub(elements);
        let figures = figure::figures(panel);
        let layout = lay_out(&figures.graph);
        panels.push(LaidOut { panel, figures, layout });
    }
    let mut lines: Vec<String> = drawing
        .lines
        .iter()
        .map(|line| shortened(&plain(line), 12, TEXT_WIDTH))
        .collect();
    let left_out = drawing.panels.len() - panels.len();
    if left_out > 0 {
        lines.push(format!("{left_out} further sub flow instances are not drawn"));
    }
    let title = shortened(&plain(&drawing.title), 17, TEXT_WIDTH);
    let texts = lines.iter().map(|line| width(line, 12)).chain([width(&title, 17)]);
    let headings = panels.iter().filter_map(|laid_out| laid_out.panel.heading.as_deref());
    let headings = headings.map(|heading| width(&shortened(&plain(heading), 14, TEXT_WIDTH), 14) + 2 * PANEL);
    let inner = panels
        .iter()
        .map(|laid_out| laid_out.layout.width + if panels.len() > 1 { 2 * PANEL } else { 0 });
    let full = inner.chain(texts).chain(headings).max().unwrap_or(0).max(LEAST_WIDTH);

    let mut body = String::new();
    let mut y = MARGIN + 14;
    text(&mut body, "title", MARGIN, y, &title);
    for line in &lines {
        y += 20;
        text(&mut body, "line faint", MARGIN, y, line);
    }
    y += PANEL;
    for laid_out in &panels {
        y = put_panel(&mut body, laid_out, y, full, panels.len() > 1);
    }
    y = put_legend(&mut body, &panels, y, full);
    let (wide, high) = (full + 2 * MARGIN, y + MARGIN - PANEL);

    let mut svg = String::with_capacity(body.len() + 8192);
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"{}\" role=\"img\" width=\"{wide}\" height=\"{high}\" \
         viewBox=\"0 0 {wide} {high}\">",
        root_class(theme)
    );
    let _ = writeln!(svg, "<title>{}</title>", xml(&drawing.title));
    let _ = writeln!(svg, "<desc>{}</desc>", xml(&described(drawing)));
    let _ = writeln!(svg, "<style>\n{}</style>", sheet(theme));
    let _ = writeln!(svg, "<rect class=\"ground\" width=\"{wide}\" height=\"{high}\"/>");
    svg.push_str(&body);
    svg.push_str("</svg>\n");
    svg
}

/// The picture in words.
fn described(drawing: &Drawing<'_>) -> String {
    let mut parts = drawing.lines.clone();
    for panel in &drawing.panels {
        let nodes = figure::shapes(panel.model).count();
        let flows = panel.model.elements().len() - nodes;
        let heading = panel
            .heading
            .as_ref()
            .map(|heading| format!("{heading}: "))
            .unwrap_or_default();
        parts.push(format!("{heading}{nodes} nodes, {flows} sequence flows"));
    }
    parts.join(". ")
}

fn put_panel(body: &mut String, laid_out: &LaidOut<'_>, top: i64, full: i64, is_framed: bool) -> i64 {
    let layout = &laid_out.layout;
    let mut y = top;
    let x = if is_framed { MARGIN + PANEL } else { MARGIN };
    if is_framed {
        let heading = laid_out.panel.heading.as_deref().unwrap_or_default();
        let head = if heading.is_empty() { PANEL } else { PANEL + 22 };
        let high = layout.height + head + PANEL;
        let _ = writeln!(
            body,
            "<rect class=\"frame\" x=\"{MARGIN}\" y=\"{y}\" width=\"{full}\" height=\"{high}\" rx=\"6\"/>"
        );
        if !heading.is_empty() {
            text(body, "heading", x, y + 24, &shortened(&plain(heading), 14, TEXT_WIDTH));
        }
        y += head;
    }
    let _ = writeln!(body, "<g transform=\"translate({x} {y})\">");
    let figures = &laid_out.figures;
    let mut order: Vec<usize> = (0..figures.lines.len()).collect();
    // What stands out is drawn last, over what shares a track with it.
    order.sort_by_key(|place| {
        let mark = figures.lines.get(*place).and_then(|line| line.mark);
        std::cmp::Reverse(mark.map_or(Look::ALL.len(), |mark| weight(mark.look)))
    });
    let mut links = 0;
    for place in order {
        if let (Some(line), Some(route)) = (figures.lines.get(place), layout.routes.get(place)) {
            put_line(body, line, route, &mut links);
        }
    }
    for (figure, at) in figures.nodes.iter().zip(&layout.nodes) {
        put_figure(body, figure, *at);
    }
    body.push_str("</g>\n");
    y + layout.height + if is_framed { 2 * PANEL } else { PANEL }
}

/// How far a look of a sequence flow lies below the others.
fn weight(look: Look) -> usize {
    match look {
        Look::Active => 0,
        Look::Held => 1,
        Look::Stopped => 2,
        Look::Passed => 3,
        Look::Waiting => 4,
        Look::Failed => 5,
        Look::Closed => 6,
        Look::Undone => 7,
        Look::Missed => 8,
    }
}

fn put_line(body: &mut String, line: &Line<'_>, route: &Route, links: &mut usize) {
    let look = line
        .mark
        .map(|mark| format!(" {}", class(mark.look)))
        .unwrap_or_default();
    let _ = write!(
        body,
        "<g class=\"flow{look}\" data-key=\"{}\"><title>{}</title>",
        xml(line.key),
        xml(&line.title)
    );
    let mut way = String::new();
    for points in &route.lines {
        rounded(&mut way, points);
    }
    let _ = write!(body, "<path class=\"way\" d=\"{way}\"/>");
    if let Some(points) = route.lines.last() {
        put_head(body, points);
    }
    if let Some(at) = route.label {
        if line.is_default {
            let x = at.x - line.label_width / 2 - 5;
            let _ = write!(body, "<path d=\"M{} {}l7 -10\"/>", x - 4, at.y + 5);
        }
        let first = at.y - 5 - (count(line.label.len()) - 1) * LINE;
        for (number, label) in line.label.iter().enumerate() {
            let faint = if number > 0 { " faint" } else { "" };
            text(
                body,
                &format!("small{faint}"),
                at.x,
                first + count(number) * LINE,
                label,
            );
        }
    }
    if !route.links.is_empty() {
        *links += 1;
        for at in &route.links {
            let _ = write!(
                body,
                "<rect class=\"shape\" x=\"{}\" y=\"{}\" width=\"48\" height=\"20\" rx=\"10\"/>",
                at.x - 24,
                at.y - 10
            );
            text(body, "small", at.x, at.y + 4, &links.to_string());
        }
    }
    body.push_str("</g>\n");
}

/// A line over corners that are rounded.
fn rounded(way: &mut String, points: &[Point]) {
    let Some(first) = points.first() else { return };
    let _ = write!(way, "M{} {}", first.x, first.y);
    for (number, point) in points.iter().enumerate().skip(1) {
        let (Some(before), Some(after)) = (points.get(number - 1), points.get(number + 1)) else {
            // The head covers the last piece.
            let end = towards(
                *point,
                points.get(number.saturating_sub(1)).copied().unwrap_or(*point),
                3,
            );
            let _ = write!(way, "L{} {}", end.x, end.y);
            continue;
        };
        let radius = CORNER
            .min(distance(*before, *point) / 2)
            .min(distance(*point, *after) / 2);
        let (enter, leave) = (towards(*point, *before, radius), towards(*point, *after, radius));
        let _ = write!(
            way,
            "L{} {}Q{} {} {} {}",
            enter.x, enter.y, point.x, point.y, leave.x, leave.y
        );
    }
}

fn distance(one: Point, other: Point) -> i64 {
    (one.x - other.x).abs().max((one.y - other.y).abs())
}

/// The place so far from the one towards the other.
fn towards(from: Point, to: Point, far: i64) -> Point {
    let whole = distance(from, to).max(1);
    let far = far.min(whole);
    Point {
        x: from.x + (to.x - from.x) * far / whole,
        y: from.y + (to.y - from.y) * far / whole,
    }
}

fn put_head(body: &mut String, points: &[Point]) {
    let [.., before, end] = points else { return };
    let back = towards(*end, *before, HEAD);
    // Lines come to a node from the left, also slanted ones nearly.
    let _ = write!(
        body,
        "<path class=\"head\" d=\"M{} {}L{} {}L{} {}Z\"/>",
        end.x,
        end.y,
        back.x,
        back.y - 5,
        back.x,
        back.y + 5
    );
}

fn shape_class(shape: Shape) -> &'static str {
    match shape {
        Shape::StartEvent => "start-event",
        Shape::EndEvent => "end-event",
        Shape::UserTask => "user-task",
        Shape::ExclusiveGateway => "exclusive-gateway",
        Shape::ParallelGateway => "parallel-gateway",
        Shape::InclusiveGateway => "inclusive-gateway",
        Shape::CallActivity => "call-activity",
        Shape::PlugIn => "plug-in",
        Shape::Missing => "missing",
        Shape::Junction => "junction",
    }
}

fn put_figure(body: &mut String, figure: &Figure<'_>, at: Point) {
    let look = figure
        .mark
        .map(|mark| format!(" {}", class(mark.look)))
        .unwrap_or_default();
    let _ = write!(body, "<g class=\"node {}{look}\"", shape_class(figure.shape));
    if let Some(key) = figure.key {
        let _ = write!(body, " data-key=\"{}\"", xml(key));
    }
    let _ = write!(body, "><title>{}</title>", xml(&figure.title));
    put_shape(body, figure.shape, at);
    let (half, high) = figure.shape.half();
    let lines = count(figure.name.len());
    let (size, first) = if figure.shape.is_box() {
        ("name", at.y + 4 - (lines - 1) * 15 / 2)
    } else {
        ("small", at.y + high + LINE)
    };
    let step = if figure.shape.is_box() { 15 } else { LINE };
    for (number, line) in figure.name.iter().enumerate() {
        text(body, size, at.x, first + count(number) * step, line);
    }
    if let Some(mark) = figure.mark {
        let badges = figure::badges(mark);
        let all: i64 = badges.iter().map(|(_, text)| figure::badge_width(text) + 2).sum();
        // At the right end of a task, to the right of anything smaller.
        let mut x = if figure.shape.is_box() {
            at.x + half + 6 - all
        } else {
            at.x + 6
        };
        for (look, label) in badges {
            put_badge(body, look, &label, Point { x, y: at.y - high });
            x += figure::badge_width(&label) + 2;
        }
    }
    body.push_str("</g>\n");
}

/// The shape alone, around a point.
fn put_shape(body: &mut String, shape: Shape, Point { x, y }: Point) {
    let circle = |body: &mut String, class: &str, radius: i64| {
        let _ = write!(body, "<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\"/>");
    };
    let diamond = |body: &mut String| {
        let _ = write!(
            body,
            "<path class=\"shape\" d=\"M{} {y}L{x} {}L{} {y}L{x} {}Z\"/>",
            x - GATEWAY,
            y - GATEWAY,
            x + GATEWAY,
            y + GATEWAY
        );
    };
    let task = |body: &mut String| {
        let (half, high) = TASK;
        let _ = write!(
            body,
            "<rect class=\"shape\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"9\"/>",
            x - half,
            y - high,
            2 * half,
            2 * high
        );
    };
    match shape {
        Shape::StartEvent | Shape::EndEvent => circle(body, "shape", EVENT),
        Shape::UserTask | Shape::CallActivity | Shape::PlugIn => {
            task(body);
            let sign = Point {
                x: x - TASK.0 + 12,
                y: y - TASK.1 + 9,
            };
            put_task_sign(body, shape, sign);
        }
        Shape::ExclusiveGateway => {
            diamond(body);
            let _ = write!(
                body,
                "<path class=\"gateway-sign\" d=\"M{} {}l12 12m0 -12l-12 12\"/>",
                x - 6,
                y - 6
            );
        }
        Shape::ParallelGateway => {
            diamond(body);
            let _ = write!(body, "<path class=\"gateway-sign\" d=\"M{} {y}h18m-9 -9v18\"/>", x - 9);
        }
        Shape::InclusiveGateway => {
            diamond(body);
            circle(body, "gateway-sign", 9);
        }
        Shape::Missing => {
            circle(body, "shape", MISSING);
            text(body, "small", x, y + 4, "?");
        }
        Shape::Junction => circle(body, "dot", JUNCTION),
    }
}

/// What tells one kind of task from another, its head at a point.
fn put_task_sign(body: &mut String, shape: Shape, Point { x, y }: Point) {
    if shape == Shape::UserTask {
        // Head and shoulders.
        let _ = write!(
            body,
            "<circle class=\"sign\" cx=\"{x}\" cy=\"{y}\" r=\"3\"/><path class=\"sign\" d=\"M{} {}v-1a5 4 0 0 1 10 0v1z\"/>",
            x - 5,
            y + 9
        );
    } else if shape == Shape::PlugIn {
        // A wheel.
        let _ = write!(
            body,
            "<circle class=\"sign\" cx=\"{x}\" cy=\"{}\" r=\"3\"/>\
             <path class=\"sign\" d=\"M{x} {}v-2m0 12v-2m-6 -4h2m8 0h2m-10.5 -4.5l1.4 1.4m6.2 6.2l1.4 1.4m-9 0l1.4 -1.4m6.2 -6.2l1.4 -1.4\"/>",
            y + 3,
            y - 1
        );
    }
}

/// A pill with a sign, its left end at a point.
fn put_badge(body: &mut String, look: Look, label: &str, at: Point) {
    let _ = write!(
        body,
        "<g class=\"badge {}\"><rect class=\"pill\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"{BADGE}\"/>",
        class(look),
        at.x,
        at.y - BADGE,
        figure::badge_width(label),
        2 * BADGE
    );
    put_sign(body, look, Point { x: at.x + 9, y: at.y });
    if !label.is_empty() {
        let _ = write!(
            body,
            "<text class=\"key\" x=\"{}\" y=\"{}\">{}</text>",
            at.x + 18,
            at.y + 4,
            xml(label)
        );
    }
    body.push_str("</g>");
}

/// The sign of a look around a point.
fn put_sign(body: &mut String, look: Look, Point { x, y }: Point) {
    let sign = |body: &mut String, path: std::fmt::Arguments<'_>| {
        let _ = write!(body, "<path class=\"sign\" d=\"{path}\"/>");
    };
    match look {
        Look::Active => {
            let _ = write!(body, "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>");
        }
        Look::Held => sign(body, format_args!("M{} {}v8m4 -8v8", x - 2, y - 4)),
        Look::Stopped => {
            let _ = write!(
                body,
                "<rect class=\"dot\" x=\"{}\" y=\"{}\" width=\"8\" height=\"8\"/>",
                x - 4,
                y - 4
            );
        }
        // A clock.
        Look::Waiting => sign(
            body,
            format_args!("M{} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0m5 -3v3l2 2", x - 5),
        ),
        Look::Passed => sign(body, format_args!("M{} {y}l3 3l5 -6", x - 4)),
        Look::Failed => sign(body, format_args!("M{} {}l8 8m0 -8l-8 8", x - 4, y - 4)),
        // A circle with a bar.
        Look::Closed => sign(
            body,
            format_args!("M{} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0m2 3l6 -6", x - 5),
        ),
        // An arrow that turns back.
        Look::Undone => sign(
            body,
            format_args!("M{} {}h6a3 3 0 0 1 0 6h-4m-2 -6l3 -3m-3 3l3 3", x - 5, y - 2),
        ),
        Look::Missed => sign(body, format_args!("M{} {y}h8", x - 4)),
    }
}

fn put_legend(body: &mut String, panels: &[LaidOut<'_>], top: i64, full: i64) -> i64 {
    let mut explained = BTreeSet::new();
    let mut words: Vec<(Look, &str)> = Vec::new();
    for LaidOut { panel, figures, layout } in panels {
        let shapes = figures.nodes.iter().map(|figure| figure.shape);
        let needs_words = |shape: &Shape| !matches!(shape, Shape::StartEvent | Shape::EndEvent | Shape::Junction);
        explained.extend(shapes.filter(needs_words).map(Explained::Shape));
        explained.extend(
            figures
                .lines
                .iter()
                .any(|line| line.is_default)
                .then_some(Explained::Default),
        );
        explained.extend(
            layout
                .routes
                .iter()
                .any(|route| !route.links.is_empty())
                .then_some(Explained::Link),
        );
        let marks = figures
            .nodes
            .iter()
            .filter_map(|figure| figure.mark)
            .chain(figures.lines.iter().filter_map(|line| line.mark));
        let looks = marks.flat_map(|mark| mark.also.iter().map(|(look, _)| *look).chain([mark.look]));
        explained.extend(looks.map(Explained::Look));
        words.extend(legend_of(&panel.overlay));
    }
    let mut x = MARGIN;
    let mut y = top + 12;
    if explained.is_empty() {
        return top;
    }
    body.push_str("<g class=\"legend\">\n");
    for what in explained {
        let word = match what {
            Explained::Shape(shape) => shape_word(shape),
            Explained::Default => "default flow",
            Explained::Link => "goes on at the same number",
            Explained::Look(look) => words
                .iter()
                .find(|(other, _)| *other == look)
                .map_or(class(look), |(_, word)| word),
        };
        let word = shortened(&plain(word), 12, TEXT_WIDTH / 2);
        let wide = 44 + width(&word, 12) + 18;
        if x > MARGIN && x + wide > MARGIN + full {
            x = MARGIN;
            y += 30;
        }
        put_explained(body, what, Point { x, y });
        text(body, "line", x + 44, y + 4, &word);
        body.push('\n');
        x += wide;
    }
    body.push_str("</g>\n");
    y + 12 + PANEL
}

fn legend_of(overlay: &Overlay) -> impl Iterator<Item = (Look, &str)> {
    overlay.legend.iter().map(|(look, word)| (*look, word.as_str()))
}

fn shape_word(shape: Shape) -> &'static str {
    match shape {
        Shape::StartEvent => "start event",
        Shape::EndEvent => "end event",
        Shape::UserTask => "user task",
        Shape::ExclusiveGateway => "exclusive: one way",
        Shape::ParallelGateway => "parallel: all ways",
        Shape::InclusiveGateway => "inclusive: all ways whose condition holds",
        Shape::CallActivity => "call activity",
        Shape::PlugIn => "run by a plug-in",
        Shape::Missing => "not in the model",
        Shape::Junction => "leads to a sequence flow",
    }
}

/// The sample in the legend, 36 pixels wide and 22 high.
fn put_explained(body: &mut String, what: Explained, Point { x, y }: Point) {
    match what {
        Explained::Shape(shape) if shape.is_box() => {
            let _ = write!(
                body,
                "<g class=\"{}\"><rect class=\"shape\" x=\"{x}\" y=\"{}\" width=\"36\" height=\"22\" rx=\"6\"/>",
                shape_class(shape),
                y - 11
            );
            put_task_sign(body, shape, Point { x: x + 18, y: y - 4 });
            body.push_str("</g>");
        }
        Explained::Shape(shape) => {
            let class = shape_class(shape);
            let _ = write!(
                body,
                "<g class=\"{class}\" transform=\"translate({} {y}) scale(0.5)\">",
                x + 18
            );
            put_shape(body, shape, Point::default());
            body.push_str("</g>");
        }
        Explained::Default => {
            let _ = write!(
                body,
                "<g class=\"flow\"><path d=\"M{x} {y}h36\"/><path d=\"M{} {}l7 -10\"/></g>",
                x + 6,
                y + 5
            );
        }
        Explained::Link => {
            let _ = write!(
                body,
                "<g class=\"flow\"><rect class=\"shape\" x=\"{x}\" y=\"{}\" width=\"36\" height=\"18\" rx=\"9\"/></g>",
                y - 9
            );
        }
        Explained::Look(look) => {
            let _ = write!(
                body,
                "<g class=\"node {0}\"><rect class=\"shape\" x=\"{x}\" y=\"{1}\" width=\"36\" height=\"20\" rx=\"6\"/>",
                class(look),
                y - 10
            );
            put_sign(body, look, Point { x: x + 18, y });
            body.push_str("</g>");
        }
    }
}

fn text(body: &mut String, class: &str, x: i64, y: i64, content: &str) {
    let _ = write!(
        body,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
        xml(content)
    );
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
