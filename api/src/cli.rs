//! The command line: reads the arguments, runs one command, tells how it went. Knows the library, and no stream or store.

mod arguments;
mod certify;
mod copies;
mod debug;
mod demo;
mod diff;
mod draw;
mod errors;
mod event_log;
mod failure;
mod flow;
mod instance;
mod lifecycle;
mod log;
mod output;
mod progress;
mod prove;
mod receipt;
mod regression;
mod replay;
mod rollback;
mod session;
mod story;
mod task;
mod test;
mod why;
mod words;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use flowledger::{EngineError, ResultCode};

use arguments::{Global, ProfileName};
use failure::Failure;
use output::Output;
use session::Session;

/// A process engine that keeps every commit and every rollback on record.
#[derive(Parser)]
#[command(name = "flowledger", version)]
#[command(
    after_help = "Exit status: 0 done, 1 refused or a fault found, 2 the command line is wrong.\n\
    New here? Run `flowledger demo`."
)]
struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows what this is: a leave approval, from its deployment to the proof of its log
    Demo,
    /// Flow modules: create, deploy, look at, check
    #[command(subcommand)]
    Flow(flow::FlowCommand),
    /// Flow instances: start, commit, roll back, look at
    #[command(subcommand)]
    Instance(instance::InstanceCommand),
    /// Walks the records of an instance forward and backward, on the screen
    #[command(after_help = debug::DEBUG_HELP)]
    Debug(debug::DebugArgs),
    /// Every recorded instance of a module against a candidate model: what would take another path
    #[command(after_help = regression::REGRESSION_HELP)]
    Replay(regression::RegressionArgs),
    /// Draws a model, or an instance at any moment, as SVG or as Mermaid text
    #[command(after_help = draw::DRAW_HELP)]
    Draw(draw::DrawArgs),
    /// Looks for a way to break what must hold of a model, and shows the shortest one; needs no data directory
    #[command(after_help = test::TEST_HELP)]
    Test(test::TestArgs),
    /// The log: read its records, verify it, prove it to others
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Checks a receipt, without any data directory: which log holds the record, where, and who vouches for it
    VerifyReceipt(receipt::VerifyArgs),
    /// The codes of results and errors
    #[command(subcommand)]
    Errors(errors::ErrorsCommand),
}

/// Runs the command that the arguments name.
pub(crate) fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return misread(&error),
    };
    let session = Session::new(line.global);
    let outcome = match line.command {
        Command::Demo => demo::run(&session),
        Command::Flow(command) => flow::run(&session, command),
        Command::Instance(command) => instance::run(&session, command),
        Command::Debug(args) => debug::run(&session, args),
        Command::Replay(args) => regression::run(&session, args),
        Command::Draw(args) => draw::run(&session, args),
        Command::Test(args) => test::run(&session, &args),
        Command::Log(command) => log::run(&session, command),
        Command::VerifyReceipt(args) => receipt::verify(&session, &args),
        Command::Errors(command) => errors::run(&session, &command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(&session.out),
    }
}

/// Help, the version, or what is wrong with the arguments.
fn misread(error: &clap::Error) -> ExitCode {
    // Whoever closed the stream does not want to read it.
    let _ = error.print();
    let is_wrong = !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_wrong && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        // Up to the usage, which stands behind an empty line.
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        let detail = lines.join(" ").trim_start_matches("error: ").to_owned();
        let error = EngineError::of_host(ResultCode::InvalidParam, detail, ProfileName::default().into());
        let _ = Output::new(true).json(&error.envelope());
    }
    ExitCode::from(if is_wrong { Failure::USAGE } else { 0 })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn arguments_do_not_contradict_each_other() {
        CommandLine::command().debug_assert();
    }
}
