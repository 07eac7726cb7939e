//! The generators themselves: models are valid, words reach every outcome.

use std::collections::{BTreeMap, BTreeSet};

use flowledger_tests::differential::drive;
use flowledger_tests::generate::{Case, Race, calling_case, going_back_case, parallel_case, race, seeded, serial_case};
use flowledger_tests::scenario::{Flow, Operation, Outcome, Profile, Step};
use serde_json::Value;

const SEEDS: u64 = 300;

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// Faults of a model by the deploy rules of both profiles, found independently of any engine.
fn faults(model: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let elements = model["flowElementList"].as_array().expect("a list");
    let by_key: BTreeMap<&str, &Value> = elements
        .iter()
        .map(|element| (element["key"].as_str().unwrap(), element))
        .collect();
    if by_key.len() != elements.len() {
        faults.push("a key occurs twice".to_owned());
    }
    for (key, element) in &by_key {
        let kind = element["type"].as_i64().unwrap();
        let (incoming, outgoing) = (strings(&element["incoming"]), strings(&element["outgoing"]));
        if (kind != 2 && incoming.is_empty()) || (kind != 3 && outgoing.is_empty()) {
            faults.push(format!("{key} lacks an edge"));
        }
        if kind == 1 && (incoming.len() != 1 || outgoing.len() != 1) {
            faults.push(format!("{key} is no edge"));
        }
        for (other, back) in incoming
            .iter()
            .map(|other| (other, "outgoing"))
            .chain(outgoing.iter().map(|other| (other, "incoming")))
        {
            let lists = by_key
                .get(other.as_str())
                .is_some_and(|other| strings(&other[back]).contains(&(*key).to_owned()));
            if !lists {
                faults.push(format!("{key} and {other} do not know each other"));
            }
        }
        if matches!(kind, 9 | 10) {
            let matched = matched(element);
            let (fork, join) = (matched["fork"].as_str().unwrap(), matched["join"].as_str().unwrap());
            let ends = [fork, join].map(|key| by_key.get(key));
            if ends
                .iter()
                .any(|end| end.is_none_or(|end| end["type"] != kind || self::matched(end) != matched))
            {
                faults.push(format!("{key} is not matched"));
            }
            if (*key != fork && *key != join) || fork == join {
                faults.push(format!("{key} is neither fork nor join"));
            }
        }
        if kind == 6 {
            let defaults = outgoing
                .iter()
                .filter(|flow| by_key[flow.as_str()]["properties"]["defaultConditions"] == "true");
            if defaults.count() > 1 {
                faults.push(format!("{key} has two defaults"));
            }
            for flow in &outgoing {
                let properties = &by_key[flow.as_str()]["properties"];
                let blank = properties["conditionsequenceflow"]
                    .as_str()
                    .unwrap_or_default()
                    .is_empty();
                if blank && properties["defaultConditions"] != "true" {
                    faults.push(format!("{flow} of {key} has no condition"));
                }
            }
        }
    }
    let start = elements.iter().find(|element| element["type"] == 2).unwrap()["key"]
        .as_str()
        .unwrap();
    let mut reached = BTreeSet::from([start.to_owned()]);
    let mut open = vec![start.to_owned()];
    while let Some(key) = open.pop() {
        for next in strings(&by_key[key.as_str()]["outgoing"]) {
            if reached.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    if reached.len() != elements.len() {
        faults.push("not everything is reachable".to_owned());
    }
    // A ring without user task or call activity: take tasks away, then peel what has no way in.
    let mut left: BTreeSet<&str> = by_key
        .iter()
        .filter(|(_, element)| !matches!(element["type"].as_i64(), Some(4 | 8)))
        .map(|(key, _)| *key)
        .collect();
    loop {
        let before = left.len();
        let peeled = left.clone();
        left.retain(|key| {
            strings(&by_key[key]["incoming"])
                .iter()
                .any(|from| peeled.contains(from.as_str()))
        });
        if left.len() == before {
            break;
        }
    }
    if !left.is_empty() {
        faults.push(format!("a ring without a task: {left:?}"));
    }
    faults
}

/// The keys of a gateway's fork and join.
fn matched(element: &Value) -> Value {
    match &element["properties"]["forkJoinMatch"] {
        Value::String(text) => serde_json::from_str(text).unwrap(),
        keys => keys.clone(),
    }
}

fn nodes(model: &Value) -> usize {
    model["flowElementList"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|element| element["type"] != 1)
        .count()
}

#[test]
fn generated_models_keep_every_deploy_rule() {
    let mut sizes = BTreeSet::new();
    for seed in 0..SEEDS {
        for case in [
            seeded(&serial_case(), seed),
            seeded(&calling_case(), seed),
            seeded(&parallel_case(), seed),
        ] {
            for flow in &case.flows {
                assert_eq!(
                    faults(&flow.flow_model),
                    Vec::<String>::new(),
                    "seed {seed}: {}",
                    flow.flow_model
                );
                sizes.insert(nodes(&flow.flow_model));
            }
        }
    }
    assert!(sizes.first().is_some_and(|size| *size <= 4), "{sizes:?}");
    assert!(sizes.last().is_some_and(|size| (30..=46).contains(size)), "{sizes:?}");
}

fn outcomes(cases: impl Iterator<Item = Case>, profile: Profile) -> BTreeMap<(&'static str, i64), usize> {
    let mut seen = BTreeMap::new();
    for case in cases {
        let mut count = |step: &Step, outcome: &Outcome| {
            let op = match step.op {
                Operation::Start => "start",
                Operation::Commit => "commit",
                Operation::Rollback => "rollback",
                Operation::Terminate => "terminate",
                _ => "query",
            };
            *seen.entry((op, outcome.answer.code)).or_default() += 1;
            Ok(())
        };
        drive(&case, profile, &mut count).expect("counting refuses nothing");
    }
    seen
}

#[test]
fn generated_words_reach_every_outcome() {
    let wanted = [
        ("start", [1000, 1002, 4013, 4015, 4018].as_slice()),
        (
            "commit",
            &[1000, 1001, 1002, 4001, 4003, 4008, 4010, 4013, 4014, 4015, 4018, 7301],
        ),
        ("rollback", &[1003, 4002, 4004, 4006, 4008, 4010]),
        ("terminate", &[1000, 4008]),
        ("query", &[1000, 4008, 4010]),
    ];
    let serial = outcomes((0..SEEDS).map(|seed| seeded(&serial_case(), seed)), Profile::Documented);
    let calling = outcomes(
        (0..SEEDS).map(|seed| seeded(&calling_case(), seed)),
        Profile::Documented,
    );
    let parallel = outcomes(
        (0..SEEDS).map(|seed| seeded(&parallel_case(), seed)),
        Profile::Documented,
    );
    for outcome in [("commit", 1601), ("commit", 6008)] {
        assert!(parallel.contains_key(&outcome), "never {outcome:?} in {parallel:?}");
    }
    for (name, seen) in [("serial", serial), ("calling", calling), ("parallel", parallel)] {
        // Half of the parallel words are of commits and rollbacks only, so the rare refusals are left to the others.
        let is_rare = |outcome: &(&str, i64)| name == "parallel" && [4008, 7301].contains(&outcome.1);
        let missing: Vec<(&str, i64)> = wanted
            .iter()
            .flat_map(|(op, codes)| codes.iter().map(|code| (*op, *code)))
            .filter(|outcome| !seen.contains_key(outcome) && !is_rare(outcome))
            .collect();
        assert!(missing.is_empty(), "{name}: never {missing:?} in {seen:?}");
    }
}

#[test]
fn a_seed_gives_the_same_case_every_time() {
    for seed in 0..20 {
        let (first, second) = (seeded(&serial_case(), seed), seeded(&serial_case(), seed));
        assert_eq!(format!("{first:?}"), format!("{second:?}"));
    }
}

/// How often each kind of thing occurred.
type Kinds = BTreeMap<String, usize>;

fn count(kinds: &mut Kinds, kind: impl Into<String>) {
    *kinds.entry(kind.into()).or_default() += 1;
}

/// The ways of one flow from node to node.
struct Ways<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> Ways<'a> {
    fn of(flow: &'a Flow) -> Self {
        let elements = flow.flow_model["flowElementList"].as_array().expect("a list");
        Self(
            elements
                .iter()
                .map(|element| (element["key"].as_str().unwrap(), element))
                .collect(),
        )
    }

    fn from(&self, key: &str) -> Vec<String> {
        let flows = strings(&self.0[key]["outgoing"]);
        flows
            .iter()
            .flat_map(|flow| strings(&self.0[flow.as_str()]["outgoing"]))
            .collect()
    }

    /// What is reached from a node, ways through another one left out.
    fn reached(&self, from: &str, without: Option<&str>) -> BTreeSet<String> {
        let mut reached = BTreeSet::new();
        let mut open = self.from(from);
        while let Some(key) = open.pop() {
            if Some(key.as_str()) != without && reached.insert(key.clone()) {
                open.extend(self.from(&key));
            }
        }
        reached
    }
}

/// Of one flow: how its nodes stand to each other.
struct Shape {
    /// The type of each element, by key.
    kinds: BTreeMap<String, i64>,
    /// How many forks are around each node, within the flow.
    depth: BTreeMap<String, usize>,
    forks: BTreeSet<String>,
    joins: BTreeSet<String>,
    /// The flow each call activity runs.
    callees: BTreeMap<String, String>,
}

impl Shape {
    fn of(flow: &Flow, kinds: &mut Kinds) -> Self {
        let ways = Ways::of(flow);
        let elements = ways.0.iter();
        let mut shape = Self {
            kinds: elements
                .map(|(key, element)| ((*key).to_owned(), element["type"].as_i64().unwrap()))
                .collect(),
            depth: BTreeMap::new(),
            forks: BTreeSet::new(),
            joins: BTreeSet::new(),
            callees: BTreeMap::new(),
        };
        for (key, element) in &ways.0 {
            match shape.kinds[*key] {
                1 => continue,
                8 => {
                    let module = element["properties"]["callActivityFlowModuleId"].as_str().unwrap();
                    let callee = module.trim_start_matches("$module:").to_owned();
                    shape.callees.insert((*key).to_owned(), callee);
                }
                9 | 10 => {
                    let matched = matched(element);
                    let (fork, join) = (matched["fork"].as_str().unwrap(), matched["join"].as_str().unwrap());
                    if fork == *key {
                        shape.forks.insert(fork.to_owned());
                        shape.joins.insert(join.to_owned());
                        for inside in ways.reached(fork, Some(join)) {
                            *shape.depth.entry(inside).or_default() += 1;
                        }
                    }
                }
                _ => {}
            }
            shape.depth.entry((*key).to_owned()).or_default();
        }
        shape.count_forks(&ways, flow.name != "main", kinds);
        shape.count_nodes(&ways, kinds);
        if flow.flow_model["reasonOptions"].is_object() {
            count(kinds, "reasonOptions");
        }
        shape
    }

    fn count_forks(&self, ways: &Ways<'_>, is_sub: bool, kinds: &mut Kinds) {
        for fork in &self.forks {
            let name = if self.kinds[fork] == 9 { "parallel" } else { "inclusive" };
            count(kinds, format!("{name} fork"));
            count(kinds, format!("fork {} deep", self.depth[fork] + 1));
            count(kinds, format!("fork of {}", ways.from(fork).len()));
            if ways.reached(fork, None).contains(fork) {
                count(kinds, "loop around a fork");
            }
            if ways.from(fork).iter().any(|next| self.joins.contains(next)) {
                count(kinds, "fork straight into its join");
            }
            if is_sub {
                count(kinds, "fork in a sub flow");
            }
        }
    }

    fn count_nodes(&self, ways: &Ways<'_>, kinds: &mut Kinds) {
        for (key, depth) in &self.depth {
            let properties = &ways.0[key.as_str()]["properties"];
            let place = if *depth > 0 { "in a branch" } else { "outside" };
            let kind = match self.kinds[key] {
                3 => "end event",
                4 => "user task",
                6 => "exclusive gateway",
                8 => "call activity",
                _ => "other node",
            };
            count(kinds, format!("{kind} {place}"));
            if kind == "user task" && ways.reached(key, None).contains(key) {
                count(kinds, format!("loop {place}"));
            }
            if self.joins.contains(key) {
                for property in ["branchMerge", "dataMerge", "dataConflict"] {
                    let value = properties[property].as_str().unwrap_or("default");
                    count(kinds, format!("{property} {value}"));
                }
                if ways.from(key).iter().any(|next| self.forks.contains(next)) {
                    count(kinds, "join straight into a fork");
                }
            }
            if properties["hookInfoIds"].is_string() {
                count(kinds, format!("hook {place}"));
            }
            if let Some(means) = properties["onRollback"].as_str() {
                count(
                    kinds,
                    format!("onRollback {}", means.split(':').next().unwrap_or_default()),
                );
            }
        }
    }
}

/// What a node instance of the history is.
struct Seen {
    key: String,
    kind: i64,
    is_join: bool,
    status: i64,
}

/// Counts what one answer of getHistoryElementList shows of a run.
struct History<'a> {
    shapes: &'a BTreeMap<String, Shape>,
    nodes: BTreeMap<String, Seen>,
    /// Forks around each active task, those around its call activities with them.
    active: Vec<usize>,
    calls: usize,
    kinds: &'a mut Kinds,
}

