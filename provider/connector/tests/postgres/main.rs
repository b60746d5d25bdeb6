//! What the connector does to a real server.

mod rows;
