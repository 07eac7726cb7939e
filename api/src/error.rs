//! The error of every operation: a code of the table, a message for the caller, the log's detail behind it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use flowledger_engine_core::codec::CodecError;
use flowledger_engine_core::id::{CommandId, FlowInstanceId};
use flowledger_engine_core::model::validate::ModelFault;
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::rejection::Rejection;
use flowledger_engine_core::result_code::{CodeContext, ResultCode};
use flowledger_engine_core::variables::InstanceData;
use flowledger_event_store::{AppendError, Offset, StoreError};
use flowledger_projections::{CatalogueError, NodeInstance, Receipt};
use serde::Serialize;

/// Why an operation was not done. Codes 1000 to 1999 are never errors.
#[derive(Debug)]
pub struct EngineError(Box<Inside>);

#[derive(Debug)]
struct Inside {
    code: ResultCode,
    beside: Option<ResultCode>,
    detail: String,
    profile: Profile,
    context: CodeContext,
    about: About,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What an error is about, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The instance.
    pub flow_instance_id: Option<FlowInstanceId>,
    /// Its status.
    pub status: Option<i32>,
    /// The task the command was about, as it stands.
    pub active_task_instance: Option<Box<NodeInstance>>,
    /// The data of that task.
    pub variables: Option<Vec<InstanceData>>,
    /// The version of the instance; with this command's record, where it left one.
    pub version: Option<u64>,
    /// The id of the command; repeat it to find out an unknown outcome.
    pub command_id: Option<CommandId>,
    /// All faults of a model that was refused.
    pub faults: Vec<FaultEntry>,
    /// The name of the invariant that the command would break.
    pub invariant: Option<Arc<str>>,
    /// The receipt of the record that a failed commit left, where one was asked for.
    pub receipt: Option<Box<Receipt>>,
    /// Why there is no receipt although one was asked for.
    pub receipt_error: Option<String>,
    /// What is known of a store that was not opened because it is damaged.
    pub damage: Option<Box<Damage>>,
}

/// A store that was not opened because it is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// The store's directory.
    pub directory: String,
    /// The file, and the position in it where that is known.
    pub place: String,
    /// What was found.
    pub what: String,
    /// How many records had been stored, by the high-water mark beside the log; absent without a mark that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored: Option<u64>,
    /// How many records, from the first on, are there and fit their hashes; absent if the log could not be read at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intact: Option<u64>,
    /// Whether opening it may have cut off what cannot be read, so that a copy from before is worth more.
    pub may_have_changed: bool,
}

impl Damage {
    fn of(error: &StoreError) -> Option<Box<Self>> {
        let StoreError::Damaged { place, what, report } = error else {
            return None;
        };
        report.as_ref().map(|report| {
            Box::new(Self {
                directory: report.directory.display().to_string(),
                place: place.clone(),
                what: what.clone(),
                stored: report.stored.map(Offset::get),
                intact: report.intact.map(Offset::get),
                may_have_changed: report.may_have_changed,
            })
        })
    }
}

/// One fault of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultEntry {
    /// The fault's code.
    pub err_code: i32,
    /// The element; absent when the fault concerns the whole model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element_key: Option<Arc<str>>,
    /// The element's name.
    pub element_name: Arc<str>,
    /// What is wrong, and what to do.
    pub message: String,
}

impl From<ModelFault> for FaultEntry {
    fn from(fault: ModelFault) -> Self {
        Self {
            err_code: fault.code.number(),
            element_key: fault.element_key,
            element_name: fault.element_name,
            message: fault.message,
        }
    }
}

impl EngineError {
    /// An error of the host's own, told and shaped like the engine's: a request that cannot be read, for example.
    pub fn of_host(code: ResultCode, detail: impl Into<String>, profile: Profile) -> Self {
        Self::new(code, detail).answered_as(profile, CodeContext::Other)
    }

