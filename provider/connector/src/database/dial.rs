//! Makes a connection: tries the hosts, gets the password, logs in, sets the session up.
//!
//! **Invariant:** every connection starts with the same session settings.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslMode, SslNegotiation};

use super::connection::{Connection, TlsConnector};
use super::retry::{self, Backoff};
use super::scope::Scope;
use super::{advice, password_command};
use crate::error::Error;
use crate::settings::duration::Spelled;
use crate::settings::{self, Address, Host, Password, Secret, Settings, TargetSessionAttrs};
use crate::tls;

/// The oldest major version of Postgres that is known to work.
const OLDEST_MAJOR: u32 = 14;

/// How long to keep trying while the server is starting up or has no free connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes connections with the same settings.
#[derive(Debug)]
pub(super) struct Dialer {
    settings: Settings,
    tls: TlsConnector,
    doing: String,
    set_up: String,
}

impl Dialer {
    /// Checks certificates and keys.
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let tls = TlsConnector::new(tls::client_config(&settings.tls)?);
        let doing = format!("connect to {}", settings.target_text());
        let set_up = set_up(&settings);
        Ok(Self { settings, tls, doing, set_up })
    }

    /// The settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What connections go to, for errors.
    pub(super) fn target(&self) -> String {
        self.settings.target_text()
    }

    /// Connects. While the server says that it starts up, or that it has no free connection, it is asked again.
    pub(super) async fn connect(&self, scope: &Scope) -> Result<Connection, Error> {
        let give_up = Instant::now() + PATIENCE;
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            let error = match scope.run(&self.doing, self.try_hosts()).await? {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            let busy = matches!(error.sqlstate(), Some("53300" | "57P03"));
            if !busy || Instant::now() > give_up {
                return Err(error);
            }
            tracing::debug!(%error, "the server is not ready; trying again");
            scope.run(&self.doing, backoff.wait()).await?;
        }
    }

    async fn try_hosts(&self) -> Result<Connection, Error> {
        let password = match &self.settings.password {
            Password::None => None,
            Password::Text(text) => Some(text.clone()),
            Password::Command(command) => Some(password_command::run(command, self.settings.connect_timeout).await?),
        };
        let mut hosts: Vec<&Host> = self.settings.hosts.iter().collect();
        if self.settings.load_balance {
            retry::shuffle(&mut hosts);
        }
        let rounds: &[TargetSessionAttrs] = match self.settings.target {
            TargetSessionAttrs::PreferStandby => &[TargetSessionAttrs::Standby, TargetSessionAttrs::Any],
            ref target => std::slice::from_ref(target),
        };
        let mut failures: Vec<Error> = Vec::new();
        for wanted in rounds {
            for host in &hosts {
                match self.try_host(host, password.as_ref(), *wanted).await {
                    Ok(connection) => return Ok(connection),
                    // As libpq does: a server that answers "no" is the answer, unless it is not ready.
                    Err(error) if error.server().is_some() && error.sqlstate() != Some("57P03") => return Err(error),
                    Err(error) => failures.push(error),
                }
            }
        }
        Err(several(&self.doing, failures))
    }

    async fn try_host(
        &self,
        host: &Host,
        password: Option<&Secret>,
        wanted: TargetSessionAttrs,
    ) -> Result<Connection, Error> {
        let password = password.or(host.password.as_ref());
        let mut config = config(&self.settings, host);
        if let Some(password) = password {
            config.password(password.reveal());
        }
        let doing = format!("connect to {}", self.settings.target_text_at(host));
        let attempt = self.attempt(&config, wanted, &doing);
        let result = match self.settings.connect_timeout {
            Some(limit) => tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
                Err(Error::new(&doing, format!("no answer within {}", Spelled(limit))).advice(advice::NO_ANSWER))
            }),
            None => attempt.await,
        };
        result.map_err(|error| advice::on_connect(error, &self.settings, host, password.is_some()))
    }

    async fn attempt(&self, config: &Config, wanted: TargetSessionAttrs, doing: &str) -> Result<Connection, Error> {
        let (client, connection) = config.connect(self.tls.clone()).await.map_err(|error| {
            let refused = tls::refused_certificate(&error);
            let error = Error::postgres(doing, &error);
            match refused {
                Some(reason) => error.because(reason),
                None => error,
            }
        })?;
        let version = connection.parameter("server_version").unwrap_or_default().to_owned();
        if let Some(fault) = too_old(&version) {
            return Err(Error::new(doing, fault));
        }
        let connection = Connection::new(client, connection, self.tls.clone(), &self.set_up);
        if let Err(error) = connection.client.batch_execute(&self.set_up).await {
            return Err(Error::postgres(doing, &error));
        }
        connection.check(wanted, doing).await?;
        Ok(connection)
    }
}

