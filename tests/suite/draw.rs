//! Pictures: what is in them, that nothing lies on anything, and that nothing but text comes out of a model.

use std::collections::{BTreeMap, BTreeSet};

use flowledger::event::InstanceEvent;
use flowledger::{
    AnyRecord, BlockingEngine, DrawOptions, DrawingFormat, Engine, FlowInstanceId, InstanceQuery, Look, Mark, Overlay,
    ResultCode, Theme, draw_model,
};
use flowledger_tests::generate::{ModelPlan, calling_models, cases, flows, forking_models, seeded};
use flowledger_tests::golden::{KINDS, told};
use flowledger_tests::sketch::flow;
use proptest::prelude::*;
use roxmltree::{Document, Node};
use serde_json::{Value, json};

use crate::fixture::{log, without_hanging};

/// Models with fixed seeds: the same ones on every run, before the random ones.
const FIXED: u64 = 60;

const SVG: DrawOptions = DrawOptions {
    format: DrawingFormat::Svg,
    theme: Theme::Auto,
};
const MERMAID: DrawOptions = DrawOptions {
    format: DrawingFormat::Mermaid,
    theme: Theme::Auto,
};

fn svg(model: &Value) -> String {
    draw_model("a model", &model.to_string(), Overlay::default(), SVG).expect("the model is drawn")
}

fn mermaid(model: &Value) -> String {
    draw_model("a model", &model.to_string(), Overlay::default(), MERMAID).expect("the model is drawn")
}

fn sketch(text: &str) -> Value {
    flow("main", text).flow_model
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).map_or(0.0, |text| text.parse().expect("a number"))
}

fn has_class(node: Node<'_, '_>, class: &str) -> bool {
    node.attribute("class")
        .is_some_and(|classes| classes.split(' ').any(|other| other == class))
}

/// A rectangle: left, top, right, bottom.
type Area = [f64; 4];

fn overlap(one: Area, other: Area) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

fn inside(one: Area, other: Area) -> bool {
    one[0] >= other[0] && one[1] >= other[1] && one[2] <= other[2] && one[3] <= other[3]
}

/// Where a group is moved to.
fn moved(node: Node<'_, '_>) -> (f64, f64) {
    let mut at = (0.0, 0.0);
    for group in node.ancestors().filter(|node| node.has_tag_name("g")) {
        let Some(translate) = group
            .attribute("transform")
            .and_then(|text| text.strip_prefix("translate("))
        else {
            continue;
        };
        let mut numbers = translate.split([' ', ')']).map(|text| text.parse().unwrap_or(0.0));
        at.0 += numbers.next().unwrap_or(0.0);
        at.1 += numbers.next().unwrap_or(0.0);
    }
    at
}

/// The corners that a path names absolutely.
fn corners(path: Node<'_, '_>) -> Vec<(f64, f64)> {
    let text = path.attribute("d").unwrap_or_default();
    let numbers = text
        .split(|c: char| c.is_ascii_alphabetic() || c == ' ')
        .filter(|text| !text.is_empty());
    let numbers: Vec<f64> = numbers.map(|text| text.parse().expect("a number")).collect();
    let (x, y) = moved(path);
    numbers.chunks_exact(2).map(|pair| (pair[0] + x, pair[1] + y)).collect()
}

/// The area of a node's shape.
fn area(figure: Node<'_, '_>) -> Area {
    let shape = figure
        .children()
        .find(|child| has_class(*child, "shape") || has_class(*child, "dot"))
        .expect("a node has a shape");
    let (x, y) = moved(shape);
    match shape.tag_name().name() {
        "rect" => {
            let (left, top) = (number(shape, "x") + x, number(shape, "y") + y);
            [left, top, left + number(shape, "width"), top + number(shape, "height")]
        }
        "circle" => {
            let (x, y, radius) = (number(shape, "cx") + x, number(shape, "cy") + y, number(shape, "r"));
            [x - radius, y - radius, x + radius, y + radius]
        }
        _ => {
            let corners = corners(shape);
            let most = |of: fn(&(f64, f64)) -> f64, way: f64| {
                corners.iter().map(|c| of(c) * way).fold(f64::MIN, f64::max) * way
            };
            [
                most(|c| c.0, -1.0),
                most(|c| c.1, -1.0),
                most(|c| c.0, 1.0),
                most(|c| c.1, 1.0),
            ]
        }
    }
}

