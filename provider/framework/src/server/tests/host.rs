//! A little of what a CLI does around the requests.

use std::sync::Arc;

use serde_json::Value as Json;
use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::provider_server::Provider as _;
use tonic::Request;

use crate::codec;
use crate::schema::{Attribute, Kind, Nesting, object_type};
use crate::server::ProviderService;
use crate::types::Type;
use crate::value::Value;
use crate::wire;

use super::provider::{TestProvider, World, dynamic, thing_attributes};

/// The type under test.
pub(super) const THING: &str = "test_thing";

/// A service, and the world behind it.
pub(super) struct Host {
    pub(super) service: ProviderService<TestProvider>,
    pub(super) world: Arc<World>,
}

/// What the CLI keeps of a resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stored {
    pub(super) value: Value,
    pub(super) private: Vec<u8>,
    pub(super) identity: Option<proto::ResourceIdentityData>,
}

impl Host {
    /// A service that is not configured.
    pub(super) fn new() -> Self {
        let world = Arc::new(World::default());
        Self { service: ProviderService::new(TestProvider { world: Arc::clone(&world) }), world }
    }

    /// A service that is configured, with this fault.
    pub(super) async fn with_fault(fault: &str) -> Self {
        let host = Self::new();
        let diagnostics = host.configure("db".into()).await;
        assert_eq!(diagnostics, []);
        host.set_fault(fault);
        host
    }

    /// A service that is configured.
    pub(super) async fn configured() -> Self {
        Self::with_fault("").await
    }

    pub(super) fn set_fault(&self, fault: &str) {
        fault.clone_into(&mut self.world.fault.lock().unwrap());
    }

    /// What was done since the last time.
    pub(super) fn log(&self) -> Vec<String> {
        std::mem::take(&mut self.world.log.lock().unwrap())
    }

    pub(super) async fn configure(&self, host: Value) -> Vec<proto::Diagnostic> {
        let request = configure_request(host);
        self.service.configure_provider(Request::new(request)).await.unwrap().into_inner().diagnostics
    }

    pub(super) async fn read(&self, stored: &Stored) -> proto::read_resource::Response {
        let request = proto::read_resource::Request {
            type_name: THING.into(),
            current_state: Some(encode(&stored.value)),
            private: stored.private.clone(),
            current_identity: stored.identity.clone(),
            ..Default::default()
        };
        self.service.read_resource(Request::new(request)).await.unwrap().into_inner()
    }

    /// Reads without errors or warnings.
    pub(super) async fn refresh(&self, stored: &Stored) -> Stored {
        let response = self.read(stored).await;
        assert_eq!(response.diagnostics, []);
        Stored {
            value: decode(response.new_state.as_ref()),
            private: response.private,
            identity: response.new_identity,
        }
    }

    pub(super) async fn plan(&self, prior: &Stored, config: &Value) -> proto::plan_resource_change::Response {
        let request = proto::plan_resource_change::Request {
            type_name: THING.into(),
            prior_state: Some(encode(&prior.value)),
            proposed_new_state: Some(encode(config)),
            config: Some(encode(config)),
            prior_private: prior.private.clone(),
            prior_identity: prior.identity.clone(),
            ..Default::default()
        };
        self.service.plan_resource_change(Request::new(request)).await.unwrap().into_inner()
    }

    pub(super) async fn apply(
        &self,
        prior: &Value,
        config: &Value,
        plan: &proto::plan_resource_change::Response,
    ) -> proto::apply_resource_change::Response {
        let request = proto::apply_resource_change::Request {
            type_name: THING.into(),
            prior_state: Some(encode(prior)),
            planned_state: plan.planned_state.clone(),
            config: Some(encode(config)),
            planned_private: plan.planned_private.clone(),
            planned_identity: plan.planned_identity.clone(),
            ..Default::default()
        };
        self.service.apply_resource_change(Request::new(request)).await.unwrap().into_inner()
    }

