//! The rows of a table, as values of a Rust type.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio_postgres::Row;

use super::decode::{self, Column, Fault};
use super::order::OrderBy;
use super::stream::{self, RowIter, RowStream};
use super::{SourceQuery, fields};
use crate::database::{Database, Scope};
use crate::error::Error;
use crate::name::TableName;

/// A row as a map from column names to values, in the order of the columns. Values are those of
/// [`read`](super::read), but for JSON, which is what its text says.
pub type RowMap = Map<String, Value>;

/// How a value is made of a row.
pub(super) type MakeRow<T> = Arc<dyn Fn(&[Column], &Row) -> Result<T, Fault> + Send + Sync>;

/// Reads the rows of a table or a view: all of them at one snapshot, in bounded memory.
///
/// The columns are those that the record type names, as serde reads it, or all columns where the type names none (a map, a
/// tuple). Values that the type cannot hold are errors that name row and column; a column that may be null needs an
/// `Option`.
///
/// ```
/// use futures_util::TryStreamExt;
/// use pg_connector::source::PgTableSource;
/// use pg_connector::{Database, Scope, TableName};
///
/// #[derive(serde::Deserialize)]
/// struct Product {
///     id: i64,
///     name: String,
///     price: f64,
/// }
///
/// # testbed::block_on(async {
/// # let server = testbed::TestDatabase::new(18).await;
/// # server.query("create table products (id bigint primary key, name text not null, price float8 not null, stock int); \
/// #     insert into products values (1, 'lamp', 9.5, 3)").await;
/// # let url = server.url();
/// let database = Database::from_url(&url)?;
/// let source = PgTableSource::<Product>::new(&database, TableName::new("public", "products"));
///
/// // Asynchronously, as a stream …
/// let mut rows = source.fetch_rows(&Scope::default());
/// while let Some(row) = rows.try_next().await? {
///     assert_eq!((row.id, &*row.name, row.price), (1, "lamp", 9.5));
/// }
/// // … and in code without async, as an iterator.
/// let names: Vec<String> = source.iter_rows(&Scope::default()).map(|row| row.map(|row| row.name)).collect::<Result<_, _>>()?;
/// assert_eq!(names, ["lamp"]);
/// # Ok::<(), pg_connector::Errors>(())
/// # }).unwrap();
/// ```
pub struct PgTableSource<T = RowMap> {
    database: Database,
    query: SourceQuery,
    fields: Option<&'static [&'static str]>,
    make: MakeRow<T>,
    makes: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + 'static> PgTableSource<T> {
    /// A source of records.
    pub fn new(database: &Database, table: TableName) -> Self {
        Self {
            database: database.clone(),
            query: SourceQuery::new(table),
            fields: fields::of::<T>(),
            make: Arc::new(|columns, row| decode::row(columns, row)),
            makes: PhantomData,
        }
    }
}

impl<T> PgTableSource<T> {
    /// A source of whatever a function makes of each row.
    ///
    /// ```
    /// # use pg_connector::source::PgTableSource;
    /// # use pg_connector::{Database, Scope, TableName};
    /// # testbed::block_on(async {
    /// # let server = testbed::TestDatabase::new(18).await;
    /// # server.query("create table products (name text primary key, price float8); insert into products values ('lamp', 10)").await;
    /// # let database = Database::from_url(&server.url())?;
    /// let source = PgTableSource::with_row_fn(&database, TableName::new("public", "products"), |row| {
    ///     (row["name"].to_string(), row["price"].as_f64().map(|price| price * 1.5))
    /// });
    /// let rows: Vec<_> = source.iter_rows(&Scope::default()).collect::<Result<_, _>>()?;
    /// assert_eq!(rows, [("\"lamp\"".to_owned(), Some(15.0))]);
    /// # Ok::<(), pg_connector::Errors>(())
    /// # }).unwrap();
    /// ```
    pub fn with_row_fn(
        database: &Database,
        table: TableName,
        row_fn: impl Fn(RowMap) -> T + Send + Sync + 'static,
    ) -> Self {
        Self {
            database: database.clone(),
            query: SourceQuery::new(table),
            fields: None,
            make: Arc::new(move |columns, row| decode::row(columns, row).map(&row_fn)),
            makes: PhantomData,
        }
    }

    /// Reads only these columns, in this order. Of a record type they must be fields.
    #[must_use]
    pub fn columns<C: Into<String>>(mut self, columns: impl IntoIterator<Item = C>) -> Self {
        self.query.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Reads only rows that fulfil a condition in SQL, with `$1`, `$2`, … for parameters: texts whose types the server
    /// finds out.
    #[must_use]
    pub fn filter<P: Into<String>>(
        mut self,
        condition: impl Into<String>,
        params: impl IntoIterator<Item = Option<P>>,
    ) -> Self {
        self.query.filter = Some(condition.into());
        self.query.params = params.into_iter().map(|param| param.map(Into::into)).collect();
        self
    }

    /// Reads the rows in this order; without one, in the order in which the server finds them.
    #[must_use]
    pub fn order_by(mut self, order: impl IntoIterator<Item = OrderBy>) -> Self {
        self.query.order_by = order.into_iter().collect();
        self
    }

    /// Reads no more than so many rows.
    #[must_use]
    pub fn limit(mut self, limit: u64) -> Self {
        // The server counts no further.
        self.query.limit = Some(limit.min(i64::MAX.unsigned_abs()));
        self
    }
}

impl<T: Send + 'static> PgTableSource<T> {
    /// The rows as a stream. To be called inside a tokio runtime. Rows are read a little ahead of who takes them, and an error
    /// is the last item. The stream has a connection of its own, beside those of the database's pool, until its end, or until
    /// it is dropped, which ends the query.
    pub fn fetch_rows(&self, scope: &Scope) -> RowStream<T> {
        stream::spawn(&self.database, scope, self.task())
    }

    /// The rows as an iterator, for code without async. It has a thread and a connection of its own, and ends like a stream.
    pub fn iter_rows(&self, scope: &Scope) -> RowIter<T> {
        stream::spawn_thread(&self.database, scope, self.task())
    }

    fn task(&self) -> stream::Task<T> {
        stream::Task { query: self.query.clone(), fields: self.fields, make: self.make.clone() }
    }
}

impl<T> Clone for PgTableSource<T> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            query: self.query.clone(),
            fields: self.fields,
            make: self.make.clone(),
            makes: PhantomData,
        }
    }
}

impl<T> fmt::Debug for PgTableSource<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgTableSource").field("query", &self.query).finish_non_exhaustive()
    }
}

/// The columns to read, where a record type names fields.
pub(super) fn chosen(
    query: &SourceQuery,
    fields: Option<&'static [&'static str]>,
) -> Result<Option<Vec<String>>, Error> {
    match (&query.columns, fields) {
        (None, fields) => Ok(fields.map(|fields| fields.iter().map(|&field| field.to_owned()).collect())),
        (Some(columns), Some(fields)) => match columns.iter().find(|column| !fields.contains(&column.as_str())) {
            Some(unknown) => Err(Error::new(
                format!("read rows of {}", query.table),
                format!("the record type has no field {unknown:?}; it has {}", fields.join(", ")),
            )),
            None => Ok(Some(columns.clone())),
        },
        (Some(columns), None) => Ok(Some(columns.clone())),
    }
}