/// The area of a text in the middle of its place, in a font of middling width.
fn text_area(text: Node<'_, '_>) -> Area {
    let (x, y) = moved(text);
    let (x, y) = (x + number(text, "x"), y + number(text, "y"));
    let wide = |c: char| if c.is_ascii() { 5.6 } else { 11.0 };
    let half: f64 = text.text().unwrap_or_default().chars().map(wide).sum::<f64>() / 2.0;
    [x - half, y - 9.0, x + half, y + 2.0]
}

/// What every picture of a model keeps.
fn check(model: &Value) -> Result<(), String> {
    let text = svg(model);
    if text != svg(model) {
        return Err("drawn twice, it differs".to_owned());
    }
    let document = Document::parse(&text).map_err(|error| format!("{error}\n{text}"))?;
    let root = document.root_element();
    let page = [0.0, 0.0, number(root, "width"), number(root, "height")];
    let groups = |class: &'static str| root.descendants().filter(move |node| has_class(*node, class));
    let keyed = |class| -> Vec<&str> { groups(class).filter_map(|node| node.attribute("data-key")).collect() };

    // Every element appears once.
    let elements = model["flowElementList"].as_array().expect("a list");
    let keys = |is_flow: bool| -> Vec<&str> {
        let of_kind = elements.iter().filter(|element| (element["type"] == 1) == is_flow);
        of_kind.map(|element| element["key"].as_str().expect("a key")).collect()
    };
    for (class, is_flow) in [("node", false), ("flow", true)] {
        let (mut drawn, mut wanted) = (keyed(class), keys(is_flow));
        drawn.sort_unstable();
        wanted.sort_unstable();
        if drawn != wanted {
            return Err(format!("{class}s drawn: {drawn:?}, wanted: {wanted:?}"));
        }
    }

    // No two shapes overlap, and nothing is outside.
    let figures = groups("node").filter(|node| !node.ancestors().any(|around| has_class(around, "legend")));
    let mut areas: Vec<(Area, &str)> = figures
        .map(|node| (area(node), node.attribute("data-key").unwrap_or("?")))
        .collect();
    areas.sort_by(|one, other| one.0[0].total_cmp(&other.0[0]));
    for (place, (one, key)) in areas.iter().enumerate() {
        if !inside(*one, page) {
            return Err(format!("{key} is outside of the picture"));
        }
        for (other, neighbour) in areas[place + 1..].iter().take_while(|(other, _)| other[0] < one[2]) {
            if overlap(*one, *other) {
                return Err(format!("{key} overlaps {neighbour}"));
            }
        }
    }

    // Labels are inside, on no shape and on no other label.
    let labels: Vec<(Area, &str)> = groups("flow")
        .flat_map(|flow| flow.children().filter(|child| child.has_tag_name("text")))
        .map(|label| (text_area(label), label.text().unwrap_or_default()))
        .collect();
    for (place, (one, label)) in labels.iter().enumerate() {
        if !inside(*one, page) {
            return Err(format!("the label {label} is outside of the picture"));
        }
        if let Some((_, key)) = areas.iter().find(|(area, _)| overlap(*area, *one)) {
            return Err(format!("the label {label} lies on {key}"));
        }
        if let Some((_, other)) = labels[place + 1..].iter().find(|(area, _)| overlap(*area, *one)) {
            return Err(format!("the label {label} lies on {other}"));
        }
    }

    check_lines(document.root_element(), elements, &areas)?;
    check_mermaid(model, elements)
}

