//! The columns and the key of a table, told by a Rust type or named one by one.
//!
//! **Invariant:** a type gives the columns that its JSON Schema gives as a `record_schema`.

use std::any::type_name;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::error::{Error, Errors};
use crate::record_schema::{self, ColumnOverride};
use crate::spec::ColumnSpec;

/// The columns and the primary key of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// The columns, in the order in which a new table has them.
    pub columns: Vec<ColumnSpec>,
    /// The names of the primary key's columns, in order.
    pub primary_key: Vec<String>,
}

/// A column as it is declared in code.
///
/// ```
/// use pg_connector::table_schema::ColumnDef;
///
/// let price = ColumnDef::new("numeric(10,2)").not_null().default("0").comment("in euros");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDef(ColumnSpec);

impl ColumnDef {
    /// A column of this Postgres type that may hold null.
    pub fn new(type_name: impl Into<String>) -> Self {
        let type_name = type_name.into();
        Self(ColumnSpec { name: String::new(), type_name, nullable: true, default: None, comment: None })
    }

    /// Forbids null.
    #[must_use]
    pub fn not_null(mut self) -> Self {
        self.0.nullable = false;
        self
    }

    /// What it holds where a row does not name it, an SQL expression. Without one, the default is left alone.
    #[must_use]
    pub fn default(mut self, expression: impl Into<String>) -> Self {
        self.0.default = Some(expression.into());
        self
    }

    /// Its comment. Without one, the comment is left alone.
    #[must_use]
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.0.comment = Some(comment.into());
        self
    }
}

