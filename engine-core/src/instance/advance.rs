//! The step loop: carries a flow from one node to the next until it waits or ends. Knows no element type.

use std::sync::Arc;

use crate::context::{Context, HookCall, Question};
use crate::decider::Recorder;
use crate::deployment::Deployment;
use crate::event::{Evaluated, InstanceEvent, NodeVisit};
use crate::expression::ExpressionError;
use crate::id::{IdKind, NodeInstanceId};
use crate::instance::element;
use crate::instance::state::{FlowInstance, NodeInstance};
use crate::model::element::Element;
use crate::profile::Profile;
use crate::result_code::ResultCode;

/// Where an element sends the flow.
pub(super) enum Next {
    /// On, by this sequence flow.
    Along(Arc<str>),
    /// Nowhere: the flow waits here, or has ended.
    Rest,
}

/// Why a flow cannot go on.
pub(super) enum Halt {
    /// A question must be answered first; nothing has happened.
    Ask(Question),
    /// The attempt dies here.
    Fail(Failure),
    /// The attempt is cut off by a bound: nothing of it is recorded.
    Refuse(ResultCode, String),
}

/// Why an attempt died, and where.
pub(super) struct Failure {
    pub(super) code: ResultCode,
    pub(super) detail: String,
    pub(super) evaluated: Vec<Evaluated>,
}

impl Failure {
    pub(super) fn new(code: ResultCode, detail: String) -> Self {
        Self {
            code,
            detail,
            evaluated: Vec::new(),
        }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure)
    }
}

/// The first outgoing sequence flow; its condition does not matter.
pub(super) fn only_way(element: &Element) -> Result<Arc<str>, Halt> {
    element.outgoing.first().cloned().ok_or_else(|| {
        Failure::new(
            ResultCode::NoOutgoingMatches,
            format!("{} has no outgoing sequence flow", element.key),
        )
        .into()
    })
}

/// One command on its way through the model.
pub(super) struct Walk<'a, 'g> {
    pub(super) recorder: Recorder<'g, FlowInstance>,
    pub(super) deployment: &'a Deployment,
    pub(super) context: &'a Context<'a>,
    next_node_number: u32,
    next_data_number: u32,
}

impl<'a, 'g> Walk<'a, 'g> {
    pub(super) fn new(
        recorder: Recorder<'g, FlowInstance>,
        deployment: &'a Deployment,
        context: &'a Context<'a>,
    ) -> Self {
        Self {
            recorder,
            deployment,
            context,
            next_node_number: 0,
            next_data_number: 0,
        }
    }

    /// Goes on from a node by a sequence flow until the flow waits or ends.
    pub(super) fn advance(&mut self, from: &NodeInstanceId, along: Arc<str>) -> Result<(), Halt> {
        let mut from = from.clone();
        let mut along = along;
        for _ in 0..self.context.limits.steps {
            let deployment = self.deployment;
            let target = deployment
                .model
                .element(&along)
                .and_then(|flow| deployment.model.target(flow));
            let Some(target) = target else {
                return Err(Failure::new(
                    ResultCode::CurrentNodeNotFound,
                    format!("sequence flow {along} leads to no element of the model"),
                )
                .into());
            };
            let node = element::enter(self, target, Some(from))?;
            match element::pass(self, target, &node)? {
                Next::Along(flow) => {
                    from = node;
                    along = flow;
                }
                Next::Rest => return Ok(()),
            }
        }
        Err(Halt::Refuse(
            ResultCode::Overloaded,
            format!(
                "the flow entered {} nodes without reaching a task; the limit is Limits::steps",
                self.context.limits.steps
            ),
        ))
    }

    /// A new visit of an element.
    pub(super) fn visit(&mut self, element: &Element, source: Option<NodeInstanceId>) -> NodeVisit {
        let number = self.next_node_number;
        self.next_node_number += 1;
        NodeVisit {
            node: self
                .context
                .id(&self.recorder.given().envelope, IdKind::NodeInstance, number)
                .into(),
            key: element.key.clone(),
            element_type: element.element_type.number(),
            source,
        }
    }

    /// The id of the next snapshot.
    pub(super) fn data_id(&mut self) -> crate::id::InstanceDataId {
        let number = self.next_data_number;
        self.next_data_number += 1;
        self.context
            .id(&self.recorder.given().envelope, IdKind::InstanceData, number)
            .into()
    }

