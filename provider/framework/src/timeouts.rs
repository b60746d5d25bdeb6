//! How long an operation may take: durations as text, and the attribute `timeouts` of a resource.
//!
//! The CLI itself waits for ever. A resource whose schema has an attribute `timeouts` (one nested object of optional
//! texts `create`, `read`, `update`, `delete`) lets the user set the limit of each operation; every operation has one.
//!
//! **Invariant:** a text is either understood wholly or refused; nothing is rounded or guessed.

use std::fmt::Write;
use std::time::Duration;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::path::Path;
use crate::schema::{Kind, Nesting, Schema};
use crate::value::Value;

/// The name of the attribute.
pub(crate) const ATTRIBUTE: &str = "timeouts";

/// How long a cancelled operation may take to end by itself before it is given up.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// The longest duration taken: a hundred years, so that no sum with the current time overflows.
const LONGEST: Duration = Duration::from_hours(24 * 36_525);

/// An operation with a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Read,
    Update,
    Delete,
}

impl Operation {
    /// The name in the attribute and in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The limit where the user sets none.
    fn default_limit(self) -> Duration {
        match self {
            Self::Read => Duration::from_mins(5),
            Self::Create | Self::Update | Self::Delete => Duration::from_mins(20),
        }
    }
}

/// The limit of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Whose limit it is.
    pub(crate) operation: Operation,
    /// The limit.
    pub(crate) duration: Duration,
    /// Whether the user set it.
    pub(crate) configured: bool,
    /// Whether the user can set it.
    pub(crate) adjustable: bool,
}

