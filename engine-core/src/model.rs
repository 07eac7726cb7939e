//! Flow models: read, judged and compiled. Knows the model's JSON, nothing of running instances.

pub mod element;
pub mod flow_model;
pub mod gateway;
mod lint;
pub mod parse;
pub mod validate;
