//! What a receipt must be, and that no changed one is believed.

use proptest::prelude::*;

use super::*;
use crate::key::tests::key;
use crate::key::{KeyKind, SigningKey};
use crate::merkle::{Edge, Subtree, consistency_plan, follow, inclusion_plan};

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of so many.
    fn of(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count.max(1) as u64).unwrap()
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.of(of.len())]
    }
}

/// A log in memory, its keys, and what they say about it.
struct World {
    records: Vec<Vec<u8>>,
    log: SigningKey,
    witnesses: [SigningKey; 2],
}

impl World {
    fn new(size: usize) -> Self {
        Self {
            records: (0..size).map(|n| format!("record {n}").into_bytes()).collect(),
            log: key("example.com/log", KeyKind::Note),
            witnesses: ["w1.example", "w2.example"].map(|name| key(name, KeyKind::Cosignature)),
        }
    }

    fn leaves(&self, size: usize) -> Vec<TreeHash> {
        self.records[..size].iter().map(|record| leaf_hash(record)).collect()
    }

    fn policy(&self, quorum: usize) -> Witnesses {
        let keys = self.witnesses.iter().map(|witness| witness.public().clone());
        Witnesses::new(keys.collect(), quorum).unwrap()
    }

    /// What is true of the log when it had this size.
    fn truth(&self, size: usize) -> Checkpoint {
        Checkpoint {
            origin: "example.com/log".into(),
            size: size as u64,
            root: Edge::over(&self.leaves(size)).root(),
            extensions: Vec::new(),
        }
    }

    /// Signed by the log, both witnesses, and somebody whom nobody knows.
    fn checkpoint(&self, size: usize) -> SignedCheckpoint {
        let mut signed = SignedCheckpoint::sign(self.truth(size), &self.log).unwrap();
        let stranger = key("stranger.example", KeyKind::Cosignature);
        let all: Vec<&SigningKey> = self.witnesses.iter().chain([&stranger]).collect();
        for (seconds, witness) in (1_700_000_000..).zip(all) {
            let line = format!("{}\n", signed.cosign(witness, seconds).unwrap());
            signed
                .add_cosignatures(line.as_bytes(), &[witness.public().clone()])
                .unwrap();
        }
        signed
    }

    fn receipt(&self, index: usize, size: usize, extra: Option<&[u8]>) -> InclusionProof {
        let plan = inclusion_plan(index as u64, size as u64).unwrap();
        InclusionProof {
            extra: extra.map(<[u8]>::to_vec),
            index: index as u64,
            path: follow(&plan, among(&self.leaves(size))).unwrap(),
            checkpoint: self.checkpoint(size),
        }
    }

    fn growth(&self, from: usize, size: usize) -> GrowthProof {
        let plan = consistency_plan(from as u64, size as u64).unwrap();
        GrowthProof {
            from: from as u64,
            path: follow(&plan, among(&self.leaves(size))).unwrap(),
            checkpoint: self.checkpoint(size),
        }
    }
}

fn among(leaves: &[TreeHash]) -> impl FnMut(Subtree) -> Result<TreeHash, ()> {
    |Subtree { level, index }| {
        let first = usize::try_from(index << level).unwrap();
        Ok(Edge::over(&leaves[first..first + (1 << level)]).root())
    }
}

#[test]
fn a_receipt_is_verified_without_the_store() {
    let world = World::new(300);
    for (index, size) in [(0, 1), (0, 300), (299, 300), (73, 128), (200, 257)] {
        let text = world.receipt(index, size, None).to_string();
        let verified = verify_receipt(
            &world.records[index],
            text.as_bytes(),
            world.log.public(),
            &world.policy(2),
        );
        let verified = verified.unwrap();
        assert_eq!(verified.offset.get(), index as u64 + 1);
        assert_eq!(verified.checkpoint.size, size as u64);
        let witnesses: Vec<(&str, u64)> = verified
            .cosignatures
            .iter()
            .map(|seen| (seen.witness.as_str(), seen.seconds))
            .collect();
        assert_eq!(
            witnesses,
            [("w1.example", 1_700_000_000), ("w2.example", 1_700_000_001)]
        );
        assert_eq!(verified.unproven_extra, None);
        assert!(text.len() < 2048, "a receipt has {} bytes", text.len());
    }
}

