//! Which type a column gets from the schema of its property.
//!
//! The table is the reference connector's, extended by what JSON Schema says and its Python types cannot: sizes of numbers,
//! times without a zone, addresses. **Invariant:** whatever is not known exactly is `jsonb`, which holds every value.

use serde_json::{Map, Value};

use super::reference::Place;

/// What a property's schema says of its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The type.
    pub(super) type_name: &'static str,
    /// Whether null is a value.
    pub(super) allows_null: bool,
    /// What can become a vector.
    pub(super) list: Option<List>,
}

/// An array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    /// What its elements are, where they are no numbers.
    pub(super) others: Option<String>,
    /// How many elements it must have, where that is one number.
    pub(super) length: Option<i64>,
}

impl Shape {
    fn of(type_name: &'static str) -> Self {
        Self { type_name, allows_null: false, list: None }
    }

    fn nullable(self, allows_null: bool) -> Self {
        Self { allows_null: self.allows_null || allows_null, ..self }
    }
}

const JSONB: &str = "jsonb";

/// The types of strings by their format.
const FORMATS: [(&str, &str); 22] = [
    ("base64", "bytea"),
    ("base64url", "bytea"),
    ("binary", "bytea"),
    ("byte", "bytea"),
    ("date", "date"),
    ("date-time", "timestamp with time zone"),
    ("decimal", "numeric"),
    ("duration", "interval"),
    ("ip", "inet"),
    ("ipv4", "inet"),
    ("ipv4interface", "inet"),
    ("ipv4network", "cidr"),
    ("ipv6", "inet"),
    ("ipv6interface", "inet"),
    ("ipv6network", "cidr"),
    ("ipvanyaddress", "inet"),
    ("ipvanyinterface", "inet"),
    ("ipvanynetwork", "cidr"),
    ("partial-date-time", "timestamp without time zone"),
    ("partial-time", "time without time zone"),
    ("time", "time with time zone"),
    ("uuid", "uuid"),
];

/// Reads the schema of a property. A reference that leads nowhere is a fault.
pub(super) fn shape(place: &Place<'_>) -> Result<Shape, String> {
    let (place, allows_null) = place.resolved()?;
    Ok(own(&place)?.nullable(allows_null))
}

fn own(place: &Place<'_>) -> Result<Shape, String> {
    let Some(keys) = place.schema.as_object() else {
        // `true` allows anything, null too.
        return Ok(Shape::of(JSONB).nullable(place.schema.as_bool() != Some(false)));
    };
    for choice in ["anyOf", "oneOf"] {
        if let Some(members) = keys.get(choice).and_then(Value::as_array) {
            return one_of(place, choice, members);
        }
    }
    if let Some(values) = keys.get("enum").and_then(Value::as_array) {
        return Ok(Shape::of(JSONB).nullable(values.contains(&Value::Null)));
    }
    if let Some(constant) = keys.get("const") {
        return Ok(Shape::of(JSONB).nullable(constant.is_null()));
    }
    let types: Vec<&str> = match keys.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        // An annotation alone allows anything, null too; allOf with several members is no type we know.
        _ => return Ok(Shape::of(JSONB).nullable(!keys.contains_key("allOf"))),
    };
    let null = types.contains(&"null");
    let others: Vec<&str> = types.into_iter().filter(|t| *t != "null").collect();
    let shape = match others.as_slice() {
        ["array"] => Shape { list: Some(list(place, keys)?), ..Shape::of(JSONB) },
        [one] => Shape::of(simple(one, keys)),
        ["number", "string"] | ["string", "number"] if may_be_decimal(keys) => Shape::of("numeric"),
        _ => Shape::of(JSONB),
    };
    Ok(shape.nullable(null))
}

/// A choice between schemas: null and one other is that other, a number or text is how decimals are printed.
fn one_of(place: &Place<'_>, choice: &str, members: &[Value]) -> Result<Shape, String> {
    let mut others = Vec::new();
    let mut null = false;
    for (at, member) in members.iter().enumerate() {
        let (member, nullable) = place.inner(member, &[choice, &at.to_string()]).resolved()?;
        let is_null = member.schema.get("type").and_then(Value::as_str) == Some("null")
            || member.schema.get("const").is_some_and(Value::is_null)
            || member.schema.get("enum").and_then(Value::as_array).is_some_and(|values| *values == [Value::Null]);
        null |= is_null || nullable;
        if !is_null {
            others.push(member);
        }
    }
    let shapes = others.iter().map(own).collect::<Result<Vec<_>, _>>()?;
    null |= shapes.iter().any(|shape| shape.allows_null);
    let plain = |member: &Place<'_>, name: &str| {
        let keys = member.schema.as_object();
        keys.is_some_and(|keys| keys.get("type").and_then(Value::as_str) == Some(name) && may_be_decimal(keys))
    };
    let shape = match (shapes.as_slice(), others.as_slice()) {
        ([one], _) => one.clone(),
        (_, [a, b]) if plain(a, "number") && plain(b, "string") || plain(a, "string") && plain(b, "number") => {
            Shape::of("numeric")
        }
        _ => Shape::of(JSONB),
    };
    Ok(shape.nullable(null))
}

/// Whether a text may be how a decimal is written: its pattern, where it has one, is about digits, and it has no format.
fn may_be_decimal(keys: &Map<String, Value>) -> bool {
    let text = |key: &str| keys.get(key).and_then(Value::as_str);
    text("pattern").is_none_or(|pattern| pattern.contains("\\d"))
        && text("format").is_none_or(|format| matches!(format, "decimal" | "double" | "float"))
        && !keys.contains_key("enum")
        && !keys.contains_key("const")
}

fn simple(type_name: &str, keys: &Map<String, Value>) -> &'static str {
    let format = keys.get("format").and_then(Value::as_str).unwrap_or_default();
    let encoded = keys.get("contentEncoding").and_then(Value::as_str).is_some_and(|e| e.starts_with("base64"));
    match (type_name, format) {
        ("boolean", _) => "boolean",
        ("integer", "int8" | "int16" | "uint8") => "smallint",
        ("integer", "int32" | "uint16") => "integer",
        ("integer", "uint64" | "uint" | "int128" | "uint128") | ("number", "decimal") => "numeric",
        ("integer", _) => "bigint",
        ("number", "float") => "real",
        ("number", _) => "double precision",
        ("string", _) if encoded => "bytea",
        ("string", format) => FORMATS.iter().find(|(name, _)| *name == format).map_or("text", |(_, name)| name),
        _ => JSONB,
    }
}

/// What is known of an array's elements, as far as a vector depends on it.
fn list(place: &Place<'_>, keys: &Map<String, Value>) -> Result<List, String> {
    let mut elements = Vec::new();
    for key in ["prefixItems", "items"] {
        match keys.get(key) {
            // The form of older drafts, too.
            Some(Value::Array(members)) => {
                let inner = |(at, member)| place.nested(member, &[key, &usize::to_string(&at)]);
                elements.extend(members.iter().enumerate().map(inner));
            }
            Some(one) if one.is_object() => elements.push(place.nested(one, &[key])),
            _ => {}
        }
    }
    let mut others = None;
    for element in elements {
        let type_name = shape(&element)?.type_name;
        let is_number =
            matches!(type_name, "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision");
        // Without a type there is nothing to object to.
        if !is_number && element.resolved()?.0.schema.get("type").is_some() {
            others = Some(type_name.to_owned());
        }
    }
    let number = |key| keys.get(key).and_then(Value::as_i64);
    let length = number("minItems").filter(|least| number("maxItems") == Some(*least));
    Ok(List { others, length })
}