impl History<'_> {
    fn learn(&mut self, elements: &Value, flow: &str, around: usize, calls: usize) {
        let shape = &self.shapes[flow];
        let mut completed: BTreeMap<&str, usize> = BTreeMap::new();
        for element in elements.as_array().into_iter().flatten() {
            let Some(label) = element["node"].as_str() else {
                continue;
            };
            let key = element["modelKey"].as_str().unwrap();
            let status = element["status"].as_i64().unwrap();
            let kind = shape.kinds[key];
            let depth = around + shape.depth[key];
            let seen = Seen {
                key: key.to_owned(),
                kind,
                is_join: shape.joins.contains(key),
                status,
            };
            self.nodes.insert(label.to_owned(), seen);
            if kind == 4 && status == 1 {
                *completed.entry(key).or_default() += 1;
            }
            if kind == 4 && status == 2 {
                self.active.push(depth);
                self.calls = self.calls.max(calls);
                if calls > 0 && around > 0 {
                    count(self.kinds, "task active in a call activity in a branch");
                }
            }
            if let (8, Some(callee)) = (kind, shape.callees.get(key)) {
                self.learn(&element["sub"], callee, depth, calls + 1);
            }
        }
        if completed.values().any(|times| *times > 1) {
            count(self.kinds, "loop turned");
        }
    }
}

