//! `pg_table_rows`: the rows of a table or view as values of the configuration.
//!
//! **Invariant:** all rows have one object type, also when there are none, so that `for`, splat and `length` work.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use pg_connector::name::name_fault;
use pg_connector::source::{self, Kind, OrderBy, RecordCheck, Rows, SourceQuery};
use pg_connector::{Error, TableName};
use tfplugin::{
    Attribute, Context, DataSource, Default, Diagnostic, Diagnostics, Mode, Number, Path, Schema, Type, Typed, Value,
};

use crate::attributes::read_timeout;
use crate::diagnostics;
use crate::provider_block::{self, Data};

/// The data source.
#[derive(Debug)]
pub(crate) struct TableRows;

#[async_trait]
impl DataSource<Data> for TableRows {
    fn name(&self) -> &'static str {
        "pg_table_rows"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        let params = config.get("params");
        // What is not known yet may still turn out to be left out.
        if config.get("where").is_null() && params.is_given() {
            diagnostics.push(invalid("params", "params are the parameters of where, and there is no where."));
        }
        if let (Some(columns), Some(record)) = (texts(config.get("columns")), config.get("record_schema").as_str())
            && let Ok(record) = RecordCheck::new(record)
        {
            let known = record.columns();
            for name in columns.iter().filter(|name| !known.contains(name)) {
                diagnostics.push(invalid("columns", &format!("record_schema has no property {name:?}.")));
            }
            for name in record.required().iter().filter(|name| !columns.iter().any(|column| column == **name)) {
                diagnostics
                    .push(invalid("columns", &format!("record_schema requires {name:?}, and columns leaves it out.")));
            }
        }
    }

    async fn read(&self, context: &Context<Data>, config: &Value) -> Result<Value, Diagnostics> {
        let (query, record) = query(config)?;
        let scope = diagnostics::scope(context);
        let failed =
            |error: Error| Diagnostics::from(diagnostics::error(&scope.explain(error), &diagnostics::attribute));
        let mut session = provider_block::data(context)?.database.connect(&scope).await.map_err(failed)?;
        let transaction = session.begin().await.map_err(failed)?;
        let rows = source::read(&transaction, &query).await.map_err(failed)?;
        if let Some(record) = record {
            record.check(&rows).map_err(|errors| diagnostics::errors(&errors, &diagnostics::attribute))?;
        }
        let mut result = config.clone();
        result.set("rows", value_of(rows).map_err(failed)?);
        Ok(result)
    }
}

fn schema() -> Schema {
    let strings = || Type::List(Box::new(Type::String));
    Schema {
        version: 0,
        description: "Reads rows of a table, view, materialised view, foreign or partitioned table, in one read-only \
            transaction that sees one state of the database.\n\n\
            All rows have one object type. Numbers are exact; `json` and `jsonb` are JSON text (use `jsondecode`), \
            `bytea` is base64, arrays and vectors are lists, times are in RFC 3339 (UTC; before Christ and at infinity as Postgres prints \
            them), intervals in ISO 8601, every other type is the text that Postgres prints. A column in which some row holds `NaN` or an infinity is text \
            throughout; an array column whose rows differ in their number of dimensions is JSON text throughout.\n\n\
            The rows are kept in the state. The ephemeral resource of the same name takes the same arguments and leaves \
            nothing behind.",
        attributes: vec![
            Attribute::new(
                "schema_name",
                Type::String,
                Mode::Optional,
                "The schema of the table. Defaults to `public`.",
            )
            .default(Default::String("public"))
            .validate(name),
            Attribute::new(
                "table_name",
                Type::String,
                Mode::Required,
                "The name of the table or view, case-sensitive.",
            )
            .validate(name),
            Attribute::new(
                "columns",
                strings(),
                Mode::Optional,
                "The names of the columns to read. Defaults to the properties of `record_schema`, and without that to \
                 all columns.",
            )
            .validate(columns),
            Attribute::new(
                "record_schema",
                Type::String,
                Mode::Optional,
                "A JSON Schema of one record, as schemars or Pydantic print it. Its properties are the columns that are \
                 read, and every value is checked against it, also what JSON columns hold; a null is let through where \
                 the property is not required. `format` only describes, `unevaluatedProperties` and \
                 `unevaluatedItems` are not looked at, and a `pattern` knows neither looking around nor classes of \
                 Unicode.",
            )
            .validate(record_schema),
            Attribute::new(
                "where",
                Type::String,
                Mode::Optional,
                "A condition in SQL, as it would stand after `WHERE`, with `$1`, `$2`, … for the elements of `params`. \
                 It is evaluated with `TimeZone = UTC`.",
            )
            .validate(condition),
            Attribute::new(
                "params",
                strings(),
                Mode::Optional,
                "The parameters of `where`, as text; Postgres finds out their types from the condition (write \
                 `$1::bigint` where it cannot). Never put a value into the text of `where` itself.",
            ),
            Attribute::new(
                "order_by",
                strings(),
                Mode::Optional,
                "The order of the rows: `name`, `name desc`, `name asc nulls last`; names are case-sensitive, unusual \
                 ones in double quotes. Rows that are level after that, or all rows without it, come in the order of the \
                 primary key, and where there is none in that of all the columns that are read, so that the same rows \
                 always come in the same order. A view with an `ORDER BY` of its own keeps it where this is not set.",
            )
            .validate(order_by),
            Attribute::new(
                "limit",
                Type::Number,
                Mode::Optional,
                "The greatest number of rows. Without it, more than 10,000 rows are an error; with it, the rows after \
                 that many are left out.",
            )
            .validate(limit),
            Attribute::new(
                "rows",
                Type::Dynamic,
                Mode::Computed,
                "The rows: a list of objects with one attribute for each column.",
            ),
            read_timeout(),
        ],
    }
}

