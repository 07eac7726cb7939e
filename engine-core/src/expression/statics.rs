//! What conditions may call and read by the name of a class, and how values convert to another class.

use std::cmp::Ordering;

use num_bigint::BigInt;

use super::ExpressionError;
use super::decimal::Decimal;
use super::item::{Item, List, ListKind, Steps, single_unit, unit_number};
use super::method::{Answer, round};
use super::number::{Number, compare_doubles};
use super::text_method::{parsed, read_decimal, read_double, read_float, read_integer, trim, units};
use super::tree::{Class, Type};

/// `Class.name(arguments)`, the name given with its class.
pub(super) fn call(name: &str, arguments: &[Item]) -> Answer {
    match (name, arguments) {
        ("Math.max", [Item::Number(left), Item::Number(right)]) => extreme(left, right, Ordering::Greater),
        ("Math.min", [Item::Number(left), Item::Number(right)]) => extreme(left, right, Ordering::Less),
        ("Math.abs", [Item::Number(number)]) => Ok(narrowed(number).abs().into()),
        ("Math.pow", [Item::Number(base), Item::Number(exponent)]) => {
            Ok(double(super::number::java_pow(base.to_double(), exponent.to_double())))
        }
        (_, [Item::Number(number)]) if name.starts_with("Math.") => math(name, number, arguments),
        ("Objects.equals", [left, right]) => left.is_same(right, &mut Steps::new()).map(Item::Bool),
        ("Objects.isNull", [item]) => Ok(Item::Bool(matches!(item, Item::Null))),
        ("Objects.nonNull", [item]) => Ok(Item::Bool(!matches!(item, Item::Null))),
        ("String.valueOf", [item]) if !matches!(item, Item::Null) => Ok(Item::text(item.java_text()?)),
        _ => match arguments {
            [item] if item.as_text().is_some() => read(name, &item.format()?, arguments),
            [Item::Number(number)] => value_of(name, number, arguments),
            [Item::Bool(bool)] if name == "Boolean.valueOf" => Ok(Item::Bool(*bool)),
            [Item::Null] if matches!(name, "Boolean.parseBoolean") => Ok(Item::Bool(false)),
            _ => Err(no_function(name, arguments)),
        },
    }
}

fn no_function(name: &str, arguments: &[Item]) -> ExpressionError {
    let kinds: Vec<&str> = arguments.iter().map(Item::class).collect();
    ExpressionError::evaluation(format!(
        "there is no {name}({}); see docs/condition-language.md for the functions there are",
        kinds.join(", ")
    ))
}

fn double(double: f64) -> Item {
    Number::Double(double).into()
}

/// What the reference's choice of an overload makes of a number that has none of its own.
fn narrowed(number: &Number) -> Number {
    match number {
        Number::Big(_) => Number::Int(number.to_i32()),
        Number::Decimal(_) => Number::Double(number.to_double()),
        other => other.clone(),
    }
}

/// `max` and `min`: the overload is chosen as the reference chooses it, which has no answer for some kinds.
fn extreme(left: &Number, right: &Number, wanted: Ordering) -> Answer {
    let ambiguous = |left: &Number, right: &Number| {
        matches!(left, Number::Int(_) | Number::Long(_)) && matches!(right, Number::Decimal(_))
            || matches!(left, Number::Long(_)) && matches!(right, Number::Big(_))
    };
    if ambiguous(left, right) || ambiguous(right, left) {
        return Err(ExpressionError::evaluation(format!(
            "Math.max and Math.min do not take a {} with a {}; compare them and choose with `? :`",
            left.class(),
            right.class()
        )));
    }
    let pick = |order: Ordering| order == wanted || order == Ordering::Equal;
    Ok(match (left, right) {
        (Number::Int(_) | Number::Big(_), Number::Int(_) | Number::Big(_)) => {
            let (left, right) = (left.to_i32(), right.to_i32());
            Item::int(if pick(left.cmp(&right)) { left } else { right })
        }
        (Number::Int(_) | Number::Long(_), Number::Int(_) | Number::Long(_)) => {
            let (left, right) = (left.to_i64(), right.to_i64());
            Number::Long(if pick(left.cmp(&right)) { left } else { right }).into()
        }
        (Number::Int(_) | Number::Long(_) | Number::Float(_), Number::Int(_) | Number::Long(_) | Number::Float(_)) => {
            let (left, right) = (left.to_float(), right.to_float());
            Number::Float(if choose(f64::from(left), f64::from(right), wanted) {
                left
            } else {
                right
            })
            .into()
        }
        _ => {
            let (left, right) = (left.to_double(), right.to_double());
            double(if choose(left, right, wanted) { left } else { right })
        }
    })
}

