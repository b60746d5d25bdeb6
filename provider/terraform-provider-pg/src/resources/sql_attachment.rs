//! The resource `pg_sql_attachment`: SQL that belongs to a table.
//!
//! **Invariant:** the state says what is in force: after a change that got only as far as the teardown, that is nothing.
//! Of what is there in part the state keeps the teardown, so that nothing is ever left behind without one, and private
//! state notes that it is a part, so that its teardown does not fail at what is missing.

use async_trait::async_trait;
use pg_connector::attachment::{self, Attachment, OnTeardownError, Remains, Text};
use pg_connector::{Error, TableName};
use tfplugin::{
    ApplyFailure, Attribute, Context, Default, Diagnostic, Diagnostics, ImportId, Mode, Path, Plan, PlanRequest,
    Private, Refinement, Resource, Schema, State, Type, Value,
};

use crate::attributes::{one_of, same_table, timeouts};
use crate::diagnostics;
use crate::provider_block::{self, Data};

/// The resource.
#[derive(Debug)]
pub struct SqlAttachment;

/// The key of private state that notes that only a part of the attachment is there.
const IN_PART: &str = "in_part";

#[async_trait]
impl Resource<Data> for SqlAttachment {
    fn name(&self) -> &'static str {
        "pg_sql_attachment"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    fn validate(&self, config: &Value, diagnostics: &mut Diagnostics) {
        if let Some(Err(fault)) = config.get("table").as_str().map(str::parse::<TableName>) {
            let detail = format!("{fault}. Use the id of a pg_table_target.");
            diagnostics.push(Diagnostic::error("Invalid table", detail).at(Path::root("table")));
        }
        if config.get("name").as_str() == Some("") {
            let detail = "The name cannot be empty.";
            diagnostics.push(Diagnostic::error("Invalid name", detail).at(Path::root("name")));
        }
        let transactional = match config.get("transactional") {
            Value::Null => Some(true),
            other => other.as_bool(),
        };
        for text in [Text::Setup, Text::Teardown, Text::Check] {
            if let Some(sql) = config.get(text.attribute()).as_str() {
                diagnostics.extend(diagnostics::errors(
                    &attachment::faults(text, sql, transactional),
                    &diagnostics::attribute,
                ));
            }
        }
    }

    async fn plan(&self, _context: &Context<Data>, _request: PlanRequest<'_>, plan: &mut Plan) -> Diagnostics {
        let id = id(&plan.value)
            .map_or_else(|| Value::Unknown(Refinement { not_null: Some(true), ..Refinement::default() }), Value::from);
        plan.value.set("id", id);
        Diagnostics::default()
    }

    async fn read(&self, context: &Context<Data>, state: State) -> Result<Option<State>, Diagnostics> {
        let database = &provider_block::data(context)?.database;
        let there = attachment::read(database, &diagnostics::scope(context), &declared(&state.value, &state.private)?)
            .await
            .map_err(|error| one(&error))?;
        Ok(there.then_some(state))
    }

    async fn create(&self, context: &Context<Data>, _config: &Value, plan: Plan) -> Result<State, ApplyFailure> {
        let database = &provider_block::data(context)?.database;
        match attachment::create(database, &diagnostics::scope(context), &declared(&plan.value, &Private::default())?)
            .await
        {
            Ok(warnings) => {
                diagnostics::warn(context, &warnings);
                Ok(state_after(plan))
            }
            // With a state the CLI knows it as tainted: it is torn down before it is set up again.
            // What replaces it sees no private state, so the empty text must say that no setup is in force.
            Err(failure) if failure.remains == Remains::NewInPart => {
                let mut state = in_part(state_after(plan));
                state.value.set("setup_sql", "".into());
                Err(ApplyFailure { state: Some(state), diagnostics: one(&failure.error) })
            }
            Err(failure) => Err(one(&failure.error).into()),
        }
    }

