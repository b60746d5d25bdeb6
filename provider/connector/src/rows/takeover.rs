//! Declared rows that are there already and were never declared here.
//!
//! **Invariant:** a row of somebody else that differs from its declaration is an error unless there is consent; one that
//! is the same becomes ours, and that is said.

use tokio_postgres::Transaction;

use super::key;
use super::live::Live;
use super::place::{self, Place};
use super::steps::Shape;
use super::{Counted, Declared, MOST_NAMED, RowChange};
use crate::error::Error;

/// Looks for declared keys whose rows are there and not ours, and for keys that only the server sees to be the same.
pub(super) async fn check(
    transaction: &Transaction<'_>,
    change: &RowChange<'_>,
    shape: &Shape,
    live: &Live,
) -> Result<Counted, Error> {
    if shape.groups.is_empty() {
        return Ok(Counted::default());
    }
    let unseen = change.declared.and_then(Declared::file).is_some_and(|file| file.hashes().is_none());
    if unseen || !live.key_is_exact {
        duplicates(transaction, change, shape).await?;
    }
    let failed = |error| Error::postgres(doing(change), &error);
    let mut adopted = Counted::default();
    let mut different = 0_u64;
    let mut first_different = Vec::new();
    for at in 0..shape.groups.len() {
        let sql = shape.count_takeovers(at);
        let row = transaction.query_typed_one(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))?;
        let count = |at| row.try_get::<_, i64>(at).map(|count| u64::try_from(count).unwrap_or_default());
        let (all, differ) = (count(0).map_err(failed)?, count(1).map_err(failed)?);
        let room = |named: usize| MOST_NAMED.saturating_sub(named);
        if all > differ {
            let sql = shape.first_takeovers(at, false, room(adopted.first.len()));
            for row in transaction.query_typed(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))? {
                let values: Vec<String> = row.try_get(0).map_err(failed)?;
                adopted.first.push(key::shown(&shape.keys, values.iter().map(String::as_str)));
            }
            adopted.count += all - differ;
        }
        if differ > 0 && !change.force {
            let sql = shape.first_takeovers(at, true, room(first_different.len()));
            for row in transaction.query_typed(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))? {
                let values: Vec<String> = row.try_get(0).map_err(failed)?;
                let differs: Vec<bool> = row.try_get(1).map_err(failed)?;
                let columns = differs.iter().zip(&shape.groups[at].columns).filter(|(differs, _)| **differs);
                first_different.push((values, columns.map(|(_, name)| name.clone()).collect()));
            }
            different += differ;
        }
    }
    if different == 0 { Ok(adopted) } else { Err(refusal(change, shape, different, first_different).await) }
}

fn doing(change: &RowChange<'_>) -> String {
    format!("write rows of {}", change.table.name)
}

async fn duplicates(transaction: &Transaction<'_>, change: &RowChange<'_>, shape: &Shape) -> Result<(), Error> {
    let failed = |error| Error::postgres(doing(change), &error);
    let sql = shape.duplicates();
    let found = transaction.query_typed_opt(&sql, &[]).await.map_err(|error| failed(error).statement(&*sql))?;
    let Some(row) = found else { return Ok(()) };
    let values: Vec<String> = row.try_get(0).map_err(failed)?;
    let shown = key::shown(&shape.keys, values.iter().map(String::as_str));
    let places = place::with_key(change, &values, 2).await;
    let message = match places.as_slice() {
        [first, second] => format!("the key {shown} is declared twice, by {} and by {}", first.named(), second.named()),
        _ => format!("the key {shown} is declared twice, in different spellings"),
    };
    let error = Error::new(doing(change), message).advice("Take one of the rows out, or give it another key.");
    Err(places.into_iter().next_back().into_iter().fold(error, |error, place| place.blame(error, None)))
}

/// The error for rows of somebody else that would be overwritten.
async fn refusal(change: &RowChange<'_>, shape: &Shape, count: u64, first: Vec<(Vec<String>, Vec<String>)>) -> Error {
    let mut columns: Vec<&str> = first.iter().flat_map(|(_, columns)| columns).map(String::as_str).collect();
    columns.sort_unstable();
    columns.dedup();
    let mut blamed: Option<Place> = None;
    let mut named = Vec::new();
    for (values, _) in &first {
        let shown = key::shown(&shape.keys, values.iter().map(String::as_str));
        match place::with_key(change, values, 1).await.pop() {
            Some(place) => {
                named.push(format!("({shown}), {},", place.named()));
                blamed.get_or_insert(place);
            }
            None => named.push(format!("({shown})")),
        }
    }
    if count > named.len() as u64 {
        named.push(format!("{} more", count - named.len() as u64));
    }
    let (noun, is, differs) = if count == 1 { ("the row", "is", "differs") } else { ("the rows", "are", "differ") };
    let message = format!(
        "{noun} {} {is} in the table already, not declared here before, and {differs} from the declaration in {}",
        named.join(" and "),
        columns.join(", ")
    );
    let error = Error::new(doing(change), message)
        .advice("Declare what the table holds, delete what is there, or set force_destroy = true to overwrite it.");
    blamed.into_iter().fold(error, |error, place| place.blame(error, None))
}
