//! Makes a row change inside the caller's transaction.
//!
//! **Invariant:** the statements that run on the table are those that the plan listed, and a row of somebody else that
//! differs from its declaration ends the change unless there is consent to overwrite it.

use tokio_postgres::{SimpleQueryMessage, Transaction};

use super::live::Live;
use super::stage::Extent;
use super::steps::{Action, DECLARED, OWNED, Shape, Statement};
use super::{
    Declared, Ledger, Owned, RowChange, RowOutcome, blame, digest, ledger, pinned, short_cut, stage, takeover,
};
use crate::error::Error;

pub(super) async fn reconcile(transaction: &Transaction<'_>, change: &RowChange<'_>) -> Result<RowOutcome, Error> {
    let shape = Shape::of(change)?;
    if shape.owned_groups == 0 && shape.groups.is_empty() {
        return Ok(RowOutcome::default());
    }
    let live = Live::read(transaction, change.table).await?;
    if let Some(ledger) = change.owned.and_then(Owned::ledger) {
        agreement(transaction, change, &live, ledger).await?;
    }
    let failed = |error| Error::postgres(doing(change), &error);
    let mut run =
        Run { transaction, change, shape: &shape, live: &live, locked: false, outcome: RowOutcome::default() };
    let former = pinned::pin(transaction, &pinned::FIXED).await.map_err(failed)?;
    let mut extent = Extent::Everything;
    let mut before = None;
    if let Some(candidate) = short_cut::candidate(transaction, change, &live).await? {
        // From here on nobody else writes, so what is as it was stays so.
        run.lock().await?;
        before = candidate.confirmed(transaction, change.table).await?;
        if before.is_some() {
            extent = candidate.extent();
        }
    }
    stage::stage(transaction, change, &shape, extent).await?;
    // Triggers and defaults see the session's own settings again.
    pinned::restore(transaction, former).await.map_err(failed)?;
    run.lock().await?;
    let adopted = takeover::check(transaction, change, &shape, &live).await?;
    (run.outcome.adopted, run.outcome.adopted_keys) = (adopted.count, adopted.first);
    match (before.filter(|_| live.is_plain), change.declared.and_then(Declared::file)) {
        (Some(before), Some(file)) => {
            let left = digest::of_staged(transaction, change.table, file.columns(), OWNED).await?;
            run.write().await?;
            let come = digest::of_staged(transaction, change.table, file.columns(), DECLARED).await?;
            run.outcome.server_digest = Some((before - left + come).text(file.columns()));
        }
        _ => run.write().await?,
    }
    run.keep_ledger().await?;
    stage::clear(transaction, change, &shape).await?;
    Ok(run.outcome)
}

fn doing(change: &RowChange<'_>) -> String {
    format!("write rows of {}", change.table.name)
}

/// A ledger that is not for this table is not believed.
async fn agreement(
    transaction: &Transaction<'_>,
    change: &RowChange<'_>,
    live: &Live,
    ledger: &Ledger,
) -> Result<(), Error> {
    match ledger::disagreement(transaction, &change.table.name, live.oid, &ledger.id).await? {
        None => Ok(()),
        Some(why) => Err(Error::new(doing(change), format!("which rows came from the file is no longer known: {why}"))
            .advice("Nothing was written. Refresh and plan again: then no row counts as ours until it is found to be as declared.")),
    }
}

struct Run<'a, 't> {
    transaction: &'a Transaction<'t>,
    change: &'a RowChange<'a>,
    shape: &'a Shape,
    live: &'a Live,
    locked: bool,
    outcome: RowOutcome,
}

impl Run<'_, '_> {
    /// Keeps writers out.
    async fn lock(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.locked, true) {
            return Ok(());
        }
        for statement in self.shape.statements().iter().filter(|statement| statement.action == Action::Lock) {
            self.statement(statement).await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), Error> {
        for statement in self.shape.statements() {
            let counter = match statement.action {
                Action::Lock => continue,
                Action::Delete => |outcome: &mut RowOutcome, count| outcome.deleted += count,
                Action::Update => |outcome: &mut RowOutcome, count| outcome.updated += count,
                Action::Insert => |outcome: &mut RowOutcome, count| outcome.inserted += count,
            };
            let count = self.statement(&statement).await?;
            counter(&mut self.outcome, count);
        }
        Ok(())
    }

    /// Runs one statement as it stands, without preparing it: a pooler between us and the server may not keep it. Returns
    /// the number of rows.
    async fn statement(&self, statement: &Statement) -> Result<u64, Error> {
        let messages = match self.transaction.simple_query(&statement.sql).await {
            Ok(messages) => messages,
            Err(error) => {
                let error = Error::postgres(doing(self.change), &error).statement(&*statement.sql);
                return Err(blame::of_write(error, self.change, self.live.key_is_first).await);
            }
        };
        let count = messages.iter().map(|message| match message {
            SimpleQueryMessage::CommandComplete(count) => *count,
            _ => 0,
        });
        Ok(count.sum())
    }

    /// Makes the ledger say what is ours now.
    async fn keep_ledger(&mut self) -> Result<(), Error> {
        let former = self.change.owned.and_then(Owned::ledger);
        let id = match (former, self.change.declared.and_then(Declared::file)) {
            (None, None) => return Ok(()),
            (Some(former), None) => return ledger::remove(self.transaction, &self.change.table.name, former).await,
            (None, Some(_)) => ledger::create(self.transaction, self.shape, self.live.oid).await?,
            (Some(former), Some(_)) => {
                ledger::update(self.transaction, self.shape, former).await?;
                former.id.clone()
            }
        };
        self.outcome.ledger = self.change.declared.and_then(Declared::file).map(|file| Ledger {
            id,
            columns: file.columns().to_vec(),
            count: file.count(),
            digest: file.digest().to_owned(),
        });
        Ok(())
    }
}
