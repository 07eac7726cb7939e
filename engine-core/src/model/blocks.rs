//! In which branches of which forks a token stands at each element, told by one walk along the ways of the model.
//! Knows which gateways fork and join, nothing of how they say so.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::element::ElementType;
use crate::model::flow_model::FlowModel;
use crate::model::pairs::{Pairs, Part};
use crate::model::validate::{Findings, Shortened};

/// What the walk takes a gateway for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It opens branches.
    Fork,
    /// It joins the branches of this fork.
    Join { fork: usize },
    /// It may be an end of a pair that nobody states.
    Open,
    /// What it does cannot be told; the walk goes straight through.
    Unclear,
}

impl Kind {
    pub(super) fn of(part: Option<&Part>) -> Self {
        match part {
            Some(Part::Fork { .. }) => Self::Fork,
            Some(Part::Join { fork }) => Self::Join { fork: *fork },
            None => Self::Unclear,
        }
    }
}

/// The pairs, fork first, among the gateways of kind [`Kind::Open`], where the ways leave no choice.
///
/// Such a fork has several ways on, such a join one way on and several that lead to it. All that leaves the fork comes
/// to the join before it comes to an end, and nothing else does; nor does anything inside come back to the fork. Both
/// are of one type. Between them there are only whole pairs, stated or inferred.
pub(super) fn infer(model: &FlowModel, kinds: BTreeMap<usize, Kind>) -> Vec<(usize, usize)> {
    let mut walk = Walk::through(model, kinds);
    let is_open = |fork: &&usize| walk.kinds.get(*fork) == Some(&Kind::Open) && !walk.joined_by.contains_key(*fork);
    let alone: Vec<usize> = walk.forks.keys().filter(is_open).copied().collect();
    for fork in alone {
        walk.doubt(Some(fork));
    }
    let pairs = walk.joined_by.iter().map(|(fork, join)| (*fork, *join));
    pairs.filter(|(fork, _)| !walk.is_doubtful(*fork)).collect()
}

/// Warns where a token gets into a block, from a fork to its join, or out of it, otherwise than by these two or an end
/// event.
///
/// Says nothing while there is a gateway without a part: then the blocks are not known.
pub(super) fn block_edges(findings: &mut Findings<'_>, pairs: &Pairs) {
    let model = findings.model;
    let kinds: BTreeMap<usize, Kind> = pairs
        .iter()
        .map(|(at, gateway)| (at, Kind::of(gateway.part.as_ref().ok())))
        .collect();
    if kinds.values().any(|kind| *kind == Kind::Unclear) {
        return;
    }
    let key = |at: usize| model.elements().get(at).map_or("", |element| &element.key);
    let join_of = |fork: usize| match pairs.part(fork) {
        Some(Part::Fork { join: Some(join) }) => Shortened(key(join)).to_string(),
        _ => "a join".to_owned(),
    };
    for ((at, crossing), fork) in Walk::through(model, kinds).crossings {
        let (join, fork) = (join_of(fork), Shortened(key(fork)));
        let (slug, message) = match crossing {
            Crossing::Meeting => (
                "block-crossed",
                format!(
                    "reached both from inside the branches of {fork} and from outside; let them be entered only by that \
                     fork, and left only by {join} or an end event"
                ),
            ),
            Crossing::OuterJoin => (
                "join-of-outer-fork",
                format!(
                    "a branch of {fork} comes to this join of a fork around it; lead the branch through {join} first, or \
                     to an end event"
                ),
            ),
            Crossing::NoFork => (
                "join-without-fork",
                format!(
                    "a way leads here that does not come through the fork {fork}, and fails with 6005 when it is taken; \
                     lead it through the fork, or past this join"
                ),
            ),
        };
        findings.warn(at, slug, message);
    }
}

/// A place where ways go across the edge of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Crossing {
    /// Ways from inside and from outside the branches of a fork meet.
    Meeting,
    /// A branch of a fork comes to the join of another fork, which is around it.
    OuterJoin,
    /// A way comes to a join from outside the branches of its fork.
    NoFork,
}

/// The innermost fork in whose branches a token stands; `None` outside of all.
type Scope = Option<usize>;

