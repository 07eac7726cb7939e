//! Flowledger: an event-sourced process engine.
//!
//! Flows of events, user tasks, call activities and exclusive, parallel and inclusive gateways run on an append-only log:
//! every commit, rollback and termination is one immutable record, and history and data are folds of the log.
//!
//! Start with [`Engine::builder`]; its operations are those of the API document, each documented with its codes.

mod as_of;
mod blocking;
mod builder;
mod copies;
mod debugger;
mod engine;
mod error;
mod executor;
mod folds;
mod fork;
mod health;
mod host;
mod housekeeping;
mod lane;
mod operation;
mod pause;
mod proofs;
mod regression;
mod roots;
#[cfg(feature = "testing")]
pub mod testing;
mod time_out;
mod verification;
mod why_not;

pub use as_of::AsOf;
pub use blocking::BlockingEngine;
pub use builder::{CACHE_BYTES, EngineBuilder, HOOK_TIME_OUT};
pub use copies::{CopyReport, RestoreOptions, RestoreReport, SalvageOptions, SalvageReport, import, restore, salvage};
pub use debugger::{DebugPosition, DebugRecord, Debugger, FoundIn, SearchHit, Step};
pub use engine::Engine;
pub use error::{About, Damage, EngineError, ErrorEnvelope, FaultEntry};
pub use flowledger_engine_core::analysis::{self, ProveParam, prove_model, report::ProofReport};
pub use flowledger_engine_core::context::HookCall;
pub use flowledger_engine_core::event::{self, Actor, AnyRecord, DeployWarning};
pub use flowledger_engine_core::expression;
pub use flowledger_engine_core::id::{
    CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, Id, IdGenerator, IdKind, IdOrigin, InstanceDataId,
    NodeInstanceId,
};
pub use flowledger_engine_core::invariant;
pub use flowledger_engine_core::limits::Limits;
pub use flowledger_engine_core::model::element::{Element, ElementType, Properties};
pub use flowledger_engine_core::model::parse::ModelLimits;
pub use flowledger_engine_core::plug_in;
pub use flowledger_engine_core::profile::Profile;
pub use flowledger_engine_core::result_code::{CodeClass, CodeContext, CodeEntry, ResultCode, Retry};
pub use flowledger_engine_core::time::Timestamp;
pub use flowledger_engine_core::value::Value;
pub use flowledger_engine_core::variables::{InstanceData, Variables};
pub use flowledger_event_store as store;
pub use flowledger_projections::drawing::{DrawingFormat, Look, Mark, Overlay, Theme};
pub use flowledger_projections::{Date, ElementInstance, FlowInstanceBo, InstanceFilter, NodeInstance, OutlineElement};
pub use fork::{Fork, ForkParam, Replay, ReplayDifference};
pub use health::{Health, HealthFault, HealthFaultKind, HealthState, VerificationHealth};
pub use host::{Clock, Hook, HostError, Listener, SystemClock};
pub use operation::*;
pub use regression::{
    ConditionChange, Course, DifferenceKind, RegressionCandidate, RegressionDifference, RegressionExample,
    RegressionGroup, RegressionLive, RegressionParam, RegressionReport, RegressionTally, RegressionValue,
    RegressionVerdict,
};
pub use verification::{BackgroundVerification, OnFault};

/// The guides whose code is compiled with the tests of the documentation.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../docs/how-to/debug.md")]
    mod debug {}
    #[doc = include_str!("../../docs/how-to/embed.md")]
    mod embed {}
    #[doc = include_str!("../../docs/how-to/judge-a-candidate.md")]
    mod judge_a_candidate {}
    #[doc = include_str!("../../docs/how-to/pictures.md")]
    mod pictures {}
    #[doc = include_str!("../../docs/how-to/hooks.md")]
    mod hooks {}
    #[doc = include_str!("../../docs/how-to/plug-ins.md")]
    mod plug_ins {}
    #[cfg(feature = "testing")]
    #[doc = include_str!("../../docs/how-to/test-a-model.md")]
    mod test_a_model {}
}
