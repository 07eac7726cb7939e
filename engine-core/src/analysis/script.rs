//! Scripts in the notations that people and tests read. Knows their form, nothing of what they show.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::report::{HookStep, Script, ScriptStep};
use crate::variables::InstanceData;

impl Script {
    /// The commands on one line: `start {days: 5}; commit ask {amount: 3}; commit call {} module`.
    pub fn words(&self) -> String {
        let words = self.steps.iter().map(|step| match step {
            ScriptStep::Deploy => "deploy".to_owned(),
            ScriptStep::Start { variables, hooks } => format!("start {}{}", shown(variables), heard(hooks)),
            ScriptStep::Commit {
                task,
                nth,
                variables,
                calls,
                hooks,
            } => {
                let mut word = format!("commit {task}");
                if *nth > 0 {
                    let _ = write!(word, "#{}", nth + 1);
                }
                let _ = write!(word, " {}", shown(variables));
                if let Some(calls) = calls {
                    let _ = write!(word, " {calls}");
                }
                let _ = write!(word, "{}", heard(hooks));
                word
            }
        });
        words.collect::<Vec<_>>().join("; ")
    }

    /// The commands as a scenario: the flows, `main` among them, and the steps on instance `i`.
    ///
    /// A scenario has one answer for all hooks; it is the first of the script.
    pub fn scenario(&self, name: &str, model: &str) -> Json {
        let flow = |name: &str, text: &str| {
            let model: Json = serde_json::from_str(text).unwrap_or(Json::Null);
            json!({"name": name, "flowModel": model})
        };
        let mut flows: Vec<Json> = self
            .called
            .iter()
            .map(|called| flow(&called.name, &called.flow_model))
            .collect();
        flows.push(flow("main", model));
        let mut steps: Vec<Json> = self
            .called
            .iter()
            .map(|called| json!({"op": "deploy", "flow": &*called.name}))
            .collect();
        steps.push(json!({"op": "deploy", "flow": "main"}));
        let mut hook_answer: &[InstanceData] = &[];
        for step in &self.steps {
            match step {
                ScriptStep::Deploy => {}
                ScriptStep::Start { variables, hooks } => {
                    hook_answer = first(hook_answer, hooks);
                    steps.push(json!({"op": "start", "flow": "main", "as": "i", "variables": variables}));
                }
                ScriptStep::Commit {
                    task,
                    variables,
                    calls,
                    hooks,
                    ..
                } => {
                    hook_answer = first(hook_answer, hooks);
                    let mut step = json!({
                        "op": "commit", "instance": "i", "task": format!("key:{task}"), "variables": variables,
                    });
                    if let (Some(calls), Some(step)) = (calls, step.as_object_mut()) {
                        step.insert("callActivityFlow".to_owned(), json!(&**calls));
                    }
                    steps.push(step);
                }
            }
        }
        json!({"name": name, "flows": flows, "hookAnswer": hook_answer, "steps": steps})
    }
}

fn first<'s>(known: &'s [InstanceData], hooks: &'s [HookStep]) -> &'s [InstanceData] {
    match (known, hooks.first()) {
        ([], Some(hook)) => &hook.variables,
        _ => known,
    }
}

fn shown(variables: &[InstanceData]) -> String {
    let shown: Vec<String> = variables
        .iter()
        .map(|variable| format!("{}: {}", variable.key, variable.value))
        .collect();
    format!("{{{}}}", shown.join(", "))
}

/// What hooks are to answer: no notation has a word for it.
fn heard(hooks: &[HookStep]) -> String {
    let mut text = String::new();
    for hook in hooks {
        let _ = write!(
            text,
            " (the hook at {} answers {})",
            hook.gateway,
            shown(&hook.variables)
        );
    }
    text
}
