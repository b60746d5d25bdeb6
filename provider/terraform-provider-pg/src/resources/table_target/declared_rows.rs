//! Inline rows: from the dynamic attribute to what the connector declares.

use pg_connector::error::RowLabel;
use pg_connector::rows::{self, DeclaredRows};
use pg_connector::spec::TableSpec;
use tfplugin::codec::json::to_plain_json;
use tfplugin::{Diagnostic, Diagnostics, Path, Value};

use super::memory::Memory;
use super::model;
use crate::diagnostics;

/// What is known of the declared rows.
#[derive(Debug)]
pub enum Rows {
    /// None are declared.
    None,
    /// Something about them is only known after apply; how many there are may be known already.
    Unknown(Option<usize>),
    /// They are known and fit the table.
    Known(DeclaredRows),
}

impl Rows {
    /// The rows, when they are known and there are any.
    pub fn known(&self) -> Option<&DeclaredRows> {
        match self {
            Self::Known(rows) => Some(rows),
            _ => None,
        }
    }

    /// The number of rows as the plan says it.
    pub fn count(&self) -> Value {
        match self {
            Self::None => Value::from(0),
            Self::Unknown(None) => Value::unknown(),
            Self::Unknown(Some(count)) => Value::from(i64::try_from(*count).unwrap_or(i64::MAX)),
            Self::Known(rows) => Value::from(i64::try_from(rows.count()).unwrap_or(i64::MAX)),
        }
    }

    /// The digest as the plan says it.
    pub fn digest(&self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Unknown(_) => Value::unknown(),
            Self::Known(rows) => Value::from(rows.digest.as_str()),
        }
    }
}

/// Reads the `rows` attribute of a configuration, plan or state and checks it against the table.
pub fn declared(rows: &Value, table: Option<&TableSpec>) -> Result<Rows, Diagnostics> {
    let attribute = Path::root("rows");
    let items: Vec<(RowLabel, &Value)> = match rows.inner() {
        Value::Null => return Ok(Rows::None),
        Value::Unknown(_) => return Ok(Rows::Unknown(None)),
        Value::List(items) => items.iter().enumerate().map(|(i, row)| (RowLabel::Index(i), row)).collect(),
        Value::Map(items) => items.iter().map(|(key, row)| (RowLabel::Key(key.clone()), row)).collect(),
        _ => {
            return Err(Diagnostic::error(
                "Invalid rows",
                "rows must be a list or a map of objects, such as [{ id = 1, name = \"a\" }].",
            )
            .at(attribute)
            .into());
        }
    };
    let mut faults = Diagnostics::default();
    let mut objects = Vec::with_capacity(items.len());
    let mut known = true;
    for (label, row) in items {
        match row.inner() {
            Value::Unknown(_) => known = false,
            Value::Map(_) if !row.is_wholly_known() => known = false,
            Value::Map(_) => match to_plain_json(row) {
                Ok(serde_json::Value::Object(object)) => objects.push((label, object)),
                _ => known = false,
            },
            _ => faults.push(
                Diagnostic::error("Invalid row", "Every row must be an object with the row's columns.")
                    .at(model::path(&pg_connector::Blame::Row(label, None))),
            ),
        }
    }
    if faults.has_error() {
        return Err(faults);
    }
    match table {
        Some(table) if known => match rows::declare(table, &objects) {
            Ok(rows) => Ok(Rows::Known(rows)),
            Err(errors) => Err(diagnostics::errors(&errors, &model::path)),
        },
        _ => Ok(Rows::Unknown(
            rows.as_list().map(<[Value]>::len).or_else(|| rows.as_map().map(std::collections::BTreeMap::len)),
        )),
    }
}

/// The rows of a state, which are ours. They are read by the table as it was declared with them: what became of its
/// columns since is for the diff to say.
pub fn owned(state: &Value, memory: &Memory) -> Result<Option<DeclaredRows>, Diagnostics> {
    let spec = memory.declared.clone().or_else(|| model::spec(state));
    Ok(declared(state.get("rows"), spec.as_ref())?.known().cloned())
}
