//! Rows as they are read, a little ahead of who takes them.
//!
//! **Invariant:** all rows are of one snapshot; no more than a few batches of a bounded size are in memory; the end of the
//! rows is only said when every row was read. Who stops taking rows ends the query.

use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::mpsc as thread;
use std::task::{Context, Poll, ready};
use std::vec;

use futures_util::{Stream, TryStreamExt};
use tokio::runtime::{self, Handle};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::Transaction;
use tokio_util::sync::DropGuard;

use super::SourceQuery;
use super::decode::{Column, Fault};
use super::read::{self, Select};
use super::table_source::{MakeRow, chosen};
use super::wire::Form;
use crate::database::{Database, Scope};
use crate::error::Error;
use crate::settings::Settings;

/// What to do about fields that are no columns.
const FIELDS: &str = "The columns are those that the record type names, aliases and fields with a default among them. Name the \
    columns that are there with columns.";

/// How many batches wait for who takes them.
const AHEAD: usize = 1;

/// The most rows of a batch.
const MOST_ROWS: usize = 1_000;

/// A batch is full when its rows took so much on their way.
const MOST_BYTES: usize = 1 << 20;

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
    let doing = doing(&task.query);
    let settings = database.settings().clone();
    let work = async move { produce(settings, &scope, &task, &Taker::Stream(sender)).await };
    let no_runtime = |_| {
        Error::new(doing, "a stream of rows needs a tokio runtime, and there is none here")
            .advice("Call it inside a runtime, or use iter_rows.")
    };
    let work = Handle::try_current().map(|runtime| runtime.spawn(work)).map_err(no_runtime);
    RowStream { batch: Vec::new().into_iter(), batches, work: Some(work), _until_dropped: guard.drop_guard() }
}

/// Reads in a thread with a runtime of its own.
pub(super) fn spawn_thread<T: Send + 'static>(database: &Database, scope: &Scope, task: Task<T>) -> RowIter<T> {
    let (sender, batches) = thread::sync_channel(AHEAD);
    let (scope, guard) = scope.child();
    let settings = database.settings().clone();
    let work = move || {
        let failed = |error| Error::new(doing(&task.query), format!("no runtime: {error}"));
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        runtime.block_on(produce(settings, &scope, &task, &Taker::Iter(sender)))
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

/// Reads over a connection of its own: who holds rows back must not keep others, or itself, waiting for the pool.
async fn produce<T>(settings: Settings, scope: &Scope, task: &Task<T>, taker: &Taker<T>) -> Result<(), Error> {
    let database = Database::new(settings)?;
    let mut session = database.connect(scope).await?;
    let transaction = session.begin().await?;
    let is_at_end = read(&transaction, task, taker).await.map_err(|error| scope.explain(error))?;
    if is_at_end {
        transaction.rollback().await.map_err(|e| Error::postgres(doing(&task.query), &e))?;
    }
    Ok(())
}

/// Reads until the end of the rows, which it says, or until nobody takes any more.
async fn read<T>(transaction: &Transaction<'_>, task: &Task<T>, taker: &Taker<T>) -> Result<bool, Error> {
    let Task { query, fields, make } = task;
    let query = SourceQuery { columns: chosen(query, *fields)?, ..query.clone() };
    let relation = read::open(transaction, &query).await?;
    let mut columns = Vec::new();
    let mut expressions = Vec::new();
    let named_by_type = task.query.columns.is_none() && fields.is_some();
    let advised = |error: Error| if named_by_type { error.advice(FIELDS) } else { error };
    for column in read::selected(&query, &relation).map_err(advised)? {
        let (form, expression) = Form::of(column);
        columns.push(Column { name: column.name.clone(), form });
        expressions.push(expression);
    }
    let order: Vec<String> = query.order_by.iter().map(ToString::to_string).collect();
    let select = Select::new(&query, &expressions.join(", "), &order, query.limit);
    let failed = |error| select.explain(Error::postgres(doing(&query), &error), &query);
    // The server goes on as long as somebody reads what it sends, so it needs no cursor.
    let rows = select.stream(transaction, &query).await.map_err(failed)?;
    let mut rows = pin!(rows);
    let (mut batch, mut bytes, mut read) = (Vec::new(), 0, 0_usize);
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        read += 1;
        bytes += row.raw_size_bytes();
        batch.push(make(&columns, &row).map_err(|fault| misfit(&query, read, &fault))?);
        if (batch.len() == MOST_ROWS || bytes >= MOST_BYTES) && !taker.take(std::mem::take(&mut batch)).await {
            return Ok(false);
        }
        if batch.is_empty() {
            bytes = 0;
        }
    }
    if !batch.is_empty() {
        taker.take(batch).await;
    }
    Ok(true)
}

fn doing(query: &SourceQuery) -> String {
    format!("read rows of {}", query.table)
}

fn misfit(query: &SourceQuery, at: usize, fault: &Fault) -> Error {
    let is_null = fault.message.contains("unit value");
    let fault = fault.to_string().replace("unit value", "null");
    let error = Error::new(doing(query), format!("row {at} does not fit the type it is read as: {fault}"));
    if is_null {
        error.advice("Make the field an Option, where the column may be null.")
    } else {
        error.advice("Read the column as another type, or leave it out with columns.")
    }
}
