//! Rows as they are read: through a cursor, a little ahead of who takes them.
//!
//! **Invariant:** all rows are of one snapshot; no more than a few batches of a bounded size are in memory; the end of the
//! rows is only said when every row was read. Who stops taking rows ends the query.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::mpsc as thread;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_util::{Stream, TryStreamExt, future};
use tokio::runtime::{self, Handle};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::{Row, Transaction};
use tokio_util::sync::DropGuard;

use super::SourceQuery;
use super::decode::{Column, Fault};
use super::read::{self, Select};
use super::table_source::{MakeRow, chosen};
use super::wire::Form;
use crate::database::{Database, Scope};
use crate::error::Error;

/// How many batches wait for who takes them.
const AHEAD: usize = 1;

/// How much one fetch should bring.
const FETCH_BYTES: usize = 1 << 20;

/// The rows of the first fetch, whose size is not known yet.
const FIRST_FETCH: usize = 500;

/// The most rows of one fetch.
const MOST_FETCHED: usize = 10_000;

/// What to read, and what to make of it.
pub(super) struct Task<T> {
    pub(super) query: SourceQuery,
    pub(super) fields: Option<&'static [&'static str]>,
    pub(super) make: MakeRow<T>,
}

/// The rows of a table, as a stream. Dropping it ends the query.
#[derive(Debug)]
pub struct RowStream<T> {
    batch: vec::IntoIter<T>,
    batches: mpsc::Receiver<Vec<T>>,
    work: Option<Result<JoinHandle<Result<(), Error>>, Error>>,
    _until_dropped: DropGuard,
}

/// The rows of a table, as an iterator. Dropping it ends the query.
#[derive(Debug)]
pub struct RowIter<T> {
    batch: vec::IntoIter<T>,
    batches: thread::Receiver<Vec<T>>,
    work: Option<std::io::Result<std::thread::JoinHandle<Result<(), Error>>>>,
    _until_dropped: DropGuard,
}

/// Where batches go.
enum Taker<T> {
    Stream(mpsc::Sender<Vec<T>>),
    Iter(thread::SyncSender<Vec<T>>),
}

/// Reads in a task of the runtime that this is called in.
pub(super) fn spawn<T: Send + 'static>(database: &Database, scope: &Scope, task: Task<T>) -> RowStream<T> {
    let (sender, batches) = mpsc::channel(AHEAD);
    let (scope, guard) = scope.child();
    let doing = format!("read rows of {}", task.query.table);
    let database = database.clone();
    let work = async move { produce(&database, &scope, &task, &Taker::Stream(sender)).await };
    let no_runtime = |_| {
        Error::new(doing, "a stream of rows needs a tokio runtime, and there is none here")
            .advice("Call it inside a runtime, or use iter_rows.")
    };
    let work = Handle::try_current().map(|runtime| runtime.spawn(work)).map_err(no_runtime);
    RowStream { batch: Vec::new().into_iter(), batches, work: Some(work), _until_dropped: guard.drop_guard() }
}

/// Reads in a thread with a runtime of its own, and so with a connection of its own.
pub(super) fn spawn_thread<T: Send + 'static>(database: &Database, scope: &Scope, task: Task<T>) -> RowIter<T> {
    let (sender, batches) = thread::sync_channel(AHEAD);
    let (scope, guard) = scope.child();
    let settings = database.settings().clone();
    let work = move || {
        let failed = |error| Error::new(format!("read rows of {}", task.query.table), format!("no runtime: {error}"));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let database = Database::new(settings)?;
        runtime.block_on(produce(&database, &scope, &task, &Taker::Iter(sender)))
    };
    let work = std::thread::Builder::new().name("pg-connector rows".to_owned()).spawn(work);
    RowIter { batch: Vec::new().into_iter(), batches, work: Some(work), _until_dropped: guard.drop_guard() }
}

impl<T: Unpin> Stream for RowStream<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(row) = self.batch.next() {
                return Poll::Ready(Some(Ok(row)));
            }
            if let Some(batch) = ready!(self.batches.poll_recv(context)) {
                self.batch = batch.into_iter();
                continue;
            }
            let ended = match &mut self.work {
                Some(Ok(work)) => ready!(Pin::new(work).poll(context)),
                Some(Err(error)) => Ok(Err(error.clone())),
                None => return Poll::Ready(None),
            };
            self.work = None;
            return Poll::Ready(match ended {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(Err(error)),
                Err(ended) => match ended.try_into_panic() {
                    Ok(panic) => resume_unwind(panic),
                    Err(_) => Some(Err(Error::new("read rows", "the runtime ended before all rows were read"))),
                },
            });
        }
    }
}

