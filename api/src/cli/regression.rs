//! Every recorded instance of a module against a candidate model, told as text, JSON or a page.

mod page;

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use clap::Args;
use flowledger::{
    DifferenceKind, EngineError, RegressionDifference, RegressionExample, RegressionGroup, RegressionParam,
    RegressionReport, RegressionValue, RegressionVerdict, ResultCode,
};
use serde::Serialize;

use crate::cli::failure::{Failure, fault_line};
use crate::cli::progress::Bar;
use crate::cli::session::{Access, Session};
use crate::cli::words;

/// What a regression over the past is for.
pub(crate) const REGRESSION_HELP: &str =
    "Every instance in which the module has run, ended or not, is given its recorded commands again on the
candidate. Hooks answer from the record, other modules run as they were, the store is not changed.

An instance takes the same path if it visits the same elements in the same order, with the same
statuses and data, by the same sequence flows; conditions may read differently as long as they lead
there. Otherwise it diverges, or cannot continue: a task is not there, a command is refused, a hook is
asked for what it never answered. An instance that has not ended may move to the candidate if its
whole past takes the same path; otherwise it must finish on the old deployment.

With --html or --state a run that was interrupted goes on where it was, if neither the candidate nor
the log has changed. What was found so far is kept in FILE.state beside the page, or in the file of
--state, until the run has come to its end.

Exit status 1 when an instance diverges or cannot continue, or deployFlow would refuse the candidate;
2 when the candidate cannot be read.";

/// Which module, against which model.
#[derive(Args)]
pub(crate) struct RegressionArgs {
    /// The flow module
    #[arg(long, value_name = "MODULE")]
    module: String,
    /// The candidate model, as a file
    #[arg(long, value_name = "MODEL.json")]
    against: PathBuf,
    /// Instances to name for each difference
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Write the report as an HTML page into this file too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Keep what was found so far in this file, and go on from it after an interruption [default: beside the page of --html]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Threads to use [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
}

/// A report as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reported<'a> {
    err_code: i32,
    err_msg: &'a str,
    #[serde(flatten)]
    report: &'a RegressionReport,
}

/// Judges every instance.
pub(crate) fn run(session: &Session, args: RegressionArgs) -> Result<(), Failure> {
    let model = session.read(&args.against)?;
    let mut param = RegressionParam::new(args.module, &model).examples(args.examples);
    let beside = args.html.as_ref().map(|page| {
        let mut beside = page.clone().into_os_string();
        beside.push(".state");
        PathBuf::from(beside)
    });
    if let Some(path) = args.state.or(beside) {
        param = param.state_file(path);
    }
    if let Some(threads) = args.threads {
        param = param.threads(threads);
    }
    let unwritable = |path: &Path, error| session.unusable(format!("{} cannot be written: {error}", path.display()));
    if let Some(path) = &args.html {
        // Told before the work, not behind it; what is there stays until there is something better.
        let is_there = path.exists();
        let opened = fs::OpenOptions::new().append(true).create(true).open(path);
        opened.map_err(|error| unwritable(path, error))?;
        if !is_there {
            fs::remove_file(path).map_err(|error| unwritable(path, error))?;
        }
    }
    let engine = session.open(Access::Existing)?;
    let bar = Bar::new(session);
    let judged = engine.regression(param, |progress| bar.show(progress));
    drop(bar);
    let report = judged.map_err(failure)?;
    engine.close()?;
    if let Some(path) = &args.html {
        fs::write(path, page::page(&report)).map_err(|error| unwritable(path, error))?;
    }
    tell(session, &report)?;
    if report.is_clean() { Ok(()) } else { Err(Failure::Found) }
}

/// A candidate that cannot be read is a wrong argument.
fn failure(error: EngineError) -> Failure {
    if (3200..3300).contains(&error.code().number()) {
        Failure::Usage(error)
    } else {
        Failure::Refused(error)
    }
}

fn tell(session: &Session, report: &RegressionReport) -> Result<(), Failure> {
    let out = &session.out;
    if out.is_json() {
        let success = ResultCode::Success.entry();
        return Ok(out.json(&Reported {
            err_code: success.number,
            err_msg: success.text,
            report,
        })?);
    }
    let tally = &report.tally;
    out.pairs(&[
        ("module", report.flow_module_id.to_string()),
        ("candidate", format!("sha256 {}", report.candidate.sha256)),
        ("log position", report.log_position.to_string()),
        (
            "instances",
            format!("{} ({} commands decided again)", tally.instances, tally.commands),
        ),
        ("same path", tally.same_path.to_string()),
        ("diverge", tally.diverges.to_string()),
        ("cannot continue", tally.cannot_continue.to_string()),
        (
            "not ended",
            format!(
                "{}: {} may move, {} must finish on the old deployment",
                tally.live.instances, tally.live.may_move, tally.live.must_finish_on_old
            ),
        ),
    ])?;
    if !report.candidate.faults.is_empty() {
        out.blank()?;
        out.heading("deployFlow would refuse the candidate:")?;
        for fault in &report.candidate.faults {
            out.line(format!("  {}", fault_line(fault)))?;
        }
    }
    for group in &tally.groups {
        out.blank()?;
        tell_group(session, group)?;
    }
    if tally.ungrouped > 0 {
        out.blank()?;
        out.line(format!(
            "and {} in which something else differs first",
            words::count(usize::try_from(tally.ungrouped).unwrap_or(usize::MAX), "instance")
        ))?;
    }
    Ok(())
}

