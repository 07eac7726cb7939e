//! Decisions about instances, each as a model, a word of commands and the answers one expects.

mod branching;
mod going_back;
mod invariants;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use proptest::prelude::*;

use crate::codec;
use crate::context::{Answers, Context, HookAnswer, IdSource, ModuleStanding, Question};
use crate::decider::{Decider, Decision};
use crate::deployment::Deployment;
use crate::event::{
    Actor, AnyRecord, Envelope, Given, InstanceCommand, InstanceEvent, InstanceRecord, Record, RollbackTarget,
};
use crate::expression::DialectCalculator;
use crate::id::{CommandId, FlowDeployId, IdGenerator, IdKind, IdOrigin, NameBasedIds, NodeInstanceId};
use crate::instance::{FlowIndex, FlowInstance, NodeStatus, Outcome};
use crate::limits::Limits;
use crate::model::parse::{self, ModelLimits};
use crate::plug_in::PlugIns;
use crate::profile::Profile;
use crate::time::Timestamp;
use crate::value::Value;
use crate::variables::InstanceData;

/// `start>ask; ask>gate; gate>review[amount > 100]; gate>end[default]`: nodes are user tasks unless their name begins
/// with start, end, gate, hook (a gateway with a hook) or call. `forkX` and `joinX` are a parallel pair, `iforkX` and
/// `ijoinX` an inclusive one; `joinX: dataMerge=None` sets a property.
pub(crate) fn model_json(text: &str) -> String {
    let (settings, edges): (Vec<&str>, Vec<&str>) = text.split(';').partition(|part| part.contains(": "));
    let edges: Vec<(&str, &str, &str)> = edges
        .into_iter()
        .map(|edge| {
            let (source, rest) = edge.trim().split_once('>').unwrap();
            let (target, condition) = rest.split_once('[').unwrap_or((rest, ""));
            (source.trim(), target.trim(), condition.trim_end_matches(']'))
        })
        .collect();
    let mut nodes: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
    let mut elements = Vec::new();
    for (number, (source, target, condition)) in edges.iter().enumerate() {
        let flow = format!("f{number}");
        nodes.entry(source).or_default().1.push(flow.clone());
        nodes.entry(target).or_default().0.push(flow.clone());
        let properties = match *condition {
            "default" => serde_json::json!({"defaultConditions": "true"}),
            condition => serde_json::json!({"conditionsequenceflow": condition}),
        };
        elements.push(serde_json::json!(
            {"key": flow, "type": 1, "incoming": [source], "outgoing": [target], "properties": properties}
        ));
    }
    for (name, (incoming, outgoing)) in nodes {
        let (element_type, properties) = match name {
            name if name.starts_with("start") => (2, serde_json::json!({})),
            name if name.starts_with("end") => (3, serde_json::json!({})),
            name if name.starts_with("gate") => (6, serde_json::json!({})),
            name if name.starts_with("hook") => (6, serde_json::json!({"hookInfoIds": "h"})),
            name if name.starts_with("call") => (8, serde_json::json!({})),
            name => match gateway(name) {
                Some((number, pair)) => (number, serde_json::json!({ "forkJoinMatch": pair })),
                None => (4, serde_json::json!({})),
            },
        };
        let mut properties = properties;
        for (_, setting) in settings
            .iter()
            .filter_map(|setting| setting.split_once(": "))
            .filter(|(key, _)| key.trim() == name)
        {
            let (property, value) = setting.split_once('=').unwrap();
            properties[property] = value.into();
        }
        elements.push(serde_json::json!(
            {"key": name, "type": element_type, "incoming": incoming, "outgoing": outgoing, "properties": properties}
        ));
    }
    serde_json::json!({"flowElementList": elements}).to_string()
}

/// The type and the pair of a fork or join, by its name.
fn gateway(name: &str) -> Option<(i64, serde_json::Value)> {
    let (prefix, rest) = match name.strip_prefix('i') {
        Some(rest) if rest.starts_with("fork") || rest.starts_with("join") => ("i", rest),
        _ => ("", name),
    };
    let pair = rest.strip_prefix("fork").or_else(|| rest.strip_prefix("join"))?;
    let pair = serde_json::json!({"fork": format!("{prefix}fork{pair}"), "join": format!("{prefix}join{pair}")});
    Some((if prefix.is_empty() { 9 } else { 10 }, pair))
}

