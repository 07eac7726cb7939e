//! What a parallel or inclusive gateway is for: it forks, or it joins what a fork opened. Knows no running instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::element::Element;
use crate::model::flow_model::FlowModel;
use crate::model::pairs::{Pairs, Part};
use crate::model::validate::{Findings, Keys, Shortened, Shown};
use crate::result_code::ResultCode;
use crate::value::Value;

/// What a parallel or inclusive gateway is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayRole {
    /// It opens branches.
    Fork,
    /// It joins the branches that a fork opened.
    Join(JoinRule),
}

/// How a join goes about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRule {
    /// Key of the fork whose branches it joins.
    pub fork: Arc<str>,
    /// When it fires.
    pub branch_merge: BranchMerge,
    /// What becomes of the branches' data.
    pub data_merge: DataMerge,
    /// Who wins where branches changed a variable to different values.
    pub data_conflict: DataConflictRule,
    /// The host's strategy that `Custom` means; `None` where the model names none.
    pub strategy: Option<Arc<str>>,
}

/// When a join fires: its `branchMerge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BranchMerge {
    /// When no branch is open any more.
    #[default]
    JoinAll,
    /// With the first arrival; whatever is still open is closed.
    AnyOne,
    /// When the host's strategy says so.
    Custom,
}

/// What becomes of the branches' data at a join: its `dataMerge`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataMerge {
    /// What the branches changed is laid over the fork's data.
    #[default]
    All,
    /// The fork's data stays.
    None,
    /// What the host's strategy answers is laid over the fork's data.
    Custom,
}

/// Who wins where branches changed a variable to different values: the join's `dataConflict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataConflictRule {
    /// The branch that arrived last.
    #[default]
    Last,
    /// The branch that comes last in the fork's outgoing order.
    BranchOrder,
    /// Nobody: the command that brings the conflict is refused.
    Fail,
}

/// Why the role of a gateway cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleFault {
    /// 6004 to 6007, or 3217 for a `dataConflict` or `mergeStrategy` that is not understood.
    pub code: ResultCode,
    /// What is wrong, and what to do.
    pub message: String,
}

/// The roles of all parallel and inclusive gateways of a model, by key; of elements with one key the first counts.
///
/// What is stated counts as far as a flow can run with it, even where deployFlow finds fault with it: a gateway whose
/// partner says otherwise has its role all the same. What is not stated is taken from the other end, or inferred.
pub fn roles(model: &FlowModel) -> BTreeMap<Arc<str>, Result<GatewayRole, RoleFault>> {
    let elements = model.elements();
    let role = |element: &Element, part: Result<Part, RoleFault>| match part? {
        Part::Fork { .. } => Ok(GatewayRole::Fork),
        Part::Join { fork } => {
            let fork = elements.get(fork).map(|fork| fork.key.clone()).unwrap_or_default();
            Merges::of(element).rule(fork).map(GatewayRole::Join)
        }
    };
    Pairs::of(model)
        .iter()
        .filter_map(|(index, gateway)| Some((elements.get(index)?, gateway)))
        .map(|(element, gateway)| (element.key.clone(), role(element, gateway.part.clone())))
        .collect()
}

/// 6004 to 6007, 3217 and 3213: a gateway forks or joins, and a join says how in words that are known.
///
/// Warnings in `turbo131`: there they show when a flow gets to the gateway. A fork's `branchMerge` and the like are not
/// read.
pub(super) fn judge_gateways(
    findings: &mut Findings<'_>,
    pairs: &Pairs,
    knows_strategy: &dyn Fn(Option<&str>) -> bool,
) {
    let elements = findings.model.elements();
    for (index, gateway) in pairs.iter() {
        let Some(element) = elements.get(index) else {
            continue;
        };
        if let Some(fault) = gateway.fault() {
            findings.ours(index, fault.code, fault.message.clone());
        }
        match gateway.part {
            Ok(Part::Fork { .. }) => {}
            Ok(Part::Join { .. }) => {
                merges_are_known(findings, index, element, knows_strategy);
                join_is_left_once(findings, index, element);
            }
            Err(_) => merges_are_known(findings, index, element, knows_strategy),
        }
    }
    pairs.warn(findings);
}

