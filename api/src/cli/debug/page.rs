//! Texts that take the whole screen: help, a record, the visits of an element, the values of a variable, a difference.

use flowledger::{AnyRecord, Debugger, InstanceDiff, OutlineElement, Why};

use crate::cli::diff;
use crate::cli::output::table_lines;
use crate::cli::story::{self, Teller};
use crate::cli::why as told;
use crate::cli::words::{self, hex, plain};

use super::text::{padded, wrapped};

/// A text with a title, and how far down one has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: String,
    lines: Vec<PageLine>,
    /// The lines as they stand on a screen of the width that was asked for last.
    on_screen: Vec<PageLine>,
    width: Option<usize>,
    /// How many lines on the screen are above what is seen.
    pub(super) top: usize,
}

/// A line of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageLine {
    pub(super) kind: LineKind,
    pub(super) text: String,
    /// How far in it goes on where it is too long for one line.
    hanging: usize,
}

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    Heading,
    Text,
    Aside,
}

impl Page {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            lines: Vec::new(),
            on_screen: Vec::new(),
            width: None,
            top: 0,
        }
    }

    fn line(&mut self, kind: LineKind, text: &str) {
        let indent = text.chars().take_while(|character| *character == ' ').count();
        self.lines.push(PageLine {
            kind,
            text: plain(text).into_owned(),
            hanging: indent + 4,
        });
    }

    /// A name, and what there is to say of it in a column behind it.
    fn pair(&mut self, name: &str, text: &str, column: usize) {
        self.lines.push(PageLine {
            kind: LineKind::Text,
            text: format!("{}  {}", padded(name, column), plain(text)),
            hanging: column + 2,
        });
    }

    fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.line(LineKind::Text, "");
        }
        self.line(LineKind::Heading, text);
    }

    fn text(&mut self, text: impl AsRef<str>) {
        self.line(LineKind::Text, text.as_ref());
    }

    fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) {
        for (number, line) in table_lines(header, rows).iter().enumerate() {
            let kind = if number == 0 { LineKind::Aside } else { LineKind::Text };
            self.line(kind, line);
        }
    }

    /// The lines as they stand on the screen.
    pub(super) fn on_screen(&self) -> &[PageLine] {
        &self.on_screen
    }

    /// Scrolls by some lines on a screen of this size, no further than there is text.
    pub(super) fn scroll(&mut self, by: isize, width: usize, height: usize) {
        if self.width != Some(width) {
            let lines = self.lines.iter().flat_map(|line| {
                let rows = wrapped(&line.text, width, line.hanging).into_iter();
                rows.map(|text| PageLine { text, ..line.clone() })
            });
            self.on_screen = lines.collect();
            self.width = Some(width);
        }
        let most = self.on_screen.len().saturating_sub(height);
        self.top = self.top.saturating_add_signed(by).min(most);
    }
}

/// Names and what there is to say of them, under a heading.
type Section = (&'static str, &'static [(&'static str, &'static str)]);

/// The text of the help.
const HELP: [Section; 3] = [
    (
        "Moving in time",
        &[
            (
                "j k  Down Up",
                "next and previous record, or event while that pane has the keys",
            ),
            ("l h  Right Left", "one event forward and back, from any pane"),
            ("Space Backspace", "one record forward and back, from any pane"),
            ("g G  Home End", "first record and newest one"),
            ("PageDown PageUp", "ten records forward and back"),
            (
                ":",
                "jump to a version (12), behind an event of it (12.3), some records on or back (+5, -5), to a time \
                 (2026-03-31T08:00:00Z) or a date",
            ),
        ],
    ),
    (
        "Looking",
        &[
            (
                "Tab BackTab",
                "next and previous pane; the one with > in its title has the keys",
            ),
            (
                "Enter",
                "all about the record, the visits of the element, the values of the variable",
            ),
            (
                "/",
                "search elements, variables, values, actors, reasons, commands, events, codes and ids; n and N go on and back",
            ),
            (
                "w",
                "why the flow has come to the element at the outline's cursor: the records that led there, their conditions \
                 and values",
            ),
            ("d", "diff: in what the position differs from another version or time"),
            ("Esc", "closes what is open"),
            ("q  Ctrl-C", "ends"),
        ],
    ),
    (
        "Marks",
        &[
            ("*", "changed by this record, as far as its events have happened"),
            ("▸", "the cursor; in the events: the last one that has happened"),
            ("✓  »  ✗  ↶", "done; waits, or the flow is here; failed; rolled back"),
            (
                "+  -",
                "a join that waits for more branches; closed by the join of its branch",
            ),
            ("3x 1↶ 2✗", "three visits, one of them rolled back; two commits failed"),
            (
                "1002 4006!",
                "the code that answered the command; one with ! is an error",
            ),
            (
                "v2 Lin",
                "the version that gave a variable its value, and who gave the command",
            ),
        ],
    ),
];