/// Counts the kinds in the models of a case, and in what happens when its word is given.
fn kinds_of(case: &Case, kinds: &mut Kinds) {
    let shapes: BTreeMap<String, Shape> = case
        .flows
        .iter()
        .map(|flow| (flow.name.clone(), Shape::of(flow, kinds)))
        .collect();
    let mut commands = 0;
    let mut went_back = false;
    let mut before: BTreeMap<String, Seen> = BTreeMap::new();
    let mut follow = |step: &Step, outcome: &Outcome| {
        if step.op.is_command() {
            commands += 1;
            went_back = matches!(step.op, Operation::Rollback | Operation::RollbackTo) && outcome.answer.code == 1003;
            if outcome.answer.code < 2000 {
                count(kinds, format!("{:?} taken", step.op));
            } else {
                count(kinds, format!("{:?} refused", step.op));
            }
        }
        if step.op != Operation::GetHistoryElementList || step.effective != Some(true) {
            return Ok(());
        }
        let mut history = History {
            shapes: &shapes,
            nodes: BTreeMap::new(),
            active: Vec::new(),
            calls: 0,
            kinds,
        };
        history.learn(&outcome.normal["elements"], "main", 0, 0);
        let History {
            nodes, active, calls, ..
        } = history;
        if let Some(depth) = active.iter().max() {
            count(kinds, format!("task active under {depth} forks"));
            count(kinds, format!("task active in {calls} call activities"));
            count(kinds, format!("{} tasks active", active.len()));
        }
        if went_back {
            let opened = nodes
                .iter()
                .filter(|(label, seen)| seen.status == 2 && !before.contains_key(*label));
            let opened: BTreeSet<&str> = opened.map(|(_, seen)| seen.key.as_str()).collect();
            let is_opened = |key: &str| opened.contains(key);
            for (label, seen) in &nodes {
                let Some(earlier) = before.get(label).filter(|earlier| earlier.key == seen.key) else {
                    continue;
                };
                match (seen.kind, seen.is_join, earlier.status, seen.status) {
                    (9 | 10, true, 1, 4) => count(kinds, "went back behind a join that fired"),
                    (9 | 10, false, 1, 4) => count(kinds, "went back over a fork"),
                    (8, _, 2, 4) => count(kinds, "went back out of a call activity"),
                    // What is opened again is a new node instance of the same element.
                    (8, _, 1, 4) if is_opened(&seen.key) => count(kinds, "went back into a finished call activity"),
                    (4, _, 6, 4) if is_opened(&seen.key) => count(kinds, "went back and opened what a join had closed"),
                    _ => {}
                }
            }
        }
        went_back = false;
        before = nodes;
        Ok(())
    };
    drive(case, Profile::Documented, &mut follow).expect("counting refuses nothing");
    count(kinds, format!("words of {} and more commands", commands / 10 * 10));
}

