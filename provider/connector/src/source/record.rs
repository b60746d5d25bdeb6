//! Checks rows that were read against the JSON Schema of a record.
//!
//! Checked are types, enumerations, constants, bounds and lengths, required members and what lists and objects hold; a
//! key word that is not known here is not checked. **Invariant:** a row that fits the schema is never refused.

use serde_json::{Map, Value};

use super::{ColumnInfo, Meaning, Rows};
use crate::error::{Blame, Error};
use crate::rows::value::shown;

/// More faults than this are only counted.
const MOST_FAULTS: usize = 20;

/// How deep references are followed.
const MAX_DEPTH: usize = 64;

/// A key word, when a number is beyond the bound that it gives, and what to say then.
type Bound = (&'static str, fn(f64, f64) -> bool, &'static str);

/// The schema of a record.
#[derive(Clone, Debug)]
pub struct RecordCheck {
    document: Value,
}

impl RecordCheck {
    /// Reads the JSON Schema of an object.
    pub fn new(text: &str) -> Result<Self, Error> {
        let wrong = |message: String| {
            Error::new("read rows", message)
                .advice("record_schema takes the JSON Schema of an object with properties, as schemars or Pydantic print it.")
                .blame(Blame::Attribute("record_schema"))
        };
        let document: Value =
            serde_json::from_str(text).map_err(|e| wrong(format!("record_schema is no JSON: {e}")))?;
        let this = Self { document };
        match this.properties() {
            Some(properties) if !properties.is_empty() => Ok(this),
            _ => Err(wrong("record_schema describes no object with properties".to_owned())),
        }
    }

    /// The names of its properties: the columns.
    pub fn columns(&self) -> Vec<String> {
        self.properties().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    /// The names of the properties that must be there.
    pub fn required(&self) -> Vec<&str> {
        let required = self.resolve(&self.document, 0).get("required").and_then(Value::as_array);
        required.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Checks every value; an error names the row, the column and the place in the value.
    pub fn check(&self, rows: &Rows) -> Result<(), Vec<Error>> {
        let Some(properties) = self.properties() else { return Ok(()) };
        let required = self.required();
        let mut faults = Vec::new();
        let mut more = 0_usize;
        for (index, row) in rows.rows.iter().enumerate() {
            for (column, value) in rows.columns.iter().zip(row) {
                let Some(schema) = properties.get(&column.name) else { continue };
                let read = as_read(column, value).filter(|v| !v.is_null() || required.contains(&column.name.as_str()));
                let fault = read.and_then(|v| self.fault(schema, &v, &format!("rows[{index}].{}", column.name), 0));
                match fault {
                    Some(_) if faults.len() == MOST_FAULTS => more += 1,
                    Some(fault) => faults.push(fault),
                    None => {}
                }
            }
        }
        if more > 0 {
            faults.push(format!("{more} more values do not fit record_schema"));
        }
        let error = |message| Error::new("read rows", message).blame(Blame::Attribute("record_schema"));
        if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().map(error).collect()) }
    }

    fn properties(&self) -> Option<&Map<String, Value>> {
        self.resolve(&self.document, 0).get("properties")?.as_object()
    }

