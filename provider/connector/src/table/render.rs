//! Statements as text, each with the strongest lock that it takes on the table and the harm that it can do.
//!
//! | statement | lock | hazards |
//! |---|---|---|
//! | `create schema`, `create extension`, `create table` | none that others could wait for | |
//! | `lock table … in access exclusive mode` | ACCESS EXCLUSIVE | scans: what it is taken for counts rows |
//! | `add column` | ACCESS EXCLUSIVE | rewrites, when the default may differ from row to row |
//! | `drop column` | ACCESS EXCLUSIVE | destroys data |
//! | `alter column … type` | ACCESS EXCLUSIVE | rewrites, unless both are stored alike; destroys data, when the pair of types can |
//! | `set default`, `drop default`, `drop not null` | ACCESS EXCLUSIVE, for a moment | |
//! | `set not null` | ACCESS EXCLUSIVE | scans, unless a validated check says so already |
//! | `add constraint … not valid`, `drop constraint` | ACCESS EXCLUSIVE, for a moment | |
//! | `validate constraint` | SHARE UPDATE EXCLUSIVE | scans, beside readers and writers |
//! | `comment on` | SHARE UPDATE EXCLUSIVE | |
//! | `drop index` | ACCESS EXCLUSIVE, for a moment | |
//! | `create index` | SHARE | scans, blocks writes |
//! | `drop table` | ACCESS EXCLUSIVE | destroys data |
//! | `lock table … in share row exclusive mode`, before rows | SHARE ROW EXCLUSIVE | blocks writes, when there are many rows |
//! | `delete`, `update`, `insert` | ROW EXCLUSIVE | a delete destroys data |
//!
//! A test runs each form alone and compares lock, rewrite and scan with what the server did. Every lock is waited for no
//! longer than the lock timeout and then asked for again, so that nobody queues behind it for long.
//!
//! **Invariant:** pure; every name is quoted, and of what users write only checked types and expressions are used as SQL.

use std::fmt::Write as _;
use std::ops::Range;

use super::diff::Retyped;
use crate::catalog::{DependentIndex, NOT_NULL_CHECK};
use crate::expression;
use crate::name::{TableName, quote_ident, quote_idents, quote_literal, short_hash};
use crate::pg_type::PgType;
use crate::spec::{ColumnSpec, TableSpec};
use crate::step::{Hazard, Lock, Step};

/// The part of a declaration that a part of a statement was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Where it stands, in characters.
    pub(super) at: Range<usize>,
    /// The column.
    pub(super) column: String,
    /// The attribute of the column.
    pub(super) part: Option<&'static str>,
}

pub(super) fn create_schema(name: &TableName) -> Step {
    Step::new(format!("create schema if not exists {}", quote_ident(&name.schema)), Lock::None).skippable()
}

pub(super) fn create_extension() -> Step {
    Step::new("create extension if not exists vector", Lock::None).skippable()
}

/// The statement, and which part of it came from where.
pub(super) fn create_table(table: &TableSpec) -> (Step, Vec<Origin>) {
    let mut sql = format!("create table {} (", table.name);
    let mut origins = Vec::new();
    for column in &table.columns {
        definition(&mut sql, column, !column.nullable, &mut origins);
        sql.push_str(", ");
    }
    let _ = write!(sql, "primary key ({}))", quote_idents(&table.primary_key));
    (Step::new(sql, Lock::None), origins)
}

/// `name type [default …] [not null]`
fn definition(sql: &mut String, column: &ColumnSpec, not_null: bool, origins: &mut Vec<Origin>) {
    let mut add = |text: &str, part| {
        let start = sql.chars().count();
        sql.push_str(text);
        origins.push(Origin { at: start..sql.chars().count(), column: column.name.clone(), part });
    };
    add(&format!("{} ", quote_ident(&column.name)), None);
    add(&type_text(&column.type_name), Some("type"));
    if let Some(default) = &column.default {
        add(&format!(" default {}", expression::rendered(default)), Some("default"));
    }
    if not_null {
        sql.push_str(" not null");
    }
}

/// Whether a new column can be not null from the start: its default fills the rows that are there.
pub(super) fn is_filled(column: &ColumnSpec) -> bool {
    column.default.as_ref().is_some_and(|default| !expression::is_null(default))
}

pub(super) fn add_column(table: &TableName, column: &ColumnSpec) -> (Step, Vec<Origin>) {
    let mut sql = format!("alter table {table} add column ");
    let mut origins = Vec::new();
    definition(&mut sql, column, !column.nullable && is_filled(column), &mut origins);
    let step = Step::new(sql, Lock::AccessExclusive);
    let rewrites = column.default.as_ref().is_some_and(|default| expression::may_be_volatile(default));
    (if rewrites { step.hazard(Hazard::RewritesTable) } else { step }, origins)
}

