//! The first decider: a flow module, from its creation over drafts to deployments. Knows nothing of instances.

use std::sync::Arc;

use crate::context::{Context, Question};
use crate::decider::{Decider, Decision, Recorder};
use crate::event::{DeployWarning, FlowDescription, Given, ModuleCommand, ModuleEvent};
use crate::id::{CommandId, FlowDeployId, FlowModuleId, IdKind};
use crate::model::flow_model::FlowModel;
use crate::model::parse;
use crate::model::validate::{self, Drafts, ModelFault, ValidationContext};
use crate::rejection::Rejection;
use crate::result_code::ResultCode;
use crate::state_hash::{FORM, Pen, Written, hash_of};
use crate::time::Timestamp;

/// How far a flow definition has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefinitionStatus {
    /// Created, no model yet.
    #[default]
    Init,
    /// A model was saved.
    Editing,
}

/// One deployment as the module's stream has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedFlow {
    /// Its id.
    pub flow_deploy_id: FlowDeployId,
    /// The version of the stream that made it.
    pub version: u64,
    /// The definition as it was then; its model is the deployed one.
    pub definition: Definition,
    /// What the deployment warned of.
    pub warnings: Vec<DeployWarning>,
}

/// The editable side of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definition {
    /// The owner's tenant.
    pub tenant: Option<Arc<str>>,
    /// The owner's system.
    pub caller: Option<Arc<str>>,
    /// Who changed it last.
    pub operator: Option<Arc<str>>,
    /// Key, name, remark.
    pub flow: FlowDescription,
    /// The model's text, once one was saved.
    pub flow_model: Option<Arc<str>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub modified_at: Timestamp,
}

impl Definition {
    fn write(&self, pen: &mut Pen) -> Written {
        let Self {
            tenant,
            caller,
            operator,
            flow,
            flow_model,
            created_at,
            modified_at,
        } = self;
        let FlowDescription {
            flow_key,
            flow_name,
            remark,
        } = flow;
        let texts = [tenant, caller, operator, flow_key, flow_name, remark, flow_model];
        pen.list(texts.len() + 2)?;
        for text in texts {
            pen.optional_text(text.as_ref())?;
        }
        pen.time(*created_at)?;
        pen.time(*modified_at)
    }
}

impl DeployedFlow {
    fn write(&self, pen: &mut Pen) -> Written {
        let Self {
            flow_deploy_id,
            version,
            definition,
            warnings,
        } = self;
        pen.list(4)?;
        pen.id(flow_deploy_id.id())?;
        pen.version(*version)?;
        definition.write(pen)?;
        pen.each(warnings.iter(), |pen, warning| {
            let DeployWarning {
                slug,
                element_key,
                message,
            } = warning;
            pen.list(3)?;
            pen.text(slug)?;
            pen.optional_text(element_key.as_ref())?;
            pen.text(message)
        })
    }
}

/// A flow module: the fold of its stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowModule {
    /// Its id, once it exists.
    pub flow_module_id: Option<FlowModuleId>,
    /// How far it has come.
    pub status: DefinitionStatus,
    /// Whether it was taken offline.
    pub is_disabled: bool,
    /// The draft.
    pub definition: Definition,
    /// All deployments, oldest first.
    pub deployments: Vec<DeployedFlow>,
    /// Time of the newest record.
    pub last_recorded_at: Timestamp,
    /// The command ids, by version.
    pub commands: Vec<CommandId>,
}

impl FlowModule {
    /// The deployment with this id.
    pub fn deployment(&self, id: &FlowDeployId) -> Option<&DeployedFlow> {
        self.deployments.iter().find(|deployed| deployed.flow_deploy_id == *id)
    }

    /// The newest deployment.
    pub fn latest_deployment(&self) -> Option<&DeployedFlow> {
        self.deployments.last()
    }

    /// The hash of everything that its stream tells: equal on every release that reads the stream alike.
    pub fn state_hash(&self) -> [u8; 32] {
        hash_of(|pen| self.write(pen))
    }

    fn write(&self, pen: &mut Pen) -> Written {
        let Self {
            flow_module_id,
            status,
            is_disabled,
            definition,
            deployments,
            last_recorded_at,
            commands,
        } = self;
        pen.list(9)?;
        pen.number(FORM)?;
        pen.text("module")?;
        pen.optional(flow_module_id.as_ref(), |pen, id| pen.id(id.id()))?;
        pen.flag(matches!(status, DefinitionStatus::Editing))?;
        pen.flag(*is_disabled)?;
        definition.write(pen)?;
        pen.each(deployments.iter(), |pen, deployed| deployed.write(pen))?;
        pen.time(*last_recorded_at)?;
        pen.commands(commands.iter())
    }

