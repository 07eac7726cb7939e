//! Numbers of conditions: the reference's six kinds, how they widen, compute, compare and print.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigInt;
use num_traits::{FromPrimitive, Num, Signed, ToPrimitive, Zero};

use super::decimal::{Decimal, bounded_power, within_limit};
use super::{ExpressionError, MAX_NUMBER_DIGITS};

/// A number with the kind that decides what its operations give.
#[derive(Clone, Debug)]
pub(super) enum Number {
    Int(i32),
    Long(i64),
    Big(BigInt),
    Decimal(Decimal),
    Float(f32),
    Double(f64),
}

/// Why a literal is not read.
#[derive(Debug)]
pub(super) enum Refused {
    Syntax(String),
    Limit(String),
}

/// An operation with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    /// Division of integers, cut.
    Quotient,
    And,
    Or,
    Xor,
}

/// A shift of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    Left,
    Right,
    RightUnsigned,
}

type Computed = Result<Number, ExpressionError>;

/// Two numbers widened to what their operation is done in.
enum Pair<'n> {
    Int(i32, i32),
    Long(i64, i64),
    Big(BigInt, BigInt),
    Decimal(Decimal, Decimal),
    Double(f64, f64),
    /// Two decimals need no widening.
    Borrowed(&'n Decimal, &'n Decimal),
}

