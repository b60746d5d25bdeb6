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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::msgpack;
    use crate::number::Number;
    use crate::value::Typed;

    #[test]
    fn any_json_becomes_a_value_of_its_own_type_and_back() {
        let text = r#"{"a":1.5,"b":[true,"x",null,12345678901234567890123],"c":{},"d":[]}"#;
        let json: Json = serde_json::from_str(text).unwrap();
        let (ty, value) = from_plain_json(&json).unwrap();
        assert_eq!(
            String::from_utf8(ty.to_json()).unwrap(),
            r#"["object",{"a":"number","b":["tuple",["bool","string","dynamic","number"]],"c":["object",{}],"d":["tuple",[]]}]"#
        );
        assert_eq!(to_plain_json(&value).unwrap().to_string(), text);
        let typed = Value::Dynamic(Box::new(Typed { ty, value }));
        let bytes = msgpack::encode(&typed, &Type::Dynamic).unwrap();
        assert_eq!(msgpack::decode(&bytes, &Type::Dynamic), Ok(typed));
    }

    #[test]
    fn types_are_left_out() {
        let typed = |ty, value| Value::Dynamic(Box::new(Typed { ty, value }));
        let rows = Value::List(vec![
            Value::object([("n", typed(Type::Number, Value::from(1))), ("s", "é".into())]),
            typed(Type::String, Value::Null),
        ]);
        assert_eq!(to_plain_json(&rows).unwrap().to_string(), r#"[{"n":1,"s":"é"},null]"#);
    }

    #[test]
    fn what_json_cannot_say_is_an_error_that_says_where() {
        let rows = |value| Value::List(vec![Value::Null, Value::object([("a", value)])]);
        for (value, message) in [
            (Value::unknown(), "[1].a: the value is not known yet"),
            (Value::Number(Number::Infinity), "[1].a: JSON cannot hold the number Infinity"),
        ] {
            assert_eq!(to_plain_json(&rows(value)).unwrap_err().to_string(), message);
        }
        let json = serde_json::from_str(r#"{"a":[1e99999]}"#).unwrap();
        assert!(from_plain_json(&json).unwrap_err().to_string().starts_with("a[0]: not a decimal number"));
    }

    #[test]
    fn nesting_has_a_limit_both_ways() {
        let json = (0..201).fold(Json::Null, |json, _| Json::Array(vec![json]));
        assert!(from_plain_json(&json).is_err());
        let value = (0..201).fold(Value::Null, |value, _| Value::List(vec![value]));
        assert!(to_plain_json(&value).is_err());
    }
}
