//! The plan of a table: computed attributes, steps, and what the live database forbids.
//!
//! **Invariant:** what is planned derives from the configuration, the prior state and its bookkeeping alone; the live
//! database may only add errors and warnings.

use std::sync::Arc;

use pg_connector::pg_type;
use pg_connector::rows::{Files, Owned};
use pg_connector::spec::{ManagedBy, TableSpec};
use pg_connector::table::{self, TableChange, TableDrop};
use pg_connector::{Error, TableName, quote_ident};
use tfplugin::{Context, Diagnostic, Diagnostics, Path, Plan, PlanRequest, Refinement, Value};

use super::declared_rows::{self, Rows};
use super::inferred;
use super::memory::Memory;
use super::model;
use crate::diagnostics;
use crate::provider_block::{self, Data};
use crate::steps;

/// Refines the plan of a create or an update.
pub async fn plan(context: &Context<Data>, request: PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
    let memory = match Memory::from_private(request.private) {
        Ok(memory) => memory,
        Err(diagnostics) => return diagnostics,
    };
    let creating = request.prior.is_null();
    match inferred::complete(request.config, request.prior) {
        Ok(complete) if request.config.get("columns").is_null() => {
            plan.value.set("columns", complete.get("columns").clone());
        }
        Ok(_) => fill_columns(&mut plan.value, request.config, request.prior, &memory),
        Err(diagnostics) => return diagnostics,
    }
    if request.config.get("comment").is_null() {
        let kept = if memory.manages_comment() { Value::Null } else { request.prior.get("comment").clone() };
        plan.value.set("comment", kept);
    }
    let desired = declared_spec(&plan.value, request.config);
    if let Some(spec) = &desired {
        let faults = spec.faults();
        if !faults.is_empty() {
            return diagnostics::errors(&faults, &inferred::path(request.config));
        }
    }
    let rows = match declared_rows::declared(request.config, desired.as_ref(), &files(context)).await {
        Ok(rows) => rows,
        Err(diagnostics) => return diagnostics,
    };
    let remark = rows.remark();
    plan.value.set("row_count", rows.count());
    plan.value.set("rows_digest", rows.digest());
    plan.value.set("id", planned_id(model::table_name(&plan.value).as_ref(), request.prior));
    let mut moved = !creating && !plan.replace.is_empty();
    let change = desired.filter(|_| !moved).and_then(|desired| change(desired, rows, request.prior, &memory, plan));
    let Some(change) = change else {
        if let Some(attribute) = key_at_stake(&plan.value, request.prior).filter(|_| !moved) {
            plan.replace.push(Path::root(attribute));
            plan.value.set("id", planned_id(model::table_name(&plan.value).as_ref(), &Value::Null));
            moved = true;
        }
        if (moved || creating)
            && let Some(name) = left_to_nobody(&request, &memory, &plan.value)
        {
            return nobody_makes_it(&name).into();
        }
        plan.value.set("steps", Value::unknown());
        keep_consent(plan, creating || moved);
        return if moved { veto_replace(context, &request, plan, &memory).await } else { Diagnostics::default() };
    };

    let decided = table::plan(&change);
    if !decided.refusals.is_empty() {
        return diagnostics::errors(&decided.refusals, &inferred::path(request.config));
    }
    if creating && let Some(name) = left_to_nobody(&request, &memory, &plan.value) {
        return nobody_makes_it(&name).into();
    }
    let mut diagnostics = diagnostics::warnings(&decided.warnings);
    diagnostics.0.extend(remark);
    let steps = if creating {
        steps::shown(&decided.steps)
    } else {
        steps::shown_of_update(&decided.steps, request.prior, plan)
    };
    plan.value.set("steps", steps);
    plan.replace.extend(decided.replace.iter().map(|attribute| Path::root(attribute)));
    let replacing = !creating && !plan.replace.is_empty();
    keep_consent(plan, creating || replacing);
    if replacing {
        diagnostics.extend(veto_replace(context, &request, plan, &memory).await);
    } else if creating && memory.observed.is_some() {
        // The create half of a replacement: what is there now is the table that it replaces, and its drop was asked about.
    } else if creating || !decided.steps.is_empty() {
        diagnostics.extend(veto(context, &change, creating).await);
    }
    diagnostics
}

