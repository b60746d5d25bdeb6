//! What there is around an index, in one look, and what of it forbids the index that is wanted.
//!
//! **Invariant:** leaves the transaction as it found it; what cannot be built is an error before anything is.

use std::collections::HashSet;

use futures_util::future::{try_join, try_join3};
use tokio_postgres::{Client, GenericClient, Transaction};

use super::catalog::{self, Extension, Found, Table};
use super::plan::{Prior, Recipe, Seen, not_concurrently, recipe, reserved};
use super::spec::VectorIndexSpec;
use crate::database::{Database, Question, Scope, Session, TableLock};
use crate::error::{Blame, Error};
use crate::name::{TableName, quote_literal};
use crate::sql_text::mask_literals;

/// The name of the table on which conditions are tried out; it lives until the end of a savepoint.
const PROBE: &str = "terraform_pg_probe";

/// What there is.
#[derive(Debug)]
pub(super) struct Sight {
    /// The table.
    pub table: Table,
    /// The vector extension.
    pub extension: Option<Extension>,
    /// What bears the index's name.
    pub named: Found,
    /// What bears the name that the index had before; nothing where it is the same.
    pub before: Found,
    /// What bears the name under which the index is built.
    pub leftover: Found,
    /// The process that is building under that name.
    pub builder: Option<i32>,
}

impl Sight {
    /// What bears the name of the index that was ours.
    pub(super) fn prior(&self, spec: &VectorIndexSpec, prior: &Prior<'_>) -> &Found {
        if prior.index_name == spec.index_name() { &self.named } else { &self.before }
    }

    /// Whether something of an interrupted build is there that nobody is at work on.
    pub(super) fn has_leftover(&self) -> bool {
        matches!(self.leftover, Found::Index(_)) && self.builder.is_none()
    }
}

/// An index to look at: its table, its name, and the name that it had before.
#[derive(Clone, Debug)]
struct Place {
    table: TableName,
    index: TableName,
    before: Option<TableName>,
}

impl Place {
    fn new(table: &TableName, index: &TableName, before: Option<&str>) -> Self {
        let before = before.filter(|name| *name != index.name).map(|name| TableName::new(&index.schema, name));
        Self { table: table.clone(), index: index.clone(), before }
    }
}

impl Question for Place {
    type Answer = Option<Sight>;

    fn doing(&self) -> String {
        format!("look for index {}", self.index)
    }

    async fn answer(client: &Client, places: &[Self]) -> Result<Vec<Self::Answer>, Error> {
        let printing = catalog::printing();
        let looking = try_join(client.batch_execute(&printing), look_at(client, places));
        looking.await.map(|((), sights)| sights).map_err(|error| Self::failed(places, &error))
    }
}

/// Looks at everything that concerns some indexes. What is printed must be pinned.
async fn look_at(client: &impl GenericClient, places: &[Place]) -> Result<Vec<Option<Sight>>, tokio_postgres::Error> {
    let reserved: Vec<TableName> = places.iter().map(|place| reserved(&place.index)).collect();
    let tables: HashSet<&TableName> = places.iter().map(|place| &place.table).collect();
    let names: HashSet<&TableName> =
        places.iter().flat_map(|place| place.before.iter().chain([&place.index])).chain(&reserved).collect();
    let (tables, names): (Vec<_>, Vec<_>) = (tables.into_iter().collect(), names.into_iter().collect());
    let (tables, named, extension) =
        try_join3(catalog::tables(client, &tables), catalog::named(client, &names), catalog::installed(client)).await?;
    let sight = |(place, reserved): (&Place, &TableName)| {
        let table = tables.get(&place.table)?;
        Some(Sight {
            table: table.clone(),
            extension: extension.clone(),
            named: named.found(&place.index, table),
            before: place.before.as_ref().map_or(Found::Nothing, |before| named.found(before, table)),
            leftover: named.found(reserved, table),
            builder: named.builder(reserved),
        })
    };
    Ok(places.iter().zip(&reserved).map(sight).collect())
}

