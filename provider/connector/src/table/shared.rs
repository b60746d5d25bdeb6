//! Objects that many tables use: the schema, the extension `vector`, and where we remember what is ours.
//!
//! Each is looked for first, which takes no right, and made in a short transaction of its own. Whoever else makes the same
//! object at the same time waits its turn; an error that still says that it is there already is followed by another look.
//!
//! **Invariant:** nothing here is ever dropped, and what is there is left as it is.

use tokio_postgres::types::{ToSql, Type};

use super::render;
use super::script::{Kind, Script, SharedObject};
use crate::database::{Retries, Session};
use crate::error::{Blame, Error};
use crate::name::quote_ident;
use crate::rows::ledger;
use crate::spec::TableSpec;
use crate::step::{Lock, Step};

/// The advisory lock under which shared objects are made, the same in every process: "pg shared" in ASCII.
const TURN: i64 = 0x7067_2073_6861_7265;

const EXTENSION_RIGHTS: &str = "The user that the connection logs in with may not create the extension. Amazon RDS and \
    Aurora: a member of rds_superuser has to. Google Cloud SQL: a member of cloudsqlsuperuser. Azure: add VECTOR to the \
    server parameter azure.extensions first. Supabase: enable \"vector\" under Database > Extensions. Neon: the role that \
    owns the database has to. Elsewhere: have an administrator run `create extension vector` in this database once, and \
    set create_vector_extension = false if you like.";

const EXTENSION_MISSING: &str = "pgvector is not installed on the server. Install its package there (for example \
    postgresql-18-pgvector, or the image pgvector/pgvector), or choose a service that offers it.";

/// Makes what the script needs and is not there.
pub(super) async fn ensure(session: &mut Session, table: &TableSpec, script: &Script<'_>) -> Result<(), Error> {
    for action in &script.actions {
        let Kind::Shared(object) = action.kind else { continue };
        ensure_one(session, &table.name.schema, object, &action.step).await?;
    }
    Ok(())
}

/// Makes the extension `vector` if it is not there. Returns the statement.
pub(crate) async fn ensure_extension(session: &mut Session) -> Result<Step, Error> {
    let step = render::create_extension();
    ensure_one(session, "", SharedObject::Extension, &step).await?;
    Ok(step)
}

/// Makes the table that remembers targets, and its schema, if they are not there.
pub(crate) async fn ensure_tracking(session: &mut Session) -> Result<(), Error> {
    let table = format!(
        "create table {}.tracking (schema_name text, table_name text, version bigint not null, tracking jsonb not null, \
         primary key (schema_name, table_name))",
        ledger::SCHEMA
    );
    ensure_one(session, "", SharedObject::LedgerSchema, &Step::new(ledger::create_schema(), Lock::None)).await?;
    ensure_one(session, "", SharedObject::Tracking, &Step::new(table, Lock::None)).await
}

async fn ensure_one(session: &mut Session, schema: &str, object: SharedObject, step: &Step) -> Result<(), Error> {
    let scope = session.scope().clone();
    let mut retries = Retries::new(&scope);
    loop {
        let Err(error) = make(session, schema, object, step).await else { return Ok(()) };
        let there_already = matches!(error.sqlstate(), Some("23505" | "42710" | "42P06" | "42P07"));
        let again = if there_already { retries.pause(&error).await } else { retries.again(&error).await };
        if !again {
            let role = session.query_typed_one("select current_user::text", &[]).await;
            let role = role.and_then(|row| row.try_get::<_, String>(0)).unwrap_or_else(|_| "…".to_owned());
            return Err(scope.explain(explain(error, object, &role)));
        }
    }
}

async fn make(session: &mut Session, schema: &str, object: SharedObject, step: &Step) -> Result<(), Error> {
    let doing = match object {
        SharedObject::Schema => format!("create schema {}", quote_ident(schema)),
        SharedObject::Extension => "create extension vector".to_owned(),
        SharedObject::LedgerSchema => format!("create schema {}", ledger::SCHEMA),
        SharedObject::Tracking => format!("create table {}.tracking", ledger::SCHEMA),
    };
    let failed = |error| Error::postgres(&*doing, &error);
    let look = match object {
        SharedObject::Schema | SharedObject::LedgerSchema => {
            "select exists (select from pg_catalog.pg_namespace where nspname = $1)"
        }
        SharedObject::Extension => "select exists (select from pg_catalog.pg_extension where extname = $1)",
        SharedObject::Tracking => {
            "select exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = 'tracking')"
        }
    };
    let name = match object {
        SharedObject::Schema => schema,
        SharedObject::Extension => "vector",
        SharedObject::LedgerSchema | SharedObject::Tracking => ledger::SCHEMA,
    };
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&name, Type::TEXT)];
    let there: bool =
        session.query_typed_one(look, &parameters).await.and_then(|row| row.try_get(0)).map_err(failed)?;
    if there {
        return Ok(());
    }
    let transaction = session.begin().await?;
    transaction
        .query_typed("select pg_catalog.pg_advisory_xact_lock($1)", &[(&TURN, Type::INT8)])
        .await
        .map_err(failed)?;
    let there: bool =
        transaction.query_typed_one(look, &parameters).await.and_then(|row| row.try_get(0)).map_err(failed)?;
    if !there {
        transaction.batch_execute(&step.sql).await.map_err(|error| failed(error).statement(&*step.sql))?;
    }
    transaction.commit().await.map_err(failed)
}

fn explain(error: Error, object: SharedObject, role: &str) -> Error {
    let says = |text| error.message().contains(text);
    match (object, error.sqlstate()) {
        (SharedObject::Extension, Some("42501")) => error.advice(EXTENSION_RIGHTS),
        (SharedObject::Extension, Some("0A000" | "58P01" | "42704")) if says("vector") => {
            error.advice(EXTENSION_MISSING)
        }
        (SharedObject::Schema, Some("42501")) => error
            .blame(Blame::Attribute("schema_name"))
            .advice("Have an administrator create the schema, or grant the create right on the database."),
        (SharedObject::LedgerSchema | SharedObject::Tracking, _) => ledger::explain_rights(error, role),
        (SharedObject::Schema, _) => error.blame(Blame::Attribute("schema_name")),
        _ => error,
    }
}