/// One instance and everything it was told.
struct Run {
    state: FlowInstance,
    records: Vec<InstanceRecord>,
    deployment: Arc<Deployment>,
    profile: Profile,
    hook: Option<Vec<InstanceData>>,
    commands: u32,
    reason: Option<Arc<str>>,
    operator: Option<Arc<str>>,
    enforces: bool,
}

impl Run {
    fn new(model: &str) -> Self {
        Self::of(&model_json(model))
    }

    fn of(text: &str) -> Self {
        let model = parse::parse(text, &ModelLimits::default()).unwrap();
        let owner = (Some("acme".into()), None);
        let deployment = Deployment::new("d".into(), "m".into(), owner, model, 0, Arc::new(DialectCalculator));
        Self {
            state: FlowInstance::default(),
            records: Vec::new(),
            deployment: Arc::new(deployment),
            profile: Profile::Documented,
            hook: None,
            commands: 0,
            reason: Some("because".into()),
            operator: None,
            enforces: false,
        }
    }

    fn with_hook(mut self, key: &str, value: i64) -> Self {
        self.hook = Some(vec![InstanceData::new(key, value)]);
        self
    }

    fn turbo(mut self) -> Self {
        self.profile = Profile::Turbo131;
        self
    }

    /// Gives one command; the answer as `code key,key`.
    fn give(&mut self, command: InstanceCommand) -> String {
        let mut answers = Answers::default();
        let given = Given {
            envelope: Envelope {
                stream: [7; 16],
                version: self.state.version() + 1,
                command_id: CommandId::new(&format!("c{}", self.commands)),
                recorded_at: Timestamp::from_millis(i64::from(self.commands) * 1_000),
                actor: Actor {
                    operator: self.operator.clone(),
                    ..Actor::default()
                },
                reason: self.reason.clone(),
                plug_ins: Vec::new(),
            },
            command,
        };
        self.commands += 1;
        loop {
            let limits = Limits {
                steps: 50,
                ..Limits::default()
            };
            let context = Context {
                profile: self.profile,
                limits: &limits,
                model_limits: &ModelLimits::default(),
                ids: IdSource::Generator(&NameBasedIds),
                plug_ins: &PlugIns::default(),
                has_hook: self.hook.is_some(),
                strict_tenancy: false,
                enforce_invariants: self.enforces,
                check_condition: &|_| Ok(()),
                answers: &answers,
            };
            let before = self.state.clone();
            let decision = self.state.decide(&given, &context);
            assert_eq!(before, self.state, "deciding changes nothing");
            match decision {
                Ok(Decision::Ask(Question::Deployment(id))) => {
                    answers
                        .deployments
                        .insert(id, ModuleStanding::Online(self.deployment.clone()));
                }
                Ok(Decision::Ask(Question::Hook(call))) => {
                    let variables = self.hook.clone().unwrap_or_default();
                    answers.hooks.insert(
                        call.node_instance_id,
                        HookAnswer {
                            variables,
                            failures: Vec::new(),
                        },
                    );
                }
                Ok(Decision::Ask(question)) => panic!("unexpected question {question:?}"),
                Ok(Decision::Unchanged(code)) => {
                    let outcome = Outcome::unchanged(code, &self.state);
                    return self.told(&outcome);
                }
                Ok(Decision::Record { events, state }) => {
                    let record = Record { given, events };
                    self.state.apply_record(&record);
                    assert_eq!(self.state, state, "the recorder and replay agree");
                    self.records.push(record);
                    return self.told(&Outcome::of(&self.records[self.records.len() - 1], &self.state));
                }
                Err(rejection) => return rejection.code.number().to_string(),
            }
        }
    }

    fn told(&self, outcome: &Outcome) -> String {
        let keys: Vec<&str> = outcome
            .rests
            .iter()
            .map(|rest| &*self.state.node(&rest.node).unwrap().key)
            .collect();
        format!("{} {}", outcome.code.number(), keys.join(","))
            .trim_end()
            .to_owned()
    }

    /// The newest node instance of an element, or one that does not exist.
    fn newest(&self, key: &str) -> NodeInstanceId {
        self.state
            .nodes()
            .rev()
            .find(|node| &*node.key == key)
            .map_or_else(|| "unknown".into(), |node| node.id.clone())
    }

