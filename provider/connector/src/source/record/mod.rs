//! Checks rows that were read against the JSON Schema of a record.
//!
//! Checked is what JSON Schema says about values, in the spelling of draft 7, of 2020-12 and of `OpenAPI`. `format` only
//! describes, and `unevaluatedProperties` and `unevaluatedItems` are not looked at. A validator of the registry would add
//! four megabytes to the program for these. **Invariant:** a row that fits the schema is never refused.

mod check;
mod compile;
mod exact;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value};

use self::check::Check;
use self::compile::{Id, Schema};
use super::{ColumnInfo, Meaning, Rows};
use crate::error::{Blame, Error};
use crate::record_schema::reference::Place;

/// More faults than this are only counted.
const MOST_FAULTS: usize = 20;

/// The schema of the record as a whole.
const RECORD: Id = 0;

/// The schema of a record.
#[derive(Clone, Debug)]
pub struct RecordCheck {
    /// The record's own is the first.
    schemas: Arc<[Schema]>,
    properties: Vec<(String, Id)>,
    /// Whether the schema says more about a record than what each property is.
    whole: bool,
}

impl RecordCheck {
    /// Reads the JSON Schema of an object. All its faults are told.
    pub fn new(text: &str) -> Result<Self, Vec<Error>> {
        let wrong = |message: String| {
            Error::new("read rows", message)
                .advice("record_schema takes the JSON Schema of an object with properties, as schemars or Pydantic print it.")
                .blame(Blame::Attribute("record_schema"))
        };
        let one = |message: String| vec![wrong(message)];
        let document: Value = serde_json::from_str(text).map_err(|e| one(format!("record_schema is no JSON: {e}")))?;
        let (place, _) = Place::root(&document).resolved().map_err(one)?;
        let Some(names) = place.schema.get("properties").and_then(Value::as_object).filter(|names| !names.is_empty())
        else {
            return Err(one("record_schema describes no object with properties".to_owned()));
        };
        let schemas = compile::compile(&place).map_err(|mut faults| {
            let more = faults.len().saturating_sub(MOST_FAULTS);
            faults.truncate(MOST_FAULTS);
            faults.extend((more > 0).then(|| format!("record_schema has {more} more faults")));
            faults.into_iter().map(wrong).collect::<Vec<_>>()
        })?;
        let known = schemas.first().map(|record| &record.properties);
        let properties = names.keys().filter_map(|name| Some((name.clone(), *known?.get(name)?))).collect();
        let plain =
            ["type", "properties", "required", "additionalProperties", "title", "description", "$schema", "$defs"];
        let whole =
            place.schema.as_object().is_some_and(|words| words.keys().any(|word| !plain.contains(&word.as_str())));
        Ok(Self { schemas: schemas.into(), properties, whole })
    }

