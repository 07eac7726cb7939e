//! Reads the text of a flow model. Knows the JSON's shape and the limits, nothing of which flows are allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::invariant::{Invariant, MAX_INVARIANTS};
use crate::model::element::{Element, ElementType, Properties};
use crate::model::flow_model::{FlowModel, ReasonOptions};
use crate::model::validate::{ModelFault, Shortened};
use crate::result_code::ResultCode;
use crate::value::Value;

/// How large a flow model may be; [`ModelLimits::default`] gives the named constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelLimits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Elements in `flowElementList`.
    pub elements: usize,
    /// Nesting of lists and objects in the text, unknown members included. A value inside `properties` nests no deeper
    /// than [`crate::value::MAX_DEPTH`], whatever is set here.
    pub depth: usize,
    /// Members in the `properties` of one element.
    pub properties: usize,
    /// Keys in `incoming`, or in `outgoing`, of one element.
    pub connections: usize,
    /// Bytes of one key.
    pub key_bytes: usize,
}

impl ModelLimits {
    /// Bytes of the text, unless configured: 8 MiB.
    pub const BYTES: usize = 8 * 1024 * 1024;
    /// Elements, unless configured.
    pub const ELEMENTS: usize = 50_000;
    /// Nesting, unless configured.
    pub const DEPTH: usize = 64;
    /// Properties of one element, unless configured.
    pub const PROPERTIES: usize = 1_000;
    /// Keys in one `incoming` or `outgoing`, unless configured.
    pub const CONNECTIONS: usize = 10_000;
    /// Bytes of one key, unless configured.
    pub const KEY_BYTES: usize = 512;
}

impl Default for ModelLimits {
    fn default() -> Self {
        Self {
            bytes: Self::BYTES,
            elements: Self::ELEMENTS,
            depth: Self::DEPTH,
            properties: Self::PROPERTIES,
            connections: Self::CONNECTIONS,
            key_bytes: Self::KEY_BYTES,
        }
    }
}

/// Reads a flow model: `{"flowElementList":[{"key","type","incoming","outgoing","properties"}]}`, and beside it
/// `reasonOptions`, the reasons the flow offers for suspend, resume, abort and restore, and `invariants`, what must hold of its
/// instances ([`Invariant`]). A mistake in these is no error here: [`FlowModel::invariant_faults`] has it.
///
/// Unknown members are ignored, of a member given twice the last counts, null is as good as absent. Absent `incoming`
/// and `outgoing` are empty, an absent `key` is the empty text, an absent `type` is 0. A number where a key is expected
/// is taken as its text, and a type may be a number in quotes, as the reference's JSON reader takes them.
///
/// # Errors
/// The first fault in the text: 3201 when it is not JSON or has no elements, 3217 when an element does not have the
/// shape above or a limit is reached.
///
/// ```
/// use flowledger_engine_core::model::parse::{ModelLimits, parse};
///
/// let model = parse(r#"{"flowElementList":[{"key":"start","type":2}]}"#, &ModelLimits::default())?;
/// assert_eq!(model.elements().len(), 1);
/// # Ok::<(), flowledger_engine_core::model::validate::ModelFault>(())
/// ```
pub fn parse(text: &str, limits: &ModelLimits) -> Result<FlowModel, ModelFault> {
    let source = Source { text, limits };
    source.within("bytes", text.len(), limits.bytes, format_args!("the flow model"), None)?;
    source.check_depth()?;
    let members = source.members()?;
    let list = source.element_list(&members)?;
    source.within(
        "elements",
        list.len(),
        limits.elements,
        format_args!("flowElementList"),
        None,
    )?;
    let elements: Result<Vec<Element>, ModelFault> = list
        .into_iter()
        .enumerate()
        .map(|(index, element)| source.element(index, element.get()))
        .collect();
    let (invariants, faults) = source.invariants(&members);
    Ok(FlowModel::new(elements?)
        .with_reason_options(source.reason_options(&members)?)
        .with_invariants(invariants, faults))
}

/// The commands that a flow can offer reasons for.
const REASONED: [&str; 4] = ["suspend", "resume", "abort", "restore"];

