//! pgvector indexes.
