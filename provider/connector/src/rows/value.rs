//! One declared cell: a value and a column's type become the text that the type's own input function reads.
//!
//! What is certain to be refused by the server, or to be stored as something else than was written, is a fault here, so
//! that a plan can tell. **Invariant:** an accepted value is stored as written, but for NUL characters, which Postgres
//! cannot hold. The usual spellings of the usual types are written without a copy of their own.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;
use serde_json::Value;

use super::Cell;
use super::input::{Input, Nested};
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
    let mut text = String::new();
    let mut stripped = false;
    let is_null = !write(kind, &value.into(), &mut text, &mut stripped)?;
    Ok((if is_null { Cell::Null } else { Cell::Text(text) }, stripped))
}

/// Appends a cell's text, and says whether there is one: nothing is appended for null. After a fault, what was appended
/// means nothing.
pub(crate) fn write(
    kind: &ColumnKind,
    value: &Input<'_>,
    out: &mut String,
    stripped: &mut bool,
) -> Result<bool, Fault> {
    match (value, kind.array) {
        (Input::Null, _) => return Ok(false),
        (_, false) => scalar(&kind.base, value, out, stripped)?,
        (Input::Text(text), true) => array_literal(text, out, stripped)?,
        (Input::Nested(nested), true) if nested.is_list() => match &*parsed(*nested)? {
            Value::Array(items) => out.push_str(&array(&kind.base, items, stripped)?.0),
            _ => return Err(no_list(value)),
        },
        (_, true) => return Err(no_list(value)),
    }
    Ok(true)
}

fn no_list(value: &Input<'_>) -> Fault {
    Fault::new(format!("{} is no list, and the column holds arrays", shown(value)))
}

fn parsed(nested: Nested<'_>) -> Result<Cow<'_, Value>, Fault> {
    nested.value().map_err(|error| no_json(&Input::Nested(nested), &error))
}

/// The value as messages show it: shortened.
pub(crate) fn shown(value: &Input<'_>) -> String {
    shortened(&value.to_string())
}

/// The first characters of a text, with a mark where some are missing.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn scalar(base: &Base, value: &Input<'_>, out: &mut String, stripped: &mut bool) -> Result<(), Fault> {
    match base {
        Base::Bool => boolean(value, out),
        Base::Integer { min, max } => integer(value, *min, *max, out),
        Base::Numeric { precision } => numeric(value, *precision, out),
        Base::Float { single } => float(value, *single, out),
        Base::Text { limit, .. } => limited_text(value, *limit, out, stripped),
        Base::Bytea => bytes(value, out),
        Base::Uuid => uuid(value, out),
        Base::Time => time(value, out),
        Base::Json => json(value, out, stripped),
        Base::Vector { dimension, half } => vector(value, *dimension, *half, out),
        Base::Bits { length, varying } => bits(value, *length, *varying, out),
        Base::Literal { .. } => {
            without_nul(text(value)?, out, stripped);
            Ok(())
        }
        Base::Unknown => unknown(value, out, stripped),
    }
}

fn text<'v>(value: &'v Input<'_>) -> Result<&'v str, Fault> {
    match value {
        Input::Text(text) => Ok(text),
        Input::Nested(_) => Err(Fault::new(format!("{} is no text", shown(value))).advice(
            "The column's type is written as text; only json, jsonb, array and vector columns take lists or objects.",
        )),
        _ => Err(Fault::new(format!("{} is no text", shown(value))).advice("Write it in quotes.")),
    }
}

/// The text of a number, which configuration languages often hand over as text.
fn number<'v>(value: &'v Input<'_>) -> Option<&'v str> {
    match value {
        Input::Number(number) => Some(number),
        Input::Text(text) => Some(text.trim()),
        _ => None,
    }
}

fn boolean(value: &Input<'_>, out: &mut String) -> Result<(), Fault> {
    let known = match value {
        Input::Bool(value) => Some(*value),
        Input::Text(text) => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    match known {
        Some(known) => out.push_str(if known { "true" } else { "false" }),
        None => return Err(Fault::new(format!("{} is neither true nor false", shown(value)))),
    }
    Ok(())
}

fn integer(value: &Input<'_>, min: i128, max: i128, out: &mut String) -> Result<(), Fault> {
    let text = number(value).ok_or_else(|| Fault::new(format!("{} is no whole number", shown(value))))?;
    if let Some(number) = plain_integer(text)
        && (min..=max).contains(&i128::from(number))
    {
        out.push_str(text);
        return Ok(());
    }
    let number = Decimal::parse(text).ok_or_else(|| Fault::new(format!("{} is no whole number", shown(value))))?;
    if !number.is_whole() {
        return Err(Fault::new(format!("{} is no whole number, and it is not rounded", shown(value))));
    }
    match number.to_i128() {
        Some(number) if (min..=max).contains(&number) => out.push_str(&number.to_string()),
        _ => return Err(Fault::new(format!("{} is out of the range from {min} to {max}", shown(value)))),
    }
    Ok(())
}

/// A whole number in the only spelling that it has: digits, without a plus or zeros before them.
fn plain_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let only = digits == text && digits == "0" || !digits.starts_with('0');
    let is_plain = only && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if is_plain { text.parse().ok() } else { None }
}

