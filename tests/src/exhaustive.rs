//! All command words up to a length over small models: every command is given in every distinct state, to the engine and
//! to the naive interpreter, and all queries are compared after it.
//!
//! Knows how states are told apart (by the interpreter's canonical form), nothing of what commands mean.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value, json};

use crate::conformance::{Bench, NaiveBench};
use crate::engine_subject::{EngineBench, EngineSubject};
use crate::generate::queries;
use crate::naive::Naive;
use crate::scenario::{Comparison, Flow, Operation, Outcome, Profile, Session, Step, Subject, Variable, difference};
use crate::sketch::flow;

/// Instances after which the engine is begun anew, so that the store in memory stays small.
const INSTANCES_PER_ENGINE: usize = 2_000;

/// A small model with the flows it calls.
#[derive(Debug, Clone)]
pub struct Small {
    /// What it is an example of.
    pub name: &'static str,
    /// Its flows; `main` is started.
    pub flows: Vec<Flow>,
}

/// The small models.
#[must_use]
pub fn models() -> Vec<Small> {
    let small = |name: &'static str, main: &str, sub: Option<&str>| {
        let mut flows = vec![flow("main", main)];
        flows.extend(sub.map(|sub| flow("sub", sub)));
        Small { name, flows }
    };
    let call = "call[callActivityFlowModuleId=$module:sub]";
    vec![
        small("serial", "start -> a -> b -> c -> end", None),
        small(
            "meaning",
            "start -> a[onRollback=forbid] -> b[onRollback=compensate: unb] -> c[onRollback=compensate: unc] -> d -> end",
            None,
        ),
        small(
            "exclusive",
            "start -> a -> gate; gate -(v > 0)-> b -> end; gate -(default)-> c -> end2",
            None,
        ),
        small(
            "loop",
            "start -> a -> gate; gate -(v > 0)-> a; gate -(default)-> b -> end",
            None,
        ),
        small(
            "parallel",
            "start -> s -> fork -> a -> join -> z -> end; fork -> b -> join",
            None,
        ),
        small(
            "three branches",
            "start -> fork -> a -> join -> z -> end; fork -> b -> join; fork -> c -> join",
            None,
        ),
        small(
            "conflict",
            "start -> fork -> a -> join[dataConflict=fail] -> z -> end; fork -> b -> join",
            None,
        ),
        small(
            "any one",
            "start -> s -> fork -> a -> a2 -> join[branchMerge=AnyOne] -> z -> end; fork -> b -> join",
            None,
        ),
        small(
            "inclusive",
            "start -> s -> ifork -(v > 0)-> a -> ijoin -> z -> end; ifork -(v >= 0)-> b -> ijoin",
            None,
        ),
        small(
            "nested",
            "start -> fork -> a -> join -> z -> end; fork -> fork2 -> b -> join2 -> join; fork2 -> c -> join2",
            None,
        ),
        small(
            "nested any one",
            "start -> fork -> a -> join[branchMerge=AnyOne] -> z -> end; fork -> fork2 -> b -> join2 -> d -> join; \
             fork2 -> c -> join2",
            None,
        ),
        small(
            "branch that ends",
            "start -> fork -> a -> join -> z -> end; fork -> b -> end2; fork -> c -> join",
            None,
        ),
        small(
            "any one and a branch that ends",
            "start -> fork -> a -> join[branchMerge=AnyOne] -> z -> end; fork -> b -> end2",
            None,
        ),
        small(
            "direct",
            "start -> s -> fork -> join -> z -> end; fork -> a -> join; fork -> b -> join",
            None,
        ),
        small(
            "call",
            &format!("start -> x -> {call} -> y -> end"),
            Some("start -> p -> q -> end"),
        ),
        small(
            "call in a branch",
            &format!("start -> fork -> {call} -> join[branchMerge=AnyOne] -> z -> end; fork -> b -> join"),
            Some("start -> p -> end"),
        ),
        small(
            "fork in a sub flow",
            &format!("start -> {call} -> y -> end"),
            Some("start -> fork -> p -> join -> end; fork -> q -> join"),
        ),
        small(
            "join and fork",
            "start -> fork -> a -> join -> fork2 -> c -> join2 -> z -> end; fork -> b -> join; fork2 -> d -> join2",
            None,
        ),
    ]
}

/// A command. Node instances are meant by the number of their label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letter {
    Commit(u16, u8),
    Rollback(u16),
    RollbackTo(u16),
    Redo,
    Suspend,
    Resume,
    Abort,
    Restore,
    Terminate,
}

