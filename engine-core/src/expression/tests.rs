//! Conditions against recorded answers of Groovy 2.4.21, and against the limits.

use proptest::prelude::*;

use super::item::{Item, ListKind};
use super::number::Number;
use super::*;

/// Conditions and what Groovy 2.4.21 answered for them with the variables of [`variables`]: `[text, answer]` a line.
const CASES: &str = include_str!("cases.jsonl");

fn variables() -> BTreeMap<Arc<str>, Value> {
    let json = r#"{"a":5,"b":-3,"d":1.5,"e":2.50,"big":2147483648,"huge":123456789012345678901234567890,"s":"123","t":"abc",
        "c":"x","flag":true,"l":[1,2,3],"names":["x","abc"],"m":{"k":4,"name":"x"},"nul":null,"empty":"","el":[]}"#;
    map_of(json)
}

fn map_of(json: &str) -> BTreeMap<Arc<str>, Value> {
    let Value::Map(map) = Value::from_json(json).unwrap() else {
        panic!("no map: {json}")
    };
    BTreeMap::clone(&map)
}

/// What a condition gives: its value with its kind, or the cause.
fn answer(text: &str, variables: &dyn Variables) -> String {
    match CompiledExpression::compile(text).and_then(|compiled| compiled.value(variables)) {
        Ok(item) => show(&item),
        Err(error) => error.cause().to_owned(),
    }
}

