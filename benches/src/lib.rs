//! Workloads and measures for comparisons within one run; what is compared stands in the binaries.

#[cfg(feature = "baseline")]
pub mod baseline;
pub mod correction;
pub mod floor;
pub mod load;
pub mod parts;
pub mod plot;
pub mod process;
pub mod proofs;
pub mod workload;
