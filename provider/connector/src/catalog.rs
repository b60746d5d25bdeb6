//! What is there: tables as the catalogue describes them.

use serde::{Deserialize, Serialize};

/// What a name in `pg_class` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelationKind {
    /// An ordinary table.
    Table,
    /// The parent of partitions.
    PartitionedTable,
    /// A view.
    View,
    /// A materialised view.
    MaterializedView,
    /// A foreign table.
    ForeignTable,
    /// An index, a sequence, a composite type.
    Other,
}

/// A table as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedTable {
    /// Its oid.
    pub oid: u32,
    /// What it is.
    pub kind: RelationKind,
    /// Its columns, in the order of the table.
    pub columns: Vec<ObservedColumn>,
    /// The names of the primary key's columns, in order; empty without one.
    pub primary_key: Vec<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// Its pgvector indexes, for the case that a retype has to rebuild them.
    pub vector_indexes: Vec<DependentIndex>,
}

/// A column as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedColumn {
    /// Its name.
    pub name: String,
    /// Its type in the server's spelling, read with `search_path = pg_catalog`.
    pub type_name: String,
    /// Whether it may hold null.
    pub nullable: bool,
    /// Its default in the server's spelling, read with `search_path = pg_catalog`.
    pub default: Option<String>,
    /// Whether the server computes it (generated or identity column).
    pub generated: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A pgvector index that depends on columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependentIndex {
    /// Its name.
    pub name: String,
    /// The columns it depends on.
    pub columns: Vec<String>,
    /// Its definition.
    pub definition: String,
}
