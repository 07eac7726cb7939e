//! Many clients at once: one of two wins, nobody waits for a stranger, and who goes away leaves nothing broken.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use flowledger::expression::{Condition, DialectCalculator, ExpressionCalculator, ExpressionError};
use flowledger::store::{
    Append, AppendError, Appended, BoxFuture, Counters, EventStore, Health, Layout, Offset, Partition, Revision,
    SledOptions, Store, StoreError, Stored, StreamId,
};
use flowledger::{
    AnyRecord, BlockingEngine, CommandId, CommitTaskParam, CreateFlowParam, DeployFlowParam, Engine, EngineBuilder,
    EngineError, FlowInstanceId, FlowModuleId, Hook, HookCall, HostError, Id, IdGenerator, IdKind, IdOrigin,
    InstanceData, InstanceFilter, ListParam, Listener, ModuleFilter, RollbackTaskParam, RuntimeResult,
    StartProcessParam, TerminateProcessParam, UpdateFlowParam,
};
use flowledger_engine_core::event::InstanceEvent;
use flowledger_engine_core::id::NameBasedIds;
use flowledger_tests::dice::Dice;
use flowledger_tests::sketch::flow;

use crate::fixture::{
    LINE, deployed, engine_on, instance_and_task, log, memory, opened, sled, started, told, turn_at_sled, verified,
    without_hanging,
};

fn code(answer: &Result<RuntimeResult, EngineError>) -> i32 {
    match answer {
        Ok(answer) => answer.err_code,
        Err(error) => error.err_code(),
    }
}

/// Gives the commands at the same time, each from a thread of its own.
fn at_once(engine: &BlockingEngine, params: Vec<CommitTaskParam>) -> Vec<Result<RuntimeResult, EngineError>> {
    let barrier = Barrier::new(params.len());
    thread::scope(|scope| {
        let threads: Vec<_> = params
            .into_iter()
            .map(|param| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    engine.commit_task(param)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a commit does not panic"))
            .collect()
    })
}

/// One of the answers is the winner's, the other one's is `loser`; the log has one record more.
fn assert_one_wins(engine: &BlockingEngine, instance: &FlowInstanceId, params: Vec<CommitTaskParam>, loser: i32) {
    let before = engine
        .instance_records(instance.clone())
        .expect("the instance has records")
        .len();
    let ids: Vec<CommandId> = params
        .iter()
        .filter_map(|param| param.options.command_id.clone())
        .collect();
    let answers = at_once(engine, params);
    let records = engine
        .instance_records(instance.clone())
        .expect("the instance has records");
    assert_eq!(records.len(), before + 1, "{answers:?}");
    let winner = records[before].record.envelope().command_id.clone();
    let won = ids
        .iter()
        .position(|id| *id == winner)
        .expect("the record is of one of the two");
    let position = answers[won].as_ref().expect("the winner is answered");
    for (index, answer) in answers.iter().enumerate().filter(|(index, _)| *index != won) {
        assert_eq!(code(answer), loser, "the loser, {}: {answer:?}", ids[index]);
        if loser == 1002 {
            let answer = answer.as_ref().expect("1002 is an answer");
            assert_eq!(answer.active_task_instance, position.active_task_instance);
            assert_eq!(answer.version, position.version);
        }
    }
    let data = engine.get_instance_data(instance).expect("the instance has data");
    assert_eq!(
        *data.variables,
        [InstanceData::new("who", i64::try_from(won).unwrap_or(-1))]
    );
}

fn rivals(answer: &RuntimeResult, round: usize, expected_version: Option<u64>) -> Vec<CommitTaskParam> {
    let (instance, task) = instance_and_task(answer);
    let rival = |who: i64| {
        let id = format!("{}-{round}-{who}", answer.version);
        let mut param = CommitTaskParam::new(&instance, &task)
            .variable("who", who)
            .command_id(&id);
        param.options.expected_version = expected_version;
        param
    };
    vec![rival(0), rival(1)]
}

fn race(store: &Store, rounds: usize) {
    let engine = engine_on(store);
    let module = deployed(&engine, LINE);
    let position = |id: &FlowInstanceId| {
        let tasks = engine.get_history_user_task_list(id).expect("the instance is there");
        let mut answer = engine
            .start_process(StartProcessParam::of_module(module.clone()))
            .expect("the flow starts");
        answer.flow_instance_id = Some(id.clone());
        answer.active_task_instance = tasks.node_instance_list.into_iter().find(|task| task.status == 2);
        answer.version = tasks.version;
        answer
    };
    for round in 0..rounds {
        let start = StartProcessParam::of_module(module.clone());
        let answer = engine.start_process(start.clone()).expect("the flow starts");
        let (instance, _) = instance_and_task(&answer);
        assert_one_wins(&engine, &instance, rivals(&answer, round, None), 1002);
        assert_one_wins(&engine, &instance, rivals(&position(&instance), round, None), 1001);

        let answer = engine.start_process(start).expect("the flow starts");
        let (instance, _) = instance_and_task(&answer);
        assert_one_wins(&engine, &instance, rivals(&answer, round, Some(1)), 7303);
        assert_one_wins(&engine, &instance, rivals(&position(&instance), round, Some(2)), 7303);
    }
    verified(&engine);
}

#[test]
fn one_of_two_threads_that_commit_a_task_wins() {
    race(&memory(), 150);
}

#[test]
fn one_of_two_threads_that_commit_a_task_wins_on_sled() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    race(&sled(&directory.path().join("store"), SledOptions::default()), 15);
}

