//! What a host can add to the core: element types and merge strategies. Pure by contract; replay never calls one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::event::Actor;
pub use crate::event::PlugInWayBack;
use crate::id::{FlowInstanceId, NodeInstanceId};
use crate::limits::Limits;
use crate::model::element::{Element, ElementType};
use crate::time::Timestamp;
use crate::value::{Value, shortened};
use crate::variables::{InstanceData, Variables};

/// Characters kept of what a failing plug-in says.
pub(crate) const ERROR_CHARS: usize = 500;
/// Most messages of one plug-in about one element at deploy.
pub(crate) const MAX_MESSAGES: usize = 20;
/// Most characters of the name and of the version of a plug-in: they stand on records.
pub const MAX_NAME_CHARS: usize = 128;

/// A type of element of the host's own, or its own way to run a built-in type.
///
/// All methods are pure functions of their arguments: a command may be decided more than once. What they answer stands
/// on the record together with name and version, so replay never calls them; without the plug-in an instance can be read
/// and rolled back, but its flow can neither enter such an element nor go on at one: 4014, and nothing is recorded.
///
/// A new type has incoming and outgoing sequence flows like a user task. Fork and join stay with the engine: a plug-in
/// leads each token to one element.
///
/// A method that panics ends the command with 5000; nothing is recorded. So does an answer that breaks a limit end as an
/// error: [`Limits::variables`] and [`Limits::hook_bytes`] bound one answer, [`Limits::variable_bytes`] all answers of
/// one command.
pub trait ElementPlugIn: Send + Sync {
    /// Stands on the record.
    fn name(&self) -> &str;

    /// Stands on the record beside the name; to be changed when an answer may change.
    fn version(&self) -> &str;

    /// The number in the `type` member of a model: a new one above 0, or that of a user task, an exclusive gateway or a
    /// call activity, which it replaces.
    fn element_type(&self) -> i64;

    /// Judges an element at deploy, after the engine's own rules: those of a user task for a new type, those of the type
    /// that it replaces otherwise.
    ///
    /// # Errors
    /// What is wrong and what to do: each is a fault with code 3217; at most 20.
    fn validate(&self, element: &Element) -> Result<(), Vec<String>> {
        let _ = element;
        Ok(())
    }

    /// The flow has reached an element.
    ///
    /// # Errors
    /// Why the flow cannot go on: the commit fails with 4001, the start is refused with 5000.
    fn enter(&self, visit: &ElementVisit<'_>) -> Result<Step, String>;

    /// An element that waits is committed.
    ///
    /// # Errors
    /// Why it cannot be committed like this: 4001, on the record.
    fn commit(&self, visit: &ElementVisit<'_>) -> Result<Step, String> {
        let _ = visit;
        Ok(Step::pass())
    }

    /// What a rollback does that walks back over an element the flow had waited at and left. Asked at every step and put
    /// on the record, so that a rollback need not ask.
    fn roll_back(&self) -> PlugInWayBack {
        PlugInWayBack::Reopen
    }
}

/// An element as its plug-in sees it.
#[derive(Clone, Copy, Debug)]
pub struct ElementVisit<'a> {
    /// The element in the model.
    pub element: &'a Element,
    /// The flow instance.
    pub flow_instance_id: &'a FlowInstanceId,
    /// The visit.
    pub node_instance_id: &'a NodeInstanceId,
    /// Who gave the command.
    pub actor: &'a Actor,
    /// When, as it stands on the record.
    pub at: Timestamp,
    /// The variables; at a commit with those that came with it.
    pub variables: &'a Variables,
    /// What the last step at this visit left.
    pub payload: Option<&'a Value>,
}

/// What a plug-in decides at an element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Whether the flow goes on, and by which way.
    pub way: Way,
    /// Variables that are laid over those of the flow; ignored while it waits, like those of the commit.
    pub variables: Vec<InstanceData>,
    /// Anything the plug-in wants to find at its next step here, and people in the history. It replaces what the last
    /// step left; null is as good as none.
    pub payload: Option<Value>,
}

