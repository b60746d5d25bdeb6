//! One declared cell: a JSON value and a column's type become the text that the type's own input function reads.
//!
//! What is certain to be refused by the server, or to be stored as something else than was written, is a fault here, so
//! that a plan can tell. **Invariant:** an accepted value is stored as written, but for NUL characters, which Postgres
//! cannot hold.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::Cell;
use super::kind::{Base, ColumnKind};
use super::number::Decimal;

/// The most characters of a value that a message shows.
const SHOWN: usize = 60;

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a value does not fit its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// What is wrong, with the value shortened.
    pub(crate) message: String,
    /// What to write instead, where that is not obvious.
    pub(crate) advice: Option<&'static str>,
}

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None }
    }

    fn advice(mut self, advice: &'static str) -> Self {
        self.advice = Some(advice);
        self
    }
}

/// A cell, and whether NUL characters were taken out of it.
pub(crate) fn cell(kind: &ColumnKind, value: &Value) -> Result<(Cell, bool), Fault> {
    let mut stripped = false;
    let text = match (value, kind.array) {
        (Value::Null, _) => return Ok((Cell::Null, false)),
        (Value::Array(items), true) => array(&kind.base, items, &mut stripped)?.0,
        (Value::String(text), true) => array_literal(text, &mut stripped)?,
        (_, true) => return Err(Fault::new(format!("{} is no list, and the column holds arrays", shown(value)))),
        (_, false) => scalar(&kind.base, value, &mut stripped)?,
    };
    Ok((Cell::Text(text), stripped))
}

/// The value as messages show it: shortened.
pub(crate) fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

/// The first characters of a text, with a mark where some are missing.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn scalar(base: &Base, value: &Value, stripped: &mut bool) -> Result<String, Fault> {
    match base {
        Base::Bool => boolean(value),
        Base::Integer { min, max } => integer(value, *min, *max),
        Base::Numeric { precision } => numeric(value, *precision),
        Base::Float { single } => float(value, *single),
        Base::Text { limit, .. } => limited_text(value, *limit, stripped),
        Base::Bytea => bytes(value),
        Base::Uuid => uuid(value),
        Base::Time => time(value),
        Base::Json => json(value, stripped),
        Base::Vector { dimension, half } => vector(value, *dimension, *half),
        Base::Bits { length, varying } => bits(value, *length, *varying),
        Base::Literal => Ok(without_nul(text(value)?, stripped)),
        Base::Unknown => unknown(value, stripped),
    }
}

fn text(value: &Value) -> Result<&str, Fault> {
    match value {
        Value::String(text) => Ok(text),
        Value::Array(_) | Value::Object(_) => Err(Fault::new(format!("{} is no text", shown(value))).advice(
            "The column's type is written as text; only json, jsonb, array and vector columns take lists or objects.",
        )),
        _ => Err(Fault::new(format!("{} is no text", shown(value))).advice("Write it in quotes.")),
    }
}

/// The text of a number, which configuration languages often hand over as text.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}

fn boolean(value: &Value) -> Result<String, Fault> {
    let known = match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    known
        .map(|value| value.to_string())
        .ok_or_else(|| Fault::new(format!("{} is neither true nor false", shown(value))))
}

fn integer(value: &Value, min: i128, max: i128) -> Result<String, Fault> {
    let number = number(value)
        .and_then(|text| Decimal::parse(&text))
        .ok_or_else(|| Fault::new(format!("{} is no whole number", shown(value))))?;
    if !number.is_whole() {
        return Err(Fault::new(format!("{} is no whole number, and it is not rounded", shown(value))));
    }
    match number.to_i128() {
        Some(number) if (min..=max).contains(&number) => Ok(number.to_string()),
        _ => Err(Fault::new(format!("{} is out of the range from {min} to {max}", shown(value)))),
    }
}

/// `NaN` and the infinities, in the spelling that every version of the server reads.
fn special(text: &str) -> Option<&'static str> {
    match text.to_lowercase().as_str() {
        "nan" => Some("NaN"),
        "infinity" | "inf" | "+infinity" | "+inf" => Some("Infinity"),
        "-infinity" | "-inf" => Some("-Infinity"),
        _ => None,
    }
}

