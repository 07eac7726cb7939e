//! `mutations`: changes receipts, proofs of growth, checkpoints, records and keys in many ways, and checks that the offline
//! verification believes none of them, unless the change touched only what proves nothing.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Parser;
use flowledger::store::merkle::{Edge, TreeHash};
use flowledger::store::{
    Checkpoint, GrowthProof, InclusionProof, KeyKind, PublicKey, SignedCheckpoint, SigningKey, Witnesses, leaf_hash,
    verify_receipt,
};
use flowledger::{CommitTaskParam, DeployModel, Engine, StartProcessParam};
use flowledger_tests::dice::Dice;
use flowledger_tests::load::to_hex;
use flowledger_tests::mutation::{KINDS, Kind, Known, Meaning, mutated};
use flowledger_tests::sketch::flow;

/// Changes proofs and keys, and checks that none is believed.
#[derive(Parser)]
#[command(name = "mutations")]
struct Arguments {
    /// Changes that are tried.
    #[arg(long, default_value_t = 100_000)]
    mutations: u64,
    /// Decides the changes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Verifies with a check left out: there must be findings then.
    #[arg(long, value_enum, default_value_t = Defect::None)]
    defect: Defect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Defect {
    /// None.
    None,
    /// The log's signature is not checked.
    NoSignature,
    /// The way from the record to the root is not checked.
    NoPath,
    /// Witnesses are not asked for.
    NoWitnesses,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Receipt,
    Record,
    Growth,
    Checkpoint,
    LogKey,
    WitnessKey,
}

const WHAT: [What; 8] = [
    What::Receipt,
    What::Receipt,
    What::Receipt,
    What::Record,
    What::Growth,
    What::Checkpoint,
    What::LogKey,
    What::WitnessKey,
];

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It was not believed.
    Refused,
    /// It left the bytes as they were.
    Unchanged,
    /// It touched only data beside the proof, signature lines of keys that nobody asked about, the order and number of
    /// signature lines, or the case of a key id's digits.
    SameMeaning,
    /// Parts of two proofs made a third one that the log would hand out, too.
    OtherTruth,
}

/// A log, and what it has handed out.
struct World {
    log: PublicKey,
    witnesses: [PublicKey; 2],
    /// Position, record, proof.
    receipts: Vec<(u64, Vec<u8>, String)>,
    /// The checkpoint that is known, and the proof that the log has grown from it.
    growth: Vec<(Checkpoint, String)>,
    checkpoints: Vec<String>,
    known: Vec<Known>,
    /// The leaf hashes of all records.
    leaves: Vec<TreeHash>,
}

impl World {
    fn new() -> Self {
        let engine = Engine::builder().in_memory().open().expect("it opens").blocking();
        let model = flow("main", "start -> ask -> check -> end").flow_model.to_string();
        let deployed = engine
            .deploy_model(DeployModel::new("main", &model))
            .expect("it deploys");
        let witness = |name: &str| SigningKey::generate(name, KeyKind::Cosignature).expect("a key");
        let witnesses = [
            witness("w1.example"),
            witness("w2.example"),
            witness("stranger.example"),
        ];
        let log: PublicKey = engine.public_key().expect("a key").parse().expect("a key");
        let known = witnesses[..2]
            .iter()
            .map(|witness| witness.public().clone())
            .collect::<Vec<_>>();
        let mut world = Self {
            log,
            witnesses: [known[0].clone(), known[1].clone()],
            receipts: Vec::new(),
            growth: Vec::new(),
            checkpoints: Vec::new(),
            known: Vec::new(),
            leaves: Vec::new(),
        };
        let names = [&world.log, &known[0], &known[1]];
        let known_as = |key: &PublicKey| Known {
            name: key.name().to_owned(),
            id: key.id(),
        };
        world.known = names.map(known_as).to_vec();
        let mut earlier: Vec<Checkpoint> = Vec::new();
        for round in 0_u64..6 {
            for _ in 0..9 + round * 3 {
                let start = StartProcessParam::of_module(deployed.flow_module_id.clone());
                let started = engine.start_process(start).expect("started");
                let instance = started.flow_instance_id.clone().expect("an instance");
                let task = started.active_task().expect("a task").node_instance_id.clone();
                let commit = CommitTaskParam::new(&instance, &task).variable("n", 7);
                engine.commit_task(commit).expect("committed");
            }
            let mut note = engine.checkpoint().expect("a checkpoint").note;
            let signed = SignedCheckpoint::parse(note.as_bytes()).expect("a note");
            let lines = (1_700_000_000 + round..).zip(&witnesses[..2]);
            let lines: Vec<String> = lines
                .map(|(seconds, witness)| format!("{}\n", signed.cosign(witness, seconds).expect("cosigned")))
                .collect();
            engine.add_cosignatures(&lines.concat(), &known).expect("added");
            let stranger = format!("{}\n", signed.cosign(&witnesses[2], 5).expect("cosigned"));
            note = engine.checkpoint().expect("a checkpoint").note + stranger.as_str();
            let size = signed.checkpoint().size;
            for place in 0..6 {
                let position = 1 + (place * 7919 + round * 31) % size;
                let receipt = engine.receipt(position).expect("a receipt");
                let mut proof = receipt.proof + stranger.as_str();
                if place % 2 == 0 {
                    proof = proof.replacen("@v1\n", "@v1\nextra c29tZXRoaW5n\n", 1);
                }
                world.receipts.push((position, receipt.record.to_vec(), proof));
            }
            for earlier in &earlier {
                let growth = engine.growth(earlier.size).expect("it has grown");
                world.growth.push((earlier.clone(), growth.proof + stranger.as_str()));
            }
            earlier.push(signed.checkpoint().clone());
            world.checkpoints.push(note);
        }
        let records = engine.log_records(0, 10_000).expect("the log can be read");
        world.leaves = records.iter().map(|record| record.leaf).collect();
        world
    }