impl Number {
    /// Reads the literal at the start of `text`: its length, the number, and whether it is plain decimal digits.
    pub(super) fn read(text: &str) -> Result<(usize, Self, bool), Refused> {
        let bytes = text.as_bytes();
        let radix = match bytes.get(1) {
            Some(b'x' | b'X') if bytes.first() == Some(&b'0') => Some(16),
            Some(b'b' | b'B') if bytes.first() == Some(&b'0') => Some(2),
            _ => None,
        };
        if let Some(radix) = radix {
            let digits = span(text, 2, |byte| char::from(byte).is_digit(radix) || byte == b'_');
            return integer(text, 2, 2 + digits, radix);
        }
        let whole = span(text, 0, |byte| byte.is_ascii_digit() || byte == b'_');
        let mut end = whole;
        let mut decimal = false;
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end += 1;
            end += span(text, end, |byte| byte.is_ascii_digit() || byte == b'_');
            decimal = true;
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let digits = span(text, end + 1 + sign, |byte| byte.is_ascii_digit());
            if digits > 0 {
                end += 1 + sign + digits;
                decimal = true;
            }
        }
        if matches!(bytes.get(end), Some(b'f' | b'F' | b'd' | b'D')) || decimal {
            return fractional(text, end);
        }
        if bytes.first() == Some(&b'0') && whole > 1 {
            let octal = span(text, 1, |byte| (b'0'..=b'7').contains(&byte) || byte == b'_');
            return if octal == 0 {
                Ok((1, Self::Int(0), true))
            } else {
                integer(text, 1, 1 + octal, 8)
            };
        }
        integer(text, 0, end, 10)
    }

    /// The literal with a minus before it, where that makes it fit a smaller kind.
    pub(super) fn negative_literal(&self, plain: bool) -> Option<Self> {
        match self {
            Self::Int(int) if plain => Some(Self::Int(-int)),
            Self::Long(long) if plain => Some(Self::from_i64(-long)),
            Self::Big(big) if plain => Some(Self::from_big(-big)),
            Self::Float(float) if *float == 0.0 => Some(self.clone()),
            Self::Double(double) if *double == 0.0 => Some(self.clone()),
            _ => None,
        }
    }

    /// Takes the kind of the other number where that is a wider machine kind.
    pub(super) fn widen_literal(&mut self, other: &Self) {
        let wider = match (&*self, other) {
            (Self::Int(int), Self::Long(_)) => Self::Long(i64::from(*int)),
            (Self::Int(_) | Self::Long(_), Self::Float(_)) => Self::Float(self.to_float()),
            (Self::Int(_) | Self::Long(_) | Self::Float(_), Self::Double(_)) => Self::Double(self.to_double()),
            _ => return,
        };
        *self = wider;
    }

    /// The smallest kind an integer fits.
    pub(super) fn from_i64(long: i64) -> Self {
        i32::try_from(long).map_or(Self::Long(long), Self::Int)
    }

    /// The smallest kind an integer fits.
    pub(super) fn from_big(big: BigInt) -> Self {
        big.to_i64().map_or(Self::Big(big), Self::from_i64)
    }

    pub(super) fn from_usize(count: usize) -> Self {
        Self::Int(i32::try_from(count).unwrap_or(i32::MAX))
    }

    pub(super) fn is_floating(&self) -> bool {
        matches!(self, Self::Float(_) | Self::Double(_))
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Int(int) => *int != 0,
            Self::Long(long) => *long != 0,
            Self::Big(big) => !big.is_zero(),
            Self::Decimal(decimal) => decimal.to_double() != 0.0,
            Self::Float(float) => *float != 0.0,
            Self::Double(double) => *double != 0.0,
        }
    }

    /// The name of its kind.
    pub(super) fn class(&self) -> &'static str {
        match self {
            Self::Int(_) => "Integer",
            Self::Long(_) => "Long",
            Self::Big(_) => "BigInteger",
            Self::Decimal(_) => "BigDecimal",
            Self::Float(_) => "Float",
            Self::Double(_) => "Double",
        }
    }

    pub(super) fn to_double(&self) -> f64 {
        match self {
            Self::Int(int) => f64::from(*int),
            Self::Long(long) => long.to_f64().unwrap_or(f64::NAN),
            Self::Big(big) => big.to_f64().unwrap_or(f64::NAN),
            Self::Decimal(decimal) => decimal.to_double(),
            Self::Float(float) => f64::from(*float),
            Self::Double(double) => *double,
        }
    }

    pub(super) fn to_float(&self) -> f32 {
        match self {
            Self::Float(float) => *float,
            Self::Double(double) => narrow(*double),
            Self::Decimal(decimal) => format!("{}e{}", decimal.digits, -decimal.scale)
                .parse()
                .unwrap_or(f32::NAN),
            Self::Int(int) => int.to_f32().unwrap_or(f32::NAN),
            Self::Long(long) => long.to_f32().unwrap_or(f32::NAN),
            Self::Big(big) => big.to_f32().unwrap_or(f32::NAN),
        }
    }

    /// The low 64 bits of the whole part; a floating number stops at the ends.
    pub(super) fn to_i64(&self) -> i64 {
        match self {
            Self::Int(int) => i64::from(*int),
            Self::Long(long) => *long,
            Self::Big(big) => low_bits(big),
            Self::Decimal(decimal) => low_bits(&decimal.truncated()),
            Self::Float(float) => saturating_i64(f64::from(*float)),
            Self::Double(double) => saturating_i64(*double),
        }
    }

    /// The low 32 bits of the whole part; a floating number stops at the ends.
    pub(super) fn to_i32(&self) -> i32 {
        match self {
            Self::Int(int) => *int,
            Self::Float(_) | Self::Double(_) => {
                let long = self.to_i64();
                i32::try_from(long).unwrap_or(if long < 0 { i32::MIN } else { i32::MAX })
            }
            _ => low_half(self.to_i64()),
        }
    }

    /// The whole part.
    pub(super) fn to_big(&self) -> Result<BigInt, ExpressionError> {
        Ok(match self {
            Self::Int(int) => BigInt::from(*int),
            Self::Long(long) => BigInt::from(*long),
            Self::Big(big) => big.clone(),
            Self::Decimal(decimal) => decimal.truncated(),
            Self::Float(_) | Self::Double(_) => self.to_decimal()?.truncated(),
        })
    }

    /// The exact decimal; a floating number gives the digits it prints.
    pub(super) fn to_decimal(&self) -> Result<Decimal, ExpressionError> {
        match self {
            Self::Int(int) => Ok(Decimal {
                digits: BigInt::from(*int),
                scale: 0,
            }),
            Self::Long(long) => Ok(Decimal {
                digits: BigInt::from(*long),
                scale: 0,
            }),
            Self::Big(big) => Ok(Decimal {
                digits: big.clone(),
                scale: 0,
            }),
            Self::Decimal(decimal) => Ok(decimal.clone()),
            Self::Float(_) | Self::Double(_) => Decimal::read(&self.to_string())
                .unwrap_or_else(|| Err(ExpressionError::evaluation(format!("{self} has no decimal form")))),
        }
    }

    fn widened<'n>(&'n self, other: &'n Self) -> Result<Pair<'n>, ExpressionError> {
        Ok(match (self, other) {
            (Self::Int(left), Self::Int(right)) => Pair::Int(*left, *right),
            (Self::Decimal(left), Self::Decimal(right)) => Pair::Borrowed(left, right),
            _ if self.is_floating() || other.is_floating() => Pair::Double(self.to_double(), other.to_double()),
            (Self::Decimal(_), _) | (_, Self::Decimal(_)) => Pair::Decimal(self.to_decimal()?, other.to_decimal()?),
            (Self::Big(_), _) | (_, Self::Big(_)) => Pair::Big(self.to_big()?, other.to_big()?),
            _ => Pair::Long(self.to_i64(), other.to_i64()),
        })
    }

    pub(super) fn compute(&self, operation: Arithmetic, other: &Self) -> Computed {
        match self.widened(other)? {
            Pair::Int(left, right) => ints(operation, left, right),
            Pair::Long(left, right) => longs(operation, left, right),
            Pair::Big(left, right) => bigs(operation, &left, &right),
            Pair::Decimal(left, right) => decimals(operation, &left, &right),
            Pair::Borrowed(left, right) => decimals(operation, left, right),
            Pair::Double(left, right) => doubles(operation, left, right),
        }
    }

    /// `**`: exact for whole exponents that are not negative, else floating.
    pub(super) fn power(&self, exponent: &Self) -> Computed {
        if let Self::Int(power) = exponent
            && let Ok(power) = u32::try_from(*power)
        {
            match self {
                Self::Int(base) => {
                    let answer = bounded_power(&BigInt::from(*base), power)?;
                    return Ok(answer.to_i32().map_or(Self::Big(answer), Self::Int));
                }
                Self::Long(base) => {
                    let answer = bounded_power(&BigInt::from(*base), power)?;
                    return Ok(answer.to_i64().map_or(Self::Big(answer), Self::Long));
                }
                Self::Big(base) => return bounded_power(base, power).map(Self::Big),
                Self::Decimal(base) => return base.power(power).map(Self::Decimal),
                Self::Float(_) | Self::Double(_) => {}
            }
        }
        let answer = java_pow(self.to_double(), exponent.to_double());
        let long = saturating_i64(answer);
        let exact = long
            .to_f64()
            .is_some_and(|back| back.partial_cmp(&answer) == Some(Ordering::Equal));
        // The reference tries the smaller kind first and keeps what does not change the value.
        Ok(if exact {
            Self::from_i64(long)
        } else {
            Self::Double(answer)
        })
    }

    pub(super) fn shift(&self, shift: Shift, by: &Self) -> Computed {
        if by.is_floating() || matches!(by, Self::Decimal(_)) {
            return Err(ExpressionError::evaluation(format!(
                "bits cannot be shifted by {by}, a {}",
                by.class()
            )));
        }
        let bits = by.to_i32().cast_unsigned();
        match (self, shift) {
            (Self::Int(int), Shift::Left) => Ok(Self::Int(int.wrapping_shl(bits))),
            (Self::Int(int), Shift::Right) => Ok(Self::Int(int.wrapping_shr(bits))),
            (Self::Int(int), Shift::RightUnsigned) => {
                Ok(Self::Int(int.cast_unsigned().wrapping_shr(bits).cast_signed()))
            }
            (Self::Long(long), Shift::Left) => Ok(Self::Long(long.wrapping_shl(bits))),
            (Self::Long(long), Shift::Right) => Ok(Self::Long(long.wrapping_shr(bits))),
            (Self::Long(long), Shift::RightUnsigned) => {
                Ok(Self::Long(long.cast_unsigned().wrapping_shr(bits).cast_signed()))
            }
            _ => Err(unsupported_operation("shift the bits of", self)),
        }
    }

    pub(super) fn negated(&self) -> Self {
        match self {
            Self::Int(int) => Self::Int(int.wrapping_neg()),
            Self::Long(long) => Self::Long(long.wrapping_neg()),
            Self::Big(big) => Self::Big(-big),
            Self::Decimal(decimal) => Self::Decimal(decimal.negated()),
            Self::Float(float) => Self::Float(-float),
            Self::Double(double) => Self::Double(-double),
        }
    }

    pub(super) fn abs(&self) -> Self {
        match self {
            Self::Int(int) => Self::Int(int.wrapping_abs()),
            Self::Long(long) => Self::Long(long.wrapping_abs()),
            Self::Big(big) => Self::Big(big.abs()),
            Self::Decimal(decimal) => Self::Decimal(decimal.abs()),
            Self::Float(float) => Self::Float(float.abs()),
            Self::Double(double) => Self::Double(double.abs()),
        }
    }

    pub(super) fn complement(&self) -> Computed {
        match self {
            Self::Int(int) => Ok(Self::Int(!int)),
            Self::Long(long) => Ok(Self::Long(!long)),
            Self::Big(big) => Ok(Self::Big(-(big + 1_i32))),
            _ => Err(unsupported_operation("flip the bits of", self)),
        }
    }

    /// The order of two numbers of any kinds.
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match self.widened(other) {
            Ok(Pair::Int(left, right)) => left.cmp(&right),
            Ok(Pair::Long(left, right)) => left.cmp(&right),
            Ok(Pair::Big(left, right)) => left.cmp(&right),
            Ok(Pair::Decimal(left, right)) => left.compare(&right),
            Ok(Pair::Borrowed(left, right)) => left.compare(right),
            Ok(Pair::Double(left, right)) => compare_doubles(left, right),
            // Widening fails only for floating numbers, which were handled above it.
            Err(_) => Ordering::Equal,
        }
    }

    /// Java's `equals`: same kind, same digits.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => left == right,
            (Self::Long(left), Self::Long(right)) => left == right,
            (Self::Big(left), Self::Big(right)) => left == right,
            (Self::Decimal(left), Self::Decimal(right)) => left.scale == right.scale && left.digits == right.digits,
            (Self::Float(left), Self::Float(right)) => left.to_bits() == right.to_bits(),
            (Self::Double(left), Self::Double(right)) => left.to_bits() == right.to_bits(),
            _ => false,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(int) => int.fmt(f),
            Self::Long(long) => long.fmt(f),
            Self::Big(big) => big.fmt(f),
            Self::Decimal(decimal) => decimal.fmt(f),
            Self::Float(float) => f.write_str(&floating(f64::from(*float), &format!("{float:e}"))),
            Self::Double(double) => f.write_str(&floating(*double, &format!("{double:e}"))),
        }
    }
}

