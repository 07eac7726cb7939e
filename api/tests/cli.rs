//! The program as people and scripts use it: the real binary, in directories of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions that tests share fail as tests do"
)]

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use flowledger::store::{
    Append, EventStore, GrowthProof, KeyKind, Offset, Revision, SignedCheckpoint, SigningKey, SledOptions, SledStore,
    StreamId,
};
use flowledger::{Engine, Profile, validate_model};
use serde_json::Value;
use tempfile::TempDir;

/// A working directory in which commands are typed.
struct Shell {
    directory: TempDir,
}

/// What a command answered.
struct Answer {
    status: i32,
    out: String,
    err: String,
}

impl Shell {
    fn new() -> Self {
        Self {
            directory: TempDir::new().unwrap(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowledger"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("TMPDIR", self.directory.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        Answer {
            status: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Runs a command that must succeed, for its text.
    fn done(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments);
        assert_eq!((answer.status, &*answer.err), (0, ""), "{arguments:?}");
        answer.out
    }

    /// Runs a command with `--json` that ends with this status; standard output is one document, and all there is.
    fn json(&self, status: i32, arguments: &[&str]) -> Value {
        let answer = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(
            (answer.status, &*answer.err),
            (status, ""),
            "{arguments:?}: {}",
            answer.out
        );
        serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", answer.out))
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).unwrap();
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("flowledger-data")
    }

    /// Deploys a model of the examples.
    fn deployed(&self, model: &str) -> String {
        text(&self.json(0, &["flow", "deploy", &example(model)]), "/flowModuleId")
    }
}

fn example(model: &str) -> String {
    format!("{}/../examples/models/{model}.json", env!("CARGO_MANIFEST_DIR"))
}

fn text(json: &Value, pointer: &str) -> String {
    json.pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer} in {json}"))
        .to_owned()
}

fn code(json: &Value) -> i64 {
    json["errCode"].as_i64().unwrap()
}

#[test]
fn leave_is_granted_by_commands_as_a_user_types_them() {
    let shell = Shell::new();
    let deployed = shell.done(&["flow", "deploy", &example("leave"), "--operator", "zhao"]);
    let module = deployed
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .to_owned();
    assert!(
        deployed.contains("warnings    none") && deployed.contains(&format!("instance start {module}")),
        "{deployed}"
    );

    let started = shell.done(&["instance", "start", &module, "applicant=Lin Mei"]);
    let instance = started
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .to_owned();
    assert!(started.contains("waits at  request (Leave request)"), "{started}");
    assert!(started.contains("applicant=\"Lin Mei\""), "{started}");

    let instance = instance.as_str();
    assert!(
        shell
            .done(&["instance", "commit", instance, "days=5"])
            .contains("waits at  lead")
    );
    let agreed = shell.done(&["instance", "commit", instance, "lead", "leadAgrees=true"]);
    assert!(agreed.contains("waits at  director"), "{agreed}");
    let back = shell.done(&["instance", "rollback", instance, "--reason", "three days"]);
    assert!(
        back.contains("open again  lead") && !back.contains("leadAgrees"),
        "{back}"
    );
    let task = text(
        &shell.json(0, &["instance", "show", instance]),
        "/activeTaskInstances/0/nodeInstanceId",
    );
    let again = shell.done(&["instance", "commit", instance, &task, "days=3", "leadAgrees=true"]);
    assert!(again.contains("waits at  file"), "{again}");
    let ended = shell.done(&["instance", "commit", instance]);
    assert!(
        ended.contains("completed, version 6") && ended.contains("ended at  granted"),
        "{ended}"
    );
    assert!(
        shell
            .done(&["instance", "commit", instance])
            .contains("had ended before")
    );

    let shown = shell.done(&["instance", "show", instance]);
    assert!(
        shown.contains("completed") && shown.contains("flow        leave"),
        "{shown}"
    );
    let history = shell.done(&["instance", "history", instance]);
    assert!(
        history.contains("rolled back") && history.contains("-> short_leave"),
        "{history}"
    );
    let tasks = shell.done(&["instance", "history", instance, "--tasks"]);
    assert_eq!(
        tasks
            .lines()
            .skip(1)
            .filter_map(|line| line.split(' ').next())
            .collect::<Vec<_>>(),
        ["file", "lead", "request"]
    );
    let data = shell.done(&["instance", "data", instance]);
    assert!(data.contains("days        3") && data.contains("integer"), "{data}");
    assert!(
        shell
            .done(&["instance", "list", "--status", "completed"])
            .contains(instance)
    );
    assert!(shell.done(&["flow", "list"]).contains(&module));
    assert_eq!(
        shell.done(&["flow", "show", &module, "--model"]),
        fs::read_to_string(example("leave")).unwrap()
    );
    let log = shell.done(&["log", "show", "--instance", instance]);
    assert!(
        log.contains("no longer counts: director, after_lead, lead") && log.contains("reason: three days"),
        "{log}"
    );
    assert!(shell.done(&["log", "verify"]).starts_with("9 records in 2 streams: ok"));
}

#[test]
fn json_has_the_shapes_of_the_library() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    assert_eq!(
        (code(&started), text(&started, "/activeTaskInstance/modelKey")),
        (1002, "request".to_owned())
    );
    let instance = text(&started, "/flowInstanceId");
    assert_eq!(code(&shell.json(0, &["instance", "commit", &instance, "days=5"])), 1002);
    assert_eq!(code(&shell.json(0, &["instance", "rollback", &instance])), 1003);
    let shown = shell.json(0, &["instance", "show", &instance]);
    assert_eq!(text(&shown, "/flowInstanceBO/flowInstanceId"), instance);
    assert_eq!(shown["variables"][0]["value"], "Lin");
    let history = shell.json(0, &["instance", "history", &instance]);
    assert_eq!(history["elementInstanceList"].as_array().unwrap().len(), 7);
    let tasks = shell.json(0, &["instance", "history", "--tasks", &instance]);
    assert_eq!(tasks["nodeInstanceList"].as_array().unwrap().len(), 1);
    assert_eq!(code(&shell.json(0, &["instance", "data", &instance])), 1000);
    assert_eq!(
        text(&shell.json(0, &["flow", "list"]), "/flowModules/0/flowModuleId"),
        module
    );
    assert_eq!(text(&shell.json(0, &["flow", "show", &module]), "/flowName"), "leave");
    assert_eq!(code(&shell.json(0, &["flow", "disable", &module])), 1000);
    assert_eq!(code(&shell.json(0, &["flow", "disable", &module])), 1001);
    let offline = shell.json(1, &["instance", "start", &module]);
    assert_eq!((code(&offline), offline["errCodeExt"].as_i64()), (4007, Some(7206)));
    assert_eq!(code(&shell.json(0, &["flow", "enable", &module])), 1000);
    assert_eq!(shell.json(0, &["instance", "terminate", &instance])["status"], 3);
    assert_eq!(
        shell.json(0, &["instance", "list", "--status", "terminated"])["flowInstances"][0]["status"],
        3
    );

    let log = shell.json(0, &["log", "show"]);
    let records = log["records"].as_array().unwrap();
    assert_eq!(records.len(), 9);
    assert!(
        records
            .iter()
            .zip(1..)
            .all(|(record, position)| record["position"] == position)
    );
    assert!(
        records
            .iter()
            .all(|record| record["leaf"].as_str().unwrap().len() == 64)
    );
    assert_eq!(
        records[4]["record"]["body"]["instance"]["command"]["commitTask"]["variables"][0]["value"],
        5
    );
    let page = shell.json(0, &["log", "show", "--after", "2", "--limit", "3"]);
    assert_eq!(
        (page["records"].as_array().unwrap().len(), page["next"].as_i64()),
        (3, Some(5))
    );
    let verified = shell.json(0, &["log", "verify"]);
    assert_eq!(
        (verified["records"].as_i64(), verified["streams"].as_i64()),
        (Some(9), Some(2))
    );
    assert!(shell.json(0, &["errors", "list"])["codes"].as_array().unwrap().len() > 40);
    assert_eq!(
        shell.json(0, &["errors", "explain", "no-outgoing-matches"])["number"],
        4013
    );
}

#[test]
fn demo_runs_everywhere_and_again() {
    let shell = Shell::new();
    let told = shell.done(&["demo"]);
    for part in [
        "rollbackTask",
        "no longer counts: director",
        "9 records in 2 streams: ok",
        "log verify",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert_eq!(
        fs::read_dir(shell.directory.path()).unwrap().count(),
        0,
        "the demo leaves nothing behind"
    );

    assert!(!shell.done(&["demo", "--data", "kept"]).contains("ran here before"));
    let again = shell.done(&["demo", "--data", "kept"]);
    assert!(
        again.contains("ran here before") && again.contains("9 records in 2 streams: ok"),
        "{again}"
    );
    assert!(
        shell
            .done(&["instance", "list", "--data", "kept"])
            .contains("completed")
    );
    let summary = shell.json(0, &["demo", "--data", "kept", "--profile", "turbo131"]);
    assert_eq!(
        (summary["isVerified"].as_bool(), summary["records"].as_i64()),
        (Some(true), Some(9))
    );
}

#[test]
fn all_faults_of_a_model_are_listed_and_nothing_is_stored() {
    let shell = Shell::new();
    shell.write(
        "broken.json",
        r#"{"flowElementList":[
            {"key":"s","type":2,"outgoing":["a"]},
            {"key":"a","type":1,"incoming":["s"],"outgoing":["g"]},
            {"key":"g","type":6,"incoming":["a"],"outgoing":["b","c"],"properties":{"name":"Which way?"}},
            {"key":"b","type":1,"incoming":["g"],"outgoing":["t"],"properties":{"conditionsequenceflow":"x +"}},
            {"key":"c","type":1,"incoming":["g"],"outgoing":["t"]},
            {"key":"t","type":4,"incoming":["b","c"]},
            {"key":"z","type":77}]}"#,
    );
    let faults = |json: &Value| -> Vec<(i64, String)> {
        let faults = json["faults"].as_array().unwrap().iter();
        faults
            .map(|fault| (code(fault), fault["elementKey"].as_str().unwrap_or("").to_owned()))
            .collect()
    };
    let expected =
        [(3209, "g"), (3215, "t"), (3211, "z"), (3204, ""), (3205, "z")].map(|(code, key)| (code, key.to_owned()));
    let found = shell.json(1, &["flow", "validate", "broken.json"]);
    assert_eq!((code(&found), faults(&found)), (3209, expected.to_vec()));
    assert_eq!(found["warnings"][0]["elementKey"], "b");
    let told = shell.run(&["flow", "validate", "broken.json"]);
    assert_eq!(told.status, 1);
    for line in [
        "5 faults, 1 warning",
        "3209  g (Which way?): no condition on c",
        "3204  the model has no end",
        "warning  b:",
    ] {
        assert!(told.out.contains(line), "{line} in {}", told.out);
    }
    assert_eq!(shell.run(&["flow", "deploy", "broken.json"]).status, 1);
    assert!(!shell.data().exists());

    let module = text(&shell.json(0, &["flow", "create", "--name", "draft"]), "/flowModuleId");
    assert_eq!(code(&shell.json(0, &["flow", "update", &module, "broken.json"])), 1000);
    assert_eq!(
        faults(&shell.json(1, &["flow", "deploy", "--module", &module])),
        expected
    );
    let told = shell.run(&["flow", "deploy", "--module", &module]);
    assert!(
        told.err.contains("3205  z:") && told.err.contains("what to do:"),
        "{}",
        told.err
    );
    assert_eq!(
        code(&shell.json(0, &["flow", "deploy", "--module", &module, &example("leave")])),
        1000
    );

    shell.write("cut.json", r#"{"flowElementList":["#);
    assert_eq!(code(&shell.json(1, &["flow", "validate", "cut.json"])), 3201);
    assert_eq!(code(&shell.json(2, &["flow", "validate", "missing.json"])), 2001);
}

