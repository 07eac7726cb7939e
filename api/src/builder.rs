//! Builds an engine: profile, store, limits, and what the host brings along.

use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowledger_engine_core::context::HookCall;
use flowledger_engine_core::event::PlugInName;
use flowledger_engine_core::expression::{DialectCalculator, ExpressionCalculator};
use flowledger_engine_core::id::IdGenerator;
use flowledger_engine_core::limits::Limits;
use flowledger_engine_core::model::parse::ModelLimits;
use flowledger_engine_core::plug_in::{self, ElementPlugIn, MergeStrategy, PlugIns};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::variables::InstanceData;
use flowledger_event_store::{MemoryStore, SledOptions, SledStore, Store};
use flowledger_projections::{Catalogue, CatalogueError};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::copies;
use crate::engine::{Engine, Inside};
use crate::error::EngineError;
use crate::executor::{ByWeight, Executor, InDoubt};
use crate::folds::Folds;
use crate::host::{Clock, FnHook, Hook, HostError, Listener, SystemClock};
use crate::housekeeping::{self, Housekeeping};
use crate::lane::Lanes;
use crate::proofs::{Files, Proofs};
use crate::verification::{BackgroundVerification, Verification};

/// How long a hook may take unless the builder says otherwise.
pub const HOOK_TIME_OUT: Duration = Duration::from_secs(5);
/// Bytes of folded instances kept in memory unless the builder says otherwise.
pub const CACHE_BYTES: u64 = 64 << 20;

/// The file of the log's key in a data directory, unless the builder says otherwise.
const KEY_FILE: &str = "log.key";
/// The file of the newest checkpoint in a data directory, unless the builder says otherwise.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";

/// Values a cache is prepared for; it grows as it needs.
const CACHE_ITEMS: usize = 4_096;

enum StoreChoice {
    Memory,
    Directory(PathBuf, Box<SledOptions>),
    Copy(PathBuf),
    Given(Store),
}

/// Chooses what an engine is made of.
///
/// Without a choice: profile `documented`, a store in memory, the clock of the system, ids derived from command ids.
pub struct EngineBuilder {
    profile: Profile,
    store: StoreChoice,
    limits: Limits,
    model_limits: ModelLimits,
    strict_tenancy: bool,
    enforce_invariants: bool,
    hooks: Vec<Arc<dyn Hook>>,
    hook_time_out: Duration,
    clock: Arc<dyn Clock>,
    ids: Vec<Arc<dyn IdGenerator>>,
    calculators: Vec<Arc<dyn ExpressionCalculator>>,
    elements: Vec<Arc<dyn ElementPlugIn>>,
    merge_strategies: Vec<Arc<dyn MergeStrategy>>,
    listeners: Vec<Arc<dyn Listener>>,
    cache_bytes: u64,
    files: Files,
    verification: Option<BackgroundVerification>,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            store: StoreChoice::Memory,
            limits: Limits::default(),
            model_limits: ModelLimits::default(),
            strict_tenancy: false,
            enforce_invariants: false,
            hooks: Vec::new(),
            hook_time_out: HOOK_TIME_OUT,
            clock: Arc::new(SystemClock),
            ids: Vec::new(),
            calculators: Vec::new(),
            elements: Vec::new(),
            merge_strategies: Vec::new(),
            listeners: Vec::new(),
            cache_bytes: CACHE_BYTES,
            files: Files::default(),
            verification: None,
        }
    }
}

impl EngineBuilder {
    /// How to answer where the API document and the reference engine differ.
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// Keeps everything in memory; gone with the engine.
    pub fn in_memory(mut self) -> Self {
        self.store = StoreChoice::Memory;
        self
    }

    /// Keeps everything in a directory, durably. One process at a time.
    pub fn data_dir(mut self, path: impl AsRef<Path>) -> Self {
        self.store = StoreChoice::Directory(path.as_ref().to_owned(), Box::default());
        self
    }

