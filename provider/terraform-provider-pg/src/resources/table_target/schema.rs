//! The attributes of `pg_table_target`, as data.

use pg_connector::name::name_fault;
use pg_connector::pg_type::{self, PgType};
use tfplugin::{Attribute, Default, Diagnostic, Diagnostics, Mode, Nesting, Path, Schema, Type, Value};

use crate::attributes::{one_of, timeouts};
use crate::steps;

/// The schema of `pg_table_target`.
pub fn schema() -> Schema {
    Schema {
        version: 0,
        description: "A Postgres table and the rows that are declared for it.\n\n\
            The plan shows every statement in `steps`; apply runs exactly these, in one transaction wherever Postgres \
            allows, or refuses. Data that this resource does not own is never destroyed unless `force_destroy = true`.",
        attributes: vec![
            Attribute::new(
                "schema_name",
                Type::String,
                Mode::Optional,
                "The schema of the table. It is created if missing and never dropped. Defaults to `public`.",
            )
            .default(Default::String("public"))
            .replace()
            .validate(name),
            Attribute::new("table_name", Type::String, Mode::Required, "The name of the table, case-sensitive.")
                .replace()
                .validate(name),
            Attribute::new(
                "comment",
                Type::String,
                Mode::OptionalComputed,
                "The table's comment. One that was never set here is left alone.",
            )
            .keep_prior(),
            Attribute::new(
                "managed_by",
                Type::String,
                Mode::Optional,
                "`system` (the default): this resource creates, alters and drops the table. `user`: the table must \
                 exist and fit; only rows are written, and a column or key that does not match is an error.",
            )
            .default(Default::String("system"))
            .validate(managed_by),
            columns(),
            Attribute::new(
                "primary_key",
                Type::List(Box::new(Type::String)),
                Mode::Required,
                "The names of the primary key's columns, in order. A change replaces the table.",
            ),
            Attribute::new(
                "record_schema",
                Type::String,
                Mode::Optional,
                "A JSON Schema of one record, as schemars or Pydantic (`model_json_schema()`) print it; the columns are \
                 inferred from it, and what it does not say exactly becomes `jsonb`. A property that is not required and \
                 has no default, or that allows null, is nullable. References are followed within the text. Conflicts \
                 with `columns`.",
            ),
            column_overrides(),
            Attribute::new(
                "rows",
                Type::Dynamic,
                Mode::Optional,
                "Rows that must be there: a list or a map of objects. The keys of a map are only labels for readable \
                 diffs. Rows that are no longer declared are deleted, rows that were never declared are left alone. A \
                 cell that a row leaves out gets the column's default and is not compared.",
            ),
            Attribute::new(
                "rows_file",
                Type::String,
                Mode::Optional,
                "Path of a file with the rows: `.jsonl`, `.ndjson` or `.csv`, also with `.gz`. The state keeps a digest \
                 and a count, never the rows. Conflicts with `rows`.",
            ),
            Attribute::new(
                "csv_null",
                Type::String,
                Mode::Optional,
                "The text that means null in a CSV file. By default that is the empty field without quotes.",
            ),
            Attribute::new(
                "row_drift",
                Type::String,
                Mode::Optional,
                "Whether refresh looks for declared rows that were changed or deleted by others: `digest` (the default) \
                 compares a digest that the server computes, `none` does not look.",
            )
            .default(Default::String("digest"))
            .validate(row_drift),
            Attribute::new(
                "force_destroy",
                Type::Bool,
                Mode::Optional,
                "Consent to destroy or overwrite data that this resource does not own: rows and columns that are not \
                 declared here, and values that a new column type would change. Defaults to `false`.",
            )
            .default(Default::Bool(false)),
            timeouts(),
            Attribute::new(
                "id",
                Type::String,
                Mode::Computed,
                "`schema.table`, quoted as in SQL where needed. Other resources refer to the table by it.",
            ),
            Attribute::new("row_count", Type::Number, Mode::Computed, "How many rows are declared."),
            Attribute::new(
                "rows_digest",
                Type::String,
                Mode::Computed,
                "A digest of the declared rows; `drifted` after a refresh that found them changed in the database.",
            ),
            steps::attribute(),
        ],
    }
}