fn invalid(attribute: &str, detail: &str) -> Diagnostic {
    Diagnostic::error(format!("Invalid {attribute}"), detail).at(Path::root(attribute))
}

fn name(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if let Some(fault) = value.as_str().and_then(name_fault) {
        diagnostics.push(Diagnostic::error("Invalid name", format!("{fault}.")).at(path.clone()));
    }
}

fn columns(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    let items = value.as_list().unwrap_or_default();
    let mut fault =
        |detail: String, path: Path| diagnostics.push(Diagnostic::error("Invalid columns", detail).at(path));
    if items.is_empty() {
        fault("The list is empty; leave columns out to read all columns.".to_owned(), path.clone());
    }
    let mut seen = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        match item.as_str() {
            Some(name) if !seen.insert(name) => fault(format!("{name:?} is listed twice."), path.clone().index(at)),
            Some(name) => {
                if let Some(what) = name_fault(name) {
                    fault(format!("{what}."), path.clone().index(at));
                }
            }
            None if item.is_null() => fault("A column's name cannot be null.".to_owned(), path.clone().index(at)),
            _ => {}
        }
    }
}

fn record_schema(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    match value.as_str().map(RecordCheck::new) {
        Some(Ok(record)) => {
            for fault in record.columns().iter().filter_map(|name| name_fault(name)) {
                let detail = format!("A property is a column, and this one cannot be: {fault}.");
                diagnostics.push(Diagnostic::error("Invalid record_schema", detail).at(path.clone()));
            }
        }
        Some(Err(errors)) => {
            for error in &errors {
                diagnostics.push(diagnostics::error(error, &|_| path.clone()).at(path.clone()));
            }
        }
        None => {}
    }
}

fn condition(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if let Some(fault) = value.as_str().and_then(source::filter_fault) {
        let detail =
            format!("The condition cannot be used: {fault}. Write one condition, as it would stand after WHERE.");
        diagnostics.push(Diagnostic::error("Invalid where", detail).at(path.clone()));
    }
}

fn order_by(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    let mut seen = HashSet::new();
    for (at, item) in value.as_list().unwrap_or_default().iter().enumerate() {
        let fault = match item.as_str() {
            Some(text) => match text.parse::<OrderBy>() {
                Ok(OrderBy { column, .. }) if seen.contains(&column) => Some(format!("{column:?} is listed twice.")),
                Ok(OrderBy { column, .. }) => {
                    seen.insert(column);
                    None
                }
                Err(error) => Some(format!("{error}.")),
            },
            None => item.is_null().then(|| "An order cannot be null.".to_owned()),
        };
        if let Some(fault) = fault {
            diagnostics.push(Diagnostic::error("Invalid order_by", fault).at(path.clone().index(at)));
        }
    }
}

