//! Goes through all command words up to a length over the small models, engine against naive interpreter.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use flowledger_tests::exhaustive::{explore, models};
use flowledger_tests::scenario::Profile;

/// Compares engine and naive interpreter after every word of commands.
#[derive(Debug, Parser)]
struct Arguments {
    /// The longest words.
    #[arg(long, default_value_t = 5)]
    length: usize,
    /// Only models whose name contains this.
    #[arg(long, default_value = "")]
    model: String,
    /// The profile: documented or turbo131.
    #[arg(long, default_value = "documented")]
    profile: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let profile = Profile::ALL
        .into_iter()
        .find(|profile| profile.name() == arguments.profile);
    let Some(profile) = profile else {
        eprintln!("{} is no profile", arguments.profile);
        return ExitCode::FAILURE;
    };
    let mut failed = false;
    println!(
        "{:<32} {:>9} {:>10} {:>10} {:>10} {:>8}",
        "model", "states", "commands", "records", "words", "seconds"
    );
    for model in models()
        .into_iter()
        .filter(|model| model.name.contains(&arguments.model))
    {
        let begun = Instant::now();
        match explore(&model, profile, arguments.length) {
            Ok(tally) => {
                let states: usize = tally.states.iter().sum();
                let seconds = begun.elapsed().as_secs_f64();
                println!(
                    "{:<32} {states:>9} {:>10} {:>10} {:>10.2e} {seconds:>8.1}  {:?}",
                    model.name, tally.commands, tally.records, tally.words, tally.states
                );
            }
            Err(problem) => {
                failed = true;
                println!("{problem}");
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