/// `NaN` and the infinities, in the spelling that every version of the server reads.
fn special(text: &str) -> Option<&'static str> {
    if text.len() > "+infinity".len() || text.bytes().next_back().is_none_or(|b| b.is_ascii_digit()) {
        return None;
    }
    match text.to_lowercase().as_str() {
        "nan" => Some("NaN"),
        "infinity" | "inf" | "+infinity" | "+inf" => Some("Infinity"),
        "-infinity" | "-inf" => Some("-Infinity"),
        _ => None,
    }
}

fn numeric(value: &Input<'_>, precision: Option<(i64, i64)>, out: &mut String) -> Result<(), Fault> {
    let wrong = || Fault::new(format!("{} is no number", shown(value)));
    let text = number(value).ok_or_else(wrong)?;
    if let Some(special) = special(text) {
        return match precision {
            Some(_) if special != "NaN" => {
                Err(Fault::new(format!("{} does not fit a numeric type with a precision", shown(value))))
            }
            _ => {
                out.push_str(special);
                Ok(())
            }
        };
    }
    if precision.is_none() && is_plain_decimal(text) {
        out.push_str(text);
        return Ok(());
    }
    let number = Decimal::parse(text).ok_or_else(wrong)?;
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
    out.push_str(text);
    Ok(())
}

/// Whether the text is a decimal number without an exponent and not too long for any numeric.
fn is_plain_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    digits.len() < 1000 && all(whole) && all(fraction)
}

fn float(value: &Input<'_>, single: bool, out: &mut String) -> Result<(), Fault> {
    let wrong = || Fault::new(format!("{} is no number", shown(value)));
    let text = number(value).ok_or_else(wrong)?;
    if let Some(special) = special(text) {
        out.push_str(special);
        return Ok(());
    }
    let parsed = if single { text.parse::<f32>().map(f64::from).ok() } else { text.parse::<f64>().ok() };
    // What is finite and not zero is a decimal number that the type holds.
    let fits = match parsed {
        Some(float) if float.is_finite() && float != 0.0 => true,
        _ => {
            let number = Decimal::parse(text).ok_or_else(wrong)?;
            number.is_zero()
        }
    };
    if !fits {
        let name = if single { "real" } else { "double precision" };
        return Err(Fault::new(format!("{} is out of the range of {name}", shown(value))));
    }
    out.push_str(text);
    Ok(())
}

fn limited_text(value: &Input<'_>, limit: Option<usize>, out: &mut String, stripped: &mut bool) -> Result<(), Fault> {
    let start = out.len();
    match value {
        Input::Text(text) => without_nul(text, out, stripped),
        Input::Nested(_) => {
            return Err(Fault::new(format!("{} is no text", shown(value))).advice("Encode it as JSON text."));
        }
        _ => return Err(Fault::new(format!("{} is no text", shown(value))).advice("Write it in quotes.")),
    }
    let written = &out[start..];
    match limit {
        Some(limit) if written.len() > limit && written.chars().count() > limit => Err(Fault::new(format!(
            "{} has {} characters, and the column holds {limit}",
            shown(value),
            written.chars().count()
        ))),
        _ => Ok(()),
    }
}

fn bytes(value: &Input<'_>, out: &mut String) -> Result<(), Fault> {
    let wrong = || Fault::new(format!("{} is neither base64 nor hex after \\x", shown(value)));
    let text = text(value)?;
    out.push_str("\\x");
    if let Some(hex) = text.strip_prefix("\\x") {
        let start = out.len();
        out.extend(hex.chars().filter(|c| !c.is_ascii_whitespace()).map(|c| c.to_ascii_lowercase()));
        let hex = &out[start..];
        return if hex.len().is_multiple_of(2) && hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(())
        } else {
            Err(wrong())
        };
    }
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    push_hex(&BASE64.decode(compact).map_err(|_| wrong())?, out);
    Ok(())
}

/// The bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(bytes, &mut text);
    text
}

fn push_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend(bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from));
}