/// The table that we made, where a replacement would drop it and leave it, or perhaps leave it, to somebody else to make it
/// again.
fn left_to_nobody(request: &PlanRequest<'_>, memory: &Memory, planned: &Value) -> Option<TableName> {
    let (before, ours) = if request.prior.is_null() {
        let declared = memory.declared.as_ref()?;
        (declared.name.clone(), declared.managed_by == ManagedBy::System)
    } else {
        (model::table_name(request.prior)?, request.prior.get("managed_by").as_str() == Some("system"))
    };
    let stays_ours = planned.get("managed_by").as_str() == Some("system");
    let becomes_another = model::table_name(planned).is_some_and(|name| name != before);
    (ours && !stays_ours && !becomes_another).then_some(before)
}

fn nobody_makes_it(name: &TableName) -> Diagnostic {
    Diagnostic::error(
        "Cannot replace a table by one that is managed by somebody else",
        format!(
            "This would drop {name}, and unless managed_by is \"system\", and known in the plan, nothing here makes it again. \
             Apply the change of managed_by by itself, without a replacement."
        ),
    )
    .at(Path::root("managed_by"))
}

/// The attribute by which the primary key is, or may yet turn out to be, another one or of another type, where the
/// declaration is not known well enough for the diff to say so. The CLI holds a plan to what it said, so an update cannot
/// become a replacement at apply.
fn key_at_stake(planned: &Value, prior: &Value) -> Option<&'static str> {
    // A table of somebody else's is never replaced: a key that does not match is an error.
    if prior.is_null() || planned.get("managed_by").as_str() == Some("user") {
        return None;
    }
    let Some(key) = model::names(planned.get("primary_key")) else { return Some("primary_key") };
    if planned.get("primary_key") != prior.get("primary_key") {
        return Some("primary_key");
    }
    let type_of =
        |table: &Value, column: &str| table.get("columns").get(column).get("type").as_str().map(str::to_owned);
    let keeps_type = |column: &String| match (type_of(prior, column), type_of(planned, column)) {
        (Some(before), Some(after)) => pg_type::same_type(&before, &after),
        _ => false,
    };
    (!key.iter().all(keeps_type)).then_some("columns")
}

/// Gives what the schema's rules leave open in columns its value: nullability, defaults and comments.
fn fill_columns(value: &mut Value, config: &Value, prior: &Value, memory: &Memory) {
    let primary_key = model::names(value.get("primary_key"));
    let Value::Map(attributes) = value else { return };
    let Some(Value::Map(columns)) = attributes.get_mut("columns") else { return };
    for (name, column) in columns {
        let configured = config.get("columns").get(name);
        if configured.get("nullable").is_null() {
            let nullable = primary_key.as_ref().map_or_else(Value::unknown, |key| Value::Bool(!key.contains(name)));
            column.set("nullable", nullable);
        }
        for attribute in ["default", "comment"] {
            if configured.get(attribute).is_null() {
                let ours = memory.manages(name, attribute);
                let kept = prior.get("columns").get(name).get(attribute).clone();
                column.set(attribute, if ours { Value::Null } else { kept });
            }
        }
    }
}

/// The declaration of a plan. Defaults and comments count only where the configuration sets them; inferred columns come
/// in the order of the record schema.
pub fn declared_spec(planned: &Value, config: &Value) -> Option<TableSpec> {
    let mut spec = model::spec(planned)?;
    if let Ok(Some(inferred)) = inferred::columns(config) {
        spec.columns.sort_by_key(|c| inferred.iter().position(|i| i.name == c.name));
    }
    let configured = config.get("columns");
    for column in &mut spec.columns {
        if configured.get(&column.name).get("default").is_null() {
            column.default = None;
        }
        if configured.get(&column.name).get("comment").is_null() {
            column.comment = None;
        }
    }
    if config.get("comment").is_null() {
        spec.comment = None;
    }
    Some(spec)
}

/// The change that a plan stands for; `None` while the rows are unknown.
fn change(desired: TableSpec, rows: Rows, prior: &Value, memory: &Memory, plan: &Plan) -> Option<TableChange> {
    let rows = match rows {
        Rows::None => None,
        Rows::Known(rows) => Some(rows),
        Rows::Unknown(_) => return None,
    };
    let has_rows = rows.as_ref().is_some_and(|rows| rows.count() > 0);
    let before = model::spec(prior);
    let owned = match declared_rows::owned(prior, memory).ok().flatten() {
        // What an earlier declaration wrote is only taken over by one that declares rows, and by nobody who merely fills
        // the table: others may fill it too.
        None if rows.is_some() && desired.managed_by == ManagedBy::System => {
            memory.found_ledger.clone().map(Owned::from)
        }
        owned => owned,
    };
    Some(TableChange {
        desired,
        prior: before.and_then(|spec| memory.prior_spec(spec)),
        observed: if prior.is_null() { None } else { memory.observed.clone() },
        rows,
        owned: owned.filter(|_| !prior.is_null()),
        server_digest: memory.rows_digest.clone().filter(|_| !prior.is_null()),
        rows_drifted: prior.get("rows_digest").as_str() == Some("drifted")
            || has_rows && unwatched(&plan.value, prior, memory),
        force_destroy: plan.value.get("force_destroy").as_bool() == Some(true),
        // Whether the provider block forbids it may be unknown now, and a skippable step promises nothing.
        create_vector_extension: true,
    })
}