#[test]
fn one_of_many_async_tasks_that_commit_a_task_wins() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .expect("a runtime");
    let engine = Engine::builder().open().expect("the engine opens");
    let module = deployed(&engine.blocking(), LINE);
    for round in 0..100 {
        let answers = runtime.block_on(async {
            let start = engine
                .start_process(StartProcessParam::of_module(module.clone()))
                .await
                .expect("it starts");
            let (instance, task) = instance_and_task(&start);
            let tasks: Vec<_> = (0..8)
                .map(|who| {
                    let engine = engine.clone();
                    let mut param = CommitTaskParam::new(&instance, &task).variable("who", who);
                    // Half of them look at the version.
                    param.options.expected_version = (who % 2 == 0).then_some(start.version);
                    tokio::spawn(async move { engine.commit_task(param).await })
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.expect("a commit does not panic"));
            }
            (instance, answers)
        });
        let (instance, answers) = answers;
        let records = engine
            .blocking()
            .instance_records(instance)
            .expect("the instance has records");
        assert_eq!(records.len(), 2, "round {round}: {answers:?}");
        for (who, answer) in answers.iter().enumerate() {
            let allowed: &[i32] = if who % 2 == 0 { &[1002, 7303] } else { &[1002] };
            assert!(allowed.contains(&code(answer)), "round {round}, {who}: {answer:?}");
        }
    }
}

#[test]
fn loser_with_an_expected_version_is_told_where_the_instance_stands() {
    let engine = engine_on(&memory());
    let (instance, task) = started(&engine, &deployed(&engine, LINE));
    let mut param = CommitTaskParam::new(&instance, &task);
    param.options.expected_version = Some(1);
    engine.commit_task(param.clone()).expect("the first one wins");
    let error = engine.commit_task(param).expect_err("the second one is refused");
    assert_eq!(
        (error.err_code(), error.about().version, error.about().status),
        (7303, Some(2), Some(2))
    );
    assert!(
        error.detail().contains("expected version 1, actual version 2"),
        "{error}"
    );
}

#[test]
fn two_engines_on_one_store_never_both_commit_a_task() {
    let store = memory();
    let engines = [engine_on(&store), engine_on(&store)];
    let module = deployed(&engines[0], LINE);
    for round in 0..100 {
        let (instance, task) = started(&engines[round % 2], &module);
        let barrier = Barrier::new(2);
        let answers: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = engines
                .iter()
                .map(|engine| {
                    let (barrier, param) = (&barrier, CommitTaskParam::new(&instance, &task));
                    scope.spawn(move || {
                        barrier.wait();
                        engine.commit_task(param)
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a commit does not panic"))
                .collect()
        });
        for answer in &answers {
            assert_eq!(code(answer), 1002, "round {round}: {answer:?}");
        }
        let records = engines[0].instance_records(instance).expect("the instance has records");
        assert_eq!(records.len(), 2, "round {round}");
    }
}

#[test]
fn one_command_given_by_many_at_once_is_done_once() {
    let engine = engine_on(&memory());
    let module = deployed(&engine, LINE);
    for round in 0..50 {
        let before = log(&engine).len();
        let give = |_| {
            let param = StartProcessParam::of_module(module.clone())
                .variable("n", round)
                .command_id(&format!("s{round}"));
            engine.start_process(param).expect("the flow starts")
        };
        let answers: Vec<RuntimeResult> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|client| scope.spawn(move || give(client))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a start does not panic"))
                .collect()
        });
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "round {round}: {answers:?}"
        );
        assert_eq!(log(&engine).len(), before + 1, "round {round}");
    }
}

#[test]
fn clients_of_different_instances_share_syncs() {
    const CLIENTS: usize = 64;
    const COMMITS: usize = 6;
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    // A slow disk, so that those who come meanwhile are many.
    let options = SledOptions {
        flush_delay: Duration::from_millis(2),
        ..SledOptions::default()
    };
    let engine = opened(Engine::builder().data_dir_with(directory.path().join("store"), options));
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(done == true)-> end; gate -(default)-> again -> ask",
    );
    let before = engine.engine().counters();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let (instance, mut task) = started(&engine, &module);
                for _ in 0..COMMITS {
                    let answer = engine.commit_task(CommitTaskParam::new(&instance, &task).variable("done", false));
                    task = instance_and_task(&answer.expect("the commit is taken")).1;
                }
            });
        }
    });
    let after = engine.engine().counters();
    let (records, batches) = (after.records - before.records, after.batches - before.batches);
    println!("{records} records in {batches} batches");
    assert_eq!(records, (CLIENTS * (COMMITS + 1)) as u64);
    assert!(records > batches, "{records} records in {batches} batches");
    let running = InstanceFilter {
        status: Some(2),
        ..InstanceFilter::default()
    };
    let list = engine
        .list_flow_instances(
            &running,
            ListParam {
                before: None,
                limit: Some(1_000),
            },
        )
        .expect("a list");
    assert_eq!(list.flow_instances.len(), CLIENTS);
    verified(&engine);
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

async fn yielding(times: usize) {
    let mut left = times;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// A store that lets others go first wherever it may: before and after everything it does.
struct Hesitant(Store);

impl Hesitant {
    fn on(store: &Store) -> Store {
        Store {
            events: Arc::new(Self(store.clone())),
            index: store.index.clone(),
        }
    }
}

impl EventStore for Hesitant {
    fn append(&self, items: Vec<Append>) -> BoxFuture<'_, Vec<Result<Appended, AppendError>>> {
        Box::pin(async move {
            yielding(1).await;
            let answers = self.0.events.append(items).await;
            yielding(2).await;
            answers
        })
    }

    fn read_stream(
        &self,
        stream: &StreamId,
        after: Revision,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        let stream = *stream;
        Box::pin(async move {
            yielding(1).await;
            let records = self.0.events.read_stream(&stream, after, max).await;
            yielding(1).await;
            records
        })
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Offset,
        max: usize,
    ) -> BoxFuture<'_, Result<Vec<Stored>, StoreError>> {
        self.0.events.read_partition(partition, after, max)
    }

    fn changed(&self, partition: Partition, after: Offset, wait: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.events.changed(partition, after, wait)
    }

    fn layout(&self) -> &Layout {
        self.0.events.layout()
    }

    fn head(&self, partition: Partition) -> Offset {
        self.0.events.head(partition)
    }

    fn counters(&self) -> Counters {
        self.0.events.counters()
    }

    fn health(&self) -> Health {
        self.0.events.health()
    }

    fn close(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.0.events.close()
    }
}