/// How Java prints a floating number, given its shortest digits as `d.ddde±x`.
fn floating(value: f64, shortest: &str) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    if value.is_infinite() {
        return format!("{sign}Infinity");
    }
    let (mantissa, exponent) = shortest
        .trim_start_matches('-')
        .split_once('e')
        .unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    if value == 0.0 {
        return format!("{sign}0.0");
    }
    if !(-3..7).contains(&exponent) {
        let (first, more) = digits.split_at(1.min(digits.len()));
        let more = if more.is_empty() { "0" } else { more };
        return format!("{sign}{first}.{more}E{exponent}");
    }
    let Ok(whole) = usize::try_from(exponent + 1) else {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{digits}");
    };
    if whole == 0 {
        return format!("{sign}0.{digits}");
    }
    let padded = format!("{digits:0<width$}", width = whole + 1);
    let (whole, fraction) = padded.split_at(whole.min(padded.len()));
    format!("{sign}{whole}.{fraction}")
}

fn ints(operation: Arithmetic, left: i32, right: i32) -> Computed {
    Ok(Number::Int(match operation {
        Arithmetic::Add => left.wrapping_add(right),
        Arithmetic::Subtract => left.wrapping_sub(right),
        Arithmetic::Multiply => left.wrapping_mul(right),
        Arithmetic::Divide => return divide(BigInt::from(left), BigInt::from(right)),
        Arithmetic::Remainder | Arithmetic::Quotient if right == 0 => return Err(by_zero()),
        Arithmetic::Remainder => left.wrapping_rem(right),
        Arithmetic::Quotient => left.wrapping_div(right),
        Arithmetic::And => left & right,
        Arithmetic::Or => left | right,
        Arithmetic::Xor => left ^ right,
    }))
}

