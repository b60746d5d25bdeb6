//! From the server's text forms to JSON values, and the one type that all values of a column share.
//!
//! **Invariant:** no number is rounded; every value of a column has the column's [`Kind`] or is null.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

use super::Kind;
use super::array::{self, Element};

/// How the text form of a type is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    /// `t` or `f`.
    Bool,
    /// A number, `NaN` or an infinity.
    Number,
    /// Hexadecimal after `\x`.
    Bytes,
    /// A date and a time, in UTC where there is a zone.
    Timestamp,
    /// A time of day with its distance from UTC.
    ZonedTime,
    /// A list of numbers in square brackets.
    Vector,
    /// JSON text.
    Json,
    /// Anything else: text.
    Text,
}

impl Scalar {
    /// How a base type is read.
    pub(super) fn of(schema: &str, name: &str) -> Self {
        match (schema, name) {
            ("pg_catalog", "bool") => Self::Bool,
            ("pg_catalog", "int2" | "int4" | "int8" | "oid" | "numeric" | "float4" | "float8") => Self::Number,
            ("pg_catalog", "bytea") => Self::Bytes,
            ("pg_catalog", "timestamp" | "timestamptz") => Self::Timestamp,
            ("pg_catalog", "timetz") => Self::ZonedTime,
            ("pg_catalog", "json" | "jsonb") => Self::Json,
            ("pg_catalog", _) => Self::Text,
            (_, "vector" | "halfvec") => Self::Vector,
            _ => Self::Text,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Bool => Kind::Bool,
            Self::Number => Kind::Number,
            Self::Vector => Kind::List(Box::new(Kind::Number)),
            _ => Kind::String,
        }
    }

    fn value(self, text: &str) -> Value {
        match self {
            Self::Bool => Value::Bool(text == "t"),
            Self::Number => number(text),
            Self::Bytes => Value::String(bytes(text).map_or_else(|| text.to_owned(), |bytes| STANDARD.encode(bytes))),
            Self::Timestamp => Value::String(timestamp(text)),
            Self::ZonedTime => Value::String(zoned_time(text)),
            Self::Vector => match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
                Some(inner) => inner.split(',').map(number).collect(),
                None => Value::String(text.to_owned()),
            },
            Self::Json | Self::Text => Value::String(text.to_owned()),
        }
    }
}

/// The value of a cell; an array's when there is a delimiter.
pub(super) fn value(scalar: Scalar, delimiter: Option<char>, text: &str) -> Value {
    fn list(scalar: Scalar, elements: Vec<Element>) -> Value {
        let one = |element| match element {
            Element::Null => Value::Null,
            Element::Text(text) => scalar.value(&text),
            Element::List(inner) => list(scalar, inner),
        };
        elements.into_iter().map(one).collect()
    }
    match delimiter.map(|delimiter| array::parse(text, delimiter)) {
        None => scalar.value(text),
        Some(Some(elements)) => list(scalar, elements),
        Some(None) => Value::String(text.to_owned()),
    }
}

/// Gives all values of a column one type: numbers become text where one is NaN or infinite, arrays become JSON text where
/// their numbers of dimensions differ.
pub(super) fn unify(scalar: Scalar, is_array: bool, values: &mut [&mut Value]) -> Kind {
    let mut dimensions = 0;
    if is_array {
        let full = values.iter().filter(|value| value.as_array().is_some_and(|items| !items.is_empty()));
        let mut depths = full.map(|value| depth(scalar, value));
        dimensions = depths.next().unwrap_or(1);
        if depths.any(|depth| depth != dimensions) {
            for value in values.iter_mut().filter(|value| !value.is_null()) {
                **value = Value::String(value.to_string());
            }
            return Kind::String;
        }
    }
    let mut kind = scalar.kind();
    if scalar == Scalar::Number && values.iter().any(|value| holds_text(value)) {
        for value in values.iter_mut() {
            numbers_to_text(value);
        }
        kind = Kind::String;
    }
    (0..dimensions).fold(kind, |kind, _| Kind::List(Box::new(kind)))
}

/// How many dimensions an array has. A list of numbers is an element where the elements are vectors.
fn depth(scalar: Scalar, value: &Value) -> usize {
    match value {
        Value::Array(items) if scalar == Scalar::Vector && items.first().is_some_and(Value::is_number) => 0,
        Value::Array(items) => 1 + items.iter().map(|item| depth(scalar, item)).max().unwrap_or_default(),
        _ => 0,
    }
}

fn holds_text(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().any(holds_text),
        _ => false,
    }
}

fn numbers_to_text(value: &mut Value) {
    match value {
        Value::Number(number) => *value = Value::String(number.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_to_text),
        _ => {}
    }
}

fn number(text: &str) -> Value {
    text.parse::<Number>().map_or_else(|_| Value::String(text.to_owned()), Value::Number)
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok());
    digits.chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

