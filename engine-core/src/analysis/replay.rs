//! Runs a script on the decider of instances, and looks whether it shows what it is said to show. Knows the real rules of
//! a run, nothing of how the script was found.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::report::{Expectation, HookStep, Script, ScriptStep};
use crate::context::{Answers, Context, HookAnswer, IdSource, ModuleStanding, Question};
use crate::decider::{Decider, Decision};
use crate::deployment::Deployment;
use crate::event::{Actor, Envelope, Given, InstanceCommand, InstanceEvent, Record};
use crate::expression::{DialectCalculator, ExpressionCalculator};
use crate::id::{CommandId, FlowDeployId, FlowModuleId};
use crate::instance::{BranchIndex, FlowIndex, FlowInstance, FlowStatus};
use crate::invariant::{CompiledInvariant, Moment};
use crate::limits::Limits;
use crate::model::flow_model::FlowModel;
use crate::model::parse::ModelLimits;
use crate::plug_in::PlugIns;
use crate::profile::Profile;
use crate::result_code::ResultCode;
use crate::time::Timestamp;
use crate::variables::InstanceData;

/// Nodes that one command may enter here; a ring enters more.
const STEPS: usize = 500;
/// The name of the model's own deployment.
const MAIN: &str = "main";

/// A run of one instance.
#[derive(Clone)]
pub(super) struct Run {
    state: FlowInstance,
    deployments: BTreeMap<Arc<str>, Arc<Deployment>>,
    profile: Profile,
    commands: u32,
    code: i32,
    events: Vec<InstanceEvent>,
}

impl Run {
    pub(super) fn new(model: &FlowModel, called: &[(Arc<str>, FlowModel)], profile: Profile) -> Self {
        let calculator: Arc<dyn ExpressionCalculator> = Arc::new(DialectCalculator);
        let deployment = |name: &str, model: &FlowModel| {
            let (deploy, module) = (FlowDeployId::new(name), FlowModuleId::new(name));
            let calculator = calculator.clone();
            Arc::new(Deployment::new(
                deploy,
                module,
                (None, None),
                model.clone(),
                0,
                calculator,
            ))
        };
        let called = called
            .iter()
            .map(|(name, model)| (name.clone(), deployment(name, model)));
        let mut deployments: BTreeMap<Arc<str>, Arc<Deployment>> = called.collect();
        deployments.insert(MAIN.into(), deployment(MAIN, model));
        Self {
            state: FlowInstance::default(),
            deployments,
            profile,
            commands: 0,
            code: 0,
            events: Vec::new(),
        }
    }

    /// Runs a script to its end.
    ///
    /// # Errors
    /// What keeps it from showing what it is said to show.
    pub(super) fn confirm(mut self, script: &Script) -> Result<(), String> {
        let mut before: Vec<Vec<Arc<str>>> = vec![Vec::new()];
        let steps: Vec<&ScriptStep> = script
            .steps
            .iter()
            .filter(|step| !matches!(step, ScriptStep::Deploy))
            .collect();
        for (number, step) in steps.iter().enumerate() {
            self.step(step)?;
            let is_last = number + 1 == steps.len();
            if !is_last && !matches!(self.code, 1000..2000) {
                return Err(format!("step {} is refused with {}", number + 1, self.code));
            }
            before.push(self.waiting());
        }
        if self.shows(&script.expect, &before) {
            Ok(())
        } else {
            Err(format!(
                "the last step answers {}, and {:?} is not seen",
                self.code, script.expect
            ))
        }
    }

    /// Takes one step; whether it was done.
    ///
    /// # Errors
    /// What keeps it from being given.
    pub(super) fn take(&mut self, step: &ScriptStep) -> Result<bool, String> {
        // Of the way only the last events matter to what a script shows.
        self.events.clear();
        self.step(step)?;
        Ok(matches!(self.code, 1000..2000))
    }

