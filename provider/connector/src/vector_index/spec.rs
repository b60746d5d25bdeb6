//! What a vector index should be.

use serde::{Deserialize, Serialize};

use super::operator_class::{Method, Metric, Quantize};
use crate::name::TableName;

/// A vector index as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VectorIndexSpec {
    /// The table.
    pub table: TableName,
    /// The column.
    pub column: String,
    /// The short name.
    pub name: String,
    /// The metric.
    pub metric: Metric,
    /// The method.
    pub method: Method,
    /// Lists of ivfflat; the server's default where `None`.
    pub lists: Option<u32>,
    /// Links of each node of hnsw; the server's default where `None`.
    pub m: Option<u32>,
    /// Candidates while hnsw is built; the server's default where `None`.
    pub ef_construction: Option<u32>,
    /// What the index keeps of each vector; all of it where `None`.
    pub quantize: Option<Quantize>,
    /// How many leading dimensions are indexed; all where `None`.
    pub subvector: Option<u32>,
    /// Which rows are indexed; all where `None`.
    pub predicate: Option<String>,
}

/// Settings of the session that builds the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildSettings {
    /// Memory for the build, such as `1GB`.
    pub maintenance_work_mem: Option<String>,
    /// Workers besides the session itself.
    pub max_parallel_maintenance_workers: Option<i64>,
}

/// The server's default for `lists`.
pub const DEFAULT_LISTS: u32 = 100;
/// The server's default for `m`.
pub const DEFAULT_M: u32 = 16;
/// The server's default for `ef_construction`.
pub const DEFAULT_EF_CONSTRUCTION: u32 = 64;

/// The name of the index in the database.
pub fn index_name(table: &str, name: &str) -> String {
    format!("{table}__vector__{name}")
}

impl VectorIndexSpec {
    /// The name of the index in the database.
    pub fn index_name(&self) -> String {
        index_name(&self.table.name, &self.name)
    }

    /// The index's schema and name.
    pub fn qualified(&self) -> TableName {
        TableName::new(&self.table.schema, self.index_name())
    }
}
