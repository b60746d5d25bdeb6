//! Makes a row change inside the caller's transaction.
//!
//! **Invariant:** the statements that run on the table are those that the plan listed, and a row of somebody else that
//! differs from its declaration ends the change unless there is consent to overwrite it.
//!
//! While the server's digest says that all is as it was, only what the hashes show to differ is compared.

use tokio_postgres::{SimpleQueryMessage, Transaction};

use super::live::Live;
use super::stage::{Extent, Staged};
use super::steps::{Action, DECLARED, OWNED, Shape, Statement};
use super::sums::Sums;
use super::{
    Declared, FileRows, Ledger, Owned, RowChange, RowOutcome, blame, digest, ledger, pinned, short_cut, stage,
    takeover, verdict,
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
    let mut run =
        Run { transaction, change, shape: &shape, live: &live, locked: false, outcome: RowOutcome::default() };
    if let (Some((candidate, extent)), Some(file)) =
        (short_cut::candidate(transaction, change, &live).await?, change.declared.and_then(Declared::file))
    {
        // From here on nobody else writes, so what is as it was stays so.
        run.lock().await?;
        if let Some(before) = candidate.confirmed(transaction, change.table).await?
            && run.changes(extent, before, file).await?
        {
            return Ok(run.outcome);
        }
        run.outcome = RowOutcome::default();
    }
    run.everything().await?;
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
    /// Compares every row.
    async fn everything(&mut self) -> Result<(), Error> {
        let staged = self.stage(Extent::Everything).await?;
        self.write().await?;
        self.end(staged).await
    }

    /// Sends only what is known to differ. Where a trigger or a reference of the table may change other rows, it is shown
    /// that none was; otherwise everything is taken back, and the answer is no.
    async fn changes(&mut self, extent: Extent, before: Sums, file: &FileRows) -> Result<bool, Error> {
        let (transaction, change) = (self.transaction, self.change);
        if !self.live.is_quiet {
            self.command("savepoint terraform_pg_changes").await?;
        }
        let staged = self.stage(extent).await?;
        let left = digest::of_staged(transaction, change.table, file.columns(), OWNED).await?;
        self.write().await?;
        let come = digest::of_staged(transaction, change.table, file.columns(), DECLARED).await?;
        self.end(staged).await?;
        let expected = before - left + come;
        if let (false, Some(ledger)) = (self.live.is_quiet, &self.outcome.ledger) {
            if digest::of_ledger(transaction, change.table, ledger, None).await? != Some(expected) {
                self.command("rollback to savepoint terraform_pg_changes").await?;
                return Ok(false);
            }
            self.command("release savepoint terraform_pg_changes").await?;
        }
        self.outcome.server_digest = Some(expected.text(file.columns()));
        Ok(true)
    }

    /// Fills the temporary tables, keeps writers out and sees to it that no row of somebody else is overwritten.
    async fn stage(&mut self, extent: Extent) -> Result<Staged, Error> {
        let (transaction, change) = (self.transaction, self.change);
        let failed = |error| Error::postgres(doing(change), &error);
        let former = pinned::pin(transaction, &pinned::FIXED).await.map_err(failed)?;
        let staged = stage::stage(transaction, change, self.shape, extent).await?;
        // Triggers and defaults see the session's own settings again.
        pinned::restore(transaction, former).await.map_err(failed)?;
        self.lock().await?;
        self.outcome.adopted = takeover::check(transaction, change, self.shape, self.live).await?;
        Ok(staged)
    }

    /// What is left to do when the rows are written.
    async fn end(&mut self, staged: Staged) -> Result<(), Error> {
        if !self.live.is_quiet {
            verdict::check(self.transaction, self.change, self.shape, &mut self.outcome).await?;
        }
        self.keep_ledger(staged).await?;
        stage::clear(self.transaction, self.change, self.shape).await
    }

    async fn command(&self, sql: &str) -> Result<(), Error> {
        let result = self.transaction.batch_execute(sql).await;
        result.map_err(|error| Error::postgres(doing(self.change), &error))
    }

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
    async fn keep_ledger(&mut self, staged: Staged) -> Result<(), Error> {
        let former = self.change.owned.and_then(Owned::ledger);
        let id = match (former, self.change.declared.and_then(Declared::file)) {
            (None, None) => return Ok(()),
            (Some(former), None) => return ledger::remove(self.transaction, &self.change.table.name, former).await,
            (None, Some(file)) => ledger::create(self.transaction, self.shape, self.live.oid, file.columns()).await?,
            (Some(former), Some(file)) => {
                let (oid, columns) = (self.live.oid, file.columns());
                ledger::update(self.transaction, self.shape, former, oid, columns, staged).await?;
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
