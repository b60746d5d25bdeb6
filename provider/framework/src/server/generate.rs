//! `GenerateResourceConfig`: the configuration to write for an imported state.
//!
//! **Invariant:** what the user may not set, should not set (unless it is required), or need not set since it is the default, is null; so the
//! generated block is legal and short.

use tfplugin_proto::tfplugin6::generate_resource_config;

use crate::diagnostics::Diagnostics;
use crate::equality::equal;
use crate::plan_steps::default_value;
use crate::provider::Provider;
use crate::schema::{Attribute, Kind, Mode, Nesting};
use crate::value::Value;

use super::Call;

/// Makes a configuration of a state.
pub(super) fn generate<P: Provider>(
    call: &Call<'_, P>,
    request: &generate_resource_config::Request,
) -> Result<generate_resource_config::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let state = managed.decode(request.state.as_ref(), "state")?;
    let config = config(&managed.schema.attributes, &state);
    let config = Some(managed.encode(&config, "configuration")?);
    Ok(generate_resource_config::Response { config, diagnostics: Vec::new() })
}

pub(super) fn config(attributes: &[Attribute], state: &Value) -> Value {
    if state.as_map().is_none() {
        return state.clone();
    }
    Value::object(attributes.iter().map(|a| (a.name, argument(a, state.get(a.name)))))
}

fn argument(attribute: &Attribute, value: &Value) -> Value {
    let is_default = default_value(attribute).is_some_and(|default| equal(&attribute.ty(), &default, value));
    let unwanted = attribute.deprecated.is_some() && attribute.mode != Mode::Required;
    if attribute.mode == Mode::Computed || unwanted || attribute.write_only || is_default {
        return Value::Null;
    }
    match (&attribute.kind, value) {
        (Kind::Nested(Nesting::Single, attributes), value) => config(attributes, value),
        (Kind::Nested(_, attributes), Value::Map(items)) => {
            Value::Map(items.iter().map(|(key, item)| (key.clone(), config(attributes, item))).collect())
        }
        (Kind::Nested(_, attributes), Value::List(items)) => {
            Value::List(items.iter().map(|item| config(attributes, item)).collect())
        }
        (_, value) => value.clone(),
    }
}
