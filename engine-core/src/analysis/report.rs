//! What a proof says: the verdict, every finding with a script that shows it, and what is not known. Knows no model.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::profile::Profile;
use crate::variables::InstanceData;

/// What a model comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing was found, and everything was looked at.
    Sound,
    /// Something was found.
    Faulty,
    /// Nothing was found, and not everything could be decided.
    Unknown,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// deployFlow refuses the model.
    NotDeployable,
    /// For some values no way on is open.
    ConditionGap,
    /// For some values a condition has no answer.
    ConditionFails,
    /// For some values two ways on are open, and the order of the model decides.
    ConditionOverlap,
    /// The flow cannot go on, and has not ended.
    Deadlock,
    /// The flow goes on, and can never end.
    Livelock,
    /// A command enters elements over and over and comes to no task.
    RingWithoutWait,
    /// Nothing ever gets there.
    DeadElement,
    /// Two tokens stand at one task at the same time.
    TwoTokens,
    /// A branch goes on behind its block without passing the join.
    BlockLeft,
    /// A token comes to a join whose fork it does not come from.
    JoinWithoutFork,
    /// A flow that gets to an element fails there.
    ElementFails,
    /// Branches set one variable, and who comes to the join last decides.
    DataRace,
    /// An invariant of the model does not hold.
    InvariantBroken,
    /// A flow that a call activity runs has findings of its own.
    CalledFlow,
}

impl FindingKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::NotDeployable,
        Self::ConditionGap,
        Self::ConditionFails,
        Self::ConditionOverlap,
        Self::Deadlock,
        Self::Livelock,
        Self::RingWithoutWait,
        Self::DeadElement,
        Self::TwoTokens,
        Self::BlockLeft,
        Self::JoinWithoutFork,
        Self::ElementFails,
        Self::DataRace,
        Self::InvariantBroken,
        Self::CalledFlow,
    ];

    /// Its name, stable for ever.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotDeployable => "not-deployable",
            Self::ConditionGap => "condition-gap",
            Self::ConditionFails => "condition-fails",
            Self::ConditionOverlap => "condition-overlap",
            Self::Deadlock => "deadlock",
            Self::Livelock => "livelock",
            Self::RingWithoutWait => "ring-without-wait",
            Self::DeadElement => "dead-element",
            Self::TwoTokens => "two-tokens",
            Self::BlockLeft => "block-left",
            Self::JoinWithoutFork => "join-without-fork",
            Self::ElementFails => "element-fails",
            Self::DataRace => "data-race",
            Self::InvariantBroken => "invariant-broken",
            Self::CalledFlow => "called-flow",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for FindingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One thing that is wrong, shown by commands that were run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// The elements it is about, the first of them the place to look at.
    pub elements: Vec<Arc<str>>,
    /// What happens, and what to do.
    pub explanation: String,
    /// Variables for which it happens; empty where values play no part.
    pub witness: Vec<InstanceData>,
    /// Commands that show it.
    pub script: Script,
}

/// Commands that show a finding, on the model and the flows it calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// Under which profile the model can be deployed.
    pub profile: Profile,
    /// Flows that are deployed beside the model: for call activities.
    pub called: Vec<CalledFlow>,
    /// The commands, in order.
    pub steps: Vec<ScriptStep>,
    /// What the commands show.
    pub expect: Expectation,
    /// The flow of a call activity that the script starts, where it is not the model itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_called: Option<Arc<str>>,
}

/// A flow that a script needs beside the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CalledFlow {
    /// The name that steps call it by: the module's id in the model, or a name for one that is not known.
    pub name: Arc<str>,
    /// The model's text.
    pub flow_model: Arc<str>,
}

