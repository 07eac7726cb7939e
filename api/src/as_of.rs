//! A moment of the past, as queries take it.

use std::fmt;
use std::str::FromStr;

use flowledger_engine_core::time::Timestamp;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment of an instance: a version, or a time. In JSON a number, or RFC 3339 text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// With the record that made this version. Every answer carries the version that it speaks of.
    Version(u64),
    /// With every record of this time or before.
    Time(Timestamp),
}

impl AsOf {
    /// Whatever is recorded.
    pub(crate) const NOW: Self = Self::Version(u64::MAX);
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version}"),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl From<u64> for AsOf {
    fn from(version: u64) -> Self {
        Self::Version(version)
    }
}

impl From<Timestamp> for AsOf {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl FromStr for AsOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let version = text.parse().map(Self::Version);
            return version.map_err(|_| format!("{text} is larger than any version"));
        }
        let time = text.parse().map(Self::Time);
        time.map_err(|_| "it is neither a version, such as 3, nor a time, such as 2026-03-31T08:00:00Z".to_owned())
    }
}

impl Serialize for AsOf {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Version(version) => serializer.serialize_u64(*version),
            Self::Time(time) => serializer.collect_str(time),
        }
    }
}

impl<'de> Deserialize<'de> for AsOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct VersionOrTime;
        impl Visitor<'_> for VersionOrTime {
            type Value = AsOf;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a version as a number, or a time as RFC 3339 text")
            }

            fn visit_u64<E: de::Error>(self, version: u64) -> Result<AsOf, E> {
                Ok(AsOf::Version(version))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<AsOf, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(VersionOrTime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_versions_or_times() {
        let time = AsOf::Time(Timestamp::from_millis(1_767_225_900_000));
        for (text, as_of) in [
            ("3", AsOf::Version(3)),
            ("\"3\"", AsOf::Version(3)),
            ("\"2026-01-01T00:05:00Z\"", time),
            ("\"2026-01-01T01:05:00+01:00\"", time),
        ] {
            assert_eq!(serde_json::from_str::<AsOf>(text).unwrap(), as_of, "{text}");
        }
        for text in [
            "-1",
            "1.5",
            "\"\"",
            "\"yesterday\"",
            "null",
            "\"99999999999999999999\"",
            "\"-3\"",
        ] {
            assert!(serde_json::from_str::<AsOf>(text).is_err(), "{text}");
        }
        assert_eq!(
            serde_json::to_string(&[AsOf::Version(3), time]).unwrap(),
            "[3,\"2026-01-01T00:05:00.000Z\"]"
        );
    }
}
