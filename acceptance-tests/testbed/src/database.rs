//! A fresh database for each test.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_postgres::{NoTls, SimpleQueryMessage};

/// A database of its own on one of the test servers; dropped at the end of the test.
#[derive(Debug)]
pub struct TestDatabase {
    /// Where the server listens.
    pub host: String,
    /// On which port.
    pub port: u16,
    /// The superuser's name; it needs no password.
    pub user: String,
    /// The database's name.
    pub name: String,
    /// The server's major version.
    pub major: u32,
}

impl TestDatabase {
    /// The major versions with pgvector that every test should run on.
    pub const VERSIONS: [u32; 2] = [16, 18];

    /// Creates a database on the server of that major version (15 has no pgvector). The test fails with the line that
    /// helps when there is no such server.
    pub async fn new(major: u32) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let variable = format!("TESTBED_PG{major}");
        let address = std::env::var(&variable).unwrap_or_else(|_| {
            panic!(
                "no test server: {variable} is not set; run `make test`, or `cargo run -p testbed -- run -- cargo test`"
            )
        });
        let (host, port) = address.rsplit_once(':').expect("TESTBED_PG variables hold host:port");
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let this = Self {
            host: host.to_owned(),
            port: port.parse().expect("TESTBED_PG variables hold host:port"),
            user: "postgres".to_owned(),
            name,
            major,
        };
        this.on("postgres", &format!("create database {}", this.name)).await;
        this
    }

    /// Runs statements and returns the rows as `psql -At` prints them. Panics when one fails.
    pub async fn query(&self, sql: &str) -> String {
        self.on(&self.name, sql).await
    }

    /// The connection string of the database.
    pub fn url(&self) -> String {
        format!("postgresql://{}@{}:{}/{}?sslmode=disable", self.user, self.host, self.port, self.name)
    }

    async fn on(&self, database: &str, sql: &str) -> String {
        let config = format!("host={} port={} user={} dbname={database}", self.host, self.port, self.user);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the test server answers");
        let running = tokio::spawn(connection);
        let messages = client.simple_query(sql).await.unwrap_or_else(|e| panic!("{sql}\n{e:?}"));
        let rows: Vec<String> = messages
            .iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    Some((0..row.len()).map(|i| row.get(i).unwrap_or("")).collect::<Vec<_>>().join("|"))
                }
                _ => None,
            })
            .collect();
        drop(client);
        running.await.expect("the connection ends").expect("the connection ends well");
        rows.join("\n")
    }
}