fn longs(operation: Arithmetic, left: i64, right: i64) -> Computed {
    Ok(Number::Long(match operation {
        Arithmetic::Add => left.wrapping_add(right),
        Arithmetic::Subtract => left.wrapping_sub(right),
        Arithmetic::Multiply => left.wrapping_mul(right),
        Arithmetic::Divide => return divide(BigInt::from(left), BigInt::from(right)),
        Arithmetic::Remainder | Arithmetic::Quotient if right == 0 => return Err(by_zero()),
        Arithmetic::Remainder => left.wrapping_rem(right),
        Arithmetic::Quotient => left.wrapping_div(right),
        Arithmetic::And => left & right,
        Arithmetic::Or => left | right,
        Arithmetic::Xor => left ^ right,
    }))
}

fn bigs(operation: Arithmetic, left: &BigInt, right: &BigInt) -> Computed {
    let result = match operation {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => return divide(left.clone(), right.clone()),
        Arithmetic::Quotient | Arithmetic::Remainder if right.is_zero() => return Err(by_zero()),
        Arithmetic::Remainder if right.is_negative() => {
            return Err(ExpressionError::evaluation(
                "a large integer has no remainder for a negative divisor",
            ));
        }
        Arithmetic::Remainder => ((left % right) + right) % right,
        Arithmetic::Quotient => left / right,
        Arithmetic::And => left & right,
        Arithmetic::Or => left | right,
        Arithmetic::Xor => left ^ right,
    };
    within_limit(result).map(Number::Big)
}

