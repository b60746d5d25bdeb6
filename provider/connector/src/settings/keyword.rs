//! libpq's connection keywords: which are used, which change nothing here, which are refused.
//!
//! **Invariant:** a setting that would make a connection safer than we can make it is refused, never ignored.

/// One of libpq's keywords.
#[derive(Debug)]
pub(super) struct Keyword {
    /// Its name in connection strings and service files.
    pub(super) name: &'static str,
    /// The environment variable that sets it.
    pub(super) variable: Option<&'static str>,
    /// What becomes of it here.
    pub(super) support: Support,
}

/// What becomes of a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Support {
    /// It is used.
    Used,
    /// It changes nothing that matters here.
    Ignored,
    /// It is refused with this advice, unless it has this value.
    Refused(&'static str, &'static str),
}

use Support::{Ignored, Refused, Used};

const NO_GSS: &str = "Kerberos (GSSAPI) is not supported; leave it out";

/// All keywords of libpq 18.
pub(super) static KEYWORDS: &[Keyword] = &[
    keyword("host", "PGHOST", Used),
    keyword("hostaddr", "PGHOSTADDR", Used),
    keyword("port", "PGPORT", Used),
    keyword("dbname", "PGDATABASE", Used),
    keyword("user", "PGUSER", Used),
    keyword("password", "PGPASSWORD", Used),
    keyword("passfile", "PGPASSFILE", Used),
    keyword("service", "PGSERVICE", Used),
    keyword("servicefile", "PGSERVICEFILE", Used),
    keyword("connect_timeout", "PGCONNECT_TIMEOUT", Used),
    keyword("application_name", "PGAPPNAME", Used),
    keyword("fallback_application_name", "", Used),
    keyword("options", "PGOPTIONS", Used),
    keyword("target_session_attrs", "PGTARGETSESSIONATTRS", Used),
    keyword("load_balance_hosts", "PGLOADBALANCEHOSTS", Used),
    keyword("sslmode", "PGSSLMODE", Used),
    keyword("sslnegotiation", "PGSSLNEGOTIATION", Used),
    keyword("sslrootcert", "PGSSLROOTCERT", Used),
    keyword("sslcert", "PGSSLCERT", Used),
    keyword("sslkey", "PGSSLKEY", Used),
    keyword("channel_binding", "PGCHANNELBINDING", Used),
    keyword("keepalives", "", Used),
    keyword("keepalives_idle", "", Used),
    keyword("keepalives_interval", "", Used),
    keyword("keepalives_count", "", Used),
    keyword("tcp_user_timeout", "", Used),
    keyword("client_encoding", "PGCLIENTENCODING", Ignored),
    keyword("sslcompression", "PGSSLCOMPRESSION", Ignored),
    keyword("sslsni", "PGSSLSNI", Refused("the server name is always sent; leave it out", "1")),
    keyword("krbsrvname", "PGKRBSRVNAME", Ignored),
    keyword("gsslib", "PGGSSLIB", Ignored),
    keyword("gssdelegation", "PGGSSDELEGATION", Ignored),
    keyword("gssencmode", "PGGSSENCMODE", Refused(NO_GSS, "disable|prefer")),
    keyword("require_auth", "PGREQUIREAUTH", Refused("it is not supported; channel_binding=require is", "")),
    keyword("requirepeer", "PGREQUIREPEER", Refused("it is not supported; leave it out", "")),
    keyword("requiressl", "PGREQUIRESSL", Refused("use sslmode=require", "0")),
    keyword("sslpassword", "", Refused("decrypt the key first: `openssl pkey -in client.key -out plain.key`", "")),
    keyword("sslcrl", "PGSSLCRL", Refused("revocation lists are not supported", "")),
    keyword("sslcrldir", "PGSSLCRLDIR", Refused("revocation lists are not supported", "")),
    keyword("sslcertmode", "PGSSLCERTMODE", Refused("leave sslcert out to send no certificate", "allow")),
    keyword("sslkeylogfile", "", Refused("leave it out", "")),
    keyword("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Used),
    keyword("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Refused("TLS 1.2 and 1.3 are used", "TLSv1.3")),
    keyword(
        "min_protocol_version",
        "PGMINPROTOCOLVERSION",
        Refused("version 3.0 of the Postgres protocol is used", "3.0"),
    ),
    keyword("max_protocol_version", "PGMAXPROTOCOLVERSION", Ignored),
    keyword("scram_client_key", "", Refused("give the password instead", "")),
    keyword("scram_server_key", "", Refused("give the password instead", "")),
    keyword("oauth_issuer", "", Refused("use password_command to get a token", "")),
    keyword("oauth_client_id", "", Refused("use password_command to get a token", "")),
    keyword("oauth_client_secret", "", Refused("use password_command to get a token", "")),
    keyword("oauth_scope", "", Refused("use password_command to get a token", "")),
    keyword(
        "replication",
        "",
        Refused("replication connections run no ordinary statements; leave it out", "false|off|no|0"),
    ),
];

const fn keyword(name: &'static str, variable: &'static str, support: Support) -> Keyword {
    Keyword { name, variable: if variable.is_empty() { None } else { Some(variable) }, support }
}

/// The keyword of that name.
pub(super) fn find(name: &str) -> Option<&'static Keyword> {
    KEYWORDS.iter().find(|keyword| keyword.name == name)
}

impl Keyword {
    /// Why that value cannot be used, if so.
    pub(super) fn refusal(&self, value: &str) -> Option<&'static str> {
        match self.support {
            Refused(advice, allowed) if !value.is_empty() && !allowed.split('|').any(|a| a == value) => Some(advice),
            _ => None,
        }
    }
}
