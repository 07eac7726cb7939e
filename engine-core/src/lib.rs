//! The pure core of Flowledger: models, validation, conditions, and the two deciders.
//!
//! Nothing here does IO, reads a clock, draws a random number or starts a thread: same arguments, same result.
//!
//! Start reading at [`event`] (every command and every fact on one page), then [`decider`], then [`instance`].

pub mod analysis;
pub mod chunked;
pub mod codec;
pub mod context;
pub mod decider;
pub mod deployment;
pub mod event;
pub mod expression;
pub mod id;
pub mod instance;
pub mod invariant;
pub mod limits;
pub mod model;
pub mod module;
pub mod plug_in;
pub mod profile;
pub mod rejection;
pub mod result_code;
pub mod state_hash;
pub mod time;
pub mod value;
pub mod variables;