/// A future that is polled some times and then dropped.
fn begin_and_drop<T>(future: impl Future<Output = T>, polls: u64) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(done) = poll(future.as_mut()) {
            return Some(done);
        }
    }
    None
}

/// What a commit may come to when others, who went away, may have committed the task or rolled it back before.
const SERVED: [i32; 4] = [1000, 1001, 1002, 4001];

/// Clients that go away in the middle of commands, over and over; whoever stays is served and sees the truth.
fn callers_that_go_away(engine: &BlockingEngine, fresh: impl Fn() -> BlockingEngine, seed: u64, rounds: u64) {
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let module = deployed(
        engine,
        "start -> ask -> gate; gate -(n > 90)-> end; gate -(default)-> check -> ask",
    );
    let mut instances: Vec<FlowInstanceId> = (0..4).map(|_| started(engine, &module).0).collect();
    for round in 0..rounds {
        let asynchronous = engine.engine();
        let slot = dice.index(instances.len());
        let instance = instances[slot].clone();
        let tasks = engine
            .get_history_user_task_list(&instance)
            .expect("the instance answers");
        let Some(task) = tasks.node_instance_list.iter().find(|task| task.status == 2) else {
            instances[slot] = started(engine, &module).0;
            continue;
        };
        let task = &task.node_instance_id;
        let commit = |id: &str, n: u64| {
            CommitTaskParam::new(&instance, task)
                .variable("n", i64::try_from(n).unwrap_or(0))
                .command_id(id)
        };
        let polls = dice.below(8);
        match dice.below(5) {
            0 | 1 => drop(begin_and_drop(
                asynchronous.commit_task(commit(&format!("d{round}"), dice.below(100))),
                polls,
            )),
            2 => drop(begin_and_drop(
                asynchronous.rollback_task(RollbackTaskParam::new(&instance, task)),
                polls,
            )),
            3 => drop(begin_and_drop(
                asynchronous.start_process(StartProcessParam::of_module(module.clone())),
                polls,
            )),
            _ => {
                // Two in the same lane: the first goes away while the second waits behind it.
                let mut first = Box::pin(asynchronous.commit_task(commit(&format!("a{round}"), dice.below(100))));
                let mut second = Box::pin(asynchronous.commit_task(commit(&format!("b{round}"), dice.below(100))));
                let mut done = [poll(first.as_mut()).is_ready(), poll(second.as_mut()).is_ready()];
                for _ in 0..polls {
                    let which = dice.index(2);
                    if !done[which] {
                        done[which] = poll(if which == 0 { first.as_mut() } else { second.as_mut() }).is_ready();
                    }
                }
                if dice.percent(50) {
                    drop(first);
                    if !done[1] {
                        let answer = pollster::block_on(second);
                        assert!(SERVED.contains(&code(&answer)), "round {round}: {answer:?}");
                    }
                }
            }
        }
        if dice.percent(40) {
            // Whoever comes next is served, and by what it is told the command is done once.
            let id = format!("n{round}");
            let answer = engine.commit_task(commit(&id, dice.below(100)));
            assert!(SERVED.contains(&code(&answer)), "round {round}: {answer:?}");
            let again = engine.commit_task(commit(&id, 1_000));
            assert!(
                SERVED.contains(&code(&again)) || code(&again) == 7301,
                "round {round}: {again:?}"
            );
        }
    }
    // What was dropped may still be on its way; a command that comes behind it is answered after it.
    started(engine, &module);
    let records = verified(engine);
    let other = fresh();
    for instance in &instances {
        let _ = engine
            .terminate_process(TerminateProcessParam::new(instance))
            .expect("terminating is always taken");
        assert_eq!(told(engine, instance), told(&other, instance));
        assert_eq!(
            engine
                .get_flow_instance(instance.clone())
                .expect("it is there")
                .flow_instance_bo
                .status
                % 2,
            1
        );
    }
    assert!(verified(&other) >= records);
    let page = ListParam {
        before: None,
        limit: Some(1_000),
    };
    let lists = [engine, &other].map(|engine| {
        engine
            .list_flow_instances(&InstanceFilter::default(), page)
            .expect("a list")
    });
    assert_eq!(lists[0], lists[1]);
}

#[test]
fn callers_that_go_away_leave_nothing_broken() {
    for seed in [11, 12, 13] {
        without_hanging("an engine whose callers go away", move || {
            let store = memory();
            let hesitant = Hesitant::on(&store);
            callers_that_go_away(&engine_on(&hesitant), || engine_on(&store), seed, 600);
        });
    }
}

#[test]
fn callers_that_go_away_leave_nothing_broken_without_a_cache() {
    without_hanging("an engine whose callers go away", move || {
        let store = memory();
        let engine = opened(Engine::builder().store(Hesitant::on(&store)).cache_bytes(0));
        callers_that_go_away(&engine, || engine_on(&store), 21, 300);
    });
}

#[test]
fn callers_that_go_away_leave_nothing_broken_on_sled() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    without_hanging("an engine whose callers go away", move || {
        let store = sled(&path, SledOptions::default());
        callers_that_go_away(&engine_on(&store), || engine_on(&store), 31, 300);
    });
}

#[test]
fn readers_never_see_an_instance_go_backwards() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let engine = opened(
        Engine::builder()
            .data_dir(directory.path().join("store"))
            .cache_bytes(200_000),
    );
    let module = deployed(
        &engine,
        "start -> ask -> gate; gate -(done == true)-> end; gate -(default)-> ask",
    );
    let (instance, mut task) = started(&engine, &module);
    let others: Vec<FlowInstanceId> = (0..40).map(|_| started(&engine, &module).0).collect();
    let written = AtomicUsize::new(1);
    thread::scope(|scope| {
        for reader in 0..3 {
            let (engine, instance, others, written) = (&engine, &instance, &others, &written);
            scope.spawn(move || {
                let mut seen = 0;
                let mut dice = Dice::new(reader);
                while seen < 60 {
                    let answered = written.load(Ordering::SeqCst);
                    let version = engine
                        .get_instance_data(instance)
                        .expect("the instance answers")
                        .version;
                    assert!(version >= seen, "after version {seen} came {version}");
                    assert!(
                        version >= answered as u64,
                        "version {answered} was answered, a reader saw {version}"
                    );
                    seen = version;
                    // Others push it out of the cache.
                    let other = &others[dice.index(others.len())];
                    assert_eq!(
                        engine.get_instance_data(other).expect("the instance answers").version,
                        1
                    );
                }
            });
        }
        for version in 2..=60 {
            let answer = engine.commit_task(CommitTaskParam::new(&instance, &task).variable("done", false));
            task = instance_and_task(&answer.expect("the commit is taken")).1;
            written.store(version, Ordering::SeqCst);
        }
    });
}

