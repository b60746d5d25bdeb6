//! Why a session takes no writes, and what to do about it.
//!
//! **Invariant:** asked only once a session is known to be read only, so it costs nothing where writes work; and whatever
//! cannot be found out, the error is still one about a read-only session.

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::error::Error;
use crate::name::TableName;

/// Whether the server takes writes now, as a column of a query.
pub(super) const IS_READ_ONLY: &str = "pg_catalog.current_setting('transaction_read_only')";

/// What the answer rests on: whether the server follows another, where the setting comes from, database and role.
const WHY: &str = "select pg_catalog.pg_is_in_recovery(), \
    (select source from pg_catalog.pg_settings where name = 'default_transaction_read_only' and setting = 'on'), \
    pg_catalog.quote_ident(pg_catalog.current_database()), pg_catalog.quote_ident(current_user)";

/// Finds the host that takes writes.
const OTHER_HOST: &str = "Connect to the server that takes writes: change the host, or list all of them and let the one \
    that takes writes be found with target_session_attrs=read-write in connection_string or PGTARGETSESSIONATTRS=read-write";

/// The same for a server that was perhaps the right one.
const AMONG_HOSTS: &str = "Where several hosts are given, target_session_attrs=read-write in connection_string (or \
    PGTARGETSESSIONATTRS=read-write) picks one that takes writes";

/// For a session of which nothing more is known.
pub(super) const ADVICE: &str = "The session or its transaction is read only. Log in with a role, or to a host, that may \
    write; target_session_attrs=read-write (also PGTARGETSESSIONATTRS) finds that host among several";

/// The error for what would be written for a table. Plans and reads go on working.
pub(super) async fn refusal(client: &Client, table: &TableName) -> Error {
    let messages = client.simple_query(WHY).await.unwrap_or_default();
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let column = |at: usize| row.and_then(|row| row.try_get(at).ok().flatten()).unwrap_or_default();
    said(table, column(0) == "t", column(1), column(2), column(3))
}

fn said(table: &TableName, follows: bool, source: &str, database: &str, role: &str) -> Error {
    let doing = format!("write to database {database} for table {table}");
    if follows {
        return Error::new(doing, "the session is read only, since the server is a standby that follows another")
            .advice(format!("Nothing was written. {OTHER_HOST}."));
    }
    let setting = "the session is read only, since default_transaction_read_only is on";
    let (why, undo) = match source {
        "database" => (format!(" for the database {database}"), format!("alter database {database}")),
        "user" | "global" => (format!(" for the role {role}"), format!("alter role {role}")),
        "database user" => {
            let both = format!("alter role {role} in database {database}");
            (format!(" for the role {role} in the database {database}"), both)
        }
        "client" => {
            let advice =
                "Nothing was written. Take it out of PGOPTIONS, or of options in the connection string or service.";
            return Error::new(doing, format!("{setting} in the options of the connection")).advice(advice);
        }
        "" => {
            return Error::new(doing, "the session is read only").advice(format!("Nothing was written. {ADVICE}."));
        }
        _ => (" in the server's configuration".to_owned(), "alter system".to_owned()),
    };
    let undo = format!("`{undo} reset default_transaction_read_only`");
    Error::new(doing, format!("{setting}{why}")).advice(format!(
        "Nothing was written. Log in with another role, or have an administrator run {undo}. {AMONG_HOSTS}."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_way_out() {
        let table = TableName::new("public", "t");
        for (follows, source, why, way_out) in [
            (true, "database", "is a standby", "PGTARGETSESSIONATTRS"),
            (false, "database", "for the database shop", "alter database shop reset"),
            (false, "user", "for the role ann", "alter role ann reset"),
            (false, "database user", "for the role ann in the database shop", "alter role ann in database shop reset"),
            (false, "client", "options of the connection", "PGOPTIONS"),
            (false, "configuration file", "the server's configuration", "alter system reset"),
            (false, "", "the session is read only", "PGTARGETSESSIONATTRS"),
        ] {
            let error = said(&table, follows, source, "shop", "ann");
            assert_eq!(error.doing(), "write to database shop for table public.t");
            assert!(error.message().contains(why), "{error}");
            let advice = error.advised().unwrap();
            assert!(advice.contains(way_out) && advice.starts_with("Nothing was written."), "{advice}");
        }
    }
}
