//! Columns inferred from a JSON Schema of one record, as schemars and Pydantic print it.
//!
//! The types are those of the reference connector's table; what JSON Schema cannot say more exactly becomes `jsonb`.
//! **Invariant:** pure; the same text always gives the same columns.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Blame, Error};
use crate::spec::ColumnSpec;

/// What a record schema cannot say about a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnOverride {
    /// The type, instead of the inferred one.
    pub type_name: Option<String>,
    /// Makes an array a vector.
    pub vector: Option<VectorOverride>,
    /// Whether it may hold null, instead of what was inferred.
    pub nullable: Option<bool>,
}

/// The shape of a vector column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorOverride {
    /// The number of dimensions.
    pub dimension: i64,
    /// Whether the elements have half precision.
    pub half: bool,
}

const DOING: &str = "infer columns from record_schema";

/// How deep references are followed; a schema that refers to itself ends there.
const MAX_REFERENCES: usize = 32;

/// Infers the columns: the primary key's first, then the others as the schema lists them.
pub fn infer(
    schema: &str,
    primary_key: &[String],
    overrides: &BTreeMap<String, ColumnOverride>,
) -> Result<Vec<ColumnSpec>, Vec<Error>> {
    let document: Value = serde_json::from_str(schema).map_err(|e| fault(format!("the text is no JSON: {e}")))?;
    let (properties, required) = record(&document)?;
    let mut faults: Vec<Error> = overrides
        .keys()
        .filter(|name| !properties.contains_key(*name))
        .map(|name| {
            let known = properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Error::new(DOING, format!("the schema has no property {name:?}; it has {known}"))
                .blame(Blame::Element("column_overrides", name.clone()))
        })
        .collect();
    let mut columns = Vec::with_capacity(properties.len());
    for (name, property) in properties {
        let inferred = shape(&document, property, 0);
        let change = overrides.get(name);
        let type_name = match change.map(|c| (c.type_name.as_deref(), c.vector.as_ref())) {
            Some((Some(type_name), _)) => type_name.trim().to_owned(),
            Some((None, Some(vector))) => match vector_type(vector, &inferred) {
                Ok(type_name) => type_name,
                Err(message) => {
                    let blame = Blame::Element("column_overrides", name.clone());
                    faults.push(Error::new(DOING, format!("column {name:?}: {message}")).blame(blame));
                    continue;
                }
            },
            _ => inferred.type_name.to_owned(),
        };
        let optional = !required.contains(&name.as_str()) && property.get("default").is_none();
        let nullable =
            !primary_key.contains(name) && change.and_then(|c| c.nullable).unwrap_or(inferred.allows_null || optional);
        columns.push(ColumnSpec { name: name.clone(), type_name, nullable, default: None, comment: None });
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    // A stable sort, so that the rest stays in the schema's order.
    columns.sort_by_key(|c| primary_key.iter().position(|k| *k == c.name).unwrap_or(usize::MAX));
    Ok(columns)
}

/// The names of a record schema's properties, in its order.
pub fn property_names(schema: &str) -> Result<Vec<String>, Vec<Error>> {
    let document: Value = serde_json::from_str(schema).map_err(|e| fault(format!("the text is no JSON: {e}")))?;
    Ok(record(&document)?.0.keys().cloned().collect())
}

fn fault(message: impl Into<String>) -> Vec<Error> {
    vec![
        Error::new(DOING, message)
            .advice(
                "record_schema takes the JSON Schema of an object with properties, as schemars or Pydantic print it",
            )
            .blame(Blame::Attribute("record_schema")),
    ]
}

/// The properties of a record and the names of those that it requires.
type Record<'a> = (&'a Map<String, Value>, Vec<&'a str>);

fn record(document: &Value) -> Result<Record<'_>, Vec<Error>> {
    let root =
        resolve(document, document, 0).ok_or_else(|| fault("the schema refers to a definition it does not have"))?;
    let Some(properties) = root.get("properties").and_then(Value::as_object).filter(|p| !p.is_empty()) else {
        return Err(fault("the schema describes no object with properties"));
    };
    let required = root.get("required").and_then(Value::as_array);
    Ok((properties, required.into_iter().flatten().filter_map(Value::as_str).collect()))
}

/// Follows references and `allOf` with one member.
fn resolve<'a>(document: &'a Value, schema: &'a Value, depth: usize) -> Option<&'a Value> {
    if depth > MAX_REFERENCES {
        return None;
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return resolve(document, document.pointer(reference.strip_prefix('#')?)?, depth + 1);
    }
    match schema.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
        Some([only]) => resolve(document, only, depth + 1),
        _ => Some(schema),
    }
}

/// What a property's schema says of its column.
#[derive(Clone, Copy)]
struct Shape {
    type_name: &'static str,
    allows_null: bool,
    array: bool,
}

impl Shape {
    fn of(type_name: &'static str) -> Self {
        Self { type_name, allows_null: false, array: false }
    }

    fn nullable(self, allows_null: bool) -> Self {
        Self { allows_null: self.allows_null || allows_null, ..self }
    }
}

