//! What a provider is: its block's schema, how to configure it, and what it offers.

use async_trait::async_trait;

use crate::data_source::DataSource;
use crate::diagnostics::Diagnostics;
use crate::function::Function;
use crate::resource::Resource;
use crate::schema::Schema;
use crate::value::Value;

/// A provider.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What configuring makes of the provider block: shared by all operations of that configuration.
    type Data: Send + Sync + 'static;

    /// The name in resource types and log lines, such as `pg`.
    fn name(&self) -> &'static str;

    /// The version of the build.
    fn version(&self) -> &'static str;

    /// The address to print for `--debug`, such as `registry.opentofu.org/pgtarget/pg`.
    fn address(&self) -> &'static str;

    /// The schema of the provider block.
    fn schema(&self) -> Schema;

    /// Checks across attributes of the provider block. Values may be unknown. Never connects.
    fn validate(&self, _config: &Value, _diagnostics: &mut Diagnostics) {}

    /// Takes a wholly known configuration. Never connects: that waits until something is needed.
    async fn configure(&self, config: &Value) -> Result<Self::Data, Diagnostics>;

    /// The managed resources.
    fn resources(&self) -> Vec<Box<dyn Resource<Self::Data>>>;

    /// The data sources.
    fn data_sources(&self) -> Vec<Box<dyn DataSource<Self::Data>>> {
        Vec::new()
    }

    /// The ephemeral resources.
    fn ephemeral_resources(&self) -> Vec<Box<dyn DataSource<Self::Data>>> {
        Vec::new()
    }

    /// The functions.
    fn functions(&self) -> Vec<Function> {
        Vec::new()
    }
}
