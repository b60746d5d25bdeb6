//! Whether the CLIs would load the schemas: rules S1 to S13.
//!
//! **Invariant:** looks at the messages on the wire, not at anything that made them.

use std::collections::{BTreeMap, BTreeSet};

use tfplugin_proto::tfplugin6 as proto;
use tfplugin_proto::tfplugin6::schema::nested_block::NestingMode as BlockMode;
use tfplugin_proto::tfplugin6::schema::object::NestingMode;

use proto::schema::{Attribute, Block, NestedBlock};

use crate::path::Path;
use crate::types::Type;

use super::trouble::Findings;

const OF_RESOURCES: &[&str] =
    &["count", "for_each", "depends_on", "lifecycle", "provider", "provisioner", "connection"];
const OF_PROVIDERS: &[&str] = &["alias", "version"];

/// Checks everything that `GetProviderSchema` gives.
pub(super) fn provider(response: &proto::get_provider_schema::Response, findings: &mut Findings) {
    match &response.provider {
        Some(provider) => schema("provider", provider, OF_PROVIDERS, findings),
        None => findings.add("S13", &Path::root("provider"), "the schema of the provider block is missing"),
    }
    let all = [&response.resource_schemas, &response.data_source_schemas, &response.ephemeral_resource_schemas];
    let names: BTreeSet<&str> = all.iter().flat_map(|schemas| schemas.keys()).map(String::as_str).collect();
    let prefixes: BTreeSet<&str> = names.iter().map(|name| name.split('_').next().unwrap_or_default()).collect();
    if prefixes.len() > 1 {
        findings.whole("S12", format!("the names of the types begin with different words: {prefixes:?}"));
    }
    for (name, one) in all.into_iter().flatten() {
        if !is_name(name) {
            findings.add("S12", &Path::root(name), "the type's name is no identifier");
        }
        schema(name, one, OF_RESOURCES, findings);
    }
    for (name, one) in &response.functions {
        function(name, one, findings);
    }
}

/// Checks everything that `GetResourceIdentitySchemas` gives.
pub(super) fn identities(schemas: &BTreeMap<String, proto::ResourceIdentitySchema>, findings: &mut Findings) {
    for (name, schema) in schemas {
        for attribute in &schema.identity_attributes {
            let path = Path::root(name).attribute(&attribute.name);
            let good = match Type::from_json(&attribute.r#type) {
                Ok(Type::List(element)) => is_primitive(&element),
                Ok(ty) => is_primitive(&ty),
                Err(_) => false,
            };
            if !good {
                findings.add("S9", &path, "an identity holds primitives and lists of primitives");
            }
            if !is_name(&attribute.name) {
                findings.add("S3", &path, "the name is no identifier");
            }
        }
        if schema.version < 0 {
            findings.add("S7", &Path::root(name), "the version is negative");
        }
    }
}

fn schema(name: &str, schema: &proto::Schema, reserved: &[&str], findings: &mut Findings) {
    let path = Path::root(name);
    if schema.version < 0 {
        findings.add("S7", &path, "the version is negative");
    }
    let Some(block) = &schema.block else {
        return findings.add("S13", &path, "the schema has no block");
    };
    for attribute in block.attributes.iter().filter(|attribute| reserved.contains(&attribute.name.as_str())) {
        findings.add("S11", &path.clone().attribute(&attribute.name), "the language keeps this name for itself");
    }
    self::block(block, &path, false, findings);
}

fn block(block: &Block, path: &Path, in_set: bool, findings: &mut Findings) {
    if block.deprecated == block.deprecation_message.is_empty() && !block.deprecated {
        findings.add("S8", path, "a reason for a deprecation without the deprecation");
    }
    let mut names = attributes(&block.attributes, path, in_set, findings);
    for nested in &block.block_types {
        let path = path.clone().attribute(&nested.type_name);
        if !is_name(&nested.type_name) || !names.insert(&nested.type_name) {
            findings.add("S3", &path, "the name of the block is no identifier, or not the only one");
        }
        if !counts(nested) {
            findings.add("S4", &path, "the block's nesting and its limits do not go together");
        }
        if let Some(block) = &nested.block {
            self::block(block, &path, in_set || nested.nesting() == BlockMode::Set, findings);
        }
    }
}

