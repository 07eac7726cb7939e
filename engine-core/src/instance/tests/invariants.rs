//! What the words of invariants say of an instance.

use super::{Run, model_json};
use crate::instance::FlowIndex;
use crate::invariant::{Invariant, Moment};

/// How an invariant is broken where the instance stands.
fn broken(run: &Run, invariant: &str) -> Option<String> {
    let invariant: Invariant = serde_json::from_str(&format!(r#"{{"name":"n",{invariant}}}"#)).unwrap();
    let moment = Moment::new(&run.state, FlowIndex::ROOT, &run.deployment.model);
    invariant.compile().unwrap().broken_at(&moment)
}

#[track_caller]
fn is_so(run: &Run, expression: &str) {
    assert_eq!(
        broken(run, &format!(r#""always":"{expression}""#)),
        None,
        "{expression}"
    );
    let never = broken(run, &format!(r#""never":"{expression}""#));
    assert_eq!(never, Some(format!("it is so that {expression}")));
}

#[track_caller]
fn cannot_be_told(run: &Run, expression: &str) {
    for kind in ["always", "never"] {
        assert_eq!(
            broken(run, &format!(r#""{kind}":"{expression}""#)),
            None,
            "{kind} {expression}"
        );
    }
}

fn payment() -> Run {
    let mut run = Run::new("start>ask; ask>gate; gate>approve[amount > 1000]; gate>pay[default]; approve>pay; pay>end");
    run.word("start amount=5");
    run
}

#[test]
fn words_tell_of_the_moment() {
    let mut run = payment();
    is_so(
        &run,
        "waits == ['ask'] && status == 'running' && visits.ask == 0 && visits['gate'] == 0",
    );
    is_so(
        &run,
        "visits.start == 1 && visits.nowhere == 0 && operators.nowhere == []",
    );
    is_so(&run, "visits.size() == 6 && visits[waits[0]] == 0");
    is_so(&run, "visits.nowhere == 0 && visits[waits[0]] == 0");
    run.operator = Some("ann".into());
    run.word("commit ask amount=2000");
    is_so(
        &run,
        "'approve' in waits && visits.ask == 1 && operators.ask == ['ann'] && operators.pay.isEmpty()",
    );
    is_so(
        &run,
        "amount == 2000 && variables.amount == 2000 && variables == [amount: 2000]",
    );
    is_so(
        &run,
        "variables.other == null && !variables.containsKey('other') && operators.gate == []",
    );
    run.word("rollback approve");
    is_so(
        &run,
        "visits.ask == 0 && operators.ask == [] && amount == 5 && visits.gate == 0",
    );
    run.operator = None;
    run.word("commit ask; commit pay");
    is_so(
        &run,
        "status == 'completed' && waits == [] && operators.ask == [] && visits.end == 1",
    );
}

#[test]
fn what_is_not_set_breaks_nothing_and_what_fails_does() {
    let run = payment();
    cannot_be_told(&run, "limit > 3");
    cannot_be_told(&run, "amount.cents == 0");
    is_so(&run, "amount == 5 || limit > 3");
    for kind in ["always", "never"] {
        let failed = broken(&run, &format!(r#""{kind}":"amount > 'much'""#)).unwrap();
        assert!(failed.starts_with("the condition failed"), "{failed}");
        let failed = broken(&run, &format!(r#""{kind}":"amount + 1""#)).unwrap();
        assert!(failed.contains("not true or false"), "{failed}");
    }
}

#[test]
fn one_operator_of_two_elements_breaks_what_takes_two_as_long_as_it_is_not_rolled_back() {
    let rule = r#""differentOperators":["ask","approve","pay"]"#;
    let mut run = payment();
    run.operator = Some("ann".into());
    run.word("commit ask amount=2000");
    run.operator = Some("ben".into());
    run.word("commit approve");
    assert_eq!(broken(&run, rule), None);
    run.operator = Some("ann".into());
    run.word("commit pay");
    assert_eq!(broken(&run, rule).as_deref(), Some("ann committed ask and pay"));
    let mut run = payment();
    run.operator = Some("ann".into());
    run.word("commit ask amount=2000; commit approve");
    assert!(broken(&run, rule).is_some());
    run.word("rollback pay");
    assert_eq!(broken(&run, rule), None);
    run.operator = Some("ben".into());
    run.word("commit approve");
    assert_eq!(broken(&run, rule), None);
    let mut run = payment();
    run.word("commit ask amount=2000; commit approve");
    assert_eq!(broken(&run, rule), None, "nobody is not somebody");
}

#[test]
fn what_an_earlier_release_has_deployed_runs_on_whatever_its_member_of_this_name_says() {
    let model = model_json("start>ask; ask>end");
    for (invariants, answer) in [
        (r#"{"mine":7}"#, "1002 ask"),
        (r#"[{"name":"n","never":"'ask' in waits"},7]"#, "1002 ask"),
        (
            r#"[{"name":"n","never":"'ask' in waits"},{"name":"m","never":"a >"}]"#,
            "1002 ask",
        ),
        (r#"[{"name":"n","never":"'ask' in waits"}]"#, "7414"),
    ] {
        let text = model.replacen('{', &format!(r#"{{"invariants":{invariants},"#), 1);
        let mut run = Run::of(&text);
        run.enforces = true;
        assert_eq!(run.word("start"), answer, "{invariants}");
    }
}

#[test]
fn words_hide_variables_of_their_name_which_are_still_there() {
    let mut run = payment();
    run.word(r#"commit ask status="odd" visits=3"#);
    is_so(
        &run,
        "status == 'running' && variables.status == 'odd' && variables.visits == 3 && visits.ask == 1",
    );
}
