//! Runs the scripts of proofs in the engine, through its operations and its log, and looks whether they show what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use flowledger::analysis::report::{
    CalledReport, Expectation, Finding, FindingKind, HookStep, ProofReport, Script, ScriptStep,
};
use flowledger::event::InstanceEvent;
use flowledger::expression::CompiledExpression;
use flowledger::invariant::{Moment, compile_all};
use flowledger::{
    AnyRecord, BlockingEngine, CommitTaskParam, DeployModel, ElementInstance, Engine, EngineError, FlowInstanceId,
    InstanceData, ModelLimits, NodeInstanceId, Profile, ProveParam, StartProcessParam, prove_model,
};

use flowledger_engine_core::decider::Decider as _;
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus};
use flowledger_engine_core::model::parse::parse;

use crate::brute::{Brute, brute};
use crate::dice::Dice;
use crate::scenario::Flow;

/// What hooks are to answer in the command at hand.
#[derive(Default)]
struct Hooks {
    answers: Vec<HookStep>,
    asked: BTreeMap<Arc<str>, usize>,
}

/// One instance in an engine of its own.
struct Bench {
    engine: BlockingEngine,
    hooks: Arc<Mutex<Hooks>>,
    modules: BTreeMap<Arc<str>, String>,
    instance: Option<FlowInstanceId>,
    code: i32,
    /// The fold of the instance's records, and up to where the log was read for it.
    state: FlowInstance,
    position: u64,
}

/// A flow that stands in for one that a model calls and nobody knows.
const STAND_IN: &str = r#"{"flowElementList":[{"key":"s","type":2,"outgoing":["f"]},{"key":"f","type":1,"incoming":["s"],"outgoing":["e"]},{"key":"e","type":3,"incoming":["f"]}]}"#;

/// Runs a script on a model.
///
/// # Errors
/// What it does not show.
pub fn shows(model: &str, called: &BTreeMap<Arc<str>, Arc<str>>, script: &Script) -> Result<(), String> {
    let mut bench = Bench::new(script.profile);
    let mut flows = called.clone();
    for module in modules_in(model) {
        flows.entry(module).or_insert_with(|| STAND_IN.into());
    }
    flows.extend(
        script
            .called
            .iter()
            .map(|called| (called.name.clone(), called.flow_model.clone())),
    );
    // A flow is deployed behind those that it calls.
    while let Some((name, text)) = flows
        .iter()
        .find(|(_, text)| modules_in(text).iter().all(|module| !flows.contains_key(module)))
        .map(|(name, text)| (name.clone(), text.clone()))
    {
        flows.remove(&name);
        let deployed = bench.deploy(&name, &text);
        deployed.map_err(|error| format!("the called flow {name} is refused: {error}"))?;
    }
    let deployed = bench.deploy("main", model);
    bench.code = code_of(&deployed);
    if !matches!(script.steps.as_slice(), [ScriptStep::Deploy]) {
        deployed.map_err(|error| format!("the model is refused: {error}"))?;
    }
    let mut before = vec![Vec::new()];
    for (number, step) in script.steps.iter().enumerate() {
        bench.step(step)?;
        if number + 1 < script.steps.len() && !(1000..2000).contains(&bench.code) {
            return Err(format!("step {} is refused with {}", number + 1, bench.code));
        }
        before.push(bench.waiting());
    }
    if bench.is_seen(model, &script.expect, &before) {
        return Ok(());
    }
    Err(format!(
        "`{}` ends with {}, waiting {:?}: {:?} is not seen",
        script.words(),
        bench.code,
        before.last(),
        script.expect
    ))
}

/// Runs the script of every finding, those of called flows included.
///
/// # Errors
/// The first finding that is not seen.
pub fn all_show(model: &str, called: &BTreeMap<Arc<str>, Arc<str>>, report: &ProofReport) -> Result<usize, String> {
    let mut shown = 0;
    for finding in &report.findings {
        let text = finding.script.of_called.as_ref().map_or(model, |id| &*called[id]);
        shows(text, called, &finding.script).map_err(|problem| format!("{}: {problem}", told(finding)))?;
        shown += 1;
    }
    for CalledReport { flow_module_id, report } in &report.called {
        shown += all_show(&called[flow_module_id], called, report)?;
    }
    Ok(shown)
}

