//! Runs the texts of an attachment.
//!
//! **Invariant:** a transactional text runs wholly or not at all; of any other text, an error says what has run.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage, Transaction};

use super::report::{Failure, left_open, notices, passed_over, teardown_failed};
use super::spec::{Attachment, OnTeardownError, Text, plan};
use crate::database::{Database, Question, Retries, Scope, Session, TableLock, is_transient};
use crate::error::{Blame, Error};
use crate::name::TableName;
use crate::sql_text::{Statement, split};
use crate::warning::Warning;

/// A failed setup, change or teardown, and how far it got.
#[derive(Debug)]
pub struct ChangeFailure {
    /// Why.
    pub error: Error,
    /// What is there now.
    pub remains: Remains,
}

/// What a failure left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remains {
    /// All is as it was before.
    AsBefore,
    /// The teardown got only so far: a part of the old one is there.
    OldInPart,
    /// The old one is torn down, and nothing of the new one is there.
    Nothing,
    /// A part of the new one is there, so that its teardown is needed.
    NewInPart,
}

impl From<Error> for ChangeFailure {
    fn from(error: Error) -> Self {
        Self { error, remains: Remains::AsBefore }
    }
}

/// Whether the attachment is there, at least in part: its table exists, and its check, where it has one, finds it.
pub async fn read(database: &Database, scope: &Scope, attachment: &Attachment) -> Result<bool, Error> {
    if !database.ask(scope, Exists(attachment.table.clone())).await? {
        return Ok(false);
    }
    // What is there in part is still to be torn down, whatever the check says of it.
    let Some(check) = attachment.check_sql.as_ref().filter(|_| !attachment.in_part) else { return Ok(true) };
    let mut session = database.connect(scope).await?;
    let mut transaction = session.begin().await?;
    match finds(&mut transaction, attachment, check).await {
        // What the check names is gone, and so is the attachment.
        Err(error) if names_what_is_missing(&error) => Ok(false),
        Err(error) => Err(scope.explain(error)),
        Ok(found) => Ok(found),
    }
}

/// Sets a new attachment up.
pub async fn create(
    database: &Database,
    scope: &Scope,
    attachment: &Attachment,
) -> Result<Vec<Warning>, ChangeFailure> {
    if attachment.transactional {
        Ok(in_transaction(database, scope, Work::SetUp(attachment)).await?)
    } else {
        set_up_step_by_step(database, scope, attachment).await
    }
}

/// Tears the old attachment down and sets the new one up, where their setups differ; else there is nothing to run. Both
/// happen in one transaction where both are transactional.
pub async fn change(
    database: &Database,
    scope: &Scope,
    old: &Attachment,
    new: &Attachment,
) -> Result<Vec<Warning>, ChangeFailure> {
    if plan(Some(old), Some(new)).is_empty() {
        return Ok(Vec::new());
    }
    if old.transactional && new.transactional {
        return Ok(in_transaction(database, scope, Work::Change(old, new)).await?);
    }
    let old = Attachment { on_teardown_error: new.on_teardown_error, ..old.clone() };
    let mut warnings = destroy(database, scope, &old).await?;
    match create(database, scope, new).await {
        Ok(more) => {
            warnings.extend(more);
            Ok(warnings)
        }
        Err(failure) if failure.remains == Remains::AsBefore => {
            Err(ChangeFailure { remains: Remains::Nothing, ..failure })
        }
        Err(failure) => Err(failure),
    }
}