/// 6006, 6007 and 3217: how a join goes about it, in words that are known and with a strategy that is there.
fn merges_are_known(
    findings: &mut Findings<'_>,
    index: usize,
    element: &Element,
    knows_strategy: &dyn Fn(Option<&str>) -> bool,
) {
    let merges = Merges::of(element);
    let custom = |name: &str, others: &str, code| match &merges.strategy {
        Ok(strategy) if !knows_strategy(strategy.as_deref()) => {
            let strategy = match strategy {
                Some(strategy) => format!("no strategy {}", Shortened(strategy)),
                None => "no strategy without a name".to_owned(),
            };
            let message = format!(
                "{name} is \"Custom\", but the host has registered {strategy}; register it, correct mergeStrategy, or \
                 set {name} to {others}"
            );
            Err(RoleFault { code, message })
        }
        _ => Ok(()),
    };
    let data_merge = match &merges.data_merge {
        Ok(DataMerge::Custom) => custom("dataMerge", "\"All\" or \"None\"", ResultCode::DataMergeUnsupported),
        Ok(_) => Ok(()),
        Err(fault) => Err(fault.clone()),
    };
    let branch_merge = match &merges.branch_merge {
        Ok(BranchMerge::Custom) => custom(
            "branchMerge",
            "\"JoinAll\" or \"AnyOne\"",
            ResultCode::BranchMergeUnsupported,
        ),
        Ok(_) => Ok(()),
        Err(fault) => Err(fault.clone()),
    };
    let faults = [
        data_merge.err(),
        branch_merge.err(),
        merges.data_conflict.err(),
        merges.strategy.err(),
    ];
    for fault in faults.into_iter().flatten() {
        findings.ours(index, fault.code, fault.message);
    }
}

/// 3213: a join has one way on; more are never followed.
fn join_is_left_once(findings: &mut Findings<'_>, index: usize, element: &Element) {
    if let Some((first, others)) = element.outgoing.split_first()
        && !others.is_empty()
    {
        let message = format!(
            "a join goes on by its first sequence flow, {}; never taken: {}; lead to a fork or an exclusive gateway \
             instead",
            Shortened(first),
            Keys(others)
        );
        findings.ours(index, ResultCode::ModelTooManyOutgoing, message);
    }
}

/// What a gateway's `forkJoinMatch` says.
pub(super) enum Statement {
    /// Nothing: it is absent, null or blank.
    Absent,
    /// Something that names no fork and join.
    Unreadable(RoleFault),
    /// This pair of keys, as they are written there.
    Pair { fork: Arc<str>, join: Arc<str> },
    /// This key as that of a fork, and null as that of the join: the branches all end.
    Unjoined { fork: Arc<str> },
}

impl Statement {
    /// Reads the property: an object, or its JSON text.
    pub(super) fn of(element: &Element) -> Self {
        let unreadable = |what: &str| {
            let message = format!(
                "forkJoinMatch {what}; set it to {{\"fork\": key, \"join\": key}}, the same at the fork and at the join"
            );
            Self::Unreadable(RoleFault {
                code: ResultCode::GatewayAttributes,
                message,
            })
        };
        let text;
        let pair = match element.property("forkJoinMatch") {
            None | Some(Value::Null) => return Self::Absent,
            Some(Value::Map(pair)) => pair,
            Some(Value::Text(json)) if json.trim().is_empty() => return Self::Absent,
            Some(Value::Text(json)) => {
                text = Value::from_json(json);
                match &text {
                    Ok(Value::Map(pair)) => pair,
                    Ok(_) => return unreadable("is the JSON text of something that is not an object"),
                    Err(_) => return unreadable("is text that is not JSON"),
                }
            }
            Some(other) => return unreadable(&format!("is {}", Shown(other))),
        };
        let end = |name: &str| match pair.get(name) {
            None | Some(Value::Null) => Err(unreadable(&format!("has no {name}"))),
            Some(Value::Text(key)) if key.trim().is_empty() => Err(unreadable(&format!("has a blank {name}"))),
            Some(Value::Text(key)) => Ok(key.clone()),
            Some(other) => Err(unreadable(&format!(
                "has a {name} that is not text but {}",
                Shown(other)
            ))),
        };
        if let (Ok(fork), Some(Value::Null)) = (end("fork"), pair.get("join")) {
            return Self::Unjoined { fork };
        }
        match (end("fork"), end("join")) {
            (Ok(fork), Ok(join)) => Self::Pair { fork, join },
            (Err(fault), _) | (_, Err(fault)) => fault,
        }
    }
}

/// How a join goes about it, each property on its own.
struct Merges {
    data_merge: Result<DataMerge, RoleFault>,
    branch_merge: Result<BranchMerge, RoleFault>,
    data_conflict: Result<DataConflictRule, RoleFault>,
    strategy: Result<Option<Arc<str>>, RoleFault>,
}

