//! Names of objects, quoted for SQL.
//!
//! Any name that Postgres accepts is accepted here. **Invariant:** no name reaches an SQL text but through this file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The longest name that Postgres keeps, in bytes; it cuts longer ones with only a notice.
pub(crate) const MAX_NAME_BYTES: usize = 63;

/// The schema of the ledgers that rows files keep.
pub const LEDGER_SCHEMA: &str = "terraform_pg";

/// The key words that are not plain identifiers everywhere (`pg_get_keywords()` with a category other than unreserved).
const KEYWORDS: &str = " all analyse analyze and any array as asc asymmetric authorization between bigint binary bit \
    boolean both case cast char character check coalesce collate collation column concurrently constraint create cross \
    current_catalog current_date current_role current_schema current_time current_timestamp current_user dec decimal \
    default deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full \
    grant greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull \
    join json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize \
    json_table json_value lateral leading least left like limit localtime localtimestamp merge_action national natural \
    nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing \
    position precision primary real references returning right row select session_user setof similar smallint some \
    substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique user \
    using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest \
    xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable ";

/// The name as SQL reads it: quoted where it would not be taken as it stands.
pub fn quote_ident(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.contains(&format!(" {name} "));
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// The text as an SQL string literal, whatever `standard_conforming_strings` says.
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// A comma-separated list of names.
pub(crate) fn quote_idents<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    names.into_iter().map(|n| quote_ident(n.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Why a text is no name that Postgres would keep as it is; `None` when it is one.
pub fn name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        Some("a name cannot be empty".to_owned())
    } else if name.contains('\0') {
        Some("a name cannot hold the NUL character".to_owned())
    } else if name.len() > MAX_NAME_BYTES {
        Some(format!("{name:?} has {} bytes, and Postgres keeps only {MAX_NAME_BYTES}", name.len()))
    } else {
        None
    }
}

/// A number that stands for a text where the text itself would be too long: the first bytes of its SHA-256.
pub(crate) fn short_hash(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(first)
}

/// A table's schema and name. Its text form is `schema.table`, quoted where SQL needs it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table.
    pub name: String,
}

impl TableName {
    /// A name from its parts.
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> Self {
        Self { schema: schema.into(), name: name.into() }
    }

    /// The name of another object in the same schema, quoted for SQL.
    pub(crate) fn sibling(&self, name: &str) -> String {
        format!("{}.{}", quote_ident(&self.schema), quote_ident(name))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sibling(&self.name))
    }
}

/// The text is no qualified name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseNameError(String);

impl FromStr for TableName {
    type Err = ParseNameError;

    /// Reads `schema.table` as SQL does: an unquoted part is folded to lower case, a quoted one is taken as it is.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |why: &str| {
            ParseNameError(format!(
                "{text:?} is no qualified name: {why}; write schema.name, with double quotes as in SQL where needed"
            ))
        };
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let part;
            if let Some(quoted) = rest.strip_prefix('"') {
                let mut name = String::new();
                let mut chars = quoted.char_indices();
                let end = loop {
                    match chars.next() {
                        None => return Err(wrong("a double quote is not closed")),
                        Some((at, '"')) if quoted[at + 1..].starts_with('"') => {
                            name.push('"');
                            chars.next();
                        }
                        Some((at, '"')) => break at,
                        Some((_, c)) => name.push(c),
                    }
                };
                part = name;
                rest = &quoted[end + 1..];
            } else {
                let end = rest.find(['.', '"']).unwrap_or(rest.len());
                let plain = &rest[..end];
                if plain.chars().any(|c| !(c.is_alphanumeric() || c == '_' || c == '$')) {
                    return Err(wrong(
                        "a part with other characters than letters, digits, _ and $ needs double quotes",
                    ));
                }
                part = plain.to_lowercase();
                rest = &rest[end..];
            }
            if let Some(fault) = name_fault(&part) {
                return Err(wrong(&fault));
            }
            parts.push(part);
            match rest.strip_prefix('.') {
                Some(next) => rest = next,
                None if rest.is_empty() => break,
                None => return Err(wrong("a part goes on after its closing quote")),
            }
        }
        match <[String; 2]>::try_from(parts) {
            Ok([schema, name]) => Ok(Self { schema, name }),
            Err(_) => Err(wrong("it needs exactly two parts")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idents_are_quoted_where_needed() {
        for (name, sql) in [
            ("products", "products"),
            ("_a1", "_a1"),
            ("Products", "\"Products\""),
            ("order", "\"order\""),
            ("we\"ird", "\"we\"\"ird\""),
            ("1st", "\"1st\""),
            ("naïve", "\"naïve\""),
            ("", "\"\""),
            ("a b", "\"a b\""),
        ] {
            assert_eq!(quote_ident(name), sql);
        }
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal("a\\b'"), "E'a\\\\b'''");
    }

    #[test]
    fn qualified_names_round_trip() {
        for (schema, name) in [("public", "t"), ("My Schema", "T.x"), ("a\"b", "ü"), ("public", "select")] {
            let table = TableName::new(schema, name);
            assert_eq!(table.to_string().parse::<TableName>().unwrap(), table);
        }
        assert_eq!("Public.T".parse::<TableName>().unwrap(), TableName::new("public", "t"));
    }

    #[test]
    fn bad_qualified_names_say_why() {
        let long = format!("public.{}", "x".repeat(64));
        for (text, why) in [
            ("t", "exactly two parts"),
            ("a.b.c", "exactly two parts"),
            ("", "cannot be empty"),
            ("public.", "cannot be empty"),
            ("public.\"t", "not closed"),
            ("public.\"t\"x", "goes on after"),
            ("public.a b", "needs double quotes"),
            (long.as_str(), "64 bytes"),
        ] {
            let error = text.parse::<TableName>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
