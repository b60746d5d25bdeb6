//! The connector against real servers.

mod attachment;
mod connect;
mod locks;
mod private_server;
mod rows;
mod sessions;
mod source;
mod tls;
mod vector_index;
