//! Random models: block structured, so that they deploy and come to their end, and bounded by the number of their tasks.

use flowledger_engine_core::model::element::ElementType;
use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use serde_json::{Value as Json, json};

/// Blocks within blocks.
const MAX_DEPTH: u32 = 3;
/// Branches of a gateway, at most.
const MAX_BRANCHES: usize = 3;
/// Blocks in a row, at most.
const MAX_ROW: usize = 4;
/// Conditions of sequence flows: over a number, a text and a truth value.
const CONDITIONS: [&str; 8] = [
    "a > 3",
    "a <= 3",
    "a == 5",
    "b < 2",
    "b >= a",
    "s == 'x'",
    "s != 'y'",
    "ok == true",
];

/// A part of a model with one way in and one way out.
#[derive(Clone, Debug)]
enum Block {
    Task,
    /// One of several ways; the last is the default.
    Choice(Vec<(&'static str, Vec<Block>)>),
    /// All ways, or those whose conditions hold; the last holds where the first does not.
    Fork {
        is_inclusive: bool,
        branches: Vec<(&'static str, Vec<Block>)>,
    },
    /// A task and what follows it, again as long as a condition holds.
    Loop(&'static str, Vec<Block>),
}

/// The text of a well-formed model of at most so many user tasks (at least one), with exclusive, parallel and inclusive
/// gateways and loops, nested.
///
/// Its conditions read `a` and `b` (numbers), `s` (a text) and `ok` (true or false); every choice has a way on
/// for all their values, so a commit fails for want of a variable only. It has no call activities and no hooks.
///
/// ```
/// use flowledger::testing::{FlowTest, Invariant, models};
/// use proptest::prelude::*;
///
/// proptest!(ProptestConfig::with_cases(4), |(model in models(6))| {
///     let test = FlowTest::new(&model).cases(5).with(Invariant::never_stuck());
///     test.run().map_err(|error| TestCaseError::fail(error.to_string()))?;
/// });
/// ```
pub fn models(tasks: usize) -> BoxedStrategy<String> {
    row(blocks()).prop_map(move |row| written(&row, tasks)).boxed()
}

fn blocks() -> BoxedStrategy<Block> {
    let size = 16;
    Just(Block::Task)
        .prop_recursive(MAX_DEPTH, size, 4, |inner| {
            let branch = (select(&CONDITIONS), row(inner.clone().boxed()));
            let branches = vec(branch, 2..=MAX_BRANCHES);
            prop_oneof![
                3 => Just(Block::Task),
                2 => branches.clone().prop_map(Block::Choice),
                2 => (any::<bool>(), branches)
                    .prop_map(|(is_inclusive, branches)| Block::Fork { is_inclusive, branches }),
                1 => (select(&CONDITIONS), row(inner.boxed())).prop_map(|(again, body)| Block::Loop(again, body)),
            ]
        })
        .boxed()
}

fn row(block: BoxedStrategy<Block>) -> BoxedStrategy<Vec<Block>> {
    vec(block, 1..=MAX_ROW).boxed()
}

/// How many tasks a row needs at least.
fn least(row: &[Block]) -> usize {
    row.iter().take(1).map(Block::least).sum()
}

impl Block {
    /// How many tasks it needs at least; each of its branches needs one.
    fn least(&self) -> usize {
        match self {
            Self::Task | Self::Loop(..) => 1,
            Self::Choice(branches) | Self::Fork { branches, .. } => branches.iter().map(|(_, row)| least(row)).sum(),
        }
    }
}

fn written(row: &[Block], tasks: usize) -> String {
    let mut writer = Writer::default();
    let mut room = tasks.max(1);
    let start = writer.node(ElementType::StartEvent);
    let first = writer.task(&mut room);
    writer.flow(start, first, None);
    let last = writer.row(row, (first, None), &mut room);
    let end = writer.node(ElementType::EndEvent);
    writer.behind(last, end);
    writer.text()
}

/// What a sequence flow says.
#[derive(Clone, Copy)]
enum Says {
    Condition(&'static str),
    /// That a condition does not hold.
    Not(&'static str),
    Default,
}

/// A node from which a sequence flow is still to lead on, and what that one says.
type Open = (usize, Option<Says>);

/// A model as far as it is written.
#[derive(Default)]
struct Writer {
    nodes: Vec<(ElementType, Json)>,
    flows: Vec<(usize, usize, Option<Says>)>,
}

impl Writer {
    fn node(&mut self, element_type: ElementType) -> usize {
        self.nodes.push((element_type, json!({})));
        self.nodes.len() - 1
    }

    fn task(&mut self, room: &mut usize) -> usize {
        *room = room.saturating_sub(1);
        self.node(ElementType::UserTask)
    }

    fn flow(&mut self, from: usize, to: usize, says: Option<Says>) {
        self.flows.push((from, to, says));
    }

    /// A node behind what is open.
    fn behind(&mut self, open: Open, node: usize) {
        let (from, says) = open;
        self.flow(from, node, says);
    }

    /// Writes blocks as long as there is room for the tasks that they need.
    fn row(&mut self, row: &[Block], mut open: Open, room: &mut usize) -> Open {
        for block in row {
            if block.least() > *room {
                break;
            }
            open = self.block(block, open, room);
        }
        open
    }

    fn block(&mut self, block: &Block, open: Open, room: &mut usize) -> Open {
        match block {
            Block::Task => {
                let task = self.task(room);
                self.behind(open, task);
                (task, None)
            }
            Block::Loop(again, body) => {
                let first = self.task(room);
                self.behind(open, first);
                let last = self.row(body, (first, None), room);
                let gate = self.node(ElementType::ExclusiveGateway);
                self.behind(last, gate);
                self.flow(gate, first, Some(Says::Condition(again)));
                (gate, Some(Says::Default))
            }
            Block::Choice(branches) => {
                self.branches(branches, ElementType::ExclusiveGateway, Some(Says::Default), open, room)
            }
            Block::Fork {
                is_inclusive: true,
                branches,
            } => self.branches(branches, ElementType::InclusiveGateway, None, open, room),
            Block::Fork {
                is_inclusive: false,
                branches,
            } => self.branches(branches, ElementType::ParallelGateway, None, open, room),
        }
    }

    /// A gateway, its branches, and the gateway at which they meet again.
    fn branches(
        &mut self,
        branches: &[(&'static str, Vec<Block>)],
        gateway: ElementType,
        behind: Option<Says>,
        open: Open,
        room: &mut usize,
    ) -> Open {
        let fork = self.node(gateway);
        self.behind(open, fork);
        let mut ends = Vec::with_capacity(branches.len());
        for (number, (condition, row)) in branches.iter().enumerate() {
            let says = if gateway == ElementType::ParallelGateway {
                None
            } else if number + 1 == branches.len() {
                // Inclusive gateways have no default: one of the first and the last is taken.
                let first = branches.first().map(|(condition, _)| *condition);
                let is_inclusive = gateway == ElementType::InclusiveGateway;
                Some(first.filter(|_| is_inclusive).map_or(Says::Default, Says::Not))
            } else {
                Some(Says::Condition(condition))
            };
            // The branches that follow need room as well.
            let later = branches.get(number + 1..).unwrap_or_default();
            let kept: usize = later.iter().map(|(_, row)| least(row)).sum();
            let mut own = room.saturating_sub(kept);
            let before = own;
            ends.push(self.row(row, (fork, says), &mut own));
            *room = room.saturating_sub(before - own);
        }
        let join = self.node(gateway);
        for end in ends {
            self.behind(end, join);
        }
        if gateway != ElementType::ExclusiveGateway {
            let matched = json!({"fork": key(fork), "join": key(join)});
            for node in [fork, join] {
                if let Some((_, properties)) = self.nodes.get_mut(node) {
                    *properties = json!({"forkJoinMatch": matched});
                }
            }
        }
        (join, behind)
    }

    fn text(&self) -> String {
        let flows = |node: usize, side: fn(&(usize, usize, Option<Says>)) -> usize| -> Vec<String> {
            let flows = self.flows.iter().enumerate();
            flows
                .filter(|(_, flow)| side(flow) == node)
                .map(|(place, _)| format!("f{place}"))
                .collect()
        };
        let nodes = self
            .nodes
            .iter()
            .enumerate()
            .map(|(place, (element_type, properties))| {
                json!({
                    "key": key(place), "type": element_type.number(), "properties": properties,
                    "incoming": flows(place, |flow| flow.1), "outgoing": flows(place, |flow| flow.0),
                })
            });
        let edges = self.flows.iter().enumerate().map(|(place, (from, to, says))| {
            let properties = match says {
                None => json!({}),
                Some(Says::Default) => json!({"defaultConditions": "true"}),
                Some(Says::Condition(condition)) => json!({"conditionsequenceflow": condition}),
                Some(Says::Not(condition)) => json!({"conditionsequenceflow": format!("!({condition})")}),
            };
            json!({
                "key": format!("f{place}"), "type": ElementType::SequenceFlow.number(), "properties": properties,
                "incoming": [key(*from)], "outgoing": [key(*to)],
            })
        });
        json!({"flowElementList": nodes.chain(edges).collect::<Vec<_>>()}).to_string()
    }
}

fn key(node: usize) -> String {
    format!("n{node}")
}
