//! What the connector does to a real server.

mod attachment;
mod connect;
mod rows;
mod vector_index;
