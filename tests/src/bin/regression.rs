//! Records many instances and judges all of them by their own model and by one with another limit: what a regression costs.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use flowledger::{
    BlockingEngine, CommitTaskParam, DeployModel, Engine, FlowModuleId, RegressionParam, RollbackTaskParam,
    StartProcessParam,
};
use flowledger_tests::dice::Dice;
use flowledger_tests::sketch::flow;

/// A request that goes round until it is agreed to; large ones are signed by two at once.
const SKETCH: &str = "start -> ask -> gate; gate -(amount > 500)-> fork1 -> sign -> join1; fork1 -> note -> join1; \
    gate -(amount <= 500)-> check; join1 -> check; check -> gate2; gate2 -(round < 40)-> ask; gate2 -(round >= 40)-> end";

/// Judges recorded instances by a candidate.
#[derive(Parser)]
struct Arguments {
    /// How many instances.
    #[arg(long, default_value_t = 100_000)]
    instances: u64,
    /// How many records each of them has.
    #[arg(long, default_value_t = 20)]
    records: usize,
    /// Where the log is kept; in memory unless named. One that is there is used as it is.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Threads that judge; one for each core unless named.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let builder = match &arguments.data {
        Some(path) => Engine::builder().data_dir(path),
        None => Engine::builder().in_memory(),
    };
    let engine = builder.open()?.blocking();
    let module = match engine
        .list_flow_modules(&flowledger::ModuleFilter::default(), flowledger::ListParam::default())?
        .flow_modules
        .first()
    {
        Some(known) => known.flow_module_id.clone(),
        None => recorded(&engine, &arguments)?,
    };
    for (name, model) in [
        ("its own model", SKETCH.to_owned()),
        ("another limit", SKETCH.replace("500", "450")),
    ] {
        let model = flow("main", &model).flow_model.to_string();
        let mut param = RegressionParam::new(module.clone(), &model);
        if let Some(threads) = arguments.threads {
            param = param.threads(threads);
        }
        let (begun, used) = (Instant::now(), processor_seconds());
        let report = engine.regression(param, |_| {})?;
        let (seconds, used) = (begun.elapsed().as_secs_f64(), processor_seconds() - used);
        let tally = &report.tally;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let each = used * 1e6 / tally.commands as f64;
        println!(
            "{name}: {} instances, {} of {} records decided again: {} the same path, {} diverge, {} groups; {seconds:.1} s, \
             {used:.1} s of processor time, {each:.1} us for each command",
            tally.instances,
            tally.commands,
            report.log_position,
            tally.same_path,
            tally.diverges,
            tally.groups.len(),
        );
    }
    if let Some(peak) = peak_memory() {
        println!("most memory, the log in memory included: {peak} MiB");
    }
    Ok(())
}

/// Records the instances on as many threads as there are cores.
fn recorded(engine: &BlockingEngine, arguments: &Arguments) -> Result<FlowModuleId, Box<dyn std::error::Error>> {
    let model = flow("main", SKETCH).flow_model.to_string();
    let module = engine.deploy_model(DeployModel::new("main", &model))?.flow_module_id;
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    // A sync is shared by all who wait for it.
    let threads = if arguments.data.is_some() { 64 } else { 2 };
    std::thread::scope(|scope| {
        let work = || -> Result<(), String> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= arguments.instances {
                    return Ok(());
                }
                run(engine, &module, number, arguments.records).map_err(|error| error.to_string())?;
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            worker
                .join()
                .unwrap_or_else(|_| Err("a thread has panicked".to_owned()))
        })
    })?;
    println!("recorded in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(module)
}

/// Runs one instance until it has its records.
fn run(
    engine: &BlockingEngine,
    module: &FlowModuleId,
    number: u64,
    records: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut dice = Dice::of(7, number);
    let start = StartProcessParam::of_module(module.clone())
        .variable("amount", 0)
        .variable("round", 0)
        .variable("who", "liming");
    let answer = engine.start_process(start)?;
    let instance = answer.flow_instance_id.clone().ok_or("no instance")?;
    let mut tasks: Vec<_> = answer
        .active_task()
        .into_iter()
        .map(|task| (task.node_instance_id.clone(), task.model_key.clone()))
        .collect();
    for version in 2..=records {
        let Some((task, key)) = tasks.pop() else { break };
        // Now and then somebody goes back.
        if *key == *"check" && dice.percent(10) {
            engine.rollback_task(RollbackTaskParam::new(&instance, &task))?;
        } else {
            let amount = i64::try_from(dice.below(1_000))?;
            engine.commit_task(
                CommitTaskParam::new(&instance, &task)
                    .variable("amount", amount)
                    .variable("round", i64::try_from(version)?),
            )?;
        }
        let known = engine.get_history_user_task_list(&instance)?;
        tasks = known
            .node_instance_list
            .iter()
            .filter(|task| task.status == 2)
            .map(|task| (task.node_instance_id.clone(), task.model_key.clone()))
            .collect();
    }
    Ok(())
}

/// The processor time that this process has used.
fn processor_seconds() -> f64 {
    // Clock ticks are hundredths of a second on Linux; elsewhere there is no such file, and the figure is 0.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The most memory that this process has held.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}
