//! JSON, as the state holds values, and as rows are handed on.
//!
//! Reading is lenient where states of older versions differ: an attribute may be missing or no longer exist, a number or
//! boolean may be text.

use std::collections::BTreeMap;

use serde_json::Value as Json;

pub use super::plain_json::{from_plain_json, to_plain_json};
use super::{CodecError, check_depth, check_length, misfit, normalised, type_json};
use crate::number::Number;
use crate::types::Type;
use crate::value::{Typed, Value, canonical, sorted_set};

/// Reads a value of the type from the state.
pub fn decode(json: &Json, ty: &Type) -> Result<Value, CodecError> {
    Reader { missing_is_null: true }.read(json, ty, 0)
}

/// Writes a value of the type as the state holds it. JSON has no unknown values and no infinities.
pub fn encode(value: &Value, ty: &Type) -> Result<Json, CodecError> {
    write(value, ty, 0)
}

#[derive(Clone, Copy)]
struct Reader {
    /// A schema gains attributes over time, a value that brings its own type has them all. Without the difference, a
    /// large type and many empty objects would grow to their product.
    missing_is_null: bool,
}

impl Reader {
    fn read(self, json: &Json, ty: &Type, depth: usize) -> Result<Value, CodecError> {
        check_depth(depth)?;
        let depth = depth + 1;
        Ok(match (ty, json) {
            (_, Json::Null) => Value::Null,
            (Type::String, Json::String(text)) => Value::String(normalised(text)),
            (Type::String, Json::Number(number)) => Value::String(number.to_string()),
            (Type::String, Json::Bool(value)) => Value::String(value.to_string()),
            (Type::Number, Json::Number(number)) => Value::Number(read_number(number.as_str())?),
            (Type::Number, Json::String(text)) => Value::Number(read_number(text)?),
            (Type::Bool, Json::Bool(value)) => Value::Bool(*value),
            (Type::Bool, Json::String(text)) => match text.as_str() {
                "true" | "1" => Value::Bool(true),
                "false" | "0" => Value::Bool(false),
                _ => return Err(misfit_json(json, ty)),
            },
            (Type::List(element), Json::Array(items)) => Value::List(self.read_elements(items, element, depth)?),
            (Type::Set(element), Json::Array(items)) => {
                Value::List(sorted_set(self.read_elements(items, element, depth)?))
            }
            (Type::Tuple(types), Json::Array(items)) => {
                check_length(items.len(), types)?;
                let pairs = items.iter().zip(types).enumerate();
                Value::List(
                    pairs
                        .map(|(index, (item, ty))| {
                            self.read(item, ty, depth).map_err(|error| error.within_index(index))
                        })
                        .collect::<Result<_, _>>()?,
                )
            }
            (Type::Map(element), Json::Object(items)) => self.read_map(items, element, depth)?,
            (Type::Object(attributes), Json::Object(items)) => self.read_object(items, attributes, depth)?,
            (Type::Dynamic, Json::Object(items)) => read_dynamic(items, depth)?,
            _ => return Err(misfit_json(json, ty)),
        })
    }

    fn read_elements(self, items: &[Json], element: &Type, depth: usize) -> Result<Vec<Value>, CodecError> {
        let each = |(index, item)| self.read(item, element, depth).map_err(|error| error.within_index(index));
        items.iter().enumerate().map(each).collect()
    }

    fn read_map(
        self,
        items: &serde_json::Map<String, Json>,
        element: &Type,
        depth: usize,
    ) -> Result<Value, CodecError> {
        let each = |(key, item): (&String, _)| {
            let item = self.read(item, element, depth).map_err(|error| error.within_key(key))?;
            Ok((normalised(key), item))
        };
        items.iter().map(each).collect::<Result<BTreeMap<_, _>, _>>().map(Value::Map)
    }

    fn read_object(
        self,
        items: &serde_json::Map<String, Json>,
        attributes: &BTreeMap<String, Type>,
        depth: usize,
    ) -> Result<Value, CodecError> {
        let each = |(name, ty): (&String, _)| {
            let item = match items.get(name) {
                Some(item) => self.read(item, ty, depth),
                None if self.missing_is_null => Ok(Value::Null),
                None => Err(CodecError::new("this attribute is missing")),
            };
            Ok((name.clone(), item.map_err(|error| error.within_attribute(name))?))
        };
        attributes.iter().map(each).collect::<Result<BTreeMap<_, _>, _>>().map(Value::Map)
    }
}