    /// Follows references inside the document.
    fn resolve<'a>(&'a self, schema: &'a Value, depth: usize) -> &'a Value {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| self.document.pointer(reference.strip_prefix('#')?));
        match target {
            Some(target) if depth < MAX_DEPTH => self.resolve(target, depth + 1),
            _ => schema,
        }
    }

    /// What is wrong with a value; `None` when nothing is.
    fn fault(&self, schema: &Value, value: &Value, path: &str, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        let schema = self.resolve(schema, 0);
        if *schema == Value::Bool(false) {
            return Some(format!("{path} is not allowed by record_schema"));
        }
        let wrong = |what: String| Some(format!("{path}: {} {what}", shown(&value.into())));
        if let Some(types) = schema.get("type") {
            let names: Vec<&str> = match types {
                Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                other => other.as_str().into_iter().collect(),
            };
            if !names.is_empty() && !names.iter().any(|name| is_of_type(name, value)) {
                return wrong(format!("is not of type {}", names.join(" or ")));
            }
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
            && !allowed.iter().any(|one| same(one, value))
        {
            return wrong("is none of the allowed values".to_owned());
        }
        if let Some(constant) = schema.get("const").filter(|constant| !same(constant, value)) {
            return wrong(format!("is not {}", shown(&constant.into())));
        }
        for any in ["anyOf", "oneOf"] {
            if let Some(branches) = schema.get(any).and_then(Value::as_array) {
                let mut faults = branches.iter().map(|branch| self.fault(branch, value, path, depth + 1));
                if !branches.is_empty() && !faults.any(|fault| fault.is_none()) {
                    return wrong("fits none of the allowed forms".to_owned());
                }
            }
        }
        for branch in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            if let Some(fault) = self.fault(branch, value, path, depth + 1) {
                return Some(fault);
            }
        }
        if let Some(number) = value.as_f64().filter(|_| value.is_number()) {
            let bounds: [Bound; 4] = [
                ("minimum", |n, bound| n < bound, "is less than"),
                ("maximum", |n, bound| n > bound, "is greater than"),
                ("exclusiveMinimum", |n, bound| n <= bound, "is not greater than"),
                ("exclusiveMaximum", |n, bound| n >= bound, "is not less than"),
            ];
            for (word, is_beyond, what) in bounds {
                if let Some(bound) = schema.get(word).and_then(Value::as_f64).filter(|bound| is_beyond(number, *bound))
                {
                    return wrong(format!("{what} {bound}"));
                }
            }
        }
        let length = match value {
            Value::String(text) => Some((text.chars().count(), "minLength", "maxLength", "characters")),
            Value::Array(items) => Some((items.len(), "minItems", "maxItems", "elements")),
            _ => None,
        };
        if let Some((length, least, most, what)) = length {
            let bound = |word| schema.get(word).and_then(Value::as_u64);
            if bound(least).is_some_and(|least| (length as u64) < least) {
                return wrong(format!("has only {length} {what}"));
            }
            if bound(most).is_some_and(|most| length as u64 > most) {
                return wrong(format!("has {length} {what}, which is too many"));
            }
        }
        match value {
            Value::Array(items) => {
                let first = schema.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let rest = schema.get("items").filter(|items| !items.is_array());
                items.iter().enumerate().find_map(|(at, item)| {
                    self.fault(first.get(at).or(rest)?, item, &format!("{path}[{at}]"), depth + 1)
                })
            }
            Value::Object(members) => {
                let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
                if let Some(missing) = required.filter_map(Value::as_str).find(|name| !members.contains_key(*name)) {
                    return Some(format!("{path}: {missing:?} is missing"));
                }
                let properties = schema.get("properties").and_then(Value::as_object);
                let others = schema.get("additionalProperties");
                members.iter().find_map(|(name, member)| {
                    let schema = properties.and_then(|p| p.get(name)).or(others)?;
                    self.fault(schema, member, &format!("{path}.{name}"), depth + 1)
                })
            }
            _ => None,
        }
    }
}

