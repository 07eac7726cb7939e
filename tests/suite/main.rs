//! Flowledger's own tests: one binary, a module per theme.

mod conformance;
mod decided;
mod generators;
mod oracle;
mod property;
