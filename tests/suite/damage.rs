//! Stores are damaged in many ways: what is missing or changed is found, and nothing panics or hangs.

use std::process::{Command, Output};

fn damage(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_damage"))
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    (output, text)
}

#[test]
fn every_damage_is_found_or_harmless() {
    let (output, text) = damage(&["--damages", "152", "--seed", "3"]);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("damages 152, ") && text.contains(", faults 0"), "{text}");
}

#[test]
fn without_verification_some_damage_passes_in_silence() {
    let (output, text) = damage(&["--damages", "152", "--seed", "3", "--blind"]);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("fault: "), "{text}");
}
