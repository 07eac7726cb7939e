//! Which fork and which join belong together: as stated, as the other end states it, or as the way of the branches
//! tells. Knows nothing of how a join goes about it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::model::blocks::{self, Kind};
use crate::model::element::Element;
use crate::model::flow_model::FlowModel;
use crate::model::gateway::{RoleFault, Statement};
use crate::model::validate::{Findings, Keys, Shortened};
use crate::result_code::ResultCode;

/// Which end of which pair a gateway is; elements are told by their place in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// It opens branches; `None` where its statement names no join that is one.
    Fork { join: Option<usize> },
    /// It joins the branches of this fork.
    Join { fork: usize },
}

/// From where a gateway's part is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// From its own `forkJoinMatch`.
    Stated,
    /// From the other end's.
    Taken,
    /// From the way of the branches.
    Inferred,
}

/// What is known of one gateway.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    /// Its part, or why a flow cannot run through it.
    pub(super) part: Result<Part, RoleFault>,
    /// What is wrong though a flow can run.
    fault: Option<RoleFault>,
    origin: Origin,
}

impl Gateway {
    /// What deployFlow finds fault with.
    pub(super) fn fault(&self) -> Option<&RoleFault> {
        self.part.as_ref().err().or(self.fault.as_ref())
    }

    /// The gateway at the other end of its pair.
    fn partner(&self) -> Option<usize> {
        match self.part {
            Ok(Part::Fork { join }) => join,
            Ok(Part::Join { fork }) => Some(fork),
            Err(_) => None,
        }
    }

    /// Gives a gateway that does not state its part the one found for it; what is wrong with it stays.
    fn settle(&mut self, part: Part, origin: Origin, fault: Option<RoleFault>) {
        self.fault = self.fault.take().or(fault);
        self.part = Ok(part);
        self.origin = origin;
    }
}

/// All parallel and inclusive gateways of a model; of elements with one key the first.
pub(super) struct Pairs {
    gateways: BTreeMap<usize, Gateway>,
}

impl Pairs {
    /// Reads what the gateways state and finds out the rest.
    pub(super) fn of(model: &FlowModel) -> Self {
        let statements = Statements::of(model);
        let mut gateways: BTreeMap<usize, Gateway> = statements
            .read
            .keys()
            .map(|at| (*at, statements.gateway(*at)))
            .collect();
        let mut claims: BTreeMap<usize, Vec<Part>> = BTreeMap::new();
        for (at, gateway) in &gateways {
            if let Some(partner) = gateway.partner()
                && statements.is_silent(partner)
            {
                let claim = match gateway.part {
                    Ok(Part::Fork { .. }) => Part::Join { fork: *at },
                    _ => Part::Fork { join: Some(*at) },
                };
                claims.entry(partner).or_default().push(claim);
            }
        }
        for (at, claims) in claims {
            if let (Some(gateway), Some(first)) = (gateways.get_mut(&at), claims.first()) {
                let fault = (claims.len() > 1).then(|| statements.claimed_by_several(&claims));
                gateway.settle(*first, Origin::Taken, fault);
            }
        }
        let kinds = gateways.iter().map(|(at, gateway)| {
            let kind = match gateway.part {
                Err(_) if statements.may_be_inferred(*at) => Kind::Open,
                ref part => Kind::of(part.as_ref().ok()),
            };
            (*at, kind)
        });
        for (fork, join) in blocks::infer(model, kinds.collect()) {
            for (at, part) in [(fork, Part::Fork { join: Some(join) }), (join, Part::Join { fork })] {
                if let Some(gateway) = gateways.get_mut(&at) {
                    gateway.settle(part, Origin::Inferred, None);
                }
            }
        }
        Self { gateways }
    }

    /// The gateways in the order of the model, each with its place there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Gateway)> {
        self.gateways.iter().map(|(at, gateway)| (*at, gateway))
    }

    /// The part of the gateway at this place; `None` when it is no gateway, or has no part that a flow can run with.
    pub(super) fn part(&self, at: usize) -> Option<Part> {
        self.gateways.get(&at).and_then(|gateway| gateway.part.clone().ok())
    }

    /// Warns of pairs that are not stated at both ends, and of those whose ends are of different types.
    pub(super) fn warn(&self, findings: &mut Findings<'_>) {
        let elements = findings.model.elements();
        for (at, gateway) in self.iter() {
            let other = gateway.partner().and_then(|partner| elements.get(partner));
            let (Ok(part), Some(element), Some(other)) = (&gateway.part, elements.get(at), other) else {
                continue;
            };
            let (fork, join) = match part {
                Part::Fork { .. } => (element, other),
                Part::Join { .. } => (other, element),
            };
            match (gateway.origin, part) {
                (Origin::Stated, _) | (Origin::Inferred, Part::Join { .. }) => {}
                (Origin::Taken, _) if gateway.fault.is_some() => {}
                (Origin::Taken, _) => {
                    let message = format!(
                        "forkJoinMatch is missing and taken from {}; set it to {} here too",
                        Shortened(&other.key),
                        Stating(fork, join)
                    );
                    findings.warn(at, "fork-join-one-sided", message);
                }
                (Origin::Inferred, Part::Fork { .. }) => {
                    let message = format!(
                        "forkJoinMatch is missing; its branches are taken to be joined by {}; set forkJoinMatch of both to {}",
                        Shortened(&join.key),
                        Stating(fork, join)
                    );
                    findings.warn(at, "fork-join-inferred", message);
                }
            }
            if matches!(part, Part::Join { .. }) && gateway.fault.is_none() && fork.element_type != join.element_type {
                let message = format!(
                    "this {} joins the branches of the {} {}; the fork's type counts; use one type for both",
                    join.element_type,
                    fork.element_type,
                    Shortened(&fork.key)
                );
                findings.warn(at, "fork-join-types-differ", message);
            }
        }
    }
}

