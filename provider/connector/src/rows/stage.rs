//! The temporary tables that a row change compares with: made like the columns of the real table, filled with COPY.
//!
//! **Invariant:** texts are read with fixed settings (UTC, ISO dates), so that a row means the same in every session.

use std::pin::{Pin, pin};

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::{CopyInSink, Transaction};

use super::reading::Reading;
use super::row_hash::RowHash;
use super::steps::{DECLARED, OWNED, Shape, key_positions, nonempty, qualified};
use super::{Cell, Declared, DeclaredRow, FileRows, Owned, RowChange, RowGroup, blame, ledger};
use crate::error::Error;
use crate::name::{quote_ident, quote_idents};

/// How much is buffered before it is sent.
pub(super) const CHUNK: usize = 64 * 1024;

/// How much of a file's rows is staged.
#[derive(Debug)]
pub(super) enum Extent {
    /// Every declared row, and every key that is ours.
    Everything,
    /// Only declared rows with a new hash, and the keys whose hash is gone: the others are known to be as declared.
    Changes {
        /// The hashes that are gone.
        gone: Vec<RowHash>,
        /// The rows that are new, if there are any.
        come: Option<Reading>,
    },
}

/// How much was staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Staged {
    /// All of it.
    Everything,
    /// What differs, after the keys whose hash is gone were taken out of the ledger.
    Changes,
}

/// Makes and fills the temporary tables.
pub(super) async fn stage(
    transaction: &Transaction<'_>,
    change: &RowChange<'_>,
    shape: &Shape,
    mut extent: Extent,
) -> Result<Staged, Error> {
    let create = creations(change, shape, &extent).join("; ");
    let failed = |error| blame::of_statement(Error::postgres(doing(change), &error).statement(&*create));
    transaction.batch_execute(&create).await.map_err(failed)?;
    match change.declared {
        Some(Declared::Inline(rows)) => {
            let groups = nonempty(Some(rows));
            for (at, group) in groups.iter().enumerate() {
                let positions: Vec<usize> = (0..group.columns.len()).collect();
                let number = (groups.len() > 1).then_some(at + 1);
                copy(transaction, change, shape, &Target { table: DECLARED, group, positions: &positions, number })
                    .await?;
            }
        }
        Some(Declared::File(file)) if file.count() > 0 => {
            let reading = match &mut extent {
                Extent::Everything => Some(Reading::start(file, change.table, None)),
                Extent::Changes { come, .. } => come.take(),
            };
            if let Some(reading) = reading {
                copy_file(transaction, change, shape, file, reading).await?;
            }
        }
        Some(Declared::File(_)) | None => {}
    }
    match change.owned {
        Some(Owned::Inline(rows)) => {
            let groups = nonempty(Some(rows));
            for (at, group) in groups.iter().enumerate() {
                let positions = key_positions(change, group)?;
                let number = (groups.len() > 1).then_some(at + 1);
                copy(transaction, change, shape, &Target { table: OWNED, group, positions: &positions, number })
                    .await?;
            }
        }
        Some(Owned::Ledger(_)) | None => {}
    }
    let Extent::Changes { gone, .. } = extent else { return Ok(Staged::Everything) };
    if let (Some(ledger), false) = (change.owned.and_then(Owned::ledger), gone.is_empty()) {
        ledger::take_out(transaction, shape, ledger, &gone).await?;
    }
    Ok(Staged::Changes)
}

fn creations(change: &RowChange<'_>, shape: &Shape, extent: &Extent) -> Vec<String> {
    let mut create = Vec::new();
    if !shape.groups.is_empty() {
        // Every column that some group names; the primary key's first.
        let mut columns: Vec<&String> = shape.keys.iter().collect();
        if let Some(file) = change.declared.and_then(Declared::file) {
            columns.extend(file.columns().iter().filter(|name| !shape.keys.contains(name)));
        } else {
            let named: Vec<&String> = shape.groups.iter().flat_map(|group| &group.columns).collect();
            columns.extend(change.table.columns.iter().map(|c| &c.name).filter(|name| named.contains(name)));
        }
        let hash = match change.declared.and_then(Declared::file) {
            Some(_) => format!(", null::uuid as {}", quote_ident(&shape.staged_hash)),
            None => String::new(),
        };
        create.push(creation(shape, DECLARED, &columns, shape.groups.len(), &hash));
    }
    let keys: Vec<&String> = shape.keys.iter().collect();
    match (change.owned, extent) {
        (Some(Owned::Ledger(ledger)), Extent::Everything) => create.push(format!(
            "create temporary table {OWNED} on commit drop as select {} from {} as l",
            qualified("l", &shape.keys),
            ledger.table()
        )),
        _ if shape.owned_groups > 0 => create.push(creation(shape, OWNED, &keys, shape.owned_groups, "")),
        _ => {}
    }
    create
}

fn doing(change: &RowChange<'_>) -> String {
    format!("write rows of {}", change.table.name)
}

/// Drops the temporary tables before the end of the transaction, so that another change may follow in it.
pub(super) async fn clear(transaction: &Transaction<'_>, change: &RowChange<'_>, shape: &Shape) -> Result<(), Error> {
    let tables = [(DECLARED, shape.groups.len()), (OWNED, shape.owned_groups)];
    let made: Vec<String> =
        tables.iter().filter(|(_, groups)| *groups > 0).map(|(name, _)| format!("pg_temp.{name}")).collect();
    let sql = format!("drop table {}", made.join(", "));
    transaction.batch_execute(&sql).await.map_err(|error| Error::postgres(doing(change), &error).statement(sql))
}

