//! Keys against published ones, and every way to write one wrong.

use proptest::prelude::*;

use super::*;

/// The key of the examples of Go's `sumdb/note`.
pub(crate) const NEUMANN: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
pub(crate) const NEUMANN_PRIVATE: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";

/// A key of a kind and name, the same at every run.
pub(crate) fn key(name: &str, kind: KeyKind) -> SigningKey {
    let secret: [u8; 32] = Sha256::digest(name).into();
    SigningKey::from_secret(name, kind, &secret).unwrap()
}

#[test]
fn published_keys_are_read_and_written_alike() {
    for text in [
        NEUMANN,
        "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop",
        // Of the specification of signed notes.
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        // The base64 has a plus.
        "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6",
        // A witness's.
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    ] {
        let key: PublicKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
    }
    let witness: PublicKey = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
        .parse()
        .unwrap();
    assert_eq!(witness.kind(), KeyKind::Cosignature);
    assert_eq!(witness.name(), "remora.n621.de");
    assert_eq!(witness.id(), [0xda, 0x77, 0xad, 0xe7]);
}

#[test]
fn a_published_private_key_has_its_public_key() {
    let key: SigningKey = NEUMANN_PRIVATE.parse().unwrap();
    assert_eq!(key.public().to_string(), NEUMANN);
    assert_eq!(key.to_text(), format!("{NEUMANN_PRIVATE}\n"));
    let shown = format!("{key:?}");
    assert!(!shown.contains("AYEKFALV") && shown.contains("PeterNeumann"), "{shown}");
}

#[test]
fn a_malformed_key_is_refused_with_the_reason() {
    let long = format!("{}+00000000+AQ==", "n".repeat(10_000));
    let cases = [
        ("", "three parts"),
        ("PeterNeumann", "three parts"),
        ("PeterNeumann+c74f20a3", "three parts"),
        (
            "PeterNeumann+c74f20a+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "hexadecimal",
        ),
        (
            "PeterNeumann++74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "hexadecimal",
        ),
        (
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "c74f20a3",
        ),
        (
            "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "is not that of name and key",
        ),
        (
            "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "must not be empty",
        ),
        (
            "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "space",
        ),
        ("PeterNeumann+c74f20a3+", "empty"),
        (
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
            "base64",
        ),
        (
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy",
            "32 bytes",
        ),
        (
            "PeterNeumann+c74f20a3+Axpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "kind 0x03",
        ),
        (long.as_str(), "not read"),
        // A point of small order, with which anybody can sign.
        ("weak+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "anybody"),
    ];
    for (text, reason) in cases {
        let error = text.parse::<PublicKey>().unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
        let private = format!("{PRIVATE}{text}");
        assert!(
            reason == "anybody" || private.parse::<SigningKey>().is_err(),
            "{private}"
        );
    }
    assert!(
        NEUMANN
            .parse::<SigningKey>()
            .unwrap_err()
            .to_string()
            .contains("PRIVATE")
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in "(PRIVATE\\+KEY\\+)?[a-z+ ]{0,12}\\+[0-9a-f]{0,9}\\+[A-Za-z0-9+/=]{0,50}") {
        let _ = text.parse::<PublicKey>();
        let _ = text.parse::<SigningKey>();
    }

    #[test]
    fn a_changed_character_is_another_key_or_none(place in 0_usize..NEUMANN.len(), with in "[ -~]") {
        let mut text = NEUMANN.to_owned();
        text.replace_range(place..=place, &with);
        if let Ok(key) = text.parse::<PublicKey>() {
            // The same character, or the other case of a digit of the id.
            prop_assert_eq!(key.to_string(), NEUMANN);
        }
    }
}

#[test]
fn a_key_file_is_made_once_and_only_its_owner_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.key");
    let missing = SigningKey::load(&path).unwrap_err();
    assert!(matches!(missing, KeyError::Io { .. }), "{missing}");
    let key = SigningKey::load_or_create(&path, "example.com/log").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes, key.to_text().as_bytes());
    let again = SigningKey::load_or_create(&path, "example.com/log").unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(
        std::fs::read_dir(directory.path()).unwrap().count(),
        1,
        "nothing is left lying about"
    );
    let other = SigningKey::load_or_create(&path, "example.com/other").unwrap_err();
    assert!(matches!(other, KeyError::OtherName { .. }), "{other}");
    let elsewhere = SigningKey::load_or_create(directory.path().join("second.key"), "example.com/log").unwrap();
    assert_ne!(elsewhere.public(), key.public());
    assert!(matches!(
        SigningKey::load_or_create(directory.path().join("third.key"), "no name"),
        Err(KeyError::Name(_))
    ));
    assert!(matches!(
        SigningKey::load_or_create(directory.path().join("absent/key"), "name"),
        Err(KeyError::Io { .. })
    ));
}

#[cfg(unix)]
#[test]
fn a_key_file_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.key");
    SigningKey::load_or_create(&path, "example.com/log").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for (mode, is_fine) in [
        (0o400, true),
        (0o640, true),
        (0o660, false),
        (0o644, false),
        (0o602, false),
    ] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let loaded = SigningKey::load(&path);
        assert_eq!(loaded.is_ok(), is_fine, "{mode:o}");
        assert!(is_fine || matches!(loaded, Err(KeyError::Exposed { .. })));
    }
}

#[test]
fn a_key_file_that_holds_something_else_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.key");
    let key = SigningKey::load_or_create(&path, "example.com/log").unwrap();
    let text = key.to_text();
    for wrong in [
        "",
        "\n",
        "key\n",
        text.trim_end(),
        &format!("{text}\n"),
        &text[1..],
        &"x".repeat(10_000),
    ] {
        std::fs::write(&path, wrong).unwrap();
        let error = SigningKey::load_or_create(&path, "example.com/log").unwrap_err();
        assert!(matches!(error, KeyError::Malformed { .. }), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), wrong);
    }
    std::fs::write(&path, [0xff; 10]).unwrap();
    assert!(matches!(SigningKey::load(&path), Err(KeyError::Malformed { .. })));
}

#[test]
fn of_many_who_make_a_key_at_once_all_get_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.key");
    let keys: Vec<String> = std::thread::scope(|scope| {
        let makers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    SigningKey::load_or_create(&path, "example.com/log")
                        .unwrap()
                        .public()
                        .to_string()
                })
            })
            .collect();
        makers.into_iter().map(|maker| maker.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_log_has_a_name_of_its_own() {
    let name = default_log_name(&[0xa1; 16], 0);
    assert_eq!(name, format!("flowledger/{}", "a1".repeat(16)));
    assert_eq!(name_fault(&name), None);
    assert_eq!(
        default_log_name(&[0x0b; 16], 1),
        format!("flowledger/{}/1", "0b".repeat(16))
    );
}
