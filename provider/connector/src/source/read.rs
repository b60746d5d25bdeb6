//! Runs a query through a cursor, a bounded number of rows at a time.

use std::pin::pin;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use serde_json::Value;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{RowStream, SimpleQueryMessage, Transaction};

use super::relation::{LiveColumn, Relation};
use super::{ColumnInfo, DEFAULT_LIMIT, Kind, Meaning, Rows, SourceQuery, convert, filter, order};
use crate::error::{Blame, Error};
use crate::name::quote_idents;
use crate::pinned;

/// How much a result may hold, names included: it has to fit a message to the caller with room to spare.
const MAX_BYTES: usize = 200 << 20;

/// How much memory a result may take while it is turned into values. Many small cells take far more than their text.
const MAX_HELD: usize = 2 << 30;

/// What a row takes in memory beside its cells, and what a cell takes beside its text, about.
const HELD_BY_ROW: usize = 900;
const HELD_BY_CELL: usize = 120;

/// How much one fetch should bring.
const FETCH_BYTES: usize = 4 << 20;

/// One state of the database, nothing written, and a plan for reading all rows: the server expects a tenth of a cursor's to
/// be fetched.
const BEGIN: &str = "set transaction isolation level repeatable read, read only; set local cursor_tuple_fraction = 1";

/// The rows of the first fetch, whose size is not known yet. The server keeps all rows of a fetch before it sends one.
const FIRST_FETCH: usize = 10;

/// How many times as many rows as the one before a fetch may bring.
const GROWTH: usize = 8;

/// How large a result has become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    rows: usize,
    /// The bytes of a message that holds it.
    bytes: usize,
    /// The bytes of memory that it takes.
    held: usize,
}

impl Size {
    /// Counts a row that holds so much text, and whose columns have so many names' bytes.
    fn add(&mut self, columns: usize, names: usize, text: usize) {
        self.rows += 1;
        self.bytes += text + names + 4 * columns;
        self.held += HELD_BY_ROW + HELD_BY_CELL * columns + names + 2 * text;
    }

    /// What is too much about it.
    fn fault(self) -> Option<String> {
        let (limit, what) = if self.bytes > MAX_BYTES {
            (MAX_BYTES, "take")
        } else if self.held > MAX_HELD {
            (MAX_HELD, "would take")
        } else {
            return None;
        };
        let of_memory = if limit == MAX_HELD { " of memory" } else { "" };
        Some(format!("the rows {what} more than {} MiB{of_memory}, and {} of them were read", limit >> 20, self.rows))
    }
}

/// The most rows of one fetch.
const MOST_FETCHED: usize = 10_000;

/// A parameter in text form: the server finds out its type, and its input function reads it.
#[derive(Debug)]
struct TextParameter<'a>(Option<&'a str>);

impl ToSql for TextParameter<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Makes the transaction one that only looks, at one snapshot, under fixed settings, and finds what is to be read.
pub(super) async fn open(transaction: &Transaction<'_>, query: &SourceQuery) -> Result<Relation, Error> {
    if let Some(fault) = query.filter.as_deref().and_then(filter::fault) {
        return Err(Error::new(doing(query), format!("the condition cannot be used: {fault}"))
            .advice("Write one condition, as it would stand after WHERE.")
            .blame(Blame::Attribute("where")));
    }
    let failed = |error| Error::postgres(doing(query), &error);
    transaction.batch_execute(BEGIN).await.map_err(failed)?;
    let settings = pinned::FIXED.map(|(name, value)| (name, if name == "IntervalStyle" { "iso_8601" } else { value }));
    pinned::pin(transaction, &settings).await.map_err(failed)?;
    Relation::find(transaction, &query.table).await
}

fn doing(query: &SourceQuery) -> String {
    format!("read rows of {}", query.table)
}

