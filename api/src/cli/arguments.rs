//! Arguments that several commands share, and how their values are read.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use flowledger::{Actor, AsOf, CommandOptions, InstanceData, InstanceQuery, Profile, Timestamp, Value};

/// Heading of the options that every command takes.
const GLOBAL: &str = "Global options";
/// Heading of the options that go on the record or guard it.
const RECORD: &str = "Options for the record";

/// What every command takes.
#[derive(Args)]
pub(crate) struct Global {
    /// Directory that holds the data; or a backup or an export, to look into [default: ./flowledger-data]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub(crate) data: Option<PathBuf>,
    /// Whose behaviour: the API document's, or the reference engine's
    #[arg(long, global = true, value_enum, default_value_t, value_name = "PROFILE", help_heading = GLOBAL)]
    pub(crate) profile: ProfileName,
    /// Refuse what would break an invariant of a model (7414)
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) enforce_invariants: bool,
    /// Write one JSON document to standard output instead of text
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub(crate) json: bool,
}

/// The profiles by their names.
#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum ProfileName {
    /// Follows the API document
    #[default]
    Documented,
    /// Answers as the reference engine 1.3.1 does
    Turbo131,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Documented => Self::Documented,
            ProfileName::Turbo131 => Self::Turbo131,
        }
    }
}

/// At which moment to look at an instance.
#[derive(Args)]
pub(crate) struct AsOfArg {
    /// As it was at this version or this time; now if none is named
    #[arg(long, value_name = "VERSION|TIME", value_parser = as_of)]
    as_of: Option<AsOf>,
}

impl AsOfArg {
    /// Whether a moment is named.
    pub(crate) fn is_given(&self) -> bool {
        self.as_of.is_some()
    }

    /// The instance at that moment.
    pub(crate) fn of(self, instance: &str) -> InstanceQuery {
        InstanceQuery {
            as_of: self.as_of,
            ..instance.into()
        }
    }

    /// The instance at that moment, or at its first version.
    pub(crate) fn of_first(self, instance: &str) -> InstanceQuery {
        InstanceQuery {
            as_of: self.as_of.or(Some(AsOf::Version(1))),
            ..instance.into()
        }
    }
}

/// Who gives a command, and why.
#[derive(Args)]
pub(crate) struct ActorArgs {
    /// The tenant (of flow modules: `default` if not given)
    #[arg(long, help_heading = RECORD)]
    pub(crate) tenant: Option<String>,
    /// The calling system (of flow modules: `default` if not given)
    #[arg(long, help_heading = RECORD)]
    pub(crate) caller: Option<String>,
    /// The person
    #[arg(long, help_heading = RECORD)]
    pub(crate) operator: Option<String>,
    /// Why, in your words
    #[arg(long, value_name = "TEXT", help_heading = RECORD)]
    pub(crate) reason: Option<String>,
}

/// The id of a command.
#[derive(Args)]
pub(crate) struct CommandIdArg {
    /// Name the command: given again, it is answered from the record and not done twice
    #[arg(long, value_name = "ID", help_heading = RECORD)]
    pub(crate) command_id: Option<String>,
}

/// The version a command relies on.
#[derive(Args)]
pub(crate) struct VersionArg {
    /// Refuse the command if the version is another one by now
    #[arg(long, value_name = "N", help_heading = RECORD)]
    pub(crate) expected_version: Option<u64>,
}

impl ActorArgs {
    /// The options of a command of an instance.
    pub(crate) fn options(self, id: CommandIdArg, version: Option<u64>) -> CommandOptions {
        let text = |text: Option<String>| text.map(Arc::from);
        let actor = Actor {
            tenant: text(self.tenant),
            caller: text(self.caller),
            operator: text(self.operator),
        };
        CommandOptions {
            actor: (!actor.is_empty()).then_some(actor),
            reason: text(self.reason),
            command_id: id.command_id.map(Into::into),
            expected_version: version,
            extend_properties: None,
            receipt: false,
        }
    }

