//! JSON, as the state holds values, and as rows are handed on.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use unicode_normalization::UnicodeNormalization;

use super::{CodecError, MAX_DEPTH, MAX_DIGITS, type_name};
use crate::number::Number;
use crate::path::{Path, Step};
use crate::types::Type;
use crate::value::{Typed, Value};

/// Reads a value of this type. Attributes that are missing are null, attributes that the type lacks are passed over:
/// the state of an older version may hold less or more.
pub fn decode(json: &Json, ty: &Type) -> Result<Value, CodecError> {
    read(json, ty, &mut Path::default(), 0)
}

/// Writes a wholly known value of this type.
pub fn encode(value: &Value, ty: &Type) -> Result<Json, CodecError> {
    write(value, ty, &mut Path::default())
}

/// The value as JSON without any type: numbers exact, dynamic values unwrapped. `None` when a part of it is unknown or
/// has no JSON form (an infinity).
pub fn to_plain_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Null => Json::Null,
        Value::Unknown(_) => return None,
        Value::Bool(boolean) => Json::Bool(*boolean),
        Value::Number(number) => Json::Number(json_number(number)?),
        Value::String(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(to_plain_json).collect::<Option<_>>()?),
        Value::Map(items) => {
            Json::Object(items.iter().map(|(k, v)| Some((k.clone(), to_plain_json(v)?))).collect::<Option<_>>()?)
        }
        Value::Dynamic(typed) => to_plain_json(&typed.value)?,
    })
}

/// The value and the type that plain JSON implies: arrays are tuples, objects are objects.
pub fn from_plain_json(json: &Json) -> Result<(Type, Value), CodecError> {
    imply(json, &mut Path::default(), 0)
}

fn imply(json: &Json, path: &mut Path, depth: usize) -> Result<(Type, Value), CodecError> {
    if depth > MAX_DEPTH {
        return Err(CodecError::new(path, format!("the value is nested more than {MAX_DEPTH} deep")));
    }
    Ok(match json {
        Json::Null => (Type::Dynamic, Value::Null),
        Json::Bool(boolean) => (Type::Bool, Value::Bool(*boolean)),
        Json::Number(number) => (Type::Number, Value::Number(number_of(&number.to_string(), path)?)),
        Json::String(text) => (Type::String, Value::String(text.nfc().collect())),
        Json::Array(items) => {
            let items = items.iter().map(|item| imply(item, path, depth + 1)).collect::<Result<Vec<_>, _>>()?;
            let (types, values) = items.into_iter().unzip();
            (Type::Tuple(types), Value::List(values))
        }
        Json::Object(items) => {
            let mut types = BTreeMap::new();
            let mut values = BTreeMap::new();
            for (name, item) in items {
                let (ty, value) = imply(item, path, depth + 1)?;
                types.insert(name.clone(), ty);
                values.insert(name.clone(), value);
            }
            (Type::Object(types), Value::Map(values))
        }
    })
}

fn number_of(text: &str, path: &Path) -> Result<Number, CodecError> {
    let number = if text.len() > MAX_DIGITS { None } else { text.parse().ok() };
    number.ok_or_else(|| CodecError::new(path, "the text is no number of a sensible length"))
}

fn json_number(number: &Number) -> Option<serde_json::Number> {
    match number {
        Number::Finite(_) => Some(serde_json::Number::from_string_unchecked(number.to_string())),
        _ => None,
    }
}