impl Merges {
    fn of(element: &Element) -> Self {
        Self {
            data_merge: choice(
                element,
                "dataMerge",
                ResultCode::DataMergeUnsupported,
                &[
                    ("All", DataMerge::All),
                    ("None", DataMerge::None),
                    ("Custom", DataMerge::Custom),
                ],
            ),
            branch_merge: choice(
                element,
                "branchMerge",
                ResultCode::BranchMergeUnsupported,
                &[
                    ("JoinAll", BranchMerge::JoinAll),
                    ("AnyOne", BranchMerge::AnyOne),
                    ("Custom", BranchMerge::Custom),
                ],
            ),
            data_conflict: choice(
                element,
                "dataConflict",
                ResultCode::ModelAttributeUnknown,
                &[
                    ("last", DataConflictRule::Last),
                    ("branchOrder", DataConflictRule::BranchOrder),
                    ("fail", DataConflictRule::Fail),
                ],
            ),
            strategy: match element.property("mergeStrategy") {
                None | Some(Value::Null | Value::Text(_)) => Ok(element.text_property("mergeStrategy").map(Into::into)),
                Some(other) => Err(RoleFault {
                    code: ResultCode::ModelAttributeUnknown,
                    message: format!("mergeStrategy is {}; it must be text, in quotes", Shown(other)),
                }),
            },
        }
    }

    fn rule(self, fork: Arc<str>) -> Result<JoinRule, RoleFault> {
        Ok(JoinRule {
            fork,
            data_merge: self.data_merge?,
            branch_merge: self.branch_merge?,
            data_conflict: self.data_conflict?,
            strategy: self.strategy?,
        })
    }
}

