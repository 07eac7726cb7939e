//! Runs one recorded instance against the candidate: gives a fresh instance the recorded commands and compares record by record.
//! Asks for deployments of other modules; knows no store.

mod hooks;
mod tell;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use flowledger_engine_core::context::{Answers, Context, HookAnswer, ModuleStanding, Question};
use flowledger_engine_core::decider::{Decider as _, Decision};
use flowledger_engine_core::deployment::Deployment;
use flowledger_engine_core::event::{Given, InstanceCommand, InstanceEvent, InstanceRecord, RollbackTarget};
use flowledger_engine_core::id::{FlowModuleId, NodeInstanceId};
use flowledger_engine_core::instance::{FlowIndex, FlowInstance, FlowStatus};
use flowledger_engine_core::result_code::ResultCode;
use flowledger_event_store::Offset;

use self::hooks::{Asked, HookRecord};
use super::alike::{self, Sides};
use super::past::Past;
use super::report::{Found, Judged};
use crate::error::EngineError;
use crate::executor::{Executor, QUESTIONS_MAX, panic_text};

/// A record of an instance, and its place in the log.
pub(super) type Placed = (Offset, InstanceRecord);

/// Judges the instances of one module by one candidate.
pub(super) struct Judge<'j> {
    pub(super) executor: &'j Executor,
    /// The candidate, in place of every deployment of its module.
    pub(super) candidate: &'j Arc<Deployment>,
    pub(super) past: &'j Past,
}

/// An instance on its way through its records.
struct Run<'r> {
    records: &'r [Placed],
    /// As it was recorded.
    then: FlowInstance,
    /// As the candidate has it.
    now: FlowInstance,
    answers: Answers,
    /// What hooks were asked, once it is needed.
    hooks: Option<HookRecord>,
    /// Whether the candidate's module was called without a flow of it on the record.
    is_called: bool,
}

/// What the candidate makes of one command.
enum Came {
    Record {
        events: Vec<InstanceEvent>,
        state: Box<FlowInstance>,
        /// Gateways that asked what was never answered.
        unanswered: Vec<Unanswered>,
    },
    Refused {
        code: ResultCode,
        detail: String,
        unanswered: Vec<Unanswered>,
    },
}

/// A gateway that asks what was never answered.
struct Unanswered {
    node: NodeInstanceId,
    module: FlowModuleId,
    key: Arc<str>,
    /// The how-many-th time it asks.
    occurrence: u32,
}

