//! What must hold of the instances of a model, as data: how it is written, compiled, and looked at in an instance. Knows no
//! run: what was seen at earlier moments is kept by whoever looks.
//!
//! The expressions are conditions of the built-in language over the instance's variables and the words of [`Word`].
//!
//! ```
//! use flowledger_engine_core::invariant::Invariant;
//!
//! let text = r#"{"name": "much is paid only with approval",
//!     "never": "'pay' in waits && amount > 1000 && visits.approve == 0"}"#;
//! let invariant: Invariant = serde_json::from_str(text)?;
//! assert!(invariant.compile().is_ok());
//! # Ok::<(), serde_json::Error>(())
//! ```

mod moment;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::moment::Moment;
use crate::expression::{CompiledExpression, ExpressionError, Vocabulary};
use crate::value::{Value, shortened};

/// Most invariants of one model, or of one list.
pub const MAX_INVARIANTS: usize = 100;
/// Most characters of an invariant's name.
pub const MAX_NAME_CHARS: usize = 200;
/// Most commits that an invariant waits.
pub const MAX_WITHIN: u32 = 10_000;
/// Most elements that are to be done by different operators.
pub const MAX_ELEMENTS: usize = 50;
/// Characters of an expression that a message repeats.
const SHOWN_CHARS: usize = 200;

/// Something that must hold of every instance of a model.
///
/// In JSON an object with a `name`, one of `never`, `always`, `eventually` (with `within`), `whenever` (with `then`, and
/// `within` unless it is 0) and `differentOperators`, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Entry", into = "Entry")]
pub struct Invariant {
    /// Its name.
    pub name: Arc<str>,
    /// What must hold.
    pub rule: Rule,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// At no time may this be so.
    Never(Arc<str>),
    /// At all times this must be so.
    Always(Arc<str>),
    /// This must have been so at some time.
    Eventually {
        /// The expression.
        good: Arc<str>,
        /// With so many successful commits at the latest.
        within: u32,
    },
    /// Whenever the first is so, the second must be so at that time or later.
    Whenever {
        /// The first.
        first: Arc<str>,
        /// The second.
        then: Arc<str>,
        /// With so many more successful commits at the latest; 0: at that time.
        within: u32,
    },
    /// Nobody commits two of these elements in one instance; what was rolled back does not count, nor does a commit that
    /// names no operator.
    DifferentOperators(Vec<Arc<str>>),
}

/// What is wrong with an invariant, or with a list of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .name.as_ref().map_or_else(String::new, |name| format!("invariant {name:?}: ")))]
pub struct InvariantError {
    /// The invariant's name, where it is about one that has a name.
    pub name: Option<Arc<str>>,
    /// What is wrong and what to do.
    pub message: String,
}

/// A word by which an expression of an invariant tells of the instance. It hides a variable of the same name, which can be
/// read as `variables.NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// `visits`: a map from the key of an element to how often it was completed, not counting what was rolled back; 0 for
    /// those that were not.
    Visits,
    /// `operators`: a map from the key of an element to the list of those who committed the completed ones, each once.
    Operators,
    /// `waits`: the list of the elements at which tasks wait, those of called flows among them.
    Waits,
    /// `status`: `running`, `completed`, `terminated`, `suspended` or `aborted`.
    Status,
    /// `variables`: a map of all variables, in which one that is not set is null.
    Variables,
}

/// Which members of a word's map are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members {
    /// Those that are named.
    named: BTreeSet<Arc<str>>,
    /// Whether others may be read as well.
    all: bool,
}

/// An expression of an invariant that is ready to be looked at.
#[derive(Clone, Debug)]
pub struct InvariantExpression {
    compiled: CompiledExpression,
    words: Vec<(Word, Members)>,
    reads_variables: bool,
    vocabulary: Vocabulary,
}

/// An invariant that is ready to be looked at.
#[derive(Clone, Debug)]
pub struct CompiledInvariant {
    /// Its name.
    pub name: Arc<str>,
    /// What must hold.
    pub rule: CompiledRule,
}

