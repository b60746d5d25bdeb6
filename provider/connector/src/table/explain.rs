//! What a failed statement means and what to do about it.
//!
//! **Invariant:** literals of statements are masked before they become part of an error.

use super::script::Action;
use crate::error::{Blame, Error, ServerError};
use crate::sql_text::mask_literals;

/// For a column or table that something else depends on.
const DEPENDS: &str = "Something outside of this declaration depends on it; Postgres names it above. If it comes from an \
    attachment, set `lifecycle { replace_triggered_by = [...] }` on that attachment and name this table's columns in the \
    list: then its teardown runs before this change and its setup after. Otherwise drop it yourself first.";

/// For a table that something else depends on.
const KEEPS: &str = "Something that is not declared with the table depends on it; Postgres names it above. Drop it first: \
    nothing is dropped here that was not made here. What an attachment makes, its teardown can drop before the table goes.";

/// For a type that the server does not find.
pub(super) const UNKNOWN: &str = "Check the spelling, and whether it has to be made first; types in schemas other than the \
    table's, public and those of extensions need their schema: my_schema.my_type.";

/// For a table or column that is not free to be changed.
const BOUND: &str = "A partition, a child table and a table of a type have their columns from their parent or type, and a \
    column of a partition key stays as it is. Declare the parent here instead, and change it there.";

const CHANGED: &str = "The table changed since the plan was made. Nothing was written; plan again.";

/// The error of a statement.
pub(super) fn statement(doing: &str, action: &Action, error: &tokio_postgres::Error) -> Error {
    let error = Error::postgres(doing, error).statement(mask_literals(&action.step.sql));
    let Some(server) = error.server().cloned() else { return error };
    error.blame_if(blame(action, &server)).advice_if(advice(&server))
}

/// The part of the declaration that the server points at, or the only one there is.
fn blame(action: &Action, server: &ServerError) -> Option<Blame> {
    let position = server.position.and_then(|at| usize::try_from(at).ok()?.checked_sub(1));
    let pointed = position.and_then(|at| action.origins.iter().find(|origin| origin.at.contains(&at)));
    let named = || server.column.as_ref().and_then(|name| action.origins.iter().find(|origin| &origin.column == name));
    let first = action.origins.first();
    let only = || first.filter(|first| action.origins.iter().all(|origin| origin.column == first.column));
    let (origin, exact) = match (pointed, named(), only()) {
        (Some(origin), _, _) => (origin, true),
        (None, Some(origin), _) | (None, None, Some(origin)) => (origin, action.origins.len() == 1),
        (None, None, None) => return None,
    };
    Some(Blame::Column(origin.column.clone(), origin.part.filter(|_| exact)))
}

/// The error of a drop.
pub(super) fn drop(doing: &str, sql: &str, error: &tokio_postgres::Error) -> Error {
    let error = Error::postgres(doing, error).statement(sql);
    let advice = match error.server() {
        Some(server) if server.sqlstate == "2BP01" => Some(KEEPS),
        server => server.and_then(advice),
    };
    error.advice_if(advice)
}

fn advice(server: &ServerError) -> Option<&'static str> {
    Some(match server.sqlstate.as_str() {
        "2BP01" => DEPENDS,
        // "cannot alter type of a column used by a view or rule", "… by a policy", "… by a generated column".
        "0A000" if server.message.contains("type of a column") => DEPENDS,
        "42501" => {
            "The user that the connection logs in with lacks a right: only the owner of a table (or a member of the owning \
             role) can alter or drop it, and making one takes the create right on its schema."
        }
        "42704" => UNKNOWN,
        "42804" if server.message.contains("default for column") => {
            "The column has a default that does not fit the new type. Declare the default that it should have from now on."
        }
        "42846" | "42804" => {
            "Postgres has no cast between these types; add a column of another name, and drop this one later."
        }
        "42809" | "42P16" => BOUND,
        "42P07" | "42701" | "42703" | "42P01" => CHANGED,
        "55006" => {
            "A statement before it left work behind that is only done at the end of the transaction, such as deferred \
                    triggers; try again."
        }
        _ => return None,
    })
}
