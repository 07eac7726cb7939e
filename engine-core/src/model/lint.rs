//! What is worth a second look in a model that may be deployed all the same. Knows the model, nothing of its faults.

mod invariants;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::element::{Element, ElementType};
use crate::model::pairs::{Pairs, Part};
use crate::model::validate::{Findings, Keys, Links, Shown};
use crate::value::Value;

/// Why a condition is not asked where there is nothing to choose.
const ONLY_WAY: &str = "this is the only way on; put a gateway before it";

/// Adds warnings about what runs otherwise than it looks.
pub(super) fn lint(
    findings: &mut Findings<'_>,
    links: &Links,
    pairs: &Pairs,
    check_condition: &dyn Fn(&str) -> Result<(), String>,
) {
    invariants::lint(findings);
    let mut translations = Translations {
        check_condition,
        known: BTreeMap::new(),
    };
    for (index, element) in findings.model.elements().iter().enumerate() {
        text_name(findings, index, element);
        match element.element_type {
            ElementType::SequenceFlow => {
                listed_by_both_ends(findings, links, index);
                recognised_default(findings, index, element);
            }
            ElementType::StartEvent => {
                start_is_left_once(findings, index, element);
                start_is_not_entered(findings, index, element);
                unread_conditions(findings, links, index, ONLY_WAY);
            }
            ElementType::EndEvent => end_is_not_left(findings, index, element),
            ElementType::UserTask if element.outgoing.len() > 1 => {
                conditions_translate(findings, links, &mut translations, index);
                branches_can_be_taken(findings, links, index);
                one_default_counts(findings, links, index);
            }
            ElementType::UserTask => {
                unread_conditions(findings, links, index, ONLY_WAY);
            }
            ElementType::ExclusiveGateway => conditions_translate(findings, links, &mut translations, index),
            ElementType::CallActivity => {
                unread_conditions(findings, links, index, ONLY_WAY);
                transfer_rules(
                    findings,
                    index,
                    element,
                    "callActivityInParamType",
                    "callActivityInParam",
                );
                transfer_rules(
                    findings,
                    index,
                    element,
                    "callActivityOutParamType",
                    "callActivityOutParam",
                );
            }
            ElementType::ParallelGateway | ElementType::InclusiveGateway => {
                match (pairs.part(index), element.element_type) {
                    (Some(Part::Fork { .. }), ElementType::InclusiveGateway) => {
                        conditions_translate(findings, links, &mut translations, index);
                        inclusive_branches_can_be_taken(findings, links, index);
                    }
                    (Some(Part::Fork { .. }), _) => {
                        let reason = "a parallel gateway takes every way on; use an inclusive gateway to choose";
                        unread_conditions(findings, links, index, reason);
                    }
                    (Some(Part::Join { .. }), _) => {
                        let reason =
                            "a join goes on by its first sequence flow; put a gateway behind the join to choose";
                        unread_conditions(findings, links, index, reason);
                    }
                    (None, _) => {}
                }
            }
            ElementType::Unknown(_) => {}
        }
        if element.element_type != ElementType::SequenceFlow {
            lists_own_flows(findings, links, index, element);
        }
    }
}

/// Translates each condition once, however many sequence flows carry it.
struct Translations<'c, 'm> {
    check_condition: &'c dyn Fn(&str) -> Result<(), String>,
    known: BTreeMap<&'m str, Option<String>>,
}

impl<'m> Translations<'_, 'm> {
    fn reason(&mut self, condition: &'m str) -> Option<&str> {
        let check = self.check_condition;
        self.known
            .entry(condition)
            .or_insert_with(|| check(condition).err())
            .as_deref()
    }
}

fn text_name(findings: &mut Findings<'_>, index: usize, element: &Element) {
    match element.property("name") {
        None | Some(Value::Null | Value::Text(_)) => {}
        Some(other) => {
            let message = format!(
                "name is {} and is shown as empty; write it as text, in quotes",
                Shown(other)
            );
            findings.warn(index, "name-not-text", message);
        }
    }
}