/// [`Rule`], compiled.
#[derive(Clone, Debug)]
pub enum CompiledRule {
    /// As [`Rule::Never`].
    Never(InvariantExpression),
    /// As [`Rule::Always`].
    Always(InvariantExpression),
    /// As [`Rule::Eventually`].
    Eventually {
        /// The expression.
        good: InvariantExpression,
        /// With so many successful commits at the latest.
        within: u32,
    },
    /// As [`Rule::Whenever`].
    Whenever {
        /// The first.
        first: InvariantExpression,
        /// The second.
        then: InvariantExpression,
        /// With so many more successful commits at the latest.
        within: u32,
    },
    /// As [`Rule::DifferentOperators`].
    DifferentOperators(Vec<Arc<str>>),
}

impl Invariant {
    /// Gets it ready to be looked at.
    ///
    /// # Errors
    /// An expression that is no condition of the built-in language.
    pub fn compile(&self) -> Result<CompiledInvariant, InvariantError> {
        let expression = |text: &Arc<str>| {
            InvariantExpression::compile(text)
                .map_err(|error| error_of(&self.name, format!("{error}: {}", shortened(text, SHOWN_CHARS))))
        };
        let rule = match &self.rule {
            Rule::Never(bad) => CompiledRule::Never(expression(bad)?),
            Rule::Always(good) => CompiledRule::Always(expression(good)?),
            Rule::Eventually { good, within } => CompiledRule::Eventually {
                good: expression(good)?,
                within: *within,
            },
            Rule::Whenever { first, then, within } => CompiledRule::Whenever {
                first: expression(first)?,
                then: expression(then)?,
                within: *within,
            },
            Rule::DifferentOperators(elements) => CompiledRule::DifferentOperators(elements.clone()),
        };
        Ok(CompiledInvariant {
            name: self.name.clone(),
            rule,
        })
    }
}