    /// Bytes the module takes in memory, roughly.
    pub fn weight(&self) -> usize {
        let text = |definition: &Definition| definition.flow_model.as_ref().map_or(0, |model| model.len());
        512 + text(&self.definition)
            + self
                .deployments
                .iter()
                .map(|d| 256 + text(&d.definition))
                .sum::<usize>()
    }

    fn require(&self, code: ResultCode, context: &Context<'_>, given: &Given<ModuleCommand>) -> Result<(), Rejection> {
        if self.flow_module_id.is_none() {
            return Err(Rejection::new(
                code,
                "no flow module has this flowModuleId; create it with createFlow",
            ));
        }
        let tenant = &given.envelope.actor.tenant;
        if context.strict_tenancy && *tenant != self.definition.tenant {
            let tenant = tenant.as_deref().unwrap_or("(none)");
            return Err(Rejection::new(
                ResultCode::TenantDenied,
                format!("the module belongs to another tenant than {tenant}"),
            ));
        }
        Ok(())
    }

    fn decide_deploy(&self, given: &Given<ModuleCommand>, context: &Context<'_>) -> Result<Decision<Self>, Rejection> {
        self.require(ResultCode::FlowNotFound, context, given)?;
        let (Some(module_id), Some(text)) = (&self.flow_module_id, &self.definition.flow_model) else {
            return Err(Rejection::new(
                ResultCode::FlowNotEditing,
                "the module has no model yet; save one with updateFlow",
            ));
        };
        let model = parse::parse(text, context.model_limits).map_err(|fault| refused(vec![fault]))?;
        let missing = unknown_drafts(&model, module_id, context);
        let reached = context.answers.drafts.len() + missing.len();
        if reached > context.limits.called_modules {
            return Err(Rejection::new(
                ResultCode::ModelAttributeUnknown,
                format!(
                    "the model reaches {reached} flow modules by call activities; the limit is {} (Limits::called_modules)",
                    context.limits.called_modules
                ),
            ));
        }
        if !missing.is_empty() {
            return Ok(Decision::Ask(Question::Drafts(missing)));
        }
        let drafts = KnownDrafts {
            own: (module_id, &model),
            context,
        };
        let validation = validate::validate(
            &model,
            &ValidationContext {
                profile: context.profile,
                module: module_id,
                drafts: &drafts,
                max_call_depth: i64::try_from(context.limits.call_depth).unwrap_or(i64::MAX),
                check_condition: context.check_condition,
                knows_strategy: &|name| context.plug_ins.merge_strategy(name).is_some(),
                plug_ins: context.plug_ins,
            },
        );
        if !validation.faults.is_empty() {
            return Err(refused(validation.faults));
        }
        let warnings = validation
            .warnings
            .into_iter()
            .map(|warning| DeployWarning {
                slug: warning.slug.into(),
                element_key: warning.element_key,
                message: warning.message.into(),
            })
            .collect();
        let id = context.id(&given.envelope, IdKind::FlowDeployment, 0);
        let mut recorder = Recorder::new(self, given);
        recorder.record(ModuleEvent::FlowDeployed {
            flow_deploy_id: id.into(),
            warnings,
        });
        Ok(recorder.finish())
    }
}

/// The drafts that the nesting check will read and that are not yet among the answers.
fn unknown_drafts(model: &FlowModel, own: &FlowModuleId, context: &Context<'_>) -> Vec<FlowModuleId> {
    let answered = context.answers.drafts.values().flatten().map(AsRef::as_ref);
    let mut missing: Vec<FlowModuleId> = std::iter::once(model)
        .chain(answered)
        .flat_map(validate::called_modules)
        .filter(|module| module != own && !context.answers.drafts.contains_key(module))
        .collect();
    missing.sort();
    missing.dedup();
    missing
}

struct KnownDrafts<'a> {
    own: (&'a FlowModuleId, &'a FlowModel),
    context: &'a Context<'a>,
}

impl Drafts for KnownDrafts<'_> {
    fn draft(&self, module: &FlowModuleId) -> Option<&FlowModel> {
        if module == self.own.0 {
            return Some(self.own.1);
        }
        self.context.answers.drafts.get(module).and_then(Option::as_deref)
    }
}

