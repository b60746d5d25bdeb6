//! `PlanResourceChange`: what an apply would make of the object.
//!
//! The schema's steps come first ([`crate::plan_steps`]), then the resource's own; what comes out is checked. A replacement
//! asks twice: the second time with no prior state, and with the private state that the first call planned.
//!
//! **Invariant:** the same request gives the same plan; it is made again at apply and compared.

use tfplugin_proto::tfplugin6::plan_resource_change;

use crate::checks;
use crate::checks::state::Unknowns;
use crate::diagnostics::Diagnostics;
use crate::plan_steps::{normalise_replace, planned_value, replace_paths};
use crate::provider::Provider;
use crate::resource::{Plan, PlanRequest};
use crate::timeouts::{self, Operation};
use crate::value::Value;
use crate::wire;

use super::registry::ManagedType;
use super::{Call, running};

/// Plans a create, an update or a destroy.
pub(super) async fn plan<P: Provider>(
    call: &Call<'_, P>,
    request: &plan_resource_change::Request,
) -> Result<plan_resource_change::Response, Diagnostics> {
    let managed = call.registry.resource(&request.type_name)?;
    let prior = managed.decode(request.prior_state.as_ref(), "prior state")?;
    if wire::is_null(request.proposed_new_state.as_ref()) {
        return destroy(call, managed, request, &prior).await;
    }
    let config = managed.decode(request.config.as_ref(), "configuration")?;
    let private = wire::decode_private(&request.prior_private)?;
    let prior_identity = wire::decode_identity(request.prior_identity.as_ref(), &managed.identity_ty)?;

    let attributes = &managed.schema.attributes;
    let value = planned_value(attributes, &prior, &config);
    let mut plan = Plan {
        replace: replace_paths(attributes, &prior, &value),
        value,
        private: private.clone(),
        identity: prior_identity.clone(),
    };

    // A veto may look at the database, so planning takes as long as reading may.
    let limit = Some(timeouts::limit(&managed.schema, &config, Operation::Read));
    let context = call.session.context(limit);
    let plan_request = PlanRequest { prior: &prior, config: &config, private: &private };
    let work = async { unless_refused(managed.resource.plan(&context, plan_request, &mut plan).await) };
    let (warnings, mut diagnostics) = running::told(&context, limit, &format!("plan {}", managed.name), work).await?;
    diagnostics.extend(warnings);

    let replace = match check(managed, &prior, &config, &prior_identity, &mut plan) {
        Ok(replace) => replace,
        Err(violations) => {
            diagnostics.extend(violations);
            return Err(diagnostics);
        }
    };
    Ok(plan_resource_change::Response {
        planned_state: Some(managed.encode(&plan.value, "plan")?),
        requires_replace: replace.iter().map(wire::path).collect(),
        planned_private: wire::encode_private(&plan.private),
        planned_identity: wire::encode_identity(&plan.identity, &managed.identity_ty)?,
        diagnostics: wire::diagnostics(diagnostics),
        ..Default::default()
    })
}

/// What a resource said of a plan, as errors if one is among it.
fn unless_refused(told: Diagnostics) -> Result<Diagnostics, Diagnostics> {
    if told.has_error() { Err(told) } else { Ok(told) }
}

/// Checks a plan and puts its replace list in order.
fn check<D: Send + Sync>(
    managed: &ManagedType<D>,
    prior: &Value,
    config: &Value,
    prior_identity: &Value,
    plan: &mut Plan,
) -> Result<Vec<crate::path::Path>, Diagnostics> {
    let mut violations = checks::plan::plan(&managed.schema.attributes, prior, config, &plan.value);
    let replace = normalise_replace(std::mem::take(&mut plan.replace), prior, &plan.value).unwrap_or_else(|nowhere| {
        violations.extend(nowhere.into_iter().map(checks::nowhere));
        Vec::new()
    });
    let in_place = !prior.is_null() && replace.is_empty();
    let unknowns = if in_place { Unknowns::Forbidden("P11") } else { Unknowns::Allowed };
    violations.extend(checks::state::identity("P11", &managed.identity, &plan.identity, unknowns));
    if in_place && !prior_identity.is_null() && plan.identity != *prior_identity {
        violations.push(checks::whole("P11", "an update in place changes the identity"));
    }
    if violations.is_empty() { Ok(replace) } else { Err(checks::report(managed.name, "the plan", violations)) }
}

/// Plans a destroy, which the resource may refuse.
async fn destroy<P: Provider>(
    call: &Call<'_, P>,
    managed: &ManagedType<P::Data>,
    request: &plan_resource_change::Request,
    prior: &Value,
) -> Result<plan_resource_change::Response, Diagnostics> {
    let private = wire::decode_private(&request.prior_private)?;
    let limit = Some(timeouts::limit(&managed.schema, prior, Operation::Read));
    let context = call.session.context(limit);
    let work = async { unless_refused(managed.resource.plan_destroy(&context, prior, &private).await) };
    let act = format!("plan the destruction of {}", managed.name);
    let (warnings, mut diagnostics) = running::told(&context, limit, &act, work).await?;
    diagnostics.extend(warnings);
    Ok(plan_resource_change::Response {
        planned_state: Some(wire::null()),
        planned_private: request.prior_private.clone(),
        planned_identity: request.prior_identity.clone(),
        diagnostics: wire::diagnostics(diagnostics),
        ..Default::default()
    })
}