/// Whether rows are to be watched that were not so far: what they became in the meantime is not known.
fn unwatched(planned: &Value, prior: &Value, memory: &Memory) -> bool {
    !prior.is_null() && memory.rows_digest.is_none() && planned.get("row_drift").as_str() == Some("digest")
}

/// The change that a planned value stands for at apply, when everything is known.
pub async fn known_change(
    files: &Files,
    planned: &Value,
    config: &Value,
    prior: &Value,
    memory: &Memory,
) -> Result<TableChange, Diagnostics> {
    let desired = declared_spec(planned, config);
    let rows = declared_rows::declared(config, desired.as_ref(), files).await?;
    let plan = Plan { value: planned.clone(), ..Plan::default() };
    desired.and_then(|desired| change(desired, rows, prior, memory, &plan)).ok_or_else(|| {
        Diagnostic::error(
            "The table's declaration is not known at apply",
            "Some attribute is still unknown although everything should be known now. This is a bug; please report it.",
        )
        .into()
    })
}

/// The drop that the prior state and its bookkeeping stand for.
pub fn table_drop(prior: &Value, memory: &Memory, force_destroy: bool) -> Result<TableDrop, Diagnostics> {
    let Some(declared) = model::spec(prior) else {
        return Err(Diagnostic::error(
            "Cannot read the table's state",
            "The state of the table is not complete. Remove it from the state and import the table again.",
        )
        .into());
    };
    // After an import nothing was set here yet, so the live defaults are not ours.
    let mut declared = memory.prior_spec(declared.clone()).unwrap_or_else(|| undecorated(declared));
    if let Some(before) = &memory.declared {
        // The state shows the live key, and our rows are told apart by the declared one.
        declared.primary_key.clone_from(&before.primary_key);
    }
    let owned = declared_rows::owned(prior, memory)?;
    Ok(TableDrop { declared, observed: memory.observed.clone(), owned, force_destroy })
}

/// The declaration without what may have been set by somebody else.
fn undecorated(mut spec: TableSpec) -> TableSpec {
    spec.comment = None;
    for column in &mut spec.columns {
        (column.default, column.comment) = (None, None);
    }
    spec
}

/// The passes through files that were made already.
pub fn files(context: &Context<Data>) -> Arc<Files> {
    provider_block::known(context).map_or_else(Arc::default, |data| data.files.clone())
}

fn planned_id(name: Option<&TableName>, prior: &Value) -> Value {
    match (name, prior.get("id").as_str()) {
        (Some(name), Some(id)) if id.parse::<TableName>().as_ref() == Ok(name) => Value::from(id),
        (Some(name), _) => {
            Value::Unknown(Refinement { not_null: Some(true), prefix: Some(name.to_string()), ..Refinement::default() })
        }
        (None, _) => Value::Unknown(Refinement { not_null: Some(true), ..Refinement::default() }),
    }
}

/// The delete half of a replacement is told by planned private state whether the new configuration consents.
fn keep_consent(plan: &mut Plan, replaces: bool) {
    plan.private.remove("force_destroy");
    if replaces {
        let consent = plan.value.get("force_destroy").as_bool() == Some(true);
        plan.private.insert("force_destroy".to_owned(), consent.into());
    }
}

/// What the server computes in the table that is replaced cannot be declared, so the new table has plain columns for it.
fn computed_no_more(plan: &Plan, memory: &Memory) -> Option<Diagnostic> {
    let before = memory.observed.as_ref()?;
    let columns = plan.value.get("columns").as_map()?;
    let computed: Vec<&str> = before.computed().filter(|name| columns.contains_key(*name)).collect();
    (!computed.is_empty()).then(|| {
        let detail = format!(
            "The server computes {} by itself now, as generated or identity columns, which cannot be declared here. The table \
             that replaces this one has plain columns in their place: only defaults, declared rows and other writers fill them.",
            computed.join(", ")
        );
        Diagnostic::warning("The new table no longer computes what the old one did", detail)
    })
}

