//! Makes one connection: tries the hosts, gets the password, logs in, sets the session up.
//!
//! **Invariant:** every connection starts with the same session settings, and has them again after [`Connection::reset`].

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::poll_fn;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, LoadBalanceHosts, SslMode, SslNegotiation};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Config, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::advice;
use super::password_command;
use super::retry::Backoff;
use super::scope::Scope;
use super::session::Notice;
use crate::error::Error;
use crate::settings::{self, Address, Host, Password, Settings, TargetSessionAttrs};
use crate::tls;

/// The oldest major version of Postgres that is known to work.
const OLDEST_MAJOR: u32 = 14;

/// How long to keep trying while the server is starting up or has no free connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a step of clearing up may take that nobody waits for.
const CLEAR_UP: Duration = Duration::from_secs(10);

/// How many notices of one operation are kept.
const MAX_NOTICES: usize = 1000;

/// Makes connections with the same settings.
#[derive(Debug)]
pub(super) struct Dialer {
    settings: Settings,
    tls: Tls,
    doing: String,
    set_up: String,
}

/// A connection to the server.
#[derive(Debug)]
pub(super) struct Connection {
    /// The client half.
    pub(super) client: Client,
    notices: Notices,
    canceller: Canceller,
    set_up: Arc<str>,
    task: JoinHandle<()>,
}

/// Notices of the server, not yet taken.
pub(super) type Notices = Arc<Mutex<Vec<Notice>>>;

/// Asks the server to cancel what runs in one connection, over the same TLS settings.
#[derive(Clone)]
pub(super) struct Canceller {
    token: CancelToken,
    tls: Tls,
}

#[derive(Clone)]
struct Tls(MakeRustlsConnect);

impl Dialer {
    /// Checks certificates and keys.
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let tls = Tls(MakeRustlsConnect::new(tls::client_config(&settings.tls)?));
        let doing = format!("connect to {}", settings.target_text());
        let set_up = set_up(&settings);
        Ok(Self { settings, tls, doing, set_up })
    }

    /// The settings.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// "connect to …", for errors.
    pub(super) fn doing(&self) -> &str {
        &self.doing
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
        let mut hosts: Vec<&Host> = self.settings.hosts.iter().collect();
        if self.settings.load_balance {
            super::retry::shuffle(&mut hosts);
        }
        let rounds: &[TargetSessionAttrs] = match self.settings.target {
            TargetSessionAttrs::PreferStandby => &[TargetSessionAttrs::Standby, TargetSessionAttrs::Any],
            ref target => std::slice::from_ref(target),
        };
        let mut failures: Vec<Error> = Vec::new();
        for wanted in rounds {
            for host in &hosts {
                match self.try_host(host, *wanted).await {
                    Ok(connection) => return Ok(connection),
                    // As libpq does: a server that answers "no" is the answer, unless it is not ready.
                    Err(error) if error.server().is_some() && error.sqlstate() != Some("57P03") => return Err(error),
                    Err(error) => failures.push(error),
                }
            }
        }
        Err(several(&self.doing, failures))
    }

    async fn try_host(&self, host: &Host, wanted: TargetSessionAttrs) -> Result<Connection, Error> {
        let password = match (&self.settings.password, &host.password) {
            (Password::Text(text), _) => Some(text.clone()),
            (Password::Command(command), _) => {
                Some(password_command::run(command, self.settings.connect_timeout).await?)
            }
            (Password::None, from_pgpass) => from_pgpass.clone(),
        };
        let mut config = config(&self.settings, host);
        if let Some(password) = &password {
            config.password(password.reveal());
        }
        let doing = format!("connect to {}", self.settings.target_text_at(host));
        let attempt = self.attempt(&config, wanted, &doing);
        let result = match self.settings.connect_timeout {
            Some(limit) => tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
                Err(Error::new(&doing, format!("no answer within {}", settings::duration::Spelled(limit)))
                    .advice(advice::NO_ANSWER))
            }),
            None => attempt.await,
        };
        result.map_err(|error| advice::on_connect(error, &self.settings, host, password.is_some()))
    }

    async fn attempt(&self, config: &Config, wanted: TargetSessionAttrs, doing: &str) -> Result<Connection, Error> {
        let (client, mut connection) = config.connect(self.tls.clone()).await.map_err(|error| {
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
        let notices = Notices::default();
        let sink = Arc::clone(&notices);
        let task = tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                match message {
                    Ok(AsyncMessage::Notice(notice)) => {
                        let mut notices = sink.lock().unwrap_or_else(PoisonError::into_inner);
                        if notices.len() < MAX_NOTICES {
                            notices.push(Notice::from(&notice));
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::debug!(%error, "the connection ended");
                        break;
                    }
                }
            }
        });
        let canceller = Canceller { token: client.cancel_token(), tls: self.tls.clone() };
        let connection = Connection { client, notices, canceller, set_up: self.set_up.as_str().into(), task };
        if let Err(error) = connection.client.batch_execute(&self.set_up).await {
            return Err(Error::postgres(doing, &error));
        }
        connection.check(wanted, doing).await?;
        Ok(connection)
    }
}

