//! Judges whether a flow model may be deployed, one function per rule. Knows one model and the drafts it calls.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::expression::CompiledExpression;
use crate::id::FlowModuleId;
use crate::invariant;
use crate::model::blocks::block_edges;
use crate::model::element::{Element, ElementType, OnRollback};
use crate::model::flow_model::FlowModel;
use crate::model::gateway::judge_gateways;
use crate::model::lint::lint;
use crate::model::nesting::{Nesting, call_nesting};
use crate::model::pairs::Pairs;
use crate::plug_in::{self, ElementPlugIn, PlugIns};
use crate::profile::Profile;
use crate::result_code::ResultCode;
use crate::value::{Value, shortened};

/// Deepest nesting of call activities, and the cap of what a caller may configure.
pub const MAX_CALL_DEPTH: i64 = 10;
/// Most warnings of one model: they are stored with every deployment.
pub const MAX_WARNINGS: usize = 200;
/// Most characters of a name or value that a message repeats.
const SHOWN_CHARACTERS: usize = 120;
/// Most keys that one message lists.
const SHOWN_KEYS: usize = 5;

/// One reason why a model cannot be deployed. Its text says what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", Place(self.element_key.as_deref(), &self.element_name))]
pub struct ModelFault {
    /// What deployFlow answers when this is the first fault.
    pub code: ResultCode,
    /// The element at fault; `None` when it is the model as a whole, or an element without key.
    pub element_key: Option<Arc<str>>,
    /// The element's name, cut when it is long; empty when it has none.
    pub element_name: Arc<str>,
    /// What is wrong and what to do.
    pub message: String,
}

/// Something in a model that deploys but probably does not do what its author means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelWarning {
    /// The kind of warning, stable for ever; where it stands for a fault of the other profile, that code's slug.
    pub slug: &'static str,
    /// The element; `None` when it is the model as a whole, or an element without key.
    pub element_key: Option<Arc<str>>,
    /// The element's name, cut when it is long; empty when it has none.
    pub element_name: Arc<str>,
    /// What happens, and what to do.
    pub message: String,
}

/// What [`validate`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validation {
    /// All faults, in the order in which the reference looks: the code of the first is the answer of deployFlow.
    pub faults: Vec<ModelFault>,
    /// All warnings, in the order of the elements.
    pub warnings: Vec<ModelWarning>,
}

/// The drafts of other flow modules, for the nesting of call activities.
pub trait Drafts {
    /// The draft of `module`; `None` when no such module exists.
    ///
    /// A module that has no model yet, or one whose text cannot be read, is given as a model without elements: it
    /// counts as a flow that calls nothing.
    fn draft(&self, module: &FlowModuleId) -> Option<&FlowModel>;
}

impl<M: Borrow<FlowModel>> Drafts for BTreeMap<FlowModuleId, M> {
    fn draft(&self, module: &FlowModuleId) -> Option<&FlowModel> {
        self.get(module).map(Borrow::borrow)
    }
}

/// What judging a model depends on besides the model.
#[derive(Clone, Copy)]
pub struct ValidationContext<'a> {
    /// Which behaviour the engine shows.
    pub profile: Profile,
    /// The module the model belongs to: calling it again is a loop.
    pub module: &'a FlowModuleId,
    /// Drafts of the modules in [`called_modules`], of those that they call, and so on.
    pub drafts: &'a dyn Drafts,
    /// How deep call activities may nest: at most [`MAX_CALL_DEPTH`]; a negative number means exactly that.
    pub max_call_depth: i64,
    /// Says why a condition cannot be translated, for a warning.
    pub check_condition: &'a dyn Fn(&str) -> Result<(), String>,
    /// Whether the host has the strategy that a join means by `Custom`: the one its `mergeStrategy` names, if it does.
    pub knows_strategy: &'a dyn Fn(Option<&str>) -> bool,
    /// What the host has added.
    pub plug_ins: &'a PlugIns,
}

