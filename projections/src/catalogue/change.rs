//! What a record changes in the catalogue. Most records change nothing.

use flowledger_engine_core::event::{
    FlowDescription, InstanceEvent, InstanceRecord, ModuleCommand, ModuleEvent, ModuleRecord,
};
use flowledger_engine_core::id::Id;
use flowledger_engine_core::instance::FlowStatus;
use flowledger_event_store::Offset;

use super::entry::{DeploymentEntry, InstanceEntry, ModuleEntry, StatusInterval};

/// One change, told apart from the entry it changes.
pub(super) enum Change {
    ModuleCreated(Box<ModuleEntry>),
    ModuleChanged {
        module: [u8; 16],
        change: ModuleChange,
    },
    Deployed {
        module: [u8; 16],
        deployment: Box<DeploymentEntry>,
    },
    InstanceStarted(Box<InstanceEntry>),
    /// A sub flow instance is found in the stream of its root.
    SubFlowStarted {
        id: [u8; 16],
        stream: [u8; 16],
    },
    /// `first` is the place of the instance's first record.
    InstanceStatus {
        first: u64,
        interval: StatusInterval,
    },
}

/// What changes in a module's entry.
pub(super) enum ModuleChange {
    Definition(Box<ModuleEntry>),
    Disabled(bool),
}

impl ModuleChange {
    pub(super) fn apply_to(self, entry: &mut ModuleEntry) {
        match self {
            Self::Definition(change) => {
                for (member, change) in [
                    (&mut entry.tenant, change.tenant),
                    (&mut entry.caller, change.caller),
                    (&mut entry.flow_key, change.flow_key),
                    (&mut entry.flow_name, change.flow_name),
                    (&mut entry.remark, change.remark),
                ] {
                    if change.is_some() {
                        *member = change;
                    }
                }
                entry.modified_at = change.modified_at;
            }
            Self::Disabled(is_disabled) => entry.is_disabled = is_disabled,
        }
    }
}

impl Change {
    pub(super) fn of_module(record: &ModuleRecord) -> Vec<Self> {
        let envelope = &record.given.envelope;
        let (module, at) = (envelope.stream, envelope.recorded_at);
        let definition = |flow: &FlowDescription| ModuleEntry {
            flow_module_id: Id::Uuid(uuid_of(module)).into(),
            flow_key: flow.flow_key.clone(),
            flow_name: flow.flow_name.clone(),
            remark: flow.remark.clone(),
            tenant: envelope.actor.tenant.clone(),
            caller: envelope.actor.caller.clone(),
            is_disabled: false,
            latest_flow_deploy_id: None,
            modified_at: at,
            ordinal: 0,
            taken_in: 0,
        };
        record
            .events
            .iter()
            .filter_map(|event| match (event, &record.given.command) {
                (ModuleEvent::FlowCreated { flow_module_id }, ModuleCommand::CreateFlow { flow }) => {
                    let mut entry = definition(flow);
                    entry.flow_module_id = flow_module_id.clone();
                    Some(Self::ModuleCreated(Box::new(entry)))
                }
                (ModuleEvent::FlowUpdated, ModuleCommand::UpdateFlow { flow, .. }) => {
                    let change = ModuleChange::Definition(Box::new(definition(flow)));
                    Some(Self::ModuleChanged { module, change })
                }
                (ModuleEvent::FlowDeployed { flow_deploy_id, .. }, _) => Some(Self::Deployed {
                    module,
                    deployment: Box::new(DeploymentEntry {
                        flow_deploy_id: flow_deploy_id.clone(),
                        flow_module_id: Id::Uuid(uuid_of(module)).into(),
                        version: envelope.version,
                        deployed_at: at,
                    }),
                }),
                (ModuleEvent::FlowDisabled, _) => Some(Self::ModuleChanged {
                    module,
                    change: ModuleChange::Disabled(true),
                }),
                (ModuleEvent::FlowEnabled, _) => Some(Self::ModuleChanged {
                    module,
                    change: ModuleChange::Disabled(false),
                }),
                (ModuleEvent::FlowCreated { .. } | ModuleEvent::FlowUpdated, _) => None,
            })
            .collect()
    }

    pub(super) fn of_instance(record: &InstanceRecord, first: Offset) -> Vec<Self> {
        let envelope = &record.given.envelope;
        let first = first.get();
        let status = |status: FlowStatus| StatusInterval {
            status: status.number(),
            from: envelope.recorded_at,
        };
        record
            .events
            .iter()
            .filter_map(|event| match event {
                InstanceEvent::FlowStarted {
                    flow_instance_id,
                    parent: Some(_),
                    ..
                } => Some(Self::SubFlowStarted {
                    id: flow_instance_id.id().to_bytes(),
                    stream: envelope.stream,
                }),
                InstanceEvent::FlowStarted {
                    flow_instance_id,
                    flow_deploy_id,
                    flow_module_id,
                    tenant,
                    ..
                } => {
                    let entry = InstanceEntry {
                        flow_instance_id: flow_instance_id.clone(),
                        flow_deploy_id: flow_deploy_id.clone(),
                        flow_module_id: flow_module_id.clone(),
                        tenant: tenant.clone(),
                        intervals: vec![status(FlowStatus::Running)],
                        ordinal: 0,
                        taken_in: 0,
                    };
                    Some(Self::InstanceStarted(Box::new(entry)))
                }
                InstanceEvent::FlowCompleted => Some(Self::InstanceStatus {
                    first,
                    interval: status(FlowStatus::Completed),
                }),
                InstanceEvent::FlowTerminated { .. } => Some(Self::InstanceStatus {
                    first,
                    interval: status(FlowStatus::Terminated),
                }),
                InstanceEvent::InstanceSuspended | InstanceEvent::InstanceRestored { suspended: true } => {
                    Some(Self::InstanceStatus {
                        first,
                        interval: status(FlowStatus::Suspended),
                    })
                }
                InstanceEvent::InstanceResumed | InstanceEvent::InstanceRestored { suspended: false } => {
                    Some(Self::InstanceStatus {
                        first,
                        interval: status(FlowStatus::Running),
                    })
                }
                InstanceEvent::InstanceAborted => Some(Self::InstanceStatus {
                    first,
                    interval: status(FlowStatus::Aborted),
                }),
                InstanceEvent::EventPassed(_)
                | InstanceEvent::TaskActivated(_)
                | InstanceEvent::GatewayReached(_)
                | InstanceEvent::NodeReentered { .. }
                | InstanceEvent::HookAnswered { .. }
                | InstanceEvent::BranchesOpened { .. }
                | InstanceEvent::JoinReached { .. }
                | InstanceEvent::BranchArrived { .. }
                | InstanceEvent::BranchesJoined { .. }
                | InstanceEvent::PlugInStepped { .. }
                | InstanceEvent::BranchTaken { .. }
                | InstanceEvent::TaskCommitted { .. }
                | InstanceEvent::CommitFailed { .. }
                | InstanceEvent::SubFlowEnded { .. }
                | InstanceEvent::CallReturned { .. }
                | InstanceEvent::RollbackRedone { .. }
                | InstanceEvent::TaskRolledBack { .. } => None,
            })
            .collect()
    }
}

fn uuid_of(bytes: [u8; 16]) -> uuid::Uuid {
    uuid::Uuid::from_bytes(bytes)
}