fn creation(shape: &Shape, name: &str, columns: &[&String], groups: usize, hash: &str) -> String {
    let group = match groups {
        1 => String::new(),
        _ => format!(", null::integer as {}", quote_ident(&shape.group_column)),
    };
    format!(
        "create temporary table {name} on commit drop as select {}{group}{hash} from {} as t with no data",
        qualified("t", columns.iter().copied()),
        shape.table
    )
}

/// What is copied where.
struct Target<'a> {
    table: &'static str,
    group: &'a RowGroup,
    /// Which cells of each row.
    positions: &'a [usize],
    /// The group's number, when the staged table tells groups apart.
    number: Option<usize>,
}

async fn copy(
    transaction: &Transaction<'_>,
    change: &RowChange<'_>,
    shape: &Shape,
    target: &Target<'_>,
) -> Result<(), Error> {
    let mut columns: Vec<&str> = target.positions.iter().map(|&at| target.group.columns[at].as_str()).collect();
    if target.number.is_some() {
        columns.push(&shape.group_column);
    }
    let sql = format!("copy pg_temp.{} ({}) from stdin", target.table, quote_idents(&columns));
    let failed = |error: &tokio_postgres::Error| {
        let error = Error::postgres(doing(change), error).statement(&*sql);
        blame::of_copy(error, change.table, target.table, target.group)
    };
    let sink = transaction.copy_in::<_, Bytes>(&*sql).await.map_err(|error| failed(&error))?;
    let mut sink = pin!(sink);
    let mut buffer = BytesMut::with_capacity(CHUNK + CHUNK / 4);
    let mut interrupted = None;
    for row in &target.group.rows {
        put_row(&mut buffer, row, target.positions, target.number);
        if buffer.len() >= CHUNK {
            if let Err(error) = sink.send(buffer.split().freeze()).await {
                interrupted = Some(error);
                break;
            }
            buffer.reserve(CHUNK + CHUNK / 4);
        }
    }
    if interrupted.is_none() && !buffer.is_empty() {
        interrupted = sink.send(buffer.freeze()).await.err();
    }
    finish(sink, interrupted).await.map_err(|error| failed(&error))
}

/// Ends a copy. When sending failed, the server's own words about it come with the end.
async fn finish(
    sink: Pin<&mut CopyInSink<Bytes>>,
    interrupted: Option<tokio_postgres::Error>,
) -> Result<(), tokio_postgres::Error> {
    match (sink.finish().await, interrupted) {
        (Ok(_), None) => Ok(()),
        (Err(error), Some(_)) if error.as_db_error().is_some() => Err(error),
        (Err(error), None) | (_, Some(error)) => Err(error),
    }
}

/// Copies the rows of a file while it is read.
async fn copy_file(
    transaction: &Transaction<'_>,
    change: &RowChange<'_>,
    shape: &Shape,
    file: &FileRows,
    mut reading: Reading,
) -> Result<(), Error> {
    let columns = file.columns().iter().chain([&shape.staged_hash]);
    let sql = format!("copy pg_temp.{DECLARED} ({}) from stdin", quote_idents(columns));
    let failed = |error: &tokio_postgres::Error| Error::postgres(doing(change), error).statement(&*sql);
    let sink = transaction.copy_in::<_, Bytes>(&*sql).await.map_err(|error| failed(&error))?;
    let mut sink = pin!(sink);
    let mut interrupted = None;
    while let Some(piece) = reading.next().await {
        if let Err(error) = sink.send(piece).await {
            interrupted = Some(error);
            break;
        }
    }
    let (read, only) = reading.end().await;
    if interrupted.is_none() {
        // Without an end the server takes the copy back.
        read?;
    }
    match finish(sink, interrupted).await {
        Ok(()) => Ok(()),
        Err(error) => Err(blame::of_file_copy(failed(&error), change, file, only).await),
    }
}

/// One line of COPY's text format.
fn put_row(buffer: &mut BytesMut, row: &DeclaredRow, positions: &[usize], number: Option<usize>) {
    for (i, &at) in positions.iter().enumerate() {
        if i > 0 {
            buffer.put_u8(b'\t');
        }
        put_cell(buffer, &row.cells[at]);
    }
    if let Some(number) = number {
        buffer.put_u8(b'\t');
        buffer.put_slice(number.to_string().as_bytes());
    }
    buffer.put_u8(b'\n');
}

/// One field of COPY's text format.
fn put_cell(buffer: &mut BytesMut, cell: &Cell) {
    match cell {
        Cell::Null => put_null(buffer),
        Cell::Text(text) => put_text(buffer, text),
    }
}

/// The field that is null in COPY's text format.
pub(super) fn put_null(buffer: &mut BytesMut) {
    buffer.put_slice(b"\\N");
}

/// A text in COPY's text format.
pub(super) fn put_text(buffer: &mut BytesMut, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\\' | b'\n' | b'\r' | b'\t')) {
        buffer.put_slice(&rest[..at]);
        buffer.put_slice(match rest[at] {
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    buffer.put_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::RowLabel;

    #[test]
    fn lines_of_copy_escape_what_they_must() {
        let cells = ["1", "a\tb\\c\nd\re", "", "\\N", "\\."].map(|text| Cell::Text(text.to_owned()));
        let mut row = DeclaredRow { label: RowLabel::Index(0), cells: cells.to_vec() };
        row.cells.push(Cell::Null);
        let mut buffer = BytesMut::new();
        put_row(&mut buffer, &row, &[0, 1, 2, 3, 4, 5], Some(2));
        assert_eq!(&buffer[..], b"1\ta\\tb\\\\c\\nd\\re\t\t\\\\N\t\\\\.\t\\N\t2\n");
    }
}
