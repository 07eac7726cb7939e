//! What the debugger shows and what keys do to it: a function of state and key. Knows no terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowledger::{
    AnyRecord, AsOf, DebugPosition, DebugRecord, Debugger, EngineError, FlowInstanceBo, FoundIn, NodeInstanceId,
    OutlineElement, SearchHit, Step, Written,
};

use super::key::Key;
use super::page::{self, Page};
use crate::cli::arguments;
use crate::cli::story::{self, Teller};
use crate::cli::words;

/// Records and rows that a page key passes.
const PAGE_ROWS: usize = 10;
/// Characters that a prompt takes.
const MAX_TYPED: usize = 200;

/// A part of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    Records,
    Events,
    Outline,
    Variables,
}

/// The panes in the order of the Tab key.
const PANES: [Pane; 4] = [Pane::Records, Pane::Events, Pane::Outline, Pane::Variables];

/// What a line that is typed is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    Jump,
    Search,
    Diff,
}

/// What has the keys.
pub(super) enum Mode {
    /// The panes.
    Panes,
    /// A line that is typed.
    Prompt(Prompt, String),
    /// A text over the whole screen.
    Page(Page),
}

/// Whether it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    Quit,
}

/// A variable at the position.
pub(super) struct VariableRow {
    pub(super) key: Arc<str>,
    /// Its value; none where the record has taken it away.
    pub(super) now: Option<Written>,
    /// Whether the record has changed it.
    pub(super) is_changed: bool,
    /// What it was before the record, where that has changed it and it was there.
    pub(super) before: Option<Written>,
}

/// What the position looks like.
pub(super) struct Now {
    pub(super) instance: Option<FlowInstanceBo>,
    pub(super) outline: Vec<OutlineElement>,
    pub(super) touched: BTreeSet<NodeInstanceId>,
    pub(super) variables: Vec<VariableRow>,
    /// What was given with the record's command, by whom and why.
    pub(super) about: Vec<String>,
    /// The record's events in words.
    pub(super) facts: Vec<String>,
}

impl Now {
    fn of(debugger: &Debugger, teller: &mut Teller) -> Self {
        let record = debugger.record(debugger.position().version);
        let mut rows: BTreeMap<Arc<str>, VariableRow> = BTreeMap::new();
        for (key, written) in debugger.variables() {
            let row = VariableRow {
                key: key.clone(),
                now: Some(written.clone()),
                is_changed: false,
                before: None,
            };
            rows.insert(key.clone(), row);
        }
        for change in debugger.changes() {
            let row = VariableRow {
                key: change.key.clone(),
                now: change.right,
                is_changed: true,
                before: change.left,
            };
            rows.insert(change.key, row);
        }
        Self {
            instance: debugger.flow_instance(),
            outline: debugger.outline(),
            touched: debugger.touched(),
            variables: rows.into_values().collect(),
            about: record
                .map(|record| story::about(&record.log.record))
                .unwrap_or_default(),
            facts: record
                .map(|record| teller.facts(&record.log.record))
                .unwrap_or_default(),
        }
    }

    /// Whether the record has changed what has become of an element.
    pub(super) fn is_touched(&self, element: &OutlineElement) -> bool {
        element.node_instance_ids.iter().any(|id| self.touched.contains(id))
    }
}

/// What was searched for.
struct Search {
    text: String,
    hits: Vec<SearchHit>,
}

/// The debugger on a screen.
pub(super) struct App {
    debugger: Debugger,
    teller: Teller,
    pub(super) now: Now,
    pub(super) focus: Pane,
    /// The row of the outline that the cursor is on.
    pub(super) element: usize,
    /// The row of the variables that the cursor is on.
    pub(super) variable: usize,
    pub(super) mode: Mode,
    /// What there is to say about the last key.
    pub(super) message: Option<String>,
    search: Option<Search>,
    /// Width and height of what a page shows.
    page_size: (usize, usize),
}