/// Where a plug-in sends the flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// On, by the first outgoing sequence flow.
    #[default]
    First,
    /// On, by the first outgoing sequence flow whose condition holds, else the default.
    Conditions,
    /// On, by this outgoing sequence flow.
    Along(Arc<str>),
    /// Nowhere: it waits for a commit, or for another.
    Wait,
}

impl Step {
    /// The flow goes on by the first outgoing sequence flow.
    pub fn pass() -> Self {
        Self::default()
    }

    /// The flow waits for a commit.
    pub fn wait() -> Self {
        Self {
            way: Way::Wait,
            ..Self::default()
        }
    }

    /// The same step, by this way.
    pub fn by(mut self, way: Way) -> Self {
        self.way = way;
        self
    }

    /// The same step with a variable to lay over those of the flow.
    pub fn variable(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.variables.push(InstanceData::new(key, value));
        self
    }

    /// The same step with something to remember.
    pub fn payload(mut self, payload: impl Into<Value>) -> Self {
        self.payload = Some(payload.into());
        self
    }
}

/// A join whose `branchMerge` or `dataMerge` is `Custom` asks this.
///
/// Both methods are pure functions of their argument: a command may be decided more than once. What was answered is on
/// the record together with name and version, so replay never asks.
pub trait MergeStrategy: Send + Sync {
    /// The name that the `mergeStrategy` of a join gives; a model may leave it out where the host has one strategy.
    fn name(&self) -> &str;

    /// Stands on the record beside the name.
    fn version(&self) -> &str;

    /// Whether the join fires now; asked when a branch has arrived or ended while others are open.
    fn fires(&self, join: &JoinStanding) -> bool {
        join.open == 0
    }

    /// The variables that are laid over those of the fork when the join fires.
    ///
    /// # Errors
    /// Why the branches cannot be brought together: the command is refused with 6008.
    fn merge(&self, join: &JoinStanding) -> Result<Vec<InstanceData>, String>;
}

/// A join as its strategy sees it.
#[derive(Clone, Debug)]
pub struct JoinStanding {
    /// The join in the model.
    pub element: Element,
    /// The variables at the fork.
    pub fork_variables: Variables,
    /// The branches that have arrived, in this order.
    pub arrived: Vec<ArrivedBranch>,
    /// How many branches of the fork are still open.
    pub open: usize,
}

/// A branch that has arrived at a join.
#[derive(Clone, Debug)]
pub struct ArrivedBranch {
    /// The sequence flow by which it left the fork.
    pub flow: Arc<str>,
    /// All its variables.
    pub variables: Variables,
    /// Those that differ from the fork's.
    pub changes: Vec<InstanceData>,
}

/// Everything a host has added.
#[derive(Clone, Default)]
pub struct PlugIns {
    elements: BTreeMap<i64, Arc<dyn ElementPlugIn>>,
    merge_strategies: BTreeMap<Arc<str>, Arc<dyn MergeStrategy>>,
}