/// Whether the left one is the answer; what is no number always is.
fn choose(left: f64, right: f64, wanted: Ordering) -> bool {
    left.is_nan()
        || (!right.is_nan() && {
            let order = compare_doubles(left, right);
            order == wanted || order == Ordering::Equal
        })
}

fn math(name: &str, number: &Number, arguments: &[Item]) -> Answer {
    let value = number.to_double();
    Ok(match name {
        "Math.floor" => double(value.floor()),
        "Math.ceil" => double(value.ceil()),
        "Math.rint" => double(value.round_ties_even()),
        "Math.sqrt" => double(value.sqrt()),
        "Math.signum" => match number {
            Number::Int(_) | Number::Long(_) | Number::Float(_) => {
                let float = number.to_float();
                Number::Float(if float == 0.0 || float.is_nan() {
                    float
                } else {
                    float.signum()
                })
                .into()
            }
            _ => double(if value == 0.0 || value.is_nan() {
                value
            } else {
                value.signum()
            }),
        },
        "Math.round" => match number {
            Number::Int(_) | Number::Long(_) | Number::Float(_) => {
                Item::int(Number::Double(saturated(round(f64::from(number.to_float())))).to_i32())
            }
            _ => Number::Long(round(value)).into(),
        },
        _ => return Err(no_function(name, arguments)),
    })
}

fn saturated(long: i64) -> f64 {
    i32::try_from(long).map_or(
        if long < 0 {
            f64::from(i32::MIN)
        } else {
            f64::from(i32::MAX)
        },
        f64::from,
    )
}

/// Functions that read text.
fn read(name: &str, text: &str, arguments: &[Item]) -> Answer {
    Ok(match name {
        "Integer.parseInt" | "Integer.valueOf" => Item::int(parsed(read_integer(text), text, "an integer of 32 bits")?),
        "Long.parseLong" | "Long.valueOf" => {
            Number::Long(parsed(read_integer(text), text, "an integer of 64 bits")?).into()
        }
        "Double.parseDouble" | "Double.valueOf" => double(parsed(read_double(text), text, "a number")?),
        "Float.parseFloat" | "Float.valueOf" => Number::Float(parsed(read_float(text), text, "a number")?).into(),
        "Boolean.parseBoolean" | "Boolean.valueOf" => Item::Bool(text.eq_ignore_ascii_case("true")),
        _ => return Err(no_function(name, arguments)),
    })
}

fn value_of(name: &str, number: &Number, arguments: &[Item]) -> Answer {
    Ok(match (name, number) {
        ("Integer.valueOf", Number::Int(_) | Number::Big(_)) => Item::int(number.to_i32()),
        ("Long.valueOf", Number::Int(_) | Number::Long(_)) => Number::Long(number.to_i64()).into(),
        ("Double.valueOf", _) => double(number.to_double()),
        ("BigDecimal.valueOf", Number::Int(_) | Number::Long(_)) => Number::Decimal(Decimal {
            digits: BigInt::from(number.to_i64()),
            scale: 0,
        })
        .into(),
        ("BigDecimal.valueOf", Number::Float(_) | Number::Double(_) | Number::Decimal(_)) => {
            Number::Decimal(Number::Double(number.to_double()).to_decimal()?).into()
        }
        ("BigInteger.valueOf", Number::Int(_) | Number::Long(_)) => Number::Big(BigInt::from(number.to_i64())).into(),
        _ => return Err(no_function(name, arguments)),
    })
}

/// `Class.NAME`.
pub(super) fn constant(name: &str) -> Answer {
    let decimal = |value: i64| {
        Ok(Number::Decimal(Decimal {
            digits: BigInt::from(value),
            scale: 0,
        })
        .into())
    };
    let big = |value: i64| Ok(Number::Big(BigInt::from(value)).into());
    match name {
        "Integer.MAX_VALUE" => Ok(Item::int(i32::MAX)),
        "Integer.MIN_VALUE" => Ok(Item::int(i32::MIN)),
        "Long.MAX_VALUE" => Ok(Number::Long(i64::MAX).into()),
        "Long.MIN_VALUE" => Ok(Number::Long(i64::MIN).into()),
        "Double.MAX_VALUE" => Ok(double(f64::MAX)),
        "Double.NaN" => Ok(double(f64::NAN)),
        "Double.POSITIVE_INFINITY" => Ok(double(f64::INFINITY)),
        "Double.NEGATIVE_INFINITY" => Ok(double(f64::NEG_INFINITY)),
        "Boolean.TRUE" => Ok(Item::Bool(true)),
        "Boolean.FALSE" => Ok(Item::Bool(false)),
        "BigDecimal.ZERO" => decimal(0),
        "BigDecimal.ONE" => decimal(1),
        "BigDecimal.TEN" => decimal(10),
        "BigInteger.ZERO" => big(0),
        "BigInteger.ONE" => big(1),
        "BigInteger.TEN" => big(10),
        "Math.PI" => Ok(double(std::f64::consts::PI)),
        "Math.E" => Ok(double(std::f64::consts::E)),
        other => Err(ExpressionError::Missing {
            name: other.rsplit('.').next().unwrap_or(other).to_owned(),
        }),
    }
}