impl<'a> ValidationContext<'a> {
    /// A context with the largest call depth and without plug-ins that takes every condition for good.
    pub fn new(profile: Profile, module: &'a FlowModuleId, drafts: &'a dyn Drafts) -> Self {
        Self {
            profile,
            module,
            drafts,
            max_call_depth: MAX_CALL_DEPTH,
            check_condition: &any_condition,
            knows_strategy: &|_| false,
            plug_ins: PlugIns::none(),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "has the shape of `check_condition`")]
fn any_condition(_: &str) -> Result<(), String> {
    Ok(())
}

/// The flow modules that the call activities of a model name.
pub fn called_modules(model: &FlowModel) -> BTreeSet<FlowModuleId> {
    model
        .elements()
        .iter()
        .filter(|element| element.element_type == ElementType::CallActivity)
        .filter_map(|element| element.text_property("callActivityFlowModuleId"))
        .map(FlowModuleId::new)
        .collect()
}

/// Judges a model; it may be deployed when there are no faults.
///
/// Takes time in proportion to the model and the drafts, up to a logarithm, and recurses nowhere.
///
/// Order and rules are the reference engine's; where ours differ: docs/behaviour.md.
pub fn validate(model: &FlowModel, context: &ValidationContext<'_>) -> Validation {
    let links = Links::new(model);
    let mut findings = Findings {
        model,
        profile: context.profile,
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    let mut nesting = Nesting::new(context);
    unique_keys(&mut findings);
    for (index, element) in model.elements().iter().enumerate() {
        let plug_in = context.plug_ins.element(element.element_type);
        judge_element(&mut findings, &links, &mut nesting, (index, element), plug_in.is_some());
        if let Some(plug_in) = plug_in {
            judged_by_plug_in(&mut findings, plug_in, index, element);
        }
    }
    one_start(&mut findings);
    has_end(&mut findings);
    sequence_pairs(&mut findings, &links);
    reachable(&mut findings, &links);
    rings_wait(&mut findings, &links);
    let pairs = Pairs::of(model);
    judge_gateways(&mut findings, &pairs, context.knows_strategy);
    block_edges(&mut findings, &pairs);
    invariants_compile(&mut findings);
    lint(&mut findings, &links, &pairs, context.check_condition);
    findings.finish()
}

/// Judges a model by itself: flow modules that call activities name are taken for present, and as calling nothing
/// further; conditions are those of the built-in language, and the host has no plug-ins.
pub fn validate_alone(model: &FlowModel, profile: Profile) -> Validation {
    let check_condition = |text: &str| {
        let compiled = CompiledExpression::compile(text);
        compiled.map(|_| ()).map_err(|error| error.to_string())
    };
    let (module, drafts) = (FlowModuleId::new(""), AnyModule::default());
    let mut context = ValidationContext::new(profile, &module, &drafts);
    context.check_condition = &check_condition;
    validate(model, &context)
}

/// Every module there may be, calling nothing.
pub struct AnyModule(FlowModel);

impl Default for AnyModule {
    fn default() -> Self {
        Self(FlowModel::new(Vec::new()))
    }
}

impl Drafts for AnyModule {
    fn draft(&self, _: &FlowModuleId) -> Option<&FlowModel> {
        Some(&self.0)
    }
}

fn judge_element(
    findings: &mut Findings<'_>,
    links: &Links,
    nesting: &mut Nesting<'_>,
    (index, element): (usize, &Element),
    has_plug_in: bool,
) {
    match element.element_type {
        ElementType::SequenceFlow => {
            has_incoming(findings, index, element);
            single_incoming(findings, index, element);
            has_outgoing(findings, index, element);
            single_outgoing(findings, index, element);
            branch_values(findings, index, element);
        }
        ElementType::StartEvent => has_outgoing(findings, index, element),
        ElementType::EndEvent => has_incoming(findings, index, element),
        ElementType::UserTask | ElementType::ParallelGateway | ElementType::InclusiveGateway => {
            has_incoming(findings, index, element);
            has_outgoing(findings, index, element);
        }
        ElementType::ExclusiveGateway => {
            has_incoming(findings, index, element);
            has_outgoing(findings, index, element);
            conditions_or_default(findings, links, index, element);
            single_default(findings, links, index);
            hook_value(findings, index, element);
        }
        ElementType::CallActivity => {
            has_incoming(findings, index, element);
            has_outgoing(findings, index, element);
            single_outgoing(findings, index, element);
            call_values(findings, index, element);
            call_nesting(findings, nesting, index, element);
        }
        ElementType::Unknown(_) if has_plug_in => {
            has_incoming(findings, index, element);
            has_outgoing(findings, index, element);
        }
        ElementType::Unknown(number) => known_type(findings, index, number),
    }
    rollback_value(findings, index, element);
}

/// 3217: what must hold is written as it can be read and looked at.
fn invariants_compile(findings: &mut Findings<'_>) {
    let model = findings.model;
    findings.faults.extend_from_slice(model.invariant_faults());
    let errors = invariant::compile_all(model.invariants()).err().unwrap_or_default();
    let faults = errors
        .into_iter()
        .map(|error| ModelFault::of_model(ResultCode::ModelAttributeUnknown, error.to_string()));
    findings.faults.extend(faults);
}

/// 3217: what the plug-in that runs an element says against it.
fn judged_by_plug_in(findings: &mut Findings<'_>, plug_in: &dyn ElementPlugIn, index: usize, element: &Element) {
    let Err(mut messages) = plug_in.validate(element) else {
        return;
    };
    if messages.is_empty() {
        messages.push("it refuses this element without a reason".to_owned());
    }
    for message in messages.iter().take(plug_in::MAX_MESSAGES) {
        let message = shortened(message, plug_in::ERROR_CHARS);
        let message = format!("plug-in {}: {message}", plug_in.name());
        findings.fault(index, ResultCode::ModelAttributeUnknown, message);
    }
}

/// 3203: every element has a key of its own.
///
/// One element without key passes in `turbo131`, as there; a second one has the same key.
fn unique_keys(findings: &mut Findings<'_>) {
    let model = findings.model;
    for (index, element) in model.elements().iter().enumerate() {
        match model.index_of(&element.key) {
            Some(first) if first != index => {
                let message = format!("flowElementList/{first} has the same key; give every element a key of its own");
                findings.fault(index, ResultCode::ModelKeyDuplicate, message);
            }
            _ if element.key.is_empty() => {
                findings.ours(
                    index,
                    ResultCode::ModelKeyDuplicate,
                    "give every element a key of its own".to_owned(),
                );
            }
            _ => {}
        }
    }
}

/// 3211, in `turbo131` 4014: the type is one that can be run.
fn known_type(findings: &mut Findings<'_>, index: usize, number: i64) {
    let code = match findings.profile {
        Profile::Documented => ResultCode::ModelUnknownElement,
        Profile::Turbo131 => ResultCode::UnsupportedElement,
    };
    findings.fault(
        index,
        code,
        format!("type {number} is not supported; use 1, 2, 3, 4, 6, 8, 9 or 10"),
    );
}

/// 3214: all but start events are entered.
fn has_incoming(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if !element.incoming.is_empty() {
        return;
    }
    let message = match element.element_type {
        ElementType::SequenceFlow => "incoming is empty; put the key of the node it leaves there".to_owned(),
        other => format!("incoming of this {other} is empty; list the sequence flows that lead here"),
    };
    findings.fault(index, ResultCode::ModelLacksIncoming, message);
}

/// 3212: a sequence flow has one source.
fn single_incoming(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if element.incoming.len() > 1 {
        let sources = Keys(&element.incoming);
        let message = format!("incoming names several nodes: {sources}; use one sequence flow for each pair of nodes");
        findings.fault(index, ResultCode::ModelTooManyIncoming, message);
    }
}

/// 3215, for a gateway in `documented` 3208: all but end events are left.
fn has_outgoing(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if !element.outgoing.is_empty() {
        return;
    }
    let code = match (element.element_type, findings.profile) {
        (
            ElementType::ExclusiveGateway | ElementType::ParallelGateway | ElementType::InclusiveGateway,
            Profile::Documented,
        ) => ResultCode::ModelGatewayNoExit,
        _ => ResultCode::ModelLacksOutgoing,
    };
    let message = match element.element_type {
        ElementType::SequenceFlow => "outgoing is empty; put the key of the node it leads to there".to_owned(),
        other => format!("outgoing of this {other} is empty; list the sequence flows that lead on"),
    };
    findings.fault(index, code, message);
}

/// 3213: a sequence flow has one target, a call activity one way on.
fn single_outgoing(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if element.outgoing.len() > 1 {
        let targets = Keys(&element.outgoing);
        let message = match element.element_type {
            ElementType::SequenceFlow => {
                format!("outgoing names several nodes: {targets}; use one sequence flow for each pair of nodes")
            }
            other => format!("this {other} has several outgoing sequence flows: {targets}; lead to a gateway instead"),
        };
        findings.fault(index, ResultCode::ModelTooManyOutgoing, message);
    }
}

/// 3209: what leaves a gateway has a condition or is the default. 3206, at the same place: it exists.
///
/// The reference throws at a key that exists nowhere.
fn conditions_or_default(findings: &mut Findings<'_>, links: &Links, index: usize, element: &Element) {
    let model = findings.model;
    let (mut dangling, mut blank) = (Vec::new(), Vec::new());
    let mut dangling_first = false;
    for (key, target) in element.outgoing.iter().zip(links.outgoing(index)) {
        match target.and_then(|target| model.elements().get(target)) {
            None => {
                dangling_first |= blank.is_empty();
                dangling.push(key.clone());
            }
            Some(flow) if !has_condition(flow) && !flow.is_default() => blank.push(key.clone()),
            Some(_) => {}
        }
    }
    let mut found = Vec::new();
    if !blank.is_empty() {
        let flows = Keys(&blank);
        let message = format!("no condition on {flows}; set conditionsequenceflow, or defaultConditions to \"true\"");
        found.push((ResultCode::ModelConditionMissing, message));
    }
    if !dangling.is_empty() {
        let place = if dangling_first { 0 } else { found.len() };
        found.insert(
            place,
            (ResultCode::ModelSequencePair, dangling_message("outgoing", &dangling)),
        );
    }
    for (code, message) in found {
        findings.fault(index, code, message);
    }
}

/// Whether anything but blanks stands where the condition does; what is not text gets its own fault.
fn has_condition(flow: &Element) -> bool {
    match flow.property("conditionsequenceflow") {
        None | Some(Value::Null) => false,
        Some(Value::Text(text)) => !text.trim().is_empty(),
        Some(_) => true,
    }
}

/// 3210: a gateway has at most one default.
fn single_default(findings: &mut Findings<'_>, links: &Links, index: usize) {
    let elements = findings.model.elements();
    let flows = links
        .outgoing(index)
        .iter()
        .flatten()
        .filter_map(|flow| elements.get(*flow));
    let defaults: Vec<Arc<str>> = flows
        .filter(|flow| flow.is_default())
        .map(|flow| flow.key.clone())
        .collect();
    if defaults.len() > 1 {
        let message = format!(
            "several defaults: {}; keep defaultConditions on one of them",
            Keys(&defaults)
        );
        findings.fault(index, ResultCode::ModelDefaultDuplicate, message);
    }
}

/// 3217: a condition is text; a default is text or true (T-45).
fn branch_values(findings: &mut Findings<'_>, index: usize, element: &Element) {
    text_value(findings, index, element, "conditionsequenceflow");
    match element.property("defaultConditions") {
        None | Some(Value::Null | Value::Text(_) | Value::Bool(true)) => {}
        Some(other) => {
            let message = format!(
                "defaultConditions is {}; write \"true\" or \"false\", in quotes",
                Shown(other)
            );
            findings.fault(index, ResultCode::ModelAttributeUnknown, message);
        }
    }
}

/// 3217: what a gateway hands to the hook is text. Anything else would pass for "no hook" when the flow runs.
fn hook_value(findings: &mut Findings<'_>, index: usize, element: &Element) {
    text_value(findings, index, element, "hookInfoIds");
}

/// 3217, a warning in `turbo131`: what a rollback over the node leaves to be done outside.
fn rollback_value(findings: &mut Findings<'_>, index: usize, element: &Element) {
    match element.property("onRollback") {
        None | Some(Value::Null) => {}
        Some(Value::Text(text)) if text.trim().is_empty() => {}
        Some(_) if OnRollback::of(element).is_some() => {}
        Some(other) => {
            let message = format!(
                "onRollback is {}; write \"ignore\", \"forbid\", or \"compensate: \" and what is to be done",
                Shown(other)
            );
            findings.ours(index, ResultCode::ModelAttributeUnknown, message);
        }
    }
}

fn text_value(findings: &mut Findings<'_>, index: usize, element: &Element, name: &str) {
    match element.property(name) {
        None | Some(Value::Null | Value::Text(_)) => {}
        Some(other) => {
            let message = format!("{name} is {}; it must be text, in quotes", Shown(other));
            findings.fault(index, ResultCode::ModelAttributeUnknown, message);
        }
    }
}

/// 3216 and 3217: how a call activity runs its flow and passes variables.
///
/// `async` and `multiple` are refused here: the reference deploys them and then fails when it gets there.
fn call_values(findings: &mut Findings<'_>, index: usize, element: &Element) {
    one_of(findings, index, element, "callActivityExecuteType", true, &["sync"]);
    one_of(findings, index, element, "callActivityInstanceType", true, &["single"]);
    one_of(
        findings,
        index,
        element,
        "callActivityInParamType",
        false,
        &["none", "part", "full"],
    );
    one_of(
        findings,
        index,
        element,
        "callActivityOutParamType",
        false,
        &["none", "part", "full"],
    );
}

fn one_of(
    findings: &mut Findings<'_>,
    index: usize,
    element: &Element,
    name: &str,
    is_required: bool,
    choices: &[&str],
) {
    let advice = format!("\"{}\"", choices.join("\" or \""));
    match element.property(name) {
        None | Some(Value::Null) if is_required => {
            let message = format!("{name} is missing; set it to {advice}");
            findings.fault(index, ResultCode::ModelAttributeMissing, message);
        }
        None | Some(Value::Null) => {}
        Some(Value::Text(text)) if choices.contains(&text.as_ref()) => {}
        Some(other) => {
            let message = format!("{name} is {}, which is not supported; set it to {advice}", Shown(other));
            findings.fault(index, ResultCode::ModelAttributeUnknown, message);
        }
    }
}

/// 3202: one start event.
fn one_start(findings: &mut Findings<'_>) {
    let starts = of_type(findings.model, ElementType::StartEvent);
    let message = match starts.len() {
        1 => return,
        0 => "the model has no start event; add an element of type 2".to_owned(),
        _ => format!("the model has several start events: {}; keep one", Keys(&starts)),
    };
    findings
        .faults
        .push(ModelFault::of_model(ResultCode::ModelStartCount, message));
}

/// 3204: at least one end event.
fn has_end(findings: &mut Findings<'_>) {
    if of_type(findings.model, ElementType::EndEvent).is_empty() {
        let message = "the model has no end event; add an element of type 3".to_owned();
        findings
            .faults
            .push(ModelFault::of_model(ResultCode::ModelNoEnd, message));
    }
}

fn of_type(model: &FlowModel, element_type: ElementType) -> Vec<Arc<str>> {
    let elements = model
        .elements()
        .iter()
        .filter(|element| element.element_type == element_type);
    elements.map(|element| element.key.clone()).collect()
}

/// 3206: every key names an element, and a sequence flow is listed by one of its ends.
///
/// A warning in `turbo131`: there it fails when the flow gets there. A gateway's outgoing stands under
/// [`conditions_or_default`].
fn sequence_pairs(findings: &mut Findings<'_>, links: &Links) {
    let elements = findings.model.elements();
    for (index, element) in elements.iter().enumerate() {
        let incoming = dangling(&element.incoming, links.incoming(index));
        if !incoming.is_empty() {
            findings.ours(
                index,
                ResultCode::ModelSequencePair,
                dangling_message("incoming", &incoming),
            );
        }
        let outgoing = dangling(&element.outgoing, links.outgoing(index));
        if !outgoing.is_empty() && element.element_type != ElementType::ExclusiveGateway {
            findings.ours(
                index,
                ResultCode::ModelSequencePair,
                dangling_message("outgoing", &outgoing),
            );
        }
        if element.element_type == ElementType::SequenceFlow && links.is_unlisted(index) {
            let message = "neither of its ends lists this sequence flow; list it in the source's outgoing and in the \
                           target's incoming, or remove it";
            findings.ours(index, ResultCode::ModelSequencePair, message.to_owned());
        }
    }
}

fn dangling(keys: &[Arc<str>], targets: &[Option<usize>]) -> Vec<Arc<str>> {
    let pairs = keys.iter().zip(targets);
    pairs
        .filter(|(_, target)| target.is_none())
        .map(|(key, _)| key.clone())
        .collect()
}

fn dangling_message(member: &str, keys: &[Arc<str>]) -> String {
    format!(
        "{member} names what the model does not have: {}; add it, or remove the key",
        Keys(keys)
    )
}

/// 3205: every node can be reached from a start event, whatever the conditions say.
///
/// A warning in `turbo131`. Says nothing of a model without start event, nor of nodes without key, and takes a key that
/// several elements have for all of them: those have faults of their own.
fn reachable(findings: &mut Findings<'_>, links: &Links) {
    let elements = findings.model.elements();
    let starts = elements
        .iter()
        .enumerate()
        .filter(|(_, e)| e.element_type == ElementType::StartEvent);
    let mut open: Vec<usize> = starts.map(|(index, _)| index).collect();
    if open.is_empty() {
        return;
    }
    let mut namesakes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for index in (0..elements.len()).filter(|index| links.first(*index) != *index) {
        namesakes.entry(links.first(index)).or_default().push(index);
    }
    let mut seen = vec![false; elements.len()];
    open.retain(|start| mark(&mut seen, *start));
    while let Some(index) = open.pop() {
        let next = links
            .outgoing(index)
            .iter()
            .flatten()
            .chain(namesakes.get(&index).into_iter().flatten());
        open.extend(next.filter(|next| mark(&mut seen, **next)));
    }
    for (index, (element, is_reached)) in elements.iter().zip(seen).enumerate() {
        let is_node = element.element_type != ElementType::SequenceFlow && !element.key.is_empty();
        if is_node && !is_reached {
            let what = element.element_type;
            let message = format!("no way leads from the start event to this {what}; connect it, or remove it");
            findings.ours(index, ResultCode::ModelUnreachable, message);
        }
    }
}

/// Marks `index`; whether it was not marked before.
fn mark(seen: &mut [bool], index: usize) -> bool {
    seen.get_mut(index).is_some_and(|seen| !std::mem::replace(seen, true))
}

/// 3207: a ring waits somewhere, at a user task or a call activity.
///
/// A warning in `turbo131`. Looks only at what a run can follow: nothing leaves an end event, and a start event is left
/// by its first sequence flow. An element of unknown type is taken to wait, and so is a key that several elements have.
/// A join does not wait in this sense: all its branches may come to it at once.
fn rings_wait(findings: &mut Findings<'_>, links: &Links) {
    let elements = findings.model.elements();
    let namesakes = (0..elements.len()).filter(|index| links.first(*index) != *index);
    let ambiguous: BTreeSet<usize> = namesakes.map(|index| links.first(index)).collect();
    let edges: Vec<Vec<usize>> = elements
        .iter()
        .enumerate()
        .map(|(index, element)| {
            let outgoing = links.outgoing(index).iter().flatten().copied();
            let outgoing = outgoing.filter(|next| !ambiguous.contains(next));
            match element.element_type {
                ElementType::ExclusiveGateway | ElementType::ParallelGateway | ElementType::InclusiveGateway => {
                    outgoing.collect()
                }
                ElementType::SequenceFlow | ElementType::StartEvent => outgoing.take(1).collect(),
                ElementType::EndEvent | ElementType::UserTask | ElementType::CallActivity | ElementType::Unknown(_) => {
                    Vec::new()
                }
            }
        })
        .collect();
    for ring in rings(&edges) {
        let members = ring.iter().filter_map(|index| Some((*index, elements.get(*index)?)));
        let (flows, nodes): (Vec<_>, Vec<_>) =
            members.partition(|(_, element)| element.element_type == ElementType::SequenceFlow);
        let shown = if nodes.is_empty() { flows } else { nodes };
        let keys: Vec<Arc<str>> = shown.iter().map(|(_, element)| element.key.clone()).collect();
        if let Some((first, _)) = shown.first() {
            let message = format!(
                "a ring without user task or call activity would never wait: {}; put a user task into it, or cut it",
                Keys(&keys)
            );
            findings.ours(*first, ResultCode::ModelRingWithoutTask, message);
        }
    }
}

/// The strongly connected parts of a graph that contain a ring, each in index order, by their first index.
///
/// Kosaraju's algorithm with explicit stacks.
fn rings(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let targets = |index: usize| edges.get(index).map_or(&[][..], Vec::as_slice);
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, to) in edges
        .iter()
        .enumerate()
        .flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
    {
        if let Some(sources) = reversed.get_mut(to) {
            sources.push(from);
        }
    }
    let mut finished = Vec::with_capacity(edges.len());
    let mut seen = vec![false; edges.len()];
    for root in 0..edges.len() {
        let mut path = Vec::new();
        if mark(&mut seen, root) {
            path.push((root, targets(root).iter()));
        }
        while let Some((index, remaining)) = path.last_mut() {
            match remaining.next() {
                Some(next) if mark(&mut seen, *next) => path.push((*next, targets(*next).iter())),
                Some(_) => {}
                None => {
                    finished.push(*index);
                    path.pop();
                }
            }
        }
    }
    let mut rings = Vec::new();
    let mut seen = vec![false; edges.len()];
    for root in finished.into_iter().rev() {
        let mut part = Vec::new();
        let mut open = Vec::new();
        if mark(&mut seen, root) {
            open.push(root);
        }
        while let Some(index) = open.pop() {
            part.push(index);
            let sources = reversed.get(index).into_iter().flatten();
            open.extend(sources.filter(|source| mark(&mut seen, **source)));
        }
        if part.len() > 1 || part.first().is_some_and(|index| targets(*index).contains(index)) {
            part.sort_unstable();
            rings.push(part);
        }
    }
    rings.sort_unstable();
    rings
}

/// Faults and warnings as they are found.
pub(super) struct Findings<'m> {
    pub(super) model: &'m FlowModel,
    profile: Profile,
    faults: Vec<ModelFault>,
    warnings: Vec<(usize, ModelWarning)>,
}

