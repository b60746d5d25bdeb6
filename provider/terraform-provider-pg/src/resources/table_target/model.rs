//! Attributes to declaration and back: [`Value`] to [`TableSpec`], [`ObservedTable`] to [`Value`].

use std::collections::BTreeMap;

use pg_connector::catalog::ObservedTable;
use pg_connector::spec::{ColumnSpec, ManagedBy, TableSpec};
use pg_connector::{Blame, TableName};
use tfplugin::{Path, Value};

/// The path in the configuration of what the connector blames.
pub fn path(blame: &Blame) -> Path {
    use pg_connector::error::RowLabel;
    match blame {
        Blame::Attribute(name) => Path::root(name),
        Blame::Element(attribute, element) => Path::root(attribute).key(element),
        Blame::Column(name, None) => Path::root("columns").key(name),
        Blame::Column(name, Some(part)) => Path::root("columns").key(name).attribute(part),
        Blame::Row(label, column) => {
            let row = match label {
                RowLabel::Index(index) => Path::root("rows").index(*index),
                RowLabel::Key(key) => Path::root("rows").attribute(key),
            };
            match column {
                Some(column) => row.attribute(column),
                None => row,
            }
        }
    }
}

/// The table's name, when both parts are known.
pub fn table_name(value: &Value) -> Option<TableName> {
    let schema = match value.get("schema_name") {
        Value::Null => "public",
        known => known.as_str()?,
    };
    Some(TableName::new(schema, value.get("table_name").as_str()?))
}

/// The declaration, from a configuration, a plan or a state; `None` while a part of it is unknown.
pub fn spec(value: &Value) -> Option<TableSpec> {
    let primary_key = names(value.get("primary_key"))?;
    let mut columns = value
        .get("columns")
        .as_map()?
        .iter()
        .map(|(name, column)| {
            Some(ColumnSpec {
                name: name.clone(),
                type_name: column.get("type").as_str()?.to_owned(),
                nullable: match column.get("nullable") {
                    Value::Null => !primary_key.contains(name),
                    known => known.as_bool()?,
                },
                default: optional(column.get("default"))?,
                comment: optional(column.get("comment"))?,
            })
        })
        .collect::<Option<Vec<_>>>()?;
    let rank = |name: &str| primary_key.iter().position(|k| k == name).unwrap_or(usize::MAX);
    columns.sort_by(|a, b| rank(&a.name).cmp(&rank(&b.name)).then_with(|| a.name.cmp(&b.name)));
    Some(TableSpec {
        name: table_name(value)?,
        managed_by: match value.get("managed_by") {
            Value::Unknown(_) => return None,
            other if other.as_str() == Some("user") => ManagedBy::User,
            _ => ManagedBy::System,
        },
        comment: optional(value.get("comment"))?,
        columns,
        primary_key,
    })
}

/// The columns as the catalogue has them, for a state. What `prior` spells differently but means the same is kept, and
/// so is everything about defaults and comments, which [`super::memory`] decides.
pub fn columns(observed: &ObservedTable, prior: &Value) -> Value {
    let prior = prior.as_map();
    let column = |name: &str| prior.and_then(|p| p.get(name));
    Value::Map(
        observed
            .columns
            .iter()
            .filter(|c| prior.is_none() || column(&c.name).is_some())
            .map(|c| {
                let spelled =
                    column(&c.name).and_then(|p| p.get("type").as_str()).filter(|spelled| c.is_spelled(spelled));
                let kept = |attribute| column(&c.name).map_or(Value::Null, |p| p.get(attribute).clone());
                (
                    c.name.clone(),
                    Value::object([
                        ("type", Value::from(spelled.unwrap_or(&c.type_name))),
                        ("nullable", Value::Bool(c.nullable)),
                        ("default", if prior.is_none() { c.default.clone().into() } else { kept("default") }),
                        ("comment", if prior.is_none() { c.comment.clone().into() } else { kept("comment") }),
                    ]),
                )
            })
            .collect::<BTreeMap<_, _>>(),
    )
}

/// A list of names; `None` while one of them is unknown.
pub fn names(value: &Value) -> Option<Vec<String>> {
    value.as_list()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
}

/// An optional text: the outer `None` means unknown.
#[expect(clippy::option_option, reason = "unknown, absent and present are three different things")]
fn optional(value: &Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        other => other.as_str().map(|text| Some(text.to_owned())),
    }
}
