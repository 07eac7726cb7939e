//! The rules of the house that no compiler checks: who may know whom, what the core may not touch, what is documented.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use flowledger::{DeployModel, Engine, Profile, ResultCode};
use serde_json::Value;

use crate::fixture::opened;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace is around this crate").to_owned()
}

/// Every file of the workspace with one of these endings, but for what is built; paths are relative to the root.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .to_owned();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = std::fs::read_to_string(&path).expect("a file can be read");
                let relative = path.strip_prefix(&root).expect("it is below the root");
                files.push((relative.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "there is no file that ends with {endings:?}");
    files
}

/// Sources with their comments and texts blanked out.
fn code_of(folder: &str) -> Vec<(String, String)> {
    let files = files(&[".rs"]).into_iter().filter(|(path, _)| path.starts_with(folder));
    let code: Vec<_> = files.map(|(path, text)| (path, code(&text))).collect();
    assert!(!code.is_empty(), "there is no source below {folder}");
    code
}

/// Blanks out comments, texts and characters; what is left is code.
fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let hashes = rest
            .strip_prefix('r')
            .map(|rest| rest.len() - rest.trim_start_matches('#').len());
        let raw = hashes.filter(|hashes| rest[1 + hashes..].starts_with('"') && !ends_a_name(&code));
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            rest[open..]
                .find(&close)
                .map_or(rest.len(), |end| open + end + close.len())
        } else if first == '"' {
            quoted(rest, '"')
        } else if first == '\'' && is_character(rest) {
            quoted(rest, '\'')
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push(' ');
        rest = &rest[skipped..];
    }
    code
}

fn ends_a_name(code: &str) -> bool {
    code.ends_with(|last: char| last.is_alphanumeric() || last == '_')
}

/// The length of a quoted text, its quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (index, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return index + quote.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// Whether a quote begins a character and not a lifetime.
fn is_character(rest: &str) -> bool {
    let mut after = rest.chars().skip(1);
    match after.next() {
        Some('\\') => true,
        Some(_) => after.next() == Some('\''),
        None => false,
    }
}

/// Whether code has a word, not as a part of another one.
fn has_word(code: &str, word: &str) -> bool {
    let is_part =
        |character: Option<char>| character.is_some_and(|character| character.is_alphanumeric() || character == '_');
    let starts_wordlike = is_part(word.chars().next());
    let ends_wordlike = is_part(word.chars().last());
    code.match_indices(word).any(|(index, _)| {
        let before = code[..index].chars().last();
        let after = code[index + word.len()..].chars().next();
        !(starts_wordlike && is_part(before) || ends_wordlike && is_part(after))
    })
}

/// Whether code names something of a foreign crate, and not of a module of that name.
fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path).any(|(index, _)| {
        let before = &code[..index];
        let is_module = ["self::", "crate::", "super::"]
            .iter()
            .any(|module| before.ends_with(module));
        !is_module && !ends_a_name(before)
    }) || has_word(code, &format!("use {name};"))
}

#[test]
fn blanking_leaves_nothing_but_code() {
    let source = "let a = \"HashMap \\\" //\"; // HashMap\nlet b = r#\"Hash\"Map\"#; /* HashMap */ let c: &'static str = f('\"', '\\'');";
    let left = code(source);
    assert!(!left.contains("Hash") && !left.contains("Map"), "{left}");
    assert!(left.contains("let b") && left.contains("&'static str = f("), "{left}");
    assert!(has_word("a.await;", ".await") && has_word("use rand::x", "rand") && !has_word("operand", "rand"));
    assert!(names_crate("let x = ::sled::open()", "sled") && names_crate("sled::Db", "sled"));
    assert!(!names_crate("pub use self::sled::SledStore", "sled") && !names_crate("mod sled;", "sled"));
}

struct Package {
    name: String,
    /// Name, kind (empty: normal), features.
    dependencies: Vec<(String, String, Vec<String>)>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let packages = packages.iter().map(|package| Package {
        name: text(&package["name"]),
        dependencies: list(&package["dependencies"])
            .iter()
            .map(|dependency| {
                let features = list(&dependency["features"]).iter().map(text).collect();
                (text(&dependency["name"]), text(&dependency["kind"]), features)
            })
            .collect(),
    });
    packages.collect()
}

