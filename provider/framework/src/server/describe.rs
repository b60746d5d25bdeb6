//! `GetMetadata`, `GetProviderSchema`, `GetResourceIdentitySchemas`: what the provider offers, in the protocol's words.
//!
//! **Invariant:** needs neither a configuration nor a database, and answers the same in every process.

use tfplugin_proto::tfplugin6 as proto;

use proto::{get_metadata, get_provider_schema, get_resource_identity_schemas};

use crate::function::{Function, Parameter};
use crate::provider::Provider;
use crate::schema::{Attribute, Kind, Mode, Nesting, Schema};

use super::Call;

fn capabilities() -> proto::ServerCapabilities {
    proto::ServerCapabilities {
        plan_destroy: true,
        get_provider_schema_optional: true,
        move_resource_state: true,
        generate_resource_config: true,
    }
}

/// Names everything.
pub(super) fn metadata<P: Provider>(call: &Call<'_, P>) -> get_metadata::Response {
    let registry = call.registry;
    let name = |name: &&str| (*name).to_owned();
    get_metadata::Response {
        server_capabilities: Some(capabilities()),
        resources: registry
            .resources
            .keys()
            .map(|key| get_metadata::ResourceMetadata { type_name: name(key) })
            .collect(),
        data_sources: registry
            .data_sources
            .keys()
            .map(|key| get_metadata::DataSourceMetadata { type_name: name(key) })
            .collect(),
        ephemeral_resources: registry
            .ephemeral_resources
            .keys()
            .map(|key| get_metadata::EphemeralResourceMetadata { type_name: name(key) })
            .collect(),
        functions: registry.functions.keys().map(|key| get_metadata::FunctionMetadata { name: name(key) }).collect(),
        ..Default::default()
    }
}

/// Describes everything. The transport keeps what becomes of it, so this is called once.
pub(super) fn provider_schema<P: Provider>(call: &Call<'_, P>) -> get_provider_schema::Response {
    let registry = call.registry;
    get_provider_schema::Response {
        provider: Some(provider_block(&registry.schema)),
        resource_schemas: registry.resources.values().map(|r| (r.name.to_owned(), schema(&r.schema))).collect(),
        data_source_schemas: registry.data_sources.values().map(|d| (d.name.to_owned(), schema(&d.schema))).collect(),
        ephemeral_resource_schemas: registry
            .ephemeral_resources
            .values()
            .map(|e| (e.name.to_owned(), schema(&e.schema)))
            .collect(),
        functions: registry.functions.values().map(|f| (f.name.to_owned(), function(f))).collect(),
        server_capabilities: Some(capabilities()),
        ..Default::default()
    }
}

/// Describes the identities of the resources that have one.
pub(super) fn identity_schemas<P: Provider>(call: &Call<'_, P>) -> get_resource_identity_schemas::Response {
    let identity_schemas = call
        .registry
        .resources
        .values()
        .filter(|resource| !resource.identity.is_empty())
        .map(|resource| (resource.name.to_owned(), identity_schema(&resource.identity)))
        .collect();
    get_resource_identity_schemas::Response { identity_schemas, ..Default::default() }
}

fn identity_schema(attributes: &[Attribute]) -> proto::ResourceIdentitySchema {
    let identity_attributes = attributes
        .iter()
        .map(|attribute| proto::resource_identity_schema::IdentityAttribute {
            name: attribute.name.to_owned(),
            r#type: attribute.ty().to_json(),
            required_for_import: attribute.mode == Mode::Required,
            optional_for_import: attribute.mode == Mode::Optional,
            description: attribute.description.to_owned(),
        })
        .collect();
    proto::ResourceIdentitySchema { version: 0, identity_attributes }
}

fn schema(schema: &Schema) -> proto::Schema {
    proto::Schema {
        version: schema.version,
        block: Some(proto::schema::Block {
            attributes: schema.attributes.iter().map(attribute).collect(),
            description: schema.description.to_owned(),
            description_kind: proto::StringKind::Markdown.into(),
            ..Default::default()
        }),
    }
}

/// The provider block: nothing computes its values, so a default is the provider's own affair.
fn provider_block(schema: &Schema) -> proto::Schema {
    let mut described = self::schema(schema);
    for attribute in described.block.iter_mut().flat_map(|block| &mut block.attributes) {
        attribute.computed = false;
    }
    described
}

fn attribute(attribute: &Attribute) -> proto::schema::Attribute {
    let (r#type, nested_type) = match &attribute.kind {
        Kind::Plain(ty) => (ty.to_json(), None),
        Kind::Nested(nesting, attributes) => (Vec::new(), Some(object(*nesting, attributes))),
    };
    proto::schema::Attribute {
        name: attribute.name.to_owned(),
        r#type,
        nested_type,
        description: attribute.description.to_owned(),
        description_kind: proto::StringKind::Markdown.into(),
        required: attribute.mode == Mode::Required,
        optional: matches!(attribute.mode, Mode::Optional | Mode::OptionalComputed),
        computed: matches!(attribute.mode, Mode::Computed | Mode::OptionalComputed),
        sensitive: attribute.sensitive,
        write_only: attribute.write_only,
        deprecated: attribute.deprecated.is_some(),
        deprecation_message: attribute.deprecated.unwrap_or_default().to_owned(),
    }
}

fn object(nesting: Nesting, attributes: &[Attribute]) -> proto::schema::Object {
    use proto::schema::object::NestingMode;
    let nesting = match nesting {
        Nesting::Single => NestingMode::Single,
        Nesting::List => NestingMode::List,
        Nesting::Set => NestingMode::Set,
        Nesting::Map => NestingMode::Map,
    };
    proto::schema::Object {
        attributes: attributes.iter().map(attribute).collect(),
        nesting: nesting.into(),
        ..Default::default()
    }
}

/// A function in the protocol's words.
pub(super) fn function(function: &Function) -> proto::Function {
    proto::Function {
        parameters: function.parameters.iter().map(parameter).collect(),
        r#return: Some(proto::function::Return { r#type: function.result.to_json() }),
        summary: function.summary.to_owned(),
        description: function.description.to_owned(),
        description_kind: proto::StringKind::Markdown.into(),
        ..Default::default()
    }
}

fn parameter(parameter: &Parameter) -> proto::function::Parameter {
    proto::function::Parameter {
        name: parameter.name.to_owned(),
        r#type: parameter.ty.to_json(),
        allow_null_value: parameter.allow_null,
        allow_unknown_values: false,
        description: parameter.description.to_owned(),
        description_kind: proto::StringKind::Markdown.into(),
    }
}