impl PlugIns {
    /// Those of a host that has added nothing.
    pub fn none() -> &'static Self {
        static NONE: PlugIns = PlugIns {
            elements: BTreeMap::new(),
            merge_strategies: BTreeMap::new(),
        };
        &NONE
    }

    /// Adds an element type.
    ///
    /// # Errors
    /// What another plug-in has already: the name or the type; a type that cannot be replaced; or a name that cannot
    /// stand on a record.
    pub fn add_element(&mut self, plug_in: Arc<dyn ElementPlugIn>) -> Result<(), String> {
        check_name("element plug-in", plug_in.name(), plug_in.version())?;
        let (name, number) = (plug_in.name().to_owned(), plug_in.element_type());
        match ElementType::from_number(number) {
            ElementType::UserTask
            | ElementType::ExclusiveGateway
            | ElementType::CallActivity
            | ElementType::Unknown(1..) => {}
            // An element without a type counts as one of type 0.
            ElementType::Unknown(_) => {
                return Err(format!("element plug-in {name} has type {number}; a type is above 0"));
            }
            built_in @ (ElementType::SequenceFlow
            | ElementType::StartEvent
            | ElementType::EndEvent
            | ElementType::ParallelGateway
            | ElementType::InclusiveGateway) => {
                return Err(format!(
                    "element plug-in {name} has type {number}; a {built_in} cannot be replaced"
                ));
            }
        }
        if self.elements.values().any(|known| known.name() == name) {
            return Err(format!("two element plug-ins have the name {name}"));
        }
        match self.elements.insert(number, plug_in) {
            None => Ok(()),
            Some(known) => Err(format!(
                "the element plug-ins {} and {name} both have type {number}",
                known.name()
            )),
        }
    }

    /// The plug-in that runs elements of this type.
    pub fn element(&self, element_type: ElementType) -> Option<&dyn ElementPlugIn> {
        self.elements.get(&element_type.number()).map(AsRef::as_ref)
    }

    /// Adds a merge strategy.
    ///
    /// # Errors
    /// That another strategy has the name, or that it cannot stand on a record.
    pub fn add_merge_strategy(&mut self, strategy: Arc<dyn MergeStrategy>) -> Result<(), String> {
        check_name("merge strategy", strategy.name(), strategy.version())?;
        let name: Arc<str> = strategy.name().into();
        match self.merge_strategies.insert(name.clone(), strategy) {
            None => Ok(()),
            Some(_) => Err(format!("two merge strategies have the name {name}")),
        }
    }

    /// The strategy with this name; without a name, the only one.
    pub fn merge_strategy(&self, name: Option<&str>) -> Option<&dyn MergeStrategy> {
        match name {
            Some(name) => self.merge_strategies.get(name),
            None if self.merge_strategies.len() == 1 => self.merge_strategies.values().next(),
            None => None,
        }
        .map(AsRef::as_ref)
    }
}

/// Whether a plug-in's name and version can stand on records.
///
/// # Errors
/// What is wrong with them.
pub fn check_name(what: &str, name: &str, version: &str) -> Result<(), String> {
    for (member, text) in [("name", name), ("version", version)] {
        let shown = shortened(name, MAX_NAME_CHARS);
        if text.trim().is_empty() {
            return Err(format!("{what} {shown:?} has a blank {member}"));
        }
        if text.chars().nth(MAX_NAME_CHARS).is_some() {
            return Err(format!(
                "{what} {shown:?} has a {member} of more than {MAX_NAME_CHARS} characters"
            ));
        }
    }
    Ok(())
}

/// What a plug-in answered as it will be read back from the record, and its bytes.
pub(crate) fn accepted(
    variables: Vec<InstanceData>,
    payload: Option<Value>,
    limits: &Limits,
) -> Result<(Vec<InstanceData>, Option<Value>, usize), String> {
    if variables.len() > limits.variables {
        return Err(format!(
            "it answered {} variables; the limit is {} (Limits::variables)",
            variables.len(),
            limits.variables
        ));
    }
    if variables.iter().any(|variable| variable.key.trim().is_empty()) {
        return Err("it answered a variable with a blank key".to_owned());
    }
    let named = variables.iter().map(|variable| (&*variable.key, &variable.value));
    for (key, value) in named.chain(payload.as_ref().map(|payload| ("payload", payload))) {
        value.check().map_err(|wrong| {
            let key = shortened(key, 40);
            format!("it answered {key} with a value that cannot be stored: {wrong}")
        })?;
    }
    let weights = variables.iter().map(InstanceData::weight);
    let bytes = weights
        .chain(payload.as_ref().map(Value::weight))
        .fold(0, usize::saturating_add);
    if bytes > limits.hook_bytes {
        return Err(format!(
            "it answered {bytes} bytes; the limit is {} (Limits::hook_bytes)",
            limits.hook_bytes
        ));
    }
    let variables = variables.into_iter().map(|variable| InstanceData {
        value: variable.value.settled(),
        ..variable
    });
    let payload = payload.map(Value::settled).filter(|payload| *payload != Value::Null);
    Ok((variables.collect(), payload, bytes))
}

impl fmt::Debug for PlugIns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlugIns")
            .field("elements", &self.elements.keys())
            .field("merge_strategies", &self.merge_strategies.keys())
            .finish()
    }
}
