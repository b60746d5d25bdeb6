//! The data sources, which are ephemeral resources too.

pub mod table_rows;