fn decimals(operation: Arithmetic, left: &Decimal, right: &Decimal) -> Computed {
    match operation {
        Arithmetic::Add => left.add(right),
        Arithmetic::Subtract => left.subtract(right),
        Arithmetic::Multiply => left.multiply(right),
        Arithmetic::Divide => left.divide(right),
        Arithmetic::Remainder => {
            return Err(ExpressionError::evaluation(format!(
                "`%` does not take a decimal number ({left} % {right}); make both operands integers"
            )));
        }
        _ => {
            return Err(unsupported_operation(
                "use this operation on",
                &Number::Decimal(left.clone()),
            ));
        }
    }
    .map(Number::Decimal)
}

fn doubles(operation: Arithmetic, left: f64, right: f64) -> Computed {
    Ok(Number::Double(match operation {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
        _ => return Err(unsupported_operation("use this operation on", &Number::Double(left))),
    }))
}

fn divide(left: BigInt, right: BigInt) -> Computed {
    Decimal { digits: left, scale: 0 }
        .divide(&Decimal {
            digits: right,
            scale: 0,
        })
        .map(Number::Decimal)
}

fn by_zero() -> ExpressionError {
    ExpressionError::evaluation("division by zero; test the divisor first")
}

fn unsupported_operation(what: &str, number: &Number) -> ExpressionError {
    ExpressionError::evaluation(format!("cannot {what} {number}, a {}", number.class()))
}

/// Java's order of doubles: negative zero is below zero, and what is no number is above everything and equal to itself.
pub(super) fn compare_doubles(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => left.total_cmp(&right),
        (left, right) => left.cmp(&right),
    }
}

