//! The test kit for models: an author states what must hold, the kit looks for a way to break it and shows the shortest one.
//!
//! A run starts an instance of the model in memory and gives it commands that come to mind only to a machine: commits with values
//! just beside those that the conditions name, rollbacks, repeated and outdated commands, two commits at once, a restart in
//! between. After every command each invariant is looked at. What breaks one is cut down until nothing can be left out any more.
//!
//! ```
//! use flowledger::testing::FlowTest;
//!
//! # let model = r#"{"flowElementList":[
//! #     {"key":"start","type":2,"outgoing":["f1"]},
//! #     {"key":"f1","type":1,"incoming":["start"],"outgoing":["ask"]},
//! #     {"key":"ask","type":4,"incoming":["f1"],"outgoing":["f2"]},
//! #     {"key":"f2","type":1,"incoming":["ask"],"outgoing":["size"]},
//! #     {"key":"size","type":6,"incoming":["f2"],"outgoing":["large","small"]},
//! #     {"key":"large","type":1,"incoming":["size"],"outgoing":["approve"],"properties":{"conditionsequenceflow":"amount > 1000"}},
//! #     {"key":"small","type":1,"incoming":["size"],"outgoing":["pay"],"properties":{"defaultConditions":"true"}},
//! #     {"key":"approve","type":4,"incoming":["large"],"outgoing":["f3"]},
//! #     {"key":"f3","type":1,"incoming":["approve"],"outgoing":["pay"]},
//! #     {"key":"pay","type":4,"incoming":["small","f3"],"outgoing":["f4"]},
//! #     {"key":"f4","type":1,"incoming":["pay"],"outgoing":["end"]},
//! #     {"key":"end","type":3,"incoming":["f4"]}]}"#;
//! FlowTest::new(model)
//!     .never("much is paid without approval", |now| {
//!         now.is_at("pay") && now.number("amount") > Some(1000.0) && now.visits("approve") == 0
//!     })
//!     .check();
//! ```

mod coverage;
mod example;
mod invariant;
mod models;
mod moment;
mod mutant;
mod properties;
mod random;
mod run;
mod script;
mod shrink;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use flowledger_engine_core::context::HookCall;
use flowledger_engine_core::invariant::{CompiledInvariant, InvariantError, compile_all};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::value::Value;
use flowledger_engine_core::variables::InstanceData;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

pub use self::coverage::{Coverage, Share};
pub use self::example::Example;
pub use self::invariant::Invariant;
pub use self::models::models;
pub use self::moment::Moment;
pub use self::mutant::{Mutant, MutationScore};
pub use self::properties::{Expected, GivenWhenThen, Minimum, Properties, Status, asks_hooks};
pub use self::random::{Values, Words, variables};
use self::run::Bench;
pub use self::script::{MAX_WAIT_SECONDS, Script, ScriptStep};
use crate::error::EngineError;
use crate::operation::DrawOptions;

/// Runs that are tried unless said otherwise.
pub const CASES: u32 = 256;
/// Commands of a run, at most, unless said otherwise.
pub const COMMANDS: usize = 12;
/// Commands of a run, at most, whatever is said.
pub const MAX_COMMANDS: usize = 10_000;
/// The seed unless said otherwise: the same one, so that a test passes or fails for its model and not for the day.
pub const SEED: u64 = 1;

/// The case that breaks an invariant, what it did, and which one.
type FirstFound = (u32, Script, Arc<str>);

/// What hooks of the tested model answer.
pub(crate) type HookFn = Arc<dyn Fn(&HookCall) -> Vec<InstanceData> + Send + Sync>;

/// Who is told how many runs are done.
type ProgressFn = Arc<dyn Fn(u64) + Send + Sync>;

/// A model, and what must hold whatever is done to its instances.
#[derive(Clone)]
pub struct FlowTest {
    model: Arc<str>,
    called: Vec<(Arc<str>, Arc<str>)>,
    invariants: Vec<Invariant>,
    properties: Vec<CompiledInvariant>,
    words: Words,
    cases: u32,
    commands: usize,
    seed: u64,
    profile: Profile,
    hook: Option<HookFn>,
    examples: Vec<GivenWhenThen>,
    more_values: Vec<(Arc<str>, Value)>,
    progress: Option<ProgressFn>,
}

/// What was run without a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// Runs.
    pub runs: u64,
    /// Commands that were given in them.
    pub commands: u64,
    /// Records that came of them.
    pub records: u64,
}

/// All that came of the runs.
#[derive(Clone, Debug)]
pub struct Explored {
    /// What was run; up to the run that breaks an invariant, where one does.
    pub ran: Ran,
    /// What these runs came to.
    pub coverage: Coverage,
    /// The invariant that does not hold.
    pub broken: Option<Broken>,
}