    /// The node instance with this id as it stands now.
    pub(super) fn node(&self, id: &NodeInstanceId) -> Result<&NodeInstance, Halt> {
        self.recorder.state().node(id).ok_or_else(|| {
            debug_assert!(false, "a node that was just recorded must be found");
            Halt::Refuse(
                ResultCode::SystemError,
                format!("node instance {id} was recorded but is not found"),
            )
        })
    }

    /// Takes the first outgoing sequence flow whose condition holds, else the last default, and records it.
    ///
    /// An error in a condition ends the search, even if a default exists, as in the reference engine.
    pub(super) fn take_branch(&mut self, element: &Element, node: &NodeInstanceId) -> Result<Arc<str>, Halt> {
        let variables = self.node(node)?.leave.variables.clone();
        let mut evaluated = Vec::new();
        let mut chosen = None;
        let mut default = None;
        for key in &element.outgoing {
            let Some(flow) = self.deployment.model.element(key) else {
                return Err(Failure {
                    code: ResultCode::CurrentNodeNotFound,
                    detail: format!(
                        "{} lists sequence flow {key}, which the model does not have",
                        element.key
                    ),
                    evaluated,
                }
                .into());
            };
            if let Some(condition) = self.deployment.condition(flow) {
                match condition.and_then(|condition| condition.evaluate(&variables)) {
                    Ok(held) => evaluated.push(Evaluated {
                        flow: key.clone(),
                        held,
                    }),
                    Err(error) => return Err(self.condition_failed(flow, &error, evaluated).into()),
                }
                if evaluated.last().is_some_and(|last| last.held) {
                    chosen = Some(key.clone());
                    break;
                }
            }
            if flow.is_default() {
                default = Some(key.clone());
            }
        }
        let Some(flow) = chosen.or(default) else {
            return Err(Failure {
                code: ResultCode::NoOutgoingMatches,
                detail: format!(
                    "no condition holds at {} and it has no default sequence flow",
                    element.key
                ),
                evaluated,
            }
            .into());
        };
        self.recorder.record(InstanceEvent::BranchTaken {
            node: node.clone(),
            evaluated,
            flow: flow.clone(),
        });
        Ok(flow)
    }

    fn condition_failed(&self, flow: &Element, error: &ExpressionError, evaluated: Vec<Evaluated>) -> Failure {
        let code = match (error, self.context.profile) {
            (ExpressionError::Missing { .. }, Profile::Documented) => ResultCode::ExpressionDataMissing,
            _ => ResultCode::ExpressionFailed,
        };
        let expression = flow.condition().unwrap_or_default();
        Failure {
            code,
            detail: format!("{error}: sequence flow {}, expression={expression}", flow.key),
            evaluated,
        }
    }

    /// Asks the hooks to refresh the data at a gateway, and records their answer.
    pub(super) fn ask_hook(&mut self, element: &Element, node: &NodeInstanceId) -> Result<(), Halt> {
        let Some(hook_info) = element.text_property("hookInfoIds") else {
            return Ok(());
        };
        if !self.context.has_hook {
            return match self.context.profile {
                Profile::Turbo131 => Ok(()),
                Profile::Documented => Err(Failure::new(
                    ResultCode::HookConfigMissing,
                    format!(
                        "{} sets hookInfoIds {hook_info}, but the engine was built without a hook",
                        element.key
                    ),
                )
                .into()),
            };
        }
        let Some(answer) = self.context.answers.hooks.get(node).cloned() else {
            let state = self.recorder.state();
            return Err(Halt::Ask(Question::Hook(HookCall {
                flow_instance_id: state.flow_instance_id.clone().unwrap_or_else(|| "".into()),
                node_instance_id: node.clone(),
                node_key: element.key.clone(),
                hook_info_param: hook_info.into(),
                variables: self.node(node)?.entry.variables.clone(),
            })));
        };
        let data = if answer.variables.is_empty() {
            None
        } else {
            Some(self.data_id())
        };
        self.recorder.record(InstanceEvent::HookAnswered {
            node: node.clone(),
            data,
            variables: answer.variables,
            failures: answer.failures,
        });
        Ok(())
    }
}
