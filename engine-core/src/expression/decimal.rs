//! Exact decimal numbers as the reference computes with them: digits and a scale that the operations define.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive, Zero};

use super::{ExpressionError, MAX_NUMBER_DIGITS};

/// Digits a quotient that never ends has beyond those of its operands.
const EXTRA_PRECISION: u64 = 10;
/// Least scale at which a quotient that never ends is cut.
const LEAST_CUT: i64 = 10;

/// `digits × 10^-scale`.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    pub(super) digits: BigInt,
    pub(super) scale: i64,
}

impl Decimal {
    pub(super) fn new(digits: BigInt, scale: i64) -> Result<Self, ExpressionError> {
        if scale.unsigned_abs() > MAX_NUMBER_DIGITS {
            return Err(too_many_digits());
        }
        Ok(Self {
            digits: within_limit(digits)?,
            scale,
        })
    }

    /// Reads `-12.5e3`; `None` when it is no number.
    pub(super) fn read(text: &str) -> Option<Result<Self, ExpressionError>> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if exponent_digits.is_empty() || !exponent_digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let unsigned = mantissa.strip_prefix(['+', '-']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = digits.trim_start_matches('0');
        let exponent: Option<i64> = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok();
        let length = u64::try_from(significant.len()).unwrap_or(u64::MAX);
        let (Some(exponent), true) = (exponent, length <= MAX_NUMBER_DIGITS) else {
            return Some(Err(too_many_digits()));
        };
        let scale = i64::try_from(fraction.len())
            .unwrap_or(i64::MAX)
            .saturating_sub(exponent);
        let digits = if significant.is_empty() {
            Some(BigInt::zero())
        } else {
            significant.parse().ok()
        }?;
        let digits = if mantissa.starts_with('-') { -digits } else { digits };
        Some(Self::new(digits, scale))
    }

    pub(super) fn add(&self, other: &Self) -> Result<Self, ExpressionError> {
        let (left, right, scale) = self.aligned(other);
        Self::new(left + right, scale)
    }

    pub(super) fn subtract(&self, other: &Self) -> Result<Self, ExpressionError> {
        let (left, right, scale) = self.aligned(other);
        Self::new(left - right, scale)
    }

    pub(super) fn multiply(&self, other: &Self) -> Result<Self, ExpressionError> {
        Self::new(&self.digits * &other.digits, self.scale + other.scale)
    }

    /// The exact quotient, or, when it never ends, the rounded one.
    pub(super) fn divide(&self, other: &Self) -> Result<Self, ExpressionError> {
        if other.digits.is_zero() {
            return Err(ExpressionError::evaluation("division by zero; test the divisor first"));
        }
        let preferred = self.scale - other.scale;
        if self.digits.is_zero() {
            return Self::new(BigInt::zero(), preferred);
        }
        let shared = gcd(&self.digits, &other.digits);
        let (mut divisor, numerator) = (&other.digits / &shared, &self.digits / &shared);
        let mut places = [0_i64, 0_i64];
        for (count, prime) in places.iter_mut().zip([2_u32, 5]) {
            while (&divisor % prime).is_zero() {
                divisor /= prime;
                *count += 1;
            }
        }
        if divisor.abs() == BigInt::from(1) {
            let places = places.iter().copied().max().unwrap_or(0);
            let full = &other.digits / &shared;
            return Self::new(numerator * power_of_ten(places) / full, preferred + places);
        }
        self.divide_rounded(other, preferred)
    }

    fn divide_rounded(&self, other: &Self, preferred: i64) -> Result<Self, ExpressionError> {
        let precision = self.precision().max(other.precision()) + EXTRA_PRECISION;
        let surplus = as_i64(self.precision()) - as_i64(other.precision());
        let shift = (as_i64(precision) - surplus + 1).max(0);
        let quotient = (&self.digits * power_of_ten(shift)) / &other.digits;
        let extra = as_i64(count_digits(&quotient)) - as_i64(precision);
        let rounded = Self {
            digits: quotient,
            scale: preferred + shift,
        }
        .with_scale(preferred + shift - extra.max(0));
        // Rounding up may add a digit, which is then a zero.
        let carried = as_i64(count_digits(&rounded.digits)) > as_i64(precision);
        let rounded = if carried {
            rounded.with_scale(rounded.scale - 1)
        } else {
            rounded
        };
        let cut = self.scale.max(other.scale).max(LEAST_CUT);
        let result = if rounded.scale > cut {
            rounded.with_scale(cut)
        } else {
            rounded
        };
        Self::new(result.digits, result.scale)
    }

    /// The same value at another scale, rounded half up where digits are lost.
    pub(super) fn with_scale(&self, scale: i64) -> Self {
        if scale >= self.scale {
            return Self {
                digits: &self.digits * power_of_ten(scale - self.scale),
                scale,
            };
        }
        let unit = power_of_ten(self.scale - scale);
        let quotient = &self.digits / &unit;
        let remainder: BigInt = (&self.digits % &unit).abs() * 2;
        let digits = if remainder < unit {
            quotient
        } else if self.digits.is_negative() {
            quotient - 1
        } else {
            quotient + 1
        };
        Self { digits, scale }
    }

