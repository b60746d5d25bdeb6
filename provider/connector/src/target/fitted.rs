//! A row as its columns take it, where the JSON that serde writes alone does not say what is meant.
//!
//! In a file of rows a text in a JSON column is JSON itself, and bytes are base64. What serde writes is a value: its texts
//! are JSON strings, also `"1"` and `"null"`, and its bytes are mostly a list of numbers. **Invariant:** such a value comes
//! to be stored as what it is; names that occur twice still do.

use std::collections::HashMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::pg_type::same_type;
use crate::spec::ColumnSpec;

/// The columns that this is about.
#[derive(Debug, Default)]
pub(super) struct Fitted(HashMap<String, Base>);

#[derive(Clone, Copy, Debug)]
enum Base {
    Json,
    Bytes,
}

/// The fields of a row in their order.
struct Fields<'l>(Vec<(String, &'l RawValue)>);

impl Fitted {
    pub(super) fn of(columns: &[ColumnSpec]) -> Self {
        let base = |type_name: &str| match type_name {
            name if same_type(name, "jsonb") || same_type(name, "json") => Some(Base::Json),
            name if same_type(name, "bytea") => Some(Base::Bytes),
            _ => None,
        };
        let known = columns.iter().filter_map(|column| Some((column.name.clone(), base(&column.type_name)?)));
        Self(known.collect())
    }

    /// Makes of a row, a JSON object, one that a line of a file can be.
    pub(super) fn fit(&self, row: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        // JSON that a row holds as it was written may have line breaks between its parts.
        row.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        if self.0.is_empty() {
            return Ok(());
        }
        let Fields(fields) = serde_json::from_slice(row)?;
        let fitted: Vec<Option<String>> = fields.iter().map(|(name, value)| self.cell(name, value)).collect();
        if fitted.iter().all(Option::is_none) {
            return Ok(());
        }
        let mut line = Vec::with_capacity(row.len() + 16);
        for (at, ((name, value), fitted)) in fields.iter().zip(&fitted).enumerate() {
            line.push(if at == 0 { b'{' } else { b',' });
            serde_json::to_writer(&mut line, name)?;
            line.push(b':');
            match fitted {
                Some(text) => serde_json::to_writer(&mut line, text)?,
                None => line.extend_from_slice(value.get().as_bytes()),
            }
        }
        line.push(b'}');
        *row = line;
        Ok(())
    }

    /// The text that stands for a value in a file, where that is not the value itself.
    fn cell(&self, name: &str, value: &RawValue) -> Option<String> {
        match (self.0.get(name)?, value.get()) {
            (Base::Json, text) if text.starts_with('"') => Some(text.to_owned()),
            (Base::Bytes, list) if list.starts_with('[') => {
                serde_json::from_str::<Vec<u8>>(list).ok().map(|bytes| STANDARD.encode(bytes))
            }
            _ => None,
        }
    }
}

impl<'l> Deserialize<'l> for Fields<'l> {
    fn deserialize<D: Deserializer<'l>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'l> Visitor<'l> for InOrder {
            type Value = Fields<'l>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_fitted_to_their_columns() {
        let column = |(name, type_name): (&str, &str)| ColumnSpec {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            nullable: true,
            default: None,
            comment: None,
        };
        let fitted = Fitted::of(&[("j", "JSONB"), ("k", "json"), ("b", "bytea"), ("t", "text")].map(column));
        for (row, expected) in [
            (r#"{"j":"1","t":"1"}"#, r#"{"j":"\"1\"","t":"1"}"#),
            (r#"{"k":"a\u0000\"b","j":{"j":"x"}}"#, r#"{"k":"\"a\\u0000\\\"b\"","j":{"j":"x"}}"#),
            (r#"{"j":null,"j":1.10,"b":"AP8="}"#, r#"{"j":null,"j":1.10,"b":"AP8="}"#),
            (r#"{"j":"x","j":"y"}"#, r#"{"j":"\"x\"","j":"\"y\""}"#),
            (r#"{"b":[0,255],"t":[0,255]}"#, r#"{"b":"AP8=","t":[0,255]}"#),
            (r#"{"b":[]}"#, r#"{"b":""}"#),
            (r#"{"b":[256]}"#, r#"{"b":[256]}"#),
            ("{\"t\":1,\r\n\"j\":\n[\n]}", "{\"t\":1,  \"j\": [ ]}"),
            ("{}", "{}"),
        ] {
            let mut line = row.as_bytes().to_vec();
            fitted.fit(&mut line).unwrap();
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }
}
