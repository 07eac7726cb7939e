//! Notes against published ones, and every way to write one wrong.

use proptest::prelude::*;

use super::*;
use crate::key::KeyKind;
use crate::key::tests::{NEUMANN, NEUMANN_PRIVATE, key};

const NEUMANN_TEXT: &str =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const NEUMANN_LINE: &str =
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
const ENOCH_LINE: &str =
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

fn parsed(note: &str) -> Note {
    let parsed = Note::parse(note.as_bytes()).unwrap();
    assert_eq!(parsed.to_string(), note);
    parsed
}

fn public(text: &str) -> PublicKey {
    text.parse().unwrap()
}

#[test]
fn published_notes_are_right() {
    // Of the specification, and of the examples of Go's sumdb/note.
    let note = parsed(
        "This is an example message.\n\n— example.com/foo \
         Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
    );
    let signer = public("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k");
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.signed_by(&signer), Ok(vec![Signed { seconds: None }]));
    let note = parsed(&format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}{ENOCH_LINE}"));
    for key in [NEUMANN, ENOCH] {
        assert_eq!(note.signed_by(&public(key)), Ok(vec![Signed { seconds: None }]));
    }
    assert_eq!(note.signed_by(&signer), Ok(Vec::new()));
}

#[test]
fn signing_gives_the_published_bytes() {
    let key: SigningKey = NEUMANN_PRIVATE.parse().unwrap();
    let note = Note::sign(NEUMANN_TEXT, &key, 0).unwrap();
    assert_eq!(note.to_string(), format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}"));
}

#[test]
fn an_empty_line_may_be_in_the_text() {
    // The example of the specification that has one; its key is not published.
    let note = parsed(
        "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n— \
         quasimodo.example/salvatore \
         NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n",
    );
    assert!(note.text().ends_with("\n\ned è subito sera.\n"));
    assert_eq!(note.signatures()[0].name(), "quasimodo.example/salvatore");
    assert_eq!(note.signatures()[0].key_id(), [0x36, 0x7b, 0xa0, 0x4b]);
}

#[test]
fn a_wrong_signature_of_a_known_key_is_no_missing_one() {
    let changed = NEUMANN_TEXT.replace("think", "thank");
    let note = parsed(&format!("{changed}\n{NEUMANN_LINE}"));
    assert!(matches!(
        note.signed_by(&public(NEUMANN)),
        Err(SignatureError::Wrong { .. })
    ));
    // Beside a right one it spoils the note, too.
    let mut line: NoteSignature = NEUMANN_LINE.trim_end().parse().unwrap();
    line.bytes[5] ^= 1;
    let note = parsed(&format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}{line}\n"));
    assert!(matches!(
        note.signed_by(&public(NEUMANN)),
        Err(SignatureError::Wrong { .. })
    ));
    // Of an unknown key it says nothing, though the name or the id is known.
    line.name = "PaulNeumann".into();
    let note = parsed(&format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}{line}\n"));
    assert_eq!(note.signed_by(&public(NEUMANN)).unwrap().len(), 1);
    line.name = "PeterNeumann".into();
    line.id[0] ^= 1;
    let note = parsed(&format!("{NEUMANN_TEXT}\n{NEUMANN_LINE}{line}\n"));
    assert_eq!(note.signed_by(&public(NEUMANN)).unwrap().len(), 1);
}

#[test]
fn signatures_of_one_kind_are_none_of_the_other() {
    let (log, witness) = (key("same", KeyKind::Note), key("same", KeyKind::Cosignature));
    assert_eq!(log.public().as_bytes(), witness.public().as_bytes());
    assert_ne!(log.public().id(), witness.public().id());
    let mut line = signature("text\n", &log, 0);
    line.id = witness.public().id();
    assert_eq!(line.check("text\n", witness.public()), None);
    let mut line = signature("text\n", &witness, 7);
    assert_eq!(
        line.check("text\n", witness.public()),
        Some(Signed { seconds: Some(7) })
    );
    line.id = log.public().id();
    assert_eq!(line.check("text\n", log.public()), None);
}

