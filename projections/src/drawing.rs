//! Pictures of flow models, with marks on what an instance went through or on whatever else is to stand out: as SVG and
//! as Mermaid text. Pure functions of the models and the marks; knows no store and no file.
//!
//! Everything that comes from a model or a caller is escaped. The time is bounded by a polynomial in the size of the
//! models; see [`MAX_ELEMENTS`] and [`MAX_PANELS`] for what a picture holds.

mod figure;
mod instance;
mod layout;
mod mermaid;
mod style;
mod svg;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::model::flow_model::FlowModel;

pub use instance::instance;

/// Nodes and sequence flows of all panels of a picture; panels beyond are left out, but never the first.
pub const MAX_ELEMENTS: usize = 50_000;
/// Panels of a picture; sub flow instances beyond are left out, and the picture says so.
pub const MAX_PANELS: usize = 50;

/// How a picture is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrawingFormat {
    /// An SVG document.
    #[default]
    Svg,
    /// A Mermaid flowchart.
    Mermaid,
}

/// The colours of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    /// As the viewer prefers: `prefers-color-scheme`; light where the viewer has no preference.
    #[default]
    Auto,
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// How an element stands out. Each look has a colour, a line and, on nodes, a sign of its own, so that none depends on
/// seeing colours. What it means in a picture, the [`Overlay`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Look {
    /// Something happens here now.
    Active,
    /// Nothing happens here until somebody lets it.
    Held,
    /// Something would have happened here.
    Stopped,
    /// It waits for others.
    Waiting,
    /// The flow went this way.
    Passed,
    /// The flow did not get past this.
    Failed,
    /// It no longer counts: somebody else was first.
    Closed,
    /// It no longer counts: it was taken back.
    Undone,
    /// The flow never came here; for pictures in which that is worth seeing.
    Missed,
}

impl Look {
    /// Every look, the one that stands out most first.
    pub const ALL: [Self; 9] = [
        Self::Active,
        Self::Held,
        Self::Stopped,
        Self::Waiting,
        Self::Passed,
        Self::Failed,
        Self::Closed,
        Self::Undone,
        Self::Missed,
    ];
}

/// What stands out of one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How.
    pub look: Look,
    /// A few characters beside it, such as a number of visits.
    pub label: Option<String>,
    /// What else is to be said of a node, each with its number. A sequence flow shows its look only.
    pub also: Vec<(Look, usize)>,
    /// What a viewer tells of it when asked, besides its name and key.
    pub note: String,
}

impl Mark {
    /// A mark without a label.
    pub fn of(look: Look) -> Self {
        Self {
            look,
            label: None,
            also: Vec::new(),
            note: String::new(),
        }
    }
}

/// What stands out of a model's elements, nodes and sequence flows alike, by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    /// The marks. Keys that the model does not have are ignored.
    pub marks: BTreeMap<Arc<str>, Mark>,
    /// What each look means, for the legend; it tells of those that occur.
    pub legend: BTreeMap<Look, String>,
}

/// One model in a picture.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What is written above it.
    pub heading: Option<String>,
    /// The model.
    pub model: &'a FlowModel,
    /// What stands out.
    pub overlay: Overlay,
}

/// A picture.
#[derive(Clone, Debug)]
pub struct Drawing<'a> {
    /// Its title.
    pub title: String,
    /// Lines below the title.
    pub lines: Vec<String>,
    /// Its models, one below the other.
    pub panels: Vec<Panel<'a>>,
}

impl Drawing<'_> {
    /// A picture of one model with what stands out.
    pub fn of_model(title: impl Into<String>, model: &FlowModel, overlay: Overlay) -> Drawing<'_> {
        Drawing {
            title: title.into(),
            lines: Vec::new(),
            panels: vec![Panel {
                heading: None,
                model,
                overlay,
            }],
        }
    }

    /// Writes the picture.
    pub fn render(&self, format: DrawingFormat, theme: Theme) -> String {
        match format {
            DrawingFormat::Svg => svg::svg(self, theme),
            DrawingFormat::Mermaid => mermaid::mermaid(self),
        }
    }
}
