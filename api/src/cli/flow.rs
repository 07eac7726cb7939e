//! Flow modules: created, deployed, looked at, checked.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use flowledger::{
    CreateFlowParam, DeployFlowParam, DeployFlowResult, DeployModel, EngineError, FlowModuleId, FlowModuleResult,
    FlowSwitchParam, FlowSwitchResult, GetFlowModuleParam, ListParam, ModelValidation, ModuleFilter, Profile,
    ResultCode, Timestamp, UpdateFlowParam, validate_model,
};

use crate::cli::arguments::{self, ActorArgs, CommandIdArg, Owner, VersionArg};
use crate::cli::failure::{Failure, fault_line};
use crate::cli::prove::{self, ProveArgs};
use crate::cli::session::{Access, Session};
use crate::cli::story::warning_line;
use crate::cli::words::{self, count};

/// Module status: offline.
const OFFLINE: i32 = 3;

/// What can be done with flow modules.
#[derive(Subcommand)]
pub(crate) enum FlowCommand {
    /// Creates a module, without a model
    Create {
        #[command(flatten)]
        flow: Description,
        #[command(flatten)]
        actor: ActorArgs,
        #[command(flatten)]
        id: CommandIdArg,
    },
    /// Saves a model as a module's draft; what is deployed or running is not affected
    Update {
        /// The module
        #[arg(value_name = "MODULE")]
        module: String,
        /// The model's file
        #[arg(value_name = "MODEL.json")]
        model: PathBuf,
        #[command(flatten)]
        flow: Description,
        #[command(flatten)]
        actor: ActorArgs,
        #[command(flatten)]
        id: CommandIdArg,
        #[command(flatten)]
        version: VersionArg,
    },
    /// Creates a module for a model, saves the model and deploys it; or deploys a module's draft
    Deploy {
        /// The model's file; without it the draft of --module is deployed
        #[arg(value_name = "MODEL.json", required_unless_present = "module")]
        model: Option<PathBuf>,
        /// A module that exists, instead of a new one
        #[arg(long, value_name = "MODULE")]
        module: Option<String>,
        /// The name shown to people [default for a new module: the file's name]
        #[arg(long, requires = "model")]
        name: Option<String>,
        /// Deploy it only if it is proved: see `flow prove`
        #[arg(long)]
        require_proof: bool,
        #[command(flatten)]
        actor: ActorArgs,
    },
    /// Shows a module's draft, or a deployment
    Show {
        /// The module or the deployment
        #[arg(value_name = "MODULE|DEPLOYMENT")]
        id: String,
        /// Write the model's text, and nothing else
        #[arg(long, conflicts_with = "json")]
        model: bool,
    },
    /// Lists the modules, newest first
    List {
        /// As they were at this time
        #[arg(long, value_name = "TIME", value_parser = arguments::time)]
        as_of: Option<Timestamp>,
        /// At most this many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Where the page begins: as the page before says
        #[arg(long, value_name = "POSITION")]
        before: Option<u64>,
    },
    /// Checks a model without deploying it: all faults and warnings; needs no data directory
    Validate {
        /// The model's file
        #[arg(value_name = "MODEL.json")]
        model: PathBuf,
    },
    /// Proves a model: soundness, conditions, data; every finding with commands that show it. Needs no data directory
    Prove(ProveArgs),
    /// Tells what in a model is worth a second look, and where its variables come from; needs no data directory
    Lint {
        /// The model's file
        #[arg(value_name = "MODEL.json")]
        model: PathBuf,
    },
    /// Takes a module offline: it can no longer be started; what runs goes on
    Disable(SwitchArgs),
    /// Takes a module online again
    Enable(SwitchArgs),
}

/// What a module is called.
#[derive(Args)]
pub(crate) struct Description {
    /// The name shown to people
    #[arg(long)]
    name: Option<String>,
    /// Your own key; need not be unique
    #[arg(long)]
    key: Option<String>,
    /// Anything else
    #[arg(long)]
    remark: Option<String>,
}

/// Which module to switch.
#[derive(Args)]
pub(crate) struct SwitchArgs {
    /// The module
    #[arg(value_name = "MODULE")]
    module: String,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    id: CommandIdArg,
    #[command(flatten)]
    version: VersionArg,
}

impl SwitchArgs {
    fn param(self) -> FlowSwitchParam {
        FlowSwitchParam {
            flow_module_id: self.module,
            options: self.actor.options(self.id, self.version.expected_version),
        }
    }
}