    /// Keeps everything in a directory, with the store's own settings.
    pub fn data_dir_with(mut self, path: impl AsRef<Path>, options: SledOptions) -> Self {
        self.store = StoreChoice::Directory(path.as_ref().to_owned(), Box::new(options));
        self
    }

    /// Reads a backup or an export into memory, to be looked at: queries and the log work as on the store it was made of, and
    /// every command is refused with 7008. It takes as much memory as the log is long. Proofs need the log's key, which is in no
    /// copy: [`Self::signing_key`] names it.
    ///
    /// Opening it answers 2001 for what is no copy, 7008 for one that cannot be read, 7800 for one that is not what was made.
    pub fn copy(mut self, path: impl AsRef<Path>) -> Self {
        self.store = StoreChoice::Copy(path.as_ref().to_owned());
        self
    }

    /// Keeps everything in a store of the host's own.
    pub fn store(mut self, store: Store) -> Self {
        self.store = StoreChoice::Given(store);
        self
    }

    /// The bounds of commands.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The bounds of models.
    pub fn model_limits(mut self, limits: ModelLimits) -> Self {
        self.model_limits = limits;
        self
    }

    /// Whether only the tenant that created a module may change it (7201 otherwise). Off unless asked for.
    pub fn strict_tenancy(mut self, strict: bool) -> Self {
        self.strict_tenancy = strict;
        self
    }

    /// Whether startProcess and commitTask are refused with 7414 where what they lead to breaks an invariant of a model: one
    /// that says `never`, `always` or `differentOperators`. Off unless asked for. Rollbacks, holds and terminations are never
    /// refused for it, so that people can correct what is wrong.
    pub fn enforce_invariants(mut self, enforce: bool) -> Self {
        self.enforce_invariants = enforce;
        self
    }

