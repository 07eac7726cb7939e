//! The condition language of models: compiles texts, evaluates them on variables; knows nothing of flows.
//!
//! Models carry a part of Groovy 2.4. A parser of ours turns a condition into a tree, the tree is printed as rhai in
//! which every operator, method and literal is a call of a function of ours, and rhai runs that. So the meaning is ours:
//! exact decimals, Java's integers, Groovy's truth, equality and order. Plain comparisons call the same functions without rhai. `docs/condition-language.md` is the reference
//! for authors of models.
//!
//! The meaning was checked against Groovy 2.4.21; `expression/cases.jsonl` holds answers observed there.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use flowledger_engine_core::{expression::CompiledExpression, value::Value};
//!
//! let condition = CompiledExpression::compile("days >= 3 && approver == 'zhang'")?;
//! let variables: BTreeMap<Arc<str>, Value> = [("days".into(), 5.into()), ("approver".into(), "zhang".into())].into();
//! assert!(condition.evaluate(&variables)?);
//! # Ok::<(), flowledger_engine_core::expression::ExpressionError>(())
//! ```

pub mod cells;
mod decimal;
mod dialect;
mod direct;
mod evaluate;
mod item;
mod lexer;
mod method;
mod number;
mod operator;
mod print;
mod statics;
mod text_method;
mod tree;
mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use self::vocabulary::{Vocabulary, around};
use crate::value::Value;

/// Longest text of a condition, in bytes.
pub const MAX_TEXT_BYTES: usize = 10_000;
/// Deepest nesting of a condition.
pub const MAX_NESTING: usize = 64;
/// Most steps the evaluator takes for one evaluation.
pub const MAX_OPERATIONS: u64 = 8_000;
/// Most digits of a number while a condition computes, and the largest decimal exponent, up or down.
pub const MAX_NUMBER_DIGITS: u64 = 5_000;
/// Longest text that a condition makes, in bytes.
pub const MAX_TEXT_LENGTH: usize = 1_000_000;
/// Most elements of a list that a condition makes.
pub const MAX_ITEMS: usize = 10_000;
/// Most elements that one operation touches.
pub const MAX_STEPS: u64 = 200_000;

/// The variables a condition reads.
pub trait Variables {
    /// The value of a variable; `None` when it does not exist, which is not the same as null.
    fn get(&self, name: &str) -> Option<&Value>;
}

impl Variables for BTreeMap<Arc<str>, Value> {
    fn get(&self, name: &str) -> Option<&Value> {
        BTreeMap::get(self, name)
    }
}

/// Why a condition has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// A variable, or a property of a value that is no map, was reached and does not exist.
    #[error("there is no variable or property `{name}`; set it before this condition, or correct the name")]
    Missing {
        /// The name that was read.
        name: String,
    },
    /// An operation failed while it ran.
    #[error("the condition failed: {detail}")]
    Evaluation {
        /// What failed and what to do.
        detail: String,
    },
    /// The text is no condition.
    #[error("the condition is not well formed at byte {at}: {detail}")]
    Syntax {
        /// Byte offset in the text.
        at: usize,
        /// What was found and what was expected.
        detail: String,
    },
    /// The result is no boolean.
    #[error("the condition gives {kind}, not true or false; compare it with something")]
    NotBoolean {
        /// The kind of the result.
        kind: String,
    },
    /// The text is well formed, and uses what conditions do not have.
    #[error("conditions do not have {construct}")]
    Unsupported {
        /// The construct, where it stands, and what to write instead.
        construct: String,
    },
    /// A bound was reached.
    #[error("the condition exceeds a limit: {detail}")]
    Limit {
        /// The limit and what to do.
        detail: String,
    },
}

impl ExpressionError {
    /// The cause in one word or two: `missing`, `evaluation`, `syntax`, `not boolean`, `unsupported`, `limit`.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "missing",
            Self::Evaluation { .. } => "evaluation",
            Self::Syntax { .. } => "syntax",
            Self::NotBoolean { .. } => "not boolean",
            Self::Unsupported { .. } => "unsupported",
            Self::Limit { .. } => "limit",
        }
    }

    fn evaluation(detail: impl Into<String>) -> Self {
        Self::Evaluation { detail: detail.into() }
    }

    fn limit(detail: impl Into<String>) -> Self {
        Self::Limit { detail: detail.into() }
    }
}