    pub(super) fn state(&self) -> &FlowInstance {
        &self.state
    }

    /// How an invariant is broken where the instance stands.
    pub(super) fn broken(&self, invariant: &CompiledInvariant) -> Option<String> {
        let main = self.deployments.get(MAIN)?;
        invariant.broken_at(&Moment::new(&self.state, FlowIndex::ROOT, &main.model))
    }

    fn step(&mut self, step: &ScriptStep) -> Result<(), String> {
        match step {
            ScriptStep::Deploy => Ok(()),
            ScriptStep::Start { variables, hooks } => {
                let command = InstanceCommand::StartProcess {
                    flow_deploy_id: Some(FlowDeployId::new(MAIN)),
                    flow_module_id: None,
                    variables: variables.clone(),
                };
                self.give(command, hooks)
            }
            ScriptStep::Commit {
                task,
                nth,
                variables,
                calls,
                hooks,
            } => {
                let tasks = self.state.active_tasks();
                let mut meant = tasks.iter().filter(|node| node.key == *task);
                let node = meant.nth(*nth).ok_or_else(|| format!("no task {task} waits"))?;
                let command = InstanceCommand::CommitTask {
                    task_instance_id: node.id.clone(),
                    variables: variables.clone(),
                    call_activity_flow_module_id: calls.as_ref().map(|name| FlowModuleId::new(name)),
                };
                self.give(command, hooks)
            }
        }
    }

    fn give(&mut self, command: InstanceCommand, hooks: &[HookStep]) -> Result<(), String> {
        let given = Given {
            envelope: Envelope {
                stream: [7; 16],
                version: self.state.version() + 1,
                command_id: CommandId::new(&format!("c{}", self.commands)),
                recorded_at: Timestamp::from_millis(i64::from(self.commands)),
                actor: Actor::default(),
                reason: None,
                plug_ins: Vec::new(),
            },
            command,
        };
        self.commands += 1;
        let limits = Limits {
            steps: STEPS,
            ..Limits::default()
        };
        let (model_limits, plug_ins) = (ModelLimits::default(), PlugIns::default());
        let scope = given.envelope.id_scope();
        let mut answers = Answers::default();
        let mut asked: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        // Every node is asked for once, and there are no more nodes than steps.
        for _ in 0..STEPS.saturating_mul(2) {
            let context = Context {
                profile: self.profile,
                limits: &limits,
                model_limits: &model_limits,
                ids: IdSource::Scope(scope),
                plug_ins: &plug_ins,
                has_hook: true,
                strict_tenancy: false,
                enforce_invariants: false,
                check_condition: &|_| Ok(()),
                answers: &answers,
            };
            match self.state.decide(&given, &context) {
                Ok(Decision::Ask(Question::Deployment(id))) => {
                    let standing = self.standing(&id.to_string());
                    answers.deployments.insert(id, standing);
                }
                Ok(Decision::Ask(Question::LatestDeployment(id))) => {
                    let standing = self.standing(&id.to_string());
                    answers.latest.insert(id, standing);
                }
                Ok(Decision::Ask(Question::Hook(call))) => {
                    let number = asked.entry(call.node_key.clone()).or_default();
                    let answer = heard(hooks, &call.node_key, *number);
                    *number += 1;
                    let answer = HookAnswer {
                        variables: answer,
                        failures: Vec::new(),
                    };
                    answers.hooks.insert(call.node_instance_id, answer);
                }
                Ok(Decision::Ask(Question::Drafts(_))) => return Err("a run asks for drafts".to_owned()),
                Ok(Decision::Unchanged(code)) => {
                    self.code = code.number();
                    return Ok(());
                }
                Ok(Decision::Record { events, state: _ }) => {
                    let failed = events.iter().find_map(|event| match event {
                        InstanceEvent::CommitFailed { code, .. } => Some(*code),
                        _ => None,
                    });
                    let record = Record { given, events };
                    self.state.apply_record(&record);
                    self.events.extend(record.events);
                    self.code = failed.unwrap_or(ResultCode::Success.number());
                    return Ok(());
                }
                Err(rejection) => {
                    self.code = rejection.code.number();
                    return Ok(());
                }
            }
        }
        Err("a command asks without end".to_owned())
    }

