//! A store that fails at its n-th call, for every n, under a working engine: nothing acknowledged is lost, and what is
//! unknown can be found out by its command id.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use flowledger::store::{Faults, SledOptions, Step};
use flowledger::{
    BlockingEngine, CommitTaskParam, Engine, EngineError, HealthState, RollbackTaskParam, RuntimeResult,
    StartProcessParam, TerminateProcessParam,
};

use crate::fixture::{LINE, deployed, instance_and_task, log, opened, turn_at_sled, verified, without_hanging};

/// Fails one call: the n-th of a kind, before it is made or after it has worked.
struct FailNth {
    step: Step,
    nth: u32,
    is_late: bool,
    calls: AtomicU32,
}

impl FailNth {
    fn verdict(&self, step: Step) -> io::Result<()> {
        if step == self.step && self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.nth {
            return Err(io::Error::other("this call fails"));
        }
        Ok(())
    }

    fn has_failed(&self) -> bool {
        self.calls.load(Ordering::SeqCst) >= self.nth
    }
}

impl Faults for FailNth {
    fn before(&self, step: Step) -> io::Result<()> {
        if self.is_late { Ok(()) } else { self.verdict(step) }
    }

    fn after(&self, step: Step) -> io::Result<()> {
        if self.is_late { self.verdict(step) } else { Ok(()) }
    }
}

/// The engine under test: reopened as often as its store refuses.
struct Bench<'p> {
    path: &'p Path,
    options: SledOptions,
    engine: BlockingEngine,
    /// Outcomes that had to be found out.
    unanswered: u32,
}

impl<'p> Bench<'p> {
    fn new(path: &'p Path, faults: Arc<FailNth>) -> Self {
        let options = SledOptions {
            faults: Some(faults),
            ..SledOptions::default()
        };
        let engine = Self::opened(path, &options);
        Self {
            path,
            options,
            engine,
            unanswered: 0,
        }
    }

    /// Opens; a call that fails at opening is an error like any other, and the next attempt succeeds.
    fn opened(path: &Path, options: &SledOptions) -> BlockingEngine {
        let open = || Engine::builder().data_dir_with(path, options.clone()).open();
        match open() {
            Ok(engine) => engine.blocking(),
            Err(error) => {
                assert_eq!(error.err_code(), 7008, "{error}");
                open().expect("the second attempt opens").blocking()
            }
        }
    }

    /// Gives a command, by the same id until it is answered.
    fn give<T>(&mut self, command: impl Fn(&BlockingEngine) -> Result<T, EngineError>) -> T {
        loop {
            match command(&self.engine) {
                Ok(answer) => return answer,
                Err(error) => {
                    let is_store =
                        error.code() == flowledger::ResultCode::StoreUnavailable || error.err_code_ext() == Some(7008);
                    assert!(is_store, "{error}");
                    self.unanswered += 1;
                    assert!(self.unanswered < 10, "the store does not come back: {error}");
                    self.get_over_it();
                }
            }
        }
    }

    /// Waits for the store to come back by itself, or opens it again where it says that it will not.
    fn get_over_it(&mut self) {
        loop {
            match self.engine.engine().health().state {
                HealthState::Ready => return,
                HealthState::Reopening => thread::sleep(Duration::from_millis(2)),
                HealthState::Refusing | HealthState::Closed => {
                    let _ = self.engine.close();
                    // The old engine must let go before the new one can take hold.
                    let in_memory = opened(Engine::builder());
                    drop(std::mem::replace(&mut self.engine, in_memory));
                    self.engine = Self::opened(self.path, &self.options);
                    return;
                }
            }
        }
    }
}

/// A small run; answers of every command, by its id.
fn run(bench: &mut Bench<'_>) -> Vec<(String, RuntimeResult)> {
    let module = flowledger::FlowModuleId::new(MODULE);
    let mut answers: Vec<(String, RuntimeResult)> = Vec::new();
    for number in 0..3 {
        let id = |what: &str| format!("{what} {number}");
        let start = StartProcessParam::of_module(module.clone())
            .variable("n", number)
            .command_id(&id("start"));
        let answer = bench.give(|engine| engine.start_process(start.clone()));
        let (instance, task) = instance_and_task(&answer);
        answers.push((id("start"), answer));
        let commit = CommitTaskParam::new(&instance, &task)
            .variable("long", "x".repeat(9_000))
            .command_id(&id("commit"));
        let answer = bench.give(|engine| engine.commit_task(commit.clone()));
        let (_, task) = instance_and_task(&answer);
        answers.push((id("commit"), answer));
        let rollback = RollbackTaskParam::new(&instance, &task).command_id(&id("rollback"));
        answers.push((
            id("rollback"),
            bench.give(|engine| engine.rollback_task(rollback.clone())),
        ));
        if number == 1 {
            let end = TerminateProcessParam::new(&instance).command_id(&id("end"));
            let answer = bench.give(|engine| engine.terminate_process(end.clone()));
            assert_eq!((answer.status, answer.version), (3, 4));
        }
    }
    answers
}

