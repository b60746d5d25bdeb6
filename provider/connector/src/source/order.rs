//! The order of rows: how a user writes an item of it, and what completes it.
//!
//! **Invariant:** the same rows always come in the same order, whatever their places on disk.

use std::fmt;
use std::str::FromStr;

use super::relation::{LiveColumn, Relation};
use crate::name::{name_fault, quote_ident};

/// A column to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderBy {
    /// The column's name.
    pub column: String,
    /// Whether the greatest comes first.
    pub descending: bool,
    /// Where nulls go; `None` is the server's way: last, or first when descending.
    pub nulls_first: Option<bool>,
}

impl OrderBy {
    /// Ascending by that column.
    pub fn ascending(column: impl Into<String>) -> Self {
        Self { column: column.into(), descending: false, nulls_first: None }
    }
}

/// The items of `order by`. Rows that the wanted order leaves level are told apart by the primary key, and without one by
/// all that is read of them; a view that says its own order is asked for no other.
pub(super) fn items(wanted: &[OrderBy], relation: &Relation, read: &[&LiveColumn]) -> Vec<String> {
    let mut items: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let is_wanted = |name: &str| wanted.iter().any(|order| order.column == name);
    let sorted = |column: &LiveColumn| {
        let name = quote_ident(&column.name);
        if column.is_sortable { name } else { format!("{name}::text") }
    };
    if !relation.primary_key.is_empty() {
        items.extend(relation.primary_key.iter().filter(|name| !is_wanted(name)).map(|name| quote_ident(name)));
    } else if !(relation.is_ordered && wanted.is_empty()) {
        let rest = relation.columns.iter().filter(|column| read.iter().any(|read| read.name == column.name));
        items.extend(rest.filter(|column| !is_wanted(&column.name)).map(sorted));
    }
    items
}

/// The text names no column and order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no order: {1}; write name, name desc or name asc nulls last, with double quotes around an unusual name"
)]
pub struct ParseOrderError(String, String);

impl FromStr for OrderBy {
    type Err = ParseOrderError;

    /// Reads `name`, `name desc`, `"My name" asc nulls last`. Names are case-sensitive with and without quotes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| ParseOrderError(text.to_owned(), why.to_owned());
        let trimmed = text.trim();
        let (column, rest) = if let Some(quoted) = trimmed.strip_prefix('"') {
            let mut end = 0;
            loop {
                end += quoted[end..].find('"').ok_or_else(|| wrong("a double quote is not closed"))?;
                if !quoted[end + 1..].starts_with('"') {
                    break;
                }
                end += 2;
            }
            (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
        } else {
            let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
            let name = &trimmed[..end];
            if name.chars().any(|c| !(c.is_alphanumeric() || c == '_' || c == '$')) {
                return Err(wrong("the name needs double quotes"));
            }
            (name.to_owned(), &trimmed[end..])
        };
        if let Some(fault) = name_fault(&column) {
            return Err(wrong(&fault));
        }
        let words: Vec<String> = rest.split_whitespace().map(str::to_lowercase).collect();
        let mut words = words.iter().map(String::as_str).peekable();
        let descending = words.next_if(|word| ["asc", "desc"].contains(word)) == Some("desc");
        let nulls_first = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("nulls"), Some("first"), None) => Some(true),
            (Some("nulls"), Some("last"), None) => Some(false),
            _ => return Err(wrong("only asc or desc, and nulls first or nulls last, may follow the name")),
        };
        Ok(Self { column, descending, nulls_first })
    }
}

impl fmt::Display for OrderBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote_ident(&self.column))?;
        if self.descending {
            f.write_str(" desc")?;
        }
        match self.nulls_first {
            Some(true) => f.write_str(" nulls first"),
            Some(false) => f.write_str(" nulls last"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::convert::Scalar;

    #[test]
    fn orders_are_read_and_written() {
        for (text, sql) in [
            ("id", "id"),
            ("id asc", "id"),
            (" id  DESC ", "id desc"),
            ("Name desc nulls last", "\"Name\" desc nulls last"),
            ("\"my \"\"col\"\" desc\" Nulls First", "\"my \"\"col\"\" desc\" nulls first"),
            ("\"desc\"", "\"desc\""),
            ("naïve", "\"naïve\""),
        ] {
            assert_eq!(text.parse::<OrderBy>().unwrap().to_string(), sql);
        }
    }

    #[test]
    fn an_order_is_completed_until_no_rows_are_level() {
        let column = |name: &str, is_sortable| LiveColumn {
            name: name.to_owned(),
            type_name: String::new(),
            base: ("pg_catalog".to_owned(), "text".to_owned()),
            scalar: Scalar::Text,
            delimiter: None,
            is_sortable,
        };
        let columns = vec![column("id", true), column("J", false), column("n", true)];
        for (key, is_ordered, wanted, read, expected) in [
            (&["id"][..], false, &[][..], &["id", "J", "n"][..], "id"),
            (&["id"], false, &["n desc"], &["n"], "n desc, id"),
            (&["id", "n"], false, &["n"], &["n"], "n, id"),
            (&[], false, &[], &["n", "J", "id"], "id, \"J\"::text, n"),
            (&[], false, &["n"], &["J"], "n, \"J\"::text"),
            (&[], true, &[], &["n"], ""),
            (&[], true, &["n"], &["n", "id"], "n, id"),
        ] {
            let primary_key = key.iter().map(|&name| name.to_owned()).collect();
            let relation = Relation { columns: columns.clone(), primary_key, is_ordered };
            let wanted: Vec<OrderBy> = wanted.iter().map(|text| text.parse().unwrap()).collect();
            let read: Vec<&LiveColumn> = read.iter().map(|name| relation.column(name).unwrap()).collect();
            assert_eq!(items(&wanted, &relation, &read).join(", "), expected);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, why) in [
            ("", "cannot be empty"),
            ("id; drop table t", "double quotes"),
            ("lower(id)", "double quotes"),
            ("id up", "only asc or desc"),
            ("id desc nulls", "only asc or desc"),
            ("id nulls last desc", "only asc or desc"),
            ("\"id", "not closed"),
            ("id, a", "double quotes"),
        ] {
            let error = text.parse::<OrderBy>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