type Members<'t> = BTreeMap<String, &'t RawValue>;

struct Source<'t, 'l> {
    text: &'t str,
    limits: &'l ModelLimits,
}

impl<'t> Source<'t, '_> {
    /// Refuses deep nesting before anything recursive sees the text. In text that is not JSON the count means nothing,
    /// but then the text is refused anyway.
    fn check_depth(&self) -> Result<(), ModelFault> {
        let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
        for (offset, byte) in self.text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_text => escaped = true,
                b'"' => in_text = !in_text,
                b'{' | b'[' if !in_text => {
                    depth = depth.saturating_add(1);
                    if depth > self.limits.depth {
                        let place = self.place_at(offset);
                        let message = limit_message(
                            "depth",
                            "the flow model nests lists and objects deeper",
                            self.limits.depth,
                        );
                        return Err(unknown_value(format!("{message}; see {place}")));
                    }
                }
                b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    fn members(&self) -> Result<Members<'t>, ModelFault> {
        if self.text.trim().is_empty() {
            return Err(empty_model("the flow model is an empty text".to_owned()));
        }
        // Read as a whole first, so that line and column of a mistake are those of the text.
        let model: &'t RawValue = serde_json::from_str(self.text)
            .map_err(|error| empty_model(format!("the flow model is not JSON: {error}; correct the text there")))?;
        self.object(model.get(), format_args!("the flow model"))
            .map_err(empty_model)
    }

    /// `{"abort":["duplicate","by the customer"],"suspend":[…]}`: what the flow offers as reasons.
    fn reason_options(&self, members: &Members<'t>) -> Result<ReasonOptions, ModelFault> {
        let what = format_args!("reasonOptions");
        let given = members
            .get("reasonOptions")
            .map(|raw| raw.get())
            .filter(|text| kind(text) != Kind::Null);
        let Some(text) = given else {
            return Ok(ReasonOptions::new());
        };
        let commands = self.object(text, what).map_err(unknown_value)?;
        commands
            .into_iter()
            .map(|(command, list)| {
                if !REASONED.contains(&command.as_str()) {
                    let message = format!(
                        "{}, which takes no reason option; use {}",
                        Shortened(&command),
                        REASONED.join(", ")
                    );
                    return Err(unknown_value(format!("reasonOptions names {message}")));
                }
                let options = self.keys(list.get(), format_args!("reasonOptions/{command}"))?;
                Ok((command.into(), options))
            })
            .collect()
    }

    /// `[{"name":"…","never":"…"}]`: what must hold, and what is wrong with how it is written.
    fn invariants(&self, members: &Members<'t>) -> (Vec<Invariant>, Vec<ModelFault>) {
        let given = members
            .get("invariants")
            .map(|raw| raw.get())
            .filter(|text| kind(text) != Kind::Null);
        let (mut invariants, mut faults) = (Vec::new(), Vec::new());
        let items = given.map(|text| self.list(text, format_args!("invariants")));
        let items = items.unwrap_or(Ok(Vec::new())).unwrap_or_else(|fault| {
            faults.push(unknown_value(fault));
            Vec::new()
        });
        for (index, item) in items.into_iter().enumerate() {
            if index >= MAX_INVARIANTS {
                let message = format!("invariants has more than {MAX_INVARIANTS}, as many as a model may have");
                faults.push(unknown_value(message));
                break;
            }
            let what = format!("invariants/{index}");
            let read = self
                .object(item.get(), format_args!("{what}"))
                .and_then(|_| self.read::<Invariant>(item.get(), format_args!("{what}")));
            match read {
                Ok(invariant) => invariants.push(invariant),
                Err(fault) => faults.push(unknown_value(fault)),
            }
        }
        (invariants, faults)
    }

    fn element_list(&self, members: &Members<'t>) -> Result<Vec<&'t RawValue>, ModelFault> {
        let Some(list) = members
            .get("flowElementList")
            .filter(|list| kind(list.get()) != Kind::Null)
        else {
            return Err(empty_model(
                "the flow model has no flowElementList; add one with its elements".to_owned(),
            ));
        };
        let elements = self
            .list(list.get(), format_args!("flowElementList"))
            .map_err(empty_model)?;
        if elements.is_empty() {
            let place = self.place(list.get());
            return Err(empty_model(format!(
                "flowElementList ({place}) is empty; add the elements of the flow"
            )));
        }
        Ok(elements)
    }

    fn element(&self, index: usize, text: &'t str) -> Result<Element, ModelFault> {
        let what = format!("flowElementList/{index}");
        let members = self.object(text, format_args!("{what}")).map_err(unknown_value)?;
        let member = |name: &str| {
            members
                .get(name)
                .map(|raw| raw.get())
                .filter(|text| kind(text) != Kind::Null)
        };
        let key = match member("key") {
            Some(key) => self.key(key, format_args!("{what}/key"))?,
            None => Arc::from(""),
        };
        let located = |fault: ModelFault| fault.at_key(&key);
        let keys = |name: &str| match member(name) {
            Some(list) => self.keys(list, format_args!("{what}/{name}")).map_err(located),
            None => Ok(Vec::new()),
        };
        let element_type = match member("type") {
            Some(number) => self
                .element_type(number, format_args!("{what}/type"))
                .map_err(located)?,
            None => ElementType::Unknown(0),
        };
        let properties = match member("properties") {
            Some(text) => Some(
                self.properties(text, format_args!("{what}/properties"))
                    .map_err(located)?,
            ),
            None => None,
        };
        Ok(Element {
            element_type,
            incoming: keys("incoming")?,
            outgoing: keys("outgoing")?,
            properties,
            key,
        })
    }

    fn element_type(&self, text: &'t str, what: fmt::Arguments<'_>) -> Result<ElementType, ModelFault> {
        let number = match kind(text) {
            Kind::Number => integer(text),
            Kind::Text => self
                .read::<String>(text, what)
                .map_err(unknown_value)?
                .trim()
                .parse()
                .ok(),
            _ => None,
        };
        let wrong = || self.wrong(text, what, format_args!("{}; a type is an integer", Shortened(text)));
        number
            .map(ElementType::from_number)
            .ok_or_else(|| unknown_value(wrong()))
    }

    fn keys(&self, text: &'t str, what: fmt::Arguments<'_>) -> Result<Vec<Arc<str>>, ModelFault> {
        let items = self.list(text, what).map_err(unknown_value)?;
        self.within("connections", items.len(), self.limits.connections, what, Some(text))?;
        let keys = items.into_iter().enumerate();
        keys.map(|(index, key)| self.key(key.get(), format_args!("{what}/{index}")))
            .collect()
    }

    fn key(&self, text: &'t str, what: fmt::Arguments<'_>) -> Result<Arc<str>, ModelFault> {
        let key: Arc<str> = match kind(text) {
            Kind::Text => self.read::<String>(text, what).map_err(unknown_value)?.into(),
            Kind::Number => Arc::from(text),
            other => {
                let found = other.name();
                return Err(unknown_value(self.wrong(
                    text,
                    what,
                    format_args!("{found}; a key is text"),
                )));
            }
        };
        self.within("key_bytes", key.len(), self.limits.key_bytes, what, Some(text))?;
        Ok(key)
    }

    fn properties(&self, text: &'t str, what: fmt::Arguments<'_>) -> Result<Arc<Properties>, ModelFault> {
        let members = self.object(text, what).map_err(unknown_value)?;
        self.within("properties", members.len(), self.limits.properties, what, Some(text))?;
        let mut properties = Properties::new();
        for (name, value) in members {
            let value = Value::from_json(value.get()).map_err(|error| {
                unknown_value(self.unreadable(value.get(), format_args!("{what}/{}", Shortened(&name)), &error))
            })?;
            properties.insert(name.into(), value);
        }
        Ok(Arc::new(properties))
    }

    fn object(&self, part: &'t str, what: fmt::Arguments<'_>) -> Result<Members<'t>, String> {
        match kind(part) {
            Kind::Object => self.read(part, what),
            other => Err(self.wrong(part, what, format_args!("{}; it must be an object", other.name()))),
        }
    }

    fn list(&self, part: &'t str, what: fmt::Arguments<'_>) -> Result<Vec<&'t RawValue>, String> {
        match kind(part) {
            Kind::List => self.read(part, what),
            other => Err(self.wrong(part, what, format_args!("{}; it must be a list", other.name()))),
        }
    }

    /// Reads a part whose syntax is known to be right: what remains are broken escapes in text.
    fn read<T: Deserialize<'t>>(&self, part: &'t str, what: fmt::Arguments<'_>) -> Result<T, String> {
        serde_json::from_str(part).map_err(|error| self.unreadable(part, what, &error))
    }

    fn wrong(&self, part: &str, what: fmt::Arguments<'_>, is: fmt::Arguments<'_>) -> String {
        format!("{what} ({}) is {is}", self.place(part))
    }

    /// Leaves out the position in the error: it counts from the part that was read.
    fn unreadable(&self, part: &str, what: fmt::Arguments<'_>, error: &serde_json::Error) -> String {
        let error = error.to_string();
        let reason = error
            .rsplit_once(" at line ")
            .map_or(error.as_str(), |(reason, _)| reason);
        format!(
            "{what} ({}) cannot be read: {reason}; correct the text there",
            self.place(part)
        )
    }

    fn within(
        &self,
        limit: &str,
        found: usize,
        most: usize,
        what: fmt::Arguments<'_>,
        part: Option<&str>,
    ) -> Result<(), ModelFault> {
        if found <= most {
            return Ok(());
        }
        let place = part.map_or_else(String::new, |part| format!(" ({})", self.place(part)));
        let found = format!("{what}{place} has {found} {}, more", unit(limit));
        Err(unknown_value(limit_message(limit, &found, most)))
    }

    fn place(&self, part: &str) -> String {
        self.place_at(part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr()))
    }

    fn place_at(&self, offset: usize) -> String {
        let before = self.text.as_bytes().get(..offset).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let column = before
            .iter()
            .rev()
            .take_while(|byte| **byte != b'\n')
            .count()
            .saturating_add(1);
        format!("line {line}, column {column}")
    }
}

