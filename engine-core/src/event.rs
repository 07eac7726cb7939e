//! Every command and every fact, on one page. No logic.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, InstanceDataId, NodeInstanceId};
use crate::time::Timestamp;
use crate::value::Value;
use crate::variables::InstanceData;

/// Who gave a command. The engine records it and decides nothing by it, unless strict tenancy is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<Arc<str>>,
    /// The calling system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Arc<str>>,
    /// The person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Arc<str>>,
}

impl Actor {
    /// Whether nobody is named.
    pub fn is_empty(&self) -> bool {
        self.tenant.is_none() && self.caller.is_none() && self.operator.is_none()
    }
}

/// What surrounds a command on the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The stream, by its sixteen bytes.
    pub stream: [u8; 16],
    /// Version of the stream with this record: 1 for the first, dense.
    pub version: u64,
    /// The id of the command; a repeated id is answered from the record.
    pub command_id: CommandId,
    /// The later of the clock and the time of the stream's previous record.
    pub recorded_at: Timestamp,
    /// Who gave the command.
    pub actor: Actor,
    /// Why, in the caller's words.
    pub reason: Option<Arc<str>>,
    /// The host's own expression calculator and id generator, where it has them.
    pub plug_ins: Vec<PlugInName>,
}

/// A command as it stands on the record: the envelope, and what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given<C> {
    /// What surrounds it.
    pub envelope: Envelope,
    /// What was asked.
    pub command: C,
}

/// One record of the log: a command and the facts it caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<C, E> {
    /// The command as given.
    pub given: Given<C>,
    /// The facts, in order; never empty.
    pub events: Vec<E>,
}

/// A record of a flow module's stream.
pub type ModuleRecord = Record<ModuleCommand, ModuleEvent>;
/// A record of a flow instance's stream.
pub type InstanceRecord = Record<InstanceCommand, InstanceEvent>;

/// A record of any stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyRecord {
    /// Of a flow module.
    Module(ModuleRecord),
    /// Of a flow instance.
    Instance(InstanceRecord),
}

impl AnyRecord {
    /// What surrounds the command.
    pub fn envelope(&self) -> &Envelope {
        match self {
            Self::Module(record) => &record.given.envelope,
            Self::Instance(record) => &record.given.envelope,
        }
    }
}

/// The descriptive members of a flow definition; absent means unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowDescription {
    /// The caller's own key of the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_key: Option<Arc<str>>,
    /// The name shown to people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_name: Option<Arc<str>>,
    /// Anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<Arc<str>>,
}

/// What can be asked of a flow module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ModuleCommand {
    /// Create the module, without a model.
    CreateFlow {
        /// Key, name, remark.
        flow: FlowDescription,
    },
    /// Replace the draft.
    UpdateFlow {
        /// Key, name, remark.
        flow: FlowDescription,
        /// The model's text; judged only when it is deployed.
        flow_model: Arc<str>,
    },
    /// Judge the draft and deploy it.
    DeployFlow,
    /// Take the module offline: it can no longer be started.
    DisableFlow,
    /// Take it online again.
    EnableFlow,
}

/// What happened to a flow module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ModuleEvent {
    /// The module exists.
    FlowCreated {
        /// Its id.
        flow_module_id: FlowModuleId,
    },
    /// The draft is now what the command says.
    FlowUpdated,
    /// The draft was found good and is now a deployment.
    FlowDeployed {
        /// The deployment's id.
        flow_deploy_id: FlowDeployId,
        /// What is allowed but likely not meant.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<DeployWarning>,
    },
    /// The module is offline.
    FlowDisabled,
    /// The module is online.
    FlowEnabled,
}

/// Something in a deployed model that is allowed but likely not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployWarning {
    /// The kind of warning, stable.
    pub slug: Arc<str>,
    /// The element, where it concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element_key: Option<Arc<str>>,
    /// What, and what to do.
    pub message: Arc<str>,
}