/// What the keys do.
pub(super) fn help() -> Page {
    let mut page = Page::new("Help");
    for (heading, lines) in HELP {
        page.heading(heading);
        for (keys, text) in lines {
            page.pair(keys, text, 16);
        }
    }
    page
}

/// All about a record.
pub(super) fn record(debugger: &Debugger, teller: &mut Teller) -> Page {
    let version = debugger.position().version;
    let mut page = Page::new(format!("Record of version {version}"));
    let Some(record) = debugger.record(version) else {
        return page;
    };
    let envelope = record.log.record.envelope();
    let code = record.code.entry();
    for (name, text) in [
        ("command", story::command(&record.log.record).to_owned()),
        ("answer", format!("{} {}", code.number, code.text)),
        ("recorded at", envelope.recorded_at.to_string()),
        ("command id", envelope.command_id.to_string()),
        ("position in the log", record.log.position.to_string()),
        ("leaf hash", hex(&record.log.leaf)),
    ] {
        page.pair(name, &text, 19);
    }
    for line in story::about(&record.log.record) {
        let (name, text) = line.split_once(": ").unwrap_or(("", &line));
        page.pair(name, text, 19);
    }
    page.heading("Events");
    for (number, fact) in (1..).zip(teller.facts(&record.log.record)) {
        page.text(format!("{number:>2}  {fact}"));
    }
    if let AnyRecord::Instance(instance) = &record.log.record
        && !instance.given.envelope.plug_ins.is_empty()
    {
        page.heading("Decided with");
        for plug_in in &instance.given.envelope.plug_ins {
            page.text(format!("{} {}", plug_in.name, plug_in.version));
        }
    }
    page
}

/// The visits of an element.
pub(super) fn visits(debugger: &Debugger, element: &OutlineElement) -> Page {
    let name = words::element(&element.model_key, &element.model_name);
    let mut page = Page::new(format!("Visits of {name}"));
    page.text(words::element_type(element.element_type));
    page.text(format!("flow instance {}", element.flow_instance_id));
    if !element.leads_to.is_empty() {
        page.text(format!("leads to {}", element.leads_to.join(", ")));
    }
    if element.failed_commits > 0 {
        page.text(words::count(element.failed_commits, "failed commit"));
    }
    if element.node_instance_ids.is_empty() {
        page.heading("The flow has not come here yet.");
    }
    for (number, id) in (1..).zip(&element.node_instance_ids) {
        let (Some(visit), Some((data, version))) = (debugger.node_instance(id), debugger.entry(id)) else {
            continue;
        };
        page.heading(&format!("Visit {number}: {}", words::node_status(visit.status)));
        page.pair("id", &id.to_string(), 7);
        page.pair("entered", &format!("{}, version {version}", visit.create_time), 7);
        if visit.modify_time != visit.create_time {
            page.pair("changed", &visit.modify_time.to_string(), 7);
        }
        page.pair("data", &words::variables(&data), 7);
        if let Some(payload) = &visit.plug_in_payload {
            page.pair("plug-in", &words::value(payload), 7);
        }
    }
    page
}

/// The values that a variable has had.
pub(super) fn values(debugger: &Debugger, key: &str) -> Page {
    let mut page = Page::new(format!("Values of {}", plain(key)));
    let rows = debugger.values_of(key).into_iter().filter_map(|(version, written)| {
        let envelope = debugger.record(version)?.log.record.envelope();
        Some(vec![
            version.to_string(),
            envelope.recorded_at.to_string(),
            envelope.actor.operator.as_deref().unwrap_or("-").to_owned(),
            written.map_or_else(|| "(gone)".to_owned(), |written| words::value(&written.value)),
        ])
    });
    page.table(&["version", "recorded at", "by", "value"], rows.collect());
    page
}

/// In what two moments differ.
pub(super) fn difference(difference: &InstanceDiff) -> Page {
    let (left, right) = (difference.left.version, difference.right.version);
    let mut page = Page::new(format!("Version {left} and version {right}"));
    for (number, (header, rows)) in diff::tables(difference).into_iter().enumerate() {
        if number > 0 {
            page.text("");
        }
        page.table(&header, rows);
    }
    if difference.is_empty() {
        page.heading("Nothing differs.");
    }
    page
}

/// Why the flow has come to a node.
pub(super) fn why(why: &Why) -> Page {
    let name = words::element(&why.node.model_key, &why.node.model_name);
    let mut page = Page::new(format!("Why {name}, {}", words::node_status(why.node.status)));
    // What it is about stands in the title.
    for line in told::lines(why).iter().skip(1).skip_while(|line| line.is_empty()) {
        page.text(line);
    }
    page
}
