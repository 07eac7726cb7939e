//! Runs printed conditions: the only file that names rhai, which has no word, operator or limit here that is not ours.

use std::sync::{Arc, LazyLock};

use num_bigint::BigInt;
use rhai::{AST, Dynamic, Engine, EvalAltResult, ImmutableString, OptimizationLevel, ParseErrorType, Scope};

use super::decimal::Decimal;
use super::item::{Item, List, Map, check_text};
use super::number::Number;
use super::print::{binary_name, unary_name};
use super::tree::{Binary, Class, Type, Unary};
use super::{ExpressionError, MAX_OPERATIONS, MAX_TEXT_BYTES, Variables, method, operator, statics};

/// Deepest nesting that rhai reads; with it a condition needs less than half of a thread's usual 2 MiB of stack, unoptimized.
const MAX_RHAI_LEVELS: usize = 80;
/// Bytes of rhai that one byte of a condition prints to, at most, and so the longest text rhai may read.
const MAX_RHAI_TEXT: usize = MAX_TEXT_BYTES * 10;

type Answer<T> = Result<T, Box<EvalAltResult>>;

/// The one engine; when its limits do not hold, the reason.
static ENGINE: LazyLock<Result<Engine, ExpressionError>> = LazyLock::new(|| {
    let engine = build();
    probe(&engine)?;
    Ok(engine)
});

/// A condition that rhai has read.
#[derive(Debug)]
pub(super) struct Program {
    ast: AST,
    /// Names of the variables in rhai, in their order.
    variables: Vec<String>,
}

impl Program {
    pub(super) fn compile(rhai: &str, variables: Vec<String>) -> Result<Self, ExpressionError> {
        let engine = engine()?;
        let ast = engine.compile_expression(rhai).map_err(|error| {
            debug_assert!(
                matches!(error.err_type(), ParseErrorType::ExprTooDeep),
                "{error}: {rhai}"
            );
            ExpressionError::limit("it nests too deep for the evaluator; split the condition")
        })?;
        Ok(Self { ast, variables })
    }

    /// Evaluates with the variables that are present; one that is not is an error only when it is reached.
    pub(super) fn evaluate(&self, names: &[Arc<str>], variables: &dyn Variables) -> Result<Item, ExpressionError> {
        let mut scope = Scope::new();
        for (name, known_as) in names.iter().zip(&self.variables) {
            if let Some(value) = variables.get(name) {
                scope.push_dynamic(known_as.as_str(), Dynamic::from(Item::from(value)));
            }
        }
        let result = engine()?.eval_ast_with_scope::<Dynamic>(&mut scope, &self.ast);
        result.map_err(|error| self.error(*error, names)).and_then(|value| {
            let kind = value.type_name();
            let item = value.as_bool().ok().map(Item::Bool).or_else(|| value.try_cast());
            item.ok_or_else(|| ExpressionError::evaluation(format!("the evaluator gave a foreign {kind}")))
        })
    }

    fn error(&self, error: EvalAltResult, names: &[Arc<str>]) -> ExpressionError {
        match error {
            EvalAltResult::ErrorRuntime(fault, _) => fault
                .try_cast::<ExpressionError>()
                .unwrap_or_else(|| ExpressionError::evaluation("the evaluator failed without a reason")),
            EvalAltResult::ErrorVariableNotFound(known_as, _) => {
                let index = self.variables.iter().position(|variable| *variable == known_as);
                let name = index
                    .and_then(|index| names.get(index))
                    .map_or(known_as, ToString::to_string);
                ExpressionError::Missing { name }
            }
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => self.error(*inner, names),
            EvalAltResult::ErrorTooManyOperations(_) => ExpressionError::limit(format!(
                "it takes more than {MAX_OPERATIONS} operations; split the condition"
            )),
            EvalAltResult::ErrorDataTooLarge(what, _) => ExpressionError::limit(what),
            EvalAltResult::ErrorStackOverflow(_) => ExpressionError::limit("it calls too deep"),
            other => ExpressionError::evaluation(other.to_string()),
        }
    }
}

fn engine() -> Result<&'static Engine, ExpressionError> {
    ENGINE.as_ref().map_err(Clone::clone)
}

fn build() -> Engine {
    let mut engine = Engine::new_raw();
    engine.set_max_operations(MAX_OPERATIONS);
    engine.set_max_expr_depths(MAX_RHAI_LEVELS, MAX_RHAI_LEVELS);
    engine.set_max_call_levels(MAX_RHAI_LEVELS);
    engine.set_max_string_size(MAX_RHAI_TEXT);
    engine.set_max_array_size(MAX_TEXT_BYTES);
    engine.set_max_map_size(1);
    engine.set_max_variables(MAX_TEXT_BYTES);
    // Literals are calls of ours; folding them makes each once.
    engine.set_optimization_level(OptimizationLevel::Full);
    register_literals(&mut engine);
    register_operators(&mut engine);
    register_members(&mut engine);
    engine
}

