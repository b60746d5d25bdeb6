//! Builds and replaces indexes.
//!
//! **Invariant:** an index in use goes only in the transaction that puts its successor in place. What a build leaves
//! behind bears the reserved name, and the next apply finishes or drops it.

use std::time::Duration;

use tokio_postgres::Transaction;

use super::catalog::{self, Found};
use super::decide::{Decision, decide, is_wanted};
use super::drop::{begin_swap, clear_leftover, clear_up, execute};
use super::observe::{doing, look, look_once, seen, set_search_path};
use super::plan::{self, Action, Prior, Seen, create, drop_leftover, reserved};
use super::progress;
use super::remarks::{Built, warnings};
use super::spec::{BuildSettings, VectorIndexSpec};
use crate::database::{Database, Retries, Scope, Session, TableLock};
use crate::error::{Blame, Error};
use crate::name::quote_literal;
use crate::sql_text::mask_literals;
use crate::step::Step;
use crate::table::ensure_extension;
use crate::warning::Warning;

/// How often the work is taken up again after the connection was lost.
const RESUMES: u32 = 3;

/// An index to be built, or changed.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// What it should be.
    pub spec: &'a VectorIndexSpec,
    /// Whether writing goes on meanwhile.
    pub concurrently: bool,
    /// Settings of the session that builds.
    pub settings: &'a BuildSettings,
    /// Whether the extension may be created; a column of type `bit` can be there without it.
    pub create_extension: bool,
    /// The index that is ours already.
    pub prior: Option<Prior<'a>>,
}

/// What an apply left behind.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Applied {
    /// The index.
    pub seen: Seen,
    /// The statements that it took.
    pub steps: Vec<Step>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// Builds or changes an index: all of it, or the old one stays in force. When the connection is lost, the build is
/// looked for again, waited for or cleared away.
pub async fn apply(database: &Database, scope: &Scope, build: &Build<'_>) -> Result<Applied, Vec<Error>> {
    if let Some(prior) = &build.prior
        && let Some(planned) = plan::plan(build.spec, build.concurrently, prior)?
        && planned.action == Action::Keep
    {
        let kept = keep(database, scope, build, prior, planned.steps).await;
        return kept.map_err(|error| one(scope.explain(error)));
    }
    let mut resumes = 0;
    loop {
        let result = if build.concurrently {
            Box::pin(apply_concurrently(database, scope, build, resumes > 0)).await
        } else {
            Box::pin(apply_in_transaction(database, scope, build, resumes > 0)).await
        };
        match result {
            Err(errors) if errors.iter().any(Error::is_closed) && resumes < RESUMES && scope.stopped().is_none() => {
                resumes += 1;
                tracing::warn!("the connection was lost during the build of an index; looking for it again");
            }
            Err(errors) => return Err(errors.into_iter().map(|error| scope.explain(error)).collect()),
            Ok(applied) => return Ok(applied),
        }
    }
}

/// Leaves the index alone, whatever became of it since the plan, since nothing was planned for it: only what an
/// interrupted build left behind is dropped.
async fn keep(
    database: &Database,
    scope: &Scope,
    build: &Build<'_>,
    prior: &Prior<'_>,
    steps: Vec<Step>,
) -> Result<Applied, Error> {
    let mut seen = prior.seen.clone();
    if seen.leftover {
        let table = &build.spec.table;
        let (lock, mut session) = if build.concurrently {
            database.lock_table_outside_transactions(table, scope).await?
        } else {
            database.lock_table(table, scope).await?
        };
        clear_leftover(&lock, &mut session, scope, build.spec, build.concurrently).await?;
        seen.leftover = false;
    }
    Ok(Applied { seen, steps, warnings: Vec::new() })
}

/// Creates the extension when it is not there although the column can be indexed: a column of type `bit`.
async fn prepare(session: &mut Session, build: &Build<'_>) -> Result<Option<Step>, Error> {
    if !build.create_extension || catalog::extension(&**session).await?.is_some() {
        return Ok(None);
    }
    let table = catalog::table(&**session, &build.spec.table).await?;
    if !table.is_some_and(|table| table.vectors().contains_key(&build.spec.column)) {
        return Ok(None);
    }
    ensure_extension(session).await.map(Some)
}

async fn apply_in_transaction(
    database: &Database,
    scope: &Scope,
    build: &Build<'_>,
    resumed: bool,
) -> Result<Applied, Vec<Error>> {
    let (lock, mut session) = database.lock_table(&build.spec.table, scope).await.map_err(one)?;
    let extension = prepare(&mut session, build).await.map_err(one)?;
    let mut retries = Retries::new(scope);
    let (decision, found) = loop {
        session.take_notices();
        match build_in_transaction(&lock, &mut session, build, resumed).await {
            Err(errors) => match errors.as_slice() {
                [error] if retries.again(error).await => {}
                _ => return Err(errors),
            },
            Ok(built) => break built,
        }
    };
    Ok(applied(build, &session, extension, decision, found))
}

