//! Proofs of models: what is wrong, the commands that show it, and what is not known. Needs no data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use flowledger::analysis::report::{
    Expectation, Finding, HookStep, ProofReport, Script, ScriptStep, VariableRead, Verdict,
};
use flowledger::analysis::{DEFAULT_STATES, ProveParam, prove_model};
use flowledger::{Profile, validate_model};
use serde::Serialize;

use crate::cli::failure::{Failure, fault_line};
use crate::cli::output::Output;
use crate::cli::session::Session;
use crate::cli::story::warning_line;
use crate::cli::words::{self, count, typed};

/// Blanks before what belongs to a finding.
const INDENT: &str = "  ";

/// What is proved, and how far.
#[derive(Args)]
pub(crate) struct ProveArgs {
    /// The model's file
    #[arg(value_name = "MODEL.json")]
    model: PathBuf,
    /// Most states to look at; beyond, the answer is "unknown"
    #[arg(long, value_name = "N", default_value_t = DEFAULT_STATES)]
    states: usize,
    /// The model of a flow that call activities run: the module's id in the model, and a file; may be repeated
    #[arg(long, value_name = "MODULE=FILE", value_parser = called)]
    called: Vec<(Arc<str>, PathBuf)>,
}

fn called(text: &str) -> Result<(Arc<str>, PathBuf), String> {
    match text.split_once('=') {
        Some((module, file)) if !module.is_empty() && !file.is_empty() => Ok((module.into(), file.into())),
        _ => Err("write MODULE=FILE".to_owned()),
    }
}

/// Proves a model; anything but "sound" is a failure.
pub(crate) fn prove(session: &Session, args: &ProveArgs) -> Result<(), Failure> {
    let text = session.read(&args.model)?;
    let mut param = ProveParam {
        profile: session.profile(),
        states: args.states,
        ..ProveParam::default()
    };
    for (module, file) in &args.called {
        param.called.insert(module.clone(), session.read(file)?.into());
    }
    let report = prove_model(&text, &param);
    let out = &session.out;
    if out.is_json() {
        out.json(&report)?;
    } else {
        tell(session, &args.model, &report)?;
    }
    if report.is_proved() {
        Ok(())
    } else {
        Err(Failure::Found)
    }
}

/// Tells a report.
pub(crate) fn tell(session: &Session, path: &Path, report: &ProofReport) -> Result<(), Failure> {
    let out = &session.out;
    let verdict = match report.verdict {
        Verdict::Sound => "sound".to_owned(),
        Verdict::Faulty => format!("not sound, {}", count(report.findings.len(), "finding")),
        Verdict::Unknown => "unknown: nothing was found, and not everything could be decided".to_owned(),
    };
    out.heading(format!("{}: {verdict}", path.display()))?;
    let searched = &report.searched;
    let how = if searched.is_complete {
        "all of them".to_owned()
    } else {
        format!("not all of them; the bound is {}", count(searched.bound, "state"))
    };
    out.aside(format!(
        "{} and {} looked at, {how}",
        count(searched.states, "state"),
        count(searched.commands, "command")
    ))?;
    for finding in &report.findings {
        out.blank()?;
        tell_finding(out, path, session.profile(), finding)?;
    }
    if !report.unknowns.is_empty() {
        out.blank()?;
        out.heading("not known")?;
        for unknown in &report.unknowns {
            out.line(format!("{INDENT}{}{}", place(&unknown.elements), unknown.why))?;
        }
    }
    if !report.assumptions.is_empty() {
        out.blank()?;
        out.aside("taken for granted:")?;
        for assumption in &report.assumptions {
            out.aside(format!("{INDENT}- {assumption}"))?;
        }
    }
    for called in &report.called {
        out.blank()?;
        tell(session, Path::new(&*called.flow_module_id), &called.report)?;
    }
    Ok(())
}

fn place(elements: &[Arc<str>]) -> String {
    match elements {
        [] => String::new(),
        elements => format!("{}: ", elements.join(", ")),
    }
}

fn tell_finding(out: &Output, path: &Path, profile: Profile, finding: &Finding) -> Result<(), Failure> {
    out.heading(format!("{}  {}", finding.kind, finding.elements.join(" ")))?;
    out.line(format!("{INDENT}{}", finding.explanation))?;
    for line in commands(path, profile, &finding.script) {
        out.line(format!("{INDENT}{INDENT}{line}"))?;
    }
    out.aside(format!("{INDENT}{INDENT}-> {}", seen(&finding.script)))?;
    Ok(())
}

