//! The result codes: numbers, texts and advice, declared once. Knows nothing of what raises them.

use std::fmt;

/// The group a code belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeClass {
    /// Done, perhaps waiting for the next step.
    Ok,
    /// The request is malformed.
    Request,
    /// The caller may not do this.
    Permission,
    /// Another command was first, or an id was used twice.
    Concurrency,
    /// The flow definition is at fault.
    Definition,
    /// Running the flow is not possible like this.
    Runtime,
    /// The instance is in a state that does not allow this.
    Lifecycle,
    /// The log is not what was written.
    Integrity,
    /// The engine or what it stands on failed.
    Platform,
}

/// Whether sending the request again helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// It will not help.
    Never,
    /// Send the same request with the same command id.
    Same,
    /// Read again, then decide.
    Refresh,
    /// Correct the request or the model first.
    AfterFix,
}

/// Which operation answers; decides the nearest code of the reference engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeContext {
    /// Commit of a task.
    Commit,
    /// Rollback of a task.
    Rollback,
    /// Everything else.
    Other,
}

/// All that is known about one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeEntry {
    /// The code itself.
    pub code: ResultCode,
    /// The number, stable for ever.
    pub number: i32,
    /// The name in documents and logs, stable for ever.
    pub slug: &'static str,
    /// The group.
    pub class: CodeClass,
    /// HTTP status where answers travel over HTTP.
    pub http: u16,
    /// Whether sending the request again helps.
    pub retry: Retry,
    /// The text of the API document, or ours for codes from 7000 up.
    pub text: &'static str,
    /// The same in Chinese.
    pub text_zh: &'static str,
    /// What usually leads to it.
    pub cause: &'static str,
    /// What to do about it.
    pub hint: &'static str,
    turbo: [i32; 3],
}

macro_rules! result_codes {
    ($($name:ident = $number:literal, $slug:literal, $class:ident, $http:literal, $retry:ident, $turbo:expr, $text:literal, $zh:literal, $cause:literal, $hint:literal;)*) => {
        /// The outcome of a call as a number of the API document, or of our own band from 7000 up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ResultCode {
            $(#[doc = concat!($text, ". ", $cause)] $name,)*
        }

        impl ResultCode {
            /// Every code this build can answer, and those the API document reserves; by number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The entry of the table.
            pub const fn entry(self) -> CodeEntry {
                match self {
                    $(Self::$name => CodeEntry {
                        code: self,
                        number: $number,
                        slug: $slug,
                        class: CodeClass::$class,
                        http: $http,
                        retry: Retry::$retry,
                        text: $text,
                        text_zh: $zh,
                        cause: $cause,
                        hint: $hint,
                        turbo: $turbo,
                    },)*
                }
            }

            /// The number.
            pub const fn number(self) -> i32 {
                match self {
                    $(Self::$name => $number,)*
                }
            }
        }
    };
}