/// What can be asked of a flow instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum InstanceCommand {
    /// Create an instance and run it to its first task or its end.
    StartProcess {
        /// The deployment; goes before the module.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flow_deploy_id: Option<FlowDeployId>,
        /// The module, of which the latest deployment is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flow_module_id: Option<FlowModuleId>,
        /// The first variables.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
    },
    /// Complete a task and run on to the next task or the end.
    CommitTask {
        /// The task.
        task_instance_id: NodeInstanceId,
        /// Variables that override those the task was entered with.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
        /// The flow module a call activity runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        call_activity_flow_module_id: Option<FlowModuleId>,
    },
    /// Go back to the user task before this one.
    RollbackTask {
        /// The task.
        task_instance_id: NodeInstanceId,
    },
    /// Go back to any earlier user task.
    RollbackTo {
        /// Where to.
        target: RollbackTarget,
    },
    /// Take the last rollback back.
    RedoRollback,
    /// Let nothing happen until it is resumed.
    SuspendInstance {
        /// Why, as one of the flow's options.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_option: Option<Arc<str>>,
    },
    /// Go on after it was suspended.
    ResumeInstance {
        /// Why, as one of the flow's options.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_option: Option<Arc<str>>,
    },
    /// Stop the instance; it can be restored.
    AbortInstance {
        /// Why, as one of the flow's options.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_option: Option<Arc<str>>,
    },
    /// Take an abort back.
    RestoreInstance {
        /// Why, as one of the flow's options.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason_option: Option<Arc<str>>,
    },
    /// End the instance for good.
    TerminateProcess {
        /// Whether running sub flow instances end with it.
        effective_for_sub_flow_instance: bool,
    },
}

impl InstanceCommand {
    /// The variables given with the command.
    pub fn variables(&self) -> &[InstanceData] {
        match self {
            Self::StartProcess { variables, .. } | Self::CommitTask { variables, .. } => variables,
            Self::RollbackTask { .. }
            | Self::RollbackTo { .. }
            | Self::RedoRollback
            | Self::SuspendInstance { .. }
            | Self::ResumeInstance { .. }
            | Self::AbortInstance { .. }
            | Self::RestoreInstance { .. }
            | Self::TerminateProcess { .. } => &[],
        }
    }

    /// The task that is to be committed.
    pub fn committed_task(&self) -> Option<&NodeInstanceId> {
        match self {
            Self::CommitTask { task_instance_id, .. } => Some(task_instance_id),
            Self::StartProcess { .. }
            | Self::RollbackTask { .. }
            | Self::RollbackTo { .. }
            | Self::RedoRollback
            | Self::SuspendInstance { .. }
            | Self::ResumeInstance { .. }
            | Self::AbortInstance { .. }
            | Self::RestoreInstance { .. }
            | Self::TerminateProcess { .. } => None,
        }
    }
}

/// The user task that a rollback is to open again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RollbackTarget {
    /// This node instance.
    Node(NodeInstanceId),
    /// The newest completed node instance of this element, in the instance or a sub flow instance.
    Element(Arc<str>),
}

/// A node instance that comes into being: one visit of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeVisit {
    /// The new node instance.
    pub node: NodeInstanceId,
    /// The element visited.
    pub key: Arc<str>,
    /// Its type's number.
    #[serde(rename = "type")]
    pub element_type: i64,
    /// The node instance the flow came from; `None` at the start event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<NodeInstanceId>,
    /// Which of the branches that its source opened it begins; `None` where the source opened none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<u32>,
}

/// What the hooks of a gateway said in an attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookHeard {
    /// The gateway.
    pub node: NodeInstanceId,
    /// The answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<InstanceData>,
    /// What went wrong in hooks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Arc<str>>,
}

/// One condition that was evaluated, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The sequence flow that carries the condition.
    pub flow: Arc<str>,
    /// How it came out.
    pub held: bool,
}

