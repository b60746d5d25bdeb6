//! SQL that belongs to a table.
