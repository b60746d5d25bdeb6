//! How a type is written in schemas and beside dynamic values: `"string"`, `["list","number"]`, `["object",{"a":"bool"}]`.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{CodecError, check_depth, normalised};
use crate::types::Type;

impl Type {
    /// The type in its JSON form.
    pub fn to_json(&self) -> Vec<u8> {
        to_json(self).to_string().into_bytes()
    }

    /// Reads the JSON form of a type. Which attributes of an object are optional is read and forgotten.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CodecError> {
        let json = serde_json::from_slice(bytes)
            .map_err(|error| CodecError::new(format!("a type is not valid JSON: {error}")))?;
        from_json(&json)
    }
}

pub(crate) fn to_json(ty: &Type) -> Json {
    let complex = |kind: &str, rest: Json| Json::Array(vec![kind.into(), rest]);
    match ty {
        Type::String => "string".into(),
        Type::Number => "number".into(),
        Type::Bool => "bool".into(),
        Type::Dynamic => "dynamic".into(),
        Type::List(element) => complex("list", to_json(element)),
        Type::Set(element) => complex("set", to_json(element)),
        Type::Map(element) => complex("map", to_json(element)),
        Type::Tuple(types) => complex("tuple", types.iter().map(to_json).collect()),
        Type::Object(attributes) => {
            complex("object", attributes.iter().map(|(name, ty)| (name.clone(), to_json(ty))).collect())
        }
    }
}

pub(crate) fn from_json(json: &Json) -> Result<Type, CodecError> {
    read(json, 0)
}

fn read(json: &Json, depth: usize) -> Result<Type, CodecError> {
    check_depth(depth)?;
    match json {
        Json::String(name) => primitive(name),
        Json::Array(parts) => match parts.as_slice() {
            [Json::String(kind), rest @ ..] => complex(kind, rest, depth + 1),
            _ => Err(CodecError::new("a type in brackets must begin with its kind")),
        },
        _ => Err(CodecError::new("a type must be a name or a list that begins with its kind")),
    }
}

fn primitive(name: &str) -> Result<Type, CodecError> {
    match name {
        "string" => Ok(Type::String),
        "number" => Ok(Type::Number),
        "bool" => Ok(Type::Bool),
        "dynamic" => Ok(Type::Dynamic),
        _ => Err(CodecError::new(format!("there is no type {name:?}"))),
    }
}

fn complex(kind: &str, rest: &[Json], depth: usize) -> Result<Type, CodecError> {
    match (kind, rest) {
        ("list", [element]) => Ok(Type::List(Box::new(read(element, depth)?))),
        ("set", [element]) => Ok(Type::Set(Box::new(read(element, depth)?))),
        ("map", [element]) => Ok(Type::Map(Box::new(read(element, depth)?))),
        ("tuple", [Json::Array(types)]) => {
            Ok(Type::Tuple(types.iter().map(|ty| read(ty, depth)).collect::<Result<_, _>>()?))
        }
        ("object", [Json::Object(attributes)]) => object(attributes, depth),
        ("object", [Json::Object(attributes), Json::Array(optional)]) => {
            let is_attribute = |name: &Json| name.as_str().is_some_and(|name| attributes.contains_key(name));
            if !optional.iter().all(is_attribute) {
                return Err(CodecError::new(
                    "the optional attributes of an object type must be names of its attributes",
                ));
            }
            object(attributes, depth)
        }
        ("list" | "set" | "map" | "tuple" | "object", _) => {
            Err(CodecError::new(format!("the {kind:?} type is malformed")))
        }
        _ => Err(CodecError::new(format!("there is no kind of type {kind:?}"))),
    }
}

fn object(attributes: &serde_json::Map<String, Json>, depth: usize) -> Result<Type, CodecError> {
    attributes
        .iter()
        .map(|(name, ty)| Ok((normalised(name), read(ty, depth)?)))
        .collect::<Result<BTreeMap<_, _>, CodecError>>()
        .map(Type::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Type, String> {
        Type::from_json(text.as_bytes()).map_err(|error| error.message)
    }

    #[test]
    fn every_type_survives_its_json_form() {
        for text in [
            r#""string""#,
            r#""number""#,
            r#""bool""#,
            r#""dynamic""#,
            r#"["list","string"]"#,
            r#"["set",["map","dynamic"]]"#,
            r#"["tuple",[]]"#,
            r#"["tuple",["bool",["list","number"]]]"#,
            r#"["object",{}]"#,
            r#"["object",{"a":"string","b":["object",{"c \"quoted\"":"bool"}]}]"#,
        ] {
            assert_eq!(read(text).map(|ty| String::from_utf8(ty.to_json()).unwrap()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn optional_attributes_are_read_and_forgotten() {
        assert_eq!(read(r#"["object",{"a":"string"},["a"]]"#), read(r#"["object",{"a":"string"}]"#));
    }

    #[test]
    fn attribute_names_are_normalised() {
        assert_eq!(read("[\"object\",{\"e\u{301}\":\"string\"}]"), read("[\"object\",{\"\u{e9}\":\"string\"}]"));
    }

    #[test]
    fn what_is_no_type_is_an_error_that_says_why() {
        let deep = format!("{}\"string\"{}", r#"["list","#.repeat(100_000), "]".repeat(100_000));
        for (text, part) in [
            ("", "not valid JSON"),
            ("string", "not valid JSON"),
            (r#""string" "string""#, "trailing"),
            (r#""text""#, r#"no type "text""#),
            ("null", "must be a name or a list"),
            ("{}", "must be a name or a list"),
            ("[]", "must begin with its kind"),
            (r#"[["list"],"string"]"#, "must begin with its kind"),
            (r#"["list"]"#, r#""list" type is malformed"#),
            (r#"["list","string","string"]"#, r#""list" type is malformed"#),
            (r#"["tuple","string"]"#, r#""tuple" type is malformed"#),
            (r#"["tuple",["text"]]"#, r#"no type "text""#),
            (r#"["object",["a"]]"#, r#""object" type is malformed"#),
            (r#"["object",{"a":1}]"#, "must be a name or a list"),
            (r#"["object",{"a":"bool"},["b"]]"#, "optional attributes"),
            (r#"["object",{"a":"bool"},[1]]"#, "optional attributes"),
            (r#"["capsule","string"]"#, r#"no kind of type "capsule""#),
            (&deep, "recursion limit"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part), "{}: {message}", &text[..text.len().min(40)]);
        }
    }
}
