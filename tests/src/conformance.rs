//! Runs conformance files against a [`Subject`] and counts.
//!
//! Knows the files and the judging rules, not which subject is judged.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::Value;

use crate::scenario::{Comparison, Profile, Scenario, Session, Subject, Variable, Variables, difference};

/// One line of the expressions file.
#[derive(Debug, Clone, Deserialize)]
pub struct ExpressionCase {
    /// The condition.
    pub expr: String,
    /// Its variables.
    #[serde(default)]
    pub variables: Variables,
    /// true, false or "error".
    pub expect: Value,
    /// Why an error is one.
    pub cause: Option<String>,
    /// Whether "not supported" is good enough.
    #[serde(rename = "mayRefuse", default)]
    pub may_refuse: bool,
}

/// What a condition came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A boolean.
    Boolean(bool),
    /// A failure with its cause: missing, evaluation, syntax or not boolean.
    Error(String),
    /// Not supported, and said so.
    Refused,
    /// Outside what the judge covers; counted apart.
    NotCovered,
}

/// Makes fresh subjects and judges conditions.
pub trait Bench {
    /// The kind of subject.
    type Subject: Subject;
    /// A subject in which nothing is deployed and every hook call answers `hook_answer`.
    fn subject(&self, profile: Profile, hook_answer: &[Variable]) -> Self::Subject;
    /// Evaluates one condition.
    fn judge(&self, profile: Profile, expression: &str, variables: &Variables) -> Verdict;
    /// Whether scenarios of the file with this stem are in reach of the subject.
    fn covers(&self, _stem: &str) -> bool {
        true
    }
}

/// What came of one file under one profile.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Scenarios or expressions that passed.
    pub passed: usize,
    /// Scenarios or expressions that failed.
    pub failed: usize,
    /// Expressions, counted among the passed, that were refused as not supported where that is allowed.
    pub refused: usize,
    /// Expressions the judge does not cover.
    pub not_covered: usize,
    /// One text per failing step.
    pub failures: Vec<String>,
}

impl Report {
    /// Adds another report.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.refused += other.refused;
        self.not_covered += other.not_covered;
        self.failures.extend(other.failures);
    }
}

/// The conformance files of a folder, by stem, in order.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let stem = name.strip_suffix(".gz").unwrap_or(&name).strip_suffix(".jsonl");
        if let Some(stem) = stem {
            files.push((stem.to_owned(), path.clone()));
        }
    }
    files.sort();
    Ok(files)
}

/// The lines of a file, unpacked if its name ends in `.gz`.
///
/// # Errors
/// When the file cannot be read.
pub fn lines(path: &Path) -> std::io::Result<Vec<String>> {
    let file = File::open(path)?;
    let reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
        Box::new(GzDecoder::new(file))
    } else {
        Box::new(file)
    };
    BufReader::new(reader)
        .lines()
        .filter(|line| !line.as_ref().is_ok_and(|line| line.trim().is_empty()))
        .collect()
}

/// The profiles a file is judged under when none is asked for.
#[must_use]
pub fn profiles(stem: &str) -> &'static [Profile] {
    if stem.starts_with("canon") || stem.starts_with("parallel") {
        &[Profile::Turbo131, Profile::Documented]
    } else {
        &[Profile::Turbo131]
    }
}

/// Runs the lines of one file.
pub fn run<B: Bench>(bench: &B, stem: &str, lines: &[String], profile: Profile, skip: &[String]) -> Report {
    let mut report = Report::default();
    for (index, line) in lines.iter().enumerate() {
        if stem.starts_with("expressions") {
            report.add(run_expression(bench, index + 1, line, profile));
            continue;
        }
        let scenario: Scenario = match serde_json::from_str(line) {
            Ok(scenario) => scenario,
            Err(error) => {
                report.failed += 1;
                report
                    .failures
                    .push(format!("{stem} line {}: not a scenario: {error}", index + 1));
                continue;
            }
        };
        if skip.iter().any(|prefix| scenario.name.starts_with(prefix)) {
            continue;
        }
        let comparison = if stem.starts_with("parallel") {
            Comparison::Members
        } else {
            Comparison::Whole
        };
        let failures = run_scenario(bench, &scenario, profile, comparison);
        if failures.is_empty() {
            report.passed += 1;
        } else {
            report.failed += 1;
            report.failures.extend(failures);
        }
    }
    report
}

