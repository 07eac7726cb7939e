//! The debugger's screen: a function of its state and the size of the terminal. Knows no keys.

use std::ops::Range;

use flowledger::{DebugRecord, ElementType, OutlineElement, Written};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Margin, Rect, Spacing};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::merge::MergeStrategy;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::app::{App, Mode, Pane, Prompt, VariableRow};
use super::page::{LineKind, Page};
use super::text::{fit, padded, width, wrapped};
use crate::cli::story;
use crate::cli::words::{self, plain};

/// Less than this cannot be read.
const LEAST: (u16, u16) = (40, 10);
/// From this width on the variables have a column of their own.
const WIDE: u16 = 130;
/// From this width of a pane on, its rows have whole dates.
const WIDE_PANE: usize = 64;
/// From this width of a pane on, its rows say the types of elements and the times of values.
const ROOMY_PANE: usize = 44;
/// A day of UTC.
const DAY_MS: i64 = 86_400_000;
/// Cells that a person's name gets.
const MOST_OF_NAME: usize = 12;
/// Cells of a row's left part that its right part may not take.
const LEFT_PART: usize = 18;

/// Colours, or none; whatever they say, words and marks say too.
#[derive(Clone, Copy)]
pub(super) struct Theme {
    pub(super) has_colours: bool,
}

impl Theme {
    fn coloured(self, colour: Color) -> Style {
        if self.has_colours {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn bad(self) -> Style {
        self.coloured(Color::Red)
    }

    fn changed(self) -> Style {
        self.coloured(Color::Yellow)
    }

    fn open(self) -> Style {
        self.coloured(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    fn done(self) -> Style {
        self.coloured(Color::Green)
    }
}

fn faint() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// A line of a list: what stands left and right in it.
struct Row {
    left: String,
    /// The longest that there could be first; the last one may take from the left part.
    right: Vec<String>,
    style: Style,
}

impl Row {
    fn new(left: String, style: Style) -> Self {
        Self {
            left,
            right: Vec::new(),
            style,
        }
    }

    /// The right part that there is room for.
    fn right(&mut self, cells: usize) -> String {
        let left = width(&self.left);
        let fits = |right: &String| left + 1 + width(right) <= cells;
        let least = self.right.pop().filter(|right| width(right) + LEFT_PART < cells);
        let right = std::mem::take(&mut self.right).into_iter().find(fits);
        right.or(least).unwrap_or_default()
    }
}

/// Width and height of what a page shows on a screen of this size.
pub(super) fn page_size(columns: u16, rows: u16) -> (usize, usize) {
    (columns.saturating_sub(4).into(), rows.saturating_sub(4).into())
}

/// Draws the screen.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, theme: Theme) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let size = format!(
            "{} x {} is too small: at least {} x {}",
            area.width, area.height, LEAST.0, LEAST.1
        );
        return frame.render_widget(Paragraph::new(size), area);
    }
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(header(app, top.width.into()), top);
    frame.render_widget(footer(app, bottom.width.into()), bottom);
    if let Mode::Page(page) = &app.mode {
        return draw_page(frame, page, middle);
    }
    for (pane, area) in panes(middle) {
        draw_pane(frame, app, pane, theme, area);
    }
    if let Mode::Prompt(prompt, text) = &app.mode {
        let column = width(prompt_name(*prompt)) + width(&shown(text, bottom.width.into()));
        let column = u16::try_from(column)
            .unwrap_or(u16::MAX)
            .min(bottom.width.saturating_sub(1));
        frame.set_cursor_position((bottom.x + column, bottom.y));
    }
}

/// Where the panes are. They share their borders.
fn panes(area: Rect) -> [(Pane, Rect); 4] {
    let shared = Spacing::Overlap(1);
    let stacked = |area: Rect, upper: u16| {
        Layout::vertical([Constraint::Percentage(upper), Constraint::Fill(1)])
            .spacing(shared.clone())
            .areas::<2>(area)
    };
    let (outline, variables, right) = if area.width >= WIDE {
        let [outline, right, variables] = Layout::horizontal([
            Constraint::Percentage(28),
            Constraint::Fill(1),
            Constraint::Percentage(32),
        ])
        .spacing(shared.clone())
        .areas(area);
        (outline, variables, right)
    } else {
        let [left, right] = Layout::horizontal([Constraint::Percentage(44), Constraint::Fill(1)])
            .spacing(shared.clone())
            .areas(area);
        let [outline, variables] = stacked(left, 58);
        (outline, variables, right)
    };
    let [records, events] = stacked(right, 50);
    [
        (Pane::Outline, outline),
        (Pane::Records, records),
        (Pane::Variables, variables),
        (Pane::Events, events),
    ]
}

fn header(app: &App, cells: usize) -> Line<'static> {
    let position = app.debugger().position();
    let record = app.debugger().record(position.version);
    let events = record.map_or(0, DebugRecord::events);
    let status = app
        .now
        .instance
        .as_ref()
        .map_or("", |instance| words::instance_status(instance.status));
    let left = format!(" {} {status}", app.debugger().flow_instance_id());
    let records = app.debugger().records().len();
    let (version, event) = (position.version, position.event);
    let place = format!("version {version} of {records}, event {event} of {events} ");
    let time = record.map(|record| format!("{}  {place}", record.log.record.envelope().recorded_at));
    let short = format!("version {version}/{records}, event {event}/{events} ");
    let fits = |text: &String| width(&left) + width(text) < cells;
    let right = time.into_iter().chain([place]).find(fits).unwrap_or(short);
    let left = padded(&left, cells.saturating_sub(width(&right)));
    Line::styled(
        fit(&format!("{left}{right}"), cells),
        strong().add_modifier(Modifier::REVERSED),
    )
}