#[test]
fn dependencies_point_one_way() {
    let allowed: &[(&str, &[&str])] = &[
        ("flowledger-engine-core", &[]),
        ("flowledger-event-store", &[]),
        (
            "flowledger-projections",
            &["flowledger-engine-core", "flowledger-event-store"],
        ),
        (
            "flowledger",
            &[
                "flowledger-engine-core",
                "flowledger-event-store",
                "flowledger-projections",
            ],
        ),
    ];
    let packages = packages();
    for (name, allowed) in allowed {
        let package = packages
            .iter()
            .find(|package| package.name == *name)
            .expect("the package is a member");
        for (dependency, kind, _) in &package.dependencies {
            let is_ours = dependency.starts_with("flowledger");
            assert!(
                !is_ours || allowed.contains(&dependency.as_str()),
                "{name} knows {dependency} ({kind})"
            );
        }
    }
    let leaves = ["flowledger-tests", "flowledger-benches"];
    for package in &packages {
        for (dependency, _, _) in &package.dependencies {
            assert!(
                !leaves.contains(&dependency.as_str()),
                "{} knows {dependency}",
                package.name
            );
        }
    }
}

#[test]
fn library_crates_take_of_tokio_only_what_needs_no_runtime() {
    let mut seen = 0;
    for package in packages() {
        if ["flowledger-tests", "flowledger-benches"].contains(&package.name.as_str()) {
            continue;
        }
        for (name, kind, features) in &package.dependencies {
            if name == "tokio" && kind.is_empty() {
                seen += 1;
                assert_eq!(features, &["sync"], "{}", package.name);
            }
        }
    }
    assert!(seen > 0, "nobody uses tokio any more; this test checks nothing");
}

#[test]
fn core_touches_no_clock_no_thread_no_chance_and_waits_for_nothing() {
    let forbidden = [
        "async fn",
        "async move",
        ".await",
        "SystemTime",
        "Instant",
        "HashMap<",
        "HashMap::",
        "HashSet<",
        "HashSet::",
        "std::thread",
        "thread::spawn",
        "rand",
        "getrandom",
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "tokio",
        "now_v7",
        "new_v4",
        "println!",
        "eprintln!",
    ];
    let code = code_of("engine-core/src/").into_iter();
    for (path, code) in code.filter(|(path, _)| !path.ends_with("/tests.rs")) {
        for word in forbidden {
            assert!(!has_word(&code, word), "{path} has {word}");
        }
    }
}

fn files_that_name(crate_name: &str) -> Vec<String> {
    let code = code_of("").into_iter().filter(|(path, _)| {
        !path.starts_with("benches/") && !path.starts_with("tests/") && !path.ends_with("/tests.rs")
    });
    code.filter(|(_, code)| names_crate(code, crate_name))
        .map(|(path, _)| path)
        .collect()
}

#[test]
fn evaluator_and_database_are_named_in_one_place() {
    assert_eq!(files_that_name("rhai"), ["engine-core/src/expression/evaluate.rs"]);
    let files = files_that_name("sled");
    assert!(
        !files.is_empty(),
        "nobody names sled any more; this test checks nothing"
    );
    for path in files {
        assert!(path.starts_with("event-store/src/sled"), "{path} names sled");
    }
}

