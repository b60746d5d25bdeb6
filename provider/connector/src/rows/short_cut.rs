//! When most rows of a file need not travel.
//!
//! **Invariant:** only where the server's digest of our rows is what it was after the last change: then a row whose hash
//! stands in the ledger is there just as the file has it.

use tokio_postgres::Transaction;

use super::digest::{self, Sums};
use super::live::Live;
use super::row_hash::{Difference, difference};
use super::stage::Extent;
use super::{Declared, Ledger, Owned, RowChange, ledger};
use crate::error::Error;
use crate::spec::TableSpec;

/// Fewer rows than this are not worth looking for a way around.
const FEW: u64 = 50;

/// A change of which only a part has to travel if the server's digest is what it was.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    ledger: &'a Ledger,
    server_digest: &'a str,
    difference: Difference,
}

/// Whether it may be worth it, going by the hashes alone.
pub(super) async fn candidate<'a>(
    transaction: &Transaction<'_>,
    change: &RowChange<'a>,
    live: &Live,
) -> Result<Option<Candidate<'a>>, Error> {
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
    let most = file.count() / 2;
    let difference = difference(&former, now, most);
    Ok((difference.rows() <= most).then_some(Candidate { ledger, server_digest, difference }))
}

impl Candidate<'_> {
    /// The server's sums over our rows, when they are what they were.
    pub(super) async fn confirmed(
        &self,
        transaction: &Transaction<'_>,
        table: &TableSpec,
    ) -> Result<Option<Sums>, Error> {
        let sums = digest::of_ledger(transaction, table, self.ledger).await?;
        Ok(sums.filter(|sums| sums.text(&self.ledger.columns) == self.server_digest))
    }

    /// What has to travel.
    pub(super) fn extent(self) -> Extent {
        Extent::Changes { gone: self.difference.gone, come: self.difference.come }
    }
}
