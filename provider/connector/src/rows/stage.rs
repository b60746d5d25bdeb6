//! The temporary tables that a row change compares with: made like the columns of the real table, filled with COPY.
//!
//! **Invariant:** texts are read with fixed settings (UTC, ISO dates), so that a row means the same in every session.

use std::pin::pin;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::SinkExt;
use tokio_postgres::Transaction;

use super::steps::{DECLARED, OWNED, Shape, key_positions, nonempty, qualified};
use super::{Cell, DeclaredRow, RowChange, RowGroup, blame};
use crate::error::Error;
use crate::name::{quote_ident, quote_idents};

/// How much is buffered before it is sent.
const CHUNK: usize = 64 * 1024;

/// Makes and fills the temporary tables.
pub(super) async fn stage(transaction: &Transaction<'_>, change: &RowChange<'_>, shape: &Shape) -> Result<(), Error> {
    let doing = || format!("write rows of {}", change.table.name);
    let declared = nonempty(change.declared);
    let owned = nonempty(change.owned);
    let mut create = Vec::new();
    if !declared.is_empty() {
        // Every column that some group names; the primary key's first.
        let mut columns: Vec<&String> = shape.keys.iter().collect();
        let named: Vec<&String> = shape.groups.iter().flat_map(|group| &group.columns).collect();
        columns.extend(change.table.columns.iter().map(|column| &column.name).filter(|name| named.contains(name)));
        create.push(creation(shape, DECLARED, &columns, declared.len()));
    }
    if !owned.is_empty() {
        create.push(creation(shape, OWNED, &shape.keys.iter().collect::<Vec<_>>(), owned.len()));
    }
    let create = create.join("; ");
    let failed = |error| blame::of_statement(Error::postgres(doing(), &error).statement(&*create));
    transaction.batch_execute(&create).await.map_err(failed)?;
    for (at, group) in declared.iter().enumerate() {
        let all: Vec<usize> = (0..group.columns.len()).collect();
        let target = Target { table: DECLARED, group, positions: &all, number: (declared.len() > 1).then_some(at + 1) };
        copy(transaction, change, shape, &target).await?;
    }
    for (at, group) in owned.iter().enumerate() {
        let positions = key_positions(change, group)?;
        let number = (owned.len() > 1).then_some(at + 1);
        copy(transaction, change, shape, &Target { table: OWNED, group, positions: &positions, number }).await?;
    }
    Ok(())
}

/// Drops the temporary tables before the end of the transaction, so that another change may follow in it.
pub(super) async fn clear(transaction: &Transaction<'_>, change: &RowChange<'_>) -> Result<(), Error> {
    let tables = [(DECLARED, nonempty(change.declared)), (OWNED, nonempty(change.owned))];
    let made: Vec<String> =
        tables.iter().filter(|(_, groups)| !groups.is_empty()).map(|(name, _)| format!("pg_temp.{name}")).collect();
    let sql = format!("drop table {}", made.join(", "));
    transaction
        .batch_execute(&sql)
        .await
        .map_err(|error| Error::postgres(format!("write rows of {}", change.table.name), &error).statement(sql))
}

fn creation(shape: &Shape, name: &str, columns: &[&String], groups: usize) -> String {
    let group = match groups {
        1 => String::new(),
        _ => format!(", null::integer as {}", quote_ident(&shape.group_column)),
    };
    format!(
        "create temporary table {name} on commit drop as select {}{group} from {} as t with no data",
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
        let error = Error::postgres(format!("write rows of {}", change.table.name), error).statement(&*sql);
        blame::of_copy(error, target.table, target.group)
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
    // When sending failed, the server's own words about it come with the end of the copy.
    match (sink.finish().await, interrupted) {
        (Ok(_), None) => Ok(()),
        (Err(error), Some(_)) if error.as_db_error().is_some() => Err(failed(&error)),
        (Err(error), None) | (_, Some(error)) => Err(failed(&error)),
    }
}

/// One line of COPY's text format.
fn put_row(buffer: &mut BytesMut, row: &DeclaredRow, positions: &[usize], number: Option<usize>) {
    for (i, &at) in positions.iter().enumerate() {
        if i > 0 {
            buffer.put_u8(b'\t');
        }
        match &row.cells[at] {
            Cell::Null => buffer.put_slice(b"\\N"),
            Cell::Text(text) => put_text(buffer, text),
        }
    }
    if let Some(number) = number {
        buffer.put_u8(b'\t');
        buffer.put_slice(number.to_string().as_bytes());
    }
    buffer.put_u8(b'\n');
}

fn put_text(buffer: &mut BytesMut, text: &str) {
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
