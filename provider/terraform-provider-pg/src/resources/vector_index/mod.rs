//! The resource `pg_vector_index`: a pgvector index on a column.
//!
//! **Invariant:** what is planned derives from the configuration, the prior state and its bookkeeping alone.

mod model;
pub mod schema;

use async_trait::async_trait;
use pg_connector::catalog::{self, Wanted};
use pg_connector::vector_index::{self, Applied, Build, Prior, VectorIndexSpec, index_name};
use pg_connector::{Error, TableName};
use tfplugin::{
    ApplyFailure, Attribute, Context, Diagnostic, Diagnostics, ImportId, Plan, PlanRequest, Private, Resource, Schema,
    State, Value,
};

use crate::diagnostics;
use crate::provider_block::{self, Data};
use crate::steps;

/// The resource.
#[derive(Debug)]
pub struct VectorIndex;

#[async_trait]
impl Resource<Data> for VectorIndex {
    fn name(&self) -> &'static str {
        "pg_vector_index"
    }

    fn schema(&self) -> Schema {
        schema::schema()
    }

    fn identity(&self) -> Vec<Attribute> {
        schema::identity()
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        let (declaration, faults) = model::declaration(config);
        diagnostics.extend(faults);
        diagnostics.extend(diagnostics::errors(&declaration.faults(), &model::path));
        match model::build_settings(config) {
            Ok(settings) => diagnostics.extend(diagnostics::errors(&settings.faults(), &model::path)),
            Err(faults) => diagnostics.extend(faults),
        }
    }

    async fn plan(&self, _context: &Context<Data>, request: PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
        refine(&request, plan)
    }

    async fn read(&self, context: &Context<Data>, mut state: State) -> Result<Option<State>, Diagnostics> {
        let database = &provider_block::data(context)?.database;
        let (table, index) = model::place(&state.value).ok_or_else(broken_state)?;
        let before = model::seen(&state.private);
        let found = vector_index::read(database, &diagnostics::scope(context), &table, &index, before.as_ref())
            .await
            .map_err(|error| one(&error))?;
        let Some(seen) = found else { return Ok(None) };
        if seen.index.valid && !seen.usable() {
            context.warn(Diagnostic::warning(
                "The options of a vector index were changed without a rebuild",
                format!(
                    "{index}: `alter index` changed its options, but the index still is what it was built as. The next \
                     apply builds it again."
                ),
            ));
        }
        let declared = state.value.get("where").as_str();
        let mut known = before.as_ref();
        if let Some(declared) = declared
            && known.is_some_and(|before| seen.may_be_respelled(before))
            && vector_index::same_condition(database, &diagnostics::scope(context), &table, declared, &seen)
                .await
                .map_err(|error| one(&error))?
        {
            // The words in the state still say what the server now spells otherwise.
            known = Some(&seen);
        }
        model::show(&mut state.value, &seen, known);
        state.value.set("id", index.to_string().into());
        state.identity = model::identity(&index);
        model::remember(&mut state.private, &seen);
        Ok(Some(state))
    }

    async fn create(&self, context: &Context<Data>, _config: &Value, plan: Plan) -> Result<State, ApplyFailure> {
        apply(context, None, plan).await
    }

    async fn update(
        &self,
        context: &Context<Data>,
        prior: &Value,
        _config: &Value,
        plan: Plan,
    ) -> Result<State, ApplyFailure> {
        apply(context, Some(prior), plan).await
    }

    async fn delete(&self, context: &Context<Data>, prior: &Value, _private: &Private) -> Result<(), ApplyFailure> {
        let database = &provider_block::data(context)?.database;
        let (table, index) = model::place(prior).ok_or_else(broken_state)?;
        let concurrently = prior.get("concurrently").as_bool() != Some(false);
        vector_index::drop(database, &diagnostics::scope(context), &table, &index, concurrently)
            .await
            .map_err(|error| ApplyFailure::from(one(&error)))
    }

    async fn import(&self, context: &Context<Data>, id: ImportId) -> Result<State, Diagnostics> {
        let index = imported_name(id)?;
        let database = &provider_block::data(context)?.database;
        let (scope, doing) = (diagnostics::scope(context), format!("import index {index}"));
        let found = vector_index::table_of(database, &scope, &index).await.map_err(|error| one(&error))?;
        let Some(table) = found else {
            let absent = catalog::absent(database, &scope, &doing, Wanted::VectorIndex, &index).await;
            let absent = absent.map_err(|error| one(&error))?;
            return Err(one(&absent.unwrap_or_else(|| Error::new(doing, format!("{index} is no index")))));
        };
        let Some(name) = index.name.strip_prefix(&index_name(&table.name, "")).filter(|name| !name.is_empty()) else {
            return Err(Diagnostic::error(
                "Cannot import the vector index",
                format!(
                    "{index} is an index on the table {table}, and this resource manages only indexes named \
                     `{{table}}__vector__{{name}}`. Rename it first: alter index {index} rename to {}.",
                    pg_connector::quote_ident(&index_name(&table.name, "the_name"))
                ),
            )
            .into());
        };
        Ok(imported(&table, &index, name))
    }

    fn generate(&self, config: &mut Value) {
        if config.get("name") == config.get("column") {
            config.set("name", Value::Null);
        }
    }
}

