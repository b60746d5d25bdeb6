//! The managed resources, one file or folder each.

pub mod table_target;
pub mod timeouts;