#[test]
fn examples_are_valid_in_both_profiles_without_warnings() {
    let shell = Shell::new();
    for model in ["leave", "expense", "order"] {
        let json = fs::read_to_string(example(model)).unwrap();
        for (name, profile) in [("documented", Profile::Documented), ("turbo131", Profile::Turbo131)] {
            let found = validate_model(&json, profile);
            assert!(found.is_valid() && found.warnings.is_empty(), "{model}: {found:?}");
            shell.done(&["flow", "validate", &example(model), "--profile", name]);
        }
    }
    assert!(!shell.data().exists());
}

#[test]
fn proof_tells_what_is_wrong_with_commands_that_show_it() {
    let shell = Shell::new();
    let model = |name: &str| format!("{}/../examples/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let faulty = model("faulty/gap-in-numbers");
    let told = shell.run(&["flow", "prove", &faulty]);
    assert_eq!(told.status, 1);
    for line in [
        "not sound, 1 finding",
        "condition-gap  gate",
        "flowledger instance commit INSTANCE enter amount=1000",
        "-> 4013",
        "taken for granted:",
    ] {
        assert!(told.out.contains(line), "{line} in {}", told.out);
    }
    let report = shell.json(1, &["flow", "prove", &faulty]);
    assert_eq!(report["verdict"], "faulty");
    assert_eq!(report["findings"][0]["kind"], "condition-gap");
    assert_eq!(report["findings"][0]["witness"][0]["value"], 1000);
    assert_eq!(report["findings"][0]["script"]["steps"][1]["task"], "enter");

    let sound = model("sound/parallel");
    assert!(shell.done(&["flow", "prove", &sound]).contains("sound"));
    assert_eq!(
        shell.json(0, &["flow", "prove", &sound])["searched"]["isComplete"],
        true
    );
    let told = shell.run(&["flow", "prove", &sound, "--states", "1"]);
    assert_eq!(told.status, 1);
    assert!(told.out.contains("the bound is 1 state"), "{}", told.out);
    assert_eq!(shell.run(&["flow", "prove", &sound, "--called", "x"]).status, 2);

    let told = shell.run(&["flow", "prove", &model("faulty/ring-of-gateways")]);
    assert!(told.out.contains("level=4 --profile turbo131"), "{}", told.out);
    assert!(!shell.data().exists());

    let refused = shell.json(1, &["flow", "deploy", "--require-proof", &faulty]);
    assert_eq!(
        (code(&refused), &refused["faults"][0]["elementKey"]),
        (7418, &"gate".into())
    );
    assert_eq!(
        code(&shell.json(0, &["flow", "deploy", "--require-proof", &sound])),
        1000
    );
}

#[test]
fn commit_that_breaks_an_invariant_is_refused_when_the_command_line_says_so() {
    let shell = Shell::new();
    let mut model: Value = serde_json::from_str(&fs::read_to_string(example("leave")).unwrap()).unwrap();
    model["invariants"] = serde_json::json!([{"name": "a month at most", "never": "days > 30"}]);
    shell.write("leave.json", &model.to_string());
    let module = text(&shell.json(0, &["flow", "deploy", "leave.json"]), "/flowModuleId");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    let commit = ["instance", "commit", &instance, "days=40"];
    let refused = shell.run(&[&commit[..], &["--enforce-invariants"]].concat());
    assert_eq!(refused.status, 1);
    for line in [
        "error 7414 Invariant violated",
        "invariant \"a month at most\": it is so that days > 30",
    ] {
        assert!(refused.err.contains(line), "{}", refused.err);
    }
    let refused = shell.json(1, &[&commit[..], &["--enforce-invariants"]].concat());
    assert_eq!(
        (code(&refused), &refused["invariant"]),
        (7414, &"a month at most".into())
    );
    assert_eq!(
        code(&shell.json(0, &commit)),
        1002,
        "without the word nothing is enforced"
    );
}

#[test]
fn lint_tells_warnings_and_where_variables_come_from() {
    let shell = Shell::new();
    let told = shell.run(&["flow", "lint", &example("leave")]);
    assert_eq!(told.status, 0, "{}", told.err);
    assert!(
        told.out.contains("days") && told.out.contains("no warnings"),
        "{}",
        told.out
    );
    shell.write(
        "doubtful.json",
        r#"{"flowElementList":[{"key":"a","type":2,"outgoing":["f"]},
            {"key":"f","type":1,"incoming":["a"],"outgoing":["e"],"properties":{"conditionsequenceflow":"x > 1"}},
            {"key":"e","type":3,"incoming":["f"]}]}"#,
    );
    let found = shell.json(1, &["flow", "lint", "doubtful.json"]);
    assert_eq!(found["warnings"][0]["slug"], "condition-ignored");
    assert_eq!(shell.run(&["flow", "validate", "doubtful.json"]).status, 0);
}

#[test]
fn examples_run_to_their_ends() {
    let shell = Shell::new();
    // Of each way: the variables of the start, those of each commit, and the end event.
    let ways: [(&str, &str, &[&[&str]], &str); 9] = [
        (
            "leave",
            "applicant=Lin",
            &[&["days=2"], &["leadAgrees=true"], &[]],
            "granted",
        ),
        (
            "leave",
            "applicant=Lin",
            &[&["days=9"], &["leadAgrees=true"], &["directorAgrees=true"], &[]],
            "granted",
        ),
        (
            "leave",
            "applicant=Lin",
            &[&["days=9"], &["leadAgrees=true"], &["directorAgrees=false"]],
            "refused",
        ),
        (
            "expense",
            "by=Wei",
            &[&["amount=80.50"], &["receipts=missing"], &[], &["receipts=ok"], &[]],
            "paid",
        ),
        (
            "expense",
            "by=Wei",
            &[
                &["amount=1000"],
                &["receipts=ok"],
                &["decision=rework"],
                &["amount=999.99"],
                &["receipts=ok"],
                &[],
            ],
            "paid",
        ),
        (
            "expense",
            "by=Wei",
            &[&["amount=5000"], &["receipts=ok"], &["decision=reject"]],
            "declined",
        ),
        (
            "order",
            "total=99.90",
            &[
                &[
                    "cancelled=false",
                    "quantity=3",
                    "stock=5",
                    "--hook-answer",
                    "creditLimit=100",
                ],
                &[],
            ],
            "delivered",
        ),
        (
            "order",
            "total=99.90",
            &[
                &[
                    "cancelled=false",
                    "quantity=3",
                    "stock=5",
                    "--hook-answer",
                    "creditLimit=9",
                ],
                &["paid=99.89"],
            ],
            "cancelled",
        ),
        (
            "order",
            "total=99.90",
            &[&["cancelled=false", "quantity=3", "stock=2"]],
            "back_ordered",
        ),
    ];
    for (model, start, commits, end) in ways {
        let module = shell.deployed(model);
        let mut last = shell.json(0, &["instance", "start", &module, start]);
        let instance = text(&last, "/flowInstanceId");
        for commit in commits {
            last = shell.json(0, &[&["instance", "commit", &instance], *commit].concat());
        }
        assert_eq!(
            (code(&last), text(&last, "/activeTaskInstance/modelKey")),
            (1000, end.to_owned()),
            "{model} {commits:?}"
        );
    }
    assert!(shell.done(&["log", "verify"]).contains("ok"));
}

#[test]
fn variables_keep_their_digits_and_kinds() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    shell.write(
        "more.json",
        r#"{"rate": 0.10, "big": 123456789012345678901234567890, "note": "from file", "n": 1}"#,
    );
    let arguments = [
        "instance",
        "start",
        &module,
        "n=2",
        "plain=two words",
        "quoted=\"12\"",
        "--variables",
        "@more.json",
    ];
    let started = shell.run(&[&arguments[..], &["--json"]].concat());
    for part in [
        r#"{"key":"rate","value":0.10}"#,
        r#"{"key":"big","value":123456789012345678901234567890}"#,
        r#"{"key":"n","value":2}"#,
        r#"{"key":"plain","value":"two words"}"#,
        r#"{"key":"quoted","value":"12"}"#,
    ] {
        assert!(started.out.contains(part), "{part} in {}", started.out);
    }
    let instance = text(&serde_json::from_str(&started.out).unwrap(), "/flowInstanceId");
    let data = shell.done(&["instance", "data", &instance]);
    assert!(
        data.contains("0.10") && data.contains("\"12\"") && data.contains("123456789012345678901234567890"),
        "{data}"
    );
    let api_form = r#"[{"key":"days","type":"integer","value":4}]"#;
    let committed = shell.json(0, &["instance", "commit", &instance, "--variables", api_form]);
    assert!(
        committed["variables"]
            .as_array()
            .unwrap()
            .iter()
            .any(|variable| variable["type"] == "integer")
    );
}

#[test]
fn wrong_arguments_answer_2() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    for (expected, arguments) in [
        (7000, &["instance", "start", &module, "--variables", "{\"a\":"][..]),
        (7000, &["instance", "start", &module, "--variables", "7"]),
        (2001, &["instance", "start", &module, "--variables", "@nowhere.json"]),
        (2001, &["instance", "commit", "i", "task", "b"]),
        (2001, &["flow", "deploy", "nowhere.json"]),
    ] {
        assert_eq!(code(&shell.json(2, arguments)), expected, "{arguments:?}");
        let told = shell.run(arguments);
        assert_eq!((told.status, &*told.out), (2, ""), "{arguments:?}");
        assert!(told.err.starts_with(&format!("error {expected} ")), "{}", told.err);
    }
    for arguments in [
        &[][..],
        &["flow"],
        &["flow", "deploy"],
        &["instance", "lst"],
        &["instance", "start", &module, "days"],
        &["instance", "list", "--status", "gone"],
        &["instance", "list", "--as-of", "yesterday"],
        &["log", "show", "--limit", "-1"],
        &["errors", "list", "--class", "none"],
        &["demo", "--profile", "other"],
    ] {
        let told = shell.run(arguments);
        assert_eq!(
            (told.status, told.out.is_empty(), told.err.is_empty()),
            (2, true, false),
            "{arguments:?}"
        );
        let told = shell.run(&[arguments, &["--json"]].concat());
        let json: Value = serde_json::from_str(&told.out).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert_eq!((told.status, code(&json)), (2, 2001), "{arguments:?}");
    }
    assert!(shell.run(&["--help"]).out.contains("flowledger demo"));
    assert_eq!(shell.run(&["--version"]).status, 0);
}