/// What the analysis and brute force say alike about one model.
#[derive(Debug, Clone)]
pub struct Agreed {
    /// What the analysis says.
    pub report: ProofReport,
    /// What brute force says.
    pub brute: Brute,
}

/// Compares the analysis with brute force. `None` when brute force gives up.
///
/// # Errors
/// In what they differ, or a finding that is not seen in the engine.
pub fn agree(main: &Flow, sub: &Flow, most: usize) -> Option<Result<Agreed, String>> {
    let brute = brute(main, sub, most)?;
    let model = main.flow_model.to_string();
    let called = BTreeMap::from([("$module:sub".into(), sub.flow_model.to_string().into())]);
    let param = ProveParam {
        called: called.clone(),
        ..ProveParam::default()
    };
    let report = prove_model(&model, &param);
    let differences = differences(&report, &brute);
    if !differences.is_empty() {
        return Some(Err(format!("{model}\n{differences:#?}\n{brute:?}\n{report:#?}")));
    }
    if let Err(problem) = all_show(&model, &called, &report) {
        return Some(Err(format!("{model}\n{problem}")));
    }
    Some(Ok(Agreed { report, brute }))
}

fn differences(report: &ProofReport, brute: &Brute) -> Vec<String> {
    let has = |kinds: &[FindingKind]| report.findings.iter().any(|finding| kinds.contains(&finding.kind));
    let mut differences = Vec::new();
    let mut compare = |what: &str, analysis: String, brute: String| {
        if analysis != brute {
            differences.push(format!("{what}: the analysis says {analysis}, brute force {brute}"));
        }
    };
    let stuck = has(&[FindingKind::Deadlock, FindingKind::Livelock]);
    compare("can get stuck", stuck.to_string(), brute.can_get_stuck.to_string());
    let doubles = has(&[FindingKind::TwoTokens]);
    compare("two tokens", doubles.to_string(), brute.doubles.to_string());
    let nests = report
        .findings
        .iter()
        .any(|finding| finding.kind == FindingKind::BlockLeft && finding.elements.first() == finding.elements.get(1));
    compare("a fork in itself", nests.to_string(), brute.nests_in_itself.to_string());
    let fails: BTreeSet<i64> = report
        .findings
        .iter()
        .filter(|finding| finding.kind != FindingKind::Deadlock)
        .filter_map(|finding| match finding.script.expect {
            Expectation::Refused { code } => Some(code.into()),
            _ => None,
        })
        .collect();
    compare("failing commands", format!("{fails:?}"), format!("{:?}", brute.fails));
    if brute.starts && !brute.nests_in_itself {
        let unreached: BTreeSet<String> = report.searched.unreached.iter().map(ToString::to_string).collect();
        // What a failing start came to is not seen by brute force.
        if !brute.some_start_fails || !unreached.is_subset(&brute.unreached) {
            compare("unreached", format!("{unreached:?}"), format!("{:?}", brute.unreached));
        }
    }
    if !report.unknowns.is_empty() && !brute.nests_in_itself {
        compare("unknown", format!("{:?}", report.unknowns), "nothing".to_owned());
    }
    differences
}

/// Whether the model can be deployed under the documented profile.
#[must_use]
pub fn is_deployable(model: &Flow) -> bool {
    flowledger::validate_model(&model.flow_model.to_string(), Profile::Documented).is_valid()
}

/// Commands after which a run is taken to go on for ever.
const MAX_COMMANDS: usize = 2_000;

