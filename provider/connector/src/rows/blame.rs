//! Which declared row an error of the server is about.
//!
//! **Invariant:** no row is blamed unless the server's words fit exactly one declared row.

use super::{Cell, DeclaredRow, DeclaredRows, RowGroup};
use crate::error::{Blame, Error, RowLabel};

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

/// An error of COPY: its context names the line, and mostly the column.
pub(super) fn of_copy(error: Error, table: &str, group: &RowGroup) -> Error {
    let Some(context) = error.server().and_then(|server| server.context.clone()) else {
        return error;
    };
    // The words are translated by the server ("line 3, column a"), the numbers and names are not.
    let Some(rest) = context.find(table).map(|at| &context[at + table.len()..]) else {
        return error;
    };
    let Some(start) = rest.find(|c: char| c.is_ascii_digit()) else {
        return error;
    };
    let digits: String = rest[start..].chars().take_while(char::is_ascii_digit).collect();
    let Some(row) = digits.parse::<usize>().ok().and_then(|line| group.rows.get(line.checked_sub(1)?)) else {
        return error;
    };
    let after = &rest[start + digits.len()..];
    let column = group
        .columns
        .iter()
        .filter_map(|name| Some((place_of(after, name)?, name)))
        .max_by_key(|(place, name)| (*place, name.len()))
        .map(|(_, name)| name.clone());
    error.blame(Blame::Row(row.label.clone(), column))
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
pub(super) fn of_write(error: Error, declared: Option<&DeclaredRows>, keys: &[String]) -> Error {
    let Some(server) = error.server().cloned() else {
        return error;
    };
    let detail = server.detail.as_deref().unwrap_or_default();
    let rows = || declared.into_iter().flat_map(|rows| &rows.groups).flat_map(|g| g.rows.iter().map(move |r| (g, r)));
    match server.sqlstate.as_str() {
        "23505" | "23503" | "23P01" => {
            let Some((columns, values)) = key_and_values(detail) else {
                return error;
            };
            let label = only(rows().filter(|(group, row)| {
                let cells = columns.iter().map(|column| value_of(group, row, column));
                cells.collect::<Option<Vec<_>>>().is_some_and(|cells| cells.join(", ") == values)
            }));
            match label {
                Some(label) => error.blame(Blame::Row(label, columns.first().cloned())),
                None => error,
            }
        }
        "23502" => {
            let column = server.column.clone();
            let empty = |(group, row): &(&RowGroup, &DeclaredRow)| {
                column.as_ref().is_some_and(|column| {
                    group.columns.iter().position(|c| c == column).is_none_or(|at| row.cells[at] == Cell::Null)
                })
            };
            match only(rows().filter(empty)).or_else(|| failing_row(detail, rows(), keys)) {
                Some(label) => error.blame(Blame::Row(label, column)),
                None => error,
            }
        }
        "23514" => match failing_row(detail, rows(), keys) {
            Some(label) => error.blame(Blame::Row(label, None)),
            None => error,
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
fn failing_row<'a>(
    detail: &str,
    rows: impl Iterator<Item = (&'a RowGroup, &'a DeclaredRow)>,
    keys: &[String],
) -> Option<RowLabel> {
    let values = detail.split_once('(')?.1;
    only(rows.filter(|(group, row)| {
        let cells = keys.iter().map(|key| value_of(group, row, key));
        cells.collect::<Option<Vec<_>>>().is_some_and(|cells| values.starts_with(&format!("{}, ", cells.join(", "))))
    }))
}

fn value_of<'a>(group: &RowGroup, row: &'a DeclaredRow, column: &str) -> Option<&'a str> {
    match &row.cells[group.columns.iter().position(|c| c == column)?] {
        Cell::Null => None,
        Cell::Text(text) => Some(text),
    }
}

fn only<'a>(mut rows: impl Iterator<Item = (&'a RowGroup, &'a DeclaredRow)>) -> Option<RowLabel> {
    let first = rows.next()?;
    rows.next().is_none().then(|| first.1.label.clone())
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
