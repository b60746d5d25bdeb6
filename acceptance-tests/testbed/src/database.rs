//! A fresh database for each test.

#![expect(clippy::expect_used, reason = "test support: a step that fails here is a failed test")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio_postgres::{NoTls, SimpleQueryMessage};

use crate::Address;

/// A database of its own on one of the test servers; dropped at the end of the test.
#[derive(Debug)]
pub struct TestDatabase {
    /// Where the server listens.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// The superuser's name.
    pub user: String,
    /// The superuser's password; our own servers need none.
    pub password: Option<String>,
    /// The database's name.
    pub name: String,
    /// The server's major version.
    pub major: u32,
    /// Whether the database goes with this value.
    owned: bool,
}

impl TestDatabase {
    /// The major versions with pgvector that every test should run on.
    pub const VERSIONS: [u32; 2] = [16, 18];

    /// Creates a database on the server of that major version (15 has no pgvector). The test fails with the line that
    /// helps when there is no such server.
    pub async fn new(major: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let variable = format!("TESTBED_PG{major}");
        let address = std::env::var(&variable).unwrap_or_else(|_| panic!("{}", no_server(major)));
        let Address { host, port, user, password } =
            Address::parse(&address).unwrap_or_else(|e| panic!("{variable}: {e}"));
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let this = Self { host, port, user, password, name, major, owned: true };
        this.on("postgres", &format!("create database {}", this.name)).await;
        this
    }

    /// The same database by another way, such as a proxy in front of the server.
    #[must_use]
    pub fn through(&self, host: &str, port: u16) -> Self {
        let (user, password, name) = (self.user.clone(), self.password.clone(), self.name.clone());
        Self { host: host.to_owned(), port, user, password, name, major: self.major, owned: false }
    }

    /// Runs statements and returns the rows as `psql -At` prints them. Panics when one fails.
    pub async fn query(&self, sql: &str) -> String {
        self.on(&self.name, sql).await
    }

    /// The connection string of the database.
    pub fn url(&self) -> String {
        self.address().url(&self.name)
    }

    /// The server, without the database.
    pub fn address(&self) -> Address {
        let (host, user, password) = (self.host.clone(), self.user.clone(), self.password.clone());
        Address { host, port: self.port, user, password }
    }

    /// What the server has logged about this database so far: every statement, connection and error, in order.
    pub async fn log(&self) -> String {
        const READ: &str = "select pg_read_file(pg_current_logfile())";
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // The server, and its log, may have been there for another process.
        let marker = format!("select 'end of log {} {}'", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.query(&marker).await;
        let start = Instant::now();
        loop {
            // The server's log passes through a process of its own, so the last lines may be a moment late.
            let whole = self.query(READ).await;
            assert!(
                !whole.is_empty(),
                "this server keeps no log that SQL can read; use one that `testbed run` started"
            );
            if let Some((before, _)) = whole.split_once(&marker) {
                return self.own_entries(before);
            }
            assert!(start.elapsed() < Duration::from_secs(20), "the server's log never showed {marker}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The entries of the server's log that are about this database; further lines of an entry begin with a tab.
    fn own_entries(&self, log: &str) -> String {
        let prefix = format!("{} [", self.name);
        let mut own = false;
        let mut kept = String::new();
        for line in log.lines() {
            own = line.starts_with(&prefix) || (own && line.starts_with('\t'));
            if own && !line.contains("pg_current_logfile()") && !line.contains("'end of log ") {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        kept
    }

    async fn on(&self, database: &str, sql: &str) -> String {
        run(&self.address(), database, sql).await.unwrap_or_else(|e| panic!("{sql}\n{e}"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !self.owned || std::env::var_os("TESTBED_KEEP").is_some() {
            return;
        }
        let (address, sql) = (self.address(), format!("drop database if exists {} with (force)", self.name));
        // A runtime cannot wait for another one on its own thread, and this may be a test's async context.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // A server that is gone has taken the database with it.
            runtime.map(|runtime| runtime.block_on(run(&address, "postgres", &sql)))
        });
        drop(dropping.join());
    }
}

/// Runs statements on a database and returns the rows as `psql -At` prints them.
pub async fn run(address: &Address, database: &str, sql: &str) -> crate::Result<String> {
    let (client, connection) = address
        .config(database)
        .connect(NoTls)
        .await
        .map_err(|e| format!("cannot connect to {}:{}: {}", address.host, address.port, full(&e)))?;
    let running = tokio::spawn(connection);
    let messages = client.simple_query(sql).await;
    drop(client);
    // The connection's own end adds nothing to what the statement said.
    drop(running.await.expect("the connection's task does not panic"));
    let messages = messages.map_err(|e| full(&e))?;
    let rows: Vec<String> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).unwrap_or("")).collect::<Vec<_>>().join("|"))
            }
            _ => None,
        })
        .collect();
    Ok(rows.join("\n"))
}

fn full(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let said = [Some(db.message()), db.detail(), db.hint()].into_iter().flatten().collect::<Vec<_>>().join("\n");
        return format!("{}: {said}", db.code().code());
    }
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn no_server(major: u32) -> String {
    let run = "run `make test`, or `target/debug/testbed run -- cargo test`";
    if std::env::var_os("TESTBED_TMP").is_some() && major == 15 {
        return format!(
            "no Postgres 15 without pgvector: install it with `{}`, then {run}",
            crate::postgres::INSTALL_15
        );
    }
    format!("no test server: TESTBED_PG{major} is not set; {run}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_one_database_keeps_the_lines_of_its_entries_together() {
        let database = TestDatabase {
            host: "127.0.0.1".to_owned(),
            port: 1,
            user: "postgres".to_owned(),
            password: None,
            name: "a".to_owned(),
            major: 18,
            owned: false,
        };
        let log = "a [1] LOG: statement: create\n\ttable t\nab [2] LOG: other\n\tmore\na [1] LOG: done\n [3] LOG: x\n";
        assert_eq!(database.own_entries(log), "a [1] LOG: statement: create\n\ttable t\na [1] LOG: done\n");
    }
}