#[test]
fn the_text_is_the_published_form() {
    let world = World::new(3);
    let proof = world.receipt(1, 3, Some(b"extra"));
    let text = proof.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra ZXh0cmE=", "index 1"]);
    assert_eq!(lines[5..8], ["", "example.com/log", "3"]);
    assert_eq!(InclusionProof::parse(text.as_bytes()).unwrap(), proof);
    let proof = world.growth(1, 3);
    let text = proof.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "old 1");
    assert_eq!(lines[3..6], ["", "example.com/log", "3"]);
    assert_eq!(GrowthProof::parse(text.as_bytes()).unwrap(), proof);
}

#[test]
fn published_forms_are_read_and_shown_alike() {
    // The examples of the specifications of proofs and witnesses; the signatures of the first are made up.
    let text = "c2sp.org/tlog-proof@v1
extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ
index 73894
gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=
B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=
EKNzoDWG8LGC0Yp9o+sv3qllpMP9uHQ9B20KNL+Q1zs=
RoopEkOdqkYqMB4MJXrbt/hMjOxsVn0IrWjpz1ZMMes=
AHCioX9nLjsrse6YhjRRmk1WUEirVOLLRoOQ6vfO5vk=

example.com/fancylog
109482
sFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=

— example.com/fancylog hI2DJwAA
";
    let proof = InclusionProof::parse(text.as_bytes()).unwrap();
    assert_eq!(proof.to_string(), text);
    assert_eq!((proof.index, proof.path.len()), (73894, 5));
    let text = "old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
";
    let proof = GrowthProof::parse(text.as_bytes()).unwrap();
    assert_eq!(proof.to_string(), text);
}

#[test]
fn a_malformed_proof_is_refused_with_line_and_reason() {
    let world = World::new(3);
    let text = world.receipt(1, 3, None).to_string();
    let (head, rest) = text.split_once("\n\n").unwrap();
    let root = to_base64(&[1; 32]);
    let with = |head: &str| format!("{head}\n\n{rest}");
    let header = HEADER;
    let large = to_base64(&vec![0; EXTRA_MAX + 1]);
    let cases = [
        (String::new(), 1, "no empty line"),
        (head.to_owned(), 1, "no empty line"),
        (with("c2sp.org/tlog-proof@v2\nindex 0"), 1, "begins with"),
        (with(&head[1..]), 1, "begins with"),
        (with(header), 1, "index"),
        (with(&format!("{header}\nextra AQ==")), 1, "index"),
        (with(&format!("{header}\nextra AQ\nindex 0")), 2, "base64"),
        (with(&format!("{header}\nextra {large}\nindex 0")), 2, "not read"),
        (with(&format!("{header}\nextra AQ==\nextra AQ==\nindex 0")), 3, "index"),
        (with(&format!("{header}\nindex 0\nextra AQ==")), 3, "base64"),
        (with(&format!("{header}\nindex")), 2, "index"),
        (with(&format!("{header}\nindex  0")), 2, "decimal"),
        (with(&format!("{header}\nindex 00")), 2, "decimal"),
        (with(&format!("{header}\nindex -5")), 2, "decimal"),
        (with(&format!("{header}\nindex 18446744073709551616")), 2, "larger"),
        (with(&format!("{header}\nINDEX 0")), 2, "index"),
        (with(&format!("{header}\nindex 0\nAQ==")), 3, "32 bytes"),
        (with(&format!("{header}\nindex 0\n{root}\r")), 3, "base64"),
        (
            with(&format!(
                "{header}\nindex 0{}",
                format!("\n{root}").repeat(PATH_MAX + 1)
            )),
            3 + PATH_MAX,
            "hashes",
        ),
        (format!("{head}\n\n\n{rest}"), 6, "a line is empty"),
        (text.replace("\n3\n", "\n03\n"), 7, "decimal"),
        (text.replace("— w1", "- w1"), 11, "em dash"),
        (text.trim_end().to_owned(), 13, "no end"),
        (format!("{text}x"), 14, "no end"),
        (format!("{head}\n\n{}", "x\n".repeat(PROOF_MAX)), 1, "not read"),
    ];
    for (text, line, reason) in cases {
        let error = InclusionProof::parse(text.as_bytes()).unwrap_err();
        let shown: String = text.chars().take(200).collect();
        assert!(error.to_string().contains(reason), "{shown}: {error}");
        assert_eq!(error.line(), line, "{shown}: {error}");
        assert!(GrowthProof::parse(text.as_bytes()).is_err());
    }
}

