//! The data sources, which are ephemeral resources too.

pub(crate) mod table_rows;
