//! `debug`: an instance's records on a screen, walked forward and backward; or the same printed, for scripts.

mod app;
mod key;
mod page;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::io::{self, IsTerminal};
use std::sync::Arc;

use clap::Args;
use flowledger::{Debugger, OutlineElement, ResultCode, VariableDifference, Written};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde::Serialize;

use self::app::{App, Next};
use self::key::Key;
use self::view::Theme;
use crate::cli::arguments::AsOfArg;
use crate::cli::failure::Failure;
use crate::cli::output::wants_no_colour;
use crate::cli::session::{Access, Session};
use crate::cli::story;

/// What the debugger is for.
pub(crate) const DEBUG_HELP: &str = "\
Walks the records of an instance on the screen, forward and backward, one by one or event by event: the model with what
has become of each element, the records, the variables with what changed, and the events of a record in words. ? lists the
keys. It reads the records once and lets go of the store before the first key; nothing is written.

  flowledger debug INSTANCE
  flowledger --data backup.flb debug INSTANCE --as-of 12

Without a terminal, --plain prints the screen as text and --json what stands on it, after the keys of --keys:

  flowledger debug INSTANCE --plain --size 100x30 --keys 'g jj d2<Enter>'

Keys that are no character are named in angle brackets, as <Enter>; a blank between keys means nothing, <Space> is one.";

/// Most columns and rows of a printed screen.
const MAX_SIDE: u16 = 1_000;

/// Which instance, and how.
#[derive(Args)]
pub(crate) struct DebugArgs {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    #[command(flatten)]
    as_of: AsOfArg,
    /// Print the screen as text instead of showing it
    #[arg(long)]
    plain: bool,
    /// Press these keys first
    #[arg(long, value_name = "KEYS", value_parser = keys)]
    keys: Option<Keys>,
    /// Columns and rows of the printed screen
    #[arg(long, value_name = "COLUMNSxROWS", value_parser = size, default_value = "80x24", requires = "plain")]
    size: (u16, u16),
}

/// Keys to press.
#[derive(Clone)]
struct Keys(Arc<[Key]>);

fn keys(text: &str) -> Result<Keys, String> {
    key::keys(text).map(|keys| Keys(keys.into()))
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let side = |text: &str| text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    let sides = text
        .split_once('x')
        .and_then(|(columns, rows)| Some((side(columns)?, side(rows)?)));
    sides.ok_or_else(|| format!("write COLUMNSxROWS, such as 80x24, up to {MAX_SIDE}"))
}

/// Shows an instance, or prints it.
pub(crate) fn run(session: &Session, args: DebugArgs) -> Result<(), Failure> {
    let is_printed = args.plain || session.out.is_json();
    if !is_printed && !io::stdout().is_terminal() {
        return Err(session.unusable(
            "standard output is not a terminal; --plain prints the screen as text, --json what stands on it",
        ));
    }
    let engine = session.open(Access::Existing)?;
    let debugger = engine.debugger(args.as_of.of(&args.instance));
    // The store is free again before anybody begins to look.
    engine.close()?;
    let mut app = App::new(debugger?);
    if is_printed {
        let (columns, rows) = args.size;
        resize(&mut app, columns, rows);
    }
    for key in args.keys.iter().flat_map(|keys| keys.0.iter()) {
        if app.update(*key) == Next::Quit {
            break;
        }
    }
    if session.out.is_json() {
        return Ok(session.out.json(&Debugged::of(app.debugger()))?);
    }
    if args.plain {
        return Ok(session.out.raw(&printed(&app, args.size))?);
    }
    let theme = Theme {
        has_colours: !wants_no_colour(),
    };
    Ok(terminal::show(app, theme)?)
}

/// The screen has another size.
fn resize(app: &mut App, columns: u16, rows: u16) {
    let (width, height) = view::page_size(columns, rows);
    app.resize(width, height);
}

/// The screen as text, a line for each row.
fn printed(app: &App, (columns, rows): (u16, u16)) -> String {
    let theme = Theme { has_colours: false };
    let Ok(mut terminal) = Terminal::new(TestBackend::new(columns, rows));
    let Ok(_) = terminal.draw(|frame| view::draw(frame, app, theme));
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in buffer.content().chunks(columns.max(1).into()) {
        let mut line = String::new();
        let mut hidden = 0;
        for cell in row {
            // A wide character hides the cells behind it.
            if hidden == 0 {
                line.push_str(cell.symbol());
                hidden = text::width(cell.symbol()).saturating_sub(1);
            } else {
                hidden -= 1;
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// What stands on the screen, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Debugged<'a> {
    err_code: i32,
    err_msg: &'a str,
    flow_instance_id: String,
    status: i32,
    /// The position.
    version: u64,
    event: usize,
    records: Vec<RecordLine<'a>>,
    outline: Vec<OutlineElement>,
    variables: Vec<VariableLine<'a>>,
    changes: Vec<VariableDifference>,
    /// The events of the present record.
    facts: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordLine<'a> {
    version: u64,
    position: u64,
    recorded_at: String,
    command: &'a str,
    command_id: String,
    code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<Arc<str>>,
}

#[derive(Serialize)]
struct VariableLine<'a> {
    key: &'a str,
    #[serde(flatten)]
    written: &'a Written,
}

impl<'a> Debugged<'a> {
    fn of(debugger: &'a Debugger) -> Self {
        let success = ResultCode::Success.entry();
        let position = debugger.position();
        let records = debugger.records().iter().map(|record| {
            let envelope = record.log.record.envelope();
            RecordLine {
                version: envelope.version,
                position: record.log.position,
                recorded_at: envelope.recorded_at.to_string(),
                command: story::command(&record.log.record),
                command_id: envelope.command_id.to_string(),
                code: record.code.number(),
                operator: envelope.actor.operator.clone(),
            }
        });
        let mut teller = story::Teller::default();
        let told = debugger.records().iter().map(|record| teller.facts(&record.log.record));
        let present = usize::try_from(position.version).unwrap_or(usize::MAX);
        Self {
            err_code: success.number,
            err_msg: success.text,
            flow_instance_id: debugger.flow_instance_id().to_string(),
            status: debugger.flow_instance().map_or(0, |instance| instance.status),
            version: position.version,
            event: position.event,
            records: records.collect(),
            outline: debugger.outline(),
            variables: debugger
                .variables()
                .iter()
                .map(|(key, written)| VariableLine { key, written })
                .collect(),
            changes: debugger.changes(),
            facts: told.take(present).last().unwrap_or_default(),
        }
    }
}
