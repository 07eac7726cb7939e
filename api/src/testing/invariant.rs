//! What must hold of every run, and how it is watched.

use std::fmt;
use std::sync::Arc;

use flowledger_engine_core::instance::FlowStatus;
use flowledger_engine_core::invariant::{CompiledInvariant, CompiledRule, InvariantExpression};
use flowledger_engine_core::result_code::ResultCode;

use super::moment::Moment;

/// Whether something is so; an error where what the author wrote has no answer.
type Seen = Arc<dyn Fn(&Moment<'_>) -> Result<bool, String> + Send + Sync>;

/// Something that must hold of every run.
#[derive(Clone)]
pub struct Invariant {
    name: Arc<str>,
    rule: Rule,
}

#[derive(Clone)]
enum Rule {
    Never(Seen),
    Always(Seen),
    Eventually { commits: usize, good: Seen },
    LeadsTo { commits: usize, first: Seen, then: Seen },
}

/// How far an invariant has come in one run.
#[derive(Clone, Default)]
pub(super) struct Watch {
    /// Successful commits so far.
    commits: usize,
    /// Whether what must come once has come.
    has_come: bool,
    /// The number of commits at which what leads to something was seen, as long as that has not come.
    awaited_since: Option<usize>,
}

impl Invariant {
    /// At no time may this be so.
    pub fn never(name: &str, bad: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::new(name, Rule::Never(seen(bad)))
    }

    /// At all times this must be so.
    pub fn always(name: &str, good: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self::new(name, Rule::Always(seen(good)))
    }

    /// With so many successful commits this must have been so at some time.
    pub fn eventually(name: &str, commits: usize, good: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Self {
        let good = seen(good);
        Self::new(name, Rule::Eventually { commits, good })
    }

    /// Whenever the first is so, the second must be so at that time, or with so many more successful commits.
    pub fn leads_to(
        name: &str,
        commits: usize,
        first: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static,
        then: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (first, then) = (seen(first), seen(then));
        Self::new(name, Rule::LeadsTo { commits, first, then })
    }

    /// Nobody commits both of these tasks in one instance; rolled back visits do not count.
    pub fn four_eyes(one: &str, other: &str) -> Self {
        let name = format!("{one} and {other} are done by different people");
        let (one, other) = (one.to_owned(), other.to_owned());
        Self::never(&name, move |now| {
            !now.operators(&one).is_disjoint(&now.operators(&other))
        })
    }

    /// No commit may fail on its way.
    pub fn no_commit_fails() -> Self {
        Self::never("no commit fails", |now| now.failed_with.is_some())
    }

    /// No commit fails for any other reason than a missing variable (4015), which its caller can give.
    pub fn commits_go_on() -> Self {
        Self::never("no commit fails but for a missing variable", |now| {
            now.failed_with
                .is_some_and(|code| code != ResultCode::ExpressionDataMissing.number())
        })
    }

    /// A running instance has a task at which it can go on.
    pub fn never_stuck() -> Self {
        Self::never("a running instance has a task that waits", |now| {
            now.status() == FlowStatus::Running && now.waits_at().is_empty()
        })
    }

    fn new(name: &str, rule: Rule) -> Self {
        Self {
            name: name.into(),
            rule,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What a model or a properties file says must hold.
    pub(super) fn of_model(invariant: &CompiledInvariant) -> Self {
        let commits = |within: u32| usize::try_from(within).unwrap_or(usize::MAX);
        let rule = match &invariant.rule {
            CompiledRule::Never(bad) => Rule::Never(expression(bad, false)),
            CompiledRule::Always(good) => Rule::Always(expression(good, true)),
            CompiledRule::Eventually { good, within } => Rule::Eventually {
                commits: commits(*within),
                good: expression(good, false),
            },
            CompiledRule::Whenever { first, then, within } => Rule::LeadsTo {
                commits: commits(*within),
                first: expression(first, false),
                then: expression(then, false),
            },
            CompiledRule::DifferentOperators(_) => {
                let invariant = invariant.clone();
                Rule::Always(Arc::new(move |now| {
                    invariant.broken_at(&now.in_model).map_or(Ok(true), Err)
                }))
            }
        };
        Self::new(&invariant.name, rule)
    }

    /// Looks at the next moment of a run.
    ///
    /// # Errors
    /// It does not hold; with the reason, where the moment does not show it.
    pub(super) fn holds(&self, watch: &mut Watch, now: &Moment<'_>, is_commit: bool) -> Result<(), Option<String>> {
        watch.commits += usize::from(is_commit);
        let holds = match &self.rule {
            Rule::Never(bad) => !bad(now).map_err(Some)?,
            Rule::Always(good) => good(now).map_err(Some)?,
            Rule::Eventually { commits, good } => {
                watch.has_come = watch.has_come || good(now).map_err(Some)?;
                watch.has_come || watch.commits < *commits
            }
            Rule::LeadsTo { commits, first, then } => {
                if watch.awaited_since.is_none() && first(now).map_err(Some)? {
                    watch.awaited_since = Some(watch.commits);
                }
                if watch.awaited_since.is_some() && then(now).map_err(Some)? {
                    watch.awaited_since = None;
                }
                watch
                    .awaited_since
                    .is_none_or(|since| watch.commits < since.saturating_add(*commits))
            }
        };
        if holds { Ok(()) } else { Err(None) }
    }
}

fn seen(holds: impl Fn(&Moment<'_>) -> bool + Send + Sync + 'static) -> Seen {
    Arc::new(move |now| Ok(holds(now)))
}

/// Whether an expression is so; `untold` where that cannot be told.
fn expression(expression: &InvariantExpression, untold: bool) -> Seen {
    let expression = expression.clone();
    Arc::new(move |now| match expression.holds(&now.in_model) {
        Ok(holds) => Ok(holds.unwrap_or(untold)),
        Err(error) => Err(expression.told(&error)),
    })
}

impl fmt::Debug for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Invariant").field(&self.name).finish()
    }
}