/// Does something with flow modules.
pub(crate) fn run(session: &Session, command: FlowCommand) -> Result<(), Failure> {
    match command {
        FlowCommand::Create { flow, actor, id } => create(session, flow, actor.owner(id, None)),
        FlowCommand::Update {
            module,
            model,
            flow,
            actor,
            id,
            version,
        } => update(session, module, &model, flow, actor.owner(id, version.expected_version)),
        FlowCommand::Deploy {
            model: Some(model),
            module,
            name,
            require_proof,
            actor,
        } => deploy(session, &model, module.as_deref(), name, require_proof, actor),
        FlowCommand::Deploy {
            model: None,
            module,
            name: _,
            require_proof,
            actor,
        } => deploy_draft(session, module.unwrap_or_default(), require_proof, actor),
        FlowCommand::Show { id, model } => show(session, &id, model),
        FlowCommand::List { as_of, limit, before } => {
            list(session, ModuleFilter { as_of }, ListParam { before, limit })
        }
        FlowCommand::Validate { model } => validate(session, &model),
        FlowCommand::Prove(args) => prove::prove(session, &args),
        FlowCommand::Lint { model } => prove::lint(session, &model),
        FlowCommand::Disable(args) => {
            let engine = session.open(Access::Existing)?;
            let switched = engine.disable_flow(args.param())?;
            engine.close()?;
            tell_switched(session, &switched, "offline")
        }
        FlowCommand::Enable(args) => {
            let engine = session.open(Access::Existing)?;
            let switched = engine.enable_flow(args.param())?;
            engine.close()?;
            tell_switched(session, &switched, "online")
        }
    }
}

fn create(session: &Session, flow: Description, owner: Owner) -> Result<(), Failure> {
    let engine = session.open(Access::Create)?;
    let created = engine.create_flow(CreateFlowParam {
        tenant: owner.tenant,
        caller: owner.caller,
        operator: owner.operator,
        flow_key: flow.key,
        flow_name: flow.name,
        remark: flow.remark,
        options: owner.options,
    })?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&created)?);
    }
    out.pairs(&[("module", created.flow_module_id.to_string())])?;
    out.blank()?;
    out.aside(format!(
        "Next: {}",
        session.next(&format!("flow update {} MODEL.json", created.flow_module_id))
    ))?;
    Ok(())
}

fn update(session: &Session, module: String, model: &Path, flow: Description, owner: Owner) -> Result<(), Failure> {
    let flow_model = session.read(model)?;
    let next = session.next(&format!("flow deploy --module {module}"));
    let engine = session.open(Access::Existing)?;
    let updated = engine.update_flow(UpdateFlowParam {
        tenant: owner.tenant,
        caller: owner.caller,
        operator: owner.operator,
        flow_key: flow.key,
        flow_name: flow.name,
        flow_module_id: module,
        flow_model,
        remark: flow.remark,
        options: owner.options,
    })?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&updated)?);
    }
    out.line(format!("the draft is saved, version {}", updated.version))?;
    out.blank()?;
    out.aside(format!("Next: {next}"))?;
    Ok(())
}

fn deploy(
    session: &Session,
    model: &Path,
    module: Option<&str>,
    name: Option<String>,
    require_proof: bool,
    actor: ActorArgs,
) -> Result<(), Failure> {
    let flow_model = session.read(model)?;
    // A model with faults would be refused behind its own draft; judged first, it leaves nothing behind.
    let found = validate_model(&flow_model, session.profile());
    if !found.is_valid() {
        return tell_found(session, model, &found);
    }
    let stem = || model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let name = if module.is_none() { name.or_else(stem) } else { name };
    let engine = session.open(if module.is_none() {
        Access::Create
    } else {
        Access::Existing
    })?;
    let deployed = engine.deploy_model(DeployModel {
        flow_name: name.unwrap_or_default(),
        flow_model,
        flow_module_id: module.map(FlowModuleId::new),
        tenant: actor.tenant,
        caller: actor.caller,
        operator: actor.operator,
        reason: actor.reason.map(Into::into),
        require_proof,
    })?;
    engine.close()?;
    tell_deployed(session, &deployed)
}

fn deploy_draft(session: &Session, module: String, require_proof: bool, actor: ActorArgs) -> Result<(), Failure> {
    let owner = actor.owner(CommandIdArg { command_id: None }, None);
    let engine = session.open(Access::Existing)?;
    let deployed = engine.deploy_flow(DeployFlowParam {
        tenant: owner.tenant,
        caller: owner.caller,
        operator: owner.operator,
        flow_module_id: module,
        require_proof,
        options: owner.options,
    })?;
    engine.close()?;
    tell_deployed(session, &deployed)
}

fn tell_deployed(session: &Session, deployed: &DeployFlowResult) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(deployed)?);
    }
    out.pairs(&[
        ("module", deployed.flow_module_id.to_string()),
        ("deployment", deployed.flow_deploy_id.to_string()),
        (
            "warnings",
            if deployed.warnings.is_empty() {
                "none".to_owned()
            } else {
                deployed.warnings.len().to_string()
            },
        ),
    ])?;
    deployed
        .warnings
        .iter()
        .try_for_each(|warning| out.line(warning_line(warning)))?;
    out.blank()?;
    let next = session.next(&format!("instance start {} KEY=VALUE …", deployed.flow_module_id));
    out.aside(format!("Next: {next}"))?;
    Ok(())
}

