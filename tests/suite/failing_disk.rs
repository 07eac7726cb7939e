//! Calls to the system fail, and the disk fills up, under a working engine: nothing acknowledged is lost.

use std::io::Write;
use std::process::{Command, Output};

fn failing_disk(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_failing_disk"))
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    for line in text.lines().filter(|line| line.starts_with("skipped")) {
        // Past the capture of the test's output, so that it is seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED: {line}");
    }
    (output, text)
}

#[test]
fn failing_calls_lose_nothing_that_was_acknowledged() {
    // sled's own writes, and the first syncs of directories, among them: an error there is none of the log.
    for call in [
        "pwrite64",
        "write",
        "fdatasync",
        "fsync",
        "rename",
        "link",
        "unlink",
        "ftruncate",
        "mkdir",
    ] {
        let (output, text) = failing_disk(&["--step", "25", "--rounds", "0", "--call", call]);
        assert!(output.status.success(), "{call}: {text}");
    }
}

#[test]
fn full_disk_loses_nothing_and_is_got_over() {
    let (output, text) = failing_disk(&["--call", "none", "--rounds", "3"]);
    assert!(output.status.success(), "{text}");
}

#[test]
fn answer_that_was_never_given_is_found_missing() {
    let (output, text) = failing_disk(&["--call", "mkdir", "--rounds", "1", "--forge"]);
    if !text.contains("skipped") {
        assert_eq!(output.status.code(), Some(1), "{text}");
    }
}
