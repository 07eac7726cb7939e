//! Flow instances: started, committed, rolled back, terminated, looked at.

use std::path::Path;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use flowledger::{
    BlockingEngine, CommitTaskParam, ElementInstance, Engine, FlowInstanceBo, FlowInstanceId, GetFlowModuleParam,
    InstanceData, InstanceFilter, InstanceQuery, ListParam, NodeExecuteResult, ResultCode, RuntimeResult,
    StartProcessParam, TerminateProcessParam, Timestamp,
};
use serde::Serialize;

use crate::cli::arguments::{self, ActorArgs, AsOfArg, CommandIdArg, VersionArg};
use crate::cli::diff::{self, DIFF_HELP, DiffArgs};
use crate::cli::failure::Failure;
use crate::cli::flow::is_unknown;
use crate::cli::lifecycle::{self, LifecycleArgs};
use crate::cli::replay::{self, REPLAY_HELP, ReplayArgs};
use crate::cli::rollback::{self, RedoArgs, RollbackArgs};
use crate::cli::session::{Access, Session};
use crate::cli::task::{self, Nodes};
use crate::cli::why::{self, WhyArgs, WhyNotArgs};
use crate::cli::words;

/// What can be done with flow instances.
#[derive(Subcommand)]
pub(crate) enum InstanceCommand {
    /// Starts an instance and runs it to its first task or its end
    #[command(after_help = VARIABLES_HELP)]
    Start {
        /// A module, of which the latest deployment is started, or a deployment
        #[arg(value_name = "MODULE|DEPLOYMENT")]
        id: String,
        /// The first variables
        #[arg(value_name = "KEY=VALUE", value_parser = arguments::variable)]
        variables: Vec<InstanceData>,
        #[command(flatten)]
        more: MoreVariables,
        #[command(flatten)]
        actor: ActorArgs,
        #[command(flatten)]
        command_id: CommandIdArg,
    },
    /// Completes a task and runs on to the next task or the end
    #[command(after_help = VARIABLES_HELP)]
    Commit {
        /// The instance
        #[arg(value_name = "INSTANCE")]
        instance: String,
        /// The task, by its id or its element's key (not needed while only one waits), then its variables
        #[arg(value_name = "TASK] [KEY=VALUE")]
        rest: Vec<String>,
        /// The flow module that a call activity runs; not needed where the model names one
        #[arg(long, value_name = "ID")]
        module: Option<String>,
        #[command(flatten)]
        more: MoreVariables,
        #[command(flatten)]
        actor: ActorArgs,
        #[command(flatten)]
        command_id: CommandIdArg,
        #[command(flatten)]
        version: VersionArg,
    },
    /// Goes back to the user task before a task, and opens it again with the data of the first time
    Rollback(RollbackArgs),
    /// Lists the user tasks one may go back to, what that would bring, and why not to the others
    Targets {
        /// The instance
        #[arg(value_name = "INSTANCE")]
        instance: String,
        #[command(flatten)]
        as_of: AsOfArg,
    },
    /// Takes the last rollback back, as long as nothing was committed since
    Redo(RedoArgs),
    /// Lets nothing happen in an instance until it is resumed
    Suspend(LifecycleArgs),
    /// Lets a suspended instance go on
    Resume(LifecycleArgs),
    /// Stops an instance; it can be restored
    Abort(LifecycleArgs),
    /// Takes an abort back
    Restore(LifecycleArgs),
    /// Ends an instance for good
    Terminate {
        /// The instance
        #[arg(value_name = "INSTANCE")]
        instance: String,
        #[command(flatten)]
        actor: ActorArgs,
        #[command(flatten)]
        command_id: CommandIdArg,
        #[command(flatten)]
        version: VersionArg,
    },
    /// Shows where an instance stands: status, waiting tasks, data
    Show {
        /// The instance
        #[arg(value_name = "INSTANCE")]
        instance: String,
        #[command(flatten)]
        as_of: AsOfArg,
    },
    /// Tells in what two moments differ: of an instance, or of two
    #[command(after_help = DIFF_HELP)]
    Diff(DiffArgs),
    /// Tells why a node instance came to be: the records that led there, their decisions, and who wrote what they read
    Why(WhyArgs),
    /// Tells why an instance has not come to an element, and the smallest change with which it would have
    WhyNot(WhyNotArgs),
    /// Gives an instance its recorded commands again, in a fork, and tells where something comes out different
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Lists instances, newest first
    List(ListArgs),
    /// Shows all an instance went through, oldest first
    History {
        /// The instance
        #[arg(value_name = "INSTANCE")]
        instance: String,
        /// Only user tasks that are done or waiting, newest first
        #[arg(long)]
        tasks: bool,
        #[command(flatten)]
        as_of: AsOfArg,
    },
    /// Shows the variables of an instance
    Data {
        /// The instance
        #[arg(value_name = "INSTANCE")]
        instance: String,
        #[command(flatten)]
        as_of: AsOfArg,
    },
}