impl App {
    /// The debugger where it stands.
    pub(super) fn new(debugger: Debugger) -> Self {
        let mut teller = Teller::default();
        for record in debugger.records() {
            // From then on the keys of all node instances are known.
            teller.facts(&record.log.record);
        }
        let now = Now::of(&debugger, &mut teller);
        let mut app = Self {
            debugger,
            teller,
            now,
            focus: Pane::Records,
            element: 0,
            variable: 0,
            mode: Mode::Panes,
            message: None,
            search: None,
            page_size: (80, 20),
        };
        app.follow();
        app
    }

    /// The records and the position.
    pub(super) fn debugger(&self) -> &Debugger {
        &self.debugger
    }

    /// The element that a record's command is about, where it names one.
    pub(super) fn subject(&self, record: &DebugRecord) -> Option<String> {
        match &record.log.record {
            AnyRecord::Instance(instance) => self.teller.subject(&instance.given.command),
            AnyRecord::Module(_) => None,
        }
    }

    /// The screen has room for a page of this many cells in width and height.
    pub(super) fn resize(&mut self, width: usize, height: usize) {
        self.page_size = (width, height);
        if let Mode::Page(page) = &mut self.mode {
            page.scroll(0, width, height);
        }
    }

    /// Takes a key.
    pub(super) fn update(&mut self, key: Key) -> Next {
        if key == Key::Interrupt {
            return Next::Quit;
        }
        self.message = None;
        match std::mem::replace(&mut self.mode, Mode::Panes) {
            Mode::Panes => return self.in_panes(key),
            Mode::Prompt(prompt, text) => self.in_prompt(prompt, text, key),
            Mode::Page(page) => self.in_page(page, key),
        }
        Next::Go
    }

    fn in_panes(&mut self, key: Key) -> Next {
        match key {
            Key::Char('q') => return Next::Quit,
            Key::Char('j') | Key::Down => self.move_in_pane(1),
            Key::Char('k') | Key::Up => self.move_in_pane(-1),
            Key::Char('l') | Key::Right => self.forward(Step::Event),
            Key::Char('h') | Key::Left => self.back(Step::Event),
            Key::Char(' ') => self.forward(Step::Record),
            Key::Backspace => self.back(Step::Record),
            Key::Char('g') | Key::Home => self.jump_to_end(false),
            Key::Char('G') | Key::End => self.jump_to_end(true),
            Key::PageDown => self.page_in_pane(true),
            Key::PageUp => self.page_in_pane(false),
            Key::Tab => self.next_pane(1),
            Key::BackTab => self.next_pane(PANES.len() - 1),
            Key::Enter => self.open(),
            Key::Char('?') => self.show(page::help()),
            Key::Char(':') => self.mode = Mode::Prompt(Prompt::Jump, String::new()),
            Key::Char('/') => self.mode = Mode::Prompt(Prompt::Search, String::new()),
            Key::Char('d') => self.mode = Mode::Prompt(Prompt::Diff, String::new()),
            Key::Char('w') => self.why(),
            Key::Char('n') => self.next_hit(true),
            Key::Char('N') => self.next_hit(false),
            Key::Escape => self.search = None,
            Key::Char(other) => self.say(format!("{other} does nothing here; ? lists the keys")),
            Key::Clear | Key::Interrupt => {}
        }
        Next::Go
    }

    fn in_prompt(&mut self, prompt: Prompt, mut text: String, key: Key) {
        match key {
            Key::Escape => return,
            Key::Enter => return self.entered(prompt, text.trim()),
            Key::Backspace if text.is_empty() => return,
            Key::Backspace => {
                text.pop();
            }
            Key::Clear => text.clear(),
            Key::Char(character) if text.chars().count() < MAX_TYPED => text.push(character),
            Key::Char(_)
            | Key::Tab
            | Key::BackTab
            | Key::Up
            | Key::Down
            | Key::Left
            | Key::Right
            | Key::Home
            | Key::End
            | Key::PageUp
            | Key::PageDown
            | Key::Interrupt => {}
        }
        self.mode = Mode::Prompt(prompt, text);
    }