/// A UUID in the form that the server prints, so that every spelling of it is the same key.
fn uuid(value: &Input<'_>, out: &mut String) -> Result<(), Fault> {
    let text = text(value)?.trim();
    let printed = |(at, b): (usize, u8)| match at {
        8 | 13 | 18 | 23 => b == b'-',
        _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
    };
    if text.len() == 36 && text.bytes().enumerate().all(printed) {
        out.push_str(text);
        return Ok(());
    }
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or(text);
    let digits: String = inner.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Fault::new(format!("{} is no UUID", shown(value))));
    }
    for (at, part) in [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].iter().enumerate()
    {
        out.push_str(if at > 0 { "-" } else { "" });
        out.push_str(part);
    }
    Ok(())
}

fn time(value: &Input<'_>, out: &mut String) -> Result<(), Fault> {
    let text = text(value)?.trim();
    if text.is_empty() || text.contains('\0') {
        return Err(Fault::new(format!("{} is no date or time", shown(value))));
    }
    let is_letter = |c: char| c.is_ascii_alphabetic() && !matches!(c, 'T' | 'Z');
    let moving = text.contains(is_letter)
        && text
            .split(|c: char| !c.is_ascii_alphabetic())
            .any(|word| ["now", "today", "tomorrow", "yesterday"].iter().any(|w| word.eq_ignore_ascii_case(w)));
    if moving {
        return Err(Fault::new(format!("{} means something else every day", shown(value)))
            .advice("Write the date and time themselves."));
    }
    out.push_str(text);
    Ok(())
}

fn json(value: &Input<'_>, out: &mut String, stripped: &mut bool) -> Result<(), Fault> {
    let text = match value {
        Input::Text(text) => text,
        // Escapes may hide a NUL, or be no characters.
        Input::Nested(Nested::Raw(text)) if !text.contains("\\u") => {
            push_compact(text, out);
            return Ok(());
        }
        Input::Nested(nested) => {
            out.push_str(&json_without_nul(&*parsed(*nested)?, stripped).to_string());
            return Ok(());
        }
        Input::Null => "null",
        Input::Bool(value) => {
            out.push_str(if *value { "true" } else { "false" });
            return Ok(());
        }
        Input::Number(number) => {
            out.push_str(number);
            return Ok(());
        }
    };
    let start = out.len();
    without_nul(text, out, stripped);
    let written = &out[start..];
    if !written.contains("\\u") {
        return serde_json::from_str::<IgnoredAny>(written).map(drop).map_err(|error| no_json(value, &error));
    }
    let parsed: Value = serde_json::from_str(written).map_err(|error| no_json(value, &error))?;
    let mut inside = false;
    let clean = json_without_nul(&parsed, &mut inside);
    if inside {
        *stripped = true;
        out.truncate(start);
        out.push_str(&clean.to_string());
    }
    Ok(())
}

fn no_json(value: &Input<'_>, error: &serde_json::Error) -> Fault {
    Fault::new(format!("{} is no JSON text: {error}", shown(value))).advice(
        "Text in a json column is taken as JSON; a JSON string needs its own quotes inside, as JSON encoding gives them.",
    )
}

/// Appends JSON text without the spaces between its parts.
fn push_compact(text: &str, out: &mut String) {
    let (mut from, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte == b'"' {
            in_string = true;
        } else if byte.is_ascii_whitespace() {
            out.push_str(&text[from..at]);
            from = at + 1;
        }
    }
    out.push_str(&text[from..]);
}