/// A pair, fork first, as the property has it.
struct Stating<'a>(&'a Element, &'a Element);

impl fmt::Display for Stating<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fork, join) = (Shortened(&self.0.key), Shortened(&self.1.key));
        write!(f, "{{\"fork\": \"{fork}\", \"join\": \"{join}\"}}")
    }
}

/// What a key in a statement leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Gateway(usize),
    OtherElement(Arc<str>),
    Nowhere(Arc<str>),
}

impl End {
    fn gateway(&self) -> Option<usize> {
        match self {
            Self::Gateway(at) => Some(*at),
            Self::OtherElement(_) | Self::Nowhere(_) => None,
        }
    }
}

/// A gateway's statement, its keys looked up.
enum Said {
    Nothing,
    Unreadable(RoleFault),
    Pair {
        fork: End,
        join: End,
    },
    /// A fork whose branches all end.
    Unjoined,
}

/// What the gateways of a model state about themselves.
struct Statements<'m> {
    model: &'m FlowModel,
    read: BTreeMap<usize, Said>,
}

impl<'m> Statements<'m> {
    fn of(model: &'m FlowModel) -> Self {
        let elements = model.elements().iter().enumerate();
        let gateways: Vec<(usize, &Element)> = elements
            .filter(|(at, element)| element.element_type.is_fork_or_join() && model.index_of(&element.key) == Some(*at))
            .collect();
        let mut in_any_case: BTreeMap<String, usize> = BTreeMap::new();
        for (at, element) in &gateways {
            in_any_case.entry(element.key.to_ascii_lowercase()).or_insert(*at);
        }
        // The reference compares without regard to case; where keys differ by nothing else, the exact one is meant.
        let is_gateway = |at: usize| gateways.binary_search_by_key(&at, |(at, _)| *at).is_ok();
        let end = |own: usize, element: &Element, key: Arc<str>| match model.index_of(&key) {
            Some(at) if is_gateway(at) => End::Gateway(at),
            Some(_) => End::OtherElement(key),
            None if element.key.eq_ignore_ascii_case(&key) => End::Gateway(own),
            None => in_any_case
                .get(&key.to_ascii_lowercase())
                .map_or(End::Nowhere(key), |at| End::Gateway(*at)),
        };
        let read = gateways.iter().map(|(at, element)| {
            let said = match Statement::of(element) {
                Statement::Absent => Said::Nothing,
                Statement::Unreadable(fault) => Said::Unreadable(fault),
                Statement::Pair { fork, join } => Said::Pair {
                    fork: end(*at, element, fork),
                    join: end(*at, element, join),
                },
                Statement::Unjoined { fork } if end(*at, element, fork.clone()) == End::Gateway(*at) => Said::Unjoined,
                Statement::Unjoined { .. } => Said::Unreadable(RoleFault {
                    code: ResultCode::GatewayAttributes,
                    message: "forkJoinMatch has no join; only at a fork whose branches all end may it be null"
                        .to_owned(),
                }),
            };
            (*at, said)
        });
        Self {
            model,
            read: read.collect(),
        }
    }

    fn is_silent(&self, at: usize) -> bool {
        matches!(self.read.get(&at), Some(Said::Nothing | Said::Unreadable(_)))
    }

    /// A pair can be inferred only where it could be stated: of gateways with keys.
    fn may_be_inferred(&self, at: usize) -> bool {
        self.is_silent(at) && self.model.elements().get(at).is_some_and(|e| !e.key.trim().is_empty())
    }

    /// What is known of a gateway by its own statement.
    fn gateway(&self, at: usize) -> Gateway {
        let (fork, join) = match self.read.get(&at) {
            Some(Said::Pair { fork, join }) => (fork, join),
            Some(Said::Unjoined) => {
                return Gateway {
                    part: Ok(Part::Fork { join: None }),
                    fault: None,
                    origin: Origin::Stated,
                };
            }
            Some(Said::Unreadable(fault)) => {
                return Gateway {
                    part: Err(fault.clone()),
                    fault: Some(fault.clone()),
                    origin: Origin::Stated,
                };
            }
            Some(Said::Nothing) | None => {
                let message = "forkJoinMatch is missing, and the ways of the model do not tell the pair; set it to \
                               {\"fork\": key, \"join\": key}, the same at the fork and at the join";
                let fault = RoleFault {
                    code: ResultCode::GatewayAttributes,
                    message: message.to_owned(),
                };
                return Gateway {
                    part: Err(fault),
                    fault: None,
                    origin: Origin::Stated,
                };
            }
        };
        let here = End::Gateway(at);
        let stated = match (*fork == here, *join == here, fork.gateway()) {
            (true, _, _) => Ok(Part::Fork {
                join: join.gateway().filter(|join| *join != at),
            }),
            (false, true, Some(fork)) => Ok(Part::Join { fork }),
            (false, ..) => Err(self
                .wrong_ends(fork, join)
                .unwrap_or_else(|| self.leaves_out(fork, join))),
        };
        let mismatch = |message| RoleFault {
            code: ResultCode::ForkJoinMismatch,
            message,
        };
        Gateway {
            fault: match &stated {
                Ok(part) => self
                    .wrong_ends(fork, join)
                    .or_else(|| self.disagreement(*part, fork, join)),
                Err(_) => None,
            }
            .map(mismatch),
            part: stated.map_err(mismatch),
            origin: Origin::Stated,
        }
    }

