//! The documentation says what the code says.

use flowledger::{
    Clock, CodeContext, CodeEntry, CommitTaskParam, Engine, ResultCode, Retry, StartProcessParam, Timestamp,
};
use serde_json::{Value, json};

#[test]
fn error_page_lists_every_code_as_declared() {
    let page = include_str!("../../docs/errors.md");
    for code in ResultCode::ALL {
        let CodeEntry {
            number,
            slug,
            class,
            http,
            retry,
            text,
            cause,
            hint,
            ..
        } = code.entry();
        let class = format!("{class:?}").to_lowercase();
        let retry = match retry {
            Retry::Never => "never",
            Retry::Same => "same",
            Retry::Refresh => "refresh",
            Retry::AfterFix => "after-fix",
        };
        let row = format!("| {number} | `{slug}` | {class} | {http} | {retry} | {text} | {cause} | {hint} |");
        assert!(
            page.lines().any(|line| line == row),
            "docs/errors.md lacks this line:\n{row}"
        );
    }
}

#[test]
fn error_page_lists_the_nearest_codes_of_the_reference() {
    let page = include_str!("../../docs/errors.md");
    for code in ResultCode::ALL.iter().filter(|code| code.number() >= 7000) {
        let [commit, rollback, other] =
            [CodeContext::Commit, CodeContext::Rollback, CodeContext::Other].map(|context| code.nearest_turbo(context));
        let row = format!("| {} | {commit} | {rollback} | {other} |", code.number());
        assert!(
            page.lines().any(|line| line == row),
            "docs/errors.md lacks this line:\n{row}"
        );
    }
}

#[test]
fn readme_shows_the_compiled_example() {
    let readme = include_str!("../../README.md");
    let example = include_str!("../../examples/embed.rs");
    let core = example
        .split("fn main()")
        .nth(1)
        .expect("the example has a main function");
    assert!(
        readme.contains(core),
        "README.md shows another main function than examples/embed.rs"
    );
}

#[test]
fn condition_page_names_the_bounds_as_declared() {
    use flowledger::expression::{
        MAX_ITEMS, MAX_NESTING, MAX_NUMBER_DIGITS, MAX_OPERATIONS, MAX_STEPS, MAX_TEXT_BYTES, MAX_TEXT_LENGTH,
    };

    let page = include_str!("../../docs/condition-language.md");
    for (constant, value) in [
        ("MAX_TEXT_BYTES", MAX_TEXT_BYTES as u64),
        ("MAX_NESTING", MAX_NESTING as u64),
        ("MAX_OPERATIONS", MAX_OPERATIONS),
        ("MAX_NUMBER_DIGITS", MAX_NUMBER_DIGITS),
        ("MAX_TEXT_LENGTH", MAX_TEXT_LENGTH as u64),
        ("MAX_ITEMS", MAX_ITEMS as u64),
        ("MAX_STEPS", MAX_STEPS),
    ] {
        let row = page.lines().find(|line| line.contains(&format!("`{constant}`")));
        let row = row.unwrap_or_else(|| panic!("docs/condition-language.md does not name {constant}"));
        let digits = row.replace(',', "");
        assert!(
            digits
                .split(|c: char| !c.is_ascii_digit())
                .any(|number| number == value.to_string()),
            "{constant} is {value}: {row}"
        );
    }
}

/// A clock that stands at the moment that the documentation shows.
struct DocumentedClock;

impl Clock for DocumentedClock {
    fn now(&self) -> Timestamp {
        "2026-01-01T00:05:00.000Z".parse().expect("a time")
    }
}

fn param<P: serde::de::DeserializeOwned>(value: Value) -> P {
    serde_json::from_value(value).expect("a request")
}

#[test]
fn storage_page_shows_a_record_as_it_is() {
    let example = include_str!("../../examples/embed.rs");
    let model = example.split("r#\"").nth(1).and_then(|rest| rest.split("\"#").next());
    let builder = Engine::builder().in_memory().clock(DocumentedClock);
    let engine = builder.open().expect("a store in memory").blocking();
    let model = model.expect("the example has a model");
    let owner = |commanded: Value| {
        let mut param =
            json!({"tenant": "acme", "caller": "hr", "operator": "liming", "flowName": "Leave", "flowModel": model});
        let members = commanded.as_object().cloned().unwrap_or_default();
        param.as_object_mut().expect("an object").extend(members);
        param
    };
    let create = param(owner(json!({"commandId": "create-leave"})));
    let module = engine.create_flow(create).expect("created").flow_module_id;
    let update = param(owner(json!({"flowModuleId": module, "commandId": "update-leave"})));
    engine.update_flow(update).expect("updated");
    let deploy = param(owner(json!({"flowModuleId": module, "commandId": "deploy-leave"})));
    engine.deploy_flow(deploy).expect("deployed");
    let start = StartProcessParam::of_module(module)
        .variable("who", "liming")
        .command_id("leave-4711");
    let started = engine.start_process(start).expect("started");
    let instance = started.flow_instance_id.expect("an instance");
    let task = started.active_task_instance.expect("a task").node_instance_id;
    let commit = CommitTaskParam::new(&instance, &task)
        .variable("days", 5)
        .command_id("commit-1");
    engine.commit_task(commit).expect("committed");
    let records = engine.instance_records(instance).expect("records");
    let commit = &records[1];

    let page = include_str!("../../docs/storage-format.md");
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    let hex = commit
        .bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .concat();
    assert!(
        page.contains(&format!("these {} bytes", commit.bytes.len())) && bare(page).contains(&hex),
        "docs/storage-format.md shows other than these {} bytes:\n{hex}",
        commit.bytes.len()
    );
    let json = commit.to_json().expect("JSON");
    assert!(
        bare(page).contains(&bare(&json)),
        "docs/storage-format.md lacks\n{json}"
    );
}