fn columns() -> Attribute {
    Attribute::nested(
        "columns",
        Nesting::Map,
        vec![
            Attribute::new(
                "type",
                Type::String,
                Mode::Required,
                "The type, as in SQL: `bigint`, `numeric(10,2)`, `vector(384)`, `text[]`. Spelling is no difference: \
                 `int8` is `bigint`.\n\n\
                 Another type converts the column in place where Postgres has a cast. A value that does not fit is an \
                 error that names its row. A value that would fit but be another one, in a row or cell that is not \
                 declared here (`1.5` as `integer`, a time as `date`, `'007'` as a number), is refused with the number \
                 of such rows and an example, unless `force_destroy = true`. Where there is no cast, or the dimension of \
                 a vector changes, it takes `force_destroy = true` to drop the column and add it again.",
            )
            .same(same_type)
            .validate(column_type),
            Attribute::new(
                "nullable",
                Type::Bool,
                Mode::OptionalComputed,
                "Whether the column may hold null. Defaults to `true`, for columns of the primary key to `false`.",
            )
            .keep_prior(),
            Attribute::new(
                "default",
                Type::String,
                Mode::OptionalComputed,
                "The default, an SQL expression such as `now()` or `'new'`. One that was never set here is left alone.",
            )
            .keep_prior(),
            Attribute::new(
                "comment",
                Type::String,
                Mode::OptionalComputed,
                "The column's comment. One that was never set here is left alone.",
            )
            .keep_prior(),
        ],
        Mode::OptionalComputed,
        "The columns by name. Exactly one of `columns` and `record_schema` must be set; with `record_schema` this holds \
         what was inferred. Live columns that were never declared here are left alone.",
    )
    .keep_prior()
}

fn column_overrides() -> Attribute {
    Attribute::nested(
        "column_overrides",
        Nesting::Map,
        vec![
            Attribute::new("type", Type::String, Mode::Optional, "The type, instead of the inferred one.")
                .validate(column_type),
            Attribute::nested(
                "vector",
                Nesting::Single,
                vec![
                    Attribute::new(
                        "dimension",
                        Type::Number,
                        Mode::Required,
                        "The number of dimensions, at most 16,000.",
                    ),
                    Attribute::new(
                        "dtype",
                        Type::String,
                        Mode::Optional,
                        "`float32` (the default) for `vector`, `float16` for `halfvec`.",
                    ),
                ],
                Mode::Optional,
                "Makes the column, which must be an array of numbers, a vector. Conflicts with `type`.",
            ),
            Attribute::new("nullable", Type::Bool, Mode::Optional, "Whether the column may hold null."),
        ],
        Mode::Optional,
        "What `record_schema` cannot say about its columns, by column name.",
    )
}

fn same_type(a: &Value, b: &Value) -> bool {
    matches!((a.as_str(), b.as_str()), (Some(a), Some(b)) if pg_type::same_type(a, b))
}

fn name(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if let Some(fault) = value.as_str().and_then(name_fault) {
        diagnostics.push(Diagnostic::error("Invalid name", format!("{path}: {fault}.")).at(path.clone()));
    }
}

fn managed_by(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    one_of(value, &["system", "user"], path, diagnostics);
}

fn row_drift(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    one_of(value, &["digest", "none"], path, diagnostics);
}

fn column_type(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if let Some(Err(fault)) = value.as_str().map(PgType::parse) {
        let advice = fault.advice.map(|advice| format!("\n\n{advice}")).unwrap_or_default();
        let detail = format!("{path}: {}.{advice}", fault.message);
        diagnostics.push(Diagnostic::error("Invalid column type", detail).at(path.clone()));
    }
}