    /// Gives a word: `start a=1; commit ask b=2; rollback ask; terminate`. A name with `#n` is the n-th visit.
    fn word(&mut self, word: &str) -> String {
        let mut answers = String::new();
        for command in word.split(';') {
            let mut parts = command.split_whitespace();
            let verb = parts.next().unwrap();
            let takes_task = matches!(verb, "commit" | "rollback" | "to" | "toKey");
            let named = if takes_task { parts.next().unwrap() } else { "" };
            let task = self.task(named);
            let mut option = None;
            let mut parts: Vec<&str> = parts.collect();
            if let Some(last) = parts.last().filter(|part| !part.contains('=')) {
                option = Some((*last).into());
                parts.pop();
            }
            let variables = parts
                .into_iter()
                .map(|part| part.split_once('=').unwrap())
                .map(|(key, value)| InstanceData::new(key, Value::from_json(value).unwrap()))
                .collect();
            let command = match verb {
                "start" => InstanceCommand::StartProcess {
                    flow_deploy_id: Some(FlowDeployId::new("d")),
                    flow_module_id: None,
                    variables,
                },
                "commit" => InstanceCommand::CommitTask {
                    task_instance_id: task,
                    variables,
                    call_activity_flow_module_id: None,
                },
                "rollback" => InstanceCommand::RollbackTask { task_instance_id: task },
                "to" => InstanceCommand::RollbackTo {
                    target: RollbackTarget::Node(task),
                },
                "toKey" => InstanceCommand::RollbackTo {
                    target: RollbackTarget::Element(named.into()),
                },
                "redo" => InstanceCommand::RedoRollback,
                "suspend" => InstanceCommand::SuspendInstance { reason_option: option },
                "resume" => InstanceCommand::ResumeInstance { reason_option: option },
                "abort" => InstanceCommand::AbortInstance { reason_option: option },
                "restore" => InstanceCommand::RestoreInstance { reason_option: option },
                "terminate" => InstanceCommand::TerminateProcess {
                    effective_for_sub_flow_instance: true,
                },
                other => panic!("unknown command {other}"),
            };
            let _ = writeln!(answers, "{}", self.give(command));
        }
        answers.trim_end().replace('\n', "; ")
    }

    fn task(&self, name: &str) -> NodeInstanceId {
        match name.split_once('#') {
            None => self.newest(name),
            Some((key, number)) => {
                let number: usize = number.parse().unwrap();
                self.state
                    .nodes()
                    .filter(|node| &*node.key == key)
                    .nth(number - 1)
                    .unwrap()
                    .id
                    .clone()
            }
        }
    }

    /// Every node instance as `key=status`, in the order in which they came into being.
    fn nodes(&self) -> String {
        let nodes: Vec<String> = self
            .state
            .nodes()
            .map(|node| format!("{}={}", node.key, node.status.number()))
            .collect();
        nodes.join(" ")
    }

    /// The data of the present position as `key=value`.
    fn data(&self) -> String {
        let data: Vec<String> = self
            .state
            .current_data(FlowIndex::ROOT)
            .iter()
            .map(|variable| format!("{}={}", variable.key, variable.value))
            .collect();
        data.join(" ")
    }
}

#[track_caller]
fn check(model: &str, word: &str, answers: &str, nodes: &str, data: &str) -> Run {
    let mut run = Run::new(model);
    assert_eq!(run.word(word), answers);
    assert_eq!(run.nodes(), nodes);
    assert_eq!(run.data(), data);
    run
}

const LINE: &str = "start>a; a>b; b>end";
const BRANCH: &str = "start>ask; ask>gate; gate>review[amount > 100]; gate>end[amount < 0]; review>end";

#[test]
fn flow_without_tasks_completes_at_start() {
    check("start>end", "start x=1", "1000 end", "start=1 end=1", "x=1");
}

#[test]
fn commits_carry_the_flow_to_its_end() {
    check(
        LINE,
        "start x=1; commit a y=2; commit b x=3; commit b",
        "1002 a; 1002 b; 1000 end; 1001",
        "start=1 a=1 b=1 end=1",
        "x=3 y=2",
    );
}

#[test]
fn gateway_takes_the_first_way_that_holds_else_the_last_default() {
    let model = "start>gate; gate>a[x > 5]; gate>b[x > 3]; gate>c[default]; a>end; b>end; c>end";
    for (x, key) in [(6, "a"), (4, "b"), (1, "c")] {
        check(
            model,
            &format!("start x={x}"),
            &format!("1002 {key}"),
            &format!("start=1 gate=1 {key}=2"),
            &format!("x={x}"),
        );
    }
}

#[test]
fn failing_start_leaves_nothing() {
    let run = check("start>gate; gate>end[x > 5]", "start x=1; start", "4013; 4015", "", "");
    assert!(run.records.is_empty());
}

