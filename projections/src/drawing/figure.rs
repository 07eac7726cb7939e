//! What a panel shows: a shape for every node and a line for every sequence flow of a model, with their texts and the
//! room they need. Knows the model and the marks, no places and no colours.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger_engine_core::model::element::{Element, ElementType};
use flowledger_engine_core::model::flow_model::FlowModel;

use super::layout::{Edge, Extent, Graph};
use super::text::{plain, shortened, width, wrapped};
use super::{Mark, Panel};

/// The size of names in tasks.
pub(super) const NAME: i64 = 12;
/// The size of other texts.
pub(super) const SMALL: i64 = 11;
/// From one line of text to the next.
pub(super) const LINE: i64 = 14;
/// Half the width and half the height of a task.
pub(super) const TASK: (i64, i64) = (68, 31);
/// Half the diagonal of a gateway.
pub(super) const GATEWAY: i64 = 23;
/// The radius of an event.
pub(super) const EVENT: i64 = 16;
/// The radius of what stands for something that the model does not have.
pub(super) const MISSING: i64 = 11;
/// The radius of the place at which one sequence flow leads to another.
pub(super) const JUNCTION: i64 = 4;
/// How far marks stand out above a shape.
pub(super) const BADGE: i64 = 9;
/// The widest name beside a shape, and the widest label.
const NAME_WIDTH: i64 = 112;
const LABEL_WIDTH: i64 = 158;

/// What a node looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    StartEvent,
    EndEvent,
    UserTask,
    ExclusiveGateway,
    ParallelGateway,
    InclusiveGateway,
    CallActivity,
    /// An element of a type that a plug-in runs.
    PlugIn,
    /// A sequence flow begins or ends at something that is not there.
    Missing,
    /// A sequence flow leads to another.
    Junction,
}

impl Shape {
    fn of(element_type: ElementType) -> Option<Self> {
        match element_type {
            ElementType::SequenceFlow => None,
            ElementType::StartEvent => Some(Self::StartEvent),
            ElementType::EndEvent => Some(Self::EndEvent),
            ElementType::UserTask => Some(Self::UserTask),
            ElementType::ExclusiveGateway => Some(Self::ExclusiveGateway),
            ElementType::CallActivity => Some(Self::CallActivity),
            ElementType::ParallelGateway => Some(Self::ParallelGateway),
            ElementType::InclusiveGateway => Some(Self::InclusiveGateway),
            ElementType::Unknown(_) => Some(Self::PlugIn),
        }
    }

    /// Half the width and half the height.
    pub(super) fn half(self) -> (i64, i64) {
        match self {
            Self::UserTask | Self::CallActivity | Self::PlugIn => TASK,
            Self::ExclusiveGateway | Self::ParallelGateway | Self::InclusiveGateway => (GATEWAY, GATEWAY),
            Self::StartEvent | Self::EndEvent => (EVENT, EVENT),
            Self::Missing => (MISSING, MISSING),
            Self::Junction => (JUNCTION, JUNCTION),
        }
    }

    /// Whether its name stands in it.
    pub(super) fn is_box(self) -> bool {
        self.half() == TASK
    }
}

/// A node of the picture.
pub(super) struct Figure<'a> {
    pub(super) shape: Shape,
    /// The key of the element; `None` for what is no element.
    pub(super) key: Option<&'a str>,
    /// Its name, in lines.
    pub(super) name: Vec<String>,
    /// Its name as it is.
    pub(super) whole: &'a str,
    /// What a viewer tells of it.
    pub(super) title: String,
    pub(super) mark: Option<&'a Mark>,
}

/// A sequence flow of the picture.
pub(super) struct Line<'a> {
    pub(super) key: &'a str,
    /// Its label, in lines.
    pub(super) label: Vec<String>,
    pub(super) label_width: i64,
    pub(super) is_default: bool,
    /// What a viewer tells of it.
    pub(super) title: String,
    pub(super) mark: Option<&'a Mark>,
}

/// A panel with its nodes and sequence flows, the latter in the order of the graph's edges.
pub(super) struct Figures<'a> {
    pub(super) nodes: Vec<Figure<'a>>,
    pub(super) lines: Vec<Line<'a>>,
    pub(super) graph: Graph,
}