/// Reads a duration such as `500ms`, `5s`, `20m` or `1h30m`.
///
/// Units are `ns`, `us`, `ms`, `s`, `m`, `h` and `d`, each number may have a fraction, and only a bare `0` needs no unit.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = |why: &str| {
        Err(format!(
            r#""{text}" is not a duration: {why}. Write it with units, such as "500ms", "5s", "20m" or "1h30m"."#
        ))
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return refuse("it is empty");
    }
    if text.starts_with('-') {
        return refuse("it is negative");
    }
    let mut total: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let nanoseconds: u128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "" => return refuse("a unit is missing"),
            _ => return refuse(&format!(r#""{unit}" is not a unit"#)),
        };
        let Some(part) = scaled(number, nanoseconds) else {
            return refuse(&format!(r#""{number}" before "{unit}" is not a number that can be counted"#));
        };
        total = total.saturating_add(part);
        rest = after;
    }
    if total > LONGEST.as_nanos() {
        return refuse("it is longer than a hundred years");
    }
    // The check above keeps the total far below what 64 bits hold.
    Ok(u64::try_from(total).map_or(LONGEST, Duration::from_nanos))
}

/// A decimal number times a whole number, the rest below one nanosecond cut off.
fn scaled(number: &str, factor: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 18 {
        return None;
    }
    let part = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let below = part(fraction)?.checked_mul(factor)? / scale;
    part(whole)?.checked_mul(factor)?.checked_add(below)
}

/// The duration as [`parse_duration`] reads it.
pub(crate) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let mut text = String::new();
    for (amount, unit) in [
        (u128::from(seconds / 3600), "h"),
        (u128::from(seconds / 60 % 60), "m"),
        (u128::from(seconds % 60), "s"),
        (u128::from(duration.subsec_millis()), "ms"),
        (u128::from(duration.subsec_micros() % 1000), "us"),
        (u128::from(duration.subsec_nanos() % 1000), "ns"),
    ] {
        if amount > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, "{amount}{unit}");
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Whether the schema has the attribute.
fn has_timeouts(schema: &Schema) -> bool {
    schema.attributes.iter().any(|a| a.name == ATTRIBUTE && matches!(a.kind, Kind::Nested(Nesting::Single, _)))
}

/// The limit of an operation on an object of these attributes; the default one when the schema has no `timeouts`.
pub(crate) fn limit(schema: &Schema, value: &Value, operation: Operation) -> Limit {
    let adjustable = has_timeouts(schema);
    let text = value.get(ATTRIBUTE).get(operation.name()).as_str();
    // A text in a state that an earlier version took is no reason to fail here: validation has spoken already.
    let configured = text.and_then(|text| parse_duration(text).ok()).filter(|duration| !duration.is_zero());
    Limit {
        operation,
        duration: configured.unwrap_or_else(|| operation.default_limit()),
        configured: configured.is_some(),
        adjustable,
    }
}

/// Checks the durations that are known in a configuration.
pub(crate) fn validate(schema: &Schema, config: &Value, diagnostics: &mut Diagnostics) {
    if !has_timeouts(schema) {
        return;
    }
    for (name, value) in config.get(ATTRIBUTE).as_map().into_iter().flatten() {
        let Some(text) = value.as_str() else { continue };
        let problem = match parse_duration(text) {
            Ok(duration) if duration.is_zero() => Some("A timeout must be longer than zero.".to_owned()),
            Ok(_) => None,
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            let path = Path::root(ATTRIBUTE).attribute(name);
            diagnostics.push(Diagnostic::error("Invalid timeout", format!("{path}: {problem}")).at(path));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::schema::{Attribute, Mode};
    use crate::types::Type;

    use super::*;

    #[test]
    fn durations_are_read_exactly() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("0s", 0),
            ("1ns", 1),
            ("3us", 3_000),
            ("3\u{b5}s", 3_000),
            ("500ms", 500_000_000),
            ("5s", 5_000_000_000),
            ("20m", 1_200_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1d", 86_400_000_000_000),
            ("1.5h", 5_400_000_000_000),
            (".5s", 500_000_000),
            ("1h1m1s1ms", 3_661_001_000_000),
            ("100h", 360_000_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("30", "unit is missing"),
            ("-5s", "negative"),
            ("5 s", "\" s\" is not a unit"),
            ("5S", "\"S\" is not a unit"),
            ("s", "\"\" before \"s\""),
            ("1w", "\"w\" is not a unit"),
            ("1..2s", "not a number"),
            (".s", "not a number"),
            ("1h30", "unit is missing"),
            ("99999999999h", "hundred years"),
            ("999999999999999999999999999999999999999999h", "not a number"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
            assert!(error.contains(r#""20m""#), "{error}");
        }
    }

    #[test]
    fn durations_are_written_as_they_are_read() {
        for text in ["500ms", "5s", "20m", "1h30m", "1h1m1s1ms1us1ns", "0s"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    fn schema() -> Schema {
        let text = |name| Attribute::new(name, Type::String, Mode::Optional, "");
        let timeouts = vec![text("create"), text("read")];
        Schema {
            attributes: vec![Attribute::nested(ATTRIBUTE, Nesting::Single, timeouts, Mode::Optional, "")],
            ..Schema::default()
        }
    }

    fn with_create(value: impl Into<Value>) -> Value {
        Value::object([(ATTRIBUTE, Value::object([("create", value.into()), ("read", Value::Null)]))])
    }

    #[test]
    fn the_limit_is_the_users_or_the_default() {
        let create = |value: &Value| limit(&schema(), value, Operation::Create);
        let set = create(&with_create("3s"));
        assert_eq!((set.duration, set.configured), (Duration::from_secs(3), true));
        let unset = create(&Value::object([(ATTRIBUTE, Value::Null)]));
        assert_eq!((unset.duration, unset.configured), (Duration::from_mins(20), false));
        let read = limit(&schema(), &with_create("3s"), Operation::Read);
        assert_eq!((read.duration, read.configured), (Duration::from_mins(5), false));
        let fixed = limit(&Schema::default(), &with_create("3s"), Operation::Read);
        assert_eq!((fixed.duration, fixed.configured, fixed.adjustable), (Duration::from_mins(5), false, false));
        assert!(read.adjustable, "a schema with timeouts lets the user set them");
    }

    #[test]
    fn a_wrong_timeout_is_an_error_at_its_place() {
        for (text, wrong) in [("5s", false), ("0s", true), ("soon", true)] {
            let mut diagnostics = Diagnostics::default();
            validate(&schema(), &with_create(text), &mut diagnostics);
            assert_eq!(diagnostics.has_error(), wrong, "{text}");
            if wrong {
                assert_eq!(diagnostics.0[0].path.to_string(), "timeouts.create");
                assert!(diagnostics.0[0].detail.starts_with("timeouts.create: "), "{:?}", diagnostics.0[0]);
            }
        }
        let mut diagnostics = Diagnostics::default();
        validate(&schema(), &with_create(Value::unknown()), &mut diagnostics);
        assert!(diagnostics.is_empty());
    }
}