/// Runs one scenario; one text per step that did not answer as expected.
pub fn run_scenario<B: Bench>(bench: &B, scenario: &Scenario, profile: Profile, comparison: Comparison) -> Vec<String> {
    let mut failures = Vec::new();
    let mut session = Session::new(bench.subject(profile, &scenario.hook_answer), &scenario.flows);
    for (index, step) in scenario.steps.iter().enumerate() {
        let outcome = session.step(step);
        if let Some(difference) = difference(&step.expect, &outcome, comparison) {
            let mut text = String::new();
            let mut given = step.clone();
            given.expect = Value::Null;
            let given = serde_json::to_value(&given).unwrap_or_default();
            let _ = write!(
                text,
                "{} ({}) step {index} {given}\n{difference}",
                scenario.name,
                profile.name()
            );
            failures.push(text);
        }
    }
    failures
}

fn run_expression<B: Bench>(bench: &B, number: usize, line: &str, profile: Profile) -> Report {
    let mut report = Report::default();
    let case: ExpressionCase = match serde_json::from_str(line) {
        Ok(case) => case,
        Err(error) => {
            report.failed = 1;
            report
                .failures
                .push(format!("expression {number}: not readable: {error}"));
            return report;
        }
    };
    let verdict = bench.judge(profile, &case.expr, &case.variables);
    let passes = match &verdict {
        Verdict::Boolean(truth) => case.expect == Value::Bool(*truth),
        Verdict::Error(why) => case.expect == "error" && case.cause.as_ref().is_none_or(|wanted| wanted == why),
        Verdict::Refused => false,
        Verdict::NotCovered => {
            report.not_covered = 1;
            return report;
        }
    };
    if passes {
        report.passed = 1;
    } else if verdict == Verdict::Refused && case.may_refuse {
        report.passed = 1;
        report.refused = 1;
    } else {
        report.failed = 1;
        let reason = case.cause.as_deref().unwrap_or("no cause");
        report.failures.push(format!(
            "expression {number}: {}\n  with {}\nexpected {} ({reason})\n     got {verdict:?}",
            case.expr,
            serde_json::to_string(&case.variables).unwrap_or_default(),
            case.expect,
        ));
    }
    report
}

/// The naive interpreter as the subject: running the files against it proves the oracle.
#[derive(Debug, Clone, Copy, Default)]
pub struct NaiveBench;

impl Bench for NaiveBench {
    type Subject = crate::naive::Naive;

    fn subject(&self, profile: Profile, hook_answer: &[Variable]) -> Self::Subject {
        crate::naive::Naive::new(profile, Some(hook_answer.to_vec()))
    }

    fn judge(&self, _profile: Profile, expression: &str, variables: &Variables) -> Verdict {
        use crate::naive::condition::{Fault, holds};
        match holds(expression, variables) {
            Ok(truth) => Verdict::Boolean(truth),
            Err(Fault::Missing(_)) => Verdict::Error("missing".into()),
            Err(Fault::Evaluation) => Verdict::Error("evaluation".into()),
            Err(Fault::Syntax) => Verdict::Error("syntax".into()),
            Err(Fault::NotBoolean) => Verdict::Error("not boolean".into()),
            Err(Fault::Unsupported) => Verdict::NotCovered,
        }
    }

    fn covers(&self, stem: &str) -> bool {
        !stem.starts_with("invalid")
    }
}
