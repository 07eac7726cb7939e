//! Checkpoints against published ones, and cosigned by several.

use super::*;
use crate::key::tests::key;

/// A checkpoint of a public log as it was served, with an RFC 6962 signature and four witnesses.
const PUBLIC: &str = "arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev \
zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev \
ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden \
2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 \
pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de \
2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu \
Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
";
const PUBLIC_LOG: &str =
    "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
const PUBLIC_WITNESSES: [&str; 5] = [
    "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
    "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    // Has not signed this one.
    "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G",
];

fn read(text: &str) -> SignedCheckpoint {
    let read = SignedCheckpoint::parse(text.as_bytes()).unwrap();
    assert_eq!(read.to_string(), text);
    read
}

fn keys(texts: &[&str]) -> Vec<PublicKey> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint {
        origin: "example.com/log".into(),
        size,
        root: [u8::try_from(size).unwrap(); 32],
        extensions: Vec::new(),
    }
}

fn log_key() -> SigningKey {
    key("example.com/log", KeyKind::Note)
}

fn witness(name: &str) -> SigningKey {
    key(name, KeyKind::Cosignature)
}

#[test]
fn a_public_logs_checkpoint_is_right() {
    let signed = read(PUBLIC);
    assert_eq!(signed.checkpoint().size, 1_432_088_532);
    assert_eq!(signed.verify(&PUBLIC_LOG.parse().unwrap()), Ok(()));
    let cosignatures = signed.cosignatures(&keys(&PUBLIC_WITNESSES)).unwrap();
    let names: Vec<&str> = cosignatures
        .iter()
        .map(|cosignature| cosignature.witness.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "transparency.dev/DEV:witness-little-garden",
            "witness1.smartit.nu/witness1",
            "remora.n621.de",
            "witness.stagemole.eu"
        ]
    );
    assert!(
        cosignatures
            .iter()
            .all(|cosignature| cosignature.seconds == 0x6a12_2120)
    );
    let changed = read(&PUBLIC.replace("1432088532", "1432088533"));
    assert!(matches!(
        changed.verify(&PUBLIC_LOG.parse().unwrap()),
        Err(SignatureError::Wrong { .. })
    ));
    for witness in &PUBLIC_WITNESSES[..4] {
        assert!(matches!(
            changed.cosignatures(&keys(&[witness])),
            Err(SignatureError::Wrong { .. })
        ));
    }
}

#[test]
fn published_examples_are_read_and_shown_alike() {
    // Of the specifications of checkpoints and cosignatures; their keys are not published.
    let signed = read(
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— \
         example.com/behind-the-sofa \
         Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n— \
         witness.example.com/w1 \
         jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n",
    );
    assert_eq!(signed.checkpoint().origin, "example.com/behind-the-sofa");
    assert_eq!(signed.checkpoint().size, 20_852_163);
    // The checkpoint with which witnesses are probed; its key is.
    let signed = read(
        "geomys.org/witness/test-log\n1\nBCml5C32yqMcl0gjTrcSOeNVx59oPnSdytBzDGBO5k0=\n\n— geomys.org/witness/test-log \
         wHh/9BPsoBNr2x0Ol3qPBYasIN0HI2ZiBg5ac0v3LQq/7F+YO7U4oWbDeJn1VaWVrlbSEM30Gr7WWYQjj2SBxRoJ/Ao=\n",
    );
    let log = "geomys.org/witness/test-log+c0787ff4+AeMb5VOzy60PTGdGmLPxOKGAa0jNyDGsgv2rnprGju1t";
    assert_eq!(signed.verify(&log.parse().unwrap()), Ok(()));
}

#[test]
fn a_malformed_checkpoint_is_refused_with_line_and_reason() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let cases = [
        (String::new(), 1, "no end"),
        ("\n".into(), 1, "empty"),
        ("log\n".into(), 2, "no size"),
        ("log\n7\n".into(), 3, "no root"),
        (format!("log\n7\n{root}"), 3, "no end"),
        (format!("log\n7\n\n{root}\n"), 3, "empty"),
        (format!("log\n7\n{root}\n\n"), 4, "empty"),
        (format!("\n7\n{root}\n"), 1, "empty"),
        (format!("log\n07\n{root}\n"), 2, "leading zeros"),
        (format!("log\n-7\n{root}\n"), 2, "decimal"),
        (format!("log\n18446744073709551616\n{root}\n"), 2, "larger"),
        (format!("log\n7\n{root}=\n"), 3, "base64"),
        (format!("log\n7\n {root}\n"), 3, "base64"),
        ("log\n7\nAQ==\n".into(), 3, "32 bytes"),
        (format!("log\n0\n{root}\n"), 3, "another root"),
    ];
    for (text, line, reason) in cases {
        let error = Checkpoint::parse(&text).unwrap_err();
        assert!(error.to_string().contains(reason), "{text}: {error}");
        assert_eq!(error.line(), line, "{text}: {error}");
    }
    let largest = format!("log\n{}\n{root}\nmore\nand more\n", u64::MAX);
    let read = Checkpoint::parse(&largest).unwrap();
    assert_eq!((read.size, read.extensions.len()), (u64::MAX, 2));
    assert_eq!(read.to_string(), largest);
}

