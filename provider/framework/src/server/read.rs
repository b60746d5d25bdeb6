//! `ReadResource`: what the object is now.
//!
//! **Invariant:** a spelling that means the same is no drift; while the provider's configuration is unknown the state stays
//! as it is, with a warning, since no CLI puts the read off.

use tfplugin_proto::tfplugin6::read_resource;

use crate::checks;
use crate::checks::state::Unknowns;
use crate::context::Configured;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plan_steps::with_kept_spelling;
use crate::provider::Provider;
use crate::resource::State;
use crate::timeouts::{self, Operation};
use crate::wire;

use super::session::unknown_names;
use super::{Call, running};

/// Reads a resource.
pub(super) async fn read<P: Provider>(
    call: &Call<'_, P>,
    request: &read_resource::Request,
) -> Result<read_resource::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let name = managed.name;
    if wire::is_null(request.current_state.as_ref()) {
        return Ok(read_resource::Response { new_state: Some(wire::null()), ..Default::default() });
    }
    if let Configured::Unknown(names) = call.session.configured() {
        return Ok(unread(request, &names));
    }
    let before = managed.decode(request.current_state.as_ref(), "state")?;
    let identity = wire::decode_identity(request.current_identity.as_ref(), &managed.identity_ty)?;
    let private = wire::decode_private(&request.private)?;

    let limit = Some(timeouts::limit(&managed.schema, &before, Operation::Read));
    let act = format!("read {name}");
    let context = call.session.configured_context(limit, &act)?;
    let state = State { value: before.clone(), private, identity: identity.clone() };
    let work = managed.resource.read(&context, state);
    let (after, mut diagnostics) = running::told(&context, limit, &act, work).await?;
    let Some(after) = after else {
        let new_state = Some(wire::null());
        let diagnostics = wire::diagnostics(diagnostics);
        return Ok(read_resource::Response { new_state, diagnostics, ..Default::default() });
    };

    let value = with_kept_spelling(&managed.schema.attributes, &before, after.value);
    let mut violations = checks::named("F1", "F5", checks::state::state(&managed.schema.attributes, &value, "F2"));
    let new_identity = if after.identity.is_null() { identity.clone() } else { after.identity };
    violations.extend(checks::state::identity("F6", &managed.identity, &new_identity, Unknowns::Forbidden("F6")));
    if !identity.is_null() && new_identity != identity {
        violations.push(checks::whole("F7", "the identity has changed"));
    }
    if !violations.is_empty() {
        diagnostics.extend(checks::report(name, "the read", violations));
        return Err(diagnostics);
    }
    Ok(read_resource::Response {
        new_state: Some(managed.encode(&value, "state")?),
        private: wire::encode_private(&after.private),
        new_identity: wire::encode_identity(&new_identity, &managed.identity_ty)?,
        diagnostics: wire::diagnostics(diagnostics),
        deferred: None,
    })
}

/// The state as it was, for want of a connection.
fn unread(request: &read_resource::Request, names: &[String]) -> read_resource::Response {
    let warning = Diagnostic::warning(
        "Not refreshed: the provider's configuration is not known yet",
        format!("{} is planned from its last known state, because {}.", request.type_name, unknown_names(names)),
    );
    read_resource::Response {
        new_state: request.current_state.clone(),
        private: request.private.clone(),
        new_identity: request.current_identity.clone(),
        diagnostics: wire::diagnostics(warning.into()),
        deferred: None,
    }
}