fn tell_group(session: &Session, group: &RegressionGroup) -> Result<(), Failure> {
    let out = &session.out;
    out.heading(headline(group))?;
    let difference = &group.difference;
    if difference.kind != DifferenceKind::Data || difference.then != difference.now {
        out.line(format!("  then  {}", difference.then))?;
        out.line(format!("  now   {}", difference.now))?;
    }
    if let Some(condition) = &difference.condition {
        out.line(format!("  condition of {}", condition.sequence_flow))?;
        for (side, held, text) in [
            ("then", condition.then, &condition.text_then),
            ("now ", condition.now, &condition.text_now),
        ] {
            let text = text.as_deref().unwrap_or("none");
            out.line(format!("    {side}  {text}: {}", came_out(held)))?;
        }
    }
    let rows = group.examples.iter().map(|example| {
        vec![
            example.flow_instance_id.to_string(),
            format!("{} ({})", example.version, example.command),
            example.occurrence.to_string(),
            values(&example.values),
            stands(example),
        ]
    });
    out.table(
        2,
        &["instance", "version", "visit", "variables", "waits then, now"],
        rows.collect(),
    )?;
    if let Some(detail) = group.examples.iter().find_map(|example| example.detail.as_ref()) {
        out.line(format!("  {detail}"))?;
    }
    Ok(())
}

/// How a condition came out.
fn came_out(held: Option<bool>) -> &'static str {
    match held {
        Some(true) => "held",
        Some(false) => "did not hold",
        None => "was not evaluated",
    }
}

/// What differs in how many instances.
fn headline(group: &RegressionGroup) -> String {
    let RegressionDifference {
        verdict,
        kind,
        element_key,
        variables,
        ..
    } = &group.difference;
    let instances = words::count(usize::try_from(group.instances).unwrap_or(usize::MAX), "instance");
    let verdict = match (verdict, group.instances) {
        (RegressionVerdict::Diverges, 1) => "diverges",
        (RegressionVerdict::Diverges, _) => "diverge",
        (RegressionVerdict::CannotContinue, _) => "cannot continue",
    };
    let at = if element_key.is_empty() {
        String::new()
    } else {
        format!(" at {}", words::element(element_key, &group.element_name))
    };
    let what = match kind {
        DifferenceKind::SequenceFlow => "another sequence flow is taken".to_owned(),
        DifferenceKind::Element => "another element is reached".to_owned(),
        DifferenceKind::Failure => "a commit fails otherwise".to_owned(),
        DifferenceKind::Join => "the join fires otherwise".to_owned(),
        DifferenceKind::Rollback => "a rollback leads elsewhere".to_owned(),
        DifferenceKind::Flow => "a flow begins or ends otherwise".to_owned(),
        DifferenceKind::Data if variables.is_empty() => "the data differs".to_owned(),
        DifferenceKind::Data => format!("other values of {}", variables.join(", ")),
        DifferenceKind::MissingTask => "the candidate has no such task".to_owned(),
        DifferenceKind::Refused => "the command is refused".to_owned(),
        DifferenceKind::UnansweredHook => "a hook is asked for what it never answered".to_owned(),
    };
    let live = match group.live {
        0 => String::new(),
        live => format!("; {live} not ended"),
    };
    format!("{instances} {verdict}{at}: {what}{live}")
}

/// Variables at the difference, with both values where they differ.
fn values(values: &[RegressionValue]) -> String {
    let told: Vec<String> = values
        .iter()
        .map(|value| {
            let side = |value: &Option<flowledger::Value>| value.as_ref().map_or("-".to_owned(), words::value);
            if value.then == value.now {
                format!("{}={}", value.key, side(&value.then))
            } else {
                format!("{}={} now {}", value.key, side(&value.then), side(&value.now))
            }
        })
        .collect();
    if told.is_empty() {
        "-".to_owned()
    } else {
        told.join(" ")
    }
}

/// Where an instance stood behind the record, and where it stands in the candidate.
fn stands(example: &RegressionExample) -> String {
    let side = |keys: &[std::sync::Arc<str>]| {
        if keys.is_empty() {
            "-".to_owned()
        } else {
            keys.join("+")
        }
    };
    let committed = example
        .committed_at
        .map(|version| format!(" (committed by version {version})"));
    format!(
        "{}{}, {}",
        side(&example.waits_then),
        committed.unwrap_or_default(),
        side(&example.waits_now)
    )
}
