//! One item of an order: a column's name and how it is sorted.

use std::fmt;
use std::str::FromStr;

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