impl Findings<'_> {
    pub(super) fn fault(&mut self, index: usize, code: ResultCode, message: String) {
        let (element_key, element_name, message) = self.located(index, message);
        self.faults.push(ModelFault {
            code,
            element_key,
            element_name,
            message,
        });
    }

    pub(super) fn warn(&mut self, index: usize, slug: &'static str, message: String) {
        let (element_key, element_name, message) = self.located(index, message);
        self.warnings.push((
            index,
            ModelWarning {
                slug,
                element_key,
                element_name,
                message,
            },
        ));
    }

    /// A warning about the model as a whole; they stand behind those about elements.
    pub(super) fn warn_model(&mut self, slug: &'static str, message: String) {
        let warning = ModelWarning {
            slug,
            element_key: None,
            element_name: Arc::from(""),
            message,
        };
        self.warnings.push((usize::MAX, warning));
    }

    /// What the reference does not look at: a fault in `documented`, a warning in `turbo131`.
    pub(super) fn ours(&mut self, index: usize, code: ResultCode, message: String) {
        match self.profile {
            Profile::Documented => self.fault(index, code, message),
            Profile::Turbo131 => self.warn(index, code.entry().slug, message),
        }
    }

    fn located(&self, index: usize, message: String) -> (Option<Arc<str>>, Arc<str>, String) {
        let Some(element) = self.model.elements().get(index) else {
            return (None, Arc::from(""), message);
        };
        let name = Arc::from(Shortened(element.name()).to_string());
        if element.key.is_empty() {
            return (
                None,
                name,
                format!("flowElementList/{index}, which has no key: {message}"),
            );
        }
        (Some(element.key.clone()), name, message)
    }

    fn finish(mut self) -> Validation {
        self.warnings.sort_by_key(|(index, _)| *index);
        let more = self.warnings.len().saturating_sub(MAX_WARNINGS);
        let mut warnings: Vec<ModelWarning> = self.warnings.into_iter().take(MAX_WARNINGS).map(|(_, w)| w).collect();
        if more > 0 {
            let message = format!("{more} more warnings are left out; mend those above, then deploy again to see them");
            warnings.push(ModelWarning {
                slug: "more-warnings",
                element_key: None,
                element_name: Arc::from(""),
                message,
            });
        }
        Validation {
            faults: self.faults,
            warnings,
        }
    }
}

