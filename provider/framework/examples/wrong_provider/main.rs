//! A provider that keeps every rule of the protocol but one: the one that `WRONG_PROVIDER_RULE` names.
//!
//! The provider behind it is right, and the framework's own checks are passed; what is wrong is made wrong on the wire,
//! after them. So a host that finds nothing in the answers has not looked.

mod switches;
mod tamper;
mod thing;
mod things;

use std::process::ExitCode;

use async_trait::async_trait;
use tfplugin::{
    Attribute, DataSource, Diagnostics, Function, FunctionError, Mode, Parameter, Provider, Resource, Schema, Type,
    Value,
};

use self::tamper::Tampered;
use self::thing::{Folder, Thing};
use self::things::Things;

struct Wrong;

#[async_trait]
impl Provider for Wrong {
    type Data = Folder;

    fn name(&self) -> &'static str {
        "wrong"
    }

    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn address(&self) -> &'static str {
        "registry.opentofu.org/example/wrong"
    }

    fn schema(&self) -> Schema {
        let folder = Attribute::new("folder", Type::String, Mode::Required, "Where the things are.");
        Schema { attributes: vec![folder], ..Schema::default() }
    }

    async fn configure(&self, config: &Value) -> Result<Folder, Diagnostics> {
        Ok(config.get("folder").as_str().unwrap_or_default().into())
    }

    fn resources(&self) -> Vec<Box<dyn Resource<Folder>>> {
        vec![Box::new(Thing)]
    }

    fn data_sources(&self) -> Vec<Box<dyn DataSource<Folder>>> {
        vec![Box::new(Things)]
    }

    fn ephemeral_resources(&self) -> Vec<Box<dyn DataSource<Folder>>> {
        vec![Box::new(Things)]
    }

    fn functions(&self) -> Vec<Function> {
        let parameter = |name, allow_null| Parameter { name, ty: Type::String, description: "Text.", allow_null };
        vec![Function {
            name: "join",
            summary: "Joins two texts.",
            description: "The second may be null.",
            parameters: vec![parameter("left", false), parameter("right", true)],
            result: Type::String,
            call: |arguments| match (arguments[0].as_str(), arguments[1].as_str()) {
                (Some("fail"), _) => Err(FunctionError { text: "as asked".to_owned(), argument: Some(0) }),
                (left, right) => Ok(format!("{}{}", left.unwrap_or_default(), right.unwrap_or("-")).into()),
            },
        }]
    }
}

fn main() -> ExitCode {
    let rule = std::env::var("WRONG_PROVIDER_RULE").unwrap_or_default();
    let code = tfplugin::serve::serve_wrapped(Wrong, |service| Tampered::new(service, &rule));
    if rule == "T5" { ExitCode::from(3) } else { code }
}
