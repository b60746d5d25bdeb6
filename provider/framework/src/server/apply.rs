//! `ApplyResourceChange`: create, update or delete, as planned.
//!
//! **Invariant:** whatever happened, the answer holds what the CLI should remember. Null after a failure means that the
//! state before still holds (and after a failed create, that nothing was made).

use tfplugin_proto::tfplugin6::apply_resource_change;

use crate::checks::state::Unknowns;
use crate::checks::{self, Violation};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::plan_steps::with_kept_spelling;
use crate::provider::Provider;
use crate::resource::{ApplyFailure, Plan, State};
use crate::timeouts::{self, Operation};
use crate::value::Value;
use crate::wire;

use super::registry::ManagedType;
use super::{Call, running};

/// Applies a plan.
pub(super) async fn apply<P: Provider>(
    call: &Call<'_, P>,
    request: &apply_resource_change::Request,
) -> Result<apply_resource_change::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let name = managed.name;
    let prior = managed.decode(request.prior_state.as_ref(), "prior state")?;
    let planned = managed.decode(request.planned_state.as_ref(), "plan")?;
    let config = managed.decode(request.config.as_ref(), "configuration")?;
    let private = wire::decode_private(&request.planned_private)?;
    let identity = wire::decode_identity(request.planned_identity.as_ref(), &managed.identity_ty)?;

    let (operation, limited_by) = match (prior.is_null(), planned.is_null()) {
        (true, false) => (Operation::Create, &planned),
        (false, false) => (Operation::Update, &planned),
        (false, true) => (Operation::Delete, &prior),
        (true, true) => return Ok(gone(Diagnostics::default())),
    };
    let act = format!("{} {name}", operation.name());
    let limit = Some(timeouts::limit(&managed.schema, limited_by, operation));
    let context = call.session.configured_context(limit, &act)?;
    let plan = Plan { value: planned.clone(), replace: Vec::new(), private, identity };

    let outcome = match operation {
        Operation::Delete => {
            let work = managed.resource.delete(&context, &prior, &plan.private);
            running::run(&context, limit, &act, work).await.map(|()| None)
        }
        Operation::Create => {
            let work = managed.resource.create(&context, &config, plan.clone());
            running::run(&context, limit, &act, work).await.map(Some)
        }
        Operation::Read | Operation::Update => {
            let work = managed.resource.update(&context, &prior, &config, plan.clone());
            running::run(&context, limit, &act, work).await.map(Some)
        }
    };
    let warnings = context.take_warnings();
    match outcome {
        Ok(None) => Ok(gone(warnings)),
        Ok(Some(state)) => Ok(done(managed, operation, &plan, state, warnings)),
        Err(failure) => Ok(failed(managed, &act, failure, warnings)),
    }
}

/// The answer that no object is left.
fn gone(diagnostics: Diagnostics) -> apply_resource_change::Response {
    apply_resource_change::Response {
        new_state: Some(wire::null()),
        diagnostics: wire::diagnostics(diagnostics),
        ..Default::default()
    }
}

/// The answer after a success, if what came of it is what was planned.
fn done<D: Send + Sync>(
    managed: &ManagedType<D>,
    operation: Operation,
    plan: &Plan,
    mut state: State,
    mut diagnostics: Diagnostics,
) -> apply_resource_change::Response {
    let attributes = &managed.schema.attributes;
    state.value = with_kept_spelling(attributes, &plan.value, state.value);
    if state.identity.is_null() && plan.identity.is_wholly_known() {
        state.identity = plan.identity.clone();
    }
    let mut violations = checks::result::result(attributes, &plan.value, &state.value);
    let identity_faults = identity_faults(managed, &state.identity);
    let is_identity_usable = identity_faults.is_empty();
    violations.extend(identity_faults);
    // CLIs that know no identities send none, so an update may have none to keep.
    let identity_needed = !managed.identity.is_empty() && (operation == Operation::Create || !plan.identity.is_null());
    if identity_needed && state.identity.is_null() {
        violations.push(checks::whole("A10", "the identity is missing"));
    }
    if !violations.is_empty() {
        diagnostics.extend(checks::report(managed.name, "the apply", violations));
        // The object exists, so it must not be forgotten: what was found out about it if that has the right form, else
        // what was planned. The state before an update is kept by the CLI itself.
        if !checks::state::state(attributes, &state.value, "A6").is_empty() {
            let create = operation == Operation::Create;
            state.value = if create { without_unknowns(&plan.value) } else { Value::Null };
        }
        if !is_identity_usable {
            state.identity = Value::Null;
        }
    }
    answer(managed, &state, diagnostics)
}

fn identity_faults<D: Send + Sync>(managed: &ManagedType<D>, identity: &Value) -> Vec<Violation> {
    checks::state::identity("A10", &managed.identity, identity, Unknowns::Forbidden("A10"))
}

/// The answer after a failure, with what is left according to the resource.
fn failed<D: Send + Sync>(
    managed: &ManagedType<D>,
    act: &str,
    failure: ApplyFailure,
    mut diagnostics: Diagnostics,
) -> apply_resource_change::Response {
    let ApplyFailure { state, diagnostics: errors } = failure;
    diagnostics.extend(errors);
    if !diagnostics.has_error() {
        let detail = format!("Could not {act}, and the provider does not say why. This is a bug in the provider.");
        diagnostics.push(Diagnostic::error("Failed without a reason", detail));
    }
    let Some(mut state) = state else { return gone(diagnostics) };
    let identity_faults = identity_faults(managed, &state.identity);
    if !identity_faults.is_empty() {
        state.identity = Value::Null;
        diagnostics.extend(checks::report(managed.name, "the failed apply", identity_faults));
    }
    let violations = checks::state::state(&managed.schema.attributes, &state.value, "A6");
    if violations.is_empty() {
        answer(managed, &state, diagnostics)
    } else {
        diagnostics.extend(checks::report(managed.name, "the failed apply", violations));
        gone(diagnostics)
    }
}

fn answer<D: Send + Sync>(
    managed: &ManagedType<D>,
    state: &State,
    mut diagnostics: Diagnostics,
) -> apply_resource_change::Response {
    let new_state = managed.encode(&state.value, "state").unwrap_or_else(|errors| {
        diagnostics.extend(errors);
        wire::null()
    });
    let new_identity = wire::encode_identity(&state.identity, &managed.identity_ty).unwrap_or_else(|errors| {
        diagnostics.extend(errors);
        None
    });
    apply_resource_change::Response {
        new_state: Some(new_state),
        private: wire::encode_private(&state.private),
        new_identity,
        diagnostics: wire::diagnostics(diagnostics),
        ..Default::default()
    }
}

/// The value with null for what is unknown.
fn without_unknowns(value: &Value) -> Value {
    match value {
        Value::Unknown(_) => Value::Null,
        Value::List(items) => Value::List(items.iter().map(without_unknowns).collect()),
        Value::Map(items) => {
            Value::Map(items.iter().map(|(key, item)| (key.clone(), without_unknowns(item))).collect())
        }
        Value::Dynamic(typed) if !typed.value.is_wholly_known() => {
            let mut typed = typed.clone();
            typed.value = without_unknowns(&typed.value);
            Value::Dynamic(typed)
        }
        other => other.clone(),
    }
}
