//! Standard output: lines, headings, tables and JSON. Knows whether it is a terminal, nothing of what it shows.

use std::io::{self, IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use crate::cli::words::plain;

const BOLD: &str = "\u{1b}[1m";
const FAINT: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

/// Where results go.
pub(crate) struct Output {
    is_json: bool,
    is_coloured: bool,
    stdout: io::Stdout,
}

impl Output {
    /// Standard output; coloured if it is a terminal and `NO_COLOR` is not set.
    pub(crate) fn new(is_json: bool) -> Self {
        let stdout = io::stdout();
        Self {
            is_json,
            is_coloured: stdout.is_terminal() && !wants_no_colour(),
            stdout,
        }
    }

    /// Whether the result is to be one JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    /// Writes the JSON document.
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        let mut out = self.stdout.lock();
        serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
        writeln!(out)
    }

    /// Writes a line.
    pub(crate) fn line(&self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.stdout.lock(), "{}", plain(text.as_ref()))
    }

    /// Writes text as it is, line breaks included.
    pub(crate) fn raw(&self, text: &str) -> io::Result<()> {
        let mut out = self.stdout.lock();
        out.write_all(text.as_bytes())?;
        if text.ends_with('\n') { Ok(()) } else { writeln!(out) }
    }

    /// Writes an empty line.
    pub(crate) fn blank(&self) -> io::Result<()> {
        writeln!(self.stdout.lock())
    }

    /// Writes a line that stands out.
    pub(crate) fn heading(&self, text: impl AsRef<str>) -> io::Result<()> {
        self.styled(BOLD, text.as_ref())
    }

    /// Writes a line that stands back.
    pub(crate) fn aside(&self, text: impl AsRef<str>) -> io::Result<()> {
        self.styled(FAINT, text.as_ref())
    }

    /// Writes names and values, one pair per line, the values in one column.
    pub(crate) fn pairs(&self, pairs: &[(&str, String)]) -> io::Result<()> {
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        pairs
            .iter()
            .try_for_each(|(name, value)| self.line(format!("{name:width$}  {value}")))
    }

    /// Writes a table, each line behind `indent` blanks.
    pub(crate) fn table(&self, indent: usize, header: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let blanks = " ".repeat(indent);
        for (number, line) in table_lines(header, rows).into_iter().enumerate() {
            let line = format!("{blanks}{line}");
            if number == 0 {
                self.aside(line)?;
            } else {
                self.line(line)?;
            }
        }
        Ok(())
    }

    fn styled(&self, style: &str, text: &str) -> io::Result<()> {
        let text = plain(text);
        let mut out = self.stdout.lock();
        if self.is_coloured {
            writeln!(out, "{style}{text}{RESET}")
        } else {
            writeln!(out, "{text}")
        }
    }
}

/// The lines of a table, the header first.
pub(crate) fn table_lines(header: &[&str], rows: Vec<Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell).into_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Whether the caller wants no colours.
pub(crate) fn wants_no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