/// With only one end listing it, a sequence flow works by half; with none it is a fault.
fn listed_by_both_ends(findings: &mut Findings<'_>, links: &Links, index: usize) {
    if links.is_unlisted(index) {
        return;
    }
    let sources = keys(findings, links.silent_sources(index));
    if !sources.is_empty() && !links.is_listed_in_outgoing(index) {
        let message = format!("never taken: {} does not list it in outgoing", Keys(&sources));
        findings.warn(index, "sequence-flow-not-listed", message);
    }
    let targets = keys(findings, links.silent_targets(index));
    if !targets.is_empty() {
        let message = format!(
            "histories cannot name it: {} does not list it in incoming",
            Keys(&targets)
        );
        findings.warn(index, "sequence-flow-not-listed", message);
    }
}

fn recognised_default(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if let Some(text) = element.text_property("defaultConditions")
        && !text.eq_ignore_ascii_case("true")
        && !text.eq_ignore_ascii_case("false")
    {
        let message = "defaultConditions is neither \"true\" nor \"false\" and does not make it the default";
        findings.warn(index, "default-not-recognised", message.to_owned());
    }
}

fn start_is_left_once(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if let Some((first, others)) = element.outgoing.split_first()
        && !others.is_empty()
    {
        let message = format!(
            "a start event takes its first sequence flow, {first}; never taken: {}",
            Keys(others)
        );
        findings.warn(index, "start-several-outgoing", message);
    }
}

fn start_is_not_entered(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if !element.incoming.is_empty() {
        let message = format!("a start event is not meant to be entered: {}", Keys(&element.incoming));
        findings.warn(index, "start-has-incoming", message);
    }
}

fn end_is_not_left(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if !element.outgoing.is_empty() {
        let message = format!("the flow ends here; never taken: {}", Keys(&element.outgoing));
        findings.warn(index, "end-has-outgoing", message);
    }
}

fn conditions_translate<'m>(
    findings: &mut Findings<'m>,
    links: &Links,
    translations: &mut Translations<'_, 'm>,
    index: usize,
) {
    let model = findings.model;
    for flow in links.outgoing(index).iter().flatten() {
        let condition = model.elements().get(*flow).and_then(Element::condition);
        if let Some(reason) = condition.and_then(|condition| translations.reason(condition)) {
            let message = format!("the condition cannot be evaluated and fails with 4018 when it is reached: {reason}");
            findings.warn(*flow, "condition-untranslatable", message);
        }
    }
}

/// Start events, call activities, user tasks with one way on, parallel forks and joins do not ask conditions.
fn unread_conditions(findings: &mut Findings<'_>, links: &Links, index: usize, reason: &str) {
    let model = findings.model;
    for flow in links.outgoing(index).iter().flatten() {
        if model
            .elements()
            .get(*flow)
            .is_some_and(|flow| flow.condition().is_some())
        {
            let message = format!("the condition is never evaluated: {reason}");
            findings.warn(*flow, "condition-ignored", message);
        }
    }
}

fn branches_can_be_taken(findings: &mut Findings<'_>, links: &Links, index: usize) {
    let model = findings.model;
    for flow in links.outgoing(index).iter().flatten() {
        if model
            .elements()
            .get(*flow)
            .is_some_and(|flow| flow.condition().is_none() && !flow.is_default())
        {
            let message = "never taken: it has no condition and is not the default of a user task with several ways on";
            findings.warn(*flow, "branch-never-taken", message.to_owned());
        }
    }
}

/// An inclusive fork takes the ways on whose conditions hold, and no other.
fn inclusive_branches_can_be_taken(findings: &mut Findings<'_>, links: &Links, index: usize) {
    let elements = findings.model.elements();
    let flows = links.outgoing(index).iter().flatten();
    let flows: Vec<(usize, &Element)> = flows.filter_map(|flow| Some((*flow, elements.get(*flow)?))).collect();
    if flows.iter().all(|(_, flow)| flow.condition().is_none()) {
        if !flows.is_empty() {
            let message = "none of its sequence flows has a condition: it is never passed and fails with 4013; set \
                           conditionsequenceflow, or use a parallel gateway";
            findings.warn(index, "inclusive-never-passed", message.to_owned());
        }
        return;
    }
    let has_choice = flows.len() > 1;
    for (flow, element) in flows {
        if element.condition().is_none() {
            let message = "never taken: it has no condition, and an inclusive gateway knows no default; set \
                           conditionsequenceflow";
            findings.warn(flow, "branch-never-taken", message.to_owned());
        } else if has_choice && element.is_default() {
            let message = "an inclusive gateway knows no default: it is taken only when its condition holds; remove \
                           defaultConditions";
            findings.warn(flow, "default-ignored", message.to_owned());
        }
    }
}

