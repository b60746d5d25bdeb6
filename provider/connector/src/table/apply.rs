//! Runs a script.
//!
//! Schema and extension come first, each in its own transaction. All the rest is one transaction: look again, compare
//! with what the plan saw, run the planned statements, write rows, look at the result, commit.
//!
//! **Invariant:** the statements on the table are the script's, in its order; on any failure the table is as it was.

use std::collections::HashSet;

use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::script::{Action, Kind, METHOD_FIRST, Script};
use super::{Applied, TableChange, Warning, check, doing, explain, loss, online, probe, shared, transaction, veto};
use crate::catalog::ObservedTable;
use crate::database::{Database, Retries, Scope, Session, TableLock};
use crate::error::{Blame, Error};
use crate::pg_type::PgType;
use crate::rows::{self, Counted, Declared, Ledger, Owned, RowChange, RowOutcome};
use crate::spec::{ColumnSpec, ManagedBy};

/// See [`super::apply()`].
pub(super) async fn apply(
    database: &Database,
    scope: &Scope,
    change: &TableChange,
    digest_rows: bool,
) -> Result<Applied, Error> {
    let script = Script::of(change);
    if let Some(refusal) = script.refusals.first() {
        return Err(refusal.clone());
    }
    if !script.replace.is_empty() {
        let message = format!("a change of {} takes a new table", script.replace.join(" and "));
        return Err(Error::new(doing(change), message).advice("Drop the table and create it again."));
    }
    let (lock, mut session) = database.lock_table(&change.desired.name, scope).await?;
    if script.actions.iter().any(|action| matches!(action.kind, Kind::Shared(_))) {
        look_first(database, &mut session, &lock, change).await.map_err(|error| scope.explain(error))?;
        shared::ensure(&mut session, &change.desired, &script).await?;
    }
    if script.online {
        online::run(database, &mut session, &lock, change, &script).await?;
        let after = Script { not_null: script.not_null, ..Script::default() };
        return in_one_transaction(database, &mut session, &lock, scope, change, &after, digest_rows).await;
    }
    in_one_transaction(database, &mut session, &lock, scope, change, &script, digest_rows).await
}

/// Sees to it that nothing at all is made when the table is not as the plan took it to be.
async fn look_first(
    database: &Database,
    session: &mut Session,
    lock: &TableLock,
    change: &TableChange,
) -> Result<(), Error> {
    let transaction = transaction::begin(database, session, lock, &doing(change)).await?;
    let live = transaction::observe(&transaction, &change.desired.name, &doing(change)).await?;
    check::unchanged(change, live.as_ref())
}

async fn in_one_transaction(
    database: &Database,
    session: &mut Session,
    lock: &TableLock,
    scope: &Scope,
    change: &TableChange,
    script: &Script<'_>,
    digest_rows: bool,
) -> Result<Applied, Error> {
    let mut retries = Retries::new(scope);
    loop {
        match once(database, session, lock, change, script, digest_rows).await {
            Ok(applied) => return Ok(applied),
            Err(error) => retries.after(error).await?,
        }
    }
}

async fn once(
    database: &Database,
    session: &mut Session,
    lock: &TableLock,
    change: &TableChange,
    script: &Script<'_>,
    digest_rows: bool,
) -> Result<Applied, Error> {
    let doing = doing(change);
    let name = &change.desired.name;
    let transaction = transaction::begin(database, session, lock, &doing).await?;
    let live = transaction::observe(&transaction, name, &doing).await?;
    let finished = script.actions.is_empty() && !script.not_null.is_empty();
    if !finished {
        check::unchanged(change, live.as_ref())?;
        known_types(&transaction, change, &doing).await?;
    }
    let mut run = Run { transaction: &transaction, change, script, doing: &doing, rows: None, dropped: HashSet::new() };
    let mut warnings = Vec::new();
    if change.force_destroy && script.may_lose() {
        run.losses(live.as_ref(), &mut warnings).await?;
    }
    for action in &script.actions {
        run.action(action, live.as_ref(), &mut warnings).await?;
    }
    // Where no row was written, what the server held after the last one that wrote stays the measure: somebody may have
    // changed rows since, and that must go on showing.
    let former = change.server_digest.clone().filter(|_| run.rows.is_none() && change.observed.is_some());
    let untouched = || RowOutcome { ledger: owned(change).and_then(Owned::ledger).cloned(), ..RowOutcome::default() };
    let mut rows = run.rows.take().unwrap_or_else(untouched);
    let Some(mut observed) = transaction::observe(&transaction, name, &doing).await? else {
        return Err(check::changed(&doing, &["it is gone".to_owned()]));
    };
    if let Some(before) = &change.observed {
        observed.remember(before);
    }
    check::as_declared(change, &mut observed)?;
    let ledger = rows.ledger.take();
    let rows_digest = match rows.server_digest.take().or(former).filter(|_| digest_rows) {
        None if digest_rows => digest(&transaction, change, ledger.clone()).await?,
        known => known,
    };
    transaction.commit().await.map_err(|error| Error::postgres(&*doing, &error))?;
    warnings.extend(remarks(change, &rows));
    Ok(Applied { observed, rows_digest, ledger, rows, warnings })
}

