//! What to do about the failures that nearly everybody meets when connecting.

use std::fmt::Write as _;

use super::read_only;
use crate::error::Error;
use crate::name::quote_ident;
use crate::settings::{Address, Host, Password, Settings, SslMode};

/// For a host that does not answer.
pub(super) const NO_ANSWER: &str = "check host and port, and that a firewall, security group or VPN lets this machine \
    reach them; connect_timeout sets how long to wait";

/// For a server of the wrong kind.
pub(super) const TARGET: &str = "target_session_attrs (also PGTARGETSESSIONATTRS) asks for another kind of server";

/// Adds advice to an error of connecting.
pub(super) fn on_connect(error: Error, settings: &Settings, host: &Host, had_password: bool) -> Error {
    if error.advised().is_some() {
        return error;
    }
    let advice = connect_advice(&error, settings, host, had_password);
    error.advice_if(advice)
}

/// Adds advice to a statement that ran into `lock_timeout`, `statement_timeout` or the patience of a pooler, or that could
/// not write at all.
pub(super) fn on_statement(error: Error) -> Error {
    let advice = match error.sqlstate() {
        Some("55P03") => {
            "another session holds a lock on the object; try again when it is done (pg_stat_activity shows it), or raise \
             lock_timeout"
        }
        Some("57014") if error.message().contains("statement timeout") => {
            "raise the provider's statement_timeout, or that of the role or the database"
        }
        Some("25006") => read_only::ADVICE,
        Some("08P01") if error.message().contains("query_wait_timeout") => {
            "the pooler lends too few sessions; raise its pool size, or lower the provider's max_connections below it: a \
             concurrent index build needs two sessions at once"
        }
        _ => return error,
    };
    if error.advised().is_some() { error } else { error.advice(advice) }
}

fn connect_advice(error: &Error, settings: &Settings, host: &Host, had_password: bool) -> Option<String> {
    let message = error.message();
    let text = match error.sqlstate() {
        Some("53300") => format!(
            "all connections are taken that the server, or the limit of the role or the database, allows; lower \
             max_connections (now {}), run with less -parallelism, end idle sessions, or raise the limit",
            settings.max_connections
        ),
        Some("57P03") => "the server is starting up, shutting down or recovering; try again in a moment".to_owned(),
        Some("28P01" | "28000") if message.contains("pg_hba") && settings.tls.mode == SslMode::Disable => {
            "the server does not let this user in from this address without TLS; sslmode = \"require\" may be all it needs"
                .to_owned()
        }
        Some("28000") if message.contains("pg_hba") => {
            "the server's pg_hba.conf has no rule for this user, database, address and encryption; on a managed service, \
             look at its list of allowed networks and users"
                .to_owned()
        }
        Some("28P01" | "28000") => match (&settings.password, had_password) {
            (Password::Command(_), _) if !message.contains("does not exist") => {
                "check that password_command prints the password or token for exactly this user, host and port; for IAM \
                 users, that the role may log in with a token (RDS: grant rds_iam to it) and that TLS is on"
                    .to_owned()
            }
            // Not the password: the role, or a way of logging in that takes none.
            _ if error.sqlstate() == Some("28000") => {
                "check username: the role must exist and may log in (alter role … login); where pg_hba.conf asks for the \
                 operating system's user (peer, ident) or a client certificate, that must be the one of this role"
                    .to_owned()
            }
            (_, true) => "check username and password, or use password_command for RDS, Cloud SQL and Entra tokens".to_owned(),
            (_, false) => no_password(settings),
        },
        Some("3D000") => "create the database first, or correct the attribute database".to_owned(),
        Some("42501") => {
            let (role, database) = (quote_ident(&settings.user), quote_ident(&settings.database));
            format!("have an administrator grant the role the right: grant connect on database {database} to {role}")
        }
        Some("55000") => {
            "the database is closed for connections (alter database … allow_connections true opens it); name another one"
                .to_owned()
        }
        Some("42704" | "22023" | "55P02") if settings.options.is_some() => {
            "check the options of the connection (PGOPTIONS, or options in the connection string or service): the server \
             takes every setting in there or refuses the connection"
                .to_owned()
        }
        Some("08P01" | "0A000") if message.contains("startup parameter") => {
            "a pooler such as PgBouncer refuses a startup parameter; leave out PGOPTIONS, or add the parameter to its \
             ignore_startup_parameters"
                .to_owned()
        }
        None if message.contains("password missing") => no_password(settings),
        None if message.contains("onnection refused") => format!(
            "nothing listens there; check host and port ({}), that the server runs, and that it listens on this address",
            host.port
        ),
        None if message.contains("No such file or directory") && matches!(host.address, Address::Unix(_)) => {
            "no server listens on that unix socket; set host (or PGHOST) to the server's host name or socket folder".to_owned()
        }
        None if message.contains("lookup address") || message.contains("resolve") => {
            "the host name cannot be resolved here; check its spelling, and whether it is only known in a private network"
                .to_owned()
        }
        None if message.contains("does not support TLS") => {
            "the server has no TLS; turn it on there, or set sslmode = \"disable\" if the network is trusted".to_owned()
        }
        None if ["bytes remaining on stream", "early eof", "connection closed"].iter().any(|w| message.contains(w)) => {
            "what listens there ended the connection before it could be used; check that host and port are those of a Postgres server \
             or its pooler, and look into its log"
                .to_owned()
        }
        None if message.contains("timed out") => NO_ANSWER.to_owned(),
        Some(_) | None => return None,
    };
    Some(text)
}

/// What to do about a missing password, with the reason why the password file was not used.
fn no_password(settings: &Settings) -> String {
    let mut advice =
        "the server wants a password, and there is none; set password, password_command, PGPASSWORD or a line \
        in the pgpass file"
            .to_owned();
    for warning in settings.warnings.iter().filter(|warning| warning.contains("password file")) {
        let _ = write!(advice, "; {warning}");
    }
    advice
}
