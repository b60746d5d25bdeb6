//! The connector against real servers.

mod connect;
mod locks;
mod sessions;
