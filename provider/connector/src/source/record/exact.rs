//! Numbers compared and divided exactly, for the bounds that a schema gives.
//!
//! **Invariant:** no number goes through a binary float, so that 9007199254740993 is greater than 9007199254740992.

use std::cmp::Ordering;

use serde_json::Number;

use crate::rows::number::Decimal;

/// A number by its digits: `0.digits` times ten to the power of `exponent`, the digits without zeros at either end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exact {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Exact {
    /// `None` for a number beyond every type of the server.
    pub(super) fn of(number: &Number) -> Option<Self> {
        // A decimal prints as its parts, the same for all spellings of a number.
        let text = Decimal::parse(&number.to_string())?.to_string();
        let (negative, text) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        let (digits, exponent) = text.strip_prefix("0.")?.split_once('e')?;
        Some(Self { negative, digits: digits.to_owned(), exponent: exponent.parse().ok()? })
    }

    /// One text for all spellings of a number.
    pub(super) fn spelling(number: &Number) -> String {
        Decimal::parse(&number.to_string()).map_or_else(|| number.to_string(), |decimal| decimal.to_string())
    }

    /// Whether there is no digit after the point.
    pub(super) fn is_whole(&self) -> bool {
        i64::try_from(self.digits.len()).is_ok_and(|count| count <= self.exponent.max(0))
    }

    /// The whole number, when it is one, is not negative and fits.
    pub(super) fn to_u64(&self) -> Option<u64> {
        let whole = self.is_whole() && !self.negative && self.exponent <= 20;
        let zeros = usize::try_from(self.exponent).ok()?.checked_sub(self.digits.len())?;
        if whole { format!("0{}{}", self.digits, "0".repeat(zeros)).parse().ok() } else { None }
    }

    /// Whether it is a whole number of times the other, which is positive and has at most 18 digits.
    pub(super) fn is_multiple_of(&self, divisor: &Self) -> bool {
        let Some(by) = divisor.digits.parse::<u128>().ok().filter(|by| *by > 0) else { return true };
        let last = |number: &Self| number.exponent - i64::try_from(number.digits.len()).unwrap_or(i64::MAX);
        // The digits end in no zero, so that a finer last place than the divisor's cannot be divided away.
        let zeros = if self.digits.is_empty() { 0 } else { last(self) - last(divisor) };
        let digits = self.digits.bytes().map(|byte| u128::from(byte - b'0'));
        let padding = (0..zeros).map(|_| 0);
        zeros >= 0 && digits.chain(padding).fold(0, |rest, digit| (rest * 10 + digit) % by) == 0
    }

    /// Whether it can be divided by: it is greater than zero and short enough to be counted with.
    pub(super) fn is_divisor(&self) -> bool {
        !self.negative && (1..=18).contains(&self.digits.len())
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitude = || self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        match self.sign().cmp(&other.sign()) {
            Ordering::Equal if self.negative => magnitude().reverse(),
            Ordering::Equal => magnitude(),
            different => different,
        }
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Exact {
        Exact::of(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn numbers_are_in_numeric_order() {
        let ascending = ["-1e300", "-10", "-9.5", "-0.01", "0", "1e-300", "0.09", "0.1", "9", "9007199254740992"];
        let ascending: Vec<&str> = ascending.into_iter().chain(["9007199254740993", "1e17"]).collect();
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(exact(a).cmp(&exact(b)), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(exact("1.0"), exact("10e-1"));
        assert_eq!(Exact::of(&"1e999999999".parse().unwrap()), None);
    }

    #[test]
    fn counts_are_whole_and_not_negative() {
        for (text, count) in
            [("0", Some(0)), ("3.0", Some(3)), ("12e2", Some(1200)), ("-1", None), ("0.5", None), ("1e30", None)]
        {
            assert_eq!(exact(text).to_u64(), count, "{text}");
        }
    }

    #[test]
    fn multiples_are_told_exactly() {
        for (number, divisor, expected) in [
            ("0.3", "0.1", true),
            ("0.35", "0.1", false),
            ("0", "7", true),
            ("10", "5", true),
            ("0.5", "5", false),
            ("-12", "4", true),
            ("1e30", "3", false),
            ("1e30", "1e29", true),
            ("19.99", "0.01", true),
            ("2", "10", false),
            ("9007199254740993", "2", false),
        ] {
            assert_eq!(exact(number).is_multiple_of(&exact(divisor)), expected, "{number} {divisor}");
        }
    }
}
