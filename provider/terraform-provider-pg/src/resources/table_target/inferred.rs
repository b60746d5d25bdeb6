//! Columns that come from `record_schema` and `column_overrides`.

use std::collections::BTreeMap;

use pg_connector::Blame;
use pg_connector::pg_type;
use pg_connector::record_schema::{self, ColumnOverride, VectorOverride};
use pg_connector::spec::ColumnSpec;
use tfplugin::{Diagnostic, Diagnostics, Path, Value};

use super::model;
use crate::diagnostics;

/// The inferred columns; `None` when the configuration has no record schema or a part of it is unknown.
pub fn columns(config: &Value) -> Result<Option<Vec<ColumnSpec>>, Diagnostics> {
    let (Some(schema), Some(primary_key), Some(overrides)) = (
        config.get("record_schema").as_str(),
        model::names(config.get("primary_key")),
        overrides(config.get("column_overrides"))?,
    ) else {
        return Ok(None);
    };
    record_schema::infer(schema, &primary_key, &overrides)
        .map(Some)
        .map_err(|errors| diagnostics::errors(&errors, &path(config)))
}

/// The configuration with the inferred columns in the place of `columns`; what `prior` spells differently is kept.
pub fn complete(config: &Value, prior: &Value) -> Result<Value, Diagnostics> {
    let mut value = config.clone();
    if let Some(columns) = columns(config)? {
        let spelled = |column: &ColumnSpec| {
            let before = prior.get("columns").get(&column.name).get("type").as_str();
            before
                .filter(|before| pg_type::same_type(before, &column.type_name))
                .unwrap_or(&column.type_name)
                .to_owned()
        };
        let columns = columns.iter().map(|column| {
            let attributes = [
                ("type", Value::from(spelled(column))),
                ("nullable", Value::Bool(column.nullable)),
                ("default", Value::Null),
                ("comment", Value::Null),
            ];
            (column.name.clone(), Value::object(attributes))
        });
        value.set("columns", Value::Map(columns.collect()));
    } else if !config.get("record_schema").is_null() && config.get("columns").is_null() {
        value.set("columns", Value::unknown());
    }
    Ok(value)
}

/// The path in this configuration of what the connector blames: inferred columns are not written under `columns`.
pub fn path(config: &Value) -> impl Fn(&Blame) -> Path {
    move |blame| match blame {
        Blame::Column(name, _) if config.get("columns").is_null() => {
            if config.get("column_overrides").get(name).is_null() {
                Path::root("record_schema")
            } else {
                Path::root("column_overrides").key(name)
            }
        }
        other => model::path(other),
    }
}

/// The overrides by column; `None` while one of them is unknown.
fn overrides(value: &Value) -> Result<Option<BTreeMap<String, ColumnOverride>>, Diagnostics> {
    if !value.is_wholly_known() {
        return Ok(None);
    }
    let mut faults = Diagnostics::default();
    let mut overrides = BTreeMap::new();
    for (name, change) in value.as_map().into_iter().flatten() {
        let at = Path::root("column_overrides").key(name);
        let vector = change.get("vector");
        let half = match vector.get("dtype").as_str() {
            None | Some("float32") => false,
            Some("float16") => true,
            Some(other) => {
                let detail = format!("dtype cannot be {other:?}; it must be \"float32\" or \"float16\".");
                faults.push(
                    Diagnostic::error("Invalid value", detail).at(at.clone().attribute("vector").attribute("dtype")),
                );
                false
            }
        };
        if !vector.is_null() && !change.get("type").is_null() {
            faults.push(
                Diagnostic::error(
                    "Conflicting attributes",
                    format!("Column {name:?} can have type or vector, not both."),
                )
                .at(at.clone()),
            );
        }
        let dimension = vector.get("dimension").as_i64();
        if !vector.is_null() && dimension.is_none() {
            faults.push(
                Diagnostic::error("Invalid value", "dimension must be a whole number.")
                    .at(at.attribute("vector").attribute("dimension")),
            );
        }
        let change = ColumnOverride {
            type_name: change.get("type").as_str().map(str::to_owned),
            vector: dimension.map(|dimension| VectorOverride { dimension, half }),
            nullable: change.get("nullable").as_bool(),
        };
        overrides.insert(name.clone(), change);
    }
    if faults.has_error() { Err(faults) } else { Ok(Some(overrides)) }
}
