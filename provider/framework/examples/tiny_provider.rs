//! A provider with one setting and one data source that tells it: what is left is the process and its transport.

use std::collections::BTreeMap;
use std::process::ExitCode;

use async_trait::async_trait;
use tfplugin::{
    Attribute, Configured, Context, DataSource, Diagnostic, Diagnostics, Mode, Provider, Resource, Schema, Type, Value,
};

struct Tiny;

#[async_trait]
impl Provider for Tiny {
    type Data = Value;

    fn name(&self) -> &'static str {
        "tiny"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn address(&self) -> &'static str {
        "registry.opentofu.org/example/tiny"
    }

    fn schema(&self) -> Schema {
        assert!(std::env::var_os("TINY_PANICS").is_none(), "told to panic at the start");
        let greeting = Attribute::new("greeting", Type::String, Mode::Optional, "What to say.");
        let secret = Attribute::new("secret", Type::String, Mode::Optional, "What not to say.").sensitive();
        Schema { attributes: vec![greeting, secret], ..Schema::default() }
    }

    async fn configure(&self, config: &Value) -> Result<Value, Diagnostics> {
        Ok(config.clone())
    }

    fn resources(&self) -> Vec<Box<dyn Resource<Value>>> {
        Vec::new()
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<Value>>> {
        vec![Box::new(Greeting)]
    }
}

struct Greeting;

#[async_trait]
impl DataSource<Value> for Greeting {
    fn name(&self) -> &'static str {
        "tiny_greeting"
    }

    fn schema(&self) -> Schema {
        let wait = "A folder. The read makes the folder `begun` in it, waits until it is stopped, and makes `stopped`.";
        Schema {
            description: "What the provider was told to say.",
            attributes: vec![
                Attribute::new("wait_in", Type::String, Mode::Optional, wait),
                Attribute::new("greeting", Type::String, Mode::Computed, "What to say."),
            ],
            ..Schema::default()
        }
    }

    async fn read(&self, context: &Context<Value>, config: &Value) -> Result<Value, Diagnostics> {
        let wait_in = attribute(config, "wait_in");
        if let Value::String(folder) = &wait_in {
            let sign = |name: &str| {
                std::fs::create_dir(std::path::Path::new(folder).join(name))
                    .map_err(|error| Diagnostic::error("Cannot make a sign", error.to_string()))
            };
            sign("begun")?;
            context.cancel.cancelled().await;
            // Rolling back takes its time.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            sign("stopped")?;
            return Err(Diagnostic::error("Stopped", "As asked.").into());
        }
        let (greeting, secret) = match &context.provider {
            Configured::Known(block) => (attribute(block, "greeting"), attribute(block, "secret")),
            _ => (Value::Null, Value::Null),
        };
        let attributes = [("wait_in", wait_in), ("greeting", greeting)];
        assert_ne!(attributes[1].1, Value::String("panic".to_owned()), "told to panic with {secret:?}");
        Ok(Value::Map(BTreeMap::from(attributes.map(|(name, value)| (name.to_owned(), value)))))
    }
}

fn attribute(object: &Value, name: &str) -> Value {
    match object {
        Value::Map(attributes) => attributes.get(name).cloned().unwrap_or_default(),
        _ => Value::Null,
    }
}

fn main() -> ExitCode {
    tfplugin::serve(Tiny)
}
