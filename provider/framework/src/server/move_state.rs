//! `MoveResourceState`: a `moved` block from another resource type, or from this one under another address of the provider.
//!
//! The CLIs ask for both. The same type under another address, such as a fork's or a mirror's, is a state of ours and is
//! treated like any stored state.
//!
//! **Invariant:** a state of another type is only taken over by a resource that says it knows that type.

use serde_json::Value as Json;
use tfplugin_proto::tfplugin6::move_resource_state;

use crate::checks;
use crate::checks::state::Unknowns;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plan_steps::with_all_attributes;
use crate::provider::Provider;
use crate::resource::State;
use crate::value::Value;
use crate::wire;

use super::registry::ManagedType;
use super::{Call, upgrade};

/// Takes over the state of another resource.
pub(super) fn move_state<P: Provider>(
    call: &Call<'_, P>,
    request: &move_resource_state::Request,
) -> Result<move_resource_state::Response, Diagnostics> {
    let managed = call.registry.resource(&request.target_type_name)?;
    let name = managed.name;
    let json = upgrade::stored(request.source_state.as_ref(), &request.source_type_name)?;
    let ours = request.source_provider_address.rsplit('/').next() == Some(call.registry.provider.name());
    let mut state = if ours && request.source_type_name == name {
        under_another_address(managed, request, json)?
    } else {
        of_another_type(managed, request, &json)?
    };
    state.value = with_all_attributes(&managed.schema.attributes, state.value);
    let mut violations =
        checks::named("M1", "M3", checks::state::state(&managed.schema.attributes, &state.value, "M2"));
    if state.value.is_null() {
        violations.push(checks::whole("M1", "the moved object is null"));
    }
    violations.extend(checks::state::identity("M1", &managed.identity, &state.identity, Unknowns::Forbidden("M2")));
    if !violations.is_empty() {
        return Err(checks::report(name, "the move", violations));
    }
    Ok(move_resource_state::Response {
        target_state: Some(managed.encode(&state.value, "state")?),
        target_private: wire::encode_private(&state.private),
        target_identity: wire::encode_identity(&state.identity, &managed.identity_ty)?,
        diagnostics: Vec::new(),
    })
}

/// The state of this very type.
fn under_another_address<D: Send + Sync>(
    managed: &ManagedType<D>,
    request: &move_resource_state::Request,
    json: Json,
) -> Result<State, Diagnostics> {
    let stored = upgrade::stored(request.source_identity.as_ref(), managed.name)?;
    let identity = if stored.is_null() || managed.identity.is_empty() {
        Value::Null
    } else {
        upgrade::current_identity(managed, request.source_identity_schema_version, &stored)?
    };
    Ok(State {
        value: upgrade::current(managed, request.source_schema_version, json)?,
        private: wire::decode_private(&request.source_private)?,
        identity,
    })
}

/// The state of another type, if the resource knows it.
fn of_another_type<D: Send + Sync>(
    managed: &ManagedType<D>,
    request: &move_resource_state::Request,
    json: &Json,
) -> Result<State, Diagnostics> {
    let (name, source) = (managed.name, &request.source_type_name);
    managed.resource.move_from(source, json).unwrap_or_else(|| {
        let detail = format!(
            "{name} cannot take over the state of {source} ({}), which is another kind of object. Write a removed block for \
             {source} in place of the moved block, with lifecycle {{ destroy = false }} to keep what it made, and an import \
             block for {name}.",
            request.source_provider_address
        );
        Err(Diagnostic::error("Unsupported move between resource types", detail).into())
    })
}
