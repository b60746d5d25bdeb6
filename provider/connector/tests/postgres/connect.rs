//! The connector's way into a test database.

use std::net::IpAddr;
use std::time::Duration;

use pg_connector::settings::{
    Address, ChannelBinding, Host, Keepalives, Password, Settings, SslMode, TargetSessionAttrs, Tls,
};
use pg_connector::Database;
use testbed::TestDatabase;

/// A pool of up to ten connections.
pub(crate) fn connect(database: &TestDatabase) -> Database {
    connect_with(database, 10)
}

/// A pool of up to so many connections.
pub(crate) fn connect_with(database: &TestDatabase, max_connections: u32) -> Database {
    let address = database.host.parse::<IpAddr>().ok();
    Database::new(Settings {
        hosts: vec![Host {
            address: Address::Tcp(database.host.clone(), address),
            port: database.port,
            password: None,
        }],
        user: database.user.clone(),
        database: database.name.clone(),
        password: Password::None,
        tls: Tls {
            mode: SslMode::Disable,
            direct: false,
            channel_binding: ChannelBinding::Prefer,
            roots: None,
            client: None,
        },
        application_name: "pg-connector tests".to_owned(),
        options: None,
        connect_timeout: Some(Duration::from_secs(10)),
        max_connections,
        lock_timeout: None,
        statement_timeout: None,
        target: TargetSessionAttrs::Any,
        load_balance: false,
        keepalives: Keepalives::default(),
        warnings: Vec::new(),
    })
    .expect("the settings are right")
}