/// The value as the schema means it: JSON text is what it says, and a number that had to become text is a number again.
/// `None` for NaN and the infinities, of which JSON Schema can say nothing.
fn as_read(column: &ColumnInfo, value: &Value) -> Option<Value> {
    match (column.meaning, value) {
        (Meaning::Json, Value::String(text)) => Some(serde_json::from_str(text).unwrap_or_else(|_| value.clone())),
        (Meaning::Numbers, Value::String(text)) => match serde_json::from_str(text) {
            // An array that had to become text holds numbers, or texts that stand for numbers.
            Ok(Value::Array(items)) => as_read(column, &Value::Array(items)),
            other => other.ok(),
        },
        (Meaning::Numbers | Meaning::Json, Value::Array(items)) => {
            items.iter().map(|item| as_read(column, item)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        _ => Some(value.clone()),
    }
}

fn is_of_type(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => is_whole(value),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn is_whole(value: &Value) -> bool {
    matches!(value, Value::Number(number) if crate::rows::is_whole_number(&number.to_string()))
}

/// Equal, with numbers compared by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => crate::rows::same_number(&a.to_string(), &b.to_string()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::Kind;

    fn check(property: &Value, meaning: Meaning, value: &Value) -> Result<(), String> {
        let schema = json!({
            "properties": {"a": property}, "required": ["a"],
            "$defs": {"point": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}}},
        });
        let column = ColumnInfo { name: "a".to_owned(), type_name: "text".to_owned(), kind: Kind::String, meaning };
        let rows = Rows { columns: vec![column], rows: vec![vec![value.clone()]] };
        RecordCheck::new(&schema.to_string()).unwrap().check(&rows).map_err(|errors| errors[0].message().to_owned())
    }

    #[test]
    fn values_that_fit_are_let_through() {
        use Meaning::{Json, Numbers, Plain};
        for (property, meaning, value) in [
            (json!({"type": "string"}), Plain, json!("x")),
            (json!({"type": ["integer", "null"]}), Plain, Value::Null),
            (json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), Plain, Value::Null),
            (json!({"type": "integer"}), Numbers, json!(5.0)),
            (json!({"type": "number", "minimum": 1}), Numbers, json!("NaN")),
            (json!({"type": "integer"}), Numbers, json!("7")),
            (json!({"type": "array", "items": {"type": "number"}, "maxItems": 3}), Numbers, json!([1, 2.5])),
            (json!({"type": "array", "items": {"type": "number"}}), Numbers, json!(["1", "Infinity"])),
            (json!({"$ref": "#/$defs/point"}), Json, json!("{\"x\": 1, \"y\": \"\"}")),
            (json!({"enum": ["a", "b"]}), Plain, json!("b")),
            (json!({"const": 1.0}), Numbers, json!(1)),
            (json!({"type": "string", "format": "date", "x-unknown": 1}), Plain, json!("2024-01-01")),
            (json!(true), Plain, json!(1)),
        ] {
            assert_eq!(check(&property, meaning, &value), Ok(()), "{property} {value}");
        }
    }

    #[test]
    fn values_that_do_not_fit_are_named_by_their_place() {
        use Meaning::{Json, Numbers, Plain};
        for (property, meaning, value, fault) in [
            (json!({"type": "integer"}), Plain, json!("x"), "rows[0].a: \"x\" is not of type integer"),
            (json!({"type": "integer"}), Numbers, json!(5.5), "5.5 is not of type integer"),
            (json!({"type": "string"}), Plain, Value::Null, "null is not of type string"),
            (json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), Plain, json!("x"), "none of the allowed forms"),
            (json!({"type": "array", "items": {"type": "integer"}}), Numbers, json!([1, 2.5]), "rows[0].a[1]: 2.5"),
            (json!({"$ref": "#/$defs/point"}), Json, json!("{\"x\": \"1\"}"), "rows[0].a.x: \"1\""),
            (json!({"$ref": "#/$defs/point"}), Json, json!("{}"), "\"x\" is missing"),
            (json!({"enum": ["a", 1]}), Plain, json!("c"), "none of the allowed values"),
            (json!({"maximum": 3}), Numbers, json!(4), "4 is greater than 3"),
            (json!({"exclusiveMinimum": 3}), Numbers, json!(3), "not greater than 3"),
            (json!({"maxLength": 1}), Plain, json!("äö"), "2 characters, which is too many"),
            (json!(false), Plain, json!(1), "not allowed"),
        ] {
            let message = check(&property, meaning, &value).unwrap_err();
            assert!(message.contains(fault), "{property} {value}: {message}");
        }
    }

    #[test]
    fn a_missing_value_is_a_fault_only_where_it_is_required() {
        let schema = RecordCheck::new(r#"{"properties": {"a": {"type": "string"}}}"#).unwrap();
        let column = ColumnInfo {
            name: "a".to_owned(),
            type_name: "text".to_owned(),
            kind: Kind::String,
            meaning: Meaning::Plain,
        };
        assert!(schema.check(&Rows { columns: vec![column], rows: vec![vec![Value::Null]] }).is_ok());
        assert_eq!(schema.columns(), ["a"]);
        for text in ["{", "{}", "[]", r#"{"properties": {}}"#] {
            assert!(RecordCheck::new(text).is_err(), "{text}");
        }
    }
}