#[test]
fn unknown_ids_are_refused_with_what_to_do() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let instance = text(&shell.json(0, &["instance", "start", &module]), "/flowInstanceId");
    for profile in ["documented", "turbo131"] {
        for (expected, arguments) in [
            (4008, &["instance", "show", "nope"][..]),
            (4008, &["instance", "data", "nope"]),
            (4008, &["instance", "commit", "nope", "a=1"]),
            (4008, &["instance", "rollback", "nope"]),
            (4008, &["instance", "terminate", "nope"]),
            (4008, &["log", "show", "--instance", "nope"]),
            (4007, &["instance", "start", "nope"]),
            (4010, &["instance", "commit", &instance, "nope", "a=1"]),
            (4010, &["instance", "rollback", &instance, "nope"]),
            (
                if profile == "documented" { 3101 } else { 2001 },
                &["flow", "show", "nope"],
            ),
            (3002, &["flow", "deploy", "--module", "nope", &example("leave")]),
            (3101, &["flow", "deploy", "--module", "nope"]),
            (3101, &["flow", "disable", "nope"]),
            (2001, &["errors", "explain", "nope"]),
        ] {
            let arguments = [arguments, &["--profile", profile]].concat();
            assert_eq!(code(&shell.json(1, &arguments)), expected, "{arguments:?}");
            let told = shell.run(&arguments);
            assert_eq!((told.status, &*told.out), (1, ""), "{arguments:?}");
            assert!(told.err.starts_with(&format!("error {expected} ")), "{}", told.err);
            assert!(
                told.err.contains("what to do: ") || told.err.contains("`errors list`"),
                "{}",
                told.err
            );
        }
    }
    let told = shell.run(&["instance", "commit", &instance, "nope"]);
    assert!(told.err.contains("waiting: request (Leave request)"), "{}", told.err);
}

#[test]
fn repeated_command_is_answered_from_the_record() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let start = ["instance", "start", &module, "applicant=Lin", "--command-id", "start-1"];
    let instance = text(&shell.json(0, &start), "/flowInstanceId");
    assert_eq!(text(&shell.json(0, &start), "/flowInstanceId"), instance);
    // Without a task the repeat means the task of the first time, though another one waits by now.
    let commit = ["instance", "commit", &instance, "days=2", "--command-id", "commit-1"];
    assert_eq!(shell.json(0, &commit), shell.json(0, &commit));
    let rollback = ["instance", "rollback", &instance, "--command-id", "rollback-1"];
    assert_eq!(shell.json(0, &rollback), shell.json(0, &rollback));
    let other = ["instance", "commit", &instance, "days=3", "--command-id", "commit-1"];
    assert_eq!(code(&shell.json(1, &other)), 7301);
    let late = ["instance", "commit", &instance, "days=3", "--expected-version", "1"];
    assert_eq!(code(&shell.json(1, &late)), 7303);
    assert_eq!(shell.json(0, &["log", "verify"])["records"], 6);
}

#[test]
fn failed_commit_names_the_task_and_can_be_repeated() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let instance = text(&shell.json(0, &["instance", "start", &module]), "/flowInstanceId");
    shell.done(&["instance", "commit", &instance, "days=2"]);
    let told = shell.run(&["instance", "commit", &instance]);
    assert_eq!(told.status, 1);
    for part in [
        "error 4015 ",
        "`leadAgrees`",
        "task: lead (Team lead)",
        "waiting",
        "what to do: Commit again with the variable.",
    ] {
        assert!(told.err.contains(part), "{part} in {}", told.err);
    }
    assert_eq!(
        code(&shell.json(1, &["instance", "commit", &instance, "--profile", "turbo131"])),
        4018
    );
    assert!(
        shell
            .done(&["instance", "commit", &instance, "leadAgrees=true"])
            .contains("waits at  file")
    );
    let order = shell.deployed("order");
    let instance = text(
        &shell.json(0, &["instance", "start", &order, "total=1"]),
        "/flowInstanceId",
    );
    let told = shell.run(&[
        "instance",
        "commit",
        &instance,
        "cancelled=false",
        "stock=1",
        "quantity=1",
    ]);
    assert!(
        told.err.starts_with("error 4012 ") && told.err.contains("--hook-answer"),
        "{}",
        told.err
    );
}

#[test]
fn call_activity_is_committed_walked_back_into_and_ended() {
    let shell = Shell::new();
    let line = |task: &str, properties: &str| {
        format!(
            r#"{{"flowElementList":[{{"key":"s","type":2,"outgoing":["f1"]}},
            {{"key":"f1","type":1,"incoming":["s"],"outgoing":["{task}"]}},
            {{"key":"{task}",{properties},"incoming":["f1"],"outgoing":["f2"]}},
            {{"key":"f2","type":1,"incoming":["{task}"],"outgoing":["done"]}},
            {{"key":"done","type":4,"incoming":["f2"],"outgoing":["f3"]}},
            {{"key":"f3","type":1,"incoming":["done"],"outgoing":["e"]}},{{"key":"e","type":3,"incoming":["f3"]}}]}}"#
        )
    };
    let call = r#""type":8,"properties":{"callActivityExecuteType":"sync","callActivityInstanceType":"single"}"#;
    shell.write("main.json", &line("call", call));
    shell.write("sub.json", &line("check", r#""type":4"#));
    let sub = text(&shell.json(0, &["flow", "deploy", "sub.json"]), "/flowModuleId");
    let main = text(&shell.json(0, &["flow", "deploy", "main.json"]), "/flowModuleId");
    let started = shell.json(0, &["instance", "start", &main, "who=Lin"]);
    let id = text(&started, "/flowInstanceId");
    assert_eq!(code(&shell.json(1, &["instance", "commit", &id])), 4019);
    let inside = shell.done(&["instance", "commit", &id, "--module", &sub]);
    assert!(
        inside.contains("inside    call") && inside.contains("waits at  check"),
        "{inside}"
    );
    shell.done(&["instance", "commit", &id, "ok=true"]);
    // Without a name the innermost task is meant, also where two call activities show one sub flow.
    assert!(shell.done(&["instance", "commit", &id]).contains("waits at  done"));
    let back = shell.done(&["instance", "rollback", &id]);
    assert!(back.contains("inside") && back.contains("open again"), "{back}");
    assert!(shell.done(&["instance", "show", &id]).contains("waits at    done"));
    shell.done(&["instance", "commit", &id]);
    assert!(shell.done(&["instance", "commit", &id]).contains("ended at"));
    let history = shell.done(&["instance", "history", &id]);
    assert!(history.contains("\n  check "), "{history}");
}

#[test]
fn forked_instance_names_the_task_to_commit_next_and_the_join_that_waits() {
    let shell = Shell::new();
    let module = shell.deployed("onboarding");
    let started = shell.json(0, &["instance", "start", &module, "role=admin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.done(&["instance", "commit", &instance, "sign"]);

    // One branch moved, and the others wait as well: without its name the task would not be found.
    let moved = shell.done(&["instance", "commit", &instance, "account", "user=li"]);
    assert!(
        moved.contains(&format!("instance commit {instance} rights KEY=VALUE …")),
        "{moved}"
    );
    let nameless = shell.run(&["instance", "commit", &instance]);
    assert_eq!(nameless.status, 2);
    assert!(
        nameless.err.contains("name the task; waiting: desk (Find a desk) "),
        "{}",
        nameless.err
    );

    shell.done(&["instance", "commit", &instance, "training"]);
    let shown = shell.done(&["instance", "show", &instance]);
    assert!(shown.contains("\njoin waits  prepared (Prepared)\n"), "{shown}");

    // What holds for the whole instance is said once, not of each task.
    shell.done(&["instance", "suspend", &instance, "--reason", "works council"]);
    let targets = shell.done(&["instance", "targets", &instance]);
    assert!(
        targets.starts_with("not to   any task: rights (Grant admin rights), "),
        "{targets}"
    );
    assert_eq!(
        targets.matches("because  7406 Instance is suspended").count(),
        1,
        "{targets}"
    );

    shell.done(&["instance", "terminate", &instance]);
    let shown = shell.done(&["instance", "show", &instance]);
    assert!(shown.contains("\nended at    desk (Find a desk)\n"), "{shown}");
    assert!(!shown.contains("waits"), "{shown}");
}

/// A call activity beside a task, and the flow it calls: both have a task `check`.
const TWO_CHECKS: &str = r#"{"flowElementList":[
  {"key":"start","type":2,"outgoing":["f1"]},
  {"key":"f1","type":1,"incoming":["start"],"outgoing":["fork"]},
  {"key":"fork","type":9,"incoming":["f1"],"outgoing":["f2","f3"],"properties":{"forkJoinMatch":{"fork":"fork","join":"join"}}},
  {"key":"f2","type":1,"incoming":["fork"],"outgoing":["call"]},
  {"key":"f3","type":1,"incoming":["fork"],"outgoing":["check"]},
  {"key":"call","type":8,"incoming":["f2"],"outgoing":["f4"],"properties":{"callActivityExecuteType":"sync","callActivityInstanceType":"single"}},
  {"key":"check","type":4,"incoming":["f3"],"outgoing":["f5"]},
  {"key":"f4","type":1,"incoming":["call"],"outgoing":["join"]},
  {"key":"f5","type":1,"incoming":["check"],"outgoing":["join"]},
  {"key":"join","type":9,"incoming":["f4","f5"],"outgoing":["f6"],"properties":{"forkJoinMatch":{"fork":"fork","join":"join"}}},
  {"key":"f6","type":1,"incoming":["join"],"outgoing":["end"]},
  {"key":"end","type":3,"incoming":["f6"]}]}"#;
const ONE_CHECK: &str = r#"{"flowElementList":[
  {"key":"start","type":2,"outgoing":["f1"]},
  {"key":"f1","type":1,"incoming":["start"],"outgoing":["check"]},
  {"key":"check","type":4,"incoming":["f1"],"outgoing":["f2"]},
  {"key":"f2","type":1,"incoming":["check"],"outgoing":["end"]},
  {"key":"end","type":3,"incoming":["f2"]}]}"#;

#[test]
fn key_that_several_waiting_tasks_have_names_none_of_them() {
    let shell = Shell::new();
    shell.write("two.json", TWO_CHECKS);
    shell.write("one.json", ONE_CHECK);
    let two = text(&shell.json(0, &["flow", "deploy", "two.json"]), "/flowModuleId");
    let one = text(&shell.json(0, &["flow", "deploy", "one.json"]), "/flowModuleId");
    let instance = text(&shell.json(0, &["instance", "start", &two]), "/flowInstanceId");

    let uncalled = shell.run(&["instance", "commit", &instance, "call"]);
    assert!(
        uncalled.err.contains("what to do: Name the flow module with --module."),
        "{}",
        uncalled.err
    );
    let called = shell.json(0, &["instance", "commit", &instance, "call", "--module", &one]);
    let inside = "/activeTaskInstance/subNodeResultList/0";
    let inner = text(&called, &format!("{inside}/activeTaskInstance/nodeInstanceId"));
    let sub = text(&called, &format!("{inside}/flowInstanceId"));
    let shown = shell.done(&["instance", "show", &sub]);
    assert!(shown.contains(&format!("\ncalled by   {instance}\n")), "{shown}");

    for command in ["commit", "rollback"] {
        let either = shell.run(&["instance", command, &instance, "check"]);
        assert_eq!(either.status, 2, "{}", either.err);
        assert!(
            either
                .err
                .contains("several tasks have the key check; name one by its id: "),
            "{}",
            either.err
        );
        assert!(either.err.contains(&inner), "{}", either.err);
    }
    shell.done(&["instance", "commit", &instance, &inner]);
    // Only one waits by now.
    shell.done(&["instance", "commit", &instance, "check"]);
    let shown = shell.json(0, &["instance", "show", &instance]);
    assert_eq!(shown["flowInstanceBO"]["status"], 1);
}