/// Looks at everything that concerns an index. `None` where the table is gone.
pub(super) async fn look(
    transaction: &mut Transaction<'_>,
    table: &TableName,
    index: &TableName,
    before: Option<&str>,
) -> Result<Option<Sight>, Error> {
    let failed = |error| Error::postgres(format!("look for index {index}"), &error);
    let place = Place::new(table, index, before);
    let savepoint = transaction.savepoint("look").await.map_err(failed)?;
    catalog::pin_printing(&savepoint).await?;
    let mut sights = look_at(&savepoint, &[place]).await.map_err(failed)?;
    savepoint.rollback().await.map_err(failed)?;
    Ok(sights.pop().flatten())
}

/// The same in a transaction of its own, under the table's lock.
pub(super) async fn look_once(
    lock: &TableLock,
    session: &mut Session,
    table: &TableName,
    index: &TableName,
) -> Result<Option<Sight>, Error> {
    let mut transaction = session.begin_locked(lock).await?;
    let sight = look(&mut transaction, table, index, None).await?;
    transaction.rollback().await.map_err(|error| Error::postgres(format!("look for index {index}"), &error))?;
    Ok(sight)
}

/// Reads an index; `None` when it is gone, with its table or alone, or when something else bears its name.
pub async fn read(
    database: &Database,
    scope: &Scope,
    table: &TableName,
    index: &TableName,
    before: Option<&Seen>,
) -> Result<Option<Seen>, Error> {
    let sight = database.ask(scope, Place::new(table, index, None)).await?;
    Ok(sight.and_then(|sight| seen(&sight, before)))
}

/// The table that an index is on, for an index that is known by its own name only; an error when pgvector did not make it.
pub async fn table_of(database: &Database, scope: &Scope, index: &TableName) -> Result<Option<TableName>, Error> {
    let session = database.connect(scope).await?;
    let rows = session
        .query_typed(
            "select n.nspname::text, t.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             join pg_index i on i.indexrelid = c.oid join pg_class t on t.oid = i.indrelid \
             where n.nspname = $1 and c.relname = $2",
            &[(&index.schema, tokio_postgres::types::Type::TEXT), (&index.name, tokio_postgres::types::Type::TEXT)],
        )
        .await
        .map_err(|error| scope.explain(Error::postgres(format!("look for index {index}"), &error)))?;
    let Some(row) = rows.first() else { return Ok(None) };
    let table = TableName::new(row.get::<_, String>(0), row.get::<_, String>(1));
    if let Some(on) = catalog::table(&*session, &table).await.map_err(|error| scope.explain(error))?
        && let Found::Foreign(what) =
            catalog::find(&*session, index, &on).await.map_err(|error| scope.explain(error))?
    {
        return Err(Error::new(format!("take over index {index}"), format!("it is not a pgvector index, but {what}")));
    }
    Ok(Some(table))
}

/// Whether a condition, as it was declared, is the one that an index was seen with. Where that cannot be found out, it is
/// taken for another.
pub async fn same_condition(
    database: &Database,
    scope: &Scope,
    table: &TableName,
    predicate: &str,
    seen: &Seen,
) -> Result<bool, Error> {
    let mut session = database.connect(scope).await?;
    let mut transaction = session.begin().await?;
    let doing = format!("compare a condition on table {table}");
    let extension = catalog::extension(&transaction).await?;
    let form = normal_form(&mut transaction, &doing, table, Some(predicate), extension.as_ref()).await;
    Ok(form.is_ok_and(|form| form.is(seen.index.predicate.as_deref())))
}

/// The index as it was seen, when it is one of ours. A file that was written anew holds what its options say; one that
/// was not holds what they said before.
pub(super) fn seen(sight: &Sight, before: Option<&Seen>) -> Option<Seen> {
    let Found::Index(index) = &sight.named else { return None };
    let built_with = match before {
        Some(before) if before.index.file == index.file => before.built_with.clone(),
        _ => index.options.clone(),
    };
    Some(Seen {
        columns: sight.table.vectors(),
        types: sight.table.types(),
        partitioned: sight.table.partitioned,
        leftover: sight.has_leftover(),
        index: (**index).clone(),
        built_with,
    })
}