/// The walk: each element is entered once, with the scope of the way that comes first; other ways are compared.
struct Walk<'m> {
    model: &'m FlowModel,
    kinds: BTreeMap<usize, Kind>,
    /// How many elements lead to each.
    sources: Vec<usize>,
    /// The scope of the way that came first; a join's is that of its fork.
    scopes: Vec<Option<Scope>>,
    forks: BTreeMap<usize, Fork>,
    /// For a fork of an open pair: the first join that its branches come to.
    joined_by: BTreeMap<usize, usize>,
    /// The first crossing of each kind at each element, with the fork whose block it is.
    crossings: BTreeMap<(usize, Crossing), usize>,
    /// Ways still to go: the element they lead to, and the scope.
    open: Vec<(usize, Scope)>,
}

/// A fork as a node of the tree of scopes.
struct Fork {
    parent: Scope,
    depth: usize,
    /// A scope further out, so that one far out is found in few steps.
    jump: Scope,
    /// Something about its branches or those around leaves a choice.
    is_doubtful: bool,
}

impl<'m> Walk<'m> {
    fn through(model: &'m FlowModel, kinds: BTreeMap<usize, Kind>) -> Self {
        let elements = model.elements();
        let mut walk = Self {
            model,
            kinds,
            sources: vec![0; elements.len()],
            scopes: vec![None; elements.len()],
            forks: BTreeMap::new(),
            joined_by: BTreeMap::new(),
            crossings: BTreeMap::new(),
            open: Vec::new(),
        };
        for at in 0..elements.len() {
            for next in walk.ways_on(at) {
                if let Some(sources) = walk.sources.get_mut(next) {
                    *sources = sources.saturating_add(1);
                }
            }
        }
        let starts = elements.iter().enumerate();
        let starts = starts.filter(|(_, element)| element.element_type == ElementType::StartEvent);
        walk.open = starts.rev().map(|(at, _)| (at, None)).collect();
        while let Some((at, scope)) = walk.open.pop() {
            walk.arrive(at, scope);
        }
        walk
    }

    /// The elements that a token can go on to, each once, in order.
    fn ways_on(&self, at: usize) -> Vec<usize> {
        let Some(element) = self.model.elements().get(at) else {
            return Vec::new();
        };
        let listed = match (element.element_type, self.kinds.get(&at)) {
            (ElementType::EndEvent, _) => 0,
            (ElementType::SequenceFlow | ElementType::StartEvent | ElementType::CallActivity, _)
            | (_, Some(Kind::Join { .. })) => 1,
            (
                ElementType::UserTask
                | ElementType::ExclusiveGateway
                | ElementType::ParallelGateway
                | ElementType::InclusiveGateway
                | ElementType::Unknown(_),
                _,
            ) => element.outgoing.len(),
        };
        let mut seen = BTreeSet::new();
        let keys = element.outgoing.iter().take(listed);
        keys.filter_map(|key| self.model.index_of(key))
            .filter(|next| seen.insert(*next))
            .collect()
    }

    /// A token comes to an element in this scope.
    fn arrive(&mut self, at: usize, scope: Scope) {
        match self.kinds.get(&at).copied() {
            Some(Kind::Join { fork }) => self.arrive_at_join(at, fork, scope),
            kind => {
                if kind == Some(Kind::Unclear) {
                    self.doubt(scope);
                }
                match self.scope(at) {
                    None => self.enter(at, scope),
                    Some(first) if first != scope => self.meet(at, first, scope),
                    Some(_) => {}
                }
            }
        }
    }

    fn arrive_at_join(&mut self, join: usize, fork: usize, scope: Scope) {
        if !self.is_inside(scope, fork) {
            self.doubt(scope);
            self.crosses(join, Crossing::NoFork, fork);
            return;
        }
        if let Some(inner) = scope
            && inner != fork
        {
            self.doubt(scope);
            self.crosses(join, Crossing::OuterJoin, inner);
        }
        if self.scope(join).is_none() {
            self.enter(join, self.around(fork));
        }
    }

    /// A token comes to an element for the first time, and goes on.
    fn enter(&mut self, at: usize, scope: Scope) {
        if let Some(entered) = self.scopes.get_mut(at) {
            *entered = Some(scope);
        }
        let scope = self.leave(at, scope);
        let next = self.ways_on(at);
        if next.is_empty() {
            self.doubt(scope);
        }
        self.open.extend(next.into_iter().rev().map(|next| (next, scope)));
    }