#[test]
fn directory_in_use_is_told() {
    let shell = Shell::new();
    shell.deployed("leave");
    let engine = Engine::builder().data_dir(shell.data()).open().unwrap();
    let told = shell.run(&["flow", "list"]);
    assert_eq!((told.status, &*told.out), (1, ""));
    assert!(
        told.err.starts_with("error 7008 ") && told.err.contains("in use by another process"),
        "{}",
        told.err
    );
    assert!(told.err.contains("Engine::health"), "{}", told.err);
    assert_eq!(code(&shell.json(1, &["flow", "list"])), 7008);
    assert_eq!(code(&shell.json(1, &["flow", "list", "--profile", "turbo131"])), 5000);
    drop(engine);
    shell.done(&["flow", "list"]);
}

#[test]
fn directory_that_cannot_be_used_is_told() {
    let shell = Shell::new();
    let told = shell.run(&["instance", "list"]);
    assert!(
        told.err.starts_with("error 7008 ") && told.err.contains("`flow deploy MODEL.json`"),
        "{}",
        told.err
    );
    assert!(!shell.data().exists(), "reading creates nothing");

    shell.write("file", "not a directory");
    for command in [&["flow", "deploy", &example("leave")][..], &["flow", "list"], &["demo"]] {
        let told = shell.run(&[command, &["--data", "file/below"]].concat());
        assert_eq!((told.status, &*told.out), (1, ""), "{command:?}");
        assert!(
            told.err.starts_with("error 7008 ") && told.err.contains("file/below"),
            "{}",
            told.err
        );
    }
    let told = shell.run(&["flow", "deploy", &example("leave"), "--data", "."]);
    assert!(
        told.status == 1 && told.err.contains("is not empty and holds no data of ours"),
        "{}",
        told.err
    );
}

/// Runs a command as somebody who may do nothing by being root; `None` where that cannot be arranged.
#[cfg(unix)]
fn as_somebody(shell: &Shell, arguments: &[&str]) -> Option<Answer> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    let mut command = shell.command(arguments);
    if fs::metadata(shell.directory.path()).unwrap().uid() == 0 {
        fs::set_permissions(shell.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65534);
    }
    match command.output() {
        Ok(Output { status, stdout, stderr }) => Some(Answer {
            status: status.code().unwrap(),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }),
        Err(error) => {
            // Not by println: the test runner would swallow it.
            let told =
                format!("\nSKIPPED directory_without_permission_is_told: it cannot be run as another user: {error}\n");
            std::io::Write::write_all(&mut std::io::stderr(), told.as_bytes()).unwrap();
            None
        }
    }
}

#[cfg(unix)]
#[test]
fn directory_without_permission_is_told() {
    use std::os::unix::fs::PermissionsExt;

    let shell = Shell::new();
    shell.deployed("leave");
    for (path, mode) in [
        (shell.data(), 0o555),
        (shell.data().join("db"), 0o444),
        (shell.data(), 0o000),
    ] {
        let before = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let told = as_somebody(&shell, &["log", "verify"]);
        fs::set_permissions(&path, before).unwrap();
        let Some(told) = told else { return };
        assert_eq!((told.status, &*told.out), (1, ""), "{mode:o}");
        assert!(
            told.err.starts_with("error 7008 ")
                && told.err.contains("no permission")
                && told.err.contains("flowledger-data"),
            "{mode:o}: {}",
            told.err
        );
    }
    shell.done(&["log", "verify"]);
}

#[test]
fn verify_finds_a_record_that_stands_where_it_does_not_belong() {
    let shell = Shell::new();
    shell.deployed("leave");
    let store = SledStore::open(shell.data(), SledOptions::default()).unwrap();
    pollster::block_on(async {
        let first = store.read_partition(0, Offset::NONE, 1).await.unwrap().remove(0);
        let copy = Append {
            stream: StreamId::from_bytes([7; 16]),
            expected: Revision::NONE,
            record: first.record,
        };
        store.append(vec![copy]).await.remove(0).unwrap();
        store.close().await.unwrap();
    });
    drop(store);
    let told = shell.run(&["log", "verify"]);
    assert_eq!((told.status, &*told.err), (1, ""));
    assert!(
        told.out.contains("fault at position 4: ") && told.out.contains("what to do: "),
        "{}",
        told.out
    );
    let report = shell.json(1, &["log", "verify"]);
    assert_eq!(
        (
            code(&report),
            report["fault"]["position"].as_i64(),
            report["records"].as_i64()
        ),
        (7800, Some(4), Some(3))
    );
}

#[test]
fn verify_tells_what_nothing_beside_the_log_proves() {
    let shell = Shell::new();
    shell.deployed("leave");
    let told = shell.done(&["log", "verify"]);
    assert!(
        told.contains("\nproven by the mark beside the log: all of them\n"),
        "{told}"
    );
    // A mark from before, as a kill leaves it.
    let mark = shell.data().join("mark");
    let earlier = fs::read(&mark).unwrap();
    let module = text(&shell.json(0, &["flow", "list"]), "/flowModules/0/flowModuleId");
    shell.done(&["instance", "start", &module, "applicant=Lin"]);
    fs::write(&mark, &earlier).unwrap();
    let report = shell.json(0, &["log", "verify"]);
    assert_eq!(
        (report["unproven"]["from"].as_i64(), report["unproven"]["to"].as_i64()),
        (Some(4), Some(4)),
        "{report}"
    );
    fs::write(&mark, &earlier).unwrap();
    let told = shell.done(&["log", "verify"]);
    assert!(
        told.contains("position 4 is intact, but nothing beside the log proves it, or that no more had followed\n"),
        "{told}"
    );
}

#[test]
fn certificate_holds_while_the_log_grows_and_names_what_differs() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let before = shell.json(0, &["log", "certify"]);
    assert_eq!(
        (before["size"].as_i64(), before["streams"].as_i64()),
        (Some(3), Some(1))
    );
    shell.write("before.json", &before.to_string());
    shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let told = shell.done(&["log", "certify", "--against", "before.json", "--streams", "streams.txt"]);
    assert!(
        told.contains("Equal: this release reads these records exactly as the other did."),
        "{told}"
    );
    let streams = fs::read_to_string(shell.directory.path().join("streams.txt")).unwrap();
    assert_eq!(streams.lines().count(), 1, "{streams}");
    assert!(
        streams.starts_with("1 ") && streams.split(' ').nth(2) == Some("3"),
        "{streams}"
    );

    let mut other = before.clone();
    other["stateRoot"] = before["root"].clone();
    shell.write("other.json", &other.to_string());
    let compared = shell.json(1, &["log", "certify", "--against", "other.json"]);
    assert_eq!(compared["equal"].as_bool(), Some(false));
    assert!(
        text(&compared, "/difference").contains("read differently"),
        "{compared}"
    );
    shell.write("none.json", "{}");
    for arguments in [
        &["--against", "none.json"][..],
        &["--size", "99"],
        &["--streams", "no/such/folder"],
    ] {
        let refused = shell.run(&[&["log", "certify"], arguments].concat());
        assert_ne!(refused.status, 0, "{arguments:?}");
        assert!(!refused.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn damaged_file_is_a_fault() {
    let shell = Shell::new();
    shell.deployed("leave");
    // Opened once more, the file is known up to here.
    shell.done(&["log", "verify"]);
    damage(&shell);
    let report = shell.json(1, &["log", "verify"]);
    assert_eq!(code(&report), 7800, "{report}");
}

#[test]
fn damage_behind_the_last_opening_is_a_fault() {
    let shell = Shell::new();
    shell.deployed("leave");
    damage(&shell);
    let report = shell.json(1, &["log", "verify"]);
    assert_eq!(code(&report), 7800, "{report}");
}

#[test]
fn damaged_store_is_reported_legibly_by_every_command() {
    let shell = Shell::new();
    shell.deployed("leave");
    let file = shell.data().join("db");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..512]).unwrap();
    for command in [&["log", "verify"][..], &["instance", "list"], &["log", "show"]] {
        let told = shell.run(command);
        assert_eq!((told.status, &*told.out), (1, ""), "{command:?}");
        let lines: Vec<&str> = told.err.lines().collect();
        assert_eq!(lines[0], "error 7800 Log corrupt", "{}", told.err);
        assert!(
            lines[1].starts_with("  flowledger-data/db: ")
                && lines[2] == "  stored  3 records, by the mark beside the log",
            "{}",
            told.err
        );
        assert!(
            told.err.contains("nothing was changed") && told.err.contains("--data flowledger-data log salvage NEW"),
            "{}",
            told.err
        );
        let json = shell.json(1, command);
        assert_eq!(
            (
                code(&json),
                json["damage"]["stored"].as_i64(),
                json["damage"]["mayHaveChanged"].as_bool()
            ),
            (7800, Some(3), Some(false)),
            "{json}"
        );
    }
    // A store whose file is gone is not one that has not begun.
    fs::remove_file(&file).unwrap();
    for command in [&["log", "verify"][..], &["flow", "deploy", &example("leave")]] {
        let told = shell.run(command);
        assert!(
            told.status == 1 && told.err.contains("db: it is missing"),
            "{}",
            told.err
        );
    }
    assert!(!file.exists());
    fs::write(&file, &bytes).unwrap();
    assert!(
        shell
            .done(&["log", "verify"])
            .contains("proven by the mark beside the log: all of them")
    );
}

/// Flips one bit of the model that the second record holds.
fn damage(shell: &Shell) {
    let file = shell.data().join("db");
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.windows(12).position(|window| window == b"lead_decides").unwrap();
    bytes[place] ^= 1;
    fs::write(&file, bytes).unwrap();
}

