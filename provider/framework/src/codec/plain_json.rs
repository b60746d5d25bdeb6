//! JSON without a schema: rows as a program reads them, and values of data whose type only the data tells.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::json::{read_number, write_number};
use super::{CodecError, check_depth, normalised};
use crate::types::Type;
use crate::value::Value;

/// Writes a value as the JSON that says the same, without types. Unknown values and infinities are errors.
pub fn to_plain_json(value: &Value) -> Result<Json, CodecError> {
    write(value, 0)
}

/// Reads any JSON: an object becomes an object of that type, an array a tuple, null a null of any type.
pub fn from_plain_json(json: &Json) -> Result<(Type, Value), CodecError> {
    read(json, 0)
}

fn write(value: &Value, depth: usize) -> Result<Json, CodecError> {
    check_depth(depth)?;
    let depth = depth + 1;
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) => Json::Number(write_number(number)?),
        Value::String(text) => Json::String(text.clone()),
        Value::List(items) => {
            let each = |(index, item)| write(item, depth).map_err(|error: CodecError| error.within_index(index));
            Json::Array(items.iter().enumerate().map(each).collect::<Result<_, _>>()?)
        }
        Value::Map(items) => {
            let each = |(name, item): (&String, _)| {
                Ok((name.clone(), write(item, depth).map_err(|error| error.within_attribute(name))?))
            };
            Json::Object(items.iter().map(each).collect::<Result<_, CodecError>>()?)
        }
        Value::Dynamic(typed) => write(&typed.value, depth)?,
        Value::Unknown(_) => return Err(CodecError::new("the value is not known yet")),
    })
}

fn read(json: &Json, depth: usize) -> Result<(Type, Value), CodecError> {
    check_depth(depth)?;
    let depth = depth + 1;
    Ok(match json {
        Json::Null => (Type::Dynamic, Value::Null),
        Json::Bool(value) => (Type::Bool, Value::Bool(*value)),
        Json::Number(number) => (Type::Number, Value::Number(read_number(number.as_str())?)),
        Json::String(text) => (Type::String, Value::String(normalised(text))),
        Json::Array(items) => {
            let each = |(index, item)| read(item, depth).map_err(|error: CodecError| error.within_index(index));
            let (types, values) = items.iter().enumerate().map(each).collect::<Result<(Vec<_>, Vec<_>), _>>()?;
            (Type::Tuple(types), Value::List(values))
        }
        Json::Object(items) => {
            let mut types = BTreeMap::new();
            let mut values = BTreeMap::new();
            for (name, item) in items {
                let (ty, value) = read(item, depth).map_err(|error| error.within_attribute(name))?;
                let name = normalised(name);
                types.insert(name.clone(), ty);
                values.insert(name, value);
            }
            (Type::Object(types), Value::Map(values))
        }
    })
}
