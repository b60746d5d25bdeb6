//! The connector against real servers.

mod attachment;
mod connect;
mod locks;
mod rows;
mod sessions;
mod vector_index;