#[test]
fn cache_of_any_size_gives_the_same_answers() {
    let sizes = [0, 1, 3_000, 40_000, flowledger::CACHE_BYTES];
    let engines: Vec<BlockingEngine> = sizes
        .iter()
        .map(|bytes| opened(Engine::builder().cache_bytes(*bytes).clock(Still)))
        .collect();
    let mut dice = Dice::new(5);
    let modules: Vec<FlowModuleId> = engines
        .iter()
        .map(|engine| {
            let create = CreateFlowParam {
                tenant: "t".into(),
                caller: "c".into(),
                options: flowledger::CommandOptions {
                    command_id: Some("m".into()),
                    ..Default::default()
                },
                ..CreateFlowParam::default()
            };
            let id = engine
                .create_flow(create)
                .expect("a module can be created")
                .flow_module_id;
            let model = flow("main", LINE).flow_model.to_string();
            engine
                .deploy_model(flowledger::DeployModel::new("main", &model).to_module(id.clone()))
                .expect("it deploys");
            id
        })
        .collect();
    let mut tasks = Vec::new();
    for word in 0..200 {
        let id = format!("w{word}");
        let choice = (!tasks.is_empty())
            .then(|| dice.index(tasks.len()))
            .filter(|_| dice.percent(70));
        let kind = dice.below(10);
        let mut stories = Vec::new();
        let mut next = None;
        for (engine, module) in engines.iter().zip(&modules) {
            let answer = match choice.map(|index| &tasks[index]) {
                None => engine.start_process(StartProcessParam::of_module(module.clone()).command_id(&id)),
                Some((instance, task)) if kind < 7 => {
                    engine.commit_task(CommitTaskParam::new(instance, task).command_id(&id))
                }
                Some((instance, task)) => engine.rollback_task(RollbackTaskParam::new(instance, task).command_id(&id)),
            };
            if let Ok(Some(_)) = answer
                .as_ref()
                .map(|answer| answer.active_task().filter(|task| task.status == 2))
            {
                next = answer.as_ref().ok().map(instance_and_task);
            }
            let told = choice.map(|index| told(engine, &tasks[index].0));
            stories.push((answer.map_err(|error| error.to_string()).map(strip_deployment), told));
        }
        assert!(stories.windows(2).all(|pair| pair[0].0 == pair[1].0), "{stories:?}");
        assert!(
            stories
                .windows(2)
                .all(|pair| normal(pair[0].1.as_ref()) == normal(pair[1].1.as_ref()))
        );
        tasks.extend(next);
    }
}

/// Deployments get ids of their own in every engine.
fn strip_deployment(mut answer: RuntimeResult) -> RuntimeResult {
    answer.flow_deploy_id = None;
    answer
}

fn normal(told: Option<&serde_json::Value>) -> Option<serde_json::Value> {
    let mut told = told?.clone();
    told[0]["flowInstanceBO"]["flowDeployId"] = serde_json::Value::Null;
    Some(told)
}

struct Still;

impl flowledger::Clock for Still {
    fn now(&self) -> flowledger::Timestamp {
        flowledger::Timestamp::from_millis(1_608_015_944_000)
    }
}

const HOOKED: &str =
    "start -> ask -> gate[hookInfoIds=h]; gate -(hooked == true)-> approve -> end; gate -(default)-> reject -> end";

/// What a hook does when it is called.
type Behaviour = dyn Fn(&HookCall) -> BoxFuture<'static, Result<Vec<InstanceData>, HostError>> + Send + Sync;

