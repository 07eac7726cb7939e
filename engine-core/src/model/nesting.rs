//! How deep call activities nest: over the drafts of the modules they call. Knows nothing of what else a model may be.

use std::collections::BTreeMap;
use std::fmt;

use crate::id::FlowModuleId;
use crate::model::element::{Element, ElementType};
use crate::model::validate::{Drafts, Findings, MAX_CALL_DEPTH, Shortened, Shown, ValidationContext};
use crate::result_code::ResultCode;
use crate::value::Value;

/// 3217, 2003 and 2002: the called module exists, no module calls itself, calls do not nest too deep.
pub(super) fn call_nesting(findings: &mut Findings<'_>, nesting: &mut Nesting<'_>, index: usize, element: &Element) {
    match nesting.depth_of_call(&Call::of(element)) {
        Ok(depth) if depth <= nesting.limit => {}
        Ok(depth) => {
            let limit = nesting.limit;
            let message =
                format!("call activities nest {depth} levels deep here, more than {limit}; flatten the called flows");
            findings.fault(index, ResultCode::NestingTooDeep, message);
        }
        Err(failure) => findings.fault(index, failure.code(), failure.to_string()),
    }
}

/// How deep calls nest, per module; each draft is looked through once.
///
/// What is found on the way from one call holds for every other: a failure is the first in element order, and a walk
/// that meets a module of its own path would meet the loop from any module of that path.
pub(super) struct Nesting<'a> {
    drafts: &'a dyn Drafts,
    limit: i64,
    /// `None` while the module is looked through.
    depths: BTreeMap<FlowModuleId, Option<Result<i64, NestingFailure>>>,
}

impl<'a> Nesting<'a> {
    pub(super) fn new(context: &ValidationContext<'a>) -> Self {
        let limit = if context.max_call_depth < 0 {
            MAX_CALL_DEPTH
        } else {
            context.max_call_depth.min(MAX_CALL_DEPTH)
        };
        // The module itself is being looked through already.
        Self {
            drafts: context.drafts,
            limit,
            depths: BTreeMap::from([(context.module.clone(), None)]),
        }
    }

    fn depth_of_call(&mut self, call: &Call) -> Result<i64, NestingFailure> {
        match call {
            Call::Open => Ok(1),
            Call::Module(module) => self.depth_of_module(module),
            Call::Unreadable(value) => Err(NestingFailure::Unreadable(value.clone())),
        }
    }

    fn depth_of_module(&mut self, module: &FlowModuleId) -> Result<i64, NestingFailure> {
        struct Frame {
            module: FlowModuleId,
            calls: std::vec::IntoIter<Call>,
            deepest: i64,
        }
        if let Some(known) = self.known(module) {
            return known;
        }
        let frame = |module: &FlowModuleId, calls: Vec<Call>| Frame {
            module: module.clone(),
            calls: calls.into_iter(),
            deepest: 0,
        };
        let mut result = Ok(0);
        let mut path = match self.enter(module) {
            Ok(calls) => vec![frame(module, calls)],
            Err(failure) => return Err(failure),
        };
        while let Some(top) = path.last_mut() {
            let depth = match top.calls.next() {
                Some(Call::Open) => Ok(1),
                Some(Call::Unreadable(value)) => Err(NestingFailure::Unreadable(value)),
                Some(Call::Module(called)) => match self.known(&called) {
                    Some(depth) => depth,
                    None => match self.enter(&called) {
                        Ok(calls) => {
                            path.push(frame(&called, calls));
                            continue;
                        }
                        Err(failure) => Err(failure),
                    },
                },
                None => {
                    let depth = top.deepest.saturating_add(1);
                    self.depths.insert(top.module.clone(), Some(Ok(depth)));
                    path.pop();
                    result = Ok(depth);
                    Ok(depth)
                }
            };
            match (depth, path.last_mut()) {
                (Ok(depth), Some(top)) => top.deepest = top.deepest.max(depth),
                (Ok(_), None) => {}
                (Err(failure), _) => {
                    for frame in path.drain(..) {
                        self.depths.insert(frame.module, Some(Err(failure.clone())));
                    }
                    result = Err(failure);
                }
            }
        }
        result
    }

    fn known(&self, module: &FlowModuleId) -> Option<Result<i64, NestingFailure>> {
        let depth = self.depths.get(module)?;
        Some(
            depth
                .clone()
                .unwrap_or_else(|| Err(NestingFailure::Loop(module.clone()))),
        )
    }

    fn enter(&mut self, module: &FlowModuleId) -> Result<Vec<Call>, NestingFailure> {
        let Some(draft) = self.drafts.draft(module) else {
            let failure = NestingFailure::UnknownModule(module.clone());
            self.depths.insert(module.clone(), Some(Err(failure.clone())));
            return Err(failure);
        };
        self.depths.insert(module.clone(), None);
        let calls = draft
            .elements()
            .iter()
            .filter(|element| element.element_type == ElementType::CallActivity);
        Ok(calls.map(Call::of).collect())
    }
}

/// What a call activity calls.
enum Call {
    /// Named only when it is committed.
    Open,
    Module(FlowModuleId),
    /// The property is not text.
    Unreadable(String),
}

