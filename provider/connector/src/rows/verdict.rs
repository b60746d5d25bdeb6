//! Whether what was written is there: on a table whose triggers, rules or references may have had their own way.
//!
//! **Invariant:** a declared row that is not there after all ends the change. A row that is there otherwise than it was
//! declared, or that is there although it was deleted, is said.

use tokio_postgres::Transaction;

use super::key;
use super::place;
use super::steps::Shape;
use super::{Counted, MOST_NAMED, RowChange, RowOutcome};
use crate::error::Error;

/// Looks at the staged rows once more.
pub(super) async fn check(
    transaction: &Transaction<'_>,
    change: &RowChange<'_>,
    shape: &Shape,
    outcome: &mut RowOutcome,
) -> Result<(), Error> {
    let failed = |error| Error::postgres(doing(change), &error);
    let number = |count: i64| u64::try_from(count).unwrap_or_default();
    let (mut altered, mut missing, mut first_missing) = (Counted::default(), 0, Vec::new());
    for at in 0..shape.groups.len() {
        let sql = shape.count_unwritten(at);
        let row = transaction.query_typed_one(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))?;
        let gone = number(row.try_get(0).map_err(failed)?);
        let differ = number(row.try_get(1).map_err(failed)?);
        if gone > 0 {
            let limit = MOST_NAMED.saturating_sub(first_missing.len());
            first_missing.extend(keys(transaction, change, &shape.first_unwritten(at, true, limit)).await?);
        }
        if differ > 0 {
            let limit = MOST_NAMED.saturating_sub(altered.first.len());
            let found = keys(transaction, change, &shape.first_unwritten(at, false, limit)).await?;
            altered.first.extend(found.iter().map(|values| shown(shape, values)));
        }
        (missing, altered.count) = (missing + gone, altered.count + differ);
    }
    if missing > 0 {
        return Err(refusal(change, shape, missing, &first_missing).await);
    }
    outcome.altered = altered;
    if shape.removes {
        let sql = shape.kept(MOST_NAMED);
        let rows = transaction.query_typed(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))?;
        for row in rows {
            let values: Vec<String> = row.try_get(0).map_err(failed)?;
            outcome.kept.first.push(shown(shape, &values));
            outcome.kept.count = number(row.try_get(1).map_err(failed)?);
        }
    }
    Ok(())
}

fn doing(change: &RowChange<'_>) -> String {
    format!("write rows of {}", change.table.name)
}

fn shown(shape: &Shape, values: &[String]) -> String {
    key::shown(&shape.keys, values.iter().map(String::as_str))
}

async fn keys(transaction: &Transaction<'_>, change: &RowChange<'_>, sql: &str) -> Result<Vec<Vec<String>>, Error> {
    let failed = |error| Error::postgres(doing(change), &error).statement(sql);
    let rows = transaction.query_typed(sql, &[]).await.map_err(failed)?;
    rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(failed)
}

/// The error for declared rows that were written and are not there.
async fn refusal(change: &RowChange<'_>, shape: &Shape, count: u64, first: &[Vec<String>]) -> Error {
    let counted = Counted { count, first: first.iter().map(|values| shown(shape, values)).collect() };
    let (noun, is) = if count == 1 { ("the row", "is") } else { ("the rows", "are") };
    let message = format!(
        "{noun} {} {is} not in the table after the write: a trigger, a rule or a row security policy of it keeps declared \
         rows away",
        counted.named()
    );
    let error = Error::new(doing(change), message)
        .advice("Nothing was written. Rows can only be declared where they stay: change the trigger, rule or policy, or do not declare these rows.");
    let place = match first.first() {
        Some(values) => place::with_key(change, values, 1).await.pop(),
        None => None,
    };
    place.into_iter().fold(error, |error, place| place.blame(error, None))
}