#[test]
fn events_change_state_in_one_place() {
    let files_with = |word: &str| -> Vec<String> {
        // Conditions know no events.
        let code = code_of("engine-core/src/").into_iter();
        code.filter(|(path, code)| !path.starts_with("engine-core/src/expression/") && has_word(code, word))
            .map(|(path, _)| path)
            .collect()
    };
    // Whoever folds goes through the recorder or `apply_record`, and these through `apply`.
    assert_eq!(files_with(".apply("), ["engine-core/src/decider.rs"]);
    assert_eq!(files_with(".apply_event("), ["engine-core/src/instance/decide.rs"]);
    assert_eq!(
        files_with("fn apply_event"),
        ["engine-core/src/instance/state/apply.rs"]
    );
    let definitions: BTreeSet<String> = files_with("fn apply").into_iter().collect();
    let known = [
        "engine-core/src/decider.rs",
        "engine-core/src/instance/decide.rs",
        "engine-core/src/module.rs",
    ];
    assert_eq!(definitions, known.map(str::to_owned).into());
    // What a flow instance is made of is written nowhere else.
    for word in [".status = ", ".leave = ", ".entry = ", ".nodes.push", "set_status("] {
        for path in files_with(word) {
            let is_there =
                ["engine-core/src/instance/state/apply.rs", "engine-core/src/module.rs"].contains(&path.as_str());
            assert!(is_there, "{path} changes state with {word}");
        }
    }
}

#[test]
fn every_source_begins_with_what_it_is_about() {
    for (path, text) in files(&[".rs"]) {
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 10,
            "{path} begins with {first:?}"
        );
    }
}

#[test]
fn nothing_unfinished_is_left_in_the_sources() {
    for (path, code) in code_of("") {
        for word in ["todo!", "unimplemented!", "dbg!"] {
            assert!(!has_word(&code, word), "{path} has {word}");
        }
    }
}

#[test]
fn nothing_names_a_place_on_somebodys_machine() {
    // Written in two pieces, so that this file does not name one.
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
        concat!("C:", "\\Users"),
    ];
    for (path, text) in files(&[".rs", ".toml", ".md", ".json", ".yml", ".yaml", ".sh", ".tsv"]) {
        for place in places {
            assert!(!text.contains(place), "{path} names {place}");
        }
    }
}

#[test]
fn codes_have_the_texts_of_the_api_document_and_the_reference() {
    let table = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/codes.tsv"))
        .expect("the table of the API document is there");
    let mut numbers = BTreeSet::new();
    for row in table.lines() {
        let columns: Vec<&str> = row.split('\t').collect();
        let [number, text, text_zh] = columns[..] else {
            panic!("{row:?} has three columns")
        };
        let number: i32 = number.parse().expect("the first column is a number");
        let Some(code) = ResultCode::from_number(number) else {
            panic!("there is no code {number}")
        };
        assert_eq!((code.entry().text, code.entry().text_zh), (text, text_zh), "{number}");
        numbers.insert(number);
    }
    assert_eq!(
        numbers.len(),
        61,
        "the tables of the document and of the reference engine are complete"
    );
    for code in ResultCode::ALL {
        assert!(
            code.number() >= 7000 || numbers.contains(&code.number()),
            "{code} is not in the API document"
        );
    }
}

#[test]
fn every_code_says_what_led_to_it_and_what_to_do() {
    let mut slugs = BTreeSet::new();
    for code in ResultCode::ALL {
        let entry = code.entry();
        for text in [entry.text, entry.text_zh, entry.cause, entry.hint, entry.slug] {
            assert!(!text.trim().is_empty(), "{code}");
        }
        assert!(entry.cause.ends_with('.') && entry.hint.ends_with('.'), "{code}");
        assert!(slugs.insert(entry.slug), "{} stands for two codes", entry.slug);
        assert_eq!(ResultCode::from_number(entry.number), Some(*code));
    }
}

#[test]
fn models_of_the_examples_deploy_under_both_profiles() {
    let folder = root().join("examples/models");
    if !folder.is_dir() {
        eprintln!("SKIPPED: there are no example models yet");
        return;
    }
    for (path, text) in files(&[".json"])
        .into_iter()
        .filter(|(path, _)| path.starts_with("examples/models/"))
    {
        for profile in [Profile::Documented, Profile::Turbo131] {
            let builder = Engine::builder()
                .profile(profile)
                .hook_fn("example", |_| Ok(Vec::new()));
            if let Err(error) = opened(builder).deploy_model(DeployModel::new(&path, &text)) {
                panic!("{path}: {error}");
            }
        }
    }
}