fn read(json: &Json, ty: &Type, path: &mut Path, depth: usize) -> Result<Value, CodecError> {
    let mismatch = |path: &Path| Err(CodecError::new(path, format!("the JSON is not {}", type_name(ty))));
    if depth > MAX_DEPTH {
        return Err(CodecError::new(path, format!("the value is nested more than {MAX_DEPTH} deep")));
    }
    Ok(match (ty, json) {
        (_, Json::Null) => Value::Null,
        (Type::String, Json::String(text)) => Value::String(text.nfc().collect()),
        (Type::String, Json::Number(number)) => Value::String(number.to_string()),
        (Type::String, Json::Bool(boolean)) => Value::String(boolean.to_string()),
        (Type::Number, Json::Number(number)) => Value::Number(number_of(&number.to_string(), path)?),
        (Type::Number, Json::String(text)) => Value::Number(number_of(text, path)?),
        (Type::Bool, Json::Bool(boolean)) => Value::Bool(*boolean),
        (Type::Bool, Json::String(text)) if text == "true" || text == "false" => Value::Bool(text == "true"),
        (Type::Dynamic, Json::Object(pair)) => {
            let (Some(value), Some(ty)) = (pair.get("value"), pair.get("type")) else { return mismatch(path) };
            let ty = Type::from_json_value(ty).map_err(|e| CodecError::new(path, e.message))?;
            let value = read(value, &ty, path, depth + 1)?;
            Value::Dynamic(Box::new(Typed { ty, value }))
        }
        (Type::List(element) | Type::Set(element), Json::Array(items)) => {
            let mut values = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let value = read_inside(item, element, Step::position(index), path, depth)?;
                if !(matches!(ty, Type::Set(_)) && values.contains(&value)) {
                    values.push(value);
                }
            }
            Value::List(values)
        }
        (Type::Tuple(elements), Json::Array(items)) if elements.len() == items.len() => {
            let mut values = Vec::with_capacity(items.len());
            for (index, (item, element)) in items.iter().zip(elements).enumerate() {
                values.push(read_inside(item, element, Step::position(index), path, depth)?);
            }
            Value::List(values)
        }
        (Type::Map(element), Json::Object(items)) => {
            let mut values = BTreeMap::new();
            for (key, item) in items {
                values.insert(key.nfc().collect(), read_inside(item, element, Step::Key(key.clone()), path, depth)?);
            }
            Value::Map(values)
        }
        (Type::Object(attributes), Json::Object(items)) => {
            let mut values = BTreeMap::new();
            for (name, attribute) in attributes {
                let item = items.get(name).unwrap_or(&Json::Null);
                values.insert(name.clone(), read_inside(item, attribute, Step::Attribute(name.clone()), path, depth)?);
            }
            Value::Map(values)
        }
        _ => return mismatch(path),
    })
}

fn read_inside(json: &Json, ty: &Type, step: Step, path: &mut Path, depth: usize) -> Result<Value, CodecError> {
    path.0.push(step);
    let value = read(json, ty, path, depth + 1)?;
    path.0.pop();
    Ok(value)
}

fn write(value: &Value, ty: &Type, path: &mut Path) -> Result<Json, CodecError> {
    let mismatch = |path: &Path| Err(CodecError::new(path, format!("the value is not {}", type_name(ty))));
    Ok(match (ty, value) {
        (_, Value::Null) => Json::Null,
        (_, Value::Unknown(_)) => return Err(CodecError::new(path, "an unknown value has no JSON form")),
        (Type::Dynamic, Value::Dynamic(typed)) => {
            let ty = serde_json::from_slice(&typed.ty.to_json()).unwrap_or_default();
            let inner = write(&typed.value, &typed.ty, path)?;
            Json::Object([("value".to_owned(), inner), ("type".to_owned(), ty)].into_iter().collect())
        }
        (_, Value::Dynamic(typed)) => write(&typed.value, ty, path)?,
        (Type::String, Value::String(text)) => Json::String(text.clone()),
        (Type::Bool, Value::Bool(boolean)) => Json::Bool(*boolean),
        (Type::Number, Value::Number(number)) => match json_number(number) {
            Some(number) => Json::Number(number),
            None => return Err(CodecError::new(path, "an infinity has no JSON form")),
        },
        (Type::List(element) | Type::Set(element), Value::List(items)) => Json::Array(
            items
                .iter()
                .enumerate()
                .map(|(i, item)| write_inside(item, element, Step::position(i), path))
                .collect::<Result<_, _>>()?,
        ),
        (Type::Tuple(elements), Value::List(items)) if elements.len() == items.len() => Json::Array(
            items
                .iter()
                .zip(elements)
                .enumerate()
                .map(|(i, (item, ty))| write_inside(item, ty, Step::position(i), path))
                .collect::<Result<_, _>>()?,
        ),
        (Type::Map(element), Value::Map(items)) => Json::Object(
            items
                .iter()
                .map(|(key, item)| Ok((key.clone(), write_inside(item, element, Step::Key(key.clone()), path)?)))
                .collect::<Result<_, CodecError>>()?,
        ),
        (Type::Object(attributes), Value::Map(items)) => Json::Object(
            attributes
                .iter()
                .map(|(name, ty)| {
                    let Some(item) = items.get(name) else {
                        return Err(CodecError::new(path, format!("the object lacks its attribute {name:?}")));
                    };
                    Ok((name.clone(), write_inside(item, ty, Step::Attribute(name.clone()), path)?))
                })
                .collect::<Result<_, CodecError>>()?,
        ),
        _ => return mismatch(path),
    })
}

fn write_inside(value: &Value, ty: &Type, step: Step, path: &mut Path) -> Result<Json, CodecError> {
    path.0.push(step);
    let json = write(value, ty, path)?;
    path.0.pop();
    Ok(json)
}
