//! `conformance DIR`: judges the engine by the conformance files of a folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use flowledger_tests::conformance::{self, Bench, NaiveBench, Report};
use flowledger_tests::engine_subject::EngineBench;
use flowledger_tests::scenario::Profile;

/// Judges the engine by every *.jsonl and *.jsonl.gz file of a folder.
#[derive(Parser)]
#[command(name = "conformance")]
struct Arguments {
    /// The folder with the files.
    folder: PathBuf,
    /// Judge everything under this profile; without it turbo131 for all files, canon and parallel under both.
    #[arg(long)]
    profile: Option<ProfileName>,
    /// Run one file only, by its stem (serial, call, ...).
    #[arg(long)]
    only: Option<String>,
    /// Skip scenarios whose name starts so; may be repeated.
    #[arg(long)]
    skip: Vec<String>,
    /// Print every failing step: what was expected and what came.
    #[arg(long)]
    verbose: bool,
    /// Judge the naive interpreter instead of the engine.
    #[arg(long, hide = true)]
    naive: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProfileName {
    Documented,
    Turbo131,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Documented => Self::Documented,
            ProfileName::Turbo131 => Self::Turbo131,
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.naive {
        judge(&NaiveBench, &arguments)
    } else {
        judge(&EngineBench, &arguments)
    };
    match result {
        Ok(report) if report.failed == 0 => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {error}", arguments.folder.display());
            ExitCode::from(2)
        }
    }
}

fn judge<B: Bench>(bench: &B, arguments: &Arguments) -> std::io::Result<Report> {
    let mut total = Report::default();
    for (stem, path) in conformance::files(&arguments.folder)? {
        if arguments.only.as_ref().is_some_and(|only| *only != stem) {
            continue;
        }
        if !bench.covers(&stem) {
            println!("{stem}: out of reach of this subject");
            continue;
        }
        let lines = conformance::lines(&path)?;
        let asked = arguments.profile.map(Profile::from);
        let profiles = asked
            .as_ref()
            .map_or(conformance::profiles(&stem), std::slice::from_ref);
        let mut of_file = Report::default();
        for profile in profiles {
            of_file.add(conformance::run(bench, &stem, &lines, *profile, &arguments.skip));
        }
        if arguments.verbose {
            for failure in &of_file.failures {
                println!("{failure}");
            }
        }
        let names: Vec<&str> = profiles.iter().map(|profile| profile.name()).collect();
        println!(
            "{stem} ({}): {} passed, {} failed",
            names.join(", "),
            of_file.passed,
            of_file.failed
        );
        total.add(of_file);
    }
    if total.not_covered > 0 {
        println!("not covered by this subject {}", total.not_covered);
    }
    if total.refused > 0 {
        println!("refused {}", total.refused);
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(total)
}