impl TableSchema {
    /// Columns that are named one by one, in this order. Those of the primary key never hold null.
    ///
    /// ```
    /// use pg_connector::table_schema::{ColumnDef, TableSchema};
    ///
    /// let schema = TableSchema::new(
    ///     [
    ///         ("category", ColumnDef::new("text")),
    ///         ("name", ColumnDef::new("text")),
    ///         ("price", ColumnDef::new("numeric")),
    ///         ("embedding", ColumnDef::new("vector(384)")),
    ///     ],
    ///     &["category", "name"],
    /// );
    /// assert!(!schema.columns[0].nullable && schema.columns[2].nullable);
    /// ```
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = (N, ColumnDef)>, primary_key: &[&str]) -> Self {
        let column = |(name, def): (N, ColumnDef)| {
            let name = name.into();
            let nullable = def.0.nullable && !primary_key.contains(&name.as_str());
            ColumnSpec { name, nullable, ..def.0 }
        };
        Self {
            columns: columns.into_iter().map(column).collect(),
            primary_key: primary_key.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// Infers the columns from the fields of a record type, as serde writes them: the primary key's first, then the others
    /// in the order of the type.
    ///
    /// | Rust | Postgres |
    /// |---|---|
    /// | `bool` | `boolean` |
    /// | `i8`, `i16`, `u8` | `smallint` |
    /// | `i32`, `u16` | `integer` |
    /// | `i64`, `isize`, `u32` | `bigint` |
    /// | `u64`, `usize`, `i128`, `u128`, decimals | `numeric` |
    /// | `f32`, `f64` | `real`, `double precision` |
    /// | `String`, `char` | `text` |
    /// | dates, times, UUIDs, IP addresses (with the features of schemars) | `date`, `timestamp with time zone`, `uuid`, `inet`, … |
    /// | vectors, maps, structs, enums and everything else | `jsonb` |
    /// | `Option<T>` | as `T`, nullable |
    ///
    /// Overrides say what the type does not: another Postgres type, the dimensions of a vector, whether null is allowed.
    ///
    /// ```
    /// use pg_connector::record_schema::ColumnOverride;
    /// use pg_connector::schemars::{self, JsonSchema};
    /// use pg_connector::table_schema::TableSchema;
    ///
    /// #[derive(JsonSchema)]
    /// # #[allow(dead_code)]
    /// struct Product {
    ///     name: String,
    ///     category: String,
    ///     price: Option<f64>,
    ///     embedding: Vec<f32>,
    /// }
    ///
    /// let schema = TableSchema::from_type::<Product>(
    ///     &["category", "name"],
    ///     [("embedding", ColumnOverride::vector(384)), ("price", ColumnOverride::of_type("numeric(10,2)"))],
    /// )?;
    /// let columns: Vec<_> = schema.columns.iter().map(|c| (&*c.name, &*c.type_name, c.nullable)).collect();
    /// assert_eq!(columns, [
    ///     ("category", "text", false),
    ///     ("name", "text", false),
    ///     ("price", "numeric(10,2)", true),
    ///     ("embedding", "vector(384)", false),
    /// ]);
    /// # Ok::<(), pg_connector::Errors>(())
    /// ```
    pub fn from_type<T: JsonSchema>(
        primary_key: &[&str],
        overrides: impl IntoIterator<Item = (&'static str, ColumnOverride)>,
    ) -> Result<Self, Errors> {
        let doing = format!("infer columns from the type {}", type_name::<T>());
        let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
        let document = generator.into_root_schema_for::<T>().to_value();
        let primary_key: Vec<String> = primary_key.iter().map(|&name| name.to_owned()).collect();
        let overrides: BTreeMap<String, ColumnOverride> =
            overrides.into_iter().map(|(name, change)| (name.to_owned(), change)).collect();
        let columns = record_schema::columns(&document, &doing, &primary_key, &overrides)?;
        let missing = primary_key.iter().filter(|key| !columns.iter().any(|column| column.name == **key));
        let faults: Vec<Error> = missing
            .map(|key| {
                let known = columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
                Error::new(&*doing, format!("the primary key names {key:?}, and the fields are {known}"))
            })
            .collect();
        if faults.is_empty() { Ok(Self { columns, primary_key }) } else { Err(faults.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Inner {
        a: i32,
        children: Vec<Self>,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its shape counts")]
    enum Color {
        Red,
        Blue,
    }

    #[derive(JsonSchema)]
    #[expect(dead_code, reason = "only its shape counts")]
    struct Record {
        text: String,
        id: i64,
        small: u8,
        large: u64,
        share: Option<f32>,
        flag: bool,
        inner: Inner,
        maybe: Option<Inner>,
        color: Color,
        map: HashMap<String, i32>,
        embedding: Vec<f32>,
        fixed: Option<[f32; 3]>,
        #[serde(rename = "renamed")]
        before: i32,
        #[serde(default)]
        defaulted: i32,
        #[serde(skip)]
        never: i32,
        #[serde(skip_serializing_if = "Option::is_none")]
        sometimes: Option<i32>,
    }

    fn of<T: JsonSchema>(key: &[&str], overrides: &[(&'static str, ColumnOverride)]) -> Result<String, Errors> {
        let schema = TableSchema::from_type::<T>(key, overrides.to_vec())?;
        let shown = |c: &ColumnSpec| format!("{} {}{}", c.name, c.type_name, if c.nullable { "" } else { "!" });
        Ok(schema.columns.iter().map(shown).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn fields_are_columns() {
        assert_eq!(
            of::<Record>(
                &["small", "id"],
                &[("embedding", ColumnOverride::vector(3)), ("fixed", ColumnOverride::half_vector(3).nullable(false))]
            )
            .unwrap(),
            "small smallint!, id bigint!, text text!, large numeric!, share real, flag boolean!, inner jsonb!, maybe jsonb, \
             color jsonb!, map jsonb!, embedding vector(3)!, fixed halfvec(3)!, renamed integer!, defaulted integer!, \
             sometimes integer"
        );
    }

    #[test]
    fn faults_name_the_type() {
        for (key, overrides, message) in [
            (&["nope"][..], &[][..], "the primary key names \"nope\", and the fields are text, id, "),
            (&["id"], &[("nope", ColumnOverride::vector(3))], "the schema has no property \"nope\""),
            (&["id"], &[("fixed", ColumnOverride::vector(4))], "cannot hold an array of 3 elements"),
        ] {
            let faults = of::<Record>(key, overrides).unwrap_err().0;
            assert!(faults[0].message().contains(message), "{}", faults[0]);
            assert!(faults[0].to_string().contains("tests::Record"), "{}", faults[0]);
        }
        assert!(of::<String>(&["id"], &[]).unwrap_err().0[0].message().contains("no object with properties"));
        assert!(of::<Color>(&["id"], &[]).unwrap_err().0[0].message().contains("no object with properties"));
    }
}