/// What a panel shows.
pub(super) fn figures<'a>(panel: &'a Panel<'_>) -> Figures<'a> {
    let model = panel.model;
    let mut found = Figures {
        nodes: Vec::new(),
        lines: Vec::new(),
        graph: Graph::default(),
    };
    // The figure of each element that is a node, and the first node that lists each sequence flow.
    let mut figure_of = BTreeMap::new();
    let mut listed_by: BTreeMap<&str, usize> = BTreeMap::new();
    let mut listed = Vec::new();
    for (place, element) in model.elements().iter().enumerate() {
        let Some(shape) = Shape::of(element.element_type) else {
            continue;
        };
        let figure = found.put(node(element, shape, panel));
        figure_of.insert(place, figure);
        for key in &element.outgoing {
            if let Some(flow) = model.index_of(key)
                && !listed_by.contains_key(&**key)
            {
                listed_by.insert(key, figure);
                listed.push(flow);
            }
        }
    }
    let is_flow = |element: &Element| element.element_type == ElementType::SequenceFlow;
    let mut drawn = BTreeSet::new();
    let others = model
        .elements()
        .iter()
        .enumerate()
        .filter(|(_, element)| is_flow(element))
        .map(|(place, _)| place);
    let mut junctions = BTreeMap::new();
    for place in listed.into_iter().chain(others) {
        let Some(element) = model.elements().get(place).filter(|element| is_flow(element)) else {
            continue;
        };
        if !drawn.insert(place) {
            continue;
        }
        let end = |keys: &[Arc<str>]| keys.first().and_then(|key| model.index_of(key));
        let source = end(&element.incoming);
        let lists = |source: &usize| {
            model
                .elements()
                .get(*source)
                .is_some_and(|source| !is_flow(source) && source.outgoing.contains(&element.key))
        };
        let from = source
            .filter(lists)
            .and_then(|source| figure_of.get(&source).copied())
            .or_else(|| listed_by.get(&*element.key).copied())
            .or_else(|| source.and_then(|source| figure_of.get(&source).copied()));
        let from = match (from, source) {
            (Some(figure), _) => figure,
            // It continues another sequence flow.
            (None, Some(_)) => found.junction(&mut junctions, place),
            (None, None) => found.missing(element.incoming.first()),
        };
        let to = match end(&element.outgoing) {
            Some(target) => match figure_of.get(&target) {
                Some(figure) => *figure,
                None => found.junction(&mut junctions, target),
            },
            None => found.missing(element.outgoing.first()),
        };
        found.connect(sequence_flow(element, panel), from, to);
    }
    found.separate_twins();
    found
}

impl<'a> Figures<'a> {
    fn put(&mut self, figure: Figure<'a>) -> usize {
        let place = self.nodes.len();
        self.graph.nodes.push(extent(&figure));
        self.nodes.push(figure);
        place
    }

    fn junction(&mut self, junctions: &mut BTreeMap<usize, usize>, flow: usize) -> usize {
        *junctions.entry(flow).or_insert_with(|| {
            self.put(Figure {
                shape: Shape::Junction,
                key: None,
                name: Vec::new(),
                whole: "",
                title: "a sequence flow leads to another".to_owned(),
                mark: None,
            })
        })
    }

    fn missing(&mut self, key: Option<&'a Arc<str>>) -> usize {
        let title = key.map_or_else(
            || "the model names nothing here".to_owned(),
            |key| format!("no element has the key {key}"),
        );
        self.put(Figure {
            shape: Shape::Missing,
            key: None,
            name: key.map(|key| wrapped(key, SMALL, NAME_WIDTH, 1)).unwrap_or_default(),
            whole: key.map_or("", |key| key),
            title,
            mark: None,
        })
    }

    fn connect(&mut self, line: Line<'a>, from: usize, to: usize) {
        let needs_room = line.is_default || !line.label.is_empty();
        let label = needs_room.then(|| label_extent(&line));
        self.graph.edges.push(Edge { from, to, label });
        self.lines.push(line);
    }

    /// Sequence flows between the same two nodes would lie on each other: all but the first get room of their own.
    fn separate_twins(&mut self) {
        let mut seen = BTreeSet::new();
        for edge in &mut self.graph.edges {
            let is_twin = !seen.insert((edge.from, edge.to));
            if is_twin && edge.label.is_none() {
                edge.label = Some(Extent {
                    width: 12,
                    reach: 0,
                    above: 6,
                    below: 6,
                });
            }
        }
    }
}