#[test]
fn failing_commit_keeps_data_and_task_and_shows_the_gateway_failed() {
    let run = check(
        BRANCH,
        "start; commit ask amount=50",
        "1002 ask; 4013 ask",
        "start=1 ask=2 gate=3",
        "",
    );
    assert_eq!(run.records.len(), 2);
    assert_eq!(run.records[1].events.len(), 1);
}

#[test]
fn retry_enters_the_failed_gateway_again() {
    let run = check(
        BRANCH,
        "start; commit ask amount=50; commit ask amount=200",
        "1002 ask; 4013 ask; 1002 review",
        "start=1 ask=1 gate=1 review=2",
        "amount=200",
    );
    assert_eq!(run.state.nodes().filter(|node| &*node.key == "gate").count(), 1);
}

#[test]
fn missing_variable_is_4015_in_documented_and_4018_in_turbo131() {
    check(
        BRANCH,
        "start; commit ask",
        "1002 ask; 4015 ask",
        "start=1 ask=2 gate=3",
        "",
    );
    let mut run = Run::new(BRANCH).turbo();
    assert_eq!(run.word("start; commit ask"), "1002 ask; 4018 ask");
}

#[test]
fn task_with_several_ways_on_branches_itself_and_fails_itself() {
    let run = check(
        "start>ask; ask>a[x == 1]; ask>b[x == 2]; a>end; b>end",
        "start; commit ask x=3; commit ask x=2",
        "1002 ask; 4013 ask; 1002 b",
        "start=1 ask=1 b=2",
        "x=2",
    );
    assert!(matches!(&run.records[1].events[..], [InstanceEvent::CommitFailed { reached, .. }] if reached.is_empty()));
}

#[test]
fn repeated_commit_of_a_completed_task_answers_the_present_position_and_changes_nothing() {
    let run = check(
        LINE,
        "start; commit a x=1; commit a x=2",
        "1002 a; 1002 b; 1002 b",
        "start=1 a=1 b=2",
        "x=1",
    );
    assert_eq!(run.records.len(), 2);
}

#[test]
fn commits_of_what_is_no_open_task_are_refused() {
    let mut run = Run::new(BRANCH);
    assert_eq!(run.word("start; commit nobody; commit start"), "1002 ask; 4010; 4014");
    assert_eq!(
        run.word("commit ask amount=200; rollback review; commit ask#1"),
        "1002 review; 1003 ask; 4001"
    );
    assert_eq!(
        run.word("terminate; commit ask; rollback ask; terminate"),
        "1000; 4003; 4004; 1000"
    );
    assert_eq!(run.records.len(), 4);
}

#[test]
fn rollback_opens_the_task_before_with_the_data_of_the_first_time() {
    check(
        BRANCH,
        "start a=1; commit ask amount=200; rollback review",
        "1002 ask; 1002 review; 1003 ask",
        "start=1 ask=4 gate=4 review=4 ask=2",
        "a=1",
    );
}

#[test]
fn rollback_works_without_any_data() {
    check(
        LINE,
        "start; commit a; rollback b; rollback a",
        "1002 a; 1002 b; 1003 a; 4006",
        "start=1 a=4 b=4 a=2",
        "",
    );
}

#[test]
fn rollback_of_the_task_completed_last_supersedes_what_came_after() {
    check(
        LINE,
        "start; commit a x=1; rollback a; commit b",
        "1002 a; 1002 b; 1003 a; 4001",
        "start=1 a=4 b=4 a=2",
        "",
    );
}

#[test]
fn rollback_of_a_superseded_or_earlier_task_is_refused() {
    let mut run = Run::new("start>a; a>b; b>c; c>end");
    assert_eq!(
        run.word("start; commit a; commit b; rollback a; rollback c; rollback b#1; rollback none"),
        "1002 a; 1002 b; 1002 c; 4002; 1003 b; 4002; 4010"
    );
}

#[test]
fn loop_is_rolled_back_pass_by_pass() {
    check(
        "start>a; a>gate; gate>end[n >= 3]; gate>a[default]",
        "start n=0; commit a n=1; commit a n=2; rollback a; rollback a; rollback a",
        "1002 a; 1002 a; 1002 a; 1003 a; 1003 a; 4006",
        "start=1 a=4 gate=4 a=4 gate=4 a=4 a=4 a=2",
        "n=0",
    );
}