const VARIABLES_HELP: &str = "A VALUE that is JSON is taken as such: a number (all its digits are kept), true, false,
null, \"text in quotes\", [a list], {\"an\": \"object\"}. Anything else is text. Text that looks
like JSON needs quotes of its own, and those need quotes for the shell: code='\"12\"'.";

/// Variables beside those on the command line, and answers of hooks.
#[derive(Args)]
pub(crate) struct MoreVariables {
    /// Variables as a JSON object, or as the API's list of {"key", "value"}; @FILE reads them from a file
    #[arg(long = "variables", value_name = "JSON|@FILE")]
    variables_text: Option<String>,
    /// Answer the hooks of gateways with this variable; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = arguments::variable)]
    hook_answer: Vec<InstanceData>,
}

impl MoreVariables {
    /// All variables: those in JSON first, so that single ones override them.
    fn with(&self, session: &Session, single: Vec<InstanceData>) -> Result<Vec<InstanceData>, Failure> {
        let Some(given) = &self.variables_text else {
            return Ok(single);
        };
        let text = match given.strip_prefix('@') {
            Some(path) => session.read(Path::new(path))?,
            None => given.clone(),
        };
        let mut variables = arguments::variables(&text).map_err(|wrong| {
            Failure::Usage(session.error(ResultCode::BodyUnreadable, format!("--variables: {wrong}")))
        })?;
        variables.extend(single);
        Ok(variables)
    }

    /// The engine, with a hook if there are answers for one.
    fn open(self, session: &Session) -> Result<BlockingEngine, Failure> {
        let mut builder = Engine::builder();
        if !self.hook_answer.is_empty() {
            let answer = self.hook_answer;
            builder = builder.hook_fn("command line", move |_| Ok(answer.clone()));
        }
        session.open_with(builder, Access::Existing)
    }
}

/// Which instances to list.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// Only with this status
    #[arg(long, value_enum)]
    status: Option<StatusName>,
    /// Only of this module
    #[arg(long, value_name = "MODULE")]
    module: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only started at this time or later
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    started_from: Option<Timestamp>,
    /// Only started before this time
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    started_before: Option<Timestamp>,
    /// As it was at this time
    #[arg(long, value_name = "TIME", value_parser = arguments::time)]
    as_of: Option<Timestamp>,
    /// At most this many [default: 50]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Where the page begins: as the page before says
    #[arg(long, value_name = "POSITION")]
    before: Option<u64>,
}

/// The statuses of instances by their names.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum StatusName {
    /// A task waits
    Running,
    /// The flow reached its end
    Completed,
    /// It was ended for good
    Terminated,
    /// Nothing happens until it is resumed
    Suspended,
    /// It was stopped, and may be restored
    Aborted,
}

impl StatusName {
    fn number(self) -> i32 {
        match self {
            Self::Completed => 1,
            Self::Running => 2,
            Self::Terminated => 3,
            Self::Suspended => 5,
            Self::Aborted => 6,
        }
    }
}

/// Where an instance stands, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Overview<'a> {
    err_code: i32,
    err_msg: &'a str,
    #[serde(rename = "flowInstanceBO")]
    flow_instance_bo: &'a FlowInstanceBo,
    active_task_instances: Vec<&'a ElementInstance>,
    variables: &'a [InstanceData],
    version: u64,
}

