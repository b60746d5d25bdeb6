//! The resource `pg_table_target`: a table and its declared rows.

mod declared_rows;
mod inferred;
mod memory;
mod model;
mod plan;
mod schema;

use async_trait::async_trait;
use pg_connector::catalog::{self, RelationKind, Wanted};
use pg_connector::rows::Ledger;
use pg_connector::spec::ManagedBy;
use pg_connector::table::{self, Applied, Look, Seen, TableChange};
use pg_connector::{Blame, Error, TableName};
use tfplugin::{
    ApplyFailure, Attribute, Context, Diagnostic, Diagnostics, ImportId, Mode, Path, Plan, PlanRequest, Private,
    Resource, Schema, State, Type, Value,
};

use self::memory::Memory;
use crate::diagnostics;
use crate::provider_block::{self, Data};
use crate::steps;

/// The resource.
#[derive(Debug)]
pub struct TableTarget;

#[async_trait]
impl Resource<Data> for TableTarget {
    fn name(&self) -> &'static str {
        "pg_table_target"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn identity(&self) -> Vec<Attribute> {
        vec![
            Attribute::new("schema_name", Type::String, Mode::Required, "The schema of the table."),
            Attribute::new("table_name", Type::String, Mode::Required, "The name of the table."),
        ]
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        // What is not known yet may still turn out to be left out.
        let given = |name: &str| config.get(name).is_given();
        let left_out = |name: &str| config.get(name).is_null();
        let fault = if left_out("columns") && left_out("record_schema") {
            Some(("columns", "Exactly one of columns and record_schema must be set, and neither is."))
        } else if given("columns") && given("record_schema") {
            Some(("record_schema", "Only one of columns and record_schema can be set."))
        } else if left_out("record_schema") && given("column_overrides") {
            Some(("column_overrides", "column_overrides belongs to record_schema; with columns, say it there."))
        } else {
            None
        };
        diagnostics.extend(declared_rows::faults(config));
        if let Some((attribute, detail)) = fault {
            return diagnostics.push(Diagnostic::error("Conflicting attributes", detail).at(Path::root(attribute)));
        }
        let complete = match inferred::complete(config, &Value::Null) {
            Ok(complete) => complete,
            Err(faults) => return diagnostics.extend(faults),
        };
        let spec = plan::declared_spec(&complete, config);
        if let Some(spec) = &spec {
            let faults = spec.faults();
            if !faults.is_empty() {
                diagnostics.extend(diagnostics::errors(&faults, &inferred::path(config)));
                return;
            }
        }
        if let Err(faults) = declared_rows::inline(config.get("rows"), spec.as_ref()) {
            diagnostics.extend(faults);
        }
    }

    async fn plan(&self, context: &Context<Data>, request: PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
        Box::pin(plan::plan(context, request, plan)).await
    }

    async fn plan_destroy(&self, context: &Context<Data>, prior: &Value, private: &Private) -> Diagnostics {
        let Some(data) = provider_block::known(context) else { return Diagnostics::default() };
        let consent = prior.get("force_destroy").as_bool() == Some(true);
        let drop = match Memory::from_private(private).and_then(|memory| plan::table_drop(prior, &memory, consent)) {
            Ok(drop) => drop,
            Err(diagnostics) => return diagnostics,
        };
        match table::veto_drop(&data.database, &diagnostics::scope(context), &drop).await {
            Ok(warnings) => diagnostics::warnings(&warnings),
            Err(errors) => diagnostics::errors(&errors, &model::path),
        }
    }