const JSONB: &str = "jsonb";

fn shape(document: &Value, schema: &Value, depth: usize) -> Shape {
    let Some(schema) = resolve(document, schema, depth) else { return Shape::of(JSONB) };
    let Some(keys) = schema.as_object() else {
        // `true` allows anything, null too.
        return Shape::of(JSONB).nullable(schema.as_bool() != Some(false));
    };
    for choice in ["anyOf", "oneOf"] {
        if let Some(members) = keys.get(choice).and_then(Value::as_array) {
            return one_of(document, members, depth + 1);
        }
    }
    if let Some(values) = keys.get("enum").and_then(Value::as_array) {
        return Shape::of(JSONB).nullable(values.contains(&Value::Null));
    }
    if let Some(constant) = keys.get("const") {
        return Shape::of(JSONB).nullable(constant.is_null());
    }
    let types: Vec<&str> = match keys.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        // An annotation alone allows anything, null too; allOf with several members is no type we know.
        _ => return Shape::of(JSONB).nullable(!keys.contains_key("allOf")),
    };
    let null = types.contains(&"null");
    let others: Vec<&str> = types.into_iter().filter(|t| *t != "null").collect();
    match others.as_slice() {
        [one] => simple(one, keys),
        [a, b] if is_decimal(a, b) => Shape::of("numeric"),
        _ => Shape::of(JSONB),
    }
    .nullable(null)
}

/// A choice between schemas: null and one other is that other, a number or text is how decimals are printed.
fn one_of(document: &Value, members: &[Value], depth: usize) -> Shape {
    let is_null =
        |m: &Value| resolve(document, m, depth).is_some_and(|m| m.get("type").and_then(Value::as_str) == Some("null"));
    let (nulls, others): (Vec<&Value>, Vec<&Value>) = members.iter().partition(|m| is_null(m));
    let type_of = |m: &Value| m.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match others.as_slice() {
        [one] => shape(document, one, depth),
        [a, b] if is_decimal(&type_of(a), &type_of(b)) => Shape::of("numeric"),
        _ => Shape::of(JSONB),
    }
    .nullable(!nulls.is_empty())
}

fn is_decimal(a: &str, b: &str) -> bool {
    matches!((a, b), ("number", "string") | ("string", "number"))
}

fn simple(type_name: &str, keys: &Map<String, Value>) -> Shape {
    let format = keys.get("format").and_then(Value::as_str).unwrap_or_default();
    let encoded = keys.get("contentEncoding").and_then(Value::as_str).is_some_and(|e| e.starts_with("base64"));
    Shape::of(match (type_name, format) {
        ("boolean", _) => "boolean",
        ("integer", "int8" | "int16" | "uint8") => "smallint",
        ("integer", "int32" | "uint16") => "integer",
        ("integer", "uint64" | "uint" | "int128" | "uint128") | ("number" | "string", "decimal") => "numeric",
        ("integer", _) => "bigint",
        ("number", "float") => "real",
        ("number", _) => "double precision",
        ("string", _) if encoded => "bytea",
        ("string", "binary" | "byte" | "base64" | "base64url") => "bytea",
        ("string", "uuid") => "uuid",
        ("string", "date") => "date",
        ("string", "time") => "time with time zone",
        ("string", "partial-time") => "time without time zone",
        ("string", "date-time") => "timestamp with time zone",
        ("string", "partial-date-time") => "timestamp without time zone",
        ("string", "duration") => "interval",
        (
            "string",
            "ip" | "ipv4" | "ipv6" | "ipvanyaddress" | "ipv4interface" | "ipv6interface" | "ipvanyinterface",
        ) => "inet",
        ("string", "ipv4network" | "ipv6network" | "ipvanynetwork") => "cidr",
        ("string", _) => "text",
        ("array", _) => return Shape { array: true, ..Shape::of(JSONB) },
        _ => JSONB,
    })
}