    pub(super) fn power(&self, exponent: u32) -> Result<Self, ExpressionError> {
        let scale = self.scale.checked_mul(exponent.into()).ok_or_else(too_many_digits)?;
        Self::new(bounded_power(&self.digits, exponent)?, scale)
    }

    pub(super) fn negated(&self) -> Self {
        Self {
            digits: -&self.digits,
            scale: self.scale,
        }
    }

    pub(super) fn abs(&self) -> Self {
        Self {
            digits: self.digits.abs(),
            scale: self.scale,
        }
    }

    /// The whole part.
    pub(super) fn truncated(&self) -> BigInt {
        if self.scale <= 0 {
            &self.digits * power_of_ten(-self.scale)
        } else {
            &self.digits / power_of_ten(self.scale)
        }
    }

    pub(super) fn to_double(&self) -> f64 {
        format!("{}e{}", self.digits, -self.scale).parse().unwrap_or(f64::NAN)
    }

    pub(super) fn precision(&self) -> u64 {
        count_digits(&self.digits)
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        if self.scale == other.scale || self.digits.sign() != other.digits.sign() {
            return self.digits.cmp(&other.digits);
        }
        let (left, right, _) = self.aligned(other);
        left.cmp(&right)
    }

    fn aligned(&self, other: &Self) -> (BigInt, BigInt, i64) {
        let scale = self.scale.max(other.scale);
        let left = &self.digits * power_of_ten(scale - self.scale);
        let right = &other.digits * power_of_ten(scale - other.scale);
        (left, right, scale)
    }

    /// Without an exponent.
    pub(super) fn plain(&self) -> String {
        if self.scale <= 0 {
            return self.truncated().to_string();
        }
        let places = usize::try_from(self.scale).unwrap_or(usize::MAX);
        let digits = format!(
            "{:0>width$}",
            self.digits.abs().to_string(),
            width = places.saturating_add(1)
        );
        let (whole, fraction) = digits.split_at(digits.len().saturating_sub(places));
        let sign = if self.digits.is_negative() { "-" } else { "" };
        format!("{sign}{whole}.{fraction}")
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits.abs().to_string();
        let adjusted = i64::try_from(digits.len()).unwrap_or(i64::MAX) - 1 - self.scale;
        if self.scale >= 0 && adjusted >= -6 {
            return f.write_str(&self.plain());
        }
        let sign = if self.digits.is_negative() { "-" } else { "" };
        let (first, more) = digits.split_at(1.min(digits.len()));
        let point = if more.is_empty() { "" } else { "." };
        write!(f, "{sign}{first}{point}{more}E{adjusted:+}")
    }
}

pub(super) fn too_many_digits() -> ExpressionError {
    ExpressionError::limit(format!(
        "a number has more than {MAX_NUMBER_DIGITS} digits; compute it outside the condition"
    ))
}

/// Refuses an integer with too many digits.
pub(super) fn within_limit(digits: BigInt) -> Result<BigInt, ExpressionError> {
    // A digit takes more than 3.3 bits, so this never refuses fewer digits than it says.
    if digits.bits() > MAX_NUMBER_DIGITS * 10 / 3 + 4 {
        Err(too_many_digits())
    } else {
        Ok(digits)
    }
}

/// `base` multiplied with itself, refused before it is computed when it gets too long.
pub(super) fn bounded_power(base: &BigInt, exponent: u32) -> Result<BigInt, ExpressionError> {
    let bits = base.bits().saturating_sub(1).saturating_mul(exponent.into());
    if bits > MAX_NUMBER_DIGITS * 4 {
        return Err(too_many_digits());
    }
    if base.magnitude().to_u8().is_some_and(|small| small <= 1) {
        let odd = exponent % 2 == 1;
        return Ok(match base.sign() {
            Sign::NoSign => BigInt::from(u8::from(exponent == 0)),
            Sign::Minus if odd => BigInt::from(-1),
            _ => BigInt::from(1),
        });
    }
    within_limit(base.pow(exponent))
}

fn power_of_ten(exponent: i64) -> BigInt {
    BigInt::from(10).pow(u32::try_from(exponent).unwrap_or(0))
}

fn as_i64(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn count_digits(number: &BigInt) -> u64 {
    if let Some(small) = number.magnitude().to_u64() {
        return small.checked_ilog10().map_or(1, |log| u64::from(log) + 1);
    }
    // log10(2) is 0.30102999…: at most one digit too few.
    let least = (number.bits() - 1) * 30_102 / 100_000 + 1;
    (0..3)
        .map(|more| least + more)
        .find(|&count| number.magnitude() < power_of_ten(as_i64(count)).magnitude())
        .unwrap_or(least)
}

fn gcd(left: &BigInt, right: &BigInt) -> BigInt {
    let (mut left, mut right) = (left.abs(), right.abs());
    while !right.is_zero() {
        let rest = left % &right;
        left = std::mem::replace(&mut right, rest);
    }
    left
}