impl Call {
    /// Reads the property; blank is as good as absent (T-25).
    fn of(element: &Element) -> Self {
        match element.property("callActivityFlowModuleId") {
            None | Some(Value::Null) => Self::Open,
            Some(Value::Text(text)) if text.trim().is_empty() => Self::Open,
            Some(Value::Text(text)) => Self::Module(FlowModuleId::new(text)),
            Some(other) => Self::Unreadable(Shown(other).to_string()),
        }
    }
}

/// Why the depth of a call cannot be told.
#[derive(Clone, Debug)]
enum NestingFailure {
    UnknownModule(FlowModuleId),
    Loop(FlowModuleId),
    Unreadable(String),
}

impl NestingFailure {
    fn code(&self) -> ResultCode {
        match self {
            Self::UnknownModule(_) | Self::Unreadable(_) => ResultCode::ModelAttributeUnknown,
            Self::Loop(_) => ResultCode::NestingLoop,
        }
    }
}

impl fmt::Display for NestingFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownModule(module) => {
                let module = module.to_string();
                write!(
                    f,
                    "callActivityFlowModuleId leads to module {}, which does not exist; create it, or correct the id",
                    Shortened(&module)
                )
            }
            Self::Loop(module) => {
                let module = module.to_string();
                write!(
                    f,
                    "callActivityFlowModuleId leads to module {}, which calls itself, perhaps through others; remove one of the calls",
                    Shortened(&module)
                )
            }
            Self::Unreadable(value) => write!(f, "callActivityFlowModuleId is {value}; it must be text, in quotes"),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::validate::tests::{KnownDrafts, SOUND, calling, faults, model};
    use crate::model::validate::validate;
    use crate::profile::Profile;

    fn drafts(modules: &[(&str, &str)]) -> KnownDrafts {
        modules
            .iter()
            .map(|(name, text)| (FlowModuleId::new(name), model(text)))
            .collect()
    }

    #[track_caller]
    fn check_nesting(text: &str, drafts: &KnownDrafts, expected: &[&str]) {
        for profile in [Profile::Documented, Profile::Turbo131] {
            assert_eq!(faults(&model(text), drafts, profile), expected, "{text}");
        }
    }

    #[test]
    fn called_module_exists_3217() {
        let drafts = drafts(&[
            ("leaf", SOUND),
            ("broken", &calling("\"nowhere\"")),
            ("odd", &calling("7")),
        ]);
        check_nesting(&calling("\"leaf\""), &drafts, &[]);
        check_nesting(&calling("\"nowhere\""), &drafts, &["3217 c"]);
        check_nesting(&calling("\"broken\""), &drafts, &["3217 c"]);
        check_nesting(&calling("\"odd\""), &drafts, &["3217 c"]);
        check_nesting(&calling("5"), &drafts, &["3217 c"]);
        for blank in ["\"\"", "\"  \"", "null"] {
            check_nesting(&calling(blank), &drafts, &[]);
        }
    }

    #[test]
    fn module_that_calls_itself_is_refused_2003() {
        let drafts = drafts(&[
            ("ping", &calling("\"pong\"")),
            ("pong", &calling("\"ping\"")),
            ("home", &calling("\"own\"")),
            ("own", SOUND),
        ]);
        check_nesting(&calling("\"own\""), &drafts, &["2003 c"]);
        check_nesting(&calling("\"home\""), &drafts, &["2003 c"]);
        check_nesting(&calling("\"ping\""), &drafts, &["2003 c"]);
    }

    /// `m0` calls `m1` twice, and so on; the last calls an open module.
    pub(in crate::model) fn ladder(length: usize) -> KnownDrafts {
        let values =
            |call: String| format!(r#"{{"callActivityExecuteType":"sync","callActivityInstanceType":"single"{call}}}"#);
        let step = |level: usize| {
            let call = if level + 1 == length {
                String::new()
            } else {
                format!(r#","callActivityFlowModuleId":"m{}""#, level + 1)
            };
            let values = values(call);
            let text = format!("2 s . a; 1 a s c; 8 c a b {values}; 1 b c d; 8 d b x {values}; 1 x d e; 3 e x .");
            (FlowModuleId::new(&format!("m{level}")), model(&text))
        };
        (0..length).map(step).collect()
    }

    #[test]
    fn calls_nest_to_the_limit_2002() {
        let check = |length: usize, max_call_depth: i64, expected: &[i32]| {
            let (own, drafts) = (FlowModuleId::new("own"), ladder(length));
            let context = ValidationContext {
                max_call_depth,
                ..ValidationContext::new(Profile::Turbo131, &own, &drafts)
            };
            let faults = validate(&model(&calling("\"m0\"")), &context).faults;
            let codes: Vec<i32> = faults.iter().map(|fault| fault.code.number()).collect();
            assert_eq!(codes, expected, "{length} {max_call_depth}");
        };
        // Each module of the ladder is one level, and the open call at its end another.
        for unlimited in [-1, 10, 1000] {
            check(9, unlimited, &[]);
            check(10, unlimited, &[2002]);
        }
        check(2, 3, &[]);
        check(3, 3, &[2002]);
        check(1, 0, &[2002]);
        check(2_000, 10, &[2002]);
    }
}