struct Behaving(&'static str, Box<Behaviour>);

impl Hook for Behaving {
    fn name(&self) -> &str {
        self.0
    }

    fn call<'a>(&'a self, call: &'a HookCall) -> BoxFuture<'a, Result<Vec<InstanceData>, HostError>> {
        (self.1)(call)
    }
}

fn hooked() -> Vec<InstanceData> {
    vec![InstanceData::new("hooked", true)]
}

#[test]
fn slow_hook_of_one_instance_does_not_hold_up_another() {
    let (release, wait) = tokio::sync::watch::channel(false);
    let slow = Mutex::new(None::<FlowInstanceId>);
    let slow = Arc::new(slow);
    let known = slow.clone();
    let hook = Behaving(
        "slow",
        Box::new(move |call| {
            let is_slow = known.lock().expect("nobody panics").as_ref() == Some(&call.flow_instance_id);
            let mut wait = wait.clone();
            Box::pin(async move {
                if is_slow {
                    wait.wait_for(|released| *released).await?;
                }
                Ok(hooked())
            })
        }),
    );
    let engine = opened(Engine::builder().hook(hook).hook_time_out(Duration::from_secs(600)));
    let module = deployed(&engine, HOOKED);
    let (first, task_of_first) = started(&engine, &module);
    let (second, task_of_second) = started(&engine, &module);
    *slow.lock().expect("nobody panics") = Some(first.clone());
    let mut waiting = pin!(
        engine
            .engine()
            .commit_task(CommitTaskParam::new(&first, &task_of_first))
    );
    assert!(poll(waiting.as_mut()).is_pending());
    let answer = engine
        .commit_task(CommitTaskParam::new(&second, &task_of_second))
        .expect("the other goes on");
    assert_eq!(&*answer.active_task().expect("a task waits").model_key, "approve");
    // Queries of the instance in question are answered as well, as of before.
    assert_eq!(
        engine.get_instance_data(&first).expect("the instance answers").version,
        1
    );
    assert!(poll(waiting.as_mut()).is_pending());
    release.send(true).expect("somebody waits");
    let answer = pollster::block_on(waiting).expect("the first goes on");
    assert_eq!(&*answer.active_task().expect("a task waits").model_key, "approve");
}

#[test]
fn caller_that_goes_away_while_a_hook_is_slow_frees_the_instance() {
    let hook = Behaving("never", Box::new(|_| Box::pin(std::future::pending())));
    let engine = opened(Engine::builder().hook(hook).hook_time_out(Duration::from_millis(300)));
    let (instance, task) = started(&engine, &deployed(&engine, HOOKED));
    assert!(begin_and_drop(engine.engine().commit_task(CommitTaskParam::new(&instance, &task)), 3).is_none());
    assert_eq!(
        engine
            .instance_records(instance.clone())
            .expect("there are records")
            .len(),
        1
    );
    let answer = engine.terminate_process(&instance).expect("the instance is free");
    assert_eq!((answer.status, answer.version), (3, 2));
}

/// Commits past a gateway whose hook behaves so; where the flow stands, and what was recorded of the hook.
fn past_a_hook(builder: EngineBuilder) -> (String, Vec<String>) {
    let engine = opened(builder);
    let (instance, task) = started(&engine, &deployed(&engine, HOOKED));
    let answer = engine
        .commit_task(CommitTaskParam::new(&instance, &task).variable("hooked", false))
        .expect("a hook is never fatal");
    let records = engine.instance_records(instance).expect("the instance has records");
    let AnyRecord::Instance(record) = &records[1].record else {
        panic!("it is the record of an instance")
    };
    let failures = record.events.iter().find_map(|event| match event {
        InstanceEvent::HookAnswered { failures, .. } => Some(failures.iter().map(ToString::to_string).collect()),
        _ => None,
    });
    (
        answer.active_task().expect("a task waits").model_key.to_string(),
        failures.expect("the hook is on the record"),
    )
}

#[test]
fn hooks_that_fail_are_recorded_and_the_flow_goes_on() {
    let builder = || Engine::builder().hook_time_out(Duration::from_millis(20));
    let failing = || {
        Behaving(
            "failing",
            Box::new(|_| Box::pin(async { Err("no answer today".into()) })),
        )
    };
    let late = || Behaving("late", Box::new(|_| Box::pin(std::future::pending())));
    let panicking = || Behaving("panicking", Box::new(|_| Box::pin(async { panic!("out of order") })));
    let at_once = || Behaving("at once", Box::new(|_| panic!("out of order")));
    let good = || Behaving("good", Box::new(|_| Box::pin(async { Ok(hooked()) })));

    let told = |text: &str| ("reject".to_owned(), vec![text.to_owned()]);
    assert_eq!(past_a_hook(builder().hook(failing())), told("failing: no answer today"));
    assert_eq!(
        past_a_hook(builder().hook(late())),
        told("late: did not answer within 20 ms")
    );
    assert_eq!(
        past_a_hook(builder().hook(panicking())),
        told("panicking: panicked: out of order")
    );
    assert_eq!(
        past_a_hook(builder().hook(at_once())),
        told("at once: panicked: out of order")
    );
    assert_eq!(past_a_hook(builder().hook(good())), ("approve".to_owned(), Vec::new()));

    let (stands_at, failures) = past_a_hook(builder().hook(failing()).hook(good()).hook(late()).hook(panicking()));
    assert_eq!((stands_at.as_str(), failures.len()), ("approve", 3), "{failures:?}");
    let huge = Behaving(
        "huge",
        Box::new(|_| Box::pin(async { Ok(vec![InstanceData::new("hooked", "x".repeat(2 << 20))]) })),
    );
    let (stands_at, failures) = past_a_hook(builder().hook(huge));
    assert_eq!(stands_at, "reject");
    assert!(failures[0].contains("Limits::hook_bytes"), "{failures:?}");
}

/// Makes ids as usual, except that it panics for one kind while it is told to.
#[derive(Clone)]
struct PanickingIds(Arc<Mutex<Option<IdKind>>>);

impl IdGenerator for PanickingIds {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn generate(&self, origin: IdOrigin<'_>, kind: IdKind, number: u32) -> Id {
        let panics = *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) == Some(kind);
        assert!(!panics, "no id today");
        NameBasedIds.generate(origin, kind, number)
    }
}

#[test]
fn panicking_id_generator_is_answered_with_5000_and_the_engine_goes_on() {
    let told_to = Arc::new(Mutex::new(None));
    let engine = opened(Engine::builder().id_generator(PanickingIds(told_to.clone())));
    let module = deployed(&engine, LINE);
    let (instance, task) = started(&engine, &module);
    let records = verified(&engine);
    let panics_at = |kind| *told_to.lock().expect("nobody panics here") = kind;
    let assert_5000 = |what: &str, answer: Result<i32, EngineError>| {
        let error = answer.expect_err(what);
        assert_eq!(error.err_code(), 5000, "{what}: {error}");
        assert!(error.detail().contains("no id today"), "{what}: {error}");
    };
    let start = || {
        engine
            .start_process(StartProcessParam::of_module(module.clone()).variable("a", 1))
            .map(|a| a.err_code)
    };
    let commit = || {
        engine
            .commit_task(CommitTaskParam::new(&instance, &task).variable("a", 1))
            .map(|a| a.err_code)
    };
    let create = || {
        let param = CreateFlowParam {
            tenant: "t".into(),
            caller: "c".into(),
            ..CreateFlowParam::default()
        };
        engine.create_flow(param).map(|a| a.err_code)
    };
    let deploy = || {
        let flow_module_id = module.to_string();
        let param = DeployFlowParam {
            tenant: "t".into(),
            caller: "c".into(),
            flow_module_id,
            ..DeployFlowParam::default()
        };
        engine.deploy_flow(param).map(|a| a.err_code)
    };
    panics_at(Some(IdKind::NodeInstance));
    assert_5000("start", start());
    assert_5000("commit", commit());
    panics_at(Some(IdKind::InstanceData));
    assert_5000("start", start());
    assert_5000("commit", commit());
    panics_at(Some(IdKind::FlowDeployment));
    assert_5000("deploy", deploy());
    assert_eq!(verified(&engine), records, "nothing was recorded");
    panics_at(None);
    assert_eq!(start().expect("it starts again"), 1002);
    assert_eq!(commit().expect("it commits again"), 1002);
    assert_eq!(create().expect("it creates again"), 1000);
    assert_eq!(deploy().expect("it deploys again"), 1000);
}