/// Lines begin at the right of their source, end at the left of their target, and run over no shape.
fn check_lines(root: Node<'_, '_>, elements: &[Value], areas: &[(Area, &str)]) -> Result<(), String> {
    let ends: BTreeMap<&str, [&str; 2]> = elements
        .iter()
        .filter(|element| element["type"] == 1)
        .map(|element| {
            let side = |side: &str| element[side][0].as_str().expect("a key");
            let key = element["key"].as_str().expect("a key");
            (key, [side("incoming"), side("outgoing")])
        })
        .collect();
    let place = |key: &str| {
        areas
            .iter()
            .find(|(_, other)| *other == key)
            .map(|(area, _)| *area)
            .expect("drawn")
    };
    for flow in root.descendants().filter(|node| has_class(*node, "flow")) {
        let Some(key) = flow.attribute("data-key") else {
            continue;
        };
        let way = flow.children().find(|child| has_class(*child, "way"));
        let corners = corners(way.expect("a sequence flow has a line"));
        let [source, target] = ends[key].map(place);
        let (first, last) = (corners[0], corners[corners.len() - 1]);
        let middle = |area: Area| f64::midpoint(area[1], area[3]);
        let is_near = |one: f64, other: f64| (one - other).abs() <= 4.0;
        let begins = is_near(first.0, source[2]) && is_near(first.1, middle(source));
        let ends = is_near(last.0, target[0]) && is_near(last.1, middle(target));
        if !begins || !ends {
            return Err(format!("{key} does not lead from its source to its target"));
        }
        for (from, to) in corners.iter().zip(corners.iter().skip(1)) {
            // Where it touches its own ends it overlaps nothing.
            let (left, right) = (from.0.min(to.0), from.0.max(to.0));
            let (left, right) = if right - left > 8.0 {
                (left + 4.0, right - 4.0)
            } else {
                (left, right + 0.1)
            };
            let piece = [left, from.1.min(to.1), right, from.1.max(to.1) + 0.1];
            let is_end = |area: &Area| [source, target].contains(area) && is_near(from.1, to.1);
            if let Some((_, over)) = areas.iter().find(|(area, _)| overlap(*area, piece) && !is_end(area)) {
                return Err(format!("{key} runs over {over}"));
            }
        }
    }
    Ok(())
}

/// A node of the text for each node of the model, an arrow for each sequence flow, between the same two.
fn check_mermaid(model: &Value, elements: &[Value]) -> Result<(), String> {
    let text = mermaid(model);
    let lines: Vec<&str> = text.lines().skip(4).map(str::trim).collect();
    let (arrows, others): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| line.contains(" -->"));
    let count = |is_flow: bool| {
        elements
            .iter()
            .filter(|element| (element["type"] == 1) == is_flow)
            .count()
    };
    if (others.len(), arrows.len()) != (count(false), count(true)) {
        return Err(format!("{} nodes and {} arrows in\n{text}", others.len(), arrows.len()));
    }
    let place: BTreeMap<&str, usize> = elements
        .iter()
        .filter(|element| element["type"] != 1)
        .enumerate()
        .map(|(place, element)| (element["key"].as_str().expect("a key"), place))
        .collect();
    let end = |element: &Value, side: &str| place[element[side][0].as_str().expect("a key")];
    let wanted: BTreeSet<(usize, usize)> = elements
        .iter()
        .filter(|element| element["type"] == 1)
        .map(|element| (end(element, "incoming"), end(element, "outgoing")))
        .collect();
    let node = |text: &str| text.trim().trim_start_matches("n0_").parse::<usize>().expect("a node");
    let drawn: BTreeSet<(usize, usize)> = arrows
        .iter()
        .map(|arrow| {
            (
                node(arrow.split(' ').next().unwrap_or_default()),
                node(arrow.rsplit(' ').next().unwrap_or_default()),
            )
        })
        .collect();
    if drawn == wanted {
        Ok(())
    } else {
        Err(format!("the arrows connect others in\n{text}"))
    }
}

fn check_all(plans: &[ModelPlan]) -> Result<(), String> {
    flows(plans)
        .iter()
        .try_for_each(|flow| check(&flow.flow_model).map_err(|problem| format!("{problem}\n{}", flow.flow_model)))
}

#[test]
fn every_element_is_drawn_once_and_nothing_lies_on_anything() {
    for seed in 0..FIXED {
        for plans in [seeded(&forking_models(), seed), seeded(&calling_models(), seed)] {
            check_all(&plans).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        }
    }
    proptest!(ProptestConfig::with_cases(cases(60)), |(plans in forking_models())| {
        check_all(&plans).map_err(TestCaseError::fail)?;
    });
}