/// The keys in `incoming` and `outgoing`, looked up once.
///
/// Of elements with one key the first is found, as everywhere; what the others list counts as listed by it.
pub(super) struct Links {
    incoming: Vec<Vec<Option<usize>>>,
    outgoing: Vec<Vec<Option<usize>>>,
    /// The first element with the same key.
    first: Vec<usize>,
    /// What is listed in incoming, and by whom.
    listed_incoming: BTreeSet<(usize, usize)>,
    /// What is listed in outgoing, and by whom.
    listed_outgoing: BTreeSet<(usize, usize)>,
}

impl Links {
    fn new(model: &FlowModel) -> Self {
        let elements = model.elements();
        let look_up = |keys: &[Arc<str>]| keys.iter().map(|key| model.index_of(key)).collect();
        let incoming: Vec<Vec<Option<usize>>> = elements.iter().map(|e| look_up(&e.incoming)).collect();
        let outgoing: Vec<Vec<Option<usize>>> = elements.iter().map(|e| look_up(&e.outgoing)).collect();
        let first = elements
            .iter()
            .enumerate()
            .map(|(index, e)| model.index_of(&e.key).unwrap_or(index));
        let first: Vec<usize> = first.collect();
        let listed = |lists: &[Vec<Option<usize>>]| {
            let pairs = first.iter().zip(lists);
            pairs
                .flat_map(|(by, listed)| listed.iter().flatten().map(|what| (*what, *by)))
                .collect()
        };
        Self {
            listed_incoming: listed(&incoming),
            listed_outgoing: listed(&outgoing),
            incoming,
            outgoing,
            first,
        }
    }