    /// Two ways in different scopes come to one element.
    fn meet(&mut self, at: usize, one: Scope, other: Scope) {
        self.doubt(one);
        self.doubt(other);
        if self.is_end(at) {
            return;
        }
        let inside_only = |inside: Scope, outside: Scope| inside.filter(|fork| !self.is_inside(outside, *fork));
        if let Some(fork) = inside_only(one, other).or_else(|| inside_only(other, one)) {
            self.crosses(at, Crossing::Meeting, fork);
        }
    }

    fn crosses(&mut self, at: usize, crossing: Crossing, fork: usize) {
        self.crossings.entry((at, crossing)).or_insert(fork);
    }

    /// The scope in which a token goes on from an element that it entered in this scope.
    fn leave(&mut self, at: usize, scope: Scope) -> Scope {
        let is_fork = match self.kinds.get(&at) {
            None | Some(Kind::Join { .. } | Kind::Unclear) => return scope,
            Some(Kind::Fork) => true,
            Some(Kind::Open) => self.ways_on(at).len() > 1,
        };
        if is_fork {
            self.branch(at, scope);
            return Some(at);
        }
        if let Some(fork) = scope.filter(|fork| self.may_join(*fork, at)) {
            // A second join for the same fork leaves a choice.
            if *self.joined_by.entry(fork).or_insert(at) != at {
                self.doubt(scope);
            }
            return self.around(fork);
        }
        self.doubt(scope);
        scope
    }

    /// Opens the branches of a fork that was entered in this scope.
    fn branch(&mut self, fork: usize, parent: Scope) {
        let jump = self.jump(parent);
        let far = self.jump(jump);
        let is_even =
            self.depth(parent).saturating_sub(self.depth(jump)) == self.depth(jump).saturating_sub(self.depth(far));
        let node = Fork {
            parent,
            depth: self.depth(parent).saturating_add(1),
            jump: if is_even { far } else { parent },
            is_doubtful: false,
        };
        self.forks.insert(fork, node);
    }

    /// Whether two open gateways look like the ends of one pair, the first as its fork.
    fn may_join(&self, fork: usize, join: usize) -> bool {
        let elements = self.model.elements();
        let (Some(forking), Some(joining)) = (elements.get(fork), elements.get(join)) else {
            return false;
        };
        self.kinds.get(&fork) == Some(&Kind::Open)
            && forking.element_type == joining.element_type
            && joining.outgoing.len() == 1
            && self.ways_on(join).len() == 1
            && self.sources.get(join).is_some_and(|sources| *sources > 1)
    }

    /// Marks the forks of a scope, from the innermost to the outermost: what is inferred about them is not safe.
    fn doubt(&mut self, scope: Scope) {
        let mut scope = scope;
        while let Some(fork) = scope.and_then(|fork| self.forks.get_mut(&fork)) {
            if std::mem::replace(&mut fork.is_doubtful, true) {
                return;
            }
            scope = fork.parent;
        }
    }

    fn is_doubtful(&self, fork: usize) -> bool {
        self.forks.get(&fork).is_none_or(|fork| fork.is_doubtful)
    }

    /// Whether a scope lies in the branches of a fork, in a number of steps that grows as the logarithm of its depth.
    fn is_inside(&self, scope: Scope, fork: usize) -> bool {
        let depth = self.depth(Some(fork));
        let mut scope = scope;
        while self.depth(scope) > depth {
            let jump = self.jump(scope);
            scope = if self.depth(jump) < depth {
                scope.and_then(|inner| self.around(inner))
            } else {
                jump
            };
        }
        depth > 0 && scope == Some(fork)
    }

    fn depth(&self, scope: Scope) -> usize {
        scope
            .and_then(|fork| self.forks.get(&fork))
            .map_or(0, |fork| fork.depth)
    }

    fn jump(&self, scope: Scope) -> Scope {
        scope.and_then(|fork| self.forks.get(&fork)).and_then(|fork| fork.jump)
    }

    /// The scope that a fork stands in.
    fn around(&self, fork: usize) -> Scope {
        self.forks.get(&fork).and_then(|fork| fork.parent)
    }

    /// The scope in which an element was entered; `None` as long as it was not.
    fn scope(&self, at: usize) -> Option<Scope> {
        self.scopes.get(at).copied().flatten()
    }