/// The id of the module that [`prepare`] makes, the same in every directory.
const MODULE: &str = "the module";

struct FixedModule;

impl flowledger::IdGenerator for FixedModule {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn generate(&self, origin: flowledger::IdOrigin<'_>, kind: flowledger::IdKind, number: u32) -> flowledger::Id {
        match kind {
            flowledger::IdKind::FlowModule => flowledger::Id::new(MODULE),
            _ => flowledger_engine_core::id::NameBasedIds.generate(origin, kind, number),
        }
    }
}

fn prepare(path: &Path) {
    let engine = opened(Engine::builder().data_dir(path).id_generator(FixedModule));
    assert_eq!(deployed(&engine, LINE).to_string(), MODULE);
    engine.close().expect("the store closes");
}

/// Lets the n-th call fail, for every n there is; how many there were.
fn every_failing_call(step: Step, is_late: bool) -> u32 {
    for nth in 1.. {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store");
        prepare(&path);
        let faults = Arc::new(FailNth {
            step,
            nth,
            is_late,
            calls: AtomicU32::new(0),
        });
        let mut bench = Bench::new(&path, faults.clone());
        let answers = run(&mut bench);
        assert_eq!(answers.len(), 9);
        assert_eq!(
            verified(&bench.engine),
            3 + 10,
            "call {nth}: each command is on the record once"
        );
        let leaves: Vec<_> = log(&bench.engine).iter().map(|record| record.leaf).collect();
        let has_failed = faults.has_failed();
        drop(bench);

        let engine = opened(Engine::builder().data_dir(&path));
        assert_eq!(
            log(&engine).iter().map(|record| record.leaf).collect::<Vec<_>>(),
            leaves,
            "call {nth}"
        );
        for (id, answer) in &answers {
            let instance = answer.flow_instance_id.clone().expect("the answer names the instance");
            let records = engine.instance_records(instance).expect("the instance is there");
            let index = usize::try_from(answer.version).expect("a version") - 1;
            assert_eq!(
                records[index].record.envelope().command_id.to_string(),
                *id,
                "call {nth}"
            );
        }
        if !has_failed {
            return nth - 1;
        }
    }
    unreachable!("some run makes fewer calls than any number")
}

#[test]
fn every_failing_call_of_the_store_is_got_over() {
    let _turn = turn_at_sled();
    without_hanging("an engine whose store fails", || {
        for step in [Step::Apply, Step::Flush, Step::Sync] {
            for is_late in [false, true] {
                let calls = every_failing_call(step, is_late);
                println!("{step:?}, late {is_late}: {calls} calls failed, one in each run");
                assert!(calls >= 10, "only {calls} calls of {step:?}");
            }
        }
    });
}

/// From the n-th call on every call fails.
struct FailFrom(Step, u32, AtomicU32);

impl Faults for FailFrom {
    fn before(&self, step: Step) -> io::Result<()> {
        if step == self.0 && self.2.fetch_add(1, Ordering::SeqCst) + 1 >= self.1 {
            return Err(io::Error::other("the disk is gone"));
        }
        Ok(())
    }
}

#[test]
fn disk_that_never_comes_back_is_reported_and_loses_nothing() {
    let _turn = turn_at_sled();
    without_hanging("an engine whose disk is gone", || {
        for step in [Step::Apply, Step::Flush, Step::Sync] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let path = directory.path().join("store");
            prepare(&path);
            let faults = Arc::new(FailFrom(step, 8, AtomicU32::new(0)));
            let options = SledOptions {
                faults: Some(faults),
                ..SledOptions::default()
            };
            let engine = opened(Engine::builder().data_dir_with(&path, options));
            let give = |engine: &BlockingEngine, number: u32| {
                let start = StartProcessParam::of_module(flowledger::FlowModuleId::new(MODULE));
                engine.start_process(start.command_id(&number.to_string()))
            };
            let mut answered = Vec::new();
            let mut refused = Vec::new();
            for number in 0..20 {
                match give(&engine, number) {
                    Ok(answer) => answered.push((number, answer)),
                    Err(error) => {
                        assert_eq!((error.err_code(), error.err_code_ext()), (4016, Some(7008)), "{error}");
                        assert_eq!(
                            error.about().command_id,
                            Some(number.to_string().as_str().into()),
                            "{error}"
                        );
                        refused.push(number);
                    }
                }
            }
            assert!(
                !answered.is_empty() && refused.len() > 5,
                "{step:?}: {} answered",
                answered.len()
            );
            assert_ne!(engine.engine().health().state, HealthState::Ready, "{step:?}");
            let _ = engine.close();
            drop(engine);
            let engine = opened(Engine::builder().data_dir(&path));
            for (number, answer) in &answered {
                assert_eq!(
                    give(&engine, *number).expect("a repeat is answered"),
                    *answer,
                    "{step:?}"
                );
            }
            for number in refused {
                give(&engine, number).expect("the disk is back");
            }
            assert_eq!(verified(&engine), 3 + 20, "{step:?}");
        }
    });
}