fn read_dynamic(items: &serde_json::Map<String, Json>, depth: usize) -> Result<Value, CodecError> {
    let (Some(value), Some(ty)) = (items.get("value"), items.get("type")) else {
        return Err(CodecError::new("an object of a value and its type was expected"));
    };
    let ty = type_json::from_json(ty)?;
    let value = Reader { missing_is_null: false }.read(value, &ty, depth)?;
    // A value whose own type is again dynamic is just that value.
    Ok(if ty == Type::Dynamic { value } else { Value::Dynamic(Box::new(Typed { ty, value })) })
}

pub(super) fn read_number(text: &str) -> Result<Number, CodecError> {
    text.parse().map_err(|error| CodecError::new(format!("{error}")))
}

fn misfit_json(json: &Json, ty: &Type) -> CodecError {
    let given = match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a sequence",
        Json::Object(_) => "a map",
    };
    CodecError::new(format!("a value of type {ty} was expected, not {given}"))
}

fn write(value: &Value, ty: &Type, depth: usize) -> Result<Json, CodecError> {
    check_depth(depth)?;
    let depth = depth + 1;
    Ok(match (value, ty) {
        (Value::Null, _) => Json::Null,
        (Value::Unknown(_), _) => return Err(CodecError::new("JSON cannot hold an unknown value")),
        (Value::String(text), Type::String) => Json::String(text.clone()),
        (Value::Bool(value), Type::Bool) => Json::Bool(*value),
        (Value::Number(number), Type::Number) => Json::Number(write_number(number)?),
        (Value::List(items), Type::List(element)) => write_elements(items, element, depth)?,
        (Value::List(_), Type::Set(element)) => match canonical(value.clone(), ty) {
            Value::List(items) => write_elements(&items, element, depth)?,
            other => return Err(misfit(&other, ty)),
        },
        (Value::List(items), Type::Tuple(types)) => {
            check_length(items.len(), types)?;
            let each =
                |(index, (item, ty))| write(item, ty, depth).map_err(|error: CodecError| error.within_index(index));
            Json::Array(items.iter().zip(types).enumerate().map(each).collect::<Result<_, _>>()?)
        }
        (Value::Map(items), Type::Map(element)) => {
            let each = |(key, item): (&String, _)| {
                Ok((key.clone(), write(item, element, depth).map_err(|error| error.within_key(key))?))
            };
            Json::Object(items.iter().map(each).collect::<Result<_, CodecError>>()?)
        }
        (Value::Map(items), Type::Object(attributes)) => {
            super::check_complete(items, attributes)?;
            let each = |(name, item): (&String, _)| {
                let ty = attributes.get(name).ok_or_else(|| super::unknown_attribute(name))?;
                Ok((name.clone(), write(item, ty, depth).map_err(|error| error.within_attribute(name))?))
            };
            Json::Object(items.iter().map(each).collect::<Result<_, CodecError>>()?)
        }
        (Value::Dynamic(typed), Type::Dynamic) if typed.ty == Type::Dynamic => {
            write(&typed.value, &Type::Dynamic, depth)?
        }
        (Value::Dynamic(typed), Type::Dynamic) => {
            let value = write(&typed.value, &typed.ty, depth)?;
            Json::Object(
                [("value".to_owned(), value), ("type".to_owned(), type_json::to_json(&typed.ty))].into_iter().collect(),
            )
        }
        (value, ty) => return Err(misfit(value, ty)),
    })
}

fn write_elements(items: &[Value], element: &Type, depth: usize) -> Result<Json, CodecError> {
    let each = |(index, item)| write(item, element, depth).map_err(|error: CodecError| error.within_index(index));
    items.iter().enumerate().map(each).collect::<Result<_, _>>().map(Json::Array)
}

