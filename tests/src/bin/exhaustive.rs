//! Goes through all command words up to a length over the small models, engine against naive interpreter.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use flowledger_tests::exhaustive::{Small, explore, models};
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
    let asked: Vec<Small> = models()
        .into_iter()
        .filter(|model| model.name.contains(&arguments.model))
        .collect();
    println!(
        "{:<32} {:>9} {:>10} {:>10} {:>10} {:>8}  states by length, 0 to {}",
        "model", "states", "commands", "records", "words", "seconds", arguments.length
    );
    let begun = Instant::now();
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || {
        while let Some(model) = asked.get(next.fetch_add(1, Ordering::Relaxed)) {
            if !report(model, profile, arguments.length) {
                failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner();
    println!(
        "{} models under {}, {} of them with a difference, {:.1} seconds",
        asked.len(),
        profile.name(),
        failed,
        begun.elapsed().as_secs_f64()
    );
    if failed == 0 && !asked.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Explores a model and prints its line; false if engine and interpreter differ.
fn report(model: &Small, profile: Profile, length: usize) -> bool {
    let begun = Instant::now();
    match explore(model, profile, length) {
        Ok(tally) => {
            let states: usize = tally.states.iter().sum();
            let seconds = begun.elapsed().as_secs_f64();
            println!(
                "{:<32} {states:>9} {:>10} {:>10} {:>10.2e} {seconds:>8.1}  {:?}",
                model.name, tally.commands, tally.records, tally.words, tally.states
            );
            true
        }
        Err(problem) => {
            println!("{problem}");
            false
        }
    }
}