    /// Plans and applies without errors or warnings, and gives what to remember.
    pub(super) async fn make(&self, prior: &Stored, config: &Value) -> Stored {
        let plan = self.plan(prior, config).await;
        assert_eq!(plan.diagnostics, []);
        let applied = self.apply(&prior.value, config, &plan).await;
        assert_eq!(applied.diagnostics, []);
        Stored { value: decode(applied.new_state.as_ref()), private: applied.private, identity: applied.new_identity }
    }
}

/// The request that configures the provider with this host.
pub(super) fn configure_request(host: Value) -> proto::configure_provider::Request {
    let provider = crate::provider::Provider::schema(&TestProvider { world: Arc::default() });
    let config = Value::object([("host", host), ("password", Value::Null), ("retries", Value::Null)]);
    proto::configure_provider::Request { config: Some(encode_as(&config, &provider.ty())), ..Default::default() }
}

fn thing_type() -> Type {
    object_type(&thing_attributes())
}

pub(super) fn encode(value: &Value) -> proto::DynamicValue {
    encode_as(value, &thing_type())
}

pub(super) fn encode_as(value: &Value, ty: &Type) -> proto::DynamicValue {
    proto::DynamicValue { msgpack: codec::msgpack::encode(value, ty).unwrap(), json: Vec::new() }
}

pub(super) fn decode(value: Option<&proto::DynamicValue>) -> Value {
    wire::decode(value, &thing_type(), "value").unwrap()
}

/// A thing from JSON: attributes that are not named are null, the text `?` is an unknown.
pub(super) fn thing(json: &Json) -> Value {
    object(&thing_attributes(), json)
}

/// A configuration of the thing `a` with more attributes.
pub(super) fn a_thing(more: &Json) -> Value {
    let mut json = more.clone();
    json["name"] = "a".into();
    thing(&json)
}

pub(super) fn object(attributes: &[Attribute], json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(_) => Value::unknown(),
        json => Value::object(attributes.iter().map(|a| (a.name, attribute(a, &json[a.name])))),
    }
}

fn attribute(attribute: &Attribute, json: &Json) -> Value {
    match (&attribute.kind, json) {
        (Kind::Nested(Nesting::Single, attributes), json) => object(attributes, json),
        (Kind::Nested(Nesting::Map, attributes), Json::Object(items)) => {
            Value::Map(items.iter().map(|(key, item)| (key.clone(), object(attributes, item))).collect())
        }
        (Kind::Plain(Type::Dynamic), Json::String(text)) if text != "?" => dynamic(Type::String, text.as_str()),
        (_, json) => plain(json),
    }
}

fn plain(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => number.as_i64().unwrap().into(),
        Json::String(text) if text == "?" => Value::unknown(),
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::List(items.iter().map(plain).collect()),
        Json::Object(items) => Value::Map(items.iter().map(|(key, item)| (key.clone(), plain(item))).collect()),
    }
}

/// Severity, attribute and summary of each diagnostic.
pub(super) fn told(diagnostics: &[proto::Diagnostic]) -> Vec<String> {
    let one = |diagnostic: &proto::Diagnostic| {
        let severity = match diagnostic.severity {
            1 => "error",
            2 => "warning",
            _ => panic!("no severity: {diagnostic:?}"),
        };
        format!("{severity} {}: {}", path(diagnostic.attribute.as_ref()), diagnostic.summary)
    };
    diagnostics.iter().map(one).collect()
}

pub(super) fn path(path: Option<&proto::AttributePath>) -> String {
    use proto::attribute_path::step::Selector;
    let steps = path.into_iter().flat_map(|path| &path.steps).map(|step| match step.selector.as_ref().unwrap() {
        Selector::AttributeName(name) => name.clone(),
        Selector::ElementKeyString(key) => format!("[{key}]"),
        Selector::ElementKeyInt(index) => format!("[{index}]"),
    });
    steps.collect::<Vec<_>>().join(".")
}