/// The rows of the table that are ours; a table that is made now has none.
fn owned(change: &TableChange) -> Option<&Owned> {
    change.owned.as_ref().filter(|_| change.observed.is_some())
}

/// The server's digest of our rows as they are now.
async fn digest(
    transaction: &Transaction<'_>,
    change: &TableChange,
    ledger: Option<Ledger>,
) -> Result<Option<String>, Error> {
    let owned = match (&change.rows, ledger) {
        (Some(Declared::Inline(rows)), _) => Owned::from(rows.clone()),
        (_, Some(ledger)) => Owned::from(ledger),
        _ => return Ok(None),
    };
    rows::digest(transaction, &change.desired, &owned).await.map(Some)
}

/// One pass through a script.
struct Run<'a, 't> {
    transaction: &'a Transaction<'t>,
    change: &'a TableChange,
    script: &'a Script<'a>,
    doing: &'a str,
    /// What was done to rows, once it was.
    rows: Option<RowOutcome>,
    /// The vector indexes that were dropped and have to be built again.
    dropped: HashSet<String>,
}

impl Run<'_, '_> {
    async fn action(
        &mut self,
        action: &Action,
        live: Option<&ObservedTable>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), Error> {
        match &action.kind {
            Kind::Shared(_) => Ok(()),
            Kind::Lock => {
                self.statement(action).await?;
                self.losses(live, warnings).await
            }
            Kind::Retype(_) => match self.attempt(action).await {
                Err(error) if is_about_data(&error) => Err(self.misfit(live, error).await),
                result => result,
            },
            Kind::NotNull(_) => match self.attempt(action).await {
                Err(error) if is_about_data(&error) => {
                    Err(probe::null(self.transaction, &self.change.desired, &self.script.not_null, error).await)
                }
                result => result,
            },
            Kind::DropIndex(index) => {
                match live.and_then(|live| live.vector_indexes.iter().find(|found| found.name == index.name)) {
                    None => Ok(()),
                    Some(found) if found != index => {
                        Err(check::changed(self.doing, &[format!("index {} is another", index.name)]))
                    }
                    Some(_) => {
                        self.dropped.insert(index.name.clone());
                        self.statement(action).await
                    }
                }
            }
            Kind::CreateIndex(index) if !self.dropped.contains(&index.name) => Ok(()),
            Kind::CreateIndex(_) => self.statement(action).await.map_err(|error| match error.sqlstate() {
                // The method has no operator class for the type, or the type cannot be indexed by it.
                Some("42704" | "42804" | "0A000" | "54000") => error.advice(format!(
                    "The index cannot follow the change of its column. Nothing was written. {METHOD_FIRST}"
                )),
                _ => error,
            }),
            Kind::Rows => self.rows().await,
            _ => self.statement(action).await,
        }
    }

