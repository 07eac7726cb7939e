//! The step loop: carries a flow from one node to the next, into sub flows and out of them, until it waits or ends.
//! Branches run one after the other. Knows no element type.

use std::sync::Arc;

use crate::context::{Context, HookCall, ModuleStanding, Question};
use crate::decider::Recorder;
use crate::deployment::Deployment;
use crate::event::{Evaluated, InstanceEvent, NodeVisit};
use crate::expression::ExpressionError;
use crate::id::{FlowInstanceId, IdKind, NodeInstanceId};
use crate::instance::branching;
use crate::instance::element;
use crate::instance::state::{FlowIndex, FlowInstance, NodeInstance};
use crate::model::element::Element;
use crate::profile::Profile;
use crate::result_code::ResultCode;
use crate::value::shortened;
use crate::variables::Variables;

/// Characters of a condition, and of what is wrong with it, that an answer and its record repeat.
const EXPRESSION_CHARS: usize = 200;

/// Where an element sends the flow.
pub(super) enum Next {
    /// On, by this sequence flow.
    Along(Arc<str>),
    /// On, along each of these sequence flows, one branch after the other.
    Fork(Vec<Arc<str>>),
    /// To the start event of the flow that was just started.
    Begin,
    /// To the call activity that runs this flow, which has ended; from the root, nowhere.
    End,
    /// Nowhere: the flow waits here.
    Rest,
}

/// One branch on its way.
struct Token {
    from: Option<NodeInstanceId>,
    /// Which of the branches that `from` opened it begins.
    branch: Option<u32>,
    next: Next,
}

