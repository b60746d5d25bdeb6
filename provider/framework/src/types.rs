//! The types of values, as schemas and dynamic values name them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// An exact number.
    Number,
    /// A boolean.
    Bool,
    /// Any type; the value carries its own.
    Dynamic,
    /// An ordered collection of one element type.
    List(Box<Type>),
    /// An unordered collection of one element type.
    Set(Box<Type>),
    /// A collection of one element type with text keys.
    Map(Box<Type>),
    /// A fixed sequence of types.
    Tuple(Vec<Type>),
    /// Named attributes, each of its own type.
    Object(BTreeMap<String, Type>),
}

/// How deep types may be nested.
const MAX_DEPTH: usize = 100;

/// The JSON names no type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeError {
    /// What is wrong.
    pub message: String,
}

impl Type {
    /// Reads the JSON form, such as `["list","string"]`.
    pub fn from_json(json: &[u8]) -> Result<Self, TypeError> {
        let json =
            serde_json::from_slice(json).map_err(|e| TypeError { message: format!("the type is no JSON: {e}") })?;
        Self::from_json_value(&json)
    }

    /// Reads the JSON form when it is parsed already.
    pub fn from_json_value(json: &Json) -> Result<Self, TypeError> {
        read(json, 0)
    }

    /// Writes the JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write(self, &mut out);
        out
    }
}

fn read(json: &Json, depth: usize) -> Result<Type, TypeError> {
    let fault = |message: &str| Err(TypeError { message: format!("{message}: {json}") });
    if depth > MAX_DEPTH {
        return Err(TypeError { message: format!("the type is nested more than {MAX_DEPTH} deep") });
    }
    if let Some(name) = json.as_str() {
        return match name {
            "string" => Ok(Type::String),
            "number" => Ok(Type::Number),
            "bool" => Ok(Type::Bool),
            "dynamic" => Ok(Type::Dynamic),
            _ => fault("no type has this name"),
        };
    }
    let parts = json.as_array().map(Vec::as_slice).unwrap_or_default();
    let (Some(kind), Some(inner)) = (parts.first().and_then(Json::as_str), parts.get(1)) else {
        return fault("a type is a name, or an array of a name and what is inside");
    };
    match kind {
        "list" => Ok(Type::List(Box::new(read(inner, depth + 1)?))),
        "set" => Ok(Type::Set(Box::new(read(inner, depth + 1)?))),
        "map" => Ok(Type::Map(Box::new(read(inner, depth + 1)?))),
        "tuple" => match inner.as_array() {
            Some(elements) => Ok(Type::Tuple(elements.iter().map(|e| read(e, depth + 1)).collect::<Result<_, _>>()?)),
            None => fault("a tuple holds an array of types"),
        },
        // A third part would name optional attributes; values have none.
        "object" => match inner.as_object() {
            Some(attributes) => Ok(Type::Object(
                attributes
                    .iter()
                    .map(|(name, ty)| Ok((name.clone(), read(ty, depth + 1)?)))
                    .collect::<Result<_, TypeError>>()?,
            )),
            None => fault("an object holds attributes with their types"),
        },
        _ => fault("no type has this name"),
    }
}

fn write(ty: &Type, out: &mut Vec<u8>) {
    let wrapped = |name: &str, inner: &Type, out: &mut Vec<u8>| {
        out.extend(format!("[\"{name}\",").bytes());
        write(inner, out);
        out.push(b']');
    };
    match ty {
        Type::String => out.extend(b"\"string\""),
        Type::Number => out.extend(b"\"number\""),
        Type::Bool => out.extend(b"\"bool\""),
        Type::Dynamic => out.extend(b"\"dynamic\""),
        Type::List(element) => wrapped("list", element, out),
        Type::Set(element) => wrapped("set", element, out),
        Type::Map(element) => wrapped("map", element, out),
        Type::Tuple(elements) => {
            out.extend(b"[\"tuple\",[");
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(element, out);
            }
            out.extend(b"]]");
        }
        Type::Object(attributes) => {
            out.extend(b"[\"object\",{");
            for (i, (name, attribute)) in attributes.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                out.extend(Json::String(name.clone()).to_string().bytes());
                out.push(b':');
                write(attribute, out);
            }
            out.extend(b"}]");
        }
    }
}