    /// A hook for gateways that set `hookInfoIds`; several are asked in the order of their registration.
    pub fn hook(mut self, hook: impl Hook + 'static) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// A hook from a plain function.
    pub fn hook_fn<F>(mut self, name: &str, function: F) -> Self
    where
        F: Fn(&HookCall) -> Result<Vec<InstanceData>, HostError> + Send + Sync + 'static,
    {
        self.hooks.push(Arc::new(FnHook {
            name: name.to_owned(),
            function,
        }));
        self
    }

    /// How long one hook may take.
    pub fn hook_time_out(mut self, limit: Duration) -> Self {
        self.hook_time_out = limit;
        self
    }

    /// The clock that stamps records.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes ids from command ids. Its name and version stand on every record; a second one is refused with 7007.
    pub fn id_generator(mut self, ids: impl IdGenerator + 'static) -> Self {
        self.ids.push(Arc::new(ids));
        self
    }

    /// Evaluates conditions in place of the built-in language. Its name and version stand on every record; a second one
    /// is refused with 7007.
    pub fn expression_calculator(mut self, calculator: impl ExpressionCalculator + 'static) -> Self {
        self.calculators.push(Arc::new(calculator));
        self
    }

    /// Runs a type of elements, new or built in. Two for one type, or of one name, are refused with 7007.
    pub fn element(mut self, plug_in: impl ElementPlugIn + 'static) -> Self {
        self.elements.push(Arc::new(plug_in));
        self
    }

    /// Decides at joins whose `branchMerge` or `dataMerge` is `Custom`. Two of one name are refused with 7007.
    pub fn merge_strategy(mut self, strategy: impl MergeStrategy + 'static) -> Self {
        self.merge_strategies.push(Arc::new(strategy));
        self
    }

    /// Is told of every durable record.
    pub fn listener(mut self, listener: impl Listener + 'static) -> Self {
        self.listeners.push(Arc::new(listener));
        self
    }

    /// Bytes of folded instances to keep in memory.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// The file of the key that signs the log's checkpoints, made on first use; `log.key` in the data directory unless
    /// chosen otherwise. Keep a copy elsewhere: it cannot be made again.
    ///
    /// Without a file, as with a store in memory, every engine makes a key of its own and forgets it.
    pub fn signing_key(mut self, path: impl AsRef<Path>) -> Self {
        self.files.key = Some(path.as_ref().to_owned());
        self
    }

    /// The file of the newest checkpoint; `checkpoint` in the data directory unless chosen otherwise. Nothing is signed
    /// that does not continue it, so a copy elsewhere, out of reach of who can write the data, is worth most.
    ///
    /// The newest checkpoint that witnesses have cosigned stands in a second file beside it, of the same name with
    /// `.witnessed` behind.
    pub fn checkpoint_file(mut self, path: impl AsRef<Path>) -> Self {
        self.files.checkpoint = Some(path.as_ref().to_owned());
        self
    }

    /// How the log is verified while the engine runs. Unless chosen otherwise, gently for a store in a directory
    /// ([`BackgroundVerification::default`]), and not at all for one in memory or of the host's own.
    ///
    /// It reads on a thread of its own, in small pieces, with the pauses that the pace demands. What it finds is in
    /// [`Engine::health`](crate::Engine::health).
    pub fn verify_in_background(mut self, settings: BackgroundVerification) -> Self {
        self.verification = Some(settings);
        self
    }

    /// Opens the store and starts the engine.
    ///
    /// # Errors
    /// 7007 for settings that contradict each other; 7008, 7800 or 7803 for a store that cannot be opened.
    pub fn open(self) -> Result<Engine, EngineError> {
        let profile = self.profile;
        self.check()
            .and_then(|()| self.open_unchecked())
            .map_err(|error| error.answered_as(profile, flowledger_engine_core::result_code::CodeContext::Other))
    }

    fn open_unchecked(mut self) -> Result<Engine, EngineError> {
        let plug_ins = self.plug_ins()?;
        let (ids, calculator) = (self.ids.pop(), self.calculators.pop());
        let name = |name: &str, version: &str| PlugInName {
            name: name.into(),
            version: version.into(),
        };
        let named = ids.iter().map(|ids| name(ids.name(), ids.version()));
        let named = named.chain(
            calculator
                .iter()
                .map(|calculator| name(calculator.name(), calculator.version())),
        );
        let made_with: Vec<PlugInName> = named.collect();
        if let StoreChoice::Directory(path, _) = &self.store {
            self.files.key.get_or_insert_with(|| path.join(KEY_FILE));
            self.files.checkpoint.get_or_insert_with(|| path.join(CHECKPOINT_FILE));
        }
        let verification = self.verification.unwrap_or_else(|| match &self.store {
            StoreChoice::Directory(..) => BackgroundVerification::default(),
            StoreChoice::Memory | StoreChoice::Copy(_) | StoreChoice::Given(_) => BackgroundVerification::off(),
        });
        let store = match self.store {
            StoreChoice::Memory => MemoryStore::new().into(),
            StoreChoice::Directory(path, options) => SledStore::open(&path, *options)?.into(),
            StoreChoice::Copy(path) => {
                self.files.is_copy = true;
                copies::load(&path)?.into()
            }
            StoreChoice::Given(store) => store,
        };
        let catalogue = Catalogue::open(store.index.clone())?;
        match pollster::block_on(catalogue.catch_up(&*store.events)) {
            // An unreadable record does not keep the log from being read and verified; who needs the catalogue is told.
            Ok(()) | Err(CatalogueError::Record { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let (ring, sender, receiver) = housekeeping::bell();
        let share = self.cache_bytes / 4;
        let executor = Arc::new(Executor {
            profile: self.profile,
            limits: self.limits,
            model_limits: self.model_limits,
            strict_tenancy: self.strict_tenancy,
            enforce_invariants: self.enforce_invariants,
            proofs: Proofs::new(store.clone(), self.files),
            store,
            catalogue,
            clock: self.clock,
            ids,
            calculator: calculator.unwrap_or_else(|| Arc::new(DialectCalculator)),
            plug_ins,
            made_with,
            hooks: self.hooks,
            recorded: None,
            hook_time_out: self.hook_time_out,
            lanes: Lanes::new(),
            modules: Folds::new(share, CACHE_ITEMS)?,
            instances: Folds::new(self.cache_bytes - 2 * share, CACHE_ITEMS)?,
            deployments: cache(share, CACHE_ITEMS)?,
            in_doubt: InDoubt::default(),
            verification: Verification::new(verification),
            housekeeping: Box::new(ring),
            parent: None,
        });
        let housekeeping = Housekeeping::start(&executor, self.listeners, sender, receiver)?;
        Ok(Engine {
            inside: Arc::new(Inside { executor, housekeeping }),
        })
    }

    fn plug_ins(&self) -> Result<PlugIns, EngineError> {
        let wrong = |detail| EngineError::new(ResultCode::ConfigInvalid, detail);
        let mut plug_ins = PlugIns::default();
        for plug_in in &self.elements {
            plug_ins.add_element(plug_in.clone()).map_err(wrong)?;
        }
        for strategy in &self.merge_strategies {
            plug_ins.add_merge_strategy(strategy.clone()).map_err(wrong)?;
        }
        for ids in &self.ids {
            plug_in::check_name("id generator", ids.name(), ids.version()).map_err(wrong)?;
        }
        for calculator in &self.calculators {
            plug_in::check_name("expression calculator", calculator.name(), calculator.version()).map_err(wrong)?;
        }
        for (what, several) in [
            ("id generators", self.ids.len() > 1),
            ("expression calculators", self.calculators.len() > 1),
        ] {
            if several {
                return Err(wrong(format!("two {what} are registered; an engine has one")));
            }
        }
        Ok(plug_ins)
    }

    fn check(&self) -> Result<(), EngineError> {
        self.plug_ins()?;
        let names: [Vec<&str>; 2] = [
            self.hooks.iter().map(|hook| hook.name()).collect(),
            self.listeners.iter().map(|listener| listener.name()).collect(),
        ];
        for (mut names, what) in names.into_iter().zip(["hooks", "listeners"]) {
            names.sort_unstable();
            let twice = names.windows(2).find_map(|pair| match pair {
                [first, second] if first == second => Some(*first),
                _ => None,
            });
            if let Some(name) = twice {
                return Err(EngineError::new(
                    ResultCode::ConfigInvalid,
                    format!("two {what} have the name {name}"),
                ));
            }
        }
        if self.limits.steps == 0 || self.limits.variables == 0 {
            return Err(EngineError::new(
                ResultCode::ConfigInvalid,
                "a limit of 0 lets no command through",
            ));
        }
        Ok(())
    }
}

/// A cache of one shard: a shard has its part of the bytes to itself, and never keeps what is larger than that part.
pub(crate) fn cache<K, V>(bytes: u64, items: usize) -> Result<Cache<K, V, ByWeight>, EngineError>
where
    K: Eq + Hash,
    V: Clone,
    ByWeight: Weighter<K, V>,
{
    let options = OptionsBuilder::new()
        .shards(1)
        .estimated_items_capacity(items)
        .weight_capacity(bytes)
        .build()
        .map_err(|error| EngineError::new(ResultCode::SystemError, format!("a cache cannot be made: {error}")))?;
    Ok(Cache::with_options(
        options,
        ByWeight,
        DefaultHashBuilder::default(),
        DefaultLifecycle::default(),
    ))
}

#[cfg(test)]
mod tests {
    use flowledger_engine_core::deployment::Deployment;
    use flowledger_engine_core::id::FlowDeployId;

    use super::*;

    #[test]
    fn one_value_may_fill_a_cache() {
        let cache = cache::<FlowDeployId, Arc<Deployment>>(1 << 20, CACHE_ITEMS).unwrap();
        assert_eq!(cache.shard_capacity(), cache.capacity());
    }
}
