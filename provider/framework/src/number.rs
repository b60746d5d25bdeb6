//! Exact numbers, as the CLI computes with them.
//!
//! The CLI keeps 512-bit floats and sends a number as an integer, a float or a decimal text. Here it is a decimal of any
//! length, so that nothing is rounded between the wire, the state and the database.
//!
//! **Invariant:** reading, comparing and printing take time and memory in proportion to the text of the number, so that
//! `1e99999999` costs nothing.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The greatest number of significant digits taken. The CLI itself keeps about 155.
const MAX_DIGITS: usize = 20_000;

/// The greatest power of ten taken, either way.
const MAX_EXPONENT: i64 = 20_000;

/// With more zeros than this before or after its digits, a number is printed with an exponent.
const MAX_ZEROS: i64 = 128;

/// An exact decimal number, or one of the two infinities that the CLI's arithmetic knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Number {
    /// Negative infinity.
    NegativeInfinity,
    /// A finite number.
    Finite(Decimal),
    /// Positive infinity.
    Infinity,
}

/// A finite decimal number in its only form, so that 1, 1.0 and 10e-1 are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Never set for zero.
    negative: bool,
    /// The digits from the first to the last that is not zero; empty for zero.
    digits: Box<str>,
    /// The power of ten that the last digit stands for; 0 for zero.
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix(['+', '-']) {
            Some(rest) => (text.starts_with('-'), rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let is_numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !is_numeric(whole) || !is_numeric(fraction) {
            return None;
        }
        let joined = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}{fraction}") };
        let leading = joined.trim_start_matches('0');
        let digits = leading.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Self { negative: false, digits: "".into(), exponent: 0 });
        }
        let dropped_zeros = i64::try_from(leading.len() - digits.len()).ok()?;
        let fraction_length = i64::try_from(fraction.len()).ok()?;
        let exponent = exponent.checked_sub(fraction_length)?.checked_add(dropped_zeros)?;
        if digits.len() > MAX_DIGITS || exponent.unsigned_abs() > MAX_EXPONENT.unsigned_abs() {
            return None;
        }
        Some(Self { negative, digits: digits.into(), exponent })
    }

    /// How many digits stand before the decimal point; zero or less when the number is a pure fraction.
    fn whole_digits(&self) -> i64 {
        i64::try_from(self.digits.len()).unwrap_or(i64::MAX).saturating_add(self.exponent)
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn to_i64(&self) -> Option<i64> {
        // Without trailing zeros, a negative exponent means that there is a fraction.
        if self.exponent < 0 || self.whole_digits() > 19 {
            return None;
        }
        if self.digits.is_empty() {
            return Some(0);
        }
        self.plain().parse().ok()
    }

    /// The float that is this fraction to the last bit, and that also prints as this fraction.
    fn to_exact_float(&self) -> Option<f64> {
        if self.exponent >= 0 || self.digits.len() > 17 {
            return None;
        }
        // digits / 10^n is a binary fraction only when 5^n divides the digits.
        let divisor = 5_u64.checked_pow(u32::try_from(self.exponent.unsigned_abs()).ok()?)?;
        let digits: u64 = self.digits.parse().ok()?;
        if digits % divisor != 0 {
            return None;
        }
        let quotient = digits / divisor;
        if quotient >> quotient.trailing_zeros() >= 1 << f64::MANTISSA_DIGITS {
            return None;
        }
        let float: f64 = self.plain().parse().ok()?;
        let same = matches!(Number::from_f64(float), Some(Number::Finite(printed)) if printed == *self);
        same.then_some(float)
    }

    /// The number without an exponent. The caller looks at the number of zeros first.
    fn plain(&self) -> String {
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let sign = if self.negative { "-" } else { "" };
        let (digits, whole) = (&self.digits, self.whole_digits());
        match usize::try_from(whole) {
            _ if digits.is_empty() => "0".to_owned(),
            Ok(0) | Err(_) => format!("{sign}0.{}{digits}", zeros(-whole)),
            Ok(whole) if whole < digits.len() => format!("{sign}{}.{}", &digits[..whole], &digits[whole..]),
            Ok(_) => format!("{sign}{digits}{}", zeros(self.exponent)),
        }
    }

    /// The number with one digit before the point and an exponent.
    fn scientific(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        let exponent = self.whole_digits() - 1;
        match self.digits.split_at_checked(1) {
            None => "0".to_owned(),
            Some((first, "")) => format!("{sign}{first}e{exponent}"),
            Some((first, rest)) => format!("{sign}{first}.{rest}e{exponent}"),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        // Aligned at the first digit, digits without trailing zeros compare as text.
        let magnitude = || self.whole_digits().cmp(&other.whole_digits()).then_with(|| self.digits.cmp(&other.digits));
        match self.sign().cmp(&other.sign()) {
            Ordering::Equal if self.negative => magnitude().reverse(),
            Ordering::Equal => magnitude(),
            different => different,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zeros = self.exponent.max(-self.whole_digits());
        f.write_str(&if zeros > MAX_ZEROS { self.scientific() } else { self.plain() })
    }
}

impl Number {
    /// The whole number, when it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Finite(number) => number.to_i64(),
            _ => None,
        }
    }

    /// The number that a float stands for; `None` for NaN.
    ///
    /// A whole float is taken exactly, a fraction as the shortest decimal that reads back as the same float: the CLI
    /// prints and compares fractions by that decimal, so the float 0.8 is the number 0.8.
    pub fn from_f64(float: f64) -> Option<Self> {
        if float.is_nan() {
            None
        } else if float.is_infinite() {
            Some(if float > 0.0 { Self::Infinity } else { Self::NegativeInfinity })
        } else if float.fract() == 0.0 {
            format!("{float:.0}").parse().ok()
        } else {
            format!("{float:e}").parse().ok()
        }
    }

    /// The float that holds this fraction or infinity exactly and reads back as the same number.
    pub(crate) fn to_exact_float(&self) -> Option<f64> {
        match self {
            Self::NegativeInfinity => Some(f64::NEG_INFINITY),
            Self::Finite(number) => number.to_exact_float(),
            Self::Infinity => Some(f64::INFINITY),
        }
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::from(i128::from(value))
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::from(i128::from(value))
    }
}

impl From<i128> for Number {
    fn from(value: i128) -> Self {
        let text = value.unsigned_abs().to_string();
        let digits = text.trim_end_matches('0');
        // At most 39 digits: the difference fits.
        let exponent = if digits.is_empty() { 0 } else { i64::try_from(text.len() - digits.len()).unwrap_or(0) };
        Self::Finite(Decimal { negative: value < 0, digits: digits.into(), exponent })
    }
}

/// The text is no number, or one of more digits or a greater exponent than is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseNumberError;

impl fmt::Display for ParseNumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a decimal number of at most {MAX_DIGITS} digits with an exponent of at most {MAX_EXPONENT}")
    }
}

impl std::error::Error for ParseNumberError {}

impl FromStr for Number {
    type Err = ParseNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Decimal::parse(text).map(Self::Finite).ok_or(ParseNumberError)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NegativeInfinity => f.write_str("-Infinity"),
            Self::Finite(number) => number.fmt(f),
            Self::Infinity => f.write_str("Infinity"),
        }
    }
}
