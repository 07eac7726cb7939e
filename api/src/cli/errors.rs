//! The code table, as list and one by one.

use clap::{Subcommand, ValueEnum};
use flowledger::{CodeClass, CodeEntry, ResultCode};
use serde::Serialize;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::words;

/// What can be asked about codes.
#[derive(Subcommand)]
pub(crate) enum ErrorsCommand {
    /// All codes, with their names and texts
    List {
        /// Only those of a class
        #[arg(long, value_enum)]
        class: Option<ClassName>,
    },
    /// One code: what it says, what leads to it, what to do
    Explain {
        /// The number or the name, for example 4013 or no-outgoing-matches
        #[arg(value_name = "CODE")]
        code: String,
    },
}

/// The classes by their names.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ClassName {
    /// Done, perhaps waiting for the next step
    Ok,
    /// The request is malformed
    Request,
    /// The caller may not do this
    Permission,
    /// Another command was first, or an id was used twice
    Concurrency,
    /// The flow definition is at fault
    Definition,
    /// Running the flow is not possible like this
    Runtime,
    /// The instance is in a state that does not allow this
    Lifecycle,
    /// The log is not what was written
    Integrity,
    /// The engine or what it stands on failed
    Platform,
}

impl From<ClassName> for CodeClass {
    fn from(name: ClassName) -> Self {
        match name {
            ClassName::Ok => Self::Ok,
            ClassName::Request => Self::Request,
            ClassName::Permission => Self::Permission,
            ClassName::Concurrency => Self::Concurrency,
            ClassName::Definition => Self::Definition,
            ClassName::Runtime => Self::Runtime,
            ClassName::Lifecycle => Self::Lifecycle,
            ClassName::Integrity => Self::Integrity,
            ClassName::Platform => Self::Platform,
        }
    }
}

/// A code as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Code {
    number: i32,
    slug: &'static str,
    class: &'static str,
    http: u16,
    retry: &'static str,
    text: &'static str,
    text_zh: &'static str,
    cause: &'static str,
    hint: &'static str,
}

impl From<CodeEntry> for Code {
    fn from(entry: CodeEntry) -> Self {
        Self {
            number: entry.number,
            slug: entry.slug,
            class: words::code_class(entry.class),
            http: entry.http,
            retry: words::retry(entry.retry),
            text: entry.text,
            text_zh: entry.text_zh,
            cause: entry.cause,
            hint: entry.hint,
        }
    }
}

/// The codes as JSON.
#[derive(Serialize)]
struct Codes {
    codes: Vec<Code>,
}

/// Answers a question about codes.
pub(crate) fn run(session: &Session, command: &ErrorsCommand) -> Result<(), Failure> {
    match command {
        ErrorsCommand::List { class } => list(session, class.map(CodeClass::from)),
        ErrorsCommand::Explain { code } => explain(session, code),
    }
}

fn list(session: &Session, class: Option<CodeClass>) -> Result<(), Failure> {
    let entries = ResultCode::ALL
        .iter()
        .map(|code| code.entry())
        .filter(|entry| class.is_none_or(|class| class == entry.class));
    if session.out.is_json() {
        return Ok(session.out.json(&Codes {
            codes: entries.map(Code::from).collect(),
        })?);
    }
    let rows = entries.map(|entry| vec![entry.number.to_string(), entry.slug.to_owned(), entry.text.to_owned()]);
    session.out.table(0, &["code", "name", "text"], rows.collect())?;
    session.out.blank()?;
    session
        .out
        .aside(format!("One of them in full: {}", session.next("errors explain 4013")))?;
    Ok(())
}

fn explain(session: &Session, code: &str) -> Result<(), Failure> {
    let found = match code.parse() {
        Ok(number) => ResultCode::from_number(number),
        Err(_) => ResultCode::from_slug(code),
    };
    let entry = found
        .ok_or_else(|| {
            let detail = format!("no code has the number or name {code}; `errors list` has them all");
            Failure::Explained(session.error(ResultCode::InvalidParam, detail))
        })?
        .entry();
    if session.out.is_json() {
        return Ok(session.out.json(&Code::from(entry))?);
    }
    let retry = match entry.retry {
        flowledger::Retry::Never => "sending it again does not help",
        flowledger::Retry::Same => "send the same request again, with the same command id",
        flowledger::Retry::Refresh => "read again, then decide",
        flowledger::Retry::AfterFix => "correct the request or the model first",
    };
    session.out.heading(format!("{} {}", entry.number, entry.slug))?;
    session.out.pairs(&[
        ("text", entry.text.to_owned()),
        ("中文", entry.text_zh.to_owned()),
        ("class", words::code_class(entry.class).to_owned()),
        ("cause", entry.cause.to_owned()),
        ("what to do", entry.hint.to_owned()),
        ("again?", retry.to_owned()),
        ("HTTP", entry.http.to_string()),
    ])?;
    Ok(())
}
