//! What is wrong with a declaration in itself, told without a server.
//!
//! **Invariant:** every fault is reported, not only the first.

use std::collections::HashSet;

use super::TableSpec;
use crate::error::{Blame, Error};
use crate::expression;
use crate::name::{LEDGER_SCHEMA, TableName, name_fault};
use crate::pg_type::PgType;

/// The names of the columns that every table has already.
const SYSTEM_COLUMNS: [&str; 6] = ["cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"];

/// The most columns that a table can have.
const MOST_COLUMNS: usize = 1600;

/// What is wrong with the name alone.
pub(super) fn of_name(doing: String, name: &TableName) -> Vec<Error> {
    let mut faults = Faults { doing, errors: Vec::new() };
    faults.names(name);
    faults.errors
}

pub(super) fn faults(spec: &TableSpec) -> Vec<Error> {
    let mut faults = Faults { doing: format!("declare table {}", spec.name), errors: Vec::new() };
    faults.names(&spec.name);
    if spec.comment.as_ref().is_some_and(|comment| comment.contains('\0')) {
        faults.push(Blame::Attribute("comment"), "a comment cannot hold the NUL character", None);
    }
    faults.columns(spec);
    faults.primary_key(spec);
    faults.errors
}

struct Faults {
    doing: String,
    errors: Vec<Error>,
}

impl Faults {
    fn push(&mut self, blame: Blame, message: impl Into<String>, advice: Option<&str>) {
        self.errors.push(Error::new(&*self.doing, message).blame(blame).advice_if(advice));
    }

    fn names(&mut self, name: &TableName) {
        for (attribute, name) in [("schema_name", &name.schema), ("table_name", &name.name)] {
            if let Some(fault) = name_fault(name) {
                self.push(Blame::Attribute(attribute), fault, None);
            }
        }
        if name.schema == LEDGER_SCHEMA {
            let message = format!("the schema {LEDGER_SCHEMA} holds the ledgers of rows files");
            self.push(Blame::Attribute("schema_name"), message, Some("Choose a schema of your own."));
        }
        if name.schema.starts_with("pg_") || name.schema == "information_schema" {
            let message = format!("the schema {} belongs to the server, and its tables are not for us", name.schema);
            self.push(Blame::Attribute("schema_name"), message, Some("Choose a schema of your own."));
        }
    }

    fn columns(&mut self, spec: &TableSpec) {
        if spec.columns.len() > MOST_COLUMNS {
            let message = format!("it has {} columns, and a table can have {MOST_COLUMNS}", spec.columns.len());
            self.push(Blame::Attribute("columns"), message, None);
        }
        let mut seen = HashSet::new();
        for column in &spec.columns {
            let blame = |part| Blame::Column(column.name.clone(), part);
            if let Some(fault) = name_fault(&column.name) {
                self.push(blame(None), fault, None);
            }
            if !seen.insert(&column.name) {
                self.push(blame(None), format!("column {:?} is declared twice", column.name), None);
            }
            if SYSTEM_COLUMNS.contains(&column.name.as_str()) {
                let message = format!("{} is the name of a column that every table has already", column.name);
                self.push(blame(None), message, Some("Choose another name."));
            }
            let fault = PgType::parse(&column.type_name).map_or_else(Some, |parsed| parsed.fault());
            if let Some(fault) = fault {
                self.push(blame(Some("type")), fault.message, fault.advice.as_deref());
            }
            if let Some(fault) = column.default.as_deref().and_then(expression::fault) {
                self.push(
                    blame(Some("default")),
                    format!("the default of column {}: {fault}", column.name),
                    Some("A default is an SQL expression, so a text needs single quotes: default = \"'new'\"."),
                );
            }
            if column.comment.as_ref().is_some_and(|comment| comment.contains('\0')) {
                self.push(blame(Some("comment")), "a comment cannot hold the NUL character", None);
            }
        }
    }