#[test]
fn three_hundred_nodes_with_all_there_is_are_drawn() {
    let block = |number: usize| {
        let next = number + 1;
        format!(
            "t{number} -> fork{number} -> a{number} -> c{number} -> join{number} -> gate{number}; \
             gate{number} -(default)-> t{next}; gate{number} -(again == true)-> t{number}; \
             fork{number} -> call{number} -> join{number}; fork{number} -> ifork{number}; \
             ifork{number} -(x > {number})-> d{number} -> ijoin{number}; \
             ifork{number} -(y > {number})-> e{number} -> ijoin{number} -> join{number}"
        )
    };
    let blocks: Vec<String> = (0..30).map(block).collect();
    let model = sketch(&format!("start -> t0; {}; t30 -> end", blocks.join("; ")));
    let nodes = model["flowElementList"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|element| element["type"] != 1);
    assert!(nodes.count() > 300);
    check(&model).unwrap_or_else(|problem| panic!("{problem}"));
}

#[test]
fn rings_twins_and_ways_to_oneself_are_drawn() {
    for text in [
        "start -> a -> gate; gate -(x > 1)-> a; gate -(default)-> end",
        "start -> a -> a -> end",
        "start -> a -(x > 1)-> b -> end; a -(x < 1)-> b; a -(default)-> b",
        "start -> a -> b -> end; a -> b; a -> b; b -> a",
        "start -> gate; gate -(default)-> b -> c -> gate2; gate2 -(x > 1)-> b; gate2 -(y > 1)-> c; gate2 -> end; c -> gate",
        "start -> fork; fork -> a -> join; fork -> join; fork -> b -> c -> join; join -> end",
    ] {
        check(&sketch(text)).unwrap_or_else(|problem| panic!("{text}: {problem}"));
    }
}

#[test]
fn models_with_faults_are_drawn_as_far_as_they_go() {
    let element = |key: &str, kind: i64, incoming: &[&str], outgoing: &[&str]| json!({"key": key, "type": kind, "incoming": incoming, "outgoing": outgoing, "properties": {"name": key}});
    let model = json!({"flowElementList": [
        element("start", 2, &[], &["f1", "f9"]),
        element("f1", 1, &["start"], &["f2"]),
        element("f2", 1, &["f1"], &["task"]),
        element("f3", 1, &["nowhere"], &[]),
        element("f3", 1, &[], &["task"]),
        element("f4", 1, &["task"], &["f4"]),
        element("task", 4, &["f2"], &["f4", "start"]),
        element("alone", 4, &[], &[]),
        element("odd", 77, &[], &[]),
    ]});
    let text = svg(&model);
    let document = Document::parse(&text).expect("well-formed");
    let keys: Vec<&str> = document
        .descendants()
        .filter_map(|node| node.attribute("data-key"))
        .collect();
    for element in model["flowElementList"].as_array().expect("a list") {
        let key = element["key"].as_str().expect("a key");
        assert_eq!(
            keys.iter().filter(|other| **other == key).count(),
            if key == "f3" { 2 } else { 1 },
            "{key}"
        );
    }
    assert!(text.contains("no element has the key nowhere"), "{text}");
    assert!(mermaid(&model).contains("#63; nowhere"));
    let refused = draw_model("nothing", "{", Overlay::default(), SVG).expect_err("no model");
    assert_eq!(refused.code(), ResultCode::ModelEmpty);
}