    /// Whether a proof is one that the log would hand out: its checkpoint was, and its path is the one of RFC 6962.
    fn would_hand_out(&self, text: &[u8]) -> bool {
        let checkpoint = |text: &[u8]| Meaning::of(text, false, &self.known);
        let Some(end) = text.windows(2).position(|window| window == b"\n\n") else {
            return false;
        };
        let signed = checkpoint(&text[end + 2..]);
        let was_signed = signed.is_some()
            && self
                .checkpoints
                .iter()
                .any(|known| checkpoint(known.as_bytes()) == signed);
        let leaves = |size: u64| usize::try_from(size).ok().and_then(|size| self.leaves.get(..size));
        let receipt = InclusionProof::parse(text).ok().and_then(|proof| {
            let leaves = leaves(proof.checkpoint.checkpoint().size)?;
            Some(proof.path == inclusion_path(usize::try_from(proof.index).ok()?, leaves))
        });
        let growth = GrowthProof::parse(text).ok().and_then(|proof| {
            let leaves = leaves(proof.checkpoint.checkpoint().size)?;
            Some(proof.path == consistency_path(usize::try_from(proof.from).ok()?, leaves, true))
        });
        was_signed && receipt.or(growth) == Some(true)
    }

    fn policy(&self) -> Witnesses {
        Witnesses::new(self.witnesses.to_vec(), 2).expect("two witnesses")
    }
}

/// The largest power of two below a size.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

fn root(leaves: &[TreeHash]) -> TreeHash {
    Edge::over(leaves).root()
}

/// RFC 6962, section 2.1.1.
fn inclusion_path(index: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if index < left.len() {
        (inclusion_path(index, left), root(right))
    } else {
        (inclusion_path(index - left.len(), right), root(left))
    };
    path.push(sibling);
    path
}

/// RFC 6962, section 2.1.2.
fn consistency_path(from: usize, leaves: &[TreeHash], is_known: bool) -> Vec<TreeHash> {
    if from == leaves.len() {
        return if is_known { Vec::new() } else { vec![root(leaves)] };
    }
    let (left, right) = leaves.split_at(split(leaves.len()));
    let (mut path, sibling) = if from <= left.len() {
        (consistency_path(from, left, is_known), root(right))
    } else {
        (consistency_path(from - left.len(), right, false), root(left))
    };
    path.push(sibling);
    path
}