fn one_default_counts(findings: &mut Findings<'_>, links: &Links, index: usize) {
    let elements = findings.model.elements();
    let flows = links
        .outgoing(index)
        .iter()
        .flatten()
        .filter_map(|flow| elements.get(*flow));
    let defaults: Vec<Arc<str>> = flows
        .filter(|flow| flow.is_default())
        .map(|flow| flow.key.clone())
        .collect();
    if let Some((last, others)) = defaults.split_last()
        && !others.is_empty()
    {
        let message = format!(
            "of several defaults the last counts, {last}; no defaults are: {}",
            Keys(others)
        );
        findings.warn(index, "several-defaults", message);
    }
}

fn transfer_rules(findings: &mut Findings<'_>, index: usize, element: &Element, kind: &str, rules: &str) {
    if element.text_property(kind) != Some("part") {
        return;
    }
    let reason = match element.property(rules) {
        None | Some(Value::Null) => "is missing",
        Some(Value::List(_)) => return,
        Some(Value::Text(text)) if text.trim().is_empty() => "is blank",
        Some(Value::Text(text)) => match Value::from_json(text) {
            Ok(Value::List(_)) => return,
            Ok(_) => "is not a list of rules",
            Err(_) => "is not JSON",
        },
        Some(_) => "is not text",
    };
    let message = format!("{kind} is \"part\", but {rules} {reason}; it holds the list of transfer rules as JSON text");
    findings.warn(index, "transfer-rules-unreadable", message);
}

/// A node lists sequence flows, and those that name it as their end.
fn lists_own_flows(findings: &mut Findings<'_>, links: &Links, index: usize, element: &Element) {
    let elements = findings.model.elements();
    let mut others = Vec::new();
    let mut nodes = Vec::new();
    let outgoing = element
        .outgoing
        .iter()
        .zip(links.outgoing(index))
        .map(|pair| (pair, true));
    let incoming = element
        .incoming
        .iter()
        .zip(links.incoming(index))
        .map(|pair| (pair, false));
    for ((key, target), is_outgoing) in outgoing.chain(incoming) {
        let Some((flow, target)) = target.and_then(|target| Some((target, elements.get(target)?))) else {
            continue;
        };
        let ends = if is_outgoing {
            links.incoming(flow)
        } else {
            links.outgoing(flow)
        };
        match ends {
            _ if target.element_type != ElementType::SequenceFlow => nodes.push(key.clone()),
            [Some(end)] if *end != links.first(index) => others.push(key.clone()),
            _ => {}
        }
    }
    if !others.is_empty() {
        let message = format!(
            "lists sequence flows that name another node as their end: {}",
            Keys(&others)
        );
        findings.warn(index, "sequence-flow-of-other-node", message);
    }
    if !nodes.is_empty() {
        let message = format!("lists nodes where sequence flows belong: {}", Keys(&nodes));
        findings.warn(index, "not-a-sequence-flow", message);
    }
}