/// A condition that is ready to be evaluated any number of times. Cloning is cheap.
#[derive(Clone)]
pub struct CompiledExpression(Arc<Compiled>);

struct Compiled {
    text: Box<str>,
    names: Vec<Arc<str>>,
    rhai: String,
    program: evaluate::Program,
    /// The condition, if it is so plain that rhai need not be asked.
    direct: Option<direct::Direct>,
}

impl CompiledExpression {
    /// Compiles a condition. `${…}` around the whole text is taken off first.
    ///
    /// # Errors
    /// [`Syntax`](ExpressionError::Syntax), [`Unsupported`](ExpressionError::Unsupported),
    /// [`Limit`](ExpressionError::Limit).
    pub fn compile(text: &str) -> Result<Self, ExpressionError> {
        let dialect::Parsed { expr, names } = dialect::parse(text)?;
        let variables = print::variable_names(&names);
        let rhai = print::print(&expr, &variables);
        let program = evaluate::Program::compile(&rhai, variables)?;
        Ok(Self(Arc::new(Compiled {
            text: text.into(),
            names,
            rhai,
            program,
            direct: direct::Direct::of(&expr),
        })))
    }

    /// The answer for these variables.
    ///
    /// # Errors
    /// [`Missing`](ExpressionError::Missing) when a variable that does not exist is reached,
    /// [`Evaluation`](ExpressionError::Evaluation), [`NotBoolean`](ExpressionError::NotBoolean),
    /// [`Limit`](ExpressionError::Limit).
    pub fn evaluate(&self, variables: &dyn Variables) -> Result<bool, ExpressionError> {
        if let Some(direct) = &self.0.direct {
            return direct.evaluate(&self.0.names, variables);
        }
        self.by_rhai(variables)
    }

    fn by_rhai(&self, variables: &dyn Variables) -> Result<bool, ExpressionError> {
        match self.value(variables)? {
            item::Item::Bool(answer) => Ok(answer),
            other => Err(ExpressionError::NotBoolean {
                kind: other.kind().to_owned(),
            }),
        }
    }

    fn value(&self, variables: &dyn Variables) -> Result<item::Item, ExpressionError> {
        self.0.program.evaluate(&self.0.names, variables)
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The names of the variables it reads, in order of first appearance.
    pub fn variables(&self) -> &[Arc<str>] {
        &self.0.names
    }

    /// The rhai it was printed as, for people who want to see what is evaluated.
    pub fn rhai(&self) -> &str {
        &self.0.rhai
    }
}

impl fmt::Debug for CompiledExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CompiledExpression").field(&self.text()).finish()
    }
}

/// A compiled condition of any calculator. Pure by contract: the same variables give the same answer.
pub trait Condition: Send + Sync {
    /// The answer for these variables.
    ///
    /// # Errors
    /// Whatever keeps the condition from being true or false.
    fn evaluate(&self, variables: &dyn Variables) -> Result<bool, ExpressionError>;
}

impl Condition for CompiledExpression {
    fn evaluate(&self, variables: &dyn Variables) -> Result<bool, ExpressionError> {
        Self::evaluate(self, variables)
    }
}

/// A language of conditions that a host may put in place of ours. Pure by contract; its name and version stand in the record.
pub trait ExpressionCalculator: Send + Sync {
    /// The name of the language.
    fn name(&self) -> &str;
    /// The version of its meaning; it changes when an answer may change.
    fn version(&self) -> &str;
    /// Compiles a condition.
    ///
    /// # Errors
    /// What the text has that the language does not.
    fn compile(&self, text: &str) -> Result<Arc<dyn Condition>, ExpressionError>;
}

/// The language of [`CompiledExpression`].
#[derive(Clone, Copy, Debug, Default)]
pub struct DialectCalculator;

impl ExpressionCalculator for DialectCalculator {
    fn name(&self) -> &'static str {
        "groovy-dialect"
    }

    fn version(&self) -> &'static str {
        "1"
    }

    fn compile(&self, text: &str) -> Result<Arc<dyn Condition>, ExpressionError> {
        CompiledExpression::compile(text).map(|compiled| Arc::new(compiled) as Arc<dyn Condition>)
    }
}