/// RFC 3339, for the years that it knows; before Christ and at infinity the server's own form.
fn timestamp(text: &str) -> String {
    let Some((date, time)) = text.split_once(' ').filter(|(_, time)| !time.contains(' ')) else {
        return text.to_owned();
    };
    match time.strip_suffix("+00") {
        Some(time) => format!("{date}T{time}Z"),
        None => format!("{date}T{time}"),
    }
}

/// RFC 3339, which wants minutes in the distance from UTC and knows no seconds there.
fn zoned_time(text: &str) -> String {
    match text.rfind(['+', '-']).map(|at| text.split_at(at)) {
        Some((time, "+00")) => format!("{time}Z"),
        Some((_, zone)) if zone.len() == 3 => format!("{text}:00"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn exact(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn texts_become_values() {
        for (scalar, text, expected) in [
            (Scalar::Bool, "t", json!(true)),
            (Scalar::Bool, "f", json!(false)),
            (Scalar::Number, "12345678901234567890123.10", exact("12345678901234567890123.10")),
            (Scalar::Number, "1e+22", exact("1e+22")),
            (Scalar::Number, "-0", exact("-0")),
            (Scalar::Number, "NaN", json!("NaN")),
            (Scalar::Bytes, "\\x00ff", json!("AP8=")),
            (Scalar::Bytes, "\\x", json!("")),
            (Scalar::Timestamp, "2024-01-02 03:04:05.6+00", json!("2024-01-02T03:04:05.6Z")),
            (Scalar::Timestamp, "2024-01-02 03:04:05.6", json!("2024-01-02T03:04:05.6")),
            (Scalar::Timestamp, "0044-03-15 00:00:00+00 BC", json!("0044-03-15 00:00:00+00 BC")),
            (Scalar::Timestamp, "-infinity", json!("-infinity")),
            (Scalar::Timestamp, "12024-01-02 03:04:05+00", json!("12024-01-02T03:04:05Z")),
            (Scalar::ZonedTime, "12:34:56.7+00", json!("12:34:56.7Z")),
            (Scalar::ZonedTime, "12:34:56-08", json!("12:34:56-08:00")),
            (Scalar::ZonedTime, "12:34:56+05:30", json!("12:34:56+05:30")),
            (Scalar::ZonedTime, "12:34:56+00:19:32", json!("12:34:56+00:19:32")),
            (Scalar::Vector, "[1,2.5,-3e-05]", exact("[1,2.5,-3e-05]")),
            (Scalar::Json, " {\"a\": 1}", json!(" {\"a\": 1}")),
        ] {
            assert_eq!(value(scalar, None, text), expected, "{text}");
        }
        assert_eq!(value(Scalar::Number, Some(','), "{{1,NULL},{2,3}}"), json!([[1, null], [2, 3]]));
        assert_eq!(value(Scalar::Vector, Some(','), "{\"[1,2]\"}"), json!([[1, 2]]));
    }

    fn unified(scalar: Scalar, is_array: bool, mut values: Vec<Value>) -> (Kind, Value) {
        let kind = unify(scalar, is_array, &mut values.iter_mut().collect::<Vec<_>>());
        (kind, values.into())
    }

    #[test]
    fn a_column_has_one_type() {
        let list = |kind| Kind::List(Box::new(kind));
        for (scalar, is_array, values, kind, expected) in [
            (Scalar::Number, false, vec![json!(1), Value::Null], Kind::Number, json!([1, null])),
            (Scalar::Number, false, vec![exact("1.10"), json!("NaN")], Kind::String, json!(["1.10", "NaN"])),
            (Scalar::Number, false, vec![], Kind::Number, json!([])),
            (Scalar::Number, true, vec![Value::Null, json!([])], list(Kind::Number), json!([null, []])),
            (Scalar::Number, true, vec![json!([[1]]), json!([])], list(list(Kind::Number)), json!([[[1]], []])),
            (Scalar::Number, true, vec![json!([1, "Infinity"])], list(Kind::String), json!([["1", "Infinity"]])),
            (
                Scalar::Number,
                true,
                vec![json!([1, null]), json!([[2]]), Value::Null, json!([])],
                Kind::String,
                json!(["[1,null]", "[[2]]", null, "[]"]),
            ),
            (Scalar::Vector, true, vec![json!([null])], list(list(Kind::Number)), json!([[null]])),
            (Scalar::Vector, true, vec![json!([[1, 2]])], list(list(Kind::Number)), json!([[[1, 2]]])),
            (Scalar::Text, true, vec![], list(Kind::String), json!([])),
            (Scalar::Json, false, vec![json!("null")], Kind::String, json!(["null"])),
        ] {
            assert_eq!(unified(scalar, is_array, values.clone()), (kind, expected), "{values:?}");
        }
    }
}