/// Tears an attachment down. That its table is missing is no failure.
pub async fn destroy(
    database: &Database,
    scope: &Scope,
    attachment: &Attachment,
) -> Result<Vec<Warning>, ChangeFailure> {
    let Some(teardown) = &attachment.teardown_sql else { return Ok(Vec::new()) };
    let result = if attachment.transactional {
        in_transaction(database, scope, Work::TearDown(attachment)).await.map_err(ChangeFailure::from)
    } else {
        step_by_step(database, scope, attachment, Text::Teardown, teardown).await
    };
    let failure = match result {
        Err(failure) if failure.error.server().is_some() => failure,
        other => return other,
    };
    if attachment.on_teardown_error == OnTeardownError::Warn {
        return Ok(vec![teardown_failed(attachment, &failure.error, None)]);
    }
    let gone = async {
        let session = database.connect(scope).await?;
        Ok::<_, Error>(!table_exists(&session, attachment).await?)
    };
    match gone.await {
        Ok(true) => Ok(vec![teardown_failed(attachment, &failure.error, Some("its table is gone"))]),
        Ok(false) | Err(_) => Err(failure),
    }
}

/// A piece of work that is done in one transaction.
#[derive(Clone, Copy, Debug)]
enum Work<'a> {
    SetUp(&'a Attachment),
    Change(&'a Attachment, &'a Attachment),
    TearDown(&'a Attachment),
}

impl<'a> Work<'a> {
    fn attachment(self) -> &'a Attachment {
        match self {
            Self::SetUp(attachment) | Self::Change(_, attachment) | Self::TearDown(attachment) => attachment,
        }
    }

    async fn run(self, transaction: &mut Transaction<'_>) -> Result<Vec<Warning>, Error> {
        match self {
            Self::SetUp(new) => {
                require_table(transaction.client(), new).await?;
                set_up(transaction, new).await?;
                Ok(Vec::new())
            }
            Self::Change(old, new) => {
                require_table(transaction.client(), new).await?;
                let warnings = tear_down_or_warn(transaction, old, new.on_teardown_error).await?;
                set_up(transaction, new).await?;
                Ok(warnings)
            }
            Self::TearDown(old) => tear_down(transaction, old).await,
        }
    }
}

/// Does the work under the table's lock, again where its failure may pass.
async fn in_transaction(database: &Database, scope: &Scope, work: Work<'_>) -> Result<Vec<Warning>, Error> {
    let attachment = work.attachment();
    let (lock, mut session) = database.lock_table(&attachment.table, scope).await?;
    session.spoil();
    let mut retries = Retries::new(scope);
    let mut warnings = loop {
        session.take_notices();
        match attempt(&mut session, &lock, work).await {
            Ok(warnings) => break warnings,
            Err(error) => retries.after(error).await?,
        }
    };
    warnings.extend(notices(attachment, &session.take_notices()));
    Ok(warnings)
}

async fn attempt(session: &mut Session, lock: &TableLock, work: Work<'_>) -> Result<Vec<Warning>, Error> {
    let mut transaction = session.begin_locked(lock).await?;
    let warnings = work.run(&mut transaction).await?;
    let doing = || format!("commit {}", work.attachment().title());
    transaction.commit().await.map_err(|error| Error::postgres(doing(), &error))?;
    Ok(warnings)
}

async fn set_up(transaction: &mut Transaction<'_>, attachment: &Attachment) -> Result<(), Error> {
    run_all(transaction.client(), attachment, Text::Setup, &attachment.setup_sql).await?;
    let Some(check) = &attachment.check_sql else { return Ok(()) };
    if finds(transaction, attachment, check).await? { Ok(()) } else { Err(not_found(attachment)) }
}