/// Fills in what the schema's rules leave open: names, operator class, steps.
fn refine(request: &PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
    let creating = request.prior.is_null() || !plan.replace.is_empty();
    if request.config.get("name").is_null() {
        let column = plan.value.get("column").clone();
        plan.value.set("name", column);
    }
    set_names(&mut plan.value);
    plan.value.set("valid", true.into());
    if creating {
        plan.value.set("operator_class", Value::unknown());
        plan.value.set("steps", Value::unknown());
        return Diagnostics::default();
    }
    for computed in ["operator_class", "steps"] {
        plan.value.set(computed, request.prior.get(computed).clone());
    }
    let planned = match known_plan(request, &plan.value) {
        Ok(planned) => planned,
        Err(errors) => return diagnostics::errors(&errors, &model::path),
    };
    match planned {
        Some(planned) => {
            plan.value.set("operator_class", planned.operator_class.as_str().into());
            let steps = steps::shown_of_update(&planned.steps, request.prior, plan);
            plan.value.set("steps", steps);
        }
        None if plan.value != *request.prior => {
            plan.value.set("operator_class", Value::unknown());
            plan.value.set("steps", Value::unknown());
        }
        None => {}
    }
    Diagnostics::default()
}

/// What the change takes, as far as it is known.
fn known_plan(request: &PlanRequest<'_>, planned: &Value) -> Result<Option<vector_index::IndexPlan>, Vec<Error>> {
    let spec = model::declaration(planned).0.spec();
    let concurrently = planned.get("concurrently").as_bool();
    let seen = model::seen(request.private);
    match (spec, concurrently, seen, request.prior.get("index_name").as_str()) {
        (Some(spec), Some(concurrently), Some(seen), Some(index_name)) => {
            let prior = Prior { index_name, predicate: request.prior.get("where").as_str(), seen: &seen };
            vector_index::plan(&spec, concurrently, &prior)
        }
        _ => Ok(None),
    }
}

/// Sets `id` and `index_name`, which follow from the table and the short name.
fn set_names(planned: &mut Value) {
    let table = planned.get("table").as_str().and_then(|table| table.parse::<TableName>().ok());
    let (id, name) = match (table, planned.get("name").as_str()) {
        (Some(table), Some(name)) => {
            let index = TableName::new(&table.schema, index_name(&table.name, name));
            (Value::from(index.to_string()), Value::from(index.name))
        }
        _ => (Value::unknown(), Value::unknown()),
    };
    planned.set("id", id);
    planned.set("index_name", name);
}

async fn apply(context: &Context<Data>, prior: Option<&Value>, plan: Plan) -> Result<State, ApplyFailure> {
    let data = provider_block::data(context)?;
    let (declaration, faults) = model::declaration(&plan.value);
    if !faults.is_empty() {
        return Err(faults.into());
    }
    let spec = declaration.spec().ok_or_else(unknown_at_apply)?;
    let settings = model::build_settings(&plan.value)?;
    let before = model::seen(&plan.private);
    let old = prior.and_then(|prior| Some((prior.get("index_name").as_str()?, prior.get("where").as_str())));
    let prior = old.zip(before.as_ref()).map(|((index_name, predicate), seen)| Prior { index_name, predicate, seen });
    let concurrently = plan.value.get("concurrently").as_bool() != Some(false);
    let create_extension = data.create_vector_extension;
    let build = Build { spec: &spec, concurrently, settings: &settings, create_extension, prior };
    let applied = vector_index::apply(&data.database, &diagnostics::scope(context), &build)
        .await
        .map_err(|errors| ApplyFailure::from(diagnostics::errors(&errors, &model::path)))?;
    diagnostics::warn(context, &applied.warnings);
    Ok(state_after(plan, &spec, &applied))
}

fn state_after(plan: Plan, spec: &VectorIndexSpec, applied: &Applied) -> State {
    let Plan { mut value, mut private, .. } = plan;
    let index = spec.qualified();
    set_names(&mut value);
    value.set("valid", true.into());
    if !value.get("operator_class").is_wholly_known() {
        value.set("operator_class", applied.seen.index.operator_class.as_str().into());
    }
    if !value.get("steps").is_wholly_known() {
        value.set("steps", steps::shown(&applied.steps));
    }
    model::remember(&mut private, &applied.seen);
    State { value, private, identity: model::identity(&index) }
}

fn imported_name(id: ImportId) -> Result<TableName, Diagnostics> {
    let wrong = |detail: String| Diagnostics::from(Diagnostic::error("Invalid import id", detail));
    match id {
        ImportId::Id(id) => id.parse().map_err(|fault| wrong(format!("{fault}."))),
        ImportId::Identity(identity) => {
            match (identity.get("schema_name").as_str(), identity.get("index_name").as_str()) {
                (Some(schema), Some(index)) => Ok(TableName::new(schema, index)),
                _ => Err(wrong("The identity needs schema_name and index_name.".to_owned())),
            }
        }
    }
}

/// What an import knows before the first read.
fn imported(table: &TableName, index: &TableName, name: &str) -> State {
    let mut value = Value::object(schema::schema().attributes.iter().map(|a| (a.name, Value::Null)));
    value.set("table", table.to_string().into());
    value.set("name", name.into());
    value.set("index_name", index.name.as_str().into());
    value.set("concurrently", true.into());
    value.set("steps", Value::List(Vec::new()));
    State { value, private: Private::default(), identity: model::identity(index) }
}

fn one(error: &Error) -> Diagnostics {
    diagnostics::error(error, &model::path).into()
}

fn broken_state() -> Diagnostics {
    Diagnostic::error(
        "Cannot read the vector index's state",
        "It does not name a table and an index. Remove the index from the state and import it again.",
    )
    .into()
}

fn unknown_at_apply() -> Diagnostics {
    Diagnostic::error(
        "The vector index's declaration is not known at apply",
        "Some attribute is still unknown although everything should be known now. This is a bug; please report it.",
    )
    .into()
}

#[cfg(test)]
mod tests;