fn numeric(value: &Value, precision: Option<(i64, i64)>) -> Result<String, Fault> {
    let wrong = || Fault::new(format!("{} is no number", shown(value)));
    let text = number(value).ok_or_else(wrong)?;
    if let Some(special) = special(&text) {
        return match precision {
            Some(_) if special != "NaN" => {
                Err(Fault::new(format!("{} does not fit a numeric type with a precision", shown(value))))
            }
            _ => Ok(special.to_owned()),
        };
    }
    let number = Decimal::parse(&text).ok_or_else(wrong)?;
    if let Some((digits, scale)) = precision
        && !number.is_zero()
        && number.whole_digits() > digits - scale
    {
        return Err(Fault::new(format!(
            "{} has {} digits before the point, and the column holds {}",
            shown(value),
            number.whole_digits(),
            (digits - scale).max(0)
        )));
    }
    if number.whole_digits() > 131_072 {
        return Err(Fault::new(format!("{} is beyond numeric", shown(value))));
    }
    Ok(text)
}

fn float(value: &Value, single: bool) -> Result<String, Fault> {
    let wrong = || Fault::new(format!("{} is no number", shown(value)));
    let text = number(value).ok_or_else(wrong)?;
    if let Some(special) = special(&text) {
        return Ok(special.to_owned());
    }
    let number = Decimal::parse(&text).ok_or_else(wrong)?;
    let parsed = if single { text.parse::<f32>().map(f64::from).ok() } else { text.parse::<f64>().ok() };
    match parsed {
        Some(float) if float.is_finite() && (float != 0.0 || number.is_zero()) => Ok(text),
        _ => Err(Fault::new(format!(
            "{} is out of the range of {}",
            shown(value),
            if single { "real" } else { "double precision" }
        ))),
    }
}

fn limited_text(value: &Value, limit: Option<usize>, stripped: &mut bool) -> Result<String, Fault> {
    let text = match value {
        Value::String(text) => without_nul(text, stripped),
        Value::Array(_) | Value::Object(_) => {
            return Err(Fault::new(format!("{} is no text", shown(value))).advice("Encode it as JSON text."));
        }
        _ => return Err(Fault::new(format!("{} is no text", shown(value))).advice("Write it in quotes.")),
    };
    match limit {
        Some(limit) if text.chars().count() > limit => Err(Fault::new(format!(
            "{} has {} characters, and the column holds {limit}",
            shown(value),
            text.chars().count()
        ))),
        _ => Ok(text),
    }
}

fn bytes(value: &Value) -> Result<String, Fault> {
    let wrong = || Fault::new(format!("{} is neither base64 nor hex after \\x", shown(value)));
    let text = text(value)?;
    if let Some(hex) = text.strip_prefix("\\x") {
        let hex: String = hex.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        return if hex.len().is_multiple_of(2) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(format!("\\x{}", hex.to_lowercase()))
        } else {
            Err(wrong())
        };
    }
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    Ok(format!("\\x{}", hex(&BASE64.decode(compact).map_err(|_| wrong())?)))
}

/// The bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

/// A UUID in the form that the server prints, so that every spelling of it is the same key.
fn uuid(value: &Value) -> Result<String, Fault> {
    let text = text(value)?.trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let digits: String = inner.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Fault::new(format!("{} is no UUID", shown(value))));
    }
    Ok(format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]))
}

fn time(value: &Value) -> Result<String, Fault> {
    let text = text(value)?.trim();
    let moving = text
        .split(|c: char| !c.is_ascii_alphabetic())
        .any(|word| ["now", "today", "tomorrow", "yesterday"].iter().any(|w| word.eq_ignore_ascii_case(w)));
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new(format!("{} is no date or time", shown(value))));
    }
    if moving {
        return Err(Fault::new(format!("{} means something else every day", shown(value)))
            .advice("Write the date and time themselves."));
    }
    Ok(text.to_owned())
}

