//! Exact decimal numbers, as far as checking a cell needs them: is it whole, how large is it, is it the same number?
//!
//! **Invariant:** nothing here goes through a binary float, so no digit of a declared number is ever lost.

use std::fmt;

/// Beyond this no type of Postgres holds the number, and a text such as `1e999999999` must not become its zeros.
const MAX_EXPONENT: u64 = 200_000;

/// A decimal number: `0.digits` times ten to the power of `exponent`. Equal numbers have equal parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads `-12.5e3` and the like; `None` when the text is no finite decimal number or is beyond every type.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty()
            || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
            || exponent.unsigned_abs() > MAX_EXPONENT
        {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let leading = i64::try_from(all.len() - significant.len()).ok()?;
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        Some(Self { negative, digits, exponent: exponent + i64::try_from(whole.len()).ok()? - leading })
    }

    /// Whether there is no digit after the point.
    pub(crate) fn is_whole(&self) -> bool {
        i64::try_from(self.digits.len()).is_ok_and(|n| n <= self.exponent.max(0))
    }

    /// How many digits stand before the point.
    pub(crate) fn whole_digits(&self) -> i64 {
        self.exponent.max(0)
    }

    /// Whether the number is zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// The whole number, when it is one of at most 38 digits.
    pub(crate) fn to_i128(&self) -> Option<i128> {
        if !self.is_whole() || self.exponent > 38 {
            return None;
        }
        let missing = usize::try_from(self.exponent).ok()?.checked_sub(self.digits.len())?;
        let magnitude =
            if self.is_zero() { 0 } else { format!("{}{}", self.digits, "0".repeat(missing)).parse().ok()? };
        Some(if self.negative { -magnitude } else { magnitude })
    }
}

impl fmt::Display for Decimal {
    /// One text for all spellings of the number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}0.{}e{}", if self.negative { "-" } else { "" }, self.digits, self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_recognised_in_every_spelling() {
        for (text, number) in [
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("007", Some(7)),
            ("5.0", Some(5)),
            ("1e3", Some(1000)),
            ("1.5E1", Some(15)),
            ("-12300e-2", Some(-123)),
            ("9223372036854775807", Some(9_223_372_036_854_775_807)),
            ("5.5", None),
            ("1e-1", None),
            ("1e50", None),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().to_i128(), number, "{text}");
        }
    }

    #[test]
    fn equal_numbers_are_equal() {
        for (a, b) in [("1.0", "1.00"), ("1e2", "100"), ("0.001", "1e-3"), ("-0", "0"), ("+5", "5")] {
            assert_eq!(Decimal::parse(a), Decimal::parse(b), "{a} {b}");
        }
        assert_ne!(Decimal::parse("0.1"), Decimal::parse("0.10000000000000001"));
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1.2.3",
            "0x10",
            "1_000",
            "NaN",
            "1e999999999",
            "1e-9223372036854775808",
            " 1",
            "١",
        ] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