#[test]
fn nothing_in_a_model_becomes_anything_but_text() {
    let evil = "</title><script>alert(1)</script>\"'&]]>--><!--\u{0}\u{1b}[2J\u{202e}\u{ffff}%%{init}%%\n#;`|[](){}end";
    let text = sketch("start -> gate; gate -(x > 1)-> a -> end; gate -(default)-> end");
    let text = text
        .to_string()
        .replace("gate", &json!(evil).to_string()[1..json!(evil).to_string().len() - 1]);
    let mut model: Value = serde_json::from_str(&text).expect("JSON");
    for element in model["flowElementList"].as_array_mut().expect("a list") {
        element["properties"]["name"] = json!(evil);
        if element["properties"]["conditionsequenceflow"] == "x > 1" {
            element["properties"]["conditionsequenceflow"] = json!(evil);
        }
    }
    let drawn = draw_model(evil, &model.to_string(), Overlay::default(), SVG).expect("drawn");
    let document = Document::parse(&drawn).expect("well-formed");
    let known = ["svg", "title", "desc", "style", "rect", "g", "path", "circle", "text"];
    for node in document.descendants().filter(Node::is_element) {
        assert!(known.contains(&node.tag_name().name()), "{:?}", node.tag_name());
        let attributes = [
            "xmlns",
            "class",
            "role",
            "width",
            "height",
            "viewBox",
            "transform",
            "data-key",
            "d",
            "x",
            "y",
            "r",
            "cx",
            "cy",
            "rx",
        ];
        for attribute in node.attributes() {
            assert!(attributes.contains(&attribute.name()), "{attribute:?}");
        }
    }
    assert_eq!(
        document
            .descendants()
            .filter(|node| node.is_comment() || node.is_pi())
            .count(),
        0
    );
    for unfit in ['\u{0}', '\u{1b}', '\u{202e}', '\u{ffff}'] {
        assert!(!drawn.contains(unfit));
    }
    let kept = evil
        .replace(['\u{0}', '\u{1b}', '\u{202e}', '\u{ffff}'], "\u{fffd}")
        .replace('\n', " ");
    let gate = document
        .descendants()
        .find(|node| has_class(*node, "exclusive-gateway"))
        .expect("the gateway");
    assert_eq!(
        gate.attribute("data-key"),
        Some(kept.as_str()),
        "nothing that can be shown is lost"
    );

    let long = "start -> a_long_name_without_any_blank_that_breaks_into_lines -> end";
    assert!(
        mermaid(&sketch(long))
            .contains("(\"a#95;long#95;name#95;without#95;any#95;blank#95;that#95;breaks#95;into#95;lines\")")
    );
    let text = draw_model(evil, &model.to_string(), Overlay::default(), MERMAID).expect("drawn");
    assert_eq!(text.lines().count(), 4 + 4 + 4, "{text}");
    for line in text.lines().skip(4) {
        // Signs of Mermaid stand outside of quotes, and within quotes nothing but text and numbers of characters.
        let quoted: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        for content in quoted {
            let plain = content.split('#').skip(1).all(|code| {
                code.split_once(';')
                    .is_some_and(|(code, _)| code.parse::<u32>().is_ok())
            });
            let is_text = |c: char| c.is_alphanumeric() || " .,…×○#;".contains(c);
            assert!(plain && content.chars().all(is_text), "{line}");
        }
        assert_eq!(line.matches('"').count() % 2, 0, "{line}");
    }
}

#[test]
fn marks_of_a_caller_are_drawn_with_their_labels_and_explained() {
    let mut overlay = Overlay::default();
    for (place, look) in Look::ALL.into_iter().enumerate() {
        let mut mark = Mark::of(look);
        mark.label = Some(format!("{place} %"));
        mark.also = vec![(Look::Failed, 7)];
        overlay.marks.insert(format!("t{place}").as_str().into(), mark.clone());
        overlay.marks.insert(format!("f{}", place + 1).as_str().into(), mark);
        overlay.legend.insert(look, format!("means {look:?}"));
    }
    let model = sketch("start -> t0 -> t1 -> t2 -> t3 -> t4 -> t5 -> t6 -> t7 -> t8 -> end");
    let drawn = draw_model("marks", &model.to_string(), overlay, SVG).expect("drawn");
    let document = Document::parse(&drawn).expect("well-formed");
    for (place, look) in Look::ALL.into_iter().enumerate() {
        let class = format!("{look:?}").to_lowercase();
        for (kind, key) in [("node", format!("t{place}")), ("flow", format!("f{}", place + 1))] {
            let drawn = document
                .descendants()
                .find(|node| has_class(*node, kind) && node.attribute("data-key") == Some(&key))
                .expect("drawn");
            assert!(has_class(drawn, &class), "{key} is {class}");
            let texts: Vec<&str> = drawn.descendants().filter_map(|node| node.text()).collect();
            assert!(texts.contains(&format!("{place} %").as_str()), "{key}: {texts:?}");
        }
        assert!(drawn.contains(&format!("means {look:?}")));
    }
}

