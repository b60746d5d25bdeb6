//! Builds, replaces and drops indexes.
//!
//! **Invariant:** an index in use goes only in the transaction that puts its successor in place. What a build leaves
//! behind bears the reserved name, and the next apply finishes or drops it.

use std::time::{Duration, Instant};

use tokio_postgres::Transaction;

use super::catalog::{Extension, Found};
use super::observe::{Sight, changed_since, doing, feasible, look, normal_form, seen, set_search_path, taken};
use super::plan::{self, Action, Prior, Recipe, Seen, create, create_steps, replace_steps, reserved_name};
use super::progress;
use super::spec::{BuildSettings, VectorIndexSpec};
use crate::database::{Database, Notice, Scope, Session, TableLock, is_transient, retry};
use crate::error::{Blame, Error};
use crate::name::{TableName, quote_literal};
use crate::sql_text::mask_literals;
use crate::step::Step;
use crate::table::Warning;

/// How long clearing up after a failed build may take.
const CLEAR_UP: Duration = Duration::from_secs(20);

/// How long the short transaction that swaps indexes waits for its locks before it lets others pass.
const SWAP_LOCK_TIMEOUT: &str = "2s";

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
    /// The index that is ours already.
    pub prior: Option<Prior<'a>>,
}

/// What an apply left behind.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The index.
    pub seen: Seen,
    /// The statements that it took.
    pub steps: Vec<Step>,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// What is to be done, decided under the table's lock.
struct Decision {
    recipe: Recipe,
    action: Action,
    steps: Vec<Step>,
    extension: Option<Extension>,
    /// The condition in the server's form, where it could be found out.
    form: Option<Option<String>>,
}