/// Does something with flow instances.
pub(crate) fn run(session: &Session, command: InstanceCommand) -> Result<(), Failure> {
    match command {
        InstanceCommand::Start {
            id,
            variables,
            more,
            actor,
            command_id,
        } => start(session, id, variables, more, (actor, command_id)),
        InstanceCommand::Commit {
            instance,
            rest,
            module,
            more,
            actor,
            command_id,
            version,
        } => {
            let (task, variables) = task_and_variables(session, rest)?;
            let options = actor.options(command_id, version.expected_version);
            let variables = more.with(session, variables)?;
            let engine = more.open(session)?;
            let task = task::meant(
                session,
                &engine,
                &instance,
                task.as_deref(),
                options.command_id.as_ref(),
            )?;
            let result = engine.commit_task(CommitTaskParam {
                variables,
                call_activity_flow_module_id: module,
                options,
                ..CommitTaskParam::new(&instance.as_str().into(), &task)
            })?;
            engine.close()?;
            tell(session, &result, Some(&instance))
        }
        InstanceCommand::Rollback(args) => rollback::back(session, args),
        InstanceCommand::Targets { instance, as_of } => rollback::targets(session, &as_of.of(&instance)),
        InstanceCommand::Redo(args) => rollback::redo(session, args),
        InstanceCommand::Suspend(args) => lifecycle::change(session, args, BlockingEngine::suspend_instance),
        InstanceCommand::Resume(args) => lifecycle::change(session, args, BlockingEngine::resume_instance),
        InstanceCommand::Abort(args) => lifecycle::change(session, args, BlockingEngine::abort_instance),
        InstanceCommand::Restore(args) => lifecycle::change(session, args, BlockingEngine::restore_instance),
        InstanceCommand::Terminate {
            instance,
            actor,
            command_id,
            version,
        } => {
            let options = actor.options(command_id, version.expected_version);
            terminate(session, &instance.as_str().into(), options)
        }
        InstanceCommand::Show { instance, as_of } => show(session, as_of.of(&instance)),
        InstanceCommand::Diff(args) => diff::run(session, args),
        InstanceCommand::Why(args) => why::why(session, args),
        InstanceCommand::WhyNot(args) => why::why_not(session, args),
        InstanceCommand::Replay(args) => replay::run(session, args),
        InstanceCommand::List(args) => list(session, args),
        InstanceCommand::History { instance, tasks, as_of } if tasks => user_tasks(session, as_of.of(&instance)),
        InstanceCommand::History { instance, as_of, .. } => history(session, as_of.of(&instance)),
        InstanceCommand::Data { instance, as_of } => data(session, as_of.of(&instance)),
    }
}

/// The first argument is the task unless it is a variable already.
fn task_and_variables(
    session: &Session,
    mut rest: Vec<String>,
) -> Result<(Option<String>, Vec<InstanceData>), Failure> {
    let task = match rest.first() {
        Some(first) if !first.contains('=') => Some(rest.remove(0)),
        _ => None,
    };
    let variables = rest
        .iter()
        .map(|text| arguments::variable(text))
        .collect::<Result<_, _>>();
    Ok((task, variables.map_err(|wrong| session.unusable(wrong))?))
}

fn start(
    session: &Session,
    id: String,
    variables: Vec<InstanceData>,
    more: MoreVariables,
    (actor, command_id): (ActorArgs, CommandIdArg),
) -> Result<(), Failure> {
    let variables = more.with(session, variables)?;
    let engine = more.open(session)?;
    let known = engine.get_flow_module(GetFlowModuleParam::of_module(&id.as_str().into()));
    let is_module = !matches!(&known, Err(error) if is_unknown(session, error));
    let param = if is_module {
        StartProcessParam::of_module(id)
    } else {
        StartProcessParam::of_deployment(id)
    };
    let options = actor.options(command_id, None);
    let result = engine.start_process(StartProcessParam {
        variables,
        options,
        ..param
    })?;
    engine.close()?;
    tell(session, &result, None)
}

/// Node status: an end event was reached.
const COMPLETED: i32 = 1;