#[test]
fn generated_cases_have_every_kind_of_everything() {
    let mut kinds = Kinds::new();
    for seed in 0..120 {
        kinds_of(&seeded(&going_back_case(), seed), &mut kinds);
        kinds_of(&seeded(&parallel_case(), seed), &mut kinds);
    }
    let wanted = "parallel fork, inclusive fork, fork 1 deep, fork 2 deep, fork 3 deep, fork of 2, fork of 3, fork of 4, \
        loop around a fork, loop in a branch, loop outside, loop turned, fork straight into its join, join straight into a fork, \
        fork in a sub flow, call activity in a branch, call activity outside, exclusive gateway in a branch, \
        exclusive gateway outside, end event in a branch, user task in a branch, hook in a branch, hook outside, \
        branchMerge default, branchMerge JoinAll, branchMerge AnyOne, dataMerge default, dataMerge All, dataMerge None, \
        dataConflict default, dataConflict last, dataConflict branchOrder, dataConflict fail, \
        onRollback ignore, onRollback forbid, onRollback compensate, reasonOptions, \
        task active under 1 forks, task active under 2 forks, task active under 3 forks, \
        task active in 1 call activities, task active in 2 call activities, task active in a call activity in a branch, \
        2 tasks active, 3 tasks active, 4 tasks active, 5 tasks active, \
        went back behind a join that fired, went back over a fork, went back into a finished call activity, \
        went back out of a call activity, went back and opened what a join had closed, \
        Start taken, Start refused, Commit taken, Commit refused, Rollback taken, Rollback refused, RollbackTo taken, \
        RollbackTo refused, Redo taken, Redo refused, Suspend taken, Suspend refused, Resume taken, Resume refused, \
        Abort taken, Abort refused, Restore taken, Restore refused, Terminate taken, \
        words of 10 and more commands, words of 30 and more commands, words of 50 and more commands";
    let wanted = wanted.split(',').map(str::trim);
    let missing: Vec<&str> = wanted.filter(|kind| !kinds.contains_key(*kind)).collect();
    assert!(missing.is_empty(), "never {missing:?} in {kinds:#?}");
}

#[test]
fn generated_races_have_every_number_of_branches_under_every_policy() {
    let mut kinds = Kinds::new();
    for seed in 0..SEEDS {
        for disjoint in [true, false] {
            let race: Race = seeded(&race(disjoint), seed);
            let tasks: usize = race.branches.iter().map(Vec::len).sum();
            let all_orders = if tasks <= 6 { "all orders" } else { "some orders" };
            let branches = race.branches.len();
            count(
                &mut kinds,
                format!("{disjoint} {} {branches} {all_orders}", race.conflict),
            );
        }
    }
    for disjoint in [true, false] {
        for conflict in ["last", "branchOrder", "fail"] {
            for branches in 2..=4 {
                let kind = format!("{disjoint} {conflict} {branches} all orders");
                assert!(kinds.contains_key(&kind), "never {kind} in {kinds:#?}");
            }
        }
    }
}