    async fn update(
        &self,
        context: &Context<Data>,
        prior: &Value,
        _config: &Value,
        plan: Plan,
    ) -> Result<State, ApplyFailure> {
        let database = &provider_block::data(context)?.database;
        let (old, new) = (declared(prior, &plan.private)?, declared(&plan.value, &Private::default())?);
        let failure = match attachment::change(database, &diagnostics::scope(context), &old, &new).await {
            Ok(warnings) => {
                diagnostics::warn(context, &warnings);
                let still_in_part = old.in_part && old.setup_sql == new.setup_sql;
                let state = state_after(plan);
                return Ok(if still_in_part { in_part(state) } else { state });
            }
            Err(failure) => failure,
        };
        let state = match failure.remains {
            Remains::AsBefore => None,
            Remains::OldInPart => {
                Some(in_part(State { value: prior.clone(), private: plan.private, identity: plan.identity }))
            }
            Remains::Nothing | Remains::NewInPart => {
                let mut state = state_after(plan);
                state.value.set("setup_sql", "".into());
                if failure.remains == Remains::NewInPart {
                    Some(in_part(state))
                } else {
                    state.value.set("teardown_sql", Value::Null);
                    Some(state)
                }
            }
        };
        Err(ApplyFailure { state, diagnostics: one(&failure.error) })
    }

    async fn delete(&self, context: &Context<Data>, prior: &Value, private: &Private) -> Result<(), ApplyFailure> {
        let database = &provider_block::data(context)?.database;
        match attachment::destroy(database, &diagnostics::scope(context), &declared(prior, private)?).await {
            Ok(warnings) => {
                diagnostics::warn(context, &warnings);
                Ok(())
            }
            Err(failure) => {
                let left = State { value: prior.clone(), private: private.clone(), identity: Value::Null };
                let state = (failure.remains == Remains::OldInPart).then(|| in_part(left));
                Err(ApplyFailure { state, diagnostics: one(&failure.error) })
            }
        }
    }

    async fn import(&self, _context: &Context<Data>, _id: ImportId) -> Result<State, Diagnostics> {
        Err(Diagnostic::error(
            "An attachment cannot be imported",
            format!("The database does not keep the texts setup_sql and teardown_sql, so there is nothing to import. {DECLARE}"),
        )
        .into())
    }

    fn move_from(&self, source_type: &str, _source: &serde_json::Value) -> Option<Result<State, Diagnostics>> {
        let detail = format!(
            "What {source_type} did is not in its state as setup_sql and teardown_sql, so a pg_sql_attachment cannot be made \
             of it. Write a removed block for {source_type} in place of the moved block, with lifecycle {{ destroy = false }} \
             to keep what it made. {DECLARE}"
        );
        Some(Err(Diagnostic::error("Unsupported move between resource types", detail).into()))
    }
}

/// How to make an attachment of what is there already.
const DECLARE: &str = "Declare the attachment with a setup_sql that can run when its objects are there already, such as \
    `create index if not exists` or `create or replace function`, and apply.";

fn schema() -> Schema {
    let sql = |name, mode, description| Attribute::new(name, Type::String, mode, description);
    Schema {
        version: 0,
        description: "SQL that belongs to a table: a full-text index, a trigger, a grant, a policy.\n\n\
            `setup_sql` runs when the attachment is created. When it changes, the *old* `teardown_sql` runs and then the \
            new `setup_sql`, in one transaction. `teardown_sql` runs when the attachment is destroyed, or before its \
            table is replaced. A change of `teardown_sql` alone runs nothing, which is how a broken one is mended. Each \
            text may hold several statements. Errors name the statement, line and column; the statement is shown without its string literals.\n\n\
            An attachment that stands in the way of its table's change, such as a view on a column that is dropped or \
            gets another type, needs `lifecycle { replace_triggered_by = [pg_table_target.products.columns] }`: it is \
            then torn down before the change and set up after it.",
        attributes: vec![
            sql(
                "table",
                Mode::Required,
                "The table: the `id` of a `pg_table_target`, or `schema.table`, quoted as in SQL where needed.",
            )
            .replace()
            .same(same_table),
            sql("name", Mode::Required, "The name of the attachment. The database does not know it.").replace(),
            sql(
                "setup_sql",
                Mode::Required,
                "The statements that bring the attachment about. Names without a schema are looked up in the session's \
                 `search_path`; what the statements set for their session reaches nothing else.",
            ),
            sql(
                "teardown_sql",
                Mode::Optional,
                "The statements that take the attachment away. Without them nothing runs, and what `setup_sql` created \
                 stays.",
            ),
            sql(
                "check_sql",
                Mode::Optional,
                "A query that returns a row while the attachment is there. It runs read-only at every refresh; without a \
                 row, or when an object it names does not exist, the attachment is set up again.",
            ),
            Attribute::new(
                "transactional",
                Type::Bool,
                Mode::Optional,
                "Whether each text runs in one transaction (the default), so that it takes effect as a whole or not at \
                 all. Set it to `false` for statements that refuse to, such as `create index concurrently` or `vacuum`; \
                 they then run one by one. When one of them fails, those before it stay; the next apply tears that part \
                 down, passing over what is missing, and sets it up again.",
            )
            .default(Default::Bool(true)),
            sql(
                "on_teardown_error",
                Mode::Optional,
                "What a failing teardown means: `fail` (the default) or `warn`. A teardown that fails because the table \
                 is gone always only warns.",
            )
            .default(Default::String("fail"))
            .validate(on_teardown_error),
            timeouts(),
            sql("id", Mode::Computed, "`{table}/{name}`."),
        ],
    }
}