#[test]
fn times_beyond_the_largest_are_refused() {
    let witness = key("witness", KeyKind::Cosignature);
    let largest = signature("text\n", &witness, u64::MAX);
    let seconds = largest.check("text\n", witness.public()).unwrap().seconds;
    assert_eq!(seconds, Some(i64::MAX.unsigned_abs()));
    let mut later = largest.clone();
    later.bytes[0] |= 0x80;
    assert_eq!(later.check("text\n", witness.public()), None);
}

#[test]
fn a_malformed_note_is_refused_with_line_and_reason() {
    let many = format!("{NEUMANN_TEXT}\n{}", NEUMANN_LINE.repeat(SIGNATURES_MAX + 1));
    let large = format!("{}\n{NEUMANN_LINE}", "x\n".repeat(NOTE_MAX));
    let t = NEUMANN_TEXT;
    let l = NEUMANN_LINE;
    let cases = [
        (String::new(), 1, "no empty line"),
        ("\n".into(), 1, "no empty line"),
        (t.into(), 1, "no empty line"),
        (format!("{t}{l}"), 1, "no empty line"),
        (format!("\n{l}"), 1, "no empty line"),
        (format!("{t}\n"), 4, "no signature"),
        (format!("{t}\n{}", l.trim_end()), 4, "no end"),
        (format!("{t}\n{l}\n"), 6, "no signature"),
        (format!("{t}\n{l}x"), 5, "no end"),
        (format!("{t}\n{l}text\n"), 5, "em dash"),
        (format!("{t}\n- {}", &l[4..]), 4, "em dash"),
        (format!("{t}\n—{}", &l[4..]), 4, "em dash"),
        (format!("{t}\n—  {}", &l[4..]), 4, "empty"),
        (format!("{t}\n— PeterNeumann\n"), 4, "a name and a signature"),
        (format!("{t}\n— PeterNeumann \n"), 4, "four bytes"),
        (format!("{t}\n— PeterNeumann x08gow==\n"), 4, "four bytes"),
        (format!("{t}\n— Peter+Neumann x08go/ZJkuBS\n"), 4, "plus"),
        (format!("{t}\n— Peter Neumann x08go/ZJkuBS\n"), 4, "base64"),
        (format!("{t}\n— Peter\u{2003}Neumann x08go/ZJkuBS\n"), 4, "space"),
        (format!("{t}\n{}\n", l.trim_end().trim_end_matches('=')), 4, "base64"),
        (format!("{t}\n{} \n", l.trim_end()), 4, "base64"),
        (format!("{t}\r\n{l}"), 3, "0x0d"),
        (format!("a\tb\n\n{l}"), 1, "0x09"),
        (format!("a\n{}b\n\n{l}", '\0'), 2, "0x00"),
        (many, 104, "more than 100 signatures"),
        (large, 1, "are not read"),
    ];
    for (note, line, reason) in cases {
        let error = Note::parse(note.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        assert_eq!(error.line(), line, "{error}");
    }
    let not_utf8 = Note::parse(b"a\nb\xff\n\n").unwrap_err();
    assert!(not_utf8.to_string().contains("UTF-8") && not_utf8.line() == 2);
    for wrong in ["", "no end", "a\rb\n"] {
        assert!(Note::sign(wrong, &key("k", KeyKind::Note), 0).is_err());
    }
}

#[test]
fn as_many_signatures_as_allowed_are_read() {
    let note = parsed(&format!("{NEUMANN_TEXT}\n{}", NEUMANN_LINE.repeat(SIGNATURES_MAX)));
    assert_eq!(note.signed_by(&public(NEUMANN)).unwrap().len(), SIGNATURES_MAX);
    let mut full = note.clone();
    assert_eq!(full.add(note.signatures()[0].clone()), Err(SignatureError::TooMany));
}

proptest! {
    #[test]
    fn what_is_read_is_shown_as_it_was(note in "[a-z\n]{0,40}\n\n(— [a-z]{1,5} [A-Za-z+/]{8}\n){0,4}") {
        if let Ok(parsed) = Note::parse(note.as_bytes()) {
            prop_assert_eq!(parsed.to_string(), note);
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Note::parse(&bytes);
    }
}