/// Builds or changes an index: all of it, or the old one stays in force. When the connection is lost, the build is
/// looked for again, waited for or cleared away.
pub async fn apply(database: &Database, scope: &Scope, build: &Build<'_>) -> Result<Applied, Vec<Error>> {
    let mut resumes = 0;
    loop {
        let result = if build.concurrently {
            apply_concurrently(database, scope, build, resumes > 0).await
        } else {
            apply_in_transaction(database, scope, build, resumes > 0).await
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

/// Drops an index and what a build of it left behind. What is not a pgvector index of that table is left alone.
pub async fn drop(
    database: &Database,
    scope: &Scope,
    table: &TableName,
    index: &TableName,
    concurrently: bool,
) -> Result<(), Error> {
    let (lock, mut session) = database.lock_table_outside_transactions(table, scope).await?;
    let result = drop_locked(&lock, &mut session, scope, table, index, concurrently).await;
    result.map_err(|error| scope.explain(error))
}

async fn drop_locked(
    lock: &TableLock,
    session: &mut Session,
    scope: &Scope,
    table: &TableName,
    index: &TableName,
    concurrently: bool,
) -> Result<(), Error> {
    let mut transaction = session.begin_locked(lock).await?;
    let sight = look(&mut transaction, table, index, None).await?;
    transaction.rollback().await.map_err(|e| Error::postgres(format!("look for index {index}"), &e))?;
    let Some(sight) = sight else { return Ok(()) };
    let concurrently = concurrently && !sight.table.partitioned;
    let reserved = TableName::new(&index.schema, reserved_name(index));
    for (found, name) in [(sight.leftover, &reserved), (sight.named, index)] {
        if matches!(found, Found::Index(_)) {
            let step = plan::drop(name, concurrently);
            retry(scope, is_transient, async || {
                if concurrently {
                    return execute(session, &step.sql, &format!("drop index {name}")).await;
                }
                let transaction = begin_swap(session, lock).await?;
                execute(transaction.client(), &step.sql, &format!("drop index {name}")).await?;
                transaction.commit().await.map_err(|e| Error::postgres(format!("drop index {name}"), &e))
            })
            .await?;
        }
    }
    Ok(())
}

async fn apply_in_transaction(
    database: &Database,
    scope: &Scope,
    build: &Build<'_>,
    resumed: bool,
) -> Result<Applied, Vec<Error>> {
    let spec = build.spec;
    let (lock, mut session) = database.lock_table(&spec.table, scope).await.map_err(|e| vec![e])?;
    // The error of a transaction is one; of what stands in the way there may be several.
    let mut obstacles = Vec::new();
    let result = retry(
        scope,
        |error| is_transient(error),
        async || {
            session.take_notices();
            let mut transaction = session.begin_locked(&lock).await?;
            let decision = match decide(&mut transaction, build, resumed).await {
                Ok(decision) => decision,
                Err(errors) => {
                    let first = errors.first().cloned();
                    obstacles = errors;
                    return Err(first.unwrap_or_else(|| Error::new(doing(spec), "it is not possible")));
                }
            };
            obstacles.clear();
            if decision.action != Action::Keep {
                execute(transaction.client(), "set local statement_timeout = 0", &doing(spec)).await?;
                set_up(transaction.client(), build, &decision, true).await?;
                for step in &decision.steps {
                    run_step(transaction.client(), step, spec).await?;
                }
            }
            let seen = look_again(&mut transaction, spec).await?;
            transaction.commit().await.map_err(|e| Error::postgres(doing(spec), &e))?;
            Ok((seen, decision))
        },
    )
    .await;
    match result {
        Err(_) if !obstacles.is_empty() => Err(obstacles),
        Err(error) => Err(vec![error]),
        Ok((seen, decision)) => {
            let mut warnings = notices(spec, session.take_notices());
            warnings.extend(known_bugs(&decision));
            Ok(Applied { seen, steps: decision.steps, warnings })
        }
    }
}

async fn apply_concurrently(
    database: &Database,
    scope: &Scope,
    build: &Build<'_>,
    resumed: bool,
) -> Result<Applied, Vec<Error>> {
    let spec = build.spec;
    let (lock, mut session) =
        database.lock_table_outside_transactions(&spec.table, scope).await.map_err(|e| vec![e])?;
    let mut transaction = session.begin_locked(&lock).await.map_err(|e| vec![e])?;
    let decision = decide(&mut transaction, build, resumed).await?;
    transaction.rollback().await.map_err(|e| vec![Error::postgres(doing(spec), &e)])?;
    session.take_notices();
    let one = |error: Error| vec![error];
    if matches!(decision.action, Action::Rebuild | Action::RebuildIfNeeded) {
        set_up(&session, build, &decision, false).await.map_err(one)?;
        let built = retry(scope, is_transient, async || {
            build_beside(database, scope, &lock, &mut session, build, &decision).await
        })
        .await;
        if let Err(error) = built {
            clear_up(database, session, &spec.qualified()).await;
            return Err(vec![error]);
        }
    }
    let swap: Vec<&Step> = decision.steps.iter().filter(|step| !is_concurrent(step)).collect();
    let seen = retry(scope, is_transient, async || {
        let mut transaction = begin_swap(&mut session, &lock).await?;
        for step in &swap {
            run_step(transaction.client(), step, spec).await?;
        }
        let seen = look_again(&mut transaction, spec).await?;
        transaction.commit().await.map_err(|e| Error::postgres(doing(spec), &e))?;
        Ok(seen)
    })
    .await
    .map_err(one)?;
    let mut warnings = notices(spec, session.take_notices());
    warnings.extend(known_bugs(&decision));
    Ok(Applied { seen, steps: decision.steps, warnings })
}

/// Decides what is to be done from what there is now; an error when that is not what the plan counted on.
async fn decide(transaction: &mut Transaction<'_>, build: &Build<'_>, resumed: bool) -> Result<Decision, Vec<Error>> {
    let spec = build.spec;
    let one = |error: Error| vec![error];
    let before = build.prior.map(|prior| prior.index_name);
    let Some(sight) = look(transaction, &spec.table, &spec.qualified(), before).await.map_err(one)? else {
        return Err(vec![
            Error::new(doing(spec), format!("there is no table {}", spec.table))
                .advice("declare the table, or correct `table`")
                .blame(Blame::Attribute("table")),
        ]);
    };
    let recipe = feasible(transaction, spec, build.concurrently, &sight).await?;
    let form = normal_form(transaction, spec, sight.extension.as_ref()).await.map_err(one)?;
    let (action, steps) = choose(build, &sight, &recipe, form.as_ref(), resumed)?;
    Ok(Decision { recipe, action, steps, extension: sight.extension, form })
}

fn choose(
    build: &Build<'_>,
    sight: &Sight,
    recipe: &Recipe,
    form: Option<&Option<String>>,
    resumed: bool,
) -> Result<(Action, Vec<Step>), Vec<Error>> {
    let spec = build.spec;
    let old_is_there = matches!(sight.before, Found::Index(_));
    if resumed && !old_is_there && is_wanted(&sight.named, spec, recipe, form) {
        return Ok((Action::Keep, Vec::new()));
    }
    let renamed = build.prior.is_none_or(|prior| prior.index_name != spec.index_name());
    let changed = build.prior.and_then(|prior| changed_since(spec, &prior, sight));
    if let Some(error) = changed.or_else(|| taken(spec, &sight.named).filter(|_| renamed)) {
        return Err(vec![error]);
    }
    let Some(prior) = &build.prior else {
        return Ok((Action::Rebuild, create_steps(spec, recipe, build.concurrently)));
    };
    let Some(planned) = plan::plan(spec, build.concurrently, prior)? else {
        // The column is new, so the plan could not say more than that the index is built again.
        let old = TableName::new(&spec.table.schema, prior.index_name);
        return Ok((Action::Rebuild, replace_steps(spec, recipe, build.concurrently, &old)));
    };
    let means_the_same = form.is_some_and(|form| *form == prior.seen.index.predicate);
    if planned.action == Action::RebuildIfNeeded && means_the_same {
        return Ok((Action::Keep, Vec::new()));
    }
    Ok((planned.action, planned.steps))
}

/// Whether an index is exactly what is wanted. `form` is the wanted condition in the server's form, where that is known.
fn is_wanted(found: &Found, spec: &VectorIndexSpec, recipe: &Recipe, form: Option<&Option<String>>) -> bool {
    match found {
        Found::Index(index) => index.valid && index.fits(spec, recipe.operator_class) && form == Some(&index.predicate),
        _ => false,
    }
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
    let reserved = TableName::new(&spec.table.schema, reserved_name(&spec.qualified()));
    let doing = doing(spec);
    loop {
        let mut transaction = session.begin_locked(lock).await?;
        let sight = look(&mut transaction, &spec.table, &spec.qualified(), None).await?;
        transaction.rollback().await.map_err(|e| Error::postgres(&doing, &e))?;
        let Some(sight) = sight else {
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
            leftover if is_wanted(leftover, spec, &decision.recipe, decision.form.as_ref()) => {
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
        Some(last) if scope.stopped().is_some() => {
            let error = scope.explain(error);
            let message = format!("{}; the build was at: {last}", error.message());
            error.because(message)
        }
        _ => error,
    })
}

/// Removes the invalid index that a failed build leaves behind, under limits of its own. What does not work now is done
/// by the next apply.
async fn clear_up(database: &Database, mut session: Session, index: &TableName) {
    let scope = Scope { deadline: Some(Instant::now() + CLEAR_UP), ..Scope::default() };
    if session.is_closed() {
        std::mem::drop(session);
        match database.connect(&scope).await {
            Ok(fresh) => session = fresh,
            Err(error) => return tracing::warn!(%error, "could not clear up after the failed build of an index"),
        }
    } else {
        session.watch(&scope);
    }
    let reserved = TableName::new(&index.schema, reserved_name(index));
    let sql = "set lock_timeout = 0; set statement_timeout = 0";
    let again = |error: &Error| error.sqlstate() == Some("57014") || is_transient(error);
    let cleared = retry(&scope, again, async || {
        execute(&session, sql, "clear up").await?;
        execute(&session, &plan::drop(&reserved, true).sql, "clear up").await
    })
    .await;
    if let Err(error) = cleared {
        tracing::warn!(%error, "could not clear up after the failed build of an index; the next apply does it");
    }
}

/// Starts the short transaction that swaps or drops. It does not wait long for its locks, since everybody else who
/// wants the table would have to wait behind it.
async fn begin_swap<'a>(session: &'a mut Session, lock: &TableLock) -> Result<Transaction<'a>, Error> {
    let transaction = session.begin_locked(lock).await?;
    let sql = format!(
        "select pg_catalog.set_config('lock_timeout', '{SWAP_LOCK_TIMEOUT}', true) \
         where pg_catalog.current_setting('lock_timeout') = '0'"
    );
    transaction.batch_execute(&sql).await.map_err(|e| Error::postgres("start a transaction", &e))?;
    Ok(transaction)
}

/// The index that is there now; an error when it is not valid.
async fn look_again(transaction: &mut Transaction<'_>, spec: &VectorIndexSpec) -> Result<Seen, Error> {
    let sight = look(transaction, &spec.table, &spec.qualified(), None).await?;
    match sight.as_ref().and_then(|sight| seen(sight, None)) {
        Some(seen) if seen.index.valid => Ok(seen),
        Some(_) => Err(Error::new(doing(spec), "the server says that the new index is not valid")),
        None => Err(Error::new(doing(spec), "the new index is not there")),
    }
}

/// Whether a step runs outside the final transaction.
fn is_concurrent(step: &Step) -> bool {
    ["create index concurrently ", "drop index concurrently "].iter().any(|start| step.sql.starts_with(start))
}

/// The settings under which the index is built.
fn settings_sql(build: &Build<'_>, extension: Option<&Extension>, local: bool) -> String {
    let set = if local { "set local" } else { "set" };
    let mut sql = extension.map_or_else(String::new, |extension| set_search_path(extension, local));
    if let Some(memory) = &build.settings.maintenance_work_mem {
        sql.push_str(&format!("{set} maintenance_work_mem = {}; ", quote_literal(memory)));
    }
    if let Some(workers) = build.settings.max_parallel_maintenance_workers {
        sql.push_str(&format!("{set} max_parallel_maintenance_workers = {workers}; "));
    }
    sql
}

/// Gives the session the settings under which the index is built.
async fn set_up(
    client: &tokio_postgres::Client,
    build: &Build<'_>,
    decision: &Decision,
    local: bool,
) -> Result<(), Error> {
    let sql = settings_sql(build, decision.extension.as_ref(), local);
    execute(client, &sql, &doing(build.spec)).await.map_err(|error| error.blame(Blame::Attribute("build")))
}

async fn run_step(client: &tokio_postgres::Client, step: &Step, spec: &VectorIndexSpec) -> Result<(), Error> {
    execute(client, &step.sql, &doing(spec)).await.map_err(|error| {
        let error = error.statement(mask_literals(&step.sql));
        match advice(&error) {
            Some(advice) => error.advice(advice),
            None => error,
        }
    })
}

async fn execute(client: &tokio_postgres::Client, sql: &str, doing: &str) -> Result<(), Error> {
    client.batch_execute(sql).await.map_err(|error| Error::postgres(doing, &error))
}

fn advice(error: &Error) -> Option<&'static str> {
    match error.sqlstate()? {
        "42501" => Some("only the owner of a table can create indexes on it"),
        "53100" => Some("free disk space on the server, then apply again"),
        "53200" | "54000" if error.message().contains("memory") => {
            Some("set `build.maintenance_work_mem` to what the server can give")
        }
        "25006" => Some("the server takes no writes: connect to the primary"),
        _ => None,
    }
}

/// What the server remarked, as one warning.
fn notices(spec: &VectorIndexSpec, notices: Vec<Notice>) -> Vec<Warning> {
    if notices.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("Index {}:", spec.qualified())];
    for notice in notices {
        lines.push(format!("{}: {}", notice.severity, notice.message));
        lines.extend(notice.detail.iter().map(|detail| format!("  Detail: {detail}")));
        lines.extend(notice.hint.iter().map(|hint| format!("  Hint: {hint}")));
    }
    vec![Warning { summary: "Postgres remarked on a vector index", detail: lines.join("\n") }]
}

/// A warning when the installed pgvector is known to damage indexes of this kind.
fn known_bugs(decision: &Decision) -> Option<Warning> {
    let extension = decision.extension.as_ref()?;
    let built = matches!(decision.action, Action::Rebuild | Action::RebuildIfNeeded);
    let hnsw = decision.steps.iter().any(|step| step.sql.contains(" using hnsw "));
    let version: Vec<u32> = extension.version.split('.').map_while(|part| part.parse().ok()).collect();
    (built && hnsw && version.as_slice() < [0, 8, 4].as_slice()).then(|| Warning {
        summary: "This version of pgvector has known bugs in its hnsw indexes",
        detail: format!(
            "pgvector {} can leave hnsw indexes incomplete or damaged after vacuum and parallel builds; 0.8.4 and newer \
             do not. Update the extension, then reindex.",
            extension.version
        ),
    })
}