/// One command of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "op")]
pub enum ScriptStep {
    /// createFlow, updateFlow and deployFlow of the model. Every script that has no such step begins with it.
    Deploy,
    /// startProcess.
    Start {
        /// The variables it brings.
        variables: Vec<InstanceData>,
        /// What hooks answer meanwhile.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        hooks: Vec<HookStep>,
    },
    /// commitTask.
    Commit {
        /// The key of the task's element.
        task: Arc<str>,
        /// Which of the active tasks with this key, in the order of the branches, from 0.
        #[serde(skip_serializing_if = "is_first")]
        nth: usize,
        /// The variables it brings.
        variables: Vec<InstanceData>,
        /// The flow that a call activity runs, by its name in [`Script::called`].
        #[serde(skip_serializing_if = "Option::is_none")]
        calls: Option<Arc<str>>,
        /// What hooks answer meanwhile.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        hooks: Vec<HookStep>,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "has the shape that serde asks for")]
fn is_first(nth: &usize) -> bool {
    *nth == 0
}

/// What the hook of a gateway answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookStep {
    /// The gateway's key.
    pub gateway: Arc<str>,
    /// The variables.
    pub variables: Vec<InstanceData>,
}

/// What is to be seen behind the last command of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "expect")]
pub enum Expectation {
    /// The last command is refused or fails with this code.
    Refused {
        /// The code.
        code: i32,
    },
    /// The instance runs, and no task of it waits for a commit.
    NothingToDo,
    /// The same tasks wait as after this many steps, and the instance runs.
    BackWhereItWas {
        /// Steps until the tasks waited for the first time.
        after: usize,
    },
    /// This element was not come to.
    NotReached {
        /// Its key.
        element: Arc<str>,
    },
    /// This sequence flow was not taken.
    NotTaken {
        /// Its key.
        flow: Arc<str>,
    },
    /// The sequence flow was taken, though the condition of the other holds too.
    Taken {
        /// Key of the one that was taken.
        flow: Arc<str>,
        /// Key of the other.
        also: Arc<str>,
    },
    /// Two tasks of this element wait.
    Twice {
        /// Its key.
        element: Arc<str>,
    },
    /// The element was come to in a branch of the fork.
    InsideBlock {
        /// The element's key.
        element: Arc<str>,
        /// The fork's key.
        fork: Arc<str>,
    },
    /// The last command is done, and an invariant of the model does not hold behind it.
    InvariantBroken {
        /// Its name.
        invariant: Arc<str>,
    },
    /// The join's record names a conflict on this variable.
    Conflict {
        /// The join's key.
        join: Arc<str>,
        /// The variable.
        variable: Arc<str>,
    },
}

/// Something that could not be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unknown {
    /// The elements it is about; empty when it is the model as a whole.
    pub elements: Vec<Arc<str>>,
    /// What is not known, and why.
    pub why: String,
}

/// Where a variable is read, and where it can come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VariableRead {
    /// The variable.
    pub variable: Arc<str>,
    /// The sequence flows whose conditions read it.
    pub read_by: Vec<Arc<str>>,
    /// The tasks whose commit comes last before; the start event for the start. One of them, or anything before it, has
    /// to bring the variable.
    pub last_written_by: Vec<Arc<str>>,
    /// Call activities and hooks that are known to set it.
    pub set_by: Vec<Arc<str>>,
}

/// How far the search came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Searched {
    /// Different states that were found.
    pub states: usize,
    /// Commands that were tried.
    pub commands: usize,
    /// Tasks that were left for later, because another could be done first without a difference.
    pub put_off: usize,
    /// The bound on states.
    pub bound: usize,
    /// Whether every state was found.
    pub is_complete: bool,
    /// Nodes that no command came to.
    pub unreached: Vec<Arc<str>>,
}

/// What is known of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProofReport {
    /// What it comes to.
    pub verdict: Verdict,
    /// What is wrong, by kind.
    pub findings: Vec<Finding>,
    /// What could not be decided.
    pub unknowns: Vec<Unknown>,
    /// What the verdict takes for granted.
    pub assumptions: Vec<String>,
    /// The variables that conditions read, by name.
    pub reads: Vec<VariableRead>,
    /// How far the search came.
    pub searched: Searched,
    /// The flows that call activities run, with what is known of them.
    pub called: Vec<CalledReport>,
}

/// What is known of a flow that a call activity runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CalledReport {
    /// The module's id in the model.
    pub flow_module_id: Arc<str>,
    /// What is known of it.
    pub report: ProofReport,
}

impl ProofReport {
    /// Whether the model is proved.
    pub fn is_proved(&self) -> bool {
        self.verdict == Verdict::Sound
    }
}