/// What happened to a flow instance. Events refer to the command's variables and do not repeat them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum InstanceEvent {
    /// A flow instance exists and runs: the root with the command's variables, a sub flow instance with the command's
    /// variables overridden by what its call activity hands in (T-23).
    FlowStarted {
        /// Its id.
        flow_instance_id: FlowInstanceId,
        /// The call activity's node instance; `None` for the root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<NodeInstanceId>,
        /// What the call activity hands in; `None` for the root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer: Option<Transfer>,
        /// The deployment it runs, for good.
        flow_deploy_id: FlowDeployId,
        /// The module of that deployment.
        flow_module_id: FlowModuleId,
        /// The tenant of the deployment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<Arc<str>>,
        /// The caller of the deployment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caller: Option<Arc<str>>,
        /// The id of the first snapshot; `None` when no variables were given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<InstanceDataId>,
    },
    /// A start or end event was reached and is done.
    EventPassed(NodeVisit),
    /// A task was reached and waits for its commit.
    TaskActivated(NodeVisit),
    /// A gateway was reached.
    GatewayReached(NodeVisit),
    /// A node that failed in an earlier attempt was reached again from the same source.
    NodeReentered {
        /// The failed node instance.
        node: NodeInstanceId,
        /// Which of the branches that its source opened it begins; `None` where the source opened none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<u32>,
    },
    /// The hooks of a gateway answered.
    HookAnswered {
        /// The gateway.
        node: NodeInstanceId,
        /// The id of the snapshot that holds the answer; `None` when the answer was empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<InstanceDataId>,
        /// The answer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
        /// What went wrong in hooks; never fatal.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        failures: Vec<Arc<str>>,
    },
    /// A gateway, or a task with several ways on, took one of them.
    BranchTaken {
        /// The gateway or task.
        node: NodeInstanceId,
        /// The conditions that were evaluated, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evaluated: Vec<Evaluated>,
        /// The sequence flow taken.
        flow: Arc<str>,
    },
    /// A fork was passed: it opens a branch along each of these sequence flows, numbered from 0 in this order.
    BranchesOpened {
        /// The fork.
        node: NodeInstanceId,
        /// The conditions that were evaluated, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evaluated: Vec<Evaluated>,
        /// The sequence flows taken, in the order of the model.
        flows: Vec<Arc<str>>,
    },
    /// A join was reached by the first of its branches, or again after it failed.
    JoinReached {
        /// The join.
        visit: NodeVisit,
        /// The fork whose branches it joins.
        fork: NodeInstanceId,
    },
    /// A branch has arrived at a join, which waits.
    BranchArrived {
        /// The join.
        node: NodeInstanceId,
        /// The node instance the branch came from.
        source: NodeInstanceId,
        /// Which of the branches that the source opened has arrived; `None` where the source opened none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        branch: Option<u32>,
    },
    /// A join fired: the flow goes on behind it.
    BranchesJoined {
        /// The join.
        node: NodeInstanceId,
        /// How the data of the arrived branches came together.
        merge: Merge,
        /// The id of the snapshot it left with; `None` when that is one that exists.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<InstanceDataId>,
        /// Whether it fired without waiting for all branches.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        early: bool,
        /// Variables that branches changed to different values, and who won.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        conflicts: Vec<DataConflict>,
        /// Tasks and joins that were still open in branches of the fork, and are closed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        closed: Vec<NodeInstanceId>,
        /// Sub flow instances that ran in those branches, and are terminated.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        terminated: Vec<FlowInstanceId>,
        /// The host's strategy that decided when the join fires or what its data is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        strategy: Option<PlugInName>,
    },
    /// A plug-in decided at an element of its type, which was reached or committed just before, or goes on waiting.
    PlugInStepped {
        /// The node instance.
        node: NodeInstanceId,
        /// Who decided.
        plug_in: PlugInName,
        /// Whether it waits for a commit, or for another.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        waits: bool,
        /// The id of the snapshot with its variables; `None` when it gave none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<InstanceDataId>,
        /// Its variables.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
        /// What it wants to find at its next step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<Value>,
        /// What a rollback does here once the flow has waited and gone on.
        #[serde(default, skip_serializing_if = "PlugInWayBack::is_reopen")]
        way_back: PlugInWayBack,
    },
    /// A task was committed with the command's variables.
    TaskCommitted {
        /// The task.
        node: NodeInstanceId,
        /// The id of the snapshot it left with; `None` when no variables were given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<InstanceDataId>,
    },
    /// A commit died on its way: data and active tasks are as they were.
    CommitFailed {
        /// The task that was to be committed.
        node: NodeInstanceId,
        /// Why: a number of the code table.
        code: i32,
        /// What exactly, and where.
        detail: Arc<str>,
        /// The conditions that were evaluated at the element that failed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        evaluated: Vec<Evaluated>,
        /// The nodes the attempt reached; all of them failed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reached: Vec<NodeVisit>,
        /// What hooks said on the way.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hooks: Vec<HookHeard>,
    },
    /// The root flow reached an end event.
    FlowCompleted,
    /// A sub flow instance reached an end event.
    SubFlowEnded {
        /// The sub flow instance.
        flow_instance_id: FlowInstanceId,
    },
    /// The flow goes on behind a call activity whose sub flow instance has ended: its data is what it was entered with,
    /// overridden by what the sub flow hands out (T-21).
    CallReturned {
        /// The call activity.
        node: NodeInstanceId,
        /// What the sub flow hands out.
        transfer: Transfer,
        /// The id of the snapshot it left with; `None` when nothing was handed out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<InstanceDataId>,
    },
    /// The flow went back to an earlier task.
    TaskRolledBack {
        /// The node instances that no longer count, latest first.
        superseded: Vec<NodeInstanceId>,
        /// What is open again: the task first, then the call activities around it, then joins that wait again and what
        /// they had closed.
        reopened: Vec<Reopened>,
        /// Sub flow instances that had ended, or that a join had terminated, and run again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        resumed: Vec<FlowInstanceId>,
        /// Sub flow instances that the rollback went back over.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        terminated: Vec<FlowInstanceId>,
        /// What is left to undo outside, in the order in which to do it: latest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        compensations: Vec<Compensation>,
    },
    /// The last rollback was taken back: what it had superseded counts again as it did before.
    RollbackRedone {
        /// The node instances that the rollback had opened, and that no longer count.
        superseded: Vec<NodeInstanceId>,
        /// The node instances that count again.
        restored: Vec<NodeInstanceId>,
    },
    /// The instance lets nothing happen until it is resumed.
    InstanceSuspended,
    /// The instance goes on.
    InstanceResumed,
    /// The instance is stopped; it can be restored.
    InstanceAborted,
    /// The instance is as it was before it was aborted.
    InstanceRestored {
        /// Whether it was suspended then, and is again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        suspended: bool,
    },
    /// Flow instances were ended for good; their tasks stay as they are.
    FlowTerminated {
        /// The instances, the root first.
        flow_instance_ids: Vec<FlowInstanceId>,
    },
}

