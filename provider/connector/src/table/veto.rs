//! Looks at the live table: whether it forbids what a plan wants, what it would lose, how big it is.
//!
//! **Invariant:** only looks, in read-only transactions, and only at the table itself.

use std::collections::HashSet;

use tokio_postgres::Transaction;

use super::diff::mismatches;
use super::kept::Unkept;
use super::loss::{self, Loss, rows_shown};
use super::script::{Kind, Script};
use super::transaction::{self, looking, observe};
use super::{TableChange, TableDrop, Warning, check, doing, fellows, hazards, probe};
use crate::catalog::ObservedTable;
use crate::database::{Database, Scope};
use crate::error::{Blame, Error};
use crate::name::{TableName, quote_ident};
use crate::rows::{self, Declared, DeclaredRows, Owned, RowChange, RowCounts, RowGroup, key};
use crate::spec::{ManagedBy, TableSpec};

const CONSENT: &str =
    "Set force_destroy = true to consent to the loss; or declare the data here, or save it elsewhere first.";

const CONSENT_TO_TYPE: &str = "Set force_destroy = true to consent to that; or correct these rows first, or add a column of \
    the new type under another name.";

const CONSENT_FIRST: &str = "Set force_destroy = true to consent to the loss (for a destroy, apply that first); or declare \
    the data here, or save it elsewhere first.";

/// What the live table has to say of a change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// What the user should know.
    pub(crate) warnings: Vec<Warning>,
    /// How many rows are written, where that is counted.
    pub(crate) rows: Option<RowCounts>,
}

impl From<Vec<Warning>> for Said {
    fn from(warnings: Vec<Warning>) -> Self {
        Self { warnings, rows: None }
    }
}

/// See [`super::veto()`].
pub(super) async fn veto(database: &Database, scope: &Scope, change: &TableChange) -> Result<Vec<Warning>, Vec<Error>> {
    let Said { mut warnings, rows } = ask(database, scope, change).await?;
    // What becomes of the rows of a file does not show in the plan otherwise.
    warnings.extend(rows.and_then(|counts| row_changes(&change.desired.name, &counts)));
    Ok(warnings)
}

/// The same, with the number of rows as a number.
pub(crate) async fn ask(database: &Database, scope: &Scope, change: &TableChange) -> Result<Said, Vec<Error>> {
    let script = Script::of(change);
    if !script.refusals.is_empty() {
        return Err(script.refusals);
    }
    let explain = |error: Error| vec![scope.explain(as_reading(error, &change.desired.name))];
    let mut session = database.connect(scope).await.map_err(|error| vec![error])?;
    let transaction = looking(&mut session).await.map_err(explain)?;
    let live = observe(&transaction, &change.desired.name, &doing(change)).await.map_err(explain)?;
    match (&change.observed, live) {
        (None, live) => before_create(change, live.as_ref()).map(Said::from),
        // Apply says that it is gone.
        (Some(_), None) => Ok(Said::default()),
        (Some(_), Some(live)) if !live.kind.is_table() => {
            check::unchanged(change, Some(&live)).map_err(|error| vec![error])?;
            Ok(Said::default())
        }
        (Some(_), Some(live)) => before_change(&transaction, change, &script, &live, &explain).await,
    }
}

/// What is only looked at in a plan is not changed yet, so a look that fails says that it was one. What blames a part of the
/// declaration is about the change.
fn as_reading(error: Error, name: &TableName) -> Error {
    if error.blamed().is_some() { error } else { error.doing_instead(format!("read table {name} for the plan")) }
}

fn before_create(change: &TableChange, live: Option<&ObservedTable>) -> Result<Vec<Warning>, Vec<Error>> {
    let desired = &change.desired;
    match (desired.managed_by, live) {
        (ManagedBy::System, None) => Ok(Vec::new()),
        (ManagedBy::System, Some(live)) => {
            let error = check::exists(desired, live);
            Ok(vec![Warning {
                summary: "The table exists already",
                detail: format!(
                    "{}. Unless it is gone by then, as one is that this plan replaces (a tainted one), apply will refuse. {}",
                    error.message(),
                    error.advised().unwrap_or_default().replace("Nothing was written. ", "")
                ),
            }])
        }
        (ManagedBy::User, None) => {
            let error = check::missing(desired);
            Ok(vec![Warning {
                summary: "The table does not exist yet",
                detail: format!("Now {}. Unless it is there by then, apply will refuse.", error.message()),
            }])
        }
        (ManagedBy::User, Some(live)) => {
            let errors = mismatches(desired, live, &doing(change), false);
            if errors.is_empty() { Ok(Vec::new()) } else { Err(errors) }
        }
    }
}

