//! What the requests have in common: options of every command, and the checks of their members.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowledger_engine_core::event::Actor;
use flowledger_engine_core::id::CommandId;
use flowledger_engine_core::limits::Limits;
use flowledger_engine_core::model::element::Properties;
use flowledger_engine_core::result_code::ResultCode;
use flowledger_engine_core::value::{self, Value};
use flowledger_engine_core::variables::InstanceData;
use serde::{Deserialize, Deserializer, Serialize};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::executor::Meta;

/// What every command may carry besides its own members. All of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CommandOptions {
    /// Who gives the command. Goes into the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// Why, in the caller's words. Goes into the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Arc<str>>,
    /// Names the command. Repeated with the same content it is answered from the record (7301 with other content).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<CommandId>,
    /// The version the caller has seen; the command is refused with 7303 at any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    /// Given back in the answer of start, commit and rollback; nothing reads it and it is not recorded. Clients of the
    /// reference engine's plug-ins send it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "extend_properties")]
    pub extend_properties: Option<Properties>,
    /// Whether the answer is to carry the receipt of the command's record. Not recorded.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub receipt: bool,
}

/// Reads what is given back. The options are flattened into the requests, so serde has buffered this member, and the
/// text in which [`Value`] keeps every digit is gone: numbers are those of `serde_json`.
fn extend_properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Properties>, D::Error> {
    let given = Option::<BTreeMap<Arc<str>, serde_json::Value>>::deserialize(deserializer)?;
    Ok(given.map(|given| {
        given
            .into_iter()
            .map(|(name, value)| (name, Value::from(value)))
            .collect()
    }))
}

/// Checks members in the order of the API document; the first bad one is named.
pub(super) struct Check<'l> {
    limits: &'l Limits,
}

impl<'l> Check<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self { limits }
    }

    /// A member that must not be blank.
    pub(super) fn required(&self, name: &str, text: &str, most: Most) -> Result<(), EngineError> {
        if text.trim().is_empty() {
            return Err(invalid(format!("{name} is blank; it is required")));
        }
        self.optional(name, Some(text), most)
    }

    /// A member that may be absent.
    pub(super) fn optional(&self, name: &str, text: Option<&str>, most: Most) -> Result<(), EngineError> {
        let (most, limit) = match most {
            Most::Id => (self.limits.id_chars, "Limits::id_chars"),
            Most::Name => (self.limits.name_chars, "Limits::name_chars"),
            Most::Remark => (self.limits.remark_chars, "Limits::remark_chars"),
        };
        let chars = text.map_or(0, |text| text.chars().count());
        if chars > most {
            return Err(invalid(format!(
                "{name} has {chars} characters; the limit is {most} ({limit})"
            )));
        }
        Ok(())
    }

    /// Variables: each with a key, not too many, not too large.
    pub(super) fn variables(&self, variables: &[InstanceData]) -> Result<(), EngineError> {
        if variables.len() > self.limits.variables {
            return Err(invalid(format!(
                "variables has {} entries; the limit is {} (Limits::variables)",
                variables.len(),
                self.limits.variables
            )));
        }
        if let Some(index) = variables.iter().position(|variable| variable.key.trim().is_empty()) {
            return Err(invalid(format!(
                "variables[{index}].key is blank; every variable needs a key"
            )));
        }
        for variable in variables {
            if let Err(wrong) = variable.value.check() {
                let key = value::shortened(&variable.key, 40);
                return Err(invalid(format!(
                    "the value of variable {key} cannot be stored: {wrong}"
                )));
            }
        }
        let bytes = variables
            .iter()
            .fold(0usize, |sum, variable| sum.saturating_add(variable.weight()));
        if bytes > self.limits.variable_bytes {
            return Err(invalid(format!(
                "variables have {bytes} bytes; the limit is {} (Limits::variable_bytes)",
                self.limits.variable_bytes
            )));
        }
        Ok(())
    }

    /// The options of a command, as the executor takes them.
    pub(super) fn options(&self, options: CommandOptions) -> Result<Meta, EngineError> {
        let CommandOptions {
            actor,
            reason,
            command_id,
            expected_version,
            extend_properties: _,
            receipt,
        } = options;
        let actor = actor.unwrap_or_default();
        for (name, text) in [
            ("tenant", &actor.tenant),
            ("caller", &actor.caller),
            ("operator", &actor.operator),
        ] {
            self.optional(name, text.as_deref(), Most::Name)?;
        }
        self.optional("reason", reason.as_deref(), Most::Remark)?;
        if let Some(command_id) = &command_id {
            self.required("commandId", &command_id.to_string(), Most::Id)?;
        }
        Ok(Meta {
            is_drawn: command_id.is_none(),
            command_id: Engine::command_id(command_id),
            actor,
            reason,
            expected_version,
            receipt,
            is_recorded: false,
        })
    }
}

/// Which bound a text has.
#[derive(Clone, Copy)]
pub(super) enum Most {
    Id,
    Name,
    Remark,
}

/// Variables as they are read back once they were stored, so that live answers and replay agree.
pub(super) fn settled(variables: Vec<InstanceData>) -> Vec<InstanceData> {
    let settle = |variable: InstanceData| InstanceData {
        value: variable.value.settled(),
        ..variable
    };
    variables.into_iter().map(settle).collect()
}

pub(super) fn invalid(detail: impl Into<String>) -> EngineError {
    EngineError::new(ResultCode::InvalidParam, detail)
}

/// Blank text counts as absent.
pub(super) fn present<T: AsRef<str>>(text: Option<T>) -> Option<T> {
    text.filter(|text| !text.as_ref().trim().is_empty())
}
