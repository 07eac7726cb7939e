//! Deploying only what is proved. Knows what a report comes to, nothing of how models are proved.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::analysis::{ProveParam, prove_model, report::ProofReport};
use flowledger_engine_core::expression::{DialectCalculator, ExpressionCalculator};
use flowledger_engine_core::id::FlowModuleId;
use flowledger_engine_core::model::parse;
use flowledger_engine_core::model::validate::{ModelFault, called_modules};
use flowledger_engine_core::module::FlowModule;
use flowledger_engine_core::rejection::Rejection;
use flowledger_engine_core::result_code::ResultCode;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::operation::request::CommandOptions;
use crate::operation::validate_model::judged;

impl Engine {
    /// Refuses a draft that is not proved, unless the command was carried out before; the options then name the version
    /// that was looked at, so that no other draft is deployed in its place.
    ///
    /// What deployFlow itself refuses is left to it.
    pub(super) async fn require_proof(
        &self,
        id: &FlowModuleId,
        options: &mut CommandOptions,
    ) -> Result<(), EngineError> {
        let module = self.executor().module(id).await?;
        let is_known = options
            .command_id
            .as_ref()
            .is_some_and(|command| module.commands.contains(command));
        let Some(text) = module.definition.flow_model.clone().filter(|_| !is_known) else {
            return Ok(());
        };
        self.proved(id, &text).await?;
        options.expected_version.get_or_insert(module.commands.len() as u64);
        Ok(())
    }

    /// Refuses a model's text that is not proved.
    pub(super) async fn proved(&self, id: &FlowModuleId, text: &str) -> Result<(), EngineError> {
        let executor = self.executor();
        let Ok(model) = parse::parse(text, &executor.model_limits) else {
            return Ok(());
        };
        if !judged(executor, id, &model).0.is_empty() {
            return Ok(());
        }
        let language = executor.calculator.name();
        if language != DialectCalculator.name() {
            let detail = format!("conditions are in the host's language {language}, which proofs do not know");
            return Err(EngineError::new(ResultCode::ModelNotProved, detail));
        }
        let mut called: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        let mut open: Vec<FlowModuleId> = called_modules(&model).into_iter().collect();
        while let Some(module_id) = open.pop() {
            let key: Arc<str> = module_id.to_string().into();
            if called.contains_key(&key) || called.len() >= executor.limits.called_modules {
                continue;
            }
            let module: Arc<FlowModule> = executor.module(&module_id).await?;
            let latest = module
                .latest_deployment()
                .and_then(|latest| latest.definition.flow_model.clone());
            let Some(text) = latest else { continue };
            if let Ok(model) = parse::parse(&text, &executor.model_limits) {
                open.extend(called_modules(&model));
            }
            called.insert(key, text);
        }
        let param = ProveParam {
            profile: self.profile(),
            called,
            ..ProveParam::default()
        };
        let report = prove_model(text, &param);
        if report.is_proved() {
            return Ok(());
        }
        Err(EngineError::rejected(refusal(&report)))
    }
}

/// The refusal, with every finding and every unknown as a fault.
fn refusal(report: &ProofReport) -> Rejection {
    let fault = |elements: &[Arc<str>], message: String| ModelFault {
        code: ResultCode::ModelNotProved,
        element_key: elements.first().cloned(),
        element_name: "".into(),
        message,
    };
    let findings = report.findings.iter().map(|finding| {
        let message = format!(
            "{}: {}; shown by: {}",
            finding.kind,
            finding.explanation,
            finding.script.words()
        );
        fault(&finding.elements, message)
    });
    let mut faults: Vec<ModelFault> = findings.collect();
    let mut gather = vec![report];
    while let Some(report) = gather.pop() {
        let unknowns = report.unknowns.iter();
        faults.extend(unknowns.map(|unknown| fault(&unknown.elements, format!("not known: {}", unknown.why))));
        gather.extend(report.called.iter().map(|called| &called.report));
    }
    let first = faults.first().map(ToString::to_string).unwrap_or_default();
    let mut rejection = Rejection::new(ResultCode::ModelNotProved, first);
    rejection.faults = faults;
    rejection
}