/// An invariant that does not hold, and the shortest way to break it.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The invariant's name.
    pub invariant: Arc<str>,
    /// What was seen.
    pub seen: String,
    /// The commands; the last one breaks it. None of them can be left out.
    pub script: Script,
    /// The seed of the runs.
    pub seed: u64,
    /// Which of them it was, from 0.
    pub case: u32,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\"{}\" does not hold: {}", self.invariant, self.seen)?;
        for (number, step) in self.script.steps.iter().enumerate() {
            writeln!(f, "  {}. {step}", number + 1)?;
        }
        write!(f, "seed {}, run {}", self.seed, self.case)
    }
}

impl std::error::Error for Broken {}

/// Why there is no verdict, or which one there is.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// An invariant does not hold.
    #[error("{0}")]
    Broken(Box<Broken>),
    /// The model does not deploy, or the engine is at fault.
    #[error("{0}")]
    Engine(#[from] EngineError),
}

impl FlowTest {
    /// A test of a model's text.
    pub fn new(model: &str) -> Self {
        Self {
            model: model.into(),
            called: Vec::new(),
            invariants: Vec::new(),
            properties: Vec::new(),
            words: Words::default(),
            cases: CASES,
            commands: COMMANDS,
            seed: SEED,
            profile: Profile::Documented,
            hook: None,
            examples: Vec::new(),
            more_values: Vec::new(),
            progress: None,
        }
    }

    /// A flow that call activities run: those whose `callActivityFlowModuleId` is this name, and those that name none.
    pub fn called(mut self, name: &str, model: &str) -> Self {
        self.called.push((name.into(), model.into()));
        self
    }

    /// At no time may this be so.
    pub fn never(self, name: &str, bad: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(Invariant::never(name, bad))
    }

    /// At all times this must be so.
    pub fn always(self, name: &str, good: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(Invariant::always(name, good))
    }

    /// With so many successful commits this must have been so at some time.
    pub fn eventually(
        self,
        name: &str,
        commits: usize,
        good: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(Invariant::eventually(name, commits, good))
    }

    /// Whenever the first is so, the second must be so at that time, or with so many more successful commits.
    pub fn leads_to(
        self,
        name: &str,
        commits: usize,
        first: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static,
        then: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.with(Invariant::leads_to(name, commits, first, then))
    }

    /// Nobody commits both of these tasks in one instance.
    pub fn four_eyes(self, one: &str, other: &str) -> Self {
        self.with(Invariant::four_eyes(one, other))
    }

    /// No commit may fail on its way, as for want of a sequence flow whose condition holds.
    pub fn no_commit_fails(self) -> Self {
        self.with(Invariant::no_commit_fails())
    }

    /// One more invariant.
    pub fn with(mut self, invariant: Invariant) -> Self {
        self.invariants.push(invariant);
        self
    }