impl Letter {
    fn step(self) -> Step {
        let command = |op: Operation, node: Option<u16>| {
            let mut step = Step::new(op);
            step.instance = Some("i".to_owned());
            step.task = node.map(|node| format!("n{node}"));
            step
        };
        let lifecycle = |op: Operation| {
            let mut step = command(op, None);
            step.reason = Some("as agreed".to_owned());
            step
        };
        match self {
            Self::Commit(node, value) => {
                let mut step = command(Operation::Commit, Some(node));
                step.variables = Some(vec![Variable::new("v", json!(value))]);
                step
            }
            Self::Rollback(node) => command(Operation::Rollback, Some(node)),
            Self::RollbackTo(node) => command(Operation::RollbackTo, Some(node)),
            Self::Redo => command(Operation::Redo, None),
            Self::Suspend => lifecycle(Operation::Suspend),
            Self::Resume => lifecycle(Operation::Resume),
            Self::Abort => lifecycle(Operation::Abort),
            Self::Restore => lifecycle(Operation::Restore),
            Self::Terminate => command(Operation::Terminate, None),
        }
    }
}

fn look() -> Step {
    let mut step = Step::new(Operation::GetHistoryElementList);
    step.instance = Some("i".to_owned());
    step
}

/// A task that the element history shows: the number of its label, its status, whether it is a call activity.
fn tasks(elements: &Value, found: &mut BTreeMap<u16, (i64, bool)>) {
    for element in elements.as_array().into_iter().flatten() {
        let key = element["modelKey"].as_str().unwrap_or_default();
        let others = ["start", "end", "gate", "fork", "join", "ifork", "ijoin"];
        let number = element["node"].as_str().and_then(|label| label.get(1..)?.parse().ok());
        if let (Some(number), false) = (number, others.iter().any(|other| key.starts_with(other))) {
            let status = element["status"].as_i64().unwrap_or_default();
            found.insert(number, (status, key.starts_with("call")));
        }
        tasks(&element["sub"], found);
    }
}

/// The commands that are given in a state.
fn alphabet(elements: &Value) -> Vec<Letter> {
    let mut all = BTreeMap::new();
    tasks(elements, &mut all);
    let active = || {
        all.iter()
            .filter(|(_, (status, _))| *status == 2)
            .map(|(node, _)| *node)
    };
    let completed = all
        .iter()
        .rev()
        .find(|(_, (status, _))| *status == 1)
        .map(|(node, _)| *node);
    let mut letters: Vec<Letter> = active()
        .flat_map(|node| [Letter::Commit(node, 0), Letter::Commit(node, 1)])
        .collect();
    letters.extend(active().chain(completed).map(Letter::Rollback));
    let user_tasks = all.iter().filter(|(_, (_, calls))| !calls).map(|(node, _)| *node);
    letters.extend(user_tasks.map(Letter::RollbackTo));
    letters.extend([
        Letter::Redo,
        Letter::Suspend,
        Letter::Resume,
        Letter::Abort,
        Letter::Restore,
        Letter::Terminate,
    ]);
    letters
}

/// What an exploration went through.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Distinct states found, by the length of the shortest word that leads there.
    pub states: Vec<usize>,
    /// Commands given in them and compared.
    pub commands: usize,
    /// Of these, those that left a record; all queries were compared after them.
    pub records: usize,
    /// Words of exactly the full length that these commands stand for.
    pub words: f64,
}

/// Goes through all words up to `length` over a model.
///
/// # Errors
/// The first word after which engine and interpreter differ.
pub fn explore(model: &Small, profile: Profile, length: usize) -> Result<Tally, String> {
    let mut explorer = Explorer {
        engine: deployed(EngineBench.subject(profile, &[]), &model.flows),
        oracle: deployed(NaiveBench.subject(profile, &[]), &model.flows),
        started: 0,
        model,
        profile,
        tally: Tally::default(),
    };
    explorer.run(length)?;
    Ok(explorer.tally)
}

fn deployed<S: Subject>(subject: S, flows: &[Flow]) -> Session<S> {
    let mut session = Session::new(subject, flows);
    for flow in flows {
        let mut step = Step::new(Operation::Deploy);
        step.flow = Some(flow.name.clone());
        let outcome = session.step(&step);
        assert_eq!(outcome.answer.code, 1000, "{} deploys", flow.name);
    }
    session
}

fn begin<S: Subject>(session: &mut Session<S>) -> Outcome {
    session.labels = crate::scenario::Labels::default();
    let mut step = Step::new(Operation::Start);
    step.flow = Some("main".to_owned());
    step.name = Some("i".to_owned());
    step.variables = Some(vec![Variable::new("v", json!(0))]);
    session.step(&step);
    session.step(&look())
}

struct Explorer<'m> {
    engine: Session<EngineSubject>,
    /// Nothing is started with it; it is copied for every word.
    oracle: Session<Naive>,
    started: usize,
    model: &'m Small,
    profile: Profile,
    tally: Tally,
}