async fn veto(context: &Context<Data>, change: &TableChange, creating: bool) -> Diagnostics {
    let Some(data) = provider_block::known(context) else { return Diagnostics::default() };
    match table::veto(&data.database, &diagnostics::scope(context), change).await {
        Ok(warnings) => diagnostics::warnings(&warnings),
        Err(errors) => objections(&errors, creating),
    }
}

async fn veto_replace(context: &Context<Data>, request: &PlanRequest<'_>, plan: &Plan, memory: &Memory) -> Diagnostics {
    let remark = computed_no_more(plan, memory);
    let Some(data) = provider_block::known(context) else { return Diagnostics(remark.into_iter().collect()) };
    let consent = plan.value.get("force_destroy").as_bool() == Some(true);
    let drop = match table_drop(request.prior, memory, consent) {
        Ok(drop) => drop,
        Err(diagnostics) => return diagnostics,
    };
    match table::veto_drop(&data.database, &diagnostics::scope(context), &drop).await {
        Ok(warnings) => {
            let mut told = diagnostics::warnings(&warnings);
            told.0.extend(remark);
            told.extend(veto_other_name(context, request, plan, &drop).await);
            told
        }
        Err(errors) => {
            let errors: Vec<Error> =
                errors.into_iter().map(|error| why_replaced(error, &drop.declared.name, plan, memory)).collect();
            objections(&errors, false)
        }
    }
}

/// What stands in the way of the new table where it has another name than the old one, which is gone by the time that the
/// apply of the new one could say it.
async fn veto_other_name(
    context: &Context<Data>,
    request: &PlanRequest<'_>,
    plan: &Plan,
    drop: &TableDrop,
) -> Diagnostics {
    let old = &drop.declared.name;
    let desired = declared_spec(&plan.value, request.config).filter(|desired| desired.name != *old);
    let Some(desired) = desired else { return Diagnostics::default() };
    let create = TableChange { force_destroy: drop.force_destroy, ..TableChange::create(desired) };
    let mut told = veto(context, &create, true).await;
    let before_that = format!(" Unless the new table is created first, {old} is dropped before that shows.");
    for diagnostic in &mut told.0 {
        diagnostic.detail.push_str(&before_that);
    }
    told
}

/// An error ends the plan before it is shown, so it says itself why the table would go.
fn why_replaced(error: Error, name: &TableName, plan: &Plan, memory: &Memory) -> Error {
    let attributes = plan.replace.iter().map(Path::to_string).collect::<Vec<_>>().join(" and ");
    let error = match attributes.as_str() {
        "" => error,
        attributes => error.doing_instead(format!("replace table {name}, which a change of {attributes} takes")),
    };
    let shown = |key: &[String]| if key.is_empty() { "gone".to_owned() } else { format!("({})", key.join(", ")) };
    match (&memory.declared, &memory.observed) {
        (Some(declared), Some(seen)) if declared.primary_key != seen.primary_key => {
            let columns = declared.primary_key.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ");
            let advice = error.advised().unwrap_or_default().to_owned();
            error.advice(format!(
                "The primary key was changed outside of this configuration: it was {} and is {}. To keep the table, put \
                 it back yourself, as with `alter table {name} add primary key ({columns})`. {advice}",
                shown(&declared.primary_key),
                shown(&seen.primary_key),
            ))
        }
        // After an import: what is declared may be what the table should have.
        (None, Some(seen)) if seen.primary_key.is_empty() => {
            let key = model::names(plan.value.get("primary_key")).unwrap_or_default();
            let columns = key.iter().map(|name| quote_ident(name)).collect::<Vec<_>>().join(", ");
            let advice = error.advised().unwrap_or_default().to_owned();
            error.advice(format!(
                "The table has no primary key. To keep the table, add the declared one yourself, as with `alter table {name} \
                 add primary key ({columns})`. {advice}"
            ))
        }
        _ => error,
    }
}

/// A plan that creates may be made before its server exists; then apply asks again.
fn objections(errors: &[Error], creating: bool) -> Diagnostics {
    match errors {
        [error] if creating && error.is_unreachable() => Diagnostic::warning(
            "The plan was made without the database",
            format!("It could not be checked against the live database: {}. Apply checks again.", error.message()),
        )
        .into(),
        _ => diagnostics::errors(errors, &model::path),
    }
}
