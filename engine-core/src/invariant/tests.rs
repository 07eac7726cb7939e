//! How invariants are written.

use std::fmt::Write;

use super::*;
use crate::model::parse::{ModelLimits, parse};
use crate::model::validate::validate_alone;
use crate::profile::Profile;

#[test]
fn each_rule_is_read_and_written_alike() {
    for text in [
        r#"{"name":"a","never":"x > 1"}"#,
        r#"{"name":"a","always":"x > 1"}"#,
        r#"{"name":"a","eventually":"status == 'completed'","within":6}"#,
        r#"{"name":"a","whenever":"x","then":"y","within":2}"#,
        r#"{"name":"a","differentOperators":["approve","pay"]}"#,
    ] {
        let invariant: Invariant = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&invariant).unwrap(), text);
        assert!(invariant.compile().is_ok());
    }
    let at_once: Invariant = serde_json::from_str(r#"{"name":"a","never":null,"whenever":"x","then":"y"}"#).unwrap();
    assert!(matches!(at_once.rule, Rule::Whenever { within: 0, .. }));
}

#[test]
fn everything_else_is_refused_with_what_to_do() {
    let many: Vec<String> = (0..=MAX_ELEMENTS).map(|number| format!("\"{number}\"")).collect();
    let many = format!(r#"{{"name":"a","differentOperators":[{}]}}"#, many.join(","));
    let long = format!(r#"{{"name":"{}","never":"x"}}"#, "n".repeat(MAX_NAME_CHARS + 1));
    for (text, message) in [
        (r#"{"never":"x"}"#, "missing field `name`"),
        (r#"{"name":" ","never":"x"}"#, "the name is blank"),
        (r#"{"name":7,"never":"x"}"#, "expected"),
        (r#"{"name":"a"}"#, "invariant \"a\": it says nothing that must hold"),
        (r#"{"name":"a","never":"x","always":"y"}"#, "more than one of never"),
        (r#"{"name":"a","never":"x","within":2}"#, "within belongs to"),
        (r#"{"name":"a","never":"x","then":"y"}"#, "then belongs to"),
        (r#"{"name":"a","eventually":"x"}"#, "eventually takes within"),
        (r#"{"name":"a","eventually":"x","within":10001}"#, "more than 10000"),
        (r#"{"name":"a","eventually":"x","within":-1}"#, "invalid value"),
        (r#"{"name":"a","whenever":"x","within":1}"#, "whenever takes then"),
        (r#"{"name":"a","differentOperators":["x"]}"#, "two elements or more"),
        (r#"{"name":"a","differentOperators":["x","x"]}"#, "two elements or more"),
        (
            r#"{"name":"a","never":"x","severity":"high"}"#,
            "unknown field `severity`",
        ),
        (r#"{"name":"a","never":["x"]}"#, "expected"),
        (&many, "at most 50"),
        (&long, "more than 200 characters"),
    ] {
        let error = serde_json::from_str::<Invariant>(text).unwrap_err().to_string();
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn list_names_each_error() {
    let of = |text: &str| -> Vec<String> {
        let list: Vec<Invariant> = serde_json::from_str(text).unwrap();
        let errors = compile_all(&list).err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    };
    assert_eq!(of(r#"[{"name":"a","never":"x"},{"name":"b","never":"x"}]"#), [""; 0]);
    let errors = of(r#"[{"name":"a","never":"x >"},{"name":"a","always":"if (x) y"}]"#);
    assert_eq!(errors.len(), 3);
    assert!(
        errors[0].starts_with("invariant \"a\": the condition is not well formed"),
        "{errors:?}"
    );
    assert!(errors[1].contains("another invariant has the same name"), "{errors:?}");
    assert!(errors[2].contains("conditions do not have"), "{errors:?}");
    let many: Vec<Invariant> = (0..=MAX_INVARIANTS)
        .map(|number| Invariant {
            name: number.to_string().into(),
            rule: Rule::Never("x".into()),
        })
        .collect();
    let error = compile_all(&many).unwrap_err();
    assert!(error[0].message.contains("more than the 100"), "{error:?}");
}

fn model(invariants: &str) -> String {
    format!(
        r#"{{"invariants":{invariants},"flowElementList":[
        {{"key":"s","type":2,"outgoing":["f"]}},
        {{"key":"f","type":1,"incoming":["s"],"outgoing":["e"]}},
        {{"key":"e","type":3,"incoming":["f"]}}]}}"#
    )
}

#[test]
fn model_carries_its_invariants() {
    let text = model(r#"[{"name":"a","never":"x > 1"},{"name":"b","differentOperators":["s","e"]}]"#);
    let read = parse(&text, &ModelLimits::default()).unwrap();
    assert_eq!(read.invariants().len(), 2);
    assert_eq!(validate_alone(&read, Profile::Documented).faults, []);
    for none in ["null", "[]"] {
        let read = parse(&model(none), &ModelLimits::default()).unwrap();
        assert!(read.invariants().is_empty() && read.invariant_faults().is_empty());
    }
}

#[test]
fn faults_of_invariants_keep_a_model_from_being_deployed_and_not_from_being_read() {
    let mut many = String::from("[");
    for number in 0..=MAX_INVARIANTS {
        let _ = write!(many, "{{\"name\":\"{number}\",\"never\":\"x\"}},");
    }
    let many = many.trim_end_matches(',').to_owned() + "]";
    for (invariants, messages) in [
        (
            "{}",
            &["invariants (line 1, column 15) is an object; it must be a list"][..],
        ),
        ("[7]", &["invariants/0 (line 1, column 16) is a number"]),
        (
            r#"[{"name":"a"},{"name":"b","never":"x >"}]"#,
            &[
                "invariants/0 (line 1, column 16) cannot be read: invariant \"a\": it says nothing",
                "invariant \"b\": the condition is not well formed",
            ],
        ),
        (&many, &["more than 100"]),
    ] {
        let read = parse(&model(invariants), &ModelLimits::default()).unwrap();
        for profile in [Profile::Documented, Profile::Turbo131] {
            let faults = validate_alone(&read, profile).faults;
            assert_eq!(faults.len(), messages.len(), "{faults:?}");
            for (fault, message) in faults.iter().zip(messages) {
                assert_eq!(fault.code.number(), 3217);
                assert!(fault.message.contains(message), "{fault}");
            }
        }
    }
}