fn refused(faults: Vec<ModelFault>) -> Rejection {
    let (code, detail) = faults.first().map_or((ResultCode::ModelEmpty, String::new()), |fault| {
        (fault.code, fault.to_string())
    });
    Rejection {
        faults,
        ..Rejection::new(code, detail)
    }
}

impl Decider for FlowModule {
    type Command = ModuleCommand;
    type Event = ModuleEvent;

    fn decide(&self, given: &Given<ModuleCommand>, context: &Context<'_>) -> Result<Decision<Self>, Rejection> {
        let event = match &given.command {
            ModuleCommand::CreateFlow { .. } => {
                if self.flow_module_id.is_some() {
                    return Err(Rejection::new(
                        ResultCode::DefinitionInsertFailed,
                        "a module with this id exists already",
                    ));
                }
                let id = context.id(&given.envelope, IdKind::FlowModule, 0);
                ModuleEvent::FlowCreated {
                    flow_module_id: id.into(),
                }
            }
            ModuleCommand::UpdateFlow { flow_model, .. } => {
                self.require(ResultCode::DefinitionUpdateFailed, context, given)?;
                if flow_model.len() > context.model_limits.bytes {
                    return Err(Rejection::new(
                        ResultCode::InvalidParam,
                        format!(
                            "flowModel has {} bytes; the limit is {} bytes (ModelLimits::bytes)",
                            flow_model.len(),
                            context.model_limits.bytes
                        ),
                    ));
                }
                ModuleEvent::FlowUpdated
            }
            ModuleCommand::DeployFlow => return self.decide_deploy(given, context),
            ModuleCommand::DisableFlow => {
                self.require(ResultCode::FlowNotFound, context, given)?;
                if self.is_disabled {
                    return Ok(Decision::Unchanged(ResultCode::Reentrant));
                }
                ModuleEvent::FlowDisabled
            }
            ModuleCommand::EnableFlow => {
                self.require(ResultCode::FlowNotFound, context, given)?;
                if !self.is_disabled {
                    return Ok(Decision::Unchanged(ResultCode::Reentrant));
                }
                ModuleEvent::FlowEnabled
            }
        };
        let mut recorder = Recorder::new(self, given);
        recorder.record(event);
        Ok(recorder.finish())
    }

    fn begin(&mut self, given: &Given<ModuleCommand>) {
        self.last_recorded_at = given.envelope.recorded_at;
        self.commands.push(given.envelope.command_id.clone());
    }

    fn apply(&mut self, given: &Given<ModuleCommand>, event: &ModuleEvent) {
        let envelope = &given.envelope;
        match event {
            ModuleEvent::FlowCreated { flow_module_id } => {
                self.flow_module_id = Some(flow_module_id.clone());
                self.definition.created_at = envelope.recorded_at;
                self.change_definition(given);
            }
            ModuleEvent::FlowUpdated => {
                self.status = DefinitionStatus::Editing;
                self.change_definition(given);
            }
            ModuleEvent::FlowDeployed {
                flow_deploy_id,
                warnings,
            } => self.deployments.push(DeployedFlow {
                flow_deploy_id: flow_deploy_id.clone(),
                version: envelope.version,
                definition: self.definition.clone(),
                warnings: warnings.clone(),
            }),
            ModuleEvent::FlowDisabled => self.is_disabled = true,
            ModuleEvent::FlowEnabled => self.is_disabled = false,
        }
    }

    fn version(&self) -> u64 {
        self.commands.len() as u64
    }
}

impl FlowModule {
    /// Members that the command names override the definition's; the others stay.
    fn change_definition(&mut self, given: &Given<ModuleCommand>) {
        let (flow, flow_model) = match &given.command {
            ModuleCommand::CreateFlow { flow } => (flow, None),
            ModuleCommand::UpdateFlow { flow, flow_model } => (flow, Some(flow_model)),
            ModuleCommand::DeployFlow | ModuleCommand::DisableFlow | ModuleCommand::EnableFlow => return,
        };
        let actor = &given.envelope.actor;
        let definition = &mut self.definition;
        for (member, change) in [
            (&mut definition.tenant, &actor.tenant),
            (&mut definition.caller, &actor.caller),
            (&mut definition.operator, &actor.operator),
            (&mut definition.flow.flow_key, &flow.flow_key),
            (&mut definition.flow.flow_name, &flow.flow_name),
            (&mut definition.flow.remark, &flow.remark),
            (&mut definition.flow_model, &flow_model.cloned()),
        ] {
            if change.is_some() {
                member.clone_from(change);
            }
        }
        definition.modified_at = given.envelope.recorded_at;
    }
}