impl<T> Iterator for RowIter<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.batch.next() {
                return Some(Ok(row));
            }
            if let Ok(batch) = self.batches.recv() {
                self.batch = batch.into_iter();
                continue;
            }
            let ended = match self.work.take()? {
                Ok(work) => work.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(error) => Err(Error::new("read rows", format!("no thread could be started: {error}"))),
            };
            return ended.err().map(Err);
        }
    }
}

impl<T> Taker<T> {
    /// Hands a batch over, and waits for room; false when nobody takes any more.
    async fn take(&self, batch: Vec<T>) -> bool {
        match self {
            Self::Stream(sender) => sender.send(batch).await.is_ok(),
            Self::Iter(sender) => sender.send(batch).is_ok(),
        }
    }
}

async fn produce<T>(database: &Database, scope: &Scope, task: &Task<T>, taker: &Taker<T>) -> Result<(), Error> {
    let mut session = database.connect(scope).await?;
    let transaction = session.begin().await?;
    let result = read(&transaction, task, taker).await.map_err(|error| scope.explain(error));
    if result.is_ok() {
        transaction.rollback().await.map_err(|e| Error::postgres(doing(&task.query), &e))?;
    }
    result
}

async fn read<T>(transaction: &Transaction<'_>, task: &Task<T>, taker: &Taker<T>) -> Result<(), Error> {
    let Task { query, fields, make } = task;
    let query = SourceQuery { columns: chosen(query, *fields)?, ..query.clone() };
    let relation = read::open(transaction, &query).await?;
    let mut columns = Vec::new();
    let mut expressions = Vec::new();
    for column in read::selected(&query, &relation)? {
        let (form, expression) = Form::of(column);
        columns.push(Column { name: column.name.clone(), form });
        expressions.push(expression);
    }
    let order: Vec<String> = query.order_by.iter().map(ToString::to_string).collect();
    let select = Select::new(&query, &expressions.join(", "), &order, query.limit);
    select.declare(transaction, &query).await?;
    let fetch = async |size: usize| {
        let sql = read::fetch(size);
        let rows = transaction.query_typed_raw(&sql, std::iter::empty::<(&str, _)>()).await?;
        rows.try_collect::<Vec<Row>>().await
    };
    let failed = |error| select.explain(Error::postgres(doing(&query), &error), &query);
    let mut size = FIRST_FETCH;
    let mut rows = fetch(size).await.map_err(failed)?;
    let mut read = 0;
    while !rows.is_empty() {
        let last = rows.len() < size;
        let bytes: usize = rows.iter().map(Row::raw_size_bytes).sum();
        size = (FETCH_BYTES * rows.len() / bytes.max(1)).clamp(1, MOST_FETCHED);
        // The server goes on while this batch is decoded and taken.
        let next = async { if last { Ok(Vec::new()) } else { fetch(size).await } };
        let taken = async {
            let made = rows.iter().enumerate().map(|(at, row)| make(&columns, row).map_err(|fault| (at, fault)));
            match made.collect() {
                Ok(batch) => Ok(taker.take(batch).await),
                Err((at, fault)) => Err(misfit(&query, read + at, &fault)),
            }
        };
        let (next, taken) = future::join(next, taken).await;
        if !taken? {
            break;
        }
        read += rows.len();
        rows = next.map_err(failed)?;
    }
    Ok(())
}

fn doing(query: &SourceQuery) -> String {
    format!("read rows of {}", query.table)
}

fn misfit(query: &SourceQuery, at: usize, fault: &Fault) -> Error {
    let is_null = fault.message.contains("unit value");
    let fault = fault.to_string().replace("unit value", "null");
    let error = Error::new(doing(query), format!("row {} does not fit the type it is read as: {fault}", at + 1));
    if is_null {
        error.advice("Make the field an Option, where the column may be null.")
    } else {
        error.advice("Read the column as another type, or leave it out with columns.")
    }
}