    fn in_page(&mut self, mut page: Page, key: Key) {
        let (width, height) = self.page_size;
        let by = match key {
            Key::Escape | Key::Enter | Key::Char('q') => return,
            Key::Char('j') | Key::Down => 1,
            Key::Char('k') | Key::Up => -1,
            Key::PageDown | Key::Char(' ') => height.cast_signed(),
            Key::PageUp | Key::Backspace => -height.cast_signed(),
            Key::Char('g') | Key::Home => isize::MIN,
            Key::Char('G') | Key::End => isize::MAX,
            Key::Char(_) | Key::Tab | Key::BackTab | Key::Left | Key::Right | Key::Clear | Key::Interrupt => 0,
        };
        page.scroll(by, width, height);
        self.mode = Mode::Page(page);
    }

    fn entered(&mut self, prompt: Prompt, text: &str) {
        if text.is_empty() {
            return;
        }
        match prompt {
            Prompt::Jump => self.jump(text),
            Prompt::Search => self.search(text),
            Prompt::Diff => self.diff(text),
        }
    }

    fn jump(&mut self, text: &str) {
        match destination(text, self.debugger.position()) {
            Ok(Destination::Event(position)) => {
                if self.debugger.go(position) {
                    self.moved();
                } else {
                    let version = position.version;
                    let events = self.debugger.record(version).map(DebugRecord::events);
                    self.say(match events {
                        Some(events) => format!("version {version} has {}", words::count(events, "event")),
                        None => format!("there is no version {version}"),
                    });
                }
            }
            Ok(Destination::Moment(as_of)) => match self.debugger.jump(as_of) {
                Ok(_) => self.moved(),
                Err(error) => self.tell(&error),
            },
            Err(wrong) => self.say(wrong),
        }
    }

    fn diff(&mut self, text: &str) {
        let other = match destination(text, self.debugger.position()) {
            Ok(Destination::Moment(as_of)) => as_of,
            Ok(Destination::Event(_)) => {
                return self.say("only ends of records are compared: name a version".to_owned());
            }
            Err(wrong) => return self.say(wrong),
        };
        match self.debugger.diff(other) {
            Ok(difference) => self.show(page::difference(&difference)),
            Err(error) => self.tell(&error),
        }
    }

    fn search(&mut self, text: &str) {
        let hits = self.debugger.search(text);
        let is_found = !hits.is_empty();
        self.search = Some(Search {
            text: text.to_owned(),
            hits,
        });
        if is_found {
            return self.next_hit(true);
        }
        // What the flow has not come to stands in no record.
        let wanted = text.to_lowercase();
        let names = |element: &OutlineElement| [element.model_key.to_lowercase(), element.model_name.to_lowercase()];
        let is_it = |element: &OutlineElement| names(element).iter().any(|name| name.contains(&wanted));
        match self.now.outline.iter().position(is_it) {
            Some(row) => {
                self.element = row;
                self.focus = Pane::Outline;
                self.say(format!("no record has {text}; the model has it"));
            }
            None => self.say(format!("nothing has {text}")),
        }
    }

    /// Goes to the next record that has what was searched, or the previous one; behind the last the first comes again.
    fn next_hit(&mut self, is_forward: bool) {
        let Some(search) = &self.search else {
            return self.say("search first: /".to_owned());
        };
        let version = self.debugger.position().version;
        let hits = search.hits.iter().enumerate();
        let hit = if is_forward {
            let mut later = hits.clone().filter(|(_, hit)| hit.version > version);
            later.next().or_else(|| hits.clone().next())
        } else {
            let mut earlier = hits.clone().filter(|(_, hit)| hit.version < version);
            earlier.next_back().or_else(|| hits.clone().next_back())
        };
        let Some((place, hit)) = hit else {
            let text = format!("no record has {}", search.text);
            return self.say(text);
        };
        let (to, found, of) = (hit.version, hit.found.clone(), search.hits.len());
        if self.debugger.jump(to).is_ok() {
            self.moved();
        }
        for place in &found {
            self.point_at(place);
        }
        let mut told: Vec<String> = found.iter().take(3).map(found_words).collect();
        if found.len() > told.len() {
            told.push("…".to_owned());
        }
        self.say(format!("{} of {of}: {}", place + 1, told.join(", ")));
    }

