//! Judging a model without a store: the faults and warnings that a deployment would meet.

use flowledger_engine_core::event::DeployWarning;
use flowledger_engine_core::id::FlowModuleId;
use flowledger_engine_core::model::flow_model::FlowModel;
use flowledger_engine_core::model::parse::{self, ModelLimits};
use flowledger_engine_core::model::validate::{self, AnyModule, ModelWarning, Validation, ValidationContext};
use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::result_code::ResultCode;
use serde::Serialize;

use crate::error::FaultEntry;
use crate::executor::Executor;

/// What [`validate_model`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelValidation {
    /// 1000, or the code of the first fault: what deployFlow would answer.
    pub err_code: i32,
    /// The code's text; with faults, the first of them in parentheses.
    pub err_msg: String,
    /// The code's name.
    pub err_slug: &'static str,
    /// All faults, in the order in which deployFlow looks.
    pub faults: Vec<FaultEntry>,
    /// What is allowed in the model but likely not meant.
    pub warnings: Vec<DeployWarning>,
}

impl ModelValidation {
    /// Whether the model may be deployed.
    pub fn is_valid(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Judges the text of a model as deployFlow does, with the default limits and the built-in conditions.
///
/// Modules that call activities name are taken for present, and as calling nothing further: only a store knows them.
///
/// ```
/// use flowledger::{Profile, validate_model};
///
/// let found = validate_model(r#"{"flowElementList":[{"key":"start","type":2}]}"#, Profile::Documented);
/// assert_eq!(found.faults.iter().map(|fault| fault.err_code).collect::<Vec<_>>(), [3215, 3204]);
/// ```
pub fn validate_model(text: &str, profile: Profile) -> ModelValidation {
    let Validation { faults, warnings } = match parse::parse(text, &ModelLimits::default()) {
        Ok(model) => validate::validate_alone(&model, profile),
        Err(fault) => Validation {
            faults: vec![fault],
            warnings: Vec::new(),
        },
    };
    let code = faults.first().map_or(ResultCode::Success, |fault| fault.code);
    let text = code.entry().text;
    ModelValidation {
        err_code: code.number(),
        err_msg: faults
            .first()
            .map_or_else(|| text.to_owned(), |fault| format!("{text}({fault})")),
        err_slug: code.entry().slug,
        faults: faults.into_iter().map(FaultEntry::from).collect(),
        warnings: warnings.into_iter().map(deploy_warning).collect(),
    }
}

fn deploy_warning(warning: ModelWarning) -> DeployWarning {
    DeployWarning {
        slug: warning.slug.into(),
        element_key: warning.element_key,
        message: warning.message.into(),
    }
}

/// What deployFlow would say of a candidate on this engine; modules that its call activities name are taken for present.
pub(crate) fn judged(
    executor: &Executor,
    module: &FlowModuleId,
    model: &FlowModel,
) -> (Vec<FaultEntry>, Vec<DeployWarning>) {
    let check_condition = |text: &str| {
        let compiled = executor.calculator.compile(text);
        compiled.map(|_| ()).map_err(|error| error.to_string())
    };
    let knows_strategy = |name: Option<&str>| executor.plug_ins.merge_strategy(name).is_some();
    let drafts = AnyModule::default();
    let context = ValidationContext {
        check_condition: &check_condition,
        knows_strategy: &knows_strategy,
        plug_ins: &executor.plug_ins,
        max_call_depth: i64::try_from(executor.limits.call_depth).unwrap_or(i64::MAX),
        ..ValidationContext::new(executor.profile, module, &drafts)
    };
    let Validation { faults, warnings } = validate::validate(model, &context);
    (
        faults.into_iter().map(FaultEntry::from).collect(),
        warnings.into_iter().map(deploy_warning).collect(),
    )
}
