//! The generators themselves: models are valid, words reach every outcome.

use std::collections::{BTreeMap, BTreeSet};

use flowledger_tests::differential::drive;
use flowledger_tests::generate::{Case, calling_case, parallel_case, seeded, serial_case};
use flowledger_tests::scenario::{Operation, Outcome, Profile, Step};
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
