//! Drops a table, or empties one that somebody else manages of our rows.
//!
//! **Invariant:** never cascades, and counts what would be lost once more under the lock.

use tokio_postgres::Transaction;

use super::{TableDrop, Warning, check, explain, render, transaction, veto};
use crate::database::{Database, Retries, Scope, Session, TableLock};
use crate::error::Error;
use crate::rows::{self, Owned, RowChange};
use crate::spec::ManagedBy;
use crate::step::{Hazard, Step};

/// See [`super::plan_drop`].
pub(super) fn steps(drop: &TableDrop) -> Vec<Step> {
    let table = &drop.declared;
    if table.managed_by == ManagedBy::User {
        return rows::steps(&rows_only(drop));
    }
    vec![render::lock_table(&table.name), render::drop_table(&table.name)]
}

/// What becomes of a table that stays: it is emptied of our rows.
fn rows_only(drop: &TableDrop) -> RowChange<'_> {
    RowChange {
        table: &drop.declared,
        owned: drop.owned.as_ref(),
        declared: None,
        force: drop.force_destroy,
        server_digest: None,
    }
}

/// See [`super::drop()`].
pub(super) async fn drop(database: &Database, scope: &Scope, drop: &TableDrop) -> Result<Vec<Warning>, Error> {
    let (lock, mut session) = database.lock_table(&drop.declared.name, scope).await?;
    let mut retries = Retries::new(scope);
    loop {
        match once(database, &mut session, &lock, drop).await {
            Ok(warnings) => return Ok(warnings),
            Err(error) => retries.after(error).await?,
        }
    }
}

async fn once(
    database: &Database,
    session: &mut Session,
    lock: &TableLock,
    drop: &TableDrop,
) -> Result<Vec<Warning>, Error> {
    let table = &drop.declared;
    let ours_only = table.managed_by == ManagedBy::User;
    let doing = if ours_only { format!("delete rows of {}", table.name) } else { format!("drop table {}", table.name) };
    let failed = |error| Error::postgres(&*doing, &error);
    let transaction = transaction::begin(database, session, lock, &doing).await?;
    let ledger = drop.owned.as_ref().and_then(Owned::ledger);
    let Some(live) = transaction::observe(&transaction, &table.name, &doing).await? else {
        if let Some(ledger) = ledger {
            rows::ledger::discard(&transaction, &table.name, ledger).await?;
            transaction.commit().await.map_err(failed)?;
        }
        return Ok(Vec::new());
    };
    if let Some(planned) = &drop.observed {
        let differences = planned.differences(&live, table.columns.iter().map(|column| column.name.as_str()));
        if !differences.is_empty() {
            return Err(check::changed(&doing, &differences));
        }
    }
    if !live.kind.is_table() {
        return Err(Error::new(&*doing, format!("it is {} now", live.kind.noun())));
    }
    let mut warnings = Vec::new();
    if ours_only {
        rows::reconcile(&transaction, &rows_only(drop)).await?;
    } else {
        for step in steps(drop) {
            if step.hazards.contains(&Hazard::DestroysData) {
                warnings = veto::before_drop(&transaction, drop, &live).await?;
            }
            run(&transaction, &doing, step).await?;
        }
        if let Some(ledger) = ledger {
            rows::ledger::discard(&transaction, &table.name, ledger).await?;
        }
    }
    transaction.commit().await.map_err(failed)?;
    Ok(warnings)
}

async fn run(transaction: &Transaction<'_>, doing: &str, step: Step) -> Result<(), Error> {
    transaction.batch_execute(&step.sql).await.map_err(|error| explain::drop(doing, &step.sql, &error))
}