fn show(item: &Item) -> String {
    match item {
        Item::Null => "null".to_owned(),
        Item::Bool(bool) => format!("bool:{bool}"),
        Item::Number(Number::Int(int)) => format!("int:{int}"),
        Item::Number(Number::Long(long)) => format!("long:{long}"),
        Item::Number(Number::Big(big)) => format!("big:{big}"),
        Item::Number(Number::Decimal(decimal)) => format!("dec:{}/{}", decimal.digits, decimal.scale),
        Item::Number(Number::Float(float)) => format!("float:{}", float.to_bits().cast_signed()),
        Item::Number(Number::Double(double)) if double.is_nan() => "double:nan".to_owned(),
        Item::Number(Number::Double(double)) => format!("double:{}", double.to_bits().cast_signed()),
        Item::Char(unit) => format!("char:{unit}"),
        Item::Text(text) => format!("text:{text}"),
        Item::Template(text) => format!("gtext:{text}"),
        Item::List(list) => {
            let items: Vec<String> = list.iter().map(|item| show(&item)).collect();
            let kind = match list.kind {
                ListKind::List if list.is_range() => "range",
                ListKind::List => "",
                ListKind::Array => "array",
                ListKind::Set => "set",
                ListKind::Values => "coll",
            };
            format!("{kind}[{}]", items.join(","))
        }
        Item::Map(map) => {
            let entries: Vec<String> = map
                .entries()
                .map(|(key, value)| format!("{}=>{}", show(&key), show(&value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        Item::Huge(text) => format!("huge:{text}"),
    }
}

/// Checks answers: `true`, `false`, or a cause.
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let result = CompiledExpression::compile(text).and_then(|compiled| compiled.evaluate(&variables()));
        let found = result
            .as_ref()
            .map_or_else(|error| error.cause().to_owned(), ToString::to_string);
        assert_eq!(found, *expected, "{text}: {result:?}");
    }
}

#[test]
fn recorded_cases_give_the_answers_of_the_reference() {
    let variables = variables();
    let mut wrong = Vec::new();
    for line in CASES.lines() {
        let (text, expected): (String, String) = serde_json::from_str(line).unwrap();
        let found = answer(&text, &variables);
        if found != expected {
            wrong.push(format!("{text}: {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(CASES.lines().count() > 500);
}

#[test]
fn samples_of_the_documents_hold() {
    check(&[
        ("a>1&&b==-3", "true"),
        ("${(a>=10)}", "false"),
        ("s.equals(\"123\") || s.equals(\"2\")", "true"),
        ("\"${s}\"==\"123\"", "true"),
        ("s==123", "false"),
        ("a==\"5\"", "false"),
        ("a.equals(5L)", "false"),
        (
            "a==5.0 && d==1.5 && a%2==1 && a in [1,5] && l.contains(1) && m.k==4 && m.zz==null && nul==null && !nul",
            "true",
        ),
        ("nul>1", "false"),
        ("nul<1", "true"),
        ("s<'2'", "true"),
        ("a / 2 == 2.5", "true"),
        ("e == 2.5 && !e.equals(2.5)", "true"),
        ("1/0>1", "evaluation"),
        ("a", "not boolean"),
        ("null", "not boolean"),
        ("''", "not boolean"),
        ("", "not boolean"),
        ("a<=>5", "not boolean"),
        ("a?:false", "not boolean"),
        ("return a > 1", "true"),
    ]);
}

#[test]
fn missing_variables_count_only_when_reached() {
    check(&[
        ("missing==1", "missing"),
        ("a>1 || missing", "true"),
        ("a>1 && missing", "missing"),
        ("a<1 && missing == 1", "false"),
        ("flag ? a > 1 : missing", "true"),
        ("(a ?: missing) == 5", "true"),
        ("!flag && missing || flag", "true"),
    ]);
    // What stands first fails first, whichever way the evaluator reads its operands.
    check(&[
        ("missing > 1/0", "missing"),
        ("1/0 > missing", "evaluation"),
        ("missing[1/0]", "missing"),
        ("foo(missing)", "missing"),
    ]);
    let error = CompiledExpression::compile("first == second")
        .unwrap()
        .evaluate(&variables())
        .unwrap_err();
    assert_eq!(
        error,
        ExpressionError::Missing {
            name: "first".to_owned()
        }
    );
}

#[test]
fn names_of_any_kind_are_variables() {
    let variables = map_of(
        r#"{"let":1,"fn":2,"变量":3,"v0":4,"$x":5,"true_or_nothing":6,"Fn":7,"truth":8,"a_very_long_name_of_a_variable":9}"#,
    );
    let text = "let == 1 && fn == 2 && 变量 == 3 && v0 == 4 && $x == 5 && true_or_nothing == 6 && Fn == 7 && truth == 8 \
                && a_very_long_name_of_a_variable == 9 && let == 1";
    let compiled = CompiledExpression::compile(text).unwrap();
    assert_eq!(compiled.evaluate(&variables), Ok(true));
    let names: Vec<&str> = compiled.variables().iter().map(|name| &**name).collect();
    assert_eq!(
        names,
        [
            "let",
            "fn",
            "变量",
            "v0",
            "$x",
            "true_or_nothing",
            "Fn",
            "truth",
            "a_very_long_name_of_a_variable"
        ]
    );
}

#[test]
fn embedded_dollar_braces_fail_only_when_reached() {
    check(&[
        ("${a > 1}", "true"),
        ("${a > 1} && ${b > 1}", "syntax"),
        ("${${a > 1}}", "evaluation"),
        ("a > 1 || ${b > 1}", "true"),
        ("a < 1 || ${b > 1}", "evaluation"),
        (" ${a > 1}", "evaluation"),
    ]);
    assert!(
        CompiledExpression::compile("a > 1 || ${zzz > 1}")
            .unwrap()
            .variables()
            .len()
            == 1
    );
}

#[test]
fn malformed_texts_are_syntax_errors_with_their_place() {
    check(&[
        ("a>1 and b>1", "syntax"),
        ("a > ", "syntax"),
        ("((a > 1)", "syntax"),
        ("a > 1)", "syntax"),
        ("a > 1 && b = 3", "syntax"),
    ]);
    for (text, place) in [("a > ", 4), ("${a > }", 6), ("a > 1 b", 6), ("'abc", 0), ("a # b", 2)] {
        let error = CompiledExpression::compile(text).unwrap_err();
        assert!(
            matches!(error, ExpressionError::Syntax { at, .. } if at == place),
            "{text}: {error:?}"
        );
    }
}

#[test]
fn refused_constructs_are_named() {
    for (text, named) in [
        ("if (a > 1) { true }", "the statement `if`"),
        ("def y = 2; y == 2", "the statement `def`"),
        ("a > 1; b > 1", "several statements"),
        ("a > 1\nb > 1", "several statements"),
        ("x = 3", "an assignment"),
        ("(a = 3) == 3", "an assignment"),
        ("int x = 1", "a declaration"),
        ("new Date() != null", "the creation of an object"),
        ("System.currentTimeMillis() > 0", "the class `System`"),
        ("java.util.UUID.randomUUID() != null", "the class `UUID`"),
        ("s =~ /x/", "text between slashes"),
        ("s ==~ '[a-z]+'", "a regular expression"),
        ("l.any { it > 1 }", "a closure"),
        ("a++ > 1", "`++` and `--`"),
        ("l*.k", "`*.`"),
        ("[*l] == l", "the spread"),
        ("this != null", "`this`"),
        ("Integer == 1", "the class `Integer` as a value"),
        ("(byte) a == 5", "numbers of 8 and 16 bits"),
    ] {
        let error = CompiledExpression::compile(text).unwrap_err();
        assert!(
            matches!(&error, ExpressionError::Unsupported { construct } if construct.starts_with(named)),
            "{text}: {error}"
        );
        assert!(error.to_string().contains("at byte"), "{error}");
    }
}

#[test]
fn numbers_too_large_to_compute_with_are_a_limit_when_computed_with() {
    let variables = map_of(r#"{"h":1e9999,"l":[1e9999],"a":1}"#);
    for (text, expected) in [
        ("h > 1", "limit"),
        ("h == 1", "limit"),
        ("h + 1 > 0", "limit"),
        ("-h < 0", "limit"),
        ("h.intValue() > 0", "limit"),
        ("l.contains(1)", "limit"),
        ("h != null && h == h", "bool:true"),
        ("a == 1 || h > 1", "bool:true"),
    ] {
        assert_eq!(answer(text, &variables), expected, "{text}");
    }
}

#[test]
fn long_texts_are_refused() {
    let fits = format!("a > 1{}", " ".repeat(MAX_TEXT_BYTES - 5));
    assert_eq!(answer(&fits, &variables()), "bool:true");
    assert_eq!(answer(&format!("{fits} "), &variables()), "limit");
}

#[test]
fn deep_nesting_is_refused_and_never_overflows() {
    let at = |depth: usize| {
        [
            format!("{}flag{}", "(".repeat(depth), ")".repeat(depth)),
            format!("{}flag", "!".repeat(depth)),
            format!("{}1", "-(".repeat(depth)),
            format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
            format!("{}1{} > 0", "Math.abs(".repeat(depth), ")".repeat(depth)),
            format!("{}flag{}", "flag ? ".repeat(depth), " : flag".repeat(depth)),
            format!("{}flag", "nul ?: ".repeat(depth)),
            format!("{}flag", "flag ? flag : ".repeat(depth)),
            format!("{}1", "1 + ".repeat(depth)),
            format!("{}1", "a ** ".repeat(depth)),
            format!("m{}", ".k".repeat(depth)),
            format!("l{}", "[l]".repeat(depth)),
            format!("{}x{}", "\"${".repeat(depth), "}\"".repeat(depth)),
            format!("{}x{}", "x {".repeat(depth), "}".repeat(depth)),
            format!("s{}", ".concat(s)".repeat(depth)),
            format!("{}flag{}", "!(flag && ".repeat(depth), ")".repeat(depth)),
            format!("{}flag{}", "!(flag ? !".repeat(depth), ": flag)".repeat(depth)),
        ]
    };
    // Half of a usual stack, so that the engine around it has the other half.
    let run = move || {
        for depth in [
            10,
            MAX_NESTING - 2,
            MAX_NESTING - 1,
            MAX_NESTING,
            MAX_NESTING + 1,
            1000,
            9000,
            100_000,
        ] {
            for text in at(depth) {
                let found = answer(&text, &variables());
                assert!(
                    depth <= MAX_NESTING || matches!(&*found, "limit" | "syntax"),
                    "{depth}: {found}"
                );
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(1 << 20)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(answer(&at(10)[0], &variables()), "bool:true");
    assert_eq!(answer(&at(MAX_NESTING + 1)[0], &variables()), "limit");
}

#[test]
fn long_chains_of_and_and_or_are_not_nested() {
    for separator in [" || ", " && "] {
        let chain = vec!["!flag"; 900].join(separator);
        let compiled = CompiledExpression::compile(&chain).unwrap();
        assert_eq!(compiled.evaluate(&variables()), Ok(false));
    }
}

#[test]
fn operations_are_bounded() {
    let negations = |count: usize| format!("[{}].size() > 0", "-a,".repeat(count));
    assert_eq!(answer(&negations(1000), &variables()), "bool:true");
    assert_eq!(answer(&negations(3000), &variables()), "limit");
    // Literals are made once, when the condition is compiled.
    assert_eq!(
        answer(&format!("[{}].size() > 0", "1,".repeat(3000)), &variables()),
        "bool:true"
    );
}

#[test]
fn numbers_are_bounded() {
    for text in [
        "1e400 ** 1000000000 > 1",
        "10 ** 2147483647 > 1",
        "2 ** 100000 > 1",
        "1e5001 > 1",
        "1e-5001 > 1",
        "1e999999999999999999999 > 1",
        "(10 ** 4000) * (10 ** 4000) > 1",
        "'1e99999999'.toBigDecimal() > 1",
        "1e4000.toBigInteger() * 1e4000.toBigInteger() > 1",
        "1.0.setScale(2147483647) > 1",
    ] {
        assert_eq!(answer(text, &variables()), "limit", "{text}");
    }
    check(&[
        ("1 ** 2147483647 == 1", "true"),
        ("(-1) ** 2147483647 == -1", "true"),
        ("0G ** 2147483647 == 0", "true"),
    ]);
    check(&[
        ("1e4999 > 1e-4999", "true"),
        ("1e4999 / 1e-4999 > 1", "limit"),
        ("1e4000 / 3 > 1", "true"),
    ]);
}

#[test]
fn texts_and_lists_are_bounded() {
    for text in [
        "('a' * 2147483647).size() > 0",
        "(l * 2147483647).size() > 0",
        "((('a' * 100000) + ('a' * 100000)) * 6).size() > 0",
        "('a' * 1000).replace('', 'a' * 2000).size() > 0",
        "s.padLeft(2147483647, 'x') == s",
        "(1..2147483647).toList().size() > 0",
        "(1..2147483647) + 1 == l",
        "(1..2147483647).sum() > 0",
        "(l * 3000).containsAll((l * 3000) - [1, 2, 3] + 7 + (l * 3000))",
        "[(1..2147483647)] == [(0..2147483646)] || (1..2147483647) == (1..2147483647)",
        "\"${'a' * 900000}${'a' * 900000}\" == s",
        "([l * 3000] * 3000) == ([l * 3000] * 3000)",
        "('a' * 900000).toList() == l",
        "('a,' * 400000).split(',').size() > 1",
    ] {
        let found = answer(text, &variables());
        assert!(
            matches!(&*found, "limit" | "bool:true" | "bool:false"),
            "{text}: {found}"
        );
        assert!(
            found == "limit" || text.contains("containsAll") || text.starts_with("[("),
            "{text}: {found}"
        );
    }
    check(&[
        ("a in 1..2147483647", "true"),
        ("(1..2147483647).size() == 2147483647", "true"),
    ]);
}

#[test]
fn calculator_compiles_conditions_that_threads_share() {
    fn is_shared<T: Send + Sync + Clone>(_: &T) {}
    let calculator: &dyn ExpressionCalculator = &DialectCalculator;
    assert_eq!((calculator.name(), calculator.version()), ("groovy-dialect", "1"));
    assert_eq!(calculator.compile("a > 1").unwrap().evaluate(&variables()), Ok(true));
    let compiled = CompiledExpression::compile("a > 1").unwrap();
    is_shared(&compiled);
    assert_eq!(compiled.text(), "a > 1");
    assert_eq!(compiled.rhai(), "greater(v0_a, int(1))");
}

#[test]
fn printed_rhai_wraps_every_operand_of_logic_in_truth() {
    let rhai = |text| CompiledExpression::compile(text).unwrap().rhai().to_owned();
    assert_eq!(
        rhai("days >= 3 && approver == \"zhang\""),
        "truth(greater_or_equal(v0_days, int(3))) && truth(equal(v1_approver, text(\"zhang\")))"
    );
    assert_eq!(rhai("!a || b"), "truth(!truth(v0_a)) || truth(v1_b)");
    assert_eq!(
        rhai("a ? b : 1.50"),
        "if truth(v0_a) { v1_b } else { decimal(\"150e-2\") }"
    );
    assert_eq!(rhai("a ?: b"), "(true_or_nothing(v0_a) ?? v1_b)");
    assert_eq!(rhai("(a && b) == c"), "equal(bool(truth(v0_a) && truth(v1_b)), v2_c)");
}

/// Pieces that random texts are made of.
const PIECES: [&str; 88] = [
    "a",
    "b",
    "d",
    "big",
    "huge",
    "s",
    "t",
    "c",
    "flag",
    "l",
    "names",
    "m",
    "nul",
    "el",
    "missing",
    "0",
    "1",
    "2",
    "-1",
    "2.5",
    "1e3",
    "5L",
    "3G",
    "2d",
    "1.5f",
    "0x1F",
    "2147483647",
    "'x'",
    "\"y\"",
    "\"$s\"",
    "\"${",
    "}\"",
    "''",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "+",
    "-",
    "*",
    "/",
    "%",
    "**",
    "==",
    "!=",
    "<",
    ">",
    "<=",
    ">=",
    "<=>",
    "&&",
    "||",
    "!",
    "~",
    "?",
    ":",
    "?:",
    ".",
    "?.",
    ",",
    " in ",
    " instanceof String",
    " as int",
    "size()",
    "k",
    "length()",
    "equals(",
    "contains('x')",
    "substring(1)",
    "toInteger()",
    ";",
    "\n",
    "true",
    "null",
    "&",
    "|",
    "^",
    "<<",
    ">>",
    ">>>",
    "..",
    "..<",
    "$",
    "=",
    "Math.max(",
    "\u{1f600}",
];

/// What stands in plain conditions, and beside it: variables of every kind, one that does not exist, and constants.
const OPERANDS: [&str; 22] = [
    "a", "b", "d", "e", "big", "huge", "s", "t", "c", "flag", "l", "m", "nul", "empty", "nowhere", "5", "5L", "1.50",
    "2.5d", "'x'", "null", "true",
];

/// A condition of comparisons, `&&`, `||` and `!`.
fn plain() -> impl Strategy<Value = String> {
    let operand = || prop::sample::select(&OPERANDS[..]);
    let operator = prop::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let part = prop_oneof![
        6 => (operand(), operator, operand()).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        1 => operand().prop_map(str::to_owned),
    ];
    part.prop_recursive(3, 12, 3, |part| {
        prop_oneof![
            part.clone().prop_map(|of| format!("!({of})")),
            prop::collection::vec(part.clone(), 2..4).prop_map(|of| format!("({})", of.join(") && ("))),
            prop::collection::vec(part, 2..4).prop_map(|of| format!("({})", of.join(") || ("))),
        ]
    })
}

#[test]
fn plain_conditions_do_without_rhai() {
    let is_plain = |text: &str| CompiledExpression::compile(text).unwrap().0.direct.is_some();
    for text in [
        "days <= 3",
        "a > 1 && !(b == 'x' || c)",
        "a == null",
        "null != a && a >= 1.5",
        "!flag",
    ] {
        assert!(is_plain(text), "{text}");
    }
    let long = vec!["a > 1"; 70].join(" && ");
    for text in [
        "a",
        "true",
        "a + 1 > 2",
        "a in [1]",
        "s.trim() == 'x'",
        "m.k > 1",
        "-a > 1",
        long.as_str(),
    ] {
        assert!(!is_plain(text), "{text}");
    }
}

#[test]
fn observed_cases_are_answered_alike_with_and_without_rhai() {
    let mut plain = 0;
    for line in CASES.lines() {
        let (text, _): (String, serde_json::Value) = serde_json::from_str(line).unwrap();
        let Ok(condition) = CompiledExpression::compile(&text) else {
            continue;
        };
        if condition.0.direct.is_some() {
            plain += 1;
            let variables = variables();
            assert_eq!(condition.evaluate(&variables), condition.by_rhai(&variables), "{text}");
        }
    }
    assert!(plain > 20, "{plain}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn plain_conditions_are_answered_as_by_rhai(text in plain()) {
        let condition = CompiledExpression::compile(&text).unwrap();
        let variables = variables();
        prop_assert_eq!(condition.evaluate(&variables), condition.by_rhai(&variables), "{}", text);
    }

    #[test]
    fn random_text_never_panics(text in "\\PC{0,60}") {
        let _ = answer(&text, &variables());
    }

    #[test]
    fn random_soup_never_panics(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..25), spaced: bool) {
        let text = pieces.join(if spaced { " " } else { "" });
        let first = answer(&text, &variables());
        prop_assert_eq!(first, answer(&text, &variables()));
    }

    #[test]
    fn random_integers_compute_as_machine_integers(left: i32, right: i32) {
        let variables = map_of(&format!(r#"{{"x":{left},"y":{right}}}"#));
        prop_assert_eq!(answer("x + y", &variables), format!("int:{}", left.wrapping_add(right)));
        prop_assert_eq!(answer("x * y", &variables), format!("int:{}", left.wrapping_mul(right)));
        prop_assert_eq!(answer("x < y", &variables), format!("bool:{}", left < right));
        prop_assert_eq!(answer("x == y", &variables), format!("bool:{}", left == right));
        prop_assert_eq!(answer("x * 1.0 / 4 * 4 == x", &variables), "bool:true");
    }

    #[test]
    fn texts_compare_by_utf16_units(left in "[a-z\u{e000}-\u{ffff}\u{1f600}-\u{1f610}]{0,4}", right in "[a-z\u{e000}-\u{ffff}\u{1f600}-\u{1f610}]{0,4}") {
        let expected = left.encode_utf16().cmp(right.encode_utf16());
        prop_assert_eq!(item::compare_texts(&left, &right), expected);
    }
}
