//! The files of a test: the model, the models it calls, and what must hold. Knows TOML and JSON, and no runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowledger::testing::{CASES, FlowTest, Minimum, Properties};

use super::TestArgs;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// What is tested.
pub(super) struct Given {
    /// The model's text.
    pub(super) model: String,
    /// What the model is called: its file without what stands behind the dot.
    pub(super) name: String,
    pub(super) properties: Properties,
    /// The files of called flows, by name.
    pub(super) called: Vec<(Arc<str>, PathBuf)>,
    /// Called flows for which another one stands in.
    pub(super) stand_ins: Vec<Arc<str>>,
    pub(super) minimum: Minimum,
    pub(super) test: FlowTest,
    pub(super) cases: u32,
    pub(super) seed: u64,
}

impl Given {
    /// Reads all files; the command line has the last word over the properties file.
    pub(super) fn read(session: &Session, args: &TestArgs) -> Result<Self, Failure> {
        let model = session.read(&args.model)?;
        let mut properties = match &args.properties {
            Some(path) => properties(session, path)?,
            None => Properties::default(),
        };
        properties.cases = args.cases.or(properties.cases);
        properties.commands = args.commands.or(properties.commands);
        properties.seed = args.seed.or(properties.seed);
        for variable in &args.hook_answer {
            properties
                .hook_answer
                .insert(variable.key.clone(), variable.value.clone());
        }
        let folder = args
            .properties
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(Path::new(""));
        let mut called: Vec<(Arc<str>, PathBuf)> = properties
            .called
            .iter()
            .map(|(name, file)| (name.clone(), folder.join(&**file)))
            .collect();
        called.retain(|(name, _)| args.called.iter().all(|(other, _)| other != name));
        called.extend(args.called.iter().cloned());
        let test = FlowTest::new(&model).profile(session.profile());
        let mut test = test.properties_file(&properties).map_err(|wrong| {
            let told: Vec<String> = wrong.iter().map(ToString::to_string).collect();
            let file = args.properties.as_deref().unwrap_or(Path::new(""));
            session.unusable(format!("{}: {}", file.display(), told.join("; ")))
        })?;
        for (name, file) in &called {
            test = test.called(name, &session.read(file)?);
        }
        let (test, stand_ins) = test.stand_ins();
        let name = args.model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let asked = args.min_coverage.unwrap_or_default();
        let of_file = properties.minimum;
        Ok(Self {
            model,
            name: name.unwrap_or_default(),
            called,
            stand_ins,
            minimum: Minimum {
                elements: asked.elements.or(of_file.elements),
                sequence_flows: asked.sequence_flows.or(of_file.sequence_flows),
                conditions: asked.conditions.or(of_file.conditions),
                rollbacks: asked.rollbacks.or(of_file.rollbacks),
                mutants: asked.mutants.or(of_file.mutants),
            },
            test,
            cases: properties.cases.unwrap_or(CASES),
            seed: properties.seed.unwrap_or(flowledger::testing::SEED),
            properties,
        })
    }
}

/// Reads a properties file: TOML if its name ends so, otherwise JSON.
fn properties(session: &Session, path: &Path) -> Result<Properties, Failure> {
    let text = session.read(path)?;
    let unusable = |what: String| session.unusable(format!("{}: {what}", path.display()));
    if path.extension().is_some_and(|extension| extension == "toml") {
        let table: toml::Table = toml::from_str(&text).map_err(|error| unusable(error.to_string()))?;
        let json =
            serde_json::to_string(&json(toml::Value::Table(table))).map_err(|error| unusable(error.to_string()))?;
        serde_json::from_str(&json).map_err(|error| {
            // Where it stands in the JSON says nothing of the TOML.
            let told = error.to_string();
            unusable(
                told.rsplit_once(" at line ")
                    .map_or(told.clone(), |(told, _)| told.to_owned()),
            )
        })
    } else {
        serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))
    }
}

/// A value of TOML in JSON; what JSON has no form for, dates and numbers without an end, are texts.
fn json(value: toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Into::into)
        }
        toml::Value::Boolean(value) => value.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            let members = table.into_iter().map(|(key, value)| (key, json(value)));
            serde_json::Value::Object(members.collect())
        }
    }
}

/// Reads `NAME=FILE`.
pub(super) fn called(text: &str) -> Result<(Arc<str>, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.into(), file.into())),
        _ => Err("write NAME=FILE".to_owned()),
    }
}

/// Reads `elements=90,conditions=80`.
pub(super) fn minimum(text: &str) -> Result<Minimum, String> {
    let mut minimum = Minimum::default();
    for part in text.split(',') {
        let (what, percent) = part
            .split_once('=')
            .ok_or("write WHAT=PERCENT, several with commas between")?;
        let place = match what.trim() {
            "elements" => &mut minimum.elements,
            "sequenceFlows" | "sequence-flows" => &mut minimum.sequence_flows,
            "conditions" => &mut minimum.conditions,
            "rollbacks" => &mut minimum.rollbacks,
            "mutants" => &mut minimum.mutants,
            other => {
                return Err(format!(
                    "{other} is none of elements, sequenceFlows, conditions, rollbacks, mutants"
                ));
            }
        };
        let percent: f64 = percent.trim().parse().map_err(|_| format!("{percent} is no number"))?;
        if !(0.0..=100.0).contains(&percent) {
            return Err(format!("{percent} is not between 0 and 100"));
        }
        *place = Some(percent);
    }
    Ok(minimum)
}