fn keys(findings: &Findings<'_>, indices: Vec<usize>) -> Vec<Arc<str>> {
    let elements = findings.model.elements();
    indices
        .into_iter()
        .filter_map(|index| elements.get(index))
        .map(|element| element.key.clone())
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use crate::id::FlowModuleId;
    use crate::model::flow_model::FlowModel;
    use crate::model::validate::tests::model;
    use crate::model::validate::{MAX_WARNINGS, ValidationContext, validate};
    use crate::profile::Profile;

    /// `slug key` of each warning, one a line, of a model that deploys.
    #[track_caller]
    fn warnings(model: &FlowModel, profile: Profile) -> String {
        let module = FlowModuleId::new("own");
        let no_drafts = std::collections::BTreeMap::<FlowModuleId, FlowModel>::new();
        let check = |condition: &str| {
            if condition.contains('§') {
                Err("§ is no operator".to_owned())
            } else {
                Ok(())
            }
        };
        let context = ValidationContext {
            check_condition: &check,
            ..ValidationContext::new(profile, &module, &no_drafts)
        };
        let validation = validate(model, &context);
        assert_eq!(validation.faults, []);
        let lines = validation.warnings.iter();
        let lines = lines.map(|w| format!("{} {}", w.slug, w.element_key.as_deref().unwrap_or("-")));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    pub(in crate::model) fn check(text: &str, expected: &[&str]) {
        for profile in [Profile::Documented, Profile::Turbo131] {
            assert_eq!(
                warnings(&model(text), profile),
                expected.join("\n"),
                "{profile:?} {text}"
            );
        }
    }

    #[test]
    fn sound_model_has_no_warnings() {
        check(
            "2 s . a; 1 a s g; 6 g a,d b,c; 1 b g t ?x; 1 c g e !; 4 t b d; 1 d t g; 3 e c .",
            &[],
        );
        check("2 s . a; 1 a s t; 4 t a b,c; 1 b t e ?x; 1 c t e !; 3 e b,c .", &[]);
    }

    #[test]
    fn condition_that_does_not_translate_is_named_where_it_is_asked() {
        check(
            "2 s . a; 1 a s g; 6 g a b,c; 1 b g e ?§; 1 c g e !; 3 e b,c .",
            &["condition-untranslatable b"],
        );
        check(
            "2 s . a; 1 a s t; 4 t a b,c; 1 b t e ?§; 1 c t e !; 3 e b,c .",
            &["condition-untranslatable b"],
        );
    }

    #[test]
    fn condition_that_is_never_asked_is_named() {
        check(
            "2 s . a; 1 a s t ?x; 4 t a b; 1 b t e ?§; 3 e b .",
            &["condition-ignored a", "condition-ignored b"],
        );
        check(
            r#"2 s . a; 1 a s c; 8 c a b {"callActivityExecuteType":"sync","callActivityInstanceType":"single"};
               1 b c e ?x; 3 e b ."#,
            &["condition-ignored b"],
        );
    }

    #[test]
    fn user_task_with_branches_that_lead_nowhere_is_named() {
        check(
            "2 s . a; 1 a s t; 4 t a b,c; 1 b t e; 1 c t e !; 3 e b,c .",
            &["branch-never-taken b"],
        );
        check(
            "2 s . a; 1 a s t; 4 t a b,c; 1 b t e !; 1 c t e !; 3 e b,c .",
            &["several-defaults t"],
        );
        let default = r#"{"conditionsequenceflow":"x","defaultConditions":"yes"}"#;
        check(
            &format!("2 s . a; 1 a s t; 4 t a b,c; 1 b t e {default}; 1 c t e !; 3 e b,c ."),
            &["default-not-recognised b"],
        );
    }

    #[test]
    fn start_and_end_events_may_be_odd() {
        check("2 s . a,b; 1 a s e; 1 b s e; 3 e a,b .", &["start-several-outgoing s"]);
        check(
            "2 s c a; 1 a s t; 4 t a b,c; 1 b t e ?x; 1 c t s !; 3 e b .",
            &["start-has-incoming s"],
        );
        check(
            "2 s . a; 1 a s t; 4 t a,c b; 1 b t e; 3 e b c; 1 c e t",
            &["end-has-outgoing e"],
        );
    }

    #[test]
    fn node_that_lists_what_is_not_its_own_is_named() {
        check(
            "2 s . a; 1 a s t; 4 t a b,c,d; 1 b t e ?x; 1 c u e !; 4 u d c; 1 d t u ?x; 3 e b,c .",
            &["sequence-flow-of-other-node t"],
        );
        check(
            "2 s . a; 1 a s t; 4 t a b,e; 1 b t e ?x; 3 e b .",
            &["not-a-sequence-flow t", "branch-never-taken e"],
        );
    }

    #[test]
    fn ends_of_a_sequence_flow_that_disagree_are_named() {
        check(
            "2 s . a; 1 a s t; 4 t a b; 1 b t e; 1 c t e; 3 e b,c .",
            &["sequence-flow-not-listed c"],
        );
        check(
            "2 s . a; 1 a s t; 4 t a b; 1 b t e; 1 c t e; 3 e c .",
            &["sequence-flow-not-listed b", "sequence-flow-not-listed c"],
        );
    }

    #[test]
    fn name_that_is_not_text_is_named() {
        check(
            r#"2 s . a {"name":5}; 1 a s e {"name":null}; 3 e a . {"name":"x"}"#,
            &["name-not-text s"],
        );
    }

    #[test]
    fn transfer_rules_that_cannot_be_read_are_named() {
        let call = |rules: &str| {
            format!(
                r#"2 s . a; 1 a s c; 8 c a b {{"callActivityExecuteType":"sync","callActivityInstanceType":"single",
                   "callActivityInParamType":"part"{rules}}}; 1 b c e; 3 e b ."#
            )
        };
        for rules in [
            "",
            r#","callActivityInParam":"x""#,
            r#","callActivityInParam":"{}""#,
            r#","callActivityInParam":5"#,
        ] {
            check(&call(rules), &["transfer-rules-unreadable c"]);
        }
        check(&call(r#","callActivityInParam":"[]""#), &[]);
    }

    /// A fork of this type, with these properties on its two sequence flows and on that of the join.
    fn block(number: u8, flows: [&str; 3]) -> String {
        let pair = r#"{"forkJoinMatch":{"fork":"f","join":"j"}}"#;
        let [first, second, behind] = flows;
        format!(
            "2 s . a; 1 a s f; {number} f a b,c {pair}; 1 b f t {first}; 4 t b d; 1 d t j; 1 c f u {second}; 4 u c k;
             1 k u j; {number} j d,k x {pair}; 1 x j e {behind}; 3 e x ."
        )
    }

    #[test]
    fn conditions_of_an_inclusive_fork_are_asked() {
        check(&block(10, ["?x", "?y", "{}"]), &[]);
        check(&block(10, ["?§", "?y", "{}"]), &["condition-untranslatable b"]);
        check(&block(10, ["?x", "{}", "{}"]), &["branch-never-taken c"]);
        check(&block(10, ["?x", "!", "{}"]), &["branch-never-taken c"]);
        check(&block(10, ["? ", "!", "{}"]), &["inclusive-never-passed f"]);
        let both = r#"{"conditionsequenceflow":"x","defaultConditions":"true"}"#;
        check(&block(10, ["?x", both, "{}"]), &["default-ignored c"]);
        let pair = r#"{"forkJoinMatch":{"fork":"f","join":"j"}}"#;
        check(
            &format!("2 s . a; 1 a s f; 10 f a b {pair}; 1 b f j {both}; 10 j b x {pair}; 1 x j e; 3 e x ."),
            &[],
        );
    }

    #[test]
    fn conditions_of_parallel_forks_and_of_joins_are_not_asked() {
        let usual = r#"{"conditionsequenceflow":"","defaultConditions":"false"}"#;
        let default = r#"{"conditionsequenceflow":"","defaultConditions":"true"}"#;
        check(&block(9, [usual, usual, usual]), &[]);
        check(&block(9, [default, "!", default]), &[]);
        check(
            &block(9, ["?x", "?§", "{}"]),
            &["condition-ignored b", "condition-ignored c"],
        );
        check(&block(9, ["{}", "{}", "?x"]), &["condition-ignored x"]);
        check(&block(10, ["?x", "?x", default]), &[]);
        check(&block(10, ["?x", "?x", "?x"]), &["condition-ignored x"]);
    }

    #[test]
    fn warnings_of_one_model_are_bounded() {
        let step = |number: usize| {
            let source = if number == 0 {
                "s".to_owned()
            } else {
                format!("t{}", number - 1)
            };
            format!(
                "1 f{number} {source} t{number} ?x; 4 t{number} f{number} f{}",
                number + 1
            )
        };
        let steps: Vec<String> = (0..=MAX_WARNINGS).map(step).collect();
        let text = format!(
            "2 s . f0; {}; 3 e x .; 1 f{} t{MAX_WARNINGS} e ?x",
            steps.join("; "),
            MAX_WARNINGS + 1
        );
        let found = warnings(&model(&text), Profile::Turbo131);
        assert_eq!(found.lines().count(), MAX_WARNINGS + 1);
        assert!(found.ends_with("more-warnings -"));
    }
}
