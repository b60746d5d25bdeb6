//! The smallest provider: it offers nothing, so what is left is the process, its transport and the protocol.

use std::process::ExitCode;

use async_trait::async_trait;
use tfplugin::data_source::DataSource;
use tfplugin::{Diagnostics, Provider, Resource, Schema, Value};

struct Empty;

#[async_trait]
impl Provider for Empty {
    type Data = ();

    fn name(&self) -> &'static str {
        "empty"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn address(&self) -> &'static str {
        "registry.opentofu.org/example/empty"
    }

    fn schema(&self) -> Schema {
        Schema::default()
    }

    async fn configure(&self, _config: &Value) -> Result<(), Diagnostics> {
        Ok(())
    }

    fn resources(&self) -> Vec<Box<dyn Resource<()>>> {
        Vec::new()
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<()>>> {
        Vec::new()
    }
}

fn main() -> ExitCode {
    tfplugin::serve(Empty)
}
