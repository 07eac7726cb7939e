//! The documentation says what the code says.

use flowledger::{CodeEntry, ResultCode, Retry};

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