fn limit(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    if value.as_number().is_some() && value.as_i64().is_none_or(|limit| limit < 0) {
        let detail = "The limit is a whole number, zero or more.";
        diagnostics.push(Diagnostic::error("Invalid limit", detail).at(path.clone()));
    }
}

/// The elements of a list of text; `None` when there is no list or some of it is not known.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_list()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

fn query(config: &Value) -> Result<(SourceQuery, Option<RecordCheck>), Diagnostics> {
    let text = |name: &str| config.get(name).as_str().map(str::to_owned);
    let table =
        TableName::new(text("schema_name").unwrap_or("public".to_owned()), text("table_name").unwrap_or_default());
    let record = text("record_schema")
        .map(|schema| RecordCheck::new(&schema))
        .transpose()
        .map_err(|errors| diagnostics::errors(&errors, &diagnostics::attribute))?;
    let order_by = texts(config.get("order_by"))
        .unwrap_or_default()
        .iter()
        .map(|order| order.parse::<OrderBy>())
        .collect::<Result<_, _>>()
        .map_err(|error| Diagnostics::from(invalid("order_by", &format!("{error}."))))?;
    let params = config.get("params").as_list().unwrap_or_default();
    let query = SourceQuery {
        columns: texts(config.get("columns")).or_else(|| record.as_ref().map(RecordCheck::columns)),
        filter: text("where"),
        params: params.iter().map(|param| param.as_str().map(str::to_owned)).collect(),
        order_by,
        limit: config.get("limit").as_i64().and_then(|limit| u64::try_from(limit).ok()),
        ..SourceQuery::new(table)
    };
    Ok((query, record))
}

/// The rows as a list of objects of one type.
fn value_of(rows: Rows) -> Result<Value, Error> {
    let attributes = rows.columns.iter().map(|column| (column.name.clone(), type_of(&column.kind)));
    let ty = Type::List(Box::new(Type::Object(attributes.collect())));
    let mut objects = Vec::with_capacity(rows.rows.len());
    for row in rows.rows {
        let mut object = BTreeMap::new();
        for (column, value) in rows.columns.iter().zip(row) {
            let value = cell(value).ok_or_else(|| {
                Error::new(
                    "read rows",
                    format!("column {:?} holds a number that no configuration can hold", column.name),
                )
                .advice("Leave the column out with columns, or read it as text through a view.")
            })?;
            object.insert(column.name.clone(), value);
        }
        objects.push(Value::Map(object));
    }
    Ok(Value::Dynamic(Box::new(Typed { ty, value: Value::List(objects) })))
}

fn type_of(kind: &Kind) -> Type {
    match kind {
        Kind::Bool => Type::Bool,
        Kind::Number => Type::Number,
        Kind::String => Type::String,
        Kind::List(element) => Type::List(Box::new(type_of(element))),
    }
}