fn json_without_nul(value: &Value, stripped: &mut bool) -> Value {
    let clean = |text: &str, stripped: &mut bool| {
        let mut out = String::with_capacity(text.len());
        without_nul(text, &mut out, stripped);
        out
    };
    match value {
        Value::String(text) => Value::String(clean(text, stripped)),
        Value::Array(items) => items.iter().map(|item| json_without_nul(item, stripped)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| (clean(key, stripped), json_without_nul(item, stripped)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

fn vector(value: &Input<'_>, dimension: Option<usize>, half: bool, out: &mut String) -> Result<(), Fault> {
    let mut elements = Elements { half, count: 0, out };
    match value {
        Input::Nested(Nested::Value(Value::Array(items))) => {
            for item in items {
                let item = Input::from(item);
                let number =
                    number(&item).ok_or_else(|| Fault::new(format!("{} in the vector is no number", shown(&item))))?;
                elements.push(number)?;
            }
        }
        Input::Nested(Nested::Raw(text)) if text.starts_with('[') => elements.push_all(text, true)?,
        Input::Text(text) => match text.trim() {
            list if list.starts_with('[') && list.ends_with(']') && list.len() > 1 => elements.push_all(list, false)?,
            _ => return Err(Fault::new(format!("{} is no vector such as [1, 2, 3]", shown(value)))),
        },
        _ => return Err(Fault::new(format!("{} is no list of numbers", shown(value)))),
    }
    match (dimension, elements.count) {
        (Some(dimension), count) if dimension != count => {
            Err(Fault::new(format!("the vector has {count} dimensions, and the column holds {dimension}")))
        }
        (_, 0) => Err(Fault::new("a vector needs at least one dimension")),
        _ => {
            out.push(']');
            Ok(())
        }
    }
}

/// The elements of a vector, one after the other.
struct Elements<'o> {
    half: bool,
    count: usize,
    out: &'o mut String,
}

impl Elements<'_> {
    /// Takes a list's text apart. In JSON an element may be a text that holds the number.
    fn push_all(&mut self, list: &str, json: bool) -> Result<(), Fault> {
        let inner = list.get(1..list.len() - 1).unwrap_or_default();
        if inner.trim().is_empty() {
            return Ok(());
        }
        for element in inner.split(',') {
            let element = element.trim();
            let quoted = element.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|_| json);
            self.push(quoted.map_or(element, str::trim))?;
        }
        Ok(())
    }

    fn push(&mut self, element: &str) -> Result<(), Fault> {
        let limit = if self.half { 65_520.0 } else { f32::INFINITY };
        let fits = match element.parse::<f32>() {
            Ok(0.0) => Decimal::parse(element).is_some_and(|number| number.is_zero()),
            Ok(float) => float.abs() < limit,
            Err(_) => false,
        };
        if !fits {
            let name = if self.half { "halfvec" } else { "vector" };
            return Err(Fault::new(format!(
                "{} in the vector is no number in the range of {name}",
                shortened(element)
            )));
        }
        self.out.push(if self.count == 0 { '[' } else { ',' });
        self.out.push_str(element);
        self.count += 1;
        Ok(())
    }
}

fn bits(value: &Input<'_>, length: Option<usize>, varying: bool, out: &mut String) -> Result<(), Fault> {
    let text = text(value)?;
    if !text.bytes().all(|b| b == b'0' || b == b'1') {
        return Err(Fault::new(format!("{} is no text of zeros and ones", shown(value))));
    }
    match length {
        Some(length) if text.len() > length || !varying && text.len() != length => {
            Err(Fault::new(format!("{} has {} bits, and the column holds {length}", shown(value), text.len())))
        }
        _ => {
            out.push_str(text);
            Ok(())
        }
    }
}

/// A type that is not known here may be a domain over a number or a boolean.
fn unknown(value: &Input<'_>, out: &mut String, stripped: &mut bool) -> Result<(), Fault> {
    match value {
        Input::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Input::Number(number) => out.push_str(number),
        Input::Text(text) => without_nul(text, out, stripped),
        Input::Null | Input::Nested(_) => {
            return Err(Fault::new(format!("{} is no text", shown(value)))
                .advice("Cells of such a type are given as the text that Postgres itself prints."));
        }
    }
    Ok(())
}

fn without_nul(text: &str, out: &mut String, stripped: &mut bool) {
    if text.as_bytes().contains(&0) {
        *stripped = true;
        out.extend(text.chars().filter(|c| *c != '\0'));
    } else {
        out.push_str(text);
    }
}

fn array_literal(text: &str, out: &mut String, stripped: &mut bool) -> Result<(), Fault> {
    let start = out.len();
    without_nul(text.trim(), out, stripped);
    let text = &out[start..];
    if text.ends_with('}') && (text.starts_with('{') || text.starts_with('[')) {
        Ok(())
    } else {
        Err(Fault::new(format!("{} is neither a list nor an array such as {{1,2}}", shortened(text))))
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
            elements.push(if item.is_null() {
                "NULL".to_owned()
            } else {
                let mut text = String::new();
                scalar(base, &item.into(), &mut text, stripped)?;
                quoted_element(&text)
            });
            continue;
        }
        let Value::Array(items) = item else {
            return Err(Fault::new(format!("{} stands beside lists in an array", shown(&item.into()))));
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
    let delimiter = if let Base::Literal { delimiter } = base { *delimiter } else { ',' };
    let literal = if dimensions.contains(&0) {
        "{}".to_owned()
    } else {
        format!("{{{}}}", elements.join(delimiter.encode_utf8(&mut [0; 4])))
    };
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
            ("box[]", json!(["(1,2),(3,4)", null]), "{\"(1,2),(3,4)\";NULL}"),
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