#[test]
fn a_receipt_of_another_log_record_or_place_is_refused() {
    let world = World::new(300);
    let (index, size) = (73, 300);
    let proof = world.receipt(index, size, None);
    let record = world.records[index].clone();
    let log = world.log.public();
    let verify = |proof: &InclusionProof, record: &[u8]| {
        verify_receipt(record, proof.to_string().as_bytes(), log, &world.policy(2))
    };
    assert!(verify(&proof, &record).is_ok());
    assert_eq!(
        verify(&proof, b"another record"),
        Err(ReceiptError::Proof(ProofError::OtherRoot))
    );
    let mut moved = proof.clone();
    moved.index += 1;
    assert!(matches!(verify(&moved, &record), Err(ReceiptError::Proof(_))));
    moved.index = 300;
    assert!(matches!(
        verify(&moved, &record),
        Err(ReceiptError::Proof(ProofError::NoLeaf { .. }))
    ));
    let mut short = proof.clone();
    short.path.pop();
    assert!(matches!(
        verify(&short, &record),
        Err(ReceiptError::Proof(ProofError::Length { .. }))
    ));
    let mut older = proof.clone();
    older.checkpoint = world.checkpoint(299);
    assert!(matches!(verify(&older, &record), Err(ReceiptError::Proof(_))));
    let text = proof.to_string();
    let stranger = key("example.com/other", KeyKind::Note);
    let refused = verify_receipt(&record, text.as_bytes(), stranger.public(), &Witnesses::none());
    assert!(matches!(
        refused,
        Err(ReceiptError::Signature(SignatureError::Origin { .. }))
    ));
    // The operator signs another history of the same size: that tree has the record, but the witnesses have not seen it.
    let mut forged_world = World::new(300);
    forged_world.records[5] = b"rewritten".to_vec();
    let forged = forged_world.receipt(index, size, None);
    let Checkpoint { root, .. } = forged.checkpoint.checkpoint();
    let honest = proof.checkpoint.checkpoint();
    assert_ne!(*root, honest.root);
    let unwitnessed = SignedCheckpoint::sign(forged.checkpoint.checkpoint().clone(), &world.log).unwrap();
    let forged = InclusionProof {
        checkpoint: unwitnessed,
        ..forged
    };
    assert_eq!(
        verify(&forged, &record),
        Err(ReceiptError::Witnesses { found: 0, wanted: 2 })
    );
}

#[test]
fn witnesses_are_counted_by_key() {
    let world = World::new(10);
    let [first, second] = world.witnesses.each_ref().map(|witness| witness.public().clone());
    let log = world.log.public();
    let text = world.receipt(3, 10, None).to_string();
    let verify = |text: &str, witnesses: &Witnesses| verify_receipt(&world.records[3], text.as_bytes(), log, witnesses);
    assert_eq!(verify(&text, &Witnesses::none()).unwrap().cosignatures, []);
    assert_eq!(verify(&text, &world.policy(0)).unwrap().cosignatures.len(), 2);
    let third = key("w3.example", KeyKind::Cosignature).public().clone();
    let three = |quorum| Witnesses::new(vec![first.clone(), second.clone(), third.clone()], quorum).unwrap();
    assert_eq!(verify(&text, &three(2)).unwrap().cosignatures.len(), 2);
    assert_eq!(
        verify(&text, &three(3)),
        Err(ReceiptError::Witnesses { found: 2, wanted: 3 })
    );
    // A second line of the same witness is no second witness.
    let line = text.lines().find(|line| line.starts_with("— w1")).unwrap();
    let doubled = format!("{text}{line}\n");
    assert_eq!(
        verify(&doubled, &three(3)),
        Err(ReceiptError::Witnesses { found: 2, wanted: 3 })
    );
    assert!(matches!(
        Witnesses::new(vec![first.clone(), first.clone()], 1),
        Err(WitnessesError::Twice { .. })
    ));
    assert!(matches!(
        Witnesses::new(vec![first.clone()], 2),
        Err(WitnessesError::Quorum { .. })
    ));
    assert!(matches!(
        Witnesses::new(vec![log.clone()], 1),
        Err(WitnessesError::Key(_))
    ));
    let own = key("example.com/log", KeyKind::Cosignature).public().clone();
    assert_eq!(own.as_bytes(), log.as_bytes());
    let own = Witnesses::new(vec![own], 0).unwrap();
    assert!(matches!(verify(&text, &own), Err(ReceiptError::OwnWitness { .. })));
}