fn counts(nested: &NestedBlock) -> bool {
    let (min, max) = (nested.min_items, nested.max_items);
    match nested.nesting() {
        BlockMode::Invalid => false,
        BlockMode::Single => min == max && (0..=1).contains(&min),
        BlockMode::Group | BlockMode::Map => min == 0 && max == 0,
        BlockMode::List | BlockMode::Set => min >= 0 && (max == 0 || min <= max),
    }
}

fn attributes<'a>(
    attributes: &'a [Attribute],
    path: &Path,
    in_set: bool,
    findings: &mut Findings,
) -> BTreeSet<&'a String> {
    let mut names = BTreeSet::new();
    for attribute in attributes {
        let path = path.clone().attribute(&attribute.name);
        if !is_name(&attribute.name) || !names.insert(&attribute.name) {
            findings.add("S3", &path, "the name is no identifier, or not the only one");
        }
        self::attribute(attribute, &path, in_set, findings);
    }
    names
}

fn attribute(attribute: &Attribute, path: &Path, in_set: bool, findings: &mut Findings) {
    if !matches!(
        (attribute.required, attribute.optional, attribute.computed),
        (true, false, false) | (false, true, _) | (false, false, true)
    ) {
        findings.add("S1", path, "is not exactly one of required, optional, computed, optional and computed");
    }
    if !attribute.deprecated && !attribute.deprecation_message.is_empty() {
        findings.add("S8", path, "a reason for a deprecation without the deprecation");
    }
    if attribute.write_only && attribute.computed {
        findings.add("S11", path, "a write-only attribute is computed");
    }
    if attribute.write_only && in_set {
        findings.add("S6", path, "a set holds a write-only attribute");
    }
    match (&attribute.nested_type, attribute.r#type.is_empty()) {
        (Some(_), false) => findings.add("S2", path, "has a type and a nested type"),
        (None, true) => findings.add("S2", path, "has neither a type nor a nested type"),
        (None, false) => match Type::from_json(&attribute.r#type) {
            Ok(ty) if holds_dynamic(&ty, in_set) => findings.add("S5", path, "a set holds dynamic values"),
            Ok(_) => {}
            Err(error) => findings.add("S2", path, format!("the type is none: {error}")),
        },
        (Some(object), true) => {
            if object.nesting() == NestingMode::Invalid {
                findings.add("S4", path, "the nested type has no nesting mode");
            }
            attributes(&object.attributes, path, in_set || object.nesting() == NestingMode::Set, findings);
        }
    }
}

fn holds_dynamic(ty: &Type, in_set: bool) -> bool {
    match ty {
        Type::Dynamic => in_set,
        Type::Set(element) => holds_dynamic(element, true),
        Type::List(element) | Type::Map(element) => holds_dynamic(element, in_set),
        Type::Tuple(types) => types.iter().any(|ty| holds_dynamic(ty, in_set)),
        Type::Object(types) => types.values().any(|ty| holds_dynamic(ty, in_set)),
        Type::String | Type::Number | Type::Bool => false,
    }
}

fn function(name: &str, function: &proto::Function, findings: &mut Findings) {
    let path = Path::root(name);
    if !is_name(name) {
        findings.add("S10", &path, "the function's name is no identifier");
    }
    let mut names = BTreeSet::new();
    for parameter in function.parameters.iter().chain(&function.variadic_parameter) {
        if !is_name(&parameter.name) || !names.insert(&parameter.name) {
            findings.add("S10", &path.clone().attribute(&parameter.name), "no identifier, or not the only one");
        }
        if Type::from_json(&parameter.r#type).is_err() {
            findings.add("S2", &path.clone().attribute(&parameter.name), "the type is none");
        }
    }
    if function.r#return.as_ref().is_none_or(|result| Type::from_json(&result.r#type).is_err()) {
        findings.add("S2", &path, "the type of the result is none");
    }
}

fn is_primitive(ty: &Type) -> bool {
    matches!(ty, Type::String | Type::Number | Type::Bool)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_')
}
