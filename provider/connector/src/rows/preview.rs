//! How many rows a change writes, told from hashes before it is made.

use tokio_postgres::Transaction;

use super::row_hash::{KeyDigest, RowHash, difference};
use super::steps::nonempty;
use super::{Declared, DeclaredRows, Owned, RowChange, RowCounts, declare, key, ledger};
use crate::error::Error;
use crate::spec::TableSpec;

pub(super) async fn counts(transaction: &Transaction<'_>, change: &RowChange<'_>) -> Result<Option<RowCounts>, Error> {
    let file = change.declared.and_then(Declared::file);
    let inline = change.declared.and_then(Declared::inline);
    let deleted = |deleted| RowCounts { deleted, inserted: None, updated: None };
    match (change.owned, file) {
        (Some(Owned::Ledger(ledger)), None) if inline.is_none_or(|rows| rows.count() == 0) => {
            Ok(Some(deleted(ledger.count)))
        }
        (Some(Owned::Ledger(ledger)), None) => {
            let Some(former) = ledger::hashes(transaction, change.table, ledger).await? else { return Ok(None) };
            let former: Vec<u64> = former.into_iter().map(RowHash::key).collect();
            Ok(inline.map(|rows| deleted(missing(&former, &keys(change.table, rows)))))
        }
        (Some(Owned::Ledger(ledger)), Some(file)) => {
            let Some(now) = file.hashes() else { return Ok(None) };
            let Some(former) = ledger::hashes(transaction, change.table, ledger).await? else { return Ok(None) };
            let difference = difference(&former, now, 0);
            let comparable = file.columns().iter().all(|name| ledger.columns.contains(name));
            Ok(Some(RowCounts {
                deleted: difference.deleted,
                inserted: Some(difference.inserted).filter(|_| comparable),
                updated: Some(difference.updated).filter(|_| comparable),
            }))
        }
        (Some(Owned::Inline(former)), Some(file)) => Ok(file.hashes().map(|now| {
            let now: Vec<u64> = now.iter().map(|row| row.hash.key()).collect();
            deleted(missing(&keys(change.table, former), &now))
        })),
        _ => Ok(None),
    }
}

/// The hashes of the keys, sorted.
fn keys(table: &TableSpec, rows: &DeclaredRows) -> Vec<u64> {
    let kinds = key::kinds(table);
    let mut hashes = Vec::with_capacity(rows.count());
    for group in nonempty(Some(rows)) {
        let Some(positions) = key::positions(group, &table.primary_key) else { continue };
        let mut digest = KeyDigest::default();
        for row in &group.rows {
            for (kind, &at) in kinds.iter().zip(&positions) {
                digest.add(kind, declare::text(&row.cells[at]));
            }
            hashes.push(RowHash::new(&digest.finish(), &[0; 32]).key());
        }
    }
    hashes.sort_unstable();
    hashes
}

/// How many of the first are not among the second, which are sorted.
fn missing(former: &[u64], now: &[u64]) -> u64 {
    former.iter().filter(|key| now.binary_search(key).is_err()).count() as u64
}
