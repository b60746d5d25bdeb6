//! Connecting: what psql does with the same settings, and what is said when it fails.
