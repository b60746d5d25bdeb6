//! `GenerateResourceConfig`: the configuration to write for an imported state.
//!
//! **Invariant:** null is what the user may not set, should not set (unless it is required), or need not set since it is
//! the default; what excludes what, the resource itself knows. So the generated block is legal and short.

use tfplugin_proto::tfplugin6::generate_resource_config;

use crate::diagnostics::Diagnostics;
use crate::equality::equal;
use crate::plan_steps::{default_value, each_attribute, each_object};
use crate::provider::Provider;
use crate::schema::{Attribute, Kind, Mode};
use crate::value::Value;

use super::Call;

/// Makes a configuration of a state.
pub(super) fn generate<P: Provider>(
    call: &Call<'_, P>,
    request: &generate_resource_config::Request,
) -> Result<generate_resource_config::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let state = managed.decode(request.state.as_ref(), "state")?;
    let mut config = config(&managed.schema.attributes, state);
    managed.resource.generate(&mut config);
    let config = Some(managed.encode(&config, "configuration")?);
    Ok(generate_resource_config::Response { config, diagnostics: Vec::new() })
}

pub(super) fn config(attributes: &[Attribute], state: Value) -> Value {
    each_attribute(attributes, state, |attribute, value| {
        let is_default = default_value(attribute).is_some_and(|default| equal(&attribute.ty(), &default, &value));
        let unwanted = attribute.deprecated.is_some() && attribute.mode != Mode::Required;
        match &attribute.kind {
            _ if attribute.mode == Mode::Computed || unwanted || attribute.write_only || is_default => Value::Null,
            Kind::Nested(nesting, inner) => each_object(*nesting, value, |item| config(inner, item)),
            Kind::Plain(_) => value,
        }
    })
}