    async fn read(&self, context: &Context<Data>, mut state: State) -> Result<Option<State>, Diagnostics> {
        let database = &provider_block::data(context)?.database;
        let Some(name) = model::table_name(&state.value) else {
            return Err(Diagnostic::error("Cannot read the table's state", "It names no table.").into());
        };
        let mut memory = Memory::from_private(&state.private)?;
        let spec = model::spec(&state.value);
        let rows = declared_rows::owned(&state.value, &memory).ok().flatten();
        let spec = memory.declared.clone().or(spec);
        let watched = memory.rows_digest.is_some() && state.value.get("row_drift").as_str() != Some("none");
        let look = match (&spec, &rows) {
            (Some(table), Some(owned)) if watched || memory.ledger.is_some() => {
                Look::Rows { table, owned, digest: watched }
            }
            // After an import.
            _ if memory.declared.is_none() => Look::Ledger,
            _ => Look::Table,
        };
        let seen = table::read(database, &diagnostics::scope(context), &name, look).await.map_err(|e| one(&e))?;
        let Some(Seen { mut observed, rows_digest, ledger }) = seen else { return Ok(None) };
        if let Some(before) = &memory.observed {
            observed.remember(before);
        }
        if !matches!(observed.kind, RelationKind::Table | RelationKind::PartitionedTable) {
            if memory.observed.is_none() {
                return Err(Diagnostic::error(
                    format!("Cannot import {name}"),
                    format!("It is {}, and only tables can be imported.", observed.kind.noun()),
                )
                .into());
            }
            context.warn(Diagnostic::warning(
                "The table was replaced by something else",
                format!("{name} is no table any more, so it counts as gone."),
            ));
            return Ok(None);
        }
        let mut columns = model::columns(&observed, state.value.get("columns"));
        memory.show_drift(&observed, &mut columns);
        state.value.set("columns", columns);
        state.value.set("primary_key", Value::from(observed.primary_key.clone()));
        if memory.manages_comment() || state.value.get("id").is_null() {
            // The server does not keep an empty comment.
            let empty = state.value.get("comment").as_str() == Some("") && observed.comment.is_none();
            state.value.set("comment", if empty { Value::from("") } else { observed.comment.clone().into() });
        }
        if memory.declared.is_none() {
            memory.found_ledger = ledger;
        } else if let (Some(lost), None) = (&memory.ledger, &ledger) {
            context.warn(Diagnostic::warning(
                "Which rows are declared here is no longer known",
                format!(
                    "The table terraform_pg.ledger_{} says which rows of {name} came from rows_file. It is gone or is not \
                     for this table, as after a restore under another name. The next apply looks for the declared rows \
                     again; others are left alone.",
                    lost.id
                ),
            ));
            (memory.ledger, memory.rows_digest) = (None, None);
            state.value.set("rows_digest", Value::from("drifted"));
        } else if watched && rows.is_some() && rows_digest != memory.rows_digest {
            state.value.set("rows_digest", Value::from("drifted"));
        }
        state.value.set("id", Value::from(name.to_string()));
        state.identity = identity(&name);
        memory.observed = Some(observed);
        memory.write(&mut state.private);
        Ok(Some(state))
    }

    async fn create(&self, context: &Context<Data>, config: &Value, plan: Plan) -> Result<State, ApplyFailure> {
        Box::pin(apply(context, &Value::Null, config, plan)).await
    }

    async fn update(
        &self,
        context: &Context<Data>,
        prior: &Value,
        config: &Value,
        plan: Plan,
    ) -> Result<State, ApplyFailure> {
        Box::pin(apply(context, prior, config, plan)).await
    }

    async fn delete(&self, context: &Context<Data>, prior: &Value, private: &Private) -> Result<(), ApplyFailure> {
        let database = &provider_block::data(context)?.database;
        let mut memory = Memory::from_private(private)?;
        if memory.declared.is_none() && !prior.get("rows_file").is_null() {
            memory.ledger = sole_ledger(context, prior).await?;
        }
        let consent = memory.force_destroy.unwrap_or_else(|| prior.get("force_destroy").as_bool() == Some(true));
        let drop = plan::table_drop(prior, &memory, consent)?;
        let warnings = table::drop(database, &diagnostics::scope(context), &drop).await.map_err(|e| one(&e))?;
        diagnostics::warn(context, &warnings);
        Ok(())
    }

    async fn import(&self, context: &Context<Data>, id: ImportId) -> Result<State, Diagnostics> {
        let name = match id {
            ImportId::Id(id) => {
                id.parse::<TableName>().map_err(|fault| Diagnostic::error("Invalid import id", format!("{fault}.")))?
            }
            ImportId::Identity(identity) => model::table_name(&identity)
                .ok_or_else(|| Diagnostic::error("Invalid import identity", "It needs schema_name and table_name."))?,
        };
        let faults = pg_connector::spec::import_faults(&name);
        if !faults.is_empty() {
            return Err(diagnostics::errors(&faults, &|_| Path::default()));
        }
        if let Some(data) = provider_block::known(context) {
            let (scope, doing) = (diagnostics::scope(context), format!("import table {name}"));
            let absent = catalog::absent(&data.database, &scope, &doing, Wanted::Table, &name).await;
            if let Some(error) = absent.map_err(|error| one(&error))? {
                return Err(one(&error));
            }
        }
        Ok(imported(&name))
    }