    /// For each key in the element's incoming: the element, if there is one.
    pub(super) fn incoming(&self, index: usize) -> &[Option<usize>] {
        self.incoming.get(index).map_or(&[], Vec::as_slice)
    }

    /// For each key in the element's outgoing: the element, if there is one.
    pub(super) fn outgoing(&self, index: usize) -> &[Option<usize>] {
        self.outgoing.get(index).map_or(&[], Vec::as_slice)
    }

    /// The first element with the same key: itself, where keys are unique.
    pub(super) fn first(&self, index: usize) -> usize {
        self.first.get(index).copied().unwrap_or(index)
    }

    /// Whether any node lists the sequence flow in outgoing.
    pub(super) fn is_listed_in_outgoing(&self, flow: usize) -> bool {
        let flow = self.first(flow);
        self.listed_outgoing
            .range((flow, 0)..=(flow, usize::MAX))
            .next()
            .is_some()
    }

    /// The nodes that a sequence flow leaves but that do not list it.
    pub(super) fn silent_sources(&self, flow: usize) -> Vec<usize> {
        let sources = self.incoming(flow).iter().flatten().copied();
        sources
            .filter(|source| !self.listed_outgoing.contains(&(self.first(flow), *source)))
            .collect()
    }

    /// The nodes that a sequence flow leads to but that do not list it.
    pub(super) fn silent_targets(&self, flow: usize) -> Vec<usize> {
        let targets = self.outgoing(flow).iter().flatten().copied();
        targets
            .filter(|target| !self.listed_incoming.contains(&(self.first(flow), *target)))
            .collect()
    }

    /// Whether a sequence flow has ends, and none of them lists it.
    pub(super) fn is_unlisted(&self, flow: usize) -> bool {
        let sources = self.incoming(flow).iter().flatten().count();
        let targets = self.outgoing(flow).iter().flatten().count();
        (sources > 0 || targets > 0)
            && self.silent_sources(flow).len() == sources
            && self.silent_targets(flow).len() == targets
    }
}

impl ModelFault {
    pub(super) fn of_model(code: ResultCode, message: String) -> Self {
        Self {
            code,
            element_key: None,
            element_name: Arc::from(""),
            message,
        }
    }

    pub(super) fn at_key(mut self, key: &Arc<str>) -> Self {
        if !key.is_empty() {
            self.element_key = Some(key.clone());
        }
        self
    }
}

/// `element "key" (name): `, as far as there is one.
struct Place<'a>(Option<&'a str>, &'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(None, _) => Ok(()),
            Self(Some(key), "") => write!(f, "element {key}: "),
            Self(Some(key), name) => write!(f, "element {key} ({name}): "),
        }
    }
}

/// Text as a message repeats it: cut when it is long.
pub(super) struct Shortened<'a>(pub(super) &'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(SHOWN_CHARACTERS) {
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
            None => f.write_str(self.0),
        }
    }
}

/// A value as a message repeats it: cut when it is long, only its kind when it holds others.
pub(super) struct Shown<'a>(pub(super) &'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Text(text) => write!(f, "\"{}\"", Shortened(text)),
            Value::List(_) | Value::Map(_) => write!(f, "a {}", self.0.kind()),
            other => write!(f, "{}", Shortened(&other.to_string())),
        }
    }
}