async fn build_in_transaction(
    lock: &TableLock,
    session: &mut Session,
    build: &Build<'_>,
    resumed: bool,
) -> Result<(Decision, Outcome), Vec<Error>> {
    let doing = doing(build.spec);
    let mut transaction = session.begin_locked(lock).await.map_err(one)?;
    let decision = decide(&mut transaction, build, resumed).await?;
    let clear = drop_leftover(build.spec, false);
    if decision.leftover {
        run_step(transaction.client(), &clear, build.spec).await.map_err(one)?;
    }
    if decision.action != Action::Keep {
        execute(transaction.client(), "set local statement_timeout = 0", &doing).await.map_err(one)?;
        set_up(transaction.client(), build, &decision, true).await.map_err(one)?;
        for step in decision.steps.iter().filter(|step| **step != clear) {
            run_step(transaction.client(), step, build.spec).await.map_err(one)?;
        }
    }
    let found = look_again(&mut transaction, build.spec).await.map_err(one)?;
    transaction.commit().await.map_err(|e| one(Error::postgres(doing, &e)))?;
    Ok((decision, found))
}

async fn apply_concurrently(
    database: &Database,
    scope: &Scope,
    build: &Build<'_>,
    resumed: bool,
) -> Result<Applied, Vec<Error>> {
    let spec = build.spec;
    let (lock, mut session) = database.lock_table_outside_transactions(&spec.table, scope).await.map_err(one)?;
    let extension = prepare(&mut session, build).await.map_err(one)?;
    let mut transaction = session.begin_locked(&lock).await.map_err(one)?;
    let decision = decide(&mut transaction, build, resumed).await?;
    transaction.rollback().await.map_err(|e| one(Error::postgres(doing(spec), &e)))?;
    session.take_notices();
    if matches!(decision.action, Action::Rebuild | Action::RebuildIfNeeded) {
        set_up(&session, build, &decision, false).await.map_err(one)?;
        let mut retries = Retries::new(scope);
        loop {
            match build_beside(database, scope, &lock, &mut session, build, &decision).await {
                Ok(()) => break,
                Err(error) if retries.again(&error).await => {}
                Err(error) => {
                    // A build that goes on without us is not to be disturbed: it is found again.
                    if error.is_closed() {
                        return Err(one(error));
                    }
                    return Err(one(clear_up(database, session, &spec.qualified(), error).await));
                }
            }
        }
    }
    if matches!(decision.action, Action::Keep | Action::Rename) && decision.leftover {
        run_step(&session, &drop_leftover(spec, true), spec).await.map_err(one)?;
    }
    let mut retries = Retries::new(scope);
    let found = loop {
        match swap(&lock, &mut session, spec, &decision).await {
            Ok(found) => break found,
            Err(error) => retries.after(error).await.map_err(one)?,
        }
    };
    Ok(applied(build, &session, extension, decision, found))
}

/// The short transaction in which the new index takes its place.
async fn swap(
    lock: &TableLock,
    session: &mut Session,
    spec: &VectorIndexSpec,
    decision: &Decision,
) -> Result<Outcome, Error> {
    let mut transaction = begin_swap(session, lock).await?;
    for step in decision.steps.iter().filter(|step| !is_concurrent(step)) {
        run_step(transaction.client(), step, spec).await?;
    }
    let found = look_again(&mut transaction, spec).await?;
    transaction.commit().await.map_err(|e| Error::postgres(doing(spec), &e))?;
    Ok(found)
}

/// The index that is there in the end.
struct Outcome {
    seen: Seen,
    /// How many vectors it holds.
    vectors: Option<u64>,
}

fn applied(
    build: &Build<'_>,
    session: &Session,
    extension: Option<Step>,
    decision: Decision,
    found: Outcome,
) -> Applied {
    let Outcome { seen, vectors } = found;
    let built = matches!(decision.action, Action::Rebuild | Action::RebuildIfNeeded).then(|| Built {
        spec: build.spec,
        settings: build.settings,
        seen: &seen,
        vectors,
        version: decision.extension.as_ref().map(|extension| extension.version.as_str()),
    });
    let warnings = warnings(built, build.spec, &session.take_notices());
    Applied { seen, steps: extension.into_iter().chain(decision.steps).collect(), warnings }
}

fn one(error: Error) -> Vec<Error> {
    vec![error]
}

