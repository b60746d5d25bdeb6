//! Values as bytes: MessagePack between the CLI and us, JSON in the state.
//!
//! Both are directed by the type, which the schema gives. **Invariant:** no input makes a codec panic, recurse without
//! bound, or allocate more than a small multiple of its size.

pub mod json;
pub mod msgpack;
mod refinement;

use std::fmt;

use crate::path::Path;
use crate::types::Type;

/// How deep values and types may be nested.
pub(crate) const MAX_DEPTH: usize = 200;

/// The longest number text that is read: the cost of exact arithmetic grows with its square.
pub(crate) const MAX_DIGITS: usize = 20_000;

/// Why bytes are no value of a type, or a value has no bytes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError {
    /// The place inside the value.
    pub path: Path,
    /// What is wrong there.
    pub message: String,
}

impl CodecError {
    pub(crate) fn new(path: &Path, message: impl Into<String>) -> Self {
        Self { path: path.clone(), message: message.into() }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.0.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for CodecError {}

/// The name of a type in messages.
fn type_name(ty: &Type) -> &'static str {
    match ty {
        Type::String => "a string",
        Type::Number => "a number",
        Type::Bool => "a boolean",
        Type::Dynamic => "a value with its type",
        Type::List(_) => "a list",
        Type::Set(_) => "a set",
        Type::Map(_) => "a map",
        Type::Tuple(_) => "a tuple",
        Type::Object(_) => "an object",
    }
}
