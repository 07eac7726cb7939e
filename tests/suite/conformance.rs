//! The recorded scenarios in `tests/conformance`.

use std::path::Path;

use flowledger_tests::conformance::{Bench, NaiveBench, Report, files, lines, profiles, run};
use flowledger_tests::engine_subject::EngineBench;

fn judge<B: Bench>(bench: &B, stem: &str, skip: &[String]) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let files = files(&folder).expect("tests/conformance is there");
    let (_, path) = files.iter().find(|(name, _)| name == stem).expect("the file is there");
    let lines = lines(path).expect("the file is readable");
    let mut report = Report::default();
    for profile in profiles(stem) {
        report.add(run(bench, stem, &lines, *profile, skip));
    }
    report
}

fn assert_passes<B: Bench>(bench: &B, stem: &str, skip: &[&str], at_least: usize) {
    let skip: Vec<String> = skip.iter().map(|prefix| (*prefix).to_owned()).collect();
    let report = judge(bench, stem, &skip);
    let first: Vec<&String> = report.failures.iter().take(5).collect();
    assert_eq!(
        report.failed, 0,
        "{} of {stem} failed, the first: {first:#?}",
        report.failed
    );
    assert!(
        report.passed >= at_least,
        "only {} of {stem} were judged",
        report.passed
    );
}

#[test]
fn naive_interpreter_answers_recorded_serial_flows() {
    assert_passes(&NaiveBench, "serial", &[], 160);
}

#[test]
fn naive_interpreter_answers_recorded_call_activities() {
    assert_passes(&NaiveBench, "call", &[], 160);
}

#[test]
fn naive_interpreter_answers_the_reference_models_under_both_profiles() {
    assert_passes(&NaiveBench, "canon", &[], 40);
}

#[test]
fn naive_interpreter_answers_recorded_forks_under_both_profiles() {
    assert_passes(&NaiveBench, "parallel", &[], 22);
}

#[test]
fn naive_conditions_answer_as_recorded() {
    assert_passes(&NaiveBench, "expressions", &[], 300);
}

#[test]
fn engine_answers_recorded_serial_flows() {
    assert_passes(&EngineBench, "serial", &[], 160);
}

#[test]
fn engine_answers_the_reference_models_under_both_profiles() {
    assert_passes(&EngineBench, "canon", &[], 40);
}

#[test]
fn engine_answers_recorded_call_activities() {
    assert_passes(&EngineBench, "call", &[], 160);
}

#[test]
fn engine_answers_recorded_forks_under_both_profiles() {
    assert_passes(&EngineBench, "parallel", &[], 22);
}

#[test]
fn engine_refuses_damaged_models_as_recorded() {
    assert_passes(&EngineBench, "invalid", &[], 160);
}

#[test]
fn conditions_answer_as_recorded() {
    assert_passes(&EngineBench, "expressions", &[], 680);
}
