//! The engine for callers without an async executor: the same operations, each waiting for its answer.

use std::io::Write;
use std::path::Path;

use flowledger_engine_core::id::{FlowInstanceId, NodeInstanceId};
use flowledger_event_store::PublicKey;
use flowledger_projections::InstanceFilter;

use crate::copies::CopyReport;
use crate::debugger::Debugger;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::fork::{Fork, ForkParam};
use crate::operation::{
    AddedCosignatures, CommitTaskParam, CommitTaskResult, CreateFlowParam, CreateFlowResult, DeployFlowParam,
    DeployFlowResult, DeployModel, DrawOptions, DrawResult, ElementInstanceListResult, EventLogOptions, EventLogReport,
    FlowInstanceList, FlowInstanceResult, FlowModuleList, FlowModuleResult, FlowSwitchParam, FlowSwitchResult,
    GetFlowModuleParam, InstanceDataListResult, InstanceDiff, InstanceQuery, LifecycleParam, LifecycleResult,
    ListParam, LogCheckpoint, LogGrowth, LogProgress, LogRecord, ModuleFilter, NodeInstanceListResult,
    NodeInstanceResult, Receipt, ReceiptParam, RedoRollbackParam, RollbackTargetListResult, RollbackTaskParam,
    RollbackTaskResult, RollbackToParam, StartProcessParam, StartProcessResult, StateCertificate, StreamState,
    TerminateProcessParam, TerminateResult, UpdateFlowParam, UpdateFlowResult, VerifyReport, Why, WhyNot,
};
use crate::regression::{RegressionParam, RegressionReport};

/// An engine whose operations wait for their answer.
///
/// Do not call it from inside an async task: it would hold up the executor's thread.
#[derive(Clone)]
pub struct BlockingEngine {
    engine: Engine,
}

macro_rules! waiting {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        #[doc = concat!("Waits for [`Engine::", stringify!($name), "`].")]
        ///
        /// # Errors
        /// Those of the async operation.
        pub fn $name(&self, $($arg: $type),*) -> Result<$result, EngineError> {
            pollster::block_on(self.engine.$name($($arg),*))
        }
    )*};
}

impl BlockingEngine {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The async handle of the same engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    waiting! {
        create_flow(param: CreateFlowParam) -> CreateFlowResult;
        update_flow(param: UpdateFlowParam) -> UpdateFlowResult;
        deploy_flow(param: DeployFlowParam) -> DeployFlowResult;
        deploy_model(model: DeployModel) -> DeployFlowResult;
        disable_flow(param: FlowSwitchParam) -> FlowSwitchResult;
        enable_flow(param: FlowSwitchParam) -> FlowSwitchResult;
        get_flow_module(param: GetFlowModuleParam) -> FlowModuleResult;
        start_process(param: StartProcessParam) -> StartProcessResult;
        commit_task(param: CommitTaskParam) -> CommitTaskResult;
        rollback_task(param: RollbackTaskParam) -> RollbackTaskResult;
        rollback_to(param: RollbackToParam) -> RollbackTaskResult;
        redo_rollback(param: RedoRollbackParam) -> RollbackTaskResult;
        get_rollback_targets(query: impl Into<InstanceQuery>) -> RollbackTargetListResult;
        suspend_instance(param: LifecycleParam) -> LifecycleResult;
        resume_instance(param: LifecycleParam) -> LifecycleResult;
        abort_instance(param: LifecycleParam) -> LifecycleResult;
        restore_instance(param: LifecycleParam) -> LifecycleResult;
        terminate_process(param: impl Into<TerminateProcessParam>) -> TerminateResult;
        get_history_user_task_list(query: impl Into<InstanceQuery>) -> NodeInstanceListResult;
        get_history_element_list(query: impl Into<InstanceQuery>) -> ElementInstanceListResult;
        get_instance_data(query: impl Into<InstanceQuery>) -> InstanceDataListResult;
        get_node_instance(query: impl Into<InstanceQuery>, id: impl Into<NodeInstanceId>) -> NodeInstanceResult;
        get_flow_instance(query: impl Into<InstanceQuery>) -> FlowInstanceResult;
        why(query: impl Into<InstanceQuery>, id: impl Into<NodeInstanceId>) -> Why;
        why_not(query: impl Into<InstanceQuery>, key: impl AsRef<str>) -> WhyNot;
        list_flow_modules(filter: &ModuleFilter, param: ListParam) -> FlowModuleList;
        list_flow_instances(filter: &InstanceFilter, param: ListParam) -> FlowInstanceList;
        rebuild_catalogue() -> ();
        log_records(after: u64, max: usize) -> Vec<LogRecord>;
        instance_records(id: impl Into<FlowInstanceId>) -> Vec<LogRecord>;
        checkpoint() -> LogCheckpoint;
        public_key() -> String;
        receipt(position: u64) -> Receipt;
        receipt_of(param: ReceiptParam) -> Receipt;
        add_cosignatures(text: &str, witnesses: &[PublicKey]) -> AddedCosignatures;
        growth(from: u64) -> LogGrowth;
        rebuild_tree() -> u64;
        fork(param: ForkParam) -> Fork;
        debugger(query: impl Into<InstanceQuery>) -> Debugger;
        diff(left: impl Into<InstanceQuery>, other: &Engine, right: impl Into<InstanceQuery>) -> InstanceDiff;
        draw(query: impl Into<InstanceQuery>, options: DrawOptions) -> DrawResult;
        certify(size: Option<u64>, each: impl FnMut(StreamState)) -> StateCertificate;
        regression(param: RegressionParam, progress: impl FnMut(LogProgress)) -> RegressionReport;
        event_log(options: &EventLogOptions, to: impl Write, progress: impl FnMut(LogProgress)) -> EventLogReport;
        export(to: impl Write, progress: impl FnMut(LogProgress)) -> CopyReport;
        backup(path: impl AsRef<Path>, progress: impl FnMut(LogProgress)) -> CopyReport;
        verify_log(progress: impl FnMut(LogProgress)) -> VerifyReport;
        close() -> ();
    }
}