#[test]
fn closed_pipe_is_no_error() {
    let shell = Shell::new();
    shell.done(&["demo", "--data", "kept"]);
    for arguments in [
        &["log", "show", "--data", "kept"][..],
        &["log", "show", "--data", "kept", "--json"],
        &["errors", "list"],
    ] {
        let mut child = shell
            .command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((child.wait().unwrap().code(), &*err), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn output_that_is_no_terminal_has_no_colours() {
    let shell = Shell::new();
    let name = r#"{"flowElementList":[{"key":"s","type":2,"properties":{"name":"\u001b[31mred"}}]}"#;
    shell.write("red.json", name);
    for arguments in [&["demo"][..], &["errors", "list"], &["flow", "validate", "red.json"]] {
        let told = shell.run(arguments);
        assert!(
            !told.out.contains('\u{1b}') && !told.err.contains('\u{1b}'),
            "{arguments:?}"
        );
    }
}

#[test]
fn lists_filter_and_page() {
    let shell = Shell::new();
    let (leave, expense) = (shell.deployed("leave"), shell.deployed("expense"));
    for module in [&leave, &leave, &expense] {
        shell.done(&["instance", "start", module]);
    }
    let count = |arguments: &[&str]| {
        shell.json(0, &[&["instance", "list"], arguments].concat())["flowInstances"]
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(count(&["--module", &leave]), 2);
    assert_eq!(count(&["--status", "running"]), 3);
    assert_eq!(count(&["--tenant", "default"]), 3);
    assert_eq!(count(&["--tenant", "other"]), 0);
    assert_eq!(count(&["--started-before", "2020-01-01"]), 0);
    assert_eq!(
        count(&["--started-from", "2020-01-01", "--as-of", "2999-12-31T00:00:00Z"]),
        3
    );
    let page = shell.json(0, &["instance", "list", "--limit", "2"]);
    let next = page["next"].as_u64().unwrap().to_string();
    assert_eq!(count(&["--limit", "2", "--before", &next]), 1);
    assert!(
        shell
            .done(&["instance", "list", "--limit", "2"])
            .contains(&format!("--before {next}"))
    );
}

/// What somebody has who knows nothing but a receipt and keys: a directory of their own, without a store.
fn stranger(shell: &Shell, files: &[&str]) -> Shell {
    let stranger = Shell::new();
    for file in files {
        fs::copy(shell.directory.path().join(file), stranger.directory.path().join(file)).unwrap();
    }
    stranger
}

/// A leave request that is decided, with its receipt in `leave.record` and `leave.proof`; the instance and the log's key.
fn receipted(shell: &Shell) -> (String, String) {
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.done(&["instance", "commit", &instance, "days=5", "--operator", "lin"]);
    let key = shell.done(&["log", "key"]).trim().to_owned();
    let told = shell.done(&["log", "receipt", &instance, "--version", "2", "--out", "leave"]);
    assert!(
        told.starts_with("wrote leave.record and leave.proof, the receipt of the record at position 5\n")
            && told.contains(&format!("verify-receipt leave.record leave.proof --key {key}")),
        "{told}"
    );
    (instance, key)
}

/// `tests/verify_receipt.py` is written from the specifications alone.
#[test]
fn receipt_is_good_to_another_implementation() {
    let python = Command::new("python3").args(["-c", "import cryptography"]).output();
    if !python.is_ok_and(|output| output.status.success()) {
        // Past the capture of the test's output, so that it is seen.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: the other implementation needs python3 with cryptography"
        );
        return;
    }
    let shell = Shell::new();
    let (_, key) = receipted(&shell);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/verify_receipt.py");
    let verify = || {
        let output = Command::new("python3")
            .args([script, "leave.record", "leave.proof", &key])
            .current_dir(shell.directory.path())
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap().trim().to_owned(),
        )
    };
    assert_eq!(verify(), (0, "good: the record stands at position 5".to_owned()));
    let record = shell.directory.path().join("leave.record");
    let mut bytes = std::fs::read(&record).unwrap();
    bytes[9] ^= 1;
    std::fs::write(&record, bytes).unwrap();
    assert_eq!(verify(), (1, "it proves nothing: another root".to_owned()));
}

#[test]
fn receipt_is_checked_without_the_store() {
    let shell = Shell::new();
    let (instance, key) = receipted(&shell);
    let stranger = stranger(&shell, &["leave.record", "leave.proof"]);
    let verify = ["verify-receipt", "leave.record", "leave.proof", "--key", &key];
    let told = stranger.done(&verify);
    for part in [
        "The receipt is good: the log flowledger/",
        "position  5 of 5",
        "commitTask",
        "given: days=5",
        "by: operator lin",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    let json = stranger.json(0, &verify);
    assert_eq!(
        (code(&json), json["position"].as_i64(), json["size"].as_i64()),
        (1000, Some(5), Some(5))
    );
    assert_eq!(json["record"]["envelope"]["version"], 2);
    assert_eq!(
        fs::read_dir(stranger.directory.path()).unwrap().count(),
        2,
        "no store was made"
    );

    // One flipped bit, wherever it is, and nothing is proven.
    for file in ["leave.record", "leave.proof"] {
        let path = stranger.directory.path().join(file);
        let good = fs::read(&path).unwrap();
        for place in [0, good.len() / 3, good.len() / 2, good.len() - 2] {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(&path, bad).unwrap();
            let refused = stranger.run(&verify);
            assert_eq!((refused.status, &*refused.out), (1, ""), "{file} {place}");
            assert!(refused.err.contains("the receipt proves nothing: "), "{}", refused.err);
            assert_eq!(code(&stranger.json(1, &verify)), 2001);
        }
        fs::write(&path, good).unwrap();
    }
    // The key of another log, and what is no key.
    let other = Shell::new();
    other.deployed("leave");
    let wrong = other.done(&["log", "key"]);
    let refused = stranger.run(&["verify-receipt", "leave.record", "leave.proof", "--key", wrong.trim()]);
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("the checkpoint is of the log"), "{}", refused.err);
    let unreadable = stranger.run(&["verify-receipt", "leave.record", "leave.proof", "--key", "nonsense"]);
    assert!(
        unreadable.status == 2 && unreadable.err.contains("--key: "),
        "{}",
        unreadable.err
    );
    assert_eq!(
        stranger
            .run(&["verify-receipt", "gone.record", "leave.proof", "--key", &key])
            .status,
        2
    );

    // Without --out the receipt is JSON, and it can be had by position, by command and for a module.
    let receipt: Value = serde_json::from_str(&shell.done(&["log", "receipt", &instance])).unwrap();
    assert_eq!(
        (receipt["position"].as_i64(), receipt["index"].as_i64()),
        (Some(5), Some(4))
    );
    assert_eq!(
        text(&receipt, "/proof"),
        fs::read_to_string(stranger.directory.path().join("leave.proof")).unwrap()
    );
    assert_eq!(shell.json(0, &["log", "receipt", "--position", "1"])["position"], 1);
    let unknown = shell.run(&["log", "receipt", "nobody"]);
    assert!(
        unknown.status == 1 && unknown.err.starts_with("error 4008 "),
        "{}",
        unknown.err
    );
    assert_eq!(shell.run(&["log", "receipt"]).status, 2);
    assert_eq!(shell.run(&["log", "receipt", &instance, "--version", "9"]).status, 1);
}

#[test]
fn cosignature_is_kept_and_then_required() {
    let shell = Shell::new();
    let (instance, key) = receipted(&shell);
    let witness = SigningKey::generate("witness.example/w", KeyKind::Cosignature).unwrap();
    let vkey = witness.public().to_string();
    let verify = |shell: &Shell, more: &[&str]| {
        let arguments = ["verify-receipt", "leave.record", "leave.proof", "--key", &key];
        shell.run(&[&arguments[..], more].concat())
    };
    let before = verify(&shell, &["--witness", &vkey]);
    assert_eq!(before.status, 1);
    assert!(
        before.err.contains("0 of the witnesses have cosigned, 1 are asked for"),
        "{}",
        before.err
    );
    assert_eq!(verify(&shell, &["--witness", &vkey, "--quorum", "0"]).status, 0);
    assert_eq!(verify(&shell, &["--witness", &vkey, "--quorum", "2"]).status, 2);

    let note = shell.done(&["log", "checkpoint"]);
    let signed = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    shell.write(
        "answer",
        &format!("{}\n", signed.cosign(&witness, 1_700_000_000).unwrap()),
    );
    assert_eq!(
        shell.done(&["log", "add-cosignatures", "answer", "--witness", &vkey]),
        "1 cosignature added; the checkpoint of 5 records has 1 cosignature\n"
    );
    shell.done(&["log", "receipt", &instance, "--out", "leave"]);
    let stranger = stranger(&shell, &["leave.record", "leave.proof"]);
    let told = verify(&stranger, &["--witness", &vkey, "--quorum", "1"]);
    assert_eq!(told.status, 0, "{}", told.err);
    assert!(
        told.out
            .contains("cosigned  by witness.example/w at 2023-11-14T22:13:20.000Z")
            && !told.out.contains("No witness"),
        "{}",
        told.out
    );
    let verified = shell.done(&["log", "verify"]);
    assert!(
        verified.contains("checkpoint of 5 records, with 1 cosignature: the log continues it"),
        "{verified}"
    );
    // The witness is sent the growth since what it has seen.
    shell.done(&["instance", "commit", &instance, "leadAgrees=true"]);
    let growth = shell.done(&["log", "growth", "--from", "5"]);
    GrowthProof::parse(growth.as_bytes())
        .unwrap()
        .verify(signed.checkpoint(), &key.parse().unwrap())
        .unwrap();
    assert_eq!(shell.run(&["log", "growth", "--from", "7"]).status, 1);
    let json = shell.json(0, &["log", "checkpoint"]);
    assert_eq!(
        (json["size"].as_i64(), json["cosignatures"].as_i64()),
        (Some(6), Some(0))
    );
    assert_eq!(text(&json, "/root"), text(&shell.json(0, &["log", "verify"]), "/root"));
}

#[cfg(unix)]
#[test]
fn log_that_is_not_the_one_that_was_signed_is_a_fault() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    shell.done(&["log", "verify", "--rebuild-tree"]);
    assert!(!shell.data().join("log.key").exists(), "nobody has asked for a key");
    shell.done(&["log", "key"]);
    let older: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(shell.data())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    shell.done(&["instance", "start", &module]);
    let note = shell.done(&["log", "checkpoint"]);
    // An older copy of the data is put in its place; the checkpoint was kept.
    fs::remove_dir_all(shell.data()).unwrap();
    fs::create_dir(shell.data()).unwrap();
    for (path, bytes) in older {
        fs::write(&path, bytes).unwrap();
        if path.ends_with("log.key") {
            let mut owner_only = fs::metadata(&path).unwrap().permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut owner_only, 0o600);
            fs::set_permissions(&path, owner_only).unwrap();
        }
    }
    assert!(shell.done(&["log", "verify"]).starts_with("3 records in 1 stream: ok"));
    fs::write(shell.data().join("checkpoint"), &note).unwrap();
    let report = shell.json(1, &["log", "verify"]);
    assert_eq!((code(&report), report["records"].as_i64()), (7800, Some(3)));
    assert_eq!(report["checkpoints"][0]["continued"], false);
    let told = shell.run(&["log", "verify"]).out;
    for part in [
        "3 records in 1 stream fit their hashes; but there is a fault\n",
        "checkpoint of 4 records: the log contradicts it\n",
        "a checkpoint proves 4 records, and the log has 3",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
    for arguments in [
        &["log", "checkpoint"][..],
        &["log", "receipt", "--position", "1"],
        &["log", "growth", "--from", "0"],
    ] {
        let refused = shell.run(arguments);
        assert!(
            refused.status == 1 && refused.err.starts_with("error 7800 "),
            "{}",
            refused.err
        );
    }
    // What was lost is recorded again, and is something else.
    shell.done(&["instance", "start", &module]);
    let told = shell.run(&["log", "verify"]).out;
    assert!(told.contains("lead to another root now"), "{told}");
    assert_eq!(fs::read_to_string(shell.data().join("checkpoint")).unwrap(), note);
}

#[test]
fn copies_are_made_looked_into_and_restored() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.done(&["log", "checkpoint"]);
    shell.json(0, &["instance", "commit", &instance, "days=5"]);
    let root = text(&shell.json(0, &["log", "verify"]), "/root");

    let wrote = shell.done(&["log", "export", "ledger.jsonl"]);
    assert!(
        wrote.contains("wrote ledger.jsonl, export of 5 records") && wrote.contains(&root),
        "{wrote}"
    );
    let export = fs::read_to_string(shell.directory.path().join("ledger.jsonl")).unwrap();
    assert_eq!(shell.done(&["log", "export"]), export, "standard output without a name");
    let backed_up = shell.json(0, &["log", "backup", "ledger.backup"]);
    assert_eq!((code(&backed_up), text(&backed_up, "/root")), (1000, root.clone()));

    let history = shell.done(&["instance", "history", &instance]);
    for copy in ["ledger.jsonl", "ledger.backup"] {
        let seen = shell.done(&["--data", copy, "instance", "history", &instance]);
        assert_eq!(seen, history, "{copy}");
        let refused = shell.json(1, &["--data", copy, "instance", "commit", &instance, "days=6"]);
        assert_eq!(code(&refused), 7008, "{copy}");
    }

    let key = shell.done(&["log", "key"]);
    let fit = ["--against", "flowledger-data/checkpoint", "--key", key.trim()];
    for (target, command, copy) in [
        ("first", "import", "ledger.jsonl"),
        ("second", "restore", "ledger.backup"),
    ] {
        let made = shell.done(&[&["--data", target, "log", command, copy], &fit[..]].concat());
        assert!(
            made.contains("checkpoint  of 4 records: continued") && made.contains(&root),
            "{made}"
        );
        assert!(made.contains("It goes on as the same log."), "{made}");
        let directory = shell.directory.path().join(target);
        fs::copy(shell.data().join("log.key"), directory.join("log.key")).unwrap();
        assert_eq!(
            text(&shell.json(0, &["--data", target, "log", "verify"]), "/root"),
            root
        );
        let again = shell.json(1, &["--data", target, "log", command, copy]);
        assert_eq!(code(&again), 2001, "nothing is put over what is there");
        let wrong = shell.json(1, &["--data", "third", "log", command, "flowledger-data/mark"]);
        assert_eq!(code(&wrong), 2001);
        let none = shell.json(2, &["--data", "third", "log", "import", "no-such-file"]);
        assert_eq!(code(&none), 2001);
    }

    // An older copy than the checkpoint: what is missing is named, and must be accepted.
    shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    shell.done(&["log", "checkpoint"]);
    let restore = [
        "--data",
        "third",
        "log",
        "restore",
        "ledger.backup",
        "--against",
        "flowledger-data/checkpoint",
    ];
    let refused = shell.run(&restore);
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("record 6 is missing"), "{}", refused.err);
    let made = shell.done(&[&restore[..], &["--accept-loss"]].concat());
    assert!(
        made.contains("missing     position 6") && made.contains("It is a new log"),
        "{made}"
    );
}