result_codes! {
    Success = 1000, "success", Ok, 200, Never, [1000, 1000, 1000], "Success", "处理成功",
        "The call did what was asked.",
        "Nothing to do.";
    Reentrant = 1001, "reentrant", Ok, 200, Never, [1001, 1001, 1001], "Reentrant warning", "重复处理",
        "The flow instance is already completed, so the commit changed nothing.",
        "Read the instance with getFlowInstance or `instance show`.";
    CommitSuspended = 1002, "commit-suspended", Ok, 200, Never, [1002, 1002, 1002], "Commit task suspend", "任务待提交",
        "The flow stopped at a user task or a call activity that waits for its commit.",
        "Commit the task named in activeTaskInstance.";
    RollbackSuspended = 1003, "rollback-suspended", Ok, 200, Never, [1003, 1003, 1003], "Rollback task suspend", "任务待撤销",
        "The rollback re-opened an earlier user task.",
        "Commit the re-opened task, or roll it back further.";
    JoinWaiting = 1601, "join-waiting", Ok, 200, Never, [1601, 1601, 1601], "Join gateway waiting suspend", "分支已到达，汇聚网关等待其他分支",
        "A branch of a parallel or inclusive gateway has come to its join or its end, and other branches are still open.",
        "Commit the tasks of the other branches.";
    InvalidParam = 2001, "invalid-param", Request, 400, AfterFix, [2001, 2001, 2001], "Invalid param", "参数错误",
        "A required field is blank, a value has the wrong form, or a limit is exceeded; the message names it.",
        "Correct the named field and send the request again.";
    NestingTooDeep = 2002, "nesting-too-deep", Definition, 422, AfterFix, [2002, 2002, 2002], "Flow nested level exceeded", "超出配置的流程嵌套层数",
        "Call activities nest deeper than the configured level.",
        "Flatten the flows, or raise the level with the engine builder.";
    NestingLoop = 2003, "nesting-loop", Definition, 422, AfterFix, [2003, 2003, 2003], "Flow nested dead loop", "流程嵌套死循环",
        "A flow module calls itself, directly or through others.",
        "Remove the call activity that closes the loop.";
    DefinitionInsertFailed = 3001, "definition-insert-failed", Definition, 503, Same, [3001, 3001, 3001], "Definition insert failed", "数据库插入失败",
        "The store did not take the new definition or deployment.",
        "Repeat the call with the same command id; see the store's state in the message.";
    DefinitionUpdateFailed = 3002, "definition-update-failed", Definition, 503, Same, [3002, 3002, 3002], "Definition update failed", "数据库更新失败",
        "The flow module does not exist, or the store did not take the update.",
        "Check flowModuleId; create the module first.";
    FlowNotFound = 3101, "flow-not-found", Definition, 404, AfterFix, [3101, 3101, 3101], "Flow not exist", "流程不存在",
        "No flow module has this id.",
        "Check the id with `flow list`.";
    FlowNotEditing = 3102, "flow-not-editing", Definition, 409, Refresh, [3102, 3102, 3102], "Flow not editing status", "流程不是编辑状态",
        "The module has no model yet.",
        "Save a model with updateFlow, then deploy.";
    ModelEmpty = 3201, "model-empty", Definition, 422, AfterFix, [3201, 3201, 3201], "Empty model", "模型为空",
        "The model is not JSON, or its flowElementList is missing or empty.",
        "Send a model with a non-empty flowElementList.";
    ModelStartCount = 3202, "model-start-count", Definition, 422, AfterFix, [3202, 3202, 3202], "Zero or more than one start node", "流程必须有且仅有一个开始节点",
        "The model has no start event, or more than one.",
        "Keep exactly one element of type 2.";
    ModelKeyDuplicate = 3203, "model-key-duplicate", Definition, 422, AfterFix, [3203, 3203, 3203], "Element key not unique", "流程元素key必须唯一",
        "Two elements have the same key, or a key is missing.",
        "Give every element a key of its own.";
    ModelNoEnd = 3204, "model-no-end", Definition, 422, AfterFix, [3204, 3204, 3204], "No end node", "流程至少需要有一个结束节点",
        "The model has no end event.",
        "Add an element of type 3.";
    ModelUnreachable = 3205, "model-unreachable", Definition, 422, AfterFix, [3205, 3205, 3205], "Not unicom", "该流程从开始节点不能到底每一个节点",
        "A node cannot be reached from the start event.",
        "Connect the node, or remove it.";
    ModelSequencePair = 3206, "model-sequence-pair", Definition, 422, AfterFix, [3206, 3206, 3206], "Sequence belong to multi pair node", "边应该属于一个入口节点和一个出口节点",
        "A key names no element, or a sequence flow is listed by neither of its ends.",
        "Let each sequence flow name its two nodes and be named by them.";
    ModelRingWithoutTask = 3207, "model-ring-without-user-task", Definition, 422, AfterFix, [3207, 3207, 3207], "Ring wrong", "流程中环结构中必须至少包含一个用户节点",
        "A ring of nodes contains neither a user task nor a call activity.",
        "Put a user task into the ring, or cut it.";
    ModelGatewayNoExit = 3208, "model-gateway-no-exit", Definition, 422, AfterFix, [3208, 3208, 3208], "Gateway no outgoing", "网关节点应该至少有一条出口",
        "A gateway has no outgoing sequence flow.",
        "Add an outgoing sequence flow.";
    ModelConditionMissing = 3209, "model-condition-missing", Definition, 422, AfterFix, [3209, 3209, 3209], "Empty sequence outgoing", "网关节点条件分支除默认分支外均需要配置条件表达式",
        "A sequence flow out of an exclusive gateway has no condition and is not the default.",
        "Set conditionsequenceflow, or defaultConditions to \"true\".";
    ModelDefaultDuplicate = 3210, "model-default-duplicate", Definition, 422, AfterFix, [3210, 3210, 3210], "Too many default sequence", "网关节点最多只能有一条默认分支",
        "A gateway has more than one default sequence flow.",
        "Keep one default.";
    ModelUnknownElement = 3211, "model-unknown-element", Definition, 422, AfterFix, [3211, 3211, 3211], "Unknown element key", "不支持该类型",
        "The element's type is not supported; or, in a history, two nodes follow each other that the model does not connect.",
        "Use a supported type: 1, 2, 3, 4, 6, 8, 9 or 10.";
    ModelTooManyIncoming = 3212, "model-too-many-incoming", Definition, 422, AfterFix, [3212, 3212, 3212], "Too many incoming", "非条件判断节点以及起始节点外，其他节点有且仅有一个出口",
        "A sequence flow has more than one source.",
        "Use one sequence flow for each pair of nodes.";
    ModelTooManyOutgoing = 3213, "model-too-many-outgoing", Definition, 422, AfterFix, [3213, 3213, 3213], "Too many outgoing", "太多的出口分支",
        "A sequence flow or a call activity has more than one target.",
        "Use one outgoing sequence flow.";
    ModelLacksIncoming = 3214, "model-lacks-incoming", Definition, 422, AfterFix, [3214, 3214, 3214], "Element lack incoming", "元素缺少入口",
        "An element that must be entered lists nothing in incoming.",
        "List the sequence flows that lead here in incoming.";
    ModelLacksOutgoing = 3215, "model-lacks-outgoing", Definition, 422, AfterFix, [3215, 3215, 3215], "Element lack outgoing", "元素缺少出口",
        "An element that must be left lists nothing in outgoing.",
        "List the sequence flows that lead on in outgoing.";
    ModelAttributeMissing = 3216, "model-attribute-missing", Definition, 422, AfterFix, [3216, 3216, 3216], "Required element attributes", "缺少节点必要的属性",
        "A call activity lacks callActivityExecuteType or callActivityInstanceType.",
        "Set both properties.";
    ModelAttributeUnknown = 3217, "model-attribute-unknown", Definition, 422, AfterFix, [3217, 3217, 3217], "Unknown element value", "不识别的流程属性值",
        "A property has a value that is not supported, names a module that does not exist, or a model limit is exceeded.",
        "Correct the property named in the message.";
    CommitFailed = 4001, "commit-failed", Runtime, 409, Refresh, [4001, 4001, 4001], "Commit task failed", "提交失败",
        "The task is neither active nor completed: it was rolled back, closed or has failed; or the plug-in of an element refuses.",
        "Read the instance and commit a task that is active; a plug-in's reason stands in the message.";
    RollbackFailed = 4002, "rollback-failed", Runtime, 409, Refresh, [4002, 4002, 4002], "Rollback task failed", "撤销失败",
        "The task is not one that can be rolled back now.",
        "Roll back an active task, or the newest completed one.";
    CommitOnEnded = 4003, "commit-on-ended", Lifecycle, 409, Never, [4003, 4003, 4003], "Commit rejected, flow is terminate", "流程实例已终止, 无法继续提交",
        "The flow instance was terminated.",
        "Start a new instance.";
    RollbackNotRunning = 4004, "rollback-not-running", Lifecycle, 409, Never, [4004, 4004, 4004], "Rollback rejected, non-running flowInstance rollback", "非执行中流程实例, 无法撤销",
        "The flow instance is completed or terminated.",
        "Only a running instance can be rolled back.";
    NoNodeToRollback = 4005, "no-node-to-rollback", Runtime, 409, Never, [4005, 4005, 4005], "No node to rollback", "该实例没有可撤销的节点",
        "Reserved by the API document; this engine answers 4002 or 4006.",
        "See 4002 and 4006.";
    NoUserTaskToRollback = 4006, "no-user-task-to-rollback", Runtime, 409, Never, [4006, 4006, 4006], "No userTask to rollback", "已完成第一个用户节点的撤销, 无法继续撤销",
        "There is no user task before this one: the rollback would reach the start event.",
        "Commit the task, or terminate the instance.";
    DeploymentNotFound = 4007, "deployment-not-found", Runtime, 404, AfterFix, [4007, 4007, 4007], "Get flowDeployment failed", "获取不到流程部署信息",
        "No deployment has this id, the module was never deployed, or it is offline.",
        "Deploy the module, or enable it with `flow enable`.";
    InstanceNotFound = 4008, "instance-not-found", Runtime, 404, AfterFix, [4008, 4008, 4008], "Get flowInstance failed", "获取不到流程实例信息",
        "No flow instance has this id.",
        "Check the id with `instance list`.";
    CurrentNodeNotFound = 4009, "current-node-not-found", Runtime, 409, Refresh, [4009, 4009, 4009], "Get current node failed", "获取不到待处理的节点",
        "A sequence flow leads to an element that the model does not have.",
        "Correct the model and deploy it again.";
    NodeInstanceNotFound = 4010, "node-instance-not-found", Runtime, 404, Refresh, [4010, 4010, 4010], "Get nodeInstance failed", "获取不到节点实例信息",
        "The flow instance has no node instance with this id.",
        "Take nodeInstanceId from activeTaskInstance of the last answer.";
    InstanceDataNotFound = 4011, "instance-data-not-found", Runtime, 404, Refresh, [4011, 4011, 4011], "Get instanceData failed", "获取不到实例数据信息",
        "Reserved by the API document: data is folded from the log and cannot be missing on its own.",
        "Run `log verify`.";
    HookConfigMissing = 4012, "hook-config-missing", Runtime, 500, AfterFix, [4012, 4012, 4012], "Get hook config failed", "获取不到hook配置",
        "A gateway sets hookInfoIds, but the engine was built without a hook.",
        "Register a hook with the engine builder, or clear hookInfoIds.";
    NoOutgoingMatches = 4013, "no-outgoing-matches", Runtime, 422, AfterFix, [4013, 4013, 4013], "Get outgoing failed", "找不到下一个待执行节点",
        "No condition is true and there is no default.",
        "Commit again with variables that match a condition; the model may give an exclusive gateway a default sequence flow.";
    UnsupportedElement = 4014, "unsupported-element", Runtime, 422, AfterFix, [4014, 4014, 4014], "Unsupported element type", "不支持的节点操作",
        "The element cannot be executed or committed; or a plug-in runs it, and the engine was built without that plug-in.",
        "Commit a user task; check the element's type, or register its plug-in with the engine builder.";
    ExpressionDataMissing = 4015, "expression-data-missing", Runtime, 422, AfterFix, [4015, 4015, 4015], "Miss data", "表达式运算缺少数据",
        "A condition reads a variable that the flow does not have; the message names it.",
        "Commit again with the variable.";
    SaveInstanceFailed = 4016, "save-instance-failed", Runtime, 503, Same, [4016, 4016, 4016], "Save flowInstance failed", "保存流程实例失败",
        "The store did not take the new instance.",
        "Repeat the call with the same command id.";
    SaveDataFailed = 4017, "save-data-failed", Runtime, 503, Same, [4017, 4017, 4017], "Save instanceData failed", "保存实例数据失败",
        "Reserved by the API document: data is stored with the command it belongs to.",
        "See 4016.";
    ExpressionFailed = 4018, "expression-failed", Runtime, 422, AfterFix, [4018, 4018, 4018], "Groovy calculate failed", "表达式执行失败",
        "A condition could not be evaluated to true or false; the message names the expression and the cause.",
        "Correct the condition, or commit with variables of the right type.";
    CallActivityModelMissing = 4019, "call-activity-model-missing", Runtime, 422, AfterFix, [4019, 4019, 4019], "Get CallActivity model failed", "获取调用子流程模型失败",
        "Neither the commit nor the call activity names a flow module.",
        "Pass callActivityFlowModuleId.";
    SubFlowInstanceNotAccepted = 4020, "subflow-instance-not-accepted", Runtime, 409, AfterFix, [4020, 4020, 4020], "Do not receive subFlowInstanceId", "不接收提交子流程实例",
        "The id is that of a sub flow instance.",
        "Use the flowInstanceId of the root.";
    UpdateDataFailed = 4021, "update-data-failed", Runtime, 503, Same, [4021, 4021, 4021], "Update instanceData failed", "更新实例数据失败",
        "Reserved by the reference engine: data is stored with the command it belongs to.",
        "See 4016.";
    SystemError = 5000, "system-error", Platform, 500, Same, [5000, 5000, 5000], "System error", "系统错误",
        "The engine, or what the host gave it, failed; the message says where.",
        "Repeat the call with the same command id; look at the log's detail.";
    Failed = 5001, "failed", Platform, 500, Refresh, [5001, 5001, 5001], "Failed", "处理失败",
        "Reserved by the API document; turbo131 callers also get it for codes they do not know.",
        "See errCodeExt.";
    ParallelTimeout = 6002, "parallel-timeout", Runtime, 422, AfterFix, [6002, 6002, 6002], "Parallel execute timeout, please obtain the latest process execute status through query", "并行执行超时",
        "Reserved by the reference engine: branches run within one command and never time out.",
        "Nothing to do.";
    ParallelReEntry = 6003, "parallel-re-entry", Runtime, 422, AfterFix, [6003, 6003, 6003], "Parallel execute reentry", "并行执行重入",
        "Reserved by the reference engine: a branch arrives at a join once.",
        "Nothing to do.";
    GatewayAttributes = 6004, "parallel-attributes", Definition, 422, AfterFix, [6004, 6004, 6004], "required element attributes", "缺少并行网关必要的属性",
        "A parallel or inclusive gateway has no forkJoinMatch that names a fork and a join, and none can be told from the model.",
        "Give the fork and the join the same forkJoinMatch.";
    ForkJoinMismatch = 6005, "parallel-fork-join-mismatch", Definition, 422, AfterFix, [6005, 6005, 6005], "Fork and join not match", "并行网关的分支与汇聚不匹配",
        "The forkJoinMatch of a parallel or inclusive gateway does not pair it with a gateway that says the same, or a branch came to a join whose fork it does not come from.",
        "Let fork and join name each other, and lead every branch of the fork to its join or to an end event.";
    DataMergeUnsupported = 6006, "parallel-data-merge-unsupported", Definition, 422, AfterFix, [6006, 6006, 6006], "Unsupported data merge strategy", "不支持的数据合并策略",
        "The dataMerge of a join is not All, None or Custom, or it is Custom and the engine was built without that strategy.",
        "Correct dataMerge, or register the strategy with the engine builder.";
    BranchMergeUnsupported = 6007, "parallel-branch-merge-unsupported", Definition, 422, AfterFix, [6007, 6007, 6007], "Unsupported branch merge strategy", "不支持的分支合并策略",
        "The branchMerge of a join is not JoinAll, AnyOne or Custom, or it is Custom and the engine was built without that strategy.",
        "Correct branchMerge, or register the strategy with the engine builder.";
    BranchMergeFailed = 6008, "parallel-branch-merge-failed", Runtime, 422, AfterFix, [6008, 6008, 6008], "Branch merge strategy error", "分支合并策略执行失败",
        "Branches changed a variable to different values and the join's dataConflict is `fail`, or the host's strategy failed.",
        "Commit again with values that agree, or choose another dataConflict.";
    ForkNotFound = 6009, "parallel-fork-not-found", Runtime, 422, AfterFix, [6009, 6009, 6009], "Not found fork instance", "找不到分支网关实例",
        "Reserved by the reference engine; this engine answers 6005.",
        "See 6005.";
    GatewayRollback = 6010, "parallel-rollback-unsupported", Runtime, 422, AfterFix, [6010, 6010, 6010], "Parallel and inclusive gateways are not supported for rollback", "并行网关和包容网关不支持撤销",
        "Reserved by the reference engine: this engine rolls back across every gateway.",
        "Nothing to do.";
    BodyUnreadable = 7000, "body-unreadable", Request, 400, AfterFix, [2001, 2001, 2001], "Request is not readable JSON", "请求内容无法解析",
        "The text given as JSON does not parse.",
        "Correct the JSON at the place the message names.";
    ConfigInvalid = 7007, "config-invalid", Platform, 500, AfterFix, [5000, 5000, 5000], "Configuration invalid", "配置无效",
        "The engine was built with settings or host traits that contradict each other.",
        "Correct the setting named in the message.";
    StoreUnavailable = 7008, "store-unavailable", Platform, 503, Same, [5000, 5000, 5000], "Store unavailable", "存储不可用",
        "The store cannot be opened, read or written. After a command, whether its record is stored may be unknown.",
        "Repeat the call with the same command id: it is done once.";
    Overloaded = 7009, "overloaded", Platform, 503, Same, [5000, 5000, 5000], "Limit reached while running", "运行超出限制",
        "The command took more steps than the limit, or met too many conflicts.",
        "Check the model for rings without a task; repeat the call.";
    TenantDenied = 7201, "tenant-denied", Permission, 403, AfterFix, [5001, 5001, 5001], "Tenant denied", "租户无权访问",
        "Strict tenancy is on, and the module belongs to another tenant.",
        "Use the tenant that created the module.";
    ResourceDisabled = 7206, "resource-disabled", Permission, 409, AfterFix, [4007, 4007, 4007], "Resource disabled", "资源已停用",
        "The flow module was taken offline.",
        "Take it online with `flow enable`.";
    IdempotencyKeyReused = 7301, "idempotency-key-reused", Concurrency, 422, Never, [2001, 2001, 2001], "Command id used for another command", "命令标识已用于其他命令",
        "A command with this id but other content is already on the record.",
        "Use a new command id for a new command.";
    VersionConflict = 7303, "version-conflict", Concurrency, 412, Refresh, [4001, 4002, 5001], "Version conflict", "版本冲突",
        "The instance is not at the version the command expects.",
        "Read the instance again and decide anew.";
    AlreadyAborted = 7400, "instance-already-aborted", Lifecycle, 409, Refresh, [4003, 4003, 4003], "Instance is aborted", "实例已中止",
        "The flow instance was aborted, and nothing can happen in it until it is restored.",
        "Restore it with restoreInstance, or start a new instance.";
    NotAborted = 7401, "instance-not-aborted", Lifecycle, 409, Refresh, [5001, 5001, 5001], "Instance is not aborted", "实例未中止",
        "Only an aborted flow instance can be restored, and this one runs, is suspended or was restored already.",
        "Read the instance with getFlowInstance.";
    ReasonRequired = 7402, "reason-required", Lifecycle, 400, AfterFix, [2001, 2001, 2001], "Reason required", "必须填写原因",
        "Abort, restore, suspend and resume need a reason, or one of the options that the flow gives for it.",
        "Send reason, or reasonOption where the flow has options.";
    ReasonOptionUnknown = 7403, "reason-option-unknown", Lifecycle, 400, AfterFix, [2001, 2001, 2001], "Reason option unknown", "原因选项不存在",
        "The flow's reasonOptions do not list this option for the command.",
        "Use one of the options that the message lists.";
    NotAbortable = 7404, "not-abortable", Lifecycle, 409, Never, [5001, 5001, 5001], "Instance cannot be aborted", "实例不可中止",
        "The flow instance has ended.",
        "Nothing to do.";
    NotRestorable = 7405, "not-restorable", Lifecycle, 409, Never, [5001, 5001, 5001], "Instance cannot be restored", "实例不可恢复",
        "The flow instance has ended for good.",
        "Start a new instance.";
    InstanceSuspended = 7406, "instance-suspended", Lifecycle, 409, Refresh, [4001, 4002, 5001], "Instance is suspended", "实例已挂起",
        "The flow instance was suspended, and nothing can happen in it until it is resumed.",
        "Resume it with resumeInstance.";
    NodeNotReached = 7407, "node-not-reached", Lifecycle, 409, Refresh, [4009, 4009, 4009], "Node not reached", "节点尚未到达",
        "The flow never came to this element.",
        "Choose one of the targets of getRollbackTargets.";
    NodeNotCompleted = 7409, "node-not-completed", Lifecycle, 409, Refresh, [4005, 4005, 4005], "Node not completed", "节点尚未完成",
        "Only a user task that is completed can be opened again.",
        "Choose one of the targets of getRollbackTargets.";
    NodeNotInModel = 7410, "node-not-in-model", Lifecycle, 404, AfterFix, [4010, 4010, 4010], "Node not in the model", "模型中没有该节点",
        "No flow of the instance has an element with this key.",
        "Correct the key.";
    TransitionIllegal = 7413, "transition-illegal", Lifecycle, 409, Refresh, [4013, 4013, 4013], "Transition not possible", "不允许的状态变化",
        "The command does not fit the state: the instance is not suspended, or the task stands in a branch that its join has closed.",
        "Read the instance, then decide.";
    InvariantViolated = 7414, "invariant-violated", Lifecycle, 422, AfterFix, [4001, 4001, 4001], "Invariant violated", "违反不变量",
        "The engine enforces invariants, and where the command leads to one of the model's does not hold.",
        "Change what the message tells of: the variables, the operator, or the order; or roll back first.";
    RollbackForbidden = 7415, "rollback-forbidden", Lifecycle, 409, Never, [4002, 4002, 4002], "Rollback forbidden", "禁止撤销",
        "The rollback would go back over a completed node whose onRollback is `forbid`.",
        "Roll back to a later task, or terminate the instance.";
    NothingToRedo = 7416, "nothing-to-redo", Lifecycle, 409, Refresh, [4002, 4002, 4002], "Nothing to redo", "没有可重做的撤销",
        "There was no rollback since the last commit.",
        "Commit the tasks again.";
    VersionNotReached = 7417, "version-not-reached", Lifecycle, 409, Refresh, [2001, 2001, 2001], "Version not reached", "尚未到达该版本",
        "The version asked for lies ahead of the instance.",
        "Ask for a version that an answer has named.";
    ModelNotProved = 7418, "model-not-proved", Definition, 422, AfterFix, [5001, 5001, 5001], "Model is not proved", "模型未通过证明",
        "The deployment requires a proof, and the model has findings, or something in it cannot be decided.",
        "Mend what the faults name; `flow prove` shows each with commands.";
    LogCorrupt = 7800, "log-corrupt", Integrity, 500, Never, [5000, 5000, 5000], "Log corrupt", "日志已损坏",
        "A record does not match its hash or its place in the log.",
        "Stop writing, run `log verify`, and restore from a backup.";
    EventVersionUnsupported = 7803, "event-version-unsupported", Integrity, 500, AfterFix, [5000, 5000, 5000], "Record version not understood", "记录版本不受支持",
        "The store was written by a newer release.",
        "Use that release or a newer one.";
}