    fn standing(&self, name: &str) -> ModuleStanding {
        match self.deployments.get(name) {
            Some(deployment) => ModuleStanding::Online(deployment.clone()),
            None => ModuleStanding::Unknown,
        }
    }

    /// The keys of the tasks that wait, in the order of the branches.
    pub(super) fn waiting(&self) -> Vec<Arc<str>> {
        self.state.active_tasks().iter().map(|node| node.key.clone()).collect()
    }

    fn runs(&self) -> bool {
        self.state.status() == FlowStatus::Running
    }

    fn shows(&self, expect: &Expectation, before: &[Vec<Arc<str>>]) -> bool {
        let is_done = matches!(self.code, 1000..2000);
        let is_reached = |key: &Arc<str>| self.state.nodes().any(|node| node.key == *key);
        let begins = |branch: Option<BranchIndex>, key: &Arc<str>| {
            let branch = branch.and_then(|branch| self.state.branch(branch));
            branch.is_some_and(|branch| branch.flow == *key)
        };
        let taken = |key: &Arc<str>| {
            let is_chosen =
                |event: &InstanceEvent| matches!(event, InstanceEvent::BranchTaken { flow, .. } if flow == key);
            // A branch that was opened may never have begun.
            let has_begun = self.state.nodes().any(|node| {
                let arrivals = node.join.iter().flat_map(|join| &join.arrivals);
                begins(node.branch, key) || arrivals.into_iter().any(|arrival| begins(Some(arrival.branch), key))
            });
            has_begun || self.events.iter().any(is_chosen)
        };
        match expect {
            Expectation::Refused { code } => self.code == *code,
            Expectation::NothingToDo => is_done && self.runs() && self.waiting().is_empty(),
            Expectation::BackWhereItWas { after } => {
                is_done && self.runs() && before.get(*after) == before.last() && before.len() > after + 1
            }
            Expectation::NotReached { element } => !is_reached(element),
            Expectation::NotTaken { flow } => !taken(flow),
            Expectation::Taken { flow, .. } => taken(flow),
            Expectation::Twice { element } => {
                let tasks = self.waiting();
                tasks.iter().filter(|key| *key == element).count() > 1
            }
            Expectation::InsideBlock { element, fork } => self.state.nodes().any(|node| {
                let mut branch = node.branch;
                let mut is_inside = false;
                while let Some(around) = branch.and_then(|branch| self.state.fork_of(branch)) {
                    is_inside |= around.key == *fork;
                    branch = around.branch;
                }
                is_inside && node.key == *element
            }),
            Expectation::InvariantBroken { invariant } => {
                let invariants = self.deployments.get(MAIN).map(|main| main.invariants());
                let mut named = invariants.into_iter().flatten().filter(|own| own.name == *invariant);
                is_done && named.any(|invariant| self.broken(invariant).is_some())
            }
            Expectation::Conflict { join, variable } => self.events.iter().any(|event| match event {
                InstanceEvent::BranchesJoined { node, conflicts, .. } => {
                    let is_join = self.state.node(node).is_some_and(|node| node.key == *join);
                    is_join && conflicts.iter().any(|conflict| conflict.key == *variable)
                }
                _ => false,
            }),
        }
    }
}

/// What a gateway's hook answers when it is asked for this time.
fn heard(hooks: &[HookStep], gateway: &str, number: usize) -> Vec<InstanceData> {
    let own = || hooks.iter().filter(|hook| &*hook.gateway == gateway);
    let answer = own().nth(number).or_else(|| own().next_back());
    answer.map(|hook| hook.variables.clone()).unwrap_or_default()
}