    /// Moves the cursor of a pane to what was found.
    fn point_at(&mut self, found: &FoundIn) {
        match found {
            FoundIn::Element { key, .. } => {
                if let Some(row) = self.now.outline.iter().position(|element| *element.model_key == **key) {
                    self.element = row;
                }
            }
            FoundIn::Variable { key, .. } => {
                if let Some(row) = self.now.variables.iter().position(|variable| *variable.key == **key) {
                    self.variable = row;
                }
            }
            FoundIn::Command(_)
            | FoundIn::Actor(_)
            | FoundIn::Reason(_)
            | FoundIn::Code(_)
            | FoundIn::Event(_)
            | FoundIn::Failure(_)
            | FoundIn::Id(_) => {}
        }
    }

    fn open(&mut self) {
        let page = match self.focus {
            Pane::Records | Pane::Events => Some(page::record(&self.debugger, &mut self.teller)),
            Pane::Outline => self
                .now
                .outline
                .get(self.element)
                .map(|element| page::visits(&self.debugger, element)),
            Pane::Variables => self
                .now
                .variables
                .get(self.variable)
                .map(|row| page::values(&self.debugger, &row.key)),
        };
        if let Some(page) = page {
            self.show(page);
        }
    }

    /// Why the flow has come to the element that the outline's cursor is on.
    fn why(&mut self) {
        let Some(element) = self.now.outline.get(self.element) else {
            return;
        };
        let newest = element.node_instance_ids.last();
        if let Some(why) = newest.and_then(|id| self.debugger.why(id)) {
            self.show(page::why(&why));
            // The nearest causes stand at the end.
            self.update(Key::End);
        } else {
            let key = element.model_key.clone();
            self.say(format!(
                "the flow has not come to {key}; `instance why-not` tells why not"
            ));
        }
    }

    fn next_pane(&mut self, by: usize) {
        let place = PANES.iter().position(|pane| *pane == self.focus).unwrap_or_default();
        self.focus = PANES.get((place + by) % PANES.len()).copied().unwrap_or(Pane::Records);
    }

    fn move_in_pane(&mut self, by: isize) {
        match (self.focus, by > 0) {
            (Pane::Records, true) => self.forward(Step::Record),
            (Pane::Records, false) => self.back(Step::Record),
            (Pane::Events, true) => self.forward(Step::Event),
            (Pane::Events, false) => self.back(Step::Event),
            (Pane::Outline, _) => self.element = moved(self.element, by, self.now.outline.len()),
            (Pane::Variables, _) => self.variable = moved(self.variable, by, self.now.variables.len()),
        }
    }

    fn page_in_pane(&mut self, is_forward: bool) {
        let rows = PAGE_ROWS.cast_signed();
        let by = if is_forward { rows } else { -rows };
        match self.focus {
            Pane::Outline | Pane::Variables => self.move_in_pane(by),
            Pane::Records | Pane::Events => {
                let last = self.debugger.records().len() as u64;
                let version = self.debugger.position().version;
                let to = version.saturating_add_signed(by as i64).clamp(1, last);
                self.jump_to(to);
            }
        }
    }

