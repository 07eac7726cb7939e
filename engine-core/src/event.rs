//! Every command and every fact, on one page. No logic.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::codec::Ids;
use crate::codec::form::{is_false, optional_text, optional_value, text, texts};
use crate::id::{CommandId, FlowDeployId, FlowInstanceId, FlowModuleId, IdScope, InstanceDataId, NodeInstanceId};
use crate::time::Timestamp;
use crate::value::Value;
use crate::variables::InstanceData;

/// Who gave a command. The engine records it and decides nothing by it, unless strict tenancy is on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(0), with = "optional_text", has_nil)]
    pub tenant: Option<Arc<str>>,
    /// The calling system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(1), with = "optional_text", has_nil)]
    pub caller: Option<Arc<str>>,
    /// The person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cbor(n(2), with = "optional_text", has_nil)]
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

impl Envelope {
    /// The scope of the ids that the command gives out in its stream.
    pub fn id_scope(&self) -> IdScope {
        IdScope::new(&self.command_id, Some(self.stream))
    }
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
pub struct FlowDescription {
    /// The caller's own key of the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(0), with = "optional_text", has_nil)]
    pub flow_key: Option<Arc<str>>,
    /// The name shown to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(1), with = "optional_text", has_nil)]
    pub flow_name: Option<Arc<str>>,
    /// Anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(2), with = "optional_text", has_nil)]
    pub remark: Option<Arc<str>>,
}

/// What can be asked of a flow module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[cbor(flat, context_bound = "AsMut<Ids>")]
pub enum ModuleCommand {
    /// Create the module, without a model.
    #[n(0)]
    CreateFlow {
        /// Key, name, remark.
        #[n(0)]
        flow: FlowDescription,
    },
    /// Replace the draft.
    #[n(1)]
    UpdateFlow {
        /// Key, name, remark.
        #[n(0)]
        flow: FlowDescription,
        /// The model's text; judged only when it is deployed.
        #[cbor(n(1), with = "text")]
        flow_model: Arc<str>,
    },
    /// Judge the draft and deploy it.
    #[n(2)]
    DeployFlow,
    /// Take the module offline: it can no longer be started.
    #[n(3)]
    DisableFlow,
    /// Take it online again.
    #[n(4)]
    EnableFlow,
}

/// What happened to a flow module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[cbor(flat, context_bound = "AsMut<Ids>")]
pub enum ModuleEvent {
    /// The module exists.
    #[n(0)]
    FlowCreated {
        /// Its id.
        #[n(0)]
        flow_module_id: FlowModuleId,
    },
    /// The draft is now what the command says.
    #[n(1)]
    FlowUpdated,
    /// The draft was found good and is now a deployment.
    #[n(2)]
    FlowDeployed {
        /// The deployment's id.
        #[n(0)]
        flow_deploy_id: FlowDeployId,
        /// What is allowed but likely not meant.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(1), skip_if = "Vec::is_empty")]
        warnings: Vec<DeployWarning>,
    },
    /// The module is offline.
    #[n(3)]
    FlowDisabled,
    /// The module is online.
    #[n(4)]
    FlowEnabled,
}

/// Something in a deployed model that is allowed but likely not meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
pub struct DeployWarning {
    /// The kind of warning, stable.
    #[cbor(n(0), with = "text")]
    pub slug: Arc<str>,
    /// The element, where it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cbor(n(1), with = "optional_text", has_nil)]
    pub element_key: Option<Arc<str>>,
    /// What, and what to do.
    #[cbor(n(2), with = "text")]
    pub message: Arc<str>,
}

/// What can be asked of a flow instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[cbor(flat, context_bound = "AsMut<Ids>")]
pub enum InstanceCommand {
    /// Create an instance and run it to its first task or its end.
    #[n(0)]
    StartProcess {
        /// The deployment; goes before the module.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(0)]
        flow_deploy_id: Option<FlowDeployId>,
        /// The module, of which the latest deployment is meant.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(1)]
        flow_module_id: Option<FlowModuleId>,
        /// The first variables.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(2), skip_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
    },
    /// Complete a task and run on to the next task or the end.
    #[n(1)]
    CommitTask {
        /// The task.
        #[n(0)]
        task_instance_id: NodeInstanceId,
        /// Variables that override those the task was entered with.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(1), skip_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
        /// The flow module a call activity runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(2)]
        call_activity_flow_module_id: Option<FlowModuleId>,
    },
    /// Go back to the user task before this one.
    #[n(2)]
    RollbackTask {
        /// The task.
        #[n(0)]
        task_instance_id: NodeInstanceId,
    },
    /// Go back to any earlier user task.
    #[n(3)]
    RollbackTo {
        /// Where to.
        #[n(0)]
        target: RollbackTarget,
    },
    /// Take the last rollback back.
    #[n(4)]
    RedoRollback,
    /// Let nothing happen until it is resumed.
    #[n(5)]
    SuspendInstance {
        /// Why, as one of the flow's options.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cbor(n(0), with = "optional_text", has_nil)]
        reason_option: Option<Arc<str>>,
    },
    /// Go on after it was suspended.
    #[n(6)]
    ResumeInstance {
        /// Why, as one of the flow's options.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cbor(n(0), with = "optional_text", has_nil)]
        reason_option: Option<Arc<str>>,
    },
    /// Stop the instance; it can be restored.
    #[n(7)]
    AbortInstance {
        /// Why, as one of the flow's options.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cbor(n(0), with = "optional_text", has_nil)]
        reason_option: Option<Arc<str>>,
    },
    /// Take an abort back.
    #[n(8)]
    RestoreInstance {
        /// Why, as one of the flow's options.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cbor(n(0), with = "optional_text", has_nil)]
        reason_option: Option<Arc<str>>,
    },
    /// End the instance for good.
    #[n(9)]
    TerminateProcess {
        /// Whether running sub flow instances end with it.
        #[n(0)]
        effective_for_sub_flow_instance: bool,
    },
}

impl InstanceCommand {
    /// Its name in the API document, in JSON and in words.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::StartProcess { .. } => "startProcess",
            Self::CommitTask { .. } => "commitTask",
            Self::RollbackTask { .. } => "rollbackTask",
            Self::RollbackTo { .. } => "rollbackTo",
            Self::RedoRollback => "redoRollback",
            Self::SuspendInstance { .. } => "suspendInstance",
            Self::ResumeInstance { .. } => "resumeInstance",
            Self::AbortInstance { .. } => "abortInstance",
            Self::RestoreInstance { .. } => "restoreInstance",
            Self::TerminateProcess { .. } => "terminateProcess",
        }
    }

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

    /// Why it is given, as one of the flow's options.
    pub fn reason_option(&self) -> Option<&Arc<str>> {
        match self {
            Self::SuspendInstance { reason_option }
            | Self::ResumeInstance { reason_option }
            | Self::AbortInstance { reason_option }
            | Self::RestoreInstance { reason_option } => reason_option.as_ref(),
            Self::StartProcess { .. }
            | Self::CommitTask { .. }
            | Self::RollbackTask { .. }
            | Self::RollbackTo { .. }
            | Self::RedoRollback
            | Self::TerminateProcess { .. } => None,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(flat, context_bound = "AsMut<Ids>")]
pub enum RollbackTarget {
    /// This node instance.
    #[n(0)]
    Node(#[n(0)] NodeInstanceId),
    /// The newest completed node instance of this element, in the instance or a sub flow instance.
    #[n(1)]
    Element(#[cbor(n(0), with = "text")] Arc<str>),
}

/// A node instance that comes into being: one visit of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(context_bound = "AsMut<Ids>")]
pub struct NodeVisit {
    /// The new node instance.
    #[n(0)]
    pub node: NodeInstanceId,
    /// The element visited.
    #[cbor(n(1), with = "text")]
    pub key: Arc<str>,
    /// Its type's number.
    #[serde(rename = "type")]
    #[n(2)]
    pub element_type: i64,
    /// The node instance the flow came from; `None` at the start event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[n(3)]
    pub source: Option<NodeInstanceId>,
    /// Which of the branches that its source opened it begins; `None` where the source opened none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[n(4)]
    pub branch: Option<u32>,
}

/// What the hooks of a gateway said in an attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(context_bound = "AsMut<Ids>")]
pub struct HookHeard {
    /// The gateway.
    #[n(0)]
    pub node: NodeInstanceId,
    /// The answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cbor(n(1), skip_if = "Vec::is_empty")]
    pub variables: Vec<InstanceData>,
    /// What went wrong in hooks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cbor(n(2), with = "texts", skip_if = "Vec::is_empty")]
    pub failures: Vec<Arc<str>>,
}

/// One condition that was evaluated, and how it came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct Evaluated {
    /// The sequence flow that carries the condition.
    #[cbor(n(0), with = "text")]
    pub flow: Arc<str>,
    /// How it came out.
    #[n(1)]
    pub held: bool,
}

/// What happened to a flow instance. Events refer to the command's variables and do not repeat them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[cbor(flat, context_bound = "AsMut<Ids>")]
pub enum InstanceEvent {
    /// A flow instance exists and runs: the root with the command's variables, a sub flow instance with the command's
    /// variables overridden by what its call activity hands in (T-23).
    #[n(0)]
    FlowStarted {
        /// Its id.
        #[n(0)]
        flow_instance_id: FlowInstanceId,
        /// The call activity's node instance; `None` for the root.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(1)]
        parent: Option<NodeInstanceId>,
        /// What the call activity hands in; `None` for the root.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(2)]
        transfer: Option<Transfer>,
        /// The deployment it runs, for good.
        #[n(3)]
        flow_deploy_id: FlowDeployId,
        /// The module of that deployment.
        #[n(4)]
        flow_module_id: FlowModuleId,
        /// The tenant of the deployment.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cbor(n(5), with = "optional_text", has_nil)]
        tenant: Option<Arc<str>>,
        /// The caller of the deployment.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cbor(n(6), with = "optional_text", has_nil)]
        caller: Option<Arc<str>>,
        /// The id of the first snapshot; `None` when no variables were given.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(7)]
        data: Option<InstanceDataId>,
    },
    /// A start or end event was reached and is done.
    #[n(1)]
    EventPassed(#[n(0)] NodeVisit),
    /// A task was reached and waits for its commit.
    #[n(2)]
    TaskActivated(#[n(0)] NodeVisit),
    /// A gateway was reached.
    #[n(3)]
    GatewayReached(#[n(0)] NodeVisit),
    /// A node that failed in an earlier attempt was reached again from the same source.
    #[n(4)]
    NodeReentered {
        /// The failed node instance.
        #[n(0)]
        node: NodeInstanceId,
        /// Which of the branches that its source opened it begins; `None` where the source opened none.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(1)]
        branch: Option<u32>,
    },
    /// The hooks of a gateway answered.
    #[n(5)]
    HookAnswered {
        /// The gateway.
        #[n(0)]
        node: NodeInstanceId,
        /// The id of the snapshot that holds the answer; `None` when the answer was empty.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(1)]
        data: Option<InstanceDataId>,
        /// The answer.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(2), skip_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
        /// What went wrong in hooks; never fatal.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(3), with = "texts", skip_if = "Vec::is_empty")]
        failures: Vec<Arc<str>>,
    },
    /// A gateway, or a task with several ways on, took one of them.
    #[n(6)]
    BranchTaken {
        /// The gateway or task.
        #[n(0)]
        node: NodeInstanceId,
        /// The conditions that were evaluated, in order.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(1), skip_if = "Vec::is_empty")]
        evaluated: Vec<Evaluated>,
        /// The sequence flow taken.
        #[cbor(n(2), with = "text")]
        flow: Arc<str>,
    },
    /// A fork was passed: it opens a branch along each of these sequence flows, numbered from 0 in this order.
    #[n(7)]
    BranchesOpened {
        /// The fork.
        #[n(0)]
        node: NodeInstanceId,
        /// The conditions that were evaluated, in order.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(1), skip_if = "Vec::is_empty")]
        evaluated: Vec<Evaluated>,
        /// The sequence flows taken, in the order of the model.
        #[cbor(n(2), with = "texts")]
        flows: Vec<Arc<str>>,
    },
    /// A join was reached by the first of its branches, or again after it failed.
    #[n(8)]
    JoinReached {
        /// The join.
        #[n(0)]
        visit: NodeVisit,
        /// The fork whose branches it joins.
        #[n(1)]
        fork: NodeInstanceId,
    },
    /// A branch has arrived at a join, which waits.
    #[n(9)]
    BranchArrived {
        /// The join.
        #[n(0)]
        node: NodeInstanceId,
        /// The node instance the branch came from.
        #[n(1)]
        source: NodeInstanceId,
        /// Which of the branches that the source opened has arrived; `None` where the source opened none.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(2)]
        branch: Option<u32>,
    },
    /// A join fired: the flow goes on behind it.
    #[n(10)]
    BranchesJoined {
        /// The join.
        #[n(0)]
        node: NodeInstanceId,
        /// How the data of the arrived branches came together.
        #[n(1)]
        merge: Merge,
        /// The id of the snapshot it left with; `None` when that is one that exists.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(2)]
        data: Option<InstanceDataId>,
        /// Whether it fired without waiting for all branches.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        #[cbor(n(3), skip_if = "is_false")]
        early: bool,
        /// Variables that branches changed to different values, and who won.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(4), skip_if = "Vec::is_empty")]
        conflicts: Vec<DataConflict>,
        /// Tasks and joins that were still open in branches of the fork, and are closed.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(5), skip_if = "Vec::is_empty")]
        closed: Vec<NodeInstanceId>,
        /// Sub flow instances that ran in those branches, and are terminated.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(6), skip_if = "Vec::is_empty")]
        terminated: Vec<FlowInstanceId>,
        /// The host's strategy that decided when the join fires or what its data is.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(7)]
        strategy: Option<PlugInName>,
    },
    /// A plug-in decided at an element of its type, which was reached or committed just before, or goes on waiting.
    #[n(11)]
    PlugInStepped {
        /// The node instance.
        #[n(0)]
        node: NodeInstanceId,
        /// Who decided.
        #[n(1)]
        plug_in: PlugInName,
        /// Whether it waits for a commit, or for another.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        #[cbor(n(2), skip_if = "is_false")]
        waits: bool,
        /// The id of the snapshot with its variables; `None` when it gave none.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(3)]
        data: Option<InstanceDataId>,
        /// Its variables.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(4), skip_if = "Vec::is_empty")]
        variables: Vec<InstanceData>,
        /// What it wants to find at its next step.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cbor(n(5), with = "optional_value", has_nil)]
        payload: Option<Value>,
        /// What a rollback does here once the flow has waited and gone on.
        #[serde(skip_serializing_if = "PlugInWayBack::is_reopen")]
        #[cbor(n(6), skip_if = "PlugInWayBack::is_reopen")]
        way_back: PlugInWayBack,
    },
    /// A task was committed with the command's variables.
    #[n(12)]
    TaskCommitted {
        /// The task.
        #[n(0)]
        node: NodeInstanceId,
        /// The id of the snapshot it left with; `None` when no variables were given.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(1)]
        data: Option<InstanceDataId>,
    },
    /// A commit died on its way: data and active tasks are as they were.
    #[n(13)]
    CommitFailed {
        /// The task that was to be committed.
        #[n(0)]
        node: NodeInstanceId,
        /// Why: a number of the code table.
        #[n(1)]
        code: i32,
        /// What exactly, and where.
        #[cbor(n(2), with = "text")]
        detail: Arc<str>,
        /// The conditions that were evaluated at the element that failed.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(3), skip_if = "Vec::is_empty")]
        evaluated: Vec<Evaluated>,
        /// The nodes the attempt reached; all of them failed.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(4), skip_if = "Vec::is_empty")]
        reached: Vec<NodeVisit>,
        /// What hooks said on the way.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(5), skip_if = "Vec::is_empty")]
        hooks: Vec<HookHeard>,
    },
    /// The root flow reached an end event.
    #[n(14)]
    FlowCompleted,
    /// A sub flow instance reached an end event.
    #[n(15)]
    SubFlowEnded {
        /// The sub flow instance.
        #[n(0)]
        flow_instance_id: FlowInstanceId,
    },
    /// The flow goes on behind a call activity whose sub flow instance has ended: its data is what it was entered with,
    /// overridden by what the sub flow hands out (T-21).
    #[n(16)]
    CallReturned {
        /// The call activity.
        #[n(0)]
        node: NodeInstanceId,
        /// What the sub flow hands out.
        #[n(1)]
        transfer: Transfer,
        /// The id of the snapshot it left with; `None` when nothing was handed out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[n(2)]
        data: Option<InstanceDataId>,
    },
    /// The flow went back to an earlier task.
    #[n(17)]
    TaskRolledBack {
        /// The node instances that no longer count, latest first.
        #[n(0)]
        superseded: Vec<NodeInstanceId>,
        /// What is open again: the task first, then the call activities around it, then joins that wait again and what
        /// they had closed.
        #[n(1)]
        reopened: Vec<Reopened>,
        /// Sub flow instances that had ended, or that a join had terminated, and run again.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(2), skip_if = "Vec::is_empty")]
        resumed: Vec<FlowInstanceId>,
        /// Sub flow instances that the rollback went back over.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(3), skip_if = "Vec::is_empty")]
        terminated: Vec<FlowInstanceId>,
        /// What is left to undo outside, in the order in which to do it: latest first.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[cbor(n(4), skip_if = "Vec::is_empty")]
        compensations: Vec<Compensation>,
    },
    /// The last rollback was taken back: what it had superseded counts again as it did before.
    #[n(18)]
    RollbackRedone {
        /// The node instances that the rollback had opened, and that no longer count.
        #[n(0)]
        superseded: Vec<NodeInstanceId>,
        /// The node instances that count again.
        #[n(1)]
        restored: Vec<NodeInstanceId>,
    },
    /// The instance lets nothing happen until it is resumed.
    #[n(19)]
    InstanceSuspended,
    /// The instance goes on.
    #[n(20)]
    InstanceResumed,
    /// The instance is stopped; it can be restored.
    #[n(21)]
    InstanceAborted,
    /// The instance is as it was before it was aborted.
    #[n(22)]
    InstanceRestored {
        /// Whether it was suspended then, and is again.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        #[cbor(n(0), skip_if = "is_false")]
        suspended: bool,
    },
    /// Flow instances were ended for good; their tasks stay as they are.
    #[n(23)]
    FlowTerminated {
        /// The instances, the root first.
        #[n(0)]
        flow_instance_ids: Vec<FlowInstanceId>,
    },
}

impl InstanceEvent {
    /// Its name, as JSON has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::FlowStarted { .. } => "flowStarted",
            Self::EventPassed(_) => "eventPassed",
            Self::TaskActivated(_) => "taskActivated",
            Self::GatewayReached(_) => "gatewayReached",
            Self::NodeReentered { .. } => "nodeReentered",
            Self::HookAnswered { .. } => "hookAnswered",
            Self::BranchTaken { .. } => "branchTaken",
            Self::BranchesOpened { .. } => "branchesOpened",
            Self::JoinReached { .. } => "joinReached",
            Self::BranchArrived { .. } => "branchArrived",
            Self::BranchesJoined { .. } => "branchesJoined",
            Self::PlugInStepped { .. } => "plugInStepped",
            Self::TaskCommitted { .. } => "taskCommitted",
            Self::CommitFailed { .. } => "commitFailed",
            Self::FlowCompleted => "flowCompleted",
            Self::SubFlowEnded { .. } => "subFlowEnded",
            Self::CallReturned { .. } => "callReturned",
            Self::TaskRolledBack { .. } => "taskRolledBack",
            Self::RollbackRedone { .. } => "rollbackRedone",
            Self::InstanceSuspended => "instanceSuspended",
            Self::InstanceResumed => "instanceResumed",
            Self::InstanceAborted => "instanceAborted",
            Self::InstanceRestored { .. } => "instanceRestored",
            Self::FlowTerminated { .. } => "flowTerminated",
        }
    }
}

/// How the data of the branches that arrived at a join came together over the data of the fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(flat, context_bound = "AsMut<Ids>")]
pub enum Merge {
    /// Not at all: the data of the fork stays.
    #[n(0)]
    None,
    /// What each branch changed, in the order of arrival.
    #[n(1)]
    Last,
    /// What each branch changed, in the order of the branches.
    #[n(2)]
    BranchOrder,
    /// These variables, as a strategy of the host answered.
    #[n(3)]
    Given(#[n(0)] Vec<InstanceData>),
}

/// A variable that branches changed to different values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
pub struct DataConflict {
    /// The variable.
    #[cbor(n(0), with = "text")]
    pub key: Arc<str>,
    /// The branches that changed it, each by the sequence flow it began with, in the order of arrival.
    #[cbor(n(1), with = "texts")]
    pub branches: Vec<Arc<str>>,
    /// The branch whose value stands, by the same name.
    #[cbor(n(2), with = "text")]
    pub taken: Arc<str>,
}

/// What a rollback does that walks back over an element of a plug-in at which the flow had waited, and which it has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(index_only)]
pub enum PlugInWayBack {
    /// The element waits again, as a user task would.
    #[default]
    #[n(0)]
    Reopen,
    /// The rollback goes on to what came before.
    #[n(1)]
    On,
}

impl PlugInWayBack {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "has the shape that serde asks for")]
    fn is_reopen(&self) -> bool {
        *self == Self::Reopen
    }
}

/// A plug-in of the host as a record names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Encode, Decode)]
pub struct PlugInName {
    /// Its name.
    #[cbor(n(0), with = "text")]
    pub name: Arc<str>,
    /// Its version.
    #[cbor(n(1), with = "text")]
    pub version: Arc<str>,
}

/// Something outside that a rollback leaves to be undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(context_bound = "AsMut<Ids>")]
pub struct Compensation {
    /// The node instance whose work is to be undone.
    #[n(0)]
    pub node: NodeInstanceId,
    /// What to do, as the `onRollback` of the element names it.
    #[cbor(n(1), with = "text")]
    pub name: Arc<str>,
}

/// A node instance that is open again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(context_bound = "AsMut<Ids>")]
pub struct Reopened {
    /// The node instance that no longer counts.
    #[n(0)]
    pub of: NodeInstanceId,
    /// The node instance that stands for it now, entered with the data of the first time.
    #[n(1)]
    pub node: NodeInstanceId,
    /// Whether the rollback went on over it: a call activity whose sub flow had no task to stop at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[cbor(n(2), skip_if = "is_false")]
    pub superseded: bool,
}

/// What data crosses the border between a flow and the one it calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase")]
#[cbor(flat)]
pub enum Transfer {
    /// Nothing.
    #[n(0)]
    None,
    /// Every variable.
    #[n(1)]
    Full,
    /// What the rules name.
    #[n(2)]
    Part(#[n(0)] Vec<TransferRule>),
}

/// One variable that crosses the border.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[cbor(flat)]
pub enum TransferRule {
    /// The value of a variable, null where there is none.
    #[n(0)]
    Context {
        /// The variable here.
        #[cbor(n(0), with = "text")]
        source_key: Arc<str>,
        /// The variable there.
        #[cbor(n(1), with = "text")]
        target_key: Arc<str>,
    },
    /// Text that the model gives.
    #[n(1)]
    Fixed {
        /// The text.
        #[cbor(n(0), with = "text")]
        source_value: Arc<str>,
        /// The variable there.
        #[cbor(n(1), with = "text")]
        target_key: Arc<str>,
    },
}
