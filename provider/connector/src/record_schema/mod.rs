//! Columns inferred from a JSON Schema of one record, as schemars and Pydantic print it.
//!
//! The types are those of the reference connector's table; what JSON Schema cannot say more exactly becomes `jsonb`.
//! **Invariant:** pure; the same text always gives the same columns.

pub(crate) mod reference;
mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use self::reference::Place;
use self::shape::Shape;
use crate::error::{Blame, Error};
use crate::pg_type::PgType;
use crate::spec::ColumnSpec;

/// What a record schema cannot say about a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnOverride {
    /// The type, instead of the inferred one; it counts before `vector`.
    pub type_name: Option<String>,
    /// Makes an array of numbers a vector.
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

impl ColumnOverride {
    /// Another type than the inferred one.
    pub fn of_type(type_name: impl Into<String>) -> Self {
        Self { type_name: Some(type_name.into()), ..Self::default() }
    }

    /// A vector of so many dimensions.
    pub fn vector(dimension: i64) -> Self {
        Self { vector: Some(VectorOverride { dimension, half: false }), ..Self::default() }
    }

    /// A vector of so many dimensions, whose elements have half precision.
    pub fn half_vector(dimension: i64) -> Self {
        Self { vector: Some(VectorOverride { dimension, half: true }), ..Self::default() }
    }

    /// The same, and whether the column may hold null.
    #[must_use]
    pub fn nullable(self, nullable: bool) -> Self {
        Self { nullable: Some(nullable), ..self }
    }
}

const DOING: &str = "infer columns from record_schema";

/// The most dimensions that a vector of pgvector can have.
const MOST_DIMENSIONS: i64 = 16_000;

/// Infers the columns from the text of a schema: the primary key's first, then the others as the schema lists them.
pub fn infer(
    schema: &str,
    primary_key: &[String],
    overrides: &BTreeMap<String, ColumnOverride>,
) -> Result<Vec<ColumnSpec>, Vec<Error>> {
    parse(schema).and_then(|document| columns(&document, DOING, primary_key, overrides)).map_err(advise)
}

/// Infers the columns from a schema. All faults are reported.
pub(crate) fn columns(
    document: &Value,
    doing: &str,
    primary_key: &[String],
    overrides: &BTreeMap<String, ColumnOverride>,
) -> Result<Vec<ColumnSpec>, Vec<Error>> {
    let record = record(document, doing)?;
    let mut faults = Vec::new();
    for name in overrides.keys().filter(|name| !record.properties.contains_key(*name)) {
        let known = record.properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("the schema has no property {name:?}; it has {known}");
        faults.push(Error::new(doing, message).blame(Blame::Element("column_overrides", name.clone())));
    }
    let mut columns = Vec::with_capacity(record.properties.len());
    for (name, property) in record.properties {
        let change = overrides.get(name);
        match column(&record, (name, property), primary_key.contains(name), change) {
            Ok(column) => columns.push(column),
            Err(Fault::Schema(message)) => {
                let message = format!("column {name:?}: {message}");
                faults.push(Error::new(doing, message).blame(Blame::Attribute("record_schema")));
            }
            Err(Fault::Override(message)) => {
                let blame = Blame::Element("column_overrides", name.clone());
                faults.push(Error::new(doing, format!("column {name:?}: {message}")).blame(blame));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    // A stable sort, so that the rest stays in the schema's order.
    columns.sort_by_key(|c| primary_key.iter().position(|k| *k == c.name).unwrap_or(usize::MAX));
    Ok(columns)
}

/// Says what a text should be that is no schema of a record.
fn advise(faults: Vec<Error>) -> Vec<Error> {
    let expected = "record_schema takes the JSON Schema of an object with properties, as schemars or Pydantic print it";
    let is_about_text = |fault: &Error| fault.blamed() == Some(&Blame::Attribute("record_schema"));
    faults.into_iter().map(|fault| if is_about_text(&fault) { fault.advice(expected) } else { fault }).collect()
}

fn parse(schema: &str) -> Result<Value, Vec<Error>> {
    serde_json::from_str(schema).map_err(|e| fault(DOING, format!("the text is no JSON: {e}")))
}

fn fault(doing: &str, message: impl Into<String>) -> Vec<Error> {
    vec![Error::new(doing, message).blame(Blame::Attribute("record_schema"))]
}

/// An object with properties.
struct Record<'a> {
    place: Place<'a>,
    properties: &'a Map<String, Value>,
    required: Vec<&'a str>,
}

fn record<'a>(document: &'a Value, doing: &str) -> Result<Record<'a>, Vec<Error>> {
    let (place, _) = Place::root(document).resolved().map_err(|message| fault(doing, message))?;
    let schema: &'a Value = place.schema;
    let Some(properties) = schema.get("properties").and_then(Value::as_object).filter(|p| !p.is_empty()) else {
        return Err(fault(doing, "the schema describes no object with properties"));
    };
    for choice in ["allOf", "anyOf", "oneOf"] {
        if schema.get(choice).is_some() {
            let at = format!("{}/{choice}", place.at);
            let message = format!("{at} adds to the properties of the record what cannot be told in columns");
            return Err(fault(doing, message));
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str).collect();
    Ok(Record { place, properties, required })
}

/// What is wrong with a column, by what says so.
enum Fault {
    Schema(String),
    Override(String),
}

fn column(
    record: &Record<'_>,
    (name, property): (&str, &Value),
    is_key: bool,
    change: Option<&ColumnOverride>,
) -> Result<ColumnSpec, Fault> {
    let place = record.place.nested(property, &["properties", name]);
    let inferred = shape::shape(&place).map_err(Fault::Schema)?;
    let type_name = match change.map(|c| (c.type_name.as_deref(), c.vector.as_ref())) {
        Some((Some(type_name), _)) => {
            if let Err(fault) = PgType::parse(type_name) {
                return Err(Fault::Override(fault.message));
            }
            type_name.trim().to_owned()
        }
        Some((None, Some(vector))) => vector_type(vector, &inferred).map_err(Fault::Override)?,
        _ => inferred.type_name.to_owned(),
    };
    if is_key && change.and_then(|c| c.nullable) == Some(true) {
        return Err(Fault::Override("it is in the primary key, so it cannot be null; leave nullable out".to_owned()));
    }
    let default = property.get("default");
    let optional = !record.required.contains(&name) && default.is_none();
    let by_schema = inferred.allows_null || optional || default.is_some_and(Value::is_null);
    let nullable = !is_key && change.and_then(|c| c.nullable).unwrap_or(by_schema);
    Ok(ColumnSpec { name: name.to_owned(), type_name, nullable, default: None, comment: None })
}

fn vector_type(vector: &VectorOverride, inferred: &Shape) -> Result<String, String> {
    let dimension = vector.dimension;
    let Some(list) = &inferred.list else {
        return Err(format!("a vector needs an array of numbers, and the schema says {}", inferred.type_name));
    };
    if let Some(others) = &list.others {
        return Err(format!("a vector needs an array of numbers, and the schema says one of {others}"));
    }
    if !(1..=MOST_DIMENSIONS).contains(&dimension) {
        return Err(format!("a vector cannot have {dimension} dimensions; it has from 1 to {MOST_DIMENSIONS}"));
    }
    if let Some(length) = list.length.filter(|length| *length != dimension) {
        return Err(format!("a vector of {dimension} dimensions cannot hold an array of {length} elements"));
    }
    Ok(format!("{}({dimension})", if vector.half { "halfvec" } else { "vector" }))
}
