//! Makes many forks of many instances, goes on in each of them, and shows that the store is as it was.

use std::time::Instant;

use clap::Parser;
use flowledger::{BlockingEngine, CommitTaskParam, DeployModel, Engine, ForkParam, InstanceQuery, StartProcessParam};
use flowledger_tests::sketch::flow;

/// Forks instances of a store on disk and goes on in every fork.
#[derive(Parser)]
struct Arguments {
    /// How many forks.
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// How many instances they are of.
    #[arg(long, default_value_t = 1_000)]
    instances: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let directory = tempfile::tempdir()?;
    let engine = Engine::builder()
        .data_dir(directory.path().join("store"))
        .open()?
        .blocking();
    let sketch = flow(
        "main",
        "start -> ask -> gate; gate -(n > 1)-> again -> end; gate -(n <= 1)-> end",
    );
    let module = engine
        .deploy_model(DeployModel::new("main", &sketch.flow_model.to_string()))?
        .flow_module_id;
    let mut instances = Vec::new();
    for number in 0..arguments.instances {
        let started = engine.start_process(StartProcessParam::of_module(module.clone()).variable("n", 0))?;
        let instance = started.flow_instance_id.clone().ok_or("no instance")?;
        let task = started.active_task().ok_or("no task")?.node_instance_id.clone();
        if number % 2 == 0 {
            engine.commit_task(CommitTaskParam::new(&instance, &task).variable("n", 2))?;
        }
        instances.push((instance, task));
    }
    let before = seen(&engine)?;
    let begun = Instant::now();
    for (instance, task) in instances.iter().cycle().take(usize::try_from(arguments.count)?) {
        let fork = engine.fork(ForkParam::new(InstanceQuery::new(instance.clone()).as_of(1)))?;
        let answer = fork
            .engine()
            .blocking()
            .commit_task(CommitTaskParam::new(instance, task).variable("n", 1))?;
        assert_eq!(answer.err_code, 1000, "the fork comes to its end");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = seen(&engine)?;
    assert_eq!(after, before, "the store is as it was");
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = seconds * 1e6 / arguments.count as f64;
    println!(
        "{} forks, each with a commit, in {seconds:.1} s: {each:.0} us each",
        arguments.count
    );
    println!("records {}, root {}: as before", after.0, after.1);
    Ok(())
}

/// Size, root and state root of the log.
fn seen(engine: &BlockingEngine) -> Result<(u64, String, String), Box<dyn std::error::Error>> {
    let certificate = engine.certify(None, |_| {})?;
    Ok((certificate.size, certificate.root, certificate.state_root))
}