/// Conditions as usual, except that one text panics when it is compiled and one when it is evaluated.
struct PanickingCalculator;

struct PanickingCondition;

impl Condition for PanickingCondition {
    fn evaluate(&self, _: &dyn flowledger::expression::Variables) -> Result<bool, ExpressionError> {
        panic!("cannot evaluate")
    }
}

impl ExpressionCalculator for PanickingCalculator {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn compile(&self, text: &str) -> Result<Arc<dyn Condition>, ExpressionError> {
        assert_ne!(text, "uncompilable", "cannot compile");
        match text {
            "panics" => Ok(Arc::new(PanickingCondition)),
            _ => DialectCalculator.compile(text),
        }
    }
}

#[test]
fn panicking_calculator_is_answered_with_5000_and_the_engine_goes_on() {
    let engine = opened(Engine::builder().expression_calculator(PanickingCalculator));
    let model = |condition: &str| {
        let sketch = format!("start -> ask -> gate; gate -(a > 5)-> high -> end; gate -({condition})-> low -> end");
        flow("main", &sketch).flow_model.to_string()
    };
    let error = engine
        .deploy_model(flowledger::DeployModel::new("main", &model("uncompilable")))
        .expect_err("a panic");
    assert_eq!(error.err_code(), 5000, "{error}");
    let module = engine
        .deploy_model(flowledger::DeployModel::new("main", &model("panics")))
        .expect("it deploys");
    let (instance, task) = started(&engine, &module.flow_module_id);
    let before = told(&engine, &instance);
    for _ in 0..3 {
        let error = engine
            .commit_task(CommitTaskParam::new(&instance, &task).variable("a", 1))
            .expect_err("a panic");
        assert_eq!(error.err_code(), 5000, "{error}");
        assert!(error.detail().contains("cannot evaluate"), "{error}");
    }
    assert_eq!(told(&engine, &instance), before);
    let answer = engine
        .commit_task(CommitTaskParam::new(&instance, &task).variable("a", 6))
        .expect("it goes on");
    assert_eq!(
        (&*answer.active_task().expect("a task waits").model_key, answer.version),
        ("high", 2)
    );
}

/// What a listener was told, and how it takes it.
#[derive(Default)]
struct Heard {
    told: Mutex<Vec<(u64, String)>>,
    news: Condvar,
    calls: AtomicUsize,
}

impl Heard {
    /// Waits until the listener was told so much.
    fn wait_for(&self, count: usize) -> Vec<(u64, String)> {
        let told = self.told.lock().expect("the listener does not panic here");
        let (told, waited) = self
            .news
            .wait_timeout_while(told, Duration::from_secs(120), |told| told.len() < count)
            .expect("the listener does not panic here");
        assert!(!waited.timed_out(), "the listener was told {} of {count}", told.len());
        told.clone()
    }
}

struct Ear {
    heard: Arc<Heard>,
    store: Store,
    /// Of so many calls one fails, and of so many one panics.
    fails_every: usize,
    panics_every: usize,
}

impl Listener for Ear {
    fn name(&self) -> &'static str {
        "ear"
    }

    fn on_record(&self, position: Offset, record: &AnyRecord) -> Result<(), HostError> {
        let call = self.heard.calls.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(
            self.store.events.head(0) >= position,
            "record {position} was told before it was durable"
        );
        assert!(
            self.panics_every == 0 || !call.is_multiple_of(self.panics_every),
            "the listener panics"
        );
        if self.fails_every > 0 && call.is_multiple_of(self.fails_every) {
            return Err("the listener fails".into());
        }
        let id = record.envelope().command_id.to_string();
        self.heard
            .told
            .lock()
            .expect("nobody panics here")
            .push((position.get(), id));
        self.heard.news.notify_all();
        Ok(())
    }
}

fn listened(store: &Store, heard: &Arc<Heard>, fails_every: usize, panics_every: usize) -> BlockingEngine {
    let ear = Ear {
        heard: heard.clone(),
        store: store.clone(),
        fails_every,
        panics_every,
    };
    opened(Engine::builder().store(store.clone()).listener(ear))
}

fn positions(told: &[(u64, String)]) -> Vec<u64> {
    told.iter().map(|(position, _)| *position).collect()
}

#[test]
fn listener_is_told_every_durable_record_in_order_and_goes_on_after_a_reopen() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let store = sled(&path, SledOptions::default());
    let heard = Arc::new(Heard::default());
    let engine = listened(&store, &heard, 0, 0);
    let module = deployed(&engine, LINE);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    started(&engine, &module);
                }
            });
        }
    });
    let ids = |engine: &BlockingEngine| -> Vec<(u64, String)> {
        log(engine)
            .iter()
            .map(|entry| (entry.position, entry.record.envelope().command_id.to_string()))
            .collect()
    };
    let all = ids(&engine);
    assert_eq!(all.len(), 203);
    assert_eq!(heard.wait_for(all.len()), all);
    engine.close().expect("the store closes");
    drop((engine, store));

    // What happens while it is away it is told when it is back, and nothing twice.
    let engine = opened(Engine::builder().data_dir(&path));
    started(&engine, &module);
    started(&engine, &module);
    engine.close().expect("the store closes");
    drop(engine);
    let store = sled(&path, SledOptions::default());
    let heard = Arc::new(Heard::default());
    let engine = listened(&store, &heard, 0, 0);
    started(&engine, &module);
    assert_eq!(positions(&heard.wait_for(3)), [204, 205, 206]);
    assert_eq!(heard.wait_for(3), ids(&engine)[203..]);
}