/// Brings about a valid index under the reserved name: takes one that is left over and as wanted, waits for one that is
/// being built, drops what is of no use, builds.
async fn build_beside(
    database: &Database,
    scope: &Scope,
    lock: &TableLock,
    session: &mut Session,
    build: &Build<'_>,
    decision: &Decision,
) -> Result<(), Error> {
    let spec = build.spec;
    let reserved = reserved(&spec.qualified());
    let doing = doing(spec);
    loop {
        let Some(sight) = look_once(lock, session, &spec.table, &spec.qualified()).await? else {
            return Err(Error::new(&doing, format!("table {} is gone", spec.table)));
        };
        if let Some(pid) = sight.builder {
            let waiting = format!("{doing}: process {pid} is still building it");
            tracing::info!(pid, "waiting for a build that an earlier run started");
            scope.run(&waiting, tokio::time::sleep(Duration::from_secs(1))).await?;
            continue;
        }
        match &sight.leftover {
            Found::Nothing => break,
            Found::Foreign(what) => {
                return Err(Error::new(
                    &doing,
                    format!("the name {reserved}, which is reserved for builds, is taken by {what}"),
                )
                .advice("drop or rename that"));
            }
            leftover if is_wanted(leftover, spec, &decision.recipe, &decision.form) => {
                tracing::info!(index = %reserved, "taking the index that an earlier build finished");
                return Ok(());
            }
            Found::Index(_) => {
                tracing::info!(index = %reserved, "dropping what an earlier build left behind");
                execute(session, &plan::drop(&reserved, true).sql, &doing).await?;
            }
        }
    }
    let pid = session.query_typed("select pg_catalog.pg_backend_pid()", &[]).await.ok();
    let pid = pid.and_then(|rows| rows.first().map(|row| row.get(0)));
    let step = create(spec, &decision.recipe, true, &reserved.name);
    let (result, last) = progress::watch(database, pid, &doing, run_step(session, &step, spec)).await;
    result.map_err(|error| match last {
        Some(last) if scope.stopped().is_some() => error.advice(format!("When last seen, the build was at: {last}")),
        _ => error,
    })
}

/// The index that is there now; an error when it is not valid.
async fn look_again(transaction: &mut Transaction<'_>, spec: &VectorIndexSpec) -> Result<Outcome, Error> {
    let index = spec.qualified();
    let sight = look(transaction, &spec.table, &index, None).await?;
    match sight.as_ref().and_then(|sight| seen(sight, None)) {
        Some(seen) if seen.index.valid => Ok(Outcome { seen, vectors: catalog::vectors(&*transaction, &index).await? }),
        Some(_) => Err(Error::new(doing(spec), "the server says that the new index is not valid")),
        None => Err(Error::new(doing(spec), "the new index is not there")),
    }
}

/// Whether a step runs outside the final transaction.
fn is_concurrent(step: &Step) -> bool {
    ["create index concurrently ", "drop index concurrently "].iter().any(|start| step.sql.starts_with(start))
}

/// Gives the session the settings under which the index is built.
async fn set_up(
    client: &tokio_postgres::Client,
    build: &Build<'_>,
    decision: &Decision,
    local: bool,
) -> Result<(), Error> {
    let doing = doing(build.spec);
    if let Some(extension) = &decision.extension {
        execute(client, &set_search_path(extension, local), &doing).await?;
    }
    let set = if local { "set local" } else { "set" };
    if let Some(memory) = &build.settings.maintenance_work_mem {
        let sql = format!("{set} maintenance_work_mem = {}", quote_literal(memory));
        let blamed = |error: Error| error.blame(Blame::Attribute("build.maintenance_work_mem"));
        execute(client, &sql, &doing).await.map_err(blamed)?;
    }
    if let Some(workers) = build.settings.max_parallel_maintenance_workers {
        let sql = format!("{set} max_parallel_maintenance_workers = {workers}");
        let blamed = |error: Error| error.blame(Blame::Attribute("build.max_parallel_maintenance_workers"));
        execute(client, &sql, &doing).await.map_err(blamed)?;
    }
    Ok(())
}

async fn run_step(client: &tokio_postgres::Client, step: &Step, spec: &VectorIndexSpec) -> Result<(), Error> {
    execute(client, &step.sql, &doing(spec)).await.map_err(|error| {
        let advice = advice(&error);
        error.statement(mask_literals(&step.sql)).advice_if(advice)
    })
}

fn advice(error: &Error) -> Option<&'static str> {
    match error.sqlstate()? {
        "42501" => Some("only the owner of a table can create indexes on it"),
        "53100" => Some("free disk space on the server, then apply again"),
        "54000" if error.message().contains("non-zero elements") => Some(
            "hnsw takes sparse vectors of at most 1,000 non-zero elements each: keep fewer in the rows, or leave the rows \
             that have more out of the index with `where`",
        ),
        "53200" | "54000" if error.message().contains("memory") => {
            Some("set `build.maintenance_work_mem` to what the server can give")
        }
        "25006" => Some("the server takes no writes: connect to the primary"),
        _ => None,
    }
}