/// The parts of the index that depend on what was seen, or everything that stands in its way.
pub(super) async fn feasible(
    transaction: &mut Transaction<'_>,
    spec: &VectorIndexSpec,
    concurrently: bool,
    sight: &Sight,
) -> Result<Recipe, Vec<Error>> {
    let doing = doing(spec);
    if !sight.table.indexable {
        return Err(vec![
            Error::new(&doing, format!("{} is no table that can have indexes", spec.table))
                .blame(Blame::Attribute("table")),
        ]);
    }
    let Some((_, spelled, vector)) = sight.table.columns.iter().find(|(name, ..)| *name == spec.column) else {
        let names: Vec<&str> = sight.table.columns.iter().map(|(name, ..)| name.as_str()).collect();
        return Err(vec![
            Error::new(
                &doing,
                format!("the table has no column {:?}; its columns are: {}", spec.column, names.join(", ")),
            )
            .blame(Blame::Attribute("column")),
        ]);
    };
    let Some(vector) = vector else {
        return Err(vec![
            Error::new(
                &doing,
                format!("column {:?} has the type {spelled}, which pgvector does not index; valid: vector, halfvec, bit, sparsevec", spec.column),
            )
            .blame(Blame::Attribute("column")),
        ]);
    };
    let recipe = recipe(spec, *vector)?;
    if concurrently && sight.table.partitioned {
        return Err(vec![not_concurrently(spec)]);
    }
    let Some(extension) = &sight.extension else {
        return Err(vec![
            Error::new(&doing, "the extension vector (pgvector) is not installed in this database")
                .advice("run `create extension vector` in it, as a role that may"),
        ]);
    };
    if !catalog::has_class(transaction, recipe.operator_class, spec.method).await.map_err(|error| vec![error])? {
        return Err(vec![
            Error::new(
                &doing,
                format!(
                    "pgvector {} has no operator class {} for {}",
                    extension.version, recipe.operator_class, spec.method
                ),
            )
            .advice("update it: `alter extension vector update`, after installing a newer version on the server")
            .blame(Blame::Attribute("metric")),
        ]);
    }
    Ok(recipe)
}

/// What is wrong with an index that the plan counted on: it is not there, or not as it was seen.
/// What the table has become since is no matter of the plan's: the same apply may have changed it.
pub(super) fn changed_since(spec: &VectorIndexSpec, prior: &Prior<'_>, sight: &Sight) -> Option<Error> {
    let old = TableName::new(&spec.table.schema, prior.index_name);
    let retyped = prior.seen.types != sight.table.types();
    let what = match sight.prior(spec, prior) {
        Found::Nothing | Found::Index(_) if retyped => return None,
        Found::Nothing => format!("index {old} is gone"),
        Found::Foreign(what) => format!("{old} is {what} now"),
        Found::Index(index) => {
            let expected = &prior.seen.index;
            let alike = index.method == expected.method
                && index.operator_class == expected.operator_class
                && index.key == expected.key
                && index.options == expected.options
                && index.predicate == expected.predicate
                && index.valid == expected.valid;
            if alike {
                return None;
            }
            format!("index {old} is not as it was")
        }
    };
    Some(
        Error::new(doing(spec), format!("the database has changed since the plan was made: {what}"))
            .advice("nothing was written; plan again"),
    )
}

/// The error for planned statements that the table no longer allows, since it was changed before its index had its turn.
pub(super) fn overtaken(spec: &VectorIndexSpec, prior: &Prior<'_>, sight: &Sight) -> Error {
    let now = sight.table.types();
    let mut changes: Vec<String> = Vec::new();
    for (name, was) in &prior.seen.types {
        match now.get(name) {
            Some(is) if is == was => {}
            Some(is) => changes.push(format!("column {name:?} was of type {was}, and is of type {is} now")),
            None => changes.push(format!("column {name:?} is gone")),
        }
    }
    let message = format!(
        "the table was changed in this apply ({}), and what was planned for the index no longer fits it",
        changes.join("; ")
    );
    Error::new(doing(spec), message).advice(format!(
        "nothing was done to the index: apply again, which finishes it. For both changes in one apply, set on the index \
         `lifecycle {{ replace_triggered_by = [pg_table_target.NAME.columns[{:?}]] }}`: it then goes before the column is \
         changed and is built after it",
        spec.column
    ))
}

