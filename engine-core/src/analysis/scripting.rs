//! Commands of the token game as scripts that run: keys, values, and what call activities need. Knows no finding.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::explore::{Explored, Seen, To};
use super::findings::Prover;
use super::machine::{Machine, Moves, Outcome, Spot};
use super::net::{Data, Node, sources};
use super::report::{CalledFlow, Expectation, HookStep, Script, ScriptStep};
use crate::variables::InstanceData;

/// What stands in for a flow that is not known.
const STAND_IN: &str = r#"{"flowElementList":[{"key":"called-start","type":2,"incoming":[],"outgoing":["called-1"]},{"key":"called-1","type":1,"incoming":["called-start"],"outgoing":["called-task"]},{"key":"called-task","type":4,"incoming":["called-1"],"outgoing":["called-2"]},{"key":"called-2","type":1,"incoming":["called-task"],"outgoing":["called-end"]},{"key":"called-end","type":3,"incoming":["called-2"],"outgoing":[]}]}"#;

/// How a flow ends soonest: the start and the commits, and the flows they call.
#[derive(Clone)]
pub(super) struct Completion {
    steps: Vec<ScriptStep>,
    called: BTreeMap<Arc<str>, Arc<str>>,
}

impl Prover<'_> {
    pub(super) fn script(&self, way: &[Seen], expect: Expectation) -> Script {
        let mut called = BTreeMap::new();
        let steps = self.steps(way, &mut called);
        Script {
            profile: self.runs_under.unwrap_or(self.param.profile),
            called: called
                .into_iter()
                .map(|(name, flow_model)| CalledFlow { name, flow_model })
                .collect(),
            steps,
            expect,
            of_called: None,
        }
    }

    fn variables(&self, data: &Data) -> Vec<InstanceData> {
        let values = self.net.cells.assignment(data);
        values
            .into_iter()
            .map(|(key, value)| InstanceData::new(&key, value))
            .collect()
    }

    pub(super) fn steps(&self, way: &[Seen], called: &mut BTreeMap<Arc<str>, Arc<str>>) -> Vec<ScriptStep> {
        let machine = Machine::new(&self.net, None);
        let mut spot = Spot::Done;
        let mut steps = Vec::new();
        for Seen { command, .. } in way {
            let tasks = spot.tasks();
            let answers: Vec<Data> = command.hooks.iter().map(|(_, answer)| answer.clone()).collect();
            if let (Ok(Outcome::Rest(next)), _) = machine.run(&spot, &command.moves, &command.given, &answers) {
                spot = next;
            }
            let hooks: Vec<HookStep> = command
                .hooks
                .iter()
                .map(|(at, answer)| HookStep {
                    gateway: self.net.key(*at),
                    variables: self.variables(answer),
                })
                .collect();
            let variables = self.variables(&command.given);
            let Moves::Commit(path) = &command.moves else {
                steps.push(ScriptStep::Start { variables, hooks });
                continue;
            };
            let alike = |(place, element): &&(Vec<usize>, usize)| *element == command.element && place < path;
            let nth = tasks.iter().filter(alike).count();
            let task = self.net.key(command.element);
            if matches!(self.net.node(command.element), Node::Call { .. }) {
                self.call(command.element, nth, variables, hooks, &mut steps, called);
            } else {
                steps.push(ScriptStep::Commit {
                    task,
                    nth,
                    variables,
                    calls: None,
                    hooks,
                });
            }
        }
        steps
    }

    /// The module that a call activity names.
    pub(super) fn calls(&self, at: usize) -> Option<Arc<str>> {
        let element = self.net.element(at)?;
        element.text_property("callActivityFlowModuleId").map(Into::into)
    }

    /// The commands of a call activity: its commit, and those that end the flow it runs.
    fn call(
        &self,
        at: usize,
        nth: usize,
        variables: Vec<InstanceData>,
        hooks: Vec<HookStep>,
        steps: &mut Vec<ScriptStep>,
        called: &mut BTreeMap<Arc<str>, Arc<str>>,
    ) {
        let variables = self.handed(at, variables);
        let module = self.calls(at);
        let known = module.as_ref().and_then(|module| self.called.get(module));
        let completion = known.and_then(|known| known.completion.clone());
        let (name, text, completion) = match (module, completion) {
            (Some(module), Some(completion)) => {
                let text = self.param.called.get(&module).cloned().unwrap_or_default();
                (module, text, completion)
            }
            (module, _) => (
                module.unwrap_or_else(|| "called".into()),
                STAND_IN.into(),
                Completion {
                    steps: vec![
                        ScriptStep::Start {
                            variables: Vec::new(),
                            hooks: Vec::new(),
                        },
                        ScriptStep::Commit {
                            task: "called-task".into(),
                            nth: 0,
                            variables: Vec::new(),
                            calls: None,
                            hooks: Vec::new(),
                        },
                    ],
                    called: BTreeMap::new(),
                },
            ),
        };
        called.insert(name.clone(), text);
        called.extend(completion.called);
        let own = steps.len();
        for step in completion.steps {
            steps.push(match step {
                ScriptStep::Start { variables, hooks } => ScriptStep::Commit {
                    task: self.net.key(at),
                    nth,
                    variables,
                    calls: Some(name.clone()),
                    hooks,
                },
                step => step,
            });
        }
        // What comes back is set by the last commit in there.
        if steps.len() > own
            && let Some(ScriptStep::Commit {
                variables: given,
                hooks: heard,
                ..
            }) = steps.last_mut()
        {
            for variable in variables {
                given.retain(|known| known.key != variable.key);
                given.push(variable);
            }
            heard.extend(hooks);
        }
    }

    /// The variables of the called flow that come back as these.
    fn handed(&self, at: usize, variables: Vec<InstanceData>) -> Vec<InstanceData> {
        let Some(element) = self.net.element(at) else {
            return variables;
        };
        if element.text_property("callActivityOutParamType") != Some("part") {
            return variables;
        }
        let sources = sources(element);
        let renamed = variables
            .into_iter()
            .filter_map(|variable| Some(InstanceData::new(sources.get(&variable.key)?, variable.value)));
        renamed.collect()
    }

    pub(super) fn completion(&self, explored: &Explored) -> Option<Completion> {
        let seen = explored.completed_by.as_ref()?;
        debug_assert!(
            seen.from.is_none_or(|at| explored
                .states
                .get(at)
                .is_some_and(|state| state.next.iter().any(|(_, to)| *to == To::Completed))),
            "the last command ends the flow"
        );
        let mut called = BTreeMap::new();
        let steps = self.steps(&explored.way_of(seen), &mut called);
        Some(Completion { steps, called })
    }
}

/// The variables of the last command.
pub(super) fn witness(script: &Script) -> Vec<InstanceData> {
    match script.steps.last() {
        Some(ScriptStep::Start { variables, hooks } | ScriptStep::Commit { variables, hooks, .. }) => {
            let heard = hooks.iter().flat_map(|hook| hook.variables.iter());
            variables.iter().chain(heard).cloned().collect()
        }
        Some(ScriptStep::Deploy) | None => Vec::new(),
    }
}

/// The values that a script gives to one variable.
pub(super) fn script_values(script: &Script, name: &str) -> Option<Vec<InstanceData>> {
    let mut found = Vec::new();
    for step in &script.steps {
        if let ScriptStep::Commit { variables, .. } = step {
            found.extend(variables.iter().filter(|variable| &*variable.key == name).cloned());
        }
    }
    (!found.is_empty()).then_some(found)
}
