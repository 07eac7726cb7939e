//! Soundness by brute force: the naive interpreter goes through every choice of every state. Shares no code with the
//! analysis of models, and knows nothing of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::law::active_tasks;
use crate::naive::Naive;
use crate::scenario::{Answer, Body, Commit, Flow, Profile, Start, Subject as _, Variable};

/// What brute force says about a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Brute {
    /// Some state can neither end nor lead to one that can.
    pub can_get_stuck: bool,
    /// Nodes that nothing came to.
    pub unreached: BTreeSet<String>,
    /// Two tokens stood at one task.
    pub doubles: bool,
    /// Codes with which commands failed.
    pub fails: BTreeSet<i64>,
    /// A fork was entered in one of its own branches; what follows was not followed.
    pub nests_in_itself: bool,
    /// No start succeeds.
    pub starts: bool,
    /// Some start fails, so that what it came to is not seen.
    pub some_start_fails: bool,
    /// Different positions.
    pub states: usize,
}

/// The variables that a model's conditions read, of these.
fn read(model: &str, names: &[&'static str]) -> Vec<&'static str> {
    let model: serde_json::Value = serde_json::from_str(model).expect("a model is JSON");
    let elements = model["flowElementList"].as_array().cloned().unwrap_or_default();
    let conditions: Vec<String> = elements
        .iter()
        .filter_map(|element| element["properties"]["conditionsequenceflow"].as_str())
        .map(|condition| condition.replace(|c: char| !c.is_alphanumeric(), " "))
        .collect();
    let is_read = |name: &&&str| {
        conditions
            .iter()
            .any(|words| words.split(' ').any(|word| word == **name))
    };
    names.iter().filter(is_read).copied().collect()
}

/// Values that tell the conditions of [`unstructured`](crate::generate::unstructured) models apart: two of every range, since
/// joins also compare values with each other.
fn values(name: &str) -> Vec<serde_json::Value> {
    match name {
        "n" => [-1, 0, 1, 2, 3, 4, 5, 6].map(|number| json!(number)).to_vec(),
        "ok" => vec![json!(true), json!(false)],
        _ => vec![json!("x"), json!("y"), json!("z"), json!("zz")],
    }
}

fn grid(names: &[&'static str]) -> Vec<Vec<Variable>> {
    let mut grid = vec![Vec::new()];
    for name in names {
        grid = grid
            .iter()
            .flat_map(|row: &Vec<Variable>| {
                values(name).into_iter().map(|value| {
                    let mut row = row.clone();
                    row.push(Variable::new(name, value));
                    row
                })
            })
            .collect();
    }
    grid
}

/// Goes through a model, and the flow `sub` that its call activities run. `None` when there are more states than `most`.
///
/// # Panics
/// When the interpreter does not know a condition.
#[must_use]
pub fn brute(main: &Flow, sub: &Flow, most: usize) -> Option<Brute> {
    let text = main.flow_model.to_string();
    let grid = grid(&read(&text, &["n", "ok", "s"]));
    let mut naive = Naive::new(Profile::Documented, None);
    let called = naive.create_flow("sub");
    naive.deploy(&called, &sub.flow_model.to_string());
    let module = naive.create_flow("main");
    naive.deploy(&module, &text.replace("$module:sub", &called));
    let mut search = Search {
        states: Vec::new(),
        known: BTreeMap::new(),
        next: Vec::new(),
        completes: Vec::new(),
        found: Brute::default(),
        visited: BTreeSet::new(),
    };
    for variables in &grid {
        let mut started = naive.clone();
        let answer = started.start(&Start {
            flow_module_id: module.clone(),
            variables: variables.clone(),
            command_id: None,
        });
        match instance_of(&answer) {
            Some(id) if (1000..2000).contains(&answer.code) => {
                search.found.starts = true;
                search.come_to(started, &id);
            }
            _ => {
                search.found.some_start_fails = true;
                search.found.fails.insert(answer.code);
            }
        }
    }
    let mut at = 0;
    while at < search.states.len() {
        if search.states.len() > most {
            return None;
        }
        search.expand(at, &grid);
        at += 1;
    }
    Some(search.verdict(&text))
}

struct Search {
    /// The interpreter in each state, and the instance; `None` for what is not followed.
    states: Vec<Option<(Naive, String)>>,
    known: BTreeMap<String, usize>,
    next: Vec<BTreeSet<usize>>,
    completes: Vec<bool>,
    found: Brute,
    visited: BTreeSet<String>,
}

impl Search {
    /// The place of a state; `None` when the flow has ended.
    fn come_to(&mut self, naive: Naive, id: &str) -> Option<usize> {
        self.visited.extend(naive.visited(id));
        let nests = naive.is_nested_in_itself(id);
        self.found.nests_in_itself |= nests;
        let position = naive.position(id)?;
        if let Some(known) = self.known.get(&position) {
            return Some(*known);
        }
        let at = self.states.len();
        self.known.insert(position, at);
        self.states.push((!nests).then(|| (naive, id.to_owned())));
        self.next.push(BTreeSet::new());
        self.completes.push(nests);
        Some(at)
    }

    fn expand(&mut self, at: usize, grid: &[Vec<Variable>]) {
        let Some((naive, id)) = self.states[at].clone() else {
            return;
        };
        let tasks = active_tasks(&mut naive.clone(), &id);
        let mut keys: Vec<&String> = tasks.iter().map(|task| &task.path[0]).collect();
        keys.sort();
        self.found.doubles |= keys.windows(2).any(|pair| pair[0] == pair[1]);
        for task in &tasks {
            for variables in grid {
                let mut after = naive.clone();
                let answer = after.commit(&Commit {
                    flow_instance_id: id.clone(),
                    task_instance_id: task.node.clone(),
                    variables: variables.clone(),
                    call_activity_flow_module_id: None,
                    command_id: None,
                });
                if !(1000..2000).contains(&answer.code) {
                    if answer.code != 6008 {
                        self.found.fails.insert(answer.code);
                        self.visited.extend(after.visited(&id));
                    }
                    continue;
                }
                match self.come_to(after, &id) {
                    Some(to) => {
                        self.next[at].insert(to);
                    }
                    None => self.completes[at] = true,
                }
            }
        }
    }

    fn verdict(mut self, model: &str) -> Brute {
        let mut can = self.completes.clone();
        loop {
            let more: Vec<usize> = (0..can.len())
                .filter(|at| !can[*at] && self.next[*at].iter().any(|next| can[*next]))
                .collect();
            if more.is_empty() {
                break;
            }
            for at in more {
                can[at] = true;
            }
        }
        self.found.can_get_stuck = can.contains(&false);
        let model: serde_json::Value = serde_json::from_str(model).expect("a model is JSON");
        let elements = model["flowElementList"].as_array().cloned().unwrap_or_default();
        let nodes = elements.iter().filter(|element| element["type"] != 1);
        let keys = nodes.filter_map(|element| element["key"].as_str().map(str::to_owned));
        self.found.unreached = keys.filter(|key| !self.visited.contains(key)).collect();
        self.found.states = self.states.len();
        self.found
    }
}

fn instance_of(answer: &Answer) -> Option<String> {
    match &answer.body {
        Body::Runtime(runtime) => Some(runtime.flow_instance.clone()),
        _ => None,
    }
}