/// Runs a sound model at random, in the engine, to its end every time. Gives the number of commands.
///
/// # Errors
/// A command that fails, or a run that has nothing to do and has not ended, or does not come to an end.
pub fn survives(main: &Flow, sub: &Flow, runs: u64, seed: u64) -> Result<usize, String> {
    let text = main.flow_model.to_string();
    let mut bench = Bench::new(Profile::Documented);
    for (name, flow) in [("$module:sub", sub.flow_model.to_string()), ("main", text.clone())] {
        bench
            .deploy(name, &flow)
            .map_err(|error| format!("{name} is refused: {error}"))?;
    }
    let mut commands = 0;
    for run in 0..runs {
        let mut dice = Dice::of(seed, run);
        let mut step = ScriptStep::Start {
            variables: any_variables(&mut dice),
            hooks: Vec::new(),
        };
        let mut given = 0;
        loop {
            let words = format!("{step:?}");
            bench.step(&step)?;
            given += 1;
            // A refused conflict is what the model asks for: the commit can be given again.
            if !(1000..2000).contains(&bench.code) && bench.code != 6008 {
                return Err(format!("run {run}: {words} answers {}\n{text}", bench.code));
            }
            if !bench.runs() {
                break;
            }
            let tasks = bench.tasks();
            if tasks.is_empty() || given > MAX_COMMANDS {
                return Err(format!(
                    "run {run}: {given} commands, {tasks:?} wait, and it has not ended\n{text}"
                ));
            }
            let chosen = dice.index(tasks.len());
            let (task, _) = &tasks[chosen];
            step = ScriptStep::Commit {
                nth: tasks.iter().take(chosen).filter(|(key, _)| key == task).count(),
                task: task.clone(),
                variables: any_variables(&mut dice),
                calls: None,
                hooks: Vec::new(),
            };
        }
        commands += given;
    }
    Ok(commands)
}

/// Values for all variables of [`unstructured`](crate::generate::unstructured) models.
fn any_variables(dice: &mut Dice) -> Vec<InstanceData> {
    let numbers = [-7, 0, 1, 2, 3, 4, 99];
    let words = ["x", "y", "other", ""];
    vec![
        InstanceData::new("n", numbers[dice.index(numbers.len())]),
        InstanceData::new("s", words[dice.index(words.len())]),
        InstanceData::new("ok", dice.percent(50)),
    ]
}

/// A finding on one line.
#[must_use]
pub fn told(finding: &Finding) -> String {
    format!(
        "{} {}: {} [{}]",
        finding.kind,
        finding.elements.join(" "),
        finding.explanation,
        finding.script.words()
    )
}

fn code_of<T>(result: &Result<T, EngineError>) -> i32 {
    result.as_ref().map_or_else(|error| error.code().number(), |_| 1000)
}

impl Bench {
    fn new(profile: Profile) -> Self {
        let hooks: Arc<Mutex<Hooks>> = Arc::default();
        let heard = hooks.clone();
        let engine = Engine::builder()
            .profile(profile)
            .in_memory()
            .hook_fn("script", move |call| {
                let mut hooks = heard.lock().expect("no test panics in a hook");
                let number = hooks.asked.entry(call.node_key.clone()).or_default();
                let asked = *number;
                *number += 1;
                let own: Vec<&HookStep> = hooks
                    .answers
                    .iter()
                    .filter(|hook| hook.gateway == call.node_key)
                    .collect();
                let answer = own.get(asked).or(own.last());
                Ok(answer.map(|hook| hook.variables.clone()).unwrap_or_default())
            })
            .open()
            .expect("an engine opens in memory")
            .blocking();
        Self {
            engine,
            hooks,
            modules: BTreeMap::new(),
            instance: None,
            code: 0,
            state: FlowInstance::default(),
            position: 0,
        }
    }

    fn deploy(&mut self, name: &str, model: &str) -> Result<(), EngineError> {
        let model = self.modules.iter().fold(model.to_owned(), |model, (name, id)| {
            model.replace(&format!("\"{name}\""), &format!("\"{id}\""))
        });
        let deployed = self.engine.deploy_model(DeployModel::new(name, &model))?;
        self.modules.insert(name.into(), deployed.flow_module_id.to_string());
        Ok(())
    }

    fn hear(&self, answers: &[HookStep]) {
        let mut hooks = self.hooks.lock().expect("no test panics in a hook");
        answers.clone_into(&mut hooks.answers);
        hooks.asked.clear();
    }

