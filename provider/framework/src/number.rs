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
        // digits / 10^n is a binary fraction only when 5^n divides the digits. One of at most 17 digits that needs more
        // bits than a float has ends in .5 and lies where floats are whole, so that the comparison below refuses it.
        let divisor = 5_u64.checked_pow(u32::try_from(self.exponent.unsigned_abs()).ok()?)?;
        let digits: u64 = self.digits.parse().ok()?;
        if !digits.is_multiple_of(divisor) {
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

    fn whole(negative: bool, magnitude: u64) -> Self {
        let text = magnitude.to_string();
        let digits = text.trim_end_matches('0');
        let zeros = if digits.is_empty() { 0 } else { text.len() - digits.len() };
        // A u64 has at most 20 digits: the conversion does not fail.
        let exponent = i64::try_from(zeros).unwrap_or(0);
        Self::Finite(Decimal { negative, digits: digits.into(), exponent })
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
        Self::whole(value < 0, value.unsigned_abs())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::whole(false, value)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
    }

    #[test]
    fn prints_the_shortest_plain_text() {
        for (text, printed) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0"),
            ("0e999999999999", "0"),
            ("00012", "12"),
            ("+7", "7"),
            ("1.0", "1"),
            ("1.50", "1.5"),
            (".5", "0.5"),
            ("5.", "5"),
            ("-0.050", "-0.05"),
            ("10e-1", "1"),
            ("1E3", "1000"),
            ("1.25e+2", "125"),
            ("1234.5678e2", "123456.78"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("1e-7", "0.0000001"),
            ("1e128", &format!("1{}", "0".repeat(128))),
            ("1e129", "1e129"),
            ("-12e20000", "-1.2e20001"),
            ("1.25e-400", "1.25e-400"),
        ] {
            assert_eq!(number(text).to_string(), printed, "{text}");
            assert_eq!(number(printed), number(text), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_decimal_number() {
        for text in [
            "",
            " ",
            ".",
            "-",
            "e5",
            "1e",
            "1e+",
            "1 ",
            " 1",
            "1_000",
            "0x10",
            "1.2.3",
            "--1",
            "NaN",
            "Infinity",
            "inf",
            "1e5.0",
            "1e20001",
            "1e-20001",
            "1e99999999999999999999",
            "1e9223372036854775807",
            "0.1e-9223372036854775808",
            "١٢",
            "1e1e1",
        ] {
            assert_eq!(text.parse::<Number>(), Err(ParseNumberError), "{text:?}");
        }
        assert!("9".repeat(MAX_DIGITS).parse::<Number>().is_ok());
        assert!("9".repeat(MAX_DIGITS + 1).parse::<Number>().is_err());
    }

    #[test]
    fn equal_numbers_are_equal_however_they_are_written() {
        for (a, b) in [("1", "1.0"), ("0", "-0"), ("100", "1e2"), ("0.10", "1e-1"), ("-5", "-5.000")] {
            assert_eq!(number(a), number(b), "{a} and {b}");
        }
        for (a, b) in [("1", "-1"), ("0.1", "0.10000000000000000001"), ("9007199254740993", "9007199254740992")] {
            assert_ne!(number(a), number(b), "{a} and {b}");
        }
    }

    #[test]
    fn numbers_are_in_numeric_order() {
        let ascending =
            ["-1e300", "-10", "-9.5", "-1", "-0.01", "0", "1e-300", "0.09", "0.1", "0.11", "9", "10", "99.9", "100"];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(number(a).cmp(&number(b)), i.cmp(&j), "{a} and {b}");
            }
            assert!(Number::NegativeInfinity < number(a) && number(a) < Number::Infinity);
        }
    }

    #[test]
    fn whole_numbers_that_fit_become_integers() {
        for value in [0, 1, -1, 10, 1_000_000, i64::MAX, i64::MIN] {
            assert_eq!(Number::from(value).to_i64(), Some(value));
            assert_eq!(number(&value.to_string()), Number::from(value));
        }
        assert_eq!(number("12e3").to_i64(), Some(12_000));
        for text in ["0.5", "1.5", "-1e-20000", "1e19", "1e20000", "9223372036854775808", "-9223372036854775809"] {
            assert_eq!(number(text).to_i64(), None, "{text}");
        }
        assert_eq!(Number::Infinity.to_i64(), None);
        assert_eq!(Number::from(u64::MAX), number("18446744073709551615"));
        assert_eq!(Number::from(0_u64), number("0"));
    }

    #[test]
    fn a_float_is_the_number_that_it_prints_as() {
        for (float, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (0.8, "0.8"),
            (-1.5, "-1.5"),
            (1e-7, "0.0000001"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (18_446_744_073_709_551_616.0, "18446744073709551616"),
            (1e23, "99999999999999991611392"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(Number::from_f64(float), Some(number(text)), "{float}");
        }
        assert_eq!(Number::from_f64(f64::NAN), None);
        assert_eq!(Number::from_f64(f64::INFINITY), Some(Number::Infinity));
        assert_eq!(Number::from_f64(f64::NEG_INFINITY), Some(Number::NegativeInfinity));
        assert!(Number::from_f64(f64::MAX).is_some());
    }

    #[test]
    fn only_an_exact_fraction_becomes_a_float() {
        for float in [0.5, 1.5, -0.25, 1_234_567.062_5, 0.000_976_562_5_f64] {
            let number = Number::from_f64(float).unwrap();
            assert_eq!(number.to_exact_float().map(f64::to_bits), Some(f64::to_bits(float)));
        }
        for text in [
            "0",
            "1",
            "10",
            "0.1",
            "0.8",
            "1e-7",
            "1e-20000",
            "1.5e20000",
            // 2^-60: the float is exact, but prints shorter and would come back as another number.
            "0.000000000000000000867361737988403547205962240695953369140625",
            // 2^53 + 1/2: a binary fraction, one bit too long.
            "9007199254740992.5",
            "4503599627370497.5",
        ] {
            assert_eq!(number(text).to_exact_float(), None, "{text}");
        }
    }
}