    fn primary_key(&mut self, spec: &TableSpec) {
        let blame = || Blame::Attribute("primary_key");
        if spec.primary_key.is_empty() {
            self.push(blame(), "the primary key needs at least one column", None);
        }
        let mut seen = HashSet::new();
        for name in &spec.primary_key {
            if !seen.insert(name) {
                self.push(blame(), format!("the primary key names column {name:?} twice"), None);
                continue;
            }
            match spec.column(name) {
                None => {
                    let known = spec.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
                    self.push(blame(), format!("the primary key names {name:?}, and the columns are {known}"), None);
                }
                Some(column) if column.nullable => self.push(
                    Blame::Column(name.clone(), Some("nullable")),
                    format!("column {name} is in the primary key, so it cannot be null"),
                    Some("Leave nullable out, or set it to false."),
                ),
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ColumnSpec, ManagedBy};

    fn sound() -> TableSpec {
        let column = |name: &str, type_name: &str, nullable| ColumnSpec {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            nullable,
            default: None,
            comment: None,
        };
        TableSpec {
            name: TableName::new("public", "t"),
            managed_by: ManagedBy::System,
            comment: None,
            columns: vec![column("id", "bigint", false), column("a", "text", true)],
            primary_key: vec!["id".to_owned()],
        }
    }

    type Case = (fn(&mut TableSpec), Blame, &'static str);

    #[test]
    fn each_fault_blames_its_part() {
        assert!(sound().faults().is_empty());
        let attribute = Blame::Attribute;
        let column = |name: &str, part| Blame::Column(name.to_owned(), part);
        let cases: [Case; 18] = [
            (|t| t.name.schema = "x".repeat(64), attribute("schema_name"), "63"),
            (|t| t.name.name = String::new(), attribute("table_name"), "empty"),
            (|t| t.name.name = "ü".repeat(32), attribute("table_name"), "64 bytes"),
            (|t| t.name.schema = "pg_catalog".to_owned(), attribute("schema_name"), "belongs to the server"),
            (|t| t.name.schema = "information_schema".to_owned(), attribute("schema_name"), "belongs to the server"),
            (|t| t.comment = Some("\0".to_owned()), attribute("comment"), "NUL"),
            (|t| t.columns[1].name = "x".repeat(64), column(&"x".repeat(64), None), "63"),
            (|t| t.columns[1].name = "ctid".to_owned(), column("ctid", None), "has already"),
            (|t| t.columns.push(t.columns[1].clone()), column("a", None), "twice"),
            (
                |t| t.columns[1].type_name = "text; drop".to_owned(),
                column("a", Some("type")),
                "not the name of one type",
            ),
            (|t| t.columns[1].type_name = "vector(0)".to_owned(), column("a", Some("type")), "dimensions"),
            (|t| t.columns[1].type_name = "serial".to_owned(), column("a", Some("type")), "is no type"),
            (|t| t.columns[1].default = Some("1, b int".to_owned()), column("a", Some("default")), "comma"),
            (|t| t.columns[1].comment = Some("\0".to_owned()), column("a", Some("comment")), "NUL"),
            (|t| t.primary_key.clear(), attribute("primary_key"), "at least one"),
            (|t| t.primary_key.push("id".to_owned()), attribute("primary_key"), "twice"),
            (|t| t.primary_key.push("nope".to_owned()), attribute("primary_key"), "\"nope\""),
            (|t| t.columns[0].nullable = true, column("id", Some("nullable")), "cannot be null"),
        ];
        for (spoil, blame, message) in cases {
            let mut spec = sound();
            spoil(&mut spec);
            let faults = spec.faults();
            assert_eq!(faults.len(), 1, "{message}: {faults:?}");
            assert_eq!(faults[0].blamed(), Some(&blame), "{message}");
            assert!(faults[0].message().contains(message), "{message}: {}", faults[0].message());
        }
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let mut spec = sound();
        spec.name.name = "x".repeat(64);
        spec.columns[1].type_name = "text(".to_owned();
        spec.primary_key.push("nope".to_owned());
        assert_eq!(spec.faults().len(), 3);
    }
}