#[test]
fn only_the_logs_own_key_signs_and_verifies() {
    let key = log_key();
    let signed = SignedCheckpoint::sign(checkpoint(7), &key).unwrap();
    assert_eq!(read(&signed.to_string()), signed);
    assert_eq!(signed.verify(key.public()), Ok(()));
    let other = crate::key::tests::key("example.com/other", KeyKind::Note);
    assert!(matches!(
        SignedCheckpoint::sign(checkpoint(7), &other),
        Err(SignatureError::Origin { .. })
    ));
    assert!(matches!(
        signed.verify(other.public()),
        Err(SignatureError::Origin { .. })
    ));
    let cosigner = crate::key::tests::key("example.com/log", KeyKind::Cosignature);
    assert!(matches!(
        SignedCheckpoint::sign(checkpoint(7), &cosigner),
        Err(SignatureError::Kind { .. })
    ));
    assert!(matches!(
        signed.verify(cosigner.public()),
        Err(SignatureError::Kind { .. })
    ));
    // Another key of the same name has another id.
    let stranger = SigningKey::generate("example.com/log", KeyKind::Note).unwrap();
    assert!(matches!(
        signed.verify(stranger.public()),
        Err(SignatureError::Missing { .. })
    ));
    for wrong in ["two\nlines", ""] {
        let mut checkpoint = checkpoint(7);
        checkpoint.extensions = vec![wrong.into()];
        assert!(SignedCheckpoint::sign(checkpoint, &key).is_err());
    }
}

#[test]
fn cosignatures_are_added_and_kept() {
    let key = log_key();
    let (first, second) = (witness("w1"), witness("w2"));
    let known = [first.public().clone(), second.public().clone()];
    let mut signed = SignedCheckpoint::sign(checkpoint(7), &key).unwrap();
    let line = |witness: &SigningKey, seconds| format!("{}\n", signed.cosign(witness, seconds).unwrap());
    let (early, late, other) = (line(&first, 100), line(&first, 200), line(&second, 150));
    let stranger = line(&witness("stranger"), 100);
    let answer = format!("{stranger}{late}{other}");
    assert_eq!(signed.add_cosignatures(answer.as_bytes(), &known), Ok(2));
    // Again, and an older one: nothing new.
    assert_eq!(signed.add_cosignatures(answer.as_bytes(), &known), Ok(0));
    assert_eq!(signed.add_cosignatures(early.as_bytes(), &known), Ok(0));
    let times: Vec<u64> = signed
        .cosignatures(&known)
        .unwrap()
        .iter()
        .map(|kept| kept.seconds)
        .collect();
    assert_eq!(times, [200, 150]);
    // A newer one takes the place of the old one.
    let newest = line_of(&signed, &first, 300);
    assert_eq!(signed.add_cosignatures(newest.as_bytes(), &known), Ok(1));
    assert_eq!(signed.signatures().len(), 3);
    assert_eq!(signed.verify(key.public()), Ok(()));
    let kept = read(&signed.to_string());
    let times: Vec<u64> = kept
        .cosignatures(&known)
        .unwrap()
        .iter()
        .map(|kept| kept.seconds)
        .collect();
    assert_eq!(times, [300, 150]);
    // A cosignature of another checkpoint is wrong, and nothing of that answer is taken.
    let another = SignedCheckpoint::sign(checkpoint(8), &key).unwrap();
    let wrong = format!("{}{}", line_of(&signed, &second, 400), line_of(&another, &first, 400));
    let before = signed.clone();
    let refused = signed.add_cosignatures(wrong.as_bytes(), &known);
    assert!(matches!(refused, Err(SignatureError::Wrong { .. })));
    for malformed in ["", "x\n", &late.trim_end()[..40]] {
        let refused = signed.add_cosignatures(malformed.as_bytes(), &known);
        assert!(matches!(refused, Err(SignatureError::Malformed(_))), "{malformed}");
    }
    assert_eq!(signed, before);
    let no_witness = [key.public().clone()];
    assert!(matches!(
        signed.cosignatures(&no_witness),
        Err(SignatureError::Kind { .. })
    ));
    assert!(matches!(signed.cosign(&key, 1), Err(SignatureError::Kind { .. })));
}

fn line_of(signed: &SignedCheckpoint, witness: &SigningKey, seconds: u64) -> String {
    format!("{}\n", signed.cosign(witness, seconds).unwrap())
}

#[test]
fn a_checkpoint_is_found_again_in_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint");
    assert_eq!(SignedCheckpoint::load(&path).unwrap(), None);
    for size in [7, 8] {
        let signed = SignedCheckpoint::sign(checkpoint(size), &log_key()).unwrap();
        signed.save(&path).unwrap();
        assert_eq!(SignedCheckpoint::load(&path).unwrap(), Some(signed));
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    std::fs::write(&path, "something else").unwrap();
    assert!(matches!(SignedCheckpoint::load(&path), Err(StoreError::Damaged { .. })));
    let signed = SignedCheckpoint::sign(checkpoint(9), &log_key()).unwrap();
    assert!(matches!(
        signed.save(directory.path().join("absent/checkpoint")),
        Err(StoreError::Io { .. })
    ));
}
