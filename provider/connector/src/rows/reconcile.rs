//! Makes a row change inside the caller's transaction.
//!
//! **Invariant:** the statements that run on the table are those that the plan listed, and a row of somebody else that
//! differs from its declaration ends the change unless there is consent to overwrite it.

use tokio_postgres::types::Type;
use tokio_postgres::{SimpleQueryMessage, Transaction};

use super::declare::named_row;
use super::key::{self, Key};
use super::steps::{Action, Shape, Statement, key_positions, nonempty};
use super::{RowChange, RowOutcome, blame, pinned, stage};
use crate::error::{Blame, Error, RowLabel};

/// The most keys that a message names.
const MOST_NAMED: usize = 5;

pub(super) async fn reconcile(transaction: &Transaction<'_>, change: &RowChange<'_>) -> Result<RowOutcome, Error> {
    let shape = Shape::of(change)?;
    let mut outcome = RowOutcome::default();
    if !shape.removes && shape.groups.is_empty() {
        return Ok(outcome);
    }
    let failed = |error| Error::postgres(format!("write rows of {}", change.table.name), &error);
    let key_is_first = key_is_first(transaction, change).await.map_err(failed)?;
    let former = pinned::pin(transaction, &pinned::FIXED).await.map_err(failed)?;
    stage::stage(transaction, change, &shape).await?;
    // Triggers and defaults see the session's own settings again.
    pinned::restore(transaction, former).await.map_err(failed)?;
    let keys: &[String] = if key_is_first { &shape.keys } else { &[] };
    let (locks, writes): (Vec<_>, Vec<_>) =
        shape.statements().into_iter().partition(|statement| statement.action == Action::Lock);
    for statement in &locks {
        run(transaction, change, keys, statement).await?;
    }
    outcome.adopted = takeover(transaction, change, &shape).await?;
    for statement in &writes {
        let count = run(transaction, change, keys, statement).await?;
        match statement.action {
            Action::Lock => {}
            Action::Delete => outcome.deleted += count,
            Action::Update => outcome.updated += count,
            Action::Insert => outcome.inserted += count,
        }
    }
    stage::clear(transaction, change).await?;
    Ok(outcome)
}

/// Runs one statement as it stands, without preparing it: a pooler between us and the server may not keep it. Returns the
/// number of rows.
async fn run(
    transaction: &Transaction<'_>,
    change: &RowChange<'_>,
    keys: &[String],
    statement: &Statement,
) -> Result<u64, Error> {
    let messages = transaction.simple_query(&statement.sql).await.map_err(|error| {
        let error = Error::postgres(format!("write rows of {}", change.table.name), &error);
        blame::of_write(error.statement(&*statement.sql), change.declared, keys)
    })?;
    let count = messages.iter().map(|message| match message {
        SimpleQueryMessage::CommandComplete(count) => *count,
        _ => 0,
    });
    Ok(count.sum())
}

/// Whether the table's first columns are those of the primary key, in its order.
async fn key_is_first(transaction: &Transaction<'_>, change: &RowChange<'_>) -> Result<bool, tokio_postgres::Error> {
    let sql = "select attname::text from pg_catalog.pg_attribute \
               where attrelid = $1::text::pg_catalog.regclass and attnum > 0 and not attisdropped order by attnum";
    let name = change.table.name.to_string();
    let rows = transaction.query_typed(sql, &[(&name, Type::TEXT)]).await?;
    let columns = rows.iter().map(|row| row.try_get::<_, String>(0)).collect::<Result<Vec<_>, _>>()?;
    Ok(columns.starts_with(&change.table.primary_key))
}

/// Looks for declared keys whose rows are there and not ours. Returns those that are the same as declared.
async fn takeover(transaction: &Transaction<'_>, change: &RowChange<'_>, shape: &Shape) -> Result<Vec<String>, Error> {
    let doing = || format!("write rows of {}", change.table.name);
    let failed = |error| Error::postgres(doing(), &error);
    let kinds = key::kinds(change.table);
    if !shape.groups.is_empty() && !kinds.iter().all(key::is_exact) {
        let duplicates = transaction.query_typed(&shape.duplicates(), &[]).await.map_err(failed)?;
        if let Some(row) = duplicates.first() {
            let values: Vec<String> = row.try_get(0).map_err(failed)?;
            let shown = key::shown(&shape.keys, values.iter().map(String::as_str));
            return Err(Error::new(doing(), format!("the key {shown} is declared twice, in different spellings"))
                .advice("Take one of the rows out, or give it another key."));
        }
    }
    let mut adopted = Vec::new();
    let mut different: Vec<(String, Option<RowLabel>)> = Vec::new();
    let mut columns: Vec<&str> = Vec::new();
    for (at, group) in shape.groups.iter().enumerate() {
        let sql = shape.takeover(at);
        let rows = transaction.query_typed(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))?;
        for row in rows {
            let values: Vec<String> = row.try_get(0).map_err(failed)?;
            let differs: Vec<bool> = row.try_get(1).map_err(failed)?;
            let shown = key::shown(&shape.keys, values.iter().map(String::as_str));
            if !differs.contains(&true) {
                adopted.push(shown);
                continue;
            }
            let here = differs.iter().zip(&group.columns).filter(|(differs, _)| **differs).map(|(_, c)| c.as_str());
            columns.extend(here);
            let parts = kinds.iter().zip(&values).map(|(kind, value)| key::part(kind, value)).collect();
            different.push((shown, label_of(change, &parts)?));
        }
    }
    if different.is_empty() || change.force {
        return Ok(adopted);
    }
    columns.sort_unstable();
    columns.dedup();
    let mut named: Vec<String> = different
        .iter()
        .take(MOST_NAMED)
        .map(|(key, label)| {
            label.as_ref().map_or_else(|| format!("({key})"), |l| format!("({key}), {},", named_row(l)))
        })
        .collect();
    if different.len() > MOST_NAMED {
        named.push(format!("{} more", different.len() - MOST_NAMED));
    }
    let (noun, verb) = if different.len() == 1 { ("the row", "differs") } else { ("the rows", "differ") };
    let message = format!(
        "{noun} {} {} in the table already, not declared here before, and {verb} from the declaration in {}",
        named.join(" and "),
        if different.len() == 1 { "is" } else { "are" },
        columns.join(", ")
    );
    let error = Error::new(doing(), message)
        .advice("Declare what the table holds, delete what is there, or set force_destroy = true to overwrite it.");
    Err(match different.into_iter().find_map(|(_, label)| label) {
        Some(label) => error.blame(Blame::Row(label, None)),
        None => error,
    })
}

/// The declared row with that key.
fn label_of(change: &RowChange<'_>, wanted: &Key) -> Result<Option<RowLabel>, Error> {
    let kinds = key::kinds(change.table);
    for group in nonempty(change.declared) {
        let positions = key_positions(change, group)?;
        if let Some(row) = group.rows.iter().find(|row| key::of_row(&kinds, &positions, row) == *wanted) {
            return Ok(Some(row.label.clone()));
        }
    }
    Ok(None)
}
