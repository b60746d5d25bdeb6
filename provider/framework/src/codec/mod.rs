//! Values as bytes: MessagePack between the CLI and us, JSON in the state.
//!
//! Both are directed by the type, which the schema gives.
//!
//! **Invariant:** no input makes these functions panic or hang, and what they allocate is bounded by the length of the
//! input. Lengths that the input only claims are never trusted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::path::{Path, Step};
use crate::types::Type;
use crate::value::Value;

pub mod json;
pub mod msgpack;
mod plain_json;
mod refinement;
mod token;
mod type_json;

/// How deep values may be nested. Deeper ones could exhaust the stack, and no configuration comes near it.
pub(crate) const MAX_DEPTH: usize = 200;

/// Bytes or JSON that are no value of the type, or a value that does not fit the type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// Where in the value it happened.
    pub path: Path,
    /// What is wrong there.
    pub message: String,
}

impl CodecError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { path: Path::default(), message: message.into() }
    }

    /// The same error, seen from the value that contains the faulty one.
    pub(crate) fn within(mut self, step: Step) -> Self {
        self.path.0.insert(0, step);
        self
    }

    pub(crate) fn within_attribute(self, name: &str) -> Self {
        self.within(Step::Attribute(name.to_owned()))
    }

    pub(crate) fn within_key(self, key: &str) -> Self {
        self.within(Step::Key(key.to_owned()))
    }

    pub(crate) fn within_index(self, index: usize) -> Self {
        self.within(Step::Index(i64::try_from(index).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for CodecError {}

/// Refuses what is nested deeper than [`MAX_DEPTH`].
pub(crate) fn check_depth(depth: usize) -> Result<(), CodecError> {
    if depth > MAX_DEPTH {
        return Err(CodecError::new(format!("the value is nested more than {MAX_DEPTH} levels deep")));
    }
    Ok(())
}

/// Text in normal form C, as the CLI keeps all text.
pub(crate) fn normalised<'a>(text: impl Into<Cow<'a, str>>) -> String {
    let text = text.into();
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return text.into_owned();
    }
    text.nfc().collect()
}

pub(crate) fn check_length(given: usize, types: &[Type]) -> Result<(), CodecError> {
    if given != types.len() {
        return Err(CodecError::new(format!("a tuple of length {} was expected, not of {given}", types.len())));
    }
    Ok(())
}

/// Refuses an object that lacks an attribute. That none is too many is seen when each is read or written.
pub(crate) fn check_complete(
    items: &BTreeMap<String, Value>,
    attributes: &BTreeMap<String, Type>,
) -> Result<(), CodecError> {
    match attributes.keys().find(|name| !items.contains_key(*name)) {
        Some(name) => Err(CodecError::new("this attribute is missing").within_attribute(name)),
        None => Ok(()),
    }
}

pub(crate) fn unknown_attribute(name: &str) -> CodecError {
    CodecError::new("the object has no such attribute").within_attribute(name)
}

pub(crate) fn misfit(value: &Value, ty: &Type) -> CodecError {
    let given = match value {
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::List(_) => "a sequence",
        Value::Map(_) => "a map",
        Value::Dynamic(_) => "a value with a type of its own",
        Value::Null => "null",
        Value::Unknown(_) => "an unknown value",
    };
    CodecError::new(format!("a value of type {ty} was expected, not {given}"))
}