fn prompt_name(prompt: Prompt) -> &'static str {
    match prompt {
        Prompt::Jump => " jump to (version, version.event, +5, time): ",
        Prompt::Search => " search: ",
        Prompt::Diff => " diff against (version, +5, time): ",
    }
}

/// The end of what is typed, as much as there is room for.
fn shown(text: &str, cells: usize) -> String {
    let skipped = text.chars().count().saturating_sub(cells / 3);
    plain(&text.chars().skip(skipped).collect::<String>()).into_owned()
}

fn footer(app: &App, cells: usize) -> Line<'static> {
    if let Mode::Prompt(prompt, text) = &app.mode {
        return Line::from(format!("{}{}", prompt_name(*prompt), shown(text, cells)));
    }
    if let Some(message) = &app.message {
        return Line::styled(fit(&format!(" {}", plain(message)), cells), strong());
    }
    let hints = match &app.mode {
        Mode::Page(_) => " j/k PageDown/PageUp scroll   Esc closes",
        Mode::Panes | Mode::Prompt(..) => {
            " j/k record  h/l event  Tab  Enter more  w why  : jump  / find  d diff  ? help"
        }
    };
    Line::styled(fit(hints, cells), faint())
}

fn draw_page(frame: &mut Frame<'_>, page: &Page, area: Rect) {
    let inner = area.inner(Margin::new(2, 1));
    let lines = page.on_screen();
    let (height, all) = (usize::from(inner.height), lines.len());
    let last = (page.top + height).min(all);
    let part = if all > height {
        format!(" lines {} to {last} of {all} ", page.top + 1)
    } else {
        String::new()
    };
    let title = Span::styled(format!(" {} ", page.title), strong());
    let block = Block::bordered()
        .title(title)
        .title_bottom(Line::from(part).right_aligned());
    let lines = lines.iter().skip(page.top).take(height).map(|line| {
        let style = match line.kind {
            LineKind::Heading => strong(),
            LineKind::Text => Style::new(),
            LineKind::Aside => faint(),
        };
        Line::styled(line.text.as_str(), style)
    });
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}