fn empty_model(message: String) -> ModelFault {
    ModelFault::of_model(ResultCode::ModelEmpty, message)
}

fn unknown_value(message: String) -> ModelFault {
    ModelFault::of_model(ResultCode::ModelAttributeUnknown, message)
}

fn unit(limit: &str) -> &str {
    match limit {
        "key_bytes" => "bytes",
        "connections" => "keys",
        other => other,
    }
}

fn limit_message(limit: &str, found: &str, most: usize) -> String {
    format!(
        "{found} than the limit `{limit}` of {most}; make the flow smaller, or raise the limit with the engine builder"
    )
}

/// The integer a JSON number stands for: `2`, `2.0` and `2e0` are 2.
fn integer(text: &str) -> Option<i64> {
    match Value::number(text)? {
        Value::Int(int) => Some(int),
        Value::Decimal(decimal) if decimal.is_integer() => decimal.with_scale(0).to_string().parse().ok(),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

/// The kind of a JSON value, by its first byte.
fn kind(text: &str) -> Kind {
    match text.bytes().next() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> ModelFault {
        parse(text, &ModelLimits::default()).unwrap_err()
    }

    fn check_refused(text: &str, code: i32, message: &str) {
        let fault = refused(text);
        assert_eq!(fault.code.number(), code, "{text}: {fault}");
        assert!(fault.to_string().contains(message), "{text}: {fault}");
    }

    #[test]
    fn every_member_is_read_and_unknown_ones_are_not() {
        let text = r#"{"dockers":[[[]]],"flowElementList":[{"key":"f","type":1,"incoming":["a","b"],"outgoing":["c"],
            "bounds":{"x":1},"properties":{"conditionsequenceflow":"a > 1","n":1.50,"deep":{"k":[true,null]}}}]}"#;
        let model = parse(text, &ModelLimits::default()).unwrap();
        let [element] = model.elements() else {
            panic!("one element")
        };
        assert_eq!(
            (element.key.as_ref(), element.element_type),
            ("f", ElementType::SequenceFlow)
        );
        assert_eq!(element.incoming, [Arc::from("a"), Arc::from("b")]);
        assert_eq!(element.outgoing, [Arc::from("c")]);
        assert_eq!(element.condition(), Some("a > 1"));
        assert_eq!(element.property("n").unwrap().to_string(), "1.50");
        assert_eq!(element.property("deep").unwrap().to_string(), r#"{"k":[true,null]}"#);
    }

    #[test]
    fn absent_and_null_members_are_empty() {
        for text in [
            r#"{"flowElementList":[{}]}"#,
            r#"{"flowElementList":[{"key":null,"type":null,"incoming":null,"outgoing":null,"properties":null}]}"#,
        ] {
            let model = parse(text, &ModelLimits::default()).unwrap();
            let element = Element {
                key: "".into(),
                element_type: ElementType::Unknown(0),
                incoming: Vec::new(),
                outgoing: Vec::new(),
                properties: None,
            };
            assert_eq!(model.elements(), [element]);
        }
    }

    #[test]
    fn members_are_taken_as_the_reference_takes_them() {
        for (number, element_type) in [
            ("4", ElementType::UserTask),
            ("4.0", ElementType::UserTask),
            ("4e0", ElementType::UserTask),
            ("\" 4\"", ElementType::UserTask),
            ("-1", ElementType::Unknown(-1)),
        ] {
            let text = format!(r#"{{"flowElementList":[{{"key":7,"type":1,"type":{number},"incoming":[1.5]}}]}}"#);
            let model = parse(&text, &ModelLimits::default()).unwrap();
            let element = model.element("7").unwrap();
            assert_eq!(element.element_type, element_type);
            assert_eq!(element.incoming, [Arc::from("1.5")]);
        }
    }

    #[test]
    fn text_without_elements_is_an_empty_model() {
        for (text, message) in [
            ("", "empty text"),
            (" \n", "empty text"),
            ("x", "not JSON: expected value at line 1 column 1"),
            ("{\"flowElementList\":[\n{\"key\":\"a\",}]}", "line 2 column 12"),
            ("{\"flowElementList\":[", "not JSON: EOF"),
            ("{} {}", "trailing characters"),
            ("null", "null"),
            ("[]", "is a list"),
            ("\"{}\"", "is text"),
            ("{}", "no flowElementList"),
            (r#"{"flowElementList":null}"#, "no flowElementList"),
            (r#"{"flowElementList":{}}"#, "(line 1, column 20) is an object"),
            ("{\"flowElementList\":\n[]}", "(line 2, column 1) is empty"),
        ] {
            check_refused(text, 3201, message);
        }
    }

    #[test]
    fn element_of_another_shape_is_refused_with_its_place() {
        for (element, message) in [
            ("7", "flowElementList/1 (line 2, column 1) is a number"),
            ("null", "is null"),
            (r#"{"key":{}}"#, "flowElementList/1/key (line 2, column 8) is an object"),
            (r#"{"key":true}"#, "is true or false; a key is text"),
            (r#"{"key":"\uD800"}"#, "cannot be read"),
            (
                r#"{"key":"a","type":"user"}"#,
                "element a: flowElementList/1/type (line 2, column 19) is \"user\"",
            ),
            (r#"{"key":"a","type":2.5}"#, "a type is an integer"),
            (r#"{"key":"a","type":9223372036854775808}"#, "a type is an integer"),
            (r#"{"key":"a","type":1e999999999}"#, "a type is an integer"),
            (r#"{"key":"a","type":[2]}"#, "a type is an integer"),
            (r#"{"key":"a","incoming":"f"}"#, "element a: flowElementList/1/incoming"),
            (
                r#"{"key":"a","outgoing":{}}"#,
                "flowElementList/1/outgoing (line 2, column 23) is an object",
            ),
            (
                r#"{"key":"a","outgoing":["b",null]}"#,
                "flowElementList/1/outgoing/1 (line 2, column 28) is null",
            ),
            (r#"{"key":"a","properties":[]}"#, "flowElementList/1/properties"),
            (
                r#"{"key":"a","properties":{"p":"\uDC00"}}"#,
                "flowElementList/1/properties/p",
            ),
        ] {
            check_refused(
                &format!("{{\"flowElementList\":[{{\"key\":\"s\"}},\n{element}]}}"),
                3217,
                message,
            );
        }
    }

    #[test]
    fn every_limit_is_named_where_it_is_reached() {
        let limits = ModelLimits {
            bytes: 400,
            elements: 2,
            depth: 6,
            properties: 2,
            connections: 2,
            key_bytes: 4,
        };
        let check = |element: &str, refused: Option<&str>| {
            let text = format!(r#"{{"flowElementList":[{{"key":"s"}},{element}]}}"#);
            match (parse(&text, &limits), refused) {
                (Ok(_), None) => {}
                (Err(fault), Some(limit)) => {
                    assert_eq!(fault.code.number(), 3217);
                    assert!(
                        fault.to_string().contains(&format!("than the limit `{limit}` of")),
                        "{fault}"
                    );
                }
                (other, _) => panic!("{element}: {other:?}"),
            }
        };
        check(r#"{"x":[[[]]]}"#, None);
        check(r#"{"x":[[[[]]]]}"#, Some("depth"));
        check(r#"{"x":"[[[[[[[[\"[[[["}"#, None);
        check(r#"{"properties":{"a":1,"b":2}}"#, None);
        check(r#"{"properties":{"a":1,"b":2,"c":3}}"#, Some("properties"));
        check(r#"{"incoming":["a","b"]}"#, None);
        check(r#"{"incoming":["a","b","c"]}"#, Some("connections"));
        check(r#"{"outgoing":["a","b","c"]}"#, Some("connections"));
        check(r#"{"key":"äö"}"#, None);
        check(r#"{"key":"äöü"}"#, Some("key_bytes"));
        check(r#"{"outgoing":["abcde"]}"#, Some("key_bytes"));
        check("{},{}", Some("elements"));
        check(&format!(r#"{{"x":"{}"}}"#, "y".repeat(400)), Some("bytes"));
    }

    #[test]
    fn reason_options_are_lists_of_texts_by_command() {
        let elements = r#""flowElementList":[{"key":"s"}]"#;
        let text = format!(r#"{{{elements},"reasonOptions":{{"abort":["duplicate","by the customer"]}}}}"#);
        let model = parse(&text, &ModelLimits::default()).unwrap();
        assert_eq!(model.reason_options("abort").len(), 2);
        assert!(model.reason_options("suspend").is_empty());
        for (wrong, message) in [
            (r#"["a"]"#, "reasonOptions"),
            (r#"{"abort":"a"}"#, "reasonOptions/abort"),
            (r#"{"abort":[null]}"#, "reasonOptions/abort/0"),
            (r#"{"commit":["a"]}"#, "takes no reason option"),
        ] {
            check_refused(&format!(r#"{{{elements},"reasonOptions":{wrong}}}"#), 3217, message);
        }
    }

    #[test]
    fn hostile_text_is_refused_before_it_costs_anything() {
        check_refused(
            &format!("{}{}", "[".repeat(200), "]".repeat(200)),
            3217,
            "`depth` of 64",
        );
        check_refused(&"{\"a\":".repeat(1_000_000), 3217, "`depth` of 64");
        check_refused(
            &format!(r#"{{"flowElementList":[{{"key":"{}"}}]}}"#, "k".repeat(10 << 20)),
            3217,
            "`bytes`",
        );
        let unlimited = ModelLimits {
            depth: usize::MAX,
            ..ModelLimits::default()
        };
        let deep = format!(
            r#"{{"flowElementList":[{{"key":"a","properties":{{"p":{}1{}}}}}]}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let fault = parse(&deep, &unlimited).unwrap_err();
        assert_eq!(fault.code.number(), 3217, "{fault}");
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(parse(&deep, &unlimited).unwrap_err().code.number(), 3201);
    }
}
