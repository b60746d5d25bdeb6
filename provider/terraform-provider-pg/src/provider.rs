//! What this provider offers.

use async_trait::async_trait;
use tfplugin::{DataSource, Diagnostics, Function, Provider, Resource, Schema, Value};

use crate::data_sources::table_rows::TableRows;
use crate::functions;
use crate::provider_block::{self, Data};
use crate::resources::sql_attachment::SqlAttachment;
use crate::resources::table_target::TableTarget;
use crate::resources::vector_index::VectorIndex;

/// The provider.
#[derive(Debug)]
pub struct PgProvider;

#[async_trait]
impl Provider for PgProvider {
    type Data = Data;

    fn name(&self) -> &'static str {
        "pg"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn address(&self) -> &'static str {
        "registry.opentofu.org/pgtarget/pg"
    }

    fn schema(&self) -> Schema {
        provider_block::schema()
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        provider_block::validate(config, diagnostics);
    }

    async fn configure(&self, config: &Value) -> Result<Data, Diagnostics> {
        provider_block::configure(config)
    }

    fn resources(&self) -> Vec<Box<dyn Resource<Data>>> {
        vec![Box::new(TableTarget), Box::new(VectorIndex), Box::new(SqlAttachment)]
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<Data>>> {
        vec![Box::new(TableRows)]
    }

    fn ephemeral_resources(&self) -> Vec<Box<dyn DataSource<Data>>> {
        vec![Box::new(TableRows)]
    }

    fn functions(&self) -> Vec<Function> {
        functions::all()
    }
}
