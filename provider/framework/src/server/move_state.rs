//! `MoveResourceState`: a `moved` block from another resource type.
//!
//! **Invariant:** a state is only taken over by a resource that says it knows the other type.

use tfplugin_proto::tfplugin6::move_resource_state;

use crate::checks;
use crate::checks::state::Unknowns;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plan_steps::with_all_attributes;
use crate::provider::Provider;
use crate::wire;

use super::{Call, upgrade};

/// Takes over the state of another resource.
pub(super) fn move_state<P: Provider>(
    call: &Call<'_, P>,
    request: &move_resource_state::Request,
) -> Result<move_resource_state::Response, Diagnostics> {
    let managed = call.registry.resource(&request.target_type_name)?;
    let (name, source) = (managed.name, &request.source_type_name);
    let json = upgrade::stored(request.source_state.as_ref(), source)?;
    let Some(moved) = managed.resource.move_from(source, &json) else {
        let detail = format!(
            "{name} cannot take over the state of {source} ({}). Remove the moved block; to keep the object, remove {source} \
             from the state and import it as {name}.",
            request.source_provider_address
        );
        return Err(Diagnostic::error("Unsupported move between resource types", detail).into());
    };
    let mut state = moved?;
    state.value = with_all_attributes(&managed.schema.attributes, state.value);
    let mut violations =
        checks::named("M1", "M3", checks::state::state(&managed.schema.attributes, &state.value, "M2"));
    if state.value.is_null() {
        violations.push(checks::whole("M1", "the moved object is null"));
    }
    let found = checks::state::identity(&managed.identity, &state.identity, Unknowns::Forbidden("M2"));
    violations.extend(checks::named("M1", "M1", found));
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
