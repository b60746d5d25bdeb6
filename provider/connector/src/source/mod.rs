//! Reading rows: one consistent snapshot, in a stable order, as exact JSON values of one type for each column.
//!
//! Values are read as the server prints them, under fixed settings (UTC, ISO dates and intervals), and turned into JSON
//! by their type. **Invariant:** reading changes nothing: the transaction is read-only, and what a user writes as a
//! condition reaches the server as one parameterised statement.

mod array;
mod convert;
mod decode;
mod fields;
mod filter;
mod order;
mod read;
mod record;
mod relation;
mod stream;
mod table_source;
mod wire;

use serde_json::Value;

use crate::error::Error;
use crate::name::TableName;

pub use order::{OrderBy, ParseOrderError};
pub use record::RecordCheck;
pub use stream::{RowIter, RowStream};
pub use table_source::{PgTableSource, RowMap};

/// The greatest number of rows that is read when no limit was asked for.
pub const DEFAULT_LIMIT: u64 = 10_000;

/// What to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceQuery {
    /// The table or view.
    pub table: TableName,
    /// The columns, in the order in which they are wanted; `None` means all.
    pub columns: Option<Vec<String>>,
    /// A condition in SQL, with `$1`, `$2`, … for the parameters.
    pub filter: Option<String>,
    /// The condition's parameters as text; the server finds out their types.
    pub params: Vec<Option<String>>,
    /// The order; empty means by primary key, where there is one.
    pub order_by: Vec<OrderBy>,
    /// The greatest number of rows. Without one, more than [`DEFAULT_LIMIT`] rows are an error.
    pub limit: Option<u64>,
}

impl SourceQuery {
    /// All rows and columns of a table.
    pub fn new(table: TableName) -> Self {
        Self { table, columns: None, filter: None, params: Vec::new(), order_by: Vec::new(), limit: None }
    }
}

/// The type that all values of a column share, apart from null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// An exact number.
    Number,
    /// Text.
    String,
    /// A list.
    List(Box<Self>),
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// Its type in the server's spelling.
    pub type_name: String,
    /// The type of its values.
    pub kind: Kind,
    /// What its values stand for where `kind` alone does not tell.
    pub meaning: Meaning,
    /// Whether its values are arrays as JSON text, since their numbers of dimensions differ.
    pub is_text_of_list: bool,
}

/// What text values stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// What they are.
    Plain,
    /// Numbers, also where they had to become text.
    Numbers,
    /// JSON text.
    Json,
}

/// A result.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// The columns.
    pub columns: Vec<ColumnInfo>,
    /// The rows: one value for each column.
    pub rows: Vec<Vec<Value>>,
}

/// Why a condition cannot stand where it would be put; `None` when it can.
pub fn filter_fault(text: &str) -> Option<String> {
    filter::fault(text)
}

/// What is wrong with a condition, and how messages show it.
#[cfg(feature = "surfaces")]
pub(crate) fn check_condition(text: &str) -> (Option<String>, String) {
    (filter::fault(text), filter::masked(text))
}

/// Whether a text is an array as the server prints it.
#[cfg(feature = "surfaces")]
pub(crate) fn read_array(text: &str) -> bool {
    array::parse(text, ',').is_some()
}

/// Reads a cell in the binary form as each of the types that are read so, and makes JSON of it.
#[cfg(feature = "surfaces")]
pub(crate) fn read_cell(is_array: bool, bytes: &[u8]) -> Vec<Value> {
    wire::Form::all(is_array).filter_map(|form| decode::value(form.read(wire::Sent(Some(bytes)))?)).collect()
}

/// Reads rows in a transaction that has just begun; it becomes read-only and sees one state of the database from here on.
/// Nothing else is to be done in it afterwards.
pub async fn read(transaction: &tokio_postgres::Transaction<'_>, query: &SourceQuery) -> Result<Rows, Error> {
    read::read(transaction, query).await
}
