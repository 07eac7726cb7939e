//! What a decision may ask of the world, and the answers it was given. Knows no way to get an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::deployment::Deployment;
use crate::event::Envelope;
use crate::id::{
    FlowDeployId, FlowInstanceId, FlowModuleId, Id, IdGenerator, IdKind, IdOrigin, IdScope, NameBasedIds,
    NodeInstanceId,
};
use crate::limits::Limits;
use crate::model::flow_model::FlowModel;
use crate::model::parse::ModelLimits;
use crate::plug_in::PlugIns;
use crate::profile::Profile;
use crate::variables::{InstanceData, Variables};

/// A question that only the world outside can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// A deployment by its id.
    Deployment(FlowDeployId),
    /// The latest deployment of a module.
    LatestDeployment(FlowModuleId),
    /// The drafts of modules, for the nesting check at deploy.
    Drafts(Vec<FlowModuleId>),
    /// The answer of the hooks at a gateway.
    Hook(HookCall),
}

/// A gateway asks the host to refresh data before it branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookCall {
    /// The instance.
    pub flow_instance_id: FlowInstanceId,
    /// The gateway's node instance.
    pub node_instance_id: NodeInstanceId,
    /// The gateway's key in the model.
    pub node_key: Arc<str>,
    /// The gateway's `hookInfoIds`.
    pub hook_info_param: Arc<str>,
    /// The variables at the gateway.
    pub variables: Variables,
}

/// What the hooks answered, merged in order of registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookAnswer {
    /// Variables to override.
    pub variables: Vec<InstanceData>,
    /// What went wrong; never fatal.
    pub failures: Vec<Arc<str>>,
}

/// How a module stands when its latest deployment is looked up.
#[derive(Clone, Debug)]
pub enum ModuleStanding {
    /// No such module, or it was never deployed.
    Unknown,
    /// The module was taken offline: running instances go on, new ones do not start.
    Offline(Arc<Deployment>),
    /// It can be started.
    Online(Arc<Deployment>),
}

/// The answers given so far to one command's questions.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Deployments by id; `None` where there is none.
    pub deployments: BTreeMap<FlowDeployId, ModuleStanding>,
    /// Latest deployments by module.
    pub latest: BTreeMap<FlowModuleId, ModuleStanding>,
    /// Drafts by module; `None` where there is no such module.
    pub drafts: BTreeMap<FlowModuleId, Option<Arc<FlowModel>>>,
    /// Hook answers by the gateway's node instance.
    pub hooks: BTreeMap<NodeInstanceId, HookAnswer>,
}

/// What makes the ids of one command.
#[derive(Clone, Copy)]
pub enum IdSource<'a> {
    /// [`NameBasedIds`], whose hash for the command and its stream is known already.
    Scope(IdScope),
    /// A generator.
    Generator(&'a dyn IdGenerator),
}

/// Everything a decision may use besides the state and the command.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// How to answer where document and reference differ.
    pub profile: Profile,
    /// The bounds.
    pub limits: &'a Limits,
    /// The bounds of a model.
    pub model_limits: &'a ModelLimits,
    /// Makes the ids that the command gives out.
    pub ids: IdSource<'a>,
    /// What the host has added.
    pub plug_ins: &'a PlugIns,
    /// Whether the host registered a hook.
    pub has_hook: bool,
    /// Whether a module may only be changed by the tenant that created it.
    pub strict_tenancy: bool,
    /// Whether a command that would carry a flow on is refused where it breaks an invariant of a model.
    pub enforce_invariants: bool,
    /// Judges whether a condition translates.
    pub check_condition: &'a dyn Fn(&str) -> Result<(), String>,
    /// The answers so far.
    pub answers: &'a Answers,
}

impl Context<'_> {
    /// The id number `number` of a kind for a command of a stream.
    pub fn id(&self, envelope: &Envelope, kind: IdKind, number: u32) -> Id {
        self.ids.id(envelope, kind, number)
    }
}

impl IdSource<'_> {
    fn id(self, envelope: &Envelope, kind: IdKind, number: u32) -> Id {
        let names_the_stream = number == 0 && matches!(kind, IdKind::FlowModule | IdKind::FlowInstance);
        let origin = IdOrigin {
            command_id: &envelope.command_id,
            stream: (!names_the_stream).then_some(envelope.stream),
        };
        match self {
            Self::Scope(_) if names_the_stream => NameBasedIds.generate(origin, kind, number),
            Self::Scope(scope) => scope.id(kind, number),
            Self::Generator(ids) => ids.generate(origin, kind, number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Actor;
    use crate::time::Timestamp;

    #[test]
    fn ids_in_a_known_scope_are_those_of_the_generator() {
        let envelope = Envelope {
            stream: [7; 16],
            version: 1,
            command_id: "c1".into(),
            recorded_at: Timestamp::default(),
            actor: Actor::default(),
            reason: None,
            plug_ins: Vec::new(),
        };
        let scope = IdSource::Scope(envelope.id_scope());
        for kind in [
            IdKind::FlowModule,
            IdKind::FlowDeployment,
            IdKind::FlowInstance,
            IdKind::NodeInstance,
            IdKind::InstanceData,
        ] {
            for number in [0, 3] {
                let made = IdSource::Generator(&NameBasedIds).id(&envelope, kind, number);
                assert_eq!(scope.id(&envelope, kind, number), made);
            }
        }
    }
}
