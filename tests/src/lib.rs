//! Flowledger's test equipment: the conformance runner, the naive interpreter and the generators.

pub mod brute;
pub mod cddl;
pub mod child;
pub mod conformance;
pub mod damage;
pub mod dice;
pub mod differential;
pub mod engine_subject;
pub mod exhaustive;
pub mod generate;
pub mod golden;
pub mod kept;
pub mod law;
pub mod load;
pub mod model_mutation;
pub mod mutation;
pub mod naive;
pub mod power_cut;
pub mod prove;
pub mod scenario;
pub mod sketch;
pub mod trace;
