//! What came of a test, as text and as JSON. Nothing in it tells the time, so that the same seed gives the same bytes.

use std::path::Path;

use flowledger::ResultCode;
use flowledger::testing::{Coverage, MutationScore, Ran, Script, Share};
use serde::Serialize;

use super::files::Given;
use super::{Finding, TestArgs, Tested, command, typed};
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::words::{count, count_u64};

/// Blanks before what belongs to a heading.
const INDENT: &str = "  ";
/// Lines of what was never come to.
const MAX_MISSING: usize = 20;

/// Tells all.
pub(super) fn tell(session: &Session, args: &TestArgs, given: &Given, tested: &Tested) -> Result<(), Failure> {
    if session.out.is_json() {
        return Ok(session.out.json(&document(session, args, given, tested))?);
    }
    let out = &session.out;
    let findings = tested.findings();
    let verdict = match (findings.len(), tested.below.len()) {
        (0, 0) => "nothing found".to_owned(),
        (0, below) => format!("nothing found, and {} below the minimum", count(below, "figure")),
        (found, _) => count(found, "finding"),
    };
    out.heading(format!("{}: {verdict}", args.model.display()))?;
    out.aside(what_was_done(given, tested))?;
    for finding in &findings {
        out.blank()?;
        tell_finding(session, args, given, finding)?;
    }
    if findings.iter().any(|finding| finding.from != "run") {
        out.blank()?;
        out.aside("No runs were tried: these come first.")?;
    }
    if !findings.is_empty() && args.draw.is_none() {
        out.blank()?;
        out.aside(format!("To see it: {} --draw FILE.svg", command(session, args)))?;
    }
    let holding = tested
        .regressions
        .scripts()
        .iter()
        .filter(|script| script.broken.is_none());
    for script in holding {
        out.aside(format!("{} is fixed; it stays as a test", script.file.display()))?;
    }
    out.blank()?;
    // Of runs that were cut short, what they did not come to says nothing.
    tell_coverage(session, &tested.coverage, findings.is_empty())?;
    if let Some(score) = &tested.mutants {
        out.blank()?;
        out.heading(format!("mutants: {} noticed", share(score.share())))?;
        for survivor in score.survivors() {
            out.line(format!("{INDENT}not noticed: {}", survivor.change))?;
        }
        if score.refused > 0 {
            out.aside(format!(
                "{INDENT}not counted: {} that cannot be deployed",
                score.refused
            ))?;
        }
    }
    if !tested.below.is_empty() {
        out.blank()?;
        out.heading("below the minimum")?;
    }
    for (what, minimum, reached) in &tested.below {
        out.line(format!(
            "{INDENT}{what}: {} %, and {} % is the minimum",
            percent(*reached),
            percent(*minimum)
        ))?;
    }
    if !tested.notes.is_empty() {
        out.blank()?;
    }
    for note in &tested.notes {
        out.line(note)?;
    }
    Ok(())
}

fn what_was_done(given: &Given, tested: &Tested) -> String {
    let mut done = Vec::new();
    match tested.regressions.scripts().len() {
        0 => {}
        scripts => done.push(format!("{} given again", count(scripts, "saved script"))),
    }
    match tested.examples.len() {
        0 => {}
        examples => done.push(count(examples, "example")),
    }
    if let Some(ran) = &tested.ran {
        done.push(format!("{} of {}", count_u64(ran.runs, "run"), given.cases));
        done.push(count_u64(ran.commands, "command"));
        done.push(count_u64(ran.records, "record"));
    }
    done.push(format!("seed {}", given.seed));
    done.join(", ")
}

fn tell_finding(session: &Session, args: &TestArgs, given: &Given, finding: &Finding<'_>) -> Result<(), Failure> {
    let out = &session.out;
    let broken = finding.broken;
    out.heading(format!("\"{}\" does not hold", broken.invariant))?;
    out.line(format!("{INDENT}{}", broken.seen))?;
    for line in typed::commands(session, args, given, &broken.script) {
        out.line(format!("{INDENT}{INDENT}{line}"))?;
    }
    match (finding.from, finding.file) {
        ("regression", Some(file)) => out.aside(format!("{INDENT}as saved in {}", file.display()))?,
        (_, Some(file)) => out.aside(format!(
            "{INDENT}run {}; saved in {}, and given first from now on",
            broken.case,
            file.display()
        ))?,
        ("run", None) => out.aside(format!("{INDENT}run {}; not saved", broken.case))?,
        _ => {}
    }
    Ok(())
}

fn tell_coverage(session: &Session, coverage: &Coverage, with_missing: bool) -> Result<(), Failure> {
    let out = &session.out;
    out.heading("coverage")?;
    let rows = shares(coverage).map(|(what, told)| {
        vec![
            what.to_owned(),
            told.covered.to_string(),
            told.of.to_string(),
            format!("{} %", percent(told.part() * 100.0)),
        ]
    });
    out.table(2, &["", "reached", "of", ""], rows.to_vec())?;
    let missing = if with_missing { coverage.missing() } else { Vec::new() };
    for line in missing.iter().take(MAX_MISSING) {
        out.line(format!("{INDENT}{line}"))?;
    }
    if let Some(more) = missing.len().checked_sub(MAX_MISSING).filter(|more| *more > 0) {
        out.aside(format!("{INDENT}and {more} more"))?;
    }
    Ok(())
}

