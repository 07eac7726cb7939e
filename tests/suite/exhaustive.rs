//! All command words over small models, up to a length that every run can afford; `--bin exhaustive` goes further.

use flowledger_tests::exhaustive::{explore, models};
use flowledger_tests::scenario::Profile;

/// How long words are here, unless `FLOWLEDGER_LENGTH` says otherwise.
const LENGTH: usize = 4;

#[test]
fn engine_answers_every_short_word_as_the_naive_interpreter() {
    let asked = std::env::var("FLOWLEDGER_LENGTH").ok();
    let length = asked.and_then(|length| length.parse().ok()).unwrap_or(LENGTH);
    for model in models() {
        let tally = explore(&model, Profile::Documented, length).unwrap_or_else(|problem| panic!("{problem}"));
        assert!(tally.states.len() == length + 1 && tally.records > length, "{tally:?}");
    }
}
