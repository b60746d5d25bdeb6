//! The Postgres servers and command lines that tests and the demo run against.

pub mod database;

pub use database::TestDatabase;
