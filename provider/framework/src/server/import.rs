//! `ImportResourceState`: an existing object, by id or by identity.
//!
//! The answer holds what identifies the object; the CLI reads the rest at once.
//!
//! **Invariant:** one object, not null, with nothing unknown; attributes that the resource does not name are null.

use tfplugin_proto::tfplugin6::import_resource_state;

use crate::checks;
use crate::checks::state::Unknowns;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plan_steps::with_all_attributes;
use crate::provider::Provider;
use crate::resource::ImportId;
use crate::timeouts::{self, Operation};
use crate::value::Value;
use crate::wire;

use super::{Call, running};

/// Imports a resource.
pub(super) async fn import<P: Provider>(
    call: &Call<'_, P>,
    request: &import_resource_state::Request,
) -> Result<import_resource_state::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let name = managed.name;
    let identity = wire::decode_identity(request.identity.as_ref(), &managed.identity_ty)?;
    let id = if identity.is_null() { ImportId::Id(request.id.clone()) } else { ImportId::Identity(identity.clone()) };
    if matches!(id, ImportId::Identity(_)) && managed.identity.is_empty() {
        let detail = format!("{name} has no identity. Its documentation says whether it can be imported by id.");
        return Err(Diagnostic::error("Import by identity is not supported", detail).into());
    }

    let act = format!("import {name}");
    let limit = Some(timeouts::limit(&managed.schema, &Value::Null, Operation::Read));
    let context = call.session.configured_context(limit, &act)?;
    let work = managed.resource.import(&context, id);
    let (mut state, mut diagnostics) = running::told(&context, limit, &act, work).await?;
    state.value = with_all_attributes(&managed.schema.attributes, state.value);
    if state.identity.is_null() {
        state.identity = identity;
    }
    let mut violations =
        checks::named("I2", "I4", checks::state::state(&managed.schema.attributes, &state.value, "I3"));
    if state.value.is_null() {
        violations.push(checks::whole("I1", "the imported object is null"));
    }
    violations.extend(checks::state::identity("I5", &managed.identity, &state.identity, Unknowns::Forbidden("I5")));
    if !violations.is_empty() {
        diagnostics.extend(checks::report(name, "the import", violations));
        return Err(diagnostics);
    }
    let imported = import_resource_state::ImportedResource {
        type_name: name.to_owned(),
        state: Some(managed.encode(&state.value, "state")?),
        private: wire::encode_private(&state.private),
        identity: wire::encode_identity(&state.identity, &managed.identity_ty)?,
    };
    Ok(import_resource_state::Response {
        imported_resources: vec![imported],
        diagnostics: wire::diagnostics(diagnostics),
        deferred: None,
    })
}
