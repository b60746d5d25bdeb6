//! When most rows of a file need not travel.
//!
//! **Invariant:** only where the server's digest of our rows is what it was after the last change: then a row whose hash
//! stands in the ledger is there just as the file has it.

use tokio_postgres::Transaction;

use super::digest::{self, Sums};
use super::live::Live;
use super::reading::Reading;
use super::row_hash::{Difference, difference};
use super::stage::Extent;
use super::{Declared, Ledger, Owned, RowChange, ledger};
use crate::error::Error;
use crate::spec::TableSpec;

/// Fewer rows than this are not worth looking for a way around.
const FEW: u64 = 50;

/// No more hashes than this are kept of rows that differ.
const MOST: u64 = 500_000;

/// A change of which only a part has to travel if the server's digest is what it was.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    ledger: &'a Ledger,
    /// How many keys the ledger has.
    keys: usize,
    server_digest: &'a str,
}

/// Whether it may be worth it, going by the hashes alone, and what has to travel then. That is being read already, while the
/// server looks at its rows.
pub(super) async fn candidate<'a>(
    transaction: &Transaction<'_>,
    change: &RowChange<'a>,
    live: &Live,
) -> Result<Option<(Candidate<'a>, Extent)>, Error> {
    let (Some(file), Some(Owned::Ledger(ledger)), Some(server_digest)) =
        (change.declared.and_then(Declared::file), change.owned, change.server_digest)
    else {
        return Ok(None);
    };
    let same_columns =
        file.columns().len() == ledger.columns.len() && file.columns().iter().all(|name| ledger.columns.contains(name));
    let Some(now) = file.hashes().filter(|_| same_columns && live.key_is_exact && file.count() > FEW) else {
        return Ok(None);
    };
    let Some(former) = ledger::hashes(transaction, change.table, ledger).await? else { return Ok(None) };
    // Where more rows differ, little is saved.
    let most = (file.count().max(former.len() as u64) / 2).min(MOST);
    let Difference { gone, come, .. } = match difference(&former, now, most) {
        few if few.rows() <= most => few,
        _ => return Ok(None),
    };
    let come = (!come.is_empty()).then(|| Reading::start(file, change.table, Some(come)));
    Ok(Some((Candidate { ledger, keys: former.len(), server_digest }, Extent::Changes { gone, come })))
}

impl Candidate<'_> {
    /// The server's sums over our rows, when they are what they were.
    pub(super) async fn confirmed(
        &self,
        transaction: &Transaction<'_>,
        table: &TableSpec,
    ) -> Result<Option<Sums>, Error> {
        let sums = digest::of_ledger(transaction, table, self.ledger, Some(self.keys)).await?;
        Ok(sums.filter(|sums| sums.text(&self.ledger.columns) == self.server_digest))
    }
}