/// Gets a list ready to be looked at: at most [`MAX_INVARIANTS`], each with a name of its own.
///
/// # Errors
/// All that is wrong with them, in their order.
pub fn compile_all(invariants: &[Invariant]) -> Result<Vec<CompiledInvariant>, Vec<InvariantError>> {
    let mut errors = Vec::new();
    if invariants.len() > MAX_INVARIANTS {
        return Err(vec![InvariantError {
            name: None,
            message: format!(
                "there are {} invariants, more than the {MAX_INVARIANTS} that a list may have; say less with each, or leave \
                 some out",
                invariants.len()
            ),
        }]);
    }
    let mut names = BTreeSet::new();
    let mut compiled = Vec::with_capacity(invariants.len());
    for invariant in invariants {
        if !names.insert(&invariant.name) {
            let message = "another invariant has the same name; give each a name of its own".to_owned();
            errors.push(error_of(&invariant.name, message));
        }
        match invariant.compile() {
            Ok(invariant) => compiled.push(invariant),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(compiled) } else { Err(errors) }
}

impl CompiledInvariant {
    /// How it is broken by this moment alone; `None` where it is not, and for what takes time: [`CompiledRule::Eventually`],
    /// [`CompiledRule::Whenever`].
    ///
    /// What cannot be told because a variable is not set breaks nothing. An expression that fails otherwise breaks its
    /// invariant.
    pub fn broken_at(&self, moment: &Moment<'_>) -> Option<String> {
        match &self.rule {
            CompiledRule::Never(bad) => match bad.holds(moment) {
                Ok(Some(true)) => Some(format!("it is so that {}", bad.shown())),
                Ok(Some(false) | None) => None,
                Err(error) => Some(bad.told(&error)),
            },
            CompiledRule::Always(good) => match good.holds(moment) {
                Ok(Some(false)) => Some(format!("it is not so that {}", good.shown())),
                Ok(Some(true) | None) => None,
                Err(error) => Some(good.told(&error)),
            },
            CompiledRule::DifferentOperators(elements) => moment.same_operator(elements),
            CompiledRule::Eventually { .. } | CompiledRule::Whenever { .. } => None,
        }
    }

    /// Whether a moment alone can break it: what can be enforced while a flow runs.
    pub fn is_of_a_moment(&self) -> bool {
        match &self.rule {
            CompiledRule::Never(_) | CompiledRule::Always(_) | CompiledRule::DifferentOperators(_) => true,
            CompiledRule::Eventually { .. } | CompiledRule::Whenever { .. } => false,
        }
    }

    /// Its expressions.
    pub fn expressions(&self) -> Vec<&InvariantExpression> {
        match &self.rule {
            CompiledRule::Never(one) | CompiledRule::Always(one) | CompiledRule::Eventually { good: one, .. } => {
                vec![one]
            }
            CompiledRule::Whenever { first, then, .. } => vec![first, then],
            CompiledRule::DifferentOperators(_) => Vec::new(),
        }
    }
}

impl InvariantExpression {
    fn compile(text: &str) -> Result<Self, ExpressionError> {
        let compiled = CompiledExpression::compile(text)?;
        let vocabulary = Vocabulary::of(text)?;
        let mut words: BTreeMap<Word, Members> = BTreeMap::new();
        for path in &vocabulary.paths {
            let Some((word, members)) = path.split_first() else {
                continue;
            };
            let Some(word) = Word::named(word) else { continue };
            let read = words.entry(word).or_default();
            match members.first() {
                Some(member) => read.named.extend([member.clone()]),
                None => read.all = true,
            }
        }
        let reads_variables = compiled.variables().iter().any(|name| Word::named(name).is_none());
        Ok(Self {
            compiled,
            words: words.into_iter().collect(),
            reads_variables,
            vocabulary,
        })
    }

    /// Whether it is so at this moment; `None` where that cannot be told because a variable is not set.
    ///
    /// # Errors
    /// As [`CompiledExpression::evaluate`], but for [`ExpressionError::Missing`].
    pub fn holds(&self, moment: &Moment<'_>) -> Result<Option<bool>, ExpressionError> {
        match self.compiled.evaluate(&moment.scope(self)) {
            Ok(holds) => Ok(Some(holds)),
            Err(ExpressionError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The variables that it reads, also those it reads by way of [`Word::Variables`], and what it compares them with.
    pub fn variables(&self) -> Vocabulary {
        let Vocabulary {
            paths, beside, pairs, ..
        } = &self.vocabulary;
        let mut variables = Vocabulary::default();
        let mut new_places = BTreeMap::new();
        for (place, path) in paths.iter().enumerate() {
            let path = match path.split_first() {
                Some((first, members)) => match Word::named(first) {
                    Some(Word::Variables) => members,
                    Some(Word::Visits | Word::Operators | Word::Waits | Word::Status) => continue,
                    None => path,
                },
                None => continue,
            };
            if path.is_empty() {
                continue;
            }
            let known = variables.paths.iter().position(|known| *known == path);
            let new_place = known.unwrap_or(variables.paths.len());
            if known.is_none() {
                variables.paths.push(path.to_vec());
            }
            new_places.insert(place, new_place);
            let constants = beside.iter().filter(|(of, _)| *of == place);
            let constants: Vec<Value> = constants.map(|(_, constant)| constant.clone()).collect();
            variables.constants.extend(constants.iter().cloned());
            let constants = constants.into_iter().map(|constant| (new_place, constant));
            variables.beside.extend(constants);
        }
        let new = |place: &usize| new_places.get(place).copied();
        let pairs = pairs.iter();
        variables.pairs = pairs
            .filter_map(|(one, other)| Some((new(one)?, new(other)?)))
            .collect();
        variables
    }

    /// The elements that it names: in `visits`, in `operators`, and beside `waits`.
    pub fn elements(&self) -> BTreeSet<Arc<str>> {
        let by_element = |word: &Word| matches!(word, Word::Visits | Word::Operators);
        let members = self.words.iter().filter(|(word, _)| by_element(word));
        let named = members.flat_map(|(_, members)| members.named.iter().cloned());
        let beside = self.vocabulary.beside.iter().filter_map(|(place, constant)| {
            let path = self.vocabulary.paths.get(*place)?;
            let is_waits = path.first().is_some_and(|word| **word == *Word::Waits.name());
            match constant {
                Value::Text(element) if is_waits => Some(element.clone()),
                _ => None,
            }
        });
        named.chain(beside).collect()
    }

    /// Whether it may read any member of a word's map, and not only those that it names.
    pub fn reads_whole(&self, word: Word) -> bool {
        self.words.iter().any(|(read, members)| *read == word && members.all)
    }

    /// The words that it reads.
    pub fn words(&self) -> impl Iterator<Item = Word> {
        self.words.iter().map(|(word, _)| *word)
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        self.compiled.text()
    }

    /// What failed, for people.
    pub fn told(&self, error: &ExpressionError) -> String {
        format!("{error}: {}", self.shown())
    }

    fn shown(&self) -> String {
        shortened(self.text(), SHOWN_CHARS)
    }
}

impl Word {
    /// All words.
    pub const ALL: [Self; 5] = [
        Self::Visits,
        Self::Operators,
        Self::Waits,
        Self::Status,
        Self::Variables,
    ];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visits => "visits",
            Self::Operators => "operators",
            Self::Waits => "waits",
            Self::Status => "status",
            Self::Variables => "variables",
        }
    }

    /// The word that is written so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.name() == name)
    }
}

fn error_of(name: &Arc<str>, message: String) -> InvariantError {
    InvariantError {
        name: Some(shortened(name, MAX_NAME_CHARS).into()),
        message,
    }
}

/// An invariant as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    name: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    never: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    always: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    eventually: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whenever: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    then: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    within: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    different_operators: Option<Vec<Arc<str>>>,
}

