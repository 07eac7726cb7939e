//! Compares the analysis of models with brute force on random models, and lets sound ones run at random.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use flowledger::analysis::report::Verdict;
use flowledger_tests::dice::Dice;
use flowledger_tests::generate::unstructured;
use flowledger_tests::prove::{agree, survives};
use flowledger_tests::sketch::flow;

/// Random models: every verdict against brute force, every finding in the engine, sound ones run at random.
#[derive(Parser)]
struct Arguments {
    /// Models that can be deployed.
    #[arg(long, default_value_t = 10_000)]
    models: usize,
    /// Most nodes of a model.
    #[arg(long, default_value_t = 10)]
    nodes: usize,
    /// States after which brute force gives up.
    #[arg(long, default_value_t = 3_000)]
    states: usize,
    /// Sound models that are run at random.
    #[arg(long, default_value_t = 200)]
    sample: usize,
    /// Random runs of each.
    #[arg(long, default_value_t = 1_000)]
    runs: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sub = flow("sub", "start -> work -> end");
    let begun = Instant::now();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut texts = BTreeSet::new();
    let (mut compared, mut sound, mut given_up, mut refused, mut repeated) = (0, 0, 0, 0, 0);
    let (mut states, mut findings) = (0, 0);
    let mut most_states = 0;
    let mut sample = Vec::new();
    let mut seed = arguments.seed;
    while compared < arguments.models {
        let model = unstructured(&mut Dice::new(seed), arguments.nodes);
        seed += 1;
        let nodes = model.flow_model["flowElementList"]
            .as_array()
            .map_or(0, |list| list.iter().filter(|element| element["type"] != 1).count());
        if nodes > arguments.nodes || !flowledger_tests::prove::is_deployable(&model) {
            refused += 1;
            continue;
        }
        if !texts.insert(model.flow_model.to_string()) {
            repeated += 1;
            continue;
        }
        match agree(&model, &sub, arguments.states) {
            None => given_up += 1,
            Some(Err(problem)) => {
                println!("seed {}: {problem}", seed - 1);
                return ExitCode::FAILURE;
            }
            Some(Ok(agreed)) => {
                compared += 1;
                states += agreed.brute.states;
                most_states = most_states.max(agreed.brute.states);
                findings += agreed.report.findings.len();
                if agreed.report.verdict == Verdict::Sound {
                    sound += 1;
                    if sample.len() < arguments.sample && agreed.brute.states > 3 {
                        sample.push(model);
                    }
                }
                let here: BTreeSet<String> = agreed
                    .report
                    .findings
                    .iter()
                    .map(|finding| finding.kind.to_string())
                    .collect();
                for kind in here {
                    *kinds.entry(kind).or_default() += 1;
                }
            }
        }
    }
    println!(
        "{compared} different models of at most {} nodes, seeds {} to {}: the analysis and brute force agree",
        arguments.nodes,
        arguments.seed,
        seed - 1
    );
    println!(
        "  {sound} sound, {} not; of other drafts {refused} could not be deployed, {repeated} were there before, {given_up} \
         were too large",
        compared - sound
    );
    println!("  brute force: {states} states, at most {most_states} in one model");
    println!("  {findings} findings, each shown by its script in the engine; models with");
    for (kind, count) in kinds {
        println!("    {kind:<20} {count:>6}");
    }
    println!("  {:.0} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let mut commands = 0;
    for (number, model) in sample.iter().enumerate() {
        match survives(model, &sub, arguments.runs, number as u64) {
            Ok(given) => commands += given,
            Err(problem) => {
                println!("sound model {number}: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!(
        "{} sound models, {} random runs of each, {commands} commands: every run goes on and ends; {:.0} s",
        sample.len(),
        arguments.runs,
        begun.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}
