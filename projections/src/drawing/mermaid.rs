//! The Mermaid text of a picture: a flowchart that pages and wikis render themselves. Knows figures, no places.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::figure::{self, Figure, Line, Shape};
use super::style::class;
use super::text::{plain, shortened};
use super::{Drawing, Look, MAX_ELEMENTS, MAX_PANELS};

/// The widest text of a node or of a label, in pixels.
const TEXT_WIDTH: i64 = 420;

/// Writes a picture.
pub(super) fn mermaid(drawing: &Drawing<'_>) -> String {
    let mut text = format!("---\ntitle: \"{}\"\n---\nflowchart LR\n", harmless(&drawing.title));
    let mut looks = BTreeSet::new();
    let mut styles = String::new();
    let mut links = 0;
    let mut room = MAX_ELEMENTS;
    for line in &drawing.lines {
        let _ = writeln!(text, "    %% {}", harmless(line));
    }
    let mut left_out = 0;
    for (number, panel) in drawing.panels.iter().enumerate() {
        let elements = panel.model.elements().len();
        if number > 0 && (number >= MAX_PANELS || elements > room) {
            left_out += 1;
            continue;
        }
        room = room.saturating_sub(elements);
        let figures = figure::figures(panel);
        let is_framed = drawing.panels.len() > 1;
        if is_framed {
            let heading = panel.heading.as_deref().unwrap_or(&drawing.title);
            let _ = writeln!(text, "    subgraph p{number} [{}]\n    direction LR", quoted(heading));
        }
        for (place, figure) in figures.nodes.iter().enumerate() {
            let _ = write!(text, "    n{number}_{place}{}", node(figure));
            if let Some(mark) = figure.mark {
                looks.insert(mark.look);
                let _ = write!(text, ":::{}", class(mark.look));
            }
            text.push('\n');
        }
        for (line, edge) in figures.lines.iter().zip(&figures.graph.edges) {
            let _ = writeln!(
                text,
                "    n{number}_{} {} n{number}_{}",
                edge.from,
                arrow(line),
                edge.to
            );
            if let Some(mark) = line.mark {
                let _ = writeln!(styles, "    linkStyle {links} {}", style(mark.look));
            }
            links += 1;
        }
        if is_framed {
            text.push_str("    end\n");
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "    %% {left_out} further sub flow instances are not drawn");
    }
    for look in looks {
        let _ = writeln!(text, "    classDef {} {}", class(look), style(look));
    }
    text.push_str(&styles);
    text
}

fn node(figure: &Figure<'_>) -> String {
    let badges = figure.mark.map(figure::badges).unwrap_or_default();
    let told = badges
        .iter()
        .map(|(look, text)| format!("({})", format!("{} {text}", class(*look)).trim_end()));
    let words: Vec<String> = Some(figure.whole.trim().to_owned())
        .filter(|name| !name.is_empty())
        .into_iter()
        .chain(told)
        .collect();
    let label = quoted(&words.join(" "));
    let signed = |sign: &str| quoted(format!("{sign} {}", words.join(" ")).trim_end());
    match figure.shape {
        Shape::StartEvent => format!("(({label}))"),
        Shape::EndEvent => format!("((({label})))"),
        Shape::UserTask => format!("({label})"),
        Shape::ExclusiveGateway => format!("{{{}}}", signed("×")),
        Shape::ParallelGateway => format!("{{{}}}", signed("+")),
        Shape::InclusiveGateway => format!("{{{}}}", signed("○")),
        Shape::CallActivity => format!("[[{label}]]"),
        Shape::PlugIn => format!("[{label}]"),
        Shape::Missing => format!("({})", signed("?")),
        Shape::Junction => "((\" \"))".to_owned(),
    }
}

fn arrow(line: &Line<'_>) -> String {
    let default = line.is_default.then_some("default");
    let parts: Vec<&str> = default
        .into_iter()
        .chain(line.label.iter().map(String::as_str))
        .collect();
    if parts.is_empty() {
        "-->".to_owned()
    } else {
        format!("-->|{}|", quoted(&parts.join(", ")))
    }
}

/// Text in quotes of which nothing is taken for a sign of Mermaid, Markdown or HTML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in shortened(plain(text).trim(), 12, TEXT_WIDTH).chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '…' | '×' | '○') {
            quoted.push(c);
        } else {
            // Mermaid's own way to write a character by its number.
            let _ = write!(quoted, "#{};", u32::from(c));
        }
    }
    if quoted.len() == 1 {
        quoted.push(' ');
    }
    quoted.push('"');
    quoted
}

/// Text for places in which Mermaid knows no way to write a character by its number.
fn harmless(text: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '.' | ',' | '-' | ':' | '/' | '(' | ')' | '_');
    plain(text).chars().map(|c| if kept(c) { c } else { ' ' }).collect()
}

/// The line of a look; Mermaid fills by its theme.
fn style(look: Look) -> &'static str {
    match look {
        Look::Active => "stroke:#d97000,stroke-width:4px",
        Look::Held => "stroke:#9a5fc7,stroke-width:4px",
        Look::Stopped => "stroke:#777777,stroke-width:4px",
        Look::Waiting => "stroke:#d97000,stroke-width:3px,stroke-dasharray:7 3",
        Look::Passed => "stroke:#2f86cf,stroke-width:3px",
        Look::Failed => "stroke:#d3463d,stroke-width:3px,stroke-dasharray:6 4",
        Look::Closed => "stroke:#97825a,stroke-width:2px,stroke-dasharray:9 3",
        Look::Undone => "stroke:#8b96a2,stroke-width:2px,stroke-dasharray:2 3",
        Look::Missed => "stroke:#8b96a2,stroke-width:1px,stroke-dasharray:1 4",
    }
}