fn json(value: &Value, stripped: &mut bool) -> Result<String, Fault> {
    let Value::String(text) = value else {
        return Ok(json_without_nul(value, stripped).to_string());
    };
    let text = without_nul(text, stripped);
    let parsed: Value = serde_json::from_str(&text).map_err(|error| {
        Fault::new(format!("{} is no JSON text: {error}", shown(value)))
            .advice("Text in a json column is taken as JSON; a JSON string needs its own quotes inside, as JSON encoding gives them.")
    })?;
    let mut inside = false;
    let clean = json_without_nul(&parsed, &mut inside);
    *stripped |= inside;
    Ok(if inside { clean.to_string() } else { text })
}

fn json_without_nul(value: &Value, stripped: &mut bool) -> Value {
    match value {
        Value::String(text) => Value::String(without_nul(text, stripped)),
        Value::Array(items) => items.iter().map(|item| json_without_nul(item, stripped)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (without_nul(key, stripped), json_without_nul(item, stripped)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn vector(value: &Value, dimension: Option<usize>, half: bool) -> Result<String, Fault> {
    let elements: Vec<String> = match value {
        Value::Array(items) => items
            .iter()
            .map(|item| number(item).ok_or_else(|| Fault::new(format!("{} in the vector is no number", shown(item)))))
            .collect::<Result<_, _>>()?,
        Value::String(text) => match text.trim().strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            Some(inner) if inner.trim().is_empty() => Vec::new(),
            Some(inner) => inner.split(',').map(|element| element.trim().to_owned()).collect(),
            None => return Err(Fault::new(format!("{} is no vector such as [1, 2, 3]", shown(value)))),
        },
        _ => return Err(Fault::new(format!("{} is no list of numbers", shown(value)))),
    };
    let limit = if half { 65_520.0 } else { f32::INFINITY };
    for element in &elements {
        let known = Decimal::parse(element).zip(element.parse::<f32>().ok());
        if !known.is_some_and(|(number, float)| float.abs() < limit && (float != 0.0 || number.is_zero())) {
            return Err(Fault::new(format!(
                "{} in the vector is no number in the range of {}",
                shortened(element),
                if half { "halfvec" } else { "vector" }
            )));
        }
    }
    match dimension {
        Some(dimension) if dimension != elements.len() => {
            Err(Fault::new(format!("the vector has {} dimensions, and the column holds {dimension}", elements.len())))
        }
        _ if elements.is_empty() => Err(Fault::new("a vector needs at least one dimension")),
        _ => Ok(format!("[{}]", elements.join(","))),
    }
}

fn bits(value: &Value, length: Option<usize>, varying: bool) -> Result<String, Fault> {
    let text = text(value)?;
    if !text.bytes().all(|b| b == b'0' || b == b'1') {
        return Err(Fault::new(format!("{} is no text of zeros and ones", shown(value))));
    }
    match length {
        Some(length) if text.len() > length || !varying && text.len() != length => {
            Err(Fault::new(format!("{} has {} bits, and the column holds {length}", shown(value), text.len())))
        }
        _ => Ok(text.to_owned()),
    }
}

/// A type that is not known here may be a domain over a number or a boolean.
fn unknown(value: &Value, stripped: &mut bool) -> Result<String, Fault> {
    match value {
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(without_nul(text, stripped)),
        _ => Err(Fault::new(format!("{} is no text", shown(value)))
            .advice("Cells of such a type are given as the text that Postgres itself prints.")),
    }
}

fn without_nul(text: &str, stripped: &mut bool) -> String {
    if text.contains('\0') {
        *stripped = true;
        text.replace('\0', "")
    } else {
        text.to_owned()
    }
}

fn array_literal(text: &str, stripped: &mut bool) -> Result<String, Fault> {
    let text = without_nul(text.trim(), stripped);
    if text.ends_with('}') && (text.starts_with('{') || text.starts_with('[')) {
        Ok(text)
    } else {
        Err(Fault::new(format!("{} is neither a list nor an array such as {{1,2}}", shortened(&text))))
    }
}

/// An array literal and the array's dimensions.
fn array(base: &Base, items: &[Value], stripped: &mut bool) -> Result<(String, Vec<usize>), Fault> {
    // A list inside an array of vectors or of JSON is an element, not another dimension.
    let nests = !matches!(base, Base::Json | Base::Vector { .. }) && items.iter().any(Value::is_array);
    let mut elements = Vec::with_capacity(items.len());
    let mut inner: Option<Vec<usize>> = None;
    for item in items {
        if !nests {
            elements.push(match item {
                Value::Null => "NULL".to_owned(),
                _ => quoted_element(&scalar(base, item, stripped)?),
            });
            continue;
        }
        let Value::Array(items) = item else {
            return Err(Fault::new(format!("{} stands beside lists in an array", shown(item))));
        };
        let (literal, dimensions) = array(base, items, stripped)?;
        if inner.as_ref().is_some_and(|seen| *seen != dimensions) {
            return Err(Fault::new("the lists inside an array must all have the same length"));
        }
        inner = Some(dimensions);
        elements.push(literal);
    }
    let mut dimensions = vec![items.len()];
    dimensions.extend(inner.unwrap_or_default());
    let literal = if dimensions.contains(&0) { "{}".to_owned() } else { format!("{{{}}}", elements.join(",")) };
    Ok((literal, dimensions))
}

fn quoted_element(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text_of(type_name: &str, value: &Value) -> Result<String, String> {
        match cell(&ColumnKind::of(type_name), value) {
            Ok((Cell::Text(text), _)) => Ok(text),
            Ok((Cell::Null, _)) => Ok("null".to_owned()),
            Err(fault) => Err(fault.message),
        }
    }

    fn number(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn values_become_the_text_that_the_type_reads() {
        for (type_name, value, text) in [
            ("boolean", json!(true), "true"),
            ("boolean", json!("F"), "false"),
            ("bigint", number("9223372036854775807"), "9223372036854775807"),
            ("bigint", number("1e3"), "1000"),
            ("bigint", number("5.0"), "5"),
            ("int", json!(" 7 "), "7"),
            ("numeric", number("12345678901234567890.1234567890"), "12345678901234567890.1234567890"),
            ("numeric", json!("1.00"), "1.00"),
            ("numeric", json!("-inf"), "-Infinity"),
            ("numeric(5,2)", number("999.99"), "999.99"),
            ("numeric(2,-3)", number("99000"), "99000"),
            ("double precision", json!("nan"), "NaN"),
            ("real", number("0.1"), "0.1"),
            ("text", json!(""), ""),
            ("varchar(3)", json!("äöü"), "äöü"),
            ("bytea", json!("AAH/"), "\\x0001ff"),
            ("bytea", json!("AAH/\n"), "\\x0001ff"),
            ("bytea", json!("AA"), "\\x00"),
            ("bytea", json!(""), "\\x"),
            ("bytea", json!("\\xDEAD"), "\\xdead"),
            ("uuid", json!("{A0EEBC999C0B4EF8BB6D6BB9BD380A11}"), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("date", json!("infinity"), "infinity"),
            ("interval", json!("P1DT2H"), "P1DT2H"),
            ("jsonb", json!({"a": [1, null]}), "{\"a\":[1,null]}"),
            ("jsonb", json!(5), "5"),
            ("json", json!(" {\"a\" : 1.0} "), " {\"a\" : 1.0} "),
            ("jsonb", json!("\"x\""), "\"x\""),
            ("jsonb", json!("null"), "null"),
            ("vector(3)", json!([1, 2.5, -3]), "[1,2.5,-3]"),
            ("vector(3)", json!(" [1, 2.5,-3] "), "[1,2.5,-3]"),
            ("halfvec", json!([65504]), "[65504]"),
            ("sparsevec(5)", json!("{1:1,3:2}/5"), "{1:1,3:2}/5"),
            ("bit(3)", json!("101"), "101"),
            ("varbit(3)", json!("1"), "1"),
            ("inet", json!("10.0.0.1"), "10.0.0.1"),
            ("mood", json!("happy"), "happy"),
            ("my_number", json!(5), "5"),
            ("bigint[]", json!([1, null, 3]), "{\"1\",NULL,\"3\"}"),
            ("bigint[]", json!([[1, 2], [3, 4]]), "{{\"1\",\"2\"},{\"3\",\"4\"}}"),
            ("bigint[]", json!([]), "{}"),
            ("bigint[]", json!([[], []]), "{}"),
            (
                "text[]",
                json!(["a", "b,c", "d\"e", "\\", "", "NULL"]),
                "{\"a\",\"b,c\",\"d\\\"e\",\"\\\\\",\"\",\"NULL\"}",
            ),
            ("text[]", json!("{a,b}"), "{a,b}"),
            ("vector(2)[]", json!([[1, 2], null]), "{\"[1,2]\",NULL}"),
            ("jsonb[]", json!([[1], {"a": 2}]), "{\"[1]\",\"{\\\"a\\\":2}\"}"),
            ("bigint", Value::Null, "null"),
        ] {
            assert_eq!(text_of(type_name, &value).as_deref(), Ok(text), "{type_name} {value}");
        }
    }

    #[test]
    fn values_that_do_not_fit_say_why() {
        for (type_name, value, why) in [
            ("boolean", json!(1), "neither true nor false"),
            ("bigint", number("5.5"), "not rounded"),
            ("bigint", json!("abc"), "no whole number"),
            ("bigint", json!(true), "no whole number"),
            ("bigint", number("9223372036854775808"), "out of the range"),
            ("smallint", json!(32768), "from -32768 to 32767"),
            ("integer", number("1e400"), "out of the range"),
            ("numeric", json!("1,5"), "no number"),
            ("numeric(5,2)", number("1000"), "4 digits before the point"),
            ("numeric(5,2)", json!("Infinity"), "does not fit"),
            ("real", number("1e40"), "out of the range of real"),
            ("double precision", number("1e-400"), "out of the range"),
            ("text", json!(5), "no text"),
            ("text", json!(["a"]), "no text"),
            ("varchar(3)", json!("abcd"), "4 characters, and the column holds 3"),
            ("char", json!("ab"), "holds 1"),
            ("bytea", json!("!"), "neither base64"),
            ("bytea", json!("\\xABC"), "neither base64"),
            ("uuid", json!("a0ee"), "no UUID"),
            ("date", json!("Today"), "something else every day"),
            ("timestamptz", json!("now"), "something else"),
            ("date", json!(""), "no date"),
            ("jsonb", json!("{"), "no JSON text"),
            ("jsonb", json!("hello"), "no JSON text"),
            ("vector(3)", json!([1, 2]), "2 dimensions, and the column holds 3"),
            ("vector", json!([]), "at least one"),
            ("vector(1)", json!(["NaN"]), "no number in the range"),
            ("vector(1)", number("[1e39]"), "no number in the range"),
            ("halfvec(1)", json!([70000]), "halfvec"),
            ("vector(2)", json!([1, null]), "null in the vector"),
            ("vector(2)", json!("1,2"), "no vector such as"),
            ("bit(3)", json!("10"), "holds 3"),
            ("bit(3)", json!("102"), "zeros and ones"),
            ("inet", json!({"a": 1}), "no text"),
            ("bigint[]", json!([1, [2]]), "beside lists"),
            ("bigint[]", json!([[1], [2, 3]]), "same length"),
            ("bigint[]", json!([1.5]), "not rounded"),
            ("bigint[]", json!(5), "no list"),
            ("bigint[]", json!("1,2"), "neither a list"),
        ] {
            let error = text_of(type_name, &value).unwrap_err();
            assert!(error.contains(why), "{type_name} {value}: {error}");
        }
    }

    #[test]
    fn nul_is_taken_out_and_said() {
        for (type_name, value, text) in [
            ("text", json!("a\0b"), "ab"),
            ("jsonb", json!({"a\0": ["\0x"]}), "{\"a\":[\"x\"]}"),
            ("jsonb", json!("[\"a\\u0000\", 1]"), "[\"a\",1]"),
            ("text[]", json!(["\0"]), "{\"\"}"),
            ("mood", json!("\0happy"), "happy"),
        ] {
            let (cell, stripped) = cell(&ColumnKind::of(type_name), &value).unwrap();
            assert_eq!((cell, stripped), (Cell::Text(text.to_owned()), true), "{type_name} {value}");
        }
        assert!(!cell(&ColumnKind::of("text"), &json!("a")).unwrap().1);
    }

    #[test]
    fn a_long_value_is_shortened_in_the_message() {
        let error = text_of("bigint", &json!("x".repeat(10_000))).unwrap_err();
        assert!(error.len() < 120 && error.contains('…'), "{error}");
    }
}
