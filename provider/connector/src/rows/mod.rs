//! Rows: what is declared exists, what is no longer declared is gone, what was never declared is left alone.