fn shares(coverage: &Coverage) -> [(&'static str, Share); 4] {
    [
        ("elements", coverage.elements()),
        ("sequence flows", coverage.sequence_flows()),
        ("conditions, each both ways", coverage.conditions()),
        ("rollbacks", coverage.rollbacks()),
    ]
}

fn share(share: Share) -> String {
    format!("{share} ({} %)", percent(share.part() * 100.0))
}

/// Percent with one digit, where it has one; never 100 where something is missing.
fn percent(percent: f64) -> String {
    let told = format!("{:.1}", (percent * 10.0).floor() / 10.0);
    told.strip_suffix(".0").map_or(told.clone(), str::to_owned)
}

/// A test as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'t> {
    err_code: i32,
    err_msg: &'static str,
    model: String,
    seed: u64,
    cases: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ran: Option<Counts>,
    findings: Vec<Found<'t>>,
    regressions: Vec<Again<'t>>,
    examples: Vec<ExampleTold<'t>>,
    coverage: Covered,
    #[serde(skip_serializing_if = "Option::is_none")]
    mutants: Option<Mutants<'t>>,
    below_minimum: Vec<Below>,
    notes: &'t [String],
}

#[derive(Serialize)]
struct Counts {
    runs: u64,
    commands: u64,
    records: u64,
}

#[derive(Serialize)]
struct Found<'t> {
    from: &'static str,
    invariant: &'t str,
    seen: &'t str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    script: &'t Script,
    commands: Vec<String>,
}

#[derive(Serialize)]
struct Again<'t> {
    file: String,
    invariant: &'t str,
    holds: bool,
}

#[derive(Serialize)]
struct ExampleTold<'t> {
    name: &'t str,
    holds: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Covered {
    elements: Reached,
    sequence_flows: Reached,
    conditions: Reached,
    rollbacks: Reached,
    missing: Vec<String>,
}

#[derive(Serialize)]
struct Reached {
    reached: usize,
    of: usize,
}

#[derive(Serialize)]
struct Mutants<'t> {
    noticed: usize,
    of: usize,
    refused: usize,
    all: Vec<MutantTold<'t>>,
}

#[derive(Serialize)]
struct MutantTold<'t> {
    change: &'t str,
    #[serde(rename = "noticedBy")]
    noticed_by: Option<&'t str>,
}

#[derive(Serialize)]
struct Below {
    what: &'static str,
    minimum: f64,
    reached: f64,
}

fn document<'t>(session: &Session, args: &TestArgs, given: &Given, tested: &'t Tested) -> Document<'t> {
    let success = ResultCode::Success.entry();
    let path = |path: &Path| path.display().to_string();
    let reached = |share: Share| Reached {
        reached: share.covered,
        of: share.of,
    };
    Document {
        err_code: success.number,
        err_msg: success.text,
        model: path(&args.model),
        seed: given.seed,
        cases: given.cases,
        ran: tested.ran.map(
            |Ran {
                 runs,
                 commands,
                 records,
             }| Counts {
                runs,
                commands,
                records,
            },
        ),
        findings: tested
            .findings()
            .into_iter()
            .map(|finding| Found {
                from: finding.from,
                invariant: &finding.broken.invariant,
                seen: &finding.broken.seen,
                run: (finding.from == "run").then_some(finding.broken.case),
                file: finding.file.map(path),
                script: &finding.broken.script,
                commands: typed::commands(session, args, given, &finding.broken.script),
            })
            .collect(),
        regressions: tested
            .regressions
            .scripts()
            .iter()
            .map(|script| Again {
                file: path(&script.file),
                invariant: &script.invariant,
                holds: script.broken.is_none(),
            })
            .collect(),
        examples: tested
            .examples
            .iter()
            .map(|(name, broken)| ExampleTold {
                name,
                holds: broken.is_none(),
            })
            .collect(),
        coverage: Covered {
            elements: reached(tested.coverage.elements()),
            sequence_flows: reached(tested.coverage.sequence_flows()),
            conditions: reached(tested.coverage.conditions()),
            rollbacks: reached(tested.coverage.rollbacks()),
            missing: tested.coverage.missing(),
        },
        mutants: tested.mutants.as_ref().map(mutants),
        below_minimum: tested
            .below
            .iter()
            .map(|(what, minimum, reached)| Below {
                what,
                minimum: *minimum,
                reached: *reached,
            })
            .collect(),
        notes: &tested.notes,
    }
}

fn mutants(score: &MutationScore) -> Mutants<'_> {
    Mutants {
        noticed: score.killed(),
        of: score.mutants.len(),
        refused: score.refused,
        all: score
            .mutants
            .iter()
            .map(|mutant| MutantTold {
                change: &mutant.change,
                noticed_by: mutant.broken.as_deref(),
            })
            .collect(),
    }
}
