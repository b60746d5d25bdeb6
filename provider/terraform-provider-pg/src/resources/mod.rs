//! The managed resources, one file or folder each.

pub mod timeouts;
pub mod table_target;
pub mod vector_index;
pub mod sql_attachment;
