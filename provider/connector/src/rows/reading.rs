//! The rows of a file on their way to the server: a pass that reads ahead on a thread of its own.
//!
//! **Invariant:** what waits to be sent is bounded, and the pass ends soon when nobody waits for it any more.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::FileRows;
use super::row_hash::Placed;
use crate::error::Error;
use crate::spec::TableSpec;

/// How many pieces may wait to be sent.
const PIECES: usize = 8;

/// A pass that is under way.
#[derive(Debug)]
pub(super) struct Reading {
    pieces: mpsc::Receiver<Bytes>,
    reader: JoinHandle<Result<(), Vec<Error>>>,
    only: Option<Arc<Vec<Placed>>>,
}

impl Reading {
    /// Begins to read all rows, or these.
    pub(super) fn start(file: &FileRows, table: &TableSpec, only: Option<Vec<Placed>>) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES);
        let only = only.map(|mut rows| {
            rows.sort_unstable_by_key(|row| row.at);
            Arc::new(rows)
        });
        let (file, table, wanted) = (file.clone(), table.clone(), only.clone());
        let pass = move || match &wanted {
            None => file.stream(&table, &sender),
            Some(rows) => file.stream_some(&table, rows, &sender),
        };
        Self { pieces, reader: tokio::task::spawn_blocking(pass), only }
    }

    /// The next piece of COPY's text; `None` when there is no more, be it for a fault.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        self.pieces.recv().await
    }

    /// What ended the pass, and which rows it was for.
    pub(super) async fn end(self) -> (Result<(), Error>, Option<Arc<Vec<Placed>>>) {
        drop(self.pieces);
        let ended = match self.reader.await {
            Ok(read) => read.map_err(|errors| together(&errors)),
            Err(error) => Err(Error::new("read the rows file", format!("reading ended early: {error}"))),
        };
        (ended, self.only)
    }
}

/// One error that says what all of them say.
fn together(errors: &[Error]) -> Error {
    let messages: Vec<&str> = errors.iter().map(Error::message).collect();
    let message = messages.join("\n");
    match errors.first() {
        Some(first) => first.clone().because(message),
        None => Error::new("read the rows file", message),
    }
}