/// The statements that give a new session its settings. Spans that a user can set stay as the server has them unless
/// they are given. Date input order and interval style stay too: who needs them fixed, sets them in the transaction.
fn set_up(settings: &Settings) -> String {
    let mut sql = "set client_encoding = 'UTF8'; set standard_conforming_strings = on; set timezone = 'UTC'; \
        set datestyle = 'ISO';"
        .to_owned();
    for (name, value) in [("lock_timeout", settings.lock_timeout), ("statement_timeout", settings.statement_timeout)] {
        if let Some(value) = value {
            let _ = write!(sql, " set {name} = {};", millis(value));
        }
    }
    sql
}

/// The duration as Postgres's settings take it.
pub(super) fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn config(settings: &Settings, host: &Host) -> Config {
    let mut config = Config::new();
    config
        .user(&settings.user)
        .dbname(&settings.database)
        .application_name(&settings.application_name)
        .port(host.port)
        .load_balance_hosts(if settings.load_balance { LoadBalanceHosts::Random } else { LoadBalanceHosts::Disable })
        .channel_binding(match settings.tls.channel_binding {
            settings::ChannelBinding::Disable => ChannelBinding::Disable,
            settings::ChannelBinding::Prefer => ChannelBinding::Prefer,
            settings::ChannelBinding::Require => ChannelBinding::Require,
        })
        .keepalives(settings.keepalives.enabled)
        .keepalives_idle(settings.keepalives.idle)
        .keepalives_interval(settings.keepalives.interval)
        .keepalives_retries(settings.keepalives.count);
    if let Some(limit) = settings.keepalives.user_timeout {
        config.tcp_user_timeout(limit);
    }
    if let Some(limit) = settings.connect_timeout {
        config.connect_timeout(limit);
    }
    if let Some(options) = &settings.options {
        config.options(options);
    }
    match &host.address {
        Address::Tcp(name, address) => {
            config.host(name);
            if let Some(address) = address {
                config.hostaddr(*address);
            }
            config.ssl_mode(match settings.tls.mode {
                settings::SslMode::Disable => SslMode::Disable,
                settings::SslMode::Prefer => SslMode::Prefer,
                settings::SslMode::Require | settings::SslMode::VerifyCa | settings::SslMode::VerifyFull => {
                    SslMode::Require
                }
            });
            if settings.tls.direct && settings.tls.mode != settings::SslMode::Disable {
                config.ssl_negotiation(SslNegotiation::Direct);
            }
        }
        // As in libpq: a unix socket is never encrypted, whatever sslmode says.
        #[cfg(unix)]
        Address::Unix(folder) => {
            config.host_path(folder).ssl_mode(SslMode::Disable);
        }
        #[cfg(not(unix))]
        Address::Unix(folder) => {
            config.host(folder.to_string_lossy().into_owned());
        }
    }
    config
}

/// One error for several hosts that could not be reached.
fn several(doing: &str, mut failures: Vec<Error>) -> Error {
    match failures.len() {
        0 => Error::new(doing, "there is no host to connect to"),
        1 => failures.remove(0),
        _ => {
            let mut message = "no host could be used".to_owned();
            for failure in &failures {
                let _ = write!(message, "\n  {failure}");
            }
            Error::new(doing, message).advice_if(failures.iter().find_map(Error::advised))
        }
    }
}

/// Why a server of that version is not supported.
fn too_old(version: &str) -> Option<String> {
    let major: u32 = version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    (major < OLDEST_MAJOR).then(|| {
        format!("the server says that it is Postgres {version}, and Postgres {OLDEST_MAJOR} or newer is needed")
    })
}