    fn step(&mut self, step: &ScriptStep) -> Result<(), String> {
        match step {
            ScriptStep::Deploy => Ok(()),
            ScriptStep::Start { variables, hooks } => {
                self.hear(hooks);
                let mut start = StartProcessParam::of_module(self.modules["main"].as_str());
                start.variables.clone_from(variables);
                let result = self.engine.start_process(start);
                self.code = code_of(&result);
                self.instance = result.ok().and_then(|result| result.flow_instance_id);
                self.follow();
                Ok(())
            }
            ScriptStep::Commit {
                task,
                nth,
                variables,
                calls,
                hooks,
            } => {
                self.hear(hooks);
                let tasks = self.tasks();
                let mut meant = tasks.iter().filter(|(key, _)| key == task);
                let (_, node) = meant
                    .nth(*nth)
                    .ok_or_else(|| format!("no task {task} waits: {tasks:?}"))?;
                let instance = self.instance.clone().ok_or("no instance was started")?;
                let mut commit = CommitTaskParam::new(&instance, node);
                commit.variables.clone_from(variables);
                commit.call_activity_flow_module_id = calls.as_ref().map(|name| self.modules[name].clone());
                let result = self.engine.commit_task(commit);
                self.code = code_of(&result);
                self.follow();
                Ok(())
            }
        }
    }

    fn elements(&self) -> Vec<ElementInstance> {
        let Some(instance) = self.instance.clone() else {
            return Vec::new();
        };
        let history = self.engine.get_history_element_list(instance);
        history.expect("the instance exists").element_instance_list
    }

    /// The tasks that wait, in the order of their branches: the fold of the instance's records.
    fn tasks(&self) -> Vec<(Arc<str>, NodeInstanceId)> {
        let tasks = self.state.active_tasks();
        tasks.iter().map(|node| (node.key.clone(), node.id.clone())).collect()
    }

    /// Folds in what the last command has recorded: only one instance runs at a time.
    fn follow(&mut self) {
        if self.instance.is_none() {
            self.state = FlowInstance::default();
        }
        let records = self
            .engine
            .log_records(self.position, 100)
            .expect("the log can be read");
        for record in records {
            self.position = record.position;
            if let AnyRecord::Instance(record) = record.record {
                if record.given.envelope.version == 1 {
                    self.state = FlowInstance::default();
                }
                self.state.apply_record(&record);
            }
        }
    }

    fn waiting(&self) -> Vec<Arc<str>> {
        let mut keys: Vec<Arc<str>> = self.tasks().into_iter().map(|(key, _)| key).collect();
        keys.sort();
        keys
    }

    fn runs(&self) -> bool {
        self.instance.is_some() && self.state.status() == FlowStatus::Running
    }

    fn events(&self) -> Vec<InstanceEvent> {
        let Some(instance) = self.instance.clone() else {
            return Vec::new();
        };
        let records = self.engine.instance_records(instance).expect("the instance exists");
        let events = records.into_iter().flat_map(|record| match record.record {
            AnyRecord::Instance(record) => record.events,
            AnyRecord::Module(_) => Vec::new(),
        });
        events.collect()
    }

    /// Whether a sequence flow was taken. A branch that was opened may never have begun.
    fn is_taken(&self, flow: &str) -> bool {
        let state = &self.state;
        let begins = |branch| state.branch(branch).is_some_and(|branch| &*branch.flow == flow);
        let has_begun = state.nodes().any(|node| {
            let arrivals = node.join.iter().flat_map(|join| &join.arrivals);
            node.branch.is_some_and(begins) || arrivals.into_iter().any(|arrival| begins(arrival.branch))
        });
        let is_chosen =
            |event: &InstanceEvent| matches!(event, InstanceEvent::BranchTaken { flow: taken, .. } if &**taken == flow);
        has_begun || self.events().iter().any(is_chosen)
    }