pub(super) async fn read(transaction: &Transaction<'_>, query: &SourceQuery) -> Result<Rows, Error> {
    let relation = open(transaction, query).await?;
    let columns = selected(query, &relation)?;
    let select = Select::of(query, &relation, &columns);
    select.declare(transaction, query).await?;
    let failed = |error| Error::postgres(doing(query), &error);
    let explained = |error| select.explain(failed(error), query);
    let mut rows: Vec<Vec<Value>> = Vec::new();
    let mut read = Size::default();
    let names: usize = columns.iter().map(|column| column.name.len()).sum();
    let mut size = FIRST_FETCH;
    loop {
        let before = read;
        let fetch = format!("fetch forward {size} from terraform_pg_rows");
        // One row after the other, so that few large rows cannot fill the memory before they are counted.
        let mut messages = pin!(transaction.client().simple_query_raw(&fetch).await.map_err(explained)?);
        while let Some(message) = messages.try_next().await.map_err(explained)? {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let mut values = Vec::with_capacity(columns.len());
            let mut text_bytes = 0;
            for (at, column) in columns.iter().enumerate() {
                values.push(match row.try_get(at).map_err(failed)? {
                    Some(text) => {
                        text_bytes += text.len();
                        convert::value(column.scalar, column.delimiter, text)
                    }
                    None => Value::Null,
                });
            }
            rows.push(values);
            read.add(columns.len(), names, text_bytes);
            if let Some(fault) = read.fault() {
                return Err(Error::new(doing(query), fault)
                    .advice("Read fewer columns with columns, or fewer rows with where or limit.")
                    .blame(Blame::Attribute("limit")));
            }
        }
        if query.limit.is_none() && rows.len() as u64 > DEFAULT_LIMIT {
            return Err(Error::new(doing(query), format!("there are more than {DEFAULT_LIMIT} rows"))
                .advice("Set limit to read more, or to read only the first rows; or read fewer with where.")
                .blame(Blame::Attribute("limit")));
        }
        let fetched = read.rows - before.rows;
        if fetched < size {
            break;
        }
        size = (FETCH_BYTES * fetched / (read.bytes - before.bytes).max(1)).clamp(1, MOST_FETCHED.min(GROWTH * size));
    }
    Ok(finish(&columns, rows))
}

fn finish(columns: &[&LiveColumn], mut rows: Vec<Vec<Value>>) -> Rows {
    let infos = columns.iter().enumerate().map(|(at, column)| {
        let mut values: Vec<&mut Value> = rows.iter_mut().map(|row| &mut row[at]).collect();
        let kind = convert::unify(column.scalar, column.delimiter.is_some(), &mut values);
        ColumnInfo {
            name: column.name.clone(),
            type_name: column.type_name.clone(),
            is_text_of_list: column.delimiter.is_some() && kind == Kind::String,
            kind,
            meaning: match column.scalar {
                convert::Scalar::Number => Meaning::Numbers,
                convert::Scalar::Json => Meaning::Json,
                _ => Meaning::Plain,
            },
        }
    });
    Rows { columns: infos.collect(), rows }
}

/// The columns to read; an error names those that are not there.
pub(super) fn selected<'a>(query: &SourceQuery, relation: &'a Relation) -> Result<Vec<&'a LiveColumn>, Error> {
    let known = || relation.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = |attribute, name: &str| {
        Error::new(format!("read rows of {}", query.table), format!("it has no column {name:?}; it has {}", known()))
            .blame(Blame::Attribute(attribute))
    };
    if let Some(order) = query.order_by.iter().find(|order| relation.column(&order.column).is_none()) {
        return Err(unknown("order_by", &order.column));
    }
    match &query.columns {
        None => Ok(relation.columns.iter().collect()),
        Some(names) => names.iter().map(|name| relation.column(name).ok_or_else(|| unknown("columns", name))).collect(),
    }
}

/// A query, and the same with the literals of the condition masked.
#[derive(Debug)]
pub(super) struct Select {
    sql: String,
    shown: String,
}

impl Select {
    /// Selects expressions, in this order.
    pub(super) fn new(query: &SourceQuery, expressions: &str, order: &[String], limit: Option<u64>) -> Self {
        let head = format!("select {expressions} from {}", query.table);
        let order = if order.is_empty() { String::new() } else { format!(" order by {}", order.join(", ")) };
        let tail = limit.map_or(order.clone(), |limit| format!("{order} limit {limit}"));
        match &query.filter {
            // The line break ends a comment at the end of the condition.
            Some(text) => Self {
                sql: format!("{head} where (\n{text}\n){tail}"),
                shown: format!("{head} where ({}){tail}", filter::masked(text)),
            },
            None => Self { sql: format!("{head}{tail}"), shown: format!("{head}{tail}") },
        }
    }

