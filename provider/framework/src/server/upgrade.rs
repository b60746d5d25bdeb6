//! `UpgradeResourceState` and `UpgradeResourceIdentity`: what is stored, in the form of today.
//!
//! The CLI asks for every resource in every run, also when the versions are equal. Attributes that are no longer in the
//! schema are dropped, new ones are null until the next read or plan.
//!
//! **Invariant:** numbers keep all their digits; a state of a later version is never guessed at.

use serde_json::Value as Json;
use tfplugin_proto::tfplugin6 as proto;

use proto::{upgrade_resource_identity, upgrade_resource_state};

use crate::checks;
use crate::codec;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plan_steps::without_write_only;
use crate::provider::Provider;
use crate::wire;

use super::Call;

/// Brings a state to the current schema.
pub(super) fn state<P: Provider>(
    call: &Call<'_, P>,
    request: &upgrade_resource_state::Request,
) -> Result<upgrade_resource_state::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let name = managed.name;
    let ours = managed.schema.version;
    if request.version > ours {
        let detail = format!(
            "The state of {name} was written by a later version of the provider (schema version {}; this version knows \
             {ours}). Use the provider's version that wrote it, or a later one.",
            request.version
        );
        return Err(Diagnostic::error("State of a later version", detail).into());
    }
    let mut json = stored(request.raw_state.as_ref(), name)?;
    let something_is_stored = !json.is_null();
    for version in request.version..ours {
        json = managed.resource.upgrade(version, json)?;
    }
    let value = codec::json::decode(&json, &managed.ty).map_err(|error| {
        let detail = format!(
            "The state of {name} (schema version {}) does not have the form of that version: {error}. Restore the state \
             from a backup, or remove the resource from the state and import it.",
            request.version
        );
        Diagnostic::error("State cannot be read", detail)
    })?;
    let value = without_write_only(&managed.schema.attributes, value);
    let mut violations = checks::named("U1", "U3", checks::state::state(&managed.schema.attributes, &value, "U2"));
    if something_is_stored && value.is_null() {
        violations.push(checks::whole("U1", "nothing is left of the state"));
    }
    if !violations.is_empty() {
        return Err(checks::report(name, "the upgrade of the state", violations));
    }
    let upgraded_state = Some(managed.encode(&value, "state")?);
    Ok(upgrade_resource_state::Response { upgraded_state, diagnostics: Vec::new() })
}

/// Brings an identity to the current schema, of which there has only been one version.
pub(super) fn identity<P: Provider>(
    call: &Call<'_, P>,
    request: &upgrade_resource_identity::Request,
) -> Result<upgrade_resource_identity::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let name = managed.name;
    let failed = |why: String| Diagnostics::from(Diagnostic::error("Identity cannot be read", why));
    if managed.identity.is_empty() {
        return Err(failed(format!("{name} has no identity in this version of the provider.")));
    }
    if request.version != 0 {
        let version = request.version;
        return Err(failed(format!(
            "The identity of {name} was written by a later version of the provider ({version})."
        )));
    }
    let json = stored(request.raw_identity.as_ref(), name)?;
    let identity = codec::json::decode(&json, &managed.identity_ty)
        .map_err(|error| failed(format!("The stored identity of {name} does not have its form: {error}.")))?;
    if identity.is_null() {
        return Err(failed(format!("The stored identity of {name} is empty.")));
    }
    let upgraded_identity = wire::encode_identity(&identity, &managed.identity_ty)?;
    Ok(upgrade_resource_identity::Response { upgraded_identity, diagnostics: Vec::new() })
}

/// What is stored, as JSON.
pub(super) fn stored(raw: Option<&proto::RawState>, name: &str) -> Result<Json, Diagnostics> {
    let failed = |why: String| Diagnostics::from(Diagnostic::error("State cannot be read", why));
    let Some(raw) = raw else { return Ok(Json::Null) };
    if raw.json.is_empty() && !raw.flatmap.is_empty() {
        return Err(failed(format!(
            "The state of {name} has the form of a CLI older than 0.12, which this provider has never written."
        )));
    }
    if raw.json.is_empty() {
        return Ok(Json::Null);
    }
    serde_json::from_slice(&raw.json)
        .map_err(|error| failed(format!("The stored state of {name} is not JSON: {error}.")))
}