    /// Both ends are gateways, and not the same one.
    fn wrong_ends(&self, fork: &End, join: &End) -> Option<String> {
        let (mut nowhere, mut others) = (Vec::new(), Vec::new());
        for end in [fork, join] {
            match end {
                End::Nowhere(key) => nowhere.push(key.clone()),
                End::OtherElement(key) => others.push(key.clone()),
                End::Gateway(_) => {}
            }
        }
        let advice = "name the fork and the join by their keys";
        if !nowhere.is_empty() {
            let keys = Keys(&nowhere);
            return Some(format!(
                "forkJoinMatch names what the model does not have: {keys}; {advice}"
            ));
        }
        if !others.is_empty() {
            let keys = Keys(&others);
            return Some(format!(
                "forkJoinMatch names what is no parallel or inclusive gateway: {keys}; {advice}"
            ));
        }
        (fork == join).then(|| {
            let both = self.key(fork.gateway());
            format!(
                "forkJoinMatch names {} as fork and as join; name two gateways",
                Shortened(&both)
            )
        })
    }

    fn leaves_out(&self, fork: &End, join: &End) -> String {
        let (fork, join) = (self.key(fork.gateway()), self.key(join.gateway()));
        format!(
            "forkJoinMatch pairs {} with {} and leaves out the gateway it stands at; name that one as fork or as join",
            Shortened(&fork),
            Shortened(&join)
        )
    }

    /// The other end, if it states a pair, states the same.
    fn disagreement(&self, part: Part, fork: &End, join: &End) -> Option<String> {
        let (what, other) = match part {
            Part::Fork { join } => ("join", join?),
            Part::Join { fork } => ("fork", fork),
        };
        match self.read.get(&other)? {
            Said::Pair {
                fork: its_fork,
                join: its_join,
            } if (its_fork, its_join) != (fork, join) => {
                let other = self.key(Some(other));
                Some(format!(
                    "forkJoinMatch names {} as the {what}, whose own forkJoinMatch says otherwise; write the same pair at \
                     both",
                    Shortened(&other)
                ))
            }
            Said::Unjoined => {
                let other = self.key(Some(other));
                Some(format!(
                    "forkJoinMatch names {} as the {what}, whose own forkJoinMatch says that it has no join; write the \
                     same pair at both",
                    Shortened(&other)
                ))
            }
            Said::Pair { .. } | Said::Nothing | Said::Unreadable(_) => None,
        }
    }

    fn claimed_by_several(&self, claims: &[Part]) -> RoleFault {
        let others = claims.iter().map(|claim| match claim {
            Part::Fork { join } => self.key(*join),
            Part::Join { fork } => self.key(Some(*fork)),
        });
        let others: Vec<Arc<str>> = others.collect();
        RoleFault {
            code: ResultCode::ForkJoinMismatch,
            message: format!(
                "forkJoinMatch is missing, and that of several gateways names this one: {}; pair it with one of them, and \
                 state the pair at both",
                Keys(&others)
            ),
        }
    }