/// Java's power differs where one is raised to infinity or to what is no number.
pub(super) fn java_pow(base: f64, exponent: f64) -> f64 {
    if exponent.is_nan() || (base.abs().total_cmp(&1.0).is_eq() && exponent.is_infinite()) {
        return f64::NAN;
    }
    base.powf(exponent)
}

pub(super) fn saturating_i64(double: f64) -> i64 {
    if double.is_nan() {
        0
    } else {
        double
            .trunc()
            .to_i64()
            .unwrap_or(if double < 0.0 { i64::MIN } else { i64::MAX })
    }
}

fn narrow(double: f64) -> f32 {
    f32::from_f64(double).unwrap_or(f32::NAN)
}

fn low_bits(big: &BigInt) -> i64 {
    let low = (big & BigInt::from(u64::MAX)).to_u64().unwrap_or(0);
    low.cast_signed()
}

fn low_half(long: i64) -> i32 {
    let low = u32::try_from(long.cast_unsigned() & u64::from(u32::MAX)).unwrap_or(0);
    low.cast_signed()
}

fn span(text: &str, from: usize, accepts: impl Fn(u8) -> bool) -> usize {
    text.bytes().skip(from).take_while(|&byte| accepts(byte)).count()
}

/// An integer literal with digits from `start` to `end`.
fn integer(text: &str, start: usize, end: usize, radix: u32) -> Result<(usize, Number, bool), Refused> {
    let digits = text.get(start..end).unwrap_or_default();
    let clean = digits.replace('_', "");
    if clean.is_empty() || digits.ends_with('_') {
        return Err(Refused::Syntax(format!(
            "the number `{}` has no digits at its end",
            text.get(..end).unwrap_or_default()
        )));
    }
    if u64::try_from(clean.len()).unwrap_or(u64::MAX) > MAX_NUMBER_DIGITS {
        return Err(Refused::Limit(format!(
            "a number has more than {MAX_NUMBER_DIGITS} digits"
        )));
    }
    let value =
        BigInt::from_str_radix(&clean, radix).map_err(|_| Refused::Syntax(format!("`{clean}` is not a number")))?;
    let range = |name: &str| Refused::Syntax(format!("`{clean}` does not fit {name}; leave the suffix out"));
    let number = match text.as_bytes().get(end) {
        Some(b'i' | b'I') => Number::Int(value.to_i32().ok_or_else(|| range("an Integer"))?),
        Some(b'l' | b'L') => Number::Long(value.to_i64().ok_or_else(|| range("a Long"))?),
        Some(b'g' | b'G') => Number::Big(value),
        _ => return Ok((end, Number::from_big(value), radix == 10)),
    };
    Ok((end + 1, number, false))
}

/// A literal with a point, an exponent, or a floating suffix.
fn fractional(text: &str, end: usize) -> Result<(usize, Number, bool), Refused> {
    let clean = text.get(..end).unwrap_or_default().replace('_', "");
    let syntax = || Refused::Syntax(format!("`{clean}` is not a number"));
    let range = || Refused::Syntax(format!("`{clean}` is too large for its suffix; leave it out"));
    let number = match text.as_bytes().get(end) {
        Some(b'f' | b'F') => {
            let float: f32 = clean.parse().map_err(|_| syntax())?;
            Number::Float(Some(float).filter(|float| float.is_finite()).ok_or_else(range)?)
        }
        Some(b'd' | b'D') => {
            let double: f64 = clean.parse().map_err(|_| syntax())?;
            Number::Double(Some(double).filter(|double| double.is_finite()).ok_or_else(range)?)
        }
        suffix => {
            let decimal = match Decimal::read(&clean) {
                Some(Ok(decimal)) => decimal,
                Some(Err(error)) => return Err(Refused::Limit(error.to_string())),
                None => return Err(syntax()),
            };
            let length = end + usize::from(matches!(suffix, Some(b'g' | b'G')));
            return Ok((length, Number::Decimal(decimal), false));
        }
    };
    Ok((end + 1, number, false))
}