/// Refuses an engine whose limits were taken out by a feature that another crate of the build enables.
fn probe(engine: &Engine) -> Result<(), ExpressionError> {
    let refused = |limit: &str| {
        let detail = format!("the evaluator is built without its limit on {limit}; disable rhai's `unchecked` feature");
        Err(ExpressionError::limit(detail))
    };
    // The bomb ends by itself, so that an engine without limits fails here and does not hang.
    let bomb = format!("let i = 0; while i < {MAX_OPERATIONS} {{ i += 1; }} i");
    let bombed = engine.compile(bomb).map(|ast| engine.eval_ast::<Dynamic>(&ast));
    if !matches!(bombed, Ok(Err(error)) if matches!(*error, EvalAltResult::ErrorTooManyOperations(_))) {
        return refused("operations");
    }
    let depth = MAX_RHAI_LEVELS + 1;
    let deep = format!("{}true{}", "truth(".repeat(depth), ")".repeat(depth));
    if engine.compile_expression(deep).is_ok() {
        return refused("nesting");
    }
    let long = format!("[{}]", "true,".repeat(MAX_TEXT_BYTES + 1));
    let long = engine
        .compile_expression(long)
        .map(|ast| engine.eval_ast::<Dynamic>(&ast).is_ok());
    if matches!(long, Ok(true)) {
        return refused("sizes of lists");
    }
    let text = format!("\"{}\"", "x".repeat(MAX_RHAI_TEXT + 1));
    if engine.compile_expression(text).is_ok() {
        return refused("sizes of texts");
    }
    Ok(())
}

fn answer<T>(result: Result<T, ExpressionError>) -> Answer<T> {
    result.map_err(|error| Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(error), rhai::Position::NONE)))
}

/// The values of an array that the printer wrote.
fn items(array: rhai::Array) -> Vec<Item> {
    array
        .into_iter()
        .map(|value| value.try_cast().unwrap_or(Item::Null))
        .collect()
}

fn register_literals(engine: &mut Engine) {
    let literal =
        |text: &str| answer(Decimal::read(text).unwrap_or_else(|| Err(ExpressionError::evaluation("no number"))));
    engine.register_type_with_name::<Item>("value");
    engine.register_fn("nothing", || Item::Null);
    engine.register_fn("bool", Item::Bool);
    engine.register_fn("int", |int: rhai::INT| Item::Number(Number::from_i64(int)));
    engine.register_fn("long", |text: &str| {
        text.parse().map_or(Item::Null, |long| Item::Number(Number::Long(long)))
    });
    engine.register_fn("big", |text: &str| {
        text.parse::<BigInt>()
            .map_or(Item::Null, |big| Item::Number(Number::Big(big)))
    });
    engine.register_fn("decimal", move |text: &str| {
        literal(text).map(|decimal| Item::Number(Number::Decimal(decimal)))
    });
    engine.register_fn("float", |text: &str| {
        text.parse()
            .map_or(Item::Null, |float| Item::Number(Number::Float(float)))
    });
    engine.register_fn("double", |text: &str| {
        text.parse()
            .map_or(Item::Null, |double| Item::Number(Number::Double(double)))
    });
    engine.register_fn("text", |text: ImmutableString| Item::text(text.as_str()));
    engine.register_fn("template", |pieces: rhai::Array| answer(template(&items(pieces))));
    engine.register_fn("list", |array: rhai::Array| Item::List(List::of(items(array))));
    engine.register_fn("map", |array: rhai::Array| {
        let mut items = items(array).into_iter();
        let entries = std::iter::from_fn(|| Some((items.next()?, items.next()?)));
        answer(Map::of(entries).map(Item::Map))
    });
    engine.register_fn("range", |from: Item, to: Item| {
        answer(operator::range(&from, &to, true))
    });
    engine.register_fn("range_before", |from: Item, to: Item| {
        answer(operator::range(&from, &to, false))
    });
}

fn template(pieces: &[Item]) -> Result<Item, ExpressionError> {
    let mut text = String::new();
    for piece in pieces {
        text.push_str(&piece.format()?);
        check_text(text.len())?;
    }
    Ok(Item::Template(text.into()))
}

