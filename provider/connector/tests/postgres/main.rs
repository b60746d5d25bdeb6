//! The connector against real servers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attachment;
mod connect;
mod locks;
mod private_server;
mod read_only;
mod rows;
mod rows_file;
mod rows_hindered;
mod rows_odd;
mod rows_values;
mod sessions;
mod source;
mod source_values;
mod table_source;
mod tls;
mod together;
mod table;
mod target;
mod vector_index;
