//! `kit_speed`: how many runs of the model test kit there are in a second.

use std::time::Instant;

use clap::Parser;
use flowledger::testing::{FlowTest, Words};
use flowledger_tests::sketch::flow;

/// Runs a model's test for a while and tells how many runs and commands there were in a second.
#[derive(Parser)]
#[command(name = "kit_speed")]
struct Arguments {
    /// Runs.
    #[arg(long, default_value_t = 100_000)]
    runs: u32,
    /// Commands of a run, at most, the start not counted.
    #[arg(long, default_value_t = 18)]
    commands: usize,
    /// Commits only.
    #[arg(long)]
    commits: bool,
    /// Decides the runs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() {
    let arguments = Arguments::parse();
    let sketch = "start -> ask -> gate; gate -(amount > 1000)-> approve -> pay; gate -(default)-> pay; \
                  pay -> gate2; gate2 -(again == true)-> ask; gate2 -(default)-> end";
    let model = flow("main", sketch).flow_model.to_string();
    let words = if arguments.commits {
        Words::COMMITS
    } else {
        Words::default()
    };
    let test = FlowTest::new(&model)
        .words(words)
        .cases(arguments.runs)
        .commands(arguments.commands)
        .seed(arguments.seed)
        .never("much is paid without approval", |now| {
            now.is_at("pay") && now.visits("ask") > 0 && now.number("amount").is_none() && now.visits("approve") > 9
        });
    let begun = Instant::now();
    let ran = test.check();
    let seconds = begun.elapsed().as_secs_f64();
    let rate = |count: u64| f64::from(u32::try_from(count).expect("few")) / seconds;
    println!(
        "runs {}, commands {}, records {}, {seconds:.1} s: {:.0} runs and {:.0} commands a second, {:.1} commands a run",
        ran.runs,
        ran.commands,
        ran.records,
        rate(ran.runs),
        rate(ran.commands),
        rate(ran.commands) / rate(ran.runs)
    );
}