impl Judge<'_> {
    /// Gives the recorded commands to the candidate, until something differs.
    pub(super) fn judge(&self, records: &[Placed]) -> Result<Judged, EngineError> {
        let mut run = Run {
            records,
            then: FlowInstance::default(),
            now: FlowInstance::default(),
            answers: Answers::default(),
            hooks: None,
            is_called: false,
        };
        run.answers.deployments.insert(
            self.candidate.flow_deploy_id.clone(),
            ModuleStanding::Online(self.candidate.clone()),
        );
        let mut commands = 0;
        let mut found = None;
        for placed in records {
            commands += 1;
            found = self.step(&mut run, placed)?;
            if found.is_some() {
                break;
            }
        }
        // Where it stands in the end, also where something differs before.
        for (_, record) in records.iter().skip(commands) {
            run.then.apply_record(record);
        }
        let is_live = matches!(
            run.then.status(),
            FlowStatus::Running | FlowStatus::Suspended | FlowStatus::Aborted
        );
        let found = found.map(|mut found| {
            found.example.live = is_live;
            found
        });
        Ok(Judged {
            commands: commands as u64,
            is_called: run.is_called,
            is_live,
            found,
        })
    }

    /// Gives the candidate one command and compares what comes of it.
    fn step(&self, run: &mut Run<'_>, (offset, record): &Placed) -> Result<Option<Box<Found>>, EngineError> {
        let given = Given {
            envelope: record.given.envelope.clone(),
            command: translated(&record.given.command, &run.then, &run.now),
        };
        self.answer_as_recorded(&mut run.answers, record)?;
        run.then.apply_record(record);
        let came = self.decide(run, record, &given, *offset)?;
        let (events, state, unanswered) = match came {
            Came::Record {
                events,
                state,
                unanswered,
            } => (events, *state, unanswered),
            Came::Refused {
                code,
                detail,
                unanswered,
            } => return Ok(Some(self.refused(run, record, (code, &detail), &unanswered))),
        };
        let sides = Sides {
            then: &run.then,
            now: &state,
        };
        let found = match self.first_difference(run, sides, (&record.events, &events), &unanswered)? {
            Some(difference) => Some(self.tell(run, record, &state, &difference)?),
            None => match sides.differing_data(&record.events) {
                Some(differing) => Some(self.tell_data(run, record, &state, differing)?),
                None => None,
            },
        };
        run.now = state;
        Ok(found)
    }

    /// The deployments that the command ran on then: of the candidate's module, the candidate instead.
    fn answer_as_recorded(&self, answers: &mut Answers, record: &InstanceRecord) -> Result<(), EngineError> {
        answers.latest.clear();
        for event in &record.events {
            let InstanceEvent::FlowStarted {
                flow_deploy_id,
                flow_module_id,
                ..
            } = event
            else {
                continue;
            };
            let deployment = if *flow_module_id == self.candidate.flow_module_id {
                Some(self.candidate.clone())
            } else {
                self.past.deployment(flow_module_id, flow_deploy_id)?
            };
            let standing = deployment.map_or(ModuleStanding::Unknown, ModuleStanding::Online);
            answers.latest.insert(flow_module_id.clone(), standing.clone());
            answers.deployments.insert(flow_deploy_id.clone(), standing);
        }
        Ok(())
    }

    /// Decides a command, answering what it asks from the record.
    fn decide(
        &self,
        run: &mut Run<'_>,
        record: &InstanceRecord,
        given: &Given<InstanceCommand>,
        offset: Offset,
    ) -> Result<Came, EngineError> {
        let mut has_hook = !lacked_hook(record);
        let mut unanswered = Vec::new();
        let mut asked = Asked::default();
        run.answers.hooks.clear();
        for _ in 0..QUESTIONS_MAX {
            let question = match self.decide_once(run, given, has_hook) {
                Ok(Decision::Ask(question)) => question,
                Ok(Decision::Record { events, state }) => {
                    return Ok(Came::Record {
                        events,
                        state: Box::new(state),
                        unanswered,
                    });
                }
                Ok(Decision::Unchanged(code)) => {
                    return Ok(Came::Refused {
                        code,
                        detail: "the command changes nothing".to_owned(),
                        unanswered,
                    });
                }
                Err((code, detail)) => {
                    return Ok(Came::Refused {
                        code,
                        detail,
                        unanswered,
                    });
                }
            };
            match question {
                Question::LatestDeployment(module) => {
                    run.is_called |= module == self.candidate.flow_module_id;
                    let standing = self.standing(&module, offset)?;
                    if let ModuleStanding::Online(deployment) | ModuleStanding::Offline(deployment) = &standing {
                        run.answers
                            .deployments
                            .insert(deployment.flow_deploy_id.clone(), standing.clone());
                    }
                    run.answers.latest.insert(module, standing);
                }
                Question::Deployment(id) => {
                    run.answers.deployments.insert(id, ModuleStanding::Unknown);
                }
                Question::Drafts(modules) => {
                    run.answers
                        .drafts
                        .extend(modules.into_iter().map(|module| (module, None)));
                }
                Question::Hook(call) => {
                    let records = run.records;
                    let hooks = run.hooks.get_or_insert_with(|| HookRecord::of(records));
                    let flows = run.now.flows().count();
                    let known = run
                        .now
                        .flows()
                        .position(|(_, flow)| flow.flow_instance_id == call.flow_instance_id);
                    // A command starts one sub flow at most.
                    let flow = known.unwrap_or(flows);
                    let version = given.envelope.version;
                    let visit = asked.next(hooks, version, flow, known.is_none(), &call.node_key);
                    let answer = match visit.heard {
                        Some(answer) => answer,
                        None if visit.is_of_this_command && self.asked_then(run, flow, &call.node_key, offset)? => {
                            // There was no hook then.
                            has_hook = false;
                            asked = Asked::default();
                            unanswered.clear();
                            run.answers.hooks.clear();
                            continue;
                        }
                        None => {
                            unanswered.push(Unanswered {
                                node: call.node_instance_id.clone(),
                                module: self.module_of(run, flow),
                                key: call.node_key.clone(),
                                occurrence: visit.occurrence,
                            });
                            HookAnswer::default()
                        }
                    };
                    run.answers.hooks.insert(call.node_instance_id, answer);
                }
            }
        }
        Ok(Came::Refused {
            code: ResultCode::Overloaded,
            detail: "the command asks too many questions".to_owned(),
            unanswered,
        })
    }

    fn decide_once(
        &self,
        run: &Run<'_>,
        given: &Given<InstanceCommand>,
        has_hook: bool,
    ) -> Result<Decision<FlowInstance>, (ResultCode, String)> {
        let executor = self.executor;
        let context = Context {
            profile: executor.profile,
            limits: &executor.limits,
            model_limits: &executor.model_limits,
            ids: executor.id_source(given.envelope.id_scope()),
            plug_ins: &executor.plug_ins,
            has_hook,
            strict_tenancy: false,
            enforce_invariants: executor.enforce_invariants,
            check_condition: &|_| Ok(()),
            answers: &run.answers,
        };
        // The host's plug-ins run in here.
        match catch_unwind(AssertUnwindSafe(|| run.now.decide(given, &context))) {
            Ok(decided) => decided.map_err(|rejection| (rejection.code, rejection.detail)),
            Err(panic) => Err((
                ResultCode::SystemError,
                format!("the decision panicked: {}", panic_text(&*panic)),
            )),
        }
    }

    /// How a module stood when a command was given; the candidate in place of its own deployments.
    fn standing(&self, module: &FlowModuleId, before: Offset) -> Result<ModuleStanding, EngineError> {
        let standing = self.past.standing(module, before)?;
        let is_own = *module == self.candidate.flow_module_id;
        Ok(match standing {
            ModuleStanding::Online(_) if is_own => ModuleStanding::Online(self.candidate.clone()),
            ModuleStanding::Offline(_) if is_own => ModuleStanding::Offline(self.candidate.clone()),
            standing => standing,
        })
    }

    /// Whether a gateway asked its hooks in the deployment of the record.
    fn asked_then(&self, run: &Run<'_>, flow: usize, key: &str, offset: Offset) -> Result<bool, EngineError> {
        let deployment = match (run.then.flows().nth(flow), run.answers.latest.keys().next()) {
            (Some((index, _)), _) => self.deployment_then(&run.then, index)?,
            // A sub flow of which nothing stays, because the commit failed.
            (None, Some(called)) => match self.past.standing(called, offset)? {
                ModuleStanding::Online(deployment) | ModuleStanding::Offline(deployment) => Some(deployment),
                ModuleStanding::Unknown => None,
            },
            (None, None) => None,
        };
        let asks = |deployment: &Arc<Deployment>| {
            let element = deployment.model.element(key);
            element.is_some_and(|element| element.text_property("hookInfoIds").is_some())
        };
        Ok(deployment.as_ref().is_some_and(asks))
    }

    /// The deployment that a flow ran.
    fn deployment_then(&self, then: &FlowInstance, flow: FlowIndex) -> Result<Option<Arc<Deployment>>, EngineError> {
        match then.flow(flow) {
            Some(flow) => self.past.deployment(&flow.flow_module_id, &flow.flow_deploy_id),
            None => Ok(None),
        }
    }

    /// The module of the flow with this number, or of the one that the command has just started.
    fn module_of(&self, run: &Run<'_>, flow: usize) -> FlowModuleId {
        let known = run.now.flows().nth(flow).map(|(_, flow)| &flow.flow_module_id);
        let module = known.or_else(|| run.answers.latest.keys().next());
        module.unwrap_or(&self.candidate.flow_module_id).clone()
    }
}