/// The choice that a property makes; absent, null or blank it is the default.
fn choice<T: Copy + Default>(
    element: &Element,
    name: &str,
    code: ResultCode,
    choices: &[(&str, T)],
) -> Result<T, RoleFault> {
    let value = match element.property(name) {
        None | Some(Value::Null) => return Ok(T::default()),
        Some(Value::Text(text)) if text.trim().is_empty() => return Ok(T::default()),
        Some(value) => value,
    };
    let chosen = match value {
        Value::Text(text) => choices.iter().find(|(choice, _)| *choice == text.as_ref()),
        _ => None,
    };
    chosen.map(|(_, chosen)| *chosen).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(choice, _)| *choice).collect();
        let advice = names.join("\" or \"");
        let message = format!(
            "{name} is {}, which is not supported; set it to \"{advice}\"",
            Shown(value)
        );
        RoleFault { code, message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::FlowModuleId;
    use crate::model::validate::tests::{KnownDrafts, check_both, check_ours, model};
    use crate::model::validate::{ValidationContext, validate};
    use crate::profile::Profile;

    const PAIR: &str = r#""forkJoinMatch":{"fork":"f","join":"j"}"#;

    /// A fork `f` and its join `j`, with these members besides `forkJoinMatch`.
    fn block(fork: &str, join: &str) -> String {
        format!(
            "2 s . a; 1 a s f; 9 f a b,c {{{PAIR}{fork}}}; 1 b f t; 4 t b d; 1 d t j; 1 c f j; 9 j d,c x {{{PAIR}{join}}};
             1 x j e; 3 e x ."
        )
    }

    fn role(text: &str, key: &str) -> Result<GatewayRole, i32> {
        let role = roles(&model(text)).remove(key).unwrap();
        role.map_err(|fault| fault.code.number())
    }

    fn rule(join: &str) -> Result<JoinRule, i32> {
        match role(&block("", join), "j") {
            Ok(GatewayRole::Join(rule)) => Ok(rule),
            Ok(GatewayRole::Fork) => panic!("a fork"),
            Err(code) => Err(code),
        }
    }

    #[test]
    fn join_goes_about_it_as_its_properties_say() {
        let usual = JoinRule {
            fork: "f".into(),
            branch_merge: BranchMerge::JoinAll,
            data_merge: DataMerge::All,
            data_conflict: DataConflictRule::Last,
            strategy: None,
        };
        for same in [
            "",
            r#","branchMerge":"JoinAll","dataMerge":"All","dataConflict":"last","mergeStrategy":"""#,
            r#","branchMerge":"","dataMerge":" ","dataConflict":"","mergeStrategy":" ""#,
            r#","branchMerge":null,"dataMerge":null,"dataConflict":null,"mergeStrategy":null"#,
        ] {
            assert_eq!(rule(same), Ok(usual.clone()), "{same}");
            check_both(&block("", same), &[]);
        }
        assert_eq!(
            rule(r#","branchMerge":"AnyOne","dataMerge":"None","dataConflict":"branchOrder""#),
            Ok(JoinRule {
                branch_merge: BranchMerge::AnyOne,
                data_merge: DataMerge::None,
                data_conflict: DataConflictRule::BranchOrder,
                ..usual.clone()
            })
        );
        assert_eq!(
            rule(r#","branchMerge":"Custom","dataMerge":"Custom","dataConflict":"fail","mergeStrategy":"vote""#),
            Ok(JoinRule {
                branch_merge: BranchMerge::Custom,
                data_merge: DataMerge::Custom,
                data_conflict: DataConflictRule::Fail,
                strategy: Some("vote".into()),
                ..usual
            })
        );
    }

    #[test]
    fn words_that_are_not_known_are_refused_6006_6007_3217() {
        for (name, known, code) in [
            ("dataMerge", "All", 6006),
            ("branchMerge", "JoinAll", 6007),
            ("dataConflict", "last", 3217),
        ] {
            let lower = format!("\"{}\"", known.to_lowercase());
            let wrong_case = if name == "dataConflict" { "\"LAST\"" } else { &lower };
            for value in ["\"x\"", "5", "[]", "true", wrong_case] {
                let join = format!(",\"{name}\":{value}");
                check_ours(&block("", &join), &[&format!("{code} j")]);
                assert_eq!(rule(&join), Err(code), "{join}");
                check_both(&block(&join, ""), &[]);
            }
        }
        check_ours(&block("", r#","mergeStrategy":5"#), &["3217 j"]);
        assert_eq!(rule(r#","mergeStrategy":5"#), Err(3217));
        check_ours(
            &block(
                "",
                r#","branchMerge":1,"dataMerge":1,"dataConflict":1,"mergeStrategy":1"#,
            ),
            &["6006 j", "6007 j", "3217 j", "3217 j"],
        );
    }

    #[test]
    fn custom_needs_a_strategy_that_is_registered_6006_6007() {
        let text = |strategy: &str| {
            block(
                "",
                &format!(r#","dataMerge":"Custom","branchMerge":"Custom"{strategy}"#),
            )
        };
        check_ours(&text(""), &["6006 j", "6007 j"]);
        let (own, drafts) = (FlowModuleId::new("own"), KnownDrafts::new());
        let codes = |strategy: &str, known: Option<&str>| -> Vec<i32> {
            let context = ValidationContext {
                knows_strategy: &|name| name == known,
                ..ValidationContext::new(Profile::Documented, &own, &drafts)
            };
            let faults = validate(&model(&text(strategy)), &context).faults;
            faults.iter().map(|fault| fault.code.number()).collect()
        };
        let none: [i32; 0] = [];
        assert_eq!(codes("", None), none);
        assert_eq!(codes(r#","mergeStrategy":" ""#, None), none);
        assert_eq!(codes(r#","mergeStrategy":"vote""#, Some("vote")), none);
        assert_eq!(codes(r#","mergeStrategy":"vote""#, None), [6006, 6007]);
        assert_eq!(codes("", Some("vote")), [6006, 6007]);
        assert_eq!(codes(r#","mergeStrategy":7"#, None), [3217]);
    }

    #[test]
    fn join_has_one_way_on_3213() {
        let two = "2 s . a; 1 a s f; 9 f a b,c FORK; 1 b f j; 1 c f j; 9 j b,c x,y JOIN; 1 x j e; 1 y j e; 3 e x,y .";
        let pair = format!("{{{PAIR}}}");
        check_ours(&two.replace("FORK", &pair).replace("JOIN", &pair), &["3213 j"]);
        let all_wrong = format!(r#"{{{PAIR},"dataMerge":"x"}}"#);
        check_ours(
            &two.replace("FORK", &pair).replace("JOIN", &all_wrong),
            &["6006 j", "3213 j"],
        );
    }

    #[test]
    fn gateways_are_entered_and_left_3214_3208() {
        let text = block("", "");
        check_both(&text.replace("9 j d,c x", "9 j . x"), &["3214 j"]);
        let no_exit = text.replace("9 j d,c x", "9 j d,c .");
        let judge = |profile| crate::model::validate::tests::faults(&model(&no_exit), &KnownDrafts::new(), profile);
        assert_eq!(judge(Profile::Documented), ["3208 j", "3205 e"]);
        assert_eq!(judge(Profile::Turbo131), ["3215 j"]);
        check_ours(&text.replace("9 j d,c x", "9 j d,c z,x"), &["3206 j", "3213 j"]);
    }

    #[test]
    fn ring_through_forks_and_joins_does_not_wait_3207() {
        check_ours(
            &format!(
                "2 s . a; 1 a s m; 6 m a,r n; 1 n m f !; 9 f n b,c {{{PAIR}}}; 1 b f j; 1 c f j; 9 j b,c x {{{PAIR}}}; \
                 1 x j g; 6 g x r,y; 1 r g m ?x; 1 y g e !; 3 e y ."
            ),
            &["3207 m"],
        );
    }
}