impl ResultCode {
    /// The code with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// The code with this slug.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.entry().slug == slug)
    }

    /// Whether the call did its work: codes 1000 to 1999.
    pub const fn is_success(self) -> bool {
        matches!(self.number(), 1000..=1999)
    }

    /// The nearest code of the reference engine: itself below 7000.
    pub const fn nearest_turbo(self, context: CodeContext) -> i32 {
        let [commit, rollback, other] = self.entry().turbo;
        match context {
            CodeContext::Commit => commit,
            CodeContext::Rollback => rollback,
            CodeContext::Other => other,
        }
    }
}

impl fmt::Display for ResultCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number(), self.entry().text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_and_slugs_are_unique() {
        let numbers: BTreeSet<i32> = ResultCode::ALL.iter().map(|code| code.number()).collect();
        let slugs: BTreeSet<&str> = ResultCode::ALL.iter().map(|code| code.entry().slug).collect();
        assert_eq!(numbers.len(), ResultCode::ALL.len());
        assert_eq!(slugs.len(), ResultCode::ALL.len());
    }

    #[test]
    fn every_code_stands_in_its_band_and_maps_to_the_reference() {
        for code in ResultCode::ALL {
            let entry = code.entry();
            assert!(
                matches!(entry.number, 1000..=1999 | 2001..=2003 | 3001..=3217 | 4001..=4021 | 5000..=5001 | 6002..=6010 | 7000..=7899),
                "{code}"
            );
            for context in [CodeContext::Commit, CodeContext::Rollback, CodeContext::Other] {
                let turbo = code.nearest_turbo(context);
                assert!(turbo < 7000 && ResultCode::from_number(turbo).is_some(), "{code}");
                assert!(entry.number >= 7000 || turbo == entry.number, "{code}");
            }
            assert!(
                !entry.text_zh.is_empty() && entry.cause.ends_with('.') && entry.hint.ends_with('.'),
                "{code}"
            );
        }
    }
}
