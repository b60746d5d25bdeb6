//! At most so many connections, made when first needed and used again.
//!
//! **Invariant:** a connection exists only with a permit of the semaphore or in the idle list, and there are never more
//! of both together than `max_connections`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Connection;
use super::dial::Dialer;
use super::scope::Scope;
use super::session::Session;
use super::together::Desks;
use crate::error::Error;
use crate::name::TableName;
use crate::settings::Settings;

/// The connections of one database.
#[derive(Debug)]
pub(super) struct Pool {
    dialer: Dialer,
    room: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    tables: Mutex<HashMap<TableName, Arc<tokio::sync::Mutex<()>>>>,
    desks: Desks,
}

impl Pool {
    /// A pool without connections.
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let room = usize::try_from(settings.max_connections).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            dialer: Dialer::new(settings)?,
            room: Arc::new(Semaphore::new(room)),
            idle: Mutex::default(),
            tables: Mutex::default(),
            desks: Desks::default(),
        })
    }

    /// The settings that connections are made with.
    pub(super) fn settings(&self) -> &Settings {
        self.dialer.settings()
    }

    /// The mutex of a table.
    pub(super) fn table(&self, table: &TableName) -> Arc<tokio::sync::Mutex<()>> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tables.entry(table.clone()).or_default())
    }

    /// Where questions wait that are answered together.
    pub(super) fn desks(&self) -> &Desks {
        &self.desks
    }

    /// Takes `N` connections, all or none. The semaphore is fair: who asks for two is not overtaken for ever.
    pub(super) async fn sessions<const N: usize>(self: &Arc<Self>, scope: &Scope) -> Result<[Session; N], Error> {
        let doing = format!("get a free connection to {} from the pool", self.dialer.target());
        let count = u32::try_from(N).unwrap_or(u32::MAX);
        let permits = scope.run(&doing, Arc::clone(&self.room).acquire_many_owned(count)).await?;
        let mut permits = permits.map_err(|closed| Error::new(&doing, closed.to_string()))?;
        let mut sessions = Vec::with_capacity(N);
        while let Some(permit) = permits.split(1) {
            sessions.push(self.session(scope, permit).await?);
        }
        sessions.try_into().map_err(|_| Error::new(doing, "the pool gave another number of connections"))
    }

    async fn session(self: &Arc<Self>, scope: &Scope, permit: OwnedSemaphorePermit) -> Result<Session, Error> {
        while let Some(connection) = self.pop_idle() {
            if !connection.client.is_closed() {
                return Ok(Session::new(connection, scope.clone(), Arc::clone(self), permit));
            }
        }
        let connection = self.dialer.connect(scope).await.map_err(Error::unreachable)?;
        Ok(Session::new(connection, scope.clone(), Arc::clone(self), permit))
    }

    /// Takes a clean connection back. Its permit must be released after this, not before.
    pub(super) fn put_back(&self, connection: Connection) {
        self.idle().push(connection);
    }

    fn pop_idle(&self) -> Option<Connection> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
