//! Which declared row an error of the server is about.
//!
//! **Invariant:** no row is blamed unless the server's words fit exactly one declared row.

use std::sync::Arc;

use super::place::{self, Place, Wanted};
use super::row_hash::Placed;
use super::steps::DECLARED;
use super::{Cell, FileRows, RowChange, RowGroup};
use crate::error::{Blame, Error};
use crate::spec::TableSpec;

/// What to do about a value that is taken.
const TAKEN: &str = "Another row has this value: one that is not declared here, or one that changes in this apply too. \
    Postgres checks an ordinary unique constraint with each row that is written, so rows cannot exchange or pass on such \
    values in one apply. They can when the constraint is deferrable (alter table … drop constraint …, add constraint … \
    unique (…) deferrable): then it is checked after all rows are written. Otherwise change the rows in two applies, with \
    a value between that no row has.";

/// An error while the temporary tables were made.
pub(super) fn of_statement(error: Error) -> Error {
    match error.sqlstate() {
        Some("42703") => error.advice("The table has changed since it was last read; refresh and plan again."),
        Some("42501") => error.advice(
            "Rows are compared in a temporary table, so the role needs select on the table and temporary on the \
             database (grant temporary on database … to …).",
        ),
        _ => error,
    }
}

/// An error of COPY of inline rows: its context names the line, and mostly the column.
pub(super) fn of_copy(error: Error, table: &TableSpec, staged: &str, group: &RowGroup) -> Error {
    let Some((line, column)) = line_and_column(&error, staged, &group.columns) else { return error };
    match line.checked_sub(1).and_then(|at| group.rows.get(at)) {
        Some(row) => Place::inline(table, group, row).blame(error, column),
        None => error,
    }
}

/// The same for rows of a file, which is read again to tell the line of the file from the line of the copy.
pub(super) async fn of_file_copy(
    error: Error,
    change: &RowChange<'_>,
    file: &FileRows,
    only: Option<Arc<Vec<Placed>>>,
) -> Error {
    let Some((line, column)) = line_and_column(&error, DECLARED, file.columns()) else { return error };
    let mut sent = 0;
    let (file, table) = (file.clone(), change.table.clone());
    let path = file.path().to_owned();
    let only = only.map(|rows| rows.iter().map(|row| row.at).collect::<Vec<_>>());
    let reader = move || {
        file.find(&table, 1, |_, _, at| {
            sent += usize::from(only.as_ref().is_none_or(|only| only.binary_search(&at).is_ok()));
            sent == line
        })
    };
    match tokio::task::spawn_blocking(reader).await.unwrap_or_default().first() {
        Some(line) => Place::Line(path, *line).blame(error, column),
        None => error,
    }
}

/// What the context of an error of COPY says.
fn line_and_column(error: &Error, table: &str, columns: &[String]) -> Option<(usize, Option<String>)> {
    let context = error.server()?.context.clone()?;
    // The words are translated by the server ("line 3, column a"), the numbers and names are not.
    let rest = context.find(table).map(|at| &context[at + table.len()..])?;
    let start = rest.find(|c: char| c.is_ascii_digit())?;
    let digits: String = rest[start..].chars().take_while(char::is_ascii_digit).collect();
    let after = &rest[start + digits.len()..];
    let column = columns
        .iter()
        .filter_map(|name| Some((place_of(after, name)?, name)))
        .max_by_key(|(place, name)| (*place, name.len()))
        .map(|(_, name)| name.clone());
    Some((digits.parse().ok()?, column))
}

/// Where `, column a: "value"` or `, column a null input` names that column; what stands right before a colon is surest.
fn place_of(text: &str, name: &str) -> Option<(bool, usize)> {
    let places = text.match_indices(name).filter_map(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        let stands_alone = before.starts_with(',') && before.ends_with(' ') && !before.contains(':');
        (stands_alone && after.starts_with([':', ' '])).then_some((after.starts_with(':'), at))
    });
    places.max()
}