    fn is_seen(&self, model: &str, expect: &Expectation, before: &[Vec<Arc<str>>]) -> bool {
        let is_done = (1000..2000).contains(&self.code);
        match expect {
            Expectation::Refused { code } => self.code == *code,
            Expectation::NothingToDo => is_done && self.runs() && self.tasks().is_empty(),
            Expectation::BackWhereItWas { after } => {
                is_done && self.runs() && before.get(*after) == before.last() && before.len() > after + 1
            }
            Expectation::NotReached { element } => !self.elements().iter().any(|reached| reached.model_key == *element),
            Expectation::NotTaken { flow } => !self.is_taken(flow),
            Expectation::Taken { flow, also } => {
                // With the values that the gateway went by, the other condition holds too.
                let state = &self.state;
                let condition = CompiledExpression::compile(&condition_of(model, also));
                self.events().iter().any(|event| match event {
                    InstanceEvent::BranchTaken { node, flow: taken, .. } if taken == flow => {
                        let data = state
                            .node(node)
                            .map(|node| node.leave.variables.clone())
                            .unwrap_or_default();
                        matches!(&condition, Ok(condition) if condition.evaluate(&data) == Ok(true))
                    }
                    _ => false,
                })
            }
            Expectation::Twice { element } => self.waiting().iter().filter(|key| *key == element).count() > 1,
            Expectation::InsideBlock { element, fork } => {
                let state = &self.state;
                let join = join_of(model, fork);
                let times = if element == fork { 2 } else { 1 };
                let mut seen = 0;
                // Until then the join has not gone on: what it joins is still open.
                for event in self.events() {
                    match event {
                        InstanceEvent::GatewayReached(visit)
                        | InstanceEvent::TaskActivated(visit)
                        | InstanceEvent::EventPassed(visit)
                        | InstanceEvent::JoinReached { visit, .. } => seen += usize::from(visit.key == *element),
                        InstanceEvent::BranchesJoined { node, .. } => {
                            let key = state.node(&node).map(|node| node.key.to_string());
                            if key == join {
                                return false;
                            }
                        }
                        _ => {}
                    }
                    if seen >= times {
                        return true;
                    }
                }
                false
            }
            Expectation::InvariantBroken { invariant } => {
                let model = parse(model, &ModelLimits::default()).expect("a model");
                let moment = Moment::new(&self.state, FlowIndex::ROOT, &model);
                let own = compile_all(model.invariants()).expect("they compile");
                let mut named = own.iter().filter(|own| own.name == *invariant);
                is_done && named.any(|invariant| invariant.broken_at(&moment).is_some())
            }
            Expectation::Conflict { join, variable } => {
                let events = self.events();
                let key_of = |id: &NodeInstanceId| {
                    events.iter().find_map(|event| match event {
                        InstanceEvent::JoinReached { visit, .. } if visit.node == *id => Some(visit.key.clone()),
                        _ => None,
                    })
                };
                events.iter().any(|event| match event {
                    InstanceEvent::BranchesJoined { node, conflicts, .. } => {
                        key_of(node).as_ref() == Some(join)
                            && conflicts.iter().any(|conflict| conflict.key == *variable)
                    }
                    _ => false,
                })
            }
        }
    }
}

fn modules_in(model: &str) -> Vec<Arc<str>> {
    let model: serde_json::Value = serde_json::from_str(model).unwrap_or_default();
    let elements = model["flowElementList"].as_array().cloned().unwrap_or_default();
    let modules = elements.iter().filter_map(|element| {
        element["properties"]["callActivityFlowModuleId"]
            .as_str()
            .map(Into::into)
    });
    modules.collect()
}

fn element(model: &str, key: &str) -> serde_json::Value {
    let model: serde_json::Value = serde_json::from_str(model).expect("a model is JSON");
    let elements = model["flowElementList"].as_array().cloned().unwrap_or_default();
    let found = elements.into_iter().find(|element| element["key"] == key);
    found.unwrap_or_default()
}

fn condition_of(model: &str, flow: &str) -> String {
    let condition = &element(model, flow)["properties"]["conditionsequenceflow"];
    condition.as_str().unwrap_or_default().to_owned()
}

fn join_of(model: &str, fork: &str) -> Option<String> {
    let join = &element(model, fork)["properties"]["forkJoinMatch"]["join"];
    join.as_str().map(str::to_owned)
}