impl Explorer<'_> {
    fn run(&mut self, length: usize) -> Result<(), String> {
        let mut known: HashMap<u128, usize> = HashMap::new();
        let mut next_of: Vec<Vec<usize>> = Vec::new();
        let mut oracle = self.oracle.clone();
        begin(&mut oracle);
        known.insert(state_of(&oracle), 0);
        let mut frontier: Vec<Vec<Letter>> = vec![Vec::new()];
        self.tally.states.push(1);
        for _ in 0..length {
            let mut found = Vec::new();
            for word in &frontier {
                let mut nexts = Vec::new();
                // States are expanded in the order they are found in.
                let here = next_of.len();
                for (letter, state) in self.expand(word)? {
                    let Some(state) = state else {
                        nexts.push(here);
                        continue;
                    };
                    let number = known.len();
                    let number = *known.entry(state).or_insert_with(|| {
                        let mut longer = word.clone();
                        longer.push(letter);
                        found.push(longer);
                        number
                    });
                    nexts.push(number);
                }
                next_of.push(nexts);
            }
            self.tally.states.push(found.len());
            frontier = found;
        }
        let mut words = vec![0.0_f64; known.len()];
        words[0] = 1.0;
        for _ in 0..length {
            let mut longer = vec![0.0; words.len()];
            for (state, nexts) in next_of.iter().enumerate() {
                for next in nexts {
                    longer[*next] += words[state];
                }
            }
            words = longer;
        }
        self.tally.words = words.iter().sum();
        Ok(())
    }

    fn oracle_at(&self, word: &[Letter]) -> Session<Naive> {
        let mut oracle = self.oracle.clone();
        begin(&mut oracle);
        for letter in word {
            oracle.step(&letter.step());
            oracle.step(&look());
        }
        oracle
    }

    fn engine_to(&mut self, word: &[Letter]) {
        if self.started == INSTANCES_PER_ENGINE {
            self.started = 0;
            self.engine = deployed(EngineBench.subject(self.profile, &[]), &self.model.flows);
        }
        self.started += 1;
        begin(&mut self.engine);
        for letter in word {
            self.engine.step(&letter.step());
            self.engine.step(&look());
        }
    }

    /// Gives every command after a word. With each, the state it leads to if it leaves a record.
    fn expand(&mut self, word: &[Letter]) -> Result<Vec<(Letter, Option<u128>)>, String> {
        let mut here = self.oracle_at(word);
        let elements = here.step(&look()).normal["elements"].clone();
        let state = state_of(&here);
        let mut nexts = Vec::new();
        let mut engine_is_here = false;
        for letter in alphabet(&elements) {
            if !engine_is_here {
                self.engine_to(word);
            }
            let mut oracle = here.clone();
            let records = self.engine.subject.record_count();
            self.compare(word, letter, &mut oracle, &letter.step())?;
            self.tally.commands += 1;
            engine_is_here = self.engine.subject.record_count() == records;
            if engine_is_here {
                if state_of(&oracle) != state {
                    return Err(format!("{word:?}, then {letter:?} left no record"));
                }
                nexts.push((letter, None));
                continue;
            }
            self.tally.records += 1;
            self.compare(word, letter, &mut oracle, &look())?;
            for query in queries("i", None) {
                self.compare(word, letter, &mut oracle, &query)?;
            }
            let mut targets = Step::new(Operation::GetRollbackTargets);
            targets.instance = Some("i".to_owned());
            self.compare(word, letter, &mut oracle, &targets)?;
            let flows = (2..).map(|number| format!("f{number}"));
            let known = oracle.labels.clone();
            for flow in flows.take_while(|flow| known.flow_id(flow).is_some()) {
                let mut step = Step::new(Operation::GetFlowInstance);
                step.instance = Some(flow);
                self.compare(word, letter, &mut oracle, &step)?;
            }
            nexts.push((letter, Some(state_of(&oracle))));
        }
        Ok(nexts)
    }

    fn compare(
        &mut self,
        word: &[Letter],
        letter: Letter,
        oracle: &mut Session<Naive>,
        step: &Step,
    ) -> Result<(), String> {
        let expected = oracle.step(step);
        let got = self.engine.step(step);
        match difference(&expected.normal, &got, Comparison::Whole) {
            None => Ok(()),
            Some(difference) => Err(format!(
                "{} ({}): after {word:?} and {letter:?}, {:?} differs\n{difference}",
                self.model.name,
                self.profile.name(),
                step.op
            )),
        }
    }
}

fn state_of(oracle: &Session<Naive>) -> u128 {
    let form = oracle.subject.canonical(&oracle.instance_id("i"));
    let half = |salt: u64| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        form.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (half(1) << 64) | half(2)
}