    /// Invariants that are given as data, as in a properties file, beside those that the model itself has. They are about the
    /// instance, and their values are tried as those of conditions are.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn properties(
        mut self,
        invariants: &[flowledger_engine_core::invariant::Invariant],
    ) -> Result<Self, Vec<InvariantError>> {
        let compiled = compile_all(invariants)?;
        self.invariants.extend(compiled.iter().map(Invariant::of_model));
        self.properties.extend(compiled);
        Ok(self)
    }

    /// Which commands are given.
    pub fn words(mut self, words: Words) -> Self {
        self.words = words;
        self
    }

    /// How many runs are tried.
    pub fn cases(mut self, cases: u32) -> Self {
        self.cases = cases;
        self
    }

    /// How many commands a run has at most, the start not counted; no more than [`MAX_COMMANDS`].
    pub fn commands(mut self, commands: usize) -> Self {
        self.commands = commands.min(MAX_COMMANDS);
        self
    }

    /// What decides the runs. The same seed gives the same runs, and the same finding.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Whose answers count where document and reference differ.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// What hooks answer. It must answer the same for the same call.
    pub fn hook_fn(mut self, hook: impl Fn(&HookCall) -> Vec<InstanceData> + Send + Sync + 'static) -> Self {
        self.hook = Some(Arc::new(hook));
        self
    }

    /// One more value that a variable is given, beside those that the conditions speak of.
    pub fn value(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more_values.push((key.into(), value.into()));
        self
    }

    /// One more example; it is looked at before the runs.
    pub fn example(mut self, example: GivenWhenThen) -> Self {
        self.examples.push(example);
        self
    }

    /// Whom to tell how many runs are done, behind each of them; on any of the threads.
    pub fn progress(mut self, told: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(told));
        self
    }

    /// Looks for a way to break an invariant.
    ///
    /// # Errors
    /// [`TestError::Broken`] with the shortest way, or with an example that does not come out; [`TestError::Engine`] for a
    /// model that does not deploy.
    pub fn run(&self) -> Result<Ran, TestError> {
        self.judge_examples()?;
        match self.sweep(self.cases, true, None)? {
            (ran, None) => Ok(ran),
            (_, Some(found)) => Err(TestError::Broken(Box::new(self.shortest(found)?))),
        }
    }

    /// The same, and how much of the model the runs have come to.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn cover(&self) -> Result<(Ran, Coverage), TestError> {
        self.judge_examples()?;
        let explored = self.explore()?;
        match explored.broken {
            None => Ok((explored.ran, explored.coverage)),
            Some(broken) => Err(TestError::Broken(Box::new(broken))),
        }
    }

    /// Looks for a way to break an invariant and tells all that came of it, the same for the same seed on any number of
    /// processors: of runs behind the one that breaks an invariant nothing is told. Examples are not looked at.
    ///
    /// # Errors
    /// Where the model does not deploy, or the engine is at fault.
    pub fn explore(&self) -> Result<Explored, EngineError> {
        let coverage = Mutex::new(Coverage::of(&self.model));
        let (ran, found) = self.sweep(self.cases, true, Some(&coverage))?;
        let Some(found) = found else {
            return Ok(Explored {
                ran,
                coverage: coverage.into_inner().unwrap_or_else(PoisonError::into_inner),
                broken: None,
            });
        };
        // Other threads may have been further.
        let coverage = Mutex::new(Coverage::of(&self.model));
        let (ran, _) = self.sweep(found.0.saturating_add(1), false, Some(&coverage))?;
        Ok(Explored {
            ran,
            coverage: coverage.into_inner().unwrap_or_else(PoisonError::into_inner),
            broken: Some(self.shortest(found)?),
        })
    }

    /// How many mutants of the model this test tells from the model: of those that deploy, how many break an invariant or an
    /// example. Each costs the runs of a whole test.
    ///
    /// # Errors
    /// As [`Self::run`], for the model itself.
    pub fn mutation_score(&self) -> Result<MutationScore, TestError> {
        self.run()?;
        mutant::score(self, &|_, _| ())
    }

    /// The same for a model that has passed, which is not run again; `told` hears behind each mutant how many of how many are
    /// done.
    ///
    /// # Errors
    /// [`TestError::Engine`] where the engine is at fault.
    pub fn mutation_score_of_passed(&self, told: &dyn Fn(usize, usize)) -> Result<MutationScore, TestError> {
        mutant::score(self, told)
    }

    /// What is seen where an example does not come out.
    ///
    /// # Errors
    /// Where the model does not deploy, or the engine is at fault.
    pub fn judge(&self, example: &GivenWhenThen) -> Result<Option<Broken>, EngineError> {
        properties::judge(self, example)
    }

    fn judge_examples(&self) -> Result<(), TestError> {
        for example in &self.examples {
            if let Some(broken) = self.judge(example)? {
                return Err(TestError::Broken(Box::new(broken)));
            }
        }
        Ok(())
    }

    /// Gives the words of each case until one breaks an invariant, or all the same where it is not to stop; the lowest case
    /// that does.
    fn sweep(
        &self,
        cases: u32,
        stops: bool,
        coverage: Option<&Mutex<Coverage>>,
    ) -> Result<(Ran, Option<FirstFound>), EngineError> {
        let values = self.values();
        let next = AtomicU64::new(0);
        let done = AtomicU64::new(0);
        let first_found = AtomicU64::new(u64::MAX);
        let workers = thread::available_parallelism().map_or(1, usize::from);
        let work = || -> Result<(Ran, Option<FirstFound>), EngineError> {
            let words = self.words.strategy(&values, self.commands);
            let mut bench = Bench::new(self)?;
            let mut ran = Ran::default();
            let mut found: Option<FirstFound> = None;
            let mut covered = coverage.map(|_| Coverage::of(&self.model));
            loop {
                let case = next.fetch_add(1, Ordering::Relaxed);
                let number = u32::try_from(case).unwrap_or(u32::MAX);
                if number >= cases || (stops && case > first_found.load(Ordering::Relaxed)) {
                    if let (Some(coverage), Some(covered)) = (coverage, &covered) {
                        coverage.lock().unwrap_or_else(PoisonError::into_inner).merge(covered);
                    }
                    return Ok((ran, found));
                }
                let mut runner = self.runner(case);
                let Ok(tree) = words.new_tree(&mut runner) else {
                    continue;
                };
                let played = bench.play_words(&tree.current())?;
                ran.add(&played.ran);
                if let Some(covered) = &mut covered {
                    bench.cover(&played, covered)?;
                }
                if let (Some(told), true) = (&self.progress, stops) {
                    told(done.fetch_add(1, Ordering::Relaxed) + 1);
                }
                if let Some((invariant, _)) = played.broken
                    && found.as_ref().is_none_or(|(known, ..)| number < *known)
                {
                    first_found.fetch_min(case, Ordering::Relaxed);
                    found = Some((number, played.script, invariant));
                }
            }
        };
        let done: Vec<_> = thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(thread::ScopedJoinHandle::join).collect()
        });
        let mut ran = Ran::default();
        let mut first: Option<FirstFound> = None;
        for worker in done {
            let (of_worker, found) = match worker {
                Ok(done) => done?,
                // The author's own closures may panic; that is theirs to see.
                Err(panic) => std::panic::resume_unwind(panic),
            };
            ran.add(&of_worker);
            if let Some(found) = found
                && first.as_ref().is_none_or(|first| found.0 < first.0)
            {
                first = Some(found);
            }
        }
        Ok((ran, first))
    }

    /// Looks for a way to break an invariant, and panics with the shortest one.
    ///
    /// # Panics
    /// Where an invariant is broken, or the model does not deploy.
    #[expect(clippy::panic, reason = "this is how a test fails")]
    pub fn check(&self) -> Ran {
        self.run().unwrap_or_else(|error| panic!("{error}"))
    }

    /// Gives the commands of a script, as of one that was saved.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn play(&self, script: &Script) -> Result<Ran, TestError> {
        let played = Bench::new(self)?.play(script)?;
        self.told(played)
    }

    fn told(&self, played: run::Played) -> Result<Ran, TestError> {
        match played.broken {
            None => Ok(played.ran),
            Some((invariant, seen)) => Err(TestError::Broken(Box::new(Broken {
                invariant,
                seen,
                script: played.script,
                seed: self.seed,
                case: 0,
            }))),
        }
    }

    /// The same, and adds to a coverage what the script comes to.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn play_covering(&self, script: &Script, coverage: &mut Coverage) -> Result<Ran, TestError> {
        let mut bench = Bench::new(self)?;
        let played = bench.play(script)?;
        bench.cover(&played, coverage)?;
        self.told(played)
    }

    /// Draws the instance behind the last command of a script, under a title, with the commands below it.
    ///
    /// # Errors
    /// Where the model does not deploy, or the engine is at fault.
    pub fn draw(&self, title: &str, script: &Script, options: DrawOptions) -> Result<String, EngineError> {
        let mut bench = Bench::new(self)?;
        let played = bench.play(script)?;
        let seen = played.broken.iter().map(|(_, seen)| seen.clone());
        let steps = played.script.steps.iter().enumerate();
        let steps = steps.map(|(place, step)| format!("{}. {step}", place + 1));
        bench.draw(&played, title.to_owned(), seen.chain(steps).collect(), options)
    }

    /// An example: an instance that was started with these variables.
    ///
    /// ```
    /// # use flowledger::testing::FlowTest;
    /// # let model = r#"{"flowElementList":[
    /// #     {"key":"start","type":2,"outgoing":["f1"]},
    /// #     {"key":"f1","type":1,"incoming":["start"],"outgoing":["ask"]},
    /// #     {"key":"ask","type":4,"incoming":["f1"],"outgoing":["f2"]},
    /// #     {"key":"f2","type":1,"incoming":["ask"],"outgoing":["end"]},
    /// #     {"key":"end","type":3,"incoming":["f2"]}]}"#;
    /// FlowTest::new(model)
    ///     .given_start([("days", 2)])
    ///     .when_commit("ask", [("days", 3)])
    ///     .then_completed()
    ///     .then_data("days", 3);
    /// ```
    pub fn given_start<'k, V: Into<Value>>(&self, variables: impl IntoIterator<Item = (&'k str, V)>) -> Example {
        Example::start(self, example::data(variables))
    }

    fn shortest(&self, (case, script, invariant): FirstFound) -> Result<Broken, EngineError> {
        let mut bench = Bench::new(self)?;
        let script = shrink::shortest(&mut bench, script, &invariant)?;
        let played = bench.play(&script)?;
        let (invariant, seen) = played
            .broken
            .unwrap_or_else(|| (invariant, "it was broken once, and not again".into()));
        Ok(Broken {
            invariant,
            seen,
            script,
            seed: self.seed,
            case,
        })
    }

    /// The values that variables are given.
    fn values(&self) -> Values {
        let values = Values::of(self.texts()).spoken_of(&self.properties);
        let more = self.more_values.iter();
        more.fold(values, |values, (key, value)| values.with(key, [value.clone()]))
    }

    /// What decides one run.
    fn runner(&self, case: u64) -> TestRunner {
        let mut seed = [0; 32];
        for (place, byte) in seed
            .iter_mut()
            .zip(self.seed.to_le_bytes().into_iter().chain(case.to_le_bytes()))
        {
            *place = byte;
        }
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.model).chain(self.called.iter().map(|(_, model)| &**model))
    }
}

impl Ran {
    fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.commands += other.commands;
        self.records += other.records;
    }
}