/// Whether a commit failed because there was no hook.
fn lacked_hook(record: &InstanceRecord) -> bool {
    matches!(
        &*record.events,
        [InstanceEvent::CommitFailed { code, .. }] if *code == ResultCode::HookConfigMissing.number()
    )
}

/// The command as the candidate's instance gets it: its node instances stand where the recorded ones stood.
fn translated(command: &InstanceCommand, then: &FlowInstance, now: &FlowInstance) -> InstanceCommand {
    let own = |id: &NodeInstanceId| {
        let place = alike::place(then, id);
        let node = place.and_then(|place| alike::node_at(now, place));
        node.map_or_else(|| id.clone(), |node| node.id.clone())
    };
    match command {
        InstanceCommand::CommitTask {
            task_instance_id,
            variables,
            call_activity_flow_module_id,
        } => InstanceCommand::CommitTask {
            task_instance_id: own(task_instance_id),
            variables: variables.clone(),
            call_activity_flow_module_id: call_activity_flow_module_id.clone(),
        },
        InstanceCommand::RollbackTask { task_instance_id } => InstanceCommand::RollbackTask {
            task_instance_id: own(task_instance_id),
        },
        InstanceCommand::RollbackTo {
            target: RollbackTarget::Node(node),
        } => InstanceCommand::RollbackTo {
            target: RollbackTarget::Node(own(node)),
        },
        InstanceCommand::RollbackTo {
            target: RollbackTarget::Element(_),
        }
        | InstanceCommand::StartProcess { .. }
        | InstanceCommand::RedoRollback
        | InstanceCommand::SuspendInstance { .. }
        | InstanceCommand::ResumeInstance { .. }
        | InstanceCommand::AbortInstance { .. }
        | InstanceCommand::RestoreInstance { .. }
        | InstanceCommand::TerminateProcess { .. } => command.clone(),
    }
}