/// The commands of a script as they are typed; ids that only a run gives out stand in capitals.
fn commands(path: &Path, profile: Profile, script: &Script) -> Vec<String> {
    let profile = if script.profile == profile {
        ""
    } else {
        match script.profile {
            Profile::Documented => " --profile documented",
            Profile::Turbo131 => " --profile turbo131",
        }
    };
    let model = match &script.of_called {
        Some(called) => format!("MODEL-OF-{called}.json"),
        None => words::argument(&path.display().to_string()),
    };
    let mut lines = Vec::new();
    for called in &script.called {
        lines.push(format!("flowledger flow deploy MODEL-OF-{}.json{profile}", called.name));
    }
    lines.push(format!("flowledger flow deploy {model}{profile}"));
    for step in &script.steps {
        let (mut line, hooks) = match step {
            ScriptStep::Deploy => continue,
            ScriptStep::Start { variables, hooks } => {
                (format!("flowledger instance start MODULE{}", typed(variables)), hooks)
            }
            ScriptStep::Commit {
                task,
                nth,
                variables,
                calls,
                hooks,
            } => {
                let task = if *nth == 0 {
                    words::argument(task)
                } else {
                    format!("ID-OF-{task}-{}", nth + 1)
                };
                let calls = calls
                    .as_ref()
                    .map_or_else(String::new, |calls| format!(" --module MODULE-OF-{calls}"));
                let line = format!("flowledger instance commit INSTANCE {task}{}{calls}", typed(variables));
                (line, hooks)
            }
        };
        line.push_str(profile);
        line.push_str(&heard(hooks));
        lines.push(line);
    }
    lines
}

fn heard(hooks: &[HookStep]) -> String {
    let told = hooks
        .iter()
        .map(|hook| format!("  (the hook at {} answers{})", hook.gateway, typed(&hook.variables)));
    told.collect()
}

/// What is to be seen behind the last command.
fn seen(script: &Script) -> String {
    match &script.expect {
        Expectation::Refused { code } => format!("{code}"),
        Expectation::NothingToDo => "the instance runs, and no task waits".to_owned(),
        Expectation::BackWhereItWas { after } => format!("the same tasks wait as after command {after}"),
        Expectation::NotReached { element } => format!("{element} is not in the history"),
        Expectation::NotTaken { flow } => format!("{flow} is not in the history"),
        Expectation::Taken { flow, also } => format!("{flow} is taken, and the condition of {also} holds too"),
        Expectation::Twice { element } => format!("{element} waits twice"),
        Expectation::InsideBlock { element, fork } => {
            format!("{element} is reached while the branches of {fork} are not joined")
        }
        Expectation::InvariantBroken { invariant } => {
            format!("invariant \"{}\" does not hold", words::plain(invariant))
        }
        Expectation::Conflict { join, variable } => {
            format!("the record of {join} names a conflict on {variable} (`flowledger log show`)")
        }
    }
}

/// What is told of a model without running it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lint {
    #[serde(flatten)]
    found: flowledger::ModelValidation,
    reads: Vec<VariableRead>,
}

/// Tells what in a model is worth a second look, and where its variables come from. A fault or a warning is a failure.
pub(crate) fn lint(session: &Session, path: &Path) -> Result<(), Failure> {
    let text = session.read(path)?;
    let found = validate_model(&text, session.profile());
    let reads = flowledger::analysis::variable_reads(&text);
    let is_clean = found.is_valid() && found.warnings.is_empty();
    let out = &session.out;
    if out.is_json() {
        out.json(&Lint { found, reads })?;
    } else {
        let told = |number: usize, what: &str| match number {
            0 => format!("no {what}s"),
            number => count(number, what),
        };
        let (faults, warnings) = (found.faults.len(), found.warnings.len());
        out.heading(format!(
            "{}: {}, {}",
            path.display(),
            told(faults, "fault"),
            told(warnings, "warning")
        ))?;
        for fault in &found.faults {
            out.line(format!("fault    {}", fault_line(fault)))?;
        }
        for warning in &found.warnings {
            out.line(warning_line(warning))?;
        }
        if !reads.is_empty() {
            out.blank()?;
            let rows = reads.iter().map(|read| {
                let set_by = if read.set_by.is_empty() {
                    "-".to_owned()
                } else {
                    read.set_by.join(", ")
                };
                vec![
                    read.variable.to_string(),
                    read.read_by.join(", "),
                    read.last_written_by.join(", "),
                    set_by,
                ]
            });
            out.table(
                0,
                &["variable", "read by", "to be brought by, or before", "set by"],
                rows.collect(),
            )?;
        }
        out.blank()?;
        let next = session.next(&format!("flow prove {}", words::argument(&path.display().to_string())));
        out.aside(format!("To look at every state: {next}"))?;
    }
    if is_clean { Ok(()) } else { Err(Failure::Found) }
}