/// Tells where an instance stands after a command. `instance` is the one the caller named.
pub(crate) fn tell(session: &Session, result: &RuntimeResult, instance: Option<&str>) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(result)?);
    }
    let id = result.flow_instance_id.as_ref().map(FlowInstanceId::to_string);
    let id = id.as_deref().or(instance).unwrap_or_default();
    if result.err_code == ResultCode::Reentrant.number() {
        out.line(format!("instance {id} had ended before; nothing has changed"))?;
        return Ok(());
    }
    let mut pairs = vec![
        ("instance", id.to_owned()),
        (
            "status",
            format!("{}, version {}", words::instance_status(result.status), result.version),
        ),
    ];
    let is_over = result.err_code == ResultCode::Success.number();
    let is_again = result.err_code == ResultCode::RollbackSuspended.number();
    let mut tasks = Vec::new();
    // Inside call activities it is the innermost task that can be committed.
    let mut open = entries(result);
    while let Some(branch) = open.pop() {
        let node = &branch.active_task_instance;
        let element = words::element(&node.model_key, &node.model_name);
        if let Some(inside) = &node.sub_node_result_list {
            pairs.push(("inside", element));
            open.extend(inside.iter().flat_map(entries));
            continue;
        }
        if node.status == task::WAITING {
            pairs.push(("arrived at", element));
        } else if node.status == COMPLETED {
            pairs.push(("ended at", element));
        } else {
            tasks.push(node);
            pairs.push((if is_again { "open again" } else { "waits at" }, element));
            pairs.push(("task", node.node_instance_id.to_string()));
        }
        pairs.push(("data", words::variables(&branch.variables)));
    }
    for compensation in &result.compensations {
        let text = format!("{} ({})", compensation.name, compensation.model_key);
        pairs.push(("to compensate", text));
    }
    for conflict in &result.data_conflicts {
        let branches = conflict.branches.join(", ");
        let text = format!("{} differs in {branches}: taken from {}", conflict.key, conflict.taken);
        pairs.push(("conflict", text));
    }
    out.pairs(&pairs)?;
    out.blank()?;
    let next = match tasks.as_slice() {
        _ if is_over => format!("instance history {id}"),
        [] => format!("instance show {id}"),
        // The task is named even where this command left only one: those of other branches may wait as well.
        [task, ..] => format!(
            "instance commit {id} {} KEY=VALUE …",
            task::name(&task.model_key, &task.node_instance_id)
        ),
    };
    Ok(out.aside(format!("Next: {}", session.next(&next)))?)
}

/// The branches of a result, the first on top of the stack.
fn entries(result: &RuntimeResult) -> Vec<&NodeExecuteResult> {
    result.node_execute_results.iter().rev().collect()
}

fn terminate(session: &Session, id: &FlowInstanceId, options: flowledger::CommandOptions) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let result = engine.terminate_process(TerminateProcessParam {
        options,
        ..TerminateProcessParam::new(id)
    })?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&result)?);
    }
    let text = if result.status == StatusName::Terminated.number() {
        format!("instance {id} is terminated, version {}", result.version)
    } else {
        format!(
            "instance {id} was {} before, and stays so",
            words::instance_status(result.status)
        )
    };
    Ok(out.line(text)?)
}

fn show(session: &Session, query: InstanceQuery) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let found = engine.get_flow_instance(query.clone())?;
    let nodes = Nodes::of(&engine, query.clone())?;
    let data = engine.get_instance_data(query)?;
    let bo = &found.flow_instance_bo;
    let module = engine.get_flow_module(GetFlowModuleParam::of_deployment(&bo.flow_deploy_id))?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&Overview {
            err_code: found.err_code,
            err_msg: &found.err_msg,
            flow_instance_bo: bo,
            active_task_instances: nodes.active().map(|(_, node)| node).collect(),
            variables: &data.variables,
            version: found.version,
        })?);
    }
    let mut pairs = vec![
        ("instance", bo.flow_instance_id.to_string()),
        (
            "status",
            format!("{}, version {}", words::instance_status(bo.status), found.version),
        ),
        ("flow", module.flow_name.as_deref().unwrap_or("-").to_owned()),
        ("module", bo.flow_module_id.to_string()),
        ("deployment", bo.flow_deploy_id.to_string()),
        ("started", bo.create_time.to_string()),
        ("changed", bo.modify_time.to_string()),
    ];
    let parent = bo.parent_flow_instance_id.to_string();
    if !parent.is_empty() {
        pairs.push(("called by", parent));
    }
    if let Some(hold) = &bo.hold {
        let by = hold
            .by
            .as_ref()
            .map_or_else(String::new, |by| format!("by {}, ", words::plain(by)));
        let why = [&hold.reason_option, &hold.reason].into_iter().flatten();
        let why: Vec<_> = why.map(|why| words::plain(why)).collect();
        pairs.push(("held", format!("{by}{}: {}", hold.time, why.join(", "))));
    }
    // Tasks of a terminated instance stay as they are, but nobody can commit them.
    let is_over = bo.status == StatusName::Terminated.number();
    let (task, join) = if is_over {
        ("ended at", "ended at")
    } else {
        ("waits at", "join waits")
    };
    for (id, node) in nodes.active() {
        pairs.push((task, words::element(&node.model_key, &node.model_name)));
        pairs.push(("task", id.to_string()));
    }
    for waiting in nodes.waiting_joins() {
        pairs.push((join, words::element(&waiting.model_key, &waiting.model_name)));
    }
    pairs.push(("data", words::variables(&data.variables)));
    Ok(out.pairs(&pairs)?)
}

