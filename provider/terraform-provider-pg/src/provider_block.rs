//! The provider block.

use pg_connector::Database;

/// What configuring makes of the provider block.
#[derive(Debug)]
pub struct Data {
    /// The database.
    pub database: Database,
    /// Whether the vector extension may be created.
    pub create_vector_extension: bool,
}
