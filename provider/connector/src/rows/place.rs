//! Where the declaration says a row: a label of an inline row, a line of a file.

use std::path::PathBuf;

use super::{Cell, Declared, DeclaredRow, RowChange, RowGroup, declare, key};
use crate::error::{Blame, Error, RowLabel};
use crate::spec::TableSpec;

/// Where a row is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// An inline row, and its key as a sentence names it.
    Inline(RowLabel, String),
    /// A line of a file.
    Line(PathBuf, u64),
}

impl Place {
    /// The row as a sentence names it.
    pub(super) fn named(&self) -> String {
        match self {
            Self::Inline(label, _) => declare::named_row(label),
            Self::Line(path, line) => format!("line {line} of {}", path.display()),
        }
    }

    /// A row of a group.
    pub(super) fn inline(table: &TableSpec, group: &RowGroup, row: &DeclaredRow) -> Self {
        let positions = key::positions(group, &table.primary_key).unwrap_or_default();
        let values = positions.iter().map(|&at| declare::text(&row.cells[at]));
        Self::Inline(row.label.clone(), key::shown(&table.primary_key, values))
    }

    /// Adds the row to an error, also to its words: a path alone is not always shown.
    pub(super) fn blame(self, error: Error, column: Option<String>) -> Error {
        match self {
            Self::Inline(label, key) => {
                let (row, message) = (declare::named_row(&label), error.message().to_owned());
                let names_it = message.contains(&row) || message.contains(&format!("({key})"));
                let place = column.as_ref().map_or_else(String::new, |column| format!(", column {column}"));
                let error = if names_it { error } else { error.because(format!("{row} ({key}){place}: {message}")) };
                error.blame(Blame::Row(label, column))
            }
            Self::Line(path, line) => {
                let place = column.map_or_else(String::new, |column| format!(", column {column}"));
                let message = if error.message().contains(&format!("line {line} of ")) {
                    error.message().to_owned()
                } else {
                    format!("{}, line {line}{place}: {}", path.display(), error.message())
                };
                error.because(message).blame(Blame::Attribute("rows_file"))
            }
        }
    }
}

/// A condition on a row: its columns and cells.
pub(super) type Wanted = Box<dyn FnMut(&[String], &[Cell]) -> bool + Send>;

/// The places of the first declared rows that fulfil a condition. A file is read again for it.
pub(super) async fn find(declared: &Declared, table: &TableSpec, limit: usize, mut wanted: Wanted) -> Vec<Place> {
    match declared {
        Declared::Inline(rows) => {
            let rows = rows.groups.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)));
            let found = rows.filter(|(group, row)| wanted(&group.columns, &row.cells));
            found.take(limit).map(|(group, row)| Place::inline(table, group, row)).collect()
        }
        Declared::File(file) => {
            let (file, table) = (file.clone(), table.clone());
            let path = file.path().to_owned();
            let reader = move || file.find(&table, limit, |columns, cells, _| wanted(columns, cells));
            let lines = tokio::task::spawn_blocking(reader).await.unwrap_or_default();
            lines.into_iter().map(|line| Place::Line(path.clone(), line)).collect()
        }
    }
}

/// The places of the declared rows with that key, given as the server prints it.
pub(super) async fn with_key(change: &RowChange<'_>, values: &[String], limit: usize) -> Vec<Place> {
    let Some(declared) = change.declared else { return Vec::new() };
    let kinds = key::kinds(change.table);
    let wanted: key::Key = kinds.iter().zip(values).map(|(kind, value)| key::part(kind, value)).collect();
    let names = change.table.primary_key.clone();
    let same = move |columns: &[String], cells: &[Cell]| {
        let parts = names.iter().zip(&kinds).map(|(name, kind)| {
            let at = columns.iter().position(|column| column == name)?;
            Some(key::part(kind, declare::text(&cells[at])))
        });
        parts.collect::<Option<key::Key>>().is_some_and(|key| key == wanted)
    };
    find(declared, change.table, limit, Box::new(same)).await
}