    /// The names of its properties: the columns.
    pub fn columns(&self) -> Vec<String> {
        self.properties.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The names of the properties that must be there.
    pub fn required(&self) -> Vec<&str> {
        self.schemas.iter().take(1).flat_map(|record| &record.required).map(String::as_str).collect()
    }

    /// Checks every value; an error names the row, the column and the place in the value.
    pub fn check(&self, rows: &Rows) -> Result<(), Vec<Error>> {
        let required = self.required();
        let column = |column: &ColumnInfo| {
            let id = self.properties.iter().find(|(name, _)| *name == column.name).map(|(_, id)| *id);
            (id, required.contains(&column.name.as_str()))
        };
        let columns: Vec<(Option<Id>, bool)> = rows.columns.iter().map(column).collect();
        let whole = self.whole && self.properties.iter().all(|(name, _)| rows.columns.iter().any(|c| c.name == *name));
        let mut faults = Vec::new();
        let mut more = 0_usize;
        for (index, row) in rows.rows.iter().enumerate() {
            let mut told = |place: &str, path: &str, message: String| match faults.len() {
                MOST_FAULTS.. => more += 1,
                _ => faults.push(format!("rows[{index}]{place}{path}: {message}")),
            };
            let mut record = whole.then(Map::new);
            for ((info, value), (id, is_required)) in rows.columns.iter().zip(row).zip(&columns) {
                let Some(read) = as_read(info, value) else {
                    // Of NaN and the infinities JSON Schema can say nothing, nor of a record that holds one.
                    record = None;
                    continue;
                };
                if read.is_null() && !is_required {
                    continue;
                }
                if let Some(fault) = id.and_then(|id| Check::new(&self.schemas).fault(id, &read, 0)) {
                    told(&format!(".{}", info.name), &fault.path, fault.message);
                    record = None;
                } else if let Some(record) = &mut record {
                    record.insert(info.name.clone(), read.into_owned());
                }
            }
            let fault = record.and_then(|record| Check::new(&self.schemas).fault(RECORD, &Value::Object(record), 0));
            if let Some(fault) = fault {
                told("", &fault.path, fault.message);
            }
        }
        if more > 0 {
            faults.push(format!("{more} more values do not fit record_schema"));
        }
        let error = |message| Error::new("read rows", message).blame(Blame::Attribute("record_schema"));
        if faults.is_empty() { Ok(()) } else { Err(faults.into_iter().map(error).collect()) }
    }

    /// What is wrong with one value that the whole schema describes.
    #[cfg(feature = "surfaces")]
    pub(crate) fn check_value(&self, value: &Value) -> Option<String> {
        let fault = Check::new(&self.schemas).fault(RECORD, value, 0)?;
        Some(format!("{}: {}", fault.path, fault.message))
    }
}

/// The value as the schema means it: JSON text is what it says, a list that had to become text is a list again, and so is a
/// number. `None` for NaN and the infinities.
fn as_read<'v>(column: &ColumnInfo, value: &'v Value) -> Option<Cow<'v, Value>> {
    match value {
        Value::String(text) if column.is_text_of_list => match serde_json::from_str(text) {
            Ok(list) => meant(column.meaning, &list).map(|list| Cow::Owned(list.into_owned())),
            Err(_) => Some(Cow::Borrowed(value)),
        },
        value => meant(column.meaning, value),
    }
}

fn meant(meaning: Meaning, value: &Value) -> Option<Cow<'_, Value>> {
    match (meaning, value) {
        (Meaning::Json, Value::String(text)) => {
            Some(serde_json::from_str(text).map_or(Cow::Borrowed(value), Cow::Owned))
        }
        (Meaning::Numbers, Value::String(text)) => serde_json::from_str(text).ok().map(Cow::Owned),
        (Meaning::Json, Value::Array(items)) => each(meaning, items),
        (Meaning::Numbers, Value::Array(items)) if items.iter().any(|item| !item.is_number()) => each(meaning, items),
        _ => Some(Cow::Borrowed(value)),
    }
}