fn cell(value: serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(number) => Value::Number(number.to_string().parse::<Number>().ok()?),
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(cell).collect::<Option<_>>()?),
        serde_json::Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use pg_connector::source::{ColumnInfo, Meaning};
    use serde_json::json;

    use super::*;

    fn problems(config: &Value) -> Vec<String> {
        let mut diagnostics = Diagnostics::default();
        for attribute in schema().attributes {
            let value = config.get(attribute.name);
            if !value.is_null() {
                for validator in attribute.validators {
                    validator(value, &Path::root(attribute.name), &mut diagnostics);
                }
            }
        }
        TableRows.validate(config, &mut diagnostics);
        diagnostics.0.into_iter().map(|d| format!("{}: {}", d.path, d.detail)).collect()
    }

    #[test]
    fn what_the_configuration_alone_shows_to_be_wrong_is_said() {
        let record = r#"{"properties": {"id": {"type": "integer"}, "a": {}}, "required": ["id"]}"#;
        for (attribute, value, problem) in [
            ("table_name", Value::from(""), "table_name: a name cannot be empty"),
            ("columns", Value::List(vec![]), "columns: The list is empty"),
            ("columns", Value::from(vec!["id", "id"]), "columns[1]: \"id\" is listed twice"),
            ("columns", Value::from(vec!["id", ""]), "columns[1]: a name cannot be empty"),
            (
                "columns",
                Value::List(vec![Value::from("id"), Value::Null]),
                "columns[1]: A column's name cannot be null",
            ),
            (
                "record_schema",
                Value::from(r#"{"properties": {"": {}}, "required": [1]}"#),
                "record_schema: /required is no",
            ),
            ("record_schema", Value::from(r#"{"properties": {"": {}}}"#), "record_schema: A property is a column, and"),
            ("order_by", Value::from(vec!["id", "id desc"]), "order_by[1]: \"id\" is listed twice"),
            ("limit", Value::Number("1.5".parse().unwrap()), "limit: The limit is a whole number"),
            ("limit", Value::Number("1e30".parse().unwrap()), "limit: The limit is a whole number"),
            ("schema_name", Value::from("x".repeat(64)), "schema_name: "),
            ("where", Value::from("id = 1; delete from t"), "where: The condition cannot be used"),
            ("columns", Value::from(vec!["id", "b"]), "columns: record_schema has no property \"b\""),
            ("columns", Value::from(vec!["a"]), "columns: record_schema requires \"id\""),
            ("record_schema", Value::from("{}"), "record_schema: record_schema describes no object"),
            ("where", Value::from("true)"), "where: The condition cannot be used"),
            ("where", Value::Null, "params: params are the parameters of where"),
            ("order_by", Value::from(vec!["id", "id up"]), "order_by[1]: \"id up\" is no order"),
            ("limit", Value::from(-1), "limit: The limit is a whole number"),
        ] {
            let mut config = Value::object([
                ("table_name", Value::from("t")),
                ("record_schema", Value::from(record)),
                ("where", Value::from("id = $1")),
                ("params", Value::from(vec!["1"])),
                ("limit", Value::from(10)),
            ]);
            assert_eq!(problems(&config), [""; 0]);
            config.set(attribute, value);
            let problems = problems(&config);
            assert!(problems.iter().any(|p| p.contains(problem)), "{problem}: {problems:?}");
        }
    }

    #[test]
    fn faults_of_several_arguments_are_told_in_one_run() {
        let config = Value::object([
            ("table_name", Value::from("")),
            ("columns", Value::from(vec!["a", "", "a"])),
            ("record_schema", Value::from(r##"{"properties": {"a": {"type": "txt"}, "b": {"$ref": "#/$defs/B"}}}"##)),
            ("where", Value::from("a = 'x")),
            ("order_by", Value::from(vec!["a up", "\"b"])),
            ("limit", Value::from(-1)),
        ]);
        let problems = problems(&config);
        for place in ["table_name", "columns[1]", "columns[2]", "where", "order_by[0]", "order_by[1]", "limit"] {
            assert!(
                problems.iter().any(|problem| problem.starts_with(&format!("{place}: "))),
                "{place}: {problems:#?}"
            );
        }
        assert_eq!(
            problems.iter().filter(|problem| problem.starts_with("record_schema: ")).count(),
            2,
            "{problems:#?}"
        );
    }

    #[test]
    fn rows_become_objects_of_one_type() {
        let column = |name: &str, kind| ColumnInfo {
            name: name.to_owned(),
            type_name: "text".to_owned(),
            kind,
            meaning: Meaning::Plain,
            is_text_of_list: false,
        };
        let columns = vec![column("n", Kind::Number), column("l", Kind::List(Box::new(Kind::String)))];
        let rows = vec![vec![json!(1), json!(["a", null])], vec![json!(null), json!([])]];
        let Value::Dynamic(typed) = value_of(Rows { columns: columns.clone(), rows }).unwrap() else {
            panic!("rows are dynamic");
        };
        let object = |n: Value, l: Vec<Value>| Value::object([("n", n), ("l", Value::List(l))]);
        assert_eq!(
            typed.value,
            Value::List(vec![
                object(Value::from(1), vec![Value::from("a"), Value::Null]),
                object(Value::Null, Vec::new())
            ])
        );
        let Value::Dynamic(empty) = value_of(Rows { columns, rows: Vec::new() }).unwrap() else {
            panic!("rows are dynamic");
        };
        assert_eq!(empty.ty, typed.ty);
    }
}
