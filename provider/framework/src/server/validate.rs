//! The four validation requests: a configuration is checked by its schema, then by its owner.
//!
//! **Invariant:** runs without a configured provider; unknown values are legal everywhere.

use tfplugin_proto::tfplugin6 as proto;

use proto::{
    validate_data_resource_config, validate_ephemeral_resource_config, validate_provider_config,
    validate_resource_config,
};

use crate::checks;
use crate::diagnostics::Diagnostics;
use crate::path::Path;
use crate::provider::Provider;
use crate::schema::Schema;
use crate::timeouts;
use crate::value::Value;
use crate::wire;

use super::Call;
use super::registry::DataType;

/// The schema's checks first; the owner's own only for a configuration of the right shape, and without what a validator
/// said already of the same attribute, or of one within the same element.
fn check(
    schema: &Schema,
    config: &Value,
    write_only_allowed: bool,
    own: impl FnOnce(&Value, &mut Diagnostics),
) -> Vec<proto::Diagnostic> {
    let mut diagnostics = Diagnostics::default();
    let shaped = checks::config::config(&schema.attributes, config, write_only_allowed, &mut diagnostics);
    timeouts::validate(schema, config, &mut diagnostics);
    if shaped && !config.is_null() {
        let mut more = Diagnostics::default();
        own(config, &mut more);
        let is_told = |new: &Path| match new.0.as_slice() {
            [] => false,
            [_] => diagnostics.0.iter().any(|told| told.path == *new),
            element => diagnostics.0.iter().any(|told| told.path.0.starts_with(element)),
        };
        more.0.retain(|new| !is_told(&new.path));
        diagnostics.extend(more);
    }
    wire::diagnostics(diagnostics)
}

/// Checks the provider block.
pub(super) fn provider<P: Provider>(
    call: &Call<'_, P>,
    request: &validate_provider_config::Request,
) -> Result<validate_provider_config::Response, Diagnostics> {
    let registry = call.registry;
    let config = registry.decode_block(request.config.as_ref())?;
    let own = |config: &Value, diagnostics: &mut Diagnostics| registry.provider.validate(config, diagnostics);
    Ok(validate_provider_config::Response { diagnostics: check(&registry.schema, &config, true, own) })
}

/// Checks a resource block.
pub(super) fn resource<P: Provider>(
    call: &Call<'_, P>,
    request: &validate_resource_config::Request,
) -> Result<validate_resource_config::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let config = managed.decode(request.config.as_ref(), "configuration")?;
    let write_only = request.client_capabilities.is_some_and(|client| client.write_only_attributes_allowed);
    let own = |config: &Value, diagnostics: &mut Diagnostics| managed.resource.validate(config, diagnostics);
    Ok(validate_resource_config::Response { diagnostics: check(&managed.schema, &config, write_only, own) })
}

/// Checks a data block.
pub(super) fn data_source<P: Provider>(
    call: &Call<'_, P>,
    request: &validate_data_resource_config::Request,
) -> Result<validate_data_resource_config::Response, Diagnostics> {
    let data = call.registry.data_source(&request.type_name)?;
    let diagnostics = source(data, request.config.as_ref())?;
    Ok(validate_data_resource_config::Response { diagnostics })
}

/// Checks an ephemeral block.
pub(super) fn ephemeral<P: Provider>(
    call: &Call<'_, P>,
    request: &validate_ephemeral_resource_config::Request,
) -> Result<validate_ephemeral_resource_config::Response, Diagnostics> {
    let data = call.registry.ephemeral_resource(&request.type_name)?;
    let diagnostics = source(data, request.config.as_ref())?;
    Ok(validate_ephemeral_resource_config::Response { diagnostics })
}

fn source<D: Send + Sync>(
    data: &DataType<D>,
    config: Option<&proto::DynamicValue>,
) -> Result<Vec<proto::Diagnostic>, Diagnostics> {
    let config = data.decode(config)?;
    let own = |config: &Value, diagnostics: &mut Diagnostics| data.source.validate(config, diagnostics);
    Ok(check(&data.schema, &config, true, own))
}