#[test]
fn themes_differ_in_their_style_only() {
    let model = sketch("start -> ask -> end").to_string();
    let draw = |theme| draw_model("a model", &model, Overlay::default(), DrawOptions { theme, ..SVG }).expect("drawn");
    let (auto, light, dark) = (draw(Theme::Auto), draw(Theme::Light), draw(Theme::Dark));
    assert!(
        auto.contains("prefers-color-scheme")
            && !light.contains("prefers-color-scheme")
            && !dark.contains("prefers-color-scheme")
    );
    let body = |text: &str| text.split_once("</style>").expect("a style").1.to_owned();
    assert_eq!(body(&auto), body(&light));
    assert_eq!(body(&auto), body(&dark));
    assert_ne!(light, dark);
}

#[test]
fn the_largest_models_are_drawn_in_bounded_time() {
    // A tangle that no layout makes good: long edges and rings everywhere.
    let count = 2_000_usize;
    let mut elements = Vec::new();
    for node in 0..count {
        elements
            .push(json!({"key": format!("n{node}"), "type": 4, "outgoing": [format!("a{node}"), format!("b{node}")]}));
        let targets = [("a", (node + 1) % count), ("b", node.wrapping_mul(7_919) % count)];
        for (name, target) in targets {
            let key = format!("{name}{node}");
            elements.push(
                json!({"key": key, "type": 1, "incoming": [format!("n{node}")], "outgoing": [format!("n{target}")],
                "properties": {"conditionsequenceflow": "x > 1"}}),
            );
        }
    }
    let model = json!({ "flowElementList": elements }).to_string();
    let drawn = without_hanging("drawing", move || {
        draw_model("a tangle", &model, Overlay::default(), SVG)
    });
    let drawn = drawn.expect("drawn");
    let document = Document::parse(&drawn).expect("well-formed");
    assert_eq!(
        document
            .descendants()
            .filter(|node| node.attribute("data-key").is_some())
            .count(),
        3 * count
    );
    assert!(
        drawn.contains("goes on at the same number"),
        "the longest edges are interrupted"
    );
}

/// How an element looks whose node instances have these statuses, in a flow instance with this status.
fn look(statuses: &[i64], flow: i64) -> Option<&'static str> {
    let held = [5, 6].contains(&flow);
    let looks = statuses.iter().map(|status| match (status, flow) {
        (2 | 5, 3) => (2, "stopped"),
        (2 | 5, _) if held => (1, "held"),
        (2, _) => (0, "active"),
        (5, _) => (3, "waiting"),
        (1, _) => (4, "passed"),
        (3, _) => (5, "failed"),
        (6, _) => (6, "closed"),
        _ => (7, "undone"),
    });
    looks.min().map(|(_, look)| look)
}

/// Compares the picture of an instance at a moment with its history.
fn compare(engine: &BlockingEngine, query: &InstanceQuery, seen: &mut BTreeMap<&'static str, usize>) {
    let query = query.clone().effective_for_sub_flow_instance(false);
    let drawn = engine.draw(query.clone(), SVG).expect("drawn");
    assert_eq!(drawn, engine.draw(query.clone(), SVG).expect("drawn"), "the same bytes");
    let flow = engine
        .get_flow_instance(query.clone())
        .expect("there")
        .flow_instance_bo
        .status;
    let history = engine.get_history_element_list(query.clone()).expect("there");
    assert_eq!(drawn.version, history.version);
    let mut statuses: BTreeMap<(bool, String), Vec<i64>> = BTreeMap::new();
    for element in &history.element_instance_list {
        let key = (element.node_instance_id.is_none(), element.model_key.to_string());
        statuses.entry(key).or_default().push(i64::from(element.status));
    }
    let document = Document::parse(&drawn.drawing).expect("well-formed");
    for (class, is_flow) in [("node", false), ("flow", true)] {
        for node in document.descendants().filter(|node| has_class(*node, class)) {
            let Some(key) = node.attribute("data-key") else {
                continue;
            };
            let known = statuses.get(&(is_flow, key.to_owned())).map_or(&[][..], Vec::as_slice);
            // A way that led to what waits was taken.
            let taken: Vec<i64> = known
                .iter()
                .map(|status| if is_flow && [2, 5].contains(status) { 1 } else { *status })
                .collect();
            let wanted = look(&taken, i64::from(flow));
            let looks = Look::ALL.map(|look| format!("{look:?}").to_lowercase());
            let drawn = looks.iter().find(|look| has_class(node, look)).map(String::as_str);
            assert_eq!(drawn, wanted, "{key} {known:?} in {query:?}");
            if let Some(wanted) = wanted {
                *seen.entry(wanted).or_default() += 1;
            }
        }
    }
}