#[test]
fn growth_is_verified_from_a_known_checkpoint() {
    let world = World::new(300);
    let log = world.log.public();
    for (from, size) in [(1, 1), (1, 300), (64, 300), (73, 128), (299, 300), (300, 300)] {
        let text = world.growth(from, size).to_string();
        let proof = GrowthProof::parse(text.as_bytes()).unwrap();
        assert_eq!(proof.to_string(), text);
        let earlier = world.checkpoint(from).checkpoint().clone();
        assert_eq!(proof.verify(&earlier, log), Ok(()));
        let mut other = earlier.clone();
        other.root[0] ^= 1;
        assert!(matches!(
            proof.verify(&other, log),
            Err(ReceiptError::Proof(ProofError::OtherRoot))
        ));
        let mut other = earlier.clone();
        other.size += 1;
        assert!(matches!(
            proof.verify(&other, log),
            Err(ReceiptError::OtherStart { .. })
        ));
        let mut other = earlier;
        other.origin.push('x');
        assert!(matches!(proof.verify(&other, log), Err(ReceiptError::Signature(_))));
    }
    // The tail was cut off: what is left does not continue what was signed.
    let cut = GrowthProof {
        from: 300,
        path: Vec::new(),
        checkpoint: world.checkpoint(299),
    };
    let earlier = world.checkpoint(300).checkpoint().clone();
    assert!(matches!(
        cut.verify(&earlier, log),
        Err(ReceiptError::Proof(ProofError::Shrunk { .. }))
    ));
}

/// Changes a text at one place or a few; `others` are texts of the same kind to take parts from.
fn mutated(text: &[u8], others: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = text.to_vec();
    let lines: Vec<Vec<u8>> = text
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let foreign: Vec<Vec<u8>> = dice
        .one(others)
        .split_inclusive(|&byte| byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    let place = dice.of(bytes.len());
    let line = dice.of(lines.len());
    let with_lines = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        lines.concat()
    };
    match dice.of(14) {
        0..=3 => bytes[place] ^= 1 << dice.of(8),
        4 => bytes[place] = u8::try_from(dice.of(256)).unwrap(),
        5 => bytes.truncate(place),
        6 => bytes.insert(place, *dice.one(b"\n =+/A0 \r")),
        7 => drop(bytes.remove(place)),
        8 => return with_lines(&|lines| drop(lines.remove(line))),
        9 => {
            let other = dice.of(lines.len());
            return with_lines(&|lines| lines.swap(line, other));
        }
        10 => return with_lines(&|lines| lines.insert(line, lines[line].clone())),
        11 => {
            let other = dice.one(&foreign).clone();
            return with_lines(&|lines| lines[line] = other.clone());
        }
        12 => {
            // Another number in a line that has one.
            let numbered: Vec<usize> = (0..lines.len())
                .filter(|&at| lines[at].len() < 30 && lines[at].iter().any(u8::is_ascii_digit))
                .collect();
            let at = *dice.one(&numbered);
            let number = match dice.of(4) {
                0 => dice.next() % 400,
                1 => dice.next(),
                _ => 1 << dice.of(64),
            };
            let text = String::from_utf8_lossy(&lines[at]).into_owned();
            let head = text
                .trim_end_matches(|c: char| c.is_ascii_digit() || c == '\n')
                .to_owned();
            return with_lines(&|lines| lines[at] = format!("{head}{number}\n").into_bytes());
        }
        _ => {
            // The beginning of this text and the end of another.
            let cut = line.min(foreign.len());
            return [lines[..line].concat(), foreign[cut..].concat()].concat();
        }
    }
    bytes
}

/// What became of changed proofs.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    /// The change left the bytes as they were.
    unchanged: usize,
    /// The change only touched what proves nothing: data beside the proof, lines of keys that are not known, their order.
    same_meaning: usize,
    /// The parts of two proofs made a third one, and what it says is true.
    other_truth: usize,
}