    pub(crate) fn new(code: ResultCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Inside {
            code,
            beside: None,
            detail: detail.into(),
            profile: Profile::default(),
            context: CodeContext::Other,
            about: About::default(),
            source: None,
        }))
    }

    pub(crate) fn rejected(rejection: Rejection) -> Self {
        let Rejection {
            code,
            detail,
            task: _,
            faults,
            invariant,
        } = rejection;
        let mut error = match code {
            // A module taken offline answers as one without a deployment, with the reason beside it.
            ResultCode::ResourceDisabled => Self::new(ResultCode::DeploymentNotFound, detail).beside(code),
            _ => Self::new(code, detail),
        };
        error.0.about.faults = faults.into_iter().map(FaultEntry::from).collect();
        error.0.about.invariant = invariant;
        error
    }

    /// A record that cannot be read, with its place.
    pub(crate) fn unreadable(error: CodecError, offset: Offset) -> Self {
        let mut told = Self::from(error);
        told.0.detail = format!("record {offset} of the log: {}", told.0.detail);
        told
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The same error under a code of the API document; what it was before stands beside it.
    pub(crate) fn under(mut self, code: ResultCode) -> Self {
        self.0.beside = Some(std::mem::replace(&mut self.0.code, code));
        self
    }

    fn beside(mut self, code: ResultCode) -> Self {
        self.0.beside = Some(code);
        self
    }

    pub(crate) fn answered_as(mut self, profile: Profile, context: CodeContext) -> Self {
        self.0.profile = profile;
        self.0.context = context;
        self
    }

    pub(crate) fn about_mut(&mut self) -> &mut About {
        &mut self.0.about
    }

    /// The code.
    pub fn code(&self) -> ResultCode {
        self.0.code
    }

    /// What the error is about.
    pub fn about(&self) -> &About {
        &self.0.about
    }

    /// What exactly is wrong, without the code's text.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The number that stands in `errCode`: in the `turbo131` profile the nearest one of the reference engine.
    pub fn err_code(&self) -> i32 {
        match self.0.profile {
            Profile::Documented => self.0.code.number(),
            Profile::Turbo131 => self.0.code.nearest_turbo(self.0.context),
        }
    }

    /// Our own number where another one stands in `errCode`.
    pub fn err_code_ext(&self) -> Option<i32> {
        let own = self.0.beside.unwrap_or(self.0.code).number();
        (own != self.err_code()).then_some(own)
    }

    /// The text that stands in `errMsg`: the code's text, and the detail in parentheses.
    pub fn err_msg(&self) -> String {
        let text = self.0.code.entry().text;
        if self.0.detail.is_empty() {
            text.to_owned()
        } else {
            format!("{text}({})", self.0.detail)
        }
    }

    /// The answer as the API document shapes it.
    pub fn envelope(&self) -> ErrorEnvelope<'_> {
        let about = &self.0.about;
        ErrorEnvelope {
            err_code: self.err_code(),
            err_msg: self.err_msg(),
            err_code_ext: self.err_code_ext(),
            err_slug: self.0.beside.unwrap_or(self.0.code).entry().slug,
            flow_instance_id: about.flow_instance_id.as_ref(),
            status: about.status,
            active_task_instance: about.active_task_instance.as_deref(),
            variables: about.variables.as_deref(),
            version: about.version,
            command_id: about.command_id.as_ref(),
            faults: &about.faults,
            invariant: about.invariant.as_deref(),
            receipt: about.receipt.as_deref(),
            receipt_error: about.receipt_error.as_deref(),
            damage: about.damage.as_deref(),
        }
    }
}

/// An error as JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorEnvelope<'a> {
    err_code: i32,
    err_msg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    err_code_ext: Option<i32>,
    err_slug: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    flow_instance_id: Option<&'a FlowInstanceId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active_task_instance: Option<&'a NodeInstance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variables: Option<&'a [InstanceData]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<&'a CommandId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    faults: &'a [FaultEntry],
    #[serde(skip_serializing_if = "Option::is_none")]
    invariant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Receipt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<&'a Damage>,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.err_code(), self.err_msg())
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<CodecError> for EngineError {
    fn from(error: CodecError) -> Self {
        Self::new(error.code(), error.to_string()).with_source(error)
    }
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Damaged { .. } => ResultCode::LogCorrupt,
            StoreError::Format { .. } => ResultCode::EventVersionUnsupported,
            StoreError::Exists { .. } => ResultCode::InvalidParam,
            StoreError::TooLarge { .. } | StoreError::NoPartition { .. } => ResultCode::SystemError,
            StoreError::InUse { .. }
            | StoreError::Permission { .. }
            | StoreError::Unavailable { .. }
            | StoreError::Io { .. } => ResultCode::StoreUnavailable,
        };
        let detail = match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        let mut told = Self::new(code, detail);
        told.about_mut().damage = Damage::of(&error);
        told.with_source(error)
    }
}

impl From<CatalogueError> for EngineError {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Store(error) => error.into(),
            CatalogueError::Record { source, offset } => Self::unreadable(source, offset),
            CatalogueError::Entry(_) => Self::new(ResultCode::SystemError, error.to_string()).with_source(error),
        }
    }
}

impl From<AppendError> for EngineError {
    fn from(error: AppendError) -> Self {
        let code = match &error {
            AppendError::Conflict { .. } => ResultCode::Overloaded,
            AppendError::Unknown(_) | AppendError::Unavailable(_) => ResultCode::StoreUnavailable,
            AppendError::TooLarge { .. } => ResultCode::InvalidParam,
            AppendError::Corrupt(_) => ResultCode::LogCorrupt,
        };
        Self::new(code, error.to_string()).with_source(error)
    }
}
