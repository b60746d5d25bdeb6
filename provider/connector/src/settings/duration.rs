//! Durations as text: `"500ms"`, `"5s"`, `"20m"`, `"1h30m"`.
//!
//! **Invariant:** what [`Spelled`] prints, [`parse_duration`] reads back to the same time, to the millisecond.

use std::fmt;
use std::time::Duration;

/// The units, from the greatest, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a duration: one or more numbers, each with a unit of `ms`, `s`, `m`, `h` or `d`. The error says what a
/// duration looks like; it does not repeat the text.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || "a duration is a number with a unit (ms, s, m, h or d), such as \"500ms\", \"5s\" or \"1h30m\"".to_owned();
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else { return Err(wrong()) };
        let part = scaled(number, *millis).ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = tail;
    }
    Ok(total)
}

/// `number` times `millis` milliseconds; fractions of a millisecond are dropped.
fn scaled(number: &str, millis: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(millis)?;
    let parts = if fraction.is_empty() { 0 } else { fraction.parse::<u64>().ok()? };
    let scale = 10_u64.pow(u32::try_from(fraction.len()).ok()?);
    let part = u128::from(parts) * u128::from(millis) / u128::from(scale);
    Some(Duration::from_millis(whole.checked_add(u64::try_from(part).ok()?)?))
}

/// Prints a duration as [`parse_duration`] reads it.
#[derive(Clone, Copy, Debug)]
pub struct Spelled(pub Duration);

impl fmt::Display for Spelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis) in UNITS {
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            (" 20m ", 1_200_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("0.25s", 250),
            ("2d", 172_800_000),
            ("1m1ms", 60_001),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn bad_durations_say_what_one_looks_like() {
        for text in
            ["", "5", "s", "5 s", "-5s", "5sec", "1,5s", ".5s", "5.s", "1.2.3s", "5S", "99999999999999999999s", "∞"]
        {
            assert!(parse_duration(text).is_err_and(|why| why.contains("\"500ms\"")), "{text}");
        }
    }

    proptest! {
        #[test]
        fn spelling_round_trips(millis in 0..=u64::MAX) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&Spelled(duration).to_string()), Ok(duration));
        }
    }
}