    /// Selects columns, in an order that is always the same, and no more rows than are to be read.
    fn of(query: &SourceQuery, relation: &Relation, columns: &[&LiveColumn]) -> Self {
        let names = quote_idents(columns.iter().map(|column| column.name.as_str()));
        let order = order::items(&query.order_by, relation, columns);
        // One row more than is allowed shows that there are more.
        Self::new(query, &names, &order, Some(query.limit.unwrap_or(DEFAULT_LIMIT + 1)))
    }

    /// Runs it, and hands out what the server sends.
    pub(super) async fn stream(
        &self,
        transaction: &Transaction<'_>,
        query: &SourceQuery,
    ) -> Result<RowStream, tokio_postgres::Error> {
        let parameters = query.params.iter().map(|text| (TextParameter(text.as_deref()), Type::UNKNOWN));
        transaction.query_typed_raw(&self.sql, parameters).await
    }

    /// Opens the cursor.
    async fn declare(&self, transaction: &Transaction<'_>, query: &SourceQuery) -> Result<(), Error> {
        let texts: Vec<TextParameter<'_>> = query.params.iter().map(|text| TextParameter(text.as_deref())).collect();
        let typed: Vec<_> = texts.iter().map(|p| (p as &(dyn ToSql + Sync), Type::UNKNOWN)).collect();
        let declare = format!("declare terraform_pg_rows no scroll cursor for {}", self.sql);
        let failed = |error| self.explain(Error::postgres(doing(query), &error), query);
        transaction.execute_typed(&declare, &typed).await.map(drop).map_err(failed)
    }

    /// Shows the statement, and blames the condition or its parameters for what only they can cause.
    pub(super) fn explain(&self, error: Error, query: &SourceQuery) -> Error {
        explain(error, query).statement(&*self.shown)
    }
}

/// Says what to do about what the server refuses, and blames the condition or its parameters for what only they can cause.
fn explain(error: Error, query: &SourceQuery) -> Error {
    let Some(server) = error.server() else { return error };
    let has_filter = query.filter.is_some();
    let about_parameter = server.context.as_deref().is_some_and(|context| context.contains('$'));
    match server.sqlstate.as_str() {
        "42501" => error.advice(
            "The provider's user needs the right to use the schema and to select from the table, or from each of the columns \
             that are read, sorted by or named in the condition; columns chooses what is read.",
        ),
        "25006" if has_filter => {
            error.advice("The condition is evaluated in a read-only transaction.").blame(Blame::Attribute("where"))
        }
        "25006" => error.advice("Rows are read in a read-only transaction; a view that writes cannot be read."),
        _ if !has_filter => error,
        "42P02" | "08P01" => {
            error.advice("params has fewer elements than the condition names.").blame(Blame::Attribute("params"))
        }
        "42P18" | "42P08" => error
            .advice("Every element of params must be used in the condition; a cast such as $1::text says its type.")
            .blame(Blame::Attribute("params")),
        state if state.starts_with("22") && about_parameter => error.blame(Blame::Attribute("params")),
        state if state.starts_with("42") || state.starts_with("22") => error.blame(Blame::Attribute("where")),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rows of that form are let through.
    fn most(columns: usize, names: usize, text: usize) -> (usize, String) {
        let mut size = Size::default();
        loop {
            size.add(columns, names, text);
            if let Some(fault) = size.fault() {
                return (size.rows, fault);
            }
        }
    }

    #[test]
    fn a_result_is_bounded_by_its_message_and_by_its_memory() {
        let (rows, fault) = most(1, 1, 1 << 20);
        assert_eq!((rows, fault.as_str()), (200, "the rows take more than 200 MiB, and 200 of them were read"));
        let (rows, fault) = most(1, 1, 1);
        assert!((1_500_000..2_500_000).contains(&rows), "{rows}");
        assert!(fault.starts_with("the rows would take more than 2048 MiB of memory"), "{fault}");
        // What is usual is far from both.
        assert!(most(4, 20, 50).0 > 1_000_000);
    }
}