#[test]
fn listener_that_fails_or_panics_is_told_the_same_record_again() {
    let store = memory();
    let heard = Arc::new(Heard::default());
    let engine = listened(&store, &heard, 4, 5);
    let module = deployed(&engine, LINE);
    started(&engine, &module);
    started(&engine, &module);
    assert_eq!(positions(&heard.wait_for(5)), [1, 2, 3, 4, 5]);
    assert!(heard.calls.load(Ordering::SeqCst) > 5, "no call has failed");
}

/// Every list the catalogue serves, page by page.
fn lists(engine: &BlockingEngine, module: &FlowModuleId) -> serde_json::Value {
    let mut filters = vec![InstanceFilter::default()];
    filters.extend([1, 2, 3].map(|status| InstanceFilter {
        status: Some(status),
        ..InstanceFilter::default()
    }));
    filters.push(InstanceFilter {
        flow_module_id: Some(module.clone()),
        ..InstanceFilter::default()
    });
    filters.push(InstanceFilter {
        tenant: Some("default".into()),
        ..InstanceFilter::default()
    });
    filters.push(InstanceFilter {
        tenant: Some("nobody".into()),
        ..InstanceFilter::default()
    });
    let mut all = vec![serde_json::to_value(
        engine
            .list_flow_modules(&ModuleFilter::default(), ListParam::default())
            .expect("a list"),
    )];
    for filter in &filters {
        let mut before = None;
        loop {
            let page = engine
                .list_flow_instances(filter, ListParam { before, limit: Some(7) })
                .expect("a list");
            before = page.next;
            all.push(serde_json::to_value(page));
            if before.is_none() {
                break;
            }
        }
    }
    all.into_iter().map(|page| page.expect("a page is JSON")).collect()
}

fn some_history(engine: &BlockingEngine, seed: u64) -> (FlowModuleId, Vec<FlowInstanceId>) {
    let mut dice = Dice::new(seed);
    deployed(engine, "start -> other -> end");
    let module = deployed(engine, LINE);
    let instances = (0..40).map(|_| {
        let (instance, task) = started(engine, &module);
        if dice.percent(60) {
            let answer = engine
                .commit_task(CommitTaskParam::new(&instance, &task).variable("n", 1))
                .expect("a commit");
            let task = instance_and_task(&answer).1;
            match dice.below(4) {
                0 => drop(
                    engine
                        .commit_task(CommitTaskParam::new(&instance, &task))
                        .expect("a commit"),
                ),
                1 => drop(
                    engine
                        .rollback_task(RollbackTaskParam::new(&instance, &task))
                        .expect("a rollback"),
                ),
                2 => drop(engine.terminate_process(&instance).expect("an end")),
                _ => {}
            }
        }
        instance
    });
    let instances = instances.collect();
    (module, instances)
}

#[test]
fn catalogue_that_was_deleted_gives_the_same_lists() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    for store in [memory(), sled(&directory.path().join("store"), SledOptions::default())] {
        let engine = engine_on(&store);
        let (module, _) = some_history(&engine, 3);
        let before = lists(&engine, &module);
        engine.rebuild_catalogue().expect("the catalogue can be rebuilt");
        assert_eq!(lists(&engine, &module), before);
        drop(engine);
        // The same log, and of its index nothing.
        let emptied = Store {
            events: store.events.clone(),
            index: memory().index,
        };
        let engine = engine_on(&emptied);
        assert_eq!(lists(&engine, &module), before);
        // A command that looks a deployment up by its id needs it too.
        let modules = engine
            .list_flow_modules(&ModuleFilter::default(), ListParam::default())
            .expect("a list")
            .flow_modules;
        let deployment = modules
            .iter()
            .find(|known| known.flow_module_id == module)
            .and_then(|m| m.flow_deploy_id.clone());
        let start = StartProcessParam::of_deployment(deployment.expect("the module is deployed"));
        assert_eq!(engine.start_process(start).expect("it starts").err_code, 1002);
    }
}

#[test]
fn everything_is_there_after_closing_or_dropping_and_opening_again() {
    let _turn = turn_at_sled();
    for closes in [true, false] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store");
        let engine = opened(Engine::builder().data_dir(&path));
        let (module, instances) = some_history(&engine, 4);
        let stories: Vec<_> = instances.iter().map(|instance| told(&engine, instance)).collect();
        let leaves: Vec<_> = log(&engine).iter().map(|entry| entry.leaf).collect();
        let before = lists(&engine, &module);
        if closes {
            engine.close().expect("the store closes");
            let error = engine
                .start_process(StartProcessParam::of_module(module.clone()))
                .expect_err("it is closed");
            assert_eq!((error.err_code(), error.err_code_ext()), (4016, Some(7008)), "{error}");
        }
        drop(engine);
        let engine = opened(Engine::builder().data_dir(&path));
        assert_eq!(log(&engine).iter().map(|entry| entry.leaf).collect::<Vec<_>>(), leaves);
        assert_eq!(
            instances
                .iter()
                .map(|instance| told(&engine, instance))
                .collect::<Vec<_>>(),
            stories
        );
        assert_eq!(lists(&engine, &module), before);
        started(&engine, &module);
        assert_eq!(verified(&engine), leaves.len() + 1);
    }
}

