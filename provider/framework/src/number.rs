//! Exact numbers, as the CLI computes with them.
//!
//! The CLI keeps 512-bit floats and sends a number as an integer, a float or a decimal text. Here it is a decimal of any
//! length, so that nothing is rounded between the wire, the state and the database.

use std::fmt;
use std::str::FromStr;

use bigdecimal::{BigDecimal, ToPrimitive};

/// The greatest exponent taken: `1e99999999` would otherwise be a gigabyte of zeros.
const MAX_EXPONENT: i64 = 20_000;

/// An exact decimal number, or one of the two infinities that the CLI's arithmetic knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Number {
    /// A finite number.
    Finite(BigDecimal),
    /// Positive infinity.
    Infinity,
    /// Negative infinity.
    NegativeInfinity,
}

impl Number {
    /// The whole number, when it is one and fits.
    pub fn to_i64(&self) -> Option<i64> {
        match self {
            Self::Finite(number) if number.is_integer() => number.to_i64(),
            _ => None,
        }
    }

    /// The number that a float holds exactly; `None` for NaN.
    pub fn from_f64(float: f64) -> Option<Self> {
        if float.is_infinite() {
            return Some(if float > 0.0 { Self::Infinity } else { Self::NegativeInfinity });
        }
        BigDecimal::try_from(float).ok().map(Self::Finite)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Finite(value.into())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Finite(value.into())
    }
}

/// The text is no number, or its exponent is beyond what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseNumberError;

impl FromStr for Number {
    type Err = ParseNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = BigDecimal::from_str(text).map_err(|_| ParseNumberError)?;
        let (_, scale) = number.as_bigint_and_exponent();
        if scale.unsigned_abs() > MAX_EXPONENT.unsigned_abs() {
            return Err(ParseNumberError);
        }
        Ok(Self::Finite(number.normalized()))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finite(number) => f.write_str(&number.normalized().to_plain_string()),
            Self::Infinity => f.write_str("Infinity"),
            Self::NegativeInfinity => f.write_str("-Infinity"),
        }
    }
}