/// Where a token comes from: the node it left, and the branch it begins where that was a fork.
#[derive(Clone, Default)]
pub(super) struct Source {
    pub(super) node: Option<NodeInstanceId>,
    pub(super) branch: Option<u32>,
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

/// The deployment that a flow runs, or the question that leads to it.
pub(super) fn deployment_of<'a>(
    state: &FlowInstance,
    flow: FlowIndex,
    context: &'a Context<'a>,
) -> Result<&'a Deployment, Halt> {
    let not_found = || {
        let detail = "the deployment of the flow instance is not in the store".to_owned();
        Halt::Refuse(ResultCode::DeploymentNotFound, detail)
    };
    let id = &state.flow(flow).ok_or_else(not_found)?.flow_deploy_id;
    match context.answers.deployments.get(id) {
        None => Err(Halt::Ask(Question::Deployment(id.clone()))),
        Some(ModuleStanding::Online(deployment) | ModuleStanding::Offline(deployment)) => Ok(deployment),
        Some(ModuleStanding::Unknown) => Err(not_found()),
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

/// One command on its way through the model of one flow after the other.
pub(super) struct Walk<'a, 'g> {
    pub(super) recorder: Recorder<'g, FlowInstance>,
    pub(super) deployment: &'a Deployment,
    pub(super) context: &'a Context<'a>,
    next_flow_number: u32,
    next_node_number: u32,
    next_data_number: u32,
    /// Bytes that plug-ins have answered.
    answered_bytes: usize,
}

impl<'a, 'g> Walk<'a, 'g> {
    pub(super) fn new(
        recorder: Recorder<'g, FlowInstance>,
        deployment: &'a Deployment,
        context: &'a Context<'a>,
    ) -> Self {
        let next_flow_number = u32::from(recorder.state().root().is_some());
        Self {
            recorder,
            deployment,
            context,
            next_flow_number,
            next_node_number: 0,
            next_data_number: 0,
            answered_bytes: 0,
        }
    }

    /// Goes on from a node until every branch waits or has ended.
    pub(super) fn advance(&mut self, from: Option<NodeInstanceId>, next: Next) -> Result<(), Halt> {
        let mut steps = 0;
        let mut tokens = vec![Token {
            from,
            branch: None,
            next,
        }];
        while let Some(mut token) = tokens.pop() {
            if let (Some(fork), Some(number)) = (&token.from, token.branch)
                && !self.take_up(fork, number)?
            {
                continue;
            }
            loop {
                if steps >= self.context.limits.steps {
                    return Err(Halt::Refuse(
                        ResultCode::Overloaded,
                        format!(
                            "the flow would enter more than {} nodes and branches without reaching a task; the limit is \
                             Limits::steps",
                            self.context.limits.steps
                        ),
                    ));
                }
                steps += 1;
                match self.step(token)? {
                    Some(Token {
                        from,
                        next: Next::Fork(flows),
                        ..
                    }) => {
                        // Every branch costs a look at all of them, so it counts as a step.
                        steps += flows.len();
                        let branches = (0..).zip(flows).map(|(number, flow)| Token {
                            from: from.clone(),
                            branch: Some(number),
                            next: Next::Along(flow),
                        });
                        let first = tokens.len();
                        tokens.extend(branches);
                        if let Some(opened) = tokens.get_mut(first..) {
                            opened.reverse();
                        }
                        break;
                    }
                    Some(on) => token = on,
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Takes up a branch that was opened earlier in this command; false when its join has closed it meanwhile.
    fn take_up(&mut self, fork: &NodeInstanceId, number: u32) -> Result<bool, Halt> {
        let state = self.recorder.state();
        let is_open = state
            .opened_branch(fork, number)
            .is_some_and(|branch| state.standing().is_open(branch));
        if is_open {
            self.deployment = deployment_of(state, self.node(fork)?.flow, self.context)?;
        }
        Ok(is_open)
    }

    /// One step of a branch; `None` where it rests.
    fn step(&mut self, token: Token) -> Result<Option<Token>, Halt> {
        let deployment = self.deployment;
        let mut source = Source {
            node: token.from,
            branch: token.branch,
        };
        let target = match token.next {
            Next::Rest | Next::Fork(_) => return Ok(None),
            Next::Along(along) => {
                let target = deployment
                    .model
                    .element(&along)
                    .and_then(|flow| deployment.model.target(flow));
                target.ok_or_else(|| {
                    let detail = format!("sequence flow {along} leads to no element of the model");
                    Failure::new(ResultCode::CurrentNodeNotFound, detail)
                })?
            }
            Next::Begin => {
                source = Source::default();
                deployment.model.start_event().ok_or_else(|| {
                    let detail = format!("the model of {} has no start event", deployment.flow_module_id);
                    Failure::new(ResultCode::CurrentNodeNotFound, detail)
                })?
            }
            Next::End => return self.end(source.node.as_ref()),
        };
        let node = element::enter(self, target, source)?;
        let next = element::pass(self, target, &node)?;
        Ok(Some(Token {
            from: Some(node),
            branch: None,
            next,
        }))
    }

    /// A branch or a flow has ended: goes on at the join that waited only for it, or behind the call activity.
    fn end(&mut self, at: Option<&NodeInstanceId>) -> Result<Option<Token>, Halt> {
        let on = |node, next| {
            Ok(Some(Token {
                from: Some(node),
                branch: None,
                next,
            }))
        };
        let branch = at
            .and_then(|id| self.recorder.state().node(id))
            .and_then(|node| node.branch);
        match branching::end_branch(self, branch)? {
            branching::Ended::Branch => Ok(None),
            branching::Ended::Joined(join, next) => on(join, next),
            branching::Ended::Flow => match self.end_flow(at) {
                None => Ok(None),
                Some(call) => {
                    let next = self.return_from_call(&call)?;
                    on(call, next)
                }
            },
        }
    }

    /// Records that the flow of a node has ended; the call activity that runs it, where there is one.
    fn end_flow(&mut self, at: Option<&NodeInstanceId>) -> Option<NodeInstanceId> {
        let state = self.recorder.state();
        let flow = at
            .and_then(|id| state.node(id))
            .map(|node| node.flow)
            .unwrap_or_default();
        let call = state.calling_node(flow).map(|node| node.id.clone());
        let flow_instance_id = state.flow(flow).map(|flow| flow.flow_instance_id.clone());
        match (&call, flow_instance_id) {
            (Some(_), Some(flow_instance_id)) => {
                self.recorder.record(InstanceEvent::SubFlowEnded { flow_instance_id });
            }
            _ => self.recorder.record(InstanceEvent::FlowCompleted),
        }
        call
    }

    /// Goes on in the flow of a call activity whose sub flow has ended.
    fn return_from_call(&mut self, call: &NodeInstanceId) -> Result<Next, Halt> {
        let node = self.node(call)?;
        let (flow, key) = (node.flow, node.key.clone());
        self.deployment = deployment_of(self.recorder.state(), flow, self.context)?;
        let element = self.element(&key)?;
        element::call_returned(self, element, call)
    }

    /// An element of the model that the token runs through.
    pub(super) fn element(&self, key: &str) -> Result<&'a Element, Halt> {
        self.deployment.model.element(key).ok_or_else(|| {
            let detail = format!("the model has no element {key}");
            Failure::new(ResultCode::CurrentNodeNotFound, detail).into()
        })
    }

    /// The id of the next sub flow instance.
    pub(super) fn flow_id(&mut self) -> FlowInstanceId {
        let number = self.next_flow_number;
        self.next_flow_number += 1;
        self.context
            .id(&self.recorder.given().envelope, IdKind::FlowInstance, number)
            .into()
    }

    /// A new visit of an element.
    pub(super) fn visit(&mut self, element: &Element, source: Source) -> NodeVisit {
        let number = self.next_node_number;
        self.next_node_number += 1;
        NodeVisit {
            node: self
                .context
                .id(&self.recorder.given().envelope, IdKind::NodeInstance, number)
                .into(),
            key: element.key.clone(),
            element_type: element.element_type.number(),
            source: source.node,
            branch: source.branch,
        }
    }

    /// Enters a node again that failed in an earlier attempt from the same source.
    pub(super) fn enter_again(&mut self, element: &Element, source: &Source) -> Option<NodeInstanceId> {
        let failed = self
            .recorder
            .state()
            .failed_successor(source.node.as_ref()?, &element.key)?;
        let node = failed.id.clone();
        self.recorder.record(InstanceEvent::NodeReentered {
            node: node.clone(),
            branch: source.branch,
        });
        Some(node)
    }

    /// The id of the next snapshot.
    pub(super) fn data_id(&mut self) -> crate::id::InstanceDataId {
        let number = self.next_data_number;
        self.next_data_number += 1;
        self.context
            .id(&self.recorder.given().envelope, IdKind::InstanceData, number)
            .into()
    }

    /// Counts what a plug-in has answered.
    pub(super) fn count_answer(&mut self, bytes: usize) -> Result<(), Halt> {
        self.answered_bytes = self.answered_bytes.saturating_add(bytes);
        let limit = self.context.limits.variable_bytes;
        if self.answered_bytes > limit {
            let detail = format!("plug-ins answered more than {limit} bytes; the limit is Limits::variable_bytes");
            return Err(Halt::Refuse(ResultCode::Overloaded, detail));
        }
        Ok(())
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
            let (flow, held) = self.evaluate(element, key, &variables, &mut evaluated)?;
            if held == Some(true) {
                chosen = Some(key.clone());
                break;
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

    /// An outgoing sequence flow, and how its condition comes out; `None` where it has none.
    pub(super) fn evaluate(
        &self,
        element: &Element,
        key: &Arc<str>,
        variables: &Variables,
        evaluated: &mut Vec<Evaluated>,
    ) -> Result<(&'a Element, Option<bool>), Halt> {
        let Some(flow) = self.deployment.model.element(key) else {
            return Err(Failure {
                code: ResultCode::CurrentNodeNotFound,
                detail: format!(
                    "{} lists sequence flow {key}, which the model does not have",
                    element.key
                ),
                evaluated: std::mem::take(evaluated),
            }
            .into());
        };
        let Some(condition) = self.deployment.condition(flow) else {
            return Ok((flow, None));
        };
        match condition.and_then(|condition| condition.evaluate(variables)) {
            Ok(held) => {
                evaluated.push(Evaluated {
                    flow: key.clone(),
                    held,
                });
                Ok((flow, Some(held)))
            }
            Err(error) => Err(self.condition_failed(flow, &error, std::mem::take(evaluated)).into()),
        }
    }

    fn condition_failed(&self, flow: &Element, error: &ExpressionError, evaluated: Vec<Evaluated>) -> Failure {
        let code = match (error, self.context.profile) {
            (ExpressionError::Missing { .. }, Profile::Documented) => ResultCode::ExpressionDataMissing,
            _ => ResultCode::ExpressionFailed,
        };
        let error = shortened(&error.to_string(), EXPRESSION_CHARS * 2);
        let expression = shortened(flow.condition().unwrap_or_default(), EXPRESSION_CHARS);
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
                flow_instance_id: state
                    .node(node)
                    .and_then(|node| state.flow(node.flow))
                    .map_or_else(|| "".into(), |flow| flow.flow_instance_id.clone()),
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