fn draw_pane(frame: &mut Frame<'_>, app: &App, pane: Pane, theme: Theme, area: Rect) {
    let cells = usize::from(area.width.saturating_sub(2));
    let height = usize::from(area.height.saturating_sub(2));
    let (title, rows, chosen) = match pane {
        Pane::Outline => outline(app, theme, cells, height),
        Pane::Records => records(app, theme, cells, height),
        Pane::Variables => variables(app, theme, cells, height),
        Pane::Events => events(app, theme, cells, height),
    };
    let has_keys = app.focus == pane;
    let title = if has_keys {
        Span::styled(format!(" > {title} "), strong())
    } else {
        Span::raw(format!(" {title} "))
    };
    let block = Block::bordered().merge_borders(MergeStrategy::Exact).title(title);
    let lines = rows.into_iter().enumerate().map(|(place, mut row)| {
        let right = row.right(cells);
        let gap = usize::from(!right.is_empty());
        let left = padded(&row.left, cells.saturating_sub(width(&right) + gap));
        let line = Line::from(vec![
            Span::styled(left, row.style),
            Span::raw(" ".repeat(gap)),
            Span::styled(right, faint()),
        ]);
        if has_keys && Some(place) == chosen {
            line.patch_style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        }
    });
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area.inner(Margin::new(1, 1)));
}

/// Title, rows that are seen, and which of them the cursor is on.
type Listed = (String, Vec<Row>, Option<usize>);

/// The rows around the chosen one that there is room for.
fn window(rows: usize, chosen: usize, height: usize) -> Range<usize> {
    let first = chosen.saturating_sub(height / 2).min(rows.saturating_sub(height));
    first..rows.min(first + height)
}

fn cursor(is_here: bool) -> char {
    if is_here { '▸' } else { ' ' }
}

fn changed_mark(is_changed: bool) -> char {
    if is_changed { '*' } else { ' ' }
}

fn outline(app: &App, theme: Theme, cells: usize, height: usize) -> Listed {
    let all = &app.now.outline;
    let seen = window(all.len(), app.element, height);
    let rows = all.iter().enumerate().skip(seen.start).take(seen.len());
    let rows = rows.map(|(place, element)| element_row(app, theme, element, place == app.element, cells));
    (
        "Outline".to_owned(),
        rows.collect(),
        app.element.checked_sub(seen.start),
    )
}

/// The mark of an element's newest visit, and a word where it is not simply done.
fn status_mark(element: &OutlineElement) -> (char, &'static str) {
    let passes = match ElementType::from_number(element.element_type) {
        ElementType::UserTask | ElementType::CallActivity | ElementType::Unknown(_) => false,
        ElementType::SequenceFlow
        | ElementType::StartEvent
        | ElementType::EndEvent
        | ElementType::ExclusiveGateway
        | ElementType::ParallelGateway
        | ElementType::InclusiveGateway => true,
    };
    match element.status {
        Some(1) => ('✓', ""),
        // In the middle of a record.
        Some(2) if passes => ('»', "is here"),
        Some(2) => ('»', "waits"),
        Some(3) => ('✗', "failed"),
        Some(4) => ('↶', "rolled back"),
        Some(5) => ('+', "waits for branches"),
        Some(6) => ('-', "closed"),
        _ => (' ', ""),
    }
}