pub(super) fn drop_column(table: &TableName, column: &str) -> Step {
    alter(table, &format!("drop column {}", quote_ident(column))).hazard(Hazard::DestroysData)
}

/// All changes of type in one statement, so that the table is written again only once.
pub(super) fn retype(table: &TableName, columns: &[Retyped<'_>]) -> (Step, Vec<Origin>) {
    let mut sql = format!("alter table {table} ");
    let mut origins = Vec::new();
    for (at, retyped) in columns.iter().enumerate() {
        let name = quote_ident(&retyped.column.name);
        let comma = if at == 0 { "" } else { ", " };
        let start = sql.chars().count();
        let to = type_text(&retyped.column.type_name);
        let _ = write!(sql, "{comma}alter column {name} type {to}");
        if let Some(using) = &retyped.using {
            let _ = write!(sql, " using {name}::{using}");
        }
        let column = retyped.column.name.clone();
        origins.push(Origin { at: start..sql.chars().count(), column, part: Some("type") });
    }
    let mut step = Step::new(sql, Lock::AccessExclusive);
    if columns.iter().any(|c| c.rewrites) {
        step = step.hazard(Hazard::RewritesTable);
    }
    if columns.iter().any(|c| c.loses) {
        step = step.hazard(Hazard::DestroysData);
    }
    (step, origins)
}

pub(super) fn set_default(table: &TableName, column: &str, default: Option<&str>) -> Step {
    let column = quote_ident(column);
    match default {
        Some(text) => alter(table, &format!("alter column {column} set default {}", expression::rendered(text))),
        None => alter(table, &format!("alter column {column} drop default")),
    }
}

pub(super) fn drop_not_null(table: &TableName, column: &str) -> Step {
    alter(table, &format!("alter column {} drop not null", quote_ident(column)))
}

/// All columns in one statement, so that the table is read only once.
pub(super) fn set_not_null(table: &TableName, columns: &[&str]) -> Step {
    let each = |column: &&str| format!("alter column {} set not null", quote_ident(column));
    alter(table, &columns.iter().map(each).collect::<Vec<_>>().join(", "))
}

/// The name of the check that makes an online `set not null` short.
pub(super) fn check_name(column: &str) -> String {
    format!("{NOT_NULL_CHECK}{:016x}", short_hash(column))
}

pub(super) fn add_check(table: &TableName, column: &str) -> Step {
    let (name, column) = (check_name(column), quote_ident(column));
    alter(table, &format!("add constraint {name} check ({column} is not null) not valid")).skippable()
}

pub(super) fn validate_check(table: &TableName, column: &str) -> Step {
    let sql = format!("alter table {table} validate constraint {}", check_name(column));
    Step::new(sql, Lock::ShareUpdateExclusive).hazard(Hazard::ScansTable)
}

pub(super) fn drop_check(table: &TableName, name: &str) -> Step {
    alter(table, &format!("drop constraint if exists {}", quote_ident(name)))
}

pub(super) fn comment(table: &TableName, column: Option<&str>, text: Option<&str>) -> Step {
    let text = text.map_or_else(|| "null".to_owned(), quote_literal);
    let object = match column {
        Some(column) => format!("column {table}.{}", quote_ident(column)),
        None => format!("table {table}"),
    };
    Step::new(format!("comment on {object} is {text}"), Lock::ShareUpdateExclusive)
}

/// Keeps everybody out before it is looked at whether data would be lost.
pub(super) fn lock_table(table: &TableName) -> Step {
    Step::new(format!("lock table {table} in access exclusive mode"), Lock::AccessExclusive)
}

/// What deferred constraints still have to check is checked now: with that pending, a table cannot be altered.
pub(super) fn constraints_now() -> Step {
    Step::new("set constraints all immediate", Lock::None)
}

pub(super) fn drop_index(table: &TableName, index: &DependentIndex) -> Step {
    Step::new(format!("drop index {}", table.sibling(&index.name)), Lock::AccessExclusive).skippable()
}

pub(super) fn create_index(definition: &str) -> Step {
    Step::new(definition, Lock::Share).hazard(Hazard::ScansTable).hazard(Hazard::BlocksWrites).skippable()
}

pub(super) fn drop_table(table: &TableName) -> Step {
    Step::new(format!("drop table {table}"), Lock::AccessExclusive).hazard(Hazard::DestroysData)
}

/// The type as the server spells it. A text that is no type was refused before it came here.
pub(super) fn type_text(spelling: &str) -> String {
    PgType::parse(spelling).map_or_else(|_| quote_ident(spelling), |parsed| parsed.to_string())
}

fn alter(table: &TableName, action: &str) -> Step {
    Step::new(format!("alter table {table} {action}"), Lock::AccessExclusive)
}