#[test]
fn salvage_tells_what_is_lost() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    for _ in 0..20 {
        shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    }
    let whole = shell.done(&["log", "salvage", "whole"]);
    assert!(
        whole.contains("No fault was met.") && whole.contains("whole holds 23 records now"),
        "{whole}"
    );
    let file = shell.data().join("db");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..20_000]).unwrap();
    let refused = shell.run(&["log", "salvage", "part"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.err.contains("are missing") && refused.err.contains("accept the loss"),
        "{}",
        refused.err
    );
    let told = shell.done(&["log", "salvage", "part", "--accept-loss"]);
    assert!(
        told.contains("its high-water mark says  23") && told.contains("missing"),
        "{told}"
    );
    let told = shell.json(0, &["log", "salvage", "again", "--accept-loss"]);
    assert_eq!(told["isSameLog"], false);
    assert_eq!(
        told["records"],
        shell.json(0, &["--data", "part", "log", "verify"])["records"]
    );
    assert_eq!(
        fs::read(&file).unwrap(),
        &bytes[..20_000],
        "the damaged store stays as it is"
    );
}

#[test]
fn past_is_shown_as_it_was() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    let commands = [["show", &instance], ["data", &instance], ["history", &instance]];
    let seen = |as_of: &[&str]| commands.map(|command| shell.done(&[&["instance"], &command[..], as_of].concat()));
    let before = seen(&[]);
    shell.json(0, &["instance", "commit", &instance, "days=5"]);
    assert_ne!(seen(&[]), before);
    assert_eq!(seen(&["--as-of", "1"]), before);
    let then = text(
        &shell.json(0, &["log", "show", "--instance", &instance]),
        "/records/0/record/envelope/at",
    );
    assert_eq!(seen(&["--as-of", &then]), before);
    let ahead = shell.json(1, &["instance", "show", &instance, "--as-of", "3"]);
    assert_eq!(code(&ahead), 7417);
    let before_all = shell.json(1, &["instance", "show", &instance, "--as-of", "2001-01-01"]);
    assert_eq!(code(&before_all), 4008);
    assert_eq!(
        shell
            .run(&["instance", "show", &instance, "--as-of", "yesterday"])
            .status,
        2
    );
    assert_eq!(
        shell.json(0, &["flow", "list", "--as-of", "2001-01-01"])["flowModules"],
        serde_json::json!([])
    );
}

#[test]
fn replay_tells_where_another_model_diverges() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.json(0, &["instance", "commit", &instance, "days=5"]);
    let before = text(&shell.json(0, &["log", "verify"]), "/root");
    let same = shell.done(&["instance", "replay", &instance]);
    assert!(same.contains("from version 1: 1 record came out equal"), "{same}");
    let model = fs::read_to_string(example("leave")).unwrap();
    shell.write("same.json", &model);
    let model = ["instance", "replay", &instance, "--model"];
    shell.done(&[&model[..], &["same.json"]].concat());
    let other = fs::read_to_string(example("leave"))
        .unwrap()
        .replace("\"lead\"", "\"chief\"");
    shell.write("other.json", &other);
    let differs = shell.json(1, &[&model[..], &["other.json"]].concat());
    assert_eq!(
        (differs["equal"].as_u64(), differs["difference"]["version"].as_u64()),
        (Some(0), Some(2))
    );
    assert!(text(&differs, "/difference/now").contains("chief"), "{differs}");
    let told = shell.run(&[&model[..], &["other.json"]].concat());
    assert!(
        told.status == 1 && told.out.contains("version 2 comes out different"),
        "{}",
        told.out
    );
    assert_eq!(text(&shell.json(0, &["log", "verify"]), "/root"), before);
}

#[test]
fn candidate_is_judged_by_recorded_instances_also_of_a_copy() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let mut instances = Vec::new();
    for days in ["days=2", "days=4", "days=5"] {
        let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
        let instance = text(&started, "/flowInstanceId");
        shell.json(0, &["instance", "commit", &instance, days]);
        shell.json(0, &["instance", "commit", &instance, "leadAgrees=true"]);
        instances.push(instance);
    }
    let leave = fs::read_to_string(example("leave")).unwrap();
    shell.write("same.json", &leave);
    shell.write("four.json", &leave.replace("days <= 3", "days <= 4"));
    shell.write("chief.json", &leave.replace("\"director\"", "\"chief\""));
    shell.write("cut.json", &leave.replace("[\"filed\"]", "[]"));
    shell.write("broken.json", "{");
    let replay = ["replay", "--module", &module, "--against"];
    let of = |more: &[&'static str]| [&replay[..], more].concat();
    let same = shell.done(&of(&["same.json"]));
    assert!(same.contains("3: 3 may move, 0 must finish"), "{same}");
    let report = shell.json(1, &of(&["four.json", "--state", "four.state"]));
    assert_eq!(
        (code(&report), &report["samePath"], &report["diverges"]),
        (1000, &2.into(), &1.into())
    );
    assert_eq!(text(&report, "/groups/0/condition/textNow"), "days <= 4");
    assert_eq!(text(&report, "/groups/0/examples/0/flowInstanceId"), instances[1]);
    assert!(!shell.directory.path().join("four.state").exists());
    let told = shell.run(&of(&["four.json"]));
    assert_eq!((told.status, &*told.err), (1, ""));
    for part in [
        "1 instance diverges at after_lead",
        "days <= 4: held",
        "days=4",
        &instances[1],
    ] {
        assert!(told.out.contains(part), "{part}: {}", told.out);
    }
    let missing = shell.run(&of(&["chief.json"]));
    assert!(
        missing.status == 1
            && missing
                .out
                .contains("director (Director): the candidate has no such task"),
        "{}",
        missing.out
    );
    let faulty = shell.run(&of(&["cut.json"]));
    assert!(
        faulty.status == 1 && faulty.out.contains("would refuse"),
        "{}",
        faulty.out
    );
    assert_eq!(code(&shell.json(2, &of(&["broken.json"]))), 3201);
    assert_eq!(
        code(&shell.json(1, &["replay", "--module", "nobody", "--against", "same.json"])),
        3101
    );
    shell.run(&of(&["four.json", "--html", "page.html"]));
    let page = fs::read_to_string(shell.directory.path().join("page.html")).unwrap();
    for part in [
        "<b>3</b>instances",
        "<b>1</b>diverge",
        "days &lt;= 4",
        "prefers-color-scheme:dark",
        &instances[1],
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for part in ["http", "<script", "src=", "url("] {
        assert!(!page.contains(part), "{part}: {page}");
    }
    assert!(!shell.directory.path().join("page.html.state").exists());
    let nowhere = shell.run(&of(&[
        "four.json",
        "--html",
        "no/such/page.html",
        "--state",
        "four.state",
    ]));
    assert_eq!(nowhere.status, 2, "{}", nowhere.err);
    shell.done(&["log", "backup", "copy.backup"]);
    shell.done(&["log", "export", "copy.jsonl"]);
    for copy in ["copy.backup", "copy.jsonl"] {
        assert_eq!(shell.json(1, &of(&["four.json", "--data", copy])), report, "{copy}");
    }
}

#[test]
fn cause_of_a_task_and_what_kept_from_another_are_told() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.json(0, &["instance", "commit", &instance, "days=5", "--operator", "Wu"]);
    shell.json(0, &["instance", "commit", &instance, "leadAgrees=true"]);
    let told = shell.done(&["instance", "why", &instance, "director"]);
    assert!(
        told.contains("days = 5, given at request in version 2 commitTask by Wu"),
        "{told}"
    );
    let why = shell.json(0, &["instance", "why", &instance, "director"]);
    assert_eq!(text(&why, "/node/modelKey"), "director");
    assert_eq!(why["causes"].as_array().map(Vec::len), Some(3));
    // The other ways of the gateway.
    let decision = &why["causes"][2]["steps"][0]["decision"];
    assert_eq!(decision["conditions"].as_array().map(Vec::len), Some(3));
    let other = "file".to_owned();
    let not = shell.json(0, &["instance", "why-not", &instance, &other]);
    assert_eq!(not["change"]["variables"], 1, "{not}");
    let told = shell.done(&["instance", "why-not", &instance, &other]);
    assert!(
        told.contains("would be reached, as a fork shows, with 1 variable changed:"),
        "{told}"
    );
    let refused = shell.json(1, &["instance", "why-not", &instance, "nowhere"]);
    assert_eq!(refused["errCode"], 2001);
    let refused = shell.json(1, &["instance", "why", &instance, "nowhere"]);
    assert_eq!(refused["errCode"], 4010);
}

