//! The two ways to answer: as the API document says, or as the reference engine does.

use serde::{Deserialize, Serialize};

/// Which behaviour the engine shows where document and reference engine differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Profile {
    /// Follows the API document.
    #[default]
    #[serde(rename = "documented")]
    Documented,
    /// Answers as the reference engine 1.3.1 does, for migration.
    #[serde(rename = "turbo131")]
    Turbo131,
}