fn each(meaning: Meaning, items: &[Value]) -> Option<Cow<'_, Value>> {
    let items = items.iter().map(|item| meant(meaning, item).map(Cow::into_owned)).collect::<Option<Vec<_>>>();
    items.map(|items| Cow::Owned(Value::Array(items)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::Kind;

    /// One row of one column.
    fn rows(value: &Value, meaning: Meaning) -> Rows {
        let column = ColumnInfo {
            name: "a".to_owned(),
            type_name: "text".to_owned(),
            kind: Kind::String,
            meaning,
            is_text_of_list: false,
        };
        Rows { columns: vec![column], rows: vec![vec![value.clone()]] }
    }

    fn check(property: &Value, meaning: Meaning, value: &Value) -> Result<(), String> {
        let schema = json!({
            "properties": {"a": property}, "required": ["a"],
            "$defs": {
                "tree": {
                    "type": "object", "required": ["v", "of"],
                    "properties": {"v": {"type": "integer"}, "of": {"type": "array", "items": {"$ref": "#/$defs/tree"}}},
                },
                "point": {"type": "object", "required": ["x"], "properties": {"x": {"type": "integer"}}},
            },
        });
        let rows = rows(value, meaning);
        RecordCheck::new(&schema.to_string()).unwrap().check(&rows).map_err(|errors| errors[0].message().to_owned())
    }

    fn exact(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
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
            (json!({"type": "integer", "nullable": true}), Plain, Value::Null),
            (json!({"type": "string", "pattern": "^[a-z]+\\d$"}), Plain, json!("ab1")),
            (json!({"multipleOf": 0.01}), Numbers, exact("19.99")),
            (json!({"oneOf": [{"maximum": 3}, {"minimum": 3}]}), Numbers, json!(2)),
            (json!({"not": {"type": "string"}}), Plain, json!(1)),
            (json!({"if": {"type": "string"}, "then": {"maxLength": 1}, "else": {"minimum": 5}}), Numbers, json!(5)),
            (json!({"type": "array", "uniqueItems": true, "contains": {"const": 2}}), Numbers, json!([1, 2.0])),
            (json!({"type": "array", "items": [{"type": "string"}], "additionalItems": false}), Json, json!("[\"x\"]")),
            (
                json!({"patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": false}),
                Json,
                json!("{\"x-a\": 1}"),
            ),
            (json!({"maximum": 9, "exclusiveMaximum": false}), Numbers, json!(9)),
            (exact("{\"maximum\": 9007199254740993}"), Numbers, exact("9007199254740993")),
            (json!({"$ref": "#/$defs/tree"}), Json, json!("{\"v\": 1, \"of\": [{\"v\": 2, \"of\": []}]}")),
            (json!({"format": "email", "unevaluatedProperties": false, "x-unknown": 1}), Plain, json!("no address")),
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
            (json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), Plain, json!("x"), "is not of type integer"),
            (
                json!({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}),
                Plain,
                json!("x"),
                "none of the allowed forms",
            ),
            (json!({"type": "array", "items": {"type": "integer"}}), Numbers, json!([1, 2.5]), "rows[0].a[1]: 2.5"),
            (json!({"$ref": "#/$defs/point"}), Json, json!("{\"x\": \"1\"}"), "rows[0].a.x: \"1\""),
            (json!({"$ref": "#/$defs/point"}), Json, json!("{}"), "\"x\" is missing"),
            (json!({"enum": ["a", 1]}), Plain, json!("c"), "none of the allowed values"),
            (json!({"maximum": 3}), Numbers, json!(4), "4 is greater than 3"),
            (json!({"exclusiveMinimum": 3}), Numbers, json!(3), "not greater than 3"),
            (json!({"maxLength": 1}), Plain, json!("äö"), "has 2 characters, and at most 1 are allowed"),
            (json!(false), Plain, json!(1), "not allowed"),
            (json!({"type": "string", "pattern": "^[a-z]+$"}), Plain, json!("ab1"), "\"ab1\" does not match ^[a-z]+$"),
            (json!({"multipleOf": 0.01}), Numbers, exact("19.999"), "is not a multiple of 0.01"),
            (json!({"oneOf": [{"maximum": 3}, {"minimum": 3}]}), Numbers, json!(3), "fits 2 forms"),
            (json!({"not": {"type": "string"}}), Plain, json!("x"), "a form that is not allowed"),
            (json!({"if": {"type": "string"}, "then": {"maxLength": 1}}), Plain, json!("xx"), "at most 1"),
            (json!({"uniqueItems": true}), Numbers, exact("[1, 2, 1.0]"), "rows[0].a[2]: 1.0 is there twice"),
            (json!({"contains": {"const": 2}}), Numbers, json!([1]), "has only 0 elements of the form"),
            (
                json!({"items": [{"type": "string"}], "additionalItems": false}),
                Json,
                json!("[\"x\", 1]"),
                "rows[0].a[1]",
            ),
            (json!({"additionalProperties": false}), Json, json!("{\"b\": 1}"), "rows[0].a.b: is not allowed"),
            (json!({"propertyNames": {"maxLength": 1}}), Json, json!("{\"bb\": 1}"), "the name \"bb\" does not fit"),
            (json!({"minProperties": 1}), Json, json!("{}"), "has only 0 members"),
            (
                json!({"dependentRequired": {"b": ["c"]}}),
                Json,
                json!("{\"b\": 1}"),
                "\"c\" is missing, which \"b\" needs",
            ),
            (json!({"maximum": 9, "exclusiveMaximum": true}), Numbers, json!(9), "9 is not less than 9"),
            (exact("{\"maximum\": 9007199254740992}"), Numbers, exact("9007199254740993"), "is greater than"),
            (exact("{\"enum\": [{\"b\": 1, \"a\": 2}]}"), Json, json!("{\"a\": 2.0, \"b\": 3}"), "none of the allowed"),
            (
                json!({"$ref": "#/$defs/tree"}),
                Json,
                json!("{\"v\": 1, \"of\": [{\"v\": \"x\", \"of\": []}]}"),
                "rows[0].a.of[0].v: \"x\" is not of type integer",
            ),
        ] {
            let message = check(&property, meaning, &value).unwrap_err();
            assert!(message.contains(fault), "{property} {value}: {message}");
        }
    }

    #[test]
    fn a_missing_value_is_a_fault_only_where_it_is_required() {
        let schema = RecordCheck::new(r#"{"properties": {"a": {"type": "string"}}}"#).unwrap();
        assert!(schema.check(&rows(&Value::Null, Meaning::Plain)).is_ok());
        assert_eq!(schema.columns(), ["a"]);
        for text in ["{", "{}", "[]", r#"{"properties": {}}"#] {
            assert!(RecordCheck::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_fault_of_a_schema_is_told_with_its_place() {
        let schema = json!({
            "properties": {
                "a": {"$ref": "#/$defs/nope"}, "b": {"type": "strin"}, "c": {"minimum": "1"}, "d": {"pattern": "(?=x)"},
                "e": {"maxLength": -1}, "f": {"items": {"$ref": "https://example.com/x"}}, "g": 5, "h": {"multipleOf": 0},
            },
            "$defs": {"there": {}},
        });
        let errors = RecordCheck::new(&schema.to_string()).unwrap_err();
        let messages: Vec<&str> = errors.iter().map(Error::message).collect();
        let expected = [
            "/properties/a/$ref refers to \"#/$defs/nope\", which the schema does not have; it defines there",
            "/properties/b/type is \"strin\", and the types are null,",
            "/properties/c/minimum is \"1\", and a bound is a number",
            "/properties/d/pattern holds the pattern \"(?=x)\", which cannot be checked",
            "/properties/e/maxLength is -1, and it is a whole number",
            "/properties/f/items/$ref refers to \"https://example.com/x\", and only references into",
            "/properties/g is 5, and a schema is",
            "/properties/h/multipleOf is 0, and it is a number above zero",
        ];
        assert_eq!(messages.len(), expected.len(), "{messages:#?}");
        for expected in expected {
            assert!(messages.iter().any(|message| message.starts_with(expected)), "{expected}: {messages:#?}");
        }
        assert!(errors.iter().all(|error| error.blamed() == Some(&Blame::Attribute("record_schema"))));
        let many: Map<String, Value> = (0..100).map(|n| (format!("p{n}"), json!(1))).collect();
        let errors = RecordCheck::new(&json!({"properties": many}).to_string()).unwrap_err();
        assert_eq!((errors.len(), errors[20].message()), (21, "record_schema has 80 more faults"));
    }

    #[test]
    fn a_schema_that_says_nothing_but_itself_is_refused() {
        for property in [
            json!({"$ref": "#/properties/a"}),
            json!({"allOf": [{"$ref": "#/properties/a"}, {"$ref": "#/properties/a"}]}),
            json!({"anyOf": [{"type": "null"}, {"not": {"$ref": "#/properties/a"}}]}),
        ] {
            let errors = RecordCheck::new(&json!({"properties": {"a": property}}).to_string()).unwrap_err();
            assert!(errors[0].message().contains("leads back to itself"), "{property}: {errors:?}");
        }
        let chain: Map<String, Value> =
            (0..20_000).map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}))).collect();
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": chain}).to_string();
        assert!(RecordCheck::new(&schema.replace("d20000", "d19999")).is_err());
        let ends = json!({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": {
            "d0": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#/$defs/d0"}}]}}});
        assert!(RecordCheck::new(&ends.to_string()).is_ok());
    }

    #[test]
    fn ways_that_double_at_each_step_are_gone_once() {
        let mut defs: Map<String, Value> = (0..30)
            .map(|n| {
                let next = json!({"$ref": format!("#/$defs/d{}", n + 1)});
                (format!("d{n}"), json!({"allOf": [next, next], "properties": {"x": next}}))
            })
            .collect();
        defs.insert("d30".to_owned(), json!({"type": "object"}));
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs}).to_string();
        let check = RecordCheck::new(&schema).unwrap();
        let mut value = json!({});
        for _ in 0..30 {
            value = json!({"x": value});
        }
        // It would take 2^60 steps without remembering.
        assert_eq!(
            check.check(&rows(&json!(value.to_string()), Meaning::Json)).map_err(|e| e[0].message().to_owned()),
            Ok(())
        );
    }

    #[test]
    fn deep_values_fit_the_stack_of_a_worker() {
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/list"}}, "$defs": {
            "list": {"anyOf": [{"type": "null"}, {"allOf": [{"$ref": "#/$defs/array"}]}]},
            "array": {"type": "array", "items": {"$ref": "#/$defs/list"}}}});
        let check = RecordCheck::new(&schema.to_string()).unwrap();
        let value = json!(format!("{}{}", "[".repeat(125), "]".repeat(125)));
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let checked = thread.spawn(move || check.check(&rows(&value, Meaning::Json)).is_ok()).unwrap().join();
        assert!(checked.unwrap());
        // As many schemas for each level as may be: the walk ends before the stack does.
        let mut defs: Map<String, Value> =
            (0..60).map(|n| (format!("d{n}"), json!({"$ref": format!("#/$defs/d{}", n + 1)}))).collect();
        defs.insert("d60".to_owned(), json!({"type": "array", "items": {"$ref": "#/$defs/d0"}}));
        let schema = json!({"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs});
        let check = RecordCheck::new(&schema.to_string()).unwrap();
        let value = json!(format!("{}{}", "[".repeat(125), "]".repeat(125)));
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let checked = thread.spawn(move || check.check(&rows(&value, Meaning::Json))).unwrap().join();
        assert!(checked.unwrap().unwrap_err()[0].message().ends_with("is nested too deep to be checked"));
    }

    #[test]
    fn what_the_schema_says_about_a_record_is_checked_too() {
        let schema = json!({
            "properties": {"a": {"type": "string"}}, "required": ["a"],
            "if": {"properties": {"a": {"const": "x"}}}, "then": {"minProperties": 2},
        });
        let check = RecordCheck::new(&schema.to_string()).unwrap();
        assert!(check.check(&rows(&json!("y"), Meaning::Plain)).is_ok());
        let errors = check.check(&rows(&json!("x"), Meaning::Plain)).unwrap_err();
        assert_eq!(errors[0].message(), "rows[0]: has only 1 members, and at least 2 are needed");
    }

    #[test]
    fn a_list_that_had_to_become_text_is_checked_as_a_list() {
        let schema = json!({"properties": {"a": {"type": "array", "items": {"type": "string"}}}});
        let mut rows = rows(&json!("[\"x\"]"), Meaning::Plain);
        rows.columns[0].is_text_of_list = true;
        assert!(RecordCheck::new(&schema.to_string()).unwrap().check(&rows).is_ok());
    }
}
