//! One element of a flow model. Knows its own members, nothing of its neighbours.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::value::Value;

/// The free-form properties of an element.
pub type Properties = BTreeMap<Arc<str>, Value>;

/// What an element is, by the number in its `type` member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ElementType {
    /// 1: connects two nodes; never instantiated.
    SequenceFlow,
    /// 2: where a flow starts.
    StartEvent,
    /// 3: where a flow ends.
    EndEvent,
    /// 4: waits for a commit.
    UserTask,
    /// 6: takes the first outgoing sequence flow whose condition holds.
    ExclusiveGateway,
    /// 8: runs another flow module.
    CallActivity,
    /// 9: opens a branch along every outgoing sequence flow, or joins such branches.
    ParallelGateway,
    /// 10: opens a branch along every outgoing sequence flow whose condition holds, or joins such branches.
    InclusiveGateway,
    /// Any other number; a missing type counts as 0.
    Unknown(i64),
}

impl ElementType {
    /// The type with this number.
    pub fn from_number(number: i64) -> Self {
        match number {
            1 => Self::SequenceFlow,
            2 => Self::StartEvent,
            3 => Self::EndEvent,
            4 => Self::UserTask,
            6 => Self::ExclusiveGateway,
            8 => Self::CallActivity,
            9 => Self::ParallelGateway,
            10 => Self::InclusiveGateway,
            other => Self::Unknown(other),
        }
    }

    /// The number in the model.
    pub fn number(self) -> i64 {
        match self {
            Self::SequenceFlow => 1,
            Self::StartEvent => 2,
            Self::EndEvent => 3,
            Self::UserTask => 4,
            Self::ExclusiveGateway => 6,
            Self::CallActivity => 8,
            Self::ParallelGateway => 9,
            Self::InclusiveGateway => 10,
            Self::Unknown(number) => number,
        }
    }

    /// Whether a flow waits here for a commit.
    pub fn is_task(self) -> bool {
        match self {
            Self::UserTask | Self::CallActivity => true,
            Self::SequenceFlow
            | Self::StartEvent
            | Self::EndEvent
            | Self::ExclusiveGateway
            | Self::ParallelGateway
            | Self::InclusiveGateway
            | Self::Unknown(_) => false,
        }
    }

    /// Whether it opens branches or joins them.
    pub fn is_fork_or_join(self) -> bool {
        matches!(self, Self::ParallelGateway | Self::InclusiveGateway)
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SequenceFlow => f.write_str("sequence flow"),
            Self::StartEvent => f.write_str("start event"),
            Self::EndEvent => f.write_str("end event"),
            Self::UserTask => f.write_str("user task"),
            Self::ExclusiveGateway => f.write_str("exclusive gateway"),
            Self::CallActivity => f.write_str("call activity"),
            Self::ParallelGateway => f.write_str("parallel gateway"),
            Self::InclusiveGateway => f.write_str("inclusive gateway"),
            Self::Unknown(number) => write!(f, "element of type {number}"),
        }
    }
}

/// What a rollback over a completed node leaves to be done outside: its `onRollback`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnRollback {
    /// Nothing.
    Ignore,
    /// It cannot be undone: the rollback is refused with 7415.
    Forbid,
    /// This is to be done; the engine lists it.
    Compensate(Arc<str>),
}

impl OnRollback {
    /// The element's; `None` where it has none, or one that is not understood.
    pub fn of(element: &Element) -> Option<Self> {
        let text = element.text_property("onRollback")?.trim();
        match text {
            "ignore" => Some(Self::Ignore),
            "forbid" => Some(Self::Forbid),
            _ => {
                let name = text.strip_prefix("compensate:")?.trim();
                (!name.is_empty()).then(|| Self::Compensate(name.into()))
            }
        }
    }
}

/// One element as the model has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Unique in the model; empty when the model has none.
    pub key: Arc<str>,
    /// What the element is.
    pub element_type: ElementType,
    /// A node: keys of the sequence flows that lead here. A sequence flow: key of its source.
    pub incoming: Vec<Arc<str>>,
    /// A node: keys of the sequence flows that lead on, in the order of evaluation. A sequence flow: key of its target.
    pub outgoing: Vec<Arc<str>>,
    /// Free-form; `None` when the model has no such member.
    pub properties: Option<Arc<Properties>>,
}

impl Element {
    /// The property with this name.
    pub fn property(&self, name: &str) -> Option<&Value> {
        self.properties.as_ref().and_then(|properties| properties.get(name))
    }

    /// The property's text; `None` when it is absent, not text, or blank.
    pub fn text_property(&self, name: &str) -> Option<&str> {
        match self.property(name) {
            Some(Value::Text(text)) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }

    /// The display name, empty when the model gives none.
    pub fn name(&self) -> &str {
        match self.property("name") {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The condition of a sequence flow; `None` when it has none or only blanks.
    pub fn condition(&self) -> Option<&str> {
        self.text_property("conditionsequenceflow")
    }

    /// Whether a sequence flow is its source's default: the text "true" in any case, or a JSON true (T-45).
    pub fn is_default(&self) -> bool {
        match self.property("defaultConditions") {
            Some(Value::Text(text)) => text.eq_ignore_ascii_case("true"),
            Some(Value::Bool(value)) => *value,
            _ => false,
        }
    }
}
