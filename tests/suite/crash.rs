//! A working engine is killed at random moments: nothing it answered is lost.

use std::process::{Command, Output};

fn crash(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    (output, text)
}

/// The number behind a word of the last line of figures.
fn figure(text: &str, word: &str) -> u64 {
    let line = text
        .lines()
        .rfind(|line| line.starts_with("rounds "))
        .expect("there is a line of figures");
    let figure = line
        .split(", ")
        .find_map(|part| part.strip_prefix(word))
        .expect("the line has the figure");
    figure
        .trim()
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("the figure is a number")
}

#[test]
fn killed_engine_loses_nothing_it_answered() {
    let (output, text) = crash(&["--rounds", "8", "--seed", "20201215"]);
    assert!(output.status.success(), "{text}");
    assert_eq!(
        (figure(&text, "rounds"), figure(&text, "lost"), figure(&text, "faults")),
        (8, 0, 0)
    );
    assert!(
        figure(&text, "acknowledged") > 0 && figure(&text, "receipts") > 0,
        "the engine came to no answer: {text}"
    );
}

#[test]
fn checker_finds_an_answer_and_a_receipt_that_are_not_on_the_record() {
    let (output, text) = crash(&["--rounds", "3", "--seed", "7", "--receipts", "50", "--forge"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(figure(&text, "lost"), 1);
    assert!(text.contains("holds another record than its receipt"), "{text}");
}