impl TryFrom<Entry> for Invariant {
    type Error = InvariantError;

    fn try_from(entry: Entry) -> Result<Self, InvariantError> {
        let Entry {
            name,
            never,
            always,
            eventually,
            whenever,
            then,
            within,
            different_operators,
        } = entry;
        let wrong = |message: &str| Err(error_of(&name, message.to_owned()));
        if name.trim().is_empty() {
            return wrong("the name is blank; say in it what must hold");
        }
        if name.chars().count() > MAX_NAME_CHARS {
            return wrong(&format!(
                "the name has more than {MAX_NAME_CHARS} characters; shorten it"
            ));
        }
        if within.is_some_and(|within| within > MAX_WITHIN) {
            return wrong(&format!("within is more than {MAX_WITHIN} commits"));
        }
        let rule = match (never, always, eventually, whenever, different_operators) {
            (Some(bad), None, None, None, None) => Rule::Never(bad),
            (None, Some(good), None, None, None) => Rule::Always(good),
            (None, None, Some(good), None, None) => match within {
                Some(within) => Rule::Eventually { good, within },
                None => return wrong("eventually takes within: with how many commits it must have been so"),
            },
            (None, None, None, Some(first), None) => match &then {
                Some(then) => Rule::Whenever {
                    first,
                    then: then.clone(),
                    within: within.unwrap_or(0),
                },
                None => return wrong("whenever takes then: what must be so"),
            },
            (None, None, None, None, Some(elements)) => Rule::DifferentOperators(elements),
            (None, None, None, None, None) => {
                return wrong(
                    "it says nothing that must hold; give never, always, eventually, whenever or differentOperators",
                );
            }
            _ => {
                return wrong(
                    "it has more than one of never, always, eventually, whenever and differentOperators; write one invariant \
                     for each",
                );
            }
        };
        let takes_within = matches!(rule, Rule::Eventually { .. } | Rule::Whenever { .. });
        if within.is_some() && !takes_within {
            return wrong("within belongs to eventually and whenever; leave it out");
        }
        if then.is_some() && !matches!(rule, Rule::Whenever { .. }) {
            return wrong("then belongs to whenever; leave it out");
        }
        if let Rule::DifferentOperators(elements) = &rule {
            let distinct: BTreeSet<&Arc<str>> = elements.iter().collect();
            if distinct.len() < 2 || distinct.len() < elements.len() {
                return wrong("differentOperators takes the keys of two elements or more, each once");
            }
            if elements.len() > MAX_ELEMENTS {
                return wrong(&format!("differentOperators takes at most {MAX_ELEMENTS} elements"));
            }
        }
        Ok(Self { name, rule })
    }
}

impl From<Invariant> for Entry {
    fn from(invariant: Invariant) -> Self {
        let mut entry = Self {
            name: invariant.name,
            never: None,
            always: None,
            eventually: None,
            whenever: None,
            then: None,
            within: None,
            different_operators: None,
        };
        match invariant.rule {
            Rule::Never(bad) => entry.never = Some(bad),
            Rule::Always(good) => entry.always = Some(good),
            Rule::Eventually { good, within } => (entry.eventually, entry.within) = (Some(good), Some(within)),
            Rule::Whenever { first, then, within } => {
                (entry.whenever, entry.then, entry.within) = (Some(first), Some(then), Some(within));
            }
            Rule::DifferentOperators(elements) => entry.different_operators = Some(elements),
        }
        entry
    }
}

/// A text as a value.
fn text(text: &str) -> Value {
    Value::Text(text.into())
}