/// How the data of the branches that arrived at a join came together over the data of the fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Merge {
    /// Not at all: the data of the fork stays.
    None,
    /// What each branch changed, in the order of arrival.
    Last,
    /// What each branch changed, in the order of the branches.
    BranchOrder,
    /// These variables, as a strategy of the host answered.
    Given(Vec<InstanceData>),
}

/// A variable that branches changed to different values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataConflict {
    /// The variable.
    pub key: Arc<str>,
    /// The branches that changed it, each by the sequence flow it began with, in the order of arrival.
    pub branches: Vec<Arc<str>>,
    /// The branch whose value stands, by the same name.
    pub taken: Arc<str>,
}

/// What a rollback does that walks back over an element of a plug-in at which the flow had waited, and which it has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlugInWayBack {
    /// The element waits again, as a user task would.
    #[default]
    Reopen,
    /// The rollback goes on to what came before.
    On,
}

impl PlugInWayBack {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "has the shape that serde asks for")]
    fn is_reopen(&self) -> bool {
        *self == Self::Reopen
    }
}

/// A plug-in of the host as a record names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlugInName {
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
}

/// Something outside that a rollback leaves to be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compensation {
    /// The node instance whose work is to be undone.
    pub node: NodeInstanceId,
    /// What to do, as the `onRollback` of the element names it.
    pub name: Arc<str>,
}

/// A node instance that is open again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reopened {
    /// The node instance that no longer counts.
    pub of: NodeInstanceId,
    /// The node instance that stands for it now, entered with the data of the first time.
    pub node: NodeInstanceId,
    /// Whether the rollback went on over it: a call activity whose sub flow had no task to stop at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}

/// What data crosses the border between a flow and the one it calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Transfer {
    /// Nothing.
    None,
    /// Every variable.
    Full,
    /// What the rules name.
    Part(Vec<TransferRule>),
}

/// One variable that crosses the border.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TransferRule {
    /// The value of a variable, null where there is none.
    Context {
        /// The variable here.
        source_key: Arc<str>,
        /// The variable there.
        target_key: Arc<str>,
    },
    /// Text that the model gives.
    Fixed {
        /// The text.
        source_value: Arc<str>,
        /// The variable there.
        target_key: Arc<str>,
    },
}