    fn generate(&self, config: &mut Value) {
        if !config.get("record_schema").is_null() {
            // The columns in the state are those that were inferred.
            config.set("columns", Value::Null);
            return;
        }
        let key = model::names(config.get("primary_key")).unwrap_or_default();
        let Value::Map(attributes) = config else { return };
        let Some(Value::Map(columns)) = attributes.get_mut("columns") else { return };
        for (name, column) in columns {
            let by_default = !key.contains(name);
            if column.get("nullable").as_bool() == Some(by_default) {
                column.set("nullable", Value::Null);
            }
        }
    }
}

async fn apply(context: &Context<Data>, prior: &Value, config: &Value, plan: Plan) -> Result<State, ApplyFailure> {
    let data = provider_block::data(context)?;
    let memory = Memory::from_private(&plan.private)?;
    let change = plan::known_change(&plan::files(context), &plan.value, config, prior, &memory).await?;
    let digest_rows = plan.value.get("row_drift").as_str() != Some("none");
    let steps = agreed_steps(&change, &plan.value)?;
    let change = TableChange { create_vector_extension: data.create_vector_extension, ..change };
    let applied = table::apply(&data.database, &diagnostics::scope(context), &change, digest_rows)
        .await
        .map_err(|error| perhaps_in_its_own_way(error, prior, change.desired.managed_by))
        .map_err(|error| ApplyFailure::from(Diagnostics::from(diagnostics::error(&error, &inferred::path(config)))))?;
    diagnostics::warn(context, &applied.warnings);
    Ok(state_after(plan, change, &applied, steps))
}

/// The error; where a table is in the way of a new one, also with what to do when it is the one that is being replaced.
/// Nothing at apply tells that from any other table.
fn perhaps_in_its_own_way(error: Error, prior: &Value, managed_by: ManagedBy) -> Error {
    let creates = prior.is_null() && managed_by == ManagedBy::System;
    match error.advised() {
        Some(advice) if creates && error.blamed() == Some(&Blame::Attribute("table_name")) => {
            let advice = format!(
                "{advice} If it is this very table that is to be replaced, take create_before_destroy out of its lifecycle \
                 block and of those of the resources that refer to it: two tables cannot have one name."
            );
            error.advice(advice)
        }
        _ => error,
    }
}

/// The steps of the change; an error when the plan that the user saw holds others.
fn agreed_steps(change: &TableChange, planned: &Value) -> Result<Value, Diagnostics> {
    let steps = steps::shown(&table::plan(change).steps);
    let shown = planned.get("steps");
    if shown.is_wholly_known() && *shown != steps {
        return Err(Diagnostic::error(
            "The plan no longer holds",
            format!(
                "The statements for {} are not those that the plan showed. Nothing was written; plan again.",
                change.desired.name
            ),
        )
        .into());
    }
    Ok(steps)
}

fn state_after(plan: Plan, change: TableChange, applied: &Applied, steps: Value) -> State {
    let name = change.desired.name.clone();
    let mut value = plan.value;
    value.set("id", Value::from(name.to_string()));
    value.set("steps", steps);
    let mut private = plan.private;
    Memory::after(applied, change.desired).write(&mut private);
    State { value, private, identity: identity(&name) }
}

/// The ledger of a table whose bookkeeping is lost: of a tainted one, the CLI hands on the attributes alone.
async fn sole_ledger(context: &Context<Data>, prior: &Value) -> Result<Option<Ledger>, Diagnostics> {
    let Some(name) = model::table_name(prior) else { return Ok(None) };
    let database = &provider_block::data(context)?.database;
    let seen = table::read(database, &diagnostics::scope(context), &name, Look::Ledger).await.map_err(|e| one(&e))?;
    Ok(seen.and_then(|seen| seen.ledger))
}

/// What an import knows before the first read.
fn imported(name: &TableName) -> State {
    let mut value = Value::object(schema::schema().attributes.iter().map(|a| (a.name, Value::Null)));
    value.set("schema_name", Value::from(name.schema.as_str()));
    value.set("table_name", Value::from(name.name.as_str()));
    value.set("managed_by", Value::from("system"));
    value.set("row_drift", Value::from("digest"));
    value.set("force_destroy", Value::Bool(false));
    value.set("row_count", Value::from(0));
    value.set("steps", Value::List(Vec::new()));
    State { value, private: Private::default(), identity: identity(name) }
}

fn identity(name: &TableName) -> Value {
    Value::object([("schema_name", Value::from(name.schema.as_str())), ("table_name", Value::from(name.name.as_str()))])
}

fn one(error: &Error) -> Diagnostics {
    diagnostics::error(error, &model::path).into()
}
