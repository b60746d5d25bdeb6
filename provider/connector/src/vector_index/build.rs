//! Builds, replaces and drops indexes.
//!
//! **Invariant:** an index in use goes only in the transaction that puts its successor in place. What a build leaves
//! behind bears the reserved name, and the next apply finishes or drops it.

use std::time::{Duration, Instant};

use tokio_postgres::Transaction;

use super::catalog::{self, Extension, Found};
use super::observe::{
    Form, Sight, changed_since, doing, feasible, look, normal_form, overtaken, seen, set_search_path, taken,
};
use super::plan::{
    self, Action, Prior, Recipe, Seen, create, create_steps, drop_leftover, replace_steps, reserved_name,
};
use super::progress;
use super::remarks::{Built, warnings};
use super::spec::{BuildSettings, VectorIndexSpec};
use crate::database::{Database, Retries, Scope, Session, TableLock, is_transient};
use crate::error::{Blame, Error};
use crate::name::{TableName, quote_literal};
use crate::sql_text::mask_literals;
use crate::step::Step;
use crate::table::{Warning, ensure_extension};

/// How long clearing up after a failed build may take: clearly less than a user who has stopped the run waits for it to
/// end by itself, so that the error of the build is seen. What keeps the build waiting may well keep this waiting too.
const CLEAR_UP: Duration = Duration::from_secs(3);

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

/// What is to be done, decided under the table's lock.
struct Decision {
    recipe: Recipe,
    action: Action,
    steps: Vec<Step>,
    extension: Option<Extension>,
    /// The condition in the server's form.
    form: Form,
    /// Whether something of an interrupted build is there.
    leftover: bool,
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
        let (table, index) = (&build.spec.table, build.spec.qualified());
        let (lock, mut session) = if build.concurrently {
            database.lock_table_outside_transactions(table, scope).await?
        } else {
            database.lock_table(table, scope).await?
        };
        let reserved = TableName::new(&index.schema, reserved_name(&index));
        let mut retries = Retries::new(scope);
        loop {
            match drop_leftover_of(&lock, &mut session, table, &index, &reserved, build.concurrently).await {
                Err(error) if is_transient(&error) && retries.again(&error).await => {}
                result => break result?,
            }
        }
        seen.leftover = false;
    }
    Ok(Applied { seen, steps, warnings: Vec::new() })
}

async fn drop_leftover_of(
    lock: &TableLock,
    session: &mut Session,
    table: &TableName,
    index: &TableName,
    reserved: &TableName,
    concurrently: bool,
) -> Result<(), Error> {
    let mut transaction = session.begin_locked(lock).await?;
    let sight = look(&mut transaction, table, index, None).await?;
    transaction.rollback().await.map_err(|e| Error::postgres(format!("look for index {index}"), &e))?;
    match sight {
        Some(sight) if sight.has_leftover() => {
            drop_one(lock, session, reserved, concurrently && !sight.table.partitioned).await
        }
        _ => Ok(()),
    }
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
            let mut retries = Retries::new(scope);
            loop {
                match drop_one(lock, session, name, concurrently).await {
                    Err(error) if is_transient(&error) && retries.again(&error).await => {}
                    result => break result?,
                }
            }
        }
    }
    Ok(())
}