fn show(session: &Session, id: &str, only_model: bool) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let module = match engine.get_flow_module(GetFlowModuleParam::of_module(&id.into())) {
        Err(error) if is_unknown(session, &error) => engine
            .get_flow_module(GetFlowModuleParam::of_deployment(&id.into()))
            .map_err(|error| {
                if is_unknown(session, &error) {
                    session.error(
                        error.code(),
                        format!("no flow module and no deployment has the id {id}"),
                    )
                } else {
                    error
                }
            }),
        answered => answered,
    }?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&module)?);
    }
    if only_model {
        out.raw(module.flow_model.as_deref().unwrap_or_default())?;
        return Ok(());
    }
    Ok(out.pairs(&described(&module))?)
}

/// Whether getFlowModule found nothing under a well-formed id.
pub(crate) fn is_unknown(session: &Session, error: &EngineError) -> bool {
    match session.profile() {
        Profile::Documented => error.code() == ResultCode::FlowNotFound,
        Profile::Turbo131 => error.code() == ResultCode::InvalidParam,
    }
}

fn described(module: &FlowModuleResult) -> Vec<(&'static str, String)> {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
    let shown = if module.flow_deploy_id.is_some() {
        "a deployment"
    } else {
        "the draft"
    };
    let standing = if module.status == OFFLINE {
        ", the module is offline"
    } else {
        ""
    };
    let mut pairs = vec![("module", module.flow_module_id.to_string())];
    pairs.extend(module.flow_deploy_id.as_ref().map(|id| ("deployment", id.to_string())));
    pairs.extend([
        ("shown", format!("{shown}{standing}")),
        ("name", text(&module.flow_name)),
        ("key", text(&module.flow_key)),
        ("remark", text(&module.remark)),
        ("tenant", text(&module.tenant)),
        ("caller", text(&module.caller)),
        ("operator", text(&module.operator)),
        ("changed", module.modify_time.to_string()),
        ("version", module.version.to_string()),
        (
            "model",
            module.flow_model.as_ref().map_or_else(
                || "none yet".to_owned(),
                |model| format!("{} bytes, `flow show --model` writes it", model.len()),
            ),
        ),
    ]);
    pairs
}

fn list(session: &Session, filter: ModuleFilter, page: ListParam) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let list = engine.list_flow_modules(&filter, page)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&list)?);
    }
    let rows = list.flow_modules.iter().map(|module| {
        vec![
            module.flow_module_id.to_string(),
            words::module_status(module.status).to_owned(),
            words::seconds(&module.modify_time),
            module
                .flow_name
                .as_deref()
                .or(module.flow_key.as_deref())
                .unwrap_or("-")
                .to_owned(),
        ]
    });
    if list.flow_modules.is_empty() && list.next.is_none() {
        return Ok(out.line("There are no modules.")?);
    }
    out.table(0, &["module", "status", "changed", "name"], rows.collect())?;
    if let Some(next) = list.next {
        out.blank()?;
        out.aside(format!(
            "There is more: {}",
            session.next(&format!("flow list --before {next}"))
        ))?;
    }
    Ok(())
}

fn validate(session: &Session, path: &Path) -> Result<(), Failure> {
    tell_found(session, path, &validate_model(&session.read(path)?, session.profile()))
}

/// Tells what is wrong with a model; a fault is a failure.
fn tell_found(session: &Session, path: &Path, found: &ModelValidation) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        out.json(found)?;
    } else {
        let warnings = match found.warnings.len() {
            0 => "no warnings".to_owned(),
            number => count(number, "warning"),
        };
        let verdict = if found.is_valid() {
            format!("valid, {warnings}")
        } else {
            format!("{}, {warnings}", count(found.faults.len(), "fault"))
        };
        out.line(format!("{}: {verdict}", path.display()))?;
        found
            .faults
            .iter()
            .try_for_each(|fault| out.line(format!("fault    {}", fault_line(fault))))?;
        found
            .warnings
            .iter()
            .try_for_each(|warning| out.line(warning_line(warning)))?;
        if let Some(fault) = found.faults.first() {
            out.blank()?;
            out.aside(format!(
                "A code in full: {}",
                session.next(&format!("errors explain {}", fault.err_code))
            ))?;
        }
    }
    if found.is_valid() { Ok(()) } else { Err(Failure::Found) }
}

fn tell_switched(session: &Session, switched: &FlowSwitchResult, standing: &str) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(switched)?);
    }
    let was = if switched.err_code == ResultCode::Reentrant.number() {
        "was already"
    } else {
        "is now"
    };
    Ok(out.line(format!("module {} {was} {standing}", switched.flow_module_id))?)
}
