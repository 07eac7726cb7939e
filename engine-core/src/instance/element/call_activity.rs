//! The call activity: waits for a commit that starts the flow it calls, and goes on when that flow has ended.

use std::sync::Arc;

use crate::context::{ModuleStanding, Question};
use crate::event::{InstanceCommand, InstanceEvent, Transfer, TransferRule};
use crate::id::{FlowModuleId, NodeInstanceId};
use crate::instance::advance::{self, Halt, Next, Source, Walk};
use crate::instance::element::WayBack;
use crate::instance::state::{NodeInstance, NodeStatus};
use crate::model::element::Element;
use crate::result_code::ResultCode;
use crate::value::Value;

pub(super) fn enter(walk: &mut Walk<'_, '_>, element: &Element, source: Source) -> NodeInstanceId {
    if let Some(node) = walk.enter_again(element, &source) {
        return node;
    }
    let visit = walk.visit(element, source);
    let node = visit.node.clone();
    walk.recorder.record(InstanceEvent::TaskActivated(visit));
    node
}

pub(super) fn pass() -> Next {
    Next::Rest
}

/// Starts the sub flow: the module of the commit, else of the element (T-20).
pub(super) fn commit(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    let refuse = |code, detail| Err(Halt::Refuse(code, detail));
    let key = &element.key;
    for (property, supported) in [
        ("callActivityExecuteType", "sync"),
        ("callActivityInstanceType", "single"),
    ] {
        if element.text_property(property) != Some(supported) {
            let detail = format!("{property} of {key} is not {supported}; nothing else is supported");
            return refuse(ResultCode::UnsupportedElement, detail);
        }
    }
    let state = walk.recorder.state();
    let depth = walk.node(node).map(|node| state.depth(node.flow))?;
    if depth > walk.context.limits.call_depth {
        let detail = format!(
            "{key} would nest call activities {depth} levels deep; the limit is {} (Limits::call_depth)",
            walk.context.limits.call_depth
        );
        return refuse(ResultCode::NestingTooDeep, detail);
    }
    let module = match &walk.recorder.given().command {
        InstanceCommand::CommitTask {
            call_activity_flow_module_id: Some(module),
            ..
        } => Some(module.clone()),
        _ => element.text_property("callActivityFlowModuleId").map(FlowModuleId::new),
    };
    let Some(module) = module else {
        let detail = format!("neither the commit nor {key} names a flow module; pass callActivityFlowModuleId");
        return refuse(ResultCode::CallActivityModelMissing, detail);
    };
    let context = walk.context;
    let deployment = match context.answers.latest.get(&module) {
        None => return Err(Halt::Ask(Question::LatestDeployment(module))),
        Some(ModuleStanding::Online(deployment)) => deployment,
        Some(ModuleStanding::Offline(_)) => {
            return refuse(
                ResultCode::ResourceDisabled,
                format!("flow module {module}, which {key} calls, is offline"),
            );
        }
        Some(ModuleStanding::Unknown) => {
            let detail = format!("flow module {module}, which {key} calls, was never deployed");
            return refuse(ResultCode::DeploymentNotFound, detail);
        }
    };
    let transfer = transfer(element, "callActivityInParamType", "callActivityInParam")?;
    let handed_in = transfer.of(&walk.node(node)?.entry.variables);
    let has_data = !handed_in.is_empty() || !walk.recorder.given().command.variables().is_empty();
    let data = if has_data { Some(walk.data_id()) } else { None };
    let flow_instance_id = walk.flow_id();
    walk.recorder.record(InstanceEvent::FlowStarted {
        flow_instance_id,
        flow_deploy_id: deployment.flow_deploy_id.clone(),
        flow_module_id: deployment.flow_module_id.clone(),
        tenant: deployment.tenant.clone(),
        caller: deployment.caller.clone(),
        parent: Some(node.clone()),
        transfer: Some(transfer),
        data,
    });
    walk.deployment = deployment;
    Ok(Next::Begin)
}

/// Takes over what the sub flow hands out, and goes on.
pub(super) fn returned(walk: &mut Walk<'_, '_>, element: &Element, node: &NodeInstanceId) -> Result<Next, Halt> {
    let transfer = transfer(element, "callActivityOutParamType", "callActivityOutParam")?;
    let state = walk.recorder.state();
    let sub_flow = walk.node(node)?.sub_flow;
    let hands_out = sub_flow.is_some_and(|flow| !transfer.of(&state.current_data(flow)).is_empty());
    let data = if hands_out { Some(walk.data_id()) } else { None };
    walk.recorder.record(InstanceEvent::CallReturned {
        node: node.clone(),
        transfer,
        data,
    });
    advance::only_way(element).map(Next::Along)
}

/// One that was never started is walked over like a task that is not done (T-26).
pub(super) fn roll_back(node: &NodeInstance) -> WayBack {
    match node.status {
        NodeStatus::Completed => WayBack::Into,
        _ => WayBack::On,
    }
}

/// What the element says of data that crosses the border.
fn transfer(element: &Element, type_name: &str, rules_name: &str) -> Result<Transfer, Halt> {
    let wrong = |what: &str| {
        Halt::Refuse(
            ResultCode::ModelAttributeUnknown,
            format!("{what} of {} is not understood", element.key),
        )
    };
    match element.text_property(type_name) {
        None | Some("full") => Ok(Transfer::Full),
        Some("none") => Ok(Transfer::None),
        Some("part") => {
            let rules = element
                .text_property(rules_name)
                .and_then(|text| Value::from_json(text).ok());
            let Some(Value::List(rules)) = rules else {
                return Err(wrong(rules_name));
            };
            let rules: Option<Vec<TransferRule>> = rules.iter().map(rule).collect();
            rules.map(Transfer::Part).ok_or_else(|| wrong(rules_name))
        }
        Some(_) => Err(wrong(type_name)),
    }
}

/// One transfer rule; values that are not text are taken as their text.
fn rule(rule: &Value) -> Option<TransferRule> {
    let Value::Map(members) = rule else { return None };
    let text = |name: &str| -> Option<Arc<str>> {
        match members.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::Text(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string().into()),
        }
    };
    let target_key = text("targetKey")?;
    match &*text("sourceType")? {
        "context" => Some(TransferRule::Context {
            source_key: text("sourceKey")?,
            target_key,
        }),
        "fixed" => Some(TransferRule::Fixed {
            source_value: text("sourceValue").unwrap_or_default(),
            target_key,
        }),
        _ => None,
    }
}
