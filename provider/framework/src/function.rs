//! What a provider function is: pure, called by the CLI as often as it likes.

use crate::types::Type;
use crate::value::Value;

/// One parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name, a valid identifier.
    pub name: &'static str,
    /// Its type.
    pub ty: Type,
    /// Markdown.
    pub description: &'static str,
    /// Whether null may be given.
    pub allow_null: bool,
}

/// Why a call failed, and at which argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// What to tell the user.
    pub text: String,
    /// The argument to blame, from 0.
    pub argument: Option<usize>,
}

/// A pure function of known values.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Markdown.
    pub description: &'static str,
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The type of its result.
    pub result: Type,
    /// The function itself; it is given as many values as there are parameters.
    pub call: fn(&[Value]) -> Result<Value, FunctionError>,
}
