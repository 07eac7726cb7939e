//! Flow models: read, judged and compiled. Knows the model's JSON, nothing of running instances.

mod blocks;
pub mod element;
pub mod flow_model;
pub mod gateway;
mod lint;
mod nesting;
mod pairs;
pub mod parse;
pub mod validate;
