//! Where a test server is and who we are there.

use std::fmt;

use tokio_postgres::config::Host;

use crate::Result;

/// A server and a superuser's way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Where the server listens.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// The superuser's name.
    pub user: String,
    /// Their password, where the server asks for one.
    pub password: Option<String>,
}

impl Address {
    /// A server of our own on the loopback: its superuser needs no password.
    pub fn local(port: u16) -> Self {
        Self { host: "127.0.0.1".to_owned(), port, user: "postgres".to_owned(), password: None }
    }

    /// Reads `host:port` or a `postgresql://` URL.
    pub fn parse(text: &str) -> Result<Self> {
        if !text.contains("://") {
            let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let (host, port) = parts.ok_or_else(|| format!("\"{text}\" is neither host:port nor a URL"))?;
            return Ok(Self { host: host.to_owned(), ..Self::local(port) });
        }
        let config: tokio_postgres::Config =
            text.parse().map_err(|e| format!("cannot read the URL of the test server: {e}"))?;
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            Some(Host::Unix(path)) => path.to_string_lossy().into_owned(),
            None => "127.0.0.1".to_owned(),
        };
        Ok(Self {
            host,
            port: config.get_ports().first().copied().unwrap_or(5432),
            user: config.get_user().unwrap_or("postgres").to_owned(),
            password: config.get_password().map(|password| String::from_utf8_lossy(password).into_owned()),
        })
    }

    /// How to connect to one of its databases.
    pub fn config(&self, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host(&self.host).port(self.port).user(&self.user).dbname(database);
        config.connect_timeout(std::time::Duration::from_secs(10));
        if let Some(password) = &self.password {
            config.password(password);
        }
        config
    }

    /// The connection string of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let password = self.password.as_ref().map_or(String::new(), |password| format!(":{}", encoded(password)));
        let (user, host) =
            (encoded(&self.user), if self.host.starts_with('/') { encoded(&self.host) } else { self.host.clone() });
        format!("postgresql://{user}{password}@{host}:{}/{}?sslmode=disable", self.port, encoded(database))
    }
}

/// The form that [`Address::parse`] reads back.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == (Self { host: self.host.clone(), ..Self::local(self.port) }) {
            write!(f, "{}:{}", self.host, self.port)
        } else {
            f.write_str(&self.url("postgres"))
        }
    }
}

fn encoded(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in
            ["127.0.0.1:5432", "localhost:1", "postgresql://me:p%40ss%2F@db.example:6543/postgres?sslmode=disable"]
        {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
        }
        assert_eq!(Address::parse("postgresql://me:p%40ss@h/x").unwrap().password.as_deref(), Some("p@ss"));
        assert_eq!(Address::parse("postgresql://h").unwrap(), Address { host: "h".to_owned(), ..Address::local(5432) });
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "host", "host:", "host:port", "http://x"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