fn element_row(app: &App, theme: Theme, element: &OutlineElement, is_here: bool, cells: usize) -> Row {
    let is_touched = app.now.is_touched(element);
    let (mark, word) = status_mark(element);
    let name = words::element(&element.model_key, &element.model_name);
    let mut told: Vec<String> = Vec::new();
    if !word.is_empty() {
        told.push(word.to_owned());
    }
    let visits = element.node_instance_ids.len();
    if visits > 1 {
        told.push(format!("{visits}x"));
    }
    let shown_as_rolled_back = usize::from(element.status == Some(4));
    if element.rolled_back > shown_as_rolled_back {
        told.push(format!("{}↶", element.rolled_back));
    }
    if element.failed_commits > 0 {
        told.push(format!("{}✗", element.failed_commits));
    }
    let word = Some(word.to_owned()).filter(|word| !word.is_empty());
    let told = told.join(" ");
    let kind = words::element_type(element.element_type);
    let with_kind = Some(format!("{told} {kind}")).filter(|_| cells >= ROOMY_PANE);
    let style = match element.status {
        Some(1) => theme.done(),
        Some(2 | 5) => theme.open(),
        Some(3) => theme.bad(),
        Some(_) => faint(),
        None => Style::new(),
    };
    Row {
        left: format!(
            "{}{}{}{mark} {name}",
            cursor(is_here),
            changed_mark(is_touched),
            "  ".repeat(element.depth)
        ),
        right: with_kind.into_iter().chain([told]).chain(word).collect(),
        style,
    }
}

fn records(app: &App, theme: Theme, cells: usize, height: usize) -> Listed {
    let all = app.debugger().records();
    let here = usize::try_from(app.debugger().position().version)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let seen = window(all.len(), here, height);
    let digits = all.len().to_string().len();
    let is_one_day = is_one_day(app);
    let rows = all.iter().enumerate().skip(seen.start).take(seen.len());
    let rows = rows.map(|(place, record)| {
        let envelope = record.log.record.envelope();
        let is_bad = !record.code.is_success();
        let command = story::command(&record.log.record);
        let subject = app.subject(record).map(|subject| format!(" {}", plain(&subject)));
        let left = format!(
            "{} {:>digits$} {}{}{command}{}",
            cursor(place == here),
            envelope.version,
            record.code.number(),
            if is_bad { '!' } else { ' ' },
            subject.unwrap_or_default(),
        );
        let style = match (is_bad, place == here) {
            (true, _) => theme.bad(),
            (false, true) => strong(),
            (false, false) => Style::new(),
        };
        Row {
            left,
            right: when_and_who(record, cells, is_one_day),
            style,
        }
    });
    ("Records".to_owned(), rows.collect(), here.checked_sub(seen.start))
}

/// Whether all records are of one day, so that times need no dates.
fn is_one_day(app: &App) -> bool {
    let records = app.debugger().records();
    let day = |record: &DebugRecord| record.log.record.envelope().recorded_at.millis().div_euclid(DAY_MS);
    records.first().map(day) == records.last().map(day)
}

/// A time in a few cells: to the second, or with its date to the minute.
fn short_time(time: &str, is_one_day: bool) -> String {
    let short = if is_one_day {
        time.get(11..19).map(ToOwned::to_owned)
    } else {
        time.get(5..16).map(|short| short.replace('T', " "))
    };
    short.unwrap_or_default()
}

/// Who gave the command, and when.
fn when_and_who(record: &DebugRecord, cells: usize, is_one_day: bool) -> Vec<String> {
    let envelope = record.log.record.envelope();
    let time = envelope.recorded_at.to_string();
    let time = match (time.get(..19), cells >= WIDE_PANE) {
        (Some(whole), true) => whole.to_owned(),
        _ => short_time(&time, is_one_day),
    };
    let actor = &envelope.actor;
    let name = actor.operator.as_deref().or(actor.caller.as_deref());
    let name = name
        .filter(|name| *name != "default")
        .map(|name| fit(&plain(name), MOST_OF_NAME));
    match name {
        Some(name) => vec![format!("{name} {time}"), name],
        None => vec![time, String::new()],
    }
}