async fn drop_one(lock: &TableLock, session: &mut Session, index: &TableName, concurrently: bool) -> Result<(), Error> {
    let step = plan::drop(index, concurrently);
    let doing = format!("drop index {index}");
    if concurrently {
        return execute(session, &step.sql, &doing).await;
    }
    let transaction = begin_swap(session, lock).await?;
    execute(transaction.client(), &step.sql, &doing).await?;
    transaction.commit().await.map_err(|e| Error::postgres(doing, &e))
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
                [error] if is_transient(error) && retries.again(error).await => {}
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
                Err(error) if is_transient(&error) && retries.again(&error).await => {}
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
            Err(error) if is_transient(&error) && retries.again(&error).await => {}
            result => break result.map_err(one)?,
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

/// Decides what is to be done from what there is now; an error when that is not what the plan counted on.
async fn decide(transaction: &mut Transaction<'_>, build: &Build<'_>, resumed: bool) -> Result<Decision, Vec<Error>> {
    let spec = build.spec;
    let before = build.prior.map(|prior| prior.index_name);
    let Some(sight) = look(transaction, &spec.table, &spec.qualified(), before).await.map_err(one)? else {
        return Err(vec![
            Error::new(doing(spec), format!("there is no table {}", spec.table))
                .advice("declare the table, or correct `table`")
                .blame(Blame::Attribute("table")),
        ]);
    };
    let recipe = feasible(transaction, spec, build.concurrently, &sight).await?;
    let extension = sight.extension.as_ref();
    let doing = doing(spec);
    let form = normal_form(transaction, &doing, &spec.table, spec.predicate.as_deref(), extension);
    let form = form.await.map_err(one)?;
    let (action, steps) = choose(build, &sight, &recipe, &form, resumed)?;
    let leftover = sight.has_leftover();
    Ok(Decision { recipe, action, steps, extension: sight.extension, form, leftover })
}

fn choose(
    build: &Build<'_>,
    sight: &Sight,
    recipe: &Recipe,
    form: &Form,
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
    let found = sight.prior(spec, prior);
    let old = TableName::new(&spec.table.schema, prior.index_name);
    let (action, mut steps) = match plan::plan(spec, build.concurrently, prior)? {
        // The column is new, so the plan could not say more than that the index is built again.
        None => (Action::Rebuild, replace_steps(spec, recipe, build.concurrently, &old)),
        Some(planned) => {
            let column = prior.seen.columns.get(&spec.column);
            let fits = column.and_then(|column| plan::recipe(spec, *column).ok()).as_ref() == Some(recipe);
            let gone = matches!(found, Found::Nothing);
            if !fits || gone && planned.action == Action::Rename {
                return Err(vec![overtaken(spec, prior, sight)]);
            }
            if planned.action == Action::RebuildIfNeeded && is_wanted(found, spec, recipe, form) {
                return Ok((Action::Keep, Vec::new()));
            }
            (planned.action, planned.steps)
        }
    };
    if matches!(found, Found::Nothing) {
        // It went with a column of the table, which the same apply has changed.
        let gone = plan::drop(&old, false);
        steps.retain(|step| step.sql != gone.sql);
    }
    Ok((action, steps))
}

/// Whether an index is exactly what is wanted. `form` is the wanted condition in the server's form.
fn is_wanted(found: &Found, spec: &VectorIndexSpec, recipe: &Recipe, form: &Form) -> bool {
    match found {
        Found::Index(index) => {
            index.valid && index.fits(spec, recipe.operator_class) && form.is(index.predicate.as_deref())
        }
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

/// Removes the invalid index that a failed build leaves behind, under limits of its own. What does not work now is done
/// by the next apply, and the error says so.
async fn clear_up(database: &Database, session: Session, index: &TableName, error: Error) -> Error {
    let reserved = TableName::new(&index.schema, reserved_name(index));
    let scope = Scope { deadline: Some(Instant::now() + CLEAR_UP), ..Scope::default() };
    match drop_unfinished(database, &scope, session, &reserved).await {
        Ok(()) => error,
        Err(obstacle) => {
            tracing::warn!(error = %obstacle, "could not clear up after the failed build of an index");
            let before = error.advised().map_or_else(String::new, |advice| format!("{advice}. "));
            error.advice(format!(
                "{before}An unfinished index {reserved} is left behind; the next apply finishes or drops it, or drop it \
                 by hand"
            ))
        }
    }
}

async fn drop_unfinished(
    database: &Database,
    scope: &Scope,
    mut session: Session,
    reserved: &TableName,
) -> Result<(), Error> {
    session.watch(scope);
    let mut retries = Retries::new(scope);
    loop {
        if session.is_closed() {
            std::mem::drop(session);
            session = database.connect(scope).await?;
        }
        let error = match drop_promptly(&session, reserved).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // A cancel request that was on its way may hit these statements, and a lost connection shows only now.
        let passes = error.is_closed() || matches!(error.sqlstate(), Some("57014" | "57P01")) || is_transient(&error);
        if !passes || !retries.again(&error).await {
            return Err(error);
        }
    }
}

async fn drop_promptly(session: &Session, index: &TableName) -> Result<(), Error> {
    let doing = format!("drop the unfinished index {index}");
    let limit = CLEAR_UP.as_millis();
    execute(session, &format!("set lock_timeout = {limit}; set statement_timeout = {limit}"), &doing).await?;
    execute(session, &plan::drop(index, true).sql, &doing).await
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
