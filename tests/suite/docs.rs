//! The documentation says what the code says.

use flowledger::{CodeContext, CodeEntry, ResultCode, Retry};

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
