//! The operations of the API document, one file each: request, result, and which code stands for what.

mod certify;
mod commit_task;
mod create_flow;
mod deploy_flow;
mod deploy_model;
mod diff;
mod disable_flow;
mod draw;
mod event_log;
mod get_flow_instance;
mod get_flow_module;
mod get_history_element_list;
mod get_history_user_task_list;
mod get_instance_data;
mod get_node_instance;
mod get_rollback_targets;
mod lifecycle;
mod lists;
mod log;
mod query;
mod receipt;
mod request;
mod require_proof;
mod rollback_task;
mod rollback_to;
mod runtime;
mod start_process;
mod terminate_process;
mod update_flow;
mod validate_model;
mod why;

pub use certify::{StateCertificate, StreamState};
pub use commit_task::CommitTaskParam;
pub use create_flow::{CreateFlowParam, CreateFlowResult};
pub use deploy_flow::{DeployFlowParam, DeployFlowResult};
pub use deploy_model::DeployModel;
pub use disable_flow::{FlowSwitchParam, FlowSwitchResult};
pub use draw::{DrawOptions, DrawResult, draw_model};
pub use event_log::{EventLogFormat, EventLogOptions, EventLogReport};
pub use flowledger_projections::{
    Cause, CauseNode, ChangedCommand, ChangedVariable, ChangedWay, Compensation, ConditionSeen, DataChange,
    DataConflict, DecisionSeen, DiffSide, Held, InstanceDiff, NodeDifference, NodeExecuteResult, NodePlace, NodeRef,
    NodeSeen, Receipt, RecordRef, RollbackTarget, RuntimeResult, TargetTask, TurnedAway, ValueAuthor, ValueAuthorKind,
    ValueSeen, VariableDifference, Why, WhyNot, Written,
};
pub use get_flow_instance::FlowInstanceResult;
pub use get_flow_module::{FlowModuleResult, GetFlowModuleParam};
pub use get_history_element_list::ElementInstanceListResult;
pub use get_history_user_task_list::NodeInstanceListResult;
pub use get_instance_data::InstanceDataListResult;
pub use get_node_instance::NodeInstanceResult;
pub use get_rollback_targets::RollbackTargetListResult;
pub use lifecycle::{LifecycleParam, LifecycleResult};
pub use lists::{FlowInstanceList, FlowInstanceSummary, FlowModuleList, FlowModuleSummary, ListParam, ModuleFilter};
pub use log::{CheckpointReport, LogFault, LogProgress, LogRecord, Proven, Span, VerifyReport, Witness};
pub(crate) use log::{Walk, fault_of};
pub use query::InstanceQuery;
pub(crate) use receipt::hex;
pub use receipt::{AddedCosignatures, LogCheckpoint, LogGrowth, ReceiptParam};
pub use request::CommandOptions;
pub use rollback_task::RollbackTaskParam;
pub use rollback_to::{RedoRollbackParam, RollbackToParam};
pub use runtime::{CommitTaskResult, RollbackTaskResult, StartProcessResult};
pub use start_process::StartProcessParam;
pub use terminate_process::{TerminateProcessParam, TerminateResult};
pub use update_flow::{UpdateFlowParam, UpdateFlowResult};
pub(crate) use validate_model::judged;
pub use validate_model::{ModelValidation, validate_model};