pub(super) fn write_number(number: &Number) -> Result<serde_json::Number, CodecError> {
    // JSON has no infinities: their text is no JSON number.
    number.to_string().parse().map_err(|_| CodecError::new(format!("JSON cannot hold the number {number}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(attributes: &[(&str, Type)]) -> Type {
        Type::Object(attributes.iter().map(|(name, ty)| ((*name).to_owned(), ty.clone())).collect())
    }

    fn parse(text: &str) -> Json {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_of_any_size_are_read_and_written_exactly() {
        for text in ["0", "-1", "12345678901234567890123", "0.1", "1234567890.12345678901234567890123", "1e20000"] {
            let value = decode(&parse(text), &Type::Number).unwrap();
            assert_eq!(value, Value::Number(text.parse().unwrap()));
            assert_eq!(decode(&json!(text), &Type::Number).unwrap(), value, "as text");
            let written = encode(&value, &Type::Number).unwrap();
            assert_eq!(written.to_string(), text.replace("e2", "e+2"));
        }
        assert_eq!(encode(&decode(&parse("1.50E1"), &Type::Number).unwrap(), &Type::Number).unwrap().to_string(), "15");
    }

    #[test]
    fn states_of_older_versions_are_read() {
        for (json, ty, value) in [
            (json!("true"), Type::Bool, Value::Bool(true)),
            (json!("0"), Type::Bool, Value::Bool(false)),
            (json!("12.0"), Type::Number, 12_i64.into()),
            (parse("1.50"), Type::String, "1.50".into()),
            (json!(true), Type::String, "true".into()),
            (json!("e\u{301}"), Type::String, "\u{e9}".into()),
        ] {
            assert_eq!(decode(&json, &ty), Ok(value), "{json}");
        }
        let ty = object(&[("new", Type::String), ("kept", Type::Number)]);
        let value = Value::object([("new", Value::Null), ("kept", 1_i64.into())]);
        assert_eq!(decode(&json!({"kept": 1, "removed": [{}]}), &ty), Ok(value));
    }

    #[test]
    fn a_dynamic_value_stands_beside_its_type() {
        let ty = object(&[("k", Type::Set(Box::new(Type::Number)))]);
        let value = Value::object([("k", Value::List(vec![1_i64.into(), 2_i64.into()]))]);
        let value = Value::Dynamic(Box::new(Typed { ty, value }));
        let text = r#"{"value":{"k":[1,2]},"type":["object",{"k":["set","number"]}]}"#;
        assert_eq!(encode(&value, &Type::Dynamic).unwrap().to_string(), text);
        assert_eq!(decode(&parse(text), &Type::Dynamic), Ok(value));
        assert_eq!(decode(&json!({"value": null, "type": "dynamic"}), &Type::Dynamic), Ok(Value::Null));
    }

    #[test]
    fn what_is_no_value_of_the_type_is_an_error_that_says_where_and_why() {
        let list = Type::List(Box::new(Type::Bool));
        let row = object(&[("a", list.clone())]);
        for (json, ty, message) in [
            (json!(1), &Type::Bool, "a value of type bool was expected, not a number"),
            (json!("yes"), &Type::Bool, "a value of type bool was expected, not text"),
            (json!(true), &Type::Number, "a value of type number was expected, not a boolean"),
            (
                parse("1e20001"),
                &Type::Number,
                "not a decimal number of at most 20000 digits with an exponent of at most 20000",
            ),
            (json!([]), &Type::String, "a value of type string was expected, not a sequence"),
            (json!({}), &list, "a value of type list of bool was expected, not a map"),
            (json!({"a": [true, null, {}]}), &row, "a[2]: a value of type bool was expected, not a map"),
            (
                json!({"k": {"a": 1}}),
                &Type::Map(Box::new(row.clone())),
                "[\"k\"].a: a value of type list of bool was expected, not a number",
            ),
            (json!([]), &Type::Tuple(vec![Type::Bool]), "a tuple of length 1 was expected, not of 0"),
            (json!([[]]), &Type::Tuple(vec![Type::Bool]), "[0]: a value of type bool was expected, not a sequence"),
            (json!("x"), &Type::Dynamic, "a value of type dynamic was expected, not text"),
            (json!({"value": 1}), &Type::Dynamic, "an object of a value and its type was expected"),
            (json!({"value": 1, "type": "int"}), &Type::Dynamic, "there is no type \"int\""),
            (json!({"value": {}, "type": ["object", {"a": "bool"}]}), &Type::Dynamic, "a: this attribute is missing"),
        ] {
            assert_eq!(decode(&json, ty).unwrap_err().to_string(), message, "{json}");
        }
    }

    #[test]
    fn what_json_cannot_say_is_not_written() {
        for (value, ty, message) in [
            (Value::unknown(), Type::Bool, "JSON cannot hold an unknown value"),
            (Value::Number(Number::Infinity), Type::Number, "JSON cannot hold the number Infinity"),
            (Value::Number(Number::NegativeInfinity), Type::Number, "JSON cannot hold the number -Infinity"),
            (
                Value::object([("k", Value::List(vec![Value::unknown()]))]),
                object(&[("k", Type::Set(Box::new(Type::Bool)))]),
                "k[0]: JSON cannot hold an unknown value",
            ),
            (Value::object([("b", Value::Null)]), object(&[]), "b: the object has no such attribute"),
            (Value::object([("b", Value::Null)]), object(&[("a", Type::Bool)]), "a: this attribute is missing"),
        ] {
            assert_eq!(encode(&value, &ty).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let (json, ty) =
            (0..201).fold((Json::Null, Type::Bool), |(json, ty), _| (json!([json]), Type::List(Box::new(ty))));
        assert_eq!(decode(&json, &ty).unwrap_err().message, "the value is nested more than 200 levels deep");
    }
}
