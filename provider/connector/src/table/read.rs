//! Reads tables and what is to be known of our rows in them, all that are asked for at the same time in one look.
//!
//! **Invariant:** a table and the digest of its inline rows are seen in one snapshot. What a ledger says is looked up
//! afterwards, since that may take long, and counts only for the very table that was seen.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::try_join;
use tokio_postgres::Client;

use super::transaction::looking;
use super::{Look, Seen};
use crate::catalog::{self, ObservedTable};
use crate::database::{Database, Question, Scope, Session};
use crate::error::Error;
use crate::name::TableName;
use crate::rows::{self, Owned, Watched};

const NO_RIGHT: &str = "The user that the connection logs in with may not read the table, perhaps since it has another owner \
    now. Make that user its owner again, which it takes to change the table too, or grant it what it lacks.";

/// Asks what a table is and, when there are rows to watch, for their digest.
#[derive(Clone, Debug)]
struct Reading {
    name: TableName,
    watched: Option<Arc<Watched>>,
}

impl Question for Reading {
    type Answer = Option<(ObservedTable, Option<String>)>;

    fn doing(&self) -> String {
        format!("read table {}", self.name)
    }

    async fn answer(client: &Client, readings: &[Self]) -> Result<Vec<Self::Answer>, Error> {
        let names: HashSet<&TableName> = readings.iter().map(|reading| &reading.name).collect();
        let names: Vec<&TableName> = names.into_iter().collect();
        let watched = || readings.iter().filter_map(|reading| reading.watched.as_deref());
        let with_rows: HashSet<&TableName> = watched().map(|rows| &rows.table.name).collect();
        let with_rows: Vec<&TableName> = with_rows.into_iter().collect();
        // Polled, and so sent, in this order: types are read with the search path that the first one sets.
        let looks = try_join(catalog::look(client, &names), rows::live_columns(client, &with_rows)).await;
        let ((_, found), columns) = looks.map_err(|error| Self::failed(readings, &error))?;
        let is_table = |rows: &&Watched| found.get(&rows.table.name).is_some_and(|table| table.kind.is_table());
        let digests = rows::digests(client, &watched().filter(is_table).collect::<Vec<_>>(), &columns).await?;
        let mut digests = digests.into_iter();
        let answer = |reading: &Self| {
            let table = found.get(&reading.name);
            let is_digested = reading.watched.as_deref().is_some_and(|rows| is_table(&rows));
            let digest = if is_digested { digests.next() } else { None };
            table.map(|table| (table.clone(), digest))
        };
        Ok(readings.iter().map(answer).collect())
    }
}

/// See [`super::read()`].
pub(super) async fn read(
    database: &Database,
    scope: &Scope,
    name: &TableName,
    look: Look<'_>,
) -> Result<Option<Seen>, Error> {
    let watched = match look {
        Look::Rows { table, owned: Owned::Inline(rows), digest: true } => {
            Some(Arc::new(Watched { table: table.clone(), rows: rows.clone() }))
        }
        _ => None,
    };
    let reading = Reading { name: name.clone(), watched };
    let Some((observed, rows_digest)) = database.ask(scope, reading).await.map_err(advised)? else { return Ok(None) };
    let mut seen = Seen { observed, rows_digest, ledger: None };
    let has_ledger = matches!(look, Look::Ledger | Look::Rows { owned: Owned::Ledger(_), .. });
    if has_ledger && seen.observed.kind.is_table() {
        let mut session = database.connect(scope).await?;
        look_at_ledger(&mut session, name, look, &mut seen).await.map_err(|error| scope.explain(advised(error)))?;
        session.give_back();
    }
    Ok(Some(seen))
}

/// Says what a role needs that may not look.
fn advised(error: Error) -> Error {
    if error.sqlstate() == Some("42501") && error.advised().is_none() { error.advice(NO_RIGHT) } else { error }
}

/// Adds what a ledger says of our rows.
async fn look_at_ledger(session: &mut Session, name: &TableName, look: Look<'_>, seen: &mut Seen) -> Result<(), Error> {
    let transaction = looking(session).await?;
    match look {
        Look::Table => {}
        Look::Rows { table, owned, digest } => {
            let owned = rows::believed(&transaction, name, seen.observed.oid, Some(owned)).await?;
            seen.ledger = owned.and_then(Owned::ledger).cloned();
            if let Some(owned) = owned.filter(|_| digest) {
                seen.rows_digest = Some(rows::digest(&transaction, table, owned).await?);
            }
        }
        Look::Ledger => seen.ledger = rows::ledger::sole(&transaction, name, seen.observed.oid).await?,
    }
    Ok(())
}