/// Changes receipts, and the records they are for.
fn mutate_receipts(count: usize, seed: u64) -> Tally {
    let world = World::new(300);
    let policy = world.policy(2);
    let log = world.log.public();
    let mut dice = Dice(seed);
    let receipts: Vec<(usize, Vec<u8>)> = (0..20)
        .map(|round| {
            let size = 1 + dice.of(300);
            let index = dice.of(size);
            let extra = (round % 2 == 0).then_some(b"some extra".as_slice());
            (index, world.receipt(index, size, extra).to_string().into_bytes())
        })
        .collect();
    let texts: Vec<Vec<u8>> = receipts.iter().map(|(_, text)| text.clone()).collect();
    let mut tally = Tally::default();
    for round in 0..count {
        let (index, text) = dice.one(&receipts);
        let mut record = world.records[*index].clone();
        let mut changed = text.clone();
        if round % 10 == 0 {
            match dice.of(3) {
                0 => {
                    let place = dice.of(record.len());
                    record[place] ^= 1 << dice.of(8);
                }
                1 => record.push(0),
                _ => drop(record.pop()),
            }
        } else {
            changed = mutated(text, &texts, &mut dice);
        }
        let is_same_record = record == world.records[*index];
        if is_same_record && changed == *text {
            tally.unchanged += 1;
            continue;
        }
        match verify_receipt(&record, &changed, log, &policy) {
            Err(_) => tally.refused += 1,
            Ok(verified) => {
                let original = InclusionProof::parse(text).unwrap();
                let offset = verified.offset.get();
                let size = usize::try_from(verified.checkpoint.size).unwrap();
                let is_true = offset == *index as u64 + 1
                    && is_same_record
                    && verified.checkpoint == world.truth(size)
                    && verified.cosignatures.len() == 2;
                assert!(
                    is_true,
                    "seed {seed}, round {round}:\n{}",
                    String::from_utf8_lossy(&changed)
                );
                if verified.checkpoint == *original.checkpoint.checkpoint() {
                    tally.same_meaning += 1;
                } else {
                    tally.other_truth += 1;
                }
            }
        }
    }
    tally
}

/// Changes proofs of growth.
fn mutate_growth(count: usize, seed: u64) -> Tally {
    let world = World::new(300);
    let log = world.log.public();
    let mut dice = Dice(seed);
    let proofs: Vec<(Checkpoint, Vec<u8>)> = (0..20)
        .map(|_| {
            let size = 2 + dice.of(299);
            let from = 1 + dice.of(size - 1);
            let earlier = world.truth(from);
            (earlier, world.growth(from, size).to_string().into_bytes())
        })
        .collect();
    let texts: Vec<Vec<u8>> = proofs.iter().map(|(_, text)| text.clone()).collect();
    let mut tally = Tally::default();
    for round in 0..count {
        let (earlier, text) = dice.one(&proofs);
        let changed = mutated(text, &texts, &mut dice);
        if changed == *text {
            tally.unchanged += 1;
            continue;
        }
        let parsed = GrowthProof::parse(&changed);
        match parsed
            .map_err(ReceiptError::from)
            .and_then(|proof| proof.verify(earlier, log).map(|()| proof))
        {
            Err(_) => tally.refused += 1,
            Ok(proof) => {
                let original = GrowthProof::parse(text).unwrap();
                let later = proof.checkpoint.checkpoint();
                let size = usize::try_from(later.size).unwrap();
                let is_true = *later == world.truth(size) && later.size >= earlier.size;
                assert!(
                    is_true,
                    "seed {seed}, round {round}:\n{}",
                    String::from_utf8_lossy(&changed)
                );
                if later == original.checkpoint.checkpoint() {
                    tally.same_meaning += 1;
                } else {
                    tally.other_truth += 1;
                }
            }
        }
    }
    tally
}

fn tell(what: &str, tally: &Tally) {
    println!("{what}: {tally:?}");
}

#[test]
fn no_changed_receipt_is_believed() {
    tell("receipts", &mutate_receipts(500, 1));
}

#[test]
fn no_changed_proof_of_growth_is_believed() {
    tell("growth", &mutate_growth(500, 2));
}

/// `cargo test --release -p flowledger-event-store -- --ignored --nocapture hundred_thousand`
#[test]
#[ignore = "takes a minute: 100,000 changed receipts and as many proofs of growth"]
fn of_a_hundred_thousand_changed_proofs_none_is_believed() {
    tell("receipts", &mutate_receipts(100_000, 3));
    tell("growth", &mutate_growth(100_000, 4));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = InclusionProof::parse(&bytes);
        let _ = GrowthProof::parse(&bytes);
    }

    #[test]
    fn what_is_read_is_shown_as_it_was(
        text in "c2sp.org/tlog-proof@v1\n(extra [A-Za-z]{4}\n)?index [0-9]{1,3}\n\n[a-z]{1,5}\n[0-9]{1,2}\n\
                 CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n([a-z]{1,3}\n){0,2}\n(— [a-z]{1,5} [A-Za-z+/]{8}\n){1,3}",
    ) {
        if let Ok(proof) = InclusionProof::parse(text.as_bytes()) {
            prop_assert_eq!(proof.to_string(), text);
        }
    }
}
