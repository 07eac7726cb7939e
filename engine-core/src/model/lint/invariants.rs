//! What is worth a second look in the invariants of a model. Knows what they name, not what the flow does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::expression::{CompiledExpression, Vocabulary};
use crate::invariant::{CompiledInvariant, CompiledRule, InvariantExpression, Word, compile_all};
use crate::model::element::{Element, ElementType};
use crate::model::flow_model::FlowModel;
use crate::model::validate::{Findings, Keys};
use crate::value::Value;

/// Adds warnings about invariants that say otherwise than they look.
pub(super) fn lint(findings: &mut Findings<'_>) {
    let model = findings.model;
    // Faults are told elsewhere.
    let invariants = compile_all(model.invariants()).unwrap_or_default();
    if invariants.is_empty() {
        return;
    }
    let read = read_by_conditions(model);
    let calls = |element: &Element| element.element_type == ElementType::CallActivity;
    let has_calls = model.elements().iter().any(calls);
    for invariant in &invariants {
        let name = &invariant.name;
        let unknown = named(invariant).into_iter();
        let unknown: Vec<Arc<str>> = unknown.filter(|key| model.element(key).is_none()).collect();
        // A called flow may have the element.
        if !unknown.is_empty() && !has_calls {
            let message = format!(
                "invariant \"{name}\": the model has no element with the key {}; correct the key",
                Keys(&unknown)
            );
            findings.warn_model("invariant-element-unknown", message);
        }
        if let CompiledRule::DifferentOperators(elements) = &invariant.rule {
            let is_committed = |key: &Arc<str>| {
                let kind = model.element(key).map(|element| element.element_type);
                !matches!(
                    kind,
                    Some(
                        ElementType::StartEvent
                            | ElementType::EndEvent
                            | ElementType::SequenceFlow
                            | ElementType::ExclusiveGateway
                            | ElementType::ParallelGateway
                            | ElementType::InclusiveGateway
                    )
                )
            };
            let others = elements.iter().filter(|key| !is_committed(key));
            let others: Vec<Arc<str>> = others.cloned().collect();
            if !others.is_empty() {
                let message = format!("invariant \"{name}\": nobody commits {}; name tasks", Keys(&others));
                findings.warn_model("invariant-not-a-task", message);
            }
        }
        for expression in invariant.expressions() {
            variables(findings, name, expression, read.as_ref());
            constant(findings, invariant, expression);
        }
    }
}

fn variables(
    findings: &mut Findings<'_>,
    name: &str,
    expression: &InvariantExpression,
    read: Option<&BTreeSet<Arc<str>>>,
) {
    // Without the words of the conditions nothing can be said of them.
    let Some(read) = read else { return };
    let hidden = expression.words().map(Word::name).filter(|word| read.contains(*word));
    let hidden: Vec<Arc<str>> = hidden.map(Into::into).collect();
    if !hidden.is_empty() {
        let message = format!(
            "invariant \"{name}\": what conditions read as {} is a variable, and here it is a word; write variables.NAME \
             for the variable",
            Keys(&hidden)
        );
        findings.warn_model("invariant-hides-variable", message);
    }
    let set = set_by_calls(findings.model);
    let paths = expression.variables().paths;
    let roots: BTreeSet<Arc<str>> = paths.into_iter().filter_map(|path| path.into_iter().next()).collect();
    let unread = roots
        .into_iter()
        .filter(|root| !read.contains(root) && !set.contains(root));
    let unread: Vec<Arc<str>> = unread.collect();
    if !unread.is_empty() {
        let message = format!(
            "invariant \"{name}\": no condition reads {} and no call activity is known to set it; while a variable is not set \
             it breaks nothing, so look whether the name is right",
            Keys(&unread)
        );
        findings.warn_model("invariant-variable-unknown", message);
    }
}

/// An expression that reads nothing is so or not, whatever happens.
fn constant(findings: &mut Findings<'_>, invariant: &CompiledInvariant, expression: &InvariantExpression) {
    if expression.words().next().is_some() || !expression.variables().paths.is_empty() {
        return;
    }
    let nothing = BTreeMap::<Arc<str>, Value>::new();
    let answer = CompiledExpression::compile(expression.text()).and_then(|compiled| compiled.evaluate(&nothing));
    let is_kept = match (&invariant.rule, answer) {
        (CompiledRule::Never(_), Ok(holds)) => !holds,
        (CompiledRule::Always(_), Ok(holds)) => holds,
        (CompiledRule::Never(_) | CompiledRule::Always(_), Err(_)) => false,
        (CompiledRule::Eventually { .. } | CompiledRule::Whenever { .. } | CompiledRule::DifferentOperators(_), _) => {
            let message = format!(
                "invariant \"{}\": {} reads nothing of the instance",
                invariant.name,
                expression.text()
            );
            return findings.warn_model("invariant-constant", message);
        }
    };
    let what = if is_kept {
        "can never be broken"
    } else {
        "is broken from the start on"
    };
    let message = format!(
        "invariant \"{}\" reads nothing of the instance, and {what}",
        invariant.name
    );
    findings.warn_model("invariant-constant", message);
}