    fn jump_to_end(&mut self, is_last: bool) {
        let end = |rows: usize| if is_last { rows.saturating_sub(1) } else { 0 };
        match self.focus {
            Pane::Outline => self.element = end(self.now.outline.len()),
            Pane::Variables => self.variable = end(self.now.variables.len()),
            Pane::Records | Pane::Events => {
                let last = self.debugger.records().len() as u64;
                self.jump_to(if is_last { last } else { 1 });
            }
        }
    }

    fn jump_to(&mut self, version: u64) {
        match self.debugger.jump(version) {
            Ok(_) => self.moved(),
            Err(error) => self.tell(&error),
        }
    }

    fn forward(&mut self, step: Step) {
        if self.debugger.forward(step) {
            self.moved();
        } else {
            self.say("this is the newest record".to_owned());
        }
    }

    fn back(&mut self, step: Step) {
        if self.debugger.back(step) {
            self.moved();
        } else {
            let what = match step {
                Step::Record => "record",
                Step::Event => "event",
            };
            self.say(format!("this is the first {what}"));
        }
    }

    /// Looks at the position anew.
    fn moved(&mut self) {
        self.now = Now::of(&self.debugger, &mut self.teller);
        self.follow();
    }

    /// The cursors stand at what the record has changed last, or at what waits.
    fn follow(&mut self) {
        let is_open = |element: &OutlineElement| matches!(element.status, Some(2 | 5));
        let is_touched = |element: &OutlineElement| self.now.is_touched(element);
        let outline = &self.now.outline;
        let found = outline
            .iter()
            .rposition(|element| is_open(element) && is_touched(element))
            .or_else(|| outline.iter().rposition(is_touched))
            .or_else(|| outline.iter().rposition(is_open));
        self.element = found.unwrap_or_default();
        let changed = self.now.variables.iter().position(|row| row.is_changed);
        self.variable = changed.unwrap_or_default();
    }

    fn show(&mut self, mut page: Page) {
        let (width, height) = self.page_size;
        page.scroll(0, width, height);
        self.mode = Mode::Page(page);
    }

    fn say(&mut self, message: String) {
        self.message = Some(message);
    }

    fn tell(&mut self, error: &EngineError) {
        self.say(format!("{}: {}", error.err_code(), error.detail()));
    }
}

fn moved(row: usize, by: isize, rows: usize) -> usize {
    row.saturating_add_signed(by).min(rows.saturating_sub(1))
}

/// Where a typed line leads.
enum Destination {
    Event(DebugPosition),
    Moment(AsOf),
}

fn destination(text: &str, position: DebugPosition) -> Result<Destination, String> {
    if let Some(by) = text.strip_prefix('+').and_then(|by| by.parse().ok()) {
        return Ok(Destination::Moment(AsOf::Version(position.version.saturating_add(by))));
    }
    if let Some(by) = text.strip_prefix('-').and_then(|by| by.parse::<u64>().ok()) {
        return Ok(Destination::Moment(AsOf::Version(position.version.saturating_sub(by))));
    }
    if let Some((version, event)) = text.split_once('.')
        && let (Ok(version), Ok(event)) = (version.parse(), event.parse())
    {
        return Ok(Destination::Event(DebugPosition { version, event }));
    }
    let moment = arguments::as_of(text).map(Destination::Moment);
    moment.map_err(|wrong| format!("{text}: {wrong}"))
}

/// What was found, in words.
fn found_words(found: &FoundIn) -> String {
    match found {
        FoundIn::Command(name) => format!("command {name}"),
        FoundIn::Actor(name) => format!("by {name}"),
        FoundIn::Reason(reason) => format!("reason {reason}"),
        FoundIn::Code(code) => format!("answer {code}"),
        FoundIn::Event(name) => format!("event {name}"),
        FoundIn::Element { key, name } => format!("element {}", words::element(key, name)),
        FoundIn::Variable { key, value } => format!("given {key} = {value}"),
        FoundIn::Failure(failure) => format!("failure {failure}"),
        FoundIn::Id(id) => format!("id {id}"),
    }
}