impl Connection {
    async fn check(&self, wanted: TargetSessionAttrs, doing: &str) -> Result<(), Error> {
        let (condition, fault) = match wanted {
            TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => return Ok(()),
            TargetSessionAttrs::ReadWrite => ("not recovering and not read_only", "it does not take writes"),
            TargetSessionAttrs::ReadOnly => ("recovering or read_only", "it takes writes"),
            TargetSessionAttrs::Primary => ("not recovering", "it is a standby"),
            TargetSessionAttrs::Standby => ("recovering", "it is no standby"),
        };
        let sql = format!(
            "select ({condition})::text from (select pg_catalog.pg_is_in_recovery(), \
             pg_catalog.current_setting('transaction_read_only')::bool) as server(recovering, read_only)"
        );
        if self.answer(&sql).await.map_err(|error| Error::postgres(doing, &error))?.as_deref() == Some("true") {
            Ok(())
        } else {
            Err(Error::new(doing, fault).advice(advice::TARGET))
        }
    }

    /// The first column of the last row that these statements return.
    pub(super) async fn answer(&self, sql: &str) -> Result<Option<String>, tokio_postgres::Error> {
        let messages = self.client.simple_query(sql).await?;
        Ok(messages.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        }))
    }

    /// A handle that can cancel what runs here.
    pub(super) fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Takes the notices so far.
    pub(super) fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives the session back the settings it started with and releases what it holds. `None` when it cannot be used
    /// again: it is busy or lost. `roll_back` says that it is known to be in a transaction.
    pub(super) async fn reset(self, roll_back: bool) -> Option<Self> {
        for roll_back in [roll_back, true] {
            match tokio::time::timeout(Duration::from_secs(1), self.try_reset(roll_back)).await {
                Ok(Ok(true)) => {
                    self.take_notices();
                    return Some(self);
                }
                // It is in a transaction after all, perhaps a failed one.
                Ok(Ok(false)) => {}
                Ok(Err(error)) if error.as_db_error().is_some() => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        self.close().await;
        None
    }

    /// Says whether no transaction was open. One that was is only found out, not ended.
    async fn try_reset(&self, roll_back: bool) -> Result<bool, tokio_postgres::Error> {
        if roll_back {
            self.client.batch_execute("rollback").await?;
        }
        // In a transaction that began with an earlier message the two clocks differ.
        let sql = format!(
            "select pg_catalog.now() operator(pg_catalog.=) pg_catalog.statement_timestamp(); close all; \
             set session authorization default; reset all; unlisten *; select pg_catalog.pg_advisory_unlock_all(); \
             discard temp; discard sequences; {}",
            self.set_up
        );
        let messages = self.client.simple_query(&sql).await?;
        let first = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(first == Some("t"))
    }

    /// Ends what runs here and closes the connection, so that the server has no session of ours left behind.
    pub(super) async fn close(self) {
        let Self { client, canceller, mut task, .. } = self;
        if !client.is_closed() {
            let _ = tokio::time::timeout(CLEAR_UP, canceller.cancel()).await;
        }
        drop(client);
        if tokio::time::timeout(CLEAR_UP, &mut task).await.is_err() {
            task.abort();
        }
    }
}

impl Canceller {
    /// Sends one request. Whether it found anything to cancel cannot be told.
    pub(super) async fn cancel(&self) {
        match tokio::time::timeout(CLEAR_UP, self.token.cancel_query(self.tls.clone())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the cancel request failed"),
            Err(_) => tracing::debug!("the cancel request was not answered in time"),
        }
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canceller")
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.0, domain)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
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
            let error = Error::new(doing, message);
            match failures.iter().find_map(Error::advised) {
                Some(advice) => error.advice(advice),
                None => error,
            }
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