/// Tears down. Where only a part may be there, it passes over what is missing, and says so.
async fn tear_down(transaction: &mut Transaction<'_>, attachment: &Attachment) -> Result<Vec<Warning>, Error> {
    let Some(teardown) = &attachment.teardown_sql else { return Ok(Vec::new()) };
    if !attachment.in_part {
        run_all(transaction.client(), attachment, Text::Teardown, teardown).await?;
        return Ok(Vec::new());
    }
    let failure = Failure { attachment, text: Text::Teardown, sql: teardown };
    let failed = |error| Error::postgres(failure.doing(), &error);
    let mut missing = Vec::new();
    for statement in split(&failure.doing(), teardown)? {
        let savepoint = transaction.savepoint("statement").await.map_err(failed)?;
        match savepoint.batch_execute(statement.text).await.map_err(|error| failure.of(&statement, &error)) {
            Ok(()) => savepoint.commit().await.map_err(failed)?,
            Err(error) if names_what_is_missing(&error) => {
                savepoint.rollback().await.map_err(failed)?;
                missing.push(error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(passed_over(attachment, &missing).into_iter().collect())
}

async fn tear_down_or_warn(
    transaction: &mut Transaction<'_>,
    old: &Attachment,
    on_error: OnTeardownError,
) -> Result<Vec<Warning>, Error> {
    if on_error == OnTeardownError::Fail {
        return tear_down(transaction, old).await;
    }
    let doing = || format!("tear down {}", old.title());
    let mut savepoint = transaction.savepoint("teardown").await.map_err(|e| Error::postgres(doing(), &e))?;
    match tear_down(&mut savepoint, old).await {
        Ok(warnings) => {
            savepoint.commit().await.map_err(|e| Error::postgres(doing(), &e))?;
            Ok(warnings)
        }
        Err(error) if is_transient(&error) || error.server().is_none() => Err(error),
        Err(error) => {
            savepoint.rollback().await.map_err(|e| Error::postgres(doing(), &e))?;
            Ok(vec![teardown_failed(old, &error, None)])
        }
    }
}

async fn run_all(client: &Client, attachment: &Attachment, text: Text, sql: &str) -> Result<(), Error> {
    let failure = Failure { attachment, text, sql };
    for statement in split(&failure.doing(), sql)? {
        client.batch_execute(statement.text).await.map_err(|error| failure.of(&statement, &error))?;
    }
    Ok(())
}

async fn set_up_step_by_step(
    database: &Database,
    scope: &Scope,
    attachment: &Attachment,
) -> Result<Vec<Warning>, ChangeFailure> {
    let mut warnings = step_by_step(database, scope, attachment, Text::Setup, &attachment.setup_sql).await?;
    let begun = |error| ChangeFailure { error, remains: Remains::NewInPart };
    if !read(database, scope, attachment).await.map_err(begun)? {
        let error = not_found(attachment);
        warnings.push(Warning {
            summary: "The check does not find the attachment",
            detail: format!("{}. {}.", error.message(), error.advised().unwrap_or_default()),
        });
    }
    Ok(warnings)
}

/// Runs a text that is not transactional, statement by statement, under the table's lock.
async fn step_by_step(
    database: &Database,
    scope: &Scope,
    attachment: &Attachment,
    text: Text,
    sql: &str,
) -> Result<Vec<Warning>, ChangeFailure> {
    let failure = Failure { attachment, text, sql };
    let statements = split(&failure.doing(), sql)?;
    let (_lock, mut session) = database.lock_table_outside_transactions(&attachment.table, scope).await?;
    session.spoil();
    if text == Text::Setup {
        require_table(&session, attachment).await?;
    }
    let missing = run_each(&session, scope, &failure, &statements).await?;
    let mut warnings = notices(attachment, &session.take_notices());
    warnings.extend(passed_over(attachment, &missing));
    Ok(warnings)
}

async fn run_each(
    session: &Session,
    scope: &Scope,
    failure: &Failure<'_>,
    statements: &[Statement<'_>],
) -> Result<Vec<Error>, ChangeFailure> {
    let part = if failure.text == Text::Teardown { Remains::OldInPart } else { Remains::NewInPart };
    let lenient = failure.text == Text::Teardown
        && (failure.attachment.in_part || failure.attachment.on_teardown_error == OnTeardownError::Warn);
    let mut missing = Vec::new();
    for statement in statements {
        let Err(error) = session.batch_execute(statement.text).await else { continue };
        let error = failure.of(statement, &error);
        if lenient && names_what_is_missing(&error) {
            missing.push(error);
            continue;
        }
        let error = scope.explain(error);
        let begun = statement.number > 1 || error.is_closed() || can_fail_halfway(statement);
        let error = Failure::with_what_ran(error, statement.number);
        return Err(ChangeFailure { error, remains: if begun { part } else { Remains::AsBefore } });
    }
    let controls = ["begin", "start"];
    if statements.iter().any(|s| controls.iter().any(|word| s.begins_with(&[word]))) {
        // In a transaction that began with an earlier message the two clocks differ; in a failed one nothing answers.
        let clocks = "select pg_catalog.now() operator(pg_catalog.=) pg_catalog.statement_timestamp()";
        let outside = session.simple_query(clocks).await.is_ok_and(|messages| {
            messages.iter().any(|message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("t")))
        });
        if !outside {
            let remains = if statements.len() > 1 { part } else { Remains::AsBefore };
            return Err(ChangeFailure { error: left_open(failure), remains });
        }
    }
    Ok(missing)
}

/// Whether a statement failed since an object that it names does not exist.
fn names_what_is_missing(error: &Error) -> bool {
    matches!(error.sqlstate(), Some("42P01" | "42883" | "42704" | "42703" | "3F000"))
}

/// Whether a statement that fails may leave something behind.
fn can_fail_halfway(statement: &Statement<'_>) -> bool {
    statement.has_word("concurrently") || ["call", "do"].iter().any(|word| statement.begins_with(&[word]))
}

/// Asks whether there is a relation of that name, together with others.
#[derive(Clone, Debug)]
struct Exists(TableName);

impl Question for Exists {
    type Answer = bool;

    fn doing(&self) -> String {
        format!("look for table {}", self.0)
    }

    async fn answer(client: &Client, questions: &[Self]) -> Result<Vec<bool>, Error> {
        let names: Vec<String> = questions.iter().map(|Self(name)| name.to_string()).collect();
        let sql = "select pg_catalog.to_regclass(w.name) is not null \
                   from unnest($1) with ordinality as w (name, at) order by w.at";
        let failed = |error| Self::failed(questions, &error);
        let names: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
        let rows = client.query_typed(sql, &names).await.map_err(failed)?;
        rows.iter().map(|row| row.try_get(0).map_err(failed)).collect()
    }
}

async fn table_exists(client: &Client, attachment: &Attachment) -> Result<bool, Error> {
    Ok(Exists::answer(client, &[Exists(attachment.table.clone())]).await?.contains(&true))
}

async fn require_table(client: &Client, attachment: &Attachment) -> Result<(), Error> {
    if table_exists(client, attachment).await? {
        return Ok(());
    }
    Err(Error::new(format!("set up {}", attachment.title()), format!("there is no table {}", attachment.table))
        .advice("declare the table, or correct `table`")
        .blame(Blame::Attribute("table")))
}

/// Whether the check returns a row. It runs read-only, and nothing of it stays.
async fn finds(transaction: &mut Transaction<'_>, attachment: &Attachment, check: &str) -> Result<bool, Error> {
    let failure = Failure { attachment, text: Text::Check, sql: check };
    let statements = split(&failure.doing(), check)?;
    let Some(statement) = statements.first() else { return Ok(true) };
    let wrong = |error: &tokio_postgres::Error| failure.of(statement, error);
    let savepoint = transaction.savepoint("checking").await.map_err(|e| wrong(&e))?;
    savepoint.batch_execute("set transaction read only").await.map_err(|e| wrong(&e))?;
    let prepared = savepoint.prepare(statement.text).await.map_err(|e| wrong(&e))?;
    let portal = savepoint.bind(&prepared, &[]).await.map_err(|e| wrong(&e))?;
    let rows = savepoint.query_portal(&portal, 1).await.map_err(|e| wrong(&e))?;
    drop(portal);
    drop(prepared);
    savepoint.rollback().await.map_err(|e| wrong(&e))?;
    Ok(!rows.is_empty())
}

fn not_found(attachment: &Attachment) -> Error {
    Error::new(
        format!("set up {}", attachment.title()),
        "`check_sql` returned no row right after `setup_sql` had run, so every later plan would set it up again",
    )
    .advice("make `check_sql` a query that returns a row while the attachment is there")
    .blame(Blame::Attribute("check_sql"))
}