#[test]
fn marks_are_those_of_the_history_at_every_version() {
    for (name, profile, own_ids) in KINDS {
        let engine = told(profile, own_ids);
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (instance, flows) in instances(&engine) {
            let last = engine.get_flow_instance(&instance).expect("there").version;
            for version in 1..=last {
                for flow in &flows {
                    let query = InstanceQuery::new(flow.clone()).as_of(version);
                    // A sub flow instance is not there from the beginning.
                    if engine.get_flow_instance(query.clone()).is_ok() {
                        compare(&engine, &query, &mut seen);
                    }
                }
            }
        }
        let looks = [
            "active", "held", "stopped", "waiting", "passed", "failed", "closed", "undone",
        ];
        assert!(looks.iter().all(|look| seen.contains_key(look)), "{name}: {seen:?}");
    }
}

/// Every instance with its flow instances.
fn instances(engine: &BlockingEngine) -> Vec<(FlowInstanceId, Vec<FlowInstanceId>)> {
    let mut flows: BTreeMap<[u8; 16], Vec<FlowInstanceId>> = BTreeMap::new();
    for record in log(engine) {
        let AnyRecord::Instance(record) = &record.record else {
            continue;
        };
        for event in &record.events {
            if let InstanceEvent::FlowStarted { flow_instance_id, .. } = event {
                flows
                    .entry(record.given.envelope.stream)
                    .or_default()
                    .push(flow_instance_id.clone());
            }
        }
    }
    flows.into_values().map(|flows| (flows[0].clone(), flows)).collect()
}

#[test]
fn sub_flow_instances_have_panels_unless_left_out() {
    let engine = told(KINDS[0].1, KINDS[0].2);
    let instance = instances(&engine).into_iter().find(|(_, flows)| flows.len() > 1);
    let (instance, flows) = instance.expect("an instance has sub flow instances");
    let whole = engine.draw(&instance, SVG).expect("drawn").drawing;
    assert_eq!(whole.matches("class=\"frame\"").count(), flows.len());
    let alone = InstanceQuery::new(instance.clone()).effective_for_sub_flow_instance(false);
    let alone = engine.draw(alone, SVG).expect("drawn").drawing;
    assert_eq!(alone.matches("class=\"frame\"").count(), 0);
    let text = engine.draw(&instance, MERMAID).expect("drawn").drawing;
    assert!(
        text.matches("subgraph ").count() == flows.len() && text.contains("linkStyle 0 "),
        "{text}"
    );
    let unknown = Engine::builder()
        .in_memory()
        .open()
        .expect("opens")
        .blocking()
        .draw("nobody", SVG);
    assert_eq!(unknown.expect_err("nobody").code(), ResultCode::InstanceNotFound);
}

#[test]
fn pictures_in_the_documentation_are_those_of_this_build() {
    let leave = draw_model(
        "leave",
        include_str!("../../examples/models/leave.json"),
        Overlay::default(),
        SVG,
    );
    assert_eq!(
        leave.expect("drawn"),
        include_str!("../../docs/pictures/leave.svg"),
        "docs/how-to/pictures.md says how to draw it again"
    );
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/0.1.0/documented.jsonl");
    let engine = Engine::builder().copy(log).open().expect("an export opens").blocking();
    let instance = engine.draw("8f618837-b7b7-89cb-a2ed-a9cbf180065e", SVG).expect("drawn");
    assert_eq!(
        instance.drawing,
        include_str!("../../docs/pictures/instance.svg"),
        "docs/how-to/pictures.md says how to draw it again"
    );
}
