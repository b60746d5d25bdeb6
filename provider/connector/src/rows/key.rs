//! When two declared keys are the same row.
//!
//! A key part has a normal form for its type: integers and numerics by value, the rest by their characters. **Invariant:**
//! keys with equal normal forms are the same row to the server. The converse holds only for the types that
//! [`is_exact`] names; for the others the server is asked.

use std::borrow::Cow;

use super::kind::{Base, ColumnKind, TextEquality};
use super::number::Decimal;
use super::{Cell, DeclaredRow, RowGroup};
use crate::spec::TableSpec;

/// One part of a key in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum KeyPart {
    /// A whole number.
    Integer(i128),
    /// Another number.
    Number(Decimal),
    /// Anything else.
    Text(String),
}

/// A key in its normal form.
pub(crate) type Key = Vec<KeyPart>;

/// The kinds of the primary key's columns, in its order.
pub(crate) fn kinds(table: &TableSpec) -> Vec<ColumnKind> {
    let unknown = ColumnKind { base: Base::Unknown, array: false };
    let kind = |name: &String| table.column(name).map_or(unknown.clone(), |c| ColumnKind::of(&c.type_name));
    table.primary_key.iter().map(kind).collect()
}

/// The normal form of a key part.
pub(crate) fn part(kind: &ColumnKind, text: &str) -> KeyPart {
    if kind.array {
        return KeyPart::Text(text.to_owned());
    }
    match &kind.base {
        Base::Integer { .. } => match Decimal::parse(text).and_then(|number| number.to_i128()) {
            Some(number) => KeyPart::Integer(number),
            None => KeyPart::Text(text.to_owned()),
        },
        Base::Numeric { .. } => Decimal::parse(text).map_or_else(|| KeyPart::Text(text.to_owned()), KeyPart::Number),
        Base::Float { single } => {
            let float = if *single { text.parse::<f32>().map(f64::from) } else { text.parse::<f64>() };
            // Adding zero makes minus zero zero, which it is to the server.
            KeyPart::Text(float.map_or_else(|_| text.to_owned(), |float| format!("{:?}", float + 0.0)))
        }
        Base::Text { equality: TextEquality::Padded, .. } => KeyPart::Text(text.trim_end_matches(' ').to_owned()),
        Base::Text { equality: TextEquality::IgnoreCase, .. } => {
            // Which letters are the same depends on the server's locale, but for these.
            let same = |c: char| c.is_ascii_uppercase() && c != 'I';
            KeyPart::Text(text.chars().map(|c| if same(c) { c.to_ascii_lowercase() } else { c }).collect())
        }
        _ => KeyPart::Text(text.to_owned()),
    }
}

/// The normal form of a key part as text, without a copy where the text is its own normal form.
pub(crate) fn normal_text<'a>(kind: &ColumnKind, text: &'a str) -> Cow<'a, str> {
    match (&kind.base, kind.array) {
        (
            Base::Numeric { .. }
            | Base::Float { .. }
            | Base::Text { equality: TextEquality::Padded | TextEquality::IgnoreCase, .. },
            false,
        ) => match part(kind, text) {
            KeyPart::Integer(number) => Cow::Owned(number.to_string()),
            KeyPart::Number(number) => Cow::Owned(number.to_string()),
            KeyPart::Text(text) => Cow::Owned(text),
        },
        // Whole numbers were written in their normal form when the cell was checked.
        _ => Cow::Borrowed(text),
    }
}

/// Whether keys of this type with different normal forms are certainly different rows.
pub(crate) fn is_exact(kind: &ColumnKind) -> bool {
    !kind.array && matches!(kind.base, Base::Bool | Base::Integer { .. } | Base::Bytea | Base::Uuid)
}

/// Whether the same holds under a collation that tells all characters apart.
pub(crate) fn is_exact_text(kind: &ColumnKind) -> bool {
    !kind.array && matches!(kind.base, Base::Text { equality: TextEquality::Exact, .. })
}

/// Whether its text is read alike under all settings.
pub(crate) fn is_read_alike(kind: &ColumnKind) -> bool {
    let alike = matches!(
        kind.base,
        Base::Bool | Base::Integer { .. } | Base::Numeric { .. } | Base::Text { .. } | Base::Bytea | Base::Uuid
    );
    alike && !kind.array
}

/// Where the primary key's columns stand in a group; `None` when the group does not name one of them.
pub(crate) fn positions(group: &RowGroup, primary_key: &[String]) -> Option<Vec<usize>> {
    primary_key.iter().map(|key| group.columns.iter().position(|column| column == key)).collect()
}

/// The normal form of a row's key.
pub(crate) fn of_row(kinds: &[ColumnKind], positions: &[usize], row: &DeclaredRow) -> Key {
    let text = |position: &usize| match row.cells.get(*position) {
        Some(Cell::Text(text)) => text.as_str(),
        _ => "",
    };
    kinds.iter().zip(positions).map(|(kind, position)| part(kind, text(position))).collect()
}

/// A key as messages show it: `id = 1, lang = de`.
pub(crate) fn shown<'a>(names: &[String], values: impl IntoIterator<Item = &'a str>) -> String {
    let pairs = names.iter().zip(values);
    pairs.map(|(name, value)| format!("{name} = {}", super::value::shortened(value))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_have_equal_normal_forms() {
        for (type_name, a, b, same) in [
            ("bigint", "1", "01", true),
            ("numeric", "1.0", "1.00", true),
            ("numeric", "1.0", "1.01", false),
            ("double precision", "-0", "0", true),
            ("real", "0.1", "0.10000000149", true),
            ("text", "a", "a ", false),
            ("char(5)", "a", "a  ", true),
            ("citext", "A", "a", true),
            ("citext", "Ä", "ä", false),
            ("citext", "I", "i", false),
            ("double precision", "NaN", "nan", true),
            ("numeric", "1e3", "1000", true),
            ("numeric", "-0.0", "0", true),
            ("numeric", "123456789012345678901234567890.5", "123456789012345678901234567890.50", true),
            ("text", "A", "a", false),
        ] {
            let kind = ColumnKind::of(type_name);
            assert_eq!(part(&kind, a) == part(&kind, b), same, "{type_name} {a} {b}");
            if type_name != "bigint" {
                assert_eq!(normal_text(&kind, a) == normal_text(&kind, b), same, "{type_name} {a} {b}");
            }
        }
    }
}
