//! Everything a provider offers, by name, with the types that its schemas give.
//!
//! **Invariant:** built once, from the provider alone; no request asks a resource for its schema again.

use std::collections::BTreeMap;

use tfplugin_proto::tfplugin6 as proto;

use crate::checks;
use crate::data_source::DataSource;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::function::Function;
use crate::provider::Provider;
use crate::resource::Resource;
use crate::schema::{Attribute, Schema, object_type};
use crate::secrets;
use crate::types::Type;
use crate::value::Value;
use crate::wire;

/// Everything a provider offers.
pub struct Registry<P: Provider> {
    pub(super) provider: P,
    pub(super) schema: Schema,
    pub(super) ty: Type,
    pub(super) resources: BTreeMap<&'static str, ManagedType<P::Data>>,
    pub(super) data_sources: BTreeMap<&'static str, DataType<P::Data>>,
    pub(super) ephemeral_resources: BTreeMap<&'static str, DataType<P::Data>>,
    pub(super) functions: BTreeMap<&'static str, Function>,
    duplicates: Vec<String>,
}

/// A managed resource type.
pub(super) struct ManagedType<D> {
    pub(super) resource: Box<dyn Resource<D>>,
    pub(super) name: &'static str,
    pub(super) schema: Schema,
    pub(super) ty: Type,
    pub(super) identity: Vec<Attribute>,
    pub(super) identity_ty: Type,
}

/// A data source or an ephemeral resource.
pub(super) struct DataType<D> {
    pub(super) source: Box<dyn DataSource<D>>,
    pub(super) name: &'static str,
    pub(super) schema: Schema,
    pub(super) ty: Type,
}

impl<P: Provider> Registry<P> {
    /// Asks a provider for everything it offers.
    pub fn new(provider: P) -> Self {
        let schema = provider.schema();
        let resources: Vec<_> = provider.resources().into_iter().map(ManagedType::new).collect();
        let data_sources: Vec<_> = provider.data_sources().into_iter().map(DataType::new).collect();
        let ephemeral: Vec<_> = provider.ephemeral_resources().into_iter().map(DataType::new).collect();
        let functions = provider.functions();
        let mut duplicates = checks::schema::unique("resource", resources.iter().map(|r| r.name));
        duplicates.extend(checks::schema::unique("data source", data_sources.iter().map(|d| d.name)));
        duplicates.extend(checks::schema::unique("ephemeral resource", ephemeral.iter().map(|e| e.name)));
        duplicates.extend(checks::schema::functions(&functions));
        Self {
            ty: schema.ty(),
            provider,
            schema,
            resources: resources.into_iter().map(|r| (r.name, r)).collect(),
            data_sources: data_sources.into_iter().map(|d| (d.name, d)).collect(),
            ephemeral_resources: ephemeral.into_iter().map(|e| (e.name, e)).collect(),
            functions: functions.into_iter().map(|f| (f.name, f)).collect(),
            duplicates,
        }
    }

    /// Lists what the CLIs would refuse in the schemas; a provider's tests call this and expect nothing.
    pub fn check(&self) -> Vec<String> {
        let provider = self.provider.name();
        let mut problems = checks::schema::provider(&self.schema);
        for resource in self.resources.values() {
            problems.extend(checks::schema::block(provider, resource.name, &resource.schema));
            problems.extend(checks::schema::identity(resource.name, &resource.identity));
        }
        for data in self.data_sources.values().chain(self.ephemeral_resources.values()) {
            problems.extend(checks::schema::block(provider, data.name, &data.schema));
        }
        problems.extend(self.duplicates.iter().cloned());
        problems
    }

    pub(super) fn resource(&self, name: &str) -> Result<&ManagedType<P::Data>, Diagnostics> {
        self.resources.get(name).ok_or_else(|| self.unknown_name("resource", name))
    }

    pub(super) fn data_source(&self, name: &str) -> Result<&DataType<P::Data>, Diagnostics> {
        self.data_sources.get(name).ok_or_else(|| self.unknown_name("data source", name))
    }

    pub(super) fn ephemeral_resource(&self, name: &str) -> Result<&DataType<P::Data>, Diagnostics> {
        self.ephemeral_resources.get(name).ok_or_else(|| self.unknown_name("ephemeral resource", name))
    }

    /// Reads the provider block.
    pub(super) fn decode_block(&self, block: Option<&proto::DynamicValue>) -> Result<Value, Diagnostics> {
        let block = wire::decode(block, &self.ty, "provider configuration")?;
        secrets::note(&self.schema.attributes, &block);
        Ok(block)
    }

    fn unknown_name(&self, what: &str, name: &str) -> Diagnostics {
        let (provider, version) = (self.provider.name(), self.provider.version());
        let detail = format!("Version {version} of the provider {provider} has no {what} {name}. Another version may.");
        Diagnostic::error(format!("Unknown {what}"), detail).into()
    }
}

impl<D: Send + Sync> ManagedType<D> {
    fn new(resource: Box<dyn Resource<D>>) -> Self {
        let (name, schema, identity) = (resource.name(), resource.schema(), resource.identity());
        let (ty, identity_ty) = (schema.ty(), object_type(&identity));
        Self { resource, name, schema, ty, identity, identity_ty }
    }

    /// Reads a state, plan or configuration of this type.
    pub(super) fn decode(&self, value: Option<&proto::DynamicValue>, what: &str) -> Result<Value, Diagnostics> {
        let value = wire::decode(value, &self.ty, &format!("{what} of {}", self.name))?;
        secrets::note(&self.schema.attributes, &value);
        Ok(value)
    }

    /// Writes a state, plan or configuration of this type.
    pub(super) fn encode(&self, value: &Value, what: &str) -> Result<proto::DynamicValue, Diagnostics> {
        wire::encode(value, &self.ty, &format!("{what} of {}", self.name))
    }
}

impl<D: Send + Sync> DataType<D> {
    fn new(source: Box<dyn DataSource<D>>) -> Self {
        let (name, schema) = (source.name(), source.schema());
        let ty = schema.ty();
        Self { source, name, schema, ty }
    }

    /// Reads a configuration of this type.
    pub(super) fn decode(&self, config: Option<&proto::DynamicValue>) -> Result<Value, Diagnostics> {
        let config = wire::decode(config, &self.ty, &format!("configuration of {}", self.name))?;
        secrets::note(&self.schema.attributes, &config);
        Ok(config)
    }
}
