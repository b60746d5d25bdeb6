//! A declared value as its source writes it, before a column's type has a say.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// One value: of a declaration, of a line of JSON, of a field of CSV.
#[derive(Clone, Debug)]
pub(crate) enum Input<'a> {
    Null,
    Bool(bool),
    /// A number in its own digits.
    Number(&'a str),
    Text(Cow<'a, str>),
    /// A list or an object.
    Nested(Nested<'a>),
}

/// A list or an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Nested<'a> {
    Value(&'a Value),
    /// JSON text that is known to be a list or an object, without spaces around it.
    Raw(&'a str),
}

impl<'a> From<&'a Value> for Input<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.as_str()),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Self::Nested(Nested::Value(value)),
        }
    }
}

impl<'a> Input<'a> {
    /// Reads the text of one JSON value that is known to be well-formed. What can still be wrong is a text whose escapes
    /// are no characters.
    pub(crate) fn of_json(text: &'a str) -> Result<Self, serde_json::Error> {
        Ok(match text.as_bytes().first() {
            Some(b'"') => match text.get(1..text.len() - 1) {
                Some(inner) if !inner.as_bytes().contains(&b'\\') => Self::Text(Cow::Borrowed(inner)),
                _ => Self::Text(Cow::Owned(serde_json::from_str(text)?)),
            },
            Some(b'n') | None => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'{' | b'[') => Self::Nested(Nested::Raw(text)),
            Some(_) => Self::Number(text),
        })
    }
}

impl<'a> Nested<'a> {
    /// The value itself.
    pub(crate) fn value(self) -> Result<Cow<'a, Value>, serde_json::Error> {
        match self {
            Self::Value(value) => Ok(Cow::Borrowed(value)),
            Self::Raw(text) => serde_json::from_str(text).map(Cow::Owned),
        }
    }

    /// Whether it is a list.
    pub(crate) fn is_list(self) -> bool {
        match self {
            Self::Value(value) => value.is_array(),
            Self::Raw(text) => text.starts_with('['),
        }
    }
}

impl fmt::Display for Input<'_> {
    /// As JSON writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(text) | Self::Nested(Nested::Raw(text)) => f.write_str(text),
            Self::Text(text) => write!(f, "{}", Value::from(&**text)),
            Self::Nested(Nested::Value(value)) => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_without_a_copy_where_it_can_be() {
        for (text, shown) in [
            ("null", "null"),
            ("true", "true"),
            ("-1.50e3", "-1.50e3"),
            ("\"a b\"", "\"a b\""),
            ("\"\\u0062\\n\"", "\"b\\n\""),
            ("[1, 2]", "[1, 2]"),
            ("{\"a\":null}", "{\"a\":null}"),
        ] {
            assert_eq!(Input::of_json(text).unwrap().to_string(), shown);
        }
        assert!(Input::of_json("\"\\ud800\"").is_err(), "half a character");
    }
}
