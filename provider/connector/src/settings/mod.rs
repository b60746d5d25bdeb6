//! How to reach the server: explicit settings, a connection string, libpq's environment, a service file, pgpass and
//! libpq's defaults, in that order, resolved into one [`Settings`].
//!
//! **Invariant:** no password, private key or connection string appears in an error or a `Debug` form.

mod conninfo;
pub mod duration;
mod explicit;
mod keyword;
pub(crate) mod named_file;
mod origin;
mod pgpass;
mod resolve;
mod secret;
mod service;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Error;

pub use explicit::Explicit;
pub use origin::Origin;
pub use secret::Secret;
#[cfg(feature = "surfaces")]
pub(crate) use {pgpass::find as find_password, service::find as find_service};

/// Resolved connection settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The servers to try, in order; at least one.
    pub hosts: Vec<Host>,
    /// The user.
    pub user: String,
    /// The database.
    pub database: String,
    /// Where the password comes from.
    pub password: Password,
    /// How connections are encrypted.
    pub tls: Tls,
    /// What the server shows as the client's name.
    pub application_name: String,
    /// Command-line options for the server's session (`PGOPTIONS`).
    pub options: Option<String>,
    /// How long one attempt at one host may take; `None` waits as long as the operation may.
    pub connect_timeout: Option<Duration>,
    /// How many connections may be open at a time.
    pub max_connections: u32,
    /// How long a statement may wait for a lock; `None` leaves the server's setting.
    pub lock_timeout: Option<Duration>,
    /// How long a statement may run; `None` leaves the server's setting.
    pub statement_timeout: Option<Duration>,
    /// What kind of server is wanted.
    pub target: TargetSessionAttrs,
    /// Whether hosts are tried in random order.
    pub load_balance: bool,
    /// Probes of an idle connection.
    pub keepalives: Keepalives,
    /// What was odd but no error, such as a password file that others may read.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Resolves settings: explicit ones, then the connection string, a service file, libpq's environment variables,
    /// libpq's defaults; pgpass gives the password that is still missing. `environment` looks up a variable. Reads the
    /// service and password files, and connects to nothing. Every fault is reported.
    pub fn resolve(explicit: &Explicit, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Vec<Error>> {
        resolve::resolve(explicit, environment)
    }

    /// Checks the form of a connection string without resolving anything.
    pub fn check_connection_string(text: &str) -> Result<(), Error> {
        resolve::read_connection_string(text).map(|_| ())
    }

    /// The settings of a connection string, without environment variables.
    pub fn parse(connection_string: &str) -> Result<Self, Vec<Error>> {
        let explicit = Explicit { connection_string: Some(Secret::new(connection_string)), ..Explicit::default() };
        Self::resolve(&explicit, &|_| None)
    }

    /// What connections go to, for messages: the database, the hosts and the user.
    pub fn target_text(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        format!("database {:?} on {} as {:?}", self.database, hosts.join(", "), self.user)
    }

    /// The same for one of the hosts.
    pub(crate) fn target_text_at(&self, host: &Host) -> String {
        format!("database {:?} on {host} as {:?}", self.database, self.user)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp(name, _) if name.contains(':') => write!(f, "[{name}]:{}", self.port),
            Address::Tcp(name, _) => write!(f, "{name}:{}", self.port),
            Address::Unix(folder) => write!(f, "{}/.s.PGSQL.{}", folder.display(), self.port),
        }
    }
}

/// One server to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where it is.
    pub address: Address,
    /// Its port.
    pub port: u16,
    /// The password that pgpass has for it.
    pub password: Option<Secret>,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host name, and the address to use for it where that is given too.
    Tcp(String, Option<IpAddr>),
    /// The folder of a unix socket.
    Unix(PathBuf),
}

/// Where the password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// It was not given; pgpass may have one for a host.
    None,
    /// It was given.
    Text(Secret),
    /// A program prints it, anew for every connection.
    Command(Vec<String>),
}

/// How connections are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// How strictly.
    pub mode: SslMode,
    /// Whether TLS starts at once, without asking the server first.
    pub direct: bool,
    /// Whether TLS 1.2 is refused.
    pub only_tls13: bool,
    /// Whether authentication must, may or must not be bound to the TLS channel.
    pub channel_binding: ChannelBinding,
    /// The certificates to trust.
    pub roots: Option<Roots>,
    /// The client's certificate and key.
    pub client: Option<(Pem, Pem)>,
}

/// `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS where the server has it.
    #[default]
    Prefer,
    /// TLS, with any certificate unless root certificates are given.
    Require,
    /// TLS with a certificate of a trusted authority.
    VerifyCa,
    /// The same, and made for the host's name.
    VerifyFull,
}

/// `channel_binding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// Where the server can.
    #[default]
    Prefer,
    /// Always.
    Require,
}

/// Root certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system.
    System,
    /// These.
    Pem(Pem),
}

/// Something in PEM form, and where the setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pem {
    /// The thing.
    pub form: PemForm,
    /// Where the setting comes from.
    pub origin: Origin,
}

/// A file's path or a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PemForm {
    /// In a file.
    File(PathBuf),
    /// The text itself.
    Text(Secret),
}

/// `target_session_attrs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetSessionAttrs {
    /// Any server.
    #[default]
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that takes none.
    ReadOnly,
    /// One that is no standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, or else any.
    PreferStandby,
}

/// Probes that keep a connection alive and notice when it is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalives {
    /// Whether there are any.
    pub enabled: bool,
    /// How long a connection is idle before the first.
    pub idle: Duration,
    /// How long from one to the next.
    pub interval: Duration,
    /// How many may stay unanswered.
    pub count: u32,
    /// How long sent data may stay unacknowledged.
    pub user_timeout: Option<Duration>,
}

impl Default for Keepalives {
    /// A lost connection is noticed after two minutes, and no firewall forgets one that builds an index for hours.
    fn default() -> Self {
        Self {
            enabled: true,
            idle: Duration::from_mins(1),
            interval: Duration::from_secs(15),
            count: 4,
            user_timeout: None,
        }
    }
}