/// Keys as a message lists them: the first few, and how many more there are.
pub(super) struct Keys<'a>(pub(super) &'a [Arc<str>]);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, key) in self.0.iter().take(SHOWN_KEYS).enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match key.as_ref() {
                "" => write!(f, "{comma}\"\"")?,
                key => write!(f, "{comma}{}", Shortened(key))?,
            }
        }
        match self.0.len().saturating_sub(SHOWN_KEYS) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::nesting::tests::ladder;
    use crate::model::parse::{ModelLimits, parse};

    /// Elements separated by `;`, each `type key incoming outgoing properties`. Lists are separated by commas, `.` is
    /// the empty list and `_` no key; properties are JSON, `?condition` or `!` for the default.
    pub(in crate::model) fn model(text: &str) -> FlowModel {
        let elements: Vec<String> = text.split(';').map(|line| element(line.trim())).collect();
        parse(
            &format!(r#"{{"flowElementList":[{}]}}"#, elements.join(",")),
            &ModelLimits::default(),
        )
        .unwrap()
    }

    pub(in crate::model) fn element(line: &str) -> String {
        let mut words = line.splitn(5, char::is_whitespace);
        let mut word = || words.next().unwrap_or(".");
        let keys = |list: &str| match list {
            "." => "[]".to_owned(),
            keys => format!("[\"{}\"]", keys.replace(',', "\",\"")),
        };
        let (number, key, incoming, outgoing) = (word(), word(), keys(word()), keys(word()));
        let properties = match words.next() {
            None => String::new(),
            Some("!") => r#","properties":{"defaultConditions":"true"}"#.to_owned(),
            Some(text) => match text.strip_prefix('?') {
                Some(condition) => format!(r#","properties":{{"conditionsequenceflow":"{condition}"}}"#),
                None => format!(r#","properties":{text}"#),
            },
        };
        let key = if key == "_" {
            String::new()
        } else {
            format!(r#""key":"{key}","#)
        };
        format!(r#"{{{key}"type":{number},"incoming":{incoming},"outgoing":{outgoing}{properties}}}"#)
    }

    pub(in crate::model) type KnownDrafts = BTreeMap<FlowModuleId, FlowModel>;

    pub(in crate::model) fn judge(model: &FlowModel, drafts: &KnownDrafts, profile: Profile) -> Validation {
        validate(
            model,
            &ValidationContext::new(profile, &FlowModuleId::new("own"), drafts),
        )
    }

    /// `code key` of each fault.
    pub(in crate::model) fn faults(model: &FlowModel, drafts: &KnownDrafts, profile: Profile) -> Vec<String> {
        let faults = judge(model, drafts, profile).faults.into_iter();
        faults
            .map(|f| format!("{} {}", f.code.number(), f.element_key.as_deref().unwrap_or("-")))
            .collect()
    }

    #[track_caller]
    pub(in crate::model) fn check(text: &str, documented: &[&str], turbo131: &[&str]) {
        let model = model(text);
        assert_eq!(
            faults(&model, &KnownDrafts::new(), Profile::Documented),
            documented,
            "documented: {text}"
        );
        assert_eq!(
            faults(&model, &KnownDrafts::new(), Profile::Turbo131),
            turbo131,
            "turbo131: {text}"
        );
    }

    #[track_caller]
    pub(in crate::model) fn check_both(text: &str, expected: &[&str]) {
        check(text, expected, expected);
    }

    /// In `turbo131` what is a fault in `documented` is a warning with that code's slug.
    #[track_caller]
    pub(in crate::model) fn check_ours(text: &str, documented: &[&str]) {
        check(text, documented, &[]);
        let turbo131 = judge(&model(text), &KnownDrafts::new(), Profile::Turbo131);
        for fault in judge(&model(text), &KnownDrafts::new(), Profile::Documented).faults {
            let is_same = |warning: &ModelWarning| {
                (warning.slug, &warning.element_key, &warning.message)
                    == (fault.code.entry().slug, &fault.element_key, &fault.message)
            };
            assert!(turbo131.warnings.iter().any(is_same), "{fault}");
        }
    }

    pub(in crate::model) const SOUND: &str =
        "2 s . a; 1 a s g; 6 g a,d b,c; 1 b g t ?x; 1 c g e !; 4 t b d; 1 d t g; 3 e c .";

    #[test]
    fn sound_models_have_no_faults() {
        check_both(SOUND, &[]);
        check_both("2 s . a; 1 a s e; 3 e a .", &[]);
        check_both("2 s . a,b; 1 a s e; 1 b s e; 3 e a,b c; 1 c e e", &[]);
    }

    #[test]
    fn keys_are_unique_3203() {
        check_both("2 s . a; 1 a s e; 3 e a .; 3 e a .; 3 e a .", &["3203 e", "3203 e"]);
        check("2 s . a; 1 a s e; 3 e a .; 3 _ a .", &["3203 -"], &[]);
        check(
            "2 s . a; 1 a s e; 3 e a .; 3 _ a .; 3 _ a .",
            &["3203 -", "3203 -"],
            &["3203 -"],
        );
    }

    #[test]
    fn unknown_types_are_refused_3211_or_4014() {
        for number in [0, 5, 7, 99, -1] {
            check(
                &format!("2 s . a; 1 a s x; {number} x a b; 1 b x e; 3 e b ."),
                &["3211 x"],
                &["4014 x"],
            );
        }
    }

    #[test]
    fn rollback_value_is_one_that_is_understood_3217() {
        let model = |value: &str| format!(r#"2 s . a; 1 a s t; 4 t a b {{"onRollback":{value}}}; 1 b t e; 3 e b ."#);
        for known in [
            r#""forbid""#,
            r#""ignore""#,
            r#""compensate: refund""#,
            "null",
            r#"" ""#,
        ] {
            check_both(&model(known), &[]);
        }
        for unknown in [r#""undo""#, r#""compensate:""#, "true", r#"{"compensate":"refund"}"#] {
            check(&model(unknown), &["3217 t"], &[]);
        }
    }

    #[test]
    fn elements_are_entered_and_left_3214_3215() {
        check_both("2 s . a; 1 a s t; 4 t . b; 1 b t e; 3 e b .", &["3214 t"]);
        check_both("2 s . a; 1 a s e; 3 e . .", &["3214 e"]);
        check_both("2 s . a; 1 a . e; 3 e a .", &["3214 a"]);
        check("2 s . a; 1 a s e; 3 e a .; 1 b s .", &["3215 b", "3206 b"], &["3215 b"]);
        check("2 s . .; 1 a s e; 3 e a .", &["3215 s", "3205 e"], &["3215 s"]);
        check(
            "2 s . a; 1 a s t; 4 t a .; 3 e b .; 1 b t e",
            &["3215 t", "3205 e"],
            &["3215 t"],
        );
        check_both("2 s . a; 1 a s g; 6 g . b; 1 b g e ?x; 3 e b .", &["3214 g"]);
        let call = r#"{"callActivityExecuteType":"sync","callActivityInstanceType":"single"}"#;
        check_both(
            &format!("2 s . a; 1 a s c; 8 c . b {call}; 1 b c e; 3 e b ."),
            &["3214 c"],
        );
    }

    #[test]
    fn gateway_without_outgoing_3208_or_3215() {
        check(
            "2 s . a; 1 a s g; 6 g a .; 3 e b .; 1 b g e",
            &["3208 g", "3205 e"],
            &["3215 g"],
        );
    }

    #[test]
    fn sequence_flow_has_one_source_and_one_target_3212_3213() {
        check_both("2 s . a; 1 a s,s e; 3 e a .", &["3212 a"]);
        check_both("2 s . a; 1 a s e,f; 3 e a .; 3 f a .", &["3213 a"]);
    }

    #[test]
    fn gateway_flows_have_a_condition_or_are_default_3209() {
        let gateway =
            |properties: &str| format!("2 s . a; 1 a s g; 6 g a b,c; 1 b g e {properties}; 1 c g e ?x; 3 e b,c .");
        for blank in [
            "{}",
            "null",
            "? ",
            r#"{"conditionsequenceflow":null}"#,
            r#"{"conditionsequenceflow":"","defaultConditions":"false"}"#,
            r#"{"defaultConditions":"yes"}"#,
        ] {
            check_both(&gateway(blank), &["3209 g"]);
        }
        for fine in [
            "?x",
            "!",
            r#"{"defaultConditions":"TRUE"}"#,
            r#"{"defaultConditions":true}"#,
        ] {
            check_both(&gateway(fine), &[]);
        }
        check_both("2 s . a; 1 a s g; 6 g a b; 1 b g e; 3 e b .", &["3209 g"]);
    }

    #[test]
    fn gateway_has_one_default_3210() {
        check_both(
            "2 s . a; 1 a s g; 6 g a b,c; 1 b g e !; 1 c g e !; 3 e b,c .",
            &["3210 g"],
        );
        let both = r#"{"defaultConditions":"true","conditionsequenceflow":"x"}"#;
        check_both(
            &format!("2 s . a; 1 a s g; 6 g a b,c; 1 b g e {both}; 1 c g e ?x; 3 e b,c ."),
            &[],
        );
    }

    #[test]
    fn values_that_are_not_text_are_refused_3217() {
        for name in ["conditionsequenceflow", "defaultConditions"] {
            for value in ["5", "1.5", "false", "[]", "{}"] {
                let text = format!("2 s . a; 1 a s t; 4 t a b; 1 b t e {{\"{name}\":{value}}}; 3 e b .");
                check_both(&text, &["3217 b"]);
            }
        }
        check_both(
            r#"2 s . a; 1 a s g; 6 g a b; 1 b g e {"conditionsequenceflow":true}; 3 e b ."#,
            &["3217 b"],
        );
        check_both(
            r#"2 s . a; 1 a s g; 6 g a b {"hookInfoIds":[1]}; 1 b g e !; 3 e b ."#,
            &["3217 g"],
        );
        check_both(
            r#"2 s . a; 1 a s g; 6 g a b {"hookInfoIds":"[1]"}; 1 b g e !; 3 e b ."#,
            &[],
        );
    }

    fn call(properties: &str) -> String {
        format!("2 s . a; 1 a s c; 8 c a b {{{properties}}}; 1 b c e; 3 e b .")
    }

    pub(in crate::model) fn calling(module: &str) -> String {
        call(&format!(
            r#""callActivityExecuteType":"sync","callActivityInstanceType":"single","callActivityFlowModuleId":{module}"#
        ))
    }

    #[test]
    fn call_activity_has_one_way_on_3213() {
        let values = r#"{"callActivityExecuteType":"sync","callActivityInstanceType":"single"}"#;
        check_both(
            &format!("2 s . a; 1 a s c; 8 c a b,d {values}; 1 b c e; 1 d c e; 3 e b,d ."),
            &["3213 c"],
        );
    }

    #[test]
    fn call_activity_says_how_it_runs_3216_3217() {
        let (sync, single) = (
            r#""callActivityExecuteType":"sync""#,
            r#""callActivityInstanceType":"single""#,
        );
        check_both(&call(&format!("{sync},{single}")), &[]);
        check_both("2 s . a; 1 a s c; 8 c a b; 1 b c e; 3 e b .", &["3216 c", "3216 c"]);
        check_both(&call(sync), &["3216 c"]);
        check_both(&call(single), &["3216 c"]);
        check_both(
            &call(&format!(r#"{single},"callActivityExecuteType":null"#)),
            &["3216 c"],
        );
        for value in ["\"async\"", "\"\"", "\"SYNC\"", "5", "[]"] {
            check_both(
                &call(&format!(r#"{single},"callActivityExecuteType":{value}"#)),
                &["3217 c"],
            );
        }
        check_both(
            &call(&format!(r#"{sync},"callActivityInstanceType":"multiple""#)),
            &["3217 c"],
        );
        for name in ["callActivityInParamType", "callActivityOutParamType"] {
            for (value, expected) in [
                ("\"none\"", None),
                ("\"part\"", None),
                ("\"full\"", None),
                ("null", None),
                ("\"\"", Some("3217 c")),
                ("1", Some("3217 c")),
            ] {
                let expected: Vec<&str> = expected.into_iter().collect();
                check_both(&call(&format!(r#"{sync},{single},"{name}":{value}"#)), &expected);
            }
        }
    }

    #[test]
    fn called_modules_are_those_named() {
        assert_eq!(
            called_modules(&model(&calling("\"m\""))),
            BTreeSet::from([FlowModuleId::new("m")])
        );
        for none in ["\" \"", "null", "5"] {
            assert_eq!(called_modules(&model(&calling(none))), BTreeSet::new());
        }
    }

    #[test]
    fn one_start_event_3202() {
        check_both("4 t b a; 1 a t e; 1 b t t; 3 e a .", &["3202 -"]);
        check_both("2 s . a; 1 a s e; 2 r . b; 1 b r e; 3 e a,b .", &["3202 -"]);
    }

    #[test]
    fn end_event_3204() {
        check_both("2 s . a; 1 a s t; 4 t a b; 1 b t t", &["3204 -"]);
    }

    #[test]
    fn keys_that_exist_nowhere_3206() {
        check_ours("2 s . a,x; 1 a s e; 3 e a .", &["3206 s"]);
        check_ours("2 s y a; 1 a s e; 3 e a,x z", &["3206 s", "3206 e", "3206 e"]);
        check_ours("2 s . a; 1 a s e; 1 b s x; 3 e a .", &["3206 b", "3206 b"]);
        check_ours("2 s . a,b; 1 a s e; 1 b s x; 3 e a .", &["3206 b"]);
        check_ours("2 s . a; 1 a s e; 1 b x y; 3 e a .", &["3206 b", "3206 b"]);
        check_both("2 s . a; 1 a s g; 6 g a b,x,y; 1 b g e !; 3 e b .", &["3206 g"]);
        check_both("2 s . a; 1 a s g; 6 g a x,b; 1 b g e; 3 e b .", &["3206 g", "3209 g"]);
        check_both("2 s . a; 1 a s g; 6 g a b,x; 1 b g e; 3 e b .", &["3209 g", "3206 g"]);
    }

    #[test]
    fn sequence_flow_that_no_end_lists_3206() {
        check_ours("2 s . a; 1 a s e; 1 b s e; 3 e a .", &["3206 b"]);
        check_both("2 s . a; 1 a s e; 1 b s e; 3 e a,b .", &[]);
        check_both("2 s . a,b; 1 a s e; 1 b s e; 3 e a .", &[]);
    }

    #[test]
    fn nodes_are_reachable_3205() {
        check_ours(
            "2 s . a; 1 a s e; 3 e a .; 4 t c b; 1 b t u; 4 u b c; 1 c u t",
            &["3205 t", "3205 u"],
        );
        check_ours("2 s . a; 1 a s e; 3 e a .; 3 f b .; 1 b f f", &["3205 f"]);
    }

    #[test]
    fn rings_wait_3207() {
        let ring = "2 s . a; 1 a s g; 6 g a,c b,d; 1 b g h ?x; 6 h b c,f; 1 c h g ?y; 1 d g e !; 1 f h e !; 3 e d,f .";
        check_ours(ring, &["3207 g"]);
        check_ours(
            "2 s . a; 1 a s g; 6 g a,b b,c; 1 b g g ?x; 1 c g e !; 3 e c .",
            &["3207 g"],
        );
        check_ours(
            "2 s b a; 1 a s g; 6 g a b,c; 1 b g s ?x; 1 c g e !; 3 e c .",
            &["3207 s"],
        );
        check_ours("2 s . a; 1 a s b; 1 b a c; 1 c b b; 3 e a .", &["3205 e", "3207 b"]);
        let two = "2 s . a; 1 a s g; 6 g a,b b,c; 1 b g g ?x; 1 c g h !; 6 h c,d d,f; 1 d h h ?x; 1 f h e !; 3 e f .";
        check_ours(two, &["3207 g", "3207 h"]);
        check_both(SOUND, &[]);
        let call = r#"{"callActivityExecuteType":"sync","callActivityInstanceType":"single"}"#;
        check_both(
            &format!("2 s . a; 1 a s g; 6 g a,d b,c; 1 b g t ?x; 1 c g e !; 8 t b d {call}; 1 d t g; 3 e c ."),
            &[],
        );
        check_both("2 s . a; 1 a s g; 6 g a,d b; 1 b g e !; 3 e b d; 1 d e g", &[]);
        check_both("2 s b a,c; 1 a s e; 1 c s g; 6 g c b; 1 b g s !; 3 e a .", &[]);
    }

    #[test]
    fn all_faults_are_reported_in_the_order_of_the_reference() {
        check(
            r#"4 t . .; 77 x . .; 6 g . q,b; 1 b g,t e,t {"conditionsequenceflow":1}; 8 c a .; 4 t b b; 6 h p b;
               2 s . z; 2 r . .; 6 i k k; 1 k i i ?x"#,
            &[
                "3203 t", "3214 t", "3215 t", "3211 x", "3214 g", "3206 g", "3212 b", "3213 b", "3217 b", "3215 c",
                "3216 c", "3216 c", "3215 r", "3202 -", "3204 -", "3206 b", "3206 c", "3206 h", "3206 s", "3205 t",
                "3205 x", "3205 g", "3205 c", "3205 t", "3205 h", "3205 i", "3207 i",
            ],
            &[
                "3203 t", "3214 t", "3215 t", "4014 x", "3214 g", "3206 g", "3212 b", "3213 b", "3217 b", "3215 c",
                "3216 c", "3216 c", "3215 r", "3202 -", "3204 -",
            ],
        );
    }

    #[test]
    fn fault_says_what_where_and_what_to_do() {
        let model = model(r#"2 s . a; 1 a s g; 6 g a b {"name":"Approved?"}; 1 b g e; 3 e b ."#);
        let fault = judge(&model, &KnownDrafts::new(), Profile::Documented).faults.remove(0);
        assert_eq!(
            fault.to_string(),
            "element g (Approved?): no condition on b; set conditionsequenceflow, or defaultConditions to \"true\""
        );
    }

    #[test]
    fn messages_stay_short() {
        let flows: Vec<String> = (0..5_000).map(|number| format!("flow-{number}")).collect();
        let text = format!(
            "2 s . a; 1 a s g; 6 g a {} {{\"name\":\"{}\"}}; 3 e a .",
            flows.join(","),
            "ö".repeat(10_000)
        );
        for fault in judge(&model(&text), &KnownDrafts::new(), Profile::Documented).faults {
            assert!(fault.to_string().len() < 600, "{fault}");
        }
    }

    #[test]
    fn long_chains_and_rings_are_walked_without_recursion() {
        let length = 5_000;
        let step = |number: usize| {
            let source = if number == 0 {
                "s".to_owned()
            } else {
                format!("g{}", number - 1)
            };
            format!(
                "1 f{number} {source} g{number} ?x; 6 g{number} f{number} f{}",
                number + 1
            )
        };
        let steps: Vec<String> = (0..length).map(step).collect();
        let text = format!("2 s . f0; {}", steps.join("; "));
        let last = length - 1;
        check(&format!("{text}; 1 f{length} g{last} e !; 3 e f{length} ."), &[], &[]);
        check_ours(
            &format!("{text}; 1 f{length} g{last} g0 !; 3 e f{length} ."),
            &["3205 e", "3207 g0"],
        );
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        const NAMES: [&str; 7] = [
            "flowElementList",
            "key",
            "type",
            "incoming",
            "outgoing",
            "properties",
            "name",
        ];
        const WORDS: [&str; 10] = ["", "a", "b", "s", "true", "sync", "single", "own", "m0", "x > 1"];
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            (-2_i64..12).prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            proptest::sample::select(&WORDS[..]).prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                proptest::collection::btree_map(proptest::sample::select(&NAMES[..]), inner, 0..6).prop_map(
                    |members| {
                        let members = members.into_iter().map(|(name, value)| (name.to_owned(), value));
                        serde_json::Value::Object(members.collect())
                    }
                ),
            ]
        })
    }

    fn sound_json() -> serde_json::Value {
        let lines = SOUND
            .split(';')
            .chain(["8 c d d", "1 x c t"])
            .map(|line| element(line.trim()));
        serde_json::from_str(&format!("[{}]", lines.collect::<Vec<_>>().join(","))).unwrap()
    }

    /// Puts `value` at a place chosen by `path`; a path that ends at a list may also take away or repeat.
    fn mutate(json: &mut serde_json::Value, path: &[usize], value: &serde_json::Value) {
        let Some((step, rest)) = path.split_first() else {
            *json = value.clone();
            return;
        };
        match json {
            serde_json::Value::Array(items) if !items.is_empty() => {
                let place = step % items.len();
                match rest.first().map(|next| next % 8) {
                    Some(0) => drop(items.remove(place)),
                    Some(1) => items.push(items[place].clone()),
                    Some(2) => items.swap(0, place),
                    _ => mutate(&mut items[place], rest, value),
                }
            }
            serde_json::Value::Object(members) if !members.is_empty() => {
                let place = step % members.len();
                mutate(members.values_mut().nth(place).unwrap(), rest, value);
            }
            other => *other = value.clone(),
        }
    }

    /// What holds for every model, sound or not.
    fn laws(text: &str) {
        let Ok(model) = parse(text, &ModelLimits::default()) else {
            return;
        };
        let drafts = ladder(2);
        let documented = judge(&model, &drafts, Profile::Documented);
        let turbo131 = judge(&model, &drafts, Profile::Turbo131);
        assert_eq!(judge(&model, &drafts, Profile::Documented), documented);
        assert!(turbo131.faults.is_empty() || !documented.faults.is_empty(), "{text}");
        let messages = |faults: &[ModelFault]| -> BTreeSet<String> { faults.iter().map(ToString::to_string).collect() };
        assert!(
            messages(&documented.faults).is_superset(&messages(&turbo131.faults)),
            "{text}"
        );
    }

    proptest! {
        #[test]
        fn random_text_never_panics(text in ".*") {
            laws(&text);
        }

        #[test]
        fn random_json_never_panics(json in any_json()) {
            laws(&json.to_string());
            laws(&serde_json::json!({ "flowElementList": [json] }).to_string());
        }

        #[test]
        fn mutated_models_never_panic(
            changes in proptest::collection::vec((proptest::collection::vec(0_usize..64, 1..5), any_json()), 1..6)
        ) {
            let mut elements = sound_json();
            for (path, value) in &changes {
                mutate(&mut elements, path, value);
            }
            laws(&serde_json::json!({ "flowElementList": elements }).to_string());
        }

        #[test]
        fn cut_text_never_panics(end in 0_usize..2_000) {
            let text = serde_json::json!({ "flowElementList": sound_json() }).to_string();
            laws(text.get(..end.min(text.len())).unwrap());
        }

        #[test]
        fn rings_are_the_sets_of_vertices_that_reach_each_other(
            pairs in proptest::collection::vec((0_usize..8, 0_usize..8), 0..20)
        ) {
            let mut edges = vec![Vec::new(); 8];
            let mut reach = [[false; 8]; 8];
            for (from, to) in pairs {
                edges[from].push(to);
                reach[from][to] = true;
            }
            for via in 0..8 {
                for from in 0..8 {
                    for to in 0..8 {
                        reach[from][to] |= reach[from][via] && reach[via][to];
                    }
                }
            }
            let mutual = |a: usize| (0..8).filter(|b| reach[a][*b] && reach[*b][a]).collect::<Vec<_>>();
            let expected: BTreeSet<Vec<usize>> = (0..8).map(mutual).filter(|ring| !ring.is_empty()).collect();
            prop_assert_eq!(rings(&edges), expected.into_iter().collect::<Vec<_>>());
        }
    }
}