fn list(session: &Session, args: ListArgs) -> Result<(), Failure> {
    let filter = InstanceFilter {
        status: args.status.map(StatusName::number),
        flow_module_id: args.module.map(Into::into),
        tenant: args.tenant.map(Arc::from),
        started_from: args.started_from,
        started_before: args.started_before,
        as_of: args.as_of,
    };
    let engine = session.open(Access::Existing)?;
    let list = engine.list_flow_instances(
        &filter,
        ListParam {
            before: args.before,
            limit: args.limit,
        },
    )?;
    let out = &session.out;
    if out.is_json() {
        engine.close()?;
        return Ok(out.json(&list)?);
    }
    let mut rows = Vec::with_capacity(list.flow_instances.len());
    for instance in &list.flow_instances {
        let module = engine.get_flow_module(GetFlowModuleParam::of_deployment(&instance.flow_deploy_id))?;
        rows.push(vec![
            instance.flow_instance_id.to_string(),
            words::instance_status(instance.status).to_owned(),
            words::seconds(&instance.create_time),
            module.flow_name.as_deref().unwrap_or("-").to_owned(),
        ]);
    }
    engine.close()?;
    if rows.is_empty() && list.next.is_none() {
        return Ok(out.line("There are no such instances.")?);
    }
    out.table(0, &["instance", "status", "started", "flow"], rows)?;
    if let Some(next) = list.next {
        out.blank()?;
        out.aside(format!("There is more: the same command with --before {next}"))?;
    }
    Ok(())
}

fn history(session: &Session, query: InstanceQuery) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let history = engine.get_history_element_list(query)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&history)?);
    }
    Ok(out.table(0, &ELEMENT_COLUMNS, element_rows(&history.element_instance_list))?)
}

/// The columns of [`element_rows`].
pub(crate) const ELEMENT_COLUMNS: [&str; 4] = ["element", "status", "node instance", "name"];

/// The history of elements as rows; sequence flows stand back by an arrow.
pub(crate) fn element_rows(elements: &[ElementInstance]) -> Vec<Vec<String>> {
    let mut rows = Vec::with_capacity(elements.len());
    for element in elements {
        let key = match &element.node_instance_id {
            Some(_) => element.model_key.to_string(),
            None => format!("-> {}", element.model_key),
        };
        // A sequence flow has no instance of its own: what it shows is whether what it led to still counts.
        let status = match (&element.node_instance_id, element.status) {
            (None, 1 | 5 | 6) => "taken",
            (_, status) => words::node_status(status),
        };
        let id = element
            .node_instance_id
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        rows.push(vec![key, status.to_owned(), id, element.model_name.to_string()]);
        // What a call activity ran stands below it, moved in.
        let inside = element_rows(element.sub_element_instance_list.as_deref().unwrap_or_default());
        rows.extend(inside.into_iter().map(|mut row| {
            if let Some(key) = row.first_mut() {
                key.insert_str(0, "  ");
            }
            row
        }));
    }
    rows
}

fn user_tasks(session: &Session, query: InstanceQuery) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let tasks = engine.get_history_user_task_list(query)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&tasks)?);
    }
    let rows = tasks.node_instance_list.iter().map(|task| {
        vec![
            task.model_key.to_string(),
            words::node_status(task.status).to_owned(),
            task.node_instance_id.to_string(),
            words::seconds(&task.create_time),
        ]
    });
    Ok(out.table(0, &["task", "status", "node instance", "entered"], rows.collect())?)
}

fn data(session: &Session, query: InstanceQuery) -> Result<(), Failure> {
    let engine = session.open(Access::Existing)?;
    let data = engine.get_instance_data(query)?;
    engine.close()?;
    let out = &session.out;
    if out.is_json() {
        return Ok(out.json(&data)?);
    }
    if data.variables.is_empty() {
        return Ok(out.line("There are no variables.")?);
    }
    let rows = data.variables.iter().map(|variable| {
        let value = words::value(&variable.value);
        vec![variable.key.to_string(), value, variable.value.kind().to_owned()]
    });
    Ok(out.table(0, &["key", "value", "kind"], rows.collect())?)
}