#[test]
fn moments_are_compared() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.json(0, &["instance", "commit", &instance, "days=5", "--operator", "Wu"]);
    let first = format!("{instance}@1");
    let told = shell.done(&["instance", "diff", &first]);
    for part in ["version   1", "request", "5 (version 2 by Wu)", "completed"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(told, shell.done(&["instance", "diff", &first, "@2"]));
    let same = shell.done(&["instance", "diff", &instance, "@2"]);
    assert!(same.contains("Nothing differs."), "{same}");
    let json = shell.json(0, &["instance", "diff", &first, &format!("{instance}@2")]);
    assert_eq!(text(&json, "/variables/0/right/operator"), "Wu");
    assert_eq!(code(&shell.json(1, &["instance", "diff", &first, "@9"])), 7417);
    assert_eq!(shell.run(&["instance", "diff", &format!("{instance}@never")]).status, 2);
}

#[test]
fn wrong_arguments_are_told_whole_in_json_too() {
    let shell = Shell::new();
    let answer = shell.run(&["instance", "commit", "--json"]);
    assert_eq!(answer.status, 2);
    let json: Value = serde_json::from_str(&answer.out).unwrap();
    assert!(text(&json, "/errMsg").contains("<INSTANCE>"), "{json}");
}

#[test]
fn debugger_prints_a_screen_of_a_store_a_backup_and_an_export() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.json(0, &["instance", "commit", &instance, "days=5"]);
    shell.done(&["log", "backup", "ledger.backup"]);
    shell.done(&["log", "export", "ledger.jsonl"]);
    let root = text(&shell.json(0, &["log", "verify"]), "/root");

    let debug = ["debug", &instance, "--plain"];
    let screen = shell.done(&debug);
    for line in [
        "version 2 of 2, event 2 of 2",
        "▸*» lead (Team lead)        waits",
        "▸* days = 5 (new)",
    ] {
        assert!(screen.contains(line), "{line}:\n{screen}");
    }
    for copy in ["ledger.backup", "ledger.jsonl"] {
        assert_eq!(shell.done(&[&["--data", copy], &debug[..]].concat()), screen, "{copy}");
    }
    let back = shell.done(&[&debug[..], &["--keys", "k"]].concat());
    assert_eq!(shell.done(&[&debug[..], &["--as-of", "1"]].concat()), back);
    assert_eq!(
        shell.done(&[&debug[..], &["--as-of", "1", "--keys", " j d1<Esc> "]].concat()),
        screen
    );
    let large = shell.done(&[&debug[..], &["--size", "140x40"]].concat());
    assert_eq!(large.lines().count(), 40);

    let json = shell.json(0, &["debug", &instance, "--keys", "kh"]);
    assert_eq!((&json["version"], &json["event"]), (&1.into(), &2.into()));
    assert_eq!(json["records"][1]["command"], "commitTask");
    assert_eq!(json["outline"][0]["modelKey"], "start");
    assert_eq!(json["facts"][2], "waits at request");
    assert_eq!(
        text(&shell.json(0, &["log", "verify"]), "/root"),
        root,
        "nothing is written"
    );
}

#[test]
fn debugger_says_what_it_cannot_do() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    let no_terminal = shell.run(&["debug", &instance]);
    assert_eq!((no_terminal.status, &*no_terminal.out), (2, ""));
    assert!(
        no_terminal.err.contains("standard output is not a terminal; --plain"),
        "{}",
        no_terminal.err
    );
    for arguments in [
        &["--plain", "--keys", "<Nothing>"][..],
        &["--plain", "--size", "80"],
        &["--plain", "--size", "80x0"],
        &["--plain", "--size", "5000x24"],
        &["--size", "80x24"],
    ] {
        let wrong = shell.run(&[&["debug", &instance], arguments].concat());
        assert_eq!(wrong.status, 2, "{arguments:?}");
    }
    assert_eq!(
        code(&shell.json(1, &["debug", "7b223af7-a18a-822e-9e4b-2844e5dbe8d8"])),
        4008
    );
    assert_eq!(code(&shell.json(1, &["debug", &instance, "--as-of", "2"])), 7417);
}

/// Runs the program in a terminal of 100 columns and 30 rows and types there; what the terminal was sent. `None` where there is no `script` to make one.
fn in_a_terminal(shell: &Shell, line: &str, typed: &str) -> Option<String> {
    let program = env!("CARGO_BIN_EXE_flowledger");
    let command = format!("stty cols 100 rows 30; '{program}' {line}; echo ended with $?; stty -a");
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &command, "/dev/null"]);
    script
        .current_dir(shell.directory.path())
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR");
    let started = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else {
        eprintln!("SKIPPED: there is no `script`, so no terminal can be made");
        return None;
    };
    let mut out = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    let mut typed = Some(typed);
    loop {
        // What is typed before the screen is there would be read by nobody.
        if String::from_utf8_lossy(&seen).contains("? help")
            && let Some(keys) = typed.take()
        {
            child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
        }
        match out.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => seen.extend_from_slice(&buffer[..read]),
        }
    }
    child.wait().unwrap();
    Some(String::from_utf8_lossy(&seen).into_owned())
}

#[test]
fn terminal_is_left_as_it_was() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    let line = format!("debug {instance}");
    for keys in ["q", "hh?\u{3}"] {
        let Some(seen) = in_a_terminal(&shell, &line, keys) else {
            return;
        };
        let (entered, left) = (seen.find("\u{1b}[?1049h"), seen.rfind("\u{1b}[?1049l"));
        assert!(entered.is_some() && left > entered, "{keys:?} {entered:?} {left:?}");
        let (hidden, shown) = (seen.rfind("\u{1b}[?25l"), seen.rfind("\u{1b}[?25h"));
        assert!(shown > hidden, "the cursor is seen again: {seen:?}");
        let behind = seen.split("\u{1b}[?1049l").last().unwrap();
        assert!(behind.contains("ended with 0"), "{behind:?}");
        assert!(behind.contains(" icanon") && behind.contains(" echo "), "{behind:?}");
        let on_screen = seen.split("\u{1b}[?1049l").next().unwrap();
        assert!(
            on_screen.contains("Outline") && on_screen.contains("\u{1b}[38;5;2"),
            "{on_screen:?}"
        );
    }
}

#[test]
fn models_and_instances_are_drawn() {
    let shell = Shell::new();
    let svg = shell.done(&["draw", &example("leave")]);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("prefers-color-scheme"));
    let written = shell.done(&["draw", &example("leave"), "--theme", "dark", "--output", "leave.svg"]);
    assert!(written.starts_with("leave.svg is written, "), "{written}");
    let file = fs::read_to_string(shell.directory.path().join("leave.svg")).unwrap();
    assert!(file.starts_with("<svg ") && !file.contains("prefers-color-scheme"));

    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.done(&["instance", "commit", &instance, "days=5"]);
    let drawn = shell.json(0, &["draw", &instance]);
    assert_eq!((code(&drawn), drawn["version"].as_u64()), (1000, Some(2)));
    assert!(text(&drawn, "/drawing").contains("class=\"node user-task active\" data-key=\"lead\""));
    let then = shell.done(&["draw", &instance, "--as-of", "1"]);
    assert!(then.contains("class=\"node user-task active\" data-key=\"request\""));
    let mermaid = shell.done(&["draw", &instance, "--format", "mermaid"]);
    assert!(mermaid.contains("flowchart LR") && mermaid.contains(":::active"));

    // A module's draft and a deployment are drawn without marks.
    let deployment = text(&started, "/flowDeployId");
    for id in [&module, &deployment] {
        let drawn = shell.done(&["draw", id]);
        assert!(drawn.contains("data-key=\"lead\"") && !drawn.contains("class=\"node user-task active\""));
    }
    assert_eq!(code(&shell.json(1, &["draw", "nobody"])), 4008);
    let missing = shell.run(&["draw", "lave.json"]);
    assert!(
        missing.status == 2 && missing.err.contains("lave.json cannot be read"),
        "{}",
        missing.err
    );
    assert_eq!(code(&shell.json(1, &["draw", &instance, "--as-of", "9"])), 7417);
    assert_eq!(code(&shell.json(2, &["draw", &example("leave"), "--as-of", "1"])), 2001);
    shell.write("broken.json", "{");
    assert_eq!(code(&shell.json(1, &["draw", "broken.json"])), 3201);
    let nowhere = shell.json(1, &["draw", &example("leave"), "--output", "nowhere/leave.svg"]);
    assert_eq!(code(&nowhere), 7008);
}

#[test]
fn event_logs_are_written_for_process_mining() {
    let shell = Shell::new();
    let module = shell.deployed("leave");
    let started = shell.json(0, &["instance", "start", &module, "applicant=Lin"]);
    let instance = text(&started, "/flowInstanceId");
    shell.done(&["instance", "commit", &instance, "days=5", "--operator", "Lin"]);
    let told = shell.done(&["log", "event-log"]);
    assert!(told.starts_with("<?xml ") && told.ends_with("</log>\n"), "{told}");
    assert!(
        told.contains("<string key=\"org:resource\" value=\"Lin\"/>") && told.contains("\"variable.days\" value=\"5\"")
    );
    assert_eq!(
        shell.done(&["log", "event-log", "leave.xes"]),
        "leave.xes is written: 1 instance, 3 events\n"
    );
    assert_eq!(
        fs::read_to_string(shell.directory.path().join("leave.xes")).unwrap(),
        told
    );

    let written = shell.json(
        0,
        &[
            "log",
            "event-log",
            "all.json",
            "--format",
            "ocel",
            "--module",
            &module,
            "--all-nodes",
        ],
    );
    assert_eq!((code(&written), &*text(&written, "/file")), (1000, "all.json"));
    let ocel = fs::read_to_string(shell.directory.path().join("all.json")).unwrap();
    let ocel: Value = serde_json::from_str(&ocel).unwrap();
    let count = |name: &str| ocel[name].as_array().unwrap().len() as u64;
    assert_eq!(written["events"].as_u64(), Some(count("events")));
    assert_eq!(written["objects"].as_u64(), Some(count("objects")));
    assert_eq!(code(&shell.json(1, &["log", "event-log", "--module", "nobody"])), 3101);
    assert_eq!(code(&shell.json(1, &["log", "event-log", "nowhere/all.xes"])), 7008);
    let before = shell.done(&["log", "event-log", "--as-of", "2020-01-01T00:00:00Z"]);
    assert!(!before.contains("<trace>"));
}

/// A payment of exactly 1000 finds no way on.
fn payment(small: &str) -> String {
    r#"{"flowElementList":[
        {"key":"start","type":2,"outgoing":["f1"]},
        {"key":"f1","type":1,"incoming":["start"],"outgoing":["ask"]},
        {"key":"ask","type":4,"incoming":["f1"],"outgoing":["f2"]},
        {"key":"f2","type":1,"incoming":["ask"],"outgoing":["size"]},
        {"key":"size","type":6,"incoming":["f2"],"outgoing":["large","small"]},
        {"key":"large","type":1,"incoming":["size"],"outgoing":["approve"],"properties":{"conditionsequenceflow":"amount > 1000"}},
        {"key":"small","type":1,"incoming":["size"],"outgoing":["edit"],"properties":{"conditionsequenceflow":"SMALL"}},
        {"key":"approve","type":4,"incoming":["large"],"outgoing":["f3"]},
        {"key":"f3","type":1,"incoming":["approve"],"outgoing":["pay"]},
        {"key":"edit","type":4,"incoming":["small"],"outgoing":["f5"]},
        {"key":"f5","type":1,"incoming":["edit"],"outgoing":["pay"]},
        {"key":"pay","type":4,"incoming":["f5","f3"],"outgoing":["f4"]},
        {"key":"f4","type":1,"incoming":["pay"],"outgoing":["end"]},
        {"key":"end","type":3,"incoming":["f4"]}]}"#
        .replace("SMALL", small)
}