fn node<'a>(element: &'a Element, shape: Shape, panel: &'a Panel<'_>) -> Figure<'a> {
    let mark = panel.overlay.marks.get(&element.key);
    // A task without a name is told from others by its key.
    let is_nameless = shape.is_box() && element.name().trim().is_empty();
    let whole = if is_nameless { &*element.key } else { element.name() };
    let name = if shape.is_box() {
        wrapped(whole, NAME, 2 * TASK.0 - 14, 3)
    } else {
        wrapped(whole, SMALL, NAME_WIDTH, 3)
    };
    Figure {
        shape,
        key: Some(&element.key),
        name,
        whole,
        title: title(element, &[], mark),
        mark,
    }
}

fn sequence_flow<'a>(element: &'a Element, panel: &'a Panel<'_>) -> Line<'a> {
    let mark = panel.overlay.marks.get(&element.key);
    let condition = element.condition().map(plain);
    let inner = condition.as_deref().map(str::trim).map(|text| {
        let inner = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
        inner.unwrap_or(text).trim()
    });
    let name = plain(element.name());
    let name = Some(name.trim()).filter(|name| !name.is_empty());
    let count = mark.and_then(|mark| mark.label.as_deref());
    let label: Vec<String> = [count, name, inner]
        .into_iter()
        .flatten()
        .map(|text| shortened(&plain(text), SMALL, LABEL_WIDTH))
        .collect();
    let default = element.is_default().then_some("default");
    let condition = element.condition().map(|text| format!("condition: {text}"));
    let also: Vec<&str> = default.into_iter().chain(condition.as_deref()).collect();
    Line {
        key: &element.key,
        label_width: label.iter().map(|line| width(line, SMALL)).max().unwrap_or(0),
        label,
        is_default: element.is_default(),
        title: title(element, &also, mark),
        mark,
    }
}

fn title(element: &Element, also: &[&str], mark: Option<&Mark>) -> String {
    let mut lines = vec![format!("{} {}", element.element_type, element.key)];
    lines.extend(
        [element.name()]
            .into_iter()
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
    );
    lines.extend(also.iter().map(|&line| line.to_owned()));
    lines.extend(mark.map(|mark| mark.note.clone()).filter(|note| !note.is_empty()));
    lines.join("; ")
}

/// The pills above a node: their texts, and how wide all of them are.
pub(super) fn badges(mark: &Mark) -> Vec<(super::Look, String)> {
    let own = match (mark.look, &mark.label) {
        (super::Look::Passed | super::Look::Missed, None) => None,
        (look, label) => Some((look, label.as_deref().map(plain).unwrap_or_default())),
    };
    let also = mark.also.iter().map(|(look, count)| (*look, count.to_string()));
    own.into_iter().chain(also).collect()
}

/// How wide a pill is.
pub(super) fn badge_width(text: &str) -> i64 {
    if text.is_empty() { 18 } else { 22 + width(text, SMALL) }
}

fn extent(figure: &Figure<'_>) -> Extent {
    let (half, high) = figure.shape.half();
    let name_width = figure.name.iter().map(|line| width(line, SMALL)).max().unwrap_or(0);
    let badges = figure.mark.map(badges).unwrap_or_default();
    let badges_width: i64 = badges.iter().map(|(_, text)| badge_width(text) + 2).sum();
    let above = if badges.is_empty() { high } else { high + BADGE };
    if figure.shape.is_box() {
        return Extent {
            width: 2 * half + (badges_width - 2 * half).max(0) * 2 + if badges.is_empty() { 0 } else { 12 },
            reach: half,
            above,
            below: high,
        };
    }
    let beside = if badges.is_empty() { 0 } else { 2 * (badges_width + 8) };
    let lines = i64::try_from(figure.name.len()).unwrap_or_default();
    Extent {
        width: (2 * half).max(name_width + 8).max(beside),
        reach: half,
        above,
        below: high + if lines == 0 { 0 } else { lines * LINE + 4 },
    }
}

fn label_extent(line: &Line<'_>) -> Extent {
    let lines = i64::try_from(line.label.len()).unwrap_or_default();
    Extent {
        width: line.label_width + if line.is_default { 28 } else { 12 },
        reach: 0,
        above: (lines * LINE + 4).max(8),
        below: 7,
    }
}

/// The kinds of shapes in a model, for a legend.
pub(super) fn shapes(model: &FlowModel) -> impl Iterator<Item = Shape> + '_ {
    model
        .elements()
        .iter()
        .filter_map(|element| Shape::of(element.element_type))
}