/// `item as type`.
pub(super) fn convert(item: &Item, to: Type) -> Answer {
    let class = to.class;
    let Some(text) = item.as_text().map(|text| trim(text)) else {
        if let (Item::List(list), Class::List | Class::ArrayList) = (item, class)
            && list.kind != ListKind::List
        {
            return list.to_vec().map(|items| Item::List(List::of(items)));
        }
        return if matches!((item, class), (Item::Map(_), Class::String)) {
            item.format().map(Item::Text)
        } else {
            cast(item, to)
        };
    };
    Ok(match class {
        Class::Integer => Item::int(parsed(read_integer(text), text, "an integer of 32 bits")?),
        Class::Long => Number::Long(parsed(read_integer(text), text, "an integer of 64 bits")?).into(),
        Class::Double => double(parsed(read_double(text), text, "a number")?),
        Class::Float => Number::Float(parsed(read_float(text), text, "a number")?).into(),
        Class::BigDecimal => Number::Decimal(parsed(read_decimal(text), text, "a decimal number")??).into(),
        Class::BigInteger => match parsed(read_decimal(text), text, "an integer")?? {
            Decimal { digits, scale: 0 } => Number::Big(digits).into(),
            _ => return Err(no_conversion(item, class)),
        },
        Class::Number => return Err(no_conversion(item, class)),
        Class::List => Item::List(List::of(units(&item.format()?)?)),
        _ => return cast(item, to),
    })
}

/// `(type) item`.
pub(super) fn cast(item: &Item, to: Type) -> Answer {
    let class = to.class;
    let number = |number: &Number| -> Answer {
        Ok(match class {
            Class::Integer => Item::int(number.to_i32()),
            Class::Long => Number::Long(number.to_i64()).into(),
            Class::Float => Number::Float(number.to_float()).into(),
            Class::Double => double(number.to_double()),
            Class::BigDecimal => Number::Decimal(number.to_decimal()?).into(),
            Class::BigInteger => Number::Big(number.to_big()?).into(),
            _ => number.clone().into(),
        })
    };
    let numeric = matches!(
        class,
        Class::Integer
            | Class::Long
            | Class::Float
            | Class::Double
            | Class::BigDecimal
            | Class::BigInteger
            | Class::Number
    );
    match (class, item) {
        (Class::Boolean, _) if to.primitive || !matches!(item, Item::Null) => Ok(Item::Bool(item.is_true())),
        (_, Item::Null) if to.primitive => Err(no_conversion(item, class)),
        (_, Item::Null) => Ok(Item::Null),
        (Class::Character, Item::Number(value)) => {
            let low = value.to_i64().cast_unsigned() & u64::from(u16::MAX);
            Ok(u16::try_from(low).map_or(Item::Null, Item::Char))
        }
        (Class::Character, Item::Text(text)) if single_unit(text).is_some() => {
            Ok(single_unit(text).map_or(Item::Null, Item::Char))
        }
        (Class::Set, Item::List(list)) if list.kind != ListKind::Set => {
            let mut items: Vec<Item> = Vec::new();
            let mut steps = Steps::new();
            'items: for item in list.to_vec()? {
                for known in &items {
                    if known.is_same(&item, &mut steps)? {
                        continue 'items;
                    }
                }
                items.push(item);
            }
            Ok(Item::List(List::with_kind(ListKind::Set, items)))
        }
        (
            Class::String,
            Item::Map(_)
            | Item::List(List {
                kind: ListKind::List, ..
            }),
        ) => Ok(Item::text(item.java_text()?)),
        (Class::String, Item::List(list)) if list.kind == ListKind::Array => Err(no_conversion(item, class)),
        (Class::String, _) => item.format().map(Item::Text),
        (_, Item::Number(value)) if numeric => number(value),
        (_, Item::Char(unit)) if numeric && class != Class::Number => number(&unit_number(*unit)),
        (_, Item::Text(text)) if numeric && class != Class::Number => match single_unit(text) {
            Some(unit) => number(&unit_number(unit)),
            None => Err(no_conversion(item, class)),
        },
        (Class::Collection, Item::List(list)) if list.kind == ListKind::Array => {
            list.to_vec().map(|items| Item::List(List::of(items)))
        }
        _ if super::operator::is_instance(item, class) => Ok(item.clone()),
        _ => Err(no_conversion(item, class)),
    }
}

fn no_conversion(item: &Item, class: Class) -> ExpressionError {
    ExpressionError::evaluation(format!(
        "a {} cannot be made a {}; test its kind first",
        item.class(),
        class.name()
    ))
}