/// The error for a name that is taken.
pub(super) fn taken(spec: &VectorIndexSpec, found: &Found) -> Option<Error> {
    let index = spec.qualified();
    let error = match found {
        Found::Nothing => return None,
        Found::Foreign(what) => Error::new(doing(spec), format!("the name {index} is taken by {what}"))
            .advice("drop or rename that, or set another `name`"),
        Found::Index(found) if !found.valid => {
            Error::new(doing(spec), format!("the index {index} exists already, and it is not valid"))
                .advice(format!("drop it (`drop index {index}`), or import it as {index} and it is built again"))
        }
        Found::Index(_) => Error::new(doing(spec), format!("the index {index} exists already"))
            .advice(format!("import it (its id is {index}), drop it, or set another `name`")),
    };
    Some(error.blame(Blame::Attribute("name")))
}

/// What the server makes of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// This role may not make the copy on which it is found out.
    Unknown,
    /// This, or none.
    Is(Option<String>),
}

impl Form {
    /// Whether it is certainly this one.
    pub(super) fn is(&self, predicate: Option<&str>) -> bool {
        matches!(self, Self::Is(form) if form.as_deref() == predicate)
    }
}

/// The condition in the server's own form, found out on an empty copy of the table that is gone afterwards.
pub(super) async fn normal_form(
    transaction: &mut Transaction<'_>,
    doing: &str,
    table: &TableName,
    predicate: Option<&str>,
    extension: Option<&Extension>,
) -> Result<Form, Error> {
    let Some(predicate) = predicate else { return Ok(Form::Is(None)) };
    let internal = |error: &tokio_postgres::Error| Error::postgres(doing, error);
    let savepoint = transaction.savepoint("probe").await.map_err(|e| internal(&e))?;
    let copy = format!("create temporary table {PROBE} (like {table})");
    match savepoint.batch_execute(&copy).await {
        Err(error) if error.code() == Some(&tokio_postgres::error::SqlState::INSUFFICIENT_PRIVILEGE) => {
            savepoint.rollback().await.map_err(|e| internal(&e))?;
            return Ok(Form::Unknown);
        }
        other => other.map_err(|e| internal(&e))?,
    }
    let path = extension.map_or_else(String::new, |extension| set_search_path(extension, true));
    let index = format!("{path}create index {PROBE}_index on pg_temp.{PROBE} ((1)) where ({predicate}\n)");
    savepoint.batch_execute(&index).await.map_err(|error| {
        internal(&error)
            .because(format!(
                "the condition does not work: {}",
                error.as_db_error().map_or_else(|| error.to_string(), |e| e.message().to_owned())
            ))
            .statement(mask_literals(&format!("where ({predicate})")))
            .blame(Blame::Attribute("where"))
    })?;
    catalog::pin_printing(&savepoint).await?;
    let rows = savepoint
        .query_typed(
            "select pg_get_expr(indpred, indrelid) from pg_index where indexrelid = $1::text::regclass",
            &[(&format!("pg_temp.{PROBE}_index"), tokio_postgres::types::Type::TEXT)],
        )
        .await
        .map_err(|e| internal(&e))?;
    savepoint.rollback().await.map_err(|e| internal(&e))?;
    Ok(Form::Is(rows.first().and_then(|row| row.get(0))))
}

/// The statement that lets operator classes and functions of pgvector be found without their schema.
pub(super) fn set_search_path(extension: &Extension, local: bool) -> String {
    format!(
        "select pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', \
         nullif(pg_catalog.current_setting('search_path'), ''), {}), {local}); ",
        quote_literal(&crate::name::quote_ident(&extension.schema))
    )
}

/// Completes "Cannot …".
pub(super) fn doing(spec: &VectorIndexSpec) -> String {
    format!("build index {} on table {}", spec.qualified(), spec.table)
}