/// An error of a statement that writes rows: constraints name the values that they refuse.
pub(super) async fn of_write(error: Error, change: &RowChange<'_>, key_is_first: bool) -> Error {
    let Some(server) = error.server().cloned() else {
        return error;
    };
    let detail = server.detail.clone().unwrap_or_default();
    let error = if server.sqlstate == "23505" { error.advice(TAKEN) } else { error };
    let keys = if key_is_first { change.table.primary_key.clone() } else { Vec::new() };
    match server.sqlstate.as_str() {
        "23505" | "23503" | "23P01" => {
            let Some((columns, values)) = key_and_values(&detail) else {
                return error;
            };
            let (column, values) = (columns.first().cloned(), values.to_owned());
            let same = move |named: &[String], cells: &[Cell]| {
                let found = columns.iter().map(|column| value_of(named, cells, column));
                found.collect::<Option<Vec<_>>>().is_some_and(|found| found.join(", ") == values)
            };
            match only(change, Box::new(same)).await {
                Some(place) => place.blame(error, column),
                None => error,
            }
        }
        "23502" => {
            let column = server.column.clone();
            let empty = {
                let column = column.clone();
                move |named: &[String], cells: &[Cell]| {
                    let at = |column| named.iter().position(|c| c == column);
                    column.as_ref().is_some_and(|column| at(column).is_none_or(|at| cells[at] == Cell::Null))
                }
            };
            let place = match only(change, Box::new(empty)).await {
                Some(place) => Some(place),
                None => failing_row(&detail, change, keys).await,
            };
            // The detail shows the whole row, with cells that are nobody's business.
            let error = error.without_detail();
            match place {
                Some(place) => place.blame(error, column),
                None => error,
            }
        }
        "23514" => match (failing_row(&detail, change, keys).await, error.without_detail()) {
            (Some(place), error) => place.blame(error, None),
            (None, error) => error,
        },
        "428C9" => {
            // A value for a generated or identity column: the message quotes the column's name.
            let column = server.message.split('"').nth(1).map(str::to_owned);
            let error = error.advice("The server computes this column itself: leave it out of the rows.");
            match column {
                Some(column) => error.blame(Blame::Column(column, None)),
                None => error,
            }
        }
        _ => error,
    }
}

/// `Key (a, b)=(1, x) already exists.` The words are translated, the parentheses are not.
fn key_and_values(detail: &str) -> Option<(Vec<String>, &str)> {
    let (columns, rest) = detail.split_once('(')?.1.split_once(")=(")?;
    let values = rest.rsplit_once(')')?.0;
    let columns = columns.split(", ").map(|name| name.trim_matches('"').replace("\"\"", "\"")).collect();
    Some((columns, values))
}

/// `Failing row contains (1, x, null).`: told by the key, when it stands first in the table.
async fn failing_row(detail: &str, change: &RowChange<'_>, keys: Vec<String>) -> Option<Place> {
    let values = detail.split_once('(')?.1.to_owned();
    let same = move |named: &[String], cells: &[Cell]| {
        let found = keys.iter().map(|key| value_of(named, cells, key));
        found.collect::<Option<Vec<_>>>().is_some_and(|found| values.starts_with(&format!("{}, ", found.join(", "))))
    };
    only(change, Box::new(same)).await
}

fn value_of<'a>(named: &[String], cells: &'a [Cell], column: &str) -> Option<&'a str> {
    match &cells[named.iter().position(|c| c == column)?] {
        Cell::Null => None,
        Cell::Text(text) => Some(text),
    }
}

/// The only declared row that fulfils the condition.
async fn only(change: &RowChange<'_>, wanted: Wanted) -> Option<Place> {
    let mut places = place::find(change.declared?, change.table, 2, wanted).await;
    let place = places.pop()?;
    places.is_empty().then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_is_found_in_every_context() {
        let columns = ["column", "a", "m", "o", "odd: name", "x y"];
        for (after, column) in [
            (", column m: \"a m: x\"", Some("m")),
            (", column column: \"x\"", Some("column")),
            (", column o null input", Some("o")),
            (", column x y: \"a\"", Some("x y")),
            (", column odd: name: \"a\"", Some("odd: name")),
            (", Spalte a: »m«", Some("a")),
            (": \"1\tm: \"", None),
            ("", None),
        ] {
            let found = columns.iter().filter_map(|name| Some((place_of(after, name)?, *name)));
            let found = found.max_by_key(|(place, name)| (*place, name.len())).map(|(_, name)| name);
            assert_eq!(found, column, "{after}");
        }
    }

    #[test]
    fn the_values_of_a_constraint_are_read() {
        for (detail, columns, values) in [
            ("Key (id)=(3) already exists.", vec!["id"], "3"),
            ("Key (a, \"B c\")=(1, x) is not present in table \"t\".", vec!["a", "B c"], "1, x"),
            ("Schlüssel »(id)=(3)« existiert bereits.", vec!["id"], "3"),
        ] {
            assert_eq!(key_and_values(detail), Some((columns.iter().map(ToString::to_string).collect(), values)));
        }
        assert_eq!(key_and_values("Failing row contains (1, 2)."), None);
    }
}