fn variables(app: &App, theme: Theme, cells: usize, height: usize) -> Listed {
    let all = &app.now.variables;
    let changed = all.iter().filter(|row| row.is_changed).count();
    let title = match changed {
        0 => "Variables".to_owned(),
        _ => format!("Variables, {changed} changed"),
    };
    if all.is_empty() {
        return (title, vec![Row::new("  none".to_owned(), faint())], None);
    }
    let seen = window(all.len(), app.variable, height);
    let is_one_day = is_one_day(app);
    let rows = all.iter().enumerate().skip(seen.start).take(seen.len());
    let rows = rows.map(|(place, row)| variable_row(row, theme, place == app.variable, (cells, is_one_day)));
    (title, rows.collect(), app.variable.checked_sub(seen.start))
}

fn variable_row(row: &VariableRow, theme: Theme, is_here: bool, (cells, is_one_day): (usize, bool)) -> Row {
    let value = |written: &Written| plain(&words::value(&written.value)).into_owned();
    let told = match (&row.now, &row.before) {
        (Some(now), None) if row.is_changed => format!("{} (new)", value(now)),
        (Some(now), None) => value(now),
        (Some(now), Some(before)) => format!("{} -> {}", value(before), value(now)),
        (None, Some(before)) => format!("{} -> (gone)", value(before)),
        (None, None) => String::new(),
    };
    let style = if row.is_changed { theme.changed() } else { Style::new() };
    Row {
        left: format!(
            "{}{} {} = {told}",
            cursor(is_here),
            changed_mark(row.is_changed),
            plain(&row.key)
        ),
        right: row
            .now
            .as_ref()
            .map(|now| written_by(now, cells, is_one_day))
            .unwrap_or_default(),
        style,
    }
}

/// The version that wrote a value, by whom and when.
fn written_by(written: &Written, cells: usize, is_one_day: bool) -> Vec<String> {
    let version = format!("v{}", written.version);
    let name = written.operator.as_ref();
    let by = name.map_or(version.clone(), |name| {
        format!("{version} {}", fit(&plain(name), MOST_OF_NAME))
    });
    let when = short_time(&written.time.to_string(), is_one_day);
    let with_time = Some(format!("{by} {when}")).filter(|_| cells >= ROOMY_PANE);
    with_time.into_iter().chain([by, version]).collect()
}

fn events(app: &App, theme: Theme, cells: usize, height: usize) -> Listed {
    let position = app.debugger().position();
    let record = app.debugger().record(position.version);
    let mut rows: Vec<Row> = Vec::new();
    if let Some(record) = record {
        let code = record.code.entry();
        let time = record.log.record.envelope().recorded_at;
        let command = story::command(&record.log.record);
        rows.push(Row::new(format!("  {time}  {command}"), faint()));
        let style = if record.code.is_success() { faint() } else { theme.bad() };
        rows.push(Row::new(format!("  answered {} {}", code.number, code.text), style));
    }
    for about in &app.now.about {
        let lines = wrapped(&plain(about), cells.saturating_sub(2), 2);
        rows.extend(lines.into_iter().map(|line| Row::new(format!("  {line}"), faint())));
    }
    let mut chosen = 0;
    for (number, fact) in (1..).zip(&app.now.facts) {
        let (mark, style) = match number.cmp(&position.event) {
            std::cmp::Ordering::Less => ('✓', Style::new()),
            std::cmp::Ordering::Equal => ('▸', strong()),
            std::cmp::Ordering::Greater => (' ', faint()),
        };
        if number == position.event {
            chosen = rows.len();
        }
        let text = format!("{mark} {number} {}", plain(fact));
        rows.extend(wrapped(&text, cells, 4).into_iter().map(|line| Row::new(line, style)));
    }
    let seen = window(rows.len(), chosen, height);
    let title = format!(
        "Events of version {}, {} of {}",
        position.version,
        position.event,
        app.now.facts.len()
    );
    let rows = rows.into_iter().skip(seen.start).take(seen.len());
    (title, rows.collect(), chosen.checked_sub(seen.start))
}
