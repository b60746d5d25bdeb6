//! The managed resources, one file or folder each.

pub mod sql_attachment;
pub mod table_target;
pub mod vector_index;
