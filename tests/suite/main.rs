//! Flowledger's own tests: one binary, a module per theme.

mod as_of;
mod attacks;
mod bad_input;
mod codes;
mod concurrency;
mod conformance;
mod copies;
mod crash;
mod damage;
mod decided;
mod decided_forks;
mod docs;
mod exhaustive;
mod fixture;
mod forks;
mod generators;
mod going_back;
mod golden;
mod health;
mod oracle;
mod plug_ins;
mod power_cut;
mod proofs;
mod property;
mod store;
mod tidy;