#[test]
fn test_shows_the_shortest_way_as_commands_saves_it_and_gives_it_first_from_then_on() {
    let shell = Shell::new();
    shell.write("pay.json", &payment("amount < 1000"));
    let untouched = shell.run(&["test", "pay.json", "--no-save"]);
    assert_eq!(untouched.out, shell.run(&["test", "pay.json", "--no-save"]).out);
    assert!(!shell.directory.path().join("pay.regressions").exists());
    let found = shell.json(1, &["test", "pay.json", "--draw", "gap.svg"]);
    let finding = &found["findings"][0];
    assert_eq!(text(finding, "/from"), "run");
    assert_eq!(
        finding["script"]["steps"],
        serde_json::json!([{"start": {}}, {"commit": {"task": "ask", "variables": {"amount": 1000}}}])
    );
    assert!(
        untouched.status == 1 && untouched.out.contains("instance commit INSTANCE ask amount=1000"),
        "{}",
        untouched.out
    );
    let drawn = fs::read_to_string(shell.directory.path().join("gap.svg")).unwrap();
    assert!(drawn.contains("does not hold") && drawn.contains("2. commit ask amount=1000"));

    // What is shown can be typed.
    let mut ids = [("MODULE", String::new()), ("INSTANCE", String::new())];
    let commands: Vec<String> = finding["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|command| command.as_str().unwrap().to_owned())
        .collect();
    for (number, command) in commands.iter().enumerate() {
        let typed = ids
            .iter()
            .fold(command.clone(), |command, (word, id)| command.replace(word, id));
        let arguments: Vec<&str> = typed.split(' ').skip(1).collect();
        let answer = shell.json(i32::from(number + 1 == commands.len()), &arguments);
        match number {
            0 => ids[0].1 = text(&answer, "/flowModuleId"),
            1 => ids[1].1 = text(&answer, "/flowInstanceId"),
            _ => assert_eq!(code(&answer), 4013),
        }
    }

    // Saved once, given first, and kept when it is fixed.
    let again = shell.json(1, &["test", "pay.json"]);
    assert_eq!(
        (text(&again["findings"][0], "/from"), again["ran"].is_null()),
        ("regression".to_owned(), true)
    );
    let files = || {
        fs::read_dir(shell.directory.path().join("pay.regressions"))
            .unwrap()
            .count()
    };
    assert_eq!(files(), 1);
    shell.write("pay.json", &payment("amount <= 1000"));
    let fixed = shell.run(&["test", "pay.json"]);
    assert!(
        fixed.status == 0 && fixed.out.contains("is fixed; it stays as a test"),
        "{}",
        fixed.out
    );
    assert_eq!(files(), 1);

    // What cannot be read is told, and stays.
    shell.write("pay.regressions/mine.json", "{ half");
    let unread = shell.run(&["test", "pay.json"]);
    assert!(
        unread.status == 2 && unread.err.contains("mine.json is no saved script"),
        "{}",
        unread.err
    );
    let kept = fs::read_to_string(shell.directory.path().join("pay.regressions/mine.json")).unwrap();
    assert_eq!((&*kept, files()), ("{ half", 2));
}

#[test]
fn test_reads_what_must_hold_from_toml_and_from_json_alike() {
    let shell = Shell::new();
    shell.write("pay.json", &payment("amount <= 1000"));
    shell.write(
        "pay.toml",
        r#"
        cases = 300
        seed = 3
        values.amount = [0, 1000000.5]
        words = { commit = 1, rollback = 0 }

        [[invariants]]
        name = "much is paid only with approval"
        never = "'pay' in waits && amount > 1000 && visits.approve == 0"

        [[examples]]
        name = "a small payment is edited"
        given = { who = "Lin" }
        when = [{ commit = { task = "ask", variables = { amount = 2 } } }, "suspend"]
        then = { waitsAt = ["edit"], status = "suspended", code = 1000, variables = { who = "Lin" } }

        [[examples]]
        name = "a large payment is edited"
        when = [{ commit = { task = "ask", variables = { amount = 2000 } } }]
        then = { waitsAt = ["edit"] }
        "#,
    );
    let wrong = shell.json(1, &["test", "pay.json", "--properties", "pay.toml", "--no-save"]);
    let holds: Vec<_> = wrong["examples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|example| example["holds"].clone())
        .collect();
    assert_eq!(holds, [true, false]);
    let finding = &wrong["findings"][0];
    assert_eq!(
        text(finding, "/invariant"),
        "a large payment is edited: then it waits at edit"
    );
    assert!(text(finding, "/seen").contains("it waits at approve"), "{finding}");

    let toml = fs::read_to_string(shell.directory.path().join("pay.toml")).unwrap();
    let right = toml.replace(
        "when = [{ commit = { task = \"ask\", variables = { amount = 2000",
        "when = [{ commit = { task = \"ask\", variables = { amount = 20",
    );
    shell.write("pay.toml", &right);
    shell.write(
        "pay.props.json",
        r#"{"cases": 300, "seed": 3, "values": {"amount": [0, 1000000.5]}, "words": {"commit": 1, "rollback": 0},
            "invariants": [{"name": "much is paid only with approval",
                "never": "'pay' in waits && amount > 1000 && visits.approve == 0"}],
            "examples": [
                {"name": "a small payment is edited", "given": {"who": "Lin"},
                 "when": [{"commit": {"task": "ask", "variables": {"amount": 2}}}, "suspend"],
                 "then": {"waitsAt": ["edit"], "status": "suspended", "code": 1000, "variables": {"who": "Lin"}}},
                {"name": "a large payment is edited", "when": [{"commit": {"task": "ask", "variables": {"amount": 20}}}],
                 "then": {"waitsAt": ["edit"]}}]}"#,
    );
    let told = |file: &str| {
        let answer = shell.run(&["test", "pay.json", "--properties", file, "--no-save"]);
        assert!(answer.status == 1 && answer.err.is_empty(), "{}", answer.err);
        answer.out
    };
    let found = told("pay.toml");
    assert_eq!(found, told("pay.props.json"));
    assert!(
        found.contains("\"much is paid only with approval\" does not hold")
            && found.contains("instance commit INSTANCE edit amount="),
        "{found}"
    );
    for (text, told) in [
        ("casess = 1", "unknown field `casess`"),
        ("[[invariants]]\nname = \"x\"\nnever = \"(\"", "invariant \"x\""),
        ("cases = ", "pay.toml"),
    ] {
        shell.write("pay.toml", text);
        let answer = shell.run(&["test", "pay.json", "--properties", "pay.toml"]);
        assert!(
            answer.status == 2 && answer.err.contains(told),
            "{text}: {}",
            answer.err
        );
    }
    assert_eq!(shell.run(&["test", "nothing.json"]).status, 2);
    shell.write("broken.json", "{");
    assert_eq!(code(&shell.json(2, &["test", "broken.json"])), 3201);
    shell.write("faulty.json", r#"{"flowElementList":[{"key":"start","type":2}]}"#);
    assert!((3200..3300).contains(&code(&shell.json(1, &["test", "faulty.json"]))));
}

#[test]
fn test_tells_coverage_adds_it_up_and_fails_below_the_minimum() {
    let shell = Shell::new();
    shell.write("pay.json", &payment("amount <= 1000"));
    let few = ["test", "pay.json", "--cases", "1", "--coverage-data", "reached.json"];
    let covered = shell.json(0, &few);
    let reached = |answer: &Value| answer["coverage"]["elements"]["reached"].as_u64().unwrap();
    assert!(reached(&covered) < 7, "{covered}");
    let below = shell.run(&["test", "pay.json", "--cases", "1", "--min-coverage", "elements=100"]);
    assert!(
        below.status == 1 && below.out.contains("100 % is the minimum"),
        "{}",
        below.out
    );
    let many = [
        "test",
        "pay.json",
        "--cases",
        "200",
        "--seed",
        "2",
        "--min-coverage",
        "elements=100,conditions=75",
    ];
    let drawn = [&many[..], &["--coverage", "reached.svg"]].concat();
    assert_eq!(reached(&shell.json(0, &drawn)), 7);
    let picture = fs::read_to_string(shell.directory.path().join("reached.svg")).unwrap();
    assert!(picture.contains("come to"), "{picture}");
    shell.json(0, &[&many[..6], &["--coverage-data", "reached.json"]].concat());
    let with_earlier = shell.json(0, &[&few[..], &["--min-coverage", "elements=100"]].concat());
    assert_eq!(reached(&with_earlier), 7);

    shell.write("pay.json", &payment("amount < 1001"));
    let anew = shell.json(0, &few);
    assert!(
        reached(&anew) < 7 && text(&anew, "/notes/0").contains("another version of the model"),
        "{anew}"
    );
    shell.write("reached.json", "no JSON");
    let unread = shell.run(&few);
    assert!(
        unread.status == 2 && unread.err.contains("is no coverage data"),
        "{}",
        unread.err
    );
    assert_eq!(shell.run(&["test", "pay.json", "--min-coverage", "speed=3"]).status, 2);

    let mutants = [
        "test",
        "pay.json",
        "--cases",
        "60",
        "--mutants",
        "--min-coverage",
        "mutants=100",
    ];
    let scored = shell.json(0, &mutants);
    assert_eq!(
        (scored["mutants"]["noticed"].as_u64(), scored["mutants"]["of"].as_u64()),
        (Some(2), Some(2))
    );
    shell.write("blind.json", r#"{"commitsGoOn": false}"#);
    let blind = shell.json(1, &[&mutants[..], &["--properties", "blind.json"]].concat());
    assert_eq!(blind["mutants"]["noticed"].as_u64(), Some(0));
    assert_eq!(text(&blind, "/belowMinimum/0/what"), "mutants");
}

#[test]
fn test_runs_called_flows_and_says_what_stands_in_for_one_that_is_missing() {
    let shell = Shell::new();
    shell.write(
        "outer.json",
        r#"{"flowElementList":[
            {"key":"start","type":2,"outgoing":["f1"]},
            {"key":"f1","type":1,"incoming":["start"],"outgoing":["call"]},
            {"key":"call","type":8,"incoming":["f1"],"outgoing":["f2"],"properties":{"callActivityFlowModuleId":"inner",
                "callActivityExecuteType":"sync","callActivityInstanceType":"single","callActivityInParamType":"full","callActivityOutParamType":"full"}},
            {"key":"f2","type":1,"incoming":["call"],"outgoing":["end"]},
            {"key":"end","type":3,"incoming":["f2"]}]}"#,
    );
    let alone = shell.json(0, &["test", "outer.json", "--cases", "20"]);
    assert!(text(&alone, "/notes/0").contains("stands in for inner"), "{alone}");
    shell.write("inner.json", &payment("amount < 1000"));
    let called = ["test", "outer.json", "--called", "inner=inner.json", "--no-save"];
    let found = shell.json(1, &called);
    assert_eq!(found["notes"], serde_json::json!([]));
    assert!(text(&found, "/findings/0/seen").contains("4013"), "{found}");
}