fn register_operators(engine: &mut Engine) {
    engine.register_fn("truth", |item: Item| item.is_true());
    engine.register_fn("truth", |bool: bool| bool);
    engine.register_fn("true_or_nothing", |item: Item| {
        if item.is_true() {
            Dynamic::from(item)
        } else {
            Dynamic::UNIT
        }
    });
    for unary in Unary::ALL {
        engine.register_fn(unary_name(unary), move |operand: Item| {
            answer(operator::unary(unary, &operand))
        });
    }
    for binary in Binary::ALL {
        engine.register_fn(binary_name(binary), move |left: Item, right: Item| {
            answer(operator::binary(binary, &left, &right))
        });
    }
    let class = |name: &str| Class::named(name).unwrap_or(Class::Object);
    engine.register_fn("instance", move |item: Item, name: &str| {
        Item::Bool(operator::is_instance(&item, class(name)))
    });
    let to = |name: &str| {
        Type::named(name).unwrap_or(Type {
            class: Class::Object,
            primitive: false,
        })
    };
    engine.register_fn("convert", move |item: Item, name: &str| {
        answer(statics::convert(&item, to(name)))
    });
    engine.register_fn("cast", move |item: Item, name: &str| {
        answer(statics::cast(&item, to(name)))
    });
    engine.register_fn("read", |item: Item| item);
}

fn register_members(engine: &mut Engine) {
    engine.register_fn("index", |of: Item, at: Item| answer(operator::index(&of, &at)));
    engine.register_fn("property", |of: Item, name: &str| answer(operator::property(&of, name)));
    engine.register_fn("safe_property", |of: Item, name: &str| match of {
        Item::Null => Ok(Item::Null),
        of => answer(operator::property(&of, name)),
    });
    let named = |of: &Item, name: &Item| name.format().and_then(|name| operator::property(of, &name));
    engine.register_fn("named", move |of: Item, name: Item| answer(named(&of, &name)));
    engine.register_fn("safe_named", move |of: Item, name: Item| match of {
        Item::Null => Ok(Item::Null),
        of => answer(named(&of, &name)),
    });
    engine.register_fn("method", |name: &str, of: Item| answer(method::call(&of, name, &[])));
    engine.register_fn("method", |name: &str, of: Item, one: Item| {
        answer(method::call(&of, name, &[one]))
    });
    engine.register_fn("method", |name: &str, of: Item, more: rhai::Array| {
        answer(method::call(&of, name, &items(more)))
    });
    engine.register_fn("safe_method", |name: &str, of: Item| {
        answer(safe_method(&of, name, &[]))
    });
    engine.register_fn("safe_method", |name: &str, of: Item, one: Item| {
        answer(safe_method(&of, name, &[one]))
    });
    engine.register_fn("safe_method", |name: &str, of: Item, more: rhai::Array| {
        answer(safe_method(&of, name, &items(more)))
    });
    engine.register_fn("static_method", |name: &str| answer(statics::call(name, &[])));
    engine.register_fn("static_method", |name: &str, one: Item| {
        answer(statics::call(name, &[one]))
    });
    engine.register_fn("static_method", |name: &str, more: rhai::Array| {
        answer(statics::call(name, &items(more)))
    });
    engine.register_fn("constant", |name: &str| answer(statics::constant(name)));
    engine.register_fn("no_such_method", |name: &str| answer::<Item>(Err(no_such_method(name))));
    engine.register_fn("no_such_method", |name: &str, _: Item| {
        answer::<Item>(Err(no_such_method(name)))
    });
    engine.register_fn("no_such_method", |name: &str, _: rhai::Array| {
        answer::<Item>(Err(no_such_method(name)))
    });
}

fn safe_method(of: &Item, name: &str, arguments: &[Item]) -> Result<Item, ExpressionError> {
    if matches!(of, Item::Null) {
        Ok(Item::Null)
    } else {
        method::call(of, name, arguments)
    }
}

fn no_such_method(name: &str) -> ExpressionError {
    ExpressionError::evaluation(format!(
        "there is nothing to call by the name `{name}`; methods are called on a value"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_without_an_operation_limit_is_refused() {
        let mut engine = build();
        engine.set_max_operations(0);
        assert_eq!(probe(&engine).unwrap_err().cause(), "limit");
        assert!(probe(&build()).is_ok());
    }

    #[test]
    fn engine_without_a_nesting_limit_is_refused() {
        let mut engine = build();
        engine.set_max_expr_depths(0, 0);
        assert_eq!(probe(&engine).unwrap_err().cause(), "limit");
    }

    #[test]
    fn engine_without_a_size_limit_is_refused() {
        let mut engine = build();
        engine.set_max_array_size(0);
        assert_eq!(probe(&engine).unwrap_err().cause(), "limit");
        let mut engine = build();
        engine.set_max_string_size(0);
        assert_eq!(probe(&engine).unwrap_err().cause(), "limit");
    }
}
