//! Commands that can be read, saved and given again. Tasks go by their element, variables are an object.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use flowledger_engine_core::variables::InstanceData;
use serde::{Deserialize, Serialize};

/// The longest time that passes between two commands: a hundred years.
pub const MAX_WAIT_SECONDS: u64 = 100 * 365 * 86_400;

/// Commands on one instance, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The commands.
    pub steps: Vec<ScriptStep>,
}

/// A command of a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ScriptStep {
    /// startProcess.
    Start {
        /// The first variables.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "variables")]
        variables: Vec<InstanceData>,
        /// Who.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
    /// commitTask.
    Commit {
        /// Of the oldest open task of this element.
        task: Arc<str>,
        /// The variables given.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "variables")]
        variables: Vec<InstanceData>,
        /// The flow that a call activity runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calls: Option<Arc<str>>,
        /// Who.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Arc<str>>,
    },
    /// rollbackTask.
    Rollback {
        /// Of the oldest open task of this element, or of the newest completed one.
        task: Arc<str>,
    },
    /// rollbackTo.
    RollbackTo {
        /// The element of the task that is opened again.
        task: Arc<str>,
    },
    /// redoRollback.
    Redo,
    /// suspendInstance.
    Suspend,
    /// resumeInstance.
    Resume,
    /// terminateProcess.
    Terminate,
    /// The command before once more, with its command id.
    Repeat,
    /// commitTask with the version before the present one as the expected one.
    Stale {
        /// The element.
        task: Arc<str>,
    },
    /// commitTask of a task that is not there.
    Unknown,
    /// Two commits of one task at the same time.
    Concurrent {
        /// The element.
        task: Arc<str>,
        /// The variables of the one.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "variables")]
        one: Vec<InstanceData>,
        /// The variables of the other.
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "variables")]
        other: Vec<InstanceData>,
    },
    /// The engine is closed and opened again on what it stored.
    Restart,
    /// Time passes: the commands that follow are given so much later.
    Wait {
        /// How long; no longer than [`MAX_WAIT_SECONDS`].
        seconds: u64,
    },
}

/// Variables as an object in the order in which they are given; of one name given twice the last entry is read.
pub(super) mod variables {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use flowledger_engine_core::value::Value;
    use flowledger_engine_core::variables::InstanceData;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::testing) fn serialize<S: Serializer>(
        variables: &[InstanceData],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(variables.iter().map(|variable| (&variable.key, &variable.value)))
    }

    pub(in crate::testing) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<InstanceData>, D::Error> {
        let variables = BTreeMap::<Arc<str>, Value>::deserialize(deserializer)?;
        Ok(variables
            .into_iter()
            .map(|(key, value)| InstanceData::new(&key, value))
            .collect())
    }
}

impl ScriptStep {
    /// Steps that do less and may do as well.
    pub(super) fn simpler(&self) -> Vec<Self> {
        match self {
            Self::Start { variables, by: Some(_) } => vec![Self::Start {
                variables: variables.clone(),
                by: None,
            }],
            Self::Commit {
                task,
                variables,
                calls,
                by: Some(_),
            } => vec![Self::Commit {
                task: task.clone(),
                variables: variables.clone(),
                calls: calls.clone(),
                by: None,
            }],
            Self::Concurrent { task, one, other } => [one, other]
                .into_iter()
                .map(|variables| Self::Commit {
                    task: task.clone(),
                    variables: variables.clone(),
                    calls: None,
                    by: None,
                })
                .collect(),
            Self::RollbackTo { task } => vec![Self::Rollback { task: task.clone() }],
            Self::Start { .. }
            | Self::Commit { .. }
            | Self::Rollback { .. }
            | Self::Redo
            | Self::Suspend
            | Self::Resume
            | Self::Terminate
            | Self::Repeat
            | Self::Stale { .. }
            | Self::Unknown
            | Self::Restart
            | Self::Wait { .. } => Vec::new(),
        }
    }

    /// The variables it gives, each list of them.
    pub(super) fn variables_mut(&mut self) -> Vec<&mut Vec<InstanceData>> {
        match self {
            Self::Start { variables, .. } | Self::Commit { variables, .. } => vec![variables],
            Self::Concurrent { one, other, .. } => vec![one, other],
            Self::Rollback { .. }
            | Self::RollbackTo { .. }
            | Self::Redo
            | Self::Suspend
            | Self::Resume
            | Self::Terminate
            | Self::Repeat
            | Self::Stale { .. }
            | Self::Unknown
            | Self::Restart
            | Self::Wait { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for ScriptStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { variables, by } => write!(f, "start{}{}", shown(variables), who(by.as_ref())),
            Self::Commit {
                task,
                variables,
                calls,
                by,
            } => {
                let calls = calls.as_ref().map(|calls| format!(" calling {calls}"));
                let calls = calls.unwrap_or_default();
                write!(f, "commit {task}{}{calls}{}", shown(variables), who(by.as_ref()))
            }
            Self::Rollback { task } => write!(f, "rollback {task}"),
            Self::RollbackTo { task } => write!(f, "rollback to {task}"),
            Self::Redo => f.write_str("redo the rollback"),
            Self::Suspend => f.write_str("suspend"),
            Self::Resume => f.write_str("resume"),
            Self::Terminate => f.write_str("terminate"),
            Self::Repeat => f.write_str("the same command again"),
            Self::Stale { task } => write!(f, "commit {task}, expecting an older version"),
            Self::Unknown => f.write_str("commit a task that is not there"),
            Self::Concurrent { task, one, other } => {
                write!(f, "commit {task}{} and at the same time{}", shown(one), shown(other))
            }
            Self::Restart => f.write_str("close the engine and open it again"),
            Self::Wait { seconds } => write!(f, "{seconds} seconds pass"),
        }
    }
}

fn shown(variables: &[InstanceData]) -> String {
    variables.iter().fold(String::new(), |mut text, variable| {
        let _ = write!(text, " {}={}", variable.key, variable.value);
        text
    })
}

fn who(by: Option<&Arc<str>>) -> String {
    by.map(|by| format!(" by {by}")).unwrap_or_default()
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps.iter().enumerate() {
            let separator = if place == 0 { "" } else { "; " };
            write!(f, "{separator}{step}")?;
        }
        Ok(())
    }
}
