//! One connection: its notices, cancelling what runs in it, and clearing it for the next operation.
//!
//! **Invariant:** a connection that [`Connection::reset`] returns is in no transaction, runs nothing, and has the session
//! settings that it started with.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, CancelToken, Client, SimpleQueryMessage, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::advice;
use super::session::Notice;
use crate::error::Error;
use crate::settings::TargetSessionAttrs;

/// How long a step of clearing up may take that nobody waits for.
const CLEAR_UP: Duration = Duration::from_secs(10);

/// How many notices of one operation are kept.
const MAX_NOTICES: usize = 1000;

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
type Notices = Arc<Mutex<Vec<Notice>>>;

/// Asks the server to cancel what runs in one connection, over the same TLS settings.
#[derive(Clone)]
pub(super) struct Canceller {
    token: CancelToken,
    tls: TlsConnector,
}

/// Starts TLS on a socket.
#[derive(Clone)]
pub(super) struct TlsConnector(MakeRustlsConnect);

impl Connection {
    /// Takes a new connection over, and drives it in the background.
    pub(super) fn new<S, T>(
        client: Client,
        mut driver: tokio_postgres::Connection<S, T>,
        tls: TlsConnector,
        set_up: &str,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let notices = Notices::default();
        let sink = Arc::clone(&notices);
        let task = tokio::spawn(async move {
            while let Some(message) = poll_fn(|context| driver.poll_message(context)).await {
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
        let canceller = Canceller { token: client.cancel_token(), tls };
        Self { client, notices, canceller, set_up: set_up.into(), task }
    }

    /// Says whether the server is of the wanted kind.
    pub(super) async fn check(&self, wanted: TargetSessionAttrs, doing: &str) -> Result<(), Error> {
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
            canceller.cancel().await;
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

impl TlsConnector {
    /// With this configuration.
    pub(super) fn new(config: rustls::ClientConfig) -> Self {
        Self(MakeRustlsConnect::new(config))
    }
}

impl std::fmt::Debug for Canceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canceller")
    }
}

impl std::fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl MakeTlsConnect<Socket> for TlsConnector {
    type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self::TlsConnect, Self::Error> {
        MakeTlsConnect::<Socket>::make_tls_connect(&mut self.0, domain)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}
