//! A point in time as the API writes it: RFC 3339 text, or epoch milliseconds for the reference engine's callers.

use flowledger_engine_core::profile::Profile;
use flowledger_engine_core::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A date of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The moment.
    pub at: Timestamp,
    /// Whether JSON has it as a number of milliseconds since 1970-01-01 UTC.
    pub as_millis: bool,
}

impl Date {
    /// A date written as the profile demands.
    pub fn new(at: Timestamp, profile: Profile) -> Self {
        Self {
            at,
            as_millis: profile == Profile::Turbo131,
        }
    }
}

impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.at.fmt(f)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.as_millis {
            serializer.serialize_i64(self.at.millis())
        } else {
            serializer.collect_str(&self.at)
        }
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Millis(i64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Millis(millis) => Ok(Self {
                at: Timestamp::from_millis(millis),
                as_millis: true,
            }),
            Form::Text(text) => text
                .parse()
                .map(|at| Self { at, as_millis: false })
                .map_err(de::Error::custom),
        }
    }
}