    fn is_end(&self, at: usize) -> bool {
        let element = self.model.elements().get(at);
        element.is_some_and(|element| element.element_type == ElementType::EndEvent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::lint::tests::check;
    use crate::model::pairs::tests::{Draft, any_block};

    const PAIR: &str = r#"{"forkJoinMatch":{"fork":"f","join":"j"}}"#;
    const INNER: &str = r#"{"forkJoinMatch":{"fork":"g","join":"k"}}"#;

    /// A fork `f` with a task `t` and a task `u` before its join `j`, and a task `v` behind it; with what is replaced.
    fn block(replaced: &[(&str, &str)]) -> String {
        let mut text = format!(
            "2 s . a; 1 a s m; 6 m a n; 1 n m f !; 9 f n b,c {PAIR}; 1 b f t; 4 t b d; 1 d t j; 1 c f u; 4 u c k; 1 k u j; \
             9 j d,k x {PAIR}; 1 x j v; 4 v x y; 1 y v e; 3 e y ."
        );
        for (old, new) in replaced {
            assert!(text.contains(old), "{old}");
            text = text.replace(old, new);
        }
        text
    }

    #[test]
    fn blocks_that_are_entered_and_left_by_their_ends_have_no_warnings() {
        check(&block(&[]), &[]);
        // A branch that ends, one that loops in itself, a loop around the block, and a choice before the join.
        check(
            &block(&[
                ("4 t b d", "4 t b d,z"),
                ("1 d t j", "1 d t j ?x; 1 z t e !"),
                ("3 e y", "3 e y,z"),
            ]),
            &[],
        );
        check(
            &block(&[("4 t b d", "4 t b,z d,z"), ("1 d t j", "1 d t j ?x; 1 z t t !")]),
            &[],
        );
        check(
            &block(&[
                ("4 v x y", "4 v x y,z"),
                ("1 y v e", "1 y v e ?x; 1 z v m !"),
                ("6 m a n", "6 m a,z n"),
            ]),
            &[],
        );
        check(
            &block(&[
                ("4 t b d", "4 t b d,z"),
                ("1 d t j", "1 d t j ?x; 1 z t j !"),
                ("9 j d,k x", "9 j d,k,z x"),
            ]),
            &[],
        );
    }

    #[test]
    fn way_out_of_a_block_is_named() {
        let past_join = [
            ("1 d t j", "1 d t v"),
            ("9 j d,k x", "9 j k x"),
            ("4 v x y", "4 v x,d y"),
        ];
        check(&block(&past_join), &["block-crossed v"]);
        let back = [
            ("4 t b d", "4 t b d,z"),
            ("1 d t j", "1 d t j ?x; 1 z t m !"),
            ("6 m a n", "6 m a,z n"),
        ];
        check(&block(&back), &["block-crossed m"]);
    }

    #[test]
    fn way_into_a_block_is_named() {
        let into = |target: (&'static str, &'static str), way: &'static str| {
            block(&[("6 m a n", "6 m a n,z"), ("1 n m f !", way), target])
        };
        check(
            &into(("4 t b d", "4 t b,z d"), "1 n m f !; 1 z m t ?x"),
            &["block-crossed t"],
        );
        check(
            &into(("9 j d,k x", "9 j d,k,z x"), "1 n m f !; 1 z m j ?x"),
            &["join-without-fork j"],
        );
        let again = [
            ("4 v x y", "4 v x y,z"),
            ("1 y v e", "1 y v e ?x; 1 z v t !"),
            ("4 t b d", "4 t b,z d"),
        ];
        check(&block(&again), &["block-crossed t"]);
    }

    #[test]
    fn branch_that_comes_to_the_join_of_an_outer_fork_is_named() {
        let nested = |inner_end: &str, outer_end: &str| {
            format!(
                "2 s . a; 1 a s f; 9 f a b,c {PAIR}; 1 b f g; 9 g b m,n {INNER}; 1 m g k; 1 n g t; 4 t n o; \
                 1 o t {inner_end}; 9 k m{} p {INNER}; 1 p k j; 1 c f j; 9 j c,p{outer_end} x {PAIR}; 1 x j e; 3 e x .",
                if inner_end == "k" { ",o" } else { "" }
            )
        };
        check(&nested("k", ""), &[]);
        check(&nested("j", ",o"), &["join-of-outer-fork j"]);
    }

    #[test]
    fn blocks_are_not_judged_while_a_gateway_has_no_part() {
        let text = block(&[
            ("6 m a n", "6 m a n,z"),
            ("1 n m f !", "1 n m f !; 1 z m t ?x"),
            ("4 t b d", "4 t b,z d"),
            ("1 y v e", "1 y v h; 9 h y q; 1 q h e"),
            ("3 e y", "3 e q"),
        ]);
        let model = crate::model::validate::tests::model(&text);
        let drafts = crate::model::validate::tests::KnownDrafts::new();
        let found = crate::model::validate::tests::judge(&model, &drafts, crate::profile::Profile::Turbo131);
        let slugs: Vec<&str> = found.warnings.iter().map(|warning| warning.slug).collect();
        assert_eq!(slugs, ["parallel-attributes"]);
    }

    /// What can be reached from `from` without entering `without`.
    fn reach(edges: &[Vec<usize>], from: &[usize], without: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut open = from.to_vec();
        while let Some(at) = open.pop() {
            if at != without && seen.insert(at) {
                open.extend(&edges[at]);
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn inferred_pairs_are_the_ends_of_blocks(
            block in any_block(),
            changes in proptest::collection::vec(any::<(usize, usize)>(), 0..3)
        ) {
            let mut draft = Draft::of(&block);
            draft.lead_elsewhere(&changes);
            let model = FlowModel::new(draft.elements);
            let elements = model.elements();
            let edges: Vec<Vec<usize>> = elements.iter().map(|element| {
                element.outgoing.iter().map(|key| model.index_of(key).unwrap()).collect()
            }).collect();
            let gateways = elements.iter().enumerate().filter(|(_, element)| element.element_type.is_fork_or_join());
            let kinds: BTreeMap<usize, Kind> = gateways.map(|(at, _)| (at, Kind::Open)).collect();
            let pairs = infer(&model, kinds.clone());
            let mut blocks: Vec<BTreeSet<usize>> = Vec::new();
            for (fork, join) in &pairs {
                // Nothing comes to the join but through the fork, not even again, and it is the other way round as well.
                prop_assert!(!reach(&edges, &[0], *fork).contains(join), "{pairs:?}");
                prop_assert!(!reach(&edges, &edges[*join], *fork).contains(join), "{pairs:?}");
                let inside = reach(&edges, &edges[*fork], *join);
                prop_assert!(!inside.contains(fork), "{pairs:?}");
                prop_assert!(inside.iter().all(|at| !edges[*at].is_empty()), "{pairs:?}");
                // Inside there are whole pairs only.
                for at in inside.iter().filter(|at| kinds.contains_key(at)) {
                    let pair = pairs.iter().find(|(fork, join)| fork == at || join == at);
                    prop_assert!(pair.is_some_and(|(fork, join)| inside.contains(fork) && inside.contains(join)), "{pairs:?}");
                }
                blocks.push(inside.into_iter().chain([*fork, *join]).collect());
            }
            for one in &blocks {
                for other in &blocks {
                    prop_assert!(one.is_disjoint(other) || one.is_subset(other) || other.is_subset(one), "{pairs:?}");
                }
            }
            // A block without other gateways, clear of all around it, is found.
            for (fork, join) in kinds.keys().flat_map(|fork| kinds.keys().map(move |join| (*fork, *join))) {
                let inside = reach(&edges, &edges[fork], join);
                let around = [reach(&edges, &[0], fork), reach(&edges, &edges[join], fork)];
                let is_block = edges[fork].len() > 1
                    && edges[join].len() == 1
                    && edges.iter().filter(|next| next.contains(&join)).count() > 1
                    && elements[fork].element_type == elements[join].element_type
                    && reach(&edges, &[0], usize::MAX).contains(&fork)
                    && reach(&edges, &[fork], usize::MAX).contains(&join)
                    && !inside.contains(&fork)
                    && !inside.iter().any(|at| kinds.contains_key(at))
                    && inside.iter().all(|at| !edges[*at].is_empty())
                    && around.iter().all(|around| around.is_disjoint(&inside) && !around.contains(&join));
                prop_assert!(!is_block || pairs.contains(&(fork, join)), "{fork} {join} {pairs:?}");
            }
        }
    }
}
