//! Changed proofs, checkpoints and keys are not believed; and a second implementation of the verification agrees.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use flowledger::Engine;
use flowledger::store::{KeyKind, PublicKey, SignedCheckpoint, SigningKey, Witnesses, verify_receipt};
use flowledger_tests::dice::Dice;
use flowledger_tests::load::to_hex;
use flowledger_tests::mutation::{KINDS, mutated};

use crate::fixture::{LINE, deployed, opened, started};

fn mutations(arguments: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mutations"))
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{text}");
    (output, text)
}

#[test]
fn no_changed_proof_checkpoint_or_key_is_believed() {
    let (output, text) = mutations(&["--mutations", "1500", "--seed", "5"]);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("mutations 1500, ") && text.contains(", faults 0"),
        "{text}"
    );
}

#[test]
fn verification_that_leaves_out_a_check_is_found() {
    for defect in ["no-signature", "no-path", "no-witnesses"] {
        let (output, text) = mutations(&["--mutations", "200", "--defect", defect]);
        assert_eq!(output.status.code(), Some(1), "{text}");
    }
}

/// Whether this machine has what the second implementation needs.
fn has_python() -> bool {
    let tried = Command::new("python3").args(["-c", "import cryptography"]).output();
    let is_there = tried.is_ok_and(|output| output.status.success());
    if !is_there {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the second implementation needs python3 with cryptography (pip install cryptography)"
        );
    }
    is_there
}

const SECOND: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/verify_receipt.py");

#[test]
fn second_implementation_agrees_on_receipts_and_on_changed_ones() {
    if !has_python() {
        return;
    }
    let engine = opened(Engine::builder());
    let module = deployed(&engine, LINE);
    for _ in 0..70 {
        started(&engine, &module);
    }
    let log: PublicKey = engine.public_key().expect("a key").parse().expect("a key");
    let keys =
        ["w1.example", "w2.example"].map(|name| SigningKey::generate(name, KeyKind::Cosignature).expect("a key"));
    let witnesses = keys.each_ref().map(|key| key.public().clone());
    let signed = SignedCheckpoint::parse(engine.checkpoint().expect("a checkpoint").note.as_bytes()).expect("a note");
    let lines = keys
        .each_ref()
        .map(|key| format!("{}\n", signed.cosign(key, 1_700_000_000).expect("cosigned")));
    engine.add_cosignatures(&lines.concat(), &witnesses).expect("added");
    let receipts: Vec<_> = (1..=73)
        .map(|position| engine.receipt(position).expect("a receipt"))
        .collect();

    let policy = Witnesses::new(witnesses.to_vec(), 2).expect("two witnesses");
    let mut dice = Dice::new(11);
    let (mut cases, mut expected) = (String::new(), Vec::new());
    for number in 0..1_500 {
        let receipt = &receipts[dice.index(receipts.len())];
        let mut proof = receipt.proof.clone().into_bytes();
        if number >= receipts.len() {
            let other = receipts[dice.index(receipts.len())].proof.as_bytes();
            proof = mutated(&proof, other, KINDS[dice.index(KINDS.len())], &mut dice);
        }
        let ours = verify_receipt(&receipt.record, &proof, &log, &policy);
        expected.push(ours.map_or_else(|_| "refused".to_owned(), |verified| format!("good {}", verified.offset)));
        let case = serde_json::json!({
            "record": to_hex(&receipt.record), "proof": to_hex(&proof), "log": log.to_string(),
            "witnesses": witnesses.each_ref().map(ToString::to_string),
        });
        cases += &case.to_string();
        cases.push('\n');
    }
    let mut child = Command::new("python3")
        .args([SECOND, "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut input = child.stdin.take().expect("its input is piped");
    let writer = std::thread::spawn(move || input.write_all(cases.as_bytes()).expect("it reads"));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it has read all");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.lines().count(), expected.len(), "{text}");
    let mut good = 0;
    for (number, (theirs, ours)) in text.lines().zip(&expected).enumerate() {
        let is_same = theirs == ours || (theirs.starts_with("refused") && ours == "refused");
        assert!(is_same, "case {number}: ours {ours}, the other {theirs}");
        good += usize::from(ours != "refused");
    }
    println!("{good} of {} are good to both", expected.len());
    assert!(good >= receipts.len() && good < expected.len() / 2, "{good}");
}