#[test]
fn call_activity_waits_and_is_walked_over_by_a_rollback() {
    check(
        "start>a; a>call; call>end",
        "start; commit a; commit call; rollback call",
        "1002 a; 1002 call; 4014; 1003 a",
        "start=1 a=4 call=4 a=2",
        "",
    );
}

#[test]
fn hook_refreshes_the_data_before_branching() {
    let mut run = Run::new("start>hook; hook>a[x > 5]; hook>end[default]; a>end").with_hook("x", 9);
    assert_eq!(run.word("start x=1"), "1002 a");
    assert_eq!(run.data(), "x=9");
}

#[test]
fn hook_that_nobody_registered_is_4012_in_documented_and_ignored_in_turbo131() {
    let model = "start>hook; hook>end[default]";
    assert_eq!(Run::new(model).word("start"), "4012");
    assert_eq!(Run::new(model).turbo().word("start"), "1000 end");
}

#[test]
fn ring_of_gateways_is_cut_off_and_leaves_nothing() {
    let mut run = Run::new("start>a; a>gate1; gate1>gate2[default]; gate2>gate1[default]; gate2>end[x == 1]");
    assert_eq!(run.word("start x=0; commit a"), "1002 a; 7009");
    assert_eq!(run.records.len(), 1);
}

#[test]
fn ids_derive_from_the_command() {
    let run = check(LINE, "start", "1002 a", "start=1 a=2", "");
    let origin = IdOrigin {
        command_id: &CommandId::new("c0"),
        stream: Some([7; 16]),
    };
    let expected = NameBasedIds.generate(origin, IdKind::NodeInstance, 1);
    assert_eq!(*run.newest("a").id(), expected);
}

#[test]
fn records_read_back_as_they_were_written() {
    let mut run = Run::new("start>hook; hook>ask[default]; ask>gate; gate>end[x > 1]").with_hook("h", 1);
    let word = "start d=1.50; commit ask x=0; commit ask x=[1,{\"k\":null}]; rollback ask; commit ask x=2";
    assert_eq!(run.word(word), "1002 ask; 4013 ask; 4018 ask; 4006; 1000 end");
    for record in run.records {
        let bytes = codec::encode_instance(&record).unwrap();
        let read = codec::decode(&bytes).unwrap();
        assert_eq!(
            codec::to_json(&read).unwrap(),
            codec::to_json(&AnyRecord::Instance(record.clone())).unwrap()
        );
        assert_eq!(read, AnyRecord::Instance(record));
    }
}

proptest! {
    #[test]
    fn replay_equals_the_recorder_and_reopened_tasks_have_their_first_data(
        word in proptest::collection::vec((0u8..8, 0i64..4), 1..40),
    ) {
        let mut run = Run::new("start>a; a>gate; gate>b[x > 1]; gate>a[x == 1]; b>c; c>end[x == 3]; c>a[x != 3]");
        run.word("start x=0");
        for (choice, x) in word {
            let active: Vec<NodeInstanceId> = run.state.active_tasks().iter().map(|task| task.id.clone()).collect();
            let Some(task) = active.first() else { break };
            prop_assert_eq!(active.len(), 1);
            let before = (run.state.clone(), run.records.len());
            let answer = match choice {
                0..=4 => run.give(InstanceCommand::CommitTask {
                    task_instance_id: task.clone(),
                    variables: vec![InstanceData::new("x", x)],
                    call_activity_flow_module_id: None,
                }),
                5 => run.give(InstanceCommand::CommitTask {
                    task_instance_id: task.clone(), variables: Vec::new(), call_activity_flow_module_id: None,
                }),
                _ => run.give(InstanceCommand::RollbackTask { task_instance_id: task.clone() }),
            };
            if answer.starts_with("10") {
                prop_assert_eq!(run.records.len(), before.1 + 1);
            } else if answer.starts_with("4006") {
                prop_assert_eq!(&run.state, &before.0);
            } else {
                prop_assert_eq!(run.records.len(), before.1 + 1);
                prop_assert_eq!(run.state.current_data(FlowIndex::ROOT), before.0.current_data(FlowIndex::ROOT));
                prop_assert_eq!(run.state.active_tasks().len(), 1);
            }
        }
        let mut replayed = FlowInstance::default();
        for record in &run.records {
            replayed.apply_record(record);
        }
        prop_assert_eq!(&replayed, &run.state);
        for node in replayed.nodes().filter(|node| node.status == NodeStatus::Active) {
            prop_assert_eq!(&node.entry, &node.leave);
        }
    }
}
