//! A short soak, and proof that a longer one can fail.

use std::process::Command;

fn soak(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_soak"))
        .args(arguments)
        .output()
        .expect("the program starts");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn engine_and_interpreter_do_not_differ_in_a_short_soak() {
    let (status, text) = soak(&["--seeds", "14", "--seed", "7000"]);
    assert_eq!(status, Some(0), "{text}");
    for kind in [
        "serial",
        "calling",
        "parallel",
        "going-back",
        "public",
        "unstructured",
        "kit",
    ] {
        assert!(text.contains(kind), "{kind}: {text}");
    }
    assert!(
        text.contains("seeds 7000 to 7013") && text.ends_with("no difference\n"),
        "{text}"
    );
}

#[test]
fn soak_that_meets_a_difference_tells_its_seed_and_a_small_case() {
    let (status, text) = soak(&["--seeds", "1", "--seed", "3", "--kind", "serial", "--defect"]);
    assert_eq!(status, Some(1), "{text}");
    assert!(
        text.contains("--kind serial --seed 3 --seeds 1") && text.contains("as a scenario:"),
        "{text}"
    );
}