async fn before_change(
    transaction: &Transaction<'_>,
    change: &TableChange,
    script: &Script<'_>,
    live: &ObservedTable,
    explain: &(dyn Fn(Error) -> Vec<Error> + Sync),
) -> Result<Said, Vec<Error>> {
    let desired = &change.desired;
    let rows = changed_rows(transaction, change, script, live).await.map_err(explain)?;
    if desired.managed_by == ManagedBy::User {
        return Ok(Said { warnings: Vec::new(), rows });
    }
    loss::see_all(transaction, &doing(change)).await.map_err(explain)?;
    if !script.replace.is_empty() {
        let declared = change.prior.as_ref().unwrap_or(desired);
        let owned =
            rows::believed(transaction, &declared.name, live.oid, change.owned.as_ref()).await.map_err(explain)?;
        let loss = loss::of_table(transaction, declared, live, owned).await.map_err(explain)?;
        let consented = consent(&format!("replace table {}", desired.name), &loss, change.force_destroy);
        return consented.map(Said::from).map_err(|e| vec![e]);
    }
    let (mut errors, mut warnings) = losses(transaction, change, script, live, true).await.map_err(explain)?;
    for (column, new) in &script.not_null {
        let count = nulls(transaction, change, live, column, *new).await.map_err(explain)?;
        if count > 0 {
            errors.push(probe::holds_null(
                Error::new(doing(change), String::new()),
                desired,
                (column, *new),
                count,
                None,
            ));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let size = hazards::size(transaction, &desired.name, live).await;
    let size = size.map_err(|error| explain(Error::postgres(doing(change), &error)))?;
    warnings.extend(hazards::warnings(script, &desired.name, size));
    warnings.extend(hazards::domains(transaction, change, script, size).await.map_err(explain)?);
    Ok(Said { warnings, rows })
}

/// How many rows of a file are written, and how many of those that came from one.
async fn changed_rows(
    transaction: &Transaction<'_>,
    change: &TableChange,
    script: &Script<'_>,
    live: &ObservedTable,
) -> Result<Option<RowCounts>, Error> {
    let writes = script.replace.is_empty() && script.actions.iter().any(|action| action.kind == Kind::Rows);
    let owned = rows::believed(transaction, &change.desired.name, live.oid, change.owned.as_ref()).await?;
    if !writes || owned.is_none() {
        return Ok(None);
    }
    let rows = RowChange {
        table: &change.desired,
        owned,
        declared: change.rows.as_ref(),
        force: change.force_destroy,
        server_digest: None,
    };
    rows::counts(transaction, &rows).await
}

fn row_changes(name: &TableName, counts: &RowCounts) -> Option<Warning> {
    let other: Vec<(u64, &str)> = [(counts.inserted, "inserted"), (counts.updated, "updated")]
        .into_iter()
        .filter_map(|(count, verb)| Some((count?, verb)))
        .collect();
    if counts.deleted == 0 {
        let said: Vec<String> =
            other.iter().filter(|(count, _)| *count > 0).map(|(n, verb)| becomes(*n, verb)).collect();
        let detail = format!("In {name}, {}.", said.join(" and "));
        return (!said.is_empty()).then_some(Warning { summary: "Rows of the file are written", detail });
    }
    let is = if counts.deleted == 1 { "is" } else { "are" };
    let said: Vec<String> = other.iter().map(|(count, verb)| becomes(*count, verb)).collect();
    let also = if said.is_empty() { String::new() } else { format!(" {}.", said.join(" and ")) };
    Some(Warning {
        summary: "Declared rows are deleted",
        detail: format!(
            "{} that came from rows_file and {is} no longer declared {is} deleted from {name}.{also}",
            rows_shown(counts.deleted)
        ),
    })
}

fn becomes(count: u64, verb: &str) -> String {
    format!("{} {} {verb}", rows_shown(count), if count == 1 { "is" } else { "are" })
}

/// Data in columns that are dropped, what stands on them, and values that a new type would change: errors, or with consent
/// warnings.
pub(super) async fn losses(
    transaction: &Transaction<'_>,
    change: &TableChange,
    script: &Script<'_>,
    live: &ObservedTable,
    planning: bool,
) -> Result<(Vec<Error>, Vec<Warning>), Error> {
    let (mut errors, mut warnings, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    if !script.may_lose() {
        return Ok((errors, warnings));
    }
    let declared = change.prior.as_ref().unwrap_or(&change.desired);
    let keyed = TableSpec { primary_key: change.desired.primary_key.clone(), ..declared.clone() };
    let owned = rows::believed(transaction, &change.desired.name, live.oid, change.owned.as_ref()).await?;
    let mut say = |message: String, advice: &str, blame: Blame| {
        if change.force_destroy {
            let detail = format!("In {}, {message}.", change.desired.name);
            warnings.push(Warning { summary: "Data is destroyed", detail });
        } else {
            errors.push(Error::new(doing(change), message).advice(advice).blame(blame));
        }
    };
    for name in &script.lost {
        if live.column(name).is_none() {
            continue;
        }
        let count = loss::of_column(transaction, &keyed, name, owned).await?;
        if count > 0 {
            let what = format!(
                "column {name} holds data in {} that is not declared here, and that is lost with the column",
                rows_shown(count)
            );
            say(what, CONSENT, Blame::Attribute("columns"));
        }
    }
    transaction::find_types(transaction, &change.desired.name, &doing(change)).await?;
    for unkept in &script.unkept {
        // What is another type by now is found by the comparison with the plan.
        if live.column(&unkept.column).is_none_or(|column| !unkept.is_from(&column.type_name)) {
            continue;
        }
        let failed = |error| Error::postgres(doing(change), &error);
        transaction.batch_execute("savepoint terraform_pg_type").await.map_err(failed)?;
        let found = match loss::of_values(transaction, &keyed, unkept, owned).await {
            Ok(found) => found,
            // Something else in the plan may make the type.
            Err(error) if planning && error.sqlstate() == Some("42704") => {
                transaction.batch_execute("rollback to savepoint terraform_pg_type").await.map_err(failed)?;
                unknown.push(not_there_yet(change, unkept));
                continue;
            }
            Err(error) => return Err(if planning { misfit(change, unkept, error) } else { error }),
        };
        if found.count > 0 {
            let blame = Blame::Column(unkept.column.clone(), Some("type"));
            say(unkept.said(&keyed.primary_key, &found), CONSENT_TO_TYPE, blame);
        }
    }
    let (also, more) =
        fellows::lost(transaction, &doing(change), &change.desired, script, live, (change.force_destroy, planning))
            .await?;
    errors.extend(also);
    warnings.extend(unknown.into_iter().chain(more));
    Ok((errors, warnings))
}

fn not_there_yet(change: &TableChange, unkept: &Unkept) -> Warning {
    Warning {
        summary: "A type is not known to the server yet",
        detail: format!(
            "Column {} of {} is to have the type {}. Unless the server knows it by then, apply will refuse.",
            unkept.column, change.desired.name, unkept.to
        ),
    }
}

/// A value that does not even fit the new type ended the search for values that would be others.
fn misfit(change: &TableChange, unkept: &Unkept, error: Error) -> Error {
    if !error.sqlstate().is_some_and(|state| state.starts_with("22")) {
        return error;
    }
    let (Unkept { column, to, .. }, fault) = (unkept, error.message().to_owned());
    Error::new(doing(change), format!("a value in column {column} does not fit {to}: {fault}"))
        .advice(probe::NO_FIT)
        .blame(Blame::Column(column.clone(), Some("type")))
}

/// How many rows would still hold null in a column after our rows are written.
async fn nulls(
    transaction: &Transaction<'_>,
    change: &TableChange,
    live: &ObservedTable,
    column: &str,
    new: bool,
) -> Result<u64, Error> {
    let condition = match live.column(column) {
        Some(_) if !new => format!("t.{} is null", quote_ident(column)),
        _ => "true".to_owned(),
    };
    let Some(given) = given(change, column) else { return Ok(0) };
    rows::count_others(transaction, &change.desired, Some(&given.into()), &condition).await
}

/// The rows that get a value in the column, or are deleted; `None` where a file would have to travel to tell, so that only
/// apply can.
fn given(change: &TableChange, column: &str) -> Option<DeclaredRows> {
    let declared = match &change.rows {
        None => Vec::new(),
        Some(Declared::Inline(rows)) => rows.groups.clone(),
        Some(file @ Declared::File(_)) if !file.names(column) && change.owned.is_none() => Vec::new(),
        Some(Declared::File(_)) => return None,
    };
    let owned = match &change.owned {
        None => Vec::new(),
        Some(Owned::Inline(rows)) => rows.groups.clone(),
        Some(Owned::Ledger(_)) => return None,
    };
    let kinds = key::kinds(&change.desired);
    let keys = |group: &RowGroup| {
        let positions = key::positions(group, &change.desired.primary_key).unwrap_or_default();
        group.rows.iter().map(|row| key::of_row(&kinds, &positions, row)).collect::<Vec<_>>()
    };
    let kept: HashSet<_> = declared.iter().flat_map(keys).collect();
    let mut given: Vec<RowGroup> =
        declared.into_iter().filter(|group| group.columns.iter().any(|name| name == column)).collect();
    for mut group in owned {
        let keys = keys(&group);
        let mut at = keys.iter();
        group.rows.retain(|_| at.next().is_some_and(|key| !kept.contains(key)));
        given.push(group);
    }
    Some(DeclaredRows { groups: given, ..DeclaredRows::default() })
}

/// See [`super::veto_drop`].
pub(super) async fn veto_drop(
    database: &Database,
    scope: &Scope,
    drop: &TableDrop,
) -> Result<Vec<Warning>, Vec<Error>> {
    if drop.declared.managed_by == ManagedBy::User {
        let rows = drop.owned.as_ref().map_or(0, Owned::count);
        let detail = || {
            format!(
                "{} that {} declared here {} deleted from {}. The table stays, since it is not managed here.",
                rows_shown(rows),
                if rows == 1 { "is" } else { "are" },
                if rows == 1 { "is" } else { "are" },
                drop.declared.name
            )
        };
        let warning = (rows > 0).then(|| Warning { summary: "Declared rows are deleted", detail: detail() });
        return Ok(warning.into_iter().collect());
    }
    let explain = |error: Error| vec![scope.explain(as_reading(error, &drop.declared.name))];
    let mut session = database.connect(scope).await.map_err(|error| vec![error])?;
    let transaction = looking(&mut session).await.map_err(explain)?;
    let doing = format!("drop table {}", drop.declared.name);
    let live = observe(&transaction, &drop.declared.name, &doing).await.map_err(explain)?;
    match live {
        Some(live) if live.kind.is_table() => before_drop(&transaction, drop, &live).await.map_err(explain),
        _ => Ok(Vec::new()),
    }
}

/// What would be lost with the table: an error, or with consent a warning.
pub(super) async fn before_drop(
    transaction: &Transaction<'_>,
    drop: &TableDrop,
    live: &ObservedTable,
) -> Result<Vec<Warning>, Error> {
    let doing = format!("drop table {}", drop.declared.name);
    loss::see_all(transaction, &doing).await?;
    let owned = rows::believed(transaction, &drop.declared.name, live.oid, drop.owned.as_ref()).await?;
    let loss = loss::of_table(transaction, &drop.declared, live, owned).await?;
    consent(&doing, &loss, drop.force_destroy)
}

fn consent(doing: &str, loss: &Loss, force: bool) -> Result<Vec<Warning>, Error> {
    if loss.is_nothing() {
        return Ok(Vec::new());
    }
    if force {
        let detail = format!("To {doing} also destroys {}.", loss.shown());
        return Ok(vec![Warning { summary: "Data is destroyed", detail }]);
    }
    let message = format!("it holds {}, which would be lost", loss.shown());
    Err(Error::new(doing, message).advice(CONSENT_FIRST).blame(Blame::Attribute("force_destroy")))
}
