//! Why a command was refused. A refused command leaves no trace in the log.

use std::fmt;
use std::sync::Arc;

use crate::id::NodeInstanceId;
use crate::model::validate::ModelFault;
use crate::result_code::ResultCode;

/// A refusal: the code, and what the caller needs to put it right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The code.
    pub code: ResultCode,
    /// What exactly is wrong, and where.
    pub detail: String,
    /// The task the command was about, where the instance has it.
    pub task: Option<NodeInstanceId>,
    /// All faults of a model that was refused at deploy.
    pub faults: Vec<ModelFault>,
    /// The invariant that the command would break.
    pub invariant: Option<Arc<str>>,
}

impl Rejection {
    /// A refusal that concerns no task.
    pub fn new(code: ResultCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            task: None,
            faults: Vec::new(),
            invariant: None,
        }
    }

    /// The same refusal, about this task.
    pub fn about(mut self, task: &NodeInstanceId) -> Self {
        self.task = Some(task.clone());
        self
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code.entry().text)?;
        if self.detail.is_empty() {
            Ok(())
        } else {
            write!(f, "({})", self.detail)
        }
    }
}

impl std::error::Error for Rejection {}
