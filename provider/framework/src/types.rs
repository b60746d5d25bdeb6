//! The types of values, as schemas and dynamic values name them.

use std::collections::BTreeMap;

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