    fn key(&self, at: Option<usize>) -> Arc<str> {
        let element = at.and_then(|at| self.model.elements().get(at));
        element.map(|element| element.key.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::element::ElementType;
    use crate::model::gateway::{GatewayRole, roles};
    use crate::model::lint;
    use crate::model::validate::tests::{KnownDrafts, check_both, check_ours, judge, model};
    use crate::profile::Profile;
    use crate::value::Value;

    const PAIR: &str = r#"{"forkJoinMatch":{"fork":"f","join":"j"}}"#;

    /// A fork `f` and a join `j` with these properties.
    fn block(fork: &str, join: &str) -> String {
        format!(
            "2 s . a; 1 a s f; 9 f a b,c {fork}; 1 b f t; 4 t b d; 1 d t j; 1 c f j; 9 j d,c x {join}; 1 x j e; 3 e x ."
        )
    }

    /// `f`, then a further block of `g` and `k`, each with these properties.
    fn two_blocks(properties: [&str; 4]) -> String {
        let [fork, join, second_fork, second_join] = properties;
        format!(
            "2 s . a; 1 a s f; 9 f a b,c {fork}; 1 b f j; 1 c f j; 9 j b,c x {join}; 1 x j g; 9 g x m,n {second_fork};
             1 m g k; 1 n g k; 9 k m,n y {second_join}; 1 y k e; 3 e y ."
        )
    }

    fn stating(fork: &str, join: &str) -> String {
        format!(r#"{{"forkJoinMatch":{{"fork":"{fork}","join":"{join}"}}}}"#)
    }

    /// `key:fork` or `key:join of fork` or `key:code` of each gateway.
    fn shown_roles(model: &FlowModel) -> String {
        let shown = roles(model).into_iter().map(|(key, role)| match role {
            Ok(GatewayRole::Fork) => format!("{key}:fork"),
            Ok(GatewayRole::Join(rule)) => format!("{key}:join of {}", rule.fork),
            Err(fault) => format!("{key}:{}", fault.code.number()),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check_roles(text: &str, expected: &str) {
        assert_eq!(shown_roles(&model(text)), expected, "{text}");
    }

    #[test]
    fn pair_is_stated_at_both_ends_as_object_or_text() {
        let text = r#"{"forkJoinMatch":"{\"fork\":\"f\",\"join\":\"j\"}"}"#;
        let other_case = r#"{"forkJoinMatch":{"fork":"F","join":"J"}}"#;
        for fork in [PAIR, text, other_case] {
            for join in [PAIR, text, other_case] {
                check_both(&block(fork, join), &[]);
                lint::tests::check(&block(fork, join), &[]);
                check_roles(&block(fork, join), "f:fork j:join of f");
            }
        }
    }

    #[test]
    fn key_in_exactly_this_case_is_preferred() {
        let text = block(&stating("f", "J"), &stating("f", "j")) + "; 9 J . .";
        check_roles(&text, "J:join of f f:fork j:join of f");
        let text = block(&stating("f", "j"), &stating("f", "j")) + "; 4 F . .";
        check_roles(&text, "f:fork j:join of f");
    }

    #[test]
    fn statement_that_cannot_be_read_is_refused_6004() {
        for unreadable in [
            "5",
            "true",
            "[]",
            "{}",
            "\"f\"",
            "\"{\"",
            "\"[]\"",
            "\"5\"",
            r#"{"fork":"f"}"#,
            r#"{"join":"j"}"#,
            r#"{"fork":"f","join":" "}"#,
            r#"{"fork":"","join":"j"}"#,
            r#"{"fork":5,"join":"j"}"#,
            r#"{"Fork":"f","Join":"j"}"#,
            r#""{\"fork\":\"f\"}""#,
        ] {
            let properties = format!(r#"{{"forkJoinMatch":{unreadable}}}"#);
            check_ours(&block(&properties, PAIR), &["6004 f"]);
            check_ours(&block(PAIR, &properties), &["6004 j"]);
            check_ours(&block(&properties, "{}"), &["6004 f"]);
            check_roles(&block(&properties, PAIR), "f:fork j:join of f");
            check_roles(&block("{}", &properties), "f:fork j:join of f");
        }
    }

    #[test]
    fn fork_whose_branches_all_end_says_that_it_has_no_join() {
        let unjoined = r#"{"forkJoinMatch":{"fork":"f","join":null}}"#;
        let text = format!("2 s . a; 1 a s f; 9 f a b,c {unjoined}; 1 b f e; 1 c f x; 3 e b .; 3 x c .");
        check_both(&text, &[]);
        check_roles(&text, "f:fork");
        // A join that claims it anyway, and one that says it of itself.
        check_ours(&block(unjoined, PAIR), &["6005 j"]);
        check_ours(&block(PAIR, unjoined), &["6004 j"]);
    }

    #[test]
    fn pair_that_does_not_hold_is_refused_6005() {
        // Ends that are not there, or no gateways.
        check_ours(&block(&stating("f", "x y"), PAIR), &["6005 f", "6005 j"]);
        check_roles(&block(&stating("f", "x y"), PAIR), "f:fork j:join of f");
        check_ours(&block(PAIR, &stating("nowhere", "j")), &["6005 f", "6005 j"]);
        check_roles(&block(PAIR, &stating("nowhere", "j")), "f:fork j:6005");
        check_ours(&block(&stating("f", "t"), PAIR), &["6005 f", "6005 j"]);
        check_ours(&block(&stating("f", "e"), ""), &["6005 f", "6004 j"]);
        check_roles(&block(PAIR, &stating("t", "j")), "f:fork j:6005");
        // The same gateway twice.
        check_ours(&block(&stating("f", "f"), PAIR), &["6005 f", "6005 j"]);
        check_roles(&block(&stating("f", "f"), PAIR), "f:fork j:join of f");
        // Neither end is the gateway itself.
        let leaves_out = two_blocks([PAIR, PAIR, PAIR, &stating("g", "k")]);
        check_ours(&leaves_out, &["6005 g", "6005 k"]);
        check_roles(&leaves_out, "f:fork g:6005 j:join of f k:join of g");
        // The ends disagree.
        let second = stating("g", "k");
        let disagree = two_blocks([&stating("f", "k"), PAIR, &second, &second]);
        check_ours(&disagree, &["6005 f", "6005 j"]);
        check_roles(&disagree, "f:fork g:fork j:join of f k:join of g");
        let swapped = block(PAIR, &stating("j", "f"));
        check_ours(&swapped, &["6005 f", "6005 j"]);
    }

    #[test]
    fn gateway_that_several_name_is_refused_6005() {
        let two_joins = two_blocks(["{}", PAIR, &stating("g", "k"), &stating("f", "k")]);
        check_ours(&two_joins, &["6005 f", "6005 g"]);
        check_roles(&two_joins, "f:fork g:fork j:join of f k:join of f");
        let stated = two_blocks([PAIR, PAIR, &stating("g", "k"), &stating("f", "k")]);
        check_ours(&stated, &["6005 g", "6005 k"]);
        let two_forks = two_blocks([PAIR, "{}", &stating("g", "j"), "{}"]);
        check_ours(&two_forks, &["6005 j", "6004 k"]);
        check_roles(&two_forks, "f:fork g:fork j:join of f k:6004");
        let both = two_blocks([PAIR, "{}", "{}", &stating("j", "k")]);
        check_ours(&both, &["6005 j", "6004 g"]);
    }

    #[test]
    fn pair_of_two_types_is_a_warning() {
        let mixed = |fork: &str, join: &str| {
            let text = block(PAIR, PAIR)
                .replace("1 b f t", "1 b f t ?x")
                .replace("1 c f j", "1 c f j ?x");
            text.replace("9 f", fork).replace("9 j", join)
        };
        lint::tests::check(&mixed("10 f", "10 j"), &[]);
        lint::tests::check(&mixed("10 f", "9 j"), &["fork-join-types-differ j"]);
        lint::tests::check(&block(PAIR, PAIR).replace("9 j", "10 j"), &["fork-join-types-differ j"]);
        check_roles(&mixed("10 f", "9 j"), "f:fork j:join of f");
    }

    #[test]
    fn what_one_end_states_holds_for_the_other() {
        for absent in [
            "",
            "{}",
            "null",
            r#"{"forkJoinMatch":null}"#,
            r#"{"forkJoinMatch":" "}"#,
        ] {
            for (text, silent) in [(block(PAIR, absent), "j"), (block(absent, PAIR), "f")] {
                lint::tests::check(&text, &[&format!("fork-join-one-sided {silent}")]);
                check_roles(&text, "f:fork j:join of f");
            }
            lint::tests::check(&block(absent, absent), &["fork-join-inferred f"]);
            check_roles(&block(absent, absent), "f:fork j:join of f");
        }
    }

    #[test]
    fn warnings_say_what_to_write() {
        let found = judge(&model(&block("", "")), &KnownDrafts::new(), Profile::Documented);
        assert_eq!(
            found.warnings[0].message,
            "forkJoinMatch is missing; its branches are taken to be joined by j; set forkJoinMatch of both to \
             {\"fork\": \"f\", \"join\": \"j\"}"
        );
        let found = judge(&model(&block("", PAIR)), &KnownDrafts::new(), Profile::Documented);
        assert_eq!(
            found.warnings[0].message,
            "forkJoinMatch is missing and taken from j; set it to {\"fork\": \"f\", \"join\": \"j\"} here too"
        );
    }

    #[test]
    fn pair_is_not_inferred_where_there_is_a_choice_6004() {
        let neither = &["6004 f", "6004 j"];
        // Of two types.
        check_ours(&block("", "").replace("9 j", "10 j"), neither);
        // One way on, or one way in.
        check_ours("2 s . a; 1 a s f; 9 f a b; 1 b f j; 9 j b x; 1 x j e; 3 e x .", neither);
        // A branch ends.
        check_ours(
            "2 s . a; 1 a s f; 9 f a b,c,d; 1 b f j; 1 c f j; 1 d f e; 9 j b,c x; 1 x j e; 3 e d,x .",
            neither,
        );
        // A way around the fork.
        check_ours(
            "2 s . a; 1 a s g; 6 g a h,i; 1 h g f !; 1 i g j ?x; 9 f h b,c; 1 b f j; 1 c f j; 9 j i,b,c x; 1 x j e; 3 e x .",
            neither,
        );
        // A way around the join.
        check_ours(
            "2 s . a; 1 a s f; 9 f a b,c,d; 1 b f j; 1 c f j; 1 d f t; 9 j b,c x; 1 x j t; 4 t d,x y; 1 y t e; 3 e y .",
            neither,
        );
        // A way back from inside to the fork, and one from the join into it.
        check_ours(
            "2 s . a; 1 a s f; 9 f a,h b,c; 1 b f t; 4 t b d,h; 1 d t j ?x; 1 h t f !; 1 c f j; 9 j c,d x; 1 x j e; 3 e x .",
            neither,
        );
        check_ours(
            "2 s . a; 1 a s f; 9 f a b,c; 1 b f t; 4 t b,h d; 1 d t j; 1 c f j; 9 j c,d x; 1 x j u; 4 u x h,y; 1 h u t ?x; \
             1 y u e !; 3 e y .",
            neither,
        );
        // Two joins for one fork.
        check_ours(
            "2 s . a; 1 a s f; 9 f a b,c,d,g; 1 b f j; 1 c f j; 1 d f k; 1 g f k; 9 j b,c x; 1 x j e; 9 k d,g y; 1 y k e; \
             3 e x,y .",
            &["6004 f", "6004 j", "6004 k"],
        );
        // The join of an inner fork is missing.
        check_ours(
            "2 s . a; 1 a s f; 9 f a b,c; 1 b f g; 9 g b m,n; 1 m g j; 1 n g j; 1 c f j; 9 j c,m,n x; 1 x j e; 3 e x .",
            &["6004 f", "6004 g", "6004 j"],
        );
        // A gateway inside says that it is part of another pair.
        check_ours(
            &format!(
                "2 s . a; 1 a s f; 9 f a b,c; 1 b f g; 9 g b d {}; 1 d g j; 1 c f j; 9 j c,d x; 1 x j e; 3 e x .",
                stating("f", "j")
            ),
            &["6004 f", "6005 g", "6004 j"],
        );
        // A branch comes to the stated join of a fork around, or of one that is not around.
        check_roles(
            &format!(
                "2 s . a; 1 a s f; 9 f a b,c {PAIR}; 1 b f g; 9 g b m,n,o; 1 m g k; 1 n g k; 9 k m,n p; 1 p k j; 1 o g j; \
                 1 c f j; 9 j c,o,p x {PAIR}; 1 x j e; 3 e x ."
            ),
            "f:fork g:6004 j:join of f k:6004",
        );
        check_roles(
            &format!(
                "2 s . a; 1 a s g; 9 g a m,n,o; 1 m g k; 1 n g k; 9 k m,n p; 1 p k f; 1 o g j; 9 f p b,c {PAIR}; 1 b f j; \
                 1 c f j; 9 j o,b,c x {PAIR}; 1 x j e; 3 e x ."
            ),
            "f:fork g:6004 j:join of f k:6004",
        );
        // Another join is stated for the fork.
        check_roles(
            "2 s . a; 1 a s f; 9 f a b,c; 1 b f j; 1 c f j; 9 j b,c x; 1 x j e; 3 e x .; \
             9 k . . {\"forkJoinMatch\":{\"fork\":\"f\",\"join\":\"k\"}}",
            "f:fork j:6004 k:join of f",
        );
        // No key to state.
        check_roles(
            "2 s . a; 1 a s _; 9 _ a b,c; 1 b f j; 1 c f j; 9 j b,c x; 1 x j e; 3 e x .",
            ":6004 j:6004",
        );
    }

    #[test]
    fn deep_nests_and_long_chains_are_paired_without_recursion() {
        let length = 3_000;
        let mut elements = vec!["2 s . i0".to_owned(), "3 e o0 .".to_owned()];
        for level in 0..length {
            let (inner, above) = (
                level + 1,
                if level == 0 {
                    "s".to_owned()
                } else {
                    format!("f{}", level - 1)
                },
            );
            let below = if level == 0 {
                "e".to_owned()
            } else {
                format!("j{}", level - 1)
            };
            elements.push(format!(
                "1 i{level} {above} f{level}; 9 f{level} i{level} i{inner},b{level}"
            ));
            elements.push(format!(
                "1 b{level} f{level} j{level}; 9 j{level} o{inner},b{level} o{level}"
            ));
            elements.push(format!("1 o{level} j{level} {below}"));
        }
        let innermost = length - 1;
        elements.push(format!(
            "1 i{length} f{innermost} t; 4 t i{length} o{length}; 1 o{length} t j{innermost}"
        ));
        let model = model(&elements.join("; "));
        assert_eq!(judge(&model, &KnownDrafts::new(), Profile::Documented).faults, []);
        for (key, role) in roles(&model) {
            match role {
                Ok(GatewayRole::Fork) => assert!(key.starts_with('f')),
                Ok(GatewayRole::Join(rule)) => assert_eq!(rule.fork.replace('f', "j"), *key),
                Err(fault) => panic!("{key}: {fault:?}"),
            }
        }
    }

    /// A part of a model that is entered and left once.
    #[derive(Clone, Debug)]
    pub(in crate::model) enum Block {
        Task,
        Sequence(Vec<Block>),
        Choice(Vec<Block>),
        Loop(Box<Block>),
        Fork(ElementType, Vec<Block>),
    }

    pub(in crate::model) fn any_block() -> impl Strategy<Value = Block> {
        let plain = prop_oneof![Just(Block::Task), Just(Block::Sequence(Vec::new()))].boxed();
        let types = [ElementType::ParallelGateway, ElementType::InclusiveGateway];
        let deeper = move |inner: BoxedStrategy<Block>| {
            let several = proptest::collection::vec(inner.clone(), 0..4);
            let branches = proptest::collection::vec(inner.clone(), 2..4);
            prop_oneof![
                1 => several.prop_map(Block::Sequence),
                1 => branches.clone().prop_map(Block::Choice),
                1 => inner.prop_map(|body| Block::Loop(Box::new(body))),
                3 => (proptest::sample::select(types.to_vec()), branches)
                    .prop_map(|(element_type, branches)| Block::Fork(element_type, branches)),
            ]
            .boxed()
        };
        let two_deep = deeper(deeper(plain.clone()));
        deeper(prop_oneof![two_deep, plain].boxed())
    }

    /// Writes blocks down as elements.
    #[derive(Default)]
    pub(in crate::model) struct Draft {
        pub(in crate::model) elements: Vec<Element>,
        pairs: Vec<(usize, usize)>,
    }

    impl Draft {
        fn node(&mut self, element_type: ElementType) -> usize {
            let at = self.elements.len();
            self.elements.push(Element {
                key: format!("n{at}").into(),
                element_type,
                incoming: Vec::new(),
                outgoing: Vec::new(),
                properties: None,
            });
            at
        }

        fn flow(&mut self, from: usize, to: usize) {
            let flow = self.node(ElementType::SequenceFlow);
            let key = self.elements[flow].key.clone();
            let (source, target) = (self.elements[from].key.clone(), self.elements[to].key.clone());
            let is_choice = self.elements[from].element_type == ElementType::ExclusiveGateway
                || (self.elements[from].element_type == ElementType::InclusiveGateway
                    && self.pairs.iter().all(|(_, join)| *join != from));
            if is_choice {
                let condition = ("conditionsequenceflow".into(), Value::Text("x > 1".into()));
                self.elements[flow].properties = Some(Arc::new([condition].into()));
            }
            self.elements[flow].incoming.push(source);
            self.elements[flow].outgoing.push(target);
            self.elements[from].outgoing.push(key.clone());
            self.elements[to].incoming.push(key);
        }

        /// Puts a block behind a node; the node that it is left by.
        fn block(&mut self, block: &Block, from: usize) -> usize {
            match block {
                Block::Task => {
                    let task = self.node(ElementType::UserTask);
                    self.flow(from, task);
                    task
                }
                Block::Sequence(parts) => parts.iter().fold(from, |from, part| self.block(part, from)),
                Block::Choice(branches) => {
                    let (split, merge) = (
                        self.node(ElementType::ExclusiveGateway),
                        self.node(ElementType::ExclusiveGateway),
                    );
                    self.branches(from, split, branches, merge)
                }
                Block::Loop(body) => {
                    let (merge, split) = (
                        self.node(ElementType::ExclusiveGateway),
                        self.node(ElementType::ExclusiveGateway),
                    );
                    self.flow(from, merge);
                    let task = self.block(&Block::Task, merge);
                    let end = self.block(body, task);
                    self.flow(end, split);
                    self.flow(split, merge);
                    split
                }
                Block::Fork(element_type, branches) => {
                    let (fork, join) = (self.node(*element_type), self.node(*element_type));
                    self.pairs.push((fork, join));
                    self.branches(from, fork, branches, join)
                }
            }
        }

        fn branches(&mut self, from: usize, split: usize, branches: &[Block], merge: usize) -> usize {
            self.flow(from, split);
            for branch in branches {
                let end = self.block(branch, split);
                self.flow(end, merge);
            }
            merge
        }

        pub(in crate::model) fn of(block: &Block) -> Self {
            let mut draft = Self::default();
            let start = draft.node(ElementType::StartEvent);
            let end = draft.block(block, start);
            let stop = draft.node(ElementType::EndEvent);
            draft.flow(end, stop);
            draft
        }

        /// Damages the model: leads sequence flows, each chosen by a number, to the nodes chosen by another.
        pub(in crate::model) fn lead_elsewhere(&mut self, changes: &[(usize, usize)]) {
            let of_kind = |is_flow: bool| {
                let elements = self.elements.iter().enumerate();
                let found = elements.filter(|(_, e)| (e.element_type == ElementType::SequenceFlow) == is_flow);
                found.map(|(at, _)| at).collect::<Vec<_>>()
            };
            let (flows, nodes) = (of_kind(true), of_kind(false));
            for (flow, node) in changes {
                let (flow, node) = (flows[flow % flows.len()], nodes[node % nodes.len()]);
                self.elements[flow].outgoing = vec![self.elements[node].key.clone()];
            }
        }

        /// The model with the pairs stated at the ends that are not left out.
        fn model(&self, is_left_out: impl Fn(usize) -> bool) -> FlowModel {
            let mut elements = self.elements.clone();
            for (fork, join) in &self.pairs {
                for at in [*fork, *join].into_iter().filter(|at| !is_left_out(*at)) {
                    state(&mut elements, at, *fork, *join);
                }
            }
            FlowModel::new(elements)
        }
    }

    fn state(elements: &mut [Element], at: usize, fork: usize, join: usize) {
        let [fork, join] = [fork, join].map(|end| Value::Text(elements[end].key.clone()));
        let pair = Value::Map(Arc::new([("fork".into(), fork), ("join".into(), join)].into()));
        let mut properties = elements[at].properties.as_deref().cloned().unwrap_or_default();
        properties.insert("forkJoinMatch".into(), pair);
        elements[at].properties = Some(Arc::new(properties));
    }

    fn slugs(model: &FlowModel, profile: Profile) -> Vec<&'static str> {
        let found = judge(model, &KnownDrafts::new(), profile);
        assert_eq!(found.faults, []);
        found.warnings.iter().map(|warning| warning.slug).collect()
    }

    /// A model of blocks in which some sequence flows lead elsewhere, some statements are left out and some are wrong.
    fn damaged_model() -> impl Strategy<Value = FlowModel> {
        let changes = proptest::collection::vec(any::<(usize, usize)>(), 0..3);
        let wrong = proptest::collection::vec(any::<(usize, usize, usize)>(), 0..3);
        (any_block(), changes, any::<u64>(), wrong).prop_map(|(block, changes, left_out, wrong)| {
            let mut draft = Draft::of(&block);
            draft.lead_elsewhere(&changes);
            let mut elements = draft.model(|at| left_out >> (at % 64) & 1 == 1).elements().to_vec();
            let ends: Vec<usize> = draft.pairs.iter().flat_map(|(fork, join)| [*fork, *join]).collect();
            let end = |number: usize| ends.get(number % ends.len().max(1)).copied();
            for (at, fork, join) in wrong {
                if let (Some(at), Some(fork), Some(join)) = (end(at), end(fork), end(join)) {
                    state(&mut elements, at, fork, join);
                }
            }
            FlowModel::new(elements)
        })
    }

    /// A model of a few nodes with edges and statements as they come.
    fn any_model() -> impl Strategy<Value = FlowModel> {
        const KEYS: [&str; 13] = ["a", "b", "c", "d", "e", "f", "g", "h", "A", "h", "", "x", "nowhere"];
        const TYPES: [i64; 13] = [9, 9, 9, 9, 10, 10, 10, 6, 4, 3, 2, 1, 5];
        let key = || proptest::sample::select(&KEYS[..]);
        let pair = (key(), key())
            .prop_map(|(fork, join)| Value::from_json(&format!(r#"{{"fork":"{fork}","join":"{join}"}}"#)).unwrap());
        let statement = prop_oneof![
            4 => Just(None),
            4 => pair.prop_map(Some),
            1 => Just(Some(Value::Bool(true))),
            1 => Just(Some(Value::Text(r#"{"fork":"a","join":"b"}"#.into()))),
        ];
        let element = (
            proptest::sample::select(&TYPES[..]),
            proptest::collection::vec(key(), 0..4),
            statement,
        );
        proptest::collection::vec(element, 0..12).prop_map(|elements| {
            let start = ("s", (2, vec!["a", "b"], None));
            let named = std::iter::once(start).chain(KEYS.into_iter().zip(elements));
            let elements = named.map(|(key, (number, outgoing, statement))| Element {
                key: key.into(),
                element_type: ElementType::from_number(number),
                incoming: Vec::new(),
                outgoing: outgoing.into_iter().map(Into::into).collect(),
                properties: statement.map(|pair| Arc::new([("forkJoinMatch".into(), pair)].into())),
            });
            FlowModel::new(elements.collect())
        })
    }

    proptest! {
        #[test]
        fn blocks_are_paired_as_they_were_built(block in any_block(), left_out in any::<u64>()) {
            let draft = Draft::of(&block);
            let stated = draft.model(|_| false);
            for profile in [Profile::Documented, Profile::Turbo131] {
                prop_assert_eq!(slugs(&stated, profile), Vec::<&str>::new());
            }
            let silent = draft.model(|_| true);
            prop_assert_eq!(roles(&silent), roles(&stated));
            prop_assert_eq!(slugs(&silent, Profile::Documented), vec!["fork-join-inferred"; draft.pairs.len()]);
            let some = draft.model(|at| left_out >> (at % 64) & 1 == 1);
            prop_assert_eq!(roles(&some), roles(&stated));
            for slug in slugs(&some, Profile::Documented) {
                prop_assert!(["fork-join-inferred", "fork-join-one-sided"].contains(&slug));
            }
        }

        #[test]
        fn every_gateway_has_a_role_or_a_reason(model in prop_oneof![any_model(), damaged_model()]) {
            let gateways = model.elements().iter().enumerate().filter(|(at, element)| {
                element.element_type.is_fork_or_join() && model.index_of(&element.key) == Some(*at)
            });
            let keys: BTreeSet<Arc<str>> = gateways.map(|(_, element)| element.key.clone()).collect();
            prop_assert_eq!(roles(&model).into_keys().collect::<BTreeSet<_>>(), keys);
            let refused = judge(&model, &KnownDrafts::new(), Profile::Documented);
            let warned = judge(&model, &KnownDrafts::new(), Profile::Turbo131);
            for (key, role) in roles(&model) {
                let is_named = |slug: &&str| warned.warnings.iter().any(|w| {
                    w.slug == *slug && w.element_key.as_deref().unwrap_or_default() == &*key
                });
                if let Err(fault) = role {
                    prop_assert!(refused.faults.iter().any(|f| f.code == fault.code && f.element_key.as_deref().unwrap_or_default() == &*key));
                    prop_assert!(is_named(&fault.code.entry().slug));
                }
            }
        }

        #[test]
        fn stating_what_was_inferred_changes_nothing(model in prop_oneof![any_model(), damaged_model()]) {
            let pairs = Pairs::of(&model);
            let mut elements = model.elements().to_vec();
            let mut inferred = BTreeSet::new();
            for (at, gateway) in pairs.iter().filter(|(_, gateway)| gateway.origin == Origin::Inferred) {
                let (fork, join) = match gateway.part.clone().unwrap() {
                    Part::Fork { join } => (at, join.unwrap()),
                    Part::Join { fork } => (fork, at),
                };
                state(&mut elements, at, fork, join);
                inferred.insert(at);
            }
            let stated = FlowModel::new(elements);
            prop_assert_eq!(roles(&stated), roles(&model));
            for (at, gateway) in Pairs::of(&stated).iter() {
                prop_assert!(gateway.origin != Origin::Inferred);
                prop_assert!(!inferred.contains(&at) || gateway.fault().is_none());
            }
        }
    }
}
