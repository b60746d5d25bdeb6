//! Forbids null in columns without keeping anybody waiting: a check is made that new rows must pass, the old rows are
//! validated beside the writers, and with that proof `set not null` takes but a moment.
//!
//! **Invariant:** each of the short transactions leaves a state that the next apply recognises by the check's name, and
//! finishes or clears up.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::script::{Action, Kind, Script};
use super::{TableChange, check, doing, explain, probe, render, transaction};
use crate::catalog::ObservedTable;
use crate::database::{Database, Retries, Scope, Session, TableLock};
use crate::error::Error;

/// How long clearing up may take.
const CLEAR_UP: Duration = Duration::from_secs(10);

/// Runs the script. The table is then as declared.
pub(super) async fn run(
    database: &Database,
    session: &mut Session,
    lock: &TableLock,
    change: &TableChange,
    script: &Script<'_>,
) -> Result<(), Error> {
    let mut expected = change.clone();
    for part in parts(&script.actions) {
        let scope = session.scope().clone();
        let mut retries = Retries::new(&scope);
        loop {
            let Err(error) = once(database, session, lock, &expected, part).await else { break };
            let data_is_at_fault = matches!(error.sqlstate(), Some("23514" | "23502"));
            let Err(error) = retries.after(error).await else { continue };
            if data_is_at_fault {
                clear_up(database, session, lock, change, part).await;
            }
            return Err(error);
        }
        if let (Some(observed), [Action { kind: Kind::NotNull(columns), .. }, ..]) = (&mut expected.observed, part) {
            observed.columns.iter_mut().filter(|c| columns.contains(&c.name)).for_each(|c| c.nullable = false);
        }
    }
    Ok(())
}

/// What belongs into one transaction: `set not null` and the end of the check.
fn parts(actions: &[Action]) -> Vec<&[Action]> {
    actions.chunk_by(|a, b| matches!((&a.kind, &b.kind), (Kind::NotNull(_), Kind::DropCheck(_)))).collect()
}

async fn once(
    database: &Database,
    session: &mut Session,
    lock: &TableLock,
    expected: &TableChange,
    part: &[Action],
) -> Result<(), Error> {
    let doing = doing(expected);
    let transaction = transaction::begin(database, session, lock, &doing).await?;
    let live = transaction::observe(&transaction, &expected.desired.name, &doing).await?;
    check::unchanged(expected, live.as_ref())?;
    for action in part {
        if is_there(action, live.as_ref()) {
            continue;
        }
        if let Err(error) = transaction.batch_execute(&action.step.sql).await {
            let error = explain::statement(&doing, action, &error);
            let (Kind::ValidateCheck(column), Some("23514")) = (&action.kind, error.sqlstate()) else {
                return Err(error);
            };
            std::mem::drop(transaction);
            let transaction = transaction::begin(database, session, lock, &doing).await?;
            return Err(probe::null(&transaction, &expected.desired, &[(column, false)], error).await);
        }
    }
    transaction.commit().await.map_err(|error| Error::postgres(doing, &error))
}

/// Whether an interrupted apply has made the check already.
fn is_there(action: &Action, live: Option<&ObservedTable>) -> bool {
    let Kind::AddCheck(column) = &action.kind else { return false };
    let name = render::check_name(column);
    live.is_some_and(|live| live.not_null_checks.iter().any(|check| check.name == name))
}

/// Without the check, writers may write null again. When this fails, the next apply does it.
async fn clear_up(database: &Database, session: &mut Session, lock: &TableLock, change: &TableChange, part: &[Action]) {
    let Some(Kind::ValidateCheck(column)) = part.first().map(|action| &action.kind) else { return };
    let scope = Scope::new(CancellationToken::new(), Some(CLEAR_UP));
    session.watch(&scope);
    let table = &change.desired.name;
    let step = render::drop_check(table, &render::check_name(column));
    let mut retries = Retries::new(&scope);
    loop {
        let attempt = async {
            let transaction = transaction::begin(database, session, lock, "clear up").await?;
            let failed = |error| Error::postgres("clear up", &error);
            transaction.batch_execute(&step.sql).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)
        };
        let Err(error) = attempt.await else { return };
        if let Err(error) = retries.after(error).await {
            tracing::warn!(%table, %error, "a check is left behind; the next apply drops it");
            return;
        }
    }
}
