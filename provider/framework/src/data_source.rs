//! What a data source is, and its ephemeral twin.

use async_trait::async_trait;

use crate::context::Context;
use crate::diagnostics::Diagnostics;
use crate::schema::Schema;
use crate::value::Value;

/// Reads something and manages nothing. Registered as data source, as ephemeral resource, or as both.
#[async_trait]
pub trait DataSource<D: Send + Sync>: Send + Sync {
    /// The type's name, such as `pg_table_rows`.
    fn name(&self) -> &'static str;

    /// Its schema; asked for once.
    fn schema(&self) -> Schema;

    /// Checks across attributes. Values may be unknown.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// Reads; `config` is wholly known and has the schema's defaults filled in. Returns all attributes.
    async fn read(&self, context: &Context<D>, config: &Value) -> Result<Value, Diagnostics>;
}