/// The elements that an invariant names.
fn named(invariant: &CompiledInvariant) -> BTreeSet<Arc<str>> {
    let mut named: BTreeSet<Arc<str>> = BTreeSet::new();
    for expression in invariant.expressions() {
        named.extend(expression.elements());
    }
    if let CompiledRule::DifferentOperators(elements) = &invariant.rule {
        named.extend(elements.iter().cloned());
    }
    named
}

/// The variables that conditions read; `None` where one of them is of another language.
fn read_by_conditions(model: &FlowModel) -> Option<BTreeSet<Arc<str>>> {
    let mut read = BTreeSet::new();
    for condition in model.elements().iter().filter_map(Element::condition) {
        let paths = Vocabulary::of(condition).ok()?.paths;
        read.extend(paths.into_iter().filter_map(|path| path.into_iter().next()));
    }
    Some(read)
}

/// The variables that call activities hand out by name.
fn set_by_calls(model: &FlowModel) -> BTreeSet<Arc<str>> {
    let rules = model.elements().iter().filter_map(|element| {
        let text = element.text_property("callActivityOutParam")?;
        match Value::from_json(text) {
            Ok(Value::List(rules)) => Some(rules),
            _ => None,
        }
    });
    let targets = rules.flat_map(|rules| {
        let targets = rules.iter().filter_map(|rule| match rule {
            Value::Map(members) => members.get("targetKey").cloned(),
            _ => None,
        });
        targets.collect::<Vec<Value>>()
    });
    let texts = targets.filter_map(|target| match target {
        Value::Text(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use crate::model::parse::{ModelLimits, parse};
    use crate::model::validate::validate_alone;
    use crate::profile::Profile;

    #[track_caller]
    fn check(invariant: &str, slugs: &[&str]) {
        let model = format!(
            r#"{{"invariants":[{{"name":"n",{invariant}}}],"flowElementList":[
            {{"key":"s","type":2,"outgoing":["f"]}},
            {{"key":"f","type":1,"incoming":["s"],"outgoing":["ask"]}},
            {{"key":"ask","type":4,"incoming":["f"],"outgoing":["g"]}},
            {{"key":"g","type":1,"incoming":["ask"],"outgoing":["x"]}},
            {{"key":"x","type":6,"incoming":["g"],"outgoing":["h"]}},
            {{"key":"h","type":1,"incoming":["x"],"outgoing":["e"],"properties":{{"conditionsequenceflow":"amount > 3 && status == 1"}}}},
            {{"key":"e","type":3,"incoming":["h"]}}]}}"#
        );
        let model = parse(&model, &ModelLimits::default()).unwrap();
        let validation = validate_alone(&model, Profile::Documented);
        assert_eq!(validation.faults, []);
        let warnings: Vec<&str> = validation.warnings.iter().map(|warning| warning.slug).collect();
        assert_eq!(warnings, slugs, "{:#?}", validation.warnings);
    }

    #[test]
    fn invariants_that_say_otherwise_than_they_look_are_warned_of() {
        check(r#""never":"'ask' in waits && amount > 3 && visits.s == 0""#, &[]);
        check(r#""never":"visits.nobody > 0""#, &["invariant-element-unknown"]);
        check(r#""never":"'nobody' in waits""#, &["invariant-element-unknown"]);
        check(
            r#""differentOperators":["ask","nobody"]"#,
            &["invariant-element-unknown"],
        );
        check(r#""differentOperators":["ask","x"]"#, &["invariant-not-a-task"]);
        check(r#""never":"status == 'completed'""#, &["invariant-hides-variable"]);
        check(r#""never":"variables.status == 3""#, &[]);
        check(r#""always":"amuont > 3""#, &["invariant-variable-unknown"]);
        check(
            r#""always":"variables.amuont != null""#,
            &["invariant-variable-unknown"],
        );
        check(r#""never":"1 > 2""#, &["invariant-constant"]);
        check(r#""always":"1 > 2""#, &["invariant-constant"]);
        check(r#""whenever":"amount > 1","then":"true""#, &["invariant-constant"]);
    }
}
