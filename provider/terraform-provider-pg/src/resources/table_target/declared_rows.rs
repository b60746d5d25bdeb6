//! Declared rows: from the attributes to what the connector declares.

use pg_connector::error::RowLabel;
use pg_connector::row_file::Format;
use pg_connector::rows::{self, Declared, Files, Owned};
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
    Known(Declared),
}

impl Rows {
    /// What the user should know of the rows.
    pub fn remark(&self) -> Option<Diagnostic> {
        let Self::Known(rows) = self else { return None };
        let stripped = rows.nul_stripped();
        let detail = format!(
            "Postgres cannot keep the character NUL. It is left out of the texts that are written; rows that hold it: {}.",
            stripped.join(", ")
        );
        (!stripped.is_empty()).then(|| Diagnostic::warning("NUL characters are left out", detail))
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
            Self::Known(rows) => Value::from(rows.digest()),
        }
    }
}

/// Reads the rows of a configuration and checks them against the table. A file is read for it.
pub async fn declared(config: &Value, table: Option<&TableSpec>, files: &Files) -> Result<Rows, Diagnostics> {
    let path = match config.get("rows_file") {
        Value::Null => return inline(config.get("rows"), table),
        path => path.as_str(),
    };
    let null = match config.get("csv_null") {
        Value::Null => Some(None),
        null => null.as_str().map(Some),
    };
    let (Some(path), Some(null), Some(table)) = (path, null, table) else { return Ok(Rows::Unknown(None)) };
    match files.declare(table, std::path::Path::new(path), null).await {
        Ok(rows) => Ok(Rows::Known(rows.into())),
        Err(errors) => Err(diagnostics::errors(&errors, &model::path)),
    }
}

/// What is wrong with the attributes, whatever the file holds.
pub fn faults(config: &Value) -> Diagnostics {
    let file = config.get("rows_file");
    // What is not known yet may still turn out to be left out.
    let given = |name: &str| config.get(name).is_given();
    let mut faults = Diagnostics::default();
    if given("rows_file") && given("rows") {
        let detail = "Rows come from rows or from rows_file, not from both.";
        faults.push(Diagnostic::error("Conflicting attributes", detail).at(Path::root("rows_file")));
    }
    let format = file.as_str().map(|path| Format::of(std::path::Path::new(path)));
    if let Some(Err(error)) = &format {
        faults.push(diagnostics::error(error, &model::path));
    }
    if given("csv_null") && (file.is_null() || matches!(format, Some(Ok(Format { json: true, .. })))) {
        let detail =
            "csv_null belongs to a rows_file that is CSV; JSON Lines and inline rows have a null of their own.";
        faults.push(Diagnostic::error("Conflicting attributes", detail).at(Path::root("csv_null")));
    }
    faults
}

/// Reads the `rows` attribute of a configuration, plan or state and checks it against the table.
pub fn inline(rows: &Value, table: Option<&TableSpec>) -> Result<Rows, Diagnostics> {
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
    let declared = match table {
        Some(table) if known => Some(rows::declare(table, &objects)),
        _ => None,
    };
    if let Some(Err(errors)) = &declared {
        faults.extend(diagnostics::errors(errors, &model::path));
    }
    if faults.has_error() {
        return Err(faults);
    }
    match declared {
        Some(Ok(rows)) => Ok(Rows::Known(rows.into())),
        _ => Ok(Rows::Unknown(
            rows.as_list().map(<[Value]>::len).or_else(|| rows.as_map().map(std::collections::BTreeMap::len)),
        )),
    }
}

/// The rows that are ours: those of a file by their ledger, or those of a state. They are read by the table as it was declared with them: what became of its
/// columns since is for the diff to say.
pub fn owned(state: &Value, memory: &Memory) -> Result<Option<Owned>, Diagnostics> {
    if let Some(ledger) = &memory.ledger {
        return Ok(Some(ledger.clone().into()));
    }
    let spec = memory.declared.clone().or_else(|| model::spec(state));
    Ok(match inline(state.get("rows"), spec.as_ref())? {
        Rows::Known(Declared::Inline(rows)) => Some(rows.into()),
        _ => None,
    })
}