/// The verification that is under test, and what is left of it with a defect.
fn is_believed(record: &[u8], proof: &[u8], log: &PublicKey, witnesses: &Witnesses, defect: Defect) -> Option<u64> {
    match defect {
        Defect::None => {
            let verified = verify_receipt(record, proof, log, witnesses).ok()?;
            Some(verified.offset.get())
        }
        Defect::NoWitnesses => {
            let verified = verify_receipt(record, proof, log, &Witnesses::none()).ok()?;
            Some(verified.offset.get())
        }
        Defect::NoPath => {
            let proof = InclusionProof::parse(proof).ok()?;
            proof.checkpoint.verify(log).ok()?;
            Some(proof.index.wrapping_add(1))
        }
        Defect::NoSignature => {
            let proof = InclusionProof::parse(proof).ok()?;
            let checkpoint = proof.checkpoint.checkpoint();
            let (leaf, root) = (leaf_hash(record), &checkpoint.root);
            let index = proof.index;
            flowledger::store::merkle::verify_inclusion(&leaf, index, checkpoint.size, &proof.path, root).ok()?;
            Some(index.wrapping_add(1))
        }
    }
}

struct Trial<'w> {
    world: &'w World,
    policy: Witnesses,
    defect: Defect,
}

impl Trial<'_> {
    /// Tries one change; an error is a finding.
    fn run(&self, what: What, kind: Kind, dice: &mut Dice) -> Result<Outcome, String> {
        let world = self.world;
        let any = |dice: &mut Dice| &world.receipts[dice.index(world.receipts.len())];
        match what {
            What::Receipt => {
                let ((position, record, proof), (.., other)) = (any(dice), any(dice));
                let changed = mutated(proof.as_bytes(), other.as_bytes(), kind, dice);
                let believed = is_believed(record, &changed, &world.log, &self.policy, self.defect);
                self.judge(&changed, proof, true, believed, *position)
            }
            What::Record => {
                let ((_, record, proof), (_, foreign, _)) = (any(dice), any(dice));
                let changed = mutated(record, foreign, kind, dice);
                if changed == *record {
                    return Ok(Outcome::Unchanged);
                }
                match is_believed(&changed, proof.as_bytes(), &world.log, &self.policy, self.defect) {
                    None => Ok(Outcome::Refused),
                    Some(_) => Err(format!("a record that is not the receipt's: {}", to_hex(&changed))),
                }
            }
            What::Growth => {
                let any = |dice: &mut Dice| &world.growth[dice.index(world.growth.len())];
                let ((earlier, proof), (_, other)) = (any(dice), any(dice));
                let changed = mutated(proof.as_bytes(), other.as_bytes(), kind, dice);
                let believed = GrowthProof::parse(&changed)
                    .ok()
                    .filter(|proof| proof.verify(earlier, &world.log).is_ok())
                    .filter(|proof| {
                        proof
                            .checkpoint
                            .cosignatures(&world.witnesses)
                            .is_ok_and(|seen| seen.len() == 2)
                    })
                    .map(|proof| proof.from);
                self.judge(&changed, proof, true, believed, earlier.size)
            }
            What::Checkpoint => {
                let any = |dice: &mut Dice| &world.checkpoints[dice.index(world.checkpoints.len())];
                let (note, other) = (any(dice), any(dice));
                let changed = mutated(note.as_bytes(), other.as_bytes(), kind, dice);
                let believed = SignedCheckpoint::parse(&changed)
                    .ok()
                    .filter(|signed| signed.verify(&world.log).is_ok())
                    .filter(|signed| signed.cosignatures(&world.witnesses).is_ok_and(|seen| seen.len() == 2))
                    .map(|_| 0);
                self.judge(&changed, note, false, believed, 0)
            }
            What::LogKey | What::WitnessKey => self.key(what, kind, dice),
        }
    }

    /// A key is itself, in one form only, or another one.
    fn key(&self, what: What, kind: Kind, dice: &mut Dice) -> Result<Outcome, String> {
        let world = self.world;
        let (key, other) = if what == What::LogKey {
            (&world.log, &world.witnesses[0])
        } else {
            (&world.witnesses[0], &world.witnesses[1])
        };
        let (text, other) = (key.to_string(), other.to_string());
        let changed = mutated(text.as_bytes(), other.as_bytes(), kind, dice);
        if changed == text.as_bytes() {
            return Ok(Outcome::Unchanged);
        }
        let parsed = std::str::from_utf8(&changed)
            .ok()
            .and_then(|text| text.parse::<PublicKey>().ok());
        let Some(parsed) = parsed else {
            return Ok(Outcome::Refused);
        };
        let shown = String::from_utf8_lossy(&changed).into_owned();
        if parsed == *key {
            // The id's hexadecimal digits are read in either case, as other tools write them.
            let is_id = |part: &str, of: &str| part.len() == 8 && part.eq_ignore_ascii_case(of);
            let same = shown.split('+').zip(text.split('+'));
            let differs = same.filter(|(here, there)| here != there).collect::<Vec<_>>();
            return match *differs {
                [(id, of)] if is_id(id, of) => Ok(Outcome::SameMeaning),
                _ => Err(format!("another form of a key is read as the key: {shown:?}")),
            };
        }
        let (_, record, proof) = &world.receipts[dice.index(world.receipts.len())];
        let verified = if what == What::LogKey {
            is_believed(record, proof.as_bytes(), &parsed, &self.policy, self.defect)
        } else {
            let witnesses = Witnesses::new(vec![parsed, world.witnesses[1].clone()], 2);
            witnesses
                .ok()
                .and_then(|policy| is_believed(record, proof.as_bytes(), &world.log, &policy, self.defect))
        };
        match verified {
            None => Ok(Outcome::Refused),
            Some(_) => Err(format!("a receipt is good under another key: {shown:?}")),
        }
    }

    /// Whether it is right to believe a changed text, or not to.
    fn judge(
        &self,
        changed: &[u8],
        text: &str,
        has_head: bool,
        believed: Option<u64>,
        said: u64,
    ) -> Result<Outcome, String> {
        if changed == text.as_bytes() {
            return match believed {
                Some(_) => Ok(Outcome::Unchanged),
                None => Err("what was handed out is refused".into()),
            };
        }
        let Some(says) = believed else {
            return Ok(Outcome::Refused);
        };
        let known = &self.world.known;
        let meaning = Meaning::of(changed, has_head, known);
        if meaning.is_some() && says == said && meaning == Meaning::of(text.as_bytes(), has_head, known) {
            return Ok(Outcome::SameMeaning);
        }
        if says == said && self.world.would_hand_out(changed) {
            return Ok(Outcome::OtherTruth);
        }
        // A checkpoint that is another one as a whole.
        let is_other = |note: &String| meaning.is_some() && meaning == Meaning::of(note.as_bytes(), has_head, known);
        if !has_head && self.world.checkpoints.iter().any(is_other) {
            return Ok(Outcome::OtherTruth);
        }
        Err(format!("believed:\n{}", String::from_utf8_lossy(changed)))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let world = World::new();
    let trial = Trial {
        world: &world,
        policy: world.policy(),
        defect: arguments.defect,
    };
    println!(
        "seed {}, {} mutations of {} receipts, {} proofs of growth, {} checkpoints and 2 keys, defect {:?}",
        arguments.seed,
        arguments.mutations,
        world.receipts.len(),
        world.growth.len(),
        world.checkpoints.len(),
        arguments.defect
    );
    let mut figures: BTreeMap<_, BTreeMap<Outcome, u64>> = BTreeMap::new();
    let mut totals: BTreeMap<Outcome, u64> = BTreeMap::new();
    let (mut wrong, mut unchanged) = (0, 0);
    for number in 0..arguments.mutations {
        let mut dice = Dice::of(arguments.seed, number);
        let what = WHAT[dice.index(WHAT.len())];
        // A change that leaves everything as it was is none.
        let (kind, outcome) = loop {
            let kind = KINDS[dice.index(KINDS.len())];
            match trial.run(what, kind, &mut dice) {
                Ok(Outcome::Unchanged) => unchanged += 1,
                outcome => break (kind, outcome),
            }
        };
        match outcome {
            Ok(outcome) => {
                *figures.entry((what, kind)).or_default().entry(outcome).or_default() += 1;
                *totals.entry(outcome).or_default() += 1;
            }
            Err(finding) => {
                wrong += 1;
                if wrong <= 10 {
                    println!("fault: number {number}, {what:?}, {kind:?}: {finding}");
                }
            }
        }
    }
    for ((what, kind), outcomes) in &figures {
        let told: Vec<_> = outcomes
            .iter()
            .map(|(outcome, count)| format!("{outcome:?} {count}"))
            .collect();
        println!(
            "{:<11} {:<18} {}",
            format!("{what:?}"),
            format!("{kind:?}"),
            told.join(", ")
        );
    }
    let of = |outcome: Outcome| totals.get(&outcome).copied().unwrap_or(0);
    println!(
        "mutations {}, refused {}, same meaning {}, other truth {}, faults {wrong} (drawn again, being none: {unchanged})",
        arguments.mutations,
        of(Outcome::Refused),
        of(Outcome::SameMeaning),
        of(Outcome::OtherTruth)
    );
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