#[test]
fn close_waits_for_commands_under_way_or_refuses_them() {
    let _turn = turn_at_sled();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let engine = opened(Engine::builder().data_dir(&path));
    let module = deployed(&engine, LINE);
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        for client in 0..8 {
            let (engine, module, sender) = (engine.clone(), &module, sender.clone());
            scope.spawn(move || {
                for number in 0_u32.. {
                    let id = format!("{client}-{number}");
                    match engine.start_process(StartProcessParam::of_module(module.clone()).command_id(&id)) {
                        Ok(_) => sender.send(id).expect("the test listens"),
                        Err(error) => {
                            assert_eq!(error.err_code_ext(), Some(7008), "{error}");
                            break;
                        }
                    }
                }
            });
        }
        let answered: Vec<String> = receiver.iter().take(40).collect();
        engine.close().expect("the store closes");
        drop(sender);
        let answered: Vec<String> = answered.into_iter().chain(receiver.iter()).collect();
        let reopened = opened(Engine::builder().data_dir(&path));
        let known: Vec<String> = log(&reopened)
            .iter()
            .map(|entry| entry.record.envelope().command_id.to_string())
            .collect();
        for id in &answered {
            assert!(known.contains(id), "{id} was answered and is gone");
        }
        verified(&reopened);
    });
}

/// Two modules that call each other, not yet deployed.
fn entangled(engine: &BlockingEngine) -> [FlowModuleId; 2] {
    let create = || {
        let param = CreateFlowParam {
            tenant: "t".into(),
            caller: "c".into(),
            ..CreateFlowParam::default()
        };
        engine
            .create_flow(param)
            .expect("a module can be created")
            .flow_module_id
    };
    let modules = [create(), create()];
    for (module, called) in [(&modules[0], &modules[1]), (&modules[1], &modules[0])] {
        let model = flow(
            "main",
            &format!("start -> call[callActivityFlowModuleId={called}] -> end"),
        )
        .flow_model;
        engine
            .update_flow(UpdateFlowParam {
                tenant: "t".into(),
                caller: "c".into(),
                flow_module_id: module.to_string(),
                flow_model: model.to_string(),
                ..UpdateFlowParam::default()
            })
            .expect("a draft can be saved");
    }
    modules
}

#[test]
fn deploying_modules_that_call_each_other_at_once_does_not_hang() {
    let engine = opened(Engine::builder().store(Hesitant::on(&memory())).cache_bytes(0));
    let modules = entangled(&engine);
    let deploy = |module: &FlowModuleId| {
        let flow_module_id = module.to_string();
        let param = DeployFlowParam {
            tenant: "t".into(),
            caller: "c".into(),
            flow_module_id,
            ..DeployFlowParam::default()
        };
        engine.engine().deploy_flow(param)
    };
    let mut deploying = modules.each_ref().map(|module| (Box::pin(deploy(module)), None));
    for _ in 0..10_000 {
        for (future, answer) in &mut deploying {
            if answer.is_none()
                && let Poll::Ready(done) = poll(future.as_mut())
            {
                *answer = Some(done);
            }
        }
    }
    for (_, answer) in deploying {
        let error = answer
            .expect("the deployment comes to an end")
            .expect_err("the flows call each other");
        assert_eq!(error.err_code(), 2003, "{error}");
    }
}

#[test]
fn closing_tells_a_listener_what_it_missed() {
    let store = memory();
    let engine = engine_on(&store);
    let module = deployed(&engine, LINE);
    for _ in 0..1_000 {
        started(&engine, &module);
    }
    drop(engine);
    let heard = Arc::new(Heard::default());
    let engine = listened(&store, &heard, 0, 0);
    engine.close().expect("the store closes");
    let told = heard.told.lock().expect("the listener does not panic").len();
    assert_eq!(told, 1_003);
}

#[test]
fn hook_with_an_endless_error_is_not_fatal() {
    let talkative = Behaving(
        "talkative",
        Box::new(|_| Box::pin(async { Err("x".repeat(20 << 20).into()) })),
    );
    let (stands_at, failures) = past_a_hook(Engine::builder().hook(talkative));
    assert_eq!((stands_at.as_str(), failures.len()), ("reject", 1));
    assert!(failures[0].len() < 1 << 20, "{} bytes were recorded", failures[0].len());
}

#[test]
fn panicking_id_generator_does_not_break_through_start_and_create() {
    for kind in [IdKind::FlowInstance, IdKind::FlowModule] {
        let told_to = Arc::new(Mutex::new(None));
        let engine = opened(Engine::builder().id_generator(PanickingIds(told_to.clone())));
        let module = deployed(&engine, LINE);
        *told_to.lock().expect("nobody panics here") = Some(kind);
        let error = if kind == IdKind::FlowInstance {
            engine.start_process(StartProcessParam::of_module(module)).map(drop)
        } else {
            let param = CreateFlowParam {
                tenant: "t".into(),
                caller: "c".into(),
                ..CreateFlowParam::default()
            };
            engine.create_flow(param).map(drop)
        };
        assert_eq!(error.expect_err("no id").err_code(), 5000, "{kind:?}");
    }
}

struct PanickingClock(Arc<std::sync::atomic::AtomicBool>);

impl flowledger::Clock for PanickingClock {
    fn now(&self) -> flowledger::Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "no time today");
        flowledger::Timestamp::from_millis(0)
    }
}

#[test]
fn panicking_clock_is_answered_with_5000() {
    let panics = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let engine = opened(Engine::builder().clock(PanickingClock(panics.clone())));
    let (instance, task) = started(&engine, &deployed(&engine, LINE));
    panics.store(true, Ordering::SeqCst);
    let error = engine
        .commit_task(CommitTaskParam::new(&instance, &task))
        .expect_err("no time");
    assert_eq!(error.err_code(), 5000, "{error}");
}

#[test]
fn failed_commit_records_what_its_hooks_did() {
    let failing = Behaving(
        "failing",
        Box::new(|_| Box::pin(async { Err("no answer today".into()) })),
    );
    let engine = opened(Engine::builder().hook(failing));
    let (instance, task) = started(&engine, &deployed(&engine, HOOKED));
    // `hooked` is missing, because the hook failed.
    let error = engine
        .commit_task(CommitTaskParam::new(&instance, &task))
        .expect_err("it dies at the gateway");
    assert_eq!(error.err_code(), 4015, "{error}");
    let records = engine.instance_records(instance).expect("the instance has records");
    let text = records[1].to_json().expect("JSON");
    assert!(
        text.contains("no answer today"),
        "the record says nothing of the hook: {text}"
    );
}
