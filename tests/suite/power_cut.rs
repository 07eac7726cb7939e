//! The power goes while an engine works: of what the disk may hold then, nothing that was acknowledged is missing. Programs
//! that leave out a sync are found.

use std::io::Write;
use std::process::{Command, Output};

use flowledger_tests::trace::is_possible;

fn power_cut(arguments: &[&str]) -> Option<(Output, String)> {
    if let Err(why) = is_possible() {
        // Past the capture of the test's output, so that it is seen.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: power cuts need strace (apt-get install strace): {why}"
        );
        return None;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_power_cut"))
        .args(arguments)
        .arg("--demand")
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    Some((output, text))
}

/// The number behind a word in the last figures.
fn figure(text: &str, word: &str) -> u64 {
    let figures = text.lines().rev().flat_map(|line| line.split([',', ':']));
    let figure = figures
        .filter_map(|part| part.trim().strip_prefix(word))
        .find_map(|figure| figure.trim().split(' ').next().and_then(|number| number.parse().ok()));
    figure.unwrap_or_else(|| panic!("there is no figure {word}: {text}"))
}

/// Cuts the power so often, as these arguments say, and expects that nothing is lost. The figures, unless it was skipped.
fn cut(images: u64, arguments: &str) -> Option<String> {
    let images_said = format!("--images={images}");
    let arguments: Vec<&str> = arguments.split(' ').chain([images_said.as_str()]).collect();
    let (output, text) = power_cut(&arguments)?;
    assert!(output.status.success(), "{text}");
    assert_eq!(
        (figure(&text, "images"), figure(&text, "lost"), figure(&text, "faults")),
        (images, 0, 0)
    );
    Some(text)
}

#[test]
fn nothing_acknowledged_is_lost_in_a_power_cut() {
    // With this seed some images have settings of sled that were never written, unless they are synced.
    if let Some(text) = cut(40, "--lives 2 --commands 200 --seed 1") {
        assert!(
            figure(&text, "acknowledged") > 1_000 && figure(&text, "proofs") > 100,
            "{text}"
        );
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_a_power_cut_of_large_commits() {
    if let Some(text) = cut(60, "--lives 2 --commands 60 --large 15 --seed 2") {
        assert!(figure(&text, "acknowledged") > 1_000, "{text}");
    }
}

#[test]
fn omitted_syncs_are_found() {
    for defect in ["log-sync", "directory-sync", "other-file-sync"] {
        let arguments = ["--images", "24", "--lives", "1", "--commands", "80", "--defect", defect];
        let Some((output, text)) = power_cut(&arguments) else {
            return;
        };
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(figure(&text, "lost") > 0, "{text}");
    }
}
