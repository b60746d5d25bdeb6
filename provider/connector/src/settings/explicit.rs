//! The settings that a program gives by themselves.

use std::time::Duration;

use super::secret::Secret;

/// Settings that were given by themselves; each beats the same one of any other origin. Errors name them like this.
#[derive(Clone, Debug, Default)]
pub struct Explicit {
    /// A URI, or keywords with values.
    pub connection_string: Option<Secret>,
    /// Host name, address or socket folder; several with commas between them.
    pub host: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// The database.
    pub database: Option<String>,
    /// The user.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// A program, with its arguments, that prints the password.
    pub password_command: Option<Vec<String>>,
    /// How connections are encrypted.
    pub sslmode: Option<String>,
    /// Trusted certificates: a path, PEM text or `system`.
    pub sslrootcert: Option<String>,
    /// The client's certificate: a path or PEM text.
    pub sslcert: Option<String>,
    /// The client's key: a path or PEM text.
    pub sslkey: Option<Secret>,
    /// What the server shows as the client's name.
    pub application_name: Option<String>,
    /// The same, where nothing else gives it.
    pub fallback_application_name: Option<String>,
    /// How long one attempt to connect may take; zero means as long as the operation may.
    pub connect_timeout: Option<Duration>,
    /// How many connections may be open at a time.
    pub max_connections: Option<u32>,
    /// How long a statement may wait for a lock; zero means for ever.
    pub lock_timeout: Option<Duration>,
    /// How long a statement may run; zero means for ever.
    pub statement_timeout: Option<Duration>,
}