    /// Tenant, caller and operator as the operations of flow modules require them, and the remaining options.
    pub(crate) fn owner(mut self, id: CommandIdArg, version: Option<u64>) -> Owner {
        let or_default = |text: Option<String>| text.unwrap_or_else(|| "default".to_owned());
        Owner {
            tenant: or_default(self.tenant.take()),
            caller: or_default(self.caller.take()),
            operator: self.operator.take(),
            options: self.options(id, version),
        }
    }
}

/// Who owns a flow module, and the options of the command.
pub(crate) struct Owner {
    /// The tenant.
    pub(crate) tenant: String,
    /// The calling system.
    pub(crate) caller: String,
    /// The person.
    pub(crate) operator: Option<String>,
    /// Reason, command id, expected version.
    pub(crate) options: CommandOptions,
}

/// Reads a moment of an instance: a version, a time, or a date that stands for its beginning in UTC.
pub(crate) fn as_of(text: &str) -> Result<AsOf, String> {
    text.parse()
        .or_else(|wrong| time(text).map(AsOf::Time).map_err(|_| wrong))
}

/// Reads a time, or a date that stands for its beginning in UTC.
pub(crate) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .or_else(|_| format!("{text}T00:00:00Z").parse())
        .map_err(|_| "write a time like 2026-03-31T08:00:00Z, or a date like 2026-03-31".to_owned())
}

/// Reads `KEY=VALUE`: a value that is JSON is taken as such, any other is text.
pub(crate) fn variable(text: &str) -> Result<InstanceData, String> {
    match text.split_once('=') {
        Some((key, _)) if key.trim().is_empty() => Err(format!("{text}: there is no key before the =")),
        Some((key, value)) => Ok(InstanceData::new(
            key,
            Value::from_json(value).unwrap_or_else(|_| Value::from(value)),
        )),
        None => Err(format!("{text}: write KEY=VALUE")),
    }
}

/// Reads variables: a JSON object of keys and values, or the list of `{"key", "value"}` that the API takes.
pub(crate) fn variables(json: &str) -> Result<Vec<InstanceData>, String> {
    match Value::from_json(json).map_err(|error| error.to_string())? {
        Value::Map(entries) => Ok(entries
            .iter()
            .map(|(key, value)| InstanceData::new(key, value.clone()))
            .collect()),
        Value::List(items) => items.iter().map(list_item).collect(),
        other => Err(format!("expected an object or a list, found {}", other.kind())),
    }
}

fn list_item(item: &Value) -> Result<InstanceData, String> {
    let Value::Map(members) = item else {
        return Err(format!(
            "expected {{\"key\": …, \"value\": …}} in the list, found {}",
            item.kind()
        ));
    };
    let text = |name: &str| match members.get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let key = text("key").ok_or_else(|| "every entry of the list needs a \"key\", as text".to_owned())?;
    let value = members.get("value").cloned().unwrap_or_default();
    Ok(InstanceData {
        key,
        data_type: text("type"),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_is_json_where_it_can_be_and_text_elsewhere() {
        for (argument, value) in [
            ("a=3", "3"),
            ("a=1.10", "1.10"),
            ("a=true", "true"),
            ("a=[1,2]", "[1,2]"),
            ("a=\"3\"", "\"3\""),
            ("a=Lin", "\"Lin\""),
            ("a=x=y", "\"x=y\""),
            ("a=007", "\"007\""),
            ("a=", "\"\""),
            ("a=2026-03-31", "\"2026-03-31\""),
        ] {
            assert_eq!(variable(argument).unwrap().value.to_string(), value, "{argument}");
        }
        assert!(variable("a").is_err() && variable("=3").is_err());
    }

    #[test]
    fn variables_are_an_object_or_the_list_of_the_api() {
        let object = variables(r#"{"a": 1.50, "b": null}"#).unwrap();
        let list = variables(r#"[{"key":"a","value":1.50},{"key":"b"}]"#).unwrap();
        assert_eq!(object, list);
        for wrong in ["3", "{", "[1]", r#"[{"value":1}]"#] {
            assert!(variables(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn date_stands_for_its_first_moment() {
        assert_eq!(time("2026-03-31").unwrap().to_string(), "2026-03-31T00:00:00.000Z");
        assert_eq!(time("2026-03-31T08:00:00+08:00"), time("2026-03-31"));
        assert!(time("yesterday").is_err());
    }
}