    /// Looks whether something is lost that is not ours.
    async fn losses(&self, live: Option<&ObservedTable>, warnings: &mut Vec<Warning>) -> Result<(), Error> {
        let Some(live) = live else { return Ok(()) };
        let failed = |error| Error::postgres(self.doing, &error);
        loss::see_all(self.transaction, self.doing).await?;
        self.transaction.batch_execute("savepoint terraform_pg").await.map_err(failed)?;
        match veto::losses(self.transaction, self.change, self.script, live, false).await {
            Ok((errors, lost)) => {
                warnings.extend(lost);
                errors.into_iter().next().map_or(Ok(()), Err)
            }
            Err(error) if is_about_data(&error) => {
                self.transaction.batch_execute("rollback to savepoint terraform_pg").await.map_err(failed)?;
                Err(self.misfit(Some(live), error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Names the row whose value does not fit a new type.
    async fn misfit(&self, live: Option<&ObservedTable>, error: Error) -> Error {
        let retypes = self.script.actions.iter().find_map(|action| match &action.kind {
            Kind::Retype(columns) => Some(columns),
            _ => None,
        });
        match (live, retypes) {
            (Some(live), Some(columns)) => {
                probe::misfit(self.transaction, &self.change.desired, live, columns, error).await
            }
            _ => error,
        }
    }

    /// All row statements, which follow each other.
    async fn rows(&mut self) -> Result<(), Error> {
        if self.rows.is_some() {
            return Ok(());
        }
        let rows = RowChange {
            table: &self.change.desired,
            owned: owned(self.change),
            declared: self.change.rows.as_ref(),
            force: self.change.force_destroy,
            server_digest: self.change.server_digest.as_deref(),
        };
        self.rows = Some(rows::reconcile(self.transaction, &rows).await?);
        Ok(())
    }

    async fn statement(&self, action: &Action) -> Result<(), Error> {
        let result = self.transaction.batch_execute(&action.step.sql).await;
        result.map_err(|error| explain::statement(self.doing, action, &error))
    }

    /// Runs a statement so that the transaction can still be asked why it failed.
    async fn attempt(&self, action: &Action) -> Result<(), Error> {
        let failed = |error| Error::postgres(self.doing, &error);
        self.transaction.batch_execute("savepoint terraform_pg").await.map_err(failed)?;
        let result = self.statement(action).await;
        if result.as_ref().is_err_and(is_about_data) {
            self.transaction.batch_execute("rollback to savepoint terraform_pg").await.map_err(failed)?;
        }
        result
    }
}

/// Whether a value was at fault: data exceptions and violated constraints.
fn is_about_data(error: &Error) -> bool {
    error.sqlstate().is_some_and(|state| state.starts_with("22") || state == "23502" || state == "23514")
}

/// Asks the server for the types that are not built in, before anything is written.
async fn known_types(transaction: &Transaction<'_>, change: &TableChange, doing: &str) -> Result<(), Error> {
    if change.desired.managed_by == ManagedBy::User {
        return Ok(());
    }
    let is_new = |column: &&ColumnSpec| {
        let seen = change.observed.as_ref().and_then(|observed| observed.column(&column.name));
        seen.is_none_or(|seen| !seen.is_spelled(&column.type_name))
    };
    for column in change.desired.columns.iter().filter(is_new) {
        let Ok(parsed) = PgType::parse(&column.type_name) else { continue };
        if parsed.is_builtin() {
            continue;
        }
        let spelled = parsed.unmodified().to_string();
        if is_known(transaction, &spelled, doing).await? {
            continue;
        }
        let elsewhere = parsed.is_pgvector() && is_known(transaction, parsed.name(), doing).await?;
        let advice = if elsewhere {
            "The extension pgvector is in another schema. Leave the schema out: its types are found wherever it is."
        } else if parsed.is_pgvector() {
            "The type belongs to the extension pgvector, which is not in this database. Create it there (`create extension \
             vector`), or leave create_vector_extension at true."
        } else {
            explain::UNKNOWN
        };
        let message = format!("the server knows no type {spelled}, which is the type of column {}", column.name);
        return Err(Error::new(doing, message)
            .blame(Blame::Column(column.name.clone(), Some("type")))
            .advice(format!("Nothing was written. {advice}")));
    }
    Ok(())
}

/// Whether the server finds a type under this spelling.
async fn is_known(transaction: &Transaction<'_>, spelled: &str, doing: &str) -> Result<bool, Error> {
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&spelled, Type::TEXT)];
    let known = transaction.query_typed_one("select pg_catalog.to_regtype($1) is not null", &parameters).await;
    known.and_then(|row| row.try_get(0)).map_err(|error| Error::postgres(doing, &error))
}

/// What the user should know of the rows that were written.
fn remarks(change: &TableChange, rows: &RowOutcome) -> Vec<Warning> {
    let name = &change.desired.name;
    let mut warnings = Vec::new();
    let mut remark = |rows: &Counted, summary: &'static str, what: String| {
        if rows.count > 0 {
            warnings.push(Warning { summary, detail: format!("{what}: {}.", rows.named()) });
        }
    };
    remark(
        &rows.adopted,
        "Rows were there already",
        format!(
            "{name} held these rows exactly as they are declared. They count as declared here from now on, so they are \
             deleted when they are no longer declared"
        ),
    );
    remark(
        &rows.altered,
        "Rows are not as they are declared",
        format!(
            "A trigger, a rule or a cascading reference of {name} changed these rows after they were written. They are \
             left as they are now, and written again whenever rows of the table change"
        ),
    );
    remark(
        &rows.kept,
        "Rows were not deleted",
        format!(
            "A trigger or a rule of {name} kept these rows, which are no longer declared, from being deleted. They do not \
             count as declared here any more"
        ),
    );
    warnings
}