fn on_teardown_error(value: &Value, path: &Path, diagnostics: &mut Diagnostics) {
    one_of(value, &["fail", "warn"], path, diagnostics);
}

/// The attachment that a wholly known value declares, with what private state notes of it.
fn declared(value: &Value, private: &Private) -> Result<Attachment, Diagnostics> {
    let text = |name: &str| value.get(name).as_str().map(str::to_owned);
    let read = || {
        Some(Attachment {
            table: value.get("table").as_str()?.parse().ok()?,
            name: text("name")?,
            setup_sql: text("setup_sql")?,
            teardown_sql: text("teardown_sql"),
            check_sql: text("check_sql"),
            transactional: value.get("transactional").as_bool() != Some(false),
            on_teardown_error: match value.get("on_teardown_error").as_str() {
                Some("warn") => OnTeardownError::Warn,
                _ => OnTeardownError::Fail,
            },
            in_part: private.contains_key(IN_PART) || value.get("setup_sql").as_str() == Some(""),
        })
    };
    read().ok_or_else(|| {
        Diagnostic::error(
            "The attachment's declaration is not complete",
            "It needs a table, a name and a setup text, all of them known. This is a bug; please report it.",
        )
        .into()
    })
}

/// The state of an attachment that is there as a whole.
fn state_after(plan: Plan) -> State {
    let Plan { mut value, mut private, identity, .. } = plan;
    let id = id(&value);
    value.set("id", id.into());
    private.remove(IN_PART);
    State { value, private, identity }
}

/// The state, with the note that only a part of it is there.
fn in_part(mut state: State) -> State {
    state.private.insert(IN_PART.to_owned(), true.into());
    state
}

fn id(value: &Value) -> Option<String> {
    let table: TableName = value.get("table").as_str()?.parse().ok()?;
    Some(format!("{table}/{}", value.get("name").as_str()?))
}

fn one(error: &Error) -> Diagnostics {
    diagnostics::error(error, &diagnostics::attribute).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, Value)]) -> Value {
        let mut config = Value::object(schema().attributes.iter().map(|a| (a.name, Value::Null)));
        config.set("table", "public.t".into());
        config.set("name", "att".into());
        config.set("setup_sql", "select 1".into());
        for (name, value) in pairs {
            config.set(name, value.clone());
        }
        config
    }

    #[test]
    fn faults_point_at_their_attribute() {
        for (pairs, attribute) in [
            (vec![("table", Value::from("t"))], "table"),
            (vec![("name", Value::from(""))], "name"),
            (vec![("setup_sql", Value::from(" "))], "setup_sql"),
            (vec![("setup_sql", Value::from("commit"))], "setup_sql"),
            (vec![("teardown_sql", Value::from("select \"a"))], "teardown_sql"),
            (vec![("check_sql", Value::from("select 1; select 2"))], "check_sql"),
        ] {
            let mut found = Diagnostics::default();
            SqlAttachment.validate(&config(&pairs), &mut found);
            assert_eq!(found.0.len(), 1, "{found:?}");
            assert_eq!(found.0[0].path, Path::root(attribute));
        }
        for pairs in [
            vec![],
            vec![("setup_sql", Value::from("commit")), ("transactional", Value::from(false))],
            vec![("setup_sql", Value::from("commit")), ("transactional", Value::unknown())],
            vec![("setup_sql", Value::unknown()), ("table", Value::unknown())],
        ] {
            let mut found = Diagnostics::default();
            SqlAttachment.validate(&config(&pairs), &mut found);
            assert!(found.is_empty(), "{found:?}");
        }
    }

    #[test]
    fn the_id_is_the_canonical_table_and_the_name() {
        assert_eq!(id(&config(&[("table", Value::from("Public.\"T\""))])).as_deref(), Some("public.\"T\"/att"));
        assert_eq!(id(&config(&[("table", Value::unknown())])), None);
    }
}