fn vector_type(vector: &VectorOverride, inferred: &Shape) -> Result<String, String> {
    if !inferred.array {
        return Err(format!("a vector override needs an array, and the schema says {}", inferred.type_name));
    }
    if vector.dimension < 1 {
        return Err(format!("a vector cannot have {} dimensions", vector.dimension));
    }
    Ok(format!("{}({})", if vector.half { "halfvec" } else { "vector" }, vector.dimension))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(schema: &str, overrides: &BTreeMap<String, ColumnOverride>) -> BTreeMap<String, String> {
        infer(schema, &["id".to_owned()], overrides)
            .unwrap()
            .into_iter()
            .map(|c| (c.name, c.type_name + if c.nullable { "" } else { "!" }))
            .collect()
    }

    fn check(schema: &str, expected: &str) {
        let columns = inferred(schema, &BTreeMap::new());
        for line in expected.lines().map(str::trim).filter(|l| !l.is_empty()) {
            for pair in line.split(", ") {
                let (name, type_name) = pair.split_once(" = ").unwrap();
                assert_eq!(columns[name], type_name, "{name}");
            }
        }
    }

    #[test]
    fn what_pydantic_prints() {
        let common = "
            id = bigint!, big = bigint!, name = text!, short = text!, ok = boolean!, f = double precision!
            data = bytea!, b64 = bytea!, u = uuid!, d = date!, t = time with time zone!
            ts = timestamp with time zone!, td = interval!, tags = jsonb!, emb = jsonb!, pair = jsonb!, m = jsonb!
            inner = jsonb!, inner2 = jsonb, color = jsonb!, lit = jsonb!, one = jsonb!, anyv = jsonb, opt = bigint
            optreq = bigint, withdef = bigint!, union = jsonb!, ounion = jsonb, ip = inet!, ip6 = inet!, net = cidr!
            iface = inet!, optts = timestamp with time zone";
        check(include_str!("../tests/fixtures/pydantic_validation.json"), common);
        check(include_str!("../tests/fixtures/pydantic_validation.json"), "dec = numeric!, optdec = numeric");
        check(include_str!("../tests/fixtures/pydantic_serialization.json"), common);
    }

    #[test]
    fn what_schemars_prints() {
        check(
            include_str!("../tests/fixtures/schemars.json"),
            "
            i8_ = smallint!, i16_ = smallint!, i32_ = integer!, i64_ = bigint!, i128_ = numeric!, u8_ = smallint!
            u16_ = integer!, u32_ = bigint!, u64_ = numeric!, u128_ = numeric!, isz = bigint!, usz = numeric!
            f32_ = real!, f64_ = double precision!, b = boolean!, s = text!, c = text!, opt = integer, opts = text
            tags = jsonb!, emb = jsonb!, arr = jsonb!, pair = jsonb!, m = jsonb!, inner = jsonb!, oinner = jsonb
            color = jsonb!, ocolor = jsonb, shape = jsonb!, nt = bigint!, def = integer!, any = jsonb, ip = inet!
            u = uuid!, ou = uuid, d = date!, t = time without time zone!, ts = timestamp with time zone!
            nts = timestamp without time zone!, dec = numeric!, jts = timestamp with time zone!, jspan = interval!
            dur = jsonb!, bytes = jsonb!, b64 = bytea!, nz = bigint!, unit = jsonb, boxed = integer!",
        );
    }

    #[test]
    fn overrides_come_first() {
        let schema = r#"{"type":"object","required":["e","h","id"],"properties":{"e":{"type":"array"},
            "h":{"type":"array"},"id":{"type":"integer"},"x":{"type":"string"}}}"#;
        let vector = |dimension, half| ColumnOverride {
            vector: Some(VectorOverride { dimension, half }),
            ..ColumnOverride::default()
        };
        let typed = ColumnOverride { type_name: Some(" integer ".into()), ..ColumnOverride::default() };
        let not_null = ColumnOverride { nullable: Some(false), ..ColumnOverride::default() };
        let overrides = BTreeMap::from([
            ("e".to_owned(), vector(3, false)),
            ("h".to_owned(), vector(4, true)),
            ("id".to_owned(), typed),
            ("x".to_owned(), not_null),
        ]);
        let columns = inferred(schema, &overrides);
        assert_eq!(columns["e"], "vector(3)!");
        assert_eq!(columns["h"], "halfvec(4)!");
        assert_eq!(columns["id"], "integer!");
        assert_eq!(columns["x"], "text!");
        assert_eq!(infer(schema, &["id".to_owned()], &overrides).unwrap()[0].name, "id");
    }

    #[test]
    fn faults_say_what_is_wrong() {
        let vector = |dimension| ColumnOverride {
            vector: Some(VectorOverride { dimension, half: false }),
            ..ColumnOverride::default()
        };
        let object = r#"{"type":"object","properties":{"id":{"type":"integer"},"e":{"type":"array"}}}"#;
        for (schema, overrides, message) in [
            ("{", BTreeMap::new(), "no JSON"),
            ("[]", BTreeMap::new(), "no object with properties"),
            (r#"{"type":"string"}"#, BTreeMap::new(), "no object with properties"),
            (r##"{"$ref":"#/$defs/X"}"##, BTreeMap::new(), "does not have"),
            (r##"{"$ref":"#"}"##, BTreeMap::new(), "does not have"),
            (object, BTreeMap::from([("nope".to_owned(), ColumnOverride::default())]), "no property \"nope\""),
            (object, BTreeMap::from([("id".to_owned(), vector(3))]), "needs an array"),
            (object, BTreeMap::from([("e".to_owned(), vector(0))]), "0 dimensions"),
        ] {
            let errors = infer(schema, &["id".to_owned()], &overrides).unwrap_err();
            assert!(errors[0].message().contains(message), "{schema}: {}", errors[0].message());
        }
    }

    #[test]
    fn recursion_ends() {
        let schema = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/A"}},
            "$defs":{"A":{"anyOf":[{"$ref":"#/$defs/A"},{"type":"null"}]}}}"##;
        assert_eq!(inferred(schema, &BTreeMap::new())["a"], "jsonb");
    }
}
