//! What a table should be.
//!
//! **Invariant:** a declaration without faults is one that the server can only refuse for what it alone knows.

mod faults;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::name::TableName;

/// Who owns the table itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManagedBy {
    /// We do: it is created, altered and dropped as declared.
    #[default]
    System,
    /// Somebody else does: it must be there and fit; only rows are ours.
    User,
}

/// A table as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSpec {
    /// Where it is.
    pub name: TableName,
    /// Who owns it.
    pub managed_by: ManagedBy,
    /// Its comment; `None` leaves the comment alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Its columns, in the order in which a new table has them.
    pub columns: Vec<ColumnSpec>,
    /// The names of the primary key's columns, in order.
    pub primary_key: Vec<String>,
}

/// A column as it is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name.
    pub name: String,
    /// Its type, as the user spells it.
    pub type_name: String,
    /// Whether it may hold null. False for columns of the primary key.
    pub nullable: bool,
    /// Its default, an SQL expression; `None` leaves the default alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Its comment; `None` leaves the comment alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl TableSpec {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnSpec> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// What is wrong with the declaration in itself: all of it, each fault with the part to blame.
    pub fn faults(&self) -> Vec<Error> {
        faults::faults(self)
    }
}

/// Why no table of that name can be imported, whatever is there.
pub fn import_faults(name: &TableName) -> Vec<Error> {
    faults::of_name(format!("import {name}"), name)
}
