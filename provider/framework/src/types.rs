//! The types of values, as schemas and dynamic values name them.

use std::collections::BTreeMap;
use std::fmt;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    List(Box<Self>),
    /// An unordered collection of one element type.
    Set(Box<Self>),
    /// A collection of one element type with text keys.
    Map(Box<Self>),
    /// A fixed sequence of types.
    Tuple(Vec<Self>),
    /// Named attributes, each of its own type.
    Object(BTreeMap<String, Self>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String => f.write_str("string"),
            Self::Number => f.write_str("number"),
            Self::Bool => f.write_str("bool"),
            Self::Dynamic => f.write_str("dynamic"),
            Self::List(element) => write!(f, "list of {element}"),
            Self::Set(element) => write!(f, "set of {element}"),
            Self::Map(element) => write!(f, "map of {element}"),
            Self::Tuple(_) => f.write_str("tuple"),
            Self::Object(_) => f.write_str("object"),
        }
    }
}
